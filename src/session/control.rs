//! Commands that the session carries out itself when there are several shards, and the dispatch of all others.
//!
//! Why: a block, its settings and its savepoints belong to the client, not to a shard. BEGIN is answered here; SET is
//! checked on home at once, so that its error comes where Postgres's comes, and repeated wherever the block joins.
//! Holds: transaction control is recognised by its own tokens (`sessions.md` 6), and what isn't fully understood is
//! refused; nothing here enlists a shard.

use std::sync::Arc;

use crate::execute::Describe;
use crate::plan::{Parameters, RouteStep, SessionEffect, Snapshot, Work, WriteAnswer};
use crate::session::cursors::Asked;
use crate::session::error::{Failure, Stop};
use crate::session::lane::round_trip;
use crate::session::portal::Bound;
use crate::session::prepared::{Origin, Statement};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::reading::{is_quoted, read_under};
use crate::session::route::Question;
use crate::session::simple::Via;
use crate::session::state::{Named, Schema, Session, Stale};
use crate::session::track::{Outcome, Tracked, block_characteristics, isolation};
use crate::sql::{
    BeginWord, Chain, Command, ConstantOrParameter, CursorHold, DeallocateTarget, Discard, Edits, ExplainKind,
    Savepoint, Scope, Set, SetConfig, SetTransaction, SetValue,
};
use crate::telemetry::StatementKind;
use crate::topology::ShardSet;
use crate::transaction::{Begin, BlockError, End, EndHow, Life, State};
use crate::wire::{self, ErrorFields, Severity, SqlState};

impl Session {
    /// Carries a statement out, several shards or not: here, or by the planner.
    pub(super) async fn command(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        command: Command,
        via: Via,
    ) -> Result<(), Stop> {
        if self.block.state() == State::Failed && !ends_failure(&command) {
            return Err(Failure::Block(BlockError::Aborted).into());
        }
        if crate::session::extended::is_local(&command) {
            self.running.kind = StatementKind::Local;
        }
        match &command {
            Command::Empty => {
                wire::put_empty_query(&mut self.client.out_buffer);
                Ok(())
            }
            Command::Begin(begin) => self.begin_block(begin).await,
            Command::Commit(chain) => self.commit(*chain).await,
            Command::Rollback(chain) => self.rollback(*chain).await,
            Command::Savepoint(savepoint) => self.savepoint(savepoint, text).await,
            Command::PrepareTransaction(gid) => self.prepare_transaction(gid, text).await,
            Command::CommitPrepared(gid) | Command::RollbackPrepared(gid) => {
                self.end_prepared(&command, gid, text).await
            }
            Command::Set(set) => self.set(set, text).await,
            Command::SetTransaction(set) => self.set_transaction(set, text).await,
            Command::Reset(crate::sql::Reset::Name(name)) if name.starts_with("shardgate.") => {
                self.set_ours(&Set {
                    scope: Scope::Session,
                    name: name.clone(),
                    value: SetValue::Default,
                })?;
                self.complete(b"RESET");
                Ok(())
            }
            Command::SetCharacteristics(_) | Command::Reset(_) => self.run_setting(text, &command).await,
            Command::SetConstraints => self.set_constraints(text).await,
            Command::SetConfig(config) => self.set_config(snapshot, config, text, command.clone(), via).await,
            Command::Discard(discard) => self.discard(*discard).await,
            Command::Unlisten(_) => Box::pin(self.unlisten(text)).await,
            Command::Prepare(prepare) => self.prepare(snapshot, text, prepare).await,
            Command::Deallocate(target) => self.deallocate(target),
            Command::Execute(execute) => self.execute_sql(snapshot, text, execute, via).await,
            Command::Explain(explain) if explain.kind == ExplainKind::Route => {
                self.explain_route(snapshot, explain.body.of(text), via).await
            }
            Command::Declare(declare) if declare.hold == CursorHold::With => {
                self.planned_statement(snapshot, text, command.clone(), via).await
            }
            Command::Fetch(_) | Command::Close(_) => self.on_cursor_backend(snapshot, text, command.clone(), via).await,
            Command::Declare(declare) if self.fan_cursors.contains_key(&declare.name) => {
                Err(Failure::PortalExists(declare.name.clone()).into())
            }
            Command::Show(_)
            | Command::Declare(_)
            | Command::Listen(_)
            | Command::Notify(_)
            | Command::Lock
            | Command::Copy(_)
            | Command::Explain(_)
            | Command::Call
            | Command::Do
            | Command::Load
            | Command::Truncate
            | Command::Maintenance(_)
            | Command::Ddl(_)
            | Command::Query
            | Command::Insert
            | Command::Update
            | Command::Delete
            | Command::Merge
            | Command::Unknown(_) => self.planned_statement(snapshot, text, command.clone(), via).await,
        }
    }

