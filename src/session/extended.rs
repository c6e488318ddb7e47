//! The extended protocol: Parse, Bind, Describe, Execute, Close, Flush, Sync, pipelined.
//!
//! Why deferral: the shard is known at Bind, so a Parse waits for it; the usual batch P/B/D/E/S goes out in one write.
//! Holds: answers in stream order; no Sync that the client did not send while its batch has work on a backend; an
//! unnamed Parse reaches a backend unnamed; a backend that lacks a statement gets it, described and compared, before
//! its Bind (`sessions.md` 2, 3, 13, 14).

use std::borrow::Cow;
use std::sync::Arc;

use crate::plan::{Access, Parameters, Plan, SessionEffect, Snapshot, Verdict, Work};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::oids;
use crate::session::portal::{Bound, Place, Portal};
use crate::session::prepared::{Draft, Origin, Statement};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::route::Question;
use crate::session::simple::Via;
use crate::session::state::{Deferred, Named, Route, Schema, Session, Skipping, Wrapping};
use crate::session::track::{Tracked, is_noted};
use crate::sql::{self, Command, ConstantOrParameter, Edits, Lead, Lexing, SessionSettings};
use crate::topology::ShardId;
use crate::transaction::{Begun, Participant, Sync, Worked};
use crate::value::{self, Oid};
use crate::wire::{self, Bind, Close, Describe, Execute, Parse, Target};

/// The statement that brings settings back behind a Parse of the unnamed one.
const SETTER: &[u8] = b"sg_setter";

impl Session {
    /// One message of the extended protocol but Sync and Flush. An error skips to Sync.
    pub(super) async fn extended(&mut self, tag: u8, body: &[u8], whole: &[u8]) -> Result<(), Gone> {
        if self.skipping == Skipping::ToSync {
            return Ok(());
        }
        if self.queue.is_empty() && self.deferred.is_none() {
            let snapshot = self.snapshot();
            self.choose_mode(&snapshot);
        }
        let done = match tag {
            b'P' => match Parse::parse(body) {
                Ok(message) => self.on_parse(message).await,
                Err(error) => Err(Failure::Malformed(error).into()),
            },
            b'B' => match Bind::parse(body) {
                Ok(message) => self.on_bind(message).await,
                Err(error) => Err(Failure::Malformed(error).into()),
            },
            b'D' => match Describe::parse(body) {
                Ok(message) => self.on_describe(message).await,
                Err(error) => Err(Failure::Malformed(error).into()),
            },
            b'E' => match Execute::parse(body) {
                Ok(message) => self.on_execute(message).await,
                Err(error) => Err(Failure::Malformed(error).into()),
            },
            b'C' => match Close::parse(body) {
                Ok(message) => self.on_close(message).await,
                Err(error) => Err(Failure::Malformed(error).into()),
            },
            _ => Box::pin(self.on_function_call(whole)).await,
        };
        match done {
            Ok(()) => Ok(()),
            Err(stop) => self.fail_in_order(stop).await,
        }
    }

    /// An error of ours comes after the answers to what was sent before it.
    pub(super) async fn fail_in_order(&mut self, stop: Stop) -> Result<(), Gone> {
        self.deferred = None;
        if let Err(earlier) = self.flush_and_settle().await {
            self.report_failure(earlier)?;
        }
        if self.skipping == Skipping::ToSync {
            return Ok(()); // one of those had failed: what failed here was never reached
        }
        self.report_failure(stop)?;
        self.skipping = Skipping::ToSync;
        self.fail_servers().await
    }

    /// After a failure of ours the servers' blocks must fail as Postgres's would have: else they would commit work that
    /// the client believes undone. A Bind to a statement that doesn't exist does it, without a Sync (sessions.md 2).
    pub(super) async fn fail_servers(&mut self) -> Result<(), Gone> {
        self.fail_those(|participant, transparent| {
            let in_block = transparent && participant.status == b'T';
            in_block || (participant.sync == Sync::Owed && participant.worked == Worked::Yes)
        })
        .await
    }

    /// After an error that one server has answered: what others have done in this batch would be committed by its Sync.
    pub(super) async fn fail_other_servers(&mut self) -> Result<(), Gone> {
        self.fail_those(|participant, _| {
            let batch = participant.begun == Begun::Autocommit && participant.sync == Sync::Owed;
            batch && participant.worked == Worked::Yes
        })
        .await
    }

    async fn fail_those(&mut self, which: impl Fn(&Participant, bool) -> bool) -> Result<(), Gone> {
        for at in 0..self.participants.len() {
            let transparent = self.transparent;
            let Some(participant) = self.participants.get_mut(at) else {
                continue;
            };
            if participant.life == crate::transaction::Life::Gone || !which(participant, transparent) {
                continue;
            }
            wire::put_bind(
                &mut participant.backend.link.out_buffer,
                b"",
                b"sg_none",
                &[],
                std::iter::empty(),
                &[],
            );
            participant.sync = Sync::Owed;
            self.active = Some(at);
            self.queue.push_back(Owed::Backend {
                kind: Kind::Poison,
                shown: Shown::No,
                undo: Undo::Nothing,
            });
            if let Err(stop) = self.settle().await {
                self.report_failure(stop)?;
            }
        }
        Ok(())
    }

    // --- Parse ---

