//! Everything that a session keeps.
//!
//! Why one struct with its `impl` spread over files by subject: startup, pump, simple, extended and control all work on
//! the same few fields, and each file is one of those subjects.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::admin::{CancelMark, Enrolment};
use crate::backend::{Link, Login};
use crate::catalog::Catalog;
use crate::discovery::Seen;
use crate::plan::{Compiled, Context, Snapshot};
use crate::session::error::Failure;
use crate::session::names::Names;
use crate::session::portal::Portal;
use crate::session::prepared::Statement;
use crate::session::queue::{Owed, Undo};
use crate::session::recent::{RecentShapes, RecentTexts};
use crate::session::world::World;
use crate::sql::{Lexing, Scope, SessionSettings, Shape, Span};
use crate::topology::{Keyspace, Strategy};
use crate::transaction::{Block, Isolation, Participants};
use crate::value::Oid;
use crate::wire::ErrorFields;

/// What a rollback restores.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    /// what had been reported
    pub(super) reported: Arc<BTreeMap<String, String>>,
    /// settings that outlive the transaction
    pub(super) settings: SessionSettings,
    /// settings under SET LOCAL
    pub(super) local: Option<SessionSettings>,
    /// what they amount to
    pub(super) effective: Arc<Effective>,
}

/// What the session's settings amount to on a server.
#[derive(Debug)]
pub(super) struct Effective {
    /// for the planner
    pub(super) context: Arc<Context>,
    /// `default_transaction_isolation`
    pub(super) default_isolation: Isolation,
    /// the schemas that there were: one more may come onto the search path
    pub(super) schemas: Vec<String>,
}

/// A named statement with the session's own route for it.
#[derive(Debug)]
pub(super) struct Named {
    /// the statement
    pub(super) statement: Arc<Statement>,
    /// its route, and the picture and settings that it was compiled under
    pub(super) route: Option<Route>,
}

/// A compiled route and what it was compiled under.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// picture
    pub(super) snapshot: Arc<Snapshot>,
    /// settings
    pub(super) context: Arc<Context>,
    /// route
    pub(super) compiled: Arc<Compiled>,
    /// how the planner lexes under these settings
    pub(super) lexing: Lexing,
    /// whether its keys may need categories, which servers say
    pub(super) categories: Categories,
}

/// Does a topology know keys by categories?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Categories {
    /// no
    None,
    /// some keyspace does
    Some,
}

/// Are the client's messages obeyed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skipping {
    /// yes
    No,
    /// an error came: not before Sync
    ToSync,
}

/// Is the client's data wanted?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// no COPY FROM STDIN runs
    No,
    /// the backend at this position waits for data, in this protocol
    In(usize, CopyProtocol),
    /// several backends wait for rows, in this protocol
    Split(CopyProtocol),
}

/// How the COPY was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CopyProtocol {
    /// by Query: its answer ends with ReadyForQuery
    Simple,
    /// by Execute: Sync is swallowed until the data end
    Extended,
}

/// What is known of the statement under way, for telemetry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Running {
    /// when it arrived
    pub(super) since: Instant,
    /// when it must be over; `None`: never
    pub(super) deadline: Option<Instant>,
    /// cancel requests before it don't count
    pub(super) mark: CancelMark,
    /// what became of it
    pub(super) kind: crate::telemetry::StatementKind,
    /// where
    pub(super) shard: Option<crate::topology::ShardId>,
    /// how it ended so far
    pub(super) outcome: crate::telemetry::Outcome,
    /// was its shape known
    pub(super) cache: crate::telemetry::CacheUse,
    /// bytes sent to shards
    pub(super) sent: u64,
    /// bytes that shards answered
    pub(super) received: u64,
}

