//! What one proxy measured, and how reports of several become one picture.
//!
//! Why reports and not counters: proxies start at different times and ticks differ, but rates per second add up whoever
//! measured them. Holds: the merge is a function of its inputs, in any order; it says what one proxy would have
//! measured that had carried all of it: a proxy that was not there yet, or not any more, measured nothing then, and the
//! longest time measured is that of the whole; bounds of heavy keys hold for the merge too.

use std::collections::BTreeMap;
use std::time::Duration;

use super::heavy::{Heavy, KEY_DECAY};
use super::load::{BucketLoad, HeavyKey, KeyspaceLoad, LoadSnapshot, Moment, SampledKey, ShardLoad, Windows};
use super::rate::{Step, parts};
use super::sample::{SAMPLE_DECAY, SAMPLES, thinned};
use crate::topology::{BucketId, Epoch, KeyspaceId, ShardId, Topology};

/// Heavy keys that are shown.
pub const HEAVY_KEYS: usize = 64;

/// What one proxy measured.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadReport {
    /// when, by its clock
    pub at: Moment,
    /// for how long
    pub measured: Duration,
    /// of the topology that the ids belong to
    pub epoch: Epoch,
    /// by shard index
    pub shards: Vec<ShardReport>,
    /// by keyspace index
    pub keyspaces: Vec<KeyspaceReport>,
}

/// One shard's part of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardReport {
    /// as in [`ShardLoad`]
    pub busy: Windows,
    /// as in [`ShardLoad`]
    pub unattributed: Windows,
    /// as in [`ShardLoad`]
    pub waiting: Windows,
}

/// One keyspace's part of a report.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyspaceReport {
    /// so that an index is never taken for another keyspace's
    pub name: String,
    /// those with any load
    pub buckets: Vec<(BucketId, BucketReport)>,
    /// heavy keys by seconds of busy time
    pub heavy: HeavyReport,
    /// sampled keys by seconds of busy time
    pub samples: Vec<SampledKey>,
}

/// A summary of heavy keys that can be merged with others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeavyReport(pub(crate) Heavy);

/// One bucket's part of a report; all per second, as in [`BucketLoad`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BucketReport {
    /// statements that only read
    pub reads: Windows,
    /// statements that may write
    pub writes: Windows,
    /// rows
    pub rows: Windows,
    /// bytes
    pub bytes: Windows,
    /// errors
    pub errors: Windows,
    /// busy seconds of reads
    pub busy_reads: Windows,
    /// busy seconds of writes
    pub busy_writes: Windows,
    /// seconds of waiting
    pub waiting: Windows,
}

/// What is known of a shard besides what proxies measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShardFacts {
    /// busy seconds per second that it can give
    pub capacity: f64,
    /// backends that run a statement now
    pub active_backends: Option<u32>,
    /// bytes of all its buckets together
    pub size_bytes: Option<u64>,
}

/// Bytes of a bucket, estimated.
pub type BucketSizes = BTreeMap<(KeyspaceId, BucketId), u64>;

impl LoadReport {
    /// Of a proxy that has measured nothing.
    pub(crate) fn empty(at: Moment) -> LoadReport {
        LoadReport {
            at,
            measured: Duration::ZERO,
            epoch: Epoch::FIRST,
            shards: Vec::new(),
            keyspaces: Vec::new(),
        }
    }
}

impl LoadSnapshot {
    /// All reports together, on a topology. `shards` is by shard index; one that it lacks has a capacity of 1.
    pub fn merge(
        topology: &Topology,
        at: Moment,
        reports: &[&LoadReport],
        shards: &[ShardFacts],
        sizes: &BucketSizes,
    ) -> LoadSnapshot {
        let measured = reports.iter().map(|report| report.measured).max().unwrap_or_default();
        LoadSnapshot {
            at,
            measured,
            epoch: topology.epoch(),
            shards: shard_loads(topology, reports, measured, shards),
            keyspaces: topology
                .keyspaces()
                .iter()
                .enumerate()
                .filter_map(|(index, keyspace)| {
                    let of = |report: &&LoadReport| -> Option<KeyspaceReport> {
                        let part = parts(report.measured, measured);
                        let report = report.keyspaces.get(index)?;
                        (report.name == keyspace.name()).then(|| report.times(part))
                    };
                    let mut reports: Vec<KeyspaceReport> = reports.iter().filter_map(of).collect();
                    // Merging heavy keys rounds: one order, whoever came first.
                    reports.sort_by(|a, b| {
                        let total = |report: &KeyspaceReport| report.heavy.0.total;
                        total(a).total_cmp(&total(b))
                    });
                    let keyspace_id = KeyspaceId::new(index)?;
                    Some(keyspace_load(keyspace_id, keyspace.bucket_count(), &reports, sizes))
                })
                .collect(),
        }
    }
}

// === impl LoadReport ===

impl LoadReport {
    /// What it would say had nothing come for so long after it: the load of a proxy that is gone fades, as its windows
    /// would have forgotten it.
    pub fn after_silence(&self, silence: Duration) -> LoadReport {
        let Some(step) = Step::over(silence) else {
            return self.clone();
        };
        let measured = self.measured.saturating_add(silence);
        let mut factors = parts(self.measured, measured);
        for (factor, keep) in factors.iter_mut().zip(step.keep()) {
            *factor *= keep;
        }
        let kept = |length: Duration| (-silence.as_secs_f64() / length.as_secs_f64()).exp();
        let mut keyspaces: Vec<KeyspaceReport> = self.keyspaces.iter().map(|report| report.times(factors)).collect();
        for keyspace in &mut keyspaces {
            keyspace.heavy.0.decay(kept(KEY_DECAY));
            for sample in &mut keyspace.samples {
                sample.weight *= kept(SAMPLE_DECAY);
            }
        }
        LoadReport {
            at: self.at,
            measured,
            epoch: self.epoch,
            shards: self.shards.iter().map(|report| report.times(factors)).collect(),
            keyspaces,
        }
    }
}

