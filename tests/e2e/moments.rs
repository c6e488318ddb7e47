//! A transaction's `now()` is that of the shard that it began on, on whichever shard it is read (`planning.md` 128).
//!
//! Why by equality of what was written and read: no clock is compared with another, so nothing here depends on time.

use crate::client::Client;
use crate::messages::{sync, unnamed};
use crate::world::{Spec, World};

const CLOCKS: Spec<'_> = Spec {
    name: "",
    shards: 3,
    layout: "functions: {public.stamp: keeps_key, public.count_up: keeps_key, public.stamped: local, public.twice: pure}\n\
        keyspaces:\n  k: {strategy: hash, type: bigint, buckets: 32}\n\
        tables:\n  clocks: {keyspace: k, key: k}\n  stamps: {keyspace: k, key: k}\n  counts: {keyspace: k, key: k}\n  \
        kinds: {reference: true}\n  journal: {unsharded: s2}\n",
    settings: "",
    schema: "CREATE TABLE clocks (k bigint PRIMARY KEY, at timestamptz DEFAULT now(), day date DEFAULT CURRENT_DATE, \
            local timestamp DEFAULT LOCALTIMESTAMP, later timestamptz DEFAULT (now() + '01:00:00'::interval), note text); \
        CREATE TABLE stamps (k bigint PRIMARY KEY, at timestamptz); \
        CREATE TABLE counts (k bigint PRIMARY KEY, n int); \
        CREATE TABLE kinds (id bigint PRIMARY KEY, at timestamptz DEFAULT now()); \
        CREATE TABLE journal (id bigserial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now(), what text); \
        CREATE VIEW recent AS SELECT k, at, now() AS seen FROM clocks; \
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := now(); RETURN NEW; END'; \
        CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END'; \
        CREATE FUNCTION stamped(bigint) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT coalesce(at, now()) FROM clocks WHERE k = $1'; \
        CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'; \
        CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamps FOR EACH ROW EXECUTE FUNCTION stamp(); \
        CREATE TRIGGER count_up BEFORE INSERT OR UPDATE ON counts FOR EACH ROW EXECUTE FUNCTION count_up();",
    data: "",
};

/// As many keys as are sure to lie on all shards.
const KEYS: std::ops::Range<u64> = 0..12;

fn clocks(name: &str) -> (World, Client) {
    let world = World::start(Spec { name, ..CLOCKS });
    let client = world.client();
    (world, client)
}

/// With a row for each key.
fn filled(name: &str) -> (World, Client) {
    let (world, mut client) = clocks(name);
    for k in KEYS {
        client.rows(&format!("INSERT INTO clocks (k) VALUES ({k})"));
    }
    (world, client)
}

/// How a statement is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Simple,
    Extended,
}

fn send(client: &mut Client, how: How, sql: &str) {
    match how {
        How::Simple => {
            client.rows(sql);
        }
        How::Extended => {
            client.send(&[unnamed(sql, &[]), sync()].concat());
            let answer = client.read_batch();
            let failed = answer.iter().find(|message| message.tag == b'E');
            assert!(
                failed.is_none(),
                "{sql}: {:?}",
                failed.map(crate::messages::Message::text)
            );
        }
    }
}

/// Each key's row was written at the block's moment, by each of its names.
fn one_moment(client: &mut Client, columns: &str) {
    let rows = client.rows(&format!("SELECT count(*), {columns} FROM clocks"));
    let row = rows.first().expect("one row");
    assert_eq!(row[0], KEYS.count().to_string());
    for pair in row[1..].chunks(2) {
        assert_eq!(pair[0], pair[1], "{columns}");
    }
}

