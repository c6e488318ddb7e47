//! The beginning of a read over several shards: what each is sent, and which of their snapshots are kept.
//!
//! Sketch: what tells whether snapshots agree (`transaction::Read`) goes out in the statement's own write, and a Flush
//! before Execute brings it back while the statement runs; so the usual read costs no round trip more. Outside a block a
//! shard gets BEGIN ISOLATION LEVEL REPEATABLE READ, marks, statement, COMMIT; inside one, where the level can't change,
//! marks, Bind, marks, Execute. Rows stay in their sockets until the snapshots agree.
//! Holds: a statement whose snapshot is given up has been read to ReadyForQuery before its shard is waited for; inside
//! the client's block it is never cancelled, since that would end the block.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, BytesMut};

use crate::execute::fan::{FanRequest, Said, discard_to_ready, flush_all, next, shard_of, wire_format};
use crate::execute::reading::{Reading, put_command};
use crate::execute::{ExecuteError, Sink};
use crate::topology::ShardId;
use crate::transaction::{
    Begun, Coordinator, Form, Gates, Lists, Mark, Participants, Read, ReadAction, ReadEvent, ReadRules, Sync, TxId,
};
use crate::value::Format;
use crate::wire;

/// Name of the statement that reads marks, on every backend.
const MARKS: &[u8] = b"sg_marks";

/// How long a statement whose snapshot is given up may go on before it is cancelled: most are over by then.
const GRACE: Duration = Duration::from_millis(20);

/// Does a read see each transaction over several shards whole?
#[derive(Clone, Copy, Debug)]
pub enum Consistency<'a> {
    /// each shard for itself: `shardgate.consistency = 'statement'`, or one shard
    Statement,
    /// yes, by marks around the snapshots; their waits are the coordinator's
    Atomic(Form, &'a Coordinator),
}

