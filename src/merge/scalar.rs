//! Values over a folded group: what HAVING compares, ORDER BY sorts by and computed columns show.

use std::cmp::Ordering;

use crate::plan::{Constant, Scalar};
use crate::value::{Comparator, Format, Numeric, Oid, decode_numeric};

use super::MergeError;
use super::fold::{Folded, SettledFold, decode_integer};

/// A value over a finished group.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Number(Numeric),
    Boolean(bool),
    /// binary wire bytes
    Raw(Comparator, Vec<u8>),
}

impl Value {
    /// The value unless it is NULL.
    pub(super) fn as_known(&self) -> Option<&Value> {
        match self {
            Value::Null => None,
            Value::Number(_) | Value::Boolean(_) | Value::Raw(..) => Some(self),
        }
    }
}

/// Computes a scalar. Integers come as numbers: exact, and equal under comparison and division.
pub(super) fn evaluate(
    scalar: &Scalar,
    folds: &[SettledFold],
    folded: &[Folded],
    constants: &[Constant],
) -> Result<Value, MergeError> {
    match scalar {
        Scalar::Fold(index) => {
            let fold = folds.get(*index).ok_or(MergeError::Bug("a scalar over no fold"))?;
            let folded = folded
                .get(*index)
                .ok_or(MergeError::Bug("a scalar over no folded value"))?;
            value_of(fold, folded)
        }
        Scalar::Average { sum, count } => {
            let sum = evaluate(&Scalar::Fold(*sum), folds, folded, constants)?;
            let count = evaluate(&Scalar::Fold(*count), folds, folded, constants)?;
            match (sum, count) {
                (Value::Number(sum), Value::Number(count)) if count != Numeric::from(0i64) => {
                    sum.divide(&count).map(Value::Number).map_err(MergeError::Value)
                }
                (Value::Null, _) | (Value::Number(_), Value::Number(_)) => Ok(Value::Null),
                (Value::Number(_) | Value::Boolean(_) | Value::Raw(..), _) => {
                    Err(MergeError::Bug("an average of what is no number"))
                }
            }
        }
        Scalar::Constant(index) => match constants.get(*index) {
            Some(Constant::Null) => Ok(Value::Null),
            Some(Constant::Number(number)) => Ok(Value::Number(number.clone())),
            None => Err(MergeError::Bug("a constant that was not bound")),
        },
        Scalar::Coalesce(parts) => {
            for part in parts {
                let value = evaluate(part, folds, folded, constants)?;
                if value != Value::Null {
                    return Ok(value);
                }
            }
            Ok(Value::Null)
        }
    }
}

/// Compares two values that are not NULL and of one kind.
pub(super) fn compare(left: &Value, right: &Value) -> Result<Ordering, MergeError> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => Ok(left.cmp(right)),
        (Value::Boolean(left), Value::Boolean(right)) => Ok(left.cmp(right)),
        (Value::Raw(comparator, left), Value::Raw(other, right)) if comparator == other => {
            comparator.compare(left, right).map_err(MergeError::Value)
        }
        (Value::Null | Value::Number(_) | Value::Boolean(_) | Value::Raw(..), _) => {
            Err(MergeError::Bug("a comparison of two kinds of values"))
        }
    }
}

/// What values a scalar can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// only NULL
    Null,
    Number,
    Boolean,
    Raw(Comparator),
}

impl ValueKind {
    /// Whether values of this kind can stand where `wanted` is asked.
    pub(super) fn fits(self, wanted: ValueKind) -> bool {
        self == wanted || self == ValueKind::Null
    }
}

/// The kind of a scalar's values; an error where parts don't fit together.
pub(super) fn kind_of(scalar: &Scalar, folds: &[SettledFold]) -> Result<ValueKind, MergeError> {
    let fold = |index: usize| folds.get(index).ok_or(MergeError::Bug("a scalar over no fold"));
    match scalar {
        Scalar::Fold(index) => {
            let fold = fold(*index)?;
            Ok(match (fold.type_oid, fold.comparator()) {
                (Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC, _) => ValueKind::Number,
                (_, Some(comparator)) => ValueKind::Raw(comparator),
                (_, None) => ValueKind::Boolean,
            })
        }
        Scalar::Average { sum, count } => {
            for index in [*sum, *count] {
                let fold = fold(index)?;
                if !matches!(fold.type_oid, Oid::INT8 | Oid::NUMERIC) {
                    return Err(MergeError::NoFold {
                        type_oid: fold.type_oid,
                    });
                }
            }
            Ok(ValueKind::Number)
        }
        // a constant that is NULL fits numbers too
        Scalar::Constant(_) => Ok(ValueKind::Number),
        Scalar::Coalesce(parts) => {
            let mut kind = ValueKind::Null;
            for part in parts {
                let next = kind_of(part, folds)?;
                if !kind.fits(next) {
                    return Err(MergeError::Bug("a coalesce of two kinds"));
                }
                kind = next;
            }
            Ok(kind)
        }
    }
}

fn value_of(fold: &SettledFold, folded: &Folded) -> Result<Value, MergeError> {
    Ok(match folded {
        Folded::Null => Value::Null,
        Folded::Integer(integer) => Value::Number(Numeric::from(*integer)),
        Folded::Number(number) => Value::Number(number.clone()),
        Folded::Boolean(boolean) => Value::Boolean(*boolean),
        Folded::Raw(bytes) => match (fold.type_oid, fold.comparator()) {
            (Oid::INT2 | Oid::INT4 | Oid::INT8, _) => Value::Number(Numeric::from(
                decode_integer(fold.type_oid, bytes).map_err(MergeError::Value)?,
            )),
            (Oid::NUMERIC, _) => Value::Number(decode_numeric(Format::Binary, bytes).map_err(MergeError::Value)?),
            (_, Some(comparator)) => Value::Raw(comparator, bytes.clone()),
            (_, None) => return Err(MergeError::Bug("a raw value without comparator")),
        },
    })
}
