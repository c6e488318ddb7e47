//! *Talk to one shard:* connect, log in, pool, prepared statements, cancel, "known clean".
//!
//! Why raw connections: the data path forwards bytes, and a client library re-encodes. Why a pool of our own: one count
//! per shard over all users, FIFO waiters, eviction of another user's idle connection, connect errors handed to the
//! waiter as they are. `tokio-postgres` and `bb8` serve the control plane only, through [`Control`].
//!
//! Holds: a backend comes back to its pool only as a [`Clean`] one; whatever else happens to a [`Backend`], dropping it
//! closes its socket, frees its place and wakes a waiter.
//!
//! Absent: plans, buckets, clients.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod error;
mod endpoint;
mod login;
mod busy;
mod timers;
mod link;
mod prepared;
mod cancel;
mod connection;
mod connect;
mod circuit;
mod slot;
mod state;
mod pool;
mod pools;
mod control;
mod copy_in;

pub use self::cancel::{CancelTarget, cancel};
pub use self::connect::{Connector, connect};
pub use self::connection::{Backend, Clean, Notified, Reuse};
pub use self::control::{Control, ControlClient, ControlError, ControlStatement, Row, SimpleQueryMessage, ToSql, Type};
pub use self::copy_in::CopyIn;
pub use self::endpoint::Endpoint;
pub use self::error::Error;
pub use self::link::Link;
pub use self::login::{Login, Secret};
pub use self::pools::{BackendGauge, PoolGauge, PoolLimits, Pools};
pub use self::prepared::Prepared;
