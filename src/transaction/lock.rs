//! The advisory locks that commits and reads over several shards meet at.
//!
//! Why advisory locks: one that a prepared transaction holds outlives its session and the server's crash, and whoever
//! waits for it wakes when COMMIT PREPARED is through, with a snapshot that sees the rows (checked on 15.18).
//! Holds: all are transaction-level on the committers' side, since PREPARE refuses a session-level one on the same key;
//! clients can't name these classes (`plan::OWN_LOCK_CLASSES`). Two transactions may share a lock: then one is waited for
//! in vain, and nothing worse.

use std::fmt;

use super::gid::TxId;
use crate::plan::OWN_LOCK_CLASSES;

/// A key of two integers, written as arguments of a lock function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockKey {
    /// the first
    pub class: i32,
    /// the second
    pub object: i32,
}

impl LockKey {
    /// The gate of commits: shared by those under way, exclusive for a reader that can't get past them otherwise.
    pub const GATE: LockKey = LockKey {
        class: *OWN_LOCK_CLASSES.start(),
        object: 0,
    };

    /// Of one transaction: its participants hold it, shared, until they have ended.
    pub fn of(tx_id: &TxId) -> LockKey {
        let [high, low, object @ ..] = tx_id.head();
        // never the gate's class
        let class = i32::from(u16::from_be_bytes([high, low]) | 1);
        LockKey {
            class: OWN_LOCK_CLASSES.start() | class,
            object: i32::from_be_bytes(object),
        }
    }
}

impl fmt::Display for LockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.class, self.object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_is_of_a_class_that_clients_cannot_name() {
        assert_eq!(LockKey::GATE.to_string(), "1397161984, 0");
        for digits in ["00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff"] {
            let key = LockKey::of(&TxId::parse(digits).unwrap());
            assert!(OWN_LOCK_CLASSES.contains(&key.class) && key != LockKey::GATE, "{key}");
        }
    }
}
