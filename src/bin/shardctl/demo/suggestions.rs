//! Statements worth trying, which the demo prints. `tests/demo.rs` runs each.

/// What it shows, and the statement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suggestion {
    pub(super) shows: &'static str,
    pub(super) sql: &'static str,
}

/// Those that make sense with so many shards: a single one takes whatever Postgres takes, as it is, and knows no routes.
pub(super) fn for_shards(shards: usize) -> impl Iterator<Item = Suggestion> {
    SUGGESTIONS
        .into_iter()
        .take(if shards == 1 { 3 } else { SUGGESTIONS.len() })
}

const SUGGESTIONS: [Suggestion; 5] = [
    Suggestion {
        shows: "one user's orders: one shard answers",
        sql: "SELECT id, instrument, quantity FROM orders WHERE user_id = 42 ORDER BY id;",
    },
    Suggestion {
        shows: "the newest orders of all: merged from every shard",
        sql: "SELECT id, placed_at FROM orders ORDER BY placed_at DESC, id LIMIT 5;",
    },
    Suggestion {
        shows: "the busiest instruments: counted on every shard",
        sql: "SELECT instrument, count(*) FROM trades GROUP BY 1 ORDER BY 2 DESC LIMIT 5;",
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::table::WIDTH;

    #[test]
    fn each_fits_a_line_of_the_screen() {
        for suggestion in SUGGESTIONS {
            assert!(suggestion.sql.len() + 2 <= WIDTH, "{}", suggestion.sql);
            assert!(suggestion.shows.len() + 5 <= WIDTH, "{}", suggestion.shows);
        }
    }
}
