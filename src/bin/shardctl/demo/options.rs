//! The options of `shardctl demo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

/// What to start, where, and for how long.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct DemoOptions {
    /// How many Postgres servers to start: 1 to 16
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16), value_name = "N")]
    pub(super) shards: u8,
    /// Where to put the servers' data; all of it is removed at the end [default: the directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// The proxy's port; 0 takes a free one
    #[arg(long, default_value_t = 6432, value_name = "PORT")]
    pub(super) port: u16,
    /// The port of /metrics, /healthz and /readyz; 0 takes a free one
    #[arg(long, default_value_t = 9432, value_name = "PORT")]
    pub(super) http: u16,
    /// Stop after this time (`90s`, `5m`, `1h`) instead of running until Ctrl-C
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(super) duration: Option<Duration>,
    /// Run no workload: the rows are there, and the proxy is all yours
    #[arg(long)]
    pub(super) no_load: bool,
}

const AFTER_HELP: &str = "\
Needs Postgres's programs (initdb, postgres) on this machine: $SHARDGATE_PG_BIN, else the newest in
/usr/lib/postgresql, else what pg_config says. The proxy is the program `shardgate` beside this one.";

fn parse_duration(text: &str) -> Result<Duration, String> {
    const LONGEST: u64 = 365 * 24 * 3_600;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("write it like 90s, 5m or 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write it like 90s, 5m or 1h".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) => Err("it must be longer than nothing".to_owned()),
        Some(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("a year is the longest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_a_unit() {
        for (text, seconds) in [
            ("60s", Some(60)),
            ("90", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3_600)),
        ] {
            assert_eq!(parse_duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "1.5m",
            "5 m",
            "5d",
            "99999999999999999999s",
            "9999999999h",
        ] {
            parse_duration(text).expect_err(text);
        }
    }
}
