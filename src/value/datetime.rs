//! Dates and timestamps in the one form whose meaning depends on no setting: ISO, four-digit years, explicit offsets.
//!
//! Why so little: everything else (`1/2/2026`, `yesterday`, zone names) depends on DateStyle, TimeZone or the clock, and
//! a server must read it. What is read here reads the same under every DateStyle (`tests/tokens.rs`, Postgres 15).

/// Microseconds per second, and so on.
pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// Days from 1970-01-01 to 2000-01-01, Postgres's epoch.
const EPOCH_DAYS: i64 = 10_957;
/// `DATETIME_MIN_JULIAN` to `DATE_END_JULIAN`, exclusive, as days since 2000-01-01.
const DATES: std::ops::Range<i32> = -2_451_545..2_145_031_949;
/// `MIN_TIMESTAMP` to `END_TIMESTAMP`, exclusive.
const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

/// Why a text was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Postgres raises an error too: the form is right, a field is out of range.
    OutOfRange,
    /// a form that is not read here
    Ambiguous,
}

/// Days since 2000-01-01; the infinities are `i32::MIN` and `i32::MAX`.
pub(super) fn parse_date(text: &[u8]) -> Result<i32, Unread> {
    match infinity(text) {
        Some(Infinity::Before) => Ok(i32::MIN),
        Some(Infinity::After) => Ok(i32::MAX),
        None => {
            let (days, rest) = scan_date(text)?;
            if rest.is_empty() {
                days.ok_or(Unread::OutOfRange)
            } else {
                Err(Unread::Ambiguous)
            }
        }
    }
}

/// Microseconds since 2000-01-01; the infinities are `i64::MIN` and `i64::MAX`. A zone is ambiguous: Postgres ignores it.
pub(super) fn parse_timestamp(text: &[u8]) -> Result<i64, Unread> {
    match infinity(text) {
        Some(Infinity::Before) => Ok(i64::MIN),
        Some(Infinity::After) => Ok(i64::MAX),
        None => {
            let (days, rest) = scan_date(text)?;
            let (time, rest) = if rest.is_empty() {
                (Some(0), rest)
            } else {
                scan_time(rest)?
            };
            if rest.is_empty() {
                joined(days, time, Some(0))
            } else {
                Err(Unread::Ambiguous)
            }
        }
    }
}

/// As [`parse_timestamp`], in UTC: a time and its offset are required.
pub(super) fn parse_timestamptz(text: &[u8]) -> Result<i64, Unread> {
    match infinity(text) {
        Some(Infinity::Before) => Ok(i64::MIN),
        Some(Infinity::After) => Ok(i64::MAX),
        None => {
            let (days, rest) = scan_date(text)?;
            let (time, rest) = scan_time(rest)?;
            joined(days, time, scan_offset(rest)?)
        }
    }
}

/// Only when the whole text has the form that is read here is a field out of range Postgres's reason to refuse it.
fn joined(days: Option<i32>, time: Option<i64>, offset: Option<i64>) -> Result<i64, Unread> {
    match (days, time, offset) {
        // Four-digit years: far from overflow.
        (Some(days), Some(time), Some(offset)) => Ok(i64::from(days) * DAY + time - offset),
        _ => Err(Unread::OutOfRange),
    }
}

enum Infinity {
    Before,
    After,
}

fn infinity(text: &[u8]) -> Option<Infinity> {
    if text.eq_ignore_ascii_case(b"infinity") {
        Some(Infinity::After)
    } else if text.eq_ignore_ascii_case(b"-infinity") {
        Some(Infinity::Before)
    } else {
        None
    }
}

/// `YYYY-MM-DD`; `None` is out of range.
fn scan_date(text: &[u8]) -> Result<(Option<i32>, &[u8]), Unread> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, rest @ ..] = text else {
        return Err(Unread::Ambiguous);
    };
    let year = number(&[*y0, *y1, *y2, *y3])?;
    let month = number(&[*m0, *m1])?;
    let day = number(&[*d0, *d1])?;
    if year == 0 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Ok((None, rest));
    }
    Ok((i32::try_from(days_from_civil(year, month, day)).ok(), rest))
}

