//! The end of a message or a batch: what the block has become, which backends are let go, ReadyForQuery; and fan-outs.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;

use crate::admin::Enrolment;
use crate::backend::Link;
use crate::execute::{Consistency, Describe, ExecuteError, Fan, FanRequest, Given, Interrupt, Reading, Sink};
use crate::plan::{FanOut, RowLocks, Snapshot};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::lane::ends_session;
use crate::session::load::Used;
use crate::session::portal::{Bound, Place};
use crate::session::pump::{CLIENT_BUFFER_HIGH, poll_ahead};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::reading::Lasts;
use crate::session::state::{Copying, Ended, Running, Session, Skipping, Stale, Wrapping};
use crate::session::track::Outcome;
use crate::telemetry::{CacheUse, StatementEvent, StatementKind};
use crate::transaction::{
    Begun, EndHow, Follows, Form, Life, Participant, Participants, SettingsKept, State, Sync, Worked,
};
use crate::value::{Format, Oid};
use crate::wire;

/// `shardgate.consistency = 'snapshot'`.
pub(super) const NO_SNAPSHOT_CONSISTENCY: Failure = Failure::NotInThisVersion {
    construct: "shardgate.consistency = 'snapshot'",
};

impl Session {
    /// Whether everything goes to one shard as it is; decided between transactions.
    pub(super) fn choose_mode(&mut self, snapshot: &Snapshot) {
        if self.block.state() == State::Idle && self.participants.iter().all(|p| p.begun == Begun::Autocommit) {
            let single = self.is_single(snapshot);
            if single != self.transparent {
                self.transparent = single;
                self.mind_all_timers();
            }
        }
    }

    /// Whether a backend that joins is sent BEGIN.
    pub(super) fn joins_blocks(&self) -> bool {
        !self.transparent && (self.block.is_explicit() || self.wrapping == Wrapping::Yes)
    }

    /// A statement, or a batch, begins.
    pub(super) fn begin_running(&mut self) {
        self.failed = false;
        self.cancelled_by = None;
        self.rows = 0;
        let now = self.world.clock.now();
        self.running = Running {
            since: now,
            deadline: self.world.statement_deadline(now),
            mark: self.enrolment.cancel_mark(),
            kind: StatementKind::Unplanned,
            shard: None,
            outcome: crate::telemetry::Outcome::Done,
            cache: CacheUse::Bypass,
            sent: 0,
            received: 0,
        };
        self.used = Used::default();
        self.victim.store(false, Ordering::Release);
        if let Some(named) = self.participants.named() {
            named.set_busy(Some(now));
        }
        self.enrolment.count_statement();
    }

    /// Why the statement under way was cancelled: at a client's request, or as the victim of a deadlock.
    pub(super) fn cancel_failure(&self) -> Failure {
        match self.victim.load(Ordering::Acquire) {
            true => Failure::Deadlock,
            false => Failure::Cancelled,
        }
    }

