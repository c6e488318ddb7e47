//! What a statement is resolved from: one text under one picture.

use std::collections::BTreeMap;

use crate::catalog::{Catalog, RelationKind};
use crate::plan::Context;
use crate::sql::{Identifier, Lexing, Shape, Suspicion, Token, ast, identifiers, parse};
use crate::topology::{QualifiedName, Topology};
use crate::value::Oid;

/// One text under one picture. Spans of the statement's tree, tokens and literals are byte offsets into `text`.
#[derive(Clone, Copy, Debug)]
pub(in crate::plan) struct Input<'a> {
    /// exactly one statement
    pub(in crate::plan) text: &'a [u8],
    /// how it is lexed
    pub(in crate::plan) lexing: Lexing,
    /// its tokens
    pub(in crate::plan) tokens: &'a [Token],
    /// its shape and literals
    pub(in crate::plan) shape: &'a Shape,
    /// its tree
    pub(in crate::plan) statement: &'a ast::Statement,
    /// places where the tree may be wrong
    pub(in crate::plan) suspicions: &'a [Suspicion],
    /// definitions of the views that it may read
    pub(in crate::plan) views: &'a Views,
    /// where rows live
    pub(in crate::plan) topology: &'a Topology,
    /// what tables look like
    pub(in crate::plan) catalog: &'a Catalog,
    /// the session's settings
    pub(in crate::plan) context: &'a Context,
    /// types of `$1…`, declared or learnt; 0 (or missing) where not known
    pub(in crate::plan) parameter_types: &'a [Oid],
}

/// Parsed definitions of views, by name.
#[derive(Debug, Default)]
pub(in crate::plan) struct Views {
    pub(super) parsed: BTreeMap<QualifiedName, ParsedView>,
}

/// One view's definition.
#[derive(Debug)]
pub(in crate::plan) struct ParsedView {
    /// its text
    pub(in crate::plan) text: String,
    /// its tree; `None` if the parser doesn't know its syntax
    pub(in crate::plan) statement: Option<ast::Statement>,
}

// === impl Views ===

impl Views {
    /// Parses every view whose name occurs as a word of `text`, and those that their definitions mention: more than the
    /// statement reads, never less.
    pub(in crate::plan) fn collect(catalog: &Catalog, text: &[u8], lexing: Lexing) -> Views {
        let mut views = Views::default();
        if !catalog
            .relations
            .values()
            .any(|relation| relation.view_definition.is_some())
        {
            return views;
        }
        let mut open = words(text, lexing);
        while let Some(word) = open.pop() {
            let named = catalog.relations.values().filter(|relation| relation.name.name == word);
            for relation in named.filter(|relation| relation.kind == RelationKind::View) {
                let Some(definition) = &relation.view_definition else {
                    continue;
                };
                if views.parsed.contains_key(&relation.name) {
                    continue;
                }
                // What a catalog holds is UTF-8 with standard strings, whatever the session's settings.
                let statement = parse(definition.as_bytes(), Lexing::default()).ok();
                open.extend(words(definition.as_bytes(), Lexing::default()));
                views.parsed.insert(
                    relation.name.clone(),
                    ParsedView {
                        text: definition.clone(),
                        statement,
                    },
                );
            }
        }
        views
    }

    /// All that were parsed.
    pub(in crate::plan) fn iter(&self) -> impl Iterator<Item = &ParsedView> {
        self.parsed.values()
    }

    /// A view's definition.
    pub(in crate::plan) fn get(&self, name: &QualifiedName) -> Option<&ParsedView> {
        self.parsed.get(name)
    }
}

fn words(text: &[u8], lexing: Lexing) -> Vec<String> {
    let found = identifiers(text, lexing).unwrap_or_default();
    found
        .into_iter()
        .filter_map(|identifier| match identifier {
            Identifier::Name { name, span: _ } => Some(name),
            Identifier::Undecodable(_) => None,
        })
        .collect()
}
