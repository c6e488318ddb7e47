//! A plan for one shard, where its transaction began on another: with that one's moment in it.
//!
//! Sketch: free for a statement that reads no moment, but for one look over its text; any other is parsed once more, and
//! the moment asked for where the transaction began.
//! Holds: positions of errors are those of the client's text; what the plan says of the session stays.

use std::sync::Arc;

use crate::plan::compile::renewed;
use crate::plan::ladder::{Around, Clock, Late, Runs, hidden, may_say};
use crate::plan::{
    Access, Compiled, Facts, FanOut, Kind, MergeSpec, Parameters, Plan, Request, RowLocks, RowOrder, SessionEffect,
    Snapshot, Verdict, Work, WriteAnswer, WritePart, Writes,
};
use crate::sql::{CursorForm, PositionMap};
use crate::topology::ShardId;

impl Snapshot {
    /// The plan of a statement for one shard that joins a transaction later than `first`; `None`: it began on no shard, but
    /// has been told its moment.
    ///
    /// # Errors
    /// Refuses what reads the moment out of sight; asks for the moment.
    pub fn join_late(
        &self,
        (compiled, plan): (&Compiled, Plan),
        request: &Request<'_>,
        parameters: &Parameters<'_>,
        facts: &Facts,
        first: Option<ShardId>,
    ) -> Result<Plan, Verdict> {
        let (shard, text, before) = match &plan.work {
            Work::One(shard) => (*shard, request.text, PositionMap::default()),
            Work::Many(fan) => match fan.shards.as_slice() {
                [shard] => (*shard, fan.text.as_slice(), fan.positions.clone()),
                _ => return Ok(plan),
            },
            Work::Writes(writes) => match writes.parts.as_slice() {
                [part] => (
                    part.shard,
                    part.text.as_slice(),
                    part.positions.clone().unwrap_or_default(),
                ),
                _ => return Ok(plan),
            },
            Work::Cursor(_) | Work::Explain(_) | Work::CopyIn(_) | Work::CopyOut(_) => return Ok(plan),
        };
        let (clock, runs) = compiled.clock();
        if clock == Clock::Unread && !may_say(text, parameters) {
            return Ok(plan);
        }
        if let (Kind::Home, Runs::Anywhere, Work::One(_), Some(first)) = (plan.kind, runs, &plan.work, first) {
            return Ok(Plan {
                work: Work::One(first),
                ..plan
            });
        }
        let around = match &plan.work {
            Work::One(_) => compiled.inside(),
            _ => None, // what was edited is the whole
        };
        let (inside, around) = match around {
            Some((_, Around::Explain(_))) if plan.access != Access::Write => return Ok(plan),
            Some((span, around)) => (span.of(text), Some(around)),
            None => (text, None),
        };
        let inner = Request {
            text: inside,
            ..*request
        };
        let late = renewed(self, &inner, parameters, facts, (shard, plan.access))?;
        let refused = |what: &str| Err(Verdict::Refused(hidden(what)));
        let work = match (late, around) {
            (Late::Same, _) => return Ok(plan),
            _ if plan.effect != SessionEffect::None => {
                return refused("a statement that leaves something in its session");
            }
            (_, Some(Around::Explain(_))) => return refused("EXPLAIN of a write"),
            (_, Some(Around::Copy)) => return refused("COPY of a query"),
            (Late::Write(_), Some(Around::Cursor(_))) => return refused("a cursor"),
            (Late::Write(part), None) => write(part, before),
            (Late::Read(text, positions, columns), around) => {
                let fan = FanOut {
                    shards: vec![shard],
                    text,
                    positions: positions.through(before),
                    parameter_types: match &facts.parameter_types {
                        Some(learnt) => learnt.clone(),
                        None => request.parameter_types.to_vec(),
                    },
                    merge: Arc::new(MergeSpec::concatenate(columns)),
                    // one shard: nothing has to agree
                    row_locks: RowLocks::No,
                    finish: None,
                };
                match around {
                    None => Work::Many(Arc::new(fan)),
                    Some(Around::Cursor(CursorForm::Plain)) if plan.access == Access::Read => {
                        Work::Cursor(Arc::new(fan))
                    }
                    Some(_) => return refused("a cursor"),
                }
            }
        };
        Ok(Plan { work, ..plan })
    }
}

fn write(part: WritePart, before: PositionMap) -> Work {
    let positions = part.positions.map(|own| own.through(before));
    Work::Writes(Arc::new(Writes {
        parts: vec![WritePart { positions, ..part }],
        answer: WriteAnswer::Sum(RowOrder::Parts),
    }))
}
