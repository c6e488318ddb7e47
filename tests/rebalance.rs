//! The rebalancer through its door: what it says of a dozen situations, and what holds in all.
//!
//! Loads are given by key, so that what a proposal predicts can be checked against where every key lies afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a helper that fails is a failed test, and loads are small"
)]

#[path = "rebalance/golden.rs"]
mod golden;
#[path = "rebalance/properties.rs"]
mod properties;
#[path = "rebalance/world.rs"]
mod world;
