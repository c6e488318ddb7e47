//! What the planner returns: pure data, cheap on the one-shard path.

use std::sync::Arc;

use crate::plan::{CopyIn, CopyOut, MergeSpec, RowShares};
use crate::sql::{ExplainFormat, PositionMap};
use crate::topology::{BucketId, Epoch, KeyspaceId, QualifiedName, ShardId, ShardSet};
use crate::value::{Key, Oid};

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

/// What a statement does to what its session knows of sequences, besides the values that it was given for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SequenceUse {
    /// nothing
    Untouched,
    /// home draws from these, or sets them: what the session knew of them may be old
    UnseenOf(Arc<[QualifiedName]>),
    /// a shard may have drawn from any, or set one
    Unseen,
    /// it begins some anew, and keeps them from all others to its transaction's end: what is drawn in it until then, only it
    /// can draw
    Restarted,
}

/// The buckets whose rows a statement may touch, as far as its keys tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Touched {
    /// none
    Nothing,
    /// this one
    One(TouchedBucket),
    /// these: it writes rows of them
    Rows(Box<RowShares>),
    /// more than one, or any
    Several,
}

/// The one bucket that a statement touches.
#[derive(Clone, Debug, PartialEq)]
pub struct TouchedBucket {
    /// its keyspace
    pub keyspace: KeyspaceId,
    /// it
    pub bucket: BucketId,
    /// the one key that it touches there, if it is one
    pub key: Option<Key>,
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
    /// a write split by the keys of its rows
    Split,
    /// the same on every shard
    Everywhere,
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
    /// what becomes of the session's memory of sequences
    pub sequences: SequenceUse,
    /// whose load it is
    pub touched: Touched,
}

impl Touched {
    /// Of a statement that touches both.
    #[must_use]
    pub fn and(self, other: Touched) -> Touched {
        match (self, other) {
            (Touched::Nothing, other) => other,
            (touched, Touched::Nothing) => touched,
            (Touched::One(one), Touched::One(other))
                if one.keyspace == other.keyspace && one.bucket == other.bucket =>
            {
                let key = one.key.filter(|key| other.key.as_ref() == Some(key));
                Touched::One(TouchedBucket { key, ..one })
            }
            (
                Touched::One(_) | Touched::Rows(_) | Touched::Several,
                Touched::One(_) | Touched::Rows(_) | Touched::Several,
            ) => Touched::Several,
        }
    }

    /// Of a statement whose rows fulfil both conditions: either bounds it.
    #[must_use]
    pub fn or_less(self, other: Touched) -> Touched {
        match (self, other) {
            (Touched::Several, other) => other,
            (touched, _) => touched,
        }
    }
}

/// Where a statement runs.
#[derive(Clone, Debug)]
pub enum Work {
    /// the text as written, on one shard
    One(ShardId),
    /// on several shards, merged
    Many(Arc<FanOut>),
    /// a cursor over a read on several shards: DECLARE
    Cursor(Arc<FanOut>),
    /// EXPLAIN of a read on several shards
    Explain(Arc<Explained>),
    /// a write in texts of its own, usually on several shards
    Writes(Arc<Writes>),
    /// the text as written on several shards; rows that the client sends go to their owners
    CopyIn(Arc<CopyIn>),
    /// the text as written on several shards; their rows follow one another
    CopyOut(Arc<CopyOut>),
}

/// A write that is one statement to the client and several to the shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Writes {
    /// in the order in which their answers count; those of one shard run in this order
    pub parts: Vec<WritePart>,
    /// how the answers become one
    pub answer: WriteAnswer,
}

/// One text for one shard.
#[derive(Clone, Debug, PartialEq)]
pub struct WritePart {
    /// where
    pub shard: ShardId,
    /// what the shard gets by Parse
    pub text: Vec<u8>,
    /// from positions in `text` back to the client's; `None`: the text is not made of the client's
    pub positions: Option<PositionMap>,
    /// which of the client's parameters are the text's `$1`, `$2` …, counted from 0
    pub parameters: Vec<usize>,
    /// types to declare for them
    pub parameter_types: Vec<Oid>,
    /// whether its answer is the client's
    pub counts: Counts,
}

