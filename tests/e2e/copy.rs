//! COPY of tables whose rows lie on several shards, as a client meets it: the same bytes to the proxy and to one plain
//! Postgres, the same answers, and the same rows afterwards.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::messages::{self, Format, Message};
use crate::pair::Pair;
use crate::world::{CLIENT_ROLE, Spec, World};

const SCHEMA: &str = "CREATE TABLE n (id bigint PRIMARY KEY, t text, k int CHECK (k < 1000));
    CREATE TABLE s (name varchar(10) NOT NULL, v int, note text DEFAULT 'none');
    CREATE TABLE d (v numeric, day timestamptz NOT NULL);
    CREATE TABLE u (id uuid NOT NULL, v int, double int GENERATED ALWAYS AS (v * 2) STORED);
    CREATE TABLE c (symbol text NOT NULL, price numeric(10, 2));
    CREATE TABLE z (v int, amount numeric(8, 2) NOT NULL);
    CREATE TABLE f (id bigint NOT NULL, v int, UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE symbols (symbol text PRIMARY KEY, category text);";

const LAYOUT: &str = "keyspaces:
  number: {strategy: hash, type: bigint, buckets: 32}
  name: {strategy: hash, type: text, buckets: 32}
  day: {strategy: range, type: timestamptz, ranges: [{until: \"2026-03-01T00:00:00Z\", shard: {{s0}}}, {until: \"2026-05-01T00:00:00Z\", shard: {{s1}}}, {shard: {{s2}}}]}
  uid: {strategy: hash, type: uuid, buckets: 32}
  amount: {strategy: hash, type: numeric, buckets: 32}
  symbol: {strategy: category, type: text, lookup: {table: symbols, key: symbol, category: category}, categories: {a: {{s0}}, b: {{s1}}, c: {{all}}}}
tables:
  n: {keyspace: number, key: id}
  s: {keyspace: name, key: name}
  d: {keyspace: day, key: day}
  u: {keyspace: uid, key: id}
  c: {keyspace: symbol, key: symbol}
  z: {keyspace: amount, key: amount}
  f: {keyspace: number, key: id}
  symbols: {reference: true}
";

const DATA: &str = "INSERT INTO symbols SELECT 'S' || i, chr(97 + i % 3) FROM generate_series(1, 60) i;";

fn spec(name: &str, shards: usize) -> Spec<'_> {
    Spec {
        name,
        shards,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    }
}

fn each(name: &str, check: impl Fn(&World)) {
    for shards in 1..=3 {
        check(&World::start(spec(&format!("{name}_{shards}"), shards)));
    }
}

/// The same COPY on both sides by a Query; both have to ask for data, and to answer alike.
fn copy(pair: &mut Pair, sql: &str, data: &[u8]) -> Vec<Message> {
    pair.send(&messages::query(sql));
    pair.until(b'G');
    for piece in data.chunks(97) {
        pair.send(&messages::copy_data(piece));
    }
    pair.send(&messages::copy_done());
    pair.ready()
}

fn extended(pair: &mut Pair, sql: &str, data: &[u8]) {
    let begin = [
        messages::parse("", sql, &[]),
        messages::bind("", "", &[], Format::Text),
        messages::describe(b'P', ""),
        messages::execute("", 0),
        messages::sync(),
    ];
    pair.send(&begin.concat());
    pair.until(b'G');
    pair.send(&[messages::copy_data(data), messages::copy_done(), messages::sync()].concat());
    pair.ready();
}

const TABLES: [&str; 6] = [
    "SELECT * FROM n ORDER BY id",
    "SELECT * FROM s ORDER BY name COLLATE \"C\", v",
    "SELECT * FROM d ORDER BY day, v",
    "SELECT * FROM u ORDER BY id, v",
    "SELECT * FROM c ORDER BY symbol COLLATE \"C\", price",
    "SELECT * FROM z ORDER BY amount, v",
];

/// COPYs that Postgres takes, in all forms.
#[test]
fn every_row_arrives_once() {
    each("copy_arrives", |world| {
        let mut pair = Pair::new(world);
        let many: String = (1..=500).map(|id| format!("{id}\trow {id}\t{}\n", id % 7)).collect();
        copy(&mut pair, "COPY n FROM STDIN", many.as_bytes());
        copy(
            &mut pair,
            "COPY n (k, id) FROM STDIN",
            b"1\t1001\r\n\\N\t1002\r\n3\t 1003 \r\n\\.\r\nnot read",
        );
        copy(
            &mut pair,
            "copy public.n (t, id) from stdin csv header",
            b"t,id\n\"a\nb\",2001\n\"c,\"\"d\",\"2002\"\n,2003",
        );
        copy(
            &mut pair,
            "COPY n (t, id) FROM STDIN WITH (FORMAT csv, DELIMITER ';', QUOTE '''', ESCAPE '\\', NULL 'x', HEADER match)",
            b"t;id\n'a\\'\n;';2101\nx;'2102'\n\\.\n",
        );
        copy(
            &mut pair,
            "COPY n (t, id) FROM STDIN WITH (HEADER, ENCODING 'UTF8')",
            "t\tid\né\\\t\t\\x33\\060\\61\n".as_bytes(),
        );
        copy(
            &mut pair,
            "COPY s FROM STDIN (FREEZE false)",
            "abc\t1\tx\nabc       \t2\ty\né\t3\tz\nlong blank          \t4\t\n".as_bytes(),
        );
        copy(
            &mut pair,
            "COPY s (v, name) FROM STDIN CSV NULL 'nil' FORCE NOT NULL name",
            b"1,nil\nnil,\"nil\"\n",
        );
        copy(
            &mut pair,
            "COPY d FROM STDIN",
            b"1\t2026-01-01 00:00:00+00\n1.5\t2026-04-30 23:59:59.5-01\n2\t2026-03-01 01:00:00+01\n",
        );
        copy(&mut pair, "COPY d (day) FROM STDIN", b"-infinity\n");
        copy(
            &mut pair,
            "COPY u FROM STDIN",
            b"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\t1\n{A0EEBC999C0B4EF8BB6D6BB9BD380A12}\t2\n",
        );
        copy(
            &mut pair,
            "COPY z FROM STDIN",
            b"1\t1\n2\t1.005\n3\t1e2\n4\t-0.001\n5\t 7.10 \n",
        );
        let symbols: String = (0..3000).map(|row| format!("S{}\t{row}\n", row % 60 + 1)).collect();
        copy(&mut pair, "COPY c FROM STDIN", symbols.as_bytes());
        copy(&mut pair, "COPY n FROM STDIN", b"");
        copy(&mut pair, "COPY n FROM STDIN CSV", b"\\.\n");
        extended(&mut pair, "COPY n FROM STDIN", b"3001\ta\t1\n3002\tb\t2\n");
        pair.ask_all(&TABLES);
    });
}

/// COPYs that Postgres refuses: the same error, with the client's line, and nothing of the rows is there.
#[test]
fn errors_name_the_clients_line() {
    each("copy_errors", |world| {
        let mut pair = Pair::new(world);
        let before = |last: &str| {
            let mut text: String = (1..=40).map(|id| format!("{id}\trow {id}\t{}\n", id % 7)).collect();
            text.push_str(last);
            text.into_bytes()
        };
        for last in [
            "x\ta\t1\n",
            "41\ta\t2000\n",
            "41\ta\tone\n",
            "41\ta\n",
            "41\ta\t1\t2\n",
            "\n",
            "\\N\ta\t1\n",
            "17\tagain\t1\n",
            "99999999999999999999\ta\t1\n",
            "41\ta\t1\r\n",
            "41\ta\t1\n\\.x\n42\tb\t2\n",
            "41\ta\t1\n\\.",
            "41\ta\t1\n\\.\r\n",
            "41\t\\0\t1\n",
            "1.5\ta\t1",
        ] {
            copy(&mut pair, "COPY n FROM STDIN", &before(last));
        }
        copy(
            &mut pair,
            "COPY n FROM STDIN CSV",
            b"1,\"a\nb\",1\n2,\"c\nd\",1\n3,\"e\",1\n4,\"f\nf\",x\n",
        );
        copy(&mut pair, "COPY n FROM STDIN CSV", b"1,a,1\n2,\"b,1\n3,c,1\n");
        copy(&mut pair, "COPY n FROM STDIN CSV HEADER", b"id,t,k\r\n1,a,1\r\n2,b,1\n");
        copy(&mut pair, "COPY n FROM STDIN (HEADER match)", b"id\tt\tl\n1\ta\t1\n");
        copy(&mut pair, "COPY n (t, k) FROM STDIN", b"a\t1\n");
        copy(&mut pair, "COPY s FROM STDIN", b"much too long\t1\tx\n");
        copy(&mut pair, "COPY u FROM STDIN", b"no uuid\t1\n");
        copy(&mut pair, "COPY n FROM STDIN BINARY", b"PGCOPY\n\xff\r\n");
        copy(
            &mut pair,
            "COPY n FROM STDIN BINARY",
            b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x02",
        );
        // Found out at the commit: no tag comes before it.
        copy(&mut pair, "COPY f FROM STDIN", b"1\t1\n2\t2\n3\t3\n1\t4\n");
        copy(&mut pair, "COPY f FROM STDIN", b"1\t1\n2\t2\n3\t3\n");
        extended(&mut pair, "COPY f FROM STDIN", b"4\t1\n5\t2\n5\t3\n");
        pair.ask("SELECT * FROM f ORDER BY id");
        // What is wrong with the statement is said before any row is asked for.
        for sql in [
            "COPY n (id, nothing) FROM STDIN",
            "COPY n (id, id) FROM STDIN",
            "COPY n FROM STDIN (DELIMITER 'ab')",
            "COPY n FROM STDIN (FORMAT csv, QUOTE 'ab')",
            "COPY n FROM STDIN (FORMAT nothing)",
            "COPY u (id, double) FROM STDIN",
        ] {
            pair.ask(sql);
        }
        extended(&mut pair, "COPY n FROM STDIN", b"1\ta\t1\n2\tb\tx\n");
        pair.ask_all(&TABLES);
    });
}

/// In a block, behind other statements, given up by the client.
#[test]
fn copies_are_part_of_their_transaction() {
    each("copy_blocks", |world| {
        let mut pair = Pair::new(world);
        pair.ask("BEGIN");
        copy(&mut pair, "COPY n FROM STDIN", b"1\ta\t1\n2\tb\t2\n3\tc\t3\n");
        pair.ask("SELECT count(*) FROM n");
        pair.ask("ROLLBACK");
        pair.ask("SELECT count(*) FROM n");
        pair.ask("BEGIN");
        copy(&mut pair, "COPY n FROM STDIN", b"1\ta\t1\n2\tb\t2\n3\tc\t3\n");
        copy(&mut pair, "COPY n FROM STDIN", b"4\ta\t1\n4\tb\t2\n");
        pair.ask("SELECT 1");
        pair.ask("COMMIT");
        pair.ask("BEGIN");
        copy(&mut pair, "COPY n FROM STDIN", b"1\ta\t1\n2\tb\t2\n3\tc\t3\n");
        copy(&mut pair, "COPY s FROM STDIN", b"x\t1\tx\n");
        pair.ask("COMMIT");
        // The rest of a message waits for the data.
        pair.send(&messages::query(
            "SELECT 1; COPY n FROM STDIN; SELECT count(*) FROM n; COPY s FROM STDIN",
        ));
        pair.until(b'G');
        pair.send(&[messages::copy_data(b"11\ta\t1\n12\tb\t2\n"), messages::copy_done()].concat());
        pair.until(b'G');
        pair.send(&[messages::copy_data(b"y\t1\ty\nz\t2\tz\n"), messages::copy_done()].concat());
        pair.ready();
        // One of them fails: nothing of the message stays.
        pair.send(&messages::query("COPY n FROM STDIN; COPY s FROM STDIN; SELECT 1"));
        pair.until(b'G');
        pair.send(&[messages::copy_data(b"21\ta\t1\n22\tb\t2\n"), messages::copy_done()].concat());
        pair.until(b'G');
        pair.send(&[messages::copy_data(b"x\tno number\ty\n"), messages::copy_done()].concat());
        pair.ready();
        // Given up.
        pair.send(&messages::query("COPY n FROM STDIN"));
        pair.until(b'G');
        pair.send(
            &[
                messages::copy_data(b"31\ta\t1\n32\tb\t2\n33"),
                messages::copy_fail("enough"),
            ]
            .concat(),
        );
        pair.ready();
        // What is sent behind an error, up to the end, is dropped.
        pair.send(&messages::query("COPY n FROM STDIN"));
        pair.until(b'G');
        pair.send(&messages::copy_data(b"x\ta\t1\n"));
        pair.ready();
        pair.send(
            &[
                messages::copy_data(b"41\ta\t1\n"),
                messages::copy_data(b"42"),
                messages::copy_done(),
            ]
            .concat(),
        );
        pair.ask("SELECT 'still here'");
        // Sync and Flush among the data are swallowed.
        let begin = [
            messages::parse("", "COPY n FROM STDIN", &[]),
            messages::bind("", "", &[], Format::Text),
            messages::execute("", 0),
            messages::sync(),
            messages::flush(),
            messages::copy_data(b"51\ta\t1\n"),
            messages::sync(),
            messages::copy_data(b"52\ta\t1\n"),
            messages::copy_done(),
            messages::sync(),
        ];
        pair.send(&begin.concat());
        pair.ready();
        pair.ask_all(&TABLES);
        // A message that has no place there ends the session.
        pair.send(&messages::query("COPY n FROM STDIN"));
        pair.until(b'G');
        pair.send(&[messages::copy_data(b"61\ta\t1\n"), messages::query("SELECT 1")].concat());
        pair.end();
    });
}

/// COPY TO gives each row once, and one header and one trailer; their order is nobody's promise.
#[test]
fn whole_tables_are_copied_out() {
    each("copy_out", |world| {
        let mut pair = Pair::new(world);
        let rows: String = (1..=300).map(|id| format!("{id},\"row, {id}\",{}\n", id % 7)).collect();
        copy(&mut pair, "COPY n FROM STDIN CSV", rows.as_bytes());
        let (mut ours, mut theirs) = (world.client(), world.oracle());
        for sql in [
            "COPY n TO STDOUT",
            "COPY n (k, id) TO STDOUT WITH (HEADER)",
            "COPY n TO STDOUT CSV HEADER FORCE QUOTE *",
            "COPY n TO STDOUT (FORMAT binary)",
            "COPY BINARY n TO STDOUT",
            "COPY s TO STDOUT (FORMAT binary)",
            "COPY s TO STDOUT CSV HEADER",
            "COPY s TO STDOUT",
            "COPY n (nothing) TO STDOUT",
            "COPY n TO STDOUT (HEADER match)",
        ] {
            let (first, second) = (ours.query(sql), theirs.query(sql));
            assert_eq!(
                in_order(sql, first),
                in_order(sql, second),
                "{sql} over {} shards: the proxy's first",
                world.shards()
            );
            for client in [&mut ours, &mut theirs] {
                let extended = [
                    messages::parse("", sql, &[]),
                    messages::bind("", "", &[], Format::Text),
                    messages::execute("", 0),
                    messages::sync(),
                ];
                client.send(&extended.concat());
            }
            let (first, second) = (ours.read_batch(), theirs.read_batch());
            assert_eq!(
                in_order(sql, first),
                in_order(sql, second),
                "{sql} over {} shards: the proxy's first",
                world.shards()
            );
        }
        // What comes out goes in.
        let binary: Vec<u8> = ours
            .query("COPY n TO STDOUT (FORMAT binary)")
            .iter()
            .filter(|message| message.tag == b'd')
            .flat_map(|message| message.body.clone())
            .collect();
        pair.ask("BEGIN");
        pair.ask("DELETE FROM n WHERE id = 5");
        copy(&mut pair, "COPY n FROM STDIN (FORMAT binary)", &binary);
        pair.ask("ROLLBACK");
    });
}

/// Messages with the data's in an order of their own, but for a header line; a binary header is a message by itself.
fn in_order(sql: &str, messages: Vec<Message>) -> Vec<String> {
    const HEADER_BYTES: usize = 19;
    let mut apart = Vec::new();
    for mut message in messages {
        let binary = message.tag == b'd' && message.body.starts_with(b"PGCOPY\n");
        if binary {
            let rest = message.body.split_off(HEADER_BYTES);
            apart.push(Message {
                tag: b'H',
                body: message.body,
            });
            message.body = rest;
        }
        if !(binary && message.body.is_empty()) {
            apart.push(message);
        }
    }
    let data = |message: &Message| message.tag == b'd';
    let (first, last) = (apart.iter().position(data), apart.iter().rposition(data));
    let mut shown = crate::pair::comparable(&apart);
    if let (Some(first), Some(last)) = (first, last) {
        let header = usize::from(sql.contains("HEADER"));
        shown[first + header..=last].sort();
    }
    shown
}

/// As clients do it: psql's \copy, and pg_dump's output.
#[test]
fn psql_copies() {
    let world = World::start(spec("copy_psql", 3));
    let run = |sql: &str, input: &[u8]| {
        let address = world.proxy().address();
        let mut psql = Command::new("psql")
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                &address.ip().to_string(),
                "-p",
                &address.port().to_string(),
            ])
            .args(["-U", CLIENT_ROLE, "-d", world.database(), "-c", sql])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql runs");
        psql.stdin.take().expect("a pipe").write_all(input).expect("psql reads");
        let output = psql.wait_with_output().expect("psql ends");
        assert!(
            output.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("text")
    };
    let rows: String = (1..=5000)
        .map(|id| format!("{id},\"a\nb {id}\",{}\n", id % 9))
        .collect();
    run(r"\copy n from stdin csv", rows.as_bytes());
    let out = run(r"\copy n to stdout csv", b"");
    let mut rows: Vec<&str> = rows.split_inclusive('\n').collect();
    let mut out: Vec<&str> = out.split_inclusive('\n').collect();
    rows.sort_unstable();
    out.sort_unstable();
    let plain = |lines: Vec<&str>| lines.concat().replace('"', "");
    assert_eq!(plain(out), plain(rows));
}

/// What the proxy can't prove it refuses, with the line, and nothing is written.
#[test]
fn a_key_that_cannot_be_read_is_refused() {
    let world = World::start(spec("copy_refused", 3));
    let mut client = world.client();
    let mut refused = |sql: &str, data: &[u8]| {
        client.send(&messages::query(sql));
        let mut answer = client.read_until(b'G');
        if answer.last().is_some_and(|last| last.tag == b'G') {
            client.send(&[messages::copy_data(data), messages::copy_done()].concat());
            answer = client.read_batch();
        } else {
            panic!("{sql}: {answer:?}");
        }
        let error = answer.into_iter().find(|message| message.tag == b'E');
        let error = error.unwrap_or_else(|| panic!("{sql} was taken"));
        let fields = error.fields();
        (error.code(), fields.get(&'W').cloned().unwrap_or_default())
    };
    let line = |line: usize, table: &str| format!("COPY {table}, line {line}");
    let dates = b"1\t2026-01-01 00:00:00+00\n1\tyesterday\n";
    assert_eq!(refused("COPY d FROM STDIN", dates), ("0A000".to_owned(), line(2, "d")));
    assert_eq!(
        refused("COPY c FROM STDIN", b"S1\t1\nS2\t2\nS99\t3\n"),
        ("23514".to_owned(), line(3, "c"))
    );
    let latin = refused("COPY s FROM STDIN (ENCODING 'LATIN1')", b"abc\t1\tx\n\xe9\t2\ty\n");
    assert_eq!(latin, ("0A000".to_owned(), line(2, "s")));
    // An error of a row before it comes first.
    let before = refused("COPY d FROM STDIN", b"x\t2026-01-01 00:00:00+00\n1\tyesterday\n");
    assert_eq!(before.0, "22P02");
    for table in ["d", "c", "s", "z"] {
        assert_eq!(client.value(&format!("SELECT count(*) FROM {table}")), "0", "{table}");
    }
}

/// A client that vanishes in the middle, and a backend that does: nothing is there afterwards.
#[test]
fn nothing_stays_of_half_a_copy() {
    let world = World::start(spec("copy_half", 3));
    let rows: String = (1..=2000).map(|id| format!("{id}\trow {id}\t{}\n", id % 7)).collect();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY n FROM%' AND state = 'active'";
    let begin = |client: &mut Client| {
        client.send(&messages::query("COPY n FROM STDIN"));
        client.read_until(b'G');
        client.send(&messages::copy_data(rows.as_bytes()));
    };
    let mut vanishing = world.client();
    begin(&mut vanishing);
    drop(vanishing);
    for shard in 0..3 {
        world.wait_on_shard(shard, open, "0");
    }
    let mut client = world.client();
    assert_eq!(client.value("SELECT count(*) FROM n"), "0");
    begin(&mut client);
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY n FROM%' AND state = 'active'";
    assert_eq!(world.shard(1).rows(end), [["t"]]);
    let answer = client.read_batch();
    let error = answer
        .iter()
        .find(|message| message.tag == b'E')
        .expect("the COPY fails");
    assert!(
        error.code().starts_with("57P") || error.code().starts_with("08"),
        "{error:?}"
    );
    client.send(&[messages::copy_data(b"5000\tx\t1\n"), messages::copy_done()].concat());
    assert_eq!(client.value("SELECT count(*) FROM n"), "0");
    // A cancel request reaches it while it waits for data.
    begin(&mut client);
    let (process, secret) = client.cancel_key();
    Client::dial(world.proxy().address()).send(&messages::cancel(process, &secret));
    let answer = client.read_batch();
    let error = answer
        .iter()
        .find(|message| message.tag == b'E')
        .expect("the COPY fails");
    assert_eq!(error.code(), "57014");
    client.send(&messages::copy_done());
    assert_eq!(client.value("SELECT count(*) FROM n"), "0");
}

/// A long stream needs no more memory than a short one, and a shard that doesn't read stops the client.
#[test]
fn a_long_stream_is_not_kept() {
    let world = World::start(spec("copy_long", 3));
    let mut client = world.client();
    let before = world.proxy().resident_bytes();
    let mut most = 0;
    client.rows("BEGIN");
    client.send(&messages::query("COPY s (v, name, note) FROM STDIN"));
    client.read_until(b'G');
    let filler = "x".repeat(3000);
    let mut sent = 0;
    let mut row = 0;
    while sent < 200 << 20 {
        let mut piece = String::new();
        for _ in 0..20 {
            row += 1;
            piece.push_str(&format!("{row}\tn{row}\t{filler}\n"));
        }
        sent += piece.len();
        client.send(&messages::copy_data(piece.as_bytes()));
        most = most.max(world.proxy().resident_bytes());
    }
    client.send(&messages::copy_done());
    let answer = client.read_batch();
    let tag = answer.iter().find(|message| message.tag == b'C').expect("a tag");
    assert_eq!(tag.text(), format!("COPY {row}"));
    client.rows("ROLLBACK");
    let grown = most.saturating_sub(before);
    assert!(grown < 24 << 20, "the proxy grew by {grown} bytes");
}
