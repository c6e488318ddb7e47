//! Writes that are refused on any number of shards: to reference tables, to the key itself, locks on one copy.

use crate::plan::ladder::insert::is_default;
use crate::plan::resolve::{Block, BlockKind, Placement, Reference, Resolved, Role, Source, object_name};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{Assignment, AssignmentTarget, Expr, MergeAction, MergeUpdateKind, OnConflictAction, OnInsert};

/// Refuses what this version doesn't write.
pub(super) fn check(resolved: &Resolved<'_>) -> Result<(), Box<Refusal>> {
    for reference in &resolved.references {
        match (reference.role, reference.placement) {
            (Role::Insert | Role::Update | Role::Delete | Role::Merge, Placement::Reference) => {
                return Err(refuse(RefusalId::ReferenceWrite, &[&reference.name, "this statement"]));
            }
            (Role::Insert | Role::Update | Role::Delete | Role::Merge, Placement::System) => {
                return Err(refuse(RefusalId::CatalogWritten, &[&reference.name]));
            }
            (Role::Read | Role::Insert | Role::Update | Role::Delete | Role::Merge, _) => {}
        }
    }
    for block in &resolved.blocks {
        assignments(resolved, block)?;
    }
    locks(resolved)
}

fn assignments(resolved: &Resolved<'_>, block: &Block<'_>) -> Result<(), Box<Refusal>> {
    let Some(target) = target(resolved, block) else {
        return Ok(());
    };
    let key = match target.placement {
        Placement::Sharded { keyspace: _, key } => target.relation.and_then(|relation| relation.columns.get(key)),
        Placement::Reference => None,
        Placement::Unsharded(_) | Placement::System | Placement::Temporary | Placement::Missing => return Ok(()),
    };
    let lists: Vec<&[Assignment]> = match block.kind {
        BlockKind::Update(update) => vec![&update.assignments],
        BlockKind::Insert(insert) => match &insert.on {
            Some(OnInsert::OnConflict(conflict)) => match &conflict.action {
                OnConflictAction::DoUpdate(update) => vec![&update.assignments],
                OnConflictAction::DoNothing => Vec::new(),
            },
            Some(_) | None => Vec::new(),
        },
        BlockKind::Merge(merge) => merge
            .clauses
            .iter()
            .filter_map(|clause| match &clause.action {
                MergeAction::Update(update) => match &update.kind {
                    MergeUpdateKind::Set(assignments) => Some(assignments.as_slice()),
                    MergeUpdateKind::Wildcard => None,
                },
                MergeAction::Insert(_) | MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => None,
            })
            .collect(),
        BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table | BlockKind::Delete => Vec::new(),
    };
    for assignment in lists.into_iter().flatten() {
        let targets = match &assignment.target {
            AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
            AssignmentTarget::Tuple(names) => names.as_slice(),
        };
        for name in targets {
            let Some(name) = object_name(name).and_then(|parts| parts.first().copied()) else {
                continue;
            };
            if key.is_some_and(|key| key.name == name) {
                return Err(refuse(RefusalId::KeyAssigned, &[&target.name, name]));
            }
            let column = target.relation.and_then(|relation| relation.column(name));
            let draws = column.is_some_and(|column| column.filling.drawn_from().is_some());
            if draws && sets_default(&assignment.value) {
                return Err(refuse(RefusalId::UpdateSequenceDefault, &[&target.name, name]));
            }
        }
    }
    Ok(())
}

/// Does an assignment hold DEFAULT, alone or in a row?
fn sets_default(value: &Expr) -> bool {
    match value {
        Expr::Tuple(values) => values.iter().any(is_default),
        Expr::Nested(inner) => sets_default(inner),
        value => is_default(value),
    }
}

/// The table that a block writes.
pub(super) fn target<'r, 'a>(resolved: &'r Resolved<'a>, block: &Block<'_>) -> Option<&'r Reference<'a>> {
    match block.kind {
        BlockKind::Insert(_) | BlockKind::Update(_) | BlockKind::Delete | BlockKind::Merge(_) => {}
        BlockKind::Select(_) | BlockKind::Values(_) | BlockKind::Table => return None,
    }
    match block.items.first()?.source {
        Source::Relation(reference) => resolved.references.get(reference.0),
        Source::View { .. } | Source::Subquery { .. } | Source::Cte { .. } | Source::Excluded | Source::Function => {
            None
        }
    }
}

/// A row of a reference table is locked on one shard only. That is enough on the first one, where every writer of it comes
/// first, and a statement over reference tables alone is sent there.
fn locks(resolved: &Resolved<'_>) -> Result<(), Box<Refusal>> {
    if resolved
        .references
        .iter()
        .all(|reference| reference.placement == Placement::Reference)
    {
        return Ok(());
    }
    let Some(reference) = resolved
        .references
        .iter()
        .find(|reference| reference.placement == Placement::Reference)
    else {
        return Ok(());
    };
    for node in &resolved.queries {
        for lock in &node.query.locks {
            let of = lock
                .of
                .as_ref()
                .and_then(object_name)
                .and_then(|parts| parts.last().map(|name| name.to_string()));
            let spared = of.is_some_and(|of| {
                let mut named = resolved
                    .blocks
                    .iter()
                    .flat_map(|block| &block.items)
                    .filter(|item| item.alias.as_ref() == Some(&of));
                named.all(|item| match item.source {
                    Source::Relation(locked) => resolved.references.get(locked.0).is_some_and(|locked| {
                        matches!(locked.placement, Placement::Sharded { .. } | Placement::Unsharded(_))
                    }),
                    Source::View { .. }
                    | Source::Subquery { .. }
                    | Source::Cte { .. }
                    | Source::Excluded
                    | Source::Function => false,
                })
            });
            if !spared {
                return Err(refuse(RefusalId::ReferenceLock, &[&reference.name]));
            }
        }
    }
    Ok(())
}
