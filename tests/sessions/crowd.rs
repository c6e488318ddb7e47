//! Many clients on a pool of one: what they share without noticing, and what they are kept from (rules 18, 21, 23, 24).

use std::ops::ControlFlow;

use crate::client::Client;
use crate::servers::superuser;
use crate::world::{CLIENT_ROLE, Spec, World, repeat, wait_for};

const SCHEMA: &str = "CREATE TABLE h (id int PRIMARY KEY, v text);
    CREATE SEQUENCE numbers;";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

fn world(name: &str, settings: &str) -> World {
    World::start(Spec {
        name,
        shards: 2,
        layout: LAYOUT,
        settings,
        schema: SCHEMA,
        data: DATA,
    })
}

/// The clients' backends on a shard, by process.
fn backends(world: &World, shard: usize) -> Vec<Vec<String>> {
    superuser(world.servers().shard(shard), world.database()).rows(&format!(
        "SELECT pid FROM pg_stat_activity WHERE usename = '{CLIENT_ROLE}' AND datname = '{}' ORDER BY pid",
        world.database()
    ))
}

/// Two rows of different shards.
fn apart(world: &World) -> [i32; 2] {
    let mut first = superuser(world.servers().shard(0), world.database());
    let on_first = |id: &i32| first.value(&format!("SELECT count(*) FROM h WHERE id = {id}")) == "1";
    let (here, there): (Vec<i32>, Vec<i32>) = (1..=30).partition(on_first);
    [here[0], there[0]]
}

#[test]
fn rule_18_settings_that_differ_share_a_backend() {
    let world = world("crowd_settings", "pool: {size: 1}");
    let mut clients: Vec<Client> = (0..12).map(|_| world.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.rows(&format!("SET application_name = 'client {number}'"));
        client.rows(&format!("SET work_mem = '{}kB'", 1000 + number));
    }
    clients[0].rows("SELECT count(*) FROM h");
    let before = [backends(&world, 0), backends(&world, 1)];
    assert!(before.iter().all(|backends| backends.len() == 1), "{before:?}");
    for _ in 0..3 {
        for (number, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.value("SHOW application_name"), format!("client {number}"));
            assert_eq!(client.value("SHOW work_mem"), format!("{}kB", 1000 + number));
            assert_eq!(client.value("SELECT count(*) FROM h"), "30");
        }
    }
    assert_eq!([backends(&world, 0), backends(&world, 1)], before);
}

#[test]
fn rule_21_a_lost_backend_takes_the_whole_block_back() {
    let world = world("crowd_lost", "");
    let [here, there] = apart(&world);
    let mut client = world.client();
    for lost in 0..2 {
        client.rows("BEGIN");
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {here}"));
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {there}"));
        superuser(world.servers().shard(lost), world.database()).rows(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{CLIENT_ROLE}' AND datname = '{}'",
            world.database()
        ));
        client.failure("COMMIT");
        // the session lives, and nothing of the block does
        assert_eq!(client.value("SELECT count(*) FROM h WHERE v = 'half'"), "0");
        assert_eq!(client.value("SELECT count(*) FROM h"), "30");
    }
}

/// Ends all clients' backends of a shard, and waits until they are gone.
fn end_backends(world: &World, shard: usize) {
    let mut admin = superuser(world.servers().shard(shard), world.database());
    let all = format!("FROM pg_stat_activity WHERE usename = '{CLIENT_ROLE}' AND datname = current_database()");
    admin.rows(&format!("SELECT pg_terminate_backend(pid) {all}"));
    wait_for(&mut admin, &format!("SELECT count(*) {all}"), "0");
}

