//! Category keyspaces: a key's category says its shards.
//!
//! Why: a market's load follows its instruments' categories, and an operator thinks in them.
//! Holds: buckets are numbered in order of first declaration and never renumbered; a category spread over several shards
//! has one bucket per shard, an equal arc of the key's token each.

use std::collections::BTreeMap;

use super::{Place, QualifiedName, ShardId, Token, arcs, bucket::BucketId};

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

/// A category's shards: one, or several that its keys are spread over by their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpreadOver {
    /// the category; `None` for the default
    pub category: Option<String>,
    /// never empty; the key's token falls into one of as many equal arcs
    pub shards: Vec<ShardId>,
}

/// Categories and their shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryPlacement {
    source: CategorySource,
    spreads: Vec<SpreadOver>,
    index: BTreeMap<String, Location>,
    default: Option<Location>,
}

/// Of a category in `spreads`, and its first bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Location {
    spread: usize,
    first_bucket: usize,
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
}

impl CategoryPlacement {
    /// Checks the categories against each other; the source is the caller's to check.
    pub(super) fn new(source: CategorySource, spreads: Vec<SpreadOver>) -> Result<CategoryPlacement, CategoryFault> {
        if spreads.is_empty() {
            return Err(CategoryFault::Empty);
        }
        let mut index = BTreeMap::new();
        let mut default = None;
        let mut first_bucket = 0_usize;
        for (position, spread) in spreads.iter().enumerate() {
            if spread.shards.is_empty() {
                return Err(CategoryFault::WithoutShard(spread.category.clone()));
            }
            for (listed, shard) in spread.shards.iter().enumerate() {
                if spread.shards.iter().take(listed).any(|other| other == shard) {
                    return Err(CategoryFault::ShardTwice(spread.category.clone(), *shard));
                }
            }
            let location = Location {
                spread: position,
                first_bucket,
            };
            let before = match &spread.category {
                Some(category) => index.insert(category.clone(), location),
                None => default.replace(location),
            };
            if before.is_some() {
                return Err(CategoryFault::Twice(spread.category.clone()));
            }
            first_bucket = first_bucket.saturating_add(spread.shards.len());
        }
        Ok(CategoryPlacement {
            source,
            spreads,
            index,
            default,
        })
    }

    /// Where a key's category comes from.
    pub fn source(&self) -> &CategorySource {
        &self.source
    }

    /// Categories in order of their first declaration: bucket numbers never change.
    pub fn spreads(&self) -> &[SpreadOver] {
        &self.spreads
    }

    /// Is there a place for categories that aren't listed?
    pub fn has_default(&self) -> bool {
        self.default.is_some()
    }

    /// The place of a key with this token and category; `None` if that isn't listed and there is no default.
    pub(super) fn place(&self, category: &str, token: Token) -> Option<Place> {
        let location = self.index.get(category).copied().or(self.default)?;
        let shards = &self.spreads.get(location.spread)?.shards;
        let arc = arcs::arc_of(token, shards.len());
        Some(Place {
            bucket: BucketId::new(location.first_bucket.checked_add(arc)?)?,
            shard: *shards.get(arc)?,
        })
    }

    /// Every bucket: its category, its arc, how many arcs that category has, its owner.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (&SpreadOver, usize, ShardId)> {
        self.spreads.iter().flat_map(|spread| {
            spread
                .shards
                .iter()
                .enumerate()
                .map(move |(arc, shard)| (spread, arc, *shard))
        })
    }
}

impl SpreadOver {
    /// A bucket's short name.
    pub(super) fn bucket_name(&self, arc: usize) -> String {
        let category = self.category.as_deref().unwrap_or("(default)");
        if self.shards.len() == 1 {
            category.to_owned()
        } else {
            format!("{category}/{arc}")
        }
    }

    /// What belongs to a bucket, for people.
    pub(super) fn describe(&self, arc: usize) -> String {
        let category = match &self.category {
            Some(category) => format!("category {category}"),
            None => "categories not listed".to_owned(),
        };
        match arcs::arc(arc, self.shards.len()) {
            Some((low, high)) if self.shards.len() > 1 => format!("{category}, tokens {} to {}", low.0, high.0),
            _ => category,
        }
    }
}
