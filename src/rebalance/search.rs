//! The search for the changes that lower an overloaded shard's utilisation most per byte moved.
//!
//! A plan's *gain* is the shard's utilisation now, less the highest that any touched shard would have. Its *cost* is the
//! bytes that move, and as much for each step that moves any as a move costs beyond its bytes. A plan *lasts* if every
//! touched shard would still be below the policy's clear mark in five minutes, should load go on rising as it does; it
//! *resolves* if they are below it now. Plans that last come first, then those that resolve; among plans that last the
//! higher gain per cost wins, among the others the higher gain, where differences below a hundredth are left to the cost.
//! Ties go to fewer steps, then fewer bytes, then to the changes' ids.
//!
//! Why a beam: plans of several steps are many, and the best of one step is nearly always a part of the best of two.
//! Bounded: [`DEPTH`] steps of the [`WIDTH`] best plans, over the [`PARTS_MAX`] heaviest buckets and [`TARGETS_MAX`] emptiest
//! shards; a shift of weights stands for what needs more.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::Action;
use super::cluster::{Cluster, PartId};
use super::effect::{Densities, Effect, effect};
use super::options::options;
use super::shift::{BUCKETS_LEAST, shifts};
use crate::topology::{Change, ShardId, ShardSet};

const DEPTH: usize = 6;
const WIDTH: usize = 4;
const PARTS_MAX: usize = 16;
const TARGETS_MAX: usize = 6;
/// A plan lasts if it would in so many minutes.
const FORESEEN_MINUTES: f64 = 5.0;
/// No more growth than this is foreseen: the windows of a load that has just begun look as if it went on rising for ever.
const GROWTH_MAX: f64 = 1.4;
/// Buckets whose load is below this part of the capacity aren't looked at one by one.
const CRUMB: f64 = 0.005;

/// Changes and what they would do.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) changes: Vec<Change>,
    /// bytes by change
    pub(super) bytes: Vec<u64>,
    /// busy seconds per second by shard index, afterwards
    pub(super) busy: Vec<f64>,
    pub(super) touched: ShardSet,
    pub(super) parts: BTreeSet<PartId>,
    pub(super) action: Action,
    pub(super) merit: Merit,
}

/// How far a plan gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// some touched shard stays above the clear mark
    Eases,
    /// all end below it
    Resolves,
    /// all end below it, and would in five minutes
    Lasts,
}

/// How good a plan is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Merit {
    pub(super) reach: Reach,
    pub(super) gain: f64,
    /// highest utilisation of the touched shards
    pub(super) after: f64,
    pub(super) bytes: u64,
    pub(super) steps: usize,
    /// gain per cost
    pub(super) score: f64,
}

impl Merit {
    fn compare(&self, other: &Merit) -> Ordering {
        let hundredths = |merit: &Merit| (merit.gain * 100.0).round();
        let tier = self.reach.cmp(&other.reach);
        let within = if self.reach == Reach::Lasts && other.reach == Reach::Lasts {
            self.score.total_cmp(&other.score)
        } else {
            let gains = hundredths(self).total_cmp(&hundredths(other));
            gains.then(self.score.total_cmp(&other.score))
        };
        // Greater is better.
        tier.then(within)
            .then(other.steps.cmp(&self.steps))
            .then(other.bytes.cmp(&self.bytes))
    }
}

/// What was found for one shard.
pub(super) struct Found {
    /// best first; none of them loses
    pub(super) plans: Vec<Plan>,
    /// the best single option of each action
    pub(super) single: Vec<Plan>,
    /// the budget forbade something that would have helped
    pub(super) is_over_budget: bool,
}

/// One search.
pub(super) struct Search<'a> {
    pub(super) cluster: &'a Cluster<'a>,
    pub(super) hot: ShardId,
    /// busy seconds per second by shard index, with what was proposed before
    pub(super) busy: &'a [f64],
    /// shards that may not get anything
    pub(super) hot_all: ShardSet,
    /// buckets that earlier proposals name
    pub(super) taken: &'a BTreeSet<PartId>,
    pub(super) densities: &'a Densities,
}

/// The heaviest free buckets of a shard, heaviest first.
pub(super) fn heaviest(cluster: &Cluster<'_>, shard: ShardId) -> Vec<PartId> {
    let least = CRUMB * cluster.capacity(shard);
    let mut parts: Vec<(PartId, f64)> = cluster
        .parts
        .iter()
        .filter(|(part, bucket)| bucket.owner == shard && bucket.busy >= least && cluster.is_free(**part))
        .map(|(part, bucket)| (*part, bucket.busy))
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    parts.truncate(PARTS_MAX);
    parts.into_iter().map(|(part, _)| part).collect()
}

