//! From a statement to its plan: takes one picture, asks servers what only they know, plans again.
//!
//! Holds: one picture per statement; three rounds of questions at most; a question is answered on a backend of the
//! session's own where its transaction has one, else on home.

use std::sync::Arc;

use crate::plan::{
    Access, Ask, Compiled, Facts, Parameters, Plan, Refusal, Request, RouteStep, SequenceUse, Snapshot, Verdict, Work,
    WriteAnswer, asks_moment, asks_of_table,
};
use crate::session::error::{Failure, Stop};
use crate::session::lane::{round_trip, text_cells};
use crate::session::prepared::Statement;
use crate::session::state::{Effective, Route, Schema, Session, Stale};
use crate::sql::Shape;
use crate::telemetry::StatementKind;
use crate::topology::{ShardId, ShardSet};
use crate::transaction::{Isolation, Participant, State, Sync};
use crate::value::Oid;
use crate::wire::{self, SqlState};

/// Rounds of questions that a plan may take; values of sequences are one more than the rest.
pub(super) const ROUNDS_MAX: usize = 4;

/// SQLSTATEs of a text that is wrong wherever it is read. Not among them: a relation, function or type that isn't there,
/// since home has not everything.
const REJECTIONS: [&str; 22] = [
    "22003", "22007", "22008", "22P02", "42601", "42701", "42702", "42703", "42712", "42725", "42803", "42804",
    "42846", "42P02", "42P08", "42P09", "42P10", "42P18", "42P19", "42P20", "42P21", "428C9",
];

/// What is to be planned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    /// one statement
    pub(super) text: &'a [u8],
    /// declared parameter types
    pub(super) declared: &'a [Oid],
    /// bound values
    pub(super) parameters: Parameters<'a>,
    /// the statement, where it is a prepared one
    pub(super) statement: Option<&'a Arc<Statement>>,
    /// the text's shape, where the session has read it (by its own lexing)
    pub(super) scanned: Option<&'a Shape>,
}

