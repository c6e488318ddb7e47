//! From tokens to a [`Command`].
//!
//! Why by our own tokens and not by the SQL parser: the parser fails on PREPARE TRANSACTION, COMMIT PREPARED, MOVE and
//! others, and a control statement sent to the wrong place loses data (`sessions.md` 6).
//!
//! Holds: a control statement is read to its last token; one with anything left over is `Unknown`, never taken for the
//! statement that its first tokens look like. Grammar: `gram.y` of Postgres 15.

use super::command::{
    Begin, BeginWord, Chain, Characteristics, Command, ConstantOrParameter, Cursor, CursorForm, CursorHold, Ddl,
    DeallocateTarget, Declare, Discard, Execute, Explain, ExplainFormat, ExplainKind, Fetch, FetchWord, Isolation,
    Maintenance, Motion, Prepare, Savepoint, SetConfig, Temporary, Unknown, Word,
};
use super::error::ScanError;
use super::identifier::name_of;
use super::keyword::{is_no_name, is_type_or_function};
use super::lexing::{Lexing, Span};
use super::literal;
use super::recognise_copy;
use super::recognise_set;
use super::scan::{Token, TokenKind, parameter_number, scan};

/// What the statement in `text` is (exactly one; `;` around it are allowed).
pub fn command(text: &[u8], lexing: Lexing) -> Result<Command, ScanError> {
    let mut tokens = scan(text, lexing)?;
    while tokens.last().is_some_and(|t| t.kind == TokenKind::Punctuation(b';')) {
        tokens.pop();
    }
    let from = tokens
        .iter()
        .take_while(|t| t.kind == TokenKind::Punctuation(b';'))
        .count();
    let mut reader = Reader {
        text,
        lexing,
        tokens: &tokens,
        at: from,
    };
    if reader.is_done() {
        return Ok(Command::Empty);
    }
    let first = Word(reader.word_here().to_ascii_uppercase());
    Ok(match statement(&mut reader) {
        Some(command) => command,
        None => Command::Unknown(Unknown {
            word: first,
            reason: "the statement is not understood to its end",
            at: reader.span_here(),
        }),
    })
}

