//! The lexer: one pass, the rules of Postgres 15's `scan.l`.
//!
//! Why by hand: a generated scanner is slower, and the SQL parser's own differs from Postgres in places that move keys.
//!
//! Holds: tokens come in order, don't overlap, lie within the text; between them lie only white space and comments. After
//! an error nothing follows.
//!
//! Where the rules come from: `src/backend/parser/scan.l` of 15 (`\v` is not white space there), and `base_yylex` for UESCAPE.
//! Pinned by `tests/sql_corpus.rs` against a server.

use super::error::{ScanError, ScanErrorKind};
use super::lexing::{Encoding, Lexing, Span, StandardStrings};
use super::literal;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// what
    pub kind: TokenKind,
    /// where
    pub span: Span,
}

/// Kinds of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// `name`, keyword or identifier
    Word,
    /// `"Name"`
    QuotedIdentifier,
    /// `U&"name"`, with its UESCAPE if there is one
    UnicodeIdentifier,
    /// `'…'` (under the session's `standard_conforming_strings`), continuation lines included
    String,
    /// `E'…'`
    EscapeString,
    /// `U&'…'`, with its UESCAPE if there is one
    UnicodeString,
    /// `$tag$…$tag$`
    DollarString,
    /// `N'…'`: bpchar
    NationalString,
    /// `B'…'`
    BitString,
    /// `X'…'`
    HexString,
    /// digits only
    Integer,
    /// with a point or an exponent
    Decimal,
    /// `$n`
    Parameter,
    /// `::`
    Cast,
    /// `..`
    DotDot,
    /// `:=`
    ColonEquals,
    /// `=>`
    EqualsGreater,
    /// one of `,()[].;:`
    Punctuation(u8),
    /// any other operator, `+ - * / % ^ < > =` included
    Operator,
    /// a byte that no rule takes: a syntax error in Postgres
    Other(u8),
}

/// Iterator over tokens; ends after the first error.
#[derive(Clone, Debug)]
pub struct Tokens<'a> {
    text: &'a [u8],
    lexing: Lexing,
    at: usize,
    refused: Option<ScanError>,
}

/// Tokens of `text`, lazily.
pub fn tokens(text: &[u8], lexing: Lexing) -> Tokens<'_> {
    let refused = refusal(text, lexing);
    Tokens {
        text,
        lexing,
        at: if refused.is_some() { text.len() } else { 0 },
        refused,
    }
}

/// All tokens of `text`.
pub fn scan(text: &[u8], lexing: Lexing) -> Result<Vec<Token>, ScanError> {
    tokens(text, lexing).collect()
}

/// Longest operator that Postgres takes (NAMEDATALEN - 1).
const OPERATOR_BYTES_MAX: usize = 63;

fn refusal(text: &[u8], lexing: Lexing) -> Option<ScanError> {
    let found = |at: usize, kind| {
        Some(ScanError {
            kind,
            span: Span::new(at, at.saturating_add(1)),
        })
    };
    // `contains` and `is_ascii` read words, not bytes
    if text.contains(&0) {
        return found(
            text.iter().position(|b| *b == 0).unwrap_or_default(),
            ScanErrorKind::Nul,
        );
    }
    match lexing.encoding {
        Encoding::Utf8 | Encoding::HighBit => None,
        Encoding::Unsafe if text.is_ascii() => None,
        Encoding::Unsafe => found(
            text.iter().position(|b| *b >= 0x80).unwrap_or_default(),
            ScanErrorKind::UnsafeEncoding,
        ),
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Token, ScanError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(Some(token)) => Some(Ok(token)),
            Ok(None) => None,
            Err(error) => {
                self.at = self.text.len();
                Some(Err(error))
            }
        }
    }
}

// === character classes of scan.l ===

const SPACE: u8 = 1;
const IDENTIFIER_START: u8 = 2;
const DIGIT: u8 = 4;
const OPERATOR: u8 = 8;
const DOLLAR: u8 = 16;

static CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        table[i] = match b {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c => SPACE,
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | 0x80..=0xff => IDENTIFIER_START,
            b'0'..=b'9' => DIGIT,
            b'$' => DOLLAR,
            b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'+' | b'-' | b'*' | b'/' | b'%' | b'<'
            | b'>' | b'=' => OPERATOR,
            _ => 0,
        };
        i += 1;
    }
    table
};