impl Search<'_> {
    pub(super) fn run(&self) -> Found {
        let mut found = Found {
            plans: Vec::new(),
            single: Vec::new(),
            is_over_budget: false,
        };
        let parts = heaviest(self.cluster, self.hot);
        let mut front: Vec<Plan> = Vec::new();
        for depth in 0..DEPTH {
            let mut next: Vec<Plan> = Vec::new();
            if depth == 0 {
                self.extend(None, &parts, &mut next);
                let shifts = shifts(self.cluster, self.hot, self.able());
                next.extend(shifts.into_iter().filter_map(|changes| self.plan(None, changes)));
            }
            for plan in &front {
                self.extend(Some(plan), &parts, &mut next);
            }
            next.retain(|plan| {
                let fits = self.fits_budget(plan);
                found.is_over_budget |= !fits;
                fits
            });
            next.sort_by(better);
            next.dedup_by(|a, b| a.changes == b.changes);
            if depth == 0 {
                found.single = best_of_each(&next);
            }
            // What no step more can better needs none.
            next.truncate(WIDTH);
            found.plans.extend(next.iter().cloned());
            // A shift is a plan of its own.
            front = next.into_iter().filter(|plan| plan.action != Action::Shift).collect();
            if found.plans.iter().any(|plan| plan.merit.reach == Reach::Lasts) && depth > 0 {
                break;
            }
        }
        found.plans.sort_by(better);
        found
    }

    /// Plans of one option more.
    fn extend(&self, before: Option<&Plan>, parts: &[PartId], into: &mut Vec<Plan>) {
        let busy = before.map_or(self.busy, |plan| plan.busy.as_slice());
        for part in parts {
            let is_used = before.is_some_and(|plan| plan.parts.contains(part)) || self.taken.contains(part);
            if is_used {
                continue;
            }
            let targets = self.targets(*part, busy);
            for option in options(self.cluster, self.densities, *part, busy, &targets) {
                into.extend(self.plan(before, option));
            }
        }
    }

    /// Shards that may get something, emptiest first.
    fn targets(&self, part: PartId, busy: &[f64]) -> Vec<ShardId> {
        let here = self.cluster.used(self.hot, busy);
        let mut targets: Vec<(f64, ShardId)> = self
            .able()
            .iter()
            .filter(|shard| self.cluster.topology.may_own(part.0, part.1, *shard))
            .map(|shard| (self.cluster.used(shard, busy), shard))
            .filter(|(used, _)| *used < here)
            .collect();
        targets.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        targets.truncate(TARGETS_MAX);
        targets.into_iter().map(|(_, shard)| shard).collect()
    }

    fn able(&self) -> ShardSet {
        let shards = self.cluster.shards.keys().copied();
        shards
            .filter(|shard| *shard != self.hot && !self.hot_all.contains(*shard))
            .collect()
    }

    /// A plan with these changes more; `None` if they can't be judged, or if it would be no gain.
    pub(super) fn plan(&self, before: Option<&Plan>, changes: Vec<Change>) -> Option<Plan> {
        let Effect {
            busy: shifted,
            bytes,
            touched,
            parts,
        } = effect(self.cluster, self.densities, &changes)?;
        let mut busy = before.map_or(self.busy, |plan| plan.busy.as_slice()).to_vec();
        for (shard, shifted) in shifted {
            let slot = busy.get_mut(shard.index())?;
            *slot = (*slot + shifted).max(0.0);
        }
        let (mut all, mut all_bytes) = (Vec::new(), Vec::new());
        let (mut all_touched, mut all_parts) = (ShardSet::EMPTY, BTreeSet::new());
        if let Some(before) = before {
            all.extend(before.changes.iter().cloned());
            all_bytes.extend(before.bytes.iter().copied());
            all_touched = before.touched;
            all_parts.clone_from(&before.parts);
        }
        all.extend(changes);
        all_bytes.extend(bytes);
        let touched = all_touched.union(touched);
        all_parts.extend(parts);
        let action = action_of(&all, &all_parts, self.cluster);
        let merit = self.merit(&all_bytes, &busy, touched, action)?;
        Some(Plan {
            changes: all,
            bytes: all_bytes,
            busy,
            touched,
            parts: all_parts,
            action,
            merit,
        })
    }

    fn merit(&self, bytes: &[u64], busy: &[f64], touched: ShardSet, action: Action) -> Option<Merit> {
        let now = self.cluster.used(self.hot, self.busy);
        let after = touched
            .with(self.hot)
            .iter()
            .map(|shard| self.cluster.used(shard, busy))
            .fold(0.0, f64::max);
        let gain = now - after;
        if gain <= 0.0 {
            return None;
        }
        let steps = match action {
            // One job per pair of shards.
            Action::Shift => touched.len().saturating_sub(1),
            Action::Move | Action::Split | Action::Spread | Action::Combine => {
                bytes.iter().filter(|bytes| **bytes > 0).count().max(1)
            }
        };
        let bytes = bytes.iter().copied().fold(0, u64::saturating_add);
        let overhead = self
            .cluster
            .policy
            .step_bytes
            .saturating_mul(u64::try_from(steps).unwrap_or(u64::MAX));
        let cost = bytes.saturating_add(overhead).max(1);
        let cost = super::density::float(i64::try_from(cost).unwrap_or(i64::MAX));
        Some(Merit {
            reach: if after * self.growth() <= self.cluster.policy.clear {
                Reach::Lasts
            } else if after <= self.cluster.policy.clear {
                Reach::Resolves
            } else {
                Reach::Eases
            },
            gain,
            after,
            bytes,
            steps,
            score: gain / cost,
        })
    }

    /// By how much the shard's load will have grown in five minutes, should it go on as it does; never less than one.
    fn growth(&self) -> f64 {
        let Some(load) = self.cluster.shards.get(&self.hot) else {
            return 1.0;
        };
        let (minute, five_minutes) = (load.busy.minute, load.busy.five_minutes);
        if minute <= 0.0 {
            return 1.0;
        }
        let trend = 1.0 + FORESEEN_MINUTES * super::evidence::trend(minute, five_minutes) / minute;
        // What the last seconds show is there already.
        trend.max(load.busy.ten_seconds / minute).clamp(1.0, GROWTH_MAX)
    }

    pub(super) fn fits_budget(&self, plan: &Plan) -> bool {
        let Cluster {
            history, policy, now, ..
        } = self.cluster;
        let bytes = history.bytes_of_hour(*now).saturating_add(plan.merit.bytes);
        let moves = history.moves_of_day(*now).saturating_add(plan.parts.len());
        bytes <= policy.bytes_per_hour && moves <= policy.moves_per_day
    }
}

