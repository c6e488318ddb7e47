//! *What shall be done?* (statement, snapshot, facts) → `Plan`, `Refusal` or `Ask`; the plan cache as a plain data type.

mod fanout;

pub use fanout::{
    Combine, Comparison, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method,
    Nulls, Output, Predicate, Repeats, Scalar,
};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::topology::{Epoch, KeyspaceId, QualifiedName, ShardId, Topology};
use crate::value::{Format, Oid};

/// One moment's picture: every statement takes it once and passes it down.
#[derive(Debug)]
pub struct Snapshot {
    /// where rows live
    pub topology: Arc<Topology>,
    /// what tables look like
    pub catalog: Arc<Catalog>,
    /// compiled routes of this picture; dies with it
    pub cache: Cache,
}

/// Effective settings of a session that planning reads; part of the cache's key by value. Immutable, shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context {
    /// effective schemas in order, `pg_catalog` and the session's `pg_temp` left out
    pub search_path: Vec<String>,
    /// `current_user`
    pub role: String,
    /// `TimeZone`
    pub time_zone: String,
    /// `DateStyle`
    pub date_style: String,
    /// `IntervalStyle`
    pub interval_style: String,
    /// `client_encoding`
    pub client_encoding: String,
    /// `standard_conforming_strings`, `transform_null_equals`, `row_security`, and every other setting that an allowed
    /// function or output routine reads (bytea_output, extra_float_digits, lc_*), by name
    pub other: BTreeMap<String, String>,
    /// relations that exist only in this session (its temporary tables), on its pinned backend's shard
    pub temporary: Vec<String>,
}

/// One statement to plan.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// exactly one statement as the client wrote it (no trailing `;` needed)
    pub text: &'a [u8],
    /// types that the client declared for `$n` (0: unspecified); empty for the simple protocol
    pub parameter_types: &'a [Oid],
    /// the session's settings
    pub context: &'a Arc<Context>,
}

/// Values bound to `$1…`, as they came in Bind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters<'a> {
    /// none, one for all, or one each (as in Bind)
    pub formats: &'a [Format],
    /// `None` is NULL
    pub values: &'a [Option<&'a [u8]>],
}

/// What only a server knows, once it has been asked. Empty at first.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// category of a key (fixed ones); a missing entry is asked for
    pub categories: Arc<BTreeMap<(KeyspaceId, String), Category>>,
    /// resolved types of `$1…` (from ParameterDescription on home)
    pub parameter_types: Option<Vec<Oid>>,
    /// values of constants evaluated under the session's settings: expression text → text form (`None` is NULL)
    pub constants: BTreeMap<String, Option<String>>,
}

/// What is known of a symbol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    /// fixed at first use: the name of its category
    Fixed(String),
    /// derived from the lookup table, not fixed yet: enough for a read, not for a write
    Derived(String),
    /// not in the lookup table: an error on write, all shards on read
    Unknown,
}

/// The closed list of things a plan may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// the category of each key (its text form); `Fix` before a write
    Categories {
        /// whose lookup
        keyspace: KeyspaceId,
        /// text forms of the keys
        keys: Vec<String>,
        /// whether the answer must be fixed (written to shardgate.category) first
        purpose: Purpose,
    },
    /// the types of `$n` as Postgres infers them for the whole text
    ParameterTypes,
    /// the value of constant expressions (text) under the session's settings
    Constants(Vec<String>),
}

/// Why a category is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// looking is enough
    Read,
    /// it must be fixed first
    Write,
}

/// Why there is no plan (yet).
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// exact execution cannot be proven
    Refused(Box<Refusal>),
    /// ask a server, then plan again (three rounds at most)
    Ask(Ask),
}

/// A typed no: construct, reason, hint, each a text that a client may read. SQLSTATE 0A000 unless `code` says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// stable id, a key of `docs/unsupported.md` and label of the refusals metric, such as `window-across-shards`
    pub id: &'static str,
    /// SQLSTATE
    pub code: &'static str,
    /// MESSAGE: what, with the user's own names
    pub message: String,
    /// DETAIL: why we know
    pub detail: String,
    /// HINT: what to do
    pub hint: String,
}

/// What a statement may do to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// nothing
    Read,
    /// locks (FOR UPDATE/SHARE), nothing durable
    Lock,
    /// changes rows or objects
    Write,
}

/// What a statement may leave in its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionEffect {
    /// nothing
    None,
    /// state that can't be replayed: the backend stays with the session; the text says why (`temporary table`)
    Pin(&'static str),
    /// opaque code ran: pin, then look
    Opaque,
}

/// Plan kinds: metric label and first word of `EXPLAIN (ROUTE)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// there is one shard
    Single,
    /// belongs to no table
    Home,
    /// all keys on one shard
    OneShard,
    /// disjoint union
    FanOut,
    /// union plus a merge
    Merge,
}

/// What shall be done with one statement. Cheap to make and clone on the one-shard path (no allocation).
#[derive(Clone, Debug)]
pub struct Plan {
    /// made for this topology
    pub epoch: Epoch,
    /// for metrics and EXPLAIN (ROUTE)
    pub kind: Kind,
    /// where to
    pub work: Work,
    /// rows
    pub access: Access,
    /// session
    pub effect: SessionEffect,
}

/// Where a statement runs.
#[derive(Clone, Debug)]
pub enum Work {
    /// the text as written, on one shard
    One(ShardId),
    /// on several shards, merged
    Many(Arc<FanOut>),
}

/// A read over several shards.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// in shard order, at least one
    pub shards: Vec<ShardId>,
    /// what each shard gets by Parse, made from the client's text by span edits
    pub text: Vec<u8>,
    /// types to declare for `$n` in that Parse
    pub parameter_types: Vec<Oid>,
    /// how answers become one
    pub merge: Arc<MergeSpec>,
}

/// Compiled routes by shape, context and declared parameter types.
#[derive(Debug, Default)]
pub struct Cache {}

/// A compiled statement: everything that does not depend on key values.
#[derive(Debug)]
pub struct Compiled {}

/// One row of `EXPLAIN (ROUTE)` and `ROUTE <sql>`: step, shards, reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteStep {
    /// what happens: `one shard`, `fan out`, `merge: order by 1`, …
    pub step: String,
    /// names of the shards
    pub shards: Vec<String>,
    /// why: `user(42) → bucket 611`
    pub reason: String,
}

/// Named for its signature only; the planner's author replaces this body.
pub fn temporary_name_is_known(context: &Context, name: &QualifiedName) -> Option<bool> {
    context.temporary.iter().any(|t| *t == name.name).then_some(true)
}
