//! Where the objects live that a statement's words name.
//!
//! Why two ways: the target of a statement stands where the grammar has it and is resolved as Postgres would; whatever
//! else a text mentions is told by its names, wherever they stand, so a column of a table's name counts too much, never
//! too little.

use std::collections::BTreeSet;

use crate::catalog::{Relation, RelationKind};
use crate::plan::ladder::Case;
use crate::plan::ladder::phrase::{Named, Phrase};
use crate::plan::resolve::{Placement, placement};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::topology::{QualifiedName, ShardId, ShardSet, TablePlacement};

/// Where an object lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// its rows are spread over all shards
    Sharded(QualifiedName),
    /// its rows are on all shards
    Reference(QualifiedName),
    /// on one shard only
    On(ShardId),
    /// on every shard: a view, a sequence, or what no shard is known to have
    Everywhere,
    /// on some shards, and not on others
    Some(QualifiedName),
    /// in this session's temporary schema
    Temporary,
}

/// What a text mentions.
#[derive(Debug, Default)]
pub(super) struct Mentions {
    /// shards of tables that live on one
    pub(super) shards: BTreeSet<ShardId>,
    /// one of the tables that live on one shard
    pub(super) unsharded: Option<String>,
    /// a sharded table
    pub(super) sharded: Option<QualifiedName>,
    /// a reference table
    pub(super) reference: Option<QualifiedName>,
}

/// The place of a named object, found by the search path; one that exists nowhere is created by none of these.
pub(super) fn place(case: &Case<'_>, named: &Named) -> Result<Place, Box<Refusal>> {
    let catalog = case.snapshot.catalog();
    let topology = case.snapshot.topology();
    if named.schema.is_none() && case.context.temporary.contains(&named.name) || is_temporary(named) {
        return Ok(Place::Temporary);
    }
    let schemas: Vec<&str> = match &named.schema {
        Some(schema) => vec![schema],
        None => case.context.search_path.iter().map(String::as_str).collect(),
    };
    for schema in schemas {
        let full = named.within(schema);
        if let Some(relation) = catalog.relations.get(&full) {
            return of_relation(case, relation);
        }
        if let Some(relation) = catalog
            .indexes
            .get(&full)
            .and_then(|table| catalog.relations.get(table))
        {
            return of_relation(case, relation);
        }
        if let Some(listed) = topology.table(&full) {
            return Ok(of_listed(listed, full));
        }
    }
    Ok(Place::Everywhere)
}

fn is_temporary(named: &Named) -> bool {
    named
        .schema
        .as_deref()
        .is_some_and(|schema| schema.starts_with("pg_temp"))
}

/// The place of a table that a CREATE TABLE makes.
pub(super) fn created(case: &Case<'_>, named: &Named) -> Result<Place, Box<Refusal>> {
    let topology = case.snapshot.topology();
    let schema = case.context.search_path.first().map_or("public", String::as_str);
    let full = named.within(schema);
    match (topology.table(&full), case.snapshot.catalog().relations.get(&full)) {
        (Some(listed), _) => Ok(of_listed(listed, full)),
        (None, Some(known)) => of_relation(case, known),
        (None, None) => match topology.default_shard() {
            Some(shard) => Ok(Place::On(shard)),
            None => Err(refuse(RefusalId::CreateNotListed, &[&shown(&full)])),
        },
    }
}

fn of_listed(listed: &TablePlacement, name: QualifiedName) -> Place {
    match listed {
        TablePlacement::Sharded { .. } => Place::Sharded(name),
        TablePlacement::Reference => Place::Reference(name),
        TablePlacement::Unsharded(shard) => Place::On(*shard),
    }
}

fn of_relation(case: &Case<'_>, relation: &Relation) -> Result<Place, Box<Refusal>> {
    let name = relation.name.clone();
    let topology = case.snapshot.topology();
    let listed = topology.table(&name).is_some();
    match relation.kind {
        RelationKind::Table | RelationKind::Partitioned => {}
        RelationKind::MaterializedView | RelationKind::ForeignTable if listed => {}
        RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable
        | RelationKind::Sequence
        | RelationKind::CompositeType => return Ok(by_presence(case, name)),
    }
    Ok(match placement(topology, relation) {
        Ok(Placement::Sharded { .. }) => Place::Sharded(name),
        Ok(Placement::Reference) => Place::Reference(name),
        Ok(Placement::Unsharded(shard)) => Place::On(shard),
        Ok(Placement::System | Placement::Temporary | Placement::Missing) => Place::Everywhere,
        // A table that lost its key: every shard has it all the same.
        Err(_) if matches!(topology.table(&name), Some(TablePlacement::Sharded { .. })) => Place::Sharded(name),
        Err(refusal) => return Err(refusal),
    })
}

/// What has no placement of its own is wherever it was created.
fn by_presence(case: &Case<'_>, name: QualifiedName) -> Place {
    let all = case.snapshot.topology().all_shards();
    let on = case.snapshot.catalog().presence.get(&name).map(|on| on.intersect(all));
    match on {
        None => Place::Everywhere,
        Some(on) if on == all || on == ShardSet::EMPTY => Place::Everywhere,
        Some(on) => on.single().map_or(Place::Some(name), Place::On),
    }
}

/// Every relation that a word of a text may mean: by its schema, or by the search path.
pub(super) fn mentions(case: &Case<'_>, phrase: &Phrase) -> Result<Mentions, Box<Refusal>> {
    let mut found = Mentions::default();
    for (at, name) in phrase.names() {
        let schema = match at.checked_sub(2) {
            Some(before) if phrase.is_mark(at.saturating_sub(1), b'.') => phrase.name(before).map(str::to_owned),
            Some(_) | None => None,
        };
        let named = Named {
            schema,
            name: name.to_owned(),
        };
        match place(case, &named)? {
            Place::Sharded(name) => found.sharded = Some(name),
            Place::Reference(name) => found.reference = Some(name),
            Place::On(shard) => {
                found.shards.insert(shard);
                found.unsharded = Some(named.shown());
            }
            Place::Some(name) => return Err(refuse(RefusalId::DdlSomeShards, &[&shown(&name)])),
            Place::Everywhere | Place::Temporary => {}
        }
    }
    Ok(found)
}

/// `schema.name`
pub(super) fn shown(name: &QualifiedName) -> String {
    format!("{}.{}", name.schema, name.name)
}
