//! Where a shard's database is.

use std::sync::Arc;

/// Host, port and database of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// name or address
    pub host: Arc<str>,
    /// TCP port
    pub port: u16,
    /// database
    pub database: Arc<str>,
}

impl Endpoint {
    /// An endpoint.
    pub fn new(host: &str, port: u16, database: &str) -> Endpoint {
        Endpoint {
            host: host.into(),
            port,
            database: database.into(),
        }
    }

    /// `host:port`, for messages.
    pub fn address(&self) -> Arc<str> {
        format!("{}:{}", self.host, self.port).into()
    }
}
