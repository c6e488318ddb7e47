//! What the rebalancer changes: owners of buckets, and where one bucket becomes two.
//!
//! Why data: a proposal is shown, stored, simulated and carried out, by different programs at different times; all of them
//! mean the same by it.
//! Holds: a change names buckets that are there before it, never those it makes, so changes of different buckets can be
//! made in any order; no key changes its place but those that the change names; labels are kept.

use super::{
    BucketId, HashPlacement, Keyspace, KeyspaceId, ShardId, ShardState, Strategy, Token, Topology, TopologyError, arcs,
};
use crate::value::Key;

/// One change of placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A bucket gets another owner.
    MoveBucket {
        /// its keyspace
        keyspace: KeyspaceId,
        /// which
        bucket: BucketId,
        /// its new owner
        to: ShardId,
    },
    /// A bucket is cut in two: the lower part keeps id and owner, the upper one gets the next free id.
    SplitBucket {
        /// its keyspace
        keyspace: KeyspaceId,
        /// which
        bucket: BucketId,
        /// where the upper part begins
        at: SplitAt,
        /// owner of the upper part; it may be the present one
        to: ShardId,
    },
    /// A category's keys are spread over a group of shards: what straddles an arc of the group is split there.
    SpreadCategory {
        /// its keyspace
        keyspace: KeyspaceId,
        /// which; `None` for the categories that aren't listed
        category: Option<String>,
        /// owners, in order of tokens
        shards: Vec<ShardId>,
        /// the arcs
        at: SpreadAt,
    },
}

/// Where a bucket is split: the first of the upper part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SplitAt {
    /// in a hash keyspace, or within a category
    Token(Token),
    /// in a range keyspace
    Key(Key),
}

/// The arcs of a category that is spread over a group of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpreadAt {
    /// as many equal ones as there are shards
    Equal,
    /// the second and all further ones begin at these tokens
    Tokens(Vec<Token>),
}

/// Why a change can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeFault {
    /// It names a keyspace, bucket or category that isn't there.
    #[error("it names a keyspace, bucket or category that isn't there")]
    Unknown,
    /// It names a shard that doesn't serve.
    #[error("it names a shard that doesn't serve")]
    NotServing,
    /// The shard lacks a label that the bucket's owner must have.
    #[error("the shard lacks a label that the bucket's owner must have")]
    Labels,
    /// The bucket lies there already.
    #[error("the bucket lies there already")]
    AlreadyThere,
    /// The split point lies outside of the bucket, or at its beginning.
    #[error("the split point lies outside of the bucket, or at its beginning")]
    OutsideBucket,
    /// Hash keyspaces and categories are split at tokens, range keyspaces at keys of their type.
    #[error("hash keyspaces and categories are split at tokens, range keyspaces at keys of their type")]
    WrongSplitPoint,
    /// The key can't be stored exactly.
    #[error("the split point can't be stored exactly")]
    Unstorable,
    /// The keyspace would have too many buckets.
    #[error("the keyspace would have more than {} buckets", HashPlacement::BUCKETS_MAX)]
    TooManyBuckets,
    /// The arcs of a spread don't ascend, or there aren't as many as shards.
    #[error("a spread needs one arc per shard, in ascending order")]
    BadArcs,
}

impl Topology {
    /// The next epoch, with these changes made one after the other; an error names the first that can't be made.
    pub fn changed(&self, changes: &[Change]) -> Result<Topology, TopologyError> {
        let mut next = self.clone();
        next.epoch = self.epoch.next().ok_or(TopologyError::EpochsExhausted)?;
        for (index, change) in changes.iter().enumerate() {
            next.change(change)
                .map_err(|fault| TopologyError::Change { index, fault })?;
        }
        Ok(next)
    }

    /// May this shard own this bucket? It must serve and carry the labels that the bucket demands.
    pub fn may_own(&self, keyspace: KeyspaceId, bucket: BucketId, shard: ShardId) -> bool {
        let keyspace = self.keyspace(keyspace);
        keyspace.is_some_and(|keyspace| self.admits(keyspace, bucket, shard).is_ok())
    }

