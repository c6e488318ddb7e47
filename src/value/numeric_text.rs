//! `numeric_in` and `numeric_out`.

use std::fmt;

use super::{KeyError, Numeric};

impl Numeric {
    /// Reads what `numeric_in` reads, without a precision.
    pub fn parse_text(_: &[u8]) -> Result<Numeric, KeyError> {
        Err(KeyError::Ambiguous {
            expected: "numeric",
            why: "not read yet",
        })
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("")
    }
}
