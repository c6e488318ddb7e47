//! *What do tables look like?* Columns, types, collations, constraints, functions: one immutable snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::topology::QualifiedName;
use crate::value::Oid;

/// What the planner knows about the servers: read by `discovery`, equal on all shards but for OIDs (home's are meant).
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// relations outside pg_catalog and information_schema, by name
    pub relations: BTreeMap<QualifiedName, Arc<Relation>>,
    /// functions, aggregates and procedures outside pg_catalog and information_schema, by bare name
    pub functions: BTreeMap<String, Vec<Arc<Function>>>,
    /// operators outside pg_catalog, by their symbol
    pub operators: BTreeMap<String, Vec<QualifiedName>>,
    /// types outside pg_catalog (enums, domains, composites, and relations' row types are left out), by OID on home
    pub types: BTreeMap<u32, Arc<Type>>,
    /// what belongs to the server's version
    pub builtin: Arc<Builtin>,
    /// names of relations in pg_catalog and information_schema, folded
    pub system_relations: Arc<std::collections::BTreeSet<QualifiedName>>,
    /// schemas that exist, in order of name
    pub schemas: Vec<String>,
    /// `server_encoding`, `UTF8` for example
    pub encoding: String,
    /// major version, 15 for example
    pub major_version: u32,
    /// whether the database's default collation is C or POSIX (libc) and so compares bytes
    pub default_collation: Collation,
}

/// How text under a collation compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Collation {
    /// the type is not collatable
    #[default]
    None,
    /// C or POSIX: byte order
    Bytes,
    /// deterministic: equality is equality of bytes, order is the server's secret
    Deterministic,
    /// nondeterministic: not even equality is known here
    Nondeterministic,
}

/// Kinds of `pg_class.relkind` that a statement can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RelationKind {
    /// `r`
    Table,
    /// `p`
    Partitioned,
    /// `v`
    View,
    /// `m`
    MaterializedView,
    /// `f`
    ForeignTable,
    /// `S`
    Sequence,
    /// `c`
    CompositeType,
}

/// One relation.
#[derive(Clone, Debug)]
pub struct Relation {
    /// schema and name
    pub name: QualifiedName,
    /// `pg_class.relkind`
    pub kind: RelationKind,
    /// live columns in `attnum` order
    pub columns: Vec<Column>,
    /// for a partition: its root
    pub partition_root: Option<QualifiedName>,
    /// for a view: `pg_get_viewdef`
    pub view_definition: Option<String>,
    /// row-level security is enabled
    pub row_security: bool,
    /// unique (primary too) constraints and indexes: names of the plain key columns; `None` for an expression
    pub unique_keys: Vec<Vec<Option<String>>>,
    /// user triggers
    pub triggers: Vec<Trigger>,
    /// foreign keys of this table
    pub foreign_keys: Vec<ForeignKey>,
    /// has children by inheritance (not partitions), or is a child
    pub inherits: Inheritance,
    /// `INSTEAD` or `ALSO` rules (a view's own `_RETURN` left out)
    pub rules: Vec<String>,
}

/// Old-style inheritance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inheritance {
    /// neither parent nor child
    None,
    /// parent or child
    Some,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// `attname`
    pub name: String,
    /// `atttypid` (home's)
    pub type_oid: Oid,
    /// `atttypmod`
    pub typmod: i32,
    /// of `attcollation`
    pub collation: Collation,
    /// NOT NULL, default, identity, generated
    pub filling: Filling,
    /// NOT NULL
    pub nullability: Nullability,
}

/// May a column hold NULL?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nullability {
    /// yes
    Nullable,
    /// no
    NotNull,
}

/// Where a column's value comes from when an INSERT leaves it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filling {
    /// NULL
    Nothing,
    /// an expression, as `pg_get_expr` prints it
    Default {
        /// its text
        expression: String,
        /// names a sequence (nextval, or an identity column)
        sequence: Sequenced,
    },
    /// GENERATED … AS IDENTITY
    Identity,
    /// GENERATED ALWAYS AS (…) STORED
    Generated(String),
}

/// Does a default draw from a sequence?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequenced {
    /// it calls nextval
    Yes,
    /// it does not
    No,
}

/// A user trigger.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// `tgname`
    pub name: String,
    /// row or statement
    pub level: TriggerLevel,
    /// BEFORE ROW may change the key
    pub timing: TriggerTiming,
    /// its function
    pub function: QualifiedName,
}

/// FOR EACH …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerLevel {
    /// ROW
    Row,
    /// STATEMENT
    Statement,
}

/// BEFORE, AFTER or INSTEAD OF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerTiming {
    /// BEFORE
    Before,
    /// AFTER
    After,
    /// INSTEAD OF
    InsteadOf,
}

/// A foreign key.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// `conname`
    pub name: String,
    /// referencing columns
    pub columns: Vec<String>,
    /// referenced table
    pub target: QualifiedName,
    /// referenced columns, in the same order
    pub target_columns: Vec<String>,
    /// `confupdtype`: a, r, c, n, d
    pub on_update: u8,
    /// `confdeltype`
    pub on_delete: u8,
}

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
