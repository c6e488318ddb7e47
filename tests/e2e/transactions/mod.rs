//! Transactions that write on several shards: all of them or none, whatever fails.

mod chaos;
mod commits;
mod copies;
mod deadlocks;
mod kills;
mod reads;
mod recovery;
mod roles;
mod settings;
mod storm;

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
tables:
  accounts: {keyspace: place, key: id}
  items: {keyspace: place, key: id}
  lines: {keyspace: place, key: id}
  moves: {keyspace: place, key: id}
";

/// A deferred foreign key is checked at COMMIT, as late as anything can fail.
const SCHEMA: &str = "CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL CHECK (balance >= 0)); \
    CREATE TABLE items (id bigint PRIMARY KEY); \
    CREATE TABLE lines (id bigint REFERENCES items DEFERRABLE INITIALLY DEFERRED, n int, PRIMARY KEY (id, n)); \
    CREATE TABLE moves (id bigint, transfer bigint, PRIMARY KEY (id, transfer));";

const DATA: &str = "INSERT INTO accounts SELECT i + s * 1000, 100 FROM generate_series(1, 20) i, generate_series(0, 2) s; \
    INSERT INTO items SELECT i + s * 1000 FROM generate_series(1, 5) i, generate_series(0, 2) s;";

/// What all accounts hold together, whatever moves between them.
const TOTAL: &str = "6000";

fn spec<'a>(name: &'a str, settings: &'a str) -> Spec<'a> {
    Spec {
        name,
        shards: 3,
        layout: LAYOUT,
        settings,
        schema: SCHEMA,
        data: DATA,
    }
}

fn world(name: &str) -> World {
    World::start(spec(name, ""))
}

/// Another proxy before the same shards, with a fault.
fn proxy(world: &World, name: &str, fault: &str) -> Proxy {
    let config = std::fs::read_to_string(world.proxy().config()).expect("the first proxy's config is there");
    proxy_on(&config, name, fault)
}

fn proxy_on(config: &str, name: &str, fault: &str) -> Proxy {
    let environment = [("SHARDGATE_FAULT", fault)];
    Proxy::start_with(name, config, &environment[..usize::from(!fault.is_empty())])
}

/// A session through that proxy; none if it dies meanwhile.
fn client_of(world: &World, proxy: &Proxy) -> Option<Client> {
    let parameters = [("user", CLIENT_ROLE), ("database", world.database())];
    Client::try_log_in(proxy.address(), &parameters)
}

/// What a client knows of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// COMMIT was answered with COMMIT
    Committed,
    /// an error that says that it is not committed
    NotCommitted,
    /// the connection ended, or 08007
    Nothing,
}

/// Moves 1 from an account to another, and notes it on both shards.
fn transfer(client: &mut Client, number: u64, from: u64, to: u64) -> Known {
    let part = |id: u64, by: &str| {
        [
            format!("UPDATE accounts SET balance = balance {by} WHERE id = {id}"),
            format!("INSERT INTO moves VALUES ({id}, {number})"),
        ]
    };
    // One order for all, so that no two wait for each other.
    let mut parts = [(from, "- 1"), (to, "+ 1")];
    parts.sort_unstable();
    let mut statements = vec!["BEGIN".to_owned()];
    statements.extend(parts.into_iter().flat_map(|(id, by)| part(id, by)));
    for sql in &statements {
        match attempt(client, sql) {
            Attempt::Done(_) => {}
            Attempt::Failed(_) => {
                attempt(client, "ROLLBACK");
                return Known::NotCommitted;
            }
            // Nothing was asked to commit yet.
            Attempt::Ended => return Known::NotCommitted,
        }
    }
    match attempt(client, "COMMIT") {
        Attempt::Done(tag) if tag == "COMMIT" => Known::Committed,
        Attempt::Done(_) => Known::NotCommitted,
        Attempt::Failed(code) if code == "08007" => Known::Nothing,
        Attempt::Failed(_) => Known::NotCommitted,
        Attempt::Ended => Known::Nothing,
    }
}

enum Attempt {
    /// with its tag
    Done(String),
    /// with its SQLSTATE
    Failed(String),
    /// the connection did
    Ended,
}

fn attempt(client: &mut Client, sql: &str) -> Attempt {
    if client.try_send(&crate::messages::query(sql)).is_err() {
        return Attempt::Ended;
    }
    let answer = client.read_batch();
    match (error_of(&answer), answer.last()) {
        (_, last) if last.is_none_or(|last| last.tag != b'Z') => Attempt::Ended,
        (Some(error), _) => Attempt::Failed(error.code()),
        (None, _) => Attempt::Done(tag_of(&answer)),
    }
}

/// Is a transfer on both of its shards (`Some(true)`), on none, or on one alone?
fn is_applied(world: &World, number: u64, from: u64, to: u64) -> Option<bool> {
    let noted = |id: u64| {
        let shard = usize::try_from(id / 1_000).expect("a small number");
        world.shard(shard).value(&format!(
            "SELECT count(*) FROM moves WHERE id = {id} AND transfer = {number}"
        )) == "1"
    };
    let (one, other) = (noted(from), noted(to));
    (one == other).then_some(one)
}

/// Every balance added up, and every account what its notes say, on the shards themselves.
fn check_balances(world: &World) {
    let sum = |sql: &str| -> i64 {
        (0..world.shards())
            .map(|shard| world.shard(shard).value(sql).parse::<i64>().expect("a number"))
            .sum()
    };
    assert_eq!(sum("SELECT sum(balance) FROM accounts").to_string(), TOTAL);
}

/// A value on the shard of that key, past the proxy: the rows themselves, not what a proxy makes of them.
fn balance(world: &World, id: u64) -> String {
    let shard = usize::try_from(id / 1_000).expect("a small number");
    world
        .shard(shard)
        .value(&format!("SELECT balance FROM accounts WHERE id = {id}"))
}

fn run(client: &mut Client, statements: &[&str]) {
    for sql in statements {
        client.rows(sql);
    }
}

fn error_of(answer: &[Message]) -> Option<&Message> {
    answer.iter().find(|message| message.tag == b'E')
}

/// The tag of a statement's answer.
fn tag_of(answer: &[Message]) -> String {
    let tag = answer.iter().rev().find(|message| message.tag == b'C');
    let tag = tag.unwrap_or_else(|| panic!("no tag in {answer:?}"));
    String::from_utf8_lossy(tag.body.strip_suffix(b"\0").unwrap_or(&tag.body)).into_owned()
}

/// Waits until no shard holds a prepared part of ours.
fn wait_until_nothing_is_prepared(world: &World) {
    let sql = "SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()";
    (0..world.shards()).for_each(|shard| world.wait_on_shard(shard, sql, "0"));
}
