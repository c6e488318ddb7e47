//! What is recorded replays as it came, through the very averages that blunted it.

use super::super::replay::Replay;
use super::*;
use crate::rebalance::{Kind, Synthetic};

/// A trace, told every tick by a replay of it as a proxy would, and recorded.
fn recorded(trace: &Trace) -> Trace {
    let mut recorder = Recorder::new(trace.interval);
    let mut replay = Replay::new(trace);
    let mut text = String::new();
    for tick in &trace.ticks {
        replay.advance(tick, &[]);
        let told = Observation::of(&replay.snapshot(), replay.topology()).to_json();
        text.push_str(&recorder.observe(&Observation::parse(&told).unwrap()).unwrap());
    }
    assert_eq!(recorder.ticks() + 1, trace.ticks.len());
    Trace::parse(&text).unwrap()
}

fn short(kind: Kind) -> Trace {
    let trace = Synthetic {
        minutes: Some(12),
        keys: Some(200),
        ..Synthetic::new(kind, 4)
    };
    Trace::parse(&format!(
        "{{\"trace\":1,\"synthetic\":{}}}",
        serde_json::to_string(&trace).unwrap()
    ))
    .unwrap()
}

/// Utilisation by shard, tick by tick, but for the first tick, which a recording only begins with.
fn utilisation(trace: &Trace, skip: usize) -> Vec<Vec<f64>> {
    let mut replay = Replay::new(trace);
    let ticks = trace.ticks.iter().skip(skip);
    ticks.map(|tick| replay.advance(tick, &[])).collect()
}

#[test]
fn a_recording_replays_as_the_load_came() {
    for kind in [Kind::Market, Kind::SkewedRanges, Kind::Zipf] {
        let trace = short(kind);
        let again = recorded(&trace);
        let (wanted, had) = (utilisation(&trace, 1), utilisation(&again, 0));
        assert_eq!(wanted.len(), had.len());
        for (tick, (wanted, had)) in wanted.iter().zip(&had).enumerate() {
            for (wanted, had) in wanted.iter().zip(had) {
                assert!(
                    (wanted - had).abs() < 0.005,
                    "{kind:?}, tick {tick}: {had} for {wanted}"
                );
            }
        }
        let bytes = |trace: &Trace| trace.units.iter().map(|unit| unit.bytes).sum::<u64>() / 1_000_000;
        assert!(bytes(&again).abs_diff(bytes(&trace)) <= 1, "{kind:?}");
    }
}

/// Keys are told apart well enough that a split of the recording parts the load as it would have been parted.
#[test]
fn a_recording_knows_what_keys_carry() {
    let trace = short(Kind::Market);
    let again = recorded(&trace);
    let carried = |trace: &Trace, key: &str| {
        let unit = trace.units.iter().position(|unit| unit.key.to_text() == key).unwrap();
        let busy = trace.ticks.iter().flat_map(|tick| &tick.busy);
        busy.filter(|busy| busy.unit == unit)
            .map(|busy| busy.sum())
            .sum::<f64>()
    };
    for key in ["EURUSD", "GBPUSD", "AUDJPY", "EQ07"] {
        let (wanted, had) = (carried(&trace, key), carried(&again, key));
        assert!((had / wanted - 1.0).abs() < 0.1, "{key}: {had} for {wanted}");
    }
}

#[test]
fn an_observation_that_says_nothing_new_adds_nothing_and_a_late_one_several_ticks() {
    let trace = short(Kind::Zipf);
    let mut recorder = Recorder::new(trace.interval);
    let mut replay = Replay::new(&trace);
    let mut told = Vec::new();
    for tick in &trace.ticks {
        replay.advance(tick, &[]);
        told.push(Observation::of(&replay.snapshot(), replay.topology()));
    }
    assert_eq!(recorder.observe(&told[0]).unwrap(), "");
    assert_eq!(recorder.observe(&told[0]).unwrap(), "");
    assert!(recorder.observe(&told[1]).unwrap().starts_with("{\"trace\":1"));
    assert_eq!(recorder.ticks(), 1);
    recorder.observe(&told[4]).unwrap();
    assert_eq!(recorder.ticks(), 4);
}

#[test]
fn a_cluster_with_another_number_of_shards_ends_the_recording() {
    let tell = |shards| {
        let trace = Synthetic {
            shards: Some(shards),
            minutes: Some(1),
            ..Synthetic::new(Kind::Zipf, 4)
        };
        let text = serde_json::to_string(&trace).unwrap();
        let trace = Trace::parse(&format!("{{\"trace\":1,\"synthetic\":{text}}}")).unwrap();
        let mut replay = Replay::new(&trace);
        let told = trace.ticks.iter().take(3 * shards).map(|tick| {
            replay.advance(tick, &[]);
            Observation::of(&replay.snapshot(), replay.topology())
        });
        told.last().unwrap()
    };
    let mut recorder = Recorder::new(Duration::from_secs(5));
    recorder.observe(&tell(2)).unwrap();
    recorder.observe(&tell(3)).unwrap();
    let error = recorder.observe(&tell(4)).unwrap_err().to_string();
    assert_eq!(error, "the proxy lists 4 numbers for 3 shards");
}
