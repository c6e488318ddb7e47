//! A proven fan-out, and its binding to parameter values: the text for the shards and the numbers of the merge.

use std::sync::Arc;

use crate::plan::fanout::limit::{self, Limits};
use crate::plan::fanout::moment::Moment;
use crate::plan::fanout::spec::{Constant, MergeForm, MergeSpec, Ties};
use crate::plan::{Ask, Facts, FanOut, Finish, Parameters, Refusal, RefusalId, RowLocks, Verdict, refuse};
use crate::sql::{Edits, PositionMap, Span};
use crate::topology::ShardSet;
use crate::value::{Format, Numeric, Oid, decode_int2, decode_int4, decode_int8, decode_numeric};

/// A proven fan-out of one text: everything that does not depend on parameters and the set of shards.
#[derive(Debug)]
pub(in crate::plan) struct Template {
    pub(super) text: Vec<u8>,
    pub(super) edits: Vec<(Span, Edit)>,
    pub(super) form: Arc<MergeForm>,
    pub(super) limits: Limits,
    pub(super) constants: Vec<ConstantSource>,
    pub(super) moments: Vec<Moment>,
    /// the highest `$n`
    pub(super) parameters: usize,
    pub(super) steps: Vec<(String, String)>,
    pub(super) row_locks: RowLocks,
    pub(super) finish: Option<FinishTemplate>,
}

/// How the client's text becomes one over merged groups.
#[derive(Debug)]
pub(super) struct FinishTemplate {
    pub(super) edits: Vec<(Span, Edit)>,
    /// values of one group
    pub(super) columns: usize,
}

/// What comes into the place of a span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// this text
    Fixed(String),
    /// ` LIMIT n`, the number of rows that one shard must give at most
    Limit,
    /// the moment of this index
    Moment(usize),
    /// where merged rows go
    Rows,
}

/// Stands for [`Edit::Rows`] until the text is cut there; no text of a client's holds it.
const ROWS_MARK: u8 = 0;

/// Where a constant of the merge comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ConstantSource {
    /// a literal
    Fixed(Constant),
    /// `$n`, from 1
    Parameter(u32),
}

// === impl Template ===

impl Template {
    /// The fan-out for these shards; `types` are those of `$n` as declared or learnt, 0 where unknown.
    pub(in crate::plan) fn bind(
        &self,
        shards: ShardSet,
        parameters: &Parameters<'_>,
        types: &[Oid],
        facts: &Facts,
    ) -> Result<Arc<FanOut>, Verdict> {
        let types = &learnt(types, facts);
        let known = (0..self.parameters).all(|index| types.get(index).is_some_and(|oid| oid.0 != 0));
        if !known && facts.parameter_types.is_none() {
            return Err(Verdict::Ask(Ask::ParameterTypes));
        }
        let missing: Vec<String> = self
            .moments
            .iter()
            .map(|moment| moment.question().to_string())
            .filter(|question| !facts.constants.contains_key(question))
            .collect();
        if !missing.is_empty() {
            return Err(Verdict::Ask(Ask::Constants(missing)));
        }
        let offset = limit::value(self.limits.offset, parameters, types, "OFFSET").map_err(Verdict::Refused)?;
        let limit = limit::value(self.limits.limit, parameters, types, "LIMIT").map_err(Verdict::Refused)?;
        let offset = offset.unwrap_or(0);
        let constants = self.constants.iter().map(|source| constant(source, parameters, types));
        let constants = constants.collect::<Result<Vec<_>, _>>().map_err(Verdict::Refused)?;
        let rows = limit.map(|limit| limit.saturating_add(offset));
        let (text, positions) = self.apply(&self.edits, rows, facts)?;
        let finish = match &self.finish {
            Some(finish) => Some(Arc::new(self.finish(finish, facts)?)),
            None => None,
        };
        let merge = MergeSpec {
            form: Arc::clone(&self.form),
            offset,
            limit,
            ties: self.limits.ties,
            constants,
        };
        Ok(Arc::new(FanOut {
            shards: shards.iter().collect(),
            text,
            positions,
            parameter_types: types.to_vec(),
            merge: Arc::new(merge),
            row_locks: self.row_locks,
            finish,
        }))
    }

