//! Values of sequences over three shards: no value twice, whoever draws at the same time and whatever else happens.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::messages;
use crate::pair::Pair;
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, Spec, World};

const LAYOUT: &str = "keyspaces:
  user: {strategy: hash, type: bigint, buckets: 64}
tables:
  users: {keyspace: user, key: id}
  orders: {keyspace: user, key: user_id}
";

const SCHEMA: &str = "CREATE TABLE users (id bigserial PRIMARY KEY, name text);
CREATE TABLE orders (id int GENERATED ALWAYS AS IDENTITY, user_id bigint NOT NULL, note text);
CREATE SEQUENCE spare;";

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

/// A second proxy before the same shards.
fn second_proxy(world: &World, name: &str) -> Proxy {
    let config = std::fs::read_to_string(world.proxy().config()).expect("the config is there");
    Proxy::start(name, &config)
}

fn log_in(proxy: &Proxy, database: &str) -> Client {
    Client::log_in(proxy.address(), &[("user", CLIENT_ROLE), ("database", database)]).expect("a login")
}

/// How often each value of a column lies on the shards, read past the proxy.
fn counted(world: &World, sql: &str) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for shard in 0..world.shards() {
        for row in world.shard(shard).rows(sql) {
            *counted.entry(row.join(" ")).or_default() += 1;
        }
    }
    counted
}

#[test]
fn two_proxies_and_a_direct_user_draw_no_value_twice() {
    const ROUNDS: usize = 40;
    let world = world("seq_two_proxies");
    let second = second_proxy(&world, "seq_two_proxies_b");
    let database = world.database();
    std::thread::scope(|scope| {
        for proxy in [world.proxy(), &second, world.proxy(), &second] {
            scope.spawn(move || {
                let mut client = log_in(proxy, database);
                for round in 0..ROUNDS {
                    client.rows(&format!("INSERT INTO users (name) VALUES ('p{round}')"));
                    client.rows("INSERT INTO users (name) VALUES ('q'), ('r'), ('s')");
                    let id = client.value("SELECT currval('users_id_seq')");
                    client.rows(&format!("INSERT INTO orders (user_id, note) VALUES ({id}, 'x')"));
                }
            });
        }
        let home = &world;
        scope.spawn(move || {
            // A maintenance script that knows nothing of the proxies takes values for its own use.
            let mut direct = home.shard(0);
            for _ in 0..ROUNDS {
                let id = direct.value("SELECT nextval('users_id_seq')");
                let found =
                    log_in(home.proxy(), home.database()).rows(&format!("SELECT id FROM users WHERE id = {id}"));
                assert_eq!(found, Vec::<Vec<String>>::new(), "value {id} was given out before");
            }
        });
    });
    for (table, rows) in [("users", 4 * 4 * ROUNDS), ("orders", 4 * ROUNDS)] {
        let ids = counted(&world, &format!("SELECT id FROM {table}"));
        assert_eq!(ids.values().sum::<usize>(), rows, "rows of {table}");
        assert_eq!(ids.len(), rows, "{table} has an id twice: {ids:?}");
    }
    let parents = counted(
        &world,
        "SELECT o.user_id FROM orders o JOIN users u ON u.id = o.user_id",
    );
    assert_eq!(
        parents.values().sum::<usize>(),
        4 * ROUNDS,
        "each order lies beside its user"
    );
}

#[test]
fn a_set_sequence_holds_for_every_proxy_at_once() {
    let world = world("seq_setval");
    let second = second_proxy(&world, "seq_setval_b");
    let (mut one, mut other) = (world.client(), log_in(&second, world.database()));
    for client in [&mut one, &mut other] {
        client.rows("INSERT INTO users (name) VALUES ('a')");
    }
    one.rows("SELECT setval('users_id_seq', 1000)");
    assert_eq!(
        other.value("INSERT INTO users (name) VALUES ('c') RETURNING id"),
        "1001"
    );
    world.shard(0).rows("ALTER SEQUENCE users_id_seq RESTART WITH 2000");
    assert_eq!(one.value("INSERT INTO users (name) VALUES ('d') RETURNING id"), "2000");
    assert_eq!(
        other.value("INSERT INTO users (name) VALUES ('e') RETURNING id"),
        "2001"
    );
    // What a session was given is its own; what it may not have seen it isn't told.
    assert_eq!(one.value("SELECT currval('users_id_seq')"), "2000");
    one.rows("SELECT nextval('users_id_seq') FROM generate_series(1, 3)");
    assert_eq!(one.failure("SELECT currval('users_id_seq')"), "0A000");
    assert_eq!(other.value("SELECT lastval()"), "2001");
}

