//! Where the rows of a block lie: in full on every shard, or each on the shard of its key.
//!
//! Why: a block may run on each shard by itself only if its rows over all shards are the disjoint union of its rows on
//! each. That holds for one sharded table, for sharded tables joined on their keys, and for reference tables on the side
//! of a join where one copy per shard is right. Joins are `from.rs`'s, subqueries in expressions `subqueries.rs`'s, and
//! what groups and windows need `apart.rs`'s.
//! Holds: `keys` are columns that hold the key of the row's shard and are never NULL; `linked` ones are NULL or hold it
//! (a nullable side). Anything not proven is a refusal that names what blocks it.

use crate::plan::resolve::{
    Block, BlockId, BlockKind, Body, ColumnRef, Conjunct, ConjunctTest, Lookup, Outputs, QueryId, Resolved, Scope,
};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{BinaryOperator, Expr, Query, SetExpr, SetOperator, SetQuantifier};
use crate::topology::KeyspaceId;

use super::calls;
use super::from::From;

/// Where rows lie.
#[derive(Clone, Debug)]
pub(super) enum Spread {
    /// every shard has all of them
    Everywhere,
    /// each row is on one shard
    Keyed(Group),
}

/// Rows that lie on the shard of one key.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) keyspace: KeyspaceId,
    /// never NULL, holds the key
    pub(super) keys: Vec<ColumnRef>,
    /// NULL, or holds the key
    pub(super) linked: Vec<ColumnRef>,
}

/// What a query yields: the same, by index of its output columns.
#[derive(Clone, Debug)]
pub(super) enum Yield {
    Everywhere,
    Keyed {
        keyspace: KeyspaceId,
        keys: Vec<usize>,
        linked: Vec<usize>,
    },
}

pub(super) type Proof<T> = Result<T, Box<Refusal>>;

/// Queries inside queries beyond this are refused.
const DEPTH_MAX: usize = 32;

/// The walk; `outer` are the columns outside that hold (or are NULL beside) the key of the row being worked on.
#[derive(Clone, Debug)]
pub(super) struct Spreads<'r, 'a> {
    pub(super) resolved: &'r Resolved<'a>,
    pub(super) outer: Vec<ColumnRef>,
    depth: usize,
}

/// Whether a subquery's rows must be ordered for what reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// its order would show
    Ordered,
    /// it doesn't
    Unordered,
}

impl<'r, 'a> Spreads<'r, 'a> {
    pub(super) fn new(resolved: &'r Resolved<'a>) -> Spreads<'r, 'a> {
        Spreads {
            resolved,
            outer: Vec::new(),
            depth: 0,
        }
    }

    /// Where the rows of a block's FROM and WHERE lie, all its subqueries checked. `reader` says whether the order of a
    /// subquery in FROM would show in the answer.
    pub(super) fn block(&self, id: BlockId, reader: Reader) -> Proof<Spread> {
        let block = self.block_of(id)?;
        let BlockKind::Select(select) = block.kind else {
            return self.plain_block(block, id, reader);
        };
        let spread = From::new(self, id, block, reader).spread(&select.from)?;
        let mut inside = self.clone();
        if let Spread::Keyed(group) = &spread {
            inside.outer.extend(group.linked.iter().copied());
        }
        inside.subqueries_of_block(id, block, select)?;
        Ok(spread)
    }

    fn plain_block(&self, block: &Block<'a>, id: BlockId, reader: Reader) -> Proof<Spread> {
        match block.kind {
            BlockKind::Values(values) => {
                let cells = values.rows.iter().flat_map(|row| &row.content);
                for expr in cells {
                    self.subqueries(
                        expr,
                        Scope {
                            block: id,
                            items: crate::plan::resolve::ItemSet::empty(),
                        },
                    )?;
                }
                Ok(Spread::Everywhere)
            }
            BlockKind::Table => From::new(self, id, block, reader).spread_of_table(),
            BlockKind::Insert(_) | BlockKind::Update(_) | BlockKind::Delete | BlockKind::Merge(_) => {
                Err(refuse(RefusalId::WriteSeveralShards, &["WITH"]))
            }
            BlockKind::Select(_) => Err(bug()),
        }
    }

    /// Is a whole query that is no plain SELECT a disjoint union over the shards?
    pub(super) fn whole(&self, id: QueryId) -> Proof<bool> {
        let query = self.resolved.queries.get(id.0).ok_or_else(bug)?.query;
        if query.order_by.is_some() || query.limit_clause.is_some() || query.fetch.is_some() {
            return Err(refuse(RefusalId::FanOutSetOrder, &[]));
        }
        Ok(matches!(self.query(id, Reader::Ordered)?, Yield::Keyed { .. }))
    }

