//! One moment's picture of topology and catalog, with the routes compiled under it.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::plan::{Facts, Parameters, Plan, Refusal, RefusalId, Request, RouteStep, Verdict, refuse};
use crate::topology::{Epoch, ShardId, Topology};

/// One moment's picture: every statement takes it once and passes it down.
#[derive(Debug)]
pub struct Snapshot {
    topology: Arc<Topology>,
    catalog: Arc<Catalog>,
}

/// Compiled routes by shape, context and declared parameter types.
#[derive(Debug, Default)]
pub struct Cache {}

/// A compiled statement: everything that does not depend on key values.
#[derive(Debug)]
pub struct Compiled {
    epoch: Epoch,
    prepare_on: ShardId,
}

// === impl Snapshot ===

impl Snapshot {
    /// A picture with an empty cache.
    pub fn new(topology: Arc<Topology>, catalog: Arc<Catalog>) -> Snapshot {
        Snapshot { topology, catalog }
    }

    /// Where rows live.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// What tables look like.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// The compiled route of a statement, through the cache: a hit costs a scan and a lookup, no parse.
    pub fn compile(&self, request: &Request<'_>, facts: &Facts) -> Result<Arc<Compiled>, Verdict> {
        let _ = (request, facts);
        Err(Verdict::Refused(refuse(RefusalId::FanOutNotYet, &[])))
    }

    /// What `EXPLAIN (ROUTE)` shows of a statement; nothing runs.
    pub fn explain(
        &self,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Vec<RouteStep>, Verdict> {
        let _ = (request, parameters, facts);
        Err(Verdict::Refused(refuse(RefusalId::FanOutNotYet, &[])))
    }
}

// === impl Compiled ===

impl Compiled {
    /// The plan for these literals and parameters. `request` is of the same shape, context and declared types as the one
    /// compiled. Allocates nothing if it stays on one shard.
    pub fn bind(
        &self,
        snapshot: &Snapshot,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Plan, Verdict> {
        let _ = (snapshot, request, parameters, facts);
        Err(Verdict::Refused(refuse(RefusalId::FanOutNotYet, &[])))
    }

    /// The topology that it was made for; bind it with a snapshot of the same epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A shard where the client's text can be parsed and described (all relations that it names exist there).
    pub fn prepare_on(&self) -> ShardId {
        self.prepare_on
    }

    /// The refusal that awaits every bind, if that is certain already.
    pub fn static_refusal(&self) -> Option<&Refusal> {
        None
    }
}
