//! What was before: how long shards have been pressed, what was proposed, what was carried out.
//!
//! Why kept by the caller: a judge that remembers can't be asked twice. A proxy that has just taken over starts with an
//! empty one and learns what it needs within a minute.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::proposal::Proposal;
use super::tail::Sighting;
use crate::telemetry::{LoadSnapshot, Moment, Week};
use crate::topology::{BucketId, Change, KeyspaceId, ShardId, Topology};

/// The 10 s window of a load that is going away lies below this part of the 1 m window: after a spike of 15 s, whatever its
/// height, within 20 s.
const FADING: f64 = 0.7;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// Sightings of a range's keys are so far apart, and so many are kept.
const SIGHTING_EVERY: Duration = Duration::from_secs(20);
const SIGHTINGS_MAX: usize = 6;

/// What was before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    seen: Option<Moment>,
    shards: BTreeMap<ShardId, Watched>,
    ranges: BTreeMap<(KeyspaceId, BucketId), Vec<Sighting>>,
    standing: Vec<Standing>,
    moves: Vec<Moved>,
    week: Arc<Week>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Watched {
    /// since when the 10 s window has been above the threshold without a break
    pressed: Option<Moment>,
    /// since when it counts as overloaded
    overloaded: Option<Moment>,
}

/// A proposal that was made and not yet carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standing {
    pub(super) from: ShardId,
    pub(super) changes: Vec<Change>,
    pub(super) created: Moment,
    expires: Moment,
    identity: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Moved {
    at: Moment,
    bytes: u64,
    buckets: Vec<(KeyspaceId, BucketId)>,
}

impl History {
    /// Nothing yet.
    pub fn new() -> History {
        History::default()
    }

    /// Takes note of a snapshot. To be called with each one, before judging it; an older one than the last says nothing.
    pub fn observe(&mut self, load: &LoadSnapshot, topology: &Topology, policy: &Policy) {
        if self.seen.is_some_and(|seen| load.at < seen) {
            return;
        }
        self.seen = Some(load.at);
        for shard in &load.shards {
            let used = shard.utilisation();
            let watched = self.shards.entry(shard.shard).or_default();
            let presses = used.ten_seconds > policy.threshold && used.ten_seconds > FADING * used.minute;
            watched.pressed = presses.then(|| watched.pressed.unwrap_or(load.at));
            let held = watched.pressed.map(|since| load.at.since(since));
            if held >= Some(policy.hold) && used.minute > policy.threshold {
                watched.overloaded.get_or_insert(load.at);
            } else if used.five_minutes < policy.clear && used.minute < policy.clear {
                watched.overloaded = None;
            }
        }
        self.observe_ranges(load, topology);
        self.standing.retain(|standing| standing.expires > load.at);
        self.moves.retain(|moved| load.at.since(moved.at) < DAY);
    }

    fn observe_ranges(&mut self, load: &LoadSnapshot, topology: &Topology) {
        for (bucket, sighting) in Sighting::all(load, topology) {
            let sightings = self.ranges.entry(bucket).or_default();
            let is_due = sightings
                .last()
                .is_none_or(|last| load.at.since(last.at) >= SIGHTING_EVERY);
            if is_due {
                sightings.push(sighting);
                let over = sightings.len().saturating_sub(SIGHTINGS_MAX);
                sightings.drain(..over);
            }
        }
        // Ranges are few, but a keyspace may go through many over the years.
        self.ranges
            .retain(|_, sightings| sightings.last().is_some_and(|last| load.at.since(last.at) < HOUR));
    }

    /// What the past weeks say of the hours.
    pub fn know(&mut self, week: Arc<Week>) {
        self.week = week;
    }

    pub(super) fn week(&self) -> &Week {
        &self.week
    }

    /// Takes note of all proposals that stand; others that were known do no more.
    pub fn standing_are(&mut self, open: &[Proposal], topology: &Topology) {
        self.standing.clear();
        for proposal in open {
            self.proposed(proposal, topology);
        }
    }