    pub(super) fn complete(&mut self, tag: &[u8]) {
        wire::put_command_complete(&mut self.client.out_buffer, tag);
    }

    fn warn(&mut self, code: SqlState, message: &str) {
        let fields = ErrorFields::new(Severity::Warning, code, message);
        wire::put_notice(&mut self.client.out_buffer, &fields);
    }

    /// Postgres's warning where there is no block to end.
    pub(super) fn warn_no_transaction(&mut self) {
        self.warn(
            SqlState::NO_ACTIVE_SQL_TRANSACTION,
            "there is no transaction in progress",
        );
    }

    /// Postgres's warning where no block holds a SET LOCAL.
    pub(super) fn warn_set_local(&mut self) {
        self.warn(
            SqlState::NO_ACTIVE_SQL_TRANSACTION,
            "SET LOCAL can only be used in transaction blocks",
        );
    }

    // --- the block ---

    async fn begin_block(&mut self, begin: &crate::sql::Begin) -> Result<(), Stop> {
        self.adopt_batch().await?;
        let saved = self.saved();
        let default = self.effective.default_isolation;
        match self
            .block
            .begin(block_characteristics(&begin.characteristics), &saved, default)
        {
            Begin::Began => {}
            Begin::AlreadyInProgress => {
                if begin.characteristics != crate::sql::Characteristics::default() {
                    return Err(Failure::NotInThisVersion {
                        construct: "BEGIN with options inside a transaction block",
                    }
                    .into());
                }
                self.warn(
                    SqlState::ACTIVE_SQL_TRANSACTION,
                    "there is already a transaction in progress",
                );
            }
        }
        self.complete(match begin.word {
            BeginWord::Begin => b"BEGIN",
            BeginWord::StartTransaction => b"START TRANSACTION",
        });
        Ok(())
    }

    /// The chained block takes over what BEGIN said; what SET TRANSACTION said since isn't kept in that form.
    fn may_chain(&self, chain: Chain) -> Result<(), Stop> {
        const SET_TRANSACTION: &str = "set transaction";
        let changed = self.block.log().iter().any(|entry| {
            let words = String::from_utf8_lossy(&entry.text).to_ascii_lowercase();
            let words: Vec<&str> = words.split_whitespace().collect();
            words.join(" ").contains(SET_TRANSACTION)
        });
        if chain == Chain::Yes && changed {
            return Err(Failure::NotInThisVersion {
                construct: "AND CHAIN behind SET TRANSACTION",
            }
            .into());
        }
        Ok(())
    }

    async fn commit(&mut self, chain: Chain) -> Result<(), Stop> {
        self.may_chain(chain)?;
        // What this batch has done so far belongs to the transaction that ends here.
        self.adopt_batch().await?;
        match self.block.commit() {
            End::Commit => {
                let held = std::mem::take(&mut self.hold_tag);
                debug_assert!(!held || self.held_tag.is_none());
                match self.end_participants(EndHow::Commit).await {
                    Ok(()) => {
                        self.note_end(chain, b"COMMIT");
                        self.complete(b"COMMIT");
                        Ok(())
                    }
                    Err(Stop::Failed(Failure::CommitRolledBack)) => {
                        self.note_end(chain, b"ROLLBACK");
                        self.complete(b"ROLLBACK");
                        Ok(())
                    }
                    Err(stop) => {
                        self.finish_block(Outcome::RolledBack);
                        Err(stop)
                    }
                }
            }
            // Nothing has told the client, and many a driver doesn't look at the tag.
            End::Rollback => match self.unheard.take() {
                Some(failure) => {
                    let ended = self.end_participants(EndHow::Rollback).await;
                    self.finish_block(Outcome::RolledBack);
                    ended.and_then(|()| Err((*failure).into()))
                }
                None => self.rollback(chain).await,
            },
            End::NoBlock => {
                if chain == Chain::Yes {
                    return Err(Failure::Block(BlockError::NoBlock("COMMIT AND CHAIN")).into());
                }
                self.warn_no_transaction();
                let ended = self.end_participants(EndHow::Commit).await;
                match ended {
                    Ok(()) => self.finish_block(Outcome::Committed),
                    Err(stop) => {
                        self.finish_block(Outcome::RolledBack);
                        return Err(stop);
                    }
                }
                self.complete(b"COMMIT");
                Ok(())
            }
        }
    }

