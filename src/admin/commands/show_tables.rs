//! `SHOW TABLES`: where each listed table's rows lie.

use super::command::{Argument, Command, Rows, Run};
use super::row::{FALSE, TRUE, shards, text};
use crate::admin::{AdminError, Column, Sources};
use crate::topology::TablePlacement;

pub(super) const COMMAND: Command = Command {
    words: "SHOW TABLES",
    argument: Argument::None,
    help: "Each listed table: sharded, reference or unsharded, by which key, on which shards, whether it exists.",
    columns: &[
        Column::text("table"),
        Column::text("placement"),
        Column::text("keyspace"),
        Column::text("key"),
        Column::text("shards"),
        Column::boolean("exists"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let view = sources.view().ok_or(AdminError::NoTopology)?;
    let topology = &view.topology;
    let rows = topology.tables().iter().map(|(name, placement)| {
        let (kind, keyspace, key, on) = match placement {
            TablePlacement::Sharded { keyspace, key } => {
                let keyspace = topology.keyspace(*keyspace);
                let on = keyspace.map(|keyspace| shards(topology, keyspace.shards().iter()));
                (
                    "sharded",
                    keyspace.map(|keyspace| keyspace.name().to_owned()),
                    Some(key.clone()),
                    on,
                )
            }
            TablePlacement::Reference => (
                "reference",
                None,
                None,
                Some(shards(topology, topology.all_shards().iter())),
            ),
            TablePlacement::Unsharded(shard) => ("unsharded", None, None, text(topology.shard_name(*shard))),
        };
        let exists = if view.catalog.relations.contains_key(name) {
            TRUE
        } else {
            FALSE
        };
        vec![
            text(format!("{}.{}", name.schema, name.name)),
            text(kind),
            keyspace,
            key,
            on,
            text(exists),
        ]
    });
    Ok(rows.collect())
}
