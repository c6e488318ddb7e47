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
