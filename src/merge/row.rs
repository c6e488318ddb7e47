//! One DataRow taken apart: where each column's bytes lie.
//!
//! Why kept whole: the visible columns are a prefix of the body, so that a merged row is copied to the client in one
//! piece, undecoded. Holds: every span lies inside the body; the number of columns is the plan's.

use bytes::{BufMut, BytesMut};

use super::MergeError;

/// A row of one shard. Its buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Row {
    body: Vec<u8>,
    spans: Vec<Option<(usize, usize)>>,
    visible_end: usize,
}

impl Row {
    /// Reads a DataRow's body (what follows the length) of exactly `visible + hidden` columns.
    pub(super) fn read(&mut self, body: &[u8], visible: usize, hidden: usize) -> Result<(), MergeError> {
        self.body.clear();
        self.spans.clear();
        let mut at = 2;
        let count = body
            .get(..2)
            .map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
        if body.len() < 2 || count != visible.saturating_add(hidden) {
            return Err(MergeError::MalformedRow {
                columns: count,
                expected: visible.saturating_add(hidden),
            });
        }
        for column in 0..count {
            if column == visible {
                self.visible_end = at;
            }
            let malformed = MergeError::MalformedRow {
                columns: column,
                expected: count,
            };
            let Some((length, _)) = body.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) else {
                return Err(malformed);
            };
            let start = at.saturating_add(4);
            match i32::from_be_bytes(*length) {
                -1 => {
                    self.spans.push(None);
                    at = start;
                }
                length => {
                    let end = usize::try_from(length).ok().and_then(|l| start.checked_add(l));
                    let Some(end) = end.filter(|end| *end <= body.len()) else {
                        return Err(malformed);
                    };
                    self.spans.push(Some((start, end)));
                    at = end;
                }
            }
        }
        if at != body.len() {
            return Err(MergeError::MalformedRow {
                columns: count,
                expected: count,
            });
        }
        if hidden == 0 {
            self.visible_end = at;
        }
        self.body.extend_from_slice(body);
        Ok(())
    }

    /// Becomes a copy of another row, reusing buffers.
    pub(super) fn copy_from(&mut self, other: &Row) {
        self.body.clone_from(&other.body);
        self.spans.clone_from(&other.spans);
        self.visible_end = other.visible_end;
    }

    /// The bytes of a column, `None` for NULL.
    pub(super) fn column(&self, index: usize) -> Option<&[u8]> {
        let (start, end) = self.spans.get(index).copied().flatten()?;
        self.body.get(start..end)
    }

    /// Appends the DataRow message of the visible columns.
    pub(super) fn put_visible(&self, visible: usize, out: &mut BytesMut) -> Result<(), MergeError> {
        let columns = self
            .body
            .get(2..self.visible_end)
            .ok_or(MergeError::Bug("a row without its visible part"))?;
        put_header(visible, columns.len(), out)?;
        out.extend_from_slice(columns);
        Ok(())
    }
}

/// Appends tag, length and column count of a DataRow whose columns take `bytes` bytes, their lengths included.
pub(super) fn put_header(columns: usize, bytes: usize, out: &mut BytesMut) -> Result<(), MergeError> {
    let length = bytes
        .checked_add(6)
        .and_then(|length| i32::try_from(length).ok())
        .ok_or(MergeError::RowTooLong)?;
    let columns = u16::try_from(columns).map_err(|_| MergeError::Bug("more columns than a DataRow can have"))?;
    out.put_u8(b'D');
    out.put_i32(length);
    out.put_u16(columns);
    Ok(())
}

/// Appends one column: its length and bytes, or -1.
pub(super) fn put_column(value: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), MergeError> {
    match value {
        None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        Some(value) => {
            let length = i32::try_from(value.len()).map_err(|_| MergeError::RowTooLong)?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        }
    }
    Ok(())
}
