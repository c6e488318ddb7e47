//! Calls in a statement: which blocks aggregate, and which functions may run on several shards.
//!
//! Why by name and worst case: which overload a call means is Postgres's to decide, so a name counts as its most volatile
//! overload. Immutable functions are allowed; stable ones only if they are listed here, because they read nothing but
//! settings that are held equal on all shards; `now()` and its kin become one constant; volatile ones are allowed only
//! where each row may have a value of its own.

use crate::catalog::{FunctionKind, ReturnsSet, Volatility};
use crate::plan::resolve::{BlockId, Callee, Child, FunctionUse, Lookup, Resolved, Scope, children};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Reach;
use crate::sql::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, LimitClause, OrderByKind, Query, Select,
    WindowType,
};
use crate::topology::FunctionClass;

use super::spread::column_in;

/// Stable functions whose value depends on their arguments and on settings that every shard's session holds alike.
const STABLE: [&str; 47] = [
    "age",
    "array_to_json",
    "array_to_string",
    "concat",
    "concat_ws",
    "date",
    "date_part",
    "date_trunc",
    "enum_first",
    "enum_last",
    "enum_range",
    "extract",
    "format",
    "generate_series",
    "interval",
    "json_agg",
    "json_build_array",
    "json_build_object",
    "json_object_agg",
    "json_populate_record",
    "json_to_record",
    "jsonb_agg",
    "jsonb_build_array",
    "jsonb_build_object",
    "jsonb_object_agg",
    "jsonb_path_exists_tz",
    "jsonb_path_query_tz",
    "length",
    "make_timestamptz",
    "numeric",
    "overlaps",
    "quote_literal",
    "quote_nullable",
    "row_to_json",
    "text",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "timezone",
    "to_char",
    "to_date",
    "to_json",
    "to_jsonb",
    "to_number",
    "to_timestamp",
    "date_bin",
];

/// Volatile functions that give each row a value of its own and change nothing.
const PER_ROW: [&str; 4] = ["random", "gen_random_uuid", "clock_timestamp", "uuid_generate_v4"];

/// Words of the grammar that are a function of their operands, or of the role and search path, which are the same on all
/// shards.
const GRAMMAR: [&str; 22] = [
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "array",
    "row",
    "extract",
    "overlay",
    "position",
    "substring",
    "trim",
    "normalize",
    "current_user",
    "session_user",
    "user",
    "current_role",
    "current_schema",
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "now",
    "statement_timestamp",
];

/// What a call means for a fan-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Nature {
    /// a function of its arguments, alike on every shard
    Alike,
    /// a moment: one constant for all shards
    Moment,
    /// a value per row
    PerRow,
}

/// Is the call an aggregate (and no window function)?
pub(super) fn is_aggregate(call: &FunctionUse<'_>) -> bool {
    let aggregates = |overloads: &[std::sync::Arc<crate::catalog::Function>]| {
        overloads
            .iter()
            .any(|function| function.kind == FunctionKind::Aggregate)
    };
    let over = call.call.is_some_and(|call| call.over.is_some());
    match call.callee {
        Callee::Builtin(overloads) | Callee::User(overloads) => !over && aggregates(overloads),
        Callee::Grammar | Callee::Missing => false,
    }
}

/// Calls written at the level of a block.
pub(super) fn calls_of<'r, 'a>(resolved: &'r Resolved<'a>, id: BlockId) -> impl Iterator<Item = &'r FunctionUse<'a>> {
    resolved
        .uses
        .functions
        .iter()
        .filter(move |call| call.scope.is_some_and(|scope| scope.block == id))
}

/// Does a block aggregate: by GROUP BY, HAVING, or an aggregate written at its level?
pub(in crate::plan) fn aggregates(resolved: &Resolved<'_>, id: BlockId, select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
        GroupByExpr::All(_) => true,
    };
    grouped || select.having.is_some() || calls_of(resolved, id).any(is_aggregate)
}

/// Does a block have window functions?
pub(in crate::plan) fn windows(resolved: &Resolved<'_>, id: BlockId, select: &Select) -> bool {
    !select.named_window.is_empty() || window_uses(resolved, id).next().is_some()
}

