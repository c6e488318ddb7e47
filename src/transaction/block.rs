//! The client's block: Postgres's block states as a pure machine.
//!
//! Source: `xact.c` (TBLOCK_DEFAULT, TBLOCK_IMPLICIT_INPROGRESS, TBLOCK_INPROGRESS, TBLOCK_ABORT), checked on 15.18 by
//! `tests/sessions.rs`.
//! Holds: the snapshot handed in at the start comes back, unchanged, at rollback; a savepoint gives back its own.

use crate::wire::TransactionStatus;

/// Where the client's block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// no block
    Idle,
    /// inside one Query message of several statements, or one batch up to Sync
    Implicit,
    /// after BEGIN
    Explicit,
    /// an explicit block after an error
    Failed,
}

/// Isolation levels that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// READ COMMITTED, or READ UNCOMMITTED which Postgres treats alike
    ReadCommitted,
    /// REPEATABLE READ
    RepeatableRead,
    /// SERIALIZABLE
    Serializable,
}

/// What a BEGIN said, as text for `SET TRANSACTION`; empty when it said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Characteristics {
    /// `ISOLATION LEVEL SERIALIZABLE, READ ONLY`, ready to follow SET TRANSACTION
    pub text: String,
    /// its isolation level, where it names one
    pub isolation: Option<Isolation>,
}

/// One statement of a block that a late participant must repeat, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// SET, SET LOCAL, SET CONSTRAINTS, SET TRANSACTION or SAVEPOINT, as the client wrote it
    pub text: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Savepoint<S> {
    name: String,
    log_len: usize,
    snapshot: S,
    isolation: Isolation,
}

/// What BEGIN did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// a block began (an implicit one is absorbed)
    Began,
    /// there was one: Postgres warns with 25001
    AlreadyInProgress,
}

/// What COMMIT or ROLLBACK came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// commit the participants; tag COMMIT
    Commit,
    /// roll the participants back; tag ROLLBACK
    Rollback,
    /// no explicit block: Postgres warns with 25P01; an implicit one ends all the same
    NoBlock,
}

/// A transaction command that Postgres refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// 25P01
    #[error("{0} can only be used in transaction blocks")]
    NoBlock(&'static str),
    /// 3B001
    #[error("savepoint \"{0}\" does not exist")]
    NoSavepoint(String),
    /// 25001
    #[error("{0} cannot run inside a transaction block")]
    InsideBlock(&'static str),
    /// 25P02
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    Aborted,
}

/// The client's block. `S` is what a rollback restores (the session's settings).
#[derive(Debug)]
pub struct Block<S> {
    state: State,
    characteristics: Characteristics,
    isolation: Isolation,
    log: Vec<LogEntry>,
    savepoints: Vec<Savepoint<S>>,
    at_begin: Option<S>,
    parts: Parts,
}

/// Are all participants there that the block has had?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parts {
    All,
    /// what one of them did is undone, whatever becomes of the others
    Lost,
}

impl<S: Clone> Default for Block<S> {
    fn default() -> Self {
        Block {
            state: State::Idle,
            characteristics: Characteristics::default(),
            isolation: Isolation::ReadCommitted,
            log: Vec::new(),
            savepoints: Vec::new(),
            at_begin: None,
            parts: Parts::All,
        }
    }
}

impl<S: Clone> Block<S> {
    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// What ReadyForQuery tells.
    pub fn status(&self) -> TransactionStatus {
        match self.state {
            State::Idle | State::Implicit => TransactionStatus::Idle,
            State::Explicit => TransactionStatus::InTransaction,
            State::Failed => TransactionStatus::Failed,
        }
    }

    /// Whether shards that join must be sent BEGIN.
    pub fn is_explicit(&self) -> bool {
        matches!(self.state, State::Explicit | State::Failed)
    }

    /// The isolation level that a participant will have.
    pub fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// What the client's BEGIN said.
    pub fn characteristics(&self) -> &Characteristics {
        &self.characteristics
    }

    /// What a late participant repeats, in order.
    pub fn log(&self) -> &[LogEntry] {
        &self.log
    }

    /// The snapshot under which the block began: a late participant starts from it, then repeats the log.
    pub fn at_begin(&self) -> Option<&S> {
        self.at_begin.as_ref()
    }

    /// What a failed block has gone back to: the snapshot of its last savepoint, or else of its beginning.
    pub fn behind_failure(&self) -> Option<&S> {
        let last = self.savepoints.last().map(|savepoint| &savepoint.snapshot);
        last.or(self.at_begin.as_ref())
    }