/// What a statement answers once the pool has found out which of its backends are gone.
fn afterwards(client: &mut Client, sql: &str) -> Vec<String> {
    repeat("new backends", || {
        let answer = client.query(sql);
        match answer.iter().find(|message| message.tag == b'E') {
            Some(error) if ["57P01", "08006", "08000"].contains(&error.code().as_str()) => ControlFlow::Continue(()),
            Some(error) => panic!("{sql}: {error:?}"),
            None => {
                let rows = answer.iter().filter(|message| message.tag == b'D');
                let text = |value: Option<Vec<u8>>| String::from_utf8_lossy(&value.unwrap_or_default()).into_owned();
                ControlFlow::Break(rows.flat_map(|row| row.values()).map(text).collect())
            }
        }
    })
}

/// A savepoint keeps what was done before it: not where that went down with a backend.
#[test]
fn rule_21_no_savepoint_brings_a_block_back_that_lost_a_backend() {
    let world = world("crowd_savepoint", "");
    let [here, there] = apart(&world);
    for lost in 0..2 {
        for asked in [
            "",
            "SELECT v FROM h WHERE id = ",
            "SELECT count(*) FROM h",
            "SAVEPOINT b",
            "SET work_mem = 999",
        ] {
            let mut client = world.client();
            afterwards(&mut client, "SELECT count(*) FROM h");
            client.rows("BEGIN");
            client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {here}"));
            client.rows("SAVEPOINT a");
            client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {there}"));
            end_backends(&world, lost);
            match asked {
                "" => {}
                "SELECT v FROM h WHERE id = " => {
                    client.failure(&format!("{asked} {}", [here, there][lost]));
                }
                _ => {
                    client.failure(asked);
                }
            }
            client.query("ROLLBACK TO a");
            client.query(&format!("UPDATE h SET v = 'half' WHERE id = {there}"));
            client.query("COMMIT");
            let half = afterwards(&mut client, "SELECT count(*) FROM h WHERE v = 'half'");
            assert_eq!(half, ["0"], "shard {lost} lost before {asked:?}");
        }
    }
}

/// The client need not speak for the rest of its block to be taken back: others wait for those rows.
#[test]
fn rule_21_the_other_shards_are_rolled_back_at_once() {
    let world = world("crowd_at_once", "pool: {size: 1}");
    let [here, there] = apart(&world);
    let mut client = world.client();
    let usual = client.value("SHOW work_mem");
    for lost in 0..2 {
        client.rows("BEGIN");
        client.rows("SET work_mem = '3MB'");
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {here}"));
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {there}"));
        end_backends(&world, lost);
        for id in [here, there] {
            world
                .client()
                .rows(&format!("UPDATE h SET v = 'whole' WHERE id = {id}"));
        }
        // Nor does another get what the block had set.
        assert_eq!(afterwards(&mut world.client(), "SHOW work_mem"), [usual.as_str()]);
        // And where it is told so at a statement, before it ends its block.
        client.failure("SELECT count(*) FROM h");
        client.query("ROLLBACK");
        afterwards(&mut client, "SELECT count(*) FROM h");
        client.rows("BEGIN");
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {here}"));
        client.send(&crate::messages::query(&format!(
            "SELECT pg_sleep(60) FROM h WHERE id = {there}"
        )));
        let mut admin = superuser(world.servers().shard(1), world.database());
        wait_for(
            &mut admin,
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()",
            "1",
        );
        end_backends(&world, 1);
        assert!(client.read_batch().iter().any(|message| message.tag == b'E'));
        world
            .client()
            .rows(&format!("UPDATE h SET v = 'whole' WHERE id = {here}"));
        assert_eq!(client.failure("SELECT 1"), "25P02");
        client.rows("ROLLBACK");
        assert_eq!(
            afterwards(&mut client, "SELECT count(*) FROM h WHERE v = 'half'"),
            ["0"]
        );
    }
}

