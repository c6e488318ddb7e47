//! COPY FROM STDIN of a table that lies on several shards: each row of the client's stream goes to its shard, or to all.
//!
//! Sketch, per piece read from the client: its bytes are gathered, cut into rows, and each row is copied behind the open
//! CopyData message of its shard; messages are closed and written once the piece is used up. A row costs the search for
//! its end and for its key, a hash, and two copies.
//! Holds: a shard gets the client's own bytes of its rows, in their order, behind columns that the client leaves out
//! (`copy_fill`); nothing is read from the client while a shard has
//! more than [`LANE_BYTES_HIGH`] to take; what is kept is one row and those bytes; of several errors that of the
//! client's first line wins, since every row before it is with its shard by then; when a run ends every living link is
//! settled, whether it was stopped or not.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::task::JoinSet;

use crate::execute::copy_fill::{Fills, Made, OutOfRange};
use crate::execute::copy_lane::{Eager, Lane, Notices, STOPPED, Stage};
use crate::execute::{ExecuteError, Interrupt, Sink};
use crate::plan::{self, Category, CopyOwners, Draw, RowPlace, RowShares, RowTally};
use crate::sql::{AtEnd, CopyRows, Cut, KeyField};
use crate::topology::{BucketId, KeyspaceId, QualifiedName, ShardId};
use crate::transaction::{Participants, Sync};
use crate::value::Oid;
use crate::wire;

/// Bytes for one shard beyond which nothing more is read from the client.
const LANE_BYTES_HIGH: usize = 256 * 1024;

/// Postgres holds a row in one buffer of at most 1 GB.
const ROW_BYTES_MAX: usize = 0x3fff_ffff;

/// Keys whose place is remembered where it takes more than a hash to find.
const REMEMBERED_MAX: usize = 65_536;

/// Fixed categories of keys.
pub type Categories = BTreeMap<(KeyspaceId, String), Category>;

/// How far the client's data could be given away.
#[derive(Debug)]
pub enum Given {
    /// all of it; a part of a row may wait for more
    All,
    /// the client's data end here, whatever follows
    Ended,
    /// categories of these keys must be known first
    Ask(Vec<String>),
    /// values of these sequences are needed first, by [`CopyIn::supply`]
    Draw(Vec<Draw>),
    /// a value of a sequence that its column's type doesn't hold
    OutOfRange(Oid),
    /// Postgres refuses what comes here; the shard that will say so has it
    Broken,
    /// a row that has no place
    Unplaced(RowPlace),
    /// a row beyond what Postgres holds
    TooLong,
}

/// What a look at all shards showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// more may be read from the client
    Room,
    /// a shard must take some first
    Full,
    /// a shard has failed
    Failed,
}

/// How it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopHow<'a> {
    /// by an error of ours, or of a shard
    Own,
    /// by the client, with its reason
    Client(&'a [u8]),
    /// one shard has bytes that Postgres refuses: there the data end, and it says why
    Broken,
}

/// A COPY that ran to its end.
#[derive(Debug, Default)]
pub struct Copied {
    /// rows
    pub count: u64,
    /// participants that got none
    pub without: Vec<usize>,
}

/// One under way.
#[derive(Debug)]
pub struct CopyIn {
    plan: Arc<plan::CopyIn>,
    rows: CopyRows,
    /// none where the client gives all columns
    fills: Option<Fills>,
    lanes: Vec<Lane>,
    /// by the shard's index: where in `lanes`
    by_shard: Vec<Option<usize>>,
    /// what the client sent and no shard has yet
    pending: BytesMut,
    /// lines of the client's so far
    line: u64,
    /// the lane of the first row: it knows how lines end
    first: Option<usize>,
    /// the row at the start of `pending` was cut already
    cut: Option<usize>,
    ended: bool,
    last: (Vec<u8>, Option<Owned>),
    remembered: BTreeMap<Vec<u8>, Owned>,
    /// whose rows went by; none where no key decides
    tally: Option<RowTally>,
}

/// Where a key's rows go, and whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owned {
    lane: usize,
    bucket: BucketId,
}

/// Which lanes a row goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum To {
    /// this one
    One(usize),
    /// all of them
    All,
}

