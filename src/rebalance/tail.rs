//! Append-only tails of ranges: where load sits at the upper end and moves on as keys grow.
//!
//! Why they must be known: a cut at today's load median is behind the load tomorrow; it moves bytes for nothing.
//! Two signs. Load that sits in the uppermost tenth of the range is taken for a tail until it is seen to stay; load whose
//! median has passed what nine tenths of it lay below a minute ago is one, wherever it sits.

use std::cmp::Ordering;
use std::time::Duration;

use super::density::distance;
use crate::telemetry::{LoadSnapshot, Moment};
use crate::topology::{BucketId, KeyspaceId, Strategy, Topology};
use crate::value::Key;

/// Fewer sampled keys say nothing of where load lies.
pub(super) const SAMPLES_LEAST: usize = 16;
/// Load that sits above this part of the range's width sits at its end.
const END: f64 = 0.9;
/// Sightings so far apart tell whether load moves.
const APART: Duration = Duration::from_secs(60);

/// Where the load of a range lay at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sighting {
    pub(super) at: Moment,
    /// a tenth of the load lies below it
    low: Key,
    /// half of the load lies below it
    pub(super) median: Key,
    /// nine tenths of the load lie below it
    high: Key,
    /// the greatest
    last: Key,
}

impl Sighting {
    /// Of every bucket of range keyspaces of which enough keys were sampled.
    pub(super) fn all(load: &LoadSnapshot, topology: &Topology) -> Vec<((KeyspaceId, BucketId), Sighting)> {
        let mut all = Vec::new();
        for keyspace in &load.keyspaces {
            let found = topology.keyspace(keyspace.keyspace);
            let Some(Strategy::Range(_)) = found.map(|found| found.strategy()) else {
                continue;
            };
            for bucket in &keyspace.buckets {
                let mut keys: Vec<(&Key, f64)> = keyspace
                    .samples
                    .iter()
                    .filter(|sample| sample.bucket == bucket.bucket && sample.weight > 0.0)
                    .map(|sample| (&sample.key, sample.weight))
                    .collect();
                if keys.len() < SAMPLES_LEAST {
                    continue;
                }
                keys.sort_by(|a, b| {
                    let order = a.0.compare(b.0).unwrap_or(Ordering::Equal);
                    order.then(a.1.total_cmp(&b.1))
                });
                if let Some(sighting) = Sighting::of(&keys, load.at) {
                    all.push(((keyspace.keyspace, bucket.bucket), sighting));
                }
            }
        }
        all
    }

    fn of(keys: &[(&Key, f64)], at: Moment) -> Option<Sighting> {
        let total: f64 = keys.iter().map(|(_, weight)| weight).sum();
        let at_part = |part: f64| {
            let mut sum = 0.0;
            let found = keys.iter().find(|(_, weight)| {
                sum += weight;
                sum >= part * total
            });
            found.map(|(key, _)| (*key).clone())
        };
        Some(Sighting {
            at,
            low: at_part(0.1)?,
            median: at_part(0.5)?,
            high: at_part(0.9)?,
            last: keys.last().map(|(key, _)| (*key).clone())?,
        })
    }
}

/// What the sightings of a range say.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Drift {
    /// its load stays where it is
    Stays,
    /// its load sits at the end, or moves on; the key that it will have reached ten minutes from now, where that can be told
    Tail(Option<Key>),
}

/// Does the load of a range move on? `from` is the range's lower end.
pub(super) fn drift(sightings: &[Sighting], from: Option<&Key>) -> Drift {
    let Some(now) = sightings.last() else {
        return Drift::Stays;
    };
    let mut earlier = sightings
        .iter()
        .rev()
        .filter(|sighting| now.at.since(sighting.at) >= APART);
    if let Some(earlier) = earlier.next() {
        let has_passed = now.median.compare(&earlier.high) != Some(Ordering::Less) && now.median != earlier.median;
        return if has_passed {
            Drift::Tail(ahead(earlier, now))
        } else {
            Drift::Stays
        };
    }
    // Not watched for long enough: taken for a tail if it looks like one.
    let low = from.unwrap_or(&now.low);
    let (Some(low), Some(tenth), Some(last)) = (distance(low), distance(&now.low), distance(&now.last)) else {
        return Drift::Stays;
    };
    if last > low && tenth - low >= END * (last - low) {
        Drift::Tail(None)
    } else {
        Drift::Stays
    }
}

/// The greatest key of ten minutes from now, at the speed of the median.
fn ahead(earlier: &Sighting, now: &Sighting) -> Option<Key> {
    let seconds = now.at.since(earlier.at).as_secs_f64();
    let speed = (distance(&now.median)? - distance(&earlier.median)?) / seconds.max(1.0);
    let target = distance(&now.last)? + speed * 600.0;
    // Only within what an f64 holds exactly: beyond it a key would be made up.
    if !(-9e15..=9e15).contains(&target) {
        return None;
    }
    let whole = format!("{target:.0}").parse::<i64>().ok()?;
    match &now.last {
        Key::Int(_) => Some(Key::Int(whole)),
        Key::Timestamp(_) => Some(Key::Timestamp(whole)),
        Key::Timestamptz(_) => Some(Key::Timestamptz(whole)),
        Key::Date(_) => i32::try_from(whole).ok().map(Key::Date),
        Key::Numeric(_) | Key::Text(_) | Key::Bpchar(_) | Key::Uuid(_) => None,
    }
}
