//! `SHOW BUCKETS`: every bucket and its owner.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, text};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW BUCKETS",
    argument: Argument::None,
    help: "Every bucket of every keyspace: its owner and what belongs to it.",
    columns: &[
        Column::text("keyspace"),
        Column::integer("bucket"),
        Column::text("shard"),
        Column::text("bounds"),
        // Both measured by the rebalancer; NULL in this version.
        Column::float("busy_ratio"),
        Column::integer("size_bytes"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let rows = topology.keyspaces().iter().flat_map(|keyspace| {
        keyspace.buckets().into_iter().map(|bucket| {
            vec![
                text(keyspace.name()),
                number(bucket.id.index()),
                text(topology.shard_name(bucket.shard)),
                text(bucket.bounds),
                None,
                None,
            ]
        })
    });
    Ok(rows.collect())
}
