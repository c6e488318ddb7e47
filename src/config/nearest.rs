//! (nearest)
