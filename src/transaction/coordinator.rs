//! How a block ends on all its participants: plainly where at most one has written, by two-phase commit where several have.
//!
//! Why here and not in the session: it needs no client. Cancels don't reach it: nothing listens for one while it runs,
//! so that none is forwarded from PREPARE on. Holds: every participant is sent to before any is awaited, but for the plain
//! end, where the first that can't commit makes the rest roll back.

use std::sync::Arc;

use super::commit::Ending;
use super::deadlock::Deadlocks;
use super::ended::{EndError, EndHow, Ended, Heard};
use super::fault::{Fault, Step};
use super::forget::Forgetter;
use super::gid::{Gid, TxSecret};
use super::lock::LockKey;
use super::participants::{Begun, Life, Participants};
use super::shards::Shards;
use super::trip::{Answer, TripError, await_ready, queue, send};
use super::two_phase::Under;
use crate::clock::{Clock, Rng};
use crate::plan::Access;
use crate::telemetry::{Telemetry, TransactionOutcome};
use crate::topology::ShardId;

/// Commits over several shards: shared by all sessions of a proxy.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) clock: Clock,
    rng: Rng,
    telemetry: Arc<Telemetry>,
    pub(super) shards: Arc<Shards>,
    pub(super) forgetter: Forgetter,
    pub(super) fault: Fault,
    deadlocks: Deadlocks,
}

/// One participant's state before the end.
struct Probed {
    at: usize,
    shard: ShardId,
    x: Option<u64>,
    holds: Option<String>,
    gate: Gate,
}

/// Has a participant passed the gate of commits?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// its transaction holds it
    Passed,
    /// a reader has closed it
    Closed,
}

