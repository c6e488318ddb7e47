//! Invented traces: ten shapes of load, each from a seed and a few numbers.
//!
//! Why invented: what a rebalancer must stand (a crowd that comes and goes, a hot spot that wanders, noise that means
//! nothing) can't be waited for. Why stored as one line: then ten traces are ten lines, and how each is made can be read.
//! Holds: the same line gives the same trace.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cluster::{self, Cluster};
use super::dice::Dice;
use super::trace::{Busy, TRACE_TICKS_MAX, Tick, Trace};
use super::trace_error::TraceFault;
use crate::telemetry::Moment;

/// Length of a tick of an invented trace.
const INTERVAL: Duration = Duration::from_secs(5);

const TICKS_PER_MINUTE: usize = 12;

/// When invented traces begin: 2026-03-02 08:00 UTC, a Monday.
const START: Moment = Moment(1_772_438_400_000);

/// Share of each tick's load by which a key's differs from what is meant: its own noise, and that of all together.
const NOISE_OF_KEY: f64 = 0.15;
const NOISE_OF_ALL: f64 = 0.04;

/// Part of a shard's capacity that belongs to no bucket: fan-outs, reference tables, the proxy's own work.
const UNATTRIBUTED: f64 = 0.02;

/// How load comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// few keys carry much, for ever
    Zipf,
    /// keys that happen to lie on one shard are wanted by everybody for twenty minutes
    FlashCrowd,
    /// two waves of `fx_major`: at the open and at the close
    Market,
    /// a day's wave, shortened to the trace's length
    Diurnal,
    /// every fifteen minutes another shard's keys are wanted
    MovingHotSpot,
    /// one key rises to half a shard
    HotKey,
    /// everything grows until the cluster is nearly full
    Growth,
    /// even load with noise: nothing to do
    Noise,
    /// two categories rise, on two shards
    TwoHotCategories,
    /// a range that holds most of the keys
    SkewedRanges,
}

/// What an invented trace is made of; what the line leaves out is as the kind has it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// how load comes
    pub kind: Kind,
    /// of the noise and of which keys are heavy
    pub seed: u64,
    /// length
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minutes: Option<usize>,
    /// how many shards
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<usize>,
    /// of each shard, busy seconds per second
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<f64>,
    /// busy seconds per second of everything over all capacities, before the kind's own waves
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// keys of a hash or range keyspace
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<usize>,
}

/// The numbers that are in force.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    pub(super) minutes: usize,
    pub(super) shards: usize,
    pub(super) capacity: f64,
    pub(super) load: f64,
    pub(super) keys: usize,
}

impl Synthetic {
    /// Of this kind and seed, everything else as the kind has it.
    pub fn new(kind: Kind, seed: u64) -> Synthetic {
        Synthetic {
            kind,
            seed,
            minutes: None,
            shards: None,
            capacity: None,
            load: None,
            keys: None,
        }
    }

    /// Makes the trace.
    pub(super) fn trace(&self) -> Result<Trace, TraceFault> {
        let settled = self.settled()?;
        let mut dice = Dice::new(self.seed);
        let cluster = cluster::make(self.kind, &settled, &mut dice)?;
        let ticks = (0..settled.minutes.saturating_mul(TICKS_PER_MINUTE))
            .map(|number| tick(self.kind, &settled, &cluster, number, &mut dice))
            .collect();
        Ok(Trace {
            capacities: vec![settled.capacity; settled.shards],
            topology: cluster.topology,
            interval: INTERVAL,
            start: START,
            units: cluster.units,
            silent: Vec::new(),
            ticks,
        })
    }

