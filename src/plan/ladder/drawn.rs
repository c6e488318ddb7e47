//! Before home and one shard: what draws from sequences, or tells what was drawn, and could go to a shard only with the
//! values as constants in its text: an INSERT that leaves a serial or identity column out, calls `nextval` or `currval` in
//! VALUES, and `SELECT currval(…)`.
//!
//! Holds: what isn't taken here goes on down the ladder, where drawing from a shard's own copy is refused.

use crate::catalog::{Column, DrawnFrom, Filling, IdentityKind, Relation};
use crate::plan::ladder::insert::is_default;
use crate::plan::ladder::reference::{Made, made};
use crate::plan::ladder::write::target;
use crate::plan::ladder::{Case, Literals, Route, Ruling, Tree};
use crate::plan::resolve::{
    BlockId, BlockKind, Body, Callee, Origin, Placement, QueryId, Resolved, Role, Root, object_name, placement,
};
use crate::plan::sequences::{
    Called, Keyed, Layout, Listed, Piece, Place, Privilege, Recall, RowLayout, SEQUENCE_FUNCTIONS, Slots, SourceLayout,
    Template, Words, called, changed_by, insert_layout, listed, select_items,
};
use crate::plan::{Access, RefusalId, SequenceUse, SessionEffect, Snapshot, Verdict, Work, refuse};
use crate::sql::ast::{Distinct, Expr, GroupByExpr, Insert, InsertOverriding, Query, Select, SelectItem};
use crate::sql::{Command, quote_identifier};
use crate::topology::{QualifiedName, ShardId};

/// What needs values of sequences in its text.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let Tree::Resolved(resolved) = case.resolved else {
        return Ok(None);
    };
    let home = case.snapshot.topology().home();
    let found = match resolved.root {
        Root::Modify(block) => insert(case, resolved, block),
        Root::Query(query) => recall(case, resolved, query)
            .or_else(|| super::setval::setval(case, resolved, query))
            .map(|template| (template, home)),
    };
    let Some((template, prepare_on)) = found else {
        return Ok(None);
    };
    // A name in a literal chose the sequence, or numbers the order: another text of the shape may have others.
    let literals = match (calls(resolved), template.is_batch()) {
        (0, false) => Literals::Opaque,
        (_, _) => Literals::Read,
    };
    Ok(Some(Ruling {
        route: Route::Drawn(Box::new(template)),
        access: Access::Write,
        effect: SessionEffect::None,
        prepare_on,
        literals,
    }))
}

/// What a statement that is sent as it is does to the session's memory of sequences.
pub(in crate::plan) fn sequence_use(case: &Case<'_>, ruling: &Ruling) -> SequenceUse {
    if matches!(
        &ruling.route,
        Route::Ready {
            work: Work::CopyIn(_) | Work::CopyOut(_),
            ..
        }
    ) {
        return SequenceUse::Untouched; // what it draws is drawn for the session
    }
    if matches!(case.command, Command::Truncate) && super::words::has_word(case, &["restart"]) {
        return SequenceUse::Restarted;
    }
    let used = match case.resolved {
        Tree::Resolved(resolved) => changed(resolved),
        Tree::NotWanted | Tree::Unparsed(_) | Tree::Refused(_) => {
            match super::words::has_word(case, &["nextval", "setval", "copy"]) {
                true => SequenceUse::Unseen,
                false => SequenceUse::Untouched,
            }
        }
    };
    match &ruling.effect {
        SessionEffect::None | SessionEffect::Pin(_) => used,
        SessionEffect::Opaque => SequenceUse::Unseen,
    }
}

/// The sequences that calls of `nextval` and `setval` change, and those by which a shard fills its own tables.
fn changed(resolved: &Resolved<'_>) -> SequenceUse {
    let changes = |name: &str| matches!(name.rsplit('.').next(), Some("nextval" | "setval"));
    let mut sequences = Vec::new();
    for function in resolved
        .uses
        .functions
        .iter()
        .filter(|function| changes(&function.name))
    {
        match function.call.and_then(|call| changed_by(resolved.input, call)) {
            Some(sequence) => sequences.push(sequence),
            None => return SequenceUse::Unseen,
        }
    }
    for reference in &resolved.references {
        match (reference.role, reference.placement) {
            (Role::Read | Role::Delete, _) => continue,
            (Role::Insert | Role::Update | Role::Merge, Placement::Unsharded(_)) => {}
            // Its columns aren't known here.
            (Role::Insert | Role::Update | Role::Merge, Placement::Temporary) => return SequenceUse::Unseen,
            (Role::Insert | Role::Update | Role::Merge, _) => continue,
        }
        let columns = reference
            .relation
            .map_or(&[][..], |relation| relation.columns.as_slice());
        for drawn in columns.iter().filter_map(|column| column.filling.drawn_from()) {
            match drawn {
                DrawnFrom::Next(sequence) => sequences.push(sequence.clone()),
                DrawnFrom::Otherwise => return SequenceUse::Unseen,
            }
        }
    }
    match sequences.is_empty() {
        true => SequenceUse::Untouched,
        false => SequenceUse::UnseenOf(sequences.into()),
    }
}

