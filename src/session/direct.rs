//! The straight way: a batch that lies whole in the client's buffer, is one statement, and goes to one shard.
//!
//! Why: nearly all of an application's traffic is this, outside a block: a Query of one statement, or Parse, Bind, Describe,
//! Execute and Sync of a text that the session has planned before. Message by message it would pass through everything that
//! any other batch might need; here it is looked at once, planned, and sent as it lies there, and the usual answer is
//! relayed in one piece.
//! Holds: whatever isn't the usual is handed to the other way, in the state that this would have been in there: before
//! anything was sent (`read_order` changes nothing that counts), or with the answers owed in the queue (`owe`). Both ways
//! plan by the same routes, take backends from the same pools, and end by the same `ready` unless nothing is left to do.

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use crate::plan::{Access, Facts, Kind as PlanKind, Parameters, Request, Touched};
use crate::session::error::{Gone, Stop};
use crate::session::extended::value_format;
use crate::session::oids;
use crate::session::prepared::Statement;
use crate::session::pump::Turn;
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::recent::Shaped;
use crate::session::state::{Categories, Copying, Named, Route, Schema, Session, Skipping, Stale, Wrapping};
use crate::sql::{Command, Lead, Statements};
use crate::telemetry::{ClientState, StatementKind};
use crate::topology::{ShardId, ShardSet};
use crate::transaction::{Follows, Life, Participant, State, Worked};
use crate::value::Format;
use crate::wire::{self, CommandComplete, HEADER_BYTES, LARGE_MESSAGE_LIMIT};

/// Parameters whose values are looked at without an allocation.
const VALUES_MAX: usize = 16;

/// Room for what follows a shard's answer.
const ANSWER_ROOM: usize = 64;

/// Describe of the unnamed portal.
const DESCRIBE: &[u8] = b"D\0\0\0\x06P\0";

/// Execute of the unnamed portal, all rows, and Sync.
const EXECUTE_AND_SYNC: &[u8] = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";

const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";

/// A batch that has been read and planned.
#[derive(Debug)]
pub(super) struct Order {
    /// its bytes in the client's buffer
    length: usize,
    shard: ShardId,
    access: Access,
    kind: PlanKind,
    touched: Touched,
    sends: Sends,
    columns: Columns,
}

/// What is sent for it.
#[derive(Debug)]
enum Sends {
    /// the Query, as it is
    Query,
    /// all of it, as it is
    Unnamed {
        /// bytes of the Parse
        parse: usize,
        /// the unnamed statement of before
        before: Option<Arc<Statement>>,
    },
    /// the Bind under the statement's own name, and what follows as it is
    Named {
        statement: Arc<Statement>,
        /// where the Bind's bytes behind both names begin
        tail: usize,
        /// where the Bind ends
        end: usize,
    },
}

/// Does the answer describe the rows?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// no: Describe wasn't asked
    Unasked,
    /// by RowDescription or NoData
    Asked,
    /// by RowDescription, if there are any: so a Query is answered
    Perhaps,
}

/// The usual answer, as it lies in a backend's buffer.
struct Answer {
    /// where RowDescription lies, if there is one
    columns: Option<(usize, usize)>,
    /// where ReadyForQuery begins
    ready: usize,
    /// its byte
    status: u8,
    rows: u64,
}

/// How far the usual answer has come.
enum Relayed {
    Whole,
    /// nothing is there yet
    NotYet,
    /// what is there isn't it, or not all of it
    Unusual,
}

/// How an order was answered.
enum Answered {
    /// as usual
    Usually,
    /// by way of the queue
    Otherwise,
}

