//! Hash keyspaces: equal arcs of the token space, placed by a weighted consistent ring.
//!
//! Why a ring: a new shard takes its share from all others and nothing else moves. Points are our own tokens (a shard's
//! name and a number, hashed as Postgres hashes text), so no version of a dependency can move data.
//! Holds: `tests/golden/placement.txt` pins the outcome; `tests/placement.rs` states the balance.
//! Absent: a bounded-load rule on top, since that moves other buckets when a shard is added.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hash, Hasher};

use hashring::HashRing;

use super::arcs::{self, Arcs};
use super::{BucketId, Shard, ShardId, Token, TopologyError};
use crate::value::Key;

/// Ring points per unit of weight: over 4 shards the largest share is then within about a tenth of the mean.
const POINTS_PER_WEIGHT: u32 = 256;

/// Owners of the buckets of a hash keyspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashPlacement {
    /// as many pieces as there are owners
    arcs: Arcs,
    owners: Vec<ShardId>,
}

impl HashPlacement {
    /// The most buckets that a hash keyspace may have.
    pub const BUCKETS_MAX: u32 = 65_536;

    /// Owners by bucket: at least one, at most [`HashPlacement::BUCKETS_MAX`], which the caller checks.
    pub(super) fn new(owners: Vec<ShardId>) -> HashPlacement {
        let arcs = Arcs::equal(owners.len());
        HashPlacement { arcs, owners }
    }

    /// Owners by bucket, the last ones' buckets cut off at these tokens; `None` if they don't fit each other.
    pub(super) fn cut(owners: Vec<ShardId>, cuts: &[Token]) -> Option<HashPlacement> {
        let equal = owners.len().checked_sub(cuts.len()).filter(|equal| *equal > 0)?;
        let arcs = Arcs::with_cuts(equal, cuts)?;
        Some(HashPlacement { arcs, owners })
    }

    /// Spreads `buckets` over shards in proportion to their weights.
    pub(super) fn spread(buckets: usize, shards: &[(ShardId, &Shard)]) -> Result<HashPlacement, TopologyError> {
        let points: Vec<_> = shards
            .iter()
            .map(|(id, shard)| (*id, *shard, shard.weight.saturating_mul(POINTS_PER_WEIGHT)))
            .collect();
        ring(buckets, &points).map(HashPlacement::new)
    }

    /// Shard of each bucket.
    pub fn owners(&self) -> &[ShardId] {
        &self.owners
    }

    /// The tokens that a shard owns: arcs in order, ends inclusive, neighbours joined. For predicates in SQL.
    pub fn arcs_of(&self, shard: ShardId) -> Vec<(Token, Token)> {
        let mut arcs: Vec<(Token, Token)> = Vec::new();
        let mut is_open = false;
        for bucket in self.arcs.in_order() {
            let owned = self
                .owners
                .get(bucket)
                .filter(|owner| **owner == shard)
                .and_then(|_| self.arcs.piece(bucket));
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
        self.arcs.piece_of(token)
    }

    /// The tokens of a bucket, both ends inclusive, for predicates in SQL.
    pub fn arc(&self, bucket: BucketId) -> Option<(Token, Token)> {
        self.arcs.piece(bucket.index())
    }

    /// How many buckets were declared; those behind them were split off.
    pub fn declared_buckets(&self) -> usize {
        self.arcs.equal_count()
    }

    /// Where buckets that were split off begin, in order of their ids.
    pub fn cuts(&self) -> &[Token] {
        self.arcs.cuts()
    }

    /// Owners of the declared buckets if `taken_from` had only so many thousandths of its ring points: a consistent ring
    /// gives what it loses to the others and moves nothing else. `shards` are those that may own.
    pub fn ring_without(
        buckets: usize,
        shards: &[(ShardId, &Shard)],
        taken_from: ShardId,
        thousandths: u32,
    ) -> Result<Vec<ShardId>, TopologyError> {
        let points: Vec<_> = shards
            .iter()
            .map(|(id, shard)| {
                let all = shard.weight.saturating_mul(POINTS_PER_WEIGHT);
                let kept = if *id == taken_from {
                    all.saturating_mul(thousandths.min(1_000)) / 1_000
                } else {
                    all
                };
                (*id, *shard, kept)
            })
            .collect();
        ring(buckets, &points)
    }

    pub(super) fn set_owner(&mut self, bucket: usize, owner: ShardId) -> Option<()> {
        *self.owners.get_mut(bucket)? = owner;
        Some(())
    }

    /// Cuts a new bucket off; `None` if one begins there already.
    pub(super) fn split(&mut self, at: Token, owner: ShardId) -> Option<()> {
        self.arcs.cut(at)?;
        self.owners.push(owner);
        Some(())
    }
}

/// Owners of equal arcs by a ring with so many points per shard.
fn ring(buckets: usize, shards: &[(ShardId, &Shard, u32)]) -> Result<Vec<ShardId>, TopologyError> {
    let mut points: BTreeMap<u64, (ShardId, &str)> = BTreeMap::new();
    for (id, shard, count) in shards {
        for number in 0..*count {
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
        .ok_or(TopologyError::NoShards)
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
