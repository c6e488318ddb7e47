//! The loops that keep the picture of load current: this proxy's rates, the other proxies' reports, the shards' own words.
//!
//! Why each proxy writes a report of its own and adds up all of them itself: no proxy is special, none waits for another,
//! and whichever asks sees the whole. Holds: the data path waits for nothing here; questions go over connections of
//! their own, with deadlines; with home down a proxy shows its own figures; a report that isn't renewed is soon counted
//! as silence.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use crate::clock::Rng;
use crate::config::ShardSettings;
use crate::discovery::Discovery;
use crate::discovery::load_store;
use crate::discovery::open::{Inner, Live};
use crate::discovery::other_proxies::OtherProxies;
use crate::discovery::reach::Reach;
use crate::discovery::stage::by_index;
use crate::discovery::survey;
use crate::discovery::together::together;
use crate::telemetry::{
    BucketSizes, HourWatch, LoadMeter, LoadReport, LoadSnapshot, Metering, Moment, ShardFacts, WatchedHour, Week,
};
use crate::topology::{ShardId, Topology};

/// How often counters become rates.
const TICK: Duration = Duration::from_secs(1);
/// How often reports are exchanged and shards are asked what they run.
const EXCHANGE: Duration = Duration::from_secs(3);
/// Sizes are estimated at the first question to a shard, then at each of so many: once a minute.
const SURVEY_TURNS: u32 = 20;
/// An estimate takes no longer, since what shards run is asked after it.
const SURVEY_TIMEOUT: Duration = Duration::from_secs(10);
/// Ended hours that wait for home at most.
const HOURS_UNTOLD_MAX: usize = 24;

/// What is known of load besides what the meter measures.
#[derive(Debug)]
pub(super) struct Loads {
    /// this proxy's
    pub(super) meter: LoadMeter,
    /// guards what others said; held for a clone or a swap
    heard: Mutex<Heard>,
    merged: watch::Sender<Arc<LoadSnapshot>>,
    /// guards what is known of the hours of the week; held for a look or a swap
    hours: Mutex<Hours>,
}

/// Hours of the week.
#[derive(Debug, Default)]
struct Hours {
    watch: HourWatch,
    /// not told home yet, the oldest first
    ended: Vec<WatchedHour>,
    /// as home has it; none: not asked yet
    week: Option<Arc<Week>>,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    others: Arc<OtherProxies>,
    /// home doesn't answer, so what others measure is not known
    is_cut_off: bool,
    /// by shard index
    active: BTreeMap<ShardId, u32>,
    shard_sizes: BTreeMap<ShardId, u64>,
    sizes: Arc<BucketSizes>,
}

// === impl Loads ===

impl Loads {
    pub(super) fn new(topology: &Topology, metering: Metering) -> Loads {
        let meter = match metering {
            Metering::On => LoadMeter::new(topology),
            Metering::Off => LoadMeter::off(),
        };
        let none = LoadSnapshot::merge(topology, Moment::default(), &[], &[], &BucketSizes::new());
        Loads {
            meter,
            heard: Mutex::default(),
            merged: watch::Sender::new(Arc::new(none)),
            hours: Mutex::default(),
        }
    }

    /// What the past weeks say of the hours, as home has it.
    pub(super) fn week(&self) -> Arc<Week> {
        self.with_hours(|hours| hours.week.clone()).unwrap_or_default()
    }