/// `None`: not understood from where the reader stands.
fn statement(r: &mut Reader<'_>) -> Option<Command> {
    let start = r.at;
    if r.punctuation_here(b'(') {
        return Some(Command::Query);
    }
    let word = r.next_word()?;
    let command = match word.as_str() {
        "begin" => {
            r.any(&["work", "transaction"]);
            begin(r, BeginWord::Begin)?
        }
        "start" => {
            r.word("transaction")?;
            begin(r, BeginWord::StartTransaction)?
        }
        "commit" | "end" => match word == "commit" && r.eat("prepared") {
            true => Command::CommitPrepared(r.string()?),
            false => {
                r.any(&["work", "transaction"]);
                Command::Commit(chain(r)?)
            }
        },
        "rollback" | "abort" => rollback(r, &word)?,
        "savepoint" => Command::Savepoint(Savepoint::Define(r.name()?)),
        "release" => Command::Savepoint(Savepoint::Release(savepoint_name(r)?)),
        "set" => recognise_set::set(r)?,
        "reset" => Command::Reset(recognise_set::reset(r)?),
        "show" => Command::Show(recognise_set::show(r)?),
        "discard" => Command::Discard(discard(r)?),
        "prepare" => prepare(r)?,
        "execute" => Command::Execute(execute(r)?),
        "deallocate" => Command::Deallocate(deallocate(r)?),
        "declare" => Command::Declare(declare(r)?),
        "fetch" => Command::Fetch(fetch(r, FetchWord::Fetch)?),
        "move" => Command::Fetch(fetch(r, FetchWord::Move)?),
        "close" => Command::Close(match r.eat("all") {
            true => Cursor::All,
            false => {
                let span = r.span_here();
                Cursor::Name { name: r.name()?, span }
            }
        }),
        "listen" => Command::Listen(r.name()?),
        "unlisten" => Command::Unlisten(match r.eat_operator(b"*") {
            true => None,
            false => Some(r.name()?),
        }),
        "notify" => {
            let channel = r.name()?;
            if r.eat_punctuation(b',') {
                r.string()?;
            }
            Command::Notify(channel)
        }
        "copy" => Command::Copy(recognise_copy::copy(r)?),
        "explain" => explain(r)?,
        "select" => {
            r.at = start;
            let set_config = set_config(r).filter(|_| r.is_done());
            r.finish();
            set_config.unwrap_or(Command::Query)
        }
        // what follows needs no reading to the end: the planner or a server does that
        "values" | "table" => r.rest(Command::Query),
        "with" => {
            let main = main_of_with(r)?;
            r.rest(main)
        }
        "insert" => r.rest(Command::Insert),
        "update" => r.rest(Command::Update),
        "delete" => r.rest(Command::Delete),
        "merge" => r.rest(Command::Merge),
        "lock" => r.rest(Command::Lock),
        "call" => r.rest(Command::Call),
        "do" => r.rest(Command::Do),
        "load" => r.rest(Command::Load),
        "truncate" => r.rest(Command::Truncate),
        "vacuum" => r.rest(Command::Maintenance(Maintenance::Vacuum)),
        "analyze" | "analyse" => r.rest(Command::Maintenance(Maintenance::Analyze)),
        "cluster" => r.rest(Command::Maintenance(Maintenance::Cluster)),
        "reindex" => r.rest(Command::Maintenance(Maintenance::Reindex)),
        "checkpoint" => Command::Maintenance(Maintenance::Checkpoint),
        "refresh" => r.rest(Command::Maintenance(Maintenance::Refresh)),
        "create" | "alter" | "drop" | "grant" | "revoke" | "comment" | "security" | "import" | "reassign" => {
            let ddl = ddl(r, &word);
            r.rest(Command::Ddl(ddl))
        }
        _ => {
            r.at = start;
            return None;
        }
    };
    r.is_done().then_some(command)
}

// === transaction control ===