/// As Postgres ends the session of a backend that is ended: where the backend was the session's own.
#[test]
fn rule_21_a_pinned_session_ends_with_its_backend_and_another_lives() {
    let world = world("crowd_pinned", "");
    let [here, _] = apart(&world);
    let pin = "SELECT pg_advisory_lock(5)";
    for asleep in [false, true] {
        let (mut pinned, mut other) = (world.client(), world.client());
        afterwards(&mut pinned, pin);
        let sleep = crate::messages::query(&format!("SELECT pg_sleep(60) FROM h WHERE id = {here}"));
        afterwards(&mut other, "SELECT count(*) FROM h");
        other.send(&sleep);
        let mut sleepers = 1;
        if asleep {
            pinned.send(&sleep);
            sleepers += 1;
        }
        let mut admin = superuser(world.servers().shard(0), world.database());
        let asleep =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
        wait_for(&mut admin, asleep, &sleepers.to_string());
        end_backends(&world, 0);
        let said = pinned.read_to_end();
        let error = said.iter().find(|message| message.tag == b'E').expect("it is told why");
        assert_eq!(
            (error.code(), error.fields()[&'S'].as_str()),
            ("57P01".to_owned(), "FATAL"),
            "{said:?}"
        );
        let said = other.read_batch();
        let error = said.iter().find(|message| message.tag == b'E').expect("it is told why");
        assert_eq!(
            (error.code(), error.fields()[&'S'].as_str()),
            ("57P01".to_owned(), "ERROR"),
            "{said:?}"
        );
        assert_eq!(afterwards(&mut other, "SELECT count(*) FROM h"), ["30"]);
        assert_eq!(afterwards(&mut other, "SELECT pg_try_advisory_lock(5)"), ["t"]);
        other.rows("SELECT pg_advisory_unlock(5)");
    }
}

/// Every shard and the plain Postgres.
fn everywhere(world: &World, sql: &str) {
    let shards = (0..world.shards()).map(|shard| world.servers().shard(shard));
    for address in shards.chain([world.servers().oracle()]) {
        superuser(address, world.database()).query(sql);
    }
}

/// How a login ends: with an SQLSTATE and a message, or well.
fn login(address: std::net::SocketAddr, user: &str, database: &str) -> Option<(String, String)> {
    let refused = Client::log_in(address, &[("user", user), ("database", database)]).err()?;
    Some((refused.code(), refused.fields()[&'M'].clone()))
}

/// A pooled backend logged in long ago; whoever comes now is asked about anew.
#[test]
fn rule_25_a_role_that_may_log_in_no_longer_does_not() {
    const ROLE: &str = "crowd_guest";
    let world = world("crowd_logins", "");
    let (ours, theirs, database) = (world.proxy().address(), world.servers().oracle(), world.database());
    everywhere(&world, &format!("CREATE ROLE {ROLE} LOGIN"));
    everywhere(&world, &format!("ALTER ROLE {ROLE} LOGIN"));
    let both_ways = [
        (format!("ALTER ROLE {ROLE} NOLOGIN"), format!("ALTER ROLE {ROLE} LOGIN")),
        (
            format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC"),
            format!("GRANT CONNECT ON DATABASE {database} TO PUBLIC"),
        ),
    ];
    let mut stays = Client::log_in(ours, &[("user", ROLE), ("database", database)]).expect("it may");
    for (shut, open) in both_ways {
        for _ in 0..2 {
            assert_eq!(login(ours, ROLE, database), None);
        }
        everywhere(&world, &shut);
        let expected = login(theirs, ROLE, database);
        assert!(expected.is_some(), "{shut}");
        repeat("the role to be refused", || match login(ours, ROLE, database) {
            None => ControlFlow::Continue(()),
            told => {
                assert_eq!(told, expected);
                ControlFlow::Break(())
            }
        });
        // Who is in stays in, as before a Postgres.
        assert_eq!(stays.value("SELECT session_user"), ROLE);
        everywhere(&world, &open);
        repeat("the role to be let in", || match login(ours, ROLE, database) {
            None => ControlFlow::Break(()),
            Some(_) => ControlFlow::Continue(()),
        });
    }
    drop(stays);
    everywhere(&world, &format!("ALTER ROLE {ROLE} NOLOGIN"));
}

