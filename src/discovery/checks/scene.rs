//! What checks look at: the topology to be, and what was read of each shard.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::discovery::shard_catalog::{ShardCatalog, ShardRelation};
use crate::discovery::{Finding, Severity};
use crate::topology::{FunctionClass, QualifiedName, ShardId, TablePlacement, Topology};

/// The topology to be, the shards' catalogs, and what only the configuration says.
pub(in crate::discovery) struct Scene<'a> {
    pub(in crate::discovery) topology: &'a Topology,
    /// by shard index; none for a shard that couldn't be read
    pub(in crate::discovery) catalogs: &'a [Option<Arc<ShardCatalog>>],
    /// trigger functions declared `keeps_key`
    pub(in crate::discovery) keeps_key: &'a BTreeSet<QualifiedName>,
}

impl<'a> Scene<'a> {
    /// The shards that serve and could be read, with their catalogs.
    pub(super) fn read(&self) -> impl Iterator<Item = (ShardId, &'a ShardCatalog)> + use<'a> {
        let catalogs = self.catalogs;
        self.topology
            .all_shards()
            .iter()
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(move |shard| Some((shard, catalogs.get(shard.index())?.as_deref()?)))
    }

    /// Where a table should be, of the shards that could be read.
    pub(super) fn expected(&self, placement: &TablePlacement) -> Vec<(ShardId, &'a ShardCatalog)> {
        self.read()
            .filter(|(shard, _)| match placement {
                TablePlacement::Sharded { .. } | TablePlacement::Reference => true,
                TablePlacement::Unsharded(own) => own == shard,
            })
            .collect()
    }

    /// A shard's name.
    pub(super) fn name(&self, shard: ShardId) -> String {
        self.topology.shard_name(shard).to_owned()
    }

    /// Everything runs on one shard: nothing can go wrong between shards.
    pub(super) fn is_single(&self) -> bool {
        self.topology.all_shards().len() < 2
    }

    /// May a user function run where several shards are: declared, or an extension's and immutable?
    pub(super) fn is_allowed(&self, catalog: &ShardCatalog, name: &QualifiedName) -> bool {
        let is_declared = match self.topology.function(name) {
            Some(FunctionClass::Pure | FunctionClass::Local) => true,
            None => false,
        };
        is_declared || {
            let mut named = catalog
                .functions
                .iter()
                .filter(|found| found.function.name == *name)
                .peekable();
            named.peek().is_some()
                && named.all(|found| {
                    found.function.extension.is_some()
                        && found.function.volatility == crate::catalog::Volatility::Immutable
                })
        }
    }
}

/// `public.users` is `users`.
pub(super) fn shown(name: &QualifiedName) -> String {
    if name.schema == "public" {
        name.name.clone()
    } else {
        format!("{}.{}", name.schema, name.name)
    }
}

/// A table and its partitions on one shard.
pub(super) fn family<'c>(catalog: &'c ShardCatalog, name: &QualifiedName) -> Vec<&'c ShardRelation> {
    let own = catalog.relations.get(name);
    let partitions = catalog
        .relations
        .values()
        .filter(|relation| relation.relation.partition_root.as_ref() == Some(name));
    own.into_iter()
        .chain(partitions.filter(|relation| relation.relation.name != *name))
        .collect()
}

/// An error about a table.
pub(super) fn error(shard: Option<String>, table: &QualifiedName, message: impl Into<String>) -> Finding {
    finding(Severity::Error, shard, table, message)
}

/// A warning about a table.
pub(super) fn warning(shard: Option<String>, table: &QualifiedName, message: impl Into<String>) -> Finding {
    finding(Severity::Warning, shard, table, message)
}

fn finding(severity: Severity, shard: Option<String>, table: &QualifiedName, message: impl Into<String>) -> Finding {
    Finding {
        severity,
        shard,
        object: format!("table {}", shown(table)),
        message: message.into(),
        detail: String::new(),
        hint: String::new(),
    }
}

impl Finding {
    /// With why we know.
    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Finding {
        self.detail = detail.into();
        self
    }

    /// With what to do.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Finding {
        self.hint = hint.into();
        self
    }
}
