//! Ticks through the telemetry's own windows: what a proxy would have measured, had the trace's load come to it.
//!
//! Holds: rates go through the same averages as on the data path; a shard's windows remember what lay on it before a move,
//! as they do in life; a bucket that a split made begins to be measured then.
//! Absent: errors of measurement. Heavy keys are told exactly; samples are as many as a proxy keeps, drawn evenly instead of
//! by chance.

use std::time::Duration;

use super::trace::{Tick, Trace, Unit};
use crate::telemetry::{
    BucketLoad, Ewma, HEAVY_KEYS, HeavyKey, KeyspaceLoad, LoadSnapshot, Moment, SampledKey, ShardLoad, Windows,
};
use crate::topology::{BucketId, KeyspaceId, Place, ShardId, Token, Topology};

/// As many sampled keys as telemetry keeps per keyspace.
const SAMPLES_MAX: usize = 1024;

/// After this time what a key carried counts e times less, as in telemetry's sketches of keys.
const KEY_DECAY: Duration = Duration::from_secs(300);

/// Busy seconds that one statement is taken to need: a trace holds busy time, not statements.
const STATEMENT_SECONDS: f64 = 0.001;

/// See the module.
pub(super) struct Replay<'t> {
    trace: &'t Trace,
    topology: Topology,
    /// by unit
    tokens: Vec<Token>,
    /// of each unit that has appeared; units of a trace always lie somewhere
    places: Vec<Option<Place>>,
    shards: Vec<ShardWindows>,
    /// by keyspace, by bucket
    buckets: Vec<Vec<BucketWindows>>,
    /// by keyspace, by bucket
    bytes: Vec<Vec<u64>>,
    /// by unit: busy seconds, those of the last minutes more
    keys: Vec<f64>,
    ticks: usize,
}

#[derive(Clone, Copy, Default)]
struct ShardWindows {
    busy: Ewma,
    unattributed: Ewma,
}

#[derive(Clone, Copy, Default)]
struct BucketWindows {
    reads: Ewma,
    writes: Ewma,
}

