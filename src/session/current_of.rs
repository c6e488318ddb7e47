//! UPDATE and DELETE … WHERE CURRENT OF a cursor: the row is on the shard that holds the cursor.
//!
//! Sketch: the parser doesn't know the condition, so the statement is planned with `true` in its place, and what runs is
//! the client's own text.
//! Holds: it runs on the cursor's shard only if that table alone is written, and nothing else in it depends on the shard;
//! a table that lies on all shards can't be written through a row of one.

use std::sync::Arc;

use crate::plan::{Facts, Plan, Refusal, Request, Snapshot, Verdict};
use crate::session::error::{Failure, Stop};
use crate::session::route::Question;
use crate::session::state::Session;
use crate::sql::{self, Edits, Lexing, Span, TokenKind, fold_identifier};

impl Session {
    /// The plan of a refused statement, if it is such a one and may run.
    pub(super) fn plan_current_of(
        &self,
        snapshot: &Arc<Snapshot>,
        question: &Question<'_>,
        facts: &Facts,
        refusal: &Refusal,
    ) -> Result<Option<Plan>, Stop> {
        if !refusal.is_unparsed() {
            return Ok(None);
        }
        let Some((span, name)) = current_of(question.text, self.lexing) else {
            return Ok(None);
        };
        if self.fan_cursors.contains_key(&name) {
            return Err(Failure::NotInThisVersion {
                construct: "WHERE CURRENT OF a cursor over several shards",
            }
            .into());
        }
        let Some(shard) = self.cursors.get(&name).copied() else {
            return Err(Failure::NoCursor(name).into());
        };
        let mut edits = Edits::new();
        edits.replace(span, b"true".to_vec());
        let (text, _) = edits
            .apply(question.text)
            .ok_or(Failure::Bug("a condition can't be replaced"))?;
        let context = Arc::clone(&self.effective.context);
        let request = Request {
            text: &text,
            parameter_types: question.declared,
            context: &context,
        };
        let planned = snapshot.compile(&request, facts).and_then(|compiled| {
            let planned = compiled.bind(snapshot, &request, &question.parameters, facts);
            compiled.by_cursor(planned, shard)
        });
        match planned {
            Ok(Some(plan)) => Ok(Some(plan)),
            Ok(None) => Err(Failure::NotInThisVersion {
                construct: "WHERE CURRENT OF where another shard has a part in the write",
            }
            .into()),
            Err(Verdict::Refused(refusal)) => Err(Failure::Refused(refusal).into()),
            Err(Verdict::Ask(_)) => Ok(None),
        }
    }
}

/// `CURRENT OF name` behind WHERE, where it stands once, and the name.
fn current_of(text: &[u8], lexing: Lexing) -> Option<(Span, String)> {
    let tokens = sql::scan(text, lexing).ok()?;
    let is = |at: usize, word: &[u8]| {
        let token = tokens.get(at);
        token.is_some_and(|token| token.kind == TokenKind::Word && token.span.of(text).eq_ignore_ascii_case(word))
    };
    let begins =
        |at: &usize| is(*at, b"where") && is(at.saturating_add(1), b"current") && is(at.saturating_add(2), b"of");
    let mut places = (0..tokens.len()).filter(begins);
    let (Some(at), None) = (places.next(), places.next()) else {
        return None;
    };
    let (first, last) = (tokens.get(at.checked_add(1)?)?, tokens.get(at.checked_add(3)?)?);
    let written = std::str::from_utf8(last.span.of(text)).ok()?;
    let name = match last.kind {
        TokenKind::Word => fold_identifier(written),
        TokenKind::QuotedIdentifier => written.strip_prefix('"')?.strip_suffix('"')?.replace("\"\"", "\""),
        _ => return None,
    };
    Some((Span::new(first.span.start, last.span.end), name))
}
