//! Heavy keys by SpaceSaving, weighted and decaying.
//!
//! Why: which keys carry most load must be told from a stream of any number of keys in a bounded place. SpaceSaving
//! (Metwally, Agrawal, El Abbadi: "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005) keeps
//! [`COUNTERS`] keys; a key that isn't among them takes the place of the lightest and inherits its weight as its error.
//! Decay multiplies everything, so bounds hold for decayed weights as they do for plain ones. Two summaries are merged as
//! in Agarwal et al., "Mergeable Summaries", 2012: a key that one of them lacks may have had that one's floor there.
//! Holds: for every counted key `weight - error <= true weight <= weight`; a key not counted weighs at most the floor;
//! the floor is at most `total / COUNTERS` per merged summary.

use std::time::Duration;

use crate::topology::BucketId;
use crate::value::Key;

/// Keys that are counted; the weight of no key is wrong by more than the total over this.
pub(crate) const COUNTERS: usize = 256;

/// After this time a key's weight has fallen to 1/e.
pub(crate) const KEY_DECAY: Duration = Duration::from_secs(300);

/// A weight below this is as good as none.
const NOTHING: f64 = 1e-12;

/// A counted key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) key: Key,
    /// where it lay when it was seen last
    pub(crate) bucket: BucketId,
    /// never too small
    pub(crate) weight: f64,
    /// by how much `weight` may be too large
    pub(crate) error: f64,
}

/// The heaviest keys of a stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Heavy {
    /// the weight of all keys together
    pub(crate) total: f64,
    /// what a key that isn't counted may weigh
    pub(crate) floor: f64,
    /// hashes of the keys, in the order of `counted`: looked through first
    hashes: Vec<i64>,
    pub(crate) counted: Vec<Counted>,
}

impl Heavy {
    /// From counted keys, at most [`COUNTERS`] of them.
    pub(crate) fn from_parts(total: f64, floor: f64, mut counted: Vec<Counted>) -> Heavy {
        counted.truncate(COUNTERS);
        Heavy {
            total,
            floor,
            hashes: counted.iter().map(|one| one.key.hash()).collect(),
            counted,
        }
    }

    /// A key came with a weight.
    pub(crate) fn add(&mut self, key: &Key, bucket: BucketId, weight: f64) {
        if weight <= 0.0 {
            return;
        }
        self.total += weight;
        let hash = key.hash();
        if let Some(known) = self.position(hash, key).and_then(|at| self.counted.get_mut(at)) {
            known.weight += weight;
            known.bucket = bucket;
            return;
        }
        let mut fresh = Counted {
            key: key.clone(),
            bucket,
            weight: weight + self.floor,
            error: self.floor,
        };
        if self.counted.len() < COUNTERS {
            self.hashes.push(hash);
            self.counted.push(fresh);
            return;
        }
        let lightest = self.counted.iter().enumerate();
        let lightest = lightest.min_by(|(_, a), (_, b)| a.weight.total_cmp(&b.weight));
        let Some((at, floor)) = lightest.map(|(at, lightest)| (at, lightest.weight)) else {
            return;
        };
        let floor = floor.max(self.floor);
        self.floor = floor;
        fresh.weight = weight + floor;
        fresh.error = floor;
        if let (Some(hash_there), Some(there)) = (self.hashes.get_mut(at), self.counted.get_mut(at)) {
            *hash_there = hash;
            *there = fresh;
        }
    }

    fn position(&self, hash: i64, key: &Key) -> Option<usize> {
        let alike = self.hashes.iter().zip(&self.counted).enumerate();
        let mut alike = alike.filter(|(_, (known, _))| **known == hash);
        alike.find_map(|(at, (_, counted))| (counted.key == *key).then_some(at))
    }

    /// Everything so far weighs less: `keep` is between 0 and 1.
    pub(crate) fn decay(&mut self, keep: f64) {
        let faded = |weight: f64| {
            let kept = weight * keep;
            if kept < NOTHING { 0.0 } else { kept }
        };
        self.total = faded(self.total);
        self.floor = faded(self.floor);
        for counted in &mut self.counted {
            counted.weight = faded(counted.weight);
            counted.error = faded(counted.error);
        }
        if self.counted.iter().any(|counted| counted.weight == 0.0) {
            self.counted.retain(|counted| counted.weight > 0.0);
            self.hashes = self.counted.iter().map(|counted| counted.key.hash()).collect();
        }
    }

    /// Of both streams together.
    pub(crate) fn merge(&self, other: &Heavy) -> Heavy {
        let floors = self.floor + other.floor;
        let mut counted = Vec::new();
        for one in &self.counted {
            let there = other
                .position(one.key.hash(), &one.key)
                .and_then(|at| other.counted.get(at));
            let (weight, error) = there.map_or((other.floor, other.floor), |there| (there.weight, there.error));
            counted.push(Counted {
                weight: one.weight + weight,
                error: one.error + error,
                ..one.clone()
            });
        }
        for one in &other.counted {
            if self.position(one.key.hash(), &one.key).is_none() {
                counted.push(Counted {
                    weight: one.weight + self.floor,
                    error: one.error + self.floor,
                    ..one.clone()
                });
            }
        }
        heaviest_first(&mut counted);
        let left_out = counted.get(COUNTERS).map_or(0.0, |one| one.weight);
        Heavy::from_parts(self.total + other.total, floors.max(left_out), counted)
    }

