//! A statement that writes on several shards: its block, its backends, its one answer.
//!
//! Holds: on several shards it runs inside a block on each, so that it commits as one (`transaction`); the block is the
//! client's, or one of the batch's that ends with it. One text that is its batch's only work needs no block.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;

use crate::execute::{Describe, ExecuteError, WriteRequest, Written};
use crate::plan::{Access, WriteAnswer, Writes};
use crate::session::error::{Failure, Stop};
use crate::session::oids;
use crate::session::portal::Bound;
use crate::session::state::{Session, Wrapping};
use crate::topology::ShardId;
use crate::transaction::State;
use crate::value::Format;
use crate::wire;

impl Session {
    /// Runs a write to its end, and gives its rows: not more than `most` (0: all); the others are returned.
    pub(super) async fn run_writes(
        &mut self,
        plan: &Arc<Writes>,
        bound: &Bound,
        result_formats: &[Format],
        describe: Describe,
        most: i32,
    ) -> Result<Option<Box<Returned>>, Stop> {
        let mut written = self.write_parts(plan, bound, result_formats).await?;
        let at_end = written.at_end.take();
        if let Some(returned) = Returned::of(&written, most) {
            let left = self.give_first(returned, most)?;
            return match at_end {
                None => Ok(left),
                Some(error) => Err(self.write_failed(plan, error)),
            };
        }
        let Some(error) = at_end else {
            self.put_written(&written, describe)?;
            return Ok(None);
        };
        // A Query's own end is that of its transaction: no tag comes before that (sessions.md 8).
        match self.lone {
            true => self.put_rows(&written, describe)?,
            false => self.put_written(&written, describe)?,
        }
        Err(self.write_failed(plan, error))
    }

    /// Gives the first of them; those that are left come back, none of them if it is asked again.
    pub(super) fn give_first(&mut self, mut returned: Returned, most: i32) -> Result<Option<Box<Returned>>, Stop> {
        self.give_returned(&mut returned, most)?;
        Ok(Some(Box::new(returned)))
    }

    /// Gives further rows of what has run, not more than `most` (0: all).
    ///
    /// As Postgres does it (`PortalRun` of PORTAL_ONE_RETURNING): the tag counts this Execute's rows, and a limit that
    /// is hit exactly suspends.
    pub(super) fn give_returned(&mut self, returned: &mut Returned, most: i32) -> Result<(), Stop> {
        let most = u64::try_from(most).unwrap_or(0);
        let mut given = 0;
        while (most == 0 || given < most) && !returned.rows.is_empty() {
            let frame = wire::next_frame(&returned.rows, wire::LARGE_MESSAGE_LIMIT)
                .ok()
                .flatten()
                .ok_or(Failure::Bug("a returned row can't be read"))?;
            let row = returned.rows.split_to(frame.whole.len());
            self.client.out_buffer.extend_from_slice(&row);
            given += 1;
        }
        self.rows = self.rows.saturating_add(given);
        if most > 0 && given == most {
            wire::put_portal_suspended(&mut self.client.out_buffer);
            return Ok(());
        }
        let mut tag = returned.word.clone();
        tag.extend_from_slice(given.to_string().as_bytes());
        self.put_tag(&tag);
        Ok(())
    }

    /// Runs a write to its end; what it answers is the caller's to pass on.
    pub(super) async fn write_all(
        &mut self,
        plan: &Arc<Writes>,
        bound: &Bound,
        result_formats: &[Format],
    ) -> Result<Written, Stop> {
        let mut written = self.write_parts(plan, bound, result_formats).await?;
        match written.at_end.take() {
            Some(error) => Err(self.write_failed(plan, error)),
            None => Ok(written),
        }
    }

    async fn write_parts(
        &mut self,
        plan: &Arc<Writes>,
        bound: &Bound,
        result_formats: &[Format],
    ) -> Result<Written, Stop> {
        let lanes = self.enlist_writes(plan).await?;
        self.write_on(&lanes, plan, bound, result_formats).await
    }

    /// The backends that a write takes, in its block.
    pub(super) async fn enlist_writes(&mut self, plan: &Arc<Writes>) -> Result<BTreeMap<ShardId, usize>, Stop> {
        if self.is_batch(plan) {
            self.join_batch().await?; // what others have parsed for it
        } else if !self.block.is_explicit() {
            self.begin_batch_block().await?;
            if self.lone {
                self.hold_tag = true; // its commit may fail yet (sessions.md 8)
            }
        }
        self.enlist_all(plan.shards(), Access::Write).await
    }

