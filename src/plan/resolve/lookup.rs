//! Column names, looked up as Postgres does (`parse_relation.c`: innermost level first, ambiguity is an error).

use crate::catalog::Column;
use crate::plan::resolve::{
    BaseColumn, Block, BlockId, Body, ColumnRef, ItemSet, Outputs, Placement, QueryId, Resolved, Scope, Source,
};

/// Names of the columns that every table has.
const SYSTEM_COLUMNS: [&str; 6] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"];

/// What a column name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Lookup {
    /// this column
    Column(ColumnRef),
    /// a column merged by USING that is neither side's alone, a column of something whose columns aren't known, a whole
    /// row, a field: a value whose origin isn't known
    Opaque,
    /// ctid, xmin, …
    System,
    /// two columns have the name: Postgres will say so
    Ambiguous,
    /// no column has it: Postgres will say so
    Unknown,
}

/// Looks `names` (`column`, `alias.column` or `schema.table.column`, folded) up from `scope` outwards.
pub(in crate::plan) fn lookup(blocks: &[Block<'_>], scope: Scope, names: &[&str]) -> Lookup {
    let mut at = Some(scope);
    while let Some(scope) = at {
        let Some(block) = blocks.get(scope.block.0) else {
            return Lookup::Opaque;
        };
        if block.items.len() > ItemSet::MAX {
            return Lookup::Opaque;
        }
        let found = match names {
            [name] => lookup_bare(block, scope, name),
            [alias, name] => lookup_qualified(block, scope, None, alias, name),
            [schema, table, name] => lookup_qualified(block, scope, Some(schema), table, name),
            _ => Lookup::Opaque,
        };
        if found != Lookup::Unknown {
            return found;
        }
        at = block.outer;
    }
    Lookup::Unknown
}

fn lookup_bare(block: &Block<'_>, scope: Scope, name: &str) -> Lookup {
    let visible = |index: &usize| scope.items.contains(*index);
    let mut covered = ItemSet::empty();
    let mut found: Vec<Option<ColumnRef>> = Vec::new();
    // The outermost join's merge is last and covers those inside it.
    for merged in block.merged.iter().rev().filter(|merged| merged.name == name) {
        let inside = (0..block.items.len())
            .filter(|item| merged.items.contains(*item))
            .all(|item| scope.items.contains(item));
        let new = (0..block.items.len()).any(|item| merged.items.contains(item) && !covered.contains(item));
        if inside && new {
            covered = covered.union(merged.items);
            found.push(merged.column);
        }
    }
    let mut unknown = false;
    for index in (0..block.items.len())
        .filter(visible)
        .filter(|index| !covered.contains(*index))
    {
        match block.items.get(index).and_then(|item| item.columns.as_ref()) {
            Some(columns) => found.extend(columns.iter().enumerate().filter(|(_, column)| *column == name).map(
                |(column, _)| {
                    Some(ColumnRef {
                        block: scope.block,
                        item: index,
                        column,
                    })
                },
            )),
            None => unknown = true,
        }
    }
    match found.as_slice() {
        [Some(column)] => Lookup::Column(*column),
        [None] => Lookup::Opaque,
        [] if unknown => Lookup::Opaque,
        [] if SYSTEM_COLUMNS.contains(&name) && has_table(block, scope) => Lookup::System,
        [] => Lookup::Unknown,
        _ => Lookup::Ambiguous,
    }
}

fn lookup_qualified(block: &Block<'_>, scope: Scope, schema: Option<&str>, alias: &str, name: &str) -> Lookup {
    let mut named = (0..block.items.len())
        .filter(|index| scope.items.contains(*index))
        .filter(|index| {
            block.items.get(*index).is_some_and(|item| {
                item.alias.as_deref() == Some(alias) && (schema.is_none() || item.schema.as_deref() == schema)
            })
        });
    let (first, second) = (named.next(), named.next());
    let index = match (first, second) {
        (None, _) => return Lookup::Unknown,
        (Some(_), Some(_)) => return Lookup::Ambiguous,
        (Some(index), None) => index,
    };
    let Some(item) = block.items.get(index) else {
        return Lookup::Opaque;
    };
    let Some(columns) = &item.columns else {
        return Lookup::Opaque;
    };
    let mut same = columns
        .iter()
        .enumerate()
        .filter(|(_, column)| *column == name)
        .map(|(column, _)| column);
    match (same.next(), same.next()) {
        (Some(column), None) => Lookup::Column(ColumnRef {
            block: scope.block,
            item: index,
            column,
        }),
        (Some(_), Some(_)) => Lookup::Ambiguous,
        (None, _) if SYSTEM_COLUMNS.contains(&name) => Lookup::System,
        (None, _) => Lookup::Opaque,
    }
}

fn has_table(block: &Block<'_>, scope: Scope) -> bool {
    block.items.iter().enumerate().any(|(index, item)| {
        scope.items.contains(index)
            && match item.source {
                Source::Relation(_) | Source::View { .. } | Source::Excluded => true,
                Source::Subquery { .. } | Source::Cte { .. } | Source::Function => false,
            }
    })
}

// === impl Resolved ===

impl<'a> Resolved<'a> {
    /// Looks a column name up from `scope` outwards.
    pub(in crate::plan) fn lookup(&self, scope: Scope, names: &[&str]) -> Lookup {
        lookup(&self.blocks, scope, names)
    }

    /// The whole FROM of a block as a scope.
    pub(in crate::plan) fn scope(&self, block: BlockId) -> Scope {
        let items = self.blocks.get(block.0).map_or(0, |block| block.items.len());
        Scope {
            block,
            items: ItemSet::range(0, items),
        }
    }

    /// The base table's column that a column is, through subqueries, CTEs and views; `None` if it is computed.
    pub(in crate::plan) fn base(&self, column: ColumnRef) -> Option<BaseColumn> {
        let mut at = column;
        // Each step goes one level down; a recursive CTE could go round.
        for _ in 0..self.blocks.len().saturating_add(1) {
            let item = self.blocks.get(at.block.0)?.items.get(at.item)?;
            match item.source {
                Source::Relation(reference) => {
                    return Some(BaseColumn {
                        reference,
                        column: at.column,
                    });
                }
                Source::Subquery { query, .. } | Source::View { query } | Source::Cte { query } => {
                    let block = self.body_block(query)?;
                    match &self.blocks.get(block.0)?.outputs {
                        Outputs::Known(outputs) => at = outputs.get(at.column)?.column?,
                        Outputs::Unknown => return None,
                    }
                }
                Source::Excluded | Source::Function => return None,
            }
        }
        None
    }

    /// The block that is a query's whole body, through parentheses; `None` for a set operation.
    pub(in crate::plan) fn body_block(&self, query: QueryId) -> Option<BlockId> {
        let mut at = query;
        for _ in 0..self.queries.len() {
            match self.queries.get(at.0)?.body {
                Body::Block(block) => return Some(block),
                Body::Query(inner) => at = inner,
                Body::Set { .. } | Body::Pending => return None,
            }
        }
        None
    }

    /// The query that a subquery in an expression of `block` became. (A view that is read twice is resolved twice, from
    /// one syntax tree: the level tells the two apart.)
    pub(in crate::plan) fn query_of(&self, block: BlockId, query: &crate::sql::ast::Query) -> Option<QueryId> {
        let inside = |outer: Option<Scope>| outer.is_some_and(|outer| outer.block == block);
        let found = self
            .queries
            .iter()
            .position(|node| std::ptr::eq(node.query, query) && inside(node.outer));
        found.map(QueryId)
    }

    /// The column of its own block that an output of a query is, if it is nothing else.
    pub(in crate::plan) fn output_column(&self, query: QueryId, output: usize) -> Option<ColumnRef> {
        match &self.blocks.get(self.body_block(query)?.0)?.outputs {
            Outputs::Known(outputs) => outputs.get(output)?.column,
            Outputs::Unknown => None,
        }
    }

    /// What the catalog says of a base column; `None` for a system relation's.
    pub(in crate::plan) fn column(&self, base: BaseColumn) -> Option<&'a Column> {
        self.references
            .get(base.reference.0)?
            .relation?
            .columns
            .get(base.column)
    }

    /// Is it the sharding key of its table?
    pub(in crate::plan) fn is_key(&self, base: BaseColumn) -> bool {
        match self
            .references
            .get(base.reference.0)
            .map(|reference| reference.placement)
        {
            Some(Placement::Sharded { key, .. }) => key == base.column,
            Some(
                Placement::Reference
                | Placement::Unsharded(_)
                | Placement::System
                | Placement::Temporary
                | Placement::Missing,
            )
            | None => false,
        }
    }
}
