//! The commands of the admin database, one file each, in one ordered table.
//!
//! Why a table: HELP, did-you-mean, Describe and execution all read it. The order is HELP's; a command whose words
//! begin with another's words would have to stand before it (none does; a test looks).

mod command;
mod later;
mod row;
mod show_status;
mod show_shards;
mod show_pools;
mod show_clients;
mod show_backends;
mod show_keyspaces;
mod show_tables;
mod show_buckets;
mod show_load;
mod show_keys;
mod show_hours;
mod show_proposals;
mod show_proposal;
mod show_findings;
mod propose;
mod show_trace;
mod show_transactions;
mod show_config;
mod config_rows;
mod show_stats;
mod show_version;
mod show_help;
mod route;
mod check;
mod reload;
mod resolve;
mod pause;
mod resume;

pub(super) use command::{Argument, Command, Run};
pub(super) use later::LATER;
pub(super) use reload::reload;

/// Every command of this version.
pub(super) const COMMANDS: &[Command] = &[
    show_status::COMMAND,
    show_shards::COMMAND,
    show_pools::COMMAND,
    show_clients::COMMAND,
    show_backends::COMMAND,
    show_keyspaces::COMMAND,
    show_tables::COMMAND,
    show_buckets::COMMAND,
    show_load::COMMAND,
    show_keys::COMMAND,
    show_hours::COMMAND,
    show_proposals::COMMAND,
    show_proposal::COMMAND,
    show_findings::COMMAND,
    show_trace::COMMAND,
    show_transactions::COMMAND,
    show_config::COMMAND,
    show_stats::COMMAND,
    show_version::COMMAND,
    show_help::COMMAND,
    route::COMMAND,
    check::COMMAND,
    reload::COMMAND,
    propose::COMMAND,
    resolve::COMMAND,
    pause::COMMAND,
    resume::COMMAND,
];
