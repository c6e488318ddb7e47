//! *What do tables look like?* Columns, types, collations, constraints, functions: one immutable snapshot.
//!
//! Why plain data: the planner reads it without knowing how or when it was read; `discovery` fills it from the shards.
//! Holds: what it says of a listed table holds on every shard that has it; OIDs are home's.
//! Absent: pg_catalog's own tables beyond their names; statistics; privileges.

mod relation;
mod function;
mod builtin;
mod unseen;
mod snapshot;

pub use builtin::{Builtin, Operator, Type};
pub use function::{Body, Function, FunctionKind, ReadsMoment, ReturnsSet, Volatility};
pub use relation::{
    Collation, Column, DrawnFrom, Filling, ForeignKey, IdentityKind, Inheritance, Nullability, Relation, RelationKind,
    Sequenced, Trigger, TriggerLevel, TriggerTiming,
};
pub use snapshot::Catalog;
pub use unseen::{Act, Cascade, Columns, Deed, OutOfSight, Unseen, UnseenKind};
