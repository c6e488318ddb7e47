//! Range keyspaces: ordered, exclusive upper bounds, each with an owner.
//!
//! Holds: bounds ascend strictly, so ranges neither overlap nor leave gaps; only the last may be open. Buckets are numbered by
//! age: in order of keys at the start, each one split off behind all others; a range keeps its lower part's number.

use std::cmp::Ordering;
use std::ops::Range;

use super::{BucketId, ShardId, ShardSet};
use crate::value::Key;

/// One end of a set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<'a> {
    /// no end
    Open,
    /// the key itself belongs to the set
    Inclusive(&'a Key),
    /// the key itself does not
    Exclusive(&'a Key),
}

/// Ranges and owners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangePlacement {
    /// strictly ascending, of one family; as many as owners, or one fewer
    bounds: Vec<Key>,
    owners: Vec<ShardId>,
    /// numbers of the buckets, as many as owners
    buckets: Vec<usize>,
    /// bucket → its place among the owners
    positions: Vec<usize>,
}

/// Where a list of ranges goes wrong.
pub(super) enum RangeFault {
    /// there is none
    Empty,
    /// a range without `until` that isn't the last
    OpenBeforeLast(usize),
    /// a bound that isn't above the one before it
    NotAscending(usize),
    /// buckets' numbers have gaps, or one is given twice
    Misnumbered,
}

impl RangePlacement {
    /// Ranges in order: upper bound (`None`: open) and owner; numbered in order.
    pub(super) fn new(ranges: Vec<(Option<Key>, ShardId)>) -> Result<RangePlacement, RangeFault> {
        let buckets = (0..ranges.len()).collect();
        RangePlacement::numbered(ranges, buckets)
    }

    /// Ranges in order, and their buckets' numbers.
    pub(super) fn numbered(
        ranges: Vec<(Option<Key>, ShardId)>,
        buckets: Vec<usize>,
    ) -> Result<RangePlacement, RangeFault> {
        let last = ranges.len().checked_sub(1).ok_or(RangeFault::Empty)?;
        let positions = positions(&buckets, ranges.len()).ok_or(RangeFault::Misnumbered)?;
        let mut placement = RangePlacement {
            bounds: Vec::new(),
            owners: Vec::new(),
            buckets,
            positions,
        };
        for (index, (until, owner)) in ranges.into_iter().enumerate() {
            placement.owners.push(owner);
            let Some(until) = until else {
                if index < last {
                    return Err(RangeFault::OpenBeforeLast(index));
                }
                continue;
            };
            if placement
                .bounds
                .last()
                .is_some_and(|before| before.compare(&until) != Some(Ordering::Less))
            {
                return Err(RangeFault::NotAscending(index));
            }
            placement.bounds.push(until);
        }
        Ok(placement)
    }

    /// Exclusive upper bounds, ascending; one fewer than owners if the last range is open.
    pub fn bounds(&self) -> &[Key] {
        &self.bounds
    }

    /// Shard of each range.
    pub fn owners(&self) -> &[ShardId] {
        &self.owners
    }

    /// Bucket of each range, in order of keys.
    pub(super) fn buckets(&self) -> &[usize] {
        &self.buckets
    }

    /// A bucket's place in order of keys.
    pub(super) fn position(&self, bucket: usize) -> Option<usize> {
        self.positions.get(bucket).copied()
    }

    /// A bucket's ends: inclusive lower, exclusive upper; `None` where it is open. No answer if there is no such bucket.
    pub fn ends(&self, bucket: BucketId) -> Option<(Option<&Key>, Option<&Key>)> {
        let position = self.position(bucket.index())?;
        let from = position.checked_sub(1).and_then(|before| self.bounds.get(before));
        Some((from, self.bounds.get(position)))
    }

    pub(super) fn set_owner(&mut self, bucket: usize, owner: ShardId) -> Option<()> {
        let position = self.position(bucket)?;
        *self.owners.get_mut(position)? = owner;
        Some(())
    }

    /// Cuts a bucket at a key that lies inside of it: from there on it is a new one. `None` if it doesn't.
    pub(super) fn split(&mut self, bucket: usize, at: Key, owner: ShardId) -> Option<()> {
        let position = self.position(bucket)?;
        let from = position.checked_sub(1).and_then(|before| self.bounds.get(before));
        let is_above = from.is_none_or(|from| from.compare(&at) == Some(Ordering::Less));
        let is_below = self
            .bounds
            .get(position)
            .is_none_or(|until| at.compare(until) == Some(Ordering::Less));
        if !is_above || !is_below {
            return None;
        }
        let behind = position.checked_add(1)?;
        self.bounds.insert(position, at);
        self.owners.insert(behind, owner);
        self.buckets.insert(behind, self.buckets.len());
        self.positions = positions(&self.buckets, self.owners.len())?;
        Some(())
    }

    /// The bucket of the range at this place in order of keys.
    pub(super) fn bucket_at(&self, position: usize) -> Option<usize> {
        self.buckets.get(position).copied()
    }

    /// The range that holds a key of the keyspace's type; the number of ranges if it lies beyond all.
    pub(super) fn range_of(&self, key: &Key) -> usize {
        self.bounds
            .partition_point(|bound| bound.compare(key) != Some(Ordering::Greater))
    }

    /// Owners of the ranges that may hold keys between two ends of the keyspace's type.
    pub(super) fn shards_between(&self, lower: Bound<'_>, upper: Bound<'_>) -> ShardSet {
        self.owners
            .get(self.positions_between(lower, upper))
            .unwrap_or_default()
            .iter()
            .copied()
            .collect()
    }

    /// Places of the ranges that may hold keys between two ends, in order of keys; upside down where the ends cross.
    pub(super) fn positions_between(&self, lower: Bound<'_>, upper: Bound<'_>) -> Range<usize> {
        let first = match lower {
            Bound::Open => 0,
            Bound::Inclusive(key) | Bound::Exclusive(key) => self.range_of(key),
        };
        let end = match upper {
            Bound::Open => self.owners.len(),
            Bound::Inclusive(key) => self.range_of(key).saturating_add(1).min(self.owners.len()),
            Bound::Exclusive(key) => {
                let below = self
                    .bounds
                    .partition_point(|bound| bound.compare(key) == Some(Ordering::Less));
                below.saturating_add(1).min(self.owners.len())
            }
        };
        first..end
    }

    /// What belongs to a range, for people.
    pub(super) fn describe(&self, index: usize) -> String {
        let from = index.checked_sub(1).and_then(|before| self.bounds.get(before));
        match (from, self.bounds.get(index)) {
            (None, None) => "all keys".to_owned(),
            (None, Some(until)) => format!("until {until}"),
            (Some(from), None) => format!("from {from}"),
            (Some(from), Some(until)) => format!("from {from} until {until}"),
        }
    }
}

/// Inverts a numbering; `None` if it isn't one of so many buckets.
fn positions(buckets: &[usize], count: usize) -> Option<Vec<usize>> {
    let mut positions = vec![None; count];
    for (position, bucket) in buckets.iter().enumerate() {
        *positions.get_mut(*bucket).filter(|slot| slot.is_none())? = Some(position);
    }
    positions.into_iter().collect()
}
