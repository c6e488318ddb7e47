//! `RESOLVE gid COMMIT|ROLLBACK`: ends a prepared transaction by hand, where its decision shard is gone for good.

use super::command::{Argument, Command, Run};
use super::row::{number, text};
use crate::admin::{AdminError, Answer, Column, Pending, Resolution, Sources, Table};

const WORDS: &str = "RESOLVE";
const ARGUMENT: &str = "gid COMMIT|ROLLBACK";

pub(super) const COMMAND: Command = Command {
    words: WORDS,
    argument: Argument::Text(ARGUMENT),
    help: "Commits or rolls back every prepared part of a transaction whose decision shard is gone for good.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[Column::text("gid"), Column::text("done"), Column::integer("parts")];

fn run<'a>(sources: &'a dyn Sources, argument: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let (gid, how) = read(argument)?;
        let parts = sources.resolve(gid, how).await.map_err(|why| AdminError::NotResolved {
            gid: gid.to_owned(),
            why,
        })?;
        let done = match how {
            Resolution::Commit => "committed",
            Resolution::Rollback => "rolled back",
        };
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: vec![vec![text(gid), text(done), number(parts)]],
            tag: WORDS.to_owned(),
        }))
    })
}

/// A gid, bare or quoted, and a word.
fn read(argument: &str) -> Result<(&str, Resolution), AdminError> {
    let usage = || AdminError::Usage {
        command: WORDS,
        problem: "neither COMMIT nor ROLLBACK at the end",
        usage: format!("{WORDS} {ARGUMENT}"),
    };
    let (gid, word) = argument.trim().rsplit_once(char::is_whitespace).ok_or_else(usage)?;
    let how = match word {
        _ if word.eq_ignore_ascii_case("commit") => Resolution::Commit,
        _ if word.eq_ignore_ascii_case("rollback") => Resolution::Rollback,
        _ => return Err(usage()),
    };
    Ok((gid.trim().trim_matches('\''), how))
}
