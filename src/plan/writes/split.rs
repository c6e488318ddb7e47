//! An INSERT of several rows, split by their keys: the proof, and each shard's text.
//!
//! Sketch of a bind: one scan for the tokens, one pass over the rows for their owners, one edit of the text per part. No
//! parse: the template knows rows, parameters and moments by their tokens.
//! Holds: every row stands in exactly one part; parts stand in the order of their first rows, so of several errors that of
//! the lowest row is the client's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::catalog::{Catalog, Column, Relation};
use crate::plan::fanout::{Moment, moments};
use crate::plan::keys::Owner;
use crate::plan::resolve::Resolved;
use crate::plan::{
    Ask, Counts, Facts, Parameters, Refusal, RefusalId, RowOrder, Verdict, WriteAnswer, WritePart, Writes, refuse,
};
use crate::sql::{Edits, Lexing, Literal, LiteralClass, Span, Token, TokenKind, quote_identifier, quote_literal, scan};
use crate::topology::{QualifiedName, ShardId};
use crate::value::{Format, Oid};

use super::check::{Repeats, Returning, Subject};
use super::filling::{Known, Supplied, supplied};
use super::layout::{self, Expected, Layout, Part};
use super::moving;

/// Bytes that may be read to make all parts' texts; each part costs one pass over the client's.
const EDIT_BYTES_MAX: usize = 1 << 28;

/// A proven split: everything that does not depend on keys, literals and parameters.
#[derive(Debug)]
pub(in crate::plan) struct Split {
    table: String,
    key: String,
    /// number of tokens of each text of this shape
    tokens: usize,
    rows: Vec<Row>,
    /// edits outside the rows
    outside: Vec<Change>,
    fillings: Vec<Supplied>,
    /// what must be asked
    moments: BTreeSet<&'static str>,
    /// columns that are added to the client's, each with the question whether its role may write it
    added: Vec<(String, String)>,
    /// the highest `$n`
    parameters: usize,
    /// strings that might be read as a moment
    strings: Vec<usize>,
    returning: Returning,
    repeats: Repeats,
}

/// One row by its tokens.
#[derive(Debug)]
struct Row {
    open: usize,
    close: usize,
    changes: Vec<Change>,
}

/// An edit: what comes into the place of these tokens; an empty range inserts before its token.
#[derive(Debug)]
struct Change {
    tokens: Range<usize>,
    what: What,
}

#[derive(Debug)]
enum What {
    Moment(Moment),
    /// a column's default
    Filling(usize),
    /// `, ` and a column's default
    Appended(usize),
    Text(String),
}

/// What a split is bound to.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Bindings<'b> {
    /// the text of this request
    pub(in crate::plan) text: &'b [u8],
    /// how it is lexed
    pub(in crate::plan) lexing: Lexing,
    /// its parameters
    pub(in crate::plan) parameters: &'b Parameters<'b>,
    /// their types as compiled, 0 where unknown
    pub(in crate::plan) types: &'b [Oid],
    /// what servers said
    pub(in crate::plan) facts: &'b Facts,
    /// what types are
    pub(in crate::plan) catalog: &'b Catalog,
}

/// Proves that an INSERT may be split, or says what bars it.
pub(in crate::plan) fn plan(resolved: &Resolved<'_>) -> Result<Split, Box<Refusal>> {
    let subject = Subject::of(resolved)?;
    let known = Known::of(resolved);
    split(resolved, &subject, |column| supplied(known, subject.name, column))
}

/// An INSERT of one shard's rows, whose columns that it leaves to these defaults are given values; `None`: it has another
/// form.
pub(in crate::plan) fn alone(
    resolved: &Resolved<'_>,
    defaults: &BTreeMap<String, Supplied>,
) -> Result<Option<Split>, Box<Refusal>> {
    let Some(subject) = Subject::alone(resolved) else {
        return Ok(None);
    };
    subject.check_columns()?;
    split(resolved, &subject, |column| Ok(defaults.get(&column.name).cloned())).map(Some)
}

