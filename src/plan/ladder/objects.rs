//! DDL, TRUNCATE, LOCK, VACUUM: on the one shard where all that they concern lives, or the same on every shard.
//!
//! Holds: what lives on one shard is changed there alone, what every shard has is changed on all of them in one
//! transaction, and nothing is changed on some of those that have it. Whether a table may be as a statement leaves it
//! (its key in every unique index, its foreign keys within reach) is not told here but read from the shards' catalogs
//! before the transaction ends (`session/schema.rs`): Postgres knows what its DDL does.

use crate::catalog::DrawnFrom;
use crate::plan::ladder::changes;
use crate::plan::ladder::drawn::counts_on;
use crate::plan::ladder::lists;
use crate::plan::ladder::phrase::{Named, Phrase};
use crate::plan::ladder::places::{Mentions, Place, created, mentions, place, shown};
use crate::plan::ladder::subjects::{Origin, Reaches, Subject, subject};
use crate::plan::ladder::{Case, Ruling};
use crate::plan::resolve::{self, relation_named};
use crate::plan::{Access, InBlock, Kind, Refusal, RefusalId, Sameness, SessionEffect, WriteAnswer, refuse};
use crate::sql::{Ddl, Maintenance, Temporary};
use crate::topology::ShardId;

/// Where a statement runs.
enum Where {
    /// there alone
    One(ShardId),
    /// on home, where the session's temporary objects are
    Temporary,
    /// the same on all shards
    Everywhere,
}

type Decided = Result<Where, Box<Refusal>>;

/// CREATE, ALTER, DROP, GRANT …
pub(super) fn ddl(case: &Case<'_>, ddl: &Ddl) -> Ruling {
    let what = match ddl.object.is_empty() {
        true => ddl.word.0.clone(),
        false => format!("{} {}", ddl.word.0, ddl.object),
    };
    let ruled = phrase(case).and_then(|phrase| match ddl.temporary {
        Temporary::Yes => temporary(case, &phrase, &what).map(|()| temporary_object(case, Pinned::Anew)),
        Temporary::No => {
            let subject = subject(&phrase, ddl)?;
            if ddl.word.0 == "DROP" && ddl.object == "TABLE" {
                let at = phrase.skip(2, &["if", "exists"]);
                if let Some(ruling) = lists::mixed(case, &phrase, at)? {
                    changes::check(case, &phrase, &subject)?;
                    return Ok(ruling);
                }
            }
            let decided = decide(case, &phrase, &subject, &what)?;
            match decided {
                Where::Everywhere => changes::check(case, &phrase, &subject)?,
                Where::One(shard) if ddl.word.0 == "ALTER" && phrase.has(&["restart"]) => match &subject {
                    Subject::Objects(named, _) => restarts_all(case, named, shard)?,
                    Subject::NewTable(..)
                    | Subject::NewView(_)
                    | Subject::NewMaterializedView(_)
                    | Subject::Attached
                    | Subject::Common => {}
                },
                Where::One(_) | Where::Temporary => {}
            }
            let answer = match changes::concurrently(&phrase, ddl) {
                Some(name) => WriteAnswer::Each(InBlock::Refused(name)),
                None => WriteAnswer::Same(Sameness::Tag),
            };
            Ok(ruling(case, decided, Access::Write, answer))
        }
    });
    ruled.unwrap_or_else(|refusal| refused(case, refusal))
}

/// TRUNCATE
pub(super) fn truncate(case: &Case<'_>) -> Ruling {
    let ruled = phrase(case).and_then(|phrase| {
        let at = phrase.skip(1, &["table"]);
        if let Some(ruling) = lists::mixed(case, &phrase, at)? {
            return Ok(ruling);
        }
        let decided = of_list(case, &phrase, at, "TRUNCATE")?;
        if let Where::One(shard) = decided
            && phrase.has(&["restart", "identity"])
        {
            let (named, _) = phrase.objects(at).unwrap_or_default();
            restarts_all(case, &named, shard)?;
        }
        Ok(ruling(case, decided, Access::Write, WriteAnswer::Same(Sameness::Tag)))
    });
    ruled.unwrap_or_else(|refusal| refused(case, refusal))
}

