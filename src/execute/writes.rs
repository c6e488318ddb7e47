//! One statement that writes on several shards.
//!
//! Sketch: each shard gets all its texts and one Sync in one write; then all links are driven at once, since a shard that
//! can't be rid of its answer would not read on. Answers are kept per part until all are there: Postgres too sends no
//! returned row before a write has run to its end.
//! Holds: every lane has its block already, so nothing here decides about commit; on return every living link is
//! settled; of several errors that of the first part wins, one of the text before one of a row; what is kept is bounded by what the shards return.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::task::JoinSet;

use crate::execute::returned::{Returned, together};
use crate::execute::{ExecuteError, Interrupt, Reading, Sink};
use crate::plan::{Counts, WriteAnswer, WritePart, Writes};
use crate::topology::ShardId;
use crate::transaction::{Life, Participants, Sync};
use crate::value::Format;
use crate::wire::{self, CommandComplete, ErrorFields};

/// What is to be written where.
#[derive(Debug)]
pub struct WriteRequest<'a> {
    /// the plan
    pub plan: &'a Arc<Writes>,
    /// position of each shard's participant
    pub lanes: &'a BTreeMap<ShardId, usize>,
    /// the client's parameters' formats, as in Bind
    pub formats: &'a [Format],
    /// the client's parameters' values
    pub values: &'a [Option<&'a [u8]>],
    /// formats that the client asked for
    pub result_formats: &'a [Format],
    /// the types to declare for each part, as its shard calls them
    pub types: &'a [Vec<crate::value::Oid>],
    /// commands right before and right behind each Parse, which read its literals as they were read at first
    pub reading: &'a Reading,
}

/// A statement's whole answer.
#[derive(Debug, Default)]
pub struct Written {
    /// RowDescription as a whole message, of the shard named; none where no rows are returned
    pub description: Option<(ShardId, BytesMut)>,
    /// DataRows as whole messages
    pub rows: BytesMut,
    /// how many
    pub count: u64,
    /// the command's tag
    pub tag: Vec<u8>,
    /// an error of its transaction's end, behind all of this: a deferred constraint's. Only of one text by itself.
    pub at_end: Option<ExecuteError>,
}

/// One shard at work.
struct Lane {
    at: usize,
    shard: ShardId,
    /// its parts, in order
    parts: Vec<usize>,
    /// the one whose answer comes next
    current: usize,
    /// tags to come of commands around its Parse
    around: usize,
    settled: bool,
    notices: Notices,
}

impl Lane {
    /// One part is done.
    fn next_part(&mut self, around: usize) {
        self.current = self.current.saturating_add(1);
        self.around = around;
    }
}

/// Does the client hear a shard's notices?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notices {
    /// yes
    Relayed,
    /// no: another shard has said the same
    Dropped,
}

/// Runs it to its end on all shards.
pub async fn write(
    request: &WriteRequest<'_>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<Written, ExecuteError> {
    let mut answers: Vec<Returned> = request.plan.parts.iter().map(|_| Returned::default()).collect();
    let mut lanes = lanes(request)?;
    let mut at_end = None;
    match request.plan.answer {
        WriteAnswer::Sum(_) => match run(request, &mut lanes, &mut answers, participants, sink).await {
            Err(error @ ExecuteError::Shard { .. }) if answers.iter().all(|answer| !answer.tag.is_empty()) => {
                at_end = Some(error);
            }
            ran => ran?,
        },
        WriteAnswer::Same(_) | WriteAnswer::Each(_) => {
            let mut others = lanes.split_off(lanes.len().min(1));
            others.iter_mut().for_each(|lane| lane.notices = Notices::Dropped);
            run(request, &mut lanes, &mut answers, participants, sink).await?;
            run(request, &mut others, &mut answers, participants, sink).await?;
        }
    }
    let written = together(request.plan, request.result_formats, answers)?;
    Ok(Written { at_end, ..written })
}

/// The shards in their order, each with its parts.
fn lanes(request: &WriteRequest<'_>) -> Result<Vec<Lane>, ExecuteError> {
    let mut lanes: Vec<Lane> = Vec::with_capacity(request.lanes.len());
    for (shard, at) in request.lanes {
        let parts = request.plan.parts.iter().enumerate();
        let parts: Vec<usize> = parts
            .filter(|(_, part)| part.shard == *shard)
            .map(|(index, _)| index)
            .collect();
        if !parts.is_empty() {
            lanes.push(Lane {
                at: *at,
                shard: *shard,
                parts,
                current: 0,
                around: request.reading.commands(),
                settled: false,
                notices: Notices::Relayed,
            });
        }
    }
    let placed: usize = lanes.iter().map(|lane| lane.parts.len()).sum();
    match placed == request.plan.parts.len() {
        true => Ok(lanes),
        false => Err(ExecuteError::Bug("a write without its participant")),
    }
}

