//! What DDL on every shard must not do to rows or indexes, since each shard would do it differently.

use crate::catalog::Volatility;
use crate::plan::ladder::Case;
use crate::plan::ladder::phrase::{Named, Phrase};
use crate::plan::ladder::places::{Place, place};
use crate::plan::ladder::subjects::Subject;
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Ddl;
use crate::topology::{QualifiedName, TablePlacement};

/// Words of the grammar whose value differs from call to call, from moment to moment, or from session to session.
const VARYING: [&str; 15] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_user",
    "current_role",
    "session_user",
    "user",
    "current_catalog",
    "current_schema",
    "serial",
    "bigserial",
    "smallserial",
    "identity",
];

/// Functions that may give each row of a sharded table a value of its own.
const PER_ROW: [&str; 5] = [
    "random",
    "gen_random_uuid",
    "uuid_generate_v4",
    "clock_timestamp",
    "timeofday",
];

/// Types that are words of the grammar: what stands in parentheses behind one are its modifiers.
const TYPES: [&str; 12] = [
    "bit",
    "char",
    "character",
    "dec",
    "decimal",
    "float",
    "interval",
    "nchar",
    "numeric",
    "time",
    "timestamp",
    "varchar",
];

/// Refuses what can't be the same on all shards.
pub(super) fn check(case: &Case<'_>, phrase: &Phrase, subject: &Subject) -> Result<(), Box<Refusal>> {
    let word = phrase.keyword(0);
    match (word, subject) {
        ("alter", Subject::Objects(named, _)) if phrase.keyword(1) == "table" => altered(case, phrase, named),
        ("create", Subject::Objects(named, _)) if is_concurrent_index(phrase) => concurrent_index(case, phrase, named),
        _ => Ok(()),
    }
}

/// The statement's name if it must run outside a transaction.
pub(super) fn concurrently(phrase: &Phrase, ddl: &Ddl) -> Option<&'static str> {
    match (ddl.word.0.as_str(), ddl.object.as_str()) {
        ("CREATE", "INDEX") if is_concurrent_index(phrase) => Some("CREATE INDEX CONCURRENTLY"),
        ("DROP", "INDEX") if phrase.keyword(2) == "concurrently" => Some("DROP INDEX CONCURRENTLY"),
        _ => None,
    }
}

fn is_concurrent_index(phrase: &Phrase) -> bool {
    let index = phrase.skip(1, &["unique"]);
    phrase.stands(index, &["index", "concurrently"])
}

/// A new column's values, or a column's new ones, come from an expression that Postgres evaluates for the rows that are
/// there (`planning.md` 132).
fn altered(case: &Case<'_>, phrase: &Phrase, named: &[Named]) -> Result<(), Box<Refusal>> {
    if phrase.has(&["detach", "partition"]) {
        return Err(refuse(
            RefusalId::DdlNotKnown,
            &["DETACH PARTITION of a table on several shards"],
        ));
    }
    let sharded = match named.first().map(|named| place(case, named)).transpose()? {
        Some(Place::Sharded(table)) => Some(table),
        Some(_) | None => None,
    };
    if let Some(table) = &sharded {
        key_stays(case, phrase, table)?;
    }
    if !gives_values(phrase) {
        return Ok(());
    }
    let whole = match named.first().map(|named| place(case, named)).transpose()? {
        Some(Place::Reference(_)) => true,
        Some(_) | None => false,
    };
    let catalog = case.snapshot.catalog();
    for (at, name) in phrase.names() {
        let is_type = TYPES.contains(&phrase.keyword(at));
        let is_call = phrase.is_mark(at.saturating_add(1), b'(') && !is_type;
        let varies = VARYING.contains(&name) && phrase.keyword(at) == name;
        let builtin = catalog
            .builtin
            .functions
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let volatile = is_call
            && builtin
                .iter()
                .any(|function| function.volatility != Volatility::Immutable);
        let own = is_call && catalog.functions.contains_key(name);
        let per_row = !whole && PER_ROW.contains(&name);
        let domain = catalog
            .types
            .values()
            .any(|known| known.kind == b'd' && known.name.name == name);
        if varies || domain || own || (volatile && !per_row) {
            return Err(refuse(RefusalId::AlterVolatile, &[name]));
        }
    }
    Ok(())
}

