//! COPY of a sharded table: what it needs to know of the table, and where a row goes.
//!
//! Holds: a row goes to the shard that owns its key, or, where Postgres refuses the row in any case, to any; what can't be
//! told is never guessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Nullability;
use crate::plan::{Category, Refusal, RefusalId, refuse};
use crate::sql::{CopyColumn, CopyHeader, CopyRows, Encoding, KeyField, RowForm};
use crate::topology::{KeyspaceId, Placed, ShardId, ShardSet, Strategy, Topology};
use crate::value::{Key, KeyError, KeyType, Oid};

/// COPY FROM STDIN whose rows are split by their key.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyIn {
    /// the table as Postgres's messages name it
    pub table: String,
    /// where its rows lie
    pub topology: Arc<Topology>,
    /// whose buckets decide
    pub keyspace: KeyspaceId,
    /// all that own some of them
    pub shards: ShardSet,
    /// the key column
    pub key: CopyKey,
    /// how rows are written; `None`: Postgres refuses the options
    pub form: Option<RowForm>,
    /// columns of a row
    pub columns: usize,
    /// where the key stands among them; `None`: it is left out, and Postgres refuses that
    pub column: Option<CopyColumn>,
    /// of the data
    pub encoding: Encoding,
}

/// The key column of a table that rows are copied into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyKey {
    /// its name
    pub name: String,
    /// its type
    pub type_oid: Oid,
    /// its type as a key
    pub key_type: KeyType,
    /// `atttypmod`
    pub typmod: i32,
    /// whether the table refuses NULL there
    pub nullability: Nullability,
}

/// COPY TO STDOUT of a table whose rows lie on several shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOut {
    /// those that hold rows
    pub shards: ShardSet,
    /// is each shard's first line a header
    pub header: CopyHeader,
    /// what else comes before and after each shard's rows
    pub form: CopyOutForm,
}

/// Is there anything around rows that must come once?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyOutForm {
    /// text, csv: lines
    Lines,
    /// binary: a header and a trailer
    Binary,
}

/// Where a row goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowPlace {
    /// to this shard, which owns it
    At(ShardId),
    /// to any: Postgres refuses it
    Anywhere,
    /// its key's category must be fixed first
    Ask(String),
    /// 23514: nothing knows the category of this key
    CategoryUnknown(String),
    /// 23514: no range holds this key
    BeyondRanges(String),
    /// Postgres may take it, but what key it reads can't be told
    Unread(&'static str),
}

impl CopyIn {
    /// What cuts the client's data into rows.
    pub fn rows(&self) -> CopyRows {
        // Where Postgres refuses the options no row will come.
        let form = self.form.clone().unwrap_or(RowForm::Binary);
        CopyRows::new(form, self.columns, self.column)
    }

    /// Where a row with this key goes.
    pub fn place(&self, categories: &BTreeMap<(KeyspaceId, String), Category>, field: KeyField<'_>) -> RowPlace {
        let read = match field {
            KeyField::Missing => return RowPlace::Anywhere,
            KeyField::Null => {
                return match self.key.nullability {
                    Nullability::NotNull => RowPlace::Anywhere,
                    Nullability::Nullable => RowPlace::Unread("it is NULL, and the column takes that"),
                };
            }
            KeyField::Text(bytes) | KeyField::Binary(bytes) if self.is_foreign(bytes, field) => {
                return RowPlace::Unread("it is not ASCII, and the data are not in the shards' encoding");
            }
            KeyField::Text(bytes) => Key::parse_text(self.key.key_type, bytes),
            KeyField::Binary(bytes) => Key::parse_binary(self.key.type_oid, bytes, self.key.key_type),
        };
        let key = match read.and_then(|key| key.assign(self.key.key_type, self.key.typmod)) {
            Ok(key) => key,
            Err(KeyError::Invalid { .. } | KeyError::OutOfRange { .. } | KeyError::TooLong { .. }) => {
                return RowPlace::Anywhere;
            }
            Err(KeyError::Ambiguous { expected: _, why }) => return RowPlace::Unread(why),
        };
        let Some(keyspace) = self.topology.keyspace(self.keyspace) else {
            return RowPlace::Unread("its keyspace is gone");
        };
        let mut placed = keyspace.place(&key);
        if placed == Placed::CategoryNeeded {
            let symbol = key.to_text();
            let id = (self.keyspace, symbol);
            placed = match categories.get(&id) {
                Some(Category::Fixed(name)) => keyspace.place_in_category(&key, name),
                Some(Category::Unknown) => return RowPlace::CategoryUnknown(id.1),
                Some(Category::Derived(_)) | None => return RowPlace::Ask(id.1),
            };
        }
        match placed {
            Placed::At(place) => RowPlace::At(place.shard),
            Placed::CategoryUnknown => RowPlace::CategoryUnknown(key.to_text()),
            Placed::BeyondRanges => RowPlace::BeyondRanges(key.to_text()),
            Placed::CategoryNeeded | Placed::Mistyped => RowPlace::Unread("its type is not the keyspace's"),
        }
    }

    /// Does it take more than a hash or a comparison to place a row?
    pub fn is_slow_to_place(&self) -> bool {
        let strategy = self
            .topology
            .keyspace(self.keyspace)
            .map(|keyspace| keyspace.strategy());
        matches!(strategy, Some(Strategy::Category(_)))
    }

    /// The refusal of a row without a place, where it is one of the planner's.
    pub fn refusal(&self, place: &RowPlace) -> Option<Box<Refusal>> {
        let names = |key| [self.table.as_str(), self.key.name.as_str(), key];
        match place {
            RowPlace::CategoryUnknown(key) => Some(refuse(RefusalId::CategoryUnknown, &names(key))),
            RowPlace::BeyondRanges(key) => Some(refuse(RefusalId::BeyondRanges, &names(key))),
            RowPlace::At(_) | RowPlace::Anywhere | RowPlace::Ask(_) | RowPlace::Unread(_) => None,
        }
    }

    /// Is a text key written in another encoding than the shards'?
    fn is_foreign(&self, bytes: &[u8], field: KeyField<'_>) -> bool {
        let text = match (self.key.key_type, field) {
            (KeyType::Text | KeyType::Varchar | KeyType::Bpchar, _) | (_, KeyField::Text(_)) => true,
            (_, KeyField::Binary(_) | KeyField::Missing | KeyField::Null) => false,
        };
        match self.encoding {
            Encoding::Utf8 => false,
            Encoding::HighBit | Encoding::Unsafe => text && !bytes.is_ascii(),
        }
    }
}
