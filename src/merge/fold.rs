//! Partial values of one group becoming one value.
//!
//! Holds: a fold gives what Postgres's aggregate gives over the union of the rows; a NULL partial means "no rows with a
//! value there" and is left out, as the aggregates leave out NULLs. Checked against a server by `tests/merge_rows.rs`.

use std::cmp::Ordering;

use crate::value::{
    Comparator, Format, Numeric, Oid, ValueError, decode_bool, decode_int2, decode_int4, decode_int8, decode_numeric,
};

use super::MergeError;

/// A fold whose types are settled.
#[derive(Clone, Debug)]
pub(super) struct SettledFold {
    pub(super) column: usize,
    pub(super) type_oid: Oid,
    pub(super) kind: FoldKind,
}

/// How, by type.
#[derive(Clone, Copy, Debug)]
pub(super) enum FoldKind {
    First(Comparator),
    Least(Comparator),
    Greatest(Comparator),
    SumInteger,
    SumNumeric,
    And,
    Or,
    BitAnd,
    BitOr,
}

/// A value folded so far.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Folded {
    Null,
    Integer(i64),
    Number(Numeric),
    Boolean(bool),
    /// binary wire bytes, compared by the fold's comparator
    Raw(Vec<u8>),
}

/// Whether the row just folded in holds the winner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Won {
    Yes,
    No,
}

impl SettledFold {
    /// The comparator of folds that keep raw values.
    pub(super) fn comparator(&self) -> Option<Comparator> {
        match self.kind {
            FoldKind::First(comparator) | FoldKind::Least(comparator) | FoldKind::Greatest(comparator) => {
                Some(comparator)
            }
            FoldKind::SumInteger
            | FoldKind::SumNumeric
            | FoldKind::And
            | FoldKind::Or
            | FoldKind::BitAnd
            | FoldKind::BitOr => None,
        }
    }

    /// The value of a group's first row.
    pub(super) fn start(&self, partial: Option<&[u8]>) -> Result<Folded, MergeError> {
        let Some(bytes) = partial else {
            return Ok(Folded::Null);
        };
        let read = match self.kind {
            FoldKind::First(_) | FoldKind::Least(_) | FoldKind::Greatest(_) => Ok(Folded::Raw(bytes.to_vec())),
            FoldKind::SumInteger => decode_int8(Format::Binary, bytes).map(Folded::Integer),
            FoldKind::SumNumeric => decode_numeric(Format::Binary, bytes).map(Folded::Number),
            FoldKind::And | FoldKind::Or => decode_bool(Format::Binary, bytes).map(Folded::Boolean),
            FoldKind::BitAnd | FoldKind::BitOr => decode_integer(self.type_oid, bytes).map(Folded::Integer),
        };
        read.map_err(MergeError::Value)
    }

    /// Folds one more row in.
    pub(super) fn add(&self, folded: &mut Folded, partial: Option<&[u8]>) -> Result<Won, MergeError> {
        let Some(bytes) = partial else {
            return Ok(Won::No);
        };
        if matches!(self.kind, FoldKind::First(_)) {
            return Ok(Won::No);
        }
        if *folded == Folded::Null {
            *folded = self.start(partial)?;
            return Ok(Won::Yes);
        }
        let wins = |comparator: Comparator, old: &[u8], wanted: Ordering| {
            Ok::<bool, MergeError>(comparator.compare(bytes, old).map_err(MergeError::Value)? == wanted)
        };
        let next = match (self.kind, &*folded) {
            (FoldKind::Least(comparator), Folded::Raw(old)) => {
                wins(comparator, old, Ordering::Less)?.then(|| Folded::Raw(bytes.to_vec()))
            }
            (FoldKind::Greatest(comparator), Folded::Raw(old)) => {
                wins(comparator, old, Ordering::Greater)?.then(|| Folded::Raw(bytes.to_vec()))
            }
            (FoldKind::SumInteger, Folded::Integer(old)) => {
                let new = decode_int8(Format::Binary, bytes).map_err(MergeError::Value)?;
                let sum = old
                    .checked_add(new)
                    .ok_or(MergeError::OutOfRange { type_name: "bigint" })?;
                Some(Folded::Integer(sum))
            }
            (FoldKind::SumNumeric, Folded::Number(old)) => {
                let new = decode_numeric(Format::Binary, bytes).map_err(MergeError::Value)?;
                Some(Folded::Number(old.add(&new).map_err(MergeError::Value)?))
            }
            (FoldKind::And | FoldKind::Or, Folded::Boolean(old)) => {
                let new = decode_bool(Format::Binary, bytes).map_err(MergeError::Value)?;
                let both = if matches!(self.kind, FoldKind::And) {
                    *old && new
                } else {
                    *old || new
                };
                Some(Folded::Boolean(both))
            }
            (FoldKind::BitAnd | FoldKind::BitOr, Folded::Integer(old)) => {
                let new = decode_integer(self.type_oid, bytes).map_err(MergeError::Value)?;
                let both = if matches!(self.kind, FoldKind::BitAnd) {
                    *old & new
                } else {
                    *old | new
                };
                Some(Folded::Integer(both))
            }
            (
                FoldKind::First(_)
                | FoldKind::Least(_)
                | FoldKind::Greatest(_)
                | FoldKind::SumInteger
                | FoldKind::SumNumeric
                | FoldKind::And
                | FoldKind::Or
                | FoldKind::BitAnd
                | FoldKind::BitOr,
                _,
            ) => return Err(MergeError::Bug("a fold of two kinds")),
        };
        Ok(match next {
            Some(next) => {
                *folded = next;
                Won::Yes
            }
            None => Won::No,
        })
    }
}

/// Reads a binary integer of any width.
pub(super) fn decode_integer(type_oid: Oid, bytes: &[u8]) -> Result<i64, ValueError> {
    match type_oid {
        Oid::INT2 => decode_int2(Format::Binary, bytes).map(i64::from),
        Oid::INT4 => decode_int4(Format::Binary, bytes).map(i64::from),
        Oid::INT8 => decode_int8(Format::Binary, bytes),
        other => Err(ValueError::Unknown(other)),
    }
}
