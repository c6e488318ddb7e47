//! Subqueries in expressions: whether each shard may run them for its own rows.
//!
//! Why: such a subquery is evaluated where the row lies that asks it, so it must read the same there as over all shards.
//! Holds: it reads reference tables alone, or only rows of the key of that row, or it is `key IN (SELECT key …)`.

use crate::plan::resolve::{
    Block, BlockId, BlockKind, Body, Child, ColumnRef, Outputs, Placement, QueryId, Scope, Side, Source, children,
};
use crate::plan::{RefusalId, refuse};
use crate::sql::ast::{
    Distinct, Expr, FunctionArguments, GroupByExpr, InTarget, JoinConstraint, JoinOperator, Query, Select, SelectItem,
    TableFactor, TableWithJoins,
};

use super::calls;
use super::spread::{Group, Proof, Reader, Spread, Spreads, Yield, bug, column_in};

/// Where the rows that a subquery reads lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Local {
    Everywhere,
    Keyed,
}

impl<'a> Spreads<'_, 'a> {
    /// Checks every subquery in the expressions of a block.
    pub(super) fn subqueries_of_block(&self, id: BlockId, block: &Block<'a>, select: &'a Select) -> Proof<()> {
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
    pub(super) fn subqueries(&self, expr: &'a Expr, scope: Scope) -> Proof<()> {
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
        let direct =
            side.is_some_and(|item| item.side == Side::Preserved && matches!(item.source, Source::Relation(_)));
        direct
            && self
                .resolved
                .base(column)
                .is_some_and(|base| self.resolved.is_key(base))
    }

    /// A subquery in an expression is the same on each shard as over all of them if it reads reference tables alone, or
    /// only rows of the key of the row that it is evaluated for.
    pub(super) fn subquery(&self, id: QueryId) -> Proof<()> {
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
