//! Rows that the proxy makes itself.

use bytes::BytesMut;

use crate::value::Oid;
use crate::wire::{self, Field, Format};

/// OID of type text.
const TEXT: Oid = Oid(25);

/// A RowDescription of text columns.
pub(super) fn put_text_columns(out: &mut BytesMut, names: &[&str]) {
    let fields: Vec<Field<'_>> = names.iter().map(|name| field(name, TEXT, -1)).collect();
    wire::put_row_description(out, fields);
}

/// One column of no table.
pub(super) fn field(name: &str, type_oid: Oid, size: i16) -> Field<'_> {
    Field {
        name: name.as_bytes(),
        table: Oid(0),
        attribute: 0,
        type_oid,
        size,
        type_modifier: -1,
        format: Format::Text,
    }
}
