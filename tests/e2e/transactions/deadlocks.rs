//! Transactions that wait for each other on different shards: one of them is told so, whichever proxy it came through.

use super::{Attempt, attempt, check_balances, client_of, proxy, run, world};
use crate::client::Client;
use crate::messages::query;
use crate::proxy::Proxy;
use crate::world::World;

/// Locks crosswise, through these two sessions; the second began later. Answers what each is told, the first's first.
fn cross(world: &World, first: &mut Client, second: &mut Client) -> (Attempt, Attempt) {
    let update = |id: u64| format!("UPDATE accounts SET balance = balance WHERE id = {id}");
    run(first, &["BEGIN", "UPDATE accounts SET balance = balance WHERE id = 1"]);
    run(
        second,
        &["BEGIN", "UPDATE accounts SET balance = balance WHERE id = 1001"],
    );
    first.send(&query(&update(1001)));
    world.wait_on_shard(
        1,
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        "1",
    );
    // Only now: so it is the younger one on its first shard as well.
    let second_told = attempt(second, &update(1));
    if !matches!(second_told, Attempt::Done(_)) {
        run(second, &["ROLLBACK"]);
    }
    let answer = first.read_batch();
    let first_told = match answer.iter().find(|message| message.tag == b'E') {
        Some(error) => Attempt::Failed(error.code()),
        None => Attempt::Done(String::new()),
    };
    (first_told, second_told)
}

pub(super) fn the_younger_is_told(world: &World, first: &Proxy, second: &Proxy) {
    let mut first = client_of(world, first).expect("it serves");
    let mut second = client_of(world, second).expect("it serves");
    let (older, younger) = cross(world, &mut first, &mut second);
    assert!(matches!(older, Attempt::Done(_)), "the older one goes on");
    assert!(matches!(younger, Attempt::Failed(code) if code == "40P01"));
    run(&mut first, &["COMMIT"]);
    // Both sessions are as good as new.
    run(
        &mut second,
        &["BEGIN", "UPDATE accounts SET balance = balance WHERE id = 1", "COMMIT"],
    );
    check_balances(world);
}

#[test]
fn two_sessions_of_one_proxy() {
    let world = world("deadlock_one");
    the_younger_is_told(&world, world.proxy(), world.proxy());
}

#[test]
fn two_sessions_of_two_proxies() {
    let world = world("deadlock_two");
    let other = proxy(&world, "deadlock_two_other", "");
    the_younger_is_told(&world, world.proxy(), &other);
    the_younger_is_told(&world, &other, world.proxy());
}

/// A lock that was taken after a savepoint goes with it; the transaction is known all the same.
#[test]
fn after_a_savepoint_was_rolled_back() {
    let world = world("deadlock_savepoint");
    let mut first = world.client();
    let mut second = world.client();
    run(
        &mut first,
        &[
            "BEGIN",
            "SELECT balance FROM accounts WHERE id = 1 FOR UPDATE",
            "SAVEPOINT a",
        ],
    );
    run(
        &mut first,
        &["SELECT balance FROM accounts WHERE id = 1002", "ROLLBACK TO a"],
    );
    run(
        &mut second,
        &[
            "BEGIN",
            "SELECT balance FROM accounts WHERE id = 1001 FOR UPDATE",
            "SAVEPOINT a",
        ],
    );
    run(
        &mut second,
        &["SELECT balance FROM accounts WHERE id = 2", "ROLLBACK TO a"],
    );
    first.send(&query("UPDATE accounts SET balance = balance WHERE id = 1001"));
    let told = attempt(&mut second, "UPDATE accounts SET balance = balance WHERE id = 1");
    assert!(matches!(told, Attempt::Failed(code) if code == "40P01"));
    run(&mut second, &["ROLLBACK"]);
    let answer = first.read_batch();
    assert!(answer.iter().all(|message| message.tag != b'E'), "{answer:?}");
    run(&mut first, &["COMMIT"]);
}

/// A plain wait is nobody's deadlock, however long.
#[test]
fn a_long_wait_goes_on() {
    let world = world("deadlock_none");
    let mut first = world.client();
    let mut second = world.client();
    run(
        &mut first,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = balance WHERE id = 1",
            "UPDATE accounts SET balance = balance WHERE id = 1001",
        ],
    );
    run(
        &mut second,
        &["BEGIN", "UPDATE accounts SET balance = balance WHERE id = 2001"],
    );
    second.send(&query("UPDATE accounts SET balance = balance WHERE id = 1001"));
    // Long enough for several looks: the server does the waiting.
    world.shard(2).rows("SELECT pg_sleep(2.5)");
    run(&mut first, &["COMMIT"]);
    let answer = second.read_batch();
    assert!(answer.iter().all(|message| message.tag != b'E'), "{answer:?}");
    run(&mut second, &["COMMIT"]);
}