/// `SET ROLE` that can't be replayed is no `SET ROLE`: nothing runs as the login role instead.
#[test]
fn rule_17_a_role_that_may_be_had_no_longer_is_not_left_out() {
    const ROLE: &str = "crowd_other";
    let world = world("crowd_replay", "pool: {size: 1}");
    everywhere(&world, &format!("CREATE ROLE {ROLE} NOLOGIN"));
    everywhere(&world, &format!("GRANT {ROLE} TO {CLIENT_ROLE}"));
    let mut client = world.client();
    client.rows(&format!("SET ROLE {ROLE}"));
    assert_eq!(client.value("SELECT current_user"), ROLE);
    // Others have had the backends in between.
    for sql in ["RESET ROLE", "SELECT count(*) FROM h"] {
        world.client().rows(sql);
    }
    everywhere(&world, &format!("REVOKE {ROLE} FROM {CLIENT_ROLE}"));
    let asks = crate::messages::query("SELECT current_user");
    let sets = crate::messages::query("SET work_mem = '4MB'");
    for bytes in [
        asks.clone(),
        [sets.clone(), asks.clone()].concat(),
        [asks.clone(), asks.clone()].concat(),
    ] {
        world.client().rows("SELECT count(*) FROM h");
        client.send(&bytes);
        for _ in 0..bytes.iter().filter(|byte| **byte == b'Q').count() {
            let answer = client.read_batch();
            let error = answer.iter().find(|message| message.tag == b'E');
            assert_eq!(
                error.map(crate::messages::Message::code).as_deref(),
                Some("42501"),
                "{answer:?}"
            );
        }
    }
    assert_eq!(client.failure("BEGIN; SELECT current_user"), "42501");
    client.query("ROLLBACK");
    assert_eq!(client.failure("SELECT count(*) FROM h"), "42501");
    everywhere(&world, &format!("GRANT {ROLE} TO {CLIENT_ROLE}"));
    assert_eq!(client.value("SELECT current_user"), ROLE);
}

/// What one Postgres could prepare lies on several shards: refused, and nothing stays prepared.
#[test]
fn rule_6_two_phase_commit_by_the_client_is_one_shards() {
    let world = world("crowd_prepares", "");
    let mut client = world.client();
    client.rows("BEGIN");
    for id in apart(&world) {
        client.rows(&format!("UPDATE h SET v = 'half' WHERE id = {id}"));
    }
    assert_eq!(client.failure("PREPARE TRANSACTION 'crowd_gid'"), "0A000");
    // It has failed as a whole, as after any error.
    assert_eq!(client.failure("SELECT 1"), "25P02");
    client.rows("COMMIT");
    for shard in 0..world.shards() {
        let mut admin = superuser(world.servers().shard(shard), world.database());
        assert_eq!(
            admin.value("SELECT count(*) FROM pg_prepared_xacts WHERE gid LIKE '%crowd_gid'"),
            "0"
        );
    }
    assert_eq!(client.value("SELECT count(*) FROM h WHERE v = 'half'"), "0");
}

