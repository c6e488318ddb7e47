//! LIMIT, OFFSET and FETCH: which forms are read, and what the shards are asked for instead.
//!
//! Why only constants and parameters: the number must be known before anything is sent, since each shard is asked for
//! LIMIT + OFFSET rows (saturating: the largest LIMIT with an OFFSET is legal).

use crate::plan::fanout::spec::Ties;
use crate::plan::resolve::type_name;
use crate::plan::{Parameters, Refusal, RefusalId, refuse};
use crate::sql::ast::{
    BinaryOperator, DataType, Expr, GroupByExpr, LimitClause, Query, SelectItem, SetExpr, UnaryOperator, Value,
};
use crate::value::{Format, Oid, decode_int2, decode_int4, decode_int8};

use super::spread::unnested;

/// A row count as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// no clause, ALL or NULL
    None,
    /// a constant
    Fixed(u64),
    /// `$n`, from 1
    Parameter(u32),
}

/// LIMIT and OFFSET of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) limit: Count,
    pub(super) offset: Count,
    pub(super) ties: Ties,
}

impl Limits {
    /// All rows.
    pub(super) const NONE: Limits = Limits {
        limit: Count::None,
        offset: Count::None,
        ties: Ties::Cut,
    };

    /// Nothing is cut off.
    pub(super) fn is_none(self) -> bool {
        self.limit == Count::None && self.offset == Count::None
    }
}

/// Reads the clauses of a query.
pub(super) fn read(query: &Query) -> Result<Limits, Box<Refusal>> {
    let mut limits = Limits::NONE;
    match &query.limit_clause {
        None => {}
        Some(LimitClause::LimitOffset {
            limit,
            offset,
            limit_by: _,
        }) => {
            if let Some(limit) = limit {
                limits.limit = count(limit, "LIMIT")?;
            }
            if let Some(offset) = offset {
                limits.offset = count(&offset.value, "OFFSET")?;
            }
        }
        Some(LimitClause::OffsetCommaLimit { .. }) => return Err(refuse(RefusalId::FanOutLimit, &["LIMIT"])),
    }
    if let Some(fetch) = &query.fetch {
        limits.limit = match &fetch.quantity {
            Some(quantity) => count(quantity, "FETCH FIRST")?,
            None => Count::Fixed(1),
        };
        if fetch.with_ties {
            // without an order, or with NULL, it is an error
            if query.order_by.is_none() || limits.limit == Count::None {
                return Err(refuse(RefusalId::FanOutTies, &[]));
            }
            limits.ties = Ties::Kept;
        }
    }
    Ok(limits)
}

/// The value of a count at bind; `types` are those of `$n`.
pub(super) fn value(
    count: Count,
    parameters: &Parameters<'_>,
    types: &[Oid],
    clause: &'static str,
) -> Result<Option<u64>, Box<Refusal>> {
    let number = match count {
        Count::None => return Ok(None),
        Count::Fixed(number) => return Ok(Some(number)),
        Count::Parameter(number) => number,
    };
    let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let refused = || refuse(RefusalId::FanOutLimit, &[clause]);
    let Some(bytes) = parameters.values.get(index).copied().flatten() else {
        return match parameters.values.get(index) {
            Some(None) => Ok(None),
            _ => Err(refused()),
        };
    };
    let format = match parameters.formats {
        [] => Format::Text,
        [one] => *one,
        each => each.get(index).copied().unwrap_or(Format::Text),
    };
    let signed = match types.get(index).copied().unwrap_or(Oid(0)) {
        Oid::INT2 => decode_int2(format, bytes).map(i64::from),
        Oid::INT4 => decode_int4(format, bytes).map(i64::from),
        Oid::INT8 => decode_int8(format, bytes),
        _ => return Err(refused()),
    };
    let signed = signed.map_err(|_| refused())?;
    match u64::try_from(signed) {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(negative(clause)),
    }
}

/// What Postgres itself answers.
fn negative(clause: &'static str) -> Box<Refusal> {
    match clause {
        "OFFSET" => refuse(RefusalId::FanOutNegativeOffset, &[]),
        _ => refuse(RefusalId::FanOutNegativeLimit, &[]),
    }
}

