//! `SHOW SHARDS`: each shard, whether it answers and what it owns.

use super::command::{Argument, Command, Rows, Run};
use super::row::{FALSE, TRUE, decimal, number, seconds, text, text_or_null};
use crate::admin::{AdminError, Column, Sources, View};
use crate::discovery::{Health, State};
use crate::telemetry::LoadSnapshot;
use crate::topology::{BucketId, Keyspace, ShardId, ShardState};

pub(super) const COMMAND: Command = Command {
    words: "SHOW SHARDS",
    argument: Argument::None,
    help: "Each shard: whether it answers, where it is, how many buckets it owns.",
    columns: &[
        Column::text("name"),
        Column::text("role"),
        Column::text("state"),
        Column::text("address"),
        // Busy seconds per second over its capacity, over a minute.
        Column::float("utilisation"),
        Column::boolean("home"),
        Column::integer("weight"),
        Column::integer("buckets"),
        Column::text("server_version"),
        Column::float("round_trip_seconds"),
        Column::float("answered_seconds_ago"),
        Column::text("reason"),
    ],
    run: Run::Show(rows),
};

/// Before there is a topology the shards of the configuration are shown: that is when an operator needs to know which
/// of them answers.
fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let (view, load) = (sources.view(), sources.load());
    Ok(sources
        .health()
        .iter()
        .map(|health| row(view.as_ref(), load.as_deref(), health))
        .collect())
}

fn row(view: Option<&View>, load: Option<&LoadSnapshot>, health: &Health) -> Vec<Option<String>> {
    let shard = view.and_then(|view| view.topology.shard(health.shard));
    let is_retired = shard.is_some_and(|shard| shard.state == ShardState::Retired);
    let (state, reason) = match &health.state {
        _ if is_retired => ("retired", ""),
        State::Unknown => ("unknown", "not asked yet"),
        State::Up => ("up", ""),
        State::Down(why) => ("down", why.as_str()),
    };
    vec![
        text(health.name.as_str()),
        text("primary"),
        text(state),
        text(health.address.as_str()),
        load.and_then(|load| decimal(load.shards.get(health.shard.index())?.utilisation().minute, 4)),
        view.and_then(|view| {
            text(if view.topology.home() == health.shard {
                TRUE
            } else {
                FALSE
            })
        }),
        shard.and_then(|shard| number(shard.weight)),
        view.and_then(|view| number(buckets_of(view, health.shard))),
        health.version.clone(),
        health.round_trip.and_then(seconds),
        health.answered_ago.and_then(seconds),
        text_or_null(reason),
    ]
}

fn buckets_of(view: &View, shard: ShardId) -> usize {
    let owned = |keyspace: &Keyspace| {
        let owners = (0..keyspace.bucket_count())
            .filter_map(BucketId::new)
            .filter_map(|bucket| keyspace.owner(bucket));
        owners.filter(|owner| *owner == shard).count()
    };
    view.topology.keyspaces().iter().map(owned).sum()
}
