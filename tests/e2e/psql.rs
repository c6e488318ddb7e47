//! psql through the proxy: what it prints is what it prints for a plain Postgres.

use std::net::SocketAddr;
use std::process::{Command, Output};

use crate::differential::Source;
use crate::world::{CLIENT_ROLE, World};

/// Backslash commands that describe the test's own database.
const COMMANDS: [&str; 25] = [
    r"\d",
    r"\d users",
    r"\d+ users",
    r"\d orders",
    r"\d trades",
    r"\dt",
    r"\dt public.*",
    r"\di",
    r"\dv",
    r"\ds",
    r"\df",
    r"\df+ double",
    r"\dT",
    r"\dT+",
    r"\d instrument_names",
    r"\d+ order_totals",
    r"\dp users",
    r"\sf double",
    r"\sv big_orders",
    r"\dC bigint",
    r"\do ||",
    r"\da sum",
    r"\dFd english",
    r"\d nothing_like_it",
    r"\encoding",
];

/// Their output tells of other databases and roles, which come and go, or of sizes, which are one shard's: they have to work.
const COMMANDS_OF_THE_CLUSTER: [&str; 7] = [r"\l", r"\l+", r"\du", r"\dn", r"\dx", r"\db", r"\dt+"];

fn psql(address: SocketAddr, database: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("psql");
    command.args([
        "-X",
        "-h",
        &address.ip().to_string(),
        "-p",
        &address.port().to_string(),
        "-U",
        CLIENT_ROLE,
        "-d",
        database,
    ]);
    command
        .args(arguments)
        .env("PGCONNECT_TIMEOUT", "20")
        .env_remove("PGOPTIONS")
        .env("PSQL_PAGER", "");
    command.output().expect("psql runs")
}

/// What a person sees, without the proxy's own schema and without the shard that it adds to an error's context.
fn seen(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    text.lines()
        .filter(|line| !line.contains("shardgate") && !line.starts_with("CONTEXT:  shard s"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn compare(world: &World, arguments: &[&str]) {
    let ours = psql(world.proxy().address(), world.database(), arguments);
    let theirs = psql(world.servers().oracle(), world.database(), arguments);
    assert_eq!(seen(&ours), seen(&theirs), "psql {arguments:?}: the proxy's first");
    assert_eq!(ours.status.code(), theirs.status.code(), "psql {arguments:?}");
}

fn describes(name: &str, shards: usize) {
    let source = Source::read("trading");
    let world = World::start(source.spec(name, shards));
    COMMANDS.iter().for_each(|command| compare(&world, &["-c", command]));
    for command in COMMANDS_OF_THE_CLUSTER {
        let output = psql(world.proxy().address(), world.database(), &["-c", command]);
        assert!(output.status.success(), "psql {command}: {}", seen(&output));
    }
}

#[test]
fn describes_one_shard() {
    describes("psql_1", 1);
}

#[test]
fn describes_three_shards() {
    describes("psql_3", 3);
}

#[test]
fn statements_variables_and_files() {
    let source = Source::read("trading");
    let world = World::start(source.spec("psql_statements", 2));
    let script = "\\set id 12\nSELECT name FROM users WHERE id = :id;\n\\gdesc\nSELECT id, total FROM orders WHERE user_id = :id ORDER BY id \\gx\n\
        BEGIN;\nUPDATE users SET level = 3 WHERE id = :id;\nSAVEPOINT a;\nSELECT 1/0;\nROLLBACK TO a;\nCOMMIT;\nSELECT level FROM users WHERE id = :id \\gset\n\
        \\echo :level\nSELECT count(*), sum(balance) FROM users;\n\\copy (SELECT id FROM orders WHERE user_id = 12 ORDER BY id) TO STDOUT\n\
        \\copy audit_log (id, who) FROM STDIN\n901\tx\n902\ty\n\\.\nSELECT * FROM audit_log WHERE id > 900 ORDER BY id;\n\
        SELECT format('SELECT %s', id) FROM users WHERE id < 3 ORDER BY id \\gexec\nSELECT country, side, count(*) FROM users JOIN orders ON user_id = users.id WHERE users.id = 5 GROUP BY 1, 2 \\crosstabview\n\
        \\errverbose\nSELECT name FROM users ORDER BY id LIMIT 3;\n";
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("psql_statements.sql");
    std::fs::write(&path, script).expect("the script can be written");
    compare(&world, &["-f", path.to_str().expect("UTF-8")]);
    compare(
        &world,
        &["-1", "-c", "SELECT 1", "-c", "UPDATE users SET level = 1 WHERE id = 3"],
    );
    compare(
        &world,
        &[
            "-v",
            "FETCH_COUNT=10",
            "-c",
            "SELECT id FROM orders WHERE user_id = 12 ORDER BY id",
        ],
    );
    compare(&world, &["-At", "-c", "SELECT 1 AS a; SELECT 2 AS b"]);
    compare(&world, &["-v", "ON_ERROR_STOP=1", "-c", "SELECT nothing"]);
    compare(
        &world,
        &["-v", "ON_ERROR_ROLLBACK=on", "-f", path.to_str().expect("UTF-8")],
    );
}

#[test]
fn an_unknown_database_is_named() {
    let world = World::start(crate::world::Spec::empty("psql_unknown", 1));
    let output = psql(world.proxy().address(), "no_such_database", &["-c", "SELECT 1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        seen(&output).contains("database \"no_such_database\" does not exist"),
        "{}",
        seen(&output)
    );
}
