//! Values of columns that an INSERT leaves out: which each shard may fill in for itself, and which must be one for all.
//!
//! Why by the default's text: the catalog keeps what `pg_get_expr` prints under `search_path = pg_catalog`, so a bare
//! name is Postgres's own and all others are qualified.
//! Holds: a default that isn't understood is refused, never left to the shards.

use crate::catalog::{Catalog, Column, Filling};
use crate::plan::fanout::{Moment, Nature, builtin_nature, is_moment};
use crate::plan::resolve::Resolved;
use crate::plan::{Facts, Refusal, RefusalId, Verdict, refuse};
use crate::sql::{Lexing, Token, TokenKind, scan};
use crate::topology::{FunctionClass, QualifiedName, Topology};

use super::moving;

/// A default that a shard must be given as a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct Supplied {
    /// its text, with moments in their places
    pieces: Vec<Piece>,
}

/// How often a default has a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plan) enum Renewed {
    /// never
    Never,
    /// with each transaction or statement
    ByMoment,
    /// with each row
    ByRow,
}

/// What is known of functions.
#[derive(Clone, Copy)]
pub(in crate::plan) struct Known<'a> {
    /// those that there are
    pub(in crate::plan) catalog: &'a Catalog,
    /// those that are declared
    pub(in crate::plan) topology: &'a Topology,
}

/// What a token of a default is.
enum Found {
    /// nothing that matters
    Other,
    /// a function with a value per row
    PerRow,
    /// a moment, with where its text ends
    Moment(usize, Moment),
}

/// A piece of a default's text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// as it is
    Text(String),
    /// a moment
    Moment(Moment),
}

/// What must be supplied where a row leaves the column to its default; `None`: a shard fills it in as well.
pub(super) fn supplied(known: Known<'_>, table: &str, column: &Column) -> Result<Option<Supplied>, Box<Refusal>> {
    match &column.filling {
        Filling::Nothing | Filling::Generated(_) => Ok(None),
        Filling::Identity { .. } => Err(refuse(RefusalId::InsertSequenceDefault, &[table, &column.name])),
        Filling::Default {
            expression,
            sequence: _,
        } => {
            read(known, expression).map_err(|what| refuse(RefusalId::InsertSplitDefault, &[table, &column.name, &what]))
        }
    }
}

/// How often a default, as the catalog has it, has a new value; the error names what isn't known.
pub(in crate::plan) fn renewed(known: Known<'_>, expression: &str) -> Result<Renewed, String> {
    let (moments, by_row) = judge(known, expression)?;
    match (moments.is_empty(), by_row) {
        (true, false) => Ok(Renewed::Never),
        (false, false) => Ok(Renewed::ByMoment),
        (true, true) => Ok(Renewed::ByRow),
        (false, true) => Err(expression.to_string()),
    }
}

/// Where moments begin and end in a default.
type Moments = Vec<(usize, usize, Moment)>;

/// The moments in a default, and whether it has a value per row.
fn judge(known: Known<'_>, expression: &str) -> Result<(Moments, bool), String> {
    let text = expression.as_bytes();
    let tokens = scan(text, Lexing::default()).map_err(|_| expression.to_string())?;
    let mut moments = Moments::new();
    let mut by_row = false;
    for (index, token) in tokens.iter().enumerate() {
        if moving::is_string(token) && crate::value::says_moment(token.span.of(text)) {
            return Err(expression.to_string());
        }
        match call(known, text, &tokens, index, token)? {
            Found::Other => {}
            Found::PerRow => by_row = true,
            Found::Moment(end, moment) => moments.push((token.span.start, end, moment)),
        }
    }
    Ok((moments, by_row))
}

/// Reads a default; the error names what isn't known to be the same on every shard.
fn read(known: Known<'_>, expression: &str) -> Result<Option<Supplied>, String> {
    let (moments, _) = judge(known, expression)?;
    pieces(moments, expression)
}

/// What of the moment is in a default that a shard fills in for itself: the rest may be anything. The error names what may
/// read the moment out of sight.
pub(in crate::plan) fn timed(catalog: &Catalog, expression: &str) -> Result<Option<Supplied>, String> {
    let text = expression.as_bytes();
    let tokens = scan(text, Lexing::default()).map_err(|_| expression.to_string())?;
    let mut moments = Moments::new();
    for (index, token) in tokens.iter().enumerate() {
        if moving::is_string(token) && crate::value::says_moment(token.span.of(text)) {
            return Err(expression.to_string());
        }
        if !matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdentifier) {
            continue;
        }
        match moment(text, &tokens, index) {
            Some(Ok((moment, end))) => moments.push((token.span.start, end, moment)),
            Some(Err(())) => return Err(expression.to_string()),
            None => {}
        }
        let next = index.checked_add(1).and_then(|next| tokens.get(next));
        let name = String::from_utf8_lossy(token.span.of(text)).into_owned();
        let name = match token.kind {
            TokenKind::QuotedIdentifier => name.trim_matches('"').to_owned(),
            _ => name.to_ascii_lowercase(),
        };
        let called = next.is_some_and(|next| next.kind == TokenKind::Punctuation(b'('));
        if name == "timetz" || (called && (name == "age" || catalog.may_read_moment(&name))) {
            return Err(name);
        }
    }
    pieces(moments, expression)
}