impl Session {
    /// Between batches, outside a block, with nothing held and nothing pending.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.in_batch
            && self.participants.is_empty()
            && self.queue.is_empty()
            && self.deferred.is_none()
            && self.block.state() == State::Idle
            && self.wrapping == Wrapping::No
            && self.skipping == Skipping::No
            && self.stale == Stale::No
            && self.recheck == Stale::No
            && !self.ddl
            && matches!(self.schema, Schema::Common)
            && self.enrolment.may_pass()
    }

    /// Reads and plans the batch at the start of the client's buffer; `None`: it takes the other way.
    pub(super) fn read_order(&mut self, tag: u8, input: &[u8]) -> Option<Order> {
        match tag {
            b'Q' => self.read_query(input),
            b'P' => self.read_unnamed(input),
            b'B' => self.read_named(input),
            _ => None,
        }
    }

    fn read_query(&mut self, input: &[u8]) -> Option<Order> {
        let frame = wire::next_frame(input, LARGE_MESSAGE_LIMIT).ok()??;
        let (length, text) = (frame.whole.len(), wire::Query::parse(frame.body).ok()?.text);
        let _latest = self.shapes.known(text, self.lexing)?;
        let Shaped { shape, route } = self.shapes.latest();
        if shape.statements() != Statements::One || !matches!(shape.lead(), Lead::Query | Lead::Write) {
            return None;
        }
        let route = route.as_ref().filter(|route| fits(route, &self.effective.context))?;
        if !self.world.discovery.picture().is_current(&route.snapshot) {
            return None;
        }
        let request = Request {
            text,
            parameter_types: &[],
            context: &route.context,
        };
        let single = self.is_single(&route.snapshot);
        if !single && !self.sees_schemas_of(route) {
            return None;
        }
        let scanned = (route.lexing, Some(shape.literals()));
        let only = |facts: &Facts| {
            let compiled = &route.compiled;
            compiled.only_shard(&route.snapshot, &request, &Parameters::default(), facts, scanned)
        };
        let (kind, shard, access, touched) = match route.categories {
            Categories::Some if !single => only(&self.with_categories())?,
            Categories::Some | Categories::None => only(&self.world.no_facts)?,
        };
        let home = route.snapshot.topology().home();
        self.transparent = single;
        self.unnamed = None;
        Some(Order {
            length,
            shard: if single { home } else { shard },
            access,
            kind,
            touched,
            sends: Sends::Query,
            columns: Columns::Perhaps,
        })
    }

    fn read_unnamed(&mut self, input: &[u8]) -> Option<Order> {
        let frame = wire::next_frame(input, LARGE_MESSAGE_LIMIT).ok()??;
        let parse = wire::Parse::parse(frame.body).ok()?;
        if !parse.statement.is_empty() {
            return None;
        }
        let length = frame.whole.len();
        let batch = read_batch(input.get(length..)?)?;
        if !batch.bind.statement.is_empty() {
            return None;
        }
        let declared = parse.parameter_types.iter();
        let _latest = self.recent.find(parse.text, self.lexing, declared)?;
        let recent = self.recent.latest()?;
        if !matches!(recent.command, Command::Query | Command::Insert) {
            return None;
        }
        let route = recent.route.as_ref()?;
        let planned = self.plan_directly(route, &recent.text, &recent.declared, &batch.bind)?;
        let token = self.world.statements.next_id();
        let settings = self.local.as_ref().unwrap_or(&self.settings);
        let again = self.unnamed.as_mut().filter(|named| {
            let statement = &named.statement;
            let same = Arc::ptr_eq(statement.shared_text(), &recent.text) && statement.settings() == settings;
            same && statement.declared() == recent.declared && statement.command() == &recent.command
        });
        let renewed = again.and_then(|named| {
            Arc::get_mut(&mut named.statement)?.renew(token); // nobody else holds it any more
            if !named.route.as_ref().is_some_and(|kept| kept.is_same(route)) {
                named.route = Some(route.clone());
            }
            Some(Arc::clone(&named.statement))
        });
        let before = match renewed {
            Some(same) => Some(same),
            None => {
                let (text, declared) = (Arc::clone(&recent.text), recent.declared.clone());
                let made = Statement::unnamed(text, declared, settings.clone(), recent.command.clone(), token);
                let made = Named {
                    statement: Arc::new(made),
                    route: Some(route.clone()),
                };
                self.unnamed.replace(made).map(|named| named.statement)
            }
        };
        let sends = Sends::Unnamed { parse: length, before };
        Some(self.order(planned, length.saturating_add(batch.length), sends, batch.columns))
    }

    fn read_named(&mut self, input: &[u8]) -> Option<Order> {
        let batch = read_batch(input)?;
        if batch.bind.statement.is_empty() {
            return None;
        }
        let named = self.statements.get(batch.bind.statement)?;
        let statement = &named.statement;
        if !matches!(statement.command(), Command::Query | Command::Insert) {
            return None;
        }
        let route = named.route.as_ref()?;
        let planned = self.plan_directly(route, statement.planned_text(), statement.declared(), &batch.bind)?;
        let sends = Sends::Named {
            statement: Arc::clone(statement),
            tail: batch.end.saturating_sub(batch.bind.tail.len()),
            end: batch.end,
        };
        Some(self.order(planned, batch.length, sends, batch.columns))
    }

    /// Where a Bind of a statement goes by the route that is kept for it.
    fn plan_directly(
        &self,
        route: &Route,
        text: &[u8],
        declared: &[crate::value::Oid],
        bind: &wire::Bind<'_>,
    ) -> Option<Planned> {
        if !fits(route, &self.effective.context) || !self.world.discovery.picture().is_current(&route.snapshot) {
            return None;
        }
        let request = Request {
            text,
            parameter_types: declared,
            context: &route.context,
        };
        let (snapshot, scanned) = (&route.snapshot, (route.lexing, None));
        if self.is_single(snapshot) {
            // Nothing depends on the values.
            let (parameters, facts) = (Parameters::default(), &self.world.no_facts);
            let (kind, ..) = route
                .compiled
                .only_shard(snapshot, &request, &parameters, facts, scanned)?;
            return Some(Planned {
                kind,
                shard: snapshot.topology().home(),
                access: Access::Read,
                touched: Touched::Several,
                single: true,
            });
        }
        if !self.sees_schemas_of(route) {
            return None;
        }
        let mut few_formats = [Format::Text; VALUES_MAX];
        let mut few_values = [None; VALUES_MAX];
        let (many_formats, many_values): (Vec<Format>, Vec<Option<&[u8]>>);
        let (count, codes) = (bind.values.len(), bind.formats.len());
        let parameters = match count <= VALUES_MAX && codes <= VALUES_MAX {
            true => {
                few_formats
                    .iter_mut()
                    .zip(bind.formats.iter())
                    .for_each(|(to, from)| *to = value_format(from));
                few_values.iter_mut().zip(bind.values).for_each(|(to, from)| *to = from);
                Parameters {
                    formats: few_formats.get(..codes)?,
                    values: few_values.get(..count)?,
                }
            }
            false => {
                many_formats = bind.formats.iter().map(value_format).collect();
                many_values = bind.values.collect();
                Parameters {
                    formats: &many_formats,
                    values: &many_values,
                }
            }
        };
        let only = |facts: &Facts| {
            route
                .compiled
                .only_shard(snapshot, &request, &parameters, facts, scanned)
        };
        let (kind, shard, access, touched) = match route.categories {
            Categories::Some => only(&self.with_categories())?,
            Categories::None => only(&self.world.no_facts)?,
        };
        Some(Planned {
            kind,
            shard,
            access,
            touched,
            single: false,
        })
    }

    fn order(&mut self, planned: Planned, length: usize, sends: Sends, columns: Columns) -> Order {
        self.transparent = planned.single;
        Order {
            length,
            shard: planned.shard,
            access: planned.access,
            kind: planned.kind,
            touched: planned.touched,
            sends,
            columns,
        }
    }

    /// Whether the schemas on the search path are those that the session's settings were read under.
    fn sees_schemas_of(&self, route: &Route) -> bool {
        std::ptr::eq(self.effective_under.as_ptr(), Arc::as_ptr(route.snapshot.catalog()))
    }

    fn with_categories(&self) -> Facts {
        Facts {
            categories: self.world.discovery.fixed(),
            ..Facts::default()
        }
    }

    /// Carries an order out, to ReadyForQuery.
    pub(super) async fn carry_out(&mut self, mut order: Order, input: BytesMut) -> Result<(), Gone> {
        self.in_batch = true;
        self.enrolment.set_state(ClientState::Active);
        self.begin_running();
        self.running.kind = StatementKind::from(order.kind);
        self.running.shard = Some(order.shard);
        let touched = std::mem::replace(&mut order.touched, Touched::Nothing);
        self.load.touch(ShardSet::only(order.shard), order.access, touched);
        self.client.held_bytes = input.len().saturating_sub(order.length);
        let sent = match self.send_at_once(&order, &input) {
            Some(at) => Ok(at),
            None => self.send_in_time(&order, &input).await,
        };
        self.client.held_bytes = 0;
        self.consume(input, order.length);
        let answered = match sent {
            Ok(at) => self.await_answer(at, &mut order).await,
            Err(stop) => return self.give_up(&order, stop).await,
        };
        match (answered, &order.sends) {
            (Ok(Answered::Usually), _) if self.rest_again() => return Ok(()),
            (Ok(Answered::Usually | Answered::Otherwise), Sends::Query) => {
                if let Some(at) = self.active.filter(|_| !self.transparent) {
                    self.follow_status(at);
                }
                self.finish_query().await?;
            }
            (Err(stop), Sends::Query) => {
                self.report_failure(stop)?;
                if self.transparent && self.copying == Copying::No {
                    self.fail_servers().await?;
                    self.sync_all().await?;
                }
                self.finish_query().await?;
            }
            (answered, Sends::Unnamed { .. } | Sends::Named { .. }) => {
                if let Err(stop) = answered {
                    self.report_failure(stop)?;
                }
                self.sync().await?;
            }
        }
        self.leave_batch();
        self.after_ddl().await;
        Ok(())
    }

    /// Nothing of the batch was sent.
    async fn give_up(&mut self, order: &Order, stop: Stop) -> Result<(), Gone> {
        match order.sends {
            Sends::Query => {
                self.report_failure(stop)?;
                self.finish_query().await?;
            }
            Sends::Unnamed { .. } | Sends::Named { .. } => {
                self.fail_in_order(stop).await?;
                self.sync().await?;
            }
        }
        self.leave_batch();
        Ok(())
    }

    /// Takes a batch off the client's input.
    fn consume(&mut self, mut input: BytesMut, length: usize) {
        if length < input.len() {
            input.advance(length);
            input.extend_from_slice(&self.client.in_buffer);
            self.client.in_buffer = input;
        } else if self.client.in_buffer.is_empty() {
            input.clear(); // its whole room stays in sight
            self.client.in_buffer = input;
        }
    }

    /// Sends an order if nothing has to be waited for.
    fn send_at_once(&mut self, order: &Order, input: &[u8]) -> Option<usize> {
        let (pools, digest) = (&self.world.pools, self.settings.digest());
        let backend = pools.try_checkout(order.shard, &self.login, digest).ok()??;
        let mut participant = Participant::new(order.shard, backend);
        let applied = participant.applied();
        if applied.settings != self.settings {
            if let Ok(clean) = participant.backend.into_clean(applied.settings.digest()) {
                pools.give_back(clean);
            }
            return None;
        }
        let lacks = match &order.sends {
            Sends::Query => {
                applied.set_unnamed(0);
                false
            }
            Sends::Unnamed { .. } => false,
            Sends::Named { statement, .. } => !participant.backend.prepared.touch(statement.id()),
        };
        let at = self.participants.push(participant);
        match lacks {
            true => None,
            false => self.put_order(at, order, input),
        }
    }

    /// Sends an order once there is a backend, and it has what it needs.
    async fn send_in_time(&mut self, order: &Order, input: &[u8]) -> Result<usize, Stop> {
        let at = match self.participants.find(order.shard) {
            Some(at) => at,
            None => self.check_out(order.shard).await?,
        };
        if let Sends::Named { statement, .. } = &order.sends {
            self.ensure_prepared(at, statement).await?;
        }
        self.put_order(at, order, input)
            .ok_or(crate::session::error::Failure::Bug("a lane is missing").into())
    }

    fn put_order(&mut self, at: usize, order: &Order, input: &[u8]) -> Option<usize> {
        let batch = input.get(..order.length)?;
        let unnamed = self.unnamed.as_ref().map(|named| &named.statement);
        let types = match (&order.sends, unnamed) {
            (Sends::Unnamed { .. }, Some(statement)) => self.types_for(at, statement.declared()).into_owned(),
            (Sends::Unnamed { .. } | Sends::Named { .. } | Sends::Query, _) => Vec::new(),
        };
        let participant = self.participants.get_mut(at)?;
        let out = &mut participant.backend.link.out_buffer;
        match &order.sends {
            Sends::Query => {
                out.extend_from_slice(batch);
                participant.set_unnamed(0);
            }
            Sends::Unnamed { parse, .. } => {
                let statement = unnamed?;
                match types.is_empty() {
                    true => out.extend_from_slice(batch),
                    false => {
                        wire::put_parse(out, b"", statement.text(), &types);
                        out.extend_from_slice(batch.get(*parse..)?);
                    }
                }
                participant.set_unnamed(statement.id());
            }
            Sends::Named { statement, tail, end } => {
                wire::put_bind_tail(out, b"", statement.backend_name().as_bytes(), batch.get(*tail..*end)?);
                out.extend_from_slice(batch.get(*end..)?);
            }
        }
        participant.worked = Worked::Yes;
        participant.touch(order.access);
        if self.transparent {
            participant.follows = Follows::Yes;
        }
        self.running.sent = self.running.sent.saturating_add(order.length as u64);
        self.active = Some(at);
        Some(at)
    }

    /// Waits for an order's answer and relays it: in one piece if it is the usual one, else by way of the queue.
    async fn await_answer(&mut self, at: usize, order: &mut Order) -> Result<Answered, Stop> {
        loop {
            match self.relay_usual(at, order) {
                Relayed::Whole => return Ok(Answered::Usually),
                Relayed::NotYet => {}
                Relayed::Unusual => {
                    self.owe(order);
                    break;
                }
            }
            match self.turn(at).await {
                Turn::Input | Turn::Written => {}
                turn => {
                    self.owe(order);
                    self.after_turn(at, turn).await?;
                    break;
                }
            }
        }
        self.settle().await?;
        Ok(Answered::Otherwise)
    }

    /// Notes in the queue which answers are to come.
    fn owe(&mut self, order: &mut Order) {
        let mut push = |kind, undo| {
            self.queue.push_back(Owed::Backend {
                kind,
                shown: Shown::Yes,
                undo,
            });
        };
        match &mut order.sends {
            Sends::Query => return push(Kind::Query(Vec::new()), Undo::Nothing),
            Sends::Unnamed { before, .. } => push(Kind::Parse, Undo::Statement(Vec::new(), before.take())),
            Sends::Named { .. } => {}
        }
        push(Kind::Bind, Undo::Nothing);
        if order.columns == Columns::Asked {
            push(Kind::DescribePortal, Undo::Nothing);
        }
        push(Kind::Execute(None), Undo::Nothing);
        push(Kind::Sync, Undo::Nothing);
    }

    /// Relays the usual answer, if the backend has sent just that.
    fn relay_usual(&mut self, at: usize, order: &Order) -> Relayed {
        let Some(participant) = self.participants.get(at) else {
            return Relayed::Unusual;
        };
        let input = &participant.backend.link.in_buffer;
        if input.is_empty() {
            return Relayed::NotYet;
        }
        let Some(answer) = read_answer(input, order) else {
            return Relayed::Unusual;
        };
        let map = answer.columns.and_then(|_| self.foreign_oids(at));
        let Some(participant) = self.participants.get_mut(at) else {
            return Relayed::Unusual;
        };
        let (input, out) = (&mut participant.backend.link.in_buffer, &mut self.client.out_buffer);
        out.reserve(answer.ready.saturating_add(ANSWER_ROOM));
        match (answer.columns, map) {
            (Some((from, to)), Some(map)) => {
                let body = input.get(from.saturating_add(HEADER_BYTES)..to).unwrap_or_default();
                let Ok(home) = oids::row_description(body, &map) else {
                    return Relayed::Unusual;
                };
                out.extend_from_slice(input.get(..from).unwrap_or_default());
                out.extend_from_slice(&home);
                out.extend_from_slice(input.get(to..answer.ready).unwrap_or_default());
            }
            (Some(_) | None, _) => out.extend_from_slice(input.get(..answer.ready).unwrap_or_default()),
        }
        self.running.received = self.running.received.saturating_add(input.len() as u64);
        self.rows = self.rows.saturating_add(answer.rows);
        input.clear();
        participant.status = answer.status;
        Relayed::Whole
    }

    /// Lets the backend go and gives ReadyForQuery, if that is all that is left to do.
    fn rest_again(&mut self) -> bool {
        let plain = |p: &Participant| p.status == b'I' && p.cancels == 0 && p.pin.is_none() && p.life == Life::Alive;
        let left = self.stale == Stale::Yes
            || self.recheck == Stale::Yes
            || self.failed
            || self.ddl
            || !self.unreported.is_empty()
            || !self.notifications.is_empty()
            || !self.portals.is_empty()
            || !self.cursors.is_empty()
            || self.block.state() != State::Idle
            || !self.participants.iter().all(plain);
        if left {
            return false;
        }
        self.charge();
        let Some(participant) = self.participants.take_only() else {
            return false;
        };
        let now = self.world.clock.now();
        self.active = None;
        match participant.backend.into_clean(self.settings.digest()) {
            Ok(clean) => self.world.pools.give_back_at(clean, now),
            Err(dirty) => drop(dirty),
        }
        self.keep_whole_datestyle();
        wire::put_ready(&mut self.client.out_buffer, self.block.status());
        self.count_statement(now);
        self.leave_batch();
        true
    }
}

