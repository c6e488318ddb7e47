//! What a DDL statement is about, told by its first words: a closed table. What isn't in it is refused (`planning.md` 127).

use crate::plan::ladder::phrase::{Named, Phrase};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Ddl;

/// What decides where a statement runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// a new table: its place in the topology
    NewTable(Named, Origin),
    /// a new view: the tables that it reads
    NewView(Named),
    /// a new materialized view: its place in the topology
    NewMaterializedView(Named),
    /// objects that are there: their places
    Objects(Vec<Named>, Reaches),
    /// a new sequence, or statistics: the tables that it belongs to, if any
    Attached,
    /// what every shard has: types, functions, schemas, extensions
    Common,
}

/// Where a new table's columns come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// its own list
    Columns,
    /// `PARTITION OF` that table
    Partition(Named),
    /// `AS` a query
    Query,
}

/// May the statement tie its objects to other tables?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaches {
    /// it names nothing that matters beside them
    Themselves,
    /// by a reference, by inheritance, as a partition, by an expression
    Others,
}

/// Kinds of objects that every shard has alike.
const COMMON: [&str; 13] = [
    "TYPE",
    "DOMAIN",
    "SCHEMA",
    "FUNCTION",
    "PROCEDURE",
    "ROUTINE",
    "AGGREGATE",
    "EXTENSION",
    "OPERATOR",
    "OPERATOR CLASS",
    "OPERATOR FAMILY",
    "COLLATION",
    "CAST",
];

/// Kinds of objects that a cluster has once, however many of its databases are shards.
const OF_CLUSTERS: [&str; 7] = ["ROLE", "USER", "GROUP", "DATABASE", "TABLESPACE", "SYSTEM", "OWNED"];

/// What the statement is about.
pub(super) fn subject(phrase: &Phrase, ddl: &Ddl) -> Result<Subject, Box<Refusal>> {
    let object = ddl.object.as_str();
    let what = match object.is_empty() {
        true => ddl.word.0.clone(),
        false => format!("{} {object}", ddl.word.0),
    };
    let unknown = || refuse(RefusalId::DdlNotKnown, &[&what]);
    // CREATE USER name: the name comes as part of the kind
    let first = object.split(' ').next().unwrap_or_default();
    let of_cluster = || refuse(RefusalId::ClusterObject, &[&format!("{} {first}", ddl.word.0)]);
    let is_common = COMMON.contains(&object) || object.starts_with("TEXT SEARCH");
    match ddl.word.0.as_str() {
        "CREATE" | "ALTER" | "DROP" if OF_CLUSTERS.contains(&first) && object != "USER MAPPING" => Err(of_cluster()),
        "CREATE" | "ALTER" | "DROP" if is_common => common(phrase, object).ok_or_else(unknown),
        "CREATE" => create(phrase, object).ok_or_else(unknown),
        "ALTER" => alter(phrase, object).ok_or_else(unknown),
        "DROP" => drop(phrase, object).ok_or_else(unknown),
        "COMMENT" => comment(phrase).unwrap_or_else(|| Err(unknown())),
        "GRANT" | "REVOKE" => grant(phrase).unwrap_or_else(|| Err(unknown())),
        "REASSIGN" => Err(of_cluster()),
        _ => Err(unknown()),
    }
}

/// A schema's own objects, written into CREATE SCHEMA, would be tables of which nothing is known here.
fn common(phrase: &Phrase, object: &str) -> Option<Subject> {
    let nested = object == "SCHEMA"
        && (1..)
            .take_while(|at| !phrase.is_end(*at))
            .any(|at| ["create", "grant"].contains(&phrase.keyword(at)));
    (!nested).then_some(Subject::Common)
}

fn create(phrase: &Phrase, object: &str) -> Option<Subject> {
    let at = |word: &str| phrase.find(1, &[word]).map(|at| at.saturating_add(1));
    match object {
        "TABLE" => {
            let (named, behind) = phrase.object(phrase.skip(at("table")?, &["if", "not", "exists"]))?;
            let origin = if phrase.stands(behind, &["partition", "of"]) {
                Origin::Partition(phrase.object(behind.saturating_add(2))?.0)
            } else if phrase.find(behind, &["as"]).is_some() {
                Origin::Query
            } else {
                Origin::Columns
            };
            Some(Subject::NewTable(named, origin))
        }
        "VIEW" => Some(Subject::NewView(phrase.object(at("view")?)?.0)),
        "MATERIALIZED VIEW" => {
            let (named, _) = phrase.object(phrase.skip(at("view")?, &["if", "not", "exists"]))?;
            Some(Subject::NewMaterializedView(named))
        }
        "INDEX" | "TRIGGER" | "CONSTRAINT" | "POLICY" => {
            let on = phrase.skip(at("on")?, &["only"]);
            let reaches = match object {
                "INDEX" => Reaches::Themselves,
                _ => Reaches::Others,
            };
            Some(Subject::Objects(vec![phrase.object(on)?.0], reaches))
        }
        "SEQUENCE" | "STATISTICS" => Some(Subject::Attached),
        _ => None,
    }
}

