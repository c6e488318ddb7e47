//! A TCP connection with its two buffers, tuned for relaying; used towards shards and clients alike.
//!
//! Sketch, per statement and link: one read, one write. A read asks tokio for readiness first and takes its buffer
//! after, so an idle connection holds none; `poll_read` clears readiness after a short read, so no read is spent on
//! finding nothing. A write is tried at once. Relayed bytes go from one link's input straight to the other's socket
//! ([`Link::poll_relay`]), uncopied. Reads grow from 1 KB to 64 KB only while the peer fills them.
//!
//! Holds: nothing here blocks or reads ahead of what it was asked; back-pressure is the caller not filling.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

use super::busy::Busy;
use super::timers::{Behind, STOP, Timers};
use crate::clock::Clock;

/// First read of a link without a buffer: most messages fit, and an allocator has such pieces at hand.
const READ_BYTES_FIRST: usize = 1000;
const READ_BYTES_SMALL: usize = 8 * 1024;
const READ_BYTES_LARGE: usize = 64 * 1024;

/// Below this, relayed bytes are copied behind what is queued, so that both leave in one write.
const JOIN_BYTES_MAX: usize = 16 * 1024;

/// An empty output buffer up to this size is kept by a link that is used again soon.
const KEPT_BYTES_MAX: usize = 16 * 1024;

const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// A framed TCP connection.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    peer: SocketAddr,
    read_bytes: usize,
    /// what was read and not yet taken
    pub in_buffer: BytesMut,
    /// bytes behind the one at hand that its reader has taken out of `in_buffer` and will put back
    pub held_bytes: usize,
    /// what is queued and not yet written
    pub out_buffer: BytesMut,
    /// of a link to a shard, once it has logged in
    busy: Option<Busy>,
    /// which idle timers may run at a shard
    timers: Timers,
}

impl Link {
    /// Takes a connected socket; sets nodelay and keepalive.
    pub fn new(stream: TcpStream) -> io::Result<Link> {
        stream.set_nodelay(true)?;
        let keepalive = socket2::TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        let peer = stream.peer_addr()?;
        Ok(Link {
            stream,
            peer,
            read_bytes: READ_BYTES_FIRST,
            in_buffer: BytesMut::new(),
            held_bytes: 0,
            out_buffer: BytesMut::new(),
            busy: None,
            timers: Timers::Own,
        })
    }

    /// From now on it is measured how long the other end is occupied.
    pub(super) fn measure(&mut self, clock: Clock) {
        self.busy = Some(Busy::new(clock));
    }

    /// The server's idle timers stand at 0, as far as is known.
    pub fn leave_timers(&mut self) {
        self.timers = Timers::Own;
    }

    /// The server's idle timers are the client's as long as it holds this connection, and stop when it is given back.
    pub fn lend_timers(&mut self) {
        self.timers = Timers::WhileHeld;
    }

    /// From now on no idle timer runs at the server, nor goes on running. To be called between two messages.
    pub fn stop_timers(&mut self) {
        match self.timers {
            Timers::None(_) => {}
            Timers::Own | Timers::WhileHeld => {
                let behind = Behind::new(&mut self.out_buffer);
                self.timers = Timers::None(Box::new(behind));
                self.write_at_once();
            }
        }
    }

    /// The timer that was lent runs no longer.
    pub(super) fn take_timers_back(&mut self) {
        match self.timers {
            Timers::WhileHeld => {
                self.out_buffer.extend_from_slice(&STOP);
                self.write_at_once();
            }
            Timers::Own | Timers::None(_) => {}
        }
    }

    /// Writes what the socket takes without a wait; the rest leaves with what is queued next, and so does an error.
    pub fn write_at_once(&mut self) {
        if !self.out_buffer.is_empty()
            && let Ok(count) = self.stream.try_write(&self.out_buffer)
        {
            self.took(count);
        }
    }

    /// So many bytes of what was queued were written.
    #[inline]
    fn took(&mut self, count: usize) {
        if count == self.out_buffer.len() {
            self.out_buffer.clear(); // its whole room stays in sight
        } else {
            self.out_buffer.advance(count);
        }
        if let Timers::None(behind) = &mut self.timers {
            behind.written(count);
        }
    }

