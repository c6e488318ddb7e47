//! The ladder: small rules, tried in order; the first that proves its route exact wins.
//!
//! The order matters: a topology of one shard needs no proof; control statements are told by their first tokens, before
//! any tree; what doesn't parse may only go home; what needs values of sequences gets them and is ruled anew; what names no
//! table goes home; then one shard by the keys, and only at
//! the end several shards, where a rule of `fanout` must prove that the answers can be merged.

mod functions;
mod words;
mod single;
mod control;
mod phrase;
mod places;
mod subjects;
mod changes;
mod lists;
mod objects;
mod copy;
mod unparsed;
mod usage;
mod drawn;
mod setval;
mod home;
mod one_shard;
mod write;
mod reference;
mod insert;
mod unseen;
mod clock;
mod late;

pub(in crate::plan) use clock::{Clock, Runs, clock, may_say};
pub(in crate::plan) use drawn::sequence_use;
pub(in crate::plan) use late::{Asked, Late, hidden, renew};
pub use single::reserved_gid;
pub(in crate::plan) use unseen::{Unseen, check_unseen, unseen};

use std::sync::Arc;

use crate::plan::fanout::Template;
use crate::plan::keys::{Pruning, TypesNeeded, WrittenKey};
use crate::plan::resolve::Resolved;
use crate::plan::writes::Split;
use crate::plan::{Access, Ask, Kind, Purpose, Refusal, SessionEffect, Verdict, Work, WriteAnswer};
use crate::sql::{Command, CursorForm, ExplainFormat, Lexing, ParseFailure, Span, Token};
use crate::topology::{KeyspaceId, ShardId, ShardSet};

/// What all rules see of a statement.
pub(in crate::plan) struct Case<'a> {
    /// its text, one statement
    pub(in crate::plan) text: &'a [u8],
    /// how it is lexed
    pub(in crate::plan) lexing: Lexing,
    /// its tokens
    pub(in crate::plan) tokens: &'a [Token],
    /// what its first tokens say
    pub(in crate::plan) command: &'a Command,
    /// its picture
    pub(in crate::plan) snapshot: &'a crate::plan::Snapshot,
    /// the session's settings
    pub(in crate::plan) context: &'a crate::plan::Context,
    /// its names bound; made when the first rule that needs a tree comes up
    pub(in crate::plan) resolved: &'a Tree<'a>,
}

/// What became of a statement's tree.
pub(in crate::plan) enum Tree<'a> {
    /// its first tokens say enough
    NotWanted,
    /// the parser doesn't know it
    Unparsed(ParseFailure),
    /// a name or node isn't understood, or may not be used
    Refused(Box<Refusal>),
    /// resolved
    Resolved(Box<Resolved<'a>>),
}

/// Where a compiled statement goes.
#[derive(Debug)]
pub(in crate::plan) enum Route {
    /// always there
    Fixed {
        /// as shown
        kind: Kind,
        /// where
        shard: ShardId,
        /// why, for EXPLAIN (ROUTE)
        reason: &'static str,
    },
    /// always this, on several shards
    Ready {
        /// as shown
        kind: Kind,
        /// what
        work: Work,
        /// why, for EXPLAIN (ROUTE)
        reason: &'static str,
    },
    /// where its keys say
    Keyed(Box<Keyed>),
    /// where a part of it goes: the statement inside EXPLAIN, DECLARE, COPY (…)
    Inner {
        /// the part
        span: Span,
        /// what stands around it
        around: Around,
    },
    /// where its text goes once values of sequences stand in it
    Drawn(Box<crate::plan::sequences::Template>),
    /// the same on every shard
    Everywhere(Box<Everywhere>),
    /// nowhere
    Refused(Box<Refusal>),
}

/// A statement that does the same on every shard.
#[derive(Debug)]
pub(in crate::plan) struct Everywhere {
    /// why, for EXPLAIN (ROUTE)
    pub(in crate::plan) reason: &'static str,
    /// how the shards' answers become one
    pub(in crate::plan) answer: WriteAnswer,
    /// what each shard gets
    pub(in crate::plan) texts: Texts,
}

/// What each shard gets of a statement that does the same on every shard.
#[derive(Debug)]
pub(in crate::plan) enum Texts {
    /// the statement as written
    AsWritten,
    /// a write of a reference table's rows
    Rows(Box<crate::plan::ladder::reference::RowsWrite>),
    /// each shard its own
    Parts(Vec<crate::plan::WritePart>),
    /// rows that every shard makes, and keeps if they are its own
    Series(Box<crate::plan::writes::Series>),
}

/// What stands around a statement inside a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Around {
    /// EXPLAIN, also ANALYZE
    Explain(ExplainFormat),
    /// DECLARE … CURSOR FOR; WITH HOLD is another form
    Cursor(CursorForm),
    /// COPY (…) TO
    Copy,
}

/// A route by keys.
#[derive(Debug)]
pub(in crate::plan) struct Keyed {
    /// each sharded table's mention
    pub(in crate::plan) mentions: Vec<Mention>,
    /// rows written
    pub(in crate::plan) written: Vec<WrittenKey>,
    /// shards that it needs in any case
    pub(in crate::plan) fixed: ShardSet,
    /// set if it may run on home alone: by what
    pub(in crate::plan) home_only: Option<String>,
    /// where it goes if its keys leave no shard
    pub(in crate::plan) otherwise: ShardId,
    /// what happens if its keys leave several shards
    pub(in crate::plan) several: Several,
}

