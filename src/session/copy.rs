//! COPY of a table whose rows lie on several shards: its backends, the client's stream, its one answer.
//!
//! Holds: COPY FROM STDIN runs inside a block on every shard, so that it commits as one (`transaction`); what the client
//! still sends after an error is dropped up to its end (sessions.md 9); a client that vanishes leaves nothing behind.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Buf;

use crate::admin::Leave;
use crate::execute::{
    self, Categories, Copied, Eager, ExecuteError, Interrupt, Lanes, Reading, RowsGiven, StopHow, WriteRequest,
};
use crate::plan::{self, Access, CopyOut, CopyOwners, FillValue, Purpose, RowPlace, Writes};
use crate::session::error::{Failure, Gone, Stop};
use crate::session::pump::fatal;
use crate::session::simple::Via;
use crate::session::state::{CopyProtocol, Copying, Ended, Session, Wrapping};
use crate::sql::AtEnd;
use crate::topology::ShardId;
use crate::value::Oid;
use crate::wire;

/// Bytes of the client's that are given away at once.
const PIECE_BYTES: usize = 64 * 1024;

/// A COPY FROM STDIN under way.
#[derive(Debug)]
pub(super) struct Split {
    plan: Arc<plan::CopyIn>,
    copy: execute::CopyIn,
    categories: Arc<Categories>,
    /// what each backend had done before
    before: BTreeMap<usize, Access>,
    /// its backends
    lanes: BTreeMap<ShardId, usize>,
}

/// What a turn came to.
enum Turn {
    /// it goes on
    Goes,
    /// the client has sent all
    Done,
    /// it is over
    Stopped(Why),
}

/// Why it is stopped.
enum Why {
    /// a shard has failed
    Shard,
    /// the client gave it up, for this reason
    Client(Vec<u8>),
    /// what a shard was given last it will refuse
    Broken,
    /// by us
    Own(Failure),
    /// by us, in the client's line under way
    Row(Failure),
    /// the client sent a message that has no place there
    Message(u8),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// more of the client's data
    Input,
    /// shards that can take what there is
    Room,
}

/// What a wait ended with.
enum Woken {
    Go,
    ClientEnded,
    ClientFailed(std::io::Error),
    ShardFailed,
    Stop(Failure),
    Leave,
}

impl Session {
    /// Begins a COPY FROM STDIN: on return the client has been asked for its data.
    pub(super) async fn begin_copy_in(&mut self, plan: &Arc<plan::CopyIn>, text: &[u8], via: Via) -> Result<(), Stop> {
        if !self.block.is_explicit() {
            self.begin_batch_block().await?;
        }
        let held: BTreeMap<ShardId, Access> = self.participants.iter().map(|p| (p.shard, p.access)).collect();
        let lanes = self.enlist_all(plan.shards, Access::Write).await?;
        let before = lanes.iter().map(|(shard, at)| {
            let access = held.get(shard).copied().unwrap_or(Access::Read);
            (*at, access)
        });
        let before = before.collect();
        if let CopyOwners::All(copies) = &plan.owners {
            self.write_beside(&copies.lock, &lanes).await?;
        }
        let once = self.copy_constants(plan).await?;
        let text = plan.text.as_deref().unwrap_or(text);
        let (mut sink, participants) = self.sink();
        let started = execute::CopyIn::start(plan, (text, once), &lanes, participants, &mut sink).await;
        let (mut copy, response) = match started {
            Ok(started) => started,
            Err(error) => {
                drop(sink);
                return Err(self.copy_failed(error));
            }
        };
        if plan.form.is_none() {
            let failed = copy.stop(StopHow::Own, participants, &mut sink).await;
            drop(sink);
            return Err(match failed {
                Some(error) => self.copy_failed(error),
                None => Failure::NotInThisVersion {
                    construct: "COPY with these options",
                }
                .into(),
            });
        }
        drop(sink);
        self.client.out_buffer.extend_from_slice(&response);
        self.split = Some(Box::new(Split {
            plan: Arc::clone(plan),
            copy,
            categories: self.world.discovery.fixed(),
            before,
            lanes,
        }));
        self.active = None;
        self.copying = Copying::Split(match via {
            Via::Simple => CopyProtocol::Simple,
            Via::Extended => CopyProtocol::Extended,
        });
        Ok(())
    }

