//! How the rows of one write lie over buckets: whose load it is, where it isn't one bucket's.
//!
//! Why counts and a few keys: a split write's time is known per shard; rows are what divides it further. The keys say where
//! in a bucket the rows lie, for whoever wants to cut it.
//! Holds: at most [`SHARES_MAX`] shares and [`KEYS_MAX`] keys, whatever the number of rows; beyond, shares at equal steps
//! along the rows stand for all, so that a bucket's rows are wrong by less than one step.

use crate::topology::{BucketId, KeyspaceId, Place, ShardId};
use crate::value::Key;

/// Buckets that are told apart.
pub(in crate::plan) const SHARES_MAX: usize = 1024;

/// Keys that are kept.
const KEYS_MAX: usize = 16;

/// Rows of one write, by bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct RowShares {
    /// whose buckets
    pub keyspace: KeyspaceId,
    /// in order of shards, then of buckets, each once
    pub shares: Vec<RowShare>,
    /// keys at equal steps along the rows: each stands for as many
    pub keys: Vec<(BucketId, Key)>,
}

/// One bucket's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowShare {
    /// its shard
    pub shard: ShardId,
    /// it
    pub bucket: BucketId,
    /// how many
    pub rows: u64,
}

/// Counts the rows of a write that streams by, in memory for its keyspace's buckets.
#[derive(Debug)]
pub struct RowTally {
    keyspace: KeyspaceId,
    /// by bucket
    rows: Vec<u64>,
    seen: u64,
    /// rows from one kept key to the next
    stride: u64,
    keys: Vec<(BucketId, Key)>,
}

// === impl RowShares ===

impl RowShares {
    /// Of rows in any order, of which at least one has a place; `key`: that of the row at an index of the list.
    pub(in crate::plan) fn of(keyspace: KeyspaceId, places: &[Place], key: impl Fn(usize) -> Option<Key>) -> RowShares {
        let step = places.len().div_ceil(KEYS_MAX).max(1);
        let keys = places.iter().enumerate().skip(step / 2).step_by(step);
        let keys = keys.filter_map(|(index, place)| Some((place.bucket, key(index)?)));
        let keys = keys.collect();
        let mut sorted: Vec<(ShardId, BucketId)> = places.iter().map(|place| (place.shard, place.bucket)).collect();
        sorted.sort_unstable();
        let counted = sorted.chunk_by(|one, other| one == other).filter_map(|rows| {
            let (shard, bucket) = *rows.first()?;
            let rows = u64::try_from(rows.len()).ok()?;
            Some(RowShare { shard, bucket, rows })
        });
        RowShares {
            keyspace,
            shares: thinned(counted.collect(), SHARES_MAX),
            keys,
        }
    }

    /// How many rows a shard gets.
    pub fn rows_on(&self, shard: ShardId) -> u64 {
        self.on(shard).map(|share| share.rows).fold(0, u64::saturating_add)
    }

    /// The shares of one shard.
    pub fn on(&self, shard: ShardId) -> impl Iterator<Item = &RowShare> {
        let first = self.shares.partition_point(|share| share.shard < shard);
        let rest = self.shares.get(first..).unwrap_or_default().iter();
        rest.take_while(move |share| share.shard == shard)
    }
}

// === impl RowTally ===

impl RowTally {
    /// Of a keyspace with so many buckets; nothing counted yet.
    pub fn new(keyspace: KeyspaceId, buckets: usize) -> RowTally {
        RowTally {
            keyspace,
            rows: vec![0; buckets],
            seen: 0,
            stride: 1,
            keys: Vec::new(),
        }
    }

    /// A row of this bucket; `key` is called for a few only.
    pub fn count(&mut self, bucket: BucketId, key: impl FnOnce() -> Option<Key>) {
        if let Some(rows) = self.rows.get_mut(bucket.index()) {
            *rows = rows.saturating_add(1);
        }
        let is_due = self.seen.is_multiple_of(self.stride);
        self.seen = self.seen.saturating_add(1);
        if !is_due {
            return;
        }
        if self.keys.len() >= KEYS_MAX {
            // Every second one goes, and from now on every second one only comes.
            let mut index = 0_usize;
            self.keys.retain(|_| {
                index = index.wrapping_add(1);
                index % 2 == 1
            });
            self.stride = self.stride.saturating_mul(2);
            if !self.seen.saturating_sub(1).is_multiple_of(self.stride) {
                return;
            }
        }
        if let Some(key) = key() {
            self.keys.push((bucket, key));
        }
    }

