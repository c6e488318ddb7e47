//! Reading the stored document: strictly, and only what is consistent in itself.

use std::collections::{BTreeMap, BTreeSet};

use super::arcs::Arcs;
use super::build::may_range;
use super::category::CategoryFault;
use super::document::{
    WrittenCategory, WrittenClass, WrittenFunction, WrittenKeyspace, WrittenPlacement, WrittenRange, WrittenShard,
    WrittenSource, WrittenState, WrittenStrategy, WrittenTable, WrittenTopology, fault,
};
use super::range::RangeFault;
use super::{
    BucketId, CategoryPlacement, CategorySource, Epoch, FunctionClass, HashPlacement, Keyspace, KeyspaceId,
    QualifiedName, RangePlacement, SHARDS_MAX, Shard, ShardId, ShardState, Spread, Strategy, TablePlacement, Token,
    Topology, TopologyError,
};
use crate::value::{Key, KeyType};

/// Resolves indices against the document's own shards.
pub(super) struct Reader<'a> {
    pub(super) shards: &'a [WrittenShard],
}

impl Reader<'_> {
    pub(super) fn topology(&self, written: &WrittenTopology) -> Result<Topology, TopologyError> {
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
            WrittenStrategy::Hash { owners, cuts } => {
                let owners = owners
                    .iter()
                    .map(|owner| self.owner(*owner))
                    .collect::<Result<Vec<_>, _>>()?;
                let count = u32::try_from(owners.len()).unwrap_or(u32::MAX);
                if !(1..=HashPlacement::BUCKETS_MAX).contains(&count) {
                    return Err(fault(&format!("keyspace \"{name}\" has {count} buckets")));
                }
                let cuts: Vec<Token> = cuts.iter().copied().map(Token).collect();
                let placement = HashPlacement::cut(owners, &cuts);
                Strategy::Hash(placement.ok_or_else(|| fault(&misnumbered(name)))?)
            }
            WrittenStrategy::Range { ranges } => Strategy::Range(self.ranges(name, key_type, ranges)?),
            WrittenStrategy::Category { source, categories } => {
                Strategy::Category(self.categories(name, source, categories)?)
            }
        };
        Ok(Keyspace::new(name.clone(), key_type, written.labels.clone(), strategy))
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
        let numbers: Vec<usize> = written.iter().filter_map(|range| range.bucket).collect();
        let placed = if numbers.is_empty() {
            RangePlacement::new(ranges)
        } else {
            RangePlacement::numbered(ranges, numbers)
        };
        placed.map_err(|range_fault| match range_fault {
            RangeFault::Misnumbered => fault(&misnumbered(name)),
            RangeFault::Empty | RangeFault::OpenBeforeLast(_) | RangeFault::NotAscending(_) => fault(&format!(
                "the ranges of keyspace \"{name}\" are empty, open before the last or don't ascend"
            )),
        })
    }

    fn categories(
        &self,
        name: &str,
        source: &WrittenSource,
        written: &[WrittenCategory],
    ) -> Result<CategoryPlacement, TopologyError> {
        let mut spreads = Vec::new();
        let mut next = 0_usize;
        let is_numbered = written.iter().any(|category| category.buckets.is_some());
        for category in written {
            let shards = category
                .shards
                .iter()
                .map(|shard| self.owner(*shard))
                .collect::<Result<Vec<_>, _>>()?;
            let numbers = match &category.buckets {
                Some(numbers) => numbers.clone(),
                None if is_numbered => Vec::new(),
                None => (next..next.saturating_add(shards.len())).collect(),
            };
            next = next.saturating_add(shards.len());
            let buckets = numbers.into_iter().map(BucketId::new).collect::<Option<Vec<_>>>();
            let cuts: Vec<Token> = category.cuts.iter().copied().map(Token).collect();
            let arcs = match shards.len().checked_sub(cuts.len()) {
                // No shard at all is found below.
                Some(0) if shards.is_empty() => Some(Arcs::equal(0)),
                Some(0) | None => None,
                Some(equal) => Arcs::with_cuts(equal, &cuts),
            };
            let (Some(buckets), Some(arcs)) = (buckets.filter(|buckets| buckets.len() == shards.len()), arcs) else {
                return Err(fault(&misnumbered(name)));
            };
            let labels = category.labels.clone();
            spreads.push(Spread::placed(category.name.clone(), labels, arcs, buckets, &shards));
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
        CategoryPlacement::of(source, spreads).map_err(|category_fault| match category_fault {
            CategoryFault::Misnumbered => fault(&misnumbered(name)),
            CategoryFault::Empty
            | CategoryFault::Twice(_)
            | CategoryFault::WithoutShard(_)
            | CategoryFault::ShardTwice(_, _) => fault(&format!(
                "the categories of keyspace \"{name}\" are missing, doubled or without shards"
            )),
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

fn misnumbered(keyspace: &str) -> String {
    format!("the buckets of keyspace \"{keyspace}\" are misnumbered, or cut where nothing is to be cut off")
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
