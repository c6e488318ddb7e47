//! The way from counted statements to the picture, on a topology of three keyspaces.

use super::*;
use crate::config;
use crate::telemetry::cells::{BucketCost, LoadAccess};
use crate::telemetry::entropy::Entropy;
use crate::telemetry::report::{BucketSizes, ShardFacts};
use crate::telemetry::{Ewma, HEAVY_KEYS, LoadSnapshot};
use crate::topology::{KeyspaceId, ShardId};
use crate::value::Key;

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
  instrument:
    strategy: category
    type: text
    categories: {fx_major: s0, equity: [s0, s1]}
tables:
  users: {keyspace: user, key: id}
  trades: {keyspace: instrument, key: instrument}
";

fn topology() -> Topology {
    let settings = config::parse("x.yaml", CONFIG, &|_| None).unwrap();
    Topology::create(&settings.declared).unwrap()
}

fn place(keyspace: usize, bucket: usize) -> (KeyspaceId, BucketId) {
    (KeyspaceId::new(keyspace).unwrap(), BucketId::new(bucket).unwrap())
}

fn shard(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

fn cost((keyspace, bucket): (KeyspaceId, BucketId), access: LoadAccess, busy: Duration) -> BucketCost {
    BucketCost {
        keyspace,
        bucket,
        shard: shard(0),
        access,
        statements: 1,
        rows: 2,
        bytes: 100,
        errors: 0,
        busy,
        lasted: busy,
        waiting: Duration::ZERO,
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn picture(topology: &Topology, reports: &[&LoadReport]) -> LoadSnapshot {
    let facts = ShardFacts {
        capacity: 2.0,
        active_backends: None,
        size_bytes: None,
    };
    let sizes = BucketSizes::from([(place(0, 1), 4096)]);
    LoadSnapshot::merge(topology, Moment(7), reports, &[facts, facts], &sizes)
}

fn near(told: f64, wanted: f64) {
    assert!((told - wanted).abs() < 1e-6, "{told} for {wanted}");
}

#[test]
fn statements_become_rates_of_their_bucket_and_shard() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    let cells = meter.cells().unwrap();
    for _ in 0..30 {
        let mut one = cost(place(1, 0), LoadAccess::Write, Duration::from_millis(100));
        one.waiting = Duration::from_millis(20);
        one.errors = 1;
        (0..5).for_each(|_| cells.bucket(&one));
        cells.bucket(&cost(place(1, 0), LoadAccess::Read, Duration::from_millis(50)));
        cells.unattributed(shard(0), Duration::from_millis(250), Duration::ZERO);
        // Every other tick is missed.
        cells.unattributed(shard(1), Duration::from_millis(100), Duration::ZERO);
        meter.tick(SECOND);
    }
    let picture = picture(&topology, &[&meter.report(Moment(7))]);
    assert_eq!((picture.measured, picture.epoch), (SECOND * 30, topology.epoch()));
    let [first, second] = &picture.shards[..] else { panic!() };
    near(first.busy.minute, 0.8);
    near(first.utilisation().ten_seconds, 0.4);
    near(first.unattributed.hour, 0.25);
    near(first.waiting.minute, 0.1);
    near(second.busy.minute, 0.1);
    let bucket = picture.keyspaces[1].buckets[0];
    near(bucket.busy_writes.minute, 0.5);
    near(bucket.busy_reads.minute, 0.05);
    near(bucket.writes.minute, 5.0);
    near(bucket.reads.minute, 1.0);
    near(bucket.rows.minute, 12.0);
    near(bucket.bytes.minute, 600.0);
    near(bucket.errors.minute, 5.0);
    near(bucket.waiting.minute, 0.1);
    assert_eq!(picture.keyspaces[1].buckets[1].busy(), Windows::default());
    let sizes = picture.keyspaces[0].buckets.iter().map(|bucket| bucket.size_bytes);
    assert_eq!(sizes.flatten().collect::<Vec<_>>(), [4096]);
}

#[test]
fn late_and_missed_ticks_change_no_rate() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    for seconds in [1, 7, 2, 31, 1] {
        for _ in 0..seconds * 10 {
            meter
                .cells()
                .unwrap()
                .bucket(&cost(place(0, 3), LoadAccess::Read, Duration::from_millis(30)));
        }
        meter.tick(SECOND * seconds);
    }
    let picture = picture(&topology, &[&meter.report(Moment(7))]);
    for told in picture.keyspaces[0].buckets[3].busy().to_array() {
        near(told, 0.3);
    }
}

#[test]
fn a_minute_long_statement_is_a_minute_of_one_backend_and_not_sixty_at_once() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    (0..300).for_each(|_| meter.tick(SECOND));
    meter
        .cells()
        .unwrap()
        .unattributed(shard(1), SECOND * 60, Duration::ZERO);
    meter
        .cells()
        .unwrap()
        .bucket(&cost(place(0, 0), LoadAccess::Read, SECOND * 60));
    meter.tick(SECOND);
    let picture = picture(&topology, &[&meter.report(Moment(7))]);
    let minute = 1.0 - (-1.0_f64).exp();
    for told in [
        picture.shards[1].busy.minute,
        picture.shards[1].unattributed.minute,
        picture.shards[0].busy.minute,
        picture.keyspaces[0].buckets[0].busy_reads.minute,
    ] {
        assert!((told - minute).abs() < 0.01, "{told} for {minute}");
    }
    assert!(picture.shards[1].busy.ten_seconds <= 1.0, "{:?}", picture.shards[1]);
}

