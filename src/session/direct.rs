//! Carrying out an order: the batch is sent as it lies in the client's buffer, and the usual answer relayed in one piece.
//!
//! Why: message by message a batch passes through everything that any other batch might need.
//! Holds: whatever isn't the usual is handed to the other way, in the state that this would have been in there, with the
//! answers owed in the queue (`owe`). Both ways take backends from the same pools, and end by the same `ready` unless
//! nothing is left to do (`rest_again`).

use bytes::{Buf, BytesMut};

use crate::plan::Touched;
use crate::session::error::{Failure, Gone, Stop};
use crate::session::oids;
use crate::session::order::{Awaited, Columns, Order, Sends};
use crate::session::pump::Turn;
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::{Copying, Session, Stale};
use crate::telemetry::{ClientState, StatementKind};
use crate::topology::ShardSet;
use crate::transaction::{Follows, Life, Participant, State, Sync, Worked};
use crate::wire::{self, CommandComplete, HEADER_BYTES, LARGE_MESSAGE_LIMIT};

/// Room for what follows a shard's answer.
const ANSWER_ROOM: usize = 64;

const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";

/// The usual answer, as it lies in a backend's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Answer {
    /// where RowDescription lies, if there is one
    columns: Option<(usize, usize)>,
    /// where ReadyForQuery begins
    ready: usize,
    /// its byte
    status: u8,
    rows: u64,
}

/// How far the usual answer has come.
pub(super) enum Relayed {
    /// all of it
    Whole,
    /// nothing is there yet
    NotYet,
    /// what is there isn't it, or not all of it
    Unusual,
}

/// How an order was answered.
enum Answered {
    /// as usual
    Usually,
    /// by way of the queue
    Otherwise,
}

impl Session {
    /// An order is going to be carried out.
    pub(super) fn begin_order(&mut self, order: &mut Order) {
        self.in_batch = true;
        self.enrolment.set_state(ClientState::Active);
        self.begin_running();
        self.running.kind = StatementKind::from(order.kind);
        self.running.shard = Some(order.shard);
        let touched = std::mem::replace(&mut order.touched, Touched::Nothing);
        self.load.touch(ShardSet::only(order.shard), order.access, touched);
    }

    /// Sends an order that couldn't be sent at once, and carries it out.
    pub(super) async fn send_late(&mut self, order: Order, input: BytesMut) -> Result<(), Gone> {
        self.client.held_bytes = input.len().saturating_sub(order.length);
        self.client.write_at_once(); // earlier answers don't wait for a backend
        let sent = self.send_in_time(&order, &input).await;
        self.client.held_bytes = 0;
        self.consume(input, order.length);
        match sent {
            Ok(at) => self.see_through(order.awaited, at).await,
            Err(stop) => self.give_up(&order, stop).await,
        }
    }

    /// Waits for the answer of an order that was sent, and carries it out.
    pub(super) async fn see_through(&mut self, mut awaited: Awaited, at: usize) -> Result<(), Gone> {
        let answered = self.await_answer(at, &mut awaited).await;
        match (answered, &awaited.sends) {
            (Ok(Answered::Usually), _) => return self.finish_order(&awaited).await,
            (Ok(Answered::Otherwise), Sends::Query) => self.finish_plain().await?,
            (Err(stop), Sends::Query) => {
                self.report_failure(stop)?;
                if self.transparent && self.copying == Copying::No {
                    self.fail_servers().await?;
                    self.sync_all().await?;
                }
                self.finish_query().await?;
            }
            (answered, Sends::Unnamed { .. } | Sends::Named { .. }) => {
                if let Err(stop) = answered {
                    self.report_failure(stop)?;
                }
                self.sync().await?;
            }
        }
        self.leave_batch();
        self.after_ddl().await;
        Ok(())
    }

    /// What is left to do once the usual answer was relayed.
    pub(super) async fn finish_order(&mut self, awaited: &Awaited) -> Result<(), Gone> {
        if self.rest_again() {
            return Ok(());
        }
        match awaited.sends {
            Sends::Query => self.finish_plain().await?,
            Sends::Unnamed { .. } | Sends::Named { .. } => self.sync().await?,
        }
        self.leave_batch();
        self.after_ddl().await;
        Ok(())
    }

    async fn finish_plain(&mut self) -> Result<(), Gone> {
        if let Some(at) = self.active.filter(|_| !self.transparent) {
            self.follow_status(at);
        }
        self.finish_query().await
    }

