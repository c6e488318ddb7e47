//! What shards say of themselves: what they run now, and how large each bucket is, estimated.
//!
//! How sizes are estimated: a table's size with its indexes and TOAST is Postgres's own figure (`pg_total_relation_size`);
//! it is spread over the shard's buckets as a sample of the table's keys is. Hash buckets get one key each besides, since
//! rows of many keys are spread evenly whatever a small sample says; without a sample every bucket gets the same.
//! Holds: a lock that isn't free is not waited for; a sample reads a bounded number of pages.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::discovery::Error;
use crate::discovery::categories::Known;
use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, Row, identifier, literal};
use crate::plan::Category;
use crate::telemetry::BucketSizes;
use crate::topology::{
    BucketId, Keyspace, KeyspaceId, Placed, QualifiedName, ShardId, Strategy, TablePlacement, Topology,
};
use crate::value::Key;

const ACTIVE_TIMEOUT: Duration = Duration::from_secs(2);
const SIZES_TIMEOUT: Duration = Duration::from_secs(20);

/// Before each question about tables: neither a lock nor a slow disk may keep it long.
const BOUNDS: &str = "SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = '3s'";

/// Keys of one table's sample.
const SAMPLE_ROWS: usize = 1000;

/// Pages that one table's sample reads, about.
const SAMPLE_PAGES: f64 = 100.0;

/// What one shard holds.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) shard: ShardId,
    pub(super) total: u64,
    pub(super) buckets: BucketSizes,
}

/// One table on one shard.
struct Measured {
    name: QualifiedName,
    keyspace: KeyspaceId,
    key: String,
    bytes: u64,
    pages: f64,
}

/// Backends of this database that run a statement, other clients' too; none where the control role may not see them.
pub(super) async fn active_backends(reach: &Reach) -> Result<Option<u32>, Error> {
    let sql = "SELECT CASE WHEN pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') THEN \
        count(*) FILTER (WHERE state = 'active' AND backend_type = 'client backend' AND pid <> pg_backend_pid()) END \
        FROM pg_stat_activity WHERE datname = current_database()";
    let rows = reach.rows(sql, ACTIVE_TIMEOUT).await?;
    let cell = rows.first().and_then(|row| Cells::new(row, reach.name()).optional(0));
    Ok(cell.and_then(|cell| cell.parse().ok()))
}

/// Bytes of the shard's buckets.
pub(super) async fn sizes(reach: &Reach, shard: ShardId, topology: &Topology, fixed: &Known) -> Result<Sizes, Error> {
    let mut sizes = Sizes {
        shard,
        total: 0,
        buckets: owned(topology, shard).map(|place| (place, 0)).collect(),
    };
    for table in measured(reach, topology).await? {
        sizes.total = sizes.total.saturating_add(table.bytes);
        let Some(keyspace) = topology.keyspace(table.keyspace) else {
            continue;
        };
        // A table that is locked, or that the control role may not read, is spread evenly.
        let keys = sample(reach, &table).await.unwrap_or_default();
        let counts = counted((table.keyspace, keyspace), shard, &keys, fixed);
        for (bucket, bytes) in spread(table.bytes, &counts) {
            if let Some(sum) = sizes.buckets.get_mut(&(table.keyspace, bucket)) {
                *sum = sum.saturating_add(bytes);
            }
        }
    }
    Ok(sizes)
}

fn owned(topology: &Topology, shard: ShardId) -> impl Iterator<Item = (KeyspaceId, BucketId)> {
    let keyspaces = topology.keyspaces().iter().enumerate();
    keyspaces.flat_map(move |(index, keyspace)| {
        let buckets = (0..keyspace.bucket_count()).filter_map(BucketId::new);
        let id = KeyspaceId::new(index);
        buckets
            .filter(move |bucket| keyspace.owner(*bucket) == Some(shard))
            .filter_map(move |bucket| Some((id?, bucket)))
    })
}

