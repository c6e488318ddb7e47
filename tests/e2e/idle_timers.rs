//! Idle timers belong to the client (`sessions.md` 21): whoever is busy on one shard isn't idle on another, and whoever
//! is idle is ended as Postgres ends it, wherever the setting came from.
//!
//! Nothing here looks at a clock. Statements that must not be interrupted are sent in one piece, so that the client is
//! never idle between them however slow the machine is; and that a session has *not* been ended is asked after another
//! one, whose timer began later and was longer, has been.

use crate::messages::{Format, Message, bind, copy_data, copy_done, describe, execute, flush, parse, query, sync};
use crate::pair::Pair;
use crate::servers::superuser;
use crate::world::{CLIENT_ROLE, Spec, World, repeat, wait_for};

const SCHEMA: &str = "CREATE TABLE t (id int PRIMARY KEY, v text);
    CREATE TABLE u (id int PRIMARY KEY, v text);
    CREATE TABLE h (id int PRIMARY KEY, v text);
    CREATE FUNCTION told(name text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN current_setting(name); END $$;
    CREATE FUNCTION sets(name text, value text, here boolean) RETURNS text LANGUAGE plpgsql AS
      $$ BEGIN RETURN set_config(name, value, here); END $$;";

/// `t` on the first shard, `u` on the last, `h` on both.
const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  t: {unsharded: {{s0}}}
  u: {unsharded: {{s1}}}
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 9) i;
    INSERT INTO u SELECT i, 'u' || i FROM generate_series(1, 9) i;
    INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

const IN_BLOCK: &str = "idle_in_transaction_session_timeout";
const IN_SESSION: &str = "idle_session_timeout";

/// One backend serves all sessions of a shard: what one leaves on it shows.
const ONE_BACKEND: &str = "pool: {size: 1, pinned: 8}";

fn world(name: &str, shards: usize, settings: &str) -> World {
    World::start(Spec {
        name: &format!("{name}_{shards}"),
        shards,
        layout: LAYOUT,
        settings,
        schema: SCHEMA,
        data: DATA,
    })
}

fn both(name: &str, story: impl Fn(&World)) {
    for shards in [1, 2] {
        story(&world(name, shards, ""));
    }
}

/// Gives statements in one piece, each a message of its own; all have to be answered alike.
fn at_once(pair: &mut Pair, statements: &[&str]) {
    let bytes: Vec<u8> = statements.iter().flat_map(|sql| query(sql)).collect();
    pair.send(&bytes);
    for _ in statements {
        pair.ready();
    }
}

/// Both sides have to hang up with this SQLSTATE.
fn ended(pair: &mut Pair, code: &str) {
    let said = pair.end();
    let codes: Vec<String> = said.iter().filter(|m| m.tag == b'E').map(Message::code).collect();
    assert_eq!(codes, [code], "{said:?}");
}

/// The same, of a session that was told all this before it became idle.
fn ended_after(world: &World, statements: &[&str], code: &str) {
    let mut pair = Pair::new(world);
    at_once(&mut pair, statements);
    ended(&mut pair, code);
}

/// Returns when a timer has run out that began now and is longer than those of the stories.
fn a_longer_timer(world: &World) {
    ended_after(world, &["SET idle_session_timeout = 900"], "57P05");
}

fn same_rows(world: &World) {
    let mut pair = Pair::new(world);
    for table in ["t", "u", "h"] {
        pair.ask(&format!("SELECT * FROM {table} ORDER BY id"));
    }
}

#[test]
fn a_client_busy_on_one_shard_is_not_idle_on_another() {
    both("it_busy", |world| {
        let mut pair = Pair::new(world);
        let busy = [
            "SET idle_in_transaction_session_timeout = '300ms'",
            "BEGIN",
            "INSERT INTO t VALUES (20, 'kept')",
            "SELECT pg_sleep(1) FROM u WHERE id = 1",
            "INSERT INTO u VALUES (20, 'kept')",
            "SELECT pg_sleep(1) FROM t WHERE id = 1",
            "SAVEPOINT a",
            "SELECT pg_sleep(1) FROM u WHERE id = 1",
            "SELECT count(*) FROM h",
            "SELECT pg_sleep(1) FROM t WHERE id = 1",
            "ROLLBACK TO a",
            "COMMIT",
        ];
        at_once(&mut pair, &busy);
        drop(pair);
        // One timer for all of a session's life is the same thing.
        let mut pair = Pair::new(world);
        let pinned = [
            "SET idle_session_timeout = '300ms'",
            "CREATE TEMPORARY TABLE mine (id int)",
            "SELECT pg_sleep(1) FROM u WHERE id = 1",
            "INSERT INTO mine VALUES (1)",
            "SELECT pg_sleep(1) FROM u WHERE id = 2",
            "SELECT * FROM mine",
            "SET idle_session_timeout = 0",
        ];
        at_once(&mut pair, &pinned);
        same_rows(world);
    });
}