/// Sends the statement to every shard until their snapshots agree. Each shard's RowDescription, whole; on success every
/// lane stands before its first row.
pub(super) async fn take(
    request: &FanRequest<'_>,
    formats: &[Format],
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<Vec<BytesMut>, ExecuteError> {
    let (form, coordinator) = match request.consistency {
        Consistency::Statement => {
            for at in request.lanes {
                put_batch(*at, request, formats, participants)?;
            }
            flush_all(request.lanes, participants, sink).await?;
            let mut columns = Vec::with_capacity(request.lanes.len());
            for at in request.lanes {
                let (_, described) = prologue(*at, None, request.reading, participants, sink).await?;
                columns.push(described);
            }
            return Ok(columns);
        }
        Consistency::Atomic(form, coordinator) => (form, coordinator),
    };
    let mut columns = vec![BytesMut::new(); request.lanes.len()];
    let mut read = Read::new(ReadRules::ALL, form, request.plan.shards.iter().copied());
    let mut gates: Option<Gates> = None;
    let mut closed = ReadEvent::ClosingTimedOut;
    loop {
        match read.action() {
            ReadAction::Take(places) => {
                let mut lanes = Vec::with_capacity(places.len());
                for place in &places {
                    let at = lane(request, *place)?;
                    read.on(ReadEvent::Sent(*place, coordinator.snapshot_time()));
                    put_batch(at, request, formats, participants)?;
                    lanes.push(at);
                }
                flush_all(&lanes, participants, sink).await?;
                for (place, at) in places.into_iter().zip(lanes) {
                    let (lists, described) = prologue(at, Some(form), request.reading, participants, sink).await?;
                    if let Some(columns) = columns.get_mut(place) {
                        *columns = described;
                    }
                    read.on(ReadEvent::Taken(place, lists, coordinator.snapshot_time()));
                }
                if let ReadAction::Take(places) = read.action() {
                    give_up(request, &places, participants, sink).await?; // they took too long
                }
            }
            ReadAction::Wait(lacking) => {
                let places: Vec<usize> = lacking.iter().map(|(place, _)| *place).collect();
                give_up(request, &places, participants, sink).await?;
                for (place, tx_ids) in lacking {
                    let shard = shard(request, place)?;
                    let ended = coordinator.wait_until_ended(shard, &tx_ids);
                    unless_interrupted(ended, sink).await?.map_err(|error| {
                        tracing::warn!(%error, "a transaction can't be waited for");
                        lost(shard)
                    })?;
                    read.on(ReadEvent::Free(place));
                }
            }
            ReadAction::Close(place) => {
                if place == 0 {
                    let places: Vec<usize> = (0..request.lanes.len()).collect();
                    give_up(request, &places, participants, sink).await?;
                    let gates = gates.get_or_insert_with(|| coordinator.gates());
                    closed = close(gates, &request.plan.shards, sink).await?;
                }
                read.on(closed.clone());
            }
            ReadAction::Open => {
                let held = match &mut gates {
                    Some(gates) => unless_interrupted(gates.open(), sink).await?,
                    None => false,
                };
                read.on(ReadEvent::Opened(held));
            }
            ReadAction::Accept => return Ok(columns),
            ReadAction::GiveUp => return Err(ExecuteError::NoSnapshot),
        }
    }
}

/// Closes the gates of all these shards: what the reader is to be told of each.
pub(super) async fn close(
    gates: &mut Gates,
    shards: &[ShardId],
    sink: &mut dyn Sink,
) -> Result<ReadEvent, ExecuteError> {
    let closed = unless_interrupted(gates.close(shards), sink).await?;
    match closed {
        Ok(true) => Ok(ReadEvent::Closed),
        Ok(false) => Ok(ReadEvent::ClosingTimedOut),
        Err((shard, error)) => {
            tracing::warn!(%error, "the gate of commits can't be closed");
            Err(lost(shard))
        }
    }
}

fn lane(request: &FanRequest<'_>, place: usize) -> Result<usize, ExecuteError> {
    let lane = request.lanes.get(place).copied();
    lane.ok_or(ExecuteError::Bug("a place without lane"))
}

fn shard(request: &FanRequest<'_>, place: usize) -> Result<ShardId, ExecuteError> {
    let shard = request.plan.shards.get(place).copied();
    shard.ok_or(ExecuteError::Bug("a place without shard"))
}

fn lost(shard: ShardId) -> ExecuteError {
    ExecuteError::Lost {
        shard: Some(shard),
        said: None,
    }
}

/// Queues the whole batch of one shard.
fn put_batch(
    at: usize,
    request: &FanRequest<'_>,
    formats: &[Format],
    participants: &mut Participants,
) -> Result<(), ExecuteError> {
    let Some(participant) = participants.get_mut(at) else {
        return Err(ExecuteError::Bug("a fan-out without its participant"));
    };
    let knows_marks = participant.backend.prepared.has_marks();
    let out = &mut participant.backend.link.out_buffer;
    let portal = request.portal.as_bytes();
    let form = match request.consistency {
        Consistency::Statement => None,
        Consistency::Atomic(form, _) => Some(form),
    };
    if form == Some(Form::Whole) {
        put_command(out, b"BEGIN ISOLATION LEVEL REPEATABLE READ");
    }
    if form.is_some() {
        if !knows_marks {
            // One whose Parse was sent and whose answer was lost may be there.
            wire::put_close(out, wire::Target::Statement, MARKS);
            wire::put_parse(out, MARKS, b"SELECT txid, participants FROM shardgate.mark", &[]);
        }
        put_marks(out);
    }
    let parsed = request.reading.put_parse(out, &request.plan.text, request.types_of(at));
    if form.is_some() && !portal.is_empty() {
        wire::put_close(out, wire::Target::Portal, portal); // that of a snapshot given up
    }
    let wire_formats = |formats: &[Format]| formats.iter().map(|f| wire_format(*f)).collect::<Vec<_>>();
    wire::put_bind(
        out,
        portal,
        parsed,
        &wire_formats(request.formats),
        request.values.iter().copied(),
        &wire_formats(formats),
    );
    if form == Some(Form::Bracketed) {
        // The unnamed portal would be replaced by that of the marks.
        put_marks(out);
    }
    wire::put_describe(out, wire::Target::Portal, portal);
    if form.is_some() {
        wire::put_flush(out);
    }
    wire::put_execute(out, portal, request.row_limit);
    if form == Some(Form::Whole) {
        put_command(out, b"COMMIT");
    }
    wire::put_sync(out);
    participant.sync = Sync::Owed;
    Ok(())
}

fn put_marks(out: &mut BytesMut) {
    wire::put_bind(out, MARKS, MARKS, &[], std::iter::empty(), &[]);
    wire::put_execute(out, MARKS, 0);
    wire::put_close(out, wire::Target::Portal, MARKS);
}

/// Reads what comes before the statement's first row: lists of marks, and its columns.
async fn prologue(
    at: usize,
    form: Option<Form>,
    reading: &Reading,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(Lists, BytesMut), ExecuteError> {
    // Commands that end before the columns come, and after how many of them the second list begins. Settings give no rows
    // and stand between the two.
    let (ends, second_from) = match form {
        None => (0, 0),
        Some(Form::Whole) => (2, 2),
        Some(Form::Bracketed) => (2, 1),
    };
    let ends = reading.commands().saturating_add(ends);
    let mut lists = Lists::default();
    let mut ended = 0;
    let unexpected = |participants: &Participants| ExecuteError::Unexpected {
        shard: shard_of(at, participants),
    };
    loop {
        match next(at, participants, sink).await? {
            Said::Row(length) if ended < ends => {
                let Some(participant) = participants.get_mut(at) else {
                    return Err(ExecuteError::Bug("a source without backend"));
                };
                let input = &mut participant.backend.link.in_buffer;
                let read = read_mark(input.get(wire::HEADER_BYTES..length).unwrap_or_default())?;
                input.advance(length);
                let list: &mut BTreeSet<Mark> = match ended < second_from {
                    true => &mut lists.first,
                    false => &mut lists.second,
                };
                // A row that no committer has written is nobody's.
                list.extend(read);
            }
            Said::Complete if ended < ends => ended += 1,
            Said::Columns(described) if ended == ends => {
                if let Some(participant) = participants.get_mut(at)
                    && form.is_some()
                {
                    participant.backend.prepared.note_marks();
                }
                return Ok((lists, described));
            }
            Said::Other => {}
            Said::Row(_) | Said::Complete | Said::Suspended | Said::Ready | Said::Columns(_) => {
                return Err(unexpected(participants));
            }
        }
    }
}

fn read_mark(body: &[u8]) -> Result<Option<Mark>, ExecuteError> {
    let row = wire::DataRow::parse(body)?;
    let mut values = row
        .values
        .map(|value| value.and_then(|bytes| std::str::from_utf8(bytes).ok()));
    let (tx_id, participants) = (values.next().flatten(), values.next().flatten());
    let listed = participants.and_then(|list| list.strip_prefix('{')?.strip_suffix('}'));
    let read = |one: &str| one.parse().ok().and_then(ShardId::new);
    Ok(tx_id.and_then(TxId::parse).zip(listed).map(|(tx_id, listed)| Mark {
        tx_id,
        participants: listed.split(',').filter_map(read).collect(),
    }))
}

/// Reads the statements at these places to their end, dropping rows; those outside a block are cancelled if that takes
/// long.
async fn give_up(
    request: &FanRequest<'_>,
    places: &[usize],
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    for place in places {
        let at = lane(request, *place)?;
        let Some(participant) = participants.get(at) else {
            return Err(ExecuteError::Bug("a source without backend"));
        };
        if participant.sync != Sync::Owed {
            continue;
        }
        if participant.begun == Begun::Block {
            drain(at, participants, sink).await?;
            continue;
        }
        // An error of a statement that is given up is nobody's.
        let drained = tokio::time::timeout(GRACE, drain(at, participants, sink)).await;
        match drained {
            Ok(Ok(())) => {}
            Ok(Err(error @ (ExecuteError::Lost { .. } | ExecuteError::Interrupted(_)))) => return Err(error),
            Ok(Err(_)) => discard_to_ready(at, participants, sink).await,
            Err(_elapsed) => cancel(at, participants, sink).await?,
        }
        roll_back(at, participants, sink).await?;
    }
    Ok(())
}

/// Cancels a statement and reads what it still says. A cancel on its way mustn't hit what comes next: it has ended, and a
/// round trip follows.
async fn cancel(at: usize, participants: &mut Participants, sink: &mut dyn Sink) -> Result<(), ExecuteError> {
    let shard = shard_of(at, participants);
    let Some(participant) = participants.get_mut(at) else {
        return Err(ExecuteError::Bug("a source without backend"));
    };
    let target = participant.backend.cancel_target();
    if let Err(error) = crate::backend::cancel(&target).await {
        tracing::debug!(%error, "a statement that is given up runs on");
    }
    discard_to_ready(at, participants, sink).await;
    roll_back(at, participants, sink).await?;
    match participants.get_mut(at) {
        Some(participant) => match participant.backend.settle().await {
            Ok(()) => Ok(()),
            Err(_) => Err(ExecuteError::Lost { shard, said: None }),
        },
        None => Err(ExecuteError::Bug("a source without backend")),
    }
}

/// After an error in a batch of ours its BEGIN is still open.
pub(super) async fn roll_back(
    at: usize,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    let Some(participant) = participants.get_mut(at) else {
        return Err(ExecuteError::Bug("a source without backend"));
    };
    if participant.begun == Begun::Block || participant.status == b'I' || participant.sync == Sync::Owed {
        return Ok(());
    }
    wire::put_query(&mut participant.backend.link.out_buffer, b"ROLLBACK");
    participant.sync = Sync::Owed;
    discard_to_ready(at, participants, sink).await;
    Ok(())
}

async fn drain(at: usize, participants: &mut Participants, sink: &mut dyn Sink) -> Result<(), ExecuteError> {
    loop {
        match next(at, participants, sink).await? {
            Said::Ready => return Ok(()),
            Said::Row(length) => {
                if let Some(participant) = participants.get_mut(at) {
                    participant.backend.link.in_buffer.advance(length);
                }
            }
            Said::Complete | Said::Suspended | Said::Columns(_) | Said::Other => {}
        }
    }
}

pub(super) async fn unless_interrupted<T>(
    work: impl Future<Output = T>,
    sink: &mut dyn Sink,
) -> Result<T, ExecuteError> {
    let mut work = pin!(work);
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        match sink.poll_interrupt(context) {
            Poll::Ready(interrupt) => Poll::Ready(Err(ExecuteError::Interrupted(interrupt))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
