//! Hours of the week: how busy shards and buckets usually are on a Monday from eight to nine.
//!
//! Why beside the windows: an hour's average has forgotten yesterday, and what makes a shard hot comes back with the market's
//! hours. Each hour that was watched for half of its time or more is learnt once: `average = K · average + (1 - k) · seen`,
//! `weight = K · weight + (1 - k)`, with k = exp(-1/4) for a week and K = k to the weeks that have passed since the last
//! time; average / weight is the usual load. So weeks that nobody watched change nothing, and one week is told exactly.
//! Why by bucket: a bucket takes its hours with it when it moves, so what is usual for a shard is that of the buckets that it
//! owns now. A bucket that is split off begins without a past.
//! Holds: an hour keeps at most [`BUCKETS_MAX`] buckets, the busiest; what others carry stays with their shard. Hours are UTC.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::load::{LoadSnapshot, Moment};
use crate::topology::{BucketId, ShardId, Topology};

/// Hours of a week.
const HOURS: u64 = 168;
/// 1 January 1970 was a Thursday.
const HOURS_TO_THURSDAY: u64 = 72;
const HOUR: Duration = Duration::from_secs(3600);
/// Between two looks that are further apart nobody watched.
const GAP_MAX: Duration = Duration::from_secs(60);
/// An hour that was watched for less is not learnt.
const WATCHED_LEAST: Duration = Duration::from_secs(1800);
/// After so many weeks a week's weight has fallen to 1/e.
const MEMORY_WEEKS: f64 = 4.0;
/// What hasn't been seen for longer is not usual any more.
const WEEKS_MAX: u32 = 8;
/// Buckets that an hour keeps.
const BUCKETS_MAX: usize = 1024;
/// Busy seconds per second that are nothing.
const NOTHING: f64 = 1e-6;
const VERSION: u32 = 1;

/// An hour of the week, UTC, from Monday at midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HourOfWeek(u8);

/// What the past weeks say of each hour of the week.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Week {
    hours: BTreeMap<HourOfWeek, LearntHour>,
}

/// One hour of the week as it was learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct LearntHour {
    /// of the last time
    week: u32,
    weight: f64,
    /// averages, to be divided by the weight
    busy: Carried,
}

/// One hour that has been watched.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchedHour {
    /// which
    pub hour: HourOfWeek,
    /// weeks since 1970
    pub week: u32,
    busy: Carried,
}

/// Busy seconds per second.
#[derive(Clone, Debug, Default, PartialEq)]
struct Carried {
    /// of no bucket that is listed, by shard's name
    shards: BTreeMap<String, f64>,
    /// by keyspace's name and bucket's number
    buckets: BTreeMap<String, BTreeMap<usize, f64>>,
}

/// Watches the hour that goes by.
#[derive(Debug, Default)]
pub struct HourWatch {
    last: Option<Moment>,
    watched: Duration,
    /// busy seconds of no bucket, by shard
    shards: Vec<f64>,
    /// busy seconds by keyspace and bucket
    buckets: Vec<Vec<f64>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHour {
    version: u32,
    week: u32,
    weight: f64,
    shards: BTreeMap<String, f64>,
    buckets: BTreeMap<String, Vec<(usize, f64)>>,
}

// === impl HourOfWeek ===

impl HourOfWeek {
    /// The hour that a moment lies in.
    pub fn of(at: Moment) -> HourOfWeek {
        let (_, hour) = split(at);
        HourOfWeek(u8::try_from(hour).unwrap_or(0))
    }

    /// By its number, 0 to 167.
    pub fn new(index: usize) -> Option<HourOfWeek> {
        let index = u8::try_from(index).ok()?;
        (u64::from(index) < HOURS).then_some(HourOfWeek(index))
    }

    /// 0 is the first hour of Monday.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// So many hours later.
    #[must_use]
    pub fn plus(self, hours: u64) -> HourOfWeek {
        let hour = u64::from(self.0).wrapping_add(hours % HOURS) % HOURS;
        HourOfWeek(u8::try_from(hour).unwrap_or(0))
    }

    /// All hours that follow this one up to its next time, itself the last.
    pub fn following(self) -> impl Iterator<Item = HourOfWeek> {
        (1..=HOURS).map(move |hours| self.plus(hours))
    }
}

/// `Mon 08–09`.
impl fmt::Display for HourOfWeek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let (day, hour) = (self.0 / 24, self.0 % 24);
        let day = DAYS.get(usize::from(day)).copied().unwrap_or_default();
        write!(f, "{day} {hour:02}–{:02}", hour.saturating_add(1))
    }
}

