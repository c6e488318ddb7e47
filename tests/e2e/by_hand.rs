//! Routing by hand: `shardgate.shard`, `shardgate.key`, and comments where the config lets them speak.

use crate::client::Client;
use crate::messages::{Format, bind, execute, parse, sync};
use crate::servers::superuser;
use crate::world::{Spec, World};

const SCHEMA: &str = "CREATE TABLE h (id int PRIMARY KEY, v text);";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 30) i;";

const COUNT: &str = "SELECT count(*) FROM h";

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

/// What each shard holds, read past the proxy.
fn held(world: &World, sql: &str) -> [String; 2] {
    [0, 1].map(|shard| superuser(world.servers().shard(shard), world.database()).value(sql))
}

/// The shard of this row.
fn owner(world: &World, id: i32) -> usize {
    let counts = held(world, &format!("SELECT count(*) FROM h WHERE id = {id}"));
    counts
        .iter()
        .position(|count| count == "1")
        .expect("a row has an owner")
}

fn set(client: &mut Client, sql: &str) {
    client.rows(sql);
}

#[test]
fn reads_go_where_they_are_sent() {
    let world = world("by_hand_reads", "");
    let counts = held(&world, COUNT);
    let mut client = world.client();
    for (shard, count) in counts.iter().enumerate() {
        set(&mut client, &format!("SET shardgate.shard = 's{shard}'"));
        assert_eq!(&client.value(COUNT), count);
        // what no plan over several shards could answer
        let ranked = "SELECT max(r) FROM (SELECT rank() OVER (ORDER BY v) AS r FROM h) s";
        assert_eq!(&client.value(ranked), count);
        let own = superuser(world.servers().shard(shard), world.database()).value("SELECT inet_server_port()");
        assert_eq!(client.value("SELECT inet_server_port()"), own);
        client.send(
            &[
                parse("", COUNT, &[]),
                bind("", "", &[], Format::Text),
                execute("", 0),
                sync(),
            ]
            .concat(),
        );
        let rows: Vec<_> = client.read_batch().into_iter().filter(|m| m.tag == b'D').collect();
        assert_eq!(rows.len(), 1);
        assert!(rows.iter().all(|row| row.body.ends_with(count.as_bytes())), "{rows:?}");
        set(&mut client, "RESET shardgate.shard");
        assert_eq!(client.value(COUNT), "30");
    }
    for id in [3, 4, 5, 6, 7, 8] {
        set(&mut client, &format!("SET shardgate.key = 'whole:{id}'"));
        let count = counts.get(owner(&world, id)).expect("two shards");
        assert_eq!(&client.value(COUNT), count);
    }
    set(&mut client, "SET shardgate.key TO DEFAULT");
    assert_eq!(client.value(COUNT), "30");
}

#[test]
fn it_lasts_as_long_as_any_setting() {
    let world = world("by_hand_local", "");
    let [first, second] = held(&world, COUNT);
    let mut client = world.client();
    set(&mut client, "BEGIN");
    set(&mut client, "SET LOCAL shardgate.shard = 's1'");
    assert_eq!(client.value(COUNT), second);
    set(&mut client, "SET LOCAL shardgate.shard = 's0'");
    assert_eq!(client.value(COUNT), first);
    set(&mut client, "COMMIT");
    assert_eq!(client.value(COUNT), "30");
    set(&mut client, "BEGIN");
    set(&mut client, "SET shardgate.shard = 's1'");
    set(&mut client, "ROLLBACK");
    assert_eq!(client.value(COUNT), "30");
    set(&mut client, "SET shardgate.shard = 's1'");
    set(&mut client, "RESET ALL");
    assert_eq!(client.value(COUNT), "30");
}

#[test]
fn names_that_are_none_are_errors() {
    let world = world("by_hand_wrong", "");
    let mut client = world.client();
    for wrong in [
        "SET shardgate.shard = 's7'",
        "SET shardgate.key = 'nothing:1'",
        "SET shardgate.key = 'whole:x'",
        "SET shardgate.key = '5'",
    ] {
        assert_eq!(client.failure(wrong), "22023", "{wrong}");
    }
    assert_eq!(client.failure("SET shardgate.chard = 's0'"), "42704");
    assert_eq!(client.value(COUNT), "30");
    let other = 1 - owner(&world, 5);
    set(&mut client, "SET shardgate.key = 'whole:5'");
    set(&mut client, &format!("SET shardgate.shard = 's{other}'"));
    assert_eq!(client.failure(COUNT), "22023");
}

#[test]
fn writes_go_where_they_belong_or_nowhere() {
    let world = world("by_hand_writes", "");
    let own = owner(&world, 5);
    let mut client = world.client();
    set(&mut client, &format!("SET shardgate.shard = 's{}'", 1 - own));
    for refused in [
        "UPDATE h SET v = 'x' WHERE id = 5",
        "INSERT INTO h VALUES (5, 'x') ON CONFLICT DO NOTHING",
        "SELECT v FROM h WHERE id = 5 FOR UPDATE",
        "CREATE INDEX more ON h (v)",
        "DELETE FROM h",
    ] {
        assert_eq!(client.failure(refused), "0A000", "{refused}");
    }
    set(&mut client, &format!("SET shardgate.shard = 's{own}'"));
    set(&mut client, "UPDATE h SET v = 'x' WHERE id = 5");
    assert_eq!(client.value("SELECT v FROM h WHERE id = 5"), "x");
}

#[test]
fn comments_speak_only_where_the_config_says_so() {
    let quiet = world("by_hand_quiet", "");
    assert_eq!(
        quiet.client().value("/* shardgate: shard=s0 */ SELECT count(*) FROM h"),
        "30"
    );
    let heeding = world("by_hand_heeding", "directives: comments");
    let [first, second] = held(&heeding, COUNT);
    let mut client = heeding.client();
    for _ in 0..2 {
        assert_eq!(client.value("/* shardgate: shard=s0 */ SELECT count(*) FROM h"), first);
        assert_eq!(
            client.value("-- asked by hand\n/* shardgate: shard=s1 */ SELECT count(*) FROM h"),
            second
        );
        assert_eq!(client.value(COUNT), "30");
        assert_eq!(client.value("SELECT count(*) /* shardgate: shard=s0 */ FROM h"), "30");
    }
    assert_eq!(
        client.failure("/* shardgate: shard=s9 */ SELECT count(*) FROM h"),
        "22023"
    );
    assert_eq!(
        client.failure("/* shardgate: chard=s0 */ SELECT count(*) FROM h"),
        "42704"
    );
    assert_eq!(client.failure("/* shardgate: s0 */ SELECT count(*) FROM h"), "22023");
    set(&mut client, "SET shardgate.shard = 's1'");
    assert_eq!(client.value("/* shardgate: shard=s0 */ SELECT count(*) FROM h"), first);
    assert_eq!(client.value(COUNT), second);
}
