//! SELECT in all its forms, and what joins several of them: WITH and set operations.

use super::piece::{Ordered, Piece, fill, maybe, nothing, over, text};
use super::tables::{Kind, Source, Space};
use super::values::{Constants, Maker};

/// What a query is for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Want<'a> {
    /// it is evaluated for each row of this
    pub(super) outer: Option<&'a Source>,
    /// the types of its columns, if they are given
    pub(super) kinds: Option<&'a [Kind]>,
    /// the sharding key is to be its first column
    pub(super) carries_key: bool,
    /// only tables of this keyspace first in FROM, if it is given
    pub(super) space: Option<Space>,
    /// where it stands
    pub(super) place: Place,
    /// how deep subqueries may go
    pub(super) depth: usize,
}

/// Where a query stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Top,
    Inside,
    Arm,
}

impl Want<'_> {
    /// The whole statement.
    pub(super) fn top(depth: usize) -> Want<'static> {
        Want {
            outer: None,
            kinds: None,
            carries_key: false,
            space: None,
            place: Place::Top,
            depth,
        }
    }

    /// In FROM or WITH.
    pub(super) fn inside(depth: usize) -> Want<'static> {
        Want {
            place: Place::Inside,
            ..Want::top(depth)
        }
    }
}

/// A query and what can be said of its rows.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) piece: Piece,
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) unique: Vec<String>,
    pub(super) key: Option<String>,
    pub(super) space: Space,
}

impl Made {
    /// As something to select from.
    pub(super) fn source(&self, alias: String) -> Source {
        Source {
            alias,
            table: "",
            columns: self.columns.clone(),
            unique: self.unique.clone(),
            key: self.key.clone(),
            space: self.space,
        }
    }
}

/// One entry of a target list.
struct Target {
    piece: Piece,
    kind: Kind,
}

/// What becomes of rows before they are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Plain,
    Grouped,
    Distinct,
    Windowed,
    FirstOfEach,
}