/// Week and hour of the week.
fn split(at: Moment) -> (u32, u64) {
    let hours = (at.0 / 3_600_000).saturating_add(HOURS_TO_THURSDAY);
    (u32::try_from(hours / HOURS).unwrap_or(u32::MAX), hours % HOURS)
}

// === impl HourWatch ===

impl HourWatch {
    /// Takes note of a snapshot; answers the hour that has ended since the last one, if enough of it was watched.
    pub fn observe(&mut self, load: &LoadSnapshot, topology: &Topology) -> Option<WatchedHour> {
        let before = self.last.replace(load.at)?;
        let elapsed = load.at.since(before);
        if elapsed <= GAP_MAX {
            self.add(load, elapsed);
        }
        if split(before) == split(load.at) && elapsed < HOUR {
            return None;
        }
        let watched = std::mem::take(self);
        self.last = watched.last;
        (watched.watched >= WATCHED_LEAST).then(|| watched.told(split(before), topology))
    }

    fn add(&mut self, load: &LoadSnapshot, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        self.watched = self.watched.saturating_add(elapsed);
        for shard in &load.shards {
            add(
                &mut self.shards,
                shard.shard.index(),
                shard.unattributed.minute * seconds,
            );
        }
        for keyspace in &load.keyspaces {
            let index = keyspace.keyspace.index();
            if self.buckets.len() <= index {
                self.buckets.resize_with(index.saturating_add(1), Vec::new);
            }
            let Some(sums) = self.buckets.get_mut(index) else {
                continue;
            };
            for bucket in &keyspace.buckets {
                add(sums, bucket.bucket.index(), bucket.busy().minute * seconds);
            }
        }
    }

    fn told(self, (week, hour): (u32, u64), topology: &Topology) -> WatchedHour {
        let seconds = self.watched.as_secs_f64();
        let mut shards = self.shards;
        let mut listed: Vec<(f64, usize, usize)> = Vec::new();
        for (keyspace, sums) in self.buckets.into_iter().enumerate() {
            let busy = sums.into_iter().enumerate().filter(|(_, busy)| *busy > 0.0);
            listed.extend(busy.map(|(bucket, busy)| (busy, keyspace, bucket)));
        }
        listed.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let others = listed.split_off(listed.len().min(BUCKETS_MAX));
        for (busy, keyspace, bucket) in others {
            let keyspace = topology.keyspaces().get(keyspace);
            let owner = keyspace.and_then(|keyspace| keyspace.owner(BucketId::new(bucket)?));
            if let Some(owner) = owner {
                add(&mut shards, owner.index(), busy);
            }
        }
        let mut busy = Carried::default();
        for (shard, sum) in shards.into_iter().enumerate() {
            if let Some(shard) = ShardId::new(shard).filter(|_| sum > NOTHING * seconds) {
                busy.shards.insert(topology.shard_name(shard).to_owned(), sum / seconds);
            }
        }
        for (sum, keyspace, bucket) in listed {
            if let Some(keyspace) = topology.keyspaces().get(keyspace).filter(|_| sum > NOTHING * seconds) {
                let buckets = busy.buckets.entry(keyspace.name().to_owned()).or_default();
                buckets.insert(bucket, sum / seconds);
            }
        }
        let hour = HourOfWeek(u8::try_from(hour).unwrap_or(0));
        WatchedHour { hour, week, busy }
    }
}

fn add(sums: &mut Vec<f64>, index: usize, amount: f64) {
    if amount <= 0.0 {
        return;
    }
    if sums.len() <= index {
        sums.resize(index.saturating_add(1), 0.0);
    }
    if let Some(sum) = sums.get_mut(index) {
        *sum += amount;
    }
}

// === impl Week ===

impl Week {
    /// One hour with what was just watched of it; `None` if it has been learnt already.
    pub fn learnt(&self, seen: &WatchedHour) -> Option<LearntHour> {
        match self.hours.get(&seen.hour) {
            Some(known) if known.week >= seen.week => None,
            Some(known) => Some(known.with(seen)),
            None => {
                let nothing = LearntHour {
                    week: seen.week.saturating_sub(1),
                    weight: 0.0,
                    busy: Carried::default(),
                };
                Some(nothing.with(seen))
            }
        }
    }

