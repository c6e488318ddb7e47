//! Where answers go.

use std::io;
use std::task::{Context, Poll};

use bytes::BytesMut;

/// Why work under way must stop.
#[derive(Debug)]
pub enum Interrupt {
    /// a cancel request, or a timeout
    Cancelled,
    /// the client can't be written to
    ClientGone(io::Error),
}

/// The client's side of an execution.
pub trait Sink: Send {
    /// Where whole messages for the client are appended.
    fn buffer(&mut self) -> &mut BytesMut;

    /// Ready once the buffer is small enough to take more; writes it out meanwhile.
    fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when the work must stop.
    fn poll_interrupt(&mut self, context: &mut Context<'_>) -> Poll<Interrupt>;
}
