//! What can be wrong with a declared or stored topology.

use super::{ChangeFault, QualifiedName};
use crate::value::{KeyError, KeyType};

/// What can be wrong with a declared or stored topology. Messages name the operator's own names; [`TopologyError::hint`]
/// says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The stored document can't be read.
    #[error("the stored topology can't be read: {why}")]
    Document {
        /// what the reader found
        why: String,
    },
    /// The epoch is the last that a number can hold.
    #[error("there is no epoch after this one")]
    EpochsExhausted,
    /// No shard is declared.
    #[error("no shard is declared")]
    NoShards,
    /// More shards, retired ones counted, than a topology can have.
    #[error("more than {max} shards, retired ones counted")]
    ShardsTooMany {
        /// how many there may be
        max: usize,
    },
    /// A shard without a name.
    #[error("a shard's name is empty")]
    ShardUnnamed,
    /// Two shards of one name.
    #[error("shard \"{shard}\" is declared twice")]
    ShardTwice {
        /// its name
        shard: String,
    },
    /// A weight out of its range.
    #[error("shard \"{shard}\" has weight {weight}; it must be 1 to {max}")]
    WeightOutOfRange {
        /// its name
        shard: String,
        /// as declared
        weight: u32,
        /// the largest
        max: u32,
    },
    /// A name that is no shard's.
    #[error("{used_by} names shard \"{shard}\", which is not declared")]
    ShardUnknown {
        /// the name
        shard: String,
        /// what names it: `home`, `table orders`, `keyspace user`
        used_by: String,
    },
    /// A shard that was retired is declared again.
    #[error("shard \"{shard}\" was retired and can't come back under its old name")]
    ShardRetired {
        /// its name
        shard: String,
    },
    /// A shard is no longer declared but still needed.
    #[error("shard \"{shard}\" is not declared any more, but {owns}")]
    ShardGone {
        /// its name
        shard: String,
        /// why it is needed: `owns buckets of keyspace user`
        owns: String,
    },
    /// Two keyspaces of one name.
    #[error("keyspace \"{keyspace}\" is declared twice")]
    KeyspaceTwice {
        /// its name
        keyspace: String,
    },
    /// More keyspaces than can be numbered.
    #[error("too many keyspaces")]
    KeyspacesTooMany,
    /// A key type that the strategy doesn't place.
    #[error("keyspace \"{keyspace}\": keys of type {} can't be placed by {strategy}", .key_type.name())]
    KeyTypeUnsuited {
        /// its name
        keyspace: String,
        /// as declared
        key_type: KeyType,
        /// `range`, `category` …
        strategy: &'static str,
    },
    /// A bucket count out of its range.
    #[error("keyspace \"{keyspace}\" has {buckets} buckets; it must have 1 to {max}")]
    BucketsOutOfRange {
        /// its name
        keyspace: String,
        /// as declared
        buckets: u32,
        /// the most
        max: u32,
    },
    /// Two points of the ring fell on one token.
    #[error("shards \"{shard}\" and \"{other}\" share a point of the placement ring")]
    RingCollision {
        /// one
        shard: String,
        /// the other
        other: String,
    },
    /// A range keyspace without ranges.
    #[error("keyspace \"{keyspace}\" has no ranges")]
    RangesEmpty {
        /// its name
        keyspace: String,
    },
    /// A bound that is no value of the key type, or not an unambiguous one.
    #[error("keyspace \"{keyspace}\", range {range}: \"{until}\" is no bound: {source}")]
    RangeUnreadable {
        /// its name
        keyspace: String,
        /// its index
        range: usize,
        /// as written
        until: String,
        /// why
        #[source]
        source: KeyError,
    },
    /// A bound that can't be stored exactly as text.
    #[error("keyspace \"{keyspace}\", range {range}: \"{until}\" can't be stored exactly")]
    RangeUnstorable {
        /// its name
        keyspace: String,
        /// its index
        range: usize,
        /// as written
        until: String,
    },
    /// Ranges overlap or are out of order.
    #[error("keyspace \"{keyspace}\", range {range}: its bound {until} does not lie above {before}, the one before it")]
    RangesOverlap {
        /// its name
        keyspace: String,
        /// its index
        range: usize,
        /// its bound
        until: String,
        /// the one before
        before: String,
    },
    /// A range without a bound that isn't the last.
    #[error("keyspace \"{keyspace}\", range {range}: only the last range may lack a bound")]
    RangeOpen {
        /// its name
        keyspace: String,
        /// its index
        range: usize,
    },
    /// A category keyspace with neither categories nor a default.
    #[error("keyspace \"{keyspace}\" has neither categories nor a default")]
    CategoriesEmpty {
        /// its name
        keyspace: String,
    },
    /// A category that is listed twice.
    #[error("keyspace \"{keyspace}\" lists category \"{category}\" twice")]
    CategoryTwice {
        /// its name
        keyspace: String,
        /// the category
        category: String,
    },
    /// A category without shards.
    #[error("keyspace \"{keyspace}\": category \"{category}\" names no shard")]
    CategoryWithoutShard {
        /// its name
        keyspace: String,
        /// the category
        category: String,
    },
    /// A category that names a shard twice.
    #[error("keyspace \"{keyspace}\": category \"{category}\" names shard \"{shard}\" twice")]
    CategoryShardTwice {
        /// its name
        keyspace: String,
        /// the category
        category: String,
        /// the shard
        shard: String,
    },
    /// A key in `categories_by_key` that is no value of the key type.
    #[error("keyspace \"{keyspace}\": \"{key}\" is no key: {source}")]
    CategoryKeyUnreadable {
        /// its name
        keyspace: String,
        /// as written
        key: String,
        /// why
        #[source]
        source: KeyError,
    },
    /// Two spellings of one key in `categories_by_key`.
    #[error("keyspace \"{keyspace}\" lists key \"{key}\" twice")]
    CategoryKeyTwice {
        /// its name
        keyspace: String,
        /// in canonical form
        key: String,
    },
    /// A key in `categories_by_key` whose category is not listed, without a default.
    #[error(
        "keyspace \"{keyspace}\": key \"{key}\" has category \"{category}\", which is not listed, and there is no default"
    )]
    CategoryUndeclared {
        /// its name
        keyspace: String,
        /// as written
        key: String,
        /// its category
        category: String,
    },
    /// A lookup table that isn't a reference table.
    #[error("keyspace \"{keyspace}\" looks categories up in {table}, which is not declared as a reference table")]
    LookupNotReference {
        /// its name
        keyspace: String,
        /// the table
        table: QualifiedName,
    },
    /// A table in a keyspace that isn't declared.
    #[error("table {table} names keyspace \"{keyspace}\", which is not declared")]
    KeyspaceUnknown {
        /// the table
        table: QualifiedName,
        /// the name
        keyspace: String,
    },
    /// A keyspace or category demands labels that an owner doesn't carry.
    #[error("{subject} demands a shard with {wanted}, but {shard} is its owner and isn't labelled so")]
    LabelsUnmet {
        /// `keyspace user`, `keyspace user, category eu`
        subject: String,
        /// `region: eu`
        wanted: String,
        /// an owner's name
        shard: String,
    },
    /// No shard carries the labels that a keyspace demands.
    #[error("{subject} demands a shard with {wanted}, and none is labelled so")]
    LabelsUnknown {
        /// `keyspace user`
        subject: String,
        /// `region: eu`
        wanted: String,
    },
    /// A change of placement can't be made.
    #[error("change {index} can't be made: {fault}")]
    Change {
        /// its place in the list, from 0
        index: usize,
        /// why
        #[source]
        fault: ChangeFault,
    },
    /// The declaration contradicts where rows already lie.
    #[error("{subject}: its {aspect} is {stored} where rows already lie, but the config says {declared}")]
    Contradiction {
        /// `keyspace user`, `table orders`, `home`
        subject: String,
        /// what differs
        aspect: Aspect,
        /// as stored
        stored: String,
        /// as declared
        declared: String,
    },
}

