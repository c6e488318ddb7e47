//! A statement for a shard that joins a transaction begun on another: what it reads of the moment is the transaction's.
//!
//! Why in the text: `now()` is the moment at which a server's own transaction began, so it is asked for where the client's
//! began and put into the text as a constant (`planning.md` 128).
//! Holds: what may read the moment where no constant can stand for it is refused; what reads none goes as it is written.
//! What it costs, only statements pay that read the moment on such a shard: they are parsed once more.

use std::collections::BTreeMap;

use crate::catalog::Relation;
use crate::plan::fanout::{
    Moment, Moves, fix_moments, know_moments, moments, moving_parameter, moving_string, pairs, width,
};
use crate::plan::keys::Owner;
use crate::plan::ladder::clock::{out_of_sight, timed_columns, written};
use crate::plan::ladder::copy;
use crate::plan::ladder::reference::{Target, is_default};
use crate::plan::ladder::{Case, Tree, check_unseen, unseen};
use crate::plan::resolve::{BlockKind, QueryId, Resolved, Role, Root};
use crate::plan::writes::{self, Bindings, Supplied};
use crate::plan::{Access, Ask, Counts, Facts, Parameters, Refusal, RefusalId, Verdict, WritePart, refuse};
use crate::sql::ast::{Assignment, Expr, Insert, OnConflictAction, OnInsert, SelectItem};
use crate::sql::{Command, Edits, PositionMap, Span, byte_span};
use crate::topology::ShardId;
use crate::value::Oid;

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
    check_unseen(&unseen(case), asked.facts)?;
    let Tree::Resolved(resolved) = case.resolved else {
        let what = match case.command {
            Command::Copy(copy) => match copy::reads_moment(case, copy) {
                Some(what) => what,
                None => return Ok(Late::Same),
            },
            Command::Truncate => return Ok(Late::Same),
            Command::Call => "a procedure",
            Command::Do => "DO",
            _ => "a statement that isn't understood whole",
        };
        return Err(Verdict::Refused(hidden(what)));
    };
    let renewal = Renewal { case, resolved, asked };
    if let Some(what) = out_of_sight(resolved) {
        return Err(Verdict::Refused(hidden(&what)));
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
        if moving_string(self.resolved) {
            return Err(Verdict::Refused(hidden("a string ('now', 'today' or the like)")));
        }
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
        let columns = self.columns(query).map_err(Verdict::Refused)?;
        Ok(Late::Read(text, positions, columns))
    }

    /// Number of columns of a query.
    fn columns(&self, query: QueryId) -> Result<usize, Box<Refusal>> {
        let bug = || refuse(RefusalId::SyntaxNotUnderstood, &["a moment in this query"]);
        let node = self.resolved.queries.get(query.0).ok_or_else(bug)?;
        let block = self
            .resolved
            .body_block(query)
            .and_then(|block| self.resolved.blocks.get(block.0));
        let written = |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
        match block.map(|block| block.kind) {
            Some(BlockKind::Select(select)) if select.projection.iter().all(written) => Ok(select.projection.len()),
            _ => width(self.resolved, &node.body),
        }
    }

    /// No parameter may be read as a date that is none without the moment.
    fn check_parameters(&self) -> Result<(), Verdict> {
        let asked = self.asked;
        match moving_parameter(self.resolved.input.catalog, asked.parameters, asked.types) {
            Moves::No => Ok(()),
            Moves::Unknown if asked.facts.parameter_types.is_none() => Err(Verdict::Ask(Ask::ParameterTypes)),
            Moves::Yes | Moves::Unknown => Err(Verdict::Refused(hidden("a parameter ('now', 'today' or the like)"))),
        }
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
