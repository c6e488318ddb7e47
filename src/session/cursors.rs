//! SQL cursors over several shards: DECLARE, FETCH, MOVE, CLOSE.
//!
//! Sketch: DECLARE starts the fan-out as the first row-limited Execute does, so it sees what one statement at that moment
//! sees; every FETCH goes on with the merge. The shards' portals live as long as the block, and so does the cursor.
//! Holds: the shards' rows come as text, since a FETCH by the extended protocol says its format long after DECLARE; asked
//! for in binary they are made so here, for the types of which that is exact (`value::binary_of_text`).
//! Absent: going backward, WITH HOLD, WHERE CURRENT OF such a cursor: refused where they are said.

use std::sync::Arc;

use bytes::BytesMut;

use crate::execute::{ExecuteError, Fan, Given};
use crate::plan::FanOut;
use crate::session::describing::column_format;
use crate::session::error::{Failure, Stop};
use crate::session::found::Kept;
use crate::session::portal::{Bound, Place};
use crate::session::prepared::Statement;
use crate::session::simple::Via;
use crate::session::state::{Session, Wrapping};
use crate::sql::{Command, Fetch, FetchWord, Motion};
use crate::topology::ShardId;
use crate::transaction::{BlockError, State};
use crate::value::{self, Format, Oid};
use crate::wire::{self, DataRow, RowDescription};

/// Rows that a shard gives at a time.
const ROWS_AHEAD: i32 = 64;

/// A FETCH in binary of what can't be made so from text for sure.
pub(super) const NO_BINARY: Failure = Failure::NotInThisVersion {
    construct: "FETCH in binary format of a column whose text and binary forms don't follow from one another",
};

/// The most bytes of rows that a FETCH keeps for further Executes.
const FETCHED_BYTES_MAX: usize = 16 << 20;

/// Rows fetched between two looks at their size.
const FETCHED_AT_ONCE: u64 = 256;

/// How rows are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    /// by Query: as text, described
    Simple,
    /// by Execute: in these formats, not more than this many (0: all)
    Extended(&'a [Format], i32),
}

/// A cursor over several shards.
#[derive(Debug)]
pub(super) struct FanCursor {
    /// the client's name for it
    name: String,
    pub(super) fan: Fan,
    pub(super) plan: Arc<FanOut>,
    /// savepoints that there were before it
    savepoints: usize,
    progress: Progress,
}

/// Are there rows left?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Perhaps,
    Ended,
    /// an error has ended it, and where it stands isn't known
    Failed,
}

impl Session {
    /// DECLARE of a cursor over several shards.
    pub(super) async fn declare_fan(
        &mut self,
        plan: &Arc<FanOut>,
        bound: &Bound,
        command: &Command,
        via: Via,
    ) -> Result<(), Stop> {
        let Command::Declare(declare) = command else {
            return Err(Failure::Bug("a cursor that nothing declares").into());
        };
        // Several statements of one Query are a block; a batch of messages is none.
        let in_block = self.block.is_explicit() || (via == Via::Simple && self.wrapping == Wrapping::Yes);
        if !in_block {
            return Err(Failure::Block(BlockError::NoBlock("DECLARE CURSOR")).into());
        }
        let name = &declare.name;
        if self.cursors.contains_key(name)
            || self.fan_cursors.contains_key(name)
            || self.portals.contains_key(name.as_bytes())
        {
            return Err(Failure::PortalExists(declare.name.clone()).into());
        }
        let cursor = self.park_fan(name, plan, bound, &[]).await?;
        self.fan_cursors.insert(declare.name.clone(), cursor);
        wire::put_command_complete(&mut self.client.out_buffer, b"DECLARE CURSOR");
        Ok(())
    }

    /// Starts a fan-out, and stands before its first row.
    pub(super) async fn park_fan(
        &mut self,
        name: &str,
        plan: &Arc<FanOut>,
        bound: &Bound,
        formats: &[Format],
    ) -> Result<FanCursor, Stop> {
        let mut cursor = self.begin_cursor(name, plan, bound, formats, ROWS_AHEAD).await?;
        let (mut sink, participants) = self.sink();
        let parked = cursor.fan.park(participants, &mut sink).await;
        drop(sink);
        parked.map_err(|error| self.fan_failed(error))?;
        self.end_fan();
        Ok(cursor)
    }

