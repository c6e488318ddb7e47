//! Rules for statements over several shards: disjoint union and merge.

mod spec;

pub use spec::MergeSpec;

use std::sync::Arc;

use crate::plan::resolve::Resolved;
use crate::plan::{Facts, FanOut, Parameters, Refusal, RefusalId, Verdict, refuse};
use crate::topology::ShardSet;
use crate::value::Oid;

/// A proven fan-out of one text: everything that does not depend on parameters and the set of shards.
#[derive(Debug)]
pub(in crate::plan) struct Template {}

/// Proves a read over several shards exact, or says what blocks it. `resolved` is of the very text that will run: all
/// literals may be read (a cached shape with another text is planned anew).
pub(in crate::plan) fn plan(resolved: &Resolved<'_>) -> Result<Template, Box<Refusal>> {
    let _ = resolved;
    Err(refuse(RefusalId::FanOutNotYet, &[]))
}

// === impl Template ===

impl Template {
    /// The fan-out for these shards (two or more); `types` are those of `$n` as declared or learnt, 0 where unknown.
    pub(in crate::plan) fn bind(
        &self,
        shards: ShardSet,
        parameters: &Parameters<'_>,
        types: &[Oid],
        facts: &Facts,
    ) -> Result<Arc<FanOut>, Verdict> {
        let _ = (shards, parameters, types, facts);
        Err(Verdict::Refused(refuse(RefusalId::FanOutNotYet, &[])))
    }

    /// Steps for EXPLAIN (ROUTE) after the fan-out itself, such as `merge: order by 1`, with a reason each.
    pub(in crate::plan) fn steps(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