/// `[ T]HH:MM[:SS[.ffffff]]` in microseconds. 24:00 and second 60, which Postgres carries over, are left to it;
/// `None` is out of range.
fn scan_time(text: &[u8]) -> Result<(Option<i64>, &[u8]), Unread> {
    let [b' ' | b'T', h0, h1, b':', m0, m1, rest @ ..] = text else {
        return Err(Unread::Ambiguous);
    };
    let hour = number(&[*h0, *h1])?;
    let minute = number(&[*m0, *m1])?;
    let (second, fraction, rest) = match rest {
        [b':', s0, s1, b'.', rest @ ..] => {
            let (fraction, rest) = scan_fraction(rest)?;
            (number(&[*s0, *s1])?, fraction, rest)
        }
        [b':', s0, s1, rest @ ..] => (number(&[*s0, *s1])?, 0, rest),
        _ => (0, 0, rest),
    };
    if hour == 24 || second == 60 {
        return Err(Unread::Ambiguous);
    }
    if hour > 24 || minute > 59 || second > 60 {
        return Ok((None, rest));
    }
    Ok((Some(hour * HOUR + minute * MINUTE + second * SECOND + fraction), rest))
}

/// One to six digits of a second's fraction, in microseconds; more would be rounded, which is left to Postgres.
fn scan_fraction(text: &[u8]) -> Result<(i64, &[u8]), Unread> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let Some((digits, rest)) = text.split_at_checked(length) else {
        return Err(Unread::Ambiguous);
    };
    let missing = match u32::try_from(length) {
        Ok(length @ 1..=6) => 6 - length,
        _ => return Err(Unread::Ambiguous),
    };
    Ok((number(digits)? * 10_i64.pow(missing), rest))
}

/// `Z`, `±HH`, `±HH:MM`, `±HHMM` or `±HH:MM:SS`, after at most one blank, in microseconds east of Greenwich; `None` is out
/// of range.
fn scan_offset(text: &[u8]) -> Result<Option<i64>, Unread> {
    let text = match text {
        [b' ', rest @ ..] => rest,
        _ => text,
    };
    let (sign, digits) = match text {
        b"Z" | b"z" => return Ok(Some(0)),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return Err(Unread::Ambiguous),
    };
    let (hour, minute, second) = match digits {
        [h0, h1] => (number(&[*h0, *h1])?, 0, 0),
        [h0, h1, b':', m0, m1] | [h0, h1, m0, m1] => (number(&[*h0, *h1])?, number(&[*m0, *m1])?, 0),
        [h0, h1, b':', m0, m1, b':', s0, s1] => (number(&[*h0, *h1])?, number(&[*m0, *m1])?, number(&[*s0, *s1])?),
        _ => return Err(Unread::Ambiguous),
    };
    // MAX_TZDISP_HOUR is 15; what lies beyond is an error there.
    if hour > 15 || minute > 59 || second > 59 {
        return Ok(None);
    }
    Ok(Some(sign * (hour * HOUR + minute * MINUTE + second * SECOND)))
}

/// At most eighteen digits.
fn number(digits: &[u8]) -> Result<i64, Unread> {
    digits.iter().try_fold(0_i64, |number, byte| {
        if byte.is_ascii_digit() {
            Ok(number * 10 + i64::from(byte - b'0'))
        } else {
            Err(Unread::Ambiguous)
        }
    })
}

/// May the server hold this date? Binary input is checked as `date_recv` does.
pub(super) fn is_date(days: i32) -> bool {
    days == i32::MIN || days == i32::MAX || DATES.contains(&days)
}

/// May the server hold this timestamp? Binary input is checked as `timestamp_recv` does.
pub(super) fn is_timestamp(microseconds: i64) -> bool {
    microseconds == i64::MIN || microseconds == i64::MAX || TIMESTAMPS.contains(&microseconds)
}

/// `date` → `timestamp`; `None` beyond its range.
pub(super) fn timestamp_of_date(days: i32) -> Option<i64> {
    match days {
        i32::MIN => Some(i64::MIN),
        i32::MAX => Some(i64::MAX),
        days => i64::from(days)
            .checked_mul(DAY)
            .filter(|timestamp| TIMESTAMPS.contains(timestamp)),
    }
}

