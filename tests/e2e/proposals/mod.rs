//! The rebalancer on real clusters: an overloaded shard's cause is named and a remedy proposed, kept on home, seen by every
//! proxy; balanced load is left alone.
//!
//! Windows of a minute take a minute: these tests wait for what is to be seen, with one generous limit.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shardgate::rebalance::Proposal;
use shardgate::topology::Topology;

use crate::client::Client;
use crate::proxy::Proxy;
use crate::world::{CLIENT_ROLE, Spec, World};

mod steady;
mod takeover;

/// Column name → value, by row.
type Table = Vec<BTreeMap<String, String>>;

const SYMBOLS: usize = 24;
/// How often an answer is asked for, and how many times at most.
const PAUSE: Duration = Duration::from_millis(500);
const ROUNDS_MAX: usize = 300;

fn layout() -> String {
    let symbols = (0..SYMBOLS).flat_map(|number| {
        [
            format!("M{number:02}: fx_major"),
            format!("X{number:02}: fx_exotic"),
            format!("E{number:02}: equity"),
        ]
    });
    let symbols: Vec<String> = symbols.collect();
    format!(
        "keyspaces:
  instrument:
    strategy: category
    type: text
    categories_by_key: {{{}}}
    categories: {{fx_major: {{{{s0}}}}, fx_exotic: {{{{s0}}}}, equity: {{{{s1}}}}}}
tables:
  trades: {{keyspace: instrument, key: instrument}}
",
        symbols.join(", ")
    )
}

fn world(name: &str, settings: &str) -> World {
    world_of(name, settings, World::start)
}

fn world_of(name: &str, settings: &str, start: fn(Spec<'_>) -> World) -> World {
    let layout = layout();
    start(Spec {
        name,
        shards: 2,
        layout: &layout,
        settings,
        schema: "CREATE TABLE trades (instrument text COLLATE \"C\" NOT NULL, id int NOT NULL, \
                 PRIMARY KEY (instrument, id))",
        data: "INSERT INTO trades SELECT kind || to_char(number, 'FM00'), 1 \
               FROM unnest(ARRAY['M', 'X', 'E']) kind, generate_series(0, 23) number",
    })
}

/// Has another proxy serve, to which each shard can keep so many backends busy; its config.
fn limited(world: &mut World, name: &str, capacity: f64) -> String {
    let mut before = world.take_proxy();
    let config = std::fs::read_to_string(before.config()).expect("the config is there");
    before.stop();
    let config = config.replace("\"}\n", &format!("\", capacity: {capacity}}}\n"));
    world.serve_by(Proxy::start(name, &config));
    config
}

fn table(admin: &mut Client, command: &str) -> Table {
    let answer = admin.query(command);
    let columns = answer.iter().find(|message| message.tag == b'T');
    let columns = columns.unwrap_or_else(|| panic!("{command}: {answer:?}"));
    let names: Vec<String> = columns.columns().into_iter().map(|column| column.name).collect();
    let rows = answer.iter().filter(|message| message.tag == b'D');
    rows.map(|row| {
        let values = row.values().into_iter();
        let values = values.map(|value| value.map_or("∅".to_owned(), |v| String::from_utf8_lossy(&v).into_owned()));
        names.iter().cloned().zip(values).collect()
    })
    .collect()
}

/// Keeps backends busy with instruments of these kinds, one client each, until `seen` has an answer.
fn under_load<T>(world: &World, kinds: &[&str], mut seen: impl FnMut() -> Option<T>) -> Option<T> {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (worker, kind) in kinds.iter().enumerate() {
            let ends = &ends;
            scope.spawn(move || {
                let mut client = world.client();
                let mut number = worker * 7;
                while !ends.load(Ordering::Relaxed) {
                    number = (number + 1) % SYMBOLS;
                    client.rows(&format!(
                        "SELECT pg_sleep(0.02) FROM trades WHERE instrument = '{kind}{number:02}'"
                    ));
                }
            });
        }
        let mut found = None;
        for _ in 0..ROUNDS_MAX {
            found = seen();
            if found.is_some() {
                break;
            }
            std::thread::park_timeout(PAUSE);
        }
        ends.store(true, Ordering::Relaxed);
        found
    })
}