/// The setting comes in the middle, by every way that it can come.
#[test]
fn a_shard_that_joined_before_the_setting_is_not_ended_either() {
    both("it_late", |world| {
        for set in [
            "SET LOCAL idle_in_transaction_session_timeout = '300ms'",
            "SET idle_in_transaction_session_timeout TO 300",
            "SELECT set_config('idle_in_transaction_session_timeout', '0.3s', true)",
        ] {
            let mut pair = Pair::new(world);
            let story = [
                "BEGIN",
                "UPDATE t SET v = v || '!' WHERE id = 2",
                set,
                "SELECT pg_sleep(1) FROM u WHERE id = 1",
                "SHOW idle_in_transaction_session_timeout",
                "UPDATE t SET v = v || '?' WHERE id = 2",
                "COMMIT",
            ];
            at_once(&mut pair, &story);
            // In one message, and by the extended protocol.
            pair.send(&query(&format!(
                "BEGIN; UPDATE t SET v = v || '.' WHERE id = 3; {set}; SELECT pg_sleep(1) FROM u WHERE id = 1; COMMIT"
            )));
            pair.ready();
            let extended = |sql: &str| {
                [
                    parse("", sql, &[]),
                    bind("", "", &[], Format::Text),
                    describe(b'P', ""),
                    execute("", 0),
                ]
                .concat()
            };
            let messages = [
                extended("BEGIN"),
                extended("UPDATE t SET v = v || '.' WHERE id = 3"),
                extended(set),
                sync(),
                extended("SELECT pg_sleep(1) FROM u WHERE id = 1"),
                extended("COMMIT"),
                sync(),
            ];
            pair.send(&messages.concat());
            pair.ready();
            pair.ready();
        }
        same_rows(world);
    });
}

/// One shard has answered long before the other: its answer waits, with its ReadyForQuery.
#[test]
fn the_quick_part_of_a_fan_out_is_not_idle() {
    let world = world("it_fan", 2, "");
    let mut pair = Pair::new(&world);
    let mut holders = [world.client(), world.oracle()];
    for holder in &mut holders {
        holder.rows("BEGIN");
        holder.rows("INSERT INTO h VALUES (101, 'held')");
    }
    let story = [
        "SET idle_in_transaction_session_timeout = '300ms'",
        "BEGIN",
        "SELECT count(*) FROM h",
        "INSERT INTO h VALUES (101, 'x'), (102, 'x'), (103, 'x'), (104, 'x'), (105, 'x')",
        "SELECT count(*) FROM h",
        "COMMIT",
    ];
    let bytes: Vec<u8> = story.iter().flat_map(|sql| query(sql)).collect();
    pair.send(&bytes);
    for _ in 0..3 {
        pair.ready();
    }
    a_longer_timer(&world);
    for holder in &mut holders {
        holder.rows("ROLLBACK");
    }
    for _ in 3..story.len() {
        pair.ready();
    }
    same_rows(&world);
}

#[test]
fn an_idle_block_is_ended_and_rolled_back_on_every_shard() {
    both("it_block", |world| {
        let work = [
            "INSERT INTO t VALUES (30, 'never')",
            "INSERT INTO u VALUES (30, 'never')",
        ];
        let set = "SET idle_in_transaction_session_timeout = '200ms'";
        ended_after(world, &[set, "BEGIN", work[0], work[1]], "25P03");
        ended_after(world, &[set, "BEGIN"], "25P03");
        ended_after(world, &[set, "BEGIN", work[1], "SELECT 1/0"], "25P03");
        ended_after(world, &[set, "BEGIN", "SELECT count(*) FROM h"], "25P03");
        ended_after(world, &["BEGIN", work[0], set, work[1]], "25P03");
        ended_after(world, &["BEGIN", &set.replace("SET", "SET LOCAL"), work[0]], "25P03");
        ended_after(world, &[&format!("{set}; BEGIN"), work[1]], "25P03");
        let config = "SELECT set_config('idle_in_transaction_session_timeout', '200', true)";
        ended_after(world, &["BEGIN", work[0], config], "25P03");
        // A chained block is a block.
        ended_after(world, &[set, "BEGIN", "COMMIT AND CHAIN"], "25P03");
        for shard in 0..world.shards() {
            let held = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                WHERE datname = current_database() AND mode = 'RowExclusiveLock'";
            world.wait_on_shard(shard, held, "0");
        }
        same_rows(world);
    });
}

