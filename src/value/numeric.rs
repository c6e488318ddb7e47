//! Exact decimal numbers with Postgres's `numeric` semantics (`utils/adt/numeric.c`, Postgres 15).
//!
//! Why of our own: sums and averages over shards must come out digit for digit, display scale included, as one Postgres
//! prints them; no decimal crate rounds a quotient where `select_div_scale` does.
//! Holds: digits are base 10,000 without leading or trailing zero digits, none lies beyond the display scale, zero has no
//! digits and no sign. `tests/tokens.rs` compares hash, order, sum, quotient and both forms with a server.

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

use super::ValueError;
use super::hash::hash_bytes;

/// Decimal digits per digit of the wire format.
pub(super) const DIGIT_WIDTH: u32 = 4;
/// The base of the wire format's digits.
pub(super) const BASE: u16 = 10_000;
/// `NUMERIC_DSCALE_MASK`: the most digits after the point that a stored numeric may show.
pub(super) const SCALE_MAX: u32 = 0x3fff;
/// `NUMERIC_MIN_SIG_DIGITS`: a quotient has at least so many significant digits.
const SIGNIFICANT_DIGITS_MIN: i64 = 16;
/// `NUMERIC_MAX_DISPLAY_SCALE`: a quotient shows at most so many digits after the point.
const DISPLAY_SCALE_MAX: i64 = 1000;

/// A `numeric`: a finite decimal with its display scale, NaN, or an infinity. `==` is Postgres's `=` (1.0 equals 1.00, NaN
/// equals NaN); the order is Postgres's too (-Infinity, finite, Infinity, NaN).
#[derive(Clone, Debug)]
pub struct Numeric {
    pub(super) kind: Kind,
}

#[derive(Clone, Debug)]
pub(super) enum Kind {
    NegativeInfinity,
    Finite(Decimal),
    Infinity,
    NaN,
}

/// A finite numeric: ±Σ digits\[i\] · 10000^(weight − i).
#[derive(Clone, Debug, Default)]
pub(super) struct Decimal {
    pub(super) sign: DecimalSign,
    pub(super) weight: i32,
    pub(super) digits: Vec<u16>,
    /// digits after the point to show
    pub(super) scale: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum DecimalSign {
    #[default]
    Plus,
    Minus,
}

// === impl Numeric ===

impl Numeric {
    /// Not a number; equal to itself and greater than all else.
    pub fn nan() -> Numeric {
        Numeric { kind: Kind::NaN }
    }

    /// The positive infinity.
    pub fn infinity() -> Numeric {
        Numeric { kind: Kind::Infinity }
    }

    /// Postgres's `a + b`: the larger display scale is kept.
    pub fn add(&self, other: &Numeric) -> Result<Numeric, ValueError> {
        match (&self.kind, &other.kind) {
            (Kind::Finite(a), Kind::Finite(b)) => {
                let scale = a.scale.max(b.scale);
                Decimal::from_scaled(a.to_scaled(scale) + b.to_scaled(scale), scale).and_then(finite)
            }
            (Kind::NaN, _) | (_, Kind::NaN) => Ok(Numeric::nan()),
            (Kind::Infinity, Kind::NegativeInfinity) | (Kind::NegativeInfinity, Kind::Infinity) => Ok(Numeric::nan()),
            (Kind::Infinity | Kind::NegativeInfinity, _) => Ok(self.clone()),
            (Kind::Finite(_), Kind::Infinity | Kind::NegativeInfinity) => Ok(other.clone()),
        }
    }

    /// Postgres's `a / b`, digit for digit (`numeric_div` with `select_div_scale`): `sum` divided by `count` is `avg`.
    pub fn divide(&self, other: &Numeric) -> Result<Numeric, ValueError> {
        match (&self.kind, &other.kind) {
            (Kind::NaN, _) | (_, Kind::NaN) => Ok(Numeric::nan()),
            (Kind::Finite(a), Kind::Finite(b)) => divide_finite(a, b),
            (Kind::Infinity | Kind::NegativeInfinity, Kind::Infinity | Kind::NegativeInfinity) => Ok(Numeric::nan()),
            (Kind::Infinity | Kind::NegativeInfinity, Kind::Finite(b)) => {
                if b.digits.is_empty() {
                    return Err(ValueError::DivisionByZero);
                }
                let positive = matches!(self.kind, Kind::Infinity) == (b.sign == DecimalSign::Plus);
                Ok(Numeric {
                    kind: if positive {
                        Kind::Infinity
                    } else {
                        Kind::NegativeInfinity
                    },
                })
            }
            // Postgres: x / ±Infinity is 0 with display scale 0.
            (Kind::Finite(_), Kind::Infinity | Kind::NegativeInfinity) => Ok(Numeric::from(0_i64)),
        }
    }