/// Windows of the calls written at the level of a block.
pub(super) fn window_uses<'r>(resolved: &'r Resolved<'_>, id: BlockId) -> impl Iterator<Item = &'r WindowType> {
    calls_of(resolved, id).filter_map(|call| call.call?.over.as_ref())
}

/// GROUPING SETS, ROLLUP, CUBE or `()`.
pub(super) fn has_grouping_sets(keys: &[Expr]) -> bool {
    keys.iter().any(|key| match super::spread::unnested(key) {
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => true,
        Expr::Tuple(parts) => parts.is_empty(),
        _ => false,
    })
}

/// Expressions of ORDER BY, LIMIT and OFFSET of a query.
pub(super) fn tail_expressions(query: &Query) -> Vec<&Expr> {
    let mut out = Vec::new();
    if let Some(OrderByKind::Expressions(keys)) = query.order_by.as_ref().map(|order_by| &order_by.kind) {
        out.extend(keys.iter().map(|key| &key.expr));
    }
    if let Some(LimitClause::LimitOffset {
        limit,
        offset,
        limit_by: _,
    }) = &query.limit_clause
    {
        out.extend(limit.iter().chain(offset.iter().map(|offset| &offset.value)));
    }
    out.extend(query.fetch.iter().flat_map(|fetch| &fetch.quantity));
    out
}

/// An aggregating, distinct or windowed block over reference tables gives the same on every shard only if it doesn't
/// depend on the order in which a shard happens to store the rows.
pub(in crate::plan) fn repeatable(resolved: &Resolved<'_>, id: BlockId, select: &Select) -> Result<(), Box<Refusal>> {
    if windows(resolved, id, select) || select.distinct.as_ref().is_some_and(is_distinct_on) {
        return Err(refuse(
            RefusalId::FanOutReferenceOrder,
            &["a window function or DISTINCT ON"],
        ));
    }
    for call in calls_of(resolved, id).filter(|call| is_aggregate(call)) {
        let fixed = matches!(
            call.name.as_str(),
            "count" | "min" | "max" | "bool_and" | "bool_or" | "every" | "bit_and" | "bit_or" | "bit_xor"
        );
        let summed = matches!(call.name.as_str(), "sum" | "avg") && argument_is_exact(resolved, id, call);
        if !fixed && !summed {
            return Err(refuse(RefusalId::FanOutReferenceOrder, &[&call.name]));
        }
    }
    Ok(())
}

fn is_distinct_on(distinct: &crate::sql::ast::Distinct) -> bool {
    matches!(distinct, crate::sql::ast::Distinct::On(_))
}

/// Is the one argument a column of an integer type or numeric?
fn argument_is_exact(resolved: &Resolved<'_>, id: BlockId, call: &FunctionUse<'_>) -> bool {
    use crate::value::Oid;
    let Some(expr) = call.call.and_then(single_argument) else {
        return false;
    };
    let column = column_in(resolved, resolved.scope(id), expr);
    let column = column
        .and_then(|column| resolved.base(column))
        .and_then(|base| resolved.column(base));
    column.is_some_and(|c| matches!(c.type_oid, Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC))
}

/// The one plain argument of a call.
pub(super) fn single_argument(call: &crate::sql::ast::Function) -> Option<&Expr> {
    match &call.args {
        FunctionArguments::List(list) if list.clauses.is_empty() => match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => Some(expr),
            _ => None,
        },
        FunctionArguments::List(_) | FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    }
}

/// Checks every call of the statement; `Err` names the first that may not run on several shards.
pub(in crate::plan) fn check(resolved: &Resolved<'_>) -> Result<(), Box<Refusal>> {
    for call in &resolved.uses.functions {
        nature(resolved, call)?;
        check_level(resolved, call)?;
        check_age(call)?;
    }
    if let Some(symbol) = resolved.uses.user_operators.first() {
        return Err(refuse(RefusalId::UserOperator, &[symbol]));
    }
    for named in &resolved.uses.types {
        if named.name.starts_with("reg") || named.name == "xid" || named.name == "cid" || named.name == "tid" {
            return Err(refuse(RefusalId::HomeOnly, &[&named.name]));
        }
    }
    Ok(())
}

