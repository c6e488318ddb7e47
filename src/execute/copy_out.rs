//! COPY TO STDOUT of a sharded table: the shards' rows, one shard after another.
//!
//! Sketch: all shards get the statement at once; the first is relayed to its end, then the next, whose rows wait in its
//! socket meanwhile. What stands around the rows comes once: the header line, or the binary header and trailer.
//! A COPY takes its snapshot at Execute, and nothing that is sent before can tell what it sees: so the gates of all shards
//! are closed to commits over several shards until each shard has begun to answer, as `transaction::Read` says
//! (`docs/transactions.md`).
//! Holds: nothing is read from a shard while the sink is full; a row's bytes are passed on unread, in pieces of any size;
//! every living link is settled when a run ends.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::ops::Range;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::task::JoinSet;

use crate::execute::consistent::close;
use crate::execute::{ExecuteError, Interrupt, Sink};
use crate::plan::{CopyOut, CopyOutForm};
use crate::sql::CopyHeader;
use crate::topology::ShardId;
use crate::transaction::{
    Begun, Coordinator, Form, Life, Lists, Participants, Read, ReadAction, ReadEvent, ReadRules, Sync,
};
use crate::wire::{self, CommandComplete, ErrorFields};

/// The binary format's signature, flags and extension length, as Postgres writes them.
const BINARY_HEADER_BYTES: usize = 19;

/// The binary format's trailer.
const BINARY_TRAILER: &[u8] = b"\xff\xff";

/// For no longer are commits held up by a COPY that doesn't begin.
const GATES_CLOSED_MAX: Duration = Duration::from_secs(1);

/// The answer of one shard under way.
struct Lane {
    at: usize,
    shard: ShardId,
    /// bytes of a CopyData message that are still to be passed on, or dropped
    left: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// its data are the client's
    Relaying,
    /// they are dropped: it or another has failed
    Dropping,
    /// nothing is under way: not sent yet, or ReadyForQuery has come, or it is gone
    Settled,
}

/// Is the client listened to?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listening {
    Yes,
    /// it has been cancelled already
    No,
}

/// Where the whole answer stands.
struct Answer<'a> {
    plan: &'a CopyOut,
    lanes: usize,
    begun: bool,
    /// data of the lane under way so far
    messages: u64,
    count: u64,
    failure: Option<ExecuteError>,
}

/// Runs it to its end; returns the rows' count. CopyOutResponse, data and CopyDone are in the sink then. `consistent`: whose
/// gates make the shards' snapshots agree; `None`: each shard for itself.
pub async fn copy_out(
    plan: &CopyOut,
    text: &[u8],
    lanes: &BTreeMap<ShardId, usize>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
    consistent: Option<&Coordinator>,
) -> Result<u64, ExecuteError> {
    let mut list: Vec<Lane> = lanes
        .iter()
        .map(|(shard, at)| Lane {
            at: *at,
            shard: *shard,
            left: 0,
            stage: Stage::Settled,
        })
        .collect();
    let mut answer = Answer {
        plan,
        lanes: list.len(),
        begun: false,
        messages: 0,
        count: 0,
        failure: None,
    };
    let interrupted = match consistent {
        Some(coordinator) if lanes.len() > 1 => {
            take_snapshots(coordinator, text, &mut list, &mut answer, participants, sink).await?
        }
        Some(_) | None => {
            for lane in &mut list {
                lane.send(text, participants)?;
            }
            None
        }
    };
    let interrupted = relay_all(&mut list, &mut answer, participants, sink, interrupted).await;
    match (interrupted, answer.failure) {
        (Some(interrupt), _) => Err(ExecuteError::Interrupted(interrupt)),
        (None, Some(failure)) => Err(failure),
        (None, None) => {
            wire::put_copy_done(sink.buffer());
            Ok(answer.count)
        }
    }
}

