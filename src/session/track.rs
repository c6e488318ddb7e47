//! What a completed statement changes in its session: settings, block, prepared statements, pins.
//!
//! Why here: on one shard everything is forwarded as it is, in however many statements one message holds, so the
//! session follows what Postgres has done, completion by completion; with several shards the same changes are made by
//! whoever carried the command out.
//! Holds: nothing is changed before the statement's CommandComplete.

use std::sync::Arc;

use crate::plan::SessionEffect;
use crate::session::prepared::Statement;
use crate::session::state::{Saved, Schema, Session, Stale};
use crate::sql::{
    Chain, Characteristics, Command, ConstantOrParameter, CursorHold, DeallocateTarget, Discard, Isolation, Replay,
    Reset, Savepoint, Scope, SessionSettings, Set, SetConfig, SetTransaction, SetValue, Temporary, guc_facts,
};
use crate::transaction::{self, State};

/// What to note when a statement completes.
#[derive(Debug)]
pub(super) struct Tracked {
    /// what it is
    pub(super) command: Command,
    /// the statement as the client wrote it
    pub(super) text: Vec<u8>,
    /// what else it may leave
    pub(super) effect: SessionEffect,
    /// for PREPARE, the statement it makes
    pub(super) prepares: Option<Arc<Statement>>,
}

impl Tracked {
    /// Whether nothing needs noting.
    pub(super) fn is_idle(&self) -> bool {
        self.prepares.is_none() && !is_noted(&self.command, &self.effect)
    }
}

/// Whether anything needs noting of a statement that prepares nothing.
pub(super) fn is_noted(command: &Command, effect: &SessionEffect) -> bool {
    *effect != SessionEffect::None || changes_session(command)
}

/// Whether a command changes anything that the session keeps.
pub(super) fn changes_session(command: &Command) -> bool {
    match command {
        Command::Begin(_)
        | Command::Commit(_)
        | Command::Rollback(_)
        | Command::Savepoint(_)
        | Command::PrepareTransaction(_)
        | Command::Set(_)
        | Command::SetTransaction(_)
        | Command::SetCharacteristics(_)
        | Command::SetConstraints
        | Command::SetConfig(_)
        | Command::Reset(_)
        | Command::Discard(_)
        | Command::Prepare(_)
        | Command::Deallocate(_)
        | Command::Declare(_)
        | Command::Listen(_)
        | Command::Unlisten(_)
        | Command::Call
        | Command::Do
        | Command::Load
        | Command::Ddl(_) => true,
        Command::Empty
        | Command::CommitPrepared(_)
        | Command::RollbackPrepared(_)
        | Command::Show(_)
        | Command::Execute(_)
        | Command::Fetch(_)
        | Command::Close(_)
        | Command::Notify(_)
        | Command::Lock
        | Command::Copy(_)
        | Command::Explain(_)
        | Command::Truncate
        | Command::Maintenance(_)
        | Command::Query
        | Command::Insert
        | Command::Update
        | Command::Delete
        | Command::Merge
        | Command::Unknown(_) => false,
    }
}

/// `ISOLATION LEVEL …, READ ONLY, …`: what SET TRANSACTION takes.
pub(super) fn characteristics_text(c: &Characteristics) -> String {
    let mut parts = Vec::new();
    if let Some(isolation) = c.isolation {
        parts.push(format!("ISOLATION LEVEL {}", isolation.as_str().to_ascii_uppercase()));
    }
    match c.read_only {
        Some(true) => parts.push("READ ONLY".to_owned()),
        Some(false) => parts.push("READ WRITE".to_owned()),
        None => {}
    }
    match c.deferrable {
        Some(true) => parts.push("DEFERRABLE".to_owned()),
        Some(false) => parts.push("NOT DEFERRABLE".to_owned()),
        None => {}
    }
    parts.join(", ")
}

/// The isolation levels that matter here.
pub(super) fn isolation(level: Isolation) -> transaction::Isolation {
    match level {
        Isolation::ReadUncommitted | Isolation::ReadCommitted => transaction::Isolation::ReadCommitted,
        Isolation::RepeatableRead => transaction::Isolation::RepeatableRead,
        Isolation::Serializable => transaction::Isolation::Serializable,
    }
}

/// What BEGIN said, for the block.
pub(super) fn block_characteristics(c: &Characteristics) -> transaction::Characteristics {
    transaction::Characteristics {
        text: characteristics_text(c),
        isolation: c.isolation.map(isolation),
    }
}

