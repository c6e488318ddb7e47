//! Commits over several shards as a reader meets them: each participant passes the gate, prepares, and commits at any time
//! after the decision, whoever runs it; so a committer that died is a delay. A deleter takes marks away. Time goes in
//! ticks of half the time for which marks are kept, any number of steps between two.

use std::collections::BTreeSet;
use std::time::Duration;

use shardgate::topology::ShardId;
use shardgate::transaction::{Form, Lists, MARKS_KEPT, Mark, Read, ReadAction, ReadEvent, ReadRules, TxId};

use crate::search::World;

const SHARDS: usize = 3;

/// Half of the time for which marks are kept.
const TICK: Duration = Duration::from_millis(500);

/// Gates that time out or are lost, at most.
const MISHAPS_MAX: u8 = 2;

/// Some of the shards.
pub(crate) type ShardSet = BTreeSet<usize>;

/// Does the reader go to the gate at once?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gates {
    /// only if marks don't do
    NotAtOnce,
    /// yes, and one that it has closed may be lost
    Needed,
}

/// The world's size and the machine's rules.
#[derive(Clone, Debug)]
pub(crate) struct Commits {
    pub(crate) form: Form,
    /// participants of each, the decision shard first
    pub(crate) transactions: Vec<Vec<usize>>,
    pub(crate) reads: ShardSet,
    pub(crate) rules: ReadRules,
    pub(crate) gates: Gates,
    pub(crate) ticks: u8,
}

/// A transaction on one shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Part {
    Open,
    PastGate,
    Prepared,
    Committed,
    Aborted,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Tx {
    parts: [Part; SHARDS],
    /// the tick at which the deleter has seen it committed everywhere
    seen: Option<u8>,
    /// shards without its mark again
    gone: u8,
}

/// Where a batch of the reader stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Batch {
    None,
    Sent,
    FirstRead,
    Bound,
    Answered,
    Heard,
}

/// The reader's side of one place; sets of transactions are bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Place {
    batch: Batch,
    first: u8,
    snapshot: u8,
    second: u8,
    waited: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Waits {
    Once,
    Again,
}

/// Everything of one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    txs: Vec<Tx>,
    reader: Read,
    places: [Place; SHARDS],
    closed: u8,
    lost: bool,
    mishaps: u8,
    now: u8,
    /// was the reader made to wait for the same transaction twice at one place?
    waits: Waits,
}

/// One step; numbers are transactions, shards, places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    PassGate(usize, usize),
    Prepare(usize, usize),
    Decide(usize),
    CommitPrepared(usize, usize),
    Abort(usize),
    SeeOnLast(usize),
    DeleteMark(usize, usize),
    Tick,
    Send(usize),
    ReadFirst(usize),
    Bind(usize),
    ReadSecond(usize),
    Snapshot(usize),
    Hear(usize),
    FindFree(usize),
    CloseGate(usize),
    TimeOut,
    LoseGate(usize),
    OpenGates,
}

fn tx_id(index: usize) -> TxId {
    TxId::parse(&format!("{index:032x}")).expect("32 digits")
}

fn bit(index: usize) -> u8 {
    1 << index
}

impl Commits {
    fn shard(&self, place: usize) -> usize {
        *self.reads.iter().nth(place).expect("a place that is read")
    }

    fn visible(&self, state: &State, shard: usize) -> u8 {
        let txs = state.txs.iter().enumerate();
        txs.filter(|(_, tx)| tx.parts[shard] == Part::Committed)
            .fold(0, |set, (index, _)| set | bit(index))
    }

    fn marks(&self, state: &State, shard: usize) -> u8 {
        let txs = state.txs.iter().enumerate();
        txs.filter(|(_, tx)| tx.parts[shard] == Part::Committed && tx.gone & bit(shard) == 0)
            .fold(0, |set, (index, _)| set | bit(index))
    }

    fn list(&self, set: u8) -> BTreeSet<Mark> {
        let listed = self
            .transactions
            .iter()
            .enumerate()
            .filter(|(index, _)| set & bit(*index) != 0);
        let mark = |(index, shards): (usize, &Vec<usize>)| Mark {
            tx_id: tx_id(index),
            participants: shards
                .iter()
                .map(|shard| ShardId::new(*shard).expect("a small number"))
                .collect(),
        };
        listed.map(mark).collect()
    }

    fn now(state: &State) -> Duration {
        TICK * u32::from(state.now)
    }