/// More clients than s0 can keep busy: its capacity is the number of CPUs.
fn too_many() -> Vec<&'static str> {
    let cpus = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    vec!["M"; cpus + 2]
}

fn run_shardctl(proxy: &Proxy, arguments: &[&str]) -> Output {
    let url = format!("postgres://{CLIENT_ROLE}@{}/shardgate", proxy.address());
    Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .args(arguments)
        .env("SHARDGATE_URL", url)
        .output()
        .expect("shardctl runs")
}

fn shardctl(proxy: &Proxy, arguments: &[&str]) -> String {
    let output = run_shardctl(proxy, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// What it says where it can't do it.
fn shardctl_fails(proxy: &Proxy, arguments: &[&str]) -> String {
    let output = run_shardctl(proxy, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).expect("it prints text")
}

#[test]
fn the_cause_of_an_overload_is_named_and_a_remedy_kept_on_home() {
    let mut world = world("proposals_overload", "rebalancer: {policy: propose}");
    // What the week before was like, as a proxy has left it on home: it is known from a start on.
    let mut before = world.take_proxy();
    let config = std::fs::read_to_string(before.config()).expect("the config is there");
    before.stop();
    world.shard(0).rows(
        "INSERT INTO shardgate.load_hour SELECT hour, week, json_build_object('version', 1, 'week', week, 'weight', 0.25, \
         'shards', json_build_object(), 'buckets', json_build_object('instrument', '[[0, 0.1]]'::json)) \
         FROM generate_series(0, 167) hour, \
         LATERAL (SELECT floor((extract(epoch FROM now()) / 3600 + 72) / 168)::bigint - 1 AS week) last",
    );
    world.serve_by(Proxy::start("proposals_overload_1", &config));
    let mut admin = world.admin();
    assert_eq!(table(&mut admin, "SHOW PROPOSALS"), Vec::new());
    let hours = table(&mut admin, "SHOW HOURS");
    assert!(hours.is_empty() || hours.len() == 2 * 168, "{hours:?}"); // home is asked soon after the start
    let row = under_load(&world, &too_many(), || {
        let rows = table(&mut admin, "SHOW PROPOSALS");
        rows.into_iter().find(|row| row["state"] == "open")
    });
    let row = row.expect("a proposal is made while the overload lasts");
    assert!(
        row["reason"].starts_with("fx_major (keyspace instrument) is "),
        "{row:?}"
    );
    let told = ["keyspace", "from", "to", "subject"].map(|name| row[name].as_str());
    assert_eq!(told, ["instrument", "s0", "s1", "fx_major"], "{row:?}");
    let number = |name: &str| row[name].parse::<f64>().expect("a number");
    assert!(
        number("before") > 0.7 && number("after") < number("before") - 0.05,
        "{row:?}"
    );

    let id = row["id"].as_str();
    let stored = "SELECT string_agg(id::text, ',') FROM shardgate.proposal WHERE state = 'open'";
    assert_eq!(world.shard(0).value(stored), id);
    // Another proxy knows it, and so does one that starts again.
    let config = std::fs::read_to_string(world.proxy().config()).expect("the config is there");
    let mut other = Proxy::start("proposals_overload_2", &config);
    let parameters = [("user", CLIENT_ROLE), ("database", "shardgate")];
    let mut there = Client::log_in(other.address(), &parameters).expect("the other proxy lets in");
    let rows = table(&mut there, "SHOW PROPOSALS");
    assert_eq!((rows[0]["id"].as_str(), &rows[0]["reason"]), (id, &row["reason"]));

    let list = shardctl(&other, &["proposals"]);
    assert!(list.contains("fx_major"), "{list}");
    let whole = shardctl(&other, &["proposals", id]);
    for part in ["step 1", "cost", "evidence", "usual for ", "risk", "rollback", "█"] {
        assert!(whole.contains(part), "{part} is not in\n{whole}");
    }
    for line in list.lines().chain(whole.lines()) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let hours = table(&mut admin, "SHOW HOURS");
    assert_eq!(hours.len(), 2 * 168);
    for hour in hours {
        let busy: f64 = hour["busy"].parse().expect("a number");
        assert_eq!(busy > 0.0, hour["shard"] == "s0", "{hour:?}");
    }
    println!("{whole}");
    other.stop();
}

/// The proposed placement, there from a proxy's start, under the same load.
#[test]
fn what_is_predicted_is_what_is_measured_then() {
    let mut world = world("proposals_honest", "rebalancer: {policy: propose}");
    let mut admin = world.admin();
    let row = under_load(&world, &too_many(), || {
        let rows = table(&mut admin, "SHOW PROPOSALS");
        rows.into_iter().find(|row| row["state"] == "open")
    });
    let row = row.expect("a proposal is made while the overload lasts");
    let whole = table(&mut admin, &format!("SHOW PROPOSAL {}", row["id"]));
    let proposal = Proposal::from_json(&whole[0]["document"]).expect("its document is read back");
    drop(admin);

    let mut first = world.take_proxy();
    let config = std::fs::read_to_string(first.config()).expect("the config is there");
    first.stop();
    let newest = "SELECT document FROM shardgate.topology ORDER BY epoch DESC LIMIT 1";
    let topology = Topology::from_json(&world.shard(0).value(newest)).expect("the stored topology");
    let changes = proposal.changes(&topology).expect("changes of this topology");
    let changed = topology.changed(&changes).expect("the proposed placement");
    let document = changed.to_json().expect("a document").replace('\'', "''");
    for index in 0..2 {
        let mut shard = world.shard(index);
        // Rows for either placement: each statement names one key, and is sent to its owner alone.
        shard.rows(
            "INSERT INTO trades SELECT kind || to_char(number, 'FM00'), 1 \
             FROM unnest(ARRAY['M', 'X', 'E']) kind, generate_series(0, 23) number ON CONFLICT DO NOTHING",
        );
        let epoch = changed.epoch();
        shard.rows(&format!(
            "INSERT INTO shardgate.topology (epoch, document) VALUES ({epoch}, '{document}')"
        ));
    }
    world.shard(0).rows("DELETE FROM shardgate.load");
    // What a config leaves out stays as it is stored.
    let kept = |line: &&str| {
        let begins = |word: &str| line.starts_with(word);
        !(begins("keyspaces:") || begins("tables:") || begins("  instrument:") || begins("  trades:") || begins("    "))
    };
    let config: Vec<&str> = config.lines().filter(kept).collect();
    world.serve_by(Proxy::start("proposals_honest_2", &config.join("\n")));
    let mut admin = world.admin();
    let measured = under_load(&world, &too_many(), || {
        let rows = table(&mut admin, "SHOW LOAD");
        let seconds: f64 = rows.first()?["measured_seconds"].parse().expect("a number");
        (seconds > 75.0).then(|| table(&mut admin, "SHOW SHARDS"))
    });
    let measured = measured.expect("load is measured");
    for outlook in &proposal.shards {
        let row = measured.iter().find(|row| row["name"] == outlook.shard);
        let row = row.expect("a shard of the proposal");
        let used: f64 = row["utilisation"].parse().expect("a number");
        assert!(
            (used - outlook.after).abs() <= 0.15 * outlook.after,
            "{}: {} was predicted, {used} is measured\n{}",
            outlook.shard,
            outlook.after,
            proposal.to_text("")
        );
    }
}

#[test]
fn balanced_load_is_left_alone() {
    let world = world("proposals_balanced", "rebalancer: {policy: propose, threshold: 0.95}");
    let mut admin = world.admin();
    let seconds = under_load(&world, &["M", "E"], || {
        let rows = table(&mut admin, "SHOW LOAD");
        let measured: f64 = rows.first()?["measured_seconds"].parse().expect("a number");
        // A minute is measured before anything is judged, and 45 s must pass then.
        (measured > 115.0).then_some(measured)
    });
    assert!(seconds.is_some(), "load is measured");
    assert_eq!(table(&mut admin, "SHOW PROPOSALS"), Vec::new());
    assert_eq!(table(&mut admin, "PROPOSE instrument"), Vec::new());
}

#[test]
fn a_rebalancer_that_is_off_says_so() {
    let world = world("proposals_off", "");
    let mut admin = world.admin();
    assert_eq!(table(&mut admin, "SHOW PROPOSALS"), Vec::new());
    assert_eq!(table(&mut admin, "SHOW FINDINGS"), Vec::new());
    let answer = admin.query("PROPOSE");
    let error = answer.iter().find(|message| message.tag == b'E').expect("an error");
    assert_eq!(error.code(), "55000");
}
