//! The cluster as the judge sees it: shards with room and without, buckets with their load, size and samples.
//!
//! Why a form of its own: the snapshot is looked up by id once, so that the order of its lists can't matter; sums are taken
//! in order of ids, so that they come out the same to the last bit.

use std::collections::BTreeMap;

use super::density::{Density, Position, Weighed, float};
use super::tail::{Drift, SAMPLES_LEAST, drift};
use super::{History, Policy};
use crate::telemetry::{BucketLoad, KeyspaceLoad, LoadSnapshot, Moment, ShardLoad};
use crate::topology::{BucketId, KeyspaceId, ShardId, Strategy, Topology};
use crate::value::Key;

/// A bucket of the cluster.
pub(super) type PartId = (KeyspaceId, BucketId);

/// See the module.
pub(super) struct Cluster<'a> {
    pub(super) topology: &'a Topology,
    pub(super) policy: &'a Policy,
    pub(super) history: &'a History,
    pub(super) now: Moment,
    pub(super) shards: BTreeMap<ShardId, &'a ShardLoad>,
    pub(super) parts: BTreeMap<PartId, Bucket<'a>>,
    keyspaces: BTreeMap<KeyspaceId, &'a KeyspaceLoad>,
}

/// One bucket.
pub(super) struct Bucket<'a> {
    pub(super) owner: ShardId,
    /// busy seconds per second over the last minute
    pub(super) busy: f64,
    /// measured, or the mean of its keyspace's others
    pub(super) bytes: u64,
    pub(super) is_measured: bool,
    pub(super) load: &'a BucketLoad,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(
        load: &'a LoadSnapshot,
        topology: &'a Topology,
        policy: &'a Policy,
        history: &'a History,
        now: Moment,
    ) -> Cluster<'a> {
        let serving = topology.all_shards();
        let shards = load
            .shards
            .iter()
            .filter(|shard| serving.contains(shard.shard) && shard.capacity > 0.0)
            .map(|shard| (shard.shard, shard))
            .collect();
        let keyspaces: BTreeMap<KeyspaceId, &KeyspaceLoad> = load
            .keyspaces
            .iter()
            .map(|keyspace| (keyspace.keyspace, keyspace))
            .collect();
        let mut parts = BTreeMap::new();
        for (id, keyspace) in &keyspaces {
            let Some(found) = topology.keyspace(*id) else { continue };
            let known: Vec<u64> = keyspace.buckets.iter().filter_map(|bucket| bucket.size_bytes).collect();
            let count = u64::try_from(known.len()).unwrap_or(u64::MAX);
            let mean = known.iter().copied().fold(0, u64::saturating_add).checked_div(count);
            for bucket in &keyspace.buckets {
                let Some(owner) = found.owner(bucket.bucket) else {
                    continue;
                };
                let part = Bucket {
                    owner,
                    busy: bucket.busy().minute.max(0.0),
                    bytes: bucket.size_bytes.or(mean).unwrap_or(0),
                    is_measured: bucket.size_bytes.is_some(),
                    load: bucket,
                };
                parts.insert((*id, bucket.bucket), part);
            }
        }
        Cluster {
            topology,
            policy,
            history,
            now,
            shards,
            parts,
            keyspaces,
        }
    }

    /// Busy seconds per second by shard index, over the last minute.
    pub(super) fn busy(&self) -> Vec<f64> {
        let mut busy = vec![0.0; self.topology.shards().len()];
        for (shard, load) in &self.shards {
            if let Some(slot) = busy.get_mut(shard.index()) {
                *slot = load.busy.minute.max(0.0);
            }
        }
        busy
    }

    /// Does a shard still carry what its window says? Just after a move the window holds load of buckets that have gone;
    /// theirs have gone with them.
    pub(super) fn still_carries(&self, shard: ShardId) -> bool {
        if !self.history.has_just_moved(self.policy, self.now) {
            return true;
        }
        let Some(load) = self.shards.get(&shard) else {
            return false;
        };
        let owned = self.parts.values().filter(|bucket| bucket.owner == shard);
        let carried = load.unattributed.minute + owned.map(|bucket| bucket.busy).sum::<f64>();
        carried > self.policy.threshold * load.capacity
    }

    pub(super) fn capacity(&self, shard: ShardId) -> f64 {
        self.shards.get(&shard).map_or(0.0, |load| load.capacity)
    }

    /// Utilisation that these busy seconds mean.
    pub(super) fn used(&self, shard: ShardId, busy: &[f64]) -> f64 {
        let capacity = self.capacity(shard);
        match busy.get(shard.index()) {
            Some(busy) if capacity > 0.0 => busy / capacity,
            Some(_) | None => 0.0,
        }
    }

    /// May it be touched now?
    pub(super) fn is_free(&self, (keyspace, bucket): PartId) -> bool {
        !self.history.is_cooling(keyspace, bucket, self.policy, self.now)
    }

    /// A bucket and all others of its category: a spread is of them together.
    pub(super) fn with_siblings(&self, part: PartId) -> Vec<PartId> {
        let found = self.topology.keyspace(part.0);
        match found.and_then(|found| found.spread_of(part.1)) {
            Some(spread) => spread
                .buckets()
                .into_iter()
                .map(|(bucket, _)| (part.0, bucket))
                .collect(),
            None => vec![part],
        }
    }

    /// How a bucket's load lies over it; `None` if too few keys were sampled.
    pub(super) fn density(&self, part: PartId) -> Option<Density> {
        let load = self.keyspaces.get(&part.0)?;
        let bucket = self.parts.get(&part)?;
        let is_range = matches!(self.topology.keyspace(part.0)?.strategy(), Strategy::Range(_));
        let position = |key: &Key| {
            if is_range {
                Position::Key(key.clone())
            } else {
                Position::Token(crate::topology::Token(key.hash()))
            }
        };
        let sampled: Vec<Weighed> = load
            .samples
            .iter()
            .filter(|sample| sample.bucket == part.1 && sample.weight > 0.0)
            .map(|sample| Weighed {
                at: position(&sample.key),
                key: sample.key.clone(),
                load: sample.weight,
            })
            .collect();
        if sampled.len() < SAMPLES_LEAST {
            return None;
        }
        let whole = self.busy_of(part.0);
        let heavy: Vec<Weighed> = load
            .heavy
            .iter()
            .filter(|key| key.bucket == part.1)
            .map(|key| Weighed {
                at: position(&key.key),
                key: key.key.clone(),
                load: (key.share - key.error).max(0.0) * whole,
            })
            .collect();
        let mut sampled = sampled;
        let mut heavy = heavy;
        // The order of the lists must not reach a sum.
        sort(&mut sampled);
        sort(&mut heavy);
        Some(Density::new(bucket.busy, &heavy, &sampled)).filter(|density| density.places() > 0)
    }

    /// Busy seconds per second of a keyspace's buckets.
    pub(super) fn busy_of(&self, keyspace: KeyspaceId) -> f64 {
        let buckets = self.parts.iter().filter(|((of, _), _)| *of == keyspace);
        buckets.map(|(_, bucket)| bucket.busy).sum()
    }

    /// Does the load of a range move on as keys grow?
    pub(super) fn drift(&self, (keyspace, bucket): PartId) -> Drift {
        let found = self.topology.keyspace(keyspace).map(|found| found.strategy());
        match found {
            Some(Strategy::Range(range)) => {
                let from = range.ends(bucket).and_then(|(from, _)| from);
                drift(self.history.sightings(keyspace, bucket), from)
            }
            Some(Strategy::Hash(_) | Strategy::Category(_)) | None => Drift::Stays,
        }
    }

    /// The heaviest keys of a keyspace: text, bucket, busy seconds per second that are sure, heaviest first.
    pub(super) fn heavy_keys(&self, shard: ShardId) -> Vec<(PartId, &'a Key, f64)> {
        let mut keys: Vec<(PartId, &Key, f64)> = Vec::new();
        for (id, keyspace) in &self.keyspaces {
            let whole = self.busy_of(*id);
            for key in &keyspace.heavy {
                let part = (*id, key.bucket);
                if self.parts.get(&part).is_some_and(|bucket| bucket.owner == shard) {
                    keys.push((part, &key.key, (key.share - key.error).max(0.0) * whole));
                }
            }
        }
        keys.sort_by(|a, b| {
            let order = b.2.total_cmp(&a.2).then(a.0.cmp(&b.0));
            order.then_with(|| a.1.to_text().cmp(&b.1.to_text()))
        });
        keys
    }

    /// A bucket's name, as the operator knows it.
    pub(super) fn name(&self, (keyspace, bucket): PartId) -> String {
        let found = self.topology.keyspace(keyspace);
        let Some(found) = found else { return "?".to_owned() };
        let name = found
            .bucket(bucket)
            .map_or_else(|| "?".to_owned(), |bucket| bucket.name);
        match found.strategy() {
            Strategy::Category(_) => name,
            Strategy::Hash(_) => format!("bucket {name} of {}", found.name()),
            Strategy::Range(_) => format!("range {name} of {}", found.name()),
        }
    }

    pub(super) fn keyspace_name(&self, keyspace: KeyspaceId) -> &'a str {
        self.topology.keyspace(keyspace).map_or("?", |found| found.name())
    }
}

fn sort(keys: &mut [Weighed]) {
    keys.sort_by(|a, b| {
        let order = a.key.to_text().cmp(&b.key.to_text());
        order.then(a.load.total_cmp(&b.load))
    });
}

/// Bytes in proportion.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate, not negative, at most what went in"
)]
pub(super) fn part_of(bytes: u64, part: f64) -> u64 {
    let whole = float(i64::try_from(bytes).unwrap_or(i64::MAX));
    (whole * part.clamp(0.0, 1.0)) as u64
}
