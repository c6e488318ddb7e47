//! Where the room reads from and what it may set in motion.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::registry::Registry;
use crate::backend::{BackendGauge, PoolGauge};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::discovery::{Finding, Health, Proposals};
use crate::plan::{Refusal, RouteStep};
use crate::telemetry::{LoadSnapshot, Telemetry, Week};
use crate::topology::Topology;

/// A future that a source answers with.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The proxy's handles, as this room needs them. Reads are cheap and never wait; the binary implements it.
pub trait Sources: Send + Sync + 'static {
    /// Topology and catalog of one moment; `None` before the first.
    fn view(&self) -> Option<View>;
    /// The last that is known of every shard, in shard order.
    fn health(&self) -> Vec<Health>;
    /// One reading per shard's pool.
    fn pools(&self) -> Vec<PoolGauge>;
    /// Every connected backend.
    fn backends(&self) -> Vec<BackendGauge>;
    /// The settings in force.
    fn settings(&self) -> Arc<Settings>;
    /// Where sessions enrol.
    fn registry(&self) -> &Registry;
    /// What was counted.
    fn telemetry(&self) -> &Telemetry;
    /// The load of all shards and buckets, all proxies together; `None` before there is a topology.
    fn load(&self) -> Option<Arc<LoadSnapshot>>;
    /// Proxies whose measurements that load is made of, this one among them.
    fn load_proxies(&self) -> usize;
    /// What the hours of the week usually bring; empty before home has been asked.
    fn week(&self) -> Arc<Week>;
    /// When the proxy started.
    fn started(&self) -> Instant;
    /// Now.
    fn now(&self) -> Instant;
    /// Plans a statement without running it; the steps of `EXPLAIN (ROUTE)`. Facts may be asked of a shard.
    fn route<'a>(&'a self, sql: &'a str) -> Pending<'a, Result<Vec<RouteStep>, Refusal>>;
    /// Reads the configuration again; an `Err` has a line per problem, and the old one stays in force.
    fn reload(&self) -> Pending<'_, Result<Reloaded, Vec<String>>>;
    /// Transactions over several shards that are prepared somewhere now, the oldest first; shards are asked.
    fn transactions(&self) -> Pending<'_, Vec<TransactionRow>>;
    /// Ends one by hand: how many parts were finished, or why none was.
    fn resolve<'a>(&'a self, gid: &'a str, how: Resolution) -> Pending<'a, Result<usize, String>>;
    /// Proposals and findings of the whole cluster, as home has them; an `Err` says why they can't be told.
    fn proposals(&self) -> Pending<'_, Result<Proposals, String>>;
    /// Judges load now and stores what is proposed; then as [`Sources::proposals`].
    fn propose(&self) -> Pending<'_, Result<Proposals, String>>;
    /// Checks the configuration in force against the live shards.
    fn check(&self) -> Pending<'_, Vec<Finding>>;
}

/// One row of SHOW TRANSACTIONS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionRow {
    /// of one of its parts: names the transaction for RESOLVE
    pub gid: String,
    /// how far it is
    pub state: TransactionState,
    /// the shards that hold a part, by name
    pub shards: Vec<String>,
    /// since its oldest part was prepared
    pub age: Duration,
    /// the shard whose decision counts
    pub decided_on: String,
}

/// How far a prepared transaction is, as its decision shard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// nothing is decided, or the shard doesn't answer
    Prepared,
    /// it is committed: parts that are left will be
    Committing,
    /// it is rolled back: parts that are left will be
    RollingBack,
}

impl TransactionState {
    /// As SHOW TRANSACTIONS writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            TransactionState::Prepared => "prepared",
            TransactionState::Committing => "committing",
            TransactionState::RollingBack => "rolling back",
        }
    }
}

/// What RESOLVE does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// COMMIT PREPARED
    Commit,
    /// ROLLBACK PREPARED
    Rollback,
}

/// Topology and catalog of one moment (both out of one `plan::Snapshot`).
#[derive(Clone, Debug)]
pub struct View {
    /// where rows live
    pub topology: Arc<Topology>,
    /// what tables look like
    pub catalog: Arc<Catalog>,
}

/// A reload that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// the epoch now in force
    pub epoch: u64,
    /// what changed and what to know about it, one line each
    pub notes: Vec<String>,
}
