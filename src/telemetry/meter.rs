//! One proxy's own load: counters become rates at each tick.
//!
//! Why ticks: rates over windows need time, which this room hasn't; whoever has a clock calls [`LoadMeter::tick`] about
//! once a second. Holds: the data path never waits here (it holds cells, [`LoadCells`]); a tick that comes late or not at
//! all changes no rate, since each brings the time that it stands for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use super::cells::{COUNTS, LoadCells, ShardCount};
use super::heavy::KEY_DECAY;
use super::load::{Moment, Windows};
use super::rate::{Rates, Step};
use super::report::{BucketReport, HeavyReport, KeyspaceReport, LoadReport, ShardReport};
use super::sample::SAMPLES;
use crate::topology::{BucketId, Topology};

/// What a shard's line counts.
const SHARD_COUNTS: usize = 3;

/// Is load measured? It always is, but where what that costs is to be found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metering {
    /// yes
    #[default]
    On,
    /// no counters, no keys, no clock is read for it; what is shown of load is empty
    Off,
}

/// Measures the load of one proxy. Share it in an `Arc`.
#[derive(Debug)]
pub struct LoadMeter {
    /// guards one pointer; `None`: load is not measured
    cells: RwLock<Option<Arc<LoadCells>>>,
    /// counts changes of `cells`
    generation: AtomicU64,
    /// guards the rates; never held by the data path
    rates: Mutex<Measured>,
}

/// Rates, and the counters that they were last brought up to.
#[derive(Debug, Default)]
struct Measured {
    /// since measuring began
    now: Duration,
    shards: Vec<Row<SHARD_COUNTS>>,
    keyspaces: Vec<Vec<Row<COUNTS>>>,
}

#[derive(Debug)]
struct Row<const N: usize> {
    seen: [u64; COUNTS],
    rates: Rates<N>,
}

// === impl LoadMeter ===

impl LoadMeter {
    /// Nothing has been measured yet.
    pub fn new(topology: &Topology) -> LoadMeter {
        LoadMeter {
            cells: RwLock::new(Some(Arc::new(LoadCells::new(topology, None)))),
            generation: AtomicU64::new(0),
            rates: Mutex::default(),
        }
    }

    /// Measures nothing, ever: what the rest of a proxy costs without it is found so.
    pub fn off() -> LoadMeter {
        LoadMeter {
            cells: RwLock::new(None),
            generation: AtomicU64::new(0),
            rates: Mutex::default(),
        }
    }

