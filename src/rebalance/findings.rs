//! What no proposal helps, or not yet; and what would.

use std::time::Duration;

use super::cluster::{Cluster, PartId};
use super::search::{Found, Plan, Reach};
use super::tail::Drift;
use super::words::percent;
use super::{Finding, FindingKind};
use crate::topology::{ShardId, ShardSet};

/// A key that alone uses this part of its shard's load is why nothing helps.
const ONE_KEY: f64 = 0.4;
/// Load that belongs to no bucket and is this part of the shard's is worth a word.
const SCANS: f64 = 0.4;
/// A bucket with this part of its shard's load is worth a word.
const MUCH: f64 = 0.3;

/// An overloaded shard and what was found for it.
pub(super) struct Trouble<'a> {
    pub(super) cluster: &'a Cluster<'a>,
    pub(super) shard: ShardId,
    pub(super) busy: &'a [f64],
    pub(super) chosen: Option<&'a Plan>,
    pub(super) found: &'a Found,
    pub(super) hot_all: ShardSet,
}

/// Load of another epoch can't be judged: its buckets may be others.
pub(super) fn other_epoch(cluster: &Cluster<'_>) -> Option<Finding> {
    let epoch = cluster.topology.epoch();
    Some(Finding {
        kind: FindingKind::OtherEpoch,
        shard: None,
        keyspace: None,
        bucket: None,
        what: format!("load was measured under another epoch than {epoch}, the present one"),
        helps: "Wait for the next measurement, a few seconds.".to_owned(),
    })
}

/// Windows that are younger than a minute can't be told from a spike.
pub(super) fn warming(cluster: &Cluster<'_>, measured: Duration) -> Vec<Finding> {
    let pressed = cluster
        .shards
        .iter()
        .filter(|(_, load)| load.utilisation().ten_seconds > cluster.policy.threshold);
    pressed
        .map(|(shard, load)| Finding {
            shard: Some(cluster.topology.shard_name(*shard).to_owned()),
            ..bare(
                FindingKind::Warming,
                format!(
                    "{} is at {} of its capacity, but load has been measured for {} s only",
                    cluster.topology.shard_name(*shard),
                    percent(load.utilisation().ten_seconds),
                    measured.as_secs()
                ),
                "Wait until load has been measured for a minute.",
            )
        })
        .collect()
}

/// Shards that are over the threshold for a moment.
pub(super) fn spikes(cluster: &Cluster<'_>, hot: &[ShardId]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (shard, load) in &cluster.shards {
        let used = load.utilisation();
        if hot.contains(shard) || used.ten_seconds <= cluster.policy.threshold {
            continue;
        }
        let name = cluster.topology.shard_name(*shard);
        findings.push(Finding {
            shard: Some(name.to_owned()),
            ..bare(
                FindingKind::Spike,
                format!(
                    "{name} is at {} of its capacity over 10 s, and at {} over a minute: not for long yet",
                    percent(used.ten_seconds),
                    percent(used.minute)
                ),
                "Nothing yet. What lasts is proposed for within a minute and a half.",
            )
        });
    }
    findings
}

fn bare(kind: FindingKind, what: String, helps: &str) -> Finding {
    Finding {
        kind,
        shard: None,
        keyspace: None,
        bucket: None,
        what,
        helps: helps.to_owned(),
    }
}

/// What is to be said of an overloaded shard beside its proposal, or instead of one.
pub(super) fn of(trouble: &Trouble<'_>) -> Vec<Finding> {
    if trouble.cluster.shards.len() == 1 {
        return vec![trouble.alone()];
    }
    let mut findings = Vec::new();
    findings.extend(trouble.scans());
    findings.extend(trouble.tails());
    if trouble.chosen.is_some_and(|plan| plan.merit.reach > Reach::Eases) {
        return findings;
    }
    if let Some(cooling) = trouble.cooling() {
        findings.push(cooling);
        return findings;
    }
    findings.extend(trouble.hot_key());
    findings.extend(trouble.labels());
    findings.extend(trouble.few_samples());
    findings.extend(trouble.full());
    if trouble.found.is_over_budget {
        findings.push(trouble.over_budget());
    }
    if findings.is_empty() && trouble.chosen.is_none() {
        findings.push(trouble.nothing_helps());
    }
    findings
}

