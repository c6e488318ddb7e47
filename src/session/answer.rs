//! The error door: what a client sees of a failure. SQLSTATEs are chosen here and nowhere else.
//!
//! Holds: MESSAGE in lower case without a full stop, DETAIL and HINT full sentences; a shard's own error passes whole;
//! a new kind of failure does not compile until somebody has said what the client sees.
#![deny(clippy::wildcard_enum_match_arm)]

use crate::backend;
use crate::merge::MergeError;
use crate::session::error::Failure;
use crate::session::state::Session;
use crate::sql::SettingError;
use crate::telemetry::{ErrorOrigin, Outcome};
use crate::transaction::{BlockError, EndError, Isolation};
use crate::wire::{ErrorField, ErrorFields, Severity, SqlState};

fn error(code: SqlState, message: impl Into<String>) -> ErrorFields {
    ErrorFields::new(Severity::Error, code, message)
}

impl Session {
    /// What the client is told.
    pub(super) fn fields_of(&self, failure: &Failure) -> ErrorFields {
        fields_of(failure)
    }

    /// Telemetry of a failure of ours.
    pub(super) fn count_failure(&mut self, failure: &Failure) {
        if let Failure::CopyRow { failure, context: _ } = failure {
            return self.count_failure(failure);
        }
        let (outcome, origin) = match failure {
            Failure::Refused(refusal) => {
                self.world.telemetry.refusal(refusal.id);
                (Outcome::Refused, ErrorOrigin::Proxy)
            }
            Failure::NoPreparedTransactions { .. }
            | Failure::End(EndError::CannotPrepare { .. })
            | Failure::IsolationAcrossShards { .. }
            | Failure::NotInThisVersion { .. }
            | Failure::Unplaceable(_)
            | Failure::ConstantsReadOtherwise
            | Failure::CopyKeyUnread { .. }
            | Failure::ValueUnseen(_)
            | Failure::NoFunctionCall => {
                if let Some(id) = session_refusal(failure) {
                    self.world.telemetry.refusal(id);
                }
                (Outcome::Refused, ErrorOrigin::Proxy)
            }
            Failure::Cancelled | Failure::StatementTimeout => (Outcome::Cancelled, ErrorOrigin::Proxy),
            Failure::Shard(_) | Failure::Lost { .. } => (Outcome::Failed, ErrorOrigin::Shard),
            Failure::Backend(_)
            | Failure::PoolDeadlock { .. }
            | Failure::NoSnapshot
            | Failure::Deadlock
            | Failure::Block(_)
            | Failure::Merge(_)
            | Failure::Discovery(_)
            | Failure::NoCurrentValue(_)
            | Failure::Scan(_)
            | Failure::Setting(_)
            | Failure::NoStatement(_)
            | Failure::Malformed(_)
            | Failure::StatementExists(_)
            | Failure::NoPortal(_)
            | Failure::PortalFailed(_)
            | Failure::NoCursor(_)
            | Failure::PortalExists(_)
            | Failure::ParameterCount { .. }
            | Failure::ResultFormats { .. }
            | Failure::ArgumentCount { .. }
            | Failure::ResultTypeChanged
            | Failure::End(
                EndError::Shard { .. }
                | EndError::RolledBack
                | EndError::Overtaken
                | EndError::Lost { .. }
                | EndError::Unknown { .. }
                | EndError::Entropy(_)
                | EndError::Bug(_),
            )
            | Failure::CommitRolledBack
            | Failure::ShardsDiffer { .. }
            | Failure::ShardUnheard(_)
            | Failure::AlreadyAnswered
            | Failure::Admin(_)
            | Failure::CopyRow { .. }
            | Failure::CopyRowTooLong
            | Failure::Bug(_) => (Outcome::Failed, ErrorOrigin::Proxy),
        };
        self.running.outcome = outcome;
        self.world.telemetry.error(fields_of(failure).code().as_str(), origin);
        if let Failure::Bug(what) = failure {
            tracing::error!(session = self.id, what, "bug");
        }
    }
}

