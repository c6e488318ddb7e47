//! A door for tests: something that happens when a commit over several shards reaches a given step.
//!
//! Holds: inert unless the binary was told otherwise by `SHARDGATE_FAULT` (docs/transactions.md); then each step asks one
//! value that was given at construction.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// A step of a commit over several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// nothing was sent yet
    Begun,
    /// every PREPARE was written to its socket
    PreparesSent,
    /// the first participant has answered PREPARE
    FirstPrepared,
    /// every participant has
    Prepared,
    /// the decision was written to its socket
    DecisionSent,
    /// the decision shard has answered COMMIT
    Decided,
    /// every COMMIT PREPARED was written to its socket
    CommitsSent,
    /// the first participant has answered COMMIT PREPARED
    FirstCommitted,
    /// every participant has; the client was not answered yet
    Committed,
}

impl Step {
    /// All steps, in order.
    pub const ALL: [Step; 9] = [
        Step::Begun,
        Step::PreparesSent,
        Step::FirstPrepared,
        Step::Prepared,
        Step::DecisionSent,
        Step::Decided,
        Step::CommitsSent,
        Step::FirstCommitted,
        Step::Committed,
    ];

    /// As it is written in `SHARDGATE_FAULT`.
    pub const fn name(self) -> &'static str {
        match self {
            Step::Begun => "begun",
            Step::PreparesSent => "prepares-sent",
            Step::FirstPrepared => "first-prepared",
            Step::Prepared => "prepared",
            Step::DecisionSent => "decision-sent",
            Step::Decided => "decided",
            Step::CommitsSent => "commits-sent",
            Step::FirstCommitted => "first-committed",
            Step::Committed => "committed",
        }
    }
}

/// What happens at a step.
type Happens = Arc<dyn Fn(Step) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + std::marker::Sync>;

/// The door; by default nothing happens.
#[derive(Clone, Default)]
pub struct Fault(Option<Happens>);

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({})", if self.0.is_some() { "set" } else { "none" })
    }
}

impl Fault {
    /// Something that happens; it is asked at every step.
    pub fn new(happens: Happens) -> Fault {
        Fault(Some(happens))
    }

    /// A step was reached.
    pub(super) async fn at(&self, step: Step) {
        if let Some(happens) = &self.0 {
            happens(step).await;
        }
    }
}
