//! Schema through the proxy, rows straight into the shards.
//!
//! Why arrays: they need no more than an ordinary statement, and a few hundred thousand rows take seconds.
//! Holds: a row goes to the shard that the topology names, and to no other.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use shardgate::backend::{Control, ControlClient, ToSql};
use shardgate::clock::Clock;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::dice::Dice;
use super::places::Places;
use super::rows::{Cell, TABLES, Table};
use super::schema;
use super::settings::DATABASE;
use super::voice::Voice;
use crate::clusters::{Clusters, SUPERUSER};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows per statement.
const BATCH_ROWS: usize = 2_000;
/// Batches that wait for a shard.
const BATCHES_WAITING: usize = 4;
const SEED: u64 = 2_026;

/// Connects a superuser to a database of every shard.
async fn connect(clusters: &Clusters, database: &str) -> Result<Vec<ControlClient>> {
    let mut clients = Vec::new();
    for cluster in clusters.iter() {
        let url = cluster.url(SUPERUSER, database);
        clients.push(
            Control::connect_url(&url, CONNECT_TIMEOUT)
                .await
                .with_context(|| url.clone())?,
        );
    }
    Ok(clients)
}

/// Roles and database on every shard.
pub(super) async fn create_database(clusters: &Clusters) -> Result<()> {
    for client in connect(clusters, "postgres").await? {
        for statement in schema::ROLES {
            client.batch_execute(statement).await.context(statement)?;
        }
    }
    Ok(())
}

/// The tables, and the rows of those that every shard has in full, through the proxy at this URL.
pub(super) async fn create_schema(url: &str) -> Result<()> {
    let client = Control::connect_url(url, CONNECT_TIMEOUT)
        .await
        .with_context(|| url.to_owned())?;
    let instruments = schema::insert_instruments();
    for (sql, what) in [
        (schema::TABLES, "creating the tables"),
        (instruments.as_str(), "filling instruments"),
        (schema::UNSHARDED, "creating audit_log"),
    ] {
        client.batch_execute(sql).await.context(what)?;
    }
    Ok(())
}

/// All rows of the sharded tables. Says how far it is.
pub(super) async fn load(clusters: &Clusters, places: &Places, clock: Clock, voice: &mut Voice) -> Result<()> {
    let total: u64 = TABLES.iter().map(|table| table.rows).sum();
    let mut clients = connect(clusters, DATABASE).await?;
    let mut dice = Dice::new(SEED);
    let mut before = 0_u64;
    for table in &TABLES {
        let started = clock.now();
        clients = fill(table, places, clients, &mut dice, &mut |rows| {
            voice.progress(table.name, before.saturating_add(rows), total);
        })
        .await
        .with_context(|| format!("filling {}", table.name))?;
        before = before.saturating_add(table.rows);
        let took = clock.now().saturating_duration_since(started);
        voice.progressed(table.name, table.rows, took);
    }
    for client in &clients {
        client.batch_execute("ANALYZE").await.context("ANALYZE")?;
    }
    Ok(())
}

/// Fills one table: a task per shard writes what this one makes. Gives the connections back.
async fn fill(
    table: &'static Table,
    places: &Places,
    clients: Vec<ControlClient>,
    dice: &mut Dice,
    told: &mut dyn FnMut(u64),
) -> Result<Vec<ControlClient>> {
    let mut writers = JoinSet::new();
    let mut lanes = Vec::new();
    for (index, client) in clients.into_iter().enumerate() {
        let (sender, mut receiver) = mpsc::channel::<Vec<Vec<Cell>>>(BATCHES_WAITING);
        lanes.push((sender, Vec::with_capacity(BATCH_ROWS)));
        writers.spawn(async move {
            while let Some(batch) = receiver.recv().await {
                insert(&client, table.insert, batch).await?;
            }
            anyhow::Ok((index, client))
        });
    }
    let mut made = 0_u64;
    while made < table.rows {
        let (key, row) = (table.make)(dice, i64::try_from(made)?);
        let shard = places.shard(key)?.index();
        let (sender, waiting) = lanes
            .get_mut(shard)
            .ok_or_else(|| anyhow!("there is no shard {shard}"))?;
        waiting.push(row);
        made = made.saturating_add(1);
        if waiting.len() >= BATCH_ROWS {
            // A closed lane: its writer failed, and says why below.
            if sender.send(std::mem::take(waiting)).await.is_err() {
                break;
            }
            told(made);
        }
    }
    for (sender, waiting) in lanes {
        if !waiting.is_empty() {
            // As above.
            sender.send(waiting).await.ok();
        }
    }
    let mut returned = Vec::new();
    while let Some(writer) = writers.join_next().await {
        returned.push(writer??);
    }
    returned.sort_by_key(|(index, _)| *index);
    Ok(returned.into_iter().map(|(_, client)| client).collect())
}

enum Column {
    Ints(Vec<i64>),
    Texts(Vec<String>),
}

/// One statement for many rows: an array per column.
async fn insert(client: &ControlClient, sql: &str, rows: Vec<Vec<Cell>>) -> Result<()> {
    let mut columns: Vec<Column> = Vec::new();
    for row in rows {
        for (at, cell) in row.into_iter().enumerate() {
            match (columns.get_mut(at), cell) {
                (Some(Column::Ints(values)), Cell::Int(value)) => values.push(value),
                (Some(Column::Texts(values)), Cell::Text(value)) => values.push(value),
                (None, Cell::Int(value)) => columns.push(Column::Ints(vec![value])),
                (None, Cell::Text(value)) => columns.push(Column::Texts(vec![value])),
                (Some(_), _) => return Err(anyhow!("column {at} has values of two types")),
            }
        }
    }
    let parameters: Vec<&(dyn ToSql + Sync)> = columns
        .iter()
        .map(|column| match column {
            Column::Ints(values) => values as &(dyn ToSql + Sync),
            Column::Texts(values) => values as &(dyn ToSql + Sync),
        })
        .collect();
    client.execute(sql, &parameters).await?;
    Ok(())
}
