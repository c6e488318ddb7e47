//! TRUNCATE and DROP TABLE of a list in which some tables live on the first shard alone, and the others on every shard.
//!
//! Why the first shard only: it works before the others, so who waits for whom stays in one order, and its notices are the
//! client's. Holds: each shard gets the client's text without the tables that it doesn't have; nothing else differs.

use std::ops::Range;

use crate::plan::ladder::phrase::{Entry, Phrase};
use crate::plan::ladder::places::{Place, place};
use crate::plan::ladder::{Case, Everywhere, Literals, Route, Ruling, Texts};
use crate::plan::{Access, Counts, Refusal, Sameness, SessionEffect, WriteAnswer, WritePart};
use crate::sql::{Edits, Span};

/// The route of such a list at a place; `None`: it is none.
pub(super) fn mixed(case: &Case<'_>, phrase: &Phrase, at: usize) -> Result<Option<Ruling>, Box<Refusal>> {
    let Some((entries, _)) = phrase.entries(at) else {
        return Ok(None);
    };
    let topology = case.snapshot.topology();
    let Some(first) = topology.all_shards().first() else {
        return Ok(None);
    };
    let mut alone = Vec::with_capacity(entries.len());
    for (named, _) in &entries {
        alone.push(match place(case, named)? {
            Place::On(shard) if shard == first => true,
            Place::Sharded(_) | Place::Reference(_) | Place::Everywhere => false,
            Place::On(_) | Place::Some(_) | Place::Temporary => return Ok(None),
        });
    }
    if !alone.contains(&true) || !alone.contains(&false) {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for shard in topology.all_shards().iter() {
        let mut edits = Edits::new();
        if shard != first {
            for span in cut(case, &entries, &alone).into_iter().flatten() {
                edits.replace(span, String::new());
            }
        }
        let Some((text, positions)) = edits.apply(case.text) else {
            return Ok(None);
        };
        parts.push(WritePart {
            shard,
            text,
            positions: Some(positions),
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            counts: Counts::Yes,
        });
    }
    Ok(Some(Ruling {
        route: Route::Everywhere(Box::new(Everywhere {
            reason: "some tables on the first shard, the others on every shard",
            answer: WriteAnswer::Same(Sameness::Tag),
            texts: Texts::Parts(parts),
        })),
        access: Access::Write,
        effect: SessionEffect::None,
        prepare_on: first,
        literals: Literals::Read,
    }))
}

/// What is cut out of the text: each entry of those alone, with one comma.
fn cut(case: &Case<'_>, entries: &[Entry], alone: &[bool]) -> Vec<Option<Span>> {
    let start = |of: &Range<usize>| case.tokens.get(of.start).map(|token| token.span.start);
    let end = |of: &Range<usize>| case.tokens.get(of.end.checked_sub(1)?).map(|token| token.span.end);
    let mut spans = Vec::new();
    let mut kept = false;
    for (index, (_, tokens)) in entries.iter().enumerate() {
        if alone.get(index) == Some(&false) {
            kept = true;
            continue;
        }
        let near = |at: Option<usize>| at.and_then(|at| entries.get(at)).map(|(_, tokens)| tokens);
        let (from, to) = match kept {
            true => (near(index.checked_sub(1)).and_then(end), end(tokens)),
            false => (start(tokens), near(index.checked_add(1)).and_then(start)),
        };
        spans.push(from.zip(to).map(|(from, to)| Span::new(from, to)));
    }
    spans
}
