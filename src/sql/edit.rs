//! Edits of a text by span, and the way back for error positions.
//!
//! Why: a printed tree loses and breaks things (crates.md §3), so what a shard gets is the client's own text with spans
//! replaced. A shard's error position then counts characters of the edited text and must be mapped back.

use super::lexing::Span;

/// A list of edits of one text; spans may come in any order and must not overlap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    edits: Vec<(Span, Vec<u8>)>,
}

/// Maps positions of an edited text to the original. Counts characters, as Postgres does in UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionMap {
    /// in order; between two of them both texts are the same
    changes: Vec<Change>,
    /// if the original was an edited text itself: the way back from there
    further: Option<Box<PositionMap>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    /// characters of the edited text before the new piece, and behind it
    edited: (usize, usize),
    /// characters of the original before the replaced piece, and behind it
    original: (usize, usize),
}

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
        let mut order: Vec<&(Span, Vec<u8>)> = self.edits.iter().collect();
        order.sort_by_key(|(span, _)| (span.start, span.end)); // stable: insertions at one place keep their order
        let added: usize = order.iter().map(|(_, new)| new.len()).sum();
        let mut edited = Vec::with_capacity(text.len().saturating_add(added));
        let mut map = PositionMap::default();
        let (mut at, mut edited_characters, mut original_characters) = (0usize, 0usize, 0usize);
        for (span, new) in order {
            if span.start > span.end {
                return None;
            }
            let kept = text.get(at..span.start)?; // None: overlaps the one before
            let gone = text.get(span.start..span.end)?;
            edited.extend_from_slice(kept);
            edited.extend_from_slice(new);
            let before = (
                edited_characters + characters(kept),
                original_characters + characters(kept),
            );
            edited_characters = before.0 + characters(new);
            original_characters = before.1 + characters(gone);
            map.changes.push(Change {
                edited: (before.0, edited_characters),
                original: (before.1, original_characters),
            });
            at = span.end;
        }
        edited.extend_from_slice(text.get(at..)?);
        Some((edited, map))
    }
}

/// Characters of UTF-8 text: bytes that aren't continuations.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count()
}

impl PositionMap {
    /// Position in the original of `position` in the edited text; both count characters from 1, as `P` of an
    /// ErrorResponse does. A position within a replacement maps to its start.
    pub fn original(&self, position: usize) -> usize {
        let position = self.before(position);
        match &self.further {
            Some(further) => further.original(position),
            None => position,
        }
    }

    fn before(&self, position: usize) -> usize {
        let index = position.saturating_sub(1);
        let behind = self.changes.partition_point(|change| change.edited.0 <= index);
        // the last change that begins at or before the position and isn't empty there
        let Some(change) = behind.checked_sub(1).and_then(|last| self.changes.get(last)) else {
            return position;
        };
        let mapped = match index < change.edited.1 {
            true => change.original.0,
            false => change.original.1 + (index - change.edited.1),
        };
        mapped + 1
    }

    /// This map, of a text that was made of an edited one: `further` maps that one's positions.
    #[must_use]
    pub fn through(self, further: PositionMap) -> PositionMap {
        let further = match self.further {
            Some(nearer) => nearer.through(further),
            None => further,
        };
        PositionMap {
            changes: self.changes,
            further: Some(Box::new(further)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edits_apply_in_order_of_place() {
        let text = "SELECT é, b FROM t".as_bytes();
        let mut edits = Edits::new();
        edits.replace(Span::new(18, 19), "s.u");
        edits.insert(7, "x, ");
        edits.insert(7, "y, ");
        let (edited, map) = edits.apply(text).unwrap();
        assert_eq!(String::from_utf8(edited).unwrap(), "SELECT x, y, é, b FROM s.u");
        let mapped: Vec<usize> = [1, 8, 13, 14, 17, 24, 26, 27]
            .into_iter()
            .map(|p| map.original(p))
            .collect();
        assert_eq!(mapped, [1, 8, 8, 8, 11, 18, 18, 19]);
    }

    #[test]
    fn overlaps_and_strays_are_refused() {
        let mut edits = Edits::new();
        edits.replace(Span::new(1, 3), "x");
        edits.replace(Span::new(2, 4), "y");
        assert_eq!(edits.apply(b"abcdef"), None);
        let mut edits = Edits::new();
        edits.insert(7, "x");
        assert_eq!(edits.apply(b"abcdef"), None);
        assert_eq!(
            Edits::new().apply(b"abc").map(|(text, map)| (text, map.original(2))),
            Some((b"abc".to_vec(), 2))
        );
    }

    proptest! {
        #[test]
        fn kept_characters_map_to_themselves(
            text in "[aé😀]{0,20}",
            cuts in proptest::collection::vec((0usize..20, 0usize..3, "[xé]{0,3}"), 0..4),
        ) {
            let characters: Vec<(usize, char)> = text.char_indices().collect();
            let byte = |n: usize| characters.get(n).map_or(text.len(), |(at, _)| *at);
            let mut edits = Edits::new();
            let mut from = 0;
            for (skip, take, new) in &cuts {
                let start = (from + skip).min(characters.len());
                let stop = (start + take).min(characters.len());
                edits.replace(Span::new(byte(start), byte(stop)), new.replace('é', "z"));
                from = stop + 1;
            }
            let (edited, map) = edits.apply(text.as_bytes()).unwrap();
            let edited = String::from_utf8(edited).unwrap();
            for (n, c) in edited.chars().enumerate() {
                let original = map.original(n + 1);
                prop_assert!(original >= 1 && original <= characters.len() + 1);
                if !matches!(c, 'x' | 'z') {
                    prop_assert_eq!(characters.get(original - 1).map(|(_, c)| *c), Some(c));
                }
            }
        }
    }
}
