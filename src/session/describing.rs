//! Describe of statements and portals.

use std::sync::Arc;

use crate::plan::Parameters;
use crate::session::error::{Failure, Stop};
use crate::session::extended::is_local;
use crate::session::portal::Place;
use crate::session::prepared::Statement;
use crate::session::preparing::has_statement;
use crate::session::queue::{Kind, Owed, Shown, Undo};
use crate::session::route::Question;
use crate::session::state::Session;
use crate::topology::ShardId;
use crate::transaction::Sync;
use crate::value;
use crate::wire::{self, Describe, Target};

impl Session {
    pub(super) async fn on_describe(&mut self, describe: Describe<'_>) -> Result<(), Stop> {
        match describe.target {
            Target::Statement => self.describe_statement(describe.name).await,
            Target::Portal => self.describe_portal(describe.name).await,
        }
    }

    async fn describe_statement(&mut self, name: &[u8]) -> Result<(), Stop> {
        let named = if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.statements.get(name)
        };
        let Some(statement) = named.map(|n| Arc::clone(&n.statement)) else {
            return Err(Failure::NoStatement(String::from_utf8_lossy(name).into_owned()).into());
        };
        if !self.transparent && is_local(statement.command()) && self.fetched_on(statement.command()).is_none() {
            if let Some(columns) = self.fetched_columns(&statement, &[])? {
                self.local(
                    |out| {
                        wire::put_parameter_description(out, &[]);
                        out.extend_from_slice(&columns);
                    },
                    Undo::Nothing,
                );
                return Ok(());
            }
            self.local(
                |out| {
                    wire::put_parameter_description(out, &[]);
                    wire::put_no_data(out);
                },
                Undo::Nothing,
            );
            return Ok(());
        }
        self.place_deferred().await?;
        let at = match self.active {
            Some(at) if has_statement(&mut self.participants, at, &statement) => at,
            Some(_) | None => {
                let shard = match self.fetched_on(statement.command()) {
                    Some(shard) => shard,
                    None => self.parse_shard(&statement).await?,
                };
                let at = self.parse_lane(shard).await?;
                self.ensure_prepared(at, &statement).await?;
                at
            }
        };
        let Some(participant) = self.participants.get_mut(at) else {
            return Err(Failure::Bug("a lane is missing").into());
        };
        wire::put_describe(
            &mut participant.backend.link.out_buffer,
            Target::Statement,
            statement.backend_name().as_bytes(),
        );
        participant.sync = Sync::Owed;
        self.active = Some(at);
        self.queue.push_back(Owed::Backend {
            kind: Kind::DescribeStatement(statement),
            shown: Shown::Yes,
            undo: Undo::Nothing,
        });
        Ok(())
    }

    /// A shard on which the statement's text can be read.
    async fn parse_shard(&mut self, statement: &Arc<Statement>) -> Result<ShardId, Stop> {
        if self.transparent {
            return Ok(self.snapshot().topology().home());
        }
        self.refresh_effective().await?;
        let snapshot = self.snapshot();
        let home = snapshot.topology().home();
        let question = Question {
            text: statement.planned_text(),
            declared: statement.declared(),
            parameters: Parameters::default(),
            statement: Some(statement),
            scanned: None,
        };
        match self.compile(&snapshot, &question).await {
            Ok(compiled) => Ok(compiled.prepare_on()),
            Err(Stop::Failed(Failure::Refused(_))) => Ok(home),
            Err(stop) => Err(stop),
        }
    }

    async fn describe_portal(&mut self, name: &[u8]) -> Result<(), Stop> {
        if self.transparent && !self.portals.contains_key(name) && !self.participants.is_empty() {
            return self
                .ask_home(Kind::DescribePortal, |out| {
                    wire::put_describe(out, Target::Portal, name)
                })
                .await;
        }
        let Some(portal) = self.portals.get(name) else {
            self.place_deferred().await?;
            return self.describe_cursor(name).await;
        };
        match &portal.place {
            Place::Backend { shard, .. } => {
                let shard = *shard;
                let Some(at) = self.participants.find(shard) else {
                    return Err(Failure::no_portal(name).into());
                };
                self.pass_on(at, Kind::DescribePortal, Undo::Nothing, |out| {
                    wire::put_describe(out, Target::Portal, name);
                })
                .await
            }
            Place::Control => self.describe_local(name),
            Place::Returned(_) if is_local(portal.statement.command()) => self.describe_local(name),
            Place::CopyIn(_) | Place::CopyOut(_) | Place::Declare { .. } | Place::Finished => {
                self.local(wire::put_no_data, Undo::Nothing);
                Ok(())
            }
            Place::Fan { .. }
            | Place::Explain { .. }
            | Place::Writes { .. }
            | Place::Suspended(_)
            | Place::Returned(_) => {
                let statement = Arc::clone(&portal.statement);
                let formats = portal.result_formats.clone();
                self.describe_fan(&statement, &formats).await
            }
        }
    }

    /// A portal of what is carried out here.
    fn describe_local(&mut self, name: &[u8]) -> Result<(), Stop> {
        let columns = match self.portals.get(name) {
            Some(portal) => self.fetched_columns(&portal.statement, &portal.result_formats)?,
            None => None,
        };
        match columns {
            Some(columns) => self.local(|out| out.extend_from_slice(&columns), Undo::Nothing),
            None => self.local(wire::put_no_data, Undo::Nothing),
        }
        Ok(())
    }

    async fn describe_fan(&mut self, statement: &Arc<Statement>, formats: &[value::Format]) -> Result<(), Stop> {
        let described = match statement.described() {
            Some(described) => described,
            None => {
                let shard = self.parse_shard(statement).await?;
                let at = self.parse_lane(shard).await?;
                self.ensure_prepared(at, statement).await?;
                if statement.is_unnamed() {
                    let Some(participant) = self.participants.get_mut(at) else {
                        return Err(Failure::Bug("a lane is missing").into());
                    };
                    wire::put_describe(&mut participant.backend.link.out_buffer, Target::Statement, b"");
                    participant.sync = Sync::Owed;
                    self.queue.push_back(Owed::Backend {
                        kind: Kind::DescribeStatement(Arc::clone(statement)),
                        shown: Shown::No,
                        undo: Undo::Nothing,
                    });
                }
                self.flush_and_settle().await?;
                if self.failed {
                    return Err(Failure::AlreadyAnswered.into());
                }
                statement
                    .described()
                    .ok_or(Failure::Bug("a statement was not described"))?
            }
        };
        let mut bytes = bytes::BytesMut::new();
        match &described.rows {
            None => wire::put_no_data(&mut bytes),
            Some(body) => put_columns(body, formats, &mut bytes)?,
        }
        self.queue.push_back(Owed::Local {
            bytes: bytes.to_vec(),
            undo: Undo::Nothing,
        });
        Ok(())
    }
}

/// The columns of a RowDescription's body, in the formats that a Bind asked for.
pub(super) fn put_columns(body: &[u8], formats: &[value::Format], out: &mut bytes::BytesMut) -> Result<(), Stop> {
    let fields: Vec<wire::Field<'_>> = wire::RowDescription::parse(body)
        .map_err(|_| Failure::Bug("a RowDescription can't be read"))?
        .fields()
        .enumerate()
        .map(|(column, mut field)| {
            field.format = wire_format(column_format(formats, column));
            field
        })
        .collect();
    wire::put_row_description(out, fields);
    Ok(())
}

fn wire_format(format: value::Format) -> wire::Format {
    match format {
        value::Format::Binary => wire::Format::Binary,
        value::Format::Text => wire::Format::Text,
    }
}

/// The format that a Bind asked for this column in.
pub(super) fn column_format(formats: &[value::Format], column: usize) -> value::Format {
    match formats {
        [] => value::Format::Text,
        [one] => *one,
        each => each.get(column).copied().unwrap_or(value::Format::Text),
    }
}
