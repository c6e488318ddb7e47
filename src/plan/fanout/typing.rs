//! Types of expressions, as far as they are certain without a server.
//!
//! Why so little: Postgres's choice of an overload is long to tell; here only what is certain counts, and what isn't is
//! `None`. It decides two things before anything runs: how values of a group key compare (and whether `COLLATE "C"` may
//! stand behind it), and refusals that are better early than late. What the shards report is checked again when they do.

use crate::catalog::{Collation, Function};
use crate::plan::resolve::{Callee, Resolved, Scope, type_name};
use crate::sql::ast::{
    BinaryOperator, CaseWhen, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};
use crate::value::{Comparator, Oid, TextOrder};

use super::spread::{column_in, unnested};

/// A type and, for text, how it compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) type_oid: Oid,
    pub(super) collation: Collation,
}

impl Typed {
    fn plain(type_oid: Oid) -> Typed {
        Typed {
            type_oid,
            collation: Collation::None,
        }
    }

    /// Has the type a collation?
    pub(super) fn is_text(self) -> bool {
        matches!(self.type_oid, Oid::TEXT | Oid::VARCHAR | Oid::BPCHAR)
    }

    /// How its values compare in the client's own order; `None` if only the server knows.
    pub(super) fn order(self) -> Option<Comparator> {
        let text = match self.collation {
            Collation::Bytes => TextOrder::Bytes,
            Collation::None | Collation::Deterministic | Collation::Nondeterministic => TextOrder::Unknown,
        };
        Comparator::for_type(self.type_oid, text)
    }

    /// How its values compare where only equality matters, text being ordered `COLLATE "C"`.
    pub(super) fn equality(self) -> Option<Comparator> {
        match self.collation {
            Collation::Nondeterministic => None,
            Collation::None | Collation::Bytes | Collation::Deterministic => {
                Comparator::for_type(self.type_oid, TextOrder::Bytes)
            }
        }
    }
}

