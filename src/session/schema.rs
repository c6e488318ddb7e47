//! Statements that do the same on every shard, and what DDL makes of the session's own picture.
//!
//! Why an overlay: what a transaction has done to the schema is seen by it alone, so what it says next is planned by what
//! its own backends' catalogs say, past the common picture and its cache (design 5).
//! Holds: a statement behind DDL is never planned by the picture from before it; DDL that leaves a table as the proxy
//! wouldn't start with fails, and its transaction with it.

use std::sync::Arc;

use crate::discovery::{Answers, Overlay, overlay_sql};
use crate::execute::Describe;
use crate::plan::{InBlock, Snapshot, WriteAnswer, Writes};
use crate::session::error::{Failure, Stop};
use crate::session::lane::{round_trip, text_cells};
use crate::session::portal::Bound;
use crate::session::state::{Schema, Session};
use crate::session::writes::Returned;
use crate::sql::Command;
use crate::topology::ShardId;
use crate::transaction::{Begun, BlockError, Life, Participant, State, Sync, Worked};
use crate::value::Format;
use crate::wire::{self, ErrorFields};

impl Session {
    /// Runs a write, or whatever else each shard does for itself, to its end.
    pub(super) async fn run_on_all(
        &mut self,
        plan: &Arc<Writes>,
        command: &Command,
        bound: &Bound,
        formats: &[Format],
        describe: Describe,
        most: i32,
    ) -> Result<Option<Box<Returned>>, Stop> {
        let in_block = self.block.state() != State::Idle;
        match &plan.answer {
            WriteAnswer::Each(InBlock::Refused(name)) if in_block || self.has_worked_in_batch() => {
                return Err(Failure::Block(BlockError::InsideBlock(name)).into());
            }
            WriteAnswer::Each(_) if !in_block && !self.has_worked_in_batch() => {
                self.run_each(plan, describe).await?;
                if matches!(command, Command::Ddl(_)) {
                    self.ddl_ran();
                }
                return Ok(None);
            }
            WriteAnswer::Each(_) | WriteAnswer::Same(_) | WriteAnswer::Sum(_) => {}
        }
        match command {
            Command::Listen(_) => {
                Box::pin(self.listen(plan, bound)).await?;
                Ok(None)
            }
            Command::Lock if !in_block => Err(Failure::Block(BlockError::NoBlock("LOCK TABLE")).into()),
            Command::Ddl(_) => {
                self.names_no_temporary_schema()?;
                let written = self.write_all(plan, bound, formats).await?;
                self.ddl_ran();
                self.look_at_schema().await?;
                self.put_written(&written, describe)?;
                Ok(None)
            }
            _ => self.run_writes(plan, bound, formats, describe, most).await,
        }
    }

    /// Has a statement run in this batch whose transaction its Sync would end?
    pub(super) fn has_worked_in_batch(&self) -> bool {
        self.participants
            .iter()
            .any(|p| p.begun == Begun::Autocommit && p.sync == Sync::Owed && p.worked == Worked::Yes)
    }

    /// Under `search_path = pg_temp` a table would be temporary, on every shard.
    fn names_no_temporary_schema(&self) -> Result<(), Stop> {
        let path = self.current().get("search_path").unwrap_or_default();
        match path.contains("pg_temp") {
            true => Err(Failure::NotInThisVersion {
                construct: "DDL under a search_path that names pg_temp",
            }
            .into()),
            false => Ok(()),
        }
    }

    /// The transaction's own picture if it has one; else the one that the message began with.
    pub(super) fn own_or(&self, snapshot: &Arc<Snapshot>) -> Arc<Snapshot> {
        match &self.schema {
            Schema::Own(seen) => Arc::clone(&seen.snapshot),
            Schema::Common | Schema::Due => Arc::clone(snapshot),
        }
    }

    /// Reads the transaction's own picture if DDL has run since the last one was read.
    pub(super) async fn catch_up_with_schema(&mut self) -> Result<(), Stop> {
        match self.schema {
            Schema::Common | Schema::Own(_) => Ok(()),
            Schema::Due => {
                let overlay = Box::pin(self.read_overlay()).await?;
                self.schema = match overlay {
                    Some(overlay) => Schema::Own(overlay.seen),
                    None => Schema::Common,
                };
                Ok(())
            }
        }
    }

    /// Takes the new picture; refuses what DDL has made of a table if the proxy wouldn't start with it.
    async fn look_at_schema(&mut self) -> Result<(), Stop> {
        let Some(overlay) = self.read_overlay().await? else {
            return Err(Failure::Bug("DDL ran on no shard").into());
        };
        match overlay.broken.into_iter().next() {
            Some(finding) => Err(Failure::Unplaceable(Box::new(finding)).into()),
            None => {
                self.schema = Schema::Own(overlay.seen);
                Ok(())
            }
        }
    }

    /// What the catalogs say on the backends that have worked in this transaction; `None` if none has.
    async fn read_overlay(&mut self) -> Result<Option<Overlay>, Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        if self.has_worked_in_batch() {
            self.begin_batch_block().await?;
        }
        let asked: Vec<usize> = (0..self.participants.len())
            .filter(|at| {
                let in_block = |p: &Participant| p.begun == Begun::Block && p.life == Life::Alive;
                self.participants.get(*at).is_some_and(in_block)
            })
            .collect();
        if asked.is_empty() {
            return Ok(None);
        }
        let sql = overlay_sql();
        // All servers read at once.
        for at in &asked {
            if let Some(participant) = self.participants.get_mut(*at) {
                wire::put_query(&mut participant.backend.link.out_buffer, sql.as_bytes());
                participant.set_unnamed(0);
                // An end of the connection shows when its answer is read.
                participant.backend.link.drain().await.ok();
            }
        }
        let mut read: Vec<(ShardId, Answers)> = Vec::with_capacity(asked.len());
        let mut refused = None;
        for at in asked {
            if let Some(participant) = self.participants.get_mut(at) {
                match answers(participant).await? {
                    Ok(answers) => read.push((participant.shard, answers)),
                    Err(fields) => refused = Some(fields),
                }
            }
        }
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(Some(self.world.discovery.overlay(read)?)),
        }
    }
}

/// The rows of each statement of the Query that a backend has been sent.
async fn answers(participant: &mut Participant) -> Result<Result<Answers, Box<ErrorFields>>, Stop> {
    let mut answers = Answers::new();
    let mut rows = Vec::new();
    let mut refused = None;
    round_trip(participant, |frame| {
        match frame.tag {
            b'D' => rows.push(text_cells(frame.body)?),
            b'C' => answers.push(std::mem::take(&mut rows)),
            b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
            _ => {}
        }
        Ok(())
    })
    .await?;
    Ok(match refused {
        Some(fields) => Err(fields),
        None => Ok(answers),
    })
}
