//! `shardctl demo`: a sharded exchange on this machine, in one command.
//!
//! Why: whoever hears of a sharding proxy should be able to type at one within a minute, and see what it does under load.
//! Holds: it needs no server, touches nothing outside its own directory, and leaves nothing behind, whether it ends by
//! itself, by Ctrl-C, by SIGTERM or by SIGKILL; all rows go through the proxy.

mod options;
mod directory;
mod settings;
mod schema;
mod balance;
mod dice;
mod places;
mod rows;
mod load;
mod proxy;
mod suggestions;
mod tally;
mod pace;
mod workload;
mod table;
mod voice;
mod run;

pub(crate) use options::DemoOptions;
pub(crate) use run::run;
