//! The rules of the commit protocol that a machine obeys, each with a name.
//!
//! Why names: every rule was found by a counterexample. `tests/commit_model.rs` takes one away at a time, searches, and
//! must find that counterexample again; so no rule can be dropped unnoticed, and none is there for nothing.

/// One rule of the protocol (`docs/transactions.md` says each in full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// the decision is sent only after every PREPARE has answered
    DecideAfterAllPrepared,
    /// a committer in doubt for longer than half the retention says that it doesn't know
    UnknownPastHalf,
    /// an abort is a verdict only if a participant still holds the gid after the row was seen
    LookAgain,
    /// a commit row is deleted by others only when it is old
    RetainCommitRow,
    /// participants are looked at after the row was read, never before
    RowBeforeLook,
    /// a participant that doesn't answer counts as holding the gid
    AskEveryParticipant,
    /// a standby, which lists no prepared transactions, counts as holding the gid
    StandbyCountsAsHolding,
    /// an abort row is deleted only when the transaction that it stops has ended
    TombstoneWaitsForX,
    /// PREPARE waits for the standby
    PrepareSynchronously,
    /// COMMIT PREPARED waits for the standby
    CommitSynchronously,
    /// before a commit that was read is applied: one small synchronous commit, on the connection that read it
    BarrierBeforeCommit,
    /// before a gid counts as gone: one small synchronous commit, on the connection that looked for it
    BarrierBeforeDelete,
}

/// The rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rules(u16);

impl Rules {
    /// Every rule: the only value outside tests.
    pub const ALL: Rules = Rules(u16::MAX);

    /// All but one, to show what it is good for.
    #[must_use]
    pub const fn without(self, rule: Rule) -> Rules {
        Rules(self.0 & !(1 << rule as u16))
    }

    /// Is this rule in force?
    pub const fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u16) != 0
    }
}

/// For how long a commit row is kept for those who may still ask, by the decision shard's clock.
pub const RETENTION: std::time::Duration = std::time::Duration::from_secs(3_600);

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// it is committed
    Commit,
    /// it is rolled back
    Abort,
}

/// Does a commit wait for the synchronous standby?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Durability {
    /// yes, whatever the session has set
    Synchronous,
    /// as the session has set it
    AsSet,
}

impl Rules {
    /// How a step that this rule is about commits.
    pub(super) const fn durability(self, rule: Rule) -> Durability {
        if self.has(rule) {
            Durability::Synchronous
        } else {
            Durability::AsSet
        }
    }
}

/// Some of a transaction's participants, by their place in its list: as many as there can be shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Places(u128);

impl Places {
    /// The first `count` places.
    pub(super) fn all(count: usize) -> Places {
        (0..count).fold(Places::default(), Places::with)
    }

    /// With one more; one beyond all shards is never in.
    pub(super) fn with(self, place: usize) -> Places {
        let bit = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place));
        Places(self.0 | bit.unwrap_or(0))
    }

    /// None at all?
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}
