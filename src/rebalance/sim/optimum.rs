//! The offline optimum: how low the highest utilisation could be at one moment, wherever the keys lay.
//!
//! Exactly: a bound from below for every placement of the keys, however buckets are cut, with moves that cost nothing and
//! were foreseen. Labels are left out: they can only forbid placements, so the bound holds with them too. A level `u` is impossible if some set of keys doesn't fit under it: everything
//! into the room that is left of all shards; the `k` heaviest keys, each whole on one shard, into the `k` roomiest shards;
//! of one key more than there are shards the two lightest, which are the least that can meet, into the roomiest. Without
//! the last, that is the preemptive optimum of uniform machines (Horvath, Lam, Sethi: A level algorithm for preemptive
//! scheduling, J. ACM 24, 1977). Load that belongs to no bucket is laid down first. The level is found by halving.
//! Why a bound and not the optimum itself: that is a bin packing problem, hard to find and no honester; what is compared
//! with a bound looks worse, never better, than it is.

use super::trace::{Tick, Trace};
use crate::topology::ShardState;

/// What one shard has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Room {
    /// busy seconds per second that it can give
    pub(super) capacity: f64,
    /// busy seconds per second that stay on it wherever keys lie
    pub(super) fixed: f64,
}

/// Steps of halving: the level is then exact to a 2^40th of where the search began.
const HALVINGS: usize = 40;

/// The optimum's level, by tick.
pub(super) fn optimum(trace: &Trace) -> Vec<f64> {
    let level = |tick: &Tick| {
        let keys = tick.busy.iter().map(|busy| busy.sum());
        lowest_level(&rooms(trace, tick), keys.collect())
    };
    trace.ticks.iter().map(level).collect()
}

/// Shards that may take keys, each with what stays on it.
pub(super) fn rooms(trace: &Trace, tick: &Tick) -> Vec<Room> {
    let shards = trace.topology.shards().iter().zip(&trace.capacities).enumerate();
    shards
        .filter(|(_, (shard, _))| shard.state == ShardState::Serving)
        .map(|(index, (_, capacity))| Room {
            capacity: *capacity,
            fixed: tick.unattributed.get(index).copied().unwrap_or(0.0),
        })
        .collect()
}

/// The lowest highest utilisation that keys of these loads allow.
pub(super) fn lowest_level(rooms: &[Room], mut keys: Vec<f64>) -> f64 {
    let rooms: Vec<Room> = rooms.iter().copied().filter(|room| room.capacity > 0.0).collect();
    let total: f64 = keys.iter().sum();
    // Only as many as can stand alone, and one that must meet another, are looked at one by one.
    if keys.len() > rooms.len().saturating_add(1) {
        keys.select_nth_unstable_by(rooms.len(), |a, b| b.total_cmp(a));
        keys.truncate(rooms.len().saturating_add(1));
    }
    keys.sort_by(|a, b| b.total_cmp(a));
    let floor = rooms.iter().map(|room| room.fixed / room.capacity).fold(0.0, f64::max);
    let all = total + rooms.iter().map(|room| room.fixed).sum::<f64>();
    let capacity_max = rooms.iter().map(|room| room.capacity).fold(0.0, f64::max);
    if capacity_max <= 0.0 || is_possible(&rooms, &keys, total, floor) {
        return floor;
    }
    let (mut low, mut high) = (floor, floor + all / capacity_max);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if is_possible(&rooms, &keys, total, middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// Does no set of keys forbid this level?
fn is_possible(rooms: &[Room], keys: &[f64], total: f64, level: f64) -> bool {
    let mut left: Vec<f64> = rooms
        .iter()
        .map(|room| (level * room.capacity - room.fixed).max(0.0))
        .collect();
    left.sort_by(|a, b| b.total_cmp(a));
    if total > left.iter().sum() {
        return false;
    }
    let meeting = keys.get(left.len().saturating_sub(1)).zip(keys.get(left.len()));
    if meeting.is_some_and(|(heavier, lighter)| heavier + lighter > left.first().copied().unwrap_or(0.0)) {
        return false;
    }
    let (mut room, mut load) = (0.0, 0.0);
    left.iter().zip(keys).all(|(left, key)| {
        room += left;
        load += key;
        load <= room
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(rooms: &[(f64, f64)], keys: &[f64]) -> f64 {
        let rooms: Vec<Room> = rooms
            .iter()
            .map(|(capacity, fixed)| Room {
                capacity: *capacity,
                fixed: *fixed,
            })
            .collect();
        lowest_level(&rooms, keys.to_vec())
    }

    #[test]
    fn the_level_is_that_of_the_tightest_set() {
        for (rooms, keys, expected) in [
            // everything spread evenly
            (&[(8.0, 0.0), (8.0, 0.0)][..], &[1.0; 8][..], 0.5),
            // one key that can't be parted
            (&[(8.0, 0.0), (8.0, 0.0)], &[6.0, 1.0], 0.75),
            // the heaviest key takes the largest shard, the next ones the next
            (&[(8.0, 0.0), (4.0, 0.0)], &[6.0, 3.0], 0.75),
            // three keys on two shards: two must meet
            (&[(8.0, 0.0), (8.0, 0.0)], &[4.0, 4.0, 4.0], 1.0),
            // what stays where it is leaves less room
            (&[(8.0, 6.0), (8.0, 0.0)], &[1.0, 1.0], 0.75),
            (&[(8.0, 4.0), (8.0, 0.0)], &[2.0, 2.0, 2.0], 0.625),
            (&[(8.0, 0.0)], &[], 0.0),
        ] {
            let found = level(rooms, keys);
            assert!((found - expected).abs() < 1e-6, "{rooms:?} {keys:?}: {found}");
        }
    }

    /// No placement of whole keys is better, tried exhaustively.
    #[test]
    fn no_placement_beats_the_level() {
        let mut dice = super::super::dice::Dice::new(11);
        for _ in 0..300 {
            let shards = 2 + dice.below(2);
            let rooms: Vec<(f64, f64)> = (0..shards).map(|_| (1.0 + 7.0 * dice.unit(), dice.unit())).collect();
            let keys: Vec<f64> = (0..1 + dice.below(6)).map(|_| 3.0 * dice.unit()).collect();
            let mut best = f64::INFINITY;
            for mut number in 0..shards.pow(u32::try_from(keys.len()).unwrap()) {
                let mut load: Vec<f64> = rooms.iter().map(|(_, fixed)| *fixed).collect();
                for key in &keys {
                    load[number % shards] += key;
                    number /= shards;
                }
                let highest = load.iter().zip(&rooms).map(|(load, (capacity, _))| load / capacity);
                best = best.min(highest.fold(0.0, f64::max));
            }
            let bound = level(&rooms, &keys);
            assert!(bound <= best + 1e-9, "{rooms:?} {keys:?}: bound {bound}, best {best}");
            assert!(bound >= best / 2.0, "the bound says too little: {bound}, best {best}");
        }
    }
}
