//! The pump: backend → client, in step with what is owed.
//!
//! A sketch of its cost, which is the cost of a statement: one read of the client, one write to the backend, one read of
//! the backend, one write to the client; frame headers are looked at, DataRow bodies are copied once from one buffer to
//! the other. A wait polls all ends in one `poll_fn`, so nothing blocks while the other side could go on.
//! Holds: nothing is read from a backend while the client's buffer is full; a frame that is looked at is whole; after
//! an error nothing is expected up to the next Sync; ReadyForQuery is never a shard's byte passed on.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};

use crate::discovery::OidMap;
use crate::session::defaults::own_tag;
use crate::session::error::{Failure, Gone, Stop};
use crate::session::idle::is_timer;
use crate::session::oids;
use crate::session::prepared::{Agreement, Described};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::{CopyProtocol, Copying, Ended, Schema, Session, Skipping, Urgent};
use crate::session::track::Tracked;
use crate::sql::Lexing;
use crate::telemetry::Outcome;
use crate::transaction::{Begun, Life, Sync, Worked};
use crate::value::Oid;
use crate::wire::{
    self, CommandComplete, ErrorFields, FrameError, Interest, Next, ParameterDescription, ParameterStatus,
    ReadyForQuery,
};

/// Bytes for the client beyond which nothing more is read from backends before some have been written.
pub(super) const CLIENT_BUFFER_HIGH: usize = 64 * 1024;

/// What Postgres buffers before it writes (`PQ_SEND_BUFFER_SIZE`): while we wait, as much goes out.
pub(super) const CLIENT_BUFFER_FLUSH: usize = 8 * 1024;

/// Bytes of a client's next messages that are read while a statement runs.
const CLIENT_AHEAD_MAX: usize = 64 * 1024;

/// How often a client that has sent EOF is asked for a sign of life while its statement runs.
const PROBE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Room for what is said besides a shard's answer.
const ANSWER_ROOM: usize = 64;

/// What a wait ended with.
#[derive(Debug)]
pub(super) enum Turn {
    /// the backend has sent something
    Input,
    /// something was written; look again
    Written,
    /// the backend's connection has ended
    BackendEnded,
    /// a cancel request or a timeout
    Cancelled(Failure),
    /// the client's socket failed
    ClientFailed(io::Error),
    /// the client has sent EOF, and nothing is known of it since
    Probe,
}

/// How one look at the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absorbed {
    /// more bytes are needed
    NeedsInput,
    /// an answer was completed: look at the queue again
    Advanced,
}

impl Session {
    /// Waits until nothing is owed any more. On return either the queue is empty or a COPY FROM STDIN has begun.
    pub(super) async fn settle(&mut self) -> Result<(), Stop> {
        loop {
            self.give_local_answers();
            if self.queue.is_empty() || self.copying != Copying::No {
                return Ok(());
            }
            let Some(at) = self.active else {
                return Err(Failure::Bug("answers owed by no backend").into());
            };
            match self.absorb(at) {
                Ok(Absorbed::Advanced) => continue,
                Ok(Absorbed::NeedsInput) => {}
                Err(error) => {
                    tracing::error!(session = self.id, %error, "a shard broke the protocol");
                    self.lose(at, None).await?;
                    continue;
                }
            }
            let turn = self.turn(at).await;
            self.after_turn(at, turn).await?;
        }
    }

    /// What a wait for the backend at `at` ended with is dealt with.
    pub(super) async fn after_turn(&mut self, at: usize, turn: Turn) -> Result<(), Stop> {
        match turn {
            Turn::Input | Turn::Written => {}
            Turn::BackendEnded => self.lose(at, None).await?,
            Turn::Cancelled(Failure::Cancelled) => self.cancel_backends(self.cancel_failure()).await,
            Turn::Cancelled(why) => self.cancel_backends(why).await,
            Turn::ClientFailed(error) => return Err(Gone::Vanished(error).into()),
            Turn::Probe => self.probe(at).await?,
        }
        Ok(())
    }

    /// Asks the active backend to send what it owes, then waits for it.
    pub(super) async fn flush_and_settle(&mut self) -> Result<(), Stop> {
        let owed_by_backend = self.queue.iter().any(|owed| match owed {
            Owed::Backend { .. } => true,
            Owed::Local { .. } => false,
        });
        if owed_by_backend && let Some(participant) = self.active.and_then(|at| self.participants.get_mut(at)) {
            wire::put_flush(&mut participant.backend.link.out_buffer);
        }
        self.settle().await
    }