    /// The statement under way has ended.
    pub(super) fn count_statement(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.running.since);
        self.world.telemetry.statement(&StatementEvent {
            kind: self.running.kind,
            shard: self.running.shard,
            outcome: self.running.outcome,
            cache: self.running.cache,
            elapsed,
            queue: self.used.queue,
            backend: self.load.is_measured().then_some(self.used.backend),
            rows: self.rows,
            bytes_to_shard: self.running.sent,
            bytes_from_shard: self.running.received,
        });
        if let Some(slow) = self.world.slow_after()
            && elapsed >= slow
        {
            tracing::info!(
                session = self.id,
                plan = self.running.kind.label(),
                ?elapsed,
                "slow statement"
            );
        }
    }

    /// The end of a Query message.
    pub(super) async fn finish_query(&mut self) -> Result<(), Gone> {
        if self.copying != Copying::No {
            return Ok(()); // its data come first
        }
        self.end_wrapped().await?;
        self.ready().await
    }

    /// Sync: ends the batch.
    pub(super) async fn sync(&mut self) -> Result<(), Gone> {
        if let Err(stop) = self.place_deferred().await {
            if self.skipping == Skipping::No {
                if let Err(earlier) = self.flush_and_settle().await {
                    self.report_failure(earlier)?;
                }
                self.report_failure(stop)?;
            }
            self.deferred = None;
        }
        if self.failed && !self.transparent {
            self.fail_other_servers().await?;
        }
        self.sync_all().await?;
        if self.copying != Copying::No {
            return Ok(()); // that Sync was swallowed
        }
        self.skipping = Skipping::No;
        self.end_wrapped().await?;
        self.ready().await
    }

    /// Sends the Syncs that are owed and settles all.
    pub(super) async fn sync_all(&mut self) -> Result<(), Gone> {
        let mut done = Ok(());
        // Usually one backend: what it owes and its Sync are one wait.
        if let Some(at) = self.active
            && self.owes(at)
        {
            self.put_sync(at);
        }
        if let Err(stop) = self.settle().await {
            done = Err(stop);
        }
        for at in 0..self.participants.len() {
            if self.copying != Copying::No {
                break; // whatever was sent behind the COPY is swallowed
            }
            if self.owes(at) {
                self.put_sync(at);
                self.active = Some(at);
                if let Err(stop) = self.settle().await {
                    done = Err(stop);
                }
            }
        }
        if let Err(stop) = done {
            self.report_failure(stop)?;
        }
        Ok(())
    }

    fn owes(&self, at: usize) -> bool {
        self.participants.get(at).is_some_and(|p| p.sync == Sync::Owed)
    }

    fn put_sync(&mut self, at: usize) {
        if let Some(participant) = self.participants.get_mut(at) {
            wire::put_sync(&mut participant.backend.link.out_buffer);
            participant.sync = Sync::Settled;
            // Its ReadyForQuery is ours to give; notices and ParameterStatus before it are the client's.
            self.queue.push_back(Owed::Backend {
                kind: Kind::Sync,
                shown: Shown::Yes,
                undo: Undo::Nothing,
            });
        }
    }

    /// An implicit block that had to be made explicit on its backends ends here.
    async fn end_wrapped(&mut self) -> Result<(), Gone> {
        let held = self.held_tag.take();
        self.hold_tag = false;
        self.lone = false;
        if self.wrapping == Wrapping::No {
            if let Some(tag) = held {
                self.client.out_buffer.extend_from_slice(&tag);
            }
            return Ok(());
        }
        self.wrapping = Wrapping::No;
        if self.block.is_explicit() {
            if let Some(tag) = held {
                self.client.out_buffer.extend_from_slice(&tag);
            }
            return Ok(()); // a BEGIN absorbed it
        }
        let how = if self.failed { EndHow::Rollback } else { EndHow::Commit };
        let ended = self.end_participants(how).await;
        let outcome = if self.failed || ended.is_err() {
            Outcome::RolledBack
        } else {
            Outcome::Committed
        };
        self.finish_block(outcome);
        match ended {
            Ok(()) => {
                if let Some(tag) = held {
                    self.client.out_buffer.extend_from_slice(&tag);
                }
            }
            Err(stop) => self.report_failure(stop)?,
        }
        Ok(())
    }

    /// What is left of a block that has lost a part is rolled back without waiting for the client: others wait for its
    /// locks (sessions.md 21).
    pub(super) async fn roll_back_rest(&mut self) {
        let in_block = |p: &Participant| p.begun == Begun::Block;
        if self.block.is_explicit() && self.participants.iter().any(|p| in_block(p) && p.life == Life::Gone) {
            self.block.lose_part();
        }
        if !self.block.has_lost_part() || !self.participants.iter().any(in_block) {
            return;
        }
        if let Err(stop) = Box::pin(self.end_participants(EndHow::Rollback)).await {
            // Their connections end, and so do their transactions; the client knows already that it has failed.
            tracing::debug!(session = self.id, ?stop, "a shard could not be told to roll back");
        }
        // They have gone back; the session itself does so when the client ends its block.
        let Some(before) = self.block.at_begin().map(|saved| saved.settings.clone()) else {
            return;
        };
        let before = self.with_custom_names(before);
        for participant in self.participants.iter_mut() {
            if participant.begun == Begun::Autocommit && participant.follows == Follows::Yes {
                participant.note_settings(&before);
                participant.follows = Follows::No;
            }
        }
    }

    /// ReadyForQuery, after the block has been brought up to date and backends were let go.
    async fn ready(&mut self) -> Result<(), Gone> {
        self.queue.clear();
        self.skipping = Skipping::No;
        if self.told_moment.is_some() && !self.block.is_explicit() {
            self.told_moment = None;
        }
        if self.transparent {
            self.follow_server();
        } else if self.block.state() == State::Implicit {
            let outcome = if self.failed {
                Outcome::RolledBack
            } else {
                Outcome::Committed
            };
            self.finish_block(outcome);
        }
        if !self.block.is_explicit() {
            self.portals.clear();
            if self.recheck == Stale::No {
                self.keep_whole_datestyle();
            }
        }
        self.roll_back_rest().await;
        let discarded = self.participants.iter().any(|p| p.settings_kept == SettingsKept::No);
        self.charge();
        self.release().await;
        let lost = self.participants.iter().position(ends_session);
        if let Some(at) = lost {
            return self.lost_while_idle(at);
        }
        if !self.block.is_explicit() {
            // Cursors end with the transaction, but those WITH HOLD, which live on a backend that stays.
            let participants = &self.participants;
            self.cursors.retain(|_, shard| participants.find(*shard).is_some());
        }
        self.show_shards();
        if (self.recheck == Stale::Yes && !self.transparent) || discarded {
            self.recheck = Stale::No;
            if let Err(Stop::Gone(gone)) = Box::pin(self.ask_reports()).await {
                return Err(gone);
            }
            // What was reported before may have been a SET LOCAL that is over.
            if !self.block.is_explicit() {
                self.keep_whole_datestyle();
            }
        }
        if self.block.state() == State::Failed {
            self.report_what_failed_back();
        }
        self.put_reports();
        self.tell_notifications();
        wire::put_ready(&mut self.client.out_buffer, self.block.status());
        self.count_statement(self.world.clock.now());
        Ok(())
    }

    /// `SET DateStyle = 'ISO'` leaves the order of day and month as it was: only what the server reported can be replayed.
    pub(super) fn keep_whole_datestyle(&mut self) {
        const REPORTED_AS: &str = "DateStyle";
        let looked_at = (self.settings.digest(), self.reports);
        if self.whole_datestyle == looked_at {
            return;
        }
        self.whole_datestyle = looked_at;
        if let (Some(kept), Some(whole)) = (self.settings.get(REPORTED_AS), self.reported.get(REPORTED_AS))
            && kept != whole
            && let Ok(settings) = self.settings.with_value(REPORTED_AS, whole)
        {
            self.settings = settings;
        }
    }

    /// On one shard the block is what the server says.
    fn follow_server(&mut self) {
        let status = self.participants.iter().next().map(|p| p.status);
        match (status, self.block.state()) {
            (Some(b'I') | None, State::Explicit | State::Failed | State::Implicit) => {
                let outcome = if self.failed || self.block.state() == State::Failed {
                    Outcome::RolledBack
                } else {
                    Outcome::Committed
                };
                self.finish_block(outcome);
            }
            (Some(b'T'), State::Idle | State::Implicit) => {
                let saved = self.saved();
                let default = self.effective.default_isolation;
                let _began = self
                    .block
                    .begin(crate::transaction::Characteristics::default(), &saved, default);
            }
            (Some(b'E'), State::Idle | State::Implicit) => {
                let saved = self.saved();
                let default = self.effective.default_isolation;
                let _began = self
                    .block
                    .begin(crate::transaction::Characteristics::default(), &saved, default);
                self.block.fail();
            }
            (Some(b'E'), State::Explicit) => self.block.fail(),
            (Some(_) | None, State::Idle | State::Implicit | State::Explicit | State::Failed) => {}
        }
    }

    /// Answers a failure; the session goes on unless the client is gone.
    pub(super) fn report_failure(&mut self, stop: Stop) -> Result<(), Gone> {
        match stop {
            Stop::Gone(gone) => Err(gone),
            Stop::Failed(Failure::AlreadyAnswered) => Ok(()),
            Stop::Failed(failure) => {
                self.count_failure(&failure);
                self.unheard = None;
                let fields = self.fields_of(&failure);
                wire::put_error(&mut self.client.out_buffer, &fields);
                self.failed = true;
                self.block.fail();
                Ok(())
            }
        }
    }

    // --- several shards ---

    /// Runs a fan-out to its end.
    pub(super) async fn run_fan(
        &mut self,
        plan: &Arc<FanOut>,
        bound: &Bound,
        result_formats: &[Format],
        describe: Describe,
    ) -> Result<(), Stop> {
        let mut fan = self.start_fan(plan, bound, result_formats, String::new(), 0).await?;
        if describe == Describe::Yes {
            self.put_fan_columns(&fan, plan)?;
        }
        let given = self.emit(&mut fan, 0).await?;
        self.end_fan();
        match given {
            Given::Complete(rows) => self.put_select_tag(rows),
            Given::Suspended => return Err(Failure::Bug("an unlimited fan-out was suspended").into()),
        }
        Ok(())
    }

    /// The columns of a fan-out, as home calls their types and tables.
    pub(super) fn put_fan_columns(&mut self, fan: &Fan, plan: &FanOut) -> Result<(), Stop> {
        let whole = self.fan_columns(fan, plan)?;
        self.client.out_buffer.extend_from_slice(&whole);
        Ok(())
    }

    /// The same, to be given later: a whole RowDescription.
    pub(super) fn fan_columns(&self, fan: &Fan, plan: &FanOut) -> Result<BytesMut, Stop> {
        let first = plan.shards.first().and_then(|shard| self.participants.find(*shard));
        let mut whole = BytesMut::new();
        fan.put_description(&mut whole);
        if let Some(map) = first.and_then(|at| self.foreign_oids(at)) {
            let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
            whole = crate::session::oids::row_description(body, &map)
                .map_err(|_| Failure::Bug("a RowDescription can't be read"))?;
        }
        Ok(whole)
    }

    pub(super) fn put_select_tag(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
        self.put_tag(format!("SELECT {rows}").as_bytes());
    }

    /// All backends first, in shard order, then the statement to each.
    pub(super) async fn start_fan(
        &mut self,
        plan: &Arc<FanOut>,
        bound: &Bound,
        result_formats: &[Format],
        portal: String,
        row_limit: i32,
    ) -> Result<Fan, Stop> {
        let lanes = self.fan_lanes(plan).await?;
        let reading = self.fan_reading(plan, bound, &lanes)?;
        let values: Vec<Option<&[u8]>> = bound.values.iter().map(Option::as_deref).collect();
        let world = Arc::clone(&self.world);
        let request = FanRequest {
            plan,
            lanes: &lanes,
            formats: &bound.formats,
            values: &values,
            types: &self.fan_types(&plan.parameter_types, &lanes),
            result_formats,
            portal: &portal,
            row_limit,
            consistency: self.fan_consistency(plan, &lanes, &world)?,
            reading: &reading,
            finish_reading: &self.reading_on(bound, lanes.iter().copied()),
        };
        let (mut sink, participants) = self.sink();
        let started = Fan::start(&request, participants, &mut sink).await;
        drop(sink);
        started.map_err(|error| self.fan_failed(error))
    }

    /// By lane: declared types as its shard calls them; empty where all call them alike.
    fn fan_types(&self, declared: &[Oid], lanes: &[usize]) -> Vec<Vec<Oid>> {
        let foreign = lanes.iter().any(|at| self.foreign_oids(*at).is_some());
        match declared.is_empty() || !foreign {
            true => Vec::new(),
            false => lanes
                .iter()
                .map(|at| self.types_for(*at, declared).into_owned())
                .collect(),
        }
    }

    /// What the shards need to read the text's literals as they were read at first.
    fn fan_reading(&self, plan: &FanOut, bound: &Bound, lanes: &[usize]) -> Result<Reading, Stop> {
        let in_block = |at: &usize| self.participants.get(*at).is_some_and(|p| p.begun == Begun::Block);
        let lasts = match self.snapshot_form(plan, lanes)?.is_some() || lanes.iter().any(in_block) {
            true => Lasts::Transaction,
            false => Lasts::Session,
        };
        Ok(self.reading(bound, lasts).unwrap_or_default())
    }

    /// Makes a block of this batch, what it has done already included; it ends with the batch.
    pub(super) async fn begin_batch_block(&mut self) -> Result<(), Stop> {
        let saved = self.saved();
        self.block.enter_implicit(&saved, self.effective.default_isolation);
        self.adopt_batch().await?;
        self.wrapping = Wrapping::Yes;
        Ok(())
    }

    /// Makes a block of what this batch has done on its backends, if that has to be seen by a read on several.
    pub(super) async fn join_batch(&mut self) -> Result<(), Stop> {
        // Work of this batch on other backends must share its transaction with this read; a Parse alone is no work.
        if !self.block.is_explicit() {
            let owes = |p: &Participant| p.sync == Sync::Owed;
            let worked = self.participants.iter().any(|p| owes(p) && p.worked == Worked::Yes);
            if worked {
                let saved = self.saved();
                self.block.enter_implicit(&saved, self.effective.default_isolation);
            }
            if self.participants.iter().any(owes) {
                self.adopt_batch().await?;
            }
            if worked {
                self.wrapping = Wrapping::Yes;
            }
        }
        Ok(())
    }

    /// Whether a read over several shards is to see each transaction whole.
    pub(super) fn wants_consistency(&self) -> Result<bool, Stop> {
        match self.consistency() {
            Some("statement") => Ok(false),
            Some("snapshot") => Err(NO_SNAPSHOT_CONSISTENCY.into()),
            Some(_) | None => Ok(true),
        }
    }

    /// What a fan-out is told of it.
    pub(super) fn fan_consistency<'a>(
        &self,
        plan: &FanOut,
        lanes: &[usize],
        world: &'a crate::session::world::World,
    ) -> Result<Consistency<'a>, Stop> {
        Ok(match self.snapshot_form(plan, lanes)? {
            Some(form) => Consistency::Atomic(form, &world.coordinator),
            None => Consistency::Statement,
        })
    }

    /// How the shards' snapshots are made to agree; none: they aren't.
    fn snapshot_form(&self, plan: &FanOut, lanes: &[usize]) -> Result<Option<Form>, Stop> {
        if !self.wants_consistency()? {
            return Ok(None);
        }
        let in_block = |at: &usize| self.participants.get(*at).is_some_and(|p| p.begun == Begun::Block);
        Ok(match (lanes.len(), plan.row_locks) {
            (0 | 1, _) => None,
            // REPEATABLE READ would fail on a row that changed meanwhile; in a block it would come too late.
            (_, RowLocks::Yes) => Some(Form::Bracketed),
            (_, RowLocks::No) if lanes.iter().any(in_block) => Some(Form::Bracketed),
            (_, RowLocks::No) => Some(Form::Whole),
        })
    }

    /// The client's side of an execution under way, and the backends that it drives.
    pub(super) fn sink(&mut self) -> (ClientSink<'_>, &mut Participants) {
        let sink = ClientSink::new(
            &mut self.client,
            &mut self.client_ended,
            &self.enrolment,
            self.running.mark,
            self.running.deadline,
        );
        (sink, &mut self.participants)
    }

    pub(super) async fn emit(&mut self, fan: &mut Fan, limit: u64) -> Result<Given, Stop> {
        let (mut sink, participants) = self.sink();
        let given = fan.emit(limit, participants, &mut sink).await;
        drop(sink);
        given.map_err(|error| self.fan_failed(error))
    }

    pub(super) fn end_fan(&mut self) {
        self.active = None;
    }

    pub(super) fn fan_failed(&mut self, error: ExecuteError) -> Stop {
        self.active = None;
        let expired = self.running.deadline.is_some_and(|d| self.world.clock.now() >= d);
        match error {
            ExecuteError::Interrupted(Interrupt::ClientGone(error)) => Gone::Vanished(error).into(),
            ExecuteError::Interrupted(Interrupt::Cancelled) if expired => Failure::StatementTimeout.into(),
            ExecuteError::Interrupted(Interrupt::Cancelled) => self.cancel_failure().into(),
            ExecuteError::Shard { shard, mut fields } => {
                if let Some(shard) = shard {
                    fields.add_where(&format!("shard {}", self.world.shard_name(shard)));
                }
                // Its position is that of the text which the shard got.
                fields.remove(wire::ErrorField::Position);
                Failure::Shard(fields).into()
            }
            ExecuteError::Lost { shard: None, .. } => Failure::Bug("a shard without a name was lost").into(),
            ExecuteError::Lost {
                shard: Some(shard),
                said,
            } => {
                let name = self.world.shard_name(shard);
                Failure::Lost { shard, name, said }.into()
            }
            ExecuteError::Unexpected { .. } | ExecuteError::Frame(_) => {
                Failure::Bug("a shard broke the protocol in a fan-out").into()
            }
            ExecuteError::Merge(error) => Failure::Merge(error).into(),
            ExecuteError::Differs { first, other } => Failure::ShardsDiffer {
                first: self.world.shard_name(first),
                other: self.world.shard_name(other),
            }
            .into(),
            ExecuteError::Form => crate::session::cursors::NO_BINARY.into(),
            ExecuteError::NoSnapshot => Failure::NoSnapshot.into(),
            ExecuteError::Bug(what) => Failure::Bug(what).into(),
        }
    }

    /// The first Execute with a row limit of a fan-out's portal.
    pub(super) async fn begin_limited_fan(
        &mut self,
        name: &[u8],
        plan: &Arc<FanOut>,
        bound: &Bound,
        formats: &[Format],
        row_limit: i32,
    ) -> Result<(), Stop> {
        self.outlive_sync().await?;
        let said = String::from_utf8_lossy(name);
        let cursor = self.begin_cursor(&said, plan, bound, formats, row_limit).await?;
        if let Some(portal) = self.portals.get_mut(name) {
            portal.place = Place::Suspended(Box::new(cursor));
        }
        self.continue_limited_fan(name, row_limit).await
    }

    /// Further rows of a suspended fan-out.
    pub(super) async fn continue_limited_fan(&mut self, name: &[u8], row_limit: i32) -> Result<(), Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        let Some(mut portal) = self.portals.remove(name) else {
            return Err(Failure::Bug("a portal is missing").into());
        };
        let Place::Suspended(cursor) = &mut portal.place else {
            return Err(Failure::Bug("a portal is not suspended").into());
        };
        let done = self.give(cursor, row_limit).await;
        self.portals.insert(name.to_vec(), portal);
        done
    }
}

