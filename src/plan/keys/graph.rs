//! Which columns bound which: equalities between columns, and the constants that reach a key along them.
//!
//! An edge `a ← b` says: each row of a's table that matters has an `a` equal to the `b` of a row that matters. So what is
//! known of `b` holds for `a`. Inside an inner join it goes both ways; an outer join's ON carries it from the preserved
//! side to the nullable one; a correlated subquery's WHERE from the outside in.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use crate::catalog::Collation;
use crate::plan::keys::condition::{Columns, row, unnested};
use crate::plan::keys::constant::{ConstantScope, TypesNeeded};
use crate::plan::keys::suspect::Suspects;
use crate::plan::keys::{Condition, Pruning};
use crate::plan::resolve::{
    BaseColumn, Block, BlockId, ColumnRef, Conjunct, ConjunctTest, Filters, Lookup, Outputs, Placement, QueryId,
    ReferenceId, Resolved, Scope, Side, Source,
};
use crate::sql::ast::{BinaryOperator, Expr, InTarget, Query};
use crate::value::KeyType;

/// Equalities and constant tests of a whole statement.
#[derive(Debug)]
pub(in crate::plan) struct Graph {
    bounded_by: BTreeMap<BaseColumn, BTreeSet<BaseColumn>>,
    conditions: Vec<Condition>,
}

// === impl Graph ===

impl Graph {
    /// Reads every conjunct of the statement and of the views that it reads.
    pub(in crate::plan) fn new(resolved: &Resolved<'_>) -> Result<Graph, TypesNeeded> {
        let suspects = Suspects::new(resolved);
        let mut graph = Graph {
            bounded_by: BTreeMap::new(),
            conditions: Vec::new(),
        };
        let conjuncts = || {
            resolved.blocks.iter().enumerate().flat_map(|(index, block)| {
                block
                    .conjuncts
                    .iter()
                    .map(move |conjunct| (BlockId(index), block, conjunct))
            })
        };
        for (id, block, conjunct) in conjuncts() {
            if !suspects.suspects(block, conjunct) {
                Reader { resolved, id, conjunct }.edges(&mut graph.bounded_by);
            }
        }
        let relevant = graph.relevant(resolved);
        for (id, block, conjunct) in conjuncts() {
            let ConjunctTest::Expression(expr) = conjunct.test else {
                continue;
            };
            if suspects.suspects(block, conjunct) {
                continue;
            }
            let reader = Reader { resolved, id, conjunct };
            let columns = Columns {
                resolved,
                constants: ConstantScope {
                    input: resolved.input,
                    occurrences: &resolved.uses.parameters,
                    origin: block.origin,
                },
                prunable: &|expr| reader.prunable(reader.column(expr)?),
                relevant: &relevant,
                filtered: Rc::new(reader.filtered(block)),
            };
            match columns.condition(expr)? {
                Condition::Opaque => {}
                condition => graph.conditions.push(condition),
            }
        }
        Ok(graph)
    }

    /// The columns whose constants bound this one, itself included.
    pub(in crate::plan) fn reach(&self, column: BaseColumn) -> BTreeSet<BaseColumn> {
        let mut reached = BTreeSet::from([column]);
        let mut open = vec![column];
        while let Some(column) = open.pop() {
            for next in self.bounded_by.get(&column).into_iter().flatten() {
                if reached.insert(*next) {
                    open.push(*next);
                }
            }
        }
        reached
    }

    /// The shards that may hold rows with a value of this column that matters.
    pub(in crate::plan) fn pruning(&self, column: BaseColumn) -> Pruning {
        let reached = self.reach(column);
        self.conditions.iter().fold(Pruning::All, |pruning, condition| {
            pruning.and(condition.project(&reached))
        })
    }

