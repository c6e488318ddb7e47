//! From a declared keyspace to a placed one.
//!
//! Every fault names the keyspace and the entry; a bound or key must be one that reads the same everywhere.

use std::collections::BTreeMap;

use super::category::{CategoryFault, SpreadOver};
use super::keyspace::canonical;
use super::range::RangeFault;
use super::{
    CategoryPlacement, CategorySource, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy,
    HashPlacement, HashStart, Keyspace, Labels, RangePlacement, Shard, ShardId, Strategy, TopologyError,
};
use crate::value::{Key, KeyType};

/// The shards that a declaration may name, by name.
pub(super) struct Shards<'a> {
    pub(super) serving: Vec<(ShardId, &'a Shard)>,
}

impl Shards<'_> {
    pub(super) fn named(&self, name: &str, used_by: &str) -> Result<ShardId, TopologyError> {
        let found = self.serving.iter().find(|(_, shard)| shard.name == name);
        found.map(|(id, _)| *id).ok_or_else(|| TopologyError::ShardUnknown {
            shard: name.to_owned(),
            used_by: used_by.to_owned(),
        })
    }

    fn name(&self, id: ShardId) -> String {
        let found = self.serving.iter().find(|(known, _)| *known == id);
        found.map_or_else(|| "?".to_owned(), |(_, shard)| shard.name.clone())
    }
}

/// Places a declared keyspace as if it were new, but for a stored hash placement of as many buckets, which is kept: only a
/// move changes an owner.
pub(super) fn keyspace(
    declared: &DeclaredKeyspace,
    stored: Option<&Keyspace>,
    shards: &Shards<'_>,
) -> Result<Keyspace, Vec<TopologyError>> {
    let kept = match stored.map(Keyspace::strategy) {
        Some(Strategy::Hash(hash)) => Some(hash),
        Some(Strategy::Range(_) | Strategy::Category(_)) | None => None,
    };
    let strategy = match &declared.strategy {
        DeclaredStrategy::Hash { buckets, start } => hash(declared, *buckets, start, kept, shards)
            .map(Strategy::Hash)
            .map_err(|error| vec![error])?,
        DeclaredStrategy::Range { ranges } => {
            Strategy::Range(range(&declared.name, declared.key_type, ranges, shards)?)
        }
        DeclaredStrategy::Category {
            source,
            categories,
            default,
        } => {
            let unplaced = Unplaced {
                keyspace: &declared.name,
                key_type: declared.key_type,
                source,
                categories,
                default,
            };
            Strategy::Category(category(&unplaced, shards)?)
        }
    };
    let (name, labels) = (declared.name.clone(), declared.labels.clone());
    Ok(Keyspace::new(name, declared.key_type, labels, strategy))
}

fn hash(
    declared: &DeclaredKeyspace,
    buckets: u32,
    start: &HashStart,
    kept: Option<&HashPlacement>,
    shards: &Shards<'_>,
) -> Result<HashPlacement, TopologyError> {
    let keyspace = &declared.name;
    let count = usize::try_from(buckets)
        .ok()
        .filter(|_| (1..=HashPlacement::BUCKETS_MAX).contains(&buckets));
    let Some(count) = count else {
        let keyspace = keyspace.to_owned();
        return Err(TopologyError::BucketsOutOfRange {
            keyspace,
            buckets,
            max: HashPlacement::BUCKETS_MAX,
        });
    };
    let all_on = match start {
        HashStart::Ring => None,
        HashStart::All(shard) => Some(shards.named(shard, &format!("keyspace {keyspace}"))?),
    };
    match (kept.filter(|kept| kept.declared_buckets() == count), all_on) {
        (Some(kept), _) => Ok(kept.clone()),
        (None, Some(owner)) => Ok(HashPlacement::new(vec![owner; count])),
        (None, None) => {
            let able: Vec<_> = shards
                .serving
                .iter()
                .filter(|(_, shard)| shard.has_labels(&declared.labels))
                .copied()
                .collect();
            if able.is_empty() && !shards.serving.is_empty() {
                return Err(TopologyError::LabelsUnknown {
                    subject: format!("keyspace {keyspace}"),
                    wanted: written(&declared.labels),
                });
            }
            HashPlacement::spread(count, &able)
        }
    }
}