/// Whether a text holds a word by which code changes its session in a way that can't be seen afterwards.
fn mentions_session_effect(text: &[u8]) -> bool {
    const WORDS: [&str; 9] = [
        "set",
        "set_config",
        "reset",
        "execute",
        "discard",
        "load",
        "prepare",
        "perform",
        "call",
    ];
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .any(|word| WORDS.contains(&word))
}

/// Whether Postgres reads a text as true (`set_config`'s third argument).
fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1"
    )
}

impl Session {
    /// A statement has completed with this tag on the backend at `at`.
    pub(super) fn note(&mut self, at: Option<usize>, tracked: &Tracked, tag: &[u8]) {
        self.note_command(at, tracked, tag);
        match tracked.effect {
            SessionEffect::None => {}
            SessionEffect::Pin(why) => self.pin(at, why),
            // Its body isn't known here, so what it set can't be ruled out: the backend stays with the session.
            SessionEffect::Opaque => self.pin(at, "opaque code"),
        }
    }

    fn note_command(&mut self, at: Option<usize>, tracked: &Tracked, tag: &[u8]) {
        match &tracked.command {
            Command::Begin(begin) => {
                let default = self.effective.default_isolation;
                let saved = self.saved();
                // A warning (already in progress) changes nothing but what its options say, and those Postgres has set.
                let _began = self
                    .block
                    .begin(block_characteristics(&begin.characteristics), &saved, default);
            }
            Command::Commit(chain) | Command::Rollback(chain) => self.note_end(*chain, tag),
            Command::PrepareTransaction(_) => {
                self.note_end(Chain::No, if tag == b"ROLLBACK" { tag } else { b"COMMIT" })
            }
            Command::Savepoint(savepoint) => self.note_savepoint(savepoint, &tracked.text),
            Command::Set(set) => self.note_set(set, &tracked.text),
            Command::SetTransaction(SetTransaction::Characteristics(c)) => {
                if let Some(level) = c.isolation {
                    self.block.set_isolation(isolation(level));
                }
                self.block.record(&tracked.text);
            }
            Command::SetTransaction(SetTransaction::Snapshot(_)) | Command::SetConstraints => {
                self.block.record(&tracked.text)
            }
            Command::SetCharacteristics(c) => self.note_characteristics(c, &tracked.text),
            Command::SetConfig(calls) => calls.iter().for_each(|call| self.note_config(call)),
            Command::Reset(reset) => self.note_reset(reset, &tracked.text),
            Command::Discard(discard) => self.note_discard(at, *discard),
            Command::Prepare(prepare) => {
                if let Some(statement) = &tracked.prepares {
                    self.remember_prepared(at, prepare.name.as_bytes(), statement);
                }
            }
            Command::Deallocate(target) => self.note_deallocate(at, target),
            Command::Declare(declare) => {
                if let Some(participant) = at.and_then(|at| self.participants.get(at)) {
                    self.cursors.insert(declare.name.clone(), participant.shard);
                }
                if declare.hold == CursorHold::With {
                    self.pin(at, "cursor WITH HOLD");
                    self.examine(at);
                }
            }
            Command::Listen(_) => self.pin_listening(at),
            Command::Unlisten(_) => self.examine(at),
            Command::Call | Command::Do => {
                // A setting that it made can't be seen afterwards (sessions.md 19): then the pin lasts.
                self.pin(at, "opaque code");
                if !mentions_session_effect(&tracked.text) {
                    self.examine(at);
                }
            }
            Command::Load => self.pin(at, "LOAD"),
            Command::Ddl(ddl) => {
                self.ddl_ran();
                if ddl.temporary == Temporary::Yes {
                    self.stale = Stale::Yes; // a name of its own, which hides others
                    self.pin(at, "temporary object");
                }
            }
            Command::Empty
            | Command::CommitPrepared(_)
            | Command::RollbackPrepared(_)
            | Command::Show(_)
            | Command::Execute(_)
            | Command::Fetch(_)
            | Command::Close(_)
            | Command::Notify(_)
            | Command::Lock
            | Command::Copy(_)
            | Command::Explain(_)
            | Command::Truncate
            | Command::Maintenance(_)
            | Command::Query
            | Command::Insert
            | Command::Update
            | Command::Delete
            | Command::Merge
            | Command::Unknown(_) => {}
        }
    }

    /// The block is over; with AND CHAIN another begins with the same characteristics.
    pub(super) fn note_end(&mut self, chain: Chain, tag: &[u8]) {
        let characteristics = self.block.characteristics().clone();
        let isolation = self.block.isolation();
        let was_block = self.block.is_explicit();
        self.finish_block(if tag == b"ROLLBACK" {
            Outcome::RolledBack
        } else {
            Outcome::Committed
        });
        if chain == Chain::Yes && was_block {
            let saved = self.saved();
            let _began = self.block.begin(characteristics, &saved, isolation);
            self.block.set_isolation(isolation);
        }
    }

