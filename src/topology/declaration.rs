//! What an operator declares: the same things as a topology, by name and before any placement.

use std::collections::BTreeMap;

use super::{CategorySource, FunctionClass, Labels, QualifiedName, Shard};
use crate::value::KeyType;

/// A topology as a config declares it: names instead of indices, starts instead of placements.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// in the config's order
    pub shards: Vec<Shard>,
    /// in the config's order
    pub keyspaces: Vec<DeclaredKeyspace>,
    /// by name
    pub tables: BTreeMap<QualifiedName, DeclaredTable>,
    /// by name
    pub functions: BTreeMap<QualifiedName, FunctionClass>,
    /// a shard's name; absent: the first shard
    pub home: Option<String>,
    /// a shard's name; absent: tables that aren't listed are errors
    pub default_shard: Option<String>,
}

/// One keyspace as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredKeyspace {
    /// unique
    pub name: String,
    /// of its tables' key columns
    pub key_type: KeyType,
    /// what a shard's labels must contain to own a bucket of it
    pub labels: Labels,
    /// how keys are placed
    pub strategy: DeclaredStrategy,
}

/// The three strategies as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredStrategy {
    /// `strategy: hash`
    Hash {
        /// 1 to [`crate::topology::HashPlacement::BUCKETS_MAX`]
        buckets: u32,
        /// where buckets start
        start: HashStart,
    },
    /// `strategy: range`
    Range {
        /// in ascending order of their bounds
        ranges: Vec<DeclaredRange>,
    },
    /// `strategy: category`
    Category {
        /// where a key's category comes from
        source: CategorySource,
        /// category → its shards
        categories: Vec<DeclaredCategory>,
        /// shards of the categories that aren't listed; empty: none
        default: Vec<String>,
    },
}

/// Where a new hash keyspace's buckets start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashStart {
    /// spread over all shards by weight
    Ring,
    /// `placement: {all: shard}`
    All(String),
}

/// `{until: …, shard: …}`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredRange {
    /// exclusive upper bound as written; absent: open
    pub until: Option<String>,
    /// its owner's name
    pub shard: String,
}

/// `category: shard` or `category: [shard, …]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredCategory {
    /// unique in its keyspace
    pub name: String,
    /// owners' names; more than one: spread by the hash of the key
    pub shards: Vec<String>,
    /// what a shard's labels must contain to own a part of it, beyond its keyspace's
    pub labels: Labels,
}

/// One entry of `tables:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeclaredTable {
    /// `{keyspace: …, key: …}`
    Sharded {
        /// its keyspace's name
        keyspace: String,
        /// its key column
        key: String,
    },
    /// `{reference: true}`
    Reference,
    /// `{unsharded: shard}`
    Unsharded(String),
}