/// One client's session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the message under way; no two of them make a state together"
)]
pub(super) struct Session {
    pub(super) world: Arc<World>,
    pub(super) client: Link,
    /// the client has sent EOF: what it sent before is still answered
    pub(super) client_ended: Ended,
    pub(super) id: u32,
    pub(super) user: Arc<str>,
    pub(super) login: Arc<Login>,
    pub(super) enrolment: Enrolment,
    /// settings that outlive a transaction
    pub(super) settings: SessionSettings,
    /// settings in effect where SET LOCAL changed some
    pub(super) local: Option<SessionSettings>,
    pub(super) effective: Arc<Effective>,
    /// the last catalog that had the schemas of `effective`
    pub(super) effective_under: Weak<Catalog>,
    /// whether `effective` must be asked for anew before the next plan
    pub(super) stale: Stale,
    /// how the client's bytes are lexed now
    pub(super) lexing: Lexing,
    /// what the client was told by ParameterStatus
    pub(super) reported: Arc<BTreeMap<String, String>>,
    /// notifications that came with COMMIT, whose tag they follow, or wait for the end of a block
    pub(super) notifications: Vec<u8>,
    pub(super) block: Block<Saved>,
    pub(super) participants: Participants,
    /// answers owed, in stream order
    pub(super) queue: VecDeque<Owed>,
    /// the backend that owes them
    pub(super) active: Option<usize>,
    pub(super) statements: Names<Named>,
    pub(super) unnamed: Option<Named>,
    pub(super) portals: Names<Portal>,
    /// texts of unnamed statements
    pub(super) recent: RecentTexts,
    /// shapes of Query messages
    pub(super) shapes: RecentShapes,
    pub(super) skipping: Skipping,
    pub(super) copying: Copying,
    /// a COPY FROM STDIN whose rows are split by their keys
    pub(super) split: Option<Box<crate::session::copy::Split>>,
    /// a notice or notification was relayed: the client gets it without delay, as from Postgres
    pub(super) urgent: Urgent,
    pub(super) running: Running,
    /// reused by every statement
    pub(super) shape: Shape,
    /// numbers unnamed statements and portals of ours
    pub(super) counter: u64,
    /// bytes of a client's CopyData message that are still to be forwarded
    pub(super) copy_left: usize,
    /// bytes of a client's message that are still to be dropped
    pub(super) drop_left: usize,
    /// which shard holds a cursor of SQL
    pub(super) cursors: BTreeMap<String, crate::topology::ShardId>,
    /// cursors of SQL over several shards
    pub(super) fan_cursors: BTreeMap<String, crate::session::cursors::FanCursor>,
    /// one shard: everything is forwarded as it is
    pub(super) transparent: bool,
    /// an error was answered in this message or batch
    pub(super) failed: bool,
    /// an implicit block had to be made explicit on its backends
    pub(super) wrapping: Wrapping,
    /// the Query under way holds one statement
    pub(super) lone: bool,
    /// the transaction's moment, where it was told before a shard had begun the transaction: in UTC
    pub(super) told_moment: Option<Box<crate::session::moment::Told>>,
    /// behind the message under way the client's Sync is there already
    pub(super) before_sync: bool,
    /// the next tag waits for COMMIT (sessions.md 8)
    pub(super) hold_tag: bool,
    /// it
    pub(super) held_tag: Option<Vec<u8>>,
    /// a Parse that waits for its shard
    pub(super) deferred: Option<Deferred>,
    /// a ParameterDescription whose RowDescription is to come
    pub(super) described_parameters: Option<(u64, Vec<Oid>)>,
    /// a re-prepare got another RowDescription
    pub(super) result_type_changed: bool,
    /// what a backend said before its connection ended
    pub(super) last_words: Option<Box<ErrorFields>>,
    /// why the block has failed, where the client hasn't been told: its COMMIT may not be answered by a mere tag
    pub(super) unheard: Option<Box<crate::session::error::Failure>>,
    /// why cancels were sent for the statement under way
    pub(super) cancelled_by: Option<Failure>,
    /// the cancel of the statement under way is that of a deadlock's victim
    pub(super) victim: Arc<AtomicBool>,
    /// reported settings that changed since the client was told, and what it was told
    pub(super) unreported: Vec<(String, Option<String>)>,
    /// reported settings may have gone back to other values: they are asked for before ReadyForQuery
    pub(super) recheck: Stale,
    /// counts changes of reported settings
    pub(super) reports: u64,
    /// settings and reports for which DateStyle was last seen to
    pub(super) whole_datestyle: (u64, u64),
    /// what the statement's own comments say
    pub(super) directives: Vec<crate::sql::Directive>,
    /// rows of the statement under way
    pub(super) rows: u64,
    /// DDL has run since the picture was taken
    pub(super) ddl: bool,
    /// which picture of the schema statements are planned by
    pub(super) schema: Schema,
    /// what a Query message holds behind a COPY FROM STDIN
    pub(super) rest: Option<Box<Rest>>,
    /// between a batch's first message and its ReadyForQuery
    pub(super) in_batch: bool,
    /// an order that is under way
    pub(super) sent: Option<crate::session::straight::Sent>,
    /// whose load its batches are
    pub(super) load: crate::session::load::Load,
    /// what the batch under way has used
    pub(super) used: crate::session::load::Used,
    /// what `currval` and `lastval` tell it
    pub(super) sequences: crate::session::sequences::Memory,
    /// when it has been idle for too long
    pub(super) timers: crate::session::idle::Timers,
}

