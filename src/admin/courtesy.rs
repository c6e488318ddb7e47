//! What drivers and psql send on their own account, and what they get.
//!
//! Why: a driver pings with `SELECT 1`, sets its name, opens a transaction around everything; none of it means anything
//! to the admin database, and refusing it would lock the driver out.
//! Holds: nothing here changes anything; BEGIN gets its tag, but the session stays outside a transaction.

use super::answer::Column;
use super::error::AdminError;
use crate::sql::{self, Command, Lexing, Show, Token, TokenKind};

/// An answer that costs nothing.
pub(super) enum Courtesy {
    /// a command tag
    Done(String),
    /// one row with one value, and the tag behind it
    Value(Column, String, &'static str),
}

/// The answer to a text that is no command, if it is one of these.
pub(super) fn courtesy(text: &str, tokens: &[Token]) -> Result<Option<Courtesy>, AdminError> {
    let command =
        sql::command(text.as_bytes(), Lexing::default()).map_err(|error| AdminError::Unreadable(error.to_string()))?;
    let done = |tag: &str| Some(Courtesy::Done(tag.to_owned()));
    Ok(match command {
        Command::Set(_) | Command::SetTransaction(_) | Command::SetCharacteristics(_) => done("SET"),
        Command::Reset(_) => done("RESET"),
        Command::Discard(sql::Discard::All) => done("DISCARD ALL"),
        Command::Deallocate(sql::DeallocateTarget::All) => done("DEALLOCATE ALL"),
        Command::Begin(sql::Begin {
            word: sql::BeginWord::Begin,
            ..
        }) => done("BEGIN"),
        Command::Begin(sql::Begin {
            word: sql::BeginWord::StartTransaction,
            ..
        }) => done("START TRANSACTION"),
        Command::Commit(_) => done("COMMIT"),
        Command::Rollback(_) => done("ROLLBACK"),
        Command::Show(Show::Name(name)) => setting(&name),
        Command::Query => constant(text, tokens),
        // Everything else is for the users' database; a foreign list, so no exhaustive match.
        _ => None,
    })
}

/// Settings that drivers ask for when they connect.
fn setting(name: &str) -> Option<Courtesy> {
    const SETTINGS: &[(Column, &str)] = &[
        (Column::text("application_name"), ""),
        (Column::text("client_encoding"), "UTF8"),
        (Column::text("DateStyle"), "ISO, MDY"),
        (Column::text("default_transaction_isolation"), "read committed"),
        (Column::text("default_transaction_read_only"), "off"),
        (Column::text("in_hot_standby"), "off"),
        (Column::text("integer_datetimes"), "on"),
        (Column::text("IntervalStyle"), "postgres"),
        (Column::text("is_superuser"), "off"),
        (Column::text("search_path"), ""),
        (Column::text("server_encoding"), "UTF8"),
        (Column::text("server_version"), SERVER_VERSION),
        (Column::text("server_version_num"), SERVER_VERSION_NUM),
        (Column::text("standard_conforming_strings"), "on"),
        (Column::text("statement_timeout"), "0"),
        (Column::text("TimeZone"), "UTC"),
        (Column::text("transaction_isolation"), "read committed"),
        (Column::text("transaction_read_only"), "off"),
    ];
    let (column, value) = SETTINGS
        .iter()
        .find(|(column, _)| column.name.eq_ignore_ascii_case(name))?;
    Some(Courtesy::Value(*column, (*value).to_owned(), "SHOW"))
}

/// The protocol that the admin database speaks is this version's, whatever the shards run.
const SERVER_VERSION: &str = concat!("15.0 (shardgate ", env!("CARGO_PKG_VERSION"), ")");
const SERVER_VERSION_NUM: &str = "150000";

/// `SELECT 1`, `SELECT version()` and their like.
fn constant(text: &str, tokens: &[Token]) -> Option<Courtesy> {
    let texts: Vec<String> = tokens
        .iter()
        .map(|token| text.get(token.span.start..token.span.end).map(str::to_ascii_lowercase))
        .collect::<Option<_>>()?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (column, value) = match (texts.as_slice(), tokens) {
        (["select", number], [_, token]) if token.kind == TokenKind::Integer => {
            // What doesn't fit a bigint is no ping.
            let number: i64 = number.parse().ok()?;
            (Column::integer("?column?"), number.to_string())
        }
        (["select", "version", "(", ")"], _) => (
            Column::text("version"),
            concat!("shardgate ", env!("CARGO_PKG_VERSION")).to_owned(),
        ),
        (["select", "current_database", "(", ")"], _) => (Column::text("current_database"), "shardgate".to_owned()),
        (["select", "pg_is_in_recovery", "(", ")"], _) => (Column::boolean("pg_is_in_recovery"), "f".to_owned()),
        _ => return None,
    };
    Some(Courtesy::Value(column, value, "SELECT 1"))
}
