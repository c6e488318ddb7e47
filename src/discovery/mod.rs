//! *Keep the picture current:* topology store, catalog reader, watch, health, and the check of a config against live shards.
//!
//! Why: the planner is pure and needs topology and catalog of one moment; this room reads both from the shards, swaps
//! them whole, and tells the operator everything that contradicts the configuration before a client can meet it.
//!
//! Holds: what [`Picture`] hands out is of one moment; a new epoch is one INSERT on the home shard; a category once
//! fixed never changes here; all SQL names its functions and operators in full, since it may run under any search_path.

mod error;
mod finding;
mod reach;
mod cells;
mod fingerprint;
mod catalog_sql;
mod hidden;
mod shard_catalog;
mod bodies;
mod moment_words;
mod moments;
mod health;
mod oids;
mod union;
mod builtin;
mod store;
mod load_store;
mod survey;
mod other_proxies;
mod loads;
mod proposal_store;
mod proposer;
mod categories;
mod sequences;
mod checks;
mod together;
mod stage;
mod open;
mod overlay;
mod picture;
mod watch;

pub use error::Error;
pub use finding::{Finding, Severity};
pub use health::{Health, State};
pub use oids::OidMap;
pub use open::{Discovery, check, open};
pub use overlay::{Answers, Overlay, overlay_sql};
pub use picture::{Picture, Seen};
pub use proposal_store::{Proposals, StoredProposal};
pub use watch::RoleChanges;
