//! Reads over several shards see each commit over several shards whole, through any proxy, whatever dies meanwhile.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{
    Attempt, TOTAL, attempt, check_balances, client_of, proxy, run, spec, wait_until_nothing_is_prepared, world,
};
use crate::client::Client;
use crate::messages::{self, Format, query};
use crate::proxy::Proxy;
use crate::world::{World, repeat};

const SUM: &str = "SELECT sum(balance) FROM accounts";

/// A reader that waits for a transaction, or for a gate.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";

/// What a sum came to: a value, or an error.
fn sum(client: &mut Client) -> Option<String> {
    if client.try_send(&query(SUM)).is_err() {
        return None;
    }
    let answer = client.read_batch();
    let row = answer.iter().find(|message| message.tag == b'D')?;
    let value = row.values().into_iter().next().flatten()?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// Moves 1 between two shards; the lower account first, so that no two wait for each other.
fn transfer(client: &mut Client, from: u64, to: u64) -> Attempt {
    let mut steps = [(from, "- 1"), (to, "+ 1")];
    steps.sort_unstable();
    let updates = steps.map(|(id, by)| format!("UPDATE accounts SET balance = balance {by} WHERE id = {id}"));
    for sql in ["BEGIN", &updates[0], &updates[1]] {
        match attempt(client, sql) {
            Attempt::Done(_) => {}
            Attempt::Failed(code) => {
                attempt(client, "ROLLBACK");
                return Attempt::Failed(code);
            }
            Attempt::Ended => return Attempt::Ended,
        }
    }
    attempt(client, "COMMIT")
}

/// Transfers between accounts of this writer's own, so that none of them waits for another's.
pub(super) fn write(mut client: Client, writer: u64, over: &AtomicBool, committed: &AtomicU64) {
    let account = |turn: u64| (turn % 3) * 1_000 + 1 + writer;
    for turn in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        match transfer(&mut client, account(turn), account(turn + 1 + turn / 3 % 2)) {
            Attempt::Done(_) => drop(committed.fetch_add(1, Ordering::Relaxed)),
            Attempt::Failed(_) => {}
            Attempt::Ended => return,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    Alone,
    InBlocks,
}

/// Sums, one after the other; every one has to be right.
fn read(mut client: Client, how: Reads, over: &AtomicBool, sums: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        if how == Reads::InBlocks {
            run(&mut client, &["BEGIN"]);
        }
        for _ in 0..5 {
            match sum(&mut client) {
                Some(total) => {
                    assert_eq!(total, TOTAL, "half of a transfer was read: {how:?}");
                    sums.fetch_add(1, Ordering::Relaxed);
                }
                None => break, // a shard was killed
            }
        }
        if how == Reads::InBlocks {
            attempt(&mut client, "ROLLBACK");
        }
    }
}

/// Writers and readers through both proxies until so many transfers are committed.
fn storm(world: &World, second: &Proxy, commits: u64, meanwhile: impl FnOnce(&AtomicU64)) {
    let (over, committed, sums) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let client = match number % 2 {
                0 => world.client(),
                _ => client_of(world, second).expect("it serves"),
            };
            let (over, committed) = (&over, &committed);
            scope.spawn(move || write(client, number, over, committed));
        }
        let readers: Vec<_> = (0..4)
            .map(|number| {
                let client = match number % 2 {
                    0 => world.client(),
                    _ => client_of(world, second).expect("it serves"),
                };
                let how = match number / 2 {
                    0 => Reads::Alone,
                    _ => Reads::InBlocks,
                };
                let (over, sums) = (&over, &sums);
                scope.spawn(move || read(client, how, over, sums))
            })
            .collect();
        meanwhile(&committed);
        let mut last = (0, 0);
        while committed.load(Ordering::Relaxed) < commits && !readers.iter().any(|reader| reader.is_finished()) {
            // Each wait has patience of its own.
            repeat("transfers and sums to go on", || {
                let now = (committed.load(Ordering::Relaxed), sums.load(Ordering::Relaxed));
                let goes_on = now.0 > last.0 + 20 && now.1 > last.1 + 20 || readers.iter().any(|r| r.is_finished());
                match goes_on {
                    true => {
                        last = now;
                        ControlFlow::Break(())
                    }
                    false => ControlFlow::Continue(()),
                }
            });
        }
        over.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| {
            reader.join().expect("every sum is right");
        });
    });
    wait_until_nothing_is_prepared(world);
    check_balances(world);
    println!("{committed:?} transfers, {sums:?} sums");
}

