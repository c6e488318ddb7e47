//! `SHOW LOAD`: what keeps the shards busy, the whole cluster's: shards, keyspaces, and the buckets that carry most.

use super::command::{Argument, Command, Rows, Run};
use super::row::{decimal, number, seconds, text};
use crate::admin::{AdminError, Column, Sources};
use crate::telemetry::{BucketLoad, KeyspaceLoad, LoadSnapshot, ShardLoad, Windows};
use crate::topology::{Bucket, Keyspace, ShardState, Topology};

/// Buckets that are shown: SHOW BUCKETS has all.
const BUCKETS_MAX: usize = 50;

pub(super) const COMMAND: Command = Command {
    words: "SHOW LOAD",
    argument: Argument::None,
    help: "How busy each shard, each keyspace and the busiest buckets are, all proxies together.",
    columns: &[
        Column::text("scope"),
        Column::text("name"),
        Column::text("shard"),
        // Share of the capacity: of its shard, for a keyspace of all that hold it.
        Column::float("busy_10s"),
        Column::float("busy_1m"),
        Column::float("busy_5m"),
        Column::float("busy_1h"),
        // The part of `busy_1m` that no bucket asked for; shards only.
        Column::float("unattributed"),
        // Seconds per second, over a minute, as all that follow.
        Column::float("waiting"),
        Column::float("reads"),
        Column::float("writes"),
        Column::float("errors"),
        Column::float("rows"),
        Column::float("bytes"),
        Column::integer("active_backends"),
        Column::float("capacity"),
        Column::integer("size_bytes"),
        Column::integer("proxies"),
        Column::float("measured_seconds"),
    ],
    run: Run::Show(rows),
};

/// What differs between scopes.
struct Subject<'a> {
    scope: &'static str,
    name: String,
    shard: Option<&'a str>,
    busy: Windows,
    capacity: f64,
    unattributed: Option<f64>,
    /// all buckets of it together
    sums: BucketLoadSums,
    active_backends: Option<u32>,
    size_bytes: Option<u64>,
}

/// Over a minute.
#[derive(Clone, Copy, Default)]
struct BucketLoadSums {
    waiting: f64,
    reads: f64,
    writes: f64,
    errors: f64,
    rows: f64,
    bytes: f64,
}

fn rows(sources: &dyn Sources) -> Result<Rows, AdminError> {
    let topology = sources.view().ok_or(AdminError::NoTopology)?.topology;
    let load = sources.load().ok_or(AdminError::NoTopology)?;
    let proxies = sources.load_proxies();
    let subjects = shards(&topology, &load)
        .chain(keyspaces(&topology, &load))
        .chain(buckets(&topology, &load));
    Ok(subjects.map(|subject| subject.row(&load, proxies)).collect())
}

fn shards<'a>(topology: &'a Topology, load: &'a LoadSnapshot) -> impl Iterator<Item = Subject<'a>> {
    let serving = load.shards.iter().filter(|shard| {
        let known = topology.shard(shard.shard);
        known.is_some_and(|shard| shard.state == ShardState::Serving)
    });
    serving.map(|shard| {
        let owned = load.keyspaces.iter().flat_map(|keyspace| {
            let described = topology.keyspace(keyspace.keyspace);
            keyspace.buckets.iter().filter(move |bucket| {
                described.and_then(|described| described.owner(bucket.bucket)) == Some(shard.shard)
            })
        });
        let sums = owned.fold(BucketLoadSums::default(), BucketLoadSums::with);
        Subject {
            scope: "shard",
            name: topology.shard_name(shard.shard).to_owned(),
            shard: Some(topology.shard_name(shard.shard)),
            busy: shard.busy,
            capacity: shard.capacity,
            unattributed: Some(shard.unattributed.minute),
            sums: BucketLoadSums {
                waiting: shard.waiting.minute,
                ..sums
            },
            active_backends: shard.active_backends,
            size_bytes: shard.size_bytes,
        }
    })
}

