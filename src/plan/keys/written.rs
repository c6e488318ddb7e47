//! Keys of rows that an INSERT or MERGE writes.

use crate::plan::Purpose;
use crate::plan::keys::evaluate::Unplaced;
use crate::plan::keys::{Constant, Evaluation, Outcome, Pruning};
use crate::topology::{KeyspaceId, Place, ShardId, ShardSet};
use crate::value::{Key, KeyType};

/// Rows written to one sharded table, and where their key comes from.
#[derive(Clone, Debug)]
pub(in crate::plan) struct WrittenKey {
    /// the table, for messages
    pub(in crate::plan) table: String,
    /// its key column
    pub(in crate::plan) column: String,
    /// of the table
    pub(in crate::plan) keyspace: KeyspaceId,
    /// of the column
    pub(in crate::plan) key_type: KeyType,
    /// of the column
    pub(in crate::plan) typmod: i32,
    /// the rows
    pub(in crate::plan) rows: Vec<WrittenRow>,
}

/// Where one row's key (or that of all rows of a SELECT) comes from.
#[derive(Clone, Debug)]
pub(in crate::plan) enum WrittenRow {
    /// a constant
    Constant(Constant),
    /// a column of a SELECT, which leaves these shards
    Selected(Pruning),
    /// left out, without a default: NULL, which Postgres refuses
    Null,
}

/// Where one row belongs.
#[derive(Clone, Debug)]
pub(in crate::plan) struct Owner {
    /// its shard; `None`: no shard takes it, each raises the error
    pub(in crate::plan) shard: Option<ShardId>,
    /// its key
    pub(in crate::plan) key: Option<Key>,
}

// === impl WrittenKey ===

impl WrittenKey {
    /// The shards that own the rows, and why one has no place, if so.
    pub(in crate::plan) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<ShardSet, Unplaced> {
        evaluation.set_purpose(Purpose::Write);
        if let [only] = self.rows.as_slice() {
            let (set, located) = self.row(only, evaluation)?;
            if let Some((place, key)) = located {
                evaluation.touch(self.keyspace, place, key);
            }
            return Ok(set);
        }
        let mut shards = ShardSet::EMPTY;
        let mut places = Vec::with_capacity(self.rows.len());
        let mut keys = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let (set, located) = self.row(row, evaluation)?;
            shards = shards.union(set);
            if let Some((place, key)) = located {
                places.push(place);
                keys.push(key);
            }
        }
        evaluation.touch_rows(self.keyspace, &places, &keys);
        Ok(shards)
    }

    /// The owner of each row, where each has one key.
    pub(in crate::plan) fn owners(&self, evaluation: &mut Evaluation<'_>) -> Result<Vec<Owner>, Unplaced> {
        evaluation.set_purpose(Purpose::Write);
        let mut owners = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let (shards, located) = self.row(row, evaluation)?;
            let shard = shards.single();
            if shard.is_none() && !shards.is_empty() {
                return Err(Unplaced::Unclear);
            }
            owners.push(Owner {
                shard,
                key: located.map(|(_, key)| key),
            });
        }
        Ok(owners)
    }

    fn row(
        &self,
        row: &WrittenRow,
        evaluation: &mut Evaluation<'_>,
    ) -> Result<(ShardSet, Option<(Place, Key)>), Unplaced> {
        let constant = match row {
            WrittenRow::Constant(constant) => constant,
            WrittenRow::Selected(pruning) => return Ok((pruning.evaluate(self.keyspace, evaluation), None)),
            WrittenRow::Null => return Ok((ShardSet::EMPTY, None)),
        };
        match evaluation.written(self.key_type, self.typmod, constant) {
            Ok(Some(key)) => match evaluation.locate(self.keyspace, &key) {
                Err(Unplaced::Asked) => Ok((ShardSet::EMPTY, None)),
                Err(unplaced) => Err(unplaced),
                Ok(place) => Ok((ShardSet::only(place.shard), Some((place, key)))),
            },
            // A NULL key, or a value that Postgres rejects: any shard raises its error.
            Ok(None) | Err(Outcome::Rejected) => Ok((ShardSet::EMPTY, None)),
            Err(Outcome::Unclear) => Err(Unplaced::Unclear),
            Err(Outcome::Ask(expression)) => {
                evaluation.ask_constant(expression);
                Ok((ShardSet::EMPTY, None))
            }
        }
    }
}
