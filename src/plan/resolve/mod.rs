//! The statement with its names bound: what every rule of the ladder reads.
//!
//! [`resolve`] walks the tree once, binds tables, columns, CTEs, views and functions as Postgres would, and notes for each
//! conjunct whose rows it filters. An unknown node is an error, never skipped.

mod input;
mod tree;
mod children;
mod lookup;
mod names;
mod types;
mod uses;
mod build;
mod build_expr;
mod build_from;
mod build_modify;

pub(in crate::plan) use build::resolve;
pub(in crate::plan) use children::{Child, children, function_children};
pub(in crate::plan) use input::{Input, Views};
pub(in crate::plan) use lookup::Lookup;
pub(in crate::plan) use names::{Named, callee, object_name, placement, relation as relation_named};
pub(in crate::plan) use tree::{
    BaseColumn, Block, BlockId, BlockKind, Body, ColumnRef, Conjunct, ConjunctTest, Filters, Item, ItemSet, Lateral,
    Merged, Origin, Output, Outputs, Place, Placement, QueryId, QueryNode, Reference, ReferenceId, Resolved, Role,
    Root, Scope, Side, Site, Source,
};
pub(in crate::plan) use types::{TypeName, type_name};
pub(in crate::plan) use uses::{Callee, FunctionUse, SystemColumn, Uses};
