//! Writes of a reference table's rows: the same statement on every shard, in one transaction, first on the first shard.
//!
//! Why a lock first: two writers must meet on one shard before either has changed anything on another, or their orders
//! could differ. Why content is compared and not counts: a statement that looks the same everywhere may do otherwise
//! where a trigger, a type's default or a copy differs; each row that it writes ends with a hash of the whole row, and
//! the sums must agree (`planning.md` 123).
//! Holds: what is known to differ from shard to shard is refused before it runs; what isn't known is found by the hash.

use crate::catalog::{Catalog, Filling, Relation, Sequenced, Volatility};
use crate::plan::fanout::{Moment, Nature, fix_moments, is_doubtful, know_moments, moments, nature, repeatable};
use crate::plan::ladder::usage::usage;
use crate::plan::ladder::{Case, Everywhere, Literals, Route, Ruling, Texts};
use crate::plan::resolve::{
    Block, BlockId, BlockKind, Body, Outputs, Placement, Reference, Resolved, Role, Root, object_name,
};
use crate::plan::{Access, Counts, Facts, Refusal, RefusalId, Sameness, Verdict, WriteAnswer, WritePart, refuse};
use crate::sql::ast::{
    AssignmentTarget, Expr, FunctionArguments, Insert, MergeAction, MergeInsertKind, MergeUpdateKind, OnConflictAction,
    OnInsert, SetExpr,
};
use crate::sql::{Edits, Lexing, Span, TokenKind, quote_identifier, scan};
use crate::topology::{ShardId, ShardSet};
use crate::value::Oid;

/// A proven write of one text.
#[derive(Debug)]
pub(in crate::plan) struct RowsWrite {
    /// the client's
    text: Vec<u8>,
    /// runs first, on the first shard
    lock: String,
    /// where constants come into the text
    moments: Vec<(Span, Moment)>,
    /// what comes behind its last token, at this byte
    tail: (usize, String),
    /// the highest `$n`
    parameters: usize,
    /// in what the shards' answers have to agree
    sameness: Sameness,
}

/// What is written, and the block that writes it.
pub(super) struct Target<'r, 'a> {
    /// the whole statement
    pub(super) resolved: &'r Resolved<'a>,
    /// the table's mention
    pub(super) reference: &'r Reference<'a>,
    /// the table
    pub(super) relation: &'a Relation,
    /// what writes it
    pub(super) block: &'r Block<'a>,
}

/// The route of a statement that writes a reference table; `None` for any other.
pub(super) fn rule(case: &Case<'_>, resolved: &Resolved<'_>) -> Option<Ruling> {
    let written = |reference: &&Reference<'_>| reference.role != Role::Read;
    let mut targets = resolved.references.iter().filter(written);
    targets.find(|reference| reference.placement == Placement::Reference)?;
    let home = case.snapshot.topology().home();
    Some(match prove(resolved) {
        Ok(rows) => Ruling {
            route: Route::Everywhere(Box::new(Everywhere {
                reason: "a reference table",
                answer: WriteAnswer::Same(rows.sameness),
                texts: Texts::Rows(Box::new(rows)),
            })),
            access: Access::Write,
            effect: crate::plan::SessionEffect::None,
            prepare_on: home,
            literals: Literals::Read,
        },
        Err(refusal) => Ruling::refused(refusal, home),
    })
}

fn prove(resolved: &Resolved<'_>) -> Result<RowsWrite, Box<Refusal>> {
    let target = target(resolved)?;
    target.reads()?;
    target.uses()?;
    target.values()?;
    let found = moments(resolved)?;
    let input = resolved.input;
    let last = input
        .tokens
        .iter()
        .rev()
        .find(|token| token.kind != TokenKind::Punctuation(b';'));
    let end = last.map_or(input.text.len(), |token| token.span.end);
    let alias = target.block.items.first().and_then(|item| item.alias.clone());
    let alias = quote_identifier(&alias.unwrap_or_else(|| target.relation.name.name.clone()));
    let hash = format!("pg_catalog.hashtextextended(({alias}.*)::pg_catalog.text, 0)");
    let (sameness, tail) = match (target.reference.role, target.returning()) {
        // It returns no rows before 17.
        (Role::Merge, _) => (Sameness::Tag, String::new()),
        (_, true) => (Sameness::Rows, format!(", {hash}")),
        (_, false) => (Sameness::Rows, format!(" RETURNING {hash}")),
    };
    let name = &target.relation.name;
    let table = format!("{}.{}", quote_identifier(&name.schema), quote_identifier(&name.name));
    let highest = resolved.uses.parameters.iter().copied().max().unwrap_or(0);
    Ok(RowsWrite {
        text: input.text.to_vec(),
        lock: format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"),
        moments: found,
        tail: (end, tail),
        sameness,
        parameters: usize::try_from(highest).unwrap_or(usize::MAX),
    })
}

