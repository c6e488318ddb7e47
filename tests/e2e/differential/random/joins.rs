//! FROM: tables, views, subqueries, lists and their joins.

use super::piece::{Piece, fill, nothing, text};
use super::queries::Want;
use super::tables::{self, Kind, READ, Source, Space};
use super::values::Maker;

/// FROM and what can be said of its rows.
#[derive(Debug)]
pub(super) struct From {
    pub(super) piece: Piece,
    pub(super) sources: Vec<Source>,
    /// conditions that belong into WHERE
    pub(super) also: Vec<Piece>,
    /// columns that make a row unique; empty if that isn't known
    pub(super) unique: Vec<(String, Kind)>,
}

impl From {
    fn new(piece: Piece, source: Source) -> From {
        let mut from = From {
            piece,
            sources: Vec::new(),
            also: Vec::new(),
            unique: Vec::new(),
        };
        from.unique = unique(&source);
        from.sources.push(source);
        from
    }

    fn join(&mut self, piece: Piece, source: Source) {
        let unique = unique(&source);
        match self.unique.is_empty() || unique.is_empty() {
            true => self.unique.clear(),
            false => self.unique.extend(unique),
        }
        self.piece = piece;
        self.sources.push(source);
    }
}

fn unique(source: &Source) -> Vec<(String, Kind)> {
    let named = |column: &String| (source.name(column), source.kind(column));
    source.unique.iter().map(named).collect()
}