#[inline]
fn is(byte: Option<u8>, class: u8) -> bool {
    match byte {
        Some(b) => CLASS.get(usize::from(b)).is_some_and(|c| c & class != 0),
        None => false,
    }
}

/// How a quoted run reads backslashes and doubled quotes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    /// `''` is a quote, a backslash is itself
    Plain,
    /// and a backslash takes the next byte with it
    Escape,
    /// the first quote ends it: bit and hexadecimal strings
    Bits,
}

impl Tokens<'_> {
    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.get(at).copied()
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<Token>, ScanError> {
        if let Some(error) = self.refused.take() {
            return Err(error);
        }
        let start = self.skip_blank()?;
        let Some(byte) = self.byte(start) else {
            self.at = start;
            return Ok(None);
        };
        let (kind, end) = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' | 0x80..=0xff => self.word(start, byte)?,
            b'0'..=b'9' => self.number(start)?,
            b'\'' => (
                TokenKind::String,
                self.string(start, 1, self.plain(), ScanErrorKind::UnterminatedString)?,
            ),
            b'"' => (TokenKind::QuotedIdentifier, self.quoted_identifier(start, 1)?),
            b'$' => self.dollar(start)?,
            b'.' if is(self.byte(start + 1), DIGIT) => self.number(start)?,
            b'.' if self.byte(start + 1) == Some(b'.') => (TokenKind::DotDot, start + 2),
            b':' if self.byte(start + 1) == Some(b':') => (TokenKind::Cast, start + 2),
            b':' if self.byte(start + 1) == Some(b'=') => (TokenKind::ColonEquals, start + 2),
            b',' | b'(' | b')' | b'[' | b']' | b'.' | b';' | b':' => (TokenKind::Punctuation(byte), start + 1),
            _ if is(Some(byte), OPERATOR) => self.operator(start)?,
            _ => (TokenKind::Other(byte), start + 1),
        };
        self.at = end;
        Ok(Some(Token {
            kind,
            span: Span::new(start, end),
        }))
    }

    fn error<T>(&self, kind: ScanErrorKind, start: usize, end: usize) -> Result<T, ScanError> {
        Err(ScanError {
            kind,
            span: Span::new(start, end.min(self.text.len())),
        })
    }

    /// Position of the next byte that is neither white space nor comment.
    #[inline]
    fn skip_blank(&self) -> Result<usize, ScanError> {
        let mut at = self.at;
        loop {
            match self.byte(at) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) => at += 1,
                Some(b'-') if self.byte(at + 1) == Some(b'-') => at = self.line_end(at + 2),
                Some(b'/') if self.byte(at + 1) == Some(b'*') => at = self.comment_end(at)?,
                Some(_) | None => return Ok(at),
            }
        }
    }

    fn line_end(&self, from: usize) -> usize {
        let rest = self.text.get(from..).unwrap_or_default();
        rest.iter()
            .position(|b| matches!(b, b'\n' | b'\r'))
            .map_or(self.text.len(), |n| from + n)
    }

    fn comment_end(&self, start: usize) -> Result<usize, ScanError> {
        let mut depth = 1usize;
        let mut at = start + 2;
        while let Some(byte) = self.byte(at) {
            match (byte, self.byte(at + 1)) {
                (b'*', Some(b'/')) => {
                    at += 2;
                    depth -= 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                }
                (b'/', Some(b'*')) => {
                    at += 2;
                    depth += 1;
                }
                _ => at += 1,
            }
        }
        self.error(ScanErrorKind::UnterminatedComment, start, self.text.len())
    }

    fn plain(&self) -> Quoting {
        match self.lexing.strings {
            StandardStrings::On => Quoting::Plain,
            StandardStrings::Off => Quoting::Escape,
        }
    }

    #[inline]
    fn word(&self, start: usize, first: u8) -> Result<(TokenKind, usize), ScanError> {
        let second = self.byte(start + 1);
        if second == Some(b'\'') {
            let prefixed = match first {
                b'e' | b'E' => Some((
                    TokenKind::EscapeString,
                    Quoting::Escape,
                    ScanErrorKind::UnterminatedString,
                )),
                b'n' | b'N' => Some((
                    TokenKind::NationalString,
                    self.plain(),
                    ScanErrorKind::UnterminatedString,
                )),
                b'b' | b'B' => Some((
                    TokenKind::BitString,
                    Quoting::Bits,
                    ScanErrorKind::UnterminatedBitString,
                )),
                b'x' | b'X' => Some((
                    TokenKind::HexString,
                    Quoting::Bits,
                    ScanErrorKind::UnterminatedHexString,
                )),
                _ => None,
            };
            if let Some((kind, quoting, unterminated)) = prefixed {
                return Ok((kind, self.string(start, 2, quoting, unterminated)?));
            }
        }
        if second == Some(b'&') && matches!(first, b'u' | b'U') {
            match self.byte(start + 2) {
                Some(b'\'') if self.lexing.strings == StandardStrings::Off => {
                    return self.error(ScanErrorKind::UnsafeUnicodeString, start, start + 3);
                }
                Some(b'\'') => {
                    let end = self.string(start, 3, Quoting::Plain, ScanErrorKind::UnterminatedString)?;
                    return Ok((TokenKind::UnicodeString, self.uescape(end)?));
                }
                Some(b'"') => {
                    let end = self.quoted_identifier(start, 3)?;
                    return Ok((TokenKind::UnicodeIdentifier, self.uescape(end)?));
                }
                Some(_) | None => {}
            }
        }
        let rest = self.text.get(start + 1..).unwrap_or_default();
        let more = rest
            .iter()
            .position(|b| !is(Some(*b), IDENTIFIER_START | DIGIT | DOLLAR))
            .unwrap_or(rest.len());
        Ok((TokenKind::Word, start + 1 + more))
    }

    /// End of a quoted string that starts at `start` with `prefix` bytes up to and including its first quote; strings that
    /// continue after white space with a newline belong to it.
    fn string(
        &self,
        start: usize,
        prefix: usize,
        quoting: Quoting,
        unterminated: ScanErrorKind,
    ) -> Result<usize, ScanError> {
        let mut at = start + prefix;
        loop {
            match self.byte(at) {
                None => return self.error(unterminated, start, self.text.len()),
                Some(b'\\') if quoting == Quoting::Escape => at += 2,
                Some(b'\'') if quoting != Quoting::Bits && self.byte(at + 1) == Some(b'\'') => at += 2,
                Some(b'\'') => match continuation(self.text, at + 1) {
                    Some(next) => at = next,
                    None => return Ok(at + 1),
                },
                Some(_) => at += 1,
            }
        }
    }

    fn quoted_identifier(&self, start: usize, prefix: usize) -> Result<usize, ScanError> {
        let mut at = start + prefix;
        loop {
            match self.byte(at) {
                None => return self.error(ScanErrorKind::UnterminatedIdentifier, start, self.text.len()),
                Some(b'"') if self.byte(at + 1) == Some(b'"') => at += 2,
                Some(b'"') if at == start + prefix => return self.error(ScanErrorKind::EmptyIdentifier, start, at + 1),
                Some(b'"') => return Ok(at + 1),
                Some(_) => at += 1,
            }
        }
    }

    /// End of a `U&` token that ends at `end`, its UESCAPE included.
    fn uescape(&self, end: usize) -> Result<usize, ScanError> {
        let mut ahead = Tokens {
            text: self.text,
            lexing: self.lexing,
            at: end,
            refused: None,
        };
        let Some(word) = ahead.advance()? else { return Ok(end) };
        if word.kind != TokenKind::Word || !word.span.of(self.text).eq_ignore_ascii_case(b"uescape") {
            return Ok(end);
        }
        let Some(escape) = ahead.advance()? else {
            return self.error(ScanErrorKind::InvalidUescape, word.span.start, word.span.end);
        };
        match literal::uescape_character(escape, self.text, self.lexing) {
            Some(_) => Ok(escape.span.end),
            None => self.error(ScanErrorKind::InvalidUescape, escape.span.start, escape.span.end),
        }
    }

    fn digits_end(&self, mut at: usize) -> usize {
        while is(self.byte(at), DIGIT) {
            at += 1;
        }
        at
    }

    #[inline]
    fn number(&self, start: usize) -> Result<(TokenKind, usize), ScanError> {
        let mut kind = TokenKind::Integer;
        let mut at = self.digits_end(start);
        if self.byte(at) == Some(b'.') {
            if self.byte(at + 1) == Some(b'.') {
                return Ok((TokenKind::Integer, at)); // 1..10
            }
            kind = TokenKind::Decimal;
            at = self.digits_end(at + 1);
        }
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(self.byte(at + 1), Some(b'+' | b'-')));
            let exponent = at + 1 + sign;
            if !is(self.byte(exponent), DIGIT) {
                return self.error(ScanErrorKind::NumberJunk, start, exponent);
            }
            kind = TokenKind::Decimal;
            at = self.digits_end(exponent);
        }
        if is(self.byte(at), IDENTIFIER_START) {
            return self.error(ScanErrorKind::NumberJunk, start, at + 1);
        }
        Ok((kind, at))
    }

    fn dollar(&self, start: usize) -> Result<(TokenKind, usize), ScanError> {
        if is(self.byte(start + 1), DIGIT) {
            let end = self.digits_end(start + 1);
            if is(self.byte(end), IDENTIFIER_START) {
                return self.error(ScanErrorKind::ParameterJunk, start, end + 1);
            }
            return match parameter_number(Span::new(start, end).of(self.text)) {
                Some(_) => Ok((TokenKind::Parameter, end)),
                None => self.error(ScanErrorKind::ParameterTooLarge, start, end),
            };
        }
        let Some(tag) = dollar_tag(self.text, start) else {
            return Ok((TokenKind::Other(b'$'), start + 1));
        };
        let body = tag.end;
        match find(self.text, tag.of(self.text), body) {
            Some(at) => Ok((TokenKind::DollarString, at + tag.len())),
            None => self.error(ScanErrorKind::UnterminatedDollarQuote, start, self.text.len()),
        }
    }

    #[inline]
    fn operator(&self, start: usize) -> Result<(TokenKind, usize), ScanError> {
        let rest = self.text.get(start..).unwrap_or_default();
        let run = rest.iter().position(|b| !is(Some(*b), OPERATOR)).unwrap_or(rest.len());
        let mut operator = rest.get(..run).unwrap_or_default();
        if run > 1 {
            if let Some(comment) = operator.windows(2).position(|pair| pair == b"/*" || pair == b"--") {
                operator = operator.get(..comment).unwrap_or_default();
            }
            let special = |b: &u8| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%');
            while operator.len() > 1
                && matches!(operator.last(), Some(b'+' | b'-'))
                && !operator.iter().rev().skip(1).any(special)
            {
                operator = operator.get(..operator.len() - 1).unwrap_or_default();
            }
        }
        let end = start + operator.len();
        if operator.len() > OPERATOR_BYTES_MAX {
            return self.error(ScanErrorKind::OperatorTooLong, start, end);
        }
        match operator {
            b"=>" => Ok((TokenKind::EqualsGreater, end)),
            _ => Ok((TokenKind::Operator, end)),
        }
    }
}

