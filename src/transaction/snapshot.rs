//! One read over several shards that sees each transaction over several shards whole or not at all, as a pure machine.
//!
//! Each shard takes its snapshot at a time of its own; marks, which every such transaction leaves on all its participants,
//! tell whether the snapshots agree. Why no I/O: `tests/read_model.rs` explores this very machine among commits, delays
//! and deletions of marks. Whoever drives it does what [`Read::action`] says and tells what came of it by [`Read::on`].
//! Holds: when it says [`ReadAction::Accept`], each transaction that two of the shards took part in is seen by both or by
//! none; it comes to an end, if need be by [`ReadAction::GiveUp`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::gid::TxId;
use crate::topology::ShardId;

/// For how long a mark stays after its transaction was seen committed on its last participant, by its deleter's clock.
pub const MARKS_KEPT: Duration = Duration::from_secs(1);

/// Looks at marks before the reader goes to the gate.
const ROUNDS_MAX: u8 = 10;

/// Attempts at the gate before the reader gives up.
const GATES_MAX: u8 = 200;

/// One rule of consistent reads (`docs/transactions.md` says each in full).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadRule {
    /// what a shard is sure to see is what its list says that was read before its snapshot
    FirstListBefore,
    /// what a shard may see is what its list says that was read after its snapshot
    SecondListAfter,
    /// a transaction that was waited for on a shard counts as seen there from then on
    KnownAfterWait,
    /// all snapshots are taken within half the time for which marks are kept
    Window,
    /// that time counts from the oldest snapshot that is kept, and from before it was asked for
    OldestKept,
    /// a snapshot under the gate counts only if every gate was still held after the last one
    EveryGateHeld,
}

/// The rules in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReadRules(u8);

/// How a shard's snapshot lies among its lists of marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// list and statement share one snapshot: a transaction of REPEATABLE READ
    Whole,
    /// a list, the statement's snapshot, another list: READ COMMITTED
    Bracketed,
}

/// A transaction's mark on one shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// whose
    pub tx_id: TxId,
    /// the shards that it has written on, this one too
    pub participants: Vec<ShardId>,
}

/// What one shard's batch has read of marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lists {
    /// before the snapshot
    pub first: BTreeSet<Mark>,
    /// after it; unused where they are one
    pub second: BTreeSet<Mark>,
}