#[test]
fn sums_under_transfers_through_two_proxies() {
    let world = world("reads_storm");
    let second = proxy(&world, "reads_storm_second", "");
    storm(&world, &second, 2_000, |_| {});
    for shard in 0..3 {
        world.wait_on_shard(shard, "SELECT count(*) FROM shardgate.mark", "0");
    }
}

#[test]
fn sums_while_shards_and_a_proxy_die() {
    let world = World::start_private(spec("reads_kills", "pool: {size: 20, checkout_timeout: 2s}"));
    let second = proxy(&world, "reads_kills_second", "");
    storm(&world, &second, 600, |committed| {
        for kill in 0..6_u64 {
            let seen = committed.load(Ordering::Relaxed);
            repeat("transfers to go on", || {
                match committed.load(Ordering::Relaxed) > seen + 20 {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            if kill % 2 == 0 {
                let turn = 1 + kill;
                let step = ["decided", "first-committed", "prepared"][usize::try_from(kill / 2).expect("small")];
                let dying = proxy(&world, "reads_kills_dying", &format!("{step}*{turn}:exit"));
                let mut client = client_of(&world, &dying).expect("it serves");
                while !matches!(transfer(&mut client, 19, 1019), Attempt::Ended) {}
            } else {
                let shard = usize::try_from(kill % 3).expect("small");
                world.servers().disturb(shard, |cluster| {
                    cluster.kill()?;
                    cluster.restart()
                });
            }
        }
    });
}

/// Where each look at the marks shows another commit, a reader closes the gate, and comes to its end.
#[test]
fn readers_that_marks_never_satisfy_close_the_gate() {
    const CLOSED: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1397161984 \
        AND mode = 'ExclusiveLock' AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let world = world("reads_gate");
    let (over, sums) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for shard in 0..2 {
            let mut marker = world.shard(shard);
            let over = &over;
            // Marks of no transaction: each shard has others.
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    marker.rows("INSERT INTO shardgate.mark VALUES (md5(random()::text), '{0,1}')");
                }
            });
        }
        let (client, ended, counted) = (world.client(), &over, &sums);
        let reader = scope.spawn(move || read(client, Reads::Alone, ended, counted));
        let mut looker = world.shard(1);
        repeat("the gate to be closed, and the reader to go on", || {
            let closed = looker.value(CLOSED) != "0";
            match (closed && sums.load(Ordering::Relaxed) > 0) || reader.is_finished() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        over.store(true, Ordering::Relaxed);
        reader.join().expect("every sum is right");
    });
    assert!(sums.load(Ordering::Relaxed) > 0);
    let mut client = world.client();
    assert_eq!(client.value(SUM), TOTAL);
    for shard in 0..2 {
        world.wait_on_shard(shard, "SELECT count(*) FROM shardgate.mark", "0");
    }
}

/// A transfer of 10 from account 1 to 1001 that is committed on its decision shard, and there alone, until the file goes.
pub(super) fn held(name: &str) -> (World, PathBuf) {
    let world = world(name);
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.held"));
    std::fs::remove_file(&file).ok();
    (world, file)
}

pub(super) fn begin_held_transfer(world: &World, holding: &Proxy, file: &Path) -> Client {
    let mut client = client_of(world, holding).expect("it serves");
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = balance - 10 WHERE id = 1",
            "UPDATE accounts SET balance = balance + 10 WHERE id = 1001",
        ],
    );
    client.send(&query("COMMIT"));
    repeat("the step to be reached", || match file.exists() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    client
}

/// Without marks half a transfer is seen: what the other tests look for can be found.
#[test]
fn statement_consistency_sees_half_of_a_transfer() {
    let (world, file) = held("reads_statement");
    let mut reader = world.client();
    reader.rows("SET shardgate.consistency = 'statement'");
    for attempts in 1.. {
        let holding = proxy(
            &world,
            "reads_statement_holding",
            &format!("decided:hold:{}", file.display()),
        );
        let mut writer = begin_held_transfer(&world, &holding, &file);
        let total = reader.value(SUM);
        std::fs::remove_file(&file).expect("the step is held");
        writer.read_batch();
        if total == "5990" {
            break;
        }
        // Recovery may have been faster than the reader.
        assert!(attempts < 10, "the sum is always {total}");
    }
    reader.rows("SET shardgate.consistency = 'atomic'");
    assert_eq!(reader.value(SUM), TOTAL);
    assert_eq!(reader.failure("SET shardgate.consistency = 'snapshot'"), "0A000");
}