fn alter(phrase: &Phrase, object: &str) -> Option<Subject> {
    match object {
        "TABLE" | "INDEX" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE" => {
            let words = if object == "MATERIALIZED VIEW" { 3 } else { 2 };
            let at = phrase.skip(phrase.skip(words, &["if", "exists"]), &["only"]);
            // ALTER TABLE ALL IN TABLESPACE
            if phrase.stands(at, &["all", "in"]) {
                return None;
            }
            let reaches = match object {
                "TABLE" if links(phrase, at) => Reaches::Others,
                "SEQUENCE" | "INDEX" => Reaches::Others,
                _ => Reaches::Themselves,
            };
            Some(Subject::Objects(vec![phrase.object(at)?.0], reaches))
        }
        "TRIGGER" | "POLICY" => {
            let on = phrase.find(1, &["on"])?.saturating_add(1);
            Some(Subject::Objects(vec![phrase.object(on)?.0], Reaches::Others))
        }
        "STATISTICS" => Some(Subject::Attached),
        "DEFAULT PRIVILEGES" => Some(Subject::Common),
        _ => None,
    }
}

/// Words by which ALTER TABLE ties a table to another one.
fn links(phrase: &Phrase, from: usize) -> bool {
    const LINKS: [&str; 7] = ["references", "inherit", "inherits", "partition", "like", "of", "using"];
    (from..)
        .take_while(|at| !phrase.is_end(*at))
        .any(|at| LINKS.contains(&phrase.keyword(at)))
}

fn drop(phrase: &Phrase, object: &str) -> Option<Subject> {
    match object {
        "TABLE" | "INDEX" | "VIEW" | "MATERIALIZED VIEW" | "SEQUENCE" => {
            let words = if object == "MATERIALIZED VIEW" { 3 } else { 2 };
            let at = phrase.skip(phrase.skip(words, &["concurrently"]), &["if", "exists"]);
            let (named, _) = phrase.objects(at)?;
            Some(Subject::Objects(named, Reaches::Themselves))
        }
        "TRIGGER" | "POLICY" => {
            let on = phrase.find(1, &["on"])?.saturating_add(1);
            Some(Subject::Objects(vec![phrase.object(on)?.0], Reaches::Themselves))
        }
        "STATISTICS" => Some(Subject::Attached),
        _ => None,
    }
}

/// COMMENT ON kind name IS …
fn comment(phrase: &Phrase) -> Option<Result<Subject, Box<Refusal>>> {
    let kind = phrase.keyword(2).to_ascii_uppercase();
    let of = |at: usize| Some(Ok(Subject::Objects(vec![phrase.object(at)?.0], Reaches::Themselves)));
    match kind.as_str() {
        "TABLE" | "INDEX" | "VIEW" | "SEQUENCE" => of(3),
        "MATERIALIZED" => of(4),
        "COLUMN" => {
            // table.column, or schema.table.column
            let first = phrase.name(3)?.to_owned();
            let second = phrase.name(5)?.to_owned();
            let named = match phrase.is_mark(6, b'.') {
                true => Named {
                    schema: Some(first),
                    name: second,
                },
                false => Named {
                    schema: None,
                    name: first,
                },
            };
            Some(Ok(Subject::Objects(vec![named], Reaches::Themselves)))
        }
        "CONSTRAINT" | "TRIGGER" | "POLICY" => {
            let on = phrase.find(3, &["on"])?.saturating_add(1);
            match phrase.keyword(on) {
                "domain" => Some(Ok(Subject::Common)),
                _ => of(on),
            }
        }
        "TEXT" | "STATISTICS" => Some(Ok(Subject::Attached)),
        kind if COMMON.contains(&kind) => Some(Ok(Subject::Common)),
        kind if OF_CLUSTERS.contains(&kind) => {
            Some(Err(refuse(RefusalId::ClusterObject, &[&format!("COMMENT ON {kind}")])))
        }
        _ => None,
    }
}

/// GRANT rights ON objects TO …; without ON it is about roles.
fn grant(phrase: &Phrase) -> Option<Result<Subject, Box<Refusal>>> {
    let of_cluster = |what: &str| Some(Err(refuse(RefusalId::ClusterObject, &[what])));
    let Some(on) = phrase.find(1, &["on"]) else {
        return of_cluster("GRANT of a role");
    };
    let at = on.saturating_add(1);
    match phrase.keyword(at) {
        "all" | "schema" | "type" | "domain" | "function" | "procedure" | "routine" | "language" => {
            Some(Ok(Subject::Common))
        }
        "database" | "tablespace" | "parameter" => of_cluster("GRANT on an object of the cluster"),
        "foreign" | "large" => None,
        word => {
            let names = at.saturating_add(usize::from(["table", "sequence"].contains(&word)));
            Some(Ok(Subject::Objects(phrase.objects(names)?.0, Reaches::Themselves)))
        }
    }
}
