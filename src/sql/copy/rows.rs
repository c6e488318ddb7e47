//! Cuts the stream into rows.

use super::form::{CopyColumn, CopyHeader, RowForm};
use super::lines::{self, Newline, Quoting};
use super::{binary, fields};

/// Is what is given all that there will be?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    /// more may come
    No,
    /// the client has ended its data
    Yes,
}

/// What stands at the start of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// more bytes are needed to tell
    More,
    /// a header of so many bytes: a first line, or that of the binary format
    Header(usize),
    /// a row of so many bytes, its newline among them; the last may have none
    Row(usize),
    /// the data end here, whatever may follow
    End,
    /// Postgres refuses the bytes up to here: with the line's beginning they are enough for its error
    Broken(usize),
}

/// The wanted column of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyField<'a> {
    /// the row has too few columns or is malformed: Postgres refuses it
    Missing,
    /// NULL
    Null,
    /// its text, unescaped, in the encoding of the data
    Text(&'a [u8]),
    /// its binary form
    Binary(&'a [u8]),
}

/// What was cut last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Last {
    /// bytes without the newline
    content: usize,
    /// see [`CopyRows::lines`]
    lines: u64,
    /// see [`CopyRows::lines_at_first`]
    lines_at_first: u64,
}

/// Cuts a COPY's data into rows. Its memory doesn't grow.
#[derive(Clone, Debug)]
pub struct CopyRows {
    form: RowForm,
    /// of a row
    columns: usize,
    key: Option<CopyColumn>,
    newline: Newline,
    stage: Stage,
    line: lines::Progress,
    fields: binary::Progress,
    last: Last,
    /// where the key of the binary row that was cut last stands
    last_key: Option<(usize, usize)>,
    scratch: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Header,
    Rows,
    Ended,
}

impl CopyRows {
    /// Rows of `columns` columns; without `key` every row's field is missing.
    pub fn new(form: RowForm, columns: usize, key: Option<CopyColumn>) -> CopyRows {
        let stage = match &form {
            RowForm::Text { header, .. } | RowForm::Csv { header, .. } if *header == CopyHeader::No => Stage::Rows,
            RowForm::Text { .. } | RowForm::Csv { .. } | RowForm::Binary => Stage::Header,
        };
        CopyRows {
            form,
            columns,
            key,
            newline: Newline::Unknown,
            stage,
            line: lines::Progress::default(),
            fields: binary::Progress::default(),
            last: Last::default(),
            last_key: None,
            scratch: Vec::new(),
        }
    }

    /// What stands at the start of `input`. After [`Cut::Header`] and [`Cut::Row`] the caller takes so many bytes away;
    /// after [`Cut::More`] it calls again with the same bytes and more of them.
    pub fn next(&mut self, input: &[u8], end: AtEnd) -> Cut {
        if self.stage == Stage::Ended {
            return Cut::End;
        }
        let quoting = match &self.form {
            RowForm::Binary => return self.next_binary(input, end),
            RowForm::Text { .. } => Quoting::Backslash,
            RowForm::Csv { quote, escape, .. } => Quoting::Quotes {
                quote: *quote,
                escape: *escape,
            },
        };
        if input.is_empty() {
            return match end {
                AtEnd::No => Cut::More,
                AtEnd::Yes => self.ended(),
            };
        }
        let known = self.newline;
        let found = lines::line(input, end, quoting, &mut self.newline, &mut self.line);
        if found == lines::Found::More {
            return Cut::More;
        }
        let line = std::mem::take(&mut self.line);
        let header = self.stage == Stage::Header;
        let whole = |length| if header { Cut::Header(length) } else { Cut::Row(length) };
        self.stage = Stage::Rows;
        let (content, cut) = match found {
            lines::Found::More => (0, Cut::More),
            lines::Found::Line { content, whole: length } => (content, whole(length)),
            lines::Found::Marker(0) => (0, self.ended()),
            lines::Found::Marker(length) => {
                self.stage = Stage::Ended;
                (length, whole(length))
            }
            lines::Found::Broken(length) => (length, Cut::Broken(length)),
        };
        let quoted = match known {
            Newline::Lf => line.feeds,
            Newline::Unknown | Newline::Cr | Newline::CrLf => line.returns,
        };
        self.last = Last {
            content,
            lines: quoted.saturating_add(1),
            lines_at_first: line.returns.saturating_add(1),
        };
        cut
    }

    fn next_binary(&mut self, input: &[u8], end: AtEnd) -> Cut {
        if self.stage == Stage::Header {
            return match binary::header(input, end) {
                Ok(None) => Cut::More,
                Ok(Some(length)) => {
                    self.stage = Stage::Rows;
                    Cut::Header(length)
                }
                Err(length) => Cut::Broken(length),
            };
        }
        let key = self.key.map(|key| key.position);
        match binary::row(input, end, self.columns, key, &mut self.fields) {
            binary::Found::More => Cut::More,
            binary::Found::Row(length) => {
                self.last_key = std::mem::take(&mut self.fields).key;
                self.last = Last {
                    content: length,
                    lines: 1,
                    lines_at_first: 1,
                };
                Cut::Row(length)
            }
            binary::Found::End => self.ended(),
            binary::Found::Broken(length) => Cut::Broken(length),
        }
    }

    fn ended(&mut self) -> Cut {
        self.stage = Stage::Ended;
        Cut::End
    }

    /// The key of the row that was cut last; `row` are its bytes.
    pub fn key<'a>(&'a mut self, row: &'a [u8]) -> KeyField<'a> {
        let Some(key) = self.key else {
            return KeyField::Missing;
        };
        match &self.form {
            RowForm::Binary => match self.last_key {
                None => KeyField::Null,
                Some((start, end)) => KeyField::Binary(row.get(start..end).unwrap_or_default()),
            },
            RowForm::Text { delimiter, null, .. } => {
                let line = row.get(..self.last.content).unwrap_or(row);
                fields::text(line, key.position, *delimiter, null, &mut self.scratch)
            }
            RowForm::Csv {
                delimiter,
                quote,
                escape,
                null,
                ..
            } => {
                let csv = fields::Csv {
                    delimiter: *delimiter,
                    quote: *quote,
                    escape: *escape,
                    null,
                };
                let line = row.get(..self.last.content).unwrap_or(row);
                fields::csv(line, key.position, csv, key.forced, &mut self.scratch)
            }
        }
    }

    /// Does a piece that Postgres refuses begin as a row does, so that it is refused inside of it? (In text and csv it
    /// is the line that can't be read.)
    pub fn is_broken_inside(&self, piece: &[u8]) -> bool {
        let count = piece.first_chunk::<2>().map(|count| i16::from_be_bytes(*count));
        let row = self.form == RowForm::Binary && self.stage == Stage::Rows && piece.len() > 2;
        row && count.is_some_and(|count| usize::try_from(count) == Ok(self.columns))
    }

    /// The lines that Postgres counts for what was cut last.
    pub fn lines(&self) -> u64 {
        self.last.lines
    }

    /// The same for a server whose first line this is: it doesn't know yet how lines end, and counts otherwise.
    pub fn lines_at_first(&self) -> u64 {
        self.last.lines_at_first
    }
}
