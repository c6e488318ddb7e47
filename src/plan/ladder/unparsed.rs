//! Step 1, second half: a query that the parser doesn't know goes home if it begins as a read and nothing in it names a
//! user's relation, function, operator or type (`planning.md` 126, 127).

use crate::plan::ladder::functions::{Reach, exception};
use crate::plan::ladder::usage::{BACKEND_STATE, PREPARED};
use crate::plan::ladder::{Case, Ruling, Tree, words};
use crate::plan::{Kind, RefusalId, Verdict, refuse};
use crate::sql::{Command, TokenKind};

/// A statement without a tree.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let home = case.snapshot.topology().home();
    let failure = match case.resolved {
        Tree::NotWanted | Tree::Resolved(_) => return Ok(None),
        Tree::Refused(refusal) => return Ok(Some(Ruling::refused(refusal.clone(), home))),
        Tree::Unparsed(failure) => failure.to_string(),
    };
    let refused = |name: &str, why: &str| {
        Ok(Some(Ruling::refused(
            refuse(RefusalId::UnparsedNamesTable, &[name, why]),
            home,
        )))
    };
    let reads = matches!(case.command, Command::Query)
        && !words::has_word(case, &["insert", "update", "delete", "merge", "into"]);
    if !reads {
        return refused("?", &failure);
    }
    let Some(names) = words::names(case) else {
        return refused("?", "A name in it can't be decoded");
    };
    let catalog = case.snapshot.catalog();
    for name in &names {
        if BACKEND_STATE.contains(&name.as_str()) {
            return Ok(Some(Ruling::refused(refuse(RefusalId::BackendState, &[name]), home)));
        }
        if name == PREPARED {
            return Ok(Some(Ruling::refused(
                refuse(RefusalId::PreparedTransactions, &[]),
                home,
            )));
        }
        let relation = catalog.relations.keys().any(|relation| relation.name == *name)
            || case
                .snapshot
                .topology()
                .tables()
                .keys()
                .any(|table| table.name == *name)
            || case.context.temporary.contains(name);
        let code = catalog.functions.contains_key(name) || catalog.types.values().any(|known| known.name.name == *name);
        let nowhere = exception(name).is_some_and(|conduct| matches!(conduct.reach, Reach::Nowhere(_)));
        if relation || code || nowhere {
            return refused(name, &failure);
        }
    }
    for token in case.tokens.iter().filter(|token| token.kind == TokenKind::Operator) {
        let symbol = String::from_utf8_lossy(words::word_of(case, token)).into_owned();
        if catalog.operators.contains_key(&symbol) {
            return refused(&symbol, &failure);
        }
    }
    let said = words::said(case);
    Ok(Some(Ruling::fixed(
        Kind::Home,
        home,
        "names nothing of the user's",
        said.access,
        said.effect,
    )))
}
