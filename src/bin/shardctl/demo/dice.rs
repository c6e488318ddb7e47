//! Numbers that look random and are the same in every run: the demo's rows, and what its clients do.

use shardgate::telemetry::Entropy;

/// Picks out of one sequence.
#[derive(Clone, Debug)]
pub(super) struct Dice(Entropy);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(Entropy::new(seed))
    }

    /// 0 up to, not including, `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0.draw().checked_rem(end).unwrap_or(0)
    }

    /// `low` up to and including `high`.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low).saturating_add(1);
        low.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    /// One of these; `None` of none.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let at = self.below(u64::try_from(from.len()).unwrap_or(0));
        from.get(usize::try_from(at).unwrap_or(0))
    }
}
