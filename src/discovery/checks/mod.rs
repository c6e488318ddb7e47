//! What contradicts the configuration on live shards: one file per subject.
//!
//! Why at start: what one Postgres would enforce or resolve over all rows, a shard does over its own; each such place is
//! refused before a client meets it. Holds: nothing here writes; every finding has a hint or is its own.

mod server;
mod commits;
mod table;
mod links;
mod triggers;
mod rows;
mod reference;
mod roles;
mod scene;

pub(super) use commits::commits;
pub(super) use reference::references;
pub(super) use roles::roles;
pub(super) use rows::{Search, category_keys, misplaced, stray};
pub(super) use scene::Scene;
pub(super) use server::servers;
pub(super) use table::tables;
