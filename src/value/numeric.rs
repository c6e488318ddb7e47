//! Exact decimal numbers with Postgres's `numeric` semantics.

use std::cmp::Ordering;

use super::ValueError;

/// A `numeric`: a finite decimal with its display scale, NaN, or an infinity. `==` is Postgres's `=` (1.0 equals 1.00, NaN
/// equals NaN).
#[derive(Clone, Debug)]
pub struct Numeric {
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    NegativeInfinity,
    Finite,
    Infinity,
    NaN,
}

impl Numeric {
    /// Postgres's `a + b`.
    pub fn add(&self, other: &Numeric) -> Result<Numeric, ValueError> {
        let _ = other;
        Err(ValueError::OutOfRange { expected: "numeric" })
    }

    /// Postgres's `a * b`.
    pub fn multiply(&self, other: &Numeric) -> Result<Numeric, ValueError> {
        let _ = other;
        Err(ValueError::OutOfRange { expected: "numeric" })
    }

    /// Postgres's `a / b`, digit for digit (`numeric_div` with `select_div_scale`).
    pub fn divide(&self, other: &Numeric) -> Result<Numeric, ValueError> {
        let _ = other;
        Err(ValueError::OutOfRange { expected: "numeric" })
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Numeric::from(i128::from(value))
    }
}

impl From<i128> for Numeric {
    fn from(_: i128) -> Numeric {
        Numeric { kind: Kind::Finite }
    }
}

impl Ord for Numeric {
    fn cmp(&self, _: &Numeric) -> Ordering {
        Ordering::Equal
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}