fn keyspaces<'a>(topology: &'a Topology, load: &'a LoadSnapshot) -> impl Iterator<Item = Subject<'a>> {
    let described = |keyspace: &'a KeyspaceLoad| Some((topology.keyspace(keyspace.keyspace)?, keyspace));
    load.keyspaces
        .iter()
        .filter_map(described)
        .map(|(described, keyspace)| {
            let busy = keyspace.buckets.iter().map(BucketLoad::busy);
            let sizes = keyspace.buckets.iter().map(|bucket| bucket.size_bytes);
            let capacity = described.shards().iter();
            let capacity = capacity.filter_map(|shard| load.shards.get(shard.index()).map(|shard| shard.capacity));
            Subject {
                scope: "keyspace",
                name: described.name().to_owned(),
                shard: None,
                busy: busy.fold(Windows::default(), Windows::plus),
                capacity: capacity.sum(),
                unattributed: None,
                sums: keyspace
                    .buckets
                    .iter()
                    .fold(BucketLoadSums::default(), BucketLoadSums::with),
                active_backends: None,
                size_bytes: sizes.sum(),
            }
        })
}

/// The busiest first.
fn buckets<'a>(topology: &'a Topology, load: &'a LoadSnapshot) -> impl Iterator<Item = Subject<'a>> {
    let mut loaded: Vec<(&Keyspace, Bucket, &BucketLoad, &ShardLoad)> = load
        .keyspaces
        .iter()
        .filter_map(|keyspace| Some((topology.keyspace(keyspace.keyspace)?, keyspace)))
        .flat_map(|(described, keyspace)| {
            let loaded = keyspace
                .buckets
                .iter()
                .filter(|bucket| bucket.busy() != Windows::default());
            loaded.filter_map(move |bucket| {
                let place = described.bucket(bucket.bucket)?;
                let shard = load.shards.get(place.shard.index())?;
                Some((described, place, bucket, shard))
            })
        })
        .collect();
    let share = |bucket: &BucketLoad, shard: &ShardLoad| bucket.busy().minute / shard.capacity;
    loaded.sort_by(|(.., a, on_a), (.., b, on_b)| share(b, on_b).total_cmp(&share(a, on_a)));
    loaded.truncate(BUCKETS_MAX);
    loaded.into_iter().map(|(keyspace, place, bucket, shard)| Subject {
        scope: "bucket",
        name: format!("{}/{}", keyspace.name(), place.name),
        shard: Some(topology.shard_name(place.shard)),
        busy: bucket.busy(),
        capacity: shard.capacity,
        unattributed: None,
        sums: BucketLoadSums::default().with(bucket),
        active_backends: None,
        size_bytes: bucket.size_bytes,
    })
}

impl BucketLoadSums {
    fn with(self, bucket: &BucketLoad) -> BucketLoadSums {
        BucketLoadSums {
            waiting: self.waiting + bucket.waiting.minute,
            reads: self.reads + bucket.reads.minute,
            writes: self.writes + bucket.writes.minute,
            errors: self.errors + bucket.errors.minute,
            rows: self.rows + bucket.rows.minute,
            bytes: self.bytes + bucket.bytes.minute,
        }
    }
}

impl Subject<'_> {
    fn row(self, load: &LoadSnapshot, proxies: usize) -> Vec<Option<String>> {
        let ratio = |busy: f64| {
            (self.capacity > 0.0)
                .then(|| decimal(busy / self.capacity, 4))
                .flatten()
        };
        let rate = |value: f64| decimal(value, 3);
        vec![
            text(self.scope),
            text(self.name),
            self.shard.and_then(text),
            ratio(self.busy.ten_seconds),
            ratio(self.busy.minute),
            ratio(self.busy.five_minutes),
            ratio(self.busy.hour),
            self.unattributed.and_then(ratio),
            rate(self.sums.waiting),
            rate(self.sums.reads),
            rate(self.sums.writes),
            rate(self.sums.errors),
            rate(self.sums.rows),
            rate(self.sums.bytes),
            self.active_backends.and_then(number),
            decimal(self.capacity, 2),
            self.size_bytes.and_then(number),
            number(proxies),
            seconds(load.measured),
        ]
    }
}
