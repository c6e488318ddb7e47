//! Home's OIDs for the client, whichever shard answers.
//!
//! Why: tables and user types have other OIDs on each shard; a driver keeps them from one statement to the next.
//! Holds: only RowDescription and ParameterDescription (to the client) and the types declared in Parse (to a shard) are
//! touched; where all OIDs are equal nothing is copied. What home hasn't is told as OID 0 for a table.

use bytes::BytesMut;

use crate::discovery::OidMap;
use crate::value::Oid;
use crate::wire::{self, Field, FrameError, RowDescription};

/// A RowDescription as home would send it; whole.
pub(super) fn row_description(body: &[u8], map: &OidMap) -> Result<BytesMut, FrameError> {
    let mut out = BytesMut::with_capacity(body.len().saturating_add(wire::HEADER_BYTES));
    put_row_description(&mut out, body, map)?;
    Ok(out)
}

/// Appends a RowDescription as home would send it; nothing, if it can't be read.
pub(super) fn put_row_description(out: &mut BytesMut, body: &[u8], map: &OidMap) -> Result<(), FrameError> {
    let fields = RowDescription::parse(body)?.fields().map(|field| Field {
        table: if field.table.0 == 0 {
            field.table
        } else {
            map.table_to_home(field.table).unwrap_or(Oid(0))
        },
        type_oid: map.type_to_home(field.type_oid).unwrap_or(field.type_oid),
        ..field
    });
    wire::put_row_description(out, fields);
    Ok(())
}

/// Types as home calls them.
pub(super) fn types_to_home(types: &[Oid], map: &OidMap) -> Vec<Oid> {
    types.iter().map(|oid| map.type_to_home(*oid).unwrap_or(*oid)).collect()
}

/// Types as the shard calls them.
pub(super) fn types_to_shard(types: &[Oid], map: &OidMap) -> Vec<Oid> {
    types
        .iter()
        .map(|oid| map.type_to_shard(*oid).unwrap_or(*oid))
        .collect()
}
