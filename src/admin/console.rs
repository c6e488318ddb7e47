//! The console: one statement of the admin database in, an answer out.
//!
//! Why: psql, `shardctl` and drivers all come through here; what a driver sends on its own account (SET, BEGIN, a ping)
//! is answered, everything else gets an error that says where to go.
//! Holds: [`Console::describe`] and [`Console::run`] read a text the same way, so they agree on the columns.

use std::sync::Arc;

use super::answer::{Answer, Column, Table};
use super::commands::{self, Argument, COMMANDS, Command, LATER, Run};
use super::courtesy::{Courtesy, courtesy};
use super::error::AdminError;
use super::sources::{Reloaded, Sources};
use crate::config::nearest;
use crate::sql::{self, Lexing, Token, TokenKind};

/// Runs admin commands over the proxy's sources. Clones share them.
#[derive(Clone)]
pub struct Console {
    sources: Arc<dyn Sources>,
}

/// What a text asks for.
enum Asked<'a> {
    Nothing,
    Command(&'static Command, &'a str),
    Courtesy(Courtesy),
}

// === impl Console ===

impl Console {
    /// A console over these sources.
    pub fn new(sources: Arc<dyn Sources>) -> Console {
        Console { sources }
    }

    /// The columns that [`Self::run`] will answer with, without running anything; `None` for a text without rows.
    pub fn describe(&self, text: &str) -> Result<Option<Vec<Column>>, AdminError> {
        Ok(match read(text)? {
            Asked::Nothing => None,
            Asked::Command(command, _) if command.columns.is_empty() => None,
            Asked::Command(command, _) => Some(command.columns.to_vec()),
            Asked::Courtesy(Courtesy::Done(_)) => None,
            Asked::Courtesy(Courtesy::Value(column, ..)) => Some(vec![column]),
        })
    }

    /// Runs one statement (`sql::split` cuts a text of several); a `;` behind it is allowed.
    pub async fn run(&self, text: &str) -> Result<Answer, AdminError> {
        match read(text)? {
            Asked::Nothing => Ok(Answer::Empty),
            Asked::Courtesy(Courtesy::Done(tag)) => Ok(Answer::Done { tag }),
            Asked::Courtesy(Courtesy::Value(column, value, tag)) => Ok(Answer::Table(Table {
                columns: vec![column],
                rows: vec![vec![Some(value)]],
                tag: tag.to_owned(),
            })),
            Asked::Command(command, argument) => match command.run {
                Run::Act(act) => act(self.sources.as_ref(), argument).await,
                Run::Show(show) => Ok(Answer::Table(Table {
                    columns: command.columns.to_vec(),
                    rows: show(self.sources.as_ref())?,
                    tag: command.tag().to_owned(),
                })),
            },
        }
    }

    /// Reads the configuration again and counts it: what RELOAD does, for SIGHUP.
    pub async fn reload(&self) -> Result<Reloaded, AdminError> {
        commands::reload(self.sources.as_ref()).await
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").finish_non_exhaustive()
    }
}

fn read(text: &str) -> Result<Asked<'_>, AdminError> {
    let tokens =
        sql::scan(text.as_bytes(), Lexing::default()).map_err(|error| AdminError::Unreadable(error.to_string()))?;
    let end = tokens
        .iter()
        .rposition(|token| token.kind != SEMICOLON)
        .map_or(0, |last| last + 1);
    let tokens = tokens.get(..end).unwrap_or_default();
    if tokens.is_empty() {
        return Ok(Asked::Nothing);
    }
    for command in COMMANDS {
        if let Some(rest) = behind(text, tokens, command.words) {
            return argument_of(text, command, rest).map(|argument| Asked::Command(command, argument));
        }
    }
    if let Some(words) = LATER.iter().find(|words| behind(text, tokens, words).is_some()) {
        return Err(AdminError::NotInThisVersion { command: words });
    }
    courtesy(text, tokens)?
        .map(Asked::Courtesy)
        .ok_or_else(|| unknown(text, tokens))
}

const SEMICOLON: TokenKind = TokenKind::Punctuation(b';');

/// The tokens behind a command's words, if the text begins with them.
fn behind<'t>(text: &str, tokens: &'t [Token], words: &str) -> Option<&'t [Token]> {
    let mut rest = tokens;
    for word in words.split(' ') {
        let (first, behind) = rest.split_first()?;
        let is_word =
            first.kind == TokenKind::Word && first.span.of(text.as_bytes()).eq_ignore_ascii_case(word.as_bytes());
        if !is_word {
            return None;
        }
        rest = behind;
    }
    Some(rest)
}

/// The text of a command's argument, as written.
fn argument_of<'a>(text: &'a str, command: &'static Command, rest: &[Token]) -> Result<&'a str, AdminError> {
    let argument = rest
        .first()
        .zip(rest.last())
        .and_then(|(first, last)| text.get(first.span.start..last.span.end));
    let problem = match (command.argument, argument) {
        (Argument::None | Argument::Optional(_), None) => return Ok(""),
        (Argument::Text(_) | Argument::Optional(_), Some(argument)) => return Ok(argument),
        (Argument::None, Some(_)) => "unexpected text",
        (Argument::Text(_), None) => "nothing to work on",
    };
    Err(AdminError::Usage {
        command: command.words,
        problem,
        usage: command.usage(),
    })
}

/// A text that is no command: SQL, or a word that was meant otherwise.
fn unknown(text: &str, tokens: &[Token]) -> AdminError {
    let words: Vec<&str> = tokens
        .iter()
        .take_while(|token| token.kind == TokenKind::Word)
        .take(2)
        .filter_map(|token| text.get(token.span.start..token.span.end))
        .collect();
    let (Some(first), spelled) = (words.first(), words.join(" ")) else {
        return AdminError::NotAnAdminCommand;
    };
    let known = || COMMANDS.iter().map(|command| command.words);
    let meant = nearest(&spelled, known())
        .or_else(|| nearest(first, known()))
        .or_else(|| {
            // `SHARDS` for `SHOW SHARDS`.
            known().find(|words| {
                words
                    .strip_prefix("SHOW ")
                    .is_some_and(|word| word.eq_ignore_ascii_case(first))
            })
        });
    if meant.is_none() && is_sql(first) {
        return AdminError::NotAnAdminCommand;
    }
    if meant.is_none() && first.eq_ignore_ascii_case("SHOW") {
        return AdminError::UnknownSetting {
            name: words.get(1).map_or_else(String::new, |word| (*word).to_owned()),
        };
    }
    AdminError::UnknownCommand { text: spelled, meant }
}

/// Words that SQL statements begin with, as a client may send them here by mistake.
fn is_sql(word: &str) -> bool {
    const SQL: &[&str] = &[
        "ALTER", "CALL", "COPY", "CREATE", "DECLARE", "DELETE", "DO", "DROP", "EXECUTE", "EXPLAIN", "FETCH", "GRANT",
        "INSERT", "LISTEN", "LOCK", "MERGE", "PREPARE", "REVOKE", "SELECT", "TABLE", "TRUNCATE", "UPDATE", "VALUES",
        "VACUUM", "WITH",
    ];
    SQL.iter().any(|known| known.eq_ignore_ascii_case(word))
}
