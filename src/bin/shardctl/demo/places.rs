//! Where the demo's rows lie: what the proxy's own topology says.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use shardgate::config;
use shardgate::topology::{Keyspace, Placed, ShardId, Topology};
use shardgate::value::Key;

use super::schema::INSTRUMENTS;

/// Seconds from 1970 to 2000, where Postgres counts from.
pub(super) const EPOCH_2000_SECONDS: i64 = 946_684_800;

/// A key of one of the demo's keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DemoKey {
    /// a user's id
    User(i64),
    /// a symbol
    Instrument(&'static str),
    /// seconds since 2000
    Moment(i64),
}

/// Topology and categories.
#[derive(Debug)]
pub(super) struct Places {
    topology: Topology,
    categories: BTreeMap<&'static str, &'static str>,
}

impl Places {
    /// What the proxy will make of this configuration.
    pub(super) fn of_config(text: &str) -> Result<Places> {
        let settings = config::parse("demo.yaml", text, &|_| None).map_err(|error| anyhow!("{error}"))?;
        let topology = Topology::create(&settings.declared).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            anyhow!("{}", errors.join("; "))
        })?;
        let categories = INSTRUMENTS.iter().map(|one| (one.symbol, one.category)).collect();
        Ok(Places { topology, categories })
    }

    /// Names of the shards, in order.
    pub(super) fn shard_names(&self) -> Vec<String> {
        self.topology.shards().iter().map(|shard| shard.name.clone()).collect()
    }

    /// The owner of the rows with this key.
    pub(super) fn shard(&self, key: DemoKey) -> Result<ShardId> {
        let placed = match key {
            DemoKey::User(id) => self.keyspace("user")?.place(&Key::Int(id)),
            DemoKey::Moment(seconds) => {
                let micros = seconds
                    .checked_mul(1_000_000)
                    .ok_or_else(|| anyhow!("{seconds} s is too far"))?;
                self.keyspace("time")?.place(&Key::Timestamptz(micros))
            }
            DemoKey::Instrument(symbol) => {
                let category = self.categories.get(symbol).copied();
                let category = category.ok_or_else(|| anyhow!("instrument {symbol} has no category"))?;
                let key = Key::Text(symbol.as_bytes().to_vec());
                self.keyspace("instrument")?.place_in_category(&key, category)
            }
        };
        match placed {
            Placed::At(place) => Ok(place.shard),
            Placed::CategoryNeeded | Placed::CategoryUnknown | Placed::BeyondRanges | Placed::Mistyped => {
                bail!("the topology has no place for {key:?}: {placed:?}")
            }
        }
    }

    fn keyspace(&self, name: &str) -> Result<&Keyspace> {
        let found = self.topology.keyspace_by_name(name);
        found
            .map(|(_, keyspace)| keyspace)
            .ok_or_else(|| anyhow!("there is no keyspace {name}"))
    }
}
