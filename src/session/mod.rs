//! *Serve one client:* startup, authentication, the simple and the extended protocol, session state, the error door.
//!
//! Why: a client's session outlives any backend that works for it. What Postgres keeps in one process (settings, block,
//! prepared statements, portals) is kept here and brought to whichever backend is next.
//! Holds: answers in the order of the messages; a backend is touched only in the state that the client's session is in;
//! ReadyForQuery tells the session's own block; SQLSTATEs are chosen in `answer` alone.
//! Absent: planning, sockets of shards.

mod error;
mod answer;
mod state;
mod idle;
mod straight;
mod world;
mod prepared;
mod names;
mod portal;
mod recent;
mod queue;
mod track;
mod load;
mod pump;
mod lane;
mod moment;
mod reading;
mod route;
mod by_hand;
mod inline;
mod rows;
mod sequences;
mod found;
mod oids;
mod client_two_phase;
mod control;
mod copy;
mod defaults;
mod leftovers;
mod simple;
mod extended;
mod parsing;
mod preparing;
mod binding;
mod describing;
mod executing;
mod finish;
mod order;
mod direct;
mod cursor_portals;
mod cursors;
mod current_of;
mod explain_document;
mod explain;
mod writes;
mod listening;
mod schema;
mod each;
mod symbols;
mod startup;
mod serve;
mod admin_session;

pub use prepared::Statements;
pub use serve::serve;
pub use world::{Live, Parts as WorldParts, World};
