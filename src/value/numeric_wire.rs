//! `numeric_recv` and `numeric_send`: count, weight, sign and display scale in 16 bits each, then base-10,000 digits.

use std::cmp::Ordering;

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

    /// Order of two binary forms, without decoding what needs no decoding: as [`Numeric::decode_binary`] of both, compared.
    pub(super) fn compare_binary(a: &[u8], b: &[u8]) -> Result<Ordering, ValueError> {
        match (Plain::of(a), Plain::of(b)) {
            (Some(a), Some(b)) => Ok(a.compare(&b)),
            _ => Ok(Numeric::decode_binary(a)?.cmp(&Numeric::decode_binary(b)?)),
        }
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

/// A finite number as servers send it: no zero digit at either end, none beyond the display scale.
struct Plain<'a> {
    /// -1, 0 or 1
    sign: i8,
    weight: i16,
    /// big-endian, so that their bytes compare as they do
    digits: &'a [[u8; 2]],
}

impl<'a> Plain<'a> {
    /// `None`: whatever it is, it needs decoding.
    fn of(bytes: &'a [u8]) -> Option<Plain<'a>> {
        let (words, rest) = bytes.as_chunks::<2>();
        let [count, weight, sign, scale, digits @ ..] = words else {
            return None;
        };
        let [count, sign, scale] = [count, sign, scale].map(|word| u16::from_be_bytes(*word));
        let weight = i16::from_be_bytes(*weight);
        if !rest.is_empty() || usize::from(count) != digits.len() || u32::from(scale) > SCALE_MAX {
            return None;
        }
        let sign = match (sign, digits) {
            (SIGN_PLUS | SIGN_MINUS, []) => {
                return Some(Plain {
                    sign: 0,
                    weight: 0,
                    digits,
                });
            }
            (SIGN_PLUS, _) => 1,
            (SIGN_MINUS, _) => -1,
            _ => return None,
        };
        let digit = |word: &[u8; 2]| u16::from_be_bytes(*word);
        let (first, last) = (digit(digits.first()?), digit(digits.last()?));
        // Decimal digits that the last one holds beyond the display scale.
        let fraction = (i64::from(count) - i64::from(weight) - 1) * i64::from(DIGIT_WIDTH);
        let hidden = match (fraction - i64::from(scale)).max(0) {
            0 => 1,
            1 => 10,
            2 => 100,
            3 => 1000,
            _ => return None,
        };
        let is_plain = first != 0 && last != 0 && last % hidden == 0 && digits.iter().all(|word| digit(word) < BASE);
        is_plain.then_some(Plain { sign, weight, digits })
    }

    fn compare(&self, other: &Plain<'_>) -> Ordering {
        let magnitudes = self
            .weight
            .cmp(&other.weight)
            .then_with(|| self.digits.cmp(other.digits));
        match (self.sign, other.sign) {
            (1, 1) => magnitudes,
            (-1, -1) => magnitudes.reverse(),
            (a, b) => a.cmp(&b),
        }
    }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words as a client may send them: signs and scales mostly sound, digits with zeros at their ends.
    fn words() -> impl Strategy<Value = Vec<u8>> {
        let sign = prop::sample::select(vec![
            SIGN_PLUS,
            SIGN_PLUS,
            SIGN_MINUS,
            SIGN_MINUS,
            SIGN_NAN,
            SIGN_INFINITY,
            SIGN_NEGATIVE_INFINITY,
            1,
        ]);
        let digit = prop::sample::select(vec![0, 0, 1, 10, 1230, 4567, 9999, 5000, 10_000]);
        (
            -3_i16..3,
            sign,
            0_u16..12,
            prop::collection::vec(digit, 0..4),
            0_usize..9,
        )
            .prop_map(|(weight, sign, scale, digits, lie)| {
                let count = u16::try_from(digits.len() + usize::from(lie == 0)).unwrap();
                let mut bytes: Vec<u8> = [count, weight.cast_unsigned(), sign, scale]
                    .iter()
                    .flat_map(|word| word.to_be_bytes())
                    .collect();
                bytes.extend(digits.iter().flat_map(|digit: &u16| digit.to_be_bytes()));
                bytes
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

        /// The fast order is the slow one's.
        #[test]
        fn binary_forms_compare_as_decoded(a in words(), b in words()) {
            let slow = Numeric::decode_binary(&a).and_then(|a| Ok(a.cmp(&Numeric::decode_binary(&b)?)));
            let fast = Numeric::compare_binary(&a, &b);
            prop_assert_eq!(fast.clone().ok(), slow.clone().ok());
            prop_assert_eq!(fast.is_err(), slow.is_err());
        }
    }
}
