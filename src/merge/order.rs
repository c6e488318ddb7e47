//! Comparing rows by their keys, and the heads of all sources in order.
//!
//! Why a sorted list rather than a heap: there are at most 128 sources, rows that follow one another often come from
//! one source, and ties must keep the sources' order; a binary search and a short move do all that.

use std::cmp::Ordering;

use crate::plan::{Direction, Nulls};
use crate::value::Comparator;

use super::MergeError;
use super::row::Row;

/// A key whose comparator and place are settled.
#[derive(Clone, Debug)]
pub(super) struct SettledKey {
    pub(super) column: usize,
    pub(super) comparator: Comparator,
    pub(super) direction: Direction,
    pub(super) nulls: Nulls,
}

/// Compares two rows by `keys`, most significant first.
pub(super) fn compare_rows(keys: &[SettledKey], left: &Row, right: &Row) -> Result<Ordering, MergeError> {
    for key in keys {
        let ordering = compare_nullable(
            left.column(key.column),
            right.column(key.column),
            key.direction,
            key.nulls,
            |l, r| key.comparator.compare(l, r).map_err(MergeError::Value),
        )?;
        if ordering != Ordering::Equal {
            return Ok(ordering);
        }
    }
    Ok(Ordering::Equal)
}

/// Puts NULLs where they go and turns the order of values around for DESC.
pub(super) fn compare_nullable<T>(
    left: Option<T>,
    right: Option<T>,
    direction: Direction,
    nulls: Nulls,
    compare: impl FnOnce(T, T) -> Result<Ordering, MergeError>,
) -> Result<Ordering, MergeError> {
    Ok(match (left, right) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => match nulls {
            Nulls::First => Ordering::Less,
            Nulls::Last => Ordering::Greater,
        },
        (Some(_), None) => match nulls {
            Nulls::First => Ordering::Greater,
            Nulls::Last => Ordering::Less,
        },
        (Some(left), Some(right)) => {
            let ordering = compare(left, right)?;
            match direction {
                Direction::Ascending => ordering,
                Direction::Descending => ordering.reverse(),
            }
        }
    })
}
