//! One session's entry in the registry: what others may see of it, and its inbox.
//!
//! Why: the session writes its entry on the way of every statement, so its state is a few atomics; an operator who
//! reads them may see a mixture of two moments, which does no harm.
//! Holds: a cancel request reaches the statement that runs when it arrives or none: the session takes a
//! [`CancelMark`] when a statement begins and listens for what comes after it (as in Postgres, where a late cancel
//! does nothing); waiting is cancel-safe; dropping the [`Enrolment`] takes the entry away.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use atomic_waker::AtomicWaker;

use super::registry::{CancelKey, Inner};
use crate::telemetry::ClientState;
use crate::topology::{ShardId, ShardSet};

/// What a session says of itself when it enrols, after it has read the start-up packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientInfo {
    /// the role that it asks for
    pub user: Arc<str>,
    /// the database that it asks for
    pub database: Arc<str>,
    /// the peer, `host:port`
    pub address: String,
    /// `application_name`, or empty
    pub application_name: String,
    /// when it was accepted
    pub connected_at: Instant,
    /// random bits from `clock::Rng`: the secret half of the cancel key
    pub secret: u32,
}

/// A session's place in the registry; dropping it leaves.
#[derive(Debug)]
pub struct Enrolment {
    pub(crate) client: Arc<Client>,
    pub(crate) registry: Arc<Inner>,
}

/// A moment in a session's stream of cancel requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelMark(u64);

/// Whether a session has been told to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leave {
    /// Not told.
    Stay,
    /// As soon as it is idle outside a transaction (57P01 then).
    WhenIdle,
    /// At once (57P01).
    Now,
}

/// What an idle session is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// to leave
    Leave,
    /// to give its buffers back
    Tidy,
}

/// Nothing to give back.
const NOT_RESTING: u8 = 0;
/// Idle since the last look.
const RESTING: u8 = 1;
/// Idle for that many looks, and told.
const RESTED: u8 = 3;

/// One row of SHOW CLIENTS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// the process id of its cancel key
    pub id: u32,
    /// role
    pub user: Arc<str>,
    /// database
    pub database: Arc<str>,
    /// peer
    pub address: String,
    /// `application_name`
    pub application_name: String,
    /// what it is doing
    pub state: ClientState,
    /// the shards it holds backends of
    pub shards: ShardSet,
    /// why its backend stays with it
    pub pinned: Option<&'static str>,
    /// when it was accepted
    pub connected_at: Instant,
    /// statements it has run
    pub statements: u64,
}

/// Where a session is called, written once.
#[expect(clippy::disallowed_types, reason = "a field of each session's entry, not a global")]
type Task = std::sync::OnceLock<Waker>;

/// What the registry keeps of a session.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: CancelKey,
    user: Arc<str>,
    database: Arc<str>,
    address: String,
    connected_at: Instant,
    state: AtomicU8,
    shards: [AtomicU64; 2],
    statements: AtomicU64,
    cancels: AtomicU64,
    /// how long it has been idle with buffers, in looks of [`super::Registry::tidy`]
    rest: AtomicU8,
    /// wakes the session to look at `cancels` and at the registry's `leave`; one task waits, that of the session
    inbox: AtomicWaker,
    /// the task that waited first, which as a rule is the only one: it needn't say where it is each time
    task: Task,
    /// guards two rarely changed texts
    notes: Mutex<Notes>,
}

#[derive(Debug)]
struct Notes {
    application_name: String,
    pinned: Option<&'static str>,
}

// === impl Enrolment ===

impl Enrolment {
    /// What BackendKeyData tells the client.
    pub fn key(&self) -> CancelKey {
        self.client.key
    }

    /// What the session is doing now.
    pub fn set_state(&self, state: ClientState) {
        // There are fewer than 256 states.
        let index = u8::try_from(state.index()).unwrap_or(0);
        self.client.state.store(index, Ordering::Relaxed);
    }

    /// The shards that the session holds backends of now.
    pub fn set_shards(&self, shards: ShardSet) {
        let mut words = [0u64; 2];
        for shard in shards.iter() {
            if let Some(word) = words.get_mut(shard.index() / 64) {
                *word |= 1 << (shard.index() % 64);
            }
        }
        for (cell, word) in self.client.shards.iter().zip(words) {
            cell.store(word, Ordering::Relaxed);
        }
    }

    /// A statement begins.
    pub fn count_statement(&self) {
        // Nobody else writes it.
        let statements = self.client.statements.load(Ordering::Relaxed);
        self.client
            .statements
            .store(statements.wrapping_add(1), Ordering::Relaxed);
    }

    /// Why the session's backend stays with it; `None` when it no longer does.
    pub fn set_pinned(&self, reason: Option<&'static str>) {
        self.client.notes.lock().unwrap_or_else(PoisonError::into_inner).pinned = reason;
    }

    /// `application_name` has changed.
    pub fn set_application_name(&self, name: &str) {
        name.clone_into(
            &mut self
                .client
                .notes
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .application_name,
        );
    }

    /// Taken when a statement begins: cancel requests before it don't count.
    pub fn cancel_mark(&self) -> CancelMark {
        CancelMark(self.client.cancels.load(Ordering::Acquire))
    }

    /// Cancels the statement under way as a cancel request does.
    pub fn canceller(&self) -> impl Fn() + Send + use<> {
        let client = Arc::clone(&self.client);
        move || client.cancel()
    }

    /// Whether a cancel request came after the mark.
    pub fn is_cancelled(&self, since: CancelMark) -> bool {
        self.cancel_mark() != since
    }

