//! From a plan to a proposal: evidence, reason, risk and way back, in names and numbers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::cluster::{Cluster, PartId};
use super::search::{Plan, Reach, Search};
use super::words::{self, percent};
use super::{Action, Considered, Evidence, Outlook, Part, Proposal, Sizes, Step, TopKey, UsualHours};
use crate::telemetry::{HourOfWeek, Moment, Windows};
use crate::topology::{Change, ShardId};

/// Buckets and keys that evidence names.
const PARTS: usize = 3;
const KEYS: usize = 5;
/// A step's time beyond its copying: checks, catching up, the switch.
const STEP: Duration = Duration::from_secs(10);
/// Steps of which each is told in words.
const STEPS_TOLD: usize = 6;

/// What a plan proposes, first made at `created`.
pub(super) fn proposal(search: &Search<'_>, plan: &Plan, single: &[Plan], created: Moment) -> Proposal {
    let cluster = search.cluster;
    let name = |shard: ShardId| cluster.topology.shard_name(shard).to_owned();
    let from = name(search.hot);
    let to: Vec<String> = plan.touched.without(search.hot).iter().map(name).collect();
    let first = first_part(plan);
    let subject = subject(cluster, plan);
    let keyspace = first.map_or_else(String::new, |part| cluster.keyspace_name(part.0).to_owned());
    let bucket = first
        .map(|part| part.1.index())
        .filter(|_| plan.action != Action::Shift);
    let evidence = evidence(cluster, search.hot);
    let is_measured = plan
        .parts
        .iter()
        .all(|part| cluster.parts.get(part).is_some_and(|bucket| bucket.is_measured));
    let identity = format!(
        "{keyspace}/{} {} {from} to {}",
        bucket.map_or_else(|| "*".to_owned(), |bucket| bucket.to_string()),
        plan.action.name(),
        to.join("+")
    );
    let expires = cluster.now.0.saturating_add(milliseconds(cluster.policy.expiry));
    Proposal {
        identity,
        keyspace,
        bucket,
        reason: reason(search, plan, &subject),
        subject,
        action: plan.action,
        from,
        to,
        steps: steps(cluster, plan),
        bytes: plan.merit.bytes,
        sizes: if is_measured { Sizes::Measured } else { Sizes::Guessed },
        duration_seconds: duration(cluster, plan).as_secs(),
        before: digits(cluster.used(search.hot, search.busy)),
        after: digits(plan.merit.after),
        shards: outlook(search, plan),
        risk: risk(cluster, plan, &evidence),
        evidence,
        considered: considered(cluster, plan, single),
        rollback: rollback(cluster, plan),
        created_ms: created.0,
        judged_ms: cluster.now.0,
        expires_ms: expires,
    }
}

