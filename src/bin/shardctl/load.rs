//! Load as a picture: for `shardctl load` once, for `shardctl top` again and again.
//!
//! Holds: no line is longer than it was asked for; in fewer columns than 79 the less important figures are left out, whole;
//! columns stand at the same places in every frame; nothing here reads a clock or a terminal.

use clap::ValueEnum;

use crate::answer::Answer;
use crate::figures::{bar, percent, rate, size, span, waiting};
use crate::style::Style;
use crate::width::{cut, fitted, width};

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

/// What a picture shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) sort: Sort,
    /// buckets, at most
    pub(crate) buckets: usize,
    /// keys, at most
    pub(crate) keys: usize,
    /// of a line, at most
    pub(crate) columns: usize,
    pub(crate) style: Style,
}

/// Columns of a line that holds every figure.
pub(crate) const COLUMNS: usize = 79;

/// From this share of its capacity on a shard needs attention.
const BUSY_HIGH: f64 = 0.7;

impl View {
    /// All of it, the busiest first.
    pub(crate) fn whole(columns: usize, style: Style) -> View {
        View {
            sort: Sort::Busy,
            buckets: usize::MAX,
            keys: usize::MAX,
            columns,
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

/// A first line, and parts under headings.
pub(crate) struct Picture {
    pub(crate) opening: String,
    pub(crate) sections: Vec<Section>,
}

/// A heading and the lines under it.
pub(crate) struct Section {
    pub(crate) heading: String,
    pub(crate) lines: Vec<String>,
}

/// SHOW LOAD, and SHOW KEYS if it was asked for.
pub(crate) fn picture(load: &Answer, keys: Option<&Answer>, view: View) -> Picture {
    let rows: Vec<Row<'_>> = load.rows.iter().map(|cells| Row { load, cells }).collect();
    let of = |scope: &str| -> Vec<&Row<'_>> { rows.iter().filter(|row| row.text("scope") == scope).collect() };
    let mut buckets = of("bucket");
    buckets.sort_by(|a, b| by(view.sort, a, b));
    let hidden = buckets.len().saturating_sub(view.buckets);
    buckets.truncate(view.buckets);
    let layout = Layout::of(view.columns);
    let mut sections = Vec::new();
    for (title, rows) in [
        ("SHARD", of("shard")),
        ("KEYSPACE", of("keyspace")),
        ("BUCKET", buckets),
    ] {
        if rows.is_empty() {
            continue;
        }
        let lines = rows.iter().map(|row| row.line(&layout, view.style));
        sections.push(Section {
            heading: view.style.heading(&layout.heading(title)),
            lines: lines.collect(),
        });
    }
    if hidden > 0
        && view.buckets > 0
        && let Some(last) = sections.last_mut()
    {
        last.lines.push(cut(&format!("{hidden} more"), view.columns));
    }
    sections.extend(keys.map(|keys| keys_of(keys, view)));
    Picture {
        opening: cut(&opening(&rows, view), view.columns),
        sections,
    }
}

impl Picture {
    /// All of it, line after line.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!("{}\n", self.opening);
        for section in &self.sections {
            text.push_str(&format!("\n{}\n", section.heading));
            section
                .lines
                .iter()
                .for_each(|line| text.push_str(&format!("{line}\n")));
        }
        text
    }
}

fn opening(rows: &[Row<'_>], view: View) -> String {
    let of_first = |column: &str| rows.first().and_then(|row| row.number(column)).unwrap_or(0.0);
    if rows.is_empty() {
        return "no load has been measured yet".to_owned();
    }
    let proxies = match of_first("proxies") {
        1.0 => "1 proxy".to_owned(),
        count => format!("{count} proxies"),
    };
    let measured = span(of_first("measured_seconds"));
    format!("{proxies}, measured for {measured}, buckets by {}", view.sort.name())
}

// === what fits a line ===

/// A figure of a line, in the order in which they stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Bar,
    Minute,
    TenSeconds,
    FiveMinutes,
    Hour,
    Wait,
    /// active backends of a shard, statements of others
    Work,
    Size,
}

impl Figure {
    const ALL: [Figure; 8] = [
        Figure::Bar,
        Figure::Minute,
        Figure::TenSeconds,
        Figure::FiveMinutes,
        Figure::Hour,
        Figure::Wait,
        Figure::Work,
        Figure::Size,
    ];

    /// The first is missed least.
    const LEFT_OUT: [Figure; 7] = [
        Figure::Hour,
        Figure::FiveMinutes,
        Figure::Bar,
        Figure::Size,
        Figure::Work,
        Figure::Wait,
        Figure::TenSeconds,
    ];

    fn columns(self) -> usize {
        match self {
            Figure::Bar => 12,
            Figure::Minute | Figure::TenSeconds | Figure::FiveMinutes | Figure::Hour | Figure::Wait => 5,
            Figure::Work => 6,
            Figure::Size => 4,
        }
    }
}

/// Which figures stand in a line, and how many columns are left for names.
struct Layout {
    name: usize,
    figures: Vec<Figure>,
}

impl Layout {
    /// A name wants so many columns before figures are left out for it.
    const NAME: usize = 24;

    fn of(columns: usize) -> Layout {
        let mut figures = Figure::ALL.to_vec();
        let taken = |figures: &[Figure]| figures.iter().map(|figure| figure.columns() + 1).sum::<usize>();
        for least in Figure::LEFT_OUT {
            if taken(&figures) + Layout::NAME <= columns {
                break;
            }
            figures.retain(|figure| *figure != least);
        }
        Layout {
            name: columns.saturating_sub(taken(&figures)),
            figures,
        }
    }

    fn heading(&self, title: &str) -> String {
        let word = |figure| match figure {
            Figure::Bar => "BUSY",
            Figure::Minute => "1m",
            Figure::TenSeconds => "10s",
            Figure::FiveMinutes => "5m",
            Figure::Hour => "1h",
            Figure::Wait => "WAIT",
            Figure::Work if title == "SHARD" => "ACTIVE",
            Figure::Work => "STMT/S",
            Figure::Size => "SIZE",
        };
        let line = self.line(&fitted(title, self.name), |figure| match figure {
            Figure::Bar => format!("{:<1$}", word(figure), figure.columns()),
            _ => word(figure).to_owned(),
        });
        line.trim_end().to_owned()
    }

    /// A name that takes its columns, and each figure, to the right of its own.
    fn line(&self, name: &str, of: impl Fn(Figure) -> String) -> String {
        let mut line = name.to_owned();
        for figure in &self.figures {
            line.push_str(&format!(" {:>1$}", of(*figure), figure.columns()));
        }
        line
    }
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

    fn name(&self, columns: usize) -> String {
        if self.text("scope") != "bucket" {
            return fitted(self.text("name"), columns);
        }
        // A long bucket is cut before its shard is.
        let shard = cut(self.text("shard"), columns / 2);
        let room = columns.saturating_sub(width(&shard)).saturating_sub(1);
        format!("{} {shard}", fitted(self.text("name"), room))
    }

    fn line(&self, layout: &Layout, style: Style) -> String {
        let none = || "-".to_owned();
        let line = layout.line(&self.name(layout.name), |figure| match figure {
            Figure::Bar => {
                let busy = self.number("busy_1m").unwrap_or(0.0);
                let bar = bar(busy, figure.columns());
                if busy >= BUSY_HIGH { style.bad(&bar) } else { bar }
            }
            Figure::Minute => percent(self.number("busy_1m")),
            Figure::TenSeconds => percent(self.number("busy_10s")),
            Figure::FiveMinutes => percent(self.number("busy_5m")),
            Figure::Hour => percent(self.number("busy_1h")),
            Figure::Wait => self.number("waiting").map_or_else(none, waiting),
            Figure::Work if self.text("scope") == "shard" => self.number("active_backends").map_or_else(none, rate),
            Figure::Work => rate(self.statements()),
            Figure::Size => self.number("size_bytes").map_or_else(none, size),
        });
        line.trim_end().to_owned()
    }
}

fn keys_of(keys: &Answer, view: View) -> Section {
    /// Of the columns behind the key's.
    const OTHERS: usize = 24 + 10 + 7 + 7 + 4;
    let share = |row: &[Option<String>]| keys.value(row, "share").and_then(|share| share.parse::<f64>().ok());
    let mut rows: Vec<&Vec<Option<String>>> = keys.rows.iter().collect();
    rows.sort_by(|a, b| share(b).unwrap_or(0.0).total_cmp(&share(a).unwrap_or(0.0)));
    let is_wide = view.columns >= OTHERS + 24;
    let line = |key: &str, bucket: &str, shard: &str, share: &str, error: &str| {
        if is_wide {
            // What a wide terminal has beyond the usual goes to the key.
            let room = if view.columns > COLUMNS + 1 {
                view.columns - OTHERS
            } else {
                24
            };
            let (key, bucket, shard) = (fitted(key, room), fitted(bucket, 24), fitted(shard, 10));
            format!("{key} {bucket} {shard} {share:>7} {error:>7}")
        } else {
            format!("{} {share:>7}", fitted(key, view.columns.saturating_sub(8)))
        }
    };
    let lines = rows.into_iter().take(view.keys).map(|row| {
        let value = |column: &str| keys.value(row, column).unwrap_or_default();
        let bucket = format!("{}/{}", value("keyspace"), value("name"));
        let error = percent(value("error").parse().ok());
        line(value("key"), &bucket, value("shard"), &percent(share(row)), &error)
    });
    Section {
        lines: lines.collect(),
        heading: view.style.heading(&line("KEY", "BUCKET", "SHARD", "SHARE", "ERROR")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::{Column, Kind};

    #[test]
    fn no_line_is_longer_than_asked_for_whatever_the_names() {
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
            let name = format!("{}/{}", "a".repeat(63), "株".repeat(21));
            let texts = [scope.to_owned(), name, "ß".repeat(31)];
            let numbers = numbers.map(|_| "123456789012".to_owned());
            texts.into_iter().chain(numbers).map(Some).collect::<Vec<_>>()
        };
        let load = Answer {
            columns: columns.collect(),
            rows: vec![row("shard"), row("keyspace"), row("bucket")],
        };
        for columns in 18..140 {
            for style in [Style::Plain, Style::Coloured] {
                let text = picture(&load, None, View::whole(columns, style)).to_text();
                let text = text
                    .replace("\x1b[1m", "")
                    .replace("\x1b[31m", "")
                    .replace("\x1b[0m", "");
                for line in text.lines() {
                    assert!(width(line) <= columns, "{} of {columns}: {line}", width(line));
                }
                assert!(text.contains('…') && text.contains(" 1m"), "{text}");
            }
        }
        assert_eq!(Layout::of(COLUMNS).name, Layout::NAME);
        assert_eq!(Layout::of(39).figures, [Figure::Minute, Figure::TenSeconds]);
    }
}
