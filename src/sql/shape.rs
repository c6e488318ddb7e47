//! A statement's shape: its text with white space and comments collapsed, identifiers folded, literals lifted out.
//!
//! Why: a repeated shape is planned once. It is read for every statement, so it is one pass into reused buffers (about ten
//! tokens in 0.1 µs); the obvious twin in the tests says the same slowly.
//!
//! The normal form: tokens as written, words in lower case, one blank between two of them, a final `;` dropped. A lifted
//! literal is `$i` int4, `$l` int8, `$n` numeric, `$s` string of any spelling, `$c` national, `$b` bit, `$x` hexadecimal: no
//! token of Postgres looks like that, and equal normal forms mean equal tokens up to the values lifted.
//!
//! Not lifted, since they say more than a value: everything in ORDER BY, GROUP BY, DISTINCT ON, LIMIT, OFFSET and FETCH
//! (ordinals, row counts); numbers directly in the parentheses of a type (`numeric(10,2)`); 2147483648 and
//! 9223372036854775808, whose type depends on a minus before them; every literal of a statement that isn't SELECT, VALUES,
//! TABLE, WITH, INSERT, UPDATE, DELETE or MERGE. When in doubt a literal stays: that costs a plan, not an answer. A sign is
//! an operator, never part of a literal; an IN list keeps its count.

use super::error::ScanError;
use super::lexing::{Encoding, Lexing, Span, StandardStrings};
use super::literal::{Literal, LiteralClass, class_of};
use super::scan::{TokenKind, tokens};

/// Reused by one session from statement to statement: warm, it doesn't allocate.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    normal: Vec<u8>,
    literals: Vec<Literal>,
    levels: Vec<Keep>,
    hash: u64,
    lead: Lead,
    statements: Statements,
    template: Template,
}

/// The text that was read last, to know the next one by if only numbers and plain strings differ.
#[derive(Clone, Debug, Default)]
struct Template {
    text: Vec<u8>,
    /// of the lifted literals
    spans: Vec<Span>,
    /// where they stand in the text at hand
    found: Vec<Span>,
    /// `None`: there is no template
    lexing: Option<Lexing>,
}

/// A longer text is no template: what reading it costs is small beside running it.
const TEMPLATE_BYTES_MAX: usize = 2 * 1024;

/// What the first token promises; enough to skip [`super::command`] for the common ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lead {
    /// no token
    #[default]
    Empty,
    /// SELECT, VALUES, TABLE, WITH, `(`: literals are lifted; `set_config` doesn't occur. (A WITH may write.)
    Query,
    /// INSERT, UPDATE, DELETE, MERGE: literals are lifted; `set_config` doesn't occur
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
    /// several, or one with `;` inside: ask [`super::split`] and shape each by itself; the shape is empty
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

    /// Index of the lifted literal that holds `span`; `None` if none does (it was not lifted).
    pub fn literal_at(&self, span: Span) -> Option<usize> {
        let behind = self
            .literals
            .partition_point(|literal| literal.span.start <= span.start);
        let index = behind.checked_sub(1)?;
        self.literals.get(index)?.span.contains(span).then_some(index)
    }

    /// Takes over a text that differs from the one read last in lifted numbers and plain strings alone; whether it does.
    /// Nothing changes if it doesn't. It costs a comparison of the bytes, where reading costs a pass over tokens.
    pub fn read_again(&mut self, text: &[u8], lexing: Lexing) -> bool {
        if !self.template.matches(text, lexing) {
            return false;
        }
        for (literal, span) in self.literals.iter_mut().zip(&self.template.found) {
            literal.span = *span;
        }
        true
    }

    fn remember(&mut self, text: &[u8], lexing: Lexing) {
        let alike = |literal: &Literal| is_replaceable(literal.span.of(text), literal.class);
        if self.statements != Statements::One || text.len() > TEMPLATE_BYTES_MAX || !self.literals.iter().all(alike) {
            return;
        }
        self.template.text.extend_from_slice(text);
        self.template
            .spans
            .extend(self.literals.iter().map(|literal| literal.span));
        self.template.lexing = Some(lexing);
    }

    fn clear(&mut self) {
        self.template.text.clear();
        self.template.spans.clear();
        self.template.lexing = None;
        self.normal.clear();
        self.literals.clear();
        self.levels.clear();
        self.hash = 0;
        self.lead = Lead::Empty;
        self.statements = Statements::None;
    }
}

