//! Identifiers as the catalog keeps them: decoded, folded (ASCII only), truncated to 63 bytes at a character boundary.

use super::error::{LiteralError, ScanError};
use super::lexing::{Encoding, Lexing, Span};
use super::literal;
use super::scan::{Token, TokenKind, tokens};

/// One identifier of a text, or a word that may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identifier {
    /// as the catalog keeps it
    Name {
        /// folded
        name: String,
        /// where
        span: Span,
    },
    /// can't be decoded: an escape that isn't valid, or bytes that aren't UTF-8
    Undecodable(Span),
}

/// Longest name in bytes (NAMEDATALEN - 1).
const NAME_BYTES_MAX: usize = 63;

/// Every word and identifier of `text`, keywords included, in order.
pub fn identifiers(text: &[u8], lexing: Lexing) -> Result<Vec<Identifier>, ScanError> {
    let mut found = Vec::new();
    for token in tokens(text, lexing) {
        let token = token?;
        match token.kind {
            TokenKind::Word | TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => {
                found.push(match name_of(token, text, lexing) {
                    Ok(name) => Identifier::Name { name, span: token.span },
                    Err(_) => Identifier::Undecodable(token.span),
                });
            }
            TokenKind::String
            | TokenKind::EscapeString
            | TokenKind::UnicodeString
            | TokenKind::DollarString
            | TokenKind::NationalString
            | TokenKind::BitString
            | TokenKind::HexString
            | TokenKind::Integer
            | TokenKind::Decimal
            | TokenKind::Parameter
            | TokenKind::Cast
            | TokenKind::DotDot
            | TokenKind::ColonEquals
            | TokenKind::EqualsGreater
            | TokenKind::Punctuation(_)
            | TokenKind::Operator
            | TokenKind::Other(_) => {}
        }
    }
    Ok(found)
}

/// An unquoted identifier as Postgres folds and truncates it.
pub fn fold_identifier(word: &str) -> String {
    truncate(word.to_ascii_lowercase())
}

/// The catalog's name for a word or identifier token.
pub(super) fn name_of(token: Token, text: &[u8], lexing: Lexing) -> Result<String, LiteralError> {
    let own = token.span.of(text);
    let bytes = match token.kind {
        TokenKind::Word => own.to_ascii_lowercase(),
        _ => literal::decode(token, text, lexing)?.into_owned(),
    };
    if bytes.is_empty() {
        return Err(LiteralError::InvalidEscape);
    }
    if lexing.encoding != Encoding::Utf8 && !bytes.is_ascii() {
        return Err(LiteralError::InvalidBytes);
    }
    Ok(truncate(
        String::from_utf8(bytes).map_err(|_| LiteralError::InvalidBytes)?,
    ))
}

fn truncate(mut name: String) -> String {
    let mut end = NAME_BYTES_MAX.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = identifiers(text.as_bytes(), Lexing::default()).unwrap();
        let names: Vec<String> = found
            .into_iter()
            .map(|identifier| match identifier {
                Identifier::Name { name, .. } => name,
                Identifier::Undecodable(_) => "?".to_owned(),
            })
            .collect();
        assert_eq!(names, expected, "{text}");
    }

    #[test]
    fn words_fold_and_quotes_decode() {
        check(
            "SELECT Ab, \"Ab\", \"a\"\"b\" FROM Été",
            &["select", "ab", "Ab", "a\"b", "from", "Été"],
        );
        check(r#"FROM U&"\006frders""#, &["from", "orders"]);
        check(r#"FROM U&"!006frders" UESCAPE '!' x"#, &["from", "orders", "x"]);
        check(r#"U&"\zz""#, &["?"]);
        check("'a b' $$c d$$ -- e\n/* f */ g", &["g"]);
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let long = "a".repeat(62);
        check(&format!("{long}éx"), &[&long]);
        check(&format!("{long}xyz"), &[&format!("{long}x")]);
    }

    #[test]
    fn other_encodings_are_undecodable_beyond_ascii() {
        let lexing = Lexing {
            encoding: Encoding::HighBit,
            ..Lexing::default()
        };
        let found = identifiers("abc é".as_bytes(), lexing).unwrap();
        assert!(
            matches!(found.as_slice(), [Identifier::Name { .. }, Identifier::Undecodable(_)]),
            "{found:?}"
        );
    }
}