/// Best first, and never two alike in an order of chance.
fn better(a: &Plan, b: &Plan) -> Ordering {
    b.merit
        .compare(&a.merit)
        .then_with(|| a.parts.cmp(&b.parts))
        .then_with(|| format!("{:?}", a.changes).cmp(&format!("{:?}", b.changes)))
}

fn best_of_each(sorted: &[Plan]) -> Vec<Plan> {
    let mut best: Vec<Plan> = Vec::new();
    for plan in sorted {
        if !best.iter().any(|known| known.action == plan.action) {
            best.push(plan.clone());
        }
    }
    best
}

/// What changes amount to.
fn action_of(changes: &[Change], parts: &BTreeSet<PartId>, cluster: &Cluster<'_>) -> Action {
    let splits = changes
        .iter()
        .filter(|change| matches!(change, Change::SplitBucket { .. }))
        .count();
    let spreads = changes
        .iter()
        .any(|change| matches!(change, Change::SpreadCategory { .. }));
    let keyspaces: BTreeSet<_> = parts.iter().map(|(keyspace, _)| *keyspace).collect();
    let is_hash = |keyspace: &crate::topology::KeyspaceId| {
        let found = cluster.topology.keyspace(*keyspace);
        found.is_some_and(|found| matches!(found.strategy(), crate::topology::Strategy::Hash(_)))
    };
    match (parts.len(), spreads, splits) {
        (_, true, 0) if changes.len() == 1 => Action::Spread,
        (1, false, 0) => Action::Move,
        (1, false, 1) => Action::Split,
        (1, false, _) => Action::Spread,
        (count, false, 0) if count >= BUCKETS_LEAST && keyspaces.len() == 1 && keyspaces.iter().all(is_hash) => {
            Action::Shift
        }
        _ => Action::Combine,
    }
}
