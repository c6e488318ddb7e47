//! `ROUTE <sql>`: where a statement would run, and why; it doesn't run.

use super::command::{Argument, Command, Run};
use super::row::{text, text_or_null};
use crate::admin::{AdminError, Answer, Column, Pending, Sources, Table};

pub(super) const COMMAND: Command = Command {
    words: "ROUTE",
    argument: Argument::Text("<sql>"),
    help: "Where a statement would run and why, as EXPLAIN (ROUTE) in the users' database; it does not run.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[Column::text("step"), Column::text("shards"), Column::text("reason")];

fn run<'a>(sources: &'a dyn Sources, sql: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let steps = sources
            .route(sql)
            .await
            .map_err(|refusal| AdminError::Refused(Box::new(refusal)))?;
        let rows = steps
            .into_iter()
            .map(|step| vec![text(step.step), text_or_null(step.shards.join(", ")), text(step.reason)]);
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows.collect(),
            tag: "ROUTE".to_owned(),
        }))
    })
}
