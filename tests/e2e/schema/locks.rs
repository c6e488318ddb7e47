//! The proxy's own reading of the catalog stands in nobody's way.

use crate::world::{CONTROL_ROLE, Spec, World, wait_for};

/// A view's definition locks `first`, then `second`; a client has `second` and wants `first`: neither can go on, and
/// Postgres ends the one that looks when both wait. Here that is always the client: the proxy's session doesn't look.
#[test]
fn reading_the_catalog_makes_no_client_the_victim_of_a_deadlock() {
    let spec = Spec {
        shards: 1,
        schema: "CREATE TABLE first (id int); CREATE TABLE second (id int);
            CREATE VIEW together AS SELECT first.id FROM first, second;",
        ..Spec::empty("schema_locks", 1)
    };
    let world = World::start_as(spec, CONTROL_ROLE, |shard| {
        shard.rows("ALTER DATABASE schema_locks SET deadlock_timeout = '1h'");
    });
    let mut client = world.shard(0);
    let mut other = world.shard(0);
    client.rows("SET deadlock_timeout = '1s'");
    client.rows("BEGIN");
    client.rows("LOCK TABLE second IN ACCESS EXCLUSIVE MODE");
    other.rows("CREATE TABLE makes_the_proxy_look (id int)");
    let waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = 'second'::regclass";
    wait_for(&mut other, waiting, "t");
    client.rows("LOCK TABLE first IN ACCESS EXCLUSIVE MODE");
    client.rows("COMMIT");
    // And it was read in the end.
    let mut client = world.client();
    assert_eq!(client.value("SELECT count(*) FROM together"), "0");
}
