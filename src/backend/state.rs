//! What a pool knows: idle backends, counts, and the queue. Plain data; `pool` holds it under one lock.
//!
//! Holds: nothing here sends a grant or drops a slot that still counts, so all of it may run under the lock.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::circuit::Circuit;
use super::connection::{Backend, Reuse};
use super::error::Error;
use super::login::Login;
use super::pools::PoolLimits;
use super::slot::{Slot, Standing};

use crate::telemetry::BackendState;

/// How many others may be served before the first in the queue.
const OVERTAKEN_MAX: u32 = 16;

/// Everything of a pool that changes.
pub(super) struct State {
    pub(super) limits: PoolLimits,
    pub(super) phase: Phase,
    /// in the order in which they were given back
    pub(super) idle: Vec<Idle>,
    pub(super) open: usize,
    pub(super) pinned: usize,
    pub(super) waiters: VecDeque<Waiter>,
    /// how many connected backends each key has
    pub(super) connected: Vec<(Arc<Login>, usize)>,
    /// every connected backend, for listings
    pub(super) members: Vec<Member>,
    pub(super) circuit: Circuit,
    /// rises when all idle ones are closed: those in use that are older close when they come back
    pub(super) generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    Paused,
    Retired,
}

pub(super) struct Idle {
    pub(super) backend: Backend,
    pub(super) since: Instant,
}

/// What a listing says of a connected backend.
pub(super) struct Member {
    pub(super) process_id: i32,
    pub(super) user: Arc<str>,
    pub(super) since: Instant,
    pub(super) held: BackendState,
}

pub(super) struct Waiter {
    pub(super) login: Arc<Login>,
    pub(super) digest: u64,
    pub(super) want: Want,
    pub(super) overtaken: u32,
    pub(super) grant: oneshot::Sender<Grant>,
}

/// What helps a waiter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// a backend, or a place to connect in
    Place,
    /// the server has no connection left: a backend, or the place of a connection that has just been closed
    Closed,
}

/// What has become free.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Freed {
    Place,
    Connection,
}

pub(super) enum Grant {
    Backend(Backend),
    Slot(Slot),
    Fail(Error),
}

pub(super) enum Decision {
    Backend(Backend),
    Connect(Slot),
    Wait(oneshot::Receiver<Grant>),
    Fail(Error),
}

/// What is to be done once the lock is free.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) grants: Vec<(oneshot::Sender<Grant>, Grant)>,
    pub(super) closed: Vec<Backend>,
}

impl State {
    pub(super) fn new(limits: PoolLimits) -> State {
        State {
            limits,
            phase: Phase::Running,
            idle: Vec::new(),
            open: 0,
            pinned: 0,
            waiters: VecDeque::new(),
            connected: Vec::new(),
            members: Vec::new(),
            circuit: Circuit::default(),
            generation: 0,
        }
    }

    /// The best idle backend for this key: equal digest, else any that may be replayed; the most recently used of each.
    pub(super) fn take_idle(&mut self, login: &Login, digest: u64) -> Option<Backend> {
        let mut second = None;
        let mut found = None;
        for (at, idle) in self.idle.iter().enumerate().rev() {
            if !idle.backend.login.is_same_key(login) {
                continue;
            }
            if idle.backend.digest == digest {
                found = Some(at);
                break;
            }
            if second.is_none() && idle.backend.reuse == Reuse::Replay {
                second = Some(at);
            }
        }
        found.or(second).map(|at| self.idle.remove(at).backend)
    }

    pub(super) fn take_idle_where(&mut self, taken: &mut Vec<Backend>, mut is_wanted: impl FnMut(&mut Idle) -> bool) {
        for mut idle in std::mem::take(&mut self.idle) {
            if is_wanted(&mut idle) {
                taken.push(idle.backend);
            } else {
                self.idle.push(idle);
            }
        }
    }

    /// The waiter whom a returned backend serves best, unless the first in the queue has been passed over too often.
    pub(super) fn take_waiter_for(&mut self, backend: &Backend) -> Option<Waiter> {
        while self.waiters.front().is_some_and(|waiter| waiter.grant.is_closed()) {
            self.waiters.pop_front();
        }
        // Whoever has given up further back is passed by, and goes when it comes to the front.
        let fits = |waiter: &Waiter| {
            !waiter.grant.is_closed()
                && backend.login.is_same_key(&waiter.login)
                && (backend.digest == waiter.digest || backend.reuse == Reuse::Replay)
        };
        let at = self.waiters.iter().position(fits)?;
        if at > 0
            && self
                .waiters
                .front()
                .is_some_and(|first| first.overtaken >= OVERTAKEN_MAX)
        {
            return None;
        }
        self.waiters
            .iter_mut()
            .take(at)
            .for_each(|waiter| waiter.overtaken += 1);
        self.waiters.remove(at)
    }

    pub(super) fn enqueue(&mut self, login: &Arc<Login>, digest: u64, want: Want) -> Decision {
        let (grant, receiver) = oneshot::channel();
        self.waiters.push_back(Waiter {
            login: login.clone(),
            digest,
            want,
            overtaken: 0,
            grant,
        });
        Decision::Wait(receiver)
    }

    pub(super) fn busy(&self) -> usize {
        self.open.saturating_sub(self.idle.len())
    }

    pub(super) fn count_connected(&self, login: &Login) -> usize {
        self.connected
            .iter()
            .find(|(have, _)| have.is_same_key(login))
            .map_or(0, |(_, count)| *count)
    }

    pub(super) fn add_connected(&mut self, login: &Arc<Login>) {
        match self.connected.iter_mut().find(|(have, _)| have.is_same_key(login)) {
            Some((_, count)) => *count += 1,
            None => self.connected.push((login.clone(), 1)),
        }
    }

    pub(super) fn remove_connected(&mut self, login: &Login) {
        if let Some((_, count)) = self.connected.iter_mut().find(|(have, _)| have.is_same_key(login)) {
            *count = count.saturating_sub(1);
        }
        self.connected.retain(|(_, count)| *count > 0);
    }

    pub(super) fn remove_member(&mut self, process_id: i32) {
        if let Some(at) = self.members.iter().position(|member| member.process_id == process_id) {
            self.members.swap_remove(at);
        }
    }

    pub(super) fn hold_member(&mut self, process_id: i32, held: BackendState) {
        if let Some(member) = self.members.iter_mut().find(|member| member.process_id == process_id) {
            member.held = held;
        }
    }

    /// Uncounts a slot whose backend is being evicted.
    pub(super) fn forget(&mut self, mut slot: Slot) {
        self.uncount(&slot);
        slot.standing = Standing::Forgotten;
    }

    pub(super) fn uncount(&mut self, slot: &Slot) {
        match slot.standing {
            Standing::Connecting => self.open = self.open.saturating_sub(1),
            Standing::Connected => {
                self.open = self.open.saturating_sub(1);
                self.remove_connected(&slot.login);
                self.remove_member(slot.process_id);
            }
            Standing::Pinned => {
                self.pinned = self.pinned.saturating_sub(1);
                self.remove_connected(&slot.login);
                self.remove_member(slot.process_id);
            }
            Standing::Forgotten => (),
        }
    }
}
