//! Reference tables: copies that stay alike under writers that race.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::{another, client_of, error_of, on_shards, world};
use crate::world::repeat;

const CONTENT: &str = "SELECT md5(string_agg(i::text, ',' ORDER BY symbol)) FROM instruments i";

#[test]
fn two_writers_of_one_row_through_two_proxies() {
    const EACH: usize = 40;
    let world = world("copies_race");
    let other = another(&world, "copies_race_other");
    let (mut here, mut there) = (world.client(), client_of(&world, &other));
    std::thread::scope(|scope| {
        for (client, name) in [(&mut here, "a"), (&mut there, "b")] {
            scope.spawn(move || {
                for round in 0..EACH {
                    client.rows("UPDATE instruments SET n = n + 1 WHERE symbol = 'S1'");
                    // The order of the writers shows in the row: a copy that saw another order would differ.
                    client.rows(&format!(
                        "INSERT INTO instruments VALUES ('R', '{name}{round}', 1) ON CONFLICT (symbol) \
                         DO UPDATE SET category = excluded.category || instruments.n, n = instruments.n * 3 % 1000 + 1"
                    ));
                }
            });
        }
    });
    let n = "SELECT n FROM instruments WHERE symbol = 'S1'";
    assert_eq!(on_shards(&world, n), vec![(2 * EACH).to_string(); 3]);
    let contents: BTreeSet<String> = on_shards(&world, CONTENT).into_iter().collect();
    assert_eq!(contents.len(), 1);
}

#[test]
fn copies_that_differ_are_told_and_left_alone() {
    let world = world("copies_differ");
    world.shard(2).rows("UPDATE instruments SET n = 5 WHERE symbol = 'S2'");
    let before = on_shards(&world, CONTENT);
    let mut client = world.client();
    assert_eq!(
        client.failure("UPDATE instruments SET category = 'two' WHERE symbol = 'S2'"),
        "XX001"
    );
    client.rows("BEGIN");
    client.rows("UPDATE instruments SET category = 'two' WHERE symbol = 'S3'");
    assert_eq!(client.failure("DELETE FROM instruments WHERE symbol = 'S2'"), "XX001");
    client.rows("ROLLBACK");
    assert_eq!(on_shards(&world, CONTENT), before);
    // One that doesn't touch the row that differs runs.
    client.rows("UPDATE instruments SET category = 'two' WHERE symbol = 'S3'");
    let category = "SELECT category FROM instruments WHERE symbol = 'S3'";
    assert_eq!(on_shards(&world, category), ["two", "two", "two"]);
}

#[test]
fn a_row_that_is_locked_waits_for_its_reader() {
    let world = world("copies_lock");
    let other = another(&world, "copies_lock_other");
    let (mut reader, mut writer) = (world.client(), client_of(&world, &other));
    reader.rows("BEGIN");
    assert_eq!(
        reader.rows("SELECT n FROM instruments WHERE symbol = 'S1' FOR UPDATE"),
        [["0"]]
    );
    writer.send(&crate::messages::query(
        "UPDATE instruments SET n = n + 10 WHERE symbol = 'S1'",
    ));
    world.wait_on_shard(
        0,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE instruments%' AND wait_event_type = 'Lock'",
        "1",
    );
    assert_eq!(
        on_shards(&world, "SELECT n FROM instruments WHERE symbol = 'S1'"),
        ["0", "0", "0"]
    );
    reader.rows("COMMIT");
    assert!(writer.read_batch().iter().all(|message| message.tag != b'E'));
    assert_eq!(
        on_shards(&world, "SELECT n FROM instruments WHERE symbol = 'S1'"),
        ["10", "10", "10"]
    );
}

#[test]
fn a_foreign_key_on_one_shard_keeps_the_row_on_all() {
    let world = world("copies_restrict");
    let mut client = world.client();
    client.rows("INSERT INTO trades VALUES ('S4', 1)");
    let failed = client.query("DELETE FROM instruments WHERE symbol IN ('S4', 'S5')");
    assert_eq!(error_of(&failed).code(), "23503");
    let count = "SELECT count(*) FROM instruments WHERE symbol IN ('S4', 'S5')";
    assert_eq!(on_shards(&world, count), ["2", "2", "2"]);
}

/// However a symbol's metadata changes while it is traded for the first time, all its trades lie on one shard, where both
/// proxies look for them.
#[test]
fn metadata_that_changes_under_the_first_trade() {
    const SYMBOLS: usize = 20;
    const TRADES: usize = 3;
    let world = world("copies_metadata");
    let other = another(&world, "copies_metadata_other");
    let (mut trader, mut keeper) = (world.client(), client_of(&world, &other));
    let mut second = client_of(&world, &other);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for symbol in 1..=SYMBOLS {
                keeper.rows(&format!(
                    "UPDATE instruments SET category = 'two' WHERE symbol = 'S{symbol}'"
                ));
            }
        });
        for (trader, from) in [(&mut trader, 0), (&mut second, 100)] {
            scope.spawn(move || {
                for symbol in 1..=SYMBOLS {
                    for id in 1..=TRADES {
                        let id = from + id;
                        trader.rows(&format!("INSERT INTO trades VALUES ('S{symbol}', {id})"));
                    }
                }
            });
        }
    });
    let mut seen = 0;
    for symbol in 1..=SYMBOLS {
        let count = format!("SELECT count(*) FROM trades WHERE symbol = 'S{symbol}'");
        let counts = on_shards(&world, &count);
        let holders = counts.iter().filter(|count| *count != "0").count();
        assert_eq!(holders, 1, "S{symbol} lies on {counts:?}");
        assert_eq!(trader.value(&count), (2 * TRADES).to_string());
        assert_eq!(second.value(&count), (2 * TRADES).to_string());
        seen += 1;
    }
    assert_eq!(seen, SYMBOLS);
}

#[test]
fn a_symbol_and_its_first_trade_in_one_transaction() {
    let world = world("copies_first_trade");
    let mut client = world.client();
    client.rows("BEGIN");
    client.rows("INSERT INTO instruments VALUES ('NEW', 'two', 0)");
    client.rows("INSERT INTO trades VALUES ('NEW', 1)");
    client.rows("COMMIT");
    assert_eq!(
        on_shards(&world, "SELECT count(*) FROM trades WHERE symbol = 'NEW'"),
        ["0", "1", "0"]
    );
    // Through another proxy, which learns of it from the store.
    let other = another(&world, "copies_first_trade_other");
    let mut there = client_of(&world, &other);
    repeat("the trade through the other proxy", || {
        match there.value("SELECT count(*) FROM trades WHERE symbol = 'NEW'").as_str() {
            "1" => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
}