impl<'t> Replay<'t> {
    /// Nothing has come yet.
    pub(super) fn new(trace: &'t Trace) -> Replay<'t> {
        let mut replay = Replay {
            trace,
            topology: trace.topology.clone(),
            tokens: trace.units.iter().map(|unit| Token(unit.key.hash())).collect(),
            places: Vec::new(),
            shards: vec![ShardWindows::default(); trace.topology.shards().len()],
            buckets: Vec::new(),
            bytes: Vec::new(),
            keys: vec![0.0; trace.units.len()],
            ticks: 0,
        };
        replay.adopt(trace.topology.clone());
        replay
    }

    /// Where keys lie now.
    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// When the last tick ended.
    pub(super) fn now(&self) -> Moment {
        let length = u64::try_from(self.length().as_millis()).unwrap_or(u64::MAX);
        Moment(self.trace.start.0.saturating_add(length))
    }

    /// How long the ticks so far were.
    pub(super) fn length(&self) -> Duration {
        let ticks = u32::try_from(self.ticks).unwrap_or(u32::MAX);
        self.trace.interval.saturating_mul(ticks)
    }

    /// Keys lie elsewhere from now on.
    pub(super) fn adopt(&mut self, topology: Topology) {
        self.topology = topology;
        self.shards
            .resize(self.topology.shards().len(), ShardWindows::default());
        let keyspaces = self.topology.keyspaces();
        self.buckets.resize(keyspaces.len(), Vec::new());
        for (buckets, keyspace) in self.buckets.iter_mut().zip(keyspaces) {
            buckets.resize(keyspace.bucket_count(), BucketWindows::default());
        }
        self.places = self.trace.units.iter().map(|unit| unit.place(&self.topology)).collect();
        self.weigh();
    }

    /// Sizes of all buckets, from the units that have appeared.
    fn weigh(&mut self) {
        self.bytes = self.buckets.iter().map(|buckets| vec![0; buckets.len()]).collect();
        for (unit, place) in self.trace.units.iter().zip(&self.places) {
            let Some(place) = place.filter(|_| unit.since <= self.ticks) else {
                continue;
            };
            add(&mut self.bytes, unit.keyspace, place.bucket.index(), unit.bytes);
        }
        for silent in &self.trace.silent {
            add(&mut self.bytes, silent.keyspace, silent.bucket, silent.bytes);
        }
    }

    /// One tick came, and `copying` busy seconds per second beside it on each shard. Utilisation of each shard in it.
    pub(super) fn advance(&mut self, tick: &Tick, copying: &[f64]) -> Vec<f64> {
        let interval = self.trace.interval;
        let seconds = interval.as_secs_f64();
        let beside = |shard: usize| {
            let unattributed = tick.unattributed.get(shard).copied().unwrap_or(0.0);
            unattributed + copying.get(shard).copied().unwrap_or(0.0)
        };
        let mut shards: Vec<f64> = (0..self.shards.len()).map(beside).collect();
        let mut buckets: Vec<Vec<(f64, f64)>> = self
            .buckets
            .iter()
            .map(|buckets| vec![(0.0, 0.0); buckets.len()])
            .collect();
        let keep = (-seconds / KEY_DECAY.as_secs_f64()).exp();
        self.keys.iter_mut().for_each(|carried| *carried *= keep);
        for busy in &tick.busy {
            let unit = self.trace.units.get(busy.unit);
            let place = self.places.get(busy.unit).copied().flatten();
            let (Some(unit), Some(place)) = (unit, place) else {
                continue;
            };
            if let Some(shard) = shards.get_mut(place.shard.index()) {
                *shard += busy.sum();
            }
            let bucket = buckets
                .get_mut(unit.keyspace.index())
                .and_then(|buckets| buckets.get_mut(place.bucket.index()));
            if let Some((reads, writes)) = bucket {
                *reads += busy.reads;
                *writes += busy.writes;
            }
            if let Some(carried) = self.keys.get_mut(busy.unit) {
                *carried += busy.sum() * seconds;
            }
        }
        for (index, (windows, busy)) in self.shards.iter_mut().zip(&shards).enumerate() {
            windows.busy.observe(busy * seconds, interval);
            windows.unattributed.observe(beside(index) * seconds, interval);
        }
        for (windows, rates) in self.buckets.iter_mut().flatten().zip(buckets.iter().flatten()) {
            windows.reads.observe(rates.0 * seconds, interval);
            windows.writes.observe(rates.1 * seconds, interval);
        }
        self.ticks = self.ticks.saturating_add(1);
        if self.trace.units.iter().any(|unit| unit.since == self.ticks) {
            self.weigh();
        }
        self.over_capacity(&shards)
    }

    /// Utilisation of each shard in a tick, with keys where they are; nothing is measured.
    pub(super) fn utilisation(&self, tick: &Tick) -> Vec<f64> {
        let mut shards = tick.unattributed.clone();
        shards.resize(self.shards.len(), 0.0);
        for busy in &tick.busy {
            let place = self.places.get(busy.unit).copied().flatten();
            if let Some(shard) = place.and_then(|place| shards.get_mut(place.shard.index())) {
                *shard += busy.sum();
            }
        }
        self.over_capacity(&shards)
    }

    fn over_capacity(&self, shards: &[f64]) -> Vec<f64> {
        let over = |(index, busy): (usize, &f64)| busy / self.capacity(index).max(f64::MIN_POSITIVE);
        shards.iter().enumerate().map(over).collect()
    }

    fn capacity(&self, shard: usize) -> f64 {
        self.trace.capacities.get(shard).copied().unwrap_or(0.0)
    }

    /// What is known of the load now.
    pub(super) fn snapshot(&self) -> LoadSnapshot {
        let keyspaces: Vec<KeyspaceLoad> = (0..self.buckets.len())
            .filter_map(|index| self.keyspace(KeyspaceId::new(index)?))
            .collect();
        LoadSnapshot {
            at: self.now(),
            measured: self.length(),
            epoch: self.topology.epoch(),
            shards: (0..self.shards.len())
                .filter_map(|index| self.shard(ShardId::new(index)?, &keyspaces))
                .collect(),
            keyspaces,
        }
    }

    fn shard(&self, shard: ShardId, keyspaces: &[KeyspaceLoad]) -> Option<ShardLoad> {
        let windows = self.shards.get(shard.index())?;
        let lies_here = |keyspace: KeyspaceId, bucket: BucketId| {
            self.topology.keyspace(keyspace).and_then(|known| known.owner(bucket)) == Some(shard)
        };
        let sizes = keyspaces.iter().flat_map(|load| {
            load.buckets
                .iter()
                .filter(|bucket| lies_here(load.keyspace, bucket.bucket))
                .filter_map(|bucket| bucket.size_bytes)
        });
        Some(ShardLoad {
            shard,
            capacity: self.capacity(shard.index()),
            busy: windows.busy.windows(),
            unattributed: windows.unattributed.windows(),
            waiting: Windows::default(),
            active_backends: None,
            size_bytes: Some(sizes.sum()),
            replication_lag: None,
        })
    }

    fn keyspace(&self, keyspace: KeyspaceId) -> Option<KeyspaceLoad> {
        let buckets = self.buckets.get(keyspace.index())?;
        let bytes = self.bytes.get(keyspace.index())?;
        let load = |(index, (windows, bytes)): (usize, (&BucketWindows, &u64))| {
            let (busy_reads, busy_writes) = (windows.reads.windows(), windows.writes.windows());
            Some(BucketLoad {
                bucket: BucketId::new(index)?,
                reads: per_statement(busy_reads),
                writes: per_statement(busy_writes),
                rows: per_statement(busy_reads),
                bytes: Windows::default(),
                errors: Windows::default(),
                busy_reads,
                busy_writes,
                waiting: Windows::default(),
                size_bytes: Some(*bytes),
            })
        };
        let mut keys: Vec<Weighed<'_>> = self
            .trace
            .units
            .iter()
            .zip(self.places.iter().zip(&self.tokens))
            .zip(&self.keys)
            .filter(|((unit, _), _)| unit.keyspace == keyspace && unit.since <= self.ticks)
            .filter_map(|((unit, (place, token)), carried)| {
                Some(Weighed {
                    unit,
                    token: *token,
                    place: (*place)?,
                    weight: *carried,
                })
            })
            .filter(|key| key.weight > 0.0)
            .collect();
        let samples = samples(&keys);
        // A stable sort: equals stay in order of their units.
        keys.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        Some(KeyspaceLoad {
            keyspace,
            buckets: buckets.iter().zip(bytes).enumerate().filter_map(load).collect(),
            heavy: heavy(&keys),
            samples,
        })
    }
}

fn add(bytes: &mut [Vec<u64>], keyspace: KeyspaceId, bucket: usize, more: u64) {
    let bucket = bytes
        .get_mut(keyspace.index())
        .and_then(|buckets| buckets.get_mut(bucket));
    if let Some(bytes) = bucket {
        *bytes = bytes.saturating_add(more);
    }
}

fn per_statement(busy: Windows) -> Windows {
    Windows {
        ten_seconds: busy.ten_seconds / STATEMENT_SECONDS,
        minute: busy.minute / STATEMENT_SECONDS,
        five_minutes: busy.five_minutes / STATEMENT_SECONDS,
        hour: busy.hour / STATEMENT_SECONDS,
    }
}

/// A key and its busy seconds, those of the last minutes more.
struct Weighed<'t> {
    unit: &'t Unit,
    token: Token,
    place: Place,
    weight: f64,
}

