//! Tokens, buckets, and the place that a key gets.

use super::ShardId;

/// 64-bit signed hash of a key, equal to Postgres's own extended hash functions with seed 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub i64);

/// Index of a bucket within its keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId(u32);

impl BucketId {
    /// The bucket at this index.
    pub fn new(index: usize) -> Option<BucketId> {
        u32::try_from(index).ok().map(BucketId)
    }

    /// Its index.
    pub fn index(self) -> usize {
        // u32 fits usize on every machine with a network stack.
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Where a key lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// of the keyspace
    pub bucket: BucketId,
    /// its owner
    pub shard: ShardId,
}

/// The answer to "where does this key lie?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placed {
    /// Here, and nowhere else.
    At(Place),
    /// The key's category must be looked up (and be fixed, before a write); then ask
    /// [`crate::topology::Keyspace::place_in_category`].
    CategoryNeeded,
    /// The key's category (or the key, where categories are listed by key) is not declared, and there is no default: an
    /// error on write, all shards on read.
    CategoryUnknown,
    /// The key lies beyond the last range: an error on write; no row can have it.
    BeyondRanges,
    /// The key is not of the keyspace's type: all shards on read, an error on write.
    Mistyped,
}

/// One bucket, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// its index
    pub id: BucketId,
    /// short: the index, or the category (`equity/1`: its second arc)
    pub name: String,
    /// its owner
    pub shard: ShardId,
    /// what belongs to it, for people
    pub bounds: String,
}
