//! Places where the parser's tree may differ from Postgres's.
//!
//! Why: the parser's precedences are not Postgres's in some corners (found by comparing 9,955 generated pairs of operators).
//! A key may be taken only from a conjunct that holds none of these; telling by tokens needs no trust in the tree.
//!
//! Holds: errs on the side of suspicion. Every operator but `+ - * / % = <> < > <= >=` counts, alone.

use super::error::ScanError;
use super::lexing::{Lexing, Span};
use super::scan::{Token, TokenKind, scan};

/// A form whose tree can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// where
    pub span: Span,
    /// how far the tree is to be doubted
    pub reach: Reach,
    /// which form
    pub why: &'static str,
}

/// How far a suspicion reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// the conjunct that holds it: it gives no key
    Conjunct,
    /// AND, OR and NOT around it may be misplaced: no key from the whole condition, nor anything else of it
    Condition,
}

/// Every suspicious form of `text`, in order of where it starts.
pub fn suspicious(text: &[u8], lexing: Lexing) -> Result<Vec<Suspicion>, ScanError> {
    let tokens = scan(text, lexing)?;
    let mut found = Vec::new();
    let mut segments: Vec<Segment> = vec![Segment::default()];
    let mut quantified: Vec<usize> = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let next = tokens.get(i + 1).copied();
        let previous = i.checked_sub(1).and_then(|p| tokens.get(p)).copied();
        let mut note = |reach, why| {
            found.push(Suspicion {
                span: token.span,
                reach,
                why,
            })
        };
        match Form::of(*token, previous, next, text) {
            Form::Open => {
                if previous.is_some_and(|p| matches!(lower(p, text).as_slice(), b"all" | b"any" | b"some")) {
                    quantified.push(segments.len());
                }
                segments.push(Segment::default());
            }
            Form::Close => {
                end(segments.pop(), &mut found);
                if segments.is_empty() {
                    segments.push(Segment::default());
                }
                if quantified.last() == Some(&segments.len()) {
                    quantified.pop();
                    if next.is_some_and(continues) {
                        found.push(Suspicion {
                            span: token.span,
                            reach: Reach::Conjunct,
                            why: "an operator behind ALL, ANY or SOME",
                        });
                    }
                }
            }
            Form::Boundary => {
                let last = segments.pop();
                end(last, &mut found);
                segments.push(Segment::default());
            }
            Form::And => match segments.last_mut() {
                Some(segment) if segment.awaits_and => segment.awaits_and = false,
                Some(_) | None => {
                    end(segments.pop(), &mut found);
                    segments.push(Segment::default());
                }
            },
            Form::Misplacing(why) => note(Reach::Condition, why),
            Form::Doubtful(why) => {
                note(Reach::Conjunct, why);
                if let Some(segment) = segments.last_mut() {
                    segment.odd.get_or_insert(token.span);
                }
            }
            Form::Between => {
                if let Some(segment) = segments.last_mut() {
                    segment.between_count += 1;
                    segment.between.get_or_insert(token.span);
                    segment.awaits_and = true;
                }
            }
            Form::Comparison | Form::Predicate => {
                if let Some(segment) = segments.last_mut() {
                    segment.predicates += 1;
                    segment.last_predicate = Some(token.span);
                }
            }
            Form::Sign => {
                if let Some(segment) = segments.last_mut() {
                    segment.sign.get_or_insert(token.span);
                }
            }
            Form::Postfix => {
                if let Some(segment) = segments.last_mut() {
                    segment.postfix.get_or_insert(token.span);
                }
            }
            Form::Plain => {}
        }
    }
    for segment in segments {
        end(Some(segment), &mut found);
    }
    found.sort_by_key(|s| s.span);
    Ok(found)
}

/// What stands between two boundaries (AND, OR, clause words, commas, parentheses) of one level.
#[derive(Default)]
struct Segment {
    between: Option<Span>,
    between_count: usize,
    awaits_and: bool,
    odd: Option<Span>,
    predicates: usize,
    last_predicate: Option<Span>,
    sign: Option<Span>,
    postfix: Option<Span>,
}

fn end(segment: Option<Segment>, found: &mut Vec<Suspicion>) {
    let Some(segment) = segment else { return };
    if let Some(span) = segment.between {
        if segment.odd.is_some() {
            found.push(Suspicion {
                span,
                reach: Reach::Condition,
                why: "BETWEEN beside another operator",
            });
        } else if segment.predicates > 0 || segment.between_count > 1 {
            found.push(Suspicion {
                span,
                reach: Reach::Conjunct,
                why: "BETWEEN beside another predicate",
            });
        }
    }
    if let Some(span) = segment.last_predicate
        && segment.predicates > 1
    {
        found.push(Suspicion {
            span,
            reach: Reach::Conjunct,
            why: "several predicates without parentheses",
        });
    }
    if let Some(span) = segment.postfix
        && segment.sign.is_some()
    {
        found.push(Suspicion {
            span,
            reach: Reach::Conjunct,
            why: "a sign beside COLLATE or AT TIME ZONE",
        });
    }
}

