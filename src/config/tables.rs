//! Sections `tables` and `functions`.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::Position;
use crate::config::names;
use crate::config::node::{Node, Value};
use crate::config::reader::{Choice, Fields, Reader, join};
use crate::config::sections::is_true;
use crate::config::shards::{self, Shards};
use crate::config::spaces::{Keyspace, sql_name};
use crate::topology::{DeclaredTable, FunctionClass, QualifiedName};

/// Reads the tables, and checks that lookup tables are among them.
pub(super) fn tables(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    shards: &Shards,
    keyspaces: &[Keyspace],
) -> BTreeMap<QualifiedName, DeclaredTable> {
    let mut tables: BTreeMap<QualifiedName, (DeclaredTable, Position)> = BTreeMap::new();
    let entries = fields
        .get("tables")
        .and_then(|node| reader.entries(node, "tables"))
        .unwrap_or_default();
    for entry in entries {
        let shown = join("tables", &entry.key);
        let name = match names::qualified(&entry.key) {
            Ok(name) => name,
            Err(why) => {
                reader.wrong(
                    entry.at,
                    format!("{shown}: \"{}\" is no name of a table: {why}", entry.key),
                );
                continue;
            }
        };
        if ["pg_catalog", "information_schema", "shardgate"].contains(&name.schema.as_str()) {
            reader.wrong(
                entry.at,
                format!(
                    "{shown}: tables of schema {} have no placement of their own",
                    name.schema
                ),
            );
        }
        if let Some((_, first)) = tables.get(&name).filter(|(_, first)| first.line != entry.at.line) {
            let message = format!(
                "{shown}: the table {}.{} is in line {} already",
                name.schema, name.name, first.line
            );
            reader.wrong(entry.at, message);
        }
        let names = fields
            .get("keyspaces")
            .and_then(|node| reader.entries(node, "keyspaces"))
            .unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|entry| entry.key.as_str()).collect();
        if let Some(table) = table(reader, &entry.node, &shown, shards, &names) {
            tables.insert(name, (table, entry.at));
        }
    }
    for (name, at) in keyspaces.iter().filter_map(|keyspace| keyspace.lookup.as_ref()) {
        match tables.get(name) {
            Some((DeclaredTable::Reference, _)) => {}
            Some((DeclaredTable::Sharded { .. } | DeclaredTable::Unsharded(_), _)) | None => {
                let written = format!("{}.{}", name.schema, name.name);
                let way = format!("list it under tables as {}: {{reference: true}}", name.name);
                reader.wrong(
                    *at,
                    format!("the lookup table {written} must be a reference table; {way}"),
                );
            }
        }
    }
    tables.into_iter().map(|(name, (table, _))| (name, table)).collect()
}

fn table(
    reader: &mut Reader<'_>,
    node: &Node,
    shown: &str,
    shards: &Shards,
    keyspaces: &[&str],
) -> Option<DeclaredTable> {
    let fields = reader.fields(node, "tables.*", shown);
    if !matches!(node.value, Value::Map(_)) {
        return None;
    }
    let ways: Vec<&str> = ["keyspace", "reference", "unsharded"]
        .into_iter()
        .filter(|way| fields.get(way).is_some())
        .collect();
    match ways.as_slice() {
        ["keyspace"] => {
            let keyspace = fields
                .get("keyspace")
                .and_then(|node| reader.known(node, &fields.path("keyspace"), "keyspace", keyspaces.iter().copied()));
            if fields.get("key").is_none() {
                reader.wrong(
                    node.at,
                    format!("{} is missing: the column that holds the key", fields.path("key")),
                );
            }
            let key = sql_name(reader, &fields, "key", names::identifier);
            Some(DeclaredTable::Sharded {
                keyspace: keyspace?,
                key: key?,
            })
        }
        [way] => {
            if fields.get("key").is_some() {
                reader.wrong(
                    fields.place("key"),
                    format!("{} belongs to keyspace, this table has {way}", fields.path("key")),
                );
            }
            if *way == "reference" {
                let node = fields.get("reference")?;
                is_true(reader, node, &fields.path("reference")).then_some(DeclaredTable::Reference)
            } else {
                shards::one(reader, &fields, "unsharded", shards).map(DeclaredTable::Unsharded)
            }
        }
        [] => {
            reader.wrong(
                node.at,
                format!("{shown} needs one of: keyspace with key, reference: true, unsharded"),
            );
            None
        }
        several => {
            reader.wrong(
                node.at,
                format!("{shown} has {}; they exclude each other", several.join(" and ")),
            );
            None
        }
    }
}

/// Declared functions.
pub(super) struct Functions {
    pub(super) classes: BTreeMap<QualifiedName, FunctionClass>,
    pub(super) keeps_key: BTreeSet<QualifiedName>,
}

/// Reads the functions.
pub(super) fn functions(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Functions {
    #[derive(Clone, Copy)]
    enum Word {
        Pure,
        Local,
        KeepsKey,
    }
    let mut functions = Functions {
        classes: BTreeMap::new(),
        keeps_key: BTreeSet::new(),
    };
    let entries = fields
        .get("functions")
        .and_then(|node| reader.entries(node, "functions"))
        .unwrap_or_default();
    for entry in entries {
        let shown = join("functions", &entry.key);
        let name = match names::qualified(&entry.key) {
            Ok(name) => name,
            Err(why) => {
                reader.wrong(
                    entry.at,
                    format!("{shown}: \"{}\" is no name of a function: {why}", entry.key),
                );
                continue;
            }
        };
        let choices = vec![
            ("pure", Choice::Here(Word::Pure)),
            ("local", Choice::Here(Word::Local)),
            ("keeps_key", Choice::Here(Word::KeepsKey)),
        ];
        let class = match reader.choice(&entry.node, &shown, choices) {
            Some(Word::Pure) => FunctionClass::Pure,
            Some(Word::Local) => FunctionClass::Local,
            Some(Word::KeepsKey) => {
                functions.keeps_key.insert(name.clone());
                FunctionClass::Local
            }
            None => continue,
        };
        functions.classes.insert(name, class);
    }
    functions
}
