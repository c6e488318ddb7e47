//! What holds of every judgement, over clusters and loads of any kind.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shardgate::rebalance::{History, Judgement, Policy, Proposal, propose};
use shardgate::telemetry::{LoadSnapshot, Moment};
use shardgate::topology::{DeclaredTable, QualifiedName, ShardId, Topology};
use shardgate::value::KeyType;

use crate::world::{GIB, NOON, World, category, declare, hash, range, shards};

/// Where `at` is a fraction of 1000, so that a failure prints short.
fn any_world() -> impl Strategy<Value = World> {
    let loads = prop::collection::vec((0_usize..5, 0_u32..1_000, 1_u32..60), 40..260);
    let sizes = prop::collection::vec(prop::option::of(0_u64..40), 40);
    (
        2_usize..6,
        4_u32..48,
        loads,
        sizes,
        prop::collection::vec(2_u32..12, 6),
        0_u32..30,
    )
        .prop_map(|(count, buckets, loads, sizes, capacities, unattributed)| {
            let region = [("region", "eu")];
            let named: Vec<String> = (0..count).map(|index| format!("s{index}")).collect();
            let labelled: Vec<(&str, &[(&str, &str)])> = named
                .iter()
                .enumerate()
                .map(|(index, name)| (name.as_str(), if index % 2 == 0 { &region[..] } else { &[] }))
                .collect();
            let keyspaces = vec![
                hash("user", buckets),
                range("at", KeyType::Int8, &[("300", "s0"), ("700", "s1"), ("", "s0")]),
                category(
                    "kind",
                    &[
                        ("a", &["s0"], &[]),
                        ("eu", &["s0"], &[("region", "eu")]),
                        ("b", &["s1", "s0"], &[]),
                    ],
                ),
            ];
            let mut declaration = declare(shards(&labelled), keyspaces);
            for (table, keyspace) in [
                ("users", "user"),
                ("orders", "user"),
                ("events", "at"),
                ("trades", "kind"),
            ] {
                let key = "id".to_owned();
                let keyspace = keyspace.to_owned();
                declaration
                    .tables
                    .insert(QualifiedName::public(table), DeclaredTable::Sharded { keyspace, key });
            }
            let mut world = World::new(&declaration);
            for (kind, key, busy) in loads {
                let busy = f64::from(busy) / 500.0;
                let (keyspace, category) =
                    [("user", ""), ("at", ""), ("kind", "a"), ("kind", "eu"), ("kind", "b")][kind];
                let key = if kind >= 2 {
                    format!("{category}{key}")
                } else {
                    key.to_string()
                };
                world.load(keyspace, category, &key, busy);
            }
            // One entry per key: a second one would be sampled twice.
            let mut merged = BTreeMap::new();
            for key in std::mem::take(&mut world.keys) {
                let id = (key.keyspace, key.category.clone(), key.key.to_text());
                merged
                    .entry(id)
                    .and_modify(|known: &mut crate::world::KeyLoad| known.busy += key.busy)
                    .or_insert(key);
            }
            world.keys = merged.into_values().collect();
            let spots = (0..3).flat_map(|keyspace| (0..48).map(move |bucket| (keyspace, bucket)));
            let sizes = spots
                .zip(sizes.iter().cycle())
                .filter_map(|(spot, size)| Some((spot, (*size)? * GIB)));
            world.sizes = sizes.collect();
            world.capacity = capacities
                .iter()
                .take(count)
                .map(|capacity| f64::from(*capacity) / 2.0)
                .collect();
            world.unattributed.insert(0, f64::from(unattributed) / 20.0);
            world
        })
}

fn used(world: &World, topology: &Topology) -> Vec<f64> {
    let busy = world.busy(topology);
    busy.iter()
        .zip(&world.capacity)
        .map(|(busy, capacity)| busy / capacity)
        .collect()
}

fn changed(topology: &Topology, proposal: &Proposal) -> Topology {
    topology.changed(&proposal.changes(topology).unwrap()).unwrap()
}

fn shuffled(snapshot: &LoadSnapshot, seed: u64) -> LoadSnapshot {
    let mut snapshot = snapshot.clone();
    let turn = |length: usize| if length == 0 { 0 } else { (seed as usize) % length };
    snapshot.shards.reverse();
    snapshot.keyspaces.rotate_left(turn(3));
    for keyspace in &mut snapshot.keyspaces {
        keyspace.buckets.reverse();
        let by = turn(keyspace.buckets.len());
        keyspace.buckets.rotate_left(by);
        let by = turn(keyspace.heavy.len());
        keyspace.heavy.rotate_left(by);
        keyspace.samples.reverse();
        let by = turn(keyspace.samples.len());
        keyspace.samples.rotate_left(by);
    }
    snapshot
}