    /// The heaviest keys, heaviest first.
    pub(crate) fn top(&self, count: usize) -> Vec<Counted> {
        let mut counted = self.counted.clone();
        heaviest_first(&mut counted);
        counted.truncate(count);
        counted
    }
}

/// Equal weights in the order of the keys' texts, so that equal streams give equal lists.
fn heaviest_first(counted: &mut [Counted]) {
    counted.sort_by(|a, b| {
        let by_weight = b.weight.total_cmp(&a.weight);
        by_weight.then_with(|| a.key.to_text().cmp(&b.key.to_text()))
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn bucket() -> BucketId {
        BucketId::new(0).unwrap()
    }

    /// What a stream is made of.
    #[derive(Clone, Debug)]
    enum Event {
        Came(i64, f64),
        Decayed(f64),
    }

    /// Mostly few keys, sometimes one of very many.
    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            20 => (0_i64..40, 0.001_f64..5.0).prop_map(|(key, weight)| Event::Came(key, weight)),
            60 => (0_i64..5000, 0.001_f64..1.0).prop_map(|(key, weight)| Event::Came(key, weight)),
            1 => (0.2_f64..1.0).prop_map(Event::Decayed),
        ]
    }

    fn play(events: &[Event]) -> (Heavy, BTreeMap<i64, f64>) {
        let (mut heavy, mut exact) = (Heavy::default(), BTreeMap::new());
        for event in events {
            match event {
                Event::Came(key, weight) => {
                    heavy.add(&Key::Int(*key), bucket(), *weight);
                    *exact.entry(*key).or_insert(0.0) += weight;
                }
                Event::Decayed(keep) => {
                    heavy.decay(*keep);
                    exact.values_mut().for_each(|weight| *weight *= keep);
                }
            }
        }
        (heavy, exact)
    }

    fn check(heavy: &Heavy, exact: &BTreeMap<i64, f64>, streams: f64) -> Result<(), TestCaseError> {
        let slack = 1e-9 * (1.0 + heavy.total);
        let total: f64 = exact.values().sum();
        prop_assert!((heavy.total - total).abs() < slack, "{} for {total}", heavy.total);
        prop_assert!(heavy.counted.len() <= COUNTERS);
        #[expect(clippy::cast_precision_loss, reason = "a small constant")]
        let bound = streams * heavy.total / COUNTERS as f64;
        prop_assert!(heavy.floor <= bound + slack, "floor {} above {bound}", heavy.floor);
        for (key, weight) in exact {
            let counted = heavy.counted.iter().find(|counted| counted.key == Key::Int(*key));
            match counted {
                Some(counted) => {
                    prop_assert!(counted.weight >= weight - slack, "{key}: {counted:?} for {weight}");
                    prop_assert!(
                        counted.weight - counted.error <= weight + slack,
                        "{key}: {counted:?} for {weight}"
                    );
                }
                None => prop_assert!(*weight <= heavy.floor + slack, "{key}: {weight} above {}", heavy.floor),
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bounds_hold_against_exact_counts(events in prop::collection::vec(event(), 1..3000)) {
            let (heavy, exact) = play(&events);
            check(&heavy, &exact, 1.0)?;
        }

        #[test]
        fn bounds_hold_for_merged_streams(
            one in prop::collection::vec(event(), 0..2000),
            other in prop::collection::vec(event(), 0..2000),
        ) {
            let ((one, mut exact), (other, more)) = (play(&one), play(&other));
            for (key, weight) in more {
                *exact.entry(key).or_insert(0.0) += weight;
            }
            check(&one.merge(&other), &exact, 3.0)?;
        }
    }

    #[test]
    fn many_keys_take_no_more_room_and_the_heavy_one_is_found() {
        let mut heavy = Heavy::default();
        for key in 0..40_000 {
            heavy.add(&Key::Int(key), bucket(), 1.0);
            if key % 20 == 0 {
                heavy.add(&Key::Int(-1), bucket(), 1.0);
            }
        }
        assert_eq!((heavy.counted.len(), heavy.hashes.len()), (COUNTERS, COUNTERS));
        let top = heavy.top(1);
        assert_eq!(top[0].key, Key::Int(-1));
        assert!(
            top[0].weight >= 2_000.0 && top[0].weight - top[0].error <= 2_000.0,
            "{:?}",
            top[0]
        );
    }

    #[test]
    fn yesterdays_key_goes() {
        let mut heavy = Heavy::default();
        heavy.add(&Key::Int(1), bucket(), 1000.0);
        (0..40).for_each(|_| heavy.decay(0.5));
        heavy.add(&Key::Int(2), bucket(), 1.0);
        assert_eq!(heavy.top(1)[0].key, Key::Int(2));
        (0..40).for_each(|_| heavy.decay(0.5));
        assert!(
            heavy.counted.iter().all(|counted| counted.key == Key::Int(2)),
            "{heavy:?}"
        );
    }
}