    /// Starts a fan-out whose shards give `ahead` rows at a time.
    pub(super) async fn begin_cursor(
        &mut self,
        name: &str,
        plan: &Arc<FanOut>,
        bound: &Bound,
        formats: &[Format],
        ahead: i32,
    ) -> Result<FanCursor, Stop> {
        let portal = format!("sg_fan_{}", self.next_number());
        Ok(FanCursor {
            name: name.to_owned(),
            fan: self.start_fan(plan, bound, formats, portal, ahead).await?,
            plan: Arc::clone(plan),
            savepoints: self.block.savepoints(),
            progress: Progress::Perhaps,
        })
    }

    /// FETCH or MOVE of such a cursor, or of a portal over several shards; `None`: there is none of that name.
    /// Rows that it has fetched beyond what was asked for come back.
    pub(super) async fn fetch_fan(
        &mut self,
        fetch: &Fetch,
        asked: Asked<'_>,
    ) -> Option<Result<Option<BytesMut>, Stop>> {
        if let Some(done) = self.fetch_portal(fetch, asked).await {
            return Some(done);
        }
        let mut cursor = self.fan_cursors.remove(&fetch.name)?;
        let done = match self.block.state() {
            State::Failed => Err(Failure::Block(BlockError::Aborted).into()),
            _ => self.fetch_from(&mut cursor, fetch, asked).await,
        };
        self.fan_cursors.insert(fetch.name.clone(), cursor);
        Some(done)
    }

    /// A backend that left meanwhile may have moved the others.
    pub(super) fn stand(&self, cursor: &mut FanCursor) -> Result<(), Stop> {
        let found = cursor.plan.shards.iter().map(|shard| self.participants.find(*shard));
        let lanes: Option<Vec<usize>> = found.collect();
        cursor
            .fan
            .stand_on(lanes.ok_or(Failure::Bug("a cursor without its backend"))?);
        Ok(())
    }

    /// Gives up to `limit` further rows (0: all) as they come from the shards.
    pub(super) async fn go_on_with(&mut self, cursor: &mut FanCursor, limit: u64) -> Result<Given, Stop> {
        let going = match cursor.begin_giving()? {
            Going::Ended => return Ok(Given::Complete(cursor.fan.rows())),
            Going::On => self.emit(&mut cursor.fan, limit).await?,
        };
        self.end_fan();
        cursor.end_giving(going);
        Ok(going)
    }

    pub(super) async fn fetch_from(
        &mut self,
        cursor: &mut FanCursor,
        fetch: &Fetch,
        asked: Asked<'_>,
    ) -> Result<Option<BytesMut>, Stop> {
        let limit = match fetch.motion {
            Motion::Forward(rows) => rows,
            Motion::All => 0,
            Motion::Other => {
                return Err(Failure::NotInThisVersion {
                    construct: "a cursor over several shards that goes backward or to a place",
                }
                .into());
            }
        };
        cursor.may_be_run()?;
        self.stand(cursor)?;
        let mut later = None;
        let types = match (fetch.word, asked) {
            (FetchWord::Move, _) => Vec::new(),
            (FetchWord::Fetch, Asked::Simple) => {
                self.put_fan_columns(&cursor.fan, &cursor.plan)?;
                Vec::new()
            }
            (FetchWord::Fetch, Asked::Extended(formats, most)) => {
                let rows = u64::try_from(most).unwrap_or(0);
                // Then it fetches all the same, and the portal gives them by and by.
                later = (rows > 0 && (limit == 0 || rows <= limit)).then_some(most);
                self.binary_columns(&cursor.fan, formats)?
            }
        };
        if let Some(most) = later {
            let rows = self.fetch_ahead(cursor, limit, &types).await?;
            return self.give_fetched(rows, most);
        }
        let before = cursor.fan.rows();
        if cursor.begin_giving()? == Going::On {
            let given = match fetch.word {
                FetchWord::Fetch if types.iter().any(Option::is_some) => {
                    let (mut sink, participants) = self.sink();
                    let mut make = |body: &[u8], out: &mut BytesMut| put_binary(body, &types, out);
                    let given = cursor.fan.emit_made(limit, participants, &mut sink, &mut make).await;
                    drop(sink);
                    given.map_err(|error| self.fan_failed(error))?
                }
                FetchWord::Fetch => self.emit(&mut cursor.fan, limit).await?,
                FetchWord::Move => {
                    let (mut sink, participants) = self.sink();
                    let given = cursor.fan.skip(limit, participants, &mut sink).await;
                    drop(sink);
                    given.map_err(|error| self.fan_failed(error))?
                }
            };
            self.end_fan();
            cursor.end_giving(given);
        }
        let rows = cursor.fan.rows().saturating_sub(before);
        let word = match fetch.word {
            FetchWord::Fetch => "FETCH",
            FetchWord::Move => "MOVE",
        };
        self.rows = self.rows.saturating_add(rows);
        wire::put_command_complete(&mut self.client.out_buffer, format!("{word} {rows}").as_bytes());
        Ok((fetch.word == FetchWord::Fetch).then(BytesMut::new))
    }

