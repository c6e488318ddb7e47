//! Normal forms by table, the slow twin, and speed's precondition: no allocation when warm.

use proptest::prelude::*;

use super::*;
use crate::sql::{Token, scan};

fn normal(text: &str) -> String {
    let mut found = Shape::default();
    shape(text.as_bytes(), Lexing::default(), &mut found).unwrap();
    String::from_utf8(found.normal().to_vec()).unwrap()
}

fn check(text: &str, expected: &str) {
    assert_eq!(normal(text), expected, "{text}");
}

#[test]
fn blanks_comments_case_and_literals_go() {
    check(
        "SELECT  abalance /* x */ FROM pgbench_accounts\nWHERE aid = 12345 ;",
        "select abalance from pgbench_accounts where aid = $i",
    );
    check("select \"A b\", A FROM t", "select \"A b\" , a from t");
    check(
        "select 1, 3000000000, 30000000000000000000, 1.5, 1e3",
        "select $i , $l , $n , $n , $n",
    );
    check(
        "select 'a', E'a', U&'a', $$a$$, N'a', B'1', X'1'",
        "select $s , $s , $s , $s , $c , $b , $x",
    );
    check("select -5, - 5, +5", "select - $i , - $i , + $i");
    check(
        "select -2147483648, -9223372036854775808, 00000000001",
        "select - 2147483648 , - 9223372036854775808 , $i",
    );
    check(
        "select * from t where a in (1, 2)",
        "select * from t where a in ( $i , $i )",
    );
    check("select $1::int, x'1'", "select $1 :: int , $x");
    check(
        "insert into t values (1,'a'), (2,'b')",
        "insert into t values ( $i , $s ) , ( $i , $s )",
    );
    check(
        "update t set a = f(5) where b = coalesce(c, 3)",
        "update t set a = f ( $i ) where b = coalesce ( c , $i )",
    );
    check("create table t (a int default 5)", "create table t ( a int default 5 )");
    check("set x = 5", "set x = 5");
    check("(select 5)", "( select $i )");
}

#[test]
fn ordinals_limits_and_typmods_stay() {
    check(
        "select a, b+7 from t group by 1, 2 having count(*) > 5 order by 2 limit 10 offset 3",
        "select a , b + $i from t group by 1 , 2 having count ( * ) > $i order by 2 limit 10 offset 3",
    );
    check(
        "select 1 order by (1), a is distinct from 3, 2",
        "select $i order by ( 1 ) , a is distinct from 3 , 2",
    );
    check(
        "select a from t group by rollup(1, (2)), t.where, 2",
        "select a from t group by rollup ( 1 , ( 2 ) ) , t . where , 2",
    );
    check("select a from t order by set, 1", "select a from t order by set , 1");
    check(
        "select distinct on (1) a from t where b = 1",
        "select distinct on ( 1 ) a from t where b = $i",
    );
    check(
        "select * from t fetch first 5 rows only for update",
        "select * from t fetch first 5 rows only for update",
    );
    check(
        "select a from t order by 1 union select 5",
        "select a from t order by 1 union select $i",
    );
    check(
        "select (select x from t order by 1 limit 1), 5",
        "select ( select x from t order by 1 limit 1 ) , $i",
    );
    check(
        "insert into t select a from s order by 1 on conflict (a) do update set b = 5",
        "insert into t select a from s order by 1 on conflict ( a ) do update set b = $i",
    );
    check(
        "select x::numeric(10,2), cast(y as varchar(3)), z::public.vec(3)",
        "select x :: numeric ( 10 , 2 ) , cast ( y as varchar ( 3 ) ) , z :: public . vec ( 3 )",
    );
    check(
        "select x::character varying(10), '1'::interval second(3), numeric(3,-2) '5'",
        "select x :: character varying ( 10 ) , $s :: interval second ( 3 ) , numeric ( 3 , - 2 ) $s",
    );
    check(
        "select * from f(5) as t(a vec(3), b int)",
        "select * from f ( $i ) as t ( a vec ( 3 ) , b int )",
    );
    check("select x::int and y = f(5)", "select x :: int and y = f ( $i )");
    check(
        "with q as materialized (select 5 where a = 3) select 1",
        "with q as materialized ( select $i where a = $i ) select $i",
    );
}

#[test]
fn lead_and_statements() {
    for (text, lead, statements) in [
        ("", Lead::Empty, Statements::None),
        (" ; -- x", Lead::Empty, Statements::None),
        (";select 1;", Lead::Query, Statements::One),
        ("((values (1)))", Lead::Query, Statements::One),
        ("delete from t", Lead::Write, Statements::One),
        ("begin", Lead::Other, Statements::One),
        ("\"select\" 1", Lead::Other, Statements::One),
        ("select set_config('a.b', 'c', false)", Lead::Other, Statements::One),
        (
            "select pg_catalog.\"set_config\"('a.b', 'c', false)",
            Lead::Other,
            Statements::One,
        ),
        ("select 1; select 2", Lead::Empty, Statements::Several),
    ] {
        let mut found = Shape::default();
        shape(text.as_bytes(), Lexing::default(), &mut found).unwrap();
        assert_eq!((found.lead(), found.statements()), (lead, statements), "{text}");
    }
}

