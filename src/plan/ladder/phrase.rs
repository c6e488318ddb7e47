//! A statement as a row of words: what stands where, for statements that are told by their tokens alone.
//!
//! Why not trees: the parser knows a part of Postgres's DDL only, and a target that is found by position in its grammar is
//! found whatever stands behind it. Holds: a quoted name is never taken for a keyword.

use std::ops::Range;

use crate::plan::ladder::Case;
use crate::sql::{Identifier, TokenKind, identifiers};
use crate::topology::QualifiedName;

/// One token, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// an unquoted word, folded
    Word(String),
    /// a quoted name, decoded
    Quoted(String),
    /// `(`, `)`, `,`, `.` …
    Mark(u8),
    /// a literal, an operator
    Other,
}

/// A statement's tokens.
#[derive(Clone, Debug)]
pub(super) struct Phrase {
    pieces: Vec<Piece>,
}

/// A name with or without its schema, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Named {
    /// the schema, if given
    pub(super) schema: Option<String>,
    /// the name
    pub(super) name: String,
}

/// An object of a list, and the places that it takes.
pub(super) type Entry = (Named, Range<usize>);

impl Phrase {
    /// The words of a statement; `None` if a name in it can't be decoded.
    pub(super) fn of(case: &Case<'_>) -> Option<Phrase> {
        let mut names = identifiers(case.text, case.lexing).ok()?.into_iter();
        let mut pieces = Vec::with_capacity(case.tokens.len());
        for token in case.tokens {
            pieces.push(match token.kind {
                TokenKind::Word => Piece::Word(decoded(names.next()?)?),
                TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => Piece::Quoted(decoded(names.next()?)?),
                TokenKind::Punctuation(mark) => Piece::Mark(mark),
                TokenKind::Operator if token.span.of(case.text) == b"*" => Piece::Mark(b'*'),
                _ => Piece::Other,
            });
        }
        Some(Phrase { pieces })
    }

    /// The keyword at a place; empty for anything else.
    pub(super) fn keyword(&self, at: usize) -> &str {
        match self.pieces.get(at) {
            Some(Piece::Word(word)) => word,
            Some(Piece::Quoted(_) | Piece::Mark(_) | Piece::Other) | None => "",
        }
    }

    /// The name at a place, quoted or not.
    pub(super) fn name(&self, at: usize) -> Option<&str> {
        match self.pieces.get(at) {
            Some(Piece::Word(name) | Piece::Quoted(name)) => Some(name),
            Some(Piece::Mark(_) | Piece::Other) | None => None,
        }
    }

    /// Whether this mark stands there.
    pub(super) fn is_mark(&self, at: usize, mark: u8) -> bool {
        self.pieces.get(at) == Some(&Piece::Mark(mark))
    }

    /// Whether nothing, or the statement's end, stands there.
    pub(super) fn is_end(&self, at: usize) -> bool {
        at >= self.pieces.len() || self.is_mark(at, b';')
    }

    /// The place behind these words, if they stand at `at`; else `at`.
    pub(super) fn skip(&self, at: usize, words: &[&str]) -> usize {
        match self.stands(at, words) {
            true => at.saturating_add(words.len()),
            false => at,
        }
    }

    /// Whether these words stand at `at`.
    pub(super) fn stands(&self, at: usize, words: &[&str]) -> bool {
        let mut here = words.iter().enumerate();
        here.all(|(index, word)| self.keyword(at.saturating_add(index)) == *word)
    }

    /// Whether these words stand one behind the other anywhere.
    pub(super) fn has(&self, words: &[&str]) -> bool {
        (0..self.pieces.len()).any(|at| self.stands(at, words))
    }

    /// The first place from `from` on, outside parentheses, where one of these keywords stands.
    pub(super) fn find(&self, from: usize, words: &[&str]) -> Option<usize> {
        let mut depth = 0_usize;
        for at in from..self.pieces.len() {
            match self.pieces.get(at) {
                Some(Piece::Mark(b'(')) => depth = depth.saturating_add(1),
                Some(Piece::Mark(b')')) => depth = depth.saturating_sub(1),
                Some(Piece::Word(word)) if depth == 0 && words.contains(&word.as_str()) => return Some(at),
                _ => {}
            }
        }
        None
    }

    /// The name of an object at `at`, and the place behind it. `database.schema.name` is not one that we resolve.
    pub(super) fn object(&self, at: usize) -> Option<(Named, usize)> {
        let first = self.name(at)?.to_owned();
        let dotted = at.saturating_add(1);
        if !self.is_mark(dotted, b'.') {
            let named = Named {
                schema: None,
                name: first,
            };
            return Some((named, dotted));
        }
        let name = self.name(at.saturating_add(2))?.to_owned();
        let named = Named {
            schema: Some(first),
            name,
        };
        let behind = at.saturating_add(3);
        (!self.is_mark(behind, b'.')).then_some((named, behind))
    }

    /// Objects with commas between them, ONLY before and `*` or a list of columns behind each; and the place behind.
    pub(super) fn objects(&self, at: usize) -> Option<(Vec<Named>, usize)> {
        let (entries, behind) = self.entries(at)?;
        Some((entries.into_iter().map(|(named, _)| named).collect(), behind))
    }

    /// The same, each with the places that it takes.
    pub(super) fn entries(&self, at: usize) -> Option<(Vec<Entry>, usize)> {
        let mut at = at;
        let mut found = Vec::new();
        loop {
            let start = at;
            at = self.skip(at, &["only"]);
            let (named, behind) = self.object(at)?;
            at = match self.is_mark(behind, b'*') {
                true => behind.saturating_add(1),
                false => behind,
            };
            if self.is_mark(at, b'(') {
                at = self.behind_parenthesis(at)?;
            }
            found.push((named, start..at));
            if !self.is_mark(at, b',') {
                return Some((found, at));
            }
            at = at.saturating_add(1);
        }
    }

    /// The place behind the parenthesis that opens at `at`.
    pub(super) fn behind_parenthesis(&self, at: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for place in at..self.pieces.len() {
            match self.pieces.get(place) {
                Some(Piece::Mark(b'(')) => depth = depth.saturating_add(1),
                Some(Piece::Mark(b')')) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(place.saturating_add(1));
                    }
                }
                _ => {}
            }
        }
        None
    }

    /// Every word and name with the place where it stands.
    pub(super) fn names(&self) -> impl Iterator<Item = (usize, &str)> {
        (0..self.pieces.len()).filter_map(|at| Some((at, self.name(at)?)))
    }
}

impl Named {
    /// With its schema: the one given, else this one.
    pub(super) fn within(&self, schema: &str) -> QualifiedName {
        QualifiedName::new(self.schema.as_deref().unwrap_or(schema), &self.name)
    }

    /// As written.
    pub(super) fn shown(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        }
    }
}

fn decoded(identifier: Identifier) -> Option<String> {
    match identifier {
        Identifier::Name { name, span: _ } => Some(name),
        Identifier::Undecodable(_) => None,
    }
}