fn split(
    resolved: &Resolved<'_>,
    subject: &Subject<'_, '_>,
    supplied: impl Fn(&Column) -> Result<Option<Supplied>, Box<Refusal>>,
) -> Result<Split, Box<Refusal>> {
    let text = resolved.input.text;
    let tokens = layout::significant(resolved.input.tokens);
    let widths: Vec<usize> = subject.rows.iter().map(|row| row.content.len()).collect();
    let width = widths.first().copied().unwrap_or_default();
    let part = |there: bool| if there { Part::There } else { Part::Absent };
    let expected = Expected {
        widths: &widths,
        list: part(!subject.insert.columns.is_empty()),
        overriding: part(subject.overrides()),
    };
    let found = layout::find(text, &tokens, expected).filter(|_| widths.iter().all(|other| *other == width));
    let Some(Layout { rows, list_end, source }) = found else {
        return Err(subject.barred(
            "this form of VALUES",
            "Where its rows begin and end is not known for sure.",
        ));
    };
    let columns = targets(subject, width)?;
    let mut split = Split {
        table: subject.name.to_string(),
        key: subject
            .relation
            .columns
            .get(subject.key)
            .map_or(String::new(), |column| column.name.clone()),
        tokens: tokens.len(),
        rows: rows
            .iter()
            .map(|row| Row {
                open: row.open,
                close: row.close,
                changes: Vec::new(),
            })
            .collect(),
        outside: Vec::new(),
        fillings: Vec::new(),
        moments: BTreeSet::new(),
        added: Vec::new(),
        parameters: 0,
        strings: Vec::new(),
        returning: subject.returning(),
        repeats: subject.repeats(),
    };
    let is_default = |cell: &Range<usize>| {
        let only = cell.len() == 1;
        only && tokens
            .get(cell.start)
            .is_some_and(|token| layout::is_word(text, token, b"default"))
    };
    let mut added: Vec<&str> = Vec::new();
    for (index, column) in subject.relation.columns.iter().enumerate() {
        let position = columns.iter().position(|target| *target == index);
        let defaulted: Vec<(usize, Range<usize>)> = match position {
            Some(position) => {
                let cells = rows.iter().enumerate();
                let cells = cells.filter_map(|(row, at)| at.cells.get(position).map(|cell| (row, cell.clone())));
                cells.filter(|(_, cell)| is_default(cell)).collect()
            }
            None => Vec::new(),
        };
        if position.is_some() && defaulted.is_empty() {
            continue;
        }
        let Some(filling) = supplied(column)? else {
            continue;
        };
        let filling = split.fill(filling);
        for (row, cell) in defaulted {
            split.change(Some(row), cell, What::Filling(filling));
        }
        if position.is_none() {
            added.push(&column.name);
            split
                .added
                .push((column.name.clone(), may_write(subject.relation, &column.name)));
            for (row, at) in rows.iter().enumerate() {
                split.change(Some(row), at.close..at.close, What::Appended(filling));
            }
        }
    }
    if !added.is_empty() {
        let names = |names: &[&str]| names.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>();
        match list_end {
            Some(end) => {
                let list = format!(", {}", names(&added).join(", "));
                split.change(None, end..end, What::Text(list));
            }
            None => {
                let given = columns.iter().filter_map(|index| subject.relation.columns.get(*index));
                let mut all: Vec<&str> = given.map(|column| column.name.as_str()).collect();
                all.extend(&added);
                let list = format!("({}) ", names(&all).join(", "));
                split.change(None, source..source, What::Text(list));
            }
        }
    }
    for (span, moment) in moments(resolved)? {
        let from = tokens.binary_search_by_key(&span.start, |token| token.span.start);
        let to = tokens.binary_search_by_key(&span.end, |token| token.span.end);
        let (Ok(from), Ok(to)) = (from, to) else {
            return Err(refuse(RefusalId::FanOutMoment, &[]));
        };
        split.moments.insert(moment.question());
        split.change(split.row_at(from), from..to.saturating_add(1), What::Moment(moment));
    }
    for token in &tokens {
        if token.kind == TokenKind::Parameter {
            let number = number(token.span.of(text)).ok_or_else(|| refuse(RefusalId::SyntaxNotUnderstood, &["$n"]))?;
            split.parameters = split.parameters.max(number);
        }
    }
    let plain = |index: usize| {
        let row = split.row_at(index).and_then(|row| rows.get(row));
        let cell = row.and_then(|row| {
            row.cells
                .iter()
                .position(|cell| *cell == (index..index.saturating_add(1)))
        });
        let column = cell.and_then(|cell| subject.relation.columns.get(*columns.get(cell)?));
        match column {
            Some(column) => !moving::may_move(resolved.input.catalog, column.type_oid),
            None => moving::is_cast_to_plain(text, &tokens, index),
        }
    };
    let strings = tokens.iter().enumerate().filter(|(_, token)| moving::is_string(token));
    let strings = strings.map(|(index, _)| index).filter(|index| !plain(*index));
    let strings = strings.collect();
    Ok(Split { strings, ..split })
}

