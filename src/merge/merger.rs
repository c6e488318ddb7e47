//! The merge itself: rows in, rows out, one at a time.
//!
//! Why it pulls: [`Merger::next`] names the source that it cannot go on without, so the caller reads only that one and
//! the others wait in their sockets; nothing grows with the size of the answer.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::BytesMut;

use crate::plan::{Method, Repeats, Ties};
use crate::value::Format;

use super::MergeError;
use super::group::Groups;
use super::order::compare_rows;
use super::row::Row;
use super::settle::Settled;

/// What the merge needs or gives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// one DataRow message was appended
    Row,
    /// feed rows of this source (at least one) or its end, then ask again
    Wait(usize),
    /// pass the remaining DataRows of this source on as they are, count them by [`Merger::relayed`], report its end, ask
    /// again
    Relay(usize),
    /// the answer is complete; what sources still have is not needed
    Done,
}

/// Many answers becoming one.
#[derive(Debug)]
pub struct Merger {
    settled: Settled,
    sources: Vec<Source>,
    /// sources whose next row is not known yet; the last is looked at first
    pending: Vec<usize>,
    /// sources whose next row is known, smallest row first
    heads: Vec<usize>,
    spare: Vec<Row>,
    /// last row taken, for dropping repeats; or the last within the limit, for keeping ties
    last: Option<Row>,
    groups: Option<Groups>,
    skipped: u64,
    rows: u64,
}

/// One shard's rows as they come.
#[derive(Debug, Default)]
struct Source {
    queue: VecDeque<Row>,
    ended: bool,
}

impl Merger {
    /// Starts a merge of `sources` answers; `client_formats` is what the client's Bind says (none, one for all, or each).
    pub fn new(settled: Settled, sources: usize, client_formats: &[Format]) -> Merger {
        let groups = Groups::new(&settled, client_formats);
        Merger {
            settled,
            sources: (0..sources).map(|_| Source::default()).collect(),
            pending: (0..sources).rev().collect(),
            heads: Vec::with_capacity(sources),
            spare: Vec::new(),
            last: None,
            groups,
            skipped: 0,
            rows: 0,
        }
    }

    /// Takes one DataRow's body (what follows tag and length) of a source. Bounded by the caller, who feeds what
    /// [`Next::Wait`] asks for.
    pub fn row(&mut self, source: usize, body: &[u8]) -> Result<(), MergeError> {
        let mut row = self.spare.pop().unwrap_or_default();
        let form = &self.settled.spec.form;
        row.read(body, form.visible, form.hidden)?;
        self.source(source)?.queue.push_back(row);
        Ok(())
    }

    /// Says that a source has no more rows.
    pub fn end(&mut self, source: usize) -> Result<(), MergeError> {
        self.source(source)?.ended = true;
        Ok(())
    }

    /// Rows given to the client so far: the `n` of `SELECT n`.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Counts rows that were passed on after [`Next::Relay`].
    pub fn relayed(&mut self, rows: u64) {
        self.rows = self.rows.saturating_add(rows);
    }

    /// Gives the next row of the answer, or says what is missing for it.
    pub fn next(&mut self, out: &mut BytesMut) -> Result<Next, MergeError> {
        loop {
            let full = self.settled.spec.limit.is_some_and(|limit| self.rows >= limit);
            if full && (self.settled.spec.ties == Ties::Cut || self.rows == 0) {
                return Ok(Next::Done);
            }
            let step = match &self.settled.spec.form.method {
                Method::Concatenate => self.next_of_union()?,
                Method::Ordered { repeats, .. } => self.next_in_order(*repeats)?,
                Method::Grouped(_) => self.next_group()?,
            };
            match step {
                Step::Wait(source) => return Ok(Next::Wait(source)),
                Step::Relay(source) => return Ok(Next::Relay(source)),
                Step::Done => return Ok(Next::Done),
                Step::Group if self.skips() => {}
                Step::Group => {
                    let groups = self.groups.as_mut().ok_or(MergeError::Bug("a group without groups"))?;
                    out.extend_from_slice(groups.finished());
                    self.rows = self.rows.saturating_add(1);
                    return Ok(Next::Row);
                }
                Step::Row(row) if self.skips() => self.spare.push(row),
                Step::Row(row) if full && !self.ties(&row)? => return Ok(Next::Done),
                Step::Row(row) => {
                    self.keep_last(&row);
                    row.put_visible(self.settled.spec.form.visible, out)?;
                    self.spare.push(row);
                    self.rows = self.rows.saturating_add(1);
                    return Ok(Next::Row);
                }
            }
        }
    }

    /// Is a row equal, in all keys, to the last one within the limit?
    fn ties(&self, row: &Row) -> Result<bool, MergeError> {
        match &self.last {
            Some(last) => Ok(compare_rows(&self.settled.keys, last, row)? == Ordering::Equal),
            None => Err(MergeError::Bug("a tie with no row")),
        }
    }

