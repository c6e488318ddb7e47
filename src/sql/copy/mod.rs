//! The rows of a COPY FROM STDIN, as `copyfromparse.c` of Postgres 15 cuts them: where each ends, and what stands in one of
//! its columns.
//!
//! Why here: whether a byte ends a row is a question about what the client said, like that of where a token ends. Rows are
//! cut out of the client's bytes and never rebuilt, so a server reads of a row what it would have read anyway.
//! Holds: the same rows come out wherever the input is broken into pieces; a byte is looked at once but for the few that
//! a piece's end leaves undecided, and for the fields up to the one wanted; nothing is allocated per row.
//! Absent: encodings in which a byte of a character can look like a delimiter (the planner refuses them).

mod form;
mod lines;
mod fields;
mod binary;
mod rows;
mod added;

pub use added::BINARY_COUNT_BYTES;
pub use form::{CopyColumn, CopyHeader, Forced, RowForm};
pub use rows::{AtEnd, CopyRows, Cut, KeyField};