/// Six digits: more are noise, and these survive JSON.
fn digits(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The part that the first change names.
fn first_part(plan: &Plan) -> Option<PartId> {
    match plan.changes.first()? {
        Change::MoveBucket { keyspace, bucket, .. } | Change::SplitBucket { keyspace, bucket, .. } => {
            Some((*keyspace, *bucket))
        }
        Change::SpreadCategory { keyspace, .. } => plan.parts.iter().find(|(of, _)| of == keyspace).copied(),
    }
}

/// What it is about, by name.
fn subject(cluster: &Cluster<'_>, plan: &Plan) -> String {
    match plan.action {
        Action::Shift => first_part(plan).map_or_else(String::new, |part| {
            format!("{} buckets of {}", plan.parts.len(), cluster.keyspace_name(part.0))
        }),
        Action::Move | Action::Split | Action::Spread | Action::Combine => {
            let mut names: Vec<String> = Vec::new();
            for change in &plan.changes {
                let name = match change {
                    Change::MoveBucket { keyspace, bucket, .. } | Change::SplitBucket { keyspace, bucket, .. } => {
                        cluster.name((*keyspace, *bucket))
                    }
                    Change::SpreadCategory { category, .. } => {
                        category.clone().unwrap_or_else(|| "(default)".to_owned())
                    }
                };
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            words::list(&names)
        }
    }
}

fn reason(search: &Search<'_>, plan: &Plan, subject: &str) -> String {
    let cluster = search.cluster;
    let load = search.busy.get(search.hot.index()).copied().unwrap_or(0.0);
    let busy: f64 = plan
        .parts
        .iter()
        .filter_map(|part| {
            let bucket = cluster.parts.get(part)?;
            (bucket.owner == search.hot).then_some(bucket.busy)
        })
        .sum();
    let from = cluster.topology.shard_name(search.hot);
    let keyspaces: BTreeSet<String> = plan
        .parts
        .iter()
        .map(|(keyspace, _)| cluster.keyspace_name(*keyspace).to_owned())
        .collect();
    let keyspaces: Vec<String> = keyspaces.into_iter().collect();
    let of = match plan.action {
        Action::Shift => String::new(),
        Action::Move | Action::Split | Action::Spread | Action::Combine => {
            let plural = if keyspaces.len() > 1 { "s" } else { "" };
            format!(" (keyspace{plural} {})", words::list(&keyspaces))
        }
    };
    let verb = if plan.parts.len() == 1 || plan.action == Action::Spread {
        "is"
    } else {
        "are"
    };
    format!(
        "{subject}{of} {verb} {} of the load of {from}, which used {} of its capacity over the last minute; the threshold is {}",
        percent(busy / load.max(f64::MIN_POSITIVE)),
        percent(cluster.used(search.hot, search.busy)),
        percent(cluster.policy.threshold)
    )
}

fn steps(cluster: &Cluster<'_>, plan: &Plan) -> Vec<Step> {
    let changes = plan.changes.iter().zip(&plan.bytes).zip(told(cluster, plan));
    changes
        .map(|((change, bytes), words)| Step {
            change: change.written(cluster.topology),
            words,
            bytes: *bytes,
        })
        .collect()
}

/// Each change in words.
fn told(cluster: &Cluster<'_>, plan: &Plan) -> Vec<String> {
    let changes = plan.changes.iter().zip(&plan.bytes).enumerate();
    changes
        .map(|(index, (change, bytes))| {
            let before = plan.changes.get(..index).unwrap_or_default();
            words::change(cluster, before, change, *bytes)
        })
        .collect()
}

fn duration(cluster: &Cluster<'_>, plan: &Plan) -> Duration {
    let copying = plan
        .merit
        .bytes
        .checked_div(cluster.policy.bytes_per_second)
        .unwrap_or(0);
    let steps = u32::try_from(plan.merit.steps).unwrap_or(u32::MAX);
    Duration::from_secs(copying).saturating_add(STEP.saturating_mul(steps))
}

fn outlook(search: &Search<'_>, plan: &Plan) -> Vec<Outlook> {
    let cluster = search.cluster;
    let shards = cluster.shards.keys();
    shards
        .map(|shard| Outlook {
            shard: cluster.topology.shard_name(*shard).to_owned(),
            capacity: cluster.capacity(*shard),
            before: digits(cluster.used(*shard, search.busy)),
            after: digits(cluster.used(*shard, &plan.busy)),
        })
        .collect()
}

fn evidence(cluster: &Cluster<'_>, shard: ShardId) -> Evidence {
    let load = cluster.shards.get(&shard);
    let used: Windows = load.map(|load| load.utilisation()).unwrap_or_default();
    let busy = load.map_or(0.0, |load| load.busy.minute).max(f64::MIN_POSITIVE);
    let mut parts: Vec<(PartId, f64)> = cluster
        .parts
        .iter()
        .filter(|(_, bucket)| bucket.owner == shard && bucket.busy > 0.0)
        .map(|(part, bucket)| (*part, bucket.busy))
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let parts = parts.into_iter().take(PARTS).filter_map(|(part, part_busy)| {
        let bucket = cluster.parts.get(&part)?;
        Some(Part {
            keyspace: cluster.keyspace_name(part.0).to_owned(),
            bucket: part.1.index(),
            name: cluster.name(part),
            share: digits(part_busy / busy),
            reads: digits(bucket.load.reads.minute),
            writes: digits(bucket.load.writes.minute),
        })
    });
    let keys = cluster.heavy_keys(shard).into_iter().take(KEYS);
    let keys = keys
        .filter(|(_, _, key_busy)| *key_busy > 0.0)
        .map(|(part, key, key_busy)| TopKey {
            keyspace: cluster.keyspace_name(part.0).to_owned(),
            key: key.to_text(),
            share: digits(key_busy / busy),
        });
    Evidence {
        ten_seconds: digits(used.ten_seconds),
        minute: digits(used.minute),
        five_minutes: digits(used.five_minutes),
        hour: digits(used.hour),
        trend_per_minute: digits(trend(used.minute, used.five_minutes)),
        unattributed: digits(load.map_or(0.0, |load| load.unattributed.minute) / busy),
        parts: parts.collect(),
        keys: keys.collect(),
        week: usual_hours(cluster, shard),
    }
}

/// What is usual in this hour of the week, and when the threshold is to be passed again: in the first hour above it behind
/// one below.
fn usual_hours(cluster: &Cluster<'_>, shard: ShardId) -> Option<UsualHours> {
    let capacity = cluster.capacity(shard);
    let (threshold, hour) = (cluster.policy.threshold, HourOfWeek::of(cluster.now));
    let usual = |hour: HourOfWeek| {
        let busy = cluster
            .history
            .week()
            .usual(hour, shard, cluster.topology, cluster.now)?;
        (capacity > 0.0).then(|| digits(busy / capacity))
    };
    let mut is_below = false;
    let again = hour.following().find(|hour| match usual(*hour) {
        Some(used) if used <= threshold => {
            is_below = true;
            false
        }
        Some(_) => is_below,
        None => false,
    });
    Some(UsualHours {
        hour: hour.to_string(),
        usual: usual(hour)?,
        next: usual(hour.plus(1)),
        again: again.map(|hour| hour.to_string()),
        threshold,
    })
}

/// The slope between the two windows, per minute: the mean ages of their contents are one and five minutes.
pub(super) fn trend(minute: f64, five_minutes: f64) -> f64 {
    (minute - five_minutes) / 4.0
}

fn considered(cluster: &Cluster<'_>, chosen: &Plan, single: &[Plan]) -> Vec<Considered> {
    let others = single.iter().filter(|plan| plan.action != chosen.action);
    others
        .map(|plan| {
            let words = match plan.action {
                Action::Shift => format!("shift {}", subject(cluster, plan)),
                Action::Move | Action::Split | Action::Spread | Action::Combine => told(cluster, plan).join("; "),
            };
            Considered {
                words,
                after: digits(plan.merit.after),
                bytes: plan.merit.bytes,
            }
        })
        .collect()
}

fn risk(cluster: &Cluster<'_>, plan: &Plan, evidence: &Evidence) -> Vec<String> {
    let mut risk = vec![format!(
        "Statements for what moves wait at its switch, some milliseconds; copying {} adds load to both sides for about {}.",
        words::bytes(plan.merit.bytes),
        words::span(duration(cluster, plan))
    )];
    let has_splits = plan
        .changes
        .iter()
        .any(|change| !matches!(change, Change::MoveBucket { .. }));
    if has_splits {
        risk.push("Where a split parts the load is estimated from sampled keys.".to_owned());
    }
    if plan
        .parts
        .iter()
        .any(|part| !cluster.parts.get(part).is_some_and(|bucket| bucket.is_measured))
    {
        risk.push("Some sizes aren't measured: the bytes are a guess.".to_owned());
    }
    if evidence.trend_per_minute > 0.02 {
        risk.push(format!(
            "Load is rising by {} of the capacity a minute: what is predicted may be passed soon.",
            percent(evidence.trend_per_minute)
        ));
    }
    if plan.merit.reach == Reach::Eases {
        risk.push(format!(
            "It doesn't bring all shards below {}: more will be needed.",
            percent(cluster.policy.clear)
        ));
    }
    risk
}

fn rollback(cluster: &Cluster<'_>, plan: &Plan) -> String {
    let from: BTreeSet<ShardId> = plan
        .parts
        .iter()
        .filter_map(|part| cluster.parts.get(part).map(|bucket| bucket.owner))
        .collect();
    let from: Vec<String> = from
        .into_iter()
        .map(|shard| cluster.topology.shard_name(shard).to_owned())
        .collect();
    let bytes = words::bytes(plan.merit.bytes);
    let has_splits = plan
        .changes
        .iter()
        .any(|change| !matches!(change, Change::MoveBucket { .. }));
    let splits = if has_splits {
        " A split stays; parts on one shard cost nothing."
    } else {
        ""
    };
    format!(
        "Until clean-up by the same switch the other way, at no cost; later by moving the same {bytes} back to {}.{splits}",
        words::list(&from)
    )
}

/// How many of the steps are told in words.
pub(super) fn steps_told(proposal: &Proposal) -> usize {
    if proposal.action == Action::Shift {
        0
    } else {
        proposal.steps.len().min(STEPS_TOLD)
    }
}
