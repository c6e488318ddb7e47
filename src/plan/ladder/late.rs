//! A statement for a shard that joins a transaction begun on another: what it reads of the moment is the transaction's.
//!
//! Why in the text: `now()` is the moment at which a server's own transaction began, so it is asked for where the client's
//! began and put into the text as a constant (`planning.md` 128).
//! Holds: what may read the moment where no constant can stand for it is refused; what reads none goes as it is written.
//! What it costs, only statements pay that read the moment on such a shard: they are parsed once more.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::Relation;
use crate::plan::fanout::{Moment, column_in, fix_moments, know_moments, moments, width};
use crate::plan::keys::Owner;
use crate::plan::ladder::clock::{out_of_sight, timed_columns, triggered, written};
use crate::plan::ladder::reference::{Target, is_default};
use crate::plan::ladder::{Case, Tree};
use crate::plan::resolve::{
    BlockKind, Child, ConjunctTest, Origin, Resolved, Role, Root, Scope, children, object_name,
};
use crate::plan::writes::{self, Bindings, Supplied, is_cast_to_plain, is_string, may_move};
use crate::plan::{Access, Ask, Counts, Facts, Parameters, Refusal, RefusalId, Verdict, WritePart, refuse};
use crate::sql::ast::{
    Assignment, AssignmentTarget, Expr, InTarget, Insert, OnConflictAction, OnInsert, SelectItem, Value,
};
use crate::sql::{Edits, Literal, LiteralClass, PositionMap, Span, byte_span};
use crate::topology::ShardId;
use crate::value::{Format, Oid, says_moment};

/// A statement as it goes to a shard that joined late.
#[derive(Debug)]
pub(in crate::plan) enum Late {
    /// as written
    Same,
    /// a read of this text, with so many columns
    Read(Vec<u8>, PositionMap, usize),
    /// a write
    Write(WritePart),
}

/// For what a statement is bound.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Asked<'b> {
    /// where it goes
    pub(in crate::plan) shard: ShardId,
    /// what it does to rows
    pub(in crate::plan) access: Access,
    /// its parameters
    pub(in crate::plan) parameters: &'b Parameters<'b>,
    /// their types as declared or learnt, 0 where unknown
    pub(in crate::plan) types: &'b [Oid],
    /// what servers said
    pub(in crate::plan) facts: &'b Facts,
}

/// What reads the moment where no constant can stand for it, on a shard that joined late.
pub(in crate::plan) fn hidden(what: &str) -> Box<Refusal> {
    refuse(RefusalId::LateMoment, &[what])
}

/// The statement as it goes to that shard.
pub(in crate::plan) fn renew(case: &Case<'_>, asked: &Asked<'_>) -> Result<Late, Verdict> {
    let Tree::Resolved(resolved) = case.resolved else {
        return Err(Verdict::Refused(hidden("a statement that isn't understood whole")));
    };
    let renewal = Renewal { case, resolved, asked };
    if let Some(what) = out_of_sight(resolved) {
        return Err(Verdict::Refused(hidden(&what)));
    }
    for (_, relation) in written(resolved) {
        if let Some(what) = triggered(resolved, relation) {
            return Err(Verdict::Refused(hidden(&what)));
        }
    }
    let left = renewal.left().map_err(Verdict::Refused)?;
    match left {
        Left::Rows(defaults) => renewal.rows(&defaults),
        Left::Assigned(defaults) => renewal.text(&defaults),
    }
}

/// Defaults that the statement leaves to the shard, and that read the moment.
enum Left {
    /// of columns of new rows, by name
    Rows(BTreeMap<String, Supplied>),
    /// each where DEFAULT stands for it
    Assigned(Vec<(Span, Supplied)>),
}

/// A statement and for what it is bound.
struct Renewal<'r, 'a> {
    case: &'r Case<'r>,
    resolved: &'r Resolved<'a>,
    asked: &'r Asked<'r>,
}

