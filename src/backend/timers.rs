//! Keeping a server's idle timers from running against its client while that is busy elsewhere.
//!
//! Postgres starts `idle_in_transaction_session_timeout` or `idle_session_timeout` when it gives ReadyForQuery, and stops
//! it when it has read the next message, whatever that is (`PostgresMain` in `postgres.c`, 9.6 to 18). A Flush behind each
//! message that brings ReadyForQuery is such a message: it is read at once, answered by nothing, and starts no timer.
//! So the settings keep the client's values, where everybody who may read them finds them, and no timer runs.
//!
//! Holds: a Flush stands between two whole messages, never inside one, however a caller cuts what it queues.

use bytes::BytesMut;

use crate::wire::HEADER_BYTES;

/// Flush: stops the timer that the server is running, and is answered by nothing.
pub(super) const STOP: [u8; HEADER_BYTES] = *b"H\0\0\0\x04";

/// Which idle timers may run at a server.
#[derive(Debug)]
pub(super) enum Timers {
    /// the server's own: as far as is known they stand at 0
    Own,
    /// its own as long as a session holds the connection, and none once it is given back
    WhileHeld,
    /// none
    None(Box<Behind>),
}

/// Follows what is queued for a server, to put a Flush behind what brings ReadyForQuery.
#[derive(Debug)]
pub(super) struct Behind {
    /// bytes at the front of the buffer that were looked at
    seen: usize,
    /// the header of the message under way, as far as it was seen
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// bytes of its body that weren't
    left: usize,
    last: Last,
}

/// What the last message that was looked at brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    ReadyForQuery,
    /// no ReadyForQuery, unless by an error in a COPY
    Nothing,
    /// it is a Flush of ours
    Stop,
}

impl Behind {
    /// Of a buffer whose end is the end of a message; the server's timer is stopped by what is put there now.
    pub(super) fn new(out: &mut BytesMut) -> Behind {
        out.extend_from_slice(&STOP);
        Behind {
            seen: out.len(),
            header: [0; HEADER_BYTES],
            header_bytes: 0,
            left: 0,
            last: Last::Stop,
        }
    }

    /// Looks at what was queued since; puts a Flush behind it if it ends with a message that brings ReadyForQuery.
    pub(super) fn follow(&mut self, out: &mut BytesMut) {
        let mut rest = out.get(self.seen..).unwrap_or_default();
        while !rest.is_empty() {
            let lacks = HEADER_BYTES.saturating_sub(self.header_bytes);
            let here = if self.left > 0 { self.left } else { lacks }.min(rest.len());
            let (taken, behind) = rest.split_at(here);
            rest = behind;
            if self.left > 0 {
                self.left = self.left.saturating_sub(here);
                continue;
            }
            let filled = self.header_bytes.saturating_add(here);
            if let Some(place) = self.header.get_mut(self.header_bytes..filled) {
                place.copy_from_slice(taken);
            }
            self.header_bytes = filled;
            if filled == HEADER_BYTES {
                self.begin(self.header);
            }
        }
        self.seen = out.len();
        if self.last == Last::ReadyForQuery {
            self.stop(out);
        }
    }

    /// ReadyForQuery has come: unless a Flush follows already, one does now. Whether something was queued.
    pub(super) fn ready(&mut self, out: &mut BytesMut) -> bool {
        self.follow(out);
        let stops = self.last != Last::Stop;
        if stops {
            self.stop(out);
        }
        stops
    }

    /// Queues a Flush, if no message is under way.
    fn stop(&mut self, out: &mut BytesMut) {
        if self.left == 0 && self.header_bytes == 0 {
            out.extend_from_slice(&STOP);
            self.seen = out.len();
            self.last = Last::Stop;
        }
    }

    fn begin(&mut self, [tag, length @ ..]: [u8; HEADER_BYTES]) {
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        self.header_bytes = 0;
        self.left = length.saturating_sub(size_of::<u32>());
        self.last = match tag {
            // Query, Sync, FunctionCall; CopyDone and CopyFail where a Query began the COPY.
            b'Q' | b'S' | b'F' | b'c' | b'f' => Last::ReadyForQuery,
            _ => Last::Nothing,
        };
    }

    /// So many bytes at the front of the buffer were written.
    pub(super) fn written(&mut self, count: usize) {
        self.seen = self.seen.saturating_sub(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &[u8] = b"Q\0\0\0\x06a\0";
    const SYNC: &[u8] = b"S\0\0\0\x04";
    const EXECUTE: &[u8] = b"E\0\0\0\x09\0\0\0\0\0";
    /// CopyData whose content looks like a Sync.
    const DATA: &[u8] = b"d\0\0\0\x09S\0\0\0\x04";

    /// What leaves when messages are queued in these pieces and a write takes so many bytes.
    fn sent(pieces: &[&[u8]], write: usize) -> Vec<u8> {
        let (mut out, mut gone) = (BytesMut::new(), Vec::new());
        let mut behind = Behind::new(&mut out);
        out.clear();
        behind.written(STOP.len());
        for piece in pieces {
            out.extend_from_slice(piece);
            behind.follow(&mut out);
            let taken = out.split_to(write.min(out.len()));
            behind.written(taken.len());
            gone.extend_from_slice(&taken);
        }
        gone.extend_from_slice(&out);
        gone
    }

    #[test]
    fn a_flush_follows_what_brings_ready_for_query() {
        for write in [1, 3, 1000] {
            assert_eq!(sent(&[QUERY], write), [QUERY, &STOP].concat());
            assert_eq!(sent(&[QUERY, SYNC], write), [QUERY, &STOP, SYNC, &STOP].concat());
            let batch = [EXECUTE, EXECUTE, SYNC].concat();
            assert_eq!(sent(&[&batch], write), [&batch[..], &STOP].concat());
            // Another message is behind it already: that stops the timer as well.
            let two = [QUERY, SYNC, EXECUTE].concat();
            assert_eq!(sent(&[&two], write), two);
            assert_eq!(sent(&[EXECUTE, DATA], write), [EXECUTE, DATA].concat());
        }
    }

    #[test]
    fn a_message_in_pieces_stays_whole() {
        let copy = [DATA, DATA, b"c\0\0\0\x04", SYNC].concat();
        for cut in 1..copy.len() {
            let sent = sent(&[&copy[..cut], &copy[cut..]], 2);
            let mut rest = &sent[..];
            let mut messages = Vec::new();
            while let Some([_, length @ ..]) = rest.first_chunk::<HEADER_BYTES>() {
                let (message, behind) = rest.split_at(1 + u32::from_be_bytes(*length) as usize);
                messages.push(message);
                rest = behind;
            }
            assert_eq!(messages.last(), Some(&&STOP[..]), "cut at {cut}");
            messages.retain(|message| message[0] != b'H');
            assert_eq!(messages.concat(), copy, "cut at {cut}");
        }
    }

    /// A COPY's error brings ReadyForQuery too, behind data.
    #[test]
    fn ready_for_query_that_was_not_asked_for_is_followed() {
        let mut out = BytesMut::new();
        let mut behind = Behind::new(&mut out);
        out.clear();
        behind.written(STOP.len());
        out.extend_from_slice(DATA);
        assert!(behind.ready(&mut out));
        assert_eq!(out, [DATA, &STOP].concat());
        assert!(!behind.ready(&mut out), "once is enough");
    }

    #[test]
    fn the_timer_that_runs_is_stopped_at_once() {
        let mut out = BytesMut::from(EXECUTE);
        Behind::new(&mut out).follow(&mut out);
        assert_eq!(out, [EXECUTE, &STOP].concat());
    }
}