/// What to do now. Places are positions in the list of shards that are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadAction {
    /// take snapshots at these places: note the time by [`ReadEvent::Sent`], send, read the lists
    Take(Vec<usize>),
    /// wait at each place until none of these is in progress there; its snapshot is given up
    Wait(Vec<(usize, Vec<TxId>)>),
    /// close the gate at this place
    Close(usize),
    /// open every gate that was closed
    Open,
    /// the snapshots agree: the rows may be given
    Accept,
    /// they could not be made to agree
    GiveUp,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReadEvent {
    /// a batch is about to be sent to this place, now
    Sent(usize, Duration),
    /// its lists are there, now
    Taken(usize, Lists, Duration),
    /// what was waited for at this place has ended
    Free(usize),
    /// the gate at this place is closed
    Closed,
    /// it could not be closed in time
    ClosingTimedOut,
    /// all gates that were closed are open again; `true`: each had been held to that moment
    Opened(bool),
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    rules: ReadRules,
    form: Form,
    places: Vec<Place>,
    stage: Stage,
    rounds: u8,
    gates: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    shard: ShardId,
    batch: Batch,
    /// waited for here
    known: BTreeSet<TxId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Batch {
    Wanted,
    Sent(Duration),
    Taken(Duration, Lists),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Taking(Under),
    Waiting(Vec<(usize, Vec<TxId>)>),
    /// gates at so many places are closed
    Closing(usize),
    /// then what
    Opening(Then),
    Over(ReadAction),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Under {
    Marks,
    Gate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Then {
    Accept,
    Retry,
}

// === impl ReadRules ===

impl ReadRules {
    /// Every rule: the only value outside tests.
    pub const ALL: ReadRules = ReadRules(u8::MAX);

    /// All but one, to show what it is good for.
    #[must_use]
    pub const fn without(self, rule: ReadRule) -> ReadRules {
        ReadRules(self.0 & !(1 << rule as u8))
    }

    /// Is this rule in force?
    pub const fn has(self, rule: ReadRule) -> bool {
        self.0 & (1 << rule as u8) != 0
    }
}

// === impl Read ===

impl Read {
    /// A read of these shards, in their order.
    pub fn new(rules: ReadRules, form: Form, shards: impl IntoIterator<Item = ShardId>) -> Read {
        let places = shards.into_iter().map(|shard| Place {
            shard,
            batch: Batch::Wanted,
            known: BTreeSet::new(),
        });
        Read {
            rules,
            form,
            places: places.collect(),
            stage: Stage::Taking(Under::Marks),
            rounds: 0,
            gates: 0,
        }
    }

    /// The same, but at the gate from the beginning: for snapshots that no list of marks can bracket.
    pub fn at_gate(rules: ReadRules, form: Form, shards: impl IntoIterator<Item = ShardId>) -> Read {
        let mut read = Read::new(rules, form, shards);
        read.stage = read.go_to_gate();
        read
    }

    /// What to do now.
    pub fn action(&self) -> ReadAction {
        match &self.stage {
            Stage::Taking(_) => {
                let wanted = self.places.iter().enumerate();
                let wanted = wanted.filter(|(_, place)| !matches!(place.batch, Batch::Taken(..)));
                ReadAction::Take(wanted.map(|(at, _)| at).collect())
            }
            Stage::Waiting(lacking) => ReadAction::Wait(lacking.clone()),
            Stage::Closing(closed) => ReadAction::Close(*closed),
            Stage::Opening(_) => ReadAction::Open,
            Stage::Over(action) => action.clone(),
        }
    }

    /// Takes notice of what came; what doesn't belong to the present stage changes nothing.
    pub fn on(&mut self, event: ReadEvent) {
        let stage = std::mem::replace(&mut self.stage, Stage::Over(ReadAction::GiveUp));
        self.stage = match (stage, event) {
            (Stage::Taking(under), ReadEvent::Sent(at, now)) => {
                if let Some(place) = self.places.get_mut(at)
                    && place.batch == Batch::Wanted
                {
                    place.batch = Batch::Sent(now);
                }
                Stage::Taking(under)
            }
            (Stage::Taking(under), ReadEvent::Taken(at, lists, now)) => {
                if let Some(place) = self.places.get_mut(at)
                    && let Batch::Sent(sent) = place.batch
                {
                    place.batch = Batch::Taken(sent, lists);
                }
                match (self.is_complete(), under) {
                    (false, _) => Stage::Taking(under),
                    (true, Under::Marks) => self.judge(now),
                    (true, Under::Gate) => Stage::Opening(Then::Accept),
                }
            }
            (Stage::Waiting(mut lacking), ReadEvent::Free(at)) => {
                let waited = lacking.iter().position(|(place, _)| *place == at);
                if let Some((place, waited)) = waited.and_then(|index| {
                    let (_, waited) = lacking.swap_remove(index);
                    Some((self.places.get_mut(at)?, waited))
                }) {
                    place.batch = Batch::Wanted;
                    if self.rules.has(ReadRule::KnownAfterWait) {
                        place.known.extend(waited);
                    }
                }
                lacking.sort_unstable();
                match lacking.is_empty() {
                    true => Stage::Taking(Under::Marks),
                    false => Stage::Waiting(lacking),
                }
            }
            (Stage::Closing(closed), ReadEvent::Closed) => match closed.saturating_add(1) {
                all if all == self.places.len() => Stage::Taking(Under::Gate),
                some => Stage::Closing(some),
            },
            (Stage::Closing(_), ReadEvent::ClosingTimedOut) => Stage::Opening(Then::Retry),
            (Stage::Opening(Then::Accept), ReadEvent::Opened(held))
                if held || !self.rules.has(ReadRule::EveryGateHeld) =>
            {
                Stage::Over(ReadAction::Accept)
            }
            (Stage::Opening(_), ReadEvent::Opened(_)) => self.go_to_gate(),
            (stage, _) => stage,
        };
    }

    fn is_complete(&self) -> bool {
        self.places.iter().all(|place| matches!(place.batch, Batch::Taken(..)))
    }

    /// All snapshots are taken, now: do they agree?
    fn judge(&mut self, now: Duration) -> Stage {
        if self.rules.has(ReadRule::Window) && now.saturating_sub(self.since()) > MARKS_KEPT / 2 {
            // A mark that would tell of a disagreement may be gone.
            return self.next_round(|read| {
                read.want_all();
                Stage::Taking(Under::Marks)
            });
        }
        let lacking = self.lacking();
        match lacking.is_empty() {
            true => Stage::Over(ReadAction::Accept),
            false => self.next_round(|_| Stage::Waiting(lacking)),
        }
    }

    /// When the oldest snapshot was asked for.
    fn since(&self) -> Duration {
        let sent = self.places.iter().filter_map(|place| match &place.batch {
            Batch::Wanted => None,
            Batch::Sent(sent) | Batch::Taken(sent, _) => Some(*sent),
        });
        let since = match self.rules.has(ReadRule::OldestKept) {
            true => sent.min(),
            false => sent.max(),
        };
        since.unwrap_or_default()
    }

    /// What each place lacks that another may have seen.
    fn lacking(&self) -> Vec<(usize, Vec<TxId>)> {
        let mut lacking: Vec<(usize, Vec<TxId>)> = Vec::new();
        for (at, place) in self.places.iter().enumerate() {
            let others = self.places.iter().enumerate().filter(|(other, _)| *other != at);
            let seen = others.flat_map(|(_, other)| self.may_see(other));
            let missing: BTreeSet<TxId> = seen
                .filter(|mark| mark.participants.contains(&place.shard) && !self.is_sure_to_see(place, mark))
                .map(|mark| mark.tx_id)
                .collect();
            if !missing.is_empty() {
                lacking.push((at, missing.into_iter().collect()));
            }
        }
        lacking
    }

    fn may_see<'a>(&self, place: &'a Place) -> impl Iterator<Item = &'a Mark> + use<'a> {
        let list = match (&place.batch, self.form) {
            (Batch::Taken(_, lists), Form::Bracketed) if self.rules.has(ReadRule::SecondListAfter) => {
                Some(&lists.second)
            }
            (Batch::Taken(_, lists), Form::Whole | Form::Bracketed) => Some(&lists.first),
            (Batch::Wanted | Batch::Sent(_), _) => None,
        };
        list.into_iter().flatten()
    }

    fn is_sure_to_see(&self, place: &Place, mark: &Mark) -> bool {
        let listed = match (&place.batch, self.form) {
            (Batch::Taken(_, lists), Form::Bracketed) if !self.rules.has(ReadRule::FirstListBefore) => {
                lists.second.contains(mark)
            }
            (Batch::Taken(_, lists), Form::Whole | Form::Bracketed) => lists.first.contains(mark),
            (Batch::Wanted | Batch::Sent(_), _) => false,
        };
        listed || place.known.contains(&mark.tx_id)
    }

    fn want_all(&mut self) {
        self.places.iter_mut().for_each(|place| place.batch = Batch::Wanted);
    }

    fn next_round(&mut self, go_on: impl FnOnce(&mut Read) -> Stage) -> Stage {
        self.rounds = self.rounds.saturating_add(1);
        match self.rounds < ROUNDS_MAX {
            true => go_on(self),
            // Under many commits it is normal that some are always under way.
            false => self.go_to_gate(),
        }
    }

    fn go_to_gate(&mut self) -> Stage {
        self.want_all();
        self.gates = self.gates.saturating_add(1);
        match self.gates <= GATES_MAX {
            true => Stage::Closing(0),
            false => Stage::Over(ReadAction::GiveUp),
        }
    }
}
