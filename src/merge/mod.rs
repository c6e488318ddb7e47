//! *How do many answers become one?* Ordered merge, LIMIT and OFFSET, DISTINCT, partial aggregates, HAVING.
//!
//! Why a room of its own: "exact" rests on comparing and adding as Postgres does, and must be testable without a
//! socket. It takes DataRow bodies and gives DataRow messages; who reads sockets decides when.
//! Holds: memory is one row per source (and one group), except for groups that must be sorted afterwards, which are
//! bounded by [`GROUP_BYTES_MAX`]; rows with equal keys keep the order of their sources; visible columns are copied,
//! never decoded.
//! Absent: expressions, other collations than byte order, float sums: a plan that needs them does not exist.
//!
//! How to use it: `settle` the plan's [`MergeSpec`] against the RowDescription of every shard, make a [`Merger`], then
//! call [`Merger::next`] until [`Next::Done`], feeding [`Merger::row`] and [`Merger::end`] as it asks.
//!
//! [`MergeSpec`]: crate::plan::MergeSpec

mod encode;
mod error;
mod fold;
mod group;
mod merger;
mod order;
mod predicate;
mod row;
mod scalar;
mod settle;

pub use error::MergeError;
pub use group::GROUP_BYTES_MAX;
pub use merger::{Merger, Next};
pub use settle::{ColumnType, Settled, settle, shard_formats};