impl Maker<'_> {
    /// A whole SELECT statement.
    pub(super) fn statement(&mut self) -> Piece {
        let depth = self.dice.weighted(&[(2, 0), (4, 1), (2, 2)]);
        let with = match self.dice.one_in(7) {
            true => {
                let count = 1 + self.dice.below(2);
                let all: Vec<Piece> = (0..count).map(|_| self.cte()).collect();
                fill("WITH {} ", [Piece::List(", ", 1, all)])
            }
            false => nothing(),
        };
        let body = self.query(Want::top(depth)).piece;
        let locks = match self.dice.one_in(30) {
            true => {
                let how = ["UPDATE", "SHARE", "NO KEY UPDATE SKIP LOCKED"];
                maybe(text(format!(" FOR {}", self.dice.pick(&how))))
            }
            false => nothing(),
        };
        let whole = Piece::All(vec![with, body, locks]);
        match self.dice.below(40) {
            // An output's name that an input has too: ORDER BY and GROUP BY choose differently.
            0..=3 => {
                let name = self
                    .dice
                    .pick(&["name", "id", "user_id", "total", "qty", "country", "instrument"]);
                let place = self.dice.pick(&["c0", "c1"]);
                whole.rewritten(&|text| renamed(&text, place, name))
            }
            4 | 5 => whole.rewritten(&|text| match text.contains(['\'', '"', '$']) {
                true => text,
                false => text.to_uppercase(),
            }),
            6 => whole.rewritten(&|text| text.replacen(", ", " /* , ' */, ", 1)),
            7 => whole.rewritten(&|text| text.replacen(" WHERE ", "\n\tWHERE -- it's $1\n", 1)),
            _ => whole,
        }
    }

    fn cte(&mut self) -> Piece {
        let carries_key = self.dice.percent(85);
        let made = self.query(Want {
            carries_key,
            ..Want::inside(1)
        });
        // Its name may hide a table's.
        let hiding = ["orders", "users", "trades"]
            .into_iter()
            .find(|name| self.dice.one_in(12) && self.ctes.iter().all(|cte| cte.alias != *name));
        let name = hiding.map_or_else(|| self.name("cte"), str::to_owned);
        let how = self
            .dice
            .weighted(&[(6, ""), (1, "MATERIALIZED "), (1, "NOT MATERIALIZED ")]);
        let source = made.source(name.clone());
        self.ctes.push(source);
        fill(&format!("{name} AS {how}({{}})"), [made.piece])
    }

    /// One SELECT, or several by a set operation.
    pub(super) fn query(&mut self, want: Want<'_>) -> Made {
        if want.place != Place::Arm && want.outer.is_none() && self.dice.one_in(12) {
            return self.set_operation(want);
        }
        self.select(want)
    }

    fn set_operation(&mut self, want: Want<'_>) -> Made {
        let count = 1 + self.dice.below(3);
        let kinds: Vec<Kind> = match want.kinds {
            Some(kinds) => kinds.to_vec(),
            None => (0..count).map(|_| COMPARED[self.dice.below(COMPARED.len())]).collect(),
        };
        let space = self.dice.weighted(&[
            (8, Space::User),
            (2, Space::Time),
            (2, Space::Instrument),
            (3, Space::Everywhere),
        ]);
        let arm = Want {
            kinds: Some(&kinds),
            carries_key: space != Space::Everywhere && self.dice.percent(80),
            space: Some(space),
            place: Place::Arm,
            depth: want.depth.min(1),
            ..want
        };
        let first = self.select(arm);
        let mut piece = first.piece;
        let mut key = first.key.clone();
        let last = self.dice.weighted(&[(5, 1), (1, 2)]);
        for _ in 0..last {
            let next = self.select(arm);
            let how = self.dice.weighted(&[
                (5, "UNION ALL"),
                (4, "UNION"),
                (2, "EXCEPT"),
                (2, "INTERSECT"),
                (1, "EXCEPT ALL"),
                (1, "INTERSECT ALL"),
            ]);
            if next.key.is_none() || next.space != first.space {
                key = None;
            }
            piece = over(&format!("{{}} {how} {{}}"), [piece, next.piece]);
        }
        if want.place == Place::Top && self.dice.one_in(4) {
            piece = fill("{} ORDER BY 1", [piece]);
        }
        Made {
            piece,
            columns: first.columns,
            unique: Vec::new(),
            key,
            space: first.space,
        }
    }

    fn select(&mut self, want: Want<'_>) -> Made {
        let from = self.from(want.outer, want.space, want.depth);
        let scope = &from.sources;
        // A key of the side that is always there is the likelier to be one.
        let keyed: Vec<&Source> = scope.iter().filter(|source| source.key.is_some()).collect();
        let likely = if self.dice.percent(80) {
            0
        } else {
            self.dice.below(keyed.len().max(1))
        };
        let keyed = keyed.get(likely).map(|source| (*source).clone());
        let space = keyed.as_ref().map_or(Space::Everywhere, |source| source.space);
        let key = keyed.as_ref().and_then(|source| {
            let name = source.key.clone()?;
            Some((source.name(&name), source.kind(&name)))
        });
        let form = match want.place {
            Place::Top => self.dice.weighted(&[
                (45, Form::Plain),
                (32, Form::Grouped),
                (11, Form::Distinct),
                (9, Form::Windowed),
                (3, Form::FirstOfEach),
            ]),
            _ => self.dice.weighted(&[
                (60, Form::Plain),
                (26, Form::Grouped),
                (8, Form::Distinct),
                (6, Form::Windowed),
            ]),
        };
        let also = from.also.clone();
        let filter = self.filter(scope, want.depth, also);
        let carried = key.filter(|_| want.carries_key);
        match form {
            Form::Grouped => self.grouped(&want, &from, filter, carried, space),
            form => self.ungrouped(&want, &from, filter, carried, space, form),
        }
    }

    fn kinds(&mut self, want: &Want<'_>, scope: &[Source], carried: Option<&(String, Kind)>) -> Vec<Kind> {
        match want.kinds {
            Some(kinds) => kinds.to_vec(),
            None => {
                let least = usize::from(carried.is_none());
                let count = least + self.dice.below(4);
                (0..count).map(|_| self.kind_in(scope)).collect()
            }
        }
    }

    fn ungrouped(
        &mut self,
        want: &Want<'_>,
        from: &super::joins::From,
        filter: Piece,
        carried: Option<(String, Kind)>,
        space: Space,
        form: Form,
    ) -> Made {
        let scope = &from.sources;
        let mut targets: Vec<Target> = Vec::new();
        if let Some((name, kind)) = &carried {
            targets.push(Target {
                piece: text(name.clone()),
                kind: *kind,
            });
        }
        for kind in self.kinds(want, scope, carried.as_ref()) {
            let piece = match self.dice.one_in(12) && want.depth > 0 && want.kinds.is_none() {
                true => {
                    let (piece, kind) = self.scalar(scope, want.depth - 1);
                    targets.push(Target { piece, kind });
                    continue;
                }
                false => self.value(kind, scope, 1 + want.depth.min(1)),
            };
            targets.push(Target { piece, kind });
        }
        if form == Form::Windowed && want.kinds.is_none() {
            for _ in 0..=self.dice.below(2) {
                let key = scope
                    .iter()
                    .find_map(|source| source.key.as_ref().map(|key| source.name(key)));
                let target = self.window(scope, key, &from.unique);
                targets.push(target);
            }
        }
        let star = want.place == Place::Top && form == Form::Plain && self.dice.one_in(12);
        let first = match (star, form) {
            (true, _) => return self.starred(want, from, filter),
            (_, Form::Distinct) => text("DISTINCT "),
            (_, Form::FirstOfEach) => nothing(),
            _ => nothing(),
        };
        let unique: Vec<String> = match form {
            Form::Distinct => (0..targets.len()).map(|at| format!("c{at}")).collect(),
            _ if want.place == Place::Top => Vec::new(),
            // Does the target list hold what makes rows unique?
            _ => carried_unique(&targets, &from.unique),
        };
        let (first, tail) = match (want.place, form) {
            (Place::Arm, _) => (first, nothing()),
            (_, Form::FirstOfEach) => {
                let on = match targets[0].kind {
                    Kind::Text => fill("({}) COLLATE \"C\"", [targets[0].piece.clone()]),
                    _ => targets[0].piece.clone(),
                };
                let mut items = vec![self.sort_by(on.clone(), Kind::Int4)];
                items.extend(
                    from.unique
                        .iter()
                        .map(|(name, kind)| self.sort_by(text(name.clone()), *kind)),
                );
                match from.unique.is_empty() {
                    true => (text("DISTINCT "), nothing()),
                    false => {
                        let fixed = Piece::All(
                            items
                                .into_iter()
                                .enumerate()
                                .map(|(at, item)| fill(if at > 0 { ", {}" } else { " ORDER BY {}" }, [item]))
                                .collect(),
                        );
                        let order = Piece::Order(Ordered::Total, Box::new(fixed));
                        (fill("DISTINCT ON ({}) ", [on]), order)
                    }
                }
            }
            (Place::Inside, _)
                if from.unique.is_empty() || !self.dice.one_in(if want.outer.is_some() { 3 } else { 15 }) =>
            {
                (first, nothing())
            }
            (_, Form::Distinct) => {
                let names: Vec<(String, Kind)> = targets
                    .iter()
                    .enumerate()
                    .map(|(at, target)| (format!("c{at}"), target.kind))
                    .collect();
                let comparable = names
                    .iter()
                    .all(|(_, kind)| COMPARED.contains(kind) && *kind != Kind::Text);
                match comparable {
                    true => (first, self.tail(&[], &names, scope, want.place)),
                    false => (first, self.tail(&targets, &[], scope, want.place)),
                }
            }
            (_, _) => {
                let tail = self.tail(&targets, &from.unique, scope, want.place);
                (first, tail)
            }
        };
        let columns = targets
            .iter()
            .enumerate()
            .map(|(at, target)| (format!("c{at}"), target.kind))
            .collect();
        let piece = self.assemble(want, first, &targets, from, filter, nothing(), tail);
        Made {
            piece,
            columns,
            unique,
            key: carried.map(|_| "c0".to_owned()),
            space,
        }
    }

    /// `*` at the top.
    fn starred(&mut self, want: &Want<'_>, from: &super::joins::From, filter: Piece) -> Made {
        let list = match self.dice.one_in(2) {
            true => "*".to_owned(),
            false => format!("{}.*", from.sources[self.dice.below(from.sources.len())].alias),
        };
        let tail = self.tail(&[], &from.unique, &from.sources, want.place);
        let piece = fill("SELECT {} FROM {}{}{}", [text(list), from.piece.clone(), filter, tail]);
        Made {
            piece,
            columns: Vec::new(),
            unique: Vec::new(),
            key: None,
            space: Space::Everywhere,
        }
    }

    fn grouped(
        &mut self,
        want: &Want<'_>,
        from: &super::joins::From,
        filter: Piece,
        carried: Option<(String, Kind)>,
        space: Space,
    ) -> Made {
        let scope = &from.sources;
        let mut keys: Vec<Target> = Vec::new();
        if let Some((name, kind)) = &carried {
            keys.push(Target {
                piece: text(name.clone()),
                kind: *kind,
            });
        }
        let mut targets: Vec<Target> = Vec::new();
        match want.kinds {
            Some(kinds) => {
                for kind in kinds {
                    match self.dice.one_in(2) {
                        true => {
                            let piece = self.value(*kind, scope, 1);
                            keys.push(Target { piece, kind: *kind });
                        }
                        false => {
                            let piece = self.value(*kind, scope, 0);
                            keys.push(Target { piece, kind: *kind });
                        }
                    }
                }
            }
            None => {
                let count = match carried.is_some() {
                    true => self.dice.below(2),
                    false => self.dice.weighted(&[(3, 0), (5, 1), (3, 2), (1, 3)]),
                };
                for _ in 0..count {
                    let kind = GROUPED[self.dice.below(GROUPED.len())];
                    let depth = usize::from(self.dice.one_in(3));
                    let piece = self.value(kind, scope, depth);
                    keys.push(Target { piece, kind });
                }
                let keyed: Vec<&Source> = scope.iter().filter(|source| source.key.is_some()).collect();
                if !keyed.is_empty() && carried.is_none() && self.dice.percent(30) {
                    let source = keyed[self.dice.below(keyed.len())];
                    let key = source.key.clone().expect("chosen by it");
                    let kind = source.kind(&key);
                    let at = self.dice.below(keys.len() + 1);
                    keys.insert(
                        at,
                        Target {
                            piece: text(source.name(&key)),
                            kind,
                        },
                    );
                }
                // A constant isn't a group key, but a mistake.
                keys.retain(|key| !matches!(key.piece, Piece::Literal(_) | Piece::Parameter(..)));
                for _ in 0..=self.dice.below(3) {
                    targets.push(self.aggregate(scope, &keys, 2));
                }
            }
        }
        let shown = match (want.place, want.kinds) {
            (Place::Top, _) if self.dice.one_in(6) => 0,
            _ => keys.len(),
        };
        let mut all: Vec<Target> = keys
            .iter()
            .take(shown)
            .map(|key| Target {
                piece: key.piece.clone(),
                kind: key.kind,
            })
            .collect();
        all.extend(targets);
        let how = self.dice.below(3);
        let by: Vec<Piece> = keys
            .iter()
            .enumerate()
            .map(|(at, key)| match how {
                0 if at < shown => text((at + 1).to_string()),
                1 if at < shown => text(format!("c{at}")),
                _ => key.piece.clone(),
            })
            .collect();
        let mut groups = match by.is_empty() {
            true => nothing(),
            false => fill(" GROUP BY {}", [Piece::List(", ", by.len(), by)]),
        };
        if self.dice.one_in(4) {
            let having = self.having(scope, &keys);
            groups = Piece::All(vec![groups, maybe(fill(" HAVING {}", [having]))]);
        }
        let names: Vec<(String, Kind)> = keys
            .iter()
            .enumerate()
            .take(shown)
            .map(|(at, key)| (format!("c{at}"), key.kind))
            .collect();
        let tail = match want.place {
            Place::Arm => nothing(),
            Place::Inside if !self.dice.one_in(15) || keys.is_empty() => nothing(),
            _ if keys.is_empty() => match self.dice.one_in(8) {
                true => text(" ORDER BY 1"),
                false => nothing(),
            },
            place => self.groups_tail(&keys, &all, shown, place, scope),
        };
        let columns = all
            .iter()
            .enumerate()
            .map(|(at, target)| (format!("c{at}"), target.kind))
            .collect();
        let key = carried.map(|_| "c0".to_owned());
        let unique = match shown == keys.len() {
            true => names.into_iter().map(|(name, _)| name).collect(),
            false => Vec::new(),
        };
        let first = if self.dice.one_in(25) {
            text("DISTINCT ")
        } else {
            nothing()
        };
        Made {
            piece: self.assemble(want, first, &all, from, filter, groups, tail),
            columns,
            unique,
            key,
            space,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the clauses of a SELECT")]
    fn assemble(
        &mut self,
        want: &Want<'_>,
        first: Piece,
        targets: &[Target],
        from: &super::joins::From,
        filter: Piece,
        groups: Piece,
        tail: Piece,
    ) -> Piece {
        let named = |(at, target): (usize, &Target)| fill(&format!("{{}} AS c{at}"), [target.piece.clone()]);
        let list: Vec<Piece> = targets.iter().enumerate().map(named).collect();
        // Ordinals and the columns of whoever reads it count on them.
        let least = match want.place {
            Place::Top if !ordinals(&groups) && !ordinals(&tail) => 1,
            _ => list.len(),
        };
        let list = Piece::List(", ", least, list);
        fill(
            "SELECT {}{} FROM {}{}{}{}",
            [first, list, from.piece.clone(), filter, groups, tail],
        )
    }

    /// ORDER BY, LIMIT and OFFSET of groups.
    fn groups_tail(&mut self, keys: &[Target], all: &[Target], shown: usize, place: Place, scope: &[Source]) -> Piece {
        let mut unique = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let written = match (at < shown, self.dice.below(3)) {
                (true, 0) => text((at + 1).to_string()),
                (true, 1) if key.kind != Kind::Text => text(format!("c{at}")),
                _ => key.piece.clone(),
            };
            unique.push((written, key.kind));
        }
        let mut before = Vec::new();
        if self.dice.one_in(3) {
            for _ in 0..=self.dice.below(2) {
                let target = &all[self.dice.below(all.len())];
                before.push((target.piece.clone(), target.kind));
            }
        } else if self.dice.one_in(4) {
            let target = self.aggregate(scope, keys, 1);
            before.push((target.piece, target.kind));
        }
        before.retain(|(_, kind)| COMPARED.contains(kind));
        self.tail_of(before, unique, place)
    }

    /// ORDER BY and LIMIT over rows that these columns make unique; no order is total if there are none.
    fn tail(&mut self, targets: &[Target], unique: &[(String, Kind)], scope: &[Source], place: Place) -> Piece {
        let mut before = Vec::new();
        for _ in 0..self.dice.weighted(&[(3, 0), (4, 1), (2, 2)]) {
            match (targets.is_empty(), self.dice.below(3)) {
                (true, _) => break,
                (_, 0) => {
                    let at = self.dice.below(targets.len());
                    before.push((text((at + 1).to_string()), targets[at].kind));
                }
                (_, 1) => {
                    let at = self.dice.below(targets.len());
                    before.push((targets[at].piece.clone(), targets[at].kind));
                }
                _ if self.dice.one_in(12) => before.push(self.scalar(scope, 0)),
                _ => {
                    let kind = COMPARED[self.dice.below(COMPARED.len())];
                    before.push((self.value(kind, scope, 1), kind));
                }
            }
        }
        before.retain(|(piece, kind)| {
            COMPARED.contains(kind) && !matches!(piece, Piece::Literal(_) | Piece::Parameter(..))
        });
        self.tail_of(
            before,
            unique.iter().map(|(name, kind)| (text(name.clone()), *kind)).collect(),
            place,
        )
    }

    fn tail_of(&mut self, before: Vec<(Piece, Kind)>, unique: Vec<(Piece, Kind)>, place: Place) -> Piece {
        let is_total = !unique.is_empty() && (place == Place::Inside || self.dice.percent(75));
        let limit = self.limit(place);
        if !is_total {
            let ordinals: Option<Vec<usize>> = before
                .iter()
                .map(|(piece, _)| match piece {
                    Piece::Text(text) => text.parse::<usize>().ok().and_then(|at| at.checked_sub(1)),
                    _ => None,
                })
                .collect();
            if before.is_empty() || self.dice.one_in(2) {
                return limit;
            }
            let fixed = matches!(&ordinals, Some(columns) if !columns.is_empty());
            let items: Vec<Piece> = before
                .into_iter()
                .map(|(piece, kind)| self.sort_by(piece, kind))
                .collect();
            let least = if fixed { items.len() } else { 1 };
            let order = fill(" ORDER BY {}", [Piece::List(", ", least, items)]);
            // With all that tie with the last, which rows come is certain.
            let limit = match place == Place::Top && self.dice.one_in(5) {
                true => fill(
                    " FETCH FIRST {} ROWS WITH TIES",
                    [Piece::Literal(["3".into(), "8".into()])],
                ),
                false => limit,
            };
            let order = match ordinals.filter(|_| fixed) {
                Some(columns) => maybe(Piece::Order(Ordered::By(columns), Box::new(order))),
                None => maybe(order),
            };
            return Piece::All(vec![order, limit]);
        }
        let before: Vec<Piece> = before
            .into_iter()
            .map(|(piece, kind)| maybe(fill("{}, ", [self.sort_by(piece, kind)])))
            .collect();
        let mut order = before;
        for (at, (piece, kind)) in unique.into_iter().enumerate() {
            if at > 0 {
                order.push(text(", "));
            }
            order.push(self.sort_by(piece, kind));
        }
        let order = fill(" ORDER BY {}", [Piece::All(order)]);
        // Of a subquery's order nothing is seen from outside.
        let order = match place {
            Place::Inside => order,
            Place::Top | Place::Arm => maybe(Piece::Order(Ordered::Total, Box::new(order))),
        };
        Piece::All(vec![order, limit])
    }

    fn limit(&mut self, place: Place) -> Piece {
        let some = if place == Place::Inside { 1 } else { 3 };
        if !self.dice.one_in(some) {
            return nothing();
        }
        let number = |maker: &mut Self, bound: usize| -> Piece {
            let values = [maker.dice.below(bound), maker.dice.below(bound)].map(|number| number.to_string());
            match maker.constants == Constants::Bound && maker.dice.one_in(3) {
                true => {
                    let kind = if maker.dice.one_in(2) { "int8" } else { "unknown" };
                    Piece::Parameter(values.map(Some), kind)
                }
                false => Piece::Literal(values),
            }
        };
        let rows = number(self, 20);
        let limit = match self.dice.below(6) {
            0 if place == Place::Top && self.dice.one_in(2) => {
                let number = [
                    "ALL",
                    "NULL",
                    "'4'",
                    "2 + 3",
                    "(3)",
                    "4::bigint",
                    "1e1",
                    "2.5",
                    "-1",
                    "'x'",
                ];
                text(format!(" LIMIT {}", self.dice.pick(&number)))
            }
            0 if place == Place::Top => text(""),
            1 => fill(" FETCH FIRST {} ROWS ONLY", [Piece::Literal(["3".into(), "8".into()])]),
            _ => fill(" LIMIT {}", [rows]),
        };
        let offset = match self.dice.one_in(3) {
            true => fill(" OFFSET {}", [number(self, 30)]),
            false => nothing(),
        };
        let both = match limit.written(0).sql.starts_with(" FETCH") {
            true => [offset, limit],
            false => [limit, offset],
        };
        let both = Piece::All(both.map(maybe).to_vec());
        match place {
            Place::Inside => both,
            Place::Top | Place::Arm => maybe(Piece::Limit(Box::new(both))),
        }
    }

    /// An entry of ORDER BY.
    fn sort_by(&mut self, piece: Piece, kind: Kind) -> Piece {
        let is_ordinal = matches!(&piece, Piece::Text(text) if text.parse::<usize>().is_ok());
        let is_text = matches!(kind, Kind::Text);
        let collate = match is_text && !is_ordinal && self.dice.percent(90) {
            true => " COLLATE \"C\"",
            false => "",
        };
        let piece = if collate.is_empty() {
            piece
        } else {
            fill("({})", [piece])
        };
        let direction = self.dice.pick(&["", "", " ASC", " DESC", " DESC"]);
        let nulls = self.dice.pick(&["", "", " NULLS FIRST", " NULLS LAST"]);
        let how = Piece::OneOf(vec![text(format!("{direction}{nulls}")), nothing()]);
        fill(&format!("{{}}{collate}{{}}"), [piece, how])
    }

    /// An aggregate, or an expression over some.
    fn aggregate(&mut self, scope: &[Source], keys: &[Target], depth: usize) -> Target {
        let number = [Kind::Int8, Kind::Int4, Kind::Int2, Kind::Numeric, Kind::Int4][self.dice.below(5)];
        let int8 = |piece| Target {
            piece,
            kind: Kind::Int8,
        };
        let numeric = |piece| Target {
            piece,
            kind: Kind::Numeric,
        };
        if depth > 0 && self.dice.one_in(4) {
            let one = self.aggregate(scope, keys, depth - 1);
            return match (self.dice.below(7), one.kind) {
                (0, kind) if kind.is_integer() || kind == Kind::Numeric => {
                    numeric(over("coalesce({}, 0)", [one.piece]))
                }
                (1, kind) if kind.is_integer() || kind == Kind::Numeric => {
                    let other = self.aggregate_number(scope);
                    numeric(over("{} + {}", [one.piece, other]))
                }
                (2, kind) if kind.is_integer() || kind == Kind::Numeric => {
                    numeric(fill("round({}::numeric, 2)", [one.piece]))
                }
                (3, kind) if kind.is_integer() || kind == Kind::Numeric => {
                    let other = self.aggregate_number(scope);
                    numeric(fill("{} / nullif({}, 0)", [one.piece, other]))
                }
                (4, kind) => {
                    let written = fill("CASE WHEN count(*) > 2 THEN {} END", [one.piece.clone()]);
                    Target {
                        piece: Piece::OneOf(vec![written, one.piece]),
                        kind,
                    }
                }
                (5, _) if !keys.is_empty() => {
                    let key = &keys[self.dice.below(keys.len())];
                    let piece = fill("concat({}, ':', {})", [key.piece.clone(), one.piece]);
                    Target {
                        piece,
                        kind: Kind::Text,
                    }
                }
                _ => Target {
                    piece: fill("({})::text", [one.piece]),
                    kind: Kind::Text,
                },
            };
        }
        if self.dice.one_in(30) && !keys.is_empty() {
            let key = keys[self.dice.below(keys.len())].piece.clone();
            return numeric(fill("sum(count(*)) OVER (PARTITION BY {})", [key]));
        }
        let filter = match self.dice.one_in(6) {
            true => maybe(fill(" FILTER (WHERE {})", [self.condition(scope, 0)])),
            false => nothing(),
        };
        let any = self.kind_in(scope);
        let argument = |maker: &mut Self, kind: Kind| {
            let depth = usize::from(maker.dice.one_in(4));
            maker.value(kind, scope, depth)
        };
        match self.dice.below(20) {
            0..=2 => int8(fill("count(*){}", [filter])),
            3 | 4 => int8(fill("count({}){}", [argument(self, any), filter])),
            5 => int8(fill("count(DISTINCT {}){}", [argument(self, any), filter])),
            6..=8 => numeric(fill("sum({}){}", [argument(self, number), filter])),
            9 | 10 => numeric(fill("avg({}){}", [argument(self, number), filter])),
            11 | 12 => {
                // The last is boolean, which has neither.
                let kind = COMPARED[self.dice.below(COMPARED.len() - 1)];
                let which = self.dice.pick(&["min", "max"]);
                let collate = if kind == Kind::Text { " COLLATE \"C\"" } else { "" };
                let argument = argument(self, kind);
                let argument = if collate.is_empty() {
                    argument
                } else {
                    fill("({})", [argument])
                };
                Target {
                    piece: fill(&format!("{which}({{}}{collate}){{}}"), [argument, filter]),
                    kind,
                }
            }
            13 => {
                let which = self.dice.pick(&["bool_and", "bool_or", "every"]);
                let piece = fill(&format!("{which}({{}}){{}}"), [self.condition(scope, 0), filter]);
                Target {
                    piece,
                    kind: Kind::Bool,
                }
            }
            14 => {
                let which = self.dice.pick(&["bit_and", "bit_or"]);
                int8(fill(
                    &format!("{which}({{}}){{}}"),
                    [argument(self, Kind::Int8), filter],
                ))
            }
            15 => {
                let which = self.dice.pick(&["min", "max", "sum", "avg"]);
                let kind = if matches!(which, "min" | "max") {
                    Kind::Numeric
                } else {
                    number
                };
                numeric(fill(
                    &format!("{which}(DISTINCT {{}}){{}}"),
                    [argument(self, kind), filter],
                ))
            }
            16 => {
                let value = argument(self, Kind::Text);
                let piece = fill("string_agg({}, ',' ORDER BY {})", [value.clone(), value]);
                Target {
                    piece,
                    kind: Kind::Text,
                }
            }
            17 => {
                let value = argument(self, Kind::Int8);
                let piece = fill("array_agg({} ORDER BY {} DESC)::text", [value.clone(), value]);
                Target {
                    piece,
                    kind: Kind::Text,
                }
            }
            18 => numeric(fill("sum({}) * 2", [argument(self, number)])),
            _ => int8(fill("count(*){}", [filter])),
        }
    }

    fn aggregate_number(&mut self, scope: &[Source]) -> Piece {
        let number = [Kind::Int8, Kind::Int4, Kind::Numeric][self.dice.below(3)];
        let value = self.value(number, scope, 0);
        let which = self.dice.pick(&["count", "sum", "min", "max", "avg"]);
        fill(&format!("{which}({{}})"), [value])
    }

    fn having(&mut self, scope: &[Source], keys: &[Target]) -> Piece {
        let aggregate = self.aggregate_number(scope);
        let operator = self.dice.pick(&["=", "<>", "<", "<=", ">", ">="]);
        let bound = match self.dice.one_in(4) {
            true => self.aggregate_number(scope),
            false => self.literal(Kind::Numeric, ""),
        };
        let first = fill(&format!("{{}} {operator} {{}}"), [aggregate, bound]);
        match self.dice.below(9) {
            0 => over("{} AND count(*) > 1", [first]),
            1 => over("({} OR count(*) > 4)", [first]),
            2 if !keys.is_empty() => {
                let key = &keys[self.dice.below(keys.len())];
                over(
                    &format!("{{}} AND {{}} IS {}NULL", if self.dice.one_in(3) { "" } else { "NOT " }),
                    [first, key.piece.clone()],
                )
            }
            3 => over("NOT ({})", [first]),
            4 => over("({}) IS NOT TRUE", [first]),
            5 => over("{} OR count(*) > (SELECT count(*) FROM countries)", [first]),
            _ => first,
        }
    }

    /// A subquery that gives one value.
    fn scalar(&mut self, scope: &[Source], depth: usize) -> (Piece, Kind) {
        let outer = scope[self.dice.below(scope.len())].clone();
        let space = Space::Everywhere;
        let inner = match self.dice.percent(80) && outer.key.is_some() {
            true => self.inner(&outer, scope, depth),
            false => self.loose(space, depth),
        };
        let own = std::slice::from_ref(&inner.source).to_vec();
        match self.dice.below(3) {
            0 => {
                let mut order = Piece::All(Vec::new());
                for (at, column) in inner.source.unique.iter().enumerate() {
                    let entry = self.sort_by(text(inner.source.name(column)), inner.source.kind(column));
                    order = Piece::All(vec![order, text(if at > 0 { ", " } else { "" }), entry]);
                }
                let kind = self.kind_in(&own);
                let value = self.value(kind, &own, 1);
                let piece = fill(
                    "(SELECT {} FROM {}{} ORDER BY {} LIMIT 1)",
                    [value, inner.from, inner.filter, order],
                );
                (piece, kind)
            }
            1 => (
                fill("EXISTS (SELECT FROM {}{})", [inner.from, inner.filter]),
                Kind::Bool,
            ),
            _ => {
                let target = self.aggregate(&own, &[], 1);
                (
                    fill("(SELECT {} FROM {}{})", [target.piece, inner.from, inner.filter]),
                    target.kind,
                )
            }
        }
    }

    /// A window function over partitions that mostly lie on one shard.
    fn window(&mut self, scope: &[Source], key: Option<String>, unique: &[(String, Kind)]) -> Target {
        let mut by: Vec<Piece> = Vec::new();
        if let Some(key) = key.filter(|_| self.dice.percent(85)) {
            by.push(text(key));
        }
        if self.dice.one_in(3) {
            let kind = self.kind_in(scope);
            if let Some((column, _)) = self.column(kind, scope) {
                by.push(column);
            }
        }
        let partition = match by.is_empty() {
            true => nothing(),
            false => fill("PARTITION BY {}", [Piece::List(", ", by.len(), by)]),
        };
        let entries: Vec<Piece> = unique
            .iter()
            .map(|(name, kind)| self.sort_by(text(name.clone()), *kind))
            .collect();
        let order = match entries.is_empty() {
            true => nothing(),
            false => fill(" ORDER BY {}", [Piece::List(", ", entries.len(), entries)]),
        };
        let number = [Kind::Int8, Kind::Int4, Kind::Numeric][self.dice.below(3)];
        let value = self.value(number, scope, 0);
        let ranked = !unique.is_empty();
        match self.dice.below(8) {
            0 | 1 if ranked => Target {
                piece: fill("row_number() OVER ({}{})", [partition, order]),
                kind: Kind::Int8,
            },
            2 if ranked => Target {
                piece: fill("rank() OVER ({}{})", [partition, order]),
                kind: Kind::Int8,
            },
            3 if ranked => Target {
                piece: fill("lag({}) OVER ({}{})", [value, partition, order]),
                kind: number,
            },
            4 if ranked => {
                let frame = text(" ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING");
                let piece = fill("sum({}) OVER ({}{}{})", [value, partition, order, maybe(frame)]);
                Target {
                    piece,
                    kind: Kind::Numeric,
                }
            }
            5 => Target {
                piece: fill("avg({}) OVER ({})", [value, partition]),
                kind: Kind::Numeric,
            },
            6 => Target {
                piece: fill("max({}) OVER ({})", [value, partition]),
                kind: number,
            },
            _ => Target {
                piece: fill("count(*) OVER ({})", [partition]),
                kind: Kind::Int8,
            },
        }
    }
}

