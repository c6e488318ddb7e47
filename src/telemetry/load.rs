//! What was seen of the whole cluster's load at one moment: what every judge of placement reads.
//!
//! Why plain data: proxies measure, one of them adds the measurements up, the rebalancer decides, the simulator invents
//! them; all meet here.
//! Holds: lists are in the order of their ids, one entry per shard, keyspace and bucket of the topology at `epoch`.

use std::time::Duration;

use crate::topology::{BucketId, Epoch, KeyspaceId, ShardId, Token};
use crate::value::Key;

/// Milliseconds since the Unix epoch; of the clock of whoever took the snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// Time from `earlier` to this moment; zero if it is later.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Rates per second over several windows: exponentially weighted, corrected for the time that a window has not yet seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Windows {
    /// over about 10 s
    pub ten_seconds: f64,
    /// over about 1 m
    pub minute: f64,
    /// over about 5 m
    pub five_minutes: f64,
    /// over about 1 h
    pub hour: f64,
}

impl Windows {
    /// In the order of the fields.
    pub fn to_array(self) -> [f64; 4] {
        [self.ten_seconds, self.minute, self.five_minutes, self.hour]
    }

    /// From values in the order of the fields.
    pub fn from_array([ten_seconds, minute, five_minutes, hour]: [f64; 4]) -> Windows {
        Windows {
            ten_seconds,
            minute,
            five_minutes,
            hour,
        }
    }

    /// Each window times its factor.
    pub(crate) fn times(self, [ten_seconds, minute, five_minutes, hour]: [f64; 4]) -> Windows {
        Windows {
            ten_seconds: self.ten_seconds * ten_seconds,
            minute: self.minute * minute,
            five_minutes: self.five_minutes * five_minutes,
            hour: self.hour * hour,
        }
    }

    /// Both together.
    pub fn plus(self, other: Windows) -> Windows {
        Windows {
            ten_seconds: self.ten_seconds + other.ten_seconds,
            minute: self.minute + other.minute,
            five_minutes: self.five_minutes + other.five_minutes,
            hour: self.hour + other.hour,
        }
    }
}

/// The load of all shards and buckets at one moment, all proxies together.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadSnapshot {
    /// when it was taken
    pub at: Moment,
    /// how long load has been measured: windows longer than this say less than their names
    pub measured: Duration,
    /// of the topology that the ids belong to
    pub epoch: Epoch,
    /// one per shard of the topology, retired ones too
    pub shards: Vec<ShardLoad>,
    /// one per keyspace
    pub keyspaces: Vec<KeyspaceLoad>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq)]
pub struct ShardLoad {
    /// whose
    pub shard: ShardId,
    /// busy seconds per second that it can give
    pub capacity: f64,
    /// busy seconds per second: backends occupied on behalf of statements
    pub busy: Windows,
    /// the part of `busy` that belongs to no bucket: fan-outs, reference and unsharded tables, the proxy's own work
    pub unattributed: Windows,
    /// seconds per second that sessions waited for one of its backends
    pub waiting: Windows,
    /// backends that run a statement now, by the shard's own count, other clients' too; `None` when not known
    pub active_backends: Option<u32>,
    /// bytes of all its buckets together; `None` when not known
    pub size_bytes: Option<u64>,
    /// how far its replicas are behind, the slowest one; `None` without replicas
    pub replication_lag: Option<Duration>,
}

impl ShardLoad {
    /// Busy seconds per second over capacity, over the windows.
    pub fn utilisation(&self) -> Windows {
        let of = |busy: f64| if self.capacity > 0.0 { busy / self.capacity } else { 0.0 };
        Windows {
            ten_seconds: of(self.busy.ten_seconds),
            minute: of(self.busy.minute),
            five_minutes: of(self.busy.five_minutes),
            hour: of(self.busy.hour),
        }
    }
}

/// One keyspace.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyspaceLoad {
    /// whose
    pub keyspace: KeyspaceId,
    /// one per bucket, in order
    pub buckets: Vec<BucketLoad>,
    /// keys that carry most busy time, heaviest first, at most 64
    pub heavy: Vec<HeavyKey>,
    /// a sample of keys, weighted by busy time, recent ones more likely
    pub samples: Vec<SampledKey>,
}

/// One bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketLoad {
    /// whose
    pub bucket: BucketId,
    /// statements that only read, per second
    pub reads: Windows,
    /// statements that may write, per second
    pub writes: Windows,
    /// rows returned or changed, per second
    pub rows: Windows,
    /// bytes both ways, per second
    pub bytes: Windows,
    /// statements that ended with an error, per second
    pub errors: Windows,
    /// busy seconds per second of reads
    pub busy_reads: Windows,
    /// busy seconds per second of writes
    pub busy_writes: Windows,
    /// seconds per second that its statements waited for a backend
    pub waiting: Windows,
    /// bytes of its rows and their indexes, estimated; `None` when not known
    pub size_bytes: Option<u64>,
}

impl BucketLoad {
    /// Busy seconds per second, reads and writes together.
    pub fn busy(&self) -> Windows {
        self.busy_reads.plus(self.busy_writes)
    }
}

/// A key that carries much of its keyspace's busy time.
#[derive(Clone, Debug, PartialEq)]
pub struct HeavyKey {
    /// the key
    pub key: Key,
    /// where it lies
    pub bucket: BucketId,
    /// share of the keyspace's busy time over the last minutes, 0 to 1; never too small
    pub share: f64,
    /// by how much `share` may be too large
    pub error: f64,
}

/// One key of the sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampledKey {
    /// the key
    pub key: Key,
    /// its token
    pub token: Token,
    /// where it lies
    pub bucket: BucketId,
    /// what it stands for: proportional to busy seconds; only ratios mean something
    pub weight: f64,
}
