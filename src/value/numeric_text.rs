//! `numeric_in` and `numeric_out`.

use std::fmt;

use super::numeric::{BASE, DIGIT_WIDTH, Decimal, DecimalSign, Kind};
use super::{KeyError, Numeric, ValueError};

impl Numeric {
    /// Reads what `numeric_in` reads, without a precision. Forms that only newer servers read (`0x1f`, `1_000`) are
    /// ambiguous.
    pub fn parse_text(text: &[u8]) -> Result<Numeric, KeyError> {
        let trimmed = trim_space(text);
        let invalid = || KeyError::invalid("numeric", text);
        let (sign, unsigned) = split_sign(trimmed);
        if is_newer_literal(unsigned) {
            return Err(KeyError::Ambiguous {
                expected: "numeric",
                why: "only Postgres 16 and later read this form",
            });
        }
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            let kind = match sign {
                DecimalSign::Plus => Kind::Infinity,
                DecimalSign::Minus => Kind::NegativeInfinity,
            };
            return Ok(Numeric { kind });
        }
        if trimmed.eq_ignore_ascii_case(b"nan") {
            return Ok(Numeric::nan());
        }
        // strtol, which reads the exponent up to Postgres 15, skips blanks; later versions do not.
        let is_blank = |byte: u8| trim_space(&[byte]).is_empty();
        if unsigned
            .windows(2)
            .any(|pair| matches!(pair, [b'e' | b'E', blank] if is_blank(*blank)))
        {
            return Err(KeyError::Ambiguous {
                expected: "numeric",
                why: "only Postgres 15 and earlier read this form",
            });
        }
        let literal = Literal::scan(unsigned).ok_or_else(invalid)?;
        let decimal = literal
            .to_decimal(sign)
            .map_err(|_| KeyError::out_of_range("numeric", text))?;
        Ok(Numeric {
            kind: Kind::Finite(decimal),
        })
    }
}

/// Postgres takes an exponent from `INT_MAX / 2` on for an overflow, whatever the digits.
const EXPONENT_BOUND: i64 = (i32::MAX / 2) as i64;

/// `isspace` in the C locale, which Postgres's input functions skip at both ends.
pub(super) fn trim_space(text: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let start = text.iter().position(|byte| !is_space(byte)).unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Is it a number in a form that Postgres reads since version 16: a radix prefix, or digits grouped by underscores?
pub(super) fn is_newer_literal(unsigned: &[u8]) -> bool {
    let prefixed = matches!(unsigned, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    prefixed
        || (unsigned
            .first()
            .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.')
            && unsigned.contains(&b'_'))
}

fn split_sign(text: &[u8]) -> (DecimalSign, &[u8]) {
    match text {
        [b'+', rest @ ..] => (DecimalSign::Plus, rest),
        [b'-', rest @ ..] => (DecimalSign::Minus, rest),
        _ => (DecimalSign::Plus, text),
    }
}

/// `digits[.digits][e[±]digits]`, at least one digit before the exponent.
struct Literal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Literal<'a> {
    fn scan(text: &'a [u8]) -> Option<Literal<'a>> {
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => split_digits(rest),
            _ => (&[][..], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => scan_exponent(rest)?,
            _ => return None,
        };
        Some(Literal {
            whole,
            fraction,
            exponent,
        })
    }

    /// As `set_var_from_str`: the point moves by the exponent, the display scale by as much, never below 0.
    fn to_decimal(&self, sign: DecimalSign) -> Result<Decimal, ValueError> {
        const OVERFLOW: ValueError = ValueError::OutOfRange { expected: "numeric" };
        if self.exponent.abs() >= EXPONENT_BOUND {
            return Err(OVERFLOW);
        }
        let length = |digits: &[u8]| i64::try_from(digits.len()).map_err(|_| OVERFLOW);
        let scale = (length(self.fraction)? - self.exponent).max(0);
        let all = || {
            self.whole
                .iter()
                .chain(self.fraction)
                .map(|byte| u16::from(byte.wrapping_sub(b'0')))
        };
        // Decimal exponent of the first digit, then of the base-10,000 digit that it belongs to.
        let first = length(self.whole)? + self.exponent - 1;
        let width = i64::from(DIGIT_WIDTH);
        let weight = first.div_euclid(width);
        let lead = usize::try_from(width - 1 - first.rem_euclid(width)).map_err(|_| OVERFLOW)?;
        let mut digits = Vec::new();
        let mut digit = 0_u16;
        let mut filled = lead;
        for value in all() {
            digit = digit * 10 + value;
            filled += 1;
            if filled == 4 {
                debug_assert!(digit < BASE);
                digits.push(digit);
                (digit, filled) = (0, 0);
            }
        }
        while filled > 0 && filled < 4 {
            digit *= 10;
            filled += 1;
            if filled == 4 {
                digits.push(digit);
            }
        }
        let (weight, digits) = if digits.iter().all(|digit| *digit == 0) {
            (0, Vec::new())
        } else {
            (weight, digits)
        };
        Decimal {
            sign,
            weight: i32::try_from(weight).map_err(|_| OVERFLOW)?,
            digits,
            scale: u32::try_from(scale).map_err(|_| OVERFLOW)?,
        }
        .normalized()
    }
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, &[]))
}

/// Saturates: [`Literal::to_decimal`] refuses what is beyond Postgres's bound.
fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (sign, unsigned) = split_sign(text);
    let (digits, rest) = split_digits(unsigned);
    if digits.is_empty() || !rest.is_empty() {
        return None;
    }
    let exponent = std::str::from_utf8(digits).ok()?.parse().unwrap_or(EXPONENT_BOUND);
    let magnitude = EXPONENT_BOUND.min(exponent);
    Some(match sign {
        DecimalSign::Plus => magnitude,
        DecimalSign::Minus => -magnitude,
    })
}

impl fmt::Display for Numeric {
    /// As `numeric_out` prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::NegativeInfinity => f.write_str("-Infinity"),
            Kind::Infinity => f.write_str("Infinity"),
            Kind::NaN => f.write_str("NaN"),
            Kind::Finite(decimal) => f.write_str(&print(decimal)),
        }
    }
}

fn print(decimal: &Decimal) -> String {
    let digit_at = |position: i32| {
        usize::try_from(decimal.weight - position)
            .ok()
            .and_then(|index| decimal.digits.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut text = String::new();
    if decimal.sign == DecimalSign::Minus {
        text.push('-');
    }
    if decimal.weight < 0 || decimal.digits.is_empty() {
        text.push('0');
    } else {
        text.push_str(&digit_at(decimal.weight).to_string());
        for position in (0..decimal.weight).rev() {
            text.push_str(&format!("{:04}", digit_at(position)));
        }
    }
    if decimal.scale > 0 {
        text.push('.');
        let end = text.len() + usize::try_from(decimal.scale).unwrap_or(0);
        let mut position = -1;
        while text.len() < end {
            text.push_str(&format!("{:04}", digit_at(position)));
            position -= 1;
        }
        text.truncate(end);
    }
    text
}
