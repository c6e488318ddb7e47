//! Order of binary wire values, proven equal to the btree order of their types.

use std::cmp::Ordering;

use super::key::without_trailing_blanks;
use super::{Numeric, Oid, ValueError};

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
        let text = |comparator| match text_order {
            TextOrder::Bytes => Some(comparator),
            TextOrder::Unknown => None,
        };
        match oid {
            Oid::BOOL => Some(Comparator::Bool),
            Oid::INT2 => Some(Comparator::Int2),
            Oid::INT4 => Some(Comparator::Int4),
            Oid::INT8 => Some(Comparator::Int8),
            Oid::OID => Some(Comparator::Oid),
            Oid::FLOAT4 => Some(Comparator::Float4),
            Oid::FLOAT8 => Some(Comparator::Float8),
            Oid::NUMERIC => Some(Comparator::Numeric),
            Oid::DATE => Some(Comparator::Date),
            Oid::TIMESTAMP => Some(Comparator::Timestamp),
            Oid::TIMESTAMPTZ => Some(Comparator::Timestamptz),
            Oid::TIME => Some(Comparator::Time),
            Oid::INTERVAL => Some(Comparator::Interval),
            Oid::UUID => Some(Comparator::Uuid),
            Oid::BYTEA => Some(Comparator::Bytea),
            Oid::CHAR => Some(Comparator::Char),
            Oid::NAME => text(Comparator::Name),
            Oid::TEXT | Oid::VARCHAR => text(Comparator::TextBytes),
            Oid::BPCHAR => text(Comparator::BpcharBytes),
            _ => None,
        }
    }

    /// Compares two binary wire values of the type.
    pub fn compare(self, a: &[u8], b: &[u8]) -> Result<Ordering, ValueError> {
        match self {
            Comparator::Bool => by("bool", a, b, |bytes: [u8; 1]| bytes),
            Comparator::Int2 => by("int2", a, b, i16::from_be_bytes),
            Comparator::Int4 => by("int4", a, b, i32::from_be_bytes),
            Comparator::Int8 => by("int8", a, b, i64::from_be_bytes),
            Comparator::Oid => by("oid", a, b, u32::from_be_bytes),
            Comparator::Float4 => by("float4", a, b, |bytes| Float(f32::from_be_bytes(bytes).into())),
            Comparator::Float8 => by("float8", a, b, |bytes| Float(f64::from_be_bytes(bytes))),
            Comparator::Numeric => Numeric::compare_binary(a, b),
            Comparator::Date => by("date", a, b, i32::from_be_bytes),
            Comparator::Timestamp => by("timestamp", a, b, i64::from_be_bytes),
            Comparator::Timestamptz => by("timestamptz", a, b, i64::from_be_bytes),
            Comparator::Time => by("time", a, b, i64::from_be_bytes),
            Comparator::Interval => by("interval", a, b, interval_span),
            Comparator::Uuid => by("uuid", a, b, |bytes: [u8; 16]| bytes),
            Comparator::Char => by("char", a, b, |bytes: [u8; 1]| bytes),
            Comparator::Bytea | Comparator::TextBytes | Comparator::Name => Ok(a.cmp(b)),
            Comparator::BpcharBytes => Ok(without_trailing_blanks(a).cmp(without_trailing_blanks(b))),
        }
    }
}

fn by<const N: usize, T: Ord>(
    expected: &'static str,
    a: &[u8],
    b: &[u8],
    decode: impl Fn([u8; N]) -> T,
) -> Result<Ordering, ValueError> {
    let read = |bytes: &[u8]| match <[u8; N]>::try_from(bytes) {
        Ok(bytes) => Ok(decode(bytes)),
        Err(_) => Err(ValueError::Malformed {
            expected,
            length: bytes.len(),
        }),
    };
    Ok(read(a)?.cmp(&read(b)?))
}

/// `interval_cmp_value`: microseconds, days and months on one line, a month of 30 days of 24 hours.
fn interval_span(bytes: [u8; 16]) -> i128 {
    // Sixteen bytes: time 8, days 4, months 4.
    let bits = u128::from_be_bytes(bytes);
    let word = |shift: u32| i128::from(u32::try_from((bits >> shift) & 0xffff_ffff).unwrap_or(0).cast_signed());
    let time = i128::from(u64::try_from(bits >> 64).unwrap_or(0).cast_signed());
    (word(0) * 30 + word(32)) * 86_400_000_000 + time
}

/// Order of `float8_cmp_internal`: NaN equals NaN and is greater than all else, zeros are equal.
#[derive(Clone, Copy)]
struct Float(f64);

impl Ord for Float {
    fn cmp(&self, other: &Float) -> Ordering {
        self.0
            .partial_cmp(&other.0)
            .unwrap_or_else(|| self.0.is_nan().cmp(&other.0.is_nan()))
    }
}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Float) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Float) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}