/// Types whose order or equality several shards' rows may be compared by.
const COMPARED: [Kind; 11] = [
    Kind::Char,
    Kind::Side,
    Kind::Int8,
    Kind::Int4,
    Kind::Int2,
    Kind::Numeric,
    Kind::Float,
    Kind::Text,
    Kind::Stamp,
    Kind::Date,
    Kind::Bool,
];

/// Those that make groups of several rows.
const GROUPED: [Kind; 8] = [
    Kind::Int4,
    Kind::Int2,
    Kind::Text,
    Kind::Char,
    Kind::Side,
    Kind::Date,
    Kind::Float,
    Kind::Bool,
];

/// Text with a word in place of another.
fn renamed(text: &str, from: &str, to: &str) -> String {
    let mut out = String::new();
    let mut word = String::new();
    for character in text.chars().map(Some).chain([None]) {
        match character {
            Some(letter) if letter.is_ascii_alphanumeric() || letter == '_' => word.push(letter),
            end => {
                out.push_str(if word == from { to } else { &word });
                word.clear();
                out.extend(end);
            }
        }
    }
    out
}

/// Does it name outputs by number?
fn ordinals(piece: &Piece) -> bool {
    !piece.written(0).sql.is_empty()
}

/// The names of the outputs that are the columns which make rows unique, if all are there.
fn carried_unique(targets: &[Target], unique: &[(String, Kind)]) -> Vec<String> {
    let find = |name: &String| {
        let at = targets.iter().position(|target| target.piece == text(name.clone()));
        at.map(|at| format!("c{at}"))
    };
    let found: Option<Vec<String>> = unique.iter().map(|(name, _)| find(name)).collect();
    found.unwrap_or_default()
}
