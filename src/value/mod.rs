//! *What is a datum?* Postgres types, decoding, comparison and hashing exactly as Postgres does.
//!
//! Why one room: "exact" rests on reading, comparing and hashing values as the servers do; topology, plan and merge
//! all lean on it, and `tests/tokens.rs` proves it against a real server.
//! Holds: what is not known for sure is [`KeyError::Ambiguous`] or [`ValueError::Unknown`], never a guess.
//! Absent: collations other than byte order, time zones, DateStyle: the servers decide those.

mod error;
mod format;
mod oid;
mod key_type;
mod hash;
mod numeric;
mod numeric_text;
mod numeric_wire;
mod datetime;
mod uuid;
mod key;
mod key_parse;
mod key_assign;
mod array;
mod comparator;
mod encode;
mod transcode;

pub use comparator::{Comparator, TextOrder};
pub use datetime::{names_moment, says_moment};
pub use encode::{
    decode_bool, decode_int2, decode_int4, decode_int8, decode_numeric, encode_bool, encode_int2, encode_int4,
    encode_int8, encode_numeric, encode_text,
};
pub use error::{KeyError, ValueError};
pub use format::Format;
pub use key::Key;
pub use key_type::KeyType;
pub use numeric::Numeric;
pub use oid::Oid;
pub use transcode::{binary_of_text, has_binary_of_text};
