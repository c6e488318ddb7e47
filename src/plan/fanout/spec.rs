//! How the rows of several shards become one answer, as data: written by the fan-out rules, read by room `merge`.
//!
//! Why so: each shard is asked the client's own target list, untouched, so that names, types and typmods of the answer
//! are Postgres's; what the proxy itself must look at is *appended*, as hidden columns that are always requested in
//! binary, so that nothing here depends on DateStyle, extra_float_digits and their like.
//! Holds: a shard's row is `visible` columns for the client, then `hidden` ones; keys and folds read hidden columns
//! only. What differs from one execution to the next (LIMIT, OFFSET, constants in HAVING) stands in [`MergeSpec`], the
//! rest in the shared [`MergeForm`].
//! Absent: collations other than byte order, floats added up, anything whose order or sum only a server knows.

use std::sync::Arc;

use crate::value::{Comparator, Numeric};

/// How the answers of several shards become one, for one execution.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeSpec {
    /// what does not depend on values
    pub form: Arc<MergeForm>,
    /// rows to skip
    pub offset: u64,
    /// rows to give after those
    pub limit: Option<u64>,
    /// what becomes of rows that are equal to the last of them by all keys of [`Method::Ordered`]
    pub ties: Ties,
    /// values of [`Scalar::Constant`]
    pub constants: Vec<Constant>,
}

/// What of a merge belongs to the statement's shape.
#[derive(Clone, Debug, PartialEq)]
pub struct MergeForm {
    /// columns that the client gets: the first ones of each shard's rows
    pub visible: usize,
    /// columns after those, for the proxy alone
    pub hidden: usize,
    /// visible columns of an enum type: each database has its own OID for it, home's is the client's
    pub enums: Vec<usize>,
    /// visible columns of another user type: so too, and alike on all shards as text alone
    pub user_types: Vec<usize>,
    /// how
    pub method: Method,
}

/// The ways of merging.
#[derive(Clone, Debug, PartialEq)]
pub enum Method {
    /// one shard's rows after the other's
    Concatenate,
    /// each shard's rows come sorted by `keys`, and so does the answer
    Ordered {
        /// most significant first
        keys: Vec<Key>,
        /// whether rows with equal keys are one row
        repeats: Repeats,
    },
    /// rows with equal keys are folded into one
    Grouped(Grouping),
}

/// What happens to rows whose keys are all equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// each stays a row
    Keep,
    /// the first stays
    Drop,
}

/// Peers of the last row within a LIMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// they don't count
    Cut,
    /// WITH TIES
    Kept,
}

/// One sort key over a hidden column.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// index among the hidden columns
    pub hidden: usize,
    /// how two values compare
    pub order: KeyOrder,
    /// ASC or DESC
    pub direction: Direction,
    /// where NULLs go
    pub nulls: Nulls,
}

/// How the values of a column compare.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyOrder {
    /// as the planner knows from the catalog
    Known(Comparator),
    /// by the type that the shards report for the column; a type that has a collation is refused then
    ByType,
}

/// ASC or DESC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// smallest first
    Ascending,
    /// largest first
    Descending,
}

/// NULLS FIRST or NULLS LAST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// before all values
    First,
    /// after all values
    Last,
}

/// Folding of groups. Each shard's rows come sorted by `keys`; without keys each shard gives exactly one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Grouping {
    /// what makes rows one group
    pub keys: Vec<Key>,
    /// what is folded
    pub folds: Vec<Fold>,
    /// visible columns that are computed; those not named are the group's first row's
    pub outputs: Vec<(usize, Output)>,
    /// groups that stay
    pub having: Option<Predicate>,
    /// order of the finished groups; empty: that of the keys. Not empty: groups are sorted in memory
    pub order: Vec<GroupOrder>,
}

/// One folded quantity.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// index among the hidden columns
    pub hidden: usize,
    /// how two partial values become one
    pub combine: Combine,
}

/// How two partial values become one. A NULL partial is left out (Postgres's aggregates skip NULLs).
#[derive(Clone, Debug, PartialEq)]
pub enum Combine {
    /// the first row's, NULL or not (a key's value); the order is for ORDER BY and HAVING
    First(KeyOrder),
    /// int8 (an overflow is 22003) or numeric, by the type that the shards report
    Sum,
    /// the least
    Least(KeyOrder),
    /// the greatest
    Greatest(KeyOrder),
    /// bool_and, every
    And,
    /// bool_or
    Or,
    /// bit_and over smallint, int, bigint
    BitAnd,
    /// bit_or over smallint, int, bigint
    BitOr,
}

/// Where a computed visible column comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// the same visible column of the row whose partial value won the fold (least or greatest)
    Winner {
        /// index into [`Grouping::folds`]
        fold: usize,
    },
    /// a value that the proxy encodes as the column's type
    Computed(Scalar),
}

/// A value over a folded group.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// a folded quantity
    Fold(usize),
    /// numeric division of two folded quantities; NULL when the count is 0
    Average {
        /// index of a [`Combine::Sum`]
        sum: usize,
        /// index of a [`Combine::Sum`] over counts
        count: usize,
    },
    /// index into [`MergeSpec::constants`]
    Constant(usize),
    /// the first that is not NULL
    Coalesce(Vec<Scalar>),
}

/// A constant of HAVING or of a final expression, read at each execution.
#[derive(Clone, Debug, PartialEq)]
pub enum Constant {
    /// NULL
    Null,
    /// an integer or numeric
    Number(Numeric),
}

/// HAVING over a folded group, in three-valued logic.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// numbers compared
    Compare {
        /// left side
        left: Scalar,
        /// operator
        operator: Comparison,
        /// right side
        right: Scalar,
    },
    /// IS NULL
    IsNull(Scalar),
    /// a folded boolean
    Holds(Scalar),
    /// AND
    And(Vec<Predicate>),
    /// OR
    Or(Vec<Predicate>),
    /// NOT
    Not(Box<Predicate>),
}

/// Comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// ORDER BY over finished groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupOrder {
    /// what
    pub by: Scalar,
    /// ASC or DESC
    pub direction: Direction,
    /// where NULLs go
    pub nulls: Nulls,
}

impl MergeSpec {
    /// Gives `form` without OFFSET, LIMIT and constants.
    pub fn new(form: Arc<MergeForm>) -> MergeSpec {
        MergeSpec {
            form,
            offset: 0,
            limit: None,
            ties: Ties::Cut,
            constants: Vec::new(),
        }
    }

    /// Gives the plain union of rows of `visible` columns.
    pub fn concatenate(visible: usize) -> MergeSpec {
        MergeSpec::new(Arc::new(MergeForm {
            visible,
            hidden: 0,
            enums: Vec::new(),
            user_types: Vec::new(),
            method: Method::Concatenate,
        }))
    }
}
