//! What stands directly inside an expression: the one exhaustive walk over the syntax tree.
//!
//! Holds: an expression that the walk doesn't know in full is [`NotUnderstood`], never skipped; so whatever looks for
//! tables, functions or columns through [`children`] can't miss one. Not recursive: long chains of AND and OR are trees
//! as deep as the chain is long, so callers keep a work list.

use crate::sql::ast::{
    AccessExpr, Array, CaseWhen, CastFormat, DataType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, InTarget, Interval, ObjectName, OrderBy, OrderByExpr, OrderByKind,
    Query, Subscript, WindowFrameBound, WindowSpec, WindowType,
};

/// One thing directly inside an expression.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum Child<'a> {
    /// an expression
    Expr(&'a Expr),
    /// a subquery
    Query(&'a Query),
}

/// A node that the planner doesn't know; the text names it for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) struct NotUnderstood(pub(in crate::plan) &'static str);

/// Appends what stands directly inside `expr`, in order of writing.
pub(in crate::plan) fn children<'a>(expr: &'a Expr, out: &mut Vec<Child<'a>>) -> Result<(), NotUnderstood> {
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::Wildcard(_) => {}
        Expr::QualifiedWildcard(_, _) => {}
        Expr::CompoundFieldAccess { root, access_chain } => {
            out.push(Child::Expr(root));
            for access in access_chain {
                access_children(access, out);
            }
        }
        Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::Nested(inner)
        | Expr::UnaryOp { op: _, expr: inner }
        | Expr::Collate {
            expr: inner,
            collation: _,
        }
        | Expr::Extract {
            field: _,
            syntax: _,
            expr: inner,
        }
        | Expr::IsNormalized {
            expr: inner,
            form: _,
            negated: _,
        }
        | Expr::IsJson {
            expr: inner,
            kind: _,
            unique_keys: _,
            negated: _,
        } => out.push(Child::Expr(inner)),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => pair(left, right, out),
        Expr::In {
            expr,
            target,
            negated: _,
            global: false,
        } => {
            out.push(Child::Expr(expr));
            match target {
                InTarget::List(list) => out.extend(list.iter().map(Child::Expr)),
                InTarget::Subquery(query) => out.push(Child::Query(query)),
                InTarget::Unnest(_) | InTarget::Table { .. } => {
                    return Err(NotUnderstood("IN over something that is no list"));
                }
            }
        }
        Expr::Between {
            expr,
            negated: _,
            low,
            high,
        } => {
            out.push(Child::Expr(expr));
            pair(low, high, out);
        }
        Expr::BinaryOp { left, op: _, right } => pair(left, right, out),
        Expr::Like {
            negated: _,
            any: false,
            expr,
            pattern,
            escape_char,
        }
        | Expr::ILike {
            negated: _,
            any: false,
            expr,
            pattern,
            escape_char,
        }
        | Expr::SimilarTo {
            negated: _,
            expr,
            pattern,
            escape_char,
        } => {
            pair(expr, pattern, out);
            out.extend(escape_char.iter().map(|escape| Child::Expr(escape)));
        }
        Expr::AnyOp {
            left,
            compare_op: _,
            right,
            is_some: _,
        }
        | Expr::AllOp {
            left,
            compare_op: _,
            right,
        } => {
            pair(left, right, out);
        }
        Expr::Cast {
            kind: _,
            expr,
            data_type,
            format,
        } => {
            out.push(Child::Expr(expr));
            if format
                .as_ref()
                .is_some_and(|format| matches!(format, CastFormat::Value(_) | CastFormat::ValueAtTimeZone(_, _)))
            {
                return Err(NotUnderstood("CAST … FORMAT"));
            }
            type_children(data_type)?;
        }
        Expr::AtTimeZone { timestamp, time_zone } => pair(timestamp, time_zone, out),
        Expr::Ceil { expr, field: _ } | Expr::Floor { expr, field: _ } => out.push(Child::Expr(expr)),
        Expr::Position { expr, r#in } => pair(expr, r#in, out),
        Expr::Substring {
            expr,
            substring_from,
            substring_for,
            special: _,
            shorthand: _,
        } => {
            out.push(Child::Expr(expr));
            out.extend(substring_from.iter().chain(substring_for).map(|part| Child::Expr(part)));
        }
        Expr::Trim {
            trim_where: _,
            trim_what,
            expr,
            trim_characters,
        } => {
            out.extend(trim_what.iter().map(|what| Child::Expr(what)));
            out.push(Child::Expr(expr));
            out.extend(trim_characters.iter().flatten().map(Child::Expr));
        }
        Expr::Overlay {
            expr,
            overlay_what,
            overlay_from,
            overlay_for,
        } => {
            pair(expr, overlay_what, out);
            out.push(Child::Expr(overlay_from));
            out.extend(overlay_for.iter().map(|length| Child::Expr(length)));
        }
        Expr::Prefixed { prefix: _, value: _ } => return Err(NotUnderstood("prefixed literal")),
        Expr::Function(function) => function_children(function, out)?,
        Expr::Case {
            case_token: _,
            end_token: _,
            operand,
            conditions,
            else_result,
        } => {
            out.extend(operand.iter().map(|operand| Child::Expr(operand)));
            for CaseWhen { condition, result } in conditions {
                pair(condition, result, out);
            }
            out.extend(else_result.iter().map(|result| Child::Expr(result)));
        }
        Expr::Exists { subquery, negated: _ } | Expr::Subquery(subquery) => out.push(Child::Query(subquery)),
        Expr::GroupingSets(sets) | Expr::Cube(sets) | Expr::Rollup(sets) => {
            out.extend(sets.iter().flatten().map(Child::Expr));
        }
        Expr::Tuple(list) => out.extend(list.iter().map(Child::Expr)),
        Expr::Array(Array { elem, named: _ }) => out.extend(elem.iter().map(Child::Expr)),
        Expr::Interval(Interval {
            value,
            leading_field: _,
            leading_precision: _,
            last_field: _,
            fractional_seconds_precision: _,
        }) => out.push(Child::Expr(value)),
        Expr::In { global: true, .. }
        | Expr::Like { any: true, .. }
        | Expr::ILike { any: true, .. }
        | Expr::RLike { .. }
        | Expr::JsonAccess { .. }
        | Expr::Convert { .. }
        | Expr::Struct { .. }
        | Expr::Named { .. }
        | Expr::Dictionary(_)
        | Expr::Map(_)
        | Expr::MatchAgainst { .. }
        | Expr::OuterJoin(_)
        | Expr::Prior(_)
        | Expr::Lambda(_)
        | Expr::MemberOf(_) => return Err(NotUnderstood("an expression of another dialect")),
    }
    Ok(())
}

