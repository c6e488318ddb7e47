//! Why there is no plan yet: a refusal, or a question to a server.
//!
//! Holds: the list of questions is closed; a session answers at most three rounds.

use crate::plan::{Refusal, RowAsk, SequenceAsk};
use crate::topology::KeyspaceId;

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
    /// values of sequences: new ones, or ones that the session was given
    Sequences(SequenceAsk),
    /// the one row of each of these statements
    Rows(Vec<RowAsk>),
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

/// Is it a question about the client's role and a table? It is put where the table is, inside the client's transaction,
/// which may have another role.
pub fn asks_of_table(question: &str) -> bool {
    let of = ["has_column_privilege(", "row_security_active("];
    let name = question.strip_prefix("pg_catalog.").unwrap_or_default();
    of.iter().any(|function| name.starts_with(function))
}