/// The registry's id of a refusal that rests on the session's state.
fn session_refusal(failure: &Failure) -> Option<&'static str> {
    match failure {
        Failure::NoPreparedTransactions { .. } => Some("prepared-transactions-off"),
        Failure::End(EndError::CannotPrepare { .. }) => Some("transaction-cannot-prepare"),
        Failure::IsolationAcrossShards { .. } => Some("isolation-across-shards"),
        Failure::NoFunctionCall => Some("function-call-message"),
        Failure::Unplaceable(_) => Some("table-not-placeable"),
        Failure::NotInThisVersion { .. }
        | Failure::ConstantsReadOtherwise
        | Failure::CopyKeyUnread { .. }
        | Failure::ValueUnseen(_) => Some("session-command"),
        Failure::Refused(_)
        | Failure::CopyRow { .. }
        | Failure::CopyRowTooLong
        | Failure::Shard(_)
        | Failure::Lost { .. }
        | Failure::Backend(_)
        | Failure::Block(_)
        | Failure::Merge(_)
        | Failure::Discovery(_)
        | Failure::NoCurrentValue(_)
        | Failure::Scan(_)
        | Failure::Setting(_)
        | Failure::NoStatement(_)
        | Failure::Malformed(_)
        | Failure::StatementExists(_)
        | Failure::PortalFailed(_)
        | Failure::NoPortal(_)
        | Failure::PortalExists(_)
        | Failure::ParameterCount { .. }
        | Failure::ResultFormats { .. }
        | Failure::Cancelled
        | Failure::StatementTimeout
        | Failure::ResultTypeChanged
        | Failure::PoolDeadlock { .. }
        | Failure::NoSnapshot
        | Failure::Deadlock
        | Failure::End(
            EndError::Shard { .. }
            | EndError::RolledBack
            | EndError::Overtaken
            | EndError::Lost { .. }
            | EndError::Unknown { .. }
            | EndError::Entropy(_)
            | EndError::Bug(_),
        )
        | Failure::CommitRolledBack
        | Failure::ShardsDiffer { .. }
        | Failure::ShardUnheard(_)
        | Failure::NoCursor(_)
        | Failure::ArgumentCount { .. }
        | Failure::AlreadyAnswered
        | Failure::Admin(_)
        | Failure::Bug(_) => None,
    }
}

