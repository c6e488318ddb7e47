//! Rates over several windows at once: exponentially weighted moving averages, corrected for what they have not yet seen.
//!
//! Why in continuous time: ticks come late or not at all, so each one brings the time that it stands for. With
//! k = exp(-dt/T) an average becomes `k * average + (1 - k) * amount / dt`. It starts at zero and so is too small by the
//! factor `1 - exp(-age/T)` at first; dividing by that corrects the bias (Kingma and Ba, "Adam", 2015, section 3). What
//! has lasted d until now at a rate of 1 adds `1 - exp(-d/T)`, whenever it becomes known.
//! Holds: a constant rate is told exactly from the first tick on, however uneven the ticks are.

use std::time::Duration;

use super::load::Windows;

/// The windows' time constants, in the order of the fields of [`Windows`].
pub const WINDOW_LENGTHS: [Duration; WINDOWS] = [
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(3600),
];

/// How many windows there are.
const WINDOWS: usize = 4;

/// An average below this is no load; it keeps numbers from becoming endlessly small.
const NOTHING: f64 = 1e-15;

/// One quantity's rate over all windows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ewma {
    rates: Rates<1>,
}

/// Rates of several quantities that have been measured equally long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rates<const N: usize> {
    /// 1 - exp(-age/T)
    weights: [f64; WINDOWS],
    averages: [[f64; WINDOWS]; N],
}

/// What one tick does to every average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    seconds: f64,
    keep: [f64; WINDOWS],
}

/// What rates over `measured` count for in rates over `whole`, if nothing came before they were measured: the parts of
/// the windows that each has seen, one over the other.
pub(crate) fn parts(measured: Duration, whole: Duration) -> [f64; WINDOWS] {
    WINDOW_LENGTHS.map(|length| {
        let seen = |time: Duration| -(-time.as_secs_f64() / length.as_secs_f64()).exp_m1();
        let (part, whole) = (seen(measured), seen(whole));
        if whole > 0.0 { part / whole } else { 1.0 }
    })
}

// === impl Ewma ===

impl Ewma {
    /// Nothing seen yet.
    pub fn new() -> Ewma {
        Ewma::default()
    }

    /// So much came in the time since the last call.
    pub fn observe(&mut self, amount: f64, elapsed: Duration) {
        if let Some(step) = Step::over(elapsed) {
            self.rates.observe(&[amount], &step);
        }
    }

    /// Rates per second; zero before the first observation.
    pub fn windows(&self) -> Windows {
        self.rates.windows(0)
    }
}

// === impl Step ===

impl Step {
    /// The step over a time; none if no time has passed.
    pub(crate) fn over(elapsed: Duration) -> Option<Step> {
        let seconds = elapsed.as_secs_f64();
        let keep = WINDOW_LENGTHS.map(|length| (-seconds / length.as_secs_f64()).exp());
        (seconds > 0.0).then_some(Step { seconds, keep })
    }

    /// What each window keeps of what it held before.
    pub(crate) fn keep(&self) -> [f64; WINDOWS] {
        self.keep
    }
}

// === impl Rates ===

impl<const N: usize> Default for Rates<N> {
    fn default() -> Self {
        Rates {
            weights: [0.0; WINDOWS],
            averages: [[0.0; WINDOWS]; N],
        }
    }
}

impl<const N: usize> Rates<N> {
    /// So much of each came during the step.
    pub(crate) fn observe(&mut self, amounts: &[f64; N], step: &Step) {
        for (weight, keep) in self.weights.iter_mut().zip(step.keep) {
            *weight = *weight * keep + (1.0 - keep);
        }
        for (averages, amount) in self.averages.iter_mut().zip(amounts) {
            let rate = amount / step.seconds;
            if rate == 0.0 && averages.iter().all(|average| *average == 0.0) {
                continue; // most buckets of most keyspaces
            }
            for (average, keep) in averages.iter_mut().zip(step.keep) {
                let next = *average * keep + rate * (1.0 - keep);
                *average = if next < NOTHING { 0.0 } else { next };
            }
        }
    }

