//! `numeric_recv` and `numeric_send`: count, weight, sign and display scale in 16 bits each, then base-10,000 digits.

use super::numeric::{BASE, DIGIT_WIDTH, Decimal, DecimalSign, Kind, SCALE_MAX};
use super::{Numeric, ValueError};

const SIGN_PLUS: u16 = 0x0000;
const SIGN_MINUS: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_INFINITY: u16 = 0xd000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xf000;
/// What Postgres 15 sends as the display scale of an infinity: bits of its short header.
const SCALE_OF_INFINITY: u16 = 0x0020;

impl Numeric {
    /// Reads the binary form; like Postgres it drops digits beyond the display scale.
    pub fn decode_binary(bytes: &[u8]) -> Result<Numeric, ValueError> {
        let malformed = || ValueError::Malformed {
            expected: "numeric",
            length: bytes.len(),
        };
        let (words, rest) = bytes.as_chunks::<2>();
        let [count, weight, sign, scale, digits @ ..] = words else {
            return Err(malformed());
        };
        let [count, sign, scale] = [count, sign, scale].map(|word| u16::from_be_bytes(*word));
        if !rest.is_empty() || usize::from(count) != digits.len() {
            return Err(malformed());
        }
        let digits: Vec<u16> = digits.iter().map(|word| u16::from_be_bytes(*word)).collect();
        if digits.iter().any(|digit| *digit >= BASE) || u32::from(scale) > SCALE_MAX {
            return Err(malformed());
        }
        let sign = match sign {
            SIGN_PLUS => DecimalSign::Plus,
            SIGN_MINUS => DecimalSign::Minus,
            SIGN_NAN => return Ok(Numeric::nan()),
            SIGN_INFINITY => return Ok(Numeric { kind: Kind::Infinity }),
            SIGN_NEGATIVE_INFINITY => {
                return Ok(Numeric {
                    kind: Kind::NegativeInfinity,
                });
            }
            _ => return Err(malformed()),
        };
        let weight = i32::from(i16::from_be_bytes(*weight));
        let decimal = Decimal {
            sign,
            weight,
            digits,
            scale: u32::from(scale),
        };
        Ok(Numeric {
            kind: Kind::Finite(truncated(decimal).normalized()?),
        })
    }

    /// Appends the binary form.
    pub fn encode_binary(&self, out: &mut Vec<u8>) {
        match &self.kind {
            Kind::NaN => encode_special(SIGN_NAN, 0, out),
            Kind::Infinity => encode_special(SIGN_INFINITY, SCALE_OF_INFINITY, out),
            Kind::NegativeInfinity => encode_special(SIGN_NEGATIVE_INFINITY, SCALE_OF_INFINITY, out),
            Kind::Finite(decimal) => encode_finite(decimal, out),
        }
    }
}

fn encode_special(sign: u16, scale: u16, out: &mut Vec<u8>) {
    [0, 0, sign, scale]
        .iter()
        .for_each(|word| out.extend(word.to_be_bytes()));
}

/// Bounds of `normalized` make every field fit its 16 bits.
fn encode_finite(decimal: &Decimal, out: &mut Vec<u8>) {
    let sign = match decimal.sign {
        DecimalSign::Plus => SIGN_PLUS,
        DecimalSign::Minus => SIGN_MINUS,
    };
    out.extend(u16::try_from(decimal.digits.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(i16::try_from(decimal.weight).unwrap_or(i16::MAX).to_be_bytes());
    out.extend(sign.to_be_bytes());
    out.extend(u16::try_from(decimal.scale).unwrap_or(u16::MAX).to_be_bytes());
    decimal.digits.iter().for_each(|digit| out.extend(digit.to_be_bytes()));
}

/// `trunc_var(value, value.dscale)`.
fn truncated(mut decimal: Decimal) -> Decimal {
    // Decimal digits that are kept, counted from the first digit's left end.
    let kept = (i64::from(decimal.weight) + 1) * i64::from(DIGIT_WIDTH) + i64::from(decimal.scale);
    let Ok(kept) = usize::try_from(kept) else {
        decimal.digits.clear();
        return decimal;
    };
    decimal.digits.truncate(kept.div_ceil(4));
    if let (Some(digit), 1..4) = (decimal.digits.get_mut(kept / 4), kept % 4) {
        let unit = 10_u16.pow(DIGIT_WIDTH - u32::try_from(kept % 4).unwrap_or(0));
        *digit -= *digit % unit;
    }
    decimal
}