/// What the client is told.
pub(super) fn fields_of(failure: &Failure) -> ErrorFields {
    match failure {
        Failure::Refused(refusal) => {
            let code = SqlState::parse(refusal.code.as_bytes()).unwrap_or(SqlState::FEATURE_NOT_SUPPORTED);
            let mut fields = error(code, refusal.message.clone());
            if !refusal.detail.is_empty() {
                fields = fields.with_detail(refusal.detail.clone());
            }
            if !refusal.hint.is_empty() {
                fields = fields.with_hint(refusal.hint.clone());
            }
            fields
        }
        Failure::NoPreparedTransactions { first, second, lacking } => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("transaction writes to shards \"{first}\" and \"{second}\", but \"{lacking}\" can't prepare transactions"),
        )
        .with_detail(format!(
            "A transaction that writes on several shards commits by two-phase commit; max_prepared_transactions is 0 on \"{lacking}\"."
        ))
        .with_hint(
            "Set max_prepared_transactions to max_connections there and restart it, or write one shard per transaction.",
        ),
        Failure::IsolationAcrossShards { isolation, first, second } => {
            let level = match isolation {
                Isolation::Serializable => "SERIALIZABLE",
                Isolation::RepeatableRead | Isolation::ReadCommitted => "REPEATABLE READ",
            };
            error(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{level} transaction touches shards \"{first}\" and \"{second}\""),
            )
            .with_detail("Each shard would take a snapshot of its own, and they could disagree.")
            .with_hint("Use READ COMMITTED, or keep the transaction on one shard.")
        }
        Failure::Unplaceable(finding) => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{}: {}", finding.object, finding.message),
        )
        .with_detail(match finding.detail.is_empty() {
            true => "Over several shards such a table can't be kept.".to_owned(),
            false => finding.detail.clone(),
        })
        .with_hint(match finding.hint.is_empty() {
            true => "shardctl check says what a table on several shards must be like.".to_owned(),
            false => finding.hint.clone(),
        }),
        Failure::ConstantsReadOtherwise => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "constants of the prepared statement were read under another TimeZone, DateStyle or IntervalStyle",
        )
        .with_detail("A server that hasn't parsed it yet would read them under the present settings.")
        .with_hint("Prepare the statement again, or set the setting back."),
        Failure::CopyRow { failure, context } => {
            let mut fields = fields_of(failure);
            fields.add_where(context);
            fields
        }
        Failure::CopyKeyUnread { table, column, why } => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("sharding key \"{column}\" of the row for table \"{table}\" can't be read"),
        )
        .with_detail(format!("Which shard owns the row can't be told: {why}."))
        .with_hint("Write dates as YYYY-MM-DD, times as HH:MM:SS with an offset, text in UTF8."),
        Failure::CopyRowTooLong => error(SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
            .with_detail("A row of COPY is longer than 1 GB."),
        Failure::NoCurrentValue(_) | Failure::PortalFailed(_) => error(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, failure.to_string()),
        Failure::ValueUnseen(_) => error(SqlState::FEATURE_NOT_SUPPORTED, failure.to_string())
            .with_detail("A statement of this session may have drawn from the sequence, or set it, on a shard where the proxy doesn't see the value.")
            .with_hint("Use RETURNING, or the value that nextval gave."),
        Failure::NoFunctionCall => error(SqlState::FEATURE_NOT_SUPPORTED, "function-call messages are not supported over several shards")
            .with_detail("The fast-path message names a function by OID and says nothing of the rows that it touches.")
            .with_hint("Call the function by SELECT."),
        Failure::NotInThisVersion { construct } => {
            error(SqlState::FEATURE_NOT_SUPPORTED, format!("{construct} is not supported over several shards"))
                .with_detail("The proxy carries this out itself when there are several shards, and doesn't know this form.")
                .with_hint("docs/unsupported.md lists what is refused, and what to do instead.")
        }
        Failure::Shard(fields) => (**fields).clone(),
        Failure::Lost { name, said, .. } => lost(name, said.as_deref()),
        Failure::End(end) => end_fields(end),
        Failure::ShardsDiffer { first, other } => error(
            SqlState::DATA_CORRUPTED,
            format!("shards \"{first}\" and \"{other}\" did not come to the same result"),
        )
        .with_detail("The statement must do the same on both; its transaction is rolled back on all shards.")
        .with_hint("Run shardctl check: it says where the shards differ."),
        Failure::ShardUnheard(_) => error(SqlState::ADMIN_SHUTDOWN, failure.to_string())
            .with_detail("A session that listens does so on every shard.")
            .with_hint("Connect again and repeat LISTEN."),
        Failure::CommitRolledBack => error(SqlState::IN_FAILED_SQL_TRANSACTION, "the transaction was rolled back"),
        Failure::Backend(error) => backend_fields(error),
        Failure::Deadlock => error(SqlState::DEADLOCK_DETECTED, "deadlock detected")
            .with_detail("The transaction waits on one shard for another that waits for it on another shard.")
            .with_hint("Repeat the transaction; change rows of several shards in the same order everywhere."),
        Failure::NoSnapshot => error(
            SqlState::SERIALIZATION_FAILURE,
            "could not take snapshots of all shards that agree",
        )
        .with_detail("Too many transactions over several shards were committing, or one of them waits for this one.")
        .with_hint("Repeat the transaction, or set shardgate.consistency to statement."),
        Failure::PoolDeadlock { shard, waited, size } => error(
            SqlState::DEADLOCK_DETECTED,
            format!("no connection to shard \"{shard}\" became free within {waited:?}"),
        )
        .with_detail(format!(
            "The transaction holds a connection to another shard while it waits; all {size} of this one are in use, maybe by transactions that wait for it."
        ))
        .with_hint("Repeat the transaction; if this happens often, raise pool.size or keep transactions on one shard."),
        Failure::Block(block) => error(
            match block {
                BlockError::NoBlock(_) => SqlState::NO_ACTIVE_SQL_TRANSACTION,
                BlockError::NoSavepoint(_) => SqlState::SAVEPOINT_EXCEPTION,
                BlockError::Aborted => SqlState::IN_FAILED_SQL_TRANSACTION,
                BlockError::InsideBlock(_) => SqlState::ACTIVE_SQL_TRANSACTION,
            },
            block.to_string(),
        ),
        Failure::Merge(merge) => merge_fields(merge),
        Failure::Discovery(discovery) => discovery_fields(discovery),
        Failure::Scan(scan) => error(SqlState::SYNTAX_ERROR, scan.to_string()),
        Failure::Setting(setting @ SettingError::Unrecognized(_)) => {
            error(SqlState::UNDEFINED_OBJECT, setting.to_string())
        }
        Failure::Setting(setting @ (SettingError::InvalidValue { .. } | SettingError::OneValueOnly(_))) => {
            error(SqlState::INVALID_PARAMETER_VALUE, setting.to_string())
        }
        Failure::Malformed(frame) => error(SqlState::PROTOCOL_VIOLATION, frame.to_string()),
        Failure::NoStatement(_) => error(SqlState::INVALID_SQL_STATEMENT_NAME, failure.to_string()),
        Failure::StatementExists(_) => error(SqlState::DUPLICATE_PREPARED_STATEMENT, failure.to_string()),
        Failure::NoPortal(_) | Failure::NoCursor(_) => error(SqlState::INVALID_CURSOR_NAME, failure.to_string()),
        Failure::PortalExists(_) => error(SqlState::DUPLICATE_CURSOR, failure.to_string()),
        Failure::ParameterCount { .. } | Failure::ResultFormats { .. } => error(SqlState::PROTOCOL_VIOLATION, failure.to_string()),
        Failure::ArgumentCount { given, wanted } => error(SqlState::SYNTAX_ERROR, "wrong number of parameters for prepared statement")
            .with_detail(format!("Expected {wanted} parameters but got {given}.")),
        Failure::Cancelled | Failure::StatementTimeout => error(SqlState::QUERY_CANCELED, failure.to_string()),
        Failure::ResultTypeChanged => error(SqlState::FEATURE_NOT_SUPPORTED, failure.to_string()),
        Failure::AlreadyAnswered => error(SqlState::INTERNAL_ERROR, "internal error: an answer was given twice"),
        Failure::Admin(admin) => admin_fields(admin),
        Failure::Bug(_) => error(SqlState::INTERNAL_ERROR, failure.to_string())
            .with_hint("This is a bug in the proxy: please report it with the proxy's log."),
    }
}

