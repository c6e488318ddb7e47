//! One read over several shards.
//!
//! Sketch: one write to each shard (`consistent`), then reads as the merge asks for rows. A row
//! is copied once from its link to the client's buffer where the merge need not look at it.
//! Holds: all shards are asked before any is read; the client's description is the first shard's, without the hidden
//! columns, and every shard's agrees with it; a run that ends early reads every link to its ReadyForQuery: after LIMIT
//! it drops the few rows that are left (each shard's text has the limit too), after an error it cancels first.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use tokio::task::JoinSet;

use crate::execute::consistent::{self, Consistency};
use crate::execute::finish::{self, Collector, Held};
use crate::execute::reading::Reading;
use crate::execute::{ExecuteError, Interrupt, Sink};
use crate::merge::{Merger, Next, settle, shard_formats};
use crate::plan::FanOut;
use crate::transaction::{Life, Participants, Sync};
use crate::value::{Format, Oid};
use crate::wire::{self, ErrorFields, RowDescription};

/// Is the client told the columns?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Describe {
    /// yes: the simple protocol
    Yes,
    /// no: it asked by Describe, or didn't
    No,
}

/// What an emission came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// the answer is complete; rows given over all emissions
    Complete(u64),
    /// the row limit was reached and there may be more
    Suspended,
}

/// What is to be run where.
#[derive(Debug)]
pub struct FanRequest<'a> {
    /// the plan
    pub plan: &'a Arc<FanOut>,
    /// positions of its shards' participants, in the plan's order
    pub lanes: &'a [usize],
    /// parameters' formats, as in Bind
    pub formats: &'a [Format],
    /// parameters' values
    pub values: &'a [Option<&'a [u8]>],
    /// by lane: the types to declare for parameters, as its shard calls them; empty where all call them as the plan does
    pub types: &'a [Vec<Oid>],
    /// formats that the client asked for
    pub result_formats: &'a [Format],
    /// name of the shards' portals; not empty where they outlive a Sync
    pub portal: &'a str,
    /// most rows of one Execute; 0: all
    pub row_limit: i32,
    /// whether, and how, the shards' snapshots are made to agree
    pub consistency: Consistency<'a>,
    /// commands right before and right behind the Parse, which read its literals as they were read at first
    pub reading: &'a Reading,
    /// the same for the text that computes the answer over merged groups
    pub finish_reading: &'a Reading,
}

impl FanRequest<'_> {
    /// Types of the parameters, as the shard of this participant calls them.
    pub(super) fn types_of(&self, at: usize) -> &[Oid] {
        let place = self.lanes.iter().position(|lane| *lane == at);
        let types = place.and_then(|place| self.types.get(place));
        types.unwrap_or(&self.plan.parameter_types)
    }
}

/// Rows that are merged at once to be dropped or made into others.
const SKIPPED_AT_ONCE: u64 = 256;

/// Makes of a DataRow's body another message.
pub type Make<'m> = dyn FnMut(&[u8], &mut BytesMut) -> Result<(), ExecuteError> + Send + 'm;

/// A fan-out under way.
#[derive(Debug)]
pub struct Fan {
    lanes: Vec<usize>,
    sources: Vec<Source>,
    merger: Merger,
    portal: String,
    row_limit: i32,
    /// the client's RowDescription, whole
    description: BytesMut,
    /// the whole answer, where it isn't what is merged
    held: Option<Held>,
}

/// Where a shard's portal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// an Execute was sent; its rows come
    Running,
    /// its Execute has ended by the row limit; ReadyForQuery was read
    Suspended,
    /// all rows were read, ReadyForQuery not yet
    Drained,
    /// ReadyForQuery was read after the last row
    Settled,
}

/// What to do with what a shard still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    /// read and drop it
    Drop,
    /// cancel the statement, then read and drop what comes
    Cancel,
}

/// What a shard said.
pub(super) enum Said {
    /// a row, in the link's input at its start: header and body, this long
    Row(usize),
    /// CommandComplete
    Complete,
    /// PortalSuspended
    Suspended,
    /// ReadyForQuery
    Ready,
    /// RowDescription
    Columns(BytesMut),
    /// anything that needs no action
    Other,
}