// === impl ShardReport ===

impl ShardReport {
    fn times(&self, factors: [f64; 4]) -> ShardReport {
        ShardReport {
            busy: self.busy.times(factors),
            unattributed: self.unattributed.times(factors),
            waiting: self.waiting.times(factors),
        }
    }
}

// === impl KeyspaceReport ===

impl KeyspaceReport {
    /// The rates of its buckets times factors; what keys weigh has no windows.
    fn times(&self, factors: [f64; 4]) -> KeyspaceReport {
        let buckets = self.buckets.iter();
        KeyspaceReport {
            name: self.name.clone(),
            buckets: buckets
                .map(|(bucket, report)| {
                    let rates = report.to_array().map(|rates| rates.times(factors));
                    (*bucket, BucketReport::from_array(rates))
                })
                .collect(),
            heavy: self.heavy.clone(),
            samples: self.samples.clone(),
        }
    }
}

fn shard_loads(
    topology: &Topology,
    reports: &[&LoadReport],
    measured: Duration,
    shards: &[ShardFacts],
) -> Vec<ShardLoad> {
    let indices = 0..topology.shards().len();
    let loads = indices.filter_map(|index| {
        let mut sum = ShardReport::default();
        for whole in reports {
            let Some(report) = whole.shards.get(index) else {
                continue;
            };
            let report = report.times(parts(whole.measured, measured));
            sum = ShardReport {
                busy: sum.busy.plus(report.busy),
                unattributed: sum.unattributed.plus(report.unattributed),
                waiting: sum.waiting.plus(report.waiting),
            };
        }
        let facts = shards.get(index);
        Some(ShardLoad {
            shard: ShardId::new(index)?,
            capacity: facts.map_or(1.0, |facts| facts.capacity),
            busy: sum.busy,
            unattributed: sum.unattributed,
            waiting: sum.waiting,
            active_backends: facts.and_then(|facts| facts.active_backends),
            size_bytes: facts.and_then(|facts| facts.size_bytes),
            replication_lag: None,
        })
    });
    loads.collect()
}

fn keyspace_load(
    keyspace: KeyspaceId,
    buckets: usize,
    reports: &[KeyspaceReport],
    sizes: &BucketSizes,
) -> KeyspaceLoad {
    let mut sums = vec![BucketReport::default(); buckets];
    let mut heavy = Heavy::default();
    let mut samples = Vec::new();
    for report in reports {
        for (bucket, one) in &report.buckets {
            if let Some(sum) = sums.get_mut(bucket.index()) {
                *sum = sum.plus(one);
            }
        }
        heavy = heavy.merge(&report.heavy.0);
        samples.extend(report.samples.iter().cloned());
    }
    let loads = sums.iter().enumerate().filter_map(|(index, sum)| {
        let bucket = BucketId::new(index)?;
        Some(sum.load(bucket, sizes.get(&(keyspace, bucket)).copied()))
    });
    let total = heavy.total;
    let keys = heavy
        .top(HEAVY_KEYS)
        .into_iter()
        .filter(|counted| total > 0.0 && counted.weight > counted.error);
    KeyspaceLoad {
        keyspace,
        buckets: loads.collect(),
        heavy: keys
            .map(|counted| HeavyKey {
                share: (counted.weight / total).min(1.0),
                error: (counted.error / total).min(1.0),
                bucket: counted.bucket,
                key: counted.key,
            })
            .collect(),
        samples: thinned(samples, SAMPLES),
    }
}

// === impl BucketReport ===

impl BucketReport {
    fn plus(&self, other: &BucketReport) -> BucketReport {
        BucketReport {
            reads: self.reads.plus(other.reads),
            writes: self.writes.plus(other.writes),
            rows: self.rows.plus(other.rows),
            bytes: self.bytes.plus(other.bytes),
            errors: self.errors.plus(other.errors),
            busy_reads: self.busy_reads.plus(other.busy_reads),
            busy_writes: self.busy_writes.plus(other.busy_writes),
            waiting: self.waiting.plus(other.waiting),
        }
    }

    /// In the order of the fields.
    pub(crate) fn to_array(self) -> [Windows; 8] {
        [
            self.reads,
            self.writes,
            self.rows,
            self.bytes,
            self.errors,
            self.busy_reads,
            self.busy_writes,
            self.waiting,
        ]
    }

    /// From rates in the order of the fields.
    pub(crate) fn from_array(rates: [Windows; 8]) -> BucketReport {
        let [reads, writes, rows, bytes, errors, busy_reads, busy_writes, waiting] = rates;
        BucketReport {
            reads,
            writes,
            rows,
            bytes,
            errors,
            busy_reads,
            busy_writes,
            waiting,
        }
    }

    pub(crate) fn load(&self, bucket: BucketId, size_bytes: Option<u64>) -> BucketLoad {
        BucketLoad {
            bucket,
            reads: self.reads,
            writes: self.writes,
            rows: self.rows,
            bytes: self.bytes,
            errors: self.errors,
            busy_reads: self.busy_reads,
            busy_writes: self.busy_writes,
            waiting: self.waiting,
            size_bytes,
        }
    }
}
