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
    #[arg(long, value_parser = crate::duration::parse, value_name = "TIME")]
    pub(super) duration: Option<Duration>,
    /// Run no workload: the rows are there, and the proxy is all yours
    #[arg(long)]
    pub(super) no_load: bool,
}

const AFTER_HELP: &str = "\
Needs Postgres's programs (initdb, postgres) on this machine: $SHARDGATE_PG_BIN, else the newest in
/usr/lib/postgresql, else what pg_config says. The proxy is the program `shardgate` beside this one.";
