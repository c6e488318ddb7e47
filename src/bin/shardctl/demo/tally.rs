//! What the workload did: counts and latencies by kind of request and by shard.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a request is about. The order is that of the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    FxMajor,
    FxExotic,
    Equity,
    /// instruments of categories that the configuration doesn't list
    OtherTrades,
    Users,
    Events,
    Everywhere,
}

impl Kind {
    pub(super) const ALL: [Kind; 7] = [
        Kind::FxMajor,
        Kind::FxExotic,
        Kind::Equity,
        Kind::OtherTrades,
        Kind::Users,
        Kind::Events,
        Kind::Everywhere,
    ];

    /// That of an instrument's category.
    pub(super) fn of_category(category: &str) -> Kind {
        match category {
            "fx_major" => Kind::FxMajor,
            "fx_exotic" => Kind::FxExotic,
            "equity" => Kind::Equity,
            _ => Kind::OtherTrades,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Kind::FxMajor => "trades: fx_major",
            Kind::FxExotic => "trades: fx_exotic",
            Kind::Equity => "trades: equity",
            Kind::OtherTrades => "trades: others",
            Kind::Users => "users and orders",
            Kind::Events => "events",
            Kind::Everywhere => "all shards at once",
        }
    }
}

/// Steps of an eighth of an octave: a percentile is at most an eighth too high.
const STEPS: usize = 256;

/// Requests and their latencies.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    /// how many
    pub(super) count: u64,
    steps: Vec<u64>,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies {
            count: 0,
            steps: vec![0; STEPS],
        }
    }
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        self.count = self.count.saturating_add(1);
        if let Some(step) = self.steps.get_mut(step_of(took)) {
            *step = step.saturating_add(1);
        }
    }

    /// The latency that this share (in per cent) of the requests don't exceed; `None` of none.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let wanted = self.count.saturating_mul(percent).div_ceil(100).max(1);
        let mut seen = 0_u64;
        for (step, count) in self.steps.iter().enumerate() {
            seen = seen.saturating_add(*count);
            if seen >= wanted {
                return Some(end_of(step));
            }
        }
        None
    }
}

/// Eight steps for each power of two of microseconds.
fn step_of(took: Duration) -> usize {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
    let octave = micros.ilog2();
    let within = match octave.checked_sub(3) {
        Some(shift) => (micros >> shift) & 7,
        None => (micros << 3_u32.saturating_sub(octave)) & 7,
    };
    usize::try_from(u64::from(octave).saturating_mul(8).saturating_add(within))
        .unwrap_or(usize::MAX)
        .min(STEPS - 1)
}

fn end_of(step: usize) -> Duration {
    let octave = u32::try_from(step / 8).unwrap_or(0);
    let eighths = u64::try_from(step % 8).unwrap_or(0).saturating_add(9);
    Duration::from_micros(eighths.saturating_mul(2_u64.saturating_pow(octave)).div_ceil(8))
}

/// What happened in some time.
#[derive(Clone, Debug, Default)]
pub(super) struct Span {
    kinds: Vec<Latencies>,
    /// by shard; requests to all shards count on each, their latency on none
    shards: Vec<(u64, Latencies)>,
    /// all requests
    pub(super) total: Latencies,
    pub(super) errors: u64,
    /// the newest error of all time
    pub(super) error: Option<String>,
}

impl Span {
    fn new(shards: usize) -> Span {
        Span {
            kinds: vec![Latencies::default(); Kind::ALL.len()],
            shards: vec![(0, Latencies::default()); shards],
            ..Span::default()
        }
    }

    fn add(&mut self, kind: Kind, shard: Option<usize>, took: Duration) {
        self.total.add(took);
        let row = Kind::ALL.iter().position(|known| *known == kind);
        if let Some(kind) = row.and_then(|row| self.kinds.get_mut(row)) {
            kind.add(took);
        }
        match shard {
            Some(shard) => {
                if let Some((count, latencies)) = self.shards.get_mut(shard) {
                    *count = count.saturating_add(1);
                    latencies.add(took);
                }
            }
            None => {
                for (count, _) in &mut self.shards {
                    *count = count.saturating_add(1);
                }
            }
        }
    }

    /// Each kind with what it took.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (Kind, &Latencies)> {
        Kind::ALL.into_iter().zip(&self.kinds)
    }

    /// Each shard: requests, and the latencies of those that only it answered.
    pub(super) fn shards(&self) -> impl Iterator<Item = (u64, &Latencies)> {
        self.shards.iter().map(|(count, latencies)| (*count, latencies))
    }
}

/// Counts of all clients: since the last look, and since the beginning.
#[derive(Debug)]
pub(super) struct Tally {
    /// guards additions and a swap, never over an await
    spans: Mutex<(Span, Span)>,
    shards: usize,
}

impl Tally {
    pub(super) fn new(shards: usize) -> Tally {
        Tally {
            spans: Mutex::new((Span::new(shards), Span::new(shards))),
            shards,
        }
    }

    /// One request that went well; `None`: all shards took part.
    pub(super) fn add(&self, kind: Kind, shard: Option<usize>, took: Duration) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.0.add(kind, shard, took);
        spans.1.add(kind, shard, took);
    }

    /// One that didn't.
    pub(super) fn fail(&self, why: String) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.0.errors = spans.0.errors.saturating_add(1);
        spans.1.errors = spans.1.errors.saturating_add(1);
        spans.1.error = Some(why);
    }

    /// What happened since the last look.
    pub(super) fn look(&self) -> Span {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut spans.0, Span::new(self.shards))
    }

    /// Requests that went well, since the beginning.
    pub(super) fn count(&self) -> u64 {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).1.total.count
    }

    /// All of it.
    pub(super) fn all(&self) -> Span {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_an_eighth_too_high() {
        for micros in [1_u64, 2, 3, 7, 8, 9, 100, 1_000, 12_345, 9_999_999] {
            let mut latencies = Latencies::default();
            latencies.add(Duration::from_micros(micros));
            let shown = latencies.percentile(50).unwrap();
            assert!(shown >= Duration::from_micros(micros), "{micros}: {shown:?}");
            assert!(
                shown <= Duration::from_micros(micros + micros.div_ceil(7) + 1),
                "{micros}: {shown:?}"
            );
        }
        assert_eq!(Latencies::default().percentile(99), None);
        let mut latencies = Latencies::default();
        latencies.add(Duration::from_secs(u64::MAX));
        latencies.percentile(99).unwrap();
    }

    #[test]
    fn a_look_begins_a_new_span_and_the_total_goes_on() {
        let tally = Tally::new(2);
        tally.add(Kind::FxMajor, Some(1), Duration::from_micros(10));
        assert_eq!(tally.look().total.count, 1);
        tally.add(Kind::Everywhere, None, Duration::from_micros(10));
        tally.fail("gone".to_owned());
        let span = tally.look();
        assert_eq!((span.total.count, span.errors), (1, 1));
        let all = tally.all();
        assert_eq!((all.total.count, tally.count()), (2, 2));
        assert_eq!(all.shards().map(|(count, _)| count).collect::<Vec<_>>(), [1, 2]);
    }
}
