//! kill -9 of the proxy, and of a shard, at every step of a commit over two shards.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{Known, check_balances, client_of, is_applied, proxy, spec, transfer, wait_until_nothing_is_prepared};
use crate::world::{World, repeat};

/// Steps in order; those from `decided` on are after the decision, `decision-sent` may be either.
pub(super) const STEPS: [&str; 9] = [
    "begun",
    "prepares-sent",
    "first-prepared",
    "prepared",
    "decision-sent",
    "decided",
    "commits-sent",
    "first-committed",
    "committed",
];

/// What must have become of a transaction whose committer died at a step; `None`: either.
pub(super) fn verdict_of(step: &str) -> Option<bool> {
    match STEPS.iter().position(|known| *known == step) {
        Some(0..4) => Some(false),
        Some(4) => None,
        _ => Some(true),
    }
}

#[test]
fn kill_9_of_the_proxy_at_every_step() {
    let world = World::start_private(spec("kill_proxy", ""));
    for (number, step) in (1..).zip(STEPS) {
        let dying = proxy(&world, "kill_proxy_dying", &format!("{step}:exit"));
        let mut client = client_of(&world, &dying).expect("it serves");
        let known = transfer(&mut client, number, 1, 1001);
        assert_eq!(known, Known::Nothing, "{step}: the proxy died before it could answer");
        // The other proxy finishes what was left.
        wait_until_nothing_is_prepared(&world);
        let applied = is_applied(&world, number, 1, 1001);
        assert!(applied.is_some(), "{step}: half of the transaction is there");
        if let Some(wanted) = verdict_of(step) {
            assert_eq!(applied, Some(wanted), "{step}");
        }
    }
    check_balances(&world);
}

#[test]
fn kill_9_of_a_shard_at_every_step() {
    let world = World::start_private(spec("kill_shard", ""));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("kill_shard.held");
    let mut number = 0;
    for step in STEPS {
        // The decision shard is s0, the other one s1.
        for shard in [0, 1] {
            number += 1;
            std::fs::remove_file(&file).ok();
            let holding = proxy(&world, "kill_shard_holding", &format!("{step}:hold:{}", file.display()));
            let known = std::thread::scope(|scope| {
                let worker = scope.spawn(|| {
                    let mut client = client_of(&world, &holding).expect("it serves");
                    transfer(&mut client, number, 1, 1001)
                });
                repeat("the proxy to reach the step", || match file.exists() {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                });
                world.servers().disturb(shard, |cluster| {
                    cluster.kill()?;
                    cluster.restart()
                });
                std::fs::remove_file(&file).expect("the held step goes on");
                worker.join().expect("the client ends")
            });
            wait_until_nothing_is_prepared(&world);
            let applied = is_applied(&world, number, 1, 1001);
            let story = format!("shard {shard} killed at {step}: told {known:?}, applied {applied:?}");
            assert!(applied.is_some(), "half of the transaction is there: {story}");
            match known {
                Known::Committed => assert_eq!(applied, Some(true), "{story}"),
                Known::NotCommitted => assert_eq!(applied, Some(false), "{story}"),
                Known::Nothing => {}
            }
        }
    }
    check_balances(&world);
}
