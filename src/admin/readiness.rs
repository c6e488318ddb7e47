//! Is the proxy ready for clients? Deep: every shard must have answered recently.
//!
//! Holds: ready means that a topology is there, that nobody is draining, and that each serving shard's last probe was
//! answered within [`READY_WITHIN`]. A paused proxy is ready: its clients wait, they don't fail.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Leave;
use super::sources::Sources;
use crate::discovery::{Health, State};
use crate::topology::ShardState;

/// Some probes may be lost before a shard counts as silent.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(10);

/// What `/readyz` answers.
pub(crate) enum Readiness {
    /// 200
    Ready(Value),
    /// 503
    NotReady(Value),
}

/// Looks at topology, drain and shards.
pub(crate) fn readiness(sources: &dyn Sources) -> Readiness {
    let mut reasons = Vec::new();
    let view = sources.view();
    if view.is_none() {
        reasons.push("no topology yet".to_owned());
    }
    match sources.registry().leave() {
        Leave::Stay => {}
        Leave::WhenIdle | Leave::Now => reasons.push("the proxy is draining".to_owned()),
    }
    let is_serving = |health: &Health| {
        let shard = view.as_ref().and_then(|view| view.topology.shard(health.shard));
        shard.is_none_or(|shard| shard.state == ShardState::Serving)
    };
    let mut shards = Vec::new();
    for health in sources.health().iter().filter(|health| is_serving(health)) {
        let trouble = trouble_of(health);
        shards.push(json!({
            "name": health.name,
            "ready": trouble.is_none(),
            "reason": trouble,
            "answered_seconds_ago": health.answered_ago.map(|ago| ago.as_secs_f64()),
        }));
        reasons.extend(trouble.map(|trouble| format!("shard {}: {trouble}", health.name)));
    }
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "paused": sources.registry().is_paused(),
        "epoch": view.map(|view| view.topology.epoch().get()),
        "shards": shards,
    });
    if reasons.is_empty() {
        Readiness::Ready(body)
    } else {
        Readiness::NotReady(body)
    }
}

fn trouble_of(health: &Health) -> Option<String> {
    match (&health.state, health.answered_ago) {
        (State::Down(why), _) => Some(why.clone()),
        (State::Unknown, _) | (State::Up, None) => Some("not asked yet".to_owned()),
        (State::Up, Some(ago)) if ago > READY_WITHIN => Some(format!("no answer for {} s", ago.as_secs())),
        (State::Up, Some(_)) => None,
    }
}