    /// What a query in FROM (or a CTE, or a view) yields, if each shard may run it by itself.
    pub(super) fn query(&self, id: QueryId, reader: Reader) -> Proof<Yield> {
        let spreads = self.deeper()?;
        let node = self.resolved.queries.get(id.0).ok_or_else(bug)?;
        let query = node.query;
        if !query.locks.is_empty() {
            return Err(refuse(RefusalId::FanOutLock, &[]));
        }
        if query.with.as_ref().is_some_and(|with| with.recursive) {
            return Err(refuse(RefusalId::FanOutRecursive, &[]));
        }
        let yields = spreads.body(&node.body, &query.body, reader)?;
        if query.order_by.is_some() && reader == Reader::Ordered {
            return Err(refuse(RefusalId::FanOutInnerOrder, &[]));
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            return Err(refuse(RefusalId::FanOutInnerLimit, &[]));
        }
        Ok(yields)
    }

    fn body(&self, body: &Body, syntax: &SetExpr, reader: Reader) -> Proof<Yield> {
        match (body, syntax) {
            (Body::Block(block), _) => self.yields(*block, reader),
            (Body::Query(query), _) => self.query(*query, reader),
            (
                Body::Set { left, right },
                SetExpr::SetOperation {
                    left: l,
                    op,
                    set_quantifier,
                    right: r,
                },
            ) => {
                let left = self.body(left, l, reader)?;
                let right = self.body(right, r, reader)?;
                combine_arms(left, right, *op, *set_quantifier)
            }
            (Body::Set { .. }, _) => Err(bug()),
            (Body::Pending, _) => Err(refuse(RefusalId::FanOutRecursive, &[])),
        }
    }

    /// What a block inside yields: grouped, distinct and windowed ones only where the key keeps their groups apart.
    fn yields(&self, id: BlockId, reader: Reader) -> Proof<Yield> {
        let block = self.block_of(id)?;
        let select = match block.kind {
            BlockKind::Select(select) => Some(select),
            BlockKind::Values(_)
            | BlockKind::Table
            | BlockKind::Insert(_)
            | BlockKind::Update(_)
            | BlockKind::Delete
            | BlockKind::Merge(_) => None,
        };
        let grouped = select.is_some_and(|select| calls::aggregates(self.resolved, id, select));
        let reader = if grouped { Reader::Unordered } else { reader };
        let group = match self.block(id, reader)? {
            Spread::Everywhere => {
                let Some(select) = select else {
                    return Ok(Yield::Everywhere);
                };
                if grouped || select.distinct.is_some() || calls::windows(self.resolved, id, select) {
                    calls::repeatable(self.resolved, id, select)?;
                }
                return Ok(Yield::Everywhere);
            }
            Spread::Keyed(group) => group,
        };
        if let Some(select) = select {
            if grouped && !self.groups_by_key(id, select, &group) {
                return Err(refuse(RefusalId::FanOutInnerAggregate, &[]));
            }
            if !self.distinct_by_key(id, select, &group) {
                return Err(refuse(RefusalId::FanOutInnerDistinct, &[]));
            }
            if !self.windows_by_key(id, select, &group) {
                return Err(refuse(RefusalId::FanOutWindow, &[]));
            }
        }
        let Outputs::Known(outputs) = &block.outputs else {
            return Ok(Yield::Keyed {
                keyspace: group.keyspace,
                keys: Vec::new(),
                linked: Vec::new(),
            });
        };
        let places = |columns: &[ColumnRef]| {
            let holds = |output: &crate::plan::resolve::Output| output.column.is_some_and(|c| columns.contains(&c));
            outputs
                .iter()
                .enumerate()
                .filter(|(_, output)| holds(output))
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
        };
        Ok(Yield::Keyed {
            keyspace: group.keyspace,
            keys: places(&group.keys),
            linked: places(&group.linked),
        })
    }

    /// The two columns that a conjunct says are equal.
    pub(super) fn equality(&self, block: &Block<'a>, conjunct: &Conjunct<'a>) -> Option<(ColumnRef, ColumnRef)> {
        match conjunct.test {
            ConjunctTest::Equal(left, right) => Some((left, right)),
            ConjunctTest::Expression(expr) => {
                let Expr::BinaryOp {
                    left,
                    op: BinaryOperator::Eq,
                    right,
                } = unnested(expr)
                else {
                    return None;
                };
                let id = self
                    .resolved
                    .blocks
                    .iter()
                    .position(|other| std::ptr::eq(other, block))?;
                let scope = Scope {
                    block: BlockId(id),
                    items: conjunct.visible,
                };
                Some((
                    column_in(self.resolved, scope, left)?,
                    column_in(self.resolved, scope, right)?,
                ))
            }
        }
    }

