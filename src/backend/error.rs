//! What can go wrong between the proxy and one shard.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error as ThisError;

use crate::topology::ShardId;
use crate::wire::{ErrorFields, FrameError, ScramError};

/// Trouble with one shard. Cheap to clone: one failure is told to many waiters.
#[derive(Clone, Debug, ThisError)]
pub enum Error {
    /// There is no such shard in the configuration.
    #[error("shard {shard:?} has no address")]
    NoShard {
        /// which
        shard: ShardId,
    },
    /// The connection could not be made (08006).
    #[error("could not connect to {address}: {source}")]
    Connect {
        /// host and port
        address: Arc<str>,
        /// why
        #[source]
        source: Arc<io::Error>,
    },
    /// The connection was not made in time (08006).
    #[error("connecting to {address} took longer than {timeout:?}")]
    ConnectTimeout {
        /// host and port
        address: Arc<str>,
        /// how long was waited
        timeout: Duration,
    },
    /// The server answered the login with an error: it passes as it is.
    #[error("{}", .fields.message())]
    Refused {
        /// as the server sent it
        fields: Arc<ErrorFields>,
    },
    /// The server wants a password, and none is known (28000).
    #[error("{address} asks user \"{user}\" for {method}, but the proxy has no password for it")]
    NeedsPassword {
        /// host and port
        address: Arc<str>,
        /// who logs in
        user: Arc<str>,
        /// what the server wants
        method: &'static str,
    },
    /// The server wants the password in clear over a network (28000).
    #[error("{address} asks for a cleartext password, which is not sent off this machine")]
    Cleartext {
        /// host and port
        address: Arc<str>,
    },
    /// The SCRAM exchange with the server failed (28P01, or 28000 if the server is the impostor).
    #[error("SCRAM with {address} failed: {source}")]
    Scram {
        /// host and port
        address: Arc<str>,
        /// how
        #[source]
        source: ScramError,
    },
    /// The server sent something that isn't the protocol (08P01).
    #[error("protocol violation by {address}: {source}")]
    Protocol {
        /// host and port
        address: Arc<str>,
        /// what
        #[source]
        source: FrameError,
    },
    /// The server sent a message that has no place there (08P01).
    #[error("unexpected message of type {tag:#04x} from {address}")]
    Unexpected {
        /// host and port
        address: Arc<str>,
        /// its type byte
        tag: u8,
    },
    /// The server closed the connection (08006).
    #[error("{address} closed the connection")]
    Closed {
        /// host and port
        address: Arc<str>,
    },
    /// Reading or writing failed (08006).
    #[error("connection to {address} broke: {source}")]
    Io {
        /// host and port
        address: Arc<str>,
        /// why
        #[source]
        source: Arc<io::Error>,
    },
    /// No backend became free in time (53300).
    #[error("no connection to shard \"{shard}\" became free within {waited:?}: all {size} are in use")]
    CheckoutTimeout {
        /// shard's name
        shard: Arc<str>,
        /// how long was waited
        waited: Duration,
        /// the pool's size
        size: usize,
    },
    /// As many sessions are pinned as may be (53300).
    #[error("shard \"{shard}\" already has {limit} sessions pinned to a connection of their own")]
    PinnedFull {
        /// shard's name
        shard: Arc<str>,
        /// `pool.pinned`
        limit: usize,
    },
    /// The pools are being closed (57P01).
    #[error("the proxy is shutting down")]
    ShuttingDown,
    /// No random bytes (58000).
    #[error("no random bytes: {0}")]
    Entropy(Arc<crate::clock::EntropyError>),
    /// What can't happen (XX000).
    #[error("internal error: {0}")]
    Bug(&'static str),
}

impl Error {
    /// Whether this says that the shard as a whole can't be reached now, rather than this login.
    pub fn is_shard_down(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::ConnectTimeout { .. } | Error::Closed { .. } | Error::Io { .. } => true,
            Error::Refused { fields } => matches!(fields.code().as_str(), "57P01" | "57P02" | "57P03"),
            Error::NoShard { .. }
            | Error::NeedsPassword { .. }
            | Error::Cleartext { .. }
            | Error::Scram { .. }
            | Error::Protocol { .. }
            | Error::Unexpected { .. }
            | Error::CheckoutTimeout { .. }
            | Error::PinnedFull { .. }
            | Error::ShuttingDown
            | Error::Entropy(_)
            | Error::Bug(_) => false,
        }
    }
}
