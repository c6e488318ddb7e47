//! A session of the admin database: the same protocol, answered by the console.
//!
//! Holds: rows in text form; both protocols; a failed statement of a batch skips to Sync. Nothing here reaches a shard's
//! data.

use std::sync::Arc;

use bytes::BytesMut;

use crate::admin::{AdminError, Answer, Column, ColumnType, Enrolment, Leave, Table};
use crate::backend::Link;
use crate::session::error::{Failure, Gone};
use crate::session::rows::field;
use crate::session::startup::{put_key, say_goodbye};
use crate::session::world::World;
use crate::sql::{self, Lexing};
use crate::telemetry::ClientState;
use crate::value::Oid;
use crate::wire::{self, TransactionStatus};

/// What the admin database says of itself at start-up.
const PARAMETERS: [(&str, &str); 8] = [
    ("server_version", "15.0 (Shardgate)"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
];

/// One client of the admin database.
pub(super) struct AdminSession {
    world: Arc<World>,
    client: Link,
    enrolment: Enrolment,
    /// text of the prepared statement, by name
    statements: std::collections::HashMap<Vec<u8>, String>,
    /// text of the portal, by name
    portals: std::collections::HashMap<Vec<u8>, String>,
    skipping: bool,
}

impl AdminSession {
    pub(super) fn new(world: Arc<World>, client: Link, enrolment: Enrolment) -> AdminSession {
        AdminSession {
            world,
            client,
            enrolment,
            statements: std::collections::HashMap::new(),
            portals: std::collections::HashMap::new(),
            skipping: false,
        }
    }

    pub(super) async fn run(mut self) {
        for (name, value) in PARAMETERS {
            wire::put_parameter_status(&mut self.client.out_buffer, name.as_bytes(), value.as_bytes());
        }
        put_key(&mut self.client, self.enrolment.key());
        wire::put_ready(&mut self.client.out_buffer, TransactionStatus::Idle);
        let gone = loop {
            if let Err(gone) = self.step().await {
                break gone;
            }
        };
        say_goodbye(&mut self.client, &gone).await;
    }

    async fn step(&mut self) -> Result<(), Gone> {
        let Some(tag) = self.client.in_buffer.first().copied() else {
            return self.wait().await;
        };
        let limit = wire::frontend_limit(tag)?;
        let Some(frame) = wire::next_frame(&self.client.in_buffer, limit)? else {
            return self.wait().await;
        };
        let length = frame.whole.len();
        let whole = self.client.in_buffer.split_to(length);
        let body = whole.get(wire::HEADER_BYTES..).unwrap_or_default();
        self.enrolment.set_state(ClientState::Active);
        self.message(tag, body).await?;
        self.enrolment.set_state(ClientState::Idle);
        Ok(())
    }

    async fn message(&mut self, tag: u8, body: &[u8]) -> Result<(), Gone> {
        match tag {
            b'X' => return Err(Gone::Closed),
            b'S' => {
                self.skipping = false;
                wire::put_ready(&mut self.client.out_buffer, TransactionStatus::Idle);
            }
            b'H' => self.client.drain().await.map_err(Gone::Vanished)?,
            _ if self.skipping => {}
            b'Q' => {
                let text = wire::Query::parse(body)?.text.to_vec();
                self.query(&text).await;
                wire::put_ready(&mut self.client.out_buffer, TransactionStatus::Idle);
            }
            b'P' => {
                let parse = wire::Parse::parse(body)?;
                self.statements.insert(
                    parse.statement.to_vec(),
                    String::from_utf8_lossy(parse.text).into_owned(),
                );
                wire::put_parse_complete(&mut self.client.out_buffer);
            }
            b'B' => {
                let bind = wire::Bind::parse(body)?;
                match self.statements.get(bind.statement).cloned() {
                    Some(text) => {
                        self.portals.insert(bind.portal.to_vec(), text);
                        wire::put_bind_complete(&mut self.client.out_buffer);
                    }
                    None => self.fail(&Failure::NoStatement(
                        String::from_utf8_lossy(bind.statement).into_owned(),
                    )),
                }
            }
            b'D' => {
                let describe = wire::Describe::parse(body)?;
                self.describe(&describe);
            }
            b'E' => {
                let execute = wire::Execute::parse(body)?;
                match self.portals.get(execute.portal).cloned() {
                    Some(text) => match self.answer(&text).await {
                        Ok(answer) => put_answer(&mut self.client.out_buffer, &answer, Columns::Hidden),
                        Err(error) => self.fail(&Failure::Admin(error)),
                    },
                    None => self.fail(&Failure::no_portal(execute.portal)),
                }
            }
            b'C' => {
                let close = wire::Close::parse(body)?;
                match close.target {
                    wire::Target::Statement => self.statements.remove(close.name),
                    wire::Target::Portal => self.portals.remove(close.name),
                };
                wire::put_close_complete(&mut self.client.out_buffer);
            }
            _ => {}
        }
        Ok(())
    }

    async fn query(&mut self, text: &[u8]) {
        let spans = match sql::split(text, Lexing::default()) {
            Ok(spans) => spans,
            Err(error) => return self.put_failure(&Failure::Scan(error)),
        };
        if spans.is_empty() {
            wire::put_empty_query(&mut self.client.out_buffer);
        }
        for span in spans {
            let statement = String::from_utf8_lossy(span.of(text)).into_owned();
            match self.answer(&statement).await {
                Ok(answer) => put_answer(&mut self.client.out_buffer, &answer, Columns::Shown),
                Err(error) => return self.put_failure(&Failure::Admin(error)),
            }
        }
    }

    async fn answer(&self, text: &str) -> Result<Answer, AdminError> {
        match self.world.console() {
            Some(console) => console.run(text).await,
            None => Err(AdminError::NoTopology),
        }
    }

    fn describe(&mut self, describe: &wire::Describe<'_>) {
        let known = match describe.target {
            wire::Target::Statement => self.statements.get(describe.name).cloned(),
            wire::Target::Portal => self.portals.get(describe.name).cloned(),
        };
        let name = String::from_utf8_lossy(describe.name).into_owned();
        let Some(text) = known else {
            return self.fail(&match describe.target {
                wire::Target::Statement => Failure::NoStatement(name),
                wire::Target::Portal => Failure::NoPortal(name),
            });
        };
        let described = match self.world.console() {
            Some(console) => console.describe(&text),
            None => Err(AdminError::NoTopology),
        };
        match described {
            Ok(columns) => {
                if describe.target == wire::Target::Statement {
                    wire::put_parameter_description(&mut self.client.out_buffer, &[]);
                }
                match columns {
                    Some(columns) => put_columns(&mut self.client.out_buffer, &columns),
                    None => wire::put_no_data(&mut self.client.out_buffer),
                }
            }
            Err(error) => self.fail(&Failure::Admin(error)),
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.put_failure(failure);
        self.skipping = true;
    }

    fn put_failure(&mut self, failure: &Failure) {
        let fields = crate::session::answer::fields_of(failure);
        wire::put_error(&mut self.client.out_buffer, &fields);
    }

    async fn wait(&mut self) -> Result<(), Gone> {
        self.client.drain().await.map_err(Gone::Vanished)?;
        self.client.release_buffers();
        tokio::select! {
            read = self.client.fill() => match read {
                Ok(0) => Err(Gone::Closed),
                Ok(_) => Ok(()),
                Err(error) => Err(Gone::Vanished(error)),
            },
            () = self.enrolment.told_to_leave(Leave::WhenIdle) => Err(Gone::Draining),
        }
    }
}

/// Are the columns described before the rows?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    Shown,
    Hidden,
}

fn put_answer(out: &mut BytesMut, answer: &Answer, columns: Columns) {
    match answer {
        Answer::Table(table) => put_table(out, table, columns),
        Answer::Done { tag } => wire::put_command_complete(out, tag.as_bytes()),
        Answer::Empty => wire::put_empty_query(out),
    }
}

fn put_table(out: &mut BytesMut, table: &Table, columns: Columns) {
    if columns == Columns::Shown {
        put_columns(out, &table.columns);
    }
    for row in &table.rows {
        wire::put_data_row(out, row.iter().map(|cell| cell.as_deref().map(str::as_bytes)));
    }
    wire::put_command_complete(out, table.tag.as_bytes());
}

fn put_columns(out: &mut BytesMut, columns: &[Column]) {
    let fields = columns.iter().map(|column| {
        let (oid, size) = match column.kind {
            ColumnType::Text => (Oid(25), -1),
            ColumnType::Integer => (Oid(20), 8),
            ColumnType::Float => (Oid(701), 8),
            ColumnType::Boolean => (Oid(16), 1),
        };
        field(column.name, oid, size)
    });
    wire::put_row_description(out, fields);
}
