//! From a compiled route and the values of one request to a plan.
//!
//! Holds: on the one-shard path nothing is allocated but what a text key is decoded into.

use std::sync::Arc;

use crate::plan::compile::compile_afresh;
use crate::plan::fanout::{Method, Moves, moving_parameter};
use crate::plan::keys::{Evaluation, Owner, Unplaced, Values, WrittenRow};
use crate::plan::ladder::{
    Around, Clock, Everywhere, Keyed, Literals, Route, Ruling, Runs, Several, Texts, Unseen, check_unseen, shard_names,
};
use crate::plan::writes::Bindings;
use crate::plan::{
    Access, Counts, Explained, Facts, FanOut, Kind, Parameters, Plan, Refusal, RefusalId, Request, RouteStep, RowLocks,
    SequenceUse, SessionEffect, Snapshot, Touched, Verdict, Work, WritePart, Writes, drawn, refuse,
};
use crate::sql::{CursorForm, Edits, Lexing, Literal, PositionMap, Shape, Span, TokenKind, scan, shape};
use crate::topology::{Epoch, ShardId, ShardSet};
use crate::value::Oid;

/// A compiled statement: everything that does not depend on key values.
#[derive(Debug)]
pub struct Compiled {
    epoch: Epoch,
    pub(in crate::plan) route: Route,
    pub(in crate::plan) access: Access,
    pub(in crate::plan) effect: SessionEffect,
    prepare_on: ShardId,
    literals: Literals,
    /// whether texts of its shape hold lifted literals
    lifted: Lifted,
    /// the statement inside, if the route is that of a part
    inner: Option<Box<Compiled>>,
    /// types of `$n`, 0 where unknown
    types: Vec<Oid>,
    /// what it does to the session's memory of sequences
    sequences: SequenceUse,
    /// what it reads of its transaction's moment
    clock: Clock,
    /// what of that is out of sight
    unseen: Box<[Unseen]>,
    /// where it may run, if one shard answers it
    runs: Runs,
    /// the text that a fan-out's template was made from
    text: Option<Box<[u8]>>,
}

/// Reasons that EXPLAIN (ROUTE) shows of one step.
const REASONS_MAX: usize = 16;

/// Do texts of a shape hold lifted literals?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifted {
    /// no text of this shape does
    None,
    Perhaps,
}

/// Where keys lead.
enum Led {
    One(ShardId),
    Many(ShardSet),
}

// === impl Compiled ===

impl Compiled {
    pub(in crate::plan) fn new(
        snapshot: &Snapshot,
        request: &Request<'_>,
        ruling: Ruling,
        inner: Option<Box<Compiled>>,
        types: Vec<Oid>,
    ) -> Compiled {
        let Ruling {
            route,
            access,
            effect,
            prepare_on,
            literals,
        } = ruling;
        let text = match &route {
            Route::Keyed(keyed) => match keyed.several {
                Several::FanOut(_) | Several::Refused(_) => Some(request.text.into()),
                Several::Split(_) => None,
            },
            Route::Fixed { .. }
            | Route::Ready { .. }
            | Route::Drawn(_)
            | Route::Everywhere(_)
            | Route::Inner { .. }
            | Route::Refused(_) => None,
        };
        let prepare_on = inner.as_ref().map_or(prepare_on, |inner| inner.prepare_on);
        Compiled {
            epoch: snapshot.topology().epoch(),
            route,
            access,
            effect,
            prepare_on,
            literals,
            lifted: Lifted::Perhaps,
            inner,
            types,
            sequences: SequenceUse::Untouched,
            clock: Clock::Read,
            unseen: Box::default(),
            runs: Runs::There,
            text,
        }
    }

    /// The same, of a statement that reads this of its transaction's moment, and may run there.
    pub(in crate::plan) fn with_clock(self, (clock, runs): (Clock, Runs), unseen: Vec<Unseen>) -> Compiled {
        let clock = self.inner.as_ref().map_or(clock, |inner| inner.clock);
        Compiled {
            clock,
            unseen: unseen.into(),
            runs,
            ..self
        }
    }

