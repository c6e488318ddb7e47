//! Calls of `nextval`, `currval` and `lastval` that a constant can stand for.

use crate::catalog::{DrawnFrom, RelationKind};
use crate::plan::resolve::{Callee, Input, Named, callee, object_name, relation_named};
use crate::plan::sequences::name::parts_of;
use crate::sql::ast::{CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};
use crate::topology::QualifiedName;

/// Functions that draw from sequences, or tell what was drawn.
pub(in crate::plan) const SEQUENCE_FUNCTIONS: [&str; 4] = ["nextval", "currval", "lastval", "setval"];

/// A call, and of which sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Called {
    /// `nextval('…')`
    Next(QualifiedName),
    /// `currval('…')`
    Current(QualifiedName),
    /// `lastval()`
    Last,
}

impl Called {
    /// The function's name, as it heads a column.
    pub(in crate::plan) fn name(&self) -> &'static str {
        match self {
            Called::Next(_) => "nextval",
            Called::Current(_) => "currval",
            Called::Last => "lastval",
        }
    }
}

/// The call that an expression is, perhaps in parentheses or under casts; `None` for anything else, and where the sequence
/// isn't known.
pub(in crate::plan) fn called(input: &Input<'_>, expr: &Expr) -> Option<Called> {
    match expr {
        Expr::Nested(inner) => called(input, inner),
        Expr::Cast {
            expr: inner,
            kind: CastKind::DoubleColon | CastKind::Cast,
            ..
        } => called(input, inner),
        Expr::Function(function) => called_by(input, function),
        _ => None,
    }
}

fn called_by(input: &Input<'_>, function: &Function) -> Option<Called> {
    let parts = object_name(&function.name)?;
    match callee(input.catalog, input.context, &parts) {
        Callee::Builtin(_) => {}
        Callee::Grammar | Callee::User(_) | Callee::Missing => return None,
    }
    match (*parts.last()?, arguments(function)?.as_slice()) {
        ("nextval", [argument]) => Some(Called::Next(sequence(input, argument)?)),
        ("currval", [argument]) => Some(Called::Current(sequence(input, argument)?)),
        ("lastval", []) => Some(Called::Last),
        _ => None,
    }
}

/// The sequence that a call of `nextval` or `setval` changes, if that is known.
pub(in crate::plan) fn changed_by(input: &Input<'_>, function: &Function) -> Option<QualifiedName> {
    let arguments = arguments(function)?;
    sequence(input, arguments.first()?)
}

/// The sequence that a call of `setval` sets, if that is known, and the other arguments: `None` for anything else.
pub(in crate::plan) fn set_by<'a>(input: &Input<'_>, expr: &'a Expr) -> Option<(QualifiedName, Vec<&'a Expr>)> {
    let Expr::Function(function) = expr else { return None };
    let parts = object_name(&function.name)?;
    if parts.last() != Some(&"setval") || !matches!(callee(input.catalog, input.context, &parts), Callee::Builtin(_)) {
        return None;
    }
    let mut arguments = arguments(function)?;
    if !matches!(arguments.len(), 2 | 3) {
        return None;
    }
    let name = arguments.remove(0);
    Some((sequence(input, name)?, arguments))
}

/// A call's arguments, if there is nothing else to it.
fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let plain = function.over.is_none()
        && function.filter.is_none()
        && function.null_treatment.is_none()
        && function.within_group.is_empty()
        && function.parameters == FunctionArguments::None
        && list.duplicate_treatment.is_none()
        && list.clauses.is_empty();
    let each = list.args.iter().map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    });
    match plain {
        true => each.collect(),
        false => None,
    }
}

/// The sequence that an argument names: a string, perhaps cast to regclass, or `pg_get_serial_sequence` of two strings.
fn sequence(input: &Input<'_>, argument: &Expr) -> Option<QualifiedName> {
    if let Some(name) = string(argument) {
        let found = found(input, name)?;
        return (found.kind == RelationKind::Sequence).then(|| found.name.clone());
    }
    let Expr::Function(function) = stripped(argument) else {
        return None;
    };
    let parts = object_name(&function.name)?;
    if parts.last() != Some(&"pg_get_serial_sequence")
        || !matches!(callee(input.catalog, input.context, &parts), Callee::Builtin(_))
    {
        return None;
    }
    let arguments = arguments(function)?;
    let [table, column] = arguments.as_slice() else {
        return None;
    };
    let column = found(input, string(table)?)?.column(string(column)?)?;
    match column.filling.drawn_from()? {
        DrawnFrom::Next(sequence) => Some(sequence.clone()),
        DrawnFrom::Otherwise => None,
    }
}

fn found<'a>(input: &Input<'a>, name: &str) -> Option<&'a crate::catalog::Relation> {
    let parts = parts_of(name)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match relation_named(input.catalog, input.context, &parts) {
        Named::Relation(relation) => Some(relation),
        Named::System | Named::Temporary | Named::Missing => None,
    }
}

/// An expression without parentheses and casts to regclass or text around it.
fn stripped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => stripped(inner),
        Expr::Cast {
            expr: inner, data_type, ..
        } if ["regclass", "text"].contains(&data_type.to_string().to_ascii_lowercase().as_str()) => stripped(inner),
        expr => expr,
    }
}

fn string(expr: &Expr) -> Option<&str> {
    match stripped(expr) {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}