/// Is a part's answer one of the statement's?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// yes
    Yes,
    /// no: it makes ready what follows (a lock, say)
    No,
}

/// How answers of parts become the statement's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteAnswer {
    /// each part writes rows of its own: counts add up, returned rows come in this order; all shards work at once
    Sum(RowOrder),
    /// each part writes the same everywhere: the first shard's runs alone, then the others; its answer is the client's
    Same(Sameness),
    /// each part is a transaction of its own, one after the other, since Postgres runs it in no block; the first one's
    /// answer is the client's
    Each(InBlock),
}

/// What becomes of a statement that runs shard by shard if the client is in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InBlock {
    /// Postgres refuses it there, by this name
    Refused(&'static str),
    /// it becomes part of the block on every shard
    Together,
}

/// The order of rows that parts return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOrder {
    /// part after part
    Parts,
    /// the next row is that of the part at this position in [`Writes::parts`]
    Each(Vec<usize>),
}

/// How it is seen that all shards did the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sameness {
    /// by the command's tag
    Tag,
    /// by the tag, and by the sum of an int8 that each row ends with and that the client does not see
    Rows,
}

impl Work {
    /// Where it runs.
    pub fn shards(&self) -> ShardSet {
        match self {
            Work::One(shard) => ShardSet::only(*shard),
            Work::Many(fan) | Work::Cursor(fan) => fan.shards(),
            Work::Explain(explained) => explained.fan.shards(),
            Work::Writes(writes) => writes.shards(),
            Work::CopyIn(copy) => copy.shards,
            Work::CopyOut(copy) => copy.shards,
        }
    }
}

impl Writes {
    /// The shards that it writes on, in shard order.
    pub fn shards(&self) -> ShardSet {
        self.parts
            .iter()
            .fold(ShardSet::EMPTY, |set, part| set.with(part.shard))
    }
}

/// A read over several shards.
#[derive(Clone, Debug)]
pub struct FanOut {
    /// in shard order, at least one
    pub shards: Vec<ShardId>,
    /// what each shard gets by Parse, made from the client's text by span edits
    pub text: Vec<u8>,
    /// from positions in `text` back to the client's
    pub positions: PositionMap,
    /// types to declare for `$n` in that Parse
    pub parameter_types: Vec<Oid>,
    /// how answers become one
    pub merge: Arc<MergeSpec>,
    /// whether it locks the rows that it reads
    pub row_locks: RowLocks,
    /// set where the merged rows are not the answer yet
    pub finish: Option<Arc<Finish>>,
}

/// What a server makes of merged groups: the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// the client's text, whose columns are the answer's
    pub client_text: Vec<u8>,
    /// the text that computes it, up to where ` UNION ALL VALUES …` with the merged rows goes
    pub before_rows: Vec<u8>,
    /// the rest of it
    pub behind_rows: Vec<u8>,
    /// values of one row
    pub columns: usize,
}

impl FanOut {
    /// Where it runs.
    pub fn shards(&self) -> ShardSet {
        let shards = self.shards.iter();
        shards.fold(ShardSet::EMPTY, |set, shard| set.with(*shard))
    }
}

/// EXPLAIN of a read over several shards.
#[derive(Clone, Debug)]
pub struct Explained {
    /// the read
    pub fan: Arc<FanOut>,
    /// what stands before it: EXPLAIN with its options
    pub before: Vec<u8>,
    /// what its answer is
    pub format: ExplainFormat,
}

/// FOR UPDATE, FOR SHARE or the like?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowLocks {
    /// no
    No,
    /// yes: such a read follows newer rows than its snapshot's
    Yes,
}
