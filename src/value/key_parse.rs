//! Reading a key from text or binary form, as the type's input or receive function does.

use super::{Format, Key, KeyError, KeyType, Oid};

impl Key {
    /// Reads `text` as Postgres's input function of `key_type` does, without applying a length or precision.
    pub fn parse_text(key_type: KeyType, text: &[u8]) -> Result<Key, KeyError> {
        let _ = text;
        Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "not read yet",
        })
    }

    /// Reads the binary form of a value of type `source` that is compared with keys of `key_type`.
    pub fn parse_binary(source: Oid, bytes: &[u8], key_type: KeyType) -> Result<Key, KeyError> {
        let _ = (source, bytes);
        Err(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "not read yet",
        })
    }

    /// Reads a value of type `source` in either format, for comparison with keys of `key_type`: a source type outside the
    /// key type's hash family is [`KeyError::Ambiguous`]; `unknown` is read as `key_type`.
    pub fn parse(source: Oid, format: Format, bytes: &[u8], key_type: KeyType) -> Result<Key, KeyError> {
        match format {
            Format::Text => Key::parse_text(key_type, bytes),
            Format::Binary => Key::parse_binary(source, bytes, key_type),
        }
    }
}
