//! Category keyspaces: a key's category says its shards.
//!
//! Why: a market's load follows its instruments' categories, and an operator thinks in them.
//! Holds: buckets are numbered by age, in order of first declaration at the start, and never renumbered; a category spread
//! over several shards has one bucket per shard, an equal arc of the key's token each, until changes cut and move them.

use std::collections::BTreeMap;

use super::arcs::Arcs;
use super::{BucketId, Labels, Place, QualifiedName, ShardId, Token};

/// Where a key's category comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CategorySource {
    /// A reference table: the row whose `key` column holds the key has it in its `category` column.
    Lookup {
        /// a reference table
        table: QualifiedName,
        /// its column that holds keys
        key: String,
        /// its column that holds categories
        category: String,
    },
    /// The config lists it: key (in its type's canonical text) → category.
    ByKey(BTreeMap<String, String>),
    /// The key is the category.
    Key,
}

/// A category as declared: one shard, or several that its keys are spread over by their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpreadOver {
    /// the category; `None` for the default
    pub(super) category: Option<String>,
    /// never empty; the key's token falls into one of as many equal arcs
    pub(super) shards: Vec<ShardId>,
    /// what its shards' labels must contain
    pub(super) labels: Labels,
}

/// One category's buckets: arcs of the key's token, each with an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    category: Option<String>,
    labels: Labels,
    arcs: Arcs,
    /// by piece of `arcs`
    pieces: Vec<Piece>,
}

/// A bucket of a category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bucket: BucketId,
    pub(super) shard: ShardId,
}

/// Categories and their shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryPlacement {
    source: CategorySource,
    spreads: Vec<Spread>,
    /// category → its place in `spreads`
    index: BTreeMap<String, usize>,
    default: Option<usize>,
    /// bucket → its place in `spreads`, and its piece there
    buckets: Vec<(usize, usize)>,
}

/// Where a list of categories goes wrong.
pub(super) enum CategoryFault {
    /// neither categories nor a default
    Empty,
    /// listed twice
    Twice(Option<String>),
    /// no shards
    WithoutShard(Option<String>),
    /// the same shard twice
    ShardTwice(Option<String>, ShardId),
    /// buckets' numbers have gaps, or one is given twice
    Misnumbered,
}

impl CategoryPlacement {
    /// Checks declared categories against each other and numbers their buckets; the source is the caller's to check.
    pub(super) fn new(source: CategorySource, declared: &[SpreadOver]) -> Result<CategoryPlacement, CategoryFault> {
        let mut spreads: Vec<Spread> = Vec::new();
        let mut next = 0;
        for spread in declared {
            for (listed, shard) in spread.shards.iter().enumerate() {
                if spread.shards.iter().take(listed).any(|other| other == shard) {
                    return Err(CategoryFault::ShardTwice(spread.category.clone(), *shard));
                }
            }
            spreads.push(Spread::declared(spread, next).ok_or(CategoryFault::Misnumbered)?);
            next = next.saturating_add(spread.shards.len());
        }
        CategoryPlacement::of(source, spreads)
    }

    /// Checks placed categories against each other.
    pub(super) fn of(source: CategorySource, spreads: Vec<Spread>) -> Result<CategoryPlacement, CategoryFault> {
        if spreads.is_empty() {
            return Err(CategoryFault::Empty);
        }
        let mut index = BTreeMap::new();
        let mut default = None;
        let mut buckets = vec![None; spreads.iter().map(|spread| spread.pieces.len()).sum()];
        for (position, spread) in spreads.iter().enumerate() {
            if spread.pieces.is_empty() {
                return Err(CategoryFault::WithoutShard(spread.category.clone()));
            }
            let before = match &spread.category {
                Some(category) => index.insert(category.clone(), position),
                None => default.replace(position),
            };
            if before.is_some() {
                return Err(CategoryFault::Twice(spread.category.clone()));
            }
            for (piece, placed) in spread.pieces.iter().enumerate() {
                let slot = buckets.get_mut(placed.bucket.index()).filter(|slot| slot.is_none());
                *slot.ok_or(CategoryFault::Misnumbered)? = Some((position, piece));
            }
        }
        let buckets = buckets.into_iter().collect::<Option<Vec<_>>>();
        Ok(CategoryPlacement {
            source,
            spreads,
            index,
            default,
            buckets: buckets.ok_or(CategoryFault::Misnumbered)?,
        })
    }

    /// Where a key's category comes from.
    pub fn source(&self) -> &CategorySource {
        &self.source
    }

    /// Categories in order of their first declaration.
    pub fn spreads(&self) -> &[Spread] {
        &self.spreads
    }

    /// Is there a place for categories that aren't listed?
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The place of a key with this token and category; `None` if that isn't listed and there is no default.
    pub(super) fn place(&self, category: &str, token: Token) -> Option<Place> {
        let spread = self.spreads.get(self.index.get(category).copied().or(self.default)?)?;
        let piece = spread.pieces.get(spread.arcs.piece_of(token))?;
        Some(Place {
            bucket: piece.bucket,
            shard: piece.shard,
        })
    }

