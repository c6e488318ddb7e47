//! `SHOW PROPOSAL id`: one proposal whole, for people and for programs.

use super::command::{Argument, Command, Run};
use super::row::text;
use super::show_proposals;
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};

const WORDS: &str = "SHOW PROPOSAL";
const ARGUMENT: &str = "id";

pub(super) const COMMAND: Command = Command {
    words: WORDS,
    argument: Argument::Text(ARGUMENT),
    help: "One proposal whole: steps, evidence, every shard before and after, risk, rollback; as text and as JSON.",
    columns: COLUMNS,
    run: Run::Act(run),
};

/// Those of SHOW PROPOSALS and two more.
const COLUMNS: &[Column] = &{
    let mut columns = [Column::text("text"); show_proposals::COLUMNS.len() + 2];
    let mut at = 0;
    while at < show_proposals::COLUMNS.len() {
        columns[at] = show_proposals::COLUMNS[at];
        at += 1;
    }
    columns[at] = Column::text("document");
    columns
};

fn run<'a>(sources: &'a dyn Sources, argument: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let id: u64 = argument.trim().parse().map_err(|_| AdminError::Usage {
            command: WORDS,
            problem: "no number",
            usage: format!("{WORDS} {ARGUMENT}"),
        })?;
        let proposals = show_proposals::known(sources).await?;
        let stored = proposals.stored.iter().find(|stored| stored.id == id);
        let stored = stored.ok_or(AdminError::UnknownProposal { id })?;
        let mut rows = show_proposals::rows(std::iter::once(stored));
        for row in &mut rows {
            row.push(stored.proposal.to_json().ok());
            row.push(text(stored.proposal.to_text(&id.to_string())));
        }
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows,
            tag: COMMAND.tag().to_owned(),
        }))
    })
}
