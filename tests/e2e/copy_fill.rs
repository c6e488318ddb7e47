//! COPY that leaves out what no shard may fill for itself: serial and identity columns, the moment. Ids may have gaps, so
//! they are looked at for themselves; all else is as on one plain Postgres.

use std::collections::BTreeSet;

use crate::messages;
use crate::pair::Pair;
use crate::world::{Spec, World};

const SCHEMA: &str = "CREATE TABLE users (id bigserial PRIMARY KEY, name text, k int);
    CREATE TABLE orders (note text, id int GENERATED ALWAYS AS IDENTITY, user_id bigint NOT NULL, small smallserial,
        at timestamptz NOT NULL DEFAULT now(), day date DEFAULT CURRENT_DATE, made timestamp(1) DEFAULT LOCALTIMESTAMP,
        soon timestamptz(0) DEFAULT (now() + '1 day'::interval), UNIQUE (user_id, note));
    CREATE TABLE events (at timestamptz NOT NULL DEFAULT now(), what text);
    CREATE TABLE odd (\"a,\"\"b\" text DEFAULT 'x', id bigserial, k bigint NOT NULL);
    CREATE TABLE rates (code text PRIMARY KEY, id serial, rate numeric(8, 4), unit text DEFAULT 'EUR', at timestamptz DEFAULT now());
    CREATE TABLE plain (a int PRIMARY KEY, b text, c timestamptz);
    CREATE TABLE loose (a int, u uuid DEFAULT gen_random_uuid());
    CREATE TABLE many (user_id bigint NOT NULL, tag text DEFAULT to_char(now(), 'YYYY'));";

const LAYOUT: &str = "keyspaces:
  user: {strategy: hash, type: bigint, buckets: 64}
  time: {strategy: range, type: timestamptz, ranges: [{until: \"2026-03-01T00:00:00Z\", shard: {{s0}}}, {shard: {{s1}}}]}
tables:
  users: {keyspace: user, key: id}
  orders: {keyspace: user, key: user_id}
  events: {keyspace: time, key: at}
  odd: {keyspace: user, key: k}
  many: {keyspace: user, key: user_id}
  rates: {reference: true}
  plain: {reference: true}
  loose: {reference: true}
";

fn world(name: &str) -> World {
    World::start(Spec {
        name,
        shards: 3,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: "",
    })
}

fn copy(pair: &mut Pair, sql: &str, data: &[u8]) {
    pair.send(&messages::query(sql));
    pair.until(b'G');
    for piece in data.chunks(97) {
        pair.send(&messages::copy_data(piece));
    }
    pair.send(&messages::copy_done());
    pair.ready();
}

/// Data of the binary format: each row's fields as they are.
fn binary(rows: &[&[&[u8]]]) -> Vec<u8> {
    let mut data = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        data.extend((row.len() as i16).to_be_bytes());
        for field in *row {
            data.extend((field.len() as i32).to_be_bytes());
            data.extend(*field);
        }
    }
    data.extend((-1_i16).to_be_bytes());
    data
}

/// How many different rows a query has.
fn distinct(world: &World, sql: &str) -> usize {
    world.client().rows(sql).into_iter().collect::<BTreeSet<_>>().len()
}

#[test]
fn a_serial_key_is_filled_in_every_format() {
    let world = world("fill_key");
    let mut pair = Pair::new(&world);
    let rows: String = (0..3000).map(|row| format!("name {row}\t{}\n", row % 7)).collect();
    copy(&mut pair, "COPY users (name, k) FROM STDIN", rows.as_bytes());
    copy(
        &mut pair,
        "copy public.users ( k , name ) from stdin csv header",
        b"k,name\n1,\"a\nb\"\n,\n3,\"c,\"\"d\"\n",
    );
    copy(
        &mut pair,
        "COPY users (k, name) FROM STDIN (FORMAT csv, HEADER match, QUOTE '1', ESCAPE '2', DELIMITER '3', NULL '0')",
        b"k3name\n73x\n031a2131\n",
    );
    copy(
        &mut pair,
        "COPY users (name) FROM STDIN (FORMAT text, DELIMITER '-', NULL '3006')",
        b"first\n3006\nse\\-cond\n\\.\nnot read",
    );
    copy(
        &mut pair,
        "COPY users (name, k) FROM STDIN (HEADER match)",
        b"name\tk\r\nlast\t4\r\nlater\t5\r\n",
    );
    let fields: [&[&[u8]]; 3] = [
        &[b"x", &7_i32.to_be_bytes()],
        &[b"y", &8_i32.to_be_bytes()],
        &[b"", &9_i32.to_be_bytes()],
    ];
    copy(&mut pair, "COPY users (name, k) FROM STDIN BINARY", &binary(&fields));
    copy(&mut pair, "COPY users (name) FROM STDIN", b"");
    let begin = [
        messages::parse("", "COPY users (name) FROM STDIN", &[]),
        messages::bind("", "", &[], messages::Format::Text),
        messages::describe(b'P', ""),
        messages::execute("", 0),
        messages::sync(),
    ];
    pair.send(&begin.concat());
    pair.until(b'G');
    pair.send(
        &[
            messages::copy_data(b"ex\ntended\n"),
            messages::copy_done(),
            messages::sync(),
        ]
        .concat(),
    );
    pair.ready();
    pair.ask("SELECT name, k FROM users ORDER BY name COLLATE \"C\", k");
    pair.ask("SELECT count(*) FROM users");
    let mut client = world.client();
    assert_eq!(
        client.value("SELECT count(*) FROM users WHERE id IS NULL OR id < 1"),
        "0"
    );
    for shard in 0..3 {
        assert_ne!(
            world.shard(shard).value("SELECT count(*) FROM users"),
            "0",
            "shard {shard}"
        );
    }
    // Each row lies where its key says.
    let highest = client.value("SELECT max(id) FROM users");
    assert_eq!(
        client.rows(&format!("SELECT name FROM users WHERE id = {highest}")),
        [["tended"]]
    );
}

#[test]
fn the_last_value_is_known_afterwards() {
    let world = world("fill_currval");
    let mut client = world.client();
    let mut load = |sql: &str, data: &[u8]| {
        client.send(&messages::query(sql));
        client.read_until(b'G');
        client.send(&[messages::copy_data(data), messages::copy_done()].concat());
        client.read_batch();
        let last = client.value("SELECT lastval()");
        (
            client.value("SELECT currval('users_id_seq')"),
            last,
            client.value("SELECT max(id) FROM users"),
        )
    };
    for rows in [1, 20, 500] {
        let data: String = (0..rows).map(|row| format!("{row}\n")).collect();
        let (current, last, highest) = load("COPY users (name) FROM STDIN", data.as_bytes());
        assert_eq!(
            (current.as_str(), last.as_str()),
            (highest.as_str(), highest.as_str()),
            "{rows} rows"
        );
    }
    // Two sequences: the one of the later column was used last.
    let (_, last, _) = load("COPY orders (user_id, note) FROM STDIN", b"1\ta\n2\tb\n3\tc\n");
    assert_eq!(last, client.value("SELECT max(small) FROM orders"));
    assert_eq!(
        client.value("SELECT currval('orders_id_seq')"),
        client.value("SELECT max(id) FROM orders")
    );
    assert_eq!(
        client.value("SELECT currval('users_id_seq')"),
        client.value("SELECT max(id) FROM users")
    );
}

#[test]
fn all_rows_have_one_moment() {
    let world = world("fill_moment");
    let mut pair = Pair::new(&world);
    let fields: Vec<[Vec<u8>; 2]> = (0..50_i64)
        .map(|id| [id.to_be_bytes().to_vec(), b"now".to_vec()])
        .collect();
    let fields: Vec<Vec<&[u8]>> = fields
        .iter()
        .map(|row| row.iter().map(Vec::as_slice).collect())
        .collect();
    let fields: Vec<&[&[u8]]> = fields.iter().map(Vec::as_slice).collect();
    let text: String = (0..50).map(|id| format!("{id}\tnow\n")).collect();
    let csv: String = (0..50).map(|id| format!("{id}:now\n")).collect();
    for (sql, data) in [
        ("COPY orders (user_id, note) FROM STDIN", text.as_bytes()),
        (
            "COPY orders (user_id, note) FROM STDIN (FORMAT csv, DELIMITER ':')",
            csv.as_bytes(),
        ),
        (
            "COPY orders (user_id, note) FROM STDIN (FORMAT text, DELIMITER ':')",
            csv.as_bytes(),
        ),
        (
            "COPY orders (user_id, note) FROM STDIN (FORMAT binary)",
            &binary(&fields),
        ),
    ] {
        pair.ask("SET TimeZone = 'Asia/Kolkata'");
        pair.ask("SET DateStyle = 'SQL, DMY'");
        pair.ask("BEGIN");
        copy(&mut pair, sql, data);
        pair.ask(
            "SELECT count(*) FROM orders WHERE at = now() AND day = CURRENT_DATE AND made = LOCALTIMESTAMP::timestamp(1) \
             AND soon = (now() + '1 day')::timestamptz(0)",
        );
        pair.ask("COMMIT");
        pair.ask("SELECT count(*) FROM orders");
        for (sql, count) in [
            ("SELECT id FROM orders", 50),
            ("SELECT small FROM orders", 50),
            ("SELECT at, day, made, soon FROM orders", 1),
        ] {
            assert_eq!(distinct(&world, sql), count, "{sql}");
        }
        pair.ask("TRUNCATE orders");
    }
    // The key itself.
    copy(&mut pair, "COPY events (what) FROM STDIN", b"a\nb\n");
    assert_eq!(distinct(&world, "SELECT at FROM events"), 1);
    pair.ask("SELECT count(*) FROM events WHERE at > '2026-10-01 00:00:00+00'");
}

#[test]
fn errors_are_those_of_the_clients_rows() {
    let world = world("fill_errors");
    let mut pair = Pair::new(&world);
    let lines = |last: &str| {
        let mut text: String = (1..=40).map(|id| format!("name {id}\t{id}\n")).collect();
        text.push_str(last);
        text.into_bytes()
    };
    for last in [
        "a\n",
        "a\t1\t2\n",
        "\n",
        "a\tone\n",
        "a\t1\r\n",
        "a\t99999999999\n",
        "a\t1\n\\.",
        "a\\\t1\n",
    ] {
        copy(&mut pair, "COPY users (name, k) FROM STDIN", &lines(last));
    }
    for last in ["a\n", "a,1,2\n", "\"a,1\n", "a,\"one\"\n"] {
        let data = String::from_utf8(lines("")).expect("text").replace('\t', ",") + last;
        copy(&mut pair, "COPY users (name, k) FROM STDIN CSV", data.as_bytes());
    }
    copy(
        &mut pair,
        "COPY users (name) FROM STDIN BINARY",
        b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x09abc",
    );
    pair.ask("SELECT count(*) FROM users");
    // Too many for a smallint, found here in binary and by the server in text.
    for (sql, data) in [
        ("COPY orders (user_id, note) FROM STDIN", b"\\N\tb\n".to_vec()),
        ("COPY orders (user_id, note) FROM STDIN", b"1\ta\n2\tb\n3\tc\n".to_vec()),
        (
            "COPY orders (user_id, note) FROM STDIN BINARY",
            binary(&[&[&1_i64.to_be_bytes(), b"a"], &[&2_i64.to_be_bytes(), b"b"]]),
        ),
    ] {
        world
            .shard(0)
            .rows("ALTER SEQUENCE orders_small_seq AS int RESTART 32767");
        world
            .oracle()
            .rows("ALTER SEQUENCE orders_small_seq AS int RESTART 32767");
        let mut codes = Vec::new();
        for client in [&mut world.client(), &mut world.oracle()] {
            client.send(&messages::query(sql));
            client.read_until(b'G');
            client.send(&[messages::copy_data(&data), messages::copy_done()].concat());
            let answer = client.read_batch();
            codes.push(
                answer
                    .iter()
                    .find(|message| message.tag == b'E')
                    .map(|message| message.code()),
            );
        }
        assert_eq!(codes[0], codes[1], "{sql}");
        assert!(codes[0].is_some(), "{sql}");
    }
}

#[test]
fn what_cannot_be_filled_is_refused() {
    let world = world("fill_refused");
    let mut client = world.client();
    let mut code = |sql: &str| {
        let answer = client.query(sql);
        answer
            .iter()
            .find(|message| message.tag == b'E')
            .map(|message| message.code())
    };
    let refused = Some("0A000".to_owned());
    assert_eq!(code("COPY many (user_id) FROM STDIN"), refused);
    assert_eq!(
        code("COPY users (name) FROM STDIN (FORMAT csv, FORCE_NULL (id))"),
        refused
    );
}

/// Names that must be quoted, in the text and in a header that is compared.
#[test]
fn odd_names_are_written_right() {
    let world = world("fill_names");
    let mut pair = Pair::new(&world);
    copy(
        &mut pair,
        "COPY /* ( */ odd (k, \"a,\"\"b\") FROM STDIN (FORMAT csv, HEADER match)",
        b"k,\"a,\"\"b\"\n1,a\n2,b\n3,c\n",
    );
    copy(&mut pair, "COPY odd (k) FROM STDIN", b"4\n5\n");
    pair.ask("SELECT k, \"a,\"\"b\" FROM odd ORDER BY k");
    assert_eq!(distinct(&world, "SELECT id FROM odd"), 5);
}

/// However many rows come, few values are kept.
#[test]
fn a_long_stream_is_not_kept() {
    let world = world("fill_long");
    let mut client = world.client();
    let before = world.proxy().resident_bytes();
    let mut most = 0;
    client.rows("BEGIN");
    client.send(&messages::query("COPY users (name) FROM STDIN"));
    client.read_until(b'G');
    let piece = "some name or other\n".repeat(3000);
    for _ in 0..200 {
        client.send(&messages::copy_data(piece.as_bytes()));
        most = most.max(world.proxy().resident_bytes());
    }
    client.send(&messages::copy_done());
    let answer = client.read_batch();
    let tag = answer.iter().find(|message| message.tag == b'C').expect("a tag");
    assert_eq!(tag.text(), "COPY 600000");
    client.rows("ROLLBACK");
    let grown = most.saturating_sub(before);
    assert!(grown < 24 << 20, "the proxy grew by {grown} bytes");
}

/// All copies of a table, which must be alike.
fn copies(world: &World, sql: &str) -> Vec<Vec<String>> {
    let first = world.shard(0).rows(sql);
    for shard in 1..world.shards() {
        assert_eq!(world.shard(shard).rows(sql), first, "shard {shard} beside the first");
    }
    first
}

#[test]
fn a_reference_table_is_copied_into_everywhere() {
    let world = world("copy_reference");
    let mut pair = Pair::new(&world);
    let rows: String = (0..2000)
        .map(|row| format!("{row}\tb {row}\t2026-01-01 00:00:00+00\n"))
        .collect();
    copy(&mut pair, "COPY plain FROM STDIN", rows.as_bytes());
    pair.ask("SELECT count(*), sum(a) FROM plain");
    assert_eq!(copies(&world, "SELECT * FROM plain ORDER BY a").len(), 2000);
    copy(
        &mut pair,
        "COPY rates (rate, code) FROM STDIN CSV HEADER",
        b"rate,code\n1.5,USD\n2.25,GBP\n,JPY\n",
    );
    pair.ask("SELECT code, rate, unit FROM rates ORDER BY code COLLATE \"C\"");
    assert_eq!(copies(&world, "SELECT * FROM rates ORDER BY code").len(), 3);
    // Errors, with the client's line; nothing stays anywhere.
    copy(&mut pair, "COPY plain FROM STDIN", b"5000\tx\t\\N\n17\tagain\t\\N\n");
    copy(&mut pair, "COPY plain FROM STDIN", b"5000\tx\t\\N\nx\ty\t\\N\n");
    copy(&mut pair, "COPY plain FROM STDIN", b"5000\tx\n");
    copy(&mut pair, "COPY plain FROM STDIN", b"");
    assert_eq!(copies(&world, "SELECT * FROM plain ORDER BY a").len(), 2000);
    // In a block, behind TRUNCATE and savepoints.
    pair.ask("BEGIN");
    pair.ask("TRUNCATE plain");
    copy(&mut pair, "COPY plain (b, a) FROM STDIN", b"one\t1\ntwo\t2\n");
    pair.ask("SAVEPOINT s");
    copy(&mut pair, "COPY plain (a) FROM STDIN", b"3\n4\n");
    pair.ask("ROLLBACK TO s");
    copy(&mut pair, "COPY plain (a) FROM STDIN", b"5\n");
    pair.ask("RELEASE s");
    copy(
        &mut pair,
        "COPY plain FROM STDIN BINARY",
        &binary(&[&[&6_i32.to_be_bytes(), b"six", &0_i64.to_be_bytes()]]),
    );
    pair.ask("COMMIT");
    pair.ask("SELECT a, b FROM plain ORDER BY a");
    assert_eq!(copies(&world, "SELECT a, b FROM plain ORDER BY a").len(), 4);
    // A value that each server reads for itself: the copies would differ.
    let mut client = world.client();
    client.send(&messages::query("COPY plain FROM STDIN"));
    client.read_until(b'G');
    client.send(&[messages::copy_data(b"9\tx\tnow\n"), messages::copy_done()].concat());
    let answer = client.read_batch();
    assert!(answer.iter().any(|message| message.tag == b'E'), "{answer:?}");
    assert_eq!(copies(&world, "SELECT a FROM plain ORDER BY a").len(), 4);
}
