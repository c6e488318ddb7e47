//! The admin room through its door: tables over a fixture, the metrics and their document, HTTP by raw requests.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail loudly"
)]

#[path = "admin/console.rs"]
mod console;
#[path = "admin/database.rs"]
mod database;
#[path = "admin/fixture.rs"]
mod fixture;
#[path = "admin/golden.rs"]
mod golden;
#[path = "admin/http.rs"]
mod http;
#[path = "admin/metrics.rs"]
mod metrics;
#[path = "admin/shardctl.rs"]
mod shardctl;
#[path = "admin/terminal.rs"]
mod terminal;
#[path = "admin/top.rs"]
mod top;
