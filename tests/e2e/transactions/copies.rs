//! COPY over several shards is of one transaction, in and out: all rows or none whatever dies, and what is copied out
//! shows no half of a commit.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::kills::{STEPS, verdict_of};
use super::reads::{begin_held_transfer, held, write};
use super::{Attempt, attempt, client_of, error_of, proxy, run, spec, wait_until_nothing_is_prepared, world};
use crate::client::Client;
use crate::messages::{self, Message, query};
use crate::world::{World, repeat};

const TOTAL: i64 = 6_000;

/// Rows for all three shards, as many as no socket's buffer holds.
fn rows(transfer: u64) -> String {
    (0..60_000)
        .map(|row| format!("{}\t{transfer}\n", row % 3 * 1_000 + row / 3 % 900))
        .collect()
}

/// The rows of that number on each shard.
fn counts(world: &World, transfer: u64) -> Vec<String> {
    let sql = format!("SELECT count(*) FROM copied WHERE transfer = {transfer}");
    (0..world.shards())
        .map(|shard| world.shard(shard).value(&sql))
        .collect()
}

fn copy_world(name: &str) -> World {
    const LAYOUT: &str = "keyspaces:
  place:
    strategy: range
    type: bigint
    ranges: [{until: \"1000\", shard: {{s0}}}, {until: \"2000\", shard: {{s1}}}, {shard: {{s2}}}]
tables:
  copied: {keyspace: place, key: id}
";
    World::start_private(crate::world::Spec {
        layout: LAYOUT,
        schema: "CREATE TABLE copied (id bigint NOT NULL, transfer bigint)",
        data: "",
        ..spec(name, "pool: {size: 20, checkout_timeout: 2s}")
    })
}

/// Sends rows, and waits until each shard has some of them: nothing of them can be committed yet.
fn begin(world: &World, client: &mut Client, transfer: u64) {
    const WRITING: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' \
        AND query LIKE 'COPY copied FROM%' AND backend_xid IS NOT NULL";
    client.send(&query("COPY copied FROM STDIN"));
    client.read_until(b'G');
    client.send(&messages::copy_data(rows(transfer).as_bytes()));
    (0..world.shards()).for_each(|shard| world.wait_on_shard(shard, WRITING, "1"));
}

#[test]
fn kill_9_of_a_shard_in_mid_copy() {
    let world = copy_world("copy_kill_shard");
    for shard in 0..world.shards() {
        let number = u64::try_from(shard).expect("small");
        let mut client = world.client();
        begin(&world, &mut client, number);
        world.servers().disturb(shard, crate::clusters::Cluster::kill);
        // Told at once, or when it sends on; the session lives.
        client.send(&[messages::copy_data(rows(number).as_bytes()), messages::copy_done()].concat());
        let answer = client.read_batch();
        let error = error_of(&answer).unwrap_or_else(|| panic!("{answer:?}"));
        assert!(
            error.code().starts_with("08") || error.code().starts_with("57P"),
            "{error:?}"
        );
        world.servers().disturb(shard, crate::clusters::Cluster::restart);
        wait_until_nothing_is_prepared(&world);
        assert_eq!(counts(&world, number), ["0", "0", "0"], "shard {shard} was killed");
        // The next one is taken whole, by the same session.
        let copied = repeat("the shard to be there again", || {
            client.send(&query("COPY copied FROM STDIN"));
            let asked = client.read_until(b'G');
            if asked.last().is_none_or(|last| last.tag != b'G') {
                return ControlFlow::Break(asked);
            }
            client.send(&[messages::copy_data(rows(number).as_bytes()), messages::copy_done()].concat());
            let answer = client.read_batch();
            match error_of(&answer) {
                Some(error) if error.code().starts_with("08") || error.code().starts_with("57P") => {
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(answer),
            }
        });
        assert_eq!(super::tag_of(&copied), "COPY 60000");
        assert_eq!(counts(&world, number), ["20000", "20000", "20000"]);
    }
}

#[test]
fn kill_9_of_the_proxy_in_mid_copy() {
    const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND query LIKE 'COPY copied FROM%' AND state <> 'idle'";
    let world = copy_world("copy_kill_proxy");
    let dying = proxy(&world, "copy_kill_proxy_dying", "");
    let mut client = client_of(&world, &dying).expect("it serves");
    begin(&world, &mut client, 100);
    drop(dying);
    (0..world.shards()).for_each(|shard| world.wait_on_shard(shard, OPEN, "0"));
    wait_until_nothing_is_prepared(&world);
    assert_eq!(counts(&world, 100), ["0", "0", "0"]);
    // At each step of its commit: all or none.
    for (number, step) in (1..).zip(STEPS) {
        let dying = proxy(&world, "copy_kill_proxy_dying", &format!("{step}:exit"));
        let mut client = client_of(&world, &dying).expect("it serves");
        begin(&world, &mut client, number);
        client.send(&messages::copy_done());
        let answer = client.read_batch();
        assert!(answer.iter().all(|message| message.tag != b'Z'), "{step}: {answer:?}");
        wait_until_nothing_is_prepared(&world);
        (0..world.shards()).for_each(|shard| world.wait_on_shard(shard, OPEN, "0"));
        let counts = counts(&world, number);
        let all = counts == ["20000", "20000", "20000"];
        assert!(all || counts == ["0", "0", "0"], "{step}: {counts:?}");
        if let Some(wanted) = verdict_of(step) {
            assert_eq!(all, wanted, "{step}");
        }
    }
}

/// The balances that a COPY gives, added up; its SQLSTATE if it fails.
fn sum_of(answer: &[Message]) -> Result<i64, String> {
    if let Some(error) = error_of(answer) {
        return Err(error.code());
    }
    let data: Vec<u8> = answer
        .iter()
        .filter(|message| message.tag == b'd')
        .flat_map(|message| message.body.clone())
        .collect();
    let text = String::from_utf8(data).expect("text");
    Ok(text.lines().map(|line| line.parse::<i64>().expect("a number")).sum())
}

const COPY: &str = "COPY accounts (balance) TO STDOUT";

#[test]
fn copies_out_under_transfers_add_up() {
    const COPIES: u64 = 60;
    let world = world("copies_storm");
    let second = proxy(&world, "copies_storm_second", "");
    let (over, committed, sums) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let client = match number % 2 {
                0 => world.client(),
                _ => client_of(&world, &second).expect("it serves"),
            };
            let (over, committed) = (&over, &committed);
            scope.spawn(move || write(client, number, over, committed));
        }
        let readers: Vec<_> = (0..2)
            .map(|number| {
                let mut client = match number {
                    0 => world.client(),
                    _ => client_of(&world, &second).expect("it serves"),
                };
                let (over, sums) = (&over, &sums);
                scope.spawn(move || {
                    for turn in 0.. {
                        let block = turn % 2 == 1;
                        if block {
                            run(&mut client, &["BEGIN"]);
                        }
                        match sum_of(&client.query(COPY)) {
                            Ok(sum) => {
                                assert_eq!(sum, TOTAL, "half of a transfer was copied");
                                sums.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(code) => assert_eq!(code, "40001"),
                        }
                        if block {
                            run(&mut client, &["ROLLBACK"]);
                        }
                        if over.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                })
            })
            .collect();
        let mut seen = 0;
        while seen < COPIES && !readers.iter().any(|reader| reader.is_finished()) {
            // Each wait has patience of its own; both have to go on.
            let before = (seen, committed.load(Ordering::Relaxed));
            repeat("transfers and copies to go on", || {
                seen = sums.load(Ordering::Relaxed);
                let goes_on = seen > before.0 && committed.load(Ordering::Relaxed) > before.1;
                match goes_on || readers.iter().any(|reader| reader.is_finished()) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
        }
        over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("every sum is right");
        }
    });
    println!("{committed:?} transfers, {sums:?} copies");
}

/// While a transfer is committed on one shard alone, a COPY waits for the other half; without consistency it doesn't.
#[test]
fn a_copy_waits_for_the_other_half() {
    let (world, file) = held("copies_wait");
    let mut reader = world.client();
    for attempts in 1.. {
        let holding = proxy(
            &world,
            "copies_wait_holding",
            &format!("decided:hold:{}", file.display()),
        );
        let mut writer = begin_held_transfer(&world, &holding, &file);
        reader.rows("SET shardgate.consistency = 'statement'");
        let half = sum_of(&reader.query(COPY));
        reader.rows("SET shardgate.consistency = 'atomic'");
        reader.send(&query(COPY));
        std::fs::remove_file(&file).expect("the step is held");
        let whole = sum_of(&reader.read_batch());
        writer.read_batch();
        assert_eq!(whole, Ok(TOTAL));
        if half == Ok(TOTAL - 10) {
            break;
        }
        // Recovery may have been faster than the reader.
        assert!(attempts < 10, "the sum is always {half:?}");
    }
}

/// A gate that is lost before the last shard has begun doesn't count: all begin anew, in a block too.
#[test]
fn a_copy_whose_gate_is_lost_begins_anew() {
    const GATE: &str = "FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397161984 AND mode = 'ExclusiveLock' \
        AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let world = world("copies_gate");
    let mut reader = world.client();
    let mut locker = world.shard(1);
    for begin in [&[][..], &["BEGIN", "SELECT balance FROM accounts WHERE id = 5"]] {
        for attempts in 1.. {
            run(&mut reader, begin);
            // s1 can't begin.
            run(&mut locker, &["BEGIN", "LOCK TABLE accounts"]);
            reader.send(&query(COPY));
            let mut looker = world.shard(0);
            let terminate = format!("SELECT count(pg_terminate_backend(pid)) {GATE}");
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'relation' AND query LIKE 'COPY accounts%' \
                AND datname = current_database()";
            repeat("the COPY to wait", || match world.shard(1).value(waiting).as_str() {
                "1" => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            });
            let lost = looker.value(&terminate);
            run(&mut locker, &["ROLLBACK"]);
            let sum = sum_of(&reader.read_batch());
            if !begin.is_empty() {
                let ended = attempt(&mut reader, "COMMIT");
                assert!(matches!(ended, Attempt::Done(_)));
            }
            if lost == "1" && sum == Ok(TOTAL) {
                break;
            }
            // On a slow machine the COPY gives up first.
            assert!(attempts < 10, "gates lost: {lost}; the sum is always {sum:?}");
        }
    }
}