    /// Nothing of the batch was sent.
    async fn give_up(&mut self, order: &Order, stop: Stop) -> Result<(), Gone> {
        match order.awaited.sends {
            Sends::Query => {
                self.report_failure(stop)?;
                self.finish_query().await?;
            }
            Sends::Unnamed { .. } | Sends::Named { .. } => {
                self.fail_in_order(stop).await?;
                self.sync().await?;
            }
        }
        self.leave_batch();
        Ok(())
    }

    /// Takes a batch off the client's input.
    pub(super) fn consume(&mut self, mut input: BytesMut, length: usize) {
        if length < input.len() {
            input.advance(length);
            input.extend_from_slice(&self.client.in_buffer);
            self.client.in_buffer = input;
        } else if self.client.in_buffer.is_empty() {
            input.clear(); // its whole room stays in sight
            self.client.in_buffer = input;
        }
    }

    /// Sends an order if nothing has to be waited for.
    pub(super) fn send_at_once(&mut self, order: &Order, input: &[u8]) -> Option<usize> {
        let (pools, digest) = (&self.world.pools, self.settings.digest());
        let backend = pools.try_checkout(order.shard, &self.login, digest).ok()??;
        let mut participant = Participant::new(order.shard, backend);
        let applied = participant.applied();
        if applied.settings != self.settings {
            if let Ok(clean) = participant.backend.into_clean(applied.settings.digest()) {
                pools.give_back(clean);
            }
            return None;
        }
        let lacks = match &order.awaited.sends {
            Sends::Query | Sends::Unnamed { .. } => false,
            Sends::Named { statement, .. } => !participant.backend.prepared.touch(statement.id()),
        };
        let at = self.participants.push(participant);
        match lacks {
            true => None,
            false => {
                let at = self.put_order(at, order, input)?;
                // Nothing was waited for since the batch began.
                let since = self.running.since;
                self.participants.get_mut(at)?.backend.link.sends_at(since);
                Some(at)
            }
        }
    }

    /// Sends an order once there is a backend, and it has what it needs.
    async fn send_in_time(&mut self, order: &Order, input: &[u8]) -> Result<usize, Stop> {
        let at = match self.participants.find(order.shard) {
            Some(at) => at,
            None => self.check_out(order.shard).await?,
        };
        if let Sends::Named { statement, .. } = &order.awaited.sends {
            self.ensure_prepared(at, statement).await?;
        }
        self.put_order(at, order, input)
            .ok_or(Failure::Bug("a lane is missing").into())
    }

    fn put_order(&mut self, at: usize, order: &Order, input: &[u8]) -> Option<usize> {
        let batch = input.get(..order.length)?;
        let unnamed = self.unnamed.as_ref().map(|named| &named.statement);
        let types = match (&order.awaited.sends, unnamed) {
            (Sends::Unnamed { .. }, Some(statement)) => self.types_for(at, statement.declared()).into_owned(),
            (Sends::Unnamed { .. } | Sends::Named { .. } | Sends::Query, _) => Vec::new(),
        };
        let participant = self.participants.get_mut(at)?;
        let out = &mut participant.backend.link.out_buffer;
        match &order.awaited.sends {
            Sends::Query => {
                out.extend_from_slice(batch);
                participant.set_unnamed(0);
            }
            Sends::Unnamed { parse, .. } => {
                let statement = unnamed?;
                match types.is_empty() {
                    true => out.extend_from_slice(batch),
                    false => {
                        wire::put_parse(out, b"", statement.text(), &types);
                        out.extend_from_slice(batch.get(*parse..)?);
                    }
                }
                participant.set_unnamed(statement.id());
            }
            Sends::Named { statement, tail, end } => {
                wire::put_bind_tail(out, b"", statement.backend_name().as_bytes(), batch.get(*tail..*end)?);
                out.extend_from_slice(batch.get(*end..)?);
            }
        }
        participant.sync = Sync::Settled; // its Sync is among what was put
        participant.worked = Worked::Yes;
        participant.touch(order.access);
        if self.transparent {
            participant.follows = Follows::Yes;
        }
        self.running.sent = self.running.sent.saturating_add(order.length as u64);
        self.active = Some(at);
        Some(at)
    }

