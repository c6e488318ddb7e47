//! The fields of an ErrorResponse or NoticeResponse.
//!
//! Why bytes: a shard's message is in the client's encoding and passes whole; fields that this version doesn't know are
//! kept too. Source: Postgres 15 manual, "Error and Notice Message Fields".

use std::borrow::Cow;

use super::error::FrameError;
use super::reader::Reader;
use super::sqlstate::SqlState;

/// A field's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorField {
    /// `S`: severity, maybe translated
    SeverityText = b'S',
    /// `V`: severity, never translated
    Severity = b'V',
    /// `C`: SQLSTATE
    Code = b'C',
    /// `M`: message
    Message = b'M',
    /// `D`: detail
    Detail = b'D',
    /// `H`: hint
    Hint = b'H',
    /// `P`: position in the text, in characters from 1
    Position = b'P',
    /// `p`: position in an internal query
    InternalPosition = b'p',
    /// `q`: the internal query
    InternalQuery = b'q',
    /// `W`: where (a call stack)
    Where = b'W',
    /// `s`: schema
    Schema = b's',
    /// `t`: table
    Table = b't',
    /// `c`: column
    Column = b'c',
    /// `d`: data type
    DataType = b'd',
    /// `n`: constraint
    Constraint = b'n',
    /// `F`: source file
    File = b'F',
    /// `L`: source line
    Line = b'L',
    /// `R`: source routine
    Routine = b'R',
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// the statement failed
    Error,
    /// the connection ends
    Fatal,
    /// the server restarts
    Panic,
    /// a warning
    Warning,
    /// a notice
    Notice,
    /// DEBUG, DEBUG1 …
    Debug,
    /// INFO
    Info,
    /// LOG
    Log,
}

impl Severity {
    /// As it is written in fields S and V.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
            Severity::Warning => "WARNING",
            Severity::Notice => "NOTICE",
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Log => "LOG",
        }
    }

    fn of(text: &[u8]) -> Option<Severity> {
        match text {
            b"ERROR" => Some(Severity::Error),
            b"FATAL" => Some(Severity::Fatal),
            b"PANIC" => Some(Severity::Panic),
            b"WARNING" => Some(Severity::Warning),
            b"NOTICE" => Some(Severity::Notice),
            b"INFO" => Some(Severity::Info),
            b"LOG" => Some(Severity::Log),
            _ if text.starts_with(b"DEBUG") => Some(Severity::Debug),
            _ => None,
        }
    }
}

/// The fields of an error or notice, in the order in which they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorFields {
    fields: Vec<(u8, Vec<u8>)>,
}

impl ErrorFields {
    /// Our own error or notice; more fields by [`ErrorFields::with`].
    pub fn new(severity: Severity, code: SqlState, message: impl Into<String>) -> ErrorFields {
        ErrorFields {
            fields: vec![
                (b'S', severity.as_str().into()),
                (b'V', severity.as_str().into()),
                (b'C', code.as_bytes().to_vec()),
                (b'M', message.into().into_bytes()),
            ],
        }
    }

    /// Reads the body of an `E` or `N`.
    pub fn parse(body: &[u8]) -> Result<ErrorFields, FrameError> {
        let mut reader = Reader::new(body);
        let mut fields = Vec::new();
        loop {
            match reader.byte()? {
                0 => break,
                field => fields.push((field, reader.string()?.to_vec())),
            }
        }
        reader.end()?;
        Ok(ErrorFields { fields })
    }

    /// The same with a field set.
    #[must_use]
    pub fn with(mut self, field: ErrorField, value: impl Into<Vec<u8>>) -> ErrorFields {
        self.put(field, value);
        self
    }

    /// The same with a detail.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> ErrorFields {
        self.with(ErrorField::Detail, detail.into())
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> ErrorFields {
        self.with(ErrorField::Hint, hint.into())
    }

    /// The same with a position (characters, from 1).
    #[must_use]
    pub fn with_position(self, position: u32) -> ErrorFields {
        self.with(ErrorField::Position, position.to_string())
    }

    /// Sets a field, replacing what it held.
    pub fn put(&mut self, field: ErrorField, value: impl Into<Vec<u8>>) {
        let tag = field as u8;
        let mut value = value.into();
        value.retain(|byte| *byte != 0);
        match self.fields.iter_mut().find(|(have, _)| *have == tag) {
            Some((_, old)) => *old = value,
            None => self.fields.push((tag, value)),
        }
    }

    /// Removes a field.
    pub fn remove(&mut self, field: ErrorField) {
        self.fields.retain(|(have, _)| *have != field as u8);
    }

    /// Adds a line to `where`, below what the shard said.
    pub fn add_where(&mut self, line: &str) {
        let mut text = self.get(ErrorField::Where).map(<[u8]>::to_vec).unwrap_or_default();
        if !text.is_empty() {
            text.push(b'\n');
        }
        text.extend_from_slice(line.as_bytes());
        self.put(ErrorField::Where, text);
    }

    /// A field's bytes.
    pub fn get(&self, field: ErrorField) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(have, _)| *have == field as u8)
            .map(|(_, value)| value.as_slice())
    }

    /// A field as text for people.
    pub fn text(&self, field: ErrorField) -> Option<Cow<'_, str>> {
        self.get(field).map(String::from_utf8_lossy)
    }

    /// The SQLSTATE (XX000 if there is none that can be read).
    pub fn code(&self) -> SqlState {
        self.get(ErrorField::Code)
            .and_then(SqlState::parse)
            .unwrap_or(SqlState::INTERNAL_ERROR)
    }

    /// The severity (ERROR if there is none that can be read).
    pub fn severity(&self) -> Severity {
        self.get(ErrorField::Severity)
            .or_else(|| self.get(ErrorField::SeverityText))
            .and_then(Severity::of)
            .unwrap_or(Severity::Error)
    }

    /// The message for people; empty if there is none.
    pub fn message(&self) -> Cow<'_, str> {
        self.text(ErrorField::Message).unwrap_or_default()
    }

    /// The position in the text, in characters from 1.
    pub fn position(&self) -> Option<u32> {
        str::from_utf8(self.get(ErrorField::Position)?).ok()?.parse().ok()
    }

    /// Whether the shard's connection ends with this (FATAL, PANIC).
    pub fn ends_connection(&self) -> bool {
        matches!(self.severity(), Severity::Fatal | Severity::Panic)
    }

    /// All fields as they stand, unknown ones included.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &[u8])> {
        self.fields.iter().map(|(field, value)| (*field, value.as_slice()))
    }
}
