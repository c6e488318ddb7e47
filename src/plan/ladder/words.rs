//! Words of a statement that isn't looked at as a tree: names of the user's objects, calls, words that change things.

use crate::catalog::{Body, FunctionKind, Volatility};
use crate::plan::ladder::{Case, functions, graver, stronger};
use crate::plan::{Access, SessionEffect};
use crate::sql::{Command, CopyDirection, Identifier, Token, TokenKind, identifiers};

/// What words say of a statement.
#[derive(Debug)]
pub(super) struct Said {
    /// what calls do to rows
    pub(super) access: Access,
    /// what they leave in the session
    pub(super) effect: SessionEffect,
}

/// Every identifier and word, folded; `None` if one can't be decoded.
pub(super) fn names(case: &Case<'_>) -> Option<Vec<String>> {
    let found = identifiers(case.text, case.lexing).ok()?;
    found
        .into_iter()
        .map(|identifier| match identifier {
            Identifier::Name { name, span: _ } => Some(name),
            Identifier::Undecodable(_) => None,
        })
        .collect()
}

/// Is one of these keywords in the text, outside strings and quotes?
pub(super) fn has_word(case: &Case<'_>, words: &[&str]) -> bool {
    case.tokens.iter().any(|token| {
        token.kind == TokenKind::Word
            && words
                .iter()
                .any(|word| word_of(case, token).eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// A token's bytes.
pub(super) fn word_of<'a>(case: &Case<'a>, token: &Token) -> &'a [u8] {
    token.span.of(case.text)
}

/// May a statement write rows of the relations that it names?
fn writes(case: &Case<'_>) -> bool {
    match case.command {
        Command::Show(_) | Command::Fetch(_) | Command::Close(_) | Command::Lock => false,
        Command::Copy(copy) if copy.direction == CopyDirection::From => true,
        Command::Query | Command::Declare(_) | Command::Explain(_) | Command::Copy(_) | Command::Prepare(_) => {
            has_word(case, &["insert", "update", "delete", "merge"])
        }
        _ => true,
    }
}

/// What the calls in a text say, by names alone: a word of the table counts wherever it stands.
pub(super) fn said(case: &Case<'_>) -> Said {
    let mut said = Said {
        access: Access::Read,
        effect: SessionEffect::None,
    };
    let Some(names) = names(case) else {
        return Said {
            access: Access::Write,
            effect: SessionEffect::Opaque,
        };
    };
    let catalog = case.snapshot.catalog();
    let writes = writes(case);
    for name in names {
        // pg_settings has a rule that sets what is written to it.
        let opaque = catalog.opaque_reads.contains(&name)
            || writes && (catalog.opaque_writes.contains(&name) || name == "pg_settings");
        if opaque {
            said.effect = graver(said.effect, SessionEffect::Opaque);
        }
        if let Some(conduct) = functions::exception(&name).filter(|_| catalog.builtin.functions.contains_key(&name)) {
            said.access = stronger(said.access, conduct.access);
            said.effect = graver(said.effect, conduct.effect);
        }
        for function in catalog.functions.get(&name).into_iter().flatten() {
            let plain = match function.kind {
                FunctionKind::Function | FunctionKind::Aggregate | FunctionKind::Window => function.body == Body::Plain,
                FunctionKind::Procedure => false,
            };
            if !plain {
                said.effect = graver(said.effect, SessionEffect::Opaque);
            }
            if function.volatility == Volatility::Volatile {
                said.access = stronger(said.access, Access::Write);
            }
        }
        if name == "pg_temp" {
            said.effect = graver(said.effect, SessionEffect::Pin("temporary object"));
        }
    }
    said
}
