//! Accepting clients, and the life of one session.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{Call, Leave};
use crate::backend::Link;
use crate::session::error::{Gone, Stop};
use crate::session::idle::{Timer, Timers, is_timer};
use crate::session::load::{Load, Used};
use crate::session::names::Names;
use crate::session::recent::{RecentShapes, RecentTexts};
use crate::session::startup::{Parts, say_goodbye, serve_connection};
use crate::session::state::{
    CopyProtocol, Copying, Ended, Running, Schema, Session, Skipping, Stale, Urgent, Wrapping,
};
use crate::session::straight::Left;
use crate::session::world::World;
use crate::sql::{Lexing, Shape};
use crate::telemetry::{CacheUse, ClientState, Outcome, StatementKind};
use crate::transaction::{Begun, Block, Life, Participants, State};
use crate::wire;

/// After an error of accept (too many open files, say) nothing is accepted for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients until `shutdown` is ready; then waits for every session's end.
///
/// Sessions are told to leave by `admin::Registry`; whoever shuts down tells them.
pub async fn serve(listener: TcpListener, world: Arc<World>, shutdown: impl Future<Output = ()>) {
    let mut sessions = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
            Some(_ended) = sessions.join_next(), if !sessions.is_empty() => continue,
        };
        match accepted {
            Ok((stream, _peer)) => match Link::new(stream) {
                Ok(link) => {
                    let world = Arc::clone(&world);
                    sessions.spawn(serve_connection(world, link));
                }
                Err(error) => tracing::debug!(%error, "a client was gone before it was served"),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a client failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while sessions.join_next().await.is_some() {}
}

/// What waiting for the client ended with.
enum Woken {
    /// it has sent something
    Input,
    /// it has sent EOF
    Ended,
    /// its socket failed
    Failed(std::io::Error),
    /// a held backend has sent something, or ended
    Backend(usize),
    /// there may be new shards
    Reloaded,
    /// told to leave
    Leave,
    /// idle for a while: buffers are given back
    Tidy,
    /// too long idle
    IdleTooLong(Timer),
}

impl Session {
    /// A session that has authenticated.
    pub(super) fn begin(world: Arc<World>, client: Link, parts: Parts) -> Session {
        let now = world.clock.now();
        let reported = Arc::clone(&parts.report.parameters);
        let lexing = Lexing::from_settings(
            reported.get("standard_conforming_strings").map_or("on", String::as_str),
            reported.get("client_encoding").map_or("UTF8", String::as_str),
        );
        let mark = parts.enrolment.cancel_mark();
        let seed = u64::from(parts.enrolment.key().process_id);
        let timers = Timers::new(parts.report.idle, &parts.settings);
        let mut participants = Participants::default();
        if let Some(first) = parts.first {
            let _at = participants.push(first);
        }
        Session {
            client,
            client_ended: Ended::No,
            id: parts.enrolment.key().process_id,
            user: parts.user,
            login: parts.login,
            enrolment: parts.enrolment,
            settings: parts.settings,
            local: None,
            effective: Arc::clone(&parts.report.effective),
            stale: Stale::No,
            lexing,
            reported,
            notifications: Vec::new(),
            block: Block::default(),
            timers,
            participants,
            queue: VecDeque::new(),
            active: None,
            statements: Names::default(),
            unnamed: None,
            portals: Names::default(),
            recent: RecentTexts::default(),
            shapes: RecentShapes::default(),
            cursors: BTreeMap::new(),
            fan_cursors: BTreeMap::new(),
            skipping: Skipping::No,
            copying: Copying::No,
            split: None,
            copy_left: 0,
            drop_left: 0,
            urgent: Urgent::No,
            running: Running {
                since: now,
                deadline: None,
                mark,
                kind: StatementKind::Unplanned,
                shard: None,
                outcome: Outcome::Done,
                cache: CacheUse::Bypass,
                sent: 0,
                received: 0,
            },
            shape: Shape::default(),
            counter: 0,
            transparent: false,
            failed: false,
            wrapping: Wrapping::No,
            lone: false,
            told_moment: None,
            before_sync: false,
            hold_tag: false,
            held_tag: None,
            deferred: None,
            described_parameters: None,
            result_type_changed: false,
            last_words: None,
            unheard: None,
            cancelled_by: None,
            victim: Arc::default(),
            unreported: Vec::new(),
            reports: 1,
            whole_datestyle: (0, 0),
            directives: Vec::new(),
            recheck: Stale::No,
            rows: 0,
            ddl: false,
            schema: Schema::Common,
            effective_under: std::sync::Weak::new(),
            rest: None,
            in_batch: false,
            sent: None,
            load: Load::new(world.discovery.load_meter(), seed),
            used: Used::default(),
            sequences: crate::session::sequences::Memory::default(),
            world,
        }
    }

    /// Serves the client to the end.
    pub(super) async fn run(mut self: Box<Self>) {
        self.release().await;
        self.enrolment.set_state(ClientState::Idle);
        self.begin_idle();
        let gone = loop {
            let done = match poll_fn(|context| self.poll_straight(context)).await {
                Left::Next => self.step().await,
                Left::Unsent(order, input) => self.send_late(order, input).await,
                Left::Unanswered(awaited, at) => Box::pin(self.see_through(awaited, at)).await,
                Left::Unfinished(awaited) => Box::pin(self.finish_order(&awaited)).await,
                Left::Gone(gone) => Err(gone),
            };
            if let Err(gone) = done {
                break gone;
            }
        };
        tracing::debug!(session = self.id, user = %self.user, %gone, "session ends");
        // A statement that still runs for nobody is cancelled; backends are closed, so the server rolls back.
        let runs = !self.queue.is_empty();
        if runs && matches!(gone, Gone::Vanished(_)) {
            self.cancel_backends(crate::session::error::Failure::Cancelled).await;
        }
        for participant in self.participants.take() {
            if participant.life == Life::Alive {
                participant.backend.terminate();
            }
        }
        say_goodbye(&mut self.client, &gone).await;
    }

    /// One message of the client, or one wait for it.
    async fn step(&mut self) -> Result<(), Gone> {
        match self.copying {
            Copying::No => {}
            Copying::In(..) => return self.copy_step().await,
            Copying::Split(protocol) => return Box::pin(self.split_step(protocol)).await,
        }
        if self.drop_left > 0 {
            return self.drop_some().await;
        }
        let Some(tag) = self.client.in_buffer.first().copied() else {
            return self.wait().await;
        };
        let limit = wire::frontend_limit(tag)?;
        if tag == b'd' {
            // CopyData outside a COPY is dropped here, in pieces (sessions.md 9).
            let Some(header) = wire::Header::parse(&self.client.in_buffer, limit)? else {
                return self.wait().await;
            };
            self.drop_left = header.whole();
            self.heard();
            return Ok(());
        }
        let Some(frame) = wire::next_frame(&self.client.in_buffer, limit)? else {
            return self.wait().await;
        };
        let length = frame.whole.len();
        // The buffer is taken out, so that the message is read where it lies; what comes meanwhile goes behind it.
        let mut input = std::mem::take(&mut self.client.in_buffer);
        self.client.held_bytes = input.len().saturating_sub(length);
        self.before_sync = tag == b'E' && input.get(length) == Some(&b'S');
        let done = self.message(tag, input.get(..length).unwrap_or_default()).await;
        self.client.held_bytes = 0;
        input.advance(length);
        if !input.is_empty() {
            input.extend_from_slice(&self.client.in_buffer);
            self.client.in_buffer = input;
        } else if self.client.in_buffer.is_empty() {
            self.client.in_buffer = input;
        }
        done
    }

    /// One whole message.
    async fn message(&mut self, tag: u8, whole: &[u8]) -> Result<(), Gone> {
        let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
        match tag {
            b'Q' => {
                self.enter().await;
                let query = wire::Query::parse(body)?;
                Box::pin(self.query(query.text)).await?; // most take the straight way
                self.leave_batch();
            }
            b'P' | b'B' | b'D' | b'E' | b'C' | b'F' => {
                self.enter().await;
                self.extended(tag, body, whole).await?;
                if tag == b'F' {
                    self.finish_query().await?;
                    self.leave_batch();
                }
            }
            b'H' => {
                self.heard();
                if let Err(stop) = self.flush().await {
                    self.report_failure(stop)?;
                }
            }
            b'S' => {
                self.enter().await;
                self.sync().await?;
                if self.copying == Copying::No {
                    self.leave_batch();
                }
            }
            b'X' => return Err(Gone::Closed),
            // CopyDone and CopyFail outside a COPY.
            _ => self.heard(),
        }
        self.after_ddl().await;
        Ok(())
    }

    async fn drop_some(&mut self) -> Result<(), Gone> {
        let here = self.drop_left.min(self.client.in_buffer.len());
        self.client.in_buffer.advance(here);
        self.drop_left -= here;
        if self.drop_left > 0 { self.wait().await } else { Ok(()) }
    }

    /// A batch begins with its first message.
    async fn enter(&mut self) {
        if self.in_batch {
            return;
        }
        self.in_batch = true;
        // Whatever this one waits for, earlier answers don't (sessions.md 5).
        self.client.write_at_once();
        if !self.block.is_explicit() {
            self.enrolment.pass_gate().await;
        }
        self.enrolment.set_state(ClientState::Active);
        self.begin_running();
    }

    /// ReadyForQuery has been given.
    pub(super) fn leave_batch(&mut self) {
        if self.copying != Copying::No {
            return;
        }
        self.in_batch = false;
        self.begin_idle();
        self.enrolment.set_state(match self.block.state() {
            State::Idle | State::Implicit => ClientState::Idle,
            State::Explicit | State::Failed => ClientState::IdleInTransaction,
        });
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        self.place_deferred().await?;
        self.flush_and_settle().await?;
        self.client
            .drain()
            .await
            .map_err(|error| Stop::Gone(Gone::Vanished(error)))
    }

    /// After DDL the picture is read anew before the next statement is planned.
    pub(super) async fn after_ddl(&mut self) {
        if !self.ddl || self.block.is_explicit() {
            return;
        }
        self.ddl = false;
        self.schema = Schema::Common;
        if let Err(error) = Box::pin(self.world.discovery.refresh_now()).await {
            tracing::warn!(session = self.id, %error, "the catalog could not be read after DDL");
        }
    }

    /// Everything read is answered: writes it out, then waits for more.
    async fn wait(&mut self) -> Result<(), Gone> {
        if self.client_ended == Ended::Yes {
            return Err(Gone::Closed);
        }
        if !self.in_batch {
            self.tell_notifications();
        }
        if !self.client.out_buffer.is_empty() {
            self.client.drain().await.map_err(Gone::Vanished)?;
        }
        if !self.in_batch && self.client.in_buffer.is_empty() {
            self.client.trim_buffers();
            if self.client.has_buffers() {
                self.enrolment.rest();
            }
        }
        let idle = !self.in_batch && !self.block.is_explicit();
        let at_least = if idle { Leave::WhenIdle } else { Leave::Now };
        if self.enrolment.leave() >= at_least {
            return Err(Gone::Draining);
        }
        let reloads = self.listens().then(|| self.world.discovery.generations());
        if idle && reloads.is_some() {
            self.hears_all_shards()?;
        }
        let woken = self.wake(at_least, reloads).await;
        match woken {
            Woken::Input | Woken::Reloaded => Ok(()),
            Woken::Ended => {
                self.client_ended = Ended::Yes;
                Ok(())
            }
            Woken::Failed(error) => Err(Gone::Vanished(error)),
            Woken::Backend(at) => {
                self.unasked(at)?;
                self.roll_back_rest().await;
                if self.block.has_lost_part() {
                    self.release().await;
                }
                Ok(())
            }
            Woken::Leave => Err(Gone::Draining),
            Woken::Tidy => {
                self.client.release_buffers();
                Ok(())
            }
            Woken::IdleTooLong(timer) => Err(timer.gone()),
        }
    }

    async fn wake(&mut self, at_least: Leave, reloads: Option<watch::Receiver<u64>>) -> Woken {
        let idle_until = self.idle_until();
        let enrolment = &self.enrolment;
        let mut called = pin!(enrolment.called(at_least));
        let mut reloaded = reloads.map(|mut reloads| Box::pin(async move { reloads.changed().await.is_ok() }));
        let mut expired = pin!(idle_until.map(|(until, _)| tokio::time::sleep_until(until.into())));
        let (client, participants) = (&mut self.client, &mut self.participants);
        poll_fn(|context| {
            match client.poll_fill(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Woken::Ended),
                Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Input),
                Poll::Ready(Err(error)) => return Poll::Ready(Woken::Failed(error)),
                Poll::Pending => {}
            }
            // Held backends are always read: notifications, and the end of a connection.
            for (at, participant) in participants.iter_mut().enumerate() {
                if holds_notification(&participant.backend.link.in_buffer) {
                    return Poll::Ready(Woken::Backend(at)); // it came right behind an answer
                }
                match participant.backend.link.poll_fill(context) {
                    Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                        participant.life = Life::Gone;
                        return Poll::Ready(Woken::Backend(at));
                    }
                    Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Backend(at)),
                    Poll::Pending => {}
                }
            }
            if let Some(future) = &mut reloaded
                && let Poll::Ready(is_reload) = future.as_mut().poll(context)
            {
                reloaded = None;
                if is_reload {
                    return Poll::Ready(Woken::Reloaded);
                }
            }
            match called.as_mut().poll(context) {
                Poll::Ready(Call::Leave) => return Poll::Ready(Woken::Leave),
                Poll::Ready(Call::Tidy) => return Poll::Ready(Woken::Tidy),
                Poll::Pending => {}
            }
            if let (Some(expired), Some((_, timer))) = (expired.as_mut().as_pin_mut(), idle_until)
                && expired.poll(context).is_ready()
            {
                return Poll::Ready(Woken::IdleTooLong(timer));
            }
            Poll::Pending
        })
        .await
    }

    /// What a held backend sends without being asked.
    fn unasked(&mut self, at: usize) -> Result<(), Gone> {
        loop {
            let Some(participant) = self.participants.get_mut(at) else {
                return Ok(());
            };
            let taken = match wire::next_frame(&participant.backend.link.in_buffer, wire::LOOK_FRAME_LIMIT)? {
                None => None,
                Some(frame) => {
                    match frame.tag {
                        b'A' => self.notifications.extend_from_slice(frame.whole),
                        b'N' => self.client.out_buffer.extend_from_slice(frame.whole),
                        b'E' => {
                            if let Ok(fields) = wire::ErrorFields::parse(frame.body) {
                                self.last_words = Some(Box::new(fields));
                            }
                        }
                        _ => {}
                    }
                    Some(frame.whole.len())
                }
            };
            match taken {
                Some(length) => participant.backend.link.in_buffer.advance(length),
                None if participant.life == Life::Gone => return self.lost_while_idle(at),
                None => return Ok(()),
            }
        }
    }

    /// A held backend has ended while nothing ran on it.
    pub(super) fn lost_while_idle(&mut self, at: usize) -> Result<(), Gone> {
        let Some(lost) = self.participants.remove(at) else {
            return Ok(());
        };
        if let Some(said) = self.last_words.take_if(|said| is_timer(said)) {
            return Err(Gone::Fatal(said)); // it is the client that was idle
        }
        self.world.pools.suspect(lost.shard);
        let name = self.world.shard_name(lost.shard);
        let failure = crate::session::error::Failure::Lost {
            shard: lost.shard,
            name,
            said: self.last_words.take(),
        };
        let mut fields = self.fields_of(&failure);
        if lost.pin.is_some() {
            fields.put(wire::ErrorField::Severity, "FATAL");
            fields.put(wire::ErrorField::SeverityText, "FATAL");
            return Err(Gone::Fatal(Box::new(fields)));
        }
        // Inside a block: it has failed, and the client hears so at its next statement, unless it knows.
        if self.block.state() == State::Explicit {
            self.unheard = Some(Box::new(failure));
        }
        self.block.fail();
        if lost.begun == Begun::Block {
            self.block.lose_part();
        }
        self.transparent = false;
        self.portals.clear();
        Ok(())
    }

    /// One step of COPY FROM STDIN: the client's data go to the backend as they come.
    async fn copy_step(&mut self) -> Result<(), Gone> {
        let Copying::In(at, protocol) = self.copying else {
            return Ok(());
        };
        match self.client.in_buffer.is_empty() {
            true => self.copy_wait(at, protocol).await,
            false => self.forward_copy(at, protocol).await,
        }
    }

    /// Waits for more of the client's data, or for what the backend says meanwhile: an error, a notice.
    async fn copy_wait(&mut self, at: usize, protocol: CopyProtocol) -> Result<(), Gone> {
        if self.client_ended == Ended::Yes {
            return Err(Gone::Closed);
        }
        // In mid-message it isn't listened to: both ends must agree on where the next one begins.
        let between = self.copy_left == 0;
        let (client, participants) = (&mut self.client, &mut self.participants);
        let woken = poll_fn(|context| {
            match client.poll_fill(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Woken::Ended),
                Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Input),
                Poll::Ready(Err(error)) => return Poll::Ready(Woken::Failed(error)),
                Poll::Pending => {}
            }
            if let Poll::Ready(Err(error)) = client.poll_drain(context) {
                return Poll::Ready(Woken::Failed(error));
            }
            let Some(participant) = participants.get_mut(at) else {
                return Poll::Ready(Woken::Backend(at));
            };
            let link = &mut participant.backend.link;
            link.push_out(context);
            match between {
                true => link.poll_fill(context).map(|_| Woken::Backend(at)),
                false => Poll::Pending,
            }
        })
        .await;
        match woken {
            Woken::Input => Ok(()),
            Woken::Ended => {
                self.client_ended = Ended::Yes;
                Ok(())
            }
            Woken::Failed(error) => Err(Gone::Vanished(error)),
            Woken::Backend(_) => self.copy_answered(protocol).await,
            Woken::Leave | Woken::Tidy | Woken::IdleTooLong(_) | Woken::Reloaded => Ok(()),
        }
    }

    async fn forward_copy(&mut self, at: usize, protocol: CopyProtocol) -> Result<(), Gone> {
        const COPY_BUFFER_HIGH: usize = 256 * 1024;
        let Some(participant) = self.participants.get_mut(at) else {
            self.copying = Copying::No;
            return Ok(());
        };
        let input = &mut self.client.in_buffer;
        let out = &mut participant.backend.link.out_buffer;
        let mut ended = false;
        while !input.is_empty() {
            if self.copy_left > 0 {
                let here = self.copy_left.min(input.len());
                out.extend_from_slice(input.get(..here).unwrap_or_default());
                input.advance(here);
                self.copy_left -= here;
                continue;
            }
            if out.len() >= COPY_BUFFER_HIGH {
                break;
            }
            let Some(tag) = input.first().copied() else { break };
            let limit = wire::frontend_limit(tag)?;
            let Some(header) = wire::Header::parse(input, limit)? else {
                break;
            };
            match tag {
                b'd' => self.copy_left = header.whole(),
                b'S' | b'H' => {
                    if input.len() < header.whole() {
                        break;
                    }
                    input.advance(header.whole()); // swallowed, as Postgres does (sessions.md 9)
                }
                b'c' | b'f' => {
                    if input.len() < header.whole() {
                        break;
                    }
                    out.extend_from_slice(input.get(..header.whole()).unwrap_or_default());
                    input.advance(header.whole());
                    ended = true;
                    break;
                }
                b'X' => return Err(Gone::Closed),
                _ => {
                    // The server's to answer: an error, then the end of the connection.
                    if input.len() < header.whole() {
                        break;
                    }
                    out.extend_from_slice(input.get(..header.whole()).unwrap_or_default());
                    input.advance(header.whole());
                    return self.end_as_server(at).await;
                }
            }
        }
        if ended {
            self.copying = Copying::No;
            return self.copy_ended(protocol).await;
        }
        let needs_more = self.client.in_buffer.is_empty() || self.copy_left == 0;
        if let Some(participant) = self.participants.get_mut(at)
            && participant.backend.link.out_buffer.len() >= COPY_BUFFER_HIGH / 2
        {
            // The backend may raise an error and stop reading: its answer must be looked for while we write.
            let drained = poll_fn(|context| {
                let link = &mut participant.backend.link;
                match link.poll_drain(context) {
                    Poll::Ready(done) => return Poll::Ready(done.is_ok()),
                    Poll::Pending => {}
                }
                match link.poll_fill(context) {
                    Poll::Ready(_) => Poll::Ready(true),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
            let answered = !participant.backend.link.in_buffer.is_empty();
            // The message under way is finished first: both ends must agree on where the next one begins.
            if (answered && self.copy_left == 0) || !drained {
                return self.copy_answered(protocol).await;
            }
        } else if needs_more {
            return self.copy_wait(at, protocol).await;
        }
        Ok(())
    }

    /// Relays what a backend says until it ends the connection; so ends the session.
    async fn end_as_server(&mut self, at: usize) -> Result<(), Gone> {
        if let Some(participant) = self.participants.get_mut(at) {
            let link = &mut participant.backend.link;
            let mut open = link.drain().await.is_ok();
            while open {
                open = matches!(link.fill().await, Ok(count) if count > 0);
            }
            self.client.out_buffer.extend_from_slice(&link.in_buffer);
            participant.life = Life::Gone;
        }
        Err(Gone::Closed)
    }

    /// The backend spoke before the data ended: an error, or a notice.
    async fn copy_answered(&mut self, protocol: CopyProtocol) -> Result<(), Gone> {
        let Copying::In(at, _) = self.copying else {
            return Ok(());
        };
        let error = self
            .participants
            .get(at)
            .is_none_or(|p| p.backend.link.in_buffer.first().is_none_or(|tag| *tag == b'E'));
        if !error {
            return self.unasked(at);
        }
        // The server drops what the client still sends of this COPY; so do we, up to its end (sessions.md 9).
        self.copying = Copying::No;
        self.copy_left = 0;
        self.copy_ended(protocol).await
    }

    async fn copy_ended(&mut self, protocol: CopyProtocol) -> Result<(), Gone> {
        match protocol {
            CopyProtocol::Simple => {
                if let Err(stop) = self.settle().await {
                    self.report_failure(stop)?;
                }
                if let Some(at) = self.active {
                    self.follow_status(at);
                }
                Box::pin(self.run_rest()).await?;
                self.finish_query().await?;
                self.leave_batch();
            }
            CopyProtocol::Extended => {
                if let Err(stop) = self.flush_and_settle().await {
                    self.report_failure(stop)?;
                }
            }
        }
        Ok(())
    }
}

/// Does a whole notification lie there?
fn holds_notification(input: &[u8]) -> bool {
    let whole = |limit| matches!(wire::next_frame(input, limit), Ok(Some(_)));
    input.first() == Some(&b'A') && whole(wire::LOOK_FRAME_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<F: Future>(_: impl FnOnce(Box<Session>) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle client costs these two and little else: what is rare belongs into a box.
    #[test]
    fn a_session_is_small() {
        let (session, future) = (size_of::<Session>(), size(Session::run));
        assert!(session <= 2_000, "a session takes {session} bytes");
        assert!(future <= 2_000, "its future takes {future} bytes");
    }
}
