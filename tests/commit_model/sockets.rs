//! A world in which a statement that was sent lies in a socket of its shard, and may run long after its sender died, or
//! never. A crash of a shard (it restarts at once) loses open transactions and every socket; prepared transactions and
//! committed rows stay. A proxy may crash between any two steps.

use std::cmp::Ordering;
use std::time::Duration;

use shardgate::transaction::{
    Ask, Asked, Clean, CleanAction, CleanEvent, Commit, CommitAction, CommitEvent, Ending, Holding, RETENTION, Recover,
    RecoverAction, RecoverEvent, Rule, Rules, Verdict,
};

use crate::search::{World, fingerprint};

const PARTICIPANTS_MAX: usize = 2;
const RECOVERERS_MAX: usize = 2;

/// The world's size and the machines' rules.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sockets {
    pub(crate) participants: usize,
    pub(crate) recoverers: usize,
    pub(crate) rules: Rules,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Tx {
    Open,
    Prepared,
    Committed,
    Aborted,
}

/// PREPARE in the committer's session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Sent {
    No,
    InSocket,
    AnsweredOk,
    AnsweredError,
    Read,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Participant {
    tx: Tx,
    prepare: Sent,
    /// the committer's connection
    link: bool,
    /// somebody's COMMIT PREPARED, ROLLBACK PREPARED lies in a socket
    commit: bool,
    rollback: bool,
}

/// The decision shard's transaction; `Inserted`: the row is there, not committed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum AtD {
    Open,
    Inserted,
    Committed,
    Aborted,
}

/// What of the decision still lies in D's socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum InSocketOfD {
    Nothing,
    InsertAndCommit,
    Commit,
}

/// The committer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Committer {
    Alive(Commit),
    Done,
    Dead,
}

/// Who has inserted the abort row without having committed it yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Holder {
    Nobody,
    Committer,
    Recoverer(u8),
    Orphan,
}

/// What another proxy is at.
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
    d: AtD,
    d_link: bool,
    d_socket: InSocketOfD,
    d_answer: Option<bool>,
    row: Option<Verdict>,
    committer: Committer,
    told: Option<Ending>,
    tasks: [Task; RECOVERERS_MAX],
    /// INSERT of the abort row, DELETE of the commit row, of the abort row, in a socket of D, their sender gone
    orphan_insert: bool,
    delete_commit: bool,
    delete_abort: bool,
    holder: Holder,
    /// verdicts that recoverers have come to
    saw_commit: bool,
    saw_abort: bool,
    /// since the decision was sent: at once; beyond half the retention; beyond all of it
    age: u8,
}

/// One step; numbers are places.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Action {
    SendPrepares,
    Prepare(usize),
    PrepareFails(usize),
    ReadPrepared(usize),
    CutParticipant(usize),
    ParticipantSeesCut(usize),
    LosePrepare(usize),
    CrashParticipant(usize),
    GiveUp,
    SendDecision,
    RunInsert,
    InsertFails,
    RunCommit,
    CommitFails,
    ReadDecision,
    CutD,
    DSeesCut,
    LoseDecision,
    CrashD,
    NoticeCut,
    CommitterInserts,
    CommitterReads,
    CommitterLosesQuestion,
    SendCommit(usize),
    SendRollback(usize),
    HearApplied(usize),
    GiveUpOn(usize),
    RolledBack,
    Answer { forget: bool },
    CrashCommitter,
    Start(usize),
    Insert(usize),
    Read(usize),
    SeeGid(usize),
    SeeNone(usize),
    Apply(usize, usize),
    Applied(usize),
    StartCleaning(usize),
    CleanLooks(usize, usize, Holding),
    CleanReads(usize),
    CleanAsksX(usize),
    CleanDeletes(usize),
    CrashRecoverer(usize),
    RunCommitPrepared(usize),
    RunRollbackPrepared(usize),
    LoseCommitPrepared(usize),
    LoseRollbackPrepared(usize),
    RunOrphanInsert,
    LoseOrphanInsert,
    CommitAbortRow,
    LoseAbortRow,
    RunDeleteCommit,
    RunDeleteAbort,
    LoseDelete,
    TimePasses,
}

const NO_LONG: Duration = Duration::ZERO;

