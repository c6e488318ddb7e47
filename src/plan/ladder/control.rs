//! Step 1, first half: statements told by their first tokens. Those of the session's own (BEGIN, SET, PREPARE …) come here
//! only by mistake and are never sent on a guess.

use crate::plan::ladder::{Around, Case, Everywhere, Literals, Route, Ruling, Texts, copy, objects, words};
use crate::plan::{Access, Kind, RefusalId, Sameness, SessionEffect, Verdict, WriteAnswer, refuse};
use crate::sql::{Command, CursorForm, CursorHold, ExplainKind, TokenKind};
use crate::topology::ShardId;

/// First words of Postgres's grammar. Text that begins with another is a syntax error there, whatever follows.
const FIRST_WORDS: [&str; 53] = [
    "abort",
    "alter",
    "analyse",
    "analyze",
    "begin",
    "call",
    "checkpoint",
    "close",
    "cluster",
    "comment",
    "commit",
    "copy",
    "create",
    "deallocate",
    "declare",
    "delete",
    "discard",
    "do",
    "drop",
    "end",
    "execute",
    "explain",
    "fetch",
    "grant",
    "import",
    "insert",
    "listen",
    "load",
    "lock",
    "merge",
    "move",
    "notify",
    "prepare",
    "reassign",
    "refresh",
    "reindex",
    "release",
    "reset",
    "revoke",
    "rollback",
    "savepoint",
    "security",
    "select",
    "set",
    "show",
    "start",
    "table",
    "truncate",
    "unlisten",
    "update",
    "vacuum",
    "values",
    "with",
];

/// Statements that aren't queries or writes of rows.
pub(super) fn rule(case: &Case<'_>) -> Result<Option<Ruling>, Verdict> {
    let home = case.snapshot.topology().home();
    let to_home = |reason, access, effect| Ruling::fixed(Kind::Home, home, reason, access, effect);
    let refused = |id, names: &[&str]| Ruling::refused(refuse(id, names), home);
    let inner = |span, around, effect| Ruling {
        route: Route::Inner { span, around },
        access: Access::Read,
        effect,
        prepare_on: home,
        literals: Literals::Read,
    };
    let ruling = match case.command {
        Command::Query | Command::Insert | Command::Update | Command::Delete | Command::Merge => return Ok(None),
        Command::Empty => to_home("says nothing", Access::Read, SessionEffect::None),
        Command::Set(_)
        | Command::SetConfig(_)
        | Command::Reset(_)
        | Command::Show(_)
        | Command::SetCharacteristics(_) => to_home("settings", Access::Read, SessionEffect::None),
        Command::Begin(_)
        | Command::Commit(_)
        | Command::Rollback(_)
        | Command::Savepoint(_)
        | Command::PrepareTransaction(_)
        | Command::CommitPrepared(_)
        | Command::RollbackPrepared(_)
        | Command::SetTransaction(_)
        | Command::SetConstraints
        | Command::Discard(_)
        | Command::Unlisten(_)
        | Command::Prepare(_)
        | Command::Execute(_)
        | Command::Deallocate(_)
        | Command::Fetch(_)
        | Command::Close(_) => refused(RefusalId::SessionStatement, &[]),
        Command::Listen(_) => listen(home),
        Command::Notify(_) => to_home("NOTIFY", Access::Write, SessionEffect::None),
        Command::Load => to_home("LOAD", Access::Read, SessionEffect::Pin("LOAD")),
        Command::Declare(declare) => {
            let (form, effect) = match declare.hold {
                CursorHold::With => (CursorForm::Other, SessionEffect::Pin("holdable cursor")),
                CursorHold::Without => (declare.form, SessionEffect::None),
            };
            inner(declare.body, Around::Cursor(form), effect)
        }
        Command::Explain(explain) => match explain.kind {
            ExplainKind::Plain | ExplainKind::Analyze => {
                inner(explain.body, Around::Explain(explain.format), SessionEffect::None)
            }
            ExplainKind::Route => refused(RefusalId::SessionStatement, &[]),
        },
        Command::Copy(statement) => copy::rule(case, statement),
        Command::Call => refused(RefusalId::OpaqueCode, &["CALL"]),
        Command::Do => refused(RefusalId::OpaqueCode, &["DO"]),
        Command::Lock => objects::lock(case),
        Command::Truncate => objects::truncate(case),
        Command::Maintenance(kind) => objects::maintenance(case, *kind),
        Command::Ddl(ddl) => objects::ddl(case, ddl),
        Command::Unknown(unknown) => match first_word(case) {
            Some(word) if FIRST_WORDS.contains(&word.as_str()) => refused(
                RefusalId::StatementUnknown,
                &[&word.to_ascii_uppercase(), unknown.reason],
            ),
            // Postgres's own syntax error.
            Some(_) | None => to_home("no statement begins so", Access::Read, SessionEffect::None),
        },
    };
    Ok(Some(ruling))
}

/// A trigger notifies on the shard of its row, so whoever listens does so on every shard. NOTIFY itself is home's, and
/// comes once.
fn listen(home: ShardId) -> Ruling {
    let everywhere = Everywhere {
        reason: "LISTEN",
        answer: WriteAnswer::Same(Sameness::Tag),
        texts: Texts::AsWritten,
    };
    Ruling {
        route: Route::Everywhere(Box::new(everywhere)),
        access: Access::Read,
        effect: SessionEffect::Pin("LISTEN"),
        prepare_on: home,
        literals: Literals::Read,
    }
}

/// The first token in lower case if it is a word or a parenthesis; `None` for anything else.
fn first_word(case: &Case<'_>) -> Option<String> {
    let token = case.tokens.first()?;
    match token.kind {
        TokenKind::Word => Some(String::from_utf8_lossy(words::word_of(case, token)).to_ascii_lowercase()),
        // A parenthesis begins a query.
        TokenKind::Punctuation(b'(') => Some("select".to_string()),
        _ => None,
    }
}
