//! Colours, on a terminal only and never with `NO_COLOR`.

use std::io::IsTerminal;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Coloured,
}

impl Style {
    pub(crate) fn of_stdout() -> Style {
        Style::on(&std::io::stdout())
    }

    pub(crate) fn of_stderr() -> Style {
        Style::on(&std::io::stderr())
    }

    fn on(stream: &impl IsTerminal) -> Style {
        let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !is_unwanted {
            Style::Coloured
        } else {
            Style::Plain
        }
    }

    /// A heading.
    pub(crate) fn heading(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// Something that needs attention.
    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    /// Something to know.
    pub(crate) fn notable(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// A state, coloured by what it says.
    pub(crate) fn state(self, text: &str) -> String {
        match text.trim() {
            "down" | "error" => self.bad(text),
            "unknown" | "warning" | "paused" | "draining" | "starting" => self.notable(text),
            "up" | "running" => self.wrap("32", text),
            _ => text.to_owned(),
        }
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_owned(),
            Style::Coloured => {
                // Blanks that fill a column stay outside, so that a line's end can be trimmed.
                let bare = text.trim_end();
                let blanks = text.get(bare.len()..).unwrap_or_default();
                format!("\x1b[{code}m{bare}\x1b[0m{blanks}")
            }
        }
    }
}