/// The one table that the statement writes, at its top.
fn target<'r, 'a>(resolved: &'r Resolved<'a>) -> Result<Target<'r, 'a>, Box<Refusal>> {
    let mut written = resolved
        .references
        .iter()
        .filter(|reference| reference.role != Role::Read);
    let (first, second) = (written.next(), written.next());
    let bug = || refuse(RefusalId::SyntaxNotUnderstood, &["a write of no table"]);
    let reference = first.ok_or_else(bug)?;
    let refused = |what: &str| Err(refuse(RefusalId::ReferenceWrite, &[&reference.name, what]));
    if second.is_some() {
        return refused("a statement that writes several tables");
    }
    let top = match resolved.root {
        Root::Modify(block) => Some(block),
        Root::Query(query) => resolved.queries.get(query.0).and_then(|node| match node.body {
            Body::Block(block) => Some(block),
            Body::Query(_) | Body::Set { .. } | Body::Pending => None,
        }),
    };
    if top != Some(reference.block) {
        return refused("a write inside WITH");
    }
    let block = resolved.blocks.get(reference.block.0).ok_or_else(bug)?;
    let relation = reference.relation.ok_or_else(bug)?;
    // The rows that it writes can't be compared: they must be the same by what is known of it.
    if reference.role == Role::Merge && !relation.triggers.is_empty() {
        return refused("MERGE into a table with triggers");
    }
    Ok(Target {
        resolved,
        reference,
        relation,
        block,
    })
}

// === impl Target ===

impl Target<'_, '_> {
    fn refused(&self, what: &str) -> Box<Refusal> {
        refuse(RefusalId::ReferenceWrite, &[&self.reference.name, what])
    }

    fn varies(&self, what: &str) -> Box<Refusal> {
        refuse(RefusalId::ReferenceVaries, &[&self.reference.name, what])
    }

    /// Rows come from tables that are the same on every shard, in no order that matters.
    fn reads(&self) -> Result<(), Box<Refusal>> {
        let resolved = self.resolved;
        if let Some(other) = resolved.references.iter().find(|other| match other.placement {
            Placement::Reference | Placement::Missing => false,
            Placement::Sharded { .. } | Placement::Unsharded(_) | Placement::System | Placement::Temporary => true,
        }) {
            return Err(refuse(RefusalId::ReferenceReads, &[&self.reference.name, &other.name]));
        }
        for node in &resolved.queries {
            let query = node.query;
            if query.limit_clause.is_some() || query.fetch.is_some() {
                return Err(self.varies("LIMIT, OFFSET or FETCH"));
            }
            if query.with.as_ref().is_some_and(|with| with.recursive) {
                return Err(self.refused("WITH RECURSIVE"));
            }
        }
        let from = self.block.items.len();
        match self.block.kind {
            BlockKind::Update(_) if from > 1 => return Err(self.varies("UPDATE … FROM")),
            BlockKind::Delete if from > 1 && self.returning() => return Err(self.varies("DELETE … USING … RETURNING")),
            _ => {}
        }
        for (index, block) in resolved.blocks.iter().enumerate() {
            if let BlockKind::Select(select) = block.kind {
                repeatable(resolved, BlockId(index), select)?;
            }
        }
        Ok(())
    }

    /// Every call has one value on all shards.
    fn uses(&self) -> Result<(), Box<Refusal>> {
        let resolved = self.resolved;
        let usage = usage(resolved)?;
        if let Some(what) = usage.alone.or(usage.home_only).or(usage.local) {
            return Err(self.varies(&what));
        }
        if !resolved.uses.samples.is_empty() {
            return Err(self.varies("TABLESAMPLE"));
        }
        if let Some(column) = resolved.uses.system_columns.first() {
            return Err(self.varies(&column.name));
        }
        if resolved.uses.locks > 0 {
            return Err(self.refused("FOR UPDATE"));
        }
        if is_doubtful(resolved) {
            return Err(refuse(RefusalId::FanOutSuspicious, &[]));
        }
        for call in &resolved.uses.functions {
            let ordered = call.call.is_some_and(|call| match &call.args {
                FunctionArguments::Subquery(_) => true,
                FunctionArguments::List(_) | FunctionArguments::None => false,
            });
            match nature(resolved, call)? {
                Nature::Alike if ordered => return Err(self.varies("ARRAY(SELECT …)")),
                Nature::Alike | Nature::Moment => {}
                Nature::PerRow => return Err(self.varies(&format!("{}()", call.name))),
            }
        }
        Ok(())
    }

