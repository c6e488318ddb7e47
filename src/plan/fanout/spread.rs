//! Where the rows of a FROM lie: in full on every shard, or each on the shard of its key.
//!
//! Why: a block may run on each shard by itself only if its rows over all shards are the disjoint union of its rows on
//! each. That holds for one sharded table, for sharded tables joined on their keys, and for reference tables on the side
//! of a join where one copy per shard is right. It is worked out join by join, as written.
//! Holds: `keys` are columns that hold the key of the row's shard and are never NULL; `linked` ones are NULL or hold it
//! (a nullable side). Anything not proven is a refusal that names what blocks it.

use crate::plan::resolve::{
    Block, BlockId, BlockKind, Body, Child, ColumnRef, Conjunct, ConjunctTest, Lateral, Lookup, Outputs, Placement,
    QueryId, Resolved, Scope, Source, children,
};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{
    BinaryOperator, Distinct, Expr, FunctionArguments, GroupByExpr, InTarget, Join, JoinConstraint, JoinOperator,
    Query, Select, SelectItem, SetExpr, SetOperator, SetQuantifier, TableFactor, TableWithJoins, WindowType,
};
use crate::topology::KeyspaceId;

use super::calls;

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
    keyspace: KeyspaceId,
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

/// Rows of a part of FROM: everywhere, or groups that no condition has linked yet.
#[derive(Clone, Debug)]
enum Part {
    Everywhere,
    Keyed(Vec<Group>),
}

type Proof<T> = Result<T, Box<Refusal>>;

/// Queries inside queries beyond this are refused.
const DEPTH_MAX: usize = 32;

