//! Values of sequences that come into a statement's text as constants.
//!
//! Why: every shard has a copy of each sequence, and only home's counts. A statement that would let a shard fill a column
//! from its own copy, or ask a pooled backend what it drew last, is planned twice: first it says which values it needs
//! ([`SequenceAsk`]), then, with the values in its text, it is a statement like any other.
//!
//! Holds: a value is never part of a route, since each execution needs its own; each slot of the text gets a value of its
//! own, in the order in which Postgres would draw them; a text in which a slot can't be found for certain is not edited.

mod ask;
mod name;
mod call;
mod layout;
mod listed;
mod template;

pub use ask::{Draw, Privilege, Recall, RowAsk, SequenceAsk};
pub(in crate::plan) use call::{Called, SEQUENCE_FUNCTIONS, called, changed_by, set_by};
pub(in crate::plan) use layout::{Layout, RowLayout, SourceLayout, Words, insert_layout, select_items};
pub(in crate::plan) use listed::{Listed, listed};
pub(in crate::plan) use template::{Keyed, Piece, Place, Slots, Template};