impl Renewal<'_, '_> {
    fn left(&self) -> Result<Left, Box<Refusal>> {
        let mut assigned = Vec::new();
        for (reference, relation) in written(self.resolved) {
            let fills = matches!(reference.role, Role::Insert | Role::Update | Role::Merge);
            let columns: BTreeMap<String, Result<Supplied, String>> = match fills {
                true => timed_columns(self.resolved, relation).collect(),
                false => continue,
            };
            if columns.is_empty() {
                continue;
            }
            let Some(block) = self.resolved.blocks.get(reference.block.0) else {
                continue;
            };
            match block.kind {
                BlockKind::Insert(insert) => {
                    if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                        && let OnConflictAction::DoUpdate(update) = &conflict.action
                    {
                        self.assigned(relation, &update.assignments, &columns, &mut assigned)?;
                    }
                    let target = Target {
                        resolved: self.resolved,
                        reference,
                        relation,
                        block,
                    };
                    let rows = left_out(&target, insert, columns)?;
                    match (rows.is_empty(), assigned.is_empty(), self.resolved.root) {
                        (true, _, _) => {}
                        (false, true, Root::Modify(root)) if root == reference.block => return Ok(Left::Rows(rows)),
                        (false, _, _) => {
                            let first = rows.keys().next().map_or("", String::as_str);
                            return Err(hidden(&default_of(relation, first)));
                        }
                    }
                }
                BlockKind::Update(update) => self.assigned(relation, &update.assignments, &columns, &mut assigned)?,
                BlockKind::Merge(_) => {
                    let first = columns.keys().next().map_or("", String::as_str);
                    return Err(hidden(&default_of(relation, first)));
                }
                BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table | BlockKind::Delete => {}
            }
        }
        Ok(Left::Assigned(assigned))
    }

    /// `SET column = DEFAULT` of columns whose defaults read the moment.
    fn assigned(
        &self,
        relation: &Relation,
        assignments: &[Assignment],
        columns: &BTreeMap<String, Result<Supplied, String>>,
        found: &mut Vec<(Span, Supplied)>,
    ) -> Result<(), Box<Refusal>> {
        for assignment in assignments {
            for (column, value) in pairs(assignment) {
                let Some(given) = columns.get(column).filter(|_| is_default(value)) else {
                    continue;
                };
                let span = match value {
                    Expr::Identifier(ident) => byte_span(ident.span),
                    _ => None,
                };
                match (given, span) {
                    (Ok(supplied), Some(span)) => found.push((span, supplied.clone())),
                    (_, _) => return Err(hidden(&default_of(relation, column))),
                }
            }
        }
        Ok(())
    }

    /// An INSERT of rows that are given values where they leave a column to its default.
    fn rows(&self, defaults: &BTreeMap<String, Supplied>) -> Result<Late, Verdict> {
        let first = defaults.keys().next().map_or("", String::as_str);
        let unknown = || Verdict::Refused(hidden(&format!("the default of column \"{first}\"")));
        let split = writes::alone(self.resolved, defaults).map_err(|_| unknown())?;
        let split = split.ok_or_else(unknown)?;
        let bindings = Bindings {
            text: self.case.text,
            lexing: self.case.lexing,
            parameters: self.asked.parameters,
            types: self.asked.types,
            facts: self.asked.facts,
            catalog: self.resolved.input.catalog,
        };
        let owner = Owner {
            shard: Some(self.asked.shard),
            key: None,
        };
        let owners = vec![owner; split.rows()];
        let writes = split.bind(&owners, &bindings).map_err(|verdict| match verdict {
            Verdict::Refused(refusal) if refusal.is_of(&[RefusalId::InsertSplit]) => {
                Verdict::Refused(hidden("a string ('now', 'today' or the like)"))
            }
            Verdict::Refused(_) | Verdict::Ask(_) => verdict,
        })?;
        match <[WritePart; 1]>::try_from(writes.parts) {
            Ok([part]) => Ok(Late::Write(part)),
            Err(_) => Err(unknown()),
        }
    }

