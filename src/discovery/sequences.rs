//! Values of sequences, from the home shard.
//!
//! Why no values are kept: whatever a proxy kept in store would be wrong after a `setval`, a RESTART or a TRUNCATE …
//! RESTART IDENTITY that came by another proxy, or past all of them. So each statement's values are drawn when it needs
//! them, as one block; those of many sessions travel on one connection, one behind the other, without waiting for each
//! other's answers. Nothing has to be made void then, and 2200H, cycles, steps and caches are Postgres's own.
//!
//! Holds: a value is handed out once; what a statement draws and doesn't use is a gap, as in Postgres.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Control, ControlClient, ControlError, ControlStatement, Row, ToSql};
use crate::discovery::Error;
use crate::discovery::reach::{Reach, identifier};
use crate::topology::QualifiedName;

/// Home takes no longer for this, or is taken for down.
const DRAW_TIMEOUT: Duration = Duration::from_secs(10);
/// The common connection waits no longer for a sequence that a transaction keeps for itself (ALTER SEQUENCE, TRUNCATE …
/// RESTART IDENTITY): others wait behind it.
const LOCKED_TIMEOUT: &str = "SET lock_timeout = '100ms'";
/// Who waits for such a sequence by himself waits so long.
const ALONE_TIMEOUT: Duration = Duration::from_secs(60);
/// A connection that has ended is made anew once: values that were drawn on it are a gap.
const ATTEMPTS: usize = 2;

/// The sequence (as regclass reads it), how many values, the role that must be allowed to draw (NULL: any). NULLs come if
/// it isn't. The name is looked up at each execution, so that a sequence made anew is the new one.
const NEXT: &str = "SELECT CASE WHEN d.allowed THEN pg_catalog.nextval(d.sequence) END FROM (SELECT \
    q.name::pg_catalog.regclass AS sequence, CASE WHEN q.role IS NULL THEN true \
    ELSE pg_catalog.has_sequence_privilege(q.role::pg_catalog.name, q.name::pg_catalog.regclass::pg_catalog.oid, 'USAGE, UPDATE') \
    END AS allowed FROM (VALUES ($1::pg_catalog.text, $2::pg_catalog.text)) AS q(name, role) OFFSET 0) AS d, \
    pg_catalog.generate_series(1::bigint, $3::bigint)";

/// The connection by which values are drawn.
#[derive(Default)]
pub(super) struct Sequences {
    /// guards the one connection; held while it is made, never over a statement
    connection: tokio::sync::Mutex<Option<Arc<Connected>>>,
}

impl std::fmt::Debug for Sequences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sequences")
    }
}

struct Connected {
    /// where to: home may move by a reload
    address: String,
    client: ControlClient,
    next: ControlStatement,
}

impl Sequences {
    /// The next values of a sequence of home's, `count` of them, in their order. `role`: who must have USAGE or UPDATE on
    /// it. Cancel-safe: values on their way become a gap.
    pub(super) async fn draw(
        &self,
        home: &Reach,
        sequence: &QualifiedName,
        count: usize,
        role: Option<&str>,
    ) -> Result<Vec<i64>, Error> {
        let name = format!("{}.{}", identifier(&sequence.schema), identifier(&sequence.name));
        let rows = i64::try_from(count).map_err(|_| Error::Bug("too many values of a sequence"))?;
        let parameters: [&(dyn ToSql + Sync); 3] = [&name, &role, &rows];
        let mut attempt = 1;
        let drawn = loop {
            let connected = self.connected(home).await?;
            let asked = connected.client.query(&connected.next, &parameters);
            let answer = match tokio::time::timeout(DRAW_TIMEOUT, asked).await {
                Ok(answer) => answer.map_err(ControlError::from),
                Err(_) => Err(ControlError::Timeout(DRAW_TIMEOUT)),
            };
            match answer {
                Ok(rows) => break rows,
                Err(error) if error.sqlstate() == Some("55P03") => break draw_alone(home, &parameters).await?,
                Err(error) if error.sqlstate().is_some_and(is_about_sequence) => return Err(said(home, &error)),
                Err(error) => {
                    self.drop_connection(&connected).await;
                    if attempt >= ATTEMPTS || matches!(error, ControlError::Timeout(_)) {
                        return Err(home.failure(&error));
                    }
                    attempt += 1;
                }
            }
        };
        let mut values = Vec::with_capacity(drawn.len());
        for row in &drawn {
            let value = row.try_get::<_, Option<i64>>(0);
            let value = value.map_err(|_| Error::Bug("a sequence's value is no bigint"))?;
            values.push(value.ok_or_else(|| denied(sequence))?);
        }
        match values.len() == count {
            true => Ok(values),
            false => Err(Error::Bug("a sequence gave another number of values")),
        }
    }

    async fn connected(&self, home: &Reach) -> Result<Arc<Connected>, Error> {
        let mut held = self.connection.lock().await;
        let address = home.endpoint().address();
        if let Some(connected) = held.as_ref()
            && !connected.client.is_closed()
            && connected.address == address
        {
            return Ok(Arc::clone(connected));
        }
        let client = home.connect().await?;
        let limited = client.batch_execute(LOCKED_TIMEOUT).await;
        limited.map_err(|error| home.failure(&ControlError::from(error)))?;
        let next = client.prepare(NEXT).await;
        let next = next.map_err(|error| home.failure(&ControlError::from(error)))?;
        let connected = Arc::new(Connected { address, client, next });
        *held = Some(Arc::clone(&connected));
        Ok(connected)
    }

    /// A connection that has failed serves nobody further.
    async fn drop_connection(&self, failed: &Arc<Connected>) {
        let mut held = self.connection.lock().await;
        if held.as_ref().is_some_and(|connected| Arc::ptr_eq(connected, failed)) {
            *held = None;
        }
    }
}

/// Draws on a connection of its own, and waits for whoever keeps the sequence.
async fn draw_alone(home: &Reach, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, Error> {
    let client = home.connect().await?;
    let answer = match tokio::time::timeout(ALONE_TIMEOUT, client.query(NEXT, parameters)).await {
        Ok(answer) => answer.map_err(ControlError::from),
        Err(_) => Err(ControlError::Timeout(ALONE_TIMEOUT)),
    };
    answer.map_err(|error| match error.sqlstate() {
        Some(code) if is_about_sequence(code) => said(home, &error),
        Some(_) | None => home.failure(&error),
    })
}

/// An error of the statement's own, by which the connection loses nothing: not class 08 or 57, which end it.
fn is_about_sequence(code: &str) -> bool {
    !code.starts_with("57") && !code.starts_with("08")
}

/// Postgres's own words, but where they are about the control role.
fn said(home: &Reach, error: &ControlError) -> Error {
    match (error.sqlstate(), error.message()) {
        (Some(code), Some(message)) if code != "42501" => Error::Sequence {
            code: code.to_owned(),
            message: message.to_owned(),
        },
        _ => home.failure(error),
    }
}

fn denied(sequence: &QualifiedName) -> Error {
    Error::Sequence {
        code: "42501".to_owned(),
        message: format!("permission denied for sequence {}", sequence.name),
    }
}

impl Reach {
    /// A connection of the caller's own.
    async fn connect(&self) -> Result<ControlClient, Error> {
        let connected = Control::connect_url(&self.endpoint().url(), DRAW_TIMEOUT).await;
        connected.map_err(|error| self.failure(&error))
    }
}
