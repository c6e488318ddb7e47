//! Where the rows of an INSERT (and of a MERGE's INSERT) belong: the key of each row written.

use crate::catalog::{Column, Filling, Relation, Sequenced};
use crate::plan::keys::{Constant, ConstantScope, Graph, Static, TypesNeeded, WrittenKey, WrittenRow};
use crate::plan::ladder::write::target;
use crate::plan::resolve::{
    BaseColumn, Block, BlockId, BlockKind, Body, ColumnRef, Lookup, Outputs, Placement, QueryId, Resolved, Scope,
    object_name,
};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{Expr, InsertOverriding, MergeAction, MergeInsertKind, ObjectName, SelectItem, Values};
use crate::value::KeyType;

/// Why rows have no known key.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// refused
    Refused(Box<Refusal>),
    /// a parameter's type is needed first
    TypesNeeded(TypesNeeded),
}

impl From<Box<Refusal>> for Unwritten {
    fn from(refusal: Box<Refusal>) -> Unwritten {
        Unwritten::Refused(refusal)
    }
}

impl From<TypesNeeded> for Unwritten {
    fn from(needed: TypesNeeded) -> Unwritten {
        Unwritten::TypesNeeded(needed)
    }
}

/// The key of one sharded table into which rows are written.
struct Target<'r, 'a> {
    resolved: &'r Resolved<'a>,
    graph: &'r Graph,
    name: &'r str,
    relation: &'a Relation,
    key: usize,
    column: &'a Column,
    key_type: KeyType,
}

/// Rows written into sharded tables, one entry per INSERT.
pub(super) fn written(resolved: &Resolved<'_>, graph: &Graph) -> Result<Vec<WrittenKey>, Unwritten> {
    let mut written = Vec::new();
    for (index, block) in resolved.blocks.iter().enumerate() {
        let Some(reference) = target(resolved, block) else {
            continue;
        };
        let Placement::Sharded { keyspace, key } = reference.placement else {
            continue;
        };
        let Some(relation) = reference.relation else { continue };
        let Some(column) = relation.columns.get(key) else {
            continue;
        };
        let unknown = || refuse(RefusalId::InsertKeyUnknown, &[&reference.name, &column.name]);
        let key_type = KeyType::of(column.type_oid).ok_or_else(unknown)?;
        let into = Target {
            resolved,
            graph,
            name: &reference.name,
            relation,
            key,
            column,
            key_type,
        };
        let rows = match block.kind {
            BlockKind::Insert(insert) => {
                // What is given for an identity column is thrown away then.
                if insert.overriding == Some(InsertOverriding::User) {
                    into.no_sequence(|_| true)?;
                }
                into.insert(block, &insert.columns)?
            }
            BlockKind::Merge(merge) => {
                let mut rows = Vec::new();
                for clause in &merge.clauses {
                    match &clause.action {
                        MergeAction::Insert(insert) => match &insert.kind {
                            MergeInsertKind::Values(values) => {
                                let scope = resolved.scope(BlockId(index));
                                rows.extend(into.values(&insert.columns, values, Some(scope))?);
                            }
                            MergeInsertKind::Row | MergeInsertKind::Wildcard => return Err(into.unknown().into()),
                        },
                        MergeAction::Update(_) | MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
                    }
                }
                rows
            }
            BlockKind::Select(_)
            | BlockKind::Values(_)
            | BlockKind::Table
            | BlockKind::Update(_)
            | BlockKind::Delete => continue,
        };
        written.push(WrittenKey {
            table: reference.name.clone(),
            column: column.name.clone(),
            keyspace,
            key_type,
            typmod: column.typmod,
            rows,
        });
    }
    Ok(written)
}

// === impl Target ===