    fn with_hours<T>(&self, act: impl FnOnce(&mut Hours) -> T) -> T {
        act(&mut self.hours.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Do other proxies carry load that isn't known here at this time?
    pub(super) fn is_partial(&self) -> bool {
        let heard = self.heard();
        heard.is_cut_off && heard.others.there() > 0
    }

    fn hear(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Discovery {
    /// What the data path counts its load in.
    pub fn load_meter(&self) -> &LoadMeter {
        &self.inner.loads.meter
    }

    /// The load of all shards and buckets, all proxies together; about a second old while [`Discovery::measure`] runs.
    pub fn load(&self) -> Arc<LoadSnapshot> {
        Arc::clone(&self.inner.loads.merged.borrow())
    }

    /// The same, with news: a new picture about every second.
    pub fn watch_load(&self) -> watch::Receiver<Arc<LoadSnapshot>> {
        self.inner.loads.merged.subscribe()
    }

    /// What the past weeks say of the hours of the week, as home has it; empty before it has been asked.
    pub fn week(&self) -> Arc<Week> {
        self.inner.loads.week()
    }

    /// Other proxies whose reports are counted in.
    pub fn proxies_heard(&self) -> usize {
        let heard = self.inner.loads.heard();
        if heard.is_cut_off { 0 } else { heard.others.there() }
    }

    /// Keeps the picture of load current until the future is dropped: the owner awaits it in a task.
    pub async fn measure(&self, rng: Rng) {
        let mut tasks = JoinSet::new();
        tasks.spawn(tick_forever(Arc::clone(&self.inner)));
        tasks.spawn(ask_forever(Arc::clone(&self.inner)));
        match rng.bytes::<8>() {
            Ok(name) => {
                let proxy = format!("{:016x}", u64::from_be_bytes(name));
                tasks.spawn(exchange_forever(Arc::clone(&self.inner), proxy));
            }
            Err(error) => tracing::error!(%error, "this proxy has no name: its load is not told to others"),
        }
        while tasks.join_next().await.is_some() {}
    }
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn tick_forever(inner: Arc<Inner>) {
    let mut ticks = every(TICK);
    ticks.tick().await; // the first is at once
    let mut before = inner.clock.now();
    loop {
        ticks.tick().await;
        let now = inner.clock.now();
        inner.loads.meter.tick(now.saturating_duration_since(before));
        before = now;
        let merged = merge(&inner);
        inner.loads.with_hours(|hours| {
            hours.ended.extend(hours.watch.observe(&merged, &inner.live().topology));
            let over = hours.ended.len().saturating_sub(HOURS_UNTOLD_MAX);
            hours.ended.drain(..over);
        });
        inner.loads.merged.send_replace(Arc::new(merged));
    }
}

fn moment(inner: &Inner) -> Moment {
    let seconds = Duration::try_from_secs_f64(inner.clock.unix_seconds()).unwrap_or_default();
    Moment(u64::try_from(seconds.as_millis()).unwrap_or(u64::MAX))
}

fn merge(inner: &Inner) -> LoadSnapshot {
    let live = inner.live();
    let heard = inner.loads.heard();
    let at = moment(inner);
    let own = inner.loads.meter.report(at);
    let others = match heard.is_cut_off {
        true => Vec::new(),
        false => heard.others.reports(inner.clock.now(), live.topology.epoch()),
    };
    let reports: Vec<&LoadReport> = others.iter().chain([&own]).collect();
    let indices = 0..live.topology.shards().len();
    let facts = indices.filter_map(ShardId::new).map(|shard| ShardFacts {
        capacity: capacity(&live, shard),
        active_backends: heard.active.get(&shard).copied(),
        size_bytes: heard.shard_sizes.get(&shard).copied(),
    });
    let facts: Vec<ShardFacts> = facts.collect();
    LoadSnapshot::merge(&live.topology, at, &reports, &facts, &heard.sizes)
}

/// Backends that a shard can keep busy: as configured; else this machine's CPUs for a shard on it; else as many as it may
/// have at all.
fn capacity(live: &Live, shard: ShardId) -> f64 {
    let name = live.topology.shard_name(shard);
    let declared = live.settings.shards.iter().find(|declared| declared.name == name);
    let cpus = || {
        declared
            .filter(|declared| is_here(declared))
            .and_then(|_| std::thread::available_parallelism().ok())
            .and_then(|count| u32::try_from(NonZero::get(count)).ok())
    };
    match declared.and_then(|declared| declared.capacity) {
        Some(capacity) => capacity,
        None => f64::from(cpus().unwrap_or(live.settings.pool.size)),
    }
}

/// Does a shard run on this machine?
fn is_here(shard: &ShardSettings) -> bool {
    let host = shard.primary.host.as_str();
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Writes this proxy's report to home and reads the others'.
async fn exchange_forever(inner: Arc<Inner>, proxy: String) {
    let mut ticks = every(EXCHANGE);
    let mut connection: Option<Arc<Reach>> = None;
    let mut silent = false;
    loop {
        ticks.tick().await;
        let live = inner.live();
        let Some(home) = live.home() else { continue };
        let reach = match connection.take() {
            Some(reach) if reach.endpoint() == home.endpoint() => reach,
            Some(_) | None => home.twin(),
        };
        let report = inner.loads.meter.report(moment(&inner));
        match load_store::exchange(&reach, &proxy, &report).await {
            Ok(reports) => {
                if silent {
                    tracing::info!("load is exchanged with other proxies again");
                }
                silent = false;
                let now = inner.clock.now();
                inner.loads.hear(|heard| {
                    Arc::make_mut(&mut heard.others).hear(reports, now);
                    heard.is_cut_off = false;
                });
                exchange_hours(&inner, &reach).await;
            }
            Err(error) => {
                if !silent {
                    tracing::warn!(%error, "load is not exchanged with other proxies: local figures only");
                }
                silent = true;
                inner.loads.hear(|heard| heard.is_cut_off = true);
            }
        }
        connection = Some(reach);
    }
}

/// Tells home of hours that have ended, and asks it what it knows, if there is any news.
async fn exchange_hours(inner: &Inner, reach: &Reach) {
    let (ended, is_known) = inner
        .loads
        .with_hours(|hours| (hours.ended.clone(), hours.week.is_some()));
    if is_known && ended.is_empty() {
        return;
    }
    match load_store::learn(reach, &ended).await {
        Ok(week) => inner.loads.with_hours(|hours| {
            hours.ended.retain(|hour| !ended.contains(hour));
            hours.week = Some(Arc::new(week));
        }),
        // It is tried again at the next turn.
        Err(error) => tracing::debug!(%error, "hours of load are not exchanged with home"),
    }
}

/// Connections of their own to all serving shards, kept as long as they lead to the same place.
#[derive(Default)]
struct Lines(BTreeMap<ShardId, Arc<Reach>>);

impl Lines {
    fn to(&mut self, live: &Live) -> Vec<(ShardId, Arc<Reach>)> {
        let mut before = std::mem::take(&mut self.0);
        for (index, reach) in by_index(&live.reaches, &live.topology).into_iter().enumerate() {
            let (Some(shard), Some(reach)) = (ShardId::new(index), reach) else {
                continue;
            };
            let line = match before.remove(&shard) {
                Some(line) if line.endpoint() == reach.endpoint() => line,
                Some(_) | None => reach.twin(),
            };
            self.0.insert(shard, line);
        }
        self.0.iter().map(|(shard, line)| (*shard, Arc::clone(line))).collect()
    }
}

/// Asks every shard what it runs and, now and then, how large its buckets are.
async fn ask_forever(inner: Arc<Inner>) {
    let mut ticks = every(EXCHANGE);
    let mut lines = Lines::default();
    for turn in 0_u32.. {
        ticks.tick().await;
        let live = inner.live();
        let asked = lines.to(&live);
        ask(&inner, asked.clone()).await;
        if turn % SURVEY_TURNS == 0 {
            survey(&inner, &live, asked).await;
        }
    }
}

async fn ask(inner: &Inner, lines: Vec<(ShardId, Arc<Reach>)>) {
    let work = lines.into_iter().map(|(shard, line)| async move {
        let active = survey::active_backends(&line).await.ok().flatten();
        Ok(active.map(|active| (shard, active)))
    });
    let told = together(work).await.into_iter().filter_map(Result::ok).flatten();
    let active = told.collect();
    inner.loads.hear(|heard| heard.active = active);
}

/// Estimates the sizes of all buckets. What a shard doesn't say, or not in time, stays as it was.
async fn survey(inner: &Inner, live: &Live, lines: Vec<(ShardId, Arc<Reach>)>) {
    let work = lines.into_iter().map(|(shard, line)| {
        let (topology, fixed) = (Arc::clone(&live.topology), inner.fixed.all());
        async move {
            let sizes = survey::sizes(&line, shard, &topology, &fixed);
            match tokio::time::timeout(SURVEY_TIMEOUT, sizes).await {
                Ok(sizes) => sizes.map(Some),
                Err(_) => Ok(None),
            }
        }
    });
    for told in together(work).await {
        match told {
            Ok(Some(sizes)) => inner.loads.hear(|heard| {
                let mut all = (*heard.sizes).clone();
                all.extend(sizes.buckets);
                heard.sizes = Arc::new(all);
                heard.shard_sizes.insert(sizes.shard, sizes.total);
            }),
            Ok(None) => tracing::debug!("sizes of a shard's buckets not estimated in time"),
            Err(error) => tracing::debug!(%error, "sizes of a shard's buckets not estimated"),
        }
    }
}
