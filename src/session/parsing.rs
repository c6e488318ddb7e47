//! Parse: a statement gets its name, and waits for the shard on which its text can be read.
//!
//! Why deferral: the shard is known at Bind, so a Parse waits for it; the usual batch P/B/D/E/S goes out in one write.
//! Holds: an unnamed Parse reaches a backend unnamed.

use std::borrow::Cow;
use std::sync::Arc;

use crate::plan::Parameters;
use crate::session::error::{Failure, Stop};
use crate::session::extended::is_local;
use crate::session::oids;
use crate::session::prepared::{Draft, Origin, Statement};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::route::Question;
use crate::session::state::{Deferred, Named, Session};
use crate::sql::{self, Command, Edits, Lead};
use crate::topology::ShardId;
use crate::transaction::{BlockError, State, Sync};
use crate::value::Oid;
use crate::wire::{self, Parse};

impl Session {
    pub(super) async fn on_parse(&mut self, parse: Parse<'_>) -> Result<(), Stop> {
        self.place_deferred().await?;
        let declared: Vec<Oid> = parse.parameter_types.iter().collect();
        if parse.statement.is_empty() && self.parse_again(&parse, &declared) {
            return Ok(());
        }
        let mut shape = std::mem::take(&mut self.shape);
        let scanned = sql::shape(parse.text, self.lexing, &mut shape);
        let lead = shape.lead();
        self.shape = shape;
        let command = match (scanned.is_ok(), lead) {
            (true, Lead::Query) | (false, _) => Command::Query,
            (true, Lead::Write) => Command::Insert,
            (true, Lead::Empty | Lead::Other) => sql::command(parse.text, self.lexing).unwrap_or(Command::Query),
        };
        if self.transparent {
            self.check_ours(&command).await?;
        }
        if self.transparent && matches!(command, Command::Prepare(_)) {
            return Err(Failure::NotInThisVersion {
                construct: "PREPARE by the extended protocol",
            }
            .into());
        }
        let (mut edited, mut command, mut settings) = (None, command, self.current().clone());
        match &command {
            _ if self.transparent => edited = self.edit_for_extended(&command, parse.text),
            // By the next message it will have run; a named one could outlive the statement that it names.
            Command::Execute(execute) if parse.statement.is_empty() => {
                if let Some(executed) = self.executed(execute, parse.text) {
                    (edited, command, settings) = (Some(executed.text), executed.command, executed.settings);
                }
            }
            _ => {}
        }
        let text = edited.as_deref().unwrap_or(parse.text);
        // Its columns are those of a cursor of this session: it is nobody else's statement.
        let fetches = matches!(command, Command::Fetch(_)) && !self.transparent;
        let statement = if parse.statement.is_empty() || (fetches && !self.statements.contains_key(parse.statement)) {
            let text: Arc<[u8]> = text.into();
            if edited.is_none() && scanned.is_ok() && matches!(lead, Lead::Query | Lead::Write) {
                self.recent.keep(&text, self.lexing, &declared, &command);
            }
            let token = self.world.statements.next_id();
            Arc::new(Statement::unnamed(text, declared, settings, command, token))
        } else {
            if self.statements.contains_key(parse.statement) {
                return Err(Failure::StatementExists(String::from_utf8_lossy(parse.statement).into_owned()).into());
            }
            self.world.statements.intern(Draft {
                text,
                declared: &declared,
                origin: Origin::Protocol,
                settings: &settings,
                command,
            })
        };
        let undo = self.name_statement(parse.statement, Arc::clone(&statement));
        if !self.transparent && is_local(statement.command()) {
            self.local(wire::put_parse_complete, undo);
            return Ok(());
        }
        self.deferred = Some(Deferred { statement, undo });
        Ok(())
    }

    /// The unnamed Parse of a text that was parsed lately: nothing of it need be read again.
    fn parse_again(&mut self, parse: &Parse<'_>, declared: &[Oid]) -> bool {
        let Some(recent) = self.recent.find(parse.text, self.lexing, declared.iter().copied()) else {
            return false;
        };
        let (text, command, route) = (Arc::clone(&recent.text), recent.command.clone(), recent.route.clone());
        let token = self.world.statements.next_id();
        let settings = self.current().clone();
        let statement = Arc::new(Statement::unnamed(text, declared.to_vec(), settings, command, token));
        let named = Named {
            statement: Arc::clone(&statement),
            route,
        };
        let undo = self.give_name(b"", named);
        self.deferred = Some(Deferred { statement, undo });
        true
    }

    /// Gives a statement its name in the session; how to take that back.
    fn name_statement(&mut self, name: &[u8], statement: Arc<Statement>) -> Undo {
        self.give_name(name, Named::new(statement))
    }

    fn give_name(&mut self, name: &[u8], named: Named) -> Undo {
        let before = if name.is_empty() {
            self.unnamed.replace(named)
        } else {
            self.statements.insert(name.to_vec(), named)
        };
        Undo::Statement(name.to_vec(), before.map(|n| n.statement))
    }

