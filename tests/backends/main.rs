//! The backend room against a real Postgres 15: logins, pools, cancel, control connections; and the wire room's verdicts
//! on broken bytes against the server's own.
//!
//! Each test starts a private server, since it changes roles, breaks connections, or kills the server. The expected side
//! is the server itself wherever there is one.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod broken;
mod control;
mod crowd;
#[path = "../tools/eventually.rs"]
mod eventually;
mod links;
mod logins;
mod pools;
mod server;