    /// Several shards have a moment each: what reads it out of sight is refused.
    fn check_moments(&self, shards: ShardSet, facts: &Facts) -> Result<(), Verdict> {
        match shards.single() {
            Some(_) => Ok(()),
            None => check_unseen(&self.unseen, facts),
        }
    }

    /// What it reads of its transaction's moment, and where it may run, if one shard answers it.
    pub(in crate::plan) fn clock(&self) -> (Clock, Runs) {
        (self.clock, self.runs)
    }

    /// The statement inside, and what stands around it.
    pub(in crate::plan) fn inside(&self) -> Option<(Span, Around)> {
        match &self.route {
            Route::Inner { span, around } => Some((*span, *around)),
            Route::Fixed { .. }
            | Route::Ready { .. }
            | Route::Keyed(_)
            | Route::Drawn(_)
            | Route::Everywhere(_)
            | Route::Refused(_) => None,
        }
    }

    /// The same, of a statement that does this to the session's memory of sequences.
    pub(in crate::plan) fn with_sequences(self, sequences: SequenceUse) -> Compiled {
        Compiled { sequences, ..self }
    }

    /// The same, of a text that was scanned into `own`.
    pub(in crate::plan) fn of_shape(self, own: &Shape) -> Compiled {
        let lifted = match own.literals() {
            [] => Lifted::None,
            [_, ..] => Lifted::Perhaps,
        };
        Compiled { lifted, ..self }
    }

    /// About how many bytes it takes, beyond what any route takes.
    pub(in crate::plan) fn weight(&self) -> usize {
        let text = self.text.as_ref().map_or(0, |text| text.len());
        match &self.route {
            Route::Keyed(keyed) => {
                let rows = keyed.written.iter().map(|written| written.rows.len()).sum::<usize>();
                let split = match &keyed.several {
                    Several::Split(split) => split.weight(),
                    // edits of a text take less than the text
                    Several::FanOut(_) | Several::Refused(_) => 0,
                };
                let rows = rows.saturating_mul(size_of::<WrittenRow>());
                text.saturating_add(rows).saturating_add(split)
            }
            Route::Everywhere(everywhere) => match &everywhere.texts {
                Texts::Rows(rows) => rows.weight(),
                Texts::Series(series) => series.weight(),
                Texts::AsWritten => text,
                Texts::Parts(parts) => parts.iter().map(|part| part.text.len()).sum(),
            },
            Route::Fixed { .. } | Route::Ready { .. } | Route::Drawn(_) | Route::Inner { .. } | Route::Refused(_) => {
                text
            }
        }
    }

    pub(in crate::plan) fn literals(&self) -> Literals {
        self.literals
    }

    /// Whether it serves every text of its shape, so that it can be kept with that.
    pub fn serves_shape(&self) -> bool {
        self.literals == Literals::Opaque
    }

    /// The topology that it was made for; bind it with a snapshot of the same epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A shard where the client's text can be parsed and described (all relations that it names exist there).
    pub fn prepare_on(&self) -> ShardId {
        self.prepare_on
    }

    /// The refusal that awaits every bind, if that is certain already.
    pub fn static_refusal(&self) -> Option<&Refusal> {
        match &self.route {
            Route::Refused(refusal) => Some(refusal),
            Route::Inner { .. } => self.inner.as_ref().and_then(|inner| inner.static_refusal()),
            Route::Fixed { .. } | Route::Ready { .. } | Route::Drawn(_) | Route::Everywhere(_) | Route::Keyed(_) => {
                None
            }
        }
    }

    /// Does it want values of sequences in its text?
    pub(in crate::plan) fn is_drawn(&self) -> bool {
        matches!(self.route, Route::Drawn(_))
    }

