//! `SHOW STATS`: statements since the start, by plan kind and shard.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, seconds, text};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW STATS",
    argument: Argument::None,
    help: "Statements since the start, by plan kind and shard (* for several or none), with their times.",
    columns: &[
        Column::text("plan"),
        Column::text("shard"),
        Column::integer("done"),
        Column::integer("failed"),
        Column::integer("refused"),
        Column::integer("cancelled"),
        Column::integer("rows"),
        Column::float("total_seconds"),
        // Upper bounds of the histogram's buckets.
        Column::float("p50_seconds"),
        Column::float("p99_seconds"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let rows = sources.telemetry().statements().into_iter().map(|stats| {
        vec![
            text(stats.kind.label()),
            text(stats.shard),
            number(stats.done),
            number(stats.failed),
            number(stats.refused),
            number(stats.cancelled),
            number(stats.rows),
            seconds(stats.elapsed),
            stats.p50.and_then(seconds),
            stats.p99.and_then(seconds),
        ]
    });
    Ok(rows.collect())
}
