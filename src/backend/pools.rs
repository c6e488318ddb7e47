//! The pools of all shards.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::connect::Connector;
use super::connection::{Backend, Clean};
use super::endpoint::Endpoint;
use super::error::Error;
use super::login::Login;
use super::pool::Pool;

use crate::clock::{Clock, Rng};
use crate::telemetry::{BackendState, Metering};
use crate::topology::ShardId;

/// How large a shard's pool may grow and how long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLimits {
    /// most backends per shard, over all users
    pub size: usize,
    /// most pinned backends per shard, counted apart from `size`
    pub pinned: usize,
    /// after this an idle backend is closed; zero is never
    pub idle_timeout: Duration,
    /// most time for one connect, login included
    pub connect_timeout: Duration,
    /// prepared statements kept per backend
    pub prepared: usize,
}

/// What a pool holds now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolGauge {
    /// which
    pub shard: ShardId,
    /// backends that wait for work
    pub idle: usize,
    /// backends in use, and connects under way
    pub busy: usize,
    /// sessions that wait for a backend
    pub waiting: usize,
    /// pinned backends
    pub pinned: usize,
    /// most backends (idle and busy)
    pub size: usize,
    /// most pinned backends
    pub pinned_max: usize,
}

/// One connected backend, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendGauge {
    /// which
    pub shard: ShardId,
    /// the server's process id
    pub process_id: i32,
    /// the role that it logged in as
    pub user: Arc<str>,
    /// idle, busy or pinned
    pub state: BackendState,
    /// since it was connected
    pub age: Duration,
    /// how long it has been idle; none: it is in use
    pub idle: Option<Duration>,
    /// statements prepared on it; none: it is in use, and only its session knows
    pub prepared: Option<usize>,
}

/// The pools of all shards: one per shard, shared by all users.
#[derive(Debug)]
pub struct Pools {
    clock: Clock,
    rng: Rng,
    metering: Metering,
    /// guards the map only; held for a lookup, never over I/O
    shards: RwLock<BTreeMap<ShardId, Arc<Pool>>>,
}

impl Pools {
    /// Pools for these shards (id, name, endpoint); connects nothing yet.
    pub fn new(
        shards: impl IntoIterator<Item = (ShardId, Arc<str>, Endpoint)>,
        limits: PoolLimits,
        (clock, rng): (Clock, Rng),
        metering: Metering,
    ) -> Pools {
        let pools = Pools {
            clock,
            rng,
            metering,
            shards: RwLock::new(BTreeMap::new()),
        };
        pools.reload(shards, limits);
        pools
    }

    /// Takes over other shards, endpoints or limits. Backends at an endpoint that stays are kept; idle ones elsewhere
    /// are closed, and busy ones there when they are given back.
    pub fn reload(&self, shards: impl IntoIterator<Item = (ShardId, Arc<str>, Endpoint)>, limits: PoolLimits) {
        let mut map = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *map);
        for (shard, name, endpoint) in shards {
            let pool = match old.remove(&shard) {
                Some(pool) if *pool.endpoint() == endpoint && *pool.name() == name => pool,
                other => {
                    if let Some(other) = other {
                        other.retire();
                    }
                    let connector = Connector {
                        shard,
                        endpoint: Arc::new(endpoint),
                        timeout: limits.connect_timeout,
                        prepared: limits.prepared,
                        clock: self.clock,
                        metering: self.metering,
                        rng: self.rng,
                    };
                    Arc::new(Pool::new(name, connector, limits))
                }
            };
            pool.set_limits(limits);
            map.insert(shard, pool);
        }
        drop(map);
        old.into_values().for_each(|pool| pool.retire());
    }

    /// An idle backend of this key, if there is one: equal digest first, any other of the key next. Never waits.
    ///
    /// With another digest the caller replays what differs ([`Backend::digest`], `applied`).
    #[inline]
    pub fn try_checkout(&self, shard: ShardId, login: &Arc<Login>, digest: u64) -> Result<Option<Backend>, Error> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        let pool = shards.get(&shard).ok_or(Error::NoShard { shard })?;
        Ok(pool.try_take(login, digest))
    }

    /// A backend: an idle one, else a new one, else the first that comes free before `deadline`.
    ///
    /// A connect error of this login is returned as it is. Cancel-safe: a dropped wait gives up its turn.
    pub async fn checkout(
        &self,
        shard: ShardId,
        login: &Arc<Login>,
        digest: u64,
        deadline: Instant,
    ) -> Result<Backend, Error> {
        loop {
            let pool = self.pool(shard)?;
            if let Some(backend) = pool.try_take(login, digest) {
                return Ok(backend);
            }
            match pool.take(login, digest, deadline).await {
                // the shard has another address since a reload: wait there
                Err(Error::ShuttingDown) if !Arc::ptr_eq(&pool, &self.pool(shard)?) => (),
                done => return done,
            }
        }
    }

    /// Gives a backend back: to the first who waits, else to the idle ones.
    #[inline]
    pub fn give_back(&self, clean: Clean) {
        super::pool::give_back(clean);
    }

    /// The same for a caller that knows the time.
    #[inline]
    pub fn give_back_at(&self, clean: Clean, now: Instant) {
        super::pool::give_back_at(clean, now);
    }

    /// Notes that a shard was seen failing: its dead idle backends are dropped now.
    pub fn suspect(&self, shard: ShardId) {
        if let Ok(pool) = self.pool(shard) {
            pool.suspect();
        }
    }

    /// Closes what has been idle too long or has died; call about once a second.
    pub fn sweep(&self) {
        self.all().iter().for_each(|pool| pool.sweep(self.clock.now()));
    }

    /// Closes all idle backends; those in use close when they come back if they are older than this call.
    pub fn close_idle(&self) {
        self.all().iter().for_each(|pool| pool.close_idle());
    }

    /// Holds new checkouts back: they wait.
    pub fn pause(&self) {
        self.all().iter().for_each(|pool| pool.pause());
    }

    /// Lets them go on.
    pub fn resume(&self) {
        self.all().iter().for_each(|pool| pool.resume());
    }

    /// Waits until no backend is in use (after [`Pools::pause`], for PAUSE; pinned ones don't count).
    pub async fn wait_unused(&self) {
        for pool in self.all() {
            pool.wait_unused().await;
        }
    }

    /// Closes for good: idle backends now, waiters with an error, others when they come back.
    pub fn drain(&self) {
        self.all().iter().for_each(|pool| pool.retire());
    }

    /// What each pool holds now, in shard order.
    pub fn gauges(&self) -> Vec<PoolGauge> {
        self.all().iter().map(|pool| pool.gauge()).collect()
    }

    /// Every connected backend, by shard and process id. Takes each pool's lock for a copy: for people, not for scrapes.
    pub fn backends(&self) -> Vec<BackendGauge> {
        self.all().iter().flat_map(|pool| pool.backends()).collect()
    }

    #[inline]
    fn pool(&self, shard: ShardId) -> Result<Arc<Pool>, Error> {
        let shards = self.shards.read().unwrap_or_else(PoisonError::into_inner);
        shards.get(&shard).cloned().ok_or(Error::NoShard { shard })
    }

    fn all(&self) -> Vec<Arc<Pool>> {
        self.shards
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }
}
