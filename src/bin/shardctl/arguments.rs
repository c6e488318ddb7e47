//! The command line.

use std::path::PathBuf;

use crate::demo::DemoOptions;
use crate::init::InitOptions;
use clap::{Parser, Subcommand, ValueEnum};

/// Where the proxy is looked for when nobody says.
const URL: &str = "postgres://localhost:6432/shardgate";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "shardctl", version, about = "See and steer a Shardgate proxy", after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The proxy's admin database [default: $SHARDGATE_URL, else postgres://localhost:6432/shardgate]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,

    /// How to print: a table for people, or an array of objects for scripts
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(crate) output: Output,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
A password may stand in the URL or in $PGPASSWORD. The same commands are there in psql: psql -d shardgate, then SHOW HELP.
Exit codes: 0 done, 1 failed, 2 wrong command line.

Examples:
  shardctl status
  shardctl -o json shards
  shardctl route \"SELECT * FROM orders WHERE user_id = 42\"
  shardctl check --config shardgate.yaml";

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Table,
    Json,
}

/// What to do. Commands that a later version brings aren't listed.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The proxy at a glance: state, epoch, shards, clients, statements
    Status,
    /// Each shard: whether it answers, where it is, how many buckets it owns
    Shards,
    /// Each keyspace: strategy, type of key, buckets, shards
    Keyspaces,
    /// Each table: sharded, reference or unsharded, by which key, on which shards
    Tables,
    /// Every bucket: its owner and what belongs to it
    Buckets {
        /// Only those of this keyspace
        keyspace: Option<String>,
    },
    /// Where a statement would run, and why; it does not run
    Route {
        /// The statement; words are joined by blanks
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "SQL"
        )]
        sql: Vec<String>,
    },
    /// Transactions over several shards that are prepared somewhere now; `resolve` ends one by hand
    Transactions {
        /// What to do; without it they are listed
        #[command(subcommand)]
        act: Option<Transactions>,
    },
    /// Check the configuration against the live shards
    Check {
        /// Check this file without a proxy, as `shardgate --check` does; else the proxy checks what it runs with
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Write a commented configuration from what a running Postgres says of its tables; needs no proxy
    Init(InitOptions),
    /// Have the proxy read its configuration again
    Reload,
    /// Four local Postgres servers with a trading schema, a proxy and a workload; needs no server
    Demo(DemoOptions),
}

/// What to do with transactions.
#[derive(Debug, Subcommand)]
pub(crate) enum Transactions {
    /// Commit or roll back every prepared part of one, where its decision shard is gone for good
    Resolve {
        /// Of one of its parts, as the list shows it
        gid: String,
        /// What becomes of it, everywhere
        verdict: Resolution,
        /// Do it: what has been decided elsewhere can't be known here
        #[arg(long)]
        yes: bool,
    },
}

/// What becomes of a transaction.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Resolution {
    /// COMMIT PREPARED
    Commit,
    /// ROLLBACK PREPARED
    Rollback,
}

impl Arguments {
    /// Where the admin database is.
    pub(crate) fn url(&self) -> String {
        let named = self.url.clone().or_else(|| std::env::var("SHARDGATE_URL").ok());
        named.filter(|url| !url.is_empty()).unwrap_or_else(|| URL.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_statement_may_come_in_one_word_or_many() {
        for words in [
            &["shardctl", "route", "SELECT 1 -- x"][..],
            &["shardctl", "route", "SELECT", "1", "--", "x"],
        ] {
            let Command::Route { sql } = Arguments::try_parse_from(words).unwrap().command else {
                panic!()
            };
            assert_eq!(sql.join(" "), "SELECT 1 -- x");
        }
    }
}