impl Sockets {
    fn since_sent(state: &State) -> Duration {
        match state.age {
            0 => NO_LONG,
            1 => RETENTION / 4 * 3,
            _ => RETENTION * 2,
        }
    }

    fn d_is_free(state: &State) -> bool {
        state.d != AtD::Inserted && state.holder == Holder::Nobody
    }

    fn any_gid(&self, state: &State) -> bool {
        state.p.iter().take(self.participants).any(|p| p.tx == Tx::Prepared)
    }

    /// What makes no difference any more is forgotten, so that equal futures are one state.
    fn tidy(&self, state: &mut State) {
        let action = match state.committer {
            Committer::Alive(machine) => Some(machine.action()),
            Committer::Done | Committer::Dead => None,
        };
        let preparing = matches!(action, Some(CommitAction::Prepare(_)))
            || (action == Some(CommitAction::Decide) && state.p.iter().any(|p| p.link));
        for p in &mut state.p {
            if !preparing {
                p.link = false;
                if p.prepare != Sent::InSocket {
                    p.prepare = Sent::No;
                }
            }
            if matches!(p.tx, Tx::Committed | Tx::Aborted) {
                (p.commit, p.rollback) = (false, false);
                if p.prepare == Sent::InSocket {
                    p.prepare = Sent::No;
                }
            }
        }
        if matches!(state.d, AtD::Committed | AtD::Aborted) {
            state.d_socket = InSocketOfD::Nothing;
        }
        if !matches!(action, Some(CommitAction::Prepare(_) | CommitAction::Decide)) {
            state.d_link = false;
            state.d_answer = None;
        }
        for task in &mut state.tasks {
            match task {
                Task::Recovering(machine) => match machine.action() {
                    RecoverAction::Apply(Verdict::Commit, _) => state.saw_commit = true,
                    RecoverAction::Apply(Verdict::Abort, _) => state.saw_abort = true,
                    RecoverAction::Rest => *task = Task::Idle,
                    RecoverAction::Ask(..) | RecoverAction::Look => {}
                },
                Task::Cleaning(machine) if machine.action() == CleanAction::Keep => *task = Task::Idle,
                Task::Cleaning(_) | Task::Idle => {}
            }
        }
        if self.recoverers < RECOVERERS_MAX {
            return;
        }
        // Recoverers are alike: which is first makes no difference.
        let other = |holder: Holder| match holder {
            Holder::Recoverer(who) => Holder::Recoverer(1 - who),
            Holder::Nobody | Holder::Committer | Holder::Orphan => holder,
        };
        let [first, second] = &state.tasks;
        match fingerprint(first).cmp(&fingerprint(second)) {
            Ordering::Greater => {
                state.tasks.swap(0, 1);
                state.holder = other(state.holder);
            }
            Ordering::Equal if state.holder == Holder::Recoverer(1) => state.holder = Holder::Recoverer(0),
            Ordering::Equal | Ordering::Less => {}
        }
    }

