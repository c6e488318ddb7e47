//! Groups: rows with equal keys folded into one, HAVING applied, and sorted in memory where the keys' order isn't asked.
//!
//! Why sorting is bounded: groups in key order stream, one at a time; another order needs them all. Beyond
//! [`GROUP_BYTES_MAX`] the statement fails with a typed error. With a LIMIT only the first rows are kept.

use std::cmp::Ordering;

use bytes::BytesMut;

use crate::plan::{GroupOrder, Grouping, Method, Output};
use crate::value::Format;

use super::MergeError;
use super::encode::encode;
use super::fold::{Folded, Won};
use super::order::{compare_nullable, compare_rows};
use super::predicate::holds;
use super::row::{Row, put_column, put_header};
use super::scalar::{Value, compare, evaluate};
use super::settle::{Settled, client_format};

/// The most bytes that groups waiting to be sorted may take.
pub const GROUP_BYTES_MAX: usize = 64 << 20;

/// Groups kept beyond a LIMIT before the rest is dropped.
const SURPLUS_ROWS: usize = 1024;

/// What a sorted group costs besides its bytes, roughly.
const GROUP_OVERHEAD_BYTES: usize = 96;

/// The group being folded, and those that are finished.
#[derive(Debug)]
pub(super) struct Groups {
    formats: Vec<Format>,
    open: Option<Open>,
    /// the finished group that comes next
    finished: BytesMut,
    has_finished: bool,
    sorted: Sorted,
}

/// A group whose rows still come.
#[derive(Debug)]
struct Open {
    first: Row,
    folded: Vec<Folded>,
    /// for each output that shows a winner: its bytes
    winners: Vec<Option<Vec<u8>>>,
}

/// Groups that are put in another order than that of their keys.
#[derive(Debug)]
enum Sorted {
    /// not needed
    Streams,
    Collecting {
        groups: Vec<Waiting>,
        bytes: usize,
    },
    Giving(std::vec::IntoIter<Waiting>),
}

#[derive(Debug)]
struct Waiting {
    by: Vec<Value>,
    message: Vec<u8>,
}

impl Groups {
    pub(super) fn new(settled: &Settled, client_formats: &[Format]) -> Option<Groups> {
        let grouping = grouping(settled).ok()?;
        let formats = (0..settled.visible.len())
            .map(|column| client_format(client_formats, column))
            .collect();
        let sorted = if grouping.order.is_empty() {
            Sorted::Streams
        } else {
            Sorted::Collecting {
                groups: Vec::new(),
                bytes: 0,
            }
        };
        Some(Groups {
            formats,
            open: None,
            finished: BytesMut::new(),
            has_finished: false,
            sorted,
        })
    }

    /// The message of the group that `take_finished` announced.
    pub(super) fn finished(&self) -> &[u8] {
        &self.finished
    }

    /// Moves on to the next finished group, if there is one.
    pub(super) fn take_finished(&mut self) -> bool {
        if let Sorted::Giving(groups) = &mut self.sorted
            && let Some(group) = groups.next()
        {
            self.finished.clear();
            self.finished.extend_from_slice(&group.message);
            return true;
        }
        std::mem::take(&mut self.has_finished)
    }

    /// Folds a row, the next one in key order; gives back a row whose buffers are free.
    pub(super) fn add(&mut self, settled: &Settled, row: Row) -> Result<Option<Row>, MergeError> {
        if let Some(open) = &mut self.open
            && compare_rows(&settled.keys, &open.first, &row)? == Ordering::Equal
        {
            open.fold(settled, &row)?;
            return Ok(Some(row));
        }
        let spare = self.close(settled)?;
        self.open = Some(Open::start(settled, row)?);
        Ok(spare)
    }

    /// No row comes any more; tells whether there may be finished groups to take.
    pub(super) fn end(&mut self, settled: &Settled) -> Result<bool, MergeError> {
        let had_open = self.open.is_some();
        self.close(settled)?;
        if !matches!(self.sorted, Sorted::Collecting { .. }) {
            return Ok(had_open);
        }
        let order = &grouping(settled)?.order;
        if let Sorted::Collecting { mut groups, .. } = std::mem::replace(&mut self.sorted, Sorted::Streams) {
            sort(&mut groups, order)?;
            self.sorted = Sorted::Giving(groups.into_iter());
        }
        Ok(true)
    }