/// The question whether the client's role may write a column that it didn't name.
fn may_write(relation: &Relation, column: &str) -> String {
    let QualifiedName { schema, name } = &relation.name;
    let table = format!("{}.{}", quote_identifier(schema), quote_identifier(name));
    let (table, column) = (quote_literal(&table), quote_literal(column));
    format!("pg_catalog.has_column_privilege({table}, {column}, 'INSERT')")
}

/// Index of the table's column that each cell of a row goes to.
pub(super) fn targets(subject: &Subject<'_, '_>, width: usize) -> Result<Vec<usize>, Box<Refusal>> {
    let all = &subject.relation.columns;
    if subject.insert.columns.is_empty() {
        return match width <= all.len() {
            true => Ok((0..width).collect()),
            // Postgres says so on any shard
            false => Err(subject.barred("more values than columns", "Postgres rejects it.")),
        };
    }
    let listed = subject.insert.columns.iter().map(|column| {
        let name = crate::plan::resolve::object_name(column);
        let name = name.and_then(|parts| parts.first().copied());
        all.iter().position(|column| Some(column.name.as_str()) == name)
    });
    let listed: Option<Vec<usize>> = listed.collect();
    let listed = listed.filter(|listed| listed.len() == width && listed.iter().collect::<BTreeSet<_>>().len() == width);
    listed.ok_or_else(|| subject.barred("this list of columns", "Postgres rejects it."))
}

/// The number of `$n`.
fn number(parameter: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(parameter.get(1..)?).ok()?;
    digits.parse::<u16>().ok().map(usize::from).filter(|number| *number > 0)
}

// === impl Split ===

impl Split {
    /// About how many bytes it takes.
    pub(in crate::plan) fn weight(&self) -> usize {
        let changes = self.rows.iter().map(|row| row.changes.len()).sum::<usize>();
        let each = |count: usize, size: usize| count.saturating_mul(size);
        each(self.rows.len(), size_of::<Row>())
            .saturating_add(each(changes, size_of::<Change>()))
            .saturating_add(each(self.strings.len(), size_of::<usize>()))
    }

    /// How many rows it is.
    pub(in crate::plan) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The highest `$n`.
    pub(in crate::plan) fn parameters(&self) -> usize {
        self.parameters
    }

    fn fill(&mut self, filling: Supplied) -> usize {
        self.moments.extend(filling.questions());
        self.fillings.push(filling);
        self.fillings.len().saturating_sub(1)
    }

    fn change(&mut self, row: Option<usize>, tokens: Range<usize>, what: What) {
        let change = Change { tokens, what };
        match row.and_then(|row| self.rows.get_mut(row)) {
            Some(row) => row.changes.push(change),
            None => self.outside.push(change),
        }
    }

