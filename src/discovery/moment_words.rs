//! Whether a text of SQL reads by itself when its transaction began.
//!
//! Why two readings: of a function's body nothing is known but its words; an expression is what `pg_get_expr` printed,
//! with every cast written out and every name of users' under its schema, so that what merely looks like a moment is
//! told apart.
//! Holds: a text that can't be scanned may read it.

use crate::sql::{Lexing, Token, TokenKind, scan};
use crate::value::says_moment;

/// Words that are the moment of the transaction, called or not.
const MOMENTS: &[&str] = &[
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
];
/// Functions that read it.
const MOMENTS_CALLED: &[&str] = &["now", "transaction_timestamp"];
/// With these begin types as which a string may be a moment.
const DATED: &[&str] = &[
    "date",
    "time",
    "timestamp",
    "tsrange",
    "tstzrange",
    "tsmultirange",
    "tstzmultirange",
];

/// May a function's body read the moment by itself?
pub(super) fn body_reads(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Ok(tokens) = scan(bytes, Lexing::default()) else {
        return true;
    };
    tokens.iter().enumerate().any(|(index, token)| {
        let word = word(bytes, token);
        match token.kind {
            TokenKind::Word => word == "timetz" || is_moment(&tokens, index, &word),
            TokenKind::DollarString => body_reads(word.trim_matches('$')),
            TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::NationalString => {
                says_moment(word.as_bytes())
            }
            _ => false,
        }
    })
}

/// May an expression of the catalog read it?
pub(super) fn expression_reads(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Ok(tokens) = scan(bytes, Lexing::default()) else {
        return true;
    };
    let is_string = |token: &Token| {
        matches!(
            token.kind,
            TokenKind::String
                | TokenKind::DollarString
                | TokenKind::EscapeString
                | TokenKind::UnicodeString
                | TokenKind::NationalString
        )
    };
    // A constant of a date's type was read when the expression was made: a string that still moves is a text, and moves
    // where something makes a date of it.
    let dates = tokens.iter().enumerate().any(|(index, token)| {
        let of_constant = behind(&tokens, index, 2).is_some_and(is_string);
        is_cast(&tokens, index) && DATED.contains(&word(bytes, token).as_str()) && !of_constant
    });
    tokens.iter().enumerate().any(|(index, token)| {
        let word = word(bytes, token);
        match token.kind {
            TokenKind::Word => {
                let qualified =
                    behind(&tokens, index, 1).is_some_and(|token| token.kind == TokenKind::Punctuation(b'.'));
                !qualified && (is_moment(&tokens, index, &word) || gains_a_zone(bytes, &tokens, index, &word))
            }
            _ if is_string(token) => says_moment(word.as_bytes()) && (dates || calls_users(&tokens)),
            _ => false,
        }
    })
}

fn word(text: &[u8], token: &Token) -> String {
    String::from_utf8_lossy(token.span.of(text)).to_ascii_lowercase()
}

fn is_at(tokens: &[Token], index: usize, ahead: usize, kind: TokenKind) -> bool {
    let token = index.checked_add(ahead).and_then(|at| tokens.get(at));
    token.is_some_and(|token| token.kind == kind)
}

fn behind(tokens: &[Token], index: usize, by: usize) -> Option<&Token> {
    index.checked_sub(by).and_then(|at| tokens.get(at))
}

/// Does the token name the type of a cast?
fn is_cast(tokens: &[Token], index: usize) -> bool {
    behind(tokens, index, 1).is_some_and(|token| token.kind == TokenKind::Cast)
}

/// Is the word a moment, or a function's that reads it?
fn is_moment(tokens: &[Token], index: usize, word: &str) -> bool {
    let called = is_at(tokens, index, 1, TokenKind::Punctuation(b'('));
    MOMENTS.contains(&word)
        || called && MOMENTS_CALLED.contains(&word)
        || called && word == "age" && arguments(tokens, index) < 2
}