    /// Any other statement, with constants in its text.
    fn text(&self, defaults: &[(Span, Supplied)]) -> Result<Late, Verdict> {
        let found = moments(self.resolved);
        let found = found.map_err(|_| Verdict::Refused(hidden("now() (or its like) in a view or in FROM")))?;
        self.check_strings().map_err(Verdict::Refused)?;
        self.check_parameters()?;
        if defaults.is_empty() && !found.iter().any(|(_, moment)| moment.is_transactions()) {
            return Ok(Late::Same);
        }
        // Two calls that are equal stay equal: in ORDER BY beside DISTINCT, say.
        let named = found.iter().any(|(_, moment)| moment.is_named());
        let found: Vec<(Span, Moment)> = match named {
            true => found.into_iter().map(|(span, moment)| (span, moment.named())).collect(),
            false => found,
        };
        let facts = self.asked.facts;
        know_moments(&found, facts)?;
        let questions = defaults.iter().flat_map(|(_, supplied)| supplied.questions());
        let missing: Vec<String> = questions
            .filter(|question| !facts.constants.contains_key(*question))
            .map(str::to_owned)
            .collect();
        if !missing.is_empty() {
            return Err(Verdict::Ask(Ask::Constants(missing)));
        }
        let mut edits = Edits::new();
        fix_moments(&found, facts, &mut edits)?;
        for (span, supplied) in defaults {
            edits.replace(*span, supplied.text(facts)?);
        }
        let bug = || Verdict::Refused(refuse(RefusalId::SyntaxNotUnderstood, &["a moment in this statement"]));
        let (text, positions) = edits.apply(self.case.text).ok_or_else(bug)?;
        if self.asked.access == Access::Write {
            let count = self.asked.parameters.values.len();
            return Ok(Late::Write(WritePart {
                shard: self.asked.shard,
                text,
                positions: Some(positions),
                parameters: (0..count).collect(),
                parameter_types: self.asked.types.iter().copied().take(count).collect(),
                counts: Counts::Yes,
            }));
        }
        let Root::Query(query) = self.resolved.root else {
            return Err(bug());
        };
        let body = self.resolved.queries.get(query.0).ok_or_else(bug)?;
        let columns = width(self.resolved, &body.body).map_err(Verdict::Refused)?;
        Ok(Late::Read(text, positions, columns))
    }

    /// No string may be read as a date that is none without the moment.
    fn check_strings(&self) -> Result<(), Box<Refusal>> {
        let (text, tokens) = (self.case.text, self.case.tokens);
        let mut plain = None;
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| is_string(token)) {
            let literal = Literal {
                span: token.span,
                class: LiteralClass::String,
            };
            let says = literal
                .decode(text, self.case.lexing)
                .is_ok_and(|value| says_moment(&value));
            if !says || is_cast_to_plain(text, tokens, index) {
                continue;
            }
            let plain: &BTreeSet<usize> = plain.get_or_insert_with(|| self.plain_strings());
            if !plain.contains(&token.span.start) {
                return Err(hidden("a string ('now', 'today' or the like)"));
            }
        }
        Ok(())
    }

    /// Where strings begin that become values of types which aren't dates.
    fn plain_strings(&self) -> BTreeSet<usize> {
        let resolved = self.resolved;
        let mut plain = BTreeSet::new();
        let mut note = |column: Option<Oid>, value: &Expr| {
            let is_plain = column.is_some_and(|type_oid| !may_move(resolved.input.catalog, type_oid));
            plain.extend(string_at(value).filter(|_| is_plain));
        };
        let mut open: Vec<(Scope, Child<'_>)> = Vec::new();
        for (index, block) in resolved.blocks.iter().enumerate() {
            if block.origin != Origin::Statement {
                continue;
            }
            let scope = resolved.scope(crate::plan::resolve::BlockId(index));
            open.extend(block.conjuncts.iter().filter_map(|conjunct| match conjunct.test {
                ConjunctTest::Expression(expr) => Some((scope, Child::Expr(expr))),
                ConjunctTest::Equal(..) => None,
            }));
            let target = block.items.first().and_then(|item| match item.source {
                crate::plan::resolve::Source::Relation(reference) => resolved.references.get(reference.0)?.relation,
                _ => None,
            });
            let type_of = |name: &str| Some(target?.column(name)?.type_oid);
            match block.kind {
                BlockKind::Select(select) => open.extend(select.projection.iter().filter_map(|item| match item {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                        Some((scope, Child::Expr(expr)))
                    }
                    _ => None,
                })),
                BlockKind::Update(update) => {
                    for (column, value) in update.assignments.iter().flat_map(pairs) {
                        note(type_of(column), value);
                        open.push((scope, Child::Expr(value)));
                    }
                }
                BlockKind::Insert(insert) => {
                    let source = block.source.and_then(|source| resolved.body_block(source));
                    let source = source.and_then(|source| resolved.blocks.get(source.0));
                    let names: Vec<&str> = match (insert.columns.is_empty(), target) {
                        (true, Some(target)) => target.columns.iter().map(|column| column.name.as_str()).collect(),
                        (true, None) => Vec::new(),
                        (false, _) => insert
                            .columns
                            .iter()
                            .map(|name| last(name).unwrap_or_default())
                            .collect(),
                    };
                    let rows: Vec<&[Expr]> = match source.map(|source| source.kind) {
                        Some(BlockKind::Values(values)) => {
                            values.rows.iter().map(|row| row.content.as_slice()).collect()
                        }
                        _ => Vec::new(),
                    };
                    for (name, value) in rows.into_iter().flat_map(|row| names.iter().zip(row)) {
                        note(type_of(name), value);
                    }
                    if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                        && let OnConflictAction::DoUpdate(update) = &conflict.action
                    {
                        for (column, value) in update.assignments.iter().flat_map(pairs) {
                            note(type_of(column), value);
                        }
                    }
                }
                BlockKind::Values(_) | BlockKind::Table | BlockKind::Delete | BlockKind::Merge(_) => {}
            }
        }
        while let Some((scope, child)) = open.pop() {
            let Child::Expr(expr) = child else { continue };
            let type_in = |expr: &Expr| {
                let base = resolved.base(column_in(resolved, scope, expr)?)?;
                Some(resolved.column(base)?.type_oid)
            };
            // An operator takes an untyped string for a value of the type on its other side.
            match expr {
                Expr::BinaryOp { left, right, op: _ } => {
                    note(type_in(left), right);
                    note(type_in(right), left);
                }
                Expr::In {
                    expr,
                    target: InTarget::List(list),
                    ..
                } => list.iter().for_each(|value| note(type_in(expr), value)),
                Expr::Like { expr, pattern, .. } | Expr::ILike { expr, pattern, .. } => note(type_in(expr), pattern),
                _ => {}
            }
            let mut inner = Vec::new();
            if children(expr, &mut inner).is_ok() {
                open.extend(inner.into_iter().map(|child| (scope, child)));
            }
        }
        plain
    }

    /// No parameter may be read so either.
    fn check_parameters(&self) -> Result<(), Verdict> {
        let Parameters { formats, values } = *self.asked.parameters;
        let is_text = |index: usize| match formats {
            [] => true,
            [one] => *one == Format::Text,
            each => each.get(index).is_none_or(|format| *format == Format::Text),
        };
        for (index, value) in values.iter().enumerate() {
            if !is_text(index) || !value.is_some_and(says_moment) {
                continue;
            }
            let known = self.asked.types.get(index).copied().filter(|oid| *oid != Oid(0));
            match known {
                None if self.asked.facts.parameter_types.is_none() => return Err(Verdict::Ask(Ask::ParameterTypes)),
                Some(type_oid) if !may_move(self.resolved.input.catalog, type_oid) => {}
                Some(_) | None => return Err(Verdict::Refused(hidden("a parameter ('now', 'today' or the like)"))),
            }
        }
        Ok(())
    }
}

