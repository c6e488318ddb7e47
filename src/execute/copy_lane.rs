//! One shard of a COPY FROM STDIN: what goes to it, what it says, how far it is.
//!
//! Holds: its CopyData messages are of bounded length and closed before they are written; it is settled once ReadyForQuery
//! has come or its connection has ended, and not before, whatever it says.

use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};

use crate::execute::ExecuteError;
use crate::execute::copy_lines::{ShardLines, rename};
use crate::plan;
use crate::topology::ShardId;
use crate::transaction::{Life, Participants, Sync};
use crate::wire::{self, CommandComplete, ErrorFields, SqlState};

/// As many are written at once while more can be read.
const LANE_BYTES_FLUSH: usize = 64 * 1024;

/// A CopyData message of ours is closed beyond this.
const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// The reason in a CopyFail of ours: a shard that answers with it has no error of its own.
pub(super) const STOPPED: &[u8] = b"shardgate stopped this COPY";

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// it was sent the statement
    Asked,
    /// it takes rows
    Open,
    /// its rows have ended
    Closed,
    /// ReadyForQuery has come, or it is gone
    Settled,
}

/// One shard of a COPY.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) at: usize,
    pub(super) shard: ShardId,
    pub(super) stage: Stage,
    /// where its open CopyData begins
    frame: Option<usize>,
    pub(super) lines: ShardLines,
    notices: Notices,
    pub(super) count: u64,
    /// its error and the client's line in it
    pub(super) failure: Option<(Option<u64>, ExecuteError)>,
}

/// Does the client hear a shard's notices?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Notices {
    /// yes
    Relayed,
    /// no: another shard says the same
    Dropped,
}

/// Is the little that waits to be written written too?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eager {
    /// no: more will be added to it
    No,
    /// yes
    Yes,
}

impl Lane {
    /// Of the participant at `at`, which was sent the statement.
    pub(super) fn new(at: usize, shard: ShardId, notices: Notices) -> Lane {
        Lane {
            at,
            shard,
            stage: Stage::Asked,
            frame: None,
            lines: ShardLines::default(),
            notices,
            count: 0,
            failure: None,
        }
    }

    /// Puts bytes behind what it has, in CopyData messages of bounded length.
    pub(super) fn put(&mut self, pieces: [&[u8]; 2], out: &mut BytesMut) {
        for piece in pieces.iter().flat_map(|piece| piece.chunks(FRAME_BYTES_MAX)) {
            let start = match self.frame {
                Some(start) => start,
                None => {
                    let start = out.len();
                    out.extend_from_slice(b"d\0\0\0\0");
                    self.frame = Some(start);
                    start
                }
            };
            out.extend_from_slice(piece);
            if out.len().saturating_sub(start) > FRAME_BYTES_MAX {
                self.close_frame(out);
            }
        }
    }

    pub(super) fn is_at(&self, stage: Stage) -> bool {
        match stage {
            Stage::Asked => true,
            Stage::Open => self.stage != Stage::Asked,
            Stage::Closed | Stage::Settled => self.stage == Stage::Settled,
        }
    }

    pub(super) fn close_frame(&mut self, out: &mut BytesMut) {
        let Some(start) = self.frame.take() else { return };
        let length = out.len().saturating_sub(start).saturating_sub(1);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let place = start.saturating_add(1)..start.saturating_add(wire::HEADER_BYTES);
        if let Some(place) = out.get_mut(place) {
            place.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Takes it as far as its socket goes.
    #[expect(
        clippy::too_many_arguments,
        reason = "parts of one COPY and of its session, borrowed apart"
    )]
    pub(super) fn drive(
        &mut self,
        context: &mut Context<'_>,
        eager: Eager,
        participants: &mut Participants,
        plan: &plan::CopyIn,
        next: u64,
        out: &mut BytesMut,
        mut response: Option<&mut BytesMut>,
    ) {
        while self.stage != Stage::Settled {
            let Some(participant) = participants.get_mut(self.at) else {
                self.stage = Stage::Settled;
                return;
            };
            let link = &mut participant.backend.link;
            let enough = eager == Eager::Yes || link.out_buffer.len() >= LANE_BYTES_FLUSH;
            if enough {
                link.push_out(context);
            }
            match link.poll_hear(context) {
                Poll::Pending => return,
                Poll::Ready(true) => {}
                Poll::Ready(false) => return self.lose(participants, None),
            }
            if let Err(error) = self.absorb(participants, plan, next, out, response.as_deref_mut()) {
                if let Some(participant) = participants.get_mut(self.at) {
                    participant.life = Life::Gone;
                }
                self.failure.get_or_insert((None, error));
                self.stage = Stage::Settled;
            }
        }
    }

    fn lose(&mut self, participants: &mut Participants, said: Option<Box<ErrorFields>>) {
        if let Some(participant) = participants.get_mut(self.at) {
            participant.life = Life::Gone;
        }
        let lost = ExecuteError::Lost {
            shard: Some(self.shard),
            said,
        };
        self.failure.get_or_insert((None, lost));
        self.stage = Stage::Settled;
    }

    /// Takes every whole message out of its input.
    fn absorb(
        &mut self,
        participants: &mut Participants,
        plan: &plan::CopyIn,
        next: u64,
        out: &mut BytesMut,
        mut response: Option<&mut BytesMut>,
    ) -> Result<(), ExecuteError> {
        while let Some(participant) = participants.get_mut(self.at) {
            let input = &mut participant.backend.link.in_buffer;
            let Some(frame) = wire::next_frame(input, wire::LOOK_FRAME_LIMIT)? else {
                return Ok(());
            };
            let length = frame.whole.len();
            match frame.tag {
                b'G' if self.stage == Stage::Asked => {
                    self.stage = Stage::Open;
                    if let Some(response) = response.as_deref_mut()
                        && response.is_empty()
                    {
                        response.extend_from_slice(frame.whole);
                    }
                }
                b'C' => self.count = CommandComplete::parse(frame.body)?.rows().unwrap_or(0),
                b'E' => {
                    let mut fields = Box::new(ErrorFields::parse(frame.body)?);
                    input.advance(length);
                    if fields.ends_connection() {
                        self.lose(participants, Some(fields));
                        return Ok(());
                    }
                    let line = rename(&mut fields, plan, &self.lines, next);
                    let stopped =
                        fields.code() == SqlState::QUERY_CANCELED && fields.message().as_bytes().ends_with(STOPPED);
                    if !stopped {
                        let shard = Some(self.shard);
                        self.failure
                            .get_or_insert((line, ExecuteError::Shard { shard, fields }));
                    }
                    continue;
                }
                b'Z' => {
                    participant.status = wire::ReadyForQuery::parse(frame.body)?.status.byte();
                    participant.sync = Sync::Settled;
                    self.stage = Stage::Settled;
                }
                b'N' if self.notices == Notices::Dropped => {}
                b'N' => {
                    let mut fields = ErrorFields::parse(frame.body)?;
                    match rename(&mut fields, plan, &self.lines, next) {
                        Some(_) => wire::put_notice(out, &fields),
                        None => out.extend_from_slice(frame.whole),
                    }
                }
                b'A' => out.extend_from_slice(frame.whole),
                b'S' => {}
                _ => {
                    return Err(ExecuteError::Unexpected {
                        shard: Some(self.shard),
                    });
                }
            }
            participant.backend.link.in_buffer.advance(length);
            if self.stage == Stage::Settled {
                participant.backend.link.answered();
                return Ok(());
            }
        }
        Ok(())
    }
}
