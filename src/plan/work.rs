//! What the planner returns: pure data, cheap on the one-shard path.

use std::sync::Arc;

use crate::plan::MergeSpec;
use crate::sql::PositionMap;
use crate::topology::{Epoch, ShardId};
use crate::value::Oid;

/// What a statement may do to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// nothing
    Read,
    /// locks (FOR UPDATE/SHARE), nothing durable
    Lock,
    /// changes rows or objects
    Write,
}

/// What a statement may leave in its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// nothing
    None,
    /// state that can't be replayed: the backend stays with the session; the text says why (`temporary table`)
    Pin(&'static str),
    /// opaque code ran: pin, then look
    Opaque,
}

/// Plan kinds: metric label and first word of `EXPLAIN (ROUTE)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// there is one shard
    Single,
    /// belongs to no table
    Home,
    /// all keys on one shard
    OneShard,
    /// disjoint union
    FanOut,
    /// union plus a merge
    Merge,
}

/// What shall be done with one statement. Cheap to make and clone on the one-shard path (no allocation).
#[derive(Clone, Debug)]
pub struct Plan {
    /// made for this topology
    pub epoch: Epoch,
    /// for metrics and EXPLAIN (ROUTE)
    pub kind: Kind,
    /// where to
    pub work: Work,
    /// rows
    pub access: Access,
    /// session
    pub effect: SessionEffect,
}

/// Where a statement runs.
#[derive(Clone, Debug)]
pub enum Work {
    /// the text as written, on one shard
    One(ShardId),
    /// on several shards, merged
    Many(Arc<FanOut>),
}

/// A read over several shards.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// in shard order, at least one
    pub shards: Vec<ShardId>,
    /// what each shard gets by Parse, made from the client's text by span edits
    pub text: Vec<u8>,
    /// from positions in `text` back to the client's
    pub positions: PositionMap,
    /// types to declare for `$n` in that Parse
    pub parameter_types: Vec<Oid>,
    /// how answers become one
    pub merge: Arc<MergeSpec>,
}
