//! The picture that the golden plans are made under: the trading schema and some awkward tables on four shards.
//!
//! The catalog's parts in `fixture/*.tsv` were read from a Postgres 15 with `fixture/schema.sql`; nothing is typed by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shardgate::catalog::{
    Body, Builtin, Cascade, Catalog, Collation, Column, Deed, Filling, ForeignKey, Function, FunctionKind,
    IdentityKind, Inheritance, Nullability, Operator, OutOfSight, ReadsMoment, Relation, RelationKind, ReturnsSet,
    Sequenced, Trigger, TriggerLevel, TriggerTiming, Type, Unseen, UnseenKind, Volatility,
};
use shardgate::plan::{Category, Context, Snapshot};
use shardgate::topology::{
    CategorySource, Declaration, DeclaredCategory, DeclaredKeyspace, DeclaredRange, DeclaredStrategy, DeclaredTable,
    FunctionClass, HashStart, KeyspaceId, QualifiedName, Shard, ShardId, ShardSet, Topology,
};
use shardgate::value::{KeyType, Oid};

/// Reads a part of the fixture as rows of fields.
fn rows(part: &str) -> Vec<Vec<String>> {
    let path = format!("{}/tests/golden/fixture/{part}.tsv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| line.split('\t').map(str::to_string).collect())
        .collect()
}

fn oid(text: &str) -> Oid {
    Oid(text.parse().unwrap())
}

fn volatility(text: &str) -> Volatility {
    match text {
        "i" => Volatility::Immutable,
        "s" => Volatility::Stable,
        _ => Volatility::Volatile,
    }
}

fn function(schema: &str, fields: &[String]) -> Arc<Function> {
    let kind = match fields[1].as_str() {
        "f" => FunctionKind::Function,
        "a" => FunctionKind::Aggregate,
        "w" => FunctionKind::Window,
        _ => FunctionKind::Procedure,
    };
    Arc::new(Function {
        name: QualifiedName::new(schema, &fields[0]),
        kind,
        arguments: fields[2]
            .split(',')
            .filter(|argument| !argument.is_empty())
            .map(oid)
            .collect(),
        returns: oid(&fields[3]),
        returns_set: if fields[4] == "t" {
            ReturnsSet::Yes
        } else {
            ReturnsSet::No
        },
        volatility: volatility(&fields[5]),
        body: if schema == "pg_catalog" || fields[5] == "i" {
            Body::Plain
        } else {
            Body::Opaque
        },
        moment: if schema == "pg_catalog" || fields[5] == "i" {
            ReadsMoment::No
        } else {
            ReadsMoment::Perhaps
        },
        extension: None,
    })
}

fn builtin() -> Builtin {
    let mut builtin = Builtin::default();
    for fields in rows("functions") {
        builtin
            .functions
            .entry(fields[0].clone())
            .or_default()
            .push(function("pg_catalog", &fields));
    }
    for fields in rows("operators") {
        let operator = Operator {
            left: Some(oid(&fields[1])).filter(|left| left.0 != 0),
            right: oid(&fields[2]),
            result: oid(&fields[3]),
            volatility: volatility(&fields[4]),
        };
        builtin.operators.entry(fields[0].clone()).or_default().push(operator);
    }
    builtin.types = rows("types")
        .iter()
        .map(|fields| (fields[0].clone(), oid(&fields[1])))
        .collect();
    builtin.casts = rows("casts")
        .iter()
        .map(|fields| ((oid(&fields[0]).0, oid(&fields[1]).0), fields[2].as_bytes()[0]))
        .collect();
    builtin
}

fn qualified(text: &str) -> QualifiedName {
    let (schema, name) = text.split_once('.').unwrap();
    QualifiedName::new(schema, name)
}

/// The sequence of `nextval('schema.name'::regclass)`.
fn drawn(expression: &str) -> QualifiedName {
    qualified(expression.split('\'').nth(1).unwrap())
}

fn column(text: &str) -> Column {
    let fields: Vec<&str> = text.splitn(6, '|').collect();
    let filling = match fields[5].split_once(' ') {
        Some(("sequence", expression)) => Filling::Default {
            expression: expression.to_string(),
            sequence: Sequenced::Next(drawn(expression)),
        },
        Some(("default", expression)) => Filling::Default {
            expression: expression.to_string(),
            sequence: Sequenced::No,
        },
        Some(("identity", rest)) => {
            let (kind, sequence) = rest.split_once(' ').unwrap();
            Filling::Identity {
                sequence: Some(qualified(sequence)),
                generated: match kind {
                    "always" => IdentityKind::Always,
                    _ => IdentityKind::ByDefault,
                },
            }
        }
        _ => Filling::Nothing,
    };
    Column {
        name: fields[0].to_string(),
        type_oid: oid(fields[1]),
        typmod: fields[2].parse().unwrap(),
        collation: match fields[3] {
            "none" => Collation::None,
            "bytes" => Collation::Bytes,
            _ => Collation::Deterministic,
        },
        filling,
        nullability: if fields[4] == "not null" {
            Nullability::NotNull
        } else {
            Nullability::Nullable
        },
    }
}

/// The catalog as a server of the fixture has it.
pub(crate) fn catalog() -> Catalog {
    let views: BTreeMap<(String, String), String> = rows("views")
        .into_iter()
        .map(|fields| ((fields[0].clone(), fields[1].clone()), fields[2].clone()))
        .collect();
    let unique: BTreeMap<(String, String), String> = rows("unique")
        .into_iter()
        .map(|fields| ((fields[0].clone(), fields[1].clone()), fields[2].clone()))
        .collect();
    let mut catalog = Catalog {
        builtin: Arc::new(builtin()),
        encoding: "UTF8".to_string(),
        major_version: 15,
        default_collation: Collation::Deterministic,
        schemas: ["alt", "billing", "public"].map(str::to_string).to_vec(),
        ..Catalog::default()
    };
    for fields in rows("relations") {
        let name = QualifiedName::new(&fields[0], &fields[1]);
        let named = (fields[0].clone(), fields[1].clone());
        let relation = Relation {
            name: name.clone(),
            kind: match fields[2].as_str() {
                "r" => RelationKind::Table,
                "p" => RelationKind::Partitioned,
                "v" => RelationKind::View,
                "m" => RelationKind::MaterializedView,
                "S" => RelationKind::Sequence,
                _ => RelationKind::ForeignTable,
            },
            columns: fields[3..]
                .iter()
                .filter(|field| !field.is_empty())
                .map(|field| column(field))
                .collect(),
            partition_root: None,
            view_definition: views.get(&named).cloned(),
            row_security: false,
            unique_keys: unique
                .get(&named)
                .into_iter()
                .flat_map(|keys| keys.split('|'))
                .map(|key| key.split(',').map(|column| Some(column.to_string())).collect())
                .collect(),
            triggers: Vec::new(),
            foreign_keys: Vec::new(),
            inherits: Inheritance::None,
            rules: Vec::new(),
        };
        catalog.relations.insert(name, Arc::new(relation));
    }
    // A table whose key column was dropped, and a view that the parser doesn't know.
    let mut lost = (*catalog.relations[&QualifiedName::public("stray")]).clone();
    lost.name = QualifiedName::public("lost");
    let mut odd = (*catalog.relations[&QualifiedName::public("big_orders")]).clone();
    odd.name = QualifiedName::public("odd_view");
    odd.view_definition = Some("SELECT users.name ISNULL AS odd FROM public.users".to_string());
    // What a split can't take: a default of the session's, a trigger per statement, a unique index without the key.
    let users = &catalog.relations[&QualifiedName::public("users")];
    let [mut tenants, mut audited, mut unkeyed] = ["tenants", "audited", "unkeyed"].map(|name| {
        let mut copy = (**users).clone();
        copy.name = QualifiedName::public(name);
        copy
    });
    for column in &mut tenants.columns {
        let expression = match column.name.as_str() {
            "email" => "\"left\"(current_setting('app.tenant'::text), 3)",
            "created_at" => "(date_trunc('day'::text, now()) + '01:00:00'::interval)",
            _ => continue,
        };
        column.filling = Filling::Default {
            expression: expression.to_string(),
            sequence: Sequenced::No,
        };
    }
    audited.triggers.push(Trigger {
        name: "tell".to_string(),
        level: TriggerLevel::Statement,
        timing: TriggerTiming::After,
        on: vec![Deed::Insert, Deed::Update, Deed::Delete],
        function: QualifiedName::new("billing", "audit"),
    });
    if let Some(email) = unkeyed.columns.iter_mut().find(|column| column.name == "email") {
        email.filling = Filling::Default {
            expression: "to_char(now(), 'YYYY'::text)".to_string(),
            sequence: Sequenced::No,
        };
    }
    unkeyed.unique_keys.push(vec![Some("email".to_string())]);
    for relation in [lost, odd, tenants, audited, unkeyed] {
        catalog.relations.insert(relation.name.clone(), Arc::new(relation));
    }
    for name in ["guarded", "checked", "mailed", "parents", "children", "grandchildren"] {
        let mut copy = (*catalog.relations[&QualifiedName::public("users")]).clone();
        copy.name = QualifiedName::public(name);
        catalog.relations.insert(copy.name.clone(), Arc::new(copy));
    }
    catalog.out_of_sight = out_of_sight();
    for fields in rows("user_functions") {
        catalog
            .functions
            .entry(fields[1].clone())
            .or_default()
            .push(function(&fields[0], &fields[1..]));
    }
    catalog
        .operators
        .insert("===".to_string(), vec![QualifiedName::public("===")]);
    let mood = Type {
        name: QualifiedName::public("mood"),
        kind: b'e',
        base: None,
        labels: ["sad", "ok", "happy"].map(str::to_string).to_vec(),
    };
    catalog.types.insert(16999, Arc::new(mood));
    let system: BTreeSet<QualifiedName> = rows("system")
        .iter()
        .map(|fields| QualifiedName::new(&fields[0], &fields[1]))
        .collect();
    catalog.system_relations = Arc::new(system);
    // A view that two shards have, and two indexes.
    let two = [0, 1]
        .into_iter()
        .filter_map(ShardId::new)
        .fold(ShardSet::EMPTY, ShardSet::with);
    catalog.presence = Arc::new(BTreeMap::from([(QualifiedName::public("odd_view"), two)]));
    for (index, table) in [("users_email", "users"), ("audit_log_at", "audit_log")] {
        catalog
            .indexes
            .insert(QualifiedName::public(index), QualifiedName::public(table));
    }
    catalog
}

/// Tables that read the moment by what no statement names: `guarded` by its policies, `checked` by a CHECK, `mailed` by the
/// domain of a column, `parents` by what its foreign keys go on to.
fn out_of_sight() -> OutOfSight {
    let unseen = |kind, name: &str, on: &[Deed]| Unseen {
        kind,
        name: name.to_string(),
        on: on.to_vec(),
    };
    let cascade = |table: &str, column: &str, target: &str, on_update, on_delete| Cascade {
        table: QualifiedName::public(table),
        key: ForeignKey {
            name: format!("{table}_{column}_fkey"),
            columns: vec![column.to_string()],
            target: QualifiedName::public(target),
            target_columns: vec!["email".to_string()],
            on_update,
            on_delete,
        },
    };
    let writes = [Deed::Insert, Deed::Update];
    let tables = [
        ("guarded", unseen(UnseenKind::Policy, "fresh", &[Deed::Read])),
        (
            "guarded",
            unseen(UnseenKind::Policy, "late", &[Deed::Update, Deed::Lock]),
        ),
        ("checked", unseen(UnseenKind::Check, "past", &writes)),
        ("mailed", unseen(UnseenKind::Domain, "email", &writes)),
        ("children", unseen(UnseenKind::Policy, "fresh", &[Deed::Update])),
        ("children", unseen(UnseenKind::Trigger, "stamp", &[Deed::Insert])),
        ("grandchildren", unseen(UnseenKind::Trigger, "stamp", &[Deed::Update])),
        ("ledger", unseen(UnseenKind::Trigger, "emptied", &[Deed::Truncate])),
    ];
    let mut sight = OutOfSight::default();
    for (table, unseen) in tables {
        sight
            .tables
            .entry(QualifiedName::public(table))
            .or_default()
            .push(unseen);
    }
    for (target, found) in [
        ("parents", cascade("children", "email", "parents", b'c', b'n')),
        ("children", cascade("grandchildren", "email", "children", b'c', b'a')),
    ] {
        sight
            .cascades
            .entry(QualifiedName::public(target))
            .or_default()
            .push(found);
    }
    sight.domains.insert("since".to_string());
    sight
}

fn hash(name: &str, key_type: KeyType) -> DeclaredKeyspace {
    let strategy = DeclaredStrategy::Hash {
        buckets: 64,
        start: HashStart::Ring,
    };
    DeclaredKeyspace {
        name: name.to_string(),
        key_type,
        labels: BTreeMap::new(),
        strategy,
    }
}

/// The trading topology of the design, with a keyspace for each further key type.
pub(crate) fn topology(shards: usize, default_shard: Option<String>) -> Topology {
    let shard = |index: usize| format!("s{}", index.min(shards - 1));
    let range = |until: Option<&str>, index| DeclaredRange {
        until: until.map(str::to_string),
        shard: shard(index),
    };
    let category = |name: &str, shards: &[usize]| {
        let mut shards: Vec<String> = shards.iter().map(|index| shard(*index)).collect();
        shards.dedup();
        DeclaredCategory {
            name: name.to_string(),
            shards,
            labels: BTreeMap::new(),
        }
    };
    let keyspaces = vec![
        hash("user", KeyType::Int8),
        DeclaredKeyspace {
            name: "time".to_string(),
            key_type: KeyType::Timestamptz,
            labels: BTreeMap::new(),
            strategy: DeclaredStrategy::Range {
                ranges: vec![
                    range(Some("2026-04-01T00:00:00Z"), 0),
                    range(Some("2026-07-01T00:00:00Z"), 1),
                    range(Some("2027-01-01T00:00:00Z"), 2),
                ],
            },
        },
        DeclaredKeyspace {
            name: "instrument".to_string(),
            key_type: KeyType::Text,
            labels: BTreeMap::new(),
            strategy: DeclaredStrategy::Category {
                source: CategorySource::Lookup {
                    table: QualifiedName::public("instruments"),
                    key: "symbol".to_string(),
                    category: "category".to_string(),
                },
                categories: vec![
                    category("fx_major", &[0]),
                    category("fx_exotic", &[2]),
                    category("equity", &[1, 3]),
                ],
                default: Vec::new(),
            },
        },
        hash("code", KeyType::Bpchar),
        hash("device", KeyType::Uuid),
        hash("rate", KeyType::Numeric),
        hash("name", KeyType::Varchar),
        hash("day", KeyType::Date),
        hash("slot", KeyType::Timestamp),
    ];
    let sharded = |keyspace: &str, key: &str| DeclaredTable::Sharded {
        keyspace: keyspace.to_string(),
        key: key.to_string(),
    };
    let tables = [
        ("users", sharded("user", "id")),
        ("orders", sharded("user", "user_id")),
        ("payments", sharded("user", "user_id")),
        ("tickets", sharded("user", "user_id")),
        ("badges", sharded("user", "user_id")),
        ("members", sharded("user", "id")),
        ("events", sharded("time", "at")),
        ("trades", sharded("instrument", "instrument")),
        ("instruments", DeclaredTable::Reference),
        ("fees", DeclaredTable::Reference),
        ("currencies", DeclaredTable::Reference),
        ("audit_log", DeclaredTable::Unsharded(shard(0))),
        ("settings", DeclaredTable::Unsharded(shard(0))),
        ("ledger", DeclaredTable::Unsharded(shard(2))),
        ("Mixed Case", sharded("user", "Id")),
        ("codes", sharded("code", "code")),
        ("devices", sharded("device", "id")),
        ("rates", sharded("rate", "rate")),
        ("names", sharded("name", "name")),
        ("days", sharded("day", "day")),
        ("slots", sharded("slot", "at")),
        ("new_orders", sharded("user", "user_id")),
        ("new_log", DeclaredTable::Unsharded(shard(1))),
        ("lost", sharded("user", "gone")),
        ("tenants", sharded("user", "id")),
        ("audited", sharded("user", "id")),
        ("unkeyed", sharded("user", "id")),
        ("guarded", sharded("user", "id")),
        ("checked", sharded("user", "id")),
        ("mailed", sharded("user", "id")),
        ("parents", sharded("user", "id")),
        ("children", sharded("user", "id")),
        ("grandchildren", sharded("user", "id")),
    ];
    let mut tables: BTreeMap<QualifiedName, DeclaredTable> = tables
        .into_iter()
        .map(|(name, table)| (QualifiedName::public(name), table))
        .collect();
    tables.insert(QualifiedName::new("alt", "users"), DeclaredTable::Unsharded(shard(3)));
    let functions = [
        (QualifiedName::new("billing", "fee"), FunctionClass::Pure),
        (QualifiedName::new("billing", "audit"), FunctionClass::Local),
    ];
    let declaration = Declaration {
        shards: (0..shards).map(|index| Shard::new(format!("s{index}"))).collect(),
        keyspaces,
        tables,
        functions: functions.into(),
        home: None,
        default_shard,
    };
    Topology::create(&declaration).unwrap()
}

/// The picture, on so many shards.
pub(crate) fn snapshot(shards: usize, default_shard: Option<String>) -> Snapshot {
    Snapshot::new(Arc::new(topology(shards, default_shard)), Arc::new(catalog()))
}

/// A session with Postgres's defaults.
pub(crate) fn context() -> Arc<Context> {
    Arc::new(Context {
        search_path: vec!["public".to_string()],
        role: "app".to_string(),
        time_zone: "UTC".to_string(),
        date_style: "ISO, MDY".to_string(),
        interval_style: "postgres".to_string(),
        client_encoding: "UTF8".to_string(),
        other: [("standard_conforming_strings", "on"), ("bytea_output", "hex")]
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .into(),
        temporary: Vec::new(),
    })
}

/// What the lookup table and `shardgate.category` would say of some symbols.
pub(crate) fn category(keyspace: KeyspaceId, symbol: &str) -> ((KeyspaceId, String), Category) {
    let category = match symbol {
        "EURUSD" | "GBPUSD" | "O'Neill" | "Zürich" => Category::Fixed("fx_major".to_string()),
        "USDTRY" => Category::Fixed("fx_exotic".to_string()),
        "AAPL" | "MSFT" => Category::Fixed("equity".to_string()),
        "USDZAR" => Category::Derived("fx_exotic".to_string()),
        _ => Category::Unknown,
    };
    ((keyspace, symbol.to_string()), category)
}
