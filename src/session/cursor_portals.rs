//! A cursor of SQL is a portal of the protocol too, and the other way round: they have one name space in Postgres.
//!
//! Why: drivers mix them. psycopg describes a cursor by its name right after DECLARE; asyncpg moves a portal by MOVE.
//! Holds: `Session::portals` comes first, then `fan_cursors` and `cursors`; no name is in two of them. What is on one
//! shard has the client's name there, so the message or the text goes there as it is.

use std::sync::Arc;

use bytes::BytesMut;

use crate::session::cursors::{Asked, FanCursor};
use crate::session::describing::put_columns;
use crate::session::error::{Failure, Stop};
use crate::session::portal::{Place, Portal};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::Session;
use crate::session::writes::Returned;
use crate::sql::{Fetch, FetchWord};
use crate::topology::ShardId;
use crate::transaction::{BlockError, State, Sync, Worked};
use crate::value::Format;
use crate::wire::{self, Target};

/// Where a cursor of SQL lives that a message names as its portal.
enum Cursor {
    /// on the backend at this place among the participants
    One(usize),
    /// on several shards: its name
    Several(String),
}

impl Session {
    /// The cursor of SQL of a portal's name.
    fn cursor_named(&self, portal: &[u8]) -> Option<Cursor> {
        let name = std::str::from_utf8(portal).ok()?;
        if self.fan_cursors.contains_key(name) {
            return Some(Cursor::Several(name.to_owned()));
        }
        let shard = self.cursors.get(name)?;
        self.participants.find(*shard).map(Cursor::One)
    }

    /// Is a portal's name that of a cursor?
    pub(super) fn is_cursor(&self, portal: &[u8]) -> bool {
        self.cursor_named(portal).is_some()
    }

    /// The shard that has the cursor or portal of this name by itself.
    pub(super) fn cursor_shard(&self, name: &str) -> Option<ShardId> {
        match self.portals.get(name.as_bytes()).map(|portal| &portal.place) {
            Some(Place::Backend { shard, .. }) => Some(*shard),
            Some(_) => None,
            None => self.cursors.get(name).copied(),
        }
    }

    /// CLOSE of a portal of the protocol that no one backend has: was there one?
    pub(super) fn close_portal(&mut self, name: &str) -> bool {
        let here = |portal: &Portal| !matches!(portal.place, Place::Backend { .. });
        let closes = self.portals.get(name.as_bytes()).is_some_and(here);
        closes && self.portals.remove(name.as_bytes()).is_some()
    }

    /// Describe of a portal that no Bind made.
    pub(super) async fn describe_cursor(&mut self, portal: &[u8]) -> Result<(), Stop> {
        match self.cursor_named(portal) {
            None => Err(Failure::no_portal(portal).into()),
            Some(Cursor::One(at)) => {
                self.pass_on(at, Kind::DescribePortal, Undo::Nothing, |out| {
                    wire::put_describe(out, Target::Portal, portal);
                })
                .await
            }
            Some(Cursor::Several(name)) => {
                if self.block.state() == State::Failed {
                    return Err(Failure::Block(BlockError::Aborted).into());
                }
                let Some(cursor) = self.fan_cursors.get(&name) else {
                    return Err(Failure::no_portal(portal).into());
                };
                let whole = self.fan_columns(&cursor.fan, &cursor.plan)?;
                self.local(|out| out.extend_from_slice(&whole), Undo::Nothing);
                Ok(())
            }
        }
    }