    /// Settings and portals at the end of a block.
    pub(super) fn finish_block(&mut self, outcome: Outcome) {
        let before = self.block.finish();
        self.told_moment = None;
        self.schema = Schema::Common;
        self.unheard = None;
        self.sequences.block_ended();
        self.end_listening(outcome);
        match (outcome, before) {
            (Outcome::RolledBack, Some(saved)) => self.restore(saved),
            (Outcome::RolledBack, None) | (Outcome::Committed, _) => self.end_local(),
        }
        self.portals.clear();
        self.fan_cursors.clear();
        self.forget_temporary_names();
    }

    /// Temporary tables may have gone: by DROP, by rollback, by ON COMMIT DROP.
    pub(super) fn forget_temporary_names(&mut self) {
        if !self.effective.context.temporary.is_empty() {
            self.stale = Stale::Yes;
        }
    }

    fn note_savepoint(&mut self, savepoint: &Savepoint, text: &[u8]) {
        // The server has accepted each of these, so an error here could only say that we had lost step.
        match savepoint {
            Savepoint::Define(name) => {
                let saved = self.saved();
                if self.block.savepoint(name.clone(), text, &saved).is_err() {
                    tracing::error!(session = self.id, "savepoint accepted by the shard outside a block");
                }
            }
            Savepoint::Release(name) => {
                if self.block.release(name, text).is_err() {
                    tracing::error!(session = self.id, "savepoint released by the shard is unknown here");
                }
            }
            Savepoint::RollbackTo(name) => match self.block.rollback_to(name) {
                Ok(saved) => {
                    self.doubt_listening();
                    self.restore(saved);
                }
                Err(_) => tracing::error!(
                    session = self.id,
                    "savepoint rolled back to by the shard is unknown here"
                ),
            },
        }
    }

    /// SET of one setting has succeeded.
    pub(super) fn note_set(&mut self, set: &Set, text: &[u8]) {
        if set.scope == Scope::Local && self.block.state() == State::Idle {
            return; // Postgres warned; nothing changed
        }
        match self.current().with_set(set) {
            Ok(changed) => {
                if set.scope == Scope::Session
                    && let Ok(lasting) = self.settings.with_set(set)
                {
                    self.settings = lasting;
                }
                self.set_current(changed, set.scope);
            }
            // What can't be kept here can't be replayed elsewhere: the backend that has it stays.
            Err(_) => self.pin_all("setting"),
        }
        self.note_custom(&set.name, set.scope);
        self.note_generator(&set.name);
        if set.value != SetValue::FromCurrent {
            self.block.record(text);
        }
    }

    fn note_characteristics(&mut self, c: &Characteristics, text: &[u8]) {
        let mut changed = Vec::new();
        if let Some(level) = c.isolation {
            changed.push(("default_transaction_isolation", level.as_str()));
        }
        if let Some(read_only) = c.read_only {
            changed.push(("default_transaction_read_only", if read_only { "on" } else { "off" }));
        }
        if let Some(deferrable) = c.deferrable {
            changed.push(("default_transaction_deferrable", if deferrable { "on" } else { "off" }));
        }
        for (name, value) in changed {
            self.note_value(name, value, Scope::Session);
        }
        self.block.record(text);
    }

    fn note_config(&mut self, config: &SetConfig) {
        let text = |value: &ConstantOrParameter| match value {
            ConstantOrParameter::Constant(text) => Some(text.clone()),
            ConstantOrParameter::Null | ConstantOrParameter::Parameter(_) => None,
        };
        let Some(name) = text(&config.name) else { return };
        let scope = if text(&config.is_local).is_some_and(|t| is_true(&t)) {
            Scope::Local
        } else {
            Scope::Session
        };
        if scope == Scope::Local && self.block.state() == State::Idle {
            return;
        }
        match text(&config.value) {
            Some(value) => {
                self.note_value(&name, &value, scope);
                let replay = match scope {
                    Scope::Local => "true",
                    Scope::Session => "false",
                };
                let text = format!(
                    "SELECT pg_catalog.set_config({}, {}, {replay})",
                    crate::sql::quote_literal(&name),
                    crate::sql::quote_literal(&value)
                );
                self.block.record(text.as_bytes());
            }
            None => self.note_reset(&Reset::Name(name), b""),
        }
    }

