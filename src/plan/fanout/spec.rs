//! How the rows of several shards become one answer.

/// How the rows of several shards become one answer; read by room `merge`. See its author's definition.
#[derive(Clone, Debug, Default)]
pub struct MergeSpec {}
