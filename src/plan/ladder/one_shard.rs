//! Step 2: the keys of all sharded tables, at every level, are fixed to one shard; or only reference tables, or one shard's
//! unsharded tables, occur. What keys leave on several shards goes on to the rules of `fanout`, or is refused.

use crate::plan::keys::{Graph, WrittenKey};
use crate::plan::ladder::usage::{Usage, usage};
use crate::plan::ladder::{
    Case, Everywhere, Keyed, Literals, Mention, Route, Ruling, Several, Texts, Tree, insert, reference, stronger, write,
};
use crate::plan::resolve::{BaseColumn, Placement, ReferenceId, Resolved, Role};
use crate::plan::{
    Access, Ask, Kind, Purpose, Refusal, RefusalId, RowOrder, SessionEffect, Verdict, WriteAnswer, fanout, refuse,
    writes,
};
use crate::topology::{ShardId, ShardSet};
use crate::value::Oid;

/// A statement that reads or writes tables.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let Tree::Resolved(resolved) = case.resolved else {
        return Ok(None);
    };
    let home = case.snapshot.topology().home();
    if let Some(ruling) = reference::rule(case, resolved) {
        return Ok(Some(ruling));
    }
    match checked(resolved) {
        Ok(usage) => route(case, resolved, usage).map(Some),
        Err(refusal) => Ok(Some(Ruling::refused(refusal, home))),
    }
}

/// What may not be done on any number of shards.
fn checked(resolved: &Resolved<'_>) -> Result<Usage, Box<Refusal>> {
    let usage = usage(resolved)?;
    if let Some(name) = &usage.alone {
        return Err(refuse(RefusalId::FunctionBesideTable, &[name]));
    }
    let is_sharded = |placement: &Placement| match placement {
        Placement::Sharded { .. } => true,
        Placement::Reference
        | Placement::Unsharded(_)
        | Placement::System
        | Placement::Temporary
        | Placement::Missing => false,
    };
    let sharded = resolved
        .references
        .iter()
        .find(|reference| is_sharded(&reference.placement));
    if let (Some(name), None) = (&usage.local, sharded) {
        return Err(refuse(RefusalId::LocalFunctionAlone, &[name]));
    }
    for block in &resolved.uses.samples {
        let sampled = resolved
            .references
            .iter()
            .find(|reference| reference.block == *block && is_sharded(&reference.placement));
        if let Some(reference) = sampled {
            return Err(refuse(RefusalId::TableSample, &[&reference.name]));
        }
    }
    write::check(resolved)?;
    Ok(usage)
}

fn route(case: &Case<'_>, resolved: &Resolved<'_>, usage: Usage) -> Result<Ruling, Verdict> {
    let topology = case.snapshot.topology();
    let home = topology.home();
    let access = access(resolved, &usage);
    let fixed = resolved
        .references
        .iter()
        .fold(ShardSet::EMPTY, |set, reference| match reference.placement {
            Placement::Unsharded(shard) => set.with(shard),
            Placement::Sharded { .. }
            | Placement::Reference
            | Placement::System
            | Placement::Temporary
            | Placement::Missing => set,
        });
    if fixed.len() > 1 {
        return Ok(Ruling::refused(
            refuse(RefusalId::UnshardedApart, &[&names(resolved)]),
            home,
        ));
    }
    let otherwise = fixed.first().unwrap_or(home);
    let sharded = resolved
        .references
        .iter()
        .any(|reference| matches!(reference.placement, Placement::Sharded { .. }));
    if !sharded {
        // Writers of a reference table come to the first shard before any other: its locks are the table's.
        let locking = resolved.uses.locks > 0 && fixed.is_empty();
        let otherwise = match topology.all_shards().first() {
            Some(first) if locking => first,
            Some(_) | None => otherwise,
        };
        if let (Some(what), true) = (&usage.home_only, otherwise != home) {
            return Ok(Ruling::refused(refuse(RefusalId::HomeOnly, &[what]), otherwise));
        }
        let reason = match fixed.is_empty() {
            true => "reference tables",
            false => "an unsharded table",
        };
        return Ok(Ruling::fixed(Kind::OneShard, otherwise, reason, access, usage.effect));
    }
    let graph = Graph::new(resolved)?;
    let written = match insert::written(resolved, &graph) {
        Ok(written) => written,
        Err(insert::Unwritten::Refused(refusal)) => {
            return match (writes::series(resolved), &usage.home_only) {
                (None, _) | (Some(_), Some(_)) => Ok(Ruling::refused(refusal, otherwise)),
                (Some(series), None) => self::series(series, access, usage.effect, otherwise),
            };
        }
        Err(insert::Unwritten::TypesNeeded(needed)) => return Err(needed.into()),
    };
    let several = several(resolved, &usage, access, fixed, &written);
    if let Several::Split(split) = &several {
        // Asked now, so that they are kept with the route.
        let known = |index: usize| {
            let declared = resolved.input.parameter_types.get(index);
            declared.is_some_and(|oid| *oid != Oid(0) && *oid != Oid::UNKNOWN)
        };
        if !(0..split.parameters()).all(known) {
            return Err(Verdict::Ask(Ask::ParameterTypes));
        }
    }
    let keyed = Keyed {
        mentions: mentions(resolved, &graph),
        written,
        fixed,
        home_only: usage.home_only,
        otherwise,
        several,
    };
    Ok(Ruling {
        route: Route::Keyed(Box::new(keyed)),
        access,
        effect: usage.effect,
        prepare_on: otherwise,
        literals: Literals::Opaque,
    })
}

