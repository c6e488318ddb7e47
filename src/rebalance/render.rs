//! A proposal on paper: a table's row, the full text, bars.
//!
//! Holds: no line is longer than [`WIDTH`] columns, words longer than that excepted.

use std::time::Duration;

use super::evidence::steps_told;
use super::paper::{columns, shortened};
use super::words::{bytes, list, percent, span};
use super::{Finding, Proposal, Sizes, UsualHours};

const WIDTH: usize = 80;
const BAR: usize = 44;
/// Of a shard's name beside its bars, at most.
const NAME: usize = 40;
/// What stands beside name and bar: blanks, `before`, a figure.
const BESIDE: usize = 2 + 10 + 7;
/// Of a key, at most: it is whatever a client has written.
const KEY: usize = 32;
/// Bars end at this utilisation.
const FULL: f64 = 1.2;

impl Proposal {
    /// The full text, for a terminal of 80 columns. `id` is the store's.
    pub fn to_text(&self, id: &str) -> String {
        let mut text = String::new();
        let title = format!(
            "proposal {id}: {} {} from {} to {}",
            self.action.name(),
            self.subject,
            self.from,
            list(&self.to)
        );
        paragraph(&mut text, &title, "", "  ");
        text.push('\n');
        paragraph(&mut text, &format!("{}.", self.reason), "  ", "  ");
        text.push('\n');
        text.push_str(&picture(self));
        text.push('\n');
        self.steps_text(&mut text);
        let guessed = match self.sizes {
            Sizes::Measured => "",
            Sizes::Guessed => ", sizes partly guessed",
        };
        let cost = format!(
            "{} to move{guessed}; about {}; highest utilisation {} -> {}",
            bytes(self.bytes),
            span(self.duration()),
            percent(self.before),
            percent(self.after)
        );
        entry(&mut text, "cost", &cost);
        self.evidence_text(&mut text);
        for risk in &self.risk {
            entry(&mut text, "risk", risk);
        }
        entry(&mut text, "rollback", &self.rollback);
        for other in &self.considered {
            let words = format!("{}: {} at most", other.words, percent(other.after));
            entry(&mut text, "instead", &words);
        }
        text
    }

    fn steps_text(&self, text: &mut String) {
        let told = steps_told(self);
        for (number, step) in self.steps.iter().take(told).enumerate() {
            let name = format!("step {}", number.saturating_add(1));
            entry(text, &name, &step.words);
        }
        let rest = self.steps.len().saturating_sub(told);
        if rest > 0 {
            let words = format!(
                "{rest} buckets move, as a ring with fewer points for {} places them",
                self.from
            );
            entry(text, if told == 0 { "steps" } else { "" }, &words);
        }
    }

    fn evidence_text(&self, text: &mut String) {
        let evidence = &self.evidence;
        let points = evidence.trend_per_minute * 100.0;
        let trend = if points.abs() < 0.5 {
            "steady".to_owned()
        } else if points > 0.0 {
            format!("rising by {points:.0} points a minute")
        } else {
            format!("falling by {:.0} points a minute", -points)
        };
        let windows = format!(
            "{}: {} over 10 s, {} over 1 m, {} over 5 m, {} over 1 h; {trend}",
            self.from,
            percent(evidence.ten_seconds),
            percent(evidence.minute),
            percent(evidence.five_minutes),
            percent(evidence.hour)
        );
        entry(text, "evidence", &windows);
        if let Some(week) = &evidence.week {
            entry(text, "", &week.to_text());
        }
        for part in &evidence.parts {
            let words = format!(
                "{}: {} of that load, {:.0} reads and {:.0} writes a second",
                part.name,
                percent(part.share),
                part.reads,
                part.writes
            );
            entry(text, "", &words);
        }
        if evidence.unattributed >= 0.01 {
            let words = format!("no bucket: {} of that load", percent(evidence.unattributed));
            entry(text, "", &words);
        }
        if !evidence.keys.is_empty() {
            let keys: Vec<String> = evidence
                .keys
                .iter()
                .map(|key| format!("{} {}", shortened(&key.key, KEY), percent(key.share)))
                .collect();
            entry(text, "top keys", &keys.join(", "));
        }
    }

    /// Its JSON document: what is stored, and what [`Proposal::from_json`] reads.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Reads its JSON document, strictly.
    pub fn from_json(document: &str) -> Result<Proposal, serde_json::Error> {
        serde_json::from_str(document)
    }
}

