//! Whether a shard is thought to be up.
//!
//! Why: with a dead shard, thousands of clients must neither wait nor hammer it. After a failed connect everyone gets
//! that error at once, until a time is over; then one caller tries, while the others go on failing.
//!
//! Holds: the wait grows from 50 ms to 800 ms, so a shard that returns is in use again within a second of demand.

use std::time::{Duration, Instant};

use super::error::Error;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_millis(800);

/// Enough to reach the longest wait.
const FAILURES_MAX: u32 = 16;

/// Closed (connects go through) or open (they fail with the last error).
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    retry_at: Instant,
    error: Error,
    trial: Trial,
}

/// Whether somebody tries while the circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    None,
    UnderWay,
}

impl Circuit {
    /// Whether a connect may be tried now; else the error that stands for it.
    pub(super) fn pass(&mut self, now: Instant) -> Result<(), Error> {
        match &mut self.open {
            Some(open) if now < open.retry_at => Err(open.error.clone()),
            Some(open) => {
                // This caller tries; the others go on failing until it has succeeded or the wait is over again.
                open.retry_at = now + backoff(self.failures);
                open.trial = Trial::UnderWay;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A connect has failed because the shard is down.
    pub(super) fn fail(&mut self, error: &Error, now: Instant) {
        // Those that were under way together when the shard went down count once.
        let is_new = self.open.as_ref().is_none_or(|open| open.trial == Trial::UnderWay);
        if is_new {
            self.failures = self.failures.saturating_add(1).min(FAILURES_MAX);
        }
        self.open = Some(Open {
            retry_at: now + backoff(self.failures),
            error: error.clone(),
            trial: Trial::None,
        });
    }

    /// A connect has succeeded.
    pub(super) fn close(&mut self) {
        *self = Circuit::default();
    }
}

fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    doubled.min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn one_caller_tries_at_a_time_and_waits_grow_to_a_bound() {
        let mut now = Clock.now();
        let mut circuit = Circuit::default();
        assert!(circuit.pass(now).is_ok());
        let mut waits = Vec::new();
        for _ in 0..8 {
            circuit.fail(&Error::ShuttingDown, now);
            let failed_at = now;
            while circuit.pass(now).is_err() {
                now += Duration::from_millis(10);
            }
            waits.push((now - failed_at).as_millis());
            assert!(circuit.pass(now).is_err(), "a second caller must not try as well");
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 800, 800, 800]);
        circuit.close();
        assert!(circuit.pass(now).is_ok() && circuit.pass(now).is_ok());
    }

    #[test]
    fn connects_that_fail_together_count_once() {
        let now = Clock.now();
        let mut circuit = Circuit::default();
        (0..20).for_each(|_| circuit.fail(&Error::ShuttingDown, now));
        assert!(circuit.pass(now + BACKOFF_FIRST).is_ok());
    }
}
