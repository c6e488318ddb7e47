//! Whose load a batch is: which statements kept which backend busy, told to telemetry once the batch has ended.
//!
//! How: planning says which bucket a statement touches; the links say how long each backend was occupied from a batch's
//! first byte to its ReadyForQuery. A batch's time on a shard is divided evenly among its statements there. What no
//! statement of the batch asked for (COMMIT, above all) belongs to the buckets that the block has touched on that shard.
//! A statement that touches several buckets, or any, counts for the shard alone.
//! Holds: a batch of one statement allocates nothing here; of a longer one [`TOUCHES_MAX`] statements stand for all.

use std::sync::Arc;
use std::time::Duration;

use crate::plan::{Access, Plan, Touched};
use crate::session::state::Session;
use crate::telemetry::{BucketCost, Entropy, LoadAccess, LoadCells, LoadMeter};
use crate::topology::{BucketId, KeyspaceId, ShardId, ShardSet};
use crate::value::Key;

/// Statements of a batch that are remembered, drawn evenly from all.
const TOUCHES_MAX: usize = 16;

/// Buckets that a block is remembered to have touched.
const BLOCK_MAX: usize = 8;

/// A bucket of a keyspace.
type At = (KeyspaceId, BucketId);

/// What a session remembers for telemetry.
#[derive(Debug)]
pub(super) struct Load {
    cells: Arc<LoadCells>,
    generation: u64,
    entropy: Entropy,
    /// statements of the batch
    touches: Vec<Touch>,
    /// how many there were
    count: u64,
    /// buckets that the block has touched, each once
    block: Vec<(ShardId, At)>,
    /// how long the batch waited for backends
    waited: Vec<(ShardId, Duration)>,
}

/// One statement.
#[derive(Debug)]
struct Touch {
    shards: ShardSet,
    /// the one bucket that it touches
    at: Option<At>,
    access: LoadAccess,
    /// its key, if that is to be looked at
    key: Option<Key>,
}

/// What a batch has used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    /// waiting for backends, all together
    pub(super) queue: Duration,
    /// the longest that one backend was occupied: several work at once
    pub(super) backend: Duration,
}

/// What is known of a batch when it has ended.
#[derive(Clone, Copy, Debug)]
struct Sums {
    rows: u64,
    bytes: u64,
    /// 1 if it ended with an error
    errors: u64,
}

// === impl Load ===

impl Load {
    /// Of a new session.
    pub(super) fn new(meter: &LoadMeter, seed: u64) -> Load {
        Load {
            generation: meter.generation(),
            cells: meter.cells(),
            entropy: Entropy::new(seed),
            touches: Vec::new(),
            count: 0,
            block: Vec::new(),
            waited: Vec::new(),
        }
    }

    /// A statement is going to run.
    pub(super) fn touch(&mut self, plan: &mut Plan) {
        let touched = std::mem::replace(&mut plan.touched, Touched::Nothing);
        let access = match plan.access {
            Access::Read => LoadAccess::Read,
            Access::Lock | Access::Write => LoadAccess::Write,
        };
        self.touch_on(plan.work.shards(), access, touched);
    }

    fn touch_on(&mut self, shards: ShardSet, access: LoadAccess, touched: Touched) {
        let (at, key) = match touched {
            Touched::One(one) if shards.single().is_some() => (Some((one.keyspace, one.bucket)), one.key),
            Touched::One(_) | Touched::Nothing | Touched::Several => (None, None),
        };
        let entropy = self.entropy.draw();
        let is_wanted = |(keyspace, _)| self.cells.wants_key(keyspace, entropy);
        let touch = Touch {
            shards,
            at,
            access,
            key: key.filter(|_| at.is_some_and(is_wanted)),
        };
        self.count = self.count.saturating_add(1);
        if self.touches.len() < TOUCHES_MAX {
            if self.touches.capacity() == 0 {
                self.touches.reserve_exact(1); // by far the most batches are one statement
            }
            self.touches.push(touch);
            return;
        }
        // Each statement so far has the same chance to be among those that are kept.
        let place = usize::try_from(self.entropy.draw() % self.count).ok();
        if let Some(there) = place.and_then(|place| self.touches.get_mut(place)) {
            *there = touch;
        }
    }

    /// The session waited for one of a shard's backends.
    pub(super) fn wait(&mut self, shard: ShardId, waited: Duration) {
        self.waited.push((shard, waited));
    }

