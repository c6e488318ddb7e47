//! A fan-out in the making: the outermost block, its outputs, and the hidden columns added to it.

use std::sync::Arc;

use crate::catalog::Collation;
use crate::plan::resolve::{BlockId, ColumnRef, Lookup, Outputs, QueryId, Resolved, Scope};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Span;
use crate::sql::ast::{Expr, OrderByExpr, OrderByKind, OrderBySort, Query, Select, SelectItem};
use crate::value::{Comparator, Oid};

use super::calls::{self, Nature};
use super::clauses::{self, Clauses};
use super::limit::{self, Limits};
use super::moment::Moment;
use super::spec::{Direction, KeyOrder, MergeForm, Method, Nulls};
use super::spread::{bug, unnested};
use super::template::{ConstantSource, Edit, Template};
use super::typing::{Typed, type_of};

/// A fan-out in the making.
#[derive(Debug)]
pub(super) struct Draft<'r, 'a> {
    pub(super) resolved: &'r Resolved<'a>,
    pub(super) id: BlockId,
    pub(super) select: &'a Select,
    pub(super) query: &'a Query,
    pub(super) clauses: Clauses,
    pub(super) outputs: Vec<OutputOf<'a>>,
    pub(super) limits: Limits,
    pub(super) moments: Vec<(Span, Moment)>,
    pub(super) edits: Vec<(Span, Edit)>,
    pub(super) hidden: Vec<String>,
    pub(super) constants: Vec<ConstantSource>,
    pub(super) steps: Vec<(String, String)>,
}

/// What an output column is.
#[derive(Clone, Copy, Debug)]
pub(super) enum OutputOf<'a> {
    /// an entry of the target list
    Entry { at: usize, expr: &'a Expr },
    /// a column that `*` stands for
    Column(ColumnRef),
    /// a column that `*` stands for, whose origin isn't known
    Opaque,
}

/// What an ORDER BY entry sorts by.
#[derive(Clone, Copy, Debug)]
pub(super) enum SortedBy<'a> {
    /// an output column, by index
    Output(usize),
    /// an expression over input columns, and the index of the entry
    Expr(&'a Expr, usize),
}

/// One ORDER BY entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sort<'a> {
    pub(super) by: SortedBy<'a>,
    pub(super) direction: Direction,
    pub(super) nulls: Nulls,
}

impl<'r, 'a> Draft<'r, 'a> {
    /// Starts with the client's text as it is.
    pub(super) fn new(
        resolved: &'r Resolved<'a>,
        query: QueryId,
        id: BlockId,
        select: &'a Select,
        moments: Vec<(Span, Moment)>,
    ) -> Result<Draft<'r, 'a>, Box<Refusal>> {
        let clauses = clauses::find(resolved.input)
            .ok_or_else(|| refuse(RefusalId::SyntaxNotUnderstood, &["the outermost SELECT"]))?;
        if clauses.entries.len() != select.projection.len() {
            return Err(refuse(RefusalId::SyntaxNotUnderstood, &["the target list"]));
        }
        let query = resolved.queries.get(query.0).ok_or_else(bug)?.query;
        let outputs = outputs_of(resolved, id, select)?;
        let limits = limit::read(query)?;
        Ok(Draft {
            resolved,
            id,
            select,
            query,
            clauses,
            outputs,
            limits,
            moments,
            edits: Vec::new(),
            hidden: Vec::new(),
            constants: Vec::new(),
            steps: Vec::new(),
        })
    }

    pub(super) fn scope(&self) -> Scope {
        self.resolved.scope(self.id)
    }

