//! The committer: one transaction that wrote on several shards, from PREPARE to its answer, as a pure machine.
//!
//! Why no I/O: `tests/commit_model.rs` explores this very machine among crashes, cut connections and statements that lie in
//! sockets. Whoever drives it does what [`Commit::action`] says and tells what came of it by [`Commit::on`].
//! Holds: nothing is committed before the decision shard has committed the decision row; a client is told COMMIT only
//! after that, and told of a failure only where it can't be committed any more.

use std::time::Duration;

use super::ask::{Ask, Asked};
use super::rules::{Durability, Places, RETENTION, Rule, Rules, Verdict};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitAction {
    /// send PREPARE to every participant but the decision shard, then await the answers
    Prepare(Durability),
    /// send decision row and COMMIT to the decision shard; a decision that was sent is not sent again
    Decide,
    /// the decision's answer was lost: ask the decision shard on another connection. A commit that is read there counts
    /// after one small commit of this durability on that same connection
    Ask(Ask, Durability),
    /// COMMIT PREPARED on every participant
    Apply(Durability),
    /// roll back wherever something is open or prepared; nothing can be committed any more
    RollBack,
    /// tell the client
    Answer(Ending),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommitEvent {
    /// the participant at this place has answered PREPARE
    Prepared(usize),
    /// a participant has failed, or didn't answer
    PrepareFailed,
    /// the decision shard has answered COMMIT
    Decided,
    /// it has answered an error, or ROLLBACK
    DecisionFailed,
    /// its connection was lost meanwhile
    DecisionLost,
    /// the question was answered, so long after the decision was sent (counted from before that, by our own clock)
    Asked(Asked, Duration),
    /// time is up while in doubt
    GaveUp,
    /// the participant at this place has committed
    Applied(usize),
    /// it can't be reached: whoever recovers will do it
    Unreached(usize),
    /// everything that could be rolled back now is
    RolledBack,
}

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// committed on every participant
    Committed,
    /// committed; some participants will follow
    CommittedInPart,
    /// rolled back
    Aborted,
    /// not known
    Unknown,
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Commit {
    rules: Rules,
    all: Places,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Preparing { prepared: Places },
    Deciding,
    InDoubt(Ask),
    Applying { applied: Places, heard: Places },
    RollingBack,
    Over(Ending),
}

impl Commit {
    /// A transaction with so many participants beside the decision shard.
    pub fn new(rules: Rules, participants: usize) -> Commit {
        Commit {
            rules,
            all: Places::all(participants),
            stage: Stage::Preparing {
                prepared: Places::default(),
            },
        }
    }

    /// What to do now.
    pub fn action(&self) -> CommitAction {
        match self.stage {
            Stage::Preparing { prepared } if self.may_decide(prepared) => CommitAction::Decide,
            Stage::Preparing { .. } => CommitAction::Prepare(self.rules.durability(Rule::PrepareSynchronously)),
            Stage::Deciding => CommitAction::Decide,
            Stage::InDoubt(ask) => CommitAction::Ask(ask, self.rules.durability(Rule::BarrierBeforeCommit)),
            Stage::Applying { .. } => CommitAction::Apply(self.rules.durability(Rule::CommitSynchronously)),
            Stage::RollingBack => CommitAction::RollBack,
            Stage::Over(ending) => CommitAction::Answer(ending),
        }
    }

    /// Takes notice of what came; what doesn't belong to the present stage changes nothing.
    pub fn on(&mut self, event: CommitEvent) {
        self.stage = match (self.stage, event) {
            (Stage::Preparing { prepared }, CommitEvent::Prepared(place)) => Stage::Preparing {
                prepared: prepared.with(place),
            },
            (Stage::Preparing { .. }, CommitEvent::PrepareFailed) => Stage::RollingBack,
            (Stage::Preparing { prepared }, CommitEvent::Decided) if self.may_decide(prepared) => self.applying(),
            (Stage::Preparing { .. } | Stage::Deciding, CommitEvent::DecisionFailed) => Stage::RollingBack,
            (Stage::Preparing { .. } | Stage::Deciding, CommitEvent::DecisionLost) => Stage::InDoubt(Ask::Insert),
            (Stage::Deciding, CommitEvent::Decided) => self.applying(),
            (Stage::InDoubt(ask), CommitEvent::Asked(asked, since_sent)) => match ask.on(asked) {
                Err(next) => Stage::InDoubt(next),
                Ok(Verdict::Commit) => self.applying(),
                // An abort row that stands there now may have come after a commit row was cleared away as old.
                Ok(Verdict::Abort) if self.is_late(since_sent) => Stage::Over(Ending::Unknown),
                Ok(Verdict::Abort) => Stage::RollingBack,
            },
            (Stage::InDoubt(_), CommitEvent::GaveUp) => Stage::Over(Ending::Unknown),
            (Stage::Applying { applied, heard }, CommitEvent::Applied(place)) => {
                self.applied(applied.with(place), heard.with(place))
            }
            (Stage::Applying { applied, heard }, CommitEvent::Unreached(place)) => {
                self.applied(applied, heard.with(place))
            }
            (Stage::RollingBack, CommitEvent::RolledBack) => Stage::Over(Ending::Aborted),
            (stage, _) => stage,
        };
    }

    /// The decision has been sent: from now on only its answer, or a question, tells.
    pub fn sent_decision(&mut self) {
        if matches!(self.stage, Stage::Preparing { prepared } if self.may_decide(prepared)) {
            self.stage = Stage::Deciding;
        }
    }

    /// May the commit row be deleted by its committer?
    pub fn may_forget(&self) -> bool {
        self.stage == Stage::Over(Ending::Committed)
    }

    fn may_decide(&self, prepared: Places) -> bool {
        prepared == self.all || (!self.rules.has(Rule::DecideAfterAllPrepared) && !prepared.is_empty())
    }

    fn is_late(&self, since_sent: Duration) -> bool {
        self.rules.has(Rule::UnknownPastHalf) && since_sent > RETENTION / 2
    }

    fn applying(&self) -> Stage {
        self.applied(Places::default(), Places::default())
    }

    fn applied(&self, applied: Places, heard: Places) -> Stage {
        match (heard == self.all, applied == self.all) {
            (true, true) => Stage::Over(Ending::Committed),
            (true, false) => Stage::Over(Ending::CommittedInPart),
            (false, _) => Stage::Applying { applied, heard },
        }
    }
}
