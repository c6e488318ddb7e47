//! The extended protocol: which message is whose, and what an error does to a batch.
//!
//! Holds: answers in stream order; no Sync that the client did not send while its batch has work on a backend
//! (`sessions.md` 2, 3).

use crate::plan::{Access, SessionEffect};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::state::{Session, Skipping};
use crate::sql::Command;
use crate::transaction::{Begun, Participant, Sync, Worked};
use crate::wire::{self, Bind, Close, Describe, Execute, Parse};

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
    pub(super) fn local(&mut self, put: impl FnOnce(&mut bytes::BytesMut), undo: Undo) {
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
        | Command::Unlisten(_)
        | Command::Prepare(_)
        | Command::Deallocate(_)
        | Command::Fetch(_)
        | Command::Close(_) => true,
        Command::SetConfig(_)
        | Command::Show(_)
        | Command::Execute(_)
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
        | Command::Unknown(_) => false,
    }
}
