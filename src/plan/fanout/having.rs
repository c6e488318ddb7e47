//! HAVING over merged groups: comparisons of aggregates, numeric keys and constants under AND, OR, NOT, IS NULL.

use crate::plan::fanout::group::{Grouped, Place, literal};
use crate::plan::fanout::spec::{Combine, Comparison, KeyOrder, Predicate, Scalar};
use crate::plan::fanout::template::ConstantSource;
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::calls;
use super::draft::quoted;
use super::spread::{column_in, unnested};
use super::typing::type_of;

/// Conditions nested deeper than this are refused.
const DEPTH_MAX: usize = 64;

/// Reads the condition; what isn't known in full is refused.
pub(super) fn predicate<'a>(grouped: &mut Grouped<'_, '_, 'a>, expr: &'a Expr) -> Result<Predicate, Box<Refusal>> {
    let span = grouped.draft.clauses.having.unwrap_or_default();
    let doubtful = grouped
        .draft
        .resolved
        .input
        .suspicions
        .iter()
        .any(|suspicion| span.contains(suspicion.span));
    match doubtful {
        true => Err(refuse(RefusalId::FanOutSuspicious, &[])),
        false => read(grouped, expr, 0),
    }
}

fn read<'a>(grouped: &mut Grouped<'_, '_, 'a>, expr: &'a Expr, depth: usize) -> Result<Predicate, Box<Refusal>> {
    if depth > DEPTH_MAX {
        return Err(refuse(RefusalId::FanOutHaving, &["a deep condition"]));
    }
    let deeper = depth.saturating_add(1);
    match unnested(expr) {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => Ok(Predicate::And(vec![
            read(grouped, left, deeper)?,
            read(grouped, right, deeper)?,
        ])),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Or,
            right,
        } => Ok(Predicate::Or(vec![
            read(grouped, left, deeper)?,
            read(grouped, right, deeper)?,
        ])),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => Ok(Predicate::Not(Box::new(read(grouped, expr, deeper)?))),
        Expr::IsNull(expr) => Ok(Predicate::IsNull(value(grouped, expr)?)),
        Expr::IsNotNull(expr) => Ok(Predicate::Not(Box::new(Predicate::IsNull(value(grouped, expr)?)))),
        Expr::Between {
            expr,
            negated,
            low,
            high,
        } => {
            let expr = value(grouped, expr)?;
            let (low, high) = (value(grouped, low)?, value(grouped, high)?);
            let both = Predicate::And(vec![
                Predicate::Compare {
                    left: expr.clone(),
                    operator: Comparison::GreaterOrEqual,
                    right: low,
                },
                Predicate::Compare {
                    left: expr,
                    operator: Comparison::LessOrEqual,
                    right: high,
                },
            ]);
            Ok(if *negated { Predicate::Not(Box::new(both)) } else { both })
        }
        Expr::BinaryOp { left, op, right } => {
            let operator = match op {
                BinaryOperator::Eq => Comparison::Equal,
                BinaryOperator::NotEq => Comparison::NotEqual,
                BinaryOperator::Lt => Comparison::Less,
                BinaryOperator::LtEq => Comparison::LessOrEqual,
                BinaryOperator::Gt => Comparison::Greater,
                BinaryOperator::GtEq => Comparison::GreaterOrEqual,
                _ => return Err(refuse(RefusalId::FanOutHaving, &["an operator over aggregates"])),
            };
            Ok(Predicate::Compare {
                left: value(grouped, left)?,
                operator,
                right: value(grouped, right)?,
            })
        }
        Expr::Function(_) => Ok(Predicate::Holds(grouped.scalar(expr, Place::Having)?)),
        _ => Err(refuse(RefusalId::FanOutHaving, &["a condition"])),
    }
}

/// A number: constant, parameter, aggregate, or a column that is the same for the whole group.
fn value<'a>(grouped: &mut Grouped<'_, '_, 'a>, expr: &'a Expr) -> Result<Scalar, Box<Refusal>> {
    if let Some(constant) = literal(expr) {
        return Ok(grouped.constant(ConstantSource::Fixed(constant)));
    }
    if let Expr::Value(written) = unnested(expr)
        && let Value::Placeholder(placeholder) = &written.value
    {
        let number = placeholder
            .strip_prefix('$')
            .and_then(|digits| digits.parse::<u32>().ok());
        let number = number.ok_or_else(|| refuse(RefusalId::FanOutHaving, &["a parameter"]))?;
        return Ok(grouped.constant(ConstantSource::Parameter(number)));
    }
    if calls::has_aggregate(grouped.draft.resolved, expr) {
        return grouped.scalar(expr, Place::Having);
    }
    let (resolved, scope) = (grouped.draft.resolved, grouped.draft.scope());
    let column = column_in(resolved, scope, expr).ok_or_else(|| refuse(RefusalId::FanOutHaving, &["an expression"]))?;
    let typed = type_of(resolved, scope, expr);
    let number = typed.is_some_and(|typed| {
        use crate::value::Oid;
        matches!(typed.type_oid, Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC)
    });
    let item = resolved
        .blocks
        .get(column.block.0)
        .and_then(|block| block.items.get(column.item));
    let name = item.and_then(|item| Some((item.alias.as_ref()?, item.columns.as_ref()?.get(column.column)?)));
    match name {
        Some((alias, name)) if number => {
            let text = format!("{}.{}", quoted(alias), quoted(name));
            Ok(Scalar::Fold(grouped.fold(text, Combine::First(KeyOrder::ByType))))
        }
        Some(_) | None => Err(refuse(RefusalId::FanOutHaving, &["a column that is no number"])),
    }
}
