//! A computed value written as its column's type, in the client's format.

use crate::value::{Format, Numeric, Oid, encode_bool, encode_int2, encode_int4, encode_int8, encode_numeric};

use super::MergeError;
use super::scalar::Value;

/// Gives the bytes of `value` as type `type_oid`, `None` for NULL. A number that doesn't fit an integer type is 22003.
pub(super) fn encode(value: &Value, type_oid: Oid, format: Format) -> Result<Option<Vec<u8>>, MergeError> {
    let mut out = Vec::new();
    match (value, type_oid) {
        (Value::Null, _) => return Ok(None),
        (Value::Boolean(boolean), Oid::BOOL) => encode_bool(format, *boolean, &mut out),
        (Value::Number(number), Oid::NUMERIC) => encode_numeric(format, number, &mut out),
        (Value::Number(number), Oid::INT8) => {
            encode_int8(format, integer(number, "bigint")?, &mut out);
        }
        (Value::Number(number), Oid::INT4) => encode_int4(format, integer(number, "integer")?, &mut out),
        (Value::Number(number), Oid::INT2) => encode_int2(format, integer(number, "smallint")?, &mut out),
        (Value::Number(_) | Value::Boolean(_) | Value::Raw(..), _) => return Err(MergeError::NoFold { type_oid }),
    }
    Ok(Some(out))
}

/// Reads back an integral number; its text is an optional sign and digits.
fn integer<T: std::str::FromStr>(number: &Numeric, type_name: &'static str) -> Result<T, MergeError> {
    let text = number.to_string();
    if text.bytes().any(|byte| !byte.is_ascii_digit() && byte != b'-') {
        return Err(MergeError::Bug("an integer column computed from a fraction"));
    }
    text.parse().map_err(|_| MergeError::OutOfRange { type_name })
}
