//! A decoded sharding key: its token's hash, its order within its type, its canonical text.
//!
//! Holds: two keys of one family are equal here exactly if Postgres's `=` says so, and equal keys have equal hashes.

use std::cmp::Ordering;
use std::fmt;

use super::hash::{hash_bytes, hash_int8};
use super::key_type::Family;
use super::{KeyType, Numeric, datetime, uuid};

/// A decoded sharding key, never NULL.
#[derive(Clone, Debug)]
pub enum Key {
    /// smallint, integer, bigint
    Int(i64),
    /// text, varchar: bytes in the server's encoding
    Text(Vec<u8>),
    /// character(n): bytes in the server's encoding; trailing blanks are kept and don't count
    Bpchar(Vec<u8>),
    /// uuid
    Uuid([u8; 16]),
    /// days since 2000-01-01; `i32::MIN` and `i32::MAX` are the infinities
    Date(i32),
    /// microseconds since 2000-01-01 00:00:00; `i64::MIN` and `i64::MAX` are the infinities
    Timestamp(i64),
    /// microseconds since 2000-01-01 00:00:00 UTC; `i64::MIN` and `i64::MAX` are the infinities
    Timestamptz(i64),
    /// numeric
    Numeric(Numeric),
}

impl Key {
    /// The 64-bit hash that Postgres's extended hash function of the type gives with seed 0.
    pub fn hash(&self) -> i64 {
        match self {
            Key::Int(value) | Key::Timestamp(value) | Key::Timestamptz(value) => hash_int8(*value),
            Key::Text(bytes) => hash_bytes(bytes),
            Key::Bpchar(bytes) => hash_bytes(without_trailing_blanks(bytes)),
            Key::Uuid(uuid) => hash_bytes(uuid),
            // hashint4extended equals hashint8extended for values that fit.
            Key::Date(days) => hash_int8(i64::from(*days)),
            Key::Numeric(numeric) => numeric.hash(),
        }
    }

    /// Order within one family under the type's btree operators (text in byte order, as under C); `None` across families.
    pub fn compare(&self, other: &Key) -> Option<Ordering> {
        match (self, other) {
            (Key::Int(a), Key::Int(b))
            | (Key::Timestamp(a), Key::Timestamp(b))
            | (Key::Timestamptz(a), Key::Timestamptz(b)) => Some(a.cmp(b)),
            (Key::Text(a), Key::Text(b)) => Some(a.cmp(b)),
            (Key::Bpchar(a), Key::Bpchar(b)) => Some(without_trailing_blanks(a).cmp(without_trailing_blanks(b))),
            (Key::Uuid(a), Key::Uuid(b)) => Some(a.cmp(b)),
            (Key::Date(a), Key::Date(b)) => Some(a.cmp(b)),
            (Key::Numeric(a), Key::Numeric(b)) => Some(a.cmp(b)),
            (
                Key::Int(_)
                | Key::Text(_)
                | Key::Bpchar(_)
                | Key::Uuid(_)
                | Key::Date(_)
                | Key::Timestamp(_)
                | Key::Timestamptz(_)
                | Key::Numeric(_),
                _,
            ) => None,
        }
    }

    /// The value in a form that [`Key::parse_text`] reads back (years outside
    /// 0001 to 9999 and text that isn't UTF-8 excepted).
    pub fn to_text(&self) -> String {
        match self {
            Key::Int(value) => value.to_string(),
            Key::Text(bytes) | Key::Bpchar(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Key::Uuid(bytes) => uuid::print(bytes),
            Key::Date(days) => datetime::print_date(*days),
            Key::Timestamp(microseconds) => datetime::print_timestamp(*microseconds, ""),
            Key::Timestamptz(microseconds) => datetime::print_timestamp(*microseconds, "+00"),
            Key::Numeric(numeric) => numeric.to_string(),
        }
    }

    /// May this key be compared with, or placed by, keys of this type?
    pub fn fits(&self, key_type: KeyType) -> bool {
        self.family() == key_type.family()
    }

    pub(super) fn family(&self) -> Family {
        match self {
            Key::Int(_) => Family::Integer,
            Key::Text(_) => Family::Text,
            Key::Bpchar(_) => Family::Bpchar,
            Key::Uuid(_) => Family::Uuid,
            Key::Date(_) => Family::Date,
            Key::Timestamp(_) => Family::Timestamp,
            Key::Timestamptz(_) => Family::Timestamptz,
            Key::Numeric(_) => Family::Numeric,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.compare(other) == Some(Ordering::Equal)
    }
}

impl Eq for Key {}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

/// The part of a character(n) that counts.
pub(super) fn without_trailing_blanks(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    bytes.get(..end).unwrap_or(bytes)
}
