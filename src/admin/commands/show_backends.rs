//! `SHOW BACKENDS`: each connection to a shard.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, text, whole_seconds};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW BACKENDS",
    argument: Argument::None,
    help: "Each backend: on which shard, for whom, whether it is idle, busy or pinned.",
    columns: &[
        Column::text("shard"),
        Column::integer("pid"),
        Column::text("user"),
        Column::text("state"),
        Column::integer("age_seconds"),
        Column::integer("idle_seconds"),
        // Known while it is idle; in use, it belongs to its session.
        Column::integer("prepared"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let view = sources.view().ok_or(AdminError::NoTopology)?;
    let rows = sources.backends().into_iter().map(|backend| {
        vec![
            text(view.topology.shard_name(backend.shard)),
            number(backend.process_id),
            text(&*backend.user),
            text(backend.state.label()),
            whole_seconds(backend.age),
            backend.idle.and_then(whole_seconds),
            backend.prepared.and_then(number),
        ]
    });
    Ok(rows.collect())
}
