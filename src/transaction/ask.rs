//! Finding a verdict at the decision shard, by whoever doesn't know it: the one question of the protocol.
//!
//! Why an INSERT is the question: it waits for a commit in flight under the same key, so its outcome is the verdict, and
//! if there was none yet it makes one that a late committer collides with.

use super::rules::Verdict;

/// What to do at the decision shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// insert the abort row, in a transaction of its own
    Insert,
    /// the key was taken: read the row
    Read,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// the abort row is there, and committed
    Inserted,
    /// unique violation
    Taken,
    /// the row says this; none: it is gone again
    Row(Option<Verdict>),
}

impl Ask {
    /// The next question, or the verdict that stands in the row.
    pub(super) fn on(self, asked: Asked) -> Result<Verdict, Ask> {
        match asked {
            Asked::Inserted => Ok(Verdict::Abort),
            Asked::Taken => Err(Ask::Read),
            Asked::Row(Some(verdict)) => Ok(verdict),
            Asked::Row(None) => Err(Ask::Insert),
        }
    }
}