impl Coordinator {
    /// Puts the handles together.
    pub fn new(
        (clock, rng): (Clock, Rng),
        telemetry: Arc<Telemetry>,
        shards: Arc<Shards>,
        forgetter: Forgetter,
        fault: Fault,
    ) -> Coordinator {
        Coordinator {
            clock,
            rng,
            telemetry,
            shards,
            forgetter,
            fault,
            deadlocks: Deadlocks::default(),
        }
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn rng(&self) -> Rng {
        self.rng
    }

    /// A new transaction's.
    pub fn draw_secret(&self) -> Result<TxSecret, crate::clock::EntropyError> {
        self.rng.bytes().map(TxSecret::new)
    }

    /// This proxy's transactions over several shards, which may wait in a circle.
    pub fn deadlocks(&self) -> &Deadlocks {
        &self.deadlocks
    }

    /// The control connections.
    pub fn shards(&self) -> &Arc<Shards> {
        &self.shards
    }

    /// Ends a block on every participant. Not cancel-safe: dropped halfway, it is left to recovery.
    pub async fn end(
        &self,
        participants: &mut Participants,
        how: EndHow,
        heard: &mut Heard,
    ) -> Result<Ended, EndError> {
        let order = participants.commit_order();
        let writers = order.iter().filter(|at| wrote(participants, **at)).count();
        if how == EndHow::Rollback || writers < 2 {
            return self.end_plainly(participants, &order, how, heard).await;
        }
        let probed = match self.probe(participants, &order, heard).await {
            Ok(probed) => probed,
            Err(error) => {
                self.roll_back(participants, heard).await;
                return Err(error);
            }
        };
        let with_x = probed.iter().filter(|one| one.x.is_some()).count();
        if with_x < 2 {
            // Whoever has written commits first: nothing that another holds is let go before the decision.
            let mut order = order;
            order.sort_by_key(|at| !probed.iter().any(|one| one.at == *at && one.x.is_some()));
            return self.end_plainly(participants, &order, how, heard).await;
        }
        let ended = self.commit_across(participants, &probed, heard).await;
        self.telemetry.transaction(match &ended {
            Ok(ended) if ended.behind.is_empty() => TransactionOutcome::Committed,
            Ok(_) => TransactionOutcome::CommittedInPart,
            Err(EndError::Unknown { .. }) => TransactionOutcome::InDoubt,
            Err(_) => TransactionOutcome::Aborted,
        });
        ended
    }

    /// One after the other; the first that can't commit makes the rest roll back.
    async fn end_plainly(
        &self,
        participants: &mut Participants,
        order: &[usize],
        how: EndHow,
        heard: &mut Heard,
    ) -> Result<Ended, EndError> {
        let mut how = how;
        let mut error = None;
        for at in order {
            let Some(participant) = participants.get_mut(*at) else {
                continue;
            };
            if participant.life == Life::Gone {
                continue;
            }
            let sql: &[u8] = match how {
                EndHow::Commit => b"COMMIT",
                EndHow::Rollback => b"ROLLBACK",
            };
            let mut answer = Answer::default();
            let readies = queue(participant, &[sql]);
            let trip = match send(participant).await {
                Ok(()) => await_ready(participant, readies, |frame| answer.look(frame, heard)).await,
                Err(error) => Err(error),
            };
            let rolled_back = how == EndHow::Commit && answer.tag == b"ROLLBACK";
            let wrote = participant.access == Access::Write;
            match (trip, answer.error) {
                (Ok(()), refused) => {
                    participant.begun = Begun::Autocommit;
                    participant.access = Access::Read;
                    if let Some(fields) = refused {
                        how = EndHow::Rollback;
                        error.get_or_insert(EndError::Shard { fields, shard: None });
                    } else if rolled_back {
                        how = EndHow::Rollback;
                        error.get_or_insert(EndError::RolledBack);
                    } else if how == EndHow::Commit {
                        heard.committed = heard.committed.saturating_add(1);
                    }
                }
                (Err(lost), _) if how == EndHow::Commit && wrote => {
                    let name = self.shards.name(participant.shard);
                    tracing::warn!(shard = %name, %lost, "a shard was lost during COMMIT");
                    how = EndHow::Rollback;
                    error.get_or_insert(EndError::Unknown { name });
                }
                (Err(lost), _) => {
                    if how == EndHow::Commit && error.is_none() {
                        tracing::warn!(%lost, "a shard that only read was lost at COMMIT");
                    }
                }
            }
        }
        error.map_or_else(|| Ok(Ended::default()), Err)
    }

    /// Asks those that may have written whether they have, and whether they hold what PREPARE refuses.
    async fn probe(
        &self,
        participants: &mut Participants,
        order: &[usize],
        heard: &mut Heard,
    ) -> Result<Vec<Probed>, EndError> {
        let asked: Vec<usize> = order.iter().copied().filter(|at| wrote(participants, *at)).collect();
        let mut readies = Vec::new();
        for at in &asked {
            let Some(participant) = participants.get_mut(*at) else {
                return Err(EndError::Bug("a participant is missing"));
            };
            if participant.life == Life::Gone {
                let name = self.shards.name(participant.shard);
                return Err(EndError::Lost { name, said: None });
            }
            // A cancel that is still on its way must not hit what comes now.
            if participant.cancels > 0 && participant.backend.settle().await.is_err() {
                participant.life = Life::Gone;
                let name = self.shards.name(participant.shard);
                return Err(EndError::Lost { name, said: None });
            }
            readies.push(queue(participant, &[probe().as_bytes()]));
            send(participant).await.map_err(|error| self.lost(error))?;
        }
        let mut probed = Vec::new();
        let mut failure = None;
        for (at, readies) in asked.into_iter().zip(readies) {
            let Some(participant) = participants.get_mut(at) else {
                return Err(EndError::Bug("a participant is missing"));
            };
            let mut answer = Answer::default();
            let trip = await_ready(participant, readies, |frame| answer.look(frame, heard)).await;
            let shard = participant.shard;
            match (trip, answer.error) {
                (Err(error), _) => drop(failure.get_or_insert_with(|| self.lost(error))),
                (Ok(()), Some(fields)) => {
                    let shard = Some(self.shards.name(shard));
                    failure.get_or_insert(EndError::Shard { fields, shard });
                }
                (Ok(()), None) => {
                    let mut row = answer.row.into_iter();
                    probed.push(Probed {
                        at,
                        shard,
                        x: row.next().flatten().and_then(|x| x.parse().ok()),
                        holds: row.next().flatten(),
                        gate: match row.next().flatten().as_deref() {
                            Some("t") => Gate::Passed,
                            Some(_) | None => Gate::Closed,
                        },
                    });
                }
            }
        }
        failure.map_or(Ok(probed), Err)
    }

    async fn commit_across(
        &self,
        participants: &mut Participants,
        probed: &[Probed],
        heard: &mut Heard,
    ) -> Result<Ended, EndError> {
        let mut holders = probed.iter().filter(|one| one.holds.is_some());
        let held = holders.next();
        if let (Some(_), Some(second)) = (held, holders.next()) {
            let (name, why) = (self.shards.name(second.shard), second.holds.clone().unwrap_or_default());
            self.roll_back(participants, heard).await;
            return Err(EndError::CannotPrepare { name, why });
        }
        // Without a reason it is home: NOTIFY, which no query shows, ran there.
        let home = self.shards.home();
        let mut writers: Vec<(&Probed, u64)> = probed.iter().filter_map(|one| Some((one, one.x?))).collect();
        writers.sort_by_key(|(one, _)| (one.holds.is_none(), Some(one.shard) != home, one.shard));
        let mut closed: Vec<(ShardId, usize)> = writers
            .iter()
            .filter(|(one, _)| one.gate == Gate::Closed)
            .map(|(one, _)| (one.shard, one.at))
            .collect();
        closed.sort_unstable();
        if let Err(error) = self.pass_gates(participants, &closed, heard).await {
            self.roll_back(participants, heard).await;
            return Err(error);
        }
        let mut all: Vec<ShardId> = writers.iter().map(|(one, _)| one.shard).collect();
        all.sort_unstable();
        let mut writers = writers.into_iter();
        let Some((decision, x)) = writers.next() else {
            return Err(EndError::Bug("nobody has written"));
        };
        let known = participants.named().map(|named| named.secret().clone());
        let secret = match known.map_or_else(|| self.draw_secret(), Ok) {
            Ok(secret) => secret,
            Err(error) => {
                self.roll_back(participants, heard).await;
                return Err(error.into());
            }
        };
        let gid = Gid {
            tx_id: secret.tx_id(),
            decision: decision.shard,
            x,
            shard: decision.shard,
        };
        let others = writers.map(|(one, _)| one.at).collect();
        let mut under = Under::new(self, participants, heard, (secret, gid, &all), (decision.at, others));
        self.fault.at(Step::Begun).await;
        let ending = under.run().await;
        let (error, behind) = under.into_outcome();
        match ending {
            Ending::Committed | Ending::CommittedInPart => {
                // Those that only read: what they hold (advisory locks, notifications) is let go after the decision.
                let rest = participants.commit_order();
                let _readers_cannot_fail_it = self.end_plainly(participants, &rest, EndHow::Commit, heard).await;
                Ok(Ended { behind })
            }
            Ending::Aborted => {
                self.roll_back(participants, heard).await;
                Err(error.unwrap_or(EndError::Overtaken))
            }
            Ending::Unknown => {
                self.roll_back(participants, heard).await;
                let name = self.shards.name(gid.decision);
                Err(EndError::Unknown { name })
            }
        }
    }

    /// Waits at the gates that were closed, in shard order, as readers take them: so nobody waits in a circle for long.
    async fn pass_gates(
        &self,
        participants: &mut Participants,
        closed: &[(ShardId, usize)],
        heard: &mut Heard,
    ) -> Result<(), EndError> {
        let sql = format!("SELECT shardgate.pass_gate({})", LockKey::GATE);
        for (shard, at) in closed {
            let Some(participant) = participants.get_mut(*at) else {
                return Err(EndError::Bug("a participant is missing"));
            };
            let mut answer = Answer::default();
            let readies = queue(participant, &[sql.as_bytes()]);
            let trip = match send(participant).await {
                Ok(()) => await_ready(participant, readies, |frame| answer.look(frame, heard)).await,
                Err(error) => Err(error),
            };
            trip.map_err(|error| self.lost(error))?;
            if let Some(fields) = answer.error {
                let shard = Some(self.shards.name(*shard));
                return Err(EndError::Shard { fields, shard });
            }
        }
        Ok(())
    }

    /// Whatever is still open is rolled back; what can't be reached is closed by its server.
    async fn roll_back(&self, participants: &mut Participants, heard: &mut Heard) {
        let order = participants.commit_order();
        let _nothing_to_tell = self.end_plainly(participants, &order, EndHow::Rollback, heard).await;
    }

    pub(super) fn lost(&self, error: TripError) -> EndError {
        match error {
            TripError::Lost { shard, said } => EndError::Lost {
                name: self.shards.name(shard),
                said,
            },
            TripError::Bug(what) => EndError::Bug(what),
        }
    }
}

fn wrote(participants: &Participants, at: usize) -> bool {
    participants.get(at).is_some_and(|p| p.access == Access::Write)
}

/// The transaction's number if it has written, what in it PREPARE refuses, and whether it has passed the gate of commits:
/// with a try no one waits, so all may be asked at once.
fn probe() -> String {
    format!(
        "{PROBE}, pg_catalog.pg_try_advisory_xact_lock_shared({})",
        LockKey::GATE
    )
}

const PROBE: &str = "SELECT pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, \
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable \
    AND creation_time OPERATOR(pg_catalog.>=) pg_catalog.transaction_timestamp()) THEN 'a cursor WITH HOLD' \
    WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN NULL \
    WHEN EXISTS (SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c \
    ON c.oid OPERATOR(pg_catalog.=) l.relation \
    WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid() \
    AND c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()) THEN 'temporary tables' END";