impl<'a> Target<'_, 'a> {
    fn unknown(&self) -> Box<Refusal> {
        refuse(RefusalId::InsertKeyUnknown, &[self.name, &self.column.name])
    }

    fn insert(&self, block: &Block<'a>, columns: &[ObjectName]) -> Result<Vec<WrittenRow>, Unwritten> {
        let Some(source) = block.source else {
            // DEFAULT VALUES
            self.no_sequence(|_| true)?;
            return Ok(vec![self.default()?]);
        };
        let node = self.resolved.queries.get(source.0).ok_or_else(|| self.unknown())?;
        let plain = node.query.with.is_none() && node.query.limit_clause.is_none() && node.query.fetch.is_none();
        if let Body::Block(body) = node.body
            && let Some(Block {
                kind: BlockKind::Values(values),
                ..
            }) = self.resolved.blocks.get(body.0)
            && plain
        {
            return self.values(columns, values, None);
        }
        self.select(columns, source)
    }

    /// Index in the source's columns of the table's column at `index`; `None`: it is left out.
    fn position(&self, columns: &[ObjectName], index: usize) -> Option<usize> {
        match columns.is_empty() {
            true => Some(index),
            false => {
                let name = &self.relation.columns.get(index)?.name;
                columns
                    .iter()
                    .position(|column| object_name(column).and_then(|parts| parts.first().copied()) == Some(name))
            }
        }
    }

    /// `scope`: the level whose columns the values may name (MERGE).
    fn values(
        &self,
        columns: &[ObjectName],
        values: &Values,
        scope: Option<Scope>,
    ) -> Result<Vec<WrittenRow>, Unwritten> {
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let given = |index: usize| {
                let position = self.position(columns, index)?;
                row.content.get(position).filter(|expr| !is_default(expr))
            };
            self.no_sequence(|index| given(index).is_none())?;
            rows.push(match given(self.key) {
                Some(expr) => self.expression(expr, scope)?,
                None => self.default()?,
            });
        }
        Ok(rows)
    }

    fn select(&self, columns: &[ObjectName], source: QueryId) -> Result<Vec<WrittenRow>, Unwritten> {
        let body = self
            .resolved
            .body_block(source)
            .and_then(|block| self.resolved.blocks.get(block.0));
        let body = body.ok_or_else(|| self.unknown())?;
        let width = match &body.outputs {
            Outputs::Known(outputs) => outputs.len(),
            Outputs::Unknown => return Err(self.unknown().into()),
        };
        let given = |index: usize| self.position(columns, index).filter(|position| *position < width);
        self.no_sequence(|index| given(index).is_none())?;
        let Some(position) = given(self.key) else {
            return Ok(vec![self.default()?]);
        };
        let selected = match &body.outputs {
            Outputs::Known(outputs) => outputs.get(position).and_then(|output| output.column),
            Outputs::Unknown => None,
        };
        if let Some(column) = selected {
            return Ok(vec![self.selected(column)?]);
        }
        // A constant in the target list, if no star before it shifts the count.
        let BlockKind::Select(select) = body.kind else {
            return Err(self.unknown().into());
        };
        let before = select.projection.get(..position).unwrap_or_default();
        let shifted = before.iter().any(|item| match item {
            SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => false,
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => true,
        });
        match select.projection.get(position) {
            Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ }) if !shifted => {
                Ok(vec![self.expression(expr, None)?])
            }
            _ => Err(self.unknown().into()),
        }
    }

    fn expression(&self, expr: &Expr, scope: Option<Scope>) -> Result<WrittenRow, Unwritten> {
        let constants = ConstantScope {
            input: self.resolved.input,
            occurrences: &self.resolved.uses.parameters,
            origin: crate::plan::resolve::Origin::Statement,
        };
        match Constant::compile(expr, constants)? {
            Some((Constant::Parameter { number, .. }, Static::Inferred(_))) => {
                Ok(WrittenRow::Constant(Constant::Parameter {
                    number,
                    type_oid: self.column.type_oid,
                }))
            }
            Some((_, Static::Inferred(_))) => Err(TypesNeeded.into()),
            Some((constant, Static::Known(_) | Static::Unknown)) => Ok(WrittenRow::Constant(constant)),
            None => match (scope, expr) {
                (Some(scope), Expr::Identifier(ident)) => self.named(scope, &[&ident.value]),
                (Some(scope), Expr::CompoundIdentifier(idents)) => {
                    let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
                    self.named(scope, &names)
                }
                _ => Err(self.unknown().into()),
            },
        }
    }

    fn named(&self, scope: Scope, names: &[&str]) -> Result<WrittenRow, Unwritten> {
        match self.resolved.lookup(scope, names) {
            Lookup::Column(column) => self.selected(column),
            Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => Err(self.unknown().into()),
        }
    }

    /// A column as the key: only where the assignment cast can't change its value.
    fn selected(&self, column: ColumnRef) -> Result<WrittenRow, Unwritten> {
        let base: BaseColumn = self.resolved.base(column).ok_or_else(|| self.unknown())?;
        let found = self.resolved.column(base).ok_or_else(|| self.unknown())?;
        let source = KeyType::of(found.type_oid).ok_or_else(|| self.unknown())?;
        let unchanged = source.is_hash_compatible(self.key_type)
            && (self.column.typmod == -1
                || (found.type_oid == self.column.type_oid && found.typmod == self.column.typmod));
        match unchanged {
            true => Ok(WrittenRow::Selected(self.graph.pruning(base))),
            false => Err(self.unknown().into()),
        }
    }

    /// The key when it is left out.
    fn default(&self) -> Result<WrittenRow, Unwritten> {
        match &self.column.filling {
            // NULL in a NOT NULL column: Postgres's own error.
            Filling::Nothing => Ok(WrittenRow::Null),
            Filling::Default { .. } | Filling::Identity | Filling::Generated(_) => Err(self.unknown().into()),
        }
    }

    /// Refuses a column that would draw from a shard's own sequence.
    fn no_sequence(&self, left_out: impl Fn(usize) -> bool) -> Result<(), Unwritten> {
        for (index, column) in self.relation.columns.iter().enumerate() {
            let draws = match &column.filling {
                Filling::Default {
                    expression: _,
                    sequence: Sequenced::Yes,
                }
                | Filling::Identity => true,
                Filling::Default {
                    expression: _,
                    sequence: Sequenced::No,
                }
                | Filling::Nothing
                | Filling::Generated(_) => false,
            };
            if draws && left_out(index) {
                return Err(refuse(RefusalId::InsertSequenceDefault, &[self.name, &column.name]).into());
            }
        }
        Ok(())
    }
}

fn is_default(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.quote_style.is_none() && ident.value == "default",
        _ => false,
    }
}