/// Why a block was not committed.
fn end_fields(end: &EndError) -> ErrorFields {
    match end {
        EndError::Unknown { name } => error(
            SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
            format!("connection to shard \"{name}\" was lost during COMMIT"),
        )
        .with_detail("Whether the transaction was committed there is not known.")
        .with_hint("Read back what it wrote before you repeat it."),
        EndError::Overtaken => error(
            SqlState::SERIALIZATION_FAILURE,
            "the transaction was rolled back on all shards before its commit was decided",
        )
        .with_detail("Recovery found its prepared parts and took them for abandoned.")
        .with_hint("Repeat the transaction."),
        EndError::Lost { name, said } => {
            let mut fields = lost(name, said.as_deref());
            fields.put(ErrorField::Detail, "The transaction is rolled back on all shards.");
            fields
        }
        EndError::CannotPrepare { name, why } => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("transaction writes to several shards, and on \"{name}\" it holds what can't be prepared"),
        )
        .with_detail(format!("Postgres can't prepare such a transaction: {why}. It is rolled back on all shards."))
        .with_hint("Use temporary tables, LISTEN, NOTIFY and cursors WITH HOLD on one of the shards only, or in a transaction of their own."),
        EndError::Shard { fields, .. } => (**fields).clone(),
        EndError::RolledBack => error(SqlState::IN_FAILED_SQL_TRANSACTION, "the transaction was rolled back"),
        EndError::Entropy(entropy) => error(SqlState::SYSTEM_ERROR, entropy.to_string()),
        EndError::Bug(what) => error(SqlState::INTERNAL_ERROR, format!("internal error: {what}")),
    }
}

