//! Writes over several shards: which are exact, and what each shard is sent.
//!
//! Why apart from `fanout`: a read is one text for all shards, a write gives each shard a text of its own with the rows
//! that belong there. Since Postgres 10 the rows of `INSERT … VALUES` are coerced to the target's columns one by one, so
//! a part of the rows means what it means in the whole statement.
//! Holds: a row is written on the shard of its key and nowhere else; what depends on the statement as a whole (the
//! moment, triggers per statement, a row proposed twice) is the same after the split, or the split is refused; a proof
//! reads no literal, so it holds for every text of the shape.
//! Absent: INSERT … SELECT from tables, UPDATE, DELETE and MERGE over several shards; they are refused with a hint.

mod check;
mod filling;
mod layout;
mod moving;
mod split;
mod series;

pub(in crate::plan) use filling::{Known, Renewed, Supplied, renewed, timed};
pub(in crate::plan) use moving::{is_cast_to_plain, is_string, may_move};
pub(in crate::plan) use series::{Series, Unproven, plan as series};
pub(in crate::plan) use split::{Bindings, Split, alone, plan};
