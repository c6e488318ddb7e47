//! One shard within reach: batches of SQL by the simple protocol under the control role, rows as text.
//!
//! Why batches: a simple Query of several statements is one implicit transaction, which the server itself rolls back on
//! an error, so a connection never comes back inside a transaction. Holds: every batch runs under search_path
//! `pg_catalog`, with the settings that make text forms unambiguous, and has a deadline.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Control, ControlClient, ControlError, SimpleQueryMessage};
use crate::config::{Endpoint, ShardSettings};
use crate::discovery::Error;
use crate::discovery::fingerprint;

/// One row: each value's text form, or NULL.
pub(super) type Row = Vec<Option<String>>;

/// A server that doesn't take a connection within this is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What every batch begins with.
pub(super) const PREAMBLE: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on; \
    SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
    SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3; \
    SET LOCAL row_security = off; SET LOCAL quote_all_identifiers = off;";
/// One snapshot for a whole batch; must be its first statement.
///
/// A view's definition locks its tables, and whoever waits for longer than `deadlock_timeout` (a second, unless changed)
/// makes the other the victim of a deadlock: somebody's TRUNCATE of two tables would fail for our reading.
const ONE_MOMENT: &str =
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL lock_timeout = '300ms';";
const ONE_MOMENT_STATEMENTS: usize = 2;
/// Between two attempts to read what is locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(100);
/// Statements of the preamble, whose results are not the caller's.
pub(super) const PREAMBLE_STATEMENTS: usize = 9;

/// One shard's control connection; made when first used, made again after any failure.
pub(super) struct Reach {
    name: String,
    endpoint: Endpoint,
    /// guards the one connection; held over a batch, so batches queue
    connection: tokio::sync::Mutex<Option<ControlClient>>,
}

impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reach({})", self.name)
    }
}

impl Reach {
    pub(super) fn new(shard: &ShardSettings) -> Arc<Reach> {
        Arc::new(Reach {
            name: shard.name.clone(),
            endpoint: shard.primary.clone(),
            connection: tokio::sync::Mutex::new(None),
        })
    }

    /// Another connection to the same shard.
    pub(super) fn twin(&self) -> Arc<Reach> {
        let (name, endpoint) = (self.name.clone(), self.endpoint.clone());
        Arc::new(Reach {
            name,
            endpoint,
            connection: tokio::sync::Mutex::new(None),
        })
    }

    /// The shard's name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where it is.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs a batch: the rows of each statement, in order. Not cancel-safe for writes: a dropped batch may still commit.
    pub(super) async fn batch(&self, sql: &str, limit: Duration) -> Result<Vec<Vec<Row>>, Error> {
        let mut tables = self.run(&format!("{PREAMBLE}\n{sql}"), limit).await?;
        tables.drain(..PREAMBLE_STATEMENTS.min(tables.len()));
        Ok(tables)
    }

    /// A batch that only reads, all of it at one moment. What is locked is tried again until the limit.
    pub(super) async fn batch_at_one_moment(&self, sql: &str, limit: Duration) -> Result<Vec<Vec<Row>>, Error> {
        let text = format!("{ONE_MOMENT}\n{PREAMBLE}\n{sql}");
        let attempts = async {
            loop {
                match self.run(&text, limit).await {
                    Err(error) if error.is_locked() => tokio::time::sleep(LOCKED_PAUSE).await,
                    done => return done,
                }
            }
        };
        let mut tables = match tokio::time::timeout(limit, attempts).await {
            Ok(tables) => tables?,
            Err(_) => return Err(self.unreachable(format!("its catalog was locked for {limit:?}"))),
        };
        tables.drain(..(PREAMBLE_STATEMENTS + ONE_MOMENT_STATEMENTS).min(tables.len()));
        Ok(tables)
    }

    async fn run(&self, text: &str, limit: Duration) -> Result<Vec<Vec<Row>>, Error> {
        let mut held = self.connection.lock().await;
        let whole = async {
            let client = match held.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => {
                    let url = self.endpoint.url();
                    let client = Control::connect_url(&url, CONNECT_TIMEOUT)
                        .await
                        .map_err(|error| self.failure(&error))?;
                    let prepare = format!("{PREAMBLE}\nPREPARE sg_fingerprint AS {}", fingerprint::statement());
                    let prepared = client.simple_query(&prepare).await;
                    prepared.map_err(|error| self.failure(&ControlError::from(error)))?;
                    client
                }
            };
            let messages = client
                .simple_query(text)
                .await
                .map_err(|error| self.failure(&ControlError::from(error)))?;
            // Put back only now: a batch that failed, or was given up, leaves no connection behind.
            *held = Some(client);
            Ok(messages)
        };
        let result = match tokio::time::timeout(limit, whole).await {
            Ok(result) => result,
            Err(_) => Err(self.unreachable(format!("no answer within {limit:?}"))),
        };
        Ok(tables(result?))
    }

    /// The rows of the last statement of a batch.
    pub(super) async fn rows(&self, sql: &str, limit: Duration) -> Result<Vec<Row>, Error> {
        Ok(self.batch(sql, limit).await?.pop().unwrap_or_default())
    }

    /// What a failed statement means.
    pub(super) fn failure(&self, error: &ControlError) -> Error {
        match error.sqlstate() {
            // Shutting down, starting up, or the connection itself: the shard isn't there for now.
            Some(code) if !code.starts_with("57P") && !code.starts_with("08") => Error::Server {
                shard: self.name.clone(),
                code: code.to_owned(),
                message: error.to_string(),
            },
            Some(_) | None => self.unreachable(error.to_string()),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable {
            shard: self.name.clone(),
            address: self.endpoint.address(),
            reason,
        }
    }
}

/// Rows by statement.
fn tables(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<Row>> {
    let mut tables = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                rows.push(
                    (0..row.len())
                        .map(|column| row.get(column).map(str::to_owned))
                        .collect(),
                );
            }
            SimpleQueryMessage::CommandComplete(_) => tables.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    tables
}

/// A text as an SQL literal, read the same whatever `standard_conforming_strings` says.
pub(super) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!(" E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

/// A name as a quoted SQL identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
