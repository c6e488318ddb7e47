//! What a statement reads of the moment at which its transaction began.
//!
//! Holds: what isn't known counts as reading it. What of the tables themselves reads it, policies and triggers among them,
//! is `unseen.rs`'s to say.

use crate::catalog::{Filling, ReadsMoment, Relation};
use crate::plan::fanout::is_moment;
use crate::plan::ladder::usage::usage;
use crate::plan::ladder::{Case, Tree, Unseen, copy};
use crate::plan::resolve::{Callee, FunctionUse, Reference, Resolved, Role};
use crate::plan::writes::{Supplied, timed};
use crate::plan::{Access, Parameters, SessionEffect};
use crate::sql::ast::FunctionArguments;
use crate::sql::{Command, Token};
use crate::topology::FunctionClass;
use crate::value::{names_moment, says_moment};

/// What a statement reads of its transaction's moment, besides what its strings and parameters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Clock {
    /// nothing
    Unread,
    /// something, perhaps
    Read,
}

/// Where may a statement run that one shard answers?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Runs {
    /// where it is sent
    There,
    /// on any shard
    Anywhere,
}

/// What a statement reads of the moment, and where it may run.
pub(in crate::plan) fn clock(case: &Case<'_>, unseen: &[Unseen]) -> (Clock, Runs) {
    let read = |reads: bool| {
        if reads || !unseen.is_empty() {
            Clock::Read
        } else {
            Clock::Unread
        }
    };
    match case.resolved {
        Tree::Resolved(resolved) => (read(reads(resolved)), runs(resolved)),
        Tree::NotWanted => match case.command {
            Command::Call | Command::Do => (Clock::Read, Runs::There),
            Command::Copy(copy) => (read(copy::reads_moment(case, copy).is_some()), Runs::There),
            _ => (read(false), Runs::There),
        },
        Tree::Unparsed(_) | Tree::Refused(_) => {
            let word = |token: &Token| String::from_utf8_lossy(token.span.of(case.text)).to_ascii_lowercase();
            (
                read(case.tokens.iter().any(|token| is_moment(&word(token)))),
                Runs::There,
            )
        }
    }
}

/// May the text, or a parameter, say a moment by a string? Quick, and never no where one does.
pub(in crate::plan) fn may_say(text: &[u8], parameters: &Parameters<'_>) -> bool {
    // A backslash or a Unicode escape may spell a letter.
    let spelt = text.contains(&b'\\') || text.windows(2).any(|pair| pair == b"&'");
    let mut values = parameters.values.iter().flatten();
    spelt || names_moment(text) || values.any(|value| says_moment(value))
}

fn reads(resolved: &Resolved<'_>) -> bool {
    let calls = resolved.uses.functions.iter();
    calls.into_iter().any(|call| is_moment(bare(call)))
        || out_of_sight(resolved).is_some()
        || written(resolved).any(|(reference, relation)| {
            let fills = matches!(reference.role, Role::Insert | Role::Update | Role::Merge);
            fills && timed_columns(resolved, relation).next().is_some()
        })
}

fn bare<'c>(call: &'c FunctionUse<'_>) -> &'c str {
    call.name.strip_prefix("pg_catalog.").unwrap_or(&call.name)
}

/// What names no table and leaves nothing behind is answered alike by every shard.
fn runs(resolved: &Resolved<'_>) -> Runs {
    let anywhere = resolved.references.is_empty()
        && usage(resolved).is_ok_and(|usage| {
            usage.home_only.is_none()
                && usage.alone.is_none()
                && usage.local.is_none()
                && usage.access == Access::Read
                && usage.effect == SessionEffect::None
        });
    if anywhere { Runs::Anywhere } else { Runs::There }
}

/// Tables that are written.
pub(super) fn written<'r, 'a>(resolved: &'r Resolved<'a>) -> impl Iterator<Item = (&'r Reference<'a>, &'a Relation)> {
    let written = resolved
        .references
        .iter()
        .filter(|reference| reference.role != Role::Read);
    written.filter_map(|reference| Some((reference, reference.relation?)))
}

/// A call or a cast that reads the moment and isn't a moment by itself.
pub(super) fn out_of_sight(resolved: &Resolved<'_>) -> Option<String> {
    let one_argument = |call: &FunctionUse<'_>| match call.call.map(|call| &call.args) {
        Some(FunctionArguments::List(list)) => list.args.len() == 1,
        Some(FunctionArguments::None | FunctionArguments::Subquery(_)) | None => true,
    };
    let call = resolved.uses.functions.iter().find(|call| match call.callee {
        Callee::Builtin(_) => (bare(call) == "age" && one_argument(call)) || bare(call) == "timetz",
        Callee::User(overloads) => overloads.iter().any(|function| {
            let pure = resolved.input.topology.function(&function.name) == Some(FunctionClass::Pure);
            !pure && function.moment == ReadsMoment::Perhaps
        }),
        Callee::Grammar | Callee::Missing => false,
    });
    let cast = || {
        let named = |name: &str| name == "timetz" || name == "time with time zone";
        resolved.uses.types.iter().find(|cast| named(&cast.name))
    };
    call.map(|call| format!("{}()", call.name))
        .or_else(|| cast().map(|cast| format!("a cast to {}", cast.name)))
}

/// Columns whose defaults read the moment, each with what it is given instead, or what in it can't be.
pub(super) fn timed_columns(
    resolved: &Resolved<'_>,
    relation: &Relation,
) -> impl Iterator<Item = (String, Result<Supplied, String>)> {
    let catalog = resolved.input.catalog;
    relation.columns.iter().filter_map(|column| {
        let Filling::Default { expression, .. } = &column.filling else {
            return None;
        };
        let given = timed(catalog, expression).transpose()?;
        Some((column.name.clone(), given))
    })
}
