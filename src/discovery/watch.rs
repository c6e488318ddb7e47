//! The loops that keep picture and health current: one probe per shard and second, one reader for all.
//!
//! Why the probe asks both: a shard's health and the fingerprint of its system catalogs come in one round trip. Holds: a
//! change behind the proxy's back is seen within a period and a read; a dead shard delays nobody else; the old picture
//! serves until the new one is whole.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::discovery::catalog_sql::{ROLES, SERVER};
use crate::discovery::cells::Cells;
use crate::discovery::fingerprint::{self, Fingerprint};
use crate::discovery::open::{Inner, Live};
use crate::discovery::reach::{Reach, Row};
use crate::discovery::shard_catalog::{self, ShardCatalog};
use crate::discovery::stage::by_index;
use crate::discovery::store;
use crate::discovery::together::together;
use crate::discovery::{Discovery, Error};
use crate::topology::{Epoch, ShardId, Topology};

/// How often each shard is asked.
const PERIOD: Duration = Duration::from_secs(1);
/// A shard that doesn't answer within this is down.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

impl Discovery {
    /// Keeps the picture and the health current until the future is dropped: the owner awaits it in a task.
    pub async fn run(&self) {
        loop {
            let mut generation = self.inner.generation.subscribe();
            let live = self.inner.live();
            let mut tasks = JoinSet::new();
            for (index, reach) in by_index(&live.reaches, &live.topology).into_iter().enumerate() {
                if let (Some(shard), Some(reach)) = (ShardId::new(index), reach) {
                    // A connection of its own: a long read must not look like a dead shard.
                    let probe = reach.twin();
                    tasks.spawn(probe_forever(Arc::clone(&self.inner), shard, probe));
                }
            }
            tasks.spawn(refresh_forever(Arc::clone(&self.inner)));
            drop(live);
            if generation.changed().await.is_err() {
                return;
            }
        }
    }

    /// Counts reloads, each of which may have brought shards.
    pub fn generations(&self) -> watch::Receiver<u64> {
        self.inner.generation.subscribe()
    }

    /// Counts changes of roles on the shards.
    pub fn role_changes(&self) -> watch::Receiver<RoleChanges> {
        self.inner.role_changes.subscribe()
    }

    /// Reads the catalogs again now and swaps the picture: after DDL through the proxy. On return the picture is no older
    /// than the call.
    pub async fn refresh_now(&self) -> Result<(), Error> {
        refresh(&self.inner).await
    }
}

async fn probe_forever(inner: Arc<Inner>, shard: ShardId, reach: Arc<Reach>) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = inner.clock.now();
        let live = inner.live();
        let epoch = if live.topology.home() == shard {
            store::EPOCH_PROBE
        } else {
            "SELECT NULL"
        };
        match probe(&reach, epoch).await {
            Ok(probed) => {
                let now = inner.clock.now();
                inner
                    .board
                    .answered(shard, &probed.version, now, now.saturating_duration_since(asked));
                inner.board.set_prepared_max(shard, probed.prepared_max);
                inner.note_roles(reach.name(), probed.roles.clone());
                if is_stale(&live, shard, &probed) {
                    inner.stale.notify_one();
                }
            }
            Err(error) => inner.board.failed(shard, error.to_string()),
        }
    }
}

impl Inner {
    fn note_roles(&self, shard: &str, now: SeenRoles) {
        let mut seen = self.roles_seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = seen.insert(shard.to_owned(), now.clone()) else {
            return;
        };
        if before.settings != now.settings {
            tracing::info!(shard, "settings of roles have changed");
            self.role_changes
                .send_modify(|changes| changes.settings = changes.settings.wrapping_add(1));
        }
        if before.logins != now.logins {
            tracing::info!(shard, "who may log in has changed");
            self.role_changes
                .send_modify(|changes| changes.logins = changes.logins.wrapping_add(1));
        }
    }
}

/// How often roles have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleChanges {
    /// their settings: backends from before serve no session from after
    pub settings: u64,
    /// whether they may log in: it is asked of the next to do so
    pub logins: u64,
}

/// Values that differ when roles do.
#[derive(Clone, Debug)]
pub(super) struct SeenRoles {
    settings: String,
    logins: String,
}

struct Probed {
    version: String,
    fingerprint: Fingerprint,
    roles: SeenRoles,
    epoch: Option<Epoch>,
    prepared_max: u32,
}

