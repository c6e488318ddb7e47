//! Which values a statement needs of sequences.

use crate::topology::QualifiedName;

/// The values that a statement needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SequenceAsk {
    /// new ones; the sequence that Postgres would draw from last comes last
    pub draws: Vec<Draw>,
    /// ones that the session has been given before
    pub recalls: Vec<Recall>,
}

/// A SELECT that has one row, for the facts' `found`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowAsk {
    /// a statement without parameters
    pub text: String,
    /// of its row
    pub columns: usize,
}

/// New values of one sequence, for the facts' `drawn`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// as home has it
    pub sequence: QualifiedName,
    /// how many; at least one, at most the cells of the statement
    pub count: usize,
    /// may the client draw from it
    pub privilege: Privilege,
}

/// Must the client's role have a privilege on the sequence?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    /// no: an identity column's sequence is part of its table
    OfTable,
    /// USAGE or UPDATE, as for `nextval`
    Usage,
}

/// A value that the session has been given, for the facts' `recalled`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recall {
    /// `currval` of this sequence
    Current(QualifiedName),
    /// `lastval`
    Last,
}
