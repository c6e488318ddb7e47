//! Settings that a role has in a database: sessions that begin after a change see it, on backends of the pool too.

use std::ops::ControlFlow;

use crate::client::Client;
use crate::servers::superuser;
use crate::world::{CLIENT_ROLE, Spec, World, repeat};

const SCHEMA: &str = "CREATE TABLE h (id int PRIMARY KEY, v text);";

const LAYOUT: &str = "keyspaces:
  whole: {strategy: hash, type: integer, buckets: 16}
tables:
  h: {keyspace: whole, key: id}
";

const DATA: &str = "INSERT INTO h SELECT i, 'h' || i FROM generate_series(1, 12) i;";

/// What a session has it at on each shard.
fn seen(client: &mut Client) -> [String; 2] {
    ["s0", "s1"].map(|shard| {
        client.rows(&format!("SET shardgate.shard = '{shard}'"));
        client.value("SELECT current_setting('work_mem')")
    })
}

#[test]
fn a_session_gets_no_backend_from_before_the_change() {
    let world = World::start(Spec {
        name: "role_settings",
        shards: 2,
        layout: LAYOUT,
        settings: "pool: {size: 1}",
        schema: SCHEMA,
        data: DATA,
    });
    let mut before = world.client();
    let old = before.value("SHOW work_mem");
    assert_eq!(seen(&mut before), [old.clone(), old.clone()]);
    for value in ["7777kB", "8888kB"] {
        for shard in 0..2 {
            superuser(world.servers().shard(shard), world.database()).query(&format!(
                "ALTER ROLE {CLIENT_ROLE} IN DATABASE {} SET work_mem = '{value}'",
                world.database()
            ));
        }
        repeat("a session to see the change", || {
            let mut client = world.client();
            let told = client.value("SHOW work_mem");
            match told == value && seen(&mut client) == [value, value] {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        assert_ne!(value, old);
    }
}
