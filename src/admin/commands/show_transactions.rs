//! `SHOW TRANSACTIONS`: transactions over several shards that are prepared somewhere now.

use super::command::{Argument, Command, Run};
use super::row::{seconds, text};
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};

pub(super) const COMMAND: Command = Command {
    words: "SHOW TRANSACTIONS",
    argument: Argument::None,
    help: "Transactions over several shards that are prepared somewhere now, asked of the shards.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[
    Column::text("gid"),
    Column::text("state"),
    Column::text("shards"),
    Column::float("age_seconds"),
    Column::text("decided_on"),
];

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let rows = sources.transactions().await.into_iter().map(|one| {
            vec![
                text(one.gid),
                text(one.state.as_str()),
                text(one.shards.join(", ")),
                seconds(one.age),
                text(one.decided_on),
            ]
        });
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows.collect(),
            tag: "SHOW".to_owned(),
        }))
    })
}
