//! How a batch's time is divided among its statements.

use super::*;
use crate::config;
use crate::plan::{RowShare, TouchedBucket};
use crate::telemetry::{BucketSizes, LoadSnapshot, Moment};
use crate::topology::Topology;

const CONFIG: &str = "
version: 1
listen: 127.0.0.1:0
auth: {method: trust}
database: trading
shards:
  - {name: s0, primary: \"postgres://shardgate@127.0.0.1:5501/trading\"}
  - {name: s1, primary: \"postgres://shardgate@127.0.0.1:5502/trading\"}
keyspaces:
  user: {strategy: hash, type: bigint, buckets: 8}
tables:
  users: {keyspace: user, key: id}
";

const SUMS: Sums = Sums {
    rows: 12,
    bytes: 120,
    errors: 0,
};

struct Scene {
    topology: Topology,
    meter: LoadMeter,
    load: Load,
}

impl Scene {
    fn new() -> Scene {
        let settings = config::parse("x.yaml", CONFIG, &|_| None).unwrap();
        let topology = Topology::create(&settings.declared).unwrap();
        let meter = LoadMeter::new(&topology);
        let load = Load::new(&meter, 1);
        Scene { topology, meter, load }
    }

    fn touch(&mut self, on: &[usize], access: LoadAccess, bucket: Option<usize>) {
        let touched = match bucket {
            Some(bucket) => Touched::One(TouchedBucket {
                keyspace: KeyspaceId::new(0).unwrap(),
                bucket: BucketId::new(bucket).unwrap(),
                key: Some(Key::Int(4711)),
            }),
            None => Touched::Several,
        };
        let shards = on.iter().map(|index| shard(*index)).collect();
        self.load.touch_on(shards, access, touched);
    }

    fn charge(&mut self, on: usize, millis: u64) {
        self.load.charge(shard(on), Duration::from_millis(millis), &SUMS);
    }

    fn picture(&self) -> LoadSnapshot {
        self.meter.tick(Duration::from_secs(1));
        let report = self.meter.report(Moment(0));
        LoadSnapshot::merge(&self.topology, Moment(0), &[&report], &[], &BucketSizes::new())
    }
}

fn shard(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

#[track_caller]
fn near(told: f64, wanted: f64) {
    assert!((told - wanted).abs() < 1e-6, "{told} for {wanted}");
}

#[test]
fn one_statement_has_its_batch_for_itself() {
    let mut scene = Scene::new();
    scene.touch(&[0], LoadAccess::Read, Some(3));
    scene.charge(0, 500);
    scene.load.end(InBlock::No);
    let picture = scene.picture();
    let bucket = picture.keyspaces[0].buckets[3];
    near(bucket.busy_reads.minute, 0.5);
    near(bucket.reads.minute, 1.0);
    near(bucket.rows.minute, 12.0);
    near(bucket.bytes.minute, 120.0);
    near(picture.shards[0].busy.minute, 0.5);
    near(picture.shards[0].unattributed.minute, 0.0);
    assert_eq!(picture.keyspaces[0].heavy[0].key, Key::Int(4711));
}

#[test]
fn statements_of_a_batch_share_their_shards_time() {
    let mut scene = Scene::new();
    scene.touch(&[0], LoadAccess::Write, Some(1));
    scene.touch(&[0], LoadAccess::Read, Some(2));
    scene.touch(&[1], LoadAccess::Write, Some(5));
    scene.touch(&[0, 1], LoadAccess::Read, None);
    scene.charge(0, 300);
    scene.charge(1, 400);
    let picture = scene.picture();
    let buckets = &picture.keyspaces[0].buckets;
    near(buckets[1].busy_writes.minute, 0.1);
    near(buckets[2].busy_reads.minute, 0.1);
    near(buckets[5].busy_writes.minute, 0.2);
    near(picture.shards[0].unattributed.minute, 0.1);
    near(picture.shards[1].unattributed.minute, 0.2);
    near(picture.shards[0].busy.minute, 0.3);
    near(picture.shards[1].busy.minute, 0.4);
}

#[test]
fn the_end_of_a_block_belongs_to_the_buckets_that_it_touched_on_that_shard() {
    let mut scene = Scene::new();
    for bucket in [1, 2, 1] {
        scene.touch(&[0], LoadAccess::Write, Some(bucket));
        scene.charge(0, 50);
        scene.load.end(InBlock::Yes);
    }
    scene.charge(0, 600); // COMMIT
    scene.charge(1, 70);
    scene.load.end(InBlock::No);
    scene.charge(0, 10); // after it
    let picture = scene.picture();
    let buckets = &picture.keyspaces[0].buckets;
    near(buckets[1].busy().minute, 0.4);
    near(buckets[2].busy().minute, 0.35);
    near(buckets[1].writes.minute, 2.0);
    near(picture.shards[0].unattributed.minute, 0.01);
    near(picture.shards[1].unattributed.minute, 0.07);
}

#[test]
fn of_a_long_batch_some_statements_stand_for_all() {
    let mut scene = Scene::new();
    for _ in 0..10_000 {
        scene.touch(&[0], LoadAccess::Write, Some(4));
    }
    assert_eq!(scene.load.touches.len(), TOUCHES_MAX);
    scene.charge(0, 900);
    scene.load.end(InBlock::No);
    assert_eq!(scene.load.touches.capacity(), 0);
    let picture = scene.picture();
    near(picture.keyspaces[0].buckets[4].busy().minute, 0.9);
    near(picture.keyspaces[0].buckets[4].writes.minute, 10_000.0);
}

#[test]
fn kept_statements_are_drawn_evenly() {
    let mut scene = Scene::new();
    let mut late = 0.0;
    for _ in 0..50 {
        (0..500).for_each(|_| scene.touch(&[0], LoadAccess::Read, Some(0)));
        (0..500).for_each(|_| scene.touch(&[0], LoadAccess::Read, Some(7)));
        late += scene
            .load
            .touches
            .iter()
            .filter(|touch| matches!(&touch.whose, Whose::One((_, bucket), _) if bucket.index() == 7))
            .count() as f64;
        scene.load.end(InBlock::No);
    }
    let share = late / (50.0 * TOUCHES_MAX as f64);
    assert!((share - 0.5).abs() < 0.08, "{share}");
}

#[test]
fn waiting_belongs_to_who_waited_even_in_vain() {
    let mut scene = Scene::new();
    scene.touch(&[0], LoadAccess::Read, Some(3));
    scene.load.wait(shard(0), Duration::from_millis(250));
    scene.load.wait(shard(1), Duration::from_millis(100));
    scene.charge(0, 50);
    scene.load.end(InBlock::No);
    let picture = scene.picture();
    near(picture.keyspaces[0].buckets[3].waiting.minute, 0.25);
    near(picture.shards[0].waiting.minute, 0.25);
    near(picture.shards[1].waiting.minute, 0.1);
}

#[test]
fn an_error_is_that_of_the_last_statement() {
    let mut scene = Scene::new();
    scene.touch(&[0], LoadAccess::Write, Some(1));
    scene.touch(&[0], LoadAccess::Write, Some(2));
    let failed = Sums { errors: 1, ..SUMS };
    scene.load.charge(shard(0), Duration::from_millis(20), &failed);
    let picture = scene.picture();
    near(picture.keyspaces[0].buckets[1].errors.minute, 0.0);
    near(picture.keyspaces[0].buckets[2].errors.minute, 1.0);
}

/// Shard, bucket, rows.
fn rows(of: &[(usize, usize, u64)]) -> RowShares {
    let share = |&(on, bucket, rows): &(usize, usize, u64)| RowShare {
        shard: shard(on),
        bucket: BucketId::new(bucket).unwrap(),
        rows,
    };
    let keys = of
        .iter()
        .map(|&(_, bucket, _)| (BucketId::new(bucket).unwrap(), Key::Int(bucket as i64)));
    RowShares {
        keyspace: KeyspaceId::new(0).unwrap(),
        shares: of.iter().map(share).collect(),
        keys: keys.collect(),
    }
}

fn split(shares: &[(usize, usize, u64)]) -> Touched {
    Touched::Rows(Box::new(rows(shares)))
}

#[test]
fn a_split_write_is_divided_by_its_rows() {
    let mut scene = Scene::new();
    let both = ShardSet::all(2);
    let touched = split(&[(0, 1, 6), (0, 2, 2), (1, 5, 4)]);
    scene.load.touch_on(both, LoadAccess::Write, touched);
    scene.charge(0, 400);
    scene.charge(1, 60);
    scene.load.end(InBlock::No);
    let picture = scene.picture();
    let buckets = &picture.keyspaces[0].buckets;
    near(buckets[1].busy_writes.minute, 0.3);
    near(buckets[2].busy_writes.minute, 0.1);
    near(buckets[5].busy_writes.minute, 0.06);
    for (bucket, rows) in [(1, 6.0), (2, 2.0), (5, 4.0)] {
        near(buckets[bucket].rows.minute, rows);
        near(buckets[bucket].bytes.minute, 10.0 * rows); // of 120 for 12 rows
        near(buckets[bucket].writes.minute, 1.0);
    }
    near(picture.shards[0].busy.minute, 0.4);
    near(picture.shards[0].unattributed.minute, 0.0);
    near(picture.shards[1].unattributed.minute, 0.0);
    // Two keys stand for s0, one for s1.
    let heavy = &picture.keyspaces[0].heavy;
    assert_eq!(heavy.len(), 3);
    near(
        heavy.iter().find(|heavy| heavy.key == Key::Int(5)).unwrap().share,
        0.06 / 0.46,
    );
}

#[test]
fn rows_that_streamed_by_belong_to_the_statement_that_brought_them() {
    let mut scene = Scene::new();
    scene.touch(&[0], LoadAccess::Read, Some(7));
    scene.touch(&[0, 1], LoadAccess::Write, None);
    scene.load.divide(rows(&[(0, 3, 9)]));
    scene.charge(0, 300);
    scene.charge(1, 40);
    scene.load.end(InBlock::No);
    scene.load.divide(rows(&[(0, 4, 1)])); // nothing is under way
    let picture = scene.picture();
    let buckets = &picture.keyspaces[0].buckets;
    near(buckets[7].busy().minute, 0.15);
    near(buckets[3].busy_writes.minute, 0.15);
    near(picture.shards[0].unattributed.minute, 0.0);
    near(picture.shards[1].unattributed.minute, 0.04); // it got no row
}

#[test]
fn a_long_split_write_is_spread_over_the_time_that_it_took() {
    let mut scene = Scene::new();
    (0..100).for_each(|_| scene.meter.tick(Duration::from_secs(1)));
    let touched = split(&[(0, 1, 3), (0, 2, 1)]);
    scene
        .load
        .touch_on(ShardSet::only(shard(0)), LoadAccess::Write, touched);
    scene.charge(0, 40_000);
    scene.load.end(InBlock::No);
    let picture = scene.picture();
    let (buckets, s0) = (&picture.keyspaces[0].buckets, &picture.shards[0]);
    // One backend was occupied for all of the last 10 s, not forty backends for one of them.
    assert!((0.95..1.01).contains(&s0.busy.ten_seconds), "{:?}", s0.busy);
    near(buckets[1].busy().ten_seconds, s0.busy.ten_seconds * 0.75);
    near(buckets[2].busy().ten_seconds, s0.busy.ten_seconds * 0.25);
}

#[test]
fn the_end_of_a_block_belongs_to_where_most_of_its_rows_went() {
    let mut scene = Scene::new();
    let touched = split(&[(0, 1, 1), (0, 2, 5), (1, 6, 2)]);
    scene.load.touch_on(ShardSet::all(2), LoadAccess::Write, touched);
    scene.load.end(InBlock::Yes);
    scene.charge(0, 100);
    scene.charge(1, 50);
    scene.load.end(InBlock::No);
    let picture = scene.picture();
    let buckets = &picture.keyspaces[0].buckets;
    near(buckets[2].busy().minute, 0.1);
    near(buckets[6].busy().minute, 0.05);
    near(picture.shards[0].unattributed.minute, 0.0);
}

#[test]
fn nothing_is_remembered_where_load_is_not_measured() {
    let mut scene = Scene::new();
    scene.meter = LoadMeter::off();
    scene.load = Load::new(&scene.meter, 1);
    scene.touch(&[0], LoadAccess::Read, Some(3));
    scene.load.wait(shard(0), Duration::from_millis(250));
    scene.charge(0, 500);
    assert_eq!((scene.load.touches.capacity(), scene.load.waited.capacity()), (0, 0));
    scene.load.end(InBlock::Yes);
    let picture = scene.picture();
    assert_eq!(picture.measured, Duration::ZERO);
    near(picture.shards[0].busy.minute, 0.0);
}