/// Where a Bind goes.
struct Planned {
    kind: PlanKind,
    shard: ShardId,
    access: Access,
    touched: Touched,
    /// there is one shard
    single: bool,
}

/// Whether a route was worked out under these settings.
fn fits(route: &Route, context: &Arc<crate::plan::Context>) -> bool {
    Arc::ptr_eq(&route.context, context)
}

/// Bind, perhaps Describe, Execute and Sync, of the unnamed portal.
struct Batch<'a> {
    bind: wire::Bind<'a>,
    /// where the Bind ends
    end: usize,
    columns: Columns,
    /// of all
    length: usize,
}

fn read_batch(input: &[u8]) -> Option<Batch<'_>> {
    let frame = wire::next_frame(input, LARGE_MESSAGE_LIMIT).ok()??;
    if frame.tag != b'B' {
        return None;
    }
    let end = frame.whole.len();
    let rest = input.get(end..)?;
    let (columns, behind) = match rest.strip_prefix(DESCRIBE) {
        Some(behind) => (Columns::Asked, behind),
        None => (Columns::Unasked, rest),
    };
    let behind = behind.strip_prefix(EXECUTE_AND_SYNC)?;
    let bind = wire::Bind::parse(frame.body).ok()?;
    bind.portal.is_empty().then_some(Batch {
        bind,
        end,
        columns,
        length: input.len().saturating_sub(behind.len()),
    })
}

