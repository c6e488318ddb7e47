//! How a block was to end on its participants, and how it has.

use crate::wire::ErrorFields;

/// How a block ends on its participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndHow {
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
}

/// What shards said meanwhile that is the client's.
#[derive(Debug, Default)]
pub struct Heard {
    /// whole NoticeResponse messages
    pub notices: Vec<u8>,
    /// on how many of them COMMIT, one by one, was done
    pub committed: usize,
}

/// The block has ended as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// committed, but these shards have not answered yet: their parts will follow
    pub behind: Vec<String>,
}

/// A block that was to commit has not, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// a shard's own error: all is rolled back
    #[error("a shard's error")]
    Shard {
        /// passed whole
        fields: Box<ErrorFields>,
        /// which, where there were several
        shard: Option<String>,
    },
    /// COMMIT was answered with the tag ROLLBACK
    #[error("the transaction was rolled back")]
    RolledBack,
    /// a recoverer was faster, and has rolled it back
    #[error("the transaction was rolled back by recovery")]
    Overtaken,
    /// a shard was lost before anything was decided: all is rolled back
    #[error("shard {name} was lost before the decision")]
    Lost {
        /// which
        name: String,
        /// what it said last
        said: Option<Box<ErrorFields>>,
    },
    /// a shard was lost while it committed, and nobody could say what became of it
    #[error("shard {name} was lost during COMMIT")]
    Unknown {
        /// which
        name: String,
    },
    /// two shards hold what PREPARE TRANSACTION refuses: all is rolled back
    #[error("shard {name} can't prepare")]
    CannotPrepare {
        /// which
        name: String,
        /// Postgres's words
        why: String,
    },
    /// no random bytes
    #[error(transparent)]
    Entropy(#[from] crate::clock::EntropyError),
    /// what cannot happen
    #[error("{0}")]
    Bug(&'static str),
}