    fn admits(&self, keyspace: &Keyspace, bucket: BucketId, shard: ShardId) -> Result<(), ChangeFault> {
        let shard = self.shard(shard).filter(|shard| shard.state == ShardState::Serving);
        let shard = shard.ok_or(ChangeFault::NotServing)?;
        if shard.has_labels(&keyspace.labels_of(bucket)) {
            Ok(())
        } else {
            Err(ChangeFault::Labels)
        }
    }

    fn change(&mut self, change: &Change) -> Result<(), ChangeFault> {
        let (Change::MoveBucket { keyspace, .. }
        | Change::SplitBucket { keyspace, .. }
        | Change::SpreadCategory { keyspace, .. }) = change;
        let place = self.keyspaces.get(keyspace.index()).ok_or(ChangeFault::Unknown)?;
        let strategy = match change {
            Change::MoveBucket { bucket, to, .. } => {
                let owner = place.owner(*bucket).ok_or(ChangeFault::Unknown)?;
                self.admits(place, *bucket, *to)?;
                if owner == *to {
                    return Err(ChangeFault::AlreadyThere);
                }
                moved(place, *bucket, *to).ok_or(ChangeFault::Unknown)?
            }
            Change::SplitBucket { bucket, at, to, .. } => {
                place.owner(*bucket).ok_or(ChangeFault::Unknown)?;
                self.admits(place, *bucket, *to)?;
                split(place, *bucket, at, *to)?
            }
            Change::SpreadCategory {
                category, shards, at, ..
            } => {
                let bucket = first_bucket(place, category.as_deref()).ok_or(ChangeFault::Unknown)?;
                for shard in shards {
                    self.admits(place, bucket, *shard)?;
                }
                spread(place, category.as_deref(), shards, at)?
            }
        };
        let changed = Keyspace::new(
            place.name().to_owned(),
            place.key_type(),
            place.labels().clone(),
            strategy,
        );
        if let Some(slot) = self.keyspaces.get_mut(keyspace.index()) {
            *slot = changed;
        }
        Ok(())
    }
}

fn moved(keyspace: &Keyspace, bucket: BucketId, to: ShardId) -> Option<Strategy> {
    let mut strategy = keyspace.strategy().clone();
    match &mut strategy {
        Strategy::Hash(hash) => hash.set_owner(bucket.index(), to)?,
        Strategy::Range(range) => range.set_owner(bucket.index(), to)?,
        Strategy::Category(category) => category.set_owner(bucket, to)?,
    }
    Some(strategy)
}

fn split(keyspace: &Keyspace, bucket: BucketId, at: &SplitAt, to: ShardId) -> Result<Strategy, ChangeFault> {
    let room = usize::try_from(HashPlacement::BUCKETS_MAX).unwrap_or(usize::MAX);
    if keyspace.bucket_count() >= room {
        return Err(ChangeFault::TooManyBuckets);
    }
    let mut strategy = keyspace.strategy().clone();
    match (&mut strategy, at) {
        (Strategy::Range(range), SplitAt::Key(key)) => {
            if !key.fits(keyspace.key_type()) {
                return Err(ChangeFault::WrongSplitPoint);
            }
            let reads_back = Key::parse_text(keyspace.key_type(), key.to_text().as_bytes());
            if !reads_back.is_ok_and(|again| again == *key) {
                return Err(ChangeFault::Unstorable);
            }
            range
                .split(bucket.index(), key.clone(), to)
                .ok_or(ChangeFault::OutsideBucket)?;
        }
        (Strategy::Hash(hash), SplitAt::Token(at)) => {
            let (low, high) = hash.arc(bucket).ok_or(ChangeFault::Unknown)?;
            if *at <= low || *at > high {
                return Err(ChangeFault::OutsideBucket);
            }
            hash.split(*at, to).ok_or(ChangeFault::OutsideBucket)?;
        }
        (Strategy::Category(category), SplitAt::Token(at)) => {
            let (spread, piece) = category.bucket(bucket).ok_or(ChangeFault::Unknown)?;
            let (low, high) = spread.arcs().piece(piece).ok_or(ChangeFault::Unknown)?;
            let position = category.position(spread.category()).ok_or(ChangeFault::Unknown)?;
            if *at <= low || *at > high {
                return Err(ChangeFault::OutsideBucket);
            }
            category.split(position, *at, to).ok_or(ChangeFault::OutsideBucket)?;
        }
        (Strategy::Range(_), SplitAt::Token(_)) | (Strategy::Hash(_) | Strategy::Category(_), SplitAt::Key(_)) => {
            return Err(ChangeFault::WrongSplitPoint);
        }
    }
    Ok(strategy)
}

