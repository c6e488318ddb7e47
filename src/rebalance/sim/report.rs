//! What came of a simulation, for people and for scripts.
//!
//! Holds: no line of the text is wider than 80 columns; the JSON is one array of one object, as all of `shardctl -o json`.

use std::time::Duration;

use serde_json::{Value, json};

use super::picture::{axis, clipped, marks, row};
use super::scale::{Answer, Holding, Scaled};
use super::simulate::{Course, Figures, Found, Move, Simulation};
use crate::rebalance::words::{bytes, list, percent};
use crate::rebalance::{FindingKind, Proposal};

/// Columns of a terminal.
const WIDTH: usize = 80;

/// Rows of shards that a picture shows; of more, those with the highest peaks.
const ROWS_MAX: usize = 16;

/// Proposals that the text lists; the JSON has all.
const LISTED_MAX: usize = 40;

// === a simulation ===

impl Simulation {
    /// Picture, figures, proposals, findings.
    pub fn to_text(&self) -> String {
        let mut text = self.picture();
        text.push('\n');
        text.push_str(&self.table());
        text.push_str(&moves(&self.moves));
        text.push_str(&findings(&self.findings));
        text
    }

    /// One object with all of it.
    pub fn to_json(&self) -> Value {
        json!([self.object()])
    }

    fn object(&self) -> Value {
        json!({
            "threshold": self.threshold,
            "seconds": self.length().as_secs_f64(),
            "interval_seconds": self.interval.as_secs_f64(),
            "regret": rounded(self.regret(&self.rebalanced)),
            "rebalanced": figures_json(&self.figures(&self.rebalanced)),
            "left_alone": figures_json(&self.figures(&self.left_alone)),
            "optimum": figures_json(&self.figures(&self.best())),
            "bytes_moved": self.bytes_moved(),
            "proposals": self.moves.iter().map(move_json).collect::<Vec<_>>(),
            "findings": self.findings.iter().map(found_json).collect::<Vec<_>>(),
            "utilisation": self
                .shards
                .iter()
                .enumerate()
                .map(|(index, name)| (name.clone(), rounded_all(&self.rebalanced.of(index))))
                .collect::<serde_json::Map<_, _>>(),
            "optimum_utilisation": rounded_all(&self.optimum),
        })
    }

    fn length(&self) -> Duration {
        let ticks = u32::try_from(self.optimum.len()).unwrap_or(u32::MAX);
        self.interval.saturating_mul(ticks)
    }

    fn picture(&self) -> String {
        let ticks = self.optimum.len();
        let mut text = axis(ticks, self.length().as_secs_f64() / 60.0);
        let mut shown: Vec<(usize, f64)> = (0..self.shards.len())
            .map(|index| (index, self.rebalanced.of(index).into_iter().fold(0.0, f64::max)))
            .collect();
        if shown.len() > ROWS_MAX {
            shown.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            shown.truncate(ROWS_MAX);
            shown.sort_by_key(|(index, _)| *index);
        }
        for (index, _) in &shown {
            let name = self.shards.get(*index).map_or("?", String::as_str);
            text.push_str(&row(name, &self.rebalanced.of(*index)));
        }
        let hidden = self.shards.len().saturating_sub(shown.len());
        if hidden > 0 {
            text.push_str(&format!("and {hidden} shards with less\n"));
        }
        let points: Vec<(usize, usize)> = (1..)
            .zip(&self.moves)
            .map(|(number, done)| (ticks_in(done.decided, self.interval), number))
            .collect();
        if !points.is_empty() {
            text.push_str(&marks("proposals", ticks, &points));
        }
        text.push_str(&row("highest", &self.rebalanced.highest().collect::<Vec<_>>()));
        text.push_str(&row("if left", &self.left_alone.highest().collect::<Vec<_>>()));
        text.push_str(&row("optimum", &self.optimum));
        text.push_str("A bar is an eighth of a shard's capacity; # is more than it can give.\n");
        text
    }

