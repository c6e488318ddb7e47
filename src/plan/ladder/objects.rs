//! DDL, TRUNCATE, LOCK, VACUUM: on one shard if every relation that the text names lives unsharded on that one.
//!
//! By tokens, not by trees: the parser knows a part of Postgres's DDL only. Every word that is the name of a user's relation
//! or listed table counts, wherever it stands, so a column of such a name refuses too much, never too little.

use std::collections::BTreeSet;

use crate::plan::ladder::{Case, Ruling, words};
use crate::plan::resolve::{Placement, placement};
use crate::plan::{Access, Kind, RefusalId, SessionEffect, refuse};
use crate::sql::{Ddl, Temporary, TokenKind};
use crate::topology::{QualifiedName, ShardId, TablePlacement};

/// Kinds of objects whose DDL concerns the tables that it names, and nothing else.
const OF_TABLES: [(&str, &[&str]); 6] = [
    (
        "CREATE",
        &[
            "TABLE",
            "UNLOGGED TABLE",
            "INDEX",
            "UNIQUE INDEX",
            "VIEW",
            "OR REPLACE VIEW",
        ],
    ),
    ("ALTER", &["TABLE"]),
    ("DROP", &["TABLE", "VIEW"]),
    ("COMMENT", &["ON TABLE", "ON COLUMN", "TABLE", "COLUMN", "ON"]),
    ("GRANT", &[]),
    ("REVOKE", &[]),
];

/// CREATE, ALTER, DROP, GRANT …
pub(super) fn ddl(case: &Case<'_>, ddl: &Ddl) -> Ruling {
    let topology = case.snapshot.topology();
    let home = topology.home();
    let what = match ddl.object.is_empty() {
        true => ddl.word.0.clone(),
        false => format!("{} {}", ddl.word.0, ddl.object),
    };
    if ddl.temporary == Temporary::Yes {
        return match named(case) {
            Ok(named) if named.shards.is_subset(&BTreeSet::from([home])) && named.elsewhere.is_none() => Ruling::fixed(
                Kind::Home,
                home,
                "a temporary object",
                Access::Write,
                SessionEffect::Pin("temporary object"),
            ),
            Ok(named) => Ruling::refused(
                refuse(
                    RefusalId::DdlSeveralShards,
                    &[&what, &named.elsewhere.unwrap_or_default()],
                ),
                home,
            ),
            Err(refusal) => *refusal,
        };
    }
    let of_tables = OF_TABLES
        .iter()
        .any(|(word, objects)| *word == ddl.word.0 && (objects.contains(&ddl.object.as_str()) || objects.is_empty()));
    match of_tables {
        true => rule(case, &what, Access::Write),
        false => Ruling::refused(
            refuse(RefusalId::DdlSeveralShards, &[&what, "objects of every shard"]),
            home,
        ),
    }
}

/// A statement about the relations that it names.
pub(super) fn rule(case: &Case<'_>, what: &str, access: Access) -> Ruling {
    let home = case.snapshot.topology().home();
    let named = match named(case) {
        Ok(named) => named,
        Err(refusal) => return *refusal,
    };
    let mut shards = named.shards.iter();
    match (named.elsewhere, shards.next(), shards.next()) {
        (None, Some(shard), None) => Ruling::fixed(
            Kind::OneShard,
            *shard,
            "an unsharded table",
            access,
            SessionEffect::None,
        ),
        (None, Some(_), Some(_)) => Ruling::refused(
            refuse(RefusalId::DdlSeveralShards, &[what, "tables of several shards"]),
            home,
        ),
        (None, None, _) => Ruling::refused(refuse(RefusalId::DdlSeveralShards, &[what, "no unsharded table"]), home),
        (Some(table), _, _) => Ruling::refused(refuse(RefusalId::DdlSeveralShards, &[what, &table]), home),
    }
}

/// What the words of a text name.
#[derive(Debug, Default)]
struct NamedObjects {
    /// shards of the unsharded tables
    shards: BTreeSet<ShardId>,
    /// a table that lies on several
    elsewhere: Option<String>,
}

