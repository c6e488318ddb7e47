//! Range keyspaces: ordered, exclusive upper bounds, each with an owner.

use super::ShardId;
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
    bounds: Vec<Key>,
    owners: Vec<ShardId>,
}

impl RangePlacement {
    /// Exclusive upper bounds, ascending; one fewer than owners if the last range is open.
    pub fn bounds(&self) -> &[Key] {
        &self.bounds
    }

    /// Shard of each range.
    pub fn owners(&self) -> &[ShardId] {
        &self.owners
    }
}
