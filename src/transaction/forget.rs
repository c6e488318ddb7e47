//! Deleting the decision rows of transactions that are committed everywhere, behind the clients' backs.
//!
//! Why one task with an inbox: no client waits for it, many rows go in one statement, and nothing grows without bound.
//! What doesn't fit, or fails, is left to recovery, which deletes old rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::gid::TxId;
use super::rules::Verdict;
use super::shards::Shards;
use crate::topology::ShardId;

/// Rows that may wait.
const INBOX_MAX: usize = 4_096;

/// Rows deleted by one statement.
const BATCH_MAX: usize = 256;

/// Takes note of rows that may go.
#[derive(Clone, Debug)]
pub struct Forgetter {
    inbox: mpsc::Sender<(ShardId, TxId)>,
}

/// Deletes them; runs until the last [`Forgetter`] is gone.
#[derive(Debug)]
pub struct Forgetting {
    inbox: mpsc::Receiver<(ShardId, TxId)>,
    shards: Arc<Shards>,
}

/// Both ends.
pub fn forgetting(shards: Arc<Shards>) -> (Forgetter, Forgetting) {
    let (sender, receiver) = mpsc::channel(INBOX_MAX);
    let forgetting = Forgetting {
        inbox: receiver,
        shards,
    };
    (Forgetter { inbox: sender }, forgetting)
}

impl Forgetter {
    pub(super) fn forget(&self, shard: ShardId, tx_id: TxId) {
        if self.inbox.try_send((shard, tx_id)).is_err() {
            tracing::debug!(%tx_id, "a decision row is left to recovery");
        }
    }
}

impl Forgetting {
    /// Runs; its owner awaits it in a task.
    pub async fn run(mut self) {
        let mut rows = Vec::new();
        while self.inbox.recv_many(&mut rows, BATCH_MAX).await > 0 {
            let mut by_shard: BTreeMap<ShardId, Vec<TxId>> = BTreeMap::new();
            for (shard, tx_id) in rows.drain(..) {
                by_shard.entry(shard).or_default().push(tx_id);
            }
            for (shard, tx_ids) in by_shard {
                let Some(control) = self.shards.get(shard) else {
                    continue;
                };
                if let Err(error) = control.forget(&tx_ids, Verdict::Commit).await {
                    tracing::debug!(shard = control.name(), %error, "decision rows are left to recovery");
                }
            }
        }
    }
}
