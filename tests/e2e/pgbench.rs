//! pgbench through the proxy, in its three query modes.

use std::net::SocketAddr;
use std::process::Command;

use crate::world::{CLIENT_ROLE, Spec, World};

const MODES: [&str; 3] = ["simple", "extended", "prepared"];

/// The tables as `pgbench -i` makes them, and rows of one scale.
const SCHEMA: &str =
    "CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
    CREATE TABLE pgbench_tellers (tid int NOT NULL PRIMARY KEY, bid int, tbalance int, filler char(84));
    CREATE TABLE pgbench_accounts (aid int NOT NULL PRIMARY KEY, bid int, abalance int, filler char(84));
    CREATE TABLE pgbench_branches (bid int NOT NULL PRIMARY KEY, bbalance int, filler char(88));";

const LAYOUT: &str = "keyspaces:
  account: {strategy: hash, type: integer, buckets: 64}
tables:
  pgbench_branches: {unsharded: {{s0}}}
  pgbench_tellers: {unsharded: {{s0}}}
  pgbench_history: {unsharded: {{s0}}}
  pgbench_accounts: {keyspace: account, key: aid}
";

/// `pgbench -S` picks any account of its scale; the rows themselves are quick to load with few columns filled.
const DATA: &str = "INSERT INTO pgbench_branches VALUES (1, 0); INSERT INTO pgbench_tellers SELECT i, 1, 0 FROM generate_series(1, 10) i;
    INSERT INTO pgbench_accounts SELECT i, 1, i * 7 FROM generate_series(1, 2000) i;";

fn pgbench(address: SocketAddr, database: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("pgbench");
    command.args([
        "-h",
        &address.ip().to_string(),
        "-p",
        &address.port().to_string(),
        "-U",
        CLIENT_ROLE,
    ]);
    let output = command.args(arguments).arg(database).output().expect("pgbench runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        output.status.success(),
        "pgbench {arguments:?} ended with {}\n{said}",
        output.status
    );
    said
}

/// All transactions were made, none failed.
fn complete(said: &str, expected: &str) {
    let line = format!("number of transactions actually processed: {expected}");
    assert!(said.contains(&line), "{line} isn't in\n{said}");
    assert!(
        !said.contains("error") && (said.contains("failed transactions: 0 ") || !said.contains("failed transactions")),
        "{said}"
    );
}

#[test]
fn initialises_and_runs_tpcb_on_one_shard() {
    let world = World::start(Spec::empty("pgbench_tpcb", 1));
    let (address, database) = (world.proxy().address(), world.database());
    pgbench(address, database, &["-i", "-q", "-s", "1", "--foreign-keys"]);
    for mode in MODES {
        complete(
            &pgbench(address, database, &["-n", "-M", mode, "-c", "8", "-j", "2", "-t", "40"]),
            "320/320",
        );
        complete(
            &pgbench(
                address,
                database,
                &["-n", "-M", mode, "-N", "-C", "-c", "2", "-t", "10"],
            ),
            "20/20",
        );
    }
    let mut client = world.client();
    assert_eq!(
        client.value("SELECT count(*) FROM pgbench_history"),
        (3 * 340).to_string()
    );
    let balances = "SELECT (SELECT sum(abalance) FROM pgbench_accounts) - (SELECT sum(delta) FROM pgbench_history)";
    assert_eq!(client.value(balances), "0", "every transaction is whole");
    pgbench(address, database, &["-i", "-I", "dtGvp", "-q", "-s", "1"]);
}

/// The four tables over several shards, by the keys that TPC-B asks for; its history may lack an account, so it has none.
const SPREAD: &str = "keyspaces:
  account: {strategy: hash, type: integer, buckets: 64}
tables:
  pgbench_accounts: {keyspace: account, key: aid}
  pgbench_branches: {keyspace: account, key: bid}
  pgbench_tellers: {keyspace: account, key: tid}
  pgbench_history: {unsharded: {{s0}}}
";

/// History by account too: its key must not be NULL, as `pgbench -i` leaves it.
const SPREAD_WHOLLY: &str = "keyspaces:
  account: {strategy: hash, type: integer, buckets: 64}
tables:
  pgbench_accounts: {keyspace: account, key: aid}
  pgbench_branches: {keyspace: account, key: bid}
  pgbench_tellers: {keyspace: account, key: tid}
  pgbench_history: {keyspace: account, key: aid}
";

const TABLES: [&str; 4] = [
    "pgbench_accounts",
    "pgbench_branches",
    "pgbench_tellers",
    "pgbench_history",
];

/// What pgbench made is what it makes in one Postgres: the very rows, none where another shard should have it, and keys.
fn initialised(world: &World, scale: &str) {
    let mut client = world.client();
    let mut oracle = world.oracle();
    let said = pgbench(world.servers().oracle(), world.database(), &["-i", "-q", "-s", scale]);
    assert!(said.contains("done in"), "{said}");
    for table in TABLES {
        for sql in [
            format!("SELECT count(*) FROM {table}"),
            format!("SELECT * FROM {table} ORDER BY 1"),
        ] {
            assert_eq!(client.rows(&sql), oracle.rows(&sql), "{sql}");
        }
    }
    let keys = "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint \
        WHERE conrelid::regclass::text LIKE 'pgbench%' ORDER BY 1";
    for shard in 0..world.shards() {
        assert_eq!(
            world.shard(shard).rows(keys),
            oracle.rows(keys),
            "primary keys of shard {shard}"
        );
        let accounts = world.shard(shard).value("SELECT count(*) FROM pgbench_accounts");
        assert_ne!(accounts, "0", "shard {shard} has its part of the accounts");
    }
}

