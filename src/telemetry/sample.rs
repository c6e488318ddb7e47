//! A sample of keys for split points: weighted, of fixed size, recent keys more likely.
//!
//! Why: a split wants the key where half of the load lies on either side, and load is not rows. Efraimidis and Spirakis
//! ("Weighted random sampling with a reservoir", 2006) give each item the rank E/w, E exponential, w its weight, and keep
//! the lowest ranks. Weights grow by exp(t/T) with time instead of older ones being shrunk (Cormode et al., "Forward
//! decay", 2009), so nothing kept is ever touched again; ranks are kept as logarithms, which don't overflow. What a kept
//! item stands for is w over its chance to have been kept, 1 - exp(-w * threshold), the threshold being the lowest rank
//! that was turned away (Cohen and Kaplan, "Bottom-k sketches", 2007): sums over any part of the keys are unbiased.
//! Absent: entropy and time; callers bring both.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::load::SampledKey;
use crate::topology::{BucketId, Token};
use crate::value::Key;

/// Keys that are kept.
pub(crate) const SAMPLES: usize = 1024;

/// After this time a key's weight has fallen to 1/e.
pub(crate) const SAMPLE_DECAY: Duration = Duration::from_secs(300);

/// A reservoir.
#[derive(Debug, Default)]
pub(crate) struct Reservoir {
    kept: BinaryHeap<Kept>,
    /// logarithm of the lowest rank that was turned away
    threshold: Option<f64>,
}

#[derive(Debug)]
struct Kept {
    /// logarithm of its rank
    rank: f64,
    /// logarithm of its weight, grown by its time
    weight: f64,
    key: Key,
    bucket: BucketId,
}

impl Reservoir {
    /// A key came with a weight (seconds), so long after the start; `entropy` is 64 random bits.
    pub(crate) fn add(&mut self, key: &Key, bucket: BucketId, weight: f64, since_start: Duration, entropy: u64) {
        if weight <= 0.0 {
            return;
        }
        let weight = weight.ln() + age(since_start);
        let rank = exponential(entropy).ln() - weight;
        if self.kept.len() >= SAMPLES {
            if self.kept.peek().is_none_or(|highest| rank >= highest.rank) {
                self.turn_away(rank);
                return;
            }
            if let Some(highest) = self.kept.pop() {
                self.turn_away(highest.rank);
            }
        }
        let key = key.clone();
        self.kept.push(Kept {
            rank,
            weight,
            key,
            bucket,
        });
    }

    fn turn_away(&mut self, rank: f64) {
        self.threshold = Some(self.threshold.map_or(rank, |threshold| threshold.min(rank)));
    }

    /// The kept keys with what each stands for, in seconds decayed to now; in the order of their tokens.
    pub(crate) fn samples(&self, since_start: Duration) -> Vec<SampledKey> {
        let now = age(since_start);
        let samples = self.kept.iter().map(|kept| {
            let chance = match self.threshold {
                Some(threshold) => -(-(kept.weight + threshold).exp()).exp_m1(),
                None => 1.0,
            };
            SampledKey {
                key: kept.key.clone(),
                token: Token(kept.key.hash()),
                bucket: kept.bucket,
                weight: (kept.weight - now).exp() / chance.max(f64::MIN_POSITIVE),
            }
        });
        let mut samples: Vec<SampledKey> = samples.filter(|sample| sample.weight > 1e-12).collect();
        in_order(&mut samples);
        samples
    }
}

/// Samples of several streams as one of at most `count`: points at equal steps along the weights, in the order of the
/// keys, each standing for one step. Any stretch of keys keeps its weight up to one step.
pub(crate) fn thinned(mut samples: Vec<SampledKey>, count: usize) -> Vec<SampledKey> {
    in_order(&mut samples);
    if samples.len() <= count {
        return samples;
    }
    let total: f64 = samples.iter().map(|sample| sample.weight).sum();
    #[expect(clippy::cast_precision_loss, reason = "at most thousands")]
    let step = total / count.max(1) as f64;
    let mut next = step / 2.0;
    let mut before = 0.0;
    let mut thinned: Vec<SampledKey> = Vec::with_capacity(count);
    for sample in samples {
        before += sample.weight;
        let mut steps = 0.0;
        while next < before {
            steps += 1.0;
            next += step;
        }
        if steps > 0.0 {
            thinned.push(SampledKey {
                weight: steps * step,
                ..sample
            });
        }
    }
    thinned
}