/// What a list says of a proposal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headline<'a> {
    /// the store's
    pub id: &'a str,
    /// `open` …
    pub state: &'a str,
    /// what it does
    pub action: &'a str,
    /// what it is about
    pub subject: &'a str,
    /// the overloaded shard
    pub from: &'a str,
    /// shards that get something
    pub to: &'a str,
    /// one sentence without its full stop
    pub reason: &'a str,
    /// highest utilisation of the shards that it touches, now
    pub before: f64,
    /// and afterwards
    pub after: f64,
    /// bytes that move
    pub bytes: u64,
    /// how long the copying takes
    pub duration: Duration,
}

impl Headline<'_> {
    /// A paragraph, for a terminal of 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let title = format!(
            "proposal {}, {}: {} {} from {} to {}",
            self.id, self.state, self.action, self.subject, self.from, self.to
        );
        paragraph(&mut text, &title, "", "  ");
        paragraph(&mut text, &format!("{}.", self.reason), "  ", "  ");
        let cost = format!(
            "Highest utilisation {} -> {}; {} to move, about {}.",
            percent(self.before),
            percent(self.after),
            bytes(self.bytes),
            span(self.duration)
        );
        paragraph(&mut text, &cost, "  ", "  ");
        text
    }
}

impl UsualHours {
    fn to_text(&self) -> String {
        let mut text = format!("usual for {} UTC: {}", self.hour, percent(self.usual));
        if let Some(next) = self.next {
            text.push_str(&format!(", for the hour after: {}", percent(next)));
        }
        if let Some(again) = &self.again {
            text.push_str(&format!("; expected to pass {} again {again}", percent(self.threshold)));
        }
        text
    }
}

impl Finding {
    /// The finding as text, for a terminal of 80 columns.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        entry(&mut text, "seen", &format!("{} ({})", self.what, self.kind.name()));
        entry(&mut text, "helps", &self.helps);
        text
    }
}

/// The cells of a table's row: keyspace, bucket, action, from, to, reason, bytes, before, after.
pub fn table_row(proposal: &Proposal) -> [String; 9] {
    [
        proposal.keyspace.clone(),
        proposal.bucket.map_or_else(String::new, |bucket| bucket.to_string()),
        proposal.action.name().to_owned(),
        proposal.from.clone(),
        proposal.to.join(", "),
        proposal.reason.clone(),
        proposal.bytes.to_string(),
        format!("{:.2}", proposal.before),
        format!("{:.2}", proposal.after),
    ]
}

/// Every shard's utilisation before and after, as bars.
pub fn picture(proposal: &Proposal) -> String {
    let widest = proposal.shards.iter().map(|shard| columns(&shard.shard)).max();
    let name_width = widest.unwrap_or(0).min(NAME);
    // Longer names take the room from the bars.
    let bar_width = BAR.min(WIDTH.saturating_sub(name_width).saturating_sub(BESIDE));
    let mut text = String::new();
    for shard in &proposal.shards {
        let name = shortened(&shard.shard, name_width);
        let blanks = " ".repeat(name_width.saturating_sub(columns(&name)));
        text.push_str(&format!("  {name}{blanks}  before  {}\n", bar(shard.before, bar_width)));
        text.push_str(&format!(
            "  {:<name_width$}  after   {}\n",
            "",
            bar(shard.after, bar_width)
        ));
    }
    text
}

fn bar(used: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let columns = u32::try_from(width).unwrap_or(0);
    let wanted = used.clamp(0.0, FULL) / FULL * f64::from(columns) * 8.0;
    // Counted instead of cast: at most eight times the bar's width.
    let eighths = (0..width.saturating_mul(8)).take_while(|step| {
        let step = u32::try_from(*step).unwrap_or(u32::MAX);
        f64::from(step) + 0.5 <= wanted
    });
    let eighths = eighths.count();
    let mut text = "█".repeat(eighths / 8);
    text.push_str(EIGHTHS.get(eighths % 8).copied().unwrap_or(""));
    format!("{text} {}", percent(used))
}

/// `  name      text`, wrapped.
fn entry(text: &mut String, name: &str, words: &str) {
    paragraph(text, words, &format!("  {name:<10}"), &" ".repeat(12));
}

fn paragraph(text: &mut String, words: &str, first: &str, next: &str) {
    let mut line = first.to_owned();
    let mut is_bare = true;
    for word in words.split_whitespace() {
        let length = columns(&line).saturating_add(columns(word)).saturating_add(1);
        if !is_bare && length > WIDTH {
            text.push_str(line.trim_end());
            text.push('\n');
            line = next.to_owned();
            is_bare = true;
        }
        if !is_bare {
            line.push(' ');
        }
        line.push_str(word);
        is_bare = false;
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
