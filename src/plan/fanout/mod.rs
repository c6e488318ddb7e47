//! Reads over several shards: which are exact, what each shard is asked, how the answers become one.
//!
//! Why a rule per file and default deny: every construct that no rule proves is refused with its own id, so a wrong merge
//! can't come from something that was overlooked. The order of the rules is that of the ladder: what each shard answers
//! by itself (`union`), then equal rows (`distinct`), then partial aggregates (`group`), then what a server computes over
//! those (`finish`).
//! Holds: each shard gets the client's own target list, untouched, hidden columns behind it; text is edited by span;
//! whatever is asked for twice was parsed again and compared.
//! Absent: writes over several shards, gather, set operations across shards.

mod spec;
mod spread;
mod from;
mod subqueries;
mod apart;
mod calls;
mod typing;
mod clauses;
mod limit;
mod moment;
mod strings;
mod template;
mod draft;
mod union;
mod distinct;
mod group;
mod having;
mod finish;

pub(in crate::plan) use calls::{
    Nature, aggregates, builtin_nature, check as check_calls, count_nature, has_set, is_doubtful, is_moment, nature,
    repeatable, windows,
};
pub(in crate::plan) use clauses::{find as clauses, text_of};
pub(in crate::plan) use moment::{Moment, find as moments, fix_moments, know_moments};
pub use moment::{ask_of, asks_moment, is_transactions_moment, transactions_moment};
pub use spec::{
    Combine, Comparison, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method,
    Nulls, Output, Predicate, Repeats, Scalar, Ties,
};
pub(in crate::plan) use strings::{Moves, moving_parameter, moving_string, pairs};
pub(in crate::plan) use template::Template;

use std::sync::Arc;

use crate::plan::resolve::{BlockId, BlockKind, Body, Outputs, Placement, QueryId, Resolved, Role, Root};
use crate::plan::{Refusal, RefusalId, RowLocks, refuse};
use crate::sql::Span;
use crate::sql::ast::{Distinct, Select, SelectItem};

use draft::Draft;
use limit::Limits;
use spread::{Reader, Spread, Spreads, bug};
use template::{ConstantSource, Edit};

/// Proves a read over several shards exact, or says what blocks it. `resolved` is of the very text that will run: all
/// literals may be read (a cached shape with another text is planned anew).
pub(in crate::plan) fn plan(resolved: &Resolved<'_>) -> Result<Template, Box<Refusal>> {
    let Root::Query(query) = resolved.root else {
        return Err(bug());
    };
    check(resolved, query)?;
    let moments = moment::find(resolved)?;
    let node = resolved.queries.get(query.0).ok_or_else(bug)?;
    let select = match &node.body {
        Body::Block(block) => match resolved.blocks.get(block.0).ok_or_else(bug)?.kind {
            BlockKind::Select(select) => Some((*block, select)),
            BlockKind::Values(_)
            | BlockKind::Table
            | BlockKind::Insert(_)
            | BlockKind::Update(_)
            | BlockKind::Delete
            | BlockKind::Merge(_) => None,
        },
        Body::Query(_) | Body::Set { .. } | Body::Pending => None,
    };
    let spreads = Spreads::new(resolved);
    let Some((id, select)) = select else {
        if calls_per_row(resolved) > 0 {
            return Err(refuse(RefusalId::FanOutVolatile, &[]));
        }
        if !spreads.whole(query)? {
            return Err(bug());
        }
        let form = draft::union_form(width(resolved, &node.body)?);
        return Ok(template_of(
            resolved,
            &moments,
            Vec::new(),
            form,
            Limits::NONE,
            Vec::new(),
            Vec::new(),
        ));
    };
    let aggregates = calls::aggregates(resolved, id, select);
    let reader = match node.query.order_by.is_some() || aggregates {
        true => Reader::Unordered,
        false => Reader::Ordered,
    };
    let Spread::Keyed(group) = spreads.block(id, reader)? else {
        // reference tables alone belong on one shard
        return Err(bug());
    };
    check_per_row(resolved, id, select)?;
    let draft = Draft::new(resolved, query, id, select, moments.clone())?;
    if group::is_local(&spreads, &draft, &group) {
        return union::plan(draft);
    }
    match (&select.distinct, aggregates) {
        (_, true) if !spreads.groups_by_key(id, select, &group) => match group::plan(draft, &group) {
            Err(refusal) if finish::lifts(&refusal) => {
                finish::plan(Draft::new(resolved, query, id, select, moments)?, &group)
            }
            planned => planned,
        },
        (_, _) if !spreads.windows_by_key(id, select, &group) => Err(refuse(RefusalId::FanOutWindow, &[])),
        (Some(Distinct::On(_)), _) => Err(refuse(RefusalId::FanOutDistinctOn, &[])),
        (_, true) => Err(refuse(RefusalId::FanOutDistinctAggregate, &[])),
        (_, false) => distinct::plan(draft),
    }
}

