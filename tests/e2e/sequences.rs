//! Values of sequences over three shards: no value twice, whoever draws at the same time and whatever else happens.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::messages;
use crate::pair::Pair;
use crate::proxy::Proxy;
use crate::python::python;
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

/// The tables of `tests/tools/orm.py`, none of which is there yet.
const MODELS: &str = "keyspaces:
  user: {strategy: hash, type: bigint, buckets: 64}
tables:
  currencies: {reference: true}
  users: {keyspace: user, key: id}
  orders: {keyspace: user, key: user_id}
  letters: {keyspace: user, key: id}
  invoices: {keyspace: user, key: user_id}
";

/// Runs `tests/tools/orm.py` against the proxy.
fn orm(world: &World, arguments: &[&str]) -> Option<String> {
    let url = format!(
        "postgresql+psycopg2://{CLIENT_ROLE}@{}/{}",
        world.proxy().address(),
        world.database()
    );
    python("orm.py", &[&[url.as_str()], arguments].concat())
}

/// Django's ordinary models: made and changed by its migrations, whose own table lies unsharded.
#[test]
fn djangos_models_are_migrated_filled_and_read_back() {
    const ROWS: usize = 12;
    let world = World::start(Spec {
        layout: "keyspaces:
  customer: {strategy: hash, type: bigint, buckets: 64}
  letter: {strategy: hash, type: bigint, buckets: 64}
tables:
  shop_currency: {reference: true}
  shop_customer: {keyspace: customer, key: id}
  shop_letter: {keyspace: letter, key: id}
  django_migrations: {unsharded: {{s0}}}
",
        ..Spec::empty("seq_django", 3)
    });
    let address = world.proxy().address();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let arguments = [&host, &port, world.database(), CLIENT_ROLE, &ROWS.to_string()];
    let Some(out) = python("django_models.py", &arguments) else {
        return;
    };
    assert_eq!(out.trim(), format!("{ROWS} {ROWS}"));
    for (sql, rows) in [
        ("SELECT id FROM shop_customer", ROWS),
        ("SELECT id FROM shop_letter", 2 * ROWS),
    ] {
        let found = counted(&world, sql);
        assert_eq!(found.len(), rows, "{sql}: {found:?}");
        assert_eq!(found.values().sum::<usize>(), rows, "{sql}: each row lies on one shard");
    }
}

/// SQLAlchemy's ordinary models: it creates their tables, and leaves keys to the database.
#[test]
fn an_orms_models_are_created_filled_migrated_and_dropped() {
    const ROWS: usize = 24;
    const BATCH: usize = 3;
    let world = World::start(Spec {
        layout: MODELS,
        ..Spec::empty("seq_orm", 3)
    });
    let Some(out) = orm(&world, &[&ROWS.to_string(), &BATCH.to_string()]) else {
        return;
    };
    assert_eq!(out.split_whitespace().count(), 2 * ROWS + 1, "{out}");
    let once = |sql: &str, rows: usize| {
        let found = counted(&world, sql);
        assert_eq!(found.len(), rows, "{sql}: {found:?}");
        assert_eq!(found.values().sum::<usize>(), rows, "{sql}: each row lies on one shard");
    };
    // One user was deleted again.
    once("SELECT id FROM users", 2 * ROWS - 1);
    once("SELECT id FROM letters", ROWS);
    // Beside its user lies each order, those of the first revision and those of the second.
    once(
        "SELECT o.id FROM orders o JOIN users u ON u.id = o.user_id",
        (BATCH + 2) * ROWS,
    );
    once(
        "SELECT o.id FROM invoices o JOIN users u ON u.id = o.user_id",
        2 * ROWS - 1,
    );
    for shard in 0..world.shards() {
        let mut shard = world.shard(shard);
        assert_ne!(shard.value("SELECT count(*) FROM users"), "0", "all shards have some");
        assert_eq!(shard.value("SELECT count(*) FROM currencies"), "2");
        assert_eq!(
            shard.value("SELECT count(*) FROM pg_indexes WHERE indexname = 'ix_orders_note'"),
            "1"
        );
    }
    assert_eq!(orm(&world, &["drop"]).as_deref(), Some("dropped\n"));
    for shard in 0..world.shards() {
        let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
        assert_eq!(world.shard(shard).value(left), "0", "nothing is left on shard {shard}");
    }
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