/// Appends what stands directly inside a call.
pub(in crate::plan) fn function_children<'a>(
    function: &'a Function,
    out: &mut Vec<Child<'a>>,
) -> Result<(), NotUnderstood> {
    let Function {
        name: _,
        uses_odbc_syntax,
        parameters,
        args,
        within_group,
        filter,
        null_treatment,
        over,
    } = function;
    if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) || null_treatment.is_some() {
        return Err(NotUnderstood("a function call of another dialect"));
    }
    arguments_children(args, out)?;
    order_children(within_group, out)?;
    out.extend(filter.iter().map(|filter| Child::Expr(filter)));
    match over {
        None | Some(WindowType::NamedWindow(_)) => {}
        Some(WindowType::WindowSpec(window)) => window_children(window, out)?,
    }
    Ok(())
}

/// Appends what stands directly inside a window definition.
pub(in crate::plan) fn window_children<'a>(
    window: &'a WindowSpec,
    out: &mut Vec<Child<'a>>,
) -> Result<(), NotUnderstood> {
    let WindowSpec {
        window_name: _,
        partition_by,
        order_by,
        window_frame,
    } = window;
    out.extend(partition_by.iter().map(Child::Expr));
    order_children(order_by, out)?;
    for bound in window_frame
        .iter()
        .flat_map(|frame| Some(&frame.start_bound).into_iter().chain(&frame.end_bound))
    {
        match bound {
            WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) => {}
            WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => {
                out.push(Child::Expr(offset))
            }
        }
    }
    Ok(())
}