impl Fan {
    /// Sends the statement to every shard, reads their descriptions, and stands before the first row.
    pub async fn start(
        request: &FanRequest<'_>,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<Fan, ExecuteError> {
        match &request.plan.finish {
            Some(finish) => Box::pin(finish::run(request, finish, participants, sink)).await,
            None => Fan::begin(request, participants, sink).await,
        }
    }

    /// The same, with what is merged for an answer.
    pub(super) async fn begin(
        request: &FanRequest<'_>,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<Fan, ExecuteError> {
        let merge = &request.plan.merge;
        let formats = shard_formats(merge, request.result_formats);
        let mut sources = vec![Source::Running; request.lanes.len()];
        let described = Box::pin(consistent::take(request, &formats, participants, sink)).await;
        let made = described.and_then(|columns| {
            let descriptions = columns
                .iter()
                .map(|whole| RowDescription::parse(whole.get(wire::HEADER_BYTES..).unwrap_or_default()))
                .collect::<Result<Vec<_>, _>>()?;
            let settled = settle(merge, &descriptions)?;
            let first = descriptions
                .first()
                .ok_or(ExecuteError::Bug("a fan-out over no shard"))?;
            let mut description = BytesMut::new();
            settled.put_description(first, request.result_formats, &mut description);
            Ok((
                Merger::new(settled, request.lanes.len(), request.result_formats),
                description,
            ))
        });
        match made {
            Ok((merger, description)) => Ok(Fan {
                lanes: request.lanes.to_vec(),
                sources,
                merger,
                portal: request.portal.to_owned(),
                row_limit: request.row_limit,
                description,
                held: None,
            }),
            Err(error) => {
                wind_up(request.lanes, &mut sources, Leftover::Cancel, participants, sink).await;
                Err(error)
            }
        }
    }

    /// Rows given so far.
    pub fn rows(&self) -> u64 {
        match &self.held {
            Some(held) => held.given(),
            None => self.merger.rows(),
        }
    }

    /// Types of the columns, as the first shard knows them.
    pub(super) fn column_types(&self) -> Result<Vec<Oid>, ExecuteError> {
        let body = self.description.get(wire::HEADER_BYTES..).unwrap_or_default();
        let fields = RowDescription::parse(body)?.fields();
        Ok(fields.map(|field| field.type_oid).collect())
    }

    /// From now on the answer is this one.
    pub(super) fn hold(&mut self, held: Held, description: BytesMut) {
        self.held = Some(held);
        self.description = description;
    }

