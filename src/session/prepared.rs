//! Prepared statements: one identity per text in the whole process, known to backends under one name.
//!
//! Why: many clients prepare the same text. A backend has it once, under `sg_<id>`, whoever asked first.
//! Holds: identity is text, declared parameter types, how it was prepared, the settings under which it was parsed, and
//! the generation of the catalog (`sessions.md` 13: the same text parsed under another DateStyle, or after DDL, is
//! another statement). An identity lives as long as a session knows it; ids are never used twice.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::sql::{Command, SessionSettings};
use crate::value::Oid;
use crate::wire;

/// Entries beyond which dead ones are swept out before another is added.
const SWEEP_FROM: usize = 1024;

/// How a statement was prepared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    /// by Parse
    Protocol,
    /// by SQL `PREPARE`: the text is the whole statement; the name stands there, from and to this byte
    Sql {
        /// start of the name
        start: usize,
        /// its end
        end: usize,
        /// where the body begins
        body: usize,
    },
}

/// What a server said of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// resolved parameter types
    pub(super) parameters: Vec<Oid>,
    /// body of its RowDescription; none: no rows
    pub(super) rows: Option<Vec<u8>>,
}

/// What identifies a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    text: Arc<[u8]>,
    declared: Vec<Oid>,
    origin: Origin,
    settings: u64,
    generation: u64,
}

/// One prepared statement.
#[derive(Debug)]
pub(super) struct Statement {
    /// never used twice; zero for an unnamed one
    id: u64,
    /// `sg_<id>`
    backend_name: String,
    /// as the client wrote it
    text: Arc<[u8]>,
    /// as declared in Parse
    declared: Vec<Oid>,
    origin: Origin,
    /// settings at Parse: a re-prepare runs under them
    settings: SessionSettings,
    /// what its leading tokens say; the body's, for SQL PREPARE
    command: Command,
    /// guards what a server has said: read and written in a few lines
    described: Mutex<Option<Arc<Described>>>,
}

impl Statement {
    /// A statement that only its session knows (the unnamed one); `token` distinguishes it on backends.
    pub(super) fn unnamed(
        text: Arc<[u8]>,
        declared: Vec<Oid>,
        settings: SessionSettings,
        command: Command,
        token: u64,
    ) -> Self {
        Statement {
            id: token,
            backend_name: String::new(),
            text,
            declared,
            origin: Origin::Protocol,
            settings,
            command,
            described: Mutex::new(None),
        }
    }

    /// Makes an unnamed statement that nobody else holds any more the next one of the same text.
    pub(super) fn renew(&mut self, token: u64) {
        debug_assert!(self.is_unnamed(), "a named statement is known by its id");
        self.id = token;
        *self.described.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Its id.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Its name on backends; empty for an unnamed one.
    pub(super) fn backend_name(&self) -> &str {
        &self.backend_name
    }

    /// Whether it is an unnamed one.
    pub(super) fn is_unnamed(&self) -> bool {
        self.backend_name.is_empty()
    }

    /// As the client wrote it.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same, to share.
    pub(super) fn shared_text(&self) -> &Arc<[u8]> {
        &self.text
    }

    /// What the planner reads: of a statement made by SQL PREPARE its body.
    pub(super) fn planned_text(&self) -> &[u8] {
        match self.origin {
            Origin::Sql { body, .. } => self.text.get(body..).unwrap_or_default(),
            Origin::Protocol => &self.text,
        }
    }

    /// Declared parameter types.
    pub(super) fn declared(&self) -> &[Oid] {
        &self.declared
    }

    /// How it was prepared.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Settings at Parse.
    pub(super) fn settings(&self) -> &SessionSettings {
        &self.settings
    }

    /// What it is.
    pub(super) fn command(&self) -> &Command {
        &self.command
    }

    /// What a server said of it, if any has.
    pub(super) fn described(&self) -> Option<Arc<Described>> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what a server said; the first word stands. Answers whether it agrees with that.
    pub(super) fn note_described(&self, described: Described) -> Agreement {
        let mut slot = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.as_ref() {
            None => {
                *slot = Some(Arc::new(described));
                Agreement::Same
            }
            Some(first) if has_same_columns(first.rows.as_deref(), described.rows.as_deref()) => Agreement::Same,
            Some(_) => Agreement::Changed,
        }
    }
}

/// Are these RowDescriptions those of one result type? As Postgres decides it: a column's table and number there don't
/// matter, and a table's OID is another one on every shard.
fn has_same_columns(first: Option<&[u8]>, second: Option<&[u8]>) -> bool {
    let (Some(first), Some(second)) = (first, second) else {
        return first == second;
    };
    let (Ok(left), Ok(right)) = (wire::RowDescription::parse(first), wire::RowDescription::parse(second)) else {
        return first == second;
    };
    left.len() == right.len()
        && left.fields().zip(right.fields()).all(|(left, right)| {
            (left.name, left.type_oid, left.size, left.type_modifier)
                == (right.name, right.type_oid, right.size, right.type_modifier)
        })
}

/// Does a second description agree with the first?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// yes
    Same,
    /// Postgres: cached plan must not change result type
    Changed,
}

