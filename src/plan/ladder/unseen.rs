//! What of a statement reads the moment where nothing of it stands in the text: policies, checks, triggers, domains,
//! also of tables that a foreign key goes on to.
//!
//! Why in one place: a statement for one shard that joins a transaction late, and one for several shards, may read no
//! moment of a shard's own, and ask the same of the same tables.
//! Holds: whether row policies apply to the client's role is a server's to say, and asked where a policy reads the
//! moment.

use std::collections::BTreeSet;

use crate::catalog::{Act, Columns, Deed, Relation, UnseenKind};
use crate::plan::ladder::late::hidden;
use crate::plan::ladder::words::{has_word, names};
use crate::plan::ladder::{Case, Tree};
use crate::plan::resolve::{BlockKind, Callee, Named, Origin, Reference, Resolved, Role, object_name, relation_named};
use crate::plan::{Ask, Facts, Verdict};
use crate::sql::ast::{Assignment, AssignmentTarget, Merge, MergeAction, MergeUpdateKind, ObjectName};
use crate::sql::ast::{OnConflictAction, OnInsert};
use crate::sql::{Command, Copy, CopyDirection, CopySubject, quote_identifier, quote_literal};
use crate::topology::QualifiedName;
use crate::value::Oid;

/// Something that may read the moment out of sight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Unseen {
    /// its name for people
    what: String,
    /// the question whether it applies to the client's role; `None`: it does
    applies: Option<String>,
}

/// All that there is in a statement.
pub(in crate::plan) fn unseen(case: &Case<'_>) -> Vec<Unseen> {
    match (case.resolved, case.command) {
        (Tree::Resolved(resolved), _) => {
            let mut found = of_tables(resolved);
            found.extend(of_domains(resolved));
            found
        }
        (Tree::NotWanted, Command::Copy(copy)) => of_copy(case, copy),
        (Tree::NotWanted, Command::Truncate) => of_truncate(case),
        (Tree::NotWanted | Tree::Unparsed(_) | Tree::Refused(_), _) => Vec::new(),
    }
}

/// Refuses it where one of these reads the moment; asks whether policies apply.
pub(in crate::plan) fn check_unseen(unseen: &[Unseen], facts: &Facts) -> Result<(), Verdict> {
    let mut missing = Vec::new();
    for item in unseen {
        let answer = match &item.applies {
            None => None,
            Some(question) => match facts.constants.get(question) {
                Some(answer) => answer.as_deref(),
                None => {
                    if !missing.contains(question) {
                        missing.push(question.clone());
                    }
                    continue;
                }
            },
        };
        if answer != Some("false") {
            return Err(Verdict::Refused(hidden(&item.what)));
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Verdict::Ask(Ask::Constants(missing))),
    }
}

fn of_tables(resolved: &Resolved<'_>) -> Vec<Unseen> {
    let catalog = resolved.input.catalog;
    let mut found = Vec::new();
    for reference in &resolved.references {
        let Some(relation) = reference.relation else { continue };
        let origin = resolved.blocks.get(reference.block.0).map(|block| block.origin);
        let items = catalog.unseen(&relation.name, acts(resolved, reference));
        found.extend(items.into_iter().map(|(table, item)| Unseen {
            what: item.of(table),
            applies: match (item.kind, origin) {
                // A view reads as its owner.
                (UnseenKind::Policy, Some(Origin::Statement)) => Some(applies(&relation.name)),
                _ => None,
            },
        }));
    }
    found
}

/// A value that a domain's check is run on, which no table has.
fn of_domains(resolved: &Resolved<'_>) -> Option<Unseen> {
    let sight = &resolved.input.catalog.out_of_sight;
    let is_one = |oid: &Oid| sight.types.contains(&oid.0);
    let cast = || {
        let cast = resolved
            .uses
            .types
            .iter()
            .find(|cast| sight.domains.contains(&cast.name));
        cast.map(|cast| format!("a cast to {}", cast.name))
    };
    let call = || {
        let call = resolved.uses.functions.iter().find(|call| match call.callee {
            Callee::User(overloads) => overloads
                .iter()
                .any(|function| function.arguments.iter().chain([&function.returns]).any(is_one)),
            Callee::Builtin(_) | Callee::Grammar | Callee::Missing => false,
        });
        call.map(|call| format!("a domain of {}()", call.name))
    };
    let parameter = || {
        let given = resolved.input.parameter_types.iter().any(is_one);
        given.then(|| "the domain of a parameter".to_owned())
    };
    if sight.domains.is_empty() {
        return None;
    }
    let what = cast().or_else(call).or_else(parameter)?;
    Some(Unseen { what, applies: None })
}

