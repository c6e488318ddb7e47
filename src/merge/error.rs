//! What can go wrong while many answers become one.

use crate::value::{Oid, ValueError};

/// Why merging failed.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// Two shards, or a shard and the plan, disagree on the columns of the answer (08P01 would blame the wire: it is 0A000).
    #[error("shards describe the answer differently: column {column} of shard answer {source_index}")]
    Disagreement {
        /// position of the shard's answer in the fan-out
        source_index: usize,
        /// ordinal of the column, from 1; one past the last when the count differs
        column: usize,
    },
    /// A user type's binary form may hold OIDs, and they differ between the shards (0A000).
    #[error("column {column} is of a user type and wanted in binary over several shards")]
    BinaryUserType {
        /// ordinal of the column, from 1
        column: usize,
    },
    /// A column's type has no order that the proxy knows (0A000).
    #[error("cannot merge rows by a value of the type with OID {}", .type_oid.0)]
    NoOrder {
        /// the type
        type_oid: Oid,
    },
    /// A column's type cannot be folded or encoded here (0A000).
    #[error("cannot combine partial results of the type with OID {}", .type_oid.0)]
    NoFold {
        /// the type
        type_oid: Oid,
    },
    /// HAVING compares values of kinds that the proxy doesn't compare (0A000).
    #[error("cannot evaluate HAVING over merged groups: it compares values that are not numbers")]
    Incomparable,
    /// A sum passes the range of its type (22003), with Postgres's own message.
    #[error("{type_name} out of range")]
    OutOfRange {
        /// `bigint` or `integer`
        type_name: &'static str,
    },
    /// Groups that must be sorted in memory are too many (54000).
    #[error("the groups to sort take more than {cap} bytes")]
    GroupsTooLarge {
        /// the bound in bytes
        cap: usize,
    },
    /// Merged groups over which a shard computes the answer are too many (54000).
    #[error("an expression over aggregates of more than {cap} groups")]
    TooManyGroups {
        /// the bound
        cap: u64,
    },
    /// A row would not fit a message.
    #[error("a merged row is too long for a message")]
    RowTooLong,
    /// A shard sent a DataRow that is not what it described (08P01).
    #[error("malformed DataRow: {columns} columns read, {expected} expected")]
    MalformedRow {
        /// columns that could be read
        columns: usize,
        /// columns of the plan
        expected: usize,
    },
    /// A hidden column's bytes are not a value of its type.
    #[error("cannot read a partial result")]
    Value(#[source] ValueError),
    /// Cannot happen.
    #[error("bug in merge: {0}")]
    Bug(&'static str),
}
