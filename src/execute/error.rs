//! What can end a fan-out early.

use crate::execute::Interrupt;
use crate::merge::MergeError;
use crate::topology::ShardId;
use crate::wire::{ErrorFields, FrameError};

/// Why a fan-out ended without its whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError {
    /// a shard raised an error
    #[error("shard {shard:?} raised an error")]
    Shard {
        /// which
        shard: Option<ShardId>,
        /// its fields
        fields: Box<ErrorFields>,
    },
    /// a shard's connection ended
    #[error("shard {shard:?} ended the connection")]
    Lost {
        /// which
        shard: Option<ShardId>,
        /// what it said last
        said: Option<Box<ErrorFields>>,
    },
    /// a shard sent what the protocol doesn't allow there
    #[error("shard {shard:?} sent an unexpected message")]
    Unexpected {
        /// which
        shard: Option<ShardId>,
    },
    /// a shard sent bytes that are no frame
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// the rows can't be merged
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// cancelled, or the client has gone
    #[error("interrupted")]
    Interrupted(Interrupt),
    /// shards that should have done the same did not
    #[error("shards {first:?} and {other:?} did not do the same")]
    Differs {
        /// the one that was first
        first: ShardId,
        /// the one that differs
        other: ShardId,
    },
    /// a row can't be given in the form that was asked for
    #[error("a row can't be given in this form")]
    Form,
    /// the shards' snapshots could not be made to agree in time
    #[error("no consistent snapshot")]
    NoSnapshot,
    /// what cannot happen
    #[error("bug in execute: {0}")]
    Bug(&'static str),
}
