//! One-dimensional arrays of keys, for `= ANY($1)`.

use super::{Format, Key, KeyError, KeyType, Oid};

impl Key {
    /// Reads the text form of a one-dimensional array (`{1,2,NULL}`) of `key_type`; other dimensions are ambiguous.
    pub fn parse_array_text(key_type: KeyType, text: &[u8]) -> Result<Vec<Option<Key>>, KeyError> {
        let _ = text;
        Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "not read yet",
        })
    }

    /// Reads the binary form of an array whose declared type is `source`, for comparison with keys of `key_type`.
    pub fn parse_array_binary(source: Oid, bytes: &[u8], key_type: KeyType) -> Result<Vec<Option<Key>>, KeyError> {
        let _ = (source, bytes);
        Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "not read yet",
        })
    }

    /// Reads an array of declared type `source` (an array OID, or `unknown`) in either format.
    pub fn parse_array(
        source: Oid,
        format: Format,
        bytes: &[u8],
        key_type: KeyType,
    ) -> Result<Vec<Option<Key>>, KeyError> {
        match format {
            Format::Text => Key::parse_array_text(key_type, bytes),
            Format::Binary => Key::parse_array_binary(source, bytes, key_type),
        }
    }
}
