//! The moment of the client's transaction: `now()` is that of the shard that it touched first.
//!
//! Sketch: a statement for one shard that joins the transaction later is planned with that moment as a constant; whatever
//! stays on the first shard pays one comparison.
//! Holds: a transaction that has been told a moment before any shard began it (a read of several shards outside a block
//! is given one) keeps it to its end.

use std::sync::Arc;

use crate::plan::{
    Access, Ask, Compiled, Facts, Plan, Request, Snapshot, Verdict, Work, ask_of, asks_moment, asks_of_table,
    is_transactions_moment, transactions_moment,
};
use crate::session::error::{Failure, Stop};
use crate::session::route::{Question, ROUNDS_MAX};
use crate::session::state::Session;
use crate::topology::ShardId;
use crate::transaction::{Begun, Sync, Worked};

/// A transaction's moment as a server has said it, in UTC.
#[derive(Debug)]
pub(super) struct Told(String);

impl Session {
    /// The shard on which the client's transaction has begun.
    pub(super) fn begun_on(&self) -> Option<ShardId> {
        let by_itself = || {
            let mut held = self.participants.iter();
            held.find(|p| p.begun == Begun::Autocommit && p.sync == Sync::Owed && p.worked == Worked::Yes)
                .map(|p| p.shard)
        };
        self.participants.first().or_else(by_itself)
    }

    /// Is it for one shard, whose `now()` isn't the transaction's?
    pub(super) fn joins_late(&self, plan: &Plan) -> bool {
        let shard = match &plan.work {
            Work::One(shard) => *shard,
            Work::Many(fan) => match fan.shards.as_slice() {
                [shard] => *shard,
                _ => return false,
            },
            Work::Writes(writes) => match writes.parts.as_slice() {
                [part] => part.shard,
                _ => return false,
            },
            Work::Cursor(_) | Work::Explain(_) | Work::CopyIn(_) | Work::CopyOut(_) => return false,
        };
        let other = |first: ShardId| first != shard;
        !self.transparent && (self.told_moment.is_some() || self.begun_on().is_some_and(other))
    }

    /// Such a plan with the transaction's moment in it.
    pub(super) async fn join_late(
        &mut self,
        snapshot: &Arc<Snapshot>,
        compiled: &Compiled,
        plan: Plan,
        question: &Question<'_>,
    ) -> Result<Plan, Stop> {
        let mut facts = self.facts(question);
        let to = plan.work.shards().single();
        for _ in 0..=ROUNDS_MAX {
            let context = Arc::clone(&self.effective.context);
            let request = Request {
                text: question.text,
                parameter_types: question.declared,
                context: &context,
            };
            let first = self.begun_on().filter(|_| self.told_moment.is_none());
            let planned = (compiled, plan.clone());
            match snapshot.join_late(planned, &request, &question.parameters, &facts, first) {
                Ok(plan) => return Ok(plan),
                Err(Verdict::Refused(refusal)) => return Err(Failure::Refused(refusal).into()),
                Err(Verdict::Ask(Ask::Constants(asked))) => {
                    let (of_tables, others): (Vec<String>, Vec<String>) =
                        asked.into_iter().partition(|question| asks_of_table(question));
                    if let (Some(shard), [_, ..]) = (to, of_tables.as_slice()) {
                        Box::pin(self.ask_of_tables(shard, of_tables, &mut facts)).await?;
                    }
                    if !others.is_empty() {
                        Box::pin(self.answer(snapshot, question, Ask::Constants(others), &mut facts)).await?;
                    }
                }
                Err(Verdict::Ask(ask)) => Box::pin(self.answer(snapshot, question, ask, &mut facts)).await?,
            }
        }
        Err(Failure::Bug("a late plan asks without end").into())
    }

    /// Questions about tables that another shard may lack, and about a role that only the block may have.
    async fn ask_of_tables(&mut self, shard: ShardId, questions: Vec<String>, facts: &mut Facts) -> Result<(), Stop> {
        if self.joins_blocks() {
            self.begin_on(shard).await?;
        }
        let values = self.ask_constants(shard, &questions).await?;
        facts.constants.extend(questions.into_iter().zip(values));
        Ok(())
    }

    /// The block reaches that shard now.
    async fn begin_on(&mut self, shard: ShardId) -> Result<(), Stop> {
        self.flush_and_settle().await?;
        if self.failed {
            return Err(Failure::AlreadyAnswered.into());
        }
        self.lane(shard, Access::Read).await?;
        Ok(())
    }

    /// Values of constants as the client's transaction has them: asked for where it has begun.
    pub(super) async fn ask_in_transaction(
        &mut self,
        snapshot: &Snapshot,
        expressions: &[String],
    ) -> Result<Vec<Option<String>>, Stop> {
        let home = snapshot.topology().home();
        let asks = expressions.iter().any(|asked| asks_moment(asked));
        let of_tables = || expressions.iter().any(|asked| asks_of_table(asked));
        let mut begun = self.begun_on();
        let begins = (asks && self.told_moment.is_none()) || of_tables();
        if begins && begun.is_none() && self.joins_blocks() && self.spans_shards() {
            self.begin_on(home).await?;
            begun = Some(home);
        }
        let shard = begun.unwrap_or(home);
        let in_step = begun.is_some() || self.lone; // nothing else is told a moment of its own
        if !asks || (in_step && self.told_moment.is_none()) {
            return self.ask_constants(shard, expressions).await;
        }
        let known = self.told_moment.take();
        let others = expressions.iter().filter(|asked| !is_transactions_moment(asked));
        let questions: Vec<String> = match &known {
            Some(told) => others.map(|asked| ask_of(asked, &told.0)).collect(),
            None => [transactions_moment().to_owned()]
                .into_iter()
                .chain(others.cloned())
                .collect(),
        };
        let answers = match questions.is_empty() {
            true => Vec::new(),
            false => self.ask_constants(shard, &questions).await?,
        };
        let mut answers = answers.into_iter();
        let told = match known {
            Some(told) => told.0,
            None => answers
                .next()
                .flatten()
                .ok_or(Failure::Bug("a server without a moment"))?,
        };
        let values = expressions.iter().map(|asked| match is_transactions_moment(asked) {
            true => Some(told.clone()),
            false => answers.next().flatten(),
        });
        let values = values.collect();
        self.told_moment = Some(Box::new(Told(told))); // more of its batch may follow
        Ok(values)
    }
}
