//! The recoverer of one transaction: anybody, at any time, from the gids and the decision shard alone.
//!
//! Holds: whoever recovers, in whatever order, reaches the same verdict; a verdict is never guessed.

use super::ask::{Ask, Asked};
use super::rules::{Durability, Rule, Rules, Verdict};

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoverAction {
    /// ask the decision shard. A commit that is read there counts after one small commit of this durability on that same
    /// connection
    Ask(Ask, Durability),
    /// look whether a participant still holds the gid
    Look,
    /// COMMIT or ROLLBACK PREPARED wherever the gid is
    Apply(Verdict, Durability),
    /// nothing more
    Rest,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoverEvent {
    /// the question was answered
    Asked(Asked),
    /// some participant holds the gid
    Seen,
    /// none of those that answered does
    SeenNone,
    /// done wherever the gid was
    Applied,
}

/// The machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recover {
    rules: Rules,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Stage {
    Asking(Ask),
    Looking,
    Applying(Verdict),
    Over,
}

impl Recover {
    /// A gid was seen.
    pub const fn new(rules: Rules) -> Recover {
        Recover {
            rules,
            stage: Stage::Asking(Ask::Insert),
        }
    }

    /// What to do now.
    pub fn action(&self) -> RecoverAction {
        match self.stage {
            Stage::Asking(ask) => RecoverAction::Ask(ask, self.rules.durability(Rule::BarrierBeforeCommit)),
            Stage::Looking => RecoverAction::Look,
            Stage::Applying(verdict) => RecoverAction::Apply(verdict, self.rules.durability(Rule::CommitSynchronously)),
            Stage::Over => RecoverAction::Rest,
        }
    }

    /// Takes notice of what came; what doesn't belong to the present stage changes nothing.
    pub fn on(&mut self, event: RecoverEvent) {
        self.stage = match (self.stage, event) {
            (Stage::Asking(ask), RecoverEvent::Asked(asked)) => match ask.on(asked) {
                Err(next) => Stage::Asking(next),
                // Everybody may have finished by a commit row that has been deleted since: then no gid is left.
                Ok(Verdict::Abort) if self.rules.has(Rule::LookAgain) => Stage::Looking,
                Ok(verdict) => Stage::Applying(verdict),
            },
            (Stage::Looking, RecoverEvent::Seen) => Stage::Applying(Verdict::Abort),
            (Stage::Looking, RecoverEvent::SeenNone) => Stage::Over,
            (Stage::Applying(_), RecoverEvent::Applied) => Stage::Over,
            (stage, _) => stage,
        };
    }
}