fn heavy(heaviest_first: &[Weighed<'_>]) -> Vec<HeavyKey> {
    let total: f64 = heaviest_first.iter().map(|key| key.weight).sum();
    let heavy = heaviest_first.iter().take(HEAVY_KEYS).map(|key| HeavyKey {
        key: key.unit.key.clone(),
        bucket: key.place.bucket,
        share: key.weight / total,
        error: 0.0,
    });
    heavy.collect()
}

/// A systematic sample of as many draws as a proxy keeps: every n-th part of the load is one key's, and a key that carries
/// several parts is drawn as often, as statements of one key are.
fn samples(keys: &[Weighed<'_>]) -> Vec<SampledKey> {
    let mut in_order: Vec<&Weighed<'_>> = keys.iter().collect();
    in_order.sort_by_key(|key| (key.place.bucket, key.token));
    let part = keys.iter().map(|key| key.weight).sum::<f64>() / SAMPLES_MAX as f64;
    let mut samples = Vec::with_capacity(SAMPLES_MAX);
    // Half a part ahead: the first draw lies in the middle of the first part.
    let mut passed = part / 2.0;
    for key in in_order {
        passed += key.weight;
        let draws = ((passed / part) as usize)
            .min(SAMPLES_MAX)
            .saturating_sub(samples.len());
        samples.extend((0..draws).map(|_| SampledKey {
            key: key.unit.key.clone(),
            token: key.token,
            bucket: key.place.bucket,
            weight: part,
        }));
    }
    samples
}
