//! The tables, their rows on one database and split over the shards, and the catalog as the planner sees it.

use std::collections::BTreeMap;
use std::sync::Arc;

use shardgate::catalog::{
    Builtin, Catalog, Collation, Column, Filling, Function, FunctionKind, Inheritance, Nullability, Operator, Relation,
    RelationKind, ReturnsSet, Type, Volatility,
};
use shardgate::plan::Context;
use shardgate::topology::{
    Declaration, DeclaredKeyspace, DeclaredStrategy, DeclaredTable, HashStart, Placed, QualifiedName, Shard, Topology,
};
use shardgate::value::{Key, KeyType, Oid};

use crate::connection::Connection;
use crate::server::Server;

const SCHEMA: &str = include_str!("schema.sql");
const ROWS: &str = include_str!("rows.sql");

/// Sharded tables and their keys.
const SHARDED: [(&str, &str); 2] = [("users", "id"), ("orders", "user_id")];

/// Creates everything; gives the topology, the database with all rows, and the shards.
pub(crate) fn load(server: &Server, count: usize) -> (Topology, Connection, Vec<Connection>) {
    let topology = Topology::create(&declaration(count)).unwrap();
    let mut admin = Connection::open(&server.directory, "postgres");
    admin.query("CREATE DATABASE one");
    let mut one = Connection::open(&server.directory, "one");
    one.query(SCHEMA);
    one.query(ROWS);
    let mut shards = Vec::new();
    for index in 0..count {
        admin.query(&format!("CREATE DATABASE s{index}"));
        let mut shard = Connection::open(&server.directory, &format!("s{index}"));
        shard.query(SCHEMA);
        shards.push(shard);
    }
    let (_, keyspace) = topology.keyspace_by_name("user").unwrap();
    for (table, key) in SHARDED {
        for row in one.query(&format!("SELECT {key}, {table}::text FROM {table}")) {
            let number: i64 = row[0].as_ref().unwrap().parse().unwrap();
            let Placed::At(place) = keyspace.place(&Key::Int(number)) else {
                panic!("{number} has no place")
            };
            insert(&mut shards[place.shard.index()], table, row[1].as_ref().unwrap());
        }
    }
    for row in one.query("SELECT countries::text FROM countries") {
        for shard in &mut shards {
            insert(shard, "countries", row[0].as_ref().unwrap());
        }
    }
    for shard in shards.iter_mut().chain([&mut one]) {
        shard.query("ANALYZE");
    }
    (topology, one, shards)
}

fn insert(shard: &mut Connection, table: &str, row: &str) {
    let literal = row.replace('\'', "''");
    shard.query(&format!("INSERT INTO {table} SELECT ('{literal}'::{table}).*"));
}

fn declaration(count: usize) -> Declaration {
    let mut tables = BTreeMap::new();
    for (table, key) in SHARDED {
        let place = DeclaredTable::Sharded {
            keyspace: "user".to_string(),
            key: key.to_string(),
        };
        tables.insert(QualifiedName::public(table), place);
    }
    tables.insert(QualifiedName::public("countries"), DeclaredTable::Reference);
    tables.insert(
        QualifiedName::public("audit"),
        DeclaredTable::Unsharded("s0".to_string()),
    );
    Declaration {
        shards: (0..count).map(|index| Shard::new(format!("s{index}"))).collect(),
        keyspaces: vec![DeclaredKeyspace {
            name: "user".to_string(),
            key_type: KeyType::Int8,
            labels: BTreeMap::new(),
            strategy: DeclaredStrategy::Hash {
                buckets: 64,
                start: HashStart::Ring,
            },
        }],
        tables,
        ..Declaration::default()
    }
}

/// A session's settings.
pub(crate) fn context() -> Context {
    Context {
        search_path: vec!["public".to_string()],
        role: "postgres".to_string(),
        time_zone: "Europe/Berlin".to_string(),
        date_style: "ISO, MDY".to_string(),
        interval_style: "postgres".to_string(),
        client_encoding: "UTF8".to_string(),
        other: BTreeMap::new(),
        temporary: Vec::new(),
    }
}

/// The catalog of a database with the schema.
pub(crate) fn catalog(one: &mut Connection) -> Catalog {
    let relations = relations(one);
    let types = one.query(
        "SELECT t.oid, typname, typtype, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum \
         WHERE enumtypid = t.oid) FROM pg_type t WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'",
    );
    let types = types.into_iter().map(|row| {
        let labels = row[3]
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .map(str::to_string)
            .collect();
        let user = Type {
            name: QualifiedName::public(text(&row, 1)),
            kind: text(&row, 2).as_bytes()[0],
            base: None,
            labels,
        };
        (number(&row, 0), Arc::new(user))
    });
    let types = types.collect();
    let functions = functions(one, "pronamespace = 'public'::regnamespace");
    let system = one.query(
        "SELECT nspname, relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
         WHERE nspname IN ('pg_catalog', 'information_schema')",
    );
    let system = system
        .into_iter()
        .map(|row| QualifiedName::new(text(&row, 0), text(&row, 1)))
        .collect();
    Catalog {
        relations,
        functions,
        types,
        builtin: Arc::new(builtin(one)),
        system_relations: Arc::new(system),
        schemas: vec!["public".to_string()],
        encoding: "UTF8".to_string(),
        major_version: 15,
        default_collation: Collation::Deterministic,
        ..Catalog::default()
    }
}

