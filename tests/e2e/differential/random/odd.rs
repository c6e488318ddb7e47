//! Statements over the world `awkward`: keys of every type in every form, and values that compare in odd ways.
//!
//! Why beside the grammar: there the joins are many and the values plain; here it is the other way round.

use super::dice::Dice;
use super::piece::{Ordered, Piece, fill, maybe, nothing, over, text};
use super::values::Constants;

/// A table `(k, v)`, the values that constants are chosen from, and types that they may be cast to.
struct Keyed {
    name: &'static str,
    values: &'static [&'static str],
    types: &'static [&'static str],
    /// where a constant may stand without quotes
    is_number: bool,
}

const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "-1",
    "5",
    "7",
    "10",
    "20",
    "19",
    "32767",
    "-32768",
    "2147483647",
    "1.5",
    "0.25",
    "-0.5",
    "1e1",
    "NaN",
    "9999999999.99",
    "1.50",
    "9007199254740993",
    "+3",
];
const NUMBER_TYPES: [&str; 8] = [
    "smallint",
    "int",
    "bigint",
    "numeric",
    "float8",
    "real",
    "numeric(4,1)",
    "text",
];
const WORDS: [&str; 21] = [
    "", " ", "a", "A", "ä", "b", "ss", "ß", "1", "10", "a b", "a ", "abc", "abc ", "ABC", "äöü", "x", "İ", "é", "c",
    "a''b",
];
const WORD_TYPES: [&str; 8] = [
    "text",
    "varchar",
    "varchar(3)",
    "char(6)",
    "bpchar",
    "name",
    "char",
    "\"char\"",
];
const MOMENTS: [&str; 14] = [
    "2026-03-20 07:00:00+00",
    "2026-03-20 14:00:00",
    "2026-03-20T21:00:00Z",
    "2026-03-21",
    "infinity",
    "-infinity",
    "0001-01-01 00:00:00+00",
    "2000-01-01 01:00:00+01",
    "20260321T040000Z",
    "2026-03-21 04:00:00.0000001+00",
    "Mar 21 2026 04:00",
    "epoch",
    "2026-02-29",
    "2026-03-01",
];
const MOMENT_TYPES: [&str; 5] = ["timestamptz", "timestamp", "date", "timestamptz(0)", "text"];
const UUIDS: [&str; 6] = [
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "c4ca4238-a0b9-2382-0dcc-509a6f75849b",
    "{C4CA4238A0B923820DCC509A6F75849B}",
    "c81e728d9d4c2f636f067f89cc14862c",
    "eccb-c87e-4b5c-e2fe-2830-8fd9-f2a7-baf3",
];

const KEYED: [Keyed; 13] = [
    numbers("k_small"),
    numbers("k_int"),
    numbers("k_numeric"),
    numbers("r_int"),
    numbers("r_numeric"),
    words("k_text"),
    words("k_varchar"),
    words("k_bpchar"),
    words("c_text"),
    moments("k_ts"),
    moments("k_wall"),
    moments("k_date"),
    Keyed {
        name: "k_uuid",
        values: &UUIDS,
        types: &["uuid", "text"],
        is_number: false,
    },
];

const fn numbers(name: &'static str) -> Keyed {
    Keyed {
        name,
        values: &NUMBERS,
        types: &NUMBER_TYPES,
        is_number: true,
    }
}

const fn words(name: &'static str) -> Keyed {
    Keyed {
        name,
        values: &WORDS,
        types: &WORD_TYPES,
        is_number: false,
    }
}

const fn moments(name: &'static str) -> Keyed {
    Keyed {
        name,
        values: &MOMENTS,
        types: &MOMENT_TYPES,
        is_number: false,
    }
}

