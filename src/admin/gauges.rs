//! Brings the gauges up to date, right before they are scraped.

use super::sources::Sources;
use crate::backend::PoolGauge;
use crate::discovery::State;
use crate::telemetry::PoolReading;
use crate::topology::ShardState;

/// Reads every source that a gauge shows and sets it.
pub(crate) fn refresh(sources: &dyn Sources) {
    let telemetry = sources.telemetry();
    let registry = sources.registry();
    telemetry.set_uptime(sources.now().saturating_duration_since(sources.started()));
    telemetry.set_clients_max(sources.settings().limits.clients.into());
    for (state, count) in registry.count_by_state() {
        telemetry.set_clients(state, count);
    }
    if registry.is_paused() {
        telemetry.set_paused();
    } else {
        telemetry.set_resumed();
    }
    if let Some(view) = sources.view() {
        telemetry.set_epoch(view.topology.epoch());
        telemetry.name_shards(view.topology.shards().iter().map(|shard| match shard.state {
            ShardState::Serving => shard.name.as_str(),
            ShardState::Retired => "",
        }));
    }
    if let (Some(view), Some(load)) = (sources.view(), sources.load()) {
        telemetry.set_load(&view.topology, &load);
    }
    for health in sources.health() {
        match health.state {
            State::Up => telemetry.set_shard_up(health.shard),
            State::Unknown | State::Down(_) => telemetry.set_shard_down(health.shard),
        }
    }
    for gauge in sources.pools() {
        telemetry.set_pool(gauge.shard, reading(&gauge));
    }
}

fn reading(gauge: &PoolGauge) -> PoolReading {
    let PoolGauge {
        shard: _,
        idle,
        busy,
        waiting,
        pinned,
        size,
        pinned_max,
    } = *gauge;
    // A count that doesn't fit is no count.
    let count = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    PoolReading {
        max: count(size),
        pinned_max: count(pinned_max),
        idle: count(idle),
        busy: count(busy),
        pinned: count(pinned),
        waiters: count(waiting),
    }
}
