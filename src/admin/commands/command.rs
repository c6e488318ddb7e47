//! What a command is.

use crate::admin::{AdminError, Answer, Column, Pending, Sources};

/// One command of the admin database.
#[derive(Clone, Copy)]
pub(crate) struct Command {
    /// upper case, one blank between words: `SHOW SHARDS`
    pub(crate) words: &'static str,
    /// what may follow the words
    pub(crate) argument: Argument,
    /// one sentence for HELP
    pub(crate) help: &'static str,
    /// of its answer; empty for one without rows
    pub(crate) columns: &'static [Column],
    /// how it runs
    pub(crate) run: Run,
}

/// What may follow a command's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    /// nothing
    None,
    /// a text that must be there, as HELP writes it
    Text(&'static str),
    /// a text that may be there
    Optional(&'static str),
}

/// A command's rows.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// How a command runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// reads, and answers at once
    Show(fn(&dyn Sources) -> Result<Rows, AdminError>),
    /// does something, or asks a shard
    Act(for<'a> fn(&'a dyn Sources, &'a str) -> Pending<'a, Result<Answer, AdminError>>),
}

impl Command {
    /// How it is written, as HELP shows it.
    pub(crate) fn usage(&self) -> String {
        match self.argument {
            Argument::None => self.words.to_owned(),
            Argument::Text(argument) => format!("{} {argument}", self.words),
            Argument::Optional(argument) => format!("{} [{argument}]", self.words),
        }
    }

    /// The word of its command tag.
    pub(crate) fn tag(&self) -> &'static str {
        self.words.split(' ').next().unwrap_or(self.words)
    }
}
