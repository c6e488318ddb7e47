//! `SHOW FINDINGS`: what the rebalancer has seen that no move or split helps, or not yet; and what would.

use super::command::{Argument, Command, Run};
use super::row::{number, text};
use super::show_proposals;
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};

pub(super) const COMMAND: Command = Command {
    words: "SHOW FINDINGS",
    argument: Argument::None,
    help: "What the rebalancer has seen that no move or split helps, or not yet; and what would.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[
    Column::text("kind"),
    Column::text("shard"),
    Column::text("keyspace"),
    Column::integer("bucket"),
    Column::text("seen"),
    Column::text("helps"),
];

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let proposals = show_proposals::known(sources).await?;
        let rows = proposals.findings.into_iter().map(|finding| {
            vec![
                text(finding.kind.name()),
                finding.shard,
                finding.keyspace,
                finding.bucket.and_then(number),
                text(finding.what),
                text(finding.helps),
            ]
        });
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows.collect(),
            tag: COMMAND.tag().to_owned(),
        }))
    })
}
