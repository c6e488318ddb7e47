//! What is put before the planner: one statement, its bound parameters, and what servers were asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::plan::{Context, Recall, RowAsk};
use crate::sql::quote_literal;
use crate::topology::{KeyspaceId, QualifiedName};
use crate::value::{Format, Oid};

/// One statement to plan.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// exactly one statement as the client wrote it (no trailing `;` needed)
    pub text: &'a [u8],
    /// types that the client declared for `$n` (0: unspecified); empty for the simple protocol
    pub parameter_types: &'a [Oid],
    /// the session's settings
    pub context: &'a Arc<Context>,
}

/// Values bound to `$1…`, as they came in Bind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    /// none, one for all, or one each (as in Bind)
    pub formats: &'a [Format],
    /// `None` is NULL
    pub values: &'a [Option<&'a [u8]>],
}

/// What only a server knows, once it has been asked. Empty at first.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// category of a key (fixed ones); a missing entry is asked for
    pub categories: Arc<BTreeMap<(KeyspaceId, String), Category>>,
    /// resolved types of `$1…` (from ParameterDescription on home)
    pub parameter_types: Option<Vec<Oid>>,
    /// values of constants evaluated under the session's settings: expression text → text form (`None` is NULL)
    pub constants: BTreeMap<String, Option<String>>,
    /// values drawn from sequences for this very execution
    pub drawn: BTreeMap<QualifiedName, Vec<i64>>,
    /// values that the session was given by sequences before
    pub recalled: BTreeMap<Recall, i64>,
    /// what these statements gave for this very execution: the values of their one row
    pub found: BTreeMap<RowAsk, Vec<Found>>,
}

/// A value that a row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// of its column
    pub type_oid: Oid,
    /// as text; `None` is NULL
    pub value: Option<String>,
}

impl Found {
    /// A constant of this value; `None` for a type whose text form may depend on settings.
    pub(in crate::plan) fn constant(&self) -> Option<String> {
        let name = match self.type_oid {
            Oid::INT2 => "smallint",
            Oid::INT4 => "integer",
            Oid::INT8 => "bigint",
            Oid::NUMERIC => "numeric",
            Oid::FLOAT8 => "double precision",
            Oid::UUID => "uuid",
            Oid::TEXT => "text",
            Oid::VARCHAR => "character varying",
            _ => return None,
        };
        Some(match &self.value {
            Some(value) => format!("{}::{name}", quote_literal(value)),
            None => format!("NULL::{name}"),
        })
    }
}

/// What is known of a symbol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// fixed at first use: the name of its category
    Fixed(String),
    /// derived from the lookup table, not fixed yet: enough for a read, not for a write
    Derived(String),
    /// not in the lookup table: an error on write, all shards on read
    Unknown,
}
