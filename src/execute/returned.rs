//! Answers of a write's parts, and the one that the client gets of them.
//!
//! Holds: counts add up only where each part wrote rows of its own; where all wrote the same, a difference is an error,
//! never an answer; a hidden column is gone before anything reaches the client.

use bytes::BytesMut;

use crate::execute::{ExecuteError, Written};
use crate::plan::{Counts, RowOrder, Sameness, WriteAnswer, Writes};
use crate::topology::ShardId;
use crate::value::Format;
use crate::wire::{self, CommandComplete, DataRow, RowDescription};

/// What one part has answered.
#[derive(Debug, Default)]
pub(super) struct Returned {
    /// RowDescription, whole
    pub(super) description: Option<BytesMut>,
    /// DataRows, whole
    pub(super) rows: BytesMut,
    /// length of each row's message
    pub(super) lengths: Vec<u32>,
    /// the command's tag
    pub(super) tag: Vec<u8>,
}

impl Returned {
    /// One more row.
    pub(super) fn row(&mut self, whole: &[u8]) {
        self.rows.extend_from_slice(whole);
        self.lengths.push(u32::try_from(whole.len()).unwrap_or(u32::MAX));
    }

    fn count(&self) -> u64 {
        self.lengths.len() as u64
    }
}

/// The statement's answer.
pub(super) fn together(
    plan: &Writes,
    result_formats: &[Format],
    mut answers: Vec<Returned>,
) -> Result<Written, ExecuteError> {
    let counting: Vec<usize> = plan
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| part.counts == Counts::Yes)
        .map(|(index, _)| index)
        .collect();
    let first = counting.first().copied();
    let first = first.ok_or(ExecuteError::Bug("a write whose parts don't count"))?;
    match &plan.answer {
        WriteAnswer::Sum(order) => sum(plan, &counting, first, order, answers),
        WriteAnswer::Same(_) | WriteAnswer::Each(_) => {
            let sameness = match &plan.answer {
                WriteAnswer::Same(sameness) => sameness,
                WriteAnswer::Sum(_) | WriteAnswer::Each(_) => &Sameness::Tag,
            };
            same(plan, &counting, &answers, *sameness, result_formats)?;
            let shard = shard_of(plan, first)?;
            let answer = answers
                .get_mut(first)
                .ok_or(ExecuteError::Bug("a part without its answer"))?;
            let answer = std::mem::take(answer);
            match sameness {
                Sameness::Tag => Ok(Written {
                    count: answer.count(),
                    description: answer.description.map(|whole| (shard, whole)),
                    rows: answer.rows,
                    tag: answer.tag,
                    at_end: None,
                }),
                Sameness::Rows => without_hidden(shard, &answer),
            }
        }
    }
}

fn shard_of(plan: &Writes, index: usize) -> Result<ShardId, ExecuteError> {
    let part = plan.parts.get(index);
    Ok(part.ok_or(ExecuteError::Bug("a write without its part"))?.shard)
}

/// Rows of each part's own: tags add up.
fn sum(
    plan: &Writes,
    counting: &[usize],
    first: usize,
    order: &RowOrder,
    mut answers: Vec<Returned>,
) -> Result<Written, ExecuteError> {
    let mut written = Written::default();
    let mut touched: u64 = 0;
    let mut word = Vec::new();
    for index in counting {
        let answer = answers
            .get(*index)
            .ok_or(ExecuteError::Bug("a part without its answer"))?;
        let complete = CommandComplete { tag: &answer.tag };
        touched = touched.saturating_add(complete.rows().unwrap_or(0));
        written.count = written.count.saturating_add(answer.count());
        if word.is_empty() {
            word = answer.tag.clone();
        }
    }
    // `INSERT 0 5`, `UPDATE 5`: all but the last word stays.
    let kept = word
        .iter()
        .rposition(|byte| *byte == b' ')
        .map_or(word.len(), |at| at + 1);
    written.tag = word.get(..kept).unwrap_or_default().to_vec();
    written.tag.extend_from_slice(touched.to_string().as_bytes());
    let shard = shard_of(plan, first)?;
    let answer = answers
        .get_mut(first)
        .ok_or(ExecuteError::Bug("a part without its answer"))?;
    written.description = answer.description.take().map(|whole| (shard, whole));
    match order {
        RowOrder::Parts => {
            for index in counting {
                if let Some(answer) = answers.get(*index) {
                    written.rows.extend_from_slice(&answer.rows);
                }
            }
        }
        RowOrder::Each(parts) if written.count > 0 => {
            let mut taken: Vec<(usize, usize)> = vec![(0, 0); answers.len()];
            for index in parts {
                let (Some(answer), Some((row, byte))) = (answers.get(*index), taken.get_mut(*index)) else {
                    return Err(ExecuteError::Bug("a row of no part"));
                };
                let length = answer.lengths.get(*row).map(|length| *length as usize);
                let length = length.ok_or(ExecuteError::Bug("a part returned fewer rows than it wrote"))?;
                let whole = answer.rows.get(*byte..byte.saturating_add(length)).unwrap_or_default();
                written.rows.extend_from_slice(whole);
                *row = row.saturating_add(1);
                *byte = byte.saturating_add(length);
            }
            if parts.len() as u64 != written.count {
                return Err(ExecuteError::Bug("a part returned more rows than it wrote"));
            }
        }
        RowOrder::Each(_) => {}
    }
    Ok(written)
}

