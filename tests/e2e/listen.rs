//! LISTEN over several shards: what is notified on any of them, by a trigger say, reaches a client that waits for it.

use crate::client::Client;
use crate::messages::{Format, Message, bind, execute, parse, query, sync, unnamed};
use crate::servers::superuser;
use crate::world::{CONTROL_ROLE, Spec, World, repeat};

/// Keys below 1000 lie on s0, below 2000 on s1, all others on s2.
const LAYOUT: &str = "keyspaces:
  place:
    strategy: range
    type: bigint
    ranges: [{until: \"1000\", shard: {{s0}}}, {until: \"2000\", shard: {{s1}}}, {shard: {{s2}}}]
tables:
  orders: {keyspace: place, key: id}
  plain: {keyspace: place, key: id}
functions: {tell: local}
";

/// Each row of `orders` is told to whoever listens to `made`.
const SCHEMA: &str = "CREATE TABLE orders (id bigint PRIMARY KEY); CREATE TABLE plain (id bigint PRIMARY KEY); \
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS \
    $$ BEGIN PERFORM pg_notify('made', NEW.id::text); RETURN NULL; END $$; \
    CREATE TRIGGER tell AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION tell()";

/// Where `SHOW POOLS` tells how many backends are pinned.
const PINNED: usize = 4;

fn spec<'a>(name: &'a str, settings: &'a str) -> Spec<'a> {
    Spec {
        name,
        shards: 3,
        layout: LAYOUT,
        settings,
        schema: SCHEMA,
        data: "",
    }
}

fn world(name: &str) -> World {
    World::start(spec(name, ""))
}

/// The same by either protocol.
fn ask(client: &mut Client, sql: &str, protocol: Protocol) -> Vec<Message> {
    match protocol {
        Protocol::Simple => client.query(sql),
        Protocol::Extended => {
            client.send(&[unnamed(sql, &[]), sync()].concat());
            client.read_batch()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Simple,
    Extended,
}

const BOTH: [Protocol; 2] = [Protocol::Simple, Protocol::Extended];

fn error_of(answer: &[Message]) -> Option<&Message> {
    answer.iter().find(|message| message.tag == b'E')
}

fn succeeds(answer: &[Message]) {
    assert!(error_of(answer).is_none(), "{answer:?}");
}

/// Channel and payload of the notifications among these messages.
fn told(messages: &[Message]) -> Vec<String> {
    let told = messages.iter().filter(|message| message.tag == b'A').map(|message| {
        let text = String::from_utf8_lossy(message.body.get(4..).unwrap_or_default()).into_owned();
        text.trim_end_matches('\0').replace('\0', " ")
    });
    told.collect()
}

/// Waits for so many notifications, with nothing asked; in the order of the alphabet.
fn wait_told(client: &mut Client, count: usize) -> Vec<String> {
    let mut heard: Vec<String> = (0..count).flat_map(|_| told(&client.read_until(b'A'))).collect();
    heard.sort_unstable();
    heard
}

/// How many backends are pinned on each shard.
fn pinned(world: &World) -> Vec<String> {
    let rows = world.admin().rows("SHOW POOLS");
    let ours = rows.into_iter().filter(|row| row[0].starts_with('s'));
    ours.map(|row| row[PINNED].clone()).collect()
}

fn assert_pinned(world: &World, count: &str) {
    assert_eq!(pinned(world), [count; 3], "{:?}", world.admin().rows("SHOW CLIENTS"));
}

/// Ends the session that alone has pinned something.
fn end(client: Client, world: &World) {
    drop(client);
    repeat("the session to end", || match pinned(world) == ["0"; 3] {
        true => std::ops::ControlFlow::Break(()),
        false => std::ops::ControlFlow::Continue(()),
    });
}

/// A last notification on every shard: whatever came before on a shard is there once it is.
fn end_everywhere(world: &World, channel: &str) {
    for shard in 0..world.shards() {
        world.shard(shard).rows(&format!("NOTIFY {channel}, 'end {shard}'"));
    }
}

#[test]
fn what_a_trigger_tells_on_any_shard_reaches_an_idle_client() {
    let world = world("listen_trigger");
    let mut writer = world.client();
    for (turn, protocol) in (0..).zip(BOTH) {
        let mut listener = world.client();
        succeeds(&ask(&mut listener, "LISTEN made", protocol));
        let ids = [1, 1001, 2001].map(|id| id + turn);
        for id in ids {
            writer.rows(&format!("INSERT INTO orders VALUES ({id})"));
            assert_eq!(wait_told(&mut listener, 1), [format!("made {id}")], "{protocol:?}");
        }
        // The listener's own writes tell it too, and its other statements go where they went.
        let own = ask(
            &mut listener,
            &format!("INSERT INTO orders VALUES ({})", 1500 + turn),
            protocol,
        );
        succeeds(&own);
        let mut heard = told(&own);
        if heard.is_empty() {
            heard = wait_told(&mut listener, 1);
        }
        assert_eq!(heard, [format!("made {}", 1500 + turn)]);
        assert_eq!(listener.value("SELECT count(*) FROM plain"), "0");
        assert_eq!(listener.value("SELECT pg_listening_channels()"), "made");
        let clients = world.admin().rows("SHOW CLIENTS");
        let shown = clients.iter().find(|row| row[6] == "LISTEN").expect("it is pinned");
        assert_eq!(shown[5], "s0, s1, s2", "{clients:?}");
    }
}

#[test]
fn a_clients_notify_comes_once() {
    let world = world("listen_once");
    let mut listener = world.client();
    listener.rows("LISTEN news");
    listener.rows("SET shardgate.shard = 's1'");
    listener.rows("LISTEN other");
    world.client().rows("NOTIFY news, 'client'");
    world.client().rows("SELECT pg_notify('other', 'function')");
    end_everywhere(&world, "news");
    assert_eq!(
        wait_told(&mut listener, 5),
        [
            "news client",
            "news end 0",
            "news end 1",
            "news end 2",
            "other function"
        ]
    );
    // By the session itself.
    listener.rows("RESET shardgate.shard");
    let own = listener.query("NOTIFY news, 'own'");
    succeeds(&own);
    end_everywhere(&world, "news");
    let mut heard = told(&own);
    heard.extend(wait_told(&mut listener, 4 - heard.len()));
    heard.sort_unstable();
    assert_eq!(heard, ["news end 0", "news end 1", "news end 2", "news own"]);
}

#[test]
fn what_is_rolled_back_listens_nowhere_and_holds_nothing() {
    let world = world("listen_rollback");
    for protocol in BOTH {
        let mut client = world.client();
        let plain = ["BEGIN", "LISTEN a", "ROLLBACK"];
        let partly = ["BEGIN", "SAVEPOINT s", "LISTEN a", "ROLLBACK TO s", "COMMIT"];
        for statements in [&plain[..], &partly] {
            for sql in statements {
                succeeds(&ask(&mut client, sql, protocol));
            }
            assert_pinned(&world, "0");
        }
        // An error in the batch takes it back.
        for sql in ["BEGIN", "LISTEN a"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert!(error_of(&ask(&mut client, "SELECT 1 / 0", protocol)).is_some());
        succeeds(&ask(&mut client, "COMMIT", protocol));
        assert_pinned(&world, "0");
        // With what was listened to before.
        for sql in ["LISTEN before", "BEGIN", "LISTEN a", "ROLLBACK"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_pinned(&world, "1");
        assert_eq!(client.value("SELECT pg_listening_channels()"), "before");
        end_everywhere(&world, "a");
        end_everywhere(&world, "before");
        let heard = wait_told(&mut client, 3);
        assert_eq!(heard, ["before end 0", "before end 1", "before end 2"]);
        end(client, &world);
    }
    let mut client = world.client();
    assert_eq!(client.failure("LISTEN a; SELECT 1 / 0"), "22012");
    assert_pinned(&world, "0");
    let batch = [unnamed("LISTEN a", &[]), unnamed("SELECT 1 / 0", &[]), sync()];
    client.send(&batch.concat());
    assert!(error_of(&client.read_batch()).is_some());
    assert_pinned(&world, "0");
    // Committed, by one message, in a block, and by one batch.
    for texts in [&["LISTEN a; SELECT 1"][..], &["BEGIN", "LISTEN a", "COMMIT"]] {
        for text in texts {
            client.rows(text);
        }
        assert_pinned(&world, "1");
        end_everywhere(&world, "a");
        assert_eq!(wait_told(&mut client, 3), ["a end 0", "a end 1", "a end 2"]);
        client.rows("UNLISTEN *");
        assert_pinned(&world, "0");
    }
}

#[test]
fn unlisten_lets_the_backends_go() {
    let world = world("listen_unlisten");
    for protocol in BOTH {
        let mut client = world.client();
        for sql in ["LISTEN a", "LISTEN b", "UNLISTEN a"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_pinned(&world, "1");
        end_everywhere(&world, "a");
        end_everywhere(&world, "b");
        assert_eq!(wait_told(&mut client, 3), ["b end 0", "b end 1", "b end 2"]);
        // Taken back it goes on.
        for sql in ["BEGIN", "UNLISTEN *", "ROLLBACK"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        end_everywhere(&world, "b");
        assert_eq!(wait_told(&mut client, 3), ["b end 0", "b end 1", "b end 2"]);
        succeeds(&ask(&mut client, "UNLISTEN b", protocol));
        assert_pinned(&world, "0");
        for sql in ["LISTEN c", "BEGIN", "UNLISTEN *", "COMMIT"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_pinned(&world, "0");
        for sql in ["LISTEN d", "DISCARD ALL"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_pinned(&world, "0");
        // A temporary table holds home's backend, UNLISTEN or not.
        for sql in ["CREATE TEMP TABLE t (id int)", "LISTEN e", "UNLISTEN *"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_eq!(pinned(&world), ["1", "0", "0"]);
        assert_eq!(client.value("SELECT count(*) FROM t"), "0");
        end(client, &world);
    }
}

#[test]
fn in_a_block_it_commits_with_what_one_shard_wrote() {
    let world = world("listen_block");
    let mut client = world.client();
    for sql in ["BEGIN", "LISTEN made", "INSERT INTO plain VALUES (1001)", "COMMIT"] {
        client.rows(sql);
    }
    assert_pinned(&world, "1");
    world.client().rows("INSERT INTO orders VALUES (2001)");
    assert_eq!(wait_told(&mut client, 1), ["made 2001"]);
    client.rows("UNLISTEN *");
    // Postgres prepares no transaction that listens, so several shards can't commit it together.
    for sql in [
        "BEGIN",
        "LISTEN made",
        "INSERT INTO plain VALUES (2)",
        "INSERT INTO plain VALUES (1002)",
    ] {
        client.rows(sql);
    }
    let answer = client.query("COMMIT");
    let error = error_of(&answer).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(error.code(), "0A000");
    assert!(error.fields()[&'H'].contains("LISTEN"), "{error:?}");
    assert_eq!(client.value("SELECT count(*) FROM plain"), "1");
    assert_pinned(&world, "0");
    // Nor one that notifies on more than one of them.
    let answer = client.query("INSERT INTO orders VALUES (3), (1003)");
    let error = error_of(&answer).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(error.code(), "0A000");
    assert!(error.fields()[&'H'].contains("NOTIFY"), "{error:?}");
    assert_eq!(client.value("SELECT count(*) FROM orders"), "1");
}

/// As from Postgres, which tells a session of nothing while it is in a transaction.
#[test]
fn what_comes_during_a_block_waits_for_its_end() {
    let world = world("listen_during");
    for protocol in BOTH {
        let mut client = world.client();
        let mut witness = world.client();
        succeeds(&ask(&mut client, "LISTEN a", protocol));
        witness.rows("LISTEN a");
        succeeds(&ask(&mut client, "BEGIN", protocol));
        succeeds(&ask(&mut client, "SELECT count(*) FROM plain WHERE id = 1", protocol));
        end_everywhere(&world, "a");
        wait_told(&mut witness, 3);
        for sql in [
            "SELECT count(*) FROM plain WHERE id = 2",
            "SET work_mem = '5MB'",
            "SELECT 1",
        ] {
            let answer = ask(&mut client, sql, protocol);
            succeeds(&answer);
            assert_eq!(told(&answer), [""; 0], "{sql}");
        }
        let mut heard = told(&ask(&mut client, "COMMIT", protocol));
        let missing = 3 - heard.len();
        heard.extend(wait_told(&mut client, missing));
        heard.sort_unstable();
        assert_eq!(heard, ["a end 0", "a end 1", "a end 2"]);
    }
}

/// The proxy's own questions to a backend lose nothing of what it tells besides.
#[test]
fn nothing_is_lost_to_a_busy_session() {
    const COUNT: usize = 200;
    let world = world("listen_busy");
    let mut client = world.client();
    client.rows("LISTEN a");
    let mut heard = Vec::new();
    for turn in 0..COUNT / 4 {
        for shard in 1..3 {
            world.shard(shard).rows(&format!("NOTIFY a, '{turn} {shard}'"));
        }
        for sql in ["SET work_mem = '5MB'", "RESET work_mem"] {
            heard.extend(told(&client.query(sql)));
        }
    }
    end_everywhere(&world, "a");
    while heard.iter().filter(|one| one.starts_with("a end")).count() < 3 {
        heard.extend(wait_told(&mut client, 1));
    }
    assert_eq!(heard.len(), COUNT / 2 + 3);
}

#[test]
fn beyond_the_limit_of_pins_nobody_listens() {
    let world = World::start(spec("listen_limit", "pool: {size: 4, pinned: 1}"));
    let mut first = world.client();
    // Where the temporary tables are there is no place left.
    first.rows("CREATE TEMP TABLE t (id int)");
    let mut second = world.client();
    for protocol in BOTH {
        let answer = ask(&mut second, "LISTEN a", protocol);
        assert_eq!(
            error_of(&answer).map(Message::code).as_deref(),
            Some("53300"),
            "{answer:?}"
        );
        assert_eq!(pinned(&world), ["1", "0", "0"]);
    }
    first.rows("LISTEN a");
    assert_pinned(&world, "1");
    end_everywhere(&world, "a");
    assert_eq!(wait_told(&mut first, 3), ["a end 0", "a end 1", "a end 2"]);
    assert_eq!(second.value("SELECT count(*) FROM plain"), "0");
}

#[test]
fn with_a_dead_shard_nobody_listens() {
    let world = World::start_private(spec("listen_dead", ""));
    let mut client = world.client();
    client.rows("SELECT count(*) FROM plain");
    world.servers().disturb(1, |cluster| cluster.stop());
    for protocol in BOTH {
        let answer = ask(&mut client, "LISTEN a", protocol);
        assert!(error_of(&answer).is_some(), "{answer:?}");
        assert_pinned(&world, "0");
    }
    for shard in [0, 2] {
        world.shard(shard).rows("NOTIFY a, 'unheard'");
    }
    world.servers().disturb(1, |cluster| cluster.restart());
    repeat("the shard to be used again", || {
        match error_of(&client.query("LISTEN a")) {
            None => std::ops::ControlFlow::Break(()),
            Some(_) => std::ops::ControlFlow::Continue(()),
        }
    });
    assert_pinned(&world, "1");
    end_everywhere(&world, "a");
    assert_eq!(wait_told(&mut client, 3), ["a end 0", "a end 1", "a end 2"]);
    // Drivers' pools send this at every release: whoever listens to nothing needs no shard for it.
    let mut pooled = world.client();
    pooled.rows("SELECT 1");
    world.servers().disturb(0, |cluster| cluster.stop());
    for protocol in BOTH {
        for sql in ["UNLISTEN *", "UNLISTEN a"] {
            succeeds(&ask(&mut pooled, sql, protocol));
        }
    }
    // A session that listens ends with any of the backends that it listens by.
    let last = client.read_to_end();
    let error = error_of(&last).unwrap_or_else(|| panic!("{last:?}"));
    assert_eq!(error.fields()[&'S'], "FATAL");
    world.servers().disturb(0, |cluster| cluster.restart());
}

#[test]
fn named_and_prepared_it_listens_again_and_again() {
    let world = world("listen_prepared");
    let mut client = world.client();
    client.send(&[parse("l", "LISTEN a", &[]), parse("u", "UNLISTEN *", &[]), sync()].concat());
    succeeds(&client.read_batch());
    for _ in 0..2 {
        client.send(&[bind("", "l", &[], Format::Text), execute("", 0), sync()].concat());
        succeeds(&client.read_batch());
        assert_pinned(&world, "1");
        end_everywhere(&world, "a");
        assert_eq!(wait_told(&mut client, 3), ["a end 0", "a end 1", "a end 2"]);
        client.send(&[bind("", "u", &[], Format::Text), execute("", 0), sync()].concat());
        succeeds(&client.read_batch());
        assert_pinned(&world, "0");
    }
    // The route says so.
    let steps = world.admin().rows("ROUTE LISTEN a");
    assert_eq!(steps[0][1], "s0, s1, s2", "{steps:?}");
}

/// Whoever listens would hear nothing of a shard that comes later: the session ends, and its driver connects again.
#[test]
fn a_shard_that_comes_ends_whoever_listens() {
    let world = World::start(Spec {
        layout: "keyspaces:
  place: {strategy: hash, type: bigint, buckets: 16}
tables:
  plain: {keyspace: place, key: id}
",
        schema: "CREATE TABLE plain (id bigint PRIMARY KEY)",
        ..Spec::empty("listen_new_shard", 2)
    });
    let (mut listener, mut other, mut inside) = (world.client(), world.client(), world.client());
    listener.rows("LISTEN a");
    for sql in ["LISTEN a", "BEGIN", "INSERT INTO plain VALUES (1)"] {
        inside.rows(sql);
    }
    // Keeps the buckets where they are: what is declared of a keyspace that is stored changes nothing.
    let address = world.servers().shard(2);
    let mut third = superuser(address, "postgres");
    third.rows(&format!("CREATE DATABASE {}", world.database()));
    superuser(address, world.database()).rows("CREATE TABLE plain (id bigint PRIMARY KEY)");
    let path = world.proxy().config();
    let config = std::fs::read_to_string(path).expect("the proxy's config is there");
    let line = format!(
        "  - {{name: s2, primary: \"postgres://{CONTROL_ROLE}@{address}/{}\"}}\nkeyspaces:",
        world.database()
    );
    std::fs::write(path, config.replace("keyspaces:", &line)).expect("it can be written");
    world.proxy().signal("HUP");
    let last = listener.read_to_end();
    let error = error_of(&last).unwrap_or_else(|| panic!("{last:?}\n{}", world.proxy().log()));
    assert_eq!(
        (error.code().as_str(), error.fields()[&'S'].as_str()),
        ("57P01", "FATAL")
    );
    // A transaction ends first.
    inside.rows("COMMIT");
    assert_eq!(
        error_of(&inside.read_to_end()).map(Message::code).as_deref(),
        Some("57P01")
    );
    assert_eq!(other.value("SELECT count(*) FROM plain"), "1");
    let mut listener = world.client();
    listener.rows("LISTEN a");
    superuser(address, world.database()).rows("NOTIFY a, 'new'");
    assert_eq!(wait_told(&mut listener, 1), ["a new"]);
    drop((listener, other, inside));
    third.rows(&format!("DROP DATABASE {} WITH (FORCE)", world.database()));
}

/// Ends the backends of ours on a shard of which this is true.
fn terminate(world: &World, shard: usize, which: &str) {
    let ours = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    world.wait_on_shard(shard, &format!("SELECT count(*) {ours} AND {which}"), "1");
    world
        .shard(shard)
        .rows(&format!("SELECT pg_terminate_backend(pid) {ours} AND {which}"));
}

/// Whatever was under way: without one of its backends a session would miss what is told there.
#[test]
fn a_session_that_listens_ends_with_any_of_its_backends() {
    let world = world("listen_lost");
    // In the block of LISTEN.
    let mut client = world.client();
    client.rows("BEGIN");
    client.rows("LISTEN a");
    terminate(&world, 1, "query LIKE 'LISTEN%'");
    let last = client.read_to_end();
    let error = error_of(&last).unwrap_or_else(|| panic!("{last:?}"));
    assert_eq!(error.fields()[&'S'], "FATAL");
    end(client, &world);
    // In a read over all shards, and in a write.
    for sql in [
        "SELECT count(*) FROM plain",
        "BEGIN; SELECT count(*) FROM plain",
        "BEGIN; LOCK plain",
    ] {
        let mut client = world.client();
        client.rows("LISTEN a");
        let mut blocker = world.shard(1);
        blocker.rows("BEGIN");
        blocker.rows("LOCK plain");
        client.send(&query(sql));
        terminate(&world, 1, "wait_event_type = 'Lock'");
        let last = client.read_to_end();
        let error = last.last().filter(|message| message.tag == b'E');
        let severity = error.map(|error| error.fields()[&'S'].clone());
        assert_eq!(severity.as_deref(), Some("FATAL"), "{sql}: {last:?}");
        // At once, not when something is asked for next.
        assert!(last.iter().all(|message| message.tag != b'Z'), "{sql}: {last:?}");
        blocker.rows("ROLLBACK");
        end(client, &world);
    }
}

#[test]
fn before_one_shard_what_is_rolled_back_holds_nothing_either() {
    let world = World::start(Spec::empty("listen_single", 1));
    for protocol in BOTH {
        let mut client = world.client();
        for sql in ["BEGIN", "LISTEN a", "ROLLBACK"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_eq!(pinned(&world), ["0"]);
        for sql in ["BEGIN", "LISTEN a", "COMMIT"] {
            succeeds(&ask(&mut client, sql, protocol));
        }
        assert_eq!(pinned(&world), ["1"]);
        end_everywhere(&world, "a");
        assert_eq!(wait_told(&mut client, 1), ["a end 0"]);
        succeeds(&ask(&mut client, "UNLISTEN *", protocol));
        assert_eq!(pinned(&world), ["0"]);
    }
}
