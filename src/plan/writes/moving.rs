//! Strings that date and time types read as the moment of the statement: 'now', 'today' and their like.
//!
//! Why it matters: each shard would read a moment of its own.

use crate::catalog::Catalog;
use crate::sql::{Token, TokenKind};
use crate::value::Oid;

/// Types that never read such a word.
const PLAIN: [Oid; 41] = [
    Oid::BOOL,
    Oid::BYTEA,
    Oid::CHAR,
    Oid::NAME,
    Oid::INT8,
    Oid::INT2,
    Oid::INT4,
    Oid::TEXT,
    Oid::JSON,
    Oid::XML,
    Oid::POINT,
    Oid::FLOAT4,
    Oid::FLOAT8,
    Oid::MONEY,
    Oid::MACADDR,
    Oid::CIDR,
    Oid::INET,
    Oid::BPCHAR,
    Oid::VARCHAR,
    Oid::INTERVAL,
    Oid::BIT,
    Oid::VARBIT,
    Oid::NUMERIC,
    Oid::UUID,
    Oid::TSVECTOR,
    Oid::JSONB,
    Oid::BOOL_ARRAY,
    Oid::BYTEA_ARRAY,
    Oid::CHAR_ARRAY,
    Oid::NAME_ARRAY,
    Oid::INT2_ARRAY,
    Oid::INT4_ARRAY,
    Oid::TEXT_ARRAY,
    Oid::BPCHAR_ARRAY,
    Oid::VARCHAR_ARRAY,
    Oid::INT8_ARRAY,
    Oid::FLOAT4_ARRAY,
    Oid::FLOAT8_ARRAY,
    Oid::INTERVAL_ARRAY,
    Oid::NUMERIC_ARRAY,
    Oid::UUID_ARRAY,
];

/// Domains over domains beyond this count as a type that may read the moment.
const DOMAINS_MAX: usize = 8;

/// Names of plain types behind `::`.
const PLAIN_NAMES: [&[u8]; 15] = [
    b"text",
    b"varchar",
    b"bpchar",
    b"json",
    b"jsonb",
    b"uuid",
    b"bytea",
    b"int",
    b"integer",
    b"bigint",
    b"smallint",
    b"int4",
    b"int8",
    b"numeric",
    b"boolean",
];

/// May the type's input routine read a moment?
pub(in crate::plan) fn may_move(catalog: &Catalog, type_oid: Oid) -> bool {
    let mut at = type_oid;
    for _ in 0..DOMAINS_MAX {
        if PLAIN.contains(&at) {
            return false;
        }
        match catalog.types.get(&at.0) {
            Some(user) if user.kind == b'e' => return false,
            Some(user) if user.kind == b'd' => match user.base {
                Some(base) => at = base,
                None => return true,
            },
            Some(_) | None => return true,
        }
    }
    true
}

/// Is the token a string?
pub(in crate::plan) fn is_string(token: &Token) -> bool {
    match token.kind {
        TokenKind::String
        | TokenKind::EscapeString
        | TokenKind::UnicodeString
        | TokenKind::DollarString
        | TokenKind::NationalString => true,
        TokenKind::Word
        | TokenKind::QuotedIdentifier
        | TokenKind::UnicodeIdentifier
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
        | TokenKind::Other(_) => false,
    }
}

/// Is the string at a token cast to a plain type, and to nothing else after that?
pub(in crate::plan) fn is_cast_to_plain(text: &[u8], tokens: &[Token], string: usize) -> bool {
    let at = |ahead: usize| string.checked_add(ahead).and_then(|index| tokens.get(index));
    let (Some(cast), Some(name)) = (at(1), at(2)) else {
        return false;
    };
    let ends = matches!(
        at(3).map(|token| token.kind),
        None | Some(TokenKind::Punctuation(b',' | b')'))
    );
    let plain = name.kind == TokenKind::Word
        && PLAIN_NAMES
            .iter()
            .any(|plain| name.span.of(text).eq_ignore_ascii_case(plain));
    cast.kind == TokenKind::Cast && plain && ends
}
