//! `SHOW BUCKETS`: every bucket, its owner and its load.

use super::command::{Argument, Command, Rows, Run};
use super::row::{decimal, number, text};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW BUCKETS",
    argument: Argument::None,
    help: "Every bucket of every keyspace: its owner, what belongs to it, its load and size.",
    columns: &[
        Column::text("keyspace"),
        Column::integer("bucket"),
        Column::text("shard"),
        Column::text("bounds"),
        // Share of its shard's capacity, over a minute.
        Column::float("busy_ratio"),
        // Estimated from a sample; NULL until it has been.
        Column::integer("size_bytes"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let load = sources.load();
    let rows = topology.keyspaces().iter().enumerate().flat_map(|(index, keyspace)| {
        let (topology, load) = (&topology, load.as_deref());
        keyspace.buckets().into_iter().map(move |bucket| {
            let measured = load.and_then(|load| load.keyspaces.get(index)?.buckets.get(bucket.id.index()));
            let capacity = load.and_then(|load| Some(load.shards.get(bucket.shard.index())?.capacity));
            let busy = measured.zip(capacity).filter(|(_, capacity)| *capacity > 0.0);
            vec![
                text(keyspace.name()),
                number(bucket.id.index()),
                text(topology.shard_name(bucket.shard)),
                text(bucket.bounds),
                busy.and_then(|(bucket, capacity)| decimal(bucket.busy().minute / capacity, 4)),
                measured.and_then(|bucket| bucket.size_bytes).and_then(number),
            ]
        })
    });
    Ok(rows.collect())
}