/// `age(x)` counts from the day that it is: each shard's own.
fn check_age(call: &FunctionUse<'_>) -> Result<(), Box<Refusal>> {
    let one = call.call.is_some_and(|call| single_argument(call).is_some());
    match call.name.rsplit('.').next() == Some("age") && one {
        true => Err(refuse(RefusalId::FanOutMoment, &[])),
        false => Ok(()),
    }
}

/// What a call means for a fan-out, or why it may not be in one.
pub(in crate::plan) fn nature(resolved: &Resolved<'_>, call: &FunctionUse<'_>) -> Result<Nature, Box<Refusal>> {
    let bare = call.name.strip_prefix("pg_catalog.").unwrap_or(&call.name);
    if is_moment(bare) {
        return Ok(Nature::Moment);
    }
    match call.callee {
        Callee::Grammar if GRAMMAR.contains(&bare) => Ok(Nature::Alike),
        Callee::Grammar => Err(refuse(RefusalId::FanOutFunction, &[bare])),
        // Postgres itself will say so
        Callee::Missing => Ok(Nature::Alike),
        Callee::Builtin(_) if is_search(bare, call) => Ok(Nature::Alike),
        Callee::Builtin(overloads) => builtin_nature(bare, overloads),
        Callee::User(overloads) => {
            let allowed = |function: &crate::catalog::Function| {
                let declared = resolved.input.topology.function(&function.name) == Some(FunctionClass::Pure);
                let extension = function.extension.is_some() && function.volatility == Volatility::Immutable;
                function.kind == FunctionKind::Function && (declared || extension)
            };
            let per_row = PER_ROW.contains(&bare) && overloads.iter().all(|function| function.extension.is_some());
            match overloads.iter().all(|function| allowed(function)) {
                true => Ok(Nature::Alike),
                false if per_row => Ok(Nature::PerRow),
                false => Err(refuse(RefusalId::FunctionNotDeclared, &[&call.name])),
            }
        }
    }
}

/// What a function of pg_catalog means, by its name and all overloads.
pub(in crate::plan) fn builtin_nature(
    bare: &str,
    overloads: &[std::sync::Arc<crate::catalog::Function>],
) -> Result<Nature, Box<Refusal>> {
    if is_moment(bare) {
        return Ok(Nature::Moment);
    }
    match overloads.iter().map(|function| function.volatility).max() {
        Some(Volatility::Immutable) | None => Ok(Nature::Alike),
        Some(Volatility::Stable) if STABLE.contains(&bare) => Ok(Nature::Alike),
        Some(Volatility::Volatile) if PER_ROW.contains(&bare) => Ok(Nature::PerRow),
        Some(Volatility::Stable | Volatility::Volatile) => Err(refuse(RefusalId::FanOutFunction, &[bare])),
    }
}

/// Text search with the configuration as an argument; without it the session's own decides.
fn is_search(name: &str, call: &FunctionUse<'_>) -> bool {
    let names = [
        "to_tsvector",
        "to_tsquery",
        "plainto_tsquery",
        "phraseto_tsquery",
        "websearch_to_tsquery",
    ];
    let two = call.call.is_some_and(|call| match &call.args {
        FunctionArguments::List(list) => list.args.len() == 2,
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    });
    two && names.contains(&name)
}

/// Does the text hold an operator that may move AND, OR or NOT, or become a label?
pub(in crate::plan) fn is_doubtful(resolved: &Resolved<'_>) -> bool {
    resolved
        .input
        .suspicions
        .iter()
        .any(|suspicion| suspicion.reach == Reach::Condition)
}

/// Names of the functions of the moment.
pub(in crate::plan) fn is_moment(name: &str) -> bool {
    matches!(
        name,
        "now"
            | "current_timestamp"
            | "current_date"
            | "current_time"
            | "localtimestamp"
            | "localtime"
            | "transaction_timestamp"
            | "statement_timestamp"
    )
}

