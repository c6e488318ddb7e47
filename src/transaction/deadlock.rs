//! Deadlocks across shards: to each shard they look like a plain wait.
//!
//! Why by locks: whoever waits is seen by its pid on one shard, whoever is waited for by another pid on another; that both
//! belong to one transaction tells the advisory lock of its name, which each of its participants takes when the second one
//! enlists. So every proxy sees the whole circle, also one through two proxies, and all choose the same victim: the
//! youngest. Its own proxy cancels it.
//! Holds: nothing is asked of any shard while no transaction over several shards has a statement that takes long; only a
//! wait that two looks show counts; a circle on one shard alone is left to that server.
//! Absent: a transaction that is committing is not cancelled, whatever it waits for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::gid::TxSecret;
use super::lock::LockKey;
use super::shards::Shards;
use crate::clock::Clock;
use crate::topology::ShardId;

/// A statement that takes longer may wait in a circle: Postgres's default of `deadlock_timeout`.
const PATIENCE: Duration = Duration::from_secs(1);

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(250);

/// What a proxy knows of its own transactions over several shards.
#[derive(Clone, Default)]
pub struct Deadlocks {
    /// guards the map, for a look-up or a change
    entries: Arc<Mutex<BTreeMap<LockKey, Entry>>>,
}

struct Entry {
    /// since when its statement runs
    busy: Option<Instant>,
    cancel: Box<dyn Fn() + Send>,
}

/// The name of a block over several shards, and its place among those that may wait in a circle.
pub struct Named {
    secret: TxSecret,
    key: LockKey,
    among: Deadlocks,
}

/// Who waits, or is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Waiter {
    /// a transaction over several shards
    Transaction(LockKey),
    /// a backend that takes part in none
    Backend(ShardId, i32),
}

/// What one shard shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// backends that hold the lock of a name, and when their transactions began there, in µs since 1970
    pub(super) names: Vec<(i32, LockKey, i64)>,
    /// who waits for whom
    pub(super) waits: Vec<(i32, i32)>,
}

/// Waits on all shards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Graph {
    edges: BTreeSet<(Waiter, Waiter)>,
    begun: BTreeMap<LockKey, i64>,
}

// === impl Deadlocks ===

impl fmt::Debug for Deadlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deadlocks")
    }
}

impl Deadlocks {
    /// Enters a block that has enlisted its second shard; its statement runs since then. `cancel` stops it as the victim.
    pub fn enter(&self, secret: TxSecret, since: Instant, cancel: Box<dyn Fn() + Send>) -> Named {
        let key = LockKey::of(&secret.tx_id());
        let busy = Some(since);
        self.with(|entries| drop(entries.insert(key, Entry { busy, cancel })));
        Named {
            secret,
            key,
            among: self.clone(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<LockKey, Entry>) -> T) -> T {
        work(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn any_waits_long(&self, now: Instant) -> bool {
        let long = |entry: &Entry| {
            entry
                .busy
                .is_some_and(|since| now.saturating_duration_since(since) >= PATIENCE)
        };
        self.with(|entries| entries.values().any(long))
    }

    /// Looks for circles until the future is dropped: the owner awaits it in a task.
    pub async fn run(self, shards: Arc<Shards>, clock: Clock) {
        let mut before: Option<Graph> = None;
        loop {
            tokio::time::sleep(PERIOD).await;
            if !self.any_waits_long(clock.now()) {
                before = None;
                continue;
            }
            let mut graph = look(&shards).await;
            let seen = graph.clone();
            match &before {
                Some(before) => graph.edges.retain(|edge| before.edges.contains(edge)),
                None => graph.edges.clear(),
            }
            before = Some(seen);
            for victim in graph.victims() {
                self.with(|entries| {
                    if let Some(entry) = entries.get(&victim)
                        && entry.busy.is_some()
                    {
                        tracing::info!(lock = %victim, "a deadlock across shards: its youngest transaction is cancelled");
                        (entry.cancel)();
                    }
                });
            }
        }
    }
}

async fn look(shards: &Shards) -> Graph {
    let mut looks = JoinSet::new();
    for control in shards.all().iter() {
        let (shard, control) = (control.shard(), Arc::clone(control));
        looks.spawn(async move { (shard, control.waits().await) });
    }
    let mut graph = Graph::default();
    for (shard, waits) in looks.join_all().await {
        match waits {
            Ok(waits) => graph.add(shard, &waits),
            Err(error) => tracing::debug!(?shard, %error, "waits can't be looked at"),
        }
    }
    graph
}

// === impl Named ===

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named({})", self.key)
    }
}

impl Named {
    /// What proves the name.
    pub fn secret(&self) -> &TxSecret {
        &self.secret
    }