#[test]
fn rows_of_late_shards_have_the_blocks_moment() {
    let (_world, mut client) = clocks("m_rows");
    let all = "min(at), max(at), min(day), max(day), min(local), max(local), min(later), max(later)";
    let inserts = [
        ("INSERT INTO clocks (k) VALUES ({k})", all),
        ("INSERT INTO clocks VALUES ({k})", all),
        (
            "INSERT INTO clocks (k, note) VALUES ({k}, 'see you tomorrow') RETURNING at",
            all,
        ),
        ("INSERT INTO clocks (k, at, later) VALUES ({k}, DEFAULT, DEFAULT)", all),
        (
            "INSERT INTO clocks (k, at, day) VALUES ({k}, now(), CURRENT_DATE), (100 + {k}, DEFAULT, DEFAULT)",
            "min(at), max(at), min(day), max(day)",
        ),
        (
            "INSERT INTO clocks (k, at) VALUES ({k}, CURRENT_TIMESTAMP(3)) ON CONFLICT DO NOTHING",
            "min(at), max(at)",
        ),
        (
            "INSERT INTO clocks (k, at) VALUES ({k}, transaction_timestamp() + interval '1 day')",
            "min(at), max(at)",
        ),
        (
            "INSERT INTO clocks (k, at, day, local, later) SELECT {k}, now(), current_date, localtimestamp, now()",
            "min(at), max(later)",
        ),
        (
            "INSERT INTO clocks (k, at) VALUES ({k}, now()) ON CONFLICT (k) DO UPDATE SET at = now()",
            "min(at), max(at)",
        ),
    ];
    for (insert, columns) in inserts {
        for how in [How::Simple, How::Extended] {
            client.rows("BEGIN");
            for k in KEYS {
                send(&mut client, how, &insert.replace("{k}", &k.to_string()));
            }
            client.rows("DELETE FROM clocks WHERE k >= 100 AND k = 100");
            let rows = client.rows(&format!("SELECT {columns} FROM clocks"));
            for pair in rows[0].chunks(2) {
                assert_eq!(pair[0], pair[1], "{insert} {how:?}");
            }
            client.rows("ROLLBACK");
        }
    }
    for k in KEYS {
        client.rows(&format!(
            "INSERT INTO clocks (k, at, day, local, later) VALUES ({k}, NULL, NULL, NULL, NULL)"
        ));
    }
    let updates = [
        ("UPDATE clocks SET at = now() WHERE k = {k}", "min(at), max(at)"),
        (
            "UPDATE clocks SET at = DEFAULT, later = DEFAULT WHERE k = {k}",
            "min(at), max(at), min(later), max(later)",
        ),
        (
            "UPDATE clocks SET (at, day) = (current_timestamp, DEFAULT), note = 'today' WHERE k = {k}",
            "min(at), max(at), min(day), max(day)",
        ),
        (
            "WITH n AS (SELECT now() AS t) UPDATE clocks SET at = n.t FROM n WHERE k = {k}",
            "min(at), max(at)",
        ),
    ];
    for (update, columns) in updates {
        for how in [How::Simple, How::Extended] {
            client.rows("BEGIN");
            for k in KEYS {
                send(&mut client, how, &update.replace("{k}", &k.to_string()));
            }
            one_moment(&mut client, columns);
            client.rows("ROLLBACK");
        }
    }
}

#[test]
fn a_late_shard_is_asked_for_the_blocks_moment() {
    let (_world, mut client) = filled("m_reads");
    let reads = [
        "SELECT now() FROM clocks WHERE k = {k}",
        "SELECT now()",
        "SELECT CURRENT_TIMESTAMP",
        "SELECT 'now'::timestamptz",
        "SELECT (SELECT now() FROM clocks WHERE k = {k})",
        "SELECT max(n.t) FROM clocks, (SELECT now() AS t) n WHERE k = {k}",
        "SELECT now() - interval '0' FROM clocks WHERE k = {k} AND at < now() FOR UPDATE",
        "SELECT CASE WHEN k < 0 THEN at ELSE now() END FROM clocks WHERE k = {k}",
    ];
    for how in [How::Simple, How::Extended] {
        client.rows("BEGIN");
        let moment = client.value("SELECT at + (now() - at) FROM clocks WHERE k = 0");
        for read in reads {
            for k in KEYS {
                let sql = read.replace("{k}", &k.to_string());
                match how {
                    How::Simple => assert_eq!(client.value(&sql), moment, "{sql}"),
                    How::Extended => {
                        client.send(&[unnamed(&sql, &[]), sync()].concat());
                        let answer = client.read_batch();
                        let row = answer.iter().find(|message| message.tag == b'D').expect(&sql);
                        assert_eq!(row.values(), [Some(moment.clone().into_bytes())], "{sql}");
                    }
                }
            }
        }
        client.rows("DECLARE c CURSOR FOR SELECT now() FROM clocks WHERE k IN (4, 1)");
        for row in client.rows("FETCH ALL FROM c") {
            assert_eq!(row[0], moment);
        }
        client.rows("COMMIT");
    }
    // Names of columns are those of the client's text.
    client.rows("BEGIN");
    client.rows("SELECT at FROM clocks WHERE k = 1");
    for k in KEYS {
        for (expression, name) in [
            ("now()", "now"),
            ("now()::text", "now"),
            ("CURRENT_DATE", "current_date"),
            ("pg_catalog.now()", "now"),
            ("localtimestamp(2)", "localtimestamp"),
            ("(now())", "now"),
            ("coalesce(at, now())", "coalesce"),
            ("CASE WHEN k = 0 THEN at ELSE now() END", "now"),
            ("(SELECT now())", "now"),
            ("now() + interval '1 day'", "?column?"),
        ] {
            let answer = client.query(&format!("SELECT {expression} FROM clocks WHERE k = {k}"));
            let columns = answer
                .iter()
                .find(|message| message.tag == b'T')
                .map(|message| message.columns());
            let columns = columns.unwrap_or_else(|| panic!("{expression}: {:?}", answer.first().map(|m| m.text())));
            assert_eq!(columns[0].name, name, "{expression} of {k}");
        }
    }
    client.rows("ROLLBACK");
}

