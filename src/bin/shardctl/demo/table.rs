//! The workload in figures: lines of at most 79 characters.

use std::time::Duration;

use super::tally::{Latencies, Span};

/// No line is longer: it fits a terminal of 80 columns.
pub(super) const WIDTH: usize = 79;
const BAR: usize = 18;

/// The table of a span of time: a row per kind of request, a row per shard.
pub(super) fn lines(span: &Span, shards: &[String], took: Duration) -> Vec<String> {
    let total = span.total.count;
    let mut lines = vec![header("requests", took)];
    for (kind, latencies) in span.kinds() {
        lines.push(row(kind.label(), latencies.count, total, took, latencies));
    }
    lines.push(row("all", total, total, took, &span.total));
    lines.push(String::new());
    lines.push(header("shards", took));
    let busiest = span.shards().map(|(count, _)| count).sum::<u64>();
    for (name, (count, latencies)) in shards.iter().zip(span.shards()) {
        let name: String = name.chars().take(18).collect();
        lines.push(row(&name, count, busiest, took, latencies));
    }
    lines
}

/// One line that says the same in short.
pub(super) fn line(span: &Span, shards: &[String], took: Duration) -> String {
    let total = span.total.count;
    let majors = span.kinds().next().map_or(0, |(_, latencies)| latencies.count);
    let by_shard: Vec<String> = shards
        .iter()
        .zip(span.shards())
        .map(|(name, (count, _))| format!("{name} {}/s", grouped(rate(count, took))))
        .collect();
    format!(
        "{}/s  p50 {}  p99 {}  fx_major {}  {}  errors {}",
        grouped(rate(total, took)),
        latency(span.total.percentile(50)),
        latency(span.total.percentile(99)),
        share(majors, total),
        by_shard.join("  "),
        span.errors
    )
}

fn header(what: &str, took: Duration) -> String {
    let count = if took.is_zero() { "" } else { "per second" };
    format!(
        "{what:<18} {count:>11} {:>6}  {:<BAR$} {:>9} {:>9}",
        "share", "", "p50", "p99"
    )
}

fn row(label: &str, count: u64, of: u64, took: Duration, latencies: &Latencies) -> String {
    let filled = count
        .saturating_mul(u64::try_from(BAR).unwrap_or(0))
        .saturating_add(of / 2)
        .checked_div(of)
        .map_or(0, |filled| usize::try_from(filled).unwrap_or(0))
        .min(BAR);
    format!(
        "{label:<18} {:>11} {:>6}  {:<BAR$} {:>9} {:>9}",
        grouped(rate(count, took)),
        share(count, of),
        "#".repeat(filled),
        latency(latencies.percentile(50)),
        latency(latencies.percentile(99)),
    )
}

fn rate(count: u64, took: Duration) -> u64 {
    let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    count.saturating_mul(1_000_000).checked_div(micros).unwrap_or(0)
}

fn share(count: u64, of: u64) -> String {
    let percent = count.saturating_mul(100).saturating_add(of / 2).checked_div(of);
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}

fn latency(took: Option<Duration>) -> String {
    match took.map(|took| took.as_secs_f64() * 1_000.0) {
        None => "-".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.2} ms"),
        Some(ms) if ms < 10_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.0} s", ms / 1_000.0),
    }
}

/// 1234567 → 1,234,567
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tally::{Kind, Tally};

    #[test]
    fn nothing_is_wider_than_80_columns() {
        let tally = Tally::new(2);
        let shards = ["s0".to_owned(), "a-shard-with-a-rather-long-name".to_owned()];
        for (shard, millis) in [(Some(0), 1), (Some(1), 123_456), (None, 60_000_000)] {
            tally.add(Kind::FxExotic, shard, Duration::from_millis(millis));
        }
        for took in [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(3)] {
            for line in lines(&tally.all(), &shards, took) {
                assert!(
                    line.chars().count() <= WIDTH,
                    "{} columns: {line}",
                    line.chars().count()
                );
            }
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
    }
}
