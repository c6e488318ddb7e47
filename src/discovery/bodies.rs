//! Which functions may leave something in the session: sessions under transaction pooling must ask after those.
//!
//! Why by words: a body is plain only if no word in it could change the session, whatever the grammar around it; a
//! comment or a column with such a name costs a question, never a wrong answer. Holds: everything that isn't sql or
//! plpgsql, or can't be scanned for certain, is opaque, but for compiled functions that an extension brought.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Body, Filling, ReadsMoment, Relation, Volatility};
use crate::discovery::shard_catalog::ShardFunction;
use crate::sql::{Lexing, TokenKind, scan};
use crate::value::says_moment;

/// Words of session effect, or of text that is executed.
const WORDS: &[&str] = &[
    "execute",
    "reset",
    "discard",
    "listen",
    "unlisten",
    "prepare",
    "deallocate",
    "temp",
    "temporary",
    "pg_temp",
    "hold",
    "load",
    "commit",
    "rollback",
    "set_config",
    "setseed",
    "pg_advisory_lock",
    "pg_advisory_lock_shared",
    "pg_try_advisory_lock",
    "pg_try_advisory_lock_shared",
    "pg_advisory_unlock",
    "pg_advisory_unlock_shared",
    "pg_advisory_unlock_all",
    "lo_import",
    "ts_stat",
    "ts_rewrite",
    "pg_replication_origin_session_setup",
    "pg_replication_origin_session_reset",
    "pg_create_logical_replication_slot",
    "pg_create_physical_replication_slot",
    "pg_start_backup",
    "pg_backup_start",
    "pg_stop_backup",
    "pg_backup_stop",
];
/// Families of functions that run text, or hold connections.
const PREFIXES: &[&str] = &[
    "query_to_",
    "cursor_to_",
    "table_to_xml",
    "schema_to_xml",
    "database_to_xml",
    "dblink",
];
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
/// Words after which a statement of plpgsql begins.
const STARTERS: &[&str] = &["begin", "then", "else", "loop", "atomic"];

/// Judges every function: its `body` becomes `Plain` where nothing in it, or in what it calls, may touch the session.
pub(super) fn judge(functions: &mut [ShardFunction], relations: &BTreeMap<String, Vec<&Relation>>) {
    let words: Vec<Option<BTreeSet<String>>> = functions.iter().map(own_words).collect();
    let reads: BTreeMap<&str, BTreeSet<String>> = relations
        .iter()
        .map(|(name, relations)| (name.as_str(), relation_words(relations)))
        .collect();
    let mut opaque: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = opaque.len();
        for (function, words) in functions.iter().zip(&words) {
            let is_opaque = words.as_ref().is_none_or(|words| !words.is_disjoint(&opaque));
            if is_opaque {
                opaque.insert(function.function.name.name.clone());
            }
        }
        for (name, words) in &reads {
            if !words.is_disjoint(&opaque) {
                opaque.insert((*name).to_owned());
            }
        }
        if opaque.len() == before {
            break;
        }
    }
    for (function, words) in functions.iter_mut().zip(&words) {
        let is_plain = words.as_ref().is_some_and(|words| words.is_disjoint(&opaque));
        function.function.body = if is_plain { Body::Plain } else { Body::Opaque };
    }
    judge_moments(functions, relations, &reads);
}

