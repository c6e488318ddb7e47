//! `SHOW KEYS`: the keys that carry most load. Values of keys are data of the users': only who administers sees them.

use super::command::{Argument, Command, Rows, Run};
use super::row::{decimal, number, text};
use crate::admin::{AdminError, Column, Sources};

pub(super) const COMMAND: Command = Command {
    words: "SHOW KEYS",
    argument: Argument::None,
    help: "The keys of each keyspace that carry most of its load, with how sure that is.",
    columns: &[
        Column::text("keyspace"),
        Column::text("key"),
        Column::integer("bucket"),
        Column::text("name"),
        Column::text("shard"),
        // Of the keyspace's busy time over the last minutes; never too small.
        Column::float("share"),
        // By how much it may be too large.
        Column::float("error"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let load = sources.load().ok_or(AdminError::NoTopology)?;
    let keyspaces = load.keyspaces.iter();
    let described = keyspaces.filter_map(|keyspace| Some((topology.keyspace(keyspace.keyspace)?, keyspace)));
    let rows = described.flat_map(|(described, keyspace)| {
        let topology = &topology;
        keyspace.heavy.iter().map(move |heavy| {
            let bucket = described.bucket(heavy.bucket);
            vec![
                text(described.name()),
                text(heavy.key.to_text()),
                number(heavy.bucket.index()),
                bucket.as_ref().and_then(|bucket| text(bucket.name.as_str())),
                bucket.and_then(|bucket| text(topology.shard_name(bucket.shard))),
                decimal(heavy.share, 4),
                decimal(heavy.error, 4),
            ]
        })
    });
    Ok(rows.collect())
}
