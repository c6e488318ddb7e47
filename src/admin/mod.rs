//! *Show and command:* the admin database, HTTP with `/metrics`, and the registry where sessions enrol.
//!
//! Why: whoever operates the proxy asks it through one list of commands ([`Console`]), be it with psql, `shardctl` or a
//! driver; machines ask over HTTP ([`serve_http`]). Both read through [`Sources`], a trait that the binary implements
//! over its handles, so this room knows no live object of another one and its tests need no server.
//!
//! Holds: nothing here waits for a session; a session's updates of its own entry are atomics; every answer has the
//! columns that [`Console::describe`] promised; secrets are never shown; HTTP changes nothing.
//! Absent: the Postgres protocol of the admin database (`session` speaks it).

mod error;
mod answer;
mod sources;
mod client;
mod registry;
mod gate;
mod commands;
mod courtesy;
mod console;
mod http;
mod readiness;
mod gauges;

pub use answer::{Answer, Column, ColumnType, Table};
pub use client::{Call, CancelMark, ClientInfo, ClientRow, Enrolment, Leave};
pub use console::Console;
pub use error::AdminError;
pub use http::{HttpBounds, serve_http};
pub use registry::{CancelKey, ProxyId, Registry, RegistryFull};
pub use sources::{Pending, Reloaded, Resolution, Sources, TransactionRow, TransactionState, View};