    /// Takes note of a proposal that was made or renewed.
    pub fn proposed(&mut self, proposal: &Proposal, topology: &Topology) {
        self.standing.retain(|standing| standing.identity != proposal.identity);
        let (Some(from), Ok(changes)) = (topology.shard_by_name(&proposal.from), proposal.changes(topology)) else {
            return;
        };
        self.standing.push(Standing {
            from,
            changes,
            created: proposal.created(),
            expires: proposal.expires(),
            identity: proposal.identity.clone(),
        });
        self.standing.sort_by(|a, b| a.identity.cmp(&b.identity));
    }

    /// Takes note that a proposal was carried out on this topology, the one before it.
    pub fn carried_out(&mut self, proposal: &Proposal, topology: &Topology, at: Moment) {
        self.standing.retain(|standing| standing.identity != proposal.identity);
        let changes = proposal.changes(topology).unwrap_or_default();
        self.moves.push(Moved {
            at,
            bytes: proposal.bytes,
            buckets: changes.iter().flat_map(|change| touched(change, topology)).collect(),
        });
    }

    // === what the judge asks ===

    pub(super) fn pressed_for(&self, shard: ShardId, now: Moment) -> Option<Duration> {
        self.shards.get(&shard)?.pressed.map(|since| now.since(since))
    }

    pub(super) fn overloaded(&self) -> Vec<ShardId> {
        let watched = self.shards.iter();
        watched
            .filter(|(_, watched)| watched.overloaded.is_some())
            .map(|(shard, _)| *shard)
            .collect()
    }

    pub(super) fn sightings(&self, keyspace: KeyspaceId, bucket: BucketId) -> &[Sighting] {
        self.ranges.get(&(keyspace, bucket)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn standing(&self, from: ShardId, now: Moment) -> impl Iterator<Item = &Standing> {
        let of_shard = move |standing: &&Standing| standing.from == from && standing.expires > now;
        self.standing.iter().filter(of_shard)
    }

    pub(super) fn is_cooling(&self, keyspace: KeyspaceId, bucket: BucketId, policy: &Policy, now: Moment) -> bool {
        self.moves.iter().any(|moved| {
            let ago = now.since(moved.at);
            (ago < policy.keyspace_cooldown && moved.buckets.iter().any(|(known, _)| *known == keyspace))
                || (ago < policy.bucket_cooldown && moved.buckets.contains(&(keyspace, bucket)))
        })
    }

    /// Has anything been moved since the windows last forgot what was before?
    pub(super) fn has_just_moved(&self, policy: &Policy, now: Moment) -> bool {
        let mut moves = self.moves.iter();
        moves.any(|moved| now.since(moved.at) < policy.keyspace_cooldown)
    }

    /// Bytes of the last hour's moves.
    pub(super) fn bytes_of_hour(&self, now: Moment) -> u64 {
        let recent = self.moves.iter().filter(|moved| now.since(moved.at) < HOUR);
        recent.map(|moved| moved.bytes).fold(0, u64::saturating_add)
    }

    /// Buckets that the last day's moves touched.
    pub(super) fn moves_of_day(&self, now: Moment) -> usize {
        let recent = self.moves.iter().filter(|moved| now.since(moved.at) < DAY);
        recent.map(|moved| moved.buckets.len()).sum()
    }
}

/// The buckets that a change names.
pub(super) fn touched(change: &Change, topology: &Topology) -> Vec<(KeyspaceId, BucketId)> {
    match change {
        Change::MoveBucket { keyspace, bucket, .. } | Change::SplitBucket { keyspace, bucket, .. } => {
            vec![(*keyspace, *bucket)]
        }
        Change::SpreadCategory { keyspace, category, .. } => {
            let buckets = topology
                .keyspace(*keyspace)
                .map(|found| found.buckets_of(category.as_deref()));
            let buckets = buckets.unwrap_or_default().into_iter();
            buckets.map(|(bucket, _)| (*keyspace, bucket)).collect()
        }
    }
}