fn watched(world: &World, policy: &Policy, seed: Option<u64>) -> History {
    let mut history = History::new();
    for second in (0..=90).rev().step_by(15) {
        let snapshot = world.snapshot(Moment(NOON.0 - second * 1_000));
        let snapshot = seed.map_or(snapshot.clone(), |seed| shuffled(&snapshot, seed));
        history.observe(&snapshot, &world.topology, policy);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Each proposal alone, and all together: labels and co-location kept, budget kept, no touched shard ends higher than
    /// the worst was, and what is predicted comes true if the sample is the truth.
    #[test]
    fn proposals_keep_their_promises(world in any_world(), budget in 1_u64..400) {
        let policy = Policy { bytes_per_hour: budget * GIB, ..Policy::default() };
        let judgement = world.judge(&policy);
        let before = used(&world, &world.topology);
        let mut all = world.topology.clone();
        for proposal in &judgement.proposals {
            prop_assert!(before.iter().any(|used| *used > policy.threshold));
            prop_assert!(proposal.bytes <= policy.bytes_per_hour);
            prop_assert!(proposal.before - proposal.after >= policy.gain_least);
            let alone = changed(&world.topology, proposal);
            all = changed(&all, proposal);
            let from = world.topology.shard_by_name(&proposal.from).unwrap();
            let worst = before[from.index()];
            let after = used(&world, &alone);
            for (shard, (old, new)) in before.iter().zip(&after).enumerate() {
                let is_touched = (old - new).abs() > 1e-9;
                let name = world.topology.shard_name(ShardId::new(shard).unwrap()).to_owned();
                prop_assert!(!is_touched || name == proposal.from || proposal.to.contains(&name));
                prop_assert!(!is_touched || *new < worst, "{} from {} to {}", name, old, new);
            }
            // Shards that nothing was measured of are none here, so all are shown.
            prop_assert_eq!(proposal.shards.len(), before.len());
        }
        let predicted = judgement.proposals.last().map(|proposal| &proposal.shards);
        for (outlook, real) in predicted.into_iter().flatten().zip(used(&world, &all)) {
            prop_assert!((outlook.after - real).abs() < 2e-6, "{}: {} predicted, {} real", outlook.shard, outlook.after, real);
        }
        for (index, keyspace) in all.keyspaces().iter().enumerate() {
            let id = shardgate::topology::KeyspaceId::new(index).unwrap();
            for bucket in keyspace.buckets() {
                prop_assert!(all.may_own(id, bucket.id, bucket.shard));
            }
        }
        // Tables of one keyspace are together because a key's place is its keyspace's.
        prop_assert_eq!(all.tables(), world.topology.tables());
    }

    /// The same again, and the same whatever the order of the snapshot's lists.
    #[test]
    fn order_and_repetition_change_nothing(world in any_world(), seed in 1_u64..1_000) {
        let policy = Policy::default();
        let once = world.judge(&policy);
        prop_assert_eq!(&once, &world.judge(&policy));
        let straight = watched(&world, &policy, None);
        let turned = watched(&world, &policy, Some(seed));
        prop_assert_eq!(&straight, &turned);
        let plain = propose(&world.snapshot(NOON), &world.topology, &policy, &straight, NOON);
        let mixed = propose(&shuffled(&world.snapshot(NOON), seed), &world.topology, &policy, &turned, NOON);
        prop_assert_eq!(plain, mixed);
    }

    /// Below the threshold nothing is proposed.
    #[test]
    fn nothing_below_the_threshold(world in any_world()) {
        let mut world = world;
        let highest = used(&world, &world.topology).into_iter().fold(0.0, f64::max);
        let scale = 0.699 / highest;
        world.keys.iter_mut().for_each(|key| key.busy *= scale);
        world.unattributed.values_mut().for_each(|busy| *busy *= scale);
        let judgement = world.judge(&Policy::default());
        prop_assert_eq!(judgement, Judgement::default());
    }

    /// A proposal that stands is renewed, not replaced, while the load wavers; its identity stays, and its first moment.
    #[test]
    fn a_standing_proposal_stands(world in any_world(), noise in prop::collection::vec(0_u32..100, 300)) {
        let policy = Policy::default();
        let mut history = watched(&world, &policy, None);
        let first = propose(&world.snapshot(NOON), &world.topology, &policy, &history, NOON);
        for proposal in &first.proposals {
            history.proposed(proposal, &world.topology);
        }
        let mut wavering = world.clone();
        for (key, noise) in wavering.keys.iter_mut().zip(noise.iter().cycle()) {
            key.busy *= 0.995 + f64::from(*noise) / 10_000.0;
        }
        let later = Moment(NOON.0 + 5_000);
        history.observe(&wavering.snapshot(later), &world.topology, &policy);
        let second = propose(&wavering.snapshot(later), &world.topology, &policy, &history, later);
        for proposal in &second.proposals {
            if let Some(before) = first.proposals.iter().find(|before| before.from == proposal.from) {
                // One that resolves may cease to by a hair, and then another comes.
                let both = before.after <= policy.clear && proposal.after <= policy.clear;
                if both && before.identity == proposal.identity {
                    prop_assert_eq!(&before.steps[0].change, &proposal.steps[0].change);
                    prop_assert_eq!(before.created_ms, proposal.created_ms);
                }
            }
        }
    }
}

/// Overload begins once, and ends only when five minutes lie below the clear mark.
#[test]
fn overload_ends_later_than_it_begins() {
    let mut world = World::new(&declare(crate::world::plain(2), vec![hash("user", 8)]));
    for user in 0..100 {
        world.load("user", "", &user.to_string(), 0.01);
    }
    let policy = Policy::default();
    let mut history = History::new();
    let judged = |history: &mut History, seconds: u64, windows: [f64; 4]| {
        let at = Moment(NOON.0 + seconds * 1_000);
        let mut snapshot = world.snapshot(at);
        for shard in &mut snapshot.shards {
            let [ten_seconds, minute, five_minutes, hour] = windows.map(|used| used * 8.0);
            shard.busy = shardgate::telemetry::Windows {
                ten_seconds,
                minute,
                five_minutes,
                hour,
            };
            shard.unattributed = shard.busy;
        }
        history.observe(&snapshot, &world.topology, &policy);
        propose(&snapshot, &world.topology, &policy, history, at)
            .overloaded
            .len()
    };
    // Not before it has held for 45 s.
    assert_eq!(judged(&mut history, 0, [0.9, 0.75, 0.4, 0.4]), 0);
    assert_eq!(judged(&mut history, 30, [0.9, 0.8, 0.4, 0.4]), 0);
    assert_eq!(judged(&mut history, 45, [0.9, 0.85, 0.5, 0.4]), 2);
    // Below the threshold, above the clear mark: it goes on.
    assert_eq!(judged(&mut history, 60, [0.65, 0.68, 0.62, 0.4]), 2);
    assert_eq!(judged(&mut history, 90, [0.3, 0.5, 0.61, 0.4]), 2);
    assert_eq!(judged(&mut history, 120, [0.3, 0.4, 0.59, 0.4]), 0);
    // And must hold again before it begins anew.
    assert_eq!(judged(&mut history, 125, [0.9, 0.75, 0.6, 0.4]), 0);
    // An older snapshot says nothing.
    assert_eq!(judged(&mut history, 100, [0.9, 0.9, 0.9, 0.9]), 0);
}

/// A spike of fifteen seconds, of whatever height, never holds for long enough.
#[test]
fn a_spike_of_fifteen_seconds_is_waited_out() {
    for height in [1, 2, 5, 20, 100] {
        let mut world = World::new(&declare(crate::world::plain(2), vec![hash("user", 8)]));
        for user in 0..100 {
            world.load("user", "", &user.to_string(), 0.01);
        }
        let policy = Policy::default();
        let mut history = History::new();
        let lengths = [10.0, 60.0, 300.0, 3_600.0];
        let mut windows = [0.3_f64; 4];
        for second in 0_u64..300 {
            let load = if (100..115).contains(&second) {
                f64::from(height)
            } else {
                0.3
            };
            for (window, length) in windows.iter_mut().zip(lengths) {
                *window += (load - *window) * (1.0 - (-1.0_f64 / length).exp());
            }
            let at = Moment(NOON.0 + second * 1_000);
            let mut snapshot = world.snapshot(at);
            for shard in &mut snapshot.shards {
                let [ten_seconds, minute, five_minutes, hour] = windows.map(|used| used * 8.0);
                shard.busy = shardgate::telemetry::Windows {
                    ten_seconds,
                    minute,
                    five_minutes,
                    hour,
                };
            }
            history.observe(&snapshot, &world.topology, &policy);
            let judgement = propose(&snapshot, &world.topology, &policy, &history, at);
            assert!(judgement.overloaded.is_empty(), "height {height}, second {second}");
            assert!(judgement.proposals.is_empty(), "height {height}, second {second}");
        }
    }
}
