//! One column of a line: `CopyReadAttributesText` and `CopyReadAttributesCSV`.

use super::form::Forced;
use super::rows::KeyField;

/// The column at `position` of a line without its newline. What has to be decoded is decoded into `scratch`.
pub(super) fn text<'a>(
    line: &'a [u8],
    position: usize,
    delimiter: u8,
    null: &[u8],
    scratch: &'a mut Vec<u8>,
) -> KeyField<'a> {
    let mut start = 0_usize;
    for _ in 0..position {
        match text_end(line, start, delimiter) {
            (end, true) => start = end.saturating_add(1),
            (_, false) => return KeyField::Missing,
        }
    }
    let (end, _) = text_end(line, start, delimiter);
    let raw = line.get(start..end).unwrap_or_default();
    if raw == null {
        return KeyField::Null;
    }
    if memchr::memchr(b'\\', raw).is_none() {
        return KeyField::Text(raw);
    }
    scratch.clear();
    unescape(raw, scratch);
    KeyField::Text(scratch)
}

/// The end of the column that begins at `start`, and whether a delimiter ends it.
fn text_end(line: &[u8], start: usize, delimiter: u8) -> (usize, bool) {
    let mut at = start;
    loop {
        let rest = line.get(at..).unwrap_or_default();
        match memchr::memchr2(delimiter, b'\\', rest) {
            None => return (line.len(), false),
            Some(found) if rest.get(found) == Some(&delimiter) => return (at.saturating_add(found), true),
            // A backslash takes the next byte with it; the very last one is dropped.
            Some(found) if found.saturating_add(1) == rest.len() => return (at.saturating_add(found), false),
            Some(found) => at = at.saturating_add(found).saturating_add(2),
        }
    }
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some(escaped) = bytes.next() else { return };
        let value = match escaped {
            b'0'..=b'7' => {
                let mut value = u32::from(escaped & 7);
                for _ in 0..2 {
                    match bytes.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                        Some(digit) => value = (value << 3) | u32::from(digit & 7),
                        None => break,
                    }
                }
                low_byte(value)
            }
            b'x' => {
                let mut value = None;
                for _ in 0..2 {
                    let digit = bytes.peek().and_then(|byte| char::from(*byte).to_digit(16));
                    match digit {
                        Some(digit) => {
                            value = Some((value.unwrap_or(0) << 4) | digit);
                            bytes.next();
                        }
                        None => break,
                    }
                }
                value.map_or(b'x', low_byte)
            }
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            other => other,
        };
        out.push(value);
    }
}

fn low_byte(value: u32) -> u8 {
    let [.., low] = value.to_be_bytes();
    low
}

/// How csv is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Csv<'f> {
    pub(super) delimiter: u8,
    pub(super) quote: u8,
    pub(super) escape: u8,
    pub(super) null: &'f [u8],
}

/// The column at `position` of a csv line without its newline.
pub(super) fn csv<'a>(
    line: &'a [u8],
    position: usize,
    csv: Csv<'_>,
    forced: Forced,
    scratch: &'a mut Vec<u8>,
) -> KeyField<'a> {
    let mut start = 0_usize;
    for _ in 0..position {
        match skip_csv(line, start, csv) {
            Some(next) => start = next,
            None => return KeyField::Missing,
        }
    }
    let rest = line.get(start..).unwrap_or_default();
    // Most columns hold no quote.
    let value: &[u8] = match memchr::memchr2(csv.delimiter, csv.quote, rest) {
        Some(at) if rest.get(at) == Some(&csv.quote) => {
            scratch.clear();
            if !decode_csv(rest, csv, scratch) {
                return KeyField::Missing; // a quote that nothing ends
            }
            let null = matches!(forced, Forced::Null | Forced::Both) && scratch.as_slice() == csv.null;
            return if null { KeyField::Null } else { KeyField::Text(scratch) };
        }
        Some(at) => rest.get(..at).unwrap_or_default(),
        None => rest,
    };
    // FORCE_NOT_NULL: the NULL string is a value like others. It wasn't quoted, so FORCE_NULL has no say.
    match (value == csv.null, forced) {
        (true, Forced::No | Forced::Null) => KeyField::Null,
        (true, Forced::NotNull | Forced::Both) | (false, _) => KeyField::Text(value),
    }
}

/// Where the next column begins; `None`: there is none, or a quote that nothing ends.
fn skip_csv(line: &[u8], start: usize, csv: Csv<'_>) -> Option<usize> {
    let mut at = start;
    loop {
        let rest = line.get(at..)?;
        let found = memchr::memchr2(csv.delimiter, csv.quote, rest)?;
        at = at.saturating_add(found).saturating_add(1);
        if rest.get(found) == Some(&csv.delimiter) {
            return Some(at);
        }
        at = end_of_quotes(line, at, csv, &mut |_| ())?;
    }
}

/// Decodes the column at the start of `rest`; false: a quote that nothing ends.
fn decode_csv(rest: &[u8], csv: Csv<'_>, out: &mut Vec<u8>) -> bool {
    let mut at = 0_usize;
    loop {
        match rest.get(at) {
            None => return true,
            Some(byte) if *byte == csv.delimiter => return true,
            Some(byte) if *byte == csv.quote => {
                match end_of_quotes(rest, at.saturating_add(1), csv, &mut |byte| out.push(byte)) {
                    Some(next) => at = next,
                    None => return false,
                }
            }
            Some(byte) => {
                out.push(*byte);
                at = at.saturating_add(1);
            }
        }
    }
}

/// Behind the quote that ends what begins at `at`; each byte between is given to `push`, decoded.
fn end_of_quotes(line: &[u8], mut at: usize, csv: Csv<'_>, push: &mut dyn FnMut(u8)) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        at = at.saturating_add(1);
        if byte == csv.escape
            && let Some(next) = line.get(at)
            && (*next == csv.escape || *next == csv.quote)
        {
            push(*next);
            at = at.saturating_add(1);
            continue;
        }
        if byte == csv.quote {
            return Some(at);
        }
        push(byte);
    }
}
