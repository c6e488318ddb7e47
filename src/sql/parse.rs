//! The parser behind the door: sqlparser on *our* tokens.
//!
//! Why: its tokenizer differs from Postgres's (`==`, `U&"x"`, custom operators, backslashes), so it gets tokens that our
//! lexer made, already decoded, with byte offsets for positions.

use sqlparser::ast;

use super::error::ParseFailure;
use super::lexing::{Lexing, Span};

/// The tree of exactly one statement. Unquoted identifiers in it are folded and truncated, quoted ones decoded and
/// truncated: `Ident::value` is the catalog's name. Spans carry byte offsets: see [`byte_span`].
pub fn parse(text: &[u8], lexing: Lexing) -> Result<ast::Statement, ParseFailure> {
    let _ = (text, lexing);
    Err(ParseFailure::NotOneStatement)
}

/// Byte span of a tree's span (exact for identifiers and values; don't rely on those of composite nodes); `None` if the
/// parser gave none.
pub fn byte_span(span: sqlparser::tokenizer::Span) -> Option<Span> {
    let start = usize::try_from(span.start.column).ok()?.checked_sub(1)?;
    let end = usize::try_from(span.end.column).ok()?.checked_sub(1)?;
    Some(Span::new(start, end))
}
