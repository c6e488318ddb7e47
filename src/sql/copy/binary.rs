//! The binary format: a header, rows of counted fields, perhaps a trailer.

use super::rows::AtEnd;

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// The header's length; `Err` with the bytes that Postgres refuses, `None` if more are needed.
pub(super) fn header(input: &[u8], end: AtEnd) -> Result<Option<usize>, usize> {
    let short = |needed: usize| match (input.len() < needed, end) {
        (false, _) => Ok(true),
        (true, AtEnd::No) => Ok(false),
        (true, AtEnd::Yes) => Err(input.len()),
    };
    let known = input.len().min(SIGNATURE.len());
    if input.get(..known) != SIGNATURE.get(..known) {
        // Postgres reads eleven bytes before it looks at them.
        return match short(SIGNATURE.len())? {
            true => Err(SIGNATURE.len()),
            false => Ok(None),
        };
    }
    let fixed = SIGNATURE.len().saturating_add(8);
    if !short(fixed)? {
        return Ok(None);
    }
    let (flags, extension) = (
        int(input, SIGNATURE.len()),
        int(input, SIGNATURE.len().saturating_add(4)),
    );
    // Bit 16 are OIDs, which no version since 12 takes; bits above are critical.
    let (Some(flags), Some(extension)) = (flags, extension) else {
        return Err(fixed);
    };
    let (0, Ok(extension)) = (flags >> 16, usize::try_from(extension)) else {
        return Err(fixed);
    };
    let whole = fixed.saturating_add(extension);
    Ok(short(whole)?.then_some(whole))
}

/// A row under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    at: usize,
    fields: usize,
    /// where the wanted field's bytes stand; `None` is NULL
    pub(super) key: Option<(usize, usize)>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    More,
    Row(usize),
    /// the trailer, or the end without one
    End,
    /// Postgres refuses the bytes up to here
    Broken(usize),
}

/// The row at the start of `input`, of `columns` fields, of which the one at `key` is wanted.
pub(super) fn row(input: &[u8], end: AtEnd, columns: usize, key: Option<usize>, progress: &mut Progress) -> Found {
    let more = |otherwise: Found| match end {
        AtEnd::No => Found::More,
        AtEnd::Yes => otherwise,
    };
    if progress.at == 0 {
        // Fewer than two bytes at the end are no row, and no error.
        let Some(count) = input.first_chunk::<2>() else {
            return more(Found::End);
        };
        let count = i16::from_be_bytes(*count);
        if count == -1 {
            return match input.len() {
                2 => more(Found::End),
                _ => Found::Broken(3),
            };
        }
        if usize::try_from(count) != Ok(columns) {
            return Found::Broken(2);
        }
        progress.at = 2;
    }
    while progress.fields < columns {
        let Some(length) = int(input, progress.at) else {
            return more(Found::Broken(input.len()));
        };
        let start = progress.at.saturating_add(4);
        let next = match usize::try_from(length) {
            Ok(length) => start.saturating_add(length),
            Err(_) if length == -1 => start,
            Err(_) => return Found::Broken(start),
        };
        if next > input.len() {
            return more(Found::Broken(input.len()));
        }
        if key == Some(progress.fields) {
            progress.key = (length >= 0).then_some((start, next));
        }
        progress.fields = progress.fields.saturating_add(1);
        progress.at = next;
    }
    Found::Row(progress.at)
}

fn int(input: &[u8], at: usize) -> Option<i32> {
    let bytes = input.get(at..)?.first_chunk::<4>()?;
    Some(i32::from_be_bytes(*bytes))
}
