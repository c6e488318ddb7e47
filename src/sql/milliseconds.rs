//! How Postgres reads the value of a setting that is a time in milliseconds (`parse_int` in `guc.c`).

/// Milliseconds of such a value (`300`, `'1.5 s'`, `'0x10'`, `'2min'`); `None`: Postgres refuses it, for a timeout at least.
pub fn parse_milliseconds(text: &str) -> Option<u32> {
    let text = text.trim_start_matches(is_space);
    let (mut number, mut rest) = whole_number(text)?;
    if rest.starts_with(['.', 'e', 'E']) || number.is_infinite() {
        (number, rest) = broken_number(text)?;
    }
    let unit = rest.trim_matches(is_space);
    if !unit.is_empty() {
        number = in_milliseconds(number, unit)?;
    }
    let rounded = number.round_ties_even();
    let fits = (0.0..=f64::from(i32::MAX)).contains(&rounded);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within the bounds"
    )]
    fits.then_some(rounded as u32)
}

/// Units, from the largest to the smallest, in milliseconds.
const UNITS: [(&str, f64); 6] = [
    ("d", 86_400_000.0),
    ("h", 3_600_000.0),
    ("min", 60_000.0),
    ("s", 1_000.0),
    ("ms", 1.0),
    ("us", 0.001),
];

/// A fraction is rounded to the next smaller unit (`convert_to_base_unit`).
fn in_milliseconds(number: f64, unit: &str) -> Option<f64> {
    let at = UNITS.iter().position(|(name, _)| *name == unit)?;
    let (_, size) = UNITS.get(at)?;
    let whole = number * size;
    Some(match UNITS.get(at.saturating_add(1)) {
        Some((_, smaller)) => (whole / smaller).round_ties_even() * smaller,
        None => whole,
    })
}

/// `strtol` with base 0: a sign, then decimal, octal behind `0`, hexadecimal behind `0x`. Infinite beyond 64 bits.
fn whole_number(text: &str) -> Option<(f64, &str)> {
    let (sign, digits) = sign(text);
    let (base, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) if hex.starts_with(|c: char| c.is_ascii_hexdigit()) => (16, hex),
        Some(_) | None if digits.starts_with('0') => (8, digits),
        Some(_) | None => (10, digits),
    };
    let end = digits.find(|c: char| !c.is_digit(base)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end)?;
    if digits.is_empty() {
        return match text.trim_start_matches(['+', '-']).starts_with('.') {
            true => Some((0.0, ".")), // left to `strtod`
            false => None,
        };
    }
    match i64::from_str_radix(digits, base) {
        #[expect(clippy::cast_precision_loss, reason = "Postgres's own conversion to double")]
        Ok(number) => Some((sign * number as f64, rest)),
        Err(_) => Some((f64::INFINITY, rest)),
    }
}

/// `strtod` of a decimal number, or of a hexadecimal one with a point.
fn broken_number(text: &str) -> Option<(f64, &str)> {
    let (sign, digits) = sign(text);
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return broken_hexadecimal(hex).map(|(number, rest)| (sign * number, rest));
    }
    let whole = digits_of(digits);
    let behind = digits.get(whole..)?;
    let fraction = match behind.strip_prefix('.') {
        Some(fraction) => digits_of(fraction).saturating_add(1),
        None => 0,
    };
    let mut end = whole.saturating_add(fraction);
    if end.saturating_sub(usize::from(fraction > 0)) == 0 {
        return None; // no digit at all
    }
    if let Some(exponent) = digits.get(end..)?.strip_prefix(['e', 'E']) {
        let (_, figures) = self::sign(exponent);
        let signs = exponent.len().saturating_sub(figures.len());
        if digits_of(figures) > 0 {
            end = end
                .saturating_add(1)
                .saturating_add(signs)
                .saturating_add(digits_of(figures));
        }
    }
    let number: f64 = digits.get(..end)?.parse().ok()?;
    let lost = number.is_subnormal() || (number == 0.0 && has_figures(digits.get(..whole + fraction)?));
    (number.is_finite() && !lost).then_some((sign * number, digits.get(end..)?))
}

/// What stands behind `0x`.
fn broken_hexadecimal(text: &str) -> Option<(f64, &str)> {
    const DIGITS_MAX: usize = 7; // more than a timeout has
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '.';
    let (digits, mut rest) = text.split_at_checked(text.find(|c| !is_part(c)).unwrap_or(text.len()))?;
    let (whole, fraction) = digits.split_once('.')?;
    if fraction.contains('.') || whole.len().saturating_add(fraction.len()) > DIGITS_MAX {
        return None;
    }
    let mantissa = u32::from_str_radix(&format!("{whole}{fraction}"), 16).ok()?;
    let mut power = 0;
    if let Some(exponent) = rest.strip_prefix(['p', 'P']) {
        let end = digits_of(exponent);
        power = exponent.get(..end)?.parse().ok()?;
        rest = exponent.get(end..)?;
    }
    let places = i32::try_from(fraction.len()).ok()?;
    Some((f64::from(mantissa) * 2_f64.powi(power) / 16_f64.powi(places), rest))
}

fn sign(text: &str) -> (f64, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// Whether a number without exponent is anything but zero.
fn has_figures(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_digit() && c != '0')
}

fn digits_of(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())
}

/// `isspace` of the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Postgres 15.18: `SET idle_session_timeout`, then `SELECT setting FROM pg_settings`.
    #[test]
    fn values_are_read_as_postgres_reads_them() {
        let cases = include_str!("milliseconds_cases.txt");
        for case in cases.lines() {
            let (text, expected) = case.split_once(" => ").expect("text => milliseconds");
            let expected = expected.parse().ok();
            assert_eq!(parse_milliseconds(text.trim_matches('|')), expected, "{case}");
        }
    }
}
