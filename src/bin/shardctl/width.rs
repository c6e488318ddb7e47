//! What a text takes of a terminal, and making it fit.
//!
//! Holds: no control character of a value reaches the terminal, so nothing that a client named itself can drive it.

pub(crate) use shardgate::rebalance::columns as width;

/// Control characters escaped.
pub(crate) fn printable(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// A text in no more than so many columns, printable; what is cut is marked.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let text = printable(text);
    if width(&text) <= columns {
        return text;
    }
    let mut kept = String::new();
    let mut taken = 0_usize;
    for character in text.chars() {
        taken = taken.saturating_add(width(character.encode_utf8(&mut [0; 4])));
        if taken >= columns {
            break;
        }
        kept.push(character);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The same, filled with blanks to exactly so many columns.
pub(crate) fn fitted(text: &str, columns: usize) -> String {
    let cut = cut(text, columns);
    let blanks = columns.saturating_sub(width(&cut));
    format!("{cut}{}", " ".repeat(blanks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fitted_takes_its_columns_exactly() {
        for text in [
            "",
            "s0",
            "größe",
            "株式市場",
            "e\u{301}e\u{301}e\u{301}",
            "\x1b[2J",
            "🙂🙂🙂🙂",
        ] {
            for columns in 0..12 {
                let fitted = fitted(text, columns);
                assert_eq!(width(&fitted), columns, "{text:?} in {columns}: {fitted:?}");
                assert!(!fitted.contains(char::is_control), "{fitted:?}");
            }
        }
        assert_eq!(cut("fx_major", 8), "fx_major");
        assert_eq!(cut("fx_major", 5), "fx_m…");
        assert_eq!(cut("株式市場", 6), "株式…");
    }
}
