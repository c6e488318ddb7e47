//! Does each shard answer?

use std::time::Duration;

use crate::topology::ShardId;

/// The last that is known of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// which
    pub shard: ShardId,
    /// its name
    pub name: String,
    /// `host:port`
    pub address: String,
    /// what the last probe said
    pub state: State,
    /// how long ago it answered last; none: never since start
    pub answered_ago: Option<Duration>,
    /// `server_version`, as it said last
    pub version: Option<String>,
    /// round trip of the last answered probe
    pub round_trip: Option<Duration>,
}

/// Does a shard answer?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// not asked yet
    Unknown,
    /// it answered the last probe
    Up,
    /// it did not; why
    Down(String),
}
