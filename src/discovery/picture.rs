//! The current picture: topology, catalog and what belongs to that moment, swapped whole.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::discovery::OidMap;
use crate::plan::Snapshot;
use crate::topology::{QualifiedName, ShardId, ShardSet};

/// A handle on the current picture; clones share it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// guards one pointer: held for a clone or a swap, never over an await
    seen: Arc<RwLock<Arc<Seen>>>,
}

/// One moment: the planner's snapshot, each shard's own OIDs, and which shard has which relation.
#[derive(Debug)]
pub struct Seen {
    /// what the planner reads
    pub snapshot: Arc<Snapshot>,
    /// by shard index
    pub oids: Vec<Arc<OidMap>>,
    /// the shards that have a relation of this name
    pub presence: BTreeMap<QualifiedName, ShardSet>,
}

impl Picture {
    /// A handle that shows `seen`.
    pub fn new(seen: Seen) -> Picture {
        Picture {
            seen: Arc::new(RwLock::new(Arc::new(seen))),
        }
    }

    /// The planner's snapshot: take it once per statement.
    pub fn current(&self) -> Arc<Snapshot> {
        Arc::clone(&self.look().snapshot)
    }

    /// Whether a snapshot is that of the current picture.
    pub fn is_current(&self, snapshot: &Arc<Snapshot>) -> bool {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        Arc::ptr_eq(&seen.snapshot, snapshot)
    }

    /// Snapshot and OID maps of one moment.
    pub fn look(&self) -> Arc<Seen> {
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The OIDs of a shard that differ from home's; none if all are the same, or nothing is known of it.
    pub fn foreign_oids(&self, shard: ShardId) -> Option<Arc<OidMap>> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.foreign_oids(shard).map(Arc::clone)
    }

    /// Swaps the picture; statements under way keep the old one.
    pub(super) fn swap(&self, seen: Seen) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }
}

impl Seen {
    /// The OID map of a shard; none for a shard that this picture doesn't know.
    pub fn oids_of(&self, shard: ShardId) -> Option<&Arc<OidMap>> {
        self.oids.get(shard.index())
    }

    /// The OIDs of a shard that differ from home's; none if all are the same, or nothing is known of it.
    pub fn foreign_oids(&self, shard: ShardId) -> Option<&Arc<OidMap>> {
        if shard == self.snapshot.topology().home() {
            return None;
        }
        self.oids_of(shard).filter(|map| !map.is_identity())
    }
}