#[test]
fn a_restarted_proxy_goes_on_where_home_stands() {
    let world = world("seq_restart");
    for name in ["a", "b", "c"] {
        world
            .client()
            .rows(&format!("INSERT INTO users (name) VALUES ('{name}')"));
    }
    let mut again = second_proxy(&world, "seq_restart_b");
    let id = log_in(&again, world.database()).value("INSERT INTO users (name) VALUES ('d') RETURNING id");
    assert_eq!(id, "4");
    again.stop();
    let again = second_proxy(&world, "seq_restart_c");
    let mut client = log_in(&again, world.database());
    assert_eq!(client.value("INSERT INTO users (name) VALUES ('e') RETURNING id"), "5");
    // A home that ends the connection is asked again.
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND usename = 'shardgate' AND query LIKE '%generate_series%' \
        AND pid <> pg_backend_pid()";
    assert_ne!(
        world.shard(0).value(ended),
        "0",
        "values come by a connection of the control role's"
    );
    assert_eq!(client.value("INSERT INTO users (name) VALUES ('f') RETURNING id"), "6");
}

#[test]
fn a_session_is_told_what_it_was_given() {
    let world = world("seq_told");
    let mut pair = Pair::new(&world);
    pair.ask_all(&[
        "INSERT INTO users (name) VALUES ('a') RETURNING id",
        "SELECT currval('users_id_seq')",
        "SELECT currval('\"users_id_seq\"'::regclass)::int, lastval() AS last",
        "INSERT INTO orders (user_id, note) VALUES (currval('public.users_id_seq'), 'x') RETURNING id, user_id",
        "SELECT lastval(), currval(pg_get_serial_sequence('users', 'id')), currval(pg_get_serial_sequence('orders', 'id'))",
        "BEGIN",
        "INSERT INTO users (name) VALUES ('in a block')",
        "SELECT currval('users_id_seq')",
        "ROLLBACK",
        "SELECT currval('users_id_seq')",
        "INSERT INTO users (id, name) VALUES (currval('users_id_seq'), 'again') RETURNING id",
        "PREPARE one(text) AS INSERT INTO users (name) VALUES ($1) RETURNING id",
        "EXECUTE one('p')",
        "EXECUTE one('q')",
        "SELECT lastval()",
    ]);
    // Before it was given one: Postgres's own error, whatever other sessions drew.
    let mut client = world.client();
    let unknown = |client: &mut Client| {
        for sql in [
            "SELECT lastval()",
            "SELECT currval('users_id_seq') AS id",
            "SELECT currval('spare')",
        ] {
            assert_eq!(client.failure(sql), "55000", "{sql}");
        }
    };
    unknown(&mut client);
    let id = client.value("INSERT INTO users (name) VALUES ('b') RETURNING id");
    assert_eq!(client.value("SELECT currval('users_id_seq')"), id);
    assert_eq!(client.failure("SELECT currval('spare')"), "55000");
    client.rows("DISCARD SEQUENCES");
    unknown(&mut client);
}

#[test]
fn who_may_not_draw_is_refused_as_by_postgres() {
    let world = world("seq_privileges");
    for shard in 0..world.shards() {
        let mut shard = world.shard(shard);
        shard.rows(&format!("ALTER TABLE users OWNER TO {}", crate::world::CONTROL_ROLE));
        shard.rows(&format!("GRANT INSERT, SELECT ON users TO {CLIENT_ROLE}"));
        shard.rows(&format!("GRANT SELECT ON SEQUENCE users_id_seq TO {CLIENT_ROLE}"));
    }
    let mut client = world.client();
    assert_eq!(client.failure("INSERT INTO users (name) VALUES ('a')"), "42501");
    world
        .shard(0)
        .rows(&format!("GRANT USAGE ON SEQUENCE users_id_seq TO {CLIENT_ROLE}"));
    assert_eq!(client.value("INSERT INTO users (name) VALUES ('a') RETURNING id"), "1");
}

