//! Step 1, third half: what names no table of the user's goes home: expressions, pg_catalog and information_schema, locks
//! of the application, sequences.

use crate::plan::ladder::usage::usage;
use crate::plan::ladder::{Case, Literals, Ruling, Tree};
use crate::plan::resolve::{Placement, Resolved, Role};
use crate::plan::sequences::changed_by;
use crate::plan::{Kind, OWN_LOCK_CLASSES, Refusal, RefusalId, Verdict, refuse};
use crate::sql::ast::{Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

/// No table of the user's.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let Tree::Resolved(resolved) = case.resolved else {
        return Ok(None);
    };
    let placed = |placement: &Placement| match placement {
        Placement::Sharded { .. } | Placement::Reference | Placement::Unsharded(_) => true,
        Placement::System | Placement::Temporary | Placement::Missing => false,
    };
    if resolved.references.iter().any(|reference| placed(&reference.placement)) {
        return Ok(None);
    }
    let home = case.snapshot.topology().home();
    let usage = match usage(resolved) {
        Ok(usage) => usage,
        Err(refusal) => return Ok(Some(Ruling::refused(refusal, home))),
    };
    let refusal = written_catalog(resolved)
        .or_else(|| {
            usage
                .local
                .as_deref()
                .map(|name| refuse(RefusalId::LocalFunctionAlone, &[name]))
        })
        .or_else(|| match (&usage.alone, resolved.references.is_empty()) {
            (Some(name), false) => Some(refuse(RefusalId::FunctionBesideTable, &[name])),
            (Some(_), true) | (None, _) => None,
        });
    if let Some(refusal) = refusal {
        return Ok(Some(Ruling::refused(refusal, home)));
    }
    let (literals, elsewhere) = sequences(case, resolved);
    let (literals, reserved) = lock_classes(resolved, literals);
    if let Some(refusal) = elsewhere.or(reserved) {
        return Ok(Some(Ruling::refused(refusal, home)));
    }
    let writes = resolved.references.iter().any(|reference| reference.role != Role::Read);
    let access = match writes {
        true => crate::plan::Access::Write,
        false => usage.access,
    };
    let reason = match resolved.references.is_empty() {
        true => "names no table",
        false => "names no table of the shards",
    };
    let ruling = Ruling::fixed(Kind::Home, home, reason, access, usage.effect);
    Ok(Some(Ruling { literals, ..ruling }))
}

fn written_catalog(resolved: &Resolved<'_>) -> Option<Box<Refusal>> {
    let written = resolved
        .references
        .iter()
        .find(|reference| reference.role != Role::Read && reference.placement == Placement::System)?;
    Some(refuse(RefusalId::CatalogWritten, &[&written.name]))
}

/// A sequence that a table on another shard draws from isn't home's: its values would be given out twice.
fn sequences(case: &Case<'_>, resolved: &Resolved<'_>) -> (Literals, Option<Box<Refusal>>) {
    let calls = resolved.uses.functions.iter().filter(|function| {
        matches!(
            function.name.as_str(),
            "nextval" | "setval" | "pg_catalog.nextval" | "pg_catalog.setval"
        )
    });
    let mut literals = Literals::Opaque;
    let elsewhere = defaults_elsewhere(case);
    for call in calls {
        literals = Literals::Read;
        let name = call.call.and_then(|call| match &call.args {
            FunctionArguments::List(list) => list.args.first(),
            FunctionArguments::None | FunctionArguments::Subquery(_) => None,
        });
        let name = name.and_then(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => literal(expr),
            _ => None,
        });
        let by_column = || call.call.and_then(|call| changed_by(resolved.input, call));
        let name = name.or_else(|| by_column().map(|sequence| sequence.name));
        let draws = |text: &str| match &name {
            // `nextval('public.a_id_seq'::regclass)`: the sequence's own name, as a word of it
            Some(name) => text
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .any(|word| Some(word) == name.rsplit('.').next()),
            None => true,
        };
        if let Some((table, _)) = elsewhere.iter().find(|(_, text)| draws(text)) {
            return (literals, Some(refuse(RefusalId::SequenceElsewhere, &[table])));
        }
    }
    (literals, None)
}

/// Advisory locks of two integers: some first integers are the proxy's own. One that isn't written as a constant is let
/// through: whoever takes such a lock holds up commits, or reads over several shards, and makes none of them wrong.
fn lock_classes(resolved: &Resolved<'_>, literals: Literals) -> (Literals, Option<Box<Refusal>>) {
    let mut literals = literals;
    for function in &resolved.uses.functions {
        let bare = function.name.rsplit('.').next().unwrap_or(&function.name);
        let list = function.call.and_then(|call| match &call.args {
            FunctionArguments::List(list) if list.args.len() == 2 => Some(list),
            FunctionArguments::List(_) | FunctionArguments::None | FunctionArguments::Subquery(_) => None,
        });
        let Some(list) = list.filter(|_| is_lock(bare)) else {
            continue;
        };
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(class))) = list.args.first() else {
            continue;
        };
        let Some(class) = integer(class) else { continue };
        literals = Literals::Read;
        if OWN_LOCK_CLASSES.contains(&class) {
            return (
                literals,
                Some(refuse(RefusalId::LockClassReserved, &[&class.to_string()])),
            );
        }
    }
    (literals, None)
}

fn is_lock(name: &str) -> bool {
    let kinds = ["pg_advisory_", "pg_try_advisory_"];
    kinds.iter().any(|kind| name.starts_with(kind))
}

fn integer(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => integer(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(digits) | Value::Number(digits, _) => digits.trim().parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => literal(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(name) => Some(name.replace('"', "")),
            _ => None,
        },
        _ => None,
    }
}

/// Defaults with nextval of tables that live on a shard other than home.
fn defaults_elsewhere(case: &Case<'_>) -> Vec<(String, String)> {
    let topology = case.snapshot.topology();
    let mut found = Vec::new();
    for relation in case.snapshot.catalog().relations.values() {
        let elsewhere = match crate::plan::resolve::placement(topology, relation) {
            Ok(Placement::Unsharded(shard)) => shard != topology.home(),
            Ok(_) | Err(_) => false,
        };
        for column in relation.columns.iter().filter(|_| elsewhere) {
            if let (crate::catalog::Filling::Default { expression, .. }, Some(_)) =
                (&column.filling, column.filling.drawn_from())
            {
                found.push((
                    format!("{}.{}", relation.name.schema, relation.name.name),
                    expression.clone(),
                ));
            }
        }
    }
    found
}
