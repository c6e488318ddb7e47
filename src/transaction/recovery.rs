//! Recovery: finishing what another proxy, or this one before it died, has left prepared.
//!
//! Why a loop over lists instead of messages between proxies: all state lies in the shards, so whoever looks there can
//! finish. Two that do it at once reach the same verdict (`recover.rs`).
//! Holds: it runs on control connections only; a shard that doesn't answer delays nobody else's transactions; each round
//! of a gid is one run of the machine, from its beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::ask::Ask;
use super::clean::{Clean, CleanAction, CleanEvent};
use super::gid::{Gid, TxId};
use super::recover::{Recover, RecoverAction, RecoverEvent};
use super::rules::{Durability, Rules, Verdict};
use super::shards::{DecisionRow, Finished, Listed, PreparedPart, ShardControl, Shards};
use crate::backend::ControlError;
use crate::telemetry::{Recovered, Telemetry};
use crate::topology::ShardId;

/// Between two looks at all shards.
const PERIOD: Duration = Duration::from_secs(1);

/// Younger parts are their committer's.
const YOUNG: Duration = Duration::from_secs(2);

/// Parts whose deciding transaction is in progress are left alone until then: their committer may just be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every so many rounds, decision rows are looked at too.
const ROUNDS_PER_CLEANING: u32 = 10;

/// Questions at the decision shard in one run; what isn't answered then is asked anew in the next round.
const STEPS_MAX: usize = 16;

/// Rows looked at in one cleaning: the rest has time.
const CLEANED_MAX: usize = 256;

/// One transaction that is prepared somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InDoubt {
    /// its name in every gid
    pub tx_id: TxId,
    /// where it is decided
    pub decision: ShardId,
    /// the gids, by shard
    pub gids: BTreeMap<ShardId, Gid>,
    /// since the oldest part was prepared
    pub age: Duration,
    /// what its decision row says; none: no row, or its shard doesn't answer
    pub verdict: Option<Verdict>,
}

/// Why a transaction could not be resolved by hand.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// the text is not a gid of ours
    #[error("\"{0}\" is not the gid of a transaction over several shards")]
    NotOurs(String),
    /// no shard that answers holds a part of it
    #[error("no shard holds a prepared part of \"{0}\"")]
    NotThere(String),
    /// its decision row says otherwise
    #[error("its decision row says {}", said(.0))]
    Decided(Verdict),
    /// a shard's error, or none
    #[error("shard \"{shard}\": {source}")]
    Shard {
        /// which
        shard: String,
        /// why
        #[source]
        source: ControlError,
    },
}

fn said(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Commit => "commit",
        Verdict::Abort => "rollback",
    }
}

/// The recoverer of one proxy.
#[derive(Clone, Debug)]
pub struct Recovery {
    shards: Arc<Shards>,
    telemetry: Arc<Telemetry>,
}

impl Recovery {
    /// Over these shards.
    pub fn new(shards: Arc<Shards>, telemetry: Arc<Telemetry>) -> Recovery {
        Recovery { shards, telemetry }
    }

    /// Recovers until the future is dropped: the owner awaits it in a task.
    pub async fn run(&self) {
        let mut every = tokio::time::interval(PERIOD);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lost = BTreeSet::new();
        let mut round: u32 = 0;
        // A transaction that waits for a dead shard must not hold up another: each has a task of its own, one at a time.
        let mut under_way = UnderWay::default();
        loop {
            every.tick().await;
            under_way.reap();
            let (parts, answered) = self.look(&mut lost).await;
            for (tx_id, parts) in by_transaction(&parts) {
                let oldest = parts.values().map(|part| part.age).max().unwrap_or_default();
                if oldest >= YOUNG {
                    let recovery = self.clone();
                    under_way.start(tx_id, async move { recovery.recover(tx_id, parts).await });
                }
            }
            if round.is_multiple_of(ROUNDS_PER_CLEANING) {
                for shard in answered {
                    let recovery = self.clone();
                    under_way.start_cleaning(shard, async move { recovery.clean(shard).await });
                }
            }
            round = round.wrapping_add(1);
        }
    }

    /// The parts that are prepared on shards that answer, and those shards. One that is back gets its store first.
    async fn look(&self, lost: &mut BTreeSet<ShardId>) -> (Vec<PreparedPart>, Vec<ShardId>) {
        let mut looks = JoinSet::new();
        for control in self.shards.all() {
            let shard = control.shard();
            let is_back = lost.contains(&shard);
            looks.spawn(async move {
                if is_back && let Err(error) = control.make_store().await {
                    return (shard, Err(error));
                }
                (shard, control.prepared().await)
            });
        }
        let (mut parts, mut answered) = (Vec::new(), Vec::new());
        for (shard, listed) in looks.join_all().await {
            match listed {
                Ok(Listed::Parts(listed)) => {
                    lost.remove(&shard);
                    let count = u64::try_from(listed.len()).unwrap_or(u64::MAX);
                    self.telemetry.set_prepared_parts(shard, count);
                    parts.extend(listed.into_iter().filter(|part| part.gid.shard == shard));
                    answered.push(shard);
                }
                Ok(Listed::Standby) => drop(lost.insert(shard)),
                Err(error) => {
                    if lost.insert(shard) {
                        tracing::debug!(shard = %self.shards.name(shard), %error, "not asked for prepared transactions");
                    }
                }
            }
        }
        (parts, answered)
    }

