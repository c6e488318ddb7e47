//! The last step of a read over merged groups: they go to one shard, as parameters of the text that computes the answer.
//!
//! Why the answer is held: what a shard computes over them comes after the merge has ended, and small it is, since its
//! groups are bounded ([`ROWS_MAX`]); so row-limited Executes need no second portal.
//! Holds: names, types and typmods of the answer are those which the shard gives to the client's own text, and the
//! computed columns' types must be the same.

use bytes::{Buf, BytesMut};

use std::io;
use std::task::{Context, Poll};

use crate::execute::fan::{Given, Leftover, Said, Source, flush_all, next, room, shard_of, wind_up, wire_format};
use crate::execute::{ExecuteError, Fan, FanRequest, Interrupt, Sink};
use crate::merge::{GROUP_BYTES_MAX, MergeError};
use crate::plan::Finish;
use crate::transaction::{Participants, Sync};
use crate::value::{Format, Oid};
use crate::wire::{self, DataRow, Field, RowDescription};

/// The most merged groups that a shard is given.
const ROWS_MAX: u64 = 10_000;

/// The most parameters of a Bind.
const VALUES_MAX: usize = u16::MAX as usize;

/// Groups merged between two looks at their size.
const STEP_ROWS: u64 = 256;

/// OIDs from here on are of objects that users made (`FirstNormalObjectId`).
const FIRST_USER_OID: u32 = 16_384;

/// The whole answer, waiting for the client.
#[derive(Debug)]
pub(super) struct Held {
    /// DataRow messages
    rows: BytesMut,
    given: u64,
}

impl Held {
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Gives rows up to a count in all.
    pub(super) async fn give_until(&mut self, stop_at: u64, sink: &mut dyn Sink) -> Result<Given, ExecuteError> {
        loop {
            room(sink).await?;
            if self.given >= stop_at {
                return Ok(Given::Suspended);
            }
            let Some(frame) = wire::next_frame(&self.rows, wire::LARGE_MESSAGE_LIMIT)? else {
                return Ok(Given::Complete(self.given));
            };
            let length = frame.whole.len();
            sink.buffer().extend_from_slice(frame.whole);
            self.rows.advance(length);
            self.given = self.given.saturating_add(1);
        }
    }
}