/// Have all shards done the same?
fn same(
    plan: &Writes,
    counting: &[usize],
    answers: &[Returned],
    sameness: Sameness,
    result_formats: &[Format],
) -> Result<(), ExecuteError> {
    let mut first: Option<(ShardId, &[u8], i64)> = None;
    for index in counting {
        let shard = shard_of(plan, *index)?;
        let answer = answers
            .get(*index)
            .ok_or(ExecuteError::Bug("a part without its answer"))?;
        let content = match sameness {
            Sameness::Tag => 0,
            Sameness::Rows => content(answer, result_formats)?,
        };
        match first {
            None => first = Some((shard, &answer.tag, content)),
            Some((_, tag, sum)) if tag == answer.tag.as_slice() && sum == content => {}
            Some((first, _, _)) => return Err(ExecuteError::Differs { first, other: shard }),
        }
    }
    Ok(())
}

/// The sum of the hidden column, whatever the rows' order.
fn content(answer: &Returned, result_formats: &[Format]) -> Result<i64, ExecuteError> {
    let hidden = match result_formats {
        [one] => *one,
        _ => Format::Text,
    };
    let mut sum: i64 = 0;
    for row in rows(answer) {
        let parsed = DataRow::parse(row)?;
        let cell = parsed.values.last().flatten().unwrap_or_default();
        let value = match hidden {
            Format::Text => std::str::from_utf8(cell).ok().and_then(|text| text.parse().ok()),
            Format::Binary => cell.try_into().ok().map(i64::from_be_bytes),
        };
        let value = value.ok_or(ExecuteError::Bug("a hidden column is no int8"))?;
        sum = sum.wrapping_add(value);
    }
    Ok(sum)
}

/// Bodies of the DataRows.
fn rows(answer: &Returned) -> impl Iterator<Item = &[u8]> {
    answer.lengths.iter().scan(0_usize, |at, length| {
        let end = at.saturating_add(*length as usize);
        let body = answer.rows.get(at.saturating_add(wire::HEADER_BYTES)..end)?;
        *at = end;
        Some(body)
    })
}

/// The first shard's answer without its last column; none where that was the only one.
fn without_hidden(shard: ShardId, answer: &Returned) -> Result<Written, ExecuteError> {
    let mut written = Written {
        tag: answer.tag.clone(),
        ..Written::default()
    };
    let Some(whole) = &answer.description else {
        return Ok(written);
    };
    let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
    let fields: Vec<wire::Field<'_>> = RowDescription::parse(body)?.fields().collect();
    let Some(kept) = fields.len().checked_sub(1).filter(|kept| *kept > 0) else {
        return Ok(written);
    };
    let mut description = BytesMut::new();
    wire::put_row_description(&mut description, fields.into_iter().take(kept));
    written.description = Some((shard, description));
    written.count = answer.count();
    for row in rows(answer) {
        wire::put_data_row(&mut written.rows, DataRow::parse(row)?.values.take(kept));
    }
    Ok(written)
}
