//! The lexer against tables of cases; `tests/sql_corpus.rs` asks a server.

use proptest::prelude::*;

use super::*;

fn render(text: &str, lexing: Lexing) -> String {
    let mut out = Vec::new();
    for token in tokens(text.as_bytes(), lexing) {
        match token {
            Ok(token) => {
                let own = String::from_utf8_lossy(token.span.of(text.as_bytes())).into_owned();
                out.push(format!("{:?}:{own}", token.kind));
            }
            Err(error) => out.push(format!("!{}", error.kind)),
        }
    }
    out.join(" ")
}

fn check(text: &str, expected: &str) {
    assert_eq!(render(text, Lexing::default()), expected, "{text}");
}

fn check_escaping(text: &str, expected: &str) {
    let lexing = Lexing {
        strings: StandardStrings::Off,
        ..Lexing::default()
    };
    assert_eq!(render(text, lexing), expected, "{text}");
}

#[test]
fn words_and_quotes() {
    check("a$1 _b é", "Word:a$1 Word:_b Word:é");
    check(r#""a""b" "#, r#"QuotedIdentifier:"a""b""#);
    check(r#""" x"#, "!zero-length delimited identifier");
    check(r#""a"#, "!unterminated quoted identifier");
    check("'it''s'", "String:'it''s'");
    check("'a'\n 'b' 'c'", "String:'a'\n 'b' String:'c'");
    check("'a' -- x\n--y\n 'b'", "String:'a' -- x\n--y\n 'b'");
    check("'a' /* \n */ 'b'", "String:'a' String:'b'");
    check("e'a\\'b' E'\\\\'", "EscapeString:e'a\\'b' EscapeString:E'\\\\'");
    check("'a\\' 'b'", "String:'a\\' String:'b'");
    check_escaping("'a\\' 'b'", "String:'a\\' ' !unterminated bit string literal");
    check(
        "n'x' b'01' X'1f' b'0''1'",
        "NationalString:n'x' BitString:b'01' HexString:X'1f' BitString:b'0' String:'1'",
    );
    check(
        r"U&'\0061' uescape '!'  x",
        r"UnicodeString:U&'\0061' uescape '!' Word:x",
    );
    check("U&'a' uescape 'ab'", "!invalid Unicode escape character");
    check(r#"U&"a" b"#, r#"UnicodeIdentifier:U&"a" Word:b"#);
    check("u & 'a'", "Word:u Operator:& String:'a'");
    check_escaping("U&'a'", "!unsafe use of string constant with Unicode escapes");
    check(
        "$$a$b$$ $x$ $y$ $$ $x$",
        "DollarString:$$a$b$$ DollarString:$x$ $y$ $$ $x$",
    );
    check("$x$ $", "!unterminated dollar-quoted string");
    check("a$$b$$", "Word:a$$b$$");
    check("$ $a", "Other(36):$ Other(36):$ Word:a");
}

#[test]
fn numbers_and_parameters() {
    check(
        "1 1.5 .5 1. 1e3 1.5E-3 1.e5",
        "Integer:1 Decimal:1.5 Decimal:.5 Decimal:1. Decimal:1e3 Decimal:1.5E-3 Decimal:1.e5",
    );
    check("1..10", "Integer:1 DotDot:.. Integer:10");
    check("1.5.2", "Decimal:1.5 Decimal:.2");
    for junk in ["1a", "1.5x", "1e", "1e+", "0x1F", "1_000", "1e5e"] {
        check(junk, "!trailing junk after numeric literal");
    }
    check("$1,$22", "Parameter:$1 Punctuation(44):, Parameter:$22");
    check("$1a", "!trailing junk after parameter");
    check("$99999999999", "!parameter number too large");
    check("-1", "Operator:- Integer:1");
}

#[test]
fn operators() {
    check(
        "a::b:=c=>d",
        "Word:a Cast::: Word:b ColonEquals::= Word:c EqualsGreater:=> Word:d",
    );
    check("a=-1", "Word:a Operator:= Operator:- Integer:1");
    check("a<=-1", "Word:a Operator:<= Operator:- Integer:1");
    check("a@-1", "Word:a Operator:@- Integer:1");
    check("a*--c\nb", "Word:a Operator:* Word:b");
    check("a+/*c*/b", "Word:a Operator:+ Word:b");
    check(
        "a@@@b ->> <-> == <>",
        "Word:a Operator:@@@ Word:b Operator:->> Operator:<-> Operator:== Operator:<>",
    );
    check("+-+", "Operator:+ Operator:- Operator:+");
    check("=>>", "Operator:=>>");
    check(
        "a[1:2].b;",
        "Word:a Punctuation(91):[ Integer:1 Punctuation(58):: Integer:2 Punctuation(93):] Punctuation(46):. Word:b Punctuation(59):;",
    );
    check(&"@".repeat(64), "!operator too long");
}

#[test]
fn comments() {
    check("a /* b /* c */ d */ e -- f", "Word:a Word:e");
    check("a /* b /* c */", "Word:a !unterminated /* comment");
    check("/*/ a", "!unterminated /* comment");
    check("a /**/ b /***/ c", "Word:a Word:b Word:c");
    check("--a\rb", "Word:b");
    check("a \u{b} b", "Word:a Other(11):\u{b} Word:b");
}

#[test]
fn unsafe_encodings_take_only_ascii() {
    let lexing = Lexing {
        encoding: Encoding::Unsafe,
        ..Lexing::default()
    };
    assert_eq!(render("select 'a'", lexing), "Word:select String:'a'");
    assert_eq!(
        render("select 'é'", lexing),
        "!client_encoding does not allow the text to be read byte by byte"
    );
    check("a\0b", "!text contains a NUL byte");
}

proptest! {
    #[test]
    fn spans_are_in_order_and_between_them_is_blank(text in proptest::collection::vec(prop_oneof![
        3 => proptest::sample::select(b"'\"$&uUeExXbBnN;-/*\n \\a1.:=+@()".to_vec()),
        1 => any::<u8>(),
    ], 0..60)) {
        for strings in [StandardStrings::On, StandardStrings::Off] {
            let lexing = Lexing { strings, ..Lexing::default() };
            let mut end = 0;
            for token in tokens(&text, lexing) {
                let Ok(token) = token else { break };
                prop_assert!(end <= token.span.start && token.span.start < token.span.end);
                prop_assert!(token.span.end <= text.len());
                let gap = Span::new(end, token.span.start).of(&text);
                prop_assert!(matches!(scan(gap, lexing), Ok(rest) if rest.is_empty()), "{:?}", gap);
                end = token.span.end;
            }
        }
    }
}