    /// Columns on which some sharded table's key, or an INSERT's, depends.
    fn relevant(&self, resolved: &Resolved<'_>) -> BTreeSet<BaseColumn> {
        let keys = resolved
            .references
            .iter()
            .enumerate()
            .filter_map(|(index, reference)| match reference.placement {
                Placement::Sharded { keyspace: _, key } => Some(BaseColumn {
                    reference: ReferenceId(index),
                    column: key,
                }),
                Placement::Reference
                | Placement::Unsharded(_)
                | Placement::System
                | Placement::Temporary
                | Placement::Missing => None,
            });
        let inserted = resolved
            .blocks
            .iter()
            .filter_map(|block| block.source)
            .flat_map(|source| {
                let outputs = resolved
                    .body_block(source)
                    .and_then(|block| resolved.blocks.get(block.0))
                    .map(|block| &block.outputs);
                match outputs {
                    Some(Outputs::Known(outputs)) => outputs
                        .iter()
                        .filter_map(|output| output.column)
                        .filter_map(|column| resolved.base(column))
                        .collect(),
                    Some(Outputs::Unknown) | None => Vec::new(),
                }
            });
        keys.chain(inserted).flat_map(|column| self.reach(column)).collect()
    }
}

/// The type of a column as a key would be told apart by it; `None` if equality isn't known here.
pub(in crate::plan) fn key_type(resolved: &Resolved<'_>, base: BaseColumn) -> Option<KeyType> {
    let column = resolved.column(base)?;
    let key_type = KeyType::of(column.type_oid)?;
    match column.collation {
        Collation::None | Collation::Bytes | Collation::Deterministic => Some(key_type),
        Collation::Nondeterministic => None,
    }
}

/// Reads one conjunct.
#[derive(Clone, Copy)]
struct Reader<'r, 'a> {
    resolved: &'r Resolved<'a>,
    id: BlockId,
    conjunct: &'r Conjunct<'a>,
}

