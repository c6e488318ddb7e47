//! Ladder step 3 and the ordered part of step 4: each shard's answer is a part of the answer; order and LIMIT are merged.
//!
//! Holds for plain selections, and for grouped, distinct and windowed ones whose groups the key keeps apart: there every
//! group is whole on its shard, so HAVING, windows and any aggregate are the shard's own business.

use crate::plan::fanout::draft::{Draft, SortedBy};
use crate::plan::fanout::spec::{Key, Method, Repeats};
use crate::plan::fanout::template::Template;
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::Distinct;

use super::calls;
use super::spread::bug;
use super::typing::type_of;

/// Plans the union, merged in the client's order if it has one.
pub(super) fn plan(mut draft: Draft<'_, '_>) -> Result<Template, Box<Refusal>> {
    let sorts = draft.sorts()?;
    if !draft.limits.is_none() {
        draft.push_limit();
    }
    let distinct = matches!(draft.select.distinct, Some(Distinct::Distinct));
    let mut keys = Vec::new();
    for (position, sort) in sorts.iter().enumerate() {
        let what = format!("ORDER BY entry {}", position.saturating_add(1));
        let (typed, text) = match sort.by {
            SortedBy::Output(output) => (draft.output_type(output), draft.output_text(output)?),
            // Postgres itself says 42P10; a hidden column would hide that
            SortedBy::Expr(expr, _) if distinct && draft.output_of(expr).is_none() => {
                return Err(refuse(RefusalId::FanOutDistinctExpression, &[]));
            }
            SortedBy::Expr(expr, at) => {
                draft.copyable(expr)?;
                let span = draft.clauses.order_keys.get(at).copied().ok_or_else(bug)?;
                (type_of(draft.resolved, draft.scope(), expr), draft.text_of(span, expr)?)
            }
        };
        let order = draft.client_order(typed, &what)?;
        let hidden = draft.hide(text);
        keys.push(Key {
            hidden,
            order,
            direction: sort.direction,
            nulls: sort.nulls,
        });
    }
    if !keys.is_empty() {
        if calls::is_doubtful(draft.resolved) {
            return Err(refuse(RefusalId::FanOutSuspicious, &[]));
        }
        draft.steps.push((
            format!("merge: order by {} keys", keys.len()),
            "each shard sorts its own rows".to_string(),
        ));
        return Ok(draft.finish(Method::Ordered {
            keys,
            repeats: Repeats::Keep,
        }));
    }
    Ok(draft.finish(Method::Concatenate))
}
