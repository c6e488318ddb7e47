//! Load as a picture of 80 columns: for `shardctl load` once, for `shardctl top` again and again.
//!
//! Holds: no line is longer than 80 columns; columns stand at the same places in every frame; nothing here reads a clock or
//! a terminal.

use clap::ValueEnum;

use crate::answer::Answer;
use crate::style::Style;
use crate::table::printable;

/// What buckets are sorted by, the most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// Share of the shard's capacity over 1 m
    Busy,
    /// The same over 10 s
    Recent,
    /// Time that sessions waited for a backend
    Wait,
    /// Statements per second
    Statements,
    /// Bytes
    Size,
    /// By name, from a to z
    Name,
}

/// What a frame shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) sort: Sort,
    /// buckets, at most
    pub(crate) buckets: usize,
    pub(crate) style: Style,
}

/// Cells of one bar.
const BAR: usize = 12;

/// Columns of a name.
const NAME: usize = 24;

/// From this share of its capacity on a shard needs attention.
const BUSY_HIGH: f64 = 0.7;

impl View {
    /// All of it, the busiest first.
    pub(crate) fn whole(style: Style) -> View {
        View {
            sort: Sort::Busy,
            buckets: usize::MAX,
            style,
        }
    }
}

impl Sort {
    /// As `top` reads keys.
    pub(crate) fn by_key(key: u8) -> Option<Sort> {
        match key {
            b'b' => Some(Sort::Busy),
            b'r' => Some(Sort::Recent),
            b'w' => Some(Sort::Wait),
            b's' => Some(Sort::Statements),
            b'z' => Some(Sort::Size),
            b'n' => Some(Sort::Name),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Sort::Busy => "busy",
            Sort::Recent => "recent",
            Sort::Wait => "wait",
            Sort::Statements => "statements",
            Sort::Size => "size",
            Sort::Name => "name",
        }
    }
}

/// A picture of SHOW LOAD, and of SHOW KEYS if it was asked for.
pub(crate) fn frame(load: &Answer, keys: Option<&Answer>, view: View) -> String {
    let rows: Vec<Row<'_>> = load.rows.iter().map(|cells| Row { load, cells }).collect();
    let of = |scope: &str| -> Vec<&Row<'_>> { rows.iter().filter(|row| row.text("scope") == scope).collect() };
    let mut buckets = of("bucket");
    buckets.sort_by(|a, b| by(view.sort, a, b));
    let hidden = buckets.len().saturating_sub(view.buckets);
    buckets.truncate(view.buckets);
    let mut text = opening(&rows, view);
    for (title, rows) in [
        ("SHARD", of("shard")),
        ("KEYSPACE", of("keyspace")),
        ("BUCKET", buckets),
    ] {
        if rows.is_empty() {
            continue;
        }
        text.push('\n');
        let sixth = if title == "SHARD" { "ACTIVE" } else { "STMT/S" };
        heading(&mut text, view.style, title, sixth);
        for row in rows {
            row.line(&mut text, view.style);
        }
    }
    if hidden > 0 {
        push(&mut text, &format!("{hidden} more"));
    }
    if let Some(keys) = keys {
        keys_of(&mut text, keys, view);
    }
    text
}

fn opening(rows: &[Row<'_>], view: View) -> String {
    let of_first = |column: &str| rows.first().and_then(|row| row.number(column)).unwrap_or(0.0);
    let proxies = match of_first("proxies") {
        1.0 => "1 proxy".to_owned(),
        count => format!("{count} proxies"),
    };
    let measured = span(of_first("measured_seconds"));
    let mut text = String::new();
    let order = view.sort.name();
    push(
        &mut text,
        &format!("{proxies}, measured for {measured}, buckets by {order}"),
    );
    text
}

fn heading(text: &mut String, style: Style, title: &str, sixth: &str) {
    let line = format!(
        "{title:<NAME$} {:<BAR$} {:>5} {:>5} {:>5} {:>5} {:>5} {sixth:>6} {:>4}",
        "BUSY", "1m", "10s", "5m", "1h", "WAIT", "SIZE"
    );
    push(text, &style.heading(&line));
}

/// The order of two rows.
fn by(sort: Sort, a: &Row<'_>, b: &Row<'_>) -> std::cmp::Ordering {
    let most_first = |column: &str| {
        let of = |row: &Row<'_>| row.number(column).unwrap_or(0.0);
        of(b).total_cmp(&of(a))
    };
    let first = match sort {
        Sort::Busy => most_first("busy_1m"),
        Sort::Recent => most_first("busy_10s"),
        Sort::Wait => most_first("waiting"),
        Sort::Statements => b.statements().total_cmp(&a.statements()),
        Sort::Size => most_first("size_bytes"),
        Sort::Name => std::cmp::Ordering::Equal,
    };
    first.then_with(|| a.text("name").cmp(b.text("name")))
}

/// One row of SHOW LOAD.
struct Row<'a> {
    load: &'a Answer,
    cells: &'a [Option<String>],
}

