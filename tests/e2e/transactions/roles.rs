//! A control role that is no superuser does all of it, with the grants that `docs/operations.md` lists.

use super::deadlocks::the_younger_is_told;
use super::{
    Attempt, Known, attempt, balance, check_balances, client_of, is_applied, proxy, run, spec, transfer,
    wait_until_nothing_is_prepared,
};
use crate::client::Client;
use crate::world::{CLIENT_ROLE, World};

const CONTROL: &str = "plain_control";

/// What the page says, word by word.
fn grants(database: &str) -> Vec<String> {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).expect("it is there");
    let (_, behind) = page.split_once("<!-- grants -->\n").expect("the page marks the grants");
    let (sql, _) = behind.split_once("<!-- end of grants -->").expect("to their end");
    let sql = sql.replace("shardgate", CONTROL).replace("trading", database);
    let sql = sql.replace("each_client_role", CLIENT_ROLE);
    let lines = sql
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("```"));
    lines.map(|line| line.trim_end_matches(';').to_owned()).collect()
}

fn prepare(superuser: &mut Client, database: &str) {
    for statement in grants(database) {
        let answer = superuser.query(&statement);
        if let Some(error) = super::error_of(&answer) {
            // Another test's run has made the role.
            assert_eq!(error.code(), "42710", "{statement}: {error:?}");
        }
    }
}

#[test]
fn a_control_role_without_superuser_commits_recovers_and_breaks_circles() {
    let world = World::start_as(spec("roles", ""), CONTROL, |superuser| prepare(superuser, "roles"));
    let is_super = format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{CONTROL}'");
    assert_eq!(world.shard(0).value(&is_super), "f");
    let mut client = world.client();
    assert_eq!(transfer(&mut client, 1, 1, 1001), Known::Committed);
    assert_eq!(is_applied(&world, 1, 1, 1001), Some(true));
    // Somebody else's leftovers, of both verdicts.
    for (number, step, wanted) in [(2, "decided", true), (3, "prepared", false)] {
        let dying = proxy(&world, "roles_dying", &format!("{step}:exit"));
        let mut client = client_of(&world, &dying).expect("it serves");
        assert_eq!(transfer(&mut client, number, 2, 1002), Known::Nothing);
        wait_until_nothing_is_prepared(&world);
        assert_eq!(is_applied(&world, number, 2, 1002), Some(wanted), "{step}");
    }
    check_balances(&world);
    the_younger_is_told(&world, world.proxy(), world.proxy());
    // A read over all shards, DDL on all, COPY out with its gates, and what the operator sees.
    assert_eq!(client.value("SELECT sum(balance) FROM accounts"), super::TOTAL);
    run(
        &mut client,
        &[
            "CREATE INDEX accounts_by_balance ON accounts (balance)",
            "DROP INDEX accounts_by_balance",
        ],
    );
    assert!(matches!(attempt(&mut client, "COPY accounts TO STDOUT"), Attempt::Done(tag) if tag == "COPY 60"));
    assert_eq!(balance(&world, 3), "100");
    assert!(world.admin().rows("SHOW TRANSACTIONS").is_empty());
    for shard in 0..world.shards() {
        world.wait_on_shard(shard, "SELECT count(*) FROM shardgate.mark", "0");
    }
}
