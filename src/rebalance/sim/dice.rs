//! Numbers that look random and are the same for the same seed, on every machine.
//!
//! Why our own: a trace that is stored as a seed must never change, so no crate's next version may roll otherwise.

use crate::telemetry::Entropy;

/// Even and normal numbers out of one sequence.
#[derive(Clone, Debug)]
pub(super) struct Dice(Entropy);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(Entropy::new(seed))
    }

    /// 0 up to, not including, `end`; 0 if that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        usize::try_from(self.0.draw().checked_rem(end).unwrap_or(0)).unwrap_or(0)
    }

    /// 0 up to, not including, 1.
    pub(super) fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.0.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Mean 0, deviation 1, close to normal: the sum of twelve even rolls (no logarithm, whose last bit differs between
    /// machines).
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// The same things in another order (Fisher and Yates).
    pub(super) fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference sequence of SplitMix64 for seed 1234567 (Rosetta Code, "Pseudo-random numbers/Splitmix64").
    #[test]
    fn the_sequence_is_splitmix64() {
        let mut dice = Dice::new(1_234_567);
        let rolls: Vec<u64> = (0..3).map(|_| dice.0.draw()).collect();
        assert_eq!(
            rolls,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn normal_rolls_have_mean_0_and_deviation_1() {
        let mut dice = Dice::new(7);
        let rolls: Vec<f64> = (0..20_000).map(|_| dice.normal()).collect();
        let mean = rolls.iter().sum::<f64>() / rolls.len() as f64;
        let variance = rolls.iter().map(|roll| (roll - mean).powi(2)).sum::<f64>() / rolls.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
