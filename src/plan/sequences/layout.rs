//! Where the parts of an INSERT or of a SELECT list stand, by tokens.
//!
//! Why by tokens: the places are the same in every text of a shape, whatever the literals' lengths, and the tree gives no
//! spans that could be relied on. What is found is held against the tree by the caller.

use crate::sql::{Token, TokenKind};

/// A text's tokens, read by position.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Words<'a> {
    /// the text
    pub(in crate::plan) text: &'a [u8],
    /// its tokens
    pub(in crate::plan) tokens: &'a [Token],
}

/// An INSERT's parts, as positions of tokens.
#[derive(Debug)]
pub(in crate::plan) struct Layout {
    /// the last token of the target, its alias included
    pub(in crate::plan) target: usize,
    /// the `)` of the column list
    pub(in crate::plan) list: Option<usize>,
    /// the word behind OVERRIDING
    pub(in crate::plan) overriding: Option<usize>,
    /// what is inserted
    pub(in crate::plan) source: SourceLayout,
}

/// An INSERT's rows.
#[derive(Debug)]
pub(in crate::plan) enum SourceLayout {
    /// DEFAULT VALUES: its two words
    Defaults(usize, usize),
    /// VALUES: its word, and the rows
    Rows(usize, Vec<RowLayout>),
    /// a query
    Other,
}

/// One row in parentheses.
#[derive(Debug)]
pub(in crate::plan) struct RowLayout {
    /// its `)`
    pub(in crate::plan) close: usize,
    /// its cells, each from a token to the one behind its last
    pub(in crate::plan) cells: Vec<(usize, usize)>,
}

// === impl Words ===