impl Session {
    /// The picture for the next statement.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        match &self.schema {
            Schema::Own(seen) => Arc::clone(&seen.snapshot),
            Schema::Common | Schema::Due => self.world.discovery.picture().current(),
        }
    }

    /// The plan of a statement.
    pub(super) async fn plan(&mut self, snapshot: &Arc<Snapshot>, question: &Question<'_>) -> Result<Plan, Stop> {
        let (_, plan) = self.plan_and_route(snapshot, question).await?;
        Ok(plan)
    }

    /// The plan of a statement, and the route that serves its next values too.
    pub(super) async fn plan_and_route(
        &mut self,
        snapshot: &Arc<Snapshot>,
        question: &Question<'_>,
    ) -> Result<(Arc<Compiled>, Plan), Stop> {
        self.heed(question.text)?;
        let mut facts = self.facts(question);
        for _ in 0..=ROUNDS_MAX {
            let context = Arc::clone(&self.effective.context);
            let request = Request {
                text: question.text,
                parameter_types: question.declared,
                context: &context,
            };
            let planned = match question.scanned {
                Some(own) => snapshot.plan_scanned(&request, &facts, own, self.lexing),
                None => snapshot.plan(&request, &question.parameters, &facts),
            };
            match planned {
                Ok((compiled, plan)) => {
                    let plan = self.lead(snapshot, &compiled, plan, question).await?;
                    return Ok((compiled, plan));
                }
                Err(Verdict::Refused(refusal)) => {
                    let route = || snapshot.compile(&request, &facts).ok();
                    let refused = self.lead_refused(snapshot, route, refusal, &facts, question);
                    return Box::pin(refused).await;
                }
                Err(Verdict::Ask(ask)) => Box::pin(self.answer(snapshot, question, ask, &mut facts)).await?,
            }
        }
        Err(Failure::Bug("a plan asks without end").into())
    }

    /// The route of a statement without its keys: for Parse, where parameters aren't known yet.
    pub(super) async fn compile(
        &mut self,
        snapshot: &Arc<Snapshot>,
        question: &Question<'_>,
    ) -> Result<Arc<Compiled>, Stop> {
        let mut facts = self.facts(question);
        for _ in 0..=ROUNDS_MAX {
            let context = Arc::clone(&self.effective.context);
            let request = Request {
                text: question.text,
                parameter_types: question.declared,
                context: &context,
            };
            match snapshot.compile(&request, &facts) {
                Ok(compiled) => return Ok(compiled),
                Err(Verdict::Refused(refusal)) => return Err(Failure::Refused(refusal).into()),
                Err(Verdict::Ask(ask)) => Box::pin(self.answer(snapshot, question, ask, &mut facts)).await?,
            }
        }
        Err(Failure::Bug("a route asks without end").into())
    }

    /// The plan of a prepared statement by the route that the session keeps for it.
    pub(super) async fn plan_by(&mut self, route: &Route, question: &Question<'_>) -> Result<Plan, Stop> {
        self.heed(question.text)?;
        let mut facts = self.facts(question);
        for _ in 0..=ROUNDS_MAX {
            let request = Request {
                text: question.text,
                parameter_types: question.declared,
                context: &route.context,
            };
            let compiled = &route.compiled;
            let planned = match question.scanned {
                Some(own) => compiled.bind_shaped(&route.snapshot, &request, &question.parameters, &facts, own),
                None => compiled.bind(&route.snapshot, &request, &question.parameters, &facts),
            };
            match planned {
                Ok(plan) => return self.lead(&route.snapshot, compiled, plan, question).await,
                Err(Verdict::Refused(refusal)) => {
                    let kept = || Some(Arc::clone(compiled));
                    let refused = self.lead_refused(&route.snapshot, kept, refusal, &facts, question);
                    let (_, plan) = Box::pin(refused).await?;
                    return Ok(plan);
                }
                Err(Verdict::Ask(ask)) => {
                    let snapshot = Arc::clone(&route.snapshot);
                    Box::pin(self.answer(&snapshot, question, ask, &mut facts)).await?;
                }
            }
        }
        Err(Failure::Bug("a plan asks without end").into())
    }

    /// A plan as it is, or by hand where the session or the statement names a shard.
    async fn lead(
        &mut self,
        snapshot: &Arc<Snapshot>,
        compiled: &Compiled,
        plan: Plan,
        question: &Question<'_>,
    ) -> Result<Plan, Stop> {
        let plan = match self.named_shard(snapshot).await? {
            Some(shard) => self.lead_by_hand(compiled, Ok(plan), question, shard)?,
            None => plan,
        };
        self.settled(snapshot, compiled, plan, question).await
    }

    /// A plan that stays as it is, but for the transaction's moment where it joins late.
    async fn settled(
        &mut self,
        snapshot: &Arc<Snapshot>,
        compiled: &Compiled,
        plan: Plan,
        question: &Question<'_>,
    ) -> Result<Plan, Stop> {
        let plan = match self.joins_late(&plan) {
            true => Box::pin(self.join_late(snapshot, compiled, plan, question)).await?,
            false => plan,
        };
        self.planned(plan)
    }

    /// What may still become of a refused statement, if it has a `route`: it goes to the row of a cursor, or by hand.
    async fn lead_refused(
        &mut self,
        snapshot: &Arc<Snapshot>,
        route: impl Fn() -> Option<Arc<Compiled>>,
        refusal: Box<Refusal>,
        facts: &Facts,
        question: &Question<'_>,
    ) -> Result<(Arc<Compiled>, Plan), Stop> {
        if let Some(plan) = self.plan_current_of(snapshot, question, facts, &refusal)?
            && let Some(compiled) = route()
        {
            let plan = self.settled(snapshot, &compiled, plan, question).await?;
            return Ok((compiled, plan));
        }
        if let Some(shard) = self.named_shard(snapshot).await?
            && let Some(compiled) = route()
        {
            let plan = self.lead_by_hand(&compiled, Err(refusal), question, shard)?;
            let plan = self.settled(snapshot, &compiled, plan, question).await?;
            return Ok((compiled, plan));
        }
        Err(self.refused(snapshot, question, refusal).await)
    }

    /// A refusal; or Postgres's own error, where it rejects the text before any row is looked at.
    async fn refused(&mut self, snapshot: &Arc<Snapshot>, question: &Question<'_>, refusal: Box<Refusal>) -> Stop {
        let parsed_before = question.statement.is_some_and(|s| s.described().is_some());
        // Home need not see what temporary tables hide.
        let home_can_tell = self.effective.context.temporary.is_empty();
        if parsed_before || !home_can_tell || refusal.code != SqlState::FEATURE_NOT_SUPPORTED.as_str() {
            return Failure::Refused(refusal).into();
        }
        match self.ask_parameter_types(snapshot, question).await {
            Err(Stop::Failed(Failure::Shard(fields))) if REJECTIONS.contains(&fields.code().as_str()) => {
                Failure::Shard(fields).into()
            }
            Ok(_) | Err(Stop::Failed(Failure::Shard(_) | Failure::Backend(_))) => Failure::Refused(refusal).into(),
            Err(stop) => stop,
        }
    }

    fn planned(&mut self, mut plan: Plan) -> Result<Plan, Stop> {
        let touched = std::mem::replace(&mut plan.touched, crate::plan::Touched::Nothing);
        self.load.touch(plan.work.shards(), plan.access, touched);
        self.running.kind = StatementKind::from(plan.kind);
        self.running.shard = match &plan.work {
            crate::plan::Work::One(shard) => Some(*shard),
            crate::plan::Work::Many(_)
            | crate::plan::Work::Cursor(_)
            | crate::plan::Work::Explain(_)
            | crate::plan::Work::Writes(_)
            | crate::plan::Work::CopyIn(_)
            | crate::plan::Work::CopyOut(_) => None,
        };
        self.allow(&plan)?;
        match &plan.sequences {
            SequenceUse::Untouched => {}
            SequenceUse::UnseenOf(sequences) => self.sequences.lose_those(sequences),
            SequenceUse::Unseen => self.sequences.lose(),
            SequenceUse::Restarted => self.sequences.restarted(),
        }
        Ok(plan)
    }

    pub(super) fn facts(&self, question: &Question<'_>) -> Facts {
        Facts {
            categories: self.world.discovery.fixed(),
            parameter_types: question
                .statement
                .and_then(|s| s.described())
                .map(|d| d.parameters.clone()),
            ..Facts::default()
        }
    }

    /// What the transaction so far allows.
    fn allow(&self, plan: &Plan) -> Result<(), Stop> {
        let by_itself = match &plan.work {
            Work::Writes(writes) => matches!(writes.answer, WriteAnswer::Each(_)),
            Work::One(_) | Work::Many(_) | Work::Cursor(_) | Work::Explain(_) | Work::CopyIn(_) | Work::CopyOut(_) => {
                false
            }
        };
        if self.transparent || (by_itself && self.block.state() == State::Idle) {
            return Ok(());
        }
        let isolation = match self.block.at_begin() {
            Some(_) => self.block.isolation(),
            None => self.effective.default_isolation,
        };
        let shards = plan.work.shards();
        let first = shards.first().unwrap_or_else(|| self.snapshot().topology().home());
        let other_than = |set: ShardSet| set.iter().find(|shard| *shard != first);
        if plan.access == Access::Write {
            self.may_write(shards)?;
        }
        if isolation != Isolation::ReadCommitted
            && let Some(other) = self.participants.enlisted_other_than(first).or(other_than(shards))
        {
            return Err(Failure::IsolationAcrossShards {
                isolation,
                first: self.world.shard_name(other),
                second: self.world.shard_name(first),
            }
            .into());
        }
        Ok(())
    }

    /// Where several shards write, each must be able to prepare.
    fn may_write(&self, shards: ShardSet) -> Result<(), Stop> {
        let written = self.participants.iter().filter(|p| p.access == Access::Write);
        let writers = written.fold(shards, |set, participant| set.with(participant.shard));
        if writers.len() < 2 {
            return Ok(());
        }
        let Some(lacking) = writers.iter().find(|shard| !self.world.discovery.can_prepare(*shard)) else {
            return Ok(());
        };
        let mut names = writers.without(lacking).iter().chain([lacking]);
        let mut name = || {
            names
                .next()
                .map_or_else(String::new, |shard| self.world.shard_name(shard))
        };
        Err(Failure::NoPreparedTransactions {
            first: name(),
            second: name(),
            lacking: self.world.shard_name(lacking),
        }
        .into())
    }

    /// Asks a server, or the store of categories.
    pub(super) async fn answer(
        &mut self,
        snapshot: &Arc<Snapshot>,
        question: &Question<'_>,
        ask: Ask,
        facts: &mut Facts,
    ) -> Result<(), Stop> {
        match ask {
            Ask::Categories {
                keyspace,
                keys,
                purpose,
            } => {
                let found = self.categories(snapshot, keyspace, &keys, purpose).await?;
                let mut all = (*facts.categories).clone();
                all.extend(found);
                facts.categories = Arc::new(all);
            }
            Ask::ParameterTypes => {
                let types = match question.statement.and_then(|s| s.described()) {
                    Some(described) => described.parameters.clone(),
                    // The client may have asked the same, and the answer be under way.
                    None => {
                        self.flush_and_settle().await?;
                        if self.failed {
                            return Err(Failure::AlreadyAnswered.into());
                        }
                        match question.statement.and_then(|s| s.described()) {
                            Some(described) => described.parameters.clone(),
                            None => self.ask_parameter_types(snapshot, question).await?,
                        }
                    }
                };
                facts.parameter_types = Some(types);
            }
            Ask::Constants(expressions) => {
                // The backend that parsed its literals read them under settings which are gone.
                let gone = question.statement.is_some_and(|s| self.reads_times_otherwise(s));
                let (asked, unread) = expressions
                    .into_iter()
                    .partition(|expression| !gone || is_without_literals(expression));
                let (expressions, unread): (Vec<String>, Vec<String>) = (asked, unread);
                facts
                    .constants
                    .extend(unread.into_iter().map(|expression| (expression, None)));
                let values = match expressions.is_empty() {
                    true => Vec::new(),
                    false => self.ask_in_transaction(snapshot, &expressions).await?,
                };
                facts.constants.extend(expressions.into_iter().zip(values));
            }
            Ask::Sequences(ask) => self.answer_sequences(&ask, facts).await?,
            Ask::Rows(_) if question.statement.is_some_and(|s| self.reads_times_otherwise(s)) => {
                return Err(Failure::ConstantsReadOtherwise.into());
            }
            Ask::Rows(asks) => self.answer_rows(snapshot, &asks, facts).await?,
        }
        Ok(())
    }

    /// Could the block under way reach a second shard?
    pub(super) fn spans_shards(&self) -> bool {
        let isolation = match self.block.at_begin() {
            Some(_) => self.block.isolation(),
            None => self.effective.default_isolation,
        };
        isolation == Isolation::ReadCommitted
    }

    /// A backend for a question, which must not enlist a shard: one that is held, if any shard will do, else `shard`'s.
    pub(super) async fn aside(&mut self, shard: ShardId) -> Result<usize, Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        match self.participants.find(shard) {
            Some(at) => Ok(at),
            None => self.check_out(shard).await,
        }
    }

    async fn ask_parameter_types(
        &mut self,
        snapshot: &Arc<Snapshot>,
        question: &Question<'_>,
    ) -> Result<Vec<Oid>, Stop> {
        let at = self.ask_lane(snapshot.topology().home()).await?;
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        let out = &mut participant.backend.link.out_buffer;
        wire::put_parse(out, b"", question.text, question.declared);
        wire::put_describe(out, wire::Target::Statement, b"");
        participant.set_unnamed(0);
        let mut types = Vec::new();
        let mut refused = None;
        self.ask_trip(at, |frame| {
            match frame.tag {
                b't' => types = wire::ParameterDescription::parse(frame.body)?.types.iter().collect(),
                b'E' => refused = Some(Box::new(wire::ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(types),
        }
    }

    /// Values of expressions as text, from a backend of this shard's.
    pub(super) async fn ask_constants(
        &mut self,
        shard: ShardId,
        expressions: &[String],
    ) -> Result<Vec<Option<String>>, Stop> {
        let at = self.ask_lane(shard).await?;
        let list: Vec<String> = expressions.iter().map(|e| format!("({e})::pg_catalog.text")).collect();
        let sql = format!("SELECT {}", list.join(", "));
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        let out = &mut participant.backend.link.out_buffer;
        wire::put_parse(out, b"", sql.as_bytes(), &[]);
        wire::put_bind(out, b"", b"", &[], std::iter::empty(), &[]);
        wire::put_execute(out, b"", 0);
        participant.set_unnamed(0);
        let mut values = Vec::new();
        let mut refused = None;
        self.ask_trip(at, |frame| {
            match frame.tag {
                b'D' => {
                    values = text_cells(frame.body)?;
                }
                b'E' => refused = Some(Box::new(wire::ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(mut fields) => {
                fields.remove(wire::ErrorField::Position);
                Err(Failure::Shard(fields).into())
            }
            None => Ok(values),
        }
    }

    /// A backend for a question that ends with a Sync: where the client's batch has worked on it, its work becomes a block
    /// first, before anything of the question is queued; then a Sync ends nothing.
    async fn ask_lane(&mut self, shard: ShardId) -> Result<usize, Stop> {
        let at = self.aside(shard).await?;
        if self.participants.get(at).is_some_and(|p| p.sync == Sync::Owed) {
            self.join_batch().await?;
        }
        Ok(at)
    }

    /// Ends a question of ours with Sync and reads its answers.
    async fn ask_trip(
        &mut self,
        at: usize,
        look: impl FnMut(&wire::Frame<'_>) -> Result<(), wire::FrameError>,
    ) -> Result<(), Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend").into());
        };
        wire::put_sync(&mut participant.backend.link.out_buffer);
        round_trip(participant, look).await?;
        if self.participants.get(at).is_some_and(|p| p.status == b'E') {
            self.block.fail();
        }
        Ok(())
    }

    /// Asks for the settings that planning reads, if they may have changed; free otherwise, and on one shard.
    pub(super) async fn refresh_effective(&mut self) -> Result<(), Stop> {
        if !self.transparent {
            self.catch_up_with_schema().await?;
            self.look_for_new_schemas();
        }
        if self.stale == Stale::No || self.transparent {
            return Ok(());
        }
        Box::pin(self.ask_home_for_effective()).await
    }

    async fn ask_home_for_effective(&mut self) -> Result<(), Stop> {
        let home = self.snapshot().topology().home();
        let at = self.aside(home).await?;
        self.read_effective(at).await
    }

    /// `"$user"`, or a name on the search path that had no schema, may have got one.
    fn look_for_new_schemas(&mut self) {
        let snapshot = self.snapshot();
        let catalog = snapshot.catalog();
        if std::ptr::eq(self.effective_under.as_ptr(), Arc::as_ptr(catalog)) {
            return;
        }
        match self.effective.schemas == catalog.schemas {
            true => self.effective_under = Arc::downgrade(catalog),
            false => self.stale = Stale::Yes,
        }
    }

    /// Reads the effective settings from a backend that has the session's.
    async fn read_effective(&mut self, at: usize) -> Result<(), Stop> {
        let schemas = self.snapshot().catalog().schemas.clone();
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("no backend to ask").into());
        };
        let effective = ask_effective(participant, schemas).await?;
        self.effective = self.world.intern_effective(effective);
        self.stale = Stale::No;
        Ok(())
    }

    /// What EXPLAIN (ROUTE) shows of a statement.
    pub(super) async fn route_steps(&mut self, snapshot: &Arc<Snapshot>, text: &[u8]) -> Result<Vec<RouteStep>, Stop> {
        let question = Question {
            text,
            declared: &[],
            parameters: Parameters::default(),
            statement: None,
            scanned: None,
        };
        let mut facts = self.facts(&question);
        for _ in 0..=ROUNDS_MAX {
            let context = Arc::clone(&self.effective.context);
            let request = Request {
                text,
                parameter_types: &[],
                context: &context,
            };
            match snapshot.explain(&request, &question.parameters, &facts) {
                Ok(steps) => return Ok(steps),
                Err(Verdict::Refused(refusal)) => return Err(Failure::Refused(refusal).into()),
                Err(Verdict::Ask(ask)) => Box::pin(self.answer(snapshot, &question, ask, &mut facts)).await?,
            }
        }
        Err(Failure::Bug("a route asks without end").into())
    }

    /// DDL has run: the picture is read anew before the next statement, and texts prepared from now on are others.
    pub(super) fn ddl_ran(&mut self) {
        self.ddl = true;
        self.sequences.lose_known(); // a sequence of the same name may be another one now
        self.schema = Schema::Due;
        self.forget_temporary_names();
        self.world.statements.next_generation();
    }
}

/// Is a question the proxy's own, so that no literal of the client's stands in it?
fn is_without_literals(question: &str) -> bool {
    asks_moment(question) || asks_of_table(question)
}

/// Reads the effective settings from a backend that has the session's.
pub(super) async fn ask_effective(participant: &mut Participant, schemas: Vec<String>) -> Result<Effective, Stop> {
    wire::put_query(&mut participant.backend.link.out_buffer, EFFECTIVE.as_bytes());
    participant.set_unnamed(0);
    let mut cells: Vec<Option<String>> = Vec::new();
    let mut refused = None;
    round_trip(participant, |frame| {
        match frame.tag {
            b'D' => {
                cells = text_cells(frame.body)?;
            }
            b'E' => refused = Some(Box::new(wire::ErrorFields::parse(frame.body)?)),
            _ => {}
        }
        Ok(())
    })
    .await?;
    match refused {
        Some(fields) => Err(Failure::Shard(fields).into()),
        None => effective_from(&cells, schemas),
    }
}

/// One row: search path and temporary relations as JSON arrays, then the rest.
const EFFECTIVE: &str = "SELECT pg_catalog.array_to_json(pg_catalog.current_schemas(false))::pg_catalog.text, \
    current_user::pg_catalog.text, pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('DateStyle'), \
    pg_catalog.current_setting('IntervalStyle'), pg_catalog.current_setting('client_encoding'), \
    pg_catalog.current_setting('default_transaction_isolation'), \
    (SELECT COALESCE(pg_catalog.json_agg(relname), '[]')::pg_catalog.text FROM pg_catalog.pg_class \
      WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
    pg_catalog.current_setting('standard_conforming_strings'), pg_catalog.current_setting('transform_null_equals'), \
    pg_catalog.current_setting('row_security'), pg_catalog.current_setting('bytea_output'), \
    pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('lc_messages'), \
    pg_catalog.current_setting('lc_monetary'), pg_catalog.current_setting('lc_numeric'), \
    pg_catalog.current_setting('lc_time'), pg_catalog.current_setting('xmlbinary'), pg_catalog.current_setting('xmloption'), \
    pg_catalog.current_setting('array_nulls'), pg_catalog.current_setting('backslash_quote'), \
    pg_catalog.current_setting('default_text_search_config'), pg_catalog.current_setting('quote_all_identifiers')";

/// Names of the cells of [`EFFECTIVE`] from the ninth on.
const OTHER: [&str; 15] = [
    "standard_conforming_strings",
    "transform_null_equals",
    "row_security",
    "bytea_output",
    "extra_float_digits",
    "lc_messages",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "xmlbinary",
    "xmloption",
    "array_nulls",
    "backslash_quote",
    "default_text_search_config",
    "quote_all_identifiers",
];

fn effective_from(cells: &[Option<String>], known: Vec<String>) -> Result<Effective, Stop> {
    let cell = |at: usize| cells.get(at).cloned().flatten().unwrap_or_default();
    let list = |at: usize| {
        serde_json::from_str::<Vec<String>>(&cell(at)).map_err(|_| Failure::Bug("a list of names can't be read"))
    };
    let schemas = list(0)?
        .into_iter()
        .filter(|s| s != "pg_catalog" && !s.starts_with("pg_temp"))
        .collect();
    let context = crate::plan::Context {
        search_path: schemas,
        role: cell(1),
        time_zone: cell(2),
        date_style: cell(3),
        interval_style: cell(4),
        client_encoding: cell(5),
        other: OTHER
            .iter()
            .enumerate()
            .map(|(at, name)| ((*name).to_owned(), cell(at.saturating_add(8))))
            .collect(),
        temporary: list(7)?,
    };
    let default_isolation = match cell(6).as_str() {
        "repeatable read" => Isolation::RepeatableRead,
        "serializable" => Isolation::Serializable,
        _ => Isolation::ReadCommitted,
    };
    Ok(Effective {
        context: Arc::new(context),
        default_isolation,
        schemas: known,
    })
}
