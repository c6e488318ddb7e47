//! INSERT, UPDATE and DELETE.

use super::piece::{Piece, fill, maybe, nothing, text};
use super::queries::Want;
use super::tables::{self, Kind, Source, Space, Table};
use super::values::{Constants, Maker};

/// What is written, and how often.
const WRITTEN: [(usize, &Table); 9] = [
    (8, &tables::ORDERS),
    (4, &tables::USERS),
    (6, &tables::ACCOUNTS),
    (4, &tables::EVENTS),
    (4, &tables::TRADES),
    (2, &tables::INSTRUMENTS),
    (2, &tables::COUNTRIES),
    (1, &tables::AUDIT_LOG),
    (1, &tables::ARCHIVE),
];

/// A write, and the table that it changes.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) piece: Piece,
    pub(super) table: &'static str,
    pub(super) what: &'static str,
}

impl Maker<'_> {
    /// Another table of the same space under a name of its own, and the condition that ties it to a row's key.
    fn partner(&mut self, source: &Source, other: &Table) -> (Source, Piece) {
        let partner = Source::of(other, self.name(other.name));
        let (key, other_key) = (
            source.key.as_deref().expect("keyed"),
            partner.key.as_deref().expect("keyed"),
        );
        let on = text(format!("{} = {}", source.name(key), partner.name(other_key)));
        (partner, on)
    }

    /// One statement that changes a table.
    pub(super) fn write(&mut self) -> Write {
        let table = self.dice.weighted(&WRITTEN);
        let (piece, what) = match self.dice.below(10) {
            0..=3 => (self.insert(table), "insert"),
            4 => (self.insert_select(table), "insert select"),
            5..=7 => (self.update(table), "update"),
            _ => (self.delete(table), "delete"),
        };
        Write {
            piece,
            table: table.name,
            what,
        }
    }

    fn insert(&mut self, table: &Table) -> Piece {
        let left_out = |maker: &mut Self, name: &str| table.nullable.contains(&name) && maker.dice.one_in(3);
        let mut columns: Vec<(&str, Kind)> = Vec::new();
        for (name, kind) in table.columns {
            if !left_out(self, name) {
                columns.push((*name, *kind));
            }
        }
        if self.dice.one_in(4) {
            let at = self.dice.below(columns.len());
            columns.rotate_left(at);
        }
        let count = self.dice.weighted(&[(5, 1), (3, 2), (2, 3), (2, 5)]);
        let rows: Vec<Piece> = (0..count)
            .map(|_| {
                let values: Vec<Piece> = columns
                    .iter()
                    .map(|(name, kind)| self.written(table, name, *kind))
                    .collect();
                fill("({})", [Piece::List(", ", values.len(), values)])
            })
            .collect();
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let conflict = self.conflict(table, &names);
        let returning = self.returning(table, table.name);
        let alias = if self.dice.one_in(8) { " AS t" } else { "" };
        let returning = if alias.is_empty() { returning } else { nothing() };
        let conflict = if alias.is_empty() { conflict } else { nothing() };
        fill(
            &format!(
                "INSERT INTO {}{alias} ({}) VALUES {{}}{{}}{{}}",
                table.name,
                names.join(", ")
            ),
            [Piece::List(", ", 1, rows), conflict, returning],
        )
    }

    /// A value that the column's constraints mostly take.
    fn written(&mut self, table: &Table, name: &str, kind: Kind) -> Piece {
        let instruments = ["EURUSD", "GBPUSD", "USDTRY", "AAPL", "MSFT", "SAP", "XAUUSD", "ZBRA"];
        let chosen = |maker: &mut Self, from: &[&str]| {
            let values = [maker.dice.pick(from), maker.dice.pick(from)].map(|value| format!("'{value}'"));
            Piece::Literal(values)
        };
        let number = |maker: &mut Self, base: usize, bound: usize| {
            let values = [0, 0].map(|_| (base + maker.dice.below(bound)).to_string());
            match maker.constants == Constants::Bound && maker.dice.one_in(2) {
                true => Piece::Parameter(values.map(Some), if maker.dice.one_in(2) { "int8" } else { "unknown" }),
                false => Piece::Literal(values),
            }
        };
        match (table.name, name) {
            ("instruments", "symbol") => chosen(self, &["EURUSD", "NEW1", "NEW2", "NEW3", "SAP"]),
            ("countries", "code") => chosen(self, &["DE", "XX", "YY", "ZZ", "US"]),
            (_, "country") => chosen(self, &["DE", "FR", "JP"]),
            (_, "instrument") => chosen(self, &instruments),
            ("orders", "user_id") => number(self, 1, 92),
            ("orders" | "events" | "trades", "id") => number(self, 1_000, 230),
            ("users", "id") => number(self, 60, 200),
            ("audit_log" | "archive", "id") => number(self, 5, 60),
            ("accounts", "owner") => match self.dice.one_in(12) {
                true => fill("{} + 1", [number(self, 1, 60)]),
                false => number(self, 1, 60),
            },
            ("accounts", "iban") => {
                let values = [0, 0].map(|_| format!("'DE{}'", 1_000 + self.dice.below(90)));
                Piece::Literal(values)
            }
            ("orders" | "trades", "qty") => number(self, 0, 40),
            ("events", "at") => chosen(
                self,
                &[
                    "2026-03-01 00:00:00+00",
                    "2026-02-20 08:00:00+00",
                    "2026-06-06 10:00:00+02",
                    "infinity",
                ],
            ),
            _ if table.nullable.contains(&name) && self.dice.one_in(4) => text("NULL"),
            _ if self.dice.one_in(30) => text("DEFAULT"),
            _ => {
                let literal = self.literal(kind, name);
                match literal.written(0).sql.starts_with("NULL") {
                    true => self.typed(kind, name),
                    false => literal,
                }
            }
        }
    }

    fn conflict(&mut self, table: &Table, columns: &[&str]) -> Piece {
        let target = table.unique.join(", ");
        match self.dice.below(6) {
            0 => maybe(text(" ON CONFLICT DO NOTHING")),
            1 => maybe(text(format!(" ON CONFLICT ({target}) DO NOTHING"))),
            2 => {
                let free: Vec<&str> = columns
                    .iter()
                    .copied()
                    .filter(|name| !table.unique.contains(name))
                    .collect();
                let Some(set) = free.first() else { return nothing() };
                let set = free.get(self.dice.below(free.len())).unwrap_or(set);
                let filter = match self.dice.one_in(3) {
                    true => {
                        let source = Source::of(table, table.name.to_owned());
                        maybe(fill(" WHERE {}", [self.qualified_condition(&source)]))
                    }
                    false => nothing(),
                };
                let value = match self.dice.one_in(4) {
                    true => format!("coalesce(EXCLUDED.{set}, {}.{set})", table.name),
                    false => format!("EXCLUDED.{set}"),
                };
                fill(
                    &format!(" ON CONFLICT ({target}) DO UPDATE SET {set} = {value}{{}}"),
                    [filter],
                )
            }
            _ => nothing(),
        }
    }

    /// A condition with full names, which EXCLUDED can't make ambiguous.
    fn qualified_condition(&mut self, source: &Source) -> Piece {
        let (name, kind) = source.columns[self.dice.below(source.columns.len())].clone();
        match matches!(kind, Kind::Json | Kind::Texts | Kind::Bool) {
            true => text(format!("{} IS NOT NULL", source.name(&name))),
            false => fill(&format!("{} > {{}}", source.name(&name)), [self.literal(kind, &name)]),
        }
    }

    fn returning(&mut self, table: &Table, alias: &str) -> Piece {
        let source = Source::of(table, alias.to_owned());
        match self.dice.below(4) {
            0 => maybe(text(" RETURNING *")),
            1 => {
                let own = std::slice::from_ref(&source);
                let all: Vec<Piece> = (0..=self.dice.below(3))
                    .map(|_| {
                        let kind = self.kind_in(own);
                        self.value(kind, own, 1)
                    })
                    .collect();
                maybe(fill(" RETURNING {}", [Piece::List(", ", 1, all)]))
            }
            _ => nothing(),
        }
    }

    /// Rows made of other rows of the same keys.
    fn insert_select(&mut self, table: &Table) -> Piece {
        let others: &[&Table] = match table.space {
            Space::User if table.name == "accounts" => &[&tables::USERS, &tables::ORDERS],
            _ => return self.insert(table),
        };
        let other = self.dice.pick(others);
        let alias = self.name(other.name);
        let source = Source::of(other, alias.clone());
        let own = std::slice::from_ref(&source);
        let key = source.name(&source.key.clone().expect("a table of a keyspace"));
        let amount = self.value(Kind::Int8, own, 1);
        let filter = self.filter(own, 1, vec![text(format!("{key} < 30"))]);
        let unlike = source.name(&source.unique.last().expect("it has a key").clone());
        let conflict = self.conflict(table, &["owner", "iban", "amount"]);
        let returning = self.returning(table, table.name);
        fill(
            &format!(
                "INSERT INTO {} (owner, iban, amount) SELECT {key}, 'N' || {unlike}, {{}} FROM {} {alias}{{}}{{}}{{}}",
                table.name, other.name
            ),
            [amount, filter, conflict, returning],
        )
    }

    fn update(&mut self, table: &Table) -> Piece {
        let alias = self.name(table.name);
        let source = Source::of(table, alias.clone());
        let mut scope = vec![source.clone()];
        let mut from = nothing();
        let mut also = Vec::new();
        // Of one row at most, or which one counts is open.
        if table.space == Space::User && self.dice.one_in(5) {
            let other = [&tables::USERS, &tables::ORDER_TOTALS][self.dice.below(2)];
            let (partner, on) = self.partner(&source, other);
            from = text(format!(" FROM {} {}", other.name, partner.alias));
            also.push(on);
            scope.push(partner);
        }
        let mut free: Vec<(&str, Kind)> = table
            .columns
            .iter()
            .copied()
            .filter(|(name, _)| !table.unique.contains(name))
            .collect();
        if table.name == "orders" || self.dice.one_in(20) {
            free.extend(
                table
                    .columns
                    .iter()
                    .copied()
                    .filter(|(name, _)| *name == "id" && table.key != Some("id")),
            );
        }
        free.retain(|(name, _)| !matches!(*name, "country" | "instrument"));
        let mut sets = Vec::new();
        let start = self.dice.below(free.len());
        for at in 0..=self.dice.below(2).min(free.len() - 1) {
            let (name, kind) = free[(start + at) % free.len()];
            let value = match self.dice.below(6) {
                0 if table.nullable.contains(&name) => text("NULL"),
                1 | 2 => self.written(table, name, kind),
                // Integers of other widths may not fit.
                3 if kind.is_integer() || kind == Kind::Numeric => text(format!("{} + 1", source.name(name))),
                3 | 4 if scope.len() == 1 && !matches!(kind, Kind::Json | Kind::Texts | Kind::Bool) => {
                    let inner = self.inner(&source, &scope, 0);
                    let column = self.column(kind, std::slice::from_ref(&inner.source));
                    match column {
                        Some((column, _)) => fill("(SELECT max({}) FROM {}{})", [column, inner.from, inner.filter]),
                        _ => self.value(kind, &scope, 1),
                    }
                }
                4 if kind == Kind::Int8 && scope.len() > 1 => self.value(Kind::Int4, &scope[1..], 0),
                _ => self.value(kind, &scope, 1),
            };
            sets.push(fill(&format!("{name} = {{}}"), [value]));
        }
        let filter = self.narrow(&scope, also);
        let returning = self.returning(table, &alias);
        fill(
            &format!("UPDATE {} {alias} SET {{}}{{}}{{}}{{}}", table.name),
            [Piece::List(", ", 1, sets), from, filter, returning],
        )
    }

    fn delete(&mut self, table: &Table) -> Piece {
        let alias = self.name(table.name);
        let source = Source::of(table, alias.clone());
        let mut scope = vec![source.clone()];
        let mut also = Vec::new();
        let mut using = nothing();
        if table.space == Space::User && self.dice.one_in(6) {
            let other = self.dice.weighted(tables::of_space(Space::User));
            let (partner, on) = self.partner(&source, other);
            using = text(format!(" USING {} {}", other.name, partner.alias));
            also.push(on);
            scope.push(partner);
        }
        // Rows of users are what orders belong to.
        let filter = self.narrow(&scope, also);
        // Which of several partners is returned is open.
        let returning = self.returning(table, &alias);
        fill(
            &format!("DELETE FROM {} {alias}{{}}{{}}{{}}", table.name),
            [using, filter, returning],
        )
    }

    /// WHERE that mostly leaves few rows.
    fn narrow(&mut self, scope: &[Source], mut also: Vec<Piece>) -> Piece {
        let own = std::slice::from_ref(&scope[0]);
        let source = &scope[0];
        if let Some(key) = source.key.clone().filter(|_| self.dice.percent(70)) {
            // Of one shard, or it is likely to be refused.
            let literal = self.literal(source.kind(&key), &key);
            also.push(fill("{} = {}", [text(source.name(&key)), literal]));
        } else if self.dice.percent(60) {
            also.push(self.key_condition(own));
        }
        for _ in 0..=self.dice.below(2) {
            let depth = usize::from(self.dice.one_in(2));
            also.push(self.condition(scope, depth));
        }
        fill(" WHERE {}", [Piece::List(" AND ", 1, also)])
    }

    /// A write inside WITH, and a query of what it returned.
    pub(super) fn written_with(&mut self) -> Write {
        let table = self.dice.weighted(&WRITTEN[..5]);
        let alias = self.name(table.name);
        let source = Source::of(table, alias.clone());
        let filter = self.narrow(std::slice::from_ref(&source), Vec::new());
        let written = fill(&format!("DELETE FROM {} {alias}{{}} RETURNING *", table.name), [filter]);
        let name = self.name("cte");
        let cte = Source {
            alias: name.clone(),
            ..source
        };
        self.ctes.push(cte);
        let query = self.query(Want::top(0)).piece;
        Write {
            piece: fill(&format!("WITH {name} AS ({{}}) {{}}"), [written, query]),
            table: table.name,
            what: "with delete",
        }
    }
}
