//! One shard within reach: batches of SQL by the simple protocol under the control role, rows as text.
//!
//! Why batches: a simple Query of several statements is one implicit transaction, which the server itself rolls back on
//! an error, so a connection never comes back inside a transaction. Holds: every batch runs under search_path
//! `pg_catalog`, with the settings that make text forms unambiguous, and has a deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use crate::config::{Endpoint, ShardSettings};
use crate::discovery::Error;

/// One row: each value's text form, or NULL.
pub(super) type Row = Vec<Option<String>>;

/// What every batch begins with.
const PREAMBLE: &str = "SET LOCAL search_path = pg_catalog; SET LOCAL standard_conforming_strings = on; \
    SET LOCAL client_encoding = 'UTF8'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres'; \
    SET LOCAL timezone = 'UTC'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 3; \
    SET LOCAL row_security = off; SET LOCAL quote_all_identifiers = off;";
/// Statements of the preamble, whose results are not the caller's.
const PREAMBLE_STATEMENTS: usize = 10;

/// One shard's control connection; made when first used, made again after any failure.
#[derive(Debug)]
pub(super) struct Reach {
    name: String,
    endpoint: Endpoint,
    /// guards the one connection; held over a batch, so batches queue
    connection: tokio::sync::Mutex<Option<Connection>>,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    /// drives the socket; ends when dropped
    _driver: JoinSet<()>,
}

impl Reach {
    pub(super) fn new(shard: &ShardSettings) -> Arc<Reach> {
        Arc::new(Reach {
            name: shard.name.clone(),
            endpoint: shard.primary.clone(),
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
        let mut held = self.connection.lock().await;
        let whole = async {
            if held.as_ref().is_none_or(|connection| connection.client.is_closed()) {
                *held = Some(self.connect().await?);
            }
            let Some(connection) = held.as_ref() else { return Err(Error::Bug("a connection that was just made is gone")) };
            let text = format!("{PREAMBLE}\n{sql}");
            connection.client.simple_query(&text).await.map_err(|error| self.failure(&error))
        };
        let result = match tokio::time::timeout(limit, whole).await {
            Ok(result) => result,
            Err(_) => Err(self.unreachable(format!("no answer within {limit:?}"))),
        };
        if result.is_err() {
            *held = None;
        }
        Ok(tables(result?))
    }

    /// The rows of the last statement of a batch.
    pub(super) async fn rows(&self, sql: &str, limit: Duration) -> Result<Vec<Row>, Error> {
        Ok(self.batch(sql, limit).await?.pop().unwrap_or_default())
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let mut config = tokio_postgres::Config::new();
        config
            .host(&self.endpoint.host)
            .port(self.endpoint.port)
            .user(&self.endpoint.user)
            .dbname(&self.endpoint.database)
            .application_name("shardgate");
        if let Some(password) = &self.endpoint.password {
            config.password(password.reveal());
        }
        let (client, connection) = config.connect(NoTls).await.map_err(|error| self.failure(&error))?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // What ended the connection is told to the client's callers.
            drop(connection.await);
        });
        Ok(Connection { client, _driver: driver })
    }

    fn failure(&self, error: &tokio_postgres::Error) -> Error {
        match error.as_db_error() {
            Some(server) => Error::Server {
                shard: self.name.clone(),
                code: server.code().code().to_owned(),
                message: server.message().to_owned(),
            },
            None => {
                let source = std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"));
                self.unreachable(format!("{error}{source}"))
            }
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { shard: self.name.clone(), address: self.endpoint.address(), reason }
    }
}

/// Rows by statement, the preamble's left out.
fn tables(messages: Vec<SimpleQueryMessage>) -> Vec<Vec<Row>> {
    let mut tables = Vec::new();
    let mut rows = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::Row(row) => {
                rows.push((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect());
            }
            SimpleQueryMessage::CommandComplete(_) => tables.push(std::mem::take(&mut rows)),
            _ => {}
        }
    }
    tables.drain(..PREAMBLE_STATEMENTS.min(tables.len()));
    tables
}

/// A text as an SQL literal (standard_conforming_strings is on).
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as a quoted SQL identifier.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
