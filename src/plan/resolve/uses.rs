//! What else a statement uses: functions, operators, types, system columns, parameters.

use std::sync::Arc;

use crate::catalog::Function;
use crate::plan::resolve::{BlockId, Scope, TypeName};
use crate::sql::ast;

/// Everything that occurs anywhere in a statement or in the views that it reads, besides tables.
#[derive(Debug, Default)]
pub(in crate::plan) struct Uses<'a> {
    /// calls of functions
    pub(in crate::plan) functions: Vec<FunctionUse<'a>>,
    /// symbols of operators that exist outside pg_catalog too, or only there
    pub(in crate::plan) user_operators: Vec<String>,
    /// types named in casts
    pub(in crate::plan) types: Vec<TypeName>,
    /// ctid, xmin, tableoid …
    pub(in crate::plan) system_columns: Vec<SystemColumn>,
    /// `$n`, one entry per occurrence
    pub(in crate::plan) parameters: Vec<u32>,
    /// blocks that say TABLESAMPLE
    pub(in crate::plan) samples: Vec<BlockId>,
    /// a query locks rows (FOR UPDATE, FOR SHARE …)
    pub(in crate::plan) locks: usize,
    /// SELECT … INTO
    pub(in crate::plan) into: usize,
}

/// One call of a function.
#[derive(Clone, Debug)]
pub(in crate::plan) struct FunctionUse<'a> {
    /// its name as written, folded
    pub(in crate::plan) name: String,
    /// the call; `None` for special syntax (`CURRENT_DATE` without parentheses has one; `a AT TIME ZONE b` has none)
    pub(in crate::plan) call: Option<&'a ast::Function>,
    /// where it stands; `None` outside any block
    pub(in crate::plan) scope: Option<Scope>,
    /// what it may be
    pub(in crate::plan) callee: Callee<'a>,
}

/// What a name of a function means.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum Callee<'a> {
    /// functions of pg_catalog (all overloads of the name)
    Builtin(&'a [Arc<Function>]),
    /// grammar, not a function: coalesce, nullif, greatest, least, grouping …
    Grammar,
    /// overloads outside pg_catalog that the search path shows (built-in ones of the same name may exist too)
    User(&'a [Arc<Function>]),
    /// none of that name: Postgres will say so
    Missing,
}

/// A system column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct SystemColumn {
    /// its name
    pub(in crate::plan) name: String,
    /// where it stands
    pub(in crate::plan) scope: Scope,
}
