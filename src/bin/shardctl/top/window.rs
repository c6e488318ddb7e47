//! The part of a picture that a terminal shows: first line and keys stay, what is between them scrolls, and the heading of the
//! topmost part stays above it.

use super::keys::Scroll;
use crate::load::Picture;
use crate::screen::Size;
use crate::style::Style;
use crate::width::{cut, fitted, width};

/// Less than this shows nothing of use.
const LEAST: Size = Size { rows: 5, columns: 20 };

/// What the keys are, the most wanted first.
const HELP: [&str; 9] = [
    "q:quit",
    "b:busy",
    "r:recent",
    "w:wait",
    "s:stmts",
    "z:size",
    "n:name",
    "k:keys",
    "↑↓:scroll",
];

/// How far it is scrolled, and what of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// lines above
    above: usize,
    /// lines that scroll, as they were drawn last
    lines: usize,
    /// lines that were shown of them
    shown: usize,
}

impl Window {
    /// What is seen of a picture; scrolled no further than to its end. `trouble` stands in place of the first line.
    pub(super) fn lines(&mut self, picture: &Picture, trouble: Option<&str>, size: Size, style: Style) -> Vec<String> {
        let columns = size.columns.saturating_sub(1);
        if size.rows < LEAST.rows || size.columns < LEAST.columns {
            return vec![cut("too small", columns)];
        }
        let mut body: Vec<(&str, &str)> = Vec::new(); // line, and the heading that it stands under
        for section in &picture.sections {
            body.push(("", ""));
            body.push((&section.heading, &section.heading));
            body.extend(
                section
                    .lines
                    .iter()
                    .map(|line| (line.as_str(), section.heading.as_str())),
            );
        }
        self.lines = body.len();
        self.shown = size.rows.saturating_sub(2);
        self.above = self.above.min(self.lines.saturating_sub(self.shown));
        let mut lines = vec![match trouble {
            Some(trouble) => style.bad(&cut(trouble, columns)),
            None => picture.opening.clone(),
        }];
        let seen = body.iter().skip(self.above).take(self.shown);
        lines.extend(seen.map(|(line, _)| (*line).to_owned()));
        if self.above > 0
            && let Some(top) = lines.get_mut(1)
            && let Some((_, heading)) = body.get(self.above)
            && !heading.is_empty()
        {
            (*heading).clone_into(top);
        }
        lines.resize(size.rows.saturating_sub(1), String::new());
        lines.push(style.heading(&self.help(columns)));
        lines
    }

    fn help(&self, columns: usize) -> String {
        let below = self.lines.saturating_sub(self.above).saturating_sub(self.shown);
        let more = if below > 0 {
            format!(" {below} below")
        } else {
            String::new()
        };
        let room = columns.saturating_sub(width(&more));
        let mut help = String::new();
        for word in HELP {
            let longer = if help.is_empty() {
                word.to_owned()
            } else {
                format!("{help} {word}")
            };
            if width(&longer) > room {
                break;
            }
            help = longer;
        }
        format!("{}{more}", fitted(&help, room))
    }

    pub(super) fn scroll(&mut self, to: Scroll) {
        // A line of the page before stays in sight, under the heading.
        let page = self.shown.saturating_sub(2).max(1);
        self.above = match to {
            Scroll::Up => self.above.saturating_sub(1),
            Scroll::Down => self.above.saturating_add(1),
            Scroll::PageUp => self.above.saturating_sub(page),
            Scroll::PageDown => self.above.saturating_add(page),
            Scroll::Home => 0,
            Scroll::End => self.lines,
        }
        .min(self.lines.saturating_sub(self.shown));
    }
}
