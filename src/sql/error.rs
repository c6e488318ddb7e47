//! What can go wrong when text is read. Values, not prose; the session's error door chooses SQLSTATEs.

use super::lexing::Span;

/// Text that Postgres's lexer would not accept, or that can't be read safely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {}", span.start)]
pub struct ScanError {
    /// what
    pub kind: ScanErrorKind,
    /// where, in bytes of the text
    pub span: Span,
}

/// Kinds of lexical errors; the text is Postgres's own message where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanErrorKind {
    /// `/*` without `*/`
    #[error("unterminated /* comment")]
    UnterminatedComment,
    /// `'` without `'`
    #[error("unterminated quoted string")]
    UnterminatedString,
    /// `B'` without `'`
    #[error("unterminated bit string literal")]
    UnterminatedBitString,
    /// `X'` without `'`
    #[error("unterminated hexadecimal string literal")]
    UnterminatedHexString,
    /// `$tag$` without its end
    #[error("unterminated dollar-quoted string")]
    UnterminatedDollarQuote,
    /// `"` without `"`
    #[error("unterminated quoted identifier")]
    UnterminatedIdentifier,
    /// `""`
    #[error("zero-length delimited identifier")]
    EmptyIdentifier,
    /// `123abc`
    #[error("trailing junk after numeric literal")]
    NumberJunk,
    /// `$1a`
    #[error("trailing junk after parameter")]
    ParameterJunk,
    /// `$0…` beyond an int4
    #[error("parameter number too large")]
    ParameterTooLarge,
    /// 64 operator characters or more
    #[error("operator too long")]
    OperatorTooLong,
    /// `U&''` while `standard_conforming_strings` is off
    #[error("unsafe use of string constant with Unicode escapes")]
    UnsafeUnicodeString,
    /// `UESCAPE` without a usable character
    #[error("invalid Unicode escape character")]
    InvalidUescape,
    /// characters beyond ASCII under a client_encoding whose trailing bytes can look like quotes
    #[error("client_encoding does not allow the text to be read byte by byte")]
    UnsafeEncoding,
    /// a NUL byte: Postgres would end the text there
    #[error("text contains a NUL byte")]
    Nul,
}

/// Why a literal has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// the span isn't a literal of this text
    #[error("not a literal")]
    NotALiteral,
    /// `\u12`, a lone surrogate, a code point beyond Unicode, `\0`
    #[error("invalid Unicode escape")]
    InvalidEscape,
    /// escapes that don't make a valid UTF-8 text
    #[error("invalid byte sequence")]
    InvalidBytes,
}

/// Why there is no syntax tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseFailure {
    /// lexical
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// the text isn't UTF-8, or not in an encoding that says so
    #[error("text is not UTF-8")]
    NotUtf8,
    /// a literal or identifier with an escape that isn't valid
    #[error("{error} at byte {}", span.start)]
    Literal {
        /// where
        span: Span,
        /// what
        error: LiteralError,
    },
    /// longer than [`super::parse`] is willing to read on the event loop
    #[error("statement of {bytes} bytes is too long to be analysed (at most {max})")]
    TooLong {
        /// its length
        bytes: usize,
        /// the bound
        max: usize,
    },
    /// deeper than the recursion bound
    #[error("statement is nested too deeply to be analysed")]
    TooDeep,
    /// no statement, or more than one
    #[error("expected exactly one statement")]
    NotOneStatement,
    /// the grammar of the parser doesn't have it (Postgres's may)
    #[error("{message}")]
    Unsupported {
        /// the parser's own words
        message: String,
    },
}

/// Why a setting isn't accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// `shardgate.x` that doesn't exist
    #[error("unrecognized configuration parameter \"{0}\"")]
    Unrecognized(String),
    /// a value that the setting doesn't take
    #[error("invalid value for parameter \"{name}\": \"{value}\"")]
    InvalidValue {
        /// setting
        name: String,
        /// value
        value: String,
        /// what it takes
        expected: &'static str,
    },
    /// several values for a setting that takes one
    #[error("SET {0} takes only one argument")]
    OneValueOnly(String),
}

/// Why a leading `/* shardgate: … */` isn't obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectiveError {
    /// not `name=value`
    #[error("directive \"{0}\" is not of the form name=value")]
    Malformed(String),
    /// name or value
    #[error(transparent)]
    Setting(#[from] SettingError),
}

/// Why the start-up parameter `options` isn't understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid command-line argument for server process: {0}")]
pub struct OptionsError(pub String);