    /// One step of it.
    pub(super) async fn split_step(&mut self, protocol: CopyProtocol) -> Result<(), Gone> {
        let Some(mut split) = self.split.take() else {
            self.copying = Copying::No;
            return Ok(());
        };
        let done = match self.split_turn(&mut split).await? {
            Turn::Goes => {
                self.split = Some(split);
                return Ok(());
            }
            Turn::Done => self.split_done(&mut split).await,
            Turn::Stopped(why) => Err(self.split_stopped(&mut split, why).await?),
        };
        if let Some(shares) = split.copy.shares() {
            self.load.divide(shares);
        }
        for (sequence, value) in split.copy.last_values() {
            self.sequences.note(&sequence, value);
        }
        self.copying = Copying::No;
        self.active = None;
        self.drop_left = std::mem::take(&mut self.copy_left);
        let done = match done {
            Ok(copied) => {
                self.rows = self.rows.saturating_add(copied.count);
                if protocol == CopyProtocol::Simple && self.rest.is_none() && self.wrapping == Wrapping::Yes {
                    self.hold_tag = true; // its commit may fail yet (sessions.md 8)
                }
                self.put_tag(format!("COPY {}", copied.count).as_bytes());
                Ok(())
            }
            Err(stop) => Err(stop),
        };
        match (protocol, done) {
            (CopyProtocol::Simple, done) => {
                if let Err(stop) = done {
                    self.report_failure(stop)?;
                }
                Box::pin(self.run_rest()).await?;
                self.finish_query().await?;
                self.leave_batch();
                Ok(())
            }
            (CopyProtocol::Extended, Ok(())) => Ok(()),
            (CopyProtocol::Extended, Err(stop)) => self.fail_in_order(stop).await,
        }
    }

    async fn split_done(&mut self, split: &mut Split) -> Result<Copied, Stop> {
        let (mut sink, participants) = self.sink();
        let ended = split.copy.end(participants, &mut sink).await;
        drop(sink);
        let copied = ended.map_err(|error| self.copy_failed(error))?;
        if let CopyOwners::All(copies) = &split.plan.owners
            && copied.count > 0
        {
            self.write_beside(&copies.sum, &split.lanes).await?;
        }
        // Who got no row has written nothing: the commit need not wait for it.
        for at in &copied.without {
            if let (Some(participant), Some(before)) = (self.participants.get_mut(*at), split.before.get(at)) {
                participant.access = *before;
            }
        }
        Ok(copied)
    }

    /// Runs what goes with a COPY on its backends, for the client to see nothing of.
    async fn write_beside(&mut self, plan: &Arc<Writes>, lanes: &BTreeMap<ShardId, usize>) -> Result<(), Stop> {
        let types = vec![Vec::new(); plan.parts.len()];
        let request = WriteRequest {
            reading: &Reading::default(),
            plan,
            lanes,
            formats: &[],
            values: &[],
            result_formats: &[],
            types: &types,
        };
        let written = self.write(&request).await;
        self.active = None;
        match written {
            Ok(_) => Ok(()),
            Err(error) => Err(self.write_failed(plan, error)),
        }
    }

