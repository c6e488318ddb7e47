//! Values over a folded group: what HAVING compares, ORDER BY sorts by and computed columns show.

use std::cmp::Ordering;

use crate::plan::{Constant, Grouping, Scalar};
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

/// Checks that a scalar names folds that exist.
pub(super) fn check(scalar: &Scalar, grouping: &Grouping) -> Result<(), MergeError> {
    let exists = |index: usize| {
        let fold = grouping.folds.get(index);
        fold.map(|_| ()).ok_or(MergeError::Bug("a scalar over no fold"))
    };
    match scalar {
        Scalar::Fold(index) => exists(*index),
        Scalar::Average { sum, count } => exists(*sum).and_then(|()| exists(*count)),
        Scalar::Constant(_) => Ok(()),
        Scalar::Coalesce(parts) => parts.iter().try_for_each(|part| check(part, grouping)),
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