    /// Fetches up to so many rows (0: all) that are given later, as Postgres does with those of a portal whose FETCH has
    /// run.
    async fn fetch_ahead(
        &mut self,
        cursor: &mut FanCursor,
        limit: u64,
        types: &[Option<Oid>],
    ) -> Result<BytesMut, Stop> {
        let stop_at = match limit {
            0 => u64::MAX,
            limit => cursor.fan.rows().saturating_add(limit),
        };
        let binary = types.iter().any(Option::is_some);
        let mut fetched = BytesMut::new();
        while cursor.fan.rows() < stop_at && cursor.begin_giving()? == Going::On {
            let step = stop_at.saturating_sub(cursor.fan.rows()).min(FETCHED_AT_ONCE);
            let (mut client, participants) = self.sink();
            let mut sink = Kept {
                client: &mut client,
                kept: BytesMut::new(),
            };
            let given = match binary {
                true => {
                    let mut make = |body: &[u8], out: &mut BytesMut| put_binary(body, types, out);
                    cursor.fan.emit_made(step, participants, &mut sink, &mut make).await
                }
                false => cursor.fan.emit(step, participants, &mut sink).await,
            };
            let kept = sink.kept;
            drop(client);
            cursor.end_giving(given.map_err(|error| self.fan_failed(error))?);
            let mut rest: &[u8] = &kept;
            while let Some(frame) =
                wire::next_frame(rest, wire::LARGE_MESSAGE_LIMIT).map_err(|_| Failure::Bug("rows can't be read"))?
            {
                match frame.tag {
                    b'D' => fetched.extend_from_slice(frame.whole),
                    _ => self.client.out_buffer.extend_from_slice(frame.whole),
                }
                rest = rest.get(frame.whole.len()..).unwrap_or_default();
            }
            if fetched.len() > FETCHED_BYTES_MAX {
                return Err(Failure::NotInThisVersion {
                    construct: "a row limit in Execute of a FETCH of more than 16 MB from a cursor over several shards",
                }
                .into());
            }
        }
        self.end_fan();
        Ok(fetched)
    }

    /// Gives up to `most` (0: all) of the rows that a FETCH has fetched; those that are left come back.
    pub(super) fn give_fetched(&mut self, mut rows: BytesMut, most: i32) -> Result<Option<BytesMut>, Stop> {
        let most = match u64::try_from(most) {
            Ok(0) | Err(_) => u64::MAX,
            Ok(most) => most,
        };
        let mut given = 0_u64;
        while given < most {
            let frame =
                wire::next_frame(&rows, wire::LARGE_MESSAGE_LIMIT).map_err(|_| Failure::Bug("rows can't be read"))?;
            let Some(length) = frame.map(|frame| frame.whole.len()) else {
                break;
            };
            self.client.out_buffer.extend_from_slice(&rows.split_to(length));
            given = given.saturating_add(1);
        }
        self.rows = self.rows.saturating_add(given);
        // As in Postgres: whoever got as many as asked for may ask once more, and is told then that there are none.
        if given == most {
            wire::put_portal_suspended(&mut self.client.out_buffer);
            return Ok(Some(rows));
        }
        wire::put_command_complete(&mut self.client.out_buffer, format!("FETCH {given}").as_bytes());
        Ok(Some(BytesMut::new())) // none, if it is asked again
    }

    /// What is left of a FETCH waits in its portal.
    pub(super) fn fetched_later(&mut self, portal: &[u8], rest: Option<BytesMut>) {
        if let (Some(rest), Some(portal)) = (rest, self.portals.get_mut(portal)) {
            portal.place = Place::Fetched(rest);
        }
    }

