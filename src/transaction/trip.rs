//! One round trip with a participant: what is queued goes out, answers come in to the last ReadyForQuery awaited.
//!
//! Why apart from sending: a commit over several shards sends to all of them before it awaits any.

use bytes::Buf;

use super::ended::Heard;
use super::participants::{Life, Participant, Sync};
use crate::topology::ShardId;
use crate::wire::{self, DataRow, ErrorFields, Frame, FrameError};

/// A round trip that did not come to its end; the participant is marked gone where its connection is.
#[derive(Debug, thiserror::Error)]
pub enum TripError {
    /// the connection ended
    #[error("shard {shard:?} ended the connection")]
    Lost {
        /// which
        shard: ShardId,
        /// what it said last, if anything
        said: Option<Box<ErrorFields>>,
    },
    /// what cannot happen
    #[error("{0}")]
    Bug(&'static str),
}

/// Writes what is queued, then reads to the next ReadyForQuery; each whole message is shown to `look`. Notifications are
/// kept with the backend, whatever was asked. Not cancel-safe.
pub async fn round_trip(
    participant: &mut Participant,
    look: impl FnMut(&Frame<'_>) -> Result<(), FrameError>,
) -> Result<(), TripError> {
    send(participant).await?;
    await_ready(participant, 1, look).await
}

/// Writes what is queued.
pub(super) async fn send(participant: &mut Participant) -> Result<(), TripError> {
    match participant.backend.link.drain().await {
        Ok(()) => Ok(()),
        Err(_) => Err(lost(participant, None)),
    }
}

/// Reads to the last of so many ReadyForQuery.
pub(super) async fn await_ready(
    participant: &mut Participant,
    mut readies: u32,
    mut look: impl FnMut(&Frame<'_>) -> Result<(), FrameError>,
) -> Result<(), TripError> {
    loop {
        let link = &mut participant.backend.link;
        let taken = match wire::next_frame(&link.in_buffer, wire::LOOK_FRAME_LIMIT)
            .map_err(|_| TripError::Bug("a frame from a shard is too long"))?
        {
            Some(frame) => {
                if frame.tag == b'E'
                    && let Ok(fields) = ErrorFields::parse(frame.body)
                    && fields.ends_connection()
                {
                    return Err(lost(participant, Some(Box::new(fields))));
                }
                look(&frame).map_err(|_| TripError::Bug("a shard broke the protocol"))?;
                if frame.tag == b'A' {
                    let notified = participant.backend.notified.get_or_insert_default();
                    notified.0.extend_from_slice(frame.whole);
                }
                if frame.tag == b'Z' {
                    participant.status = frame.body.first().copied().unwrap_or(b'E');
                    readies = readies.saturating_sub(1);
                }
                Some(frame.whole.len())
            }
            None => None,
        };
        match taken {
            Some(length) => {
                participant.backend.link.in_buffer.advance(length);
                if readies == 0 {
                    participant.backend.link.answered();
                    participant.sync = Sync::Settled;
                    return Ok(());
                }
            }
            None => {
                if !matches!(participant.backend.link.fill().await, Ok(count) if count > 0) {
                    return Err(lost(participant, None));
                }
            }
        }
    }
}

fn lost(participant: &mut Participant, said: Option<Box<ErrorFields>>) -> TripError {
    participant.life = Life::Gone;
    TripError::Lost {
        shard: participant.shard,
        said,
    }
}

/// Queues simple Queries behind a Sync that is owed; how many ReadyForQuery that makes.
pub(super) fn queue(participant: &mut Participant, texts: &[&[u8]]) -> u32 {
    let out = &mut participant.backend.link.out_buffer;
    let mut readies = 0;
    if participant.sync == Sync::Owed {
        wire::put_sync(out);
        readies += 1;
    }
    for text in texts {
        wire::put_query(out, text);
        readies += 1;
    }
    readies
}

/// What a shard answered: its last tag, its first error, its last row.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) tag: Vec<u8>,
    pub(super) error: Option<Box<ErrorFields>>,
    pub(super) row: Vec<Option<String>>,
}

impl Answer {
    pub(super) fn look(&mut self, frame: &Frame<'_>, heard: &mut Heard) -> Result<(), FrameError> {
        match frame.tag {
            b'E' if self.error.is_none() => self.error = Some(Box::new(ErrorFields::parse(frame.body)?)),
            b'C' => {
                self.tag.clear();
                self.tag.extend(frame.body.iter().take_while(|byte| **byte != 0));
            }
            b'D' => {
                self.row = DataRow::parse(frame.body)?
                    .values
                    .map(|value| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
                    .collect();
            }
            b'N' => heard.notices.extend_from_slice(frame.whole),
            _ => {}
        }
        Ok(())
    }
}