    /// The client's text with these edits; `rows` is how many each shard must give at most.
    fn apply(
        &self,
        edits: &[(Span, Edit)],
        rows: Option<u64>,
        facts: &Facts,
    ) -> Result<(Vec<u8>, PositionMap), Verdict> {
        let mut applied = Edits::new();
        for (span, edit) in edits {
            let text = match edit {
                Edit::Fixed(text) => text.clone(),
                // beyond an int8 there is nothing to cut
                Edit::Limit => match rows.map(i64::try_from) {
                    Some(Ok(rows)) if self.limits.ties == Ties::Kept => format!(" FETCH FIRST {rows} ROWS WITH TIES"),
                    Some(Ok(rows)) => format!(" LIMIT {rows}"),
                    Some(Err(_)) | None => String::new(),
                },
                Edit::Moment(index) => {
                    let moment = self
                        .moments
                        .get(*index)
                        .ok_or_else(|| Verdict::Refused(super::spread::bug()))?;
                    moment.fixed(facts)?
                }
                Edit::Rows => char::from(ROWS_MARK).to_string(),
            };
            applied.replace(*span, text);
        }
        applied
            .apply(&self.text)
            .ok_or_else(|| Verdict::Refused(super::spread::bug()))
    }

    fn finish(&self, template: &FinishTemplate, facts: &Facts) -> Result<Finish, Verdict> {
        let (text, _) = self.apply(&template.edits, None, facts)?;
        let mut halves = text.split(|byte| *byte == ROWS_MARK);
        match (halves.next(), halves.next(), halves.next()) {
            (Some(before), Some(behind), None) => Ok(Finish {
                client_text: self.text.clone(),
                before_rows: before.to_vec(),
                behind_rows: behind.to_vec(),
                columns: template.columns,
            }),
            _ => Err(Verdict::Refused(super::spread::bug())),
        }
    }

    /// Steps for EXPLAIN (ROUTE) after the fan-out itself, such as `merge: order by 1`, with a reason each.
    pub(in crate::plan) fn steps(&self) -> Vec<(String, String)> {
        self.steps.clone()
    }
}

/// Declared types, and for those left open what a server said.
fn learnt(declared: &[Oid], facts: &Facts) -> Vec<Oid> {
    let learnt = facts.parameter_types.as_deref().unwrap_or_default();
    let at = |types: &[Oid], index: usize| types.get(index).copied().filter(|oid| oid.0 != 0);
    let type_of = |index: usize| at(declared, index).or_else(|| at(learnt, index)).unwrap_or(Oid(0));
    (0..declared.len().max(learnt.len())).map(type_of).collect()
}

/// The value of a constant; a parameter must be of an exact numeric type.
fn constant(source: &ConstantSource, parameters: &Parameters<'_>, types: &[Oid]) -> Result<Constant, Box<Refusal>> {
    let number = match source {
        ConstantSource::Fixed(constant) => return Ok(constant.clone()),
        ConstantSource::Parameter(number) => *number,
    };
    let index = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
    let refused = || refuse(RefusalId::FanOutHaving, &["a parameter that is no exact number"]);
    let bytes = match parameters.values.get(index) {
        Some(Some(bytes)) => *bytes,
        Some(None) => return Ok(Constant::Null),
        None => return Err(refused()),
    };
    let format = match parameters.formats {
        [] => Format::Text,
        [one] => *one,
        each => each.get(index).copied().unwrap_or(Format::Text),
    };
    let number = match types.get(index).copied().unwrap_or(Oid(0)) {
        Oid::INT2 => decode_int2(format, bytes).map(|number| Numeric::from(i64::from(number))),
        Oid::INT4 => decode_int4(format, bytes).map(|number| Numeric::from(i64::from(number))),
        Oid::INT8 => decode_int8(format, bytes).map(Numeric::from),
        Oid::NUMERIC => decode_numeric(format, bytes),
        _ => return Err(refused()),
    };
    number.map(Constant::Number).map_err(|_| refused())
}
