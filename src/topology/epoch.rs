//! The topology's version number.

use std::fmt;
use std::num::NonZeroU64;

/// Version of the topology; rises by one with each change. Never reused, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(NonZeroU64);

impl Epoch {
    /// The epoch of a topology's creation.
    pub const FIRST: Epoch = Epoch(NonZeroU64::MIN);

    /// The epoch with this number, unless it is zero.
    pub fn new(number: u64) -> Option<Epoch> {
        NonZeroU64::new(number).map(Epoch)
    }

    /// Its number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The epoch that a change makes; `None` at the end of all numbers.
    pub fn next(self) -> Option<Epoch> {
        self.0.checked_add(1).map(Epoch)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
