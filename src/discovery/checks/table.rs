//! Each listed table: is it there, is it the same everywhere, can its key carry a placement?

use crate::catalog::{Collation, Filling, Inheritance, Nullability, RelationKind};
use crate::discovery::Finding;
use crate::discovery::checks::scene::{error, family, shown, warning};
use crate::discovery::checks::{Scene, links, triggers};
use crate::discovery::shard_catalog::{ShardCatalog, ShardRelation};
use crate::topology::{Keyspace, QualifiedName, ShardId, Strategy, TablePlacement};
use crate::value::KeyType;

/// Checks every listed table, and what unlisted ones refer to.
pub(in crate::discovery) fn tables(scene: &Scene<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, placement) in scene.topology.tables() {
        table(&mut findings, scene, name, placement);
    }
    if !scene.is_single() {
        lookups(&mut findings, scene);
        links::unlisted(&mut findings, scene);
    }
    findings
}

fn table(findings: &mut Vec<Finding>, scene: &Scene<'_>, name: &QualifiedName, placement: &TablePlacement) {
    let expected = scene.expected(placement);
    let there: Vec<(ShardId, &ShardCatalog, &ShardRelation)> = expected
        .iter()
        .filter_map(|(shard, catalog)| Some((*shard, *catalog, catalog.relations.get(name)?)))
        .collect();
    let Some((first_shard, _, first)) = there.first().copied() else {
        nowhere(findings, scene, name, expected.len());
        return;
    };
    for (shard, _) in expected
        .iter()
        .filter(|(shard, _)| !there.iter().any(|(there, _, _)| there == shard))
    {
        let found = error(Some(scene.name(*shard)), name, "the table is missing on this shard")
            .detail(format!("Shard {} has it.", scene.name(first_shard)))
            .hint("Create it there exactly as it is on the other shards.");
        findings.push(found);
    }
    for (shard, _, relation) in there.iter().skip(1) {
        same(
            findings,
            scene,
            name,
            (&scene.name(first_shard), first),
            (&scene.name(*shard), relation),
        );
    }
    for (shard, catalog, relation) in &there {
        let on = scene.name(*shard);
        if !is_table(findings, &on, name, relation) || scene.is_single() {
            continue;
        }
        if relation.relation.inherits == Inheritance::Some {
            let found = error(
                Some(on.clone()),
                name,
                "the table has a parent or children by inheritance",
            )
            .detail("A statement on one of them reaches rows of the other.")
            .hint("Use partitions: their rows belong to the root's entry.");
            findings.push(found);
        }
        if let TablePlacement::Sharded { keyspace, key } = placement
            && let Some(keyspace) = scene.topology.keyspace(*keyspace)
        {
            keyed(findings, &on, catalog, relation, keyspace, key);
        }
        for relation in family(catalog, name) {
            triggers::check(findings, scene, &on, catalog, name, relation, placement);
            links::check(findings, scene, (&on, *shard), catalog, name, relation, placement);
        }
    }
    let enums = there
        .iter()
        .skip(1)
        .map(|(shard, catalog, _)| (scene.name(*shard), *catalog));
    if let Some((_, catalog, _)) = there.first() {
        labels(findings, name, (&scene.name(first_shard), catalog, first), enums);
    }
}

fn nowhere(findings: &mut Vec<Finding>, scene: &Scene<'_>, name: &QualifiedName, asked: usize) {
    let elsewhere = scene.read().find(|(_, catalog)| catalog.relations.contains_key(name));
    if let Some((shard, _)) = elsewhere {
        let found = error(
            Some(scene.name(shard)),
            name,
            "the table lies on another shard than the configuration says",
        )
        .detail("It is listed as unsharded, and its shard doesn't have it.")
        .hint(format!("List it as unsharded: {}, or move it.", scene.name(shard)));
        findings.push(found);
    } else if asked > 0 {
        let found = warning(None, name, "the table exists on no shard yet")
            .hint("CREATE TABLE through the proxy makes it on every shard that it belongs to.");
        findings.push(found);
    }
}

fn is_table(findings: &mut Vec<Finding>, on: &str, name: &QualifiedName, relation: &ShardRelation) -> bool {
    let relation = &relation.relation;
    let what = match relation.kind {
        RelationKind::Table | RelationKind::Partitioned => match &relation.partition_root {
            None => return true,
            Some(root) => {
                let found = error(Some(on.to_owned()), name, "a partition can't be listed")
                    .detail(format!("It belongs to {}.", shown(root)))
                    .hint(format!(
                        "List {} instead: its entry holds for all its partitions.",
                        shown(root)
                    ));
                findings.push(found);
                return false;
            }
        },
        RelationKind::View => "a view",
        RelationKind::MaterializedView => "a materialised view",
        RelationKind::ForeignTable => "a foreign table",
        RelationKind::Sequence => "a sequence",
        RelationKind::CompositeType => "a type",
    };
    let found = error(Some(on.to_owned()), name, format!("{what} can't be listed"))
        .hint("Only tables have a placement; take the entry out.");
    findings.push(found);
    false
}