    async fn on_parse(&mut self, parse: Parse<'_>) -> Result<(), Stop> {
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
        if self.transparent && matches!(command, Command::Prepare(_)) {
            return Err(Failure::NotInThisVersion {
                construct: "PREPARE by the extended protocol",
            }
            .into());
        }
        let edited = if self.transparent {
            self.edit_for_extended(&command, parse.text)
        } else {
            None
        };
        let text = edited.as_deref().unwrap_or(parse.text);
        let settings = self.current().clone();
        let statement = if parse.statement.is_empty() {
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
    async fn parse_lane(&mut self, shard: ShardId) -> Result<usize, Stop> {
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
    async fn switch_away(&mut self, to: Option<usize>) -> Result<(), Stop> {
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
    async fn send_deferred(&mut self, at: usize) -> Result<(), Stop> {
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

    /// Queues Parse and a Describe of our own for a named statement.
    fn put_named_parse(&mut self, at: usize, statement: &Arc<Statement>, shown: Shown, undo: Undo) {
        let types = match statement.described() {
            Some(described) => described.parameters.clone(),
            None => statement.declared().to_vec(),
        };
        let types = self.types_for(at, &types).into_owned();
        let Some(participant) = self.participants.get_mut(at) else {
            return;
        };
        let name = statement.backend_name().as_bytes();
        let evicted = participant.backend.prepared.insert(statement.id());
        let out = &mut participant.backend.link.out_buffer;
        wire::put_parse(out, name, statement.text(), &types);
        wire::put_describe(out, Target::Statement, name);
        participant.sync = Sync::Owed;
        self.queue.push_back(Owed::Backend {
            kind: Kind::Parse,
            shown,
            undo,
        });
        self.queue.push_back(Owed::Backend {
            kind: Kind::DescribeStatement(Arc::clone(statement)),
            shown: Shown::No,
            undo: Undo::Prepared(at, statement.id()),
        });
        if let Some(old) = evicted
            && let Some(participant) = self.participants.get_mut(at)
        {
            wire::put_close(
                &mut participant.backend.link.out_buffer,
                Target::Statement,
                format!("sg_{old}").as_bytes(),
            );
            self.queue.push_back(Owed::Backend {
                kind: Kind::Close,
                shown: Shown::No,
                undo: Undo::Nothing,
            });
        }
    }

    /// Sees to it that a backend has a statement, as it was when it was first described.
    pub(super) async fn ensure_prepared(&mut self, at: usize, statement: &Arc<Statement>) -> Result<(), Stop> {
        let declared = self.types_for(at, statement.declared()).into_owned();
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        if statement.is_unnamed() {
            if participant.unnamed() != statement.id() {
                // Literals mean what they meant at Parse (sessions.md 13, 14).
                let (then, now) = (read_by(statement.settings()), read_by(self.current()));
                self.put_settings(at, &then.diff(&now));
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                participant.set_unnamed(statement.id());
                wire::put_parse(
                    &mut participant.backend.link.out_buffer,
                    b"",
                    statement.text(),
                    &declared,
                );
                participant.sync = Sync::Owed;
                self.active = Some(at);
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Parse,
                    shown: Shown::No,
                    undo: Undo::Unnamed(at),
                });
                self.put_settings_by(SETTER, at, &now.diff(&then));
            }
            return Ok(());
        }
        if participant.backend.prepared.touch(statement.id()) {
            return Ok(());
        }
        self.switch_away(Some(at)).await?;
        match statement.origin().clone() {
            Origin::Protocol => {
                // Literals mean what they meant at Parse (sessions.md 13, 14).
                let (then, now) = (read_by(statement.settings()), read_by(self.current()));
                self.put_settings(at, &then.diff(&now));
                self.put_named_parse(at, statement, Shown::No, Undo::Prepared(at, statement.id()));
                self.put_settings(at, &now.diff(&then));
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                if std::mem::take(&mut self.result_type_changed) {
                    if let Some(participant) = self.participants.get_mut(at) {
                        participant.backend.prepared.remove(statement.id());
                        let name = statement.backend_name().as_bytes();
                        wire::put_close(&mut participant.backend.link.out_buffer, Target::Statement, name);
                    }
                    self.queue.push_back(Owed::Backend {
                        kind: Kind::Close,
                        shown: Shown::No,
                        undo: Undo::Nothing,
                    });
                    return Err(Failure::ResultTypeChanged.into());
                }
                Ok(())
            }
            Origin::Sql { start, end, .. } => {
                let (then, now) = (read_by(statement.settings()), read_by(self.current()));
                let mut edits = Edits::new();
                edits.replace(sql::Span::new(start, end), statement.backend_name().as_bytes().to_vec());
                let Some((text, _)) = edits.apply(statement.text()) else {
                    return Err(Failure::Bug("a PREPARE can't be edited").into());
                };
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                let evicted = participant.backend.prepared.insert(statement.id());
                self.put_settings(at, &then.diff(&now));
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                // By the extended protocol, since a Query would end the client's batch.
                let out = &mut participant.backend.link.out_buffer;
                wire::put_parse(out, b"", &text, &[]);
                wire::put_bind(out, b"", b"", &[], std::iter::empty(), &[]);
                wire::put_execute(out, b"", 0);
                participant.set_unnamed(0);
                participant.sync = Sync::Owed;
                for kind in [Kind::Parse, Kind::Bind, Kind::Execute(None)] {
                    self.queue.push_back(Owed::Backend {
                        kind,
                        shown: Shown::No,
                        undo: Undo::Prepared(at, statement.id()),
                    });
                }
                self.put_settings(at, &now.diff(&then));
                if let Some(old) = evicted
                    && let Some(participant) = self.participants.get_mut(at)
                {
                    let name = format!("sg_{old}");
                    wire::put_close(
                        &mut participant.backend.link.out_buffer,
                        Target::Statement,
                        name.as_bytes(),
                    );
                    self.queue.push_back(Owed::Backend {
                        kind: Kind::Close,
                        shown: Shown::No,
                        undo: Undo::Nothing,
                    });
                }
                self.flush_and_settle().await?;
                if self.failed {
                    Err(Failure::AlreadyAnswered.into())
                } else {
                    Ok(())
                }
            }
        }
    }

    /// `currval` and `lastval` answer from what a backend remembers, which may be another session's doing: a backend that
    /// this session has not kept forgets first, and Postgres's own error follows (sessions.md 23).
    pub(super) fn own_sequences(&mut self, at: usize, effect: &SessionEffect, text: &[u8]) {
        let kept = self.participants.get(at).is_none_or(|p| p.pin.is_some());
        if kept || *effect == SessionEffect::None {
            return;
        }
        let text = text.to_ascii_lowercase();
        let mentions = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
        if mentions(b"currval") || mentions(b"lastval") {
            self.active = Some(at);
            self.put_settings(at, b"DISCARD SEQUENCES");
        }
    }

    /// Runs settings of ours within the client's batch. The unnamed statement is gone afterwards.
    pub(super) fn put_settings(&mut self, at: usize, script: &[u8]) {
        self.put_settings_by(b"", at, script);
    }

    /// The same by a statement of this name, which is closed again.
    fn put_settings_by(&mut self, name: &[u8], at: usize, script: &[u8]) {
        if script.is_empty() {
            return;
        }
        let Ok(spans) = sql::split(script, Lexing::default()) else {
            return;
        };
        for span in spans {
            let Some(participant) = self.participants.get_mut(at) else {
                return;
            };
            let out = &mut participant.backend.link.out_buffer;
            wire::put_parse(out, name, span.of(script), &[]);
            wire::put_bind(out, b"", name, &[], std::iter::empty(), &[]);
            wire::put_execute(out, b"", 0);
            let mut kinds = vec![Kind::Parse, Kind::Bind, Kind::Execute(None)];
            if name.is_empty() {
                participant.set_unnamed(0);
            } else {
                wire::put_close(out, Target::Statement, name);
                kinds.push(Kind::Close);
            }
            participant.sync = Sync::Owed;
            for kind in kinds {
                self.queue.push_back(Owed::Backend {
                    kind,
                    shown: Shown::No,
                    undo: Undo::Nothing,
                });
            }
        }
    }

    /// Closes a statement on a backend that has it, so that PREPARE can make it anew.
    pub(super) async fn forget_on_backend(&mut self, at: usize, statement: &Arc<Statement>) -> Result<(), Stop> {
        let Some(participant) = self.participants.get_mut(at) else {
            return Ok(());
        };
        if !participant.backend.prepared.remove(statement.id()) {
            return Ok(());
        }
        let name = statement.backend_name().as_bytes();
        wire::put_close(&mut participant.backend.link.out_buffer, Target::Statement, name);
        participant.sync = Sync::Owed;
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::Close,
            shown: Shown::No,
            undo: Undo::Nothing,
        });
        self.flush_and_settle().await
    }

    /// PREPARE has made a statement on the backend at `at`, under its one name.
    pub(super) fn remember_prepared(&mut self, at: Option<usize>, name: &[u8], statement: &Arc<Statement>) {
        self.statements.insert(name.to_vec(), Named::new(Arc::clone(statement)));
        if let Some(participant) = at.and_then(|at| self.participants.get_mut(at)) {
            let _evicted = participant.backend.prepared.insert(statement.id());
        }
    }

    /// DEALLOCATE has run on the backend at `at`: of one statement, or of all.
    pub(super) fn forget_prepared(&mut self, at: Option<usize>, id: Option<u64>) {
        if let Some(participant) = at.and_then(|at| self.participants.get_mut(at)) {
            match id {
                Some(id) => {
                    participant.backend.prepared.remove(id);
                }
                None => participant.backend.prepared.clear(),
            }
        }
    }

    // --- Bind ---

    async fn on_bind(&mut self, bind: Bind<'_>) -> Result<(), Stop> {
        let named = if bind.statement.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(bind.statement)
        };
        let Some(named) = named else {
            return Err(Failure::NoStatement(String::from_utf8_lossy(bind.statement).into_owned()).into());
        };
        let statement = Arc::clone(&named.statement);
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err(Failure::PortalExists(String::from_utf8_lossy(bind.portal).into_owned()).into());
        }
        if !self.transparent && is_local(statement.command()) {
            let bound = Bound::of(&bind);
            let undo = self.open_portal(bind.portal, &statement, &bind, Place::Control(bound));
            self.local(wire::put_bind_complete, undo);
            return Ok(());
        }
        if self.transparent {
            let shard = self.snapshot().topology().home();
            let effect = self.effect_in_transparent(bind.statement)?;
            return self.bind_on(shard, Access::Read, effect, &statement, &bind).await;
        }
        let plan = self.plan_bind(&statement, &bind).await?;
        match plan.work {
            Work::One(shard) => self.bind_on(shard, plan.access, plan.effect, &statement, &bind).await,
            Work::Many(plan) => {
                let parameters = Bound::of(&bind);
                self.bind_here(&statement, &bind, Place::Fan { plan, parameters }).await
            }
            Work::Writes(plan) => {
                let parameters = Bound::of(&bind);
                self.bind_here(&statement, &bind, Place::Writes { plan, parameters })
                    .await
            }
            Work::Cursor(_) => Err(Failure::NotInThisVersion {
                construct: "DECLARE of a cursor over several shards by the extended protocol",
            }
            .into()),
            Work::Explain(plan) => {
                let parameters = Bound::of(&bind);
                self.bind_here(&statement, &bind, Place::Explain { plan, parameters })
                    .await
            }
            Work::CopyIn(plan) => self.bind_here(&statement, &bind, Place::CopyIn(plan)).await,
            Work::CopyOut(plan) => self.bind_here(&statement, &bind, Place::CopyOut(plan)).await,
        }
    }

    /// A portal that no backend knows yet.
    async fn bind_here(&mut self, statement: &Arc<Statement>, bind: &Bind<'_>, place: Place) -> Result<(), Stop> {
        self.place_deferred().await?;
        let (given, wanted) = (bind.values.count(), statement.described().map(|d| d.parameters.len()));
        if let Some(wanted) = wanted.filter(|wanted| *wanted != given) {
            return Err(Failure::ParameterCount {
                name: String::from_utf8_lossy(bind.statement).into_owned(),
                given,
                wanted,
            }
            .into());
        }
        let undo = self.open_portal(bind.portal, statement, bind, place);
        self.local(wire::put_bind_complete, undo);
        Ok(())
    }

    /// The plan for these values, by the route that the session keeps for the statement.
    async fn plan_bind(&mut self, statement: &Arc<Statement>, bind: &Bind<'_>) -> Result<Plan, Stop> {
        if self.block.state() == crate::transaction::State::Failed {
            return Err(Failure::Block(crate::transaction::BlockError::Aborted).into());
        }
        self.refresh_effective().await?;
        let snapshot = self.snapshot();
        let formats: Vec<value::Format> = bind.formats.iter().map(value_format).collect();
        let values: Vec<Option<&[u8]>> = bind.values.collect();
        let question = Question {
            text: statement.planned_text(),
            declared: statement.declared(),
            parameters: Parameters {
                formats: &formats,
                values: &values,
            },
            statement: Some(statement),
            scanned: None,
        };
        let plan = match self.kept_route(bind.statement, &snapshot) {
            Some(route) => self.plan_by(&route, &question).await?,
            None => {
                let (compiled, plan) = self.plan_and_route(&snapshot, &question).await?;
                let route = Route::new(&snapshot, &self.effective.context, &compiled);
                let named = if bind.statement.is_empty() {
                    self.unnamed.as_mut()
                } else {
                    self.statements.get_mut(bind.statement)
                };
                if let Some(named) = named {
                    self.recent.note_route(named.statement.shared_text(), &route);
                    named.route = Some(route);
                }
                plan
            }
        };
        if matches!(plan.work, Work::Many(_) | Work::Explain(_) | Work::Writes(_)) {
            self.may_parse_anew(statement)?;
        }
        Ok(plan)
    }

    fn kept_route(&self, name: &[u8], snapshot: &Arc<Snapshot>) -> Option<Route> {
        let named = if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(name)
        }?;
        let route = named.route.as_ref()?;
        let fits = Arc::ptr_eq(&route.snapshot, snapshot) && Arc::ptr_eq(&route.context, &self.effective.context);
        fits.then(|| route.clone())
    }

    /// Binds on one shard's backend.
    async fn bind_on(
        &mut self,
        shard: ShardId,
        access: Access,
        effect: SessionEffect,
        statement: &Arc<Statement>,
        bind: &Bind<'_>,
    ) -> Result<(), Stop> {
        self.second_shard(shard).await?;
        let at = self.lane(shard, access).await?;
        self.switch_away(Some(at)).await?;
        self.own_sequences(at, &effect, statement.text());
        if self
            .deferred
            .as_ref()
            .is_some_and(|d| Arc::ptr_eq(&d.statement, statement))
        {
            self.send_deferred(at).await?;
        } else {
            self.place_deferred().await?;
            self.switch_away(Some(at)).await?;
            self.ensure_prepared(at, statement).await?;
            if let Command::Execute(execute) = statement.command()
                && let Some(inner) = self
                    .statements
                    .get(execute.name.as_bytes())
                    .map(|n| Arc::clone(&n.statement))
            {
                self.ensure_prepared(at, &inner).await?;
            }
        }
        self.may_pin(at, &effect)?;
        let tracked = self.tracked_of(statement, bind, effect);
        if tracked.is_some() && self.transparent {
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
        }
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        let out = &mut participant.backend.link.out_buffer;
        wire::put_bind_tail(out, bind.portal, statement.backend_name().as_bytes(), bind.tail);
        participant.sync = Sync::Owed;
        if tracked.is_some() {
            participant.follows = crate::transaction::Follows::Yes;
        }
        participant.worked = Worked::Yes;
        self.active = Some(at);
        let undo = self.open_portal(bind.portal, statement, bind, Place::Backend { shard, tracked });
        self.queue.push_back(Owed::Backend {
            kind: Kind::Bind,
            shown: Shown::Yes,
            undo,
        });
        Ok(())
    }

    /// What is to be noted when the portal completes; `set_config` by parameters is known now.
    fn tracked_of(&self, statement: &Arc<Statement>, bind: &Bind<'_>, effect: SessionEffect) -> Option<Box<Tracked>> {
        if !is_noted(statement.command(), &effect) {
            return None;
        }
        let mut command = statement.command().clone();
        if let Command::SetConfig(calls) = &mut command {
            for slot in calls
                .iter_mut()
                .flat_map(|c| [&mut c.name, &mut c.value, &mut c.is_local])
            {
                if let ConstantOrParameter::Parameter(number) = slot {
                    let index = usize::try_from(*number).ok().and_then(|n| n.checked_sub(1));
                    *slot = match index.and_then(|i| bind.values.get(i)).flatten() {
                        Some(bytes) => ConstantOrParameter::Constant(boolean_text(bytes)),
                        None => ConstantOrParameter::Null,
                    };
                }
            }
        }
        Some(Box::new(Tracked {
            command,
            text: statement.text().to_vec(),
            effect,
            prepares: None,
        }))
    }

    /// What a statement may leave in the session, on one shard; compiled once per statement and picture.
    fn effect_in_transparent(&mut self, name: &[u8]) -> Result<SessionEffect, Stop> {
        let snapshot = self.snapshot();
        let context = Arc::clone(&self.effective.context);
        let named = if name.is_empty() {
            self.unnamed.as_mut()
        } else {
            self.statements.get_mut(name)
        };
        let Some(named) = named else {
            return Ok(SessionEffect::None);
        };
        let statement = Arc::clone(&named.statement);
        let request = crate::plan::Request {
            text: statement.planned_text(),
            parameter_types: statement.declared(),
            context: &context,
        };
        let facts = crate::plan::Facts::default();
        let compiled = match &named.route {
            Some(route) if Arc::ptr_eq(&route.snapshot, &snapshot) => Arc::clone(&route.compiled),
            Some(_) | None => match snapshot.compile(&request, &facts) {
                Ok(compiled) => {
                    let route = Route::new(&snapshot, &context, &compiled);
                    self.recent.note_route(named.statement.shared_text(), &route);
                    named.route = Some(route);
                    compiled
                }
                Err(_) => return Ok(SessionEffect::Opaque),
            },
        };
        match compiled.bind(&snapshot, &request, &Parameters::default(), &facts) {
            Ok(plan) => {
                self.running.kind = crate::telemetry::StatementKind::from(plan.kind);
                self.running.shard = Some(snapshot.topology().home());
                Ok(plan.effect)
            }
            Err(Verdict::Refused(refusal)) if refusal.is_about_backend() => Err(Failure::Refused(refusal).into()),
            Err(Verdict::Refused(_) | Verdict::Ask(_)) => Ok(SessionEffect::Opaque),
        }
    }

    /// A shard joins a batch that has worked on another one: the work so far becomes a block on each.
    pub(super) async fn second_shard(&mut self, shard: ShardId) -> Result<(), Stop> {
        if self.transparent || self.block.is_explicit() {
            return Ok(());
        }
        let others = self.participants.iter().any(|p| {
            p.shard != shard && p.begun == Begun::Autocommit && p.sync == Sync::Owed && p.worked == Worked::Yes
        });
        if others {
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
            self.adopt_batch().await?;
            self.wrapping = Wrapping::Yes;
        }
        Ok(())
    }

    fn open_portal(&mut self, name: &[u8], statement: &Arc<Statement>, bind: &Bind<'_>, place: Place) -> Undo {
        let result_formats = bind.result_formats.iter().map(value_format).collect();
        let portal = Portal {
            statement: Arc::clone(statement),
            result_formats,
            place,
        };
        let before = self.portals.insert(name.to_vec(), portal);
        Undo::Portal(name.to_vec(), before.map(Box::new))
    }

    // --- Describe, Execute, Close ---

    async fn on_describe(&mut self, describe: Describe<'_>) -> Result<(), Stop> {
        match describe.target {
            Target::Statement => self.describe_statement(describe.name).await,
            Target::Portal => self.describe_portal(describe.name).await,
        }
    }

    async fn describe_statement(&mut self, name: &[u8]) -> Result<(), Stop> {
        let named = if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(name)
        };
        let Some(statement) = named.map(|n| Arc::clone(&n.statement)) else {
            return Err(Failure::NoStatement(String::from_utf8_lossy(name).into_owned()).into());
        };
        if !self.transparent && is_local(statement.command()) {
            self.local(
                |out| {
                    wire::put_parameter_description(out, &[]);
                    wire::put_no_data(out);
                },
                Undo::Nothing,
            );
            return Ok(());
        }
        self.place_deferred().await?;
        let at = match self.active {
            Some(at) if has_statement(&mut self.participants, at, &statement) => at,
            Some(_) | None => {
                let shard = self.parse_shard(&statement).await?;
                let at = self.parse_lane(shard).await?;
                self.ensure_prepared(at, &statement).await?;
                at
            }
        };
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        wire::put_describe(
            &mut participant.backend.link.out_buffer,
            Target::Statement,
            statement.backend_name().as_bytes(),
        );
        participant.sync = Sync::Owed;
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::DescribeStatement(statement),
            shown: Shown::Yes,
            undo: Undo::Nothing,
        });
        Ok(())
    }

    /// A shard on which the statement's text can be read.
    async fn parse_shard(&mut self, statement: &Arc<Statement>) -> Result<ShardId, Stop> {
        if self.transparent {
            return Ok(self.snapshot().topology().home());
        }
        self.refresh_effective().await?;
        let snapshot = self.snapshot();
        let home = snapshot.topology().home();
        let question = Question {
            text: statement.planned_text(),
            declared: statement.declared(),
            parameters: Parameters::default(),
            statement: Some(statement),
            scanned: None,
        };
        match self.compile(&snapshot, &question).await {
            Ok(compiled) => Ok(compiled.prepare_on()),
            Err(Stop::Failed(Failure::Refused(_))) => Ok(home),
            Err(stop) => Err(stop),
        }
    }

    async fn describe_portal(&mut self, name: &[u8]) -> Result<(), Stop> {
        if self.transparent && !self.portals.contains_key(name) && !self.participants.is_empty() {
            return self
                .ask_home(Kind::DescribePortal, |out| {
                    wire::put_describe(out, Target::Portal, name)
                })
                .await;
        }
        let Some(portal) = self.portals.get(name) else {
            return Err(Failure::NoPortal(String::from_utf8_lossy(name).into_owned()).into());
        };
        match &portal.place {
            Place::Backend { shard, .. } => {
                let shard = *shard;
                let Some(at) = self.participants.find(shard) else {
                    return Err(Failure::NoPortal(String::from_utf8_lossy(name).into_owned()).into());
                };
                self.switch_away(Some(at)).await?;
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                wire::put_describe(&mut participant.backend.link.out_buffer, Target::Portal, name);
                participant.sync = Sync::Owed;
                self.queue.push_back(Owed::Backend {
                    kind: Kind::DescribePortal,
                    shown: Shown::Yes,
                    undo: Undo::Nothing,
                });
                Ok(())
            }
            Place::CopyIn(_) | Place::CopyOut(_) | Place::Control(_) | Place::Finished => {
                self.local(wire::put_no_data, Undo::Nothing);
                Ok(())
            }
            Place::Fan { .. } | Place::Explain { .. } | Place::Writes { .. } | Place::Suspended(_) => {
                let statement = Arc::clone(&portal.statement);
                let formats = portal.result_formats.clone();
                self.describe_fan(&statement, &formats).await
            }
        }
    }

    async fn describe_fan(&mut self, statement: &Arc<Statement>, formats: &[value::Format]) -> Result<(), Stop> {
        let described = match statement.described() {
            Some(described) => described,
            None => {
                let shard = self.parse_shard(statement).await?;
                let at = self.parse_lane(shard).await?;
                self.ensure_prepared(at, statement).await?;
                if statement.is_unnamed() {
                    let Some(participant) = self.participants.get_mut(at) else {
                        return Err(Failure::Bug("a lane is missing").into());
                    };
                    wire::put_describe(&mut participant.backend.link.out_buffer, Target::Statement, b"");
                    participant.sync = Sync::Owed;
                    self.queue.push_back(Owed::Backend {
                        kind: Kind::DescribeStatement(Arc::clone(statement)),
                        shown: Shown::No,
                        undo: Undo::Nothing,
                    });
                }
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                statement
                    .described()
                    .ok_or(Failure::Bug("a statement was not described"))?
            }
        };
        let mut bytes = bytes::BytesMut::new();
        match &described.rows {
            None => wire::put_no_data(&mut bytes),
            Some(body) => {
                let fields: Vec<wire::Field<'_>> = wire::RowDescription::parse(body)
                    .map_err(|_| Failure::Bug("a RowDescription can't be read"))?
                    .fields()
                    .enumerate()
                    .map(|(column, mut field)| {
                        field.format = wire_format(column_format(formats, column));
                        field
                    })
                    .collect();
                wire::put_row_description(&mut bytes, fields);
            }
        }
        self.queue.push_back(Owed::Local {
            bytes: bytes.to_vec(),
            undo: Undo::Nothing,
        });
        Ok(())
    }

    async fn on_execute(&mut self, execute: Execute<'_>) -> Result<(), Stop> {
        self.place_deferred().await?;
        let name = execute.portal.to_vec();
        if self.transparent && !self.portals.contains_key(&name) && !self.participants.is_empty() {
            // A cursor of SQL is a portal too: the server knows.
            return self.execute_unknown(&name, execute.rows_max.max(0)).await;
        }
        let Some(portal) = self.portals.get_mut(&name) else {
            return Err(Failure::NoPortal(String::from_utf8_lossy(&name).into_owned()).into());
        };
        let row_limit = execute.rows_max.max(0);
        match &mut portal.place {
            Place::Backend { shard, tracked } => {
                let (shard, tracked) = (*shard, tracked.take());
                let changes_schema = matches!(portal.statement.command(), Command::Ddl(_));
                let Some(at) = self.participants.find(shard) else {
                    return Err(Failure::NoPortal(String::from_utf8_lossy(&name).into_owned()).into());
                };
                self.switch_away(Some(at)).await?;
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                wire::put_execute(&mut participant.backend.link.out_buffer, &name, row_limit);
                participant.sync = Sync::Owed;
                participant.worked = Worked::Yes;
                if changes_schema && !self.transparent {
                    // What comes behind it in the batch is planned before its answer is read.
                    self.schema = Schema::Due;
                }
                self.queue.push_back(Owed::Backend {
                    kind: Kind::Execute(tracked),
                    shown: Shown::Yes,
                    undo: Undo::Nothing,
                });
                Ok(())
            }
            Place::Fan { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                let formats = portal.result_formats.clone();
                let statement = Arc::clone(&portal.statement);
                self.heed(statement.text())?;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                if row_limit == 0 {
                    if let Some(portal) = self.portals.get_mut(&name) {
                        portal.place = Place::Finished;
                    }
                    let describe = crate::execute::Describe::No;
                    return Box::pin(self.run_fan(&plan, &parameters, &formats, describe)).await;
                }
                Box::pin(self.begin_limited_fan(&name, &plan, &parameters, &formats, row_limit)).await
            }
            Place::Explain { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.explain_fan(&plan, &parameters, Via::Extended)).await
            }
            Place::Writes { plan, parameters } => {
                let (plan, parameters) = (Arc::clone(plan), parameters.clone());
                let formats = portal.result_formats.clone();
                if row_limit > 0 {
                    return Err(Failure::NotInThisVersion {
                        construct: "a row limit in Execute of a write",
                    }
                    .into());
                }
                let statement = Arc::clone(&portal.statement);
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                let describe = crate::execute::Describe::No;
                Box::pin(self.run_on_all(&plan, statement.command(), &parameters, &formats, describe)).await
            }
            Place::CopyIn(plan) => {
                let (plan, statement) = (Arc::clone(plan), Arc::clone(&portal.statement));
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.begin_copy_in(&plan, statement.planned_text(), Via::Extended)).await
            }
            Place::CopyOut(plan) => {
                let (plan, statement) = (Arc::clone(plan), Arc::clone(&portal.statement));
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                Box::pin(self.run_copy_out(&plan, statement.planned_text())).await
            }
            Place::Suspended(_) => Box::pin(self.continue_limited_fan(&name, row_limit)).await,
            Place::Control(parameters) => {
                let parameters = parameters.clone();
                let statement = Arc::clone(&portal.statement);
                portal.place = Place::Finished;
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                let snapshot = self.snapshot();
                Box::pin(self.control_by_execute(&snapshot, &statement, &parameters)).await
            }
            Place::Finished => {
                self.local(|out| wire::put_command_complete(out, b"SELECT 0"), Undo::Nothing);
                Ok(())
            }
        }
    }

    async fn execute_unknown(&mut self, name: &[u8], row_limit: i32) -> Result<(), Stop> {
        self.ask_home(Kind::Execute(None), |out| wire::put_execute(out, name, row_limit))
            .await
    }

    /// Passes a message on to the one backend that the session holds.
    async fn ask_home(&mut self, kind: Kind, put: impl FnOnce(&mut bytes::BytesMut)) -> Result<(), Stop> {
        self.place_deferred().await?;
        let home = self.snapshot().topology().home();
        let Some(at) = self.participants.find(home) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        self.switch_away(Some(at)).await?;
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        put(&mut participant.backend.link.out_buffer);
        participant.sync = Sync::Owed;
        self.queue.push_back(Owed::Backend {
            kind,
            shown: Shown::Yes,
            undo: Undo::Nothing,
        });
        Ok(())
    }

    async fn control_by_execute(
        &mut self,
        snapshot: &Arc<Snapshot>,
        statement: &Arc<Statement>,
        bound: &Bound,
    ) -> Result<(), Stop> {
        if !bound.values.is_empty() {
            return Err(Failure::ParameterCount {
                name: String::new(),
                given: bound.values.len(),
                wanted: 0,
            }
            .into());
        }
        let sets = match statement.command() {
            Command::Set(set) => {
                if set.scope == sql::Scope::Local && !self.block.is_explicit() {
                    // It holds to the end of the batch all the same.
                    self.warn_set_local();
                }
                true
            }
            Command::Reset(_) | Command::SetCharacteristics(_) => true,
            _ => false,
        };
        if sets && self.block.state() == crate::transaction::State::Idle {
            // It belongs to the batch's transaction: an error behind it takes it back.
            let saved = self.saved();
            self.block.enter_implicit(&saved, self.effective.default_isolation);
            self.wrapping = Wrapping::Yes;
        }
        self.command(snapshot, statement.text(), statement.command().clone(), Via::Extended)
            .await
    }

    async fn on_close(&mut self, close: Close<'_>) -> Result<(), Stop> {
        self.place_deferred().await?;
        match close.target {
            Target::Statement => {
                let undo = if close.name.is_empty() {
                    Undo::Statement(Vec::new(), self.unnamed.take().map(|n| n.statement))
                } else {
                    Undo::Statement(
                        close.name.to_vec(),
                        self.statements.remove(close.name).map(|n| n.statement),
                    )
                };
                // Backends keep it: other sessions may know it, and unused ones are closed in their turn.
                self.local(wire::put_close_complete, undo);
                Ok(())
            }
            Target::Portal => {
                let before = self.portals.remove(close.name);
                let home = self.snapshot().topology().home();
                let shard = match &before {
                    Some(Portal {
                        place: Place::Backend { shard, .. },
                        ..
                    }) => Some(*shard),
                    Some(_) | None => None,
                };
                let undo = Undo::Portal(close.name.to_vec(), before.map(Box::new));
                // A cursor of SQL is a portal too, and may live on any held backend.
                let at = shard.and_then(|s| self.participants.find(s)).or(if self.transparent {
                    self.participants.find(home)
                } else {
                    None
                });
                match at {
                    Some(at) => {
                        self.switch_away(Some(at)).await?;
                        let Some(participant) = self.participants.get_mut(at) else {
                            return Err(Failure::Bug("a lane is missing").into());
                        };
                        wire::put_close(&mut participant.backend.link.out_buffer, Target::Portal, close.name);
                        participant.sync = Sync::Owed;
                        self.queue.push_back(Owed::Backend {
                            kind: Kind::Close,
                            shown: Shown::Yes,
                            undo,
                        });
                    }
                    None => self.local(wire::put_close_complete, undo),
                }
                Ok(())
            }
        }
    }

    /// A message of the fast-path function call.
    async fn on_function_call(&mut self, whole: &[u8]) -> Result<(), Stop> {
        if !self.transparent {
            return Err(Failure::NoFunctionCall.into());
        }
        self.place_deferred().await?;
        self.flush_and_settle().await?;
        let shard = self.snapshot().topology().home();
        let at = self.lane(shard, Access::Write).await?;
        self.may_pin(at, &SessionEffect::Opaque)?;
        self.pin_opaque(Some(at));
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        participant.backend.link.queue(whole);
        participant.worked = Worked::Yes;
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::Query(Vec::new()),
            shown: Shown::Yes,
            undo: Undo::Nothing,
        });
        self.settle().await
    }

    /// An answer of ours, in its turn.
    fn local(&mut self, put: impl FnOnce(&mut bytes::BytesMut), undo: Undo) {
        let mut bytes = bytes::BytesMut::new();
        put(&mut bytes);
        if self.queue.is_empty() {
            self.client.out_buffer.extend_from_slice(&bytes);
        } else {
            self.queue.push_back(Owed::Local {
                bytes: bytes.to_vec(),
                undo,
            });
        }
    }
}

