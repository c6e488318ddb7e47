//! Messages to a shard, appended to an output buffer.

use bytes::{BufMut, BytesMut};

use super::reader::Format;
use super::request::Target;
use super::tag::RequestTag;
use super::write::{put_count, put_frame, put_sized, put_string, put_values};

use crate::value::Oid;

const PROTOCOL_3_0: u32 = 3 << 16;
const CANCEL_CODE: u32 = 80_877_102;

/// Appends a startup packet of protocol 3.0.
pub fn put_startup(out: &mut BytesMut, parameters: &[(&str, &str)]) {
    put_sized(out, |out| {
        out.put_u32(PROTOCOL_3_0);
        for (name, value) in parameters {
            put_string(out, name.as_bytes());
            put_string(out, value.as_bytes());
        }
        out.put_u8(0);
    });
}

/// Appends a CancelRequest packet.
pub fn put_cancel(out: &mut BytesMut, process_id: i32, key: &[u8]) {
    put_sized(out, |out| {
        out.put_u32(CANCEL_CODE);
        out.put_i32(process_id);
        out.put_slice(key);
    });
}

/// Appends a Query.
pub fn put_query(out: &mut BytesMut, text: &[u8]) {
    put_frame(out, RequestTag::Query.byte(), |out| put_string(out, text));
}

/// Appends a Parse.
pub fn put_parse(out: &mut BytesMut, statement: &[u8], text: &[u8], parameter_types: &[Oid]) {
    put_frame(out, RequestTag::Parse.byte(), |out| {
        put_string(out, statement);
        put_string(out, text);
        put_count(out, parameter_types.len());
        parameter_types.iter().for_each(|oid| out.put_u32(oid.0));
    });
}

/// Appends a Parse under another name; `tail` is `Parse::tail`.
pub fn put_parse_tail(out: &mut BytesMut, statement: &[u8], tail: &[u8]) {
    put_frame(out, RequestTag::Parse.byte(), |out| {
        put_string(out, statement);
        out.put_slice(tail);
    });
}

/// Appends a Bind.
pub fn put_bind<'a>(
    out: &mut BytesMut,
    portal: &[u8],
    statement: &[u8],
    formats: &[Format],
    values: impl IntoIterator<Item = Option<&'a [u8]>>,
    result_formats: &[Format],
) {
    put_frame(out, RequestTag::Bind.byte(), |out| {
        put_string(out, portal);
        put_string(out, statement);
        put_count(out, formats.len());
        formats.iter().for_each(|format| out.put_i16(format.code()));
        put_values(out, values);
        put_count(out, result_formats.len());
        result_formats.iter().for_each(|format| out.put_i16(format.code()));
    });
}

/// Appends a Bind under other names; `tail` is `Bind::tail`.
pub fn put_bind_tail(out: &mut BytesMut, portal: &[u8], statement: &[u8], tail: &[u8]) {
    put_frame(out, RequestTag::Bind.byte(), |out| {
        put_string(out, portal);
        put_string(out, statement);
        out.put_slice(tail);
    });
}

/// Appends a Describe.
pub fn put_describe(out: &mut BytesMut, target: Target, name: &[u8]) {
    put_frame(out, RequestTag::Describe.byte(), |out| {
        out.put_u8(target.byte());
        put_string(out, name);
    });
}

/// Appends an Execute; `rows_max` 0 is all.
pub fn put_execute(out: &mut BytesMut, portal: &[u8], rows_max: i32) {
    put_frame(out, RequestTag::Execute.byte(), |out| {
        put_string(out, portal);
        out.put_i32(rows_max);
    });
}

/// Appends a Close.
pub fn put_close(out: &mut BytesMut, target: Target, name: &[u8]) {
    put_frame(out, RequestTag::Close.byte(), |out| {
        out.put_u8(target.byte());
        put_string(out, name);
    });
}

/// Appends a Sync.
pub fn put_sync(out: &mut BytesMut) {
    put_frame(out, RequestTag::Sync.byte(), |_| ());
}

/// Appends a Flush.
pub fn put_flush(out: &mut BytesMut) {
    put_frame(out, RequestTag::Flush.byte(), |_| ());
}

/// Appends a Terminate.
pub fn put_terminate(out: &mut BytesMut) {
    put_frame(out, RequestTag::Terminate.byte(), |_| ());
}

/// Appends a piece of COPY data.
pub fn put_copy_data(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, RequestTag::CopyData.byte(), |out| out.put_slice(data));
}

/// Appends a CopyDone (the same message both ways).
pub fn put_copy_done(out: &mut BytesMut) {
    put_frame(out, RequestTag::CopyDone.byte(), |_| ());
}

/// Appends a CopyFail.
pub fn put_copy_fail(out: &mut BytesMut, reason: &[u8]) {
    put_frame(out, RequestTag::CopyFail.byte(), |out| put_string(out, reason));
}

/// Appends a password message.
pub fn put_password(out: &mut BytesMut, password: &[u8]) {
    put_frame(out, RequestTag::Password.byte(), |out| put_string(out, password));
}

/// Appends the first SASL message.
pub fn put_sasl_initial(out: &mut BytesMut, mechanism: &str, data: &[u8]) {
    put_frame(out, RequestTag::Password.byte(), |out| {
        put_string(out, mechanism.as_bytes());
        super::write::put_value(out, Some(data));
    });
}

/// Appends a later SASL message.
pub fn put_sasl_response(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, RequestTag::Password.byte(), |out| out.put_slice(data));
}