fn relations(one: &mut Connection) -> BTreeMap<QualifiedName, Arc<Relation>> {
    let mut relations = BTreeMap::new();
    let named = one.query(
        "SELECT oid, relname, relkind, CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) END FROM pg_class \
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')",
    );
    for row in named {
        let columns = one.query(&format!(
            "SELECT attname, atttypid, atttypmod, attnotnull, attcollation, collname, collisdeterministic \
             FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation \
             WHERE attrelid = {} AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            number(&row, 0)
        ));
        let column = |row: &Vec<Option<String>>| Column {
            name: text(row, 0),
            type_oid: Oid(number(row, 1)),
            typmod: text(row, 2).parse().unwrap(),
            collation: match (text(row, 4).as_str(), row[5].as_deref(), row[6].as_deref()) {
                ("0", ..) => Collation::None,
                (_, Some("C" | "POSIX"), _) => Collation::Bytes,
                (_, _, Some("f")) => Collation::Nondeterministic,
                _ => Collation::Deterministic,
            },
            filling: Filling::Nothing,
            nullability: if text(row, 3) == "t" {
                Nullability::NotNull
            } else {
                Nullability::Nullable
            },
        };
        let name = QualifiedName::public(text(&row, 1));
        let relation = Relation {
            name: name.clone(),
            kind: if text(&row, 2) == "v" {
                RelationKind::View
            } else {
                RelationKind::Table
            },
            columns: columns.iter().map(column).collect(),
            partition_root: None,
            view_definition: row[3].clone(),
            row_security: false,
            unique_keys: Vec::new(),
            triggers: Vec::new(),
            foreign_keys: Vec::new(),
            inherits: Inheritance::None,
            rules: Vec::new(),
        };
        relations.insert(name, Arc::new(relation));
    }
    relations
}

fn builtin(one: &mut Connection) -> Builtin {
    let mut operators: BTreeMap<String, Vec<Operator>> = BTreeMap::new();
    let rows = one.query(
        "SELECT oprname, oprleft, oprright, oprresult, provolatile FROM pg_operator o JOIN pg_proc p ON p.oid = oprcode",
    );
    for row in rows {
        operators.entry(text(&row, 0)).or_default().push(Operator {
            left: Some(Oid(number(&row, 1))).filter(|oid| oid.0 != 0),
            right: Oid(number(&row, 2)),
            result: Oid(number(&row, 3)),
            volatility: volatility(&text(&row, 4)),
        });
    }
    let types = one.query("SELECT typname, oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace");
    let casts = one.query("SELECT castsource, casttarget, castcontext FROM pg_cast");
    Builtin {
        functions: functions(one, "pronamespace = 'pg_catalog'::regnamespace"),
        operators,
        types: types.iter().map(|row| (text(row, 0), Oid(number(row, 1)))).collect(),
        casts: casts
            .iter()
            .map(|row| ((number(row, 0), number(row, 1)), text(row, 2).as_bytes()[0]))
            .collect(),
    }
}

fn functions(one: &mut Connection, filter: &str) -> BTreeMap<String, Vec<Arc<Function>>> {
    let mut functions: BTreeMap<String, Vec<Arc<Function>>> = BTreeMap::new();
    let rows = one.query(&format!(
        "SELECT proname, prokind, proargtypes, prorettype, proretset, provolatile, nspname \
         FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE {filter} ORDER BY pg_proc.oid"
    ));
    for row in rows {
        let function = Function {
            name: QualifiedName::new(text(&row, 6), text(&row, 0)),
            kind: match text(&row, 1).as_str() {
                "a" => FunctionKind::Aggregate,
                "w" => FunctionKind::Window,
                "p" => FunctionKind::Procedure,
                _ => FunctionKind::Function,
            },
            arguments: text(&row, 2)
                .split_whitespace()
                .map(|oid| Oid(oid.parse().unwrap()))
                .collect(),
            returns: Oid(number(&row, 3)),
            returns_set: if text(&row, 4) == "t" {
                ReturnsSet::Yes
            } else {
                ReturnsSet::No
            },
            volatility: volatility(&text(&row, 5)),
            body: shardgate::catalog::Body::Plain,
            moment: shardgate::catalog::ReadsMoment::No,
            extension: None,
        };
        functions.entry(text(&row, 0)).or_default().push(Arc::new(function));
    }
    functions
}

fn volatility(letter: &str) -> Volatility {
    match letter {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        _ => Volatility::Volatile,
    }
}

fn text(row: &[Option<String>], column: usize) -> String {
    row[column].clone().unwrap_or_default()
}

fn number(row: &[Option<String>], column: usize) -> u32 {
    text(row, column).parse().unwrap()
}