/// COMMIT is done, but not seen on these shards yet.
pub(super) fn committed_in_part(behind: &[String]) -> ErrorFields {
    let names = behind.join(", ");
    ErrorFields::new(
        Severity::Warning,
        SqlState::WARNING,
        format!("the transaction is committed, but not yet visible on shard {names}"),
    )
    .with_detail("The decision stands; its rows there stay locked until the shard answers again.")
}

/// A shard's connection ended: what it said last, as an error that leaves the session alive.
fn lost(name: &str, said: Option<&ErrorFields>) -> ErrorFields {
    match said {
        Some(fields) => {
            let mut fields = fields.clone();
            fields.put(ErrorField::Severity, "ERROR");
            fields.put(ErrorField::SeverityText, "ERROR");
            fields.add_where(&format!("shard {name}"));
            fields
        }
        None => error(
            SqlState::CONNECTION_FAILURE,
            format!("shard \"{name}\" closed the connection unexpectedly"),
        )
        .with_detail("The statement may or may not have taken effect there.")
        .with_hint("The proxy connects again by itself; see whether the shard is up."),
    }
}

fn backend_fields(failure: &backend::Error) -> ErrorFields {
    match failure {
        backend::Error::Refused { fields } => {
            let mut fields = (**fields).clone();
            fields.put(ErrorField::Severity, "ERROR");
            fields.put(ErrorField::SeverityText, "ERROR");
            fields
        }
        backend::Error::Connect { .. }
        | backend::Error::ConnectTimeout { .. }
        | backend::Error::Closed { .. }
        | backend::Error::Io { .. } => error(SqlState::CONNECTION_FAILURE, failure.to_string())
            .with_hint("Statements for other shards go on; this one is tried again with each statement."),
        backend::Error::NoShard { .. } => error(SqlState::CONNECTION_FAILURE, failure.to_string()),
        backend::Error::NeedsPassword { .. } | backend::Error::Cleartext { .. } => {
            error(SqlState::INVALID_AUTHORIZATION, failure.to_string())
                .with_hint("Give the user a password in the users file, or let it log in by SCRAM with the same verifier on proxy and shards.")
        }
        backend::Error::Scram { .. } => error(SqlState::INVALID_PASSWORD, failure.to_string())
            .with_hint("The verifier in the users file must be the one in pg_authid on every shard."),
        backend::Error::Protocol { .. } | backend::Error::Unexpected { .. } => {
            error(SqlState::PROTOCOL_VIOLATION, failure.to_string())
        }
        backend::Error::CheckoutTimeout { .. } => error(SqlState::TOO_MANY_CONNECTIONS, failure.to_string())
            .with_hint("Raise pool.size, or look for long transactions in SHOW CLIENTS."),
        backend::Error::PinnedFull { .. } => error(SqlState::TOO_MANY_CONNECTIONS, failure.to_string())
            .with_hint("Raise pool.pinned, or find in SHOW CLIENTS what pins sessions."),
        backend::Error::ShuttingDown => error(SqlState::ADMIN_SHUTDOWN, failure.to_string()),
        backend::Error::Entropy(_) => error(SqlState::SYSTEM_ERROR, failure.to_string()),
        backend::Error::Bug(_) => error(SqlState::INTERNAL_ERROR, failure.to_string()),
    }
}