    /// Rounded half away from zero to `scale` digits after the point (before it, if negative), as `round(numeric, int)`.
    pub(super) fn round(&self, scale: i32) -> Result<Numeric, ValueError> {
        match &self.kind {
            Kind::NaN | Kind::Infinity | Kind::NegativeInfinity => Ok(self.clone()),
            Kind::Finite(decimal) => decimal.round(scale).and_then(finite),
        }
    }

    /// Does it have more than `digits_max` digits before the point? Postgres counts none for zero.
    pub(super) fn exceeds_integer_digits(&self, digits_max: i64) -> bool {
        match &self.kind {
            Kind::Infinity | Kind::NegativeInfinity => true,
            Kind::NaN => false,
            Kind::Finite(decimal) => match decimal.digits.first() {
                None => false,
                Some(first) => {
                    let digits = i64::from(decimal.weight) * 4 + i64::from(first.checked_ilog10().unwrap_or(0)) + 1;
                    digits > digits_max
                }
            },
        }
    }

    /// The value as a whole number, rounded half away from zero as `numeric_int8` does; `None` if it does not fit or is
    /// NaN or infinite.
    pub fn to_i64(&self) -> Option<i64> {
        match &self.kind {
            Kind::NaN | Kind::Infinity | Kind::NegativeInfinity => None,
            // Beyond weight 5 (10^20) nothing fits; saves work on 1e100000.
            Kind::Finite(decimal) if decimal.weight > 5 => None,
            Kind::Finite(decimal) => i64::try_from(decimal.round(0).ok()?.to_scaled(0)).ok(),
        }
    }

