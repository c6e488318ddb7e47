//! Constants and expressions of a type over the columns in scope.

use super::dice::Dice;
use super::piece::{Piece, fill, maybe, over, text};
use super::tables::{Kind, Source};

/// How constants are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Constants {
    /// in the text
    Written,
    /// half of them as parameters
    Bound,
}

/// Makes statements, piece by piece.
#[derive(Debug)]
pub(super) struct Maker<'d> {
    pub(super) dice: &'d mut Dice,
    /// how constants are given
    pub(super) constants: Constants,
    /// CTEs that FROM may name
    pub(super) ctes: Vec<Source>,
    names: usize,
}

const INSTRUMENTS: [&str; 12] = [
    "EURUSD", "GBPUSD", "USDJPY", "USDTRY", "USDZAR", "AAPL", "MSFT", "SAP", "TSLA", "XAUUSD", "ZBRA", "NONE",
];
const COUNTRIES: [&str; 7] = ["DE", "FR", "GB", "JP", "US", "AQ", "XX"];
const WORDS: [&str; 18] = [
    "anna", "Anna", "Eve 3", "zoe 1", "bert", "rush", "Rush", "", "note 4", "login", "fill", "edge", "w1", "did 4",
    "fx_major", "equity", "Europe", "ö''z",
];
const STAMPS: [&str; 13] = [
    "2026-03-01 00:00:00+00",
    "2026-05-01 00:00:00+00",
    "2026-02-28 23:59:59.999999+00",
    "2026-01-16 17:00:00+00",
    "2026-01-17 22:00:00+00",
    "2026-04-10 06:00:00+02",
    "2026-02-15T12:00:00Z",
    "2026-06-02 10:00:00+00",
    "2026-01-01",
    "infinity",
    "-infinity",
    "2026-07-04 00:00:00+00",
    "2026-03-20 00:00:00-05:30",
];
const DATES: [&str; 5] = ["1960-06-05", "1970-01-01", "1975-05-17", "2000-02-29", "2026-03-01"];
const SIDES: [&str; 3] = ["buy", "sell", "short"];
const DOCUMENTS: [&str; 5] = [
    r#"{"n": 1}"#,
    r#"{"n": 2}"#,
    "{}",
    r#"{"age": 3, "langs": ["de", "l3"]}"#,
    "null",
];

