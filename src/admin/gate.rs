//! The gate where new statements wait while the proxy is paused.
//!
//! Holds: an open gate costs one atomic load; nobody who waits misses the opening (the waiter is registered before it
//! looks again).

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Open or closed.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    closed: AtomicBool,
    opened: Notify,
}

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::Release);
        self.opened.notify_waiters();
    }

    /// Waits until the gate is open. Cancel-safe.
    pub(crate) async fn wait(&self) {
        loop {
            let mut opened = std::pin::pin!(self.opened.notified());
            opened.as_mut().enable();
            if self.is_open() {
                return;
            }
            opened.await;
        }
    }
}
