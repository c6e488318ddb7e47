//! How a key becomes a place.

use std::ops::Range;

use super::{
    Bound, Bucket, BucketId, CategoryPlacement, CategorySource, HashPlacement, Labels, Place, Placed, RangePlacement,
    ShardId, ShardSet, Spread, Token,
};
use crate::value::{Key, KeyType};

/// Index of a keyspace in [`crate::topology::Topology::keyspaces`]; stable once stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyspaceId(u16);

impl KeyspaceId {
    /// The keyspace at this index.
    pub fn new(index: usize) -> Option<KeyspaceId> {
        u16::try_from(index).ok().map(KeyspaceId)
    }

    /// Its index.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a key becomes a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyspace {
    name: String,
    key_type: KeyType,
    labels: Labels,
    strategy: Strategy,
    /// owners of at least one bucket: a question that every fan-out asks
    shards: ShardSet,
}

/// The three ways of placing keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// Equal arcs of the token ring.
    Hash(HashPlacement),
    /// Ordered, exclusive upper bounds.
    Range(RangePlacement),
    /// By instrument category.
    Category(CategoryPlacement),
}

impl Strategy {
    /// As the config writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Strategy::Hash(_) => "hash",
            Strategy::Range(_) => "range",
            Strategy::Category(_) => "category",
        }
    }
}

impl Keyspace {
    pub(super) fn new(name: String, key_type: KeyType, labels: Labels, strategy: Strategy) -> Keyspace {
        let shards = match &strategy {
            Strategy::Hash(hash) => hash.owners().iter().copied().collect(),
            Strategy::Range(range) => range.owners().iter().copied().collect(),
            Strategy::Category(category) => category.owners().collect(),
        };
        Keyspace {
            name,
            key_type,
            labels,
            strategy,
            shards,
        }
    }

    /// Its name, unique in the topology.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type of the key columns of its tables (int2, int4 and int8 may be mixed).
    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// What the labels of a shard must contain to own a bucket; a category may demand more
    /// ([`Keyspace::labels_of`]).
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Does any bucket demand labels?
    pub(super) fn demands_labels(&self) -> bool {
        let of_categories = match &self.strategy {
            Strategy::Hash(_) | Strategy::Range(_) => false,
            Strategy::Category(category) => category.spreads().iter().any(|spread| !spread.labels().is_empty()),
        };
        of_categories || !self.labels.is_empty()
    }

    /// All that the labels of a shard must contain to own this bucket.
    pub fn labels_of(&self, bucket: BucketId) -> Labels {
        let mut labels = self.labels.clone();
        if let Strategy::Category(category) = &self.strategy
            && let Some((spread, _)) = category.bucket(bucket)
        {
            labels.extend(
                spread
                    .labels()
                    .iter()
                    .map(|(label, value)| (label.clone(), value.clone())),
            );
        }
        labels
    }

    /// The tokens of a bucket, both ends inclusive; `None` for ranges. In a category keyspace they count within the
    /// bucket's category.
    pub fn arc(&self, bucket: BucketId) -> Option<(Token, Token)> {
        match &self.strategy {
            Strategy::Hash(hash) => hash.arc(bucket),
            Strategy::Range(_) => None,
            Strategy::Category(category) => {
                let (spread, piece) = category.bucket(bucket)?;
                spread.arcs().piece(piece)
            }
        }
    }

    /// The category that a bucket belongs to; `None` for other strategies.
    pub fn spread_of(&self, bucket: BucketId) -> Option<&Spread> {
        match &self.strategy {
            Strategy::Hash(_) | Strategy::Range(_) => None,
            Strategy::Category(category) => category.bucket(bucket).map(|(spread, _)| spread),
        }
    }

    /// A category's buckets and their owners, in order of tokens; none if it isn't listed.
    pub fn buckets_of(&self, category: Option<&str>) -> Vec<(BucketId, ShardId)> {
        let Strategy::Category(placement) = &self.strategy else {
            return Vec::new();
        };
        let spread = placement
            .position(category)
            .and_then(|position| placement.spreads().get(position));
        spread.map(Spread::buckets).unwrap_or_default()
    }

    /// Buckets and their owners.
    pub fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// Where a key lies.
    pub fn place(&self, key: &Key) -> Placed {
        if !key.fits(self.key_type) {
            return Placed::Mistyped;
        }
        match &self.strategy {
            Strategy::Hash(hash) => {
                let bucket = hash.bucket_of(Token(key.hash()));
                located(bucket, hash.owners().get(bucket).copied()).unwrap_or(Placed::Mistyped)
            }
            Strategy::Range(range) => {
                let position = range.range_of(key);
                range
                    .bucket_at(position)
                    .and_then(|bucket| located(bucket, range.owners().get(position).copied()))
                    .unwrap_or(Placed::BeyondRanges)
            }
            Strategy::Category(category) => match category.source() {
                CategorySource::Lookup { .. } => Placed::CategoryNeeded,
                CategorySource::ByKey(listed) => match listed.get(&canonical(key)) {
                    Some(name) => in_category(category, key, name),
                    None => Placed::CategoryUnknown,
                },
                CategorySource::Key => in_category(category, key, &canonical(key)),
            },
        }
    }