    /// Waits for an order's answer and relays it: in one piece if it is the usual one, else by way of the queue.
    async fn await_answer(&mut self, at: usize, awaited: &mut Awaited) -> Result<Answered, Stop> {
        loop {
            match self.relay_usual(at, awaited) {
                Relayed::Whole => return Ok(Answered::Usually),
                Relayed::NotYet => {}
                Relayed::Unusual => {
                    self.owe(awaited);
                    break;
                }
            }
            match self.turn(at).await {
                Turn::Input | Turn::Written => {}
                turn => {
                    self.owe(awaited);
                    self.after_turn(at, turn).await?;
                    break;
                }
            }
        }
        self.settle().await?;
        Ok(Answered::Otherwise)
    }

    /// Notes in the queue which answers are to come.
    pub(super) fn owe(&mut self, awaited: &mut Awaited) {
        let mut push = |kind, undo| {
            self.queue.push_back(Owed::Backend {
                kind,
                shown: Shown::Yes,
                undo,
            });
        };
        match &mut awaited.sends {
            Sends::Query => return push(Kind::Query(Vec::new()), Undo::Nothing),
            Sends::Unnamed { before, .. } => push(Kind::Parse, Undo::Statement(Vec::new(), before.take())),
            Sends::Named { .. } => {}
        }
        push(Kind::Bind, Undo::Nothing);
        if awaited.columns == Columns::Asked {
            push(Kind::DescribePortal, Undo::Nothing);
        }
        push(Kind::Execute(None), Undo::Nothing);
        push(Kind::Sync, Undo::Nothing);
    }

    /// Relays the usual answer, if the backend has sent just that.
    pub(super) fn relay_usual(&mut self, at: usize, awaited: &Awaited) -> Relayed {
        let Some(participant) = self.participants.get(at) else {
            return Relayed::Unusual;
        };
        let input = &participant.backend.link.in_buffer;
        if input.is_empty() {
            return Relayed::NotYet;
        }
        let Some(answer) = read_answer(input, awaited) else {
            return Relayed::Unusual;
        };
        let map = answer.columns.and_then(|_| self.foreign_oids(at));
        let Some(participant) = self.participants.get_mut(at) else {
            return Relayed::Unusual;
        };
        let (input, out) = (&mut participant.backend.link.in_buffer, &mut self.client.out_buffer);
        out.reserve(answer.ready.saturating_add(ANSWER_ROOM));
        match (answer.columns, map) {
            (Some((from, to)), Some(map)) => {
                let body = input.get(from.saturating_add(HEADER_BYTES)..to).unwrap_or_default();
                let before = out.len();
                out.extend_from_slice(input.get(..from).unwrap_or_default());
                if oids::put_row_description(out, body, &map).is_err() {
                    out.truncate(before);
                    return Relayed::Unusual;
                }
                out.extend_from_slice(input.get(to..answer.ready).unwrap_or_default());
            }
            (Some(_) | None, _) => out.extend_from_slice(input.get(..answer.ready).unwrap_or_default()),
        }
        self.running.received = self.running.received.saturating_add(input.len() as u64);
        self.rows = self.rows.saturating_add(answer.rows);
        input.clear();
        participant.status = answer.status;
        Relayed::Whole
    }

    /// Lets the backend go and gives ReadyForQuery, if that is all that is left to do.
    pub(super) fn rest_again(&mut self) -> bool {
        let plain = |p: &Participant| p.status == b'I' && p.cancels == 0 && p.pin.is_none() && p.life == Life::Alive;
        let left = self.stale == Stale::Yes
            || self.recheck == Stale::Yes
            || self.failed
            || self.ddl
            || !self.unreported.is_empty()
            || !self.notifications.is_empty()
            || !self.portals.is_empty()
            || !self.cursors.is_empty()
            || self.block.state() != State::Idle
            || !self.participants.iter().all(plain);
        if left {
            return false;
        }
        let now = self.world.clock.now();
        self.charge_at(now);
        let Some(participant) = self.participants.take_only() else {
            return false;
        };
        self.active = None;
        match participant.backend.into_clean(self.settings.digest()) {
            Ok(clean) => self.world.pools.give_back_at(clean, now),
            Err(dirty) => drop(dirty),
        }
        self.keep_whole_datestyle();
        wire::put_ready(&mut self.client.out_buffer, self.block.status());
        self.count_statement(now);
        self.leave_batch();
        true
    }
}

