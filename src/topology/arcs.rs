//! Equal arcs of the 64-bit token space.
//!
//! Why exact arithmetic: an arc is also a predicate in SQL (`token BETWEEN lo AND hi`), and both must agree on every token
//! for any number of arcs, not only powers of two.

use super::Token;

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
}