/// COPY of a table. FROM where policies apply is an error of Postgres's own.
fn of_copy(case: &Case<'_>, copy: &Copy) -> Vec<Unseen> {
    let Some(relation) = copied(case, copy) else {
        return Vec::new();
    };
    let deed = match copy.direction {
        CopyDirection::From => Deed::Insert,
        CopyDirection::To => Deed::Read,
    };
    let items = case.snapshot.catalog().unseen(&relation.name, vec![Act::whole(deed)]);
    let items = items
        .into_iter()
        .filter(|(_, item)| item.kind != UnseenKind::Policy || deed == Deed::Read);
    let unseen = items.map(|(table, item)| Unseen {
        what: item.of(table),
        applies: (item.kind == UnseenKind::Policy).then(|| applies(&relation.name)),
    });
    unseen.collect()
}

/// Triggers FOR EACH STATEMENT of what a TRUNCATE names, or of whatever its CASCADE goes on to.
fn of_truncate(case: &Case<'_>) -> Vec<Unseen> {
    let catalog = case.snapshot.catalog();
    if catalog.out_of_sight.tables.is_empty() {
        return Vec::new();
    }
    let names: Option<BTreeSet<String>> = names(case).map(|names| names.into_iter().collect());
    let names = match has_word(case, &["cascade"]) {
        true => names.map(|names| catalog.with_referring(names)),
        false => names,
    };
    let items = catalog.unseen_by_truncate(names.as_ref()).into_iter();
    let unseen = items.map(|(table, item)| Unseen {
        what: item.of(table),
        applies: None,
    });
    unseen.collect()
}

/// The table that a COPY names.
pub(super) fn copied<'a>(case: &Case<'a>, copy: &Copy) -> Option<&'a Relation> {
    let CopySubject::Table { schema, name, .. } = &copy.subject else {
        return None; // the query inside is looked at by itself
    };
    let parts: Vec<&str> = schema.as_deref().into_iter().chain([name.as_str()]).collect();
    match relation_named(case.snapshot.catalog(), case.context, &parts) {
        Named::Relation(relation) => Some(relation),
        Named::System | Named::Temporary | Named::Missing => None,
    }
}

/// What a statement does to a table by one mention of it.
fn acts<'a>(resolved: &Resolved<'a>, reference: &Reference<'a>) -> Vec<Act<'a>> {
    let read = || Act::whole(Deed::Read);
    let block = resolved.blocks.get(reference.block.0);
    match (reference.role, block.map(|block| block.kind)) {
        (Role::Read, _) if resolved.uses.locks > 0 => vec![read(), Act::whole(Deed::Lock)],
        (Role::Read, _) => vec![read()],
        (Role::Insert, Some(BlockKind::Insert(insert))) => {
            let mut acts = vec![Act::whole(Deed::Insert)];
            if insert.returning.is_some() || insert.on.is_some() {
                acts.push(read());
            }
            if let Some(OnInsert::OnConflict(conflict)) = &insert.on
                && let OnConflictAction::DoUpdate(update) = &conflict.action
            {
                acts.push(Act::update(assigned(&update.assignments)));
            }
            acts
        }
        (Role::Update, Some(BlockKind::Update(update))) => vec![read(), Act::update(assigned(&update.assignments))],
        (Role::Delete, _) => vec![read(), Act::whole(Deed::Delete)],
        (Role::Merge, Some(BlockKind::Merge(merge))) => merged(merge),
        (Role::Insert | Role::Update | Role::Merge, _) => [Deed::Read, Deed::Insert, Deed::Update, Deed::Delete]
            .map(Act::whole)
            .into(),
    }
}

fn merged(merge: &Merge) -> Vec<Act<'_>> {
    let clauses = merge.clauses.iter().filter_map(|clause| match &clause.action {
        MergeAction::Insert(_) => Some(Act::whole(Deed::Insert)),
        MergeAction::Update(update) => Some(Act::update(match &update.kind {
            MergeUpdateKind::Set(assignments) => assigned(assignments),
            MergeUpdateKind::Wildcard => Columns::All,
        })),
        MergeAction::Delete { .. } => Some(Act::whole(Deed::Delete)),
        MergeAction::DoNothing { .. } => None,
    });
    [Act::whole(Deed::Read)].into_iter().chain(clauses).collect()
}

/// The columns that SET names.
fn assigned(assignments: &[Assignment]) -> Columns<'_> {
    let names = assignments.iter().flat_map(|assignment| match &assignment.target {
        AssignmentTarget::ColumnName(name) => std::slice::from_ref(name),
        AssignmentTarget::Tuple(names) => names.as_slice(),
    });
    let names: Option<Vec<&str>> = names.map(first).collect();
    names.map_or(Columns::All, Columns::These)
}

fn first(name: &ObjectName) -> Option<&str> {
    object_name(name)?.first().copied()
}

/// The question whether a table's row policies apply to the client's role.
fn applies(table: &QualifiedName) -> String {
    let name = format!("{}.{}", quote_identifier(&table.schema), quote_identifier(&table.name));
    let name = quote_literal(&name);
    format!("pg_catalog.row_security_active(pg_catalog.to_regclass({name})::pg_catalog.oid)")
}