/// The walk; `outer` are the columns outside that hold (or are NULL beside) the key of the row being worked on.
#[derive(Clone, Debug)]
pub(super) struct Spreads<'r, 'a> {
    resolved: &'r Resolved<'a>,
    outer: Vec<ColumnRef>,
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
        let mut walk = From {
            spreads: self,
            id,
            block,
            next: 0,
            reader,
        };
        let mut part = Part::Everywhere;
        for tree in &select.from {
            let right = walk.tree(tree, &part)?;
            part = walk.inner(part, right);
        }
        let spread = match part {
            Part::Everywhere => Spread::Everywhere,
            Part::Keyed(groups) => Spread::Keyed(single(groups)?),
        };
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
            BlockKind::Table => {
                let walk = From {
                    spreads: self,
                    id,
                    block,
                    next: 0,
                    reader,
                };
                match walk.item(0, &Part::Everywhere)? {
                    Part::Everywhere => Ok(Spread::Everywhere),
                    Part::Keyed(groups) => Ok(Spread::Keyed(single(groups)?)),
                }
            }
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
    fn query(&self, id: QueryId, reader: Reader) -> Proof<Yield> {
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

    /// Does GROUP BY name a column that holds the key?
    pub(super) fn groups_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
            return false;
        };
        if !modifiers.is_empty() || calls::has_grouping_sets(keys) {
            return false;
        }
        keys.iter().any(|key| match self.grouped_column(id, select, key) {
            Some(column) => group.keys.contains(&column),
            None => false,
        })
    }

    /// The column that a GROUP BY entry is, if it is one; an ordinal or an alias is looked through, an input column wins.
    pub(super) fn grouped_column(&self, id: BlockId, select: &Select, key: &Expr) -> Option<ColumnRef> {
        if let Some(column) = self.column(id, key) {
            return Some(column);
        }
        let entry = match unnested(key) {
            Expr::Identifier(name) => {
                if self.resolved.lookup(self.resolved.scope(id), &[&name.value]) != Lookup::Unknown {
                    return None;
                }
                let mut named = select.projection.iter().filter_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr),
                    _ => None,
                });
                match (named.next(), named.next()) {
                    (Some(expr), None) => expr,
                    _ => return None,
                }
            }
            key => {
                let ordinal = super::limit::plain_integer(key)?;
                let at = usize::try_from(ordinal).ok()?.checked_sub(1)?;
                let plain =
                    |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
                if !select.projection.iter().take(at.saturating_add(1)).all(plain) {
                    return None;
                }
                match select.projection.get(at)? {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
                    _ => return None,
                }
            }
        };
        self.column(id, entry)
    }

    /// Does DISTINCT (if there is one) compare a column that holds the key?
    pub(super) fn distinct_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        match &select.distinct {
            None | Some(Distinct::All) => true,
            Some(Distinct::On(keys)) => keys
                .iter()
                .any(|key| self.column(id, key).is_some_and(|column| group.keys.contains(&column))),
            Some(Distinct::Distinct) => match self.block_of(id).map(|block| &block.outputs) {
                Ok(Outputs::Known(outputs)) => outputs
                    .iter()
                    .any(|output| output.column.is_some_and(|column| group.keys.contains(&column))),
                Ok(Outputs::Unknown) | Err(_) => false,
            },
        }
    }

    /// Is every window partitioned by a column that holds the key?
    pub(super) fn windows_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        calls::window_uses(self.resolved, id).all(|window| match window {
            WindowType::WindowSpec(spec) if spec.window_name.is_none() => spec
                .partition_by
                .iter()
                .any(|key| self.column(id, key).is_some_and(|column| group.keys.contains(&column))),
            WindowType::WindowSpec(_) | WindowType::NamedWindow(_) => false,
        }) && select.named_window.is_empty()
    }

    /// The column of block `id` itself that an expression is, if it is nothing else.
    pub(super) fn column(&self, id: BlockId, expr: &Expr) -> Option<ColumnRef> {
        column_in(self.resolved, self.resolved.scope(id), expr).filter(|column| column.block == id)
    }

    /// Checks every subquery in the expressions of a block.
    fn subqueries_of_block(&self, id: BlockId, block: &Block<'a>, select: &'a Select) -> Proof<()> {
        let scope = self.resolved.scope(id);
        let mut exprs: Vec<&'a Expr> = Vec::new();
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => exprs.push(expr),
                SelectItem::QualifiedWildcard(_, _) | SelectItem::Wildcard(_) => {}
                SelectItem::ExprWithAliases { .. } => return Err(bug()),
            }
        }
        exprs.extend(select.selection.iter().chain(&select.having));
        if let GroupByExpr::Expressions(keys, _) = &select.group_by {
            exprs.extend(keys);
        }
        if let Some(Distinct::On(keys)) = &select.distinct {
            exprs.extend(keys);
        }
        for tree in &select.from {
            join_conditions(tree, &mut exprs);
        }
        let query = block
            .query
            .and_then(|query| self.resolved.queries.get(query.0))
            .map(|node| node.query);
        if let Some(query) = query {
            exprs.extend(calls::tail_expressions(query));
        }
        exprs.into_iter().try_for_each(|expr| self.subqueries(expr, scope))
    }

    /// Checks every subquery in an expression.
    fn subqueries(&self, expr: &'a Expr, scope: Scope) -> Proof<()> {
        let mut open = vec![expr];
        let mut inside = Vec::new();
        while let Some(expr) = open.pop() {
            if let Expr::In {
                expr: left,
                target: InTarget::Subquery(query),
                ..
            } = expr
                && self.membership(left, query, scope)?
            {
                open.push(left);
                continue;
            }
            if let Expr::Function(function) = expr
                && let FunctionArguments::Subquery(query) = &function.args
                && self.deeper()?.arms(&self.node(query)?.body)? == Local::Everywhere
            {
                // ARRAY(SELECT …): the order of its rows shows
                return Err(refuse(RefusalId::FanOutReferenceOrder, &["ARRAY(SELECT …)"]));
            }
            children(expr, &mut inside)?;
            for child in inside.drain(..) {
                match child {
                    Child::Expr(expr) => open.push(expr),
                    Child::Query(query) => self.subquery(self.id_of(query)?)?,
                }
            }
        }
        Ok(())
    }

    /// `key IN (SELECT key …)`: all rows that could match, and no NULL among them, lie on the same shard.
    fn membership(&self, left: &Expr, query: &Query, scope: Scope) -> Proof<bool> {
        let Some(left) = column_in(self.resolved, scope, left) else {
            return Ok(false);
        };
        if !self.outer.contains(&left) || !self.is_never_null(left) {
            return Ok(false);
        }
        match self.query(self.id_of(query)?, Reader::Unordered) {
            Ok(Yield::Keyed { keys, .. }) => Ok(keys == [0] && self.same_keyspace(left, query)),
            Ok(Yield::Everywhere) => Ok(true),
            // another rule may still prove it; its refusal is the one that counts
            Err(_) => Ok(false),
        }
    }

    fn same_keyspace(&self, left: ColumnRef, query: &Query) -> bool {
        let keyspace_of = |column: ColumnRef| {
            let base = self.resolved.base(column)?;
            match self.resolved.references.get(base.reference.0)?.placement {
                Placement::Sharded { keyspace, key } if key == base.column => Some(keyspace),
                Placement::Sharded { .. }
                | Placement::Reference
                | Placement::Unsharded(_)
                | Placement::System
                | Placement::Temporary
                | Placement::Missing => None,
            }
        };
        let right = self.id_of(query).ok().and_then(|id| self.resolved.body_block(id));
        let right = right
            .and_then(|block| self.resolved.blocks.get(block.0))
            .and_then(|block| match &block.outputs {
                Outputs::Known(outputs) => outputs.first()?.column,
                Outputs::Unknown => None,
            });
        match (keyspace_of(left), right.and_then(keyspace_of)) {
            (Some(left), Some(right)) => left == right,
            _ => false,
        }
    }

    /// Is the column a base table's key that stands on no nullable side on its way here?
    fn is_never_null(&self, column: ColumnRef) -> bool {
        let side = self
            .resolved
            .blocks
            .get(column.block.0)
            .and_then(|block| block.items.get(column.item));
        let direct = side.is_some_and(|item| {
            item.side == crate::plan::resolve::Side::Preserved && matches!(item.source, Source::Relation(_))
        });
        direct
            && self
                .resolved
                .base(column)
                .is_some_and(|base| self.resolved.is_key(base))
    }

    /// A subquery in an expression is the same on each shard as over all of them if it reads reference tables alone, or
    /// only rows of the key of the row that it is evaluated for.
    fn subquery(&self, id: QueryId) -> Proof<()> {
        let spreads = self.deeper()?;
        let node = self.resolved.queries.get(id.0).ok_or_else(bug)?;
        if !node.query.locks.is_empty() {
            return Err(refuse(RefusalId::FanOutLock, &[]));
        }
        if node.query.with.as_ref().is_some_and(|with| with.recursive) {
            return Err(refuse(RefusalId::FanOutRecursive, &[]));
        }
        let local = spreads.arms(&node.body)?;
        let limited = node.query.limit_clause.is_some() || node.query.fetch.is_some();
        if limited && local == Local::Everywhere {
            return Err(refuse(RefusalId::FanOutInnerLimit, &[]));
        }
        Ok(())
    }

    fn arms(&self, body: &Body) -> Proof<Local> {
        match body {
            Body::Block(block) => self.local_block(*block),
            Body::Query(query) => {
                self.subquery(*query)?;
                let node = self.resolved.queries.get(query.0).ok_or_else(bug)?;
                self.arms(&node.body)
            }
            Body::Set { left, right } => match (self.arms(left)?, self.arms(right)?) {
                (Local::Keyed, Local::Keyed) => Ok(Local::Keyed),
                (Local::Everywhere, _) | (_, Local::Everywhere) => Ok(Local::Everywhere),
            },
            Body::Pending => Err(refuse(RefusalId::FanOutRecursive, &[])),
        }
    }

    fn local_block(&self, id: BlockId) -> Proof<Local> {
        let block = self.block_of(id)?;
        match self.block(id, Reader::Unordered)? {
            Spread::Everywhere => {
                if let BlockKind::Select(select) = block.kind
                    && (calls::aggregates(self.resolved, id, select)
                        || select.distinct.is_some()
                        || calls::windows(self.resolved, id, select))
                {
                    calls::repeatable(self.resolved, id, select)?;
                }
                Ok(Local::Everywhere)
            }
            Spread::Keyed(group) if self.correlates(block, &group) => Ok(Local::Keyed),
            Spread::Keyed(_) => Err(refuse(RefusalId::FanOutSubquery, &[])),
        }
    }

    /// Does a conjunct tie the group's key to a key outside?
    fn correlates(&self, block: &Block<'a>, group: &Group) -> bool {
        block.conjuncts.iter().any(|conjunct| {
            let Some((one, other)) = self.equality(block, conjunct) else {
                return false;
            };
            let ties = |inner: ColumnRef, outer: ColumnRef| {
                group.linked.contains(&inner) && conjunct.prunes.contains(inner.item) && self.outer.contains(&outer)
            };
            (ties(one, other) || ties(other, one)) && self.comparable(one, other)
        })
    }

    /// The two columns that a conjunct says are equal.
    fn equality(&self, block: &Block<'a>, conjunct: &Conjunct<'a>) -> Option<(ColumnRef, ColumnRef)> {
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
    fn comparable(&self, left: ColumnRef, right: ColumnRef) -> bool {
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

    fn node(&self, query: &Query) -> Proof<&'r crate::plan::resolve::QueryNode<'a>> {
        let id = self.id_of(query)?;
        self.resolved.queries.get(id.0).ok_or_else(bug)
    }

    fn id_of(&self, query: &Query) -> Proof<QueryId> {
        let at = self
            .resolved
            .queries
            .iter()
            .position(|node| std::ptr::eq(node.query, query));
        at.map(QueryId).ok_or_else(bug)
    }

    fn block_of(&self, id: BlockId) -> Proof<&'r Block<'a>> {
        self.resolved.blocks.get(id.0).ok_or_else(bug)
    }

    fn deeper(&self) -> Proof<Spreads<'r, 'a>> {
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

/// Where the rows that a subquery reads lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    Everywhere,
    Keyed,
}

/// The walk over one block's FROM; `next` counts its items in order of writing.
struct From<'w, 'r, 'a> {
    spreads: &'w Spreads<'r, 'a>,
    id: BlockId,
    block: &'r Block<'a>,
    next: usize,
    reader: Reader,
}

impl<'a> From<'_, '_, 'a> {
    fn tree(&mut self, tree: &'a TableWithJoins, before: &Part) -> Proof<Part> {
        let mut left = self.factor(&tree.relation, before)?;
        for join in &tree.joins {
            left = self.join(left, join, before)?;
        }
        Ok(left)
    }

    fn join(&mut self, left: Part, join: &'a Join, before: &Part) -> Proof<Part> {
        if join.global {
            return Err(refuse(RefusalId::SyntaxNotUnderstood, &["GLOBAL JOIN"]));
        }
        let sees = match (before, &left) {
            (Part::Keyed(a), Part::Keyed(b)) => Part::Keyed(a.iter().chain(b).cloned().collect()),
            (Part::Keyed(_), Part::Everywhere) => before.clone(),
            (Part::Everywhere, _) => left.clone(),
        };
        let right = self.factor(&join.relation, &sees)?;
        match &join.join_operator {
            JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_) => Ok(self.inner(left, right)),
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => self.outer(left, right),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => self.outer(right, left),
            JoinOperator::FullOuter(constraint) => match (left, right) {
                (Part::Everywhere, Part::Everywhere) => Ok(Part::Everywhere),
                (Part::Keyed(left), Part::Keyed(right)) => self.full(left, right, constraint),
                (Part::Keyed(_), Part::Everywhere) | (Part::Everywhere, Part::Keyed(_)) => {
                    Err(refuse(RefusalId::FanOutFullJoin, &[]))
                }
            },
            _ => Err(refuse(RefusalId::SyntaxNotUnderstood, &["a join of another dialect"])),
        }
    }

    fn factor(&mut self, factor: &'a TableFactor, before: &Part) -> Proof<Part> {
        if let TableFactor::NestedJoin {
            table_with_joins,
            alias: _,
        } = factor
        {
            return self.tree(table_with_joins, before);
        }
        let item = self.next;
        self.next = item.saturating_add(1);
        self.item(item, before)
    }

    fn item(&self, index: usize, before: &Part) -> Proof<Part> {
        let resolved = self.spreads.resolved;
        let item = self.block.items.get(index).ok_or_else(bug)?;
        let column = |column: usize| ColumnRef {
            block: self.id,
            item: index,
            column,
        };
        let yields = match item.source {
            Source::Relation(reference) => {
                let reference = resolved.references.get(reference.0).ok_or_else(bug)?;
                return match reference.placement {
                    Placement::Sharded { keyspace, key } => {
                        let keys = vec![column(key)];
                        Ok(Part::Keyed(vec![Group {
                            keyspace,
                            linked: keys.clone(),
                            keys,
                        }]))
                    }
                    Placement::Reference => Ok(Part::Everywhere),
                    Placement::Unsharded(_) => Err(refuse(RefusalId::UnshardedBesideSharded, &[&reference.name])),
                    Placement::System => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                    Placement::Temporary => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                    Placement::Missing => Err(refuse(RefusalId::HomeOnly, &[&reference.name])),
                };
            }
            Source::View { query } | Source::Cte { query } => {
                let mut outside = self.spreads.clone();
                if matches!(item.source, Source::View { .. }) {
                    outside.outer.clear();
                }
                outside.query(query, self.reader)?
            }
            Source::Subquery {
                query,
                lateral: Lateral::No,
            } => self.spreads.query(query, self.reader)?,
            Source::Subquery {
                query,
                lateral: Lateral::Yes,
            } => {
                let mut sees = self.spreads.deeper()?;
                if let Part::Keyed(groups) = before {
                    // a key before it is a key of this row only once all of them are linked
                    if let [group] = groups.as_slice() {
                        sees.outer.extend(group.linked.iter().copied());
                    }
                }
                // tied to the key of the row before it, it is evaluated where that row lies
                match sees.subquery(query) {
                    Ok(()) => Yield::Everywhere,
                    Err(_) => sees.query(query, self.reader)?,
                }
            }
            Source::Excluded => return Err(bug()),
            Source::Function => Yield::Everywhere,
        };
        Ok(match yields {
            Yield::Everywhere => Part::Everywhere,
            Yield::Keyed { keyspace, keys, linked } => Part::Keyed(vec![Group {
                keyspace,
                keys: keys.into_iter().map(column).collect(),
                linked: linked.into_iter().map(column).collect(),
            }]),
        })
    }

    fn inner(&self, left: Part, right: Part) -> Part {
        match (left, right) {
            (Part::Everywhere, part) | (part, Part::Everywhere) => match part {
                Part::Everywhere => Part::Everywhere,
                Part::Keyed(groups) => Part::Keyed(self.link(groups)),
            },
            (Part::Keyed(mut groups), Part::Keyed(right)) => {
                groups.extend(right);
                Part::Keyed(self.link(groups))
            }
        }
    }

    /// Left join, with the preserved side first.
    fn outer(&self, preserved: Part, nullable: Part) -> Proof<Part> {
        match (preserved, nullable) {
            (preserved, Part::Everywhere) => Ok(preserved),
            (Part::Everywhere, Part::Keyed(_)) => Err(refuse(RefusalId::FanOutOuterReference, &[])),
            (Part::Keyed(mut groups), Part::Keyed(right)) => {
                let right = single(right)?;
                let ties = |group: &Group| {
                    group.keyspace == right.keyspace
                        && self.block.conjuncts.iter().any(|conjunct| {
                            let Some((one, other)) = self.spreads.equality(self.block, conjunct) else {
                                return false;
                            };
                            // a condition under which alone the nullable side's rows matter: its ON, or one inside it
                            let tie = |l: ColumnRef, r: ColumnRef| {
                                let known = group.linked.contains(&l) && right.linked.contains(&r);
                                known && conjunct.prunes.contains(r.item)
                            };
                            (tie(one, other) || tie(other, one)) && self.spreads.comparable(one, other)
                        })
                };
                match groups.iter_mut().find(|group| ties(group)) {
                    Some(group) => {
                        group.linked.extend(right.linked);
                        Ok(Part::Keyed(groups))
                    }
                    None => Err(refuse(RefusalId::FanOutJoin, &[])),
                }
            }
        }
    }

    /// Full join of two sides on their keys: a row's partners lie where it lies, and one without any stays there alone.
    fn full(&self, left: Vec<Group>, right: Vec<Group>, constraint: &'a JoinConstraint) -> Proof<Part> {
        let refused = || refuse(RefusalId::FanOutFullJoin, &[]);
        let (Ok(left), Ok(right), JoinConstraint::On(condition)) = (single(left), single(right), constraint) else {
            return Err(refused());
        };
        let scope = self.spreads.resolved.scope(self.id);
        let mut open = vec![condition];
        let mut tied = false;
        while let Some(expr) = open.pop() {
            let Expr::BinaryOp {
                left: one,
                op,
                right: other,
            } = unnested(expr)
            else {
                continue;
            };
            match op {
                BinaryOperator::And => open.extend([&**one, &**other]),
                BinaryOperator::Eq => {
                    let column = |expr: &Expr| column_in(self.spreads.resolved, scope, expr);
                    let (Some(one), Some(other)) = (column(one), column(other)) else {
                        continue;
                    };
                    let ties = |l: ColumnRef, r: ColumnRef| left.linked.contains(&l) && right.linked.contains(&r);
                    tied |= (ties(one, other) || ties(other, one)) && self.spreads.comparable(one, other);
                }
                _ => {}
            }
        }
        match tied && left.keyspace == right.keyspace {
            // either side's key may be NULL now
            true => Ok(Part::Keyed(vec![Group {
                keyspace: left.keyspace,
                keys: Vec::new(),
                linked: left.linked.into_iter().chain(right.linked).collect(),
            }])),
            false => Err(refused()),
        }
    }

    /// Makes groups one where a condition that every row meets says that their keys are equal, and takes in columns that
    /// it says are equal to a key.
    fn link(&self, mut groups: Vec<Group>) -> Vec<Group> {
        let equalities: Vec<(ColumnRef, ColumnRef)> = self
            .block
            .conjuncts
            .iter()
            .filter_map(|conjunct| {
                let (one, other) = self.spreads.equality(self.block, conjunct)?;
                let holds = one.block == self.id && other.block == self.id;
                let holds = holds && (conjunct.prunes.contains(one.item) || conjunct.prunes.contains(other.item));
                (holds && self.spreads.comparable(one, other)).then_some((one, other))
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = join_sharing(&mut groups);
            for (one, other) in &equalities {
                let find = |column: &ColumnRef, groups: &[Group]| {
                    groups.iter().position(|group| group.linked.contains(column))
                };
                match (find(one, &groups), find(other, &groups)) {
                    (Some(a), Some(b)) if a != b => {
                        let (first, second) = (a.min(b), a.max(b));
                        let same = groups.get(first).map(|g| g.keyspace) == groups.get(second).map(|g| g.keyspace);
                        if same && second < groups.len() {
                            let taken = groups.remove(second);
                            if let Some(group) = groups.get_mut(first) {
                                group.keys.extend(taken.keys);
                                group.linked.extend(taken.linked);
                            }
                            changed = true;
                        }
                    }
                    (Some(_), Some(_)) | (None, None) => {}
                    (Some(at), None) => changed |= self.take_in(groups.get_mut(at), *one, *other),
                    (None, Some(at)) => changed |= self.take_in(groups.get_mut(at), *other, *one),
                }
            }
        }
        groups
    }

    /// `known` is linked and every row has `known = new`.
    fn take_in(&self, group: Option<&mut Group>, known: ColumnRef, new: ColumnRef) -> bool {
        let Some(group) = group else { return false };
        let preserved = |column: ColumnRef| {
            let item = self.block.items.get(column.item);
            item.is_some_and(|item| item.side == crate::plan::resolve::Side::Preserved)
        };
        // Only where both stand on no nullable side does the equality surely hold on every row.
        if !preserved(known) || !preserved(new) {
            return false;
        }
        group.linked.push(new);
        group.keys.push(new);
        true
    }
}

/// Makes two groups one that share a column: it holds both their keys.
fn join_sharing(groups: &mut Vec<Group>) -> bool {
    for first in 0..groups.len() {
        let Some((left, rest)) = groups.get(first..).and_then(<[Group]>::split_first) else {
            return false;
        };
        let shares = |group: &Group| {
            group.keyspace == left.keyspace && group.linked.iter().any(|column| left.linked.contains(column))
        };
        if let Some(offset) = rest.iter().position(shares) {
            let taken = groups.remove(first.saturating_add(1).saturating_add(offset));
            if let Some(group) = groups.get_mut(first) {
                group.keys.extend(taken.keys);
                group.linked.extend(taken.linked);
            }
            return true;
        }
    }
    false
}

/// The one group that all rows belong to.
fn single(groups: Vec<Group>) -> Proof<Group> {
    let mut groups = groups.into_iter();
    match (groups.next(), groups.next()) {
        (Some(group), None) => Ok(group),
        (Some(a), Some(b)) if a.keyspace != b.keyspace => Err(refuse(RefusalId::FanOutKeyspaces, &[])),
        (Some(_), Some(_)) => Err(refuse(RefusalId::FanOutJoin, &[])),
        (None, _) => Err(bug()),
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

/// Conditions of joins, in order of writing.
fn join_conditions<'a>(tree: &'a TableWithJoins, out: &mut Vec<&'a Expr>) {
    let nested = |factor: &'a TableFactor, out: &mut Vec<&'a Expr>| {
        if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
            join_conditions(table_with_joins, out);
        }
    };
    nested(&tree.relation, out);
    for join in &tree.joins {
        nested(&join.relation, out);
        match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::Left(constraint)
            | JoinOperator::LeftOuter(constraint)
            | JoinOperator::Right(constraint)
            | JoinOperator::RightOuter(constraint)
            | JoinOperator::FullOuter(constraint)
            | JoinOperator::CrossJoin(constraint) => {
                if let JoinConstraint::On(expr) = constraint {
                    out.push(expr);
                }
            }
            _ => {}
        }
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
