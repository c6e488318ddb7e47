//! Categories of keys: derived from the lookup table, fixed at first use, kept for ever.
//!
//! Holds: a fixed category never changes here, whatever the lookup table says later; "unknown" is never kept; before the
//! answer to a write is given, the row in `shardgate.category` on home is committed.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::discovery::Error;
use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, identifier, literal};
use crate::discovery::store;
use crate::plan::Category;
use crate::topology::{CategorySource, Keyspace, KeyspaceId, QualifiedName, Strategy, Topology};

const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys per statement: a bound on a statement's text.
const KEYS_PER_STATEMENT: usize = 1_000;

/// What planning is given: (keyspace, key's text) → category.
pub(super) type Known = BTreeMap<(KeyspaceId, String), Category>;

/// All fixed categories that this proxy has seen.
#[derive(Debug, Default)]
pub(super) struct Fixed {
    /// guards one pointer: held for a clone or a swap, never over an await
    known: RwLock<Arc<Known>>,
}

impl Fixed {
    /// All of them; cheap.
    pub(super) fn all(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, fixed: Known) {
        if fixed.is_empty() {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Arc::make_mut(&mut known).extend(fixed);
    }

    /// Reads what is stored: at start, and when the topology changes.
    pub(super) async fn preload(&self, home: &Reach, topology: &Topology) -> Result<(), Error> {
        let stored = store::categories(home).await?;
        let fixed = stored.into_iter().filter_map(|((keyspace, key), category)| {
            let (id, _) = topology.keyspace_by_name(&keyspace)?;
            Some(((id, key), Category::Fixed(category)))
        });
        self.add(fixed.collect());
        Ok(())
    }

    /// Fixes these categories (the first one ever given to a key wins) and returns the winners.
    pub(super) async fn fix(
        &self,
        home: &Reach,
        keyspace: (KeyspaceId, &Keyspace),
        wanted: &BTreeMap<String, String>,
    ) -> Result<Known, Error> {
        let entries: Vec<(&String, &String)> = wanted.iter().collect();
        let mut winners = Known::new();
        for some in entries.chunks(KEYS_PER_STATEMENT) {
            let some = some
                .iter()
                .map(|(key, category)| ((*key).clone(), (*category).clone()))
                .collect();
            let fixed = store::fix(home, keyspace.1.name(), &some).await?;
            winners.extend(
                fixed
                    .into_iter()
                    .map(|(key, category)| ((keyspace.0, key), Category::Fixed(category))),
            );
        }
        self.add(winners.clone());
        Ok(winners)
    }
}

/// The lookup table of a category keyspace that has one.
pub(super) fn lookup_of(keyspace: &Keyspace) -> Option<(&QualifiedName, &str, &str)> {
    match keyspace.strategy() {
        Strategy::Category(placement) => match placement.source() {
            CategorySource::Lookup { table, key, category } => Some((table, key, category)),
            CategorySource::ByKey(_) | CategorySource::Key => None,
        },
        Strategy::Hash(_) | Strategy::Range(_) => None,
    }
}

/// Categories by the lookup table on one shard, as committed there; keys that it doesn't know are left out.
pub(super) async fn derive(
    reach: &Reach,
    keyspace: &Keyspace,
    keys: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let Some((table, key, category)) = lookup_of(keyspace) else {
        return Err(Error::Bug("a category was asked for where no table tells it"));
    };
    let mut derived = BTreeMap::new();
    for some in keys.chunks(KEYS_PER_STATEMENT) {
        let list: Vec<String> = some.iter().map(|key| literal(key)).collect();
        let sql = format!(
            "SELECT {key}::text, {category}::text FROM {}.{} WHERE {category} IS NOT NULL AND {key} IN ({})",
            identifier(&table.schema),
            identifier(&table.name),
            list.join(", "),
            key = identifier(key),
            category = identifier(category),
        );
        for row in reach.rows(&sql, LOOKUP_TIMEOUT).await? {
            let cells = Cells::new(&row, reach.name());
            derived.insert(cells.owned(0)?, cells.owned(1)?);
        }
    }
    Ok(derived)
}
