//! A stored keyspace and its new declaration: what may be added, what contradicts where rows already lie.

use super::draft::Draft;
use super::{Aspect, CategoryPlacement, CategorySource, Keyspace, RangePlacement, ShardId, Strategy};

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
                let (old_count, new_count) = (old.owners().len(), new.owners().len());
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
            *keyspace = Keyspace::new(stored.name().to_owned(), declared.key_type(), strategy);
        }
    }

    /// What is stored must be declared alike or not at all; beyond a closed last range no row lies, so more may follow.
    fn reconcile_ranges(&mut self, subject: &str, old: &RangePlacement, new: &RangePlacement) -> RangePlacement {
        let until = |ranges: &RangePlacement, index: usize| {
            ranges
                .bounds()
                .get(index)
                .map_or_else(|| "open".to_owned(), ToString::to_string)
        };
        for (index, (old_owner, new_owner)) in old.owners().iter().zip(new.owners()).enumerate() {
            let range = format!("{subject}, range {index}");
            if old.bounds().get(index) != new.bounds().get(index) {
                self.contradict(range, Aspect::RangeBound, until(old, index), until(new, index));
            } else if old_owner != new_owner {
                let (old_owner, new_owner) = (self.shard_name(*old_owner), self.shard_name(*new_owner));
                self.contradict(range, Aspect::RangeShard, old_owner, new_owner);
            }
        }
        // With an open last range stored, a longer list differs at that bound and was found above.
        if new.owners().len() > old.owners().len() {
            new.clone()
        } else {
            old.clone()
        }
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
        let default = spreads
            .iter()
            .find(|spread| spread.category.is_none())
            .map(|spread| spread.shards.clone());
        for spread in new.spreads() {
            let known = spreads
                .iter()
                .find(|known| known.category == spread.category)
                .map(|known| known.shards.clone());
            let lies_with = known.clone().or_else(|| default.clone());
            match lies_with {
                Some(shards) if shards != spread.shards => {
                    let name = spread.category.as_deref().unwrap_or("(default)");
                    let stored = match known {
                        Some(_) => self.listed(&shards),
                        None => format!("{} (by default)", self.listed(&shards)),
                    };
                    let declared = self.listed(&spread.shards);
                    self.contradict(
                        format!("{subject}, category {name}"),
                        Aspect::CategoryShards,
                        stored,
                        declared,
                    );
                }
                Some(_) | None if known.is_none() => spreads.push(spread.clone()),
                Some(_) | None => {}
            }
        }
        // Both lists were sound by themselves, and nothing was added twice.
        CategoryPlacement::new(source, spreads).unwrap_or_else(|_| old.clone())
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