    /// A two-part setting exists on the backends that it was set on as long as they live (sessions.md 19): only sessions
    /// that know its name too may have them.
    fn note_custom(&mut self, name: &str, scope: Scope) {
        if !name.contains('.') {
            return;
        }
        if scope == Scope::Local {
            self.settings = self.settings.with_name(name);
        }
        for participant in self.participants.iter_mut() {
            participant.backend.restrict_reuse();
            // One that only checked it, or has joined since, knows the name too.
            let known = participant.applied().settings.with_name(name);
            participant.note_settings(&known);
        }
    }

    /// The log has run on the backend at `at`: every two-part name in it exists there, whatever became of the values.
    pub(super) fn note_names(&mut self, at: usize) {
        if self.block.log().is_empty() || self.settings.custom_names().next().is_none() {
            return;
        }
        let Some(participant) = self.participants.get_mut(at) else {
            return;
        };
        let applied = participant.applied().settings.clone();
        let known = self
            .settings
            .custom_names()
            .fold(applied, |known, name| known.with_name(name));
        participant.backend.restrict_reuse();
        participant.note_settings(&known);
    }

    /// What moves a backend's generator of random numbers can't be brought to another.
    fn note_generator(&mut self, name: &str) {
        if guc_facts(name).is_some_and(|facts| facts.replay == Replay::Never) {
            self.pin_all("setseed");
        }
    }

    /// A setting has this flat value now.
    pub(super) fn note_value(&mut self, name: &str, value: &str, scope: Scope) {
        self.note_custom(name, scope);
        self.note_generator(name);
        let Ok(changed) = self.current().with_value(name, value) else {
            self.pin_all("setting");
            return;
        };
        if scope == Scope::Session
            && let Ok(lasting) = self.settings.with_value(name, value)
        {
            self.settings = lasting;
        }
        self.set_current(changed, scope);
    }

    fn note_reset(&mut self, reset: &Reset, text: &[u8]) {
        match reset {
            Reset::All => {
                self.settings = self.settings.reset_all();
                let changed = self.current().reset_all();
                self.set_current(changed, Scope::Session);
            }
            Reset::Name(name) => {
                self.settings = self.settings.with_reset(name);
                let changed = self.current().with_reset(name);
                self.set_current(changed, Scope::Session);
            }
            Reset::TransactionIsolation => {}
        }
        if !text.is_empty() {
            self.block.record(text);
        }
    }

    /// DISCARD has succeeded on the backend at `at`.
    pub(super) fn note_discard(&mut self, at: Option<usize>, discard: Discard) {
        match discard {
            Discard::All => {
                self.settings = self.settings.discard_all();
                self.local = None;
                self.statements.clear();
                self.unnamed = None;
                self.portals.clear();
                self.forget_backend_state(at);
            }
            Discard::Temp => self.examine(at),
            Discard::Plans | Discard::Sequences => {}
        }
    }

    fn note_deallocate(&mut self, at: Option<usize>, target: &DeallocateTarget) {
        match target {
            DeallocateTarget::All => {
                self.statements.clear();
                self.forget_prepared(at, None);
            }
            DeallocateTarget::Name { name, .. } => {
                if let Some(named) = self.statements.remove(name.as_bytes()) {
                    self.forget_prepared(at, Some(named.statement.id()));
                }
            }
        }
    }

    /// What a rollback restores, as it is now.
    pub(super) fn saved(&self) -> Saved {
        Saved {
            reported: Arc::clone(&self.reported),
            settings: self.settings.clone(),
            local: self.local.clone(),
            effective: Arc::clone(&self.effective),
        }
    }

    /// An error takes reported settings back, and Postgres says so with it, not when the block ends.
    pub(super) fn report_what_failed_back(&mut self) {
        let Some(saved) = self.block.behind_failure() else {
            return;
        };
        let reported = Arc::clone(&saved.reported);
        for (name, value) in reported.iter() {
            self.report(name.clone(), value.clone());
        }
    }

    pub(super) fn restore(&mut self, saved: Saved) {
        for (name, value) in saved.reported.iter() {
            self.report(name.clone(), value.clone());
        }
        self.settings = self.with_custom_names(saved.settings);
        self.local = saved.local;
        self.effective = saved.effective;
    }

    /// Settings that a rollback goes back to: it takes a two-part setting's value back, not its existence (sessions.md 19).
    pub(super) fn with_custom_names(&self, mut settings: SessionSettings) -> SessionSettings {
        let known: Vec<String> = settings.custom_names().map(str::to_owned).collect();
        let new: Vec<String> = self
            .current()
            .custom_names()
            .filter(|name| !known.iter().any(|k| k == name))
            .map(str::to_owned)
            .collect();
        for name in new {
            settings = settings.with_name(&name);
        }
        settings
    }
}

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// its changes last
    Committed,
    /// they don't
    RolledBack,
}