/// Columns of `vals` whose equal values look equal.
const GROUPED: [&str; 20] = [
    "i8", "i4", "i2", "t", "tc", "vc", "bp", "nm", "bo", "d", "ts", "tz", "ti", "u", "m", "po", "b", "ip", "n2", "mo",
];
const SUMMED: [&str; 6] = ["i8", "i4", "i2", "n", "n2", "po"];
const ALL: [&str; 32] = [
    "f8", "f4", "n", "n2", "i8", "i4", "i2", "t", "tc", "vc", "bp", "nm", "b", "bo", "d", "ts", "tz", "ti", "iv", "j",
    "jb", "a", "ta", "r", "ip", "u", "m", "po", "mo", "bi", "id", "p",
];
const SORTED: [&str; 16] = [
    "f8", "f4", "n", "n2", "i8", "i4", "i2", "tc", "bo", "d", "ts", "tz", "u", "id", "b", "ti",
];

/// A read.
pub(super) fn read(dice: &mut Dice, constants: Constants) -> (Piece, &'static str) {
    match dice.below(5) {
        0 | 1 => (values(dice), "odd values"),
        _ => (keys(dice, constants), "odd keys"),
    }
}

/// A write, and the table that it changes.
pub(super) fn write(dice: &mut Dice, constants: Constants) -> (Piece, &'static str) {
    let table = &KEYED[dice.below(KEYED.len())];
    let name = table.name;
    let piece = match dice.below(5) {
        0 | 1 => {
            let rows = 1 + dice.below(3);
            let row = |dice: &mut Dice| fill("({}, 'new')", [constant(dice, table, constants)]);
            let rows = (0..rows).map(|_| row(dice)).collect();
            let conflict = match (dice.below(4), name) {
                (0, _) => text(" ON CONFLICT DO NOTHING"),
                (1, name) if name != "c_text" => text(" ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v"),
                _ => nothing(),
            };
            let returning = if dice.one_in(2) { " RETURNING k, v" } else { "" };
            fill(
                &format!("INSERT INTO {name} (k, v) VALUES {{}}{{}}{returning}"),
                [Piece::List(", ", 1, rows), maybe(conflict)],
            )
        }
        2 | 3 => {
            let condition = condition(dice, table, "k", constants);
            let returning = if dice.one_in(2) { " RETURNING *" } else { "" };
            fill(
                &format!("UPDATE {name} SET v = 'changed ' || k::text WHERE {{}}{returning}"),
                [condition],
            )
        }
        _ => {
            let condition = condition(dice, table, "k", constants);
            fill(&format!("DELETE FROM {name} WHERE {{}} RETURNING v"), [condition])
        }
    };
    (piece, name)
}

fn constant(dice: &mut Dice, table: &Keyed, constants: Constants) -> Piece {
    if dice.one_in(20) {
        return text("NULL");
    }
    let values = [dice.pick(table.values), dice.pick(table.values)];
    if constants == Constants::Bound && dice.one_in(2) {
        let types: &[&'static str] = match table.name {
            "k_uuid" => &["unknown", "uuid", "text"],
            "k_ts" | "k_wall" | "k_date" => &["unknown", "timestamptz", "timestamp", "date"],
            _ if table.is_number => &["unknown", "int8", "int4", "int2", "numeric", "float8"],
            _ => &["unknown", "text", "varchar", "bpchar"],
        };
        let values = values.map(|value| Some(value.replace("''", "'")));
        return Piece::Parameter(values, types[dice.below(types.len())]);
    }
    let form = dice.below(8);
    let kind = dice.pick(table.types);
    let written = |value: &str| match form {
        0..=2 if table.is_number && value != "NaN" => value.to_owned(),
        3 => format!("'{value}'::{kind}"),
        4 => format!("CAST('{value}' AS {kind})"),
        5 if table.types.len() > 2 && !table.is_number && kind.chars().all(|c| c.is_ascii_lowercase()) => {
            format!("{kind} '{value}'")
        }
        6 if table.is_number && value != "NaN" => format!("({value})::{kind}"),
        7 => format!("E'{value}'"),
        _ => format!("'{value}'"),
    };
    Piece::Literal(values.map(written))
}

