//! The traces of the repository through the rebalancer: regret, no flapping, reports as pinned.
//!
//! `UPDATE_GOLDEN=1` rewrites the reports in `tests/golden/simulator`; read the diff.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use shardgate::rebalance::{Policy, Simulation, Trace, scale, simulate};
use shardgate::topology::{BucketId, Change, KeyspaceId};

/// What the mean regret over all traces may be.
const REGRET_MAX: f64 = 1.15;

/// What it must be if nobody does anything, or the traces show nothing.
const REGRET_IF_LEFT: f64 = 1.2;

fn traces() -> Vec<(String, Trace)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let name = |file: &Path| file.file_stem().unwrap().to_string_lossy().into_owned();
    let read = |file: &PathBuf| Trace::parse(&std::fs::read_to_string(file).unwrap());
    files
        .iter()
        .map(|file| {
            (
                name(file),
                read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
            )
        })
        .collect()
}

fn simulated(trace: &Trace) -> Simulation {
    simulate(trace, &Policy::default()).unwrap()
}

/// Buckets that a change takes keys from, or gives keys to.
fn touched(change: &Change) -> Vec<(KeyspaceId, Option<BucketId>, Option<String>)> {
    match change {
        Change::MoveBucket { keyspace, bucket, .. } | Change::SplitBucket { keyspace, bucket, .. } => {
            vec![(*keyspace, Some(*bucket), None)]
        }
        Change::SpreadCategory { keyspace, category, .. } => vec![(*keyspace, None, category.clone())],
    }
}

/// What is wrong with how a trace went.
fn faults(name: &str, simulation: &Simulation) -> Vec<String> {
    let regret = simulation.regret(&simulation.rebalanced);
    let if_left = simulation.regret(&simulation.left_alone);
    let mut faults = Vec::new();
    if regret < 1.0 - 1e-9 {
        faults.push("better than the optimum".to_owned());
    }
    if regret > if_left {
        faults.push("worse than doing nothing".to_owned());
    }
    if simulation.moves.is_empty() != (name == "noise") {
        faults.push(format!("{} proposals", simulation.moves.len()));
    }
    let cooldown = Policy::default().bucket_cooldown;
    let mut moved: BTreeMap<_, Duration> = BTreeMap::new();
    for done in &simulation.moves {
        let buckets: BTreeSet<_> = done.changes.iter().flat_map(touched).collect();
        for bucket in buckets {
            let end = done.done.unwrap_or(Duration::MAX);
            if let Some(before) = moved.insert(bucket.clone(), end) {
                let after = done.decided.saturating_sub(before);
                if after < cooldown {
                    faults.push(format!("{bucket:?} again after {after:?}"));
                }
            }
        }
    }
    faults
}

