//! One shard's pool: one count over all users, idle backends, and a queue.
//!
//! Who gets what: a waiter is served in order, by an idle backend of its key (user and startup settings), else by a free
//! place to connect in, else by the place of the longest idle backend of another key. A backend that comes back goes to
//! the first waiter of its own key even past others, since closing it to serve another key costs a connect; but nobody
//! is overtaken more than a bounded number of times.
//!
//! Holds: `open` counts idle, busy and connecting backends and is at most `size` (pinned ones are counted apart). A
//! [`Slot`] is one of these counts and frees it when dropped. Nothing that could drop a slot or send a grant happens
//! under the lock: such things go into an [`Outbox`] and are done after it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout_at;

use super::connect::{Connector, connect};
use super::connection::{Backend, Clean};
use super::endpoint::Endpoint;
use super::error::Error;
use super::login::Login;
use super::pools::{BackendGauge, PoolGauge, PoolLimits};
use super::slot::{Slot, Standing};
use super::state::{Decision, Freed, Grant, Idle, Member, Outbox, Phase, State, Want};

use crate::telemetry::BackendState;
use crate::wire::SqlState;

/// One shard's pool.
pub(super) struct Pool {
    name: Arc<str>,
    connector: Connector,
    /// everything that changes; held for a few lines, never over I/O
    state: Mutex<State>,
    on_unused: Notify,
}

// === impl Pool ===

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pool({})", self.name)
    }
}

