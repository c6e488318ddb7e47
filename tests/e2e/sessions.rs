//! `sessions.md`, rule by rule: sequences of messages that break poolers, given to the proxy and to a plain Postgres.
//!
//! Each runs before one shard and before two, on a table that lives on one of them (`t`) and on one that is spread (`h`).

use std::io::{Read, Write};

use crate::client::Client;
use crate::messages::{
    Format, bind, close, copy_data, copy_done, copy_fail, describe, execute, flush, frame, parse, query, ssl_request,
    startup, sync, terminate, unnamed,
};
use crate::pair::Pair;
use crate::world::{CLIENT_ROLE, Spec, World, wait_for};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    CREATE TABLE h (id int PRIMARY KEY, v text);
    CREATE TABLE late (id int, CONSTRAINT late_once UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
    CREATE SEQUENCE numbers;";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  t: {unsharded: {{s0}}}
  late: {unsharded: {{s0}}}
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) i; INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

/// Runs a story before one shard and before two.
fn both(name: &str, story: impl Fn(&World)) {
    for shards in [1, 2] {
        let database = format!("{name}_{shards}");
        let spec = Spec {
            name: &database,
            shards,
            layout: LAYOUT,
            settings: "",
            schema: SCHEMA,
            data: DATA,
        };
        story(&World::start(spec));
    }
}

/// Parse, Bind, Describe and Execute of an unnamed statement, without Sync.
fn extended(sql: &str) -> Vec<u8> {
    unnamed(sql, &[])
}

/// What both sides hold in the end.
fn same_rows(world: &World) {
    let mut pair = Pair::new(world);
    pair.ask_all(&[
        "SELECT * FROM t ORDER BY id",
        "SELECT * FROM h ORDER BY id",
        "SELECT * FROM late ORDER BY id",
    ]);
}