#[test]
fn a_new_epoch_goes_on_counting_buckets_that_stay() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    let before = meter.cells().unwrap();
    let more = config::parse(
        "x.yaml",
        &CONFIG.replace("fx_major: s0,", "fx_major: s0, metals: s1,"),
        &|_| None,
    )
    .unwrap()
    .declared;
    let next = match topology.evolve(&more).unwrap() {
        crate::topology::Evolved::Next(next) => next,
        other => panic!("{other:?}"),
    };
    let generation = meter.generation();
    meter.follow(&next);
    assert_ne!(meter.generation(), generation);
    meter.follow(&next);
    assert_eq!(meter.generation(), generation + 1);
    // A session that still holds the old cells counts all the same.
    before.bucket(&cost(place(1, 0), LoadAccess::Read, Duration::from_millis(100)));
    let grown = next.keyspaces()[1].bucket_count();
    assert!(grown > topology.keyspaces()[1].bucket_count());
    meter
        .cells()
        .unwrap()
        .bucket(&cost(place(1, grown - 1), LoadAccess::Read, Duration::from_millis(300)));
    meter.tick(SECOND);
    let picture = picture(&next, &[&meter.report(Moment(7))]);
    near(picture.keyspaces[1].buckets[0].busy().minute, 0.1);
    near(picture.keyspaces[1].buckets[grown - 1].busy().minute, 0.3);
}

#[test]
fn a_bucket_that_there_is_not_counts_for_the_shard_alone() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    meter
        .cells()
        .unwrap()
        .bucket(&cost(place(0, 8), LoadAccess::Read, Duration::from_millis(100)));
    meter
        .cells()
        .unwrap()
        .bucket(&cost(place(9, 0), LoadAccess::Read, Duration::from_millis(100)));
    meter.tick(SECOND);
    let picture = picture(&topology, &[&meter.report(Moment(7))]);
    near(picture.shards[0].busy.minute, 0.2);
}

#[test]
fn reports_of_two_proxies_add_up_in_either_order_and_by_json() {
    let topology = topology();
    let (one, other) = (LoadMeter::new(&topology), LoadMeter::new(&topology));
    let mut entropy = Entropy::new(3);
    // The other comes 15 s after the one.
    for (meter, ticks, key) in [(&one, 20, "EURUSD"), (&other, 5, "GBPUSD")] {
        for _ in 0..ticks {
            let cells = meter.cells().unwrap();
            cells.bucket(&cost(place(1, 0), LoadAccess::Write, Duration::from_millis(100)));
            cells.key(
                place(1, 0),
                &Key::Text(key.into()),
                Duration::from_millis(100),
                entropy.draw(),
            );
            meter.tick(SECOND);
        }
    }
    let (one, other) = (one.report(Moment(5)), other.report(Moment(6)));
    let both = picture(&topology, &[&one, &other]);
    // As one proxy that has carried both loads sees it.
    let mut whole = Ewma::new();
    (0..20).for_each(|tick| whole.observe(if tick < 15 { 0.1 } else { 0.2 }, SECOND));
    near(both.shards[0].busy.minute, whole.windows().minute);
    let writes = both.keyspaces[1].buckets[0].busy_writes;
    near(writes.ten_seconds, whole.windows().ten_seconds);
    near(writes.hour, whole.windows().hour);
    assert_eq!(both.measured, SECOND * 20);
    let keys: Vec<String> = both.keyspaces[1]
        .heavy
        .iter()
        .map(|heavy| heavy.key.to_text())
        .collect();
    assert_eq!(keys, ["EURUSD", "GBPUSD"]);
    let shares: f64 = both.keyspaces[1].heavy.iter().map(|heavy| heavy.share).sum();
    near(shares, 1.0);
    assert_eq!(both.keyspaces[1].samples.len(), 25);
    assert_eq!(picture(&topology, &[&other, &one]), both);
    let reread = LoadReport::from_json(&other.to_json().unwrap()).unwrap();
    let told = picture(&topology, &[&one, &reread]);
    assert!((told.shards[0].busy.minute - both.shards[0].busy.minute).abs() < 1e-4);
    assert_eq!(told.keyspaces[1].heavy.len(), 2);
}