    /// Execute of a portal that no Bind made.
    pub(super) async fn execute_cursor(&mut self, portal: &[u8], row_limit: i32) -> Result<(), Stop> {
        match self.cursor_named(portal) {
            None => Err(Failure::no_portal(portal).into()),
            Some(Cursor::One(at)) => {
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.worked = Worked::Yes;
                }
                self.pass_on(at, Kind::Execute(None), Undo::Nothing, |out| {
                    wire::put_execute(out, portal, row_limit);
                })
                .await
            }
            Some(Cursor::Several(name)) => {
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                if self.block.state() == State::Failed {
                    return Err(Failure::Block(BlockError::Aborted).into());
                }
                let Some(mut cursor) = self.fan_cursors.remove(&name) else {
                    return Err(Failure::no_portal(portal).into());
                };
                let done = self.give(&mut cursor, row_limit).await;
                self.fan_cursors.insert(name, cursor);
                done
            }
        }
    }

    /// Close of a portal that no Bind made: of a cursor, or of nothing.
    pub(super) async fn close_cursor(&mut self, portal: &[u8]) -> Result<(), Stop> {
        match self.cursor_named(portal) {
            None => self.local(wire::put_close_complete, Undo::Nothing),
            Some(Cursor::One(at)) => {
                // The name stays known: what comes for it is the server's to answer.
                self.pass_on(at, Kind::Close, Undo::Nothing, |out| {
                    wire::put_close(out, Target::Portal, portal);
                })
                .await?;
            }
            Some(Cursor::Several(name)) => {
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                self.fan_cursors.remove(&name); // the shards' portals end with the block
                self.local(wire::put_close_complete, Undo::Nothing);
            }
        }
        Ok(())
    }

    /// Passes a message on to a backend that the session holds.
    pub(super) async fn pass_on(
        &mut self,
        at: usize,
        kind: Kind,
        undo: Undo,
        put: impl FnOnce(&mut BytesMut),
    ) -> Result<(), Stop> {
        self.switch_away(Some(at)).await?;
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        put(&mut participant.backend.link.out_buffer);
        participant.sync = Sync::Owed;
        self.queue.push_back(Owed::Backend {
            kind,
            shown: Shown::Yes,
            undo,
        });
        Ok(())
    }

    /// FETCH or MOVE of a portal over several shards; `None`: there is none of that name.
    pub(super) async fn fetch_portal(
        &mut self,
        fetch: &Fetch,
        asked: Asked<'_>,
    ) -> Option<Result<Option<Box<Returned>>, Stop>> {
        let name = fetch.name.as_bytes();
        match self.portals.get(name).map(|portal| &portal.place) {
            None | Some(Place::Backend { .. }) => return None,
            Some(_) => {}
        }
        let mut portal = self.portals.remove(name)?;
        let done = self.fetch_from_portal(&mut portal, fetch, asked).await;
        self.portals.insert(name.to_vec(), portal);
        Some(done)
    }

    async fn fetch_from_portal(
        &mut self,
        portal: &mut Portal,
        fetch: &Fetch,
        asked: Asked<'_>,
    ) -> Result<Option<Box<Returned>>, Stop> {
        if self.block.state() == State::Failed {
            return Err(Failure::Block(BlockError::Aborted).into());
        }
        // What FETCH gives is text, whatever its portal was bound to (Postgres's `PerformPortalFetch`).
        if fetch.word == FetchWord::Fetch && portal.result_formats.contains(&Format::Binary) {
            return Err(Failure::NotInThisVersion {
                construct: "FETCH from a portal that was bound to give rows in binary format",
            }
            .into());
        }
        if let Place::Fan { plan, parameters } = &portal.place {
            let (plan, parameters) = (Arc::clone(plan), parameters.clone());
            let statement = Arc::clone(&portal.statement);
            self.heed(statement.text())?;
            self.outlive_sync().await?;
            let formats = &portal.result_formats;
            let cursor = self.park_fan(&fetch.name, &plan, &parameters, formats).await?;
            portal.place = Place::Suspended(Box::new(cursor));
        }
        match &mut portal.place {
            Place::Suspended(cursor) => self.fetch_from(cursor, fetch, asked).await,
            _ => Err(Failure::NotInThisVersion {
                construct: "FETCH or MOVE of a portal that is no query's, or was executed to its end",
            }
            .into()),
        }
    }

    /// Shards' portals must outlive a Sync: what has them runs in a block.
    pub(super) async fn outlive_sync(&mut self) -> Result<(), Stop> {
        if !self.block.is_explicit() {
            self.begin_batch_block().await?;
        }
        Ok(())
    }

    /// Gives rows of a cursor as an Execute does: the rest of them, or not more than `row_limit`.
    pub(super) async fn give(&mut self, cursor: &mut FanCursor, row_limit: i32) -> Result<(), Stop> {
        self.stand(cursor)?;
        let before = cursor.fan.rows();
        match self.go_on_with(cursor, u64::try_from(row_limit).unwrap_or(0)).await? {
            crate::execute::Given::Complete(rows) => self.put_select_tag(rows.saturating_sub(before)),
            crate::execute::Given::Suspended => wire::put_portal_suspended(&mut self.client.out_buffer),
        }
        Ok(())
    }

    /// The columns of a FETCH from a portal over several shards; `None`: it is none, or is still to begin.
    pub(super) fn portal_columns(&self, name: &str, formats: &[Format]) -> Result<Option<BytesMut>, Stop> {
        let Some(Place::Suspended(cursor)) = self.portals.get(name.as_bytes()).map(|portal| &portal.place) else {
            return Ok(None);
        };
        self.cursor_columns(cursor, formats).map(Some)
    }

    /// A cursor's columns in these formats, as a RowDescription.
    pub(super) fn cursor_columns(&self, cursor: &FanCursor, formats: &[Format]) -> Result<BytesMut, Stop> {
        let whole = self.fan_columns(&cursor.fan, &cursor.plan)?;
        let mut columns = BytesMut::new();
        put_columns(
            whole.get(wire::HEADER_BYTES..).unwrap_or_default(),
            formats,
            &mut columns,
        )?;
        Ok(columns)
    }
}
