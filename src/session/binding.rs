//! Bind: the plan for these values, and a portal where it says.

use std::sync::Arc;

use crate::plan::{Access, Parameters, Plan, SessionEffect, Snapshot, Verdict, Work, WriteAnswer};
use crate::session::error::{Failure, Stop};
use crate::session::extended::is_local;
use crate::session::portal::{Bound, Place, Portal};
use crate::session::prepared::Statement;
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::reading::read_under;
use crate::session::route::Question;
use crate::session::state::{Route, Session};
use crate::session::track::{Tracked, is_noted};
use crate::sql::{Command, ConstantOrParameter};
use crate::topology::ShardId;
use crate::transaction::{Begun, Sync, Worked};
use crate::value;
use crate::wire::{self, Bind};

impl Session {
    pub(super) async fn on_bind(&mut self, bind: Bind<'_>) -> Result<(), Stop> {
        let named = if bind.statement.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(bind.statement)
        };
        let Some(named) = named else {
            return Err(Failure::NoStatement(String::from_utf8_lossy(bind.statement).into_owned()).into());
        };
        let statement = Arc::clone(&named.statement);
        let taken = |name: &[u8]| self.portals.contains_key(name) || (!self.transparent && self.is_cursor(name));
        if !bind.portal.is_empty() && taken(bind.portal) {
            self.place_deferred().await?;
            return Err(Failure::PortalExists(String::from_utf8_lossy(bind.portal).into_owned()).into());
        }
        if let Some(shard) = self.fetched_on(statement.command())
            && bind.values.count() == 0
        {
            return self
                .bind_on(shard, Access::Read, SessionEffect::None, &statement, &bind)
                .await;
        }
        if !self.transparent && is_local(statement.command()) {
            if bind.values.count() > 0 {
                return Err(Failure::ParameterCount {
                    name: String::from_utf8_lossy(bind.statement).into_owned(),
                    given: bind.values.count(),
                    wanted: 0,
                }
                .into());
            }
            let undo = self.open_portal(bind.portal, &statement, &bind, Place::Control);
            self.local(wire::put_bind_complete, undo);
            return Ok(());
        }
        if self.transparent {
            let shard = self.snapshot().topology().home();
            let effect = self.effect_in_transparent(bind.statement)?;
            return self.bind_on(shard, Access::Read, effect, &statement, &bind).await;
        }
        let plan = self.plan_bind(&statement, &bind).await?;
        match plan.work {
            Work::One(shard) => self.bind_on(shard, plan.access, plan.effect, &statement, &bind).await,
            Work::Many(plan) => {
                let parameters = Bound::read(&statement, &bind);
                self.bind_here(&statement, &bind, Place::Fan { plan, parameters }).await
            }
            Work::Writes(plan) => {
                let parameters = Bound::read(&statement, &bind);
                self.bind_here(&statement, &bind, Place::Writes { plan, parameters })
                    .await
            }
            Work::Cursor(plan) => {
                let parameters = Bound::read(&statement, &bind);
                self.bind_here(&statement, &bind, Place::Declare { plan, parameters })
                    .await
            }
            Work::Explain(plan) => {
                let parameters = Bound::read(&statement, &bind);
                self.bind_here(&statement, &bind, Place::Explain { plan, parameters })
                    .await
            }
            Work::CopyIn(plan) => self.bind_here(&statement, &bind, Place::CopyIn(plan)).await,
            Work::CopyOut(plan) => self.bind_here(&statement, &bind, Place::CopyOut(plan)).await,
        }
    }

    /// A portal that no backend knows yet.
    async fn bind_here(&mut self, statement: &Arc<Statement>, bind: &Bind<'_>, place: Place) -> Result<(), Stop> {
        self.place_deferred().await?;
        let (given, wanted) = (bind.values.count(), statement.described().map(|d| d.parameters.len()));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != given) {
            return Err(Failure::ParameterCount {
                name: String::from_utf8_lossy(bind.statement).into_owned(),
                given,
                wanted,
            }
            .into());
        }
        let undo = self.open_portal(bind.portal, statement, bind, place);
        self.local(wire::put_bind_complete, undo);
        Ok(())
    }

    /// The plan for these values, by the route that the session keeps for the statement.
    async fn plan_bind(&mut self, statement: &Arc<Statement>, bind: &Bind<'_>) -> Result<Plan, Stop> {
        if self.block.state() == crate::transaction::State::Failed {
            return Err(Failure::Block(crate::transaction::BlockError::Aborted).into());
        }
        self.refresh_effective().await?;
        self.may_plan_anew(statement)?;
        let snapshot = self.snapshot();
        let formats: Vec<value::Format> = bind.formats.iter().map(value_format).collect();
        let values: Vec<Option<&[u8]>> = bind.values.collect();
        let question = Question {
            text: statement.planned_text(),
            declared: statement.declared(),
            parameters: Parameters {
                formats: &formats,
                values: &values,
            },
            statement: Some(statement),
            scanned: None,
        };
        let plan = match self.kept_route(bind.statement, &snapshot) {
            Some(route) => self.plan_by(&route, &question).await?,
            None => {
                let (compiled, plan) = self.plan_and_route(&snapshot, &question).await?;
                let route = Route::new(&snapshot, &self.effective.context, &compiled);
                let named = if bind.statement.is_empty() {
                    self.unnamed.as_mut()
                } else {
                    self.statements.get_mut(bind.statement)
                };
                if let Some(named) = named {
                    self.recent.note_route(named.statement.shared_text(), &route);
                    named.route = Some(route);
                }
                plan
            }
        };
        if let Work::Writes(writes) = &plan.work
            && matches!(writes.answer, WriteAnswer::Each(_))
        {
            self.may_parse_anew(statement)?;
        }
        Ok(plan)
    }

    fn kept_route(&self, name: &[u8], snapshot: &Arc<Snapshot>) -> Option<Route> {
        let named = if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(name)
        }?;
        let route = named.route.as_ref()?;
        let fits = Arc::ptr_eq(&route.snapshot, snapshot) && Arc::ptr_eq(&route.context, &self.effective.context);
        fits.then(|| route.clone())
    }

    /// Binds on one shard's backend.
    async fn bind_on(
        &mut self,
        shard: ShardId,
        access: Access,
        effect: SessionEffect,
        statement: &Arc<Statement>,
        bind: &Bind<'_>,
    ) -> Result<(), Stop> {
        self.second_shard(shard).await?;
        let at = self.lane(shard, access).await?;
        self.switch_away(Some(at)).await?;
        self.own_sequences(at, &effect, statement.text());
        if self
            .deferred
            .as_ref()
            .is_some_and(|d| Arc::ptr_eq(&d.statement, statement))
        {
            self.send_deferred(at).await?;
        } else {
            self.place_deferred().await?;
            self.switch_away(Some(at)).await?;
            self.ensure_prepared(at, statement).await?;
            if let Command::Execute(execute) = statement.command()
                && let Some(inner) = self
                    .statements
                    .get(execute.name.as_bytes())
                    .map(|n| Arc::clone(&n.statement))
            {
                self.ensure_prepared(at, &inner).await?;
            }
        }
        self.may_pin(at, &effect)?;
        let tracked = self.tracked_of(statement, bind, effect);
        if tracked.is_some() && self.transparent {
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
        }
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        let out = &mut participant.backend.link.out_buffer;
        wire::put_bind_tail(out, bind.portal, statement.backend_name().as_bytes(), bind.tail);
        participant.sync = Sync::Owed;
        if tracked.is_some() {
            participant.follows = crate::transaction::Follows::Yes;
        }
        participant.worked = Worked::Yes;
        self.active = Some(at);
        let undo = self.open_portal(bind.portal, statement, bind, Place::Backend { shard, tracked });
        self.queue.push_back(Owed::Backend {
            kind: Kind::Bind,
            shown: Shown::Yes,
            undo,
        });
        Ok(())
    }

    /// What is to be noted when the portal completes; `set_config` by parameters is known now.
    fn tracked_of(&self, statement: &Arc<Statement>, bind: &Bind<'_>, effect: SessionEffect) -> Option<Box<Tracked>> {
        if !is_noted(statement.command(), &effect) {
            return None;
        }
        let mut command = statement.command().clone();
        if let Command::SetConfig(calls) = &mut command {
            for slot in calls
                .iter_mut()
                .flat_map(|c| [&mut c.name, &mut c.value, &mut c.is_local])
            {
                if let ConstantOrParameter::Parameter(number) = slot {
                    let index = usize::try_from(*number).ok().and_then(|n| n.checked_sub(1));
                    *slot = match index.and_then(|i| bind.values.get(i)).flatten() {
                        Some(bytes) => ConstantOrParameter::Constant(boolean_text(bytes)),
                        None => ConstantOrParameter::Null,
                    };
                }
            }
        }
        Some(Box::new(Tracked {
            command,
            text: statement.text().to_vec(),
            effect,
            prepares: None,
        }))
    }

    /// What a statement may leave in the session, on one shard; compiled once per statement and picture.
    fn effect_in_transparent(&mut self, name: &[u8]) -> Result<SessionEffect, Stop> {
        let snapshot = self.snapshot();
        let context = Arc::clone(&self.effective.context);
        let named = if name.is_empty() {
            self.unnamed.as_mut()
        } else {
            self.statements.get_mut(name)
        };
        let Some(named) = named else {
            return Ok(SessionEffect::None);
        };
        let statement = Arc::clone(&named.statement);
        let request = crate::plan::Request {
            text: statement.planned_text(),
            parameter_types: statement.declared(),
            context: &context,
        };
        let facts = crate::plan::Facts::default();
        let compiled = match &named.route {
            Some(route) if Arc::ptr_eq(&route.snapshot, &snapshot) => Arc::clone(&route.compiled),
            Some(_) | None => match snapshot.compile(&request, &facts) {
                Ok(compiled) => {
                    let route = Route::new(&snapshot, &context, &compiled);
                    self.recent.note_route(named.statement.shared_text(), &route);
                    named.route = Some(route);
                    compiled
                }
                Err(_) => return Ok(SessionEffect::Opaque),
            },
        };
        match compiled.bind(&snapshot, &request, &Parameters::default(), &facts) {
            Ok(plan) => {
                self.running.kind = crate::telemetry::StatementKind::from(plan.kind);
                self.running.shard = Some(snapshot.topology().home());
                Ok(plan.effect)
            }
            Err(Verdict::Refused(refusal)) if refusal.is_about_backend() => Err(Failure::Refused(refusal).into()),
            Err(Verdict::Refused(_) | Verdict::Ask(_)) => Ok(SessionEffect::Opaque),
        }
    }

    /// A shard joins a batch that has worked on another one: the work so far becomes a block on each.
    pub(super) async fn second_shard(&mut self, shard: ShardId) -> Result<(), Stop> {
        if self.transparent || self.block.is_explicit() {
            return Ok(());
        }
        let others = self.participants.iter().any(|p| {
            p.shard != shard && p.begun == Begun::Autocommit && p.sync == Sync::Owed && p.worked == Worked::Yes
        });
        if others {
            self.begin_batch_block().await?;
        }
        Ok(())
    }

    fn open_portal(&mut self, name: &[u8], statement: &Arc<Statement>, bind: &Bind<'_>, place: Place) -> Undo {
        let result_formats = bind.result_formats.iter().map(value_format).collect();
        let portal = Portal {
            statement: Arc::clone(statement),
            result_formats,
            place,
        };
        let before = self.portals.insert(name.to_vec(), portal);
        Undo::Portal(name.to_vec(), before.map(Box::new))
    }
}

impl Bound {
    /// Copies what a Bind carries, with the settings under which the statement's literals were read.
    fn read(statement: &Statement, bind: &Bind<'_>) -> Bound {
        Bound {
            read_under: read_under(statement),
            ..Bound::of(bind)
        }
    }

    /// Copies what a Bind carries.
    pub(super) fn of(bind: &Bind<'_>) -> Bound {
        Bound {
            formats: bind.formats.iter().map(value_format).collect(),
            values: bind.values.map(|v| v.map(<[u8]>::to_vec)).collect(),
            read_under: None,
        }
    }
}

/// The planner's format of a wire format; an unknown code is the server's to refuse.
pub(super) fn value_format(format: wire::Format) -> value::Format {
    match format {
        wire::Format::Binary => value::Format::Binary,
        wire::Format::Text | wire::Format::Other(_) => value::Format::Text,
    }
}

/// A parameter's text; a binary boolean is one byte.
fn boolean_text(bytes: &[u8]) -> String {
    match bytes {
        [0] => "false".to_owned(),
        [1] => "true".to_owned(),
        other => String::from_utf8_lossy(other).into_owned(),
    }
}
