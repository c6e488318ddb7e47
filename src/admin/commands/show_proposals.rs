//! `SHOW PROPOSALS`: what the rebalancer proposes, open ones first.

use super::command::{Argument, Command, Rows, Run};
use super::row::{decimal, number, text};
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};
use crate::discovery::{Proposals, StoredProposal};

pub(super) const COMMAND: Command = Command {
    words: "SHOW PROPOSALS",
    argument: Argument::None,
    help: "Moves and splits that the rebalancer proposes, open ones first, those that ended in the last day after them.",
    columns: COLUMNS,
    run: Run::Act(run),
};

/// The first eleven are what outside tools rely on.
pub(super) const COLUMNS: &[Column] = &[
    Column::integer("id"),
    Column::text("keyspace"),
    // NULL where it shifts many.
    Column::integer("bucket"),
    Column::text("action"),
    Column::text("from"),
    Column::text("to"),
    Column::text("reason"),
    Column::integer("bytes"),
    // Highest utilisation of the shards that it touches.
    Column::float("before"),
    Column::float("after"),
    Column::text("state"),
    Column::text("subject"),
    Column::integer("duration_seconds"),
    Column::text("created_at"),
    Column::text("expires_at"),
];

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let proposals = known(sources).await?;
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows(proposals.stored.iter()),
            tag: COMMAND.tag().to_owned(),
        }))
    })
}

/// What home has.
pub(super) async fn known(sources: &dyn Sources) -> Result<Proposals, AdminError> {
    let known = sources.proposals().await;
    known.map_err(|why| AdminError::NoProposals { why })
}

pub(super) fn rows<'a>(stored: impl Iterator<Item = &'a StoredProposal>) -> Rows {
    stored
        .map(|stored| {
            let proposal = &stored.proposal;
            vec![
                number(stored.id),
                text(&proposal.keyspace),
                proposal.bucket.and_then(number),
                text(proposal.action.name()),
                text(&proposal.from),
                text(proposal.to.join(", ")),
                text(&proposal.reason),
                number(proposal.bytes),
                decimal(proposal.before, 4),
                decimal(proposal.after, 4),
                text(&stored.state),
                text(&proposal.subject),
                number(proposal.duration_seconds),
                text(&stored.created_at),
                text(&stored.expires_at),
            ]
        })
        .collect()
}