#[test]
fn rule_1_the_block_is_judged_by_the_clients_statements() {
    both("s1", |world| {
        let mut pair = Pair::new(world);
        pair.ask_all(&[
            "INSERT INTO t VALUES (20, 'a'); COMMIT; INSERT INTO t VALUES (21, 'b'); SELECT 1/0",
            "INSERT INTO t VALUES (22, 'c'); BEGIN",
            "INSERT INTO t VALUES (23, 'd')",
            "ROLLBACK",
            "SELECT 1; SAVEPOINT a",
            "INSERT INTO t VALUES (24, 'e'); COMMIT AND CHAIN",
            "INSERT INTO t VALUES (25, 'f'); COMMIT; SELEC",
            "BEGIN; SELECT 1/0; SELECT 2",
            "SELECT 3",
            "COMMIT",
            "SELECT 1; ROLLBACK; SELECT 2",
            "BEGIN; COMMIT; BEGIN; INSERT INTO t VALUES (26, 'g'); COMMIT",
        ]);
        // Without a Sync in between it is one transaction with what follows.
        pair.send(&extended("INSERT INTO t VALUES (27, 'h')"));
        pair.ask("SELECT count(*) FROM t; SELECT 1/0");
        pair.ask("SELECT count(*) FROM t");
        pair.send(
            &[
                extended("INSERT INTO t VALUES (28, 'i')"),
                extended("BEGIN"),
                extended("INSERT INTO t VALUES (29, 'j')"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.ask("ROLLBACK");
        // COMMIT inside a pipeline ends the implicit transaction.
        pair.send(
            &[
                extended("INSERT INTO t VALUES (30, 'k')"),
                extended("COMMIT"),
                extended("SELECT 1/0"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(
            &[
                extended("INSERT INTO t VALUES (31, 'k')"),
                extended("SELECT 1/0"),
                extended("SELECT 1"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        same_rows(world);
    });
}

#[test]
fn rule_2_and_4_what_the_end_of_a_connection_means() {
    both("s2", |world| {
        // A half batch, answered, never synced: gone.
        let mut pair = Pair::new(world);
        pair.send(&[extended("INSERT INTO t VALUES (40, 'never')"), flush()].concat());
        pair.until(b'C');
        drop(pair);
        // A half batch at half close: gone, too.
        let mut pair = Pair::new(world);
        pair.send(&extended("INSERT INTO t VALUES (41, 'never')"));
        pair.half_close();
        pair.end();
        // Query and Terminate in one write: it stays.
        let mut pair = Pair::new(world);
        pair.send(&[query("INSERT INTO t VALUES (42, 'stays')"), terminate()].concat());
        pair.end();
        // Everything sent before a half close is answered.
        let mut pair = Pair::new(world);
        pair.send(
            &[
                query("INSERT INTO t VALUES (43, 'stays')"),
                extended("SELECT 1"),
                sync(),
                query("SELECT count(*) FROM h"),
            ]
            .concat(),
        );
        pair.half_close();
        pair.end();
        // An open transaction is rolled back.
        let mut pair = Pair::new(world);
        pair.ask_all(&["BEGIN", "INSERT INTO t VALUES (44, 'never')"]);
        pair.send(&terminate());
        pair.end();
        world.wait_on_shard(0, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'", "0");
        same_rows(world);
    });
}

#[test]
fn rule_3_and_5_local_answers_keep_their_place() {
    both("s3", |world| {
        let mut pair = Pair::new(world);
        let insert = "INSERT INTO t VALUES (1, 'duplicate')";
        pair.send(
            &[
                parse("s1", "SELECT 11", &[]),
                extended(insert),
                parse("s2", "SELECT 12", &[]),
                close(b'S', "s1"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        for name in ["s1", "s2"] {
            pair.send(&[bind("", name, &[], Format::Text), execute("", 0), sync()].concat());
            pair.ready();
        }
        pair.send(
            &[
                extended("SELECT 1"),
                extended("BEGIN"),
                extended("SELECT v FROM t WHERE id = 2"),
                extended("SET application_name = 'x'"),
                extended("COMMIT"),
                extended("SHOW application_name"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(
            &[
                query("SELECT 1"),
                query("BEGIN"),
                query("SELECT v FROM h WHERE id = 3"),
                query("COMMIT"),
                extended("SELECT 2"),
                sync(),
                sync(),
                query(""),
            ]
            .concat(),
        );
        for _ in 0..7 {
            pair.ready();
        }
        // An error in a local answer skips to Sync as well.
        pair.send(
            &[
                extended("SET nothing_like_it = 1"),
                extended("SELECT 1"),
                close(b'S', "nothing"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(
            &[
                bind("", "nothing", &[], Format::Text),
                execute("", 0),
                parse("s3", "SELECT 13", &[]),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(&[bind("", "s3", &[], Format::Text), execute("", 0), sync()].concat());
        pair.ready();
        pair.send(&[execute("no portal", 0), sync()].concat());
        pair.ready();
        pair.send(&[describe(b'S', "no statement"), sync()].concat());
        pair.ready();
        pair.send(&[describe(b'P', "no portal"), sync()].concat());
        pair.ready();
        pair.send(&[parse("s3", "SELECT 14", &[]), sync()].concat());
        pair.ready();
        pair.send(&[parse("bad", "SELEC", &[]), parse("good", "SELECT 1", &[]), sync()].concat());
        pair.ready();
        // Parse and Describe with Flush are answered without a Sync.
        pair.send(
            &[
                parse("s5", "SELECT id, v FROM t WHERE id = $1", &[]),
                describe(b'S', "s5"),
                flush(),
            ]
            .concat(),
        );
        pair.until(b'T');
        pair.send(&sync());
        pair.ready();
        pair.send(
            &[
                parse("s6", "INSERT INTO t VALUES ($1, $2)", &[]),
                describe(b'S', "s6"),
                flush(),
            ]
            .concat(),
        );
        pair.until(b'n');
        pair.send(&sync());
        pair.ready();
    });
}

/// ReadyForQuery goes out when it is due, whatever the next statement waits for: a lock, on one shard or on several, or a
/// backend.
#[test]
fn rule_5_an_answer_does_not_wait_for_the_next_one() {
    both("s5", |world| {
        let mut holders = [world.client(), world.oracle()];
        for holder in &mut holders {
            holder.rows("BEGIN");
            holder.rows("UPDATE t SET v = 'held' WHERE id = 1");
            holder.rows("UPDATE h SET v = 'held' WHERE id = 1");
            holder.rows("UPDATE t SET v = 'held' WHERE id = 3");
        }
        let batches: [fn(&str) -> Vec<u8>; 2] = [query, |sql| [extended(sql), sync()].concat()];
        let waits = ["UPDATE t SET v = 'x' WHERE id = 1", "UPDATE h SET v = 'x' WHERE id = 1"];
        let mut pairs = Vec::new();
        for sql in waits {
            for batch in batches {
                let mut pair = Pair::new(world);
                pair.send(
                    &[
                        batch("SELECT 'first'"),
                        batch("SELECT v FROM t WHERE id = 2"),
                        batch(sql),
                    ]
                    .concat(),
                );
                pair.ready();
                pair.ready();
                pairs.push(pair);
            }
        }
        // A block has its own way, and a row of its own, which it keeps to its end.
        let mut pair = Pair::new(world);
        let keeps = "UPDATE t SET v = 'x' WHERE id = 3";
        pair.send(&[query("BEGIN"), query("SELECT count(*) FROM h"), query(keeps)].concat());
        pair.ready();
        pair.ready();
        for holder in &mut holders {
            holder.rows("COMMIT");
        }
        pairs.iter_mut().for_each(|pair| drop(pair.ready()));
        pair.ready();
        pair.ask("COMMIT");
        same_rows(world);
    });
}

#[test]
fn rule_6_to_8_transaction_control_and_deferred_errors() {
    both("s6", |world| {
        let mut pair = Pair::new(world);
        let gid = format!("{}_gid", world.database());
        pair.ask_all(&[
            "/* a comment */ BEGIN",
            "INSERT INTO t VALUES (60, 'a')",
            "-- another\nCOMMIT",
            "bEgIn TrAnSaCtIoN rEaD oNlY",
            "INSERT INTO t VALUES (61, 'b')",
            "abort work",
            "START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
            "SHOW transaction_isolation",
            "SELECT v FROM t WHERE id = 1",
            "COMMIT AND CHAIN",
            "SHOW transaction_isolation",
            "SHOW transaction_read_only",
            "END",
            "BEGIN",
            "SELECT 1/0",
            "ROLLBACK AND CHAIN",
            "SELECT 1",
            "COMMIT",
            "BEGIN",
            "INSERT INTO t VALUES (62, 'c')",
        ]);
        // Over several shards the proxy alone prepares transactions, so far.
        if world.database().ends_with('1') {
            pair.ask(&format!("PREPARE TRANSACTION '{gid}'"));
            pair.ask("SELECT count(*) FROM t WHERE id = 62");
            pair.ask(&format!("COMMIT PREPARED '{gid}'"));
            pair.ask(&format!("ROLLBACK PREPARED '{gid}'"));
        } else {
            pair.ask("COMMIT");
        }
        pair.ask("SELECT count(*) FROM t WHERE id = 62");
        // 8: an error that COMMIT brings.
        pair.ask_all(&[
            "INSERT INTO late VALUES (1); INSERT INTO late VALUES (1)",
            "INSERT INTO late VALUES (2)",
            "BEGIN",
            "INSERT INTO late VALUES (2)",
            "COMMIT",
            "BEGIN",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "INSERT INTO late VALUES (2)",
            "ROLLBACK",
        ]);
        pair.send(
            &[
                extended("INSERT INTO late VALUES (3)"),
                extended("INSERT INTO late VALUES (3)"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(&[extended("INSERT INTO late VALUES (2)"), sync()].concat());
        pair.ready();
        same_rows(world);
    });
}

#[test]
fn rule_9_copy() {
    both("s9", |world| {
        let mut pair = Pair::new(world);
        let rows = || [copy_data(b"70\tcopied\n"), copy_data(b"71\tcop"), copy_data(b"ied\n")].concat();
        // The Sync behind the Execute is swallowed.
        pair.send(&[extended("COPY t FROM STDIN"), sync(), rows(), copy_done(), sync()].concat());
        pair.ready();
        // With no such table there is no COPY that could swallow it.
        pair.send(&[extended("COPY nowhere FROM STDIN"), sync(), rows(), copy_done(), sync()].concat());
        pair.ready();
        pair.ready();
        pair.send(&query("COPY t FROM STDIN"));
        pair.until(b'G');
        pair.send(&[copy_data(b"72\tx\n"), copy_fail("changed my mind")].concat());
        pair.ready();
        pair.send(&query("COPY t FROM STDIN"));
        pair.until(b'G');
        pair.send(&[flush(), copy_data(b"73\tx\n"), sync(), copy_data(b"\\.\n"), copy_done()].concat());
        pair.ready();
        // An error in the middle; what still comes is dropped.
        pair.send(&query("COPY t FROM STDIN"));
        pair.until(b'G');
        pair.send(&[copy_data(b"no number\tx\n"), copy_data(b"74\tx\n"), copy_done()].concat());
        pair.ready();
        pair.ask("SELECT 1");
        // CopyData outside a COPY is ignored.
        pair.send(&[copy_data(b"75\tx\n"), copy_done(), copy_fail("what")].concat());
        pair.ask("SELECT 2");
        pair.ask("COPY t TO STDOUT");
        pair.send(&[extended("COPY (SELECT id FROM t WHERE id < 3) TO STDOUT"), sync()].concat());
        pair.ready();
        pair.send(&query("COPY t FROM STDIN; SELECT 1/0"));
        pair.until(b'G');
        pair.send(&[copy_data(b"77\tx\n"), copy_done()].concat());
        pair.ready();
        same_rows(world);
        // A Query inside a COPY ends the connection.
        let mut pair = Pair::new(world);
        pair.send(&query("COPY t FROM STDIN"));
        pair.until(b'G');
        pair.send(&query("SELECT 1"));
        pair.end();
        same_rows(world);
    });
}

#[test]
fn rule_9_a_copy_in_a_batch_waits_for_its_data() {
    both("s9b", |world| {
        let mut pair = Pair::new(world);
        pair.send(&query("SELECT 1; COPY t FROM STDIN; SELECT count(*) FROM t"));
        pair.until(b'G');
        pair.send(&[copy_data(b"76\tx\n"), copy_done()].concat());
        pair.ready();
        same_rows(world);
    });
}

#[test]
fn rule_10_portals_and_row_limits() {
    both("s10", |world| {
        let mut pair = Pair::new(world);
        for table in ["t", "h"] {
            let sql = format!("SELECT id FROM {table} ORDER BY id");
            pair.send(
                &[
                    parse("", &sql, &[]),
                    bind("", "", &[], Format::Text),
                    execute("", 4),
                    execute("", 3),
                    execute("", 0),
                    execute("", 1),
                    sync(),
                ]
                .concat(),
            );
            pair.ready();
            pair.ask("BEGIN");
            pair.send(
                &[
                    parse("", &sql, &[]),
                    bind("p", "", &[], Format::Text),
                    execute("p", 2),
                    sync(),
                ]
                .concat(),
            );
            pair.ready();
            pair.ask("SELECT v FROM t WHERE id = 5");
            pair.send(&[execute("p", 2), sync()].concat());
            pair.ready();
            pair.send(&[close(b'P', "p"), execute("p", 2), sync()].concat());
            pair.ready();
            pair.ask("COMMIT");
            pair.send(&[execute("p", 2), sync()].concat());
            pair.ready();
        }
        // A portal ends with its transaction, a statement doesn't.
        pair.send(
            &[
                parse("keeps", "SELECT 1", &[]),
                bind("q", "keeps", &[], Format::Text),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        pair.send(&[execute("q", 0), sync()].concat());
        pair.ready();
        pair.send(&[bind("", "keeps", &[], Format::Binary), execute("", 0), sync()].concat());
        pair.ready();
        // The unnamed statement ends with a Query.
        pair.send(&[parse("", "SELECT 7", &[]), sync()].concat());
        pair.ready();
        pair.send(&[bind("", "", &[], Format::Text), execute("", 0), sync()].concat());
        pair.ready();
        pair.ask("SELECT 8");
        pair.send(&[bind("", "", &[], Format::Text), execute("", 0), sync()].concat());
        pair.ready();
    });
}

#[test]
fn rule_11_and_12_settings_at_the_start_of_a_transaction() {
    both("s11", |world| {
        let mut pair = Pair::new(world);
        pair.ask_all(&[
            "BEGIN",
            "SET default_transaction_isolation = 'serializable'",
            "SHOW transaction_isolation",
            "SELECT v FROM t WHERE id = 1",
            "COMMIT",
            "BEGIN",
            "SHOW transaction_isolation",
            "COMMIT",
            "RESET default_transaction_isolation",
            "BEGIN",
            "SAVEPOINT a",
            "SET LOCAL application_name = 'inside'",
            "SAVEPOINT b",
            "INSERT INTO t VALUES (80, 'x')",
            "ROLLBACK TO b",
            "SHOW application_name",
            "INSERT INTO t VALUES (81, 'x')",
            "ROLLBACK TO a",
            "SHOW application_name",
            "COMMIT",
            "SHOW application_name",
            "BEGIN",
            "SELECT 1",
            "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "ROLLBACK",
            "BEGIN",
            "SET TRANSACTION READ ONLY",
            "INSERT INTO t VALUES (82, 'x')",
            "ROLLBACK",
            "BEGIN",
            "SET nothing_like_it = 1",
            "SELECT v FROM t WHERE id = 1",
            "ROLLBACK",
        ]);
        same_rows(world);
    });
}

#[test]
fn rule_13_to_15_prepared_statements() {
    both("s13", |world| {
        let mut pair = Pair::new(world);
        let run = |pair: &mut Pair, name: &str| {
            pair.send(&[bind("", name, &[], Format::Text), execute("", 0), sync()].concat());
            pair.ready();
        };
        // 13: a literal is read when it is parsed.
        pair.ask("SET DateStyle = 'ISO, MDY'");
        pair.send(&[parse("mdy", "SELECT '01/02/2020'::date", &[]), sync()].concat());
        pair.ready();
        pair.ask("SET DateStyle = 'ISO, DMY'");
        pair.send(&[parse("dmy", "SELECT '01/02/2020'::date", &[]), sync()].concat());
        pair.ready();
        run(&mut pair, "mdy");
        run(&mut pair, "dmy");
        run(&mut pair, "mdy");
        // 14: after DDL
        pair.send(
            &[
                parse("star", "SELECT * FROM t WHERE id = 1", &[]),
                describe(b'S', "star"),
                sync(),
            ]
            .concat(),
        );
        pair.ready();
        run(&mut pair, "star");
        if world.database().ends_with('1') {
            pair.ask("ALTER TABLE t ADD COLUMN more int");
            run(&mut pair, "star");
            pair.ask("ALTER TABLE t DROP COLUMN more");
            run(&mut pair, "star");
        }
        // 15: one namespace, the session's own
        pair.ask_all(&["PREPARE sqls AS SELECT 21", "EXECUTE sqls"]);
        run(&mut pair, "sqls");
        pair.send(&[parse("sqls", "SELECT 22", &[]), sync()].concat());
        pair.ready();
        pair.ask_all(&["PREPARE star AS SELECT 1", "EXECUTE star", "DEALLOCATE star"]);
        run(&mut pair, "star");
        pair.ask_all(&["DEALLOCATE ALL", "EXECUTE sqls"]);
        run(&mut pair, "mdy");
        // Two sessions with the same name and other texts.
        let mut other = Pair::new(world);
        pair.send(&[parse("same", "SELECT v FROM t WHERE id = 1", &[]), sync()].concat());
        pair.ready();
        other.send(&[parse("same", "SELECT id FROM t WHERE id = 2", &[]), sync()].concat());
        other.ready();
        for _ in 0..3 {
            run(&mut pair, "same");
            run(&mut other, "same");
        }
        other.ask("DEALLOCATE ALL");
        run(&mut pair, "same");
        run(&mut other, "same");
        pair.ask("BEGIN");
        pair.send(&[parse("survives", "SELECT 31", &[]), sync()].concat());
        pair.ready();
        pair.ask("ROLLBACK");
        run(&mut pair, "survives");
        pair.ask("DISCARD ALL");
        run(&mut pair, "survives");
    });
}

#[test]
fn rule_16_to_19_settings_over_their_lives() {
    both("s16", |world| {
        let options = [
            ("TimeZone", "Asia/Tokyo"),
            ("application_name", "first"),
            ("options", "-c geqo=off -c work_mem=5MB"),
        ];
        let mut pair = Pair::with_parameters(world, &options);
        let mut other = Pair::new(world);
        pair.ask_all(&[
            "SHOW TimeZone",
            "SHOW geqo",
            "SHOW work_mem",
            "SET TimeZone = 'UTC'",
            "RESET TimeZone",
            "SHOW TimeZone",
            "RESET ALL",
            "SHOW geqo",
            "SHOW application_name",
        ]);
        other.ask_all(&["SHOW TimeZone", "SHOW geqo", "SHOW work_mem", "SHOW application_name"]);
        // ROLLBACK of a reported setting reports again.
        pair.ask_all(&[
            "BEGIN",
            "SET TimeZone = 'Europe/Paris'",
            "SELECT v FROM t WHERE id = 1",
            "ROLLBACK",
            "SHOW TimeZone",
        ]);
        pair.ask_all(&[
            "BEGIN",
            "SET LOCAL TimeZone = 'Europe/Paris'",
            "SELECT v FROM h WHERE id = 1",
            "COMMIT",
            "SHOW TimeZone",
        ]);
        pair.ask_all(&[
            "SET DateStyle = 'German'; SELECT '2020-01-02'::date; SET DateStyle = 'ISO'",
            "SELECT '2020-01-02'::date",
        ]);
        pair.ask_all(&[
            "SET client_encoding = 'LATIN1'",
            "SET client_encoding TO DEFAULT",
            "SET standard_conforming_strings = off",
            "SELECT 'a\\\\b'",
            "RESET standard_conforming_strings",
        ]);
        pair.ask_all(&[
            "SET app.tenant = '42'",
            "SHOW app.tenant",
            "SELECT current_setting('app.tenant', true)",
        ]);
        other.ask_all(&[
            "SELECT current_setting('app.tenant', true)",
            "SELECT current_setting('app.tenant', true) IS NULL",
            "SHOW app.tenant",
        ]);
        pair.ask_all(&[
            "RESET app.tenant",
            "SELECT current_setting('app.tenant', true)",
            "DISCARD ALL",
            "SHOW TimeZone",
            "SHOW application_name",
        ]);
        for (name, value) in [
            ("nothing_like_it", "1"),
            ("TimeZone", "Mars/Olympus"),
            ("options", "-c work_mem=much"),
            ("options", "--wrong"),
        ] {
            let mut bad = Pair::dial(world);
            bad.send(&startup(&[
                ("user", CLIENT_ROLE),
                ("database", world.database()),
                (name, value),
            ]));
            bad.refused();
        }
    });
}

#[test]
fn rule_22_to_23_opaque_code_and_sequences() {
    both("s22", |world| {
        let mut pair = Pair::new(world);
        pair.ask("SELECT nextval('numbers')");
        // A pooled session has no backend that remembers for it: an error, never another session's value (rule 23).
        let mut pooled = world.client();
        for sql in [
            "SELECT nextval('numbers')",
            "SELECT currval('numbers')",
            "SELECT lastval()",
        ] {
            let answer = pooled.query(sql);
            let error = answer
                .iter()
                .find(|message| message.tag == b'E')
                .map(|m| format!("{m:?}"));
            let refused = error.is_some_and(|text| text.contains("0A000") || text.contains("55000"));
            assert_eq!(refused, !sql.contains("nextval"), "{sql}: {answer:?}");
        }
        pair.theirs_alone("SELECT nextval('numbers')");
        if world.database().ends_with('1') {
            let mut other = Pair::new(world);
            other.ask("SELECT currval('numbers')");
            pair.ask_all(&[
                "DO $$ BEGIN PERFORM set_config('application_name', 'by code', false); END $$",
                "SHOW application_name",
            ]);
            other.ask("SHOW application_name");
            pair.ask_all(&[
                "DO $$ BEGIN CREATE TEMP TABLE made (id int); END $$",
                "SELECT count(*) FROM made",
            ]);
            other.ask("SELECT count(*) FROM made");
        }
        pair.ask_all(&[
            "CREATE TEMP TABLE mine (id int)",
            "INSERT INTO mine VALUES (1)",
            "SELECT * FROM mine",
        ]);
        Pair::new(world).ask("SELECT * FROM mine");
        pair.ask_all(&["SELECT pg_advisory_lock(5)", "SELECT 1/0", "SELECT 1"]);
        Pair::new(world).ask("SELECT pg_try_advisory_lock(5)");
        pair.ask("SELECT pg_advisory_unlock(5)");
        Pair::new(world).ask_all(&["SELECT pg_try_advisory_lock(5)", "SELECT pg_advisory_unlock(5)"]);
    });
}

#[test]
fn rule_23_notifications_reach_their_listeners() {
    both("s23", |world| {
        let mut listener = world.client();
        listener.rows("LISTEN channel");
        world.client().rows("NOTIFY channel, 'hello'");
        let notification = listener.read_until(b'A').pop().expect("it comes");
        assert!(notification.body.ends_with(b"channel\0hello\0"), "{notification:?}");
    });
}

#[test]
fn rule_25_logging_in() {
    both("s25", |world| {
        // GSSENCRequest is denied, whatever a Postgres with Kerberos would say; SSLRequest may follow, then in clear.
        let mut client = Client::dial(world.proxy().address());
        for request in [
            [&8_u32.to_be_bytes()[..], &80_877_104_u32.to_be_bytes()].concat(),
            ssl_request(),
        ] {
            client.send(&request);
            assert_eq!(client.read_byte(), Some(b'N'));
        }
        let mut pair = Pair::dial(world);
        pair.send(&ssl_request());
        pair.byte();
        let startup_right = startup(&[("user", CLIENT_ROLE), ("database", world.database())]);
        pair.send(&startup_right);
        pair.greeted();
        let wrong: [&[(&str, &str)]; 4] = [
            &[("user", CLIENT_ROLE), ("database", "no_such_database")],
            &[("user", "no_such_role"), ("database", world.database())],
            &[("database", world.database())],
            &[],
        ];
        for parameters in wrong {
            let mut pair = Pair::dial(world);
            pair.send(&startup(parameters));
            pair.refused();
        }
        // A newer minor version and an unknown protocol option are negotiated, not refused.
        let mut pair = Pair::dial(world);
        let mut newer = startup(&[
            ("user", CLIENT_ROLE),
            ("database", world.database()),
            ("_pq_.unknown", "1"),
        ]);
        newer[7] = 9;
        pair.send(&newer);
        pair.until(b'v');
        drop(pair);
        // Another major version.
        let mut other = startup_right;
        other[5] = 2;
        // The answer has the form of that version: no fields, just text.
        let answer = |address| {
            let mut stream = std::net::TcpStream::connect(address).expect("accepted");
            stream
                .set_read_timeout(Some(crate::client::PATIENCE))
                .expect("settable");
            stream.write_all(&other).expect("taken");
            let mut said = Vec::new();
            stream.read_to_end(&mut said).expect("the connection ends");
            said
        };
        let theirs = answer(world.servers().oracle());
        assert!(theirs.starts_with(b"EFATAL:"), "{}", theirs.escape_ascii());
        assert_eq!(answer(world.proxy().address()), theirs);
    });
}

#[test]
fn odd_messages() {
    both("s_odd", |world| {
        let mut pair = Pair::new(world);
        pair.send(&[sync(), flush(), sync()].concat());
        pair.ready();
        pair.ready();
        pair.ask_all(&["", ";", "-- only a comment", "SELECT", "SELECT 1;;SELECT 2"]);
        pair.send(&[extended(""), sync()].concat());
        pair.ready();
        pair.send(&[extended("SELECT 1; SELECT 2"), sync()].concat());
        pair.ready();
        pair.send(&[frame(b'C', b"X\0"), sync()].concat());
        pair.ready();
        pair.send(&[frame(b'D', b"X\0"), sync()].concat());
        pair.ready();
        // FunctionCall: 1640 is int8's abs… whatever it is, both say the same.
        let call = [
            &1_395_u32.to_be_bytes()[..],
            &[0, 0, 0, 1, 0, 0, 0, 8, 192, 8, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        if world.database().ends_with('1') {
            pair.send(&frame(b'F', &call));
            pair.ready();
        } else {
            // Over several shards it is refused: it says nothing of the rows that it touches.
            let mut alone = world.client();
            alone.send(&frame(b'F', &call));
            let answer = alone.read_batch();
            assert!(format!("{answer:?}").contains("0A000"), "{answer:?}");
        }
        pair.ask("SELECT 'still here'");
    });
}

#[test]
fn an_unknown_message_ends_the_session() {
    both("s_unknown", |world| {
        let mut pair = Pair::new(world);
        pair.send(&frame(b'y', b""));
        pair.end();
        // Postgres says nothing about a length below 4, the proxy may.
        let mut client = world.client();
        client.send(b"Q\0\0\0\x02");
        client.read_to_end();
        assert_eq!(world.client().value("SELECT 1"), "1");
    });
}

/// A cancel request ends what runs, on whichever shards it runs, and nothing else.
#[test]
fn cancel_reaches_the_statement() {
    both("s_cancel", |world| {
        for sql in [
            "SELECT pg_sleep(30) FROM t WHERE id = 1",
            "SELECT pg_sleep(30) FROM h WHERE id = 4",
        ] {
            let mut client = world.client();
            let (process, secret) = client.cancel_key();
            client.send(&query(sql));
            for_a_sleeper(world);
            Client::dial(world.proxy().address()).send(&crate::messages::cancel(process, &secret));
            let answer = client.read_batch();
            let error = answer
                .iter()
                .find(|message| message.tag == b'E')
                .expect("the statement is cancelled");
            assert_eq!(error.code(), "57014", "{answer:?}");
            assert_eq!(client.value("SELECT v FROM t WHERE id = 2"), "v2");
            // One with a wrong secret does nothing.
            let wrong: Vec<u8> = secret.iter().map(|byte| byte ^ 1).collect();
            Client::dial(world.proxy().address()).send(&crate::messages::cancel(process, &wrong));
            assert_eq!(client.value("SELECT count(*) FROM h"), "30");
        }
    });
}

/// Waits until a backend of the test's database sleeps.
fn for_a_sleeper(world: &World) {
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let shards = if world.database().ends_with('1') { 1 } else { 2 };
    let mut sessions: Vec<Client> = (0..shards).map(|shard| world.shard(shard)).collect();
    crate::world::repeat("a statement that sleeps", || {
        match sessions.iter_mut().any(|session| session.value(sql) != "0") {
            true => std::ops::ControlFlow::Break(()),
            false => std::ops::ControlFlow::Continue(()),
        }
    });
}

/// A client that vanishes takes its statement with it.
#[test]
fn a_vanished_clients_statement_is_cancelled() {
    both("s_vanish", |world| {
        let mut client = world.client();
        client.send(&query("SELECT pg_sleep(600) FROM t WHERE id = 1"));
        for_a_sleeper(world);
        drop(client);
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        wait_for(&mut world.shard(0), sql, "0");
    });
}

/// The schema of a session's temporary tables stays in its backend to the end: nobody else may get that one.
#[test]
fn a_temporary_schema_is_nobody_elses() {
    for shards in [1, 3] {
        let name = format!("sessions_temporary_{shards}");
        let world = World::start(Spec::empty(&name, shards));
        let schemas = "SELECT current_schemas(true)";
        let own = world.client().value(schemas);
        let ends: [&[&str]; 3] = [
            &["DISCARD ALL"],
            &["DROP TABLE mine", "DISCARD TEMP"],
            &["DISCARD TEMP"],
        ];
        for end in ends {
            let mut client = world.client();
            client.rows("CREATE TEMPORARY TABLE mine (id int)");
            assert_ne!(client.value(schemas), own, "the session itself sees it");
            end.iter().for_each(|sql| drop(client.rows(sql)));
            for _ in 0..3 {
                assert_eq!(world.client().value(schemas), own, "{shards} shards, {end:?}");
            }
        }
    }
}
