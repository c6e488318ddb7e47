//! One command to the admin database, its answer back.

use std::time::Duration;

use shardgate::backend::{Control, ControlClient, ControlError, SimpleQueryMessage, Type};

use crate::answer::{Answer, Column, Kind};
use crate::arguments::Arguments;
use crate::failure::Failure;

/// Long enough for a proxy far away; a wrong port is refused at once anyway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs one admin command.
pub(crate) async fn ask(arguments: &Arguments, command: &str) -> Result<Answer, Failure> {
    let client = connect(arguments).await?;
    run(&client, command)
        .await
        .map_err(|error| Failure::from_control(&error))
}

/// A connection to the admin database, for several commands.
pub(crate) async fn connect(arguments: &Arguments) -> Result<ControlClient, Failure> {
    let url = arguments.url();
    Control::connect_url(&with_password(&url), CONNECT_TIMEOUT)
        .await
        .map_err(|error| match error.sqlstate() {
            Some(_) => Failure::from_control(&error),
            None => Failure::new(format!("{}: {error}", place_of(&url)))
                .with_hint("Is the proxy running there? --url or $SHARDGATE_URL names another place."),
        })
}

/// The simple protocol carries values as text and no types, so these are asked for first; a proxy that describes nothing
/// still answers, with texts.
pub(crate) async fn run(client: &ControlClient, command: &str) -> Result<Answer, ControlError> {
    let kinds: Vec<(String, Kind)> = match client.prepare(command).await {
        Ok(statement) => {
            let columns = statement.columns().iter();
            columns
                .map(|column| (column.name().to_owned(), kind_of(column.type_())))
                .collect()
        }
        Err(_) => Vec::new(),
    };
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    for message in client.simple_query(command).await? {
        match message {
            SimpleQueryMessage::RowDescription(described) => {
                let kind = |name: &str| {
                    kinds
                        .iter()
                        .find(|(known, _)| known == name)
                        .map_or(Kind::Text, |(_, kind)| *kind)
                };
                columns = described
                    .iter()
                    .map(|column| Column {
                        name: column.name().to_owned(),
                        kind: kind(column.name()),
                    })
                    .collect();
            }
            SimpleQueryMessage::Row(row) => {
                rows.push(
                    (0..row.len())
                        .map(|at| row.try_get(at).ok().flatten().map(str::to_owned))
                        .collect(),
                );
            }
            // CommandComplete, and what the protocol may bring later.
            _ => {}
        }
    }
    Ok(Answer { columns, rows })
}

fn kind_of(kind: &Type) -> Kind {
    match *kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 => Kind::Number,
        Type::BOOL => Kind::Boolean,
        _ => Kind::Text,
    }
}

/// Host and port of a URL; never a part of its password, also where that holds characters that must be escaped.
fn place_of(url: &str) -> &str {
    const UNKNOWN: &str = "the URL given";
    let Some((_, behind_scheme)) = url.split_once("://") else {
        return UNKNOWN;
    };
    let authority = behind_scheme.split(['/', '?', '#']).next().unwrap_or(behind_scheme);
    match authority.rsplit_once('@') {
        Some((_, place)) => place,
        None if behind_scheme.contains('@') => UNKNOWN,
        None => authority,
    }
}

/// `$PGPASSWORD` as a parameter of a URL that has none; it wins over one in the URL only where that has none.
fn with_password(url: &str) -> String {
    let has_password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .is_some_and(|authority| authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')));
    match std::env::var("PGPASSWORD") {
        Ok(password) if !has_password && !password.is_empty() && url.contains("://") => {
            let joint = if url.contains('?') { '&' } else { '?' };
            format!("{url}{joint}password={}", percent_encode(&password))
        }
        Ok(_) | Err(_) => url.to_owned(),
    }
}

fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_never_shows_a_password() {
        for (url, place) in [
            ("postgres://ann:secret@db.example:6432/shardgate?x=y", "db.example:6432"),
            ("postgres://localhost:6432/shardgate", "localhost:6432"),
            ("postgres://ann:se@cret@host/shardgate", "host"),
            ("postgres://ann:sec?ret@host/shardgate", "the URL given"),
            ("host=x password=secret@", "the URL given"),
        ] {
            assert_eq!(place_of(url), place);
        }
    }
}