    /// A shard's backend was occupied so long by this batch.
    fn charge(&mut self, shard: ShardId, busy: Duration, sums: &Sums) {
        let waiting = self.take_waited(shard);
        if busy.is_zero() && waiting.is_zero() {
            return;
        }
        let here = |touch: &&Touch| touch.shards.contains(shard);
        let here = u32::try_from(self.touches.iter().filter(here).count()).unwrap_or(u32::MAX);
        if here == 0 {
            return self.charge_block(shard, busy, waiting);
        }
        let kept = u64::try_from(self.touches.len()).unwrap_or(1).max(1);
        // What each of those kept stands for: itself, unless there were more.
        let stands_for = (self.count / kept).max(1);
        let (busy, waiting) = (busy / here, waiting / here);
        let mut left = here;
        for touch in self.touches.iter().filter(|touch| touch.shards.contains(shard)) {
            left = left.saturating_sub(1);
            let Some((keyspace, bucket)) = touch.at else {
                self.cells.unattributed(shard, busy, waiting);
                continue;
            };
            self.cells.bucket(&BucketCost {
                keyspace,
                bucket,
                shard,
                access: touch.access,
                statements: stands_for,
                rows: sums.rows / kept,
                bytes: sums.bytes / kept,
                errors: if left == 0 { sums.errors } else { 0 }, // an error ends its batch
                busy,
                waiting,
            });
            if let Some(key) = &touch.key {
                self.cells.key((keyspace, bucket), key, busy, self.entropy.draw());
            }
        }
    }

    /// Nothing that this batch planned ran there.
    fn charge_block(&mut self, shard: ShardId, busy: Duration, waiting: Duration) {
        let touched = self.block.iter().filter(|(on, _)| *on == shard);
        let count = u32::try_from(touched.count()).unwrap_or(u32::MAX);
        if count == 0 {
            return self.cells.unattributed(shard, busy, waiting);
        }
        for (_, (keyspace, bucket)) in self.block.iter().filter(|(on, _)| *on == shard) {
            self.cells.bucket(&BucketCost {
                keyspace: *keyspace,
                bucket: *bucket,
                shard,
                access: LoadAccess::Write,
                statements: 0,
                rows: 0,
                bytes: 0,
                errors: 0,
                busy: busy / count,
                waiting: waiting / count,
            });
        }
    }

    fn take_waited(&mut self, shard: ShardId) -> Duration {
        if self.waited.is_empty() {
            return Duration::ZERO;
        }
        let waited = self
            .waited
            .iter()
            .filter(|(on, _)| *on == shard)
            .map(|(_, waited)| *waited);
        let sum = waited.fold(Duration::ZERO, Duration::saturating_add);
        self.waited.retain(|(on, _)| *on != shard);
        sum
    }

    /// The batch has ended; `in_block`: its block has not.
    fn end(&mut self, in_block: InBlock) {
        // Whoever was waited for and never came.
        for (shard, waited) in std::mem::take(&mut self.waited) {
            self.cells.unattributed(shard, Duration::ZERO, waited);
        }
        match in_block {
            InBlock::Yes => {
                for touch in &self.touches {
                    if let (Some(at), Some(shard)) = (touch.at, touch.shards.single())
                        && self.block.len() < BLOCK_MAX
                        && !self.block.contains(&(shard, at))
                    {
                        self.block.push((shard, at));
                    }
                }
            }
            InBlock::No => self.block.clear(),
        }
        self.count = 0;
        if self.touches.capacity() > 1 {
            self.touches = Vec::new();
        }
        self.touches.clear();
    }

    /// The topology may have changed.
    fn follow(&mut self, meter: &LoadMeter) {
        let generation = meter.generation();
        if self.generation != generation {
            self.generation = generation;
            self.cells = meter.cells();
        }
    }
}

/// Does the client's block go on?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InBlock {
    /// yes
    Yes,
    /// no
    No,
}

impl Session {
    /// The batch has ended: tells whose load it was. Before backends are let go.
    pub(super) fn charge(&mut self) {
        self.load.follow(self.world.discovery.load_meter());
        let sums = self.sums();
        let mut used = self.used;
        for participant in self.participants.iter_mut() {
            participant.backend.link.answered(); // as a rule it was told already
            let busy = participant.backend.link.take_busy();
            used.backend = used.backend.max(busy);
            self.load.charge(participant.shard, busy, &sums);
        }
        self.used = used;
        self.load.end(match self.block.is_explicit() {
            true => InBlock::Yes,
            false => InBlock::No,
        });
    }

    /// A backend is lost: what it did until now was this batch's.
    pub(super) fn charge_lost(&mut self, lost: &mut crate::transaction::Participant) {
        let sums = self.sums();
        lost.backend.link.answered();
        let busy = lost.backend.link.take_busy();
        self.used.backend = self.used.backend.max(busy);
        self.load.charge(lost.shard, busy, &sums);
    }

    /// The session waited for a backend.
    pub(super) fn note_wait(&mut self, shard: ShardId, waited: Duration) {
        self.used.queue = self.used.queue.saturating_add(waited);
        self.load.wait(shard, waited);
    }

    fn sums(&self) -> Sums {
        Sums {
            rows: self.rows,
            bytes: self.running.sent.saturating_add(self.running.received),
            errors: match self.running.outcome {
                crate::telemetry::Outcome::Done => 0,
                crate::telemetry::Outcome::Failed
                | crate::telemetry::Outcome::Refused
                | crate::telemetry::Outcome::Cancelled => 1,
            },
        }
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
