//! Waits for what no event tells: the state of a server, a file, or a loop as it looks from outside.
//!
//! Holds: the only pause of the tests that include it; a condition that never holds fails by name.

use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(5);

/// Looks again and again until it holds, at most so long.
pub(crate) async fn eventually(what: &str, patience: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    let ended = tokio::time::timeout(patience, wait).await;
    assert!(ended.is_ok(), "{what}: not within {patience:?}");
}
