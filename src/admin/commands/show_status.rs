//! `SHOW STATUS`: the whole proxy in one row.

use super::command::{Argument, Command, Rows, Run};
use super::row::{number, text, whole_seconds};
use crate::admin::{AdminError, Column, Leave, Sources};
use crate::discovery::State;
use crate::telemetry::ClientState;
use crate::topology::ShardState;

pub(super) const COMMAND: Command = Command {
    words: "SHOW STATUS",
    argument: Argument::None,
    help: "The proxy at a glance: state, epoch, shards, clients, statements.",
    columns: &[
        Column::text("state"),
        Column::text("version"),
        Column::integer("uptime_seconds"),
        Column::integer("epoch"),
        Column::integer("shards"),
        Column::integer("shards_up"),
        Column::integer("clients"),
        Column::integer("clients_active"),
        Column::integer("clients_max"),
        Column::integer("statements"),
        Column::integer("failed"),
        Column::integer("refused"),
    ],
    run: Run::Show(rows),
};

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let registry = sources.registry();
    let view = sources.view();
    let state = match (registry.leave(), &view) {
        (Leave::WhenIdle | Leave::Now, _) => "draining",
        (Leave::Stay, None) => "starting",
        (Leave::Stay, Some(_)) if registry.is_paused() => "paused",
        (Leave::Stay, Some(_)) => "running",
    };
    let shards = view.as_ref().map(|view| {
        let shards = view.topology.shards();
        shards.iter().filter(|shard| shard.state == ShardState::Serving).count()
    });
    let health = sources.health();
    let up = health.iter().filter(|health| health.state == State::Up).count();
    let counts = registry.count_by_state();
    let clients: u64 = counts.iter().map(|(_, count)| count).sum();
    let active = counts
        .iter()
        .find(|(state, _)| *state == ClientState::Active)
        .map_or(0, |(_, count)| *count);
    let stats = sources.telemetry().statements();
    let (failed, refused) = (
        stats.iter().map(|s| s.failed).sum::<u64>(),
        stats.iter().map(|s| s.refused).sum::<u64>(),
    );
    let rest: u64 = stats.iter().map(|s| s.done + s.cancelled).sum();
    Ok(vec![vec![
        text(state),
        text(env!("CARGO_PKG_VERSION")),
        whole_seconds(sources.now().saturating_duration_since(sources.started())),
        view.map(|view| view.topology.epoch().get().to_string()),
        shards.and_then(number),
        number(up),
        number(clients),
        number(active),
        number(sources.settings().limits.clients),
        number(rest + failed + refused),
        number(failed),
        number(refused),
    ]])
}
