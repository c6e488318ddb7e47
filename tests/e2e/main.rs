//! Tests of the proxy as its clients meet it: real servers behind it, real bytes in front of it.
//!
//! One binary, so that it links once. `make test` starts the servers before the tests and hands their addresses on by
//! environment; without that (plain `cargo test`) they are started by whoever needs them first.

#[path = "../../src/bin/shardctl/clusters.rs"]
pub mod clusters;
