//! Values of literals by table; `tests/sql_corpus.rs` compares with `SELECT <literal>` of a server.

use proptest::prelude::*;

use super::*;

fn value(text: &str, lexing: Lexing) -> Result<String, LiteralError> {
    let literal = Literal {
        span: Span::new(0, text.len()),
        class: LiteralClass::String,
    };
    literal
        .decode(text.as_bytes(), lexing)
        .map(|v| String::from_utf8_lossy(&v).into_owned())
}

fn check(text: &str, expected: &str) {
    assert_eq!(value(text, Lexing::default()).as_deref(), Ok(expected), "{text}");
}

fn check_error(text: &str, expected: LiteralError) {
    assert_eq!(value(text, Lexing::default()), Err(expected), "{text}");
}

#[test]
fn strings_decode() {
    check("'it''s'", "it's");
    check("''", "");
    check("''''", "'");
    check("'a\\'", "a\\");
    check("'a'\n  'b''' -- x\n 'c'", "ab'c");
    check(r"E'a\'b\\c\n\x41\101\u00e9\U0001F600\q'", "a'b\\c\nAA\u{e9}\u{1f600}q");
    check(r"E'\v'", "v"); // a vertical tab from 16 on
    check(r"E'\ud83d\ude00'", "\u{1f600}");
    check(r"U&'d\0061t\+000061\\'", "data\\");
    check(r"U&'d!0061' UESCAPE '!'", "da");
    check(r"U&'\D83D\DE00'", "\u{1f600}");
    check("$$a'b$$", "a'b");
    check("$x$a$$b$x$", "a$$b");
    check("N'ab  '", "ab  ");
    check("B'01'", "01");
    check("X'1F'", "1F");
    check("12.50", "12.50");
}

#[test]
fn bad_escapes_are_errors() {
    check_error(r"E'\u12'", LiteralError::InvalidEscape);
    check_error(r"E'\ud83d'", LiteralError::InvalidEscape);
    check_error(r"E'\ud83dx\ude00'", LiteralError::InvalidEscape);
    check_error(r"E'\u0000'", LiteralError::InvalidEscape);
    check_error(r"E'\000'", LiteralError::InvalidBytes);
    check_error(r"E'\xff'", LiteralError::InvalidBytes);
    check_error(r"U&'\12'", LiteralError::InvalidEscape);
    check_error(r"U&'\D83D'", LiteralError::InvalidEscape);
    check_error("x", LiteralError::NotALiteral);
    let latin = Lexing {
        encoding: Encoding::HighBit,
        ..Lexing::default()
    };
    assert_eq!(value(r"E'\u00e9'", latin), Err(LiteralError::InvalidBytes));
}

#[test]
fn off_makes_plain_strings_escape() {
    let lexing = Lexing {
        strings: StandardStrings::Off,
        ..Lexing::default()
    };
    assert_eq!(value(r"'a\'b\n'", lexing).as_deref(), Ok("a'b\n"));
}

proptest! {
    #[test]
    fn quoted_values_come_back(original in "[^\0]{0,30}") {
        let plain = format!("'{}'", original.replace('\'', "''"));
        prop_assert_eq!(value(&plain, Lexing::default()), Ok(original.clone()));
        let escaped = format!("E'{}'", original.replace('\\', "\\\\").replace('\'', "\\'"));
        prop_assert_eq!(value(&escaped, Lexing::default()), Ok(original.clone()));
        let dollar = format!("$tag${original}$tag$");
        if !original.contains("$tag$") && !original.ends_with("$tag") {
            prop_assert_eq!(value(&dollar, Lexing::default()), Ok(original));
        }
    }

    #[test]
    fn decoding_never_panics(text in "[NEUBXneubx&'\"\\\\$u0-9a-fD+! \n-]{0,40}") {
        for strings in [StandardStrings::On, StandardStrings::Off] {
            let _ignored: Result<String, LiteralError> = value(&text, Lexing { strings, ..Lexing::default() });
        }
    }
}
