//! Where the clauses of the outermost SELECT stand in the client's text.
//!
//! Why from tokens: spans of composite nodes of the syntax tree aren't reliable, and a tree must never be printed back.
//! Every word that opens a clause is reserved in Postgres, so outside parentheses it opens one, unless it is a label
//! (`AS from`, `t.limit`) or part of an operator (`IS DISTINCT FROM`). What is cut out of the text as an expression is
//! parsed again and compared with the tree before it is used (`text_of`).

use crate::plan::resolve::Input;
use crate::sql::ast::{Expr, SelectItem, SetExpr, Statement};
use crate::sql::{Span, Token, TokenKind, parse};

/// Spans of the outermost SELECT's clauses.
#[derive(Clone, Debug, Default)]
pub(in crate::plan) struct Clauses {
    /// the word DISTINCT
    pub(super) distinct: Option<Span>,
    /// target list: expressions without their labels, `*` entries included
    pub(in crate::plan) entries: Vec<Span>,
    /// where hidden columns are put
    pub(super) targets_end: usize,
    /// `WHERE …`: its expression
    pub(in crate::plan) condition: Option<Span>,
    /// end of FROM and WHERE: where a GROUP BY goes
    pub(in crate::plan) filter_end: usize,
    /// `GROUP BY …`: its expressions
    pub(super) group_by: Vec<Span>,
    /// `HAVING …`, whole
    pub(super) having: Option<Span>,
    /// `ORDER BY …`, whole
    pub(super) order_by: Option<Span>,
    /// its expressions without ASC, NULLS …
    pub(super) order_keys: Vec<Span>,
    /// `LIMIT …`, `OFFSET …`, `FETCH …`, whole
    pub(super) limits: Vec<Span>,
    /// where ORDER BY goes: behind WINDOW and all before it
    pub(super) groups_end: usize,
    /// end of the text but for `;` (or before FOR UPDATE)
    pub(super) end: usize,
}

/// Words that open a clause, in the only order in which they may come.
const OPENERS: [&str; 9] = [
    "from", "where", "group", "having", "window", "order", "limit", "offset", "fetch",
];

/// Finds the clauses; `None` where the outermost query isn't one plain SELECT.
pub(in crate::plan) fn find(input: &Input<'_>) -> Option<Clauses> {
    let top = top_level(input)?;
    let at = top.iter().position(|token| token.is("select"))?;
    let mut clauses = Clauses::default();
    let mut from = at.saturating_add(1);
    if top.get(from).is_some_and(|token| token.is("distinct")) {
        clauses.distinct = top.get(from).map(|token| token.span);
        from = from.saturating_add(1);
        if top.get(from).is_some_and(|token| token.is("on")) {
            // DISTINCT ON (…): the word ON and one group in parentheses
            from = from.saturating_add(2);
        }
    } else if top.get(from).is_some_and(|token| token.is("all")) {
        from = from.saturating_add(1);
    }
    let mut openers: Vec<(usize, &str)> = Vec::new();
    for (index, token) in top.iter().enumerate().skip(from) {
        if token.is("union") || token.is("intersect") || token.is("except") {
            return None;
        }
        let found = OPENERS
            .iter()
            .find(|word| token.is(word))
            .copied()
            .or(token.is("for").then_some("for"));
        let Some(word) = found else { continue };
        let before = index
            .checked_sub(1)
            .filter(|before| *before >= from)
            .and_then(|before| top.get(before));
        let is_label = before.is_some_and(|before| before.is("as") || before.mark == Mark::Dot);
        let after = top.get(index.saturating_add(1));
        let opens = match word {
            "from" => !openers.iter().any(|(_, word)| *word == "from") && !before.is_some_and(|b| b.is("distinct")),
            "group" | "order" => after.is_some_and(|after| after.is("by")),
            _ => true,
        };
        if !is_label && opens {
            openers.push((index, word));
        }
    }
    let last = top.last()?.span.end;
    let start_of = |index: usize| top.get(index).map_or(last, |token| token.span.start);
    let end_before = |index: usize| {
        let before = index.checked_sub(1).and_then(|before| top.get(before));
        before.map_or(last, |token| token.span.end)
    };
    let first = openers.first().map_or(top.len(), |(index, _)| *index);
    clauses.targets_end = end_before(first);
    clauses.entries = split(&top, from, first)
        .into_iter()
        .map(|range| span_of(&top, range))
        .collect();
    clauses.end = openers
        .iter()
        .find(|(_, word)| *word == "for")
        .map_or(last, |(index, _)| end_before(*index));
    clauses.filter_end = end_before(first_of(
        &openers,
        &["group", "having", "window", "order", "limit", "offset", "fetch", "for"],
        top.len(),
    ));
    clauses.groups_end = end_before(first_of(
        &openers,
        &["order", "limit", "offset", "fetch", "for"],
        top.len(),
    ));
    for (position, (index, word)) in openers.iter().enumerate() {
        let next = openers
            .get(position.saturating_add(1))
            .map_or(top.len(), |(index, _)| *index);
        let whole = Span::new(start_of(*index), end_before(next));
        let inside = index.saturating_add(2);
        match *word {
            "where" => clauses.condition = Some(span_of(&top, (index.saturating_add(1), next))),
            "group" => {
                clauses.group_by = split(&top, inside, next)
                    .into_iter()
                    .map(|range| span_of(&top, range))
                    .collect();
            }
            "having" => clauses.having = Some(whole),
            "order" => {
                clauses.order_by = Some(whole);
                let keys = split(&top, inside, next);
                clauses.order_keys = keys.into_iter().map(|range| sort_key(&top, range)).collect();
            }
            "limit" | "offset" | "fetch" => clauses.limits.push(whole),
            _ => {}
        }
    }
    Some(clauses)
}