/// Appends what stands directly inside a list of sort keys.
pub(in crate::plan) fn order_children<'a>(
    keys: &'a [OrderByExpr],
    out: &mut Vec<Child<'a>>,
) -> Result<(), NotUnderstood> {
    for OrderByExpr {
        expr,
        options: _,
        with_fill,
    } in keys
    {
        if with_fill.is_some() {
            return Err(NotUnderstood("ORDER BY … WITH FILL"));
        }
        out.push(Child::Expr(expr));
    }
    Ok(())
}

/// Appends what stands directly inside an ORDER BY clause.
pub(in crate::plan) fn order_by_children<'a>(
    order_by: &'a OrderBy,
    out: &mut Vec<Child<'a>>,
) -> Result<(), NotUnderstood> {
    let OrderBy { kind, interpolate } = order_by;
    match kind {
        OrderByKind::Expressions(keys) if interpolate.is_none() => order_children(keys, out),
        OrderByKind::Expressions(_) | OrderByKind::All(_) => Err(NotUnderstood("ORDER BY of another dialect")),
    }
}

/// Appends the arguments of a table function.
pub(in crate::plan) fn argument_children<'a>(
    args: &'a [FunctionArg],
    out: &mut Vec<Child<'a>>,
) -> Result<(), NotUnderstood> {
    for arg in args {
        let arg = match arg {
            FunctionArg::Named {
                name: _,
                arg,
                operator: _,
            }
            | FunctionArg::Unnamed(arg) => arg,
            FunctionArg::ExprNamed { .. } => return Err(NotUnderstood("a computed argument name")),
        };
        match arg {
            FunctionArgExpr::Expr(expr) => out.push(Child::Expr(expr)),
            FunctionArgExpr::QualifiedWildcard(ObjectName(_)) | FunctionArgExpr::Wildcard => {}
            FunctionArgExpr::WildcardWithOptions(_) => return Err(NotUnderstood("an argument of another dialect")),
        }
    }
    Ok(())
}

fn arguments_children<'a>(args: &'a FunctionArguments, out: &mut Vec<Child<'a>>) -> Result<(), NotUnderstood> {
    match args {
        FunctionArguments::None => Ok(()),
        // ARRAY(SELECT …) among others
        FunctionArguments::Subquery(query) => {
            out.push(Child::Query(query));
            Ok(())
        }
        FunctionArguments::List(list) => {
            argument_children(&list.args, out)?;
            for clause in &list.clauses {
                match clause {
                    FunctionArgumentClause::OrderBy(keys) => order_children(keys, out)?,
                    FunctionArgumentClause::IgnoreOrRespectNulls(_)
                    | FunctionArgumentClause::Where(_)
                    | FunctionArgumentClause::Limit(_)
                    | FunctionArgumentClause::OnOverflow(_)
                    | FunctionArgumentClause::Having(_)
                    | FunctionArgumentClause::Separator(_)
                    | FunctionArgumentClause::JsonNullClause(_)
                    | FunctionArgumentClause::JsonReturningClause(_) => {
                        return Err(NotUnderstood("a clause inside a function call"));
                    }
                }
            }
            Ok(())
        }
    }
}

fn access_children<'a>(access: &'a AccessExpr, out: &mut Vec<Child<'a>>) {
    match access {
        // The name of a field is an identifier here; a star or a call is walked like any expression.
        AccessExpr::Dot(Expr::Identifier(_)) => {}
        AccessExpr::Dot(expr) => out.push(Child::Expr(expr)),
        AccessExpr::Subscript(Subscript::Index { index }) => out.push(Child::Expr(index)),
        AccessExpr::Subscript(Subscript::Slice {
            lower_bound,
            upper_bound,
            stride,
        }) => {
            out.extend(lower_bound.iter().chain(upper_bound).chain(stride).map(Child::Expr));
        }
    }
}

fn type_children(data_type: &DataType) -> Result<(), NotUnderstood> {
    match crate::plan::resolve::types::type_name(data_type) {
        Some(_) => Ok(()),
        None => Err(NotUnderstood("a type of another dialect")),
    }
}

fn pair<'a>(left: &'a Expr, right: &'a Expr, out: &mut Vec<Child<'a>>) {
    out.push(Child::Expr(left));
    out.push(Child::Expr(right));
}
