//! What backends have prepared: a backend that lacks a statement gets it before its Bind, under the settings at Parse,
//! described and compared (`sessions.md` 13, 14).

use std::sync::Arc;

use crate::plan::SessionEffect;
use crate::session::error::{Failure, Stop};
use crate::session::prepared::{Origin, Statement};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::{Named, Session};
use crate::sql::{self, Edits, Lexing};
use crate::transaction::Sync;
use crate::wire::{self, Target};

/// The statement that brings settings back behind a Parse of the unnamed one.
const SETTER: &[u8] = b"sg_setter";

impl Session {
    /// Queues Parse and a Describe of our own for a named statement.
    pub(super) fn put_named_parse(&mut self, at: usize, statement: &Arc<Statement>, shown: Shown, undo: Undo) {
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
                let (before, behind) = self.scripts_around(at, statement).await?;
                self.put_settings(at, &before);
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
                self.put_settings_by(SETTER, at, &behind);
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
                let (before, behind) = self.scripts_around(at, statement).await?;
                self.put_settings(at, &before);
                self.put_named_parse(at, statement, Shown::No, Undo::Prepared(at, statement.id()));
                self.put_settings(at, &behind);
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
                let (before, behind) = self.scripts_around(at, statement).await?;
                let mut edits = Edits::new();
                edits.replace(sql::Span::new(start, end), statement.backend_name().as_bytes().to_vec());
                let Some((text, _)) = edits.apply(statement.text()) else {
                    return Err(Failure::Bug("a PREPARE can't be edited").into());
                };
                let Some(participant) = self.participants.get_mut(at) else {
                    return Err(Failure::Bug("a lane is missing").into());
                };
                let evicted = participant.backend.prepared.insert(statement.id());
                self.put_settings(at, &before);
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
                self.put_settings(at, &behind);
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
}

/// Whether a backend has it.
pub(super) fn has_statement(
    participants: &mut crate::transaction::Participants,
    at: usize,
    statement: &Statement,
) -> bool {
    let Some(participant) = participants.get_mut(at) else {
        return false;
    };
    if statement.is_unnamed() {
        participant.unnamed() == statement.id()
    } else {
        participant.backend.prepared.contains(statement.id())
    }
}
