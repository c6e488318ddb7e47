//! Invented traces are what their names say, and the same every time.

use super::super::optimum::optimum;
use super::super::replay::Replay;
use super::*;

const KINDS: [Kind; 10] = [
    Kind::Zipf,
    Kind::FlashCrowd,
    Kind::Market,
    Kind::Diurnal,
    Kind::MovingHotSpot,
    Kind::HotKey,
    Kind::Growth,
    Kind::Noise,
    Kind::TwoHotCategories,
    Kind::SkewedRanges,
];

fn trace(kind: Kind) -> Trace {
    Synthetic::new(kind, 1).trace().unwrap()
}

/// Every tick's highest utilisation, nothing moved.
fn highest(trace: &Trace) -> Vec<f64> {
    let replay = Replay::new(trace);
    let ticks = trace.ticks.iter();
    ticks
        .map(|tick| replay.utilisation(tick).into_iter().fold(0.0, f64::max))
        .collect()
}

#[test]
fn the_same_line_gives_the_same_trace() {
    let short = Synthetic {
        minutes: Some(3),
        ..Synthetic::new(Kind::Zipf, 5)
    };
    assert_eq!(short.trace(), short.trace());
    assert_ne!(short.trace(), Synthetic { seed: 6, ..short }.trace());
}

/// All but noise overload a shard for minutes, and each could be helped: else they would show nothing. Noise crosses the
/// threshold now and then, never for long.
#[test]
fn every_kind_needs_help_and_can_be_helped_but_noise() {
    let mut wrong = Vec::new();
    for kind in KINDS {
        let trace = trace(kind);
        let highest = highest(&trace);
        let over = highest.iter().filter(|level| **level > 0.7).count();
        let hopeless = optimum(&trace).iter().filter(|level| **level > 0.7).count();
        let lasts = highest.chunk_by(|a, b| (*a > 0.7) == (*b > 0.7));
        let longest = lasts.filter(|run| run[0] > 0.7).map(<[f64]>::len).max().unwrap_or(0);
        let is_fine = hopeless < 12
            && match kind {
                Kind::Noise => over > 0 && longest < 4,
                _ => longest > 60,
            };
        if !is_fine {
            wrong.push(format!(
                "{kind:?}: {over} ticks over, longest {longest}, {hopeless} hopeless"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shares_sum_up_to_the_load_that_was_asked_for() {
    let trace = Synthetic {
        load: Some(0.5),
        minutes: Some(30),
        ..Synthetic::new(Kind::Zipf, 9)
    };
    let trace = trace.trace().unwrap();
    let mean = trace.ticks.iter().map(Tick::total).sum::<f64>() / trace.ticks.len() as f64;
    // 4 shards of 8, half of that, and what belongs to no bucket.
    assert!((mean - (16.0 + 0.64)).abs() < 0.4, "{mean}");
}