    /// Runs a write's parts on these.
    pub(super) async fn write_on(
        &mut self,
        lanes: &BTreeMap<ShardId, usize>,
        plan: &Arc<Writes>,
        bound: &Bound,
        result_formats: &[Format],
    ) -> Result<Written, Stop> {
        let types = plan.parts.iter().map(|part| match lanes.get(&part.shard) {
            Some(at) => self.types_for(*at, &part.parameter_types).into_owned(),
            None => part.parameter_types.clone(),
        });
        let types: Vec<_> = types.collect();
        let values: Vec<Option<&[u8]>> = bound.values.iter().map(Option::as_deref).collect();
        let reading = self.reading_on(bound, lanes.values().copied());
        let request = WriteRequest {
            plan,
            lanes,
            formats: &bound.formats,
            values: &values,
            result_formats,
            types: &types,
            reading: &reading,
        };
        let written = self.write(&request).await;
        self.active = None;
        match written {
            Ok(written) => Ok(written),
            Err(error) => Err(self.write_failed(plan, error)),
        }
    }

    /// Is it one text for one shard, and all that its batch does, so that the batch's end is the text's own?
    fn is_batch(&self, plan: &Writes) -> bool {
        let one_text = plan.parts.len() == 1 && matches!(plan.answer, WriteAnswer::Sum(_));
        let outside = self.block.state() == State::Idle && self.wrapping == Wrapping::No;
        one_text && outside && (self.lone || self.before_sync) && !self.has_worked_in_batch()
    }

    pub(super) async fn write(&mut self, request: &WriteRequest<'_>) -> Result<Written, ExecuteError> {
        let (mut sink, participants) = self.sink();
        crate::execute::write(request, participants, &mut sink).await
    }

    pub(super) fn put_written(&mut self, written: &Written, describe: Describe) -> Result<(), Stop> {
        self.put_rows(written, describe)?;
        self.put_tag(&written.tag);
        Ok(())
    }

    fn put_rows(&mut self, written: &Written, describe: Describe) -> Result<(), Stop> {
        if describe == Describe::Yes
            && let Some((shard, whole)) = &written.description
        {
            let map = self.participants.find(*shard).and_then(|at| self.foreign_oids(at));
            match map {
                Some(map) => {
                    let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
                    let home = oids::row_description(body, &map)
                        .map_err(|_| Failure::Bug("a RowDescription can't be read"))?;
                    self.client.out_buffer.extend_from_slice(&home);
                }
                None => self.client.out_buffer.extend_from_slice(whole),
            }
        }
        self.client.out_buffer.extend_from_slice(&written.rows);
        self.rows = self.rows.saturating_add(written.count);
        Ok(())
    }

    /// The tag of a statement that ran here; the last one of a message waits for its commit (sessions.md 8).
    pub(super) fn put_tag(&mut self, tag: &[u8]) {
        if self.hold_tag {
            let mut held = BytesMut::new();
            wire::put_command_complete(&mut held, tag);
            self.held_tag = Some(held.to_vec());
        } else {
            wire::put_command_complete(&mut self.client.out_buffer, tag);
        }
    }

    /// The error of a part, with its shard where there are several.
    pub(super) fn write_failed(&mut self, plan: &Writes, error: ExecuteError) -> Stop {
        match error {
            ExecuteError::Shard {
                shard: Some(shard),
                mut fields,
            } => {
                if plan.shards().single().is_none() {
                    fields.add_where(&format!("shard {}", self.world.shard_name(shard)));
                }
                Failure::Shard(fields).into()
            }
            error => self.fan_failed(error),
        }
    }
}

/// Rows that a write has returned or a FETCH has fetched, and that its portal still has to give.
#[derive(Debug)]
pub(super) struct Returned {
    /// DataRows as whole messages
    rows: BytesMut,
    /// the tag up to the number of rows
    word: Vec<u8>,
}

impl Returned {
    /// Rows of a FETCH.
    pub(super) fn fetched(rows: BytesMut) -> Returned {
        Returned {
            rows,
            word: b"FETCH ".to_vec(),
        }
    }

    /// What has to be given bit by bit; none: all is wanted at once, or it returns nothing.
    fn of(written: &Written, most: i32) -> Option<Returned> {
        if written.rows.is_empty() || most <= 0 {
            return None;
        }
        let digits = written
            .tag
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let word = written.tag.get(..written.tag.len().saturating_sub(digits))?;
        Some(Returned {
            rows: written.rows.clone(),
            word: word.to_vec(),
        })
    }
}
