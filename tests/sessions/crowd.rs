//! Many clients on a pool of one: what they share without noticing, and what they are kept from (rules 18, 21, 23, 24).

use std::ops::ControlFlow;

use crate::client::Client;
use crate::servers::superuser;
use crate::world::{CLIENT_ROLE, Spec, World, repeat};

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