/// `timestamp` → `date`.
pub(super) fn date_of_timestamp(microseconds: i64) -> i32 {
    match microseconds {
        i64::MIN => i32::MIN,
        i64::MAX => i32::MAX,
        // i64::MAX / DAY is below 2^27.
        microseconds => i32::try_from(microseconds.div_euclid(DAY)).unwrap_or(i32::MAX),
    }
}

/// `AdjustTimestampForTypmod`: rounds half away from zero to `typmod` digits of a second; -1 rounds nothing.
pub(super) fn round_timestamp(microseconds: i64, typmod: i32) -> Option<i64> {
    let unit = match u32::try_from(typmod) {
        Ok(digits @ 0..=5) if microseconds != i64::MIN && microseconds != i64::MAX => 10_i64.pow(6 - digits),
        _ => return Some(microseconds),
    };
    let half = unit / 2;
    let rounded = if microseconds >= 0 {
        microseconds.checked_add(half)? / unit * unit
    } else {
        microseconds.checked_sub(half)? / unit * unit
    };
    TIMESTAMPS.contains(&rounded).then_some(rounded)
}

pub(super) fn print_date(days: i32) -> String {
    match days {
        i32::MIN => "-infinity".to_owned(),
        i32::MAX => "infinity".to_owned(),
        days => {
            let (date, era) = civil(i64::from(days));
            format!("{date}{era}")
        }
    }
}

/// ISO, UTC for a timestamptz: `zone` is appended to the time.
pub(super) fn print_timestamp(microseconds: i64, zone: &str) -> String {
    match microseconds {
        i64::MIN => "-infinity".to_owned(),
        i64::MAX => "infinity".to_owned(),
        microseconds => {
            let (date, era) = civil(microseconds.div_euclid(DAY));
            let time = microseconds.rem_euclid(DAY);
            let (hour, minute, second) = (time / HOUR, time % HOUR / MINUTE, time % MINUTE / SECOND);
            let fraction = match time % SECOND {
                0 => String::new(),
                fraction => format!(".{fraction:06}").trim_end_matches('0').to_owned(),
            };
            format!("{date} {hour:02}:{minute:02}:{second:02}{fraction}{zone}{era}")
        }
    }
}

/// `YYYY-MM-DD`, and ` BC` where Postgres prints it.
fn civil(days: i64) -> (String, &'static str) {
    let (year, month, day) = civil_from_days(days);
    let (shown, era) = if year > 0 { (year, "") } else { (1 - year, " BC") };
    (format!("{shown:04}-{month:02}-{day:02}"), era)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 2000-01-01 of a date of the proleptic Gregorian calendar (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day comes last.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - EPOCH_DAYS
}

/// Its inverse.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_DAYS + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// What the input routines of Postgres's date and time types read as a moment (`datetktbl` of `datetime.c`, 15).
const MOVING_WORDS: [&[u8]; 4] = [b"now", b"today", b"tomorrow", b"yesterday"];

/// Longer strings are no date (`MAXDATELEN` is 128); ranges and arrays hold several.
const MOVING_LENGTH_MAX: usize = 1024;

/// May a string, read as a date or time, or as an array or range of such, be a moment: 'now', 'today' or their like?
pub fn says_moment(value: &[u8]) -> bool {
    value.len() <= MOVING_LENGTH_MAX && names_moment(value)
}

/// Does one of those words stand in a text, however long?
pub fn names_moment(text: &[u8]) -> bool {
    text.split(|byte| !byte.is_ascii_alphabetic())
        .any(|word| MOVING_WORDS.iter().any(|moving| word.eq_ignore_ascii_case(moving)))
}

#[test]
fn a_moving_word_is_a_whole_word() {
    for (value, expected) in [
        ("now", true),
        (" Today", true),
        ("[yesterday,tomorrow)", true),
        ("10:00now", true),
        ("known", false),
        ("2026-01-01", false),
        ("todays", false),
    ] {
        assert_eq!(says_moment(value.as_bytes()), expected, "{value}");
    }
}
