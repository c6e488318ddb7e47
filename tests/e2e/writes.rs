//! Writes on several shards, message by message: what one plain Postgres says, places of errors in the text included.

use crate::client::Client;
use crate::differential::Source;
use crate::messages::{Format, bind, close, describe, execute, flush, parse, sync, unnamed};
use crate::pair::Pair;
use crate::world::{Spec, World};

/// A table over three shards; the keys 1, 4 and 2 lie on three of them.
fn three_shards(name: &str, run: impl FnOnce(&World)) {
    let source = Source::read("split");
    run(&World::start(source.spec(name, 3)));
}

#[test]
fn an_error_in_any_row_points_into_the_clients_text() {
    three_shards("w_place", |world| {
        let mut pair = Pair::new(world);
        pair.ask_all(&[
            "INSERT INTO log (k, what, n) VALUES (1, 'ä', 1), (4, 'ö€', 'x'), (2, 'c', 3)",
            "INSERT INTO log (k, what, n) VALUES (1, 'ä', 1), (4, 'ö€', 2), (1, 'c', 3), (2, '😀', nothing)",
            "INSERT INTO log (k, n) VALUES (1, 1), (4, 2), (2, no_such(3))",
            "INSERT INTO parts (k, id, amount) VALUES (1, 1, 1), (4, 1, 2), (1, 2, 3), (4, 2, 'x') ON CONFLICT DO NOTHING RETURNING id",
            "INSERT INTO log (k, n) VALUES (1, 1), (4, 2), (2, 3) RETURNING nothing",
            // of a row and of the text: the text is read first
            "INSERT INTO parts (k, id, amount) VALUES (1, 0, 1), (4, 1, 2), (2, 1, 'x')",
            "INSERT INTO parts (k, id, amount) VALUES (1, 1, 1), (4, 1, 2), (2, 1, NULL)",
            "SELECT k, id FROM parts WHERE id > 0",
        ]);
        pair.send(
            &[
                unnamed("INSERT INTO log (k, n) VALUES ($1, 1), ($2, 2), (2, 'x')", &["1", "4"]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
    });
}

#[test]
fn a_pipeline_is_one_transaction_on_all_shards() {
    three_shards("w_pipeline", |world| {
        let mut pair = Pair::new(world);
        let insert = "INSERT INTO log (k, what) VALUES ($1, $2), (4, $2), (2, 'x') RETURNING k, what";
        pair.send(
            &[
                unnamed(insert, &["1", "a"]),
                unnamed(insert, &["5", "b"]),
                unnamed("INSERT INTO log (k) VALUES ($1)", &["6"]),
                unnamed("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"", &[]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        // an error behind takes back what went before, on every shard
        pair.send(
            &[
                unnamed(insert, &["7", "c"]),
                unnamed("INSERT INTO parts (k, id) VALUES ($1, 5), (4, 5), (2, 0)", &["1"]),
                unnamed(insert, &["8", "d"]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.ask("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"");
        pair.ask("SELECT k, id FROM parts WHERE id = 5");
        // named, bound several times, executed behind a Flush
        pair.send(&[parse("s", insert, &[20, 25]), describe(b'S', "s"), flush()].concat());
        pair.until(b'T');
        for key in ["11", "12"] {
            let values = [(Format::Text, Some(key.as_bytes().to_vec())), (Format::Text, None)];
            pair.send(&[bind("p", "s", &values, Format::Text), execute("p", 0), close(b'P', "p")].concat());
        }
        pair.send(&sync());
        pair.ready();
        pair.ask("SELECT k, what FROM log ORDER BY k, what COLLATE \"C\"");
    });
}

#[test]
fn many_rows_go_in_one_text_for_each_shard() {
    const ROWS: usize = 3_000;
    three_shards("w_many", |world| {
        let mut pair = Pair::new(world);
        let rows: Vec<String> = (0..ROWS).map(|k| format!("({k}, {k} % 7, 'row {k}')")).collect();
        let rows = rows.join(", ");
        pair.ask(&format!(
            "INSERT INTO parts (k, id, note) VALUES {rows} ON CONFLICT DO NOTHING"
        ));
        pair.ask(&format!("INSERT INTO log (k, n, what) VALUES {rows} RETURNING k, what"));
        // runs of a row or two, and every second row is there already
        pair.ask(&format!(
            "INSERT INTO parts AS p (k, id, note) VALUES {} ON CONFLICT (k, id) DO UPDATE SET note = 'again' \
             WHERE p.k % 2 = 0 RETURNING k, note",
            (0..300)
                .map(|k| format!("({k}, {})", [format!("{k} % 7"), format!("'{k}'")].join(", ")))
                .collect::<Vec<_>>()
                .join(", ")
        ));
        pair.ask("SELECT count(*), sum(k), sum(n) FROM log");
        pair.ask("SELECT count(*), sum(k) FROM parts");
    });
}

/// What is found out at the commit only: no tag comes before that error.
#[test]
fn the_tag_of_a_split_waits_for_its_commit() {
    three_shards("w_tag", |world| {
        let mut pair = Pair::new(world);
        pair.ask_all(&[
            "INSERT INTO late (k, id) VALUES (1, 1), (4, 1), (2, 1)",
            "INSERT INTO late (k, id) VALUES (1, 2), (4, 1), (2, 2)",
            "INSERT INTO late (k, id) VALUES (1, 3), (4, 3), (2, 3); INSERT INTO late (k, id) VALUES (1, 4), (4, 3)",
            "SELECT k, id FROM late ORDER BY 1, 2",
        ]);
    });
}

/// What a reference table's columns are left to, time and chance, is the same on every shard, and another in every row.
#[test]
fn defaults_of_a_reference_table_are_made_once() {
    const SCHEMA: &str = "CREATE TABLE chances (id bigserial PRIMARY KEY, token uuid NOT NULL DEFAULT gen_random_uuid(), \
        at timestamptz NOT NULL DEFAULT now(), day date DEFAULT CURRENT_DATE, until timestamp DEFAULT (now() + '1 day'::interval), \
        luck float8 DEFAULT random(), label text DEFAULT gen_random_uuid()::text, name text)";
    let world = World::start(Spec {
        name: "writes_defaults",
        shards: 3,
        layout: "tables:\n  chances: {reference: true}\n",
        settings: "",
        schema: SCHEMA,
        data: "",
    });
    let mut client = world.client();
    client.rows("INSERT INTO chances (name) VALUES ('a'), ('b'), ('c')");
    client.rows("INSERT INTO chances DEFAULT VALUES");
    client.rows("INSERT INTO chances (token, at, name) VALUES (DEFAULT, DEFAULT, 'd'), (DEFAULT, '2026-01-01', 'e')");
    for style in ["German", "SQL, DMY", "ISO"] {
        client.rows(&format!("SET datestyle = '{style}'"));
        client.rows("INSERT INTO chances (name) VALUES ('in another style')");
    }
    let insert = "INSERT INTO chances (name) VALUES ($1) RETURNING token";
    client.send(&[unnamed(insert, &["f"]), unnamed(insert, &["g"]), sync()].concat());
    let answer = client.read_batch();
    assert_eq!(
        answer.iter().filter(|message| message.tag == b'D').count(),
        2,
        "{answer:?}"
    );
    client.rows("BEGIN");
    client.rows("INSERT INTO chances (name) VALUES ('h'), ('i')");
    let moment = client.value("SELECT now()");
    client.rows("INSERT INTO chances (name) VALUES ('j')");
    let same = client.value(&format!("SELECT count(*) FROM chances WHERE at = '{moment}'"));
    client.rows("COMMIT");
    assert_eq!(same, "3", "one transaction, one moment");
    let rows = "SELECT string_agg(chances::text, '; ' ORDER BY id) FROM chances";
    let first = world.shard(0).value(rows);
    for shard in 1..3 {
        assert_eq!(world.shard(shard).value(rows), first);
    }
    let distinct =
        "SELECT count(DISTINCT token) || ' ' || count(DISTINCT label) || ' ' || count(DISTINCT luck) FROM chances";
    assert_eq!(world.shard(1).value(distinct), "14 14 14");
    let missing = "SELECT count(*) FROM chances WHERE at IS NULL OR day IS NULL OR until IS NULL";
    assert_eq!(world.shard(2).value(missing), "0");
}

const CLOCKS: Spec<'_> = Spec {
    name: "",
    shards: 3,
    layout: "keyspaces:\n  k: {strategy: hash, type: bigint, buckets: 32}\ntables:\n  late: {keyspace: k, key: k}\n  \
        clocks: {keyspace: k, key: k}\n",
    settings: "",
    schema: "CREATE TABLE late (k bigint NOT NULL, id bigserial, v int, UNIQUE (k, v) DEFERRABLE INITIALLY DEFERRED); \
        CREATE TABLE clocks (k bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());",
    data: "",
};

/// An INSERT that stays on one shard, with values of ours in it: its transaction's end is told as Postgres tells it.
#[test]
fn a_deferred_constraint_speaks_at_the_end() {
    let world = World::start(Spec {
        name: "w_late",
        ..CLOCKS
    });
    let mut pair = Pair::new(&world);
    let twice = "INSERT INTO late (k, v) VALUES (1, 1), (1, 1) RETURNING id";
    pair.ask(twice);
    pair.send(&[unnamed(twice, &[]), sync()].concat());
    pair.ready();
    pair.send(&[unnamed("INSERT INTO late (k, v) VALUES ($1, 2)", &["1"]), sync()].concat());
    pair.ready();
    pair.send(&[unnamed("INSERT INTO late (k, v) VALUES ($1, 2)", &["1"]), sync()].concat());
    pair.ready();
    pair.ask("INSERT INTO late (k, v) VALUES (1, 2)");
    pair.ask("SELECT k, id, v FROM late ORDER BY id");
}

/// Whatever a block begins with, and wherever its rows go: its now() is one.
#[test]
fn a_block_has_one_now() {
    let world = World::start(Spec {
        name: "w_clocks",
        ..CLOCKS
    });
    let mut client = world.client();
    let rows = |from: u64| {
        (from..from + 12)
            .map(|k| format!("({k})"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    client.rows("BEGIN");
    client.rows(&format!("INSERT INTO clocks (k) VALUES {}", rows(0)));
    client.rows(&format!("INSERT INTO clocks (k) VALUES {}", rows(100)));
    let one_now = |client: &mut Client| {
        let row = client.rows("SELECT count(*), min(at), max(at) FROM clocks").remove(0);
        assert_eq!(row[0], "24");
        assert_eq!(row[1], row[2]);
    };
    one_now(&mut client);
    assert_eq!(client.value("SELECT count(*) FROM clocks WHERE at = now()"), "24");
    client.rows("COMMIT");
    client.rows("TRUNCATE clocks");
    // The same in one message.
    client.rows(&format!(
        "INSERT INTO clocks (k) VALUES {}; INSERT INTO clocks (k) VALUES {}",
        rows(0),
        rows(100)
    ));
    one_now(&mut client);
}
