//! The table of metrics: for each its name, shape, unit, help and labels.
//!
//! Why one table: storage, registration with Prometheus and `docs/metrics.md` are made from it. To add a metric, add an
//! [`Id`] and a row here, and call for it in `record.rs`.
//! Holds: a row stands at the place of its [`Id`]; names are `shardgate_<noun>_<unit>`, counters end in `_total`.

use super::labels::{
    BackendState, CacheUse, CancelOutcome, ClientState, Direction, ERROR_CLASSES, ErrorOrigin, LoginOutcome, Outcome,
    Phase, Recovered, ReloadOutcome, StatementKind, TransactionOutcome, Window,
};
use crate::topology::SHARDS_MAX;

/// What kind of number a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Only goes up; starts at zero with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution over fixed bounds.
    Histogram,
}

/// What a metric's number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds; kept in nanoseconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// A share of a whole; kept in millionths.
    Ratio,
}

impl Unit {
    /// What a kept integer is divided by to give the unit (division rounds right: 60e9 / 1e9 is 60).
    pub(crate) fn divisor(self) -> f64 {
        match self {
            Unit::Seconds => 1e9,
            Unit::Ratio => RATIO_ONE,
            Unit::Bytes | Unit::Count => 1.0,
        }
    }
}

/// What a kept integer of a ratio of 1 is.
pub(crate) const RATIO_ONE: f64 = 1e6;

/// Buckets that are shown by name: the busiest; the others are one together.
pub(crate) const TOP_BUCKETS: usize = 50;

/// Where a label's values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of a closed list.
    Closed(&'static [&'static str]),
    /// Names of the topology's shards; `*` for several shards or none.
    Shards,
    /// Ids of refusals (`docs/unsupported.md`).
    Constructs,
    /// The buckets that are busiest now, `other` for all others.
    TopBuckets,
    /// The version of this build.
    Version,
}

impl Values {
    /// How many cells this label takes.
    pub(crate) fn width(self, constructs: usize) -> usize {
        match self {
            Values::Closed(list) => list.len(),
            Values::Shards => SHARDS_MAX + 1,
            Values::Constructs => constructs + 1,
            Values::TopBuckets => TOP_BUCKETS + 1,
            Values::Version => 1,
        }
    }
}

/// Place of "several shards or none" among a shard label's cells.
pub(crate) const NO_SHARD: usize = SHARDS_MAX;

/// A label: its name and where its values come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// as Prometheus sees it
    pub name: &'static str,
    /// closed enum or configuration
    pub values: Values,
}

/// One metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// its place
    pub(crate) id: Id,
    /// `shardgate_…`
    pub name: &'static str,
    /// counter, gauge or histogram
    pub shape: Shape,
    /// what is counted
    pub unit: Unit,
    /// one sentence, for the HELP line and the docs
    pub help: &'static str,
    /// in the order of the cells
    pub labels: &'static [Label],
}

/// Places in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Id {
    BuildInfo,
    Uptime,
    Epoch,
    Paused,
    Reloads,
    Clients,
    ClientsMax,
    Logins,
    Cancels,
    Statements,
    StatementSeconds,
    StatementPhaseSeconds,
    StatementRows,
    RelayBytes,
    PlanCacheLookups,
    Refusals,
    Errors,
    ShardUp,
    PoolBackends,
    PoolBackendsMax,
    PoolPinnedMax,
    PoolWaiters,
    PoolCheckoutSeconds,
    Transactions,
    TransactionsRecovered,
    TransactionParts,
    ShardUtilisation,
    ShardUnattributed,
    BucketBusy,
    BucketSize,
}

/// Every metric, in the order of `docs/metrics.md`.
pub fn definitions() -> &'static [Definition] {
    TABLE
}

/// Upper bounds of every histogram, in nanoseconds: from the cost of the proxy alone to a report that runs for a minute.
pub(crate) const BOUNDS_NANOS: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
];

const PLAN: Label = Label {
    name: "plan",
    values: Values::Closed(StatementKind::LABELS),
};
const SHARD: Label = Label {
    name: "shard",
    values: Values::Shards,
};
const OUTCOME: Label = Label {
    name: "outcome",
    values: Values::Closed(Outcome::LABELS),
};

const WINDOW: Label = Label {
    name: "window",
    values: Values::Closed(Window::LABELS),
};
const BUCKET: Label = Label {
    name: "bucket",
    values: Values::TopBuckets,
};

