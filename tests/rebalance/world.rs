//! A cluster and the load of its keys, from which a snapshot is made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shardgate::rebalance::{History, Judgement, Policy, propose};
use shardgate::telemetry::{
    BucketLoad, HeavyKey, KeyspaceLoad, LoadSnapshot, Moment, SampledKey, ShardLoad, Week, Windows,
};
use shardgate::topology::{
    BucketId, CategorySource, Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy,
    HashStart, KeyspaceId, Labels, Place, Placed, Shard, ShardId, Token, Topology,
};
use shardgate::value::{Key, KeyType};

pub(crate) const GIB: u64 = 1 << 30;

/// How windows differ from the last minute: factors for 10 s, 1 m, 5 m and 1 h.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape(pub(crate) [f64; 4]);

/// The same in all windows.
pub(crate) const STEADY: Shape = Shape([1.0, 1.0, 1.0, 1.0]);
/// Rising.
pub(crate) const RISING: Shape = Shape([1.08, 1.0, 0.7, 0.3]);

impl Shape {
    fn of(self, minute: f64) -> Windows {
        let [ten_seconds, one, five_minutes, hour] = self.0.map(|factor| factor * minute);
        Windows {
            ten_seconds,
            minute: one,
            five_minutes,
            hour,
        }
    }
}

/// One key and its busy seconds per second.
#[derive(Clone, Debug)]
pub(crate) struct KeyLoad {
    pub(crate) keyspace: usize,
    pub(crate) category: String,
    pub(crate) key: Key,
    pub(crate) busy: f64,
    pub(crate) writes: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) topology: Topology,
    pub(crate) capacity: Vec<f64>,
    pub(crate) keys: Vec<KeyLoad>,
    pub(crate) unattributed: BTreeMap<usize, f64>,
    /// (keyspace, bucket) → bytes
    pub(crate) sizes: BTreeMap<(usize, usize), u64>,
    pub(crate) shape: Shape,
    pub(crate) measured: Duration,
    /// keys sampled per keyspace at most
    pub(crate) samples: usize,
    /// what the past weeks say
    pub(crate) week: Arc<Week>,
}

impl World {
    pub(crate) fn new(declaration: &Declaration) -> World {
        let topology = Topology::create(declaration).unwrap();
        let capacity = vec![8.0; topology.shards().len()];
        World {
            topology,
            capacity,
            keys: Vec::new(),
            unattributed: BTreeMap::new(),
            sizes: BTreeMap::new(),
            week: Arc::default(),
            shape: STEADY,
            measured: Duration::from_secs(7_200),
            samples: 1_000,
        }
    }

    fn keyspace(&self, name: &str) -> usize {
        self.topology.keyspace_by_name(name).unwrap().0.index()
    }

    pub(crate) fn load(&mut self, keyspace: &str, category: &str, key: &str, busy: f64) -> &mut World {
        let keyspace = self.keyspace(keyspace);
        let key_type = self.topology.keyspaces()[keyspace].key_type();
        let key = Key::parse_text(key_type, key.as_bytes()).unwrap();
        self.keys.push(KeyLoad {
            keyspace,
            category: category.to_owned(),
            key,
            busy,
            writes: 0.5,
        });
        self
    }

    pub(crate) fn size(&mut self, keyspace: &str, bytes: u64) -> &mut World {
        let index = self.keyspace(keyspace);
        for bucket in 0..self.topology.keyspaces()[index].bucket_count() {
            self.sizes.insert((index, bucket), bytes);
        }
        self
    }

    /// Where a key lies on this topology.
    pub(crate) fn place(topology: &Topology, key: &KeyLoad) -> Place {
        let keyspace = &topology.keyspaces()[key.keyspace];
        match keyspace.place_in_category(&key.key, &key.category) {
            Placed::At(place) => place,
            other => panic!("{}: {other:?}", key.key),
        }
    }

    /// Busy seconds per second by shard, if the keys lay as this topology says.
    pub(crate) fn busy(&self, topology: &Topology) -> Vec<f64> {
        let mut busy: Vec<f64> = (0..topology.shards().len())
            .map(|shard| self.unattributed.get(&shard).copied().unwrap_or(0.0))
            .collect();
        for key in &self.keys {
            busy[World::place(topology, key).shard.index()] += key.busy;
        }
        busy
    }

    pub(crate) fn snapshot(&self, at: Moment) -> LoadSnapshot {
        let keyspaces = (0..self.topology.keyspaces().len()).map(|index| self.keyspace_load(index));
        let busy = self.busy(&self.topology);
        let shards = busy.iter().enumerate().map(|(index, busy)| ShardLoad {
            shard: ShardId::new(index).unwrap(),
            capacity: self.capacity[index],
            busy: self.shape.of(*busy),
            unattributed: self.shape.of(self.unattributed.get(&index).copied().unwrap_or(0.0)),
            waiting: Windows::default(),
            active_backends: None,
            size_bytes: None,
            replication_lag: None,
        });
        LoadSnapshot {
            at,
            measured: self.measured,
            epoch: self.topology.epoch(),
            shards: shards.collect(),
            keyspaces: keyspaces.collect(),
        }
    }

