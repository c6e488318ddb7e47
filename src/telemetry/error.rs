//! What can go wrong: what the crate `prometheus` finds wrong with a definition or a text, and loads that can't be read.

use thiserror::Error;

/// Errors of this room.
#[derive(Debug, Error)]
pub enum Error {
    /// A definition of the table is not acceptable to Prometheus, or appears twice.
    #[error("metric {name} cannot be registered")]
    Definition {
        /// the metric
        name: &'static str,
        /// what the crate says
        #[source]
        source: prometheus::Error,
    },
    /// The text could not be printed.
    #[error("metrics cannot be encoded")]
    Encode(#[source] prometheus::Error),
    /// A load is not the JSON that it should be.
    #[error("a load can't be read")]
    Json(#[source] serde_json::Error),
    /// A load was written by a version that writes it otherwise.
    #[error("a load is of version {0}, which is not known here")]
    Version(u32),
    /// A key in a load is of no known type, or not of its own.
    #[error("a key of type \"{0}\" in a load can't be read")]
    Key(String),
    /// An index in a load is higher than any can be.
    #[error("the index of {0} in a load is out of range")]
    Beyond(&'static str),
}