/// Sends the COPY to every shard until their snapshots agree, or the answer has a failure: what is under way then is to be
/// relayed, or dropped. An error itself leaves nothing under way.
async fn take_snapshots(
    coordinator: &Coordinator,
    text: &[u8],
    list: &mut [Lane],
    answer: &mut Answer<'_>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<Option<Interrupt>, ExecuteError> {
    let mut read = Read::at_gate(ReadRules::ALL, Form::Bracketed, list.iter().map(|lane| lane.shard));
    let mut gates = coordinator.gates();
    let mut closed = ReadEvent::ClosingTimedOut;
    loop {
        match read.action() {
            ReadAction::Close(place) => {
                if place == 0 {
                    give_up(list, answer.plan, participants, sink).await?;
                    let shards: Vec<ShardId> = list.iter().map(|lane| lane.shard).collect();
                    closed = close(&mut gates, &shards, sink).await?;
                }
                read.on(closed.clone());
            }
            ReadAction::Take(places) => {
                for place in &places {
                    read.on(ReadEvent::Sent(*place, coordinator.snapshot_time()));
                    match list.get_mut(*place) {
                        Some(lane) => lane.send(text, participants)?,
                        None => return Err(ExecuteError::Bug("a place without lane")),
                    }
                }
                // Whoever holds a lock that a COPY waits for may itself wait for a gate.
                match tokio::time::timeout(GATES_CLOSED_MAX, all_begun(list, participants, sink)).await {
                    Ok(None) => {}
                    Ok(Some(interrupt)) => {
                        let _held = gates.open().await;
                        return Ok(Some(interrupt));
                    }
                    Err(_elapsed) => {
                        let _held = gates.open().await;
                        answer.failure = Some(ExecuteError::NoSnapshot);
                        return Ok(None);
                    }
                }
                // Under the gate there are no lists to read.
                for place in places {
                    let now = coordinator.snapshot_time();
                    read.on(ReadEvent::Taken(place, Lists::default(), now));
                }
            }
            ReadAction::Open => read.on(ReadEvent::Opened(gates.open().await)),
            ReadAction::Accept => return Ok(None),
            ReadAction::GiveUp => {
                answer.failure = Some(ExecuteError::NoSnapshot);
                return Ok(None);
            }
            ReadAction::Wait(_) => return Err(ExecuteError::Bug("a read at the gate waits for a transaction")),
        }
    }
}

/// Drops what is under way, since a gate was lost before the last snapshot. Outside the client's block it is cancelled;
/// inside, where that would end the block, it is read to its end.
async fn give_up(
    list: &mut [Lane],
    plan: &CopyOut,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    if list.iter().all(|lane| lane.stage == Stage::Settled) {
        return Ok(());
    }
    let in_block = |lane: &Lane| participants.get(lane.at).is_some_and(|p| p.begun == Begun::Block);
    let in_block = list.iter().any(in_block);
    list.iter_mut().for_each(|lane| lane.stage = Stage::Dropping);
    let mut dropped = Answer {
        plan,
        lanes: list.len(),
        begun: true,
        messages: 0,
        count: 0,
        failure: (!in_block).then_some(ExecuteError::NoSnapshot),
    };
    if let Some(interrupt) = relay_all(list, &mut dropped, participants, sink, None).await {
        return Err(ExecuteError::Interrupted(interrupt));
    }
    if in_block {
        return dropped.failure.map_or(Ok(()), Err);
    }
    for lane in list {
        // A cancel request on its way mustn't hit what comes next.
        let alive = match participants.get_mut(lane.at) {
            Some(participant) if participant.life == Life::Alive => participant.backend.settle().await.is_ok(),
            Some(_) | None => false,
        };
        if !alive {
            return Err(lane.lost());
        }
    }
    Ok(())
}

/// Relays, or drops, what every lane has under way, one after another; whether it was interrupted, now or before. After a
/// failure, or an interrupt, all are cancelled.
async fn relay_all(
    list: &mut [Lane],
    answer: &mut Answer<'_>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
    mut interrupted: Option<Interrupt>,
) -> Option<Interrupt> {
    let mut cancels = JoinSet::new();
    let mut cancelled = false;
    for index in 0..list.len() {
        answer.messages = 0;
        loop {
            if !cancelled && (interrupted.is_some() || answer.failure.is_some()) {
                cancelled = true;
                for lane in list.iter_mut() {
                    if lane.stage == Stage::Settled {
                        continue;
                    }
                    lane.stage = Stage::Dropping;
                    if let Some(participant) = participants.get_mut(lane.at) {
                        participant.cancels = participant.cancels.saturating_add(1);
                        let target = participant.backend.cancel_target();
                        cancels.spawn(async move { crate::backend::cancel(&target).await });
                    }
                }
            }
            // All are written to, so that all begin at once.
            let turn = poll_fn(|context| {
                for lane in list.iter().skip(index) {
                    lane.drain(context, participants);
                }
                let Some(lane) = list.get_mut(index) else {
                    return Poll::Ready(Turn::Settled);
                };
                let listening = match &interrupted {
                    Some(_) => Listening::No,
                    None => Listening::Yes,
                };
                lane.relay(index, context, answer, participants, sink, listening)
            });
            match turn.await {
                Turn::Settled => break,
                Turn::Again => {}
                Turn::Interrupted(interrupt) => interrupted = Some(interrupt),
            }
        }
    }
    while cancels.join_next().await.is_some() {}
    interrupted
}

