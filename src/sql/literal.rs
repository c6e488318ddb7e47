//! Literals: where they stand, of which class they are, and their exact value.
//!
//! Holds: `decode` gives what Postgres's lexer hands to its grammar, or an error where it would raise one.

use std::borrow::Cow;

use super::error::LiteralError;
use super::lexing::{Encoding, Lexing, Span, StandardStrings};
use super::scan::{Token, TokenKind, continuation, dollar_tag, tokens};

/// A literal that was lifted out of a statement's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Literal {
    /// where, prefix and quotes included, sign not
    pub span: Span,
    /// its class, which is part of the shape
    pub class: LiteralClass,
}

/// Classes of literals: two texts of one shape have the same class at the same place, hence the same type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LiteralClass {
    /// an integer that fits int4
    Int4,
    /// one that fits int8
    Int8,
    /// a wider one, or one with point or exponent: numeric
    Numeric,
    /// a string of any spelling: unknown
    String,
    /// `N'…'`: bpchar
    National,
    /// `B'…'`: bit
    Bit,
    /// `X'…'`: bit, from hexadecimal digits
    Hex,
}

impl Literal {
    /// Its value: digits as written for numbers, the decoded bytes for strings (in the client's encoding), the digits for
    /// bit and hexadecimal strings. Borrows unless there is something to decode.
    pub fn decode<'a>(&self, text: &'a [u8], lexing: Lexing) -> Result<Cow<'a, [u8]>, LiteralError> {
        let own = self.span.of(text);
        if own.is_empty() {
            return Err(LiteralError::NotALiteral);
        }
        let token = match tokens(own, lexing).next() {
            Some(Ok(token)) if token.span.end == own.len() => token,
            Some(_) | None => return Err(LiteralError::NotALiteral),
        };
        decode(token, own, lexing)
    }
}

/// The class of a literal token; `None` if it isn't one.
#[inline]
pub(super) fn class_of(kind: TokenKind, text: &[u8]) -> Option<LiteralClass> {
    match kind {
        TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::DollarString => {
            Some(LiteralClass::String)
        }
        TokenKind::NationalString => Some(LiteralClass::National),
        TokenKind::BitString => Some(LiteralClass::Bit),
        TokenKind::HexString => Some(LiteralClass::Hex),
        TokenKind::Integer => Some(integer_class(text)),
        TokenKind::Decimal => Some(LiteralClass::Numeric),
        TokenKind::Word
        | TokenKind::QuotedIdentifier
        | TokenKind::UnicodeIdentifier
        | TokenKind::Parameter
        | TokenKind::Cast
        | TokenKind::DotDot
        | TokenKind::ColonEquals
        | TokenKind::EqualsGreater
        | TokenKind::Punctuation(_)
        | TokenKind::Operator
        | TokenKind::Other(_) => None,
    }
}

#[inline]
fn integer_class(digits: &[u8]) -> LiteralClass {
    if digits.len() <= 9 {
        return LiteralClass::Int4;
    }
    let significant = digits
        .iter()
        .position(|b| *b != b'0')
        .map_or(&[][..], |n| digits.get(n..).unwrap_or_default());
    match std::str::from_utf8(significant) {
        Ok("") => LiteralClass::Int4,
        Ok(number) if number.parse::<i32>().is_ok() => LiteralClass::Int4,
        Ok(number) if number.parse::<i64>().is_ok() => LiteralClass::Int8,
        Ok(_) | Err(_) => LiteralClass::Numeric,
    }
}

/// Value of a literal token.
pub(super) fn decode<'a>(token: Token, text: &'a [u8], lexing: Lexing) -> Result<Cow<'a, [u8]>, LiteralError> {
    let own = token.span.of(text);
    let body = |prefix: usize| own.get(prefix..).unwrap_or_default();
    let plain = match lexing.strings {
        StandardStrings::On => Backslash::Ordinary,
        StandardStrings::Off => Backslash::Escape,
    };
    match token.kind {
        TokenKind::Integer | TokenKind::Decimal => Ok(Cow::Borrowed(own)),
        TokenKind::String => quoted(body(1), plain, lexing),
        TokenKind::EscapeString => quoted(body(2), Backslash::Escape, lexing),
        TokenKind::NationalString => quoted(body(2), plain, lexing),
        TokenKind::BitString | TokenKind::HexString => quoted(body(2), Backslash::Ordinary, lexing),
        TokenKind::DollarString => {
            let tag = dollar_tag(own, 0).ok_or(LiteralError::NotALiteral)?;
            Ok(Cow::Borrowed(
                own.get(tag.end..own.len().saturating_sub(tag.len()))
                    .unwrap_or_default(),
            ))
        }
        TokenKind::UnicodeString => {
            let (value, rest) = unquote(body(3), b'\'', Backslash::Ordinary, lexing)?;
            unescape_unicode(value, escape_behind(rest, lexing)?, lexing)
        }
        TokenKind::UnicodeIdentifier => {
            let (value, rest) = unquote(body(3), b'"', Backslash::Ordinary, lexing)?;
            unescape_unicode(value, escape_behind(rest, lexing)?, lexing)
        }
        TokenKind::QuotedIdentifier => Ok(unquote(body(1), b'"', Backslash::Ordinary, lexing)?.0),
        TokenKind::Word
        | TokenKind::Parameter
        | TokenKind::Cast
        | TokenKind::DotDot
        | TokenKind::ColonEquals
        | TokenKind::EqualsGreater
        | TokenKind::Punctuation(_)
        | TokenKind::Operator
        | TokenKind::Other(_) => Err(LiteralError::NotALiteral),
    }
}