    pub(super) async fn rollback(&mut self, chain: Chain) -> Result<(), Stop> {
        self.may_chain(chain)?;
        self.adopt_batch().await?;
        let end = self.block.rollback();
        if end == End::NoBlock && chain == Chain::Yes {
            return Err(Failure::Block(BlockError::NoBlock("ROLLBACK AND CHAIN")).into());
        }
        self.end_participants(EndHow::Rollback).await?;
        if end == End::NoBlock {
            self.finish_block(Outcome::RolledBack);
            self.warn_no_transaction();
        } else {
            self.note_end(chain, b"ROLLBACK");
        }
        self.complete(b"ROLLBACK");
        Ok(())
    }

    async fn savepoint(&mut self, savepoint: &Savepoint, text: &[u8]) -> Result<(), Stop> {
        match savepoint {
            Savepoint::Define(name) => {
                self.block.may_savepoint("SAVEPOINT")?;
                self.everywhere(text).await?;
                let saved = self.saved();
                self.block.savepoint(name.clone(), text, &saved)?;
                self.complete(b"SAVEPOINT");
            }
            Savepoint::Release(name) => {
                self.block.may_savepoint("RELEASE SAVEPOINT")?;
                let place = self.block.find_savepoint("RELEASE SAVEPOINT", name)?;
                self.everywhere(text).await?;
                self.block.release(name, text)?;
                self.adopt_cursors_since(place);
                self.complete(b"RELEASE");
            }
            Savepoint::RollbackTo(name) => {
                let place = self.block.find_savepoint("ROLLBACK TO SAVEPOINT", name)?;
                self.everywhere(text).await?;
                self.drop_cursors_since(place);
                self.name_again().await?;
                self.doubt_listening();
                let saved = self.block.rollback_to(name)?;
                self.restore(saved);
                if let Schema::Own(_) = self.schema {
                    self.schema = Schema::Due; // DDL may have been taken back
                }
                self.complete(b"ROLLBACK");
            }
        }
        Ok(())
    }

    /// Runs a statement on every participant of the block; the first error stops it.
    pub(super) async fn everywhere(&mut self, text: &[u8]) -> Result<(), Stop> {
        for at in 0..self.participants.len() {
            let in_block = self
                .participants
                .get(at)
                .is_some_and(|p| p.begun == crate::transaction::Begun::Block && p.life == Life::Alive);
            if in_block {
                self.run_inside(at, text).await?;
            }
        }
        Ok(())
    }