/// An error puts a setting of the transaction back at once, and so does a savepoint that is gone back to.
#[test]
fn the_value_is_the_one_that_the_block_stands_at() {
    both("it_value", |world| {
        let (set, local) = (
            |value: &str| format!("SET {IN_BLOCK} = {value}"),
            |value: &str| format!("SET LOCAL {IN_BLOCK} = {value}"),
        );
        let ended_stories: [Vec<String>; 6] = [
            vec![set("200"), "BEGIN".into(), local("0"), "SELECT 1/0".into()],
            vec![
                set("200"),
                "BEGIN".into(),
                "SAVEPOINT a".into(),
                local("0"),
                "ROLLBACK TO a".into(),
            ],
            vec![
                "BEGIN".into(),
                local("200"),
                "SAVEPOINT a".into(),
                local("0"),
                "SELECT 1/0".into(),
            ],
            vec![
                "BEGIN".into(),
                local("0"),
                "SAVEPOINT a".into(),
                local("200"),
                "RELEASE a".into(),
            ],
            vec![
                set("200"),
                "BEGIN".into(),
                local("0"),
                "COMMIT".into(),
                "BEGIN".into(),
                "SELECT 1".into(),
            ],
            vec![
                "BEGIN".into(),
                set("200"),
                "COMMIT".into(),
                "BEGIN".into(),
                "SELECT v FROM u WHERE id = 1".into(),
            ],
        ];
        for story in &ended_stories {
            let story: Vec<&str> = story.iter().map(String::as_str).collect();
            ended_after(world, &story, "25P03");
        }
        let lives: [Vec<String>; 6] = [
            vec!["BEGIN".into(), set("200"), "SELECT 1/0".into()],
            vec!["BEGIN".into(), "SAVEPOINT a".into(), set("200"), "ROLLBACK TO a".into()],
            vec![
                set("200"),
                "BEGIN".into(),
                local("0"),
                "SAVEPOINT a".into(),
                local("200"),
                "SELECT 1/0".into(),
            ],
            vec![set("200"), format!("RESET {IN_BLOCK}"), "BEGIN".into()],
            vec![set("200"), "DISCARD ALL".into(), "BEGIN".into()],
            vec![set("200"), "SELECT 1".into()],
        ];
        for story in &lives {
            let story: Vec<&str> = story.iter().map(String::as_str).collect();
            let mut pair = Pair::new(world);
            at_once(&mut pair, &story);
            a_longer_timer(world);
            pair.ask("SELECT 'lives'");
            pair.ask("ROLLBACK");
        }
    });
}

#[test]
fn an_idle_session_is_ended_wherever_the_setting_came_from() {
    both("it_session", |world| {
        ended_after(world, &["SET idle_session_timeout = '200ms'"], "57P05");
        ended_after(
            world,
            &["SET idle_session_timeout = '0.2 s'", "SELECT v FROM u WHERE id = 1"],
            "57P05",
        );
        ended_after(
            world,
            &["BEGIN", "SET idle_session_timeout = '0xC8'", "COMMIT"],
            "57P05",
        );
        ended_after(
            world,
            &["SELECT set_config('idle_session_timeout', '200', false)"],
            "57P05",
        );
        ended_after(
            world,
            &[
                "SET idle_session_timeout = 200",
                "BEGIN",
                "SET idle_session_timeout = 0",
                "ROLLBACK",
            ],
            "57P05",
        );
        ended_after(
            world,
            &["SET idle_session_timeout = 200; CREATE TEMPORARY TABLE mine (id int)"],
            "57P05",
        );
        ended_after(
            world,
            &["SET idle_session_timeout = 200", "SELECT count(*) FROM h", "SELECT 1/0"],
            "57P05",
        );
        for parameters in [
            ("idle_session_timeout", "200"),
            ("options", "-c idle_session_timeout=200ms"),
            ("options", "--idle-session-timeout=200"),
        ] {
            let mut pair = Pair::with_parameters(world, &[parameters]);
            ended(&mut pair, "57P05");
            // RESET goes back to what the start-up packet said.
            let mut pair = Pair::with_parameters(world, &[parameters]);
            at_once(&mut pair, &["SET idle_session_timeout = 0", "RESET ALL"]);
            ended(&mut pair, "57P05");
        }
        // Inside a block it is the other one's time.
        let mut pair = Pair::new(world);
        at_once(&mut pair, &["SET idle_session_timeout = 200", "BEGIN"]);
        a_longer_timer(world);
        at_once(&mut pair, &["SELECT 'lives'", "SET idle_session_timeout = 0", "COMMIT"]);
        a_longer_timer(world);
        pair.ask("SELECT 'lives'");
    });
}

