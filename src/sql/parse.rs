//! The parser behind the door: sqlparser on *our* tokens.
//!
//! Why: its own tokenizer differs from Postgres's (`==`, `U&"x"`, custom operators, `standard_conforming_strings`, N'…'), so
//! it gets tokens that our lexer made, already decoded, with byte offsets in the place of columns. What the router saw and
//! what a shard will run can then differ in structure only where `suspicious` says so.
//!
//! Holds: bounded input (bytes, nesting, length of an operator chain, since trees of one are as deep as it is long); one
//! statement; every token used.

use sqlparser::ast;
use sqlparser::ast::DollarQuotedString;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token as Theirs, TokenWithSpan, Whitespace};

use super::error::{LiteralError, ParseFailure};
use super::identifier::name_of;
use super::lexing::{Lexing, Span};
use super::literal;
use super::scan::{Token, TokenKind, dollar_tag, scan};

/// Longest text that is analysed: at 0.06 µs a byte this is the longest time that the parser may take.
const BYTES_MAX: usize = 1 << 20;
/// Nesting of parentheses and subqueries.
const DEPTH_MAX: usize = 50;
/// Operators in one chain (`a OR b OR …`): its tree is that deep, and is walked and dropped recursively.
const CHAIN_MAX: usize = 500;

/// The tree of exactly one statement; `;` around it are allowed. Unquoted identifiers in it are folded and truncated,
/// quoted ones decoded and truncated: `Ident::value` is the catalog's name. Infix operators beyond the common ones come as
/// `BinaryOperator::Custom` with their text (`~`, `~~`, `@@@`, `==`). Spans carry byte offsets: see [`byte_span`].
pub fn parse(text: &[u8], lexing: Lexing) -> Result<ast::Statement, ParseFailure> {
    if text.len() > BYTES_MAX {
        return Err(ParseFailure::TooLong {
            bytes: text.len(),
            max: BYTES_MAX,
        });
    }
    let all = scan(text, lexing)?;
    let semicolon = |t: &&Token| t.kind == TokenKind::Punctuation(b';');
    let before = all.iter().take_while(semicolon).count();
    let behind = all.iter().rev().take_while(semicolon).count();
    let tokens = all.get(before..all.len().saturating_sub(behind)).unwrap_or_default();
    if tokens.is_empty() || tokens.iter().any(|t| semicolon(&t)) {
        return Err(ParseFailure::NotOneStatement);
    }
    if longest_chain(tokens, text) > CHAIN_MAX {
        return Err(ParseFailure::TooDeep);
    }
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(DEPTH_MAX)
        .with_tokens_with_locations(translate(tokens, text, lexing)?);
    let bare_table = tokens
        .first()
        .is_some_and(|token| token.kind == TokenKind::Word && token.span.of(text).eq_ignore_ascii_case(b"table"));
    // `TABLE t` is a query to it only inside another.
    let statement = match bare_table {
        true => parser.parse_query().map(ast::Statement::Query),
        false => parser.parse_statement(),
    };
    let statement = statement.map_err(failure)?;
    match parser.peek_token().token {
        Theirs::EOF => Ok(statement),
        other => Err(ParseFailure::Unsupported {
            message: format!("syntax not analysed: \"{other}\" after the statement"),
        }),
    }
}

/// Byte span of a tree's span (exact for identifiers and values; don't rely on those of composite nodes); `None` if the
/// parser gave none.
pub fn byte_span(span: sqlparser::tokenizer::Span) -> Option<Span> {
    let start = usize::try_from(span.start.column).ok()?.checked_sub(1)?;
    let end = usize::try_from(span.end.column).ok()?.checked_sub(1)?;
    Some(Span::new(start, end))
}

fn failure(error: ParserError) -> ParseFailure {
    match error {
        ParserError::RecursionLimitExceeded => ParseFailure::TooDeep,
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            // their position is a byte offset behind our back; without it the message is still right
            let message = message.split(" at Line:").next().unwrap_or_default().to_owned();
            ParseFailure::Unsupported { message }
        }
    }
}

/// The longest run of operators that can make one left-deep tree: those of one parenthesis level up to a comma.
fn longest_chain(tokens: &[Token], text: &[u8]) -> usize {
    const LINKS: &[&[u8]] = &[
        b"and",
        b"or",
        b"not",
        b"is",
        b"in",
        b"like",
        b"ilike",
        b"similar",
        b"between",
        b"collate",
        b"at",
        b"union",
        b"intersect",
        b"except",
        b"join",
        b"case",
        b"when",
        b"overlaps",
        b"isnull",
        b"notnull",
    ];
    let mut longest = 0;
    let mut outer: Vec<usize> = Vec::new();
    let mut here = 0usize;
    for token in tokens {
        match token.kind {
            TokenKind::Punctuation(b'(') => {
                outer.push(here);
                here = 0;
            }
            TokenKind::Punctuation(b')') => here = outer.pop().unwrap_or_default().saturating_add(1),
            TokenKind::Punctuation(b',') => here = 0,
            TokenKind::Operator | TokenKind::Cast | TokenKind::Punctuation(b'[' | b'.') => here += 1,
            TokenKind::Word if LINKS.iter().any(|link| token.span.of(text).eq_ignore_ascii_case(link)) => here += 1,
            _ => {}
        }
        longest = longest.max(here);
    }
    longest
}