impl<'d> Maker<'d> {
    /// For one case.
    pub(super) fn new(dice: &'d mut Dice, constants: Constants) -> Maker<'d> {
        Maker {
            dice,
            constants,
            ctes: Vec::new(),
            names: 0,
        }
    }

    /// A name that nothing has yet.
    pub(super) fn name(&mut self, like: &str) -> String {
        self.names += 1;
        format!("{}{}", &like[..1], self.names)
    }

    /// What a constant for this column may be, as text; `None`: NULL.
    fn constant(&mut self, kind: Kind, column: &str) -> Option<String> {
        if self.dice.one_in(25) {
            return None;
        }
        let dice = &mut *self.dice;
        Some(match kind {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => match (column, dice.below(12)) {
                (_, 0) => "0".to_owned(),
                (_, 1) => "-3".to_owned(),
                ("id", 2..8) => (1_001 + dice.below(200)).to_string(),
                ("amount", _) => (dice.below(60) * 1_000_000).to_string(),
                (_, 3..8) => dice.below(20).to_string(),
                _ => dice.below(95).to_string(),
            },
            Kind::Numeric => match dice.below(5) {
                0 => format!("{}", dice.below(100)),
                1 => format!("{}.25", dice.below(100)),
                2 => format!("{}.5", dice.below(9_000)),
                3 => format!("-{}.10", dice.below(10)),
                _ => format!("{}", dice.below(10_000)),
            },
            Kind::Float => match dice.below(8) {
                0 => "NaN".to_owned(),
                1 => "Infinity".to_owned(),
                _ => format!("{}.5", dice.below(9)),
            },
            Kind::Text if matches!(column, "instrument" | "symbol") => dice.pick(&INSTRUMENTS).to_owned(),
            Kind::Text => dice.pick(&WORDS).to_owned(),
            Kind::Char => dice.pick(&COUNTRIES).to_owned(),
            Kind::Bool => dice.pick(&["true", "false"]).to_owned(),
            Kind::Stamp => dice.pick(&STAMPS).to_owned(),
            Kind::Date => dice.pick(&DATES).to_owned(),
            Kind::Side => dice.pick(&SIDES).to_owned(),
            Kind::Json => dice.pick(&DOCUMENTS).to_owned(),
            Kind::Texts => dice.pick(&["{t1,x}", "{x}", "{}", "{t0,NULL}"]).to_owned(),
        })
    }

    /// A constant, in one of the forms that Postgres takes beside something of this type.
    pub(super) fn literal(&mut self, kind: Kind, column: &str) -> Piece {
        let values = [self.constant(kind, column), self.constant(kind, column)];
        if self.constants == Constants::Bound && self.dice.one_in(2) {
            let types: &[&'static str] = match kind {
                Kind::Int8 | Kind::Int4 | Kind::Int2 => &["int8", "int8", "int4", "int2", "unknown"],
                Kind::Numeric => &["numeric", "unknown"],
                Kind::Float => &["float8", "unknown"],
                Kind::Text => &["text", "varchar", "unknown"],
                Kind::Char => &["bpchar", "text", "unknown"],
                Kind::Bool => &["bool", "unknown"],
                Kind::Stamp => &["timestamptz", "unknown"],
                Kind::Date => &["date", "unknown"],
                Kind::Side => &["unknown"],
                Kind::Json => &["jsonb", "unknown"],
                Kind::Texts => &["text[]", "unknown"],
            };
            let declared = types[self.dice.below(types.len())];
            let unescaped = values.map(|value| value.map(|value| value.replace("''", "'")));
            // A value that the declared type doesn't take is Postgres's error, and no news.
            return Piece::Parameter(unescaped, declared);
        }
        let form = self.dice.below(9);
        let smallest = matches!(kind, Kind::Int2);
        let written = |value: Option<String>| {
            let Some(value) = value else {
                return if form < 3 {
                    "NULL".to_owned()
                } else {
                    format!("NULL::{}", kind.name())
                };
            };
            match (kind, form) {
                (Kind::Int8 | Kind::Int4 | Kind::Int2, 0) => format!("'{value}'"),
                (Kind::Int8 | Kind::Int4 | Kind::Int2, 1) if !smallest => format!("{value}::bigint"),
                (Kind::Int8 | Kind::Int4 | Kind::Int2, 2) => format!("'{value}'::int"),
                (Kind::Int8 | Kind::Int4 | Kind::Int2, 6) => format!("' {value} '"),
                (Kind::Int8 | Kind::Int4, 7) => format!("+{value}").replace("+-", "-"),
                (Kind::Int8 | Kind::Int4 | Kind::Int2 | Kind::Numeric, _) => value,
                (Kind::Bool, _) => value,
                (Kind::Float, _) if value.ends_with(".5") => value,
                (Kind::Stamp | Kind::Date | Kind::Json, 0..3) => format!("{} '{value}'", kind.name()),
                (Kind::Texts, 0..3) => format!("'{value}'::text[]"),
                (Kind::Text, 0) => format!("'{value}'::text"),
                (Kind::Text | Kind::Char, 6) => format!("E'{value}'"),
                (Kind::Text, 7) => format!("$q${}$q$", value.replace("''", "'")),
                (Kind::Text, 8) => format!("'{value}'::varchar"),
                _ => format!("'{value}'"),
            }
        };
        Piece::Literal(values.map(written))
    }

    /// A constant whose type shows.
    pub(super) fn typed(&mut self, kind: Kind, column: &str) -> Piece {
        let values = [self.constant(kind, column), self.constant(kind, column)];
        let written = |value: Option<String>| match value {
            None => format!("NULL::{}", kind.name()),
            Some(value) if kind.is_integer() || kind == Kind::Bool => value,
            Some(value) => format!("'{value}'::{}", kind.name()),
        };
        Piece::Literal(values.map(written))
    }

    /// A column of this type, if there is one: its full name, its name alone.
    pub(super) fn column(&mut self, kind: Kind, scope: &[Source]) -> Option<(Piece, String)> {
        let fits = |found: Kind| found == kind || (found.is_integer() && kind.is_integer());
        let mut found = Vec::new();
        for source in scope {
            for (name, kind) in &source.columns {
                if fits(*kind) {
                    found.push((source, name));
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        let (source, name) = found[self.dice.below(found.len())];
        let alone = scope
            .iter()
            .flat_map(|source| &source.columns)
            .filter(|(other, _)| other == name)
            .count()
            == 1;
        let full = text(source.name(name));
        let written = match alone && self.dice.one_in(3) {
            true => Piece::OneOf(vec![text(name.clone()), full]),
            false => full,
        };
        Some((written, name.clone()))
    }

    /// A type that something in scope has.
    pub(super) fn kind_in(&mut self, scope: &[Source]) -> Kind {
        let kinds: Vec<Kind> = scope
            .iter()
            .flat_map(|source| &source.columns)
            .map(|(_, kind)| *kind)
            .collect();
        match kinds.is_empty() {
            true => Kind::Int4,
            false => kinds[self.dice.below(kinds.len())],
        }
    }

    /// An expression of this type.
    pub(super) fn value(&mut self, kind: Kind, scope: &[Source], depth: usize) -> Piece {
        if depth == 0 || self.dice.percent(60) {
            return match self.column(kind, scope) {
                Some((column, _)) => column,
                None => self.typed(kind, ""),
            };
        }
        match self.dice.below(14) {
            0 => {
                let (value, otherwise) = (self.value(kind, scope, depth - 1), self.typed(kind, ""));
                return over("coalesce({}, {})", [value, otherwise]);
            }
            1 => {
                let condition = self.condition(scope, depth - 1);
                let (value, otherwise) = (self.value(kind, scope, depth - 1), self.value(kind, scope, depth - 1));
                let end = fill(" ELSE {}", [otherwise]);
                let written = fill("CASE WHEN {} THEN {}{} END", [condition, value.clone(), maybe(end)]);
                return Piece::OneOf(vec![written, value]);
            }
            2 => {
                let (value, other) = (self.value(kind, scope, depth - 1), self.typed(kind, ""));
                return over("nullif({}, {})", [value, other]);
            }
            3 if !matches!(kind, Kind::Json | Kind::Texts | Kind::Bool | Kind::Text | Kind::Char) => {
                let (value, other) = (self.value(kind, scope, depth - 1), self.value(kind, scope, depth - 1));
                let format = if self.dice.one_in(2) {
                    "greatest({}, {})"
                } else {
                    "least({}, {})"
                };
                return over(format, [value, other]);
            }
            _ => {}
        }
        self.computed(kind, scope, depth)
    }

    /// One made by functions and operators of the type.
    fn computed(&mut self, kind: Kind, scope: &[Source], depth: usize) -> Piece {
        let less = depth - 1;
        let of = |maker: &mut Self, kind: Kind| maker.value(kind, scope, less);
        match kind {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => match self.dice.below(10) {
                0 => over("{} + {}", [of(self, kind), of(self, Kind::Int4)]),
                1 => over("({} - {})", [of(self, kind), of(self, Kind::Int4)]),
                2 => fill("({} * 2)", [of(self, kind)]),
                3 => fill("{} % 7", [of(self, kind)]),
                4 => over("abs({})", [of(self, kind)]),
                5 => fill("length({})", [of(self, Kind::Text)]),
                6 => over("-{}", [of(self, kind)]),
                7 => fill("extract(day FROM {})::int", [of(self, Kind::Date)]),
                8 => fill("cardinality({})", [of(self, Kind::Texts)]),
                _ => over("{}::bigint", [of(self, kind)]),
            },
            Kind::Numeric => match self.dice.below(6) {
                0 => over("{} + {}", [of(self, kind), of(self, kind)]),
                1 => over("round({}, 1)", [of(self, kind)]),
                2 => over("({} * {})", [of(self, kind), of(self, Kind::Int4)]),
                3 => fill("{}::numeric", [of(self, Kind::Int8)]),
                4 => over("-{}", [of(self, kind)]),
                _ => over("{} / 4", [of(self, kind)]),
            },
            Kind::Float => match self.dice.below(3) {
                0 => over("{} * 2", [of(self, kind)]),
                1 => fill("{}::float8", [of(self, Kind::Int4)]),
                _ => over("floor({})", [of(self, kind)]),
            },
            Kind::Text | Kind::Char => match self.dice.below(10) {
                0 => over("upper({})", [of(self, Kind::Text)]),
                1 => over("lower({})", [of(self, Kind::Text)]),
                2 => over("{} || {}", [of(self, Kind::Text), of(self, Kind::Text)]),
                3 => over("left({}, 2)", [of(self, Kind::Text)]),
                4 => over("substr({}, 2, 3)", [of(self, Kind::Text)]),
                5 => fill("to_char({}, 'YYYY-MM')", [of(self, Kind::Stamp)]),
                6 => fill("{}::text", [of(self, Kind::Int8)]),
                7 => fill("concat({}, '/', {})", [of(self, Kind::Text), of(self, Kind::Int4)]),
                8 => fill("{}::text", [of(self, Kind::Side)]),
                _ => fill("({} ->> 'age')", [of(self, Kind::Json)]),
            },
            Kind::Bool => self.condition(scope, less),
            Kind::Stamp => match self.dice.below(3) {
                0 => over("{} + interval '1 day'", [of(self, kind)]),
                1 => over("date_trunc('month', {})", [of(self, kind)]),
                _ => fill("{}::timestamptz", [of(self, Kind::Date)]),
            },
            Kind::Date => match self.dice.below(3) {
                0 => over("{} + 1", [of(self, kind)]),
                1 => fill("({} AT TIME ZONE 'UTC')::date", [of(self, Kind::Stamp)]),
                _ => self.typed(kind, ""),
            },
            Kind::Side => match self.dice.one_in(2) {
                true => fill(
                    "CASE WHEN {} THEN 'buy' ELSE 'short' END::side",
                    [self.condition(scope, less)],
                ),
                false => self.typed(kind, ""),
            },
            Kind::Json => match self.dice.below(3) {
                0 => fill("{} -> 'n'", [of(self, kind)]),
                1 => fill("jsonb_build_object('k', {})", [of(self, Kind::Int4)]),
                _ => fill("to_jsonb({})", [of(self, Kind::Text)]),
            },
            Kind::Texts => match self.dice.below(2) {
                0 => fill("array_append({}, {})", [of(self, kind), of(self, Kind::Text)]),
                _ => fill("ARRAY[{}, 'y']", [of(self, Kind::Text)]),
            },
        }
    }
}
