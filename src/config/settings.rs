//! The checked configuration: what the other rooms read.
//!
//! Holds: every default is filled in; names of shards and keyspaces that occur here exist; secrets never print.

use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::config::Endpoint;
use crate::topology::{Declaration, QualifiedName};

/// A configuration that has passed every check that needs no server.
#[derive(Clone, Debug)]
pub struct Settings {
    /// addresses of the Postgres protocol, at least one
    pub listen: Vec<SocketAddr>,
    /// address of `/metrics`, `/healthz`, `/readyz`; none: no HTTP
    pub http: Option<SocketAddr>,
    /// who may come in, and as whom
    pub auth: Auth,
    /// the name that clients connect to
    pub database: String,
    /// backends per shard
    pub pool: Pool,
    /// bounds per proxy and per client
    pub limits: Limits,
    /// whether leading comments are obeyed
    pub directives: Directives,
    /// whether moves and splits are proposed
    pub rebalancer: Rebalancer,
    /// in the order of the file, at least one, names and addresses distinct
    pub shards: Vec<ShardSettings>,
    /// what the topology is to be
    pub declared: Declaration,
    /// trigger functions declared `keeps_key`: BEFORE ROW triggers that leave the key alone (they are `local` too)
    pub keeps_key: BTreeSet<QualifiedName>,
}

/// Authentication of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// how a client proves who it is
    pub method: Method,
    /// path as written, relative to the configuration file; always there under SCRAM
    pub users_file: Option<String>,
    /// the role that statements run under
    pub role: Role,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// it need not: loopback only
    Trust,
    /// SCRAM-SHA-256 against the users file
    Scram,
}

/// The role that a client's statements run under on the shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// the client's own
    Own,
    /// one for all
    Shared {
        /// its name
        name: String,
        /// its password on the shards
        password: Option<Secret>,
    },
}

/// A password; prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text that must not be printed.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text itself, for the login that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// Backends per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// the most backends on one shard, over all users
    pub size: u32,
    /// when a backend goes back
    pub mode: PoolMode,
    /// how long a statement waits for a backend
    pub checkout_timeout: Duration,
    /// how long a backend may lie idle
    pub idle_timeout: Duration,
    /// the most backends of a shard that may be pinned to sessions at once, apart from `size`
    pub pinned: u32,
}

/// When a backend goes back to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolMode {
    /// at the end of a transaction
    Transaction,
}

/// Bounds per proxy and per client; a zero duration is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// sessions at once
    pub clients: u32,
    /// of one statement
    pub statement_timeout: Duration,
    /// between two statements of a transaction
    pub idle_in_transaction_timeout: Duration,
    /// from accept to the first ReadyForQuery
    pub login_timeout: Duration,
}

/// Do leading `/* shardgate: … */` comments mean anything?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directives {
    /// a comment means nothing
    Off,
    /// they are obeyed
    Comments,
}

/// Are moves and splits proposed?
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rebalancer {
    /// nothing is
    Off,
    /// they are, for shards used above this part of their capacity
    Propose {
        /// 0.1 to 0.95
        threshold: f64,
    },
}

/// One shard as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardSettings {
    /// unique
    pub name: String,
    /// its primary; the user in it is the control role
    pub primary: Endpoint,
    /// share of the buckets
    pub weight: u32,
    /// backends that it can keep busy; none: the CPUs of this machine for a shard on it, else the pool's size
    pub capacity: Option<f64>,
    /// for placement rules
    pub labels: BTreeMap<String, String>,
}