#[test]
fn literals_are_found_by_span() {
    let text = "select a from t where b = 'x' and c in (10, 20) limit 5";
    let mut found = Shape::default();
    shape(text.as_bytes(), Lexing::default(), &mut found).unwrap();
    let at = |part: &str| {
        let start = text.find(part).unwrap();
        found.literal_at(Span::new(start, start + part.len()))
    };
    assert_eq!(
        [at("'x'"), at("10"), at("20"), at("5"), at("select")],
        [Some(0), Some(1), Some(2), None, None]
    );
}

#[test]
fn a_text_of_the_same_template_is_not_read_again() {
    let mut found = Shape::default();
    shape(
        b"select a from t where b = 1 and c = 'x' limit 5",
        Lexing::default(),
        &mut found,
    )
    .unwrap();
    let again = |found: &mut Shape, text: &str| found.read_again(text.as_bytes(), Lexing::default());
    assert!(again(
        &mut found,
        "select a from t where b = 123456789 and c = '' limit 5"
    ));
    let spans: Vec<(usize, usize)> = found.literals().iter().map(|l| (l.span.start, l.span.end)).collect();
    assert_eq!(spans, [(26, 35), (44, 46)]);
    for other in [
        "select a from t where b = 1 and c = 'x' limit 6",
        "select a from t where b = 1234567890 and c = 'x' limit 5",
        "select a from t where b = 1.5 and c = 'x' limit 5",
        "select a from t where b = 1 and c = 'it''s' limit 5",
        "select a from t where b = 1 and c = 'x' limit 5 for update",
        "select a from t where b = 1",
        "",
    ] {
        assert!(!again(&mut found, other), "{other}");
    }
    assert!(again(&mut found, "select a from t where b = 2 and c = 'y' limit 5"));
}

#[test]
fn a_warm_shape_keeps_its_buffers() {
    let mut found = Shape::default();
    let text = b"select abalance from pgbench_accounts where aid = 12345";
    shape(text, Lexing::default(), &mut found).unwrap();
    let before = (found.normal.as_ptr(), found.literals.as_ptr());
    shape(text, Lexing::default(), &mut found).unwrap();
    assert_eq!(before, (found.normal.as_ptr(), found.literals.as_ptr()));
}

/// The twin: whole token list, strings, one look backwards per literal. It decides by looking, not by keeping state.
fn twin(text: &[u8], lexing: Lexing) -> Option<(String, Vec<Literal>)> {
    let all: Vec<Token> = scan(text, lexing).ok()?;
    let mut list: Vec<Token> = Vec::new();
    for token in all {
        if token.kind == TokenKind::Punctuation(b';') {
            continue;
        }
        list.push(token);
    }
    let raw = |i: usize| String::from_utf8_lossy(list[i].span.of(text)).into_owned();
    let word = |i: usize| {
        if list[i].kind == TokenKind::Word {
            raw(i).to_ascii_lowercase()
        } else {
            String::new()
        }
    };
    let is_word = |i: usize| {
        matches!(
            list[i].kind,
            TokenKind::Word | TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier
        )
    };
    let punctuation = |i: usize, b: u8| list[i].kind == TokenKind::Punctuation(b);
    let lead = (0..list.len())
        .find(|i| !punctuation(*i, b'('))
        .map(word)
        .unwrap_or_default();
    let lifting = [
        "select", "values", "table", "with", "insert", "update", "delete", "merge",
    ]
    .contains(&lead.as_str());
    // a word that isn't a label: behind `.`, `::` or AS
    let clause = |i: usize| {
        list[i].kind == TokenKind::Word
            && (i == 0
                || !(punctuation(i - 1, b'.')
                    || list[i - 1].kind == TokenKind::Cast
                    || effective_as(&list, text, i - 1)))
    };
    let all_kept = |i: usize| {
        // walk outwards: the nearest clause word of each enclosing level decides, an undecided level asks its parent
        let mut depth = 0usize;
        let mut j = i;
        while j > 0 {
            j -= 1;
            if punctuation(j, b')') {
                depth += 1;
            } else if punctuation(j, b'(') {
                if depth > 0 {
                    depth -= 1;
                } else if j >= 2 && word(j - 1) == "on" && clause(j - 1) && word(j - 2) == "distinct" && clause(j - 2) {
                    return true;
                }
            } else if depth == 0 && clause(j) {
                let text = word(j);
                let before = if j > 0 && clause(j - 1) {
                    word(j - 1)
                } else {
                    String::new()
                };
                match text.as_str() {
                    "by" if before == "order" || before == "group" => return true,
                    "limit" | "offset" | "fetch" => return true,
                    "on" if before == "distinct" => {}
                    "select" | "having" | "window" | "union" | "intersect" | "except" | "for" | "returning" | "on" => {
                        // the level is decided, but only if it is this literal's own or one that encloses it
                        return false;
                    }
                    _ => {}
                }
            }
        }
        false
    };
    let mut out: Vec<String> = Vec::new();
    let mut literals = Vec::new();
    for i in 0..list.len() {
        let own = list[i].span.of(text);
        let Some(class) = class_of(list[i].kind, own) else {
            out.push(match list[i].kind {
                TokenKind::Word => word(i),
                TokenKind::Other(b) => format!("\u{1f}{}", String::from_utf8_lossy(&[b])),
                _ => raw(i),
            });
            continue;
        };
        let number = matches!(class, LiteralClass::Int4 | LiteralClass::Int8 | LiteralClass::Numeric);
        let typmod = number && typmod_paren(&list, text, i, &clause, &is_word);
        if lifting && !all_kept(i) && !typmod && !depends_on_sign(class, own) {
            out.push(String::from_utf8(placeholder(class).to_vec()).unwrap());
            literals.push(Literal {
                span: list[i].span,
                class,
            });
        } else {
            out.push(raw(i));
        }
    }
    Some((out.join(" "), literals))
}

