//! *Where do rows live?* Shards, keyspaces, buckets and placement at one epoch; key → token → bucket → shard.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use crate::value::KeyType;

/// Version of the topology; rises by one with each change. Never reused, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(NonZeroU64);

/// Index of a shard in [`Topology::shards`]; stable for ever once stored (shards are only appended or retired).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(u8);

/// The most shards a topology may have: a [`ShardSet`] is one machine word pair.
pub const SHARDS_MAX: usize = 128;

/// A set of shards. Iterates in shard order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ShardSet(u128);

/// Index of a keyspace in [`Topology::keyspaces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId(u16);

/// Index of a bucket within its keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketId(u32);

/// 64-bit signed hash of a key, equal to Postgres's own extended hash functions with seed 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub i64);

/// A schema-qualified name, folded as the catalog stores it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedName {
    /// `pg_namespace.nspname`
    pub schema: String,
    /// `pg_class.relname` (or `pg_proc.proname`)
    pub name: String,
}

/// Where the rows of a table lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TablePlacement {
    /// Spread by a key column over a keyspace.
    Sharded {
        /// whose buckets decide
        keyspace: KeyspaceId,
        /// the column that holds the key
        key: String,
    },
    /// Present in full on every shard.
    Reference,
    /// Lives on one shard.
    Unsharded(ShardId),
}

/// What the operator says of a user function when there are several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionClass {
    /// Depends on its arguments alone and changes nothing.
    Pure,
    /// Touches only rows that its shard owns; may write.
    Local,
}

/// Shards, keyspaces, tables and placement at one epoch. Immutable; swapped whole.
#[derive(Clone, Debug)]
pub struct Topology {
    epoch: Epoch,
    shards: Vec<Shard>,
    keyspaces: Vec<Keyspace>,
    tables: BTreeMap<QualifiedName, TablePlacement>,
    functions: BTreeMap<QualifiedName, FunctionClass>,
    home: ShardId,
    default_shard: Option<ShardId>,
}

/// One shard as the topology knows it (its address is configuration, not topology).
#[derive(Clone, Debug, PartialEq)]
pub struct Shard {
    /// unique
    pub name: String,
    /// share of ring points
    pub weight: u32,
    /// constraints for the rebalancer
    pub labels: BTreeMap<String, String>,
}

/// How a key becomes a place.
#[derive(Clone, Debug)]
pub struct Keyspace {
    /// unique
    pub name: String,
    /// of the key columns of its tables (int2, int4 and int8 may be mixed)
    pub key_type: KeyType,
    /// buckets and their owners
    pub strategy: Strategy,
}

/// The three ways of placing keys.
#[derive(Clone, Debug)]
pub enum Strategy {
    /// Equal arcs of the token ring; `owners[bucket]`.
    Hash {
        /// shard of each bucket
        owners: Vec<ShardId>,
    },
    /// Ordered, exclusive upper bounds; see the owner of this room.
    Range,
    /// By instrument category; see the owner of this room.
    Category,
}