fn condition(dice: &mut Dice, table: &Keyed, key: &str, constants: Constants) -> Piece {
    let side = match dice.below(12) {
        0 => format!("{key}::{}", dice.pick(table.types)),
        1 if table.is_number => format!("{key} + 0"),
        2 if table.types == WORD_TYPES => {
            format!("{key} COLLATE {}", dice.pick(&["\"C\"", "\"de-x-icu\"", "\"POSIX\""]))
        }
        3 => format!("({key})"),
        _ => key.to_owned(),
    };
    let mut one = || constant(dice, table, constants);
    let (a, b, c) = (one(), one(), one());
    match dice.below(16) {
        0..=4 => fill(&format!("{side} = {{}}"), [a]),
        5 => fill(&format!("{{}} = {side}"), [a]),
        6 => fill(&format!("{side} IN ({{}})"), [Piece::List(", ", 1, vec![a, b, c])]),
        7 => fill(
            &format!("{side} = ANY (ARRAY[{{}}])"),
            [Piece::List(", ", 1, vec![a, b])],
        ),
        8 => fill(&format!("{side} BETWEEN {{}} AND {{}}"), [a, b]),
        9 => fill(&format!("{side} {} {{}}", dice.pick(&["<", "<=", ">", ">="])), [a]),
        10 => over(
            "({} OR {})",
            [
                fill(&format!("{side} = {{}}"), [a]),
                fill(&format!("{key} = {{}}"), [b]),
            ],
        ),
        11 => over(
            "{} AND {}",
            [
                fill(&format!("{side} >= {{}}"), [a]),
                fill(&format!("{key} < {{}}"), [b]),
            ],
        ),
        12 => fill(&format!("{side} IS NOT DISTINCT FROM {{}}"), [a]),
        13 => fill(&format!("{side} IN (VALUES ({{}}), ({{}}))"), [a, b]),
        14 => fill(
            &format!("({side}, v) {} ({{}}, 'v3')", dice.pick(&["=", "<", ">="])),
            [a],
        ),
        _ => fill(&format!("NOT ({side} <> {{}})"), [a]),
    }
}

/// Reads by key.
fn keys(dice: &mut Dice, constants: Constants) -> Piece {
    let table = &KEYED[dice.below(KEYED.len())];
    let name = table.name;
    if dice.one_in(4) {
        // Two tables, by their keys: of one keyspace or not.
        let same: Vec<&Keyed> = KEYED.iter().filter(|other| other.types == table.types).collect();
        let other = if dice.percent(70) {
            table
        } else {
            same[dice.below(same.len())]
        };
        let condition = condition(dice, table, "a.k", constants);
        let condition = match condition.written(0).sql.contains(", v)") {
            true => text("a.k IS NOT NULL"),
            false => condition,
        };
        let how = dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
        let cast = match dice.one_in(5) {
            true => format!("::{}", dice.pick(table.types)),
            false => String::new(),
        };
        return fill(
            &format!(
                "SELECT a.k, b.k, a.v FROM {name} a {how} {} b ON a.k{cast} = b.k{{}}",
                other.name
            ),
            [maybe(fill(" WHERE {}", [condition]))],
        );
    }
    let condition = condition(dice, table, "k", constants);
    let filter = maybe(fill(" WHERE {}", [condition]));
    let collate = if table.types == WORD_TYPES {
        " COLLATE \"C\""
    } else {
        ""
    };
    match dice.below(5) {
        0 => fill(
            &format!("SELECT count(*), min(k{collate}), max(v COLLATE \"C\") FROM {name}{{}}"),
            [filter],
        ),
        1 => {
            let direction = dice.pick(&["", " DESC", " NULLS FIRST"]);
            // Equal under "C" are only equal strings; v tells them apart.
            let order = format!(" ORDER BY k{collate}{direction}, v COLLATE \"C\"");
            let limit = if dice.one_in(2) {
                maybe(Piece::Limit(Box::new(text(" LIMIT 4 OFFSET 1"))))
            } else {
                nothing()
            };
            let order = maybe(Piece::Order(Ordered::Total, Box::new(text(order))));
            fill(&format!("SELECT k, v FROM {name}{{}}{{}}{{}}"), [filter, order, limit])
        }
        2 => fill(&format!("SELECT DISTINCT k FROM {name}{{}}"), [filter]),
        3 => fill(&format!("SELECT k, count(*) FROM {name}{{}} GROUP BY k"), [filter]),
        _ => fill(&format!("SELECT * FROM {name}{{}}"), [filter]),
    }
}