    /// Tells the machine, and brings the world in line with what it wants next.
    fn tell(state: &mut State, event: ReadEvent) {
        let was_waiting = matches!(state.reader.action(), ReadAction::Wait(_));
        state.reader.on(event);
        match state.reader.action() {
            ReadAction::Take(wanted) => {
                for place in wanted {
                    if state.places[place].batch == Batch::Heard {
                        state.places[place].batch = Batch::None;
                    }
                }
            }
            ReadAction::Wait(lacking) if !was_waiting => {
                for (place, txs) in lacking {
                    let txs = (0..state.txs.len()).filter(|index| txs.contains(&tx_id(*index)));
                    let txs = txs.fold(0, |set, index| set | bit(index));
                    if state.places[place].waited & txs != 0 {
                        state.waits = Waits::Again;
                    }
                    state.places[place].waited |= txs;
                }
            }
            ReadAction::Wait(_) | ReadAction::Open | ReadAction::Accept | ReadAction::GiveUp => {}
            ReadAction::Close(_) => state.places.iter_mut().for_each(|place| place.batch = Batch::None),
        }
    }

    fn commit_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, tx) in state.txs.iter().enumerate() {
            let shards = &self.transactions[index];
            let decision = shards[0];
            let decided = tx.parts[decision] == Part::Committed;
            let all = |part: Part| shards.iter().all(|shard| tx.parts[*shard] == part);
            for shard in shards.iter().copied() {
                match tx.parts[shard] {
                    Part::Open if state.closed & bit(shard) == 0 => actions.push(Action::PassGate(index, shard)),
                    Part::PastGate if shard != decision && shards.iter().all(|s| tx.parts[*s] != Part::Open) => {
                        actions.push(Action::Prepare(index, shard));
                    }
                    Part::Prepared if decided => actions.push(Action::CommitPrepared(index, shard)),
                    Part::Committed if tx.gone & bit(shard) == 0 => {
                        let kept = |seen: u8| TICK * u32::from(state.now - seen) < MARKS_KEPT;
                        if tx.seen.is_some_and(|seen| !kept(seen)) {
                            actions.push(Action::DeleteMark(index, shard));
                        }
                    }
                    Part::Open | Part::PastGate | Part::Prepared | Part::Committed | Part::Aborted => {}
                }
            }
            let prepared = shards[1..].iter().all(|shard| tx.parts[*shard] == Part::Prepared);
            if tx.parts[decision] == Part::PastGate && prepared {
                actions.push(Action::Decide(index));
            }
            if !decided && !all(Part::Open) && !all(Part::Aborted) {
                actions.push(Action::Abort(index));
            }
            if tx.seen.is_none() && all(Part::Committed) {
                actions.push(Action::SeeOnLast(index));
            }
        }
    }

    fn read_actions(&self, state: &State, actions: &mut Vec<Action>) {
        match state.reader.action() {
            ReadAction::Take(wanted) => {
                for place in wanted {
                    match (state.places[place].batch, self.form) {
                        (Batch::None, _) => actions.push(Action::Send(place)),
                        (Batch::Sent, Form::Whole) => actions.push(Action::Snapshot(place)),
                        (Batch::Sent, Form::Bracketed) => actions.push(Action::ReadFirst(place)),
                        (Batch::FirstRead, _) => actions.push(Action::Bind(place)),
                        (Batch::Bound, _) => actions.push(Action::ReadSecond(place)),
                        (Batch::Answered, _) => actions.push(Action::Hear(place)),
                        (Batch::Heard, _) => {}
                    }
                }
            }
            ReadAction::Wait(lacking) => {
                for (place, txs) in lacking {
                    let shard = self.shard(place);
                    let held = (0..state.txs.len())
                        .filter(|index| txs.contains(&tx_id(*index)))
                        .any(|index| state.txs[index].parts[shard] == Part::Prepared);
                    if !held {
                        actions.push(Action::FindFree(place));
                    }
                }
            }
            ReadAction::Close(place) => {
                let shard = self.shard(place);
                let shared = |tx: &Tx| matches!(tx.parts[shard], Part::PastGate | Part::Prepared);
                match state.txs.iter().any(shared) {
                    true if state.mishaps < MISHAPS_MAX => actions.push(Action::TimeOut),
                    true => {}
                    false => actions.push(Action::CloseGate(place)),
                }
            }
            ReadAction::Open => actions.push(Action::OpenGates),
            ReadAction::Accept | ReadAction::GiveUp => {}
        }
        if self.gates == Gates::Needed && state.mishaps < MISHAPS_MAX {
            for shard in (0..SHARDS).filter(|shard| state.closed & bit(*shard) != 0) {
                actions.push(Action::LoseGate(shard));
            }
        }
    }
}

