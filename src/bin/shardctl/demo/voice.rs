//! What the demo says: a screen that renews itself on a terminal, plain lines elsewhere.
//!
//! Holds: lines go to standard output and a reader that has gone is no failure; the terminal is given back as it was.

use std::io::Write;
use std::time::Duration;

use super::table::{WIDTH, grouped};
use crate::screen;
use crate::width::cut;

/// Where standard output goes, and what is on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Lines,
    Terminal,
    /// a terminal whose other buffer we draw on
    Screen,
}

/// Standard output.
#[derive(Debug)]
pub(super) struct Voice {
    place: Place,
}

impl Voice {
    pub(super) fn of_stdout() -> Voice {
        // A terminal that can't move its cursor gets lines.
        let place = match screen::is_there() {
            true => Place::Terminal,
            false => Place::Lines,
        };
        Voice { place }
    }

    pub(super) fn is_live(&self) -> bool {
        matches!(self.place, Place::Terminal | Place::Screen)
    }

    /// A line that stays.
    pub(super) fn say(&mut self, line: &str) {
        self.leave_screen();
        put(&format!("{line}\n"));
    }

    /// How far loading is: one line that is written over.
    pub(super) fn progress(&mut self, what: &str, done: u64, of: u64) {
        const BAR: u64 = 30;
        if self.place != Place::Terminal {
            return;
        }
        let filled = done.saturating_mul(BAR).checked_div(of).unwrap_or(0).min(BAR);
        let (filled, open) = (
            usize::try_from(filled).unwrap_or(0),
            usize::try_from(BAR - filled).unwrap_or(0),
        );
        put(&format!(
            "\r\x1b[2K  {what:<8} [{}{}] {} of {} rows",
            "#".repeat(filled),
            ".".repeat(open),
            grouped(done),
            grouped(of)
        ));
    }

    /// A table is loaded: a line that stays.
    pub(super) fn progressed(&mut self, table: &str, rows: u64, took: Duration) {
        if self.place == Place::Terminal {
            put("\r\x1b[2K");
        }
        put(&format!(
            "  {table:<8} {:>8} rows  {:.1} s\n",
            grouped(rows),
            took.as_secs_f64()
        ));
    }

    /// Draws the whole screen; on a terminal only.
    pub(super) fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.place == Place::Terminal {
            text.push_str(screen::ENTER);
            self.place = Place::Screen;
        }
        let size = screen::size();
        let columns = size.columns.saturating_sub(1).min(WIDTH);
        let lines: Vec<String> = lines.iter().take(size.rows).map(|line| cut(line, columns)).collect();
        text.push_str(&screen::painted(lines.iter().map(String::as_str)));
        put(&text);
    }

    /// Back to the ordinary buffer.
    pub(super) fn leave_screen(&mut self) {
        match self.place {
            Place::Screen => {
                put(screen::LEAVE);
                self.place = Place::Terminal;
            }
            Place::Terminal | Place::Lines => {}
        }
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.leave_screen();
    }
}

fn put(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // `| head` may have gone; the demo goes on until its time is over.
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).ok();
}
