//! How the rows of a COPY FROM are written: its options, checked as `ProcessCopyOptions` checks them.

use crate::sql::command::CopyOptions;

/// How rows are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowForm {
    /// FORMAT text
    Text {
        /// between columns
        delimiter: u8,
        /// stands for NULL, before backslashes are read
        null: Vec<u8>,
        /// is there a first line that isn't a row
        header: CopyHeader,
    },
    /// FORMAT csv
    Csv {
        /// between columns
        delimiter: u8,
        /// around columns
        quote: u8,
        /// before a quote in quotes
        escape: u8,
        /// stands for NULL, where it isn't quoted
        null: Vec<u8>,
        /// is there a first line that isn't a row
        header: CopyHeader,
    },
    /// FORMAT binary
    Binary,
}

/// Is the first line a header?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyHeader {
    /// no
    No,
    /// yes
    Yes,
}

/// The column whose value is wanted of each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyColumn {
    /// counted from 0 among the columns of a row
    pub position: usize,
    /// whether FORCE_NULL or FORCE_NOT_NULL name it
    pub forced: Forced,
}

/// FORCE_NULL and FORCE_NOT_NULL, for one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forced {
    /// neither
    No,
    /// FORCE_NULL: the NULL string counts even if it is quoted
    Null,
    /// FORCE_NOT_NULL: it never counts
    NotNull,
    /// both: only quoted it counts
    Both,
}

impl CopyOptions {
    /// The form of rows for COPY FROM; `None`: Postgres refuses these options, or they aren't read here.
    pub fn row_form(&self) -> Option<RowForm> {
        let header = match &self.header {
            None => CopyHeader::No,
            Some(written) => header(written)?,
        };
        let byte = |written: &Option<String>, otherwise: u8| match written.as_deref().map(str::as_bytes) {
            None => Some(otherwise),
            Some([one]) if !matches!(one, b'\n' | b'\r' | 0) => Some(*one),
            Some(_) => None,
        };
        let null = |otherwise: &str| {
            let null = self.null.as_deref().unwrap_or(otherwise).as_bytes().to_vec();
            (!null.iter().any(|byte| matches!(byte, b'\n' | b'\r'))).then_some(null)
        };
        match self.format.as_deref() {
            None | Some("text") => {
                if self.quote.is_some() || self.escape.is_some() {
                    return None;
                }
                let delimiter = byte(&self.delimiter, b'\t')?;
                let special = b"\\.abcdefghijklmnopqrstuvwxyz0123456789";
                (!special.contains(&delimiter)).then_some(RowForm::Text {
                    delimiter,
                    null: null("\\N")?,
                    header,
                })
            }
            Some("csv") => {
                let quote = byte(&self.quote, b'"')?;
                let form = RowForm::Csv {
                    delimiter: byte(&self.delimiter, b',')?,
                    quote,
                    escape: byte(&self.escape, quote)?,
                    null: null("")?,
                    header,
                };
                // As the quote a backslash would be part of the end marker too; as the delimiter of the first column.
                let odd = quote == b'\\' || self.delimiter.as_deref() == Some("\\");
                (!odd).then_some(form)
            }
            Some("binary") => {
                (self.delimiter.is_none() && self.null.is_none() && self.header.is_none()).then_some(RowForm::Binary)
            }
            Some(_) => None,
        }
    }

    /// Whether FORCE_NULL and FORCE_NOT_NULL name a column.
    pub fn forced(&self, column: &str) -> Forced {
        let names = |list: &Option<Vec<String>>| list.iter().flatten().any(|name| name == column);
        match (names(&self.force_null), names(&self.force_not_null)) {
            (false, false) => Forced::No,
            (true, false) => Forced::Null,
            (false, true) => Forced::NotNull,
            (true, true) => Forced::Both,
        }
    }

    /// Whether rows are csv.
    pub fn is_csv(&self) -> bool {
        self.format.as_deref() == Some("csv")
    }

    /// Whether rows are written in binary.
    pub fn is_binary(&self) -> bool {
        self.format.as_deref() == Some("binary")
    }

    /// Whether the first line is a header; `None`: Postgres refuses what is written.
    pub fn has_header(&self) -> Option<CopyHeader> {
        self.header.as_deref().map_or(Some(CopyHeader::No), header)
    }
}

/// `defGetCopyHeaderChoice`.
fn header(written: &str) -> Option<CopyHeader> {
    match written.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "match" => Some(CopyHeader::Yes),
        "false" | "off" | "0" => Some(CopyHeader::No),
        _ => None,
    }
}