    /// Runs a statement of the block's on one backend: notices and changed settings reach the client, its tag does not.
    pub(super) async fn run_inside(&mut self, at: usize, text: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        wire::put_query(&mut participant.backend.link.out_buffer, text);
        participant.set_unnamed(0);
        let mut refused = None;
        let mut notices = Vec::new();
        let mut reported = Vec::new();
        let mut first_row = Vec::new();
        round_trip(participant, |frame| {
            match frame.tag {
                b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
                b'N' => notices.extend_from_slice(frame.whole),
                b'S' => {
                    let status = wire::ParameterStatus::parse(frame.body)?;
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    reported.push((text(status.name), text(status.value)));
                }
                b'D' => {
                    first_row = wire::DataRow::parse(frame.body)?
                        .values
                        .map(|v| v.unwrap_or_default().to_vec())
                        .collect();
                }
                _ => {}
            }
            Ok(())
        })
        .await?;
        self.client.out_buffer.extend_from_slice(&notices);
        for (name, value) in reported {
            self.report(name, value);
        }
        self.follow_status(at);
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(first_row),
        }
    }

    // --- settings ---

    async fn set(&mut self, set: &Set, text: &[u8]) -> Result<(), Stop> {
        if set.name.starts_with("shardgate.") {
            let value = self.current().with_set(set)?.get(&set.name).map(str::to_owned);
            Box::pin(self.check_hand(&set.name, &value.unwrap_or_default())).await?;
            self.set_ours(set)?;
            self.complete(b"SET");
            return Ok(());
        }
        if set.scope == Scope::Local && !self.block.is_explicit() && self.block.state() == State::Idle {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
            self.complete(b"SET");
            return Ok(());
        }
        self.run_setting(text, &Command::Set(set.clone())).await
    }

    /// A setting of the proxy's own.
    pub(super) fn set_ours(&mut self, set: &Set) -> Result<(), Stop> {
        let changed = self.current().with_set(set)?;
        if changed.get("shardgate.consistency") == Some("snapshot") {
            return Err(crate::session::finish::NO_SNAPSHOT_CONSISTENCY.into());
        }
        if set.scope == Scope::Session {
            self.settings = self.settings.with_set(set)?;
        }
        self.set_current(changed, set.scope);
        Ok(())
    }

    /// Runs SET, RESET and their kin where they belong: on every participant, else on home for the check alone.
    async fn run_setting(&mut self, text: &[u8], command: &Command) -> Result<(), Stop> {
        let instead = self.reset_to_startup(command);
        self.on_all_or_home(instead.as_deref().unwrap_or(text)).await?;
        let tracked = Tracked {
            command: command.clone(),
            // A shard that joins later repeats what was run, not what a backend of its own would make of the client's text.
            text: instead.as_deref().unwrap_or(text).to_vec(),
            effect: SessionEffect::None,
            prepares: None,
        };
        self.note(None, &tracked, b"SET");
        self.stale = Stale::Yes;
        self.complete(match command {
            Command::Reset(_) => b"RESET",
            _ => b"SET",
        });
        Ok(())
    }

    async fn on_all_or_home(&mut self, text: &[u8]) -> Result<(), Stop> {
        let home = self.snapshot().topology().home();
        if self.block.state() == State::Idle
            && self
                .participants
                .iter()
                .all(|p| p.sync == crate::transaction::Sync::Settled)
        {
            // Outside a block it takes effect on the backend it runs on, and in the session.
            let at = match self.participants.find(home) {
                Some(at) => at,
                None => self.check_out(home).await?,
            };
            for participant in self.participants.iter_mut() {
                participant.follows = crate::transaction::Follows::Yes;
            }
            // Another pinned backend must have it too.
            for other in 0..self.participants.len() {
                if other != at {
                    self.run_inside(other, text).await?;
                }
            }
            self.run_inside(at, text).await?;
            return Ok(());
        }
        self.adopt_batch().await?;
        let mut ran = false;
        for at in 0..self.participants.len() {
            let in_block = self
                .participants
                .get(at)
                .is_some_and(|p| p.begun == crate::transaction::Begun::Block && p.life == Life::Alive);
            if in_block {
                self.run_inside(at, text).await?;
                ran = true;
            }
        }
        if !ran {
            self.check_on_home(home, text).await?;
        }
        Ok(())
    }

    /// Runs a setting on home inside a transaction that is rolled back: its error, or its report, without enlisting.
    async fn check_on_home(&mut self, home: crate::topology::ShardId, text: &[u8]) -> Result<(), Stop> {
        let at = self.aside(home).await?;
        self.run_quietly(at, b"BEGIN").await?;
        let log: Vec<Vec<u8>> = self.block.log().iter().map(|entry| entry.text.clone()).collect();
        let mut done = Ok(Vec::new());
        for entry in &log {
            done = self.run_quietly(at, entry).await;
            if done.is_err() {
                break;
            }
        }
        if done.is_ok() {
            let was_explicit = self.block.state();
            done = self.run_inside(at, text).await;
            debug_assert!(was_explicit == self.block.state() || done.is_err());
        }
        self.run_quietly(at, b"ROLLBACK").await?;
        self.note_names(at);
        done.map(|_row| ())
    }

    /// Like `run_inside`, but nothing of it reaches the client.
    pub(super) async fn run_quietly(&mut self, at: usize, text: &[u8]) -> Result<Vec<Vec<u8>>, Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        wire::put_query(&mut participant.backend.link.out_buffer, text);
        participant.set_unnamed(0);
        let mut refused = None;
        round_trip(participant, |frame| {
            if frame.tag == b'E' {
                refused = Some(Box::new(ErrorFields::parse(frame.body)?));
            }
            Ok(())
        })
        .await?;
        match refused {
            Some(fields) => Err(Failure::Shard(fields).into()),
            None => Ok(Vec::new()),
        }
    }

    async fn set_transaction(&mut self, set: &SetTransaction, text: &[u8]) -> Result<(), Stop> {
        if self.block.state() == State::Idle {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
            self.complete(b"SET");
            return Ok(());
        }
        match set {
            SetTransaction::Snapshot(_) => {
                return Err(Failure::NotInThisVersion {
                    construct: "SET TRANSACTION SNAPSHOT",
                }
                .into());
            }
            SetTransaction::Characteristics(c) => {
                self.adopt_batch().await?;
                self.everywhere(text).await?;
                if let Some(level) = c.isolation {
                    self.block.set_isolation(isolation(level));
                }
                self.block.record(text);
            }
        }
        self.complete(b"SET");
        Ok(())
    }

    async fn set_constraints(&mut self, text: &[u8]) -> Result<(), Stop> {
        if self.block.state() == State::Idle {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
            self.complete(b"SET CONSTRAINTS");
            return Ok(());
        }
        self.adopt_batch().await?;
        self.everywhere(text).await?;
        self.block.record(text);
        self.complete(b"SET CONSTRAINTS");
        Ok(())
    }

    /// `SELECT set_config(…)`: a SET that answers with a row (planning.md 124).
    async fn set_config(
        &mut self,
        snapshot: &Arc<Snapshot>,
        calls: &[SetConfig],
        text: &[u8],
        command: Command,
        via: Via,
    ) -> Result<(), Stop> {
        let constant = |value: &ConstantOrParameter| !matches!(value, ConstantOrParameter::Parameter(_));
        if !calls
            .iter()
            .all(|call| constant(&call.name) && constant(&call.value) && constant(&call.is_local))
        {
            return Err(Failure::NotInThisVersion {
                construct: "set_config with parameters outside the extended protocol",
            }
            .into());
        }
        // On home, for its row and its error; then on the other participants, and in the log.
        let home = snapshot.topology().home();
        self.adopt_batch().await?;
        for at in 0..self.participants.len() {
            let other = self.participants.get(at).is_some_and(|p| {
                p.begun == crate::transaction::Begun::Block && p.shard != home && p.life == Life::Alive
            });
            if other {
                self.run_inside(at, text).await?;
            }
        }
        if via == Via::Simple {
            let at = self.lane(home, crate::plan::Access::Read).await?;
            let tracked = Tracked {
                command,
                text: text.to_vec(),
                effect: SessionEffect::None,
                prepares: None,
            };
            self.send_query(at, text, vec![tracked])?;
            self.settle().await?;
            self.follow_status(at);
            self.stale = Stale::Yes;
            return Ok(());
        }
        self.planned_statement(snapshot, text, command, via).await
    }

    async fn discard(&mut self, discard: Discard) -> Result<(), Stop> {
        if discard == Discard::All && self.block.state() != State::Idle {
            return Err(Failure::Block(BlockError::InsideBlock("DISCARD ALL")).into());
        }
        let text: &[u8] = match discard {
            Discard::All => b"DISCARD ALL",
            Discard::Plans => b"DISCARD PLANS",
            Discard::Sequences => b"DISCARD SEQUENCES",
            Discard::Temp => b"DISCARD TEMP",
        };
        for at in 0..self.participants.len() {
            self.run_inside(at, text).await?;
            self.note_discard(Some(at), discard);
        }
        if discard == Discard::All {
            self.note_discard(None, discard);
            self.stale = Stale::Yes;
            // What it resets is reported by Postgres; here the next backend has the start-up settings.
            self.recheck = Stale::Yes;
        }
        if matches!(discard, Discard::All | Discard::Sequences) {
            self.sequences = crate::session::sequences::Memory::default();
        }
        self.complete(text);
        Ok(())
    }

    /// Reported settings may have gone back: what they are now is asked of home under the session's settings.
    pub(super) async fn ask_reports(&mut self) -> Result<(), Stop> {
        let home = self.snapshot().topology().home();
        let held = match self.block.at_begin() {
            Some(_) => self.participants.iter().position(|p| p.life == Life::Alive),
            None => None,
        };
        let at = match held {
            Some(at) => at,
            None => self.check_out(home).await?,
        };
        let names: Vec<String> = self.reported.keys().cloned().collect();
        let list: Vec<String> = names
            .iter()
            .map(|name| format!("pg_catalog.current_setting({}, true)", crate::sql::quote_literal(name)))
            .collect();
        let row = self
            .run_inside(at, format!("SELECT {}", list.join(", ")).as_bytes())
            .await?;
        for (name, value) in names.into_iter().zip(row) {
            self.report(name, String::from_utf8_lossy(&value).into_owned());
        }
        if held.is_none() {
            self.release().await;
        }
        Ok(())
    }

    // --- prepared statements of SQL ---

    async fn prepare(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        prepare: &crate::sql::Prepare,
    ) -> Result<(), Stop> {
        if self.statements.contains_key(prepare.name.as_bytes()) {
            return Err(Failure::StatementExists(prepare.name.clone()).into());
        }
        let statement = self.intern_sql(text, prepare.name_span, prepare.body);
        let at = self.aside(snapshot.topology().home()).await?;
        self.adopt_batch().await?;
        self.ensure_prepared(at, &statement).await?;
        self.sync_quietly(at).await?;
        self.statements
            .insert(prepare.name.as_bytes().to_vec(), Named::new(statement));
        self.complete(b"PREPARE");
        Ok(())
    }

    /// Ends messages of ours on a backend that the client's batch has not used.
    async fn sync_quietly(&mut self, at: usize) -> Result<(), Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Ok(());
        };
        if participant.sync == crate::transaction::Sync::Settled {
            return Ok(());
        }
        wire::put_sync(&mut participant.backend.link.out_buffer);
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::Sync,
            shown: Shown::No,
            undo: Undo::Nothing,
        });
        self.settle().await
    }

    fn deallocate(&mut self, target: &DeallocateTarget) -> Result<(), Stop> {
        match target {
            DeallocateTarget::All => {
                self.statements.clear();
                self.complete(b"DEALLOCATE ALL");
            }
            DeallocateTarget::Name { name, .. } => {
                if self.statements.remove(name.as_bytes()).is_none() {
                    return Err(Failure::NoStatement(name.clone()).into());
                }
                self.complete(b"DEALLOCATE");
            }
        }
        Ok(())
    }

    /// A prepared statement's text with an EXECUTE's arguments in the parameters' places, each in parentheses: the planner
    /// reads them as it reads constants.
    fn inlined(&self, statement: &Statement, arguments: &[&[u8]]) -> Result<Vec<u8>, Stop> {
        let body = match statement.origin() {
            Origin::Sql { body, .. } => statement.text().get(*body..).unwrap_or_default().to_vec(),
            Origin::Protocol => statement.text().to_vec(),
        };
        let types: Vec<&[u8]> = match crate::sql::command(statement.text(), self.lexing) {
            Ok(Command::Prepare(prepare)) => prepare.types.iter().map(|span| span.of(statement.text())).collect(),
            Ok(_) | Err(_) => Vec::new(),
        };
        Ok(crate::session::inline::inline_arguments(
            &body,
            &types,
            arguments,
            self.lexing,
        )?)
    }

    /// What an EXECUTE by the extended protocol runs, as a statement of its own; `None`: as it is, it is refused or fails.
    pub(super) fn executed(&self, execute: &crate::sql::Execute, text: &[u8]) -> Option<Executed> {
        let named = self.statements.get(execute.name.as_bytes())?;
        let statement = &named.statement;
        let arguments: Vec<&[u8]> = execute.arguments.iter().map(|span| span.of(text)).collect();
        let read_now = arguments.iter().any(|argument| is_quoted(argument));
        if read_now && self.may_parse_anew(statement).is_err() {
            return None; // its literals were read then, the arguments' are now
        }
        let text = self.inlined(statement, &arguments).ok()?;
        let command = crate::sql::command(&text, self.lexing).ok()?;
        (!crate::session::extended::is_local(&command)).then(|| Executed {
            text,
            command,
            settings: statement.settings().clone(),
        })
    }

    async fn execute_sql(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        execute: &crate::sql::Execute,
        via: Via,
    ) -> Result<(), Stop> {
        let Some(statement) = self
            .statements
            .get(execute.name.as_bytes())
            .map(|n| Arc::clone(&n.statement))
        else {
            return Err(Failure::NoStatement(execute.name.clone()).into());
        };
        let arguments: Vec<&[u8]> = execute.arguments.iter().map(|span| span.of(text)).collect();
        let inlined = self.inlined(&statement, &arguments)?;
        let command = crate::sql::command(&inlined, self.lexing)?;
        if crate::session::extended::is_local(&command) {
            return Err(Failure::NotInThisVersion {
                construct: "EXECUTE of a statement that is not a query",
            }
            .into());
        }
        self.may_plan_anew(&statement)?;
        if self.may_parse_anew(&statement).is_ok() {
            return self.planned_statement(snapshot, &inlined, command, via).await;
        }
        // Inlined its literals would be read by today's settings: it runs as the prepared statement that it is.
        let question = Question {
            text: &inlined,
            declared: &[],
            parameters: Parameters::default(),
            statement: Some(&statement),
            scanned: None,
        };
        let plan = self.plan(snapshot, &question).await?;
        let bound = Bound {
            read_under: read_under(&statement),
            ..Bound::default()
        };
        let as_prepared = via == Via::Simple && !arguments.iter().any(|argument| is_quoted(argument));
        let shard = match plan.work {
            Work::One(shard) => shard,
            // The arguments stand in the text too, and are read now.
            Work::Many(fan) if as_prepared => {
                return Box::pin(self.run_fan(&fan, &bound, &[], Describe::Yes)).await;
            }
            Work::Writes(writes) if as_prepared && !matches!(writes.answer, WriteAnswer::Each(_)) => {
                Box::pin(self.run_on_all(&writes, &command, &bound, &[], Describe::Yes, 0)).await?;
                return Ok(());
            }
            _ => return Err(Failure::ConstantsReadOtherwise.into()),
        };
        let at = self.lane(shard, plan.access).await?;
        self.may_pin(at, &plan.effect)?;
        self.ensure_prepared(at, &statement).await?;
        let mut edits = Edits::new();
        edits.replace(execute.name_span, statement.backend_name().as_bytes().to_vec());
        let (text, _) = edits.apply(text).ok_or(Failure::Bug("an EXECUTE can't be edited"))?;
        let tracked = Tracked {
            command,
            text: inlined,
            effect: plan.effect,
            prepares: None,
        };
        self.send_query_via(at, &text, tracked, via).await
    }

    // --- others ---

    /// FETCH, MOVE and CLOSE go to the backend that holds the cursor: the only one with a block, or the pinned one.
    async fn on_cursor_backend(
        &mut self,
        snapshot: &Arc<Snapshot>,
        text: &[u8],
        command: Command,
        via: Via,
    ) -> Result<(), Stop> {
        let name = match &command {
            Command::Fetch(fetch) => {
                if let Some(done) = Box::pin(self.fetch_fan(fetch, Asked::Simple)).await {
                    return done.map(|_| ());
                }
                fetch.name.clone()
            }
            Command::Close(crate::sql::Cursor::Name { name, .. }) => {
                if self.fan_cursors.remove(name).is_some() || self.close_portal(name) {
                    self.complete(b"CLOSE CURSOR"); // the shards' portals end with the block
                    return Ok(());
                }
                name.clone()
            }
            _ => {
                self.fan_cursors.clear();
                self.portals.clear(); // whoever made them
                String::new()
            }
        };
        let holder = self.cursor_shard(&name).and_then(|shard| self.participants.find(shard));
        match holder {
            Some(at) => {
                let tracked = Tracked {
                    command,
                    text: text.to_vec(),
                    effect: SessionEffect::None,
                    prepares: None,
                };
                let closes = matches!(tracked.command, Command::Close(_));
                self.send_query_via(at, text, tracked, via).await?;
                if closes {
                    self.cursors.remove(&name);
                    self.portals.remove(name.as_bytes());
                }
                Ok(())
            }
            None if name.is_empty() => {
                let order: Vec<usize> = (0..self.participants.len()).collect();
                for at in order {
                    self.run_inside(at, text).await?;
                }
                self.complete(b"CLOSE CURSOR ALL");
                Ok(())
            }
            None => {
                let _ = snapshot;
                Err(Failure::NoCursor(name).into())
            }
        }
    }

    /// Runs a text on a held backend, by the protocol that the client used.
    pub(super) async fn send_query_via(
        &mut self,
        at: usize,
        text: &[u8],
        tracked: Tracked,
        via: Via,
    ) -> Result<(), Stop> {
        match via {
            Via::Simple => {
                self.send_query(at, text, vec![tracked])?;
                self.settle().await?;
                self.follow_status(at);
                Ok(())
            }
            Via::Extended => {
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                let out = &mut participant.backend.link.out_buffer;
                wire::put_parse(out, b"", text, &[]);
                wire::put_bind(out, b"", b"", &[], std::iter::empty(), &[]);
                wire::put_execute(out, b"", 0);
                participant.set_unnamed(0);
                participant.sync = crate::transaction::Sync::Owed;
                participant.worked = crate::transaction::Worked::Yes;
                self.active = Some(at);
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Parse,
                    shown: Shown::No,
                    undo: Undo::Nothing,
                });
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Bind,
                    shown: Shown::No,
                    undo: Undo::Nothing,
                });
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Execute(Some(Box::new(tracked))),
                    shown: Shown::Yes,
                    undo: Undo::Nothing,
                });
                Ok(())
            }
        }
    }

    async fn explain_route(&mut self, snapshot: &Arc<Snapshot>, body: &[u8], via: Via) -> Result<(), Stop> {
        let mut steps = self.route_steps(snapshot, body).await?;
        self.heed(body)?;
        if let Some(shard) = self.named_shard(snapshot).await? {
            let question = Question {
                text: body,
                declared: &[],
                parameters: Parameters::default(),
                statement: None,
                scanned: None,
            };
            if self.plan(snapshot, &question).await?.work.shards() == ShardSet::only(shard) {
                steps = vec![RouteStep {
                    step: "one shard".to_owned(),
                    shards: vec![self.world.shard_name(shard)],
                    reason: "routed by hand".to_owned(),
                }];
            }
        }
        let out = &mut self.client.out_buffer;
        if via == Via::Simple {
            crate::session::rows::put_text_columns(out, &["step", "shards", "reason"]);
        }
        for step in &steps {
            let shards = step.shards.join(", ");
            wire::put_data_row(
                out,
                [
                    Some(step.step.as_bytes()),
                    Some(shards.as_bytes()),
                    Some(step.reason.as_bytes()),
                ],
            );
        }
        self.complete(b"EXPLAIN");
        Ok(())
    }
}

/// What an EXECUTE runs.
pub(super) struct Executed {
    pub(super) text: Vec<u8>,
    pub(super) command: Command,
    /// under which its literals are read
    pub(super) settings: crate::sql::SessionSettings,
}

/// Whether a command runs in a failed block.
fn ends_failure(command: &Command) -> bool {
    matches!(
        command,
        Command::Commit(_)
            | Command::Rollback(_)
            | Command::PrepareTransaction(_)
            | Command::Savepoint(Savepoint::RollbackTo(_))
            | Command::Empty
    )
}
