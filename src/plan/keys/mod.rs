//! Keys: which constants fix a sharded table's key, and which shards that leaves.
//!
//! Why apart from the rules: one-shard routing, fan-outs and writes prune by the same facts, and a wrong one here is a
//! wrong answer everywhere. Only a conjunct of WHERE, or of an inner join's ON, of the very level that reads the table
//! counts (or one that an equality carries there), and only under an operator that belongs to the key's own family.
//!
//! Holds: what is returned is never fewer shards than those that hold rows that matter; what can't be told is all shards.

mod constant;
mod condition;
mod suspect;
mod graph;
mod pruning;
mod written;
mod evaluate;

pub(in crate::plan) use condition::Condition;
pub(in crate::plan) use constant::{Constant, ConstantScope, Outcome, Static, TypesNeeded, Value, Values};
pub(in crate::plan) use evaluate::{Evaluation, Unplaced};
pub(in crate::plan) use graph::Graph;
pub(in crate::plan) use pruning::{End, Pruning, Test};
pub(in crate::plan) use written::{Owner, WrittenKey, WrittenRow};