/// Calls of functions of sequences in a statement.
fn calls(resolved: &Resolved<'_>) -> usize {
    let names = |name: &str| {
        name.rsplit('.')
            .next()
            .is_some_and(|bare| SEQUENCE_FUNCTIONS.contains(&bare))
    };
    let calls = resolved.uses.functions.iter();
    let calls = calls.filter(|function| names(&function.name) && !matches!(function.callee, Callee::Missing));
    calls.count()
}

// === INSERT ===

/// An INSERT of rows whose cells are known.
struct Rows<'r, 'a> {
    case: &'r Case<'r>,
    resolved: &'r Resolved<'a>,
    relation: &'a Relation,
    insert: &'a Insert,
    layout: Layout,
    words: Words<'r>,
    /// cells of each row by the tree
    cells: Vec<&'a [Expr]>,
    /// the table's columns that the cells are for
    given: Vec<usize>,
    placed: Placement,
}

/// One slot of a row.
struct Cell {
    place: Place,
    what: Want,
}

/// What a slot is to hold.
enum Want {
    Filled(usize),
    Called(Called),
}

fn insert<'a>(case: &Case<'_>, resolved: &Resolved<'a>, block: BlockId) -> Option<(Template, ShardId)> {
    let node = resolved.blocks.get(block.0)?;
    let BlockKind::Insert(insert) = node.kind else {
        return None;
    };
    let reference = target(resolved, node).filter(|_| node.origin == Origin::Statement)?;
    let relation = reference.relation?;
    let words = Words {
        text: case.text,
        tokens: case.tokens,
    };
    let layout = insert_layout(words, insert.columns.len())?;
    let batch = layout.list.filter(|_| layout.overriding.is_none());
    let batch = batch.and_then(|list| listed(words, list));
    let (cells, width) = match (&layout.source, &batch) {
        (SourceLayout::Other, Some(batch)) => (vec![&[][..]; batch.rows.len()], batch.casts.len()),
        (SourceLayout::Defaults(..), _) => (cells(resolved, node.source, &layout)?, 0),
        (SourceLayout::Rows(_, rows), _) => (cells(resolved, node.source, &layout)?, rows.first()?.cells.len()),
        (SourceLayout::Other, None) => return None,
    };
    let rows = Rows {
        case,
        resolved,
        relation,
        insert,
        cells,
        given: given(relation, insert, width)?,
        placed: reference.placement,
        words,
        layout,
    };
    match (&rows.layout.source, &batch) {
        (SourceLayout::Other, Some(batch)) => rows.batch(batch, &reference.name, reference.placement),
        _ => rows.template(&reference.name, reference.placement),
    }
}

/// The cells of each row, which must be as many by the tree as by tokens.
fn cells<'a>(resolved: &Resolved<'a>, source: Option<QueryId>, layout: &Layout) -> Option<Vec<&'a [Expr]>> {
    let rows = match (&layout.source, source) {
        (SourceLayout::Defaults(..), None) => return Some(Vec::new()),
        (SourceLayout::Rows(_, rows), Some(_)) => rows,
        (SourceLayout::Defaults(..) | SourceLayout::Other, Some(_))
        | (SourceLayout::Rows(..) | SourceLayout::Other, None) => {
            return None;
        }
    };
    let node = resolved.queries.get(source?.0)?;
    let query = node.query;
    let plain = query.with.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.order_by.is_none()
        && query.locks.is_empty();
    let Body::Block(body) = node.body else { return None };
    let BlockKind::Values(values) = resolved.blocks.get(body.0)?.kind else {
        return None;
    };
    let cells: Vec<&'a [Expr]> = values.rows.iter().map(|row| row.content.as_slice()).collect();
    let width = cells.first()?.len();
    let same = cells.len() == rows.len()
        && cells.iter().all(|row| row.len() == width)
        && rows.iter().all(|row| row.cells.len() == width);
    (plain && same).then_some(cells)
}