impl Words<'_> {
    /// The kind of the token at `at`.
    pub(super) fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    pub(super) fn is(&self, at: usize, byte: u8) -> bool {
        self.kind(at) == Some(TokenKind::Punctuation(byte))
    }

    /// Is the token at `at` this keyword?
    pub(in crate::plan) fn says(&self, at: usize, word: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| {
            token.kind == TokenKind::Word && token.span.of(self.text).eq_ignore_ascii_case(word.as_bytes())
        })
    }

    /// The first token that is no `;`.
    pub(in crate::plan) fn start(&self) -> usize {
        (0..self.tokens.len())
            .find(|at| !self.is(*at, b';'))
            .unwrap_or_default()
    }

    /// Behind the last token that is no `;`.
    pub(in crate::plan) fn end(&self) -> usize {
        let last = (0..self.tokens.len()).rev().find(|at| !self.is(*at, b';'));
        last.map_or(0, |at| at.saturating_add(1))
    }

    /// The entries of a list between `from` and `to`, split at commas outside parentheses and brackets.
    pub(super) fn entries(&self, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut entries = Vec::new();
        let (mut depth, mut begin) = (0usize, from);
        for at in from..to {
            match self.kind(at) {
                Some(TokenKind::Punctuation(b'(' | b'[')) => depth = depth.saturating_add(1),
                Some(TokenKind::Punctuation(b')' | b']')) => depth = depth.saturating_sub(1),
                Some(TokenKind::Punctuation(b',')) if depth == 0 => {
                    entries.push((begin, at));
                    begin = at.saturating_add(1);
                }
                _ => {}
            }
        }
        entries.push((begin, to));
        entries
    }

    /// The `)` of the `(` at `open`.
    pub(in crate::plan) fn close(&self, open: usize) -> Option<usize> {
        if !self.is(open, b'(') {
            return None;
        }
        let mut depth = 0usize;
        for at in open..self.tokens.len() {
            match self.kind(at) {
                Some(TokenKind::Punctuation(b'(')) => depth = depth.saturating_add(1),
                Some(TokenKind::Punctuation(b')')) => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// The first keyword like this behind `from`, outside parentheses.
    pub(in crate::plan) fn find(&self, from: usize, word: &str) -> Option<usize> {
        let mut at = from;
        while at < self.tokens.len() {
            if self.says(at, word) {
                return Some(at);
            }
            at = self.close(at).unwrap_or(at).saturating_add(1);
        }
        None
    }

    /// The one word that stands here, in lower case.
    pub(super) fn word(&self, (from, to): (usize, usize)) -> Option<Vec<u8>> {
        let token = self.tokens.get(from)?;
        let alone = token.kind == TokenKind::Word && to == from.saturating_add(1);
        alone.then(|| token.span.of(self.text).to_ascii_lowercase())
    }

    /// The one integer that stands here.
    pub(super) fn number(&self, (from, to): (usize, usize)) -> Option<u32> {
        let token = self.tokens.get(from)?;
        let alone = token.kind == TokenKind::Integer && to == from.saturating_add(1);
        let digits = std::str::from_utf8(token.span.of(self.text)).ok()?;
        digits.parse().ok().filter(|_| alone)
    }

    /// Is the INSERT's source over here?
    pub(super) fn ends(&self, at: usize) -> bool {
        at == self.end() || self.says(at, "returning") || self.says(at, "on")
    }

    /// Rows in parentheses, the first one at `first`, and what comes behind them.
    pub(super) fn rows(&self, first: usize) -> Option<(Vec<RowLayout>, usize)> {
        let mut rows = Vec::new();
        let mut open = first;
        loop {
            let close = self.close(open)?;
            rows.push(RowLayout {
                close,
                cells: self.entries(open.saturating_add(1), close),
            });
            if !self.is(close.saturating_add(1), b',') {
                return Some((rows, close.saturating_add(1)));
            }
            open = close.saturating_add(2);
        }
    }

    /// The call of a function of this name that begins within a cell: from its name (or schema) to behind its `)`.
    pub(in crate::plan) fn call(&self, (from, to): (usize, usize), name: &str) -> Option<(usize, usize)> {
        let at = (from..to).find(|at| self.says(*at, name) && self.is(at.saturating_add(1), b'('))?;
        let end = self.close(at.saturating_add(1))?.saturating_add(1);
        let schema = at.checked_sub(2).filter(|schema| *schema >= from);
        let begin = schema.filter(|schema| self.is(schema.saturating_add(1), b'.'));
        (end <= to).then_some((begin.unwrap_or(at), end))
    }
}

/// The parts of an INSERT; `None` for another statement. `columns`: how many it names.
pub(in crate::plan) fn insert_layout(words: Words<'_>, columns: usize) -> Option<Layout> {
    let start = words.start();
    if !words.says(start, "insert") || !words.says(start.saturating_add(1), "into") {
        return None;
    }
    let mut at = start.saturating_add(2); // the first part of the name
    while words.is(at.saturating_add(1), b'.') {
        at = at.saturating_add(2);
    }
    if words.says(at.saturating_add(1), "as") {
        at = at.saturating_add(2);
    }
    let target = at;
    at = at.saturating_add(1);
    let mut list = None;
    if columns > 0 {
        let close = words.close(at)?;
        list = Some(close);
        at = close.saturating_add(1);
    }
    let mut overriding = None;
    if words.says(at, "overriding") {
        overriding = Some(at.saturating_add(1));
        at = at.saturating_add(3);
    }
    let source = match (words.says(at, "default"), words.says(at, "values")) {
        (true, _) if words.says(at.saturating_add(1), "values") => SourceLayout::Defaults(at, at.saturating_add(1)),
        (false, true) => SourceLayout::Rows(at, words.rows(at.saturating_add(1))?.0),
        _ => SourceLayout::Other,
    };
    Some(Layout {
        target,
        list,
        overriding,
        source,
    })
}

/// The entries of the list of a SELECT that has nothing else.
pub(in crate::plan) fn select_items(words: Words<'_>) -> Option<Vec<(usize, usize)>> {
    let (start, end) = (words.start(), words.end());
    words
        .says(start, "select")
        .then(|| words.entries(start.saturating_add(1), end))
}