/// What a new statement is made of.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    /// text
    pub(super) text: &'a [u8],
    /// declared types
    pub(super) declared: &'a [Oid],
    /// how
    pub(super) origin: Origin,
    /// under which settings
    pub(super) settings: &'a SessionSettings,
    /// what it is
    pub(super) command: Command,
}

/// All named statements of the process.
#[derive(Debug, Default)]
pub struct Statements {
    /// guards the map: look up, insert, sweep
    map: Mutex<HashMap<Identity, Weak<Statement>>>,
    next: AtomicU64,
    generation: AtomicU64,
}

impl Statements {
    /// DDL has run: what is prepared from now on is another statement.
    pub(super) fn next_generation(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A number that no statement has or will have.
    pub(super) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// The statement of this identity, made if there is none.
    pub(super) fn intern(&self, draft: Draft<'_>) -> Arc<Statement> {
        let identity = Identity {
            text: draft.text.into(),
            declared: draft.declared.to_vec(),
            origin: draft.origin.clone(),
            settings: draft.settings.digest(),
            generation: self.generation.load(Ordering::Relaxed),
        };
        let mut map = self.map.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = map.get(&identity).and_then(Weak::upgrade) {
            return known;
        }
        if map.len() >= SWEEP_FROM && map.len().is_power_of_two() {
            map.retain(|_, statement| statement.strong_count() > 0);
        }
        let id = self.next_id();
        let statement = Arc::new(Statement {
            id,
            backend_name: format!("sg_{id}"),
            text: Arc::clone(&identity.text),
            declared: identity.declared.clone(),
            origin: draft.origin,
            settings: draft.settings.clone(),
            command: draft.command,
            described: Mutex::new(None),
        });
        map.insert(identity, Arc::downgrade(&statement));
        statement
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a RowDescription of one column.
    fn rows(name: &str, table: u8, kind: u8) -> Vec<u8> {
        let mut body = vec![0, 1];
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&[0, 0, 0, 0, table, 0, 1, 0, 0, 0, kind, 0, 8, 255, 255, 255, 255, 0, 0]);
        body
    }

    #[test]
    fn a_table_s_oid_is_no_part_of_a_result_s_type() {
        let first = rows("id", 1, 20);
        assert!(has_same_columns(Some(&first), Some(&rows("id", 2, 20))));
        assert!(has_same_columns(None, None));
        for other in [Some(rows("id", 1, 23)), Some(rows("ix", 1, 20)), None] {
            assert!(!has_same_columns(Some(&first), other.as_deref()), "{other:?}");
        }
    }

    fn draft<'a>(text: &'a [u8], settings: &'a SessionSettings) -> Draft<'a> {
        Draft {
            text,
            declared: &[],
            origin: Origin::Protocol,
            settings,
            command: Command::Query,
        }
    }

    #[test]
    fn the_same_text_is_one_statement_until_ddl() {
        let all = Statements::default();
        let settings = SessionSettings::default();
        let first = all.intern(draft(b"SELECT 1", &settings));
        assert_eq!(all.intern(draft(b"SELECT 1", &settings)).id(), first.id());
        assert_ne!(all.intern(draft(b"SELECT 2", &settings)).id(), first.id());
        all.next_generation();
        assert_ne!(all.intern(draft(b"SELECT 1", &settings)).id(), first.id());
    }

    #[test]
    fn an_id_is_not_used_again_after_its_statement_died() {
        let all = Statements::default();
        let settings = SessionSettings::default();
        let id = all.intern(draft(b"SELECT 1", &settings)).id();
        assert_ne!(all.intern(draft(b"SELECT 1", &settings)).id(), id);
    }
}