fn begin(r: &mut Reader<'_>, word: BeginWord) -> Option<Command> {
    let characteristics = characteristics(r, AtLeast::None)?;
    Some(Command::Begin(Begin { word, characteristics }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtLeast {
    None,
    One,
}

/// `transaction_mode_list`: separated by commas or by nothing.
pub(super) fn characteristics(r: &mut Reader<'_>, at_least: AtLeast) -> Option<Characteristics> {
    let mut found = Characteristics::default();
    let mut needed = at_least == AtLeast::One;
    while needed || !r.is_done() {
        if r.eat("isolation") {
            r.word("level")?;
            found.isolation = Some(isolation(r)?);
        } else if r.eat("read") {
            found.read_only = Some(match r.eat("only") {
                true => true,
                false => {
                    r.word("write")?;
                    false
                }
            });
        } else if r.eat("deferrable") {
            found.deferrable = Some(true);
        } else if r.eat("not") {
            r.word("deferrable")?;
            found.deferrable = Some(false);
        } else {
            return None;
        }
        needed = r.eat_punctuation(b',');
    }
    Some(found)
}

fn isolation(r: &mut Reader<'_>) -> Option<Isolation> {
    if r.eat("serializable") {
        return Some(Isolation::Serializable);
    }
    if r.eat("repeatable") {
        r.word("read")?;
        return Some(Isolation::RepeatableRead);
    }
    r.word("read")?;
    if r.eat("committed") {
        return Some(Isolation::ReadCommitted);
    }
    r.word("uncommitted")?;
    Some(Isolation::ReadUncommitted)
}

fn chain(r: &mut Reader<'_>) -> Option<Chain> {
    if !r.eat("and") {
        return Some(Chain::No);
    }
    let chain = if r.eat("no") { Chain::No } else { Chain::Yes };
    r.word("chain")?;
    Some(chain)
}

fn rollback(r: &mut Reader<'_>, word: &str) -> Option<Command> {
    let is_rollback = word == "rollback";
    if is_rollback && r.eat("prepared") {
        return Some(Command::RollbackPrepared(r.string()?));
    }
    r.any(&["work", "transaction"]);
    if is_rollback && r.eat("to") {
        return Some(Command::Savepoint(Savepoint::RollbackTo(savepoint_name(r)?)));
    }
    Some(Command::Rollback(chain(r)?))
}

/// `[SAVEPOINT] name`, where the name may itself be `savepoint`.
fn savepoint_name(r: &mut Reader<'_>) -> Option<String> {
    if r.word_here() == "savepoint" && !r.is_last() {
        r.eat("savepoint");
    }
    r.name()
}

// === session ===

fn discard(r: &mut Reader<'_>) -> Option<Discard> {
    match r.next_word()?.as_str() {
        "all" => Some(Discard::All),
        "plans" => Some(Discard::Plans),
        "sequences" => Some(Discard::Sequences),
        "temp" | "temporary" => Some(Discard::Temp),
        _ => None,
    }
}

fn prepare(r: &mut Reader<'_>) -> Option<Command> {
    if r.word_here() == "transaction" && r.string_at(r.at + 1) {
        r.eat("transaction");
        return Some(Command::PrepareTransaction(r.string()?));
    }
    let name_span = r.span_here();
    let name = r.name()?;
    let types = match r.punctuation_here(b'(') {
        true => r.parenthesised_list()?,
        false => Vec::new(),
    };
    r.word("as")?;
    r.starts(PREPARABLE)?;
    let body = r.rest_span()?;
    Some(r.rest(Command::Prepare(Prepare {
        name,
        name_span,
        types,
        body,
    })))
}

/// What may follow PREPARE … AS; `(` besides.
const PREPARABLE: &[&str] = &[
    "select", "values", "table", "with", "insert", "update", "delete", "merge",
];
/// What may follow DECLARE … FOR.
const SELECTABLE: &[&str] = &["select", "values", "table", "with"];
/// What may follow EXPLAIN.
const EXPLAINABLE: &[&str] = &[
    "select", "values", "table", "with", "insert", "update", "delete", "merge", "declare", "create", "refresh",
    "execute",
];

fn execute(r: &mut Reader<'_>) -> Option<Execute> {
    let name_span = r.span_here();
    let name = r.name()?;
    let arguments = match r.punctuation_here(b'(') {
        true => r.parenthesised_list()?,
        false => Vec::new(),
    };
    Some(Execute {
        name,
        name_span,
        arguments,
    })
}

fn deallocate(r: &mut Reader<'_>) -> Option<DeallocateTarget> {
    if r.word_here() == "prepare" && !r.is_last() {
        r.eat("prepare");
    }
    if r.eat("all") {
        return Some(DeallocateTarget::All);
    }
    let span = r.span_here();
    Some(DeallocateTarget::Name { name: r.name()?, span })
}

fn declare(r: &mut Reader<'_>) -> Option<Declare> {
    let name = r.name()?;
    let mut form = CursorForm::Plain;
    loop {
        if r.eat("no") {
            r.word("scroll")?;
        } else if r.eat("scroll") || r.eat("binary") {
            form = CursorForm::Other;
        } else if !(r.eat("asensitive") || r.eat("insensitive")) {
            break;
        }
    }
    r.word("cursor")?;
    let hold = match (r.eat("with"), r.eat("without")) {
        (false, false) => CursorHold::Without,
        (with, _) => {
            r.word("hold")?;
            if with { CursorHold::With } else { CursorHold::Without }
        }
    };
    r.word("for")?;
    r.starts(SELECTABLE)?;
    let body = r.rest_span()?;
    r.finish();
    Some(Declare { name, hold, form, body })
}

/// The cursor's name is the last token; what stands before is a direction, a count, FROM or IN.
fn fetch(r: &mut Reader<'_>, word: FetchWord) -> Option<Fetch> {
    const BEFORE: &[&str] = &[
        "from", "in", "next", "prior", "first", "last", "absolute", "relative", "all", "forward", "backward",
    ];
    let (mut words, mut count, mut signs) = (Vec::new(), None, 0usize);
    while !r.is_last() {
        let signed = r.eat_operator(b"-") || r.eat_operator(b"+");
        signs += usize::from(signed);
        let word = r.word_here();
        if r.kind_here() == Some(TokenKind::Integer) {
            count = r.take_text();
        } else if signed || !r.any(BEFORE) {
            return None;
        } else if word != "from" && word != "in" {
            words.push(word);
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let motion = match (words.as_slice(), count, signs) {
        ([] | ["next"] | ["forward"], None, 0) => Motion::Forward(1),
        ([] | ["forward"], Some(count), 0) => match count.parse() {
            Ok(0) | Err(_) => Motion::Other,
            Ok(count) => Motion::Forward(count),
        },
        (["all"] | ["forward", "all"], None, 0) => Motion::All,
        _ => Motion::Other,
    };
    let name_span = r.span_here();
    Some(Fetch {
        word,
        motion,
        name: r.name()?,
        name_span,
    })
}

// === EXPLAIN ===

fn explain(r: &mut Reader<'_>) -> Option<Command> {
    let (mut kind, mut format) = (ExplainKind::Plain, ExplainFormat::Text);
    let options = r.punctuation_here(b'(')
        && !matches!(r.word_at(r.at + 1).as_str(), "select" | "values" | "with" | "table")
        && r.kind_at(r.at + 1) != Some(TokenKind::Punctuation(b'('));
    if options {
        (kind, format) = explain_options(r)?;
    } else {
        if r.any(&["analyze", "analyse"]) {
            kind = ExplainKind::Analyze;
        }
        r.eat("verbose");
    }
    r.starts(EXPLAINABLE)?;
    let body = r.rest_span()?;
    Some(r.rest(Command::Explain(Explain { kind, format, body })))
}

fn explain_options(r: &mut Reader<'_>) -> Option<(ExplainKind, ExplainFormat)> {
    let (mut kind, mut format) = (ExplainKind::Plain, ExplainFormat::Text);
    let mut count = 0usize;
    let mut route = 0usize;
    r.eat_punctuation(b'(');
    loop {
        let option = r.next_word()?;
        count += 1;
        let value = match r.kind_here()? {
            TokenKind::Punctuation(b',' | b')') => None,
            TokenKind::Word => Some(r.next_word()?),
            TokenKind::Integer => Some(r.take_text()?),
            _ => Some(r.string()?),
        };
        match option.as_str() {
            "route" if value.is_none() => route += 1,
            "route" => return None,
            "format" => {
                format = match value.as_deref() {
                    Some("json") => ExplainFormat::Json,
                    Some("xml") => ExplainFormat::Xml,
                    Some("yaml") => ExplainFormat::Yaml,
                    // What is no format the server refuses.
                    Some(_) | None => ExplainFormat::Text,
                };
            }
            "analyze" | "analyse" => {
                kind = match value.as_deref() {
                    None => ExplainKind::Analyze,
                    Some(value) => match value.to_ascii_lowercase().as_str() {
                        "true" | "on" | "1" => ExplainKind::Analyze,
                        "false" | "off" | "0" => ExplainKind::Plain,
                        _ => return None,
                    },
                };
            }
            _ => {}
        }
        if r.eat_punctuation(b')') {
            break;
        }
        r.eat_punctuation(b',').then_some(())?;
    }
    match (route, count) {
        (0, _) => Some((kind, format)),
        (1, 1) => Some((ExplainKind::Route, format)),
        _ => None,
    }
}

// === SELECT set_config(…), WITH, DDL ===

/// A list of nothing but `set_config(constant or parameter, …)`, without FROM.
fn set_config(r: &mut Reader<'_>) -> Option<Command> {
    r.word("select")?;
    let mut calls = Vec::new();
    loop {
        if r.eat("pg_catalog") {
            r.eat_punctuation(b'.').then_some(())?;
        }
        let name = r.take_name()?;
        (name == "set_config").then_some(())?;
        r.eat_punctuation(b'(').then_some(())?;
        let name = constant_or_parameter(r)?;
        r.eat_punctuation(b',').then_some(())?;
        let value = constant_or_parameter(r)?;
        r.eat_punctuation(b',').then_some(())?;
        let is_local = constant_or_parameter(r)?;
        r.eat_punctuation(b')').then_some(())?;
        if r.eat("as") {
            r.label()?;
        } else if !r.is_done() && !r.punctuation_here(b',') {
            r.name()?;
        }
        calls.push(SetConfig { name, value, is_local });
        if !r.eat_punctuation(b',') {
            return Some(Command::SetConfig(calls));
        }
    }
}

fn constant_or_parameter(r: &mut Reader<'_>) -> Option<ConstantOrParameter> {
    let value = match r.kind_here()? {
        TokenKind::Parameter => ConstantOrParameter::Parameter(parameter_number(r.take()?.span.of(r.text))?),
        TokenKind::Word => match r.next_word()?.as_str() {
            "null" => ConstantOrParameter::Null,
            word @ ("true" | "false") => ConstantOrParameter::Constant(word.to_owned()),
            _ => return None,
        },
        _ => ConstantOrParameter::Constant(r.string()?),
    };
    if r.kind_here() == Some(TokenKind::Cast) {
        r.at += 1;
        r.any(&["text", "boolean", "bool"]).then_some(())?;
    }
    Some(value)
}

/// The statement behind a WITH list.
fn main_of_with(r: &mut Reader<'_>) -> Option<Command> {
    if r.word_here() == "recursive" && r.word_at(r.at + 1) != "as" {
        r.eat("recursive");
    }
    loop {
        r.name()?;
        if r.punctuation_here(b'(') {
            r.parenthesised()?;
        }
        r.word("as")?;
        r.eat("not");
        r.eat("materialized");
        r.parenthesised()?;
        if matches!(r.word_here().as_str(), "search" | "cycle") {
            return main_behind_search(r);
        }
        if !r.eat_punctuation(b',') {
            return main_here(r);
        }
    }
}

fn main_here(r: &Reader<'_>) -> Option<Command> {
    if r.punctuation_here(b'(') {
        return Some(Command::Query);
    }
    match r.word_here().as_str() {
        "select" | "values" | "table" => Some(Command::Query),
        "insert" => Some(Command::Insert),
        "update" => Some(Command::Update),
        "delete" => Some(Command::Delete),
        "merge" => Some(Command::Merge),
        _ => None,
    }
}

/// Behind SEARCH or CYCLE, whose lists hold column names: only what can't be one counts.
fn main_behind_search(r: &mut Reader<'_>) -> Option<Command> {
    while !r.is_done() {
        let next = r.word_at(r.at + 1);
        let certain = match r.word_here().as_str() {
            "select" | "table" => true,
            "insert" | "merge" => next == "into",
            "delete" => next == "from",
            "values" => r.kind_at(r.at + 1) == Some(TokenKind::Punctuation(b'(')),
            _ => false,
        };
        if certain {
            return main_here(r);
        }
        // another CTE, an UPDATE, a parenthesised query: not worth telling apart
        if r.punctuation_here(b'(') || r.word_here() == "update" {
            return None;
        }
        r.at += 1;
    }
    None
}

fn ddl(r: &Reader<'_>, word: &str) -> Ddl {
    const SKIPPED: &[&str] = &[
        "or",
        "replace",
        "global",
        "local",
        "temp",
        "temporary",
        "unlogged",
        "recursive",
        "unique",
    ];
    const DOUBLE: &[&str] = &[
        "materialized",
        "foreign",
        "event",
        "access",
        "text",
        "operator",
        "default",
        "user",
        "row",
        "large",
    ];
    let is_create = word == "create";
    let mut temporary = Temporary::No;
    let mut at = r.at;
    while is_create && SKIPPED.contains(&r.word_at(at).as_str()) {
        if matches!(r.word_at(at).as_str(), "temp" | "temporary") {
            temporary = Temporary::Yes;
        }
        at += 1;
    }
    let mut object = r.word_at(at).to_ascii_uppercase();
    if DOUBLE.contains(&r.word_at(at).as_str()) && !r.word_at(at + 1).is_empty() {
        object = format!("{object} {}", r.word_at(at + 1).to_ascii_uppercase());
    }
    // CREATE TABLE pg_temp.t, CREATE FUNCTION pg_temp.f(): the name comes within a few words
    const NAME_WITHIN: usize = 8;
    let in_pg_temp = (at..at + NAME_WITHIN).any(|i| {
        r.tokens
            .get(i)
            .and_then(|t| name_of(*t, r.text, r.lexing).ok())
            .is_some_and(|n| n.starts_with("pg_temp"))
            && r.kind_at(i + 1) == Some(TokenKind::Punctuation(b'.'))
    });
    if is_create && in_pg_temp {
        temporary = Temporary::Yes;
    }
    Ddl {
        word: Word(word.to_ascii_uppercase()),
        object,
        temporary,
    }
}

// === Reader ===

/// Walks over tokens. What it reads it consumes; `None` leaves it where understanding ended.
pub(super) struct Reader<'a> {
    text: &'a [u8],
    lexing: Lexing,
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    fn is_last(&self) -> bool {
        self.at + 1 >= self.tokens.len()
    }

    pub(super) fn finish(&mut self) {
        self.at = self.tokens.len();
    }

    fn rest(&mut self, command: Command) -> Command {
        self.finish();
        command
    }

    /// From here to the last token.
    pub(super) fn rest_span(&self) -> Option<Span> {
        Some(Span::new(
            self.tokens.get(self.at)?.span.start,
            self.tokens.last()?.span.end,
        ))
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn span_here(&self) -> Span {
        self.tokens
            .get(self.at)
            .map_or(Span::new(self.text.len(), self.text.len()), |t| t.span)
    }

    pub(super) fn take(&mut self) -> Option<Token> {
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        Some(token)
    }

    pub(super) fn take_text(&mut self) -> Option<String> {
        let token = self.take()?;
        String::from_utf8(token.span.of(self.text).to_vec()).ok()
    }

    pub(super) fn kind_at(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|t| t.kind)
    }

    pub(super) fn kind_here(&self) -> Option<TokenKind> {
        self.kind_at(self.at)
    }

    /// Whether a statement that begins with one of `words`, or a parenthesis, stands here.
    fn starts(&self, words: &[&str]) -> Option<()> {
        (self.punctuation_here(b'(') || words.contains(&self.word_here().as_str())).then_some(())
    }

    /// The unquoted word at `at` in lower case; empty if there is none.
    pub(super) fn word_at(&self, at: usize) -> String {
        match self.tokens.get(at) {
            Some(token) if token.kind == TokenKind::Word => {
                String::from_utf8_lossy(token.span.of(self.text)).to_ascii_lowercase()
            }
            Some(_) | None => String::new(),
        }
    }

    pub(super) fn word_here(&self) -> String {
        self.word_at(self.at)
    }

    pub(super) fn next_word(&mut self) -> Option<String> {
        let word = self.word_here();
        (!word.is_empty()).then(|| {
            self.at += 1;
            word
        })
    }

    pub(super) fn eat(&mut self, word: &str) -> bool {
        let eaten = self.word_here() == word;
        self.at += usize::from(eaten);
        eaten
    }

    pub(super) fn any(&mut self, words: &[&str]) -> bool {
        let eaten = words.contains(&self.word_here().as_str());
        self.at += usize::from(eaten);
        eaten
    }

    pub(super) fn word(&mut self, word: &str) -> Option<()> {
        self.eat(word).then_some(())
    }

    pub(super) fn punctuation_here(&self, byte: u8) -> bool {
        self.kind_here() == Some(TokenKind::Punctuation(byte))
    }

    pub(super) fn eat_punctuation(&mut self, byte: u8) -> bool {
        let eaten = self.punctuation_here(byte);
        self.at += usize::from(eaten);
        eaten
    }

    pub(super) fn operator_at(&self, at: usize, operator: &[u8]) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|t| t.kind == TokenKind::Operator && t.span.of(self.text) == operator)
    }

    pub(super) fn eat_operator(&mut self, operator: &[u8]) -> bool {
        let eaten = self.operator_at(self.at, operator);
        self.at += usize::from(eaten);
        eaten
    }

    /// Whether a string constant (`Sconst`) stands at `at`.
    pub(super) fn string_at(&self, at: usize) -> bool {
        matches!(
            self.kind_at(at),
            Some(TokenKind::String | TokenKind::EscapeString | TokenKind::UnicodeString | TokenKind::DollarString)
        )
    }

    pub(super) fn string(&mut self) -> Option<String> {
        if !self.string_at(self.at) {
            return None;
        }
        let token = *self.tokens.get(self.at)?;
        let value = literal::decode(token, self.text, self.lexing).ok()?.into_owned();
        let value = String::from_utf8(value).ok()?;
        self.at += 1;
        Some(value)
    }

    /// Any word or identifier (`ColLabel`).
    pub(super) fn label(&mut self) -> Option<String> {
        self.take_name()
    }

    fn take_name(&mut self) -> Option<String> {
        let token = *self.tokens.get(self.at)?;
        match token.kind {
            TokenKind::Word | TokenKind::QuotedIdentifier | TokenKind::UnicodeIdentifier => {}
            _ => return None,
        }
        let name = name_of(token, self.text, self.lexing).ok()?;
        self.at += 1;
        Some(name)
    }

    /// A name (`ColId`): no reserved word unless quoted.
    pub(super) fn name(&mut self) -> Option<String> {
        if is_no_name(&self.word_here()) {
            return None;
        }
        self.take_name()
    }

    /// `NonReservedWord`, or one of `also`.
    pub(super) fn non_reserved(&mut self, also: &[&str]) -> Option<String> {
        let word = self.word_here();
        if is_no_name(&word) && !is_type_or_function(&word) && !also.contains(&word.as_str()) {
            return None;
        }
        self.take_name()
    }

    /// From `(` over its partner; the span between them.
    pub(super) fn parenthesised(&mut self) -> Option<Span> {
        let start = self.span_here().end;
        self.eat_punctuation(b'(').then_some(())?;
        let mut depth = 1usize;
        loop {
            let token = self.take()?;
            match token.kind {
                TokenKind::Punctuation(b'(') => depth += 1,
                TokenKind::Punctuation(b')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(Span::new(start, token.span.start));
            }
        }
    }

    /// The elements of a parenthesised list of at least one, split at its own commas.
    fn parenthesised_list(&mut self) -> Option<Vec<Span>> {
        self.eat_punctuation(b'(').then_some(())?;
        let mut found = Vec::new();
        let mut current: Option<Span> = None;
        let mut depth = 0usize;
        loop {
            let token = self.take()?;
            match token.kind {
                TokenKind::Punctuation(b')') if depth == 0 => {
                    found.push(current?);
                    return Some(found);
                }
                TokenKind::Punctuation(b',') if depth == 0 => {
                    found.push(current.take()?);
                    continue;
                }
                TokenKind::Punctuation(b'(' | b'[') => depth += 1,
                TokenKind::Punctuation(b')' | b']') => depth = depth.checked_sub(1)?,
                _ => {}
            }
            current = Some(Span::new(current.map_or(token.span.start, |s| s.start), token.span.end));
        }
    }

    pub(super) fn name_list(&mut self) -> Option<Vec<String>> {
        self.eat_punctuation(b'(').then_some(())?;
        let mut found = vec![self.name()?];
        while self.eat_punctuation(b',') {
            found.push(self.name()?);
        }
        self.eat_punctuation(b')').then_some(found)
    }
}

#[cfg(test)]
#[path = "recognise_tests.rs"]
mod tests;