fn count(expr: &Expr, clause: &'static str) -> Result<Count, Box<Refusal>> {
    let (expr, most) = match unnested(expr) {
        Expr::Cast { expr, data_type, .. } => match integer_most(data_type) {
            Some(most) => (unnested(expr), most),
            None => return Err(refuse(RefusalId::FanOutLimit, &[clause])),
        },
        expr => (expr, i64::MAX),
    };
    if let Expr::Value(value) = expr {
        match &value.value {
            Value::Null => return Ok(Count::None),
            Value::Placeholder(placeholder) => {
                let number = placeholder
                    .strip_prefix('$')
                    .and_then(|digits| digits.parse::<u32>().ok());
                return number
                    .map(Count::Parameter)
                    .ok_or_else(|| refuse(RefusalId::FanOutLimit, &[clause]));
            }
            // of unknown type: it becomes the integer that the clause or the cast wants
            Value::SingleQuotedString(text) => {
                return digits(text, most)
                    .map(Count::Fixed)
                    .ok_or_else(|| refuse(RefusalId::FanOutLimit, &[clause]));
            }
            _ => {}
        }
    }
    if let Some(number) = plain_integer(expr) {
        return match i64::try_from(number).is_ok_and(|number| number <= most) {
            true => Ok(Count::Fixed(number)),
            false => Err(refuse(RefusalId::FanOutLimit, &[clause])),
        };
    }
    if let Some(number) = rounded(expr) {
        return match i64::try_from(number).is_ok_and(|number| number <= most) {
            true => Ok(Count::Fixed(number)),
            false => Err(refuse(RefusalId::FanOutLimit, &[clause])),
        };
    }
    if let Expr::UnaryOp {
        op: UnaryOperator::Minus,
        expr,
    } = expr
        && plain_integer(unnested(expr)).is_some_and(|number| number > 0)
    {
        return Err(negative(clause));
    }
    match arithmetic(expr, 0).filter(|integer| integer.value <= most) {
        Some(integer) => u64::try_from(integer.value)
            .map(Count::Fixed)
            .map_err(|_| negative(clause)),
        None => Err(refuse(RefusalId::FanOutLimit, &[clause])),
    }
}

/// An integer constant, as wide as Postgres makes it.
#[derive(Clone, Copy)]
struct Integer {
    value: i64,
    /// the largest of its type
    most: i64,
}

/// Constants deeper than this are left alone.
const DEPTH_MAX: usize = 32;

/// `5 + 5`, `(SELECT 10) / 2`: integer literals and what is computed of them. What leaves its type, and a division by
/// zero, is Postgres's error.
fn arithmetic(expr: &Expr, depth: usize) -> Option<Integer> {
    if depth > DEPTH_MAX {
        return None;
    }
    let deeper = depth.saturating_add(1);
    let fits = |value: Option<i64>, most: i64| {
        let value = value.filter(|value| *value <= most && *value >= most.saturating_neg().saturating_sub(1));
        value.map(|value| Integer { value, most })
    };
    match unnested(expr) {
        Expr::Value(_) => {
            let value = i64::try_from(plain_integer(expr)?).ok();
            let narrow = value.is_some_and(|value| value <= i64::from(i32::MAX));
            fits(value, if narrow { i64::from(i32::MAX) } else { i64::MAX })
        }
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => {
            let inner = arithmetic(expr, deeper)?;
            fits(inner.value.checked_neg(), inner.most)
        }
        Expr::BinaryOp { left, op, right } => {
            let (left, right) = (arithmetic(left, deeper)?, arithmetic(right, deeper)?);
            let most = left.most.max(right.most);
            match op {
                BinaryOperator::Plus => fits(left.value.checked_add(right.value), most),
                BinaryOperator::Minus => fits(left.value.checked_sub(right.value), most),
                BinaryOperator::Multiply => fits(left.value.checked_mul(right.value), most),
                // toward zero, as Postgres divides
                BinaryOperator::Divide => fits(left.value.checked_div(right.value), most),
                BinaryOperator::Modulo => fits(left.value.checked_rem(right.value), most),
                _ => None,
            }
        }
        Expr::Subquery(query) => arithmetic(selected_alone(query)?, deeper),
        _ => None,
    }
}

/// The one expression of `SELECT expression`, with nothing else said.
fn selected_alone(query: &Query) -> Option<&Expr> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty();
    let SetExpr::Select(select) = &*query.body else {
        return None;
    };
    let alone = select.from.is_empty()
        && select.selection.is_none()
        && select.having.is_none()
        && select.distinct.is_none()
        && select.group_by == GroupByExpr::Expressions(Vec::new(), Vec::new());
    match select.projection.as_slice() {
        [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }] if plain && alone => Some(expr),
        _ => None,
    }
}

/// `2.5`: a numeric literal, which Postgres rounds to the nearest integer, halves up.
fn rounded(expr: &Expr) -> Option<u64> {
    let Expr::Value(value) = unnested(expr) else {
        return None;
    };
    let Value::Number(written, _) = &value.value else {
        return None;
    };
    let (whole, fraction) = written.split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole = match whole {
        "" => 0,
        whole => whole.parse::<u64>().ok()?,
    };
    let up = fraction.bytes().next().is_some_and(|first| first >= b'5');
    whole.checked_add(u64::from(up))
}

/// The largest number of an integer type.
fn integer_most(data_type: &DataType) -> Option<i64> {
    let named = type_name(data_type).filter(|named| named.schema.is_none() && named.dimensions == 0)?;
    match named.name.as_str() {
        "int4" => Some(i64::from(i32::MAX)),
        "int8" => Some(i64::MAX),
        _ => None,
    }
}

/// A number of nothing but digits, up to `most`.
fn digits(text: &str, most: i64) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse::<i64>().ok())??;
    u64::try_from(number).ok().filter(|_| number <= most)
}

/// The value of an unsigned integer literal that fits an int8.
pub(super) fn plain_integer(expr: &Expr) -> Option<u64> {
    let Expr::Value(value) = unnested(expr) else {
        return None;
    };
    match &value.value {
        Value::Number(digits, _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok())
        }
        _ => None,
    }
}
