//! Values that the proxy computes or reads itself (aggregates, counts), in both wire formats.

use super::{Format, Numeric, ValueError};

fn malformed(expected: &'static str, bytes: &[u8]) -> ValueError {
    ValueError::Malformed {
        expected,
        length: bytes.len(),
    }
}

macro_rules! integers {
    ($($encode:ident $decode:ident $rust:ty, $name:literal;)*) => {$(
        #[doc = concat!("Appends a value of type `", $name, "`.")]
        pub fn $encode(format: Format, value: $rust, out: &mut Vec<u8>) {
            match format {
                Format::Text => out.extend_from_slice(value.to_string().as_bytes()),
                Format::Binary => out.extend_from_slice(&value.to_be_bytes()),
            }
        }

        #[doc = concat!("Reads a value of type `", $name, "` as a server sends it.")]
        pub fn $decode(format: Format, bytes: &[u8]) -> Result<$rust, ValueError> {
            let value = match format {
                Format::Text => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
                Format::Binary => bytes.try_into().ok().map(<$rust>::from_be_bytes),
            };
            value.ok_or_else(|| malformed($name, bytes))
        }
    )*};
}

integers! {
    encode_int2 decode_int2 i16, "int2";
    encode_int4 decode_int4 i32, "int4";
    encode_int8 decode_int8 i64, "int8";
}

/// Appends a value of type `bool`.
#[expect(clippy::fn_params_excessive_bools, reason = "the value is a bool")]
pub fn encode_bool(format: Format, value: bool, out: &mut Vec<u8>) {
    out.push(match (format, value) {
        (Format::Text, true) => b't',
        (Format::Text, false) => b'f',
        (Format::Binary, true) => 1,
        (Format::Binary, false) => 0,
    });
}

/// Reads a value of type `bool` as a server sends it.
pub fn decode_bool(format: Format, bytes: &[u8]) -> Result<bool, ValueError> {
    match (format, bytes) {
        (Format::Text, b"t") | (Format::Binary, [1]) => Ok(true),
        (Format::Text, b"f") | (Format::Binary, [0]) => Ok(false),
        (Format::Text | Format::Binary, _) => Err(malformed("bool", bytes)),
    }
}

/// Appends a value of type `numeric`.
pub fn encode_numeric(format: Format, value: &Numeric, out: &mut Vec<u8>) {
    match format {
        Format::Text => out.extend_from_slice(value.to_string().as_bytes()),
        Format::Binary => value.encode_binary(out),
    }
}

/// Reads a value of type `numeric` as a server sends it.
pub fn decode_numeric(format: Format, bytes: &[u8]) -> Result<Numeric, ValueError> {
    match format {
        Format::Text => Numeric::parse_text(bytes).map_err(|_| malformed("numeric", bytes)),
        Format::Binary => Numeric::decode_binary(bytes),
    }
}

/// Appends a value of type `text`: the same bytes in both formats.
pub fn encode_text(format: Format, value: &str, out: &mut Vec<u8>) {
    match format {
        Format::Text | Format::Binary => out.extend_from_slice(value.as_bytes()),
    }
}
