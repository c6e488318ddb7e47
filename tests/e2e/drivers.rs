//! Drivers that do more than send statements (cursors, pipelines, COPY, two phases): what they get through the proxy is
//! what they get from one Postgres.

use std::net::SocketAddr;

use crate::python::python;
use crate::world::{CLIENT_ROLE, Spec, World};

const LAYOUT: &str = "keyspaces:
  id: {strategy: hash, type: bigint, buckets: 64}
tables:
  h: {keyspace: id, key: id}
  told: {keyspace: id, key: id}
  t: {unsharded: {{s0}}}
functions: {tell: local}
";

const SCHEMA: &str = "CREATE TABLE h (id bigint PRIMARY KEY, name text, amount numeric(12, 2), at timestamptz);
    CREATE TABLE t (id int PRIMARY KEY, name text);
    CREATE TABLE told (id bigint PRIMARY KEY);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_notify('told', NEW.id::text); RETURN NULL; END $$;
    CREATE TRIGGER tell AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION tell();";

fn alike(driver: &str, shards: usize) {
    let world = World::start(Spec {
        layout: LAYOUT,
        schema: SCHEMA,
        data: "INSERT INTO t SELECT i, 't' || i FROM generate_series(1, 9) i;",
        ..Spec::empty(&format!("drivers_{driver}_{shards}"), shards)
    });
    let lines = |address: SocketAddr| {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        python("drivers.py", &[driver, &host, &port, world.database(), CLIENT_ROLE])
    };
    let (Some(ours), Some(theirs)) = (lines(world.proxy().address()), lines(world.servers().oracle())) else {
        return;
    };
    let differing = ours.lines().zip(theirs.lines()).find(|(ours, theirs)| ours != theirs);
    assert_eq!(differing, None, "{driver}: the proxy's first");
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}\n{theirs}");
}

#[test]
fn psycopg_3_before_one_shard() {
    alike("psycopg3", 1);
}

#[test]
fn psycopg_3_before_three_shards() {
    alike("psycopg3", 3);
}

#[test]
fn asyncpg_before_one_shard() {
    alike("asyncpg", 1);
}

#[test]
fn asyncpg_before_three_shards() {
    alike("asyncpg", 3);
}