    /// Columns that the statement leaves to their defaults have the same one on every shard.
    fn values(&self) -> Result<(), Box<Refusal>> {
        match self.block.kind {
            BlockKind::Insert(insert) => {
                for (index, column) in self.relation.columns.iter().enumerate() {
                    if !self.is_given(insert, index) {
                        self.default(&column.name, &column.filling)?;
                    }
                }
                if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                    && let OnConflictAction::DoUpdate(update) = &conflict.action
                {
                    self.assigned(&update.assignments)?;
                }
                Ok(())
            }
            BlockKind::Update(update) => self.assigned(&update.assignments),
            BlockKind::Merge(merge) => merge.clauses.iter().try_for_each(|clause| self.merged(&clause.action)),
            BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table | BlockKind::Delete => Ok(()),
        }
    }

    /// What MERGE does to a row.
    fn merged(&self, action: &MergeAction) -> Result<(), Box<Refusal>> {
        match action {
            MergeAction::Insert(insert) => {
                let MergeInsertKind::Values(values) = &insert.kind else {
                    return Err(self.refused("MERGE … INSERT without VALUES"));
                };
                let row = values.rows.first().map_or(&[][..], |row| row.content.as_slice());
                let names: Vec<&str> = insert
                    .columns
                    .iter()
                    .filter_map(|name| object_name(name)?.last().copied())
                    .collect();
                for (index, column) in self.relation.columns.iter().enumerate() {
                    let position = match insert.columns.is_empty() {
                        true => Some(index),
                        false => names.iter().position(|name| *name == column.name),
                    };
                    let given = position.and_then(|position| row.get(position));
                    if given.is_none_or(is_default) {
                        self.default(&column.name, &column.filling)?;
                    }
                }
                Ok(())
            }
            MergeAction::Update(update) => match &update.kind {
                MergeUpdateKind::Set(assignments) => self.assigned(assignments),
                MergeUpdateKind::Wildcard => Err(self.refused("MERGE … UPDATE *")),
            },
            MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => Ok(()),
        }
    }

    /// Does every row of an INSERT give a value for the column at this index?
    pub(super) fn is_given(&self, insert: &Insert, index: usize) -> bool {
        let (Some(source), Some(column)) = (&insert.source, self.relation.columns.get(index)) else {
            return false; // DEFAULT VALUES
        };
        let named = |name: &crate::sql::ast::ObjectName| {
            object_name(name).and_then(|parts| parts.first().copied()) == Some(column.name.as_str())
        };
        let position = match insert.columns.is_empty() {
            true => Some(index),
            false => insert.columns.iter().position(named),
        };
        let Some(position) = position else { return false };
        if let SetExpr::Values(values) = &*source.body {
            return values
                .rows
                .iter()
                .all(|row| row.content.get(position).is_some_and(|expr| !is_default(expr)));
        }
        let node = self.block.source.and_then(|source| self.resolved.body_block(source));
        let outputs = node
            .and_then(|block| self.resolved.blocks.get(block.0))
            .map(|block| &block.outputs);
        match outputs {
            Some(Outputs::Known(outputs)) => position < outputs.len(),
            Some(Outputs::Unknown) | None => false,
        }
    }

    /// SET column = DEFAULT
    fn assigned(&self, assignments: &[crate::sql::ast::Assignment]) -> Result<(), Box<Refusal>> {
        for assignment in assignments {
            let any_default = match &assignment.value {
                Expr::Tuple(values) => values.iter().any(is_default),
                value => is_default(value),
            };
            let names = match &assignment.target {
                AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
                AssignmentTarget::Tuple(names) => names.as_slice(),
            };
            for name in names.iter().filter(|_| any_default) {
                let column = object_name(name).and_then(|parts| self.relation.column(parts.first()?));
                let column = column.ok_or_else(|| self.varies("DEFAULT"))?;
                self.default(&column.name, &column.filling)?;
            }
        }
        Ok(())
    }

    fn default(&self, column: &str, filling: &Filling) -> Result<(), Box<Refusal>> {
        let constant = match filling {
            Filling::Nothing | Filling::Generated(_) => true,
            Filling::Identity { .. } => false,
            Filling::Default { expression, .. } => is_constant(self.resolved.input.catalog, expression),
        };
        match constant {
            true => Ok(()),
            false => Err(refuse(RefusalId::ReferenceDefault, &[&self.reference.name, column])),
        }
    }

