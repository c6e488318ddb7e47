//! Does each shard answer?
//!
//! Holds: a probe has a deadline shorter than two periods, so what is read here is never older than that by surprise.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::topology::ShardId;

/// The last that is known of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// which
    pub shard: ShardId,
    /// its name
    pub name: String,
    /// `host:port`
    pub address: String,
    /// what the last probe said
    pub state: State,
    /// how long ago it answered last; none: never since start
    pub answered_ago: Option<Duration>,
    /// `server_version`, as it said last
    pub version: Option<String>,
    /// round trip of the last answered probe
    pub round_trip: Option<Duration>,
}

/// Does a shard answer?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// not asked yet
    Unknown,
    /// it answered the last probe
    Up,
    /// it did not; why
    Down(String),
}

/// Health of all shards, written by probes.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// guards the list; held for a copy or one entry's update
    entries: Mutex<Vec<Entry>>,
}

#[derive(Clone, Debug)]
struct Entry {
    shard: ShardId,
    name: String,
    address: String,
    state: State,
    answered: Option<Instant>,
    version: Option<String>,
    round_trip: Option<Duration>,
    /// `max_prepared_transactions`, as it said last
    prepared_max: Option<u32>,
}

impl Board {
    /// Lists these shards; what is known of a shard under the same name and address stays.
    pub(super) fn list(&self, shards: impl Iterator<Item = (ShardId, String, String)>) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = shards.map(|(shard, name, address)| {
            let known = entries
                .iter()
                .find(|entry| entry.name == name && entry.address == address);
            match known {
                Some(known) => Entry { shard, ..known.clone() },
                None => {
                    let state = State::Unknown;
                    Entry {
                        shard,
                        name,
                        address,
                        state,
                        answered: None,
                        version: None,
                        round_trip: None,
                        prepared_max: None,
                    }
                }
            }
        });
        *entries = fresh.collect();
    }

    /// A probe was answered.
    pub(super) fn answered(&self, shard: ShardId, version: &str, now: Instant, round_trip: Duration) {
        self.update(shard, |entry| {
            entry.state = State::Up;
            entry.answered = Some(now);
            entry.version = Some(version.to_owned());
            entry.round_trip = Some(round_trip);
        });
    }

    /// What a shard said of `max_prepared_transactions`.
    pub(super) fn set_prepared_max(&self, shard: ShardId, count: u32) {
        self.update(shard, |entry| entry.prepared_max = Some(count));
    }

    /// Can a shard prepare transactions, as far as it has said?
    pub(super) fn can_prepare(&self, shard: ShardId) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.iter().find(|entry| entry.shard == shard);
        entry.and_then(|entry| entry.prepared_max) != Some(0)
    }

    /// A probe failed.
    pub(super) fn failed(&self, shard: ShardId, why: String) {
        self.update(shard, |entry| entry.state = State::Down(why));
    }

    fn update(&self, shard: ShardId, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.iter_mut().find(|entry| entry.shard == shard) {
            change(entry);
        }
    }

    /// Everything, in shard order.
    pub(super) fn read(&self, now: Instant) -> Vec<Health> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let health = entries.iter().map(|entry| Health {
            shard: entry.shard,
            name: entry.name.clone(),
            address: entry.address.clone(),
            state: entry.state.clone(),
            answered_ago: entry.answered.map(|answered| now.saturating_duration_since(answered)),
            version: entry.version.clone(),
            round_trip: entry.round_trip,
        });
        health.collect()
    }
}
