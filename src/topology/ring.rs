//! Hash keyspaces: equal arcs of the token space, placed by a weighted consistent ring.
//!
//! Why a ring: a new shard takes its share from all others and nothing else moves. Points are our own tokens (a shard's
//! name and a number, hashed as Postgres hashes text), so no version of a dependency can move data.
//! Holds: `tests/golden/placement.txt` pins the outcome; `tests/placement.rs` states the balance.
//! Absent: a bounded-load rule on top, since that moves other buckets when a shard is added.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

use hashring::HashRing;

use super::{BucketId, Shard, ShardId, Token, TopologyError, arcs};
use crate::value::Key;

/// Ring points per unit of weight: over 4 shards the largest share is then within about a tenth of the mean.
const POINTS_PER_WEIGHT: u32 = 256;

/// Owners of the buckets of a hash keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPlacement {
    owners: Vec<ShardId>,
}

impl HashPlacement {
    /// The most buckets that a hash keyspace may have.
    pub const BUCKETS_MAX: u32 = 65_536;

    /// Owners by bucket: at least one, at most [`HashPlacement::BUCKETS_MAX`], which the caller checks.
    pub(super) fn new(owners: Vec<ShardId>) -> HashPlacement {
        HashPlacement { owners }
    }

    /// Spreads `buckets` over shards in proportion to their weights.
    pub(super) fn spread(buckets: usize, shards: &[(ShardId, &Shard)]) -> Result<HashPlacement, TopologyError> {
        let mut points: BTreeMap<u64, (ShardId, &str)> = BTreeMap::new();
        for (id, shard) in shards {
            for number in 0..shard.weight.saturating_mul(POINTS_PER_WEIGHT) {
                let point = Key::Text(format!("{}#{number}", shard.name).into_bytes())
                    .hash()
                    .cast_unsigned();
                if let Some((_, other)) = points.insert(point, (*id, &shard.name)) {
                    return Err(TopologyError::RingCollision {
                        shard: shard.name.clone(),
                        other: other.to_owned(),
                    });
                }
            }
        }
        let mut ring = HashRing::with_hasher(Identity);
        ring.batch_add(
            points
                .into_iter()
                .map(|(token, (shard, _))| Point { token, shard })
                .collect(),
        );
        let owner = |bucket| {
            let (low, _) = arcs::arc(bucket, buckets)?;
            ring.get(&Spot(low.0.cast_unsigned())).map(|point| point.shard)
        };
        (0..buckets)
            .map(owner)
            .collect::<Option<Vec<_>>>()
            .map(HashPlacement::new)
            .ok_or(TopologyError::NoShards)
    }

    /// Shard of each bucket.
    pub fn owners(&self) -> &[ShardId] {
        &self.owners
    }

    /// The tokens that a shard owns: arcs in order, ends inclusive, neighbours joined. For predicates in SQL.
    pub fn arcs_of(&self, shard: ShardId) -> Vec<(Token, Token)> {
        let mut arcs: Vec<(Token, Token)> = Vec::new();
        let mut is_open = false;
        for (index, owner) in self.owners.iter().enumerate() {
            let owned = Some(index)
                .filter(|_| *owner == shard)
                .and_then(|index| arcs::arc(index, self.owners.len()));
            match (owned, arcs.last_mut().filter(|_| is_open)) {
                (Some((_, high)), Some((_, end))) => *end = high,
                (Some(arc), None) => arcs.push(arc),
                (None, _) => {}
            }
            is_open = owned.is_some();
        }
        arcs
    }

    /// The bucket whose arc a token falls into.
    pub(super) fn bucket_of(&self, token: Token) -> usize {
        arcs::arc_of(token, self.owners.len())
    }

    /// The tokens of a bucket, both ends inclusive, for predicates in SQL.
    pub fn arc(&self, bucket: BucketId) -> Option<(Token, Token)> {
        arcs::arc(bucket.index(), self.owners.len())
    }
}

/// A virtual node.
#[derive(Clone, Debug)]
struct Point {
    token: u64,
    shard: ShardId,
}

/// What is looked up.
struct Spot(u64);

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.token);
    }
}

impl Hash for Spot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
    }
}

/// Tokens are hashes already; `std::hash::Hash` is no format to persist.
#[derive(Clone, Copy, Debug)]
struct Identity;

struct IdentityHasher(u64);

impl BuildHasher for Identity {
    type Hasher = IdentityHasher;

    fn build_hasher(&self) -> IdentityHasher {
        IdentityHasher(0)
    }
}

impl Hasher for IdentityHasher {
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never called: points and spots write one u64. Still a function of the bytes.
        self.0 = bytes
            .iter()
            .fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
