//! Names of relations and functions, found as Postgres finds them: `pg_temp`, then `pg_catalog`, then the search path.

use std::sync::Arc;

use crate::catalog::{Catalog, Function, Relation, RelationKind};
use crate::plan::resolve::{Callee, Placement};
use crate::plan::{Context, Refusal, RefusalId, refuse};
use crate::sql::ast::{ObjectName, ObjectNamePart};
use crate::topology::{QualifiedName, TablePlacement, Topology};

/// Words of Postgres's grammar that look like calls of a function but are none of `pg_proc`'s.
const GRAMMAR: [&str; 34] = [
    "coalesce",
    "nullif",
    "greatest",
    "least",
    "grouping",
    "array",
    "row",
    "xmlelement",
    "xmlforest",
    "xmlconcat",
    "xmlpi",
    "xmlroot",
    "xmlparse",
    "xmlserialize",
    "xmlexists",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "current_user",
    "session_user",
    "user",
    "current_role",
    "current_catalog",
    "current_schema",
    "extract",
    "overlay",
    "position",
    "substring",
    "trim",
    "treat",
    "normalize",
    "collation",
];

/// What a relation's name means.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) enum Named<'a> {
    /// a user's relation
    Relation(&'a Relation),
    /// one of pg_catalog or information_schema
    System,
    /// a temporary table of this session
    Temporary,
    /// none: Postgres will say so
    Missing,
}

/// The parts of a name, folded; `None` if one is computed.
pub(in crate::plan) fn object_name(name: &ObjectName) -> Option<Vec<&str>> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(ident.value.as_str()),
            ObjectNamePart::Function(_) => None,
        })
        .collect()
}

/// Finds a relation by the parts of its name.
pub(in crate::plan) fn relation<'a>(catalog: &'a Catalog, context: &Context, parts: &[&str]) -> Named<'a> {
    // A third part is the database, which must be the current one.
    let (schema, name) = match parts {
        [name] => (None, *name),
        [schema, name] | [_, schema, name] => (Some(*schema), *name),
        _ => return Named::Missing,
    };
    let is_temporary = || context.temporary.iter().any(|temporary| temporary == name);
    match schema {
        Some("pg_temp") => match is_temporary() {
            true => Named::Temporary,
            false => Named::Missing,
        },
        Some(schema) if schema.starts_with("pg_temp_") || schema.starts_with("pg_toast") => Named::System,
        Some(schema) => in_schema(catalog, schema, name),
        None if is_temporary() => Named::Temporary,
        None => std::iter::once("pg_catalog")
            .chain(context.search_path.iter().map(String::as_str))
            .map(|schema| in_schema(catalog, schema, name))
            .find(|named| !matches!(named, Named::Missing))
            .unwrap_or(Named::Missing),
    }
}

/// Finds a relation that a view's definition names: names are qualified there, but for those that the reader of the
/// catalog had on its own search path (`public`).
pub(in crate::plan) fn relation_in_view<'a>(catalog: &'a Catalog, parts: &[&str]) -> Named<'a> {
    match parts {
        [name] => match in_schema(catalog, "pg_catalog", name) {
            Named::Missing => in_schema(catalog, "public", name),
            found => found,
        },
        [schema, name] => in_schema(catalog, schema, name),
        _ => Named::Missing,
    }
}

fn in_schema<'a>(catalog: &'a Catalog, schema: &str, name: &str) -> Named<'a> {
    let qualified = QualifiedName::new(schema, name);
    if catalog.system_relations.contains(&qualified) {
        return Named::System;
    }
    match catalog.relations.get(&qualified) {
        Some(relation) => Named::Relation(relation),
        None => Named::Missing,
    }
}

/// Where a user's relation (no view) lives, or why that can't be told.
pub(in crate::plan) fn placement(topology: &Topology, relation: &Relation) -> Result<Placement, Box<Refusal>> {
    let full = format!("{}.{}", relation.name.schema, relation.name.name);
    match relation.kind {
        RelationKind::Sequence => return Ok(Placement::System),
        RelationKind::CompositeType => return Ok(Placement::Missing),
        RelationKind::Table
        | RelationKind::Partitioned
        | RelationKind::View
        | RelationKind::MaterializedView
        | RelationKind::ForeignTable => {}
    }
    let root = relation.partition_root.as_ref();
    let listed = topology
        .table(&relation.name)
        .or_else(|| root.and_then(|root| topology.table(root)));
    match listed {
        Some(TablePlacement::Sharded { keyspace, key }) => {
            match relation.columns.iter().position(|column| column.name == *key) {
                Some(column) => Ok(Placement::Sharded {
                    keyspace: *keyspace,
                    key: column,
                }),
                None => Err(refuse(RefusalId::KeyColumnMissing, &[&full, key])),
            }
        }
        Some(TablePlacement::Reference) => Ok(Placement::Reference),
        Some(TablePlacement::Unsharded(shard)) => Ok(Placement::Unsharded(*shard)),
        None => match (topology.default_shard(), relation.kind) {
            (Some(shard), RelationKind::Table | RelationKind::Partitioned) => Ok(Placement::Unsharded(shard)),
            (Some(_), _) => Err(refuse(
                RefusalId::RelationKindNotPlaced,
                &[&full, kind_name(relation.kind)],
            )),
            (None, _) => Err(refuse(RefusalId::TableNotListed, &[&full])),
        },
    }
}

fn kind_name(kind: RelationKind) -> &'static str {
    match kind {
        RelationKind::Table | RelationKind::Partitioned => "table",
        RelationKind::View => "view",
        RelationKind::MaterializedView => "materialized view",
        RelationKind::ForeignTable => "foreign table",
        RelationKind::Sequence => "sequence",
        RelationKind::CompositeType => "composite type",
    }
}

/// What a function's name means. A bare name is built in only if no function of that name lies in another schema on the
/// search path (`planning.md`, Overloads).
pub(in crate::plan) fn callee<'a>(catalog: &'a Catalog, context: &Context, parts: &[&str]) -> Callee<'a> {
    let builtin = |name: &str| match catalog.builtin.functions.get(name) {
        Some(overloads) => Callee::Builtin(overloads.as_slice()),
        None => Callee::Missing,
    };
    match parts {
        [name] => {
            let visible = |function: &Arc<Function>| context.search_path.contains(&function.name.schema);
            match catalog.functions.get(*name) {
                Some(overloads) if overloads.iter().any(visible) => Callee::User(overloads),
                _ if GRAMMAR.contains(name) => Callee::Grammar,
                _ => builtin(name),
            }
        }
        ["pg_catalog", name] | [_, "pg_catalog", name] => builtin(name),
        ["information_schema", _] | [_, "information_schema", _] => Callee::Missing,
        [.., name] => match catalog.functions.get(*name) {
            Some(overloads) => Callee::User(overloads),
            None => Callee::Missing,
        },
        [] => Callee::Missing,
    }
}