impl World for Commits {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let tx = Tx {
            parts: [Part::Open; SHARDS],
            seen: None,
            gone: 0,
        };
        let place = Place {
            batch: Batch::None,
            first: 0,
            snapshot: 0,
            second: 0,
            waited: 0,
        };
        let shards = self
            .reads
            .iter()
            .map(|shard| ShardId::new(*shard).expect("a small number"));
        State {
            txs: vec![tx; self.transactions.len()],
            reader: match self.gates {
                Gates::NotAtOnce => Read::new(self.rules, self.form, shards),
                Gates::Needed => Read::at_gate(self.rules, self.form, shards),
            },
            places: [place; SHARDS],
            closed: 0,
            lost: false,
            mishaps: 0,
            now: 0,
            waits: Waits::Once,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if matches!(state.reader.action(), ReadAction::Accept | ReadAction::GiveUp) {
            return;
        }
        self.commit_actions(state, actions);
        self.read_actions(state, actions);
        if state.now < self.ticks {
            actions.push(Action::Tick);
        }
    }

    fn after(&self, state: &State, action: Action) -> State {
        let mut s = state.clone();
        match action {
            Action::PassGate(tx, shard) => s.txs[tx].parts[shard] = Part::PastGate,
            Action::Prepare(tx, shard) => s.txs[tx].parts[shard] = Part::Prepared,
            Action::Decide(tx) => s.txs[tx].parts[self.transactions[tx][0]] = Part::Committed,
            Action::CommitPrepared(tx, shard) => s.txs[tx].parts[shard] = Part::Committed,
            Action::Abort(tx) => {
                for shard in &self.transactions[tx] {
                    s.txs[tx].parts[*shard] = Part::Aborted;
                }
            }
            Action::SeeOnLast(tx) => s.txs[tx].seen = Some(s.now),
            Action::DeleteMark(tx, shard) => s.txs[tx].gone |= bit(shard),
            Action::Tick => s.now += 1,
            Action::Send(place) => {
                s.places[place].batch = Batch::Sent;
                let now = Self::now(&s);
                Self::tell(&mut s, ReadEvent::Sent(place, now));
            }
            Action::ReadFirst(place) => {
                s.places[place].first = self.marks(&s, self.shard(place));
                s.places[place].batch = Batch::FirstRead;
            }
            Action::Bind(place) => {
                s.places[place].snapshot = self.visible(&s, self.shard(place));
                s.places[place].batch = Batch::Bound;
            }
            Action::ReadSecond(place) => {
                s.places[place].second = self.marks(&s, self.shard(place));
                s.places[place].batch = Batch::Answered;
            }
            Action::Snapshot(place) => {
                s.places[place].first = self.marks(&s, self.shard(place));
                s.places[place].snapshot = self.visible(&s, self.shard(place));
                s.places[place].second = 0;
                s.places[place].batch = Batch::Answered;
            }
            Action::Hear(place) => {
                s.places[place].batch = Batch::Heard;
                let lists = Lists {
                    first: self.list(s.places[place].first),
                    second: self.list(s.places[place].second),
                };
                let now = Self::now(&s);
                Self::tell(&mut s, ReadEvent::Taken(place, lists, now));
            }
            Action::FindFree(place) => Self::tell(&mut s, ReadEvent::Free(place)),
            Action::CloseGate(place) => {
                s.closed |= bit(self.shard(place));
                Self::tell(&mut s, ReadEvent::Closed);
            }
            Action::TimeOut => {
                s.mishaps += 1;
                Self::tell(&mut s, ReadEvent::ClosingTimedOut);
            }
            Action::LoseGate(shard) => {
                s.mishaps += 1;
                s.closed &= !bit(shard);
                s.lost = true;
            }
            Action::OpenGates => {
                let held = !s.lost;
                (s.closed, s.lost) = (0, false);
                Self::tell(&mut s, ReadEvent::Opened(held));
            }
        }
        s
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        if state.waits == Waits::Again {
            return Some("a reader never waits twice for one transaction at one place");
        }
        let whole = |(index, shards): (usize, &Vec<usize>)| {
            let places = self
                .reads
                .iter()
                .enumerate()
                .filter(|(_, shard)| shards.contains(shard));
            let mut seen = places.map(|(place, _)| state.places[place].snapshot & bit(index) != 0);
            let first = seen.next();
            seen.all(|one| Some(one) == first)
        };
        match state.reader.action() {
            ReadAction::Accept if !self.transactions.iter().enumerate().all(whole) => {
                Some("an accepted read sees each transaction on all of its shards or on none")
            }
            _ => None,
        }
    }
}
