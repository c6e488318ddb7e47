//! What runs without being named in a text: triggers, rules, policies, CHECKs, defaults, generated columns.

use crate::catalog::{TriggerLevel, TriggerTiming};
use crate::discovery::Finding;
use crate::discovery::checks::Scene;
use crate::discovery::checks::scene::{error, shown};
use crate::discovery::shard_catalog::{Read, ShardCatalog, ShardRelation};
use crate::topology::{QualifiedName, TablePlacement};

/// Checks one table, or one of its partitions.
pub(super) fn check(
    findings: &mut Vec<Finding>,
    scene: &Scene<'_>,
    on: &str,
    catalog: &ShardCatalog,
    name: &QualifiedName,
    relation: &ShardRelation,
    placement: &TablePlacement,
) {
    let shard = || Some(on.to_owned());
    for trigger in &relation.relation.triggers {
        let function = shown(&trigger.function);
        let is_before_row = trigger.timing == TriggerTiming::Before && trigger.level == TriggerLevel::Row;
        let may_change_key = is_before_row && matches!(placement, TablePlacement::Sharded { .. });
        if scene.topology.function(&trigger.function).is_none() {
            let found = error(
                shard(),
                name,
                format!("trigger \"{}\" runs a function that isn't declared", trigger.name),
            )
            .detail(format!(
                "What {function} reads or writes is unknown; on a shard it sees that shard's rows alone."
            ))
            .hint(format!(
                "If it touches only rows that its shard owns: functions: {{{function}: local}}; else drop it."
            ));
            findings.push(found);
        } else if may_change_key && !scene.keeps_key.contains(&trigger.function) {
            let found = error(
                shard(),
                name,
                format!("trigger \"{}\" may change the key of a row under way", trigger.name),
            )
            .detail("It is BEFORE … FOR EACH ROW; the row is on its shard already when it runs.")
            .hint(format!(
                "If it leaves the key as it is: functions: {{{function}: keeps_key}}."
            ));
            findings.push(found);
        }
    }
    for rule in &relation.relation.rules {
        let found = error(
            shard(),
            name,
            format!("rule \"{rule}\" rewrites statements on the shard"),
        )
        .detail("What it makes of them was not planned.")
        .hint("Drop it; a trigger with a declared function can often do the same.");
        findings.push(found);
    }
    for reader in &relation.readers {
        match &reader.reads {
            Read::Table(target) if !is_at_hand(scene, name, placement, target) => {
                let found = error(shard(), name, format!("{} \"{}\" reads {}", reader.what, reader.name, shown(target)))
                    .detail("That table is neither co-located with this one nor a reference table, so the shard sees part of it.")
                    .hint(format!("Make {} a reference table, or give both the same keyspace.", shown(target)));
                findings.push(found);
            }
            Read::Function(function) if !scene.is_allowed(catalog, function) => {
                let function = shown(function);
                let found = error(
                    shard(),
                    name,
                    format!(
                        "{} \"{}\" calls {function}, which isn't declared",
                        reader.what, reader.name
                    ),
                )
                .detail("What it reads is unknown; on a shard it sees that shard's rows alone.")
                .hint(format!(
                    "If it depends on its arguments alone: functions: {{{function}: pure}}."
                ));
                findings.push(found);
            }
            Read::Table(_) | Read::Function(_) => {}
        }
    }
}

/// Are all rows of `target` that matter to a row of this table on the same shard?
fn is_at_hand(scene: &Scene<'_>, name: &QualifiedName, placement: &TablePlacement, target: &QualifiedName) -> bool {
    if name == target && matches!(placement, TablePlacement::Reference | TablePlacement::Unsharded(_)) {
        return true;
    }
    match (placement, scene.topology.table(target)) {
        (_, Some(TablePlacement::Reference)) => true,
        (TablePlacement::Sharded { keyspace: own, .. }, Some(TablePlacement::Sharded { keyspace: other, .. })) => {
            own == other
        }
        (TablePlacement::Unsharded(own), Some(TablePlacement::Unsharded(other))) => own == other,
        (TablePlacement::Unsharded(own), None) => scene.topology.default_shard() == Some(*own),
        (
            TablePlacement::Sharded { .. } | TablePlacement::Reference | TablePlacement::Unsharded(_),
            Some(TablePlacement::Sharded { .. } | TablePlacement::Unsharded(_)) | None,
        ) => false,
    }
}
