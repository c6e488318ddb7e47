//! `CHECK`: the configuration in force against the live shards.

use super::command::{Argument, Command, Run};
use super::row::{text, text_or_null};
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};

pub(super) const COMMAND: Command = Command {
    words: "CHECK",
    argument: Argument::None,
    help: "Checks the configuration against the live shards; a row per finding, none if all is well.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[
    Column::text("severity"),
    Column::text("shard"),
    Column::text("object"),
    Column::text("message"),
    Column::text("detail"),
    Column::text("hint"),
];

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let rows = sources.check().await.into_iter().map(|finding| {
            vec![
                text(finding.severity.to_string()),
                finding.shard,
                text_or_null(finding.object),
                text(finding.message),
                text_or_null(finding.detail),
                text_or_null(finding.hint),
            ]
        });
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows.collect(),
            tag: "CHECK".to_owned(),
        }))
    })
}