impl Maker<'_> {
    /// One to three sources, joined; rows of the outer row's key if there is one.
    pub(super) fn from(&mut self, outer: Option<&Source>, space: Option<Space>, depth: usize) -> From {
        let space = space.or(outer.filter(|_| self.dice.percent(85)).map(|outer| outer.space));
        let (piece, source) = self.source(space, depth);
        let mut from = From::new(piece, source);
        if let (Some(outer), Some(source)) = (outer, from.sources.first())
            && let (Some(key), Some(other)) = (&outer.key, &source.key)
            && outer.space == source.space
        {
            from.also
                .push(text(format!("{} = {}", source.name(other), outer.name(key))));
        }
        let joins = self.dice.weighted(&[(10, 0), (9, 1), (3, 2)]);
        for _ in 0..joins {
            self.join(&mut from, depth);
        }
        from
    }

    /// Something to select from, under a name.
    fn source(&mut self, space: Option<Space>, depth: usize) -> (Piece, Source) {
        if space.is_none() && !self.ctes.is_empty() && self.dice.percent(60) {
            let cte = self.ctes[self.dice.below(self.ctes.len())].clone();
            let alias = self.name("w");
            let source = Source {
                alias: alias.clone(),
                ..cte.clone()
            };
            return (text(format!("{} {alias}", cte.alias)), source);
        }
        if depth > 0 && self.dice.one_in(9) {
            let alias = self.name("d");
            let carries_key = self.dice.percent(85);
            let made = self.query(Want {
                carries_key,
                ..Want::inside(depth - 1)
            });
            let source = made.source(alias.clone());
            return (fill(&format!("({{}}) AS {alias}"), [made.piece]), source);
        }
        if space.is_none() && self.dice.one_in(40) {
            return self.list();
        }
        let table = match space {
            Some(space) => self.dice.weighted(tables::of_space(space)),
            None => self.dice.weighted(&READ),
        };
        let alias = self.name(table.name);
        let only = if self.dice.one_in(40) && table.name == "users" {
            "ONLY "
        } else {
            ""
        };
        // A CTE may have taken the bare name.
        let schema = match self.ctes.iter().any(|cte| cte.alias == table.name) || self.dice.one_in(30) {
            true => "public.",
            false => "",
        };
        let word = if self.dice.one_in(3) { "AS " } else { "" };
        (
            text(format!("{only}{schema}{} {word}{alias}", table.name)),
            Source::of(table, alias),
        )
    }

    /// Rows that no table holds.
    fn list(&mut self) -> (Piece, Source) {
        let alias = self.name("v");
        let source = |columns: &[(&str, Kind)]| Source {
            alias: alias.clone(),
            table: "",
            columns: columns.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect(),
            unique: vec!["n".to_owned()],
            key: None,
            space: Space::Everywhere,
        };
        match self.dice.one_in(2) {
            true => {
                let rows = Piece::List(
                    ", ",
                    1,
                    vec![text("(1, 'DE')"), text("(7, 'rush')"), text("(12, NULL)")],
                );
                (
                    fill(&format!("(VALUES {{}}) AS {alias} (n, t)"), [rows]),
                    source(&[("n", Kind::Int4), ("t", Kind::Text)]),
                )
            }
            false => (
                text(format!("generate_series(1, 6) AS {alias} (n)")),
                source(&[("n", Kind::Int4)]),
            ),
        }
    }

    fn join(&mut self, from: &mut From, depth: usize) {
        let with = from.sources[self.dice.below(from.sources.len())].clone();
        if self.dice.one_in(14) && depth > 0 && with.key.is_some() {
            return self.lateral(from, &with, depth);
        }
        let space = self
            .dice
            .weighted(&[(70, Some(with.space)), (18, Some(Space::Everywhere)), (7, None)]);
        if self.dice.one_in(10) {
            return self.nested(from, &with, space, depth);
        }
        let (piece, source) = self.source(space, depth);
        let left = std::mem::replace(&mut from.piece, nothing());
        let how = self.dice.weighted(&[
            (40, "JOIN"),
            (28, "LEFT JOIN"),
            (6, "RIGHT JOIN"),
            (7, "FULL JOIN"),
            (8, ","),
            (3, "CROSS JOIN"),
            (6, "USING"),
        ]);
        let small = |source: &Source| source.space == Space::Everywhere;
        let joined = match how {
            "USING" if self.shared_key(&with, &source).is_some() => {
                let key = self.shared_key(&with, &source).expect("there is one");
                let how = self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN"]);
                match from.sources.len() {
                    1 => {
                        let merged = Source {
                            alias: String::new(),
                            table: "",
                            columns: vec![(key.clone(), source.kind(&key))],
                            unique: Vec::new(),
                            key: Some(key.clone()),
                            space: source.space,
                        };
                        let natural = [["big_orders", "orders"], ["big_orders", "order_totals"]];
                        let tables = [&with, &source].map(|source| source.table);
                        let is_natural = natural
                            .iter()
                            .any(|pair| tables == *pair || tables == [pair[1], pair[0]]);
                        let joined = match is_natural && self.dice.one_in(3) {
                            true => fill(&format!("{{}} NATURAL {how} {{}}"), [left, piece]),
                            false => fill(&format!("{{}} {how} {{}} USING ({key})"), [left, piece]),
                        };
                        from.join(joined, source);
                        from.sources.push(merged);
                        return;
                    }
                    _ => {
                        let on = self.on(&with, &source, from);
                        fill("{} JOIN {} ON {}", [left, piece, on])
                    }
                }
            }
            "," => {
                let on = self.on(&with, &source, from);
                from.also.push(on);
                fill("{}, {}", [left, piece])
            }
            "CROSS JOIN" if small(&source) && small(&with) || source.unique == ["n"] => {
                fill("{} CROSS JOIN {}", [left, piece])
            }
            how => {
                let how = if matches!(how, "USING" | "CROSS JOIN") {
                    "JOIN"
                } else {
                    how
                };
                let on = self.on(&with, &source, from);
                fill(&format!("{{}} {how} {{}} ON {{}}"), [left, piece, on])
            }
        };
        from.join(joined, source);
    }

    /// A join on the right side of a join.
    fn nested(&mut self, from: &mut From, with: &Source, space: Option<Space>, depth: usize) {
        let (piece, source) = self.source(space, depth);
        let mut inner = From::new(piece, source.clone());
        let (piece, other) = self.source(space, depth);
        let on = self.on(&source, &other, &inner);
        let left = std::mem::replace(&mut inner.piece, nothing());
        let how = self.dice.pick(&["JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"]);
        inner.join(fill(&format!("({{}} {how} {{}} ON {{}})"), [left, piece, on]), other);
        let end = inner.sources[self.dice.below(2)].clone();
        let on = self.on(with, &end, from);
        let left = std::mem::replace(&mut from.piece, nothing());
        let how = self
            .dice
            .pick(&["JOIN", "LEFT JOIN", "LEFT JOIN", "FULL JOIN", "RIGHT JOIN"]);
        from.piece = fill(&format!("{{}} {how} {{}} ON {{}}"), [left, inner.piece, on]);
        match from.unique.is_empty() || inner.unique.is_empty() {
            true => from.unique.clear(),
            false => from.unique.extend(inner.unique),
        }
        from.sources.extend(inner.sources);
    }

    fn shared_key(&self, one: &Source, other: &Source) -> Option<String> {
        let key = one.key.clone()?;
        (other.key.as_ref() == Some(&key) && one.space == other.space).then_some(key)
    }

    /// What ties two sources: their keys, the column that names a reference table's row, or any columns.
    fn on(&mut self, with: &Source, source: &Source, from: &From) -> Piece {
        let mut all = Vec::new();
        if let (Some(key), Some(other)) = (&with.key, &source.key)
            && with.space == source.space
            && self.dice.percent(93)
        {
            all.push(text(format!("{} = {}", source.name(other), with.name(key))));
        }
        let tied = !all.is_empty();
        if !tied || self.dice.one_in(14) {
            let pairs: Vec<(Kind, Kind)> = vec![
                (Kind::Char, Kind::Char),
                (Kind::Text, Kind::Text),
                (Kind::Int8, Kind::Int8),
            ];
            let named = [
                ("country", "code"),
                ("instrument", "symbol"),
                ("symbol", "symbol"),
                ("code", "code"),
            ];
            let has = |source: &Source, name: &str| source.columns.iter().any(|(column, _)| column == name);
            let reference = named.iter().find(|(mine, theirs)| {
                (has(with, mine) && has(source, theirs)) || (has(with, theirs) && has(source, mine))
            });
            match reference {
                Some((mine, theirs)) if self.dice.percent(80) => {
                    all.push(match has(with, mine) && has(source, theirs) {
                        true => text(format!("{} = {}", with.name(mine), source.name(theirs))),
                        false => text(format!("{} = {}", with.name(theirs), source.name(mine))),
                    })
                }
                _ => {
                    for (mine, theirs) in pairs {
                        let left = self.column(mine, std::slice::from_ref(with));
                        let right = self.column(theirs, std::slice::from_ref(source));
                        if let (Some((_, left)), Some((_, right))) = (left, right)
                            && (with.kind(&left).is_integer() == source.kind(&right).is_integer())
                        {
                            all.push(text(format!("{} = {}", with.name(&left), source.name(&right))));
                            break;
                        }
                    }
                }
            }
        }
        if all.is_empty() {
            // Nothing ties them: few rows then.
            all.push(self.key_condition(std::slice::from_ref(source)));
        }
        if self.dice.one_in(3) {
            let scope = [from.sources.as_slice(), std::slice::from_ref(source)].concat();
            let depth = usize::from(self.dice.one_in(5));
            let condition = fill("({})", [self.condition(&scope, depth)]);
            all.push(Piece::OneOf(vec![condition, text("true")]));
        }
        Piece::List(" AND ", 1, all)
    }

    fn lateral(&mut self, from: &mut From, with: &Source, depth: usize) {
        let alias = self.name("l");
        let carries_key = self.dice.one_in(2);
        let made = self.query(Want {
            outer: Some(with),
            carries_key,
            ..Want::inside(depth - 1)
        });
        let mut source = made.source(alias.clone());
        let left = std::mem::replace(&mut from.piece, nothing());
        let format = match self.dice.below(3) {
            0 => format!("{{}}, LATERAL ({{}}) AS {alias}"),
            1 => format!("{{}} CROSS JOIN LATERAL ({{}}) AS {alias}"),
            _ => format!("{{}} LEFT JOIN LATERAL ({{}}) AS {alias} ON true"),
        };
        if source.columns.is_empty() {
            source.unique.clear();
        }
        from.join(fill(&format, [left, made.piece]), source);
    }
}
