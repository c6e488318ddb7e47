//! The config declares, the store remembers: the first topology, and what becomes of a stored one under a new declaration.

use super::draft::Draft;
use super::{Declaration, Epoch, Topology, TopologyError};

/// What a declaration makes of a stored topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evolved {
    /// It says nothing new: the stored topology stays.
    Unchanged,
    /// The next epoch.
    Next(Topology),
}

impl Topology {
    /// The first topology of a declaration (epoch 1), or all that is wrong with it.
    pub fn create(declaration: &Declaration) -> Result<Topology, Vec<TopologyError>> {
        let mut draft = Draft::empty();
        draft.declare(declaration);
        draft.finish(Epoch::FIRST)
    }

    /// Adds what is new in `declaration`; what contradicts where rows already lie is an error that names both sides; what
    /// it leaves out stays, but for a shard that owns nothing, which retires. All findings are reported.
    pub fn evolve(&self, declaration: &Declaration) -> Result<Evolved, Vec<TopologyError>> {
        let mut draft = Draft::of(self);
        draft.declare(declaration);
        let same_epoch = draft.finish(self.epoch)?;
        if same_epoch == *self {
            return Ok(Evolved::Unchanged);
        }
        let epoch = self.epoch.next().ok_or_else(|| vec![TopologyError::EpochsExhausted])?;
        Ok(Evolved::Next(Topology { epoch, ..same_epoch }))
    }
}
