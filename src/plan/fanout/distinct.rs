//! DISTINCT over several shards: each shard groups by all outputs, sorted, and equal rows of several shards become one.
//!
//! Why as GROUP BY: the shards' rows must come sorted for equality alone, text by bytes, and `SELECT DISTINCT` takes no
//! ORDER BY beyond its own outputs; `GROUP BY 1, 2` keeps names, types and the equality that DISTINCT has.

use crate::plan::fanout::draft::{Draft, SortedBy};
use crate::plan::fanout::spec::{Direction, Key, KeyOrder, Method, Nulls, Repeats, Ties};
use crate::plan::fanout::template::{Edit, Template};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Span;

use super::calls;
use super::draft::OutputOf;
use super::group::order_by_text;

/// Plans DISTINCT of a block that doesn't aggregate.
pub(super) fn plan(mut draft: Draft<'_, '_>) -> Result<Template, Box<Refusal>> {
    if calls::is_doubtful(draft.resolved) {
        return Err(refuse(RefusalId::FanOutSuspicious, &[]));
    }
    if draft.limits.ties == Ties::Kept {
        return Err(refuse(RefusalId::FanOutTies, &[]));
    }
    if calls::windows(draft.resolved, draft.id, draft.select) {
        return Err(refuse(RefusalId::FanOutWindow, &[]));
    }
    for output in &draft.outputs {
        if let OutputOf::Entry { expr, .. } = output
            && calls::has_subquery(expr)
        {
            return Err(refuse(RefusalId::FanOutDistinctExpression, &[]));
        }
    }
    // the client's own order first, then the other outputs, so that equal rows are neighbours
    let mut order: Vec<(usize, Direction, Nulls, bool)> = Vec::new();
    for sort in draft.sorts()? {
        let output = match sort.by {
            SortedBy::Output(output) => output,
            SortedBy::Expr(expr, _) => {
                let output = draft.output_of(expr);
                output.ok_or_else(|| refuse(RefusalId::FanOutDistinctExpression, &[]))?
            }
        };
        if !order.iter().any(|(known, ..)| *known == output) {
            order.push((output, sort.direction, sort.nulls, true));
        }
    }
    for output in 0..draft.outputs.len() {
        if !order.iter().any(|(known, ..)| *known == output) {
            order.push((output, Direction::Ascending, Nulls::Last, false));
        }
    }
    let (mut keys, mut pushed) = (Vec::new(), Vec::new());
    for (output, direction, nulls, is_client_order) in order {
        let what = format!("output column {}", output.saturating_add(1));
        let typed = draft
            .output_type(output)
            .ok_or_else(|| refuse(RefusalId::FanOutGroupType, &[&what]))?;
        if is_client_order {
            draft.client_order(Some(typed), &what)?;
        }
        let text = draft.output_text(output)?;
        let key = draft.equality(text, typed);
        let (text, typed, comparator) = key.ok_or_else(|| refuse(RefusalId::FanOutGroupType, &[&what]))?;
        draft.check_encoding(comparator)?;
        pushed.push(order_by_text(&text, typed, direction, nulls));
        let hidden = draft.hide(text);
        keys.push(Key {
            hidden,
            order: KeyOrder::Known(comparator),
            direction,
            nulls,
        });
    }
    if draft.outputs.is_empty() {
        return Err(refuse(RefusalId::FanOutDistinctExpression, &[]));
    }
    draft.cut(draft.clauses.distinct);
    draft.cut(draft.clauses.order_by);
    let ordinals = (1..=draft.outputs.len())
        .map(|ordinal| ordinal.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let at = draft.clauses.filter_end;
    draft
        .edits
        .push((Span::new(at, at), Edit::Fixed(format!(" GROUP BY {ordinals}"))));
    let at = draft.clauses.groups_end;
    draft.edits.push((
        Span::new(at, at),
        Edit::Fixed(format!(" ORDER BY {}", pushed.join(", "))),
    ));
    if draft.limits.is_none() {
        draft.cut_limit();
    } else {
        draft.push_limit();
    }
    draft.steps.push((
        "merge: distinct".to_string(),
        "equal rows of several shards become one".to_string(),
    ));
    Ok(draft.finish(Method::Ordered {
        keys,
        repeats: Repeats::Drop,
    }))
}