/// Django and SQLAlchemy leave keys to the database; these are SQLAlchemy's ordinary models (`tests/tools/orm.py`).
/// `make python` makes its environment; `SHARDGATE_PYTHON` names an interpreter that has its packages.
#[test]
fn an_orms_models_with_default_keys_insert_and_read_back() {
    const ROWS: usize = 24;
    let world = world("seq_orm");
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    let python = std::env::var_os("SHARDGATE_PYTHON").map_or(own, std::path::PathBuf::from);
    let url = format!(
        "postgresql+psycopg2://{CLIENT_ROLE}@{}/{}",
        world.proxy().address(),
        world.database()
    );
    let spawned = std::process::Command::new(&python)
        .arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/orm.py"))
        .args([url, ROWS.to_string(), "3".to_owned()])
        .output();
    let told = match spawned {
        Ok(told) => told,
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}", python.display());
            println!("SKIPPED: {} isn't there (make python)", python.display());
            return;
        }
    };
    let (out, errors) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert!(told.status.success(), "{out}\n{errors}");
    assert_eq!(out.split_whitespace().count(), 2 * ROWS + 1, "{out}");
    let users = counted(&world, "SELECT id FROM users");
    assert_eq!(users.values().sum::<usize>(), 2 * ROWS, "each row lies on one shard");
    let used = (0..world.shards()).filter(|shard| world.shard(*shard).value("SELECT count(*) FROM users") != "0");
    assert_eq!(used.count(), world.shards(), "all shards have some");
    let orders = counted(&world, "SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id");
    assert_eq!(
        orders.len(),
        4 * ROWS,
        "each order has an id of its own and lies beside its user"
    );
}

/// A row with a drawn value that goes to one shard costs what one without does: no block is begun for it.
#[test]
fn one_row_needs_no_block() {
    let world = world("seq_alone");
    let mut client = world.client();
    let seen = |query: &str| {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() \
             AND query LIKE '{query}%'"
        );
        (0..3)
            .map(|shard| world.shard(shard).value(&sql).parse::<usize>().expect("a count"))
            .sum::<usize>()
    };
    let extended = |client: &mut Client, first: &str| {
        let messages = [
            messages::parse("", first, &[]),
            messages::bind("", "", &[], messages::Format::Text),
            messages::describe(b'P', ""),
            messages::execute("", 0),
            messages::sync(),
        ];
        client.send(&messages.concat());
        let answer = client.read_batch();
        assert!(answer.iter().all(|message| message.tag != b'E'), "{answer:?}");
    };
    client.rows("INSERT INTO users (name) VALUES ('alone')");
    extended(&mut client, "INSERT INTO users (name) VALUES ('alone') RETURNING id");
    // The last text of a backend that no block was begun on is the row's own.
    assert!(seen("INSERT INTO users") >= 1);
    assert_eq!((seen("COMMIT"), seen("BEGIN")), (0, 0));
    // In a batch of several statements all stand or fall together.
    let together = [
        messages::parse("", "INSERT INTO users (name) VALUES ('first')", &[]),
        messages::bind("", "", &[], messages::Format::Text),
        messages::execute("", 0),
        messages::parse(
            "",
            "INSERT INTO users (name) VALUES (repeat('x', -1)), ('y'::int::text)",
            &[],
        ),
        messages::bind("", "", &[], messages::Format::Text),
        messages::execute("", 0),
        messages::sync(),
    ];
    client.send(&together.concat());
    let answer = client.read_batch();
    assert!(answer.iter().any(|message| message.tag == b'E'), "{answer:?}");
    client.query("INSERT INTO users (name) VALUES ('first'); SELECT 1 / 0");
    assert_eq!(client.value("SELECT count(*) FROM users WHERE name = 'first'"), "0");
    for second in ["INSERT INTO users (name) VALUES ('y'::int::text)", "SELECT 'y'::int"] {
        for id in 900..908 {
            let reversed = [
                messages::parse("", &format!("INSERT INTO users (id, name) VALUES ({id}, 'one')"), &[]),
                messages::bind("", "", &[], messages::Format::Text),
                messages::execute("", 0),
                messages::parse("", second, &[]),
                messages::bind("", "", &[], messages::Format::Text),
                messages::execute("", 0),
                messages::sync(),
            ];
            client.send(&reversed.concat());
            let answer = client.read_batch();
            assert!(answer.iter().any(|message| message.tag == b'E'), "{answer:?}");
        }
        let left = client.rows("SELECT id FROM users WHERE name = 'one'");
        assert_eq!(left, Vec::<Vec<String>>::new(), "{second}");
    }
}
