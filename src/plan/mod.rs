//! *What shall be done?* (statement, snapshot, facts) → `Plan`, `Refusal` or `Ask`; the plan cache as a plain data type.
//!
//! Why: routing is the one decision that may never be wrong, so it is a function of values that can be printed, compared
//! and tested without a server. Default deny: a statement runs on several shards only because a rule proves it exact.
//!
//! Journey: [`Snapshot::compile`] scans the text, looks its shape up and, on a miss, parses it, resolves every name
//! (`resolve`) and tries the rules of the ladder (`ladder`) in order. What comes out, [`Compiled`], holds everything that
//! doesn't depend on key values; [`Compiled::bind`] reads the keys and gives a [`Plan`].
//!
//! Holds: same inputs, same plan; an unknown syntax node is never allowed through; literals are opaque to a cached route
//! except where it reads them at bind.
//! Absent: gather, and writes over several shards other than an INSERT of values; they are refused with a hint.

mod locks;
mod context;
mod request;
mod verdict;
mod refusal;
mod copy;
mod shares;
mod work;
mod explain;
mod snapshot;
mod resolve;
mod sequences;
mod keys;
mod fanout;
mod writes;
mod ladder;
mod cache;
mod compile;
mod drawn;
mod bind;
mod by_hand;
mod late;
mod error;

pub use bind::Compiled;
pub use by_hand::Routed;
pub use context::Context;
pub use copy::{
    CopyCopies, CopyFill, CopyIn, CopyKey, CopyOut, CopyOutForm, CopyOwners, FillValue, KeyStands, RowPlace,
};
pub use error::Error;
pub use explain::RouteStep;
pub use fanout::{
    Combine, Comparison, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method,
    Nulls, Output, Predicate, Repeats, Scalar, Ties, ask_of, asks_moment, is_transactions_moment, transactions_moment,
};
pub use ladder::reserved_gid;
pub use locks::OWN_LOCK_CLASSES;
pub use refusal::{Refusal, RefusalKind, refusal_kinds};
pub(in crate::plan) use refusal::{RefusalId, refuse};
pub use request::{Category, Facts, Found, Parameters, Request};
pub use sequences::{Draw, Privilege, Recall, RowAsk, SequenceAsk};
pub use shares::{RowShare, RowShares, RowTally};
pub use snapshot::Snapshot;
pub use verdict::{Ask, Purpose, Verdict, asks_of_table};
pub use work::{
    Access, Counts, Explained, FanOut, Finish, InBlock, Kind, Plan, RowLocks, RowOrder, Sameness, SequenceUse,
    SessionEffect, Touched, TouchedBucket, Work, WriteAnswer, WritePart, Writes,
};
