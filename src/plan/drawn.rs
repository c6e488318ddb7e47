//! A statement with values of sequences in its text: planned anew, and sent as edited.
//!
//! Holds: positions of errors are those of the client's text; one shard gets the edited text by itself.

use std::sync::Arc;

use crate::plan::compile::compile_afresh;
use crate::plan::sequences::{Keyed, Template};
use crate::plan::{
    Access, Counts, Facts, FanOut, MergeSpec, Parameters, Plan, RefusalId, Request, RouteStep, RowLocks, RowOrder,
    Snapshot, Verdict, Work, WriteAnswer, WritePart, Writes, refuse,
};
use crate::sql::PositionMap;
use crate::topology::ShardId;
use crate::value::Oid;

fn bug() -> Verdict {
    Verdict::Refused(refuse(
        RefusalId::SyntaxNotUnderstood,
        &["a statement that draws from a sequence"],
    ))
}

/// The plan of a statement of the template's shape, with the values that the facts hold.
pub(in crate::plan) fn bind(
    template: &Template,
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
) -> Result<Plan, Verdict> {
    let values = template.values(facts)?;
    let Some((text, positions)) = template.fill(request.text, request.context.lexing(), &values) else {
        // Tokens of one shape are alike; should they not be, the text is planned for itself.
        return compile_afresh(snapshot, request, facts, 0)?.bind(snapshot, request, parameters, facts);
    };
    let edited = Request {
        text: &text,
        ..*request
    };
    let plan = inner(snapshot, &edited, parameters, facts)?;
    let work = match plan.work {
        Work::One(shard) => {
            let types = match &facts.parameter_types {
                Some(learnt) => learnt.clone(),
                None => request.parameter_types.to_vec(),
            };
            let count = parameters.values.len();
            one(template, shard, plan.access, (text, positions), (count, types))
        }
        Work::Many(fan) => {
            let positions = fan.positions.clone().through(positions);
            Work::Many(Arc::new(FanOut {
                positions,
                ..(*fan).clone()
            }))
        }
        Work::Writes(writes) => {
            let mut writes = (*writes).clone();
            for part in &mut writes.parts {
                let own = part.positions.take();
                part.positions = own.map(|own| own.through(positions.clone()));
            }
            Work::Writes(Arc::new(writes))
        }
        // A COPY has no values to fill in, and around another statement none is drawn.
        Work::Cursor(_) | Work::Explain(_) | Work::CopyIn(_) | Work::CopyOut(_) => plan.work,
    };
    Ok(Plan { work, ..plan })
}

/// The plan of the edited text, which has no slots left.
fn inner(
    snapshot: &Snapshot,
    edited: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
) -> Result<Plan, Verdict> {
    let compiled = snapshot.compile(edited, facts)?;
    match compiled.is_drawn() {
        true => Err(bug()),
        false => compiled.bind(snapshot, edited, parameters, facts),
    }
}

/// An edited text that goes to one shard.
fn one(
    template: &Template,
    shard: ShardId,
    access: Access,
    (text, positions): (Vec<u8>, PositionMap),
    (count, parameter_types): (usize, Vec<Oid>),
) -> Work {
    match access {
        Access::Write if template.columns() == 0 => Work::Writes(Arc::new(Writes {
            parts: vec![WritePart {
                shard,
                text,
                positions: Some(positions),
                parameters: (0..count).collect(),
                parameter_types,
                counts: Counts::Yes,
            }],
            answer: WriteAnswer::Sum(RowOrder::Parts),
        })),
        Access::Read | Access::Lock | Access::Write => Work::Many(Arc::new(FanOut {
            shards: vec![shard],
            text,
            positions,
            parameter_types,
            merge: Arc::new(MergeSpec::concatenate(template.columns())),
            // one shard: nothing has to agree
            row_locks: RowLocks::No,
            finish: None,
        })),
    }
}

/// What `EXPLAIN (ROUTE)` shows of it: no value is drawn for that. `None`: the shard depends on one.
pub(in crate::plan) fn explain(
    template: &Template,
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
) -> Result<Option<Vec<RouteStep>>, Verdict> {
    let values = match (template.values(facts), template.keyed()) {
        (Ok(values), _) => values,
        (Err(_), Keyed::Otherwise) => template.no_values(),
        (Err(_), Keyed::BySlot) => return Ok(None),
    };
    let (text, _) = template
        .fill(request.text, request.context.lexing(), &values)
        .ok_or_else(bug)?;
    let edited = Request {
        text: &text,
        ..*request
    };
    let compiled = snapshot.compile(&edited, facts)?;
    match compiled.is_drawn() {
        true => Err(bug()),
        false => compiled.explain(snapshot, &edited, parameters, facts).map(Some),
    }
}
