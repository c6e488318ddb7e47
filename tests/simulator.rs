//! The traces of the repository through the rebalancer: regret, no flapping, reports as pinned.
//!
//! `UPDATE_GOLDEN=1` rewrites the reports in `tests/golden/simulator`; read the diff.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail loudly"
)]

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
    for (name, trace) in traces() {
        let simulation = simulated(&trace);
        let regret = simulation.regret(&simulation.rebalanced);
        let if_left = simulation.regret(&simulation.left_alone);
        let faults = faults(&name, &simulation);
        is_fine &= faults.is_empty();
        let proposals = simulation.moves.len();
        lines.push(format!(
            "{name}: {regret:.3}, {if_left:.3} if left, {proposals} proposals {faults:?}"
        ));
        // Noise has no regret, whatever is done: left out, so that it doesn't flatter the mean.
        if name != "noise" {
            with.push(regret);
            without.push(if_left);
        }
    }
    let mean = |regrets: &[f64]| regrets.iter().sum::<f64>() / regrets.len() as f64;
    let (regret, if_left) = (mean(&with), mean(&without));
    let lines = format!("mean: {regret:.3}, {if_left:.3} if left\n{}", lines.join("\n"));
    assert!(with.len() >= 9, "traces are missing:\n{lines}");
    assert!(is_fine, "{lines}");
    assert!(if_left > REGRET_IF_LEFT, "the traces show nothing:\n{lines}");
    assert!(regret <= REGRET_MAX, "regret is too high:\n{lines}");
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

/// The same trace gives the same report: once more from a fresh reading, and as it was when it was pinned.
#[test]
fn reports_are_as_pinned() {
    for name in ["market", "noise", "hot-key"] {
        pinned(name, &simulated(&trace(name)).to_text());
    }
    let again = simulated(&trace("market")).to_json();
    assert_eq!(again, simulated(&trace("market")).to_json());
}

#[test]
fn ten_times_the_load_names_what_gives_out_and_what_holds() {
    let market = scale(&trace("market"), 2.0, &Policy::default()).unwrap();
    pinned("market-scale-2", &market.to_text());
    let zipf = scale(&trace("zipf"), 10.0, &Policy::default()).unwrap();
    pinned("zipf-scale-10", &zipf.to_text());
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

#[test]
fn the_command_needs_no_server() {
    let (text, errors, code) = shardctl(&["simulate", "traces/noise.jsonl"]);
    assert_eq!(
        (text, errors.as_str(), code),
        (simulated(&trace("noise")).to_text(), "", 0)
    );
    let (text, _, code) = shardctl(&["simulate", "traces/market.jsonl", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((json.as_array().unwrap().len(), code), (1, 0));
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