/// The type of an expression at `scope`, if it is certain.
pub(super) fn type_of(resolved: &Resolved<'_>, scope: Scope, expr: &Expr) -> Option<Typed> {
    let recurse = |expr: &Expr| type_of(resolved, scope, expr);
    match unnested(expr) {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
            let base = resolved.base(column_in(resolved, scope, expr)?)?;
            let column = resolved.column(base)?;
            Some(Typed {
                type_oid: column.type_oid,
                collation: column.collation,
            })
        }
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Typed::plain(match digits.parse::<i64>() {
                    Ok(small) if i32::try_from(small).is_ok() => Oid::INT4,
                    Ok(_) => Oid::INT8,
                    Err(_) => Oid::NUMERIC,
                }))
            }
            Value::Number(_, _) => Some(Typed::plain(Oid::NUMERIC)),
            Value::Boolean(_) => Some(Typed::plain(Oid::BOOL)),
            _ => None,
        },
        Expr::Cast { expr, data_type, .. } => {
            let named = type_name(data_type)?;
            if named.dimensions > 0 || named.schema.as_deref().is_some_and(|schema| schema != "pg_catalog") {
                return None;
            }
            let type_oid = *resolved.input.catalog.builtin.types.get(&named.name)?;
            let cast = Typed {
                type_oid,
                collation: Collation::None,
            };
            match cast.is_text() {
                true => Some(Typed {
                    type_oid,
                    collation: cast_collation(resolved, recurse(expr))?,
                }),
                false => Some(cast),
            }
        }
        Expr::Collate { expr, collation } => {
            let inner = recurse(expr)?;
            let name = crate::plan::resolve::object_name(collation)?;
            let bytes = matches!(name.as_slice(), ["C" | "POSIX"] | ["pg_catalog", "C" | "POSIX"]);
            match inner.is_text() && bytes {
                true => Some(Typed {
                    type_oid: inner.type_oid,
                    collation: Collation::Bytes,
                }),
                false => None,
            }
        }
        Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::IsDistinctFrom(_, _)
        | Expr::IsNotDistinctFrom(_, _)
        | Expr::In { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::SimilarTo { .. }
        | Expr::Exists { .. } => Some(Typed::plain(Oid::BOOL)),
        Expr::UnaryOp {
            op: UnaryOperator::Not, ..
        } => Some(Typed::plain(Oid::BOOL)),
        Expr::UnaryOp {
            op: UnaryOperator::Minus | UnaryOperator::Plus,
            expr,
        } => recurse(expr).filter(|typed| is_number(typed.type_oid)),
        Expr::BinaryOp { left, op, right } => operator_type(op, recurse(left)?, recurse(right)?),
        Expr::Extract { .. } => Some(Typed::plain(Oid::NUMERIC)),
        Expr::Substring { expr, .. } => {
            let inner = recurse(expr).filter(|typed| matches!(typed.type_oid, Oid::TEXT | Oid::VARCHAR))?;
            Some(Typed {
                type_oid: Oid::TEXT,
                collation: inner.collation,
            })
        }
        Expr::Case {
            conditions,
            else_result,
            ..
        } => {
            let results = conditions.iter().map(|CaseWhen { result, .. }| result);
            alike(
                resolved,
                scope,
                results.chain(else_result.iter().map(|result| &**result)),
            )
        }
        Expr::Function(function) => {
            let call = resolved
                .uses
                .functions
                .iter()
                .find(|call| call.call.is_some_and(|written| std::ptr::eq(written, function)))?;
            let bare = call.name.strip_prefix("pg_catalog.").unwrap_or(&call.name);
            let FunctionArguments::List(list) = &function.args else {
                return None;
            };
            let arguments: Vec<&Expr> = list.args.iter().map(argument).collect::<Option<_>>()?;
            match call.callee {
                Callee::Grammar if matches!(bare, "coalesce" | "greatest" | "least") => {
                    alike(resolved, scope, arguments.into_iter())
                }
                Callee::Builtin(overloads) => {
                    let argument = |expr: &Expr| (recurse(expr), takes_any_collation(expr));
                    let types: Vec<_> = arguments.into_iter().map(argument).collect();
                    function_type(resolved, overloads, &types)
                }
                Callee::Grammar | Callee::User(_) | Callee::Missing => None,
            }
        }
        _ => None,
    }
}

/// Text made by a cast: the database's own collation, or that of the text it was made from.
fn cast_collation(resolved: &Resolved<'_>, from: Option<Typed>) -> Option<Collation> {
    match from {
        Some(from) if from.is_text() => Some(from.collation),
        Some(_) => Some(resolved.input.catalog.default_collation),
        None => None,
    }
}

/// The one type that all of these have; NULL literals aside.
fn alike<'e>(resolved: &Resolved<'_>, scope: Scope, exprs: impl Iterator<Item = &'e Expr>) -> Option<Typed> {
    let mut found: Option<Typed> = None;
    for expr in exprs {
        let next = match unnested(expr) {
            Expr::Value(value) => match &value.value {
                Value::Null => continue,
                // an unknown literal takes the type of the others
                Value::SingleQuotedString(_) => continue,
                _ => type_of(resolved, scope, expr)?,
            },
            _ => type_of(resolved, scope, expr)?,
        };
        match found {
            None => found = Some(next),
            Some(known) if known == next => {}
            Some(known) => found = Some(wider(known, next)?),
        }
    }
    found
}

/// The common type of two exact numbers of different types.
fn wider(left: Typed, right: Typed) -> Option<Typed> {
    let width = |typed: Typed| match typed.type_oid {
        Oid::INT2 => Some(0),
        Oid::INT4 => Some(1),
        Oid::INT8 => Some(2),
        Oid::NUMERIC => Some(3),
        _ => None,
    };
    Some(if width(left)? >= width(right)? { left } else { right })
}