/// A proxy dies and another carries on with its load: the whole stays what it was, over every window.
#[test]
fn load_that_goes_over_to_another_proxy_stays_what_it_was() {
    let topology = topology();
    let (dead, heir) = (LoadMeter::new(&topology), LoadMeter::new(&topology));
    let mut entropy = Entropy::new(3);
    let mut work = |meter: &LoadMeter, ticks| {
        for _ in 0..ticks {
            let cells = meter.cells().unwrap();
            let busy = Duration::from_millis(100);
            cells.bucket(&cost(place(1, 0), LoadAccess::Write, busy));
            cells.key(place(1, 0), &Key::Text("EURUSD".into()), busy, entropy.draw());
            meter.tick(SECOND);
        }
    };
    work(&dead, 200);
    work(&heir, 25);
    let last = dead.report(Moment(5));
    let both = picture(&topology, &[&last.after_silence(SECOND * 25), &heir.report(Moment(6))]);
    assert_eq!(both.measured, SECOND * 225);
    for told in [both.shards[0].busy, both.keyspaces[1].buckets[0].busy_writes] {
        told.to_array().into_iter().for_each(|told| near(told, 0.1));
    }
    // Its keys count less and less.
    let weight = |report: &LoadReport| report.keyspaces[1].heavy.0.total;
    let kept = (-25.0_f64 / 300.0).exp();
    near(weight(&last.after_silence(SECOND * 25)), weight(&last) * kept);
    let sampled = |report: &LoadReport| {
        report.keyspaces[1]
            .samples
            .iter()
            .map(|sample| sample.weight)
            .sum::<f64>()
    };
    near(sampled(&last.after_silence(SECOND * 25)), sampled(&last) * kept);
    assert_eq!(last.after_silence(Duration::ZERO), last);
}

#[test]
fn a_million_keys_take_no_more_room() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    let (cells, mut entropy) = (meter.cells().unwrap(), Entropy::new(4));
    // As sessions do it; the first second looks at all of them, then fewer are enough.
    for (second, keys) in [20_000, 180_000, 400_000, 400_000].into_iter().enumerate() {
        for key in 0..keys {
            if cells.wants_key(KeyspaceId::new(0).unwrap(), entropy.draw()) {
                let key = Key::Text(format!("{second} {key}").into_bytes());
                cells.key(place(0, 0), &key, Duration::from_micros(100), entropy.draw());
            }
        }
        let mut all = cost(place(0, 0), LoadAccess::Read, Duration::from_micros(100));
        all.statements = keys;
        cells.bucket(&all);
        meter.tick(SECOND);
    }
    let report = meter.report(Moment(7));
    let keyspace = &report.keyspaces[0];
    assert_eq!(keyspace.samples.len(), SAMPLES);
    assert_eq!(keyspace.heavy.0.counted.len(), crate::telemetry::heavy::COUNTERS);
    let picture = picture(&topology, &[&report]);
    assert!(picture.keyspaces[0].heavy.len() <= HEAVY_KEYS);
    assert!(report.to_json().unwrap().len() < 200_000);
}

#[test]
fn under_load_fewer_keys_are_looked_at_and_each_stands_for_more() {
    let topology = topology();
    let meter = LoadMeter::new(&topology);
    let (cells, mut entropy) = (meter.cells().unwrap(), Entropy::new(5));
    let keyspace = KeyspaceId::new(0).unwrap();
    assert!((0..100).all(|_| cells.wants_key(keyspace, entropy.draw())));
    let mut many = cost(place(0, 0), LoadAccess::Read, Duration::from_millis(1));
    many.statements = 15_000;
    cells.bucket(&many);
    meter.tick(SECOND);
    let wanted = (0..16_000)
        .filter(|_| cells.wants_key(keyspace, entropy.draw()))
        .count();
    assert!((180..320).contains(&wanted), "{wanted} of 16000"); // one of 64
    (0..wanted).for_each(|_| cells.key(place(0, 0), &Key::Int(1), Duration::from_millis(1), entropy.draw()));
    let total = meter.report(Moment(7)).keyspaces[0].heavy.0.total;
    assert!((12.0..20.0).contains(&total), "{total} for 16");
}
