//! HAVING over a folded group, in SQL's three-valued logic.

use std::cmp::Ordering;

use crate::plan::{Comparison, Constant, Predicate, Scalar};

use super::MergeError;
use super::fold::{Folded, SettledFold};
use super::scalar::{Value, ValueKind, compare, evaluate, kind_of};

/// Evaluates a predicate; `None` is unknown, and only `Some(true)` keeps a group.
pub(super) fn holds(
    predicate: &Predicate,
    folds: &[SettledFold],
    folded: &[Folded],
    constants: &[Constant],
) -> Result<Option<bool>, MergeError> {
    let value = |scalar: &Scalar| evaluate(scalar, folds, folded, constants);
    let recurse = |predicate: &Predicate| holds(predicate, folds, folded, constants);
    match predicate {
        Predicate::Compare { left, operator, right } => {
            let (left, right) = (value(left)?, value(right)?);
            if left == Value::Null || right == Value::Null {
                return Ok(None);
            }
            Ok(Some(matches(*operator, compare(&left, &right)?)))
        }
        Predicate::IsNull(scalar) => Ok(Some(value(scalar)? == Value::Null)),
        Predicate::Holds(scalar) => match value(scalar)? {
            Value::Null => Ok(None),
            Value::Boolean(boolean) => Ok(Some(boolean)),
            Value::Number(_) | Value::Raw(..) => Err(MergeError::Bug("a condition that is not boolean")),
        },
        Predicate::And(parts) => all(parts.iter().map(recurse), false),
        Predicate::Or(parts) => all(parts.iter().map(recurse), true),
        Predicate::Not(part) => Ok(recurse(part)?.map(|holds| !holds)),
    }
}

/// Checks that every comparison is of one kind and every condition boolean.
pub(super) fn check_predicate(predicate: &Predicate, folds: &[SettledFold]) -> Result<(), MergeError> {
    match predicate {
        Predicate::Compare {
            left,
            operator: _,
            right,
        } => {
            let (left, right) = (kind_of(left, folds)?, kind_of(right, folds)?);
            match left.fits(right) || right.fits(left) {
                true => Ok(()),
                false => Err(MergeError::Incomparable),
            }
        }
        Predicate::IsNull(scalar) => kind_of(scalar, folds).map(|_| ()),
        Predicate::Holds(scalar) => match kind_of(scalar, folds)?.fits(ValueKind::Boolean) {
            true => Ok(()),
            false => Err(MergeError::Incomparable),
        },
        Predicate::And(parts) | Predicate::Or(parts) => parts.iter().try_for_each(|part| check_predicate(part, folds)),
        Predicate::Not(part) => check_predicate(part, folds),
    }
}

/// AND (decided by the first false) and OR (decided by the first true): undecided and any unknown is unknown.
fn all(
    parts: impl Iterator<Item = Result<Option<bool>, MergeError>>,
    decides: bool,
) -> Result<Option<bool>, MergeError> {
    let mut result = Some(!decides);
    for part in parts {
        match part? {
            Some(holds) if holds == decides => return Ok(Some(decides)),
            Some(_) => {}
            None => result = None,
        }
    }
    Ok(result)
}

fn matches(operator: Comparison, ordering: Ordering) -> bool {
    match operator {
        Comparison::Equal => ordering == Ordering::Equal,
        Comparison::NotEqual => ordering != Ordering::Equal,
        Comparison::Less => ordering == Ordering::Less,
        Comparison::LessOrEqual => ordering != Ordering::Greater,
        Comparison::Greater => ordering == Ordering::Greater,
        Comparison::GreaterOrEqual => ordering != Ordering::Less,
    }
}
