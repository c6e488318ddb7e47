//! What a read over several shards waits for: the end of a transaction on a shard, and the gate of commits.
//!
//! Why connections of their own: a wait may be long, and neither the clients' pools nor recovery may run dry by it.
//! Holds: a lock that was waited for is let go at once; a gate that is closed is opened by the same connection, or by
//! that connection's end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::gid::TxId;
use super::lock::LockKey;
use super::shards::Shards;
use super::two_phase::Coordinator;
use crate::backend::{Control, ControlClient, ControlError, SimpleQueryMessage};
use crate::topology::ShardId;

/// Connecting for a gate takes no longer.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Transactions that are waited for by one statement.
const WAITS_AT_ONCE: usize = 64;

/// Gates of the shards that one reader has closed.
#[derive(Debug)]
pub struct Gates {
    shards: Arc<Shards>,
    connections: BTreeMap<ShardId, ControlClient>,
    closed: Vec<ShardId>,
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
        }
    }
}

impl Gates {
    /// Closes one more; false if commits under way there don't end in time. Not cancel-safe: drop the gates then.
    pub async fn close(&mut self, shard: ShardId) -> Result<bool, ControlError> {
        // A commit takes less; one that has passed another gate and waits at this reader's takes for ever.
        const CLOSE: &str = "SET lock_timeout = '25ms'; SELECT pg_catalog.pg_advisory_lock";
        if !self.connections.contains_key(&shard) {
            let Some(control) = self.shards.get(shard) else {
                return Err(ControlError::Timeout(CONNECT_MAX));
            };
            let connection = Control::connect_url(control.url(), CONNECT_MAX).await?;
            self.connections.insert(shard, connection);
        }
        let Some(connection) = self.connections.get(&shard) else {
            return Err(ControlError::Timeout(CONNECT_MAX));
        };
        let closed = connection.simple_query(&format!("{CLOSE}({})", LockKey::GATE)).await;
        match closed.map_err(ControlError::from) {
            Ok(_) => {
                self.closed.push(shard);
                Ok(true)
            }
            Err(error) if error.sqlstate() == Some("55P03") => Ok(false),
            Err(error) => Err(error),
        }
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