/// A sequence that counts on another shard would go on there.
fn restarts_all(case: &Case<'_>, named: &[Named], shard: ShardId) -> Result<(), Box<Refusal>> {
    for named in named {
        let parts: Vec<&str> = named.schema.iter().chain([&named.name]).map(String::as_str).collect();
        let found = relation_named(case.snapshot.catalog(), case.context, &parts);
        let resolve::Named::Relation(relation) = found else {
            continue;
        };
        let drawn = relation.columns.iter().filter_map(|column| column.filling.drawn_from());
        for drawn in drawn {
            let counts = match drawn {
                DrawnFrom::Next(sequence) => counts_on(case.snapshot, sequence) == shard,
                DrawnFrom::Otherwise => true,
            };
            if !counts {
                return Err(refuse(RefusalId::SequenceElsewhere, &[&relation.name.to_string()]));
            }
        }
    }
    Ok(())
}

/// LOCK TABLE: on the first shard, then on the others.
pub(super) fn lock(case: &Case<'_>) -> Ruling {
    let ruled = phrase(case).and_then(|phrase| {
        let decided = of_list(case, &phrase, phrase.skip(1, &["table"]), "LOCK TABLE")?;
        Ok(ruling(case, decided, Access::Lock, WriteAnswer::Same(Sameness::Tag)))
    });
    ruled.unwrap_or_else(|refusal| refused(case, refusal))
}

/// VACUUM, ANALYZE, CLUSTER, REINDEX, CHECKPOINT, REFRESH: each shard by itself.
pub(super) fn maintenance(case: &Case<'_>, kind: Maintenance) -> Ruling {
    let ruled = phrase(case).and_then(|phrase| maintained(case, &phrase, kind));
    ruled.unwrap_or_else(|refusal| refused(case, refusal))
}

fn maintained(case: &Case<'_>, phrase: &Phrase, kind: Maintenance) -> Result<Ruling, Box<Refusal>> {
    // options: in parentheses, or as words of old
    let mut at = match phrase.is_mark(1, b'(') {
        true => phrase.behind_parenthesis(1).unwrap_or(1),
        false => 1,
    };
    let (what, in_block) = match kind {
        Maintenance::Vacuum => {
            while ["full", "freeze", "verbose", "analyze", "analyse"].contains(&phrase.keyword(at)) {
                at = at.saturating_add(1);
            }
            ("VACUUM", InBlock::Refused("VACUUM"))
        }
        Maintenance::Analyze => {
            at = phrase.skip(at, &["verbose"]);
            ("ANALYZE", InBlock::Together)
        }
        Maintenance::Cluster => {
            at = phrase.skip(at, &["verbose"]);
            match phrase.is_end(at) {
                true => ("CLUSTER", InBlock::Refused("CLUSTER")),
                false => ("CLUSTER", InBlock::Together),
            }
        }
        Maintenance::Reindex => {
            let concurrently = phrase.has(&["concurrently"]);
            let by = phrase.keyword(at).to_owned();
            at = phrase.skip(at.saturating_add(1), &["concurrently"]);
            match (by.as_str(), concurrently) {
                ("table" | "index", false) => ("REINDEX", InBlock::Together),
                ("table" | "index", true) => ("REINDEX", InBlock::Refused("REINDEX CONCURRENTLY")),
                ("schema", _) => {
                    let answer = WriteAnswer::Each(InBlock::Refused("REINDEX SCHEMA"));
                    return Ok(ruling(case, Where::Everywhere, Access::Write, answer));
                }
                // The database's name is the client's, and a shard's may be another.
                _ => return Err(refuse(RefusalId::ClusterObject, &["REINDEX of a database"])),
            }
        }
        Maintenance::Checkpoint => ("CHECKPOINT", InBlock::Together),
        Maintenance::Refresh => {
            at = phrase.skip(phrase.skip(1, &["materialized", "view"]), &["concurrently"]);
            ("REFRESH MATERIALIZED VIEW", InBlock::Together)
        }
    };
    let decided = match phrase.is_end(at) {
        true => Where::Everywhere,
        false => of_list(case, phrase, at, what)?,
    };
    Ok(ruling(case, decided, Access::Write, WriteAnswer::Each(in_block)))
}

