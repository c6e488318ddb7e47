//! Deleting one decision row that its committer has left behind.
//!
//! Holds: a commit row goes only when no participant holds the gid, and it is old; an abort row only when the
//! transaction that it stops has ended.

use std::time::Duration;

use super::rules::{Durability, Places, RETENTION, Rule, Rules, Verdict};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleanAction {
    /// read the row
    Read,
    /// look for the gid on every participant. That it is gone counts after one small commit of this durability on that
    /// same connection
    Look(Durability),
    /// ask the decision shard whether the transaction has ended
    AskX,
    /// delete the row, if it still says this
    Delete(Verdict),
    /// leave it
    Keep,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CleanEvent {
    /// the row says this and is so old, by its shard's clock
    Row(Verdict, Duration),
    /// there is no such row
    NoRow,
    /// the participant at this place was looked at
    Looked(usize, Holding),
    /// the transaction has ended, or is unknown
    XEnded,
    /// it is in progress
    XInProgress,
}

/// What a look at a participant shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holding {
    /// it doesn't hold the gid
    Gone,
    /// it does
    Held,
    /// it is in recovery, and lists none
    Standby,
    /// no answer
    Silent,
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Clean {
    rules: Rules,
    all: Places,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Reading,
    Looking(Places),
    ReadingLast,
    AskingX,
    Deleting(Verdict),
    Keeping,
}

impl Clean {
    /// A row of a transaction with so many participants beside the decision shard.
    pub fn new(rules: Rules, participants: usize) -> Clean {
        let stage = if rules.has(Rule::RowBeforeLook) {
            Stage::Reading
        } else {
            Stage::Looking(Places::default())
        };
        Clean {
            rules,
            all: Places::all(participants),
            stage,
        }
    }

    /// What to do now.
    pub fn action(&self) -> CleanAction {
        match self.stage {
            Stage::Reading | Stage::ReadingLast => CleanAction::Read,
            Stage::Looking(_) => CleanAction::Look(self.rules.durability(Rule::BarrierBeforeDelete)),
            Stage::AskingX => CleanAction::AskX,
            Stage::Deleting(verdict) => CleanAction::Delete(verdict),
            Stage::Keeping => CleanAction::Keep,
        }
    }

    /// Takes notice of what came; what doesn't belong to the present stage changes nothing.
    pub fn on(&mut self, event: CleanEvent) {
        self.stage = match (self.stage, event) {
            (Stage::Reading, CleanEvent::Row(Verdict::Commit, age)) if self.is_old(age) => {
                self.looked(Places::default())
            }
            (Stage::ReadingLast, CleanEvent::Row(Verdict::Commit, age)) if self.is_old(age) => {
                Stage::Deleting(Verdict::Commit)
            }
            (Stage::Reading | Stage::ReadingLast, CleanEvent::Row(Verdict::Commit, _)) => Stage::Keeping,
            (Stage::Reading | Stage::ReadingLast, CleanEvent::Row(Verdict::Abort, _)) => {
                if self.rules.has(Rule::TombstoneWaitsForX) {
                    Stage::AskingX
                } else {
                    Stage::Deleting(Verdict::Abort)
                }
            }
            (Stage::Reading | Stage::ReadingLast, CleanEvent::NoRow) => Stage::Keeping,
            (Stage::Looking(gone), CleanEvent::Looked(place, holding)) => {
                if self.counts_as_gone(holding) {
                    self.looked(gone.with(place))
                } else {
                    Stage::Keeping
                }
            }
            (Stage::AskingX, CleanEvent::XEnded) => Stage::Deleting(Verdict::Abort),
            (Stage::AskingX, CleanEvent::XInProgress) => Stage::Keeping,
            (stage, _) => stage,
        };
    }

    fn is_old(&self, age: Duration) -> bool {
        !self.rules.has(Rule::RetainCommitRow) || age > RETENTION
    }

    fn counts_as_gone(&self, holding: Holding) -> bool {
        match holding {
            Holding::Gone => true,
            Holding::Held => false,
            Holding::Standby => !self.rules.has(Rule::StandbyCountsAsHolding),
            Holding::Silent => !self.rules.has(Rule::AskEveryParticipant),
        }
    }

    fn looked(&self, gone: Places) -> Stage {
        match (gone == self.all, self.rules.has(Rule::RowBeforeLook)) {
            (false, _) => Stage::Looking(gone),
            (true, true) => Stage::Deleting(Verdict::Commit),
            (true, false) => Stage::ReadingLast,
        }
    }
}