    fn table(&self) -> String {
        let courses = [&self.rebalanced, &self.left_alone, &self.best()];
        let figures = courses.map(|course: &Course| self.figures(course));
        let mut text = line("", ["rebalanced", "if left", "optimum"].map(str::to_owned));
        text.push_str(&line("highest utilisation", figures.map(|one| percent(one.highest))));
        text.push_str(&line("its mean over time", figures.map(|one| percent(one.mean))));
        let over = format!("time above {}", percent(self.threshold));
        text.push_str(&line(&over, figures.map(|one| minutes(one.over_threshold))));
        text.push_str(&line("time above 100 %", figures.map(|one| minutes(one.over_capacity))));
        text.push_str(&line("regret", figures.map(|one| format!("{:.3}", one.regret))));
        let moved = bytes(self.bytes_moved());
        text.push_str(&line("bytes moved", [moved, "-".to_owned(), "-".to_owned()]));
        text
    }
}

fn line(name: &str, cells: [String; 3]) -> String {
    let [a, b, c] = cells;
    format!("{name:<24}{a:>14}{b:>14}{c:>14}").trim_end().to_owned() + "\n"
}

fn moves(moves: &[Move]) -> String {
    if moves.is_empty() {
        return "\nNo proposal.\n".to_owned();
    }
    let mut text = "\nProposals\n".to_owned();
    for (number, done) in (1..).zip(moves).take(LISTED_MAX) {
        let end = match done.done {
            Some(end) => format!("done at {}", minutes(end)),
            None => "not done when the trace ends".to_owned(),
        };
        let when = format!("{}, {end}, ", minutes(done.decided));
        text.push_str(&proposal(number, &when, &done.proposal));
    }
    text.push_str(&left_out(moves.len()));
    text
}

fn proposal(number: usize, when: &str, proposal: &Proposal) -> String {
    let mut text = format!("{number:>3}  {when}{}\n", bytes(proposal.bytes));
    let what = format!(
        "{} {} from {} to {}: {}",
        proposal.action.name(),
        proposal.subject,
        proposal.from,
        list(&proposal.to),
        proposal.reason
    );
    for line in wrapped(&what, WIDTH - 5) {
        text.push_str(&format!("     {line}\n"));
    }
    text
}

fn left_out(count: usize) -> String {
    match count.saturating_sub(LISTED_MAX) {
        0 => String::new(),
        more => format!("     and {more} more; -o json lists all\n"),
    }
}

/// What somebody could do something about; states that pass by themselves are in the JSON.
fn findings(findings: &[Found]) -> String {
    let passes = |found: &&Found| {
        matches!(
            found.finding.kind,
            FindingKind::Spike | FindingKind::Cooling | FindingKind::Warming | FindingKind::OtherEpoch
        )
    };
    let mut lasting = findings.iter().filter(|found| !passes(found)).peekable();
    if lasting.peek().is_none() {
        return String::new();
    }
    let mut text = "\nFindings\n".to_owned();
    let count = lasting.clone().count();
    for found in lasting.take(LISTED_MAX) {
        let shard = found.finding.shard.as_ref();
        let shard = shard.map(|shard| format!(", {shard}")).unwrap_or_default();
        let kind = found.finding.kind.name();
        text.push_str(&format!("  -  {}{shard}, {kind}\n", minutes(found.at)));
        let words = format!("{}. {}", found.finding.what, found.finding.helps);
        for line in wrapped(&words, WIDTH - 5) {
            text.push_str(&format!("     {line}\n"));
        }
    }
    text.push_str(&left_out(count));
    text
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "highest": rounded(figures.highest),
        "mean": rounded(figures.mean),
        "seconds_over_threshold": figures.over_threshold.as_secs_f64(),
        "seconds_over_capacity": figures.over_capacity.as_secs_f64(),
        "regret": rounded(figures.regret),
    })
}

fn move_json(done: &Move) -> Value {
    json!({
        "decided_seconds": done.decided.as_secs_f64(),
        "done_seconds": done.done.map(|done| done.as_secs_f64()),
        "proposal": done.proposal,
    })
}

fn found_json(found: &Found) -> Value {
    json!({"at_seconds": found.at.as_secs_f64(), "finding": found.finding})
}

// === a question of scale ===

