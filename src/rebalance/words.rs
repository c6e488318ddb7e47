//! Numbers and changes in words.

use std::time::Duration;

use super::cluster::Cluster;
use super::density::float;
use crate::topology::{Change, SplitAt};

/// `83 %`
pub(super) fn percent(part: f64) -> String {
    format!("{:.0} %", part * 100.0)
}

/// `1.2 GiB`
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = float(i64::try_from(bytes).unwrap_or(i64::MAX));
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"B");
    while value >= 1024.0 {
        match units.next() {
            Some(next) => unit = next,
            None => break,
        }
        value /= 1024.0;
    }
    if *unit == "B" || value >= 100.0 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// `40 s`, `12 min`, `3.5 h`
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else if seconds < 5_400.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

/// `a`, `a and b`, `a, b and c`
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// One change, made after those before it, and the bytes that it moves.
pub(super) fn change(cluster: &Cluster<'_>, before: &[Change], change: &Change, moved: u64) -> String {
    let shard = |id| cluster.topology.shard_name(id);
    let moved = bytes(moved);
    match change {
        Change::MoveBucket { keyspace, bucket, to } => {
            let name = cluster.name((*keyspace, *bucket));
            let was_split = before.iter().any(|before| {
                matches!(before, Change::SplitBucket { keyspace: of, bucket: split, .. } if of == keyspace && split == bucket)
            });
            let part = if was_split { "the lower part of " } else { "" };
            format!("move {part}{name} to {} ({moved})", shard(*to))
        }
        Change::SplitBucket {
            keyspace,
            bucket,
            at,
            to,
        } => {
            let part = (*keyspace, *bucket);
            let name = cluster.name(part);
            let at = match at {
                SplitAt::Token(token) => format!("token {}", token.0),
                SplitAt::Key(key) => format!("key {key}"),
            };
            if cluster.parts.get(&part).is_some_and(|bucket| bucket.owner == *to) {
                format!("split {name} at {at}")
            } else {
                format!(
                    "split {name} at {at}; from there on it goes to {} ({moved})",
                    shard(*to)
                )
            }
        }
        Change::SpreadCategory { category, shards, .. } => {
            let names: Vec<String> = shards.iter().map(|id| shard(*id).to_owned()).collect();
            let category = category.as_deref().unwrap_or("(default)");
            format!(
                "spread {category} over {} by the hash of its keys ({moved})",
                list(&names)
            )
        }
    }
}
