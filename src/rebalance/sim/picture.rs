//! Utilisation over time as rows of bars, for a terminal of 80 columns.
//!
//! Holds: a column shows the highest value of its time, so that no short peak is lost; no line is wider than 80 columns.

use crate::rebalance::words::percent;

/// Columns of time.
pub(super) const COLUMNS: usize = 56;

/// Columns of a row's name.
pub(super) const NAME: usize = 10;

/// An eighth of a shard's capacity each.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// More than a shard can give.
const OVER: char = '#';

/// A row: name, bars, highest value.
pub(super) fn row(name: &str, values: &[f64]) -> String {
    let bars: String = buckets_of_time(values.len())
        .map(|(from, until)| bar(highest(values.get(from..until).unwrap_or_default())))
        .collect();
    format!(
        "{:<NAME$}{bars:<COLUMNS$} {:>5}\n",
        clipped(name, NAME - 1),
        percent(highest(values))
    )
}

/// A row that marks points in time by their numbers; where two fall into one column, the first is shown.
pub(super) fn marks(name: &str, ticks: usize, points: &[(usize, usize)]) -> String {
    let mut line: Vec<char> = vec![' '; COLUMNS];
    for (tick, number) in points.iter().rev() {
        let label: Vec<char> = number.to_string().chars().collect();
        let column = (tick.saturating_mul(columns(ticks)) / ticks.max(1)).min(COLUMNS.saturating_sub(label.len()));
        for (offset, character) in label.into_iter().enumerate() {
            if let Some(place) = line.get_mut(column.saturating_add(offset)) {
                *place = character;
            }
        }
    }
    let line: String = line.into_iter().collect();
    format!("{:<NAME$}{}", clipped(name, NAME - 1), line)
        .trim_end()
        .to_owned()
        + "\n"
}

/// The axis: begin, middle and end in minutes.
pub(super) fn axis(ticks: usize, minutes: f64) -> String {
    let columns = columns(ticks);
    let (middle, end) = (format!("{:.0} min", minutes / 2.0), format!("{minutes:.0} min"));
    let mut line = format!("{:<NAME$}0", "");
    for (label, right) in [(middle, columns / 2 + 3), (end, columns)] {
        let have = line.chars().count().saturating_sub(NAME);
        let gap = right.saturating_sub(have).saturating_sub(label.len());
        if gap > 0 {
            line.push_str(&" ".repeat(gap));
            line.push_str(&label);
        }
    }
    line + "\n"
}

/// At most so many characters, the last one an ellipsis if some are left out.
pub(super) fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    kept + "…"
}

fn bar(value: f64) -> char {
    if value > 1.0 {
        return OVER;
    }
    // The cast saturates; a value that is no number shows as the lowest bar.
    let eighth = (value * 8.0).ceil() as usize;
    BARS.get(eighth.saturating_sub(1)).copied().unwrap_or(OVER)
}

fn columns(ticks: usize) -> usize {
    COLUMNS.min(ticks.max(1))
}

/// First tick and end of each column.
fn buckets_of_time(ticks: usize) -> impl Iterator<Item = (usize, usize)> {
    let columns = columns(ticks);
    let start = move |column: usize| column.saturating_mul(ticks) / columns;
    (0..columns).map(move |column| (start(column), start(column + 1)))
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_the_highest_of_each_column() {
        let mut values = vec![0.1; 560];
        values[555] = 1.2;
        values[5] = 0.5;
        let drawn = row("s0", &values);
        assert_eq!(drawn, format!("s0        ▄{}# 120 %\n", "▁".repeat(54)));
        assert_eq!(
            row("a-rather-long-name", &[1.0, 0.0]),
            format!("a-rather… █▁{} 100 %\n", " ".repeat(54))
        );
    }

    #[test]
    fn marks_and_axis_stay_within_80_columns() {
        let marks = marks("moves", 720, &[(0, 1), (100, 2), (101, 3), (719, 12)]);
        assert_eq!(marks, format!("moves     1{}2{}12\n", " ".repeat(6), " ".repeat(46)));
        let axis = axis(720, 60.0);
        assert!(axis.trim_end().chars().count() == NAME + COLUMNS, "{axis:?}");
        assert!(axis.ends_with("60 min\n"), "{axis:?}");
    }
}