    /// Values of columns that are the same in all rows: those of the transaction that the rows are written in.
    async fn copy_constants(&mut self, plan: &plan::CopyIn) -> Result<Vec<Option<String>>, Stop> {
        let questions: Vec<String> = plan
            .fills
            .iter()
            .filter_map(|fill| match &fill.value {
                FillValue::Once(question) => Some(question.clone()),
                FillValue::Next(..) => None,
            })
            .collect();
        if !questions.is_empty() && self.told_moment.is_some() {
            return Err(Failure::NotInThisVersion {
                construct: "COPY that leaves a column to a default with now(), behind a read with now() in one batch",
            }
            .into());
        }
        match (self.begun_on().or(plan.shards.first()), questions.is_empty()) {
            (Some(first), false) => self.ask_constants(first, &questions).await,
            (_, _) => Ok(Vec::new()),
        }
    }

    /// Stops it; what the client is told.
    async fn split_stopped(&mut self, split: &mut Split, why: Why) -> Result<Stop, Gone> {
        let how = match &why {
            Why::Client(reason) => StopHow::Client(reason),
            Why::Broken => StopHow::Broken,
            Why::Shard | Why::Own(_) | Why::Row(_) | Why::Message(_) => StopHow::Own,
        };
        let context = format!("COPY {}, line {}", split.plan.table, split.copy.line());
        let (mut sink, participants) = self.sink();
        let failed = split.copy.stop(how, participants, &mut sink).await;
        drop(sink);
        let failed = failed.map(|error| self.copy_failed(error));
        match (why, failed) {
            (_, Some(Stop::Gone(gone))) => Err(gone),
            (Why::Own(failure), _) => Ok(failure.into()),
            (Why::Message(tag), _) => {
                let violation = |text: String| {
                    wire::ErrorFields::new(wire::Severity::Error, wire::SqlState::PROTOCOL_VIOLATION, text)
                };
                let mut fields = violation(format!("unexpected message type 0x{tag:02X} during COPY from stdin"));
                fields.add_where(&context);
                wire::put_error(&mut self.client.out_buffer, &fields);
                let lost = "terminating connection because protocol synchronization was lost";
                Err(Gone::Fatal(Box::new(fatal(violation(lost.to_owned())))))
            }
            (Why::Shard | Why::Client(_) | Why::Broken | Why::Row(_), Some(stop)) => Ok(stop),
            (Why::Row(failure), None) => Ok(Failure::CopyRow {
                failure: Box::new(failure),
                context,
            }
            .into()),
            (Why::Shard | Why::Client(_), None) => Ok(Failure::Bug("a COPY was stopped for no reason").into()),
            (Why::Broken, None) => Ok(Failure::Bug("a shard took what Postgres refuses").into()),
        }
    }

    async fn split_turn(&mut self, split: &mut Split) -> Result<Turn, Gone> {
        let mut taken = 0_usize;
        let mut end = None;
        let mut wants = Wants::Room;
        while taken < PIECE_BYTES && end.is_none() {
            let input = &mut self.client.in_buffer;
            if self.copy_left > 0 && !input.is_empty() {
                let here = self.copy_left.min(input.len());
                split.copy.take(input.get(..here).unwrap_or_default());
                input.advance(here);
                self.copy_left = self.copy_left.saturating_sub(here);
                taken = taken.saturating_add(here);
                continue;
            }
            let Some(tag) = input.first().copied() else {
                wants = Wants::Input;
                break;
            };
            let header = match wire::Header::parse(input, wire::frontend_limit(tag)?)? {
                Some(header) if tag == b'd' || input.len() >= header.whole() => header,
                Some(_) | None => {
                    wants = Wants::Input;
                    break;
                }
            };
            match tag {
                b'd' => {
                    input.advance(wire::HEADER_BYTES);
                    self.copy_left = header.length;
                }
                b'S' | b'H' => input.advance(header.whole()), // swallowed, as Postgres does (sessions.md 9)
                b'c' => {
                    input.advance(header.whole());
                    end = Some(Turn::Done);
                }
                b'f' => {
                    let body = input.get(wire::HEADER_BYTES..header.whole()).unwrap_or_default();
                    let reason = wire::CopyFail::parse(body)?.reason.to_vec();
                    input.advance(header.whole());
                    end = Some(Turn::Stopped(Why::Client(reason)));
                }
                b'X' => return Err(Gone::Closed),
                other => end = Some(Turn::Stopped(Why::Message(other))),
            }
        }
        self.running.sent = self.running.sent.saturating_add(taken as u64);
        if taken > 0
            && let Some(why) = self.split_give(split, AtEnd::No).await?
        {
            return Ok(Turn::Stopped(why));
        }
        match end {
            Some(Turn::Done) => {
                let why = self.split_give(split, AtEnd::Yes).await?;
                Ok(why.map_or(Turn::Done, Turn::Stopped))
            }
            Some(end) => Ok(end),
            None => self.split_wait(split, wants).await,
        }
    }

