//! What COMMIT comes to over several shards, when nothing dies.

use super::{balance, error_of, run, spec, tag_of, wait_until_nothing_is_prepared, world};
use crate::world::{Spec, World};

#[test]
fn a_transfer_is_on_both_shards_and_leaves_nothing_behind() {
    let world = world("commit_transfer");
    let mut client = world.client();
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = balance - 30 WHERE id = 1",
            "UPDATE accounts SET balance = balance + 20 WHERE id = 1001",
            "UPDATE accounts SET balance = balance + 10 WHERE id = 2001",
        ],
    );
    assert_eq!(tag_of(&client.query("COMMIT")), "COMMIT");
    assert_eq!(
        (balance(&world, 1), balance(&world, 1001), balance(&world, 2001)),
        ("70".into(), "120".into(), "110".into())
    );
    for shard in 0..3 {
        world.wait_on_shard(shard, "SELECT count(*) FROM shardgate.decision", "0");
    }
    // The same through the extended protocol, and in one message.
    client.rows("BEGIN; UPDATE accounts SET balance = 1 WHERE id = 2; UPDATE accounts SET balance = 199 WHERE id = 1002; COMMIT");
    assert_eq!((balance(&world, 2), balance(&world, 1002)), ("1".into(), "199".into()));
}

#[test]
fn rollback_leaves_no_trace() {
    let world = world("commit_rollback");
    let mut client = world.client();
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 0 WHERE id IN (1)",
            "UPDATE accounts SET balance = 0 WHERE id = 1001",
            "ROLLBACK",
        ],
    );
    assert_eq!(
        (balance(&world, 1), balance(&world, 1001)),
        ("100".into(), "100".into())
    );
    // An error on one shard undoes the work on the other.
    run(&mut client, &["BEGIN", "UPDATE accounts SET balance = 0 WHERE id = 1"]);
    assert_eq!(
        client.failure("UPDATE accounts SET balance = -1 WHERE id = 1001"),
        "23514"
    );
    assert_eq!(client.failure("SELECT 1"), "25P02");
    assert_eq!(tag_of(&client.query("COMMIT")), "ROLLBACK");
    assert_eq!(
        (balance(&world, 1), balance(&world, 1001)),
        ("100".into(), "100".into())
    );
}

#[test]
fn a_deferred_constraint_fails_at_commit_wherever_it_stands() {
    let world = world("commit_deferred");
    let mut client = world.client();
    // 9 items don't exist: on the decision shard, on a prepared one, on both.
    for (first, second) in [(9, 1001), (1, 1009), (9, 1009)] {
        let lines = [first, second].map(|id| format!("INSERT INTO lines VALUES ({id}, 1)"));
        run(&mut client, &["BEGIN", &lines[0], &lines[1]]);
        let answer = client.query("COMMIT");
        let error = error_of(&answer).unwrap_or_else(|| panic!("{first} {second}: {answer:?}"));
        assert_eq!(error.code(), "23503");
        assert!(error.fields()[&'W'].contains("shard s"), "{error:?}");
        let left = answer.iter().filter(|message| message.tag == b'N').count();
        assert_eq!(left, 0, "nothing but the error is the client's: {answer:?}");
        assert_eq!(client.value("SELECT count(*) FROM lines"), "0");
    }
    run(
        &mut client,
        &[
            "BEGIN",
            "INSERT INTO lines VALUES (6, 1)",
            "INSERT INTO lines VALUES (1006, 1)",
        ],
    );
    run(
        &mut client,
        &[
            "INSERT INTO items VALUES (6)",
            "INSERT INTO items VALUES (1006)",
            "COMMIT",
        ],
    );
    assert_eq!(client.value("SELECT count(*) FROM lines"), "2");
    wait_until_nothing_is_prepared(&world);
}

#[test]
fn savepoints_reach_every_shard_and_those_that_come_late() {
    let world = world("commit_savepoints");
    let mut client = world.client();
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 1 WHERE id = 1",
            "SAVEPOINT a",
            "UPDATE accounts SET balance = 2 WHERE id = 1",
            // s1 comes only now
            "UPDATE accounts SET balance = 2 WHERE id = 1001",
            "SAVEPOINT b",
            "UPDATE accounts SET balance = 3 WHERE id = 2001",
            "ROLLBACK TO b",
            "UPDATE accounts SET balance = 4 WHERE id = 2002",
            "ROLLBACK TO a",
            "UPDATE accounts SET balance = 5 WHERE id = 1002",
            "COMMIT",
        ],
    );
    let now = [1, 1001, 2001, 2002, 1002].map(|id| balance(&world, id));
    assert_eq!(now, ["1", "100", "100", "100", "5"]);
    // A failed statement of a late shard can be taken back too.
    run(
        &mut client,
        &["BEGIN", "UPDATE accounts SET balance = 7 WHERE id = 1", "SAVEPOINT c"],
    );
    assert_eq!(
        client.failure("UPDATE accounts SET balance = -1 WHERE id = 1001"),
        "23514"
    );
    run(
        &mut client,
        &[
            "ROLLBACK TO c",
            "UPDATE accounts SET balance = 8 WHERE id = 1001",
            "RELEASE c",
            "COMMIT",
        ],
    );
    assert_eq!([1, 1001].map(|id| balance(&world, id)), ["7", "8"]);
}

