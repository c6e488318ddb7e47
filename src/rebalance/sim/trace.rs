//! A trace: what a cluster was, and the load that came to it, tick by tick, key by key.
//!
//! Why by key: the simulator splits buckets, and what a split parts must be known finer than by bucket. A unit is a key;
//! where a recording knows only a sample of the keys, each key of the sample stands for those around it.
//! Holds: every unit lies somewhere in the topology; ticks follow each other without gaps; load is what clients demanded,
//! wherever it lay.
//! Absent: statements, rows, latencies. What a shard does under more than it can give is not modelled.

use std::time::Duration;

use crate::telemetry::Moment;
use crate::topology::{Keyspace, KeyspaceId, Place, Placed, Topology};
use crate::value::Key;

/// The most units of a trace.
pub const TRACE_UNITS_MAX: usize = 65_536;

/// The most ticks of a trace: eleven days of 5 s.
pub const TRACE_TICKS_MAX: usize = 200_000;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// as it was before the first tick
    pub topology: Topology,
    /// busy seconds per second that each shard can give, by index
    pub capacities: Vec<f64>,
    /// length of a tick
    pub interval: Duration,
    /// of the first tick's begin
    pub start: Moment,
    /// in order of first appearance
    pub units: Vec<Unit>,
    /// bytes of buckets that have no unit
    pub silent: Vec<Silent>,
    /// in order
    pub ticks: Vec<Tick>,
}

/// A key, or a key that stands for those around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// whose
    pub keyspace: KeyspaceId,
    /// the key
    pub key: Key,
    /// its category where the keyspace looks that up in a table
    pub category: Option<String>,
    /// of its rows and their indexes
    pub bytes: u64,
    /// the tick before which it appeared: from there on its bytes count
    pub since: usize,
}

/// Bytes of a bucket whose keys aren't in the trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silent {
    /// whose
    pub keyspace: KeyspaceId,
    /// index of the bucket at the start
    pub bucket: usize,
    /// of its rows and their indexes
    pub bytes: u64,
}

/// One tick: rates in busy seconds per second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tick {
    /// ascending by unit; a unit that isn't there had no load
    pub busy: Vec<Busy>,
    /// of each shard: what belongs to no bucket
    pub unattributed: Vec<f64>,
}

/// What one unit wanted in a tick: busy seconds per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Busy {
    /// index of the unit
    pub unit: usize,
    /// by statements that only read
    pub reads: f64,
    /// by statements that may write
    pub writes: f64,
}

impl Busy {
    /// Reads and writes together.
    pub fn sum(self) -> f64 {
        self.reads + self.writes
    }
}

impl Unit {
    /// Where it lies; `None` if nowhere.
    pub fn place(&self, topology: &Topology) -> Option<Place> {
        let keyspace: &Keyspace = topology.keyspace(self.keyspace)?;
        let placed = match &self.category {
            Some(category) => keyspace.place_in_category(&self.key, category),
            None => keyspace.place(&self.key),
        };
        match placed {
            Placed::At(place) => Some(place),
            Placed::CategoryNeeded | Placed::CategoryUnknown | Placed::BeyondRanges | Placed::Mistyped => None,
        }
    }
}

impl Trace {
    /// The same with loads and sizes multiplied.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Trace {
        let bytes = |bytes: u64| scaled_bytes(bytes, factor);
        Trace {
            units: self
                .units
                .iter()
                .map(|unit| Unit {
                    bytes: bytes(unit.bytes),
                    ..unit.clone()
                })
                .collect(),
            silent: self
                .silent
                .iter()
                .map(|silent| Silent {
                    bytes: bytes(silent.bytes),
                    ..*silent
                })
                .collect(),
            ticks: self.ticks.iter().map(|tick| tick.scaled(factor)).collect(),
            ..self.clone()
        }
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.interval
            .saturating_mul(u32::try_from(self.ticks.len()).unwrap_or(u32::MAX))
    }
}

impl Tick {
    fn scaled(&self, factor: f64) -> Tick {
        Tick {
            busy: self
                .busy
                .iter()
                .map(|busy| Busy {
                    unit: busy.unit,
                    reads: busy.reads * factor,
                    writes: busy.writes * factor,
                })
                .collect(),
            unattributed: self.unattributed.iter().map(|rate| rate * factor).collect(),
        }
    }

    /// Busy seconds per second of everything.
    pub fn total(&self) -> f64 {
        self.busy.iter().map(|busy| busy.sum()).sum::<f64>() + self.unattributed.iter().sum::<f64>()
    }
}

/// Bytes times a factor; saturates, as a cast from a float does.
fn scaled_bytes(bytes: u64, factor: f64) -> u64 {
    (bytes as f64 * factor).round() as u64
}