    /// Waits for a cancel request that comes after the mark. Cancel-safe.
    pub async fn cancelled(&self, since: CancelMark) {
        poll_fn(|context| self.poll_cancelled(context, since)).await;
    }

    /// Ready once a cancel request has come after the mark.
    #[inline]
    pub fn poll_cancelled(&self, context: &Context<'_>, since: CancelMark) -> Poll<()> {
        self.poll_until(context, || self.is_cancelled(since))
    }

    /// The session waits for its client and keeps buffers meanwhile: if it waits for long, it is called to give them back.
    pub fn rest(&self) {
        self.client.rest.store(RESTING, Ordering::Relaxed);
    }

    /// Whether the session has been told to leave.
    pub fn leave(&self) -> Leave {
        self.registry.leave()
    }

    /// Waits until the session has been told to leave at least as urgently as this. Cancel-safe.
    pub async fn told_to_leave(&self, at_least: Leave) {
        poll_fn(|context| self.poll_until(context, || self.leave() >= at_least)).await;
    }

    /// Waits until the session has been told to leave at least as urgently as this, or to give its buffers back. Cancel-safe.
    pub async fn called(&self, at_least: Leave) -> Call {
        poll_fn(|context| self.poll_called(context, at_least)).await
    }

    /// Ready once the session has been told to leave at least as urgently as this, or to give its buffers back.
    #[inline]
    pub fn poll_called(&self, context: &Context<'_>, at_least: Leave) -> Poll<Call> {
        let rested = || self.client.rest.load(Ordering::Relaxed) >= RESTED;
        ready!(self.poll_until(context, || self.leave() >= at_least || rested()));
        Poll::Ready(match self.leave() >= at_least {
            true => Call::Leave,
            false => {
                self.client.rest.store(NOT_RESTING, Ordering::Relaxed);
                Call::Tidy
            }
        })
    }

    /// Whether new statements may run: the proxy isn't paused.
    pub fn may_pass(&self) -> bool {
        self.registry.gate.is_open()
    }

    /// Waits while the proxy is paused; the session shows as paused meanwhile. Free when it isn't. Cancel-safe, but for
    /// the state, which the caller sets next anyway.
    pub async fn pass_gate(&self) {
        if self.registry.gate.is_open() {
            return;
        }
        self.set_state(ClientState::Paused);
        self.registry.gate.wait().await;
    }

    #[inline]
    fn poll_until(&self, context: &Context<'_>, holds: impl Fn() -> bool) -> Poll<()> {
        if holds() {
            return Poll::Ready(());
        }
        let waker = context.waker();
        if self.client.task.get().is_some_and(|task| task.will_wake(waker)) {
            return Poll::Pending;
        }
        let _first = self.client.task.get_or_init(|| waker.clone());
        self.client.inbox.register(waker);
        // Between the look and the registration somebody may have called.
        match holds() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Enrolment {
    fn drop(&mut self) {
        self.registry.leave_of(self.client.key);
    }
}

// === impl Client ===

impl Client {
    pub(crate) fn new(key: CancelKey, info: ClientInfo) -> Client {
        Client {
            key,
            user: info.user,
            database: info.database,
            address: info.address,
            connected_at: info.connected_at,
            state: AtomicU8::new(0),
            shards: [AtomicU64::new(0), AtomicU64::new(0)],
            statements: AtomicU64::new(0),
            cancels: AtomicU64::new(0),
            rest: AtomicU8::new(NOT_RESTING),
            inbox: AtomicWaker::new(),
            task: Task::new(),
            notes: Mutex::new(Notes {
                application_name: info.application_name,
                pinned: None,
            }),
        }
    }

    pub(crate) fn cancel(&self) {
        self.cancels.fetch_add(1, Ordering::Release);
        self.call();
    }

    /// Wakes the session, to look at what it waits for.
    pub(crate) fn call(&self) {
        // In this order: whoever finds no waker in the inbox comes after one who did, and so sees the task.
        self.inbox.wake();
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }

    /// Counts a look at a session that rests; calls it when that was long enough.
    pub(crate) fn look(&self) {
        let seen = self.rest.load(Ordering::Relaxed);
        if !(RESTING..RESTED).contains(&seen) {
            return;
        }
        let next = seen + 1;
        // A session that has worked meanwhile has written it anew: then it is looked at again.
        let counted = self
            .rest
            .compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
        if counted.is_ok() && next == RESTED {
            self.call();
        }
    }

    pub(crate) fn state(&self) -> ClientState {
        let index = usize::from(self.state.load(Ordering::Relaxed));
        ClientState::from_index(index).unwrap_or(ClientState::Login)
    }

    pub(crate) fn row(&self) -> ClientRow {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        ClientRow {
            id: self.key.process_id,
            user: Arc::clone(&self.user),
            database: Arc::clone(&self.database),
            address: self.address.clone(),
            application_name: notes.application_name.clone(),
            state: self.state(),
            shards: self.shards(),
            pinned: notes.pinned,
            connected_at: self.connected_at,
            statements: self.statements.load(Ordering::Relaxed),
        }
    }

    fn shards(&self) -> ShardSet {
        let words = self.shards.iter().map(|word| word.load(Ordering::Relaxed)).enumerate();
        words
            .flat_map(|(at, word)| {
                (0..64)
                    .filter(move |bit| word >> bit & 1 == 1)
                    .map(move |bit| at * 64 + bit)
            })
            .filter_map(ShardId::new)
            .collect()
    }
}