    /// `hash_numeric_extended(value, 0)`: display scale and sign do not count.
    pub(super) fn hash(&self) -> i64 {
        match &self.kind {
            Kind::NaN | Kind::Infinity | Kind::NegativeInfinity => 0,
            Kind::Finite(decimal) if decimal.digits.is_empty() => -1,
            Kind::Finite(decimal) => {
                let bytes: Vec<u8> = decimal.digits.iter().flat_map(|digit| digit.to_le_bytes()).collect();
                hash_bytes(&bytes) ^ i64::from(decimal.weight)
            }
        }
    }
}

fn finite(decimal: Decimal) -> Result<Numeric, ValueError> {
    Ok(Numeric {
        kind: Kind::Finite(decimal),
    })
}

/// `div_var` computes one digit beyond the wanted ones and rounds half up on magnitudes, which is exact rounding.
fn divide_finite(a: &Decimal, b: &Decimal) -> Result<Numeric, ValueError> {
    if b.digits.is_empty() {
        return Err(ValueError::DivisionByZero);
    }
    let scale = division_scale(a, b);
    // a / b · 10^scale, both taken as whole numbers at their display scales.
    let numerator = a.to_scaled(a.scale).magnitude() * power_of_ten(scale + b.scale);
    let denominator = b.to_scaled(b.scale).magnitude() * power_of_ten(a.scale);
    let rounded: BigUint = (numerator * 2_u32 + &denominator) / (denominator * 2_u32);
    let sign = if a.sign == b.sign { Sign::Plus } else { Sign::Minus };
    Decimal::from_scaled(BigInt::from_biguint(sign, rounded), scale).and_then(finite)
}

/// `select_div_scale`.
fn division_scale(a: &Decimal, b: &Decimal) -> u32 {
    let leading = |decimal: &Decimal| match decimal.digits.first() {
        None => (0, 0),
        Some(first) => (i64::from(decimal.weight), *first),
    };
    let ((weight_a, first_a), (weight_b, first_b)) = (leading(a), leading(b));
    let mut quotient_weight = weight_a - weight_b;
    if first_a <= first_b {
        quotient_weight -= 1;
    }
    let scale = (SIGNIFICANT_DIGITS_MIN - quotient_weight * i64::from(DIGIT_WIDTH))
        .max(i64::from(a.scale))
        .max(i64::from(b.scale))
        .clamp(0, DISPLAY_SCALE_MAX);
    u32::try_from(scale).unwrap_or(0)
}

fn power_of_ten(exponent: u32) -> BigUint {
    BigUint::from(10_u32).pow(exponent)
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Numeric::from(i128::from(value))
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Numeric {
        // 39 digits: far from every bound.
        let decimal = Decimal::from_scaled(BigInt::from(value), 0).unwrap_or_default();
        Numeric {
            kind: Kind::Finite(decimal),
        }
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        match (&self.kind, &other.kind) {
            (Kind::Finite(a), Kind::Finite(b)) => a.compare(b),
            (a, b) => rank(a).cmp(&rank(b)),
        }
    }
}

fn rank(kind: &Kind) -> u8 {
    match kind {
        Kind::NegativeInfinity => 0,
        Kind::Finite(_) => 1,
        Kind::Infinity => 2,
        Kind::NaN => 3,
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

// === impl Decimal ===

impl Decimal {
    /// Strips zero digits at both ends and checks the bounds of `make_result`.
    pub(super) fn normalized(mut self) -> Result<Decimal, ValueError> {
        let leading = self.digits.iter().take_while(|digit| **digit == 0).count();
        self.digits.drain(..leading);
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            self.sign = DecimalSign::Plus;
            self.weight = 0;
        } else {
            self.weight = self
                .weight
                .checked_sub(i32::try_from(leading).map_err(|_| OVERFLOW)?)
                .ok_or(OVERFLOW)?;
        }
        if i16::try_from(self.weight).is_err() || self.scale > SCALE_MAX {
            return Err(OVERFLOW);
        }
        Ok(self)
    }

    /// The value times 10^scale, which must be whole: `scale` is at least the display scale.
    pub(super) fn to_scaled(&self, scale: u32) -> BigInt {
        let pairs: Vec<u8> = self
            .digits
            .iter()
            .flat_map(|digit| [digit / 100, digit % 100])
            .map(low_byte)
            .collect();
        let Some(whole) = BigUint::from_radix_be(&pairs, 100) else {
            return BigInt::ZERO;
        };
        // Exponent of ten of the last digit; lengths and weights are far below the bounds of i64.
        let last = (i64::from(self.weight) + 1) * 4 - i64::try_from(self.digits.len()).unwrap_or(0) * 4;
        let shift = last + i64::from(scale);
        let power = power_of_ten(u32::try_from(shift.unsigned_abs()).unwrap_or(0));
        let magnitude = if shift >= 0 { whole * power } else { whole / power };
        let sign = match self.sign {
            DecimalSign::Plus => Sign::Plus,
            DecimalSign::Minus => Sign::Minus,
        };
        BigInt::from_biguint(sign, magnitude)
    }

    /// The value `whole` · 10^-scale, showing `scale` digits after the point.
    pub(super) fn from_scaled(whole: BigInt, scale: u32) -> Result<Decimal, ValueError> {
        let (sign, magnitude) = whole.into_parts();
        let padding = (DIGIT_WIDTH - scale % DIGIT_WIDTH) % DIGIT_WIDTH;
        let mut pairs = (magnitude * power_of_ten(padding)).to_radix_be(100);
        if pairs.len() % 2 == 1 {
            pairs.insert(0, 0);
        }
        let (pairs, _) = pairs.as_chunks::<2>();
        let digits: Vec<u16> = pairs
            .iter()
            .map(|[high, low]| u16::from(*high) * 100 + u16::from(*low))
            .collect();
        let fraction = (scale + padding) / DIGIT_WIDTH;
        let weight = i64::try_from(digits.len()).map_err(|_| OVERFLOW)? - 1 - i64::from(fraction);
        Decimal {
            sign: if sign == Sign::Minus {
                DecimalSign::Minus
            } else {
                DecimalSign::Plus
            },
            weight: i32::try_from(weight).map_err(|_| OVERFLOW)?,
            digits,
            scale,
        }
        .normalized()
    }

    fn round(&self, scale: i32) -> Result<Decimal, ValueError> {
        let whole = self.to_scaled(self.scale);
        let shown = u32::try_from(scale).unwrap_or(0);
        let dropped = i64::from(self.scale) - i64::from(scale);
        if dropped <= 0 {
            return Decimal::from_scaled(self.to_scaled(shown), shown);
        }
        let (sign, magnitude) = whole.into_parts();
        let unit = power_of_ten(u32::try_from(dropped).map_err(|_| OVERFLOW)?);
        let rounded = (magnitude * 2_u32 + &unit) / (unit * 2_u32);
        let restored = if scale < 0 {
            rounded * power_of_ten(scale.unsigned_abs())
        } else {
            rounded
        };
        Decimal::from_scaled(BigInt::from_biguint(sign, restored), shown)
    }

    fn compare(&self, other: &Decimal) -> Ordering {
        match (self.signum(), other.signum()) {
            (1, 1) => self.compare_magnitude(other),
            (-1, -1) => other.compare_magnitude(self),
            (a, b) => a.cmp(&b),
        }
    }

    fn signum(&self) -> i8 {
        match self.sign {
            _ if self.digits.is_empty() => 0,
            DecimalSign::Plus => 1,
            DecimalSign::Minus => -1,
        }
    }

    /// Of two that aren't zero: without zero digits at their ends, digit strings compare as they stand.
    fn compare_magnitude(&self, other: &Decimal) -> Ordering {
        self.weight
            .cmp(&other.weight)
            .then_with(|| self.digits.cmp(&other.digits))
    }
}

/// Of a number below 256.
fn low_byte(value: u16) -> u8 {
    value.to_le_bytes()[0]
}

const OVERFLOW: ValueError = ValueError::OutOfRange { expected: "numeric" };
