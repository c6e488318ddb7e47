//! One authenticated connection to one shard, and the proof that it may go back to its pool.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BytesMut};

use super::cancel::{CancelTarget, Ledger};
use super::endpoint::Endpoint;
use super::error::Error;
use super::link::Link;
use super::login::Login;
use super::prepared::Prepared;
use super::slot::Slot;

use crate::topology::ShardId;
use crate::wire::{AnswerTag, ErrorFields, LOOK_FRAME_LIMIT, next_frame, put_sync, put_terminate};

/// Who may use a backend after its present session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// any session of the same key: what differs is replayed
    Replay,
    /// only a session with an equal settings digest (a two-part setting's existence can't be undone)
    SameDigest,
    /// nobody: what is left in it can't be undone, and another session would see it
    Nobody,
}

/// One authenticated connection to one shard. Dropping it closes the socket and frees its place in the pool.
pub struct Backend {
    /// the connection and its buffers
    pub link: Box<Link>,
    /// statements prepared here
    pub prepared: Box<Prepared>,
    /// whatever the session notes about the settings applied here; `None` on a fresh connection
    pub applied: Option<Arc<dyn Any + Send + Sync>>,
    /// notifications that came between the answers to questions of the proxy's own: whoever holds it takes them
    pub notified: Option<Box<Notified>>,
    pub(super) shard: ShardId,
    pub(super) reuse: Reuse,
    pub(super) process_id: i32,
    pub(super) login: Arc<Login>,
    pub(super) identity: Arc<Identity>,
    pub(super) digest: u64,
    pub(super) since: Instant,
    pub(super) slot: Option<Slot>,
}

/// Whole NotificationResponse messages.
#[derive(Debug, Default)]
pub struct Notified(pub Vec<u8>);

/// What stays the same as long as a connection lives.
pub(super) struct Identity {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) key: Arc<[u8]>,
    pub(super) parameters: Arc<[(String, String)]>,
    pub(super) ledger: Arc<Ledger>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Backend")
            .field("shard", &self.shard)
            .field("user", &self.login.user)
            .field("process_id", &self.process_id)
            .finish_non_exhaustive()
    }
}

impl Backend {
    /// The shard that it talks to.
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// The role that it runs under.
    pub fn user(&self) -> &str {
        &self.login.user
    }

    /// As whom it logged in.
    pub const fn login(&self) -> &Arc<Login> {
        &self.login
    }

    /// The server's process id.
    pub const fn process_id(&self) -> i32 {
        self.process_id
    }

    /// The reported settings at login, in the server's order.
    pub fn parameters(&self) -> &Arc<[(String, String)]> {
        &self.identity.parameters
    }

    /// When it was connected.
    pub const fn since(&self) -> Instant {
        self.since
    }