/// Sends each lane its texts and drives all of them until every one is settled or lost.
async fn run(
    request: &WriteRequest<'_>,
    lanes: &mut [Lane],
    answers: &mut [Returned],
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    for lane in lanes.iter() {
        let Some(participant) = participants.get_mut(lane.at) else {
            return Err(ExecuteError::Bug("a write without its participant"));
        };
        let out = &mut participant.backend.link.out_buffer;
        for index in &lane.parts {
            let part = request.plan.parts.get(*index);
            let part = part.ok_or(ExecuteError::Bug("a write without its part"))?;
            let types = request.types.get(*index).map_or(&[][..], Vec::as_slice);
            put_part(out, request, part, types);
        }
        wire::put_sync(out);
        participant.sync = Sync::Owed;
    }
    let around = request.reading.commands();
    let mut failures: BTreeMap<usize, ExecuteError> = BTreeMap::new();
    let mut interrupted: Option<Interrupt> = None;
    let mut cancels = JoinSet::new();
    loop {
        let turn = poll_fn(|context| {
            if turn(context, lanes, (answers, around), &mut failures, participants, sink).is_ready() {
                return Poll::Ready(None);
            }
            match interrupted {
                Some(_) => Poll::Pending, // cancelled already: its end is waited for
                None => sink.poll_interrupt(context).map(Some),
            }
        });
        match turn.await {
            None => break,
            Some(interrupt) => {
                for lane in lanes.iter().filter(|lane| !lane.settled) {
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
    match (interrupted, decisive(failures)) {
        (Some(interrupt), _) => Err(ExecuteError::Interrupted(interrupt)),
        (None, Some((part, failure))) => Err(in_client_text(request, part, failure)),
        (None, None) => Ok(()),
    }
}

/// An error of a part with its position in the client's text, where that is known.
fn in_client_text(request: &WriteRequest<'_>, part: usize, failure: ExecuteError) -> ExecuteError {
    let ExecuteError::Shard { shard, mut fields } = failure else {
        return failure;
    };
    let position = fields.position().and_then(|at| usize::try_from(at).ok());
    let part = request.plan.parts.get(part);
    let mapped = position.zip(part.and_then(|part| part.positions.as_ref()));
    let mapped = mapped.map(|(at, positions)| positions.original(at));
    fields.remove(wire::ErrorField::Position);
    if let Some(mapped) = mapped {
        fields.put(wire::ErrorField::Position, mapped.to_string());
    }
    ExecuteError::Shard { shard, fields }
}

/// Of several errors the first part's; but one that points into the text comes before any row is written.
fn decisive(failures: BTreeMap<usize, ExecuteError>) -> Option<(usize, ExecuteError)> {
    let points = |failure: &ExecuteError| match failure {
        ExecuteError::Shard { shard: _, fields } => fields.position().is_some(),
        ExecuteError::Lost { .. }
        | ExecuteError::Unexpected { .. }
        | ExecuteError::Frame(_)
        | ExecuteError::Merge(_)
        | ExecuteError::Interrupted(_)
        | ExecuteError::Differs { .. }
        | ExecuteError::Form
        | ExecuteError::NoSnapshot
        | ExecuteError::Bug(_) => false,
    };
    let pointing = failures.iter().find(|(_, failure)| points(failure));
    let at = pointing.map(|(part, _)| *part);
    let mut failures = failures;
    match at {
        Some(part) => failures.remove_entry(&part),
        None => failures.pop_first(),
    }
}

/// Parse, Bind, Describe and Execute of one part.
fn put_part(out: &mut BytesMut, request: &WriteRequest<'_>, part: &WritePart, types: &[crate::value::Oid]) {
    let format = |index: &usize| match request.formats {
        [] => wire::Format::Text,
        [one] => wire_format(*one),
        each => each.get(*index).map_or(wire::Format::Text, |f| wire_format(*f)),
    };
    let formats: Vec<wire::Format> = part.parameters.iter().map(format).collect();
    let values = part.parameters.iter();
    let values = values.map(|index| request.values.get(*index).copied().flatten());
    let mut results: Vec<wire::Format> = match part.counts {
        Counts::Yes => request.result_formats.iter().map(|f| wire_format(*f)).collect(),
        Counts::No => Vec::new(),
    };
    if request.plan.answer == WriteAnswer::Same(crate::plan::Sameness::Rows) && results.len() > 1 {
        results.push(wire::Format::Text);
    }
    let parsed = request.reading.put_parse(out, &part.text, types);
    wire::put_bind(out, b"", parsed, &formats, values, &results);
    wire::put_describe(out, wire::Target::Portal, b"");
    wire::put_execute(out, b"", 0);
}

fn wire_format(format: Format) -> wire::Format {
    match format {
        Format::Text => wire::Format::Text,
        Format::Binary => wire::Format::Binary,
    }
}

/// Writes and reads on every unsettled lane as far as it goes; ready when all are settled.
fn turn(
    context: &mut Context<'_>,
    lanes: &mut [Lane],
    (answers, around): (&mut [Returned], usize),
    failures: &mut BTreeMap<usize, ExecuteError>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Poll<()> {
    for lane in lanes.iter_mut().filter(|lane| !lane.settled) {
        drive(context, lane, (answers, around), failures, participants, sink);
    }
    match lanes.iter().all(|lane| lane.settled) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    }
}

/// Takes one lane as far as its socket goes.
fn drive(
    context: &mut Context<'_>,
    lane: &mut Lane,
    (answers, around): (&mut [Returned], usize),
    failures: &mut BTreeMap<usize, ExecuteError>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) {
    loop {
        let Some(participant) = participants.get_mut(lane.at) else {
            lane.settled = true;
            return;
        };
        let link = &mut participant.backend.link;
        link.push_out(context);
        match link.poll_hear(context) {
            Poll::Pending => return,
            Poll::Ready(true) => {}
            Poll::Ready(false) => return lose(lane, failures, participants, None),
        }
        if let Err(error) = absorb(lane, (answers, around), failures, participants, sink) {
            let first = lane.parts.get(lane.current).copied().unwrap_or(usize::MAX);
            failures.entry(first).or_insert(error);
            if let Some(participant) = participants.get_mut(lane.at) {
                participant.life = Life::Gone;
            }
            lane.settled = true;
        }
        if lane.settled {
            return;
        }
    }
}

/// Its connection has ended.
fn lose(
    lane: &mut Lane,
    failures: &mut BTreeMap<usize, ExecuteError>,
    participants: &mut Participants,
    said: Option<Box<ErrorFields>>,
) {
    if let Some(participant) = participants.get_mut(lane.at) {
        participant.life = Life::Gone;
    }
    let first = lane.parts.get(lane.current).copied().unwrap_or(usize::MAX);
    failures.entry(first).or_insert(ExecuteError::Lost {
        shard: Some(lane.shard),
        said,
    });
    lane.settled = true;
}

/// Takes every whole message out of a lane's input.
fn absorb(
    lane: &mut Lane,
    (answers, around): (&mut [Returned], usize),
    failures: &mut BTreeMap<usize, ExecuteError>,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(), ExecuteError> {
    loop {
        let Some(participant) = participants.get_mut(lane.at) else {
            return Ok(());
        };
        let input = &mut participant.backend.link.in_buffer;
        let Some(frame) = wire::next_frame(input, wire::LARGE_MESSAGE_LIMIT)? else {
            return Ok(());
        };
        let index = lane.parts.get(lane.current).copied();
        let answer = index.and_then(|index| answers.get_mut(index));
        let length = frame.whole.len();
        match (frame.tag, answer) {
            (b'C', _) if lane.around > 0 => lane.around = lane.around.saturating_sub(1),
            (b'D', Some(answer)) => answer.row(frame.whole),
            (b'T', Some(answer)) => answer.description = Some(BytesMut::from(frame.whole)),
            (b'C', Some(answer)) => {
                answer.tag = CommandComplete::parse(frame.body)?.tag.to_vec();
                lane.next_part(around);
            }
            (b'I', Some(_)) => lane.next_part(around),
            (b'E', _) => {
                let fields = Box::new(ErrorFields::parse(frame.body)?);
                input.advance(length);
                if fields.ends_connection() {
                    lose(lane, failures, participants, Some(fields));
                    return Ok(());
                }
                failures
                    .entry(index.unwrap_or(usize::MAX))
                    .or_insert(ExecuteError::Shard {
                        shard: Some(lane.shard),
                        fields,
                    });
                continue;
            }
            (b'Z', _) => {
                participant.status = wire::ReadyForQuery::parse(frame.body)?.status.byte();
                participant.sync = Sync::Settled;
                lane.settled = true;
            }
            (b'N', _) if lane.notices == Notices::Dropped => {}
            (b'A', _) | (b'N', _) => sink.buffer().extend_from_slice(frame.whole),
            (b'1' | b'2' | b'3' | b'n' | b'S', _) => {}
            _ => {
                return Err(ExecuteError::Unexpected {
                    shard: Some(lane.shard),
                });
            }
        }
        participant.backend.link.in_buffer.advance(length);
        if lane.settled {
            participant.backend.link.answered();
            return Ok(());
        }
    }
}