/// Waits until every shard has begun to answer: it has its snapshot then.
async fn all_begun(list: &[Lane], participants: &mut Participants, sink: &mut dyn Sink) -> Option<Interrupt> {
    poll_fn(|context| {
        let mut waiting = false;
        for lane in list {
            lane.drain(context, participants);
            let Some(participant) = participants.get_mut(lane.at) else {
                continue;
            };
            let link = &mut participant.backend.link;
            while !has_begun(&link.in_buffer) {
                match link.poll_fill(context) {
                    Poll::Ready(Ok(count)) if count > 0 => {}
                    Poll::Ready(_) => break, // its end is dealt with in its turn
                    Poll::Pending => {
                        waiting = true;
                        break;
                    }
                }
            }
        }
        match waiting {
            true => sink.poll_interrupt(context).map(Some),
            false => Poll::Ready(None),
        }
    })
    .await
}

/// Does the input hold CopyOutResponse or an error, maybe behind notices?
fn has_begun(input: &[u8]) -> bool {
    let mut rest = input;
    while let Ok(Some(frame)) = wire::next_frame(rest, wire::LOOK_FRAME_LIMIT) {
        if !matches!(frame.tag, b'N' | b'A' | b'S') {
            return true;
        }
        rest = rest.get(frame.whole.len()..).unwrap_or_default();
    }
    false
}

enum Turn {
    Settled,
    Again,
    Interrupted(Interrupt),
}

impl Lane {
    fn send(&mut self, text: &[u8], participants: &mut Participants) -> Result<(), ExecuteError> {
        let Some(participant) = participants.get_mut(self.at) else {
            return Err(ExecuteError::Bug("a COPY without its participant"));
        };
        wire::put_query(&mut participant.backend.link.out_buffer, text);
        participant.sync = Sync::Owed;
        self.stage = Stage::Relaying;
        Ok(())
    }

    fn lost(&self) -> ExecuteError {
        ExecuteError::Lost {
            shard: Some(self.shard),
            said: None,
        }
    }

    fn drain(&self, context: &mut Context<'_>, participants: &mut Participants) {
        if let Some(participant) = participants.get_mut(self.at) {
            let link = &mut participant.backend.link;
            link.push_out(context);
        }
    }

