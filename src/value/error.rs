//! What can be wrong with a value.
//!
//! Why two enums in one file: a key that cannot be read has a third outcome besides right and wrong, "Postgres may know,
//! we don't", and callers must not confuse it with the others.

use super::Oid;

/// Why a sharding key could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Postgres rejects the same input as malformed (SQLSTATE 22P02, 22007, 22P03 …).
    #[error("invalid input syntax for type {expected}: \"{input}\"")]
    Invalid {
        /// the type that was to be read
        expected: &'static str,
        /// what was given, shortened
        input: String,
    },
    /// Postgres rejects the same input as out of range (SQLSTATE 22003, 22008).
    #[error("value \"{input}\" is out of range for type {expected}")]
    OutOfRange {
        /// the type that was to be read
        expected: &'static str,
        /// what was given, shortened
        input: String,
    },
    /// A string that is longer than its column and ends in more than blanks (SQLSTATE 22001).
    #[error("value too long for type {expected}({length_max})")]
    TooLong {
        /// the column's type
        expected: &'static str,
        /// in characters
        length_max: u32,
    },
    /// Postgres may accept this, but what it reads depends on settings, version or casts that are not known here: send
    /// reads to all shards, and refuse writes or ask a server.
    #[error("cannot tell here what Postgres reads as {expected}: {why}")]
    Ambiguous {
        /// the type that was to be read
        expected: &'static str,
        /// what is not known
        why: &'static str,
    },
}

impl KeyError {
    pub(super) fn invalid(expected: &'static str, input: &[u8]) -> KeyError {
        KeyError::Invalid {
            expected,
            input: shortened(input),
        }
    }

    pub(super) fn out_of_range(expected: &'static str, input: &[u8]) -> KeyError {
        KeyError::OutOfRange {
            expected,
            input: shortened(input),
        }
    }
}

/// Enough of an input to recognise it by.
fn shortened(input: &[u8]) -> String {
    const LENGTH_MAX: usize = 64;
    let text = String::from_utf8_lossy(input.get(..LENGTH_MAX).unwrap_or(input));
    if input.len() > LENGTH_MAX {
        format!("{text}…")
    } else {
        text.into_owned()
    }
}

/// Why a wire value could not be decoded, compared or computed with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The bytes don't have the form of the type.
    #[error("malformed {expected} value of {length} bytes")]
    Malformed {
        /// the type that was to be read
        expected: &'static str,
        /// of the value
        length: usize,
    },
    /// The result does not fit its type (SQLSTATE 22003).
    #[error("{expected} out of range")]
    OutOfRange {
        /// the type
        expected: &'static str,
    },
    /// SQLSTATE 22012.
    #[error("division by zero")]
    DivisionByZero,
    /// No order or form of this type is known here.
    #[error("no comparison is known for type {}", .0.0)]
    Unknown(Oid),
}