    /// One run of the machine for one transaction.
    async fn recover(&self, tx_id: TxId, parts: BTreeMap<ShardId, PreparedPart>) {
        let Some(first) = parts.values().next() else { return };
        let gid = first.gid;
        let age = parts.values().map(|part| part.age).max().unwrap_or_default();
        let Some(decision) = self.shards.get(gid.decision) else {
            return; // no such shard any more: `resolve` is for this
        };
        match decision.is_in_progress(gid.x).await {
            Ok(true) if age < PATIENCE => return,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%tx_id, %error, "the decision shard doesn't answer");
                return;
            }
        }
        let mut machine = Recover::new(Rules::ALL);
        for _ in 0..STEPS_MAX {
            match machine.action() {
                RecoverAction::Ask(ask, durability) => match decision.ask(&gid, ask, durability).await {
                    Ok(asked) => {
                        if ask == Ask::Insert {
                            tracing::info!(%tx_id, ?asked, "asked for the verdict of an abandoned transaction");
                        }
                        machine.on(RecoverEvent::Asked(asked));
                    }
                    Err(error) => {
                        tracing::debug!(%tx_id, %error, "no verdict yet");
                        return;
                    }
                },
                RecoverAction::Look => {
                    let is_held = !self.holders(&gid).await.is_empty();
                    machine.on(if is_held {
                        RecoverEvent::Seen
                    } else {
                        RecoverEvent::SeenNone
                    });
                }
                RecoverAction::Apply(verdict, _) => {
                    self.apply(&gid, verdict).await;
                    machine.on(RecoverEvent::Applied);
                }
                RecoverAction::Rest => return,
            }
        }
    }

    /// The shards that hold a part of this transaction now.
    async fn holders(&self, gid: &Gid) -> Vec<Arc<ShardControl>> {
        let mut looks = JoinSet::new();
        for control in self.shards.all() {
            let gid = gid.on(control.shard());
            looks.spawn(async move {
                let is_held = match control.prepared().await {
                    Ok(Listed::Parts(parts)) => parts.iter().any(|part| part.gid == gid),
                    Ok(Listed::Standby) | Err(_) => false,
                };
                is_held.then_some(control)
            });
        }
        looks.join_all().await.into_iter().flatten().collect()
    }

    /// Does what the verdict says wherever a part is; what doesn't answer has its turn in a later round.
    async fn apply(&self, gid: &Gid, verdict: Verdict) {
        for control in self.holders(gid).await {
            let part = gid.on(control.shard());
            match control.finish(&part, verdict).await {
                Ok(Finished::Done) => {
                    tracing::info!(gid = %part, shard = control.name(), ?verdict, "recovered");
                    self.telemetry.recovered(match verdict {
                        Verdict::Commit => Recovered::Committed,
                        Verdict::Abort => Recovered::RolledBack,
                    });
                }
                Ok(Finished::Absent | Finished::Busy) => {}
                Err(error) => tracing::warn!(gid = %part, shard = control.name(), %error, "not recovered yet"),
            }
        }
    }

    /// Looks at the decision rows of one shard, and deletes those that nobody needs.
    async fn clean(&self, shard: ShardId) {
        let Some(decision) = self.shards.get(shard) else { return };
        let rows = match decision.decisions().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::debug!(shard = decision.name(), %error, "decision rows not read");
                return;
            }
        };
        let old = |row: &DecisionRow| match row.verdict {
            Verdict::Commit => row.age > super::rules::RETENTION,
            // Its committer may still be about to collide with it.
            Verdict::Abort => row.age > YOUNG,
        };
        for row in rows.into_iter().filter(old).take(CLEANED_MAX) {
            self.clean_row(shard, &decision, &row).await;
        }
    }

    async fn clean_row(&self, shard: ShardId, decision: &ShardControl, row: &DecisionRow) {
        let mut machine = Clean::new(Rules::ALL, row.participants.len());
        loop {
            match machine.action() {
                CleanAction::Read => machine.on(CleanEvent::Row(row.verdict, row.age)),
                CleanAction::Look(durability) => {
                    for (place, participant) in row.participants.iter().enumerate() {
                        let holding = self.look_at(shard, row, *participant, durability).await;
                        machine.on(CleanEvent::Looked(place, holding));
                    }
                }
                CleanAction::AskX => match decision.is_in_progress(row.x).await {
                    Ok(true) | Err(_) => machine.on(CleanEvent::XInProgress),
                    Ok(false) => machine.on(CleanEvent::XEnded),
                },
                CleanAction::Delete(verdict) => {
                    if let Err(error) = decision.forget(&[row.tx_id], verdict).await {
                        tracing::debug!(tx_id = %row.tx_id, %error, "a decision row stays for now");
                    }
                    return;
                }
                CleanAction::Keep => return,
            }
        }
    }

    async fn look_at(
        &self,
        decision: ShardId,
        row: &DecisionRow,
        participant: Option<ShardId>,
        durability: Durability,
    ) -> super::clean::Holding {
        let Some((shard, control)) = participant.and_then(|shard| Some((shard, self.shards.get(shard)?))) else {
            return super::clean::Holding::Silent;
        };
        let gid = Gid {
            tx_id: row.tx_id,
            decision,
            x: row.x,
            shard,
        };
        control.look(&gid, durability).await
    }

    // --- by hand ---

    /// Every transaction that is prepared somewhere now, the oldest first.
    pub async fn in_doubt(&self) -> Vec<InDoubt> {
        let (parts, answered) = self.look(&mut BTreeSet::new()).await;
        let mut rows = BTreeMap::new();
        for shard in answered {
            if let Some(control) = self.shards.get(shard) {
                let read = control.decisions().await.unwrap_or_default();
                rows.extend(read.into_iter().map(|row| (row.tx_id, row.verdict)));
            }
        }
        let mut all: Vec<InDoubt> = by_transaction(&parts)
            .into_iter()
            .filter_map(|(tx_id, parts)| {
                Some(InDoubt {
                    tx_id,
                    decision: parts.values().next()?.gid.decision,
                    age: parts.values().map(|part| part.age).max()?,
                    gids: parts.into_iter().map(|(shard, part)| (shard, part.gid)).collect(),
                    verdict: rows.get(&tx_id).copied(),
                })
            })
            .collect();
        all.sort_by_key(|one| (std::cmp::Reverse(one.age), one.tx_id));
        all
    }

    /// Commits or rolls back every part of a gid's transaction that a shard holds, because the operator says so: for when
    /// its decision shard is gone for good. Returns how many parts were finished. A decision row that says otherwise wins.
    pub async fn resolve(&self, text: &str, verdict: Verdict) -> Result<usize, ResolveError> {
        let Some(gid) = Gid::parse(text) else {
            return Err(ResolveError::NotOurs(text.to_owned()));
        };
        let failed = |control: &ShardControl| {
            let shard = control.name().to_owned();
            move |source| ResolveError::Shard { shard, source }
        };
        let holders = self.holders(&gid).await;
        if holders.is_empty() {
            return Err(ResolveError::NotThere(text.to_owned()));
        }
        if let Some(decision) = self.shards.get(gid.decision)
            && let Ok(rows) = decision.decisions().await
            && let Some(row) = rows.iter().find(|row| row.tx_id == gid.tx_id)
            && row.verdict != verdict
        {
            return Err(ResolveError::Decided(row.verdict));
        }
        let mut finished: usize = 0;
        for control in holders {
            let part = gid.on(control.shard());
            let done = control.finish(&part, verdict).await.map_err(failed(&control))?;
            tracing::warn!(gid = %part, shard = control.name(), ?verdict, ?done, "resolved by hand");
            finished = finished.saturating_add(usize::from(done == Finished::Done));
        }
        Ok(finished)
    }
}

