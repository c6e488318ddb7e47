//! `now()` and its kin: one moment for all shards, put into the text as a constant of the same type.
//!
//! Why asked in UTC by `to_char`: its answer doesn't depend on DateStyle or TimeZone, and in ISO form neither does
//! reading it back.

use crate::plan::resolve::{Input, Resolved};
use crate::plan::{Ask, Facts, Refusal, RefusalId, Verdict, refuse};
use crate::sql::{Edits, Span, TokenKind};

use super::calls;

/// A function of the moment, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Moment {
    /// the transaction's
    Transaction,
    /// the statement's
    Statement,
    /// its day in the session's time zone
    Date,
    /// its wall-clock time there
    Local,
}

/// Is it a question for a moment, which is the transaction's?
pub fn asks_moment(question: &str) -> bool {
    let all = [Moment::Transaction, Moment::Statement, Moment::Date, Moment::Local];
    all.iter().any(|moment| moment.question() == question)
}

impl Moment {
    /// The expression whose value is asked for.
    pub(in crate::plan) fn question(self) -> &'static str {
        match self {
            Moment::Transaction => {
                "pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'"
            }
            Moment::Statement => {
                "pg_catalog.to_char(pg_catalog.statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'"
            }
            Moment::Date => "pg_catalog.to_char(CURRENT_DATE, 'YYYY-MM-DD')",
            Moment::Local => "pg_catalog.to_char(LOCALTIMESTAMP, 'YYYY-MM-DD HH24:MI:SS.US')",
        }
    }

    /// The answer as a typed constant.
    pub(in crate::plan) fn constant(self, answer: &str) -> String {
        let type_name = match self {
            Moment::Transaction | Moment::Statement => "timestamptz",
            Moment::Date => "date",
            Moment::Local => "timestamp",
        };
        // digits, blanks and `-:.+` only: nothing to quote
        let plain: String = answer
            .chars()
            .filter(|c| c.is_ascii_digit() || " -:.+".contains(*c))
            .collect();
        format!("'{plain}'::pg_catalog.{type_name}")
    }

    /// The moment that a word names, if it does.
    pub(in crate::plan) fn of(word: &[u8]) -> Option<Moment> {
        let word = word.to_ascii_lowercase();
        match word.as_slice() {
            b"now" | b"current_timestamp" | b"transaction_timestamp" => Some(Moment::Transaction),
            b"statement_timestamp" => Some(Moment::Statement),
            b"current_date" => Some(Moment::Date),
            b"localtimestamp" => Some(Moment::Local),
            _ => None,
        }
    }
}

/// Finds every call of a function of the moment in the text. One that can't be put into the text (with a precision, in a
/// view, in FROM) is refused.
pub(in crate::plan) fn find(resolved: &Resolved<'_>) -> Result<Vec<(Span, Moment)>, Box<Refusal>> {
    let mut found = Vec::new();
    let input: &Input<'_> = resolved.input;
    for (index, token) in input.tokens.iter().enumerate() {
        if token.kind != TokenKind::Word {
            continue;
        }
        let Some(moment) = Moment::of(token.span.of(input.text)) else {
            continue;
        };
        let kind_at = |at: Option<usize>| at.and_then(|at| input.tokens.get(at)).map(|token| token.kind);
        let opens = kind_at(index.checked_add(1)) == Some(TokenKind::Punctuation(b'('));
        let closes = kind_at(index.checked_add(2)) == Some(TokenKind::Punctuation(b')'));
        let keyword = token.span.of(input.text).to_ascii_lowercase().starts_with(b"current_")
            || token.span.of(input.text).eq_ignore_ascii_case(b"localtimestamp");
        let mut span = token.span;
        match (keyword, opens, closes) {
            (true, false, _) => {}
            (false, true, true) => {
                let end = index
                    .checked_add(2)
                    .and_then(|at| input.tokens.get(at))
                    .map(|token| token.span.end);
                span.end = end.unwrap_or(span.end);
            }
            // a column or a label of that name; a call with a precision is missed by the count below
            (true, true, _) | (false, _, _) => continue,
        }
        let dot = kind_at(index.checked_sub(1)) == Some(TokenKind::Punctuation(b'.'));
        if dot {
            match index.checked_sub(2).and_then(|at| input.tokens.get(at)) {
                Some(schema) if schema.span.of(input.text).eq_ignore_ascii_case(b"pg_catalog") => {
                    span.start = schema.span.start;
                }
                _ => continue,
            }
        }
        found.push((span, moment));
    }
    let called = resolved
        .uses
        .functions
        .iter()
        .filter(|call| calls::is_moment(call.name.strip_prefix("pg_catalog.").unwrap_or(&call.name)));
    let (mut count, mut in_from) = (0usize, false);
    for call in called {
        count = count.saturating_add(1);
        in_from |= call.call.is_none();
    }
    match count == found.len() && !in_from {
        true => Ok(found),
        false => Err(refuse(RefusalId::FanOutMoment, &[])),
    }
}
/// Asks for the moments that aren't known yet.
pub(in crate::plan) fn know_moments(moments: &[(Span, Moment)], facts: &Facts) -> Result<(), Verdict> {
    let missing: Vec<String> = moments
        .iter()
        .map(|(_, moment)| moment.question().to_owned())
        .filter(|question| !facts.constants.contains_key(question))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Verdict::Ask(Ask::Constants(missing))),
    }
}

/// Puts the moments that are known into the text.
pub(in crate::plan) fn fix_moments(
    moments: &[(Span, Moment)],
    facts: &Facts,
    edits: &mut Edits,
) -> Result<(), Verdict> {
    for (span, moment) in moments {
        let value = facts.constants.get(moment.question()).cloned().flatten();
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| Verdict::Refused(refuse(RefusalId::FanOutMoment, &[])))?;
        edits.replace(*span, moment.constant(&value));
    }
    Ok(())
}