const OUTCOME_OF_TRANSACTION: Label = Label {
    name: "outcome",
    values: Values::Closed(TransactionOutcome::LABELS),
};

const TABLE: &[Definition] = &[
    Definition {
        id: Id::BuildInfo,
        name: "shardgate_build_info",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Always 1; the label carries the version of this proxy.",
        labels: &[Label {
            name: "version",
            values: Values::Version,
        }],
    },
    Definition {
        id: Id::Uptime,
        name: "shardgate_uptime_seconds",
        shape: Shape::Gauge,
        unit: Unit::Seconds,
        help: "Time since this proxy started.",
        labels: &[],
    },
    Definition {
        id: Id::Epoch,
        name: "shardgate_topology_epoch",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Epoch of the topology that new statements are planned with; 0 before there is one.",
        labels: &[],
    },
    Definition {
        id: Id::Paused,
        name: "shardgate_paused",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1 while PAUSE holds new statements back, else 0.",
        labels: &[],
    },
    Definition {
        id: Id::Reloads,
        name: "shardgate_reloads_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Reloads of the configuration, by whether the new one was applied.",
        labels: &[Label {
            name: "outcome",
            values: Values::Closed(ReloadOutcome::LABELS),
        }],
    },
    Definition {
        id: Id::Clients,
        name: "shardgate_clients",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Clients that are connected, by what their session is doing.",
        labels: &[Label {
            name: "state",
            values: Values::Closed(ClientState::LABELS),
        }],
    },
    Definition {
        id: Id::ClientsMax,
        name: "shardgate_clients_max",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "How many clients may be connected at once (limits.clients).",
        labels: &[],
    },
    Definition {
        id: Id::Logins,
        name: "shardgate_logins_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Attempts of clients to log in, by how they ended.",
        labels: &[Label {
            name: "outcome",
            values: Values::Closed(LoginOutcome::LABELS),
        }],
    },
    Definition {
        id: Id::Cancels,
        name: "shardgate_cancels_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Cancel requests of clients, by what became of them.",
        labels: &[Label {
            name: "outcome",
            values: Values::Closed(CancelOutcome::LABELS),
        }],
    },
    Definition {
        id: Id::Statements,
        name: "shardgate_statements_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Statements that ended, by plan kind, shard (* for several or none) and outcome.",
        labels: &[PLAN, SHARD, OUTCOME],
    },
    Definition {
        id: Id::StatementSeconds,
        name: "shardgate_statement_seconds",
        shape: Shape::Histogram,
        unit: Unit::Seconds,
        help: "Time from a statement's arrival to the last byte of its answer, whatever its outcome.",
        labels: &[PLAN, SHARD],
    },
    Definition {
        id: Id::StatementPhaseSeconds,
        name: "shardgate_statement_phase_seconds",
        shape: Shape::Histogram,
        unit: Unit::Seconds,
        help: "Where the time of statements went: in the proxy, waiting for a backend, while a backend was occupied.",
        labels: &[
            PLAN,
            Label {
                name: "phase",
                values: Values::Closed(Phase::LABELS),
            },
        ],
    },
    Definition {
        id: Id::StatementRows,
        name: "shardgate_statement_rows_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Rows returned or changed, as command tags count them.",
        labels: &[PLAN, SHARD],
    },
    Definition {
        id: Id::RelayBytes,
        name: "shardgate_relay_bytes_total",
        shape: Shape::Counter,
        unit: Unit::Bytes,
        help: "Bytes relayed between clients and shards, by shard (* for several) and direction.",
        labels: &[
            SHARD,
            Label {
                name: "direction",
                values: Values::Closed(Direction::LABELS),
            },
        ],
    },
    Definition {
        id: Id::PlanCacheLookups,
        name: "shardgate_plan_cache_lookups_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Statements by whether the plan cache knew their shape.",
        labels: &[Label {
            name: "result",
            values: Values::Closed(CacheUse::LABELS),
        }],
    },
    Definition {
        id: Id::Refusals,
        name: "shardgate_refusals_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Statements refused because exact execution could not be proven, by construct.",
        labels: &[Label {
            name: "construct",
            values: Values::Constructs,
        }],
    },
    Definition {
        id: Id::Errors,
        name: "shardgate_errors_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Errors sent to clients, by SQLSTATE class and by who made them.",
        labels: &[
            Label {
                name: "class",
                values: Values::Closed(ERROR_CLASSES),
            },
            Label {
                name: "origin",
                values: Values::Closed(ErrorOrigin::LABELS),
            },
        ],
    },
    Definition {
        id: Id::ShardUp,
        name: "shardgate_shard_up",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "1 while the shard answers, else 0.",
        labels: &[SHARD],
    },
    Definition {
        id: Id::PoolBackends,
        name: "shardgate_pool_backends",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Backends that the pool of a shard has, by state.",
        labels: &[
            SHARD,
            Label {
                name: "state",
                values: Values::Closed(BackendState::LABELS),
            },
        ],
    },
    Definition {
        id: Id::PoolBackendsMax,
        name: "shardgate_pool_backends_max",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "How many backends the pool of a shard may have, pinned ones left out (pool.size).",
        labels: &[SHARD],
    },
    Definition {
        id: Id::PoolPinnedMax,
        name: "shardgate_pool_pinned_max",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "How many backends of a shard may be pinned to sessions (pool.pinned).",
        labels: &[SHARD],
    },
    Definition {
        id: Id::PoolWaiters,
        name: "shardgate_pool_waiters",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Sessions that wait for a backend of a shard.",
        labels: &[SHARD],
    },
    Definition {
        id: Id::PoolCheckoutSeconds,
        name: "shardgate_pool_checkout_seconds",
        shape: Shape::Histogram,
        unit: Unit::Seconds,
        help: "Time that sessions waited for a backend of a shard.",
        labels: &[SHARD],
    },
    Definition {
        id: Id::Transactions,
        name: "shardgate_transactions_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Transactions that wrote on several shards, by how their commit ended.",
        labels: &[OUTCOME_OF_TRANSACTION],
    },
    Definition {
        id: Id::TransactionsRecovered,
        name: "shardgate_transactions_recovered_total",
        shape: Shape::Counter,
        unit: Unit::Count,
        help: "Prepared parts of transactions that recovery finished in their committer's place, by what it did.",
        labels: &[Label {
            name: "outcome",
            values: Values::Closed(Recovered::LABELS),
        }],
    },
    Definition {
        id: Id::TransactionParts,
        name: "shardgate_transaction_prepared_parts",
        shape: Shape::Gauge,
        unit: Unit::Count,
        help: "Prepared parts of transactions over several shards that a shard holds now.",
        labels: &[SHARD],
    },
    Definition {
        id: Id::ShardUtilisation,
        name: "shardgate_shard_utilisation_ratio",
        shape: Shape::Gauge,
        unit: Unit::Ratio,
        help: "Busy seconds per second of a shard's backends over its capacity, all proxies together.",
        labels: &[SHARD, WINDOW],
    },
    Definition {
        id: Id::ShardUnattributed,
        name: "shardgate_shard_unattributed_ratio",
        shape: Shape::Gauge,
        unit: Unit::Ratio,
        help: "The part of a shard's utilisation that no bucket asked for: fan-outs, scans, other tables.",
        labels: &[SHARD, WINDOW],
    },
    Definition {
        id: Id::BucketBusy,
        name: "shardgate_bucket_busy_ratio",
        shape: Shape::Gauge,
        unit: Unit::Ratio,
        help: "Busy seconds per second of the busiest buckets over their shards' capacity, over a minute.",
        labels: &[BUCKET],
    },
    Definition {
        id: Id::BucketSize,
        name: "shardgate_bucket_size_bytes",
        shape: Shape::Gauge,
        unit: Unit::Bytes,
        help: "Estimated size of the busiest buckets' rows and indexes; 0 while not known.",
        labels: &[BUCKET],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_the_place_of_its_id() {
        for (place, row) in TABLE.iter().enumerate() {
            assert_eq!(row.id as usize, place, "{}", row.name);
        }
    }

    #[test]
    fn names_follow_the_conventions() {
        for row in TABLE {
            assert!(row.name.starts_with("shardgate_"), "{}", row.name);
            assert_eq!(
                row.name.ends_with("_total"),
                row.shape == Shape::Counter,
                "{}",
                row.name
            );
            assert!(row.help.ends_with('.'), "{}", row.name);
            let unit = match row.unit {
                Unit::Seconds => "_seconds",
                Unit::Bytes => "_bytes",
                Unit::Count => "",
                Unit::Ratio => "_ratio",
            };
            assert!(row.name.trim_end_matches("_total").ends_with(unit), "{}", row.name);
        }
    }
}
