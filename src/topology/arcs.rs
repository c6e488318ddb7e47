//! Arcs of the 64-bit token space: equal ones, and what is cut off from them.
//!
//! Why exact arithmetic: an arc is also a predicate in SQL (`token BETWEEN lo AND hi`), and both must agree on every token
//! for any number of arcs, not only powers of two.
//! Holds: a cut leaves all tokens where they are but those from it to the end of the piece that it cuts; a piece keeps its
//! number; where nothing is cut, a look-up is one multiplication.

use super::Token;

/// Equal arcs, some of them cut. Pieces are numbered by age: the equal arcs (their lowest parts, once cut), then one per cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arcs {
    equal: usize,
    /// where the piece `equal + n` begins
    cuts: Vec<Token>,
    /// the same in order of tokens, with their pieces
    sorted: Vec<(Token, usize)>,
}

impl Arcs {
    /// So many equal arcs; at least one.
    pub(super) fn equal(count: usize) -> Arcs {
        Arcs {
            equal: count.max(1),
            cuts: Vec::new(),
            sorted: Vec::new(),
        }
    }

    /// Equal arcs with cuts, oldest first; `None` if one of them cuts nothing off.
    pub(super) fn with_cuts(count: usize, cuts: &[Token]) -> Option<Arcs> {
        let mut arcs = Arcs::equal(count);
        for cut in cuts {
            arcs.cut(*cut)?;
        }
        Some(arcs)
    }

    /// How many equal arcs are underneath.
    pub(super) fn equal_count(&self) -> usize {
        self.equal
    }

    /// Where cut-off pieces begin, oldest first.
    pub(super) fn cuts(&self) -> &[Token] {
        &self.cuts
    }

    /// How many pieces there are.
    pub(super) fn len(&self) -> usize {
        self.equal.saturating_add(self.cuts.len())
    }

    /// The piece that a token falls into.
    pub(super) fn piece_of(&self, token: Token) -> usize {
        let arc = arc_of(token, self.equal);
        if self.sorted.is_empty() {
            return arc;
        }
        let behind = self.sorted.partition_point(|(start, _)| *start <= token);
        match behind.checked_sub(1).and_then(|last| self.sorted.get(last)) {
            Some((start, piece)) if arc_of(*start, self.equal) == arc => *piece,
            Some(_) | None => arc,
        }
    }

    /// First and last token of a piece; `None` if there is no such piece.
    pub(super) fn piece(&self, piece: usize) -> Option<(Token, Token)> {
        let low = match piece.checked_sub(self.equal) {
            None => arc(piece, self.equal)?.0,
            Some(cut) => *self.cuts.get(cut)?,
        };
        let (_, end) = arc(arc_of(low, self.equal), self.equal)?;
        let behind = self.sorted.partition_point(|(start, _)| *start <= low);
        let high = match self.sorted.get(behind) {
            // A cut is never the lowest token.
            Some((cut, _)) if *cut <= end => Token(cut.0.saturating_sub(1)),
            Some(_) | None => end,
        };
        Some((low, high))
    }

    /// Cuts the piece that holds `at` before it: from there on it is a new piece, whose number is the answer. `None` if a
    /// piece begins there already.
    pub(super) fn cut(&mut self, at: Token) -> Option<usize> {
        let (low, _) = self.piece(self.piece_of(at))?;
        if low == at {
            return None;
        }
        let piece = self.len();
        let place = self.sorted.partition_point(|(start, _)| *start < at);
        self.sorted.insert(place, (at, piece));
        self.cuts.push(at);
        Some(piece)
    }

    /// All pieces in order of their tokens.
    pub(super) fn in_order(&self) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        let mut cuts = self.sorted.iter().peekable();
        for arc in 0..self.equal {
            order.push(arc);
            while let Some((_, piece)) = cuts.next_if(|(start, _)| arc_of(*start, self.equal) == arc) {
                order.push(*piece);
            }
        }
        order
    }
}

/// The arc, of `count` equal ones, that a token falls into: floor(position · count / 2^64). Below `count`, unless that is 0.
pub(super) fn arc_of(token: Token, count: usize) -> usize {
    let scaled = u128::from(position(token)) * u128::try_from(count).unwrap_or(0);
    usize::try_from(scaled >> 64).unwrap_or(0)
}

/// First and last token of an arc; `None` if there is no such arc.
pub(super) fn arc(index: usize, count: usize) -> Option<(Token, Token)> {
    if index >= count {
        return None;
    }
    let start = |index: usize| -> Option<u128> {
        let (index, count) = (u128::try_from(index).ok()?, u128::try_from(count).ok()?);
        Some((index << 64).div_ceil(count))
    };
    let low = u64::try_from(start(index)?).ok()?;
    let high = u64::try_from(start(index.checked_add(1)?)?.checked_sub(1)?).ok()?;
    Some((token_at(low), token_at(high)))
}

/// Tokens in order of their signed value, from 0.
fn position(token: Token) -> u64 {
    token.0.cast_unsigned() ^ (1 << 63)
}

fn token_at(position: u64) -> Token {
    Token((position ^ (1 << 63)).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of every arc belong to it, and arcs follow each other: a predicate and a lookup agree on every token.
    #[test]
    fn ends_of_arcs_belong_to_them() {
        for count in [1, 2, 3, 5, 7, 60, 100, 1000, 1024, 4095, 65_535, 65_536] {
            let mut next = Some(i64::MIN);
            for index in 0..count {
                let (low, high) = arc(index, count).unwrap();
                assert_eq!(Some(low.0), next, "arc {index} of {count}");
                assert_eq!(
                    (arc_of(low, count), arc_of(high, count)),
                    (index, index),
                    "arc {index} of {count}"
                );
                next = high.0.checked_add(1);
            }
            assert_eq!(next, None, "{count} arcs");
            assert_eq!(arc(count, count), None);
        }
    }

    /// After any cuts the pieces follow each other without gap, both ends of each belong to it, and only what was cut off
    /// has a new number.
    #[test]
    fn cuts_leave_other_tokens_where_they_are() {
        for count in [1, 2, 3, 7, 1024] {
            let mut arcs = Arcs::equal(count);
            for number in 0_i64..40 {
                // An odd multiplier walks all over the ring.
                let at = Token(number.wrapping_mul(0x1E37_79B9_7F4A_7C15));
                let before = arcs.clone();
                let Some(new) = arcs.cut(at) else {
                    assert_eq!(arcs, before);
                    continue;
                };
                assert_eq!(new, before.len());
                let mut next = Some(i64::MIN);
                for piece in arcs.in_order() {
                    let (low, high) = arcs.piece(piece).unwrap();
                    assert_eq!(Some(low.0), next, "piece {piece} of {count} arcs");
                    for token in [low, high] {
                        assert_eq!(arcs.piece_of(token), piece);
                        let old = before.piece_of(token);
                        assert!(piece == old || (piece == new && token >= at && old == before.piece_of(at)));
                    }
                    next = high.0.checked_add(1);
                }
                assert_eq!(next, None);
                assert_eq!(Arcs::with_cuts(count, arcs.cuts()).as_ref(), Some(&arcs));
            }
            assert_eq!(arcs.piece(arcs.len()), None);
        }
    }
}
