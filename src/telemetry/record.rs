//! The calls that other rooms make: one per event.
//!
//! Why: an event names what happened; which series it moves is decided here, next to the table.
//! Holds: [`Telemetry::statement`] allocates nothing; whoever reads sees every statement that has ended.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{Registry, TextEncoder};

use super::error::Error;
use super::labels::{
    BackendState, CacheUse, CancelOutcome, ClientState, Direction, ErrorOrigin, LoginOutcome, Outcome, Phase,
    Recovered, ReloadOutcome, StatementKind, TransactionOutcome, error_class,
};
use super::load::{LoadSnapshot, ShardLoad};
use super::notebook::Notebook;
use super::series::{Names, Series, SeriesCollector};
use super::table::{BOUNDS_NANOS, Id, NO_SHARD, RATIO_ONE, TOP_BUCKETS, definitions};
use crate::topology::{BucketId, Epoch, Keyspace, ShardId, Topology};

/// All metrics of one proxy. Share it in an `Arc`; every method takes `&self`.
pub struct Telemetry {
    series: Vec<Arc<Series>>,
    names: Arc<Names>,
    registry: Registry,
    /// ends of statements that aren't counted yet
    ended: Notebook<StatementEvent>,
}

/// What is known when the proxy starts.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// this build's
    pub version: &'a str,
    /// ids of all refusals that the code knows
    pub constructs: &'a [&'static str],
    /// `limits.clients`
    pub clients_max: u64,
}

/// One statement has ended.
#[derive(Clone, Copy, Debug)]
pub struct StatementEvent {
    /// what became of it
    pub kind: StatementKind,
    /// where it ran; `None` for several shards or none
    pub shard: Option<ShardId>,
    /// how it ended
    pub outcome: Outcome,
    /// whether its shape was known
    pub cache: CacheUse,
    /// from its arrival to the last byte of its answer
    pub elapsed: Duration,
    /// of that, waiting for backends
    pub queue: Duration,
    /// of that, while a backend was occupied; `None`: not measured, so its time isn't told apart
    pub backend: Option<Duration>,
    /// as its command tag counts them
    pub rows: u64,
    /// bytes sent to shards for it
    pub bytes_to_shard: u64,
    /// bytes that shards answered
    pub bytes_from_shard: u64,
}

/// One moment of the pool of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolReading {
    /// `pool.size`: of idle and busy ones
    pub max: u64,
    /// `pool.pinned`: of pinned ones
    pub pinned_max: u64,
    /// in the pool, known clean
    pub idle: u64,
    /// out with sessions, or being opened for one
    pub busy: u64,
    /// staying with a session
    pub pinned: u64,
    /// sessions that wait
    pub waiters: u64,
}

/// Sums since the start for one plan kind and shard.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementStats {
    /// what became of the statements
    pub kind: StatementKind,
    /// name of the shard, or `*` for several or none
    pub shard: String,
    /// how many ended well
    pub done: u64,
    /// how many ended with an error
    pub failed: u64,
    /// how many were refused
    pub refused: u64,
    /// how many were cancelled
    pub cancelled: u64,
    /// rows returned or changed
    pub rows: u64,
    /// all time together
    pub elapsed: Duration,
    /// upper bound of the histogram's bucket that holds the median; `None` beyond the last bound or without statements
    pub p50: Option<Duration>,
    /// the same for 99 of 100
    pub p99: Option<Duration>,
}

// === impl Telemetry ===

impl Telemetry {
    /// All series at zero. Shards are named later by [`Self::name_shards`].
    pub fn new(start: Start<'_>) -> Result<Telemetry, Error> {
        let names = Arc::new(Names::new(start.constructs, start.version));
        let registry = Registry::new();
        let mut series = Vec::with_capacity(definitions().len());
        for definition in definitions() {
            let one = Arc::new(Series::new(definition, Arc::clone(&names)));
            SeriesCollector::new(Arc::clone(&one))
                .and_then(|collector| registry.register(Box::new(collector)))
                .map_err(|source| Error::Definition {
                    name: definition.name,
                    source,
                })?;
            series.push(one);
        }
        let telemetry = Telemetry {
            series,
            names,
            registry,
            ended: Notebook::new(),
        };
        telemetry.set(Id::BuildInfo, &[0], 1);
        telemetry.set(Id::ClientsMax, &[], start.clients_max);
        Ok(telemetry)
    }