    fn committer_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let Committer::Alive(machine) = state.committer else {
            return;
        };
        actions.push(Action::CrashCommitter);
        let action = machine.action();
        let unsent = state
            .p
            .iter()
            .take(self.participants)
            .all(|p| p.prepare == Sent::No && p.link);
        match action {
            CommitAction::Prepare(_) if unsent => actions.push(Action::SendPrepares),
            CommitAction::Prepare(_) => actions.push(Action::GiveUp),
            CommitAction::Decide => {
                let is_sent = state.d_socket != InSocketOfD::Nothing || state.d != AtD::Open;
                if !is_sent && state.d_link {
                    actions.push(Action::SendDecision);
                }
                if state.d_answer.is_some() {
                    actions.push(Action::ReadDecision);
                } else if !state.d_link {
                    actions.push(Action::NoticeCut);
                }
            }
            CommitAction::Ask(Ask::Insert, _) => {
                if state.holder != Holder::Committer && Self::d_is_free(state) {
                    actions.push(Action::CommitterInserts);
                }
                if state.holder == Holder::Committer || !state.orphan_insert {
                    actions.push(Action::CommitterLosesQuestion);
                }
            }
            CommitAction::Ask(Ask::Read, _) => actions.push(Action::CommitterReads),
            CommitAction::Apply(_) => {
                for place in 0..self.participants {
                    let p = state.p[place];
                    if p.tx == Tx::Prepared && !p.commit {
                        actions.push(Action::SendCommit(place));
                    }
                    if p.tx == Tx::Committed {
                        actions.push(Action::HearApplied(place));
                    }
                    actions.push(Action::GiveUpOn(place));
                }
            }
            CommitAction::RollBack => {
                for place in 0..self.participants {
                    let p = state.p[place];
                    if matches!(p.tx, Tx::Prepared | Tx::Open) && !p.rollback {
                        actions.push(Action::SendRollback(place));
                    }
                }
                actions.push(Action::RolledBack);
            }
            CommitAction::Answer(_) => {
                actions.push(Action::Answer { forget: false });
                if machine.may_forget() {
                    actions.push(Action::Answer { forget: true });
                }
            }
        }
    }

    fn shard_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let is_preparing = matches!(state.committer, Committer::Alive(machine)
            if matches!(machine.action(), CommitAction::Prepare(_)));
        for place in 0..self.participants {
            let p = state.p[place];
            if p.prepare == Sent::InSocket && p.tx == Tx::Open {
                actions.extend([Action::Prepare(place), Action::PrepareFails(place)]);
            }
            if matches!(p.prepare, Sent::AnsweredOk | Sent::AnsweredError) && p.link && is_preparing {
                actions.push(Action::ReadPrepared(place));
            }
            if p.link {
                actions.push(Action::CutParticipant(place));
            }
            if !p.link && p.prepare != Sent::InSocket && p.tx == Tx::Open {
                actions.push(Action::ParticipantSeesCut(place));
            }
            if !p.link && p.prepare == Sent::InSocket {
                actions.push(Action::LosePrepare(place));
            }
            actions.push(Action::CrashParticipant(place));
            if p.commit {
                actions.extend([Action::RunCommitPrepared(place), Action::LoseCommitPrepared(place)]);
            }
            if p.rollback {
                actions.extend([Action::RunRollbackPrepared(place), Action::LoseRollbackPrepared(place)]);
            }
        }
        if state.d_socket == InSocketOfD::InsertAndCommit && state.d == AtD::Open {
            if state.holder == Holder::Nobody {
                actions.push(Action::RunInsert);
            }
            actions.push(Action::InsertFails);
        }
        if state.d_socket == InSocketOfD::Commit && state.d == AtD::Inserted {
            actions.extend([Action::RunCommit, Action::CommitFails]);
        }
        if state.holder != Holder::Nobody {
            actions.extend([Action::CommitAbortRow, Action::LoseAbortRow]);
        }
        if state.d_link {
            actions.push(Action::CutD);
        }
        if !state.d_link && matches!(state.d, AtD::Open | AtD::Inserted) {
            actions.push(match state.d_socket {
                InSocketOfD::Nothing => Action::DSeesCut,
                InSocketOfD::InsertAndCommit | InSocketOfD::Commit => Action::LoseDecision,
            });
        }
        actions.push(Action::CrashD);
        if state.orphan_insert {
            actions.push(Action::LoseOrphanInsert);
            if Self::d_is_free(state) {
                actions.push(Action::RunOrphanInsert);
            }
        }
        if state.delete_commit {
            actions.push(Action::RunDeleteCommit);
        }
        if state.delete_abort {
            actions.push(Action::RunDeleteAbort);
        }
        if state.delete_commit || state.delete_abort {
            actions.push(Action::LoseDelete);
        }
    }

    fn task_actions(&self, state: &State, who: usize, actions: &mut Vec<Action>) {
        let holds = state.holder == recoverer(who);
        match state.tasks[who] {
            Task::Idle => {
                if self.any_gid(state) {
                    actions.push(Action::Start(who));
                }
                if state.row.is_some() || !self.rules.has(Rule::RowBeforeLook) {
                    actions.push(Action::StartCleaning(who));
                }
                return;
            }
            Task::Recovering(machine) => match machine.action() {
                RecoverAction::Ask(Ask::Insert, _) => {
                    if !holds && Self::d_is_free(state) {
                        actions.push(Action::Insert(who));
                    }
                    if !holds && state.orphan_insert {
                        return; // one orphan is enough
                    }
                }
                RecoverAction::Ask(Ask::Read, _) => actions.push(Action::Read(who)),
                RecoverAction::Look => {
                    if self.any_gid(state) {
                        actions.push(Action::SeeGid(who));
                    }
                    actions.push(Action::SeeNone(who));
                }
                RecoverAction::Apply(verdict, _) => {
                    for place in 0..self.participants {
                        let p = state.p[place];
                        let is_new = match verdict {
                            Verdict::Commit => p.tx == Tx::Prepared && !p.commit,
                            Verdict::Abort => matches!(p.tx, Tx::Prepared | Tx::Open) && !p.rollback,
                        };
                        if is_new {
                            actions.push(Action::Apply(who, place));
                        }
                    }
                    actions.push(Action::Applied(who));
                    return; // a crash here is the same as being done
                }
                RecoverAction::Rest => {}
            },
            Task::Cleaning(machine) => match machine.action() {
                CleanAction::Read => actions.push(Action::CleanReads(who)),
                CleanAction::Look(_) => {
                    for place in 0..self.participants {
                        if state.p[place].tx != Tx::Prepared {
                            actions.push(Action::CleanLooks(who, place, Holding::Gone));
                        }
                        actions.push(Action::CleanLooks(who, place, Holding::Silent));
                    }
                }
                CleanAction::AskX => actions.push(Action::CleanAsksX(who)),
                CleanAction::Delete(_) => actions.push(Action::CleanDeletes(who)),
                CleanAction::Keep => {}
            },
        }
        actions.push(Action::CrashRecoverer(who));
    }

    /// Everything is up again, everybody is dead; what lies in sockets runs, or is lost: recovery must end in one state.
    fn settles(&self, state: &State, lose: bool) -> bool {
        let mut s = state.clone();
        for p in s.p.iter_mut().take(self.participants) {
            if !lose && p.prepare == Sent::InSocket && p.tx == Tx::Open {
                p.tx = Tx::Prepared;
            }
            if p.tx == Tx::Open {
                p.tx = Tx::Aborted;
            }
        }
        if !lose {
            if s.holder != Holder::Nobody {
                s.row = Some(Verdict::Abort);
            }
            if s.d_socket == InSocketOfD::InsertAndCommit && s.d == AtD::Open {
                s.d = if s.row.is_none() { AtD::Inserted } else { AtD::Aborted };
            }
            if s.d_socket != InSocketOfD::Nothing && s.d == AtD::Inserted {
                (s.d, s.row) = (AtD::Committed, Some(Verdict::Commit));
            }
        }
        if matches!(s.d, AtD::Open | AtD::Inserted) {
            s.d = AtD::Aborted;
        }
        if !lose {
            let asks = |task: &Task| {
                matches!(task, Task::Recovering(machine)
                if matches!(machine.action(), RecoverAction::Ask(Ask::Insert, _)))
            };
            let committer_asks = matches!(s.committer, Committer::Alive(machine)
                if matches!(machine.action(), CommitAction::Ask(Ask::Insert, _)));
            if s.row.is_none() && (s.orphan_insert || committer_asks || s.tasks.iter().any(asks)) {
                s.row = Some(Verdict::Abort);
            }
            for p in s.p.iter_mut().take(self.participants).filter(|p| p.tx == Tx::Prepared) {
                if p.commit {
                    p.tx = Tx::Committed;
                } else if p.rollback {
                    p.tx = Tx::Aborted;
                }
            }
            if (s.delete_commit && s.row == Some(Verdict::Commit)) || (s.delete_abort && s.row == Some(Verdict::Abort))
            {
                s.row = None;
            }
        }
        for p in s.p.iter_mut().take(self.participants).filter(|p| p.tx == Tx::Prepared) {
            p.tx = match *s.row.get_or_insert(Verdict::Abort) {
                Verdict::Commit => Tx::Committed,
                Verdict::Abort => Tx::Aborted,
            };
        }
        let wanted = if s.d == AtD::Committed {
            Tx::Committed
        } else {
            Tx::Aborted
        };
        s.p.iter().take(self.participants).all(|p| p.tx == wanted)
    }
}

