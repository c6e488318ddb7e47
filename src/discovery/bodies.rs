//! Which functions may leave something in the session: sessions under transaction pooling must ask after those.
//!
//! Why by words: a body is plain only if no word in it could change the session, whatever the grammar around it; a
//! comment or a column with such a name costs a question, never a wrong answer. Holds: everything that isn't sql or
//! plpgsql, or can't be scanned for certain, is opaque, but for compiled functions that an extension brought.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Body, Filling, ForeignKey, Relation};
use crate::discovery::shard_catalog::{Read, Reader, ShardFunction};

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
/// Words after which a statement of plpgsql begins.
const STARTERS: &[&str] = &["begin", "then", "else", "loop", "atomic"];

/// Bare names of relations that may leave something in the session.
#[derive(Debug, Default)]
pub(super) struct Opaque {
    /// by being read
    pub(super) reads: BTreeSet<String>,
    /// by being written
    pub(super) writes: BTreeSet<String>,
}

/// Judges every function: its `body` becomes `Plain` where nothing in it, or in what it calls, may touch the session.
/// Answers which relations may. `readers`: what policies, checks and defaults call, by the table's name.
pub(super) fn judge(
    functions: &mut [ShardFunction],
    relations: &BTreeMap<String, Vec<&Relation>>,
    readers: &BTreeMap<String, Vec<&Reader>>,
) -> Opaque {
    let words: Vec<Option<BTreeSet<String>>> = functions.iter().map(own_words).collect();
    let relations: Vec<(&str, RelationWords)> = relations
        .iter()
        .map(|(name, of_name)| {
            let readers = readers.get(name).map_or(&[][..], Vec::as_slice);
            (name.as_str(), RelationWords::new(of_name, readers))
        })
        .collect();
    let cascades = cascades(&relations);
    let mut callable: BTreeSet<String> = BTreeSet::new();
    let mut opaque = Opaque::default();
    loop {
        let before = callable.len() + opaque.reads.len() + opaque.writes.len();
        for (function, words) in functions.iter().zip(&words) {
            // Which of them it reads and which it writes isn't asked.
            let among = [&callable, &opaque.reads, &opaque.writes];
            let is_opaque = |words: &BTreeSet<String>| among.iter().any(|names| !words.is_disjoint(names));
            if words.as_ref().is_none_or(is_opaque) {
                callable.insert(function.function.name.name.clone());
            }
        }
        for (name, words) in &relations {
            let touches = |words: &Option<BTreeSet<String>>, among: &BTreeSet<String>| {
                words
                    .as_ref()
                    .is_none_or(|words| !words.is_disjoint(&callable) || !words.is_disjoint(among))
            };
            if touches(&words.read, &opaque.reads) {
                opaque.reads.insert((*name).to_owned());
            }
            let cascaded = cascades.get(name).is_some_and(|to| !to.is_disjoint(&opaque.writes));
            if opaque.reads.contains(*name) || cascaded || touches(&words.written, &opaque.writes) {
                opaque.writes.insert((*name).to_owned());
            }
        }
        if callable.len() + opaque.reads.len() + opaque.writes.len() == before {
            break;
        }
    }
    for (function, words) in functions.iter_mut().zip(&words) {
        let among = [&callable, &opaque.reads, &opaque.writes];
        let is_plain = words
            .as_ref()
            .is_some_and(|words| among.iter().all(|names| words.is_disjoint(names)));
        function.function.body = if is_plain { Body::Plain } else { Body::Opaque };
    }
    opaque
}

/// The words of what runs when relations of one name are read or written; none if that is opaque by itself.
struct RelationWords {
    read: Option<BTreeSet<String>>,
    written: Option<BTreeSet<String>>,
    /// tables that a change of a row here goes on from to this one, and roots of which this is a part
    from: BTreeSet<String>,
}

impl RelationWords {
    fn new(relations: &[&Relation], readers: &[&Reader]) -> RelationWords {
        let mut read = Some(BTreeSet::new());
        let mut written = Some(BTreeSet::new());
        let mut from = BTreeSet::new();
        let add = |to: &mut Option<BTreeSet<String>>, text: &str| match (words(text), to.as_mut()) {
            (Some(found), Some(all)) if is_harmless(&found) => all.extend(found),
            _ => *to = None,
        };
        for relation in relations {
            if let Some(text) = &relation.view_definition {
                add(&mut read, text);
                add(&mut written, text); // what it reads is what is written through it
            }
            if !relation.rules.is_empty() {
                written = None; // their text isn't known here
            }
            for column in &relation.columns {
                match &column.filling {
                    Filling::Default { expression, .. } | Filling::Generated(expression) => {
                        add(&mut written, expression);
                    }
                    Filling::Nothing | Filling::Identity { .. } => {}
                }
            }
            if let Some(written) = &mut written {
                written.extend(relation.triggers.iter().map(|trigger| trigger.function.name.clone()));
            }
            let goes_on = |key: &&ForeignKey| {
                let acts = |action: u8| matches!(action, b'c' | b'n' | b'd');
                acts(key.on_update) || acts(key.on_delete)
            };
            from.extend(
                relation
                    .foreign_keys
                    .iter()
                    .filter(goes_on)
                    .map(|key| key.target.name.clone()),
            );
            from.extend(relation.partition_root.iter().map(|root| root.name.clone()));
        }
        for reader in readers {
            let Read::Function(function) = &reader.reads else {
                continue;
            };
            if let (true, Some(read)) = (reader.what == "policy", &mut read) {
                read.insert(function.name.clone());
            }
            if let Some(written) = &mut written {
                written.insert(function.name.clone());
            }
        }
        RelationWords { read, written, from }
    }
}

/// By a table: those that a change of its rows goes on to.
fn cascades<'a>(relations: &'a [(&'a str, RelationWords)]) -> BTreeMap<&'a str, BTreeSet<String>> {
    let mut cascades: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (name, words) in relations {
        for from in &words.from {
            cascades.entry(from.as_str()).or_default().insert((*name).to_owned());
        }
    }
    cascades
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
pub(super) fn words(body: &str) -> Option<Vec<String>> {
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
