//! The written form of a trace: JSON lines, version 1 (docs/simulator.md, "Traces").
//!
//! Why lines: a recorder appends while it records, and a file that was cut off is still a trace.
//! Holds: reading is strict; a fault names its line; what is written reads back, to the four decimals that are written.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::synthetic::Synthetic;
use super::trace::{Busy, Silent, TRACE_TICKS_MAX, TRACE_UNITS_MAX, Tick, Trace, Unit};
use super::trace_error::{TraceError, TraceFault};
use crate::telemetry::Moment;
use crate::topology::{Keyspace, KeyspaceId, ShardState, Topology};
use crate::value::Key;

const VERSION: u64 = 1;

/// A shard can keep at most this many backends busy: what is larger is a slip.
const CAPACITY_MAX: f64 = 100_000.0;

/// Longest tick: beyond, the windows that decide have nothing to say.
const INTERVAL_MAX: f64 = 60.0;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHeader {
    trace: u64,
    interval_seconds: f64,
    start_ms: u64,
    topology: Value,
    capacities: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    silent: Vec<WrittenSilent>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSynthetic {
    trace: u64,
    synthetic: Synthetic,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSilent {
    keyspace: String,
    bucket: usize,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenUnit {
    unit: usize,
    keyspace: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTick {
    tick: usize,
    busy: Vec<(usize, f64, f64)>,
    unattributed: Vec<f64>,
}

impl Trace {
    /// Reads a whole trace; a synthetic one is made from its header. Empty lines are left out of account.
    pub fn parse(text: &str) -> Result<Trace, TraceError> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index.saturating_add(1), line))
            .filter(|(_, line)| !line.trim().is_empty());
        let (number, first) = lines.next().ok_or(TraceFault::Empty.at(1))?;
        let value = object(first).map_err(|fault| fault.at(number))?;
        check_version(&value).map_err(|fault| fault.at(number))?;
        if value.get("synthetic").is_some() {
            let header: WrittenSynthetic = shaped(value).map_err(|fault| fault.at(number))?;
            if let Some((line, _)) = lines.next() {
                return Err(TraceFault::SyntheticAndMore.at(line));
            }
            return header.synthetic.trace().map_err(|fault| fault.at(number));
        }
        let header = shaped(value).map_err(|fault| fault.at(number))?;
        let mut trace = read_header(header).map_err(|fault| fault.at(number))?;
        let mut last = number;
        for (number, line) in lines {
            read_line(&mut trace, line).map_err(|fault| fault.at(number))?;
            last = number;
        }
        if trace.ticks.is_empty() {
            return Err(TraceFault::NoTicks.at(last));
        }
        Ok(trace)
    }

    /// Its lines: header, then each unit before the first tick that may use it.
    pub fn to_text(&self) -> String {
        let mut text = self.header_line();
        let mut units = self.units.iter().enumerate().peekable();
        for (number, tick) in self.ticks.iter().enumerate() {
            while let Some((index, unit)) = units.next_if(|(_, unit)| unit.since <= number) {
                text.push_str(&unit_line(&self.topology, index, unit));
            }
            text.push_str(&tick_line(number, tick));
        }
        text
    }

    /// The first line, with its end.
    pub(super) fn header_line(&self) -> String {
        // The document was written by the topology itself: it is JSON.
        let document = self.topology.to_json().unwrap_or_default();
        line(&WrittenHeader {
            trace: VERSION,
            interval_seconds: self.interval.as_secs_f64(),
            start_ms: self.start.0,
            topology: serde_json::from_str(&document).unwrap_or_default(),
            capacities: self.capacities.clone(),
            silent: self
                .silent
                .iter()
                .map(|silent| WrittenSilent {
                    keyspace: keyspace_name(&self.topology, silent.keyspace),
                    bucket: silent.bucket,
                    bytes: silent.bytes,
                })
                .collect(),
        })
    }
}

// === writing ===

/// The line that declares a unit, with its end.
pub(super) fn unit_line(topology: &Topology, index: usize, unit: &Unit) -> String {
    line(&WrittenUnit {
        unit: index,
        keyspace: keyspace_name(topology, unit.keyspace),
        key: unit.key.to_text(),
        category: unit.category.clone(),
        bytes: unit.bytes,
    })
}

/// A tick's line, with its end. What rounds to nothing is left out.
pub(super) fn tick_line(number: usize, tick: &Tick) -> String {
    let busy = tick
        .busy
        .iter()
        .map(|busy| (busy.unit, rounded(busy.reads), rounded(busy.writes)));
    line(&WrittenTick {
        tick: number,
        busy: busy
            .filter(|(_, reads, writes)| *reads > 0.0 || *writes > 0.0)
            .collect(),
        unattributed: tick.unattributed.iter().map(|rate| rounded(*rate)).collect(),
    })
}

fn rounded(rate: f64) -> f64 {
    (rate * 10_000.0).round() / 10_000.0
}

fn line(written: &impl Serialize) -> String {
    // Strings, numbers and lists of them: there is nothing that JSON could not hold.
    let mut text = serde_json::to_string(written).unwrap_or_default();
    text.push('\n');
    text
}

fn keyspace_name(topology: &Topology, keyspace: KeyspaceId) -> String {
    topology.keyspace(keyspace).map_or("?", Keyspace::name).to_owned()
}

// === reading ===

fn object(line: &str) -> Result<Value, TraceFault> {
    serde_json::from_str(line).map_err(|error| TraceFault::Unreadable(error.to_string()))
}

fn shaped<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, TraceFault> {
    serde_json::from_value(value).map_err(|error| TraceFault::Unreadable(error.to_string()))
}

fn check_version(header: &Value) -> Result<(), TraceFault> {
    match header.get("trace").map(Value::as_u64) {
        Some(Some(VERSION)) => Ok(()),
        Some(Some(other)) => Err(TraceFault::VersionUnknown(other)),
        Some(None) | None => Err(TraceFault::HeaderMissing),
    }
}

fn read_header(header: WrittenHeader) -> Result<Trace, TraceFault> {
    let topology =
        Topology::from_json(&header.topology.to_string()).map_err(|error| TraceFault::Topology(error.to_string()))?;
    one_per_shard("capacities", header.capacities.len(), &topology)?;
    for (capacity, shard) in header.capacities.iter().zip(topology.shards()) {
        match shard.state {
            ShardState::Serving => {
                number(
                    "a capacity",
                    *capacity,
                    f64::MIN_POSITIVE..=CAPACITY_MAX,
                    "above 0, up to 100000",
                )?;
            }
            ShardState::Retired => number("a capacity", *capacity, 0.0..=CAPACITY_MAX, "from 0 to 100000")?,
        }
    }
    let interval = header.interval_seconds;
    number("interval_seconds", interval, 0.1..=INTERVAL_MAX, "from 0.1 to 60")?;
    let mut silent = Vec::new();
    for written in header.silent {
        let (keyspace, known) = keyspace_named(&topology, &written.keyspace)?;
        if written.bucket >= known.bucket_count() {
            return Err(TraceFault::BucketUnknown {
                keyspace: written.keyspace,
                bucket: written.bucket,
            });
        }
        silent.push(Silent {
            keyspace,
            bucket: written.bucket,
            bytes: written.bytes,
        });
    }
    Ok(Trace {
        topology,
        capacities: header.capacities,
        interval: Duration::from_secs_f64(interval),
        start: Moment(header.start_ms),
        units: Vec::new(),
        silent,
        ticks: Vec::new(),
    })
}

fn read_line(trace: &mut Trace, line: &str) -> Result<(), TraceFault> {
    let value = object(line)?;
    if value.get("unit").is_some() {
        let unit = read_unit(trace, shaped(value)?)?;
        trace.units.push(unit);
    } else if value.get("tick").is_some() {
        let tick = read_tick(trace, shaped(value)?)?;
        trace.ticks.push(tick);
    } else if value.get("trace").is_some() {
        return Err(TraceFault::HeaderTwice);
    } else {
        return Err(TraceFault::Unreadable("it has none of them".to_owned()));
    }
    Ok(())
}

fn read_unit(trace: &Trace, written: WrittenUnit) -> Result<Unit, TraceFault> {
    numbered("unit", written.unit, trace.units.len())?;
    if trace.units.len() >= TRACE_UNITS_MAX {
        return Err(TraceFault::TooMany {
            what: "units",
            max: TRACE_UNITS_MAX,
        });
    }
    let (keyspace, known) = keyspace_named(&trace.topology, &written.keyspace)?;
    let key = Key::parse_text(known.key_type(), written.key.as_bytes()).map_err(|error| TraceFault::KeyUnreadable {
        key: written.key.clone(),
        key_type: known.key_type().name(),
        why: error.to_string(),
    })?;
    let unit = Unit {
        keyspace,
        key,
        category: written.category,
        bytes: written.bytes,
        since: trace.ticks.len(),
    };
    if unit.place(&trace.topology).is_none() {
        return Err(TraceFault::Nowhere {
            key: written.key,
            keyspace: written.keyspace,
        });
    }
    Ok(unit)
}

fn read_tick(trace: &Trace, written: WrittenTick) -> Result<Tick, TraceFault> {
    numbered("tick", written.tick, trace.ticks.len())?;
    if trace.ticks.len() >= TRACE_TICKS_MAX {
        return Err(TraceFault::TooMany {
            what: "ticks",
            max: TRACE_TICKS_MAX,
        });
    }
    one_per_shard("unattributed", written.unattributed.len(), &trace.topology)?;
    for rate in &written.unattributed {
        number("a rate of unattributed", *rate, 0.0..=CAPACITY_MAX, "from 0 to 100000")?;
    }
    let mut busy: Vec<Busy> = Vec::with_capacity(written.busy.len());
    for (unit, reads, writes) in written.busy {
        if unit >= trace.units.len() {
            return Err(TraceFault::UnitUnknown(unit));
        }
        if busy.last().is_some_and(|before| before.unit >= unit) {
            return Err(TraceFault::UnitOutOfOrder(unit));
        }
        for rate in [reads, writes] {
            number("a rate of busy", rate, 0.0..=CAPACITY_MAX, "from 0 to 100000")?;
        }
        busy.push(Busy { unit, reads, writes });
    }
    Ok(Tick {
        busy,
        unattributed: written.unattributed,
    })
}

fn numbered(what: &'static str, given: usize, expected: usize) -> Result<(), TraceFault> {
    if given == expected {
        Ok(())
    } else {
        Err(TraceFault::NumberUnexpected { what, given, expected })
    }
}

fn number(field: &'static str, value: f64, fine: RangeInclusive<f64>, wanted: &'static str) -> Result<(), TraceFault> {
    if fine.contains(&value) {
        return Ok(());
    }
    let value = value.to_string();
    Err(TraceFault::NumberUnsuited { field, value, wanted })
}

fn one_per_shard(field: &'static str, given: usize, topology: &Topology) -> Result<(), TraceFault> {
    let shards = topology.shards().len();
    if given == shards {
        Ok(())
    } else {
        Err(TraceFault::ShardsMismatch { field, given, shards })
    }
}

fn keyspace_named<'t>(topology: &'t Topology, name: &str) -> Result<(KeyspaceId, &'t Keyspace), TraceFault> {
    topology
        .keyspace_by_name(name)
        .ok_or_else(|| TraceFault::KeyspaceUnknown(name.to_owned()))
}

#[cfg(test)]
#[path = "trace_text_tests.rs"]
mod tests;
