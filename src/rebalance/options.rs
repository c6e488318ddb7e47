//! What can be done with one bucket of an overloaded shard: move it, split it, spread it over several.
//!
//! Holds: every option takes load from the overloaded shard alone, and gives it to shards that may own it and lie lower.

use super::cluster::{Cluster, PartId};
use super::density::Density;
use super::effect::Densities;
use super::tail::Drift;
use crate::topology::{Change, ShardId, SplitAt, SpreadAt, Strategy, Token};

/// Parts of a bucket's load that a split tries to part with, beside the one that levels both shards.
const PARTS: [f64; 5] = [0.5, 0.25, 1.0 / 3.0, 2.0 / 3.0, 0.75];
/// Shards that one bucket is spread over at most, its present one counted.
const SPREAD_MAX: usize = 6;
/// Load that isn't worth a cut of its own, as a part of the bucket's.
const CRUMB: f64 = 0.02;

/// All options for one bucket. `busy` is by shard index; `targets` are the shards that may take it, emptiest first.
pub(super) fn options(
    cluster: &Cluster<'_>,
    densities: &Densities,
    part: PartId,
    busy: &[f64],
    targets: &[ShardId],
) -> Vec<Vec<Change>> {
    let Some(bucket) = cluster.parts.get(&part) else {
        return Vec::new();
    };
    let whole = |to: ShardId| Change::MoveBucket {
        keyspace: part.0,
        bucket: part.1,
        to,
    };
    let mut options: Vec<Vec<Change>> = targets.iter().map(|to| vec![whole(*to)]).collect();
    let density = densities.get(&part).and_then(Option::as_ref);
    let Some(density) = density.filter(|density| density.places() > 1 && bucket.busy > 0.0) else {
        return options;
    };
    if cluster.drift(part) != Drift::Stays {
        return options;
    }
    for to in targets {
        let level = level(cluster, busy, (bucket.owner, *to)) / bucket.busy;
        for wanted in PARTS.into_iter().chain(Some(level)) {
            if !(CRUMB..=1.0 - CRUMB).contains(&wanted) {
                continue;
            }
            let upper = |at, to| Change::SplitBucket {
                keyspace: part.0,
                bucket: part.1,
                at,
                to,
            };
            options.extend(density.cut(wanted).map(|at| vec![upper(at, *to)]));
            let lower = density.cut(1.0 - wanted);
            options.extend(lower.map(|at| vec![upper(at, bucket.owner), whole(*to)]));
        }
    }
    for count in 3..=SPREAD_MAX.min(targets.len().saturating_add(1)) {
        let others = targets.iter().take(count.saturating_sub(1));
        let group: Vec<ShardId> = Some(bucket.owner).into_iter().chain(others.copied()).collect();
        options.extend(spread(cluster, density, part, busy, &group));
    }
    options
}

/// Busy seconds per second that go over for both shards to be used alike.
fn level(cluster: &Cluster<'_>, busy: &[f64], (from, to): (ShardId, ShardId)) -> f64 {
    let of = |shard: ShardId| busy.get(shard.index()).copied().unwrap_or(0.0);
    let (here, there) = (cluster.capacity(from), cluster.capacity(to));
    if here + there <= 0.0 {
        return 0.0;
    }
    (of(from) * there - of(to) * here) / (here + there)
}

/// A bucket over a group whose first shard has it now: each gets as much as brings all of them to one level.
fn spread(
    cluster: &Cluster<'_>,
    density: &Density,
    part: PartId,
    busy: &[f64],
    group: &[ShardId],
) -> Option<Vec<Change>> {
    let bucket = cluster.parts.get(&part)?;
    let shares = shares(cluster, bucket.busy, bucket.owner, busy, group);
    if shares.iter().any(|share| *share < CRUMB) {
        return None;
    }
    let mut cuts: Vec<SplitAt> = Vec::new();
    let mut above = 1.0;
    for share in shares.iter().take(group.len().saturating_sub(1)) {
        above -= share;
        let cut = density.cut(above)?;
        // Too few places for so many parts.
        if cuts.contains(&cut) {
            return None;
        }
        cuts.push(cut);
    }
    let found = cluster.topology.keyspace(part.0)?;
    let category = found.spread_of(part.1).filter(|spread| spread.buckets().len() == 1);
    if let (Strategy::Category(_), Some(category)) = (found.strategy(), category) {
        let tokens: Vec<Token> = cuts
            .iter()
            .filter_map(|cut| match cut {
                SplitAt::Token(token) => Some(*token),
                SplitAt::Key(_) => None,
            })
            .collect();
        return Some(vec![Change::SpreadCategory {
            keyspace: part.0,
            category: category.category().map(str::to_owned),
            shards: group.to_vec(),
            at: SpreadAt::Tokens(tokens),
        }]);
    }
    // From above, since what was cut off has no name yet.
    let targets = group.iter().skip(1);
    let split = cuts.into_iter().zip(targets).rev().map(|(at, to)| Change::SplitBucket {
        keyspace: part.0,
        bucket: part.1,
        at,
        to: *to,
    });
    Some(split.collect())
}

/// Parts of `load`, which the first of the group has now, that bring the group to one level of utilisation.
fn shares(cluster: &Cluster<'_>, load: f64, owner: ShardId, busy: &[f64], group: &[ShardId]) -> Vec<f64> {
    let without = |shard: ShardId| {
        let busy = busy.get(shard.index()).copied().unwrap_or(0.0);
        if shard == owner { (busy - load).max(0.0) } else { busy }
    };
    let capacity: f64 = group.iter().map(|shard| cluster.capacity(*shard)).sum();
    let all: f64 = load + group.iter().map(|shard| without(*shard)).sum::<f64>();
    let level = if capacity > 0.0 { all / capacity } else { 0.0 };
    let wanted: Vec<f64> = group
        .iter()
        .map(|shard| (level * cluster.capacity(*shard) - without(*shard)).max(0.0))
        .collect();
    let sum: f64 = wanted.iter().sum();
    wanted
        .into_iter()
        .map(|wanted| if sum > 0.0 { wanted / sum } else { 0.0 })
        .collect()
}