    /// A statement of an implicit block begins (or the first of a batch).
    pub fn enter_implicit(&mut self, current: &S, default: Isolation) {
        if self.state == State::Idle {
            self.state = State::Implicit;
            self.isolation = default;
            self.at_begin = Some(current.clone());
        }
    }

    /// BEGIN or START TRANSACTION. `default` is `default_transaction_isolation` now.
    pub fn begin(&mut self, characteristics: Characteristics, current: &S, default: Isolation) -> Begin {
        match self.state {
            State::Explicit | State::Failed => Begin::AlreadyInProgress,
            State::Idle | State::Implicit => {
                if self.state == State::Idle {
                    self.at_begin = Some(current.clone());
                }
                self.state = State::Explicit;
                self.isolation = characteristics.isolation.unwrap_or(default);
                self.characteristics = characteristics;
                Begin::Began
            }
        }
    }

    /// SET TRANSACTION inside the block changed the isolation level.
    pub fn set_isolation(&mut self, isolation: Isolation) {
        self.isolation = isolation;
    }

    /// Adds a statement that late participants repeat; outside a block there is nothing to repeat.
    pub fn record(&mut self, text: &[u8]) {
        if self.state != State::Idle {
            self.log.push(LogEntry { text: text.to_vec() });
        }
    }

    /// What COMMIT (or END) will come to; nothing changes until [`Block::finish`].
    pub fn commit(&self) -> End {
        match self.state {
            State::Explicit => End::Commit,
            State::Failed => End::Rollback,
            State::Idle | State::Implicit => End::NoBlock,
        }
    }

    /// What ROLLBACK (or ABORT) will come to.
    pub fn rollback(&self) -> End {
        match self.state {
            State::Explicit | State::Failed => End::Rollback,
            State::Idle | State::Implicit => End::NoBlock,
        }
    }

    /// The block is over. Returns the snapshot of its beginning, to restore after a rollback.
    pub fn finish(&mut self) -> Option<S> {
        self.state = State::Idle;
        self.characteristics = Characteristics::default();
        self.isolation = Isolation::ReadCommitted;
        self.log.clear();
        self.savepoints.clear();
        self.parts = Parts::All;
        self.at_begin.take()
    }

    /// A participant is gone, and with it what was done there: nothing of the block can be kept, and no savepoint brings
    /// it back.
    pub fn lose_part(&mut self) {
        if self.is_explicit() {
            self.fail();
            self.savepoints.clear();
            self.parts = Parts::Lost;
        }
    }

    /// Whether it has lost a participant: it can only be rolled back.
    pub fn has_lost_part(&self) -> bool {
        self.parts == Parts::Lost
    }

    /// An error: an explicit block waits for its end, an implicit one is over (its caller rolls back and skips).
    pub fn fail(&mut self) {
        match self.state {
            State::Explicit => self.state = State::Failed,
            State::Idle | State::Implicit | State::Failed => {}
        }
    }

    /// SAVEPOINT, once the participants have taken it.
    pub fn savepoint(&mut self, name: String, text: &[u8], current: &S) -> Result<(), BlockError> {
        self.may_savepoint("SAVEPOINT")?;
        self.log.push(LogEntry { text: text.to_vec() });
        self.savepoints.push(Savepoint {
            name,
            log_len: self.log.len(),
            snapshot: current.clone(),
            isolation: self.isolation,
        });
        Ok(())
    }

    /// Whether SAVEPOINT or RELEASE may run at all.
    pub fn may_savepoint(&self, construct: &'static str) -> Result<(), BlockError> {
        match self.state {
            State::Explicit => Ok(()),
            State::Failed => Err(BlockError::Aborted),
            State::Idle | State::Implicit => Err(BlockError::NoBlock(construct)),
        }
    }

    /// Whether a savepoint of that name is open; ROLLBACK TO works in a failed block too.
    pub fn find_savepoint(&self, construct: &'static str, name: &str) -> Result<usize, BlockError> {
        match self.state {
            State::Idle | State::Implicit => Err(BlockError::NoBlock(construct)),
            State::Explicit | State::Failed => self
                .savepoints
                .iter()
                .rposition(|s| s.name == name)
                .ok_or_else(|| BlockError::NoSavepoint(name.to_owned())),
        }
    }

    /// How many savepoints there are.
    pub fn savepoints(&self) -> usize {
        self.savepoints.len()
    }

    /// RELEASE SAVEPOINT.
    pub fn release(&mut self, name: &str, text: &[u8]) -> Result<(), BlockError> {
        self.may_savepoint("RELEASE SAVEPOINT")?;
        let at = self.find_savepoint("RELEASE SAVEPOINT", name)?;
        self.savepoints.truncate(at);
        self.log.push(LogEntry { text: text.to_vec() });
        Ok(())
    }

