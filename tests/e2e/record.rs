//! `shardctl record` before real shards: what it writes is a trace of the load that came.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use shardgate::rebalance::Trace;

use crate::world::{CLIENT_ROLE, Spec, World};

const LAYOUT: &str = "keyspaces:
  user: {strategy: hash, type: bigint, buckets: 64}
tables:
  users: {keyspace: user, key: id}
";

/// The key that nearly all load is for.
const HOT: &str = "7";

fn shardctl(arguments: &[&str], world: &World) -> String {
    let url = format!("postgres://{CLIENT_ROLE}@{}/shardgate", world.proxy().address());
    let output = Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .args(arguments)
        .env("SHARDGATE_URL", url)
        .output()
        .expect("shardctl runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "shardctl {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_recording_tells_which_key_the_load_was_for_and_can_be_simulated() {
    let world = World::start(Spec {
        name: "record",
        shards: 2,
        layout: LAYOUT,
        settings: "",
        schema: "CREATE TABLE users (id bigint PRIMARY KEY, name text);",
        data: "",
    });
    let file = std::env::temp_dir().join(format!("shardgate-record-{}.jsonl", std::process::id()));
    let name = file.to_string_lossy().into_owned();
    let is_over = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = world.client();
            for id in 1..=20 {
                client.rows(&format!("INSERT INTO users VALUES ({id}, 'x')"));
            }
            while !is_over.load(Ordering::Relaxed) {
                client.rows(&format!("SELECT name, pg_sleep(0.1) FROM users WHERE id = {HOT}"));
                client.rows("SELECT name FROM users WHERE id = 12");
            }
        });
        // The trace is long enough for several looks, however slow the machine is: ticks count, not seconds.
        let said = shardctl(&["record", &name, "--duration", "20s", "--interval", "2s"], &world);
        is_over.store(true, Ordering::Relaxed);
        said
    });
    let text = std::fs::read_to_string(&file).expect("the trace is there");
    let trace = Trace::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(
        said.contains(&format!("{} ticks of 2 s", trace.ticks.len())),
        "{said}, but there are {}",
        trace.ticks.len()
    );
    let of_key: Vec<f64> = (0..trace.units.len())
        .map(|unit| {
            let busy = trace.ticks.iter().flat_map(|tick| &tick.busy);
            busy.filter(|busy| busy.unit == unit).map(|busy| busy.sum()).sum()
        })
        .collect();
    let all: f64 = of_key.iter().sum();
    let hot = trace.units.iter().position(|unit| unit.key.to_text() == HOT);
    let hot = hot.unwrap_or_else(|| panic!("key {HOT} isn't in the trace:\n{text}"));
    assert!(
        of_key[hot] > 0.8 * all,
        "{} of {all} busy seconds per second are key {HOT}'s",
        of_key[hot]
    );
    assert!(shardctl(&["simulate", &name], &world).contains("highest utilisation"));
    std::fs::remove_file(&file).expect("the trace can be removed");
}