/// Statements of a Query message that wait for a COPY's data.
#[derive(Debug)]
pub(super) struct Rest {
    /// the whole message
    pub(super) text: Vec<u8>,
    /// its statements
    pub(super) spans: Vec<Span>,
    /// the next one
    pub(super) from: usize,
}

/// A Parse that waits for its shard.
#[derive(Debug)]
pub(super) struct Deferred {
    /// what it makes
    pub(super) statement: Arc<Statement>,
    /// how to take its name back
    pub(super) undo: Undo,
}

/// Was BEGIN sent for an implicit block?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// no
    No,
    /// yes: it ends with the message or batch
    Yes,
}

impl Route {
    /// A route as it was worked out.
    pub(super) fn new(snapshot: &Arc<Snapshot>, context: &Arc<Context>, compiled: &Arc<Compiled>) -> Route {
        let keyspaces = snapshot.topology().keyspaces();
        let by_category = |keyspace: &Keyspace| matches!(keyspace.strategy(), Strategy::Category(_));
        Route {
            snapshot: Arc::clone(snapshot),
            context: Arc::clone(context),
            compiled: Arc::clone(compiled),
            lexing: context.lexing(),
            categories: match keyspaces.iter().any(by_category) {
                true => Categories::Some,
                false => Categories::None,
            },
        }
    }

    /// Whether it is the very same.
    pub(super) fn is_same(&self, other: &Route) -> bool {
        Arc::ptr_eq(&self.compiled, &other.compiled)
            && Arc::ptr_eq(&self.snapshot, &other.snapshot)
            && Arc::ptr_eq(&self.context, &other.context)
    }
}

impl Named {
    /// Without a route yet.
    pub(super) fn new(statement: Arc<Statement>) -> Named {
        Named { statement, route: None }
    }
}

/// Has one side ended?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// no
    No,
    /// yes
    Yes,
}

/// Must the effective settings be asked for?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stale {
    /// no
    No,
    /// yes
    Yes,
}

/// Which picture of the schema a session's statements are planned by.
#[derive(Clone, Debug)]
pub(super) enum Schema {
    /// the proxy's own
    Common,
    /// that of the transaction, which has changed it and is to be asked
    Due,
    /// that of the transaction
    Own(Arc<Seen>),
}

/// Must what is buffered go out now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgent {
    /// no
    No,
    /// yes
    Yes,
}

impl Session {
    /// Settings in effect now.
    pub(super) fn current(&self) -> &SessionSettings {
        self.local.as_ref().unwrap_or(&self.settings)
    }

    /// Settings in effect have become these.
    pub(super) fn set_current(&mut self, changed: SessionSettings, scope: Scope) {
        self.watch_timers(&changed);
        match scope {
            Scope::Local => self.local = Some(changed),
            Scope::Session => {
                if self.local.is_some() {
                    self.local = Some(changed);
                }
            }
        }
        self.stale = Stale::Yes;
    }

    /// The transaction is over: SET LOCAL is forgotten.
    pub(super) fn end_local(&mut self) {
        if self.local.take().is_some() {
            self.stale = Stale::Yes;
            self.recheck = Stale::Yes;
        }
    }

    /// A number that this session has not used yet.
    pub(super) fn next_number(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        self.counter
    }

    /// Whether the topology has one shard: then everything is forwarded as it is.
    pub(super) fn is_single(&self, snapshot: &Snapshot) -> bool {
        snapshot.topology().shards().len() == 1
    }
}