    /// What was counted; `owner`: a bucket's shard. `None`: no row.
    pub fn shares(&self, owner: impl Fn(BucketId) -> Option<ShardId>) -> Option<RowShares> {
        let counted = self.rows.iter().enumerate().filter(|(_, rows)| **rows > 0);
        let shares = counted.filter_map(|(index, rows)| {
            let bucket = BucketId::new(index)?;
            let shard = owner(bucket)?;
            Some(RowShare {
                shard,
                bucket,
                rows: *rows,
            })
        });
        let mut shares: Vec<RowShare> = shares.collect();
        shares.sort_unstable_by_key(|share| (share.shard, share.bucket));
        (!shares.is_empty()).then(|| RowShares {
            keyspace: self.keyspace,
            shares: thinned(shares, SHARES_MAX),
            keys: self.keys.clone(),
        })
    }
}

/// At most `count` shares: those hit at equal steps along the rows, each standing for its hits.
fn thinned(shares: Vec<RowShare>, count: usize) -> Vec<RowShare> {
    if shares.len() <= count {
        return shares;
    }
    let total = shares.iter().map(|share| share.rows).fold(0, u64::saturating_add);
    let step = total.div_ceil(u64::try_from(count).unwrap_or(u64::MAX)).max(1);
    let (mut before, mut next) = (0_u64, step / 2);
    let mut thinned = Vec::with_capacity(count);
    for share in shares {
        before = before.saturating_add(share.rows);
        let hits = before.saturating_sub(next).div_ceil(step);
        if hits > 0 {
            let rows = hits.saturating_mul(step);
            next = next.saturating_add(rows);
            thinned.push(RowShare { rows, ..share });
        }
    }
    thinned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(shard: usize, bucket: usize) -> Place {
        Place {
            shard: ShardId::new(shard).unwrap(),
            bucket: BucketId::new(bucket).unwrap(),
        }
    }

    fn keyspace() -> KeyspaceId {
        KeyspaceId::new(0).unwrap()
    }

    fn told(shares: &RowShares) -> Vec<(usize, usize, u64)> {
        let of = |share: &RowShare| (share.shard.index(), share.bucket.index(), share.rows);
        shares.shares.iter().map(of).collect()
    }

    #[test]
    fn rows_are_counted_by_bucket_whatever_their_order() {
        let places = [
            place(1, 4),
            place(0, 2),
            place(1, 4),
            place(1, 3),
            place(0, 2),
            place(1, 4),
        ];
        let shares = RowShares::of(keyspace(), &places, |index| Some(Key::Int(index as i64)));
        assert_eq!(told(&shares), [(0, 2, 2), (1, 3, 1), (1, 4, 3)]);
        assert_eq!(shares.rows_on(ShardId::new(1).unwrap()), 4);
        assert_eq!(shares.rows_on(ShardId::new(2).unwrap()), 0);
        let keys: Vec<(usize, Key)> = shares
            .keys
            .into_iter()
            .map(|(bucket, key)| (bucket.index(), key))
            .collect();
        assert_eq!(keys.len(), places.len());
        assert_eq!((&keys[0], &keys[3]), (&(4, Key::Int(0)), &(3, Key::Int(3))));
    }

    #[test]
    fn a_tally_says_the_same_as_a_list() {
        let places: Vec<Place> = (0..500).map(|row| place(row % 7 % 3, row % 7)).collect();
        let mut tally = RowTally::new(keyspace(), 7);
        assert_eq!(tally.shares(|_| ShardId::new(0)), None);
        for (row, place) in places.iter().enumerate() {
            tally.count(place.bucket, || Some(Key::Int(row as i64)));
        }
        let streamed = tally.shares(|bucket| ShardId::new(bucket.index() % 3)).unwrap();
        let listed = RowShares::of(keyspace(), &places, |_| None);
        assert_eq!(streamed.shares, listed.shares);
        assert!(
            (KEYS_MAX / 2..=KEYS_MAX).contains(&streamed.keys.len()),
            "{:?}",
            streamed.keys
        );
        let rows: Vec<i64> = streamed
            .keys
            .iter()
            .filter_map(|(_, key)| match key {
                Key::Int(row) => Some(*row),
                _ => None,
            })
            .collect();
        let step = rows[1] - rows[0];
        assert!(rows.windows(2).all(|two| two[1] - two[0] == step), "{rows:?}");
    }

    #[test]
    fn many_buckets_are_told_by_few() {
        let places: Vec<Place> = (0..100_000)
            .map(|row| place(0, if row < 50_000 { 0 } else { row }))
            .collect();
        let shares = RowShares::of(keyspace(), &places, |_| None);
        assert!(shares.shares.len() <= SHARES_MAX, "{}", shares.shares.len());
        let total = shares.rows_on(ShardId::new(0).unwrap());
        let step = 100_000_u64.div_ceil(SHARES_MAX as u64);
        assert!(total.abs_diff(100_000) <= step, "{total}");
        assert!(shares.shares[0].rows.abs_diff(50_000) <= step, "{:?}", shares.shares[0]);
    }
}