fn merge_fields(merge: &MergeError) -> ErrorFields {
    match merge {
        MergeError::OutOfRange { .. } => error(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, merge.to_string()),
        MergeError::GroupsTooLarge { .. } => error(SqlState::PROGRAM_LIMIT_EXCEEDED, merge.to_string())
            .with_hint("Filter more, or order by the columns of GROUP BY."),
        MergeError::TooManyGroups { .. } => error(SqlState::PROGRAM_LIMIT_EXCEEDED, merge.to_string())
            .with_detail(
                "The groups of all shards go to one shard, which computes the expression, and so many are not sent.",
            )
            .with_hint("Filter more, or select the aggregates themselves and compute in the client."),
        MergeError::Disagreement { .. } => error(SqlState::FEATURE_NOT_SUPPORTED, merge.to_string())
            .with_detail("The table's columns differ between shards; a change may be under way.")
            .with_hint("shardctl check shows where they differ."),
        MergeError::BinaryUserType { .. } => error(SqlState::FEATURE_NOT_SUPPORTED, merge.to_string())
            .with_detail("Such a value may hold OIDs of the database that it comes from, and the shards' differ.")
            .with_hint("Ask for the column as text, or filter by one key."),
        MergeError::NoOrder { .. } | MergeError::NoFold { .. } | MergeError::Incomparable => error(
            SqlState::FEATURE_NOT_SUPPORTED,
            merge.to_string(),
        )
        .with_detail(
            "For values of this type or collation the proxy has no comparison that is proven equal to Postgres's.",
        )
        .with_hint("Order or group by a column of a type with byte order, number or time, or filter one key."),
        MergeError::RowTooLong => error(SqlState::PROGRAM_LIMIT_EXCEEDED, merge.to_string()),
        MergeError::MalformedRow { .. } => error(SqlState::PROTOCOL_VIOLATION, merge.to_string()),
        MergeError::Value(_) | MergeError::Bug(_) => error(SqlState::INTERNAL_ERROR, merge.to_string()),
    }
}

fn discovery_fields(failure: &crate::discovery::Error) -> ErrorFields {
    use crate::discovery::Error;
    match failure {
        Error::Unreachable { .. } | Error::HomeDown { .. } => error(SqlState::CONNECTION_FAILURE, failure.to_string()),
        Error::UnknownKey { .. } => error(SqlState::FOREIGN_KEY_VIOLATION, failure.to_string())
            .with_hint("Insert the key with its category into the lookup table first."),
        Error::Sequence { code, message } => error(
            SqlState::parse(code.as_bytes()).unwrap_or(SqlState::SYSTEM_ERROR),
            message.clone(),
        ),
        Error::Server { code, .. } => error(
            SqlState::parse(code.as_bytes()).unwrap_or(SqlState::SYSTEM_ERROR),
            failure.to_string(),
        ),
        Error::Unexpected { .. } | Error::Contradiction(_) | Error::NoTopology(_) | Error::Findings(_) => {
            error(SqlState::SYSTEM_ERROR, failure.to_string())
        }
        Error::Bug(_) => error(SqlState::INTERNAL_ERROR, failure.to_string()),
    }
}

fn admin_fields(admin: &crate::admin::AdminError) -> ErrorFields {
    use crate::admin::AdminError;
    let code = match admin {
        AdminError::UnknownCommand { .. } | AdminError::Usage { .. } | AdminError::Unreadable(_) => {
            SqlState::SYNTAX_ERROR
        }
        AdminError::NotInThisVersion { .. } | AdminError::NotAnAdminCommand => SqlState::FEATURE_NOT_SUPPORTED,
        AdminError::UnknownSetting { .. } | AdminError::UnknownKeyspace { .. } | AdminError::UnknownProposal { .. } => {
            SqlState::UNDEFINED_OBJECT
        }
        AdminError::Refused(refusal) => {
            SqlState::parse(refusal.code.as_bytes()).unwrap_or(SqlState::FEATURE_NOT_SUPPORTED)
        }
        AdminError::ReloadRejected { .. } => SqlState::parse(b"F0000").unwrap_or(SqlState::SYSTEM_ERROR),
        AdminError::NotResolved { .. } | AdminError::NoProposals { .. } => SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        AdminError::NoTopology => SqlState::CANNOT_CONNECT_NOW,
    };
    let mut fields = error(code, admin.to_string());
    if let Some(detail) = admin.detail() {
        fields = fields.with_detail(detail);
    }
    if let Some(hint) = admin.hint() {
        fields = fields.with_hint(hint);
    }
    fields
}
