//! Work on several shards at once.

use std::future::Future;

use tokio::task::JoinSet;

use crate::discovery::Error;

/// Runs all of it side by side; results in the order of the work. Dropped, it stops all of it.
pub(super) async fn together<T, F>(work: impl IntoIterator<Item = F>) -> Vec<Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut results: Vec<Result<T, Error>> = Vec::new();
    for (index, one) in work.into_iter().enumerate() {
        tasks.spawn(async move { (index, one.await) });
        results.push(Err(Error::Bug("work on a shard ended without a result")));
    }
    while let Some(done) = tasks.join_next().await {
        let Ok((index, result)) = done else { continue };
        if let Some(place) = results.get_mut(index) {
            *place = result;
        }
    }
    results
}
