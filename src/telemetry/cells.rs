//! Where load is counted: a line of counters per bucket and per shard, and a few keys per keyspace.
//!
//! Why: a statement may cost no more than a handful of relaxed additions. A bucket's counters fill one cache line; there
//! are a few copies of each, so that threads don't fight for one, and a thread keeps to one of them. Keys are looked at
//! for some statements only, each then standing for as many as were passed over; whoever finds the place of keys taken
//! goes on without.
//! Holds: counters only go up; a bucket that stays over a change of the topology keeps its counters, whoever holds the
//! cells of the epoch before; memory depends on shards and buckets, never on keys or statements.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::heavy::Heavy;
use super::notebook::Notebook;
use super::sample::Reservoir;
use super::series::own_stripe;
use crate::topology::{BucketId, Epoch, KeyspaceId, SHARDS_MAX, ShardId, Topology};
use crate::value::Key;

/// Copies of each line.
pub(crate) const STRIPES: usize = 4;

/// Counters of a line.
pub(crate) const COUNTS: usize = 8;

/// Keys of a keyspace that are looked at between two ticks.
const LOOKS: u32 = 300;

/// Buckets of a keyspace beyond which one copy is enough: so many spread the threads by themselves.
const STRIPED_BUCKETS_MAX: usize = 4096;

/// Busy times longer than this are told one by one, since they don't belong to the second in which they end.
const LONG: Duration = Duration::from_secs(1);

/// Long ones that are kept until the next tick; more are counted as if they were short.
const LONG_MAX: usize = 4096;

/// What a bucket's line counts, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Reads,
    Writes,
    Rows,
    Bytes,
    Errors,
    BusyReads,
    BusyWrites,
    Waiting,
}

/// What a shard's line counts, by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardCount {
    Busy,
    Unattributed,
    Waiting,
}

/// A line of counters.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Line([AtomicU64; COUNTS]);

/// Lines of a row of places, with their copies.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Box<[Line]>,
    stripes: usize,
}

/// All counters at one epoch. Take it once and keep it until [`super::LoadMeter::generation`] changes.
#[derive(Debug)]
pub struct LoadCells {
    epoch: Epoch,
    shards: Arc<Lines>,
    keyspaces: Vec<KeyspaceCells>,
    long: Arc<Mutex<Vec<Long>>>,
    /// what isn't counted yet
    costs: Notebook<BucketCost>,
    /// there are cells of a later epoch: nobody reads `costs` any more
    superseded: AtomicBool,
}

/// One keyspace's.
#[derive(Clone, Debug)]
pub(crate) struct KeyspaceCells {
    pub(crate) name: String,
    /// the first bucket of each and its lines, the last first: a split adds buckets behind those that are there
    blocks: Vec<(usize, Arc<Lines>)>,
    buckets: usize,
    pub(crate) keys: Arc<Keys>,
}

/// One keyspace's keys.
#[derive(Debug)]
pub(crate) struct Keys {
    /// one of `1 << shift` statements is looked at
    shift: AtomicU8,
    /// looks that are left until the next tick: a load that has just begun costs no more than one that lasts
    left: AtomicU32,
    /// guards the keys; the data path only tries
    pub(crate) seen: Mutex<SeenKeys>,
}

/// Which keys were seen.
#[derive(Debug, Default)]
pub(crate) struct SeenKeys {
    pub(crate) heavy: Heavy,
    pub(crate) reservoir: Reservoir,
    /// time since measuring began, as of the last tick
    pub(crate) now: Duration,
}

/// A busy time that is too long for one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Long {
    pub(crate) shard: ShardId,
    /// none: it belongs to no bucket
    pub(crate) bucket: Option<(KeyspaceId, BucketId, Count)>,
    pub(crate) duration: Duration,
    /// of all that time, this part is the bucket's
    pub(crate) part: f64,
}

/// Does a statement only read?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadAccess {
    /// yes
    Read,
    /// it may write or lock
    Write,
}

/// What statements on one bucket have cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketCost {
    /// the bucket's keyspace
    pub keyspace: KeyspaceId,
    /// the bucket
    pub bucket: BucketId,
    /// its shard
    pub shard: ShardId,
    /// what the statements are
    pub access: LoadAccess,
    /// how many
    pub statements: u64,
    /// returned or changed
    pub rows: u64,
    /// both ways
    pub bytes: u64,
    /// statements that ended with an error
    pub errors: u64,
    /// how long a backend was occupied for this bucket
    pub busy: Duration,
    /// how long it was occupied for what this is a part of; `busy` itself for a statement on one bucket
    pub lasted: Duration,
    /// how long they waited for one
    pub waiting: Duration,
}

// === impl Lines ===

impl Lines {
    fn new(places: usize, stripes: usize) -> Lines {
        Lines {
            lines: (0..places.saturating_mul(stripes)).map(|_| Line::default()).collect(),
            stripes,
        }
    }