impl Row<'_> {
    fn text(&self, column: &str) -> &str {
        self.load.value(self.cells, column).unwrap_or_default()
    }

    fn number(&self, column: &str) -> Option<f64> {
        self.load.value(self.cells, column)?.parse().ok()
    }

    fn statements(&self) -> f64 {
        self.number("reads").unwrap_or(0.0) + self.number("writes").unwrap_or(0.0)
    }

    fn name(&self) -> String {
        if self.text("scope") != "bucket" {
            return fitted(self.text("name"), NAME);
        }
        // A long bucket is cut before its shard is.
        let shard = fitted(self.text("shard"), NAME / 2);
        let room = NAME.saturating_sub(shard.chars().count()).saturating_sub(1);
        format!("{:<room$} {shard}", fitted(self.text("name"), room))
    }

    fn line(&self, text: &mut String, style: Style) {
        let busy = self.number("busy_1m").unwrap_or(0.0);
        let bar = bar(busy);
        let bar = if busy >= BUSY_HIGH { style.bad(&bar) } else { bar };
        let none = || "-".to_owned();
        let sixth = match self.text("scope") {
            "shard" => self.number("active_backends").map_or_else(none, rate),
            _ => rate(self.statements()),
        };
        let line = format!(
            "{:<NAME$} {bar} {:>5} {:>5} {:>5} {:>5} {:>5} {sixth:>6} {:>4}",
            self.name(),
            percent(self.number("busy_1m")),
            percent(self.number("busy_10s")),
            percent(self.number("busy_5m")),
            percent(self.number("busy_1h")),
            self.number("waiting").map_or_else(none, waiting),
            self.number("size_bytes").map_or_else(none, size),
        );
        push(text, &line);
    }
}

