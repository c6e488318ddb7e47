//! Functions of pg_catalog: where a statement that calls one may run, and what it leaves in the session.
//!
//! The list of functions is the catalog's own, of the server's version; by default an immutable or stable one runs
//! anywhere, and a volatile one counts as unknown. This table names the exceptions, each for a reason. Checked against
//! Postgres 15's pg_proc; a function of a later version that isn't named falls under its volatility.

use std::sync::Arc;

use crate::catalog::{Function, Volatility};
use crate::plan::{Access, SessionEffect};

/// Where a statement that calls a function may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::plan) enum Reach {
    /// wherever its tables are
    Anywhere,
    /// on home alone: it speaks of a server or of OIDs, and home's are the client's
    Home,
    /// on home alone, in a statement that reads no table: it has one space for all shards
    Alone,
    /// nowhere: it reads tables by name or text, or state of the last backend
    Nowhere(&'static str),
}

/// What a call means to the planner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Conduct {
    /// where
    pub(in crate::plan) reach: Reach,
    /// what it leaves
    pub(in crate::plan) effect: SessionEffect,
    /// what it does to rows and objects
    pub(in crate::plan) access: Access,
}

const READS_BY_TEXT: &str = "It reads tables that only its arguments name.";
pub(super) const READS_BACKEND: &str =
    "It reads what the last backend did, and a pooled session has no backend of its own.";

