//! Shards, keyspaces, tables and placement at one epoch.

use std::collections::BTreeMap;

use super::{Epoch, Keyspace, KeyspaceId, QualifiedName, Shard, ShardId, ShardSet, ShardState};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    // Checked by `draft` and `document`, the only makers: every id is one of this topology's, names are unique, only
    // serving shards own anything.
    pub(super) epoch: Epoch,
    pub(super) shards: Vec<Shard>,
    pub(super) keyspaces: Vec<Keyspace>,
    pub(super) tables: BTreeMap<QualifiedName, TablePlacement>,
    pub(super) functions: BTreeMap<QualifiedName, FunctionClass>,
    pub(super) home: ShardId,
    pub(super) default_shard: Option<ShardId>,
}

impl Topology {
    /// Its version.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// All shards by index, retired ones too.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// One shard.
    pub fn shard(&self, shard: ShardId) -> Option<&Shard> {
        self.shards.get(shard.index())
    }

    /// A serving shard by name.
    pub fn shard_by_name(&self, name: &str) -> Option<ShardId> {
        let index = self
            .shards
            .iter()
            .position(|shard| shard.name == name && shard.state == ShardState::Serving)?;
        ShardId::new(index)
    }

    /// A shard's name, for messages; `?` for a shard of another topology.
    pub fn shard_name(&self, shard: ShardId) -> &str {
        self.shard(shard).map_or("?", |shard| &shard.name)
    }

    /// The shards that serve.
    pub fn all_shards(&self) -> ShardSet {
        let serving = self
            .shards
            .iter()
            .enumerate()
            .filter(|(_, shard)| shard.state == ShardState::Serving);
        serving.filter_map(|(index, _)| ShardId::new(index)).collect()
    }

    /// All keyspaces by index.
    pub fn keyspaces(&self) -> &[Keyspace] {
        &self.keyspaces
    }

    /// One keyspace.
    pub fn keyspace(&self, keyspace: KeyspaceId) -> Option<&Keyspace> {
        self.keyspaces.get(keyspace.index())
    }

    /// A keyspace by name.
    pub fn keyspace_by_name(&self, name: &str) -> Option<(KeyspaceId, &Keyspace)> {
        let index = self.keyspaces.iter().position(|keyspace| keyspace.name() == name)?;
        Some((KeyspaceId::new(index)?, self.keyspaces.get(index)?))
    }

    /// Where a listed table's rows lie.
    pub fn table(&self, name: &QualifiedName) -> Option<&TablePlacement> {
        self.tables.get(name)
    }

    /// All listed tables.
    pub fn tables(&self) -> &BTreeMap<QualifiedName, TablePlacement> {
        &self.tables
    }

    /// What is declared of a user function.
    pub fn function(&self, name: &QualifiedName) -> Option<FunctionClass> {
        self.functions.get(name).copied()
    }

    /// All declared functions.
    pub fn functions(&self) -> &BTreeMap<QualifiedName, FunctionClass> {
        &self.functions
    }

    /// The shard that answers what belongs to no table, and holds the topology.
    pub fn home(&self) -> ShardId {
        self.home
    }

    /// Where tables live that aren't listed.
    pub fn default_shard(&self) -> Option<ShardId> {
        self.default_shard
    }
}
