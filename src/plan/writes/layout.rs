//! Where the rows of an INSERT stand among its tokens.
//!
//! Why tokens and not bytes: texts of one shape have the same tokens, so what was found in one holds in all of them.
//! Holds: what is found agrees with the tree in the number of rows and of each row's cells; else nothing is found.

use std::ops::Range;

use crate::sql::{Token, TokenKind};

/// The parts of an INSERT that a split edits, as indices of tokens.
#[derive(Debug)]
pub(super) struct Layout {
    /// each row
    pub(super) rows: Vec<RowAt>,
    /// the parenthesis that closes the list of columns, if there is one
    pub(super) list_end: Option<usize>,
    /// the first token behind table and columns: OVERRIDING or VALUES
    pub(super) source: usize,
}

/// One row.
#[derive(Debug)]
pub(super) struct RowAt {
    /// its opening parenthesis
    pub(super) open: usize,
    /// its closing parenthesis
    pub(super) close: usize,
    /// what stands between its commas
    pub(super) cells: Vec<Range<usize>>,
}

/// What the tree says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// number of cells of each row
    pub(super) widths: &'a [usize],
    /// whether columns are listed
    pub(super) list: Part,
    /// whether OVERRIDING is said
    pub(super) overriding: Part,
}

/// Is a part of the syntax there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    There,
    Absent,
}

/// The tokens that count: all but semicolons around the statement, which its shape doesn't have either.
pub(super) fn significant(tokens: &[Token]) -> Vec<Token> {
    let counts = |token: &&Token| token.kind != TokenKind::Punctuation(b';');
    tokens.iter().filter(counts).copied().collect()
}

/// Finds the rows; `None` where they can't be told for sure.
pub(super) fn find(text: &[u8], tokens: &[Token], expected: Expected<'_>) -> Option<Layout> {
    let values = the_only_values(text, tokens)?;
    let source = match expected.overriding {
        Part::There => values.checked_sub(3)?,
        Part::Absent => values,
    };
    if expected.overriding == Part::There && !is_word(text, tokens.get(source)?, b"overriding") {
        return None;
    }
    let list_end = match expected.list {
        Part::There => Some(source.checked_sub(1)?),
        Part::Absent => None,
    };
    if let Some(at) = list_end
        && tokens.get(at)?.kind != TokenKind::Punctuation(b')')
    {
        return None;
    }
    let mut rows: Vec<RowAt> = Vec::with_capacity(expected.widths.len());
    let mut at = values.checked_add(1)?;
    loop {
        let row = row(tokens, at)?;
        let behind = row.close.checked_add(1)?;
        rows.push(row);
        match tokens.get(behind).map(|token| token.kind) {
            Some(TokenKind::Punctuation(b',')) => at = behind.checked_add(1)?,
            _ => break,
        }
    }
    let widths = rows.iter().map(|row| row.cells.len());
    match widths.eq(expected.widths.iter().copied()) {
        true => Some(Layout { rows, list_end, source }),
        false => None,
    }
}

/// Is it this word, unquoted?
pub(super) fn is_word(text: &[u8], token: &Token, word: &[u8]) -> bool {
    token.kind == TokenKind::Word && token.span.of(text).eq_ignore_ascii_case(word)
}

/// The word VALUES outside all parentheses; `None` if there are several, one of which may be a name.
fn the_only_values(text: &[u8], tokens: &[Token]) -> Option<usize> {
    let mut depth = 0usize;
    let mut found = None;
    for (index, token) in tokens.iter().enumerate() {
        depth = deeper(depth, token)?;
        if depth == 0 && is_word(text, token, b"values") && found.replace(index).is_some() {
            return None;
        }
    }
    found
}

/// The row that opens at a token.
fn row(tokens: &[Token], open: usize) -> Option<RowAt> {
    if tokens.get(open)?.kind != TokenKind::Punctuation(b'(') {
        return None;
    }
    let mut depth = 0usize;
    let mut cells = Vec::new();
    let mut start = open.checked_add(1)?;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        depth = deeper(depth, token)?;
        let ends = depth == 0 || (depth == 1 && token.kind == TokenKind::Punctuation(b','));
        if ends {
            if start >= index {
                return None;
            }
            cells.push(start..index);
            start = index.checked_add(1)?;
        }
        if depth == 0 {
            return Some(RowAt {
                open,
                close: index,
                cells,
            });
        }
    }
    None
}

/// The depth behind a token; `None` below the ground.
fn deeper(depth: usize, token: &Token) -> Option<usize> {
    match token.kind {
        TokenKind::Punctuation(b'(' | b'[') => depth.checked_add(1),
        TokenKind::Punctuation(b')' | b']') => depth.checked_sub(1),
        _ => Some(depth),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Lexing, scan};

    fn found(text: &str, widths: &[usize], list: Part, overriding: Part) -> Option<Vec<String>> {
        let tokens = significant(&scan(text.as_bytes(), Lexing::default()).unwrap());
        let expected = Expected {
            widths,
            list,
            overriding,
        };
        let layout = find(text.as_bytes(), &tokens, expected)?;
        let own = |from: usize, to: usize| text[tokens[from].span.start..tokens[to].span.end].to_string();
        Some(layout.rows.iter().map(|row| own(row.open, row.close)).collect())
    }

    #[test]
    fn rows_end_where_their_parentheses_do() {
        let text = "INSERT INTO t VALUES (1, f(2, ')'), ARRAY[3, 4]) , -- (\n (5,6,(7)) ON CONFLICT (a, b) DO NOTHING;";
        let rows = found(text, &[3, 3], Part::Absent, Part::Absent).unwrap();
        assert_eq!(rows, ["(1, f(2, ')'), ARRAY[3, 4])", "(5,6,(7))"]);
    }

    #[test]
    fn what_the_tree_does_not_say_is_not_found() {
        for (text, widths, list) in [
            ("INSERT INTO t VALUES (1), (2)", vec![1], Part::Absent),
            ("INSERT INTO t VALUES (1, 2), (2)", vec![1, 1], Part::Absent),
            ("INSERT INTO t VALUES (1), (2)", vec![1, 1], Part::There),
            ("INSERT INTO values VALUES (1), (2)", vec![1, 1], Part::Absent),
            ("INSERT INTO values (a) VALUES (1), (2)", vec![1, 1], Part::There),
            ("INSERT INTO t VALUES (1), ()", vec![1, 0], Part::Absent),
        ] {
            assert_eq!(found(text, &widths, list, Part::Absent), None, "{text}");
        }
        let text = "INSERT INTO t (\"values\", b) OVERRIDING SYSTEM VALUE VALUES (1, 2), (2, 3)";
        assert!(found(text, &[2, 2], Part::There, Part::There).is_some());
    }
}