    /// Finishes the open group: HAVING, then its message.
    fn close(&mut self, settled: &Settled) -> Result<Option<Row>, MergeError> {
        let Some(open) = self.open.take() else {
            return Ok(None);
        };
        let grouping = grouping(settled)?;
        let constants = &settled.spec.constants;
        if let Some(having) = &grouping.having
            && holds(having, &settled.folds, &open.folded, constants)? != Some(true)
        {
            return Ok(Some(open.first));
        }
        self.finished.clear();
        open.put(settled, grouping, &self.formats, &mut self.finished)?;
        match &mut self.sorted {
            Sorted::Streams => self.has_finished = true,
            Sorted::Giving(_) => return Err(MergeError::Bug("a group after the last")),
            Sorted::Collecting { groups, bytes } => {
                let evaluated = |order: &GroupOrder| evaluate(&order.by, &settled.folds, &open.folded, constants);
                let by = grouping.order.iter().map(evaluated).collect::<Result<Vec<_>, _>>()?;
                // a value that compares with itself compares with its kin: the sort below can't meet an error halfway
                by.iter()
                    .filter_map(Value::as_known)
                    .try_for_each(|value| compare(value, value).map(|_| ()))?;
                *bytes = bytes
                    .saturating_add(self.finished.len())
                    .saturating_add(GROUP_OVERHEAD_BYTES);
                groups.push(Waiting {
                    by,
                    message: self.finished.to_vec(),
                });
                let wanted = settled
                    .spec
                    .limit
                    .map(|limit| limit.saturating_add(settled.spec.offset));
                let wanted = wanted.and_then(|wanted| usize::try_from(wanted).ok());
                if let Some(wanted) = wanted
                    && groups.len() >= wanted.saturating_mul(2).saturating_add(SURPLUS_ROWS)
                {
                    sort(groups, &grouping.order)?;
                    groups.truncate(wanted);
                    let kept = groups
                        .iter()
                        .map(|group| group.message.len().saturating_add(GROUP_OVERHEAD_BYTES));
                    *bytes = kept.fold(0, usize::saturating_add);
                }
                if *bytes > GROUP_BYTES_MAX {
                    return Err(MergeError::GroupsTooLarge { cap: GROUP_BYTES_MAX });
                }
            }
        }
        Ok(Some(open.first))
    }
}

impl Open {
    fn start(settled: &Settled, row: Row) -> Result<Open, MergeError> {
        let start = |fold: &super::fold::SettledFold| fold.start(row.column(fold.column));
        let folded = settled.folds.iter().map(start).collect::<Result<Vec<_>, _>>()?;
        let winner = |(column, _): &(usize, Output)| row.column(*column).map(<[u8]>::to_vec);
        let winners = grouping(settled)?.outputs.iter().map(winner).collect();
        Ok(Open {
            first: row,
            folded,
            winners,
        })
    }

    fn fold(&mut self, settled: &Settled, row: &Row) -> Result<(), MergeError> {
        let outputs = &grouping(settled)?.outputs;
        for (index, (fold, folded)) in settled.folds.iter().zip(&mut self.folded).enumerate() {
            if fold.add(folded, row.column(fold.column))? == Won::No {
                continue;
            }
            for ((column, output), winner) in outputs.iter().zip(&mut self.winners) {
                if *output == (Output::Winner { fold: index }) {
                    *winner = row.column(*column).map(<[u8]>::to_vec);
                }
            }
        }
        Ok(())
    }

    /// Appends the group's DataRow message.
    fn put(
        &self,
        settled: &Settled,
        grouping: &Grouping,
        formats: &[Format],
        out: &mut BytesMut,
    ) -> Result<(), MergeError> {
        let mut columns = Vec::new();
        for (column, column_type) in settled.visible.iter().enumerate() {
            let output = grouping.outputs.iter().position(|(at, _)| *at == column);
            let output = output.and_then(|at| grouping.outputs.get(at).zip(self.winners.get(at)));
            match output {
                None => put_column(self.first.column(column), &mut columns)?,
                Some(((_, Output::Winner { .. }), winner)) => put_column(winner.as_deref(), &mut columns)?,
                Some(((_, Output::Computed(scalar)), _)) => {
                    let value = evaluate(scalar, &settled.folds, &self.folded, &settled.spec.constants)?;
                    let format = client_format(formats, column);
                    put_column(encode(&value, column_type.type_oid, format)?.as_deref(), &mut columns)?;
                }
            }
        }
        put_header(settled.visible.len(), columns.len(), out)?;
        out.extend_from_slice(&columns);
        Ok(())
    }
}

fn grouping(settled: &Settled) -> Result<&Grouping, MergeError> {
    match &settled.spec.form.method {
        Method::Grouped(grouping) => Ok(grouping),
        Method::Concatenate | Method::Ordered { .. } => Err(MergeError::Bug("groups where nothing is grouped")),
    }
}

/// Stable, so that groups which the order doesn't tell apart stay in the order of their keys.
fn sort(groups: &mut [Waiting], order: &[GroupOrder]) -> Result<(), MergeError> {
    let mut failure = None;
    groups.sort_by(|left, right| {
        compare_groups(order, left, right).unwrap_or_else(|error| {
            failure.get_or_insert(error);
            Ordering::Equal
        })
    });
    failure.map_or(Ok(()), Err)
}

fn compare_groups(order: &[GroupOrder], left: &Waiting, right: &Waiting) -> Result<Ordering, MergeError> {
    for ((order, left), right) in order.iter().zip(&left.by).zip(&right.by) {
        let (left, right) = (left.as_known(), right.as_known());
        let ordering = compare_nullable(left, right, order.direction, order.nulls, compare)?;
        if ordering != Ordering::Equal {
            return Ok(ordering);
        }
    }
    Ok(Ordering::Equal)
}