// === our tokens as theirs ===

fn translate(tokens: &[Token], text: &[u8], lexing: Lexing) -> Result<Vec<TokenWithSpan>, ParseFailure> {
    let mut theirs = Vec::with_capacity(tokens.len() * 2);
    let mut end = tokens.first().map_or(0, |t| t.span.start);
    let mut operand = Operand::No;
    let counted = counted_fetches(tokens, text);
    for (at, token) in tokens.iter().enumerate() {
        if token.span.start > end {
            let blank = Theirs::Whitespace(Whitespace::Space);
            theirs.push(TokenWithSpan::at(blank, location(end), location(token.span.start)));
        }
        end = token.span.end;
        if let Some((_, instead)) = counted.iter().find(|(place, _)| *place == at) {
            let translated = match instead {
                Instead::Limit => Theirs::make_keyword("LIMIT"),
                Instead::Nothing => Theirs::Whitespace(Whitespace::Space),
            };
            theirs.push(TokenWithSpan::at(translated, location(token.span.start), location(end)));
            operand = Operand::No;
            continue;
        }
        let translated = translate_one(*token, text, lexing, operand)?;
        theirs.push(TokenWithSpan::at(translated, location(token.span.start), location(end)));
        operand = operand_behind(*token);
    }
    Ok(theirs)
}

/// What their parser reads in the place of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    Limit,
    Nothing,
}

/// `FETCH FIRST (expression) ROWS ONLY`, of which their parser takes constants only: places of its words, read as
/// `LIMIT (expression)`, which means the same.
fn counted_fetches(tokens: &[Token], text: &[u8]) -> Vec<(usize, Instead)> {
    let is = |at: usize, words: &[&[u8]]| {
        tokens.get(at).is_some_and(|token| {
            token.kind == TokenKind::Word && words.iter().any(|word| token.span.of(text).eq_ignore_ascii_case(word))
        })
    };
    let mark = |at: usize, mark: u8| tokens.get(at).is_some_and(|t| t.kind == TokenKind::Punctuation(mark));
    let mut found = Vec::new();
    for fetch in 0..tokens.len() {
        if !is(fetch, &[b"fetch"]) || !is(fetch + 1, &[b"first", b"next"]) || !mark(fetch + 2, b'(') {
            continue;
        }
        let mut depth = 0usize;
        let closing = (fetch + 2..tokens.len()).find(|at| {
            if mark(*at, b'(') {
                depth += 1;
            } else if mark(*at, b')') {
                depth -= 1;
            }
            depth == 0
        });
        let Some(closing) = closing else { continue };
        if is(closing + 1, &[b"row", b"rows"]) && is(closing + 2, &[b"only"]) {
            found.push((fetch, Instead::Limit));
            found.extend([fetch + 1, closing + 1, closing + 2].map(|at| (at, Instead::Nothing)));
        }
    }
    found
}

fn location(byte: usize) -> Location {
    Location::new(1, u64::try_from(byte).unwrap_or(u64::MAX).saturating_add(1))
}

/// Whether an operand ends here, so that an operator is infix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operand {
    Yes,
    No,
}

fn operand_behind(token: Token) -> Operand {
    match token.kind {
        TokenKind::Operator
        | TokenKind::Cast
        | TokenKind::DotDot
        | TokenKind::ColonEquals
        | TokenKind::EqualsGreater
        | TokenKind::Punctuation(b'(' | b'[' | b',' | b'.' | b';' | b':')
        | TokenKind::Other(_) => Operand::No,
        TokenKind::Punctuation(_)
        | TokenKind::Word
        | TokenKind::QuotedIdentifier
        | TokenKind::UnicodeIdentifier
        | TokenKind::String
        | TokenKind::EscapeString
        | TokenKind::UnicodeString
        | TokenKind::DollarString
        | TokenKind::NationalString
        | TokenKind::BitString
        | TokenKind::HexString
        | TokenKind::Integer
        | TokenKind::Decimal
        | TokenKind::Parameter => Operand::Yes,
    }
}

