//! Random statements from a small grammar: whatever the planner lets through must be exact.
//!
//! The grammar makes good and bad joins, groupings, orders and subqueries alike; a refusal is always right, a wrong answer
//! never. The seed is fixed, so a failure repeats.

use crate::cases::Rows;

/// A reproducible source of choices (xorshift64*).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// A statement, and how its rows may be compared.
pub(crate) fn statement(dice: &mut Dice) -> (String, Rows) {
    let from = FROMS[dice.below(FROMS.len())];
    let mut sql = String::new();
    let (from_text, columns, unique) = from;
    let filter = match dice.below(3) {
        0 => String::new(),
        1 => format!(" WHERE {}", condition(dice, columns)),
        _ => format!(
            " WHERE {} {} {}",
            condition(dice, columns),
            dice.pick(&["AND", "OR", "AND NOT"]),
            condition(dice, columns)
        ),
    };
    let grouped = dice.one_in(3);
    let mut targets: Vec<String> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    if grouped {
        for _ in 0..dice.below(3) {
            keys.push(value(dice, columns));
        }
        targets.extend(keys.iter().filter(|_| true).cloned());
        for _ in 0..=dice.below(3) {
            targets.push(aggregate(dice, columns));
        }
    } else {
        for _ in 0..=dice.below(3) {
            targets.push(value(dice, columns));
        }
    }
    let distinct = dice.one_in(if grouped { 12 } else { 4 });
    let total = !grouped && !distinct && dice.one_in(2);
    let names: Vec<String> = targets
        .iter()
        .enumerate()
        .map(|(at, target)| format!("{target} AS c{at}"))
        .collect();
    sql.push_str(&format!(
        "SELECT {}{} FROM {from_text}{filter}",
        if distinct { "DISTINCT " } else { "" },
        names.join(", ")
    ));
    if grouped && !keys.is_empty() {
        let by = match dice.below(3) {
            0 => (1..=keys.len())
                .map(|ordinal| ordinal.to_string())
                .collect::<Vec<_>>()
                .join(", "),
            1 => (0..keys.len())
                .map(|at| format!("c{at}"))
                .collect::<Vec<_>>()
                .join(", "),
            _ => keys.join(", "),
        };
        sql.push_str(&format!(" GROUP BY {by}"));
    }
    if grouped && dice.one_in(3) {
        let numeric = dice
            .pick(&["count(*)", "sum(NUM)", "max(NUM)", "min(NUM)", "avg(NUM)"])
            .replace("NUM", columns[0]);
        let operator = dice.pick(&["=", "<>", "<", "<=", ">", ">="]);
        let bound = dice.pick(&["3", "0", "10.5", "-2", "100", "NULL"]);
        sql.push_str(&format!(" HAVING {numeric} {operator} {bound}"));
        if dice.one_in(3) {
            sql.push_str(&format!(
                " {} count({}) > 2",
                dice.pick(&["AND", "OR"]),
                dice.pick(columns)
            ));
        }
    }
    let mut rows = Rows::AnyOrder;
    if total || dice.one_in(3) {
        let mut order: Vec<String> = Vec::new();
        for _ in 0..=dice.below(2) {
            let by = match dice.below(3) {
                0 => (dice.below(targets.len()) + 1).to_string(),
                1 => format!("c{}", dice.below(targets.len())),
                _ if grouped => targets[dice.below(targets.len())].clone(),
                _ => value(dice, columns),
            };
            order.push(format!(
                "{by}{}{}",
                dice.pick(&["", " ASC", " DESC"]),
                dice.pick(&["", "", " NULLS FIRST", " NULLS LAST"])
            ));
        }
        if total {
            order.push(unique.to_string());
            rows = Rows::InOrder;
        }
        sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
    }
    if dice.one_in(3) {
        sql.push_str(&format!(" LIMIT {}", dice.below(20)));
        if dice.one_in(2) {
            sql.push_str(&format!(" OFFSET {}", dice.below(30)));
        }
        if rows == Rows::AnyOrder {
            rows = Rows::Count;
        }
    }
    (sql, rows)
}