/// One mention of a sharded table.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Mention {
    /// whose buckets decide
    pub(in crate::plan) keyspace: KeyspaceId,
    /// what is left of them
    pub(in crate::plan) pruning: Pruning,
    /// whether rows are read or written
    pub(in crate::plan) purpose: Purpose,
}

/// What happens if keys leave several shards.
#[derive(Debug)]
pub(in crate::plan) enum Several {
    /// a fan-out, for the very text that was compiled
    FanOut(Box<Template>),
    /// an INSERT split by the keys of its rows, for every text of the shape
    Split(Box<Split>),
    /// no rule proves it
    Refused(Box<Refusal>),
}

/// What a rule says of a statement that it takes.
#[derive(Debug)]
pub(in crate::plan) struct Ruling {
    /// where it goes
    pub(in crate::plan) route: Route,
    /// what it does to rows
    pub(in crate::plan) access: Access,
    /// what it leaves in the session
    pub(in crate::plan) effect: SessionEffect,
    /// where its text can be parsed and described
    pub(in crate::plan) prepare_on: ShardId,
    /// may other literals of its shape take the same route
    pub(in crate::plan) literals: Literals,
}

/// Does a ruling hold for other literals of the same shape?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Literals {
    /// they are read at bind
    Opaque,
    /// one was read while it was compiled
    Read,
}

/// A rule: `None` if the statement isn't its own.
type Rule = fn(&Case<'_>) -> Result<Option<Ruling>, Verdict>;

/// The rules in their order.
const RULES: &[Rule] = &[
    single::rule,
    control::rule,
    unparsed::rule,
    drawn::rule,
    home::rule,
    one_shard::rule,
];

/// The ruling of the first rule that takes the statement.
pub(in crate::plan) fn rule(case: &Case<'_>) -> Result<Ruling, Verdict> {
    for rule in RULES {
        if let Some(ruling) = rule(case)? {
            return Ok(ruling);
        }
    }
    let refusal = crate::plan::refuse(crate::plan::RefusalId::SyntaxNotUnderstood, &["this statement"]);
    Ok(Ruling::refused(refusal, case.snapshot.topology().home()))
}

// === impl Everywhere ===

impl Everywhere {
    /// As shown.
    pub(in crate::plan) fn kind(&self) -> Kind {
        match self.texts {
            Texts::AsWritten | Texts::Rows(_) | Texts::Parts(_) => Kind::Everywhere,
            Texts::Series(_) => Kind::Split,
        }
    }
}

// === impl Ruling ===

impl Ruling {
    /// To one shard, whatever its literals.
    fn fixed(kind: Kind, shard: ShardId, reason: &'static str, access: Access, effect: SessionEffect) -> Ruling {
        Ruling {
            route: Route::Fixed { kind, shard, reason },
            access,
            effect,
            prepare_on: shard,
            literals: Literals::Opaque,
        }
    }

    /// The same text to every shard.
    fn everywhere(home: ShardId, access: Access, answer: WriteAnswer) -> Ruling {
        let everywhere = Everywhere {
            reason: "every shard has it",
            answer,
            texts: Texts::AsWritten,
        };
        Ruling {
            route: Route::Everywhere(Box::new(everywhere)),
            access,
            effect: SessionEffect::None,
            prepare_on: home,
            literals: Literals::Read,
        }
    }

    /// To none.
    pub(in crate::plan) fn refused(refusal: Box<Refusal>, prepare_on: ShardId) -> Ruling {
        Ruling {
            route: Route::Refused(refusal),
            access: Access::Read,
            effect: SessionEffect::None,
            prepare_on,
            literals: Literals::Read,
        }
    }
}

impl From<TypesNeeded> for Verdict {
    fn from(TypesNeeded: TypesNeeded) -> Verdict {
        Verdict::Ask(Ask::ParameterTypes)
    }
}

/// The stronger of two accesses.
fn stronger(a: Access, b: Access) -> Access {
    match (a, b) {
        (Access::Write, _) | (_, Access::Write) => Access::Write,
        (Access::Lock, _) | (_, Access::Lock) => Access::Lock,
        (Access::Read, Access::Read) => Access::Read,
    }
}

/// The stronger of two effects.
fn graver(a: SessionEffect, b: SessionEffect) -> SessionEffect {
    match (a, b) {
        (SessionEffect::Pin(why), _) | (_, SessionEffect::Pin(why)) => SessionEffect::Pin(why),
        (SessionEffect::Opaque, _) | (_, SessionEffect::Opaque) => SessionEffect::Opaque,
        (SessionEffect::None, SessionEffect::None) => SessionEffect::None,
    }
}

/// Names of shards for messages.
pub(in crate::plan) fn shard_names(topology: &Arc<crate::topology::Topology>, set: ShardSet) -> Vec<String> {
    set.iter().map(|shard| topology.shard_name(shard).to_string()).collect()
}
