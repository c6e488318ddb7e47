//! What is learnt of the hours of a week, over its end, over weeks that nobody watched, and of buckets that move.

use proptest::prelude::*;

use super::*;
use crate::config;
use crate::telemetry::{BucketReport, BucketSizes, KeyspaceReport, LoadReport, ShardReport, Windows};
use crate::topology::{Change, KeyspaceId};

const CONFIG: &str = "
version: 1
listen: 127.0.0.1:0
auth: {method: trust}
database: trading
shards:
  - {name: s0, primary: \"postgres://shardgate@127.0.0.1:5501/trading\"}
  - {name: s1, primary: \"postgres://shardgate@127.0.0.1:5502/trading\"}
keyspaces:
  market: {strategy: category, type: text, categories: {fx: s0, equity: s1}}
tables:
  trades: {keyspace: market, key: instrument}
";

const HOUR_MS: u64 = 3_600_000;
/// Monday, 5 January 1970, 00:00.
const MONDAY: u64 = 4 * 24 * HOUR_MS;
const WEEK_MS: u64 = 7 * 24 * HOUR_MS;

fn topology() -> Topology {
    let settings = config::parse("x.yaml", CONFIG, &|_| None).unwrap();
    Topology::create(&settings.declared).unwrap()
}

fn shard(index: usize) -> ShardId {
    ShardId::new(index).unwrap()
}

fn same(rate: f64) -> Windows {
    Windows::from_array([rate; 4])
}

/// `fx` and what belongs to no bucket of s0, busy seconds a second.
fn load(topology: &Topology, at: u64, fx: f64, unattributed: f64) -> LoadSnapshot {
    let bucket = BucketReport {
        busy_reads: same(fx),
        ..BucketReport::default()
    };
    let report = LoadReport {
        at: Moment(at),
        measured: HOUR,
        epoch: topology.epoch(),
        shards: vec![ShardReport {
            busy: same(fx + unattributed),
            unattributed: same(unattributed),
            waiting: same(0.0),
        }],
        keyspaces: vec![KeyspaceReport {
            name: "market".to_owned(),
            buckets: vec![(BucketId::new(0).unwrap(), bucket)],
            heavy: Default::default(),
            samples: Vec::new(),
        }],
    };
    LoadSnapshot::merge(topology, Moment(at), &[&report], &[], &BucketSizes::new())
}

/// Watches from `from` on for `minutes`, every ten seconds; the hours that ended.
fn watch(watch: &mut HourWatch, topology: &Topology, from: u64, minutes: u64, fx: f64) -> Vec<WatchedHour> {
    let looks = (0..=minutes * 6).map(|look| load(topology, from + look * 10_000, fx, 0.5));
    looks.filter_map(|load| watch.observe(&load, topology)).collect()
}

fn learn(week: &mut Week, seen: &WatchedHour) {
    let learnt = week.learnt(seen).unwrap();
    week.insert(seen.hour, LearntHour::from_json(&learnt.to_json().unwrap()).unwrap());
}

#[track_caller]
fn near(told: Option<f64>, wanted: f64) {
    let told = told.unwrap();
    assert!(
        (told - wanted).abs() < 2e-3 * wanted.abs().max(0.1),
        "{told} for {wanted}"
    );
}

#[test]
fn hours_are_those_of_the_week_in_utc() {
    for (at, name) in [
        (0, "Thu 00–01"),
        (MONDAY, "Mon 00–01"),
        (MONDAY - 1, "Sun 23–24"),
        (MONDAY + 8 * HOUR_MS + 1, "Mon 08–09"),
        (MONDAY + 100 * WEEK_MS - 1, "Sun 23–24"),
        (1_790_000_000_000, "Mon 14–15"), // date -u -d @1790000000: Mon Sep 21 14:13:20 UTC 2026
    ] {
        assert_eq!(HourOfWeek::of(Moment(at)).to_string(), name, "{at}");
    }
    let sunday = HourOfWeek::new(167).unwrap();
    assert_eq!((sunday.plus(1).index(), HourOfWeek::new(168)), (0, None));
    let following: Vec<usize> = sunday.following().map(HourOfWeek::index).collect();
    assert_eq!(following, (0..168).collect::<Vec<usize>>());
    assert_eq!(split(Moment(MONDAY - 1)).0 + 1, split(Moment(MONDAY)).0);
}

#[test]
fn an_hour_is_told_when_it_ends_over_the_weeks_end_too() {
    let (topology, mut watching) = (topology(), HourWatch::default());
    let hours = watch(&mut watching, &topology, MONDAY - HOUR_MS, 121, 2.0);
    let told: Vec<(String, u32)> = hours.iter().map(|seen| (seen.hour.to_string(), seen.week)).collect();
    let week = split(Moment(MONDAY)).0;
    assert_eq!(
        told,
        [("Sun 23–24".to_owned(), week - 1), ("Mon 00–01".to_owned(), week)]
    );
    let mut learnt = Week::default();
    hours.iter().for_each(|seen| learn(&mut learnt, seen));
    let usual = |hour: &WatchedHour, on| learnt.usual(hour.hour, shard(on), &topology, Moment(MONDAY + HOUR_MS));
    for hour in &hours {
        near(usual(hour, 0), 2.5);
        near(usual(hour, 1), 0.0);
    }
    let other = HourOfWeek::of(Moment(MONDAY + 5 * HOUR_MS));
    assert_eq!(learnt.usual(other, shard(0), &topology, Moment(MONDAY)), None);
    assert_eq!(learnt.learnt(&hours[0]), None, "another proxy has told it");
}

#[test]
fn an_hour_of_which_too_little_was_seen_is_not_learnt() {
    let (topology, mut watching) = (topology(), HourWatch::default());
    let hours = watch(&mut watching, &topology, MONDAY + 40 * 60_000, 25, 2.0);
    assert_eq!(hours, []);
    // A proxy that slept: neither the gap nor what was before it is another hour's.
    let hours = watch(&mut watching, &topology, MONDAY + 9 * HOUR_MS, 61, 2.0);
    assert_eq!(hours.len(), 1);
    assert_eq!(hours[0].hour.to_string(), "Mon 09–10");
}

#[test]
fn a_bucket_takes_its_hours_with_it() {
    let (topology, mut watching, mut learnt) = (topology(), HourWatch::default(), Week::default());
    let hours = watch(&mut watching, &topology, MONDAY, 61, 2.0);
    learn(&mut learnt, &hours[0]);
    let moved = topology.changed(&[Change::MoveBucket {
        keyspace: KeyspaceId::new(0).unwrap(),
        bucket: BucketId::new(0).unwrap(),
        to: shard(1),
    }]);
    let (moved, now) = (moved.unwrap(), Moment(MONDAY + HOUR_MS));
    near(learnt.usual(hours[0].hour, shard(0), &moved, now), 0.5);
    near(learnt.usual(hours[0].hour, shard(1), &moved, now), 2.0);
}

fn seen(week: u32, busy: f64) -> WatchedHour {
    let buckets = BTreeMap::from([("market".to_owned(), BTreeMap::from([(0, busy)]))]);
    WatchedHour {
        hour: HourOfWeek::new(8).unwrap(),
        week,
        busy: Carried {
            shards: BTreeMap::new(),
            buckets,
        },
    }
}

fn usual(week: &Week, weeks: u32) -> Option<f64> {
    let now = Moment(u64::from(weeks - 1) * WEEK_MS + MONDAY); // that Monday begins week 1
    week.usual(HourOfWeek::new(8).unwrap(), shard(0), &topology(), now)
}

proptest! {
    /// The bias of the start is gone, and weeks that nobody watched change nothing.
    #[test]
    fn what_is_the_same_every_week_is_told_exactly(
        busy in 0.01_f64..100.0,
        missed in prop::collection::vec(0_u32..7, 1..12),
    ) {
        let (mut learnt, mut week) = (Week::default(), 10);
        for missed in missed {
            week += 1 + missed;
            learn(&mut learnt, &seen(week, busy));
            near(usual(&learnt, week), busy);
        }
    }
}

#[test]
fn later_weeks_count_more_and_what_is_long_gone_is_not_usual() {
    let mut learnt = Week::default();
    learn(&mut learnt, &seen(10, 1.0));
    learn(&mut learnt, &seen(11, 3.0));
    // Weights e^(-1/4) and 1.
    let k = (-0.25_f64).exp();
    near(usual(&learnt, 11), (k * 1.0 + 3.0) / (k + 1.0));
    learn(&mut learnt, &seen(14, 3.0));
    let (first, second) = ((-1.0_f64).exp(), (-0.75_f64).exp());
    near(
        usual(&learnt, 14),
        (first * 1.0 + second * 3.0 + 3.0) / (first + second + 1.0),
    );
    assert!(usual(&learnt, 14 + WEEKS_MAX).is_some());
    assert_eq!(usual(&learnt, 15 + WEEKS_MAX), None);
}

#[test]
fn an_hour_keeps_its_busiest_buckets_only() {
    let busy = |number: usize| 1.0 + number as f64;
    let buckets: BTreeMap<usize, f64> = (0..3000).map(|number| (number, busy(number))).collect();
    let mut many = seen(10, 0.0);
    many.busy.buckets.insert("market".to_owned(), buckets);
    let learnt = Week::default().learnt(&many).unwrap();
    let kept = &learnt.busy.buckets["market"];
    assert_eq!(
        (kept.len(), kept.contains_key(&2999), kept.contains_key(&1975)),
        (BUCKETS_MAX, true, false)
    );
}

#[test]
fn what_is_not_understood_is_refused() {
    let text = Week::default().learnt(&seen(10, 1.0)).unwrap().to_json().unwrap();
    for (from, to) in [("\"version\":1", "\"version\":2"), ("\"week\"", "\"weeks\"")] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        LearntHour::from_json(&changed).unwrap_err();
    }
}