    fn returning(&self) -> bool {
        match self.block.kind {
            BlockKind::Insert(insert) => insert.returning.is_some(),
            BlockKind::Update(update) => update.returning.is_some(),
            // The syntax isn't at hand here; what it yields is.
            BlockKind::Delete => match &self.block.outputs {
                Outputs::Known(outputs) => !outputs.is_empty(),
                Outputs::Unknown => true,
            },
            BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table | BlockKind::Merge(_) => false,
        }
    }
}

/// Words by which a default speaks of the time without calling a function.
const SPELT: [&str; 4] = ["'now'", "'today'", "'tomorrow'", "'yesterday'"];

/// Functions that give each row a value of its own.
const PER_ROW: [&str; 3] = ["gen_random_uuid", "uuid_generate_v4", "random"];

/// What a default that isn't the same on every shard is written as where an INSERT leaves its column out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// itself: as the client could have written it
    Written(String),
    /// a constant: its value is asked for
    Asked(String),
}

/// How a column's default comes into the rows of a reference table; `None`: each shard may make it, or nobody can.
pub(super) fn made(catalog: &Catalog, filling: &Filling) -> Option<Made> {
    let Filling::Default {
        expression,
        sequence: Sequenced::No,
    } = filling
    else {
        return None;
    };
    let lower = expression.to_ascii_lowercase();
    if is_constant(catalog, expression) || SPELT.iter().any(|word| lower.contains(word)) {
        return None;
    }
    let mut calls = calls(expression)?.into_iter();
    Some(match calls.any(|name| PER_ROW.contains(&name.as_str())) {
        true => Made::Asked(expression.clone()),
        false => Made::Written(expression.clone()),
    })
}

/// Is a default, as Postgres prints it, one value whenever and wherever it is evaluated?
fn is_constant(catalog: &Catalog, expression: &str) -> bool {
    let lower = expression.to_ascii_lowercase();
    let Some(calls) = calls(expression) else { return false };
    let immutable = calls.iter().all(|name| {
        let builtin = catalog.builtin.functions.get(name);
        let fixed = |functions: &Vec<std::sync::Arc<crate::catalog::Function>>| {
            functions
                .iter()
                .all(|function| function.volatility == Volatility::Immutable)
        };
        !catalog.functions.contains_key(name) && builtin.is_none_or(fixed)
    });
    let others = ["current_", "localtime", "session_user"];
    immutable && !SPELT.iter().chain(&others).any(|word| lower.contains(word))
}

/// Names of the functions that an expression calls; `None`: it can't be read.
fn calls(expression: &str) -> Option<Vec<String>> {
    let tokens = scan(expression.as_bytes(), Lexing::default()).ok()?;
    let called = tokens.iter().zip(tokens.iter().skip(1)).filter(|(name, open)| {
        matches!(name.kind, TokenKind::Word | TokenKind::QuotedIdentifier) && open.kind == TokenKind::Punctuation(b'(')
    });
    let name = |name: &crate::sql::Token| {
        String::from_utf8_lossy(name.span.of(expression.as_bytes()))
            .trim_matches('"')
            .to_owned()
    };
    Some(called.map(|(token, _)| name(token)).collect())
}

pub(super) fn is_default(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(ident) => ident.quote_style.is_none() && ident.value == "default",
        _ => false,
    }
}

// === impl RowsWrite ===

impl RowsWrite {
    /// About how many bytes it takes.
    pub(in crate::plan) fn weight(&self) -> usize {
        self.text
            .len()
            .saturating_add(self.lock.len())
            .saturating_add(self.tail.1.len())
    }

    /// The parts for these shards; `types` are those of `$n` as declared or learnt.
    pub(in crate::plan) fn bind(
        &self,
        shards: ShardSet,
        types: &[Oid],
        facts: &Facts,
    ) -> Result<Vec<WritePart>, Verdict> {
        let bug = || Verdict::Refused(refuse(RefusalId::SyntaxNotUnderstood, &["this statement"]));
        know_moments(&self.moments, facts)?;
        let mut edits = Edits::new();
        fix_moments(&self.moments, facts, &mut edits)?;
        edits.insert(self.tail.0, self.tail.1.clone());
        let (text, positions) = edits.apply(&self.text).ok_or_else(bug)?;
        let part = |shard: ShardId| WritePart {
            shard,
            text: text.clone(),
            positions: Some(positions.clone()),
            parameters: (0..self.parameters).collect(),
            parameter_types: types.iter().copied().take(self.parameters).collect(),
            counts: Counts::Yes,
        };
        let first = shards.first().ok_or_else(bug)?;
        let lock = WritePart {
            shard: first,
            text: self.lock.clone().into_bytes(),
            positions: None,
            parameters: Vec::new(),
            parameter_types: Vec::new(),
            counts: Counts::No,
        };
        Ok(std::iter::once(lock).chain(shards.iter().map(part)).collect())
    }
}