    fn keyspace_load(&self, index: usize) -> KeyspaceLoad {
        let keyspace = &self.topology.keyspaces()[index];
        let keys: Vec<&KeyLoad> = self.keys.iter().filter(|key| key.keyspace == index).collect();
        let whole: f64 = keys.iter().map(|key| key.busy).sum();
        let buckets = (0..keyspace.bucket_count()).map(|bucket| {
            let bucket = BucketId::new(bucket).unwrap();
            let mine = keys
                .iter()
                .filter(|key| World::place(&self.topology, key).bucket == bucket);
            let (mut reads, mut writes) = (0.0, 0.0);
            for key in mine {
                reads += key.busy * (1.0 - key.writes);
                writes += key.busy * key.writes;
            }
            BucketLoad {
                bucket,
                // Two milliseconds each.
                reads: self.shape.of(reads * 500.0),
                writes: self.shape.of(writes * 500.0),
                rows: Windows::default(),
                bytes: Windows::default(),
                errors: Windows::default(),
                busy_reads: self.shape.of(reads),
                busy_writes: self.shape.of(writes),
                waiting: Windows::default(),
                size_bytes: self.sizes.get(&(index, bucket.index())).copied(),
            }
        });
        let mut by_weight = keys.clone();
        by_weight.sort_by(|a, b| b.busy.total_cmp(&a.busy).then(a.key.to_text().cmp(&b.key.to_text())));
        let heavy = by_weight.iter().take(64).map(|key| HeavyKey {
            key: key.key.clone(),
            bucket: World::place(&self.topology, key).bucket,
            share: if whole > 0.0 { key.busy / whole } else { 0.0 },
            error: 0.0,
        });
        let samples = by_weight.iter().take(self.samples).map(|key| SampledKey {
            key: key.key.clone(),
            token: Token(key.key.hash()),
            bucket: World::place(&self.topology, key).bucket,
            weight: key.busy,
        });
        KeyspaceLoad {
            keyspace: KeyspaceId::new(index).unwrap(),
            buckets: buckets.collect(),
            heavy: heavy.collect(),
            samples: samples.collect(),
        }
    }

    /// What is said of it after it has been like this for a minute and a half.
    pub(crate) fn judge(&self, policy: &Policy) -> Judgement {
        let mut history = History::new();
        let now = NOON;
        for second in (0..=90).rev().step_by(15) {
            let at = Moment(now.0 - second * 1_000);
            history.observe(&self.snapshot(at), &self.topology, policy);
        }
        history.know(Arc::clone(&self.week));
        propose(&self.snapshot(now), &self.topology, policy, &history, now)
    }
}

/// 2026-03-02 12:00 UTC.
pub(crate) const NOON: Moment = Moment(1_772_452_800_000);

// === declarations ===

pub(crate) fn shards(names: &[(&str, &[(&str, &str)])]) -> Vec<Shard> {
    let shards = names.iter().map(|(name, labels)| {
        let mut shard = Shard::new(*name);
        shard.labels = labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect();
        shard
    });
    shards.collect()
}

pub(crate) fn plain(count: usize) -> Vec<Shard> {
    (0..count).map(|index| Shard::new(format!("s{index}"))).collect()
}

fn keyspace(name: &str, key_type: KeyType, strategy: DeclaredStrategy) -> DeclaredKeyspace {
    DeclaredKeyspace {
        name: name.to_owned(),
        key_type,
        labels: Labels::new(),
        strategy,
    }
}

pub(crate) fn hash(name: &str, buckets: u32) -> DeclaredKeyspace {
    let start = HashStart::Ring;
    keyspace(name, KeyType::Int8, DeclaredStrategy::Hash { buckets, start })
}

pub(crate) fn range(name: &str, key_type: KeyType, ranges: &[(&str, &str)]) -> DeclaredKeyspace {
    let ranges = ranges.iter().map(|(until, shard)| DeclaredRange {
        until: Some((*until).to_owned()).filter(|until| !until.is_empty()),
        shard: (*shard).to_owned(),
    });
    let ranges = ranges.collect();
    keyspace(name, key_type, DeclaredStrategy::Range { ranges })
}

/// A category, its shards and the labels that they must have.
pub(crate) type Listed<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

pub(crate) fn category(name: &str, categories: &[Listed<'_>]) -> DeclaredKeyspace {
    let categories = categories.iter().map(|(name, shards, labels)| DeclaredCategory {
        name: (*name).to_owned(),
        shards: shards.iter().map(|shard| (*shard).to_owned()).collect(),
        labels: labels
            .iter()
            .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
            .collect(),
    });
    let strategy = DeclaredStrategy::Category {
        source: CategorySource::Key,
        categories: categories.collect(),
        default: Vec::new(),
    };
    keyspace(name, KeyType::Text, strategy)
}

pub(crate) fn declare(shards: Vec<Shard>, keyspaces: Vec<DeclaredKeyspace>) -> Declaration {
    Declaration {
        shards,
        keyspaces,
        ..Declaration::default()
    }
}
