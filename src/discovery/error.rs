//! What can go wrong while the picture is read or changed.

/// Failures of this room; a finding about the shards is no failure.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// the shard doesn't answer
    #[error("shard \"{shard}\" ({address}) is unreachable: {reason}")]
    Unreachable {
        /// its name
        shard: String,
        /// host:port
        address: String,
        /// what was tried and what came back
        reason: String,
    },
    /// the shard answered with an error
    #[error("shard \"{shard}\" refused a statement of the control role: {message}")]
    Server {
        /// its name
        shard: String,
        /// SQLSTATE, or empty
        code: String,
        /// its message
        message: String,
    },
    /// an answer has another shape than the statement asks for
    #[error("shard \"{shard}\" answered something unexpected: {what}")]
    Unexpected {
        /// its name
        shard: String,
        /// what
        what: String,
    },
    /// the stored topology and the declared one contradict each other
    #[error("the configuration contradicts the stored topology: {0}")]
    Contradiction(String),
    /// there is no usable topology and none can be made
    #[error("no topology: {0}")]
    NoTopology(String),
    /// with the home shard down nothing can be changed
    #[error("the home shard \"{shard}\" doesn't answer, so {what} must wait")]
    HomeDown {
        /// its name
        shard: String,
        /// what was asked
        what: &'static str,
    },
    /// the check found errors; the findings say which
    #[error("the shards don't fit the configuration: {} findings", .0.len())]
    Findings(Vec<crate::discovery::Finding>),
    /// a symbol that the lookup table doesn't know
    #[error("key \"{key}\" of keyspace \"{keyspace}\" has no category: it isn't in the lookup table")]
    UnknownKey {
        /// keyspace
        keyspace: String,
        /// key
        key: String,
    },
    /// a sequence gives no value: the server's own words
    #[error("{message}")]
    Sequence {
        /// SQLSTATE
        code: String,
        /// its message
        message: String,
    },
    /// what cannot happen
    #[error("internal error: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether a lock was waited for in vain.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Error::Server { code, .. } if code == "55P03")
    }
}
