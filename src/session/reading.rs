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
use crate::transaction::{Begun, Participant};

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
    // Nearly always they are the very same.
    then != now && names.iter().any(|name| then.get(name) != now.get(name))
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
        around(&LITERALS_BY, bound.read_under.as_ref()?, self.current(), lasts)
    }

    /// The same, for backends at these positions, which run it by itself or inside a block.
    pub(super) fn reading_on(&self, bound: &Bound, lanes: impl IntoIterator<Item = usize>) -> Reading {
        let in_block = |at: usize| self.participants.get(at).is_some_and(|p| p.begun == Begun::Block);
        let lasts = match lanes.into_iter().any(in_block) {
            true => Lasts::Transaction,
            false => Lasts::Session,
        };
        self.reading(bound, lasts).unwrap_or_default()
    }

    /// The same on one backend that the session's batch uses, as scripts: a statement is what it was when it was prepared.
    pub(super) async fn scripts_around(
        &mut self,
        at: usize,
        statement: &Statement,
    ) -> Result<(Vec<u8>, Vec<u8>), Stop> {
        let then = statement.settings();
        if !differ(&LITERALS_BY, then, self.current()) && !differ(&TEXTS_BY, then, self.current()) {
            return Ok((Vec::new(), Vec::new()));
        }
        // Whether it is in a block is known when everything before has been answered.
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        let begun = |p: &Participant| p.begun == Begun::Block || p.status == b'T';
        let in_block = self.block.is_explicit() || self.participants.get(at).is_some_and(begun);
        // In a block what SET LOCAL has set must not outlive it: that is taken back in the same way.
        let lasts = if in_block { Lasts::Transaction } else { Lasts::Session };
        let names = [&LITERALS_BY[..], &TEXTS_BY[..]].concat();
        let reading = around(&names, then, self.current(), lasts).unwrap_or_default();
        Ok((reading.before.join(&b';'), reading.behind.join(&b';')))
    }
}

/// Commands that bring the settings of then, and those that bring the present ones back; `None`: they are the same.
fn around(names: &[&str], then: &SessionSettings, now: &SessionSettings, lasts: Lasts) -> Option<Reading> {
    let changed: Vec<&str> = names
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