/// A sharded table's rows lie by its name's entry in the config and by the values of its key: neither may change under them.
fn key_stays(case: &Case<'_>, phrase: &Phrase, table: &QualifiedName) -> Result<(), Box<Refusal>> {
    let key = key_of(case, table).unwrap_or_default();
    let changed = |what: &str| Err(refuse(RefusalId::KeyChanged, &[&table.name, &key, what]));
    if phrase.has(&["rename", "to"]) || phrase.has(&["set", "schema"]) {
        return changed("Its rows are found by the table's name in the config");
    }
    let retyped = phrase.names().any(|(at, _)| {
        let name = phrase.skip(at.saturating_add(1), &["column"]);
        let behind = phrase.skip(name.saturating_add(1), &["set", "data"]);
        phrase.keyword(at) == "alter" && phrase.name(name) == Some(&key) && phrase.keyword(behind) == "type"
    });
    match retyped {
        true => changed("A key of another type or value may belong to another shard"),
        false => Ok(()),
    }
}

/// Does ALTER TABLE fill a column of the rows that are there: ADD COLUMN, or TYPE … USING?
fn gives_values(phrase: &Phrase) -> bool {
    const NO_COLUMN: [&str; 7] = [
        "constraint",
        "check",
        "unique",
        "primary",
        "foreign",
        "exclude",
        "generated",
    ];
    let adds = phrase.names().any(|(at, _)| {
        let next = at.saturating_add(1);
        phrase.keyword(at) == "add" && phrase.name(next).is_some() && !NO_COLUMN.contains(&phrase.keyword(next))
    });
    adds || phrase.has(&["using"])
}

/// An index that is built by itself on each shard: its name must be known, to drop what a failure leaves; and if it is
/// unique, its key, since no transaction could take it back.
fn concurrent_index(case: &Case<'_>, phrase: &Phrase, named: &[Named]) -> Result<(), Box<Refusal>> {
    let behind = phrase.skip(1, &["unique"]).saturating_add(2);
    let at = phrase.skip(behind, &["if", "not", "exists"]);
    if phrase.keyword(at) == "on" {
        return Err(refuse(RefusalId::ConcurrentIndexUnnamed, &[]));
    }
    let Some(Place::Sharded(table)) = named.first().map(|named| place(case, named)).transpose()? else {
        return Ok(());
    };
    let key = key_of(case, &table).unwrap_or_default();
    let unique = phrase.keyword(1) == "unique";
    match unique && !index_columns(phrase).contains(&key) {
        true => Err(refuse(RefusalId::UniqueWithoutKey, &[&table.name, &key])),
        false => Ok(()),
    }
}

/// The key of a sharded table, or of the one that it is a partition of.
fn key_of(case: &Case<'_>, table: &QualifiedName) -> Option<String> {
    let topology = case.snapshot.topology();
    let root = case
        .snapshot
        .catalog()
        .relation(table)
        .and_then(|relation| relation.partition_root.as_ref());
    let listed = topology.table(table).or_else(|| topology.table(root?))?;
    match listed {
        TablePlacement::Sharded { keyspace: _, key } => Some(key.clone()),
        TablePlacement::Reference | TablePlacement::Unsharded(_) => None,
    }
}

/// The plain columns of CREATE INDEX … ON table (…).
fn index_columns(phrase: &Phrase) -> Vec<String> {
    let list = phrase.find(1, &["on"]).and_then(|on| {
        let (_, behind) = phrase.object(phrase.skip(on.saturating_add(1), &["only"]))?;
        match phrase.keyword(behind) {
            "using" => Some(behind.saturating_add(2)),
            _ => Some(behind),
        }
    });
    let Some(open) = list.filter(|open| phrase.is_mark(*open, b'(')) else {
        return Vec::new();
    };
    let end = phrase.behind_parenthesis(open).unwrap_or(open);
    let mut columns = Vec::new();
    let mut depth = 0_usize;
    for at in open..end {
        let begins = depth == 1 && (phrase.is_mark(at.saturating_sub(1), b',') || at == open.saturating_add(1));
        if phrase.is_mark(at, b'(') {
            depth = depth.saturating_add(1);
        } else if phrase.is_mark(at, b')') {
            depth = depth.saturating_sub(1);
        } else if begins
            && let Some(name) = phrase.name(at)
            && !phrase.is_mark(at.saturating_add(1), b'(')
        {
            columns.push(name.to_owned());
        }
    }
    columns
}