/// Labels as a config writes them.
pub(super) fn written(labels: &Labels) -> String {
    let labels: Vec<String> = labels
        .iter()
        .map(|(label, value)| format!("{label}: {value}"))
        .collect();
    labels.join(", ")
}

// === ranges ===

fn range(
    keyspace: &str,
    key_type: KeyType,
    ranges: &[DeclaredRange],
    shards: &Shards<'_>,
) -> Result<RangePlacement, Vec<TopologyError>> {
    if !may_range(key_type) {
        let keyspace = keyspace.to_owned();
        return Err(vec![TopologyError::KeyTypeUnsuited {
            keyspace,
            key_type,
            strategy: "range",
        }]);
    }
    let mut placed = Vec::new();
    let mut faults = Vec::new();
    for (index, range) in ranges.iter().enumerate() {
        let until = range
            .until
            .as_deref()
            .map(|until| bound(keyspace, index, key_type, until))
            .transpose();
        let owner = shards.named(&range.shard, &format!("keyspace {keyspace}, range {index},"));
        match (until, owner) {
            (Ok(until), Ok(owner)) => placed.push((until, owner)),
            (until, owner) => faults.extend(until.err().into_iter().chain(owner.err())),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    RangePlacement::new(placed).map_err(|fault| vec![range_fault(keyspace, ranges, fault)])
}

/// Types with an order that is the same on every server; text is that under C, which the catalog check sees to.
pub(super) fn may_range(key_type: KeyType) -> bool {
    match key_type {
        KeyType::Int2
        | KeyType::Int4
        | KeyType::Int8
        | KeyType::Text
        | KeyType::Varchar
        | KeyType::Uuid
        | KeyType::Date
        | KeyType::Timestamp
        | KeyType::Timestamptz
        | KeyType::Numeric => true,
        KeyType::Bpchar => false,
    }
}

/// A bound that reads back from its own text: that is how it is stored.
fn bound(keyspace: &str, range: usize, key_type: KeyType, until: &str) -> Result<Key, TopologyError> {
    let key = Key::parse_text(key_type, until.as_bytes()).map_err(|source| TopologyError::RangeUnreadable {
        keyspace: keyspace.to_owned(),
        range,
        until: until.to_owned(),
        source,
    })?;
    match Key::parse_text(key_type, key.to_text().as_bytes()) {
        Ok(again) if again == key => Ok(key),
        Ok(_) | Err(_) => Err(TopologyError::RangeUnstorable {
            keyspace: keyspace.to_owned(),
            range,
            until: until.to_owned(),
        }),
    }
}

fn range_fault(keyspace: &str, ranges: &[DeclaredRange], fault: RangeFault) -> TopologyError {
    let keyspace = keyspace.to_owned();
    let written = |index: usize| {
        ranges
            .get(index)
            .and_then(|range| range.until.clone())
            .unwrap_or_default()
    };
    match fault {
        RangeFault::Empty => TopologyError::RangesEmpty { keyspace },
        RangeFault::OpenBeforeLast(range) => TopologyError::RangeOpen { keyspace, range },
        RangeFault::NotAscending(range) => TopologyError::RangesOverlap {
            keyspace,
            range,
            until: written(range),
            before: written(range.saturating_sub(1)),
        },
        // Declared ranges are numbered in order.
        RangeFault::Misnumbered => TopologyError::RangesEmpty { keyspace },
    }
}

// === categories ===

struct Unplaced<'a> {
    keyspace: &'a str,
    key_type: KeyType,
    source: &'a CategorySource,
    categories: &'a [DeclaredCategory],
    default: &'a [String],
}

fn category(declared: &Unplaced<'_>, shards: &Shards<'_>) -> Result<CategoryPlacement, Vec<TopologyError>> {
    let mut faults = Vec::new();
    let mut spreads = Vec::new();
    let listed = declared.categories.iter().map(|category| {
        (
            Some(category.name.as_str()),
            category.shards.as_slice(),
            category.labels.clone(),
        )
    });
    let default = Some((None, declared.default, Labels::new())).filter(|(_, shards, _)| !shards.is_empty());
    for (name, owners, labels) in listed.chain(default) {
        let used_by = format!(
            "keyspace {}, category {}",
            declared.keyspace,
            name.unwrap_or("(default)")
        );
        let mut placed = Vec::new();
        for owner in owners {
            match shards.named(owner, &used_by) {
                Ok(owner) => placed.push(owner),
                Err(fault) => faults.push(fault),
            }
        }
        spreads.push(SpreadOver {
            category: name.map(str::to_owned),
            shards: placed,
            labels,
        });
    }
    let source = match source(declared) {
        Ok(source) => source,
        Err(more) => {
            faults.extend(more);
            declared.source.clone()
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    CategoryPlacement::new(source, &spreads).map_err(|fault| vec![category_fault(declared.keyspace, fault, shards)])
}

/// Checks where categories come from, and puts listed keys into canonical form.
fn source(declared: &Unplaced<'_>) -> Result<CategorySource, Vec<TopologyError>> {
    let keyspace = || declared.keyspace.to_owned();
    match declared.source {
        CategorySource::Lookup { .. } => Ok(declared.source.clone()),
        CategorySource::Key if !has_one_text(declared.key_type) => Err(vec![unsuited(declared)]),
        CategorySource::Key => Ok(CategorySource::Key),
        CategorySource::ByKey(_) if !has_one_text(declared.key_type) => Err(vec![unsuited(declared)]),
        CategorySource::ByKey(listed) => {
            let mut canonical_keys = BTreeMap::new();
            let mut faults = Vec::new();
            for (key, category) in listed {
                let known = declared.categories.iter().any(|listed| listed.name == *category);
                if !known && declared.default.is_empty() {
                    let (key, category) = (key.clone(), category.clone());
                    faults.push(TopologyError::CategoryUndeclared {
                        keyspace: keyspace(),
                        key,
                        category,
                    });
                }
                match Key::parse_text(declared.key_type, key.as_bytes()) {
                    Err(source) => {
                        let key = key.clone();
                        faults.push(TopologyError::CategoryKeyUnreadable {
                            keyspace: keyspace(),
                            key,
                            source,
                        });
                    }
                    Ok(parsed) => {
                        let key = canonical(&parsed);
                        if canonical_keys.insert(key.clone(), category.clone()).is_some() {
                            faults.push(TopologyError::CategoryKeyTwice {
                                keyspace: keyspace(),
                                key,
                            });
                        }
                    }
                }
            }
            if faults.is_empty() {
                Ok(CategorySource::ByKey(canonical_keys))
            } else {
                Err(faults)
            }
        }
    }
}

/// Equal numerics may be written in several ways (1.0, 1.00), so their text names no category.
fn has_one_text(key_type: KeyType) -> bool {
    match key_type {
        KeyType::Int2
        | KeyType::Int4
        | KeyType::Int8
        | KeyType::Text
        | KeyType::Varchar
        | KeyType::Bpchar
        | KeyType::Uuid
        | KeyType::Date
        | KeyType::Timestamp
        | KeyType::Timestamptz => true,
        KeyType::Numeric => false,
    }
}

fn unsuited(declared: &Unplaced<'_>) -> TopologyError {
    TopologyError::KeyTypeUnsuited {
        keyspace: declared.keyspace.to_owned(),
        key_type: declared.key_type,
        strategy: "category without a lookup table",
    }
}

fn category_fault(keyspace: &str, fault: CategoryFault, shards: &Shards<'_>) -> TopologyError {
    let keyspace = keyspace.to_owned();
    let named = |category: Option<String>| category.unwrap_or_else(|| "(default)".to_owned());
    match fault {
        // Declared buckets are numbered in order.
        CategoryFault::Empty | CategoryFault::Misnumbered => TopologyError::CategoriesEmpty { keyspace },
        CategoryFault::Twice(category) => TopologyError::CategoryTwice {
            keyspace,
            category: named(category),
        },
        CategoryFault::WithoutShard(category) => TopologyError::CategoryWithoutShard {
            keyspace,
            category: named(category),
        },
        CategoryFault::ShardTwice(category, shard) => TopologyError::CategoryShardTwice {
            keyspace,
            category: named(category),
            shard: shards.name(shard),
        },
    }
}