impl Pool {
    pub(super) fn new(name: Arc<str>, connector: Connector, limits: PoolLimits) -> Pool {
        Pool {
            name,
            connector,
            state: Mutex::new(State::new(limits)),
            on_unused: Notify::new(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.connector.endpoint
    }

    pub(super) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// An idle backend of this key that is alive.
    #[inline]
    pub(super) fn try_take(&self, login: &Login, digest: u64) -> Option<Backend> {
        loop {
            let mut backend = {
                let mut state = self.lock();
                match state.phase {
                    Phase::Running => state.take_idle(login, digest)?,
                    Phase::Paused | Phase::Retired => return None,
                }
            };
            if backend.link.is_quiet() {
                return Some(backend);
            }
            drop(backend);
            self.suspect();
        }
    }

    pub(super) async fn take(
        self: &Arc<Pool>,
        login: &Arc<Login>,
        digest: u64,
        deadline: Instant,
    ) -> Result<Backend, Error> {
        let begun = self.connector.clock.now();
        let mut want = Want::Place;
        loop {
            let grant = match self.decide(login, digest, want) {
                Decision::Backend(backend) => Grant::Backend(backend),
                Decision::Connect(slot) => Grant::Slot(slot),
                Decision::Fail(error) => Grant::Fail(error),
                Decision::Wait(receiver) => {
                    let mut turn = Turn { receiver };
                    match timeout_at(deadline.into(), &mut turn.receiver).await {
                        Ok(granted) => granted.unwrap_or(Grant::Fail(Error::ShuttingDown)),
                        Err(_elapsed) => return Err(self.checkout_timeout(begun)),
                    }
                }
            };
            match grant {
                Grant::Backend(mut backend) => {
                    if backend.link.is_quiet() {
                        return Ok(backend);
                    }
                    drop(backend);
                    self.suspect();
                }
                // Boxed, since most waits end otherwise.
                Grant::Slot(slot) => match Box::pin(self.connect(slot, login, begun, deadline)).await? {
                    Connected::Backend(backend) => return Ok(backend),
                    Connected::ServerFull => want = Want::Closed,
                },
                Grant::Fail(error) => return Err(error),
            }
        }
    }

    async fn connect(
        &self,
        mut slot: Slot,
        login: &Arc<Login>,
        begun: Instant,
        deadline: Instant,
    ) -> Result<Connected, Error> {
        self.pass_circuit()?;
        let done = match timeout_at(deadline.into(), connect(&self.connector, login)).await {
            Ok(done) => done,
            Err(_elapsed) => Err(Error::ConnectTimeout {
                address: self.connector.endpoint.address(),
                timeout: self.connector.clock.now().saturating_duration_since(begun),
            }),
        };
        match done {
            Ok(mut backend) => {
                let mut state = self.lock();
                state.circuit.close();
                state.add_connected(login);
                state.members.push(Member {
                    process_id: backend.process_id,
                    user: login.user.clone(),
                    since: backend.since,
                    held: BackendState::Busy,
                });
                drop(state);
                slot.standing = Standing::Connected;
                slot.process_id = backend.process_id;
                backend.slot = Some(slot);
                Ok(Connected::Backend(backend))
            }
            Err(error) => {
                self.note_failure(&error);
                let is_full = matches!(&error, Error::Refused { fields }
                    if fields.code() == SqlState::TOO_MANY_CONNECTIONS);
                if is_full && self.lock().count_connected(login) > 0 {
                    return Ok(Connected::ServerFull);
                }
                Err(error)
            }
        }
    }

    fn decide(self: &Arc<Pool>, login: &Arc<Login>, digest: u64, want: Want) -> Decision {
        let mut outbox = Outbox::default();
        let mut state = self.lock();
        let decision = match state.phase {
            Phase::Retired => Decision::Fail(Error::ShuttingDown),
            Phase::Paused => state.enqueue(login, digest, want),
            Phase::Running => {
                if let Some(backend) = state.take_idle(login, digest) {
                    Decision::Backend(backend)
                } else if want == Want::Closed && state.count_connected(login) > 0 {
                    state.enqueue(login, digest, want)
                } else if let Some(slot) = self.reserve(&mut state, login, &mut outbox) {
                    Decision::Connect(slot)
                } else {
                    state.enqueue(login, digest, Want::Place)
                }
            }
        };
        drop(state);
        self.post(outbox);
        decision
    }

    /// A place to connect in: a free one, or that of the longest idle backend of another key.
    fn reserve(self: &Arc<Pool>, state: &mut State, login: &Arc<Login>, outbox: &mut Outbox) -> Option<Slot> {
        if state.open >= state.limits.size {
            if state.idle.is_empty() || state.open > state.limits.size {
                return None;
            }
            let mut evicted = state.idle.remove(0).backend;
            if let Some(slot) = evicted.slot.take() {
                state.forget(slot);
            }
            outbox.closed.push(evicted);
        }
        state.open += 1;
        Some(Slot {
            pool: self.clone(),
            login: login.clone(),
            standing: Standing::Connecting,
            process_id: 0,
            generation: state.generation,
        })
    }

    /// Serves waiters in order as far as it goes.
    pub(super) fn serve(self: &Arc<Pool>, state: &mut State, freed: Freed, outbox: &mut Outbox) {
        match state.phase {
            Phase::Paused => return,
            Phase::Retired => {
                let failed = state
                    .waiters
                    .drain(..)
                    .map(|waiter| (waiter.grant, Grant::Fail(Error::ShuttingDown)));
                outbox.grants.extend(failed);
                return;
            }
            Phase::Running => (),
        }
        let mut at = 0;
        while let Some(waiter) = state.waiters.get(at) {
            if waiter.grant.is_closed() {
                state.waiters.remove(at);
                continue;
            }
            let (login, digest, want) = (waiter.login.clone(), waiter.digest, waiter.want);
            let grant = if let Some(backend) = state.take_idle(&login, digest) {
                Some(Grant::Backend(backend))
            } else if want == Want::Closed && freed == Freed::Place && state.count_connected(&login) > 0 {
                at += 1;
                continue;
            } else {
                self.reserve(state, &login, outbox).map(Grant::Slot)
            };
            match (grant, state.waiters.remove(at)) {
                (Some(grant), Some(waiter)) => outbox.grants.push((waiter.grant, grant)),
                (None, Some(waiter)) => {
                    state.waiters.insert(at, waiter);
                    break;
                }
                (_, None) => break,
            }
        }
    }

    /// Does what waited for the lock to be free.
    pub(super) fn post(self: &Arc<Pool>, outbox: Outbox) {
        outbox.closed.into_iter().for_each(Backend::terminate);
        for (sender, grant) in outbox.grants {
            match sender.send(grant) {
                Ok(()) | Err(Grant::Fail(_)) => (),
                Err(Grant::Slot(slot)) => drop(slot),
                Err(Grant::Backend(backend)) => self.put(backend, self.connector.clock.now()),
            }
        }
    }

    /// Takes a clean backend back.
    fn put(self: &Arc<Pool>, backend: Backend, now: Instant) {
        let mut outbox = Outbox::default();
        let mut state = self.lock();
        let is_current = backend
            .slot
            .as_ref()
            .is_some_and(|slot| slot.generation == state.generation);
        let is_welcome = is_current && state.phase != Phase::Retired && state.open <= state.limits.size;
        if !is_welcome {
            outbox.closed.push(backend);
        } else if state.waiters.is_empty() || state.phase == Phase::Paused {
            state.idle.push(Idle { backend, since: now });
        } else if let Some(waiter) = state.take_waiter_for(&backend) {
            outbox.grants.push((waiter.grant, Grant::Backend(backend)));
        } else {
            state.idle.push(Idle { backend, since: now });
            self.serve(&mut state, Freed::Connection, &mut outbox);
        }
        self.tell_unused(&state);
        drop(state);
        self.post(outbox);
    }

    fn pass_circuit(&self) -> Result<(), Error> {
        let now = self.connector.clock.now();
        self.lock().circuit.pass(now)
    }

    fn note_failure(&self, error: &Error) {
        if error.is_shard_down() {
            let now = self.connector.clock.now();
            self.lock().circuit.fail(error, now);
            self.suspect();
        }
    }

    /// Drops idle backends that are known to be dead.
    pub(super) fn suspect(&self) {
        let mut dead = Vec::new();
        let mut state = self.lock();
        state.take_idle_where(&mut dead, |idle| !idle.backend.link.is_quiet());
        drop(state);
        drop(dead);
    }

    pub(super) fn sweep(&self, now: Instant) {
        let mut closed = Vec::new();
        let mut state = self.lock();
        let limit = state.limits.idle_timeout;
        state.take_idle_where(&mut closed, |idle| {
            let is_old = !limit.is_zero() && now.saturating_duration_since(idle.since) >= limit;
            is_old || !idle.backend.link.is_quiet()
        });
        drop(state);
        closed.into_iter().for_each(Backend::terminate);
    }

    pub(super) fn set_limits(self: &Arc<Pool>, limits: PoolLimits) {
        self.change(|state| state.limits = limits);
        let mut closed = Vec::new();
        let mut state = self.lock();
        let surplus = state.open.saturating_sub(limits.size).min(state.idle.len());
        closed.extend(state.idle.drain(..surplus));
        drop(state);
        closed.into_iter().for_each(|idle| idle.backend.terminate());
    }

    pub(super) fn close_idle(self: &Arc<Pool>) {
        let mut state = self.lock();
        state.generation += 1;
        let closed: Vec<Idle> = state.idle.drain(..).collect();
        drop(state);
        closed.into_iter().for_each(|idle| idle.backend.terminate());
    }

    pub(super) fn pause(self: &Arc<Pool>) {
        self.change(|state| {
            if state.phase == Phase::Running {
                state.phase = Phase::Paused;
            }
        });
    }

    pub(super) fn resume(self: &Arc<Pool>) {
        self.change(|state| {
            if state.phase == Phase::Paused {
                state.phase = Phase::Running;
            }
        });
    }

    pub(super) fn retire(self: &Arc<Pool>) {
        self.change(|state| state.phase = Phase::Retired);
        self.close_idle();
    }

    pub(super) async fn wait_unused(&self) {
        loop {
            let on_unused = self.on_unused.notified();
            if self.lock().busy() == 0 {
                return;
            }
            on_unused.await;
        }
    }

    pub(super) fn gauge(&self) -> PoolGauge {
        let state = self.lock();
        PoolGauge {
            shard: self.connector.shard,
            idle: state.idle.len(),
            busy: state.busy(),
            waiting: state.waiters.iter().filter(|waiter| !waiter.grant.is_closed()).count(),
            pinned: state.pinned,
            size: state.limits.size,
            pinned_max: state.limits.pinned,
        }
    }

    /// Every connected backend, in the order of process ids.
    pub(super) fn backends(&self) -> Vec<BackendGauge> {
        let now = self.connector.clock.now();
        let state = self.lock();
        let mut all: Vec<BackendGauge> = state
            .members
            .iter()
            .map(|member| {
                let idle = state
                    .idle
                    .iter()
                    .find(|idle| idle.backend.process_id == member.process_id);
                BackendGauge {
                    shard: self.connector.shard,
                    process_id: member.process_id,
                    user: member.user.clone(),
                    state: idle.map_or(member.held, |_| BackendState::Idle),
                    age: now.saturating_duration_since(member.since),
                    idle: idle.map(|idle| now.saturating_duration_since(idle.since)),
                    prepared: idle.map(|idle| idle.backend.prepared.len()),
                }
            })
            .collect();
        drop(state);
        all.sort_by_key(|backend| backend.process_id);
        all
    }

    fn change(self: &Arc<Pool>, change: impl FnOnce(&mut State)) {
        let mut outbox = Outbox::default();
        let mut state = self.lock();
        change(&mut state);
        self.serve(&mut state, Freed::Connection, &mut outbox);
        self.tell_unused(&state);
        drop(state);
        self.post(outbox);
    }

    pub(super) fn tell_unused(&self, state: &State) {
        if state.phase != Phase::Running && state.busy() == 0 {
            self.on_unused.notify_waiters();
        }
    }

    fn checkout_timeout(&self, begun: Instant) -> Error {
        Error::CheckoutTimeout {
            shard: self.name.clone(),
            waited: self.connector.clock.now().saturating_duration_since(begun),
            size: self.lock().limits.size,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives a clean backend back to the pool that it came from; one from no pool is closed.
#[inline]
pub(super) fn give_back(clean: Clean) {
    let backend = clean.backend;
    match backend.slot.as_ref().map(|slot| slot.pool.clone()) {
        Some(pool) => {
            let now = pool.connector.clock.now();
            pool.put(backend, now);
        }
        None => backend.terminate(),
    }
}

/// The same for a caller that knows the time.
#[inline]
pub(super) fn give_back_at(clean: Clean, now: Instant) {
    let backend = clean.backend;
    match backend.slot.as_ref().map(|slot| slot.pool.clone()) {
        Some(pool) => pool.put(backend, now),
        None => backend.terminate(),
    }
}

enum Connected {
    Backend(Backend),
    ServerFull,
}

/// A waiter's side of the queue. If it is dropped with a backend already granted, that one is not lost.
struct Turn {
    receiver: oneshot::Receiver<Grant>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.receiver.close();
        match self.receiver.try_recv() {
            Ok(Grant::Backend(backend)) => give_back(Clean { backend }),
            Ok(Grant::Slot(_) | Grant::Fail(_)) | Err(_) => (),
        }
    }
}