    /// ORDER BY, each entry looked up as Postgres does: an ordinal, else an output's name, else an expression over inputs.
    pub(super) fn sorts(&self) -> Result<Vec<Sort<'a>>, Box<Refusal>> {
        let keys: &'a [OrderByExpr] = match self.query.order_by.as_ref().map(|order_by| &order_by.kind) {
            None => &[],
            Some(OrderByKind::Expressions(keys)) => keys,
            Some(OrderByKind::All(_)) => return Err(refuse(RefusalId::SyntaxNotUnderstood, &["ORDER BY ALL"])),
        };
        if keys.len() != self.clauses.order_keys.len() {
            return Err(refuse(RefusalId::SyntaxNotUnderstood, &["ORDER BY"]));
        }
        keys.iter().enumerate().map(|(at, key)| self.sort(at, key)).collect()
    }

    fn sort(&self, at: usize, key: &'a OrderByExpr) -> Result<Sort<'a>, Box<Refusal>> {
        let direction = match &key.options.sort {
            None | Some(OrderBySort::Asc) => Direction::Ascending,
            Some(OrderBySort::Desc) => Direction::Descending,
            Some(OrderBySort::Using(_)) => return Err(refuse(RefusalId::FanOutOrderUsing, &[])),
        };
        let nulls = match (key.options.nulls_first, direction) {
            (Some(true), _) | (None, Direction::Descending) => Nulls::First,
            (Some(false), _) | (None, Direction::Ascending) => Nulls::Last,
        };
        let by = self.sorted_by(at, &key.expr)?;
        Ok(Sort { by, direction, nulls })
    }

    fn sorted_by(&self, at: usize, expr: &'a Expr) -> Result<SortedBy<'a>, Box<Refusal>> {
        let by = SortedBy::Expr(expr, at);
        match unnested(expr) {
            Expr::Value(_) => {
                let ordinal = limit::plain_integer(expr).and_then(|ordinal| usize::try_from(ordinal).ok());
                let output = ordinal.and_then(|ordinal| ordinal.checked_sub(1));
                let output = output.filter(|output| *output < self.outputs.len());
                output
                    .map(SortedBy::Output)
                    .ok_or_else(|| refuse(RefusalId::FanOutOrderConstant, &[]))
            }
            Expr::Identifier(name) => {
                let mut named = Vec::new();
                for output in 0..self.outputs.len() {
                    match self.is_named(output, &name.value) {
                        Named::Yes => named.push(output),
                        Named::No => {}
                        Named::Perhaps => return Err(refuse(RefusalId::FanOutAmbiguous, &[&name.value])),
                    }
                }
                match named.as_slice() {
                    [] => Ok(by),
                    [one] => Ok(SortedBy::Output(*one)),
                    [first, others @ ..] if others.iter().all(|other| self.same_output(*first, *other)) => {
                        Ok(SortedBy::Output(*first))
                    }
                    _ => Err(refuse(RefusalId::FanOutAmbiguous, &[&name.value])),
                }
            }
            _ => Ok(by),
        }
    }

    /// Has an output this name? Where Postgres makes the name up (`FigureColname`), it is a word of the expression, a
    /// type's name, or a word of the grammar.
    fn is_named(&self, output: usize, name: &str) -> Named {
        let known = match self.resolved.blocks.get(self.id.0).map(|block| &block.outputs) {
            Some(Outputs::Known(outputs)) => outputs.get(output).map(|output| output.name.clone()),
            Some(Outputs::Unknown) | None => None,
        };
        if let Some(known) = known {
            return if known.as_deref() == Some(name) {
                Named::Yes
            } else {
                Named::No
            };
        }
        let yes = |is: bool| if is { Named::Yes } else { Named::No };
        let Some(OutputOf::Entry { at, expr }) = self.outputs.get(output) else {
            return Named::Perhaps;
        };
        match (self.select.projection.get(*at), unnested(expr)) {
            (Some(SelectItem::ExprWithAlias { alias, .. }), _) => yes(alias.value == name),
            (_, Expr::Identifier(ident)) => yes(ident.value == name),
            (_, Expr::CompoundIdentifier(idents)) => yes(idents.last().is_some_and(|ident| ident.value == name)),
            _ => {
                let span = self.clauses.entries.get(*at).copied().unwrap_or_default();
                let text = span.of(self.resolved.input.text).to_ascii_lowercase();
                let word = text.windows(name.len().max(1)).any(|window| window == name.as_bytes());
                let made_up = MADE_UP.contains(&name) || self.resolved.input.catalog.builtin.types.contains_key(name);
                if word || made_up { Named::Perhaps } else { Named::No }
            }
        }
    }

    fn same_output(&self, one: usize, other: usize) -> bool {
        match (self.outputs.get(one), self.outputs.get(other)) {
            (Some(OutputOf::Entry { expr: a, .. }), Some(OutputOf::Entry { expr: b, .. })) => self.same(a, b),
            (Some(OutputOf::Column(a)), Some(OutputOf::Column(b))) => a == b,
            (Some(OutputOf::Entry { expr, .. }), Some(OutputOf::Column(column)))
            | (Some(OutputOf::Column(column)), Some(OutputOf::Entry { expr, .. })) => {
                super::spread::column_in(self.resolved, self.scope(), expr) == Some(*column)
            }
            (Some(OutputOf::Opaque), _) | (_, Some(OutputOf::Opaque)) => false,
            (None, _) | (_, None) => false,
        }
    }

    /// Are two expressions the same: the same tree, or the same column?
    pub(super) fn same(&self, one: &Expr, other: &Expr) -> bool {
        let column = |expr: &Expr| super::spread::column_in(self.resolved, self.scope(), expr);
        match (column(one), column(other)) {
            (Some(one), Some(other)) => one == other,
            (None, None) => unnested(one) == unnested(other),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The output that an expression is.
    pub(super) fn output_of(&self, expr: &Expr) -> Option<usize> {
        let same = |output: &OutputOf<'_>| match output {
            OutputOf::Entry { expr: entry, .. } => self.same(entry, expr),
            OutputOf::Column(column) => super::spread::column_in(self.resolved, self.scope(), expr) == Some(*column),
            OutputOf::Opaque => false,
        };
        self.outputs.iter().position(same)
    }

    /// The type of an output.
    pub(super) fn output_type(&self, output: usize) -> Option<Typed> {
        match self.outputs.get(output)? {
            OutputOf::Entry { expr, .. } => type_of(self.resolved, self.scope(), expr),
            OutputOf::Column(column) => {
                let column = self.resolved.column(self.resolved.base(*column)?)?;
                Some(Typed {
                    type_oid: column.type_oid,
                    collation: column.collation,
                })
            }
            OutputOf::Opaque => None,
        }
    }

    /// The text of an output's expression, for a copy of it.
    pub(super) fn output_text(&self, output: usize) -> Result<String, Box<Refusal>> {
        match self.outputs.get(output).ok_or_else(bug)? {
            OutputOf::Entry { at, expr } => {
                self.copyable(expr)?;
                let span = self.clauses.entries.get(*at).copied().ok_or_else(bug)?;
                self.text_of(span, expr)
            }
            OutputOf::Opaque => Err(refuse(RefusalId::FanOutStar, &[])),
            OutputOf::Column(column) => {
                let item = self
                    .resolved
                    .blocks
                    .get(column.block.0)
                    .and_then(|block| block.items.get(column.item));
                let name =
                    item.and_then(|item| Some((item.alias.as_ref()?, item.columns.as_ref()?.get(column.column)?)));
                let (alias, name) = name.ok_or_else(|| refuse(RefusalId::FanOutStar, &[]))?;
                // a name given twice to columns of one item can't be said again
                match self.resolved.lookup(self.scope(), &[alias, name]) {
                    Lookup::Column(found) if found == *column => Ok(format!("{}.{}", quoted(alias), quoted(name))),
                    Lookup::Column(_) | Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => {
                        Err(refuse(RefusalId::FanOutStar, &[]))
                    }
                }
            }
        }
    }

    /// The text of an expression at a span of the client's text.
    pub(super) fn text_of(&self, span: Span, expr: &Expr) -> Result<String, Box<Refusal>> {
        clauses::text_of(self.resolved.input, span, expr).ok_or_else(|| {
            refuse(
                RefusalId::SyntaxNotUnderstood,
                &["an expression that must be asked for twice"],
            )
        })
    }

    /// May an expression be asked for twice?
    pub(super) fn copyable(&self, expr: &Expr) -> Result<(), Box<Refusal>> {
        if calls::has_nature(self.resolved, expr, Nature::PerRow) {
            return Err(refuse(RefusalId::FanOutOrderVolatile, &[]));
        }
        if calls::has_nature(self.resolved, expr, Nature::Moment) {
            return Err(refuse(RefusalId::FanOutMoment, &[]));
        }
        if calls::has_set(self.resolved, expr) {
            return Err(refuse(RefusalId::FanOutSetReturning, &[]));
        }
        Ok(())
    }

    /// Adds a hidden column; gives its index.
    pub(super) fn hide(&mut self, text: String) -> usize {
        if let Some(known) = self.hidden.iter().position(|hidden| *hidden == text) {
            return known;
        }
        self.hidden.push(text);
        self.hidden.len().saturating_sub(1)
    }

    /// Order of a sort key in the client's own sense.
    pub(super) fn client_order(&self, typed: Option<Typed>, what: &str) -> Result<KeyOrder, Box<Refusal>> {
        let Some(typed) = typed else {
            return Ok(KeyOrder::ByType);
        };
        match typed.order() {
            Some(comparator) => {
                self.check_encoding(comparator)?;
                Ok(KeyOrder::Known(comparator))
            }
            None if typed.is_text() => Err(refuse(RefusalId::FanOutCollation, &[what])),
            None => Err(refuse(RefusalId::FanOutOrderType, &[what])),
        }
    }

    /// What shards compare where only equality matters: the expression itself, or an enum's label as text. `None` if no
    /// equality of the type is known here.
    pub(super) fn equality(&self, text: String, typed: Typed) -> Option<(String, Typed, Comparator)> {
        if let Some(comparator) = typed.equality() {
            return Some((text, typed, comparator));
        }
        let user = self.resolved.input.catalog.types.get(&typed.type_oid.0)?;
        let label = Typed {
            type_oid: Oid::TEXT,
            collation: Collation::Bytes,
        };
        let as_text = format!("({text})::pg_catalog.text");
        (user.kind == b'e').then_some((as_text, label, Comparator::TextBytes))
    }

    /// Text reaches the proxy in client_encoding: only in the server's own are its bytes the server's.
    pub(super) fn check_encoding(&self, comparator: Comparator) -> Result<(), Box<Refusal>> {
        let text = match comparator {
            Comparator::TextBytes | Comparator::BpcharBytes | Comparator::Name | Comparator::Char => true,
            Comparator::Bool
            | Comparator::Int2
            | Comparator::Int4
            | Comparator::Int8
            | Comparator::Oid
            | Comparator::Float4
            | Comparator::Float8
            | Comparator::Numeric
            | Comparator::Date
            | Comparator::Timestamp
            | Comparator::Timestamptz
            | Comparator::Time
            | Comparator::Interval
            | Comparator::Uuid
            | Comparator::Bytea => false,
        };
        let (client, server) = (
            &self.resolved.input.context.client_encoding,
            &self.resolved.input.catalog.encoding,
        );
        match text && !same_encoding(client, server) {
            true => Err(refuse(RefusalId::FanOutEncoding, &[client, server])),
            false => Ok(()),
        }
    }

    /// Takes a clause out of the text.
    pub(super) fn cut(&mut self, span: Option<Span>) {
        self.edits.extend(span.map(|span| (span, Edit::Fixed(String::new()))));
    }

    /// Takes LIMIT and OFFSET out, and asks each shard for no more rows than are needed.
    pub(super) fn push_limit(&mut self) {
        for span in self.clauses.limits.clone() {
            self.cut(Some(span));
        }
        let end = self.clauses.end;
        self.edits.push((Span::new(end, end), Edit::Limit));
    }

    /// Takes LIMIT and OFFSET out of the shards' text.
    pub(super) fn cut_limit(&mut self) {
        for span in self.clauses.limits.clone() {
            self.cut(Some(span));
        }
    }

    /// The hidden columns go behind the target list.
    pub(super) fn put_hidden(&mut self) {
        if !self.hidden.is_empty() {
            let columns = self
                .hidden
                .iter()
                .enumerate()
                .map(|(at, text)| format!("({text}) AS \"shardgate {at}\""));
            let columns = columns.collect::<Vec<_>>().join(", ");
            let lead = if self.clauses.entries.is_empty() { " " } else { ", " };
            let end = self.clauses.targets_end;
            self.edits
                .push((Span::new(end, end), Edit::Fixed(format!("{lead}{columns}"))));
        }
    }

    /// Finishes what the proxy merges by itself.
    pub(super) fn finish(mut self, method: Method) -> Template {
        self.put_hidden();
        if !self.limits.is_none() {
            self.steps.push((
                "merge: limit".to_string(),
                "each shard gives the first rows".to_string(),
            ));
        }
        let form = MergeForm {
            visible: self.outputs.len(),
            hidden: self.hidden.len(),
            enums: self.of_user_types(|kind| kind == b'e'),
            user_types: self.of_user_types(|kind| kind != b'e'),
            method,
        };
        super::template_of(
            self.resolved,
            &self.moments,
            self.edits,
            form,
            self.limits,
            self.constants,
            self.steps,
        )
    }

    /// Output columns of user types of these kinds (`typtype`).
    fn of_user_types(&self, wanted: impl Fn(u8) -> bool) -> Vec<usize> {
        let is_wanted = |output: &usize| {
            let typed = self.output_type(*output);
            let user = typed.and_then(|typed| self.resolved.input.catalog.types.get(&typed.type_oid.0));
            user.is_some_and(|user| wanted(user.kind))
        };
        (0..self.outputs.len()).filter(is_wanted).collect()
    }
}

/// Whether an output has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Yes,
    No,
    Perhaps,
}

/// Names that Postgres gives to expressions which have none of their own.
const MADE_UP: [&str; 22] = [
    "?column?",
    "array",
    "case",
    "coalesce",
    "exists",
    "greatest",
    "least",
    "nullif",
    "row",
    "xmlconcat",
    "xmlelement",
    "extract",
    "timezone",
    "position",
    "overlay",
    "substring",
    "btrim",
    "ltrim",
    "rtrim",
    "normalize",
    "is_normalized",
    "date_part",
];

/// Each output of a block with what it is.
pub(super) fn outputs_of<'a>(
    resolved: &Resolved<'a>,
    id: BlockId,
    select: &'a Select,
) -> Result<Vec<OutputOf<'a>>, Box<Refusal>> {
    let known = match &resolved.blocks.get(id.0).ok_or_else(bug)?.outputs {
        Outputs::Known(known) => Some(known),
        Outputs::Unknown => None,
    };
    let is_star = |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _));
    let single = select.projection.iter().filter(|item| !is_star(item)).count();
    let stars = select.projection.len().saturating_sub(single);
    let Some(known) = known else {
        // without a star each entry is one output, whatever its name
        let entry = |(at, item): (usize, &'a SelectItem)| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Ok(OutputOf::Entry { at, expr }),
            _ => Err(refuse(RefusalId::FanOutStar, &[])),
        };
        return select.projection.iter().enumerate().map(entry).collect();
    };
    let starred = known.len().checked_sub(single).ok_or_else(bug)?;
    let mut outputs = Vec::new();
    for (at, item) in select.projection.iter().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                outputs.push(OutputOf::Entry { at, expr });
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(_, _) => {
                let width = match item {
                    _ if stars == 1 => starred,
                    SelectItem::QualifiedWildcard(kind, _) => qualified_width(resolved, id, kind)?,
                    _ => return Err(refuse(RefusalId::FanOutStar, &[])),
                };
                for _ in 0..width {
                    let column = known.get(outputs.len()).and_then(|output| output.column);
                    outputs.push(column.map_or(OutputOf::Opaque, OutputOf::Column));
                }
            }
            SelectItem::ExprWithAliases { .. } => return Err(bug()),
        }
    }
    match outputs.len() == known.len() {
        true => Ok(outputs),
        false => Err(refuse(RefusalId::FanOutStar, &[])),
    }
}

