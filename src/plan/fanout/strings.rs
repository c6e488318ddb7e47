//! Strings and parameters that date and time types read as the moment: 'now', 'today' and their like.
//!
//! Why by the column beside them: an untyped string takes the type of what it is compared with or assigned to, so a note
//! that says "tomorrow" is no date.
//! Holds: what isn't known to become another type counts as a date.

use std::collections::BTreeSet;

use crate::catalog::Catalog;
use crate::plan::Parameters;
use crate::plan::resolve::{
    BlockId, BlockKind, Child, ConjunctTest, Origin, Resolved, Scope, Source, children, object_name,
};
use crate::plan::writes::{is_cast_to_plain, is_string, may_move};
use crate::sql::ast::{
    Assignment, AssignmentTarget, Expr, InTarget, ObjectName, OnConflictAction, OnInsert, SelectItem, Value,
};
use crate::sql::{Literal, LiteralClass, byte_span};
use crate::value::{Format, Oid, says_moment};

use super::spread::column_in;

/// May a parameter be read as the moment?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Moves {
    /// no
    No,
    /// yes
    Yes,
    /// it says so, and its type isn't known
    Unknown,
}

/// May a parameter, given as text, be read as the moment? `types` are as declared or learnt, 0 where unknown.
pub(in crate::plan) fn moving_parameter(catalog: &Catalog, parameters: &Parameters<'_>, types: &[Oid]) -> Moves {
    let is_text = |index: usize| match parameters.formats {
        [] => true,
        [one] => *one == Format::Text,
        each => each.get(index).is_none_or(|format| *format == Format::Text),
    };
    for (index, value) in parameters.values.iter().enumerate() {
        if !is_text(index) || !value.is_some_and(says_moment) {
            continue;
        }
        match types.get(index).copied().filter(|oid| *oid != Oid(0)) {
            None => return Moves::Unknown,
            Some(type_oid) if may_move(catalog, type_oid) => return Moves::Yes,
            Some(_) => {}
        }
    }
    Moves::No
}

/// May a string in the text be read as the moment?
pub(in crate::plan) fn moving_string(resolved: &Resolved<'_>) -> bool {
    let input = resolved.input;
    let mut plain = None;
    let mut tokens = input.tokens.iter().enumerate();
    tokens.any(|(index, token)| {
        let literal = Literal {
            span: token.span,
            class: LiteralClass::String,
        };
        let says = || {
            literal
                .decode(input.text, input.lexing)
                .is_ok_and(|value| says_moment(&value))
        };
        if !is_string(token) || !says() || is_cast_to_plain(input.text, input.tokens, index) {
            return false;
        }
        let plain: &BTreeSet<usize> = plain.get_or_insert_with(|| plain_strings(resolved));
        !plain.contains(&token.span.start)
    })
}

/// Where strings begin that become values of types which aren't dates.
fn plain_strings(resolved: &Resolved<'_>) -> BTreeSet<usize> {
    let mut plain = BTreeSet::new();
    let mut note = |column: Option<Oid>, value: &Expr| {
        let is_plain = column.is_some_and(|type_oid| !may_move(resolved.input.catalog, type_oid));
        plain.extend(string_at(value).filter(|_| is_plain));
    };
    let mut open: Vec<(Scope, Child<'_>)> = Vec::new();
    for (index, block) in resolved.blocks.iter().enumerate() {
        if block.origin != Origin::Statement {
            continue;
        }
        let scope = resolved.scope(BlockId(index));
        open.extend(block.conjuncts.iter().filter_map(|conjunct| match conjunct.test {
            ConjunctTest::Expression(expr) => Some((scope, Child::Expr(expr))),
            ConjunctTest::Equal(..) => None,
        }));
        let target = block.items.first().and_then(|item| match item.source {
            Source::Relation(reference) => resolved.references.get(reference.0)?.relation,
            _ => None,
        });
        let type_of = |name: &str| Some(target?.column(name)?.type_oid);
        match block.kind {
            BlockKind::Select(select) => open.extend(select.projection.iter().filter_map(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    Some((scope, Child::Expr(expr)))
                }
                _ => None,
            })),
            BlockKind::Update(update) => {
                for (column, value) in update.assignments.iter().flat_map(pairs) {
                    note(type_of(column), value);
                    open.push((scope, Child::Expr(value)));
                }
            }
            BlockKind::Insert(insert) => {
                let source = block.source.and_then(|source| resolved.body_block(source));
                let source = source.and_then(|source| resolved.blocks.get(source.0));
                let names: Vec<&str> = match (insert.columns.is_empty(), target) {
                    (true, Some(target)) => target.columns.iter().map(|column| column.name.as_str()).collect(),
                    (true, None) => Vec::new(),
                    (false, _) => insert
                        .columns
                        .iter()
                        .map(|name| last(name).unwrap_or_default())
                        .collect(),
                };
                let rows: Vec<&[Expr]> = match source.map(|source| source.kind) {
                    Some(BlockKind::Values(values)) => values.rows.iter().map(|row| row.content.as_slice()).collect(),
                    _ => Vec::new(),
                };
                for (name, value) in rows.into_iter().flat_map(|row| names.iter().zip(row)) {
                    note(type_of(name), value);
                }
                if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                    && let OnConflictAction::DoUpdate(update) = &conflict.action
                {
                    for (column, value) in update.assignments.iter().flat_map(pairs) {
                        note(type_of(column), value);
                    }
                }
            }
            BlockKind::Values(_) | BlockKind::Table | BlockKind::Delete | BlockKind::Merge(_) => {}
        }
    }
    while let Some((scope, child)) = open.pop() {
        let Child::Expr(expr) = child else { continue };
        let type_in = |expr: &Expr| {
            let base = resolved.base(column_in(resolved, scope, expr)?)?;
            Some(resolved.column(base)?.type_oid)
        };
        // An operator takes an untyped string for a value of the type on its other side.
        match expr {
            Expr::BinaryOp { left, right, op: _ } => {
                note(type_in(left), right);
                note(type_in(right), left);
            }
            Expr::In {
                expr,
                target: InTarget::List(list),
                ..
            } => list.iter().for_each(|value| note(type_in(expr), value)),
            Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => note(type_in(expr), pattern),
            _ => {}
        }
        let mut inner = Vec::new();
        if children(expr, &mut inner).is_ok() {
            open.extend(inner.into_iter().map(|child| (scope, child)));
        }
    }
    plain
}

/// Columns that an assignment sets, each with its value where the two can be paired.
pub(in crate::plan) fn pairs(assignment: &Assignment) -> Vec<(&str, &Expr)> {
    match (&assignment.target, &assignment.value) {
        (AssignmentTarget::ColumnName(name), value) => last(name).map(|name| (name, value)).into_iter().collect(),
        (AssignmentTarget::Tuple(names), Expr::Tuple(values)) => {
            let names = names.iter().map(|name| last(name).unwrap_or_default());
            names.zip(values).collect()
        }
        (AssignmentTarget::Tuple(_), _) => Vec::new(),
    }
}

fn last(name: &ObjectName) -> Option<&str> {
    object_name(name)?.first().copied()
}

/// Where a string begins, if the expression is nothing else.
fn string_at(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => string_at(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(..) | Value::Boolean(_) | Value::Null | Value::Placeholder(_) => None,
            _ => byte_span(value.span).map(|span| span.start),
        },
        _ => None,
    }
}