/// What a declaration can't change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Aspect {
    /// the shard that holds the topology
    Home,
    /// the shard of tables that aren't listed
    DefaultShard,
    /// of a keyspace
    KeyType,
    /// of a keyspace
    Strategy,
    /// of a hash keyspace
    BucketCount,
    /// a range's bound
    RangeBound,
    /// a range's shard
    RangeShard,
    /// where categories come from
    CategorySource,
    /// a category's shards
    CategoryShards,
    /// a listed key's category
    CategoryOfKey,
    /// of a table
    TablePlacement,
}

impl std::fmt::Display for Aspect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Aspect::Home => "shard",
            Aspect::DefaultShard => "shard",
            Aspect::KeyType => "key type",
            Aspect::Strategy => "strategy",
            Aspect::BucketCount => "bucket count",
            Aspect::RangeBound => "bound",
            Aspect::RangeShard => "shard",
            Aspect::CategorySource => "source of categories",
            Aspect::CategoryShards => "place",
            Aspect::CategoryOfKey => "category",
            Aspect::TablePlacement => "placement",
        })
    }
}

impl TopologyError {
    /// The next action, a full sentence; `None` where the message says it all.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            TopologyError::Contradiction { aspect, .. } => Some(match aspect {
                Aspect::Home => "Leave home as it is stored: it holds the topology and can't be changed by config.",
                Aspect::DefaultShard => "List the tables that shall live elsewhere, or put the stored shard back.",
                Aspect::KeyType | Aspect::Strategy | Aspect::BucketCount | Aspect::CategorySource => {
                    "Declare a new keyspace with the new settings and copy the tables into it, or put the stored value back."
                }
                Aspect::RangeBound => {
                    "Ranges may be added after a closed last one; the others stay as they are stored, or are left out."
                }
                Aspect::RangeShard => {
                    "Only a move or a split changes it. After one, write the ranges as they are stored; SHOW BUCKETS lists them."
                }
                Aspect::CategoryShards => {
                    "Only a move or a split changes it. After one, write the shards as they are stored, in order of their arcs."
                }
                Aspect::CategoryOfKey => "Put the stored value back; only a move changes it.",
                Aspect::TablePlacement => {
                    "Create a new table with the new placement and copy the rows, or put it back."
                }
            }),
            TopologyError::ShardGone { .. } => {
                Some("Put the shard back into the config; only one that owns nothing may go.")
            }
            TopologyError::ShardRetired { .. } => Some("Give the shard a new name."),
            TopologyError::ShardUnknown { .. } => Some("List it under shards, or name one that is listed."),
            TopologyError::KeyspaceUnknown { .. } => Some("List it under keyspaces, or name one that is listed."),
            TopologyError::LookupNotReference { .. } => Some("Add it to tables with reference: true."),
            TopologyError::RangeUnreadable { .. } => Some(
                "Write dates as YYYY-MM-DD, timestamps as YYYY-MM-DDTHH:MM:SS, those with time zone with an offset.",
            ),
            TopologyError::KeyTypeUnsuited { .. } => Some("Use strategy: hash, or another key type."),
            TopologyError::RingCollision { .. } => Some("Rename one of them."),
            TopologyError::LabelsUnmet { .. } | TopologyError::LabelsUnknown { .. } => {
                Some("Label the shard under shards, name another one, or demand less.")
            }
            TopologyError::Change { .. } => Some("It was made for another epoch; ask for a new proposal."),
            TopologyError::Document { .. } => {
                Some("It may come from a newer version, or row and document were changed by hand.")
            }
            TopologyError::EpochsExhausted
            | TopologyError::NoShards
            | TopologyError::ShardsTooMany { .. }
            | TopologyError::ShardUnnamed
            | TopologyError::ShardTwice { .. }
            | TopologyError::WeightOutOfRange { .. }
            | TopologyError::KeyspaceTwice { .. }
            | TopologyError::KeyspacesTooMany
            | TopologyError::BucketsOutOfRange { .. }
            | TopologyError::RangesEmpty { .. }
            | TopologyError::RangeUnstorable { .. }
            | TopologyError::RangesOverlap { .. }
            | TopologyError::RangeOpen { .. }
            | TopologyError::CategoriesEmpty { .. }
            | TopologyError::CategoryTwice { .. }
            | TopologyError::CategoryWithoutShard { .. }
            | TopologyError::CategoryShardTwice { .. }
            | TopologyError::CategoryKeyUnreadable { .. }
            | TopologyError::CategoryKeyTwice { .. }
            | TopologyError::CategoryUndeclared { .. } => None,
        }
    }
}
