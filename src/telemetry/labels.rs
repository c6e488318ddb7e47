//! The closed enums that label values come from.
//!
//! Why: a label whose values nobody can list is a memory leak in every Prometheus that scrapes it.
//! Holds: `index` is the position in `ALL`, so that a value is also an offset into a series' cells.

use crate::plan;

/// Declares an enum with its label texts.
macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of [`Self::index`].
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The label's values, in the same order.
            pub(crate) const LABELS: &'static [&'static str] = &[$($text,)+];

            /// The label's value.
            pub const fn label(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)+
                }
            }

            /// Position in [`Self::ALL`].
            pub const fn index(self) -> usize {
                self as usize
            }

            /// The value at a position of [`Self::ALL`].
            pub fn from_index(index: usize) -> Option<$name> {
                Self::ALL.get(index).copied()
            }
        }
    };
}

closed! {
    /// How a commit over several shards ended, as its proxy saw it.
    TransactionOutcome {
        /// On every shard.
        Committed => "committed",
        /// Decided, but a shard could not be reached in time: it follows.
        CommittedInPart => "committed_in_part",
        /// Rolled back on every shard.
        Aborted => "aborted",
        /// Left to recovery without knowing the verdict.
        InDoubt => "in_doubt",
    }
}

closed! {
    /// What recovery did to one prepared part that another left behind.
    Recovered {
        /// Committed it.
        Committed => "committed",
        /// Rolled it back.
        RolledBack => "rolled_back",
    }
}

closed! {
    /// What became of a statement on its way, the label `plan`.
    StatementKind {
        /// There is one shard in the topology.
        Single => "single",
        /// Belongs to no table; ran on home.
        Home => "home",
        /// All keys on one shard.
        OneShard => "one_shard",
        /// Disjoint union of several shards' answers.
        FanOut => "fan_out",
        /// Union plus a merge.
        Merge => "merge",
        /// A write split by the keys of its rows.
        Split => "split",
        /// The same write on every shard.
        Everywhere => "everywhere",
        /// Answered by the proxy itself (BEGIN, SET, the admin database …).
        Local => "local",
        /// Ended before there was a plan (refused, not understood).
        Unplanned => "unplanned",
    }
}

impl From<plan::Kind> for StatementKind {
    fn from(kind: plan::Kind) -> Self {
        match kind {
            plan::Kind::Single => StatementKind::Single,
            plan::Kind::Home => StatementKind::Home,
            plan::Kind::OneShard => StatementKind::OneShard,
            plan::Kind::FanOut => StatementKind::FanOut,
            plan::Kind::Merge => StatementKind::Merge,
            plan::Kind::Split => StatementKind::Split,
            plan::Kind::Everywhere => StatementKind::Everywhere,
        }
    }
}

/// Whether a statement of a kind runs on one shard that can be named.
pub(crate) fn names_a_shard(kind: StatementKind) -> bool {
    match kind {
        StatementKind::Single | StatementKind::Home | StatementKind::OneShard => true,
        StatementKind::FanOut
        | StatementKind::Merge
        | StatementKind::Split
        | StatementKind::Everywhere
        | StatementKind::Local
        | StatementKind::Unplanned => false,
    }
}

closed! {
    /// Where a statement's time went, the label `phase`.
    Phase {
        /// In the proxy: reading, planning, merging, writing to the client.
        Proxy => "proxy",
        /// Waiting for a backend of a pool.
        Queue => "queue",
        /// While a backend was occupied; of several at once, the longest.
        Backend => "backend",
    }
}

closed! {
    /// What a rate is averaged over, the label `window`.
    Window {
        /// 10 s
        TenSeconds => "10s",
        /// 1 m
        Minute => "1m",
        /// 5 m
        FiveMinutes => "5m",
        /// 1 h
        Hour => "1h",
    }
}

closed! {
    /// How a statement ended, the label `outcome`.
    Outcome {
        /// Completed.
        Done => "done",
        /// Ended with an error of a shard or of the proxy.
        Failed => "failed",
        /// Refused by the planner or by a rule of sessions.
        Refused => "refused",
        /// Ended by a cancel request or a timeout.
        Cancelled => "cancelled",
    }
}