async fn probe(reach: &Reach, epoch: &str) -> Result<Probed, Error> {
    let tables = reach
        .batch(
            &format!("{SERVER};\n{};\n{epoch};\n{ROLES}", fingerprint::PREPARED),
            PROBE_TIMEOUT,
        )
        .await?;
    let empty = Row::new();
    let first = |place: usize| {
        tables
            .get(place)
            .and_then(|rows: &Vec<Row>| rows.first())
            .unwrap_or(&empty)
    };
    Ok(Probed {
        version: Cells::new(first(0), reach.name()).owned(1)?,
        prepared_max: shard_catalog::prepared_max(&Cells::new(first(0), reach.name()))?,
        fingerprint: Fingerprint::of(&Cells::new(first(1), reach.name()))?,
        roles: SeenRoles {
            settings: Cells::new(first(3), reach.name()).owned(0)?,
            logins: Cells::new(first(3), reach.name()).owned(1)?,
        },
        epoch: store::epoch(Cells::new(first(2), reach.name()).optional(0)),
    })
}

fn is_stale(live: &Live, shard: ShardId, probed: &Probed) -> bool {
    let known = live.catalogs.get(shard.index()).and_then(Option::as_ref);
    known.is_none_or(|catalog| catalog.fingerprint != probed.fingerprint)
        || probed.epoch.is_some_and(|epoch| epoch > live.topology.epoch())
}

async fn refresh_forever(inner: Arc<Inner>) {
    loop {
        inner.stale.notified().await;
        if let Err(error) = refresh(&inner).await {
            tracing::warn!(%error, "picture not refreshed; the old one serves");
        }
    }
}

/// Reads what changed and swaps the picture. A shard that doesn't answer keeps its old catalog.
async fn refresh(inner: &Inner) -> Result<(), Error> {
    let _turn = inner.turn.lock().await;
    let live = inner.live();
    let topology = newest(&live).await;
    let reaches = by_index(&live.reaches, &topology);
    let work = reaches.iter().cloned().enumerate().map(|(index, reach)| {
        let known = live.catalogs.get(index).cloned().flatten();
        async move { reread(reach, known).await }
    });
    let mut catalogs = Vec::new();
    let mut failure = None;
    for (index, read) in together(work).await.into_iter().enumerate() {
        match read {
            Ok(catalog) => catalogs.push(catalog),
            Err(error) => {
                catalogs.push(live.catalogs.get(index).cloned().flatten());
                failure = Some(error);
            }
        }
    }
    let is_same = topology.epoch() == live.topology.epoch()
        && catalogs.len() == live.catalogs.len()
        && catalogs.iter().zip(&live.catalogs).all(|(new, old)| match (new, old) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        });
    if !is_same {
        if topology.epoch() > live.topology.epoch()
            && let Some(home) = live.home()
        {
            inner.fixed.preload(&home, &topology).await?;
        }
        tracing::info!(epoch = topology.epoch().get(), "picture refreshed");
        inner.replace(Live {
            topology,
            catalogs,
            ..live.as_ref().clone()
        })?;
    }
    match failure {
        None | Some(Error::Unreachable { .. }) => Ok(()),
        Some(error) => Err(error),
    }
}

/// The topology on home if it is newer than ours: another proxy may have made an epoch.
async fn newest(live: &Live) -> Arc<Topology> {
    let Some(home) = live.home() else {
        return Arc::clone(&live.topology);
    };
    match store::highest(&home).await {
        Ok(Some(stored)) if stored.epoch() > live.topology.epoch() => Arc::new(stored),
        Ok(_) | Err(_) => Arc::clone(&live.topology),
    }
}

/// The catalog as it is now; the known one if its fingerprint still holds.
async fn reread(
    reach: Option<Arc<Reach>>,
    known: Option<Arc<ShardCatalog>>,
) -> Result<Option<Arc<ShardCatalog>>, Error> {
    let Some(reach) = reach else { return Ok(known) };
    if let Some(known) = known {
        let rows = reach.rows(fingerprint::PREPARED, PROBE_TIMEOUT).await?;
        let empty = Row::new();
        let now = Fingerprint::of(&Cells::new(rows.first().unwrap_or(&empty), reach.name()))?;
        if now == known.fingerprint {
            return Ok(Some(known));
        }
    }
    shard_catalog::read(&reach).await.map(Arc::new).map(Some)
}