#[test]
fn readers_wait_for_the_other_half() {
    let (world, file) = held("reads_wait");
    let holding = proxy(
        &world,
        "reads_wait_holding",
        &format!("decided:hold:{}", file.display()),
    );
    let mut block = world.client();
    run(&mut block, &["BEGIN", "SELECT balance FROM accounts WHERE id = 5"]);
    let mut portal = world.client();
    let mut locking = world.client();
    let mut plain = world.client();
    let mut writer = begin_held_transfer(&world, &holding, &file);
    plain.send(&query(SUM));
    block.send(&query(SUM));
    locking.send(&query(
        "SELECT balance FROM accounts WHERE id IN (1, 2, 1001) FOR SHARE",
    ));
    let limited = [
        messages::parse(
            "",
            "SELECT balance FROM accounts WHERE id IN (1, 1001) ORDER BY id",
            &[],
        ),
        messages::bind("", "", &[], Format::Text),
        messages::execute("", 1),
        messages::execute("", 0),
        messages::sync(),
    ];
    portal.send(&limited.concat());
    // All four stand before the shard that hasn't committed yet (or before its rows), or recovery has let them go.
    repeat("readers to wait", || {
        let waiting: usize = world.shard(1).value(WAITING).parse().expect("a number");
        match waiting >= 3
            || !file.exists()
            || world
                .shard(1)
                .value("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()")
                == "0"
        {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    std::fs::remove_file(&file).expect("the step is held");
    let values = |client: &mut Client| -> Vec<String> {
        let answer = client.read_batch();
        let failed = answer.iter().find(|message| message.tag == b'E');
        assert_eq!(failed, None);
        let rows = answer.iter().filter(|message| message.tag == b'D');
        rows.map(|row| String::from_utf8_lossy(&row.values()[0].clone().expect("no NULL")).into_owned())
            .collect()
    };
    assert_eq!(values(&mut plain), [TOTAL]);
    assert_eq!(values(&mut block), [TOTAL]);
    assert_eq!(values(&mut portal), ["90", "110"]);
    let locked = values(&mut locking);
    let locked: i64 = locked.iter().map(|one| one.parse::<i64>().expect("a number")).sum();
    assert_eq!(locked, 300);
    writer.read_batch();
    run(&mut block, &["COMMIT"]);
}

/// A reader that waits can be cancelled, and an error inside a consistent read leaves its backends usable.
#[test]
fn a_waiting_reader_can_be_cancelled() {
    let (world, file) = held("reads_cancel");
    let mut reader = world.client();
    let (process, secret) = reader.cancel_key();
    for attempts in 1.. {
        let holding = proxy(
            &world,
            "reads_cancel_holding",
            &format!("decided:hold:{}", file.display()),
        );
        let mut writer = begin_held_transfer(&world, &holding, &file);
        reader.send(&query(SUM));
        let waits = repeat("the reader to wait, or recovery to be faster", || {
            let waiting = world.shard(1).value(WAITING);
            let prepared = world
                .shard(1)
                .value("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()");
            match (waiting.as_str(), prepared.as_str()) {
                (_, "0") => ControlFlow::Break(false),
                ("0", _) => ControlFlow::Continue(()),
                _ => ControlFlow::Break(true),
            }
        });
        if waits {
            Client::dial(world.proxy().address()).send(&messages::cancel(process, &secret));
        }
        let answer = reader.read_batch();
        std::fs::remove_file(&file).expect("the step is held");
        writer.read_batch();
        if let Some(error) = answer.iter().find(|message| message.tag == b'E') {
            assert_eq!(error.code(), "57014");
            break;
        }
        assert!(attempts < 10, "recovery is always faster");
    }
    assert_eq!(reader.value(SUM), TOTAL);
    assert_eq!(reader.failure("SELECT 1 / (balance - balance) FROM accounts"), "22012");
    assert_eq!(reader.value(SUM), TOTAL);
}
