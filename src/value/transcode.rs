//! From a value's text, as a server writes it, to its binary form.
//!
//! Why: a cursor over several shards is opened before the client says in which format it will fetch.
//! Holds: a closed list of types; a text that depends on a setting (dates not in ISO form, `bytea` by escapes) is not read,
//! and neither is a type that isn't listed. `tests/tokens.rs` compares each with a server.

use super::encode::{decode_bool, decode_int2, decode_int4, decode_int8, decode_numeric};
use super::encode::{encode_bool, encode_int2, encode_int4, encode_int8, encode_numeric};
use super::{Format, Key, KeyType, Oid};

/// The version that the binary form of jsonb begins with.
const JSONB_VERSION: u8 = 1;

/// Whether [`binary_of_text`] knows the type.
pub fn has_binary_of_text(kind: Oid) -> bool {
    matches!(
        kind,
        Oid::BOOL
            | Oid::BYTEA
            | Oid::NAME
            | Oid::INT8
            | Oid::INT2
            | Oid::INT4
            | Oid::TEXT
            | Oid::OID
            | Oid::JSON
            | Oid::FLOAT4
            | Oid::FLOAT8
            | Oid::UNKNOWN
            | Oid::BPCHAR
            | Oid::VARCHAR
            | Oid::DATE
            | Oid::TIMESTAMP
            | Oid::TIMESTAMPTZ
            | Oid::NUMERIC
            | Oid::UUID
            | Oid::JSONB
    )
}

/// Appends the binary form of a value that a server has written as text; `None`, and nothing appended: not for sure.
/// A float's text is taken to be the shortest that is exact (`extra_float_digits` of 1 or more).
pub fn binary_of_text(kind: Oid, text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let written = || std::str::from_utf8(text).ok();
    match kind {
        Oid::NAME | Oid::TEXT | Oid::JSON | Oid::UNKNOWN | Oid::BPCHAR | Oid::VARCHAR => out.extend_from_slice(text),
        Oid::JSONB => {
            out.push(JSONB_VERSION);
            out.extend_from_slice(text);
        }
        Oid::BOOL => encode_bool(Format::Binary, decode_bool(Format::Text, text).ok()?, out),
        Oid::INT2 => encode_int2(Format::Binary, decode_int2(Format::Text, text).ok()?, out),
        Oid::INT4 => encode_int4(Format::Binary, decode_int4(Format::Text, text).ok()?, out),
        Oid::INT8 => encode_int8(Format::Binary, decode_int8(Format::Text, text).ok()?, out),
        Oid::OID => out.extend_from_slice(&written()?.parse::<u32>().ok()?.to_be_bytes()),
        Oid::FLOAT4 => out.extend_from_slice(&written()?.parse::<f32>().ok()?.to_be_bytes()),
        Oid::FLOAT8 => out.extend_from_slice(&written()?.parse::<f64>().ok()?.to_be_bytes()),
        Oid::NUMERIC => encode_numeric(Format::Binary, &decode_numeric(Format::Text, text).ok()?, out),
        Oid::BYTEA => out.extend_from_slice(&hex_bytes(text)?),
        Oid::UUID => match Key::parse_text(KeyType::Uuid, text).ok()? {
            Key::Uuid(bytes) => out.extend_from_slice(&bytes),
            _ => return None,
        },
        Oid::DATE => match Key::parse_text(KeyType::Date, text).ok()? {
            Key::Date(days) => out.extend_from_slice(&days.to_be_bytes()),
            _ => return None,
        },
        Oid::TIMESTAMP => match Key::parse_text(KeyType::Timestamp, text).ok()? {
            Key::Timestamp(at) => out.extend_from_slice(&at.to_be_bytes()),
            _ => return None,
        },
        Oid::TIMESTAMPTZ => match Key::parse_text(KeyType::Timestamptz, text).ok()? {
            Key::Timestamptz(at) => out.extend_from_slice(&at.to_be_bytes()),
            _ => return None,
        },
        _ => return None,
    }
    Some(())
}

/// The bytes of `\x…`.
fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    let digits = text.strip_prefix(b"\\x")?;
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| match pair {
            [high, low] => digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_depends_on_a_setting_is_not_read() {
        for (kind, text) in [
            (Oid::DATE, "01/02/2020"),
            (Oid::TIMESTAMPTZ, "Wed Jan 01 00:00:00 2020 UTC"),
            (Oid::BYTEA, "\\001"),
            (Oid::BYTEA, "\\x0"),
            (Oid::INTERVAL, "1 day"),
            (Oid::INT4, "x"),
        ] {
            let mut out = Vec::new();
            assert_eq!(binary_of_text(kind, text.as_bytes(), &mut out), None, "{text}");
            assert!(out.is_empty(), "{text}");
        }
    }

    #[test]
    fn the_list_and_the_reading_agree() {
        for (name, kind) in Oid::BUILTIN {
            let text = match *kind {
                Oid::BOOL => "t",
                Oid::BYTEA => "\\x00ff",
                Oid::DATE => "2020-01-02",
                Oid::TIMESTAMP => "2020-01-02 03:04:05.6",
                Oid::TIMESTAMPTZ => "2020-01-02 03:04:05+00",
                Oid::UUID => "5b0bb8d0-6c5b-4f0c-9a3f-0d1b6c0f2a11",
                _ => "7",
            };
            let read = binary_of_text(*kind, text.as_bytes(), &mut Vec::new()).is_some();
            assert_eq!(read, has_binary_of_text(*kind), "{name}");
        }
    }
}