fn in_order(samples: &mut [SampledKey]) {
    samples.sort_by(|a, b| {
        let by_key = a.key.compare(&b.key).unwrap_or(Ordering::Equal);
        let by_bucket = a.bucket.cmp(&b.bucket);
        by_bucket
            .then(a.token.cmp(&b.token))
            .then(by_key)
            .then(a.weight.total_cmp(&b.weight))
    });
}

fn age(since_start: Duration) -> f64 {
    since_start.as_secs_f64() / SAMPLE_DECAY.as_secs_f64()
}

/// Exponential with mean 1, out of 64 random bits; never zero.
fn exponential(entropy: u64) -> f64 {
    // 53 bits, moved off both ends of 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let uniform = ((entropy >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln()
}

// === impl Kept: the highest rank is on top ===

impl Ord for Kept {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.total_cmp(&other.rank)
    }
}

impl PartialOrd for Kept {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Kept {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::entropy::Entropy;

    fn bucket() -> BucketId {
        BucketId::new(0).unwrap()
    }

    fn weight_of(samples: &[SampledKey], which: impl Fn(i64) -> bool) -> f64 {
        let of = samples.iter().filter(|sample| match sample.key {
            Key::Int(key) => which(key),
            _ => false,
        });
        of.map(|sample| sample.weight).sum()
    }

    /// A hundred thousand keys, of which the even ones weigh nine times as much.
    #[test]
    fn what_weighs_more_is_kept_more_and_sums_are_right() {
        let (mut reservoir, mut entropy) = (Reservoir::default(), Entropy::new(1));
        for key in 0..100_000_i64 {
            let weight = if key % 2 == 0 { 0.9 } else { 0.1 };
            reservoir.add(&Key::Int(key), bucket(), weight, Duration::ZERO, entropy.draw());
        }
        let samples = reservoir.samples(Duration::ZERO);
        assert_eq!(samples.len(), SAMPLES);
        let even = samples
            .iter()
            .filter(|sample| matches!(sample.key, Key::Int(key) if key % 2 == 0));
        let even = even.count();
        assert!((880..=960).contains(&even), "{even} of {SAMPLES}");
        // 3 sigma of about 1/sqrt(1024), and of the ninth part of them.
        let total = weight_of(&samples, |_| true);
        assert!((total - 50_000.0).abs() < 5_000.0, "{total}");
        let odd = weight_of(&samples, |key| key % 2 == 1);
        assert!((odd - 5_000.0).abs() < 2_000.0, "{odd}");
        let lower = weight_of(&samples, |key| key < 50_000) / total;
        assert!((lower - 0.5).abs() < 0.06, "{lower}");
    }

    #[test]
    fn old_keys_fade() {
        let (mut reservoir, mut entropy) = (Reservoir::default(), Entropy::new(2));
        let day = Duration::from_secs(86_400);
        (0..5_000).for_each(|key| reservoir.add(&Key::Int(key), bucket(), 1.0, Duration::ZERO, entropy.draw()));
        (5_000..7_000).for_each(|key| reservoir.add(&Key::Int(key), bucket(), 1.0, day, entropy.draw()));
        let samples = reservoir.samples(day);
        assert_eq!((samples.len(), weight_of(&samples, |key| key < 5_000)), (SAMPLES, 0.0));
        let total = weight_of(&samples, |_| true);
        assert!((total - 2_000.0).abs() < 250.0, "{total}");
        // A month is no overflow.
        let month = day * 30;
        reservoir.add(&Key::Int(-1), bucket(), 2.0, month, entropy.draw());
        let samples = reservoir.samples(month);
        assert_eq!(samples.len(), 1);
        assert!((samples[0].weight - 2.0).abs() < 1e-6, "{samples:?}");
    }

    #[test]
    fn thinning_keeps_the_weight_of_every_stretch() {
        let samples: Vec<SampledKey> = (0..5_000_i64)
            .map(|key| SampledKey {
                key: Key::Int(key),
                token: Token(key),
                bucket: bucket(),
                weight: if key < 1_000 { 4.0 } else { 1.0 },
            })
            .collect();
        let thin = thinned(samples.clone(), 500);
        assert!(thin.len() <= 500, "{}", thin.len());
        assert!((weight_of(&thin, |_| true) - 8_000.0).abs() < 1e-6);
        for end in [1, 500, 1_000, 2_345, 4_999] {
            let (was, is) = (weight_of(&samples, |key| key < end), weight_of(&thin, |key| key < end));
            assert!((was - is).abs() <= 16.0, "{is} for {was} below {end}");
        }
        assert_eq!(thinned(thin.clone(), 500), thin);
    }
}