/// TPC-B's four sums agree.
fn balanced(world: &World) {
    let mut client = world.client();
    let deltas = client.value("SELECT sum(delta) FROM pgbench_history");
    for sum in [
        "SELECT sum(abalance) FROM pgbench_accounts",
        "SELECT sum(tbalance) FROM pgbench_tellers",
        "SELECT sum(bbalance) FROM pgbench_branches",
    ] {
        assert_eq!(client.value(sum), deltas, "{sum}");
    }
    for shard in 0..world.shards() {
        let prepared = world
            .shard(shard)
            .value("SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database()");
        assert_eq!(prepared, "0", "nothing stays prepared on shard {shard}");
    }
}

fn spread(name: &'static str, shards: usize, layout: &'static str) -> World {
    World::start(Spec {
        layout,
        ..Spec::empty(name, shards)
    })
}

/// Rounds of TPC-B in all query modes; with one branch all of them wait for its row.
fn tpcb(world: &World) {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 15;
    let (address, database) = (world.proxy().address(), world.database());
    let before = world.client().value("SELECT count(*) FROM pgbench_history");
    let rounds = ROUNDS.to_string();
    let clients = CLIENTS.to_string();
    for mode in MODES {
        let arguments = [
            "-n",
            "-b",
            "tpcb-like",
            "-M",
            mode,
            "-c",
            &clients,
            "-j",
            "2",
            "-t",
            &rounds,
        ];
        let said = pgbench(address, database, &arguments);
        let all = CLIENTS * ROUNDS;
        complete(&said, &format!("{all}/{all}"));
    }
    let made = before.parse::<usize>().expect("a number") + MODES.len() * CLIENTS * ROUNDS;
    assert_eq!(
        world.client().value("SELECT count(*) FROM pgbench_history"),
        made.to_string()
    );
    balanced(world);
}

#[test]
fn initialises_two_shards_from_the_client_and_runs_tpcb() {
    let world = spread("pgbench_client", 2, SPREAD);
    pgbench(
        world.proxy().address(),
        world.database(),
        &["-i", "-I", "dtgvp", "-q", "-s", "2"],
    );
    initialised(&world, "2");
    tpcb(&world);
    // Again, over the tables that are there.
    pgbench(world.proxy().address(), world.database(), &["-i", "-q", "-s", "1"]);
    initialised(&world, "1");
}

#[test]
fn initialises_three_shards_on_the_servers_and_runs_tpcb() {
    let world = spread("pgbench_server", 3, SPREAD);
    pgbench(
        world.proxy().address(),
        world.database(),
        &["-i", "-I", "dtGvp", "-q", "-s", "2"],
    );
    initialised(&world, "2");
    tpcb(&world);
}

#[test]
fn runs_tpcb_with_a_history_by_account() {
    let world = spread("pgbench_history", 3, SPREAD_WHOLLY);
    let mut client = world.client();
    for table in SCHEMA.split(';').map(|table| {
        table
            .replace(" PRIMARY KEY", "")
            .replace("aid int,", "aid int NOT NULL,")
    }) {
        if !table.trim().is_empty() {
            client.rows(&table);
        }
    }
    pgbench(
        world.proxy().address(),
        world.database(),
        &["-i", "-I", "Gvp", "-q", "-s", "1"],
    );
    tpcb(&world);
    let history = (0..world.shards()).map(|shard| world.shard(shard).value("SELECT count(*) FROM pgbench_history"));
    assert!(
        history.filter(|rows| rows != "0").count() > 1,
        "history lies beside its accounts"
    );
}

#[test]
fn selects_over_two_shards() {
    let world = World::start(Spec {
        name: "pgbench_select",
        shards: 2,
        layout: LAYOUT,
        settings: "",
        schema: SCHEMA,
        data: DATA,
    });
    let (address, database) = (world.proxy().address(), world.database());
    for mode in MODES {
        for clients in ["1", "16", "64"] {
            let transactions = if clients == "1" { "200" } else { "30" };
            let total = clients.parse::<u32>().expect("a number") * transactions.parse::<u32>().expect("a number");
            complete(
                &pgbench(
                    address,
                    database,
                    &["-S", "-n", "-M", mode, "-c", clients, "-j", "2", "-t", transactions],
                ),
                &format!("{total}/{total}"),
            );
        }
    }
    // Every account is found, and is the right one.
    let script = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pgbench_select.sql");
    std::fs::write(&script, "\\set aid random(1, 2000)\nSELECT 1 / (abalance = :aid * 7)::int AS right FROM pgbench_accounts WHERE aid = :aid \\gset\n").expect("can be written");
    for mode in MODES {
        complete(
            &pgbench(
                address,
                database,
                &[
                    "-n",
                    "-f",
                    script.to_str().expect("UTF-8"),
                    "-M",
                    mode,
                    "-c",
                    "8",
                    "-j",
                    "2",
                    "-t",
                    "50",
                ],
            ),
            "400/400",
        );
    }
    let script = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pgbench_pipeline.sql");
    let pipeline = "\\set a random(1, 2000)\n\\set b random(1, 2000)\n\\startpipeline\nSELECT abalance FROM pgbench_accounts WHERE aid = :a;\nSELECT abalance FROM pgbench_accounts WHERE aid = :b;\n\\endpipeline\n";
    std::fs::write(&script, pipeline).expect("can be written");
    complete(
        &pgbench(
            address,
            database,
            &[
                "-n",
                "-f",
                script.to_str().expect("UTF-8"),
                "-M",
                "extended",
                "-c",
                "8",
                "-j",
                "2",
                "-t",
                "30",
            ],
        ),
        "240/240",
    );
}
