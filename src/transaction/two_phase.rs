//! How a block ends on all its participants: plainly where one has written, by two-phase commit where several have.
//!
//! Why here and not in the session: it needs no client. Cancels don't reach it: nothing listens for one while it runs,
//! so that none is forwarded from PREPARE on. Holds: it does what [`Commit`] says, and nothing else decides; every
//! participant is sent to before any is awaited.

use std::sync::Arc;
use std::time::Duration;

use super::clean::Holding;
use super::commit::{Commit, CommitAction, CommitEvent, Ending};
use super::deadlock::Deadlocks;
use super::fault::{Fault, Step};
use super::forget::Forgetter;
use super::gid::{Gid, TxSecret};
use super::lock::LockKey;
use super::participants::{Begun, Life, Participant, Participants, Sync};
use super::rules::{Durability, Rules, Verdict};
use super::shards::{Finished, Shards};
use super::trip::{TripError, await_ready, send};
use crate::backend::ControlError;
use crate::clock::{Clock, Rng};
use crate::plan::Access;
use crate::telemetry::{Telemetry, TransactionOutcome};
use crate::topology::ShardId;
use crate::wire::{self, DataRow, ErrorField, ErrorFields, Frame, FrameError, SqlState};

/// How long a committer that has lost its decision's answer looks for it before it says that it doesn't know.
const DOUBT_MAX: Duration = Duration::from_secs(15);

/// How long a participant that can't be reached after the decision holds up the answer.
const UNREACHED_MAX: Duration = Duration::from_secs(3);

/// Between two attempts on a control connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How a block ends on its participants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndHow {
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
}

/// What shards said meanwhile that is the client's.
#[derive(Debug, Default)]
pub struct Heard {
    /// whole NoticeResponse messages
    pub notices: Vec<u8>,
    /// whole NotificationResponse messages
    pub notifications: Vec<u8>,
}

/// The block has ended as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// committed, but these shards have not answered yet: their parts will follow
    pub behind: Vec<String>,
}

/// A block that was to commit has not, or nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// a shard's own error: all is rolled back
    #[error("a shard's error")]
    Shard {
        /// passed whole
        fields: Box<ErrorFields>,
        /// which, where there were several
        shard: Option<String>,
    },
    /// COMMIT was answered with the tag ROLLBACK
    #[error("the transaction was rolled back")]
    RolledBack,
    /// a recoverer was faster, and has rolled it back
    #[error("the transaction was rolled back by recovery")]
    Overtaken,
    /// a shard was lost before anything was decided: all is rolled back
    #[error("shard {name} was lost before the decision")]
    Lost {
        /// which
        name: String,
        /// what it said last
        said: Option<Box<ErrorFields>>,
    },
    /// a shard was lost while it committed, and nobody could say what became of it
    #[error("shard {name} was lost during COMMIT")]
    Unknown {
        /// which
        name: String,
    },
    /// two shards hold what PREPARE TRANSACTION refuses: all is rolled back
    #[error("shard {name} can't prepare")]
    CannotPrepare {
        /// which
        name: String,
        /// Postgres's words
        why: String,
    },
    /// no random bytes
    #[error(transparent)]
    Entropy(#[from] crate::clock::EntropyError),
    /// what cannot happen
    #[error("{0}")]
    Bug(&'static str),
}

/// Commits over several shards: shared by all sessions of a proxy.
#[derive(Debug)]
pub struct Coordinator {
    clock: Clock,
    rng: Rng,
    telemetry: Arc<Telemetry>,
    shards: Arc<Shards>,
    forgetter: Forgetter,
    fault: Fault,
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

/// One transaction under way.
struct Under<'a> {
    coordinator: &'a Coordinator,
    participants: &'a mut Participants,
    heard: &'a mut Heard,
    secret: TxSecret,
    /// the decision shard's part; never prepared
    gid: Gid,
    /// what each participant writes for readers
    mark: String,
    decision: usize,
    /// those that are prepared, in the machine's order
    others: Vec<usize>,
    /// places in `others` of those that have prepared
    prepared: Vec<usize>,
    error: Option<EndError>,
    behind: Vec<String>,
}

// === impl Coordinator ===

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
        // Without a reason it is home: NOTIFY and LISTEN, which no query shows, ran there.
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
        let mut under = Under {
            coordinator: self,
            participants,
            heard,
            secret,
            gid,
            mark: mark(&gid, &all),
            decision: decision.at,
            others: writers.map(|(one, _)| one.at).collect(),
            prepared: Vec::new(),
            error: None,
            behind: Vec::new(),
        };
        self.fault.at(Step::Begun).await;
        let ending = under.run().await;
        let Under { error, behind, .. } = under;
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

    fn lost(&self, error: TripError) -> EndError {
        match error {
            TripError::Lost { shard, said } => EndError::Lost {
                name: self.shards.name(shard),
                said,
            },
            TripError::Bug(what) => EndError::Bug(what),
        }
    }
}

