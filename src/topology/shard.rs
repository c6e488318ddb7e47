//! One shard as the topology knows it.

use std::collections::BTreeMap;

/// Names and values: what a shard is (`region: eu-west`), or what one must be to own something.
pub type Labels = BTreeMap<String, String>;

/// One shard as the topology knows it (its address is configuration, not topology).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// unique
    pub name: String,
    /// share of ring points, 1 to [`Shard::WEIGHT_MAX`]
    pub weight: u32,
    /// constraints for the rebalancer
    pub labels: Labels,
    /// still there, or only its index kept
    pub state: ShardState,
}

/// Is a shard in use?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShardState {
    /// It may own buckets and holds every reference table.
    Serving,
    /// It left the config while it owned nothing; its index is never given away again.
    Retired,
}

impl Shard {
    /// Bounds the ring's size.
    pub const WEIGHT_MAX: u32 = 100;

    /// A serving shard of weight 1 without labels.
    pub fn new(name: impl Into<String>) -> Shard {
        Shard {
            name: name.into(),
            weight: 1,
            labels: Labels::new(),
            state: ShardState::Serving,
        }
    }
    /// Does it carry all of these labels?
    pub fn has_labels(&self, wanted: &Labels) -> bool {
        wanted
            .iter()
            .all(|(label, value)| self.labels.get(label) == Some(value))
    }
}