    /// The row that a token stands in.
    fn row_at(&self, token: usize) -> Option<usize> {
        let behind = self.rows.partition_point(|row| row.open <= token);
        let index = behind.checked_sub(1)?;
        (token <= self.rows.get(index)?.close).then_some(index)
    }

    /// The texts for these owners.
    pub(in crate::plan) fn bind(&self, owners: &[Owner], bindings: &Bindings<'_>) -> Result<Writes, Verdict> {
        let types = self.types(bindings)?;
        let added = self.added.iter().map(|(_, question)| question.as_str());
        let missing: Vec<String> = self
            .moments
            .iter()
            .copied()
            .chain(added)
            .filter(|question| !bindings.facts.constants.contains_key(*question))
            .map(str::to_string)
            .collect();
        if !missing.is_empty() {
            return Err(Verdict::Ask(Ask::Constants(missing)));
        }
        for (column, question) in &self.added {
            let answer = bindings.facts.constants.get(question).cloned().flatten();
            let refusal = match answer.as_deref() {
                Some("true") => continue,
                Some(_) => refuse(RefusalId::InsertSplitPrivilege, &[&self.table, column]),
                // Nothing is answered for a statement that was parsed under another time zone.
                None => refuse(RefusalId::FanOutMoment, &[]),
            };
            return Err(Verdict::Refused(refusal));
        }
        let tokens = scan(bindings.text, bindings.lexing).map_err(|_| bug())?;
        let tokens = layout::significant(&tokens);
        if tokens.len() != self.tokens || owners.len() != self.rows.len() {
            return Err(bug());
        }
        self.check_moments(&tokens, bindings, &types)?;
        let groups = self.groups(owners)?;
        let cost = groups.parts.len().checked_mul(bindings.text.len());
        if cost.is_none_or(|cost| cost > EDIT_BYTES_MAX) {
            return Err(self.repeated());
        }
        let fillings: Vec<String> = self
            .fillings
            .iter()
            .map(|filling| filling.text(bindings.facts))
            .collect::<Result<_, _>>()?;
        let parameters = tokens.iter().enumerate().filter_map(|(index, token)| match token.kind {
            TokenKind::Parameter => number(token.span.of(bindings.text)).map(|number| (index, number)),
            _ => None,
        });
        let cut = Cut {
            split: self,
            tokens: &tokens,
            bindings,
            fillings: &fillings,
            parameters: parameters.collect(),
            types: &types,
        };
        let parts = groups.parts.iter();
        let parts = parts.map(|(shard, rows)| cut.part(*shard, rows).ok_or_else(bug)?);
        Ok(Writes {
            parts: parts.collect::<Result<_, _>>()?,
            answer: WriteAnswer::Sum(groups.order),
        })
    }

