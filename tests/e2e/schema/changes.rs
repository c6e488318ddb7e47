//! DDL: on all shards or on none, shard by shard where Postgres wants it so, and seen by all proxies.

use std::ops::ControlFlow;

use super::{another, client_of, error_of, on_shards, world};
use crate::world::repeat;

#[test]
fn what_one_proxy_creates_another_serves() {
    let world = world("schema_seen");
    let other = another(&world, "schema_seen_other");
    let (mut here, mut there) = (world.client(), client_of(&world, &other));
    here.rows("DROP TABLE later");
    repeat("the other proxy to miss the table", || {
        let answer = there.query("SELECT * FROM later");
        match answer
            .iter()
            .any(|message| message.tag == b'E' && message.code() == "42P01")
        {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    here.rows("CREATE TABLE later (id bigint PRIMARY KEY, note text)");
    repeat("the other proxy to know the new table", || {
        let answer = there.query("INSERT INTO later VALUES (1, 'a')");
        match answer.iter().any(|message| message.tag == b'E') {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        }
    });
    there.rows("INSERT INTO later VALUES (1001, 'b')");
    here.rows("ALTER TABLE later ADD COLUMN extra int DEFAULT 7");
    repeat("the other proxy to know the new column", || {
        let answer = there.query("SELECT extra FROM later ORDER BY id");
        match answer.iter().filter(|message| message.tag == b'D').count() {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    // What is prepared under the old picture is planned anew.
    assert_eq!(
        there.rows("SELECT note, extra FROM later ORDER BY id"),
        [["a", "7"], ["b", "7"]]
    );
    drop(there);
}

#[test]
fn ddl_that_fails_on_one_shard_changes_none() {
    let world = world("schema_atomic");
    let mut client = world.client();
    client.rows("UPDATE accounts SET balance = -1 WHERE id = 2005");
    let failed = client.query("ALTER TABLE accounts ADD CONSTRAINT positive CHECK (balance >= 0)");
    assert_eq!(error_of(&failed).code(), "23514");
    let count = "SELECT count(*) FROM pg_constraint WHERE conname = 'positive'";
    assert_eq!(on_shards(&world, count), ["0", "0", "0"]);
    // In a block the whole of it goes.
    client.rows("BEGIN");
    client.rows("ALTER TABLE accounts ADD COLUMN extra int");
    client.rows("UPDATE accounts SET extra = 1 WHERE id = 1");
    assert_eq!(
        client.failure("ALTER TABLE accounts ADD CONSTRAINT positive CHECK (balance >= 0)"),
        "23514"
    );
    client.rows("ROLLBACK");
    let columns = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'accounts'::regclass AND attname = 'extra'";
    assert_eq!(on_shards(&world, columns), ["0", "0", "0"]);
    // What the placement can't carry is taken back on every shard.
    let refused = client.query("CREATE UNIQUE INDEX one_balance ON accounts (balance)");
    assert_eq!(error_of(&refused).code(), "23505"); // Postgres's own no comes first where it has one
    client.rows("UPDATE accounts SET balance = id WHERE id = 1");
    let refused = client.query("ALTER TABLE trades ADD CONSTRAINT one_id UNIQUE (id)");
    let fields = error_of(&refused).fields();
    assert_eq!(fields[&'C'], "0A000");
    assert!(fields[&'M'].contains("one_id"), "{fields:?}");
    let indexes = "SELECT count(*) FROM pg_class WHERE relname = 'one_id'";
    assert_eq!(on_shards(&world, indexes), ["0", "0", "0"]);
}

#[test]
fn a_failed_concurrent_index_is_gone_and_says_what_is_done() {
    let world = world("schema_concurrently");
    let mut client = world.client();
    client.rows("UPDATE accounts SET balance = 55 WHERE id = 1005");
    let create = "CREATE INDEX CONCURRENTLY IF NOT EXISTS ratio ON accounts ((100 / (balance - 55)))";
    let failed = client.query(create);
    let fields = error_of(&failed).fields();
    assert_eq!(fields[&'C'], "22012");
    assert!(
        fields[&'W'].contains("done on s0; failed on s1; not begun on s2"),
        "{fields:?}"
    );
    let valid = "SELECT count(*) FILTER (WHERE indisvalid) || '/' || count(*) FROM pg_index i \
        JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname = 'ratio'";
    assert_eq!(on_shards(&world, valid), ["1/1", "0/0", "0/0"]);
    client.rows("UPDATE accounts SET balance = 56 WHERE id = 1005");
    client.rows(create);
    assert_eq!(on_shards(&world, valid), ["1/1", "1/1", "1/1"]);
    client.rows("DROP INDEX CONCURRENTLY ratio");
    assert_eq!(on_shards(&world, valid), ["0/0", "0/0", "0/0"]);
}

#[test]
fn a_cancelled_concurrent_index_leaves_nothing() {
    let world = world("schema_cancel");
    let mut client = world.client();
    let (process, secret) = client.cancel_key();
    // Another transaction on s1 keeps the build waiting there.
    let mut holder = world.shard(1);
    holder.rows("BEGIN");
    holder.rows("UPDATE accounts SET balance = 1 WHERE id = 1001");
    client.send(&crate::messages::query(
        "CREATE INDEX CONCURRENTLY slow ON accounts (balance)",
    ));
    world.wait_on_shard(
        1,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY slow%' AND wait_event_type = 'Lock'",
        "1",
    );
    let mut canceller = crate::client::Client::dial(world.proxy().address());
    canceller.send(&crate::messages::cancel(process, &secret));
    // Its clean-up waits for the same transaction.
    world.wait_on_shard(
        1,
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DROP INDEX CONCURRENTLY%' AND wait_event_type = 'Lock'",
        "1",
    );
    holder.rows("COMMIT");
    assert_eq!(error_of(&client.read_batch()).code(), "57014");
    let left = "SELECT count(*) FROM pg_class WHERE relname = 'slow'";
    assert_eq!(on_shards(&world, left), ["1", "0", "0"]);
}

#[test]
fn check_tells_of_ddl_on_some_shards_only() {
    let world = world("schema_drift");
    world.shard(1).rows("ALTER TABLE accounts ADD COLUMN stray int");
    let mut admin = world.admin();
    let found: Vec<String> = admin.rows("CHECK").into_iter().map(|row| row.join(" ")).collect();
    assert!(
        found
            .iter()
            .any(|row| row.contains("accounts") && row.contains("the columns differ")),
        "{found:?}"
    );
    // A statement that would do otherwise on each is an error, and is taken back.
    let mut client = world.client();
    assert_eq!(client.failure("ALTER TABLE accounts ADD COLUMN stray int"), "42701");
    world.shard(1).rows("ALTER TABLE accounts DROP COLUMN stray");
    client.rows("ALTER TABLE accounts ADD COLUMN stray int");
}
