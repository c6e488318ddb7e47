//! Many shards' catalogs → the one that the planner reads, under home's OIDs.
//!
//! Why a union: a listed unsharded table exists on its shard alone, and a table that isn't listed may too. Holds: of each
//! relation the description is taken from the shard that answers for it (home for sharded and reference tables, its own
//! shard for unsharded ones); every type in it has home's OID where home has the type.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::{Builtin, Catalog, Function, OutOfSight, Relation, Type};
use crate::discovery::bodies::{self, Opaque};
use crate::discovery::moments::judge_moments;
use crate::discovery::shard_catalog::{Reader, ShardCatalog, ShardFunction, ShardRelation};
use crate::discovery::{Error, OidMap};
use crate::topology::{QualifiedName, ShardId, ShardSet, TablePlacement, Topology};
use crate::value::Oid;

/// What the shards' catalogs make together.
#[derive(Debug)]
pub(super) struct Union {
    pub(super) catalog: Catalog,
    pub(super) oids: Vec<Arc<OidMap>>,
    pub(super) presence: BTreeMap<QualifiedName, ShardSet>,
}

/// Joins the shards' catalogs, by shard index; none for a shard that wasn't read; one must be there.
pub(super) fn join(
    topology: &Topology,
    shards: &[Option<Arc<ShardCatalog>>],
    builtin: &Arc<Builtin>,
) -> Result<Union, Error> {
    // With home down another shard stands in for it, until home is back and the picture is read anew.
    let home = shards.get(topology.home().index()).and_then(Option::as_ref);
    let Some(home) = home.or_else(|| shards.iter().find_map(Option::as_ref)) else {
        return Err(Error::NoTopology("no shard's catalog is there".to_owned()));
    };
    let presence = presence(shards);
    let oids: Vec<Arc<OidMap>> = shards
        .iter()
        .map(|shard| {
            Arc::new(
                shard
                    .as_ref()
                    .map_or_else(OidMap::default, |shard| oid_map(home, shard)),
            )
        })
        .collect();
    let mut relations = BTreeMap::new();
    for (name, on) in &presence {
        let Some(shard) = answering(topology, name, *on) else {
            continue;
        };
        let found = shards
            .get(shard.index())
            .and_then(Option::as_ref)
            .and_then(|catalog| catalog.relations.get(name));
        let (Some(found), Some(oids)) = (found, oids.get(shard.index())) else {
            continue;
        };
        relations.insert(name.clone(), Arc::new(under_home(found, oids)));
    }
    let mut indexes = BTreeMap::new();
    for (index, table) in shards.iter().flatten().flat_map(|shard| &shard.indexes) {
        indexes.entry(index.clone()).or_insert_with(|| table.clone());
    }
    let (functions, opaque, out_of_sight) = functions((home, topology), &relations, shards);
    let catalog = Catalog {
        presence: Arc::new(presence.clone()),
        indexes,
        functions,
        opaque_reads: opaque.reads,
        opaque_writes: opaque.writes,
        out_of_sight,
        relations,
        operators: home.operators.clone(),
        types: home
            .types
            .values()
            .map(|(oid, kind)| (oid.0, Arc::new(kind.clone())))
            .collect::<BTreeMap<u32, Arc<Type>>>(),
        builtin: Arc::clone(builtin),
        system_relations: Arc::new(home.system_relations.clone()),
        schemas: home.schemas.clone(),
        encoding: home.server.encoding.clone(),
        major_version: home.server.major_version,
        default_collation: home.server.collation,
    };
    Ok(Union {
        catalog,
        oids,
        presence,
    })
}

/// The shard that answers for a relation.
fn answering(topology: &Topology, name: &QualifiedName, on: ShardSet) -> Option<ShardId> {
    let wanted = match topology.table(name) {
        Some(TablePlacement::Unsharded(shard)) => *shard,
        Some(TablePlacement::Sharded { .. } | TablePlacement::Reference) => topology.home(),
        None => topology.default_shard().unwrap_or(topology.home()),
    };
    let fallbacks = [wanted, topology.home()];
    fallbacks
        .into_iter()
        .find(|shard| on.contains(*shard))
        .or_else(|| on.iter().next())
}

fn presence(shards: &[Option<Arc<ShardCatalog>>]) -> BTreeMap<QualifiedName, ShardSet> {
    let mut presence: BTreeMap<QualifiedName, ShardSet> = BTreeMap::new();
    for (index, catalog) in shards.iter().enumerate() {
        let (Some(shard), Some(catalog)) = (ShardId::new(index), catalog) else {
            continue;
        };
        for name in catalog.relations.keys() {
            let set = presence.entry(name.clone()).or_insert(ShardSet::EMPTY);
            *set = set.with(shard);
        }
    }
    presence
}

fn oid_map(home: &ShardCatalog, shard: &ShardCatalog) -> OidMap {
    let mut map = OidMap::default();
    for (name, (oid, _)) in &home.types {
        if let Some((theirs, _)) = shard.types.get(name) {
            map.pair_type(*oid, *theirs);
        }
    }
    for (name, relation) in &home.relations {
        if let Some(theirs) = shard.relations.get(name) {
            map.pair_table(relation.oid, theirs.oid);
            map.pair_type(relation.row_type, theirs.row_type);
            map.pair_type(relation.row_array, theirs.row_array);
        }
    }
    map
}

fn under_home(found: &ShardRelation, oids: &OidMap) -> Relation {
    let mut relation = found.relation.clone();
    for column in &mut relation.columns {
        // A type that home lacks has no OID that a client could know; 0 is Postgres's "none".
        column.type_oid = oids.type_to_home(column.type_oid).unwrap_or(Oid(0));
    }
    relation
}

fn functions(
    (home, topology): (&ShardCatalog, &Topology),
    relations: &BTreeMap<QualifiedName, Arc<Relation>>,
    shards: &[Option<Arc<ShardCatalog>>],
) -> (BTreeMap<String, Vec<Arc<Function>>>, Opaque, OutOfSight) {
    let mut judged: Vec<ShardFunction> = home.functions.clone();
    let mut by_name: BTreeMap<String, Vec<&Relation>> = BTreeMap::new();
    for relation in relations.values() {
        by_name.entry(relation.name.name.clone()).or_default().push(relation);
    }
    let opaque = bodies::judge(&mut judged, &by_name, &readers(shards));
    let out_of_sight = judge_moments((home, topology), &mut judged, relations, shards);
    let mut functions: BTreeMap<String, Vec<Arc<Function>>> = BTreeMap::new();
    for found in judged {
        functions
            .entry(found.function.name.name.clone())
            .or_default()
            .push(Arc::new(found.function));
    }
    (functions, opaque, out_of_sight)
}

/// What policies, checks and defaults call, by the bare names of their tables, on whichever shard.
fn readers(shards: &[Option<Arc<ShardCatalog>>]) -> BTreeMap<String, Vec<&Reader>> {
    let mut readers: BTreeMap<String, Vec<&Reader>> = BTreeMap::new();
    for (name, relation) in shards.iter().flatten().flat_map(|shard| &shard.relations) {
        if !relation.readers.is_empty() {
            readers.entry(name.name.clone()).or_default().extend(&relation.readers);
        }
    }
    readers
}