fn same(
    findings: &mut Vec<Finding>,
    scene: &Scene<'_>,
    name: &QualifiedName,
    (first_on, first): (&str, &ShardRelation),
    (on, other): (&str, &ShardRelation),
) {
    let differs = |message: String, detail: String| {
        error(Some(on.to_owned()), name, message)
            .detail(detail)
            .hint("Change one of them, so that the shards agree.")
    };
    let names = |relation: &ShardRelation| {
        relation
            .relation
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    if names(first) != names(other) {
        let detail = format!("Shard {first_on} has ({}), this one ({}).", names(first), names(other));
        findings.push(differs("the columns differ, or their order".to_owned(), detail));
        return;
    }
    let left = first.relation.columns.iter().zip(&first.shown);
    let right = other.relation.columns.iter().zip(&other.shown);
    for ((a, a_shown), (b, b_shown)) in left.zip(right) {
        let mut compare = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                let detail = format!("Shard {first_on} has {ours}, this one {theirs}.");
                findings.push(differs(format!("the {what} of column \"{}\" differs", a.name), detail));
            }
        };
        let collation = |shown: &Option<String>| shown.clone().unwrap_or_else(|| "none".to_owned());
        compare("type", a_shown.type_name.clone(), b_shown.type_name.clone());
        compare(
            "collation",
            collation(&a_shown.collation),
            collation(&b_shown.collation),
        );
        compare("nullability", null(a.nullability), null(b.nullability));
        if !scene.is_single() {
            compare("default", filling(&a.filling), filling(&b.filling));
        }
    }
    let sets = |relation: &ShardRelation| {
        let mut sets: Vec<String> = relation.unique.iter().map(|index| columns(&index.columns)).collect();
        sets.sort();
        sets.join(", ")
    };
    if sets(first) != sets(other) {
        let detail = format!("Shard {first_on} has [{}], this one [{}].", sets(first), sets(other));
        findings.push(warning(Some(on.to_owned()), name, "the unique indexes differ").detail(detail));
    }
}

fn null(nullability: Nullability) -> String {
    match nullability {
        Nullability::Nullable => "NULL".to_owned(),
        Nullability::NotNull => "NOT NULL".to_owned(),
    }
}

fn filling(filling: &Filling) -> String {
    match filling {
        Filling::Nothing => "none".to_owned(),
        Filling::Default { expression, .. } => expression.clone(),
        Filling::Identity { .. } => "an identity".to_owned(),
        Filling::Generated(expression) => format!("generated: {expression}"),
    }
}

fn columns(names: &[Option<String>]) -> String {
    let names: Vec<&str> = names
        .iter()
        .map(|name| name.as_deref().unwrap_or("an expression"))
        .collect();
    format!("({})", names.join(", "))
}

fn labels<'c>(
    findings: &mut Vec<Finding>,
    name: &QualifiedName,
    (first_on, catalog, relation): (&str, &ShardCatalog, &ShardRelation),
    others: impl Iterator<Item = (String, &'c ShardCatalog)>,
) {
    let used: Vec<_> = catalog
        .types
        .values()
        .filter(|(oid, kind)| {
            !kind.labels.is_empty() && relation.relation.columns.iter().any(|column| column.type_oid == *oid)
        })
        .collect();
    for (on, other) in others {
        for (_, kind) in &used {
            let Some((_, theirs)) = other.types.get(&kind.name) else {
                continue;
            };
            if theirs.labels != kind.labels {
                let (ours, theirs) = (kind.labels.join(", "), theirs.labels.join(", "));
                let message = format!("the values of enum {} differ, or their order", shown(&kind.name));
                let found = error(Some(on.clone()), name, message)
                    .detail(format!("Shard {first_on} has ({ours}), this one ({theirs})."))
                    .hint("Make the enum anew on one of them: its order is what ORDER BY and < go by.");
                findings.push(found);
            }
        }
    }
}

