//! Statements worth trying, which the demo prints. `tests/demo.rs` runs each.

/// What it shows, and the statement, line by line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Suggestion {
    pub(super) shows: &'static str,
    pub(super) sql: &'static [&'static str],
}

/// Those that make sense with so many shards: a single one takes whatever Postgres takes, and refuses nothing.
pub(super) fn for_shards(shards: usize) -> impl Iterator<Item = Suggestion> {
    let refused = usize::from(shards == 1);
    SUGGESTIONS.into_iter().take(SUGGESTIONS.len().saturating_sub(refused))
}

const SUGGESTIONS: [Suggestion; 6] = [
    Suggestion {
        shows: "one user's orders: one shard answers",
        sql: &["SELECT id, instrument, quantity FROM orders WHERE user_id = 42 ORDER BY id;"],
    },
    Suggestion {
        shows: "the newest orders of all: merged from every shard",
        sql: &["SELECT id, placed_at FROM orders ORDER BY placed_at DESC, id LIMIT 5;"],
    },
    Suggestion {
        shows: "the busiest instruments: counted on every shard",
        sql: &["SELECT instrument, count(*) FROM trades GROUP BY 1 ORDER BY 2 DESC LIMIT 5;"],
    },
    Suggestion {
        shows: "from one shard's user to another's: both happen, or neither",
        sql: &[
            "BEGIN; UPDATE users SET balance = balance - 10 WHERE id = 7;",
            "UPDATE users SET balance = balance + 10 WHERE id = 42; COMMIT;",
        ],
    },
    Suggestion {
        shows: "one INSERT, and each of its rows on the shard of its key",
        sql: &[
            "INSERT INTO events (at, id, user_id, kind) VALUES",
            "('2026-02-01 08:00Z', 0, 42, 'login'), ('2026-08-01 08:00Z', 0, 42, 'quote')",
            "ON CONFLICT DO NOTHING;",
        ],
    },
    Suggestion {
        shows: "not in this version: refused with a reason and a way out",
        sql: &["UPDATE users SET balance = balance + 1;"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::table::WIDTH;

    #[test]
    fn each_fits_a_line_of_the_screen() {
        for suggestion in SUGGESTIONS {
            for line in suggestion.sql {
                assert!(line.len() + 2 <= WIDTH, "{line}");
            }
            assert!(suggestion.shows.len() + 5 <= WIDTH, "{}", suggestion.shows);
        }
    }
}