fn qualified_width(
    resolved: &Resolved<'_>,
    id: BlockId,
    kind: &crate::sql::ast::SelectItemQualifiedWildcardKind,
) -> Result<usize, Box<Refusal>> {
    let crate::sql::ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
        return Err(refuse(RefusalId::FanOutStar, &[]));
    };
    let parts = crate::plan::resolve::object_name(name).ok_or_else(bug)?;
    let alias = parts.last().copied().unwrap_or_default();
    let block = resolved.blocks.get(id.0).ok_or_else(bug)?;
    let mut named = block.items.iter().filter(|item| item.alias.as_deref() == Some(alias));
    match (named.next().and_then(|item| item.columns.as_ref()), named.next()) {
        (Some(columns), None) => Ok(columns.len()),
        _ => Err(refuse(RefusalId::FanOutStar, &[])),
    }
}

/// An identifier in quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn same_encoding(client: &str, server: &str) -> bool {
    let clean = |name: &str| {
        let letters: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        match letters.to_ascii_lowercase().as_str() {
            "unicode" => "utf8".to_string(),
            other => other.to_string(),
        }
    };
    clean(client) == clean(server)
}

/// The form of a plain union.
pub(super) fn union_form(visible: usize) -> Arc<MergeForm> {
    Arc::new(MergeForm {
        visible,
        hidden: 0,
        enums: Vec::new(),
        user_types: Vec::new(),
        method: Method::Concatenate,
    })
}
