//! Cancelling what a backend runs.
//!
//! Why the ledger: a cancel request travels on a connection of its own and the server acts on it at some later moment,
//! so a backend with a cancel on its way must not serve another client: the cancel could hit that one's statement. The
//! ledger, shared by a backend and its cancel targets, knows whether one is on its way or has been sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::Error;

use crate::wire::put_cancel;

const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);

/// Cancels of one backend, counted: begun, landed (their connection has ended, however), settled (a round trip followed).
#[derive(Debug, Default)]
pub(super) struct Ledger {
    begun: AtomicU64,
    landed: AtomicU64,
    settled: AtomicU64,
    on_landed: Notify,
}

impl Ledger {
    /// Whether every cancel begun so far has been settled.
    pub(super) fn is_settled(&self) -> bool {
        self.begun.load(Ordering::Acquire) == self.settled.load(Ordering::Acquire)
    }

    /// Waits until all cancels have landed; how many that is, for [`Ledger::settle`].
    pub(super) async fn wait_landed(&self) -> u64 {
        loop {
            let on_landed = self.on_landed.notified();
            // landed first: it only grows and never passes begun, so if both are equal nothing was under way
            let landed = self.landed.load(Ordering::Acquire);
            if self.begun.load(Ordering::Acquire) == landed {
                return landed;
            }
            on_landed.await;
        }
    }

    /// Notes that a round trip has followed the first `landed` cancels.
    pub(super) fn settle(&self, landed: u64) {
        self.settled.store(landed, Ordering::Release);
    }
}

/// One cancel on its way; landing is noted however it ends.
struct InFlight<'a>(&'a Ledger);

impl<'a> InFlight<'a> {
    fn begin(ledger: &'a Ledger) -> InFlight<'a> {
        ledger.begun.fetch_add(1, Ordering::AcqRel);
        InFlight(ledger)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.landed.fetch_add(1, Ordering::AcqRel);
        self.0.on_landed.notify_waiters();
    }
}

/// What a cancel request needs.
#[derive(Clone)]
pub struct CancelTarget {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) process_id: i32,
    pub(super) key: Arc<[u8]>,
    pub(super) ledger: Arc<Ledger>,
}

impl std::fmt::Debug for CancelTarget {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "CancelTarget({} pid {})",
            self.endpoint.address(),
            self.process_id
        )
    }
}

/// Asks the server to cancel what the backend runs, on a connection of its own; returns once the server has closed it,
/// that is, once the signal has been sent. Five seconds at most.
pub async fn cancel(target: &CancelTarget) -> Result<(), Error> {
    let _in_flight = InFlight::begin(&target.ledger);
    let address = target.endpoint.address();
    let io = |source| Error::Io {
        address: address.clone(),
        source: Arc::new(source),
    };
    let exchange = async {
        let mut stream = TcpStream::connect((&*target.endpoint.host, target.endpoint.port)).await?;
        let mut packet = BytesMut::new();
        put_cancel(&mut packet, target.process_id, &target.key);
        stream.write_all(&packet).await?;
        let mut rest = [0_u8; 1];
        stream.read(&mut rest).await.map(|_closed| ())
    };
    match timeout(CANCEL_TIMEOUT, exchange).await {
        Ok(done) => done.map_err(io),
        Err(_elapsed) => Err(Error::ConnectTimeout {
            address: address.clone(),
            timeout: CANCEL_TIMEOUT,
        }),
    }
}
