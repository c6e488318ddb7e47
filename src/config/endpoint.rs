//! The address of one Postgres database, from a `postgres://` URL.

use crate::config::Secret;

/// Where and as whom to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// name or address
    pub host: String,
    /// TCP port
    pub port: u16,
    /// the control role
    pub user: String,
    /// its password
    pub password: Option<Secret>,
    /// on that server
    pub database: String,
}