    /// The settings digest with which it was last given back (0 on a fresh connection).
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// What the session noted in `applied`, if it is of this type.
    pub fn applied_as<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.applied.clone()?.downcast::<T>().ok()
    }

    /// Restricts who may use it after this session. A restriction stays for the connection's life.
    pub fn restrict_reuse(&mut self) {
        if self.reuse == Reuse::Replay {
            self.reuse = Reuse::SameDigest;
        }
    }

    /// After this session nobody may use it: [`Backend::into_clean`] fails from now on.
    pub fn retire(&mut self) {
        self.reuse = Reuse::Nobody;
    }

    /// Who may use it after this session.
    pub const fn reuse(&self) -> Reuse {
        self.reuse
    }

    /// What a cancel request for it needs.
    pub fn cancel_target(&self) -> CancelTarget {
        CancelTarget {
            endpoint: self.identity.endpoint.clone(),
            process_id: self.process_id,
            key: self.identity.key.clone(),
            ledger: self.identity.ledger.clone(),
        }
    }

    /// Whether a cancel was sent that might still arrive; then call [`Backend::settle`] before giving it back.
    pub fn is_cancel_pending(&self) -> bool {
        !self.identity.ledger.is_settled()
    }

    /// Waits until every cancel under way has landed, then makes one round trip (an empty batch), so that none can hit
    /// the next user. To be called between batches. Not cancel-safe: drop the backend if it is interrupted.
    pub async fn settle(&mut self) -> Result<(), Error> {
        while self.is_cancel_pending() {
            let landed = self.identity.ledger.wait_landed().await;
            self.round_trip().await?;
            self.identity.ledger.settle(landed);
        }
        Ok(())
    }

    /// Pins it: it stops counting towards the pool's size and counts towards `pinned` instead.
    pub fn pin(&mut self) -> Result<(), Error> {
        self.slot.as_mut().map_or(Ok(()), Slot::pin)
    }

    /// Ends the pin.
    pub fn unpin(&mut self) {
        if let Some(slot) = &mut self.slot {
            slot.unpin();
        }
    }

    /// The proof that it may be given back: nothing buffered, queued, or known to have arrived, no cancel under way, not
    /// pinned, not retired. The caller vouches that it stands between batches with no transaction, and that `digest` tells its
    /// settings.
    pub fn into_clean(mut self, digest: u64) -> Result<Clean, Backend> {
        let is_pinned = self.slot.as_ref().is_some_and(Slot::is_pinned);
        self.link.take_timers_back();
        if is_pinned || self.reuse == Reuse::Nobody || self.is_cancel_pending() || !self.link.is_quiet() {
            return Err(self);
        }
        self.link.trim_buffers();
        self.link.forget_busy();
        self.digest = digest;
        Ok(Clean { backend: self })
    }

    /// Closes it politely.
    pub fn terminate(self) {
        let mut bye = BytesMut::new();
        put_terminate(&mut bye);
        self.link.say_goodbye(&bye);
    }

    /// An error of this connection.
    pub fn io_error(&self, source: std::io::Error) -> Error {
        Error::Io {
            address: self.identity.endpoint.address(),
            source: Arc::new(source),
        }
    }

    /// The error that the server closed this connection.
    pub fn closed_error(&self) -> Error {
        Error::Closed {
            address: self.identity.endpoint.address(),
        }
    }

    async fn round_trip(&mut self) -> Result<(), Error> {
        put_sync(&mut self.link.out_buffer);
        self.link.drain().await.map_err(|source| self.io_error(source))?;
        loop {
            let address = || self.identity.endpoint.address();
            let frame = next_frame(&self.link.in_buffer, LOOK_FRAME_LIMIT).map_err(|source| Error::Protocol {
                address: address(),
                source,
            })?;
            let Some(frame) = frame else {
                if self.link.fill().await.map_err(|source| self.io_error(source))? == 0 {
                    return Err(self.closed_error());
                }
                continue;
            };
            let tag = AnswerTag::of(frame.tag);
            if tag == Some(AnswerTag::ErrorResponse) {
                let fields = ErrorFields::parse(frame.body).map_err(|source| Error::Protocol {
                    address: address(),
                    source,
                })?;
                if fields.ends_connection() {
                    return Err(Error::Refused {
                        fields: Arc::new(fields),
                    });
                }
            }
            if tag == Some(AnswerTag::NotificationResponse) {
                self.notified.get_or_insert_default().0.extend_from_slice(frame.whole);
            }
            let whole = frame.whole.len();
            self.link.in_buffer.advance(whole);
            if tag == Some(AnswerTag::ReadyForQuery) {
                self.link.answered();
                return Ok(());
            }
        }
    }
}

/// A backend that may go back to its pool. Only [`Backend::into_clean`] makes one.
#[derive(Debug)]
pub struct Clean {
    pub(super) backend: Backend,
}

impl Clean {
    /// Takes it back into use without going through the pool.
    pub fn into_backend(self) -> Backend {
        self.backend
    }
}
