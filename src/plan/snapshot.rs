//! One moment's picture of topology and catalog, with the routes compiled under it.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::plan::cache::Cache;
use crate::plan::compile::{compile, plan, plan_shaped};
use crate::plan::{Compiled, Facts, Parameters, Plan, Request, RouteStep, Verdict};
use crate::sql::{Command, ExplainKind, Lexing, Shape, command};
use crate::topology::Topology;

/// One moment's picture: every statement takes it once and passes it down.
#[derive(Debug)]
pub struct Snapshot {
    topology: Arc<Topology>,
    catalog: Arc<Catalog>,
    cache: Cache,
}

// === impl Snapshot ===

impl Snapshot {
    /// A picture with an empty cache.
    pub fn new(topology: Arc<Topology>, catalog: Arc<Catalog>) -> Snapshot {
        Snapshot {
            topology,
            catalog,
            cache: Cache::default(),
        }
    }

    /// Where rows live.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// What tables look like.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    pub(in crate::plan) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The compiled route of a statement, through the cache: a hit costs a scan and a lookup, no parse.
    ///
    /// Fails only with an [`Verdict::Ask`]; a refusal is a route too (see [`Compiled::static_refusal`]).
    pub fn compile(&self, request: &Request<'_>, facts: &Facts) -> Result<Arc<Compiled>, Verdict> {
        compile(self, request, facts)
    }

    /// [`Snapshot::compile`] and [`Compiled::bind`] in one: the text is scanned once.
    pub fn plan(
        &self,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<(Arc<Compiled>, Plan), Verdict> {
        plan(self, request, parameters, facts)
    }

    /// [`Snapshot::plan`] of a text that the caller has scanned into `own`, lexed by `by`; it is scanned anew only if the
    /// request's context lexes otherwise.
    pub fn plan_scanned(
        &self,
        request: &Request<'_>,
        facts: &Facts,
        own: &Shape,
        by: Lexing,
    ) -> Result<(Arc<Compiled>, Plan), Verdict> {
        let parameters = Parameters::default();
        if by == request.context.lexing() {
            plan_shaped(self, request, &parameters, facts, own)
        } else {
            plan(self, request, &parameters, facts)
        }
    }

    /// What `EXPLAIN (ROUTE)` shows of a statement, given with or without those words; nothing runs.
    pub fn explain(
        &self,
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
    ) -> Result<Vec<RouteStep>, Verdict> {
        let inside = match command(request.text, request.context.lexing()) {
            Ok(Command::Explain(explain)) if explain.kind == ExplainKind::Route => explain.body.of(request.text),
            Ok(_) | Err(_) => request.text,
        };
        let request = Request {
            text: inside,
            ..*request
        };
        let compiled = self.compile(&request, facts)?;
        compiled.explain(self, &request, parameters, facts)
    }
}
