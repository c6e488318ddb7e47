//! The answers that are still owed to the client, in stream order.
//!
//! Why: messages go to a backend before the answers to earlier ones are back, some are answered here, and some answers
//! (of injected messages) are not for the client. One queue keeps them in step, and what a message changed in the
//! session's maps is undone if an earlier one turns out to have failed (`sessions.md` 3).
//! Holds: only one backend owes answers at a time.

use std::sync::Arc;

use crate::session::portal::Portal;
use crate::session::prepared::Statement;
use crate::session::track::Tracked;

/// One owed answer.
#[derive(Debug)]
pub(super) enum Owed {
    /// ready here
    Local {
        /// whole messages
        bytes: Vec<u8>,
        /// how to take back what the message changed
        undo: Undo,
    },
    /// the active backend will send it
    Backend {
        /// of which kind
        kind: Kind,
        /// whether the client sees it
        shown: Shown,
        /// how to take back what the message changed
        undo: Undo,
    },
}

/// The message that is answered, and how far.
#[derive(Debug)]
pub(super) enum Kind {
    /// `1`
    Parse,
    /// `2`
    Bind,
    /// `3`
    Close,
    /// `t`, then `T` or `n`; described so far
    DescribeStatement(Arc<Statement>),
    /// `T` or `n`
    DescribePortal,
    /// rows, then `C`, `I` or `s`; what to note when it completes
    Execute(Option<Box<Tracked>>),
    /// the error of a message that was sent to fail (`Session::fail_servers`)
    Poison,
    /// `Z`
    Sync,
    /// anything, then `Z`; what to note at each completion
    Query(Vec<Tracked>),
}

/// Does the client see it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// yes
    Yes,
    /// no: we injected the message
    No,
}

/// What a message changed in the session's maps.
#[derive(Debug)]
pub(super) enum Undo {
    /// nothing
    Nothing,
    /// the statement of that name was this before
    Statement(Vec<u8>, Option<Arc<Statement>>),
    /// the portal of that name was this before
    Portal(Vec<u8>, Option<Box<Portal>>),
    /// the backend was believed to have this statement prepared
    Prepared(usize, u64),
    /// the backend was believed to have this as its unnamed statement
    Unnamed(usize),
}