/// What stops a timer, and what doesn't.
#[test]
fn time_runs_between_ready_for_query_and_the_next_whole_message() {
    both("it_runs", |world| {
        // Half a message is none.
        let mut pair = Pair::new(world);
        pair.ask("SET idle_session_timeout = 200");
        pair.send(b"Q\0\0\0\x0dSEL");
        ended(&mut pair, "57P05");
        // A batch that isn't ended waits for ever, and so does a COPY.
        let mut pair = Pair::new(world);
        let batch = [
            query("SET idle_session_timeout = 200"),
            parse("", "SELECT v FROM t WHERE id = 1", &[]),
            bind("", "", &[], Format::Text),
            execute("", 0),
            flush(),
        ];
        pair.send(&batch.concat());
        pair.until(b'Z');
        pair.until(b'C');
        let mut copies = Pair::new(world);
        copies.send(
            &[
                query("SET idle_in_transaction_session_timeout = 200"),
                query("BEGIN"),
                query("COPY u FROM STDIN"),
            ]
            .concat(),
        );
        copies.until(b'G');
        a_longer_timer(world);
        copies.send(&[copy_data(b"40\tx\n"), copy_done(), query("COMMIT")].concat());
        copies.ready();
        copies.ready();
        pair.send(&[sync(), query("SET idle_session_timeout = 0")].concat());
        pair.ready();
        pair.ready();
        // A message that is answered by nothing stops it, too.
        let mut pair = Pair::new(world);
        pair.send(&[query("SET idle_session_timeout = 200"), flush()].concat());
        pair.ready();
        a_longer_timer(world);
        at_once(&mut pair, &["SET idle_session_timeout = 0", "SELECT 1"]);
        same_rows(world);
    });
}

#[test]
fn everybody_who_may_read_the_values_reads_the_clients() {
    both("it_shown", |world| {
        let startup = [(
            "options",
            "-c idle_session_timeout=1h -c idle_in_transaction_session_timeout=70min",
        )];
        let mut pair = Pair::with_parameters(world, &startup);
        for name in [IN_BLOCK, IN_SESSION] {
            let shown = [
                format!("SHOW {name}"),
                format!("SELECT current_setting('{name}')"),
                format!("SELECT name, setting, unit FROM pg_settings WHERE name = '{name}'"),
                format!("SELECT current_setting('{name}'), v FROM u WHERE id = 1"),
            ];
            let changes = [
                format!("SET {name} = '90min'"),
                "SELECT v FROM u WHERE id = 1".to_owned(),
                "BEGIN".to_owned(),
                format!("SET LOCAL {name} = '2h'"),
                "SELECT v FROM u WHERE id = 1".to_owned(),
                "SAVEPOINT a".to_owned(),
                format!("SELECT set_config('{name}', '3h', true)"),
                "ROLLBACK TO a".to_owned(),
                "COMMIT".to_owned(),
                format!("SET {name} = 0"),
                format!("RESET {name}"),
                format!("SET {name} TO DEFAULT"),
                format!("SET {name} = 'never'"),
                format!("SET {name} = -1"),
                "RESET ALL".to_owned(),
                "DISCARD ALL".to_owned(),
            ];
            for change in changes {
                pair.ask(&change);
                shown.iter().for_each(|sql| drop(pair.ask(sql)));
                if world.shards() == 1 {
                    pair.ask(&format!("SELECT told('{name}')"));
                }
            }
        }
    });
}

/// What a function has set holds too, where functions are let through as they are.
#[test]
fn a_function_may_set_them_before_one_shard() {
    let world = world("it_function", 1, "");
    for (story, code) in [
        (&["SELECT sets('idle_session_timeout', '200', false)"][..], "57P05"),
        (
            &[
                "BEGIN",
                "SELECT sets('idle_in_transaction_session_timeout', '200', true)",
            ],
            "25P03",
        ),
        (
            &[
                "SELECT sets('idle_in_transaction_session_timeout', '200', false)",
                "BEGIN",
            ],
            "25P03",
        ),
        (
            &["DO $$ BEGIN PERFORM set_config('idle_session_timeout', '200', false); END $$"],
            "57P05",
        ),
        (
            &["UPDATE pg_settings SET setting = '200' WHERE name = 'idle_session_timeout'"],
            "57P05",
        ),
    ] {
        ended_after(&world, story, code);
    }
    let mut pair = Pair::new(&world);
    at_once(
        &mut pair,
        &[
            "SET idle_in_transaction_session_timeout = 200",
            "BEGIN",
            "SELECT sets('idle_in_transaction_session_timeout', '0', true)",
        ],
    );
    a_longer_timer(&world);
    pair.ask("COMMIT");
}