/// The usual answer: what acknowledges the messages, the columns, rows, one tag, ReadyForQuery, and nothing else.
fn read_answer(input: &[u8], order: &Order) -> Option<Answer> {
    let mut rest = match order.sends {
        Sends::Query => input,
        Sends::Unnamed { .. } => input.strip_prefix(PARSE_COMPLETE)?.strip_prefix(BIND_COMPLETE)?,
        Sends::Named { .. } => input.strip_prefix(BIND_COMPLETE)?,
    };
    let mut columns = None;
    match (order.columns, rest.first()?) {
        (Columns::Unasked, _) => {}
        (Columns::Perhaps | Columns::Asked, b'T') => {
            let at = input.len().saturating_sub(rest.len());
            rest = behind_frame(rest)?;
            columns = Some((at, input.len().saturating_sub(rest.len())));
        }
        (Columns::Asked, b'n') => rest = behind_frame(rest)?,
        (Columns::Asked, _) => return None,
        (Columns::Perhaps, _) => {}
    }
    while *rest.first()? == b'D' {
        rest = behind_frame(rest)?;
    }
    let tag = wire::next_frame(rest, wire::LOOK_FRAME_LIMIT).ok()??;
    if tag.tag != b'C' {
        return None;
    }
    let behind = rest.get(tag.whole.len()..)?;
    let status = match behind {
        [b'Z', 0, 0, 0, 5, status @ (b'I' | b'T' | b'E')] => *status,
        _ => return None,
    };
    Some(Answer {
        columns,
        ready: input.len().saturating_sub(behind.len()),
        status,
        rows: CommandComplete::parse(tag.body).ok()?.rows().unwrap_or(0),
    })
}

fn behind_frame(bytes: &[u8]) -> Option<&[u8]> {
    let header = wire::Header::parse(bytes, LARGE_MESSAGE_LIMIT).ok()??;
    bytes.get(header.whole()..)
}
