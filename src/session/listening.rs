//! LISTEN on every shard, UNLISTEN where something may be listened to, and when notifications are told.
//!
//! Why on every shard: a trigger notifies on the shard of its row. Holds: all shards listen or none does; a backend
//! that listens is pinned, and a session that has lost one ends; a client is told of nothing inside its block, as by
//! Postgres.

use std::sync::Arc;

use crate::execute::Describe;
use crate::plan::{Counts, Sameness, SessionEffect, WriteAnswer, WritePart, Writes};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::portal::Bound;
use crate::session::pump::fatal;
use crate::session::state::Session;
use crate::session::track::Outcome;
use crate::sql::PositionMap;
use crate::topology::{ShardId, ShardSet};
use crate::transaction::{Begun, Examine, Participant};

const LISTEN: &str = "LISTEN";

/// So much is kept for the end of a block; what is beyond is told at once, which the protocol allows at any time.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

impl Session {
    /// LISTEN: in a block on every shard, each backend pinned before it runs.
    pub(super) async fn listen(&mut self, plan: &Arc<Writes>, bound: &Bound) -> Result<(), Stop> {
        let lanes = self.enlist_writes(plan).await?;
        for at in lanes.values() {
            self.may_pin(*at, &SessionEffect::Pin(LISTEN))?;
        }
        let written = self.write_on(&lanes, plan, bound, &[]).await?;
        for at in lanes.values() {
            self.pin_listening(Some(*at));
        }
        self.put_written(&written, Describe::No)
    }

    /// UNLISTEN, of one channel or all: on every backend that may listen. Drivers' pools send it whenever a client is
    /// done, so a session that nothing is pinned to takes no backend for it.
    pub(super) async fn unlisten(&mut self, text: &[u8]) -> Result<(), Stop> {
        let pinned = self.participants.iter().filter(|p| p.pin.is_some());
        let shards = pinned.fold(ShardSet::EMPTY, |set, p| set.with(p.shard));
        if shards == ShardSet::EMPTY {
            self.put_tag(b"UNLISTEN");
            return Ok(());
        }
        let part = |shard| WritePart {
            shard,
            text: text.to_vec(),
            positions: Some(PositionMap::default()),
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            counts: Counts::Yes,
        };
        let plan = Arc::new(Writes {
            parts: shards.iter().map(part).collect(),
            answer: WriteAnswer::Same(Sameness::Tag),
        });
        let lanes = self.enlist_writes(&plan).await?;
        let written = self.write_on(&lanes, &plan, &Bound::default(), &[]).await?;
        for at in lanes.values() {
            self.examine(Some(*at));
        }
        self.put_written(&written, Describe::No)
    }

    /// LISTEN has run on the backend at `at`.
    pub(super) fn pin_listening(&mut self, at: Option<usize>) {
        self.pin(at, LISTEN);
        if let Some(participant) = at.and_then(|at| self.participants.get_mut(at))
            && participant.examine == Examine::No
        {
            participant.examine = Examine::UnlessCommitted;
        }
    }

    /// Whether LISTEN has run in the transaction that is to end.
    pub(super) fn has_listened(&self) -> bool {
        let listened = |p: &Participant| p.begun == Begun::Block && p.examine == Examine::UnlessCommitted;
        self.participants.iter().any(listened)
    }

    /// Whether the session listens, or may.
    pub(super) fn listens(&self) -> bool {
        self.participants.iter().any(|p| p.pin == Some(LISTEN))
    }

    /// Whoever listens would miss what is told on a shard that has come since: between transactions the session ends.
    pub(super) fn hears_all_shards(&self) -> Result<(), Gone> {
        let snapshot = self.snapshot();
        let missed = |shard: &ShardId| self.participants.find(*shard).is_none();
        match snapshot.topology().all_shards().iter().find(missed) {
            None => Ok(()),
            Some(shard) => {
                let failure = Failure::ShardUnheard(self.world.shard_name(shard));
                Err(Gone::Fatal(Box::new(fatal(self.fields_of(&failure)))))
            }
        }
    }

    /// What LISTEN has left is known once its transaction has ended.
    pub(super) fn end_listening(&mut self, outcome: Outcome) {
        let listened = self.participants.iter_mut();
        for participant in listened.filter(|p| p.examine == Examine::UnlessCommitted) {
            participant.examine = match outcome {
                Outcome::Committed => Examine::No,
                Outcome::RolledBack => Examine::Due,
            };
        }
    }

    /// A savepoint was rolled back to: perhaps LISTEN came behind it.
    pub(super) fn doubt_listening(&mut self) {
        self.end_listening(Outcome::RolledBack);
    }

    /// LISTEN was committed on some shards only: nobody may go on as if all listened.
    pub(super) fn half_listening(&mut self, failure: &Failure) -> Gone {
        Gone::Fatal(Box::new(fatal(self.fields_of(failure))))
    }

    /// Takes what a backend was told while the proxy itself was asking.
    pub(super) fn take_notified(&mut self, participant: &mut Participant) {
        if let Some(mut notified) = participant.backend.notified.take() {
            self.notifications.append(&mut notified.0);
        }
    }

    /// Gives the client what it was notified of, unless it is in a block.
    pub(super) fn tell_notifications(&mut self) {
        if !self.block.is_explicit() || self.notifications.len() > KEPT_BYTES_MAX {
            let notifications = std::mem::take(&mut self.notifications);
            self.client.out_buffer.extend_from_slice(&notifications);
        }
    }
}
