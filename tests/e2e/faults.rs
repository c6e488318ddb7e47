//! A shard dies by `kill -9`: statements for the others go on, those for it fail at once and say so, and all is well
//! again by itself when it is back.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::client::Client;
use crate::messages::query;
use crate::world::{CLIENT_ROLE, Spec, World, repeat};

const SCHEMA: &str = "CREATE TABLE a (id int PRIMARY KEY, v int); CREATE TABLE b (id int PRIMARY KEY, v int); CREATE TABLE h (id int PRIMARY KEY, v int);";
const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 32}
tables:
  a: {unsharded: {{s0}}}
  b: {unsharded: {{s1}}}
  h: {keyspace: whole, key: id}
";
const DATA: &str = "INSERT INTO a SELECT i, i FROM generate_series(1, 20) i; INSERT INTO b SELECT i, i FROM generate_series(1, 20) i; INSERT INTO h SELECT i, i FROM generate_series(1, 60) i;";

fn world(name: &str) -> World {
    World::start_private(Spec {
        name,
        shards: 2,
        layout: LAYOUT,
        settings: "pool: {size: 6, checkout_timeout: 3s}",
        schema: SCHEMA,
        data: DATA,
    })
}

/// What tells a client that the server is gone, rather than that its statement is wrong.
fn tells_of_a_lost_shard(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}

/// The outcome of a statement: its value, or the SQLSTATE; a closed connection is replaced by a new one.
fn attempt(world: &World, client: &mut Client, sql: &str) -> Result<String, String> {
    if client.try_send(&query(sql)).is_err() {
        *client = world.client();
        return Err("connection".to_owned());
    }
    let answer = client.read_batch();
    if let Some(error) = answer.iter().find(|message| message.tag == b'E') {
        let code = error.code();
        if answer.last().is_none_or(|last| last.tag != b'Z') {
            *client = world.client();
        }
        return Err(code);
    }
    let row = answer
        .iter()
        .find(|message| message.tag == b'D')
        .map(|row| row.values())
        .unwrap_or_default();
    let value = row.into_iter().next().flatten().unwrap_or_default();
    Ok(String::from_utf8_lossy(&value).into_owned())
}

#[test]
fn kill_9_of_one_shard_under_load() {
    let world = world("fault_kill");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Four clients work on the shard that stays; not one of their statements may fail.
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = world.client();
                    let mut done = 0_u32;
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = attempt(&world, &mut client, "SELECT v FROM a WHERE id = 7");
                        assert_eq!(outcome.as_deref(), Ok("7"), "after {done} statements");
                        let written = attempt(&world, &mut client, "UPDATE a SET v = 7 WHERE id = 7");
                        assert!(written.is_ok(), "{written:?} after {done} statements");
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        // One is in a transaction on the shard that dies, one waits for a slow statement there.
        let mut inside = world.client();
        inside.rows("BEGIN");
        inside.rows("UPDATE b SET v = 100 WHERE id = 1");
        let mut waiting = world.client();
        waiting.send(&query("SELECT pg_sleep(600) FROM b WHERE id = 2"));
        world.wait_on_shard(
            1,
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
            "1",
        );
        world.servers().disturb(1, |cluster| cluster.kill());
        let answer = waiting.read_batch();
        let error = answer
            .iter()
            .find(|message| message.tag == b'E')
            .expect("the waiting statement fails");
        assert!(tells_of_a_lost_shard(&error.code()), "{error:?}");
        let mut client = world.client();
        for sql in [
            "SELECT v FROM b WHERE id = 3",
            "SELECT count(*) FROM h",
            "UPDATE b SET v = 1 WHERE id = 4",
        ] {
            let code = attempt(&world, &mut client, sql).expect_err("the shard is dead");
            assert!(tells_of_a_lost_shard(&code), "{sql} fails with {code}");
        }
        let code = attempt(&world, &mut inside, "SELECT 1 FROM b").expect_err("the transaction's shard is dead");
        assert!(tells_of_a_lost_shard(&code) || code == "25P02", "{code}");
        assert_eq!(
            attempt(&world, &mut client, "SELECT v FROM a WHERE id = 8").as_deref(),
            Ok("8")
        );
        world.servers().disturb(1, |cluster| cluster.restart());
        // It recovers without anybody's help.
        let mut fresh = world.client();
        let value = repeat("the shard to be used again", || {
            match attempt(&world, &mut fresh, "SELECT v FROM b WHERE id = 1") {
                Ok(value) => std::ops::ControlFlow::Break(value),
                Err(code) if tells_of_a_lost_shard(&code) || code == "connection" => {
                    std::ops::ControlFlow::Continue(())
                }
                Err(code) => panic!("while the shard recovers, a statement fails with {code}"),
            }
        });
        assert_eq!(value, "1", "what wasn't committed is gone");
        assert_eq!(
            attempt(&world, &mut fresh, "SELECT count(*) FROM h").as_deref(),
            Ok("60")
        );
        stop.store(true, Ordering::Relaxed);
        for worker in workers {
            assert!(worker.join().expect("no statement failed") > 0, "the workers worked");
        }
    });
}

#[test]
fn a_shard_that_stops_and_comes_back() {
    let world = world("fault_stop");
    let mut client = world.client();
    assert_eq!(client.value("SELECT count(*) FROM h"), "60");
    for _ in 0..2 {
        world.servers().disturb(1, |cluster| cluster.stop());
        let code = attempt(&world, &mut client, "SELECT count(*) FROM h").expect_err("a shard is gone");
        assert!(tells_of_a_lost_shard(&code), "{code}");
        assert_eq!(
            attempt(&world, &mut client, "SELECT count(*) FROM a").as_deref(),
            Ok("20")
        );
        world.servers().disturb(1, |cluster| cluster.restart());
        repeat("the shard to be used again", || {
            match attempt(&world, &mut client, "SELECT count(*) FROM h").as_deref() {
                Ok("60") => std::ops::ControlFlow::Break(()),
                _ => std::ops::ControlFlow::Continue(()),
            }
        });
    }
}

/// A backend ended by an administrator takes its statement with it, and no other.
#[test]
fn a_terminated_backend() {
    let world = world("fault_terminate");
    let mut client = world.client();
    client.send(&query("SELECT pg_sleep(600) FROM b WHERE id = 2"));
    let sleeping = "FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
    world.wait_on_shard(1, &format!("SELECT count(*) {sleeping}"), "1");
    world
        .shard(1)
        .rows(&format!("SELECT pg_terminate_backend(pid) {sleeping}"));
    let answer = client.read_batch();
    let error = answer
        .iter()
        .find(|message| message.tag == b'E')
        .expect("the statement fails");
    assert!(tells_of_a_lost_shard(&error.code()), "{error:?}");
    // All idle ones, too: the next statements find that out and do without.
    world.shard(1).rows(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = '{CLIENT_ROLE}'"));
    let mut fresh = world.client();
    repeat("new backends", || {
        match attempt(&world, &mut fresh, "SELECT v FROM b WHERE id = 5").as_deref() {
            Ok("5") => std::ops::ControlFlow::Break(()),
            Err(code) if tells_of_a_lost_shard(code) => std::ops::ControlFlow::Continue(()),
            other => panic!("{other:?}"),
        }
    });
}
