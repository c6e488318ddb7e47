//! Conditions: comparisons of every kind, those of keys above all, and subqueries.

use super::piece::{Piece, fill, maybe, nothing, over, text};
use super::tables::{Kind, Source};
use super::values::Maker;

const OPERATORS: [&str; 8] = ["=", "=", "=", "<>", "<", "<=", ">", ">="];

impl Maker<'_> {
    /// Zero to three conditions joined by AND, behind WHERE.
    pub(super) fn filter(&mut self, scope: &[Source], depth: usize, also: Vec<Piece>) -> Piece {
        let mut all = also;
        let count = self.dice.weighted(&[(5, 0), (6, 1), (3, 2), (1, 3)]);
        for _ in 0..count {
            all.push(self.condition(scope, depth));
        }
        match all.is_empty() {
            true => nothing(),
            false => maybe(fill(" WHERE {}", [Piece::List(" AND ", 1, all)])),
        }
    }

    /// One condition; in parentheses where it needs them.
    pub(super) fn condition(&mut self, scope: &[Source], depth: usize) -> Piece {
        let deep = if depth > 0 { 1 } else { 0 };
        let kind = self.kind_in(scope);
        match self.dice.weighted(&[
            (30, 0),
            (7, 1),
            (7, 2),
            (5, 3),
            (5, 4),
            (3, 5),
            (3, 6),
            (12, 7),
            (8 * deep, 8),
            (14 * deep, 9),
            (2, 10),
            (3, 11),
            (2 * deep, 12),
        ]) {
            0 => {
                let (value, name) = self.operand(kind, scope, depth);
                let operator = self.operator(kind);
                let literal = self.literal(kind, &name);
                fill(&format!("{{}} {operator} {{}}"), [value, literal])
            }
            1 => {
                let operator = self.operator(kind);
                let (left, right) = (self.value(kind, scope, depth.min(1)), self.value(kind, scope, 0));
                fill(&format!("{{}} {operator} {{}}"), [left, right])
            }
            2 => {
                let (value, _) = self.operand(kind, scope, depth);
                let not = if self.dice.one_in(2) { "NOT " } else { "" };
                fill(&format!("{{}} IS {not}NULL"), [value])
            }
            3 => {
                let (value, name) = self.operand(kind, scope, 0);
                let not = if self.dice.one_in(4) { "NOT " } else { "" };
                let list = self.literals(kind, &name);
                fill(&format!("{{}} {not}IN ({{}})"), [value, list])
            }
            4 => {
                let (value, name) = self.operand(kind, scope, 0);
                let how = self.dice.pick(&["", "", "NOT ", "SYMMETRIC "]);
                let format = match how {
                    "SYMMETRIC " => "{} BETWEEN SYMMETRIC {} AND {}".to_owned(),
                    not => format!("{{}} {not}BETWEEN {{}} AND {{}}"),
                };
                let (low, high) = (self.literal(kind, &name), self.literal(kind, &name));
                match matches!(kind, Kind::Json | Kind::Texts | Kind::Bool) {
                    true => fill("{} IS NOT NULL", [value]),
                    false => fill(&format, [value, low, high]),
                }
            }
            5 => {
                let (value, _) = self.operand(Kind::Text, scope, 0);
                let pattern = self.dice.pick(&["'%e%'", "'A%'", "'note _'", "'%'", "'EUR%'"]);
                let operator = self.dice.pick(&["LIKE", "ILIKE", "NOT LIKE", "~~"]);
                fill(&format!("{{}} {operator} {pattern}"), [value])
            }
            6 => {
                let (value, name) = self.operand(kind, scope, 0);
                let not = if self.dice.one_in(2) { "NOT " } else { "" };
                let literal = self.literal(kind, &name);
                fill(&format!("{{}} IS {not}DISTINCT FROM {{}}"), [value, literal])
            }
            7 => self.key_condition(scope),
            8 => self.composed(scope, depth - 1),
            9 => self.subquery_condition(scope, depth - 1),
            10 => {
                let (value, name) = self.operand(Kind::Int8, scope, 0);
                let list = self.literals(Kind::Int4, &name);
                let operator = self.dice.pick(&["= ANY", "= ANY", "<> ALL", "< ANY"]);
                fill(&format!("{{}} {operator} (ARRAY[{{}}])"), [value, list])
            }
            11 => self.odd(scope),
            _ => {
                let (first, second) = (self.condition(scope, depth - 1), self.condition(scope, depth - 1));
                fill("CASE WHEN {} THEN {} ELSE false END", [first, second])
            }
        }
    }

    fn operator(&mut self, kind: Kind) -> &'static str {
        match kind {
            Kind::Json | Kind::Texts | Kind::Bool => "=",
            Kind::Text => OPERATORS[2 + self.dice.below(OPERATORS.len() - 2)],
            _ => OPERATORS[self.dice.below(OPERATORS.len())],
        }
    }

    fn literals(&mut self, kind: Kind, name: &str) -> Piece {
        let count = 1 + self.dice.below(4);
        Piece::List(", ", 1, (0..count).map(|_| self.literal(kind, name)).collect())
    }

    /// An expression and the column that constants beside it are chosen for.
    fn operand(&mut self, kind: Kind, scope: &[Source], depth: usize) -> (Piece, String) {
        match self.column(kind, scope) {
            Some((column, name)) if depth == 0 || self.dice.percent(75) => (column, name),
            _ => (self.value(kind, scope, depth.min(1)), String::new()),
        }
    }

    fn composed(&mut self, scope: &[Source], depth: usize) -> Piece {
        let (first, second) = (self.condition(scope, depth), self.condition(scope, depth));
        match self.dice.below(4) {
            0 => over("NOT ({})", [first]),
            1 => over("({} AND {})", [first, second]),
            2 => fill("(({}) IS NOT TRUE)", [first]),
            _ => over("({} OR {})", [first, second]),
        }
    }

    /// Operators of documents and arrays, and rows.
    fn odd(&mut self, scope: &[Source]) -> Piece {
        match self.dice.below(6) {
            0 => fill("{} @> '{}'", {
                let document = Piece::Literal([r#"{"n": 1}"#.to_owned(), r#"{"age": 3}"#.to_owned()]);
                let (value, _) = self.operand(Kind::Json, scope, 0);
                [value, document]
            }),
            1 => fill("'x' = ANY ({})", [self.operand(Kind::Texts, scope, 0).0]),
            2 => {
                let (first, name) = self.operand(Kind::Int8, scope, 0);
                let (second, other) = self.operand(Kind::Text, scope, 0);
                let operator = self.dice.pick(&["=", "=", "<>"]);
                let (one, two) = (self.literal(Kind::Int8, &name), self.literal(Kind::Text, &other));
                fill(
                    &format!("({{}}, {{}}) {operator} ({{}}, {{}})"),
                    [first, second, one, two],
                )
            }
            3 => fill("{} < now()", [self.operand(Kind::Stamp, scope, 0).0]),
            4 => fill("{}", [self.value(Kind::Bool, scope, 0)]),
            _ => {
                let (value, _) = self.operand(Kind::Side, scope, 0);
                fill("{}::text LIKE 's%'", [value])
            }
        }
    }

    /// A condition on a sharding key.
    pub(super) fn key_condition(&mut self, scope: &[Source]) -> Piece {
        let keyed: Vec<&Source> = scope.iter().filter(|source| source.key.is_some()).collect();
        if keyed.is_empty() {
            return self.condition(scope, 0);
        }
        let source = keyed[self.dice.below(keyed.len())].clone();
        let name = source.key.clone().expect("chosen by it");
        let kind = source.kind(&name);
        let key = || text(source.name(&name));
        let mut literal = || self.literal(kind, &name);
        let (one, two, three) = (literal(), literal(), literal());
        match self.dice.below(24) {
            0..=4 => fill("{} = {}", [key(), one]),
            5 => fill("{} = {}", [one, key()]),
            6 | 7 => fill("{} IN ({})", [key(), Piece::List(", ", 1, vec![one, two, three])]),
            8 => fill("{} BETWEEN {} AND {}", [key(), one, two]),
            9 => fill("({} >= {} AND {} < {})", [key(), one, key(), two]),
            10 => fill("({} = {} OR {} = {})", [key(), one, key(), two]),
            11 => fill(
                "{} {} {}",
                [key(), text(self.dice.pick(&["<", "<=", ">", ">=", "<>"])), one],
            ),
            12 => match source.unique.iter().find(|other| **other != name) {
                Some(other) => {
                    let operator = self.dice.pick(&["=", "=", "<", ">", "<=", "<>"]);
                    let beside = self.literal(source.kind(other), other);
                    let format = format!("({{}}, {{}}) {operator} ({{}}, {{}})");
                    fill(&format, [key(), text(source.name(other)), one, beside])
                }
                None => fill("{} = {}", [key(), one]),
            },
            13 => match source.unique.iter().find(|other| **other != name) {
                Some(other) => {
                    let other_kind = source.kind(other);
                    let (a, b) = (self.literal(other_kind, other), self.literal(other_kind, other));
                    fill(
                        "({}, {}) IN (({}, {}), ({}, {}))",
                        [key(), text(source.name(other)), one, a, two, b],
                    )
                }
                None => fill("{} IN ({}, {})", [key(), one, two]),
            },
            14 => fill("{} IS NOT NULL", [key()]),
            15 => fill("{} IS NULL", [key()]),
            16 => fill("{} IS NOT DISTINCT FROM {}", [key(), one]),
            17 => fill("NOT ({} <> {})", [key(), one]),
            18 if kind.is_integer() => fill("{} = {} + 1", [key(), Piece::Literal(["4".into(), "11".into()])]),
            19 if kind.is_integer() => fill("{} = {}", [key(), Piece::Literal(["5.0".into(), "7.5".into()])]),
            20 if kind.is_integer() => {
                let array = Piece::Literal(["{3,7,NULL}".into(), "{}".into()]);
                fill("{} = ANY ('{}'::bigint[])", [key(), array])
            }
            18..=20 => fill("{} = ANY (ARRAY[{}, {}])", [key(), one, two]),
            21 => fill("coalesce({}, {}) = {}", [key(), one, two]),
            22 => fill("CASE WHEN {} = {} THEN true ELSE {} = {} END", [key(), one, key(), two]),
            _ => fill(
                "{} IN (VALUES ({}), ({}))",
                [key(), self.typed(kind, &name), self.typed(kind, &name)],
            ),
        }
    }

    fn subquery_condition(&mut self, scope: &[Source], depth: usize) -> Piece {
        let outer = scope[self.dice.below(scope.len())].clone();
        match self.dice.below(10) {
            0..=3 => {
                let not = if self.dice.one_in(3) { "NOT " } else { "" };
                let inner = self.inner(&outer, scope, depth);
                let list = match self.dice.below(4) {
                    0 => "*".to_owned(),
                    1 => inner.first_column(),
                    _ => "1".to_owned(),
                };
                fill(
                    &format!("{not}EXISTS (SELECT {list} FROM {{}}{{}})"),
                    [inner.from, inner.filter],
                )
            }
            4 | 5 => {
                // IN by the keys themselves.
                let Some(key) = outer.key.clone() else {
                    return self.condition(scope, 0);
                };
                let not = if self.dice.one_in(3) { "NOT " } else { "" };
                let inner = self.loose(outer.space, depth);
                let Some(other) = inner.source.key.clone() else {
                    return self.condition(scope, 0);
                };
                let (key, other) = (outer.name(&key), inner.source.name(&other));
                let format = format!("{key} {not}IN (SELECT {other} FROM {{}}{{}})");
                fill(&format, [inner.from, inner.filter])
            }
            6 => {
                let inner = self.inner(&outer, scope, depth);
                let kind = [Kind::Int8, Kind::Numeric][self.dice.below(2)];
                let Some((column, _)) = self.column(kind, std::slice::from_ref(&inner.source)) else {
                    return self.condition(scope, 0);
                };
                let aggregate = self.dice.pick(&["count", "sum", "min", "max", "avg"]);
                let operator = self.dice.pick(&["<", ">", "="]);
                let value = self.value(kind, scope, 0);
                let format = format!("{{}} {operator} (SELECT {aggregate}({{}}) FROM {{}}{{}})");
                fill(&format, [value, column, inner.from, inner.filter])
            }
            7 => {
                let inner = self.inner(&outer, scope, depth);
                let kind = self.kind_in(std::slice::from_ref(&inner.source));
                let Some((column, _)) = self.column(kind, std::slice::from_ref(&inner.source)) else {
                    return self.condition(scope, 0);
                };
                let value = self.value(kind, scope, 0);
                let operator = match kind {
                    Kind::Json | Kind::Texts | Kind::Bool => "= ANY",
                    _ => self
                        .dice
                        .pick(&["= ANY", "= ANY", "<> ALL", "> ANY", "<= ALL", "IN", "NOT IN"]),
                };
                let format = format!("{{}} {operator} (SELECT {{}} FROM {{}}{{}})");
                fill(&format, [value, column, inner.from, inner.filter])
            }
            8 => {
                // Something that every shard holds in full.
                let inner = self.loose(super::tables::Space::Everywhere, depth);
                let kind = self.kind_in(std::slice::from_ref(&inner.source));
                let column = self
                    .column(kind, std::slice::from_ref(&inner.source))
                    .expect("its kind is of a column")
                    .0;
                let value = self.value(kind, scope, 0);
                let not = if self.dice.one_in(3) { "NOT " } else { "" };
                fill(
                    &format!("{{}} {not}IN (SELECT {{}} FROM {{}}{{}})"),
                    [value, column, inner.from, inner.filter],
                )
            }
            _ => {
                // Without a tie to the row: refused, if it isn't of reference tables.
                let space = [super::tables::Space::Everywhere, outer.space][usize::from(self.dice.one_in(6))];
                let inner = self.loose(space, depth);
                let value = self.value(Kind::Int8, scope, 0);
                fill("{} > (SELECT count(*) FROM {}{})", [value, inner.from, inner.filter])
            }
        }
    }
}

/// FROM and WHERE of a subquery of one table.
pub(super) struct Inner {
    pub(super) source: Source,
    pub(super) from: Piece,
    pub(super) filter: Piece,
}

impl Inner {
    /// A name for the target list.
    fn first_column(&self) -> String {
        self.source.name(&self.source.columns[0].0)
    }
}

impl Maker<'_> {
    /// Rows of another table for a row of this one, mostly by the key.
    pub(super) fn inner(&mut self, outer: &Source, scope: &[Source], depth: usize) -> Inner {
        let mut inner = self.loose_table(outer.space);
        let own = std::slice::from_ref(&inner.source).to_vec();
        let mut all = Vec::new();
        if let (Some(key), Some(other)) = (&outer.key, &inner.source.key)
            && outer.space == inner.source.space
            && self.dice.percent(90)
        {
            let sides = [text(inner.source.name(other)), text(outer.name(key))];
            let [left, right] = sides;
            all.push(match self.dice.one_in(2) {
                true => fill("{} = {}", [left, right]),
                false => fill("{} = {}", [right, left]),
            });
        }
        if all.is_empty() || self.dice.one_in(3) {
            // Any other tie.
            let kind = self.kind_in(&own);
            if let (Some((left, _)), Some((right, _))) = (self.column(kind, &own), self.column(kind, scope)) {
                all.push(fill("{} = {}", [left, right]));
            }
        }
        if self.dice.one_in(2) {
            let both = [own, vec![outer.clone()]].concat();
            all.push(self.condition(&both, depth));
        }
        if !all.is_empty() {
            inner.filter = maybe(fill(" WHERE {}", [Piece::List(" AND ", 1, all)]));
        }
        inner
    }

    /// Rows of a table of a keyspace.
    pub(super) fn loose(&mut self, space: super::tables::Space, depth: usize) -> Inner {
        let mut inner = self.loose_table(space);
        let own = std::slice::from_ref(&inner.source).to_vec();
        inner.filter = self.filter(&own, depth, Vec::new());
        inner
    }

    fn loose_table(&mut self, space: super::tables::Space) -> Inner {
        let table = self.dice.weighted(super::tables::of_space(space));
        let alias = self.name(table.name);
        Inner {
            from: text(format!("{} {alias}", table.name)),
            source: Source::of(table, alias),
            filter: nothing(),
        }
    }
}
