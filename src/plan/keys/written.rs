//! Keys of rows that an INSERT or MERGE writes.

use crate::plan::Purpose;
use crate::plan::keys::evaluate::Unplaced;
use crate::plan::keys::{Constant, Evaluation, Outcome, Pruning};
use crate::topology::{KeyspaceId, ShardSet};
use crate::value::KeyType;

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

// === impl WrittenKey ===

impl WrittenKey {
    /// The shards that own the rows, and why one has no place, if so.
    pub(in crate::plan) fn evaluate(&self, evaluation: &mut Evaluation<'_>) -> Result<ShardSet, Unplaced> {
        evaluation.set_purpose(Purpose::Write);
        let mut shards = ShardSet::EMPTY;
        for row in &self.rows {
            let set = match row {
                WrittenRow::Constant(constant) => match evaluation.written(self.key_type, self.typmod, constant) {
                    Ok(Some(key)) => match evaluation.locate(self.keyspace, &key) {
                        Err(Unplaced::Asked) => ShardSet::EMPTY,
                        located => located?,
                    },
                    // A NULL key, or a value that Postgres rejects: any shard raises its error.
                    Ok(None) | Err(Outcome::Rejected) => ShardSet::EMPTY,
                    Err(Outcome::Unclear) => return Err(Unplaced::Unclear),
                    Err(Outcome::Ask(expression)) => {
                        evaluation.ask_constant(expression);
                        ShardSet::EMPTY
                    }
                },
                WrittenRow::Selected(pruning) => pruning.evaluate(self.keyspace, evaluation),
                WrittenRow::Null => ShardSet::EMPTY,
            };
            shards = shards.union(set);
        }
        Ok(shards)
    }
}
