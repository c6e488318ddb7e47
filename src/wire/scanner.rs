//! Frame boundaries over a stream that is relayed, not buffered.
//!
//! Why: a 200 MB DataRow must pass through in 64 KB pieces, and a thousand small rows in one write. Two ways to use it:
//! - [`Scanner::cut`] for a relay that must stop at some messages: the largest prefix of the buffer that may go on as it
//!   is, and what stands behind it. Frames that are looked at stay in the buffer until they are whole.
//! - [`Scanner::feed`] for a relay that only listens: everything goes on, each frame's tag and first byte are told.
//!
//! Holds: cutting the stream anywhere gives the same frames. Per frame one header is read, no body.

use super::error::FrameError;
use super::frame::{HEADER_BYTES, Header, LARGE_MESSAGE_LIMIT, LOOK_FRAME_LIMIT};

/// What the relay wants with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Goes on undecoded, in pieces.
    Pass,
    /// Stays in the buffer until it is whole, and the cut ends before it.
    Look,
}

/// What stands behind the bytes that may be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole frame to look at: take it with `next_frame`, advance past it, cut again.
    Frame,
    /// Nothing (or part of a frame): read more.
    More,
}

/// How far a buffer may be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// bytes at the buffer's start to pass on as they are
    pub pass: usize,
    /// what stands behind them
    pub next: Next,
}

/// Where a stream of frames has been cut.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanner {
    /// bytes of the current frame that are still to pass
    left: usize,
    /// start of a header that was fed incompletely (`feed` only); at most six bytes
    header: [u8; 6],
    have: usize,
}

impl Scanner {
    /// The largest prefix of `buffer` that may be relayed as it is. The caller removes exactly `pass` bytes, and a
    /// looked-at frame after that, before it cuts again.
    ///
    /// `interest` is asked once for each frame that passes, as soon as its header is there; for a frame to look at it is
    /// asked again at each cut until that frame is taken out.
    #[inline]
    pub fn cut(&mut self, buffer: &[u8], mut interest: impl FnMut(u8) -> Interest) -> Result<Cut, FrameError> {
        let mut pass = self.left.min(buffer.len());
        self.left -= pass;
        loop {
            let rest = buffer.get(pass..).unwrap_or_default();
            let Some(header) = Header::parse(rest, LARGE_MESSAGE_LIMIT)? else {
                return Ok(Cut { pass, next: Next::More });
            };
            match interest(header.tag) {
                Interest::Pass => {
                    let here = header.whole().min(rest.len());
                    self.left = header.whole() - here;
                    pass += here;
                }
                Interest::Look => {
                    Header::parse(rest, LOOK_FRAME_LIMIT)?;
                    let next = if rest.len() >= header.whole() {
                        Next::Frame
                    } else {
                        Next::More
                    };
                    return Ok(Cut { pass, next });
                }
            }
        }
    }

    /// Tells each frame's tag and first body byte (0 if the body is empty) once both are there, over bytes that all pass.
    #[inline]
    pub fn feed(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(u8, u8)) -> Result<(), FrameError> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = self.left.min(bytes.len());
                self.left -= here;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            if self.have == 0
                && let Some(&[_, _, _, _, _, first]) = bytes.first_chunk::<6>()
            {
                let Some(header) = Header::parse(bytes, LARGE_MESSAGE_LIMIT)? else {
                    return Ok(());
                };
                on_frame(header.tag, if header.length == 0 { 0 } else { first });
                let here = header.whole().min(bytes.len());
                self.left = header.whole() - here;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            if let Some(slot) = self.header.get_mut(self.have) {
                *slot = byte;
            }
            self.have += 1;
            bytes = rest;
            self.finish_header(&mut on_frame)?;
        }
        Ok(())
    }

    /// Whether the stream stands between two frames.
    #[inline]
    pub const fn is_at_boundary(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// Bytes of the current frame that are still to pass.
    #[inline]
    pub const fn left(&self) -> usize {
        self.left
    }

    fn finish_header(&mut self, on_frame: &mut impl FnMut(u8, u8)) -> Result<(), FrameError> {
        let Some(header) = Header::parse(self.header.get(..self.have).unwrap_or_default(), LARGE_MESSAGE_LIMIT)? else {
            return Ok(());
        };
        let [.., first] = self.header;
        if header.length == 0 {
            on_frame(header.tag, 0);
            self.have = 0;
        } else if self.have > HEADER_BYTES {
            on_frame(header.tag, first);
            self.left = header.length - 1;
            self.have = 0;
        }
        Ok(())
    }
}
