//! The Postgres servers behind a test: those that the run shares, or some of its own to break.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::client::Client;
use crate::clusters::{Clusters, Recipe, SUPERUSER};

/// As many as the largest differential run needs.
pub const SHARDS_MAX: usize = 3;

/// Servers under `cargo test`, where no setup script ran: started by the first test, stopped by the last.
static STARTED_HERE: Mutex<Weak<Mutex<Clusters>>> = Mutex::new(Weak::new());

/// One plain Postgres and some shards.
#[derive(Debug)]
pub struct Servers {
    oracle: u16,
    shards: Vec<u16>,
    /// Held for its Drop, and by fault tests to break servers; `None` if the setup script holds them.
    own: Option<Arc<Mutex<Clusters>>>,
}

impl Servers {
    /// The servers that all tests of this run share.
    pub fn shared() -> Servers {
        if let (Ok(oracle), Ok(shards)) = (
            std::env::var("SHARDGATE_TEST_ORACLE"),
            std::env::var("SHARDGATE_TEST_SHARDS"),
        ) {
            let port = |text: &str| text.parse().expect("SHARDGATE_TEST_* are ports");
            return Servers {
                oracle: port(&oracle),
                shards: shards.split(',').map(port).collect(),
                own: None,
            };
        }
        let mut started = STARTED_HERE.lock().unwrap_or_else(PoisonError::into_inner);
        let clusters = started
            .upgrade()
            .unwrap_or_else(|| Arc::new(Mutex::new(start(SHARDS_MAX))));
        *started = Arc::downgrade(&clusters);
        Servers::over(clusters)
    }

    /// Servers of this test's own, to stop and kill.
    pub fn private(shards: usize) -> Servers {
        Servers::over(Arc::new(Mutex::new(start(shards))))
    }

    fn over(clusters: Arc<Mutex<Clusters>>) -> Servers {
        let ports: Vec<u16> = lock(&clusters).iter().map(|cluster| cluster.port()).collect();
        let (oracle, shards) = ports.split_first().expect("there is an oracle");
        Servers {
            oracle: *oracle,
            shards: shards.to_vec(),
            own: Some(clusters),
        }
    }

    /// Where the plain Postgres listens.
    pub fn oracle(&self) -> SocketAddr {
        local(self.oracle)
    }

    /// Where a shard listens.
    pub fn shard(&self, index: usize) -> SocketAddr {
        local(*self.shards.get(index).expect("so many shards were started"))
    }

    /// Does something to a shard of [`Servers::private`], such as `kill` or `restart`.
    pub fn disturb(&self, shard: usize, act: impl FnOnce(&mut crate::clusters::Cluster) -> anyhow::Result<()>) {
        let own = self.own.as_ref().expect("only a test's own servers may be disturbed");
        let mut clusters = lock(own);
        clusters
            .get_mut(shard + 1)
            .and_then(act)
            .expect("the cluster does as it is told");
    }
}

/// A superuser's session on a server.
pub fn superuser(address: SocketAddr, database: &str) -> Client {
    Client::log_in(address, &[("user", SUPERUSER), ("database", database)]).expect("the superuser logs in")
}

/// An address on this machine.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn start(shards: usize) -> Clusters {
    let template = std::env::var_os("SHARDGATE_TEST_TEMPLATE").map(PathBuf::from);
    Clusters::start(&Recipe {
        template,
        ..Recipe::new(shards + 1)
    })
    .expect("local Postgres clusters start")
}

fn lock(clusters: &Mutex<Clusters>) -> MutexGuard<'_, Clusters> {
    clusters.lock().unwrap_or_else(PoisonError::into_inner)
}
