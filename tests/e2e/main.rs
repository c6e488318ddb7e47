//! Tests of the proxy as its clients meet it: real servers behind it, real bytes in front of it.
//!
//! One binary, so that it links once. nextest starts the servers before the tests and hands their addresses on by
//! environment (`.config/nextest.toml`); under plain `cargo test` whoever needs them first starts them.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "in a test's helper a failure is the test's"
)]

#[path = "../../src/bin/shardctl/clusters.rs"]
pub mod clusters;

mod bad_input;
mod by_hand;
mod copy;
mod copy_fill;
mod copy_rows;
mod explain;
pub mod client;
pub mod differential;
mod drivers;
mod faults;
mod idle_timers;
pub mod layout;
mod listen;
mod load;
pub mod messages;
mod moments;
pub mod pair;
mod pgbench;
pub mod proxy;
mod proposals;
mod psql;
pub mod python;
mod role_settings;
mod schema;
mod readings;
mod record;
mod sequences;
pub mod servers;
mod sessions;
mod transactions;
mod unseen_moments;
pub mod world;
mod writes;
