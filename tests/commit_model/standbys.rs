//! A world in which every shard has a synchronous standby: two copies of each shard, what the primary has and what the
//! standby has. A failover loses no commit that was acknowledged under synchronous_commit = on. Tried on Postgres 15:
//! PREPARE under `off` or `local` doesn't wait for the standby; COMMIT and COMMIT PREPARED stay invisible while they wait,
//! but a crash and restart of the primary in that wait makes them visible though the standby lacks them; a standby lists
//! no gids.

use std::time::Duration;

use shardgate::transaction::{
    Ask, Asked, Clean, CleanAction, CleanEvent, Commit, CommitAction, CommitEvent, Durability, Ending, Holding,
    RETENTION, Recover, RecoverAction, RecoverEvent, Rules, Verdict,
};

use crate::search::World;

const PARTICIPANTS_MAX: usize = 2;
const FAILOVERS_MAX: u8 = 2;

/// The world's size and the machines' rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standbys {
    pub(crate) participants: usize,
    pub(crate) rules: Rules,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Tx {
    Open,
    Prepared,
    Committed,
    Aborted,
}

impl Tx {
    fn without_sessions(self) -> Tx {
        match self {
            Tx::Open => Tx::Aborted,
            other => other,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Participant {
    tx: Tx,
    copied: Tx,
    /// a COMMIT PREPARED waits for the standby
    waits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Committer {
    Alive(Commit),
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Task {
    Idle,
    Recovering(Recover),
    Cleaning(Clean),
}

/// Everything of one moment.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    p: [Participant; PARTICIPANTS_MAX],
    d: Tx,
    row: Option<Verdict>,
    d_copied: Tx,
    row_copied: Option<Verdict>,
    /// D's last commit waits for the standby
    d_waits: bool,
    decision_sent: bool,
    d_link: bool,
    committer: Committer,
    told: Option<Ending>,
    task: Task,
    failovers: u8,
    /// an hour has passed since the decision was sent: only then does anybody clean
    is_old: bool,
}

/// One step; numbers are places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    Prepare(usize),
    ReadPrepared(usize),
    LoseSession(usize),
    Copy(usize),
    Crash(usize),
    FailOver(usize),
    SendDecision,
    RunDecision,
    CopyD,
    CrashD,
    FailOverD,
    LoseSessionOfD,
    ReadDecision,
    NoticeCut,
    CommitterAsks,
    CommitterReads,
    CommitPrepared(usize),
    RollbackPrepared(usize),
    HearApplied(usize),
    RolledBack,
    Answer,
    CrashCommitter,
    Start,
    Ask,
    Read,
    Look,
    Rest,
    StartCleaning,
    CleanReads,
    CleanLooks(usize, Holding),
    CleanAsksX,
    CleanDeletes,
}

const OLD: Duration = Duration::from_secs(RETENTION.as_secs() * 2);

impl Standbys {
    fn wait(durability: Durability) -> bool {
        durability == Durability::Synchronous
    }

    fn since_sent(state: &State) -> Duration {
        if state.is_old { OLD } else { Duration::ZERO }
    }

    fn is_listed(p: Participant) -> bool {
        p.tx == Tx::Prepared || p.waits
    }

    /// May a row that says this be read, and made sure of, on one connection?
    fn may_read(state: &State, durability: Durability) -> bool {
        let is_commit = state.row == Some(Verdict::Commit);
        !state.d_waits && (!is_commit || !Self::wait(durability) || state.row_copied == state.row)
    }

    /// Who applies what, and must it wait?
    fn applying(state: &State) -> [Option<(Verdict, Durability)>; 2] {
        let committer = match state.committer {
            Committer::Alive(machine) => match machine.action() {
                CommitAction::Apply(durability) => Some((Verdict::Commit, durability)),
                CommitAction::RollBack => Some((Verdict::Abort, Durability::AsSet)),
                _ => None,
            },
            Committer::Over => None,
        };
        let recoverer = match state.task {
            Task::Recovering(machine) => match machine.action() {
                RecoverAction::Apply(verdict, durability) => Some((verdict, durability)),
                _ => None,
            },
            Task::Idle | Task::Cleaning(_) => None,
        };
        [committer, recoverer]
    }

    fn settles(&self, state: &State) -> bool {
        let mut s = state.clone();
        s.d = s.d.without_sessions();
        for p in s.p.iter_mut().take(self.participants) {
            p.tx = p.tx.without_sessions();
            if p.tx == Tx::Prepared {
                p.tx = match *s.row.get_or_insert(Verdict::Abort) {
                    Verdict::Commit => Tx::Committed,
                    Verdict::Abort => Tx::Aborted,
                };
            }
        }
        s.p.iter().take(self.participants).all(|p| p.tx == s.d)
    }
}

impl World for Standbys {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let open = Participant {
            tx: Tx::Open,
            copied: Tx::Open,
            waits: false,
        };
        State {
            p: [open; PARTICIPANTS_MAX],
            d: Tx::Open,
            row: None,
            d_copied: Tx::Open,
            row_copied: None,
            d_waits: false,
            decision_sent: false,
            d_link: true,
            committer: Committer::Alive(Commit::new(self.rules, self.participants)),
            told: None,
            task: Task::Idle,
            failovers: 0,
            is_old: false,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let machine = match state.committer {
            Committer::Alive(machine) => {
                actions.push(Action::CrashCommitter);
                Some(machine.action())
            }
            Committer::Over => None,
        };
        for place in 0..self.participants {
            let p = state.p[place];
            if p.tx == Tx::Open {
                actions.extend([Action::Prepare(place), Action::LoseSession(place)]);
            }
            if let Some(CommitAction::Prepare(durability)) = machine
                && p.tx == Tx::Prepared
                && (!Self::wait(durability) || p.copied == Tx::Prepared)
            {
                actions.push(Action::ReadPrepared(place));
            }
            if p.copied != p.tx && p.tx != Tx::Open {
                actions.push(Action::Copy(place));
            }
            actions.push(Action::Crash(place));
            if state.failovers < FAILOVERS_MAX {
                actions.push(Action::FailOver(place));
            }
            if p.tx == Tx::Prepared {
                for (verdict, _) in Self::applying(state).into_iter().flatten() {
                    actions.push(match verdict {
                        Verdict::Commit => Action::CommitPrepared(place),
                        Verdict::Abort => Action::RollbackPrepared(place),
                    });
                }
            }
            if let Some(CommitAction::Apply(durability)) = machine
                && p.tx == Tx::Committed
                && !p.waits
                && (!Self::wait(durability) || p.copied == Tx::Committed)
            {
                actions.push(Action::HearApplied(place));
            }
        }
        match machine {
            Some(CommitAction::Decide) if !state.decision_sent && state.d == Tx::Open && state.d_link => {
                actions.push(Action::SendDecision);
            }
            Some(CommitAction::Decide) if state.d_link && state.d == Tx::Committed && !state.d_waits => {
                actions.push(Action::ReadDecision);
            }
            Some(CommitAction::Decide) if !state.d_link => actions.push(Action::NoticeCut),
            Some(CommitAction::Ask(Ask::Insert, _)) if !state.d_waits => actions.push(Action::CommitterAsks),
            Some(CommitAction::Ask(Ask::Read, durability)) if Self::may_read(state, durability) => {
                actions.push(Action::CommitterReads);
            }
            Some(CommitAction::RollBack) => actions.push(Action::RolledBack),
            Some(CommitAction::Answer(_)) => actions.push(Action::Answer),
            Some(_) | None => {}
        }
        if state.decision_sent && state.d == Tx::Open {
            actions.push(Action::RunDecision);
        }
        if state.d == Tx::Open {
            actions.push(Action::LoseSessionOfD);
        }
        if state.row != state.row_copied || state.d != state.d_copied {
            actions.push(Action::CopyD);
        }
        actions.push(Action::CrashD);
        if state.failovers < FAILOVERS_MAX {
            actions.push(Action::FailOverD);
        }
        match state.task {
            Task::Idle => {
                if state.p.iter().take(self.participants).any(|p| p.tx == Tx::Prepared) {
                    actions.push(Action::Start);
                }
                if state.row.is_some() && !state.d_waits {
                    actions.push(Action::StartCleaning);
                }
            }
            Task::Recovering(machine) => {
                actions.push(Action::Rest);
                match machine.action() {
                    RecoverAction::Ask(Ask::Insert, _) if !state.d_waits => actions.push(Action::Ask),
                    RecoverAction::Ask(Ask::Read, durability) if Self::may_read(state, durability) => {
                        actions.push(Action::Read);
                    }
                    RecoverAction::Look => actions.push(Action::Look),
                    _ => {}
                }
            }
            Task::Cleaning(machine) => {
                actions.push(Action::Rest);
                match machine.action() {
                    CleanAction::Read if !state.d_waits => actions.push(Action::CleanReads),
                    CleanAction::Look(durability) => {
                        for place in 0..self.participants {
                            let p = state.p[place];
                            if !Self::is_listed(p) && (!Self::wait(durability) || p.copied == p.tx) {
                                actions.push(Action::CleanLooks(place, Holding::Gone));
                            }
                            actions.push(Action::CleanLooks(place, Holding::Standby));
                        }
                    }
                    CleanAction::AskX => actions.push(Action::CleanAsksX),
                    CleanAction::Delete(_) => actions.push(Action::CleanDeletes),
                    _ => {}
                }
            }
        }
    }

    fn after(&self, state: &State, action: Action) -> State {
        let mut s = state.clone();
        let on = |s: &mut State, event: CommitEvent| {
            if let Committer::Alive(machine) = &mut s.committer {
                machine.on(event);
            }
        };
        let hear = |s: &mut State, event: RecoverEvent| {
            if let Task::Recovering(machine) = &mut s.task {
                machine.on(event);
            }
        };
        let clean = |s: &mut State, event: CleanEvent| {
            if let Task::Cleaning(machine) = &mut s.task {
                machine.on(event);
            }
        };
        match action {
            Action::Prepare(place) => s.p[place].tx = Tx::Prepared,
            Action::ReadPrepared(place) => on(&mut s, CommitEvent::Prepared(place)),
            Action::LoseSession(place) => {
                s.p[place].tx = Tx::Aborted;
                on(&mut s, CommitEvent::PrepareFailed);
            }
            Action::Copy(place) => {
                s.p[place].waits = false;
                s.p[place].copied = s.p[place].tx;
            }
            Action::Crash(place) => {
                s.p[place].tx = s.p[place].tx.without_sessions();
                s.p[place].waits = false;
            }
            Action::FailOver(place) => {
                let p = &mut s.p[place];
                p.tx = p.copied.without_sessions();
                p.copied = p.tx;
                p.waits = false;
                s.failovers += 1;
            }
            Action::SendDecision => {
                if let Committer::Alive(machine) = &mut s.committer {
                    machine.sent_decision();
                }
                s.decision_sent = true;
            }
            Action::RunDecision => {
                if s.row.is_none() {
                    (s.d, s.row, s.d_waits) = (Tx::Committed, Some(Verdict::Commit), true);
                } else {
                    s.d = Tx::Aborted;
                    if s.d_link {
                        on(&mut s, CommitEvent::DecisionFailed);
                    }
                }
            }
            Action::LoseSessionOfD => {
                (s.d, s.decision_sent, s.d_link) = (Tx::Aborted, false, false);
            }
            Action::CopyD => {
                (s.row_copied, s.d_copied, s.d_waits) = (s.row, s.d, false);
            }
            Action::CrashD => {
                s.d = s.d.without_sessions();
                (s.decision_sent, s.d_link, s.d_waits) = (false, false, false);
            }
            Action::FailOverD => {
                s.d = match s.d_copied {
                    Tx::Committed => Tx::Committed,
                    _ => Tx::Aborted,
                };
                s.row = s.row_copied;
                s.d_copied = s.d;
                (s.decision_sent, s.d_link, s.d_waits) = (false, false, false);
                s.failovers += 1;
            }
            Action::ReadDecision => on(&mut s, CommitEvent::Decided),
            Action::NoticeCut => on(&mut s, CommitEvent::DecisionLost),
            Action::CommitterAsks => {
                let asked = if s.row.is_none() { Asked::Inserted } else { Asked::Taken };
                s.row.get_or_insert(Verdict::Abort);
                let since = Self::since_sent(&s);
                on(&mut s, CommitEvent::Asked(asked, since));
            }
            Action::CommitterReads => {
                let row = s.row;
                let since = Self::since_sent(&s);
                on(&mut s, CommitEvent::Asked(Asked::Row(row), since));
            }
            Action::CommitPrepared(place) => {
                let waits = Self::applying(&s)
                    .into_iter()
                    .flatten()
                    .any(|(verdict, durability)| verdict == Verdict::Commit && Self::wait(durability));
                s.p[place].tx = Tx::Committed;
                s.p[place].waits = waits;
            }
            Action::RollbackPrepared(place) => s.p[place].tx = Tx::Aborted,
            Action::HearApplied(place) => on(&mut s, CommitEvent::Applied(place)),
            Action::RolledBack => on(&mut s, CommitEvent::RolledBack),
            Action::Answer => {
                if let Committer::Alive(machine) = s.committer
                    && let CommitAction::Answer(ending) = machine.action()
                {
                    s.told = Some(ending);
                    if machine.may_forget() {
                        s.row = s.row.filter(|verdict| *verdict != Verdict::Commit);
                    }
                }
                s.committer = Committer::Over;
            }
            Action::CrashCommitter => {
                s.committer = Committer::Over;
                s.d_link = false;
            }
            Action::Start => s.task = Task::Recovering(Recover::new(self.rules)),
            Action::Ask => {
                let asked = if s.row.is_none() { Asked::Inserted } else { Asked::Taken };
                s.row.get_or_insert(Verdict::Abort);
                hear(&mut s, RecoverEvent::Asked(asked));
            }
            Action::Read => {
                let row = s.row;
                hear(&mut s, RecoverEvent::Asked(Asked::Row(row)));
            }
            Action::Look => {
                let seen = s.p.iter().take(self.participants).any(|p| Self::is_listed(*p));
                hear(
                    &mut s,
                    if seen {
                        RecoverEvent::Seen
                    } else {
                        RecoverEvent::SeenNone
                    },
                );
            }
            Action::Rest => s.task = Task::Idle,
            Action::StartCleaning => {
                s.task = Task::Cleaning(Clean::new(self.rules, self.participants));
                s.is_old = true;
            }
            Action::CleanReads => {
                let event = s.row.map_or(CleanEvent::NoRow, |verdict| CleanEvent::Row(verdict, OLD));
                clean(&mut s, event);
            }
            Action::CleanLooks(place, holding) => clean(&mut s, CleanEvent::Looked(place, holding)),
            Action::CleanAsksX => {
                let ended = s.d != Tx::Open;
                clean(
                    &mut s,
                    if ended {
                        CleanEvent::XEnded
                    } else {
                        CleanEvent::XInProgress
                    },
                );
            }
            Action::CleanDeletes => {
                if let Task::Cleaning(machine) = s.task
                    && let CleanAction::Delete(verdict) = machine.action()
                {
                    s.row = s.row.filter(|said| *said != verdict);
                }
                s.task = Task::Idle;
            }
        }
        match s.task {
            Task::Recovering(machine) if machine.action() == RecoverAction::Rest => s.task = Task::Idle,
            Task::Cleaning(machine) if machine.action() == CleanAction::Keep => s.task = Task::Idle,
            Task::Recovering(_) | Task::Cleaning(_) | Task::Idle => {}
        }
        s
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let parts = state.p.iter().take(self.participants);
        let committed = state.d == Tx::Committed || parts.clone().any(|p| p.tx == Tx::Committed);
        let aborted = state.d == Tx::Aborted || parts.clone().any(|p| p.tx == Tx::Aborted);
        if committed && aborted {
            return Some("all or none: one shard committed while another aborted");
        }
        match state.told {
            Some(Ending::Committed | Ending::CommittedInPart) if state.d != Tx::Committed => {
                return Some("a transaction acknowledged as committed is not lost");
            }
            Some(Ending::Aborted) if state.d == Tx::Committed => {
                return Some("a transaction reported as rolled back is never committed");
            }
            Some(_) | None => {}
        }
        (!self.settles(state)).then_some("once everything is up and recovered: all or none")
    }
}
