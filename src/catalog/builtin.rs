//! What belongs to the server's version, and users' types.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Function, Volatility};
use crate::topology::QualifiedName;
use crate::value::Oid;

/// A user's type.
#[derive(Clone, Debug)]
pub struct Type {
    /// schema and name
    pub name: QualifiedName,
    /// `typtype`: b, c, d, e, p, r, m
    pub kind: u8,
    /// for a domain its base type, for an array its element
    pub base: Option<Oid>,
    /// enum labels in order
    pub labels: Vec<String>,
}

/// pg_proc, pg_operator, pg_cast and pg_type of pg_catalog: belongs to the server's version, read once.
#[derive(Clone, Debug, Default)]
pub struct Builtin {
    /// functions by name
    pub functions: BTreeMap<String, Vec<Arc<Function>>>,
    /// operators by symbol: (left or none, right, result, volatility of the function)
    pub operators: BTreeMap<String, Vec<Operator>>,
    /// `pg_type.typname` → OID
    pub types: BTreeMap<String, Oid>,
    /// (source, target) → 'i' implicit, 'a' assignment, 'e' explicit
    pub casts: BTreeMap<(u32, u32), u8>,
}

/// An operator of pg_catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// `oprleft`, none for a prefix operator
    pub left: Option<Oid>,
    /// `oprright`
    pub right: Oid,
    /// `oprresult`
    pub result: Oid,
    /// of `oprcode`
    pub volatility: Volatility,
}
