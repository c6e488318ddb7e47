//! The statements of one Query message.
//!
//! Why not at every `;`: a rule's actions stand in parentheses, and a function body `BEGIN ATOMIC … END` holds statements.
//! In Postgres's grammar such a body ends at an END directly behind `;` or ATOMIC: no statement within can begin with END.

use super::error::ScanError;
use super::lexing::{Lexing, Span};
use super::scan::{Token, TokenKind, tokens};

/// Spans of the top-level statements, without their `;`, from first to last token; empty ones are dropped, so an all-empty
/// text gives none. A `BEGIN ATOMIC … END` body is not split.
pub fn split(text: &[u8], lexing: Lexing) -> Result<Vec<Span>, ScanError> {
    let mut statements = Vec::new();
    let mut current: Option<Span> = None;
    let mut body = Body::default();
    for token in tokens(text, lexing) {
        let token = token?;
        let ends = token.kind == TokenKind::Punctuation(b';') && body.parens == 0 && body.depth == 0;
        if ends {
            statements.extend(current.take());
            body = Body::default();
            continue;
        }
        body.feed(token, text);
        current = Some(match current {
            Some(span) => Span::new(span.start, token.span.end),
            None => token.span,
        });
    }
    statements.extend(current);
    Ok(statements)
}

/// How deep within one statement we are.
#[derive(Default)]
struct Body {
    parens: usize,
    depth: usize,
    head: Head,
    previous: Previous,
}

/// How much of `CREATE [OR REPLACE] FUNCTION|PROCEDURE` was seen.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Head {
    #[default]
    Nothing,
    Create,
    CreateOr,
    Routine,
    Different,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Previous {
    #[default]
    Different,
    Begin,
    /// `;` or ATOMIC: an END here closes the body
    Boundary,
}

impl Body {
    fn feed(&mut self, token: Token, text: &[u8]) {
        let mut previous = Previous::Different;
        match token.kind {
            TokenKind::Punctuation(b'(') => self.parens += 1,
            TokenKind::Punctuation(b')') => self.parens = self.parens.saturating_sub(1),
            TokenKind::Punctuation(b';') => previous = Previous::Boundary,
            TokenKind::Word if self.head == Head::Routine && self.parens == 0 => {
                let word = token.span.of(text);
                if word.eq_ignore_ascii_case(b"begin") {
                    previous = Previous::Begin;
                } else if word.eq_ignore_ascii_case(b"atomic") && self.previous == Previous::Begin {
                    self.depth += 1;
                    previous = Previous::Boundary;
                } else if word.eq_ignore_ascii_case(b"end") && self.previous == Previous::Boundary {
                    self.depth = self.depth.saturating_sub(1);
                }
            }
            _ => {}
        }
        self.previous = previous;
        self.head = self.head.after(token, text);
    }
}

impl Head {
    fn after(self, token: Token, text: &[u8]) -> Head {
        let word = match token.kind {
            TokenKind::Word => token.span.of(text).to_ascii_lowercase(),
            _ => Vec::new(),
        };
        match (self, word.as_slice()) {
            (Head::Routine, _) => Head::Routine,
            (Head::Nothing, b"create") => Head::Create,
            (Head::Create, b"or") => Head::CreateOr,
            (Head::CreateOr, b"replace") => Head::Create,
            (Head::Create, b"function" | b"procedure") => Head::Routine,
            _ => Head::Different,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let spans = split(text.as_bytes(), Lexing::default()).unwrap();
        let found: Vec<&str> = spans
            .iter()
            .map(|s| std::str::from_utf8(s.of(text.as_bytes())).unwrap())
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn statements_are_cut_at_top_level_semicolons() {
        check("", &[]);
        check(" ; ;; -- c\n /* ; */", &[]);
        check("select 1", &["select 1"]);
        check("select ';' ; select $$;$$; ", &["select ';'", "select $$;$$"]);
        check(
            "BEGIN; select 1; END; select 2",
            &["BEGIN", "select 1", "END", "select 2"],
        );
        check(
            "create rule r as on insert to t do (select 1; select 2); select 3",
            &["create rule r as on insert to t do (select 1; select 2)", "select 3"],
        );
    }

    #[test]
    fn atomic_bodies_stay_whole() {
        let f =
            "create or replace function f() returns int begin atomic select case when true then 1 end; select 2; end";
        check(&format!("{f}; select 3"), &[f, "select 3"]);
        let empty = "CREATE PROCEDURE p() BEGIN ATOMIC END";
        check(&format!("{empty}; select 3"), &[empty, "select 3"]);
        let label = "create function f() returns int begin atomic select 1 end; select 2 as end; end";
        check(&format!("{label}; select 3"), &[label, "select 3"]);
        let nested = "create function f() returns int begin atomic create function g() returns int begin atomic select 1; end; select 2; end";
        check(&format!("{nested}; select 3"), &[nested, "select 3"]);
        check("begin atomic; select 1; end", &["begin atomic", "select 1", "end"]);
    }
}
