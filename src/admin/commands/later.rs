//! Commands that belong to the rebalancer and to moves: known by name, so that
//! who has read about them gets a clear answer instead of a guess at a typing error.

/// Words of commands that this version doesn't have.
pub(crate) const LATER: &[&str] = &["SHOW MOVES", "DRAIN", "UNDRAIN", "APPLY", "MOVE", "VERIFY"];
