//! *How do bytes carry it?* Frames, messages, error fields, SQLSTATEs, SCRAM as a state machine.
//!
//! Why our own: pgwire's decoders read past the end of a frame, which behind a relay is message smuggling
//! (`docs/decisions`). Here a frame is isolated by its length word before anything reads it, and every reader must
//! consume its body exactly.
//!
//! Holds: bytes in, values out. No sockets, no clock, no entropy (nonces are arguments). No input panics, and no input
//! makes anything here allocate more than a small multiple of the bytes that have truly arrived.
//!
//! Absent on purpose: TLS, and what SQL means.
#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation, clippy::cast_sign_loss)]

mod error;
mod sqlstate;
mod tag;
mod frame;
mod scanner;
mod reader;
mod startup;
mod options;
mod request;
mod answer;
mod fields;
mod write;
mod write_request;
mod write_answer;
mod verifier;
mod scram_server;
mod scram_client;
mod md5;

pub use self::answer::{
    Authentication, BackendKeyData, CommandComplete, CopyResponse, DataRow, Field, Fields, NegotiateProtocolVersion,
    NotificationResponse, ParameterDescription, ParameterStatus, ReadyForQuery, RowDescription, TransactionStatus,
};
pub use self::error::{FrameError, ScramError, StartupError};
pub use self::fields::{ErrorField, ErrorFields, Severity};
pub use self::frame::{
    Frame, HEADER_BYTES, Header, LARGE_MESSAGE_LIMIT, LOOK_FRAME_LIMIT, PASSWORD_MESSAGE_LIMIT, SMALL_MESSAGE_LIMIT,
    frontend_limit, next_frame,
};
pub use self::md5::md5_response;
pub use self::reader::{Codes, Format, Oids, Values};
pub use self::request::{
    Bind, Close, CopyFail, Describe, Execute, FunctionCall, Parse, Password, Query, SaslInitialResponse, Target,
};
pub use self::scanner::{Cut, Interest, Next, Scanner};
pub use self::scram_client::{ScramClient, ScramClientProof, ScramSecret};
pub use self::scram_server::{SCRAM_SHA_256, ScramServer, ScramSuccess};
pub use self::sqlstate::SqlState;
pub use self::startup::{
    CANCEL_KEY_BYTES_MAX, ProtocolVersion, Replication, STARTUP_PACKET_LIMIT, Setting, Startup, StartupPacket,
    next_startup,
};
pub use self::tag::{AnswerTag, RequestTag};
pub use self::verifier::{ScramKeys, Verifier};
pub use self::write_answer::{
    CopyDirection, put_authentication_cleartext, put_authentication_ok, put_backend_key, put_bind_complete,
    put_close_complete, put_command_complete, put_copy_response, put_data_row, put_empty_query, put_error,
    put_negotiate_version, put_no_data, put_notice, put_notification, put_parameter_description, put_parameter_status,
    put_parse_complete, put_portal_suspended, put_ready, put_row_description, put_sasl, put_sasl_continue,
    put_sasl_final,
};
pub use self::write_request::{
    put_bind, put_bind_tail, put_cancel, put_close, put_copy_data, put_copy_done, put_copy_fail, put_describe,
    put_execute, put_flush, put_parse, put_parse_tail, put_password, put_query, put_sasl_initial, put_sasl_response,
    put_startup, put_sync, put_terminate,
};