/// The usual answer: what acknowledges the messages, the columns, rows, one tag, ReadyForQuery, and nothing else.
fn read_answer(input: &[u8], awaited: &Awaited) -> Option<Answer> {
    let rest = match awaited.sends {
        Sends::Query => input,
        Sends::Unnamed { .. } => input.strip_prefix(PARSE_COMPLETE)?.strip_prefix(BIND_COMPLETE)?,
        Sends::Named { .. } => input.strip_prefix(BIND_COMPLETE)?,
    };
    read_result(input, rest, awaited.columns)
}

/// The same, once what acknowledges the messages has been read: `rest` is what of `input` stands behind it.
fn read_result(input: &[u8], mut rest: &[u8], asked: Columns) -> Option<Answer> {
    let mut columns = None;
    match (asked, rest.first()?) {
        (Columns::Unasked, _) => {}
        (Columns::Perhaps | Columns::Asked, b'T') => {
            let at = input.len().saturating_sub(rest.len());
            rest = behind_frame(rest)?;
            columns = Some((at, input.len().saturating_sub(rest.len())));
        }
        (Columns::Asked, b'n') => rest = behind_frame(rest)?,
        (Columns::Asked, _) => return None,
        (Columns::Perhaps, _) => {}
    }
    while *rest.first()? == b'D' {
        rest = behind_frame(rest)?;
    }
    let tag = wire::next_frame(rest, wire::LOOK_FRAME_LIMIT).ok()??;
    if tag.tag != b'C' {
        return None;
    }
    let behind = rest.get(tag.whole.len()..)?;
    let status = match behind {
        [b'Z', 0, 0, 0, 5, status @ (b'I' | b'T' | b'E')] => *status,
        _ => return None,
    };
    Some(Answer {
        columns,
        ready: input.len().saturating_sub(behind.len()),
        status,
        rows: CommandComplete::parse(tag.body).ok()?.rows().unwrap_or(0),
    })
}

fn behind_frame(bytes: &[u8]) -> Option<&[u8]> {
    let header = wire::Header::parse(bytes, LARGE_MESSAGE_LIMIT).ok()??;
    bytes.get(header.whole()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A RowDescription without columns, two rows without values, a tag, ReadyForQuery.
    const USUAL: &[u8] = b"T\0\0\0\x06\0\0D\0\0\0\x06\0\0D\0\0\0\x06\0\0C\0\0\0\x0dSELECT 2\0Z\0\0\0\x05I";

    fn read(input: &[u8], asked: Columns) -> Option<Answer> {
        read_result(input, input, asked)
    }

    fn answer(columns: Option<(usize, usize)>, ready: usize, status: u8, rows: u64) -> Answer {
        Answer {
            columns,
            ready,
            status,
            rows,
        }
    }

    #[test]
    fn the_usual_answer_is_read_when_it_is_whole() {
        let ready = USUAL.len() - 6;
        for asked in [Columns::Asked, Columns::Perhaps] {
            assert_eq!(read(USUAL, asked), Some(answer(Some((0, 7)), ready, b'I', 2)));
        }
        for cut in 0..USUAL.len() {
            assert_eq!(read(&USUAL[..cut], Columns::Perhaps), None, "cut at {cut}");
        }
        assert_eq!(
            read(&USUAL[7..], Columns::Unasked),
            Some(answer(None, ready - 7, b'I', 2))
        );
        let no_rows = b"n\0\0\0\x04C\0\0\0\x0fINSERT 0 3\0Z\0\0\0\x05T";
        assert_eq!(
            read(no_rows, Columns::Asked),
            Some(answer(None, no_rows.len() - 6, b'T', 3))
        );
    }

    #[test]
    fn anything_else_in_the_answer_is_unusual() {
        let notice = b"N\0\0\0\x05\0";
        for at in [0, 7, 14, 21, 35, USUAL.len()] {
            let with = [&USUAL[..at], notice, &USUAL[at..]].concat();
            assert_eq!(read(&with, Columns::Perhaps), None, "a notice at {at}");
        }
        assert_eq!(read(USUAL, Columns::Unasked), None, "columns that nobody asked for");
        assert_eq!(read(&USUAL[7..], Columns::Asked), None, "columns that were asked for");
        assert_eq!(read(b"E\0\0\0\x05\0Z\0\0\0\x05I", Columns::Perhaps), None, "an error");
        assert_eq!(
            read(b"I\0\0\0\x04Z\0\0\0\x05I", Columns::Perhaps),
            None,
            "an empty query"
        );
    }
}