/// The table's columns in the order of the cells; `None` where Postgres will find an error.
fn given(relation: &Relation, insert: &Insert, width: usize) -> Option<Vec<usize>> {
    if insert.columns.is_empty() {
        return (width <= relation.columns.len()).then(|| (0..width).collect());
    }
    let place = |name: &str| relation.columns.iter().position(|column| column.name == name);
    let named = insert.columns.iter().map(|name| match object_name(name)?.as_slice() {
        [name] => place(name),
        _ => None,
    });
    let named: Vec<usize> = named.collect::<Option<_>>()?;
    let distinct = named
        .iter()
        .enumerate()
        .all(|(at, column)| !named.iter().take(at).any(|other| other == column));
    (distinct && named.len() == width).then_some(named)
}

impl<'a> Rows<'_, 'a> {
    fn column(&self, index: usize) -> Option<&'a Column> {
        self.relation.columns.get(index)
    }

    fn draws(&self, index: usize) -> bool {
        self.column(index)
            .is_some_and(|column| column.filling.drawn_from().is_some())
            || self.made(index).is_some()
    }

    /// What a column of a reference table is filled with, where the shards would fill it each in its own way.
    fn made(&self, index: usize) -> Option<Made> {
        match self.placed {
            Placement::Reference => made(self.resolved.input.catalog, &self.column(index)?.filling),
            Placement::Sharded { .. }
            | Placement::Unsharded(_)
            | Placement::System
            | Placement::Temporary
            | Placement::Missing => None,
        }
    }

    /// Columns that are filled from a sequence, or by us, in every row.
    fn left_out(&self) -> Vec<usize> {
        let columns = 0..self.relation.columns.len();
        columns
            .filter(|index| !self.given.contains(index) && self.draws(*index))
            .collect()
    }

    fn rows(&self) -> usize {
        self.cells.len().max(1) // DEFAULT VALUES is one
    }

    fn template(&self, name: &str, placed: Placement) -> Option<(Template, ShardId)> {
        let home = self.case.snapshot.topology().home();
        let left_out = self.left_out();
        let mut slots = Slots::default();
        let mut edits: Vec<(Place, Vec<Piece>)> = Vec::new();
        let mut called_here = 0usize;
        let mut first = None;
        for row in 0..self.rows() {
            for cell in self.slots_of(row)? {
                called_here = called_here.saturating_add(usize::from(matches!(cell.what, Want::Called(_))));
                let slot = match cell.what {
                    Want::Filled(column) => {
                        first.get_or_insert(column);
                        self.fill(&mut slots, column)?
                    }
                    Want::Called(Called::Next(sequence)) => slots.draw(&sequence, Privilege::Usage),
                    Want::Called(Called::Current(sequence)) => slots.recall(Recall::Current(sequence)),
                    Want::Called(Called::Last) => slots.recall(Recall::Last),
                };
                edits.push((cell.place, pieces(cell.place, slot)));
            }
        }
        let owned = slots.ask().draws;
        let counts_on = |sequence: &QualifiedName| counts_on(self.case.snapshot, sequence);
        if slots.is_empty() || calls(self.resolved) != called_here || slots.is_entangled() {
            return None;
        }
        match placed {
            // Its own shard fills it.
            Placement::Unsharded(shard)
                if called_here == 0 && owned.iter().all(|draw| counts_on(&draw.sequence) == shard) =>
            {
                return None;
            }
            _ if owned.iter().any(|draw| counts_on(&draw.sequence) != home) => return None,
            _ => {}
        }
        self.columns(&left_out, &mut edits)?;
        self.finish(name, placed, (slots, edits), first)
    }

    /// A batch in the form of a SELECT over VALUES becomes VALUES.
    fn batch(&self, batch: &Listed, name: &str, placed: Placement) -> Option<(Template, ShardId)> {
        let home = self.case.snapshot.topology().home();
        let left_out = self.left_out();
        let identity = |index: &usize| self.column(*index).map(|column| &column.filling);
        let always = |filling: &Filling| {
            matches!(
                filling,
                Filling::Identity {
                    generated: IdentityKind::Always,
                    ..
                }
            )
        };
        let spread = matches!(placed, Placement::Sharded { .. } | Placement::Reference);
        if (left_out.is_empty() && !spread)
            || calls(self.resolved) > 0
            || self.given.iter().filter_map(identity).any(always)
        {
            return None;
        }
        let overriding = self.overriding(&left_out)?.trim_start();
        let mut slots = Slots::default();
        let mut pieces = vec![Piece::Text(format!(
            "{overriding}{}VALUES ",
            if overriding.is_empty() { "" } else { " " }
        ))];
        for (number, row) in batch.rows.iter().enumerate() {
            pieces.push(Piece::Text(if number > 0 { ", (" } else { "(" }.to_owned()));
            for (cell, cast) in &batch.casts {
                let (from, to) = *row.cells.get(*cell)?;
                pieces.extend([
                    Piece::Text("(".to_owned()),
                    Piece::Tokens(from, to),
                    Piece::Text(")".to_owned()),
                ]);
                pieces.extend([Piece::Tokens(cast.0, cast.1), Piece::Text(", ".to_owned())]);
            }
            for column in &left_out {
                pieces.extend([
                    Piece::Value(self.fill(&mut slots, *column)?),
                    Piece::Text(", ".to_owned()),
                ]);
            }
            pieces.pop();
            pieces.push(Piece::Text(")".to_owned()));
        }
        let draws = slots.ask().draws;
        if draws
            .iter()
            .any(|draw| counts_on(self.case.snapshot, &draw.sequence) != home)
        {
            return None;
        }
        let named = left_out
            .iter()
            .map(|index| Some(quote_identifier(&self.column(*index)?.name)));
        let added = named.collect::<Option<Vec<_>>>()?.join(", ");
        let mut edits = vec![(Place::Over(batch.select, batch.end), pieces)];
        if !added.is_empty() {
            let added = vec![Piece::Text(format!(", {added}"))];
            edits.insert(0, (Place::Before(self.layout.list?), added));
        }
        self.finish(name, placed, (slots, edits), left_out.first().copied())
    }

    fn finish(
        &self,
        name: &str,
        placed: Placement,
        (slots, edits): (Slots, Vec<(Place, Vec<Piece>)>),
        first: Option<usize>,
    ) -> Option<(Template, ShardId)> {
        let prepare_on = match placed {
            Placement::Sharded { .. } | Placement::Reference => self.case.snapshot.topology().home(),
            Placement::Unsharded(shard) => shard,
            Placement::System | Placement::Temporary | Placement::Missing => return None,
        };
        let column = first.and_then(|index| self.column(index));
        let why = match first.and_then(|index| self.made(index)) {
            Some(_) => RefusalId::ReferenceDefault,
            None => RefusalId::InsertSequenceDefault,
        };
        let column = column.map_or("nextval", |column| column.name.as_str());
        let instead = refuse(why, &[name, column]);
        let keyed = match placed {
            Placement::Sharded { keyspace: _, key } if self.decides(key) => Keyed::BySlot,
            _ => Keyed::Otherwise,
        };
        Some((
            Template::new(self.case.tokens, slots, edits, instead, (0, keyed)),
            prepare_on,
        ))
    }

    /// Does a slot stand in this column?
    fn decides(&self, column: usize) -> bool {
        let Some(position) = self.given.iter().position(|given| *given == column) else {
            return self.draws(column);
        };
        let cells = self.cells.iter().filter_map(|row| row.get(position));
        let mut cells = cells.map(|cell| is_default(cell) || called(self.resolved.input, cell).is_some());
        cells.any(|slot| slot)
    }

    /// The slots of a row in the order in which Postgres fills them: of one row alone by the table's columns, of several
    /// the cells as written, then what is left out.
    fn slots_of(&self, row: usize) -> Option<Vec<Cell>> {
        let mut found: Vec<((usize, usize), Cell)> = Vec::new();
        let alone = self.rows() == 1;
        let layout = match &self.layout.source {
            SourceLayout::Defaults(..) => None,
            SourceLayout::Rows(_, rows) => Some(rows.get(row)?),
            SourceLayout::Other => return None,
        };
        if let Some(layout) = layout {
            for (position, expr) in self.cells.get(row)?.iter().enumerate() {
                let column = *self.given.get(position)?;
                let order = match alone {
                    true => (0, column),
                    false => (0, position),
                };
                if let Some(cell) = self.cell(layout, position, expr)? {
                    found.push((order, cell));
                }
            }
        }
        for column in self.left_out() {
            let place = match layout {
                Some(layout) => Place::Before(layout.close),
                None => self.defaults()?,
            };
            let what = Want::Filled(column);
            found.push(((usize::from(!alone), column), Cell { place, what }));
        }
        found.sort_by_key(|(order, _)| *order);
        Some(found.into_iter().map(|(_, cell)| cell).collect())
    }

    fn cell(&self, layout: &RowLayout, position: usize, expr: &Expr) -> Option<Option<Cell>> {
        let column = *self.given.get(position)?;
        let span = *layout.cells.get(position)?;
        if is_default(expr) {
            let place = Place::Over(span.0, span.1);
            let what = Want::Filled(column);
            return Some(self.draws(column).then_some(Cell { place, what }));
        }
        let Some(call) = called(self.resolved.input, expr) else {
            return Some(None);
        };
        let (from, to) = self.words.call(span, call.name())?;
        Some(Some(Cell {
            place: Place::Over(from, to),
            what: Want::Called(call),
        }))
    }

    /// The place of the one row of DEFAULT VALUES.
    fn defaults(&self) -> Option<Place> {
        match self.layout.source {
            SourceLayout::Defaults(_, values) => Some(Place::Over(values, values.checked_add(1)?)),
            SourceLayout::Rows(..) | SourceLayout::Other => None,
        }
    }

    fn fill(&self, slots: &mut Slots, column: usize) -> Option<usize> {
        match self.made(column) {
            Some(Made::Written(expression)) => return Some(slots.write(format!("({expression})"))),
            Some(Made::Asked(expression)) => return slots.make(expression),
            None => {}
        }
        let filling = &self.column(column)?.filling;
        let privilege = match filling {
            Filling::Identity { .. } => Privilege::OfTable,
            Filling::Nothing | Filling::Default { .. } | Filling::Generated(_) => Privilege::Usage,
        };
        match filling.drawn_from()? {
            DrawnFrom::Next(sequence) => Some(slots.draw(sequence, privilege)),
            DrawnFrom::Otherwise => None,
        }
    }

    /// Names of the columns that are added, and OVERRIDING where one of them takes no value without.
    fn columns(&self, left_out: &[usize], edits: &mut Vec<(Place, Vec<Piece>)>) -> Option<()> {
        let name = |index: &usize| Some(quote_identifier(&self.column(*index)?.name));
        let added = left_out.iter().map(name).collect::<Option<Vec<_>>>()?.join(", ");
        let overriding = self.overriding(left_out)?;
        if let SourceLayout::Defaults(default, values) = self.layout.source {
            // DEFAULT VALUES: one row of what is drawn
            let drawn: Vec<Piece> = std::mem::take(edits)
                .into_iter()
                .flat_map(|(_, pieces)| pieces)
                .collect();
            let mut row = vec![Piece::Text(format!("({added}){overriding} VALUES ("))];
            for (at, piece) in drawn.into_iter().enumerate() {
                if at > 0 {
                    row.push(Piece::Text(", ".to_owned()));
                }
                row.push(piece);
            }
            row.push(Piece::Text(")".to_owned()));
            edits.push((Place::Over(default, values.checked_add(1)?), row));
            return Some(());
        }
        match self.layout.list {
            Some(close) if !left_out.is_empty() => {
                edits.push((Place::Before(close), vec![Piece::Text(format!(", {added}"))]));
            }
            None if !left_out.is_empty() => {
                let given = self.given.iter().map(name).collect::<Option<Vec<_>>>()?.join(", ");
                let list = format!(" ({given}, {added})");
                edits.push((Place::Behind(self.layout.target), vec![Piece::Text(list)]));
            }
            Some(_) | None => {}
        }
        if let SourceLayout::Rows(word, _) = self.layout.source
            && !overriding.is_empty()
        {
            let text = format!("{} ", overriding.trim_start());
            edits.push((Place::Before(word), vec![Piece::Text(text)]));
        }
        Some(())
    }

    /// ` OVERRIDING SYSTEM VALUE` where a slot stands in a column that is GENERATED ALWAYS; `None` where that would let
    /// through, or keep, what Postgres would not.
    fn overriding(&self, left_out: &[usize]) -> Option<&'static str> {
        let identity = |index: usize| match &self.column(index)?.filling {
            Filling::Identity { generated, .. } => Some(*generated),
            Filling::Nothing | Filling::Default { .. } | Filling::Generated(_) => None,
        };
        let written = self.insert.overriding.is_some() || self.layout.overriding.is_some();
        let mut identities = self.given.iter().filter_map(|index| identity(*index));
        match &self.insert.overriding {
            Some(InsertOverriding::System) => return Some(""),
            // Values given for identity columns don't count then.
            Some(InsertOverriding::User) if identities.next().is_some() || !left_out.is_empty() => return None,
            Some(InsertOverriding::User) => return Some(""),
            None if written => return None,
            None => {}
        }
        let always = |index: usize| identity(index) == Some(IdentityKind::Always);
        let mut needed = left_out.iter().any(|index| always(*index));
        for (position, index) in self.given.iter().enumerate().filter(|(_, index)| always(**index)) {
            let mut cells = self.cells.iter().filter_map(|row| row.get(position));
            if !cells.all(is_default) {
                return None; // Postgres refuses its value
            }
            needed |= self.draws(*index);
        }
        Some(match needed {
            true => " OVERRIDING SYSTEM VALUE",
            false => "",
        })
    }
}

