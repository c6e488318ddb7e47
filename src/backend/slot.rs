//! One place in a pool, freed when dropped.

use std::sync::Arc;

use super::error::Error;
use super::login::Login;
use super::pool::Pool;
use super::state::{Freed, Outbox};

use crate::telemetry::BackendState;

/// One place in a pool. Dropping it frees the place and serves a waiter.
pub(super) struct Slot {
    pub(super) pool: Arc<Pool>,
    pub(super) login: Arc<Login>,
    pub(super) standing: Standing,
    /// of the backend, once it is connected
    pub(super) process_id: i32,
    pub(super) generation: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Connecting,
    Connected,
    Pinned,
    /// already uncounted
    Forgotten,
}

impl Slot {
    pub(super) fn pin(&mut self) -> Result<(), Error> {
        if self.is_pinned() {
            return Ok(());
        }
        let mut outbox = Outbox::default();
        let pool = self.pool.clone();
        let mut state = pool.lock();
        if state.pinned >= state.limits.pinned {
            return Err(Error::PinnedFull {
                shard: pool.name().clone(),
                limit: state.limits.pinned,
            });
        }
        state.pinned += 1;
        state.open = state.open.saturating_sub(1);
        self.standing = Standing::Pinned;
        state.hold_member(self.process_id, BackendState::Pinned);
        pool.serve(&mut state, Freed::Place, &mut outbox);
        pool.tell_unused(&state);
        drop(state);
        pool.post(outbox);
        Ok(())
    }

    pub(super) fn unpin(&mut self) {
        if self.is_pinned() {
            let mut state = self.pool.lock();
            state.pinned = state.pinned.saturating_sub(1);
            state.open += 1;
            state.hold_member(self.process_id, BackendState::Busy);
            drop(state);
            self.standing = Standing::Connected;
        }
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.standing == Standing::Pinned
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let freed = match self.standing {
            Standing::Forgotten => return,
            Standing::Connecting => Freed::Place,
            Standing::Connected | Standing::Pinned => Freed::Connection,
        };
        let mut outbox = Outbox::default();
        let pool = self.pool.clone();
        let mut state = pool.lock();
        state.uncount(self);
        pool.serve(&mut state, freed, &mut outbox);
        pool.tell_unused(&state);
        drop(state);
        pool.post(outbox);
    }
}
