//! The stored form: one JSON document per epoch, version 1.
//!
//! Why our own written types: the document outlives this program's types, and reading is strict, since a proxy that
//! overlooks a field would route by half a topology.
//! What a keyspace has only after changes (splits, labels) is left out where there is none: such a document is as old
//! programs wrote it, and one with splits is refused by them.
//! Holds: the same topology gives the same bytes; what is written reads back equal; what contradicts itself is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document_read::Reader;
use super::{
    CategorySource, FunctionClass, Keyspace, QualifiedName, RangePlacement, Shard, ShardId, ShardState, Spread,
    Strategy, TablePlacement, Topology, TopologyError,
};
use crate::value::Key;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTopology {
    pub(super) version: u32,
    pub(super) epoch: u64,
    pub(super) home: usize,
    pub(super) default_shard: Option<usize>,
    pub(super) shards: Vec<WrittenShard>,
    pub(super) keyspaces: Vec<WrittenKeyspace>,
    pub(super) tables: Vec<WrittenTable>,
    pub(super) functions: Vec<WrittenFunction>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenShard {
    pub(super) name: String,
    pub(super) weight: u32,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) state: WrittenState,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrittenState {
    Serving,
    Retired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenKeyspace {
    pub(super) name: String,
    pub(super) r#type: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
    pub(super) strategy: WrittenStrategy,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WrittenStrategy {
    Hash {
        owners: Vec<usize>,
        /// where the last buckets begin, which were split off
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cuts: Vec<i64>,
    },
    Range {
        ranges: Vec<WrittenRange>,
    },
    Category {
        source: WrittenSource,
        categories: Vec<WrittenCategory>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenRange {
    pub(super) until: Option<String>,
    pub(super) shard: usize,
    /// absent in all: numbered in order
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bucket: Option<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WrittenSource {
    Lookup {
        schema: String,
        table: String,
        key: String,
        category: String,
    },
    ByKey(BTreeMap<String, String>),
    Key {},
}

/// `name` is null for the default.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCategory {
    pub(super) name: Option<String>,
    pub(super) shards: Vec<usize>,
    /// where the last of them begin, which were split off
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) cuts: Vec<i64>,
    /// absent in all: numbered in order
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) buckets: Option<Vec<usize>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) labels: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTable {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) placement: WrittenPlacement,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum WrittenPlacement {
    Sharded { keyspace: usize, key: String },
    Reference {},
    Unsharded { shard: usize },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenFunction {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) class: WrittenClass,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum WrittenClass {
    Pure,
    Local,
}

impl Topology {
    /// The document that `shardgate.topology` stores: the same topology gives the same bytes.
    pub fn to_json(&self) -> Result<String, TopologyError> {
        serde_json::to_string(&write(self)).map_err(|error| TopologyError::Document { why: error.to_string() })
    }

    /// Reads a stored document strictly: unknown fields, other versions and contradictions are errors.
    pub fn from_json(document: &str) -> Result<Topology, TopologyError> {
        let version: Version = serde_json::from_str(document).map_err(|error| fault(&error.to_string()))?;
        if version.version != VERSION {
            return Err(fault(&format!(
                "its version is {}, this program reads {VERSION}",
                version.version
            )));
        }
        let written: WrittenTopology = serde_json::from_str(document).map_err(|error| fault(&error.to_string()))?;
        Reader {
            shards: &written.shards,
        }
        .topology(&written)
    }
}

/// Read first, so that a later version says so instead of failing on its fields.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

pub(super) fn fault(why: &str) -> TopologyError {
    TopologyError::Document { why: why.to_owned() }
}

// === writing ===

fn write(topology: &Topology) -> WrittenTopology {
    WrittenTopology {
        version: VERSION,
        epoch: topology.epoch.get(),
        home: topology.home.index(),
        default_shard: topology.default_shard.map(ShardId::index),
        shards: topology.shards.iter().map(write_shard).collect(),
        keyspaces: topology.keyspaces.iter().map(write_keyspace).collect(),
        tables: topology
            .tables
            .iter()
            .map(|(name, placement)| write_table(name, placement))
            .collect(),
        functions: topology
            .functions
            .iter()
            .map(|(name, class)| write_function(name, *class))
            .collect(),
    }
}

fn write_shard(shard: &Shard) -> WrittenShard {
    WrittenShard {
        name: shard.name.clone(),
        weight: shard.weight,
        labels: shard.labels.clone(),
        state: match shard.state {
            ShardState::Serving => WrittenState::Serving,
            ShardState::Retired => WrittenState::Retired,
        },
    }
}

fn write_keyspace(keyspace: &Keyspace) -> WrittenKeyspace {
    let strategy = match keyspace.strategy() {
        Strategy::Hash(hash) => WrittenStrategy::Hash {
            owners: indices(hash.owners()),
            cuts: hash.cuts().iter().map(|cut| cut.0).collect(),
        },
        Strategy::Range(range) => WrittenStrategy::Range {
            ranges: write_ranges(range),
        },
        Strategy::Category(category) => WrittenStrategy::Category {
            source: write_source(category.source()),
            categories: write_categories(category.spreads()),
        },
    };
    WrittenKeyspace {
        name: keyspace.name().to_owned(),
        r#type: keyspace.key_type().name().to_owned(),
        labels: keyspace.labels().clone(),
        strategy,
    }
}

fn write_ranges(range: &RangePlacement) -> Vec<WrittenRange> {
    let in_order = range.buckets().is_sorted();
    let owners = range.owners().iter().zip(range.buckets()).enumerate();
    owners
        .map(|(index, (shard, bucket))| WrittenRange {
            until: range.bounds().get(index).map(Key::to_text),
            shard: shard.index(),
            bucket: (!in_order).then_some(*bucket),
        })
        .collect()
}

fn write_categories(spreads: &[Spread]) -> Vec<WrittenCategory> {
    let of = |spread: &Spread| -> Vec<usize> { spread.pieces().iter().map(|piece| piece.bucket.index()).collect() };
    let in_order = spreads.iter().flat_map(of).is_sorted();
    let categories = spreads.iter().map(|spread| WrittenCategory {
        name: spread.category().map(str::to_owned),
        shards: spread.pieces().iter().map(|piece| piece.shard.index()).collect(),
        cuts: spread.arcs().cuts().iter().map(|cut| cut.0).collect(),
        buckets: (!in_order).then(|| of(spread)),
        labels: spread.labels().clone(),
    });
    categories.collect()
}

fn write_source(source: &CategorySource) -> WrittenSource {
    match source {
        CategorySource::Lookup { table, key, category } => WrittenSource::Lookup {
            schema: table.schema.clone(),
            table: table.name.clone(),
            key: key.clone(),
            category: category.clone(),
        },
        CategorySource::ByKey(listed) => WrittenSource::ByKey(listed.clone()),
        CategorySource::Key => WrittenSource::Key {},
    }
}

fn write_table(name: &QualifiedName, placement: &TablePlacement) -> WrittenTable {
    WrittenTable {
        schema: name.schema.clone(),
        name: name.name.clone(),
        placement: match placement {
            TablePlacement::Sharded { keyspace, key } => WrittenPlacement::Sharded {
                keyspace: keyspace.index(),
                key: key.clone(),
            },
            TablePlacement::Reference => WrittenPlacement::Reference {},
            TablePlacement::Unsharded(shard) => WrittenPlacement::Unsharded { shard: shard.index() },
        },
    }
}

fn write_function(name: &QualifiedName, class: FunctionClass) -> WrittenFunction {
    WrittenFunction {
        schema: name.schema.clone(),
        name: name.name.clone(),
        class: match class {
            FunctionClass::Pure => WrittenClass::Pure,
            FunctionClass::Local => WrittenClass::Local,
        },
    }
}

fn indices(shards: &[ShardId]) -> Vec<usize> {
    shards.iter().map(|shard| shard.index()).collect()
}