closed! {
    /// Whether the plan cache knew the statement's shape.
    CacheUse {
        /// Known: no parse.
        Hit => "hit",
        /// Not known: parsed and planned.
        Miss => "miss",
        /// Not looked up (answered locally, or past the cache on purpose).
        Bypass => "bypass",
    }
}

closed! {
    /// Who made an error.
    ErrorOrigin {
        /// Passed on from a shard.
        Shard => "shard",
        /// Made by the proxy.
        Proxy => "proxy",
    }
}

closed! {
    /// Which way bytes went between the proxy and a shard.
    Direction {
        /// What clients sent.
        ToShard => "to_shard",
        /// What shards answered.
        FromShard => "from_shard",
    }
}

closed! {
    /// What a pooled backend is doing.
    BackendState {
        /// In the pool, known clean.
        Idle => "idle",
        /// Working for a session, or being opened for one.
        Busy => "busy",
        /// Staying with a session whose state can't be replayed; counted apart.
        Pinned => "pinned",
    }
}

closed! {
    /// What a session is doing.
    ClientState {
        /// Starting up or authenticating.
        Login => "login",
        /// Waiting for its client, outside a transaction.
        Idle => "idle",
        /// Running a statement.
        Active => "active",
        /// Waiting for its client, inside a transaction.
        IdleInTransaction => "idle_in_transaction",
        /// Waiting for a backend of a pool.
        Waiting => "waiting",
        /// Held back by PAUSE.
        Paused => "paused",
    }
}

closed! {
    /// How a client's attempt to log in ended.
    LoginOutcome {
        /// In.
        Accepted => "accepted",
        /// Wrong password, unknown user or unknown database.
        Rejected => "rejected",
        /// `limits.clients` was reached.
        Limit => "limit",
        /// Broke off, sent garbage or took longer than `limits.login_timeout`.
        Broken => "broken",
    }
}

closed! {
    /// What became of a cancel request.
    CancelOutcome {
        /// Passed to the session that holds the key.
        Delivered => "delivered",
        /// No session holds the key.
        UnknownKey => "unknown_key",
        /// The key was given out by another proxy.
        OtherProxy => "other_proxy",
    }
}

closed! {
    /// How a reload of the configuration ended.
    ReloadOutcome {
        /// The new configuration is in force.
        Applied => "applied",
        /// The old configuration stays in force.
        Rejected => "rejected",
    }
}

/// SQLSTATE classes that errors fall into (Postgres 15 `errcodes.txt`, without success, warning and no-data); the last
/// stands for any other.
pub(crate) const ERROR_CLASSES: &[&str] = &[
    "03", "08", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24", "25", "26", "27", "28", "2B",
    "2D", "2F", "34", "38", "39", "3B", "3D", "3F", "40", "42", "44", "53", "54", "55", "57", "58", "F0", "HV", "P0",
    "XX", "other",
];

/// Where a SQLSTATE's class stands in [`ERROR_CLASSES`]; the last place when it is none of them.
pub(crate) fn error_class(sqlstate: &str) -> usize {
    let other = ERROR_CLASSES.len() - 1;
    let Some(class) = sqlstate.get(..2) else { return other };
    ERROR_CLASSES.iter().position(|known| *known == class).unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_found_by_the_first_two_characters_of_a_sqlstate() {
        assert_eq!(ERROR_CLASSES[error_class("42P01")], "42");
        assert_eq!(ERROR_CLASSES[error_class("XX000")], "XX");
        assert_eq!(ERROR_CLASSES[error_class("99999")], "other");
        assert_eq!(ERROR_CLASSES[error_class("")], "other");
        assert_eq!(ERROR_CLASSES[error_class("é")], "other");
    }

    #[test]
    fn an_index_is_the_position_in_the_list() {
        for (position, kind) in StatementKind::ALL.iter().enumerate() {
            assert_eq!(kind.index(), position);
            assert_eq!(StatementKind::from_index(position), Some(*kind));
        }
    }
}
