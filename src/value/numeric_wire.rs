//! `numeric_recv` and `numeric_send`.

use super::{Numeric, ValueError};

impl Numeric {
    /// Reads the binary form.
    pub fn decode_binary(bytes: &[u8]) -> Result<Numeric, ValueError> {
        Err(ValueError::Malformed {
            expected: "numeric",
            length: bytes.len(),
        })
    }

    /// Appends the binary form.
    pub fn encode_binary(&self, _: &mut Vec<u8>) {}
}
