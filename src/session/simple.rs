//! The simple protocol: one Query message, one implicit transaction.
//!
//! On one shard the message goes on as it is, however many statements it holds. With several shards it is split; what
//! lies on one shard goes as one message, the rest statement by statement inside BEGIN and COMMIT of ours.

use std::sync::Arc;

use crate::execute::Describe;
use crate::plan::{Access, Compiled, Parameters, Plan, SessionEffect, Snapshot, Verdict, Work};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::lane::SENT;
use crate::session::portal::Bound;
use crate::session::prepared::{Draft, Origin, Statement};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::recent::Shaped;
use crate::session::route::Question;
use crate::session::state::{Copying, Rest, Route, Session, Skipping, Wrapping};
use crate::session::track::{Tracked, is_noted};
use crate::sql::{self, Command, DeallocateTarget, Edits, Lead, Span, Statements};
use crate::topology::ShardId;
use crate::transaction::{BlockError, Examine, Follows, State, Worked};
use crate::value::Oid;
use crate::wire;

/// Which protocol asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Via {
    /// Query: rows are described, tags follow
    Simple,
    /// Execute: rows only
    Extended,
}

/// What a plan leaves in the session; what isn't understood may leave anything.
fn effect_planned(planned: Result<Plan, Verdict>) -> Result<SessionEffect, Stop> {
    match planned {
        Ok(plan) => Ok(plan.effect),
        Err(Verdict::Refused(refusal)) if refusal.is_about_backend() => Err(Failure::Refused(refusal).into()),
        Err(Verdict::Refused(_) | Verdict::Ask(_)) => Ok(SessionEffect::Opaque),
    }
}

/// Are rows described before they come?
fn described(via: Via) -> Describe {
    match via {
        Via::Simple => Describe::Yes,
        Via::Extended => Describe::No,
    }
}

impl Session {
    /// One Query message.
    pub(super) async fn query(&mut self, text: &[u8]) -> Result<(), Gone> {
        if self.skipping == Skipping::ToSync {
            return Ok(());
        }
        let settled = self.settle_before_query().await;
        if let Err(stop) = settled {
            self.report_failure(stop)?;
        }
        if self.skipping == Skipping::ToSync {
            return Ok(());
        }
        self.unnamed = None;
        self.portals.remove(b"");
        let snapshot = self.snapshot();
        self.choose_mode(&snapshot);
        self.lone = false;
        let done = if self.transparent {
            self.query_transparent(&snapshot, text).await
        } else {
            self.query_sharded(&snapshot, text).await
        };
        if let Err(stop) = done {
            self.report_failure(stop)?;
            if self.transparent && self.copying == crate::session::state::Copying::No {
                self.fail_servers().await?;
                self.sync_all().await?;
            }
        }
        self.finish_query().await
    }

    async fn settle_before_query(&mut self) -> Result<(), Stop> {
        self.place_deferred().await?;
        self.flush_and_settle().await
    }

    // --- one shard ---

    async fn query_transparent(&mut self, snapshot: &Arc<Snapshot>, text: &[u8]) -> Result<(), Stop> {
        let shard = snapshot.topology().home();
        let (tracked, edited) = self.track_all(snapshot, text)?;
        for one in &tracked {
            self.check_ours(&one.command).await?;
        }
        if tracked.iter().any(|t| !t.is_idle()) {
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
        }
        let at = self.lane(shard, Access::Read).await?;
        self.ensure_all(at, &tracked, text).await?;
        for one in &tracked {
            self.own_sequences(at, &one.effect, text);
            self.may_pin(at, &one.effect)?;
        }
        self.send_query(at, edited.as_deref().unwrap_or(text), tracked)?;
        self.settle().await
    }

