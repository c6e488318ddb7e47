//! The judgement: which shards are overloaded, and what is proposed for each.
//!
//! Holds: nothing is proposed for a shard that isn't pressed over the policy's hold, over the 1 m window and the 10 s
//! window; proposals of one judgement name different buckets, and each later one counts with the earlier ones, so all may be
//! carried out or any one alone; a proposal that stands is kept as long as nothing is clearly better.

use std::collections::BTreeSet;

use super::cluster::{Cluster, PartId};
use super::effect::Densities;
use super::evidence::proposal;
use super::findings::{self, Trouble};
use super::search::{Found, Plan, Search, heaviest};
use super::{Finding, History, Policy, Proposal};
use crate::telemetry::{LoadSnapshot, Moment};
use crate::topology::{ShardId, ShardSet, Topology};

/// A standing proposal gives way only to one that is better by a quarter.
const STICKY: f64 = 0.8;

/// What is proposed, and what no proposal helps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// at most one per overloaded shard, the hottest first
    pub proposals: Vec<Proposal>,
    /// by shard, then by kind
    pub findings: Vec<Finding>,
    /// shards whose overload has begun and isn't over: proposals for others have lost their reason
    pub overloaded: Vec<ShardId>,
}

/// Judges a snapshot. `history` has observed it already ([`History::observe`]).
pub fn propose(load: &LoadSnapshot, topology: &Topology, policy: &Policy, history: &History, now: Moment) -> Judgement {
    let mut judgement = Judgement {
        overloaded: history.overloaded(),
        ..Judgement::default()
    };
    let cluster = Cluster::new(load, topology, policy, history, now);
    if load.epoch != topology.epoch() {
        judgement.findings.extend(findings::other_epoch(&cluster));
        return judgement;
    }
    if load.measured < policy.measured_least {
        judgement.findings.extend(findings::warming(&cluster, load.measured));
        return judgement;
    }
    let hot = hot(&cluster);
    judgement.findings.extend(findings::spikes(&cluster, &hot));
    let hot_all: ShardSet = hot.iter().copied().collect();
    let mut busy = cluster.busy();
    let mut taken: BTreeSet<PartId> = BTreeSet::new();
    for shard in hot {
        let densities: Densities = heaviest(&cluster, shard)
            .into_iter()
            .flat_map(|part| cluster.with_siblings(part))
            .map(|part| (part, cluster.density(part)))
            .collect();
        let search = Search {
            cluster: &cluster,
            hot: shard,
            busy: &busy,
            hot_all,
            taken: &taken,
            densities: &densities,
        };
        let found = search.run();
        let load = busy.get(shard.index()).copied().unwrap_or(0.0);
        let is_resting = findings::resting(&cluster, shard, load).is_some();
        let chosen = choose(&search, &found).filter(|_| !is_resting);
        let trouble = Trouble {
            cluster: &cluster,
            shard,
            busy: &busy,
            chosen: chosen.as_ref().map(|(plan, _)| plan),
            found: &found,
            hot_all,
        };
        judgement.findings.extend(findings::of(&trouble));
        let Some((plan, created)) = chosen else {
            continue;
        };
        judgement
            .proposals
            .push(proposal(&search, &plan, &found.single, created));
        taken.extend(plan.parts.iter().copied());
        busy = plan.busy;
    }
    judgement.findings.sort_by(|a, b| {
        let order = a.shard.cmp(&b.shard).then(a.kind.cmp(&b.kind));
        order.then_with(|| a.what.cmp(&b.what))
    });
    judgement.findings.dedup();
    judgement
}

/// Overloaded shards, the hottest first.
fn hot(cluster: &Cluster<'_>) -> Vec<ShardId> {
    let mut hot: Vec<(f64, ShardId)> = cluster
        .shards
        .iter()
        .filter(|(shard, load)| {
            let used = load.utilisation();
            let pressed = cluster.history.pressed_for(**shard, cluster.now);
            pressed >= Some(cluster.policy.hold)
                && cluster.still_carries(**shard)
                && used.minute > cluster.policy.threshold
                && used.ten_seconds > cluster.policy.threshold
        })
        .map(|(shard, load)| (load.utilisation().minute, *shard))
        .collect();
    hot.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    hot.into_iter().map(|(_, shard)| shard).collect()
}

/// The best plan that gains enough and can be made, or the standing one if that is about as good; with when it was made.
fn choose(search: &Search<'_>, found: &Found) -> Option<(Plan, Moment)> {
    let Cluster {
        topology,
        policy,
        history,
        now,
        ..
    } = search.cluster;
    let is_good = |plan: &Plan| plan.merit.gain >= policy.gain_least && topology.changed(&plan.changes).is_ok();
    let best = found.plans.iter().find(|plan| is_good(plan))?;
    let standing = history.standing(search.hot, *now).filter_map(|standing| {
        let parts_free = |plan: &Plan| {
            let mut parts = plan.parts.iter();
            parts.all(|part| !search.taken.contains(part) && search.cluster.is_free(*part))
        };
        let plan = search.plan(None, standing.changes.clone())?;
        let holds = is_good(&plan)
            && parts_free(&plan)
            && search.fits_budget(&plan)
            && plan.touched.intersect(search.hot_all).without(search.hot).is_empty()
            && plan.merit.reach == best.merit.reach
            && plan.merit.score >= STICKY * best.merit.score;
        holds.then_some((plan, standing.created))
    });
    let oldest = standing.min_by(|a, b| a.1.cmp(&b.1));
    Some(oldest.unwrap_or_else(|| (best.clone(), *now)))
}
