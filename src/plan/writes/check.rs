//! What bars an INSERT of several rows from being split.
//!
//! Why a list: each entry is something that sees the statement as a whole, or sees more than the row's own shard.

use crate::catalog::{Relation, RelationKind, TriggerLevel, TriggerTiming};
use crate::plan::fanout::{check_calls, has_set, repeatable};
use crate::plan::resolve::{Block, BlockId, BlockKind, Body, Placement, Reference, Resolved, Role, Root, Source};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{Expr, Insert, InsertOverriding, OnConflictAction, OnInsert, Parens, Query};

/// An INSERT into one sharded table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'r, 'a> {
    /// its syntax
    pub(super) insert: &'a Insert,
    /// its rows; none where a SELECT makes them
    pub(super) rows: &'a [Parens<Vec<Expr>>],
    /// the table
    pub(super) relation: &'a Relation,
    /// its name for people
    pub(super) name: &'r str,
    /// index of its key column
    pub(super) key: usize,
}

/// Which rows come back, by RETURNING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returning {
    /// none
    Nothing,
    /// every one
    EachRow,
    /// perhaps not every one
    SomeRows,
}

/// Does it matter whether two rows of one key are proposed by one command?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// no
    Allowed,
    /// DO UPDATE raises 21000 for the second, and only within one command
    Barred,
}

impl<'r, 'a> Subject<'r, 'a> {
    /// The INSERT, if the statement is nothing else and nothing bars its split.
    pub(super) fn of(resolved: &'r Resolved<'a>) -> Result<Subject<'r, 'a>, Box<Refusal>> {
        let sharded = |placement| match placement {
            Placement::Sharded { keyspace: _, key } => Some(key),
            Placement::Reference
            | Placement::Unsharded(_)
            | Placement::System
            | Placement::Temporary
            | Placement::Missing => None,
        };
        let subject = find(resolved, sharded).ok_or_else(|| several(resolved))?;
        subject.check_table()?;
        subject.check_syntax(resolved)?;
        subject.check_reads(resolved)?;
        check_calls(resolved)?;
        let cells = subject.rows.iter().flat_map(|row| &row.content);
        if cells.into_iter().any(|cell| has_set(resolved, cell)) {
            return Err(subject.barred(
                "a set-returning function in VALUES",
                "Postgres takes one in a single row and rejects it in several.",
            ));
        }
        Ok(subject)
    }

    /// The INSERT of one shard's rows, if the statement is nothing else.
    pub(super) fn alone(resolved: &'r Resolved<'a>) -> Option<Subject<'r, 'a>> {
        find(resolved, |placement| match placement {
            Placement::Sharded { keyspace: _, key } => Some(key),
            Placement::Unsharded(_) | Placement::Temporary => Some(0),
            Placement::Reference | Placement::System | Placement::Missing => None,
        })
    }

    /// A refusal of the split.
    pub(super) fn barred(&self, what: &str, why: &str) -> Box<Refusal> {
        refuse(RefusalId::InsertSplit, &[self.name, what, why])
    }

    /// Which rows come back.
    pub(super) fn returning(&self) -> Returning {
        if self.insert.returning.is_none() {
            return Returning::Nothing;
        }
        let skips = match self.action() {
            None => false,
            Some(OnConflictAction::DoNothing) => true,
            Some(OnConflictAction::DoUpdate(update)) => update.selection.is_some(),
        };
        // A BEFORE trigger may return no row.
        let triggered = self.relation.triggers.iter().any(|trigger| match trigger.timing {
            TriggerTiming::Before | TriggerTiming::InsteadOf => true,
            TriggerTiming::After => false,
        });
        match skips || triggered || self.relation.kind == RelationKind::Partitioned {
            true => Returning::SomeRows,
            false => Returning::EachRow,
        }
    }

    /// May rows of one key go by several commands?
    pub(super) fn repeats(&self) -> Repeats {
        match self.action() {
            Some(OnConflictAction::DoUpdate(_)) => Repeats::Barred,
            Some(OnConflictAction::DoNothing) | None => Repeats::Allowed,
        }
    }

    /// Is OVERRIDING said?
    pub(super) fn overrides(&self) -> bool {
        self.insert.overriding.is_some()
    }

