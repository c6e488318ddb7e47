//! Routing by hand: a read goes where the client says, a write only where the planner would send it anyway. And by a
//! cursor, which holds the row that is written.
//!
//! Why only reads: a row written on a shard that doesn't own it is seen by no statement that routes by its key.
//! Holds: what belongs to the session (a pin, a value of a sequence) stays where it belongs.

use crate::plan::bind::Compiled;
use crate::plan::ladder::Route;
use crate::plan::{Access, Kind, Plan, Refusal, RefusalId, SequenceUse, SessionEffect, Verdict, Work, refuse};
use crate::topology::{ShardId, ShardSet};

/// What kind of text is routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// SELECT, VALUES, TABLE, WITH
    Query,
    /// anything else
    Other,
}

impl Compiled {
    /// What becomes of a statement, planned or refused, once the client names a shard for it.
    pub fn by_hand(
        &self,
        planned: Result<Plan, Box<Refusal>>,
        routed: Routed,
        (shard, name): (ShardId, &str),
    ) -> Result<Plan, Box<Refusal>> {
        let there = || self.plan(Kind::OneShard, Work::One(shard));
        let of_session = self.effect != SessionEffect::None;
        let keyed_read = match &self.route {
            Route::Keyed(keyed) => self.access == Access::Read && keyed.written.is_empty(),
            Route::Fixed { .. }
            | Route::Ready { .. }
            | Route::Refused(_)
            | Route::Drawn(_)
            | Route::Everywhere(_)
            | Route::Inner { .. } => false,
        };
        match planned {
            Ok(plan) => match plan.access {
                Access::Read if of_session || plan.sequences != SequenceUse::Untouched => Ok(plan),
                Access::Read => match &self.route {
                    Route::Keyed(_) | Route::Inner { .. } => Ok(there()),
                    Route::Fixed { .. } if routed == Routed::Query => Ok(there()),
                    Route::Fixed { .. }
                    | Route::Ready { .. }
                    | Route::Refused(_)
                    | Route::Drawn(_)
                    | Route::Everywhere(_) => Ok(plan),
                },
                // an advisory lock, say
                Access::Lock if of_session => Ok(plan),
                Access::Lock | Access::Write if plan.work.shards() == ShardSet::only(shard) => Ok(plan),
                Access::Lock | Access::Write => Err(refuse(RefusalId::WriteByHand, &[name])),
            },
            // what was proven of no several shards may be asked of one
            Err(refusal) if keyed_read && !of_session && !refusal.is_of(&[RefusalId::HomeOnly]) => Ok(there()),
            Err(refusal) => Err(refusal),
        }
    }
}

impl Compiled {
    /// What becomes of a write to the row of a cursor on `shard`, planned as if it wrote every row of its table.
    /// None: another shard has a part in it.
    pub fn by_cursor(&self, planned: Result<Plan, Verdict>, shard: ShardId) -> Result<Option<Plan>, Verdict> {
        let alone = match &self.route {
            Route::Keyed(keyed) => {
                // one sharded table, the one that is written; all else it reads is there on every shard
                keyed.mentions.len() == 1
                    && keyed.written.is_empty()
                    && keyed.home_only.is_none()
                    && ShardSet::only(shard).contains_all(keyed.fixed)
            }
            Route::Fixed { .. }
            | Route::Ready { .. }
            | Route::Refused(_)
            | Route::Drawn(_)
            | Route::Everywhere(_)
            | Route::Inner { .. } => false,
        };
        match planned {
            Ok(plan) => match plan.work {
                Work::One(on) if on == shard => Ok(Some(plan)),
                Work::One(_)
                | Work::Many(_)
                | Work::Cursor(_)
                | Work::Explain(_)
                | Work::Writes(_)
                | Work::CopyIn(_)
                | Work::CopyOut(_) => Ok(None),
            },
            Err(Verdict::Refused(refusal)) if alone && refusal.is_of(&[RefusalId::WriteSeveralShards]) => {
                Ok(Some(self.plan(Kind::OneShard, Work::One(shard))))
            }
            Err(verdict) => Err(verdict),
        }
    }
}
