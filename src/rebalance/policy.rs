//! When the rebalancer acts, and how much it may ask for.

use std::time::Duration;

/// When the rebalancer acts, and how much it may ask for.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// utilisation above which a shard is overloaded
    pub threshold: f64,
    /// utilisation below which, over 5 minutes, an overload is over; a proposal aims at it
    pub clear: f64,
    /// how long the 10 s window must have been above the threshold: longer than any spike of 15 s shows in it
    pub hold: Duration,
    /// how long load must have been measured: a younger 1 m window says too little
    pub measured_least: Duration,
    /// how long after a move its keyspace is left alone: until the 1 m windows have forgotten what was before
    pub keyspace_cooldown: Duration,
    /// how long after a move its bucket is left alone
    pub bucket_cooldown: Duration,
    /// bytes that moves of one hour may bring over
    pub bytes_per_hour: u64,
    /// buckets that moves of one day may touch
    pub moves_per_day: usize,
    /// how fast a move copies, for estimates
    pub bytes_per_second: u64,
    /// what a step costs beyond its bytes, in bytes: its checks, its switch, an operator's attention
    pub step_bytes: u64,
    /// the least by which a proposal must lower the highest utilisation
    pub gain_least: f64,
    /// how long a proposal holds when it isn't renewed
    pub expiry: Duration,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl Policy {
    /// The defaults, with this threshold.
    pub fn with_threshold(threshold: f64) -> Policy {
        Policy {
            threshold,
            // A tenth of the capacity between acting and resting keeps noise from doing both in turn.
            clear: (threshold - 0.1).max(threshold / 2.0),
            ..Policy::default()
        }
    }
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            threshold: 0.7,
            clear: 0.6,
            hold: Duration::from_secs(45),
            measured_least: Duration::from_secs(60),
            keyspace_cooldown: Duration::from_secs(3 * 60),
            bucket_cooldown: Duration::from_secs(15 * 60),
            bytes_per_hour: 256 * GIB,
            moves_per_day: 2_000,
            bytes_per_second: 50 * MIB,
            step_bytes: 256 * MIB,
            gain_least: 0.05,
            expiry: Duration::from_secs(15 * 60),
        }
    }
}
