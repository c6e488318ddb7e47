//! What changes would do: how much load and how many bytes go where.
//!
//! Why one function for all changes: what a search finds, what a stored proposal still promises and what is shown are then
//! the same numbers.
//! Bytes of a part: of a token arc in proportion to its width, since hashes spread rows evenly; of a key range in proportion
//! to its width where keys have distances, else to its load.

use std::collections::{BTreeMap, BTreeSet};

use super::cluster::{Cluster, PartId, part_of};
use super::density::{Density, Position, distance, float};
use crate::topology::{Change, ShardId, ShardSet, SplitAt, Strategy, Token, spread_starts};

/// What changes would do.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    /// busy seconds per second that shards get (or lose)
    pub(super) busy: BTreeMap<ShardId, f64>,
    /// bytes that move, by change
    pub(super) bytes: Vec<u64>,
    /// shards that lose or get something
    pub(super) touched: ShardSet,
    /// buckets that are named
    pub(super) parts: BTreeSet<PartId>,
}

/// A bucket while changes are made: the lowest part, which keeps its id.
#[derive(Clone, Copy)]
struct Lowest {
    owner: ShardId,
    /// part of the load that was cut off above it
    load_above: f64,
    /// part of the bytes that were cut off above it
    bytes_above: f64,
}

/// What is known of the buckets at hand.
pub(super) type Densities = BTreeMap<PartId, Option<Density>>;

/// `None` if a change can't be judged: it names what isn't there, or cuts where too few keys were sampled.
pub(super) fn effect(cluster: &Cluster<'_>, densities: &Densities, changes: &[Change]) -> Option<Effect> {
    let mut effect = Effect::default();
    let mut lowest: BTreeMap<PartId, Lowest> = BTreeMap::new();
    for change in changes {
        match change {
            Change::MoveBucket { keyspace, bucket, to } => {
                let part = (*keyspace, *bucket);
                let mut now = start(cluster, &lowest, part)?;
                let moved = (1.0 - now.load_above, 1.0 - now.bytes_above);
                let bytes = effect.shift(cluster, part, now.owner, *to, moved)?;
                effect.bytes.push(bytes);
                now.owner = *to;
                lowest.insert(part, now);
            }
            Change::SplitBucket {
                keyspace,
                bucket,
                at,
                to,
            } => {
                let part = (*keyspace, *bucket);
                let now = start(cluster, &lowest, part)?;
                let (load, bytes) = above(cluster, densities, part, at)?;
                let moved = (load - now.load_above, bytes - now.bytes_above);
                let bytes_moved = effect.shift(cluster, part, now.owner, *to, moved)?;
                effect.bytes.push(bytes_moved);
                let cut = Lowest {
                    load_above: load,
                    bytes_above: bytes,
                    ..now
                };
                lowest.insert(part, cut);
            }
            Change::SpreadCategory {
                keyspace,
                category,
                shards,
                at,
            } => {
                let found = cluster.topology.keyspace(*keyspace)?;
                let starts = spread_starts(shards.len(), at)?;
                let mut bytes = 0_u64;
                for (bucket, _) in found.buckets_of(category.as_deref()) {
                    let part = (*keyspace, bucket);
                    let now = start(cluster, &lowest, part)?;
                    let spread = (starts.as_slice(), shards.as_slice());
                    bytes = bytes.saturating_add(effect.spread(cluster, densities, part, now, spread)?);
                }
                effect.bytes.push(bytes);
            }
        }
    }
    Some(effect)
}

impl Effect {
    /// Load and bytes of a part of a bucket go from one shard to another; answers the bytes.
    fn shift(
        &mut self,
        cluster: &Cluster<'_>,
        part: PartId,
        from: ShardId,
        to: ShardId,
        (load, bytes): (f64, f64),
    ) -> Option<u64> {
        let bucket = cluster.parts.get(&part)?;
        self.parts.insert(part);
        if from == to {
            return Some(0);
        }
        let busy = bucket.busy * load.max(0.0);
        *self.busy.entry(from).or_default() -= busy;
        *self.busy.entry(to).or_default() += busy;
        self.touched = self.touched.with(from).with(to);
        Some(part_of(bucket.bytes, bytes))
    }

    fn spread(
        &mut self,
        cluster: &Cluster<'_>,
        densities: &Densities,
        part: PartId,
        now: Lowest,
        (starts, shards): (&[Token], &[ShardId]),
    ) -> Option<u64> {
        let (low, high) = cluster.topology.keyspace(part.0)?.arc(part.1)?;
        let mut bytes = 0_u64;
        let mut above_load = now.load_above;
        let mut above_bytes = now.bytes_above;
        // From the highest part down, each ends where the one before began.
        let inside = starts.iter().rev().filter(|start| **start > low && **start <= high);
        for cut in inside {
            let (load, size) = above(cluster, densities, part, &SplitAt::Token(*cut))?;
            let arc = starts.partition_point(|start| start <= cut);
            let moved = (load - above_load, size - above_bytes);
            bytes = bytes.saturating_add(self.shift(cluster, part, now.owner, *shards.get(arc)?, moved)?);
            (above_load, above_bytes) = (load, size);
        }
        let arc = starts.partition_point(|start| *start <= low);
        let moved = (1.0 - above_load, 1.0 - above_bytes);
        Some(bytes.saturating_add(self.shift(cluster, part, now.owner, *shards.get(arc)?, moved)?))
    }
}

fn start(cluster: &Cluster<'_>, lowest: &BTreeMap<PartId, Lowest>, part: PartId) -> Option<Lowest> {
    let owner = cluster.parts.get(&part)?.owner;
    let untouched = Lowest {
        owner,
        load_above: 0.0,
        bytes_above: 0.0,
    };
    Some(lowest.get(&part).copied().unwrap_or(untouched))
}

/// Parts of a bucket's load and bytes that lie at a place and behind it.
fn above(cluster: &Cluster<'_>, densities: &Densities, part: PartId, at: &SplitAt) -> Option<(f64, f64)> {
    let fresh;
    let density = match densities.get(&part) {
        Some(density) => density.as_ref()?,
        None => {
            fresh = cluster.density(part)?;
            &fresh
        }
    };
    let load = density.above(&Position::from(at));
    let keyspace = cluster.topology.keyspace(part.0)?;
    let bytes = match (at, keyspace.strategy()) {
        (SplitAt::Token(at), Strategy::Hash(_) | Strategy::Category(_)) => {
            let (low, high) = keyspace.arc(part.1)?;
            width(*at, high) / width(low, high)
        }
        (SplitAt::Key(at), Strategy::Range(range)) => {
            let (from, until) = range.ends(part.1)?;
            let (least, greatest) = density.key_ends()?;
            let (from, until) = (from.unwrap_or(least), until.unwrap_or(greatest));
            match (distance(from), distance(at), distance(until)) {
                (Some(from), Some(at), Some(until)) if until > from => ((until - at) / (until - from)).clamp(0.0, 1.0),
                _ => load,
            }
        }
        (SplitAt::Token(_), Strategy::Range(_)) | (SplitAt::Key(_), Strategy::Hash(_) | Strategy::Category(_)) => {
            return None;
        }
    };
    Some((load, bytes))
}

/// How many tokens there are between two, both counted.
fn width(low: Token, high: Token) -> f64 {
    // Shifted down by one, so that the whole ring fits; the last digit means nothing.
    let width = (i128::from(high.0) - i128::from(low.0) + 1).div_euclid(2);
    float(i64::try_from(width).unwrap_or(i64::MAX)).max(1.0)
}
