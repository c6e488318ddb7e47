//! The backends that a session holds: those its transaction has enlisted, and those pinned to it.
//!
//! Holds: at most one backend per shard; in commit order those that wrote come first, so that nothing a reader holds
//! (advisory locks, notifications) is let go before the decision.

use super::deadlock::Named;
use crate::backend::Backend;
use crate::plan::Access;
use crate::topology::ShardId;
use crate::wire::Scanner;

/// How a backend came into its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// no BEGIN was sent: each Query or Sync ends its own transaction
    Autocommit,
    /// BEGIN was sent: it ends by COMMIT or ROLLBACK
    Block,
}

/// Whether messages of the extended protocol await a Sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// nothing was sent since the last ReadyForQuery
    Settled,
    /// a Sync is owed
    Owed,
}

/// Where its input goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// answers
    Alive,
    /// its connection has ended
    Gone,
}

/// One held backend.
#[derive(Debug)]
pub struct Participant {
    /// its shard
    pub shard: ShardId,
    /// the connection
    pub backend: Backend,
    /// boundaries of the frames that it sends
    pub scanner: Scanner,
    /// the strongest thing done in this transaction
    pub access: Access,
    /// whether BEGIN was sent
    pub begun: Begun,
    /// the byte of its last ReadyForQuery
    pub status: u8,
    /// whether a Sync is owed
    pub sync: Sync,
    /// why it stays with the session after the transaction
    pub pin: Option<&'static str>,
    /// opaque code ran on it: its state must be looked at before it can be let go
    pub examine: Examine,
    /// whether it still lives
    pub life: Life,
    /// whether a statement ran on it in this batch or block, rather than only Parse and Describe
    pub worked: Worked,
    /// whether the session's changes of settings reach it
    pub follows: Follows,
    /// whether its settings are still those that the session gave it
    pub settings_kept: SettingsKept,
    /// counts cancel requests sent for it: such a backend is asked once more before it is used again
    pub cancels: u32,
}

/// Has a statement run?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worked {
    /// no
    No,
    /// yes
    Yes,
}

/// Do the session's changes of settings reach a backend? One that only parsed, or was asked, keeps those it came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// no
    No,
    /// yes: it took part in the block, or ran the SET itself
    Yes,
}

/// Are a backend's settings those that its session gave it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingsKept {
    /// yes
    Yes,
    /// DISCARD ALL has put them back to the server's defaults
    No,
}

/// Must a backend's session state be looked at?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Examine {
    /// nothing opaque ran
    No,
    /// something did
    Due,
    /// LISTEN ran: nothing is left of it unless its transaction commits
    UnlessCommitted,
}

impl Participant {
    /// A backend fresh from the pool.
    pub fn new(shard: ShardId, backend: Backend) -> Participant {
        Participant {
            shard,
            backend,
            scanner: Scanner::default(),
            access: Access::Read,
            begun: Begun::Autocommit,
            status: b'I',
            sync: Sync::Settled,
            pin: None,
            examine: Examine::No,
            life: Life::Alive,
            worked: Worked::No,
            follows: Follows::No,
            settings_kept: SettingsKept::Yes,
            cancels: 0,
        }
    }

    /// Remembers the strongest access.
    pub fn touch(&mut self, access: Access) {
        let stronger = match (self.access, access) {
            (Access::Write, Access::Read | Access::Lock | Access::Write) => Access::Write,
            (Access::Read | Access::Lock, Access::Write) => Access::Write,
            (Access::Lock, Access::Read | Access::Lock) | (Access::Read, Access::Lock) => Access::Lock,
            (Access::Read, Access::Read) => Access::Read,
        };
        self.access = stronger;
    }
}

/// All backends that a session holds.
#[derive(Debug, Default)]
pub struct Participants {
    list: Vec<Participant>,
    /// of the block, since its second shard enlisted
    named: Option<Named>,
    /// the shard that a block enlisted first, the last time one did
    first: Option<ShardId>,
}

/// Positions in the order in which they commit.
pub type CommitOrder = Vec<usize>;

impl Participants {
    /// The name of the block, if several shards take part.
    pub fn named(&self) -> Option<&Named> {
        self.named.as_ref()
    }

    /// Names the block, or forgets its name when it is over.
    pub fn set_named(&mut self, named: Option<Named>) {
        self.named = named;
    }

    /// The one at this position is about to enter the block.
    pub fn enters(&mut self, at: usize) {
        if self.first().is_none() {
            self.first = self.list.get(at).map(|p| p.shard);
        }
    }

    /// The shard that the block enlisted first: its transaction's moment is the block's.
    pub fn first(&self) -> Option<ShardId> {
        let is_in = |first: &ShardId| self.list.iter().any(|p| p.shard == *first && p.begun == Begun::Block);
        self.first.filter(is_in)
    }

    /// Where the backend of a shard stands.
    pub fn find(&self, shard: ShardId) -> Option<usize> {
        self.list.iter().position(|p| p.shard == shard)
    }

    /// Adds one; answers its position.
    pub fn push(&mut self, participant: Participant) -> usize {
        if self.list.capacity() == 0 {
            self.list.reserve_exact(1); // by far the most sessions hold one at a time
        }
        self.list.push(participant);
        self.list.len().saturating_sub(1)
    }

    /// One of them.
    pub fn get(&self, at: usize) -> Option<&Participant> {
        self.list.get(at)
    }

    /// One of them, to work with.
    pub fn get_mut(&mut self, at: usize) -> Option<&mut Participant> {
        self.list.get_mut(at)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Participant> {
        self.list.iter()
    }

    /// All of them, to work with.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Participant> {
        self.list.iter_mut()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes one out.
    pub fn remove(&mut self, at: usize) -> Option<Participant> {
        (at < self.list.len()).then(|| self.list.swap_remove(at))
    }

    /// Takes out the only one; the room for it stays.
    pub fn take_only(&mut self) -> Option<Participant> {
        match self.list.len() {
            1 => self.list.pop(),
            _ => None,
        }
    }

    /// Takes all out.
    pub fn take(&mut self) -> Vec<Participant> {
        std::mem::take(&mut self.list)
    }

    /// Another shard that is in this transaction's block.
    pub fn enlisted_other_than(&self, shard: ShardId) -> Option<ShardId> {
        self.list
            .iter()
            .find(|p| p.begun == Begun::Block && p.shard != shard)
            .map(|p| p.shard)
    }

    /// Those in a block, writers first.
    pub fn commit_order(&self) -> CommitOrder {
        let mut order: Vec<usize> = (0..self.list.len())
            .filter(|at| self.list.get(*at).is_some_and(|p| p.begun == Begun::Block))
            .collect();
        order.sort_by_key(|at| {
            self.list
                .get(*at)
                .map_or(0, |p| if p.access == Access::Write { 0 } else { 1 })
        });
        order
    }
}