    /// Stands before the first row with no shard in mid-result.
    pub async fn park(&mut self, participants: &mut Participants, sink: &mut dyn Sink) -> Result<(), ExecuteError> {
        match self.rest(participants, sink).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.wind_up(Leftover::Cancel, participants, sink).await;
                Err(error)
            }
        }
    }

    /// Its shards' participants are at these positions now.
    pub fn stand_on(&mut self, lanes: Vec<usize>) {
        self.lanes = lanes;
    }

    /// Goes past up to `limit` rows (0: all), as [`Fan::emit`] but for the rows.
    pub async fn skip(
        &mut self,
        limit: u64,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<Given, ExecuteError> {
        let stop_at = match limit {
            0 => u64::MAX,
            limit => self.rows().saturating_add(limit),
        };
        let mut collector = Collector::new(sink);
        loop {
            let step = stop_at.saturating_sub(self.rows()).clamp(1, SKIPPED_AT_ONCE);
            let given = self.emit(step, participants, &mut collector).await?;
            collector.sort_out()?;
            collector.rows.clear();
            if given != Given::Suspended || self.rows() >= stop_at {
                return Ok(given);
            }
        }
    }

    /// Gives up to `limit` rows (0: all) as [`Fan::emit`] does, each made into another message: `make` gets a DataRow's body.
    pub async fn emit_made(
        &mut self,
        limit: u64,
        participants: &mut Participants,
        sink: &mut dyn Sink,
        make: &mut Make<'_>,
    ) -> Result<Given, ExecuteError> {
        let stop_at = match limit {
            0 => u64::MAX,
            limit => self.rows().saturating_add(limit),
        };
        loop {
            let step = stop_at.saturating_sub(self.rows()).clamp(1, SKIPPED_AT_ONCE);
            let mut collector = Collector::new(sink);
            let given = self.emit(step, participants, &mut collector).await?;
            collector.sort_out()?;
            let rows = std::mem::take(&mut collector.rows);
            drop(collector);
            let mut rest: &[u8] = &rows;
            while let Some(frame) = wire::next_frame(rest, wire::LARGE_MESSAGE_LIMIT)? {
                make(frame.body, sink.buffer())?;
                rest = rest.get(frame.whole.len()..).unwrap_or_default();
            }
            room(sink).await?;
            if given != Given::Suspended || self.rows() >= stop_at {
                return Ok(given);
            }
        }
    }

    /// Settles every link.
    pub(super) async fn wind_up(&mut self, leftover: Leftover, participants: &mut Participants, sink: &mut dyn Sink) {
        wind_up(&self.lanes, &mut self.sources, leftover, participants, sink).await;
    }

    /// The client's RowDescription, as a whole message.
    pub fn put_description(&self, out: &mut BytesMut) {
        out.extend_from_slice(&self.description);
    }

    /// Gives up to `limit` rows (0: all). After [`Given::Complete`] and after an error every link is settled.
    pub async fn emit(
        &mut self,
        limit: u64,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<Given, ExecuteError> {
        let stop_at = if limit == 0 {
            u64::MAX
        } else {
            self.rows().saturating_add(limit)
        };
        if let Some(held) = &mut self.held {
            return held.give_until(stop_at, sink).await;
        }
        let ended = self.emit_until(stop_at, participants, sink).await;
        match ended {
            Ok(Given::Suspended) => {
                // No shard may be in mid-result when the client hears of the suspension (sessions.md 10).
                self.rest(participants, sink).await?;
                Ok(Given::Suspended)
            }
            Ok(Given::Complete(rows)) => {
                self.wind_up(Leftover::Drop, participants, sink).await;
                Ok(Given::Complete(rows))
            }
            Err(error) => {
                self.wind_up(Leftover::Cancel, participants, sink).await;
                Err(error)
            }
        }
    }

    pub(super) async fn emit_until(
        &mut self,
        stop_at: u64,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<Given, ExecuteError> {
        loop {
            room(sink).await?;
            if self.merger.rows() >= stop_at {
                return Ok(Given::Suspended);
            }
            match self.merger.next(sink.buffer())? {
                Next::Row => {}
                Next::Done => return Ok(Given::Complete(self.merger.rows())),
                Next::Wait(source) => self.feed(source, participants, sink).await?,
                Next::Relay(source) if stop_at == u64::MAX && self.row_limit == 0 => {
                    self.relay(source, participants, sink).await?;
                }
                Next::Relay(source) => self.relay_some(source, stop_at, participants, sink).await?,
            }
        }
    }

    /// Reads at least one row, or the end, of a source into the merge.
    async fn feed(
        &mut self,
        source: usize,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<(), ExecuteError> {
        self.resume(source, participants)?;
        let at = self.lane(source)?;
        loop {
            match next(at, participants, sink).await? {
                Said::Row(length) => {
                    let participant = participants
                        .get_mut(at)
                        .ok_or(ExecuteError::Bug("a source without backend"))?;
                    let input = &mut participant.backend.link.in_buffer;
                    let body = input.get(wire::HEADER_BYTES..length).unwrap_or_default();
                    let taken = self.merger.row(source, body);
                    input.advance(length);
                    taken?;
                    if self.row_limit == 0 {
                        return Ok(());
                    }
                }
                Said::Complete => {
                    self.set(source, Source::Drained);
                    self.merger.end(source)?;
                    self.ready(source, participants, sink).await?;
                    return Ok(());
                }
                Said::Suspended => {
                    self.ready(source, participants, sink).await?;
                    self.set(source, Source::Suspended);
                    return Ok(());
                }
                Said::Ready | Said::Columns(_) => {
                    return Err(ExecuteError::Unexpected {
                        shard: shard_of(at, participants),
                    });
                }
                Said::Other => {}
            }
        }
    }

    /// Passes the rest of a source's rows on as they are.
    async fn relay(
        &mut self,
        source: usize,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<(), ExecuteError> {
        let at = self.lane(source)?;
        loop {
            room(sink).await?;
            match next_streaming(at, participants, sink, &mut self.merger).await? {
                Said::Complete => {
                    self.set(source, Source::Drained);
                    self.merger.end(source)?;
                    self.ready(source, participants, sink).await?;
                    return Ok(());
                }
                Said::Other => {}
                Said::Row(_) | Said::Suspended | Said::Ready | Said::Columns(_) => {
                    return Err(ExecuteError::Unexpected {
                        shard: shard_of(at, participants),
                    });
                }
            }
        }
    }

    /// Passes rows on one by one, up to a limit.
    async fn relay_some(
        &mut self,
        source: usize,
        stop_at: u64,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<(), ExecuteError> {
        self.resume(source, participants)?;
        let at = self.lane(source)?;
        while self.merger.rows() < stop_at {
            room(sink).await?;
            match next(at, participants, sink).await? {
                Said::Row(length) => {
                    let participant = participants
                        .get_mut(at)
                        .ok_or(ExecuteError::Bug("a source without backend"))?;
                    let input = &mut participant.backend.link.in_buffer;
                    sink.buffer().extend_from_slice(input.get(..length).unwrap_or_default());
                    input.advance(length);
                    self.merger.relayed(1);
                }
                Said::Complete => {
                    self.set(source, Source::Drained);
                    self.merger.end(source)?;
                    self.ready(source, participants, sink).await?;
                    return Ok(());
                }
                Said::Suspended => {
                    self.ready(source, participants, sink).await?;
                    self.set(source, Source::Suspended);
                    return Ok(());
                }
                Said::Ready | Said::Columns(_) => {
                    return Err(ExecuteError::Unexpected {
                        shard: shard_of(at, participants),
                    });
                }
                Said::Other => {}
            }
        }
        Ok(())
    }

    /// Sends the next row-limited Execute to a suspended source.
    fn resume(&mut self, source: usize, participants: &mut Participants) -> Result<(), ExecuteError> {
        if self.sources.get(source) != Some(&Source::Suspended) {
            return Ok(());
        }
        let at = self.lane(source)?;
        let participant = participants
            .get_mut(at)
            .ok_or(ExecuteError::Bug("a source without backend"))?;
        let out = &mut participant.backend.link.out_buffer;
        wire::put_execute(out, self.portal.as_bytes(), self.row_limit);
        wire::put_sync(out);
        participant.sync = Sync::Owed;
        self.set(source, Source::Running);
        Ok(())
    }

    /// Reads what running sources still send of their limited Executes, into the merge.
    async fn rest(&mut self, participants: &mut Participants, sink: &mut dyn Sink) -> Result<(), ExecuteError> {
        for source in 0..self.lanes.len() {
            if self.sources.get(source) == Some(&Source::Running) {
                self.feed(source, participants, sink).await?;
            }
        }
        Ok(())
    }

    async fn ready(
        &mut self,
        source: usize,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<(), ExecuteError> {
        let at = self.lane(source)?;
        loop {
            match next(at, participants, sink).await? {
                Said::Ready => {
                    self.set(source, Source::Settled);
                    return Ok(());
                }
                // COMMIT, where the batch has begun its own transaction
                Said::Complete | Said::Other => {}
                Said::Row(_) | Said::Suspended | Said::Columns(_) => {
                    return Err(ExecuteError::Unexpected {
                        shard: shard_of(at, participants),
                    });
                }
            }
        }
    }

    fn lane(&self, source: usize) -> Result<usize, ExecuteError> {
        self.lanes
            .get(source)
            .copied()
            .ok_or(ExecuteError::Bug("a source without lane"))
    }

    fn set(&mut self, source: usize, state: Source) {
        if let Some(slot) = self.sources.get_mut(source) {
            *slot = state;
        }
    }
}

pub(super) fn wire_format(format: Format) -> wire::Format {
    match format {
        Format::Text => wire::Format::Text,
        Format::Binary => wire::Format::Binary,
    }
}

pub(super) fn shard_of(at: usize, participants: &Participants) -> Option<crate::topology::ShardId> {
    participants.get(at).map(|p| p.shard)
}

/// Waits until the client's buffer takes more.
pub(super) async fn room(sink: &mut dyn Sink) -> Result<(), ExecuteError> {
    poll_fn(|context| {
        if let Poll::Ready(done) = sink.poll_room(context) {
            return Poll::Ready(done.map_err(|error| ExecuteError::Interrupted(Interrupt::ClientGone(error))));
        }
        match sink.poll_interrupt(context) {
            Poll::Ready(interrupt) => Poll::Ready(Err(ExecuteError::Interrupted(interrupt))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Writes what is queued to every shard, all at once.
pub(super) async fn flush_all(
    lanes: &[usize],
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    poll_fn(|context| {
        let mut waiting = false;
        for at in lanes {
            if let Some(participant) = participants.get_mut(*at) {
                match participant.backend.link.poll_drain(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => participant.backend.link.out_buffer.clear(), // its last words are read later
                    Poll::Pending => waiting = true,
                }
            }
        }
        if !waiting {
            return Poll::Ready(Ok(()));
        }
        match sink.poll_interrupt(context) {
            Poll::Ready(interrupt) => Poll::Ready(Err(ExecuteError::Interrupted(interrupt))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The next whole message of a shard, read if need be.
pub(super) async fn next(
    at: usize,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<Said, ExecuteError> {
    loop {
        if let Some(said) = take(at, participants, sink)? {
            return Ok(said);
        }
        fill(at, participants, sink).await?;
    }
}

async fn fill(at: usize, participants: &mut Participants, sink: &mut dyn Sink) -> Result<(), ExecuteError> {
    let shard = shard_of(at, participants);
    let read = poll_fn(|context| {
        let Some(participant) = participants.get_mut(at) else {
            return Poll::Ready(Ok(0));
        };
        let link = &mut participant.backend.link;
        if !link.out_buffer.is_empty()
            && let Poll::Ready(Err(_)) = link.poll_drain(context)
        {
            link.out_buffer.clear();
        }
        match link.poll_fill(context) {
            Poll::Ready(Ok(count)) => return Poll::Ready(Ok(count)),
            Poll::Ready(Err(_)) => return Poll::Ready(Ok(0)),
            Poll::Pending => {}
        }
        match sink.poll_interrupt(context) {
            Poll::Ready(interrupt) => Poll::Ready(Err(ExecuteError::Interrupted(interrupt))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    if read == 0 {
        if let Some(participant) = participants.get_mut(at) {
            participant.life = Life::Gone;
        }
        return Err(ExecuteError::Lost { shard, said: None });
    }
    Ok(())
}

/// Takes a whole message out of the shard's input, but leaves a row where it is.
fn take(at: usize, participants: &mut Participants, sink: &mut dyn Sink) -> Result<Option<Said>, ExecuteError> {
    let shard = shard_of(at, participants);
    let Some(participant) = participants.get_mut(at) else {
        return Err(ExecuteError::Bug("a source without backend"));
    };
    let input = &mut participant.backend.link.in_buffer;
    let Some(frame) = wire::next_frame(input, wire::LARGE_MESSAGE_LIMIT)? else {
        return Ok(None);
    };
    let length = frame.whole.len();
    let said = match frame.tag {
        b'D' => return Ok(Some(Said::Row(length))),
        b'C' | b'I' => Said::Complete,
        b's' => Said::Suspended,
        b'Z' => {
            participant.status = wire::ReadyForQuery::parse(frame.body)?.status.byte();
            participant.sync = Sync::Settled;
            Said::Ready
        }
        b'T' => {
            wire::RowDescription::parse(frame.body)?;
            Said::Columns(BytesMut::from(frame.whole))
        }
        b'E' => {
            let fields = Box::new(ErrorFields::parse(frame.body)?);
            input.advance(length);
            if fields.ends_connection() {
                participant.life = Life::Gone;
                return Err(ExecuteError::Lost {
                    shard,
                    said: Some(fields),
                });
            }
            return Err(ExecuteError::Shard { shard, fields });
        }
        b'N' | b'A' => {
            sink.buffer().extend_from_slice(frame.whole);
            Said::Other
        }
        b'1' | b'2' | b'3' | b'n' | b't' | b'S' => Said::Other,
        _ => return Err(ExecuteError::Unexpected { shard }),
    };
    input.advance(length);
    if let Said::Ready = said {
        participant.backend.link.answered();
    }
    Ok(Some(said))
}

/// Like `next`, but rows go on in pieces as they come.
async fn next_streaming(
    at: usize,
    participants: &mut Participants,
    sink: &mut dyn Sink,
    merger: &mut Merger,
) -> Result<Said, ExecuteError> {
    loop {
        let Some(participant) = participants.get_mut(at) else {
            return Err(ExecuteError::Bug("a source without backend"));
        };
        let input = &mut participant.backend.link.in_buffer;
        let mut rows = 0;
        let cut = participant.scanner.cut(input, |tag| match tag {
            b'D' => {
                rows += 1;
                wire::Interest::Pass
            }
            _ => wire::Interest::Look,
        })?;
        merger.relayed(rows);
        if cut.pass > 0 {
            sink.buffer()
                .extend_from_slice(input.get(..cut.pass).unwrap_or_default());
            input.advance(cut.pass);
        }
        if cut.next == wire::Next::Frame
            && let Some(said) = take(at, participants, sink)?
        {
            return Ok(said);
        }
        if cut.pass > 0 {
            return Ok(Said::Other); // the caller makes room first
        }
        fill(at, participants, sink).await?;
    }
}

/// Ends early what still runs, and reads every link to its ReadyForQuery. A link that breaks meanwhile is marked.
pub(super) async fn wind_up(
    lanes: &[usize],
    sources: &mut [Source],
    leftover: Leftover,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) {
    let unsettled: Vec<usize> = lanes
        .iter()
        .zip(sources.iter())
        .filter(|(at, state)| {
            **state != Source::Settled
                && **state != Source::Suspended
                && participants
                    .get(**at)
                    .is_some_and(|p| p.life == Life::Alive && p.sync == Sync::Owed)
        })
        .map(|(at, _)| *at)
        .collect();
    if unsettled.is_empty() {
        return;
    }
    let mut cancels = JoinSet::new();
    let cancelled: &[usize] = match leftover {
        Leftover::Drop => &[],
        Leftover::Cancel => &unsettled,
    };
    for at in cancelled {
        if let Some(participant) = participants.get_mut(*at) {
            participant.cancels = participant.cancels.saturating_add(1);
            let target = participant.backend.cancel_target();
            cancels.spawn(async move { crate::backend::cancel(&target).await });
        }
    }
    for at in &unsettled {
        discard_to_ready(*at, participants, sink).await;
    }
    while cancels.join_next().await.is_some() {}
    for at in &unsettled {
        // A batch with a BEGIN of its own has failed inside it.
        if consistent::roll_back(*at, participants, sink).await.is_err() {
            tracing::error!("a source without backend");
        }
    }
    for state in sources.iter_mut() {
        *state = Source::Settled;
    }
}

/// Reads and drops everything up to ReadyForQuery; errors too, since the statement has its outcome already.
pub(super) async fn discard_to_ready(at: usize, participants: &mut Participants, sink: &mut dyn Sink) {
    loop {
        let Some(participant) = participants.get_mut(at) else {
            return;
        };
        let input = &mut participant.backend.link.in_buffer;
        let cut = participant.scanner.cut(input, |tag| match tag {
            b'Z' => wire::Interest::Look,
            _ => wire::Interest::Pass,
        });
        let Ok(cut) = cut else {
            participant.life = Life::Gone;
            return;
        };
        input.advance(cut.pass);
        if cut.next == wire::Next::Frame {
            match take(at, participants, sink) {
                Ok(Some(Said::Ready)) => return,
                Ok(_) => continue,
                Err(_) => {
                    if let Some(participant) = participants.get_mut(at) {
                        participant.life = Life::Gone;
                    }
                    return;
                }
            }
        }
        let read = poll_fn(|context| match participants.get_mut(at) {
            Some(participant) => {
                let link = &mut participant.backend.link;
                if let Poll::Ready(Err(_)) = link.poll_drain(context) {
                    return Poll::Ready(Ok(0));
                }
                link.poll_fill(context)
            }
            None => Poll::Ready(Ok(0)),
        })
        .await;
        if !matches!(read, Ok(count) if count > 0) {
            if let Some(participant) = participants.get_mut(at) {
                participant.life = Life::Gone;
            }
            return;
        }
    }
}