fn is_number(type_oid: Oid) -> bool {
    matches!(
        type_oid,
        Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC | Oid::FLOAT4 | Oid::FLOAT8
    )
}

fn operator_type(op: &BinaryOperator, left: Typed, right: Typed) -> Option<Typed> {
    match op {
        BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::Lt
        | BinaryOperator::LtEq
        | BinaryOperator::Gt
        | BinaryOperator::GtEq
        | BinaryOperator::And
        | BinaryOperator::Or => Some(Typed::plain(Oid::BOOL)),
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Modulo => wider(left, right),
        BinaryOperator::StringConcat => {
            let text = |typed: Typed| matches!(typed.type_oid, Oid::TEXT | Oid::VARCHAR);
            match text(left) && text(right) && left.collation == right.collation {
                true => Some(Typed {
                    type_oid: Oid::TEXT,
                    collation: left.collation,
                }),
                false => None,
            }
        }
        _ => None,
    }
}

/// Whether the collation of a bare literal or parameter, the default one, gives way to any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collates {
    GivesWay,
    Unknown,
}

fn takes_any_collation(expr: &Expr) -> Collates {
    match unnested(expr) {
        Expr::Value(_) => Collates::GivesWay,
        _ => Collates::Unknown,
    }
}

fn argument(argument: &FunctionArg) -> Option<&Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The result type on which all overloads agree that these arguments could mean.
fn function_type(
    resolved: &Resolved<'_>,
    overloads: &[std::sync::Arc<Function>],
    arguments: &[(Option<Typed>, Collates)],
) -> Option<Typed> {
    let catalog = resolved.input.catalog;
    let pseudo = |oid: Oid| {
        (2200..2300).contains(&oid.0) || matches!(oid.0, 2776 | 2776..=2783 | 3500 | 3831 | 4537 | 4538 | 5077..=5080)
    };
    let accepts = |parameter: Oid, argument: Option<Typed>| match argument {
        None => true,
        // a polymorphic parameter: arrays, ranges and multiranges take none of the types known here
        Some(_) if pseudo(parameter) => matches!(parameter.0, 2283 | 2776 | 5077 | 5079 | 2276),
        Some(typed) => {
            typed.type_oid == parameter
                || catalog
                    .builtin
                    .casts
                    .get(&(typed.type_oid.0, parameter.0))
                    .is_some_and(|how| *how == b'i')
        }
    };
    let mut fitting = overloads.iter().filter(|function| {
        function.arguments.len() == arguments.len()
            && function
                .arguments
                .iter()
                .zip(arguments)
                .all(|(parameter, (argument, _))| accepts(*parameter, *argument))
    });
    let exact = overloads.iter().find(|function| {
        let same = |(parameter, (argument, _)): (&Oid, &(Option<Typed>, Collates))| {
            argument.is_some_and(|a| a.type_oid == *parameter)
        };
        function.arguments.len() == arguments.len() && function.arguments.iter().zip(arguments).all(same)
    });
    let chosen = match exact {
        Some(exact) => exact,
        None => {
            let first = fitting.next()?;
            if !fitting.all(|other| other.returns == first.returns) {
                return None;
            }
            first
        }
    };
    if pseudo(chosen.returns) {
        return None;
    }
    let result = Typed::plain(chosen.returns);
    if !result.is_text() {
        return Some(result);
    }
    // the collation of the text arguments, if they agree; without any, the database's own
    let mut collation = None;
    for (argument, collates) in arguments {
        match argument {
            Some(typed) if typed.is_text() => match collation {
                None => collation = Some(typed.collation),
                Some(known) if known == typed.collation => {}
                Some(_) => return None,
            },
            Some(_) => {}
            // an untyped literal or parameter takes the collation of the others; anything else may bring its own
            None if *collates == Collates::GivesWay => {}
            None => return None,
        }
    }
    Some(Typed {
        type_oid: result.type_oid,
        collation: collation.unwrap_or(catalog.default_collation),
    })
}