fn first_bucket(keyspace: &Keyspace, category: Option<&str>) -> Option<BucketId> {
    let Strategy::Category(placement) = keyspace.strategy() else {
        return None;
    };
    let spread = placement.spreads().get(placement.position(category)?)?;
    spread.pieces().first().map(|piece| piece.bucket)
}

fn spread(
    keyspace: &Keyspace,
    category: Option<&str>,
    shards: &[ShardId],
    at: &SpreadAt,
) -> Result<Strategy, ChangeFault> {
    let Strategy::Category(placement) = keyspace.strategy() else {
        return Err(ChangeFault::Unknown);
    };
    let mut placement = placement.clone();
    let position = placement.position(category).ok_or(ChangeFault::Unknown)?;
    let starts = starts(shards.len(), at)?;
    let first = *shards.first().ok_or(ChangeFault::BadArcs)?;
    let room = usize::try_from(HashPlacement::BUCKETS_MAX).unwrap_or(usize::MAX);
    if keyspace.bucket_count().saturating_add(starts.len()) > room {
        return Err(ChangeFault::TooManyBuckets);
    }
    for start in &starts {
        // Where a bucket begins there already, nothing is to be cut.
        let _cut: Option<()> = placement.split(position, *start, first);
    }
    let placed = placement.spreads().get(position).ok_or(ChangeFault::Unknown)?;
    let mut owners = Vec::new();
    for (bucket, _) in placed.buckets() {
        let piece = placed.pieces().iter().position(|piece| piece.bucket == bucket);
        let (low, _) = piece
            .and_then(|piece| placed.arcs().piece(piece))
            .ok_or(ChangeFault::Unknown)?;
        let arc = starts.partition_point(|start| *start <= low);
        owners.push((bucket, *shards.get(arc).ok_or(ChangeFault::BadArcs)?));
    }
    for (bucket, owner) in owners {
        placement.set_owner(bucket, owner).ok_or(ChangeFault::Unknown)?;
    }
    Ok(Strategy::Category(placement))
}

/// Where the second and all further arcs of a spread over so many shards begin; `None` if they don't ascend, or aren't as
/// many.
pub fn spread_starts(shards: usize, at: &SpreadAt) -> Option<Vec<Token>> {
    starts(shards, at).ok()
}

fn starts(shards: usize, at: &SpreadAt) -> Result<Vec<Token>, ChangeFault> {
    let starts = match at {
        SpreadAt::Tokens(tokens) => tokens.clone(),
        SpreadAt::Equal => (1..shards)
            .filter_map(|index| arcs::arc(index, shards).map(|(low, _)| low))
            .collect(),
    };
    let ascends = starts.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let begins = starts.first().is_none_or(|first| first.0 > i64::MIN);
    if ascends && begins && starts.len().checked_add(1) == Some(shards) {
        Ok(starts)
    } else {
        Err(ChangeFault::BadArcs)
    }
}

#[cfg(test)]
#[path = "change_tests.rs"]
mod tests;