    /// Does `=` between two columns mean that they hash alike? Integers of any width do; else the types must be one.
    pub(super) fn comparable(&self, left: ColumnRef, right: ColumnRef) -> bool {
        let column = |column: ColumnRef| self.resolved.base(column).and_then(|base| self.resolved.column(base));
        let (Some(left), Some(right)) = (column(left), column(right)) else {
            return false;
        };
        use crate::catalog::Collation;
        use crate::value::Oid;
        let integer = |oid: Oid| matches!(oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
        let same = left.type_oid == right.type_oid || (integer(left.type_oid) && integer(right.type_oid));
        same && left.collation != Collation::Nondeterministic && right.collation != Collation::Nondeterministic
    }

    pub(super) fn node(&self, query: &Query) -> Proof<&'r crate::plan::resolve::QueryNode<'a>> {
        let id = self.id_of(query)?;
        self.resolved.queries.get(id.0).ok_or_else(bug)
    }

    pub(super) fn id_of(&self, query: &Query) -> Proof<QueryId> {
        let at = self
            .resolved
            .queries
            .iter()
            .position(|node| std::ptr::eq(node.query, query));
        at.map(QueryId).ok_or_else(bug)
    }

    pub(super) fn block_of(&self, id: BlockId) -> Proof<&'r Block<'a>> {
        self.resolved.blocks.get(id.0).ok_or_else(bug)
    }

    pub(super) fn deeper(&self) -> Proof<Spreads<'r, 'a>> {
        let depth = self.depth.saturating_add(1);
        if depth > DEPTH_MAX {
            return Err(refuse(RefusalId::FanOutRecursive, &[]));
        }
        Ok(Spreads {
            resolved: self.resolved,
            outer: self.outer.clone(),
            depth,
        })
    }
}

/// UNION ALL of disjoint unions is one; the others compare whole rows, which must hold the key at the same place.
fn combine_arms(left: Yield, right: Yield, op: SetOperator, quantifier: SetQuantifier) -> Proof<Yield> {
    match (left, right) {
        (Yield::Everywhere, Yield::Everywhere) => Ok(Yield::Everywhere),
        (
            Yield::Keyed { keyspace, keys, linked },
            Yield::Keyed {
                keyspace: other_keyspace,
                keys: other_keys,
                linked: other_linked,
            },
        ) if keyspace == other_keyspace => {
            let keys: Vec<usize> = keys.into_iter().filter(|key| other_keys.contains(key)).collect();
            let linked = linked.into_iter().filter(|key| other_linked.contains(key)).collect();
            let concatenates = op == SetOperator::Union && quantifier == SetQuantifier::All;
            let known = matches!(
                quantifier,
                SetQuantifier::All | SetQuantifier::Distinct | SetQuantifier::None
            );
            let known_op = matches!(op, SetOperator::Union | SetOperator::Except | SetOperator::Intersect);
            if concatenates || (known && known_op && !keys.is_empty()) {
                return Ok(Yield::Keyed { keyspace, keys, linked });
            }
            Err(refuse(RefusalId::FanOutSetOperation, &[]))
        }
        (Yield::Everywhere | Yield::Keyed { .. }, _) => Err(refuse(RefusalId::FanOutSetOperation, &[])),
    }
}

/// The column that an expression is, if it is nothing else.
pub(super) fn column_in(resolved: &Resolved<'_>, scope: Scope, expr: &Expr) -> Option<ColumnRef> {
    let found = match unnested(expr) {
        Expr::Identifier(ident) => resolved.lookup(scope, &[&ident.value]),
        Expr::CompoundIdentifier(idents) => {
            let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
            resolved.lookup(scope, &names)
        }
        _ => return None,
    };
    match found {
        Lookup::Column(column) => Some(column),
        Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => None,
    }
}

/// An expression without the parentheses around it.
pub(super) fn unnested(expr: &Expr) -> &Expr {
    let mut at = expr;
    while let Expr::Nested(inner) = at {
        at = inner;
    }
    at
}

/// What the resolved statement should have ruled out.
pub(super) fn bug() -> Box<Refusal> {
    refuse(RefusalId::SyntaxNotUnderstood, &["a part of the statement"])
}