    /// Knows an hour from now on.
    pub fn insert(&mut self, hour: HourOfWeek, learnt: LearntHour) {
        self.hours.insert(hour, learnt);
    }

    /// Busy seconds per second that an hour of the week usually brings to a shard with the buckets that it owns now; `None`
    /// where the last weeks don't tell.
    pub fn usual(&self, hour: HourOfWeek, shard: ShardId, topology: &Topology, now: Moment) -> Option<f64> {
        let learnt = self.hours.get(&hour)?;
        let (week, _) = split(now);
        if week.saturating_sub(learnt.week) > WEEKS_MAX || learnt.weight <= 0.0 {
            return None;
        }
        let own = learnt.busy.shards.get(topology.shard_name(shard));
        let mut busy = own.copied().unwrap_or(0.0);
        for keyspace in topology.keyspaces() {
            let Some(buckets) = learnt.busy.buckets.get(keyspace.name()) else {
                continue;
            };
            let owned = buckets.iter().filter(|(bucket, _)| {
                let owner = BucketId::new(**bucket).and_then(|bucket| keyspace.owner(bucket));
                owner == Some(shard)
            });
            busy += owned.map(|(_, busy)| *busy).sum::<f64>();
        }
        Some(busy / learnt.weight)
    }
}

// === impl LearntHour ===

impl LearntHour {
    fn with(&self, seen: &WatchedHour) -> LearntHour {
        let keep = (-1.0 / MEMORY_WEEKS).exp();
        let passed = seen.week.saturating_sub(self.week);
        let kept = (-f64::from(passed) / MEMORY_WEEKS).exp();
        let mut learnt = LearntHour {
            week: seen.week,
            weight: self.weight * kept + (1.0 - keep),
            busy: Carried::default(),
        };
        learnt.busy.add(&self.busy, kept);
        learnt.busy.add(&seen.busy, 1.0 - keep);
        learnt.busy.bound();
        learnt
    }

    /// For [`LearntHour::from_json`].
    pub fn to_json(&self) -> Result<String, Error> {
        let buckets = self.busy.buckets.iter().map(|(keyspace, buckets)| {
            let buckets = buckets.iter().map(|(bucket, busy)| (*bucket, short(*busy)));
            (keyspace.clone(), buckets.collect())
        });
        let shards = self.busy.shards.iter().map(|(name, busy)| (name.clone(), short(*busy)));
        let written = WrittenHour {
            version: VERSION,
            week: self.week,
            weight: self.weight,
            shards: shards.collect(),
            buckets: buckets.collect(),
        };
        serde_json::to_string(&written).map_err(Error::Json)
    }

    /// What [`LearntHour::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<LearntHour, Error> {
        let written: WrittenHour = serde_json::from_str(text).map_err(Error::Json)?;
        if written.version != VERSION {
            return Err(Error::Version(written.version));
        }
        let buckets = written.buckets.into_iter();
        let mut busy = Carried {
            shards: written.shards,
            buckets: buckets.map(|(name, list)| (name, list.into_iter().collect())).collect(),
        };
        busy.bound();
        Ok(LearntHour {
            week: written.week,
            weight: written.weight,
            busy,
        })
    }
}

/// Four digits.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

// === impl Carried ===

impl Carried {
    fn add(&mut self, other: &Carried, factor: f64) {
        for (shard, busy) in &other.shards {
            *self.shards.entry(shard.clone()).or_default() += busy * factor;
        }
        for (keyspace, buckets) in &other.buckets {
            let sums = self.buckets.entry(keyspace.clone()).or_default();
            for (bucket, busy) in buckets {
                *sums.entry(*bucket).or_default() += busy * factor;
            }
        }
    }

    /// What is next to nothing goes, and beyond the bound the lightest.
    fn bound(&mut self) {
        let all = self.buckets.values().flat_map(BTreeMap::values);
        let mut all: Vec<f64> = all.copied().collect();
        all.sort_by(|a, b| b.total_cmp(a));
        let least = all.get(BUCKETS_MAX).copied().unwrap_or(0.0).max(NOTHING / 10.0);
        for buckets in self.buckets.values_mut() {
            buckets.retain(|_, busy| *busy > least);
        }
        self.buckets.retain(|_, buckets| !buckets.is_empty());
        self.shards.retain(|_, busy| *busy > NOTHING / 10.0);
    }
}

#[cfg(test)]
#[path = "hours_tests.rs"]
mod tests;
