//! `simulate TRACE`: what the rebalancer would do with a trace, without a server.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use shardgate::rebalance::{self, Policy, Trace};

use crate::arguments::Output;
use crate::duration;
use crate::failure::Failure;

/// Larger files are no traces of this program.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Beyond that, it is another system.
const SCALE_MAX: f64 = 1_000_000.0;

/// Which trace, how much of it, under which policy.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SimulateOptions {
    /// The trace, JSON lines (docs/simulator.md)
    trace: PathBuf,
    /// Ask what N times the load and the bytes would do: which shard gives out first, and what plan holds
    #[arg(long, value_parser = parse_scale, value_name = "N")]
    scale: Option<f64>,
    /// Another policy than the default, e.g. threshold=0.6; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    policy: Vec<String>,
}

const AFTER_HELP: &str = "\
Policy: threshold, clear (shares of a shard's capacity), hold, keyspace_cooldown, bucket_cooldown (90s, 5m, 1h),
bytes_per_hour, bytes_per_second (20MB, 1GB), moves_per_day, gain_least.

Examples:
  shardctl simulate traces/market.jsonl
  shardctl simulate traces/market.jsonl --policy threshold=0.6 --policy bytes_per_hour=10GB
  shardctl simulate traces/market.jsonl --scale 10";

/// The report.
pub(crate) fn simulate(options: &SimulateOptions, output: Output) -> Result<String, Failure> {
    let policy = policy(&options.policy)?;
    let trace = read(options)?;
    let (text, json) = match options.scale {
        None => {
            let simulation = rebalance::simulate(&trace, &policy).map_err(anyhow::Error::from)?;
            (simulation.to_text(), simulation.to_json())
        }
        Some(factor) => {
            let scaled = rebalance::scale(&trace, factor, &policy).map_err(anyhow::Error::from)?;
            (scaled.to_text(), scaled.to_json())
        }
    };
    Ok(match output {
        Output::Table => text,
        Output::Json => format!("{json:#}\n"),
    })
}

fn read(options: &SimulateOptions) -> Result<Trace, Failure> {
    let name = options.trace.display();
    let unread = || format!("{name} cannot be read");
    let length = std::fs::metadata(&options.trace).with_context(unread)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::new(format!("{name} is larger than a gigabyte")));
    }
    let text = std::fs::read_to_string(&options.trace).with_context(unread)?;
    Trace::parse(&text).map_err(|error| {
        Failure::new(format!("{name}: {error}")).with_hint("docs/simulator.md describes the format of traces.")
    })
}

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if factor > 0.0 && factor <= SCALE_MAX => Ok(factor),
        Ok(_) | Err(_) => Err("it must be a number above 0, up to 1000000".to_owned()),
    }
}

// === policy ===

fn policy(settings: &[String]) -> Result<Policy, Failure> {
    let mut policy = Policy::default();
    let pairs: Vec<(&str, &str)> = settings
        .iter()
        .map(|setting| setting.split_once('=').unwrap_or((setting, "")))
        .collect();
    // First, since the others' defaults hang on it.
    for (key, value) in &pairs {
        if *key == "threshold" {
            policy = Policy::with_threshold(share(key, value)?);
        }
    }
    for (key, value) in &pairs {
        match *key {
            "threshold" => {}
            "clear" => policy.clear = share(key, value)?,
            "gain_least" => policy.gain_least = share(key, value)?,
            "hold" => policy.hold = time(key, value)?,
            "keyspace_cooldown" => policy.keyspace_cooldown = time(key, value)?,
            "bucket_cooldown" => policy.bucket_cooldown = time(key, value)?,
            "bytes_per_hour" => policy.bytes_per_hour = bytes(key, value)?,
            "bytes_per_second" => policy.bytes_per_second = bytes(key, value)?,
            "moves_per_day" => {
                policy.moves_per_day = value.parse().map_err(|_| wrong(key, value, "a number"))?;
            }
            other => {
                return Err(Failure::new(format!("unknown policy \"{other}\""))
                    .with_hint("shardctl simulate --help lists what a policy has."));
            }
        }
    }
    if policy.clear > policy.threshold {
        return Err(Failure::new(
            "clear lies above threshold: an overload would never begin",
        ));
    }
    Ok(policy)
}

fn wrong(key: &str, value: &str, wanted: &str) -> Failure {
    Failure::new(format!("--policy {key}: \"{value}\" isn't {wanted}"))
}

fn share(key: &str, value: &str) -> Result<f64, Failure> {
    let parsed = value.parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    parsed.ok_or_else(|| wrong(key, value, "a share above 0, up to 1"))
}

fn time(key: &str, value: &str) -> Result<Duration, Failure> {
    duration::parse(value).map_err(|why| Failure::new(format!("--policy {key}: {why}")))
}

fn bytes(key: &str, value: &str) -> Result<u64, Failure> {
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = value.split_at(digits);
    let factor = match unit {
        "" => Some(1),
        "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "TB" => Some(1_000_000_000_000),
        _ => None,
    };
    let bytes = number.parse::<u64>().ok().zip(factor);
    let bytes = bytes.and_then(|(number, factor)| number.checked_mul(factor));
    // Copying that takes for ever has no end that could be simulated.
    bytes
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| wrong(key, value, "a number of bytes like 20MB or 1GB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &[&str]) -> Result<Policy, Failure> {
        policy(&settings.iter().map(|setting| (*setting).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_policy_is_read_key_by_key() {
        let policy = of(&[
            "clear=0.5",
            "threshold=0.6",
            "bytes_per_hour=20GB",
            "hold=1m",
            "moves_per_day=3",
        ])
        .unwrap();
        let expected = Policy {
            clear: 0.5,
            bytes_per_hour: 20_000_000_000,
            hold: Duration::from_secs(60),
            moves_per_day: 3,
            ..Policy::with_threshold(0.6)
        };
        assert_eq!(policy, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for settings in [
            &["threshold"][..],
            &["threshold=2"],
            &["threshold=NaN"],
            &["hold=soon"],
            &["bytes_per_second=0"],
            &["bytes_per_hour=20gb"],
            &["moves_per_day=-1"],
            &["speed=1"],
            &["clear=0.9"],
        ] {
            assert!(of(settings).is_err(), "{settings:?}");
        }
        for text in ["0", "-1", "NaN", "inf", "ten", ""] {
            parse_scale(text).expect_err(text);
        }
        assert!((parse_scale("10").unwrap() - 10.0).abs() < 1e-9);
    }
}
