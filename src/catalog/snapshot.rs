//! The catalog as a whole, and how names are found in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::{Builtin, Collation, Function, OutOfSight, ReadsMoment, Relation, Type};
use crate::topology::{QualifiedName, ShardSet};

/// What the planner knows about the servers: read by `discovery`, equal on all shards but for OIDs (home's are meant).
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// relations outside pg_catalog and information_schema, by name
    pub relations: BTreeMap<QualifiedName, Arc<Relation>>,
    /// functions, aggregates and procedures outside pg_catalog and information_schema, by bare name
    pub functions: BTreeMap<String, Vec<Arc<Function>>>,
    /// operators outside pg_catalog, by their symbol
    pub operators: BTreeMap<String, Vec<QualifiedName>>,
    /// types outside pg_catalog (enums, domains, composites, and relations' row types are left out), by OID on home
    pub types: BTreeMap<u32, Arc<Type>>,
    /// what belongs to the server's version
    pub builtin: Arc<Builtin>,
    /// names of relations in pg_catalog and information_schema, folded
    pub system_relations: Arc<BTreeSet<QualifiedName>>,
    /// schemas that exist, in order of name
    pub schemas: Vec<String>,
    /// `server_encoding`, `UTF8` for example
    pub encoding: String,
    /// major version, 15 for example
    pub major_version: u32,
    /// whether the database's default collation is C or POSIX (libc) and so compares bytes
    pub default_collation: Collation,
    /// the shards that have a relation
    pub presence: Arc<BTreeMap<QualifiedName, ShardSet>>,
    /// indexes outside pg_catalog, by name, each with its table
    pub indexes: BTreeMap<QualifiedName, QualifiedName>,
    /// bare names of relations whose mere reading may leave something in the session (a view's text, a policy)
    pub opaque_reads: BTreeSet<String>,
    /// those whose writing may: by a trigger, a default, a check, a rule, or another table that it cascades to
    pub opaque_writes: BTreeSet<String>,
    /// what of reading and writing tables may read the transaction's moment
    pub out_of_sight: OutOfSight,
}

// === impl Catalog ===

impl Catalog {
    /// The relation of that name; none for one in pg_catalog or information_schema.
    pub fn relation(&self, name: &QualifiedName) -> Option<&Arc<Relation>> {
        self.relations.get(name)
    }

    /// The relation that a bare name means under a search path (effective schemas in order, without pg_catalog, which
    /// comes first in Postgres: ask [`Catalog::is_system_relation`] before).
    pub fn resolve<S: AsRef<str>>(&self, name: &str, search_path: &[S]) -> Option<&Arc<Relation>> {
        search_path.iter().find_map(|schema| {
            let name = QualifiedName {
                schema: schema.as_ref().to_owned(),
                name: name.to_owned(),
            };
            self.relations.get(&name)
        })
    }

    /// Is this a relation of pg_catalog or information_schema?
    pub fn is_system_relation(&self, name: &QualifiedName) -> bool {
        self.system_relations.contains(name)
    }

    /// User functions of that bare name, in every schema.
    pub fn functions_named(&self, name: &str) -> &[Arc<Function>] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// May a user function of that bare name, in any schema, read when its transaction began?
    pub fn may_read_moment(&self, name: &str) -> bool {
        let functions = self.functions_named(name);
        functions.iter().any(|function| function.moment == ReadsMoment::Perhaps)
    }

    /// Does a schema of that name exist?
    pub fn has_schema(&self, name: &str) -> bool {
        self.schemas.iter().any(|schema| schema == name)
    }
}