    /// ROLLBACK TO SAVEPOINT: the block lives again. Returns the snapshot of the savepoint.
    pub fn rollback_to(&mut self, name: &str) -> Result<S, BlockError> {
        let at = self.find_savepoint("ROLLBACK TO SAVEPOINT", name)?;
        let Some(savepoint) = self.savepoints.get(at).cloned() else {
            return Err(BlockError::NoSavepoint(name.to_owned()));
        };
        self.savepoints.truncate(at.saturating_add(1));
        self.log.truncate(savepoint.log_len);
        self.isolation = savepoint.isolation;
        self.state = State::Explicit;
        Ok(savepoint.snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explicit() -> Block<u8> {
        let mut block = Block::default();
        assert_eq!(
            block.begin(Characteristics::default(), &1, Isolation::ReadCommitted),
            Begin::Began
        );
        block
    }

    #[test]
    fn begin_absorbs_an_implicit_block_and_keeps_its_snapshot() {
        let mut block = Block::default();
        block.enter_implicit(&1, Isolation::ReadCommitted);
        assert_eq!(
            block.begin(Characteristics::default(), &2, Isolation::Serializable),
            Begin::Began
        );
        assert_eq!(block.status(), TransactionStatus::InTransaction);
        assert_eq!(block.isolation(), Isolation::Serializable);
        assert_eq!(block.finish(), Some(1));
        assert_eq!(block.status(), TransactionStatus::Idle);
    }

    #[test]
    fn a_failed_block_commits_as_rollback() {
        let mut block = explicit();
        block.fail();
        assert_eq!(
            (block.status(), block.commit(), block.rollback()),
            (TransactionStatus::Failed, End::Rollback, End::Rollback)
        );
    }

    #[test]
    fn no_savepoint_revives_a_block_that_has_lost_a_part() {
        let mut block = explicit();
        block.savepoint("a".to_owned(), b"SAVEPOINT a", &2).unwrap();
        block.lose_part();
        assert_eq!((block.state(), block.has_lost_part()), (State::Failed, true));
        assert_eq!(
            block.rollback_to("a"),
            Err(BlockError::NoSavepoint("a".to_owned())),
            "it went with the rest"
        );
        assert_eq!((block.commit(), block.behind_failure()), (End::Rollback, Some(&1)));
        assert_eq!((block.finish(), block.has_lost_part()), (Some(1), false));
        block.lose_part();
        assert!(!block.has_lost_part(), "there was no block");
    }

    #[test]
    fn rollback_to_revives_and_truncates_the_log() {
        let mut block = explicit();
        block.savepoint("a".into(), b"SAVEPOINT a", &2).unwrap();
        block.record(b"SET LOCAL x = 1");
        block.savepoint("b".into(), b"SAVEPOINT b", &3).unwrap();
        block.fail();
        assert_eq!(block.may_savepoint("SAVEPOINT"), Err(BlockError::Aborted));
        assert_eq!(block.rollback_to("a"), Ok(2));
        assert_eq!(block.status(), TransactionStatus::InTransaction);
        assert_eq!(
            block.log(),
            [LogEntry {
                text: b"SAVEPOINT a".to_vec()
            }]
        );
        assert_eq!(block.rollback_to("b"), Err(BlockError::NoSavepoint("b".into())));
        assert_eq!(block.rollback_to("a"), Ok(2));
    }

    #[test]
    fn the_nearest_savepoint_of_a_name_counts() {
        let mut block = explicit();
        block.savepoint("a".into(), b"SAVEPOINT a", &2).unwrap();
        block.savepoint("a".into(), b"SAVEPOINT a", &3).unwrap();
        assert_eq!(block.rollback_to("a"), Ok(3));
        block.release("a", b"RELEASE a").unwrap();
        assert_eq!(block.rollback_to("a"), Ok(2));
    }

    #[test]
    fn savepoints_need_an_explicit_block() {
        let mut block = Block::<u8>::default();
        block.enter_implicit(&1, Isolation::ReadCommitted);
        assert_eq!(
            block.savepoint("a".into(), b"", &1),
            Err(BlockError::NoBlock("SAVEPOINT"))
        );
        assert_eq!(
            block.rollback_to("a"),
            Err(BlockError::NoBlock("ROLLBACK TO SAVEPOINT"))
        );
        assert_eq!(block.commit(), End::NoBlock);
    }
}
