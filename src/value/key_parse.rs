//! Reading a key from text or binary form, as the type's input or receive function does.

use super::datetime::{self, Unread};
use super::numeric_text::{is_newer_literal, trim_space};
use super::{Format, Key, KeyError, KeyType, Numeric, Oid, ValueError, uuid};

impl Key {
    /// Reads `text` as Postgres's input function of `key_type` does, without applying a length or precision. Text is taken
    /// to be in the server's encoding.
    pub fn parse_text(key_type: KeyType, text: &[u8]) -> Result<Key, KeyError> {
        let name = key_type.name();
        let dated = |unread: Unread| match unread {
            Unread::OutOfRange => KeyError::out_of_range(name, text),
            Unread::Ambiguous => KeyError::Ambiguous {
                expected: name,
                why: "only the unambiguous ISO form is read, for timestamptz with an offset",
            },
        };
        match key_type {
            KeyType::Int2 => integer(key_type, text, i16::MIN.into(), i16::MAX.into()).map(Key::Int),
            KeyType::Int4 => integer(key_type, text, i32::MIN.into(), i32::MAX.into()).map(Key::Int),
            KeyType::Int8 => integer(key_type, text, i64::MIN, i64::MAX).map(Key::Int),
            KeyType::Text | KeyType::Varchar => without_nul(key_type, text).map(Key::Text),
            KeyType::Bpchar => without_nul(key_type, text).map(Key::Bpchar),
            KeyType::Uuid => uuid::parse(text)
                .map(Key::Uuid)
                .ok_or_else(|| KeyError::invalid(name, text)),
            KeyType::Date => datetime::parse_date(trim_space(text)).map(Key::Date).map_err(dated),
            KeyType::Timestamp => datetime::parse_timestamp(trim_space(text))
                .map(Key::Timestamp)
                .map_err(dated),
            KeyType::Timestamptz => datetime::parse_timestamptz(trim_space(text))
                .map(Key::Timestamptz)
                .map_err(dated),
            KeyType::Numeric => Numeric::parse_text(text).map(Key::Numeric),
        }
    }

    /// Reads the binary form of a value of type `source`, for comparison with keys of `key_type`: a source type outside
    /// the key type's hash family is [`KeyError::Ambiguous`].
    pub fn parse_binary(source: Oid, bytes: &[u8], key_type: KeyType) -> Result<Key, KeyError> {
        let source = comparable_source(source, key_type)?;
        let name = source.name();
        let malformed = || KeyError::invalid(name, &hex(bytes));
        match source {
            KeyType::Int2 => fixed(bytes)
                .map(|b| Key::Int(i16::from_be_bytes(b).into()))
                .ok_or_else(malformed),
            KeyType::Int4 => fixed(bytes)
                .map(|b| Key::Int(i32::from_be_bytes(b).into()))
                .ok_or_else(malformed),
            KeyType::Int8 => fixed(bytes)
                .map(|b| Key::Int(i64::from_be_bytes(b)))
                .ok_or_else(malformed),
            KeyType::Text | KeyType::Varchar | KeyType::Bpchar => Key::parse_text(source, bytes),
            KeyType::Uuid => fixed(bytes).map(Key::Uuid).ok_or_else(malformed),
            KeyType::Date => {
                let days = fixed(bytes).map(i32::from_be_bytes).ok_or_else(malformed)?;
                let checked = Some(days).filter(|days| datetime::is_date(*days));
                checked
                    .map(Key::Date)
                    .ok_or_else(|| KeyError::out_of_range(name, &hex(bytes)))
            }
            KeyType::Timestamp => timestamp(name, bytes).map(Key::Timestamp),
            KeyType::Timestamptz => timestamp(name, bytes).map(Key::Timestamptz),
            KeyType::Numeric => Numeric::decode_binary(bytes)
                .map(Key::Numeric)
                .map_err(|error| match error {
                    ValueError::OutOfRange { .. } => KeyError::out_of_range(name, &hex(bytes)),
                    ValueError::Malformed { .. } | ValueError::DivisionByZero | ValueError::Unknown(_) => malformed(),
                }),
        }
    }

    /// Reads a value of type `source` in either format, for comparison with keys of `key_type`: a source type outside the
    /// key type's hash family is [`KeyError::Ambiguous`]. Text of type `unknown` (a bare literal) is read as `key_type`.
    pub fn parse(source: Oid, format: Format, bytes: &[u8], key_type: KeyType) -> Result<Key, KeyError> {
        match format {
            Format::Text if source == Oid::UNKNOWN => Key::parse_text(key_type, bytes),
            Format::Text => Key::parse_text(comparable_source(source, key_type)?, bytes),
            Format::Binary => Key::parse_binary(source, bytes, key_type),
        }
    }
}

/// The key type that `source` is, if Postgres compares it with `key_type` within one hash family.
pub(super) fn comparable_source(source: Oid, key_type: KeyType) -> Result<KeyType, KeyError> {
    KeyType::of(source)
        .filter(|source| source.is_hash_compatible(key_type))
        .ok_or(KeyError::Ambiguous {
            expected: key_type.name(),
            why: "the value's type does not hash like the key's",
        })
}

/// `int2in`, `int4in`, `int8in`: blanks, a sign, digits, blanks.
fn integer(key_type: KeyType, text: &[u8], min: i64, max: i64) -> Result<i64, KeyError> {
    if let Some(value) = few_digits(text).filter(|value| (min..=max).contains(value)) {
        return Ok(value);
    }
    let name = key_type.name();
    let trimmed = trim_space(text);
    let digits = match trimmed {
        [b'+' | b'-', digits @ ..] => digits,
        _ => trimmed,
    };
    if is_newer_literal(digits) {
        return Err(KeyError::Ambiguous {
            expected: name,
            why: "only Postgres 16 and later read this form",
        });
    }
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(KeyError::invalid(name, text));
    }
    // Only overflow is left as a reason to fail.
    let value: Option<i64> = std::str::from_utf8(trimmed).ok().and_then(|text| text.parse().ok());
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| KeyError::out_of_range(name, text))
}

/// Digits alone, so few that they can't overflow: by far the most keys.
fn few_digits(text: &[u8]) -> Option<i64> {
    const DIGITS_MAX: usize = 18;
    if text.is_empty() || text.len() > DIGITS_MAX {
        return None;
    }
    text.iter().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'9' => Some(value * 10 + i64::from(*byte - b'0')),
        _ => None,
    })
}

fn without_nul(key_type: KeyType, text: &[u8]) -> Result<Vec<u8>, KeyError> {
    if text.contains(&0) {
        Err(KeyError::invalid(key_type.name(), text))
    } else {
        Ok(text.to_vec())
    }
}

fn timestamp(name: &'static str, bytes: &[u8]) -> Result<i64, KeyError> {
    let microseconds = fixed(bytes)
        .map(i64::from_be_bytes)
        .ok_or_else(|| KeyError::invalid(name, &hex(bytes)))?;
    let checked = Some(microseconds).filter(|microseconds| datetime::is_timestamp(*microseconds));
    checked.ok_or_else(|| KeyError::out_of_range(name, &hex(bytes)))
}

fn fixed<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

/// Binary input as messages show it.
fn hex(bytes: &[u8]) -> Vec<u8> {
    let digits: String = bytes.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    format!("\\x{digits}").into_bytes()
}
