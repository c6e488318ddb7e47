//! *What time is it?* The only reader of time and entropy.
//!
//! Why: every other room takes `Instant`s and random bytes as arguments, or one of these handles at construction, so that
//! a test can say what time it is and a seed repeats a run.
//! Holds: nothing else in the crate calls `Instant::now`, `SystemTime::now` or a random source.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Reads monotonic and wall time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// Monotonic now.
    #[expect(clippy::disallowed_methods, reason = "this room is where time is read")]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// Time since the machine started, its sleep included: for limits that another machine relies on.
    pub fn awake_or_asleep(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
        Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
    }

    /// Seconds since 1970, for display only.
    #[expect(clippy::disallowed_methods, reason = "this room is where time is read")]
    pub fn unix_seconds(&self) -> f64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0.0, |d| d.as_secs_f64())
    }
}

/// Source of random bytes: the operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rng;

/// The operating system gave no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct EntropyError(String);

impl Rng {
    /// Random bytes, fit for keys and nonces.
    pub fn bytes<const N: usize>(&self) -> Result<[u8; N], EntropyError> {
        let mut out = [0; N];
        getrandom::fill(&mut out).map_err(|error| EntropyError(error.to_string()))?;
        Ok(out)
    }
}
