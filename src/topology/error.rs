//! What can be wrong with a declared or stored topology.

/// What can be wrong with a declared or stored topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The stored document can't be read.
    #[error("the stored topology can't be read: {why}")]
    Document {
        /// what the reader found
        why: String,
    },
}
