//! Relations: columns, constraints, triggers.

use crate::catalog::Deed;
use crate::topology::QualifiedName;
use crate::value::Oid;

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
        /// what it draws from a sequence
        sequence: Sequenced,
    },
    /// GENERATED … AS IDENTITY
    Identity {
        /// its own sequence; `None`: not known here (a partition's is its root's)
        sequence: Option<QualifiedName>,
        /// may an INSERT give a value
        generated: IdentityKind,
    },
    /// GENERATED ALWAYS AS (…) STORED
    Generated(String),
}

/// Does a default draw from a sequence?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequenced {
    /// it does not
    No,
    /// it is `nextval` of this one and nothing else
    Next(QualifiedName),
    /// it uses sequences in another way
    Otherwise,
}

/// GENERATED ALWAYS or BY DEFAULT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityKind {
    /// a value needs OVERRIDING SYSTEM VALUE
    Always,
    /// a value may be given
    ByDefault,
}

/// What fills a column from a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawnFrom<'a> {
    /// the next value of this one
    Next(&'a QualifiedName),
    /// something else that uses sequences
    Otherwise,
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
    /// what fires it
    pub on: Vec<Deed>,
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

// === impl Filling ===

impl Filling {
    /// The sequence that fills the column, if one does.
    pub fn drawn_from(&self) -> Option<DrawnFrom<'_>> {
        match self {
            Filling::Default {
                expression: _,
                sequence: Sequenced::Next(sequence),
            }
            | Filling::Identity {
                sequence: Some(sequence),
                generated: _,
            } => Some(DrawnFrom::Next(sequence)),
            Filling::Default {
                expression: _,
                sequence: Sequenced::Otherwise,
            }
            | Filling::Identity {
                sequence: None,
                generated: _,
            } => Some(DrawnFrom::Otherwise),
            Filling::Default {
                expression: _,
                sequence: Sequenced::No,
            }
            | Filling::Nothing
            | Filling::Generated(_) => None,
        }
    }
}

// === impl Relation ===

impl Relation {
    /// A column by name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