/// A literal in whose place another one of its spelling leaves all else as it was: up to nine digits, or a plain string.
fn is_replaceable(own: &[u8], class: LiteralClass) -> bool {
    match (own, class) {
        ([b'0'..=b'9', ..], LiteralClass::Int4) => own.len() <= DIGITS_MAX && own.iter().all(u8::is_ascii_digit),
        // Neither doubled quotes nor a continuation.
        ([b'\'', inner @ .., b'\''], LiteralClass::String) => !inner.contains(&b'\''),
        _ => false,
    }
}

/// That many digits are an int4, whatever they are.
const DIGITS_MAX: usize = 9;

impl Template {
    fn matches(&mut self, text: &[u8], lexing: Lexing) -> bool {
        if self.lexing != Some(lexing) || lexing.encoding == Encoding::Unsafe {
            return false;
        }
        self.found.clear();
        let (mut old_at, mut at) = (0, 0);
        for span in &self.spans {
            let between = self.text.get(old_at..span.start).unwrap_or_default();
            let rest = text.get(at..).unwrap_or_default();
            let Some(rest) = rest.strip_prefix(between) else {
                return false;
            };
            let Some(length) = literal_like(span.of(&self.text), rest, lexing) else {
                return false;
            };
            let start = at.saturating_add(between.len());
            at = start.saturating_add(length);
            old_at = span.end;
            self.found.push(Span::new(start, at));
        }
        self.text.get(old_at..) == text.get(at..)
    }
}

/// Length of the literal that `text` begins with, if it is spelt like `old` and plainly ends.
fn literal_like(old: &[u8], text: &[u8], lexing: Lexing) -> Option<usize> {
    let length = match old.first()? {
        b'\'' => {
            let inner = text.strip_prefix(b"'")?;
            let length = inner.iter().position(|byte| *byte == b'\'')?;
            let inner = inner.get(..length)?;
            let escapes = lexing.strings == StandardStrings::Off && inner.contains(&b'\\');
            if escapes || inner.contains(&0) {
                return None;
            }
            length.checked_add(2)?
        }
        _ => {
            let length = text
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(text.len());
            (1..=DIGITS_MAX).contains(&length).then_some(length)?
        }
    };
    match text.get(length) {
        None | Some(b' ' | b',' | b')' | b';' | b'\n') => Some(length),
        Some(_) => None,
    }
}

/// Reads `text` into `shape`, whose buffers are reused. After an error the shape is empty.
pub fn shape(text: &[u8], lexing: Lexing, shape: &mut Shape) -> Result<(), ScanError> {
    if shape.read_again(text, lexing) {
        return Ok(());
    }
    shape.clear();
    match fill(text, lexing, shape) {
        Ok(Statements::Several) => {
            shape.clear();
            shape.statements = Statements::Several;
            Ok(())
        }
        Ok(statements) => {
            shape.statements = statements;
            shape.hash = hash_bytes(&shape.normal);
            shape.remember(text, lexing);
            Ok(())
        }
        Err(error) => {
            shape.clear();
            Err(error)
        }
    }
}

