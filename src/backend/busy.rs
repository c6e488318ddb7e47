//! How long a backend is occupied: from the first byte of a batch that is sent to its ReadyForQuery.
//!
//! Why here: whatever is sent to a backend goes through its link, so the beginning is found in one place; the end is told
//! by whoever reads ReadyForQuery. Time between batches, idle in a transaction or in the pool, isn't counted.

use std::time::{Duration, Instant};

use crate::clock::Clock;

/// One link's meter.
#[derive(Debug)]
pub(super) struct Busy {
    clock: Clock,
    since: Option<Instant>,
    sum: Duration,
}

impl Busy {
    pub(super) fn new(clock: Clock) -> Busy {
        Busy {
            clock,
            since: None,
            sum: Duration::ZERO,
        }
    }

    /// Something is sent.
    #[inline]
    pub(super) fn begin(&mut self) {
        if self.since.is_none() {
            self.since = Some(self.clock.now());
        }
    }

    /// Something is sent, and this is the time.
    #[inline]
    pub(super) fn begin_at(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// ReadyForQuery was read, or nothing more will be.
    #[inline]
    pub(super) fn end(&mut self) {
        if self.since.is_some() {
            self.end_at(self.clock.now());
        }
    }

    /// The same, and this is the time.
    #[inline]
    pub(super) fn end_at(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.sum = self.sum.saturating_add(now.saturating_duration_since(since));
        }
    }

    /// What has been counted since the last call.
    #[inline]
    pub(super) fn take(&mut self) -> Duration {
        std::mem::take(&mut self.sum)
    }

    /// Nothing was counted.
    pub(super) fn reset(&mut self) {
        self.since = None;
        self.sum = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_the_caller_knows_count_like_those_of_the_clock() {
        let mut busy = Busy::new(Clock);
        let begun = Clock.now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        busy.begin_at(at(0));
        busy.begin_at(at(1)); // it is occupied already
        busy.begin();
        busy.end_at(at(5));
        busy.end_at(at(9)); // nothing is under way
        busy.end();
        assert_eq!(busy.take(), Duration::from_secs(5));
        busy.begin_at(at(20));
        busy.end_at(at(19));
        assert_eq!(busy.take(), Duration::ZERO);
    }
}
