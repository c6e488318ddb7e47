//! What a recorder asks a proxy for, every few seconds: where keys lie, and what load came.
//!
//! Why not the whole snapshot: a trace needs busy time of the last seconds, sizes, and which keys it was for. Buckets
//! without load or rows are left out, so that thousands of buckets don't make a document of thousands of lines.
//! Holds: reading is strict, and what is read is of one topology.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::trace_error::TraceFault;
use crate::telemetry::{BucketLoad, KeyspaceLoad, LoadSnapshot};
use crate::topology::{BucketId, CategorySource, Keyspace, Strategy, Topology};

/// See the module. Rates are in busy seconds per second; keyspaces, buckets and shards are known by their indices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// the stored document of the topology
    topology: Value,
    /// milliseconds since the Unix epoch
    pub(super) at_ms: u64,
    /// how long load had been measured
    pub(super) measured_ms: u64,
    /// one per shard
    pub(super) shards: Vec<ObservedShard>,
    /// those with load or rows
    pub(super) buckets: Vec<ObservedBucket>,
    /// heavy ones and sampled ones
    pub(super) keys: Vec<ObservedKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservedShard {
    pub(super) capacity: f64,
    /// over 10 s
    pub(super) unattributed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservedBucket {
    pub(super) keyspace: usize,
    pub(super) bucket: usize,
    /// over 10 s
    pub(super) reads: f64,
    /// over 10 s
    pub(super) writes: f64,
    pub(super) bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ObservedKey {
    pub(super) keyspace: usize,
    pub(super) bucket: usize,
    pub(super) key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<String>,
    /// what it carries itself, in busy seconds per second over the last minutes; `None` if it stands for others
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) own: Option<f64>,
    /// what it stands for; only ratios within a keyspace mean something
    pub(super) weight: f64,
}

impl Observation {
    /// Out of a snapshot and the topology that it belongs to.
    pub fn of(snapshot: &LoadSnapshot, topology: &Topology) -> Observation {
        // The document was written by the topology itself: it is JSON.
        let document = topology.to_json().unwrap_or_default();
        Observation {
            topology: serde_json::from_str(&document).unwrap_or_default(),
            at_ms: snapshot.at.0,
            measured_ms: u64::try_from(snapshot.measured.as_millis()).unwrap_or(u64::MAX),
            shards: snapshot
                .shards
                .iter()
                .map(|shard| ObservedShard {
                    capacity: shard.capacity,
                    unattributed: shard.unattributed.ten_seconds,
                })
                .collect(),
            buckets: snapshot.keyspaces.iter().flat_map(buckets).collect(),
            keys: snapshot
                .keyspaces
                .iter()
                .flat_map(|load| keys(load, topology))
                .collect(),
        }
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists of them: there is nothing that JSON could not hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Observation::to_json`] wrote.
    pub fn parse(text: &str) -> Result<Observation, TraceFault> {
        serde_json::from_str(text).map_err(|error| TraceFault::Unreadable(error.to_string()))
    }

    /// Where keys lay.
    pub(super) fn topology(&self) -> Result<Topology, TraceFault> {
        Topology::from_json(&self.topology.to_string()).map_err(|error| TraceFault::Topology(error.to_string()))
    }
}

fn buckets(load: &KeyspaceLoad) -> impl Iterator<Item = ObservedBucket> {
    let keyspace = load.keyspace.index();
    let observed = load.buckets.iter().map(move |bucket| ObservedBucket {
        keyspace,
        bucket: bucket.bucket.index(),
        reads: bucket.busy_reads.ten_seconds,
        writes: bucket.busy_writes.ten_seconds,
        bytes: bucket.size_bytes.unwrap_or(0),
    });
    observed.filter(|bucket| bucket.reads > 0.0 || bucket.writes > 0.0 || bucket.bytes > 0)
}

fn keys(load: &KeyspaceLoad, topology: &Topology) -> Vec<ObservedKey> {
    let Some(keyspace) = topology.keyspace(load.keyspace) else {
        return Vec::new();
    };
    let busy: f64 = load
        .buckets
        .iter()
        .map(|bucket| BucketLoad::busy(bucket).five_minutes)
        .sum();
    // In the samples' own measure, so that both can be laid side by side.
    let sampled: f64 = load.samples.iter().map(|sampled| sampled.weight).sum();
    let heavy = load.heavy.iter().map(|heavy| ObservedKey {
        keyspace: load.keyspace.index(),
        bucket: heavy.bucket.index(),
        key: heavy.key.to_text(),
        category: category(keyspace, heavy.bucket),
        // What is certain: the rest is others' for all that is known.
        own: Some((heavy.share - heavy.error).max(0.0) * busy),
        weight: heavy.share * sampled,
    });
    let others = load
        .samples
        .iter()
        .filter(|sampled| !load.heavy.iter().any(|heavy| heavy.key == sampled.key));
    let sampled = others.map(|sampled| ObservedKey {
        keyspace: load.keyspace.index(),
        bucket: sampled.bucket.index(),
        key: sampled.key.to_text(),
        category: category(keyspace, sampled.bucket),
        own: None,
        weight: sampled.weight,
    });
    heavy.chain(sampled).collect()
}

/// Of the keys of a bucket, where the keyspace looks it up in a table.
fn category(keyspace: &Keyspace, bucket: BucketId) -> Option<String> {
    let Strategy::Category(placement) = keyspace.strategy() else {
        return None;
    };
    match placement.source() {
        // Nothing of this name can be listed: a config's names aren't empty.
        CategorySource::Lookup { .. } => Some(keyspace.spread_of(bucket)?.category().unwrap_or("").to_owned()),
        CategorySource::ByKey(_) | CategorySource::Key => None,
    }
}