fn fill(text: &[u8], lexing: Lexing, shape: &mut Shape) -> Result<Statements, ScanError> {
    let mut statements = Statements::None;
    let mut context = Context::default();
    let mut ended = Ended::No;
    shape.normal.reserve(text.len() + text.len() / 2 + 8);
    for token in tokens(text, lexing) {
        let token = token?;
        if token.kind == TokenKind::Punctuation(b';') {
            if statements == Statements::One {
                ended = Ended::Yes;
            }
            continue;
        }
        if ended == Ended::Yes {
            return Ok(Statements::Several);
        }
        let own = token.span.of(text);
        if statements == Statements::None {
            statements = Statements::One;
        } else {
            shape.normal.push(b' ');
        }
        match token.kind {
            TokenKind::Word => {
                let from = shape.normal.len();
                shape.normal.extend_from_slice(own);
                let word = shape.normal.get_mut(from..).unwrap_or_default();
                word.make_ascii_lowercase();
                let role = role_of(word);
                if shape.lead == Lead::Empty {
                    shape.lead = lead_of(word);
                }
                if role == Role::SetConfig {
                    context.calls_set_config = true;
                }
                context.word(role);
            }
            TokenKind::Integer
            | TokenKind::Decimal
            | TokenKind::String
            | TokenKind::EscapeString
            | TokenKind::UnicodeString
            | TokenKind::DollarString
            | TokenKind::NationalString
            | TokenKind::BitString
            | TokenKind::HexString => {
                match class_of(token.kind, own) {
                    Some(class) if shape.lead != Lead::Other && context.lifts(class, own) => {
                        shape.literals.push(Literal {
                            span: token.span,
                            class,
                        });
                        shape.normal.extend_from_slice(placeholder(class));
                    }
                    Some(_) | None => shape.normal.extend_from_slice(own),
                }
                context.other(Previous::Different);
            }
            TokenKind::Punctuation(byte) => {
                shape.normal.push(byte);
                match byte {
                    b'(' => context.open(&mut shape.levels),
                    b')' => context.close(&mut shape.levels),
                    b',' => context.other(Previous::Comma),
                    b'.' => context.other(Previous::Dot),
                    _ => context.other(Previous::Different),
                }
            }
            TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => {
                shape.normal.extend_from_slice(own);
                if token.kind == TokenKind::UnicodeIdentifier || own == b"\"set_config\"" {
                    context.calls_set_config = true;
                }
                context.word(Role::Name);
            }
            TokenKind::Cast => {
                shape.normal.extend_from_slice(own);
                context.other(Previous::TypeComes);
            }
            TokenKind::Operator => {
                shape.normal.extend_from_slice(own);
                context.other(match own {
                    b"-" | b"+" => Previous::Sign,
                    _ => Previous::Different,
                });
            }
            TokenKind::Parameter | TokenKind::DotDot | TokenKind::ColonEquals | TokenKind::EqualsGreater => {
                shape.normal.extend_from_slice(own);
                context.other(Previous::Different);
            }
            TokenKind::Other(byte) => {
                shape.normal.extend_from_slice(&[OTHER, byte]);
                context.other(Previous::Different);
            }
        }
        if shape.lead == Lead::Empty && token.kind != TokenKind::Punctuation(b'(') {
            shape.lead = Lead::Other;
        }
    }
    if context.calls_set_config {
        shape.lead = Lead::Other;
    }
    Ok(statements)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Yes,
    No,
}

/// Stands before a byte that no rule of the lexer takes; itself such a byte.
const OTHER: u8 = 0x1f;

fn placeholder(class: LiteralClass) -> &'static [u8] {
    match class {
        LiteralClass::Int4 => b"$i",
        LiteralClass::Int8 => b"$l",
        LiteralClass::Numeric => b"$n",
        LiteralClass::String => b"$s",
        LiteralClass::National => b"$c",
        LiteralClass::Bit => b"$b",
        LiteralClass::Hex => b"$x",
    }
}

#[inline]
fn lead_of(word: &[u8]) -> Lead {
    match word {
        b"select" | b"values" | b"table" | b"with" => Lead::Query,
        b"insert" | b"update" | b"delete" | b"merge" => Lead::Write,
        _ => Lead::Other,
    }
}

// === which literals stay ===

/// What keeps literals of one parenthesis level in the shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keep {
    #[default]
    Nothing,
    /// ORDER BY and its kin: everything
    All,
    /// parentheses of a type: numbers that stand alone
    Typmod,
}

/// Where the type of a `name (` is decided, and what the last tokens were.
#[derive(Default)]
struct Context {
    keep: Keep,
    previous: Previous,
    before: Previous,
    calls_set_config: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Previous {
    #[default]
    Different,
    Word(Role),
    /// `::`
    TypeComes,
    /// a name behind `::` or AS: its parentheses hold a typmod
    Type,
    /// a point within such a name
    TypeDot,
    Open,
    Comma,
    Dot,
    Sign,
}

impl Context {
    #[inline]
    fn step(&mut self, now: Previous) {
        self.before = self.previous;
        self.previous = now;
    }

    #[inline]
    fn word(&mut self, role: Role) {
        let now = match self.previous {
            Previous::TypeComes | Previous::TypeDot | Previous::Word(Role::As) => Previous::Type,
            // a label: any keyword may stand here and means nothing
            Previous::Dot => Previous::Word(if role == Role::TypeName { role } else { Role::Name }),
            Previous::Word(_)
            | Previous::Type
            | Previous::Different
            | Previous::Open
            | Previous::Comma
            | Previous::Sign => {
                match (role, self.previous) {
                    (Role::By, Previous::Word(Role::OrderOrGroup)) | (Role::Limit, _) => self.keep = Keep::All,
                    (Role::On, Previous::Word(Role::Distinct)) => {}
                    (Role::EndsList | Role::On, _) => self.keep = Keep::Nothing,
                    _ => {}
                }
                Previous::Word(role)
            }
        };
        self.step(now);
    }

