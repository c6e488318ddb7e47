//! The topology store: schema `shardgate` on the shards.
//!
//! Why one INSERT: the primary key decides between proxies that start or reload at the same moment, and the loser reads
//! what won. Holds: home leads, copies follow; creation runs under an advisory lock, since two `CREATE … IF NOT EXISTS`
//! can still collide; nothing here ever deletes or changes an epoch.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, literal};
use crate::discovery::{Error, proposal_store};
use crate::topology::{Epoch, Topology};
use crate::transaction::{STORE_CREATE, STORE_IS_THERE};

/// Small statements on small tables.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// Advisory lock of everything that creates objects of ours; the second number is free for other uses of the first.
const CREATION_LOCK: &str = "SELECT pg_advisory_xact_lock(1936159079, 1)";

const TABLES: &str = "CREATE SCHEMA IF NOT EXISTS shardgate; \
    CREATE TABLE IF NOT EXISTS shardgate.topology (epoch bigint PRIMARY KEY, document text NOT NULL, \
    stored_at timestamptz NOT NULL DEFAULT now()); \
    CREATE TABLE IF NOT EXISTS shardgate.category (keyspace text NOT NULL, key text COLLATE \"C\" NOT NULL, \
    category text NOT NULL, fixed_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (keyspace, key)); \
    CREATE UNLOGGED TABLE IF NOT EXISTS shardgate.load (proxy text COLLATE \"C\" PRIMARY KEY, \
    written_at timestamptz NOT NULL, document text NOT NULL); \
    CREATE TABLE IF NOT EXISTS shardgate.load_hour (hour int PRIMARY KEY CHECK (hour BETWEEN 0 AND 167), \
    week bigint NOT NULL, document text NOT NULL)";

/// One keyspace's name and one key.
pub(super) type NamedKey = (String, String);

/// Makes schema and tables, unless they are there. All of them on every shard: home may have to be another one some day,
/// and any shard may decide a transaction.
pub(super) async fn create(reach: &Reach) -> Result<(), Error> {
    // A look first: most starts find all of it, and creating takes locks.
    let seen = "SELECT to_regclass('shardgate.topology') IS NOT NULL AND to_regclass('shardgate.category') IS NOT NULL \
        AND to_regclass('shardgate.load') IS NOT NULL AND to_regclass('shardgate.proposal_open') IS NOT NULL \
        AND to_regclass('shardgate.finding') IS NOT NULL AND to_regclass('shardgate.load_hour') IS NOT NULL";
    let seen = reach.batch(&format!("{seen}; {STORE_IS_THERE}"), STORE_TIMEOUT).await?;
    let is_there = |rows: &Vec<_>| rows.first().is_some_and(|row| Cells::new(row, reach.name()).is(0));
    if seen.iter().all(is_there) {
        return Ok(());
    }
    reach
        .batch(
            &format!(
                "SET LOCAL client_min_messages = warning; {CREATION_LOCK}; {TABLES}; {}; {STORE_CREATE}",
                proposal_store::TABLES
            ),
            STORE_TIMEOUT,
        )
        .await?;
    Ok(())
}

/// The highest epoch stored on a shard; none where nothing was ever stored.
pub(super) async fn highest(reach: &Reach) -> Result<Option<Topology>, Error> {
    let sql = "SELECT document FROM shardgate.topology ORDER BY epoch DESC LIMIT 1";
    let rows = match reach.rows(sql, STORE_TIMEOUT).await {
        Ok(rows) => rows,
        Err(Error::Server { code, .. }) if is_absent(&code) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(row) = rows.first() else { return Ok(None) };
    let document = Cells::new(row, reach.name()).text(0)?;
    Topology::from_json(document)
        .map(Some)
        .map_err(|error| Error::NoTopology(format!("shard \"{}\": {error}", reach.name())))
}

/// What a store gained or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    /// this epoch is ours
    Ours,
    /// somebody else was faster
    Theirs,
}

/// Stores a new epoch on home: one INSERT, decided by the primary key.
pub(super) async fn insert(reach: &Reach, topology: &Topology) -> Result<Stored, Error> {
    let document = topology
        .to_json()
        .map_err(|error| Error::NoTopology(error.to_string()))?;
    let sql = format!(
        "SET LOCAL synchronous_commit = on; INSERT INTO shardgate.topology (epoch, document) VALUES ({}, {}) \
         ON CONFLICT (epoch) DO NOTHING RETURNING 1",
        topology.epoch().get(),
        literal(&document),
    );
    let rows = reach.rows(&sql, STORE_TIMEOUT).await?;
    Ok(if rows.is_empty() { Stored::Theirs } else { Stored::Ours })
}

/// Copies home's epoch to another shard.
pub(super) async fn copy(reach: &Reach, topology: &Topology) -> Result<(), Error> {
    create(reach).await?;
    insert(reach, topology).await.map(|_| ())
}

/// The epoch that home holds, as SQL for a probe: the table is there once the room is open.
pub(super) const EPOCH_PROBE: &str = "SELECT max(epoch) FROM shardgate.topology";

/// An epoch out of a probe's cell.
pub(super) fn epoch(cell: Option<&str>) -> Option<Epoch> {
    cell.and_then(|text| text.parse().ok()).and_then(Epoch::new)
}

/// Every fixed category.
pub(super) async fn categories(reach: &Reach) -> Result<BTreeMap<NamedKey, String>, Error> {
    let sql = "SELECT keyspace, key, category FROM shardgate.category";
    let rows = match reach.rows(sql, STORE_TIMEOUT).await {
        Ok(rows) => rows,
        Err(Error::Server { code, .. }) if is_absent(&code) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut categories = BTreeMap::new();
    for row in &rows {
        let cells = Cells::new(row, reach.name());
        categories.insert((cells.owned(0)?, cells.owned(1)?), cells.owned(2)?);
    }
    Ok(categories)
}

/// Fixes categories on home, committed on return; what was there already wins and is returned.
pub(super) async fn fix(
    reach: &Reach,
    keyspace: &str,
    wanted: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keyspace = literal(keyspace);
    // One order for all proxies, so that two of them can't wait for each other: BTreeMap's.
    let rows: Vec<String> = wanted
        .iter()
        .map(|(key, category)| format!("({keyspace}, {}, {})", literal(key), literal(category)))
        .collect();
    let keys: Vec<String> = wanted.keys().map(|key| literal(key)).collect();
    let sql = format!(
        "SET LOCAL synchronous_commit = on; INSERT INTO shardgate.category (keyspace, key, category) VALUES {} \
         ON CONFLICT (keyspace, key) DO NOTHING; \
         SELECT key, category FROM shardgate.category WHERE keyspace = {keyspace} AND key IN ({})",
        rows.join(", "),
        keys.join(", "),
    );
    let rows = reach.rows(&sql, STORE_TIMEOUT).await?;
    let mut fixed = BTreeMap::new();
    for row in &rows {
        let cells = Cells::new(row, reach.name());
        fixed.insert(cells.owned(0)?, cells.owned(1)?);
    }
    Ok(fixed)
}

/// undefined_table, invalid_schema_name
pub(super) fn is_absent(code: &str) -> bool {
    matches!(code, "42P01" | "3F000")
}
