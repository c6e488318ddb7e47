//! Rows that lie where they wouldn't belong.
//!
//! Why in SQL where that is possible: the servers evaluate the very hash and order that the topology is built on, and only
//! a finding travels. Keys of category keyspaces are few; they are fetched page by page and judged here. Holds: a search
//! gives one key per table and shard; it reads every row, so it runs at first start, for newly listed tables, and for check.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::discovery::cells::Cells;
use crate::discovery::checks::scene::{error, shown};
use crate::discovery::reach::{Reach, identifier, literal};
use crate::discovery::{Error, Finding};
use crate::topology::{BucketId, HashPlacement, Keyspace, Placed, QualifiedName, RangePlacement, ShardId, Strategy};
use crate::value::{Key, KeyType};

/// Every row of a table is read.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Keys of a category keyspace per page.
const PAGE: usize = 10_000;

/// One search: a sharded table on one shard.
#[derive(Clone)]
pub(in crate::discovery) struct Search {
    pub(in crate::discovery) reach: Arc<Reach>,
    pub(in crate::discovery) shard: ShardId,
    pub(in crate::discovery) table: QualifiedName,
    pub(in crate::discovery) key: String,
    /// of the key's column
    pub(in crate::discovery) key_type: KeyType,
    pub(in crate::discovery) keyspace: Keyspace,
    /// fixed or derived, for keyspaces with a lookup
    pub(in crate::discovery) categories: Arc<BTreeMap<String, String>>,
}

/// Searches one shard for a row that it would not own.
pub(in crate::discovery) async fn misplaced(search: &Search) -> Result<Option<Finding>, Error> {
    let owned = match search.keyspace.strategy() {
        Strategy::Hash(placement) => hash_predicate(search, placement)?,
        Strategy::Range(placement) => range_predicate(search, placement),
        Strategy::Category(_) => return misplaced_category(search).await,
    };
    let sql = format!(
        "SELECT {key}::text FROM {} WHERE NOT {owned} LIMIT 1",
        from(&search.table),
        key = identifier(&search.key)
    );
    let rows = search.reach.rows(&sql, SEARCH_TIMEOUT).await?;
    Ok(rows
        .first()
        .and_then(|row| row.first().cloned().flatten())
        .map(|key| found(search, &key, None)))
}

fn from(table: &QualifiedName) -> String {
    format!("{}.{}", identifier(&table.schema), identifier(&table.name))
}

fn found(search: &Search, key: &str, category: Option<&str>) -> Finding {
    let name = search.keyspace.name();
    let placed = Key::parse_text(search.key_type, key.as_bytes()).map(|parsed| match category {
        Some(category) => search.keyspace.place_in_category(&parsed, category),
        None => search.keyspace.place(&parsed),
    });
    let belongs = match placed {
        Ok(Placed::At(place)) => format!("bucket {} of keyspace {name}, another shard's", place.bucket.index()),
        Ok(Placed::CategoryNeeded | Placed::CategoryUnknown) => format!("a category that keyspace {name} doesn't know"),
        Ok(Placed::BeyondRanges) => format!("no range of keyspace {name}"),
        Ok(Placed::Mistyped) | Err(_) => format!("another shard of keyspace {name}"),
    };
    let shard = search.reach.name();
    let hint = match search.keyspace.strategy() {
        Strategy::Hash(_) => format!(
            "If all rows lie on one shard yet: keyspaces: {{{name}: {{placement: {{all: {shard}}}}}}}; else move the row."
        ),
        Strategy::Range(_) => format!("Give that range to shard {shard} in keyspaces.{name}.ranges, or move the row."),
        Strategy::Category(_) => {
            format!("Give its category to shard {shard} in keyspaces.{name}.categories, or move the row.")
        }
    };
    error(
        Some(shard.to_owned()),
        &search.table,
        format!("a row lies here that belongs elsewhere: {} = {key}", search.key),
    )
    .detail(format!("The key belongs to {belongs}."))
    .hint(hint)
}

/// The key's token, as the server computes it.
fn token(search: &Search) -> String {
    let key = identifier(&search.key);
    match search.key_type {
        KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => format!("hashint8extended({key}::bigint, 0)"),
        KeyType::Text | KeyType::Varchar => format!("hashtextextended({key}::text, 0)"),
        KeyType::Bpchar => format!("hashbpcharextended({key}, 0)"),
        KeyType::Uuid => format!("uuid_hash_extended({key}, 0)"),
        // A date's hash is that of its number of days; infinities keep theirs.
        KeyType::Date => format!(
            "hashint4extended(CASE {key} WHEN 'infinity' THEN 2147483647 WHEN '-infinity' THEN -2147483648 \
             ELSE {key} - '2000-01-01'::date END, 0)"
        ),
        KeyType::Timestamp => format!("timestamp_hash_extended({key}, 0)"),
        KeyType::Timestamptz => format!("timestamp_hash_extended({key} AT TIME ZONE 'UTC', 0)"),
        KeyType::Numeric => format!("hash_numeric_extended({key}, 0)"),
    }
}

