//! Advisory locks that clients may not name.

use std::ops::RangeInclusive;

/// First keys, of the locks with two integers, that belong to the proxy: `0x5347` and sixteen more bits.
pub const OWN_LOCK_CLASSES: RangeInclusive<i32> = 0x5347_0000..=0x5347_ffff;
