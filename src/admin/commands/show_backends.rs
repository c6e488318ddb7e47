//! `SHOW BACKENDS`: each connection to a shard.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, text, whole_seconds};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW BACKENDS",
    argument: Argument::None,
    help: "Each backend: on which shard, for whom, which client holds it.",
    columns: &[
        Column::text("shard"),
        Column::integer("pid"),
        Column::text("user"),
        Column::text("state"),
        Column::integer("client"),
        Column::integer("age_seconds"),
        Column::integer("state_seconds"),
        Column::integer("prepared"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let view = sources.view().ok_or(AdminError::NoTopology)?;
    let rows = sources.backends().into_iter().map(|backend| {
        vec![
            text(view.topology.shard_name(backend.shard)),
            number(backend.pid),
            text(backend.user),
            text(backend.state.label()),
            backend.client.and_then(number),
            whole_seconds(backend.age),
            whole_seconds(backend.state_for),
            number(backend.prepared),
        ]
    });
    Ok(rows.collect())
}
