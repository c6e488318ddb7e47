//! What can be wrong with a trace.

use thiserror::Error;

/// A line of a trace that can't be read, or contradicts those before it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct TraceError {
    /// counted from 1
    pub line: usize,
    /// why
    pub fault: TraceFault,
}

/// Why a line is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TraceFault {
    /// there is no line at all
    #[error("the trace is empty; its first line must be a header: {{\"trace\":1, …}}")]
    Empty,
    /// neither header nor unit nor tick
    #[error("expected an object with \"trace\", \"unit\" or \"tick\"; {0}")]
    Unreadable(String),
    /// the first line is something else
    #[error("the first line must be a header: {{\"trace\":1, …}}")]
    HeaderMissing,
    /// a header that isn't the first line
    #[error("a second header")]
    HeaderTwice,
    /// of a later program
    #[error("version {0} of the format; this program reads 1")]
    VersionUnknown(u64),
    /// the stored topology can't be read
    #[error("the topology can't be read: {0}")]
    Topology(String),
    /// not one per shard
    #[error("{field} lists {given} numbers for {shards} shards")]
    ShardsMismatch {
        /// which list
        field: &'static str,
        /// its length
        given: usize,
        /// of the topology
        shards: usize,
    },
    /// negative, infinite, or zero where that means nothing
    #[error("{field} is {value}; it must be a number {wanted}")]
    NumberUnsuited {
        /// which
        field: &'static str,
        /// as read
        value: String,
        /// what would do
        wanted: &'static str,
    },
    /// no such keyspace
    #[error("keyspace \"{0}\" isn't in the topology")]
    KeyspaceUnknown(String),
    /// no such bucket
    #[error("keyspace \"{keyspace}\" has no bucket {bucket}")]
    BucketUnknown {
        /// whose
        keyspace: String,
        /// which
        bucket: usize,
    },
    /// not a value of the keyspace's type
    #[error("key \"{key}\" can't be read as {key_type}: {why}")]
    KeyUnreadable {
        /// as written
        key: String,
        /// of the keyspace
        key_type: &'static str,
        /// what is wrong
        why: String,
    },
    /// the key has no place
    #[error("key \"{key}\" lies nowhere in keyspace \"{keyspace}\" (beyond its ranges, or of no listed category)")]
    Nowhere {
        /// the key
        key: String,
        /// its keyspace
        keyspace: String,
    },
    /// units and ticks are numbered from 0 without gaps
    #[error("{what} {given}, expected {expected}: they are numbered from 0 without gaps")]
    NumberUnexpected {
        /// unit or tick
        what: &'static str,
        /// as written
        given: usize,
        /// what should stand there
        expected: usize,
    },
    /// a tick names a unit that isn't there
    #[error("unit {0} isn't declared before this tick")]
    UnitUnknown(usize),
    /// units of a tick ascend
    #[error("unit {0} stands after one that isn't lower; the units of a tick ascend")]
    UnitOutOfOrder(usize),
    /// too much
    #[error("more than {max} {what}")]
    TooMany {
        /// units, ticks, minutes …
        what: &'static str,
        /// the bound
        max: usize,
    },
    /// a header without ticks
    #[error("there is no tick")]
    NoTicks,
    /// a synthetic trace is one line
    #[error("a synthetic trace is its header alone")]
    SyntheticAndMore,
    /// a parameter that the kind can't take
    #[error("{parameter} is {given}; {wanted}")]
    ParameterUnsuited {
        /// which
        parameter: &'static str,
        /// as given
        given: String,
        /// what would do
        wanted: &'static str,
    },
    /// the topology of a synthetic trace can't be made
    #[error("the cluster of this trace can't be made: {0}")]
    Synthetic(String),
}

impl TraceFault {
    /// At this line, counted from 1.
    pub(super) fn at(self, line: usize) -> TraceError {
        TraceError { line, fault: self }
    }
}