/// A backend that nobody uses is idle for as long as it likes.
#[test]
fn a_pooled_backend_outlives_the_sessions_that_it_served() {
    for shards in [1, 2] {
        let world = &world("it_pooled", shards, ONE_BACKEND);
        let backends = |world: &World| -> Vec<String> {
            (0..world.shards())
                .map(|shard| {
                    world.shard(shard).value(&format!(
                        "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity \
                         WHERE usename = '{CLIENT_ROLE}' AND datname = current_database()"
                    ))
                })
                .collect()
        };
        let mut client = world.client();
        client.rows("SELECT count(*) FROM h");
        client.rows("SELECT v FROM u WHERE id = 1");
        let before = backends(world);
        ended_after(
            world,
            &[
                "SET idle_session_timeout = 200",
                "SELECT count(*) FROM h",
                "SELECT v FROM u WHERE id = 1",
            ],
            "57P05",
        );
        a_longer_timer(world);
        assert_eq!(backends(world), before);
        assert_eq!(client.value("SELECT count(*) FROM h"), "30");
        assert_eq!(client.value("SHOW idle_session_timeout"), "0");
    }
}

/// Settings of a role in a database are the defaults of its sessions.
#[test]
fn a_roles_settings_are_its_sessions_defaults() {
    both("it_role", |world| {
        let everywhere = |sql: &str| {
            for address in (0..world.shards())
                .map(|shard| world.servers().shard(shard))
                .chain([world.servers().oracle()])
            {
                superuser(address, world.database()).rows(sql);
            }
        };
        let role = |setting: &str| {
            everywhere(&format!(
                "ALTER ROLE {CLIENT_ROLE} IN DATABASE {} {setting}",
                world.database()
            ));
        };
        let until_seen = |name: &str, value: &str| {
            repeat("a session to see the change", || {
                let mut client = world.client();
                match client.value(&format!("SHOW {name}")) == value {
                    true => std::ops::ControlFlow::Break(()),
                    false => std::ops::ControlFlow::Continue(()),
                }
            });
        };
        // One from before keeps what it began with.
        let mut before = Pair::new(world);
        before.ask("SELECT v FROM u WHERE id = 1");
        role("SET idle_in_transaction_session_timeout = '700ms'");
        until_seen(IN_BLOCK, "700ms");
        ended_after(
            world,
            &[
                "BEGIN",
                "INSERT INTO t VALUES (50, 'never')",
                "INSERT INTO u VALUES (50, 'never')",
            ],
            "25P03",
        );
        ended_after(
            world,
            &["SET idle_in_transaction_session_timeout = 0", "RESET ALL", "BEGIN"],
            "25P03",
        );
        let mut pair = Pair::new(world);
        let busy = [
            "BEGIN",
            "INSERT INTO t VALUES (51, 'kept')",
            "SELECT pg_sleep(1.5) FROM u WHERE id = 1",
            "SHOW idle_in_transaction_session_timeout",
            "INSERT INTO u VALUES (51, 'kept')",
            "SELECT pg_sleep(1.5) FROM t WHERE id = 1",
            "COMMIT",
        ];
        at_once(&mut pair, &busy);
        drop(pair);
        role("RESET idle_in_transaction_session_timeout");
        role("SET idle_session_timeout = '900ms'");
        until_seen(IN_SESSION, "900ms");
        let mut without = Pair::with_parameters(world, &[("idle_session_timeout", "0")]);
        ended_after(
            world,
            &["SELECT count(*) FROM h", "SELECT v FROM u WHERE id = 1"],
            "57P05",
        );
        ended_after(world, &[], "57P05");
        without.ask("SELECT count(*) FROM h");
        before.ask("SELECT v FROM u WHERE id = 1");
        before.ask("SELECT v FROM t WHERE id = 1");
        same_rows(world);
        let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'";
        (0..world.shards()).for_each(|shard| wait_for(&mut world.shard(shard), ours, "0"));
    });
}
