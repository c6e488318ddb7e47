//! Columns that are put in front of a row's own.
//!
//! Why in front: a row with too few columns lacks the same ones for the server as for the client, and what else is wrong
//! with it is found where the client has written it.

use super::form::RowForm;

/// What a binary row begins with: the number of its fields.
pub const BINARY_COUNT_BYTES: usize = 2;

impl RowForm {
    /// Appends a column that others follow; `None` is NULL. The value is text, or the type's binary form.
    pub fn put_column(&self, value: Option<&[u8]>, out: &mut Vec<u8>) {
        match (self, value) {
            (RowForm::Text { delimiter, null, .. }, Some(value)) => {
                let start = out.len();
                put_text(value, *delimiter, out);
                if out.get(start..) == Some(null.as_slice()) {
                    // The same text in another spelling, which is not that of NULL.
                    out.truncate(start);
                    value.iter().for_each(|byte| put_hex(*byte, out));
                }
                out.push(*delimiter);
            }
            (
                RowForm::Csv {
                    delimiter,
                    quote,
                    escape,
                    ..
                },
                Some(value),
            ) => {
                out.push(*quote);
                for byte in value {
                    if byte == quote || byte == escape {
                        out.push(*escape);
                    }
                    out.push(*byte);
                }
                out.extend_from_slice(&[*quote, *delimiter]);
            }
            (RowForm::Text { delimiter, null, .. } | RowForm::Csv { delimiter, null, .. }, None) => {
                out.extend_from_slice(null);
                out.push(*delimiter);
            }
            (RowForm::Binary, value) => {
                let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap_or(i32::MAX));
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(value.unwrap_or_default());
            }
        }
    }

    /// Bytes of the first `columns` columns of a line that [`RowForm::put_column`] has written.
    pub fn added_bytes(&self, line: &[u8], columns: usize) -> usize {
        let (delimiter, quotes) = match self {
            RowForm::Text { delimiter, .. } => (*delimiter, None),
            RowForm::Csv {
                delimiter,
                quote,
                escape,
                ..
            } => (*delimiter, Some((*quote, *escape))),
            RowForm::Binary => return 0,
        };
        let mut at = 0_usize;
        for _ in 0..columns {
            let mut quoted = false;
            loop {
                let Some(byte) = line.get(at) else { return line.len() };
                at = at.saturating_add(1);
                let next = line.get(at);
                match quotes {
                    None if *byte == b'\\' => at = at.saturating_add(1),
                    Some((quote, escape)) if quoted => {
                        if *byte == escape && next.is_some_and(|next| *next == quote || *next == escape) {
                            at = at.saturating_add(1);
                        } else if *byte == quote {
                            quoted = false;
                        }
                    }
                    Some((quote, _)) if *byte == quote => quoted = true,
                    None | Some(_) if *byte == delimiter => break,
                    None | Some(_) => {}
                }
            }
        }
        at.min(line.len())
    }
}

fn put_text(value: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    for byte in value {
        match *byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            byte if byte == b'\\' || byte == delimiter => out.extend_from_slice(&[b'\\', byte]),
            byte => out.push(byte),
        }
    }
}

fn put_hex(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
    out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 0x0f)]);
}