    /// Gives rows to their shards; asks for categories on the way.
    async fn split_give(&mut self, split: &mut Split, end: AtEnd) -> Result<Option<Why>, Gone> {
        loop {
            let given = split.copy.give(end, &split.categories, &mut self.participants);
            let keys = match given {
                Ok(RowsGiven::All | RowsGiven::Ended) => return Ok(None),
                Ok(RowsGiven::Broken) => return Ok(Some(Why::Broken)),
                Ok(RowsGiven::TooLong) => return Ok(Some(Why::Row(Failure::CopyRowTooLong))),
                Ok(RowsGiven::Unplaced(place)) => {
                    let refusal = split.plan.refusal(&place).map(Failure::Refused);
                    let unread = || Failure::CopyKeyUnread {
                        table: split.plan.table.clone(),
                        column: split.plan.key().map(|key| key.name.clone()).unwrap_or_default(),
                        why: match &place {
                            RowPlace::Unread(why) => why,
                            _ => "it has no place",
                        },
                    };
                    return Ok(Some(Why::Row(refusal.unwrap_or_else(unread))));
                }
                Ok(RowsGiven::Ask(keys)) => keys,
                Ok(RowsGiven::OutOfRange(type_oid)) => {
                    return Ok(Some(Why::Row(out_of_range(type_oid))));
                }
                Ok(RowsGiven::Draw(draws)) => {
                    for draw in draws {
                        match self.draw_ahead(&draw).await {
                            Ok(values) => split.copy.supply(&draw.sequence, values),
                            Err(Stop::Gone(gone)) => return Err(gone),
                            Err(Stop::Failed(failure)) => return Ok(Some(Why::Row(failure))),
                        }
                    }
                    continue;
                }
                Err(error) => {
                    return match self.copy_failed(error) {
                        Stop::Gone(gone) => Err(gone),
                        Stop::Failed(failure) => Ok(Some(Why::Own(failure))),
                    };
                }
            };
            let discovery = Arc::clone(&self.world);
            let Some(key) = split.plan.key() else {
                return Ok(Some(Why::Own(Failure::Bug("a category without its key"))));
            };
            match discovery
                .discovery
                .categories(key.keyspace, &keys, Purpose::Write)
                .await
            {
                Ok(found) => Arc::make_mut(&mut split.categories).extend(found),
                Err(error) => return Ok(Some(Why::Row(error.into()))),
            }
        }
    }

