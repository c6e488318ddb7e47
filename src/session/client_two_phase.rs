//! PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED of a client's own, on several shards (sessions.md 6).
//!
//! Sketch: a transaction that lives on one shard is prepared there, under the client's identifier; who comes to end it is
//! sent to the shard that has it.
//! Holds: an identifier is in use on one shard at most, as far as can be seen: all are asked before it is given, so one
//! that can't be reached holds this up. Two clients that prepare under one identifier at the same moment, on different
//! shards, are found out when it is ended, and nothing is ended then.

use crate::plan::Access;
use crate::session::error::{Failure, Stop};
use crate::session::state::Session;
use crate::session::track::Outcome;
use crate::sql::{Chain, Command, quote_literal};
use crate::topology::{ShardId, ShardSet};
use crate::transaction::{Begun, BlockError, State};
use crate::wire::{ErrorFields, Severity, SqlState};

impl Session {
    /// PREPARE TRANSACTION: the block's sole shard keeps what was done.
    pub(super) async fn prepare_transaction(&mut self, gid: &str, text: &[u8]) -> Result<(), Stop> {
        may_be_named(gid)?;
        self.adopt_batch().await?;
        match self.block.state() {
            State::Explicit => {}
            State::Failed => return Box::pin(self.rollback(Chain::No)).await,
            State::Idle => {
                self.warn_no_transaction();
                self.complete(b"ROLLBACK");
                return Ok(());
            }
            State::Implicit => {
                return Err(Failure::NotInThisVersion {
                    construct: "PREPARE TRANSACTION in a batch without BEGIN",
                }
                .into());
            }
        }
        let inside: Vec<usize> = (0..self.participants.len())
            .filter(|at| self.participants.get(*at).is_some_and(|p| p.begun == Begun::Block))
            .collect();
        let home = self.snapshot().topology().home();
        let shard = match inside.as_slice() {
            [] => home,
            [at] => self.participants.get(*at).map_or(home, |p| p.shard),
            _ => {
                return Err(Failure::NotInThisVersion {
                    construct: "PREPARE TRANSACTION of a transaction on more than one shard",
                }
                .into());
            }
        };
        if !self.holders(gid).await?.is_empty() {
            let said = format!("transaction identifier \"{gid}\" is already in use");
            let fields = ErrorFields::new(Severity::Error, SqlState::DUPLICATE_OBJECT, &said);
            return self.not_prepared(Failure::Shard(Box::new(fields)).into()).await;
        }
        let at = self.lane(shard, Access::Write).await?;
        match self.run_inside(at, text).await {
            Ok(_) => {
                if let Some(participant) = self.participants.get_mut(at) {
                    participant.begun = Begun::Autocommit;
                    participant.access = Access::Read;
                }
                self.note_end(Chain::No, b"COMMIT");
                self.complete(b"PREPARE TRANSACTION");
                Ok(())
            }
            Err(stop) => self.not_prepared(stop).await,
        }
    }

    /// As in Postgres the transaction is over then, and nothing of it stays.
    async fn not_prepared(&mut self, stop: Stop) -> Result<(), Stop> {
        let ended = self.end_participants(crate::transaction::EndHow::Rollback).await;
        self.finish_block(Outcome::RolledBack);
        ended.and(Err(stop))
    }

    /// COMMIT PREPARED or ROLLBACK PREPARED, on the shard that has it.
    pub(super) async fn end_prepared(&mut self, command: &Command, gid: &str, text: &[u8]) -> Result<(), Stop> {
        let name = match command {
            Command::CommitPrepared(_) => "COMMIT PREPARED",
            _ => "ROLLBACK PREPARED",
        };
        may_be_named(gid)?;
        if self.block.state() != State::Idle || self.has_worked_in_batch() {
            return Err(Failure::Block(BlockError::InsideBlock(name)).into());
        }
        let home = self.snapshot().topology().home();
        let shard = match self.holders(gid).await?.as_slice() {
            [] => home, // it says so in Postgres's words
            [shard] => *shard,
            _ => {
                return Err(Failure::NotInThisVersion {
                    construct: "the end of a prepared transaction whose identifier is in use on more than one shard",
                }
                .into());
            }
        };
        let at = self.aside(shard).await?;
        self.run_inside(at, text).await?;
        self.complete(name.as_bytes());
        Ok(())
    }

    /// The shards that have a prepared transaction of this identifier.
    async fn holders(&mut self, gid: &str) -> Result<Vec<ShardId>, Stop> {
        let question = format!(
            "SELECT 1 FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database() AND gid = {}",
            quote_literal(gid)
        );
        let snapshot = self.snapshot();
        let mut holders = Vec::new();
        for shard in ShardSet::all(snapshot.topology().shards().len()).iter() {
            let at = self.aside(shard).await?;
            if !self.run_inside(at, question.as_bytes()).await?.is_empty() {
                holders.push(shard);
            }
        }
        Ok(holders)
    }
}

/// Identifiers of the proxy's own commits are not for clients.
fn may_be_named(gid: &str) -> Result<(), Stop> {
    match crate::plan::reserved_gid(gid) {
        Some(refusal) => Err(Failure::Refused(refusal).into()),
        None => Ok(()),
    }
}
