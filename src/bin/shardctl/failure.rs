//! What went wrong, for people: MESSAGE, DETAIL, HINT on standard error, and an exit code.

use std::io::Write as _;
use std::process::ExitCode;

use shardgate::backend::ControlError;

use crate::style::Style;

/// Exit code of a command that failed; clap exits with 2 on a wrong command line.
pub(crate) const FAILED: u8 = 1;

/// A command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure {
            hint: Some(hint.into()),
            ..self
        }
    }

    /// An error of the proxy, whose own DETAIL and HINT come along, or of the way to it.
    pub(crate) fn from_control(error: &ControlError) -> Failure {
        let text = error.to_string();
        Failure::new(match error.sqlstate() {
            // The message begins with the severity; the code belongs beside it, as psql's \set VERBOSITY verbose shows it.
            Some(code) => text.replacen(": ", &format!(":  {code}: "), 1),
            None => text,
        })
    }

    /// What went wrong, without what to do about it.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let style = Style::of_stderr();
        let mut text = format!("{}{}\n", style.bad("shardctl: "), self.message);
        if let Some(hint) = &self.hint {
            text.push_str(&format!("HINT:  {hint}\n"));
        }
        // Where standard error is gone there is nobody to tell.
        std::io::stderr().write_all(text.as_bytes()).ok();
        ExitCode::from(FAILED)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(format!("{error:#}"))
    }
}