    #[inline]
    fn own(&self, place: usize) -> Option<&Line> {
        let stripe = if self.stripes == 1 {
            0
        } else {
            own_stripe() % self.stripes
        };
        self.lines
            .get(place.saturating_mul(self.stripes).saturating_add(stripe))
    }

    /// A place's counters over all copies.
    pub(crate) fn sums(&self, place: usize) -> [u64; COUNTS] {
        let mut sums = [0_u64; COUNTS];
        let copies = self
            .lines
            .iter()
            .skip(place.saturating_mul(self.stripes))
            .take(self.stripes);
        for line in copies {
            for (sum, cell) in sums.iter_mut().zip(&line.0) {
                *sum = sum.wrapping_add(cell.load(Ordering::Relaxed));
            }
        }
        sums
    }
}

impl Line {
    #[inline]
    fn add(&self, place: usize, amount: u64) {
        if amount > 0
            && let Some(cell) = self.0.get(place)
        {
            cell.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

// === impl LoadCells ===

impl LoadCells {
    /// Of a topology; what `before` counts of the same buckets goes on.
    pub(crate) fn new(topology: &Topology, before: Option<&LoadCells>) -> LoadCells {
        if let Some(before) = before {
            before.superseded.store(true, Ordering::Release);
            before.settle();
        }
        let known = |index: usize, name: &str| {
            let keyspaces = before.map_or(&[][..], |before| before.keyspaces.as_slice());
            keyspaces.get(index).filter(|keyspace| keyspace.name == name)
        };
        let keyspaces = topology.keyspaces().iter().enumerate().map(|(index, keyspace)| {
            let (name, buckets) = (keyspace.name(), keyspace.bucket_count());
            match known(index, name) {
                Some(known) => known.grown(buckets),
                None => KeyspaceCells {
                    name: name.to_owned(),
                    blocks: vec![(0, block(buckets))],
                    buckets,
                    keys: Arc::default(),
                },
            }
        });
        LoadCells {
            epoch: topology.epoch(),
            keyspaces: keyspaces.collect(),
            shards: before.map_or_else(
                || Arc::new(Lines::new(SHARDS_MAX, STRIPES)),
                |before| Arc::clone(&before.shards),
            ),
            long: before.map_or_else(Arc::default, |before| Arc::clone(&before.long)),
            costs: Notebook::new(),
            superseded: AtomicBool::new(false),
        }
    }

    /// Of which epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn keyspaces(&self) -> &[KeyspaceCells] {
        &self.keyspaces
    }

    pub(crate) fn shard_sums(&self, shard: usize) -> [u64; COUNTS] {
        self.shards.sums(shard)
    }

    pub(crate) fn take_long(&self) -> Vec<Long> {
        std::mem::take(&mut *self.long.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Statements on one bucket have ended. Their busy time counts for the shard too.
    pub fn bucket(&self, cost: &BucketCost) {
        self.costs.write(*cost, |cost| self.count(&cost));
        if self.superseded.load(Ordering::Acquire) {
            self.settle();
        }
    }

    /// Counts what was only written down: before anything is read.
    pub(crate) fn settle(&self) {
        self.costs.settle(|cost| self.count(&cost));
    }

    fn count(&self, cost: &BucketCost) {
        self.waited(cost.shard, cost.waiting);
        let busy = match cost.access {
            LoadAccess::Read => Count::BusyReads,
            LoadAccess::Write => Count::BusyWrites,
        };
        let line = self.keyspaces.get(cost.keyspace.index());
        let line = line.and_then(|keyspace| keyspace.line(cost.bucket));
        let bucket = line.is_some().then_some((cost.keyspace, cost.bucket, busy));
        let counted = self.busy(cost.shard, bucket, (cost.busy, cost.lasted), cost.statements);
        let Some(line) = line else { return };
        let statements = match cost.access {
            LoadAccess::Read => Count::Reads,
            LoadAccess::Write => Count::Writes,
        };
        line.add(statements as usize, cost.statements);
        line.add(Count::Rows as usize, cost.rows);
        line.add(Count::Bytes as usize, cost.bytes);
        line.add(Count::Errors as usize, cost.errors);
        line.add(busy as usize, nanos(counted));
        line.add(Count::Waiting as usize, nanos(cost.waiting));
    }

    /// A shard's backend was occupied, and its session waited for it, on behalf of no bucket.
    pub fn unattributed(&self, shard: ShardId, busy: Duration, waiting: Duration) {
        self.waited(shard, waiting);
        let counted = self.busy(shard, None, (busy, busy), 1);
        if let Some(line) = self.shards.own(shard.index()) {
            line.add(ShardCount::Unattributed as usize, nanos(counted));
        }
    }

    fn waited(&self, shard: ShardId, waiting: Duration) {
        if !waiting.is_zero()
            && let Some(line) = self.shards.own(shard.index())
        {
            line.add(ShardCount::Waiting as usize, nanos(waiting));
        }
    }

    /// Counts busy time for a shard; answers how much of it is to be counted elsewhere too: none of a long one.
    #[inline]
    fn busy(
        &self,
        shard: ShardId,
        bucket: Option<(KeyspaceId, BucketId, Count)>,
        (busy, lasted): (Duration, Duration),
        statements: u64,
    ) -> Duration {
        if lasted >= LONG && self.keep_long(shard, bucket, (busy, lasted), statements) {
            return Duration::ZERO;
        }
        if let Some(line) = self.shards.own(shard.index()) {
            line.add(ShardCount::Busy as usize, nanos(busy));
        }
        busy
    }

    fn keep_long(
        &self,
        shard: ShardId,
        bucket: Option<(KeyspaceId, BucketId, Count)>,
        (busy, duration): (Duration, Duration),
        statements: u64,
    ) -> bool {
        // The time of many short ones is spread over no longer than that.
        if statements != 1 {
            return false;
        }
        let mut long = self.long.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = long.len() < LONG_MAX;
        if has_room {
            long.push(Long {
                shard,
                bucket,
                duration,
                part: busy.div_duration_f64(duration),
            });
        }
        has_room
    }

    /// Shall this statement's key be looked at? `entropy` is 64 random bits.
    #[inline]
    pub fn wants_key(&self, keyspace: KeyspaceId, entropy: u64) -> bool {
        self.keyspaces.get(keyspace.index()).is_some_and(|keyspace| {
            let shift = u32::from(keyspace.keys.shift.load(Ordering::Relaxed));
            entropy.trailing_zeros() >= shift && keyspace.keys.take_look()
        })
    }

    /// A key that was wanted: its statements kept a backend busy for so long. Lost if somebody else is at it.
    pub fn key(&self, (keyspace, bucket): (KeyspaceId, BucketId), key: &Key, busy: Duration, entropy: u64) {
        let Some(keyspace) = self.keyspaces.get(keyspace.index()) else {
            return;
        };
        let shift = keyspace.keys.shift.load(Ordering::Relaxed);
        if let Ok(mut seen) = keyspace.keys.seen.try_lock() {
            let weight = busy.as_secs_f64() * f64::from(1_u32.checked_shl(shift.into()).unwrap_or(1));
            let now = seen.now;
            seen.heavy.add(key, bucket, weight);
            seen.reservoir.add(key, bucket, weight, now, entropy);
        }
    }
}

// === impl KeyspaceCells ===

impl KeyspaceCells {
    fn grown(&self, buckets: usize) -> KeyspaceCells {
        let mut grown = self.clone();
        if buckets > self.buckets {
            let more = block(buckets.saturating_sub(self.buckets));
            grown.blocks.insert(0, (self.buckets, more));
            grown.buckets = buckets;
        }
        grown
    }

    fn place(&self, bucket: usize) -> Option<(&Lines, usize)> {
        let (first, lines) = self.blocks.iter().find(|(first, _)| *first <= bucket)?;
        Some((lines, bucket.saturating_sub(*first)))
    }

    #[inline]
    fn line(&self, bucket: BucketId) -> Option<&Line> {
        let (lines, place) = self.place(bucket.index()).filter(|_| bucket.index() < self.buckets)?;
        lines.own(place)
    }

    pub(crate) fn buckets(&self) -> usize {
        self.buckets
    }

    pub(crate) fn sums(&self, bucket: usize) -> [u64; COUNTS] {
        self.place(bucket)
            .map_or([0; COUNTS], |(lines, place)| lines.sums(place))
    }
}

// === impl Keys ===

impl Default for Keys {
    fn default() -> Self {
        Keys {
            shift: AtomicU8::default(),
            left: AtomicU32::new(LOOKS),
            seen: Mutex::default(),
        }
    }
}

impl Keys {
    /// Takes one look if any is left. Two threads may take the same one: it is a bound, not a count.
    #[inline]
    fn take_look(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// So many statements per second come: about three hundred of them are to be looked at.
    pub(crate) fn adapt(&self, per_second: f64) {
        const SHIFT_MAX: u8 = 10;
        let mut shift = 0;
        while shift < SHIFT_MAX && per_second > f64::from(LOOKS) * f64::from(1_u32 << shift) {
            shift += 1;
        }
        self.shift.store(shift, Ordering::Relaxed);
        self.left.store(LOOKS, Ordering::Relaxed);
    }
}

fn block(buckets: usize) -> Arc<Lines> {
    let stripes = if buckets <= STRIPED_BUCKETS_MAX { STRIPES } else { 1 };
    Arc::new(Lines::new(buckets, stripes))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
