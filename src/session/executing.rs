//! Execute and Close: a portal runs where it lives.

use std::sync::Arc;

use crate::plan::Snapshot;
use crate::session::cursors::Asked;
use crate::session::error::{Failure, Stop};
use crate::session::portal::{Place, Portal};
use crate::session::prepared::Statement;
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::simple::Via;
use crate::session::state::{Schema, Session, Wrapping};
use crate::session::writes::Returned;
use crate::sql::{self, Command};
use crate::transaction::{Sync, Worked};
use crate::wire::{self, Close, Execute, Target};

impl Session {
    pub(super) async fn on_execute(&mut self, execute: Execute<'_>) -> Result<(), Stop> {
        self.place_deferred().await?;
        let name = execute.portal.to_vec();
        if self.transparent && !self.portals.contains_key(&name) && !self.participants.is_empty() {
            // A cursor of SQL is a portal too: the server knows.
            return self.execute_unknown(&name, execute.rows_max.max(0)).await;
        }
        let row_limit = execute.rows_max.max(0);
        let Some(portal) = self.portals.get_mut(&name) else {
            return Box::pin(self.execute_cursor(&name, row_limit)).await;
        };
        if let (Place::Backend { .. }, Command::Declare(declare)) = (&portal.place, portal.statement.command())
            && self.fan_cursors.contains_key(&declare.name)
        {
            return Err(Failure::PortalExists(declare.name.clone()).into());
        }
        match &mut portal.place {
            Place::Backend { shard, tracked } => {
                let (shard, tracked) = (*shard, tracked.take());
                let changes_schema = matches!(portal.statement.command(), Command::Ddl(_));
                let Some(at) = self.participants.find(shard) else {
                    return Err(Failure::no_portal(&name).into());
                };
                self.switch_away(Some(at)).await?;
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                wire::put_execute(&mut participant.backend.link.out_buffer, &name, row_limit);
                participant.sync = Sync::Owed;
                participant.worked = Worked::Yes;
                if changes_schema && !self.transparent {
                    // What comes behind it in the batch is planned before its answer is read.
                    self.schema = Schema::Due;
                }
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Execute(tracked),
                    shown: Shown::Yes,
                    undo: Undo::Nothing,
                });
                Ok(())
            }
            Place::Fan { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                let formats = portal.result_formats.clone();
                let statement = Arc::clone(&portal.statement);
                self.heed(statement.text())?;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                if row_limit == 0 {
                    if let Some(portal) = self.portals.get_mut(&name) {
                        portal.place = Place::Finished;
                    }
                    let describe = crate::execute::Describe::No;
                    return Box::pin(self.run_fan(&plan, &parameters, &formats, describe)).await;
                }
                Box::pin(self.begin_limited_fan(&name, &plan, &parameters, &formats, row_limit)).await
            }
            Place::Declare { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                let statement = Arc::clone(&portal.statement);
                portal.place = Place::Finished;
                self.heed(statement.text())?;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.declare_fan(&plan, &parameters, statement.command(), Via::Extended)).await
            }
            Place::Explain { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.explain_fan(&plan, &parameters, Via::Extended)).await
            }
            Place::Writes { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                let formats = portal.result_formats.clone();
                let statement = Arc::clone(&portal.statement);
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                let describe = crate::execute::Describe::No;
                let command = statement.command();
                let left =
                    Box::pin(self.run_on_all(&plan, command, &parameters, &formats, describe, row_limit)).await?;
                self.keep_rest(&name, left);
                Ok(())
            }
            Place::Returned(_) => self.give_rest(&name, row_limit).await,
            Place::CopyIn(plan) => {
                let (plan, statement) = (Arc::clone(plan), Arc::clone(&portal.statement));
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.begin_copy_in(&plan, statement.planned_text(), Via::Extended)).await
            }
            Place::CopyOut(plan) => {
                let (plan, statement) = (Arc::clone(plan), Arc::clone(&portal.statement));
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.run_copy_out(&plan, statement.planned_text())).await
            }
            Place::Suspended(_) => Box::pin(self.continue_limited_fan(&name, row_limit)).await,
            Place::Control => {
                let statement = Arc::clone(&portal.statement);
                let formats = portal.result_formats.clone();
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                if let Command::Fetch(fetch) = statement.command()
                    && let Some(done) = Box::pin(self.fetch_fan(fetch, Asked::Extended(&formats, row_limit))).await
                {
                    return done.map(|left| self.keep_rest(&name, left));
                }
                let snapshot = self.snapshot();
                Box::pin(self.control_by_execute(&snapshot, &statement)).await
            }
            Place::Finished => {
                self.local(|out| wire::put_command_complete(out, b"SELECT 0"), Undo::Nothing);
                Ok(())
            }
        }
    }

    async fn execute_unknown(&mut self, name: &[u8], row_limit: i32) -> Result<(), Stop> {
        self.ask_home(Kind::Execute(None), |out| wire::put_execute(out, name, row_limit))
            .await
    }

    /// Passes a message on to the one backend that the session holds.
    pub(super) async fn ask_home(&mut self, kind: Kind, put: impl FnOnce(&mut bytes::BytesMut)) -> Result<(), Stop> {
        self.place_deferred().await?;
        let home = self.snapshot().topology().home();
        let Some(at) = self.participants.find(home) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        self.pass_on(at, kind, Undo::Nothing, put).await
    }

    /// What is left to give waits in its portal.
    fn keep_rest(&mut self, portal: &[u8], left: Option<Box<Returned>>) {
        if let (Some(left), Some(portal)) = (left, self.portals.get_mut(portal)) {
            portal.place = Place::Returned(left);
        }
    }

    /// Further rows of what has run.
    async fn give_rest(&mut self, name: &[u8], row_limit: i32) -> Result<(), Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        let Some(mut portal) = self.portals.remove(name) else {
            return Err(Failure::Bug("a portal is missing").into());
        };
        let done = match &mut portal.place {
            Place::Returned(returned) => self.give_returned(returned, row_limit),
            _ => Ok(()),
        };
        self.portals.insert(name.to_vec(), portal);
        done
    }

    async fn control_by_execute(&mut self, snapshot: &Arc<Snapshot>, statement: &Arc<Statement>) -> Result<(), Stop> {
        let sets = match statement.command() {
            Command::Set(set) => {
                if set.scope == sql::Scope::Local && !self.block.is_explicit() {
                    // It holds to the end of the batch all the same.
                    self.warn_set_local();
                }
                true
            }
            Command::Reset(_) | Command::SetCharacteristics(_) => true,
            _ => false,
        };
        if sets && self.block.state() == crate::transaction::State::Idle {
            // It belongs to the batch's transaction: an error behind it takes it back.
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
            self.wrapping = Wrapping::Yes;
        }
        self.command(snapshot, statement.text(), statement.command().clone(), Via::Extended)
            .await
    }

    pub(super) async fn on_close(&mut self, close: Close<'_>) -> Result<(), Stop> {
        self.place_deferred().await?;
        match close.target {
            Target::Statement => {
                let undo = if close.name.is_empty() {
                    Undo::Statement(Vec::new(), self.unnamed.take().map(|n| n.statement))
                } else {
                    Undo::Statement(
                        close.name.to_vec(),
                        self.statements.remove(close.name).map(|n| n.statement),
                    )
                };
                // Backends keep it: other sessions may know it, and unused ones are closed in their turn.
                self.local(wire::put_close_complete, undo);
                Ok(())
            }
            Target::Portal => {
                if !self.transparent && !self.portals.contains_key(close.name) {
                    return self.close_cursor(close.name).await;
                }
                let before = self.portals.remove(close.name);
                let home = self.snapshot().topology().home();
                let shard = match &before {
                    Some(Portal {
                        place: Place::Backend { shard, .. },
                        ..
                    }) => Some(*shard),
                    Some(_) | None => None,
                };
                let undo = Undo::Portal(close.name.to_vec(), before.map(Box::new));
                // A cursor of SQL is a portal too, and may live on any held backend.
                let at = shard.and_then(|s| self.participants.find(s)).or(if self.transparent {
                    self.participants.find(home)
                } else {
                    None
                });
                match at {
                    Some(at) => {
                        self.pass_on(at, Kind::Close, undo, |out| {
                            wire::put_close(out, Target::Portal, close.name);
                        })
                        .await?;
                    }
                    None => self.local(wire::put_close_complete, undo),
                }
                Ok(())
            }
        }
    }
}