/// A statement whose tables stand in a list.
fn of_list(case: &Case<'_>, phrase: &Phrase, at: usize, what: &str) -> Decided {
    let (named, _) = phrase
        .objects(at)
        .ok_or_else(|| refuse(RefusalId::DdlNotKnown, &[what]))?;
    together(case, &named, what)
}

/// Where a statement about these objects runs.
fn decide(case: &Case<'_>, phrase: &Phrase, subject: &Subject, what: &str) -> Decided {
    match subject {
        Subject::Objects(named, Reaches::Themselves) => together(case, named, what),
        Subject::Objects(named, Reaches::Others) => {
            let decided = together(case, named, what)?;
            within_reach(&decided, &mentions(case, phrase)?, what)?;
            Ok(decided)
        }
        Subject::NewTable(named, origin) => new_table(case, phrase, named, origin, what),
        Subject::NewView(_) => {
            let found = mentions(case, phrase)?;
            match one(&found, what)? {
                Some(shard) => Ok(Where::One(shard)),
                None => Ok(Where::Everywhere),
            }
        }
        Subject::NewMaterializedView(named) => {
            let found = mentions(case, phrase)?;
            let decided = match created(case, named)? {
                Place::On(shard) => Where::One(shard),
                Place::Sharded(name) | Place::Reference(name) | Place::Some(name) => {
                    return Err(refuse(RefusalId::CreateFromQuery, &[what, &shown(&name)]));
                }
                Place::Everywhere | Place::Temporary => {
                    return Err(refuse(RefusalId::CreateFromQuery, &[what, &named.shown()]));
                }
            };
            no_rows_of_several(&found, what)?;
            within_reach(&decided, &found, what)?;
            Ok(decided)
        }
        Subject::Attached => {
            let found = mentions(case, phrase)?;
            match (one(&found, what)?, &found.sharded, &found.reference) {
                (Some(shard), None, None) => Ok(Where::One(shard)),
                (None, _, _) => Ok(Where::Everywhere),
                (Some(_), _, _) => Err(apart(&found, what)),
            }
        }
        Subject::Common => match mentions(case, phrase)? {
            Mentions {
                unsharded: Some(name), ..
            } => Err(refuse(RefusalId::DdlSeveralShards, &[what, &name])),
            Mentions { unsharded: None, .. } => Ok(Where::Everywhere),
        },
    }
}

fn new_table(case: &Case<'_>, phrase: &Phrase, named: &Named, origin: &Origin, what: &str) -> Decided {
    let target = match origin {
        Origin::Partition(parent) => place(case, parent)?,
        Origin::Columns | Origin::Query => created(case, named)?,
    };
    let found = mentions(case, phrase)?;
    let decided = match target {
        Place::Sharded(_) | Place::Reference(_) | Place::Everywhere => Where::Everywhere,
        Place::On(shard) => Where::One(shard),
        Place::Some(name) => return Err(refuse(RefusalId::DdlSomeShards, &[&shown(&name)])),
        Place::Temporary => Where::Temporary,
    };
    if *origin == Origin::Query {
        if matches!(decided, Where::Everywhere) {
            return Err(refuse(RefusalId::CreateFromQuery, &[what, &named.shown()]));
        }
        no_rows_of_several(&found, what)?;
    }
    within_reach(&decided, &found, what)?;
    Ok(decided)
}

