//! A proposal: what to change, why, at what price, and what comes of it.
//!
//! Why names instead of ids, and one serde form: it is stored on home, shown by every proxy and by `shardctl`, and carried
//! out perhaps by a later version.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::telemetry::Moment;
use crate::topology::{Change, ChangeFault, Topology, TopologyError, WrittenChange};

/// What to change, why, at what price, and what comes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// the same for the same proposal made again: keyspace, bucket, action, from, to
    pub identity: String,
    /// keyspace of its first step
    pub keyspace: String,
    /// bucket of its first step; `None` where it shifts many
    pub bucket: Option<usize>,
    /// what it is about, by name: a category, a bucket, a keyspace
    pub subject: String,
    /// what it does
    pub action: Action,
    /// the overloaded shard
    pub from: String,
    /// shards that get something
    pub to: Vec<String>,
    /// one sentence
    pub reason: String,
    /// in the order in which they are carried out
    pub steps: Vec<Step>,
    /// bytes that move, estimated
    pub bytes: u64,
    /// how `bytes` was found
    pub sizes: Sizes,
    /// how long the copying takes, estimated
    pub duration_seconds: u64,
    /// highest utilisation of the shards that it touches, now
    pub before: f64,
    /// the same once it is carried out, predicted
    pub after: f64,
    /// every serving shard
    pub shards: Vec<Outlook>,
    /// what it rests on
    pub evidence: Evidence,
    /// the best of each other action, for comparison
    pub considered: Vec<Considered>,
    /// sentences
    pub risk: Vec<String>,
    /// how to go back
    pub rollback: String,
    /// milliseconds since the Unix epoch: when it was first made
    pub created_ms: u64,
    /// milliseconds since the Unix epoch: when it was last judged
    pub judged_ms: u64,
    /// milliseconds since the Unix epoch: when it ends if it isn't renewed
    pub expires_ms: u64,
}

/// What a proposal does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// one bucket goes to another shard
    Move,
    /// one bucket is cut in two
    Split,
    /// one bucket or category is spread over several shards
    Spread,
    /// many buckets of a hash keyspace follow a ring with other weights
    Shift,
    /// several of these
    Combine,
}

impl Action {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Action::Move => "move",
            Action::Split => "split",
            Action::Spread => "spread",
            Action::Shift => "shift",
            Action::Combine => "combine",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// what changes
    pub change: WrittenChange,
    /// the same in words
    pub words: String,
    /// bytes that move
    pub bytes: u64,
}

/// How a proposal's bytes were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizes {
    /// every bucket's size was measured
    Measured,
    /// some bucket's size is the mean of its keyspace's others, or not known at all
    Guessed,
}

/// One shard before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outlook {
    /// its name
    pub shard: String,
    /// busy seconds per second that it can give
    pub capacity: f64,
    /// utilisation over the last minute
    pub before: f64,
    /// predicted
    pub after: f64,
}

/// What a proposal rests on: the overloaded shard's load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// utilisation over 10 s
    pub ten_seconds: f64,
    /// over 1 m
    pub minute: f64,
    /// over 5 m
    pub five_minutes: f64,
    /// over 1 h
    pub hour: f64,
    /// how utilisation changes, per minute
    pub trend_per_minute: f64,
    /// part of its load that belongs to no bucket, 0 to 1
    pub unattributed: f64,
    /// its heaviest buckets
    pub parts: Vec<Part>,
    /// its heaviest keys
    pub keys: Vec<TopKey>,
    /// what the hours of the week usually bring; none where the last weeks don't tell
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub week: Option<UsualHours>,
}

/// What a shard's buckets usually make of it, by the hours of the week.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsualHours {
    /// this hour, as `Mon 08–09`, UTC
    pub hour: String,
    /// utilisation that is usual in it
    pub usual: f64,
    /// that of the next hour
    pub next: Option<f64>,
    /// the next hour, after one below, in which the threshold is passed
    pub again: Option<String>,
    /// the threshold
    pub threshold: f64,
}

/// A bucket's part in a shard's load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// its keyspace
    pub keyspace: String,
    /// its id
    pub bucket: usize,
    /// its name
    pub name: String,
    /// part of the shard's load, 0 to 1
    pub share: f64,
    /// statements that only read, per second
    pub reads: f64,
    /// statements that may write, per second
    pub writes: f64,
}

/// A key's part in a shard's load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKey {
    /// its keyspace
    pub keyspace: String,
    /// its text
    pub key: String,
    /// part of the shard's load, 0 to 1
    pub share: f64,
}

/// Another way that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Considered {
    /// what it would do
    pub words: String,
    /// highest utilisation of the shards that it touches, predicted
    pub after: f64,
    /// bytes that would move
    pub bytes: u64,
}

impl Proposal {
    /// Its changes in terms of this topology; an error if something that they name is gone.
    pub fn changes(&self, topology: &Topology) -> Result<Vec<Change>, TopologyError> {
        let steps = self.steps.iter().enumerate();
        steps
            .map(|(index, step)| {
                let read = step.change.read(topology);
                read.map_err(|fault: ChangeFault| TopologyError::Change { index, fault })
            })
            .collect()
    }

    /// How long the copying takes, estimated.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.duration_seconds)
    }

    /// When it was first made.
    pub fn created(&self) -> Moment {
        Moment(self.created_ms)
    }

    /// When it ends if it isn't renewed.
    pub fn expires(&self) -> Moment {
        Moment(self.expires_ms)
    }
}