/// The client's side of a fan-out.
pub(super) struct ClientSink<'a> {
    link: &'a mut Link,
    ended: &'a mut Ended,
    cancelled: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
    expired: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl<'a> ClientSink<'a> {
    fn new(
        link: &'a mut Link,
        ended: &'a mut Ended,
        enrolment: &'a Enrolment,
        mark: crate::admin::CancelMark,
        deadline: Option<std::time::Instant>,
    ) -> ClientSink<'a> {
        ClientSink {
            link,
            ended,
            cancelled: Box::pin(enrolment.cancelled(mark)),
            expired: Box::pin(async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            }),
        }
    }
}

impl Sink for ClientSink<'_> {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.link.out_buffer
    }

    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.link.out_buffer.len() < CLIENT_BUFFER_HIGH {
            return Poll::Ready(Ok(()));
        }
        self.link.poll_drain(context)
    }

    fn poll_interrupt(&mut self, context: &mut Context<'_>) -> Poll<Interrupt> {
        if let Poll::Ready(error) = poll_ahead(self.link, self.ended, context) {
            return Poll::Ready(Interrupt::ClientGone(error));
        }
        if self.cancelled.as_mut().poll(context).is_ready() || self.expired.as_mut().poll(context).is_ready() {
            return Poll::Ready(Interrupt::Cancelled);
        }
        Poll::Pending
    }
}