/// The heaviest bucket of a shard of whose load much rests: it has just moved, or its keyspace has, and the windows still
/// hold half of what was before.
pub(super) fn resting(cluster: &Cluster<'_>, shard: ShardId, load: f64) -> Option<PartId> {
    let resting = cluster
        .parts
        .iter()
        .filter(|(part, bucket)| bucket.owner == shard && !cluster.is_free(**part));
    let busy: f64 = resting.clone().map(|(_, bucket)| bucket.busy).sum();
    if busy < MUCH * load {
        return None;
    }
    let heaviest = resting.max_by(|a, b| a.1.busy.total_cmp(&b.1.busy).then(b.0.cmp(a.0)));
    heaviest.map(|(part, _)| *part)
}

impl Trouble<'_> {
    fn name(&self) -> &str {
        self.cluster.topology.shard_name(self.shard)
    }

    fn load(&self) -> f64 {
        self.busy.get(self.shard.index()).copied().unwrap_or(0.0)
    }

    fn finding(&self, kind: FindingKind, part: Option<PartId>, what: String, helps: String) -> Finding {
        Finding {
            kind,
            shard: Some(self.name().to_owned()),
            keyspace: part.map(|(keyspace, _)| self.cluster.keyspace_name(keyspace).to_owned()),
            bucket: part.map(|(_, bucket)| bucket.index()),
            what,
            helps,
        }
    }

    /// Its statements are relayed unplanned, so nothing is known of buckets.
    fn alone(&self) -> Finding {
        let load = self.cluster.shards.get(&self.shard);
        let used = load.map_or(0.0, |load| load.utilisation().minute);
        self.finding(
            FindingKind::ClusterFull,
            None,
            format!("{} is the only shard, at {} of its capacity", self.name(), percent(used)),
            "Add a shard, empty as it may be: with two, load is seen by bucket, and within two minutes it is said which to move."
                .to_owned(),
        )
    }

    fn scans(&self) -> Option<Finding> {
        let load = self.cluster.shards.get(&self.shard)?;
        let part = load.unattributed.minute / load.busy.minute.max(f64::MIN_POSITIVE);
        if part < SCANS {
            return None;
        }
        Some(self.finding(
            FindingKind::Scans,
            None,
            format!(
                "{} of the load of {} belongs to no bucket: statements over all shards, reference and unsharded tables",
                percent(part),
                self.name()
            ),
            "Give those statements a key or an index, or let them read from replicas; moving buckets doesn't lighten them."
                .to_owned(),
        ))
    }

    fn tails(&self) -> Vec<Finding> {
        let parts = self.cluster.parts.iter();
        let heavy = parts.filter(|(_, bucket)| bucket.owner == self.shard && bucket.busy >= MUCH * self.load());
        let mut findings = Vec::new();
        for (part, _) in heavy {
            let Drift::Tail(ahead) = self.cluster.drift(*part) else {
                continue;
            };
            let target = self.emptiest().unwrap_or("another shard");
            let helps = match ahead {
                Some(key) => format!(
                    "Pre-split the next range: give keys from {key} on, ten minutes from now, to {target}. No byte moves."
                ),
                None => {
                    format!("Pre-split the next range: give keys that aren't reached yet to {target}. No byte moves.")
                }
            };
            let name = self.cluster.name(*part);
            let what = format!(
                "the load of {name} sits at its upper end and moves on as keys grow: a split at its median wouldn't last"
            );
            findings.push(self.finding(FindingKind::AppendOnlyTail, Some(*part), what, helps));
        }
        findings
    }

    fn hot_key(&self) -> Option<Finding> {
        let (part, key, busy) = self.cluster.heavy_keys(self.shard).into_iter().next()?;
        let share = busy / self.load().max(f64::MIN_POSITIVE);
        if share < ONE_KEY {
            return None;
        }
        let keyspace = self.cluster.keyspace_name(part.0);
        Some(self.finding(
            FindingKind::HotKey,
            Some(part),
            format!(
                "one key of keyspace {keyspace}, {key}, is {} of the load of {}: no split parts it",
                percent(share),
                self.name()
            ),
            "Shard by a finer key, cache what is read of it, or give this shard more capacity.".to_owned(),
        ))
    }

    fn cooling(&self) -> Option<Finding> {
        let part = resting(self.cluster, self.shard, self.load())?;
        let name = self.cluster.name(part);
        Some(self.finding(
            FindingKind::Cooling,
            Some(part),
            format!("{name} is left alone for a while: buckets of its keyspace have just moved"),
            "Wait until the load after that move has been measured.".to_owned(),
        ))
    }

    fn labels(&self) -> Option<Finding> {
        let part = *super::search::heaviest(self.cluster, self.shard).first()?;
        let wanted = self.cluster.topology.keyspace(part.0)?.labels_of(part.1);
        let has_room = |shard: &ShardId| {
            self.cluster.used(*shard, self.busy) < self.cluster.policy.clear && !self.hot_all.contains(*shard)
        };
        let mut roomy = self.cluster.shards.keys().filter(|shard| has_room(shard)).peekable();
        roomy.peek()?;
        if wanted.is_empty() || roomy.any(|shard| self.cluster.topology.may_own(part.0, part.1, *shard)) {
            return None;
        }
        let labels: Vec<String> = wanted
            .iter()
            .map(|(label, value)| format!("{label}: {value}"))
            .collect();
        let (name, labels) = (self.cluster.name(part), labels.join(", "));
        Some(self.finding(
            FindingKind::LabelsBind,
            Some(part),
            format!("{name} must stay on shards with {labels}, and none of those has room"),
            format!("Add a shard with {labels}."),
        ))
    }

    fn few_samples(&self) -> Option<Finding> {
        let part = *super::search::heaviest(self.cluster, self.shard).first()?;
        let bucket = self.cluster.parts.get(&part)?;
        if bucket.busy < MUCH * self.load() || self.cluster.density(part).is_some() {
            return None;
        }
        let name = self.cluster.name(part);
        Some(self.finding(
            FindingKind::FewSamples,
            Some(part),
            format!("too few keys of {name} have been sampled to know where to split it"),
            "Wait; keys are sampled as statements run.".to_owned(),
        ))
    }

    fn full(&self) -> Option<Finding> {
        let capacity: f64 = self.cluster.shards.values().map(|load| load.capacity).sum();
        let shards = self.cluster.shards.keys();
        let busy: f64 = shards
            .map(|shard| self.busy.get(shard.index()).copied().unwrap_or(0.0))
            .sum();
        let mean = if capacity > 0.0 { busy / capacity } else { 0.0 };
        let is_helped = self
            .chosen
            .is_some_and(|plan| plan.merit.after <= self.cluster.policy.threshold);
        if mean < self.cluster.policy.clear || is_helped {
            return None;
        }
        Some(bare(
            FindingKind::ClusterFull,
            format!("all shards together are at {} of their capacity", percent(mean)),
            "Add a shard, or capacity; moving load between full shards doesn't last.",
        ))
    }

    fn over_budget(&self) -> Finding {
        let policy = self.cluster.policy;
        self.finding(
            FindingKind::BudgetSpent,
            None,
            format!(
                "what would help {} costs more than the budget leaves ({} in an hour, {} buckets in a day)",
                self.name(),
                super::words::bytes(policy.bytes_per_hour),
                policy.moves_per_day
            ),
            "Wait until earlier moves are an hour old, or allow more.".to_owned(),
        )
    }

    fn nothing_helps(&self) -> Finding {
        self.finding(
            FindingKind::NothingHelps,
            None,
            format!(
                "{} is overloaded, and no move or split lowers it by {} or more",
                self.name(),
                percent(self.cluster.policy.gain_least)
            ),
            "Add a shard, or give this one more capacity.".to_owned(),
        )
    }

    fn emptiest(&self) -> Option<&str> {
        let shards = self.cluster.shards.keys().filter(|shard| **shard != self.shard);
        let emptiest = shards.min_by(|a, b| {
            let order = self
                .cluster
                .used(**a, self.busy)
                .total_cmp(&self.cluster.used(**b, self.busy));
            order.then(a.cmp(b))
        })?;
        Some(self.cluster.topology.shard_name(*emptiest))
    }
}
