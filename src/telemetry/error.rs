//! What can go wrong with metrics: only what the crate `prometheus` finds wrong with a definition or a text.

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
}
