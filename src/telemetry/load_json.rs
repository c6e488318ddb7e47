//! Loads as JSON: a proxy's own report, for the others, and the whole picture, for recorders.
//!
//! Why our own written types: what is stored is read by other versions of this program, so its shape is chosen here and
//! read strictly. A report is written every few seconds, so its numbers are cut to four digits; a snapshot keeps all.
//! Absent: keys that aren't UTF-8, which JSON can't carry; they are left out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Error;
use super::heavy::{Counted, Heavy};
use super::load::{BucketLoad, HeavyKey, KeyspaceLoad, LoadSnapshot, Moment, SampledKey, ShardLoad, Windows};
use super::report::{BucketReport, HeavyReport, KeyspaceReport, LoadReport, ShardReport};
use crate::topology::{BucketId, Epoch, KeyspaceId, ShardId, Token};
use crate::value::{Key, KeyType};

/// Of both forms.
const VERSION: u32 = 1;

/// Rates over the four windows.
type Four = [f64; 4];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenReport {
    version: u32,
    at: u64,
    measured_ms: u64,
    epoch: u64,
    /// busy, unattributed, waiting
    shards: Vec<[Four; 3]>,
    keyspaces: Vec<WrittenKeyspaceReport>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeyspaceReport {
    name: String,
    /// index; reads, writes, rows, bytes, errors, busy reads, busy writes, waiting
    buckets: Vec<(usize, [Four; 8])>,
    heavy_total: f64,
    heavy_floor: f64,
    /// weight and error
    heavy: Vec<(WrittenKey, usize, f64, f64)>,
    /// weight
    samples: Vec<(WrittenKey, usize, f64)>,
}

/// Type and text.
#[derive(Serialize, Deserialize)]
struct WrittenKey(String, String);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSnapshot {
    version: u32,
    at: u64,
    measured_ms: u64,
    epoch: u64,
    shards: Vec<WrittenShard>,
    keyspaces: Vec<WrittenKeyspace>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShard {
    capacity: f64,
    busy: Four,
    unattributed: Four,
    waiting: Four,
    active_backends: Option<u32>,
    size_bytes: Option<u64>,
    replication_lag_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKeyspace {
    buckets: Vec<([Four; 8], Option<u64>)>,
    /// share and error
    heavy: Vec<(WrittenKey, usize, f64, f64)>,
    samples: Vec<(WrittenKey, usize, f64)>,
}

// === impl LoadReport ===

impl LoadReport {
    /// For [`LoadReport::from_json`] of another proxy.
    pub fn to_json(&self) -> Result<String, Error> {
        let short = |windows: Windows| windows.to_array().map(short);
        let shards = self.shards.iter();
        let keyspaces = self.keyspaces.iter().map(|keyspace| {
            let heavy = &keyspace.heavy.0;
            let counted = heavy.counted.iter().filter_map(|counted| {
                let (key, bucket) = (written(&counted.key)?, counted.bucket.index());
                Some((key, bucket, counted.weight, counted.error))
            });
            let samples = keyspace.samples.iter().filter_map(sample);
            WrittenKeyspaceReport {
                name: keyspace.name.clone(),
                buckets: keyspace
                    .buckets
                    .iter()
                    .map(|(bucket, report)| (bucket.index(), report.to_array().map(short)))
                    .collect(),
                heavy_total: heavy.total,
                heavy_floor: heavy.floor,
                heavy: counted.collect(),
                samples: samples.collect(),
            }
        });
        json(&WrittenReport {
            version: VERSION,
            at: self.at.0,
            measured_ms: millis(self.measured),
            epoch: self.epoch.get(),
            shards: shards
                .map(|shard| [shard.busy, shard.unattributed, shard.waiting].map(short))
                .collect(),
            keyspaces: keyspaces.collect(),
        })
    }

    /// What [`LoadReport::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<LoadReport, Error> {
        let written: WrittenReport = serde_json::from_str(text).map_err(Error::Json)?;
        version(written.version)?;
        let keyspaces = written.keyspaces.into_iter().map(|keyspace| {
            let buckets = keyspace.buckets.into_iter();
            let heavy = keyspace.heavy.into_iter().map(|(key, bucket, weight, error)| {
                Ok(Counted {
                    key: key.read()?,
                    bucket: bucket_id(bucket)?,
                    weight,
                    error,
                })
            });
            let counted = heavy.collect::<Result<Vec<_>, Error>>()?;
            Ok(KeyspaceReport {
                name: keyspace.name,
                buckets: buckets
                    .map(|(bucket, rates)| Ok((bucket_id(bucket)?, BucketReport::from_array(rates.map(windows)))))
                    .collect::<Result<_, Error>>()?,
                heavy: HeavyReport(Heavy::from_parts(keyspace.heavy_total, keyspace.heavy_floor, counted)),
                samples: samples(keyspace.samples)?,
            })
        });
        Ok(LoadReport {
            at: Moment(written.at),
            measured: Duration::from_millis(written.measured_ms),
            epoch: epoch(written.epoch)?,
            shards: written
                .shards
                .into_iter()
                .map(|shard| {
                    let [busy, unattributed, waiting] = shard.map(windows);
                    ShardReport {
                        busy,
                        unattributed,
                        waiting,
                    }
                })
                .collect(),
            keyspaces: keyspaces.collect::<Result<_, Error>>()?,
        })
    }
}

// === impl LoadSnapshot ===

impl LoadSnapshot {
    /// For [`LoadSnapshot::from_json`].
    pub fn to_json(&self) -> Result<String, Error> {
        let keyspaces = self.keyspaces.iter().map(|keyspace| {
            let heavy = keyspace.heavy.iter().filter_map(|heavy| {
                let (key, bucket) = (written(&heavy.key)?, heavy.bucket.index());
                Some((key, bucket, heavy.share, heavy.error))
            });
            let buckets = keyspace.buckets.iter();
            WrittenKeyspace {
                buckets: buckets
                    .map(|bucket| (rates(bucket).map(Windows::to_array), bucket.size_bytes))
                    .collect(),
                heavy: heavy.collect(),
                samples: keyspace.samples.iter().filter_map(sample).collect(),
            }
        });
        let shards = self.shards.iter().map(|shard| WrittenShard {
            capacity: shard.capacity,
            busy: shard.busy.to_array(),
            unattributed: shard.unattributed.to_array(),
            waiting: shard.waiting.to_array(),
            active_backends: shard.active_backends,
            size_bytes: shard.size_bytes,
            replication_lag_ms: shard.replication_lag.map(millis),
        });
        json(&WrittenSnapshot {
            version: VERSION,
            at: self.at.0,
            measured_ms: millis(self.measured),
            epoch: self.epoch.get(),
            shards: shards.collect(),
            keyspaces: keyspaces.collect(),
        })
    }

    /// What [`LoadSnapshot::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<LoadSnapshot, Error> {
        let written: WrittenSnapshot = serde_json::from_str(text).map_err(Error::Json)?;
        version(written.version)?;
        let shards = written.shards.into_iter().enumerate().map(|(index, shard)| {
            Ok(ShardLoad {
                shard: ShardId::new(index).ok_or(Error::Beyond("a shard"))?,
                capacity: shard.capacity,
                busy: windows(shard.busy),
                unattributed: windows(shard.unattributed),
                waiting: windows(shard.waiting),
                active_backends: shard.active_backends,
                size_bytes: shard.size_bytes,
                replication_lag: shard.replication_lag_ms.map(Duration::from_millis),
            })
        });
        let keyspaces = written.keyspaces.into_iter().enumerate().map(|(index, keyspace)| {
            let buckets = keyspace.buckets.into_iter().enumerate();
            let heavy = keyspace.heavy.into_iter().map(|(key, bucket, share, error)| {
                Ok(HeavyKey {
                    key: key.read()?,
                    bucket: bucket_id(bucket)?,
                    share,
                    error,
                })
            });
            Ok(KeyspaceLoad {
                keyspace: KeyspaceId::new(index).ok_or(Error::Beyond("a keyspace"))?,
                buckets: buckets
                    .map(|(index, (rates, size))| {
                        let report = BucketReport::from_array(rates.map(windows));
                        Ok(report.load(bucket_id(index)?, size))
                    })
                    .collect::<Result<_, Error>>()?,
                heavy: heavy.collect::<Result<_, Error>>()?,
                samples: samples(keyspace.samples)?,
            })
        });
        Ok(LoadSnapshot {
            at: Moment(written.at),
            measured: Duration::from_millis(written.measured_ms),
            epoch: epoch(written.epoch)?,
            shards: shards.collect::<Result<_, Error>>()?,
            keyspaces: keyspaces.collect::<Result<_, Error>>()?,
        })
    }
}

fn rates(bucket: &BucketLoad) -> [Windows; 8] {
    [
        bucket.reads,
        bucket.writes,
        bucket.rows,
        bucket.bytes,
        bucket.errors,
        bucket.busy_reads,
        bucket.busy_writes,
        bucket.waiting,
    ]
}

// === impl WrittenKey ===

impl WrittenKey {
    fn read(&self) -> Result<Key, Error> {
        let WrittenKey(name, text) = self;
        let key_type = KeyType::from_name(name).ok_or_else(|| Error::Key(name.clone()))?;
        Key::parse_text(key_type, text.as_bytes()).map_err(|_| Error::Key(name.clone()))
    }
}

/// A key, if it can be read back.
fn written(key: &Key) -> Option<WrittenKey> {
    let key_type = match key {
        Key::Int(_) => KeyType::Int8,
        Key::Text(bytes) | Key::Bpchar(bytes) if std::str::from_utf8(bytes).is_err() => return None,
        Key::Text(_) => KeyType::Text,
        Key::Bpchar(_) => KeyType::Bpchar,
        Key::Uuid(_) => KeyType::Uuid,
        Key::Date(_) => KeyType::Date,
        Key::Timestamp(_) => KeyType::Timestamp,
        Key::Timestamptz(_) => KeyType::Timestamptz,
        Key::Numeric(_) => KeyType::Numeric,
    };
    let text = key.to_text();
    Key::parse_text(key_type, text.as_bytes()).ok()?;
    Some(WrittenKey(key_type.name().to_owned(), text))
}

fn sample(sample: &SampledKey) -> Option<(WrittenKey, usize, f64)> {
    Some((written(&sample.key)?, sample.bucket.index(), short(sample.weight)))
}

fn samples(written: Vec<(WrittenKey, usize, f64)>) -> Result<Vec<SampledKey>, Error> {
    let samples = written.into_iter().map(|(key, bucket, weight)| {
        let key = key.read()?;
        Ok(SampledKey {
            token: Token(key.hash()),
            bucket: bucket_id(bucket)?,
            key,
            weight,
        })
    });
    samples.collect()
}

/// Four digits: what is shown and decided on is coarser.
fn short(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn windows(four: Four) -> Windows {
    Windows::from_array(four)
}

fn json(written: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(written).map_err(Error::Json)
}

fn version(version: u32) -> Result<(), Error> {
    match version {
        VERSION => Ok(()),
        version => Err(Error::Version(version)),
    }
}

fn bucket_id(index: usize) -> Result<BucketId, Error> {
    BucketId::new(index).ok_or(Error::Beyond("a bucket"))
}

fn epoch(number: u64) -> Result<Epoch, Error> {
    Epoch::new(number).ok_or(Error::Beyond("an epoch"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key_type: KeyType, text: &str) -> Key {
        Key::parse_text(key_type, text.as_bytes()).unwrap()
    }

    fn snapshot() -> LoadSnapshot {
        let rate = |factor: f64| Windows::from_array([0.1 * factor, 1.0 / 3.0, 0.0, 1e-7]);
        let bucket = |index| BucketLoad {
            bucket: BucketId::new(index).unwrap(),
            reads: rate(1.0),
            writes: rate(2.0),
            rows: rate(3.0),
            bytes: rate(4e9),
            errors: rate(0.0),
            busy_reads: rate(6.0),
            busy_writes: rate(7.0),
            waiting: rate(8.0),
            size_bytes: (index == 1).then_some(u64::MAX),
        };
        let keys = [
            key(KeyType::Int8, "-9223372036854775808"),
            key(KeyType::Text, "EURUSD \"é\"\n"),
            key(KeyType::Bpchar, "x  "),
            key(KeyType::Uuid, "00112233-4455-6677-8899-aabbccddeeff"),
            key(KeyType::Date, "2026-04-01"),
            key(KeyType::Timestamp, "2026-04-01 00:00:00.000001"),
            key(KeyType::Timestamptz, "2026-04-01 00:00:00+00"),
            key(KeyType::Numeric, "1.50"),
        ];
        let heavy = keys.iter().map(|key| HeavyKey {
            key: key.clone(),
            bucket: BucketId::new(0).unwrap(),
            share: 0.25,
            error: 0.125,
        });
        let samples = keys.iter().map(|key| SampledKey {
            key: key.clone(),
            token: Token(key.hash()),
            bucket: BucketId::new(1).unwrap(),
            weight: 0.5,
        });
        LoadSnapshot {
            at: Moment(1_777_000_000_123),
            measured: Duration::from_millis(4_711),
            epoch: Epoch::FIRST,
            shards: vec![ShardLoad {
                shard: ShardId::new(0).unwrap(),
                capacity: 2.5,
                busy: rate(1.0),
                unattributed: rate(0.5),
                waiting: rate(0.0),
                active_backends: Some(3),
                size_bytes: None,
                replication_lag: Some(Duration::from_millis(1500)),
            }],
            keyspaces: vec![KeyspaceLoad {
                keyspace: KeyspaceId::new(0).unwrap(),
                buckets: vec![bucket(0), bucket(1)],
                heavy: heavy.collect(),
                samples: samples.collect(),
            }],
        }
    }

    #[test]
    fn a_snapshot_reads_back_equal() {
        let snapshot = snapshot();
        let text = snapshot.to_json().unwrap();
        assert_eq!(LoadSnapshot::from_json(&text).unwrap(), snapshot);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let text = snapshot().to_json().unwrap();
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"version\":1", "\"version\":1,\"more\":0"),
            ("\"epoch\":1", "\"epoch\":0"),
            ("[\"bigint\",", "[\"money\","),
            ("2026-04-01 00:00:00+00", "yesterday"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            LoadSnapshot::from_json(&changed).unwrap_err();
        }
    }

    #[test]
    fn a_key_that_json_cannot_carry_is_left_out() {
        let mut snapshot = snapshot();
        snapshot.keyspaces[0].heavy[1].key = Key::Text(vec![0xFF]);
        let read = LoadSnapshot::from_json(&snapshot.to_json().unwrap()).unwrap();
        assert_eq!(read.keyspaces[0].heavy.len(), snapshot.keyspaces[0].heavy.len() - 1);
    }

    #[test]
    fn four_digits_are_kept() {
        for (value, kept) in [
            (0.0, 0.0),
            (1.0 / 3.0, 0.3333),
            (123_456.0, 123_500.0),
            (2.5e-9, 2.5e-9),
        ] {
            assert!((short(value) - kept).abs() <= 1e-12 * kept, "{value}");
        }
    }
}
