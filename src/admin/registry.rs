//! The registry: all sessions of this proxy, their cancel keys, and orders to all of them.
//!
//! Why: a cancel request comes on a connection of its own, an operator asks from a third; both find sessions here.
//! Holds: a process id is unique among living sessions; the lock is held for a lookup or a copy, never over an await.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::client::{Client, ClientInfo, ClientRow, Enrolment, Leave};
use super::gate::Gate;
use crate::telemetry::{CancelOutcome, ClientState};

/// Number of this proxy among those that share a topology: part of every cancel key, so that a proxy knows a key that
/// another one gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyId(u16);

/// What BackendKeyData carries. The process id is `proxy << 20 | session`, positive and never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelKey {
    /// unique among living sessions of all proxies with different ids
    pub process_id: u32,
    /// random
    pub secret: u32,
}

/// All sessions of one proxy. Clones share it.
#[derive(Clone, Debug)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// `limits.clients` is reached (53300).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{clients_max} clients are connected already")]
pub struct RegistryFull {
    /// the limit
    pub clients_max: usize,
}

#[derive(Debug)]
pub(crate) struct Inner {
    proxy: ProxyId,
    clients_max: AtomicUsize,
    /// guards the map and the number that was given out last
    sessions: Mutex<Sessions>,
    leave: AtomicU8,
    pub(crate) gate: Gate,
    /// told when a session has left
    left: Notify,
}

#[derive(Debug, Default)]
struct Sessions {
    last: u32,
    by_process_id: BTreeMap<u32, Arc<Client>>,
}

/// Bits of a process id that number a session; the 11 above them number the proxy, and the sign stays clear.
const SESSION_BITS: u32 = 20;
const SESSION_MAX: u32 = (1 << SESSION_BITS) - 1;
const PROXY_MAX: u16 = (1 << (31 - SESSION_BITS)) - 1;

// === impl ProxyId ===

impl ProxyId {
    /// A number below 2048.
    pub fn new(number: u16) -> Option<ProxyId> {
        (number <= PROXY_MAX).then_some(ProxyId(number))
    }

    /// The id that random bits give.
    pub fn from_random(bits: u16) -> ProxyId {
        ProxyId(bits & PROXY_MAX)
    }
}

// === impl Registry ===

impl Registry {
    /// No session yet; at most `clients_max` at once.
    pub fn new(proxy: ProxyId, clients_max: usize) -> Registry {
        Registry {
            inner: Arc::new(Inner {
                proxy,
                clients_max: AtomicUsize::new(clients_max),
                sessions: Mutex::default(),
                leave: AtomicU8::new(0),
                gate: Gate::default(),
                left: Notify::new(),
            }),
        }
    }

    /// Enters a session; it starts in state `Login`.
    pub fn enrol(&self, info: ClientInfo) -> Result<Enrolment, RegistryFull> {
        let clients_max = self.inner.clients_max.load(Ordering::Relaxed);
        let mut sessions = self.inner.lock();
        if sessions.by_process_id.len() >= clients_max.min(SESSION_MAX as usize) {
            return Err(RegistryFull { clients_max });
        }
        let key = CancelKey {
            process_id: sessions.next(self.inner.proxy),
            secret: info.secret,
        };
        let client = Arc::new(Client::new(key, info));
        sessions.by_process_id.insert(key.process_id, Arc::clone(&client));
        Ok(Enrolment {
            client,
            registry: Arc::clone(&self.inner),
        })
    }

    /// Passes a cancel request to the session that holds the key; a session that runs nothing ignores it.
    pub fn cancel(&self, key: CancelKey) -> CancelOutcome {
        if key.process_id >> SESSION_BITS != u32::from(self.inner.proxy.0) {
            return CancelOutcome::OtherProxy;
        }
        let client = self.inner.lock().by_process_id.get(&key.process_id).map(Arc::clone);
        match client.filter(|client| client.key.secret == key.secret) {
            Some(client) => {
                client.cancel();
                CancelOutcome::Delivered
            }
            None => CancelOutcome::UnknownKey,
        }
    }

    /// Every session, by process id.
    pub fn clients(&self) -> Vec<ClientRow> {
        let all: Vec<Arc<Client>> = self.inner.lock().by_process_id.values().map(Arc::clone).collect();
        all.iter().map(|client| client.row()).collect()
    }

    /// How many sessions are in each state, in the order of [`ClientState::ALL`].
    pub fn count_by_state(&self) -> Vec<(ClientState, u64)> {
        let mut counts: Vec<(ClientState, u64)> = ClientState::ALL.iter().map(|state| (*state, 0)).collect();
        for client in self.inner.lock().by_process_id.values() {
            if let Some((_, count)) = counts.get_mut(client.state().index()) {
                *count += 1;
            }
        }
        counts
    }

    /// Calls sessions that have been idle since the last look but one to give their buffers back. To be called now and
    /// then: a client that is busy in between keeps them, which saves each statement an allocation.
    pub fn tidy(&self) {
        self.inner
            .lock()
            .by_process_id
            .values()
            .for_each(|client| client.look());
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.inner.lock().by_process_id.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes how many sessions may be; those that are there stay.
    pub fn set_clients_max(&self, clients_max: usize) {
        self.inner.clients_max.store(clients_max, Ordering::Relaxed);
    }

    /// Holds new statements back; those that run go on.
    pub fn pause(&self) {
        self.inner.gate.close();
    }

    /// Lets statements run again.
    pub fn resume(&self) {
        self.inner.gate.open();
    }

    /// Whether new statements are held back.
    pub fn is_paused(&self) -> bool {
        !self.inner.gate.is_open()
    }

    /// Tells every session, also those to come, to leave when it is idle; opens the gate, since who waits there must run
    /// to become idle.
    pub fn drain(&self) {
        self.inner.tell_to_leave(Leave::WhenIdle);
        self.inner.gate.open();
    }

    /// Tells every session to leave at once.
    pub fn terminate(&self) {
        self.inner.tell_to_leave(Leave::Now);
        self.inner.gate.open();
    }

    /// Whether sessions have been told to leave.
    pub fn leave(&self) -> Leave {
        self.inner.leave()
    }

    /// Waits until the last session has left. Cancel-safe.
    pub async fn emptied(&self) {
        loop {
            let mut left = std::pin::pin!(self.inner.left.notified());
            left.as_mut().enable();
            if self.is_empty() {
                return;
            }
            left.await;
        }
    }
}

// === impl Inner ===

impl Inner {
    pub(crate) fn leave(&self) -> Leave {
        match self.leave.load(Ordering::Acquire) {
            0 => Leave::Stay,
            1 => Leave::WhenIdle,
            _ => Leave::Now,
        }
    }

    pub(crate) fn leave_of(&self, key: CancelKey) {
        self.lock().by_process_id.remove(&key.process_id);
        self.left.notify_waiters();
    }

    fn tell_to_leave(&self, how: Leave) {
        let code = match how {
            Leave::Stay => 0,
            Leave::WhenIdle => 1,
            Leave::Now => 2,
        };
        self.leave.fetch_max(code, Ordering::AcqRel);
        for client in self.lock().by_process_id.values() {
            client.call();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Sessions ===

impl Sessions {
    /// The next process id that is free; the caller has made sure that there is one.
    fn next(&mut self, proxy: ProxyId) -> u32 {
        loop {
            self.last = if self.last >= SESSION_MAX { 1 } else { self.last + 1 };
            let process_id = u32::from(proxy.0) << SESSION_BITS | self.last;
            if !self.by_process_id.contains_key(&process_id) {
                return process_id;
            }
        }
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