/// Merges all groups and has the answer computed: its rows, and its RowDescription as a whole message.
pub(super) async fn run(
    request: &FanRequest<'_>,
    finish: &Finish,
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<Fan, ExecuteError> {
    let inner = FanRequest {
        result_formats: &[Format::Binary],
        portal: "",
        row_limit: 0,
        ..*request
    };
    let mut fan = Fan::begin(&inner, participants, sink).await?;
    let groups = merged(&mut fan, participants, sink).await?;
    let at = request.lanes.first().copied();
    let at = at.ok_or(ExecuteError::Bug("a fan-out over no shard"))?;
    let types = fan.column_types()?;
    put_batch(at, request, finish, (&groups, &types), participants)?;
    let answered = answer(at, request, &types, participants, sink).await;
    match answered {
        Ok((rows, description)) => {
            fan.hold(Held { rows, given: 0 }, description);
            Ok(fan)
        }
        Err(error) => {
            let leftover = match error {
                ExecuteError::Shard { .. } => Leftover::Drop,
                _ => Leftover::Cancel,
            };
            wind_up(&[at], &mut [Source::Running], leftover, participants, sink).await;
            Err(error)
        }
    }
}

/// All merged groups, as DataRow messages. What is no row goes to the client.
async fn merged(fan: &mut Fan, participants: &mut Participants, sink: &mut dyn Sink) -> Result<BytesMut, ExecuteError> {
    let mut collector = Collector::new(sink);
    loop {
        let stop_at = fan.rows().saturating_add(STEP_ROWS);
        let given = fan.emit_until(stop_at, participants, &mut collector).await;
        let given = given.and_then(|given| collector.sort_out().map(|()| given));
        let given = given.and_then(
            |given| match (fan.rows() > ROWS_MAX, collector.rows.len() > GROUP_BYTES_MAX) {
                (false, false) => Ok(given),
                (true, _) | (false, true) => Err(too_many()),
            },
        );
        match given {
            Ok(Given::Suspended) => {}
            Ok(Given::Complete(_)) => {
                fan.wind_up(Leftover::Drop, participants, collector.sink).await;
                return Ok(collector.rows);
            }
            Err(error) => {
                fan.wind_up(Leftover::Cancel, participants, collector.sink).await;
                return Err(error);
            }
        }
    }
}

fn too_many() -> ExecuteError {
    ExecuteError::Merge(MergeError::TooManyGroups { cap: ROWS_MAX })
}

/// Queues what computes the answer; the client's own text is only described.
fn put_batch(
    at: usize,
    request: &FanRequest<'_>,
    finish: &Finish,
    (groups, types): (&BytesMut, &[Oid]),
    participants: &mut Participants,
) -> Result<(), ExecuteError> {
    let mut values: Vec<Option<&[u8]>> = request.values.to_vec();
    let mut text = finish.before_rows.clone();
    let mut rest: &[u8] = groups;
    let mut lead = " UNION ALL VALUES ";
    while let Some(frame) = wire::next_frame(rest, wire::LARGE_MESSAGE_LIMIT)? {
        rest = rest.get(frame.whole.len()..).unwrap_or_default();
        let before = values.len();
        values.extend(DataRow::parse(frame.body)?.values);
        if values.len().checked_sub(before) != Some(finish.columns) {
            return Err(ExecuteError::Bug("a merged row of another width"));
        }
        let numbers = (before.saturating_add(1)..=values.len()).map(|number| format!("${number}"));
        text.extend_from_slice(lead.as_bytes());
        text.extend_from_slice(format!("({})", numbers.collect::<Vec<_>>().join(", ")).as_bytes());
        lead = ", ";
    }
    if values.len() > VALUES_MAX {
        return Err(too_many());
    }
    text.extend_from_slice(&finish.behind_rows);

    let own = request.values.len();
    let declared = request.types_of(at);
    let mut parameter_types: Vec<Oid> = (0..own).map(|at| declared.get(at).copied().unwrap_or(Oid(0))).collect();
    parameter_types.extend(types.iter().cycle().take(values.len().saturating_sub(own)));
    let mut formats: Vec<wire::Format> = (0..own).map(|at| wire_format(format_of(request.formats, at))).collect();
    formats.resize(values.len(), wire::Format::Binary);
    let result_formats: Vec<wire::Format> = request.result_formats.iter().map(|f| wire_format(*f)).collect();

    let participant = participants
        .get_mut(at)
        .ok_or(ExecuteError::Bug("a fan-out without its participant"))?;
    let out = &mut participant.backend.link.out_buffer;
    let parsed = request.finish_reading.put_parse(out, &finish.client_text, declared);
    wire::put_describe(out, wire::Target::Statement, parsed);
    let parsed = request.finish_reading.put_parse(out, &text, &parameter_types);
    wire::put_bind(out, b"", parsed, &formats, values, &result_formats);
    wire::put_describe(out, wire::Target::Portal, b"");
    wire::put_execute(out, b"", 0);
    wire::put_sync(out);
    participant.sync = Sync::Owed;
    Ok(())
}

/// Reads the answer to ReadyForQuery.
async fn answer(
    at: usize,
    request: &FanRequest<'_>,
    types: &[Oid],
    participants: &mut Participants,
    sink: &mut dyn Sink,
) -> Result<(BytesMut, BytesMut), ExecuteError> {
    flush_all(&[at], participants, sink).await?;
    let (mut columns, mut rows) = (Vec::new(), BytesMut::new());
    loop {
        match next(at, participants, sink).await? {
            Said::Columns(whole) => columns.push(whole),
            Said::Row(length) => {
                let participant = participants
                    .get_mut(at)
                    .ok_or(ExecuteError::Bug("a source without backend"))?;
                let input = &mut participant.backend.link.in_buffer;
                rows.extend_from_slice(input.get(..length).unwrap_or_default());
                input.advance(length);
                if rows.len() > GROUP_BYTES_MAX {
                    return Err(MergeError::GroupsTooLarge { cap: GROUP_BYTES_MAX }.into());
                }
            }
            Said::Ready => break,
            Said::Complete | Said::Other => {}
            Said::Suspended => {
                return Err(ExecuteError::Unexpected {
                    shard: shard_of(at, participants),
                });
            }
        }
    }
    let [own, computed] = columns.as_slice() else {
        return Err(ExecuteError::Bug("an answer without columns"));
    };
    let body = |whole: &BytesMut| BytesMut::from(whole.get(wire::HEADER_BYTES..).unwrap_or_default());
    let (own, computed) = (body(own), body(computed));
    let description = describe(
        request,
        types,
        &RowDescription::parse(&own)?,
        &RowDescription::parse(&computed)?,
    )?;
    Ok((rows, description))
}

/// The client's RowDescription: what the shard says of the client's text, if the computed columns are of these types.
fn describe(
    request: &FanRequest<'_>,
    types: &[Oid],
    own: &RowDescription<'_>,
    computed: &RowDescription<'_>,
) -> Result<BytesMut, ExecuteError> {
    let differs = own
        .fields()
        .zip(computed.fields())
        .position(|(own, computed)| own.type_oid != computed.type_oid);
    let differs = differs.or((own.len() != computed.len()).then_some(own.len().min(computed.len())));
    if let Some(column) = differs {
        let column = column.saturating_add(1);
        return Err(MergeError::Disagreement {
            source_index: 0,
            column,
        }
        .into());
    }
    let format = |column: usize| format_of(request.result_formats, column);
    // A label has no OIDs in it; of other user types' values that isn't known.
    let holds_oids = |(column, field): (usize, Field<'_>)| {
        field.type_oid.0 >= FIRST_USER_OID && format(column) == Format::Binary && !types.contains(&field.type_oid)
    };
    if let Some(column) = own.fields().enumerate().position(holds_oids) {
        let column = column.saturating_add(1);
        return Err(MergeError::BinaryUserType { column }.into());
    }
    let fields = own.fields().enumerate().map(|(column, field)| Field {
        format: wire_format(format(column)),
        ..field
    });
    let mut description = BytesMut::new();
    wire::put_row_description(&mut description, fields);
    Ok(description)
}

/// The format of one value by the rule of Bind: none means text, one means that one for all.
fn format_of(formats: &[Format], at: usize) -> Format {
    match formats {
        [] => Format::Text,
        [one] => *one,
        each => each.get(at).copied().unwrap_or(Format::Text),
    }
}

/// Takes the merge's rows instead of the client.
pub(super) struct Collector<'s> {
    buffer: BytesMut,
    /// DataRow messages
    pub(super) rows: BytesMut,
    sink: &'s mut dyn Sink,
}

impl<'s> Collector<'s> {
    pub(super) fn new(sink: &'s mut dyn Sink) -> Collector<'s> {
        Collector {
            buffer: BytesMut::new(),
            rows: BytesMut::new(),
            sink,
        }
    }

    /// Rows are kept; notices and notifications are the client's.
    pub(super) fn sort_out(&mut self) -> Result<(), ExecuteError> {
        while let Some(frame) = wire::next_frame(&self.buffer, wire::LARGE_MESSAGE_LIMIT)? {
            let length = frame.whole.len();
            match frame.tag {
                b'D' => self.rows.extend_from_slice(frame.whole),
                _ => self.sink.buffer().extend_from_slice(frame.whole),
            }
            self.buffer.advance(length);
        }
        Ok(())
    }
}

impl Sink for Collector<'_> {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_interrupt(&mut self, context: &mut Context<'_>) -> Poll<Interrupt> {
        self.sink.poll_interrupt(context)
    }
}