    /// The plan for these literals and parameters. `request` is of the same shape, context and declared types as the one
    /// compiled. Allocates nothing if it stays on one shard (a text key excepted).
    pub fn bind(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Plan, Verdict> {
        match &self.route {
            Route::Fixed { kind, shard, reason: _ } => Ok(self.plan(*kind, Work::One(*shard))),
            Route::Ready { kind, work, reason: _ } => {
                self.check_moments(work.shards(), facts)?;
                Ok(self.plan(*kind, work.clone()))
            }
            Route::Refused(refusal) => Err(Verdict::Refused(refusal.clone())),
            Route::Drawn(template) => drawn::bind(template, snapshot, request, parameters, facts),
            Route::Inner { span, around } => self.bind_inner(snapshot, request, parameters, facts, (*span, *around)),
            Route::Everywhere(everywhere) => self.bind_everywhere(everywhere, snapshot, request, facts),
            Route::Keyed(keyed) => {
                let (led, touched, _) = self.led(keyed, snapshot, request, parameters, facts, Reasons::Unwanted)?;
                match led {
                    Led::One(shard) => Ok(self.plan_touching(touched, Kind::OneShard, Work::One(shard))),
                    Led::Many(shards) => self.many(keyed, (shards, touched), snapshot, request, parameters, facts),
                }
            }
        }
    }

    /// [`Compiled::bind`] where the request's text has been scanned into `own`, lexed as its context says
    /// ([`Context::lexing`]).
    pub fn bind_shaped(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
        own: &Shape,
    ) -> Result<Plan, Verdict> {
        let Route::Keyed(keyed) = &self.route else {
            return self.bind(snapshot, request, parameters, facts);
        };
        let lexing = match own.literals() {
            [] => Lexing::default(), // nothing is read
            [_, ..] => request.context.lexing(),
        };
        let scanned = (request, lexing, own.literals());
        let (led, touched, _) = led_by(keyed, snapshot, scanned, parameters, facts, Reasons::Unwanted)?;
        match led {
            Led::One(shard) => Ok(self.plan_touching(touched, Kind::OneShard, Work::One(shard))),
            Led::Many(shards) => self.many(keyed, (shards, touched), snapshot, request, parameters, facts),
        }
    }

    /// Where it goes, if that is one shard and it leaves nothing in its session; `None`: [`Compiled::bind`] says more.
    ///
    /// `lexing` is that of the request's context; `own` are the literals of its text, where that was scanned by it.
    pub fn only_shard(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
        (lexing, own): (Lexing, Option<&[Literal]>),
    ) -> Option<(Kind, ShardId, Access, Touched)> {
        if self.effect != SessionEffect::None || self.sequences != SequenceUse::Untouched {
            return None;
        }
        let keyed = match &self.route {
            Route::Fixed { kind, shard, reason: _ } => return Some((*kind, *shard, self.access, Touched::Several)),
            Route::Keyed(keyed) => keyed,
            Route::Ready { .. } | Route::Refused(_) | Route::Drawn(_) | Route::Inner { .. } | Route::Everywhere(_) => {
                return None;
            }
        };
        let led = match (own, self.lifted) {
            (Some(literals), _) => {
                let scanned = (request, lexing, literals);
                led_by(keyed, snapshot, scanned, parameters, facts, Reasons::Unwanted)
            }
            (None, Lifted::None) => led_by(
                keyed,
                snapshot,
                (request, lexing, &[]),
                parameters,
                facts,
                Reasons::Unwanted,
            ),
            (None, Lifted::Perhaps) => self.led(keyed, snapshot, request, parameters, facts, Reasons::Unwanted),
        };
        match led {
            Ok((Led::One(shard), touched, _)) => Some((Kind::OneShard, shard, self.access, touched)),
            Ok((Led::Many(_), ..)) | Err(_) => None,
        }
    }

    /// What `EXPLAIN (ROUTE)` shows of it; nothing runs.
    pub(in crate::plan) fn explain(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Vec<RouteStep>, Verdict> {
        let topology = snapshot.topology();
        let step = |step: &str, set: ShardSet, reason: String| RouteStep {
            step: step.to_string(),
            shards: shard_names(topology, set),
            reason,
        };
        match &self.route {
            Route::Fixed { kind, shard, reason } => {
                Ok(vec![step(kind.name(), ShardSet::only(*shard), reason.to_string())])
            }
            Route::Ready { kind, work, reason } => Ok(vec![step(kind.name(), work.shards(), reason.to_string())]),
            Route::Refused(refusal) => Err(Verdict::Refused(refusal.clone())),
            Route::Drawn(template) => {
                let home = ShardSet::only(topology.home());
                let steps = template.steps().into_iter();
                let mut steps: Vec<RouteStep> = steps.map(|values| step("sequence", home, values)).collect();
                steps.extend(template.reads().map(|text| step("read", ShardSet::EMPTY, text)));
                match drawn::explain(template, snapshot, request, parameters, facts)? {
                    Some(behind) => steps.extend(behind),
                    None => steps.push(step("write", ShardSet::EMPTY, "where the drawn keys belong".to_owned())),
                }
                Ok(steps)
            }
            Route::Everywhere(everywhere) => {
                let plan = self.bind_everywhere(everywhere, snapshot, request, facts)?;
                let (kind, set) = (everywhere.kind().name(), plan.work.shards());
                Ok(vec![step(kind, set, everywhere.reason.to_string())])
            }
            Route::Inner { span, around: _ } => match &self.inner {
                Some(inner) => {
                    let request = Request {
                        text: span.of(request.text),
                        ..*request
                    };
                    inner.explain(snapshot, &request, parameters, facts)
                }
                None => Ok(Vec::new()),
            },
            Route::Keyed(keyed) => {
                let (led, touched, mut reasons) =
                    self.led(keyed, snapshot, request, parameters, facts, Reasons::Wanted)?;
                reasons.dedup();
                let hidden = reasons.len().saturating_sub(REASONS_MAX);
                reasons.truncate(REASONS_MAX);
                if hidden > 0 {
                    reasons.push(format!("{hidden} more"));
                }
                let reason = reasons.join(", ");
                match led {
                    Led::One(shard) => Ok(vec![step(Kind::OneShard.name(), ShardSet::only(shard), reason)]),
                    Led::Many(shards) => {
                        let plan = self.many(keyed, (shards, touched), snapshot, request, parameters, facts)?;
                        let mut steps = vec![step(plan.kind.name(), shards, reason)];
                        match &keyed.several {
                            Several::FanOut(template) => {
                                let merges = template.steps();
                                let merges = merges.into_iter();
                                steps.extend(merges.map(|(name, reason)| step(&name, ShardSet::EMPTY, reason)));
                            }
                            Several::Split(split) => {
                                let owners = self.owners(keyed, snapshot, request, parameters, facts)?;
                                let shares = split.shares(&owners).into_iter();
                                steps.extend(shares.map(|(shard, rows)| {
                                    step(
                                        "insert",
                                        ShardSet::only(shard),
                                        format!("{rows} of {} rows", owners.len()),
                                    )
                                }));
                            }
                            Several::Refused(_) => {}
                        }
                        Ok(steps)
                    }
                }
            }
        }
    }

    /// A plan of what its keys don't bound to one bucket.
    pub(in crate::plan) fn plan(&self, kind: Kind, work: Work) -> Plan {
        self.plan_touching(Touched::Several, kind, work)
    }

    fn plan_touching(&self, touched: Touched, kind: Kind, work: Work) -> Plan {
        Plan {
            touched,
            epoch: self.epoch,
            kind,
            work,
            access: self.access,
            effect: self.effect.clone(),
            sequences: self.sequences.clone(),
        }
    }

    fn bind_everywhere(
        &self,
        everywhere: &Everywhere,
        snapshot: &Snapshot,
        request: &Request<'_>,
        facts: &Facts,
    ) -> Result<Plan, Verdict> {
        let shards = snapshot.topology().all_shards();
        self.check_moments(shards, facts)?;
        let parts = match &everywhere.texts {
            Texts::Rows(rows) => rows.bind(shards, &self.types, facts)?,
            Texts::Series(series) => series.bind(snapshot.topology(), &self.types, facts)?,
            Texts::Parts(parts) => parts.clone(),
            Texts::AsWritten => shards
                .iter()
                .map(|shard| WritePart {
                    shard,
                    text: request.text.to_vec(),
                    positions: Some(PositionMap::default()),
                    parameters: Vec::new(),
                    parameter_types: Vec::new(),
                    counts: Counts::Yes,
                })
                .collect(),
        };
        let writes = Writes {
            parts,
            answer: everywhere.answer.clone(),
        };
        Ok(self.plan(everywhere.kind(), Work::Writes(Arc::new(writes))))
    }

    fn bind_inner(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
        (span, around): (Span, Around),
    ) -> Result<Plan, Verdict> {
        let refused = |id| Err(Verdict::Refused(refuse(id, &[])));
        let Some(inner) = &self.inner else {
            return refused(RefusalId::SyntaxNotUnderstood);
        };
        if let Route::Drawn(template) = &inner.route {
            // Neither EXPLAIN nor a cursor draws a value.
            return Err(Verdict::Refused(Box::new(template.instead().clone())));
        }
        let before = request.text.get(..span.start).unwrap_or_default();
        let request = Request {
            text: span.of(request.text),
            ..*request
        };
        let plan = inner.bind(snapshot, &request, parameters, facts)?;
        match plan.work {
            Work::One(_) => Ok(Plan {
                effect: match &self.effect {
                    SessionEffect::None => plan.effect,
                    effect => effect.clone(),
                },
                ..plan
            }),
            Work::Many(fan) => match around {
                Around::Cursor(CursorForm::Plain) if fan.row_locks == RowLocks::No => Ok(Plan {
                    work: Work::Cursor(fan),
                    ..plan
                }),
                Around::Explain(format) => Ok(Plan {
                    work: Work::Explain(Arc::new(Explained {
                        fan,
                        before: before.to_vec(),
                        format,
                    })),
                    ..plan
                }),
                Around::Cursor(CursorForm::Plain | CursorForm::Other) => refused(RefusalId::CursorFanOut),
                Around::Copy => refused(RefusalId::CopyFanOut),
            },
            Work::Cursor(_) | Work::Explain(_) | Work::Writes(_) | Work::CopyIn(_) | Work::CopyOut(_) => {
                refused(match around {
                    Around::Explain(_) => RefusalId::ExplainFanOut,
                    Around::Cursor(_) => RefusalId::CursorFanOut,
                    Around::Copy => RefusalId::CopyFanOut,
                })
            }
        }
    }

    /// Evaluates the keys.
    fn led(
        &self,
        keyed: &Keyed,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
        reasons: Reasons,
    ) -> Result<(Led, Touched, Vec<String>), Verdict> {
        let lexing = request.context.lexing();
        match self.lifted {
            Lifted::None => return led_by(keyed, snapshot, (request, lexing, &[]), parameters, facts, reasons),
            Lifted::Perhaps => (),
        }
        snapshot.cache().with_shape(|scratch: &mut Shape| {
            // Literals stand elsewhere in each text of a shape.
            if shape(request.text, lexing, scratch).is_err() {
                return Err(Verdict::Refused(refuse(
                    RefusalId::LexicalError,
                    &["text can't be read"],
                )));
            }
            let literals = scratch.literals();
            led_by(keyed, snapshot, (request, lexing, literals), parameters, facts, reasons)
        })
    }

    /// The owner of each row of an INSERT.
    fn owners(
        &self,
        keyed: &Keyed,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Vec<Owner>, Verdict> {
        let refused = |what: &str| Verdict::Refused(refuse(RefusalId::SyntaxNotUnderstood, &[what]));
        let [written] = keyed.written.as_slice() else {
            return Err(refused("several INSERTs in one"));
        };
        let lexing = request.context.lexing();
        snapshot.cache().with_shape(|scratch: &mut Shape| {
            shape(request.text, lexing, scratch).map_err(|_| refused("text can't be read"))?;
            let values = Values {
                text: request.text,
                lexing,
                literals: scratch.literals(),
                parameters,
                facts,
            };
            let mut evaluation = Evaluation::new(snapshot.topology(), values);
            let owners = written.owners(&mut evaluation);
            owners.map_err(|unplaced| Verdict::Refused(unwritten(&written.table, &written.column, unplaced)))
        })
    }

    /// The plan of another text that says the same.
    fn said_otherwise(
        &self,
        to: (ShardSet, Touched),
        snapshot: &Snapshot,
        (said, back): (&Request<'_>, PositionMap),
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Plan, Verdict> {
        let afresh = compile_afresh(snapshot, said, facts, 0)?;
        let plan = match &afresh.route {
            Route::Keyed(keyed) => afresh.many(keyed, to, snapshot, said, parameters, facts)?,
            Route::Refused(refusal) => return Err(Verdict::Refused(refusal.clone())),
            Route::Fixed { .. }
            | Route::Ready { .. }
            | Route::Drawn(_)
            | Route::Everywhere(_)
            | Route::Inner { .. } => {
                return Err(Verdict::Refused(refuse(
                    RefusalId::SyntaxNotUnderstood,
                    &["another route of the same statement"],
                )));
            }
        };
        match plan.work {
            Work::Many(fan) => Ok(Plan {
                work: Work::Many(Arc::new(FanOut {
                    positions: fan.positions.clone().through(back),
                    ..(*fan).clone()
                })),
                ..plan
            }),
            _ => Ok(plan),
        }
    }

    fn many(
        &self,
        keyed: &Keyed,
        (shards, touched): (ShardSet, Touched),
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Plan, Verdict> {
        let own_text = self.text.as_deref() == Some(request.text);
        match &keyed.several {
            Several::FanOut(template) if own_text => {
                self.check_moments(shards, facts)?;
                let fan_out = template.bind(shards, parameters, &self.types, facts)?;
                if moving_parameter(snapshot.catalog(), parameters, &fan_out.parameter_types) != Moves::No {
                    return Err(Verdict::Refused(refuse(RefusalId::FanOutMoment, &[])));
                }
                Ok(self.plan(Kind::of(&fan_out), Work::Many(fan_out)))
            }
            Several::Split(split) => {
                self.check_moments(shards, facts)?;
                let owners = self.owners(keyed, snapshot, request, parameters, facts)?;
                let bindings = Bindings {
                    text: request.text,
                    lexing: request.context.lexing(),
                    parameters,
                    types: &self.types,
                    facts,
                    catalog: snapshot.catalog(),
                };
                let writes = split.bind(&owners, &bindings)?;
                Ok(self.plan_touching(touched, Kind::Split, Work::Writes(Arc::new(writes))))
            }
            Several::Refused(refusal) if own_text || self.access == Access::Write => match of_table(request) {
                Some((text, positions)) => {
                    let said = Request {
                        text: &text,
                        ..*request
                    };
                    self.said_otherwise((shards, touched), snapshot, (&said, positions), parameters, facts)
                }
                None => Err(Verdict::Refused(refusal.clone())),
            },
            // What is proven of several shards is proven of one text: another of the shape is planned for itself.
            Several::FanOut(_) | Several::Refused(_) => {
                let afresh = compile_afresh(snapshot, request, facts, 0)?;
                match &afresh.route {
                    Route::Keyed(keyed) => afresh.many(keyed, (shards, touched), snapshot, request, parameters, facts),
                    Route::Refused(refusal) => Err(Verdict::Refused(refusal.clone())),
                    Route::Fixed { .. }
                    | Route::Ready { .. }
                    | Route::Drawn(_)
                    | Route::Everywhere(_)
                    | Route::Inner { .. } => Err(Verdict::Refused(refuse(
                        RefusalId::SyntaxNotUnderstood,
                        &["another route of the same shape"],
                    ))),
                }
            }
        }
    }
}

/// `TABLE t …` as the SELECT that it is short for, and the way back to its positions.
fn of_table(request: &Request<'_>) -> Option<(Vec<u8>, PositionMap)> {
    let tokens = scan(request.text, request.context.lexing()).ok()?;
    let first = tokens.first()?;
    if first.kind != TokenKind::Word || !first.span.of(request.text).eq_ignore_ascii_case(b"table") {
        return None;
    }
    let mut edits = Edits::new();
    edits.replace(first.span, "SELECT * FROM");
    edits.apply(request.text)
}

/// Evaluates the keys of a text that has been scanned.
fn led_by(
    keyed: &Keyed,
    snapshot: &Snapshot,
    (request, lexing, literals): (&Request<'_>, Lexing, &[Literal]),
    parameters: &Parameters<'_>,
    facts: &Facts,
    reasons: Reasons,
) -> Result<(Led, Touched, Vec<String>), Verdict> {
    let values = Values {
        text: request.text,
        lexing,
        literals,
        parameters,
        facts,
    };
    let evaluation = Evaluation::new(snapshot.topology(), values);
    let mut evaluation = match reasons {
        Reasons::Unwanted => evaluation,
        Reasons::Wanted => evaluation.traced(),
    };
    let mut shards = keyed.fixed;
    for mention in &keyed.mentions {
        evaluation.set_purpose(mention.purpose);
        shards = shards.union(mention.pruning.evaluate(mention.keyspace, &mut evaluation));
    }
    for written in &keyed.written {
        match written.evaluate(&mut evaluation) {
            Ok(set) => shards = shards.union(set),
            Err(unplaced) => {
                return Err(Verdict::Refused(unwritten(&written.table, &written.column, unplaced)));
            }
        }
    }
    let (asks, reasons, touched) = evaluation.finish();
    if let Some(ask) = asks.into_ask() {
        return Err(Verdict::Ask(ask));
    }
    let led = match (shards.single(), shards.is_empty()) {
        (Some(shard), _) => Led::One(shard),
        (None, true) => Led::One(keyed.otherwise),
        (None, false) => Led::Many(shards),
    };
    match (&led, &keyed.home_only) {
        (Led::One(shard), Some(what)) if *shard != snapshot.topology().home() => {
            Err(Verdict::Refused(refuse(RefusalId::HomeOnly, &[what])))
        }
        (Led::One(_) | Led::Many(_), _) => Ok((led, touched, reasons)),
    }
}

/// Are reasons wanted, for EXPLAIN (ROUTE)?
#[derive(Clone, Copy)]
enum Reasons {
    Wanted,
    Unwanted,
}

fn unwritten(table: &str, column: &str, unplaced: Unplaced) -> Box<Refusal> {
    match unplaced {
        Unplaced::Category(key) => refuse(RefusalId::CategoryUnknown, &[table, column, &key]),
        Unplaced::BeyondRanges(key) => refuse(RefusalId::BeyondRanges, &[table, column, &key]),
        Unplaced::Asked | Unplaced::Unclear => refuse(RefusalId::InsertKeyUnknown, &[table, column]),
    }
}

impl Kind {
    /// As `EXPLAIN (ROUTE)` and metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Single => "single",
            Kind::Home => "home",
            Kind::OneShard => "one shard",
            Kind::FanOut => "fan out",
            Kind::Merge => "merge",
            Kind::Split => "split",
            Kind::Everywhere => "everywhere",
        }
    }

    fn of(fan_out: &Arc<crate::plan::FanOut>) -> Kind {
        let merge = &fan_out.merge;
        match merge.form.method == Method::Concatenate && merge.offset == 0 && merge.limit.is_none() {
            true => Kind::FanOut,
            false => Kind::Merge,
        }
    }
}
