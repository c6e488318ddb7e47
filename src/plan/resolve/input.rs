//! What a statement is resolved from: one text under one picture.

use std::collections::BTreeMap;

use crate::catalog::Catalog;
use crate::plan::Context;
use crate::sql::{Lexing, Shape, Suspicion, Token, ast};
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
pub(super) struct ParsedView {
    /// its tree; `None` if the parser doesn't know its syntax
    pub(super) statement: Option<ast::Statement>,
    /// places where the tree may be wrong
    pub(super) suspicions: Vec<Suspicion>,
}