fn keyed(
    findings: &mut Vec<Finding>,
    on: &str,
    catalog: &ShardCatalog,
    relation: &ShardRelation,
    keyspace: &Keyspace,
    key: &str,
) {
    let name = &relation.relation.name;
    let shard = || Some(on.to_owned());
    let Some(column) = relation.relation.column(key) else {
        let known = relation
            .relation
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let found = error(shard(), name, format!("there is no column \"{key}\", the table's key"))
            .detail(format!("Its columns are {known}."))
            .hint("Name the column that holds the key.");
        findings.push(found);
        return;
    };
    if column.nullability == Nullability::Nullable {
        let found = error(shard(), name, format!("the key \"{key}\" may be NULL"))
            .detail("A row without a key has no place.")
            .hint(format!("ALTER TABLE {} ALTER COLUMN {key} SET NOT NULL", shown(name)));
        findings.push(found);
    }
    let fits = KeyType::of(column.type_oid).is_some_and(|kind| kind.is_hash_compatible(keyspace.key_type()));
    if !fits {
        let place = relation.relation.columns.iter().position(|column| column.name == key);
        let type_name = place
            .and_then(|place| relation.shown.get(place))
            .map_or("?", |shown| shown.type_name.as_str());
        let found = error(shard(), name, format!("the key \"{key}\" is of another type than its keyspace"))
            .detail(format!("The column is {type_name}, keyspace {} has {}.", keyspace.name(), keyspace.key_type().name()))
            .hint("Equal keys must have equal hashes: smallint, int and bigint mix, text and varchar mix, all else is itself.");
        findings.push(found);
    }
    collation(findings, on, name, key, column.collation, keyspace);
    if let Filling::Generated(expression) = &column.filling {
        let found = error(shard(), name, format!("the key \"{key}\" is a generated column"))
            .detail(format!("It is computed on the shard, from {expression}."))
            .hint("The key must be known before a row is sent: make it an ordinary column.");
        findings.push(found);
    }
    for relation in family(catalog, name) {
        unique(findings, on, name, relation, key);
    }
}

fn collation(
    findings: &mut Vec<Finding>,
    on: &str,
    name: &QualifiedName,
    key: &str,
    collation: Collation,
    keyspace: &Keyspace,
) {
    let needs = match (keyspace.strategy(), collation) {
        (_, Collation::Nondeterministic) => "a deterministic collation: equality must be equality of bytes",
        (Strategy::Range(_), Collation::Deterministic) => "COLLATE \"C\": ranges of text go by bytes",
        (Strategy::Hash(_) | Strategy::Category(_), Collation::Deterministic)
        | (_, Collation::None | Collation::Bytes) => return,
    };
    let found = error(
        Some(on.to_owned()),
        name,
        format!("the key \"{key}\" has a collation that can't carry a placement"),
    )
    .detail(format!("Keyspace {} needs {needs}.", keyspace.name()))
    .hint(format!(
        "ALTER TABLE {} ALTER COLUMN {key} TYPE text COLLATE \"C\"",
        shown(name)
    ));
    findings.push(found);
}

/// Uniqueness over all shards holds only where the key is part of it: equal rows would meet on one shard.
fn unique(findings: &mut Vec<Finding>, on: &str, name: &QualifiedName, relation: &ShardRelation, key: &str) {
    for index in &relation.unique {
        let place = index.columns.iter().position(|column| column.as_deref() == Some(key));
        let is_enough = match place {
            Some(place) if index.is_exclusion => index.operators.get(place).is_some_and(|operator| operator == "="),
            Some(_) => true,
            None => false,
        };
        if is_enough {
            continue;
        }
        let what = if index.is_exclusion {
            "exclusion constraint"
        } else {
            "unique index"
        };
        let found = error(
            Some(on.to_owned()),
            name,
            format!("{what} \"{}\" doesn't contain the key \"{key}\"", index.name),
        )
        .detail(format!(
            "It is over {}; each shard would enforce it over its own rows only.",
            columns(&index.columns)
        ))
        .hint(format!("Add {key} to it, or place the table by another column."));
        findings.push(found);
    }
}

/// A lookup table must have its columns, and one category per key.
fn lookups(findings: &mut Vec<Finding>, scene: &Scene<'_>) {
    for keyspace in scene.topology.keyspaces() {
        let Some((table, key, category)) = crate::discovery::categories::lookup_of(keyspace) else {
            continue;
        };
        for (shard, catalog) in scene.read() {
            let Some(relation) = catalog.relations.get(table) else {
                continue;
            };
            let on = Some(scene.name(shard));
            for column in [key, category]
                .into_iter()
                .filter(|column| relation.relation.column(column).is_none())
            {
                let message = format!(
                    "there is no column \"{column}\", which keyspace {} looks up",
                    keyspace.name()
                );
                findings.push(error(on.clone(), table, message).hint("Name the column in the keyspace's lookup:."));
            }
            let is_unique = relation
                .unique
                .iter()
                .any(|index| matches!(index.columns.as_slice(), [Some(one)] if one == key));
            if relation.relation.column(key).is_some() && !is_unique {
                let found = error(on, table, format!("the lookup column \"{key}\" isn't unique"))
                    .detail(format!(
                        "A key of keyspace {} could have two categories.",
                        keyspace.name()
                    ))
                    .hint(format!("ALTER TABLE {} ADD UNIQUE ({key})", shown(table)));
                findings.push(found);
            }
        }
    }
}
