//! Shardgate: a sharding proxy for Postgres. Exact answers, or a clear refusal.
//!
//! The rooms stand in order; a room imports only rooms listed before it (`tests/layout.rs` checks it). Rooms up to
//! `rebalance` are sans-I/O: values in, values out. `docs/architecture.md` is the floor plan.

pub mod value;
pub mod wire;
pub mod sql;
pub mod topology;
pub mod catalog;
pub mod config;
pub mod plan;
pub mod merge;
pub mod telemetry;
pub mod rebalance;
pub mod clock;
pub mod backend;
pub mod transaction;
pub mod execute;
pub mod discovery;
pub mod admin;
pub mod session;
