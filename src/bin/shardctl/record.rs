//! `record FILE`: the load that a proxy sees, as a trace.
//!
//! Why through the admin database: what is recorded is what the rebalancer judges by, all proxies together.
//! Holds: every tick is written when it is known, so a recording that is broken off is a trace.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use shardgate::backend::ControlClient;
use shardgate::rebalance::{Observation, Recorder};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::time::MissedTickBehavior;

use crate::arguments::Arguments;
use crate::ask;
use crate::duration;
use crate::failure::Failure;

/// Whereto, for how long, how often.
#[derive(Debug, Args)]
pub(crate) struct RecordOptions {
    /// The trace to write; it must not be there yet
    file: PathBuf,
    /// Stop after this time (`90s`, `10m`, `1h`); Ctrl-C stops earlier
    #[arg(long, value_parser = duration::parse, default_value = "10m", value_name = "TIME")]
    duration: Duration,
    /// Length of a tick, 1s to 60s
    #[arg(long, value_parser = parse_interval, default_value = "5s", value_name = "TIME")]
    interval: Duration,
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        interval if interval <= Duration::from_secs(60) => Ok(interval),
        _ => Err("60s is the longest".to_owned()),
    }
}

/// Records until the time is over.
pub(crate) async fn record(arguments: &Arguments, options: &RecordOptions) -> Result<(), Failure> {
    let client = ask::connect(arguments).await?;
    let mut recorder = Recorder::new(options.interval);
    // Asked before there is a file: a proxy that can't be reached leaves nothing behind.
    observe(&client, &mut recorder).await?;
    let mut file = File::create_new(&options.file)
        .await
        .with_context(|| format!("{} cannot be made", options.file.display()))?;
    let looks = options.duration.as_millis().div_ceil(options.interval.as_millis());
    let mut beat = tokio::time::interval(options.interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat.tick().await;
    for _ in 0..looks {
        tokio::select! {
            _ = beat.tick() => {}
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("Ctrl-C cannot be heard")?;
                break;
            }
        }
        let lines = observe(&client, &mut recorder).await?;
        let written = file.write_all(lines.as_bytes()).await;
        written.with_context(|| format!("{} cannot be written", options.file.display()))?;
    }
    file.sync_all()
        .await
        .with_context(|| format!("{} cannot be written", options.file.display()))?;
    crate::write(&format!(
        "{} ticks of {} s in {}\n",
        recorder.ticks(),
        options.interval.as_secs(),
        options.file.display()
    ))
}

/// The lines that one look at the proxy adds.
async fn observe(client: &ControlClient, recorder: &mut Recorder) -> Result<String, Failure> {
    let answer = ask::run(client, "SHOW TRACE").await;
    let answer = answer.map_err(|error| Failure::from_control(&error))?;
    let cell = answer.rows.first().and_then(|row| row.first()).cloned().flatten();
    // Nothing is told for a moment where the topology has just changed: what is missed comes with the next.
    let Some(text) = cell else { return Ok(String::new()) };
    let lines = Observation::parse(&text).and_then(|observation| recorder.observe(&observation));
    lines.map_err(|fault| {
        Failure::new(format!("the recording ends: {fault}"))
            .with_hint("What was written until now is a trace. Record again for what the cluster is now.")
    })
}