/// FROM, its columns (numbers first), and what makes a row unique.
const FROMS: [(&str, &[&str], &str); 14] = [
    ("users", &USERS, "id"),
    ("users u", &USERS, "u.id"),
    ("orders o", &ORDERS, "o.user_id, o.id"),
    ("users u JOIN orders o ON o.user_id = u.id", &BOTH, "o.user_id, o.id"),
    (
        "users u JOIN orders o ON o.id = u.score",
        &BOTH,
        "u.id, o.user_id, o.id",
    ),
    ("users u LEFT JOIN orders o ON o.user_id = u.id", &BOTH, "u.id, o.id"),
    (
        "users u LEFT JOIN orders o ON o.user_id = u.id AND o.qty > 5",
        &BOTH,
        "u.id, o.id",
    ),
    (
        "orders o LEFT JOIN users u ON o.user_id = u.id AND u.score > 3",
        &BOTH,
        "o.user_id, o.id",
    ),
    ("users u, orders o", &BOTH, "u.id, o.user_id, o.id"),
    ("users u JOIN countries c ON c.code = u.country", &USERS, "u.id"),
    ("users u LEFT JOIN countries c ON c.code = u.country", &USERS, "u.id"),
    (
        "countries c LEFT JOIN users u ON c.code = u.country",
        &USERS,
        "u.id, c.code",
    ),
    ("(SELECT * FROM users WHERE score > 2) u", &USERS, "u.id"),
    (
        "(SELECT user_id AS id, count(*) AS score, sum(total) AS balance, min(qty) AS small, max(note) AS name FROM orders GROUP BY user_id) u",
        &SUMMED,
        "u.id",
    ),
];

const USERS: [&str; 14] = [
    "score", "balance", "small", "id", "big", "flag", "name", "plain", "born", "at", "country", "r", "tag", "code",
];
const ORDERS: [&str; 6] = ["total", "qty", "o.id", "o.user_id", "note", "placed"];
const BOTH: [&str; 10] = [
    "score",
    "total",
    "qty",
    "u.id",
    "o.user_id",
    "flag",
    "plain",
    "country",
    "note",
    "placed",
];
const SUMMED: [&str; 5] = ["score", "balance", "small", "u.id", "name"];

fn value(dice: &mut Dice, columns: &[&str]) -> String {
    let column = dice.pick(columns);
    let number = columns[dice.below(3)];
    match dice.below(8) {
        0 => format!("{number} + 1"),
        1 => format!("coalesce({number}, 0)"),
        2 => format!("{column} IS NULL"),
        3 => format!("CASE WHEN {number} > 3 THEN {number} END"),
        _ => column.to_string(),
    }
}

fn aggregate(dice: &mut Dice, columns: &[&str]) -> String {
    let column = dice.pick(columns);
    let number = columns[dice.below(3)];
    match dice.below(14) {
        0 | 1 => "count(*)".to_string(),
        2 => format!("count({column})"),
        3 => format!("sum({number})"),
        4 => format!("avg({number})"),
        5 => format!("min({column})"),
        6 => format!("max({column})"),
        7 => format!("count(DISTINCT {column})"),
        8 => format!("sum({number}) FILTER (WHERE {})", condition(dice, columns)),
        9 => format!("coalesce(sum({number}), 0)"),
        10 => format!("bool_or({number} > 5)"),
        11 => format!("avg({number} * 2) FILTER (WHERE {number} > 0)"),
        12 => format!("sum({number}) + count(*)"),
        _ => format!("max({number} - 3)"),
    }
}

fn condition(dice: &mut Dice, columns: &[&str]) -> String {
    let number = columns[dice.below(3)];
    let column = dice.pick(columns);
    let key = columns
        .iter()
        .find(|column| matches!(**column, "id" | "u.id" | "o.user_id"))
        .copied()
        .unwrap_or("id");
    match dice.below(11) {
        0 => format!("{number} > {}", dice.below(15)),
        1 => format!("{number} <= {}", dice.below(15)),
        2 => format!("{column} IS NOT NULL"),
        3 => format!("{key} % 3 = {}", dice.below(3)),
        4 => format!("{key} IN (SELECT user_id FROM orders WHERE qty > {})", dice.below(20)),
        5 => format!(
            "EXISTS (SELECT 1 FROM orders p WHERE p.user_id = {key} AND p.total > {})",
            dice.below(90)
        ),
        6 => format!("{number} IN (SELECT n FROM countries)"),
        7 => format!("{number} > (SELECT min(qty) FROM orders p WHERE p.user_id = {key})"),
        8 => format!("{number} > (SELECT avg(qty) FROM orders p)"),
        9 => format!(
            "{key} NOT IN (SELECT user_id FROM orders WHERE total > {})",
            dice.below(90)
        ),
        _ => format!("{key} BETWEEN {} AND {}", dice.below(50), 50 + dice.below(200)),
    }
}
