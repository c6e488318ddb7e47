//! *Where do rows live?* Shards, keyspaces, buckets and placement at one epoch; key → token → bucket → shard.
//!
//! Why: routing, telemetry and moves must agree on one immutable picture, so it is a value that is swapped whole.
//! Holds: every key has at most one place; a place never depends on a dependency's version (`tests/golden/placement*`
//! pins it); the stored document reads back to the same topology.
//! Absent: addresses and passwords (configuration), YAML, storage.

mod error;
mod epoch;
mod shard_set;
mod name;
mod bucket;
mod arcs;
mod ring;
mod shard;
mod keyspace;
mod range;
mod category;
mod declaration;
mod snapshot;
mod build;
mod draft;
mod reconcile;
mod evolve;
mod change;
mod change_document;
mod document;
mod document_read;

pub use bucket::{Bucket, BucketId, Place, Placed, Token};
pub use category::{CategoryPlacement, CategorySource, Spread};
pub use change::{Change, ChangeFault, SplitAt, SpreadAt, spread_starts};
pub use change_document::{WrittenChange, WrittenSplit};
pub use declaration::{
    Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy, DeclaredTable, HashStart,
};
pub use epoch::Epoch;
pub use error::{Aspect, TopologyError};
pub use evolve::Evolved;
pub use keyspace::{Keyspace, KeyspaceId, Strategy};
pub use name::QualifiedName;
pub use range::{Bound, RangePlacement};
pub use ring::HashPlacement;
pub use shard::{Labels, Shard, ShardState};
pub use shard_set::{SHARDS_MAX, ShardId, ShardSet};
pub use snapshot::{FunctionClass, TablePlacement, Topology};
