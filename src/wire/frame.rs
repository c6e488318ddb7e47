//! Frames: a type byte, a length word that counts itself, a body.
//!
//! Why first: whoever reads a message sees only the slice that [`next_frame`] cut out, so what is read here and what a
//! shard would read of the same bytes can't differ. Limits follow Postgres 15 (`tcop/postgres.c` `SocketBackend`,
//! `libpq/pqcomm.c` `pq_getmessage`): a limit is compared with the length word, four bytes more than the body.

use super::error::FrameError;
use super::tag::RequestTag;

/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = 5;

/// Limit of messages that are small by nature (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_MESSAGE_LIMIT: usize = 10_000;

/// Limit of all others (`PQ_LARGE_MESSAGE_LIMIT`, one byte below 1 GiB).
pub const LARGE_MESSAGE_LIMIT: usize = 0x3fff_fffe;

/// Limit of a password or SASL message, the only kind taken before authentication (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const PASSWORD_MESSAGE_LIMIT: usize = 65_535;

/// Limit of a shard's message that is looked at whole (ErrorResponse, RowDescription, …). DataRow and CopyData are
/// relayed in pieces and have [`LARGE_MESSAGE_LIMIT`].
pub const LOOK_FRAME_LIMIT: usize = 64 * 1024 * 1024;

/// The first five bytes of a frame, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// type byte
    pub tag: u8,
    /// bytes of the body
    pub length: usize,
}

impl Header {
    /// The header at the start of `buffer`; `None` if fewer than five bytes are there.
    ///
    /// A length word below 4 or above `limit` is an error.
    #[inline]
    pub fn parse(buffer: &[u8], limit: usize) -> Result<Option<Header>, FrameError> {
        let Some(&[tag, a, b, c, d]) = buffer.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let word = u32::from_be_bytes([a, b, c, d]);
        match usize::try_from(word)
            .ok()
            .filter(|length| *length <= limit)
            .and_then(|length| length.checked_sub(4))
        {
            Some(length) => Ok(Some(Header { tag, length })),
            None => Err(FrameError::Length {
                tag,
                length: word,
                limit,
            }),
        }
    }

    /// Bytes of the whole frame.
    #[inline]
    pub const fn whole(self) -> usize {
        self.length.saturating_add(HEADER_BYTES)
    }
}

/// One whole frame, borrowed from the buffer that it arrived in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// type byte
    pub tag: u8,
    /// the message without header
    pub body: &'a [u8],
    /// header and body, to be forwarded as they are
    pub whole: &'a [u8],
}

/// The whole frame at the start of `buffer`; `None` if more bytes are needed.
///
/// `limit` is the largest length word allowed; a longer one is an error at once, before its body arrives.
#[inline]
pub fn next_frame(buffer: &[u8], limit: usize) -> Result<Option<Frame<'_>>, FrameError> {
    let Some(header) = Header::parse(buffer, limit)? else {
        return Ok(None);
    };
    let Some(whole) = buffer.get(..header.whole()) else {
        return Ok(None);
    };
    let Some(body) = whole.get(HEADER_BYTES..) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        tag: header.tag,
        body,
        whole,
    }))
}

/// The limit of a client's message after authentication; an unknown type is an error (FATAL 08P01 in Postgres).
#[inline]
pub fn frontend_limit(tag: u8) -> Result<usize, FrameError> {
    match RequestTag::of(tag) {
        Some(
            RequestTag::Bind | RequestTag::Parse | RequestTag::Query | RequestTag::FunctionCall | RequestTag::CopyData,
        ) => Ok(LARGE_MESSAGE_LIMIT),
        Some(
            RequestTag::Close
            | RequestTag::CopyDone
            | RequestTag::CopyFail
            | RequestTag::Describe
            | RequestTag::Execute
            | RequestTag::Flush
            | RequestTag::Sync
            | RequestTag::Terminate,
        ) => Ok(SMALL_MESSAGE_LIMIT),
        Some(RequestTag::Password) | None => Err(FrameError::UnknownTag { tag }),
    }
}
