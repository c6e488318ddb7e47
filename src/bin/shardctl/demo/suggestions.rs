//! Statements worth trying, which the demo prints. `tests/demo.rs` runs each.

/// What it shows, and the statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suggestion {
    pub(super) shows: &'static str,
    pub(super) sql: &'static str,
}

pub(super) const SUGGESTIONS: [Suggestion; 5] = [
    Suggestion {
        shows: "one user's orders: one shard answers",
        sql: "SELECT id, instrument, quantity FROM orders WHERE user_id = 42 ORDER BY id;",
    },
    Suggestion {
        shows: "the newest orders of all: merged from every shard",
        sql: "SELECT user_id, id, placed_at FROM orders ORDER BY placed_at DESC, id LIMIT 5;",
    },
    Suggestion {
        shows: "a market's turnover: grouped over every shard",
        sql: "SELECT instrument, count(*), sum(quantity) FROM trades GROUP BY 1 ORDER BY 2 DESC;",
    },
    Suggestion {
        shows: "where a statement goes, and why; it doesn't run",
        sql: "EXPLAIN (ROUTE) SELECT avg(price) FROM trades WHERE instrument = 'EURUSD';",
    },
    Suggestion {
        shows: "not in this version: refused with a reason and a way out",
        sql: "UPDATE users SET balance = balance + 1;",
    },
];