/// Columns of an INSERT that some row leaves to a default that reads the moment.
fn left_out(
    target: &Target<'_, '_>,
    insert: &Insert,
    columns: BTreeMap<String, Result<Supplied, String>>,
) -> Result<BTreeMap<String, Supplied>, Box<Refusal>> {
    let mut left = BTreeMap::new();
    for (name, given) in columns {
        let index = target.relation.columns.iter().position(|column| column.name == name);
        if index.is_some_and(|index| target.is_given(insert, index)) {
            continue;
        }
        let given = given.map_err(|_| hidden(&default_of(target.relation, &name)))?;
        left.insert(name, given);
    }
    Ok(left)
}

fn default_of(relation: &Relation, column: &str) -> String {
    format!("the default of column \"{column}\" of table \"{}\"", relation.name.name)
}

/// Columns that an assignment sets, each with its value where the two can be paired.
fn pairs(assignment: &Assignment) -> Vec<(&str, &Expr)> {
    match (&assignment.target, &assignment.value) {
        (AssignmentTarget::ColumnName(name), value) => last(name).map(|name| (name, value)).into_iter().collect(),
        (AssignmentTarget::Tuple(names), Expr::Tuple(values)) => {
            let names = names.iter().map(|name| last(name).unwrap_or_default());
            names.zip(values).collect()
        }
        (AssignmentTarget::Tuple(_), _) => Vec::new(),
    }
}

fn last(name: &crate::sql::ast::ObjectName) -> Option<&str> {
    object_name(name)?.first().copied()
}

/// Where a string begins, if the expression is nothing else.
fn string_at(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Nested(inner) => string_at(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(..) | Value::Boolean(_) | Value::Null | Value::Placeholder(_) => None,
            _ => byte_span(value.span).map(|span| span.start),
        },
        _ => None,
    }
}