/// A cast of a time to one with a zone, whose offset is today's; a constant has its own.
fn gains_a_zone(text: &[u8], tokens: &[Token], index: usize, own: &str) -> bool {
    let of_constant = behind(tokens, index, 2).is_some_and(|token| token.kind == TokenKind::String);
    let ahead: Vec<String> = tokens
        .iter()
        .skip(index)
        .skip(1)
        .take(4)
        .map(|token| word(text, token))
        .collect();
    // `time with`, `time(3) with`
    let zone = ahead.first().is_some_and(|next| next == "with") || ahead.get(3).is_some_and(|next| next == "with");
    let called = own == "timetz" && is_at(tokens, index, 1, TokenKind::Punctuation(b'('));
    called || own == "time" && is_cast(tokens, index) && !of_constant && zone
}

/// How many arguments a call has.
fn arguments(tokens: &[Token], index: usize) -> usize {
    let mut depth = 0_usize;
    let mut count = 0_usize;
    for token in tokens.iter().skip(index).skip(1) {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'[') => {
                depth = depth.saturating_add(1);
                count = count.max(1);
            }
            TokenKind::Punctuation(b')' | b']') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            TokenKind::Punctuation(b',') if depth == 1 => count = count.saturating_add(1),
            _ => {}
        }
    }
    count
}

/// Is something called, or cast to, that is no server's own? Only its name has a schema.
fn calls_users(tokens: &[Token]) -> bool {
    let names = |index: usize| {
        tokens
            .get(index)
            .is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdentifier))
    };
    (0..tokens.len()).any(|index| {
        let qualified = names(index)
            && is_at(tokens, index, 1, TokenKind::Punctuation(b'.'))
            && index.checked_add(2).is_some_and(names);
        qualified && (is_cast(tokens, index) || is_at(tokens, index, 3, TokenKind::Punctuation(b'(')))
    })
}

#[cfg(test)]
mod tests {
    use super::{body_reads, expression_reads};

    #[test]
    fn bodies_that_read_the_moment_are_found() {
        let plain = [
            "SELECT $1 * 2",
            "SELECT now FROM clocks WHERE age > 3 -- now()",
            "BEGIN NEW.seen := clock_timestamp(); RETURN NEW; END",
            "SELECT 'known', statement_timestamp()",
            "SELECT age($1, date_trunc('day', $2))",
        ];
        let reading = [
            "BEGIN NEW.at := now(); RETURN NEW; END",
            "SELECT CURRENT_DATE",
            "SELECT x FROM t WHERE at > 'today'::date",
            "SELECT age($1)",
            "SELECT age(greatest($1, $2))",
            "DO $x$ BEGIN PERFORM now(); END $x$",
            "SELECT 'never ends",
        ];
        for body in plain {
            assert!(!body_reads(body), "{body}");
        }
        for body in reading {
            assert!(body_reads(body), "{body}");
        }
    }

    /// As Postgres 15 prints them.
    #[test]
    fn expressions_that_read_the_moment_are_found() {
        let plain = [
            "(owner = CURRENT_USER)",
            "(at > clock_timestamp())",
            "(at > '2026-01-01 00:00:00+00'::timestamp with time zone)",
            "(state <> 'now'::text)",
            "((state)::text = ANY ((ARRAY['today'::character varying, 'now'::character varying])::text[]))",
            "((state = 'now'::text) OR (at > '2026-01-01 00:00:00+00'::timestamp with time zone))",
            "(t < '12:00:00+00'::time with time zone)",
            "(age(a, b) > '1 day'::interval)",
            "(audit.now(k) > 0)",
            "(now > 3)",
        ];
        let reading = [
            "(at <= now())",
            "(day <= CURRENT_DATE)",
            "(at <= (CURRENT_TIMESTAMP + '01:00:00'::interval))",
            "(at <= ('now'::text)::timestamp with time zone)",
            "(public.made('today'::text) < day)",
            "('now'::text)::public.later IS NOT NULL",
            "((t)::time with time zone < z)",
            "((t)::time(3) with time zone < z)",
            "(age(at) > '1 day'::interval)",
            "(at > 'never ends",
        ];
        for expression in plain {
            assert!(!expression_reads(expression), "{expression}");
        }
        for expression in reading {
            assert!(expression_reads(expression), "{expression}");
        }
    }
}
