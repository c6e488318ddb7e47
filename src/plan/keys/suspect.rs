//! Conjuncts whose tree may differ from Postgres's: they give no key.
//!
//! Why by tokens: spans of composite nodes aren't reliable, those of names and values are. A conjunct reaches from its
//! first leaf to its last, and outwards to the next parenthesis or AND.

use crate::plan::resolve::{Block, Child, Conjunct, ConjunctTest, Origin, Resolved, children};
use crate::sql::ast::Expr;
use crate::sql::{Lexing, Span, Token, TokenKind, byte_span, suspicious};

/// What is suspicious in a statement.
#[derive(Debug)]
pub(super) struct Suspects<'r> {
    text: &'r [u8],
    tokens: &'r [Token],
    spans: Vec<Span>,
    statement: Trust,
    views: Trust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    ByConjunct,
    None,
}

// === impl Suspects ===

impl<'r> Suspects<'r> {
    pub(super) fn new(resolved: &Resolved<'r>) -> Suspects<'r> {
        let input = resolved.input;
        // These can move AND, OR and NOT themselves.
        let moves_connectives = input.suspicions.iter().any(|suspicion| {
            let text = suspicion.span.of(input.text).to_ascii_lowercase();
            let holds = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
            holds(b"null") || holds(b"@@@") || holds(b"between")
        });
        let views = input.views.iter().any(|view| {
            suspicious(view.text.as_bytes(), Lexing::default()).map_or(true, |suspicions| !suspicions.is_empty())
        });
        let trust = |distrusted| if distrusted { Trust::None } else { Trust::ByConjunct };
        Suspects {
            text: input.text,
            tokens: input.tokens,
            spans: input.suspicions.iter().map(|suspicion| suspicion.span).collect(),
            statement: trust(moves_connectives),
            views: trust(views),
        }
    }

    /// May the conjunct's tree be wrong?
    pub(super) fn suspects(&self, block: &Block<'_>, conjunct: &Conjunct<'_>) -> bool {
        let expr = match conjunct.test {
            ConjunctTest::Expression(expr) => expr,
            ConjunctTest::Equal(_, _) => return false,
        };
        match (block.origin, self.statement, self.views) {
            (Origin::Statement, Trust::None, _) | (Origin::View, _, Trust::None) => true,
            (Origin::View, _, Trust::ByConjunct) => false,
            (Origin::Statement, Trust::ByConjunct, _) if self.spans.is_empty() => false,
            (Origin::Statement, Trust::ByConjunct, _) => match self.reach(expr) {
                Some(reach) => self
                    .spans
                    .iter()
                    .any(|span| span.start < reach.end && reach.start < span.end),
                None => true,
            },
        }
    }

    /// From the token behind the AND or parenthesis before a conjunct to the one before that behind it.
    fn reach(&self, expr: &Expr) -> Option<Span> {
        let leaves = leaves(expr)?;
        let ends = |token: &Token| match token.kind {
            TokenKind::Punctuation(b'(' | b')' | b';') => true,
            TokenKind::Word => {
                let word = token.span.of(self.text);
                [&b"and"[..], b"where", b"on"]
                    .iter()
                    .any(|end| word.eq_ignore_ascii_case(end))
            }
            _ => false,
        };
        let before = self
            .tokens
            .iter()
            .rev()
            .skip_while(|token| token.span.start >= leaves.start)
            .find(|token| ends(token));
        let behind = self
            .tokens
            .iter()
            .skip_while(|token| token.span.end <= leaves.end)
            .find(|token| ends(token));
        Some(Span::new(
            before.map_or(0, |token| token.span.end),
            behind.map_or(self.text.len(), |token| token.span.start),
        ))
    }
}

/// From the first leaf of an expression to its last; `None` if it has none, or isn't understood.
fn leaves(expr: &Expr) -> Option<Span> {
    let mut open = vec![expr];
    let mut inside = Vec::new();
    let mut reach: Option<Span> = None;
    while let Some(expr) = open.pop() {
        let spans: Vec<_> = match expr {
            Expr::Identifier(ident) => vec![ident.span],
            Expr::CompoundIdentifier(idents) => idents.iter().map(|ident| ident.span).collect(),
            Expr::Value(value) => vec![value.span],
            Expr::TypedString(typed) => vec![typed.value.span],
            _ => Vec::new(),
        };
        for span in spans.into_iter().filter_map(byte_span) {
            reach = Some(reach.map_or(span, |all| Span::new(all.start.min(span.start), all.end.max(span.end))));
        }
        children(expr, &mut inside).ok()?;
        for child in inside.drain(..) {
            match child {
                Child::Expr(expr) => open.push(expr),
                // A subquery's own conjuncts are judged by themselves; this one is then opaque but for membership.
                Child::Query(_) => {}
            }
        }
    }
    reach
}
