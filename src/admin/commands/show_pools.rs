//! `SHOW POOLS`: the backends of each shard.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, text};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW POOLS",
    argument: Argument::None,
    help: "The pool of each shard: backends by state, sessions that wait.",
    columns: &[
        Column::text("shard"),
        Column::integer("idle"),
        Column::integer("busy"),
        Column::integer("max"),
        Column::integer("pinned"),
        Column::integer("pinned_max"),
        Column::integer("waiters"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let view = sources.view().ok_or(AdminError::NoTopology)?;
    let rows = sources.pools().into_iter().map(|pool| {
        vec![
            text(view.topology.shard_name(pool.shard)),
            number(pool.idle),
            number(pool.busy),
            number(pool.size),
            number(pool.pinned),
            number(pool.pinned_max),
            number(pool.waiting),
        ]
    });
    Ok(rows.collect())
}
