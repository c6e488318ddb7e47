//! Category keyspaces: a key's category says its shards.

use std::collections::BTreeMap;

use super::{QualifiedName, ShardId};

/// Where a key's category comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CategorySource {
    /// A reference table: the row whose `key` column holds the key has it in its `category` column.
    Lookup {
        /// a reference table
        table: QualifiedName,
        /// its column that holds keys
        key: String,
        /// its column that holds categories
        category: String,
    },
    /// The config lists it: key → category.
    ByKey(BTreeMap<String, String>),
    /// The key is the category.
    Key,
}

/// A category's shards: one, or several that its keys are spread over by their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadOver {
    /// the category; `None` for the default
    pub category: Option<String>,
    /// never empty; the key's token falls into one of as many equal arcs
    pub shards: Vec<ShardId>,
}

/// Categories and their shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryPlacement {
    source: CategorySource,
    spreads: Vec<SpreadOver>,
}

impl CategoryPlacement {
    /// Where a key's category comes from.
    pub fn source(&self) -> &CategorySource {
        &self.source
    }

    /// Categories in order of their first declaration: bucket numbers never change.
    pub fn spreads(&self) -> &[SpreadOver] {
        &self.spreads
    }
}
