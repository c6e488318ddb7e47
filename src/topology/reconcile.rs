//! A stored keyspace and its new declaration: what may be added, what contradicts where rows already lie.

use super::category::SpreadOver;
use super::draft::Draft;
use super::{Aspect, CategoryPlacement, CategorySource, Keyspace, RangePlacement, ShardId, Spread, Strategy};
use crate::value::Key;

impl Draft {
    /// Takes over what a declared keyspace adds to the stored one at `position`.
    pub(super) fn reconcile_keyspace(&mut self, position: usize, declared: &Keyspace) {
        let Some(stored) = self.keyspaces.get(position).cloned() else {
            return;
        };
        let subject = format!("keyspace {}", stored.name());
        if !stored.key_type().is_hash_compatible(declared.key_type()) {
            let (stored, declared) = (
                stored.key_type().name().to_owned(),
                declared.key_type().name().to_owned(),
            );
            return self.contradict(subject, Aspect::KeyType, stored, declared);
        }
        let strategy = match (stored.strategy(), declared.strategy()) {
            (Strategy::Hash(old), Strategy::Hash(new)) => {
                let (old_count, new_count) = (old.declared_buckets(), new.declared_buckets());
                if old_count != new_count {
                    self.contradict(
                        subject,
                        Aspect::BucketCount,
                        old_count.to_string(),
                        new_count.to_string(),
                    );
                }
                Strategy::Hash(old.clone())
            }
            (Strategy::Range(old), Strategy::Range(new)) => Strategy::Range(self.reconcile_ranges(&subject, old, new)),
            (Strategy::Category(old), Strategy::Category(new)) => {
                Strategy::Category(self.reconcile_categories(&subject, old, new))
            }
            (old @ (Strategy::Hash(_) | Strategy::Range(_) | Strategy::Category(_)), new) => {
                let (old, new) = (old.name().to_owned(), new.name().to_owned());
                return self.contradict(subject, Aspect::Strategy, old, new);
            }
        };
        if let Some(keyspace) = self.keyspaces.get_mut(position) {
            *keyspace = Keyspace::new(
                stored.name().to_owned(),
                declared.key_type(),
                declared.labels().clone(),
                strategy,
            );
        }
    }

    /// What is stored must be declared alike or not at all; beyond a closed last range no row lies, so more may follow. A
    /// declared range may be cut into several stored ones, if all of them lie on its shard.
    fn reconcile_ranges(&mut self, subject: &str, old: &RangePlacement, new: &RangePlacement) -> RangePlacement {
        let until = |bound: Option<&Key>| bound.map_or_else(|| "open".to_owned(), ToString::to_string);
        let count = old.owners().len();
        let mut position = 0;
        let mut more = Vec::new();
        for (index, owner) in new.owners().iter().enumerate() {
            let declared = new.bounds().get(index);
            if position >= count && old.bounds().len() == count {
                more.push((declared.cloned(), *owner));
                continue;
            }
            let behind = old.bounds().get(position..).unwrap_or_default();
            let found = match declared {
                Some(declared) => behind.iter().position(|bound| bound == declared),
                None => Some(behind.len()).filter(|_| old.bounds().len() < count),
            };
            let range = format!("{subject}, range {index}");
            let Some(found) = found else {
                self.contradict(range, Aspect::RangeBound, until(behind.first()), until(declared));
                break;
            };
            let end = position.saturating_add(found).saturating_add(1);
            let owners = old.owners().get(position..end).unwrap_or_default();
            if owners.iter().any(|stored| stored != owner) {
                let mut shards = owners.to_vec();
                shards.dedup();
                let (stored, declared) = (self.listed(&shards), self.shard_name(*owner));
                self.contradict(range, Aspect::RangeShard, stored, declared);
            }
            position = end;
        }
        if more.is_empty() {
            return old.clone();
        }
        let kept = old.bounds().iter().cloned().map(Some).zip(old.owners().iter().copied());
        let buckets = old
            .buckets()
            .iter()
            .copied()
            .chain(count..count.saturating_add(more.len()));
        // Both lists were sound by themselves, and the new ones were declared behind the old ones.
        RangePlacement::numbered(kept.chain(more).collect(), buckets.collect()).unwrap_or_else(|_| old.clone())
    }

    /// New categories may come unless their keys may already lie with the default.
    fn reconcile_categories(
        &mut self,
        subject: &str,
        old: &CategoryPlacement,
        new: &CategoryPlacement,
    ) -> CategoryPlacement {
        let source = self.reconcile_source(subject, old.source(), new.source());
        let mut spreads = old.spreads().to_vec();
        let default = spreads.iter().find(|spread| spread.category().is_none()).cloned();
        for spread in new.spreads() {
            let next = spreads.iter().map(|spread| spread.pieces().len()).sum();
            let known = spreads.iter_mut().find(|known| known.category() == spread.category());
            let is_known = known.is_some();
            let lies_with = match known {
                Some(known) => {
                    known.set_labels(spread.labels());
                    Some(known.clone())
                }
                None => default.clone(),
            };
            let declared = spread.shards();
            match lies_with {
                Some(stored) if stored.shards() != declared => {
                    let name = spread.category().unwrap_or("(default)");
                    let mut stored = self.listed(&stored.shards());
                    if !is_known {
                        stored.push_str(" (by default)");
                    }
                    let declared = self.listed(&declared);
                    let subject = format!("{subject}, category {name}");
                    self.contradict(subject, Aspect::CategoryShards, stored, declared);
                }
                Some(_) if is_known => {}
                // Its keys lie with the default's arcs, wherever those have been moved to.
                Some(default) => {
                    let category = spread.category().map(str::to_owned);
                    spreads.extend(default.like(category, spread.labels().clone(), next));
                }
                None => {
                    let declared = SpreadOver {
                        category: spread.category().map(str::to_owned),
                        shards: declared,
                        labels: spread.labels().clone(),
                    };
                    spreads.extend(Spread::declared(&declared, next));
                }
            }
        }
        // Both lists were sound by themselves, and nothing was added twice.
        CategoryPlacement::of(source, spreads).unwrap_or_else(|_| old.clone())
    }

    fn reconcile_source(&mut self, subject: &str, old: &CategorySource, new: &CategorySource) -> CategorySource {
        match (old, new) {
            (CategorySource::ByKey(old), CategorySource::ByKey(new)) => {
                let mut merged = old.clone();
                for (key, category) in new {
                    match merged.get(key) {
                        Some(stored) if stored != category => {
                            let subject = format!("{subject}, key {key}");
                            self.contradict(subject, Aspect::CategoryOfKey, stored.clone(), category.clone());
                        }
                        Some(_) => {}
                        None => {
                            merged.insert(key.clone(), category.clone());
                        }
                    }
                }
                CategorySource::ByKey(merged)
            }
            (old, new) => {
                if old != new {
                    self.contradict(
                        subject.to_owned(),
                        Aspect::CategorySource,
                        described(old),
                        described(new),
                    );
                }
                old.clone()
            }
        }
    }

    fn listed(&self, shards: &[ShardId]) -> String {
        shards
            .iter()
            .map(|shard| self.shard_name(*shard))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn described(source: &CategorySource) -> String {
    match source {
        CategorySource::Lookup { table, key, category } => format!("table {table} ({key}, {category})"),
        CategorySource::ByKey(_) => "categories_by_key".to_owned(),
        CategorySource::Key => "the key itself".to_owned(),
    }
}
