//! Start: store, catalog, checks, picture; then the loops that keep it current.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Settings, Users};
use crate::discovery::{Error, Finding, Health, Picture};
use crate::plan::{Category, Purpose};
use crate::topology::KeyspaceId;

/// The open room: owns control connections and the picture. Clones share it.
#[derive(Clone, Debug)]
pub struct Discovery {
    picture: Picture,
}

/// Reads or makes the topology, reads the catalog, checks the shards. `Err(Findings)` where a finding is an error;
/// else the room and the warnings.
pub async fn open(settings: Arc<Settings>, users: Arc<Users>) -> Result<(Discovery, Vec<Finding>), Error> {
    let _ = (settings, users);
    Err(Error::Bug("discovery isn't written yet"))
}

/// Every finding about live shards, without creating or changing anything on them.
pub async fn check(settings: &Settings, users: &Users) -> Vec<Finding> {
    let _ = (settings, users);
    Vec::new()
}

impl Discovery {
    /// The handle that sessions take their snapshot from.
    pub fn picture(&self) -> &Picture {
        &self.picture
    }

    /// Keeps the picture and the health current until the future is dropped: the owner awaits it in a task.
    pub async fn run(&self) {
        std::future::pending::<()>().await;
    }

    /// Reads the catalogs again now and swaps the picture: after DDL through the proxy.
    pub async fn refresh_now(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Takes new settings: a changed declaration becomes a new epoch. The old ones stay in force on an error.
    pub async fn reload(&self, settings: Arc<Settings>, users: Arc<Users>) -> Result<Vec<Finding>, Error> {
        let _ = (settings, users);
        Ok(Vec::new())
    }

    /// Every finding about live shards under the settings in force.
    pub async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// Categories of keys (text forms). For `Purpose::Write` each known key is fixed and committed on home first.
    pub async fn categories(
        &self,
        keyspace: KeyspaceId,
        keys: &[String],
        purpose: Purpose,
    ) -> Result<BTreeMap<(KeyspaceId, String), Category>, Error> {
        let _ = (keyspace, keys, purpose);
        Ok(BTreeMap::new())
    }

    /// All categories known to be fixed, for `Facts`; cheap.
    pub fn fixed(&self) -> Arc<BTreeMap<(KeyspaceId, String), Category>> {
        Arc::default()
    }

    /// Health of every shard, in shard order.
    pub fn health(&self) -> Vec<Health> {
        Vec::new()
    }
}
