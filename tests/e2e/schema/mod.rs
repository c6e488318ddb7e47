//! DDL and reference tables on several shards: what fails, what races, and what another proxy sees.

mod changes;
mod copies;
mod locks;

use crate::client::Client;
use crate::messages::Message;
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, Spec, World};

/// Keys below 1000 lie on s0, below 2000 on s1, all others on s2.
const LAYOUT: &str = "keyspaces:
  place:
    strategy: range
    type: bigint
    ranges: [{until: \"1000\", shard: {{s0}}}, {until: \"2000\", shard: {{s1}}}, {shard: {{s2}}}]
  symbol:
    strategy: category
    type: text
    lookup: {table: instruments, key: symbol, category: category}
    categories: {one: {{s0}}, two: {{s1}}}
    default: {{s2}}
tables:
  accounts: {keyspace: place, key: id}
  later: {keyspace: place, key: id}
  trades: {keyspace: symbol, key: symbol}
  instruments: {reference: true}
";

const SCHEMA: &str = "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL); \
    CREATE TABLE later (id bigint PRIMARY KEY); \
    CREATE TABLE instruments (symbol text PRIMARY KEY, category text NOT NULL, n bigint NOT NULL DEFAULT 0); \
    CREATE TABLE trades (symbol text REFERENCES instruments, id bigint, PRIMARY KEY (symbol, id));";

const DATA: &str = "INSERT INTO accounts SELECT i + s * 1000, 100 FROM generate_series(1, 20) i, generate_series(0, 2) s; \
    INSERT INTO instruments SELECT 'S' || i, 'one' FROM generate_series(1, 20) i;";

fn world(name: &str) -> World {
    World::start(Spec {
        name,
        shards: 3,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    })
}

/// Another proxy before the same shards.
fn another(world: &World, name: &str) -> Proxy {
    let config = std::fs::read_to_string(world.proxy().config()).expect("the first proxy's config is there");
    Proxy::start(name, &config)
}

/// A session through that proxy.
fn client_of(world: &World, proxy: &Proxy) -> Client {
    let parameters = [("user", CLIENT_ROLE), ("database", world.database())];
    Client::log_in(proxy.address(), &parameters).expect("the proxy takes its clients")
}

fn error_of(answer: &[Message]) -> &Message {
    let error = answer.iter().find(|message| message.tag == b'E');
    error.unwrap_or_else(|| panic!("no error in {answer:?}"))
}

/// One value on every shard, past the proxy.
fn on_shards(world: &World, sql: &str) -> Vec<String> {
    (0..world.shards()).map(|shard| world.shard(shard).value(sql)).collect()
}
