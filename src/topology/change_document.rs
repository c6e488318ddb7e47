//! A change as it is stored and shown: by names, so that it outlives this program's types.
//!
//! Holds: what is written reads back equal against the same topology; names that are gone are errors, not guesses.

use serde::{Deserialize, Serialize};

use super::{BucketId, Change, ChangeFault, KeyspaceId, ShardId, SplitAt, SpreadAt, Token, Topology};
use crate::value::Key;

/// One change of placement by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum WrittenChange {
    /// a bucket gets another owner
    Move {
        /// its keyspace
        keyspace: String,
        /// its id
        bucket: usize,
        /// a shard
        to: String,
    },
    /// a bucket is cut in two
    Split {
        /// its keyspace
        keyspace: String,
        /// its id
        bucket: usize,
        /// where the upper part begins
        at: WrittenSplit,
        /// owner of the upper part
        to: String,
    },
    /// a category is spread over a group of shards
    Spread {
        /// its keyspace
        keyspace: String,
        /// null for the categories that aren't listed
        category: Option<String>,
        /// in order of tokens
        shards: Vec<String>,
        /// where the second and all further arcs begin; null: equal arcs
        tokens: Option<Vec<i64>>,
    },
}

/// Where a bucket is split.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WrittenSplit {
    /// in a hash keyspace, or within a category
    Token(i64),
    /// in a range keyspace: the key's text
    Key(String),
}

impl Change {
    /// By names of this topology.
    pub fn written(&self, topology: &Topology) -> WrittenChange {
        let keyspace = |id: &KeyspaceId| topology.keyspace(*id).map_or("?", |found| found.name()).to_owned();
        let shard = |id: &ShardId| topology.shard_name(*id).to_owned();
        match self {
            Change::MoveBucket {
                keyspace: id,
                bucket,
                to,
            } => WrittenChange::Move {
                keyspace: keyspace(id),
                bucket: bucket.index(),
                to: shard(to),
            },
            Change::SplitBucket {
                keyspace: id,
                bucket,
                at,
                to,
            } => WrittenChange::Split {
                keyspace: keyspace(id),
                bucket: bucket.index(),
                at: match at {
                    SplitAt::Token(token) => WrittenSplit::Token(token.0),
                    SplitAt::Key(key) => WrittenSplit::Key(key.to_text()),
                },
                to: shard(to),
            },
            Change::SpreadCategory {
                keyspace: id,
                category,
                shards,
                at,
            } => WrittenChange::Spread {
                keyspace: keyspace(id),
                category: category.clone(),
                shards: shards.iter().map(shard).collect(),
                tokens: match at {
                    SpreadAt::Equal => None,
                    SpreadAt::Tokens(tokens) => Some(tokens.iter().map(|token| token.0).collect()),
                },
            },
        }
    }
}

impl WrittenChange {
    /// The change in terms of this topology's ids.
    pub fn read(&self, topology: &Topology) -> Result<Change, ChangeFault> {
        let (WrittenChange::Move { keyspace, .. }
        | WrittenChange::Split { keyspace, .. }
        | WrittenChange::Spread { keyspace, .. }) = self;
        let (id, found) = topology.keyspace_by_name(keyspace).ok_or(ChangeFault::Unknown)?;
        let shard = |name: &String| topology.shard_by_name(name).ok_or(ChangeFault::NotServing);
        let bucket = |index: usize| BucketId::new(index).ok_or(ChangeFault::Unknown);
        Ok(match self {
            WrittenChange::Move { bucket: index, to, .. } => Change::MoveBucket {
                keyspace: id,
                bucket: bucket(*index)?,
                to: shard(to)?,
            },
            WrittenChange::Split {
                bucket: index, at, to, ..
            } => Change::SplitBucket {
                keyspace: id,
                bucket: bucket(*index)?,
                at: match at {
                    WrittenSplit::Token(token) => SplitAt::Token(Token(*token)),
                    WrittenSplit::Key(key) => {
                        let key = Key::parse_text(found.key_type(), key.as_bytes());
                        SplitAt::Key(key.map_err(|_| ChangeFault::WrongSplitPoint)?)
                    }
                },
                to: shard(to)?,
            },
            WrittenChange::Spread {
                category,
                shards,
                tokens,
                ..
            } => Change::SpreadCategory {
                keyspace: id,
                category: category.clone(),
                shards: shards.iter().map(shard).collect::<Result<_, _>>()?,
                at: match tokens {
                    None => SpreadAt::Equal,
                    Some(tokens) => SpreadAt::Tokens(tokens.iter().copied().map(Token).collect()),
                },
            },
        })
    }
}
