//! What `EXPLAIN (ROUTE)` and `ROUTE <sql>` show.

/// One row of `EXPLAIN (ROUTE)` and `ROUTE <sql>`: step, shards, reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStep {
    /// what happens: `one shard`, `fan out`, `merge: order by 1`, …
    pub step: String,
    /// names of the shards
    pub shards: Vec<String>,
    /// why: `user(42) → bucket 611`
    pub reason: String,
}