    /// Which of a cursor's columns are asked for in binary: their types.
    fn binary_columns(&self, fan: &Fan, formats: &[Format]) -> Result<Vec<Option<Oid>>, Stop> {
        let mut whole = BytesMut::new();
        fan.put_description(&mut whole);
        let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
        let columns = RowDescription::parse(body).map_err(|_| Failure::Bug("a RowDescription can't be read"))?;
        if formats.len() > 1 && formats.len() != columns.len() {
            return Err(Failure::ResultFormats {
                given: formats.len(),
                columns: columns.len(),
            }
            .into());
        }
        let types: Vec<Option<Oid>> = columns
            .fields()
            .enumerate()
            .map(|(column, field)| (column_format(formats, column) == Format::Binary).then_some(field.type_oid))
            .collect();
        let digits = self
            .effective
            .context
            .other
            .iter()
            .find(|(name, _)| *name == "extra_float_digits");
        let exact = digits.is_some_and(|(_, digits)| digits.parse::<i32>().is_ok_and(|digits| digits > 0));
        let made = |kind: &Oid| match *kind {
            Oid::FLOAT4 | Oid::FLOAT8 => exact,
            other => value::has_binary_of_text(other),
        };
        match types.iter().flatten().all(made) {
            true => Ok(types),
            false => Err(NO_BINARY.into()),
        }
    }

    /// The columns that a FETCH from a cursor over several shards gives, as a RowDescription; `None`: it is none.
    pub(super) fn fetched_columns(&self, statement: &Statement, formats: &[Format]) -> Result<Option<BytesMut>, Stop> {
        let Command::Fetch(fetch) = statement.command() else {
            return Ok(None);
        };
        match (fetch.word, self.fan_cursors.get(&fetch.name)) {
            (FetchWord::Move, _) => Ok(None),
            (FetchWord::Fetch, Some(cursor)) => self.cursor_columns(cursor, formats).map(Some),
            (FetchWord::Fetch, None) => self.portal_columns(&fetch.name, formats),
        }
    }

    /// The shard that holds the cursor of a FETCH or MOVE by itself.
    pub(super) fn fetched_on(&self, command: &Command) -> Option<ShardId> {
        let Command::Fetch(fetch) = command else { return None };
        if self.transparent || self.fan_cursors.contains_key(&fetch.name) {
            return None;
        }
        let shard = self.cursor_shard(&fetch.name)?;
        self.participants.find(shard).map(|_| shard)
    }

    /// ROLLBACK TO a savepoint: cursors made since are gone.
    pub(super) fn drop_cursors_since(&mut self, savepoint: usize) {
        self.fan_cursors.retain(|_, cursor| cursor.savepoints <= savepoint);
    }

    /// RELEASE of a savepoint: cursors made since belong to what is around it.
    pub(super) fn adopt_cursors_since(&mut self, savepoint: usize) {
        for cursor in self.fan_cursors.values_mut() {
            cursor.savepoints = cursor.savepoints.min(savepoint);
        }
    }
}

/// Is there anything to go on with?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    On,
    Ended,
}

impl FanCursor {
    /// Until `end_giving` it counts as failed: an error leaves it between rows.
    fn begin_giving(&mut self) -> Result<Going, Stop> {
        self.may_be_run()?;
        Ok(match self.progress {
            Progress::Ended => Going::Ended,
            Progress::Perhaps | Progress::Failed => {
                self.progress = Progress::Failed;
                Going::On
            }
        })
    }

    fn may_be_run(&self) -> Result<(), Stop> {
        match self.progress {
            Progress::Perhaps | Progress::Ended => Ok(()),
            Progress::Failed => Err(Failure::PortalFailed(self.name.clone()).into()),
        }
    }

    fn end_giving(&mut self, given: Given) {
        self.progress = match given {
            Given::Complete(_) => Progress::Ended,
            Given::Suspended => Progress::Perhaps,
        };
    }
}

/// A row of text made into one whose columns of these types are binary.
fn put_binary(body: &[u8], types: &[Option<Oid>], out: &mut BytesMut) -> Result<(), ExecuteError> {
    let row = DataRow::parse(body)?;
    let mut values: Vec<Option<Vec<u8>>> = Vec::with_capacity(types.len());
    for (column, text) in row.values.enumerate() {
        let kind = types.get(column).copied().flatten();
        values.push(match (text, kind) {
            (None, _) => None,
            (Some(text), None) => Some(text.to_vec()),
            (Some(text), Some(kind)) => {
                let mut made = Vec::new();
                value::binary_of_text(kind, text, &mut made).ok_or(ExecuteError::Form)?;
                Some(made)
            }
        });
    }
    wire::put_data_row(out, values.iter().map(Option::as_deref));
    Ok(())
}
