//! Portals: what Bind made, and where it lives.

use std::sync::Arc;

use bytes::BytesMut;

use crate::plan::{CopyIn, CopyOut, Explained, FanOut, Writes};
use crate::session::cursors::FanCursor;
use crate::session::prepared::Statement;
use crate::session::track::Tracked;
use crate::session::writes::Returned;
use crate::sql::SessionSettings;
use crate::topology::ShardId;
use crate::value::Format;

/// One portal of the session.
#[derive(Debug)]
pub(super) struct Portal {
    /// of which statement
    pub(super) statement: Arc<Statement>,
    /// formats asked for the result's columns, as in Bind
    pub(super) result_formats: Vec<Format>,
    /// where it is executed
    pub(super) place: Place,
}

/// Where a portal is executed.
#[derive(Debug)]
pub(super) enum Place {
    /// on the backend of this shard, where it has the client's name
    Backend {
        /// which
        shard: ShardId,
        /// what to note when it completes
        tracked: Option<Box<Tracked>>,
    },
    /// on several shards, by this plan and these bound values
    Fan {
        /// plan
        plan: Arc<FanOut>,
        /// parameters' formats and values as they came in Bind
        parameters: Bound,
    },
    /// a cursor of SQL over several shards: DECLARE
    Declare {
        /// plan
        plan: Arc<FanOut>,
        /// parameters' formats and values as they came in Bind
        parameters: Bound,
    },
    /// on each of several shards: their plans
    Explain {
        /// plan
        plan: Arc<Explained>,
        /// parameters' formats and values as they came in Bind
        parameters: Bound,
    },
    /// a write in texts of its own, by this plan and these bound values
    Writes {
        /// plan
        plan: Arc<Writes>,
        /// parameters' formats and values as they came in Bind
        parameters: Bound,
    },
    /// rows to several shards
    CopyIn(Arc<CopyIn>),
    /// rows of several shards
    CopyOut(Arc<CopyOut>),
    /// on several shards, between two row-limited Executes
    Suspended(Box<FanCursor>),
    /// here, a write that has returned more rows than were asked for so far
    Returned(Box<Returned>),
    /// here: a control statement, which has no parameters
    Control,
    /// here: rows that a FETCH has fetched, and its Execute hasn't asked for yet; DataRow messages
    Fetched(BytesMut),
    /// here, done: its row-limited remains or its completion were given out
    Finished,
}

/// Parameters as they came in Bind.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    /// none, one or each
    pub(super) formats: Vec<Format>,
    /// `None` is NULL
    pub(super) values: Vec<Option<Vec<u8>>>,
    /// settings under which the text's literals were read, where it has any
    pub(super) read_under: Option<SessionSettings>,
}