    /// Where a key lies whose category is known; for other strategies the same as [`Keyspace::place`].
    pub fn place_in_category(&self, key: &Key, category: &str) -> Placed {
        match &self.strategy {
            Strategy::Category(_) if !key.fits(self.key_type) => Placed::Mistyped,
            Strategy::Category(placement) => in_category(placement, key, category),
            Strategy::Hash(_) | Strategy::Range(_) => self.place(key),
        }
    }

    /// Shards that may hold keys between two ends: all of the keyspace's but for range keyspaces; none if the ends cross.
    pub fn shards_between(&self, lower: Bound<'_>, upper: Bound<'_>) -> ShardSet {
        match &self.strategy {
            Strategy::Range(range) if self.fits(lower) && self.fits(upper) => range.shards_between(lower, upper),
            Strategy::Range(_) | Strategy::Hash(_) | Strategy::Category(_) => self.shards(),
        }
    }

    /// Places of the ranges that may hold keys between two ends, in order of keys; `None` if this is no range keyspace.
    pub fn ranges_between(&self, lower: Bound<'_>, upper: Bound<'_>) -> Option<Range<usize>> {
        match &self.strategy {
            Strategy::Range(range) if self.fits(lower) && self.fits(upper) => {
                Some(range.positions_between(lower, upper))
            }
            Strategy::Range(_) | Strategy::Hash(_) | Strategy::Category(_) => None,
        }
    }

    /// The bucket of the range at this place in order of keys.
    pub fn bucket_of_range(&self, place: usize) -> Option<BucketId> {
        match &self.strategy {
            Strategy::Range(range) => BucketId::new(range.bucket_at(place)?),
            Strategy::Hash(_) | Strategy::Category(_) => None,
        }
    }

    /// Is a bound of this keyspace's type?
    fn fits(&self, bound: Bound<'_>) -> bool {
        match bound {
            Bound::Open => true,
            Bound::Inclusive(key) | Bound::Exclusive(key) => Key::fits(key, self.key_type),
        }
    }

    /// Shards that own at least one bucket.
    pub fn shards(&self) -> ShardSet {
        self.shards
    }

    /// How many buckets it has.
    pub fn bucket_count(&self) -> usize {
        match &self.strategy {
            Strategy::Hash(hash) => hash.owners().len(),
            Strategy::Range(range) => range.owners().len(),
            Strategy::Category(category) => category.bucket_count(),
        }
    }

    /// All buckets in order.
    pub fn buckets(&self) -> Vec<Bucket> {
        (0..self.bucket_count())
            .filter_map(|index| self.bucket(BucketId::new(index)?))
            .collect()
    }

    /// One bucket with its name and bounds for people; `None` if there is no such bucket.
    pub fn bucket(&self, id: BucketId) -> Option<Bucket> {
        let shard = self.owner(id)?;
        let index = id.index();
        let (name, bounds) = match &self.strategy {
            Strategy::Hash(hash) => {
                let (low, high) = hash.arc(id)?;
                (index.to_string(), format!("tokens {} to {}", low.0, high.0))
            }
            Strategy::Range(range) => (index.to_string(), range.describe(range.position(index)?)),
            Strategy::Category(category) => {
                let (spread, piece) = category.bucket(id)?;
                (spread.bucket_name(piece), spread.describe(piece))
            }
        };
        Some(Bucket {
            id,
            name,
            shard,
            bounds,
        })
    }

    /// A bucket's owner.
    pub fn owner(&self, bucket: BucketId) -> Option<ShardId> {
        match &self.strategy {
            Strategy::Hash(hash) => hash.owners().get(bucket.index()).copied(),
            Strategy::Range(range) => range.owners().get(range.position(bucket.index())?).copied(),
            Strategy::Category(category) => {
                let (spread, piece) = category.bucket(bucket)?;
                spread.pieces().get(piece).map(|piece| piece.shard)
            }
        }
    }
}

/// The text by which categories know a key: equal keys of the types that are allowed there have equal texts.
pub(super) fn canonical(key: &Key) -> String {
    match key {
        Key::Bpchar(_) => key.to_text().trim_end_matches(' ').to_owned(),
        Key::Int(_)
        | Key::Text(_)
        | Key::Uuid(_)
        | Key::Date(_)
        | Key::Timestamp(_)
        | Key::Timestamptz(_)
        | Key::Numeric(_) => key.to_text(),
    }
}

fn in_category(placement: &CategoryPlacement, key: &Key, category: &str) -> Placed {
    placement
        .place(category, Token(key.hash()))
        .map_or(Placed::CategoryUnknown, Placed::At)
}

fn located(bucket: usize, shard: Option<ShardId>) -> Option<Placed> {
    Some(Placed::At(Place {
        bucket: BucketId::new(bucket)?,
        shard: shard?,
    }))
}