    /// What each statement of a text changes in the session, and the text with names of prepared statements edited.
    fn track_all(&mut self, snapshot: &Arc<Snapshot>, text: &[u8]) -> Result<(Vec<Tracked>, Option<Vec<u8>>), Stop> {
        let (lead, count) = match self.shapes.read(text, self.lexing) {
            Ok(shape) => (shape.lead(), shape.statements()),
            // The server's lexer will say what is wrong, in its own words.
            Err(_) => return Ok((Vec::new(), None)),
        };
        if count == Statements::One && matches!(lead, Lead::Query | Lead::Write) {
            let mut shaped = self.shapes.take();
            let effect = self.effect_of_shaped(snapshot, text, &mut shaped);
            self.shapes.put_back(shaped);
            let effect = effect?;
            if effect == SessionEffect::None {
                return Ok((Vec::new(), None));
            }
            return Ok((
                vec![Tracked {
                    command: Command::Query,
                    text: text.to_vec(),
                    effect,
                    prepares: None,
                }],
                None,
            ));
        }
        let mut tracked = Vec::new();
        let mut edits = Edits::new();
        // What can't be read here the server will refuse, in its own words.
        let Ok(spans) = sql::split(text, self.lexing) else {
            return Ok((Vec::new(), None));
        };
        for span in spans {
            let statement = span.of(text);
            let Ok(command) = sql::command(statement, self.lexing) else {
                return Ok((Vec::new(), None));
            };
            let effect = match &command {
                Command::Query
                | Command::Insert
                | Command::Update
                | Command::Delete
                | Command::Merge
                | Command::Unknown(_)
                | Command::Ddl(_)
                | Command::Copy(_)
                | Command::Explain(_)
                | Command::Declare(_)
                | Command::PrepareTransaction(_)
                | Command::CommitPrepared(_)
                | Command::RollbackPrepared(_)
                | Command::Prepare(_)
                | Command::Execute(_) => self.effect_of(snapshot, statement)?,
                _ => SessionEffect::None,
            };
            let prepares = self.edit_names(&command, statement, span.start, &tracked, &mut edits);
            if let Some(instead) = self.reset_to_startup(&command) {
                edits.replace(span, instead);
            }
            tracked.push(Tracked {
                command,
                text: statement.to_vec(),
                effect,
                prepares,
            });
        }
        let edited = if edits.is_empty() {
            None
        } else {
            edits.apply(text).map(|(text, _)| text)
        };
        Ok((tracked, edited))
    }

    /// What a statement may leave in the session, as far as the planner can tell on one shard.
    /// What an answer of a pooled backend's would get wrong is refused there too.
    fn effect_of(&self, snapshot: &Arc<Snapshot>, text: &[u8]) -> Result<SessionEffect, Stop> {
        let request = crate::plan::Request {
            text,
            parameter_types: &[],
            context: &self.effective.context,
        };
        let planned = snapshot.plan(&request, &Parameters::default(), &self.world.no_facts);
        effect_planned(planned.map(|(_, plan)| plan))
    }

    /// The same of a text that has been read; its route is kept with its shape.
    fn effect_of_shaped(
        &self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        shaped: &mut Shaped,
    ) -> Result<SessionEffect, Stop> {
        let request = crate::plan::Request {
            text,
            parameter_types: &[],
            context: &self.effective.context,
        };
        let facts = &self.world.no_facts;
        if let Some(route) = self.route_of(snapshot, shaped) {
            let planned = route
                .compiled
                .bind_shaped(snapshot, &request, &Parameters::default(), facts, &shaped.shape);
            return effect_planned(planned);
        }
        let planned = snapshot.plan_scanned(&request, facts, &shaped.shape, self.lexing);
        if let Ok((compiled, _)) = &planned {
            self.keep_route(snapshot, shaped, compiled);
        }
        effect_planned(planned.map(|(_, plan)| plan))
    }