/// Objects that live together, and where.
fn together(case: &Case<'_>, named: &[Named], what: &str) -> Decided {
    let mut decided: Option<(Where, &Named)> = None;
    for one in named {
        let here = match place(case, one)? {
            Place::Sharded(_) | Place::Reference(_) | Place::Everywhere => Where::Everywhere,
            Place::On(shard) => Where::One(shard),
            Place::Some(name) => return Err(refuse(RefusalId::DdlSomeShards, &[&shown(&name)])),
            Place::Temporary => Where::Temporary,
        };
        let same = match (&decided, &here) {
            (None, _) => true,
            (Some((Where::One(first), _)), Where::One(shard)) => first == shard,
            (Some((Where::Everywhere, _)), Where::Everywhere) => true,
            (Some((Where::Temporary, _)), Where::Temporary) => true,
            (Some(_), _) => false,
        };
        if !same {
            return Err(refuse(RefusalId::DdlSeveralShards, &[what, &one.shown()]));
        }
        decided = Some((here, one));
    }
    Ok(decided.map_or(Where::Everywhere, |(decided, _)| decided))
}

/// Whatever else a statement names must be where it runs.
fn within_reach(decided: &Where, found: &Mentions, what: &str) -> Result<(), Box<Refusal>> {
    let reached = match decided {
        Where::Everywhere => found.shards.is_empty(),
        Where::One(shard) => found.sharded.is_none() && found.shards.iter().all(|other| other == shard),
        Where::Temporary => true,
    };
    match reached {
        true => Ok(()),
        false => Err(apart(found, what)),
    }
}

fn apart(found: &Mentions, what: &str) -> Box<Refusal> {
    let spread = [&found.sharded, &found.reference].into_iter().flatten().map(shown);
    let names: Vec<String> = found.unsharded.iter().cloned().chain(spread).collect();
    refuse(RefusalId::DdlSeveralShards, &[what, &names.join(", ")])
}

/// The one shard that a text's unsharded tables live on, if it names some.
fn one(found: &Mentions, what: &str) -> Result<Option<ShardId>, Box<Refusal>> {
    let mut shards = found.shards.iter();
    match (shards.next(), shards.next()) {
        (first, None) => Ok(first.copied()),
        (_, Some(_)) => Err(apart(found, what)),
    }
}

/// A query whose rows are kept would keep one shard's.
fn no_rows_of_several(found: &Mentions, what: &str) -> Result<(), Box<Refusal>> {
    match &found.sharded {
        Some(name) => Err(refuse(RefusalId::CreateFromQuery, &[what, &shown(name)])),
        None => Ok(()),
    }
}

/// A new temporary object lives on home, beside nothing that lives elsewhere.
fn temporary(case: &Case<'_>, phrase: &Phrase, what: &str) -> Result<(), Box<Refusal>> {
    let found = mentions(case, phrase)?;
    let home = case.snapshot.topology().home();
    let elsewhere = found.shards.iter().any(|shard| *shard != home);
    match elsewhere || found.sharded.is_some() || found.reference.is_some() {
        true => Err(apart(&found, what)),
        false => Ok(()),
    }
}

/// Whether a temporary object pins its backend from now on.
enum Pinned {
    /// it is new
    Anew,
    /// its backend is pinned since it was created
    Already,
}

fn temporary_object(case: &Case<'_>, pinned: Pinned) -> Ruling {
    let effect = match pinned {
        Pinned::Anew => SessionEffect::Pin("temporary object"),
        Pinned::Already => SessionEffect::None,
    };
    let home = case.snapshot.topology().home();
    Ruling::fixed(Kind::Home, home, "a temporary object", Access::Write, effect)
}

fn ruling(case: &Case<'_>, decided: Where, access: Access, answer: WriteAnswer) -> Ruling {
    match decided {
        Where::One(shard) => Ruling::fixed(Kind::OneShard, shard, "an unsharded table", access, SessionEffect::None),
        Where::Temporary => temporary_object(case, Pinned::Already),
        Where::Everywhere => Ruling::everywhere(case.snapshot.topology().home(), access, answer),
    }
}

/// The statement's words.
fn phrase(case: &Case<'_>) -> Result<Phrase, Box<Refusal>> {
    Phrase::of(case).ok_or_else(|| refuse(RefusalId::UnparsedNamesTable, &["?", "A name in it can't be decoded"]))
}

fn refused(case: &Case<'_>, refusal: Box<Refusal>) -> Ruling {
    Ruling::refused(refusal, case.snapshot.topology().home())
}
