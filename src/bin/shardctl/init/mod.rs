//! `init`: a commented configuration, from what a running Postgres says of its tables.
//!
//! Why: the first hour with a sharding proxy is spent on one question, by what to spread which table; sizes, unique
//! constraints and foreign keys answer most of it.
//! Holds: nothing is written to a server; a file that exists isn't overwritten; what is written, `shardctl check` reads.

mod choose;
mod schema;
mod write;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;

use crate::failure::Failure;
use choose::Lookup;
use write::Shard;

/// A table beyond this is no metadata, and isn't read for its categories.
const LOOKUP_BYTES_MAX: u64 = 16 << 20;

/// Whom to ask, and where to write.
#[derive(Debug, Args)]
pub(crate) struct InitOptions {
    /// The Postgres that has the rows, then those that are to become shards: postgres://user@host:port/database
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Where to write it; `-` is standard output
    #[arg(short, long, default_value = "shardgate.yaml", value_name = "FILE")]
    file: PathBuf,
}

/// Asks, chooses, writes.
pub(crate) async fn run(options: &InitOptions) -> Result<(), Failure> {
    let is_stdout = options.file.as_os_str() == "-";
    if !is_stdout && options.file.exists() {
        let message = format!("{} exists; nothing was written", options.file.display());
        return Err(Failure::new(message).with_hint("--file names another place, --file - prints it."));
    }
    let first = options.urls.first().map_or("", String::as_str);
    let client = schema::connect(first).await?;
    let schema = schema::read(&client).await?;
    let mut lookups = BTreeMap::new();
    for table in &schema.tables {
        if let Some(lookup) = lookup(&client, table).await? {
            lookups.insert(table.name.clone(), lookup);
        }
    }
    let choice = choose::choose(&schema.tables, &lookups);
    let shards: Vec<Shard> = options
        .urls
        .iter()
        .enumerate()
        .map(|(at, url)| shard(at, url))
        .collect();
    let text = write::text(&schema, &choice, &shards);
    if is_stdout {
        return crate::write(&text);
    }
    let place = options.file.display();
    // create_new: between the look above and now somebody else may have written it.
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&options.file)
        .with_context(|| format!("{place} cannot be written"))?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("{place} cannot be written"))?;
    let spread = choice.keyspaces.iter().flat_map(choose::Chosen::ready).count();
    crate::write(&format!(
        "{place}: {} tables seen, {spread} spread over {} keyspaces, {} on every shard\nNext: shardctl check --config {place}\n",
        schema.tables.len(),
        choice
            .keyspaces
            .iter()
            .filter(|keyspace| keyspace.ready().next().is_some())
            .count(),
        choice.references.len(),
    ))
}

/// How a small table of names (symbols, codes) sorts them. Only where the key is a text: numbers name people and things
/// that come and go, and those are better spread by hash.
async fn lookup(client: &shardgate::backend::ControlClient, table: &schema::Table) -> Result<Option<Lookup>, Failure> {
    use shardgate::value::KeyType;
    let Some(primary) = table.primary() else {
        return Ok(None);
    };
    let is_text = matches!(primary.key_type(), Some(KeyType::Text | KeyType::Varchar));
    if !is_text || table.bytes > LOOKUP_BYTES_MAX {
        return Ok(None);
    }
    let key = primary.name.clone();
    let found = schema::categories(client, table).await?;
    Ok(found.map(|(category, values)| Lookup { key, category, values }))
}

/// A shard of the file: no password in it.
fn shard(at: usize, url: &str) -> Shard {
    let name = format!("s{at}");
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let host = place.split(['/', '?']).next().unwrap_or("");
    let is_local = ["127.", "localhost", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local));
    let (user, variable) = match user.split_once(':') {
        Some((user, _password)) => {
            let variable = format!("{}_PASSWORD", name.to_uppercase());
            (format!("{user}:${{{variable}}}@"), Some(variable))
        }
        None if user.is_empty() => (String::new(), None),
        None => (format!("{user}@"), None),
    };
    Shard {
        name,
        url: format!("{scheme}://{user}{place}"),
        variable,
        is_local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_does_not_reach_the_file() {
        let shard = shard(1, "postgres://ops:p@ss@db.internal:5432/app?sslmode=disable");
        assert_eq!(
            shard.url,
            "postgres://ops:${S1_PASSWORD}@db.internal:5432/app?sslmode=disable"
        );
        assert_eq!(shard.variable.as_deref(), Some("S1_PASSWORD"));
        assert!(!shard.is_local);
    }
}
