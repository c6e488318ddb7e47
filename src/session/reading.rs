//! Literals of a prepared statement mean what they meant when it was prepared, whatever was set since.
//!
//! Why: Postgres reads `'01/02/2020'::date` when it parses; a server that parses the text later, for a session that has set
//! DateStyle meanwhile, must read it as then (`sessions.md` 13, 14).
//! Holds: what decides where literals end, or what an operator means, makes another text of it: that is not planned anew.

use crate::execute::Reading;
use crate::session::error::{Failure, Stop};
use crate::session::portal::Bound;
use crate::session::prepared::Statement;
use crate::session::state::Session;
use crate::sql::{self, SessionSettings};

/// Settings by which the server reads literals, and nothing else of a text.
const LITERALS_BY: [&str; 6] = [
    "datestyle",
    "intervalstyle",
    "timezone",
    "timezone_abbreviations",
    "xmloption",
    "lc_monetary",
];

/// Settings by which a text is another one.
const TEXTS_BY: [&str; 3] = [
    "standard_conforming_strings",
    "backslash_quote",
    "transform_null_equals",
];

/// How long a setting holds that isn't taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    /// to the transaction's end
    Transaction,
    /// to the session's
    Session,
}

/// The settings under which a statement's literals were read, if it may have any.
pub(super) fn read_under(statement: &Statement) -> Option<SessionSettings> {
    is_quoted(statement.text()).then(|| statement.settings().clone())
}

/// May a text have a literal in quotes?
pub(super) fn is_quoted(text: &[u8]) -> bool {
    let dollar = |pair: &[u8]| matches!(pair, [b'$', next] if !next.is_ascii_digit());
    text.contains(&b'\'') || text.windows(2).any(dollar)
}

fn differ(names: &[&str], then: &SessionSettings, now: &SessionSettings) -> bool {
    names.iter().any(|name| then.get(name) != now.get(name))
}

impl Session {
    /// Were a statement's literals read under other settings?
    pub(super) fn reads_times_otherwise(&self, statement: &Statement) -> bool {
        differ(&LITERALS_BY, statement.settings(), self.current())
    }

    /// A server that parses a statement anew must read its constants as they were read at first.
    pub(super) fn may_parse_anew(&self, statement: &Statement) -> Result<(), Stop> {
        match is_quoted(statement.text()) && self.reads_times_otherwise(statement) {
            true => Err(Failure::ConstantsReadOtherwise.into()),
            false => Ok(()),
        }
    }

    /// The planner reads the text by today's settings: it must be the same text under those.
    pub(super) fn may_plan_anew(&self, statement: &Statement) -> Result<(), Stop> {
        match differ(&TEXTS_BY, statement.settings(), self.current()) {
            true => Err(Failure::ConstantsReadOtherwise.into()),
            false => Ok(()),
        }
    }

    /// What a Parse of a bound statement's text needs around it; `None`: nothing.
    pub(super) fn reading(&self, bound: &Bound, lasts: Lasts) -> Option<Reading> {
        let then = bound.read_under.as_ref()?;
        let now = self.current();
        let changed: Vec<&str> = LITERALS_BY
            .iter()
            .copied()
            .filter(|name| then.get(name) != now.get(name))
            .collect();
        if changed.is_empty() {
            return None;
        }
        let commands = |settings: &SessionSettings| {
            let command = |name: &&str| set_command(name, settings.get(name), lasts);
            changed.iter().map(command).collect::<Vec<Vec<u8>>>()
        };
        Some(Reading {
            before: commands(then),
            behind: commands(now),
        })
    }
}

/// SET, which answers with no row.
fn set_command(name: &str, value: Option<&str>, lasts: Lasts) -> Vec<u8> {
    let local = match lasts {
        Lasts::Transaction => "LOCAL ",
        Lasts::Session => "",
    };
    let value = value.map_or_else(|| "DEFAULT".to_owned(), sql::quote_literal);
    format!("SET {local}{name} TO {value}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quote_counts() {
        for text in [
            "SELECT 'a'",
            "SELECT $$a$$",
            "SELECT $tag$a$tag$",
            "SELECT $\u{e4}$a$\u{e4}$",
        ] {
            assert!(is_quoted(text.as_bytes()), "{text}");
        }
        assert!(!is_quoted(b"SELECT $1 + $23"));
    }
}