/// `n` of `$n`; `None` beyond an int4.
pub(super) fn parameter_number(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text.strip_prefix(b"$")?).ok()?;
    u32::try_from(digits.parse::<i32>().ok()?).ok()
}

/// The opening `$tag$` at `start`.
pub(super) fn dollar_tag(text: &[u8], start: usize) -> Option<Span> {
    let mut at = start + 1;
    if is(text.get(at).copied(), IDENTIFIER_START) {
        at += 1;
        while is(text.get(at).copied(), IDENTIFIER_START | DIGIT) {
            at += 1;
        }
    }
    (text.get(at) == Some(&b'$')).then(|| Span::new(start, at + 1))
}

fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let next = text.get(at..)?.iter().position(|b| *b == b'$')?;
        at += next;
        if text.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        at += 1;
    }
}

/// Where a string goes on: `at` is behind a closing quote; the result is behind the opening quote of the next part, if only
/// white space and `--` comments with at least one newline lie between (`quotecontinue`).
pub(super) fn continuation(text: &[u8], mut at: usize) -> Option<usize> {
    let mut newline = false;
    loop {
        match text.get(at)? {
            b'\n' | b'\r' => {
                newline = true;
                at += 1;
            }
            b' ' | b'\t' | 0x0c => at += 1,
            b'-' if text.get(at + 1) == Some(&b'-') => {
                let rest = text.get(at..)?;
                at += rest.iter().position(|b| matches!(b, b'\n' | b'\r'))?;
            }
            b'\'' if newline => return Some(at + 1),
            _ => return None,
        }
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
