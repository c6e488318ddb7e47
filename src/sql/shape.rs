//! A statement's shape: its text with white space and comments collapsed, identifiers folded, literals lifted out.

use super::error::ScanError;
use super::lexing::{Lexing, Span};
use super::literal::Literal;

/// Reused by one session from statement to statement: warm, it doesn't allocate.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    normal: Vec<u8>,
    literals: Vec<Literal>,
    hash: u64,
    lead: Lead,
    statements: Statements,
}

/// What the first token promises; enough to skip [`super::command`] for the common ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// no token
    #[default]
    Empty,
    /// SELECT, VALUES, TABLE, WITH, `(`: literals are lifted; `set_config` doesn't occur
    Query,
    /// INSERT, UPDATE, DELETE, MERGE: literals are lifted
    Write,
    /// anything else, and whatever mentions `set_config`: ask [`super::command`]
    Other,
}

/// How many statements the text seems to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Statements {
    /// none
    #[default]
    None,
    /// exactly one, perhaps with a `;` behind it
    One,
    /// several, or one with `BEGIN ATOMIC`: ask [`super::split`], shape each by itself
    Several,
}

impl Shape {
    /// Normal form; equal bytes mean equal shape. Contains no literal that was lifted.
    pub fn normal(&self) -> &[u8] {
        &self.normal
    }

    /// The lifted literals in the order of the text.
    pub fn literals(&self) -> &[Literal] {
        &self.literals
    }

    /// Hash of the normal form; compare the bytes on a hit.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// What the first token promises.
    pub fn lead(&self) -> Lead {
        self.lead
    }

    /// How many statements the text seems to hold.
    pub fn statements(&self) -> Statements {
        self.statements
    }

    /// Index of the lifted literal whose span begins where `span` begins, or that contains it.
    pub fn literal_at(&self, span: Span) -> Option<usize> {
        self.literals.iter().position(|literal| literal.span.contains(span))
    }
}

/// Reads `text` into `shape`, whose buffers are reused. After an error the shape is empty.
pub fn shape(text: &[u8], lexing: Lexing, shape: &mut Shape) -> Result<(), ScanError> {
    let _ = (text, lexing);
    shape.normal.clear();
    shape.literals.clear();
    shape.hash = 0;
    shape.lead = Lead::Empty;
    shape.statements = Statements::None;
    Ok(())
}
