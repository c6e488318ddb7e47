//! The stored form: one JSON document per epoch, version 1.
//!
//! Why our own written types: the document outlives this program's types, and reading is strict, since a proxy that
//! overlooks a field would route by half a topology.
//! Holds: the same topology gives the same bytes; what is written reads back equal; what contradicts itself is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::build::may_range;
use super::category::CategoryFault;
use super::range::RangeFault;
use super::{
    CategoryPlacement, CategorySource, Epoch, FunctionClass, HashPlacement, Keyspace, KeyspaceId, QualifiedName,
    RangePlacement, SHARDS_MAX, Shard, ShardId, ShardState, SpreadOver, Strategy, TablePlacement, Topology,
    TopologyError,
};
use crate::value::{Key, KeyType};

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTopology {
    version: u32,
    epoch: u64,
    home: usize,
    default_shard: Option<usize>,
    shards: Vec<WrittenShard>,
    keyspaces: Vec<WrittenKeyspace>,
    tables: Vec<WrittenTable>,
    functions: Vec<WrittenFunction>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShard {
    name: String,
    weight: u32,
    labels: BTreeMap<String, String>,
    state: WrittenState,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenState {
    Serving,
    Retired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeyspace {
    name: String,
    r#type: String,
    strategy: WrittenStrategy,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenStrategy {
    Hash {
        owners: Vec<usize>,
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
struct WrittenRange {
    until: Option<String>,
    shard: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenSource {
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
struct WrittenCategory {
    name: Option<String>,
    shards: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTable {
    schema: String,
    name: String,
    placement: WrittenPlacement,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum WrittenPlacement {
    Sharded { keyspace: usize, key: String },
    Reference {},
    Unsharded { shard: usize },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFunction {
    schema: String,
    name: String,
    class: WrittenClass,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenClass {
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

fn fault(why: &str) -> TopologyError {
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
        },
        Strategy::Range(range) => WrittenStrategy::Range {
            ranges: range
                .owners()
                .iter()
                .enumerate()
                .map(|(index, shard)| WrittenRange {
                    until: range.bounds().get(index).map(Key::to_text),
                    shard: shard.index(),
                })
                .collect(),
        },
        Strategy::Category(category) => WrittenStrategy::Category {
            source: write_source(category.source()),
            categories: category
                .spreads()
                .iter()
                .map(|spread| WrittenCategory {
                    name: spread.category.clone(),
                    shards: indices(&spread.shards),
                })
                .collect(),
        },
    };
    WrittenKeyspace {
        name: keyspace.name().to_owned(),
        r#type: keyspace.key_type().name().to_owned(),
        strategy,
    }
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

// === reading ===

struct Reader<'a> {
    shards: &'a [WrittenShard],
}

impl Reader<'_> {
    fn topology(&self, written: &WrittenTopology) -> Result<Topology, TopologyError> {
        let keyspaces = written
            .keyspaces
            .iter()
            .map(|keyspace| self.keyspace(keyspace))
            .collect::<Result<Vec<_>, _>>()?;
        if has_twice(keyspaces.iter().map(Keyspace::name)) {
            return Err(fault("two keyspaces have one name"));
        }
        let tables = self.tables(&written.tables, keyspaces.len())?;
        for keyspace in &keyspaces {
            let Strategy::Category(category) = keyspace.strategy() else {
                continue;
            };
            let CategorySource::Lookup { table, .. } = category.source() else {
                continue;
            };
            if tables.get(table) != Some(&TablePlacement::Reference) {
                return Err(fault(&format!("lookup table {table} is no reference table")));
            }
        }
        Ok(Topology {
            epoch: Epoch::new(written.epoch).ok_or_else(|| fault("its epoch is 0"))?,
            shards: self.shards()?,
            keyspaces,
            tables,
            functions: functions(&written.functions)?,
            home: self.owner(written.home)?,
            default_shard: written.default_shard.map(|shard| self.owner(shard)).transpose()?,
        })
    }

    fn shards(&self) -> Result<Vec<Shard>, TopologyError> {
        if self.shards.len() > SHARDS_MAX {
            return Err(fault("it has too many shards"));
        }
        if has_twice(self.shards.iter().map(|shard| shard.name.as_str())) {
            return Err(fault("two shards have one name"));
        }
        let shards = self.shards.iter().map(|written| Shard {
            name: written.name.clone(),
            weight: written.weight,
            labels: written.labels.clone(),
            state: match written.state {
                WrittenState::Serving => ShardState::Serving,
                WrittenState::Retired => ShardState::Retired,
            },
        });
        let shards: Vec<Shard> = shards.collect();
        match shards
            .iter()
            .find(|shard| !(1..=Shard::WEIGHT_MAX).contains(&shard.weight) || shard.name.is_empty())
        {
            Some(shard) => Err(fault(&format!(
                "shard \"{}\" has no name or weight {}",
                shard.name, shard.weight
            ))),
            None => Ok(shards),
        }
    }

    /// A shard that may own something.
    fn owner(&self, index: usize) -> Result<ShardId, TopologyError> {
        match self.shards.get(index).map(|shard| shard.state) {
            Some(WrittenState::Serving) => ShardId::new(index).ok_or_else(|| fault("it has too many shards")),
            Some(WrittenState::Retired) => Err(fault(&format!("shard {index} is retired but owns something"))),
            None => Err(fault(&format!("there is no shard {index}"))),
        }
    }

    fn keyspace(&self, written: &WrittenKeyspace) -> Result<Keyspace, TopologyError> {
        let name = &written.name;
        let key_type = KeyType::from_name(&written.r#type)
            .ok_or_else(|| fault(&format!("keyspace \"{name}\" has key type \"{}\"", written.r#type)))?;
        let strategy = match &written.strategy {
            WrittenStrategy::Hash { owners } => {
                let owners = owners
                    .iter()
                    .map(|owner| self.owner(*owner))
                    .collect::<Result<Vec<_>, _>>()?;
                let count = u32::try_from(owners.len()).unwrap_or(u32::MAX);
                if !(1..=HashPlacement::BUCKETS_MAX).contains(&count) {
                    return Err(fault(&format!("keyspace \"{name}\" has {count} buckets")));
                }
                Strategy::Hash(HashPlacement::new(owners))
            }
            WrittenStrategy::Range { ranges } => Strategy::Range(self.ranges(name, key_type, ranges)?),
            WrittenStrategy::Category { source, categories } => {
                Strategy::Category(self.categories(name, source, categories)?)
            }
        };
        Ok(Keyspace::new(name.clone(), key_type, strategy))
    }

    fn ranges(&self, name: &str, key_type: KeyType, written: &[WrittenRange]) -> Result<RangePlacement, TopologyError> {
        if !may_range(key_type) {
            return Err(fault(&format!(
                "keyspace \"{name}\" places {} by range",
                key_type.name()
            )));
        }
        let mut ranges = Vec::new();
        for range in written {
            let until = match &range.until {
                None => None,
                Some(until) => Some(
                    Key::parse_text(key_type, until.as_bytes())
                        .map_err(|error| fault(&format!("keyspace \"{name}\": {error}")))?,
                ),
            };
            ranges.push((until, self.owner(range.shard)?));
        }
        RangePlacement::new(ranges).map_err(|range_fault| {
            let (RangeFault::Empty | RangeFault::OpenBeforeLast(_) | RangeFault::NotAscending(_)) = range_fault;
            fault(&format!(
                "the ranges of keyspace \"{name}\" are empty, open before the last or don't ascend"
            ))
        })
    }

    fn categories(
        &self,
        name: &str,
        source: &WrittenSource,
        written: &[WrittenCategory],
    ) -> Result<CategoryPlacement, TopologyError> {
        let mut spreads = Vec::new();
        for category in written {
            let shards = category
                .shards
                .iter()
                .map(|shard| self.owner(*shard))
                .collect::<Result<Vec<_>, _>>()?;
            spreads.push(SpreadOver {
                category: category.name.clone(),
                shards,
            });
        }
        let source = match source {
            WrittenSource::Lookup {
                schema,
                table,
                key,
                category,
            } => CategorySource::Lookup {
                table: QualifiedName::new(schema, table),
                key: key.clone(),
                category: category.clone(),
            },
            WrittenSource::ByKey(listed) => CategorySource::ByKey(listed.clone()),
            WrittenSource::Key {} => CategorySource::Key,
        };
        CategoryPlacement::new(source, spreads).map_err(|category_fault| {
            let (CategoryFault::Empty
            | CategoryFault::Twice(_)
            | CategoryFault::WithoutShard(_)
            | CategoryFault::ShardTwice(_, _)) = category_fault;
            fault(&format!(
                "the categories of keyspace \"{name}\" are missing, doubled or without shards"
            ))
        })
    }

    fn tables(
        &self,
        written: &[WrittenTable],
        keyspaces: usize,
    ) -> Result<BTreeMap<QualifiedName, TablePlacement>, TopologyError> {
        let mut tables = BTreeMap::new();
        for table in written {
            let name = QualifiedName::new(&table.schema, &table.name);
            let placement = match &table.placement {
                WrittenPlacement::Reference {} => TablePlacement::Reference,
                WrittenPlacement::Unsharded { shard } => TablePlacement::Unsharded(self.owner(*shard)?),
                WrittenPlacement::Sharded { keyspace, key } => {
                    let known = KeyspaceId::new(*keyspace).filter(|_| *keyspace < keyspaces);
                    let keyspace = known.ok_or_else(|| fault(&format!("table {name} names keyspace {keyspace}")))?;
                    TablePlacement::Sharded {
                        keyspace,
                        key: key.clone(),
                    }
                }
            };
            if tables.insert(name.clone(), placement).is_some() {
                return Err(fault(&format!("table {name} stands there twice")));
            }
        }
        Ok(tables)
    }
}

fn functions(written: &[WrittenFunction]) -> Result<BTreeMap<QualifiedName, FunctionClass>, TopologyError> {
    let mut functions = BTreeMap::new();
    for function in written {
        let name = QualifiedName::new(&function.schema, &function.name);
        let class = match function.class {
            WrittenClass::Pure => FunctionClass::Pure,
            WrittenClass::Local => FunctionClass::Local,
        };
        if functions.insert(name.clone(), class).is_some() {
            return Err(fault(&format!("function {name} stands there twice")));
        }
    }
    Ok(functions)
}

fn has_twice<'a>(names: impl Iterator<Item = &'a str>) -> bool {
    let mut seen = BTreeSet::new();
    let mut names = names;
    names.any(|name| !seen.insert(name))
}