    fn give_local_answers(&mut self) {
        while let Some(Owed::Local { .. }) = self.queue.front() {
            if let Some(Owed::Local { bytes, .. }) = self.queue.pop_front() {
                self.client.out_buffer.extend_from_slice(&bytes);
            }
        }
    }

    /// One wait on all ends.
    pub(super) async fn turn(&mut self, at: usize) -> Turn {
        let since = self.running.mark;
        let deadline = self.running.deadline;
        let enrolment = &self.enrolment;
        let mut cancelled = pin!(enrolment.cancelled(since));
        let mut expired = pin!(deadline.map(|deadline| tokio::time::sleep_until(deadline.into())));
        let half_closed = self.client_ended == Ended::Yes;
        let mut silent = pin!(async {
            if half_closed {
                tokio::time::sleep(PROBE_EVERY).await;
            } else {
                std::future::pending::<()>().await;
            }
        });
        let already_cancelled = self.participants.iter().any(|p| p.cancels > 0);
        let urgent = self.urgent;
        let (client, participants, client_ended) = (&mut self.client, &mut self.participants, &mut self.client_ended);
        let turn = poll_fn(|context| {
            let Some(participant) = participants.get_mut(at) else {
                return Poll::Ready(Turn::BackendEnded);
            };
            let backend = &mut participant.backend.link;
            if !backend.out_buffer.is_empty() {
                match backend.poll_drain(context) {
                    Poll::Ready(Ok(())) | Poll::Pending => {}
                    // What it said before it ended is still to be read.
                    Poll::Ready(Err(_)) => backend.out_buffer.clear(),
                }
            }
            let waiting = client.out_buffer.len();
            if waiting > 0 && (waiting >= CLIENT_BUFFER_FLUSH || urgent == Urgent::Yes) {
                match client.poll_drain(context) {
                    Poll::Ready(Ok(())) => return Poll::Ready(Turn::Written),
                    Poll::Ready(Err(error)) => return Poll::Ready(Turn::ClientFailed(error)),
                    Poll::Pending => {}
                }
            }
            if client.out_buffer.len() < CLIENT_BUFFER_HIGH {
                match backend.poll_fill(context) {
                    Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Turn::BackendEnded),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Turn::Input),
                    Poll::Pending => {}
                }
            }
            if let Poll::Ready(error) = poll_ahead(client, client_ended, context) {
                return Poll::Ready(Turn::ClientFailed(error));
            }
            if *client_ended == Ended::Yes && !half_closed {
                return Poll::Ready(Turn::Written); // from now on it is probed
            }
            if half_closed && silent.as_mut().poll(context).is_ready() {
                return Poll::Ready(Turn::Probe);
            }
            if !already_cancelled {
                if cancelled.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Turn::Cancelled(Failure::Cancelled));
                }
                if let Some(expired) = expired.as_mut().as_pin_mut()
                    && expired.poll(context).is_ready()
                {
                    return Poll::Ready(Turn::Cancelled(Failure::StatementTimeout));
                }
            }
            Poll::Pending
        })
        .await;
        if self.client.out_buffer.is_empty() {
            self.urgent = Urgent::No;
        }
        turn
    }

    /// A client that has sent EOF may still read (a half-closed socket gets every answer) or be gone. Only a write tells:
    /// a ParameterStatus that says what the client knows changes nothing for the one, and is answered by a reset for the
    /// other (sessions.md 4).
    async fn probe(&mut self, at: usize) -> Result<(), Stop> {
        let between = self.participants.get(at).is_some_and(|p| p.scanner.is_at_boundary());
        if between && self.client.out_buffer.is_empty() {
            let name = "application_name";
            let value = self.reported.get(name).map_or("", String::as_str);
            wire::put_parameter_status(&mut self.client.out_buffer, name.as_bytes(), value.as_bytes());
            self.client
                .drain()
                .await
                .map_err(|error| Stop::Gone(Gone::Vanished(error)))?;
        }
        Ok(())
    }

    /// Takes what the backend has sent as far as it goes.
    fn absorb(&mut self, at: usize) -> Result<Absorbed, FrameError> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Ok(Absorbed::NeedsInput);
        };
        if participant.backend.link.in_buffer.is_empty() {
            return Ok(Absorbed::NeedsInput);
        }
        let waiting = participant.backend.link.in_buffer.len();
        if self.client.out_buffer.is_empty() {
            self.client
                .out_buffer
                .reserve(waiting.min(CLIENT_BUFFER_HIGH).saturating_add(ANSWER_ROOM));
        }
        // Taken out, so that frames are looked at where they lie: cutting them off would count references to them.
        let mut input = std::mem::take(&mut participant.backend.link.in_buffer);
        let absorbed = self.absorb_from(at, &mut input);
        if let Some(participant) = self.participants.get_mut(at) {
            participant.backend.link.in_buffer = input;
        }
        absorbed
    }

    fn absorb_from(&mut self, at: usize, input: &mut BytesMut) -> Result<Absorbed, FrameError> {
        loop {
            let shown = match self.queue.front() {
                Some(Owed::Backend { shown, .. }) => *shown,
                Some(Owed::Local { .. }) | None => return Ok(Absorbed::Advanced),
            };
            if input.is_empty() {
                return Ok(Absorbed::NeedsInput);
            }
            let Some(participant) = self.participants.get_mut(at) else {
                return Ok(Absorbed::NeedsInput);
            };
            let cut = participant.scanner.cut(input, interest)?;
            if cut.pass > 0 {
                self.running.received = self.running.received.saturating_add(cut.pass as u64);
                if shown == Shown::Yes {
                    self.client
                        .out_buffer
                        .extend_from_slice(input.get(..cut.pass).unwrap_or_default());
                }
                input.advance(cut.pass);
            }
            match cut.next {
                Next::More => return Ok(Absorbed::NeedsInput),
                Next::Frame => {
                    let Some(frame) = wire::next_frame(input, wire::LOOK_FRAME_LIMIT)? else {
                        return Ok(Absorbed::NeedsInput);
                    };
                    let length = frame.whole.len();
                    self.running.received = self.running.received.saturating_add(length as u64);
                    let absorbed = self.on_frame(at, frame.tag, frame.body, frame.whole)?;
                    input.advance(length);
                    if self.copying != Copying::No {
                        return Ok(Absorbed::Advanced);
                    }
                    match absorbed {
                        Absorbed::Advanced if self.is_next_owed_by_backend() => {}
                        Absorbed::Advanced => return Ok(Absorbed::Advanced),
                        Absorbed::NeedsInput => {}
                    }
                    if self.client.out_buffer.len() >= CLIENT_BUFFER_HIGH {
                        return Ok(Absorbed::NeedsInput);
                    }
                }
            }
        }
    }

    /// Whether the next answer comes from the backend too, so that the same input may hold it.
    fn is_next_owed_by_backend(&self) -> bool {
        match self.queue.front() {
            Some(Owed::Backend { .. }) => true,
            Some(Owed::Local { .. }) | None => false,
        }
    }

    /// Whether the last that was sent to the backend still needs its Sync: behind a BEGIN of ours, say, whose answer is
    /// read together with those of the messages that it went before.
    fn owes_more_than_queries(&self) -> bool {
        let last = self.queue.iter().rev().find_map(|owed| match owed {
            Owed::Backend { kind, .. } => Some(kind),
            Owed::Local { .. } => None,
        });
        last.is_some_and(|kind| !matches!(kind, Kind::Query(_) | Kind::Sync))
    }

    /// One looked-at message of the backend at `at`.
    fn on_frame(&mut self, at: usize, tag: u8, body: &[u8], whole: &[u8]) -> Result<Absorbed, FrameError> {
        let shown = match self.queue.front() {
            Some(Owed::Backend { shown, .. }) => *shown,
            Some(Owed::Local { .. }) | None => return Ok(Absorbed::Advanced),
        };
        match tag {
            b'N' => {
                if shown == Shown::Yes {
                    self.client.out_buffer.extend_from_slice(whole);
                    self.urgent = Urgent::Yes;
                }
                return Ok(Absorbed::NeedsInput);
            }
            b'A' => {
                self.client.out_buffer.extend_from_slice(whole);
                self.urgent = Urgent::Yes;
                return Ok(Absorbed::NeedsInput);
            }
            b'S' => {
                self.on_parameter_status(body, shown)?;
                return Ok(Absorbed::NeedsInput);
            }
            b'E' => return self.on_error(at, body).map(|()| Absorbed::Advanced),
            _ => {}
        }
        let relay = |session: &mut Session| {
            if shown == Shown::Yes {
                session.client.out_buffer.extend_from_slice(whole);
            }
        };
        let Some(Owed::Backend { kind, .. }) = self.queue.front_mut() else {
            return Ok(Absorbed::Advanced);
        };
        match (kind, tag) {
            (Kind::Parse, b'1') | (Kind::Bind, b'2') | (Kind::Close, b'3') => {
                relay(self);
                self.pop();
            }
            (Kind::DescribeStatement(statement), b't') => {
                let mut parameters = ParameterDescription::parse(body)?.types.iter().collect::<Vec<Oid>>();
                let statement = Arc::clone(statement);
                match self.foreign_oids(at) {
                    Some(map) => {
                        parameters = oids::types_to_home(&parameters, &map);
                        if shown == Shown::Yes {
                            wire::put_parameter_description(&mut self.client.out_buffer, &parameters);
                        }
                    }
                    None => relay(self),
                }
                self.describing(&statement, parameters);
                return Ok(Absorbed::NeedsInput);
            }
            (Kind::DescribeStatement(statement), b'T' | b'n') => {
                let statement = Arc::clone(statement);
                let rows = if tag == b'T' {
                    Some(self.home_columns(at, whole)?)
                } else {
                    None
                };
                if shown == Shown::Yes {
                    self.client
                        .out_buffer
                        .extend_from_slice(rows.as_deref().unwrap_or(whole));
                }
                let rows = rows.map(|whole| whole.get(wire::HEADER_BYTES..).unwrap_or_default().to_vec());
                self.pop();
                // What the client asks for itself may be another cursor of the same name by now.
                if self.described(&statement, rows) == Agreement::Changed && shown == Shown::No {
                    self.result_type_changed = true;
                }
            }
            (Kind::DescribePortal, b'T' | b'n') => {
                self.relay_columns(at, tag, whole, shown)?;
                self.pop();
            }
            (Kind::Execute(tracked), b'C' | b'I' | b's') => {
                let tracked = tracked.take();
                if !self.put_own_tag(tracked.as_deref(), tag, body)? {
                    relay(self);
                }
                self.pop();
                if tag == b'C' {
                    self.count_rows(body);
                }
                if tag == b'C'
                    && let Some(tracked) = tracked
                {
                    let tag = CommandComplete::parse(body)?.tag.to_vec();
                    self.note(Some(at), &tracked, &tag);
                }
            }
            (Kind::Query(tracked), b'C' | b'I') => {
                let first = if tracked.is_empty() {
                    None
                } else {
                    Some(tracked.remove(0))
                };
                if self.hold_tag && shown == Shown::Yes {
                    self.held_tag = Some(whole.to_vec());
                } else if shown == Shown::No || !self.put_own_tag(first.as_ref(), tag, body)? {
                    relay(self);
                }
                if tag == b'C' {
                    self.count_rows(body);
                }
                if tag == b'C'
                    && let Some(tracked) = first
                {
                    let tag = CommandComplete::parse(body)?.tag.to_vec();
                    self.note(Some(at), &tracked, &tag);
                }
                return Ok(Absorbed::NeedsInput);
            }
            (Kind::Query(_) | Kind::Sync, b'Z') => {
                let status = ReadyForQuery::parse(body)?.status.byte();
                self.pop();
                let owes_sync = self.owes_more_than_queries();
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.status = status;
                    if !owes_sync {
                        participant.sync = Sync::Settled;
                    }
                }
                if !self.is_next_owed_by_backend()
                    && let Some(participant) = self.participants.get_mut(at)
                {
                    participant.backend.link.answered();
                }
            }
            (Kind::Query(_), b'T' | b'n') => {
                self.relay_columns(at, tag, whole, shown)?;
                return Ok(Absorbed::NeedsInput);
            }
            (Kind::Query(_) | Kind::Execute(_), b'H' | b'c') => {
                relay(self);
                return Ok(Absorbed::NeedsInput);
            }
            (Kind::Query(_), b'G') => {
                relay(self);
                self.copying = Copying::In(at, CopyProtocol::Simple);
            }
            (Kind::Execute(_), b'G') => {
                relay(self);
                // The backend swallows what was sent behind the Execute (sessions.md 9): a Sync there is not answered.
                self.queue
                    .retain(|owed| !matches!(owed, Owed::Backend { kind: Kind::Sync, .. }));
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.sync = Sync::Owed;
                }
                self.copying = Copying::In(at, CopyProtocol::Extended);
            }
            (_, b'V') => {
                relay(self);
                return Ok(Absorbed::NeedsInput);
            }
            (_, other) => return Err(FrameError::UnknownTag { tag: other }),
        }
        Ok(Absorbed::Advanced)
    }

    /// The map of a shard whose OIDs aren't home's; free on one shard.
    pub(super) fn foreign_oids(&self, at: usize) -> Option<Arc<OidMap>> {
        if self.transparent {
            return None;
        }
        let shard = self.participants.get(at)?.shard;
        match &self.schema {
            Schema::Own(seen) => seen.foreign_oids(shard).map(Arc::clone),
            Schema::Common | Schema::Due => self.world.discovery.picture().foreign_oids(shard),
        }
    }

    /// A RowDescription as home would send it; whole.
    fn home_columns(&self, at: usize, whole: &[u8]) -> Result<Vec<u8>, FrameError> {
        match self.foreign_oids(at) {
            Some(map) => Ok(oids::row_description(whole.get(wire::HEADER_BYTES..).unwrap_or_default(), &map)?.to_vec()),
            None => Ok(whole.to_vec()),
        }
    }

    fn relay_columns(&mut self, at: usize, tag: u8, whole: &[u8], shown: Shown) -> Result<(), FrameError> {
        if shown == Shown::No {
            return Ok(());
        }
        match self.foreign_oids(at) {
            Some(map) if tag == b'T' => {
                let home = oids::row_description(whole.get(wire::HEADER_BYTES..).unwrap_or_default(), &map)?;
                self.client.out_buffer.extend_from_slice(&home);
            }
            Some(_) | None => self.client.out_buffer.extend_from_slice(whole),
        }
        Ok(())
    }

    /// The tag of what the client wrote, where something else was sent for it; whether it was given.
    fn put_own_tag(&mut self, tracked: Option<&Tracked>, tag: u8, body: &[u8]) -> Result<bool, FrameError> {
        let (Some(tracked), b'C') = (tracked, tag) else {
            return Ok(false);
        };
        let said = CommandComplete::parse(body)?.tag;
        let Some(own) = own_tag(&tracked.command, said) else {
            return Ok(false);
        };
        wire::put_command_complete(&mut self.client.out_buffer, own);
        Ok(true)
    }

    fn pop(&mut self) {
        let _done = self.queue.pop_front();
    }

    fn count_rows(&mut self, body: &[u8]) {
        if let Ok(complete) = CommandComplete::parse(body)
            && let Some(rows) = complete.rows()
        {
            self.rows = self.rows.saturating_add(rows);
        }
    }

    fn describing(&mut self, statement: &Arc<crate::session::prepared::Statement>, parameters: Vec<Oid>) {
        self.described_parameters = Some((statement.id(), parameters));
    }

    fn described(&mut self, statement: &Arc<crate::session::prepared::Statement>, rows: Option<Vec<u8>>) -> Agreement {
        let parameters = match self.described_parameters.take() {
            Some((id, parameters)) if id == statement.id() => parameters,
            Some(_) | None => Vec::new(),
        };
        statement.note_described(Described { parameters, rows })
    }

    fn on_parameter_status(&mut self, body: &[u8], shown: Shown) -> Result<(), FrameError> {
        let status = ParameterStatus::parse(body)?;
        let name = String::from_utf8_lossy(status.name).into_owned();
        let value = String::from_utf8_lossy(status.value).into_owned();
        if shown == Shown::Yes {
            self.report(name, value);
        }
        Ok(())
    }

    /// A reported setting has a value: the client is told before ReadyForQuery, as Postgres does, unless it knows.
    pub(super) fn report(&mut self, name: String, value: String) {
        if self.reported.get(&name) == Some(&value) {
            return;
        }
        if name == "application_name" {
            self.enrolment.set_application_name(&value);
        }
        let lexed = name == "standard_conforming_strings" || name == "client_encoding";
        if !self.unreported.iter().any(|(known, _)| *known == name) {
            self.unreported.push((name.clone(), self.reported.get(&name).cloned()));
        }
        Arc::make_mut(&mut self.reported).insert(name, value);
        self.reports = self.reports.wrapping_add(1);
        if lexed {
            self.lexing = Lexing::from_settings(
                self.reported
                    .get("standard_conforming_strings")
                    .map_or("on", String::as_str),
                self.reported.get("client_encoding").map_or("UTF8", String::as_str),
            );
        }
    }

    /// Tells the client what has changed since it was told last.
    pub(super) fn put_reports(&mut self) {
        let mut unreported = std::mem::take(&mut self.unreported);
        unreported.sort_by_key(|(name, _)| name.to_ascii_lowercase());
        for (name, told) in unreported {
            if let Some(value) = self.reported.get(&name)
                && told.as_ref() != Some(value)
            {
                wire::put_parameter_status(&mut self.client.out_buffer, name.as_bytes(), value.as_bytes());
            }
        }
    }

    /// ErrorResponse of the backend at `at`.
    fn on_error(&mut self, at: usize, body: &[u8]) -> Result<(), FrameError> {
        let mut fields = ErrorFields::parse(body)?;
        if fields.ends_connection() {
            if let Some(participant) = self.participants.get_mut(at) {
                participant.life = Life::Gone;
            }
            self.last_words = Some(Box::new(fields));
            return Ok(()); // its EOF follows, and is where the loss is dealt with
        }
        if let Some(participant) = self.participants.get_mut(at)
            && participant.begun == Begun::Autocommit
        {
            participant.worked = Worked::No; // what it did in this batch is undone
        }
        if matches!(self.queue.front(), Some(Owed::Backend { kind: Kind::Poison, .. })) {
            // The client has had its error; the server's block has failed now too.
            self.pop();
            return Ok(());
        }
        let from_query = matches!(
            self.queue.front(),
            Some(Owed::Backend {
                kind: Kind::Query(_),
                ..
            })
        );
        if let Some(why) = self.cancelled_by.take()
            && fields.code() == wire::SqlState::QUERY_CANCELED
        {
            fields = self.fields_of(&why);
        }
        self.running.outcome = match fields.code() {
            wire::SqlState::QUERY_CANCELED => Outcome::Cancelled,
            _ => Outcome::Failed,
        };
        self.world
            .telemetry
            .error(fields.code().as_str(), crate::telemetry::ErrorOrigin::Shard);
        self.with_client_names(&mut fields);
        wire::put_error(&mut self.client.out_buffer, &fields);
        self.block.fail();
        self.failed = true;
        if from_query {
            if let Some(Owed::Backend {
                kind: Kind::Query(tracked),
                shown,
                ..
            }) = self.queue.front_mut()
            {
                tracked.clear();
                if *shown == Shown::No {
                    *shown = Shown::Yes;
                }
            }
        } else {
            self.skip_to_sync();
        }
        Ok(())
    }

    /// A backend knows a prepared statement by a name of ours; the client is told its own.
    fn with_client_names(&self, fields: &mut ErrorFields) {
        const OURS: &str = "\"sg_";
        let message = fields.message().into_owned();
        let Some((before, rest)) = message.split_once(OURS) else {
            return;
        };
        let Some((digits, after)) = rest.split_once('"') else {
            return;
        };
        let Ok(id) = digits.parse::<u64>() else { return };
        let name = self.statements.iter().find(|(_, named)| named.statement.id() == id);
        if let Some((name, _)) = name {
            let name = String::from_utf8_lossy(name);
            fields.put(wire::ErrorField::Message, format!("{before}\"{name}\"{after}"));
        }
    }

    /// After an error in the extended protocol: what was sent up to the next Sync is not answered, and what it changed
    /// here is taken back.
    pub(super) fn skip_to_sync(&mut self) {
        // A failed unnamed Parse leaves none, not the one before; one that was never reached leaves that.
        let no_unnamed = matches!(
            self.queue.front(),
            Some(Owed::Backend { kind: Kind::Parse, undo: Undo::Statement(name, _), .. }) if name.is_empty()
        );
        let mut undone = Vec::new();
        loop {
            match self.queue.front() {
                None => {
                    self.skipping = Skipping::ToSync;
                    break;
                }
                Some(Owed::Backend { kind: Kind::Sync, .. }) => break,
                Some(Owed::Backend { .. } | Owed::Local { .. }) => {
                    if let Some(Owed::Backend { undo, .. } | Owed::Local { undo, .. }) = self.queue.pop_front() {
                        undone.push(undo);
                    }
                }
            }
        }
        for undo in undone.into_iter().rev() {
            self.undo(undo);
        }
        if no_unnamed {
            self.unnamed = None;
        }
    }

    pub(super) fn undo(&mut self, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Statement(name, before) => {
                if name.is_empty() {
                    self.unnamed = before.map(crate::session::state::Named::new);
                } else {
                    match before {
                        Some(statement) => {
                            self.statements
                                .insert(name, crate::session::state::Named::new(statement));
                        }
                        None => {
                            self.statements.remove(&name);
                        }
                    }
                }
            }
            Undo::Portal(name, before) => match before {
                Some(portal) => {
                    self.portals.insert(name, *portal);
                }
                None => {
                    self.portals.remove(&name);
                }
            },
            Undo::Prepared(at, id) => {
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.backend.prepared.remove(id);
                }
            }
            Undo::Unnamed(at) => {
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.set_unnamed(0);
                }
            }
        }
    }

    /// The connection of the backend at `at` has ended. What it owed is answered here.
    pub(super) async fn lose(&mut self, at: usize, said: Option<Box<ErrorFields>>) -> Result<(), Stop> {
        let Some(mut lost) = self.participants.remove(at) else {
            return Ok(());
        };
        self.charge_lost(&mut lost);
        let said = said.or_else(|| self.last_words.take());
        if let Some(said) = said.as_deref().filter(|said| self.transparent && is_timer(said)) {
            return Err(Gone::Fatal(Box::new(said.clone())).into()); // it ran out as the client spoke
        }
        let name = self.world.shard_name(lost.shard);
        self.active = None;
        self.copying = Copying::No;
        self.failed = true;
        self.running.outcome = Outcome::Failed;
        let failure = Failure::Lost {
            shard: lost.shard,
            name,
            said,
        };
        let fields = self.fields_of(&failure);
        self.world
            .telemetry
            .error(fields.code().as_str(), crate::telemetry::ErrorOrigin::Shard);
        if lost.pin.is_some() {
            return Err(Gone::Fatal(Box::new(fatal(fields))).into());
        }
        wire::put_error(&mut self.client.out_buffer, &fields);
        if self.block.is_explicit() {
            // The client must end its block before anything else runs; no backend is left that knows of it.
            self.transparent = false;
        }
        self.block.fail();
        if lost.begun == Begun::Block {
            self.block.lose_part();
        }
        self.world.pools.suspect(lost.shard);
        self.portals.clear();
        let in_query = matches!(
            self.queue.front(),
            Some(Owed::Backend {
                kind: Kind::Query(_),
                ..
            })
        );
        if in_query {
            self.queue.clear();
        } else {
            self.skip_to_sync();
            self.queue.clear();
        }
        Ok(())
    }
}

/// The same error, as the end of the session.
pub(super) fn fatal(fields: ErrorFields) -> ErrorFields {
    fields
        .with(wire::ErrorField::Severity, "FATAL")
        .with(wire::ErrorField::SeverityText, "FATAL")
}

/// Which frames of a backend are looked at.
#[inline]
fn interest(tag: u8) -> Interest {
    match tag {
        b'D' | b'd' => Interest::Pass,
        _ => Interest::Look,
    }
}

/// Reads what the client sends meanwhile, within a bound: so a reset is noticed, and a pipelining client isn't stopped.
pub(super) fn poll_ahead(
    client: &mut crate::backend::Link,
    ended: &mut Ended,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    while *ended == Ended::No && client.in_buffer.len().saturating_add(client.held_bytes) < CLIENT_AHEAD_MAX {
        match client.poll_fill(context) {
            Poll::Ready(Ok(0)) => *ended = Ended::Yes,
            Poll::Ready(Ok(_)) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(error),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Pending
}