/// Its `moment` becomes `No` where nothing in it, or in what it calls and writes, may read when its transaction began.
fn judge_moments(
    functions: &mut [ShardFunction],
    relations: &BTreeMap<String, Vec<&Relation>>,
    reads: &BTreeMap<&str, BTreeSet<String>>,
) {
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
        for (name, words) in reads {
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

/// The words of a function; none if it is opaque by itself.
fn own_words(function: &ShardFunction) -> Option<BTreeSet<String>> {
    match (function.language.as_str(), &function.body) {
        ("sql" | "plpgsql", Some(body)) => {
            let words = words(body)?;
            is_harmless(&words).then(|| words.into_iter().collect())
        }
        ("c" | "internal", _) if function.function.extension.is_some() => Some(BTreeSet::new()),
        // An aggregate is as plain as the functions that it is made of.
        ("internal", Some(parts)) => words(parts).map(|words| words.into_iter().collect()),
        _ => None,
    }
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

fn is_harmless(words: &[String]) -> bool {
    let banned = |word: &String| {
        WORDS.contains(&word.as_str())
            || PREFIXES.iter().any(|prefix| word.starts_with(prefix))
            || word.contains("pg_temp")
    };
    !words.iter().any(banned) && sets_are_updates(words)
}

/// Every `SET` belongs to an UPDATE (or ON CONFLICT DO UPDATE) of its own statement; otherwise it sets a setting.
fn sets_are_updates(words: &[String]) -> bool {
    for statement in words.split(|word| word == ";") {
        let mut updates = 0_usize;
        let mut previous = "";
        for word in statement {
            match word.as_str() {
                "update" => updates = updates.saturating_add(1),
                "set" => {
                    if updates == 0 || previous.is_empty() || STARTERS.contains(&previous) {
                        return false;
                    }
                    updates = updates.saturating_sub(1);
                }
                _ => {}
            }
            previous = word;
        }
    }
    true
}

/// The words of a body, folded, and `;`; comments and strings left out. None where the scan can't be certain.
fn words(body: &str) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = body;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("--") {
            rest = after.find('\n').and_then(|end| after.get(end..)).unwrap_or("");
        } else if let Some(after) = rest.strip_prefix("/*") {
            rest = after_comment(after)?;
        } else if first == '\'' {
            let is_escaping = words.last().is_some_and(|word| word == "e") && body_touches(body, rest, "eE");
            let backslash = if is_escaping {
                Backslash::Escapes
            } else {
                Backslash::Uncertain
            };
            rest = after_string(rest.get(1..)?, backslash)?;
        } else if first == '"' {
            let after = rest.get(1..)?;
            let end = after.find('"')?;
            words.push(after.get(..end)?.to_lowercase());
            rest = after.get(end + 1..)?;
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len());
            words.push(rest.get(..end)?.to_lowercase());
            rest = rest.get(end..)?;
        } else {
            if first == ';' {
                words.push(";".to_owned());
            }
            rest = rest.get(first.len_utf8()..)?;
        }
    }
    Some(words)
}

/// Is the character before `rest` in `body` one of these?
fn body_touches(body: &str, rest: &str, characters: &str) -> bool {
    let at = body.len().saturating_sub(rest.len());
    body.get(..at)
        .and_then(|before| before.chars().next_back())
        .is_some_and(|c| characters.contains(c))
}

fn after_comment(text: &str) -> Option<&str> {
    let mut depth = 1_usize;
    let mut rest = text;
    while depth > 0 {
        let open = rest.find("/*");
        let close = rest.find("*/")?;
        match open {
            Some(open) if open < close => {
                depth = depth.checked_add(1)?;
                rest = rest.get(open + 2..)?;
            }
            _ => {
                depth -= 1;
                rest = rest.get(close + 2..)?;
            }
        }
    }
    Some(rest)
}

/// What a backslash in a string means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Backslash {
    /// E'': it escapes
    Escapes,
    /// it depends on a setting
    Uncertain,
}

/// Behind the closing quote. A backslash in a plain string means one thing or another: not certain.
fn after_string(text: &str, backslash: Backslash) -> Option<&str> {
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if backslash == Backslash::Escapes => {
                characters.next();
            }
            '\\' => return None,
            '\'' if characters.peek().is_some_and(|(_, next)| *next == '\'') => {
                characters.next();
            }
            '\'' => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn harmless(body: &str) -> bool {
        words(body).is_some_and(|words| is_harmless(&words))
    }

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

    #[test]
    fn bodies_with_session_effect_are_found() {
        let plain = [
            "SELECT $1 * 2",
            "BEGIN UPDATE t SET a = 1 WHERE id = NEW.id; RETURN NEW; END",
            "INSERT INTO t VALUES (1) ON CONFLICT (id) DO UPDATE SET n = t.n + 1",
            "-- execute later\nSELECT 'execute ''this'''",
            "SELECT E'it\\'s; set x'",
            "WITH u AS (UPDATE a SET x = 1 RETURNING *) UPDATE b SET y = u.x FROM u",
        ];
        let opaque = [
            "BEGIN EXECUTE 'x'; END",
            "SET x = 1",
            "BEGIN SET LOCAL work_mem = '1GB'; RETURN 1; END",
            "BEGIN UPDATE t SET a = 1; SET search_path = x; END",
            "BEGIN IF a THEN SET x = 1; END IF; END",
            "BEGIN FOR r IN UPDATE t SET a = 1 RETURNING * LOOP SET x = 1; END LOOP; END",
            "CREATE TEMP TABLE x (a int)",
            "SELECT pg_advisory_lock(1)",
            "SELECT set_config('a.b', 'c', false)",
            "SELECT * FROM pg_temp.x",
            "SELECT query_to_xml('x', true, true, '')",
            "SELECT \"execute\"",
            "SELECT 'a\\b'",
            "SELECT 'never ends",
            "LISTEN x",
        ];
        for body in plain {
            assert!(harmless(body), "{body}");
        }
        for body in opaque {
            assert!(!harmless(body), "{body}");
        }
    }
}