#[test]
fn characteristics_reach_every_shard() {
    let world = world("commit_characteristics");
    let mut client = world.client();
    run(&mut client, &["BEGIN READ ONLY", "SELECT * FROM accounts WHERE id = 1"]);
    assert_eq!(
        client.failure("UPDATE accounts SET balance = 1 WHERE id = 1001"),
        "25006"
    );
    client.rows("ROLLBACK");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        run(
            &mut client,
            &[
                &format!("BEGIN ISOLATION LEVEL {level}"),
                "UPDATE accounts SET balance = 1 WHERE id = 1",
            ],
        );
        assert_eq!(
            client.failure("UPDATE accounts SET balance = 1 WHERE id = 1001"),
            "0A000"
        );
        client.rows("ROLLBACK");
        assert_eq!(balance(&world, 1), "100");
    }
}

#[test]
fn one_writer_commits_plainly() {
    let world = world("commit_plain");
    let mut client = world.client();
    run(
        &mut client,
        &[
            "BEGIN",
            "SELECT * FROM accounts WHERE id = 1001",
            "UPDATE accounts SET balance = 5 WHERE id = 1",
        ],
    );
    // A second shard with a write that finds no row has nothing to prepare either.
    run(
        &mut client,
        &["UPDATE accounts SET balance = 5 WHERE id = 1999", "COMMIT"],
    );
    assert_eq!(balance(&world, 1), "5");
    let http = metrics(&world);
    for line in http
        .lines()
        .filter(|line| line.starts_with("shardgate_transactions_total"))
    {
        assert!(line.ends_with(" 0"), "{line}");
    }
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 6 WHERE id = 1",
            "UPDATE accounts SET balance = 6 WHERE id = 1001",
            "COMMIT",
        ],
    );
    assert!(metrics(&world).contains("shardgate_transactions_total{outcome=\"committed\"} 1"));
}

fn metrics(world: &crate::world::World) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(world.proxy().http()).expect("the proxy serves HTTP");
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("it answers");
    text
}

#[test]
fn what_cannot_be_prepared_decides() {
    let world = world("commit_unpreparable");
    let mut client = world.client();
    // NOTIFY on home, a write elsewhere: home decides.
    let mut listener = world.client();
    listener.rows("LISTEN moved");
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 1 WHERE id = 1",
            "NOTIFY moved, 'now'",
            "UPDATE accounts SET balance = 1 WHERE id = 1001",
            "COMMIT",
        ],
    );
    assert_eq!([1, 1001].map(|id| balance(&world, id)), ["1", "1"]);
    let heard = listener.read_until(b'A');
    assert_eq!(heard.last().map(|message| message.tag), Some(b'A'));
    // A cursor WITH HOLD makes its shard the one that decides; two of them can't.
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 2 WHERE id = 1",
            "UPDATE accounts SET balance = 2 WHERE id = 1001",
            "DECLARE held CURSOR WITH HOLD FOR SELECT balance FROM accounts WHERE id = 1001",
            "COMMIT",
        ],
    );
    assert_eq!([1, 1001].map(|id| balance(&world, id)), ["2", "2"]);
    assert_eq!(client.value("FETCH held"), "2");
    // So does a temporary table; and what is written into it is of that commit.
    run(
        &mut client,
        &[
            "CLOSE held",
            "CREATE TEMPORARY TABLE own (id int)",
            "BEGIN",
            "UPDATE accounts SET balance = 2 WHERE id = 1",
            "INSERT INTO own VALUES (1)",
            "UPDATE accounts SET balance = 2 WHERE id = 1001",
            "UPDATE accounts SET balance = 2 WHERE id = 2001",
            "COMMIT",
        ],
    );
    assert_eq!([1, 1001, 2001].map(|id| balance(&world, id)), ["2", "2", "2"]);
    assert_eq!(client.value("SELECT count(*) FROM own"), "1");
    run(
        &mut client,
        &[
            "DROP TABLE own",
            "BEGIN",
            "UPDATE accounts SET balance = 3 WHERE id = 1",
            "UPDATE accounts SET balance = 3 WHERE id = 1001",
        ],
    );
    run(
        &mut client,
        &[
            "DECLARE one CURSOR WITH HOLD FOR SELECT balance FROM accounts WHERE id = 1",
            "DECLARE two CURSOR WITH HOLD FOR SELECT balance FROM accounts WHERE id = 1001",
        ],
    );
    let answer = client.query("COMMIT");
    let error = error_of(&answer).unwrap_or_else(|| panic!("{answer:?}"));
    assert_eq!(error.code(), "0A000");
    assert!(!error.fields()[&'H'].is_empty(), "{error:?}");
    assert_eq!([1, 1001].map(|id| balance(&world, id)), ["2", "2"]);
}