/// An aggregate belongs to the innermost level that its arguments' columns come from; where that isn't the level it is
/// written at, the block outside aggregates without showing it.
fn check_level(resolved: &Resolved<'_>, call: &FunctionUse<'_>) -> Result<(), Box<Refusal>> {
    let (Some(scope), Some(written)) = (call.scope, call.call) else {
        return Ok(());
    };
    if !is_aggregate(call) {
        return Ok(());
    }
    let mut open = Vec::new();
    crate::plan::resolve::function_children(written, &mut open).map_err(|_| super::spread::bug())?;
    let (mut any, mut own) = (false, false);
    while let Some(child) = open.pop() {
        match child {
            // columns inside a subquery may come from anywhere
            Child::Query(_) => return Err(refuse(RefusalId::FanOutOuterAggregate, &[&call.name])),
            Child::Expr(expr) => {
                if let Some(found) = column_level(resolved, scope, expr) {
                    any = true;
                    own |= found == scope.block;
                }
                children(expr, &mut open).map_err(|_| super::spread::bug())?;
            }
        }
    }
    match any && !own {
        true => Err(refuse(RefusalId::FanOutOuterAggregate, &[&call.name])),
        false => Ok(()),
    }
}

fn column_level(resolved: &Resolved<'_>, scope: Scope, expr: &Expr) -> Option<BlockId> {
    let found = match expr {
        Expr::Identifier(ident) => resolved.lookup(scope, &[&ident.value]),
        Expr::CompoundIdentifier(idents) => {
            let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
            resolved.lookup(scope, &names)
        }
        _ => return None,
    };
    match found {
        Lookup::Column(column) => Some(column.block),
        Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => Some(scope.block),
    }
}

/// Does an expression, subqueries left aside, call something of this nature?
pub(super) fn has_nature(resolved: &Resolved<'_>, expr: &Expr, wanted: Nature) -> bool {
    any_call(resolved, expr, |call| nature(resolved, call) == Ok(wanted))
}

/// How many calls of this nature stand in expressions of block `id`, subqueries left aside.
pub(in crate::plan) fn count_nature<'e>(
    resolved: &Resolved<'_>,
    exprs: impl Iterator<Item = &'e Expr>,
    id: BlockId,
    wanted: Nature,
) -> usize {
    let mut open: Vec<Child<'e>> = exprs.map(Child::Expr).collect();
    let mut count = 0usize;
    while let Some(child) = open.pop() {
        let Child::Expr(expr) = child else { continue };
        if let Expr::Function(function) = expr {
            let mut calls = calls_of(resolved, id);
            let call = calls.find(|call| call.call.is_some_and(|written| std::ptr::eq(written, function)));
            count = count.saturating_add(usize::from(
                call.is_some_and(|call| nature(resolved, call) == Ok(wanted)),
            ));
        }
        if children(expr, &mut open).is_err() {
            return 0;
        }
    }
    count
}

/// Does an expression, subqueries left aside, aggregate?
pub(super) fn has_aggregate(resolved: &Resolved<'_>, expr: &Expr) -> bool {
    any_call(resolved, expr, is_aggregate)
}

/// Does an expression, subqueries left aside, give a set of rows?
pub(in crate::plan) fn has_set(resolved: &Resolved<'_>, expr: &Expr) -> bool {
    any_call(resolved, expr, |call| match call.callee {
        Callee::Builtin(overloads) | Callee::User(overloads) => {
            overloads.iter().any(|function| function.returns_set == ReturnsSet::Yes)
        }
        Callee::Grammar | Callee::Missing => false,
    })
}

/// Does an expression hold a subquery?
pub(super) fn has_subquery(expr: &Expr) -> bool {
    let mut open = vec![Child::Expr(expr)];
    while let Some(child) = open.pop() {
        match child {
            Child::Query(_) => return true,
            Child::Expr(expr) => {
                if children(expr, &mut open).is_err() {
                    return true;
                }
            }
        }
    }
    false
}

fn any_call(resolved: &Resolved<'_>, expr: &Expr, test: impl Fn(&FunctionUse<'_>) -> bool) -> bool {
    let mut open = vec![Child::Expr(expr)];
    while let Some(child) = open.pop() {
        let Child::Expr(expr) = child else { continue };
        if let Expr::Function(function) = expr {
            let call = resolved
                .uses
                .functions
                .iter()
                .find(|call| call.call.is_some_and(|written| std::ptr::eq(written, function)));
            if call.is_none_or(&test) {
                return true;
            }
        }
        if children(expr, &mut open).is_err() {
            return true;
        }
    }
    false
}