#[test]
fn regret_is_small_and_nothing_flaps() {
    let (mut with, mut without, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_fine = true;
    let traces = traces();
    let simulations: Vec<(&str, Simulation)> = std::thread::scope(|scope| {
        let running: Vec<_> = traces
            .iter()
            .map(|(name, trace)| (name.as_str(), scope.spawn(|| simulated(trace))))
            .collect();
        let done = running.into_iter();
        done.map(|(name, simulation)| (name, simulation.join().unwrap()))
            .collect()
    });
    for (name, simulation) in &simulations {
        let regret = simulation.regret(&simulation.rebalanced);
        let if_left = simulation.regret(&simulation.left_alone);
        let faults = faults(name, simulation);
        is_fine &= faults.is_empty();
        lines.push(format!("{}{}", line(name, simulation), faults.join("; ")));
        // Noise has no regret, whatever is done: left out, so that it doesn't flatter the mean.
        if *name != "noise" {
            with.push(regret);
            without.push(if_left);
        }
    }
    let mean = |regrets: &[f64]| regrets.iter().sum::<f64>() / regrets.len() as f64;
    let (regret, if_left) = (mean(&with), mean(&without));
    let lines = format!(
        "{}\n{:<20}{regret:>8.3}{if_left:>9.3}\n{HEADING}",
        lines.join("\n"),
        "mean without noise"
    );
    assert!(with.len() >= 9, "traces are missing:\n{lines}");
    assert!(is_fine, "{lines}");
    assert!(if_left > REGRET_IF_LEFT, "the traces show nothing:\n{lines}");
    assert!(regret <= REGRET_MAX, "regret is too high:\n{lines}");
    pinned("regret", &lines);
}

const HEADING: &str = "
Columns: regret; regret if nothing had been done; the mean over time of the
highest utilisation over that of the optimum, not clamped, and the same if
nothing had been done; minutes above the threshold, and if nothing had been
done; proposals; GB moved.
";

/// A row of the table of all traces.
fn line(name: &str, simulation: &Simulation) -> String {
    let courses = [&simulation.rebalanced, &simulation.left_alone];
    let [with, without] = courses.map(|course| simulation.figures(course));
    let best = simulation.figures(&simulation.best());
    let minutes = |time: Duration| time.as_secs_f64() / 60.0;
    format!(
        "{name:<20}{:>8.3}{:>9.3}{:>8.2}{:>7.2}{:>8.1}{:>7.1}{:>5}{:>6.1}",
        with.regret,
        without.regret,
        with.mean / best.mean,
        without.mean / best.mean,
        minutes(with.over_threshold),
        minutes(without.over_threshold),
        simulation.moves.len(),
        simulation.bytes_moved() as f64 / 1e9,
    )
}

fn synthetic(kind: &str, seed: u64, minutes: usize) -> Trace {
    let line = format!(r#"{{"trace":1,"synthetic":{{"kind":"{kind}","seed":{seed},"minutes":{minutes}}}}}"#);
    Trace::parse(&line).unwrap()
}

#[test]
fn noise_moves_nothing_whatever_its_seed() {
    for seed in 20..24 {
        let simulation = simulated(&synthetic("noise", seed, 25));
        assert!(simulation.moves.is_empty(), "seed {seed}:\n{}", simulation.to_text());
    }
}

/// Whatever its height, a spike of fifteen seconds is over before anything could be moved.
#[test]
fn a_short_spike_moves_nothing() {
    for height in [2.0, 5.0] {
        let mut trace = synthetic("noise", 8, 15);
        for busy in trace.ticks[90..93].iter_mut().flat_map(|tick| &mut tick.busy) {
            busy.reads *= height;
            busy.writes *= height;
        }
        let simulation = simulated(&trace);
        assert!(simulation.figures(&simulation.left_alone).highest > 1.0);
        assert!(
            simulation.moves.is_empty(),
            "height {height}:\n{}",
            simulation.to_text()
        );
    }
}

fn pinned(name: &str, text: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/simulator/{name}.txt"));
    let wide = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "{name}: wider than a terminal");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let line = golden
        .lines()
        .zip(text.lines())
        .position(|(golden, text)| golden != text);
    assert!(
        golden == text,
        "{name} changed, first in line {:?} (UPDATE_GOLDEN=1 rewrites):\n{text}",
        line.map(|line| line + 1)
    );
}

fn trace(wanted: &str) -> Trace {
    traces().into_iter().find(|(name, _)| name == wanted).unwrap().1
}

#[test]
fn reports_are_as_pinned() {
    for name in ["market", "noise", "hot-key"] {
        pinned(name, &simulated(&trace(name)).to_text());
    }
}

/// A minute of the demo, as `shardctl record` wrote it from the proxy: its hot category is found.
#[test]
fn the_recorded_demo_names_its_hot_category() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/recorded/demo.jsonl");
    let trace = Trace::parse(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert!(
        trace.units.iter().any(|unit| unit.bytes > 0),
        "sizes were not known yet"
    );
    let simulation = simulated(&trace);
    let first = simulation
        .moves
        .first()
        .unwrap_or_else(|| panic!("{}", simulation.to_text()));
    assert!(first.proposal.reason.contains("fx_major"), "{}", first.proposal.reason);
    assert_eq!(first.proposal.from, "s0");
}

/// The README shows what the command says.
#[test]
fn the_readme_shows_real_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = std::fs::read_to_string(root.join("tests/golden/simulator/market.txt")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let shown = format!("$ shardctl simulate traces/market.jsonl\n{golden}```\n");
    assert!(
        readme.contains(&shown),
        "README.md shows something else than:\n{golden}"
    );
}

#[test]
fn more_load_names_what_gives_out_and_what_holds() {
    for factor in [2.0, 10.0] {
        let scaled = scale(&trace("market"), factor, &Policy::default()).unwrap();
        pinned(&format!("market-times-{factor}"), &scaled.to_text());
    }
}

// === the command ===

fn shardctl(arguments: &[&str]) -> (String, String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_shardctl"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap(),
    )
}

/// It says what the same trace gives here, in another process, to the last digit.
#[test]
fn the_command_needs_no_server() {
    let market = simulated(&trace("market"));
    let (text, errors, code) = shardctl(&["simulate", "traces/market.jsonl"]);
    assert_eq!((text, errors.as_str(), code), (market.to_text(), "", 0));
    let (text, _, code) = shardctl(&["simulate", "traces/market.jsonl", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json, code), (&market.to_json(), 0));
    assert_eq!(json.as_array().unwrap().len(), 1);
    let reasons: Vec<&str> = json[0]["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["proposal"]["reason"].as_str().unwrap())
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("fx_major")), "{reasons:?}");
    assert_eq!(json[0]["utilisation"]["s0"].as_array().unwrap().len(), 720);
}

#[test]
fn the_policy_is_the_operators() {
    let (text, _, code) = shardctl(&["simulate", "traces/market.jsonl", "--policy", "threshold=1"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("time above 100 %"), "{text}");
    let (_, errors, code) = shardctl(&["simulate", "traces/market.jsonl", "--policy", "treshold=1"]);
    assert_eq!(code, 1);
    assert!(errors.contains("unknown policy \"treshold\""), "{errors}");
}

#[test]
fn what_is_no_trace_is_named() {
    let (_, errors, code) = shardctl(&["simulate", "README.md"]);
    assert_eq!(code, 1);
    assert!(errors.contains("README.md: line 1: expected an object"), "{errors}");
    let (_, errors, code) = shardctl(&["simulate", "traces/none.jsonl"]);
    assert_eq!(code, 1);
    assert!(errors.contains("traces/none.jsonl cannot be read"), "{errors}");
    assert_eq!(shardctl(&["simulate", "traces/noise.jsonl", "--scale", "0"]).2, 2);
}
