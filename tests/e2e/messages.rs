//! The protocol's messages, as far as a test has to say and understand them. Written apart from the proxy's own, so
//! that a mistake there isn't repeated here.

use std::collections::BTreeMap;
use std::fmt;

/// Bytes of one message to a server.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(u32::try_from(body.len() + 4).expect("short").to_be_bytes());
    bytes.extend(body);
    bytes
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &text(sql))
}

/// Parse; `types` may be shorter than the parameters.
pub fn parse(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [text(name), text(sql)].concat();
    body.extend(count(types.len()));
    types.iter().for_each(|oid| body.extend(oid.to_be_bytes()));
    frame(b'P', &body)
}

/// Whether values travel as text or in binary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// format code 0
    Text,
    /// format code 1
    Binary,
}

/// A value for `$n`; `None` is NULL.
pub type Value = (Format, Option<Vec<u8>>);

/// Bind, with one format for all results.
pub fn bind(portal: &str, statement: &str, values: &[Value], results: Format) -> Vec<u8> {
    let mut body = [text(portal), text(statement)].concat();
    body.extend(count(values.len()));
    values.iter().for_each(|(format, _)| body.extend(code(*format)));
    body.extend(count(values.len()));
    for (_, value) in values {
        match value {
            Some(bytes) => {
                body.extend(u32::try_from(bytes.len()).expect("short").to_be_bytes());
                body.extend(bytes);
            }
            None => body.extend((-1_i32).to_be_bytes()),
        }
    }
    body.extend(count(1));
    body.extend(code(results));
    frame(b'B', &body)
}

/// Describe of a statement (`S`) or a portal (`P`).
pub fn describe(kind: u8, name: &str) -> Vec<u8> {
    frame(b'D', &[vec![kind], text(name)].concat())
}

/// Close of a statement (`S`) or a portal (`P`).
pub fn close(kind: u8, name: &str) -> Vec<u8> {
    frame(b'C', &[vec![kind], text(name)].concat())
}

/// Execute; 0 is all rows.
pub fn execute(portal: &str, rows_max: u32) -> Vec<u8> {
    frame(b'E', &[text(portal), rows_max.to_be_bytes().to_vec()].concat())
}

/// An unnamed statement with text parameters, described, its results as text.
pub fn unnamed(sql: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<_> = values
        .iter()
        .map(|value| (Format::Text, Some(value.as_bytes().to_vec())))
        .collect();
    [
        parse("", sql, &[]),
        bind("", "", &values, Format::Text),
        describe(b'P', ""),
        execute("", 0),
    ]
    .concat()
}

/// Sync.
pub fn sync() -> Vec<u8> {
    frame(b'S', &[])
}

/// Flush.
pub fn flush() -> Vec<u8> {
    frame(b'H', &[])
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    frame(b'X', &[])
}

/// CopyData.
pub fn copy_data(data: &[u8]) -> Vec<u8> {
    frame(b'd', data)
}

/// CopyDone.
pub fn copy_done() -> Vec<u8> {
    frame(b'c', &[])
}

/// CopyFail.
pub fn copy_fail(why: &str) -> Vec<u8> {
    frame(b'f', &text(why))
}

/// The untagged first message of protocol 3.0.
pub fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    parameters
        .iter()
        .for_each(|(name, value)| body.extend([text(name), text(value)].concat()));
    body.push(0);
    untagged(&body)
}

/// The request to cancel what a session runs.
pub fn cancel(process: u32, secret: &[u8]) -> Vec<u8> {
    untagged(&[&80_877_102_u32.to_be_bytes()[..], &process.to_be_bytes(), secret].concat())
}

/// The question for TLS.
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_u32.to_be_bytes())
}