    async fn split_wait(&mut self, split: &mut Split, wants: Wants) -> Result<Turn, Gone> {
        if wants == Wants::Input && self.client_ended == Ended::Yes {
            return Err(Gone::Closed);
        }
        let enrolment = &self.enrolment;
        let deadline = self.running.deadline;
        let mut cancelled = pin!(enrolment.cancelled(self.running.mark));
        let mut told = pin!(enrolment.told_to_leave(Leave::Now));
        let mut expired = pin!(deadline.map(|deadline| tokio::time::sleep_until(deadline.into())));
        let (client, participants) = (&mut self.client, &mut self.participants);
        let copy = &mut split.copy;
        let woken = poll_fn(|context| {
            let mut lanes = copy.poll_lanes(context, Eager::No, participants, &mut client.out_buffer);
            if lanes == Lanes::Room && wants == Wants::Room {
                return Poll::Ready(Woken::Go);
            }
            if lanes == Lanes::Room {
                match client.poll_fill(context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Woken::ClientEnded),
                    Poll::Ready(Ok(_)) => return Poll::Ready(Woken::Go),
                    Poll::Ready(Err(error)) => return Poll::Ready(Woken::ClientFailed(error)),
                    // The client is slower than the shards: they get what there is.
                    Poll::Pending => {
                        lanes = copy.poll_lanes(context, Eager::Yes, participants, &mut client.out_buffer);
                    }
                }
            }
            if lanes == Lanes::Failed {
                return Poll::Ready(Woken::ShardFailed);
            }
            if !client.out_buffer.is_empty()
                && let Poll::Ready(Err(error)) = client.poll_drain(context)
            {
                return Poll::Ready(Woken::ClientFailed(error));
            }
            if cancelled.as_mut().poll(context).is_ready() {
                return Poll::Ready(Woken::Stop(Failure::Cancelled));
            }
            if let Some(expired) = expired.as_mut().as_pin_mut()
                && expired.poll(context).is_ready()
            {
                return Poll::Ready(Woken::Stop(Failure::StatementTimeout));
            }
            if told.as_mut().poll(context).is_ready() {
                return Poll::Ready(Woken::Leave);
            }
            Poll::Pending
        })
        .await;
        match woken {
            Woken::Go => Ok(Turn::Goes),
            Woken::ClientEnded => {
                self.client_ended = Ended::Yes;
                Ok(Turn::Goes)
            }
            Woken::ClientFailed(error) => Err(Gone::Vanished(error)),
            Woken::ShardFailed => Ok(Turn::Stopped(Why::Shard)),
            Woken::Stop(failure) => Ok(Turn::Stopped(Why::Own(failure))),
            Woken::Leave => Err(Gone::Draining),
        }
    }

    /// Runs a COPY TO STDOUT to its end.
    pub(super) async fn run_copy_out(&mut self, plan: &Arc<CopyOut>, text: &[u8]) -> Result<(), Stop> {
        self.join_batch().await?;
        let lanes = self.enlist_all(plan.shards, Access::Read).await?;
        let world = Arc::clone(&self.world);
        let consistent = self.wants_consistency()?.then_some(&world.coordinator);
        let (mut sink, participants) = self.sink();
        let copied = execute::copy_out(plan, text, &lanes, participants, &mut sink, consistent).await;
        drop(sink);
        self.active = None;
        let count = copied.map_err(|error| self.copy_failed(error))?;
        self.rows = self.rows.saturating_add(count);
        self.put_tag(format!("COPY {count}").as_bytes());
        Ok(())
    }

    /// An error of a COPY. Its text is the client's own, so a position in it is right.
    fn copy_failed(&mut self, error: ExecuteError) -> Stop {
        match error {
            ExecuteError::Shard {
                shard: Some(shard),
                mut fields,
            } => {
                self.active = None;
                fields.add_where(&format!("shard {}", self.world.shard_name(shard)));
                Failure::Shard(fields).into()
            }
            ExecuteError::Interrupted(Interrupt::ClientGone(error)) => Gone::Vanished(error).into(),
            error => self.fan_failed(error),
        }
    }
}

/// Postgres's own error where a sequence's value is beyond its column's type.
fn out_of_range(type_oid: Oid) -> Failure {
    let name = match type_oid {
        Oid::INT2 => "smallint",
        _ => "integer",
    };
    crate::discovery::Error::Sequence {
        code: wire::SqlState::NUMERIC_VALUE_OUT_OF_RANGE.as_str().to_owned(),
        message: format!("{name} out of range"),
    }
    .into()
}