impl CopyIn {
    /// Sends the statement to each shard and waits until all take rows. Returns CopyInResponse too, as a whole message.
    ///
    /// All shards at once, before the client sends a byte: what is wrong with the statement is said where Postgres says
    /// it, and no row waits for a round trip. `once`: the values of the plan's constants.
    pub async fn start(
        plan: &Arc<plan::CopyIn>,
        (text, once): (&[u8], Vec<Option<String>>),
        lanes: &BTreeMap<ShardId, usize>,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Result<(CopyIn, BytesMut), ExecuteError> {
        let fills = match plan.fills.is_empty() {
            true => None,
            false => Some(Fills::new(plan, once)?),
        };
        let mut by_shard = Vec::new();
        let mut list: Vec<Lane> = Vec::new();
        for (shard, at) in lanes {
            let Some(participant) = participants.get_mut(*at) else {
                return Err(ExecuteError::Bug("a COPY without its participant"));
            };
            wire::put_query(&mut participant.backend.link.out_buffer, text);
            participant.sync = Sync::Owed;
            by_shard.resize(by_shard.len().max(shard.index().saturating_add(1)), None);
            if let Some(slot) = by_shard.get_mut(shard.index()) {
                *slot = Some(list.len());
            }
            let notices = match (&plan.owners, list.is_empty()) {
                (CopyOwners::Key(_), _) | (CopyOwners::All(_), true) => Notices::Relayed,
                (CopyOwners::All(_), false) => Notices::Dropped,
            };
            list.push(Lane::new(*at, *shard, notices));
        }
        let mut copy = CopyIn {
            plan: Arc::clone(plan),
            rows: plan.rows(),
            fills,
            lanes: list,
            by_shard,
            pending: BytesMut::new(),
            line: 0,
            first: None,
            cut: None,
            ended: false,
            last: (Vec::new(), None),
            remembered: BTreeMap::new(),
            tally: plan.tally(),
        };
        let mut response = BytesMut::new();
        let interrupted = copy
            .wait(participants, sink, Stage::Open, &mut response)
            .await
            .map(ExecuteError::Interrupted);
        if interrupted.is_none() && copy.lanes.iter().all(|lane| lane.stage == Stage::Open) {
            if let Some(fills) = &copy.fills {
                response = without_columns(&response, fills.count())?;
            }
            return Ok((copy, response));
        }
        let failed = copy.stop(StopHow::Own, participants, sink).await;
        let none = ExecuteError::Bug("a COPY did not begin and no shard said why");
        Err(interrupted.or(failed).unwrap_or(none))
    }

    /// The line of the client's data that is read now, as Postgres counts it.
    pub fn line(&self) -> u64 {
        self.line.saturating_add(1)
    }

    /// Takes bytes of the client's; [`CopyIn::give`] gives them on.
    pub fn take(&mut self, bytes: &[u8]) {
        if !self.ended {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// More values of a sequence.
    pub fn supply(&mut self, sequence: &QualifiedName, values: Vec<i64>) {
        if let Some(fills) = &mut self.fills {
            fills.supply(sequence, values);
        }
    }

    /// The last value that a row was given of each sequence; the one that was used last comes last.
    pub fn last_values(&self) -> Vec<(QualifiedName, i64)> {
        self.fills.as_ref().map(Fills::last_values).unwrap_or_default()
    }

    /// The rows that were given to shards, by bucket; `None`: none, or no key decides.
    pub fn shares(&self) -> Option<RowShares> {
        self.plan.shares(self.tally.as_ref()?)
    }

    /// Gives each row that is whole to its shard.
    pub fn give(
        &mut self,
        end: AtEnd,
        categories: &Categories,
        participants: &mut Participants,
    ) -> Result<Given, ExecuteError> {
        let pending = std::mem::take(&mut self.pending);
        let mut at = 0_usize;
        let given = self.give_from(&pending, &mut at, end, categories, participants);
        self.close_frames(participants);
        self.pending = pending;
        match &given {
            Ok(Given::Ended | Given::Broken) => {
                self.ended = true;
                self.pending = BytesMut::new();
            }
            _ => self.pending.advance(at.min(self.pending.len())),
        }
        given
    }

    fn give_from(
        &mut self,
        pending: &[u8],
        at: &mut usize,
        end: AtEnd,
        categories: &Categories,
        participants: &mut Participants,
    ) -> Result<Given, ExecuteError> {
        loop {
            let input = pending.get(*at..).unwrap_or_default();
            let cut = match self.cut.take() {
                Some(length) => Cut::Row(length),
                None => self.rows.next(input, end),
            };
            match cut {
                Cut::More if input.len() > ROW_BYTES_MAX => return Ok(Given::TooLong),
                Cut::More => return Ok(Given::All),
                Cut::End => return Ok(Given::Ended),
                Cut::Header(length) => {
                    self.line = self.line.saturating_add(self.rows.lines());
                    let front = self.fills.as_ref().map(Fills::header).unwrap_or_default();
                    for lane in 0..self.lanes.len() {
                        self.push(lane, [&front, input.get(..length).unwrap_or_default()], participants)?;
                    }
                    *at = at.saturating_add(length);
                }
                Cut::Broken(length) => {
                    let lane = self.first.unwrap_or(0);
                    self.first = Some(lane);
                    self.line = self.line.saturating_add(self.rows.lines());
                    let piece = input.get(..length).unwrap_or_default();
                    match &mut self.fills {
                        Some(fills) if self.rows.is_broken_inside(piece) => {
                            fills.make_blank();
                            self.push_row(To::One(lane), piece, participants)?;
                        }
                        Some(_) | None => self.push(lane, [&[], piece], participants)?,
                    }
                    return Ok(Given::Broken);
                }
                Cut::Row(length) => {
                    let row = input.get(..length).unwrap_or_default();
                    match self.fills.as_mut().map(Fills::make) {
                        None | Some(Ok(Made::Yes)) => {}
                        Some(Ok(Made::Needs(draws))) => {
                            self.cut = Some(length);
                            return Ok(Given::Draw(draws));
                        }
                        Some(Err(OutOfRange(type_oid))) => return Ok(Given::OutOfRange(type_oid)),
                    }
                    let place = self.place(row, categories);
                    let to = match place {
                        Ok(to) => to,
                        Err(RowPlace::Ask(key)) => {
                            self.cut = Some(length);
                            let rest = input.get(length..).unwrap_or_default();
                            return Ok(Given::Ask(self.unknown(key, rest, categories)));
                        }
                        Err(unplaced) => return Ok(Given::Unplaced(unplaced)),
                    };
                    self.line = self.line.saturating_add(self.rows.lines());
                    self.first.get_or_insert(match to {
                        To::One(lane) => lane,
                        To::All => 0,
                    });
                    self.push_row(to, row, participants)?;
                    *at = at.saturating_add(length);
                }
            }
        }
    }

    /// Where a row goes.
    fn place(&mut self, row: &[u8], categories: &Categories) -> Result<To, RowPlace> {
        if matches!(self.plan.owners, CopyOwners::All(_)) {
            return Ok(To::All);
        }
        let filled = self.fills.as_ref().and_then(Fills::key);
        let field = match filled {
            Some(field) => field,
            None => self.rows.key(row),
        };
        let bytes = match field {
            KeyField::Missing | KeyField::Null => &[],
            KeyField::Text(bytes) | KeyField::Binary(bytes) => bytes,
        };
        let has_bytes = matches!(field, KeyField::Text(_) | KeyField::Binary(_));
        let mut note = |owned: Owned| {
            if let Some(tally) = &mut self.tally {
                tally.count(owned.bucket, || self.plan.key_of(field));
            }
            Ok(To::One(owned.lane))
        };
        if has_bytes
            && let (last, Some(owned)) = (&self.last.0, self.last.1)
            && last == bytes
        {
            return note(owned);
        }
        if has_bytes && let Some(owned) = self.remembered.get(bytes) {
            return note(*owned);
        }
        let owned = match self.plan.place(categories, field) {
            RowPlace::At(place) => {
                let lane = self.by_shard.get(place.shard.index()).copied().flatten();
                Owned {
                    lane: lane.ok_or(RowPlace::Unread("its shard owned no bucket when the COPY began"))?,
                    bucket: place.bucket,
                }
            }
            RowPlace::Everywhere => return Ok(To::All),
            RowPlace::Anywhere => return Ok(To::One(self.first.unwrap_or(0))),
            unplaced @ (RowPlace::Ask(_)
            | RowPlace::CategoryUnknown(_)
            | RowPlace::BeyondRanges(_)
            | RowPlace::Unread(_)) => return Err(unplaced),
        };
        self.last.0.clear();
        self.last.0.extend_from_slice(bytes);
        self.last.1 = Some(owned);
        if self.plan.is_slow_to_place() && self.remembered.len() < REMEMBERED_MAX {
            self.remembered.insert(bytes.to_vec(), owned);
        }
        note(owned)
    }

    /// All keys in what is there whose category must be asked for: one question for them all.
    fn unknown(&self, first: String, rest: &[u8], categories: &Categories) -> Vec<String> {
        let mut ahead = self.rows.clone();
        let mut keys = vec![first];
        if self.fills.as_ref().and_then(Fills::key).is_some() {
            return keys; // later rows have none yet
        }
        let mut at = 0_usize;
        while let Cut::Row(length) = ahead.next(rest.get(at..).unwrap_or_default(), AtEnd::No) {
            let row = rest.get(at..).and_then(|rest| rest.get(..length)).unwrap_or_default();
            if let RowPlace::Ask(key) = self.plan.place(categories, ahead.key(row)) {
                keys.push(key);
            }
            at = at.saturating_add(length);
        }
        keys.sort();
        keys.dedup();
        keys
    }

    /// Puts a row, with what is filled in before it, behind what its lanes have.
    fn push_row(&mut self, to: To, row: &[u8], participants: &mut Participants) -> Result<(), ExecuteError> {
        let (front, replaced) = self.fills.as_mut().map(Fills::take).unwrap_or_default();
        let row = row.get(replaced..).unwrap_or_default();
        match to {
            To::One(lane) => self.push(lane, [&front, row], participants)?,
            To::All => {
                for lane in 0..self.lanes.len() {
                    self.push(lane, [&front, row], participants)?;
                }
            }
        }
        if let Some(fills) = &mut self.fills {
            fills.give_back(front);
        }
        Ok(())
    }

    /// Puts bytes of a row behind what a lane has.
    fn push(&mut self, lane: usize, pieces: [&[u8]; 2], participants: &mut Participants) -> Result<(), ExecuteError> {
        let client_line = self.line;
        let Some(lane) = self.lanes.get_mut(lane) else {
            return Err(ExecuteError::Bug("a row without its lane"));
        };
        let Some(participant) = participants.get_mut(lane.at) else {
            return Err(ExecuteError::Bug("a COPY without its participant"));
        };
        if lane.stage != Stage::Open {
            return Ok(()); // it has failed, which is dealt with next
        }
        let lines = match lane.lines.is_empty() {
            true => self.rows.lines_at_first(),
            false => self.rows.lines(),
        };
        lane.lines
            .note(client_line, lines, pieces.iter().map(|piece| piece.len()).sum());
        lane.put(pieces, &mut participant.backend.link.out_buffer);
        Ok(())
    }

    fn close_frames(&mut self, participants: &mut Participants) {
        for lane in &mut self.lanes {
            if let Some(participant) = participants.get_mut(lane.at) {
                lane.close_frame(&mut participant.backend.link.out_buffer);
            }
        }
    }

    /// Writes and reads as far as it goes without waiting; `eager`: also the little that is there.
    pub fn poll_lanes(
        &mut self,
        context: &mut Context<'_>,
        eager: Eager,
        participants: &mut Participants,
        out: &mut BytesMut,
    ) -> Lanes {
        let (plan, next) = (Arc::clone(&self.plan), self.line());
        let mut found = Lanes::Room;
        for lane in &mut self.lanes {
            lane.drive(context, eager, participants, &plan, next, out, None);
            if lane.failure.is_some() || lane.stage == Stage::Settled {
                return Lanes::Failed;
            }
            let waiting = participants
                .get(lane.at)
                .map_or(0, |participant| participant.backend.link.out_buffer.len());
            if waiting >= LANE_BYTES_HIGH {
                found = Lanes::Full;
            }
        }
        found
    }

    /// Ends the data everywhere and waits for the shards' answers.
    pub async fn end(&mut self, participants: &mut Participants, sink: &mut dyn Sink) -> Result<Copied, ExecuteError> {
        for lane in self.lanes.iter_mut().filter(|lane| lane.stage == Stage::Open) {
            if let Some(participant) = participants.get_mut(lane.at) {
                wire::put_copy_done(&mut participant.backend.link.out_buffer);
            }
            lane.stage = Stage::Closed;
        }
        let interrupted = self
            .wait(participants, sink, Stage::Settled, &mut BytesMut::new())
            .await;
        match (interrupted, self.failure()) {
            (Some(interrupt), _) => Err(ExecuteError::Interrupted(interrupt)),
            (None, Some(failure)) => Err(failure),
            (None, None) => Ok(Copied {
                count: self.count()?,
                without: self
                    .lanes
                    .iter()
                    .filter(|lane| lane.count == 0)
                    .map(|lane| lane.at)
                    .collect(),
            }),
        }
    }

    /// The rows of all shards; copies must be alike.
    fn count(&self) -> Result<u64, ExecuteError> {
        match (&self.plan.owners, self.lanes.first()) {
            (CopyOwners::Key(_), _) | (CopyOwners::All(_), None) => Ok(self.lanes.iter().map(|lane| lane.count).sum()),
            (CopyOwners::All(_), Some(first)) => match self.lanes.iter().find(|lane| lane.count != first.count) {
                None => Ok(first.count),
                Some(other) => Err(ExecuteError::Differs {
                    first: first.shard,
                    other: other.shard,
                }),
            },
        }
    }

    /// Stops it on all shards. Returns the shards' error, if one has one of its own: that of the client's first line.
    pub async fn stop(
        &mut self,
        how: StopHow<'_>,
        participants: &mut Participants,
        sink: &mut dyn Sink,
    ) -> Option<ExecuteError> {
        let broken = match how {
            StopHow::Broken => self.first,
            StopHow::Own | StopHow::Client(_) => None,
        };
        // One that has not answered the statement yet must do so first: what comes before is not for its COPY.
        let mut interrupted = self.wait(participants, sink, Stage::Open, &mut BytesMut::new()).await;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.stage != Stage::Open {
                continue;
            }
            if let Some(participant) = participants.get_mut(lane.at) {
                let out = &mut participant.backend.link.out_buffer;
                match how {
                    _ if broken == Some(index) => wire::put_copy_done(out),
                    StopHow::Client(reason) => wire::put_copy_fail(out, reason),
                    StopHow::Own | StopHow::Broken => wire::put_copy_fail(out, STOPPED),
                }
            }
            lane.stage = Stage::Closed;
        }
        let later = self
            .wait(participants, sink, Stage::Settled, &mut BytesMut::new())
            .await;
        interrupted = interrupted.or(later);
        match interrupted {
            Some(interrupt @ Interrupt::ClientGone(_)) => Some(ExecuteError::Interrupted(interrupt)),
            Some(Interrupt::Cancelled) | None => self.failure(),
        }
    }

    /// The error of the client's first line; one that names none comes last.
    fn failure(&mut self) -> Option<ExecuteError> {
        let failures = self.lanes.iter_mut().filter_map(|lane| lane.failure.take());
        let first = failures.min_by_key(|(line, _)| line.unwrap_or(u64::MAX));
        first.map(|(_, failure)| failure)
    }

    /// Waits until every lane is at this stage or beyond; cancels once if it must stop.
    async fn wait(
        &mut self,
        participants: &mut Participants,
        sink: &mut dyn Sink,
        until: Stage,
        response: &mut BytesMut,
    ) -> Option<Interrupt> {
        let (plan, next) = (Arc::clone(&self.plan), self.line());
        let mut interrupted: Option<Interrupt> = None;
        let mut cancels = JoinSet::new();
        loop {
            let lanes = &mut self.lanes;
            let turn = poll_fn(|context| {
                let mut all = true;
                for lane in lanes.iter_mut() {
                    if !lane.is_at(until) {
                        let out = sink.buffer();
                        lane.drive(context, Eager::Yes, participants, &plan, next, out, Some(response));
                    }
                    all &= lane.is_at(until);
                }
                match (all, &interrupted) {
                    (true, _) => Poll::Ready(None),
                    (false, Some(_)) => Poll::Pending, // cancelled already: its end is waited for
                    (false, None) => sink.poll_interrupt(context).map(Some),
                }
            });
            match turn.await {
                None => break,
                Some(interrupt) => {
                    for lane in self.lanes.iter().filter(|lane| lane.stage != Stage::Settled) {
                        if let Some(participant) = participants.get_mut(lane.at) {
                            participant.cancels = participant.cancels.saturating_add(1);
                            let target = participant.backend.cancel_target();
                            cancels.spawn(async move { crate::backend::cancel(&target).await });
                        }
                    }
                    interrupted = Some(interrupt);
                }
            }
        }
        while cancels.join_next().await.is_some() {}
        interrupted
    }
}

/// A CopyInResponse without its first columns.
fn without_columns(response: &[u8], columns: usize) -> Result<BytesMut, ExecuteError> {
    const COUNT_BYTES: usize = 2;
    let body = response.get(wire::HEADER_BYTES..).unwrap_or_default();
    let bug = || ExecuteError::Bug("a CopyInResponse with too few columns");
    let (format, formats) = body.split_first().ok_or_else(bug)?;
    let dropped = columns.saturating_add(1).saturating_mul(COUNT_BYTES);
    let kept = formats.get(dropped..).ok_or_else(bug)?;
    let count = u16::try_from(kept.len() / COUNT_BYTES).map_err(|_| bug())?;
    let length = wire::HEADER_BYTES
        .saturating_add(COUNT_BYTES)
        .saturating_add(kept.len());
    let mut out = BytesMut::with_capacity(length.saturating_add(1));
    out.extend_from_slice(b"G");
    out.extend_from_slice(&u32::try_from(length).map_err(|_| bug())?.to_be_bytes());
    out.extend_from_slice(&[*format]);
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(kept);
    Ok(out)
}