fn named(case: &Case<'_>) -> Result<NamedObjects, Box<Ruling>> {
    let topology = case.snapshot.topology();
    let catalog = case.snapshot.catalog();
    let home = topology.home();
    let refused = |refusal| Box::new(Ruling::refused(refusal, home));
    let Some(names) = words::names(case) else {
        return Err(refused(refuse(
            RefusalId::UnparsedNamesTable,
            &["?", "A name in it can't be decoded"],
        )));
    };
    let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut found = NamedObjects::default();
    let mut note = |full: String, placement: Placement| match placement {
        Placement::Unsharded(shard) => {
            found.shards.insert(shard);
        }
        Placement::Sharded { .. } | Placement::Reference | Placement::System => found.elsewhere = Some(full),
        Placement::Temporary | Placement::Missing => {}
    };
    for relation in catalog
        .relations
        .values()
        .filter(|relation| names.contains(relation.name.name.as_str()))
    {
        let full = format!("{}.{}", relation.name.schema, relation.name.name);
        match relation.kind {
            crate::catalog::RelationKind::View => note(full, Placement::Reference),
            _ => match placement(topology, relation) {
                Ok(placement) => note(full, placement),
                Err(refusal) => return Err(refused(refusal)),
            },
        }
    }
    // A listed table that doesn't exist yet is being created.
    for (name, placed) in topology
        .tables()
        .iter()
        .filter(|(name, _)| names.contains(name.name.as_str()))
    {
        if !catalog.relations.contains_key(name) {
            let full = format!("{}.{}", name.schema, name.name);
            note(
                full,
                match placed {
                    TablePlacement::Sharded { .. } | TablePlacement::Reference => Placement::Reference,
                    TablePlacement::Unsharded(shard) => Placement::Unsharded(*shard),
                },
            );
        }
    }
    match created(case) {
        None => {}
        Some(name) => {
            let known = topology.tables().contains_key(&name) || catalog.relations.contains_key(&name);
            match (known, topology.default_shard()) {
                (true, _) => {}
                (false, Some(shard)) => {
                    found.shards.insert(shard);
                }
                (false, None) => {
                    let full = format!("{}.{}", name.schema, name.name);
                    return Err(refused(refuse(RefusalId::CreateNotListed, &[&full])));
                }
            }
        }
    }
    Ok(found)
}

/// The name that `CREATE [UNLOGGED] TABLE [IF NOT EXISTS] name` makes.
fn created(case: &Case<'_>) -> Option<QualifiedName> {
    let text_of = |token: &crate::sql::Token| match token.kind {
        TokenKind::Word => Some(String::from_utf8_lossy(words::word_of(case, token)).to_ascii_lowercase()),
        TokenKind::QuotedIdentifier => {
            let quoted = String::from_utf8_lossy(words::word_of(case, token)).into_owned();
            Some(quoted.trim_matches('"').replace("\"\"", "\""))
        }
        _ => None,
    };
    let words: Vec<Option<String>> = case.tokens.iter().take(10).map(text_of).collect();
    let word = |index: usize| words.get(index).and_then(|word| word.as_deref());
    if word(0) != Some("create") {
        return None;
    }
    let mut at = match (word(1), word(2)) {
        (Some("table"), _) => 2,
        (Some("unlogged"), Some("table")) => 3,
        _ => return None,
    };
    if (word(at), word(at + 1), word(at + 2)) == (Some("if"), Some("not"), Some("exists")) {
        at += 3;
    }
    let first = word(at)?;
    let dotted = case
        .tokens
        .get(at + 1)
        .is_some_and(|token| token.kind == TokenKind::Punctuation(b'.'));
    match dotted {
        true => Some(QualifiedName::new(first, word(at + 2)?)),
        false => Some(QualifiedName::new(
            case.context.search_path.first().map_or("public", String::as_str),
            first,
        )),
    }
}
