//! A terminal that is drawn on: its other buffer, each line at its place, all of a frame in one write.
//!
//! Holds: whatever the size, nothing wraps or scrolls; what is drawn is painted over what was there, so nothing flickers.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use rustix::termios;

use crate::load;

/// Another buffer, no wrapping, no cursor; and back.
pub(crate) const ENTER: &str = "\x1b[?1049h\x1b[?7l\x1b[?25l\x1b[2J";
pub(crate) const LEAVE: &str = "\x1b[?25h\x1b[?7h\x1b[?1049l";

/// What a terminal has that doesn't say.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// Rows and columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// Whether standard output is a terminal whose cursor can be moved.
pub(crate) fn is_there() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb" || term.is_empty());
    std::io::stdout().is_terminal() && !is_dumb
}

/// That of standard output.
pub(crate) fn size() -> Size {
    match termios::tcgetwinsize(std::io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => Size {
            rows: size.ws_row.into(),
            columns: size.ws_col.into(),
        },
        Ok(_) | Err(_) => USUAL,
    }
}

/// Columns of a line on standard output, if that is a terminal: all but the last, where a cursor would stand between two
/// lines.
pub(crate) fn width() -> Option<usize> {
    let is_terminal = std::io::stdout().is_terminal();
    is_terminal.then(|| size().columns.saturating_sub(1))
}

/// The same for a picture, which needs to know.
pub(crate) fn columns() -> usize {
    width().unwrap_or(load::COLUMNS)
}

/// What paints these lines, and nothing below them. No line may take more than all columns but one.
pub(crate) fn painted<'a>(lines: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for (row, line) in lines.into_iter().enumerate() {
        // Writing to a String can't fail.
        write!(text, "\x1b[{};1H{line}\x1b[K", row.saturating_add(1)).ok();
    }
    text.push_str("\x1b[J");
    text
}
