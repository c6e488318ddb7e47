//! *What did the client say?* Tokens, statement shape, commands, syntax tree, settings, directives, edits of the text by span.
//!
//! Why: everything that reads SQL text must agree with Postgres on where a token starts and ends. One lexer with the rules
//! of Postgres 15's `scan.l` serves the splitter, the shape, the commands and the parser, so they can't disagree.
//!
//! Holds: spans are byte offsets into the client's text, in order and within it; no input makes this room panic; what isn't
//! fully understood says so (`ScanError`, `Command::Unknown`, `ParseFailure`) and is never mistaken for something else.
//! Assumed: the shards' server encoding is UTF8 (identifiers fold ASCII only, and truncate at a UTF-8 boundary).
//!
//! Absent on purpose: shards, catalog, protocol; printing of syntax trees (text is edited by span, never re-printed).

mod error;
mod lexing;
mod scan;
mod literal;
mod identifier;
mod keyword;
mod split;
mod shape;
mod command;
mod recognise;
mod recognise_copy;
mod recognise_set;
mod settings;
mod guc;
mod milliseconds;
mod startup;
mod edit;
mod parse;
mod suspicion;
mod directive;
mod copy;

pub use command::{
    Begin, BeginWord, Chain, Characteristics, Command, ConstantOrParameter, Copy, CopyDirection, CopyEnd, CopyOptions,
    CopySubject, Cursor, CursorForm, CursorHold, Ddl, DeallocateTarget, Declare, Discard, Execute, Explain,
    ExplainFormat, ExplainKind, Fetch, FetchWord, Isolation, Maintenance, Motion, Prepare, Reset, Savepoint, Scope,
    Set, SetConfig, SetItem, SetTransaction, SetValue, Show, Temporary, Unknown, Word,
};
pub use copy::{AtEnd, BINARY_COUNT_BYTES, CopyColumn, CopyHeader, CopyRows, Cut, Forced, KeyField, RowForm};
pub use directive::{Directive, leading_directives, traceparent};
pub use edit::{Edits, PositionMap};
pub use error::{DirectiveError, LiteralError, OptionsError, ParseFailure, ScanError, ScanErrorKind, SettingError};
pub use guc::{GucContext, GucFacts, ListRule, REPORTED, Replay, guc_facts};
pub use identifier::{Identifier, fold_identifier, identifiers};
pub use keyword::quote_identifier;
pub use lexing::{Encoding, Lexing, Span, StandardStrings};
pub use literal::{Literal, LiteralClass};
pub use milliseconds::parse_milliseconds;
pub use parse::{byte_span, parse};
pub use recognise::command;
pub use scan::{Token, TokenKind, Tokens, scan, tokens};
pub use settings::{SessionSettings, quote_literal};
pub use shape::{Lead, Shape, Statements, shape};
pub use split::split;
pub use sqlparser::ast;
pub use startup::startup_options;
pub use suspicion::{Reach, Suspicion, suspicious};
