//! What a plan wants to know of rows, wherever they lie: a statement of ours that is planned, and run, by itself.
//!
//! Holds: it runs in the client's transaction, and sees what that has written; nothing of its answer is the client's, but
//! for notices and notifications.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;

use crate::execute::{Fan, FanRequest, Given, Interrupt, Reading, Sink};
use crate::plan::{Access, Facts, FanOut, Found, MergeSpec, Parameters, RowAsk, RowLocks, Snapshot, Work};
use crate::session::error::{Failure, Stop};
use crate::session::route::Question;
use crate::session::state::Session;
use crate::sql::PositionMap;
use crate::value::Oid;
use crate::wire;

/// A client's side that keeps what it is given.
pub(super) struct Kept<'a> {
    /// whom it stands for
    pub(super) client: &'a mut dyn Sink,
    /// what it was given
    pub(super) kept: BytesMut,
}

impl Sink for Kept<'_> {
    fn buffer(&mut self) -> &mut BytesMut {
        &mut self.kept
    }

    fn poll_room(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // it is one row
    }

    fn poll_interrupt(&mut self, context: &mut Context<'_>) -> Poll<Interrupt> {
        self.client.poll_interrupt(context)
    }
}

impl Session {
    /// Runs these statements for the facts' `found`. Boxed: each is planned as the client's are.
    pub(super) fn answer_rows<'a>(
        &'a mut self,
        snapshot: &'a Arc<Snapshot>,
        asks: &'a [RowAsk],
        facts: &'a mut Facts,
    ) -> Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>> {
        Box::pin(async move {
            self.flush_and_settle().await?;
            if self.failed {
                return Err(Failure::AlreadyAnswered.into());
            }
            for ask in asks {
                let question = Question {
                    text: ask.text.as_bytes(),
                    declared: &[],
                    parameters: Parameters::default(),
                    statement: None,
                    scanned: None,
                };
                let fan = match self.plan(snapshot, &question).await?.work {
                    Work::Many(fan) => fan,
                    Work::One(shard) => Arc::new(FanOut {
                        shards: vec![shard],
                        text: ask.text.clone().into_bytes(),
                        positions: PositionMap::default(),
                        parameter_types: Vec::new(),
                        merge: Arc::new(MergeSpec::concatenate(ask.columns)),
                        row_locks: RowLocks::No,
                        finish: None,
                    }),
                    Work::Writes(_) | Work::CopyIn(_) | Work::CopyOut(_) | Work::Cursor(_) | Work::Explain(_) => {
                        return Err(Failure::Bug("a question that is no query").into());
                    }
                };
                let found = self.find_row(&fan).await?;
                facts.found.insert(ask.clone(), found);
            }
            Ok(())
        })
    }

    async fn find_row(&mut self, plan: &Arc<FanOut>) -> Result<Vec<Found>, Stop> {
        let lanes = self.fan_lanes(plan).await?;
        let world = Arc::clone(&self.world);
        let request = FanRequest {
            plan,
            lanes: &lanes,
            formats: &[],
            values: &[],
            types: &[],
            result_formats: &[],
            portal: "",
            row_limit: 0,
            consistency: self.fan_consistency(plan, &lanes, &world)?,
            reading: &Reading::default(),
            finish_reading: &Reading::default(),
        };
        let (mut client, participants) = self.sink();
        let mut sink = Kept {
            client: &mut client,
            kept: BytesMut::new(),
        };
        let run = async {
            let mut fan = Fan::start(&request, participants, &mut sink).await?;
            let mut described = BytesMut::new();
            fan.put_description(&mut described);
            let given = fan.emit(0, participants, &mut sink).await?;
            Ok((described, given))
        };
        let ran = run.await;
        let kept = sink.kept;
        drop(client);
        let (described, given) = ran.map_err(|error| self.fan_failed(error))?;
        self.active = None;
        if given != Given::Complete(1) {
            return Err(Failure::Bug("a question without its one row").into());
        }
        self.take_found(&described, &kept)
    }

    fn take_found(&mut self, described: &[u8], kept: &[u8]) -> Result<Vec<Found>, Stop> {
        let body = described.get(wire::HEADER_BYTES..).unwrap_or_default();
        let columns = wire::RowDescription::parse(body).map_err(|_| UNREADABLE)?;
        let types: Vec<Oid> = columns.fields().map(|field| field.type_oid).collect();
        let mut found = Vec::new();
        let mut rest = kept;
        while let Some(frame) = wire::next_frame(rest, wire::LARGE_MESSAGE_LIMIT).map_err(|_| UNREADABLE)? {
            match frame.tag {
                b'D' => {
                    let row = wire::DataRow::parse(frame.body).map_err(|_| UNREADABLE)?;
                    let text = |value: Option<&[u8]>| value.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
                    let values = row.values.zip(&types).map(|(value, type_oid)| Found {
                        type_oid: *type_oid,
                        value: text(value),
                    });
                    found.extend(values);
                }
                b'N' | b'A' => self.client.out_buffer.extend_from_slice(frame.whole),
                _ => {}
            }
            rest = rest.get(frame.whole.len()..).unwrap_or_default();
        }
        Ok(found)
    }

    /// The backends of a fan-out, in the order of its shards.
    pub(super) async fn fan_lanes(&mut self, plan: &FanOut) -> Result<Vec<usize>, Stop> {
        self.join_batch().await?;
        let lanes = self
            .enlist_all(plan.shards.iter().copied().collect(), Access::Read)
            .await?;
        let shards = plan.shards.iter();
        Ok(shards.filter_map(|shard| lanes.get(shard).copied()).collect())
    }
}

const UNREADABLE: Failure = Failure::Bug("an answer of the proxy's own can't be read");
