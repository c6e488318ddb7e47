//! EXPLAIN of a read over several shards: the merge, then each shard's own plan, as Postgres gives it.

use crate::plan::{Access, Explained, FanOut, Method, Repeats};
use crate::session::error::{Failure, Stop};
use crate::session::explain_document::{Heading, Member, document};
use crate::session::lane::round_trip;
use crate::session::portal::Bound;
use crate::session::rows::field;
use crate::session::simple::Via;
use crate::session::state::Session;
use crate::sql::ExplainFormat;
use crate::transaction::{Sync, Worked};
use crate::value::{Format, Oid};
use crate::wire::{self, DataRow, ErrorFields};

impl Session {
    /// Runs EXPLAIN on one shard after the other.
    pub(super) async fn explain_fan(&mut self, explained: &Explained, bound: &Bound, via: Via) -> Result<(), Stop> {
        self.join_batch().await?;
        let fan = &explained.fan;
        let mut text = explained.before.clone();
        text.extend_from_slice(&fan.text);
        let finishes = fan.shards.first().filter(|_| fan.finish.is_some());
        let heading = Heading {
            merge: method(fan),
            offset: fan.merge.offset,
            limit: fan.merge.limit,
            finish: finishes.map(|shard| self.world.shard_name(*shard)),
        };
        let mut members = Vec::new();
        self.enlist_all(fan.shards(), Access::Read).await?;
        for shard in &fan.shards {
            let at = self
                .participants
                .find(*shard)
                .ok_or(Failure::Bug("a lane is missing"))?;
            let name = self.world.shard_name(*shard);
            let plan = self.explain_on(at, &text, explained, bound).await;
            self.follow_status(at);
            match plan {
                Ok(lines) => members.push(Member {
                    shard: name,
                    document: lines.join("\n"),
                }),
                Err(Stop::Failed(Failure::Shard(mut fields))) => {
                    fields.add_where(&format!("shard {name}"));
                    return Err(Failure::Shard(fields).into());
                }
                Err(stop) => return Err(stop),
            }
        }
        let rows = match explained.format {
            ExplainFormat::Text => lines(&heading, &members),
            format => {
                vec![document(format, &heading, &members).ok_or(Failure::Bug("a shard's EXPLAIN can't be read"))?]
            }
        };
        let out = &mut self.client.out_buffer;
        if via == Via::Simple {
            let kind = match explained.format {
                ExplainFormat::Text | ExplainFormat::Yaml => Oid::TEXT,
                ExplainFormat::Json => Oid::JSON,
                ExplainFormat::Xml => Oid::XML,
            };
            wire::put_row_description(out, [field("QUERY PLAN", kind, -1)]);
        }
        for row in &rows {
            wire::put_data_row(out, [Some(row.as_bytes())]);
        }
        wire::put_command_complete(out, b"EXPLAIN");
        Ok(())
    }

    async fn explain_on(
        &mut self,
        at: usize,
        text: &[u8],
        explained: &Explained,
        bound: &Bound,
    ) -> Result<Vec<String>, Stop> {
        let types = self.types_for(at, &explained.fan.parameter_types).into_owned();
        let reading = self.reading_on(bound, [at]);
        let participant = self.participants.get_mut(at).ok_or(Failure::Bug("a lane is missing"))?;
        let formats: Vec<wire::Format> = bound
            .formats
            .iter()
            .map(|format| match format {
                Format::Text => wire::Format::Text,
                Format::Binary => wire::Format::Binary,
            })
            .collect();
        let out = &mut participant.backend.link.out_buffer;
        let parsed = reading.put_parse(out, text, &types);
        wire::put_bind(
            out,
            b"",
            parsed,
            &formats,
            bound.values.iter().map(Option::as_deref),
            &[],
        );
        wire::put_execute(out, b"", 0);
        wire::put_sync(out);
        participant.set_unnamed(0);
        participant.sync = Sync::Owed;
        participant.worked = Worked::Yes;
        let (mut lines, mut notices, mut refused) = (Vec::new(), Vec::new(), None);
        round_trip(participant, |frame| {
            match frame.tag {
                b'D' => {
                    let values = DataRow::parse(frame.body)?.values.map(Option::unwrap_or_default);
                    lines.extend(values.map(|line| String::from_utf8_lossy(line).into_owned()));
                }
                b'N' => notices.extend_from_slice(frame.whole),
                b'E' => refused = Some(Box::new(ErrorFields::parse(frame.body)?)),
                _ => {}
            }
            Ok(())
        })
        .await?;
        self.client.out_buffer.extend_from_slice(&notices);
        match refused {
            Some(mut fields) => {
                fields.remove(wire::ErrorField::Position);
                Err(Failure::Shard(fields).into())
            }
            None => Ok(lines),
        }
    }
}

/// The tree as text.
fn lines(heading: &Heading, members: &[Member]) -> Vec<String> {
    let mut lines = vec![heading.merge.clone()];
    if heading.offset > 0 {
        lines.push(format!("  Offset: {} rows", heading.offset));
    }
    lines.extend(heading.limit.map(|limit| format!("  Limit: {limit} rows")));
    lines.extend(heading.finish.iter().map(|shard| format!("  Finish on shard {shard}")));
    for member in members {
        lines.push(format!("  Shard {}", member.shard));
        lines.extend(member.document.split('\n').map(|line| format!("    {line}")));
    }
    lines
}

/// What the proxy does with the shards' rows.
fn method(fan: &FanOut) -> String {
    let shards = fan.shards.len();
    match &fan.merge.form.method {
        Method::Concatenate => format!("Append over {shards} shards"),
        Method::Ordered { keys, repeats } => {
            let how = match repeats {
                Repeats::Keep => "Merge",
                Repeats::Drop => "Merge, equal rows once,",
            };
            format!("{how} by {} keys over {shards} shards", keys.len())
        }
        Method::Grouped(grouping) => {
            let (keys, folds) = (grouping.keys.len(), grouping.folds.len());
            format!("Fold {folds} partial values by {keys} keys over {shards} shards")
        }
    }
}