    /// How many rows each shard gets, in the order of their first rows.
    pub(in crate::plan) fn shares(&self, owners: &[Owner]) -> Vec<(ShardId, usize)> {
        let mut shares: Vec<(ShardId, usize)> = Vec::new();
        let shards = owners.iter().filter_map(|owner| owner.shard.or(first(owners)));
        for shard in shards {
            match shares.iter_mut().find(|(of, _)| *of == shard) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => shares.push((shard, 1)),
            }
        }
        shares
    }

    /// Types of all parameters; asked for if one isn't known.
    fn types(&self, bindings: &Bindings<'_>) -> Result<Vec<Oid>, Verdict> {
        let learnt = bindings.facts.parameter_types.as_deref().unwrap_or_default();
        let known = |types: &[Oid], index: usize| {
            let known = types.get(index).copied();
            known.filter(|oid| *oid != Oid(0) && *oid != Oid::UNKNOWN)
        };
        let type_of = |index: usize| known(bindings.types, index).or_else(|| known(learnt, index));
        let types: Option<Vec<Oid>> = (0..self.parameters).map(type_of).collect();
        match (types, &bindings.facts.parameter_types) {
            (Some(types), _) => Ok(types),
            (None, None) => Err(Verdict::Ask(Ask::ParameterTypes)),
            (None, Some(_)) => Err(bug()),
        }
    }

    /// No string, and no parameter, may be read as the moment of the statement.
    fn check_moments(&self, tokens: &[Token], bindings: &Bindings<'_>, types: &[Oid]) -> Result<(), Verdict> {
        let barred = || {
            let why = "Each shard would read a moment of its own from it.";
            Verdict::Refused(refuse(
                RefusalId::InsertSplit,
                &[
                    &self.table,
                    "a string that may mean the current time ('now', 'today', …)",
                    why,
                ],
            ))
        };
        for index in &self.strings {
            let token = tokens.get(*index).ok_or_else(bug)?;
            let literal = Literal {
                span: token.span,
                class: LiteralClass::String,
            };
            let value = literal.decode(bindings.text, bindings.lexing);
            if value
                .map_err(|_| bug())
                .is_ok_and(|value| crate::value::says_moment(&value))
            {
                return Err(barred());
            }
        }
        let format = |index: usize| match bindings.parameters.formats {
            [] => Format::Text,
            [one] => *one,
            each => each.get(index).copied().unwrap_or(Format::Text),
        };
        for (index, type_oid) in types.iter().enumerate() {
            let value = bindings.parameters.values.get(index).copied().flatten();
            if format(index) == Format::Text
                && value.is_some_and(crate::value::says_moment)
                && moving::may_move(bindings.catalog, *type_oid)
            {
                return Err(barred());
            }
        }
        Ok(())
    }

    /// Which rows go together, and how their answers become one.
    fn groups(&self, owners: &[Owner]) -> Result<Groups, Verdict> {
        let fallback = first(owners).ok_or_else(bug)?;
        let shards = owners.iter().map(|owner| owner.shard.unwrap_or(fallback));
        let mut parts: Vec<(ShardId, Vec<usize>)> = Vec::new();
        let mut each = Vec::with_capacity(owners.len());
        for (row, shard) in shards.enumerate() {
            let open = match self.returning {
                Returning::Nothing | Returning::EachRow => parts.iter().position(|(of, _)| *of == shard),
                Returning::SomeRows => parts
                    .last()
                    .filter(|(of, _)| *of == shard)
                    .and(parts.len().checked_sub(1)),
            };
            match open.and_then(|at| parts.get_mut(at)) {
                Some((_, rows)) => rows.push(row),
                None => parts.push((shard, vec![row])),
            }
            each.push(open.unwrap_or(parts.len().saturating_sub(1)));
        }
        if (self.returning, self.repeats) == (Returning::SomeRows, Repeats::Barred) {
            let mut seen: BTreeMap<i64, usize> = BTreeMap::new();
            for (owner, part) in owners.iter().zip(&each) {
                // Equal keys have equal hashes.
                let hash = owner.key.as_ref().map(crate::value::Key::hash);
                if hash.is_some_and(|hash| seen.insert(hash, *part).is_some_and(|before| before != *part)) {
                    return Err(self.repeated());
                }
            }
        }
        let order = match self.returning {
            Returning::EachRow => RowOrder::Each(each),
            Returning::Nothing | Returning::SomeRows => RowOrder::Parts,
        };
        Ok(Groups { parts, order })
    }

    fn repeated(&self) -> Verdict {
        Verdict::Refused(refuse(RefusalId::InsertSplitRepeated, &[&self.table, &self.key]))
    }
}

/// Parts by their rows.
struct Groups {
    parts: Vec<(ShardId, Vec<usize>)>,
    order: RowOrder,
}

/// The shard of the first row that has one: it also gets those whose error any shard raises.
fn first(owners: &[Owner]) -> Option<ShardId> {
    owners.iter().find_map(|owner| owner.shard)
}