    /// What the data path counts in, if it counts. Take it anew when [`LoadMeter::generation`] has changed.
    pub fn cells(&self) -> Option<Arc<LoadCells>> {
        self.cells.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes with the cells; one relaxed load.
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The topology has changed: buckets that stay keep what was counted of them.
    pub fn follow(&self, topology: &Topology) {
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(cells) = &mut *cells
            && cells.epoch() != topology.epoch()
        {
            *cells = Arc::new(LoadCells::new(topology, Some(cells)));
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Brings the rates up to what was counted since the last tick, so long ago.
    pub fn tick(&self, elapsed: Duration) {
        let Some(step) = Step::over(elapsed) else { return };
        let Some(cells) = self.cells() else { return };
        cells.settle();
        let mut measured = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        measured.tick(&cells, elapsed, &step);
    }

    /// What was measured up to the last tick; empty if load is not measured.
    pub fn report(&self, at: Moment) -> LoadReport {
        let Some(cells) = self.cells() else {
            return LoadReport::empty(at);
        };
        let measured = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        measured.report(&cells, at)
    }
}

// === impl Measured ===

impl Measured {
    fn tick(&mut self, cells: &LoadCells, elapsed: Duration, step: &Step) {
        self.now = self.now.saturating_add(elapsed);
        self.shards.resize_with(crate::topology::SHARDS_MAX, Row::default);
        for (index, row) in self.shards.iter_mut().enumerate() {
            let [busy, unattributed, waiting, ..] = row.counted(cells.shard_sums(index));
            let amounts = [seconds(busy), seconds(unattributed), seconds(waiting)];
            row.rates.observe(&amounts, step);
        }
        let keyspaces = cells.keyspaces();
        self.keyspaces.resize_with(keyspaces.len(), Vec::new);
        for (rows, cells) in self.keyspaces.iter_mut().zip(keyspaces) {
            rows.resize_with(cells.buckets(), Row::default);
            let mut statements = 0.0;
            for (bucket, row) in rows.iter_mut().enumerate() {
                let amounts = amounts(row.counted(cells.sums(bucket)));
                let [reads, writes, ..] = amounts;
                statements += reads + writes;
                row.rates.observe(&amounts, step);
            }
            cells.keys.adapt(statements / elapsed.as_secs_f64());
            let mut seen = cells.keys.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.now = self.now;
            seen.heavy
                .decay((-elapsed.as_secs_f64() / KEY_DECAY.as_secs_f64()).exp());
        }
        self.count_long(cells);
    }

    /// What ended after more than a tick is spread over the time that it took.
    fn count_long(&mut self, cells: &LoadCells) {
        for long in cells.take_long() {
            let quantities = match long.bucket {
                Some(_) => [Some(ShardCount::Busy), None],
                None => [Some(ShardCount::Busy), Some(ShardCount::Unattributed)],
            };
            if let Some(row) = self.shards.get_mut(long.shard.index()) {
                for quantity in quantities.into_iter().flatten() {
                    row.rates.observe_past(quantity as usize, long.duration, long.part);
                }
            }
            if let Some((keyspace, bucket, quantity)) = long.bucket
                && let Some(rows) = self.keyspaces.get_mut(keyspace.index())
                && let Some(row) = rows.get_mut(bucket.index())
            {
                row.rates.observe_past(quantity as usize, long.duration, long.part);
            }
        }
    }

    fn report(&self, cells: &LoadCells, at: Moment) -> LoadReport {
        let shards = self.shards.iter().map(|row| ShardReport {
            busy: row.rates.windows(ShardCount::Busy as usize),
            unattributed: row.rates.windows(ShardCount::Unattributed as usize),
            waiting: row.rates.windows(ShardCount::Waiting as usize),
        });
        let keyspaces = cells.keyspaces().iter().enumerate().map(|(index, cells)| {
            let rows = self.keyspaces.get(index).map_or(&[][..], Vec::as_slice);
            let loaded = rows.iter().enumerate().filter(|(_, row)| !row.rates.is_quiet());
            let buckets = loaded.filter_map(|(bucket, row)| Some((BucketId::new(bucket)?, row.report())));
            let seen = cells.keys.seen.lock().unwrap_or_else(PoisonError::into_inner);
            KeyspaceReport {
                name: cells.name.clone(),
                buckets: buckets.collect(),
                heavy: HeavyReport(seen.heavy.clone()),
                samples: super::sample::thinned(seen.reservoir.samples(self.now), SAMPLES),
            }
        });
        LoadReport {
            at,
            measured: self.now,
            epoch: cells.epoch(),
            shards: shards.collect(),
            keyspaces: keyspaces.collect(),
        }
    }
}

// === impl Row ===

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Row {
            seen: [0; COUNTS],
            rates: Rates::default(),
        }
    }
}

impl<const N: usize> Row<N> {
    /// What has come since the last time.
    fn counted(&mut self, sums: [u64; COUNTS]) -> [u64; COUNTS] {
        let before = std::mem::replace(&mut self.seen, sums);
        let mut counted = sums;
        for (now, before) in counted.iter_mut().zip(before) {
            *now = now.wrapping_sub(before);
        }
        counted
    }
}

impl Row<COUNTS> {
    fn report(&self) -> BucketReport {
        // Counters stand in the order of the fields.
        let mut rates = [Windows::default(); COUNTS];
        for (count, windows) in rates.iter_mut().enumerate() {
            *windows = self.rates.windows(count);
        }
        BucketReport::from_array(rates)
    }
}

/// As rates want them: times in seconds.
fn amounts([reads, writes, rows, bytes, errors, busy_reads, busy_writes, waiting]: [u64; COUNTS]) -> [f64; COUNTS] {
    [
        plain(reads),
        plain(writes),
        plain(rows),
        plain(bytes),
        plain(errors),
        seconds(busy_reads),
        seconds(busy_writes),
        seconds(waiting),
    ]
}

fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "a second's count is far below 2^53")]
fn plain(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
