//! Everything through the proxy, as a team would bring its data in: the schema by DDL, small tables that every shard has
//! by INSERT, the others by COPY.
//!
//! Holds: nothing here knows where a row belongs; that is the proxy's business.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use shardgate::backend::{Control, ControlClient, CopyIn};
use shardgate::clock::Clock;

use super::dice::Dice;
use super::rows::{TABLES, Table};
use super::schema;
use super::voice::Voice;
use crate::clusters::{Clusters, SUPERUSER};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Text of rows per message.
const CHUNK_BYTES: usize = 1 << 16;
/// Rows between two looks at how far it is.
const TOLD_EVERY: u64 = 2_000;
const SEED: u64 = 2_026;

/// Roles and database on every shard.
pub(super) async fn create_database(clusters: &Clusters) -> Result<()> {
    for cluster in clusters.iter() {
        let client = connect(&cluster.url(SUPERUSER, "postgres")).await?;
        for statement in schema::ROLES {
            client.batch_execute(statement).await.context(statement)?;
        }
    }
    Ok(())
}

async fn connect(url: &str) -> Result<ControlClient> {
    Control::connect_url(url, CONNECT_TIMEOUT)
        .await
        .with_context(|| url.to_owned())
}

/// The tables, and the rows of those that every shard has in full, through the proxy at this URL.
pub(super) async fn create_schema(url: &str) -> Result<()> {
    let client = connect(url).await?;
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

/// All rows of the sharded tables, through the proxy at this URL. Says how far it is.
pub(super) async fn load(url: &str, clock: Clock, voice: &mut Voice) -> Result<()> {
    let total: u64 = TABLES.iter().map(|table| table.rows).sum();
    let client = connect(url).await?;
    let mut dice = Dice::new(SEED);
    let mut before = 0_u64;
    for table in &TABLES {
        let started = clock.now();
        copy(table, &client, &mut dice, &mut |rows| {
            voice.progress(table.name, before.saturating_add(rows), total);
        })
        .await
        .with_context(|| format!("filling {}", table.name))?;
        before = before.saturating_add(table.rows);
        let took = clock.now().saturating_duration_since(started);
        voice.progressed(table.name, table.rows, took);
        client
            .batch_execute(&format!("ANALYZE {}", table.name))
            .await
            .context("ANALYZE")?;
    }
    Ok(())
}

/// Fills one table by one COPY.
async fn copy(table: &Table, client: &ControlClient, dice: &mut Dice, told: &mut dyn FnMut(u64)) -> Result<()> {
    let mut copy = CopyIn::start(client, table.copy).await?;
    let mut chunk = String::with_capacity(CHUNK_BYTES);
    for made in 0..table.rows {
        let row = (table.make)(dice, i64::try_from(made)?);
        for (at, cell) in row.iter().enumerate() {
            chunk.push_str(if at == 0 { "" } else { "\t" });
            cell.write(&mut chunk);
        }
        chunk.push('\n');
        if chunk.len() >= CHUNK_BYTES {
            copy.send(std::mem::take(&mut chunk).into_bytes()).await?;
        }
        if made.checked_rem(TOLD_EVERY) == Some(0) {
            told(made);
        }
    }
    copy.send(chunk.into_bytes()).await?;
    let copied = copy.finish().await?;
    ensure!(copied == table.rows, "{copied} of {} rows were copied", table.rows);
    Ok(())
}
