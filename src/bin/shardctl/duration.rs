//! Times on the command line.

use std::time::Duration;

/// Reads `90s`, `5m`, `1h`, or seconds without a unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const LONGEST: u64 = 365 * 24 * 3_600;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("write it like 90s, 5m or 1h".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "write it like 90s, 5m or 1h".to_owned())?;
    match number.checked_mul(factor) {
        Some(0) => Err("it must be longer than nothing".to_owned()),
        Some(seconds) if seconds <= LONGEST => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err("a year is the longest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_a_unit() {
        for (text, seconds) in [
            ("60s", Some(60)),
            ("90", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3_600)),
        ] {
            assert_eq!(parse(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "1.5m",
            "5 m",
            "5d",
            "99999999999999999999s",
            "9999999999h",
        ] {
            parse(text).expect_err(text);
        }
    }
}