fn untagged(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&length[..], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn count(number: usize) -> [u8; 2] {
    u16::try_from(number).expect("few").to_be_bytes()
}

fn code(format: Format) -> [u8; 2] {
    match format {
        Format::Text => [0, 0],
        Format::Binary => [0, 1],
    }
}

/// One message from a server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// its type
    pub tag: u8,
    /// what follows its length
    pub body: Vec<u8>,
}

impl Message {
    /// Fields of an ErrorResponse or NoticeResponse by their letter.
    pub fn fields(&self) -> BTreeMap<char, String> {
        let parts = self.body.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts
            .map(|part| (char::from(part[0]), String::from_utf8_lossy(&part[1..]).into_owned()))
            .collect()
    }

    /// The SQLSTATE of an ErrorResponse or NoticeResponse.
    pub fn code(&self) -> String {
        self.fields().remove(&'C').unwrap_or_default()
    }

    /// The body up to its first NUL: a command tag, say.
    pub fn text(&self) -> String {
        let end = self.body.iter().position(|byte| *byte == 0).unwrap_or(self.body.len());
        String::from_utf8_lossy(&self.body[..end]).into_owned()
    }

    /// A reader over the body.
    pub fn reader(&self) -> Reader<'_> {
        Reader { rest: &self.body }
    }

    /// Columns of a RowDescription.
    pub fn columns(&self) -> Vec<Column> {
        let mut reader = self.reader();
        let count = reader.u16();
        (0..count).map(|_| Column::read(&mut reader)).collect()
    }

    /// Values of a DataRow.
    pub fn values(&self) -> Vec<Option<Vec<u8>>> {
        let mut reader = self.reader();
        let count = reader.u16();
        (0..count).map(|_| reader.value()).collect()
    }
}

/// As a person reads it: `Z I`, `C "SELECT 1"`, `E {'C': "22012", …}`.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = char::from(self.tag);
        match self.tag {
            b'E' | b'N' => write!(f, "{tag} {:?}", self.fields()),
            b'C' => write!(f, "{tag} {:?}", self.text()),
            b'D' => {
                let values = self.values();
                let shown = values
                    .iter()
                    .map(|value| value.as_deref().map(String::from_utf8_lossy))
                    .collect::<Vec<_>>();
                write!(f, "{tag} {shown:?}")
            }
            b'T' => write!(f, "{tag} {:?}", self.columns()),
            _ => write!(f, "{tag} {}", self.body.escape_ascii()),
        }
    }
}

/// One column of a RowDescription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// as shown
    pub name: String,
    /// table it comes from, or 0
    pub table: u32,
    /// its number there, or 0
    pub attribute: u16,
    /// type OID
    pub oid: u32,
    /// `typlen`
    pub length: u16,
    /// typmod
    pub modifier: i32,
    /// 0 text, 1 binary
    pub format: u16,
}

impl Column {
    fn read(reader: &mut Reader<'_>) -> Column {
        let (name, table, attribute, oid) = (reader.text(), reader.u32(), reader.u16(), reader.u32());
        let (length, modifier, format) = (reader.u16(), reader.u32().cast_signed(), reader.u16());
        Column {
            name,
            table,
            attribute,
            oid,
            length,
            modifier,
            format,
        }
    }
}

/// Takes a body apart; a test whose server sends rubbish ends here.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> &[u8] {
        let (taken, rest) = self.rest.split_at_checked(length).expect("the message is long enough");
        self.rest = rest;
        taken
    }

    /// Two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().expect("two bytes"))
    }

    /// Four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take(4).try_into().expect("four bytes"))
    }

    /// All that is left.
    pub fn rest(&mut self) -> Vec<u8> {
        self.take(self.rest.len()).to_vec()
    }

    fn text(&mut self) -> String {
        let end = self.rest.iter().position(|byte| *byte == 0).expect("a NUL");
        let text = String::from_utf8_lossy(self.take(end)).into_owned();
        self.take(1);
        text
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        let length = self.u32().cast_signed();
        usize::try_from(length).ok().map(|length| self.take(length).to_vec())
    }
}
