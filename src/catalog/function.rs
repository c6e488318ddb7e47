//! Functions, aggregates and procedures.

use crate::topology::QualifiedName;
use crate::value::Oid;

/// Immutable, stable or volatile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volatility {
    /// `i`
    Immutable,
    /// `s`
    Stable,
    /// `v`
    Volatile,
}

/// `pg_proc.prokind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FunctionKind {
    /// `f`
    Function,
    /// `a`
    Aggregate,
    /// `w`
    Window,
    /// `p`
    Procedure,
}

/// What a function's body may leave behind in the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Body {
    /// sql or plpgsql without dynamic EXECUTE and without a word of session effect, transitively; or C/internal of an extension
    Plain,
    /// anything else: after it the session's state must be asked for
    Opaque,
}

/// May a function's value, or what it does, depend on when its transaction began?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReadsMoment {
    /// no
    No,
    /// it, or something that it calls or writes, speaks of `now()` or its kin; or what it does can't be read
    Perhaps,
}

/// One function.
#[derive(Clone, Debug)]
pub struct Function {
    /// schema and name
    pub name: QualifiedName,
    /// `prokind`
    pub kind: FunctionKind,
    /// `proargtypes`
    pub arguments: Vec<Oid>,
    /// `prorettype`
    pub returns: Oid,
    /// `proretset`
    pub returns_set: ReturnsSet,
    /// `provolatile`
    pub volatility: Volatility,
    /// session effects
    pub body: Body,
    /// whether its body reads the moment
    pub moment: ReadsMoment,
    /// belongs to an extension
    pub extension: Option<String>,
}

/// One row or a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReturnsSet {
    /// `proretset` is false
    No,
    /// `proretset` is true
    Yes,
}