    /// Names the topology's shards, in the order of their ids (an empty name for a retired one, whose series go): at the
    /// start and after each change of the topology.
    pub fn name_shards<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.names.name_shards(names.into_iter().map(str::to_owned));
    }

    /// A statement has ended.
    pub fn statement(&self, event: &StatementEvent) {
        self.ended.write(*event, |event| self.count(&event));
    }

    /// Counts what was only written down.
    fn settle(&self) {
        self.ended.settle(|event| self.count(&event));
    }

    fn count(&self, event: &StatementEvent) {
        let (kind, shard) = (event.kind.index(), place(event.shard));
        self.add(Id::Statements, &[kind, shard, event.outcome.index()], 1);
        if let Some(series) = self.series.get(Id::StatementSeconds as usize) {
            series.observe(&[kind, shard], nanos(event.elapsed));
        }
        if let Some(series) = self.series.get(Id::StatementPhaseSeconds as usize)
            && let Some(backend) = event.backend
        {
            let proxy = event.elapsed.saturating_sub(event.queue).saturating_sub(backend);
            series.observe(&[kind, Phase::Proxy.index()], nanos(proxy));
            series.observe(&[kind, Phase::Queue.index()], nanos(event.queue));
            series.observe(&[kind, Phase::Backend.index()], nanos(backend));
        }
        self.add(Id::PlanCacheLookups, &[event.cache.index()], 1);
        if event.rows > 0 {
            self.add(Id::StatementRows, &[kind, shard], event.rows);
        }
        if event.bytes_to_shard > 0 {
            self.add(
                Id::RelayBytes,
                &[shard, Direction::ToShard.index()],
                event.bytes_to_shard,
            );
        }
        if event.bytes_from_shard > 0 {
            self.add(
                Id::RelayBytes,
                &[shard, Direction::FromShard.index()],
                event.bytes_from_shard,
            );
        }
    }

    /// A statement was refused; `construct` is `plan::Refusal::id`.
    pub fn refusal(&self, construct: &str) {
        self.add(Id::Refusals, &[self.names.construct(construct)], 1);
    }

    /// An error was sent to a client.
    pub fn error(&self, sqlstate: &str, origin: ErrorOrigin) {
        self.add(Id::Errors, &[error_class(sqlstate), origin.index()], 1);
    }

    /// A client's attempt to log in has ended.
    pub fn login(&self, outcome: LoginOutcome) {
        self.add(Id::Logins, &[outcome.index()], 1);
    }

    /// A cancel request came.
    pub fn cancel(&self, outcome: CancelOutcome) {
        self.add(Id::Cancels, &[outcome.index()], 1);
    }

    /// A reload has ended.
    pub fn reload(&self, outcome: ReloadOutcome) {
        self.add(Id::Reloads, &[outcome.index()], 1);
    }

    /// The commit of a transaction that wrote on several shards has ended.
    pub fn transaction(&self, outcome: TransactionOutcome) {
        self.add(Id::Transactions, &[outcome.index()], 1);
    }

    /// Recovery has finished a prepared part.
    pub fn recovered(&self, how: Recovered) {
        self.add(Id::TransactionsRecovered, &[how.index()], 1);
    }

    /// Sets how many prepared parts a shard holds.
    pub fn set_prepared_parts(&self, shard: ShardId, count: u64) {
        self.set(Id::TransactionParts, &[shard.index()], count);
    }

    /// A session got a backend, or gave up, after `waited`.
    pub fn checkout(&self, shard: ShardId, waited: Duration) {
        if let Some(series) = self.series.get(Id::PoolCheckoutSeconds as usize) {
            series.observe(&[shard.index()], nanos(waited));
        }
    }

    /// Sets the gauges of one shard's pool.
    pub fn set_pool(&self, shard: ShardId, reading: PoolReading) {
        let shard = shard.index();
        self.set(Id::PoolBackends, &[shard, BackendState::Idle.index()], reading.idle);
        self.set(Id::PoolBackends, &[shard, BackendState::Busy.index()], reading.busy);
        self.set(Id::PoolBackends, &[shard, BackendState::Pinned.index()], reading.pinned);
        self.set(Id::PoolBackendsMax, &[shard], reading.max);
        self.set(Id::PoolPinnedMax, &[shard], reading.pinned_max);
        self.set(Id::PoolWaiters, &[shard], reading.waiters);
    }

    /// Sets whether a shard answers.
    pub fn set_shard_up(&self, shard: ShardId) {
        self.set(Id::ShardUp, &[shard.index()], 1);
    }

    /// Sets that a shard doesn't answer.
    pub fn set_shard_down(&self, shard: ShardId) {
        self.set(Id::ShardUp, &[shard.index()], 0);
    }

    /// Sets how many clients are in a state.
    pub fn set_clients(&self, state: ClientState, count: u64) {
        self.set(Id::Clients, &[state.index()], count);
    }

    /// Sets how many clients may be connected, after a reload.
    pub fn set_clients_max(&self, count: u64) {
        self.set(Id::ClientsMax, &[], count);
    }

    /// Sets the epoch that statements are planned with.
    pub fn set_epoch(&self, epoch: Epoch) {
        self.set(Id::Epoch, &[], epoch.get());
    }

    /// Sets that PAUSE holds statements back.
    pub fn set_paused(&self) {
        self.set(Id::Paused, &[], 1);
    }

    /// Sets that statements run.
    pub fn set_resumed(&self) {
        self.set(Id::Paused, &[], 0);
    }

    /// Sets the time since the start.
    pub fn set_uptime(&self, uptime: Duration) {
        self.set(Id::Uptime, &[], nanos(uptime));
    }

    /// Sets the gauges of load: every shard's, and those of the buckets that are busiest now.
    pub fn set_load(&self, topology: &Topology, load: &LoadSnapshot) {
        for shard in &load.shards {
            let at = shard.shard.index();
            let unattributed = ShardLoad {
                busy: shard.unattributed,
                ..shard.clone()
            };
            let windows = shard.utilisation().to_array().into_iter();
            for (window, (all, part)) in windows.zip(unattributed.utilisation().to_array()).enumerate() {
                self.set(Id::ShardUtilisation, &[at, window], millionths(all));
                self.set(Id::ShardUnattributed, &[at, window], millionths(part));
            }
        }
        let mut buckets = busiest(topology, load);
        let loaded = buckets.iter().take(TOP_BUCKETS).take_while(|bucket| bucket.busy > 0.0);
        let others = buckets.split_off(loaded.count());
        for (place, bucket) in buckets.iter().enumerate() {
            self.set(Id::BucketBusy, &[place], millionths(bucket.busy));
            self.set(Id::BucketSize, &[place], bucket.size);
        }
        let busy: f64 = others.iter().map(|bucket| bucket.busy).sum();
        let size = others.iter().map(|bucket| bucket.size);
        self.set(Id::BucketBusy, &[TOP_BUCKETS], millionths(busy));
        self.set(Id::BucketSize, &[TOP_BUCKETS], size.fold(0, u64::saturating_add));
        let names = buckets.iter().map(|bucket| {
            let name = bucket.keyspace.bucket(bucket.id).map(|bucket| bucket.name);
            format!("{}/{}", bucket.keyspace.name(), name.unwrap_or_default())
        });
        self.names.name_top_buckets(names.collect());
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> Result<String, Error> {
        self.settle();
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .map_err(Error::Encode)
    }

    /// Sums per plan kind and shard, those without a statement left out; in the order of the enum, then of shards.
    pub fn statements(&self) -> Vec<StatementStats> {
        self.settle();
        let shards = self.names.shards();
        let mut all = Vec::new();
        for kind in StatementKind::ALL {
            let named = shards.iter().enumerate().map(|(index, name)| (index, name.as_str()));
            for (place, name) in named.chain([(NO_SHARD, "*")]) {
                all.extend(self.statements_of(*kind, place, name));
            }
        }
        all
    }

    fn statements_of(&self, kind: StatementKind, place: usize, shard: &str) -> Option<StatementStats> {
        let of = |outcome: Outcome| self.get(Id::Statements, &[kind.index(), place, outcome.index()]);
        let (done, failed) = (of(Outcome::Done), of(Outcome::Failed));
        let (refused, cancelled) = (of(Outcome::Refused), of(Outcome::Cancelled));
        if done + failed + refused + cancelled == 0 {
            return None;
        }
        let (buckets, sum) = self
            .series
            .get(Id::StatementSeconds as usize)?
            .buckets(&[kind.index(), place]);
        Some(StatementStats {
            kind,
            shard: shard.to_owned(),
            done,
            failed,
            refused,
            cancelled,
            rows: self.get(Id::StatementRows, &[kind.index(), place]),
            elapsed: Duration::from_nanos(sum),
            p50: quantile(&buckets, 50),
            p99: quantile(&buckets, 99),
        })
    }

    #[inline]
    fn add(&self, id: Id, at: &[usize], amount: u64) {
        if let Some(series) = self.series.get(id as usize) {
            series.add(at, amount);
        }
    }

    fn set(&self, id: Id, at: &[usize], value: u64) {
        if let Some(series) = self.series.get(id as usize) {
            series.set(at, value);
        }
    }

    fn get(&self, id: Id, at: &[usize]) -> u64 {
        self.series.get(id as usize).map_or(0, |series| series.get(at))
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry")
            .field("series", &self.series.len())
            .finish_non_exhaustive()
    }
}