/// Parse, Describe, the check of a setting and the planner's questions begin no transaction on a shard.
#[test]
fn rule_12_only_what_touches_a_shard_enlists_it() {
    use crate::messages::{describe, parse, query, sync};
    let world = world("crowd_enlists", "");
    let [here, there] = apart(&world);
    let open = |world: &World| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
        [0, 1].map(|shard| superuser(world.servers().shard(shard), world.database()).value(sql))
    };
    let mut client = world.client();
    let quiet = [
        query("BEGIN"),
        [
            parse("p", "SELECT v FROM h WHERE id = $1", &[]),
            describe(b'S', "p"),
            sync(),
        ]
        .concat(),
        [
            parse("", "UPDATE h SET v = $2 WHERE id = $1", &[]),
            describe(b'S', ""),
            sync(),
        ]
        .concat(),
        query("SET work_mem = '3MB'"),
        query("SET LOCAL TimeZone = 'Asia/Tokyo'"),
        query("SAVEPOINT a"),
        query("ROLLBACK TO a"),
        query("SET CONSTRAINTS ALL DEFERRED"),
        query("PREPARE q AS SELECT v FROM h WHERE id = 1"),
        query("EXPLAIN (ROUTE) SELECT v FROM h WHERE id = 1"),
    ];
    for bytes in quiet {
        client.send(&bytes);
        let answer = client.read_batch();
        assert!(answer.iter().all(|message| message.tag != b'E'), "{answer:?}");
        assert_eq!(open(&world), ["0", "0"], "after {}", bytes.escape_ascii());
    }
    client.rows(&format!("SELECT v FROM h WHERE id = {here}"));
    assert_eq!(open(&world), ["1", "0"]);
    client.rows(&format!("SELECT v FROM h WHERE id = {there}"));
    assert_eq!(open(&world), ["1", "1"]);
    client.rows("COMMIT");
    assert_eq!(open(&world), ["0", "0"]);
}

/// Who was told a backend's process id keeps that backend.
#[test]
fn rule_23_a_process_id_that_was_given_away_stays_true() {
    let world = world("crowd_pids", "pool: {size: 2}");
    let mut client = world.client();
    let own = client.value("SELECT pg_backend_pid()");
    for _ in 0..3 {
        let mut other = world.client();
        assert_ne!(other.value("SELECT pg_backend_pid()"), own);
        assert_eq!(client.value("SELECT pg_backend_pid()"), own);
    }
}

/// The session's own value, or a refusal: never another's.
fn own_or_refused(client: &mut Client, own: &str) {
    let answer = client.query("SELECT currval('numbers')");
    match answer.iter().find(|message| message.tag == b'E') {
        Some(error) => assert_eq!(error.code(), "0A000"),
        None => assert!(
            answer
                .iter()
                .any(|row| row.tag == b'D' && row.body.ends_with(own.as_bytes())),
            "{own} was drawn: {answer:?}"
        ),
    }
}

#[test]
fn rule_23_nobody_reads_what_another_session_was_given() {
    let world = world("crowd_sequences", "pool: {size: 1}");
    let (mut one, mut other) = (world.client(), world.client());
    for _ in 0..3 {
        let drawn = one.value("SELECT nextval('numbers')");
        for sql in ["SELECT currval('numbers')", "SELECT lastval()"] {
            let code = world.client().failure(sql);
            assert!(
                ["55000", "0A000"].contains(&code.as_str()),
                "{sql} of a new session: {code}"
            );
        }
        let others = other.value("SELECT nextval('numbers')");
        own_or_refused(&mut one, &drawn);
        own_or_refused(&mut other, &others);
    }
}

#[test]
fn rule_24_pins_do_not_starve_the_pool() {
    let world = world("crowd_pins", "pool: {size: 1, pinned: 2}");
    let mut pinned: Vec<Client> = (0..2).map(|_| world.client()).collect();
    for (number, client) in pinned.iter_mut().enumerate() {
        client.rows(&format!("SELECT pg_advisory_lock({number})"));
    }
    let mut third = world.client();
    assert_eq!(third.failure("SELECT pg_advisory_lock(7)"), "53300");
    for _ in 0..3 {
        assert_eq!(third.value("SELECT count(*) FROM h"), "30");
        assert_eq!(world.client().value("SELECT count(*) FROM h"), "30");
    }
    // who leaves makes room
    pinned.clear();
    repeat("a pin to be free", || {
        match third
            .query("SELECT pg_advisory_lock(7)")
            .iter()
            .any(|message| message.tag == b'E')
        {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    assert_eq!(third.value("SELECT pg_advisory_unlock(7)"), "t");
}
