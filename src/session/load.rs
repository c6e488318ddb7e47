//! Whose load a batch is: which statements kept which backend busy, told to telemetry once the batch has ended.
//!
//! How: planning says which bucket a statement touches; the links say how long each backend was occupied from a batch's
//! first byte to its ReadyForQuery. A batch's time on a shard is divided evenly among its statements there. What no
//! statement of the batch asked for (COMMIT, above all) belongs to the buckets that the block has touched on that shard.
//! A write of rows in several buckets is divided among them by the rows of each; what else touches several, or any, counts
//! for the shard alone.
//! Holds: a batch of one statement allocates nothing here; of a longer one [`TOUCHES_MAX`] statements stand for all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::plan::{Access, RowShares, Touched};
use crate::session::state::Session;
use crate::telemetry::{BucketCost, Entropy, LoadAccess, LoadCells, LoadMeter};
use crate::topology::{BucketId, KeyspaceId, ShardId, ShardSet};
use crate::transaction::Participant;
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
    /// none: load is not measured
    cells: Option<Arc<LoadCells>>,
    generation: u64,
    entropy: Entropy,
    /// statements of the batch
    touches: Vec<Touch>,
    /// where the latest stands among them
    latest: Option<usize>,
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
    whose: Whose,
    access: LoadAccess,
}