impl Scaled {
    /// Which shard gives out first, and what to do.
    pub fn to_text(&self) -> String {
        let mut text = format!("With {} times the load and the bytes\n", self.factor);
        match &self.first {
            Some(first) => text.push_str(&format!(
                "  {} gives out first, at {}: it would need {} of what it can give.\n",
                first.shard,
                minutes(first.at),
                percent(first.utilisation)
            )),
            None => text.push_str("  no shard gives out.\n"),
        }
        if let Some(key) = &self.hot_key {
            let why = format!(
                "Key {} of keyspace {} alone needs {:.1} busy seconds per second, and the largest shard can give {:.1}. \
                 A key is never parted: a finer key would help, or a shard of capacity {:.0}.",
                key.key, key.keyspace, key.busy, key.capacity, key.needed
            );
            wrapped(&why, WIDTH - 2)
                .iter()
                .for_each(|line| text.push_str(&format!("  {line}\n")));
        }
        match &self.answer {
            Answer::Holds(holding) => text.push_str(&holds(holding)),
            Answer::NotFound { added, highest } => text.push_str(&format!(
                "  No plan was found that holds: with {added} shards more the highest is still {}.\n",
                percent(*highest)
            )),
        }
        text
    }

    /// One object with all of it.
    pub fn to_json(&self) -> Value {
        let first = self.first.as_ref().map(|first| {
            json!({
                "shard": first.shard,
                "at_seconds": first.at.as_secs_f64(),
                "utilisation": rounded(first.utilisation),
            })
        });
        let answer = match &self.answer {
            Answer::Holds(holding) => json!({
                "holds": true,
                "shards_to_add": holding.added,
                "capacity_each": holding.capacity,
                "plan": holding.plan,
                "replay": holding.replay.object(),
            }),
            Answer::NotFound { added, highest } => json!({
                "holds": false,
                "tried_shards": added,
                "highest": rounded(*highest),
            }),
        };
        let hot_key = self.hot_key.as_ref().map(|key| {
            json!({
                "keyspace": key.keyspace,
                "key": key.key,
                "busy": rounded(key.busy),
                "capacity": key.capacity,
                "capacity_needed": key.needed,
            })
        });
        json!([{
            "scale": self.factor,
            "threshold": self.threshold,
            "gives_out_first": first,
            "hot_key": hot_key,
            "answer": answer,
        }])
    }
}

fn holds(holding: &Holding) -> String {
    let mut text = match holding.added.as_slice() {
        [] => "  The shards that there are can carry it.\n".to_owned(),
        [one] => format!(
            "  It holds with one shard more: {one}, of capacity {}.\n",
            holding.capacity
        ),
        [first, .., last] => format!(
            "  It holds with {} shards more: {first} to {last}, of capacity {} each.\n",
            holding.added.len(),
            holding.capacity
        ),
    };
    text.push_str("\nBefore the load comes\n");
    if holding.plan.is_empty() {
        text.push_str("     Nothing has to be moved.\n");
    }
    for (number, step) in (1..).zip(&holding.plan).take(LISTED_MAX) {
        text.push_str(&proposal(number, "", step));
    }
    text.push_str(&left_out(holding.plan.len()));
    text.push_str("\nThen, with everything as the policy has it\n");
    text.push_str(&holding.replay.to_text());
    text
}

// === words ===

/// Words in lines of at most so many columns; a word that is longer is cut.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let word = clipped(word, width);
        let Some(last) = lines.last_mut() else { continue };
        let together = last
            .chars()
            .count()
            .saturating_add(1)
            .saturating_add(word.chars().count());
        if last.is_empty() {
            last.push_str(&word);
        } else if together <= width {
            last.push(' ');
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}

fn minutes(time: Duration) -> String {
    format!("{:.1} min", time.as_secs_f64() / 60.0)
}

fn ticks_in(time: Duration, interval: Duration) -> usize {
    let ticks = time.as_nanos().checked_div(interval.as_nanos()).unwrap_or(0);
    usize::try_from(ticks).unwrap_or(usize::MAX)
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

fn rounded_all(values: &[f64]) -> Value {
    values.iter().copied().map(rounded).collect()
}