    /// EXECUTE and PREPARE in the extended protocol name statements of the session.
    fn edit_for_extended(&mut self, command: &Command, text: &[u8]) -> Option<Vec<u8>> {
        if let Some(instead) = self.reset_to_startup(command) {
            return Some(instead);
        }
        let mut edits = Edits::new();
        match command {
            Command::Execute(execute) => {
                let found = self.statements.get(execute.name.as_bytes())?;
                edits.replace(execute.name_span, found.statement.backend_name().as_bytes().to_vec());
            }
            Command::Deallocate(crate::sql::DeallocateTarget::Name { name, span }) => {
                let found = self.statements.get(name.as_bytes())?;
                edits.replace(*span, found.statement.backend_name().as_bytes().to_vec());
            }
            _ => return None,
        }
        edits.apply(text).map(|(text, _)| text)
    }

    /// Sends a Parse that waited for its shard to one where its text can be read.
    pub(super) async fn place_deferred(&mut self) -> Result<(), Stop> {
        let Some(deferred) = self.deferred.as_ref() else {
            return Ok(());
        };
        if !self.transparent && self.block.state() == State::Failed {
            // A backend that isn't of the block would take it.
            if let Some(deferred) = self.deferred.take() {
                self.undo(deferred.undo);
            }
            return Err(Failure::Block(BlockError::Aborted).into());
        }
        let shard = if self.transparent {
            self.snapshot().topology().home()
        } else {
            let statement = Arc::clone(&deferred.statement);
            self.refresh_effective().await?;
            let snapshot = self.snapshot();
            let question = Question {
                text: statement.planned_text(),
                declared: statement.declared(),
                parameters: Parameters::default(),
                statement: Some(&statement),
                scanned: None,
            };
            match self.compile(&snapshot, &question).await {
                Ok(compiled) => compiled.prepare_on(),
                // Refused across shards, but Parse has no answer to that: home says whether the text is right at all.
                Err(Stop::Failed(Failure::Refused(refusal))) => {
                    self.deferred_refusal(&statement, &refusal);
                    snapshot.topology().home()
                }
                Err(stop) => return Err(stop),
            }
        };
        let at = self.parse_lane(shard).await?;
        self.send_deferred(at).await
    }

    fn deferred_refusal(&self, statement: &Statement, refusal: &crate::plan::Refusal) {
        tracing::debug!(
            session = self.id,
            statement = statement.id(),
            construct = refusal.id,
            "parsed, will be refused at bind"
        );
    }

    /// A backend of this shard for Parse and Describe: they never enlist it (`sessions.md` 12).
    pub(super) async fn parse_lane(&mut self, shard: ShardId) -> Result<usize, Stop> {
        let at = match self.participants.find(shard) {
            Some(at) => at,
            None => {
                self.switch_away(None).await?;
                self.check_out(shard).await?
            }
        };
        self.switch_away(Some(at)).await?;
        Ok(at)
    }

    /// Another backend is to owe answers now: those of the present one come first.
    pub(super) async fn switch_away(&mut self, to: Option<usize>) -> Result<(), Stop> {
        if self.active.is_some() && self.active != to && !self.queue.is_empty() {
            self.flush_and_settle().await?;
            if self.failed {
                return Err(Failure::AlreadyAnswered.into());
            }
        }
        if let Some(at) = to {
            self.active = Some(at);
        }
        Ok(())
    }

    /// Sends the waiting Parse to this backend, unless it knows the statement.
    pub(super) async fn send_deferred(&mut self, at: usize) -> Result<(), Stop> {
        let Some(Deferred { statement, undo }) = self.deferred.take() else {
            return Ok(());
        };
        self.active = Some(at);
        let declared = self.types_for(at, statement.declared()).into_owned();
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        if statement.is_unnamed() {
            wire::put_parse(
                &mut participant.backend.link.out_buffer,
                b"",
                statement.text(),
                &declared,
            );
            participant.set_unnamed(statement.id());
            participant.sync = Sync::Owed;
            self.queue.push_back(Owed::Backend {
                kind: Kind::Parse,
                shown: Shown::Yes,
                undo,
            });
            // The undo of the backend's belief needs no entry: a failed Parse leaves no unnamed statement, and the
            // session's own map then has none either, so nobody binds to it.
            return Ok(());
        }
        if participant.backend.prepared.touch(statement.id()) {
            self.local(wire::put_parse_complete, undo);
            return Ok(());
        }
        self.put_named_parse(at, &statement, Shown::Yes, undo);
        Ok(())
    }

    /// Declared types as the backend's shard calls them.
    pub(super) fn types_for<'a>(&self, at: usize, types: &'a [Oid]) -> Cow<'a, [Oid]> {
        if types.is_empty() {
            return Cow::Borrowed(types);
        }
        match self.foreign_oids(at) {
            Some(map) => Cow::Owned(oids::types_to_shard(types, &map)),
            None => Cow::Borrowed(types),
        }
    }
}
