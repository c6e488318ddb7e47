//! From what a proxy tells every few seconds to a trace.
//!
//! Why averages are undone: a proxy tells rates as moving averages, and replaying averages through averages would blunt
//! every wave. An average over 10 s that was `a` and is `b` after `t` seconds had the mean `(b - k a) / (1 - k)` between,
//! with `k = exp(-t/10)`. Where noise makes that negative, the debt is kept and paid by what comes next.
//! Which keys: heavy ones are units of their own; what else a bucket had is laid on its sampled keys. A bucket has as many of
//! these as its part of its keyspace's load is worth, so that thousands of quiet buckets don't make a large file; further
//! ones are laid on the nearest by token. Load of a bucket of which no key is known counts for its shard alone.
//! Holds: busy time is neither made nor lost; units lie in the topology that the recording began with.

use std::collections::BTreeMap;
use std::time::Duration;

use super::observation::{Observation, ObservedBucket, ObservedKey};
use super::trace::{Busy, Silent, TRACE_UNITS_MAX, Tick, Trace, Unit};
use super::trace_error::TraceFault;
use super::trace_text::{tick_line, unit_line};
use crate::telemetry::{Moment, WINDOW_LENGTHS};
use crate::topology::{BucketId, KeyspaceId, Topology};
use crate::value::Key;

/// Sampled keys that a whole keyspace is worth; a bucket has its part of them, one at least.
const SAMPLES_PER_KEYSPACE: f64 = 256.0;

/// The most that stand for one bucket.
const SAMPLES_PER_BUCKET: usize = 64;

/// A key that surely carries this part of its keyspace's load is a unit of its own.
const HEAVY_LEAST: f64 = 0.005;

/// Keyspace and bucket, by index.
type Bucket = (usize, usize);

/// See the module.
#[derive(Debug)]
pub struct Recorder {
    interval: Duration,
    last: Option<Seen>,
    trace: Option<Trace>,
    /// unit of each key: keyspace and the key's text
    units: BTreeMap<(usize, String), usize>,
    /// ticks written
    ticks: usize,
    /// time seen and not yet written as ticks
    pending: Duration,
    debts: Debts,
}

/// The rates that an observation told, no longer corrected for their beginning.
#[derive(Debug)]
struct Seen {
    at: Moment,
    shards: Vec<f64>,
    buckets: BTreeMap<Bucket, (f64, f64)>,
}

/// Negative rates not yet paid back.
#[derive(Debug, Default)]
struct Debts {
    shards: BTreeMap<usize, f64>,
    reads: BTreeMap<Bucket, f64>,
    writes: BTreeMap<Bucket, f64>,
}

impl Recorder {
    /// Of ticks of this length.
    pub fn new(interval: Duration) -> Recorder {
        Recorder {
            interval,
            last: None,
            trace: None,
            units: BTreeMap::new(),
            ticks: 0,
            pending: Duration::ZERO,
            debts: Debts::default(),
        }
    }

    /// Ticks written so far.
    pub fn ticks(&self) -> usize {
        self.ticks
    }

    /// The lines that an observation adds to the trace: none for the first, which only begins, and for one that tells
    /// nothing new. Another number of shards than at the start is an error.
    pub fn observe(&mut self, observation: &Observation) -> Result<String, TraceFault> {
        let topology = observation.topology()?;
        let seen = Seen::of(observation);
        let Some(last) = self.last.take() else {
            self.last = Some(seen);
            return Ok(String::new());
        };
        let elapsed = seen.at.since(last.at);
        if elapsed.is_zero() {
            self.last = Some(last);
            return Ok(String::new());
        }
        let rates = self.debts.between(&last, &seen, elapsed);
        self.last = Some(seen);
        self.write(observation, &topology, &rates, elapsed)
    }