/// Sizes of all sharded tables that the shard has.
async fn measured(reach: &Reach, topology: &Topology) -> Result<Vec<Measured>, Error> {
    let sharded = topology
        .tables()
        .iter()
        .filter_map(|(name, placement)| match placement {
            TablePlacement::Sharded { keyspace, key } => Some((name, *keyspace, key)),
            TablePlacement::Reference | TablePlacement::Unsharded(_) => None,
        });
    let sharded: Vec<_> = sharded.collect();
    if sharded.is_empty() {
        return Ok(Vec::new());
    }
    let names = sharded.iter().enumerate().map(|(at, (name, ..))| {
        let (schema, name) = (literal(&name.schema), literal(&name.name));
        format!("({at}, {schema}, {name})")
    });
    let names: Vec<String> = names.collect();
    let sql = format!(
        "{BOUNDS}; SELECT named.at, \
         CASE c.relkind WHEN 'p' THEN (SELECT COALESCE(sum(pg_total_relation_size(part.relid)), 0) \
         FROM pg_partition_tree(c.oid) AS part) ELSE pg_total_relation_size(c.oid) END::bigint, \
         CASE c.relkind WHEN 'p' THEN (SELECT COALESCE(sum(leaf.relpages), 0) \
         FROM pg_partition_tree(c.oid) AS part JOIN pg_class AS leaf ON leaf.oid = part.relid) \
         ELSE c.relpages END::bigint \
         FROM (VALUES {}) AS named(at, schema, name) JOIN pg_namespace AS n ON n.nspname = named.schema \
         JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = named.name WHERE c.relkind IN ('r', 'p')",
        names.join(", ")
    );
    let mut measured = Vec::new();
    for row in &reach.rows(&sql, SIZES_TIMEOUT).await? {
        let cells = Cells::new(row, reach.name());
        let at: usize = cells.number(0)?;
        if let (Some((name, keyspace, key)), Some(bytes)) = (sharded.get(at), cells.optional(1)) {
            measured.push(Measured {
                name: (*name).clone(),
                keyspace: *keyspace,
                key: (*key).clone(),
                bytes: bytes.parse().map_err(|_| cells.odd(1, bytes))?,
                pages: cells.number(2)?,
            });
        }
    }
    Ok(measured)
}

/// Keys of some of a table's rows, as text.
async fn sample(reach: &Reach, table: &Measured) -> Result<Vec<String>, Error> {
    let percent = (100.0 * SAMPLE_PAGES / table.pages.max(SAMPLE_PAGES)).clamp(0.0001, 100.0);
    let (schema, name) = (identifier(&table.name.schema), identifier(&table.name.name));
    let key = identifier(&table.key);
    let sql = format!(
        "{BOUNDS}; SELECT key FROM (SELECT {key}::text AS key FROM {schema}.{name} TABLESAMPLE SYSTEM ({percent:.4})) \
         AS sampled ORDER BY random() LIMIT {SAMPLE_ROWS}"
    );
    let rows = reach.rows(&sql, SIZES_TIMEOUT).await?;
    let first = |row: Row| row.into_iter().next().flatten();
    Ok(rows.into_iter().filter_map(first).collect())
}

/// How many sampled keys lie in each of the shard's buckets.
fn counted(
    (id, keyspace): (KeyspaceId, &Keyspace),
    shard: ShardId,
    keys: &[String],
    fixed: &Known,
) -> BTreeMap<BucketId, u64> {
    let at_least = match keyspace.strategy() {
        Strategy::Hash(_) => 1,
        Strategy::Range(_) | Strategy::Category(_) => 0,
    };
    let buckets = (0..keyspace.bucket_count()).filter_map(BucketId::new);
    let own = buckets.filter(|bucket| keyspace.owner(*bucket) == Some(shard));
    let mut counts: BTreeMap<BucketId, u64> = own.map(|bucket| (bucket, at_least)).collect();
    for text in keys {
        let Ok(key) = Key::parse_text(keyspace.key_type(), text.as_bytes()) else {
            continue;
        };
        let placed = match keyspace.place(&key) {
            Placed::CategoryNeeded => match fixed.get(&(id, key.to_text())) {
                Some(Category::Fixed(category)) => keyspace.place_in_category(&key, category),
                Some(Category::Derived(_) | Category::Unknown) | None => continue,
            },
            placed => placed,
        };
        if let Placed::At(place) = placed
            && let Some(count) = counts.get_mut(&place.bucket)
        {
            *count = count.saturating_add(1);
        }
    }
    counts
}

/// Bytes in proportion to counts; evenly where nothing was counted.
fn spread(bytes: u64, counts: &BTreeMap<BucketId, u64>) -> BTreeMap<BucketId, u64> {
    let all: u64 = counts.values().sum();
    let buckets = u64::try_from(counts.len()).unwrap_or(u64::MAX).max(1);
    let share = |count: u64| match all {
        0 => bytes / buckets,
        all => u64::try_from(u128::from(bytes) * u128::from(count) / u128::from(all)).unwrap_or(bytes),
    };
    counts.iter().map(|(bucket, count)| (*bucket, share(*count))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_of(bytes: u64, counts: &[u64]) -> Vec<u64> {
        let counts = counts.iter().enumerate();
        let counts = counts.map(|(at, count)| (BucketId::new(at).unwrap(), *count)).collect();
        spread(bytes, &counts).into_values().collect()
    }

    #[test]
    fn a_table_is_spread_as_its_sample_is() {
        assert_eq!(spread_of(1000, &[3, 0, 1]), [750, 0, 250]);
        assert_eq!(spread_of(1000, &[0, 0]), [500, 500]);
        assert_eq!(spread_of(u64::MAX, &[1]), [u64::MAX]);
        assert!(spread_of(1000, &[]).is_empty());
    }
}