/// A value in a cell of its own, or behind the last one.
fn pieces(place: Place, slot: usize) -> Vec<Piece> {
    match place {
        Place::Before(_) => vec![Piece::Text(", ".to_owned()), Piece::Value(slot)],
        Place::Over(..) | Place::Behind(_) => vec![Piece::Value(slot)],
    }
}

/// The shard whose copy of a sequence counts: that of the unsharded tables which alone draw from it, else home.
pub(super) fn counts_on(snapshot: &Snapshot, sequence: &QualifiedName) -> ShardId {
    let (topology, catalog) = (snapshot.topology(), snapshot.catalog());
    let home = topology.home();
    let mut only: Option<ShardId> = None;
    for relation in catalog.relations.values() {
        let draws = |column: &Column| column.filling.drawn_from() == Some(DrawnFrom::Next(sequence));
        if !relation.columns.iter().any(draws) {
            continue;
        }
        let shard = match placement(topology, relation) {
            Ok(Placement::Unsharded(shard)) => shard,
            Ok(
                Placement::Sharded { .. }
                | Placement::Reference
                | Placement::System
                | Placement::Temporary
                | Placement::Missing,
            )
            | Err(_) => home,
        };
        match only {
            Some(before) if before != shard => return home,
            Some(_) | None => only = Some(shard),
        }
    }
    only.unwrap_or(home)
}