/// What a client prepares by itself is one shard's, and whoever comes with its identifier finds it there.
#[test]
fn two_phases_by_the_client_are_one_shards() {
    let world = world("commit_by_hand");
    let mut client = world.client();
    let both = [
        "BEGIN",
        "UPDATE accounts SET balance = 2 WHERE id = 1",
        "UPDATE accounts SET balance = 2 WHERE id = 1001",
    ];
    run(&mut client, &both);
    assert_eq!(client.failure("PREPARE TRANSACTION 'mine'"), "0A000");
    client.rows("ROLLBACK");
    assert_eq!(balance(&world, 1), "100");
    assert_eq!(client.failure("COMMIT PREPARED 'mine'"), "42704");
    for (id, other) in [(1, 1001), (1001, 2001), (2001, 1)] {
        let first = format!("UPDATE accounts SET balance = balance + 1 WHERE id = {id}");
        run(&mut client, &["BEGIN", &first, "PREPARE TRANSACTION 'mine'"]);
        // Its identifier is taken on every shard, as it would be on one server.
        let second = format!("UPDATE accounts SET balance = balance + 1 WHERE id = {other}");
        let mut another = world.client();
        run(&mut another, &["BEGIN", &second]);
        assert_eq!(another.failure("PREPARE TRANSACTION 'mine'"), "42710");
        assert_eq!(another.value("SELECT 1"), "1");
        run(&mut another, &["COMMIT PREPARED 'mine'"]);
    }
    for id in [1, 1001, 2001] {
        assert_eq!(balance(&world, id), "101");
    }
    // The proxy's own identifiers are not for clients.
    assert_eq!(client.failure("ROLLBACK PREPARED 'sg:mine'"), "0A000");
    // Two of one identifier, made past the proxy: which one is meant can't be told.
    for shard in 0..2 {
        let mut shard = world.shard(shard);
        run(&mut shard, &["BEGIN", "SELECT 1", "PREPARE TRANSACTION 'twice'"]);
    }
    assert_eq!(client.failure("COMMIT PREPARED 'twice'"), "0A000");
    for shard in 0..2 {
        world.shard(shard).rows("ROLLBACK PREPARED 'twice'");
    }
}

#[test]
fn gids_of_the_proxys_own_are_refused_before_one_shard_too() {
    use crate::messages::{Format, bind, execute, parse, sync};
    let world = World::start(Spec {
        shards: 1,
        ..spec("commit_own_gids", "")
    });
    let mut client = world.client();
    assert_eq!(client.failure("COMMIT PREPARED 'sg:mine'"), "0A000");
    assert_eq!(client.failure("ROLLBACK PREPARED 'sg:mine'"), "0A000");
    let by_messages = [
        parse("", "ROLLBACK PREPARED 'sg:mine'", &[]),
        bind("", "", &[], Format::Text),
        execute("", 0),
        sync(),
    ];
    client.send(&by_messages.concat());
    let answer = client.read_batch();
    assert_eq!(
        error_of(&answer).map(|error| error.code()).as_deref(),
        Some("0A000"),
        "{answer:?}"
    );
    // As after any error, the block can only be rolled back.
    run(&mut client, &["BEGIN", "UPDATE accounts SET balance = 1 WHERE id = 1"]);
    assert_eq!(client.failure("PREPARE TRANSACTION 'sg:mine'"), "0A000");
    assert_eq!(client.failure("SELECT 1"), "25P02");
    assert_eq!(tag_of(&client.query("COMMIT")), "ROLLBACK");
    assert_eq!(balance(&world, 1), "100");
    // Any other is the server's business.
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 1 WHERE id = 1",
            "PREPARE TRANSACTION 'mine'",
        ],
    );
    run(&mut client, &["COMMIT PREPARED 'mine'"]);
    assert_eq!(balance(&world, 1), "1");
}

#[test]
fn nobody_decides_for_another() {
    let world = world("commit_forged");
    let mut client = world.client();
    run(
        &mut client,
        &[
            "BEGIN",
            "UPDATE accounts SET balance = 1 WHERE id = 1",
            "UPDATE accounts SET balance = 1 WHERE id = 1001",
            "COMMIT",
        ],
    );
    // A client on the shard itself, under its own role.
    let parameters = [("user", crate::world::CLIENT_ROLE), ("database", world.database())];
    let mut direct = crate::client::Client::log_in(world.servers().shard(0), &parameters).expect("it logs in");
    assert_eq!(direct.failure("SELECT * FROM shardgate.decision"), "42501");
    assert_eq!(
        direct.failure(
            "INSERT INTO shardgate.decision (txid, verdict, x, participants) VALUES ('a', 'commit', '1', '{}')"
        ),
        "42501"
    );
    assert_eq!(direct.failure("CREATE TABLE shardgate.t ()"), "42501");
    // What it may call names a transaction by a hash, and gives its own number.
    direct.rows("SELECT shardgate.decide('\\x00', '{1}')");
    let mut shard = world.shard(0);
    let named = shard.value("SELECT txid = left(encode(sha256('\\x00'), 'hex'), 32) AND pg_xact_status(x) = 'committed' FROM shardgate.decision");
    assert_eq!(named, "t");
}