/// A batch of the extended protocol is a transaction too.
#[test]
fn a_pipelined_batch_has_one_now() {
    let (_world, mut client) = clocks("m_pipe");
    let insert = "INSERT INTO clocks (k, at) VALUES ($1, now()) RETURNING at";
    let mut batch: Vec<u8> = KEYS.flat_map(|k| unnamed(insert, &[&k.to_string()])).collect();
    batch.extend(unnamed("SELECT now() FROM clocks", &[]));
    batch.extend(sync());
    client.send(&batch);
    let answer = client.read_batch();
    let rows: Vec<_> = answer
        .iter()
        .filter(|message| message.tag == b'D')
        .map(|message| message.values())
        .collect();
    assert_eq!(rows.len(), 2 * KEYS.count());
    assert!(rows.iter().all(|row| *row == rows[0]), "{rows:?}");
    // Begun by a read of all shards.
    let mut batch = unnamed("SELECT now() FROM clocks", &[]);
    batch.extend(KEYS.flat_map(|k| {
        unnamed(
            "UPDATE clocks SET at = now() WHERE k = $1 RETURNING at",
            &[&k.to_string()],
        )
    }));
    batch.extend(unnamed("SELECT now() FROM clocks", &[]));
    batch.extend(sync());
    client.send(&batch);
    let answer = client.read_batch();
    let rows: Vec<_> = answer
        .iter()
        .filter(|message| message.tag == b'D')
        .map(|message| message.values())
        .collect();
    assert_eq!(rows.len(), 3 * KEYS.count());
    assert!(rows.iter().all(|row| *row == rows[0]), "{rows:?}");
}

#[test]
fn copies_and_one_shards_tables_have_the_blocks_moment() {
    let (_world, mut client) = clocks("m_others");
    for first in 0..6 {
        client.rows("BEGIN");
        client.rows(&format!("INSERT INTO clocks (k) VALUES ({first})"));
        client.rows("INSERT INTO journal (what) VALUES ('a'), ('b')");
        client.rows("INSERT INTO journal VALUES (DEFAULT, DEFAULT, 'c')");
        client.rows("INSERT INTO kinds (id) VALUES (1)");
        client.rows("INSERT INTO kinds VALUES (2, now())");
        let rows =
            client.rows("SELECT at FROM journal UNION ALL SELECT at FROM kinds UNION ALL SELECT now() FROM journal");
        let moment = client.value(&format!("SELECT at FROM clocks WHERE k = {first}"));
        assert_eq!(rows.len(), 8);
        assert!(rows.iter().all(|row| row[0] == moment), "{rows:?} {moment}");
        client.rows("ROLLBACK");
    }
}

/// What reads the moment where no constant can stand for it is refused, on a late shard only.
#[test]
fn what_hides_its_moment_is_refused_on_late_shards() {
    let (_world, mut client) = filled("m_hidden");
    let hidden = [
        "INSERT INTO stamps (k) VALUES ({k})",
        "UPDATE stamps SET at = NULL WHERE k = {k}",
        "SELECT seen FROM recent WHERE k = {k}",
        "SELECT stamped(k) FROM clocks WHERE k = {k}",
        "INSERT INTO clocks (k, at) VALUES (1000 + {k}, 'now')",
        "UPDATE clocks SET day = 'today' WHERE k = {k}",
        "SELECT k FROM clocks WHERE at > 'yesterday' AND k = {k}",
        "INSERT INTO clocks (k) SELECT 1000 + {k}",
        "SELECT age(at) FROM clocks WHERE k = {k}",
    ];
    for sql in hidden {
        let refused: Vec<bool> = KEYS
            .map(|k| {
                client.rows("BEGIN");
                client.rows("SELECT at FROM clocks WHERE k = 1");
                let answer = client.query(&sql.replace("{k}", &k.to_string()));
                let failed = answer.iter().find(|message| message.tag == b'E');
                if let Some(failed) = failed {
                    assert_eq!(failed.code(), "0A000", "{sql}: {}", failed.text());
                    assert!(failed.fields().contains_key(&'H'), "{sql}");
                }
                client.rows("ROLLBACK");
                failed.is_some()
            })
            .collect();
        assert!(refused.contains(&true), "{sql} on late shards");
        assert!(refused.contains(&false), "{sql} on the first shard");
    }
    // Nothing of it reads the moment.
    let plain = [
        "INSERT INTO counts (k, n) VALUES (1000 + {k}, 1)",
        "SELECT twice(3) FROM clocks WHERE k = {k}",
        "UPDATE clocks SET note = 'now' WHERE k = {k} AND note = 'today'",
        "SELECT note FROM clocks WHERE note = 'now or never, tomorrow' AND k = {k}",
        "INSERT INTO clocks (k, at, day, local, later, note) SELECT 1000 + {k}, NULL, NULL, NULL, NULL, 'x'",
    ];
    for sql in plain {
        client.rows("BEGIN");
        client.rows("SELECT at FROM clocks WHERE k = 1");
        for k in KEYS {
            client.rows(&sql.replace("{k}", &k.to_string()));
        }
        client.rows("ROLLBACK");
    }
}