    fn settled(&self) -> Result<Settled, TraceFault> {
        let settled = Settled {
            minutes: self.minutes.unwrap_or(match self.kind {
                Kind::Diurnal => 120,
                _ => 60,
            }),
            shards: self.shards.unwrap_or(4),
            capacity: self.capacity.unwrap_or(8.0),
            load: self.load.unwrap_or(match self.kind {
                Kind::Zipf => 0.6,
                Kind::Market | Kind::TwoHotCategories => 0.3,
                Kind::Growth => 0.3,
                Kind::Noise => 0.47,
                Kind::FlashCrowd | Kind::Diurnal | Kind::MovingHotSpot | Kind::HotKey => 0.4,
                Kind::SkewedRanges => 0.45,
            }),
            keys: self.keys.unwrap_or(600),
        };
        let unsuited = |parameter, given: String, wanted| TraceFault::ParameterUnsuited {
            parameter,
            given,
            wanted,
        };
        if !(1..=TRACE_TICKS_MAX / TICKS_PER_MINUTE).contains(&settled.minutes) {
            return Err(unsuited(
                "minutes",
                settled.minutes.to_string(),
                "it must be from 1 to 16666",
            ));
        }
        if !(2..=64).contains(&settled.shards) {
            return Err(unsuited(
                "shards",
                settled.shards.to_string(),
                "it must be from 2 to 64",
            ));
        }
        if !(0.01..=10_000.0).contains(&settled.capacity) {
            return Err(unsuited(
                "capacity",
                settled.capacity.to_string(),
                "it must be from 0.01 to 10000",
            ));
        }
        if !(0.0..=100.0).contains(&settled.load) {
            return Err(unsuited("load", settled.load.to_string(), "it must be from 0 to 100"));
        }
        if !(100..=10_000).contains(&settled.keys) {
            return Err(unsuited(
                "keys",
                settled.keys.to_string(),
                "it must be from 100 to 10000",
            ));
        }
        Ok(settled)
    }
}

fn tick(kind: Kind, settled: &Settled, cluster: &Cluster, number: usize, dice: &mut Dice) -> Tick {
    let minute = number as f64 / TICKS_PER_MINUTE as f64;
    let all = settled.capacity * settled.shards as f64;
    let together = (1.0 + NOISE_OF_ALL * dice.normal()).max(0.0);
    let level = level(kind, settled, minute) * all * together;
    let busy = cluster.parts.iter().enumerate().map(|(unit, part)| {
        let surge: f64 = part
            .groups
            .iter()
            .map(|(group, share)| share * surge(kind, *group, minute) * settled.capacity)
            .sum();
        let own = (1.0 + NOISE_OF_KEY * dice.normal()).max(0.0);
        let rate = (part.share * level + surge * together) * own;
        Busy {
            unit,
            reads: rate * part.reads,
            writes: rate * (1.0 - part.reads),
        }
    });
    Tick {
        busy: busy.collect(),
        unattributed: vec![UNATTRIBUTED * settled.capacity; settled.shards],
    }
}

/// Load of everything over all capacities, at this minute.
fn level(kind: Kind, settled: &Settled, minute: f64) -> f64 {
    let part = minute / settled.minutes as f64;
    match kind {
        Kind::Growth => settled.load + (0.62 - settled.load).max(0.0) * (part * 1.6).min(1.0),
        // One wave, lowest at the begin and at the end; a parabola, since a sine's last bit differs between machines.
        Kind::Diurnal => settled.load * (0.6 + 3.6 * part * (1.0 - part)),
        Kind::Zipf
        | Kind::FlashCrowd
        | Kind::Market
        | Kind::MovingHotSpot
        | Kind::HotKey
        | Kind::Noise
        | Kind::TwoHotCategories
        | Kind::SkewedRanges => settled.load,
    }
}

/// What a group of keys demands beyond its share, in capacities of one shard, at this minute.
fn surge(kind: Kind, group: usize, minute: f64) -> f64 {
    match kind {
        Kind::FlashCrowd if group > 0 => 0.0,
        Kind::FlashCrowd => 0.7 * plateau(minute, 15.0, 35.0),
        Kind::Market => 0.55 * plateau(minute, 8.0, 24.0) + 0.65 * plateau(minute, 44.0, 56.0),
        Kind::MovingHotSpot => {
            let from = 4.0 + 15.0 * group as f64;
            0.5 * plateau(minute, from, from + 15.0)
        }
        Kind::HotKey => 0.5 * ((minute - 8.0) / 15.0).clamp(0.0, 1.0),
        Kind::TwoHotCategories => 0.6 * plateau(minute, 6.0 + 6.0 * group as f64, f64::INFINITY),
        Kind::Zipf | Kind::Diurnal | Kind::Growth | Kind::Noise | Kind::SkewedRanges => 0.0,
    }
}

/// 0 before `from` and after `until`, 1 between, rising and falling within a minute.
fn plateau(minute: f64, from: f64, until: f64) -> f64 {
    (minute - from).clamp(0.0, 1.0).min((until - minute).clamp(0.0, 1.0))
}

#[cfg(test)]
#[path = "synthetic_tests.rs"]
mod tests;
