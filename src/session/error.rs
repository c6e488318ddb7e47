//! What can stop a statement, and what can end a session.
//!
//! Why two types: a failure is answered and the session goes on; whoever is gone is answered no more.

use crate::plan::Refusal;
use crate::topology::ShardId;
use crate::transaction::BlockError;
use crate::wire::{ErrorFields, FrameError};

/// A statement failed; `answer` says what the client sees.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// exact execution can't be proven, or isn't in this version
    #[error("refused: {}", .0.id)]
    Refused(Box<Refusal>),
    /// a shard's own error, passed whole
    #[error("a shard's error")]
    Shard(Box<ErrorFields>),
    /// the shard's connection ended while it worked for us
    #[error("shard {name} ended the connection")]
    Lost {
        /// which
        shard: ShardId,
        /// its name
        name: String,
        /// what it said last, if anything
        said: Option<Box<ErrorFields>>,
    },
    /// no backend could be had
    #[error(transparent)]
    Backend(#[from] crate::backend::Error),
    /// a transaction command that Postgres refuses
    #[error(transparent)]
    Block(#[from] BlockError),
    /// merging the shards' rows
    #[error(transparent)]
    Merge(#[from] crate::merge::MergeError),
    /// asking for topology or categories
    #[error(transparent)]
    Discovery(#[from] crate::discovery::Error),
    /// a text that Postgres's lexer refuses too
    #[error(transparent)]
    Scan(#[from] crate::sql::ScanError),
    /// a setting of ours with a bad value
    #[error(transparent)]
    Setting(#[from] crate::sql::SettingError),
    /// 26000
    #[error("{}", no_statement(.0))]
    NoStatement(String),
    /// 08P01: a message of the extended protocol that can't be read; the stream is in step all the same
    #[error("{0}")]
    Malformed(FrameError),
    /// 42P05
    #[error("prepared statement \"{0}\" already exists")]
    StatementExists(String),
    /// 34000
    #[error("portal \"{0}\" does not exist")]
    NoPortal(String),
    /// 55000: an error has ended it
    #[error("portal \"{0}\" cannot be run")]
    PortalFailed(String),
    /// 42P03
    #[error("cursor \"{0}\" already exists")]
    PortalExists(String),
    /// 08P01: parameters in Bind
    #[error("bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}")]
    ParameterCount {
        /// as named by the client
        name: String,
        /// in Bind
        given: usize,
        /// of the statement
        wanted: usize,
    },
    /// 08P01: formats in Bind that are neither one nor as many as there are columns
    #[error("bind message has {given} result formats but query has {columns} columns")]
    ResultFormats {
        /// in Bind
        given: usize,
        /// of the result
        columns: usize,
    },
    /// 57014 by a cancel request
    #[error("canceling statement due to user request")]
    Cancelled,
    /// 57014 by limits.statement_timeout
    #[error("canceling statement due to statement timeout")]
    StatementTimeout,
    /// 0A000 as Postgres's plan cache says it
    #[error("cached plan must not change result type")]
    ResultTypeChanged,
    /// 0A000: a shard that would have to prepare can't
    #[error("a transaction writes to two shards, and one can't prepare")]
    NoPreparedTransactions {
        /// the one that has written
        first: String,
        /// the one that would
        second: String,
        /// the one that can't
        lacking: String,
    },
    /// XX001: shards that must do the same have not
    #[error("shards did not do the same")]
    ShardsDiffer {
        /// the one that was first
        first: String,
        /// the one that differs
        other: String,
    },
    /// 57P01: a shard has come that a session which listens doesn't listen on
    #[error("terminating connection: it does not listen on shard {0}, which is new")]
    ShardUnheard(String),
    /// 0A000: snapshots of two shards
    #[error("a snapshot would span two shards")]
    IsolationAcrossShards {
        /// the level
        isolation: crate::transaction::Isolation,
        /// one shard
        first: String,
        /// the other
        second: String,
    },
    /// 0A000: DDL made of a table what the proxy wouldn't start with
    #[error("a table that can't be placed: {}", .0.message)]
    Unplaceable(Box<crate::discovery::Finding>),
    /// 0A000: a server would read a prepared statement's constants otherwise than when it was prepared
    #[error("constants of a prepared statement were read under other settings")]
    ConstantsReadOtherwise,
    /// 55000: `currval` of this sequence, or `lastval`, before the session was given a value
    #[error("{}", no_current_value(.0))]
    NoCurrentValue(crate::plan::Recall),
    /// 0A000: `currval` of this sequence, or `lastval`, and the proxy hasn't seen the value
    #[error("{}", value_unseen(.0))]
    ValueUnseen(crate::plan::Recall),
    /// 0A000: a message of the fast path
    #[error("function-call message")]
    NoFunctionCall,
    /// 0A000: a command that the session would have to carry out itself
    #[error("{construct} is not supported over several shards")]
    NotInThisVersion {
        /// what
        construct: &'static str,
    },
    /// a row of a COPY can't be taken
    #[error("{failure}, {context}")]
    CopyRow {
        /// why
        failure: Box<Failure>,
        /// the client's line, as Postgres says it
        context: String,
    },
    /// 0A000: the key of a COPY's row
    #[error("key \"{column}\" of a row for table \"{table}\" can't be read: {why}")]
    CopyKeyUnread {
        /// table
        table: String,
        /// its key column
        column: String,
        /// what isn't known
        why: &'static str,
    },
    /// 54000: a row of a COPY beyond 1 GB
    #[error("a row of COPY is longer than 1 GB")]
    CopyRowTooLong,
    /// 40P01: waiting for a pool while holding another shard's backend
    #[error("no connection to shard {shard} became free")]
    PoolDeadlock {
        /// which
        shard: String,
        /// how long
        waited: std::time::Duration,
        /// its pool
        size: usize,
    },
    /// 40P01: the youngest of a circle over several shards
    #[error("deadlock detected")]
    Deadlock,
    /// 40001: the shards' snapshots could not be made to agree
    #[error("the shards' snapshots could not be made to agree")]
    NoSnapshot,
    /// a block could not be committed
    #[error(transparent)]
    End(crate::transaction::EndError),
    /// COMMIT answered with the tag ROLLBACK
    #[error("the transaction was rolled back")]
    CommitRolledBack,
    /// 34000
    #[error("cursor \"{0}\" does not exist")]
    NoCursor(String),
    /// 42601: EXECUTE
    #[error("wrong number of parameters for prepared statement")]
    ArgumentCount {
        /// in EXECUTE
        given: usize,
        /// of the statement
        wanted: usize,
    },
    /// the client has had its error already
    #[error("already answered")]
    AlreadyAnswered,
    /// the admin database
    #[error(transparent)]
    Admin(#[from] crate::admin::AdminError),
    /// what cannot happen
    #[error("internal error: {0}")]
    Bug(&'static str),
}

/// Postgres's words (`sequence.c` of 15).
fn no_current_value(recall: &crate::plan::Recall) -> String {
    match recall {
        crate::plan::Recall::Current(sequence) => {
            format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name
            )
        }
        crate::plan::Recall::Last => "lastval is not yet defined in this session".to_owned(),
    }
}

fn value_unseen(recall: &crate::plan::Recall) -> String {
    match recall {
        crate::plan::Recall::Current(sequence) => {
            format!("the session's value of sequence \"{}\" is not known", sequence.name)
        }
        crate::plan::Recall::Last => "the session's last value of a sequence is not known".to_owned(),
    }
}

impl Failure {
    /// There is no portal of this name.
    pub(super) fn no_portal(name: &[u8]) -> Failure {
        Failure::NoPortal(String::from_utf8_lossy(name).into_owned())
    }
}

/// Postgres's words for a statement that isn't there.
fn no_statement(name: &str) -> String {
    match name {
        "" => "unnamed prepared statement does not exist".to_owned(),
        name => format!("prepared statement \"{name}\" does not exist"),
    }
}

/// The session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Gone {
    /// Terminate, or EOF after everything was answered
    #[error("the client closed the connection")]
    Closed,
    /// reset, or a write failed
    #[error("the client vanished: {0}")]
    Vanished(std::io::Error),
    /// the client broke the protocol beyond repair: answered with FATAL
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// something else that ends it, with what the client is told
    #[error("{}", .0.message())]
    Fatal(Box<ErrorFields>),
    /// graceful shutdown
    #[error("the proxy is shutting down")]
    Draining,
}

/// Either of them.
#[derive(Debug)]
pub(super) enum Stop {
    /// answer, go on
    Failed(Failure),
    /// end
    Gone(Gone),
}

impl<T: Into<Failure>> From<T> for Stop {
    fn from(failure: T) -> Stop {
        Stop::Failed(failure.into())
    }
}

impl From<Gone> for Stop {
    fn from(gone: Gone) -> Stop {
        Stop::Gone(gone)
    }
}