/// Whether the token at `i` is an AS that is no label itself: labels chain (`a.as`, `x as as`).
fn effective_as(list: &[Token], text: &[u8], i: usize) -> bool {
    let is_as = list[i].kind == TokenKind::Word && list[i].span.of(text).eq_ignore_ascii_case(b"as");
    is_as
        && (i == 0
            || !(list[i - 1].kind == TokenKind::Punctuation(b'.')
                || list[i - 1].kind == TokenKind::Cast
                || effective_as(list, text, i - 1)))
}

fn typmod_paren(
    list: &[Token],
    text: &[u8],
    i: usize,
    clause: &dyn Fn(usize) -> bool,
    is_word: &dyn Fn(usize) -> bool,
) -> bool {
    let lead = |j: usize| match list[j].kind {
        TokenKind::Punctuation(b'(' | b',') => true,
        TokenKind::Operator => matches!(list[j].span.of(text), b"-" | b"+"),
        _ => false,
    };
    if i == 0 || !lead(i - 1) {
        return false;
    }
    let mut depth = 0usize;
    let mut j = i;
    let open = loop {
        if j == 0 {
            return false;
        }
        j -= 1;
        match list[j].kind {
            TokenKind::Punctuation(b')') => depth += 1,
            TokenKind::Punctuation(b'(') if depth == 0 => break j,
            TokenKind::Punctuation(b'(') => depth -= 1,
            TokenKind::Word if depth == 0 && clause(j) => {
                let word = list[j].span.of(text).to_ascii_lowercase();
                let distinct_on = word == b"on"
                    && j > 0
                    && clause(j - 1)
                    && list[j - 1].span.of(text).eq_ignore_ascii_case(b"distinct");
                if matches!(role_of(&word), Role::EndsList | Role::On) && !distinct_on {
                    return false;
                }
            }
            _ => {}
        }
    };
    let role = |k: usize| match list[k].kind {
        TokenKind::Word => role_of(&list[k].span.of(text).to_ascii_lowercase()),
        _ => Role::Name,
    };
    // `:: a . b (` and `AS a . b (`
    let typed = |mut k: usize| loop {
        if !is_word(k) || k == 0 {
            return false;
        }
        if list[k - 1].kind == TokenKind::Cast || effective_as(list, text, k - 1) {
            return true;
        }
        if list[k - 1].kind != TokenKind::Punctuation(b'.') || k < 2 {
            return false;
        }
        k -= 2;
    };
    if open == 0 || !is_word(open - 1) {
        return false;
    }
    if typed(open - 1) || (role(open - 1) == Role::TypeName) {
        return true;
    }
    let dotted = open >= 2 && list[open - 2].kind == TokenKind::Punctuation(b'.');
    open >= 2
        && (role(open - 1) == Role::Name)
        && !dotted
        && is_word(open - 2)
        && (typed(open - 2) || matches!(role(open - 2), Role::Name | Role::TypeName) || behind_dot(list, open - 2))
}

fn behind_dot(list: &[Token], i: usize) -> bool {
    i > 0 && list[i - 1].kind == TokenKind::Punctuation(b'.')
}