fn recoverer(who: usize) -> Holder {
    Holder::Recoverer(u8::try_from(who).unwrap_or(u8::MAX))
}

impl World for Sockets {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let participant = Participant {
            tx: Tx::Open,
            prepare: Sent::No,
            link: true,
            commit: false,
            rollback: false,
        };
        let absent = Participant {
            tx: Tx::Aborted,
            link: false,
            ..participant
        };
        let mut p = [absent; PARTICIPANTS_MAX];
        p.iter_mut().take(self.participants).for_each(|p| *p = participant);
        State {
            p,
            d: AtD::Open,
            d_link: true,
            d_socket: InSocketOfD::Nothing,
            d_answer: None,
            row: None,
            committer: Committer::Alive(Commit::new(self.rules, self.participants)),
            told: None,
            tasks: [Task::Idle; RECOVERERS_MAX],
            orphan_insert: false,
            delete_commit: false,
            delete_abort: false,
            holder: Holder::Nobody,
            saw_commit: false,
            saw_abort: false,
            age: 0,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.committer_actions(state, actions);
        self.shard_actions(state, actions);
        for who in 0..self.recoverers {
            self.task_actions(state, who, actions);
        }
        let preparing = matches!(state.committer, Committer::Alive(machine)
            if matches!(machine.action(), CommitAction::Prepare(_)));
        if state.age < 2 && !preparing {
            actions.push(Action::TimePasses);
        }
    }

