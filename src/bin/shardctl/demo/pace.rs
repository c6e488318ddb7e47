//! How fast the demo's clients ask: so that the shard of the major pairs is used at a chosen part of its capacity.
//!
//! Why: as fast as they can, the clients would overload the whole of a small machine, where no move helps, and leave a large
//! one idle. What one request costs that shard is learned from the proxy's own figures while the demo runs.
//! Holds: the pace rises by steps, so that an early figure that is wrong does no harm; while the proxy doesn't answer it stays.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use shardgate::backend::{Control, ControlClient};
use shardgate::clock::Clock;

use super::tally::Tally;
use crate::ask;

/// The used part of its capacity to which the shard of the major pairs is brought.
pub(super) const TARGET: f64 = 0.95;

/// Requests per second, all clients together: at least so many while the figures still tell of loading, and ever.
const START: f64 = 100.0;
const SLOWEST: f64 = 10.0;
const LOADING_TOLD: f64 = 30.0;
const FASTEST: f64 = 20_000.0;

/// From one look to the next the pace rises by this factor at most.
const RISE: f64 = 1.7;

const LOOK_EVERY: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The time constant of the window that is read, `busy_10s`.
const WINDOW_SECONDS: f64 = 10.0;

/// Turns that were missed (all clients wait for answers) are taken later, but no more than these.
const BEHIND: Duration = Duration::from_millis(50);

// === the clients' side ===

/// When the next request may begin.
#[derive(Debug)]
pub(super) struct Pace {
    clock: Clock,
    /// guards a sum, never over an await
    state: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    next: Instant,
    between: Duration,
}

impl Pace {
    /// As it is at first.
    pub(super) fn new(clock: Clock) -> Pace {
        Pace {
            clock,
            state: Mutex::new(Turns {
                next: clock.now(),
                between: Duration::from_secs_f64(1.0 / START),
            }),
        }
    }

    /// Waits until it is somebody's turn. A turn that is waited for in vain (cancelled) is left out.
    pub(super) async fn turn(&self) {
        let turn = {
            let now = self.clock.now();
            let mut turns = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = now.checked_sub(BEHIND).unwrap_or(now);
            let turn = turns.next.max(earliest);
            turns.next = turn.checked_add(turns.between).unwrap_or(turn);
            turn
        };
        tokio::time::sleep_until(turn.into()).await;
    }

    fn set(&self, per_second: f64) {
        let mut turns = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        turns.between = Duration::from_secs_f64(1.0 / per_second.clamp(SLOWEST, FASTEST));
    }
}

// === the steering side ===

/// Looks at the shard of this name and sets the pace, for ever.
pub(super) async fn steer(admin_url: &str, shard: &str, tally: &Tally, pace: &Pace, clock: Clock) {
    let mut client = None;
    let mut steering: Option<Steering> = None;
    let (mut before, mut last) = (tally.count(), clock.now());
    loop {
        if let Some(used) = used(&mut client, admin_url, shard).await {
            let (count, now) = (tally.count(), clock.now());
            let took = now.saturating_duration_since(last).as_secs_f64();
            let steering = steering.get_or_insert_with(|| Steering::new(used));
            pace.set(steering.look(took, count.saturating_sub(before), used));
            (before, last) = (count, now);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The shard's `busy_10s`; none if the proxy doesn't answer.
async fn used(client: &mut Option<ControlClient>, admin_url: &str, shard: &str) -> Option<f64> {
    let connected = match client.take() {
        Some(client) => client,
        None => Control::connect_url(admin_url, CONNECT_TIMEOUT).await.ok()?,
    };
    let load = ask::run(&connected, "SHOW LOAD").await.ok()?;
    *client = Some(connected);
    let mut rows = load.rows.iter();
    let row = rows.find(|row| load.value(row, "scope") == Some("shard") && load.value(row, "name") == Some(shard))?;
    load.value(row, "busy_10s")?.parse().ok()
}

/// What a request costs, and what follows.
#[derive(Debug)]
struct Steering {
    /// requests per second over the same window as the shard's figure, so that their ratio doesn't lag
    requests: f64,
    /// what the shard's window still holds of the time before the first request
    residue: f64,
    /// seconds since the first request
    age: f64,
    per_second: f64,
}

impl Steering {
    /// Before the first request, on a shard that is used so far.
    fn new(used: f64) -> Steering {
        Steering {
            requests: 0.0,
            residue: used,
            age: 0.0,
            per_second: START,
        }
    }

    /// So many requests were answered in so many seconds, and the shard is used so far: requests per second from now on.
    fn look(&mut self, seconds: f64, count: u64, used: f64) -> f64 {
        if seconds <= 0.0 {
            return self.per_second;
        }
        let kept = (-seconds / WINDOW_SECONDS).exp();
        let count = u32::try_from(count).map_or(f64::from(u32::MAX), f64::from);
        self.requests = self.requests * kept + count / seconds * (1.0 - kept);
        self.residue *= kept;
        self.age += seconds;
        let least = if self.age < LOADING_TOLD { START } else { SLOWEST };
        let ours = used - self.residue;
        let most = (self.per_second * RISE).min(FASTEST);
        self.per_second = if ours > 0.0 {
            (TARGET * self.requests / ours).max(least).min(most)
        } else {
            most
        };
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shard to which each request costs so much of its capacity, seen through its window; the clients do no more than
    /// `fastest`. Used parts after each look.
    fn played(cost: impl Fn(f64) -> f64, fastest: f64, looks: u32) -> Vec<f64> {
        let seconds = LOOK_EVERY.as_secs_f64();
        let kept = (-seconds / WINDOW_SECONDS).exp();
        let mut window = 3.0; // what loading has left
        let mut steering = Steering::new(window);
        let mut rate = START;
        let steps = (0..looks).map(|look| {
            let done = rate.min(fastest);
            let used = done * cost(f64::from(look) * seconds);
            window = window * kept + used * (1.0 - kept);
            rate = steering.look(seconds, Duration::from_secs_f64(done * seconds).as_secs(), window);
            used
        });
        steps.collect()
    }

    #[test]
    fn the_shard_is_brought_to_its_target_whatever_a_request_costs() {
        for cost in [0.0002, 0.001, 0.01] {
            let used = played(|_| cost, f64::INFINITY, 60);
            for used in &used[25..] {
                assert!((used - TARGET).abs() < 0.1, "{cost}: {used}");
            }
            assert!(used.iter().all(|used| *used < 1.2), "{cost}: {used:?}");
        }
    }

    #[test]
    fn it_follows_what_a_request_costs() {
        let used = played(|at| if at < 60.0 { 0.001 } else { 0.002 }, f64::INFINITY, 60);
        assert!((used[29] - TARGET).abs() < 0.1, "{used:?}");
        assert!((used[59] - TARGET).abs() < 0.1, "{used:?}");
    }

    #[test]
    fn clients_that_cannot_keep_up_are_not_driven_on() {
        // They do 200 a second; what they are allowed follows from what that costs.
        let used = played(|_| 0.001, 200.0, 60);
        assert!((used[59] - 0.2).abs() < 0.01, "{used:?}");
    }

    #[test]
    fn a_silent_start_ends_at_a_bound() {
        let mut steering = Steering::new(0.0);
        let rates: Vec<f64> = (0..100).map(|_| steering.look(2.0, 100, 0.0)).collect();
        assert!(rates[0] <= START * RISE && rates[99] <= FASTEST, "{rates:?}");
        assert!((steering.look(0.0, 100, 0.5) - rates[99]).abs() < f64::EPSILON);
    }
}
