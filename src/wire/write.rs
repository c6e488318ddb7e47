//! The one way a frame is built: header, body, then the length word is filled in.

use bytes::{BufMut, BytesMut};

/// Appends a frame whose body `body` writes.
#[inline]
pub(super) fn put_frame(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    put_sized(out, body);
}

/// Appends a length word that counts itself and what `body` writes.
///
/// A body above 4 GiB would get a length that every peer refuses; callers write far less.
#[inline]
pub(super) fn put_sized(out: &mut BytesMut, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = u32::try_from(out.len().saturating_sub(start)).unwrap_or(u32::MAX);
    if let Some(word) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<4>) {
        *word = length.to_be_bytes();
    }
}

/// Appends a string and its zero byte. A zero byte inside would end it early, so what follows one is left out.
#[inline]
pub(super) fn put_string(out: &mut BytesMut, text: &[u8]) {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    out.put_slice(text);
    out.put_u8(0);
}

/// Appends a 16-bit count. More than 65,535 can't be said; the message is then one that the peer refuses.
#[inline]
pub(super) fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u16(u16::try_from(count).unwrap_or(u16::MAX));
}

/// Appends a value with its length word; -1 for NULL.
#[inline]
pub(super) fn put_value(out: &mut BytesMut, value: Option<&[u8]>) {
    match value {
        None => out.put_i32(-1),
        Some(bytes) => {
            out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MIN));
            out.put_slice(bytes);
        }
    }
}

/// Appends values behind their 16-bit count.
#[inline]
pub(super) fn put_values<'a>(out: &mut BytesMut, values: impl IntoIterator<Item = Option<&'a [u8]>>) {
    let start = out.len();
    out.put_u16(0);
    let mut count = 0_usize;
    for value in values {
        put_value(out, value);
        count += 1;
    }
    if let Some(word) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<2>) {
        *word = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
    }
}
