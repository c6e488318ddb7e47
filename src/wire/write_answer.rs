//! Messages to a client, appended to an output buffer.

use bytes::{BufMut, BytesMut};

use super::answer::{Field, TransactionStatus};
use super::fields::ErrorFields;
use super::reader::Format;
use super::tag::AnswerTag;
use super::write::{put_count, put_frame, put_string, put_values};

use crate::value::Oid;

/// Appends AuthenticationOk.
pub fn put_authentication_ok(out: &mut BytesMut) {
    put_frame(out, AnswerTag::Authentication.byte(), |out| out.put_i32(0));
}

/// Appends AuthenticationCleartextPassword.
pub fn put_authentication_cleartext(out: &mut BytesMut) {
    put_frame(out, AnswerTag::Authentication.byte(), |out| out.put_i32(3));
}

/// Appends AuthenticationSASL with its mechanisms.
pub fn put_sasl(out: &mut BytesMut, mechanisms: &[&str]) {
    put_frame(out, AnswerTag::Authentication.byte(), |out| {
        out.put_i32(10);
        mechanisms.iter().for_each(|name| put_string(out, name.as_bytes()));
        out.put_u8(0);
    });
}

/// Appends AuthenticationSASLContinue.
pub fn put_sasl_continue(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, AnswerTag::Authentication.byte(), |out| {
        out.put_i32(11);
        out.put_slice(data);
    });
}

/// Appends AuthenticationSASLFinal.
pub fn put_sasl_final(out: &mut BytesMut, data: &[u8]) {
    put_frame(out, AnswerTag::Authentication.byte(), |out| {
        out.put_i32(12);
        out.put_slice(data);
    });
}

/// Appends NegotiateProtocolVersion: we speak 3.`minor`, and don't know `options`.
pub fn put_negotiate_version(out: &mut BytesMut, minor: u16, options: &[String]) {
    put_frame(out, AnswerTag::NegotiateProtocolVersion.byte(), |out| {
        out.put_u32((3 << 16) | u32::from(minor));
        out.put_i32(i32::try_from(options.len()).unwrap_or(i32::MAX));
        options.iter().for_each(|name| put_string(out, name.as_bytes()));
    });
}

/// Appends BackendKeyData.
pub fn put_backend_key(out: &mut BytesMut, process_id: i32, key: &[u8]) {
    put_frame(out, AnswerTag::BackendKeyData.byte(), |out| {
        out.put_i32(process_id);
        out.put_slice(key);
    });
}

/// Appends ParameterStatus.
pub fn put_parameter_status(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    put_frame(out, AnswerTag::ParameterStatus.byte(), |out| {
        put_string(out, name);
        put_string(out, value);
    });
}

/// Appends ReadyForQuery.
#[inline]
pub fn put_ready(out: &mut BytesMut, status: TransactionStatus) {
    put_frame(out, AnswerTag::ReadyForQuery.byte(), |out| out.put_u8(status.byte()));
}

/// Appends CommandComplete.
pub fn put_command_complete(out: &mut BytesMut, tag: &[u8]) {
    put_frame(out, AnswerTag::CommandComplete.byte(), |out| put_string(out, tag));
}

/// Appends EmptyQueryResponse.
pub fn put_empty_query(out: &mut BytesMut) {
    put_frame(out, AnswerTag::EmptyQueryResponse.byte(), |_| ());
}

/// Appends ErrorResponse.
pub fn put_error(out: &mut BytesMut, fields: &ErrorFields) {
    put_fields(out, AnswerTag::ErrorResponse, fields);
}

/// Appends NoticeResponse.
pub fn put_notice(out: &mut BytesMut, fields: &ErrorFields) {
    put_fields(out, AnswerTag::NoticeResponse, fields);
}

fn put_fields(out: &mut BytesMut, tag: AnswerTag, fields: &ErrorFields) {
    put_frame(out, tag.byte(), |out| {
        for (field, value) in fields.iter() {
            out.put_u8(field);
            put_string(out, value);
        }
        out.put_u8(0);
    });
}

/// Appends RowDescription.
pub fn put_row_description<'a>(out: &mut BytesMut, fields: impl IntoIterator<Item = Field<'a>>) {
    put_frame(out, AnswerTag::RowDescription.byte(), |out| {
        let start = out.len();
        out.put_u16(0);
        let mut count = 0_usize;
        for field in fields {
            put_string(out, field.name);
            out.put_u32(field.table.0);
            out.put_i16(field.attribute);
            out.put_u32(field.type_oid.0);
            out.put_i16(field.size);
            out.put_i32(field.type_modifier);
            out.put_i16(field.format.code());
            count += 1;
        }
        if let Some(word) = out.get_mut(start..).and_then(<[u8]>::first_chunk_mut::<2>) {
            *word = u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes();
        }
    });
}

/// Appends ParameterDescription.
pub fn put_parameter_description(out: &mut BytesMut, types: &[Oid]) {
    put_frame(out, AnswerTag::ParameterDescription.byte(), |out| {
        put_count(out, types.len());
        types.iter().for_each(|oid| out.put_u32(oid.0));
    });
}

/// Appends DataRow.
#[inline]
pub fn put_data_row<'a>(out: &mut BytesMut, values: impl IntoIterator<Item = Option<&'a [u8]>>) {
    put_frame(out, AnswerTag::DataRow.byte(), |out| put_values(out, values));
}

/// Appends ParseComplete.
pub fn put_parse_complete(out: &mut BytesMut) {
    put_frame(out, AnswerTag::ParseComplete.byte(), |_| ());
}

/// Appends BindComplete.
pub fn put_bind_complete(out: &mut BytesMut) {
    put_frame(out, AnswerTag::BindComplete.byte(), |_| ());
}

/// Appends CloseComplete.
pub fn put_close_complete(out: &mut BytesMut) {
    put_frame(out, AnswerTag::CloseComplete.byte(), |_| ());
}

/// Appends NoData.
pub fn put_no_data(out: &mut BytesMut) {
    put_frame(out, AnswerTag::NoData.byte(), |_| ());
}

/// Appends PortalSuspended.
pub fn put_portal_suspended(out: &mut BytesMut) {
    put_frame(out, AnswerTag::PortalSuspended.byte(), |_| ());
}

/// Appends NotificationResponse.
pub fn put_notification(out: &mut BytesMut, process_id: i32, channel: &[u8], payload: &[u8]) {
    put_frame(out, AnswerTag::NotificationResponse.byte(), |out| {
        out.put_i32(process_id);
        put_string(out, channel);
        put_string(out, payload);
    });
}

/// Which way COPY data flows, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// from the client: CopyInResponse
    In,
    /// to the client: CopyOutResponse
    Out,
}

/// Appends CopyInResponse or CopyOutResponse.
pub fn put_copy_response(out: &mut BytesMut, direction: CopyDirection, format: Format, columns: &[Format]) {
    let tag = match direction {
        CopyDirection::In => AnswerTag::CopyInResponse,
        CopyDirection::Out => AnswerTag::CopyOutResponse,
    };
    put_frame(out, tag.byte(), |out| {
        out.put_u8(u8::try_from(format.code()).unwrap_or(u8::MAX));
        put_count(out, columns.len());
        columns.iter().for_each(|column| out.put_i16(column.code()));
    });
}