fn translate_one(token: Token, text: &[u8], lexing: Lexing, before: Operand) -> Result<Theirs, ParseFailure> {
    let own = token.span.of(text);
    let not_utf8 = |_| ParseFailure::NotUtf8;
    let as_is = || Ok::<_, ParseFailure>(std::str::from_utf8(own).map_err(not_utf8)?.to_owned());
    let value = || {
        let failed = |error: LiteralError| ParseFailure::Literal {
            span: token.span,
            error,
        };
        let bytes = literal::decode(token, text, lexing).map_err(failed)?.into_owned();
        String::from_utf8(bytes).map_err(|_| ParseFailure::NotUtf8)
    };
    let name = || {
        name_of(token, text, lexing).map_err(|error| match error {
            LiteralError::InvalidBytes => ParseFailure::NotUtf8,
            LiteralError::InvalidEscape | LiteralError::NotALiteral => ParseFailure::Literal {
                span: token.span,
                error,
            },
        })
    };
    let unsupported = |what: &str| {
        Err(ParseFailure::Unsupported {
            message: format!("syntax not analysed: \"{what}\""),
        })
    };
    Ok(match token.kind {
        TokenKind::Word => Theirs::make_word(&name()?, None),
        TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => Theirs::make_word(&name()?, Some('"')),
        TokenKind::String => Theirs::SingleQuotedString(value()?),
        TokenKind::EscapeString => Theirs::EscapedStringLiteral(value()?),
        TokenKind::UnicodeString => Theirs::UnicodeStringLiteral(value()?),
        TokenKind::NationalString => Theirs::NationalStringLiteral(value()?),
        TokenKind::BitString => Theirs::SingleQuotedByteStringLiteral(value()?),
        TokenKind::HexString => Theirs::HexStringLiteral(value()?),
        TokenKind::DollarString => {
            let tag = dollar_tag(own, 0)
                .map(|t| Span::new(1, t.end.saturating_sub(1)).of(own))
                .unwrap_or_default();
            let tag = std::str::from_utf8(tag).map_err(not_utf8)?;
            Theirs::DollarQuotedString(DollarQuotedString {
                value: value()?,
                tag: (!tag.is_empty()).then(|| tag.to_owned()),
            })
        }
        TokenKind::Integer | TokenKind::Decimal => Theirs::Number(as_is()?, false),
        TokenKind::Parameter => Theirs::Placeholder(as_is()?),
        TokenKind::Cast => Theirs::DoubleColon,
        TokenKind::ColonEquals => Theirs::Assignment,
        TokenKind::EqualsGreater => Theirs::RArrow,
        TokenKind::Punctuation(byte) => match byte {
            b',' => Theirs::Comma,
            b'(' => Theirs::LParen,
            b')' => Theirs::RParen,
            b'[' => Theirs::LBracket,
            b']' => Theirs::RBracket,
            b'.' => Theirs::Period,
            b':' => Theirs::Colon,
            _ => Theirs::SemiColon,
        },
        TokenKind::Operator => operator(&as_is()?, before),
        TokenKind::DotDot => return unsupported(".."),
        TokenKind::Other(byte) => return unsupported(&char::from(byte).to_string()),
    })
}

/// Postgres gives every operator but the common ones one precedence, and so does the parser for custom ones; its own
/// tokens for `~` and its kin it ranks like LIKE, which is wrong.
fn operator(text: &str, before: Operand) -> Theirs {
    match (text, before) {
        ("+", _) => Theirs::Plus,
        ("-", _) => Theirs::Minus,
        ("*", _) => Theirs::Mul,
        ("/", _) => Theirs::Div,
        ("%", _) => Theirs::Mod,
        ("^", _) => Theirs::Caret,
        ("<", _) => Theirs::Lt,
        (">", _) => Theirs::Gt,
        ("=", _) => Theirs::Eq,
        ("<=", _) => Theirs::LtEq,
        (">=", _) => Theirs::GtEq,
        ("<>" | "!=", _) => Theirs::Neq,
        ("||", _) => Theirs::StringConcat,
        ("->", _) => Theirs::Arrow,
        ("->>", _) => Theirs::LongArrow,
        ("#>", _) => Theirs::HashArrow,
        ("#>>", _) => Theirs::HashLongArrow,
        ("@>", _) => Theirs::AtArrow,
        ("<@", _) => Theirs::ArrowAt,
        ("#-", _) => Theirs::HashMinus,
        ("@?", _) => Theirs::AtQuestion,
        ("@@", _) => Theirs::AtAt,
        ("?", _) => Theirs::Question,
        ("?&", _) => Theirs::QuestionAnd,
        ("?|", _) => Theirs::QuestionPipe,
        ("&&", _) => Theirs::Overlap,
        ("^@", _) => Theirs::CaretAt,
        ("#", _) => Theirs::Sharp,
        (">>", _) => Theirs::ShiftRight,
        ("<<", _) => Theirs::ShiftLeft,
        ("&", _) => Theirs::Ampersand,
        ("|", _) => Theirs::Pipe,
        ("~", Operand::No) => Theirs::Tilde,
        ("|/", Operand::No) => Theirs::PGSquareRoot,
        ("||/", Operand::No) => Theirs::PGCubeRoot,
        (other, _) => Theirs::CustomBinaryOperator(other.to_owned()),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