/// Reads of values of every type.
fn values(dice: &mut Dice) -> Piece {
    let filter = match dice.below(4) {
        0 => maybe(fill(
            " WHERE id {} {}",
            [
                text(dice.pick(&["<", "=", ">"])),
                Piece::Literal(["9".into(), "23".into()]),
            ],
        )),
        1 => maybe(text(format!(" WHERE {} IS NOT NULL", dice.pick(&ALL)))),
        2 => maybe(text(format!(
            " WHERE {} > {}",
            dice.pick(&["n", "f8", "i4", "n2"]),
            dice.pick(&["0", "1", "'NaN'", "-5"])
        ))),
        _ => nothing(),
    };
    match dice.below(5) {
        0 => {
            let count = 1 + dice.below(4);
            let list = (0..count).map(|_| text(dice.pick(&ALL))).collect();
            let sort = dice.pick(&SORTED);
            let how = dice.pick(&["", " DESC", " NULLS FIRST", " DESC NULLS LAST"]);
            let order = Piece::Order(Ordered::Total, Box::new(text(format!(" ORDER BY {sort}{how}, id"))));
            let limit = if dice.one_in(2) {
                maybe(Piece::Limit(Box::new(text(" LIMIT 7"))))
            } else {
                nothing()
            };
            fill(
                "SELECT {} FROM vals{}{}{}",
                [Piece::List(", ", 1, list), filter, maybe(order), limit],
            )
        }
        1 => {
            let count = 1 + dice.below(2);
            let list = (0..count).map(|_| text(dice.pick(&GROUPED))).collect();
            fill("SELECT DISTINCT {} FROM vals{}", [Piece::List(", ", 1, list), filter])
        }
        2 | 3 => {
            let key = dice.pick(&GROUPED);
            let list = aggregates(dice);
            let having = match dice.one_in(3) {
                true => maybe(text(format!(
                    " HAVING {}({}) > {}",
                    dice.pick(&["sum", "avg", "count"]),
                    dice.pick(&SUMMED),
                    dice.pick(&["0", "2", "'NaN'"])
                ))),
                false => nothing(),
            };
            fill(
                &format!("SELECT {key}, {{}} FROM vals{{}} GROUP BY {key}{{}}"),
                [list, filter, having],
            )
        }
        _ => fill("SELECT {} FROM vals{}", [aggregates(dice), filter]),
    }
}

fn aggregates(dice: &mut Dice) -> Piece {
    let count = 1 + dice.below(3);
    let one = |dice: &mut Dice| {
        let column = dice.pick(&SUMMED);
        text(match dice.below(9) {
            0 => format!("sum({column})"),
            1 => format!("avg({column})"),
            2 => format!("sum({column}) FILTER (WHERE id % 2 = 0)"),
            3 => format!(
                "min({})",
                dice.pick(&["i8", "i4", "i2", "tc", "d", "ts", "tz", "n2", "m", "u", "ti", "bp"])
            ),
            4 => format!(
                "max({})",
                dice.pick(&["i8", "i4", "i2", "tc", "d", "ts", "tz", "n2", "m", "nm", "mo", "vc"])
            ),
            5 => format!("count({})", dice.pick(&ALL)),
            6 => format!(
                "{}({})",
                dice.pick(&["bit_and", "bit_or"]),
                dice.pick(&["i8", "i4", "i2", "bi"])
            ),
            7 => format!("{}(bo)", dice.pick(&["bool_and", "bool_or", "every"])),
            _ => format!("round(avg({column}), 3) + sum({column})"),
        })
    };
    Piece::List(", ", 1, (0..count).map(|_| one(dice)).collect())
}
