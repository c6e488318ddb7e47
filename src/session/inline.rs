//! EXECUTE over several shards: the arguments take the parameters' places in the prepared text.
//!
//! Why: the planner reads keys from constants; with the arguments in place EXECUTE is planned as any statement is.
//! Holds: only where that means the same: an argument is a plain constant, cast to the declared type where PREPARE
//! declared one; without a declaration only constants whose type is taken from the context, as a parameter's is.

use crate::session::error::Failure;
use crate::sql::{self, Edits, Lexing, TokenKind};

/// The text of a prepared body with its parameters replaced.
pub(super) fn inline_arguments(
    body: &[u8],
    types: &[&[u8]],
    arguments: &[&[u8]],
    lexing: Lexing,
) -> Result<Vec<u8>, Failure> {
    let tokens = sql::scan(body, lexing)?;
    let mut edits = Edits::new();
    let mut used = 0;
    for token in &tokens {
        if token.kind != TokenKind::Parameter {
            continue;
        }
        let number = std::str::from_utf8(token.span.of(body))
            .ok()
            .and_then(|text| text.strip_prefix('$'))
            .and_then(|digits| digits.parse::<usize>().ok())
            .and_then(|number| number.checked_sub(1))
            .ok_or(Failure::Bug("a parameter without a number"))?;
        used = used.max(number.saturating_add(1));
        let Some(argument) = arguments.get(number) else {
            return Err(Failure::ArgumentCount {
                given: arguments.len(),
                wanted: used,
            });
        };
        let inlined = match types.get(number) {
            Some(declared) => [b"(", *argument, b")::", *declared].concat(),
            None if takes_type_from_context(argument, lexing)? => argument.to_vec(),
            None => {
                return Err(Failure::NotInThisVersion {
                    construct: "EXECUTE with an argument that is no plain constant, of a statement prepared without types",
                });
            }
        };
        if !is_constant(argument, lexing)? {
            return Err(Failure::NotInThisVersion {
                construct: "EXECUTE with an argument that is no constant",
            });
        }
        edits.replace(token.span, [b"(", inlined.as_slice(), b")"].concat());
    }
    let wanted = used.max(types.len());
    if arguments.len() != wanted {
        return Err(Failure::ArgumentCount {
            given: arguments.len(),
            wanted,
        });
    }
    edits
        .apply(body)
        .map(|(text, _)| text)
        .ok_or(Failure::Bug("parameters overlap"))
}

/// One literal, perhaps with a sign.
fn is_constant(argument: &[u8], lexing: Lexing) -> Result<bool, Failure> {
    let tokens = sql::scan(argument, lexing)?;
    Ok(match tokens.as_slice() {
        [one] => is_literal(one.kind) || is_word(one.span.of(argument)),
        [sign, number] => matches!(sign.span.of(argument), b"-" | b"+") && is_number(number.kind),
        _ => false,
    })
}

fn is_string(kind: TokenKind) -> bool {
    matches!(
        kind,
        TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::DollarString
    )
}

fn is_number(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Integer | TokenKind::Decimal)
}

fn is_literal(kind: TokenKind) -> bool {
    is_string(kind)
        || is_number(kind)
        || matches!(
            kind,
            TokenKind::NationalString | TokenKind::BitString | TokenKind::HexString
        )
}

fn is_word(text: &[u8]) -> bool {
    [&b"null"[..], b"true", b"false"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

/// A string, NULL or an integer: typed by its context in the same way as a parameter would be.
fn takes_type_from_context(argument: &[u8], lexing: Lexing) -> Result<bool, Failure> {
    let tokens = sql::scan(argument, lexing)?;
    Ok(match tokens.as_slice() {
        [one] => {
            let text = one.span.of(argument);
            is_string(one.kind) || text.eq_ignore_ascii_case(b"null") || text.iter().all(u8::is_ascii_digit)
        }
        [sign, number] => sign.span.of(argument) == b"-" && number.span.of(argument).iter().all(u8::is_ascii_digit),
        _ => false,
    })
}