    /// So many of one quantity lasted from `duration` ago until now, and become known only now.
    pub(crate) fn observe_past(&mut self, quantity: usize, duration: Duration, count: f64) {
        let Some(step) = Step::over(duration) else { return };
        if let Some(averages) = self.averages.get_mut(quantity) {
            for ((average, keep), weight) in averages.iter_mut().zip(step.keep).zip(self.weights) {
                // Not more than can have been since measuring began.
                *average += count * (1.0 - keep).min(weight);
            }
        }
    }

    /// One quantity's rates, corrected.
    pub(crate) fn windows(&self, quantity: usize) -> Windows {
        let averages = self.averages.get(quantity).copied().unwrap_or_default();
        let mut corrected = averages;
        for (average, weight) in corrected.iter_mut().zip(self.weights) {
            *average = if weight > 0.0 { *average / weight } else { 0.0 };
        }
        Windows::from_array(corrected)
    }

    /// Has every quantity no load at all, over every window?
    pub(crate) fn is_quiet(&self) -> bool {
        self.averages.iter().flatten().all(|average| *average == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(told: f64, wanted: f64) -> bool {
        (told - wanted).abs() <= 1e-6 * wanted.abs().max(1e-3)
    }

    proptest! {
        /// The bias of the start is gone at once, and uneven ticks change nothing.
        #[test]
        fn a_constant_rate_is_told_exactly_whatever_the_ticks(
            rate in 0.001_f64..1e6,
            ticks in prop::collection::vec(1_u64..30_000, 1..40),
        ) {
            let mut ewma = Ewma::new();
            for millis in ticks {
                let elapsed = Duration::from_millis(millis);
                ewma.observe(rate * elapsed.as_secs_f64(), elapsed);
                for told in ewma.windows().to_array() {
                    prop_assert!(close(told, rate), "{told} of {rate}");
                }
            }
        }

        /// What is known late counts as if it had been known in time.
        #[test]
        fn a_long_statement_counts_as_if_it_had_been_watched(seconds in 1_u32..500, before in 1_u32..500, after in 0_u32..100) {
            let second = Duration::from_secs(1);
            let (mut watched, mut told) = (Ewma::new(), Ewma::new());
            for at in 0..before + seconds {
                watched.observe(if at < before { 0.0 } else { 1.0 }, second);
                told.observe(0.0, second);
            }
            told.rates.observe_past(0, second * seconds, 1.0);
            for _ in 0..after {
                watched.observe(0.0, second);
                told.observe(0.0, second);
            }
            for (told, wanted) in told.windows().to_array().into_iter().zip(watched.windows().to_array()) {
                prop_assert!((told - wanted).abs() < 1e-6, "{told} for {wanted}");
            }
        }
    }

    #[test]
    fn a_short_window_forgets_sooner_than_a_long_one() {
        let mut ewma = Ewma::new();
        ewma.observe(600.0, Duration::from_secs(60));
        ewma.observe(0.0, Duration::from_secs(60));
        let windows = ewma.windows();
        assert!(windows.ten_seconds < 0.1 && windows.hour > 4.9, "{windows:?}");
        // 1 m: half of the weight is older than the last minute's e^-1.
        let minute = 10.0 * ((-1.0_f64).exp() - (-2.0_f64).exp()) / (1.0 - (-2.0_f64).exp());
        assert!(close(windows.minute, minute), "{} for {minute}", windows.minute);
    }

    #[test]
    fn nothing_stays_nothing_and_no_time_changes_nothing() {
        let mut ewma = Ewma::new();
        ewma.observe(5.0, Duration::ZERO);
        assert_eq!(ewma, Ewma::new());
        ewma.observe(0.0, Duration::from_secs(1));
        assert!(ewma.rates.is_quiet());
        ewma.observe(1.0, Duration::from_secs(1));
        assert!(!ewma.rates.is_quiet());
        (0..100_000).for_each(|_| ewma.observe(0.0, Duration::from_secs(1)));
        assert!(ewma.rates.is_quiet());
    }
}