/// Names or beginnings of names (with a `*`) whose conduct doesn't follow from their volatility.
const EXCEPTIONS: &[(&str, Reach, SessionEffect, Access)] = &[
    // tables by name or text
    (
        "query_to_xml*",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "cursor_to_xml*",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "table_to_xml*",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "schema_to_xml*",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "database_to_xml*",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "ts_stat",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "ts_rewrite",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "currtid2",
        Reach::Nowhere(READS_BY_TEXT),
        SessionEffect::None,
        Access::Read,
    ),
    // state of the last backend
    (
        "currval",
        Reach::Nowhere(READS_BACKEND),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "lastval",
        Reach::Nowhere(READS_BACKEND),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "pg_prepared_statement",
        Reach::Nowhere(READS_BACKEND),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "pg_cursor",
        Reach::Nowhere(READS_BACKEND),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "pg_prepared_xact",
        Reach::Nowhere("Each shard knows its own prepared transactions alone, and the proxy's stand among them."),
        SessionEffect::None,
        Access::Read,
    ),
    (
        "pg_export_snapshot",
        Reach::Nowhere("A snapshot of one shard says nothing of the others."),
        SessionEffect::None,
        Access::Read,
    ),
    // one space for all
    ("nextval", Reach::Alone, SessionEffect::None, Access::Write),
    ("setval", Reach::Alone, SessionEffect::None, Access::Write),
    (
        "pg_advisory_xact_lock*",
        Reach::Alone,
        SessionEffect::None,
        Access::Lock,
    ),
    (
        "pg_try_advisory_xact_lock*",
        Reach::Alone,
        SessionEffect::None,
        Access::Lock,
    ),
    ("pg_advisory_unlock*", Reach::Alone, SessionEffect::None, Access::Lock),
    (
        "pg_advisory_lock*",
        Reach::Alone,
        SessionEffect::Pin("advisory lock"),
        Access::Lock,
    ),
    (
        "pg_try_advisory_lock*",
        Reach::Alone,
        SessionEffect::Pin("advisory lock"),
        Access::Lock,
    ),
    ("pg_notify", Reach::Alone, SessionEffect::None, Access::Write),
    ("set_config", Reach::Alone, SessionEffect::Opaque, Access::Write),
    ("setseed", Reach::Alone, SessionEffect::Pin("setseed"), Access::Read),
    ("lo_*", Reach::Alone, SessionEffect::None, Access::Write),
    ("loread", Reach::Alone, SessionEffect::None, Access::Read),
    ("lowrite", Reach::Alone, SessionEffect::None, Access::Write),
    // a backend of one's own
    (
        "pg_backend_pid",
        Reach::Alone,
        SessionEffect::Pin("pg_backend_pid"),
        Access::Read,
    ),
    ("pg_my_temp_schema", Reach::Home, SessionEffect::None, Access::Read),
    ("pg_listening_channels", Reach::Home, SessionEffect::None, Access::Read),
    (
        "pg_create_*_replication_slot",
        Reach::Alone,
        SessionEffect::Pin("replication slot"),
        Access::Write,
    ),
    (
        "pg_copy_*_replication_slot",
        Reach::Alone,
        SessionEffect::Pin("replication slot"),
        Access::Write,
    ),
    (
        "pg_replication_origin_*",
        Reach::Alone,
        SessionEffect::Pin("replication origin"),
        Access::Write,
    ),
    ("pg_backup_*", Reach::Alone, SessionEffect::Pin("backup"), Access::Write),
    // values of their own per row or call, of no session
    ("random", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("gen_random_uuid", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("clock_timestamp", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("timeofday", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("pg_sleep*", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("pg_typeof", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("pg_column_size", Reach::Anywhere, SessionEffect::None, Access::Read),
    (
        "pg_column_compression",
        Reach::Anywhere,
        SessionEffect::None,
        Access::Read,
    ),
    ("pg_collation_for", Reach::Anywhere, SessionEffect::None, Access::Read),
    ("pg_client_encoding", Reach::Anywhere, SessionEffect::None, Access::Read),
    (
        "pg_char_to_encoding",
        Reach::Anywhere,
        SessionEffect::None,
        Access::Read,
    ),
    (
        "pg_encoding_to_char",
        Reach::Anywhere,
        SessionEffect::None,
        Access::Read,
    ),
    // of a server, or of OIDs
    ("pg_*", Reach::Home, SessionEffect::None, Access::Read),
    ("_pg_*", Reach::Home, SessionEffect::None, Access::Read),
    ("has_*_privilege", Reach::Home, SessionEffect::None, Access::Read),
    ("to_reg*", Reach::Home, SessionEffect::None, Access::Read),
    ("regclass", Reach::Home, SessionEffect::None, Access::Read),
    ("obj_description", Reach::Home, SessionEffect::None, Access::Read),
    ("shobj_description", Reach::Home, SessionEffect::None, Access::Read),
    ("col_description", Reach::Home, SessionEffect::None, Access::Read),
    ("format_type", Reach::Home, SessionEffect::None, Access::Read),
    ("oidvectortypes", Reach::Home, SessionEffect::None, Access::Read),
    ("txid_*", Reach::Home, SessionEffect::None, Access::Read),
    ("inet_server_*", Reach::Home, SessionEffect::None, Access::Read),
    ("inet_client_*", Reach::Home, SessionEffect::None, Access::Read),
    ("current_query", Reach::Home, SessionEffect::None, Access::Read),
    ("row_security_active", Reach::Home, SessionEffect::None, Access::Read),
];

/// Functions of extensions that give each row a value of its own and touch nothing else.
const PER_ROW_OF_EXTENSIONS: [&str; 7] = [
    "uuid_generate_v1",
    "uuid_generate_v1mc",
    "uuid_generate_v4",
    "gen_random_uuid",
    "gen_random_bytes",
    "gen_salt",
    "uuid_generate_v5",
];

/// The conduct of a function of pg_catalog.
pub(in crate::plan) fn builtin(name: &str, overloads: &[Arc<Function>]) -> Conduct {
    if let Some(conduct) = exception(name) {
        return conduct;
    }
    let volatile = overloads
        .iter()
        .any(|function| function.volatility == Volatility::Volatile);
    match volatile {
        false => Conduct {
            reach: Reach::Anywhere,
            effect: SessionEffect::None,
            access: Access::Read,
        },
        true => Conduct {
            reach: Reach::Alone,
            effect: SessionEffect::Opaque,
            access: Access::Write,
        },
    }
}

/// The conduct of a function that the table names.
pub(in crate::plan) fn exception(name: &str) -> Option<Conduct> {
    let (_, reach, effect, access) = EXCEPTIONS.iter().find(|(pattern, ..)| matches(pattern, name))?;
    Some(Conduct {
        reach: *reach,
        effect: effect.clone(),
        access: *access,
    })
}

/// May it run anywhere though it isn't declared? An extension's immutable function, or one that gives values per row.
pub(in crate::plan) fn is_pure_extension(function: &Function) -> bool {
    let per_row = PER_ROW_OF_EXTENSIONS.contains(&function.name.name.as_str());
    function.extension.is_some() && (function.volatility == Volatility::Immutable || per_row)
}

/// `*` stands for any characters, once.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len().saturating_add(end.len()) && name.starts_with(start) && name.ends_with(end)
        }
    }
}
