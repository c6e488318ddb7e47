//! Deleting marks of commits that no reader needs any more.
//!
//! Why every proxy does it for all marks: the one that committed may be gone, and marks that stay make every read over
//! several shards slower. Two that delete the same mark do no harm.
//! Holds: a mark goes only when its transaction was seen committed on every participant [`MARKS_KEPT`] ago by this
//! proxy's own clock; a shard that doesn't answer, or that is a standby, keeps its transactions' marks everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::gid::TxId;
use super::shards::{Listed, ShardControl, Shards};
use super::snapshot::{MARKS_KEPT, Mark};
use crate::backend::ControlError;
use crate::clock::Clock;
use crate::topology::ShardId;

/// Between two looks at the marks, where there are any.
const PERIOD: Duration = Duration::from_millis(500);

/// Between two looks where there were none.
const PERIOD_IDLE: Duration = Duration::from_secs(2);

/// Deleted rows of one shard after which their space is made free: autovacuum comes too seldom for so small a table.
const VACUUM_EVERY: usize = 2_000;

/// Deletes marks; one per proxy.
#[derive(Debug)]
pub struct Sweeper {
    shards: Arc<Shards>,
    clock: Clock,
    /// when a transaction was first seen committed everywhere
    seen: BTreeMap<TxId, Instant>,
    /// rows deleted since the last vacuum
    deleted: BTreeMap<ShardId, usize>,
}

/// What becomes of the space of deleted rows now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    Leave,
    MakeFree,
}

/// The marks of one moment, by shard; a shard that didn't answer is missing.
type Marks = BTreeMap<ShardId, BTreeSet<Mark>>;

impl Sweeper {
    /// Over these shards.
    pub fn new(shards: Arc<Shards>, clock: Clock) -> Sweeper {
        Sweeper {
            shards,
            clock,
            seen: BTreeMap::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// Runs until the future is dropped: the owner awaits it in a task.
    pub async fn run(mut self) {
        loop {
            let marks = self.look().await;
            let any = marks.values().any(|list| !list.is_empty());
            if any || !self.seen.is_empty() {
                self.sweep(&marks).await;
            }
            tokio::time::sleep(if any { PERIOD } else { PERIOD_IDLE }).await;
        }
    }

    async fn look(&self) -> Marks {
        let mut looks = JoinSet::new();
        for control in self.shards.all().iter() {
            let (shard, control) = (control.shard(), Arc::clone(control));
            looks.spawn(async move { (shard, control.marks().await) });
        }
        let looked = looks.join_all().await.into_iter();
        looked
            .filter_map(|(shard, marks)| match marks {
                Ok(marks) => Some((shard, marks)),
                Err(error) => {
                    tracing::debug!(?shard, %error, "marks can't be looked at");
                    None
                }
            })
            .collect()
    }

    async fn sweep(&mut self, marks: &Marks) {
        let all: BTreeSet<&Mark> = marks.values().flatten().collect();
        self.seen.retain(|tx_id, _| all.iter().any(|mark| mark.tx_id == *tx_id));
        let mut prepared = BTreeMap::new();
        let mut due: BTreeMap<ShardId, Vec<TxId>> = BTreeMap::new();
        for mark in all {
            let mut everywhere = true;
            for shard in &mark.participants {
                everywhere = everywhere && self.has_committed(*shard, mark, marks, &mut prepared).await;
            }
            if !everywhere {
                continue;
            }
            // Taken after all looks: it was committed on the last of them before that.
            let now = self.clock.now();
            let seen = *self.seen.entry(mark.tx_id).or_insert(now);
            if now.saturating_duration_since(seen) >= MARKS_KEPT {
                for shard in &mark.participants {
                    due.entry(*shard).or_default().push(mark.tx_id);
                }
            }
        }
        self.delete(due).await;
    }

    /// Where one part is visible it is decided; so a part whose mark isn't there either is prepared still, or has lost
    /// its mark to another sweeper.
    async fn has_committed(
        &self,
        shard: ShardId,
        mark: &Mark,
        marks: &Marks,
        prepared: &mut BTreeMap<ShardId, Option<BTreeSet<TxId>>>,
    ) -> bool {
        if marks.get(&shard).is_some_and(|list| list.contains(mark)) {
            return true;
        }
        if let std::collections::btree_map::Entry::Vacant(entry) = prepared.entry(shard) {
            let listed = match self.shards.get(shard) {
                Some(control) => control.prepared().await.ok(),
                None => None,
            };
            entry.insert(match listed {
                Some(Listed::Parts(parts)) => Some(parts.into_iter().map(|part| part.gid.tx_id).collect()),
                Some(Listed::Standby) | None => None,
            });
        }
        matches!(prepared.get(&shard), Some(Some(held)) if !held.contains(&mark.tx_id))
    }

    /// On all shards at once: a reader that finds a mark on one of them only has to look twice.
    async fn delete(&mut self, due: BTreeMap<ShardId, Vec<TxId>>) {
        let mut deletions = JoinSet::new();
        for (shard, tx_ids) in due {
            let Some(control) = self.shards.get(shard) else {
                continue;
            };
            let deleted = self.deleted.entry(shard).or_default();
            *deleted = deleted.saturating_add(tx_ids.len());
            let space = match *deleted >= VACUUM_EVERY {
                true => Space::MakeFree,
                false => Space::Leave,
            };
            if space == Space::MakeFree {
                *deleted = 0;
            }
            deletions.spawn(async move {
                if let Err(error) = clear(&control, &tx_ids, space).await {
                    tracing::debug!(shard = control.name(), %error, "marks are left to the next round");
                }
            });
        }
        deletions.join_all().await;
    }
}

async fn clear(control: &ShardControl, tx_ids: &[TxId], space: Space) -> Result<(), ControlError> {
    control.delete_marks(tx_ids).await?;
    match space {
        Space::MakeFree => control.vacuum_marks().await,
        Space::Leave => Ok(()),
    }
}