    fn action(&self) -> Option<&'a OnConflictAction> {
        match &self.insert.on {
            Some(OnInsert::OnConflict(conflict)) => Some(&conflict.action),
            Some(_) | None => None,
        }
    }

    pub(super) fn check_table(&self) -> Result<(), Box<Refusal>> {
        match self.relation.kind {
            RelationKind::Table | RelationKind::Partitioned => {}
            RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::CompositeType => {
                return Err(self.barred("a target that is no table", "What becomes of its rows is not known."));
            }
        }
        if let Some(rule) = self.relation.rules.first() {
            return Err(self.barred(&format!("rule \"{rule}\""), "It rewrites the statement on each shard."));
        }
        let per_statement = |level| match level {
            TriggerLevel::Statement => true,
            TriggerLevel::Row => false,
        };
        let triggers = &self.relation.triggers;
        let trigger = triggers.iter().find(|trigger| per_statement(trigger.level));
        if let Some(trigger) = trigger {
            return Err(self.barred(
                &format!("trigger \"{}\"", trigger.name),
                "It is FOR EACH STATEMENT and would run once on each shard.",
            ));
        }
        let key = self.relation.columns.get(self.key).map(|column| column.name.as_str());
        let holds_key = |columns: &Vec<Option<String>>| columns.iter().any(|column| column.as_deref() == key);
        match self.relation.unique_keys.iter().all(holds_key) {
            true => Ok(()),
            false => Err(self.barred(
                "a unique index that lacks the sharding key",
                "Rows of other shards may hold the same value.",
            )),
        }
    }

    pub(super) fn check_syntax(&self, resolved: &Resolved<'_>) -> Result<(), Box<Refusal>> {
        match self.insert.overriding {
            None | Some(InsertOverriding::System) => {}
            Some(InsertOverriding::User) => {
                return Err(self.barred(
                    "OVERRIDING USER VALUE",
                    "Identity columns would draw from each shard's own sequence.",
                ));
            }
        }
        self.check_columns()?;
        if !resolved.uses.system_columns.is_empty() {
            return Err(self.barred(
                "a system column",
                "Each shard numbers its rows and transactions for itself.",
            ));
        }
        Ok(())
    }

    /// Only whole columns are listed.
    pub(super) fn check_columns(&self) -> Result<(), Box<Refusal>> {
        match self.insert.columns.iter().all(|column| column.0.len() == 1) {
            true => Ok(()),
            false => Err(self.barred(
                "a column's field or element in the list of columns",
                "A single row of it is read otherwise than several.",
            )),
        }
    }

    /// What is read besides: reference tables, and of those what doesn't depend on how a shard stores them.
    fn check_reads(&self, resolved: &Resolved<'_>) -> Result<(), Box<Refusal>> {
        let barred = |reference: &Reference<'_>| match reference.role {
            Role::Insert => false,
            Role::Read => reference.placement != Placement::Reference,
            Role::Update | Role::Delete | Role::Merge => true,
        };
        if let Some(reference) = resolved.references.iter().find(|reference| barred(reference)) {
            return Err(self.barred(
                &format!("a subquery on \"{}\"", reference.name),
                "Only reference tables are whole on every shard.",
            ));
        }
        let order = "Which of its rows come first may differ between shards.";
        for (index, block) in resolved.blocks.iter().enumerate() {
            let BlockKind::Select(select) = block.kind else {
                continue;
            };
            let reads = block.items.iter().any(|item| match item.source {
                Source::Function => false,
                Source::Relation(_)
                | Source::View { .. }
                | Source::Subquery { .. }
                | Source::Cte { .. }
                | Source::Excluded => true,
            });
            if reads {
                repeatable(resolved, BlockId(index), select)?;
            }
        }
        let cut = |query: &Query| query.limit_clause.is_some() || query.fetch.is_some();
        if resolved.uses.locks > 0 {
            return Err(self.barred(
                "a subquery with row locks",
                "Each shard would lock its own copy of the rows.",
            ));
        }
        match resolved.queries.iter().any(|node| cut(node.query)) {
            true => Err(self.barred("a subquery with LIMIT", order)),
            false => Ok(()),
        }
    }
}

/// The INSERT … VALUES that the statement is, into a table of such a placement.
fn find<'r, 'a>(resolved: &'r Resolved<'a>, key: impl FnOnce(Placement) -> Option<usize>) -> Option<Subject<'r, 'a>> {
    let Root::Modify(id) = resolved.root else {
        return None;
    };
    let block = resolved.blocks.get(id.0)?;
    let BlockKind::Insert(insert) = block.kind else {
        return None;
    };
    let modifies = |block: &Block<'_>| match block.kind {
        BlockKind::Insert(_) | BlockKind::Update(_) | BlockKind::Delete | BlockKind::Merge(_) => true,
        BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table => false,
    };
    if resolved.blocks.iter().filter(|block| modifies(block)).count() != 1 {
        return None;
    }
    let Source::Relation(target) = block.items.first()?.source else {
        return None;
    };
    let target = resolved.references.get(target.0)?;
    let key = key(target.placement)?;
    let BlockKind::Values(values) = resolved.blocks.get(bare_source(resolved, block)?.0)?.kind else {
        return None;
    };
    let plain = !values.explicit_row && !values.value_keyword;
    plain.then_some(Subject {
        insert,
        rows: &values.rows,
        relation: target.relation?,
        name: &target.name,
        key,
    })
}

/// The one block that an INSERT takes its rows from, if nothing stands around it: no WITH, order, limit or lock.
pub(super) fn bare_source(resolved: &Resolved<'_>, insert: &Block<'_>) -> Option<BlockId> {
    let node = resolved.queries.get(insert.source?.0)?;
    let Query {
        with: None,
        body: _,
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = node.query
    else {
        return None;
    };
    let Body::Block(body) = node.body else { return None };
    (locks.is_empty() && pipe_operators.is_empty()).then_some(body)
}

fn several(resolved: &Resolved<'_>) -> Box<Refusal> {
    let mut names: Vec<&str> = resolved
        .references
        .iter()
        .filter(|reference| matches!(reference.placement, Placement::Sharded { .. } | Placement::Unsharded(_)))
        .map(|reference| reference.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    refuse(RefusalId::WriteSeveralShards, &[&names.join(", ")])
}