    #[inline]
    fn other(&mut self, now: Previous) {
        let now = match (self.previous, now) {
            (Previous::Type, Previous::Dot) => Previous::TypeDot,
            _ => now,
        };
        self.step(now);
    }

    fn open(&mut self, levels: &mut Vec<Keep>) {
        let within = match (self.keep, self.previous, self.before) {
            (Keep::All, _, _) => Keep::All,
            (_, Previous::Word(Role::On), Previous::Word(Role::Distinct)) => Keep::All,
            (_, Previous::Type | Previous::Word(Role::TypeName), _) => Keep::Typmod,
            // `a vector(3)` of a column list; a reserved word before, or one that takes an expression, is no type
            (_, Previous::Word(Role::Name), Previous::Word(Role::Name | Role::TypeName) | Previous::Type) => {
                Keep::Typmod
            }
            (_, _, _) => Keep::Nothing,
        };
        levels.push(self.keep);
        self.keep = within;
        self.step(Previous::Open);
    }

    fn close(&mut self, levels: &mut Vec<Keep>) {
        self.keep = levels.pop().unwrap_or_default();
        self.step(Previous::Different);
    }

    #[inline]
    fn lifts(&self, class: LiteralClass, own: &[u8]) -> bool {
        let kept = match self.keep {
            Keep::Nothing => false,
            Keep::All => true,
            Keep::Typmod => match class {
                LiteralClass::Int4 | LiteralClass::Int8 | LiteralClass::Numeric => {
                    matches!(self.previous, Previous::Open | Previous::Comma | Previous::Sign)
                }
                LiteralClass::String | LiteralClass::National | LiteralClass::Bit | LiteralClass::Hex => false,
            },
        };
        !kept && !depends_on_sign(class, own)
    }
}

/// `-2147483648` is an int4, `-9223372036854775808` an int8, though their digits alone are not.
#[inline]
fn depends_on_sign(class: LiteralClass, own: &[u8]) -> bool {
    match class {
        LiteralClass::Int8 => own.ends_with(b"2147483648"),
        LiteralClass::Numeric => own.ends_with(b"9223372036854775808"),
        LiteralClass::Int4 | LiteralClass::String | LiteralClass::National | LiteralClass::Bit | LiteralClass::Hex => {
            false
        }
    }
}

/// What a word may mean for the literals behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// a name, as far as we care
    Name,
    /// a built-in type that takes a typmod
    TypeName,
    OrderOrGroup,
    By,
    /// LIMIT, OFFSET, FETCH
    Limit,
    /// a reserved word that ends ORDER BY, GROUP BY or LIMIT at its level
    EndsList,
    Distinct,
    On,
    As,
    SetConfig,
    /// any other word that can't be the name of a column or a type
    Keyword,
}

/// Every word that matters; the rest are names. Two to eleven bytes each.
const WORDS: &[(&[u8], Role)] = &[
    (b"order", Role::OrderOrGroup),
    (b"group", Role::OrderOrGroup),
    (b"by", Role::By),
    (b"limit", Role::Limit),
    (b"offset", Role::Limit),
    (b"fetch", Role::Limit),
    (b"select", Role::EndsList),
    (b"having", Role::EndsList),
    (b"window", Role::EndsList),
    (b"union", Role::EndsList),
    (b"intersect", Role::EndsList),
    (b"except", Role::EndsList),
    (b"for", Role::EndsList),
    (b"returning", Role::EndsList),
    (b"distinct", Role::Distinct),
    (b"on", Role::On),
    (b"as", Role::As),
    (b"set_config", Role::SetConfig),
    (b"numeric", Role::TypeName),
    (b"decimal", Role::TypeName),
    (b"dec", Role::TypeName),
    (b"varchar", Role::TypeName),
    (b"char", Role::TypeName),
    (b"character", Role::TypeName),
    (b"bpchar", Role::TypeName),
    (b"nchar", Role::TypeName),
    (b"bit", Role::TypeName),
    (b"varying", Role::TypeName),
    (b"time", Role::TypeName),
    (b"timestamp", Role::TypeName),
    (b"timestamptz", Role::TypeName),
    (b"timetz", Role::TypeName),
    (b"interval", Role::TypeName),
    (b"float", Role::TypeName),
    (b"values", Role::Keyword),
    (b"in", Role::Keyword),
    (b"and", Role::Keyword),
    (b"or", Role::Keyword),
    (b"not", Role::Keyword),
    (b"any", Role::Keyword),
    (b"all", Role::Keyword),
    (b"some", Role::Keyword),
    (b"array", Role::Keyword),
    (b"row", Role::Keyword),
    (b"case", Role::Keyword),
    (b"when", Role::Keyword),
    (b"then", Role::Keyword),
    (b"else", Role::Keyword),
    (b"end", Role::Keyword),
    (b"is", Role::Keyword),
    (b"like", Role::Keyword),
    (b"ilike", Role::Keyword),
    (b"similar", Role::Keyword),
    (b"between", Role::Keyword),
    (b"using", Role::Keyword),
    (b"exists", Role::Keyword),
    (b"coalesce", Role::Keyword),
    (b"greatest", Role::Keyword),
    (b"least", Role::Keyword),
    (b"nullif", Role::Keyword),
    (b"join", Role::Keyword),
    (b"lateral", Role::Keyword),
    (b"into", Role::Keyword),
    (b"with", Role::Keyword),
    (b"cross", Role::Keyword),
    (b"left", Role::Keyword),
    (b"right", Role::Keyword),
    (b"inner", Role::Keyword),
    (b"outer", Role::Keyword),
    (b"full", Role::Keyword),
    (b"natural", Role::Keyword),
    (b"over", Role::Keyword),
    (b"filter", Role::Keyword),
    (b"from", Role::Keyword),
    (b"where", Role::Keyword),
    (b"set", Role::Keyword),
    (b"collate", Role::Keyword),
    (b"conflict", Role::Keyword),
    (b"do", Role::Keyword),
    (b"default", Role::Keyword),
    (b"symmetric", Role::Keyword),
    (b"asc", Role::Keyword),
    (b"desc", Role::Keyword),
    (b"only", Role::Keyword),
    (b"unique", Role::Keyword),
];

