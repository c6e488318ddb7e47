//! *Keep several shards one:* the client's block state, the shards that take part, and how their ends are joined.
//!
//! Why: under transaction pooling a client's block is not any backend's block: BEGIN is answered before a shard is
//! known, a shard joins late, and an error on one aborts all. Postgres's own block states are ported here and judged by
//! the client's statements (`sessions.md` 1). What several shards wrote commits by the protocol of `docs/transactions.md`:
//! pure machines (`commit`, `recover`, `clean`) that I/O (`coordinator`, `two_phase`, `recovery`) drives.
//! Holds: the status byte that a client reads comes from [`Block::status`]; a participant joins only with the block's
//! characteristics and log replayed in order; of several that wrote all commit or none; what only read ends after them.

mod block;
mod participants;
mod ended;
mod trip;
mod rules;
mod gid;
mod ask;
mod lock;
mod commit;
mod recover;
mod clean;
mod store;
mod shards;
mod forget;
mod fault;
mod coordinator;
mod two_phase;
mod snapshot;
mod await_end;
mod sweep;
mod deadlock;
mod recovery;

pub use ask::{Ask, Asked};
pub use await_end::Gates;
pub use block::{Begin, Block, BlockError, Characteristics, End, Isolation, LogEntry, State};
pub use clean::{Clean, CleanAction, CleanEvent, Holding};
pub use commit::{Commit, CommitAction, CommitEvent, Ending};
pub use coordinator::Coordinator;
pub use deadlock::{Deadlocks, Named};
pub use ended::{EndError, EndHow, Ended, Heard};
pub use fault::{Fault, Step};
pub use forget::{Forgetter, Forgetting, forgetting};
pub use gid::{GID_PREFIX, Gid, TxId, TxSecret};
pub use lock::LockKey;
pub use participants::{
    Begun, CommitOrder, Examine, Follows, Life, Participant, Participants, SettingsKept, Sync, Worked,
};
pub use recover::{Recover, RecoverAction, RecoverEvent};
pub use recovery::{InDoubt, Recovery, ResolveError};
pub use rules::{Durability, RETENTION, Rule, Rules, Verdict};
pub use shards::{ShardAddress, Shards};
pub use snapshot::{Form, Lists, MARKS_KEPT, Mark, Read, ReadAction, ReadEvent, ReadRule, ReadRules};
pub use store::{CREATE as STORE_CREATE, IS_THERE as STORE_IS_THERE};
pub use sweep::Sweeper;
pub use trip::{TripError, round_trip};