/// An INSERT of rows that every shard makes.
fn series(
    series: Result<writes::Series, writes::Unproven>,
    access: Access,
    effect: SessionEffect,
    prepare_on: ShardId,
) -> Result<Ruling, Verdict> {
    match series {
        Ok(series) => Ok(Ruling {
            route: Route::Everywhere(Box::new(Everywhere {
                reason: "each shard makes the rows, and keeps its own",
                answer: WriteAnswer::Sum(RowOrder::Parts),
                texts: Texts::Series(Box::new(series)),
            })),
            access,
            effect,
            prepare_on,
            literals: Literals::Read,
        }),
        Err(writes::Unproven::Refused(refusal)) => Ok(Ruling::refused(refusal, prepare_on)),
        Err(writes::Unproven::TypesNeeded) => Err(Verdict::Ask(Ask::ParameterTypes)),
    }
}

fn mentions(resolved: &Resolved<'_>, graph: &Graph) -> Vec<Mention> {
    let mut mentions: Vec<Mention> = Vec::new();
    for (index, reference) in resolved.references.iter().enumerate() {
        let Placement::Sharded { keyspace, key } = reference.placement else {
            continue;
        };
        let purpose = match reference.role {
            // The rows written say where they go; those that are there matter only where they collide.
            Role::Insert => continue,
            Role::Read => Purpose::Read,
            Role::Update | Role::Delete | Role::Merge => Purpose::Write,
        };
        let pruning = graph.pruning(BaseColumn {
            reference: ReferenceId(index),
            column: key,
        });
        let same = mentions
            .iter()
            .any(|mention| mention.keyspace == keyspace && mention.purpose == purpose && mention.pruning == pruning);
        if !same {
            mentions.push(Mention {
                keyspace,
                pruning,
                purpose,
            });
        }
    }
    mentions
}

/// What happens if the keys leave several shards.
fn several(resolved: &Resolved<'_>, usage: &Usage, access: Access, fixed: ShardSet, written: &[WrittenKey]) -> Several {
    let tables = names(resolved);
    let rows: usize = written.iter().map(|written| written.rows.len()).sum();
    if access == Access::Write && (written.len() != 1 || rows < 2) {
        return Several::Refused(refuse(RefusalId::WriteSeveralShards, &[&tables]));
    }
    if let Some(what) = &usage.home_only {
        return Several::Refused(refuse(RefusalId::HomeOnly, &[what]));
    }
    if access == Access::Write {
        return match writes::plan(resolved) {
            Ok(split) => Several::Split(Box::new(split)),
            Err(refusal) => Several::Refused(refusal),
        };
    }
    if !fixed.is_empty() {
        return Several::Refused(refuse(RefusalId::UnshardedBesideSharded, &[&tables]));
    }
    match fanout::plan(resolved) {
        Ok(template) => Several::FanOut(Box::new(template)),
        Err(refusal) => Several::Refused(refusal),
    }
}

fn access(resolved: &Resolved<'_>, usage: &Usage) -> Access {
    let writes = resolved.references.iter().any(|reference| reference.role != Role::Read);
    let own = match (writes, resolved.uses.locks > 0) {
        (true, _) => Access::Write,
        (false, true) => Access::Lock,
        (false, false) => Access::Read,
    };
    stronger(own, usage.access)
}

/// Names of the tables that have a place, for messages.
fn names(resolved: &Resolved<'_>) -> String {
    let mut names: Vec<&str> = resolved
        .references
        .iter()
        .filter(|reference| matches!(reference.placement, Placement::Sharded { .. } | Placement::Unsharded(_)))
        .map(|reference| reference.name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