/// A default's text around its moments; `None`: it has none.
fn pieces(moments: Moments, expression: &str) -> Result<Option<Supplied>, String> {
    if moments.is_empty() {
        return Ok(None);
    }
    // The client's session may read a backslash or a byte beyond ASCII otherwise than the catalog's did.
    if !expression.is_ascii() || expression.contains('\\') {
        return Err(expression.to_string());
    }
    let piece = |from: usize, to: usize| expression.get(from..to).map(|text| Piece::Text(text.to_string()));
    let mut pieces = Vec::new();
    let mut at = 0;
    for (start, end, moment) in moments {
        pieces.extend(piece(at, start));
        pieces.push(Piece::Moment(moment));
        at = end;
    }
    pieces.extend(piece(at, expression.len()));
    Ok(Some(Supplied { pieces }))
}

// === impl Supplied ===

impl Supplied {
    /// What must be asked for it.
    pub(in crate::plan) fn questions(&self) -> impl Iterator<Item = &'static str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Moment(moment) => Some(moment.question()),
            Piece::Text(_) => None,
        })
    }

    /// Its text with the moments that are known.
    pub(in crate::plan) fn text(&self, facts: &Facts) -> Result<String, Verdict> {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Moment(moment) => moment.fixed(facts),
        });
        let pieces: Vec<String> = pieces.collect::<Result<_, _>>()?;
        Ok(pieces.concat())
    }
}

// === impl Known ===

impl<'a> Known<'a> {
    /// What a statement's picture knows.
    pub(super) fn of(resolved: &Resolved<'a>) -> Known<'a> {
        Known {
            catalog: resolved.input.catalog,
            topology: resolved.input.topology,
        }
    }
}

/// Judges the name at a token.
fn call(known: Known<'_>, text: &[u8], tokens: &[Token], index: usize, token: &Token) -> Result<Found, String> {
    let mut own = String::from_utf8_lossy(token.span.of(text)).into_owned();
    let ahead = |by: usize| index.checked_add(by).and_then(|at| tokens.get(at));
    let behind = |by: usize| index.checked_sub(by).and_then(|at| tokens.get(at));
    let is = |token: Option<&Token>, byte: u8| token.is_some_and(|t| t.kind == TokenKind::Punctuation(byte));
    let opens = is(ahead(1), b'(');
    match token.kind {
        TokenKind::Word => {}
        // A function whose name is a keyword: `"left"(…)`.
        TokenKind::QuotedIdentifier if opens => own = own.trim_matches('"').to_string(),
        _ => return Ok(Found::Other),
    }
    let folded = own.to_ascii_lowercase();
    if is(behind(1), b'.') {
        return match (opens, behind(2)) {
            (false, _) => Ok(Found::Other),
            (true, Some(schema)) => declared(known, text, schema, &folded),
            (true, None) => Err(own),
        };
    }
    // A type, perhaps with its modifiers.
    if behind(1).is_some_and(|token| token.kind == TokenKind::Cast) {
        return match folded.starts_with("reg") {
            true => Err(own),
            false => Ok(Found::Other),
        };
    }
    match moment(text, tokens, index) {
        Some(Ok((moment, end))) => return Ok(Found::Moment(end, moment)),
        Some(Err(())) => return Err(own),
        None => {}
    }
    match folded.as_str() {
        "current_catalog" | "operator" => return Err(own),
        _ if !opens => return Ok(Found::Other),
        _ => {}
    }
    let hidden = !known.catalog.functions_named(&folded).is_empty();
    match known.catalog.builtin.functions.get(&folded) {
        Some(overloads) if !hidden => match builtin_nature(&folded, overloads) {
            Ok(Nature::Alike) => Ok(Found::Other),
            Ok(Nature::PerRow) => Ok(Found::PerRow),
            Ok(Nature::Moment) | Err(_) => Err(own),
        },
        Some(_) => Err(own),
        // COALESCE, a type's modifiers behind a typed literal, `IN (…)`: grammar, not a function
        None if !hidden => Ok(Found::Other),
        None => Err(own),
    }
}

/// The moment that begins at a token, and where its text ends; an error: it is one, in a form that isn't known.
fn moment(text: &[u8], tokens: &[Token], index: usize) -> Option<Result<(Moment, usize), ()>> {
    let token = tokens.get(index).filter(|token| token.kind == TokenKind::Word)?;
    let end = |last: usize| tokens.get(last).map(|last| last.span.end);
    match Moment::at(text, tokens, index) {
        Some((moment, last)) => Some(Ok((moment, end(last)?))),
        None => is_moment(&String::from_utf8_lossy(token.span.of(text)).to_ascii_lowercase()).then_some(Err(())),
    }
}

/// A function outside pg_catalog must be declared pure, or an extension's with a value per row.
fn declared(known: Known<'_>, text: &[u8], schema: &Token, name: &str) -> Result<Found, String> {
    let schema = String::from_utf8_lossy(schema.span.of(text)).to_ascii_lowercase();
    let shown = format!("{schema}.{name}");
    let pure = known.topology.function(&QualifiedName::new(&schema, name)) == Some(FunctionClass::Pure);
    let overloads = known.catalog.functions_named(name);
    let per_row = name == "uuid_generate_v4" || name == "gen_random_uuid";
    let own_value = per_row && !overloads.is_empty() && overloads.iter().all(|function| function.extension.is_some());
    match (pure, own_value) {
        (true, _) => Ok(Found::Other),
        (false, true) => Ok(Found::PerRow),
        (false, false) => Err(shown),
    }
}
