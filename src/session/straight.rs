//! The straight way: between batches, and while one of them is under way that was planned before, a session is this one
//! function of its own state, without a future inside.
//!
//! Why: a statement costs two wake-ups. Through async functions each passes half a dozen nested state machines, most of
//! whose code the processor has forgotten in between (the system calls and the other processes take its cache).
//! Holds: whatever isn't the usual is left to the async functions, with nothing lost: what was read lies in a buffer, and
//! what was seen of a socket's end is noted or seen again. The future is this state and a borrow, so it may be dropped.

use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::admin::{Call, Leave};
use crate::session::direct::Relayed;
use crate::session::error::Gone;
use crate::session::order::{Awaited, Order};
use crate::session::pump::{CLIENT_BUFFER_FLUSH, poll_ahead};
use crate::session::state::{Copying, Ended, Session, Urgent};

/// What the straight way leaves to others.
#[derive(Debug)]
pub(super) enum Left {
    /// whatever comes next
    Next,
    /// an order that must wait for a backend, or first prepare something there
    Unsent(Order, BytesMut),
    /// an order whose answer isn't the usual one, or is disturbed
    Unanswered(Awaited, usize),
    /// an order that was answered as usual, and more is to do than to rest again
    Unfinished(Awaited),
    /// nothing: the client is gone, or has to go
    Gone(Gone),
}

/// An order that was sent, and the backend that it was sent to.
#[derive(Debug)]
pub(super) struct Sent {
    awaited: Awaited,
    at: usize,
}

/// Does it go on?
enum Onward {
    /// at once
    Again,
    /// once something happens
    Wait,
    /// by somebody else
    Left(Left),
}

impl Session {
    /// Serves the client as long as all is usual.
    pub(super) fn poll_straight(&mut self, context: &mut Context<'_>) -> Poll<Left> {
        loop {
            let onward = match self.sent.take() {
                Some(sent) => self.go_on(sent, context),
                None => self.begin_next(context),
            };
            match onward {
                Onward::Again => {}
                Onward::Wait => return Poll::Pending,
                Onward::Left(left) => return Poll::Ready(left),
            }
        }
    }

    /// Between batches.
    fn begin_next(&mut self, context: &mut Context<'_>) -> Onward {
        let usual = self.is_at_rest() && self.copying == Copying::No && self.drop_left == 0;
        if !usual || self.client_ended == Ended::Yes {
            return Onward::Left(Left::Next);
        }
        match self.client.in_buffer.first() {
            Some(tag @ (b'Q' | b'P' | b'B')) => self.begin_batch(*tag),
            Some(_) => Onward::Left(Left::Next),
            None if self.timers.are_watched() => Onward::Left(Left::Next), // here is no timer
            None => self.await_batch(context),
        }
    }

    fn begin_batch(&mut self, tag: u8) -> Onward {
        let input = std::mem::take(&mut self.client.in_buffer);
        let Some(mut order) = self.read_order(tag, &input) else {
            self.client.in_buffer = input;
            return Onward::Left(Left::Next);
        };
        self.begin_order(&mut order);
        let Some(at) = self.send_at_once(&order, &input) else {
            return Onward::Left(Left::Unsent(order, input));
        };
        self.consume(input, order.length);
        if self.running.deadline.is_some() {
            return Onward::Left(Left::Unanswered(order.awaited, at)); // here is no timer
        }
        self.sent = Some(Sent {
            awaited: order.awaited,
            at,
        });
        Onward::Again
    }

    /// Everything read is answered: writes it out, then waits for more.
    fn await_batch(&mut self, context: &mut Context<'_>) -> Onward {
        if !self.client.out_buffer.is_empty() {
            match self.client.poll_drain(context) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Onward::Left(Left::Gone(Gone::Vanished(error))),
                Poll::Pending => return Onward::Left(Left::Next),
            }
        }
        self.client.trim_buffers();
        if self.client.has_buffers() {
            self.enrolment.rest();
        }
        if self.enrolment.leave() >= Leave::WhenIdle {
            return Onward::Left(Left::Gone(Gone::Draining)); // however much more the client may have sent
        }
        match self.client.poll_fill(context) {
            Poll::Ready(Ok(0)) => {
                self.client_ended = Ended::Yes;
                return Onward::Left(Left::Next);
            }
            Poll::Ready(Ok(_)) => return Onward::Again,
            Poll::Ready(Err(error)) => return Onward::Left(Left::Gone(Gone::Vanished(error))),
            Poll::Pending => {}
        }
        match self.enrolment.poll_called(context, Leave::WhenIdle) {
            Poll::Ready(Call::Leave) => Onward::Left(Left::Gone(Gone::Draining)),
            Poll::Ready(Call::Tidy) => {
                self.client.release_buffers();
                Onward::Again
            }
            Poll::Pending => Onward::Wait,
        }
    }

    /// While an order's answer is to come.
    fn go_on(&mut self, sent: Sent, context: &mut Context<'_>) -> Onward {
        let Sent { mut awaited, at } = sent;
        match self.relay_usual(at, &awaited) {
            Relayed::Whole if self.rest_again() => return Onward::Again,
            Relayed::Whole => return Onward::Left(Left::Unfinished(awaited)),
            Relayed::Unusual => return Onward::Left(Left::Unanswered(awaited, at)),
            Relayed::NotYet => {}
        }
        let waiting = self.client.out_buffer.len();
        let unwritten = waiting >= CLIENT_BUFFER_FLUSH || (waiting > 0 && self.urgent == Urgent::Yes);
        let Some(participant) = self.participants.get_mut(at).filter(|_| !unwritten) else {
            return Onward::Left(Left::Unanswered(awaited, at));
        };
        let backend = &mut participant.backend.link;
        backend.push_out(context);
        match backend.poll_hear(context) {
            Poll::Ready(true) => {
                self.sent = Some(Sent { awaited, at });
                return Onward::Again;
            }
            // Its end is seen again.
            Poll::Ready(false) => return Onward::Left(Left::Unanswered(awaited, at)),
            // Answers of earlier batches don't wait for this one's (sessions.md 5).
            Poll::Pending => self.client.write_at_once(),
        }
        if let Poll::Ready(error) = poll_ahead(&mut self.client, &mut self.client_ended, context) {
            self.owe(&mut awaited);
            return Onward::Left(Left::Gone(Gone::Vanished(error)));
        }
        let cancelled = self.enrolment.poll_cancelled(context, self.running.mark).is_ready();
        if cancelled || self.client_ended == Ended::Yes {
            return Onward::Left(Left::Unanswered(awaited, at));
        }
        self.sent = Some(Sent { awaited, at });
        Onward::Wait
    }
}
