//! *Keep several shards one:* the client's block state, the shards that take part, and how their ends are joined.
//!
//! Why: under transaction pooling a client's block is not any backend's block: BEGIN is answered before a shard is
//! known, a shard joins late, and an error on one aborts all. Postgres's own block states are ported here and judged by
//! the client's statements (`sessions.md` 1).
//! Holds: the status byte that a client reads comes from [`Block::status`]; a participant joins only with the block's
//! characteristics and log replayed in order; one that wrote commits before those that read.
//! Absent: two-phase commit. A second writer is refused before its first byte is sent.

mod block;
mod participants;

pub use block::{Begin, Block, BlockError, Characteristics, End, Isolation, LogEntry, State};
pub use participants::{
    Begun, CommitOrder, Examine, Follows, Life, Participant, Participants, SettingsKept, Sync, Worked,
};