    /// The other end has answered all that was sent, by ReadyForQuery, or never will.
    #[inline]
    pub fn answered(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.end();
        }
        if let Timers::None(behind) = &mut self.timers
            && behind.ready(&mut self.out_buffer)
        {
            self.write_at_once();
        }
    }

    /// The same for a caller that knows the time.
    #[inline]
    pub fn answered_at(&mut self, now: Instant) {
        if let Some(busy) = &mut self.busy {
            busy.end_at(now);
        }
    }

    /// What is queued will be sent at once, now.
    #[inline]
    pub fn sends_at(&mut self, now: Instant) {
        if let Some(busy) = &mut self.busy {
            busy.begin_at(now);
        }
    }

    /// How long the other end was occupied since the last call, up to the last [`Link::answered`].
    #[inline]
    pub fn take_busy(&mut self) -> Duration {
        self.busy.as_mut().map_or(Duration::ZERO, Busy::take)
    }

    /// What was measured is forgotten.
    pub(super) fn forget_busy(&mut self) {
        if let Some(busy) = &mut self.busy {
            busy.reset();
        }
    }

    /// The other end.
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Reads what is there behind `in_buffer`; how many bytes came, 0 at the end of the stream.
    #[inline]
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let lacks_room = self.room() < self.read_bytes / 2;
        if lacks_room {
            ready!(self.stream.poll_read_ready(cx))?;
            self.in_buffer.reserve(self.read_bytes);
        }
        let room = self.room();
        let read = pin!(self.stream.read_buf(&mut self.in_buffer)).poll(cx);
        match read {
            Poll::Ready(Ok(count)) if count >= room => {
                self.read_bytes = if self.read_bytes < READ_BYTES_SMALL {
                    READ_BYTES_SMALL
                } else {
                    READ_BYTES_LARGE
                };
            }
            Poll::Pending if lacks_room && self.in_buffer.is_empty() => self.in_buffer = BytesMut::new(),
            Poll::Ready(_) | Poll::Pending => (),
        }
        read
    }

    /// Writes what it can of what is queued. What can't be written any more is dropped: the other end's last words are
    /// still to be read.
    #[inline]
    pub fn push_out(&mut self, cx: &mut Context<'_>) {
        if !self.out_buffer.is_empty()
            && let Poll::Ready(Err(_)) = self.poll_drain(cx)
        {
            self.out_buffer.clear();
        }
    }

    /// Reads what is there. Ready with true if something came, with false if nothing will any more.
    #[inline]
    pub fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.poll_fill(cx).map(|read| read.is_ok_and(|count| count > 0))
    }

    /// Reads what is there; waits for it. Cancel-safe.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Writes what is queued; ready once nothing is.
    #[inline]
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(busy) = &mut self.busy
            && !self.out_buffer.is_empty()
        {
            busy.begin();
        }
        if let Timers::None(behind) = &mut self.timers {
            behind.follow(&mut self.out_buffer);
        }
        while !self.out_buffer.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out_buffer))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.took(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what is queued; waits until all is. Cancel-safe: what is left stays queued.
    pub async fn drain(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_drain(cx)).await
    }

    /// Writes what is queued, then the first `pass` bytes of `source`, without copying them where they are many.
    ///
    /// `source` is advanced and `pass` lowered as bytes leave; ready once `pass` is 0 and nothing is queued.
    #[inline]
    pub fn poll_relay(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut BytesMut,
        pass: &mut usize,
    ) -> Poll<io::Result<()>> {
        if !self.out_buffer.is_empty() && *pass <= JOIN_BYTES_MAX {
            self.out_buffer.extend_from_slice(source.get(..*pass).unwrap_or(source));
            source.advance((*pass).min(source.len()));
            *pass = 0;
        }
        ready!(self.poll_drain(cx))?;
        while *pass > 0 {
            let bytes = source.get(..*pass).unwrap_or(source);
            if bytes.is_empty() {
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            }
            let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            source.advance(count);
            *pass -= count;
        }
        Poll::Ready(Ok(()))
    }

    /// Appends bytes to what will be written.
    #[inline]
    pub fn queue(&mut self, bytes: &[u8]) {
        self.out_buffer.extend_from_slice(bytes);
    }

    /// Gives empty buffers back; call when the peer goes idle.
    #[inline]
    pub fn release_buffers(&mut self) {
        if self.in_buffer.is_empty() {
            self.in_buffer = BytesMut::new();
            self.read_bytes = READ_BYTES_FIRST;
        }
        if self.out_buffer.is_empty() {
            self.out_buffer = BytesMut::new();
        }
    }

    /// Gives empty buffers back if they have grown; call where the number of links is bounded.
    #[inline]
    pub fn trim_buffers(&mut self) {
        if self.read_bytes > READ_BYTES_SMALL || self.out_buffer.capacity() > KEPT_BYTES_MAX {
            self.release_buffers();
        }
    }

    /// Whether it holds buffers, empty or not.
    pub fn has_buffers(&self) -> bool {
        self.in_buffer.capacity() > 0 || self.out_buffer.capacity() > 0
    }

    /// Whether nothing is buffered either way and, as far as is known without waiting, the peer has neither sent
    /// anything nor closed. Costs no system call where nothing has happened; a byte that it finds is kept.
    pub fn is_quiet(&mut self) -> bool {
        if !self.in_buffer.is_empty() || !self.out_buffer.is_empty() {
            return false;
        }
        let mut byte = [0_u8; 1];
        match self.stream.try_read(&mut byte) {
            Ok(count) => {
                self.in_buffer.extend_from_slice(byte.get(..count).unwrap_or_default());
                false
            }
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    fn room(&self) -> usize {
        self.in_buffer.capacity().saturating_sub(self.in_buffer.len())
    }

    /// Writes a few last bytes if the socket takes them now; what it doesn't take is lost.
    pub fn say_goodbye(&self, bytes: &[u8]) {
        match self.stream.try_write(bytes) {
            Ok(_) | Err(_) => (),
        }
    }

    /// Ends our side of the stream, once what is queued has been written.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.drain().await?;
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }
}
