//! SQL cursors over several shards: DECLARE, FETCH, MOVE, CLOSE.
//!
//! Sketch: DECLARE starts the fan-out as the first row-limited Execute does, so it sees what one statement at that moment
//! sees; every FETCH goes on with the merge. The shards' portals live as long as the block, and so does the cursor.
//! Absent: going backward, WITH HOLD, WHERE CURRENT OF such a cursor: refused where they are said.

use std::sync::Arc;

use crate::execute::{Fan, Given};
use crate::plan::FanOut;
use crate::session::error::{Failure, Stop};
use crate::session::portal::Bound;
use crate::session::simple::Via;
use crate::session::state::{Session, Wrapping};
use crate::sql::{Command, Fetch, FetchWord, Motion};
use crate::transaction::BlockError;
use crate::wire;

/// Rows that a shard gives at a time.
const ROWS_AHEAD: i32 = 64;

/// A cursor over several shards.
#[derive(Debug)]
pub(super) struct FanCursor {
    fan: Fan,
    plan: Arc<FanOut>,
    /// savepoints that there were before it
    savepoints: usize,
    progress: Progress,
}

/// Are there rows left?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    Perhaps,
    Ended,
}

impl Session {
    /// DECLARE of a cursor over several shards.
    pub(super) async fn declare_fan(&mut self, plan: &Arc<FanOut>, command: &Command, via: Via) -> Result<(), Stop> {
        let Command::Declare(declare) = command else {
            return Err(Failure::Bug("a cursor that nothing declares").into());
        };
        if via == Via::Extended {
            return Err(Failure::NotInThisVersion {
                construct: "DECLARE of a cursor over several shards by the extended protocol",
            }
            .into());
        }
        if !self.block.is_explicit() && self.wrapping == Wrapping::No {
            return Err(Failure::Block(BlockError::NoBlock("DECLARE CURSOR")).into());
        }
        if self.cursors.contains_key(&declare.name) {
            return Err(Failure::PortalExists(declare.name.clone()).into());
        }
        let number = self.next_number();
        let portal = format!("sg_cursor_{number}");
        let mut fan = self.start_fan(plan, &Bound::default(), &[], portal, ROWS_AHEAD).await?;
        let (mut sink, participants) = self.sink();
        let parked = fan.park(participants, &mut sink).await;
        drop(sink);
        parked.map_err(|error| self.fan_failed(error))?;
        self.end_fan();
        let cursor = FanCursor {
            fan,
            plan: Arc::clone(plan),
            savepoints: self.block.savepoints(),
            progress: Progress::Perhaps,
        };
        self.fan_cursors.insert(declare.name.clone(), cursor);
        wire::put_command_complete(&mut self.client.out_buffer, b"DECLARE CURSOR");
        Ok(())
    }

    /// FETCH or MOVE of such a cursor; `None`: there is none of that name.
    pub(super) async fn fetch_fan(&mut self, fetch: &Fetch) -> Option<Result<(), Stop>> {
        let mut cursor = self.fan_cursors.remove(&fetch.name)?;
        let done = self.fetch_from(&mut cursor, fetch).await;
        self.fan_cursors.insert(fetch.name.clone(), cursor);
        Some(done)
    }

    async fn fetch_from(&mut self, cursor: &mut FanCursor, fetch: &Fetch) -> Result<(), Stop> {
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
        // A backend that left meanwhile may have moved the others.
        let found = cursor.plan.shards.iter().map(|shard| self.participants.find(*shard));
        let lanes: Option<Vec<usize>> = found.collect();
        cursor
            .fan
            .stand_on(lanes.ok_or(Failure::Bug("a cursor without its backend"))?);
        if fetch.word == FetchWord::Fetch {
            self.put_fan_columns(&cursor.fan, &cursor.plan)?;
        }
        let before = cursor.fan.rows();
        if cursor.progress == Progress::Perhaps {
            let given = match fetch.word {
                FetchWord::Fetch => self.emit(&mut cursor.fan, limit).await?,
                FetchWord::Move => {
                    let (mut sink, participants) = self.sink();
                    let given = cursor.fan.skip(limit, participants, &mut sink).await;
                    drop(sink);
                    given.map_err(|error| self.fan_failed(error))?
                }
            };
            self.end_fan();
            match given {
                Given::Complete(_) => cursor.progress = Progress::Ended,
                Given::Suspended => {}
            }
        }
        let rows = cursor.fan.rows().saturating_sub(before);
        let word = match fetch.word {
            FetchWord::Fetch => "FETCH",
            FetchWord::Move => "MOVE",
        };
        self.rows = self.rows.saturating_add(rows);
        wire::put_command_complete(&mut self.client.out_buffer, format!("{word} {rows}").as_bytes());
        Ok(())
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
