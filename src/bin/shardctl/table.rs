//! An answer as aligned columns, for people.
//!
//! Holds: numbers stand right, everything else left; NULL is `-`; a column that is NULL in every row is left out (scripts
//! take JSON); no control character of a value reaches the terminal; no line ends in blanks.

use crate::answer::{Answer, Kind};
use crate::style::Style;
use crate::width::{printable, width};

/// A table with a heading, two blanks between columns. On a terminal that is narrower, texts are wrapped in their columns;
/// where that isn't enough, each row is printed downwards.
pub(crate) fn print(answer: &Answer, style: Style, columns: Option<usize>) -> String {
    if answer.columns.is_empty() {
        return "done\n".to_owned();
    }
    if answer.rows.is_empty() {
        return "(none)\n".to_owned();
    }
    let shown: Vec<usize> = shown_columns(answer);
    let wanted: Vec<usize> = shown.iter().map(|at| width_of_column(answer, *at)).collect();
    let widths = match columns {
        None => wanted,
        Some(columns) => match narrowed(answer, &shown, wanted, columns) {
            Some(widths) => widths,
            None => return print_record(answer, style),
        },
    };
    let mut text = String::new();
    let headings = shown.iter().zip(&widths).filter_map(|(at, wide)| {
        let column = answer.columns.get(*at)?;
        Some(style.heading(&pad(&column.name, *wide, column.kind)))
    });
    push_line(&mut text, headings.collect());
    for row in &answer.rows {
        let cells = shown.iter().zip(&widths).filter_map(|(at, wide)| {
            let column = answer.columns.get(*at)?;
            Some((column, *wide, wrapped(&cell(row.get(*at), column.kind), *wide)))
        });
        let cells: Vec<_> = cells.collect();
        let lines = cells.iter().map(|(_, _, lines)| lines.len()).max().unwrap_or(0);
        for line in 0..lines {
            let cells = cells.iter().map(|(column, wide, lines)| {
                let cell = pad(lines.get(line).map_or("", String::as_str), *wide, column.kind);
                if column.name == "state" {
                    style.state(&cell)
                } else {
                    cell
                }
            });
            push_line(&mut text, cells.collect());
        }
    }
    text
}

/// Widths that fit so many columns, the widest texts narrowed, but no word cut: names are there to be copied. None if
/// that doesn't help.
fn narrowed(answer: &Answer, shown: &[usize], mut widths: Vec<usize>, columns: usize) -> Option<Vec<usize>> {
    let least: Vec<usize> = shown.iter().map(|at| widest_word(answer, *at)).collect();
    let gaps = shown.len().saturating_sub(1).saturating_mul(2);
    loop {
        let taken = widths.iter().sum::<usize>().saturating_add(gaps);
        if taken <= columns {
            return Some(widths);
        }
        let can_shrink = widths.iter_mut().zip(&least).filter(|(wide, least)| **wide > **least);
        let (widest, _) = can_shrink.max_by_key(|(wide, _)| **wide)?;
        *widest = widest.saturating_sub(1);
    }
}

fn widest_word(answer: &Answer, at: usize) -> usize {
    let Some(column) = answer.columns.get(at) else { return 0 };
    let cells = answer.rows.iter().map(|row| cell(row.get(at), column.kind));
    let words = cells.flat_map(|cell| cell.split(' ').map(width).collect::<Vec<_>>());
    words.chain([width(&column.name)]).max().unwrap_or(0)
}

/// A text in lines of at most so many columns, broken between words.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let longer = width(&line).saturating_add(width(word)).saturating_add(1);
        if !line.is_empty() && longer > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// Each row as lines of `name  value`, an empty line between two.
pub(crate) fn print_record(answer: &Answer, style: Style) -> String {
    let wide = answer
        .columns
        .iter()
        .map(|column| width(&column.name))
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (at, row) in answer.rows.iter().enumerate() {
        if at > 0 {
            text.push('\n');
        }
        for (column, value) in answer.columns.iter().zip(row) {
            let name = style.heading(&pad(&column.name, wide, Kind::Text));
            push_line(&mut text, vec![name, style.state(&cell(Some(value), column.kind))]);
        }
    }
    text
}

fn shown_columns(answer: &Answer) -> Vec<usize> {
    let is_shown = |at: &usize| answer.rows.iter().any(|row| row.get(*at).is_some_and(Option::is_some));
    (0..answer.columns.len()).filter(is_shown).collect()
}