/// Looks a word up: a hash table that the compiler fills, since this runs for every word of every statement.
#[inline]
fn role_of(word: &[u8]) -> Role {
    let Some(key) = Key::of(word) else { return Role::Name };
    let mut slot = key.slot();
    loop {
        match ROLES.get(slot) {
            Some(Some((found, role))) if found.same(key) => return *role,
            Some(Some(_)) => slot = (slot + 1) % SLOTS,
            Some(None) | None => return Role::Name,
        }
    }
}

/// A word's first and last bytes, which overlap or meet, and its length: together they are the word.
#[derive(Clone, Copy)]
struct Key {
    first: u64,
    last: u64,
    length: usize,
}

const SLOTS: usize = 256;

static ROLES: [Option<(Key, Role)>; SLOTS] = {
    let mut table = [None; SLOTS];
    let mut i = 0;
    while i < WORDS.len() {
        let (word, role) = WORDS[i];
        if let Some(key) = Key::of(word) {
            let mut slot = key.slot();
            while table[slot].is_some() {
                slot = (slot + 1) % SLOTS;
            }
            table[slot] = Some((key, role));
        }
        i += 1;
    }
    table
};

impl Key {
    /// `None` for a word that is shorter or longer than any of ours.
    #[inline]
    const fn of(word: &[u8]) -> Option<Key> {
        let length = word.len();
        let (first, last) = match length {
            2 | 3 => match (word.first_chunk::<2>(), word.last_chunk::<2>()) {
                (Some(first), Some(last)) => (u16::from_le_bytes(*first) as u64, u16::from_le_bytes(*last) as u64),
                _ => return None,
            },
            4..8 => match (word.first_chunk::<4>(), word.last_chunk::<4>()) {
                (Some(first), Some(last)) => (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64),
                _ => return None,
            },
            8..=16 => match (word.first_chunk::<8>(), word.last_chunk::<8>()) {
                (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
                _ => return None,
            },
            _ => return None,
        };
        Some(Key { first, last, length })
    }

    #[inline]
    const fn slot(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as usize
    }

    #[inline]
    fn same(self, other: Key) -> bool {
        self.first == other.first && self.last == other.last && self.length == other.length
    }
}

// === hash ===

/// 64-bit hash of bytes; not for hostile tables without a comparison of the bytes.
pub(super) fn hash_bytes(bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |hash: u64, word: u64| {
        let wide = u128::from(hash ^ word) * u128::from(K);
        (wide as u64) ^ ((wide >> 64) as u64)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let length = bytes.len() as u64;
    let mut hash = words
        .iter()
        .fold(length ^ K, |hash, word| fold(hash, u64::from_le_bytes(*word)));
    let mut last = [0u8; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    hash = fold(hash, u64::from_le_bytes(last) ^ K.rotate_left(32));
    fold(hash, length)
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