// === SELECT ===

/// Is there nothing around its SELECT?
pub(super) fn is_plain_query(query: &Query) -> bool {
    query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
}

/// Has it nothing but a list, FROM and WHERE?
pub(super) fn is_plain_select(select: &Select) -> bool {
    let grouped = match &select.group_by {
        GroupByExpr::Expressions(expressions, modifiers) => !expressions.is_empty() || !modifiers.is_empty(),
        GroupByExpr::All(_) => true,
    };
    select.having.is_none()
        && select.into.is_none()
        && select.named_window.is_empty()
        && !matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_)))
        && !grouped
}

/// `SELECT currval(…), lastval()` without anything else.
fn recall(case: &Case<'_>, resolved: &Resolved<'_>, query: QueryId) -> Option<Template> {
    let node = resolved.queries.get(query.0)?;
    let Body::Block(block) = node.body else { return None };
    let BlockKind::Select(select) = resolved.blocks.get(block.0)?.kind else {
        return None;
    };
    let plain =
        is_plain_query(node.query) && is_plain_select(select) && select.from.is_empty() && select.selection.is_none();
    let words = Words {
        text: case.text,
        tokens: case.tokens,
    };
    let spans = select_items(words).filter(|spans| plain && spans.len() == select.projection.len())?;
    let mut slots = Slots::default();
    let mut edits = Vec::new();
    for (span, item) in spans.into_iter().zip(&select.projection) {
        let (expr, heading) = match item {
            SelectItem::UnnamedExpr(expr) => (expr, true),
            SelectItem::ExprWithAlias { expr, alias: _ } => (expr, false),
            _ => return None,
        };
        let call = called(resolved.input, expr)?;
        let name = call.name();
        let slot = match call {
            // Home's own to give: it is home's sequence.
            Called::Next(_) => return None,
            Called::Current(sequence) => slots.recall(Recall::Current(sequence)),
            Called::Last => slots.recall(Recall::Last),
        };
        let (from, to) = words.call(span, name)?;
        edits.push((Place::Over(from, to), vec![Piece::Value(slot)]));
        if heading {
            let last = span.1.checked_sub(1)?;
            edits.push((Place::Behind(last), vec![Piece::Text(format!(" AS {name}"))]));
        }
    }
    let instead = refuse(
        RefusalId::FunctionRefused,
        &["currval", super::functions::READS_BACKEND],
    );
    let columns = select.projection.len();
    let template = Template::new(case.tokens, slots, edits, instead, (columns, Keyed::Otherwise));
    (columns > 0).then_some(template)
}