fn width_of_column(answer: &Answer, at: usize) -> usize {
    let Some(column) = answer.columns.get(at) else { return 0 };
    let cells = answer.rows.iter().map(|row| width(&cell(row.get(at), column.kind)));
    cells.chain([width(&column.name)]).max().unwrap_or(0)
}

fn push_line(text: &mut String, cells: Vec<String>) {
    text.push_str(cells.join("  ").trim_end());
    text.push('\n');
}

/// A value as it may stand on a terminal.
fn cell(value: Option<&Option<String>>, kind: Kind) -> String {
    let Some(Some(value)) = value else {
        return "-".to_owned();
    };
    match (kind, value.as_str()) {
        (Kind::Boolean, "t") => "yes".to_owned(),
        (Kind::Boolean, "f") => "no".to_owned(),
        (Kind::Boolean | Kind::Number | Kind::Text, other) => printable(other),
    }
}

fn pad(text: &str, wide: usize, kind: Kind) -> String {
    let blanks = " ".repeat(wide.saturating_sub(width(text)));
    match kind {
        Kind::Number => format!("{blanks}{text}"),
        Kind::Text | Kind::Boolean => format!("{text}{blanks}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::Column;

    fn answer(rows: &[&[Option<&str>]]) -> Answer {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let columns = vec![
            column("name", Kind::Text),
            column("buckets", Kind::Number),
            column("utilisation", Kind::Number),
            column("state", Kind::Text),
        ];
        let rows = rows
            .iter()
            .map(|row| row.iter().map(|value| value.map(str::to_owned)).collect())
            .collect();
        Answer { columns, rows }
    }

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let rows = [
            [Some("s0"), Some("8"), None, Some("up")],
            [Some("größe"), Some("1024"), None, None],
        ];
        let printed = print(&answer(&rows.each_ref().map(|row| &row[..])), Style::Plain, None);
        assert_eq!(
            printed,
            "name   buckets  state\ns0           8  up\ngröße     1024  -\n"
        );
    }

    #[test]
    fn wide_characters_and_combining_marks_are_counted_as_they_show() {
        let rows = [
            [Some("株式"), Some("1"), None, None],
            [Some("e\u{301}"), Some("2"), None, None],
        ];
        let printed = print(&answer(&rows.each_ref().map(|row| &row[..])), Style::Plain, None);
        assert_eq!(printed, "name  buckets\n株式        1\ne\u{301}           2\n");
    }

    #[test]
    fn no_control_character_reaches_the_terminal() {
        let rows = [[Some("\x1b[2Jx\ny"), None, None, None]];
        let printed = print(&answer(&rows.each_ref().map(|row| &row[..])), Style::Plain, None);
        assert_eq!(printed, "name\n\\u{1b}[2Jx\\ny\n");
    }

    #[test]
    fn colours_do_not_move_columns() {
        let rows = [[Some("s0"), Some("8"), None, Some("down")]];
        let printed = print(&answer(&rows.each_ref().map(|row| &row[..])), Style::Coloured, None);
        let bare = printed
            .replace("\x1b[1m", "")
            .replace("\x1b[31m", "")
            .replace("\x1b[0m", "");
        assert_ne!(printed, bare);
        assert_eq!(
            bare,
            print(&answer(&rows.each_ref().map(|row| &row[..])), Style::Plain, None)
        );
    }

    #[test]
    fn a_record_is_printed_downwards() {
        let rows = [[Some("s0"), Some("8"), None, Some("up")]];
        let printed = print_record(&answer(&rows.each_ref().map(|row| &row[..])), Style::Plain);
        assert_eq!(
            printed,
            "name         s0\nbuckets      8\nutilisation  -\nstate        up\n"
        );
    }

    #[test]
    fn no_rows_say_so() {
        assert_eq!(print(&answer(&[]), Style::Plain, None), "(none)\n");
    }

    #[test]
    fn what_does_not_fit_is_wrapped_or_printed_downwards() {
        let rows = [
            [Some("a name of several words"), Some("8"), Some("1"), Some("up")],
            [Some("s1"), Some("9"), Some("2"), None],
        ];
        let answer = answer(&rows.each_ref().map(|row| &row[..]));
        assert_eq!(
            print(&answer, Style::Plain, Some(45)),
            "name              buckets  utilisation  state\n\
             a name of               8            1  up\n\
             several words\n\
             s1                      9            2  -\n"
        );
        let text = print(&answer, Style::Plain, Some(34));
        assert!(
            text.starts_with("name         a name of several words\nbuckets      8\n"),
            "{text}"
        );
        assert_eq!(text.lines().filter(|line| line.is_empty()).count(), 1, "{text}");
    }
}