enum Form {
    Open,
    Close,
    /// OR, NOT, a comma, a word that starts a clause
    Boundary,
    And,
    Between,
    /// moves AND, OR, NOT
    Misplacing(&'static str),
    Doubtful(&'static str),
    Comparison,
    /// LIKE, IN, IS and their kin
    Predicate,
    /// `+` or `-`
    Sign,
    /// COLLATE, AT TIME ZONE
    Postfix,
    Plain,
}

impl Form {
    fn of(token: Token, previous: Option<Token>, next: Option<Token>, text: &[u8]) -> Form {
        match token.kind {
            TokenKind::Punctuation(b'(' | b'[') => Form::Open,
            TokenKind::Punctuation(b')' | b']') => Form::Close,
            TokenKind::Punctuation(b',' | b';') => Form::Boundary,
            TokenKind::Operator => match token.span.of(text) {
                b"+" | b"-" => Form::Sign,
                b"*" | b"/" | b"%" => Form::Plain,
                b"=" | b"<" | b">" | b"<=" | b">=" | b"<>" | b"!=" => Form::Comparison,
                _ => Form::Doubtful("an operator whose rank the parser may not know"),
            },
            TokenKind::DotDot | TokenKind::Other(_) => Form::Doubtful("not an expression of SQL"),
            TokenKind::Word => {
                // labels may be any keyword
                if previous.is_some_and(|p| p.kind == TokenKind::Punctuation(b'.') || lower(p, text) == b"as") {
                    return Form::Plain;
                }
                Form::of_word(&lower(token, text), next, text)
            }
            _ => Form::Plain,
        }
    }

    fn of_word(word: &[u8], next: Option<Token>, text: &[u8]) -> Form {
        match word {
            b"and" => Form::And,
            b"or" | b"where" | b"on" | b"having" | b"select" | b"from" | b"when" | b"then" | b"else" | b"case"
            | b"end" | b"set" | b"values" | b"group" | b"order" | b"by" | b"limit" | b"offset" | b"returning"
            | b"union" | b"intersect" | b"except" | b"join" | b"using" | b"window" | b"for" | b"filter" => {
                Form::Boundary
            }
            b"not" if next.is_some_and(|n| is_negated_predicate(&lower(n, text))) => Form::Plain,
            b"not" => Form::Boundary,
            b"isnull" | b"notnull" => Form::Misplacing("ISNULL and NOTNULL"),
            b"between" => Form::Between,
            b"is" | b"in" | b"like" | b"ilike" | b"similar" | b"overlaps" => Form::Predicate,
            b"collate" => Form::Postfix,
            b"at" if next.is_some_and(|n| lower(n, text) == b"time") => Form::Postfix,
            b"operator" if next.is_some_and(|n| n.kind == TokenKind::Punctuation(b'(')) => {
                Form::Doubtful("OPERATOR(…)")
            }
            _ => Form::Plain,
        }
    }
}

fn lower(token: Token, text: &[u8]) -> Vec<u8> {
    match token.kind {
        TokenKind::Word => token.span.of(text).to_ascii_lowercase(),
        _ => Vec::new(),
    }
}

fn is_negated_predicate(word: &[u8]) -> bool {
    matches!(word, b"between" | b"in" | b"like" | b"ilike" | b"similar")
}

/// Whether an expression goes on with this token.
fn continues(token: Token) -> bool {
    matches!(
        token.kind,
        TokenKind::Operator | TokenKind::Cast | TokenKind::Punctuation(b'[' | b'.')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(condition: &str, expected: &[(&str, Reach)]) {
        let text = format!("SELECT a FROM t WHERE {condition} ORDER BY a");
        let found = suspicious(text.as_bytes(), Lexing::default()).unwrap();
        let found: Vec<(&str, Reach)> = found
            .iter()
            .map(|s| (std::str::from_utf8(s.span.of(text.as_bytes())).unwrap(), s.reach))
            .collect();
        assert_eq!(found, expected, "{condition}");
    }

    #[test]
    fn plain_conditions_are_clean() {
        for condition in [
            "id = 5 AND b <> 3 OR NOT c < d + 1",
            "id = -5",
            "id BETWEEN 1 AND 2 AND b = 3",
            "id NOT BETWEEN 1 - 2 AND 2 * 3 OR x IS NULL",
            "id IN (1, 2) AND name LIKE 'x%'",
            "id = ANY ($1) AND b = 2",
            "id = ANY ($1::int[])",
            "t.id = 5::bigint AND at = '2020-01-01'",
            "name COLLATE \"C\" = 'x'",
            "id = (SELECT max(b) FROM u WHERE c = 3)",
            "a = CASE WHEN b = 1 THEN 2 ELSE 3 END",
            "t.isnull = 5",
        ] {
            check(condition, &[]);
        }
    }

    #[test]
    fn doubtful_forms_are_found() {
        use Reach::{Condition, Conjunct};
        check("id = 5 AND a ~ 'x'", &[("~", Conjunct)]);
        check("a ->> 'k' = 'v' AND id = 5", &[("->>", Conjunct)]);
        check("a @@@ b", &[("@@@", Conjunct)]);
        check("a == b", &[("==", Conjunct)]);
        check("a ISNULL AND id = 5", &[("ISNULL", Condition)]);
        check(
            "a BETWEEN 1 AND 2 ~ b AND id = 5",
            &[("BETWEEN", Condition), ("~", Conjunct)],
        );
        check("a BETWEEN 1 AND 2 = true", &[("BETWEEN", Conjunct)]);
        check("a = b NOT BETWEEN 1 AND 2", &[("BETWEEN", Conjunct)]);
        check("id = 5 NOT IN (1)", &[("IN", Conjunct)]);
        check("id = 5 IS NULL", &[("IS", Conjunct)]);
        check("id = ALL (ARRAY[1]) + 1", &[(")", Conjunct)]);
        check("-a AT TIME ZONE 'x' = b", &[("AT", Conjunct)]);
        check("- a ^ 2 = 5", &[("^", Conjunct)]);
        check("id OPERATOR(public.=) 5", &[("OPERATOR", Conjunct)]);
    }
}