impl<'a> Reader<'_, 'a> {
    /// The column that an expression is, if it is nothing else.
    fn column(&self, expr: &Expr) -> Option<ColumnRef> {
        let scope = Scope {
            block: self.id,
            items: self.conjunct.visible,
        };
        let found = match unnested(expr) {
            Expr::Identifier(ident) => self.resolved.lookup(scope, &[&ident.value]),
            Expr::CompoundIdentifier(idents) => {
                let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
                self.resolved.lookup(scope, &names)
            }
            _ => return None,
        };
        match found {
            Lookup::Column(column) => Some(column),
            Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => None,
        }
    }

    /// The base column whose rows this conjunct filters through `column`; `None` if it doesn't.
    fn prunable(&self, column: ColumnRef) -> Option<BaseColumn> {
        let own = column.block == self.id && self.conjunct.prunes.contains(column.item);
        match own {
            true => self.sunk(column),
            false => None,
        }
    }

    /// Follows a column down to its base through subqueries that a filter may be moved into.
    fn sunk(&self, column: ColumnRef) -> Option<BaseColumn> {
        let mut at = column;
        for depth in 0..self.resolved.blocks.len().saturating_add(1) {
            let item = self.resolved.blocks.get(at.block.0)?.items.get(at.item)?;
            if depth > 0 && item.side == Side::Nullable {
                return None;
            }
            match item.source {
                Source::Relation(reference) => {
                    return Some(BaseColumn {
                        reference,
                        column: at.column,
                    });
                }
                Source::Subquery { query, .. } | Source::View { query } | Source::Cte { query } => {
                    at = self.entered(query, at.column)?;
                }
                Source::Excluded | Source::Function => return None,
            }
        }
        None
    }

    /// The column behind an output of a query, if filters on its outputs may be moved into it.
    fn entered(&self, query: QueryId, output: usize) -> Option<ColumnRef> {
        let mut chain = query;
        loop {
            let node = self.resolved.queries.get(chain.0)?;
            if node.filters == Filters::Stay || node.readers > 1 {
                return None;
            }
            match &node.body {
                crate::plan::resolve::Body::Query(inner) => chain = *inner,
                crate::plan::resolve::Body::Block(block) => {
                    let block = self.resolved.blocks.get(block.0)?;
                    return match (&block.outputs, block.filters) {
                        (Outputs::Known(outputs), Filters::Commute) => outputs.get(output)?.column,
                        (Outputs::Known(_) | Outputs::Unknown, _) => None,
                    };
                }
                crate::plan::resolve::Body::Set { .. } | crate::plan::resolve::Body::Pending => return None,
            }
        }
    }

    /// The base column whose values bound another's through `column`; `None` if they don't.
    fn bounding(&self, column: ColumnRef) -> Option<BaseColumn> {
        let from_outside = column.block != self.id;
        match from_outside || self.conjunct.bounds.contains(column.item) {
            true => self.resolved.base(column),
            false => None,
        }
    }

    /// Tables that the conjunct filters whole.
    fn filtered(&self, block: &Block<'_>) -> BTreeSet<ReferenceId> {
        let filtered = block
            .items
            .iter()
            .enumerate()
            .filter(|(index, _)| self.conjunct.prunes.contains(*index));
        filtered
            .filter_map(|(_, item)| match item.source {
                Source::Relation(reference) => Some(reference),
                Source::View { .. }
                | Source::Subquery { .. }
                | Source::Cte { .. }
                | Source::Excluded
                | Source::Function => None,
            })
            .collect()
    }

    fn edges(&self, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        match self.conjunct.test {
            ConjunctTest::Equal(left, right) => self.equal(left, right, edges),
            ConjunctTest::Expression(expr) => self.expression_edges(unnested(expr), edges),
        }
    }

    fn expression_edges(&self, expr: &Expr, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        match expr {
            Expr::BinaryOp {
                left,
                op: BinaryOperator::Eq,
                right,
            } => match (row(left), row(right)) {
                (Some(left), Some(right)) if left.len() == right.len() => {
                    for (left, right) in left.iter().zip(right) {
                        self.expressions_equal(left, right, edges);
                    }
                }
                (None, None) => self.expressions_equal(left, right, edges),
                _ => {}
            },
            Expr::In {
                expr,
                target: InTarget::Subquery(query),
                negated: false,
                global: false,
            } => {
                self.member(expr, query, edges);
            }
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                is_some: _,
            } => {
                if let Expr::Subquery(query) = unnested(right) {
                    self.member(left, query, edges);
                }
            }
            _ => {}
        }
    }

    fn expressions_equal(&self, left: &Expr, right: &Expr, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        if let (Some(left), Some(right)) = (self.column(left), self.column(right)) {
            self.equal(left, right, edges);
        }
    }

    fn equal(&self, left: ColumnRef, right: ColumnRef, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        for (target, source) in [(left, right), (right, left)] {
            if let (Some(target), Some(source)) = (self.prunable(target), self.bounding(source)) {
                self.edge(target, source, edges);
            }
        }
    }

    /// `column IN (SELECT output …)`: rows of the subquery matter only where they equal a column that matters, and the
    /// other way round.
    fn member(&self, expr: &Expr, query: &Query, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        let Some(column) = self.column(expr) else { return };
        let Some(query) = self.resolved.query_of(self.id, query) else {
            return;
        };
        let sunk = self.entered(query, 0).and_then(|inner| {
            let item = self.resolved.blocks.get(inner.block.0)?.items.get(inner.item)?;
            (item.side == Side::Preserved).then(|| self.sunk(inner)).flatten()
        });
        if let (Some(target), Some(source)) = (sunk, self.bounding(column)) {
            self.edge(target, source, edges);
        }
        let yielded = self
            .resolved
            .output_column(query, 0)
            .and_then(|inner| self.resolved.base(inner));
        if let (Some(target), Some(source)) = (self.prunable(column), yielded) {
            self.edge(target, source, edges);
        }
    }

    /// Notes the edge if the two are compared within one family.
    fn edge(&self, target: BaseColumn, source: BaseColumn, edges: &mut BTreeMap<BaseColumn, BTreeSet<BaseColumn>>) {
        let (target_type, source_type) = (key_type(self.resolved, target), key_type(self.resolved, source));
        if let (Some(a), Some(b)) = (target_type, source_type)
            && a.is_hash_compatible(b)
        {
            edges.entry(target).or_default().insert(source);
        }
    }
}
