//! *What did the operator say?* YAML text → checked settings and the declared topology; messages with positions.
//!
//! Why: one table of keys ([`KEYS`]) says for every key its type, default, help and whether this version has it. It
//! drives the check of names and the did-you-mean, and `docs/configuration.md` is printed from it. The text is read
//! into a tree of positioned nodes rather than into serde structs, because a derived reader stops at its first
//! complaint and an operator wants all of them.
//!
//! Holds: no I/O (the caller brings texts and the environment); nothing is silently accepted; every finding has file,
//! line and column; all findings are reported, not the first; what a later version will know is refused by name.

mod categories;
mod document;
mod endpoint;
mod error;
mod keys;
mod names;
mod nearest;
mod node;
mod ranges;
mod reader;
mod scalars;
mod sections;
mod settings;
mod shards;
mod spaces;
mod tables;
mod users;

pub use document::reference;
pub use endpoint::Endpoint;
pub use error::{Error, Position, Problem};
pub use keys::{KEYS, Key, Presence};
pub use nearest::nearest;
pub use sections::parse;
pub use settings::{
    Auth, Directives, Limits, Method, Pool, PoolMode, Rebalancer, Role, Secret, Settings, ShardSettings,
};
pub use users::{User, Users, parse_users};