fn keys_of(text: &mut String, keys: &Answer, view: View) {
    let share = |row: &[Option<String>]| keys.value(row, "share").and_then(|share| share.parse::<f64>().ok());
    let mut rows: Vec<&Vec<Option<String>>> = keys.rows.iter().collect();
    rows.sort_by(|a, b| share(b).unwrap_or(0.0).total_cmp(&share(a).unwrap_or(0.0)));
    text.push('\n');
    let line = format!(
        "{:<24} {:<24} {:<10} {:>7} {:>7}",
        "KEY", "BUCKET", "SHARD", "SHARE", "ERROR"
    );
    push(text, &view.style.heading(&line));
    for row in rows.into_iter().take(view.buckets) {
        let value = |column: &str| keys.value(row, column).unwrap_or_default();
        let bucket = format!("{}/{}", value("keyspace"), value("name"));
        let line = format!(
            "{:<24} {:<24} {:<10} {:>7} {:>7}",
            fitted(value("key"), 24),
            fitted(&bucket, 24),
            fitted(value("shard"), 10),
            percent(share(row)),
            percent(value("error").parse().ok()),
        );
        push(text, &line);
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

/// A name that takes no more than so many columns; what is cut is marked.
fn fitted(name: &str, columns: usize) -> String {
    let name = printable(name);
    if name.chars().count() <= columns {
        return name;
    }
    let kept: String = name.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A share of 1 as a bar; more than 1 fills it.
fn bar(share: f64) -> String {
    const PARTS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let cells = f64::from(u32::try_from(BAR).unwrap_or(0));
    let mut eighths = (share.clamp(0.0, 1.0) * cells * 8.0).round();
    let mut bar = String::new();
    while eighths >= 8.0 {
        bar.push('█');
        eighths -= 8.0;
    }
    let part = PARTS.iter().zip(1_u32..).find(|(_, part)| f64::from(*part) >= eighths);
    if let Some((part, _)) = part
        && eighths >= 1.0
    {
        bar.push_str(part);
    }
    format!("{bar:<BAR$}")
}

fn percent(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "-".to_owned(),
        Some(percent) if percent < 9.95 => format!("{percent:.1}%"),
        Some(percent) if percent < 9_999.5 => format!("{percent:.0}%"),
        Some(_) => ">999%".to_owned(),
    }
}

/// Seconds per second.
fn waiting(seconds: f64) -> String {
    match seconds {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 9.995 => format!("{few:.2}"),
        many => short(many, 1000.0, &["", "k", "M", "G"]),
    }
}

/// Per second.
fn rate(value: f64) -> String {
    short(value, 1000.0, &["", "k", "M", "G"])
}

fn size(bytes: f64) -> String {
    short(bytes, 1024.0, &["B", "K", "M", "G", "T", "P"])
}

/// At most three digits and a unit.
fn short(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= 999.5
        && let Some(larger) = units.next()
    {
        value /= step;
        unit = larger;
    }
    match value {
        whole if whole.fract() == 0.0 || whole >= 9.95 => format!("{whole:.0}{unit}"),
        few => format!("{few:.1}{unit}"),
    }
}

fn span(seconds: f64) -> String {
    match seconds {
        few if few < 120.0 => format!("{few:.0} s"),
        some if some < 7200.0 => format!("{:.0} m", some / 60.0),
        many => format!("{:.0} h", many / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Column, Kind};

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (3.0, "3"),
            (9.94, "9.9"),
            (10.2, "10"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12k"),
        ] {
            assert_eq!(rate(value), text);
        }
        assert_eq!(size(40.0 * 1024.0 * 1024.0), "40M");
        assert_eq!((size(0.0).as_str(), size(9000.0).as_str()), ("0B", "8.8K"));
        assert_eq!(
            (percent(Some(0.012)).as_str(), percent(Some(1.2)).as_str()),
            ("1.2%", "120%")
        );
        assert_eq!((span(90.0).as_str(), span(600.0).as_str()), ("90 s", "10 m"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0), " ".repeat(BAR));
        assert_eq!(bar(7.0), "█".repeat(BAR));
        assert_eq!(bar(0.5), format!("{}{}", "█".repeat(6), " ".repeat(6)));
        assert!(bar(0.01).starts_with('▏'));
        for share in [0.001, 0.04, 0.333, 0.99, 0.999] {
            assert_eq!(bar(share).chars().count(), BAR, "{share}");
        }
    }

    #[test]
    fn no_line_is_longer_than_80_columns_whatever_the_names() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let names = ["scope", "name", "shard"].map(|name| column(name, Kind::Text));
        let numbers = [
            "busy_10s",
            "busy_1m",
            "busy_5m",
            "busy_1h",
            "waiting",
            "reads",
            "writes",
            "active_backends",
            "size_bytes",
            "proxies",
            "measured_seconds",
        ];
        let columns = names.into_iter().chain(numbers.map(|name| column(name, Kind::Number)));
        let row = |scope: &str| {
            let name = format!("{}/{}", "a".repeat(63), "b".repeat(63));
            let texts = [scope.to_owned(), name, "s".repeat(63)];
            let numbers = numbers.map(|_| "123456789012".to_owned());
            texts.into_iter().chain(numbers).map(Some).collect::<Vec<_>>()
        };
        let load = Answer {
            columns: columns.collect(),
            rows: vec![row("shard"), row("keyspace"), row("bucket")],
        };
        let text = frame(&load, None, View::whole(Style::Plain));
        for line in text.lines().skip(1) {
            assert!(line.chars().count() <= 80, "{} columns: {line}", line.chars().count());
        }
        assert!(text.contains('…'));
    }
}
