//! Which functions may read when their transaction began: on a shard that joins a block late that is another moment.
//!
//! Holds: `No` only where a function's own text, and that of all that it calls, reads and writes, says nothing of the
//! moment; what can't be scanned, or isn't sql or plpgsql, may say so.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Filling, ReadsMoment, Relation, Volatility};
use crate::discovery::bodies::words;
use crate::discovery::shard_catalog::ShardFunction;
use crate::sql::{Lexing, TokenKind, scan};
use crate::value::says_moment;

/// Words that are the moment of the transaction, called or not.
const MOMENTS: &[&str] = &[
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "timetz",
];
/// Functions that read it.
const MOMENTS_CALLED: &[&str] = &["now", "transaction_timestamp", "age"];

/// Its `moment` becomes `No` where nothing in it, or in what it calls and writes, may read when its transaction began.
pub(super) fn judge_moments(functions: &mut [ShardFunction], relations: &BTreeMap<String, Vec<&Relation>>) {
    let reads: BTreeMap<&str, BTreeSet<String>> = relations
        .iter()
        .map(|(name, relations)| (name.as_str(), relation_words(relations)))
        .collect();
    let mut reading: BTreeSet<String> = BTreeSet::new();
    for function in functions.iter().filter(|function| speaks_of_moment(function)) {
        reading.insert(function.function.name.name.clone());
    }
    let told = |relation: &&Relation| texts(relation).into_iter().any(text_reads_moment);
    for (name, relations) in relations {
        if relations.iter().any(told) {
            reading.insert(name.clone());
        }
    }
    loop {
        let before = reading.len();
        for function in functions.iter() {
            let words = function.body.as_deref().map(|body| words(body).unwrap_or_default());
            if words.is_some_and(|words| words.iter().any(|word| reading.contains(word))) {
                reading.insert(function.function.name.name.clone());
            }
        }
        for (name, words) in &reads {
            if !words.is_disjoint(&reading) {
                reading.insert((*name).to_owned());
            }
        }
        if reading.len() == before {
            break;
        }
    }
    for function in functions.iter_mut() {
        function.function.moment = match reading.contains(&function.function.name.name) {
            true => ReadsMoment::Perhaps,
            false => ReadsMoment::No,
        };
    }
}

/// Does a function's own body speak of the moment, or can that not be told?
fn speaks_of_moment(function: &ShardFunction) -> bool {
    let own = &function.function;
    match (function.language.as_str(), &function.body) {
        ("sql" | "plpgsql", Some(body)) => {
            let hides = words(body).is_none_or(|words| words.iter().any(|word| word == "execute"));
            hides || text_reads_moment(body)
        }
        ("internal", Some(_)) => false, // an aggregate: its parts are judged
        ("c" | "internal", _) => {
            own.volatility != Volatility::Immutable && !own.name.name.starts_with("uuid_generate_")
        }
        _ => true,
    }
}

/// May a text of SQL read the moment by itself?
fn text_reads_moment(text: &str) -> bool {
    let bytes = text.as_bytes();
    let Ok(tokens) = scan(bytes, Lexing::default()) else {
        return true;
    };
    tokens.iter().enumerate().any(|(index, token)| {
        let word = String::from_utf8_lossy(token.span.of(bytes)).to_ascii_lowercase();
        let next = index.checked_add(1).and_then(|next| tokens.get(next));
        match token.kind {
            TokenKind::Word if MOMENTS.contains(&word.as_str()) => true,
            TokenKind::Word => {
                let called = next.is_some_and(|next| next.kind == TokenKind::Punctuation(b'('));
                called && MOMENTS_CALLED.contains(&word.as_str())
            }
            TokenKind::DollarString => text_reads_moment(word.trim_matches('$')),
            TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::NationalString => {
                says_moment(word.as_bytes())
            }
            _ => false,
        }
    })
}

/// What writing or reading a relation may call: its triggers, its view's text, its defaults.
fn relation_words(relations: &[&Relation]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for relation in relations {
        all.extend(relation.triggers.iter().map(|trigger| trigger.function.name.clone()));
        for text in texts(relation) {
            all.extend(words(text).unwrap_or_default());
        }
    }
    all
}

/// A relation's defaults, and a view's text.
fn texts(relation: &Relation) -> Vec<&str> {
    let defaults = relation.columns.iter().filter_map(|column| match &column.filling {
        Filling::Default { expression, .. } | Filling::Generated(expression) => Some(expression),
        Filling::Nothing | Filling::Identity { .. } => None,
    });
    defaults.chain(&relation.view_definition).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::text_reads_moment;

    #[test]
    fn bodies_that_read_the_moment_are_found() {
        let plain = [
            "SELECT $1 * 2",
            "SELECT now FROM clocks WHERE age > 3 -- now()",
            "BEGIN NEW.seen := clock_timestamp(); RETURN NEW; END",
            "SELECT 'known', statement_timestamp()",
        ];
        let reading = [
            "BEGIN NEW.at := now(); RETURN NEW; END",
            "SELECT CURRENT_DATE",
            "SELECT x FROM t WHERE at > 'today'::date",
            "SELECT age($1)",
            "DO $x$ BEGIN PERFORM now(); END $x$",
            "SELECT 'never ends",
        ];
        for body in plain {
            assert!(!text_reads_moment(body), "{body}");
        }
        for body in reading {
            assert!(text_reads_moment(body), "{body}");
        }
    }
}