/// What bars a statement from running on several shards wherever it stands.
fn check(resolved: &Resolved<'_>, query: QueryId) -> Result<(), Box<Refusal>> {
    let modifies = |kind: &BlockKind<'_>| match kind {
        BlockKind::Insert(_) | BlockKind::Update(_) | BlockKind::Delete | BlockKind::Merge(_) => true,
        BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table => false,
    };
    if resolved.blocks.iter().any(|block| modifies(&block.kind)) {
        return Err(refuse(RefusalId::WriteSeveralShards, &["WITH"]));
    }
    if resolved.uses.into > 0 {
        return Err(refuse(RefusalId::SelectInto, &[]));
    }
    if !resolved.uses.samples.is_empty() {
        return Err(refuse(RefusalId::TableSample, &["…"]));
    }
    if let Some(column) = resolved.uses.system_columns.first() {
        return Err(refuse(RefusalId::HomeOnly, &[&column.name]));
    }
    if resolved
        .queries
        .iter()
        .any(|node| node.query.with.as_ref().is_some_and(|with| with.recursive))
    {
        return Err(refuse(RefusalId::FanOutRecursive, &[]));
    }
    let joins = resolved.references.len() > 1 || resolved.queries.len() > 1;
    if joins && calls::is_doubtful(resolved) {
        return Err(refuse(RefusalId::FanOutSuspicious, &[]));
    }
    if strings::moving_string(resolved) {
        return Err(refuse(RefusalId::FanOutMoment, &[]));
    }
    check_locks(resolved, query)?;
    calls::check(resolved)
}

/// Row locks: of sharded rows, at the top, and not of more rows than the answer has.
fn check_locks(resolved: &Resolved<'_>, query: QueryId) -> Result<(), Box<Refusal>> {
    if resolved.uses.locks == 0 {
        return Ok(());
    }
    let top = resolved.queries.get(query.0).ok_or_else(bug)?.query;
    let sharded = |reference: &crate::plan::resolve::Reference<'_>| {
        reference.role == Role::Read && matches!(reference.placement, Placement::Sharded { .. })
    };
    let plain = top.locks.len() == resolved.uses.locks
        && top.limit_clause.is_none()
        && top.fetch.is_none()
        && resolved.references.iter().all(sharded);
    match plain {
        true => Ok(()),
        false => Err(refuse(RefusalId::FanOutLock, &[])),
    }
}

/// How often a function with a value per row is called.
fn calls_per_row(resolved: &Resolved<'_>) -> usize {
    let per_row = |call: &&crate::plan::resolve::FunctionUse<'_>| calls::nature(resolved, call) == Ok(Nature::PerRow);
    resolved.uses.functions.iter().filter(per_row).count()
}

/// A value per row is the client's only where every row is evaluated once: in the target list and WHERE of the outermost
/// block, neither grouped nor made distinct.
fn check_per_row(resolved: &Resolved<'_>, id: BlockId, select: &Select) -> Result<(), Box<Refusal>> {
    let all = calls_per_row(resolved);
    if all == 0 {
        return Ok(());
    }
    let targets = select.projection.iter().filter_map(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    });
    let allowed = calls::count_nature(resolved, targets.chain(&select.selection), id, Nature::PerRow);
    match allowed == all && !calls::aggregates(resolved, id, select) && select.distinct.is_none() {
        true => Ok(()),
        false => Err(refuse(RefusalId::FanOutVolatile, &[])),
    }
}

/// Number of columns of a body that is no plain SELECT.
pub(in crate::plan) fn width(resolved: &Resolved<'_>, body: &Body) -> Result<usize, Box<Refusal>> {
    let mut at = body;
    // each step goes down one level
    for _ in 0..=resolved.queries.len().saturating_add(resolved.blocks.len()) {
        match at {
            Body::Block(block) => {
                return match &resolved.blocks.get(block.0).ok_or_else(bug)?.outputs {
                    Outputs::Known(outputs) => Ok(outputs.len()),
                    Outputs::Unknown => Err(refuse(RefusalId::FanOutStar, &[])),
                };
            }
            Body::Query(query) => at = &resolved.queries.get(query.0).ok_or_else(bug)?.body,
            Body::Set { left, right: _ } => at = left,
            Body::Pending => break,
        }
    }
    Err(bug())
}

/// A finished template: the moments become edits too.
fn template_of(
    resolved: &Resolved<'_>,
    moments: &[(Span, Moment)],
    mut edits: Vec<(Span, Edit)>,
    form: impl Into<Arc<MergeForm>>,
    limits: Limits,
    constants: Vec<ConstantSource>,
    steps: Vec<(String, String)>,
) -> Template {
    put_moments(moments, &mut edits);
    let parameters = resolved.uses.parameters.iter().copied().max().unwrap_or(0);
    Template {
        text: resolved.input.text.to_vec(),
        edits,
        form: form.into(),
        limits,
        constants,
        moments: moments.iter().map(|(_, moment)| *moment).collect(),
        parameters: usize::try_from(parameters).unwrap_or(usize::MAX),
        steps,
        finish: None,
        row_locks: match resolved.uses.locks {
            0 => RowLocks::No,
            _ => RowLocks::Yes,
        },
    }
}

/// Moments become constants. One inside a clause that is cut out goes with it.
fn put_moments(moments: &[(Span, Moment)], edits: &mut Vec<(Span, Edit)>) {
    let cut: Vec<Span> = edits
        .iter()
        .map(|(span, _)| *span)
        .filter(|span| !span.is_empty())
        .collect();
    for (index, (span, _)) in moments.iter().enumerate() {
        if !cut.iter().any(|cut| cut.contains(*span)) {
            edits.push((*span, Edit::Moment(index)));
        }
    }
}