    fn relay(
        &mut self,
        index: usize,
        context: &mut Context<'_>,
        answer: &mut Answer<'_>,
        participants: &mut Participants,
        sink: &mut dyn Sink,
        listening: Listening,
    ) -> Poll<Turn> {
        loop {
            if self.stage == Stage::Settled {
                return Poll::Ready(Turn::Settled);
            }
            if let Err(error) = self.absorb(index, answer, participants, sink.buffer()) {
                if let Some(participant) = participants.get_mut(self.at) {
                    participant.life = Life::Gone;
                }
                answer.failure.get_or_insert(error);
                self.stage = Stage::Settled;
                return Poll::Ready(Turn::Again);
            }
            if self.stage == Stage::Settled || (answer.failure.is_some() && self.stage == Stage::Relaying) {
                return Poll::Ready(Turn::Again);
            }
            if listening == Listening::Yes {
                if self.stage == Stage::Relaying {
                    match sink.poll_room(context) {
                        Poll::Ready(Ok(())) => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Turn::Interrupted(Interrupt::ClientGone(error))),
                        Poll::Pending => return sink.poll_interrupt(context).map(Turn::Interrupted),
                    }
                }
                if let Poll::Ready(interrupt) = sink.poll_interrupt(context) {
                    return Poll::Ready(Turn::Interrupted(interrupt));
                }
            }
            let Some(participant) = participants.get_mut(self.at) else {
                self.stage = Stage::Settled;
                return Poll::Ready(Turn::Settled);
            };
            match participant.backend.link.poll_fill(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => {
                    self.lose(answer, participants, None);
                    return Poll::Ready(Turn::Again);
                }
            }
        }
    }

    fn lose(&mut self, answer: &mut Answer<'_>, participants: &mut Participants, said: Option<Box<ErrorFields>>) {
        if let Some(participant) = participants.get_mut(self.at) {
            participant.life = Life::Gone;
        }
        answer.failure.get_or_insert(ExecuteError::Lost {
            shard: Some(self.shard),
            said,
        });
        self.stage = Stage::Settled;
    }

    /// Passes on what is there.
    fn absorb(
        &mut self,
        index: usize,
        answer: &mut Answer<'_>,
        participants: &mut Participants,
        out: &mut BytesMut,
    ) -> Result<(), ExecuteError> {
        while let Some(participant) = participants.get_mut(self.at) {
            let input = &mut participant.backend.link.in_buffer;
            if self.left > 0 {
                let here = self.left.min(input.len());
                if self.stage == Stage::Relaying {
                    out.extend_from_slice(input.get(..here).unwrap_or_default());
                }
                input.advance(here);
                self.left = self.left.saturating_sub(here);
                if self.left > 0 {
                    return Ok(());
                }
                continue;
            }
            if input.first() == Some(&b'd') {
                let Some(header) = wire::Header::parse(input, wire::LARGE_MESSAGE_LIMIT)? else {
                    return Ok(());
                };
                if self.stage == Stage::Dropping {
                    input.advance(wire::HEADER_BYTES);
                    self.left = header.length;
                    continue;
                }
                let Some(kept) = kept(index, answer, input, header) else {
                    return Ok(());
                };
                let word = u32::try_from(kept.len().saturating_add(4)).unwrap_or(u32::MAX);
                if !kept.is_empty() {
                    out.extend_from_slice(b"d");
                    out.extend_from_slice(&word.to_be_bytes());
                }
                input.advance(wire::HEADER_BYTES.saturating_add(kept.start));
                self.left = kept.len();
                if kept.end < header.length {
                    out.extend_from_slice(input.get(..kept.len()).unwrap_or_default());
                    input.advance(header.length.saturating_sub(kept.start));
                    self.left = 0;
                }
                answer.messages = answer.messages.saturating_add(1);
                continue;
            }
            let Some(frame) = wire::next_frame(input, wire::LOOK_FRAME_LIMIT)? else {
                return Ok(());
            };
            let length = frame.whole.len();
            match frame.tag {
                b'H' => {
                    if !answer.begun && self.stage == Stage::Relaying {
                        answer.begun = true;
                        out.extend_from_slice(frame.whole);
                    }
                }
                b'c' | b'S' => {}
                b'C' => {
                    let rows = CommandComplete::parse(frame.body)?.rows().unwrap_or(0);
                    answer.count = answer.count.saturating_add(rows);
                }
                b'E' => {
                    let fields = Box::new(ErrorFields::parse(frame.body)?);
                    input.advance(length);
                    if fields.ends_connection() {
                        self.lose(answer, participants, Some(fields));
                        return Ok(());
                    }
                    let shard = Some(self.shard);
                    answer.failure.get_or_insert(ExecuteError::Shard { shard, fields });
                    self.stage = Stage::Dropping;
                    continue;
                }
                b'Z' => {
                    participant.status = wire::ReadyForQuery::parse(frame.body)?.status.byte();
                    participant.sync = Sync::Settled;
                    self.stage = Stage::Settled;
                }
                b'A' | b'N' => out.extend_from_slice(frame.whole),
                _ => {
                    return Err(ExecuteError::Unexpected {
                        shard: Some(self.shard),
                    });
                }
            }
            participant.backend.link.in_buffer.advance(length);
            if self.stage == Stage::Settled {
                participant.backend.link.answered();
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Which bytes of a CopyData message are the client's; `None`: more of it must be there to tell. Only a message that is
/// there as a whole loses its end.
fn kept(index: usize, answer: &Answer<'_>, input: &[u8], header: wire::Header) -> Option<Range<usize>> {
    let body = |length: usize| input.get(wire::HEADER_BYTES..)?.get(..length);
    let all = 0..header.length;
    let first = answer.messages == 0;
    let (later, last) = (index > 0, index.saturating_add(1) >= answer.lanes);
    match answer.plan.form {
        // A header line is a message of its own, and the first.
        CopyOutForm::Lines if first && later && answer.plan.header == CopyHeader::Yes => {
            body(header.length).map(|_| 0..0)
        }
        CopyOutForm::Lines => Some(all),
        // The header stands before the first row or the trailer; the trailer is a message of its own otherwise.
        CopyOutForm::Binary => {
            let before = match first {
                true => BINARY_HEADER_BYTES,
                false => 0,
            };
            let start = match later {
                true => before,
                false => 0,
            };
            let trailer = header.length == before.saturating_add(BINARY_TRAILER.len())
                && body(header.length)?.ends_with(BINARY_TRAILER);
            body(start)?;
            match trailer && !last {
                true => Some(start..before),
                false => Some(start..header.length),
            }
        }
    }
}