/// A bucket as its gauges want it.
struct Gauged<'a> {
    keyspace: &'a Keyspace,
    id: BucketId,
    /// share of its shard's capacity
    busy: f64,
    size: u64,
}

/// Every bucket, the busiest first.
fn busiest<'a>(topology: &'a Topology, load: &LoadSnapshot) -> Vec<Gauged<'a>> {
    let keyspaces = load.keyspaces.iter();
    let described = keyspaces.filter_map(|keyspace| Some((topology.keyspace(keyspace.keyspace)?, keyspace)));
    let buckets = described.flat_map(|(keyspace, measured)| {
        measured.buckets.iter().filter_map(move |bucket| {
            let capacity = load.shards.get(keyspace.owner(bucket.bucket)?.index())?.capacity;
            Some(Gauged {
                keyspace,
                id: bucket.bucket,
                busy: if capacity > 0.0 {
                    bucket.busy().minute / capacity
                } else {
                    0.0
                },
                size: bucket.size_bytes.unwrap_or(0),
            })
        })
    });
    let mut buckets: Vec<Gauged<'_>> = buckets.collect();
    buckets.sort_by(|a, b| b.busy.total_cmp(&a.busy));
    buckets
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float is bounded by the integer's ends"
)]
fn millionths(ratio: f64) -> u64 {
    (ratio * RATIO_ONE).round() as u64
}

fn place(shard: Option<ShardId>) -> usize {
    shard.map_or(NO_SHARD, ShardId::index)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Upper bound of the bucket that holds the `percent`-th observation.
fn quantile(buckets: &[u64], percent: u64) -> Option<Duration> {
    let count: u64 = buckets.iter().sum();
    let rank = count.saturating_mul(percent).div_ceil(100).max(1);
    let mut seen = 0;
    BOUNDS_NANOS.iter().zip(buckets).find_map(|(bound, in_bucket)| {
        seen += in_bucket;
        (seen >= rank).then(|| Duration::from_nanos(*bound))
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
