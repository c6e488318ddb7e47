//! `SELECT setval(…, (SELECT max(id) FROM t))`, and the same with FROM at its top, as loaders and ORMs set a sequence behind
//! the rows that there are: the aggregates are asked for by a statement of their own, and stand in the text as constants.
//!
//! Why two steps are exact: `setval` takes no lock on the table and belongs to no snapshot, so in Postgres too others may
//! write between the reading of the maximum and the setting. Holds: what is asked for is a SELECT of aggregates, which has
//! one row; of the block that it comes from nothing is left but constants.

use crate::plan::ladder::Case;
use crate::plan::ladder::drawn::{counts_on, is_plain_query, is_plain_select};
use crate::plan::resolve::{BlockKind, Body, Child, QueryId, Resolved, children};
use crate::plan::sequences::{Keyed, Piece, Place, RowAsk, Slots, Template, Words, set_by};
use crate::plan::{RefusalId, refuse};
use crate::sql::TokenKind;
use crate::sql::ast::{Expr, FunctionArguments, ObjectNamePart, Query, Select, SelectItem, SetExpr};

/// Aggregates that have a value of one of these types: [`crate::plan::Found`].
const AGGREGATES: [&str; 4] = ["max", "min", "count", "sum"];

/// The slots and edits of a text.
#[derive(Default)]
struct Found {
    slots: Slots,
    edits: Vec<(Place, Vec<Piece>)>,
}

/// The template of such a statement.
pub(super) fn setval(case: &Case<'_>, resolved: &Resolved<'_>, query: QueryId) -> Option<Template> {
    let node = resolved.queries.get(query.0)?;
    let Body::Block(block) = node.body else { return None };
    let BlockKind::Select(select) = resolved.blocks.get(block.0)?.kind else {
        return None;
    };
    let [item] = select.projection.as_slice() else {
        return None;
    };
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ }) = item else {
        return None;
    };
    let (sequence, values) = set_by(resolved.input, expr)?;
    let words = Words {
        text: case.text,
        tokens: case.tokens,
    };
    let bound = case.tokens.iter().any(|token| token.kind == TokenKind::Parameter);
    let home = case.snapshot.topology().home();
    if bound || counts_on(case.snapshot, &sequence) != home || !is_plain_query(node.query) || !is_plain_select(select) {
        return None;
    }
    let (start, end) = (words.start(), words.end());
    if !words.says(start, "select") {
        return None;
    }
    let mut found = Found::default();
    match select.from.is_empty() {
        false => found.block(words, (start, end), &values)?,
        true => {
            let mut queries = Vec::new();
            for value in &values {
                aggregates(value, &mut Vec::new(), Some(&mut queries))?;
            }
            let spans = subqueries(words, (start, end));
            if queries.is_empty() || queries.len() != spans.len() || select.selection.is_some() {
                return None;
            }
            for (query, span) in queries.into_iter().zip(spans) {
                let (select, expr) = aggregate_block(query)?;
                if select.from.is_empty() {
                    return None;
                }
                found.block(words, span, &[expr])?;
            }
        }
    }
    let instead = refuse(RefusalId::FunctionBesideTable, &["setval"]);
    let Found { slots, edits } = found;
    Some(Template::new(case.tokens, slots, edits, instead, (1, Keyed::Otherwise)))
}

impl Found {
    /// Asks for the aggregates of a block whose tokens are these, from its SELECT on, and leaves its expression alone.
    fn block(&mut self, words: Words<'_>, (select, end): (usize, usize), exprs: &[&Expr]) -> Option<()> {
        let from = words
            .find(select.saturating_add(1), "from")
            .filter(|from| *from < end)?;
        let mut wanted = Vec::new();
        for expr in exprs {
            aggregates(expr, &mut wanted, None)?;
        }
        let calls = calls(words, (select, from));
        let names = calls.iter().map(|(name, _)| *name);
        if wanted.is_empty() || !names.eq(wanted.iter().copied()) {
            return None;
        }
        let list: Option<Vec<&str>> = calls.iter().map(|(_, span)| text(words, *span)).collect();
        let ask = RowAsk {
            text: format!("SELECT {} {}", list?.join(", "), text(words, (from, end))?),
            columns: calls.len(),
        };
        for (column, (_, (first, behind))) in calls.into_iter().enumerate() {
            let slot = self.slots.read(&ask, column);
            self.edits.push((Place::Over(first, behind), vec![Piece::Value(slot)]));
        }
        self.edits.push((Place::Over(from, end), Vec::new()));
        Some(())
    }
}

/// The block of `(SELECT … FROM …)`, if it is plain, and its one expression.
fn aggregate_block(query: &Query) -> Option<(&Select, &Expr)> {
    let SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ }] = select.projection.as_slice()
    else {
        return None;
    };
    (is_plain_query(query) && is_plain_select(select)).then_some((select, expr))
}

/// The aggregates that an expression calls, in order of writing. `None`: it isn't made of them and constants alone; where
/// `queries` are wanted, scalar subqueries may stand in it, and nothing else that reads rows.
fn aggregates<'a>(expr: &'a Expr, calls: &mut Vec<&'a str>, mut queries: Option<&mut Vec<&'a Query>>) -> Option<()> {
    const DEPTH_MAX: usize = 1_000;
    let mut work = vec![expr];
    for _ in 0..DEPTH_MAX {
        let Some(expr) = work.pop() else { return Some(()) };
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => return None,
            Expr::Subquery(query) => {
                queries.as_deref_mut()?.push(query);
                continue;
            }
            Expr::Function(function) => {
                if let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
                    && let Some(known) = AGGREGATES.iter().find(|known| name.value.eq_ignore_ascii_case(known))
                {
                    let plain = function.over.is_none()
                        && function.filter.is_none()
                        && function.within_group.is_empty()
                        && matches!(&function.args, FunctionArguments::List(list)
                            if list.duplicate_treatment.is_none() && list.clauses.is_empty());
                    if !plain || queries.is_some() {
                        return None;
                    }
                    calls.push(known);
                    continue;
                }
            }
            _ => {}
        }
        let mut inside = Vec::new();
        children(expr, &mut inside).ok()?;
        for child in inside.into_iter().rev() {
            match child {
                Child::Expr(expr) => work.push(expr),
                Child::Query(_) => return None,
            }
        }
    }
    None
}

/// Calls of aggregates between two tokens: name, and from the name to behind its `)`.
fn calls(words: Words<'_>, (from, to): (usize, usize)) -> Vec<(&'static str, (usize, usize))> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let name = AGGREGATES.iter().find(|name| words.says(at, name));
        match (name, words.close(at.saturating_add(1))) {
            (Some(name), Some(close)) => {
                found.push((*name, (at, close.saturating_add(1))));
                at = close;
            }
            (_, _) => at = at.saturating_add(1),
        }
    }
    found
}

/// `(SELECT …)` between two tokens, the outermost only: from its SELECT to its `)`.
fn subqueries(words: Words<'_>, (from, to): (usize, usize)) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to {
        let inside = at.saturating_add(1);
        match words.close(at) {
            Some(close) if words.says(inside, "select") => {
                found.push((inside, close));
                at = close;
            }
            Some(_) | None => at = inside,
        }
    }
    found
}

/// The client's own text from a token to before another.
fn text<'a>(words: Words<'a>, (from, to): (usize, usize)) -> Option<&'a str> {
    let start = words.tokens.get(from)?.span.start;
    let end = words.tokens.get(to.checked_sub(1)?)?.span.end;
    std::str::from_utf8(words.text.get(start..end)?).ok()
}