    /// Its lock, which each participant takes.
    pub fn lock_text(&self) -> String {
        format!("SELECT pg_catalog.pg_advisory_xact_lock_shared({})", self.key)
    }

    /// A statement of the block runs since then, or none does.
    pub fn set_busy(&self, since: Option<Instant>) {
        self.among.with(|entries| {
            if let Some(entry) = entries.get_mut(&self.key) {
                entry.busy = since;
            }
        });
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        self.among.with(|entries| drop(entries.remove(&self.key)));
    }
}

// === impl Graph ===

impl Graph {
    fn add(&mut self, shard: ShardId, waits: &Waits) {
        let names: BTreeMap<i32, LockKey> = waits.names.iter().map(|(pid, key, _)| (*pid, *key)).collect();
        let waiter = |pid: i32| match names.get(&pid) {
            Some(key) => Waiter::Transaction(*key),
            None => Waiter::Backend(shard, pid),
        };
        let edges = waits.waits.iter().map(|(from, to)| (waiter(*from), waiter(*to)));
        self.edges.extend(edges.filter(|(from, to)| from != to));
        for (_, key, begun) in &waits.names {
            let known = self.begun.entry(*key).or_insert(*begun);
            *known = (*known).min(*begun);
        }
    }

    /// The youngest transaction of each circle.
    fn victims(&self) -> BTreeSet<LockKey> {
        let reach: BTreeMap<Waiter, BTreeSet<Waiter>> = self
            .edges
            .iter()
            .map(|(from, _)| (*from, self.reachable(*from)))
            .collect();
        let reaches = |from: &Waiter, to: &Waiter| reach.get(from).is_some_and(|reached| reached.contains(to));
        let mut victims = BTreeSet::new();
        for from in reach.keys().filter(|from| reaches(from, from)) {
            let circle = reach
                .keys()
                .filter(|other| reaches(from, other) && reaches(other, from));
            let transactions: BTreeSet<LockKey> = circle
                .filter_map(|one| match one {
                    Waiter::Transaction(key) => Some(*key),
                    Waiter::Backend(..) => None,
                })
                .collect();
            victims.extend(transactions.into_iter().max_by_key(|key| (self.begun.get(key), *key)));
        }
        victims
    }

    fn reachable(&self, from: Waiter) -> BTreeSet<Waiter> {
        let mut reached = BTreeSet::new();
        let mut front = vec![from];
        while let Some(at) = front.pop() {
            let next = self.edges.iter().filter(|(from, _)| *from == at).map(|(_, to)| *to);
            front.extend(next.filter(|to| reached.insert(*to)));
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(object: i32) -> LockKey {
        LockKey { class: 1, object }
    }

    fn graph(shards: &[&[(i32, i32)]]) -> Graph {
        // A pid below 100 is transaction `pid % 10` on every shard; higher ones are in none.
        let mut graph = Graph::default();
        for (shard, waits) in shards.iter().enumerate() {
            let pids: BTreeSet<i32> = waits.iter().flat_map(|(from, to)| [*from, *to]).collect();
            let names = pids.iter().filter(|pid| **pid < 100);
            graph.add(
                ShardId::new(shard).unwrap(),
                &Waits {
                    names: names.map(|pid| (*pid, key(pid % 10), i64::from(pid % 10))).collect(),
                    waits: waits.to_vec(),
                },
            );
        }
        graph
    }

    #[test]
    fn the_youngest_of_a_circle_over_two_shards_goes() {
        assert_eq!(graph(&[&[(11, 12)], &[(22, 21)]]).victims(), [key(2)].into());
    }

    #[test]
    fn a_circle_may_go_through_backends_of_no_transaction() {
        assert_eq!(
            graph(&[&[(11, 100), (100, 12)], &[(22, 23)], &[(33, 31)]]).victims(),
            [key(3)].into()
        );
    }

    #[test]
    fn a_chain_is_no_circle() {
        assert!(graph(&[&[(11, 12)], &[(22, 23)], &[(41, 43)]]).victims().is_empty());
        // the same pid on two shards is two backends
        assert!(graph(&[&[(100, 101)], &[(101, 100)]]).victims().is_empty());
    }

    #[test]
    fn who_waits_behind_a_circle_is_spared() {
        assert_eq!(graph(&[&[(11, 12), (19, 11)], &[(22, 21)]]).victims(), [key(2)].into());
    }
}
