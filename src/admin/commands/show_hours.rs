//! `SHOW HOURS`: how busy each shard usually is, by the hours of the week, as far as they have been learnt.

use super::command::{Argument, Command, Rows, Run};
use super::row::{decimal, text};
use crate::admin::{AdminError, Column, Sources};
use crate::telemetry::HourOfWeek;
use crate::topology::ShardState;

pub(super) const COMMAND: Command = Command {
    words: "SHOW HOURS",
    argument: Argument::None,
    help: "How busy each shard usually is in the coming hours of the week, with the buckets that it owns now.",
    columns: &[
        // UTC; the hours that have been learnt, from the present one on.
        Column::text("hour"),
        Column::text("shard"),
        // Share of the shard's capacity.
        Column::float("busy"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let load = sources.load().ok_or(AdminError::NoTopology)?;
    let week = sources.week();
    let now = HourOfWeek::of(load.at);
    let mut rows = Vec::new();
    for hour in std::iter::once(now).chain(now.following().filter(|hour| *hour != now)) {
        for shard in &load.shards {
            let known = topology.shard(shard.shard);
            let is_serving = known.is_some_and(|shard| shard.state == ShardState::Serving);
            let usual = week.usual(hour, shard.shard, &topology, load.at);
            if let Some(usual) = usual.filter(|_| is_serving && shard.capacity > 0.0) {
                let name = topology.shard_name(shard.shard);
                rows.push(vec![
                    text(hour.to_string()),
                    text(name),
                    decimal(usual / shard.capacity, 4),
                ]);
            }
        }
    }
    Ok(rows)
}
