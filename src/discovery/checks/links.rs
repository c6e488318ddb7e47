//! Foreign keys: a shard can check only what it has.

use crate::catalog::ForeignKey;
use crate::discovery::Finding;
use crate::discovery::checks::Scene;
use crate::discovery::checks::scene::{error, shown};
use crate::discovery::shard_catalog::{ShardCatalog, ShardRelation};
use crate::topology::{QualifiedName, ShardId, TablePlacement};

/// How a foreign key stands to the placement.
enum Link {
    /// both ends lie on the same shard for every row
    Whole,
    /// both ends lie on one shard, since key refers to key
    CoLocated,
    /// they may lie apart; why
    Apart(&'static str),
}

/// Checks the foreign keys of one table, or one of its partitions.
pub(super) fn check(
    findings: &mut Vec<Finding>,
    scene: &Scene<'_>,
    (on, _): (&str, ShardId),
    _catalog: &ShardCatalog,
    name: &QualifiedName,
    relation: &ShardRelation,
    placement: &TablePlacement,
) {
    for link in &relation.relation.foreign_keys {
        match judge(scene, placement, link) {
            Link::CoLocated => {}
            Link::Whole => actions(findings, on, name, link, placement),
            Link::Apart(why) => {
                let target = shown(&link.target);
                let found = error(
                    Some(on.to_owned()),
                    name,
                    format!("foreign key \"{}\" refers to {target}, {why}", link.name),
                )
                .detail("A shard would check it against its own rows alone.")
                .hint(format!(
                    "Make {target} a reference table, place both by the same key, or drop the constraint."
                ));
                findings.push(found);
            }
        }
    }
}

/// Checks the foreign keys of tables that aren't listed and so live on the default shard.
pub(super) fn unlisted(findings: &mut Vec<Finding>, scene: &Scene<'_>) {
    let Some(default) = scene.topology.default_shard() else {
        return;
    };
    let placement = TablePlacement::Unsharded(default);
    for (shard, catalog) in scene.read().filter(|(shard, _)| *shard == default) {
        for (name, relation) in &catalog.relations {
            let root = relation.relation.partition_root.as_ref().unwrap_or(name);
            if scene.topology.table(root).is_none() {
                check(
                    findings,
                    scene,
                    (&scene.name(shard), shard),
                    catalog,
                    name,
                    relation,
                    &placement,
                );
            }
        }
    }
}

fn judge(scene: &Scene<'_>, placement: &TablePlacement, link: &ForeignKey) -> Link {
    let topology = scene.topology;
    match (placement, topology.table(&link.target)) {
        (_, Some(TablePlacement::Reference)) => Link::Whole,
        (TablePlacement::Reference, _) => Link::Apart("which isn't on every shard"),
        (
            TablePlacement::Sharded { keyspace, key },
            Some(TablePlacement::Sharded {
                keyspace: other,
                key: other_key,
            }),
        ) => {
            let pairs = link.columns.iter().zip(&link.target_columns);
            let is_paired = pairs
                .into_iter()
                .any(|(column, target)| column == key && target == other_key);
            match (keyspace == other, is_paired) {
                (true, true) => Link::CoLocated,
                (true, false) => Link::Apart("but not key to key"),
                (false, _) => Link::Apart("which is placed by another keyspace"),
            }
        }
        (TablePlacement::Sharded { .. }, Some(TablePlacement::Unsharded(_)) | None) => {
            Link::Apart("which lies on one shard")
        }
        (TablePlacement::Unsharded(_), Some(TablePlacement::Sharded { .. })) => {
            Link::Apart("which is spread over shards")
        }
        (TablePlacement::Unsharded(own), Some(TablePlacement::Unsharded(other))) if own == other => Link::Whole,
        (TablePlacement::Unsharded(own), None) if topology.default_shard() == Some(*own) => Link::Whole,
        (TablePlacement::Unsharded(_), Some(TablePlacement::Unsharded(_)) | None) => {
            Link::Apart("which lies on another shard")
        }
    }
}

/// Actions that would change the key on the shard, where nobody could move the row.
fn actions(findings: &mut Vec<Finding>, on: &str, name: &QualifiedName, link: &ForeignKey, placement: &TablePlacement) {
    let TablePlacement::Sharded { key, .. } = placement else {
        return;
    };
    if !link.columns.contains(key) {
        return;
    }
    let action = match (link.on_update, link.on_delete) {
        (b'c', _) => "ON UPDATE CASCADE",
        (b'n', _) => "ON UPDATE SET NULL",
        (b'd', _) => "ON UPDATE SET DEFAULT",
        (_, b'n') => "ON DELETE SET NULL",
        (_, b'd') => "ON DELETE SET DEFAULT",
        _ => return,
    };
    let found = error(
        Some(on.to_owned()),
        name,
        format!("foreign key \"{}\" changes the key \"{key}\" by itself", link.name),
    )
    .detail(format!(
        "{action} sets it on the shard, where the row would no longer belong."
    ))
    .hint("Make the action NO ACTION or RESTRICT.");
    findings.push(found);
}