    fn after(&self, state: &State, action: Action) -> State {
        let mut s = state.clone();
        let since = Self::since_sent(&s);
        let on = |s: &mut State, event: CommitEvent| {
            if let Committer::Alive(machine) = &mut s.committer {
                machine.on(event);
            }
        };
        let hear = |s: &mut State, who: usize, event: RecoverEvent| {
            if let Task::Recovering(machine) = &mut s.tasks[who] {
                machine.on(event);
            }
        };
        let clean = |s: &mut State, who: usize, event: CleanEvent| {
            if let Task::Cleaning(machine) = &mut s.tasks[who] {
                machine.on(event);
            }
        };
        match action {
            Action::SendPrepares => {
                let linked = s.p.iter_mut().take(self.participants).filter(|p| p.link);
                linked.for_each(|p| p.prepare = Sent::InSocket);
            }
            Action::Prepare(place) | Action::PrepareFails(place) => {
                let p = &mut s.p[place];
                let went = matches!(action, Action::Prepare(_));
                p.tx = if went { Tx::Prepared } else { Tx::Aborted };
                p.prepare = match (p.link, went) {
                    (false, _) => Sent::No,
                    (true, true) => Sent::AnsweredOk,
                    (true, false) => Sent::AnsweredError,
                };
            }
            Action::ReadPrepared(place) => {
                let went = s.p[place].prepare == Sent::AnsweredOk;
                s.p[place].prepare = Sent::Read;
                on(
                    &mut s,
                    if went {
                        CommitEvent::Prepared(place)
                    } else {
                        CommitEvent::PrepareFailed
                    },
                );
            }
            Action::CutParticipant(place) => {
                let p = &mut s.p[place];
                p.link = false;
                if matches!(p.prepare, Sent::AnsweredOk | Sent::AnsweredError) {
                    p.prepare = Sent::No;
                }
            }
            Action::ParticipantSeesCut(place) => s.p[place].tx = Tx::Aborted,
            Action::LosePrepare(place) => {
                s.p[place].prepare = Sent::No;
                if s.p[place].tx == Tx::Open {
                    s.p[place].tx = Tx::Aborted;
                }
            }
            Action::CrashParticipant(place) => {
                let p = &mut s.p[place];
                if p.tx == Tx::Open {
                    p.tx = Tx::Aborted;
                }
                p.link = false;
                if p.prepare != Sent::Read {
                    p.prepare = Sent::No;
                }
                (p.commit, p.rollback) = (false, false);
            }
            Action::GiveUp => on(&mut s, CommitEvent::PrepareFailed),
            Action::SendDecision => {
                if let Committer::Alive(machine) = &mut s.committer {
                    machine.sent_decision();
                }
                s.d_socket = InSocketOfD::InsertAndCommit;
            }
            Action::RunInsert => {
                if s.row.is_none() {
                    (s.d, s.d_socket) = (AtD::Inserted, InSocketOfD::Commit);
                } else {
                    (s.d, s.d_socket) = (AtD::Aborted, InSocketOfD::Nothing);
                    s.d_answer = s.d_link.then_some(false);
                }
            }
            Action::InsertFails | Action::CommitFails => {
                (s.d, s.d_socket) = (AtD::Aborted, InSocketOfD::Nothing);
                s.d_answer = s.d_link.then_some(false);
            }
            Action::RunCommit => {
                (s.d, s.row, s.d_socket) = (AtD::Committed, Some(Verdict::Commit), InSocketOfD::Nothing);
                s.d_answer = s.d_link.then_some(true);
            }
            Action::ReadDecision => {
                let went = s.d_answer.take() == Some(true);
                on(
                    &mut s,
                    if went {
                        CommitEvent::Decided
                    } else {
                        CommitEvent::DecisionFailed
                    },
                );
            }
            Action::CutD => (s.d_link, s.d_answer) = (false, None),
            Action::DSeesCut => s.d = AtD::Aborted,
            Action::LoseDecision => (s.d, s.d_socket) = (AtD::Aborted, InSocketOfD::Nothing),
            Action::CrashD => {
                if matches!(s.d, AtD::Open | AtD::Inserted) {
                    s.d = AtD::Aborted;
                }
                (s.d_socket, s.d_answer, s.d_link) = (InSocketOfD::Nothing, None, false);
                (s.orphan_insert, s.delete_commit, s.delete_abort) = (false, false, false);
                s.holder = Holder::Nobody;
                for task in &mut s.tasks {
                    if matches!(task, Task::Recovering(machine)
                        if matches!(machine.action(), RecoverAction::Ask(Ask::Insert, _)))
                    {
                        *task = Task::Idle;
                    }
                }
            }
            Action::NoticeCut => on(&mut s, CommitEvent::DecisionLost),
            Action::CommitterInserts => {
                if s.row.is_none() {
                    s.holder = Holder::Committer;
                } else {
                    on(&mut s, CommitEvent::Asked(Asked::Taken, since));
                }
            }
            Action::CommitterReads => {
                let row = s.row;
                on(&mut s, CommitEvent::Asked(Asked::Row(row), since));
            }
            Action::CommitterLosesQuestion => {
                if s.holder == Holder::Committer {
                    s.holder = Holder::Orphan;
                } else {
                    s.orphan_insert = true;
                }
            }
            Action::SendCommit(place) => s.p[place].commit = true,
            Action::SendRollback(place) => s.p[place].rollback = true,
            Action::HearApplied(place) => on(&mut s, CommitEvent::Applied(place)),
            Action::GiveUpOn(place) => on(&mut s, CommitEvent::Unreached(place)),
            Action::RolledBack => on(&mut s, CommitEvent::RolledBack),
            Action::Answer { forget } => {
                if let Committer::Alive(machine) = s.committer
                    && let CommitAction::Answer(ending) = machine.action()
                {
                    s.told = Some(ending);
                    s.delete_commit |= forget;
                }
                s.committer = Committer::Done;
            }
            Action::CrashCommitter => {
                if s.holder == Holder::Committer {
                    s.holder = Holder::Orphan;
                } else if matches!(s.committer, Committer::Alive(machine)
                    if matches!(machine.action(), CommitAction::Ask(Ask::Insert, _)))
                {
                    s.orphan_insert = true;
                }
                s.committer = Committer::Dead;
                (s.d_link, s.d_answer) = (false, None);
                s.p.iter_mut().for_each(|p| p.link = false);
            }
            Action::Start(who) => s.tasks[who] = Task::Recovering(Recover::new(self.rules)),
            Action::Insert(who) => {
                if s.row.is_none() {
                    s.holder = recoverer(who);
                } else {
                    hear(&mut s, who, RecoverEvent::Asked(Asked::Taken));
                }
            }
            Action::Read(who) => {
                let row = s.row;
                hear(&mut s, who, RecoverEvent::Asked(Asked::Row(row)));
            }
            Action::SeeGid(who) => hear(&mut s, who, RecoverEvent::Seen),
            Action::SeeNone(who) => hear(&mut s, who, RecoverEvent::SeenNone),
            Action::Apply(who, place) => {
                if let Task::Recovering(machine) = s.tasks[who] {
                    match machine.action() {
                        RecoverAction::Apply(Verdict::Commit, _) => s.p[place].commit = true,
                        _ => s.p[place].rollback = true,
                    }
                }
            }
            Action::Applied(who) => hear(&mut s, who, RecoverEvent::Applied),
            Action::StartCleaning(who) => s.tasks[who] = Task::Cleaning(Clean::new(self.rules, self.participants)),
            Action::CleanReads(who) => {
                let event = s
                    .row
                    .map_or(CleanEvent::NoRow, |verdict| CleanEvent::Row(verdict, since));
                clean(&mut s, who, event);
            }
            Action::CleanLooks(who, place, holding) => clean(&mut s, who, CleanEvent::Looked(place, holding)),
            Action::CleanAsksX(who) => {
                let ended = matches!(s.d, AtD::Committed | AtD::Aborted);
                clean(
                    &mut s,
                    who,
                    if ended {
                        CleanEvent::XEnded
                    } else {
                        CleanEvent::XInProgress
                    },
                );
            }
            Action::CleanDeletes(who) => {
                if let Task::Cleaning(machine) = s.tasks[who] {
                    match machine.action() {
                        CleanAction::Delete(Verdict::Commit) => s.delete_commit = true,
                        _ => s.delete_abort = true,
                    }
                }
                s.tasks[who] = Task::Idle;
            }
            Action::CrashRecoverer(who) => {
                if s.holder == recoverer(who) {
                    s.holder = Holder::Orphan;
                } else if matches!(s.tasks[who], Task::Recovering(machine)
                    if matches!(machine.action(), RecoverAction::Ask(Ask::Insert, _)))
                {
                    s.orphan_insert = true;
                }
                s.tasks[who] = Task::Idle;
            }
            Action::RunCommitPrepared(place) => {
                s.p[place].commit = false;
                if s.p[place].tx == Tx::Prepared {
                    s.p[place].tx = Tx::Committed;
                }
            }
            Action::RunRollbackPrepared(place) => {
                s.p[place].rollback = false;
                if s.p[place].tx == Tx::Prepared {
                    s.p[place].tx = Tx::Aborted;
                }
            }
            Action::LoseCommitPrepared(place) => s.p[place].commit = false,
            Action::LoseRollbackPrepared(place) => s.p[place].rollback = false,
            Action::RunOrphanInsert => {
                s.orphan_insert = false;
                if s.row.is_none() {
                    s.holder = Holder::Orphan;
                }
            }
            Action::LoseOrphanInsert => s.orphan_insert = false,
            Action::CommitAbortRow => {
                s.row = Some(Verdict::Abort);
                match s.holder {
                    Holder::Committer => on(&mut s, CommitEvent::Asked(Asked::Inserted, since)),
                    Holder::Recoverer(who) => hear(&mut s, usize::from(who), RecoverEvent::Asked(Asked::Inserted)),
                    Holder::Nobody | Holder::Orphan => {}
                }
                s.holder = Holder::Nobody;
            }
            Action::LoseAbortRow => {
                if let Holder::Recoverer(who) = s.holder {
                    s.tasks[usize::from(who)] = Task::Idle;
                }
                s.holder = Holder::Nobody;
            }
            Action::RunDeleteCommit => {
                s.delete_commit = false;
                s.row = s.row.filter(|verdict| *verdict != Verdict::Commit);
            }
            Action::RunDeleteAbort => {
                s.delete_abort = false;
                s.row = s.row.filter(|verdict| *verdict != Verdict::Abort);
            }
            Action::LoseDelete => (s.delete_commit, s.delete_abort) = (false, false),
            Action::TimePasses => s.age += 1,
        }
        self.tidy(&mut s);
        s
    }

    fn broken(&self, state: &State) -> Option<&'static str> {
        let parts = state.p.iter().take(self.participants);
        let committed = parts.clone().any(|p| p.tx == Tx::Committed);
        let aborted = parts.clone().any(|p| p.tx == Tx::Aborted);
        let is_decided = state.d == AtD::Committed;
        // Whatever the decision is, one of these is wrong.
        if (is_decided && aborted) || (!is_decided && committed) {
            return Some("all or none: one part committed while another aborted");
        }
        match state.told {
            Some(Ending::Committed | Ending::CommittedInPart) if !is_decided => {
                return Some("a transaction acknowledged as committed is decided");
            }
            Some(Ending::Aborted) if is_decided => {
                return Some("a transaction reported as rolled back is never committed");
            }
            Some(_) | None => {}
        }
        if state.saw_abort && (state.saw_commit || is_decided) {
            return Some("whoever recovers reaches the same verdict");
        }
        if !self.settles(state, false) || !self.settles(state, true) {
            return Some("once everything is up and recovered, all or none, nothing prepared");
        }
        None
    }
}