    fn write(
        &mut self,
        observation: &Observation,
        topology: &Topology,
        rates: &Rates,
        elapsed: Duration,
    ) -> Result<String, TraceFault> {
        let is_first = self.trace.is_none();
        let trace = self.trace.get_or_insert_with(|| Trace {
            topology: topology.clone(),
            capacities: observation.shards.iter().map(|shard| shard.capacity).collect(),
            interval: self.interval,
            start: Moment(observation.at_ms.saturating_sub(millis(elapsed))),
            units: Vec::new(),
            silent: Vec::new(),
            ticks: Vec::new(),
        });
        if rates.shards.len() != trace.capacities.len() {
            return Err(TraceFault::ShardsMismatch {
                field: "the proxy",
                given: rates.shards.len(),
                shards: trace.capacities.len(),
            });
        }
        let known = trace.units.len();
        let shares = shares(trace, &mut self.units, observation, topology);
        let tick = tick(trace, rates, &shares, topology);
        if is_first {
            weigh(trace, observation, topology);
        }
        let mut text = if is_first { trace.header_line() } else { String::new() };
        for (index, unit) in trace.units.iter().enumerate().skip(known) {
            text.push_str(&unit_line(&trace.topology, index, unit));
        }
        self.pending = self.pending.saturating_add(elapsed);
        // An observation that came late stands for as many ticks as fit into its time.
        while self.pending.saturating_add(self.interval / 2) >= self.interval {
            text.push_str(&tick_line(self.ticks, &tick));
            self.ticks = self.ticks.saturating_add(1);
            self.pending = self.pending.saturating_sub(self.interval);
        }
        Ok(text)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

// === rates ===

/// Mean rates between two observations.
#[derive(Debug, Default)]
struct Rates {
    shards: Vec<f64>,
    buckets: BTreeMap<Bucket, (f64, f64)>,
}

/// The window that observations tell, in seconds.
fn window() -> f64 {
    WINDOW_LENGTHS.first().map_or(10.0, Duration::as_secs_f64)
}

impl Seen {
    fn of(observation: &Observation) -> Seen {
        // The telling was corrected by what the window had not seen yet; undone, averages can be compared.
        let weight = 1.0 - (-Duration::from_millis(observation.measured_ms).as_secs_f64() / window()).exp();
        let told = |bucket: &ObservedBucket| {
            let rates = (bucket.reads * weight, bucket.writes * weight);
            ((bucket.keyspace, bucket.bucket), rates)
        };
        Seen {
            at: Moment(observation.at_ms),
            shards: observation
                .shards
                .iter()
                .map(|shard| shard.unattributed * weight)
                .collect(),
            buckets: observation.buckets.iter().map(told).collect(),
        }
    }
}

impl Debts {
    fn between(&mut self, last: &Seen, seen: &Seen, elapsed: Duration) -> Rates {
        let keep = (-elapsed.as_secs_f64() / window()).exp();
        let mean = |before: f64, after: f64| (after - keep * before) / (1.0 - keep);
        let shards = seen.shards.iter().enumerate().map(|(index, after)| {
            let before = last.shards.get(index).copied().unwrap_or(0.0);
            paid(&mut self.shards, index, mean(before, *after))
        });
        let shards = shards.collect();
        let mut buckets = BTreeMap::new();
        for bucket in last.buckets.keys().chain(seen.buckets.keys()) {
            let before = last.buckets.get(bucket).copied().unwrap_or_default();
            let after = seen.buckets.get(bucket).copied().unwrap_or_default();
            buckets
                .entry(*bucket)
                .or_insert((mean(before.0, after.0), mean(before.1, after.1)));
        }
        for (bucket, (reads, writes)) in &mut buckets {
            *reads = paid(&mut self.reads, *bucket, *reads);
            *writes = paid(&mut self.writes, *bucket, *writes);
        }
        Rates { shards, buckets }
    }
}

/// A rate after its debt; what is still negative becomes the debt.
fn paid<K: Ord>(debts: &mut BTreeMap<K, f64>, of: K, rate: f64) -> f64 {
    let left = rate + debts.remove(&of).unwrap_or(0.0);
    if left < 0.0 {
        debts.insert(of, left);
        return 0.0;
    }
    left
}

// === keys ===

/// Of each bucket the units that its load is laid on, and their parts.
type Shares = BTreeMap<Bucket, BTreeMap<usize, f64>>;

fn shares(
    trace: &mut Trace,
    units: &mut BTreeMap<(usize, String), usize>,
    observation: &Observation,
    topology: &Topology,
) -> Shares {
    let mut busy: BTreeMap<Bucket, f64> = BTreeMap::new();
    let mut all: BTreeMap<usize, f64> = BTreeMap::new();
    for bucket in &observation.buckets {
        let rate = bucket.reads + bucket.writes;
        busy.insert((bucket.keyspace, bucket.bucket), rate);
        *all.entry(bucket.keyspace).or_default() += rate;
    }
    let mut shares = Shares::new();
    let mut sampled: BTreeMap<Bucket, BTreeMap<usize, f64>> = BTreeMap::new();
    for key in &observation.keys {
        let bucket = (key.keyspace, key.bucket);
        let all = all.get(&key.keyspace).copied().unwrap_or(0.0).max(f64::MIN_POSITIVE);
        let own = key.own.filter(|own| *own >= HEAVY_LEAST * all);
        let part = busy.get(&bucket).copied().unwrap_or(0.0) / all;
        let room = match own {
            Some(_) => usize::MAX,
            // The cast saturates.
            None => ((part * SAMPLES_PER_KEYSPACE) as usize).clamp(1, SAMPLES_PER_BUCKET),
        };
        let Some(unit) = unit_of(trace, units, (key, room), topology) else {
            continue;
        };
        match own {
            Some(own) => *shares.entry(bucket).or_default().entry(unit).or_default() += own,
            None => *sampled.entry(bucket).or_default().entry(unit).or_default() += key.weight,
        }
    }
    for (bucket, samples) in sampled {
        let of_heavy: f64 = shares.get(&bucket).map_or(0.0, |heavy| heavy.values().sum());
        let rest = (busy.get(&bucket).copied().unwrap_or(0.0) - of_heavy).max(0.0);
        let weight: f64 = samples.values().sum();
        for (unit, of_unit) in samples {
            let share = rest * of_unit / weight.max(f64::MIN_POSITIVE);
            *shares.entry(bucket).or_default().entry(unit).or_default() += share;
        }
    }
    shares
}

/// The unit of a key; where its bucket has no room for more, the nearest of those that it has.
fn unit_of(
    trace: &mut Trace,
    units: &mut BTreeMap<(usize, String), usize>,
    (observed, room): (&ObservedKey, usize),
    topology: &Topology,
) -> Option<usize> {
    let name = (observed.keyspace, observed.key.clone());
    if let Some(known) = units.get(&name) {
        return Some(*known);
    }
    let keyspace = KeyspaceId::new(observed.keyspace)?;
    let key_type = topology.keyspace(keyspace)?.key_type();
    let unit = Unit {
        keyspace,
        key: Key::parse_text(key_type, observed.key.as_bytes()).ok()?,
        category: observed.category.clone(),
        bytes: 0,
        since: 0,
    };
    unit.place(&trace.topology)?;
    let place = unit.place(topology)?;
    let there = |other: &Unit| other.keyspace == keyspace && other.place(topology) == Some(place);
    let neighbours = trace.units.iter().enumerate().filter(|(_, other)| there(other));
    let is_full = neighbours.clone().count() >= room;
    if is_full || trace.units.len() >= TRACE_UNITS_MAX {
        let token = unit.key.hash();
        let nearest = neighbours.min_by_key(|(_, other)| other.key.hash().abs_diff(token));
        return nearest.map(|(index, _)| index);
    }
    let index = trace.units.len();
    trace.units.push(unit);
    units.insert(name, index);
    Some(index)
}

fn tick(trace: &Trace, rates: &Rates, shares: &Shares, topology: &Topology) -> Tick {
    let mut busy: BTreeMap<usize, Busy> = BTreeMap::new();
    let mut unattributed = rates.shards.clone();
    for (bucket, (reads, writes)) in &rates.buckets {
        let known = shares.get(bucket);
        let sum: f64 = known.map_or(0.0, |known| known.values().sum());
        let Some(known) = known.filter(|_| sum > 0.0) else {
            let owner = owner(topology, *bucket);
            if let Some(rate) = owner.and_then(|owner| unattributed.get_mut(owner)) {
                *rate += reads + writes;
            }
            continue;
        };
        for (unit, share) in known {
            let entry = busy.entry(*unit).or_insert(Busy {
                unit: *unit,
                reads: 0.0,
                writes: 0.0,
            });
            entry.reads += reads * share / sum;
            entry.writes += writes * share / sum;
        }
    }
    debug_assert!(busy.keys().all(|unit| *unit < trace.units.len()), "shares name units");
    Tick {
        busy: busy.into_values().collect(),
        unattributed,
    }
}

fn owner(topology: &Topology, (keyspace, bucket): Bucket) -> Option<usize> {
    let keyspace = topology.keyspace(KeyspaceId::new(keyspace)?)?;
    keyspace.owner(BucketId::new(bucket)?).map(|owner| owner.index())
}

/// Sizes are those of the first tick: evenly over a bucket's units, or, where it has none, on the bucket.
fn weigh(trace: &mut Trace, observation: &Observation, topology: &Topology) {
    let mut there: BTreeMap<Bucket, Vec<usize>> = BTreeMap::new();
    for (index, unit) in trace.units.iter().enumerate() {
        if let Some(place) = unit.place(topology) {
            let bucket = (unit.keyspace.index(), place.bucket.index());
            there.entry(bucket).or_default().push(index);
        }
    }
    for bucket in observation.buckets.iter().filter(|bucket| bucket.bytes > 0) {
        let units = there
            .get(&(bucket.keyspace, bucket.bucket))
            .map_or(&[][..], Vec::as_slice);
        let count = u64::try_from(units.len()).unwrap_or(u64::MAX);
        match (bucket.bytes.checked_div(count), KeyspaceId::new(bucket.keyspace)) {
            (Some(each), _) => {
                for unit in units {
                    if let Some(unit) = trace.units.get_mut(*unit) {
                        unit.bytes = each;
                    }
                }
            }
            (None, Some(keyspace)) => trace.silent.push(Silent {
                keyspace,
                bucket: bucket.bucket,
                bytes: bucket.bytes,
            }),
            (None, None) => {}
        }
    }
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