fn bug() -> Verdict {
    Verdict::Refused(refuse(
        RefusalId::SyntaxNotUnderstood,
        &["a text that isn't of its own shape"],
    ))
}

/// Cuts parts out of one text.
struct Cut<'c> {
    split: &'c Split,
    tokens: &'c [Token],
    bindings: &'c Bindings<'c>,
    fillings: &'c [String],
    /// each `$n` by its token
    parameters: Vec<(usize, usize)>,
    types: &'c [Oid],
}

impl Cut<'_> {
    /// The text with these rows only; `None` for a mistake of ours, `Some(Err)` for a moment that isn't known.
    fn part(&self, shard: ShardId, rows: &[usize]) -> Option<Result<WritePart, Verdict>> {
        let all = &self.split.rows;
        let mut edits = Edits::new();
        let mut at = self.start(all.first()?.open)?;
        let mut before = "";
        for (index, row) in rows.iter().enumerate() {
            let own = all.get(*row)?;
            let follows = index > 0 && rows.get(index.checked_sub(1)?)?.checked_add(1)? == *row;
            if !follows {
                edits.replace(Span::new(at, self.start(own.open)?), before);
            }
            at = self.end(own.close)?;
            before = ", ";
        }
        let end = self.end(all.last()?.close)?;
        if at < end {
            edits.replace(Span::new(at, end), "");
        }
        let kept: Vec<&Row> = rows.iter().filter_map(|row| all.get(*row)).collect();
        let ahead = 0..all.first()?.open;
        let behind = all.last()?.close..self.tokens.len();
        let in_rows = kept.iter().flat_map(|row| self.within(row.open..row.close));
        let parameters: Vec<&(usize, usize)> = self.within(ahead).chain(in_rows).chain(self.within(behind)).collect();
        let used: BTreeSet<usize> = parameters.iter().map(|(_, number)| *number).collect();
        let renumbered: BTreeMap<usize, usize> = used.iter().copied().zip(1..).collect();
        for (token, number) in parameters {
            let own = renumbered.get(number)?;
            if own != number {
                edits.replace(Span::new(self.start(*token)?, self.end(*token)?), format!("${own}"));
            }
        }
        for change in self
            .split
            .outside
            .iter()
            .chain(kept.iter().flat_map(|row| &row.changes))
        {
            let text = match &change.what {
                What::Moment(moment) => match moment.fixed(self.bindings.facts) {
                    Ok(text) => text,
                    Err(verdict) => return Some(Err(verdict)),
                },
                What::Filling(filling) => self.fillings.get(*filling)?.clone(),
                What::Appended(filling) => format!(", {}", self.fillings.get(*filling)?),
                What::Text(text) => text.clone(),
            };
            let start = self.start(change.tokens.start)?;
            let end = match change.tokens.is_empty() {
                true => start,
                false => self.end(change.tokens.end.checked_sub(1)?)?,
            };
            edits.replace(Span::new(start, end), text);
        }
        let (text, positions) = edits.apply(self.bindings.text)?;
        let types = used
            .iter()
            .map(|number| self.types.get(number.checked_sub(1)?).copied());
        Some(Ok(WritePart {
            shard,
            text,
            positions: Some(positions),
            parameter_types: types.collect::<Option<_>>()?,
            parameters: used.iter().map(|number| number.saturating_sub(1)).collect(),
            counts: Counts::Yes,
        }))
    }

    /// The parameters among these tokens.
    fn within(&self, tokens: Range<usize>) -> impl Iterator<Item = &(usize, usize)> {
        let from = self.parameters.partition_point(|(token, _)| *token < tokens.start);
        let own = self.parameters.get(from..).unwrap_or_default();
        own.iter().take_while(move |(token, _)| *token < tokens.end)
    }

    fn start(&self, token: usize) -> Option<usize> {
        self.tokens.get(token).map(|token| token.span.start)
    }

    fn end(&self, token: usize) -> Option<usize> {
        self.tokens.get(token).map(|token| token.span.end)
    }
}
