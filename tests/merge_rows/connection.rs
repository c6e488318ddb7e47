//! A connection that shows messages as they are.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use bytes::BytesMut;
use shardgate::value::{Format, Oid};
use shardgate::wire::{
    DataRow, ErrorField, ErrorFields, LARGE_MESSAGE_LIMIT, Target, next_frame, put_bind, put_describe, put_execute,
    put_parse, put_query, put_startup, put_sync,
};

pub(crate) struct Connection {
    stream: UnixStream,
    read: Vec<u8>,
}

/// What Describe says of a text.
pub(crate) struct Described {
    pub(crate) parameters: Vec<u8>,
    pub(crate) columns: Vec<u8>,
}

/// Bodies of RowDescription and DataRows.
pub(crate) struct Answer {
    pub(crate) description: Vec<u8>,
    pub(crate) rows: Vec<Vec<u8>>,
}

/// A server's error.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: String,
}

impl Connection {
    pub(crate) fn open(directory: &Path, database: &str) -> Connection {
        let stream = UnixStream::connect(directory.join(".s.PGSQL.5432")).unwrap();
        let mut connection = Connection {
            stream,
            read: Vec::new(),
        };
        let mut out = BytesMut::new();
        put_startup(
            &mut out,
            &[
                ("user", "postgres"),
                ("database", database),
                ("client_encoding", "UTF8"),
            ],
        );
        connection.send(&out);
        connection.until_ready().unwrap();
        connection
    }

    /// Rows of a simple query as text; it must succeed.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let mut out = BytesMut::new();
        put_query(&mut out, sql.as_bytes());
        self.send(&out);
        let messages = self
            .until_ready()
            .unwrap_or_else(|failure| panic!("{}: {sql}", failure.code));
        let text = |value: Option<&[u8]>| value.map(|value| String::from_utf8(value.to_vec()).unwrap());
        let rows = messages.iter().filter(|(tag, _)| *tag == b'D');
        rows.map(|(_, body)| DataRow::parse(body).unwrap().values.map(text).collect())
            .collect()
    }

    /// Parses and describes a text.
    pub(crate) fn describe(&mut self, text: &[u8], types: &[Oid]) -> Result<Described, Failure> {
        let mut out = BytesMut::new();
        put_parse(&mut out, b"", text, types);
        put_describe(&mut out, Target::Statement, b"");
        put_sync(&mut out);
        self.send(&out);
        let messages = self.until_ready()?;
        let body = |wanted: u8| {
            messages
                .iter()
                .find(|(tag, _)| *tag == wanted)
                .map(|(_, body)| body.clone())
        };
        Ok(Described {
            parameters: body(b't').unwrap_or_default(),
            columns: body(b'T').unwrap_or_else(|| vec![0, 0]),
        })
    }

    /// Runs a text with parameters in text form.
    pub(crate) fn run(
        &mut self,
        text: &[u8],
        types: &[Oid],
        values: &[Option<Vec<u8>>],
        formats: &[Format],
    ) -> Result<Answer, Failure> {
        let mut out = BytesMut::new();
        put_parse(&mut out, b"", text, types);
        let formats: Vec<shardgate::wire::Format> = formats
            .iter()
            .map(|format| match format {
                Format::Text => shardgate::wire::Format::Text,
                Format::Binary => shardgate::wire::Format::Binary,
            })
            .collect();
        put_bind(
            &mut out,
            b"",
            b"",
            &[],
            values.iter().map(|value| value.as_deref()),
            &formats,
        );
        put_describe(&mut out, Target::Portal, b"");
        put_execute(&mut out, b"", 0);
        put_sync(&mut out);
        self.send(&out);
        let messages = self.until_ready()?;
        let description = messages
            .iter()
            .find(|(tag, _)| *tag == b'T')
            .map(|(_, body)| body.clone());
        let rows = messages
            .into_iter()
            .filter(|(tag, _)| *tag == b'D')
            .map(|(_, body)| body)
            .collect();
        Ok(Answer {
            description: description.unwrap_or_else(|| vec![0, 0]),
            rows,
        })
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// All messages up to ReadyForQuery, or the first error.
    fn until_ready(&mut self) -> Result<Vec<(u8, Vec<u8>)>, Failure> {
        let mut messages = Vec::new();
        let mut failure = None;
        loop {
            let taken = next_frame(&self.read, LARGE_MESSAGE_LIMIT)
                .unwrap()
                .map(|frame| (frame.tag, frame.body.to_vec(), frame.whole.len()));
            let Some((tag, body, length)) = taken else {
                let mut chunk = [0u8; 65536];
                let count = self.stream.read(&mut chunk).unwrap();
                assert!(count > 0, "the server hung up");
                self.read.extend_from_slice(&chunk[..count]);
                continue;
            };
            self.read.drain(..length);
            match tag {
                b'Z' => return failure.map_or(Ok(messages), Err),
                b'E' => {
                    let fields = ErrorFields::parse(&body).unwrap();
                    let code = fields
                        .get(ErrorField::Code)
                        .map(|code| String::from_utf8_lossy(code).into_owned());
                    failure.get_or_insert(Failure {
                        code: code.unwrap_or_default(),
                    });
                }
                _ => messages.push((tag, body)),
            }
        }
    }
}