fn word_strategy() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "select",
        "SELECT",
        "a",
        "b",
        "t",
        "numeric",
        "varchar",
        "as",
        "order by",
        "group by",
        "limit",
        "offset",
        "fetch",
        "having",
        "union",
        "on",
        "distinct on (1",
        "distinct on (",
        "group by (",
        "as t(a vec(3)",
        ":: public . vec (",
        "order by a.limit, ",
        "distinct",
        "in",
        "and",
        "values",
        "(",
        ")",
        "(",
        ")",
        ",",
        ",",
        ".",
        "::",
        "-",
        "+",
        "=",
        "1",
        "22",
        "3000000000",
        "1.5",
        "'x'",
        "E'y'",
        "N'z'",
        "$1",
        "2147483648",
        "\"Q\"",
        "for",
        "window",
        "from",
        "f(",
        "numeric(10,2)",
        "::vec(3)",
        "returning",
        "/* c */",
        "by",
        "order",
        "+ 5",
        "-7",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn twin_agrees(words in proptest::collection::vec(word_strategy(), 0..30)) {
        // no `)` without its `(`: what an unbalanced text means is nobody's question
        let mut open = 0u32;
        let mut text = String::from("select ");
        for c in words.join(" ").chars() {
            match c {
                '(' => open += 1,
                ')' if open == 0 => continue,
                ')' => open -= 1,
                _ => {}
            }
            text.push(c);
        }
        let mut found = Shape::default();
        let read = shape(text.as_bytes(), Lexing::default(), &mut found);
        match twin(text.as_bytes(), Lexing::default()) {
            None => prop_assert!(read.is_err()),
            Some((expected, literals)) => {
                prop_assert_eq!(String::from_utf8_lossy(found.normal()), expected, "{}", text);
                prop_assert_eq!(found.literals(), literals.as_slice());
            }
        }
    }

    #[test]
    fn what_was_read_before_changes_nothing(
        words in proptest::collection::vec(word_strategy(), 0..20),
        others in proptest::collection::vec(proptest::sample::select(vec![
            "1", "22", "999999999", "1234567890", "1.5", "1e3", "1a", "'x'", "''", "'y z'", "'it''s'", "'a\\'", "'x' \n'y'", "E'y'", "a", "-7", "",
            "1;", "1)", "5\t", "'x'y", "$1", "'\u{e9}'", "'unended", "-- 1",
        ]), 20..21),
        changed in any::<u32>(),
        strings in any::<bool>(),
    ) {
        // Two texts that differ in some words, one read behind the other.
        let lexing = Lexing::from_settings(if strings { "on" } else { "off" }, "UTF8");
        let first: Vec<&str> = words.iter().map(String::as_str).collect();
        let second: Vec<&str> = first.iter().zip(&others).enumerate()
            .map(|(at, (word, other))| if changed >> at & 1 == 1 { *other } else { *word }).collect();
        let (first, second) = (format!("select {} ;", first.join(" ")), format!("select {} ;", second.join(" ")));
        let (mut warm, mut fresh) = (Shape::default(), Shape::default());
        let _warmed = shape(first.as_bytes(), lexing, &mut warm);
        let (a, b) = (shape(second.as_bytes(), lexing, &mut warm), shape(second.as_bytes(), lexing, &mut fresh));
        prop_assert_eq!(a.is_ok(), b.is_ok(), "{} | {}", &first, &second);
        prop_assert_eq!(warm.normal(), fresh.normal(), "{} | {}", &first, &second);
        prop_assert_eq!(warm.literals(), fresh.literals(), "{} | {}", &first, &second);
        prop_assert_eq!((warm.hash(), warm.lead(), warm.statements()), (fresh.hash(), fresh.lead(), fresh.statements()));
    }

    #[test]
    fn any_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..80)) {
        let mut found = Shape::default();
        let read = shape(&text, Lexing::default(), &mut found);
        prop_assert_eq!(read.is_err(), scan(&text, Lexing::default()).is_err() && found.statements() != Statements::Several);
    }

    #[test]
    fn the_normal_form_is_its_own_shape(words in proptest::collection::vec(word_strategy(), 0..20)) {
        // white space and comments say nothing
        let tight = format!("select {}", words.join(" "));
        let wide = format!("/* x */ SELECT\n{} ;; -- y", words.join("  "));
        let (mut first, mut second) = (Shape::default(), Shape::default());
        let (a, b) = (shape(tight.as_bytes(), Lexing::default(), &mut first), shape(wide.as_bytes(), Lexing::default(), &mut second));
        prop_assert_eq!(a.is_ok(), b.is_ok());
        prop_assert_eq!(first.normal(), second.normal());
        prop_assert_eq!(first.hash(), second.hash());
    }
}