// === impl Under ===

impl Under<'_> {
    async fn run(&mut self) -> Ending {
        let mut machine = Commit::new(Rules::ALL, self.others.len());
        let mut sent_at = self.coordinator.clock.now();
        loop {
            match machine.action() {
                CommitAction::Prepare(durability) => self.prepare(&mut machine, durability).await,
                CommitAction::Decide => {
                    sent_at = self.coordinator.clock.now();
                    machine.sent_decision();
                    let event = self.decide().await;
                    machine.on(event);
                }
                CommitAction::Ask(ask, durability) => {
                    let asked = match self.coordinator.shards.get(self.gid.decision) {
                        Some(control) => control.ask(&self.gid, ask, durability).await,
                        None => Err(ControlError::Timeout(DOUBT_MAX)),
                    };
                    let since = self.coordinator.clock.now().saturating_duration_since(sent_at);
                    match asked {
                        Ok(asked) => machine.on(CommitEvent::Asked(asked, since)),
                        Err(error) => self.again(&mut machine, since, &error).await,
                    }
                }
                CommitAction::Apply(durability) => self.apply(&mut machine, durability).await,
                CommitAction::RollBack => {
                    self.roll_back_prepared().await;
                    machine.on(CommitEvent::RolledBack);
                }
                CommitAction::Answer(ending) => {
                    if machine.may_forget() {
                        self.coordinator.fault.at(Step::Committed).await;
                        self.coordinator.forgetter.forget(self.gid.decision, self.gid.tx_id);
                    }
                    return ending;
                }
            }
        }
    }

    fn fail(&mut self, error: EndError) {
        self.error.get_or_insert(error);
    }

    fn gid_at(&self, at: usize) -> Option<Gid> {
        Some(self.gid.on(self.participants.get(at)?.shard))
    }

    async fn prepare(&mut self, machine: &mut Commit, durability: Durability) {
        let mut sent = Vec::new();
        for at in self.others.clone() {
            let Some((gid, participant)) = self.gid_at(at).zip(self.participants.get_mut(at)) else {
                continue;
            };
            let readies = queue(participant, &[prepare_batch(&gid, &self.mark, durability).as_bytes()]);
            let trip = send(participant).await;
            sent.push((readies, trip));
        }
        self.coordinator.fault.at(Step::PreparesSent).await;
        let mut failed = sent.len() != self.others.len();
        for (place, (readies, trip)) in sent.into_iter().enumerate() {
            let Some(participant) = self.others.get(place).and_then(|at| self.participants.get_mut(*at)) else {
                continue;
            };
            let name = self.coordinator.shards.name(participant.shard);
            let mut answer = Answer::default();
            let trip = match trip {
                Ok(()) => await_ready(participant, readies, |frame| answer.look(frame, self.heard)).await,
                Err(error) => Err(error),
            };
            match (trip, answer.error) {
                (Ok(()), None) if answer.tag == b"PREPARE TRANSACTION" => {
                    participant.begun = Begun::Autocommit;
                    self.prepared.push(place);
                    machine.on(CommitEvent::Prepared(place));
                    if place == 0 {
                        self.coordinator.fault.at(Step::FirstPrepared).await;
                    }
                    continue;
                }
                (Ok(()), Some(fields)) => {
                    note_end(participant);
                    self.fail(refused_prepare(fields, name));
                }
                (Ok(()), None) => {
                    note_end(participant);
                    self.fail(EndError::RolledBack);
                }
                (Err(error), _) => {
                    let lost = self.coordinator.lost(error);
                    self.fail(lost);
                }
            }
            failed = true;
        }
        if failed {
            machine.on(CommitEvent::PrepareFailed);
        } else {
            self.coordinator.fault.at(Step::Prepared).await;
        }
    }

    async fn decide(&mut self) -> CommitEvent {
        let listed: Vec<String> = self
            .others
            .iter()
            .filter_map(|at| Some(self.participants.get(*at)?.shard.index().to_string()))
            .collect();
        let sql = format!(
            "SET LOCAL synchronous_commit = on; SET LOCAL statement_timeout = 0; {} \
             SELECT shardgate.decide('\\x{}'::pg_catalog.bytea, '{{{}}}'::pg_catalog.int4[]); COMMIT",
            self.mark,
            self.secret.hex(),
            listed.join(",")
        );
        let Some(participant) = self.participants.get_mut(self.decision) else {
            return CommitEvent::DecisionFailed;
        };
        let name = self.coordinator.shards.name(participant.shard);
        let mut answer = Answer::default();
        let readies = queue(participant, &[sql.as_bytes()]);
        let trip = match send(participant).await {
            Ok(()) => {
                self.coordinator.fault.at(Step::DecisionSent).await;
                await_ready(participant, readies, |frame| answer.look(frame, self.heard)).await
            }
            Err(error) => Err(error),
        };
        // Its COMMIT counts once the tag is there, whatever becomes of the connection after it.
        if answer.error.is_none() && answer.tag == b"COMMIT" {
            participant.begun = Begun::Autocommit;
            participant.access = Access::Read;
            self.coordinator.fault.at(Step::Decided).await;
            return CommitEvent::Decided;
        }
        match (trip, answer.error) {
            (Err(error), _) => {
                tracing::warn!(shard = %name, %error, "the decision shard was lost");
                let lost = self.coordinator.lost(error);
                self.fail(lost);
                CommitEvent::DecisionLost
            }
            (Ok(()), Some(fields)) => {
                note_end(participant);
                let ours =
                    fields.get(ErrorField::Schema) == Some(b"shardgate") && fields.code() == SqlState::UNIQUE_VIOLATION;
                self.fail(match ours {
                    true => EndError::Overtaken,
                    false => EndError::Shard {
                        fields,
                        shard: Some(name),
                    },
                });
                CommitEvent::DecisionFailed
            }
            (Ok(()), None) => {
                note_end(participant);
                self.fail(EndError::RolledBack);
                CommitEvent::DecisionFailed
            }
        }
    }

    async fn again(&self, machine: &mut Commit, since: Duration, error: &ControlError) {
        if since > DOUBT_MAX {
            tracing::warn!(tx_id = %self.gid.tx_id, %error, "left in doubt: recovery will resolve it");
            machine.on(CommitEvent::GaveUp);
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// COMMIT PREPARED, in the session that prepared where that still lives.
    async fn apply(&mut self, machine: &mut Commit, durability: Durability) {
        let mut sent = Vec::new();
        for at in self.others.clone() {
            let Some((gid, participant)) = self.gid_at(at).zip(self.participants.get_mut(at)) else {
                continue;
            };
            if participant.life == Life::Gone {
                sent.push(None);
                continue;
            }
            let commit = format!("COMMIT PREPARED '{gid}'");
            let readies = match durability {
                Durability::Synchronous => queue(participant, &[SYNCHRONOUS, commit.as_bytes()]),
                Durability::AsSet => queue(participant, &[commit.as_bytes()]),
            };
            sent.push(send(participant).await.ok().map(|()| readies));
        }
        self.coordinator.fault.at(Step::CommitsSent).await;
        let mut left = Vec::new();
        for (place, readies) in sent.into_iter().enumerate() {
            let Some(participant) = self.others.get(place).and_then(|at| self.participants.get_mut(*at)) else {
                continue;
            };
            let mut answer = Answer::default();
            let trip = match readies {
                Some(readies) => await_ready(participant, readies, |frame| answer.look(frame, self.heard)).await,
                None => Err(TripError::Bug("the participant is gone")),
            };
            if answer.error.is_none() && answer.tag == b"COMMIT PREPARED" {
                participant.access = Access::Read;
                if trip.is_ok() {
                    restore(participant, &answer.row).await;
                }
                machine.on(CommitEvent::Applied(place));
                if place == 0 {
                    self.coordinator.fault.at(Step::FirstCommitted).await;
                }
                continue;
            }
            if trip.is_ok() {
                restore(participant, &answer.row).await;
            }
            left.push(place);
        }
        let deadline = self.coordinator.clock.now().checked_add(UNREACHED_MAX);
        for place in left {
            let shard = self
                .others
                .get(place)
                .and_then(|at| self.participants.get(*at))
                .map(|p| p.shard);
            let Some(shard) = shard else { continue };
            match self.finish_elsewhere(shard, deadline).await {
                true => machine.on(CommitEvent::Applied(place)),
                false => {
                    self.behind.push(self.coordinator.shards.name(shard));
                    machine.on(CommitEvent::Unreached(place));
                }
            }
        }
    }

    /// By a control connection, until the deadline.
    async fn finish_elsewhere(&self, shard: ShardId, deadline: Option<std::time::Instant>) -> bool {
        let gid = self.gid.on(shard);
        loop {
            if let Some(control) = self.coordinator.shards.get(shard) {
                match control.finish(&gid, Verdict::Commit).await {
                    Ok(Finished::Done) => return true,
                    // Done by another, or by ours after all: its row may go once that is on the standby too.
                    Ok(Finished::Absent) => {
                        if control.look(&gid, Durability::Synchronous).await == Holding::Gone {
                            return true;
                        }
                    }
                    Ok(Finished::Busy) => {}
                    Err(error) => tracing::debug!(%gid, %error, "not committed yet"),
                }
            }
            if deadline.is_none_or(|deadline| self.coordinator.clock.now() >= deadline) {
                tracing::warn!(%gid, "a shard can't be reached after the decision: recovery will commit there");
                return false;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Nothing was decided: those that have prepared let go. What can't be reached is left to recovery.
    async fn roll_back_prepared(&mut self) {
        for place in std::mem::take(&mut self.prepared) {
            let Some(at) = self.others.get(place).copied() else {
                continue;
            };
            let Some((gid, participant)) = self.gid_at(at).zip(self.participants.get_mut(at)) else {
                continue;
            };
            if participant.life == Life::Gone {
                continue;
            }
            participant.access = Access::Read;
            let mut answer = Answer::default();
            let readies = queue(participant, &[format!("ROLLBACK PREPARED '{gid}'").as_bytes()]);
            if send(participant).await.is_ok() {
                let _left_to_recovery = await_ready(participant, readies, |frame| answer.look(frame, self.heard)).await;
            }
        }
    }
}

// === helpers, in the order of their callers ===

fn wrote(participants: &Participants, at: usize) -> bool {
    participants.get(at).is_some_and(|p| p.access == Access::Write)
}

/// An error that came with the end of the transaction has left nothing to roll back.
fn note_end(participant: &mut Participant) {
    if participant.status == b'I' {
        participant.begun = Begun::Autocommit;
        participant.access = Access::Read;
    }
}

/// Queues simple Queries behind a Sync that is owed; how many ReadyForQuery that makes.
fn queue(participant: &mut Participant, texts: &[&[u8]]) -> u32 {
    let out = &mut participant.backend.link.out_buffer;
    let mut readies = 0;
    if participant.sync == Sync::Owed {
        wire::put_sync(out);
        readies += 1;
    }
    for text in texts {
        wire::put_query(out, text);
        readies += 1;
    }
    readies
}

/// What a shard answered: its last tag, its first error, its last row.
#[derive(Debug, Default)]
struct Answer {
    tag: Vec<u8>,
    error: Option<Box<ErrorFields>>,
    row: Vec<Option<String>>,
}

impl Answer {
    fn look(&mut self, frame: &Frame<'_>, heard: &mut Heard) -> Result<(), FrameError> {
        match frame.tag {
            b'E' if self.error.is_none() => self.error = Some(Box::new(ErrorFields::parse(frame.body)?)),
            b'C' => {
                self.tag.clear();
                self.tag.extend(frame.body.iter().take_while(|byte| **byte != 0));
            }
            b'D' => {
                self.row = DataRow::parse(frame.body)?
                    .values
                    .map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                    .collect();
            }
            b'N' => heard.notices.extend_from_slice(frame.whole),
            b'A' => heard.notifications.extend_from_slice(frame.whole),
            _ => {}
        }
        Ok(())
    }
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

/// What tells readers on which shards the transaction is, and lets them wait for it: it comes and goes with its rows.
fn mark(gid: &Gid, all: &[ShardId]) -> String {
    let all: Vec<String> = all.iter().map(|shard| shard.index().to_string()).collect();
    format!(
        "SELECT shardgate.put_mark('{}'::pg_catalog.text, '{{{}}}'::pg_catalog.int4[]); \
         SELECT pg_catalog.pg_advisory_xact_lock_shared({});",
        gid.tx_id,
        all.join(","),
        LockKey::of(&gid.tx_id)
    )
}

/// What a participant does before the decision, as one message. Deferred triggers run here, under the client's role; what
/// else belongs to the transaction (marks, advisory locks) has its place before them.
fn prepare_batch(gid: &Gid, mark: &str, durability: Durability) -> String {
    let wait = match durability {
        Durability::Synchronous => "SET LOCAL synchronous_commit = on; ",
        Durability::AsSet => "",
    };
    // A timeout would end the wait for the standby, not what is waited for: as bad as a cancel.
    let timeout = "SET LOCAL statement_timeout = 0";
    format!("{wait}{mark} SET CONSTRAINTS ALL IMMEDIATE; {timeout}; PREPARE TRANSACTION '{gid}'")
}

/// Sets what COMMIT PREPARED needs for the session, and tells what was set: it can't run in a block, so SET LOCAL won't do.
const SYNCHRONOUS: &[u8] = b"SELECT pg_catalog.current_setting('synchronous_commit'), \
    pg_catalog.current_setting('statement_timeout'), \
    pg_catalog.set_config('synchronous_commit', 'on', false), pg_catalog.set_config('statement_timeout', '0', false)";

/// Puts back what [`SYNCHRONOUS`] found, where it was something else.
async fn restore(participant: &mut Participant, found: &[Option<String>]) {
    let (Some(Some(synchronous)), Some(Some(timeout))) = (found.first(), found.get(1)) else {
        return;
    };
    if synchronous == "on" && timeout == "0" {
        return;
    }
    let sql = format!("SET synchronous_commit = '{synchronous}'; SET statement_timeout = '{timeout}'");
    let readies = queue(participant, &[sql.as_bytes()]);
    let mut failed = send(participant).await.is_err();
    if !failed {
        let mut answer = Answer::default();
        let trip = await_ready(participant, readies, |frame| answer.look(frame, &mut Heard::default())).await;
        failed = trip.is_err() || answer.error.is_some();
    }
    if failed {
        participant.life = Life::Gone;
    }
}

/// PREPARE's own refusals are ours to explain; any other error is the client's.
fn refused_prepare(fields: Box<ErrorFields>, name: String) -> EndError {
    if fields.code() == SqlState::FEATURE_NOT_SUPPORTED {
        return EndError::CannotPrepare {
            name,
            why: fields.message().into_owned(),
        };
    }
    EndError::Shard {
        fields,
        shard: Some(name),
    }
}
