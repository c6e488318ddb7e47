//! Pseudo-random numbers for sampling, out of a seed that somebody else drew.
//!
//! Why: sampling on the data path wants a few cheap bits per statement, and the same bits again in a test.

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy(u64);

impl Entropy {
    /// Begins with a seed; any will do.
    pub fn new(seed: u64) -> Entropy {
        Entropy(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