/// Parts by transaction, then by shard.
fn by_transaction(parts: &[PreparedPart]) -> BTreeMap<TxId, BTreeMap<ShardId, PreparedPart>> {
    let mut all: BTreeMap<TxId, BTreeMap<ShardId, PreparedPart>> = BTreeMap::new();
    for part in parts {
        all.entry(part.gid.tx_id)
            .or_default()
            .insert(part.gid.shard, part.clone());
    }
    all
}

/// Tasks by what they work on: never two for one thing, and not more than so many.
#[derive(Debug, Default)]
struct UnderWay {
    tasks: JoinSet<Work>,
    at: BTreeSet<Work>,
}

/// What a task works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Transaction(TxId),
    Cleaning(ShardId),
}

const TASKS_MAX: usize = 64;

impl UnderWay {
    /// Forgets those that have ended.
    fn reap(&mut self) {
        while let Some(ended) = self.tasks.try_join_next() {
            match ended {
                Ok(work) => drop(self.at.remove(&work)),
                Err(error) => {
                    // A panic in one of them: nobody knows which, so all may start again.
                    tracing::error!(%error, "a task of recovery has failed");
                    self.at.clear();
                }
            }
        }
    }

    fn start(&mut self, tx_id: TxId, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(Work::Transaction(tx_id), task);
    }

    fn start_cleaning(&mut self, shard: ShardId, task: impl Future<Output = ()> + Send + 'static) {
        self.spawn(Work::Cleaning(shard), task);
    }

    fn spawn(&mut self, work: Work, task: impl Future<Output = ()> + Send + 'static) {
        if self.at.len() < TASKS_MAX && self.at.insert(work) {
            self.tasks.spawn(async move {
                task.await;
                work
            });
        }
    }
}
