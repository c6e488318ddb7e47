//! What the functions, operators, types and system columns of a resolved statement allow.

use crate::catalog::{Body, Volatility};
use crate::plan::ladder::functions::{Reach, builtin, is_pure_extension};
use crate::plan::ladder::{graver, stronger};
use crate::plan::resolve::{Callee, Placement, Resolved};
use crate::plan::{Access, Refusal, RefusalId, SessionEffect, refuse};
use crate::topology::{FunctionClass, QualifiedName};

/// What a statement's calls and names demand.
#[derive(Debug)]
pub(super) struct Usage {
    /// set if it may run on home alone: by what
    pub(super) home_only: Option<String>,
    /// set if it may run on home alone and reads no table: by what
    pub(super) alone: Option<String>,
    /// a declared function that touches the rows of one shard: needs a table to say which
    pub(super) local: Option<String>,
    /// what calls do to rows
    pub(super) access: Access,
    /// what they leave in the session
    pub(super) effect: SessionEffect,
}

/// Types whose values are OIDs of objects that differ between shards.
const OID_TYPES: [&str; 9] = [
    "regclass",
    "regproc",
    "regprocedure",
    "regoper",
    "regoperator",
    "regrole",
    "regnamespace",
    "regcollation",
    "oid",
];

/// Views of what one backend holds: no shard's has all of it, or only it.
pub(super) const BACKEND_STATE: [&str; 2] = ["pg_prepared_statements", "pg_cursors"];

/// What clients have prepared, on whichever shard: each shows its own alone.
pub(super) const PREPARED: &str = "pg_prepared_xacts";

/// Judges all that a statement uses; an undeclared function or operator is refused.
pub(super) fn usage(resolved: &Resolved<'_>) -> Result<Usage, Box<Refusal>> {
    let mut usage = Usage {
        home_only: None,
        alone: None,
        local: None,
        access: Access::Read,
        effect: SessionEffect::None,
    };
    for reference in &resolved.references {
        let bare = reference.name.rsplit('.').next().unwrap_or(&reference.name);
        if reference.placement == Placement::System && BACKEND_STATE.contains(&bare) {
            return Err(refuse(RefusalId::BackendState, &[bare]));
        }
        if reference.placement == Placement::System && bare == PREPARED {
            return Err(refuse(RefusalId::PreparedTransactions, &[]));
        }
    }
    for function in &resolved.uses.functions {
        match function.callee {
            Callee::Grammar | Callee::Missing => {}
            Callee::Builtin(overloads) => {
                let bare = function.name.rsplit('.').next().unwrap_or(&function.name);
                let conduct = builtin(bare, overloads);
                match conduct.reach {
                    Reach::Anywhere => {}
                    Reach::Home => usage.home_only = Some(format!("{bare}()")),
                    Reach::Alone => usage.alone = Some(format!("{bare}()")),
                    Reach::Nowhere(why) => return Err(refuse(RefusalId::FunctionRefused, &[bare, why])),
                }
                usage.access = stronger(usage.access, conduct.access);
                usage.effect = graver(usage.effect, conduct.effect);
            }
            Callee::User(overloads) => user_function(resolved, &function.name, overloads, &mut usage)?,
        }
    }
    if let Some(symbol) = resolved.uses.user_operators.first() {
        return Err(refuse(RefusalId::UserOperator, &[symbol]));
    }
    for name in &resolved.uses.types {
        if name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog") && OID_TYPES.contains(&name.name.as_str())
        {
            usage.home_only = Some(format!("a cast to {}", name.name));
        }
    }
    if resolved
        .uses
        .system_columns
        .iter()
        .any(|column| column.name == "tableoid")
    {
        usage.home_only = Some("tableoid".to_string());
    }
    let system = resolved
        .references
        .iter()
        .find(|reference| reference.placement == Placement::System);
    if let Some(system) = system {
        usage.home_only = Some(format!("\"{}\"", system.name));
    }
    if let Some(temporary) = resolved
        .references
        .iter()
        .find(|reference| reference.placement == Placement::Temporary)
    {
        usage.home_only = Some(format!("temporary table \"{}\"", temporary.name));
    }
    if resolved.uses.into > 0 {
        return Err(refuse(RefusalId::SelectInto, &[]));
    }
    Ok(usage)
}

fn user_function(
    resolved: &Resolved<'_>,
    name: &str,
    overloads: &[std::sync::Arc<crate::catalog::Function>],
    usage: &mut Usage,
) -> Result<(), Box<Refusal>> {
    let schema = name.rsplit_once('.').map(|(schema, _)| schema);
    let visible = overloads.iter().filter(|function| match schema {
        Some(schema) => schema.rsplit('.').next() == Some(function.name.schema.as_str()),
        None => resolved.input.context.search_path.contains(&function.name.schema),
    });
    for function in visible {
        let QualifiedName { schema, name } = &function.name;
        let full = format!("{schema}.{name}");
        match resolved.input.topology.function(&function.name) {
            Some(FunctionClass::Pure) => {}
            Some(FunctionClass::Local) => {
                usage.local = Some(full);
                if function.volatility == Volatility::Volatile {
                    usage.access = stronger(usage.access, Access::Write);
                }
            }
            None if is_pure_extension(function) => {}
            None => return Err(refuse(RefusalId::FunctionNotDeclared, &[&full])),
        }
        if function.body == Body::Opaque {
            usage.effect = graver(usage.effect.clone(), SessionEffect::Opaque);
        }
    }
    Ok(())
}