    /// Keeps the last row within the limit, where rows that tie with it are the client's.
    fn keep_last(&mut self, row: &Row) {
        let is_last = self.settled.spec.limit == Some(self.rows.saturating_add(1));
        if is_last && self.settled.spec.ties == Ties::Kept {
            let mut last = self.spare.pop().unwrap_or_default();
            last.copy_from(row);
            self.last = Some(last);
        }
    }

    /// Counts one row against OFFSET.
    fn skips(&mut self) -> bool {
        let skips = self.skipped < self.settled.spec.offset;
        self.skipped = self.skipped.saturating_add(u64::from(skips));
        skips
    }

    fn next_of_union(&mut self) -> Result<Step, MergeError> {
        let spec = &self.settled.spec;
        let relays = spec.offset == 0 && spec.limit.is_none() && spec.form.hidden == 0;
        while let Some(&index) = self.pending.last() {
            let source = self.source(index)?;
            match (source.queue.pop_front(), source.ended) {
                (Some(row), _) => return Ok(Step::Row(row)),
                (None, true) => drop(self.pending.pop()),
                (None, false) if relays => return Ok(Step::Relay(index)),
                (None, false) => return Ok(Step::Wait(index)),
            }
        }
        Ok(Step::Done)
    }

    fn next_in_order(&mut self, repeats: Repeats) -> Result<Step, MergeError> {
        loop {
            if let Some(source) = self.fill()? {
                return Ok(Step::Wait(source));
            }
            let Some(row) = self.take_smallest()? else {
                return Ok(Step::Done);
            };
            match repeats {
                Repeats::Keep => return Ok(Step::Row(row)),
                Repeats::Drop => {
                    let repeated = match &self.last {
                        Some(last) => compare_rows(&self.settled.keys, last, &row)? == Ordering::Equal,
                        None => false,
                    };
                    if repeated {
                        self.spare.push(row);
                        continue;
                    }
                    let mut last = self.spare.pop().unwrap_or_default();
                    last.copy_from(&row);
                    self.spare.extend(self.last.replace(last));
                    return Ok(Step::Row(row));
                }
            }
        }
    }

    fn next_group(&mut self) -> Result<Step, MergeError> {
        loop {
            if let Some(groups) = self.groups.as_mut()
                && groups.take_finished()
            {
                return Ok(Step::Group);
            }
            if let Some(source) = self.fill()? {
                return Ok(Step::Wait(source));
            }
            let row = self.take_smallest()?;
            let groups = self.groups.as_mut().ok_or(MergeError::Bug("grouping without groups"))?;
            match row {
                Some(row) => self.spare.extend(groups.add(&self.settled, row)?),
                None if groups.end(&self.settled)? => {}
                None => return Ok(Step::Done),
            }
        }
    }

    /// Brings the next row of every source among the heads; gives a source that must be waited for.
    fn fill(&mut self) -> Result<Option<usize>, MergeError> {
        while let Some(&index) = self.pending.last() {
            let source = self
                .sources
                .get(index)
                .ok_or(MergeError::Bug("a pending source that does not exist"))?;
            match source.queue.front() {
                None if !source.ended => return Ok(Some(index)),
                None => drop(self.pending.pop()),
                Some(row) => {
                    let at = self.place_of(index, row)?;
                    self.pending.pop();
                    self.heads.insert(at, index);
                }
            }
        }
        Ok(None)
    }

    /// Where a source's next row belongs among the heads: after smaller rows, and after equal ones of earlier sources.
    fn place_of(&self, index: usize, row: &Row) -> Result<usize, MergeError> {
        let (mut low, mut high) = (0, self.heads.len());
        while low < high {
            let middle = low.midpoint(high);
            let other = self
                .heads
                .get(middle)
                .copied()
                .ok_or(MergeError::Bug("a head that does not exist"))?;
            let other_row = self.sources.get(other).and_then(|source| source.queue.front());
            let other_row = other_row.ok_or(MergeError::Bug("a head without a row"))?;
            match compare_rows(&self.settled.keys, other_row, row)?.then(other.cmp(&index)) {
                Ordering::Less => low = middle.saturating_add(1),
                Ordering::Equal | Ordering::Greater => high = middle,
            }
        }
        Ok(low)
    }

    fn take_smallest(&mut self) -> Result<Option<Row>, MergeError> {
        if self.heads.is_empty() {
            return Ok(None);
        }
        let index = self.heads.remove(0);
        self.pending.push(index);
        let row = self.source(index)?.queue.pop_front();
        row.map(Some).ok_or(MergeError::Bug("a head without a row"))
    }

    fn source(&mut self, index: usize) -> Result<&mut Source, MergeError> {
        self.sources
            .get_mut(index)
            .ok_or(MergeError::Bug("a source that does not exist"))
    }
}

/// What one method gives.
enum Step {
    Row(Row),
    Group,
    Wait(usize),
    Relay(usize),
    Done,
}

#[cfg(test)]
#[path = "merger_tests.rs"]
mod tests;
