//! What a read over several shards waits for: the end of a transaction on a shard, and the gate of commits.
//!
//! Why connections of their own: a wait may be long, and neither the clients' pools nor recovery may run dry by it.
//! Holds: a lock that was waited for is let go at once; a gate that is closed is opened by the same connection, or by
//! that connection's end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::coordinator::Coordinator;
use super::gid::TxId;
use super::lock::LockKey;
use super::shards::Shards;
use crate::backend::{Control, ControlClient, ControlError, SimpleQueryMessage};
use crate::clock::Rng;
use crate::topology::ShardId;

/// Connecting for a gate takes no longer.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long gates are waited for at first, at least: commits hold them for milliseconds.
const WAIT_MIN: Duration = Duration::from_millis(25);

/// How often that is doubled.
const WAIT_DOUBLINGS_MAX: u32 = 4;

/// Transactions that are waited for by one statement.
const WAITS_AT_ONCE: usize = 64;

/// Gates of the shards that one reader has closed.
#[derive(Debug)]
pub struct Gates {
    shards: Arc<Shards>,
    connections: BTreeMap<ShardId, ControlClient>,
    closed: Vec<ShardId>,
    attempts: u32,
    rng: Rng,
}

impl Coordinator {
    /// The time that snapshots are taken by: it goes on while the machine sleeps, as the time of those who delete marks
    /// may.
    pub fn snapshot_time(&self) -> Duration {
        self.clock().awake_or_asleep()
    }

    /// Waits until none of these is prepared on the shard. Cancel-safe.
    pub async fn wait_until_ended(&self, shard: ShardId, tx_ids: &[TxId]) -> Result<(), ControlError> {
        let Some(control) = self.shards().get(shard) else {
            return Err(ControlError::Timeout(CONNECT_MAX));
        };
        for some in tx_ids.chunks(WAITS_AT_ONCE) {
            while !control.have_ended(some).await? {
                tracing::debug!(shard = control.name(), "a read waits for a commit");
            }
        }
        Ok(())
    }

    /// Gates to be closed.
    pub fn gates(&self) -> Gates {
        Gates {
            shards: Arc::clone(self.shards()),
            connections: BTreeMap::new(),
            closed: Vec::new(),
            attempts: 0,
            rng: self.rng(),
        }
    }
}

impl Gates {
    /// Closes those of all these shards; false if commits under way there don't end in time: then some may be closed.
    /// All at once: a committer takes its gates in one moment too, and one that has passed another gate and waits at this
    /// reader's would wait in a circle with it. An error names its shard. Not cancel-safe: drop the gates then.
    pub async fn close(&mut self, shards: &[ShardId]) -> Result<bool, (ShardId, ControlError)> {
        let wait = self.next_wait();
        let mut closing = JoinSet::new();
        for shard in shards {
            let Some(control) = self.shards.get(*shard) else {
                return Err((*shard, ControlError::Timeout(CONNECT_MAX)));
            };
            let (shard, url, connection) = (*shard, control.url().to_owned(), self.connections.remove(shard));
            closing.spawn(async move { (shard, try_to_close(connection, &url, wait).await) });
        }
        let mut all = true;
        for (shard, closed) in closing.join_all().await {
            let (connection, closed) = closed.map_err(|error| (shard, error))?;
            self.connections.insert(shard, connection);
            match closed {
                true => self.closed.push(shard),
                false => all = false,
            }
        }
        Ok(all)
    }

    /// How long to wait this time: longer each time, since on a busy machine commits take longer; and never as long as
    /// another reader that meets this one on two shards.
    fn next_wait(&mut self) -> Duration {
        let wait = WAIT_MIN.saturating_mul(1 << (self.attempts / 4).min(WAIT_DOUBLINGS_MAX));
        self.attempts = self.attempts.saturating_add(1);
        let [dice] = self.rng.bytes().unwrap_or([0]);
        wait.saturating_add(wait.saturating_mul(u32::from(dice)) / u32::from(u8::MAX))
    }

    /// Opens all; whether each had been held to this moment.
    pub async fn open(&mut self) -> bool {
        let sql = format!("SELECT pg_catalog.pg_advisory_unlock({})", LockKey::GATE);
        let mut held = true;
        for shard in std::mem::take(&mut self.closed) {
            let answer = match self.connections.get(&shard) {
                Some(connection) => connection.simple_query(&sql).await.unwrap_or_default(),
                None => Vec::new(),
            };
            let was_held = answer.iter().any(|message| match message {
                SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
                _ => false,
            });
            if !was_held {
                self.connections.remove(&shard);
                held = false;
            }
        }
        held
    }
}

/// One gate, within so long.
async fn try_to_close(
    connection: Option<ControlClient>,
    url: &str,
    wait: Duration,
) -> Result<(ControlClient, bool), ControlError> {
    let connection = match connection {
        Some(connection) => connection,
        None => Control::connect_url(url, CONNECT_MAX).await?,
    };
    let sql = format!(
        "SET lock_timeout = {}; SELECT pg_catalog.pg_advisory_lock({})",
        wait.as_millis(),
        LockKey::GATE
    );
    match connection.simple_query(&sql).await.map_err(ControlError::from) {
        Ok(_) => Ok((connection, true)),
        Err(error) if error.sqlstate() == Some("55P03") => {
            // The time may have run out just when the lock was given: such a lock stays.
            let let_go = "SELECT pg_catalog.pg_advisory_unlock_all()";
            connection.simple_query(let_go).await.map_err(ControlError::from)?;
            Ok((connection, false))
        }
        Err(error) => Err(error),
    }
}