    /// Owners by bucket.
    pub(super) fn owners(&self) -> impl Iterator<Item = ShardId> {
        let pieces = self.buckets.iter();
        pieces.filter_map(|(spread, piece)| Some(self.spreads.get(*spread)?.pieces.get(*piece)?.shard))
    }

    /// How many buckets there are.
    pub(super) fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// A bucket's category, and its piece there.
    pub(super) fn bucket(&self, bucket: BucketId) -> Option<(&Spread, usize)> {
        let (spread, piece) = self.buckets.get(bucket.index())?;
        Some((self.spreads.get(*spread)?, *piece))
    }

    /// One category's place among the spreads.
    pub(super) fn position(&self, category: Option<&str>) -> Option<usize> {
        match category {
            Some(category) => self.index.get(category).copied(),
            None => self.default,
        }
    }

    pub(super) fn set_owner(&mut self, bucket: BucketId, owner: ShardId) -> Option<()> {
        let (spread, piece) = *self.buckets.get(bucket.index())?;
        self.spreads.get_mut(spread)?.pieces.get_mut(piece)?.shard = owner;
        Some(())
    }

    /// Cuts a new bucket off the category at this place; `None` if one begins there already.
    pub(super) fn split(&mut self, spread: usize, at: Token, owner: ShardId) -> Option<()> {
        let bucket = BucketId::new(self.buckets.len())?;
        let target = self.spreads.get_mut(spread)?;
        let piece = target.arcs.cut(at)?;
        target.pieces.push(Piece { bucket, shard: owner });
        self.buckets.push((spread, piece));
        Some(())
    }
}

impl Spread {
    /// Buckets and owners by piece, of which there are as many as the arcs have.
    pub(super) fn placed(
        category: Option<String>,
        labels: Labels,
        arcs: Arcs,
        buckets: Vec<BucketId>,
        owners: &[ShardId],
    ) -> Spread {
        let pieces = buckets.into_iter().zip(owners);
        Spread {
            category,
            labels,
            arcs,
            pieces: pieces.map(|(bucket, shard)| Piece { bucket, shard: *shard }).collect(),
        }
    }

    /// The declared one: equal arcs, numbered from `first`.
    pub(super) fn declared(declared: &SpreadOver, first: usize) -> Option<Spread> {
        let buckets = numbered(first, declared.shards.len())?;
        let (category, labels) = (declared.category.clone(), declared.labels.clone());
        let arcs = Arcs::equal(declared.shards.len());
        Some(Spread::placed(category, labels, arcs, buckets, &declared.shards))
    }

    /// The same arcs and owners for another category, numbered from `first`: its keys lay with this one's until now.
    pub(super) fn like(&self, category: Option<String>, labels: Labels, first: usize) -> Option<Spread> {
        let owners: Vec<ShardId> = self.pieces.iter().map(|piece| piece.shard).collect();
        let buckets = numbered(first, owners.len())?;
        Some(Spread::placed(category, labels, self.arcs.clone(), buckets, &owners))
    }

    /// Its name; `None` for the categories that aren't listed.
    pub fn category(&self) -> Option<&str> {
        self.category.as_deref()
    }

    /// What the labels of a shard must contain to own a part of it.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn set_labels(&mut self, labels: &Labels) {
        self.labels.clone_from(labels);
    }

    /// Its buckets and their owners, in order of tokens.
    pub fn buckets(&self) -> Vec<(BucketId, ShardId)> {
        let order = self.arcs.in_order();
        let pieces = order.into_iter().filter_map(|piece| self.pieces.get(piece));
        pieces.map(|piece| (piece.bucket, piece.shard)).collect()
    }

    /// Its owners, each once, in order of their first tokens: what a config says of it.
    pub fn shards(&self) -> Vec<ShardId> {
        let mut shards = Vec::new();
        for (_, shard) in self.buckets() {
            if !shards.contains(&shard) {
                shards.push(shard);
            }
        }
        shards
    }

    pub(super) fn arcs(&self) -> &Arcs {
        &self.arcs
    }

    /// By age.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// A bucket's short name.
    pub(super) fn bucket_name(&self, piece: usize) -> String {
        let category = self.category.as_deref().unwrap_or("(default)");
        if self.pieces.len() == 1 {
            category.to_owned()
        } else {
            format!("{category}/{piece}")
        }
    }

    /// What belongs to a bucket, for people.
    pub(super) fn describe(&self, piece: usize) -> String {
        let category = match &self.category {
            Some(category) => format!("category {category}"),
            None => "categories not listed".to_owned(),
        };
        match self.arcs.piece(piece) {
            Some((low, high)) if self.pieces.len() > 1 => format!("{category}, tokens {} to {}", low.0, high.0),
            _ => category,
        }
    }
}

fn numbered(first: usize, count: usize) -> Option<Vec<BucketId>> {
    (first..first.checked_add(count)?).map(BucketId::new).collect()
}
