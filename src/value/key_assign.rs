//! The assignment cast: what a key becomes when it is written into a column.
//!
//! Why: the row's place follows from the value that is stored, and that is cut, padded or rounded to its column's type
//! first (`planning.md`). Lengths count characters of UTF-8; other encodings are ambiguous once they matter.

use super::key::without_trailing_blanks;
use super::{Key, KeyError, KeyType, Numeric, ValueError, datetime};

/// `VARHDRSZ`, which length and precision modifiers carry on top.
const HEADER: i32 = 4;

impl Key {
    /// The key as it is stored in a column of `key_type` with modifier `typmod` (-1: none): assignment cast, then length,
    /// precision or scale, exactly as INSERT and UPDATE apply them. Casts that depend on settings are ambiguous.
    pub fn assign(self, key_type: KeyType, typmod: i32) -> Result<Key, KeyError> {
        let name = key_type.name();
        match (self, key_type) {
            (Key::Int(value), KeyType::Int2 | KeyType::Int4 | KeyType::Int8) => in_range(value, key_type).map(Key::Int),
            (Key::Numeric(numeric), KeyType::Int2 | KeyType::Int4 | KeyType::Int8) => {
                let rounded = numeric
                    .to_i64()
                    .ok_or_else(|| KeyError::out_of_range(name, numeric.to_string().as_bytes()))?;
                in_range(rounded, key_type).map(Key::Int)
            }
            (Key::Int(value), KeyType::Numeric) => with_precision(Numeric::from(value), typmod).map(Key::Numeric),
            (Key::Numeric(numeric), KeyType::Numeric) => with_precision(numeric, typmod).map(Key::Numeric),

            (Key::Text(bytes), KeyType::Text) => Ok(Key::Text(bytes)),
            (Key::Text(bytes), KeyType::Varchar) => with_length(bytes, key_type, typmod).map(Key::Text),
            (Key::Text(bytes) | Key::Bpchar(bytes), KeyType::Bpchar) => {
                with_length(bytes, key_type, typmod).map(Key::Bpchar)
            }
            // The cast from character(n) strips blanks (`rtrim1`).
            (Key::Bpchar(bytes), KeyType::Text | KeyType::Varchar) => {
                Key::Text(without_trailing_blanks(&bytes).to_vec()).assign(key_type, typmod)
            }
            // Anything may be assigned to a string by way of its text form; that of these depends on no setting.
            (
                key @ (Key::Int(_) | Key::Numeric(_) | Key::Uuid(_)),
                KeyType::Text | KeyType::Varchar | KeyType::Bpchar,
            ) => Key::Text(key.to_text().into_bytes()).assign(key_type, typmod),

            (Key::Uuid(uuid), KeyType::Uuid) => Ok(Key::Uuid(uuid)),
            (Key::Date(days), KeyType::Date) => Ok(Key::Date(days)),
            (Key::Timestamp(microseconds), KeyType::Date) => Ok(Key::Date(datetime::date_of_timestamp(microseconds))),
            (Key::Date(days), KeyType::Timestamp) => datetime::timestamp_of_date(days)
                .map(Key::Timestamp)
                .ok_or_else(|| KeyError::out_of_range(name, datetime::print_date(days).as_bytes())),
            (Key::Timestamp(microseconds), KeyType::Timestamp) => {
                rounded(microseconds, key_type, typmod).map(Key::Timestamp)
            }
            (Key::Timestamptz(microseconds), KeyType::Timestamptz) => {
                rounded(microseconds, key_type, typmod).map(Key::Timestamptz)
            }
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
            ) => Err(KeyError::Ambiguous {
                expected: name,
                why: "the assignment cast depends on settings or fails",
            }),
        }
    }
}

fn in_range(value: i64, key_type: KeyType) -> Result<i64, KeyError> {
    let fits = match key_type {
        KeyType::Int2 => i16::try_from(value).is_ok(),
        KeyType::Int4 => i32::try_from(value).is_ok(),
        KeyType::Int8
        | KeyType::Text
        | KeyType::Varchar
        | KeyType::Bpchar
        | KeyType::Uuid
        | KeyType::Date
        | KeyType::Timestamp
        | KeyType::Timestamptz
        | KeyType::Numeric => true,
    };
    if fits {
        Ok(value)
    } else {
        Err(KeyError::out_of_range(key_type.name(), value.to_string().as_bytes()))
    }
}

/// `apply_typmod`: rounds to the scale, then checks the precision. Since Postgres 15 the scale's eleven bits are signed.
fn with_precision(numeric: Numeric, typmod: i32) -> Result<Numeric, KeyError> {
    let Some(modifier) = typmod.checked_sub(HEADER).filter(|modifier| *modifier >= 0) else {
        return Ok(numeric);
    };
    let precision = (modifier >> 16) & 0xffff;
    let scale = ((modifier & 0x7ff) ^ 1024) - 1024;
    let out_of_range = |_: ValueError| KeyError::out_of_range("numeric", numeric.to_string().as_bytes());
    let rounded = numeric.round(scale).map_err(out_of_range)?;
    if rounded.exceeds_integer_digits(i64::from(precision) - i64::from(scale)) {
        return Err(KeyError::out_of_range("numeric", numeric.to_string().as_bytes()));
    }
    Ok(rounded)
}

/// `varchar(text, int)` and `bpchar(text, int)` as assignments: only blanks may be cut. A shorter character(n) isn't padded
/// here, since its trailing blanks don't count.
fn with_length(bytes: Vec<u8>, key_type: KeyType, typmod: i32) -> Result<Vec<u8>, KeyError> {
    let length_max = match typmod.checked_sub(HEADER).and_then(|length| u32::try_from(length).ok()) {
        Some(length_max) => length_max,
        None => return Ok(bytes),
    };
    let characters_max = usize::try_from(length_max).unwrap_or(usize::MAX);
    if bytes.len() <= characters_max {
        return Ok(bytes);
    }
    let name = key_type.name();
    let text = std::str::from_utf8(&bytes).map_err(|_| KeyError::Ambiguous {
        expected: name,
        why: "its length in characters depends on the encoding",
    })?;
    let Some((cut, _)) = text.char_indices().nth(characters_max) else {
        return Ok(bytes);
    };
    let (kept, dropped) = bytes.split_at_checked(cut).unwrap_or((&bytes, &[]));
    if dropped.iter().any(|byte| *byte != b' ') {
        return Err(KeyError::TooLong {
            expected: name,
            length_max,
        });
    }
    Ok(kept.to_vec())
}

fn rounded(microseconds: i64, key_type: KeyType, typmod: i32) -> Result<i64, KeyError> {
    datetime::round_timestamp(microseconds, typmod)
        .ok_or_else(|| KeyError::out_of_range(key_type.name(), datetime::print_timestamp(microseconds, "").as_bytes()))
}
