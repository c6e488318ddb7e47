//! Shards by index, and sets of them.
//!
//! Why a bit set: every plan carries one, and routing must not allocate.

use std::fmt;

/// The most shards a topology may have: a [`ShardSet`] is one machine word pair.
pub const SHARDS_MAX: usize = 128;

/// Index of a shard in [`crate::topology::Topology::shards`]; stable for ever once stored (shards are only appended or
/// retired). Below [`SHARDS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u8);

impl ShardId {
    /// The shard at this index, if a topology may have that many.
    pub fn new(index: usize) -> Option<ShardId> {
        u8::try_from(index).ok().filter(|_| index < SHARDS_MAX).map(ShardId)
    }

    /// Its index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A set of shards. Iterates in shard order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardSet(u128);

impl ShardSet {
    /// No shard.
    pub const EMPTY: ShardSet = ShardSet(0);

    /// The first `count` shards; all that can be if there are more.
    pub fn all(count: usize) -> ShardSet {
        match u32::try_from(SHARDS_MAX.saturating_sub(count)) {
            Ok(unused) => ShardSet(u128::MAX.checked_shr(unused).unwrap_or(0)),
            Err(_) => ShardSet::EMPTY,
        }
    }

    /// Just this shard.
    pub fn only(shard: ShardId) -> ShardSet {
        ShardSet(1 << shard.0)
    }

    /// This set and `shard`.
    #[must_use]
    pub fn with(self, shard: ShardId) -> ShardSet {
        self.union(ShardSet::only(shard))
    }

    /// This set but for `shard`.
    #[must_use]
    pub fn without(self, shard: ShardId) -> ShardSet {
        ShardSet(self.0 & !ShardSet::only(shard).0)
    }

    /// Is `shard` in it?
    pub fn contains(self, shard: ShardId) -> bool {
        !self.intersect(ShardSet::only(shard)).is_empty()
    }

    /// Are all shards of `other` in it?
    pub fn contains_all(self, other: ShardSet) -> bool {
        self.union(other) == self
    }

    /// The shards of either.
    #[must_use]
    pub fn union(self, other: ShardSet) -> ShardSet {
        ShardSet(self.0 | other.0)
    }

    /// The shards of both.
    #[must_use]
    pub fn intersect(self, other: ShardSet) -> ShardSet {
        ShardSet(self.0 & other.0)
    }

    /// How many.
    pub fn len(self) -> usize {
        // At most 128.
        usize::try_from(self.0.count_ones()).unwrap_or(SHARDS_MAX)
    }

    /// None at all?
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The lowest shard.
    pub fn first(self) -> Option<ShardId> {
        self.iter().next()
    }

    /// The one shard in it, if it is exactly one.
    pub fn single(self) -> Option<ShardId> {
        self.first().filter(|_| self.len() == 1)
    }

    /// Its shards, lowest first.
    pub fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let index = rest.trailing_zeros();
            let shard = ShardId::new(usize::try_from(index).ok()?)?;
            rest &= rest.wrapping_sub(1);
            Some(shard)
        })
    }
}

impl FromIterator<ShardId> for ShardSet {
    fn from_iter<I: IntoIterator<Item = ShardId>>(shards: I) -> ShardSet {
        shards.into_iter().fold(ShardSet::EMPTY, ShardSet::with)
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(ShardId::index)).finish()
    }
}
