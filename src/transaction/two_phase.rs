//! One transaction that several shards have written: PREPARE, the decision, COMMIT PREPARED.
//!
//! Holds: it does what [`Commit`] says, and nothing else decides; every participant is sent to before any is awaited.
//! What can't be reached after the decision is left to recovery.

use std::time::Duration;

use super::clean::Holding;
use super::commit::{Commit, CommitAction, CommitEvent, Ending};
use super::coordinator::Coordinator;
use super::ended::{EndError, Heard};
use super::fault::Step;
use super::gid::{Gid, TxSecret};
use super::lock::LockKey;
use super::participants::{Begun, Life, Participant, Participants};
use super::rules::{Durability, Rules, Verdict};
use super::shards::Finished;
use super::trip::{Answer, TripError, await_ready, queue, send};
use crate::backend::ControlError;
use crate::plan::Access;
use crate::topology::ShardId;
use crate::wire::{ErrorField, ErrorFields, SqlState};

/// How long a committer that has lost its decision's answer looks for it before it says that it doesn't know.
const DOUBT_MAX: Duration = Duration::from_secs(15);

/// How long a participant that can't be reached after the decision holds up the answer.
const UNREACHED_MAX: Duration = Duration::from_secs(3);

/// Between two attempts on a control connection.
const PAUSE: Duration = Duration::from_millis(50);

/// One transaction under way.
pub(super) struct Under<'a> {
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

impl<'a> Under<'a> {
    /// `all` are the shards of those that have written: `decision`, which is never prepared, and `others`.
    pub(super) fn new(
        coordinator: &'a Coordinator,
        participants: &'a mut Participants,
        heard: &'a mut Heard,
        (secret, gid, all): (TxSecret, Gid, &[ShardId]),
        (decision, others): (usize, Vec<usize>),
    ) -> Under<'a> {
        Under {
            coordinator,
            participants,
            heard,
            secret,
            gid,
            mark: mark(&gid, all),
            decision,
            others,
            prepared: Vec::new(),
            error: None,
            behind: Vec::new(),
        }
    }

    /// What went wrong first, and who has committed but not answered.
    pub(super) fn into_outcome(self) -> (Option<EndError>, Vec<String>) {
        (self.error, self.behind)
    }

    pub(super) async fn run(&mut self) -> Ending {
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

/// An error that came with the end of the transaction has left nothing to roll back.
fn note_end(participant: &mut Participant) {
    if participant.status == b'I' {
        participant.begun = Begun::Autocommit;
        participant.access = Access::Read;
    }
}

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
