//! Step 0: there is one shard. Everything is forwarded, parsed or not.
//!
//! What is left to tell is what it does to the session: a pooled backend must stay with a session that leaves something in
//! it. Told by tokens alone, and rather too often than too seldom.

use crate::plan::ladder::functions::READS_BACKEND;
use crate::plan::ladder::{Case, Ruling, graver, stronger, words};
use crate::plan::{Access, Kind, Refusal, RefusalId, SessionEffect, Verdict, refuse};
use crate::sql::{Command, CursorHold, Temporary, TokenKind};

/// One shard in the topology.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let topology = case.snapshot.topology();
    let Some(shard) = topology.all_shards().single() else {
        return Ok(None);
    };
    if let Some(refusal) = last_backend(case).or_else(|| own_gid(case)) {
        return Ok(Some(Ruling::refused(refusal, shard)));
    }
    let said = words::said(case);
    let (access, effect) = conduct(case);
    let ruling = Ruling::fixed(
        Kind::Single,
        shard,
        "there is one shard",
        stronger(access, said.access),
        graver(effect, said.effect),
    );
    Ok(Some(ruling))
}

/// `currval(` and `lastval(` read what the last backend did, pg_prepared_statements what it holds: another client's would
/// be a silent wrong answer.
fn last_backend(case: &Case<'_>) -> Option<Box<Refusal>> {
    let mut names = words::names(case).into_iter().flatten();
    if let Some(name) = names.find(|name| name == "pg_prepared_statements" || name == "pg_prepared_statement") {
        return Some(refuse(RefusalId::BackendState, &[&name]));
    }
    let calls = case
        .tokens
        .iter()
        .zip(case.tokens.iter().skip(1))
        .filter_map(|(name, next)| {
            let called = name.kind == TokenKind::Word && next.kind == TokenKind::Punctuation(b'(');
            called.then(|| words::word_of(case, name))
        });
    let word = calls
        .into_iter()
        .find(|word| word.eq_ignore_ascii_case(b"currval") || word.eq_ignore_ascii_case(b"lastval"))?;
    let name = String::from_utf8_lossy(word).to_ascii_lowercase();
    Some(refuse(RefusalId::FunctionRefused, &[&name, READS_BACKEND]))
}

/// Gids of the proxy's own commits, on any number of shards: this one may be joined by others.
fn own_gid(case: &Case<'_>) -> Option<Box<Refusal>> {
    match case.command {
        Command::PrepareTransaction(gid) | Command::CommitPrepared(gid) | Command::RollbackPrepared(gid) => {
            reserved_gid(gid)
        }
        _ => None,
    }
}

/// The refusal of a client's transaction identifier that the proxy's own commits could have.
pub fn reserved_gid(gid: &str) -> Option<Box<Refusal>> {
    const OURS: &str = "sg:";
    gid.starts_with(OURS).then(|| refuse(RefusalId::OwnGid, &[gid]))
}

fn conduct(case: &Case<'_>) -> (Access, SessionEffect) {
    match case.command {
        Command::Empty
        | Command::Begin(_)
        | Command::Commit(_)
        | Command::Rollback(_)
        | Command::Savepoint(_)
        | Command::Set(_)
        | Command::SetTransaction(_)
        | Command::SetCharacteristics(_)
        | Command::SetConstraints
        | Command::SetConfig(_)
        | Command::Reset(_)
        | Command::Show(_)
        | Command::Discard(_)
        | Command::Deallocate(_)
        | Command::Close(_)
        | Command::Unlisten(_) => (Access::Read, SessionEffect::None),
        Command::PrepareTransaction(_) | Command::CommitPrepared(_) | Command::RollbackPrepared(_) => {
            (Access::Write, SessionEffect::None)
        }
        // What these run was judged when it was prepared or declared; the session knows it by name.
        Command::Prepare(_) | Command::Execute(_) | Command::Fetch(_) => (Access::Write, SessionEffect::None),
        Command::Declare(declare) => match declare.hold {
            CursorHold::With => (Access::Read, SessionEffect::Pin("holdable cursor")),
            CursorHold::Without => (Access::Read, SessionEffect::None),
        },
        Command::Listen(_) => (Access::Read, SessionEffect::Pin("LISTEN")),
        Command::Load => (Access::Read, SessionEffect::Pin("LOAD")),
        Command::Notify(_) | Command::Truncate | Command::Maintenance(_) | Command::Copy(_) | Command::Explain(_) => {
            (Access::Write, SessionEffect::None)
        }
        Command::Lock => (Access::Lock, SessionEffect::None),
        Command::Call | Command::Do => (Access::Write, SessionEffect::Opaque),
        Command::Ddl(ddl) => match ddl.temporary {
            Temporary::Yes => (Access::Write, SessionEffect::Pin("temporary object")),
            Temporary::No => (Access::Write, search_path_effect(case)),
        },
        Command::Query => (query_access(case), query_effect(case)),
        Command::Insert | Command::Update | Command::Delete | Command::Merge => (Access::Write, SessionEffect::None),
        Command::Unknown(_) => (Access::Write, SessionEffect::Opaque),
    }
}

/// With `pg_temp` first on the search path, an object without a schema is a temporary one.
fn search_path_effect(case: &Case<'_>) -> SessionEffect {
    let path = case
        .context
        .other
        .get("search_path")
        .map(String::as_str)
        .unwrap_or_default();
    match path.contains("pg_temp") {
        true => SessionEffect::Pin("temporary object"),
        false => SessionEffect::None,
    }
}

fn query_access(case: &Case<'_>) -> Access {
    match (
        words::has_word(case, &["insert", "update", "delete", "merge", "into"]),
        words::has_word(case, &["for"]),
    ) {
        (true, _) => Access::Write,
        (false, true) => Access::Lock,
        (false, false) => Access::Read,
    }
}

fn query_effect(case: &Case<'_>) -> SessionEffect {
    match words::has_word(case, &["into"]) && words::has_word(case, &["temp", "temporary"]) {
        true => SessionEffect::Pin("temporary table"),
        false => match words::has_word(case, &["into"]) {
            true => search_path_effect(case),
            false => SessionEffect::None,
        },
    }
}