    /// The route kept with a shape, if it was worked out under this picture and these settings.
    fn route_of<'a>(&self, snapshot: &Arc<Snapshot>, shaped: &'a Shaped) -> Option<&'a Route> {
        let route = shaped.route.as_ref()?;
        let fits = Arc::ptr_eq(&route.snapshot, snapshot) && Arc::ptr_eq(&route.context, &self.effective.context);
        fits.then_some(route)
    }

    /// Keeps a route with the shape of its text, if that was lexed as the planner lexes.
    fn keep_route(&self, snapshot: &Arc<Snapshot>, shaped: &mut Shaped, compiled: &Arc<Compiled>) {
        let context = &self.effective.context;
        if compiled.serves_shape() && context.lexing() == self.lexing {
            shaped.route = Some(Route::new(snapshot, context, compiled));
        }
    }

    /// Names of SQL-level prepared statements are the session's own: on a backend they are called otherwise.
    fn edit_names(
        &mut self,
        command: &Command,
        statement: &[u8],
        offset: usize,
        before: &[Tracked],
        edits: &mut Edits,
    ) -> Option<Arc<Statement>> {
        let shifted = |span: Span| Span::new(span.start.saturating_add(offset), span.end.saturating_add(offset));
        match command {
            Command::Prepare(prepare) => match self.known_statement(&prepare.name, before) {
                // The server says so itself, in its turn.
                Some(known) => {
                    edits.replace(shifted(prepare.name_span), known.backend_name().as_bytes().to_vec());
                    None
                }
                None => {
                    let made = self.intern_sql(statement, prepare.name_span, prepare.body);
                    edits.replace(shifted(prepare.name_span), made.backend_name().as_bytes().to_vec());
                    Some(made)
                }
            },
            Command::Execute(execute) => {
                let found = self.known_statement(&execute.name, before)?;
                edits.replace(shifted(execute.name_span), found.backend_name().as_bytes().to_vec());
                None
            }
            Command::Explain(explain) => {
                let body = explain.body.of(statement);
                if let Ok(Command::Execute(execute)) = sql::command(body, self.lexing) {
                    let found = self.known_statement(&execute.name, before)?;
                    let at = offset.saturating_add(explain.body.start);
                    let span = Span::new(
                        execute.name_span.start.saturating_add(at),
                        execute.name_span.end.saturating_add(at),
                    );
                    edits.replace(span, found.backend_name().as_bytes().to_vec());
                }
                None
            }
            Command::Deallocate(DeallocateTarget::Name { name, span }) => {
                let found = self.known_statement(name, before)?;
                edits.replace(shifted(*span), found.backend_name().as_bytes().to_vec());
                None
            }
            _ => None,
        }
    }

    /// The statement of this name, as it will be when the statements before in the same message have run.
    fn known_statement(&self, name: &str, before: &[Tracked]) -> Option<Arc<Statement>> {
        for tracked in before.iter().rev() {
            match &tracked.command {
                Command::Prepare(prepare) if prepare.name == name && tracked.prepares.is_some() => {
                    return tracked.prepares.clone();
                }
                Command::Deallocate(DeallocateTarget::All) | Command::Discard(sql::Discard::All) => return None,
                Command::Deallocate(DeallocateTarget::Name { name: gone, .. }) if gone == name => return None,
                _ => {}
            }
        }
        self.statements
            .get(name.as_bytes())
            .map(|named| Arc::clone(&named.statement))
    }

    /// A statement made by SQL PREPARE.
    pub(super) fn intern_sql(&mut self, text: &[u8], name: Span, body: Span) -> Arc<Statement> {
        let command = sql::command(body.of(text), self.lexing).unwrap_or(Command::Query);
        self.world.statements.intern(Draft {
            text,
            declared: &[],
            origin: Origin::Sql {
                start: name.start,
                end: name.end,
                body: body.start,
            },
            settings: &self.current().clone(),
            command,
        })
    }

    /// Statements that a text executes or forgets by name must be on the backend.
    async fn ensure_all(&mut self, at: usize, tracked: &[Tracked], _text: &[u8]) -> Result<(), Stop> {
        for one in tracked {
            let name = match &one.command {
                Command::Execute(execute) => execute.name.clone(),
                Command::Deallocate(DeallocateTarget::Name { name, .. }) => name.clone(),
                Command::Prepare(prepare) => match &one.prepares {
                    // Prepared there for somebody else: under its one name it may not be prepared twice.
                    Some(statement) => {
                        self.forget_on_backend(at, statement).await?;
                        continue;
                    }
                    None => prepare.name.clone(),
                },
                Command::Explain(explain) => match sql::command(explain.body.of(&one.text), self.lexing) {
                    Ok(Command::Execute(execute)) => execute.name,
                    Ok(_) | Err(_) => continue,
                },
                _ => continue,
            };
            if let Some(statement) = self.statements.get(name.as_bytes()).map(|n| Arc::clone(&n.statement)) {
                self.ensure_prepared(at, &statement).await?;
            }
        }
        Ok(())
    }

    // --- several shards ---

    async fn query_sharded(&mut self, snapshot: &Arc<Snapshot>, text: &[u8]) -> Result<(), Stop> {
        let shape = self.shapes.read(text, self.lexing)?;
        let (lead, count) = (shape.lead(), shape.statements());
        let command = match lead {
            Lead::Query => Some(Command::Query),
            Lead::Write => Some(Command::Insert),
            Lead::Empty | Lead::Other => None,
        };
        self.lone = count == Statements::One;
        if let (Statements::One, Some(command)) = (count, command) {
            // By far the most: what was read of the text serves planning too.
            let mut shaped = self.shapes.take();
            let done = self.query_or_write(snapshot, text, command, &mut shaped).await;
            self.shapes.put_back(shaped);
            return done;
        }
        match count {
            Statements::None => {
                wire::put_empty_query(&mut self.client.out_buffer);
                Ok(())
            }
            Statements::One => self.statement_led(snapshot, text, lead, Via::Simple).await,
            Statements::Several => {
                let spans = sql::split(text, self.lexing)?;
                if let [only] = spans.as_slice() {
                    self.lone = true;
                    return self.statement(snapshot, only.of(text), Via::Simple).await;
                }
                if spans.is_empty() {
                    wire::put_empty_query(&mut self.client.out_buffer);
                    return Ok(());
                }
                Box::pin(self.several(snapshot, text, &spans)).await
            }
        }
    }

    async fn query_or_write(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        command: Command,
        shaped: &mut Shaped,
    ) -> Result<(), Stop> {
        self.refresh_effective().await?;
        let snapshot = &self.own_or(snapshot);
        if self.block.state() == State::Failed {
            return Err(Failure::Block(BlockError::Aborted).into());
        }
        let question = Question {
            text,
            declared: &[],
            parameters: Parameters::default(),
            statement: None,
            scanned: Some(&shaped.shape),
        };
        let plan = match self.route_of(snapshot, shaped) {
            Some(route) => self.plan_by(route, &question).await?,
            None => {
                let (compiled, plan) = self.plan_and_route(snapshot, &question).await?;
                self.keep_route(snapshot, shaped, &compiled);
                plan
            }
        };
        self.run_plan(plan, text, command, Via::Simple).await
    }

    async fn several(&mut self, snapshot: &Arc<Snapshot>, text: &[u8], spans: &[Span]) -> Result<(), Stop> {
        // Split only if all of it can be read (sessions.md 1): a text that Postgres would reject as a whole runs nothing.
        self.parse_check(snapshot, text, spans).await?;
        self.run_several(text, spans, 0).await
    }

    /// The statements of a message from one of them on. A COPY FROM STDIN among them waits for its data; the rest is
    /// kept until they have come.
    async fn run_several(&mut self, text: &[u8], spans: &[Span], from: usize) -> Result<(), Stop> {
        let lexing = self.lexing;
        for (index, span) in spans.iter().enumerate().skip(from) {
            if self.lexing != lexing {
                // Postgres has read the whole message under the settings at its arrival.
                return Err(Failure::NotInThisVersion {
                    construct: "a statement behind SET standard_conforming_strings or client_encoding in one message",
                }
                .into());
            }
            let snapshot = self.snapshot();
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
            self.wrapping = Wrapping::Yes;
            let next = index.saturating_add(1);
            self.hold_tag = next == spans.len();
            self.statement(&snapshot, span.of(text), Via::Simple).await?;
            if self.failed {
                return Ok(());
            }
            if self.copying != Copying::No {
                if next < spans.len() {
                    self.rest = Some(Box::new(Rest {
                        text: text.to_vec(),
                        spans: spans.to_vec(),
                        from: next,
                    }));
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// The data of a COPY have come: what its message holds behind it runs now.
    pub(super) async fn run_rest(&mut self) -> Result<(), Gone> {
        let Some(rest) = self.rest.take() else { return Ok(()) };
        if self.failed {
            return Ok(());
        }
        match Box::pin(self.run_several(&rest.text, &rest.spans, rest.from)).await {
            Ok(()) => Ok(()),
            Err(stop) => self.report_failure(stop),
        }
    }

    /// One statement of a Query message, or of an Execute.
    pub(super) async fn statement(&mut self, snapshot: &Arc<Snapshot>, text: &[u8], via: Via) -> Result<(), Stop> {
        let mut shape = std::mem::take(&mut self.shape);
        let scanned = sql::shape(text, self.lexing, &mut shape);
        let lead = shape.lead();
        self.shape = shape;
        scanned?;
        self.statement_led(snapshot, text, lead, via).await
    }

    async fn statement_led(&mut self, snapshot: &Arc<Snapshot>, text: &[u8], lead: Lead, via: Via) -> Result<(), Stop> {
        self.refresh_effective().await?;
        let snapshot = &self.own_or(snapshot);
        let command = match lead {
            Lead::Query => Command::Query,
            Lead::Write => Command::Insert,
            Lead::Empty | Lead::Other => sql::command(text, self.lexing)?,
        };
        Box::pin(self.command(snapshot, text, command, via)).await
    }

    /// A statement that the planner decides about.
    pub(super) async fn planned_statement(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        command: Command,
        via: Via,
    ) -> Result<(), Stop> {
        let question = Question {
            text,
            declared: &[],
            parameters: Parameters::default(),
            statement: None,
            scanned: None,
        };
        let plan = self.plan(snapshot, &question).await?;
        self.run_plan(plan, text, command, via).await
    }

    /// Runs a plan whose text needs no parameters.
    pub(super) async fn run_plan(&mut self, plan: Plan, text: &[u8], command: Command, via: Via) -> Result<(), Stop> {
        match plan.work {
            Work::One(shard) => {
                let tracked = if is_noted(&command, &plan.effect) {
                    Some(Tracked {
                        command,
                        text: text.to_vec(),
                        effect: plan.effect,
                        prepares: None,
                    })
                } else {
                    None
                };
                self.run_on_one(shard, plan.access, text, tracked).await
            }
            Work::Many(fan) => Box::pin(self.run_fan(&fan, &Bound::default(), &[], described(via))).await,
            Work::Cursor(fan) => Box::pin(self.declare_fan(&fan, &Bound::default(), &command, via)).await,
            Work::Explain(explained) => Box::pin(self.explain_fan(&explained, &Bound::default(), via)).await,
            Work::CopyIn(copy) => Box::pin(self.begin_copy_in(&copy, text, via)).await,
            Work::CopyOut(copy) => Box::pin(self.run_copy_out(&copy, text)).await,
            Work::Writes(writes) => {
                let bound = Bound::default();
                Box::pin(self.run_on_all(&writes, &command, &bound, &[], described(via), 0)).await?;
                Ok(())
            }
        }
    }

    async fn run_on_one(
        &mut self,
        shard: ShardId,
        access: Access,
        text: &[u8],
        tracked: Option<Tracked>,
    ) -> Result<(), Stop> {
        let at = self.lane(shard, access).await?;
        if let Some(tracked) = &tracked {
            self.may_pin(at, &tracked.effect)?;
        }
        self.send_query(at, text, tracked.into_iter().collect())?;
        self.settle().await?;
        self.follow_status(at);
        Ok(())
    }

    /// Queues a Query for a backend.
    pub(super) fn send_query(&mut self, at: usize, text: &[u8], tracked: Vec<Tracked>) -> Result<(), Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        wire::put_query(&mut participant.backend.link.out_buffer, text);
        participant.worked = Worked::Yes;
        if !tracked.is_empty() {
            participant.follows = Follows::Yes;
        }
        participant.set_unnamed(0);
        self.running.sent = self.running.sent.saturating_add(text.len() as u64);
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::Query(tracked),
            shown: Shown::Yes,
            undo: Undo::Nothing,
        });
        Ok(())
    }

    /// A backend in a failed block means that the client's block has failed.
    pub(super) fn follow_status(&mut self, at: usize) {
        if self.participants.get(at).is_some_and(|p| p.status == b'E') {
            self.block.fail();
        }
    }

    /// Whether another pin is allowed, before the statement that makes it runs.
    pub(super) fn may_pin(&mut self, at: usize, effect: &SessionEffect) -> Result<(), Stop> {
        match effect {
            SessionEffect::None => Ok(()),
            SessionEffect::Pin(_) | SessionEffect::Opaque => {
                let Some(participant) = self.participants.get_mut(at) else {
                    return Ok(());
                };
                if participant.pin.is_none() {
                    // From now on, since an error doesn't undo a session's advisory lock, say; then it is looked at.
                    participant.backend.pin()?;
                    participant.pin = Some(SENT);
                    participant.examine = Examine::Due;
                }
                Ok(())
            }
        }
    }

    /// Asks one server whether each statement can be parsed, as Postgres parses a whole message before it runs any of it.
    async fn parse_check(&mut self, snapshot: &Arc<Snapshot>, text: &[u8], spans: &[Span]) -> Result<(), Stop> {
        if spans
            .iter()
            .all(|span| sql::parse(span.of(text), self.lexing).is_ok() || self.is_known_command(span.of(text)))
        {
            return Ok(());
        }
        let at = self.aside(snapshot.topology().home()).await?;
        // A function body is parsed but not run: DO takes any text, so the whole message is put into a statement that
        // fails after raw parsing. The empty portal of a several-statement Parse does just that: 42601 "cannot insert
        // multiple commands into a prepared statement" comes only after the whole text was parsed.
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        wire::put_parse(&mut participant.backend.link.out_buffer, b"", text, &[] as &[Oid]);
        wire::put_sync(&mut participant.backend.link.out_buffer);
        participant.set_unnamed(0);
        let mut refused = None;
        crate::session::lane::round_trip(participant, |frame| {
            if frame.tag == b'E' {
                refused = Some(Box::new(wire::ErrorFields::parse(frame.body)?));
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) if !fields.message().starts_with("cannot insert multiple commands") => {
                Err(Failure::Shard(fields).into())
            }
            Some(_) | None => Ok(()),
        }
    }

    fn is_known_command(&self, text: &[u8]) -> bool {
        matches!(sql::command(text, self.lexing), Ok(command) if !matches!(command, Command::Unknown(_) | Command::Query
            | Command::Insert | Command::Update | Command::Delete | Command::Merge | Command::Ddl(_)))
    }
}
