//! Reading the straight way's batches: what lies whole in the client's buffer, is one statement, and goes to one shard.
//!
//! Why: nearly all of an application's traffic is this, outside a block: a Query of one statement, or Parse, Bind, Describe,
//! Execute and Sync of a text that the session has planned before. It is looked at once, as a whole.
//! Holds: an order is planned by the route that the other way has worked out and kept, under the same picture and settings;
//! in doubt there is none, and nothing has changed that the other way would see.

use std::sync::Arc;

use crate::plan::{Access, Context, Facts, Kind as PlanKind, Parameters, Request, Touched};
use crate::session::binding::value_format;
use crate::session::prepared::Statement;
use crate::session::recent::Shaped;
use crate::session::state::{Categories, Named, Route, Schema, Session, Skipping, Stale, Wrapping};
use crate::sql::{Command, Lead, Statements};
use crate::topology::ShardId;
use crate::transaction::State;
use crate::value::{Format, Oid};
use crate::wire::{self, LARGE_MESSAGE_LIMIT};

/// Parameters whose values are looked at without an allocation.
const VALUES_MAX: usize = 16;

/// Describe of the unnamed portal.
const DESCRIBE: &[u8] = b"D\0\0\0\x06P\0";

/// Execute of the unnamed portal, all rows, and Sync.
const EXECUTE_AND_SYNC: &[u8] = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";

/// A batch that has been read and planned.
#[derive(Debug)]
pub(super) struct Order {
    /// its bytes in the client's buffer
    pub(super) length: usize,
    /// where it goes
    pub(super) shard: ShardId,
    /// what it does there
    pub(super) access: Access,
    /// for metrics
    pub(super) kind: PlanKind,
    /// whose load it is
    pub(super) touched: Touched,
    /// what is sent, and the answer to it
    pub(super) awaited: Awaited,
}

/// What of an order is to be known until it is answered.
#[derive(Debug)]
pub(super) struct Awaited {
    /// what is sent
    pub(super) sends: Sends,
    /// what is answered
    pub(super) columns: Columns,
}

/// What is sent for it.
#[derive(Debug)]
pub(super) enum Sends {
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
        /// it
        statement: Arc<Statement>,
        /// where the Bind's bytes behind both names begin
        tail: usize,
        /// where the Bind ends
        end: usize,
    },
}

/// Does the answer describe the rows?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Columns {
    /// no: Describe wasn't asked
    Unasked,
    /// by RowDescription or NoData
    Asked,
    /// by RowDescription, if there are any: so a Query is answered
    Perhaps,
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
            && self.current().says_nothing_of_ours()
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
        if self.may_be_directed(text) {
            return None;
        }
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
            awaited: Awaited {
                sends: Sends::Query,
                columns: Columns::Perhaps,
            },
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
        let columns = batch.columns;
        Some(self.order(planned, length.saturating_add(batch.length), Awaited { sends, columns }))
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
        let columns = batch.columns;
        Some(self.order(planned, batch.length, Awaited { sends, columns }))
    }

    /// Where a Bind of a statement goes by the route that is kept for it.
    fn plan_directly(&self, route: &Route, text: &[u8], declared: &[Oid], bind: &wire::Bind<'_>) -> Option<Planned> {
        if self.may_be_directed(text) {
            return None;
        }
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

    fn order(&mut self, planned: Planned, length: usize, awaited: Awaited) -> Order {
        self.transparent = planned.single;
        Order {
            length,
            shard: planned.shard,
            access: planned.access,
            kind: planned.kind,
            touched: planned.touched,
            awaited,
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
fn fits(route: &Route, context: &Arc<Context>) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BytesMut;

    fn bind(out: &mut BytesMut, portal: &[u8]) {
        wire::put_bind(out, portal, b"known", &[], [Some(&b"7"[..])], &[]);
    }

    #[test]
    fn a_batch_is_read_when_it_is_whole() {
        let mut whole = BytesMut::new();
        bind(&mut whole, b"");
        let end = whole.len();
        wire::put_describe(&mut whole, wire::Target::Portal, b"");
        wire::put_execute(&mut whole, b"", 0);
        wire::put_sync(&mut whole);
        for cut in 0..whole.len() {
            assert!(read_batch(&whole[..cut]).is_none(), "cut at {cut}");
        }
        let length = whole.len();
        wire::put_query(&mut whole, b"SELECT 1"); // the next one's
        let batch = read_batch(&whole).unwrap();
        assert_eq!((batch.end, batch.length, batch.columns), (end, length, Columns::Asked));
        assert_eq!((batch.bind.statement, batch.bind.values.len()), (&b"known"[..], 1));
        let tail = end - batch.bind.tail.len();
        assert_eq!(&whole[tail..end], batch.bind.tail);
    }

    #[test]
    fn what_differs_from_the_usual_batch_is_none() {
        let usual = |out: &mut BytesMut| {
            wire::put_execute(out, b"", 0);
            wire::put_sync(out);
        };
        let batches: [&dyn Fn(&mut BytesMut); 5] = [
            &|out| {
                bind(out, b"named");
                usual(out);
            },
            &|out| {
                bind(out, b"");
                wire::put_describe(out, wire::Target::Statement, b"known");
                usual(out);
            },
            &|out| {
                bind(out, b"");
                wire::put_execute(out, b"", 1);
                wire::put_sync(out);
            },
            &|out| {
                bind(out, b"");
                wire::put_execute(out, b"", 0);
                wire::put_flush(out);
            },
            &|out| {
                bind(out, b"");
                bind(out, b"");
                usual(out);
            },
        ];
        for (number, put) in batches.iter().enumerate() {
            let mut out = BytesMut::new();
            put(&mut out);
            assert!(read_batch(&out).is_none(), "batch {number}");
        }
    }
}
