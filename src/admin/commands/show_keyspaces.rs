//! `SHOW KEYSPACES`: how keys become places.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, shards, text};
use crate::admin::{AdminError, Column, Sources};
use crate::topology::{KeyspaceId, Strategy, TablePlacement, Topology};

pub(super) const COMMAND: Command = Command {
    words: "SHOW KEYSPACES",
    argument: Argument::None,
    help: "Each keyspace: strategy, type of key, buckets, shards that own some, tables.",
    columns: &[
        Column::text("keyspace"),
        Column::text("strategy"),
        Column::text("type"),
        Column::integer("buckets"),
        Column::text("shards"),
        Column::integer("tables"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let rows = topology.keyspaces().iter().enumerate().map(|(index, keyspace)| {
        let strategy = match keyspace.strategy() {
            Strategy::Hash(_) => "hash",
            Strategy::Range(_) => "range",
            Strategy::Category(_) => "category",
        };
        vec![
            text(keyspace.name()),
            text(strategy),
            text(keyspace.key_type().name()),
            number(keyspace.bucket_count()),
            text(shards(&topology, keyspace.shards().iter())),
            KeyspaceId::new(index).and_then(|id| number(tables_of(&topology, id))),
        ]
    });
    Ok(rows.collect())
}

fn tables_of(topology: &Topology, wanted: KeyspaceId) -> usize {
    let is_of = |placement: &&TablePlacement| match placement {
        TablePlacement::Sharded { keyspace, .. } => *keyspace == wanted,
        TablePlacement::Reference | TablePlacement::Unsharded(_) => false,
    };
    topology.tables().values().filter(is_of).count()
}
