//! Starts the Postgres servers that all tests of one run share: nextest's setup script.
//!
//! A setup script must end before the tests begin, so it leaves a second process behind, which holds the clusters and
//! stops them when the test runner is gone, however it went. What the tests need to know goes into `NEXTEST_ENV`.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

#[path = "../../src/bin/shardctl/clusters.rs"]
pub mod clusters;

use clusters::{Clusters, Recipe};

/// One plain Postgres, and the shards.
const CLUSTERS: usize = 4;

/// How long the servers outlive the test runner at most.
const WATCH_INTERVAL: Duration = Duration::from_millis(300);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => set_up(parent_id()),
        ["serve", runner] => serve(runner.parse().context("serve takes a process id")?),
        _ => bail!("usage: test-clusters [serve PID]"),
    }
}

/// Starts the holder, waits until its servers answer, and tells nextest their addresses.
fn set_up(runner: u32) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg(runner.to_string()).process_group(0);
    // The runner waits for whoever holds its pipes.
    let mut holder = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let words = BufReader::new(holder.stdout.take().context("no pipe")?);
    let mut environment = Vec::new();
    for line in words.lines() {
        let line = line?;
        if line == "ready" {
            return hand_on(&environment);
        }
        environment.push(line);
    }
    let output = holder.wait_with_output()?;
    bail!(
        "the test clusters didn't start:\n{}",
        String::from_utf8_lossy(&output.stderr)
    )
}

fn hand_on(environment: &[String]) -> Result<()> {
    let Some(path) = std::env::var_os("NEXTEST_ENV") else {
        bail!("NEXTEST_ENV isn't set: this is nextest's setup script, see .config/nextest.toml");
    };
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        .context("opening NEXTEST_ENV")?;
    for line in environment {
        writeln!(file, "{line}")?;
    }
    Ok(())
}

/// Holds the clusters until the runner is gone.
fn serve(runner: u32) -> Result<()> {
    let clusters = Clusters::start(&Recipe::new(CLUSTERS))?;
    let ports: Vec<String> = clusters.iter().map(|cluster| cluster.port().to_string()).collect();
    let (oracle, shards) = ports.split_first().context("no clusters")?;
    let mut out = std::io::stdout();
    writeln!(out, "SHARDGATE_TEST_ORACLE={oracle}")?;
    writeln!(out, "SHARDGATE_TEST_SHARDS={}", shards.join(","))?;
    writeln!(out, "SHARDGATE_TEST_TEMPLATE={}", clusters.template.display())?;
    writeln!(out, "ready")?;
    out.flush()?;
    let process = format!("/proc/{runner}");
    while Path::new(&process).exists() {
        std::thread::park_timeout(WATCH_INTERVAL);
    }
    Ok(())
}
