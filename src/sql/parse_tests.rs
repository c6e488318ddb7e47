//! Trees from our tokens: spans, names, operators, bounds.

use proptest::prelude::*;
use sqlparser::ast::{Expr, Ident, SetExpr, Spanned, Statement, Value};

use super::*;
use crate::sql::{Lexing, StandardStrings};

fn tree(text: &str) -> Result<Statement, ParseFailure> {
    parse(text.as_bytes(), Lexing::default())
}

/// The WHERE of `SELECT * FROM t WHERE …`, all its parentheses written.
fn grouped(condition: &str) -> String {
    let statement = tree(&format!("SELECT * FROM t WHERE {condition}")).unwrap();
    let Statement::Query(query) = statement else {
        panic!("{condition}")
    };
    let SetExpr::Select(select) = *query.body else {
        panic!("{condition}")
    };
    show(&select.selection.unwrap())
}

fn show(expression: &Expr) -> String {
    match expression {
        Expr::BinaryOp { left, op, right } => format!("({} {op} {})", show(left), show(right)),
        Expr::UnaryOp { op, expr } => format!("({op} {})", show(expr)),
        other => other.to_string(),
    }
}

#[test]
fn operators_group_as_in_postgres() {
    for (condition, expected) in [
        ("a = b AND c ~ d || e", "((a = b) AND ((c ~ d) || e))"),
        ("a ~~ b = c", "((a ~~ b) = c)"),
        ("a @@@ b AND id = 5", "((a @@@ b) AND (id = 5))"),
        ("a -> 'b' ~ 'c'", "((a -> 'b') ~ 'c')"),
        ("a == b", "(a == b)"),
        ("a + 1 <-> b = c", "(((a + 1) <-> b) = c)"),
    ] {
        assert_eq!(grouped(condition), expected, "{condition}");
    }
}

#[test]
fn names_are_the_catalogs() {
    let statement = tree(r#"SELECT Ab, "Ab", U&"\0061" FROM Public.Ta"#).unwrap();
    assert_eq!(statement.to_string(), r#"SELECT ab, "Ab", "a" FROM public.ta"#);
}

#[test]
fn spans_are_bytes() {
    let text = "SELECT 'é', b\n FROM t WHERE \"Ö\" = 42 AND c = E'\\n'";
    let Statement::Query(query) = tree(text).unwrap() else {
        panic!()
    };
    let SetExpr::Select(select) = *query.body else { panic!() };
    let mut found = Vec::new();
    let mut visit = |expression: &Expr| {
        let span = byte_span(expression.span()).unwrap();
        found.push(std::str::from_utf8(span.of(text.as_bytes())).unwrap().to_owned());
    };
    let mut stack = vec![select.selection.unwrap()];
    while let Some(expression) = stack.pop() {
        match expression {
            Expr::BinaryOp { left, right, .. } => stack.extend([*left, *right]),
            leaf => visit(&leaf),
        }
    }
    assert_eq!(found, ["E'\\n'", "c", "42", "\"Ö\""]);
}

#[test]
fn strings_follow_the_setting() {
    let lexing = Lexing {
        strings: StandardStrings::Off,
        ..Lexing::default()
    };
    let Statement::Query(query) = parse(br"SELECT 'a\'b'", lexing).unwrap() else {
        panic!()
    };
    let text = format!("{query:?}");
    assert!(text.contains(r#"SingleQuotedString("a'b")"#), "{text}");
    let _types: Option<(Ident, Value)> = None;
}

#[test]
fn bounds_hold() {
    assert!(matches!(tree(""), Err(ParseFailure::NotOneStatement)));
    assert!(matches!(tree("select 1; select 2"), Err(ParseFailure::NotOneStatement)));
    assert!(tree("; select 1 ;;").is_ok());
    assert!(matches!(tree("select 1 1"), Err(ParseFailure::Unsupported { .. })));
    assert!(matches!(tree("select 1 {"), Err(ParseFailure::Unsupported { .. })));
    assert!(matches!(tree("select 'a"), Err(ParseFailure::Scan(_))));
    assert!(matches!(
        parse(b"select '\xff'", Lexing::default()),
        Err(ParseFailure::NotUtf8)
    ));
    assert!(matches!(
        tree(&format!("select {}1{}", "(".repeat(200), ")".repeat(200))),
        Err(ParseFailure::TooDeep)
    ));
    assert!(matches!(
        tree(&format!("select 1{}", " + 1".repeat(10_000))),
        Err(ParseFailure::TooDeep)
    ));
    assert!(tree(&format!("select 1{}", " + 1".repeat(CHAIN_MAX - 1))).is_ok());
    assert!(matches!(
        tree(&format!("select {}1", "- ".repeat(10_000))),
        Err(ParseFailure::TooDeep)
    ));
    assert!(matches!(
        tree(&format!("select 1{}", " union select 1".repeat(10_000))),
        Err(ParseFailure::TooDeep)
    ));
    assert!(matches!(
        tree(&format!("select a{}", "[1]".repeat(10_000))),
        Err(ParseFailure::TooDeep)
    ));
    assert!(tree(&format!("select a in ({}1)", "1,".repeat(10_000))).is_ok());
    assert!(
        tree(&format!(
            "insert into t values {} (1)",
            "(-1, 'a' || 'b'),".repeat(10_000)
        ))
        .is_ok()
    );
    let long = format!("select '{}'", "x".repeat(BYTES_MAX));
    assert!(matches!(tree(&long), Err(ParseFailure::TooLong { .. })));
}

proptest! {
    #[test]
    fn any_words_never_panic(words in proptest::collection::vec(proptest::sample::select(vec![
        "select", "from", "where", "t", "a", "(", ")", ",", "=", "and", "or", "not", "between", "1", "'x'", "$1", "::", "int",
        "[", "]", ":", ".", "*", "-", "case", "when", "then", "end", "in", "any", "union", "join", "on", "order by", "with",
        "as", "interval", "date", "array", "exists", "insert into", "values", "update", "set", "delete from", "@", "~", "?",
    ]), 0..25)) {
        let text = format!("select {}", words.join(" "));
        let _found = tree(&text);
    }
}
