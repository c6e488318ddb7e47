//! Recovery: at a proxy's start, when a shard comes back, by hand; and that it leaves the living alone.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::{
    Known, balance, client_of, error_of, is_applied, proxy, run, spec, transfer, wait_until_nothing_is_prepared,
};
use crate::world::{World, repeat};

/// All that is prepared, as an operator sees it.
const SHOWN: &str = "SHOW TRANSACTIONS";

#[test]
fn a_proxy_that_starts_finishes_what_another_left() {
    let world = World::start_private(spec("recover_start", ""));
    // Nobody else is there to recover: the first proxy sleeps.
    world.proxy().signal("STOP");
    for (number, step, wanted) in [(1, "prepared", false), (2, "decided", true)] {
        let dying = proxy(&world, "recover_start_dying", &format!("{step}:exit"));
        let mut client = client_of(&world, &dying).expect("it serves");
        assert_eq!(transfer(&mut client, number, 1, 1001), Known::Nothing);
        drop(dying);
        let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
        world.wait_on_shard(1, prepared, "1");
        let started = proxy(&world, "recover_start_new", "");
        wait_until_nothing_is_prepared(&world);
        assert_eq!(is_applied(&world, number, 1, 1001), Some(wanted), "{step}");
        drop(started);
    }
    world.proxy().signal("CONT");
}

#[test]
fn a_slow_committer_is_left_alone() {
    let world = World::start_private(spec("recover_slow", ""));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recover_slow.held");
    std::fs::remove_file(&file).ok();
    let slow = proxy(
        &world,
        "recover_slow_holding",
        &format!("prepared:hold:{}", file.display()),
    );
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| transfer(&mut client_of(&world, &slow).expect("it serves"), 1, 1, 1001));
        // Its part is older than what recovery takes for abandoned, and is seen in doubt.
        let mut admin = world.admin();
        repeat("the part to grow old", || match admin.rows(SHOWN).as_slice() {
            [row] if row[3].parse::<f64>().is_ok_and(|age| age > 4.0) => {
                assert_eq!((row[1].as_str(), row[2].as_str()), ("prepared", "s1"));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        });
        std::fs::remove_file(&file).expect("it goes on");
        assert_eq!(worker.join().expect("the client ends"), Known::Committed);
    });
    assert_eq!(is_applied(&world, 1, 1, 1001), Some(true));
}

#[test]
fn a_tombstone_wins_over_a_late_committer() {
    let world = World::start_private(spec("recover_tombstone", ""));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("recover_tombstone.held");
    std::fs::remove_file(&file).ok();
    let slow = proxy(
        &world,
        "recover_tombstone_holding",
        &format!("prepared:hold:{}", file.display()),
    );
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut client = client_of(&world, &slow).expect("it serves");
            run(
                &mut client,
                &[
                    "BEGIN",
                    "UPDATE accounts SET balance = 1 WHERE id = 1",
                    "UPDATE accounts SET balance = 1 WHERE id = 1001",
                ],
            );
            client.query("COMMIT")
        });
        let mut admin = world.admin();
        let gid = repeat("the part to be prepared", || match admin.rows(SHOWN).as_slice() {
            [row] => ControlFlow::Break(row[0].clone()),
            _ => ControlFlow::Continue(()),
        });
        // What a recoverer does when it has lost patience.
        let parts: Vec<&str> = gid.split(':').collect();
        let sql = format!(
            "INSERT INTO shardgate.decision VALUES ('{}', 'abort', '{}', '{{}}')",
            parts[1], parts[3]
        );
        world.shard(0).rows(&sql);
        std::fs::remove_file(&file).expect("it goes on");
        let answer = worker.join().expect("the client ends");
        assert_eq!(
            error_of(&answer).map(|error| error.code()).as_deref(),
            Some("40001"),
            "{answer:?}"
        );
    });
    wait_until_nothing_is_prepared(&world);
    assert_eq!([1, 1001].map(|id| balance(&world, id)), ["100", "100"]);
    // The row goes too, once the transaction that it stops has ended.
    world.wait_on_shard(0, "SELECT count(*) FROM shardgate.decision", "0");
}

#[test]
fn what_can_not_be_decided_any_more_is_resolved_by_hand() {
    let world = World::start_private(spec("recover_by_hand", ""));
    world.proxy().signal("STOP");
    let dying = proxy(&world, "recover_by_hand_dying", "prepared:exit");
    let mut client = client_of(&world, &dying).expect("it serves");
    assert_eq!(transfer(&mut client, 1, 1, 1001), Known::Nothing);
    // The decision shard is gone.
    world.servers().disturb(0, crate::clusters::Cluster::kill);
    world.proxy().signal("CONT");
    let mut admin = world.admin();
    let gid = repeat("the part to be seen", || match admin.rows(SHOWN).as_slice() {
        [row] => ControlFlow::Break(row[0].clone()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(admin.failure("RESOLVE 'mine' ROLLBACK"), "55000");
    admin.rows(&format!("RESOLVE '{gid}' ROLLBACK"));
    let prepared = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
    world.wait_on_shard(1, prepared, "0");
    world.servers().disturb(0, crate::clusters::Cluster::restart);
    assert_eq!(is_applied(&world, 1, 1, 1001), Some(false));
}
