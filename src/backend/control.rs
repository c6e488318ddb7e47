//! The control plane's connections to one shard, under the role in the shard's URL.
//!
//! The rest of the crate names tokio-postgres only through this door. Never on the data path: it re-encodes.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bb8_postgres::PostgresConnectionManager;
use thiserror::Error as ThisError;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

pub use tokio_postgres::types::{ToSql, Type};
pub use tokio_postgres::{Client as ControlClient, Row, SimpleQueryMessage, Statement as ControlStatement};

const POOL_SIZE: u32 = 4;

/// What can go wrong on a control connection.
#[derive(Clone, Debug, ThisError)]
pub enum ControlError {
    /// The URL can't be read.
    #[error("the shard's URL can't be read: {0}")]
    Url(#[source] Arc<tokio_postgres::Error>),
    /// Connecting or a statement failed; the server's error, if it is one, is in [`ControlError::sqlstate`].
    #[error("{}", describe(.0))]
    Postgres(#[source] Arc<tokio_postgres::Error>),
    /// It took too long.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl ControlError {
    /// The server's SQLSTATE, if the server said one.
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            ControlError::Url(error) | ControlError::Postgres(error) => error.code().map(|code| code.code()),
            ControlError::Timeout(_) => None,
        }
    }

    /// The server's own message, if the server said something.
    pub fn message(&self) -> Option<&str> {
        match self {
            ControlError::Url(error) | ControlError::Postgres(error) => error.as_db_error().map(|said| said.message()),
            ControlError::Timeout(_) => None,
        }
    }
}

/// tokio-postgres says only "db error"; the server's own words are in its source.
fn describe(error: &tokio_postgres::Error) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(error), _) => error.to_string(),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

impl From<tokio_postgres::Error> for ControlError {
    fn from(error: tokio_postgres::Error) -> ControlError {
        ControlError::Postgres(Arc::new(error))
    }
}

/// A small pool of control connections to one shard. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    pool: bb8::Pool<Manager>,
    failures: Failures,
    timeout: Duration,
}

impl fmt::Debug for Control {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Control")
    }
}

impl Control {
    /// Control connections by a URL (`postgres://user[:password]@host:port/database`); connects nothing yet. Each call
    /// takes at most `timeout`, connecting included.
    pub fn new(url: &str, timeout: Duration) -> Result<Control, ControlError> {
        let config = read_url(url, timeout)?;
        let failures = Failures::default();
        let pool = bb8::Pool::builder()
            .max_size(POOL_SIZE)
            .min_idle(Some(0))
            .connection_timeout(timeout)
            .retry_connection(false)
            .test_on_check_out(false)
            .error_sink(Box::new(failures.clone()))
            .build_unchecked(Manager {
                inner: PostgresConnectionManager::new(config, NoTls),
            });
        Ok(Control {
            pool,
            failures,
            timeout,
        })
    }

    /// One connection of its own, outside any pool, for check, demo and shardctl. It is driven by a task that ends when
    /// the client is dropped.
    pub async fn connect_url(url: &str, limit: Duration) -> Result<ControlClient, ControlError> {
        let config = read_url(url, limit)?;
        let manager = PostgresConnectionManager::new(config, NoTls);
        match timeout(limit, bb8::ManageConnection::connect(&manager)).await {
            Ok(client) => Ok(client?),
            Err(_elapsed) => Err(ControlError::Timeout(limit)),
        }
    }

    /// Runs one statement with parameters; all its rows.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, ControlError> {
        self.with(async |client| Ok(client.query(sql, parameters).await?)).await
    }

    /// Runs one statement with parameters; how many rows it touched.
    pub async fn execute(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<u64, ControlError> {
        self.with(async |client| Ok(client.execute(sql, parameters).await?))
            .await
    }

    /// Runs statements by the simple protocol; their rows as text.
    pub async fn simple_query(&self, sql: &str) -> Result<Vec<SimpleQueryMessage>, ControlError> {
        self.with(async |client| Ok(client.simple_query(sql).await?)).await
    }

    /// Lends one connection for several statements (a transaction, by `ControlClient::transaction`). If the work fails or
    /// is given up, the connection is closed and not used again.
    pub async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut ControlClient) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let all = async {
            let mut held = tokio::select! {
                biased;
                held = self.pool.get() => held.map_err(|error| match error {
                    bb8::RunError::User(error) => ControlError::from(error),
                    bb8::RunError::TimedOut => ControlError::Timeout(self.timeout),
                })?,
                error = self.failures.next() => return Err(error),
            };
            held.standing = Standing::InUse;
            let done = work(&mut held.client).await?;
            held.standing = Standing::Idle;
            Ok(done)
        };
        within(self.timeout, all).await
    }
}

/// Connect errors as they happen: bb8 would let those who wait sit out their timeout.
#[derive(Clone, Debug)]
struct Failures(watch::Sender<Option<Arc<tokio_postgres::Error>>>);

impl Default for Failures {
    fn default() -> Failures {
        Failures(watch::Sender::new(None))
    }
}

impl Failures {
    /// The next connect error from now on.
    async fn next(&self) -> ControlError {
        let mut errors = self.0.subscribe();
        loop {
            // the sender lives as long as we do, so this ends only with a change
            if errors.changed().await.is_ok()
                && let Some(error) = errors.borrow_and_update().clone()
            {
                return ControlError::Postgres(error);
            }
        }
    }
}

impl bb8::ErrorSink<tokio_postgres::Error> for Failures {
    fn sink(&self, error: tokio_postgres::Error) {
        self.0.send_replace(Some(Arc::new(error)));
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<tokio_postgres::Error>> {
        Box::new(self.clone())
    }
}

/// Makes pooled connections. One that was still in use when it came back (an error, or a wait given up) is closed: it
/// could be in a transaction or in mid-answer.
struct Manager {
    inner: PostgresConnectionManager<NoTls>,
}

struct Held {
    client: ControlClient,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Idle,
    InUse,
}

impl bb8::ManageConnection for Manager {
    type Connection = Held;
    type Error = tokio_postgres::Error;

    async fn connect(&self) -> Result<Held, tokio_postgres::Error> {
        let client = self.inner.connect().await?;
        Ok(Held {
            client,
            standing: Standing::Idle,
        })
    }

    async fn is_valid(&self, held: &mut Held) -> Result<(), tokio_postgres::Error> {
        self.inner.is_valid(&mut held.client).await
    }

    fn has_broken(&self, held: &mut Held) -> bool {
        held.standing == Standing::InUse || held.client.is_closed()
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, ControlError>>) -> Result<T, ControlError> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_elapsed) => Err(ControlError::Timeout(limit)),
    }
}

fn read_url(url: &str, limit: Duration) -> Result<Config, ControlError> {
    let mut config: Config = url.parse().map_err(|error| ControlError::Url(Arc::new(error)))?;
    config.connect_timeout(limit);
    if config.get_application_name().is_none() {
        config.application_name("shardgate");
    }
    Ok(config)
}