/// The character behind UESCAPE, if `token` is a string that holds exactly one that may serve.
pub(super) fn uescape_character(token: Token, text: &[u8], lexing: Lexing) -> Option<u8> {
    match token.kind {
        TokenKind::String | TokenKind::EscapeString | TokenKind::DollarString => {}
        _ => return None,
    }
    match *decode(token, text, lexing).ok()? {
        [b] if !b.is_ascii_hexdigit()
            && !matches!(b, b'+' | b'\'' | b'"' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) =>
        {
            Some(b)
        }
        _ => None,
    }
}

fn escape_behind(rest: &[u8], lexing: Lexing) -> Result<u8, LiteralError> {
    let mut rest_tokens = tokens(rest, lexing);
    match (rest_tokens.next(), rest_tokens.next()) {
        (None, _) => Ok(b'\\'),
        (Some(Ok(_)), Some(Ok(token))) => uescape_character(token, rest, lexing).ok_or(LiteralError::InvalidEscape),
        _ => Err(LiteralError::InvalidEscape),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    Ordinary,
    Escape,
}

fn quoted(body: &[u8], backslash: Backslash, lexing: Lexing) -> Result<Cow<'_, [u8]>, LiteralError> {
    Ok(unquote(body, b'\'', backslash, lexing)?.0)
}

/// Value of a quoted run whose opening quote lies before `body`, and what follows its last quote.
fn unquote(
    body: &[u8],
    quote: u8,
    backslash: Backslash,
    lexing: Lexing,
) -> Result<(Cow<'_, [u8]>, &[u8]), LiteralError> {
    let simple = body
        .iter()
        .position(|b| *b == quote || (*b == b'\\' && backslash == Backslash::Escape));
    if let Some(end) = simple
        && body.get(end) == Some(&quote)
        && body.get(end + 1) != Some(&quote)
        && (quote == b'"' || continuation(body, end + 1).is_none())
    {
        return Ok((
            Cow::Borrowed(body.get(..end).unwrap_or_default()),
            body.get(end + 1..).unwrap_or_default(),
        ));
    }
    let mut value = Vec::with_capacity(body.len());
    let mut at = 0;
    let mut escaped_bytes = false;
    let rest = loop {
        match *body.get(at).ok_or(LiteralError::NotALiteral)? {
            b if b == quote && body.get(at + 1) == Some(&quote) => {
                value.push(quote);
                at += 2;
            }
            b if b == quote => match continuation(body, at + 1) {
                Some(next) if quote == b'\'' => at = next,
                Some(_) | None => break body.get(at + 1..).unwrap_or_default(),
            },
            b'\\' if backslash == Backslash::Escape => {
                let before = value.len();
                at += escape(body.get(at + 1..).unwrap_or_default(), &mut value)?;
                let made = value.get(before..).unwrap_or_default();
                escaped_bytes |= made.iter().any(|b| *b == 0 || *b >= 0x80);
            }
            b => {
                value.push(b);
                at += 1;
            }
        }
    };
    if escaped_bytes {
        check_made(&value, lexing)?;
    }
    Ok((Cow::Owned(value), rest))
}

/// Bytes that came from escapes are in the server's encoding (UTF8): usable only if that is the client's, and valid.
fn check_made(value: &[u8], lexing: Lexing) -> Result<(), LiteralError> {
    match lexing.encoding {
        Encoding::Utf8 if !value.contains(&0) && std::str::from_utf8(value).is_ok() => Ok(()),
        Encoding::Utf8 | Encoding::HighBit | Encoding::Unsafe => Err(LiteralError::InvalidBytes),
    }
}