/// Those settings by which a statement's literals are read.
pub(super) fn read_by(settings: &SessionSettings) -> SessionSettings {
    const READ_BY: [&str; 9] = [
        "datestyle",
        "intervalstyle",
        "timezone",
        "timezone_abbreviations",
        "standard_conforming_strings",
        "backslash_quote",
        "transform_null_equals",
        "xmloption",
        "lc_monetary",
    ];
    let read = settings.effective().filter(|(name, _)| READ_BY.contains(name));
    let read = read.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    // Values that were valid are valid.
    SessionSettings::from_startup(&read).unwrap_or_default()
}

fn has_statement(participants: &mut crate::transaction::Participants, at: usize, statement: &Statement) -> bool {
    let Some(participant) = participants.get_mut(at) else {
        return false;
    };
    if statement.is_unnamed() {
        participant.unnamed() == statement.id()
    } else {
        participant.backend.prepared.contains(statement.id())
    }
}

impl Bound {
    /// Copies what a Bind carries.
    pub(super) fn of(bind: &Bind<'_>) -> Bound {
        Bound {
            formats: bind.formats.iter().map(value_format).collect(),
            values: bind.values.map(|v| v.map(<[u8]>::to_vec)).collect(),
        }
    }
}

/// Whether a statement is carried out by the session itself when there are several shards.
pub(super) fn is_local(command: &Command) -> bool {
    match command {
        Command::Empty
        | Command::Begin(_)
        | Command::Commit(_)
        | Command::Rollback(_)
        | Command::Savepoint(_)
        | Command::PrepareTransaction(_)
        | Command::CommitPrepared(_)
        | Command::RollbackPrepared(_)
        | Command::Set(_)
        | Command::SetTransaction(_)
        | Command::SetCharacteristics(_)
        | Command::SetConstraints
        | Command::Reset(_)
        | Command::Discard(_)
        | Command::Prepare(_)
        | Command::Deallocate(_) => true,
        Command::SetConfig(_)
        | Command::Show(_)
        | Command::Execute(_)
        | Command::Declare(_)
        | Command::Fetch(_)
        | Command::Close(_)
        | Command::Listen(_)
        | Command::Unlisten(_)
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
        | Command::Unknown(_) => false,
    }
}

/// The planner's format of a wire format; an unknown code is the server's to refuse.
pub(super) fn value_format(format: wire::Format) -> value::Format {
    match format {
        wire::Format::Binary => value::Format::Binary,
        wire::Format::Text | wire::Format::Other(_) => value::Format::Text,
    }
}

fn wire_format(format: value::Format) -> wire::Format {
    match format {
        value::Format::Binary => wire::Format::Binary,
        value::Format::Text => wire::Format::Text,
    }
}

fn column_format(formats: &[value::Format], column: usize) -> value::Format {
    match formats {
        [] => value::Format::Text,
        [one] => *one,
        each => each.get(column).copied().unwrap_or(value::Format::Text),
    }
}

/// A parameter's text; a binary boolean is one byte.
fn boolean_text(bytes: &[u8]) -> String {
    match bytes {
        [0] => "false".to_owned(),
        [1] => "true".to_owned(),
        other => String::from_utf8_lossy(other).into_owned(),
    }
}