/// Does the shard own the token? By binary search over the places where ownership changes.
fn hash_predicate(search: &Search, placement: &HashPlacement) -> Result<String, Error> {
    let mut arcs: Vec<(i64, bool)> = Vec::with_capacity(placement.owners().len());
    for (index, owner) in placement.owners().iter().enumerate() {
        let arc = BucketId::new(index).and_then(|bucket| placement.arc(bucket));
        let (start, _) = arc.ok_or(Error::Bug("a bucket without an arc"))?;
        arcs.push((start.0, *owner == search.shard));
    }
    arcs.sort_unstable();
    arcs.dedup_by_key(|(_, is_own)| *is_own);
    let starts: Vec<String> = arcs.iter().map(|(start, _)| start.to_string()).collect();
    let own: Vec<&str> = arcs.iter().map(|(_, is_own)| if *is_own { "t" } else { "f" }).collect();
    Ok(format!(
        "('{{{}}}'::bool[])[width_bucket({}, '{{{}}}'::bigint[])]",
        own.join(","),
        token(search),
        starts.join(",")
    ))
}

/// Does the shard own the range that the key lies in?
fn range_predicate(search: &Search, placement: &RangePlacement) -> String {
    let mut own: Vec<&str> = placement
        .owners()
        .iter()
        .map(|owner| if *owner == search.shard { "t" } else { "f" })
        .collect();
    if placement.bounds().len() == placement.owners().len() {
        own.push("f");
    }
    let key_type = search.keyspace.key_type().name();
    let bounds: Vec<String> = placement
        .bounds()
        .iter()
        .map(|bound| literal(&bound.to_text()))
        .collect();
    let key = identifier(&search.key);
    if bounds.is_empty() {
        return format!("({}::bool)", literal(own.first().copied().unwrap_or("f")));
    }
    let collate = if search.keyspace.key_type() == KeyType::Text {
        " COLLATE \"C\""
    } else {
        ""
    };
    format!(
        "('{{{}}}'::bool[])[1 + width_bucket({key}::{key_type}{collate}, ARRAY[{}]::{key_type}[])]",
        own.join(","),
        bounds.join(", ")
    )
}

async fn misplaced_category(search: &Search) -> Result<Option<Finding>, Error> {
    let mut last: Option<String> = None;
    loop {
        let keys = page(&search.reach, &search.table, &search.key, last.as_deref()).await?;
        for key in &keys {
            let Ok(parsed) = Key::parse_text(search.key_type, key.as_bytes()) else {
                continue;
            };
            let category = search.categories.get(key).map(String::as_str);
            let placed = match (search.keyspace.place(&parsed), category) {
                (Placed::CategoryNeeded, Some(category)) => search.keyspace.place_in_category(&parsed, category),
                (placed, _) => placed,
            };
            match placed {
                Placed::At(place) if place.shard == search.shard => {}
                Placed::CategoryNeeded => return Ok(Some(unknown(search, key))),
                Placed::At(_) | Placed::CategoryUnknown | Placed::BeyondRanges | Placed::Mistyped => {
                    return Ok(Some(found(search, key, category)));
                }
            }
        }
        match keys.last() {
            Some(key) if keys.len() >= PAGE => last = Some(key.clone()),
            Some(_) | None => return Ok(None),
        }
    }
}

fn unknown(search: &Search, key: &str) -> Finding {
    let name = search.keyspace.name();
    let table =
        super::super::categories::lookup_of(&search.keyspace).map_or_else(String::new, |(table, _, _)| shown(table));
    error(
        Some(search.reach.name().to_owned()),
        &search.table,
        format!("a row's key has no category: {} = {key}", search.key),
    )
    .detail(format!(
        "Keyspace {name} looks categories up in {table}, which doesn't have this key."
    ))
    .hint(format!("Insert it into {table} on every shard."))
}

/// Distinct keys in order of their bytes, from behind `last`.
async fn page(reach: &Reach, table: &QualifiedName, key: &str, last: Option<&str>) -> Result<Vec<String>, Error> {
    let key = identifier(key);
    let after = last.map_or_else(String::new, |last| {
        format!("WHERE {key}::text COLLATE \"C\" > {}", literal(last))
    });
    let sql = format!(
        "SELECT DISTINCT {key}::text COLLATE \"C\" FROM {} {after} ORDER BY 1 LIMIT {PAGE}",
        from(table)
    );
    let rows = reach.rows(&sql, SEARCH_TIMEOUT).await?;
    rows.iter().map(|row| Cells::new(row, reach.name()).owned(0)).collect()
}

/// All distinct keys of a table on one shard.
pub(in crate::discovery) async fn category_keys(
    reach: &Reach,
    table: &QualifiedName,
    key: &str,
) -> Result<Vec<String>, Error> {
    let mut keys = Vec::new();
    loop {
        let page = page(reach, table, key, keys.last().map(String::as_str)).await?;
        let is_last = page.len() < PAGE;
        keys.extend(page);
        if is_last {
            return Ok(keys);
        }
    }
}

/// Is there any row of a table that has no business on this shard? `belongs` names its own shard.
pub(in crate::discovery) async fn stray(
    reach: &Reach,
    table: &QualifiedName,
    belongs: &str,
) -> Result<Option<Finding>, Error> {
    let sql = format!("SELECT EXISTS (SELECT FROM {})", from(table));
    let rows = reach.rows(&sql, SEARCH_TIMEOUT).await?;
    let has_rows = rows.first().is_some_and(|row| Cells::new(row, reach.name()).is(0));
    Ok(has_rows.then(|| {
        error(
            Some(reach.name().to_owned()),
            table,
            "the table has rows here, where nobody would read them",
        )
        .detail(format!("Its rows belong to shard {belongs}."))
        .hint(format!(
            "List it under tables with its placement, or move the rows to {belongs}."
        ))
    }))
}