/// Whose load a statement is.
#[derive(Debug)]
enum Whose {
    /// no bucket's, or many buckets'
    Nobodys,
    /// one bucket's; its key, if that is to be looked at
    One(At, Option<Key>),
    /// of those that its rows lie in
    Rows(Box<RowShares>),
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
            latest: None,
            count: 0,
            block: Vec::new(),
            waited: Vec::new(),
        }
    }

    /// Is it told how long backends are occupied?
    pub(super) fn is_measured(&self) -> bool {
        self.cells.is_some()
    }

    /// A statement is going to run there.
    pub(super) fn touch(&mut self, shards: ShardSet, access: Access, touched: Touched) {
        let access = match access {
            Access::Read => LoadAccess::Read,
            Access::Lock | Access::Write => LoadAccess::Write,
        };
        self.touch_on(shards, access, touched);
    }

    fn touch_on(&mut self, shards: ShardSet, access: LoadAccess, touched: Touched) {
        let Some(cells) = &self.cells else { return };
        let entropy = self.entropy.draw();
        let whose = match touched {
            Touched::One(one) if shards.single().is_some() => {
                let key = one.key.filter(|_| cells.wants_key(one.keyspace, entropy));
                Whose::One((one.keyspace, one.bucket), key)
            }
            Touched::Rows(rows) => Whose::Rows(rows),
            Touched::One(_) | Touched::Nothing | Touched::Several => Whose::Nobodys,
        };
        let touch = Touch { shards, whose, access };
        self.count = self.count.saturating_add(1);
        if self.touches.len() < TOUCHES_MAX {
            if self.touches.capacity() == 0 {
                self.touches.reserve_exact(1); // by far the most batches are one statement
            }
            self.latest = Some(self.touches.len());
            self.touches.push(touch);
            return;
        }
        // Each statement so far has the same chance to be among those that are kept.
        let place = usize::try_from(self.entropy.draw() % self.count).ok();
        self.latest = place.filter(|place| *place < self.touches.len());
        if let Some(there) = self.latest.and_then(|place| self.touches.get_mut(place)) {
            *there = touch;
        }
    }

    /// Whose rows the latest statement wrote is known only now that they have gone by.
    pub(super) fn divide(&mut self, shares: RowShares) {
        if let Some(touch) = self.latest.and_then(|latest| self.touches.get_mut(latest)) {
            touch.whose = Whose::Rows(Box::new(shares));
        }
    }

    /// The session waited for one of a shard's backends.
    pub(super) fn wait(&mut self, shard: ShardId, waited: Duration) {
        if !self.is_measured() {
            return;
        }
        self.waited.push((shard, waited));
    }

    /// What a shard's backend did until now was this batch's; answers how long it was occupied.
    fn charge_backend(&mut self, participant: &mut Participant, sums: &Sums) -> Duration {
        participant.backend.link.answered(); // as a rule it was told already
        let busy = participant.backend.link.take_busy();
        self.charge(participant.shard, busy, sums);
        busy
    }

    /// A shard's backend was occupied so long by this batch.
    fn charge(&mut self, shard: ShardId, busy: Duration, sums: &Sums) {
        let waiting = self.take_waited(shard);
        let Some(cells) = &self.cells else { return };
        if busy.is_zero() && waiting.is_zero() {
            return;
        }
        if let [touch] = self.touches.as_slice()
            && self.count == 1
            && touch.shards.contains(shard)
            && let Whose::One(at, None) = &touch.whose
        {
            // By far the most batches.
            let whole = Part {
                shard,
                busy,
                waiting,
                statements: 1,
                rows: sums.rows,
                bytes: sums.bytes,
                errors: sums.errors,
            };
            return cells.bucket(&whole.cost(*at, touch.access));
        }
        let here = |touch: &&Touch| touch.shards.contains(shard);
        let here = u32::try_from(self.touches.iter().filter(here).count()).unwrap_or(u32::MAX);
        if here == 0 {
            return self.charge_block(cells, shard, busy, waiting);
        }
        let kept = u64::try_from(self.touches.len()).unwrap_or(1).max(1);
        let (busy, waiting) = (busy / here, waiting / here);
        let mut part = Part {
            shard,
            busy,
            waiting,
            // What each of those kept stands for: itself, unless there were more.
            statements: (self.count / kept).max(1),
            rows: sums.rows / kept,
            bytes: sums.bytes / kept,
            errors: 0,
        };
        let mut left = here;
        for touch in self.touches.iter().filter(|touch| touch.shards.contains(shard)) {
            left = left.saturating_sub(1);
            part.errors = if left == 0 { sums.errors } else { 0 }; // an error ends its batch
            match &touch.whose {
                Whose::Nobodys => cells.unattributed(shard, busy, waiting),
                Whose::One(at, key) => {
                    cells.bucket(&part.cost(*at, touch.access));
                    if let Some(key) = key {
                        cells.key(*at, key, busy, self.entropy.draw());
                    }
                }
                Whose::Rows(rows) => part.divide(cells, rows, touch.access, &mut self.entropy),
            }
        }
    }

    /// Nothing that this batch planned ran there.
    fn charge_block(&self, cells: &LoadCells, shard: ShardId, busy: Duration, waiting: Duration) {
        let touched = self.block.iter().filter(|(on, _)| *on == shard);
        let count = u32::try_from(touched.count()).unwrap_or(u32::MAX);
        if count == 0 {
            return cells.unattributed(shard, busy, waiting);
        }
        let part = Part {
            shard,
            busy: busy / count,
            waiting: waiting / count,
            statements: 0,
            rows: 0,
            bytes: 0,
            errors: 0,
        };
        for (_, at) in self.block.iter().filter(|(on, _)| *on == shard) {
            cells.bucket(&part.cost(*at, LoadAccess::Write));
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
            if let Some(cells) = &self.cells {
                cells.unattributed(shard, Duration::ZERO, waited);
            }
        }
        match in_block {
            InBlock::Yes => {
                let block = &mut self.block;
                for touch in &self.touches {
                    touch.tell_places(|shard, at| {
                        if block.len() < BLOCK_MAX && !block.contains(&(shard, at)) {
                            block.push((shard, at));
                        }
                    });
                }
            }
            InBlock::No => self.block.clear(),
        }
        self.count = 0;
        self.latest = None;
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

// === impl Touch ===

impl Touch {
    /// Tells where it was at work, as a block remembers it: of the rows on a shard, where most lie.
    fn tell_places(&self, mut tell: impl FnMut(ShardId, At)) {
        match &self.whose {
            Whose::Nobodys => {}
            Whose::One(at, _) => {
                if let Some(shard) = self.shards.single() {
                    tell(shard, *at);
                }
            }
            Whose::Rows(rows) => {
                let most = |shard| rows.on(shard).max_by_key(|share| share.rows);
                for share in self.shards.iter().filter_map(most) {
                    tell(share.shard, (rows.keyspace, share.bucket));
                }
            }
        }
    }
}

/// One statement's part of what its batch cost on a shard.
struct Part {
    shard: ShardId,
    busy: Duration,
    waiting: Duration,
    statements: u64,
    rows: u64,
    bytes: u64,
    errors: u64,
}

// === impl Part ===

impl Part {
    /// All of it as one bucket's.
    fn cost(&self, (keyspace, bucket): At, access: LoadAccess) -> BucketCost {
        BucketCost {
            keyspace,
            bucket,
            shard: self.shard,
            access,
            statements: self.statements,
            rows: self.rows,
            bytes: self.bytes,
            errors: self.errors,
            busy: self.busy,
            lasted: self.busy,
            waiting: self.waiting,
        }
    }

    /// Divides it among the buckets that its rows lie in, by their number.
    fn divide(&self, cells: &LoadCells, rows: &RowShares, access: LoadAccess, entropy: &mut Entropy) {
        let here = rows.rows_on(self.shard);
        if here == 0 {
            return cells.unattributed(self.shard, self.busy, self.waiting);
        }
        let everywhere = rows.shares.iter().map(|share| share.rows).fold(0, u64::saturating_add);
        for (index, share) in rows.on(self.shard).enumerate() {
            let at = (rows.keyspace, share.bucket);
            cells.bucket(&BucketCost {
                rows: share.rows,
                bytes: part_of(self.bytes, share.rows, everywhere),
                errors: if index == 0 { self.errors } else { 0 },
                busy: duration_part(self.busy, share.rows, here),
                waiting: duration_part(self.waiting, share.rows, here),
                ..self.cost(at, access)
            });
        }
        let on_shard = |bucket: BucketId| rows.on(self.shard).any(|share| share.bucket == bucket);
        let keys = rows.keys.iter().filter(|(bucket, _)| on_shard(*bucket));
        let each = self.busy / u32::try_from(keys.clone().count()).unwrap_or(u32::MAX).max(1);
        for (bucket, key) in keys {
            if cells.wants_key(rows.keyspace, entropy.draw()) {
                cells.key((rows.keyspace, *bucket), key, each, entropy.draw());
            }
        }
    }
}

fn part_of(amount: u64, part: u64, whole: u64) -> u64 {
    let of = u128::from(amount).saturating_mul(u128::from(part));
    u64::try_from(of.checked_div(u128::from(whole)).unwrap_or(0)).unwrap_or(u64::MAX)
}

fn duration_part(amount: Duration, part: u64, whole: u64) -> Duration {
    let nanos = u64::try_from(amount.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(part_of(nanos, part, whole))
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
        for participant in self.participants.iter_mut() {
            let busy = self.load.charge_backend(participant, &sums);
            self.used.backend = self.used.backend.max(busy);
        }
        self.load.end(match self.block.is_explicit() {
            true => InBlock::Yes,
            false => InBlock::No,
        });
    }

    /// The same, at this moment: backends that haven't been told yet end their work now.
    pub(super) fn charge_at(&mut self, now: Instant) {
        for participant in self.participants.iter_mut() {
            participant.backend.link.answered_at(now);
        }
        self.charge();
    }

    /// A backend is lost: what it did until now was this batch's.
    pub(super) fn charge_lost(&mut self, lost: &mut Participant) {
        let sums = self.sums();
        let busy = self.load.charge_backend(lost, &sums);
        self.used.backend = self.used.backend.max(busy);
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
