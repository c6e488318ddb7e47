//! `RELOAD`: reads the configuration again, as SIGHUP does.

use super::command::{Argument, Command, Run};
use super::row::{number, text};
use crate::admin::{AdminError, Answer, Column, Pending, Reloaded, Sources, Table};
use crate::telemetry::ReloadOutcome;

pub(super) const COMMAND: Command = Command {
    words: "RELOAD",
    argument: Argument::None,
    help: "Reads the configuration again; what is wrong with it leaves the old one in force.",
    columns: COLUMNS,
    run: Run::Act(run),
};

const COLUMNS: &[Column] = &[Column::integer("epoch"), Column::text("note")];

fn run<'a>(sources: &'a dyn Sources, _: &'a str) -> Pending<'a, Result<Answer, AdminError>> {
    Box::pin(async move {
        let reloaded = reload(sources).await?;
        let notes = if reloaded.notes.is_empty() {
            vec!["reloaded".to_owned()]
        } else {
            reloaded.notes
        };
        let rows = notes.into_iter().map(|note| vec![number(reloaded.epoch), text(note)]);
        Ok(Answer::Table(Table {
            columns: COLUMNS.to_vec(),
            rows: rows.collect(),
            tag: "RELOAD".to_owned(),
        }))
    })
}

/// Reloads and counts it.
pub(crate) async fn reload(sources: &dyn Sources) -> Result<Reloaded, AdminError> {
    let reloaded = sources.reload().await;
    sources.telemetry().reload(if reloaded.is_ok() {
        ReloadOutcome::Applied
    } else {
        ReloadOutcome::Rejected
    });
    reloaded.map_err(|problems| AdminError::ReloadRejected { problems })
}
