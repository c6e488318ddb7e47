//! Range keyspaces: ordered, exclusive upper bounds, each with an owner.
//!
//! Holds: bounds ascend strictly, so ranges neither overlap nor leave gaps; only the last may be open.

use std::cmp::Ordering;

use super::ShardId;
use super::ShardSet;
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
}

/// Where a list of ranges goes wrong.
pub(super) enum RangeFault {
    /// there is none
    Empty,
    /// a range without `until` that isn't the last
    OpenBeforeLast(usize),
    /// a bound that isn't above the one before it
    NotAscending(usize),
}

impl RangePlacement {
    /// Ranges in order: upper bound (`None`: open) and owner.
    pub(super) fn new(ranges: Vec<(Option<Key>, ShardId)>) -> Result<RangePlacement, RangeFault> {
        let last = ranges.len().checked_sub(1).ok_or(RangeFault::Empty)?;
        let mut placement = RangePlacement {
            bounds: Vec::new(),
            owners: Vec::new(),
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

    /// The range that holds a key of the keyspace's type; the number of ranges if it lies beyond all.
    pub(super) fn range_of(&self, key: &Key) -> usize {
        self.bounds
            .partition_point(|bound| bound.compare(key) != Some(Ordering::Greater))
    }

    /// Owners of the ranges that may hold keys between two ends of the keyspace's type.
    pub(super) fn shards_between(&self, lower: Bound<'_>, upper: Bound<'_>) -> ShardSet {
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
        self.owners
            .get(first..end)
            .unwrap_or_default()
            .iter()
            .copied()
            .collect()
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