/// Reads one escape of an `E''` string, `after` beginning behind the backslash; says how many bytes it took with it.
fn escape(after: &[u8], value: &mut Vec<u8>) -> Result<usize, LiteralError> {
    let &first = after.first().ok_or(LiteralError::NotALiteral)?;
    let simple = match first {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'0'..=b'7' => {
            let digits = after.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
            let number = after
                .iter()
                .take(digits)
                .fold(0u32, |n, b| n * 8 + u32::from(*b - b'0'));
            value.push(u8::try_from(number & 0xff).unwrap_or_default());
            return Ok(1 + digits);
        }
        b'x' if after.get(1).is_some_and(u8::is_ascii_hexdigit) => {
            let digits = after
                .iter()
                .skip(1)
                .take(2)
                .take_while(|b| b.is_ascii_hexdigit())
                .count();
            let number = hex(after, 1, digits).unwrap_or_default();
            value.push(u8::try_from(number).unwrap_or_default());
            return Ok(2 + digits);
        }
        b'u' | b'U' => {
            let (number, taken) = unicode_escape(after).ok_or(LiteralError::InvalidEscape)?;
            let (character, more) = match surrogate(number) {
                Surrogate::No => (number, 0),
                Surrogate::Low => return Err(LiteralError::InvalidEscape),
                Surrogate::High => {
                    let behind = after.get(taken..).unwrap_or_default();
                    let second = behind.strip_prefix(b"\\").and_then(unicode_escape);
                    let (low, low_taken) = second.ok_or(LiteralError::InvalidEscape)?;
                    (join_surrogates(number, low)?, low_taken + 1)
                }
            };
            push_character(character, value)?;
            return Ok(1 + taken + more);
        }
        other => other,
    };
    value.push(simple);
    Ok(2)
}

fn hex(text: &[u8], from: usize, digits: usize) -> Option<u32> {
    let run = text.get(from..from.checked_add(digits)?)?;
    run.iter()
        .try_fold(0u32, |n, b| Some(n.checked_mul(16)? + char::from(*b).to_digit(16)?))
}

/// `uXXXX` or `UXXXXXXXX` at the beginning of `text`: its number and length.
fn unicode_escape(text: &[u8]) -> Option<(u32, usize)> {
    match text.first()? {
        b'u' => Some((hex(text, 1, 4)?, 5)),
        b'U' => Some((hex(text, 1, 8)?, 9)),
        _ => None,
    }
}

enum Surrogate {
    High,
    Low,
    No,
}

fn surrogate(number: u32) -> Surrogate {
    match number {
        0xd800..=0xdbff => Surrogate::High,
        0xdc00..=0xdfff => Surrogate::Low,
        _ => Surrogate::No,
    }
}

fn join_surrogates(high: u32, low: u32) -> Result<u32, LiteralError> {
    match surrogate(low) {
        Surrogate::Low => Ok(0x10000 + ((high & 0x3ff) << 10) + (low & 0x3ff)),
        Surrogate::High | Surrogate::No => Err(LiteralError::InvalidEscape),
    }
}

fn push_character(number: u32, value: &mut Vec<u8>) -> Result<(), LiteralError> {
    let character = char::from_u32(number)
        .filter(|c| *c != '\0')
        .ok_or(LiteralError::InvalidEscape)?;
    value.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(())
}

/// `U&` strings and identifiers (`str_udeescape`).
fn unescape_unicode<'a>(text: Cow<'a, [u8]>, escape: u8, lexing: Lexing) -> Result<Cow<'a, [u8]>, LiteralError> {
    if !text.contains(&escape) {
        return Ok(text);
    }
    let mut value = Vec::with_capacity(text.len());
    let mut at = 0;
    let mut pending: Option<u32> = None;
    let mut made = false;
    while let Some(&byte) = text.get(at) {
        if byte == escape && text.get(at + 1) != Some(&escape) {
            let (number, taken) = match text.get(at + 1) {
                Some(b'+') => (hex(&text, at + 2, 6).ok_or(LiteralError::InvalidEscape)?, 8),
                Some(_) | None => (hex(&text, at + 1, 4).ok_or(LiteralError::InvalidEscape)?, 5),
            };
            at += taken;
            let character = match (pending.take(), surrogate(number)) {
                (None, Surrogate::High) => {
                    pending = Some(number);
                    continue;
                }
                (None, Surrogate::Low) => return Err(LiteralError::InvalidEscape),
                (None, Surrogate::No) => number,
                (Some(high), _) => join_surrogates(high, number)?,
            };
            made |= character >= 0x80;
            push_character(character, &mut value)?;
            continue;
        }
        if pending.is_some() {
            return Err(LiteralError::InvalidEscape);
        }
        at += if byte == escape { 2 } else { 1 };
        value.push(byte);
    }
    if pending.is_some() {
        return Err(LiteralError::InvalidEscape);
    }
    if made {
        check_made(&value, lexing)?;
    }
    Ok(Cow::Owned(value))
}

#[cfg(test)]
#[path = "literal_tests.rs"]
mod tests;