/// The text of an expression, if what stands at `span` parses to it. An entry's label (`AS x`) is cut off.
pub(in crate::plan) fn text_of(input: &Input<'_>, span: Span, expr: &Expr) -> Option<String> {
    let within = |token: &&Token| span.contains(token.span);
    let tokens: Vec<&Token> = input.tokens.iter().filter(within).collect();
    let mut ends = vec![span.end];
    // without the label, and without AS before it
    for dropped in [1usize, 2] {
        let kept = tokens.len().checked_sub(dropped).and_then(|kept| kept.checked_sub(1));
        ends.extend(kept.and_then(|kept| tokens.get(kept)).map(|token| token.span.end));
    }
    for end in ends {
        let text = Span::new(span.start, end).of(input.text);
        if parses_to(input, text, expr) {
            return String::from_utf8(text.to_vec()).ok();
        }
    }
    None
}

fn parses_to(input: &Input<'_>, text: &[u8], expr: &Expr) -> bool {
    let mut select = b"SELECT ".to_vec();
    select.extend_from_slice(text);
    let Ok(Statement::Query(query)) = parse(&select, input.lexing) else {
        return false;
    };
    match &*query.body {
        SetExpr::Select(select) => match select.projection.as_slice() {
            [SelectItem::UnnamedExpr(parsed)] => parsed == expr && select.from.is_empty() && select.selection.is_none(),
            _ => false,
        },
        _ => false,
    }
}

/// A token outside parentheses, or a whole group in parentheses or brackets.
#[derive(Clone, Copy, Debug)]
struct Top<'a> {
    word: &'a [u8],
    span: Span,
    mark: Mark,
}

/// What a token separates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Comma,
    Dot,
    None,
}

impl Top<'_> {
    fn is(&self, word: &str) -> bool {
        self.word.eq_ignore_ascii_case(word.as_bytes())
    }
}

/// The text as tokens and groups; `None` if it begins with a parenthesis or is unbalanced.
fn top_level<'a>(input: &Input<'a>) -> Option<Vec<Top<'a>>> {
    let mut top: Vec<Top<'a>> = Vec::new();
    let mut depth = 0usize;
    for token in input.tokens {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'[') => {
                if depth == 0 {
                    top.push(Top {
                        word: b"",
                        span: token.span,
                        mark: Mark::None,
                    });
                }
                depth = depth.checked_add(1)?;
            }
            TokenKind::Punctuation(b')' | b']') => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    top.last_mut()?.span.end = token.span.end;
                }
            }
            TokenKind::Punctuation(b';') if depth == 0 => break,
            kind if depth == 0 => top.push(Top {
                word: if kind == TokenKind::Word {
                    token.span.of(input.text)
                } else {
                    b""
                },
                span: token.span,
                mark: match kind {
                    TokenKind::Punctuation(b',') => Mark::Comma,
                    TokenKind::Punctuation(b'.') => Mark::Dot,
                    _ => Mark::None,
                },
            }),
            _ => {}
        }
    }
    (depth == 0 && !top.is_empty()).then_some(top)
}

/// Ranges between the commas of `from..to`; none if it is empty.
fn split(top: &[Top<'_>], from: usize, to: usize) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    let mut start = from;
    for (index, token) in top.iter().enumerate().take(to).skip(from) {
        if token.mark == Mark::Comma {
            ranges.push((start, index));
            start = index.saturating_add(1);
        }
    }
    if start < to {
        ranges.push((start, to));
    }
    ranges
}

fn span_of(top: &[Top<'_>], (from, to): (usize, usize)) -> Span {
    let start = top.get(from).map_or(0, |token| token.span.start);
    let end = to
        .checked_sub(1)
        .and_then(|last| top.get(last))
        .map_or(start, |token| token.span.end);
    Span::new(start, end.max(start))
}

/// A sort key without ASC, DESC, NULLS FIRST, NULLS LAST.
fn sort_key(top: &[Top<'_>], (from, to): (usize, usize)) -> Span {
    let mut to = to;
    let last = |to: usize, words: &[&str]| {
        let token = to.checked_sub(1).filter(|at| *at > from).and_then(|at| top.get(at));
        token.is_some_and(|token| words.iter().any(|word| token.is(word)))
    };
    if last(to, &["first", "last"]) && last(to.saturating_sub(1), &["nulls"]) {
        to = to.saturating_sub(2);
    }
    if last(to, &["asc", "desc"]) {
        to = to.saturating_sub(1);
    }
    span_of(top, (from, to))
}

fn first_of(openers: &[(usize, &str)], words: &[&str], otherwise: usize) -> usize {
    openers
        .iter()
        .find(|(_, word)| words.contains(word))
        .map_or(otherwise, |(index, _)| *index)
}
