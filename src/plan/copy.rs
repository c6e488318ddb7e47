//! COPY of a table that lies on several shards: what it needs to know of the table, and where a row goes.
//!
//! Holds: a row goes to the shard that owns its key, or, where Postgres refuses the row in any case, to any; what can't be
//! told is never guessed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalog::Nullability;
use crate::plan::{Category, Privilege, Refusal, RefusalId, RowShares, RowTally, Writes, refuse};
use crate::sql::{CopyColumn, CopyHeader, CopyRows, Encoding, KeyField, RowForm};
use crate::topology::{KeyspaceId, Place, Placed, QualifiedName, ShardSet, Strategy, Topology};
use crate::value::{Key, KeyError, KeyType, Oid};

/// COPY FROM STDIN of a table that lies on several shards.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyIn {
    /// the table as Postgres's messages name it
    pub table: String,
    /// where its rows lie
    pub topology: Arc<Topology>,
    /// all that take rows
    pub shards: ShardSet,
    /// which of them a row belongs to
    pub owners: CopyOwners,
    /// how rows are written; `None`: Postgres refuses the options
    pub form: Option<RowForm>,
    /// columns of a row
    pub columns: usize,
    /// of the data
    pub encoding: Encoding,
    /// columns that the client leaves out, in the table's order: they come before its own
    pub fills: Vec<CopyFill>,
    /// what the shards are sent; `None`: the client's text
    pub text: Option<Vec<u8>>,
}

/// Which shards a row belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyOwners {
    /// the one that owns its key
    Key(Box<CopyKey>),
    /// all: a reference table
    All(Box<CopyCopies>),
}

/// What makes sure that copies of a table stay alike.
#[derive(Clone, Debug, PartialEq)]
pub struct CopyCopies {
    /// runs first, on the first shard: writers take their turn
    pub lock: Arc<Writes>,
    /// a hash of the rows that the transaction has written, which must be the same on every shard afterwards
    pub sum: Arc<Writes>,
}

/// A column that is filled here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFill {
    /// its name
    pub name: String,
    /// its type
    pub type_oid: Oid,
    /// with what
    pub value: FillValue,
}

/// What a column is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FillValue {
    /// the next value of this sequence, in each row
    Next(QualifiedName, Privilege),
    /// this expression's value, the same in all rows; in binary it yields the hexadecimal digits of its bytes
    Once(String),
}

/// The key column of a table that rows are copied into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyKey {
    /// whose buckets decide
    pub keyspace: KeyspaceId,
    /// where its values stand
    pub stands: KeyStands,
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

/// Where the key's values stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyStands {
    /// in a column of the client's
    Column(CopyColumn),
    /// in [`CopyIn::fills`], at this index
    Fill(usize),
    /// nowhere: it is left out, and Postgres refuses that
    Nowhere,
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
    /// to this bucket's shard
    At(Place),
    /// to all
    Everywhere,
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

// === impl CopyKey ===

impl CopyKey {
    fn read_text(&self, bytes: &[u8]) -> Result<Key, KeyError> {
        Key::parse_text(self.key_type, bytes)?.assign(self.key_type, self.typmod)
    }

    fn read_binary(&self, bytes: &[u8]) -> Result<Key, KeyError> {
        Key::parse_binary(self.type_oid, bytes, self.key_type)?.assign(self.key_type, self.typmod)
    }
}

// === impl CopyIn ===

impl CopyIn {
    /// What cuts the client's data into rows.
    pub fn rows(&self) -> CopyRows {
        // Where Postgres refuses the options no row will come.
        let form = self.form.clone().unwrap_or(RowForm::Binary);
        let column = match &self.owners {
            CopyOwners::Key(key) => match key.stands {
                KeyStands::Column(column) => Some(column),
                KeyStands::Fill(_) | KeyStands::Nowhere => None,
            },
            CopyOwners::All(_) => None,
        };
        CopyRows::new(form, self.columns, column)
    }

    /// The key, if one decides.
    pub fn key(&self) -> Option<&CopyKey> {
        match &self.owners {
            CopyOwners::Key(key) => Some(key),
            CopyOwners::All(_) => None,
        }
    }

    /// Where a row with this key goes.
    pub fn place(&self, categories: &BTreeMap<(KeyspaceId, String), Category>, field: KeyField<'_>) -> RowPlace {
        let CopyOwners::Key(column) = &self.owners else {
            return RowPlace::Everywhere;
        };
        let read = match field {
            KeyField::Missing => return RowPlace::Anywhere,
            KeyField::Null => {
                return match column.nullability {
                    Nullability::NotNull => RowPlace::Anywhere,
                    Nullability::Nullable => RowPlace::Unread("it is NULL, and the column takes that"),
                };
            }
            KeyField::Text(bytes) | KeyField::Binary(bytes) if self.is_foreign(column, bytes, field) => {
                return RowPlace::Unread("it is not ASCII, and the data are not in the shards' encoding");
            }
            KeyField::Text(bytes) => column.read_text(bytes),
            KeyField::Binary(bytes) => column.read_binary(bytes),
        };
        let key = match read {
            Ok(key) => key,
            Err(KeyError::Invalid { .. } | KeyError::OutOfRange { .. } | KeyError::TooLong { .. }) => {
                return RowPlace::Anywhere;
            }
            Err(KeyError::Ambiguous { expected: _, why }) => return RowPlace::Unread(why),
        };
        let Some(keyspace) = self.topology.keyspace(column.keyspace) else {
            return RowPlace::Unread("its keyspace is gone");
        };
        let mut placed = keyspace.place(&key);
        if placed == Placed::CategoryNeeded {
            let symbol = key.to_text();
            let id = (column.keyspace, symbol);
            placed = match categories.get(&id) {
                Some(Category::Fixed(name)) => keyspace.place_in_category(&key, name),
                Some(Category::Unknown) => return RowPlace::CategoryUnknown(id.1),
                Some(Category::Derived(_)) | None => return RowPlace::Ask(id.1),
            };
        }
        match placed {
            Placed::At(place) => RowPlace::At(place),
            Placed::CategoryUnknown => RowPlace::CategoryUnknown(key.to_text()),
            Placed::BeyondRanges => RowPlace::BeyondRanges(key.to_text()),
            Placed::CategoryNeeded | Placed::Mistyped => RowPlace::Unread("its type is not the keyspace's"),
        }
    }

    /// The key of a row that has a place.
    pub fn key_of(&self, field: KeyField<'_>) -> Option<Key> {
        let column = self.key()?;
        match field {
            KeyField::Missing | KeyField::Null => None,
            KeyField::Text(bytes) => column.read_text(bytes).ok(),
            KeyField::Binary(bytes) => column.read_binary(bytes).ok(),
        }
    }

    /// The rows of a COPY of this plan, none yet; `None` where no key decides.
    pub fn tally(&self) -> Option<RowTally> {
        let id = self.key()?.keyspace;
        let keyspace = self.topology.keyspace(id)?;
        Some(RowTally::new(id, keyspace.bucket_count()))
    }

    /// What a tally of this plan's rows has counted.
    pub fn shares(&self, tally: &RowTally) -> Option<RowShares> {
        let keyspace = self.topology.keyspace(self.key()?.keyspace)?;
        tally.shares(|bucket| keyspace.owner(bucket))
    }

    /// Does it take more than a hash or a comparison to place a row?
    pub fn is_slow_to_place(&self) -> bool {
        let keyspace = self.key().and_then(|key| self.topology.keyspace(key.keyspace));
        let strategy = keyspace.map(|keyspace| keyspace.strategy());
        matches!(strategy, Some(Strategy::Category(_)))
    }

    /// The refusal of a row without a place, where it is one of the planner's.
    pub fn refusal(&self, place: &RowPlace) -> Option<Box<Refusal>> {
        let column = self.key().map_or("", |key| key.name.as_str());
        let names = |key| [self.table.as_str(), column, key];
        match place {
            RowPlace::CategoryUnknown(key) => Some(refuse(RefusalId::CategoryUnknown, &names(key))),
            RowPlace::BeyondRanges(key) => Some(refuse(RefusalId::BeyondRanges, &names(key))),
            RowPlace::At(_) | RowPlace::Everywhere | RowPlace::Anywhere | RowPlace::Ask(_) | RowPlace::Unread(_) => {
                None
            }
        }
    }

    /// Is a text key written in another encoding than the shards'?
    fn is_foreign(&self, column: &CopyKey, bytes: &[u8], field: KeyField<'_>) -> bool {
        let text = match (column.key_type, field) {
            (KeyType::Text | KeyType::Varchar | KeyType::Bpchar, _) | (_, KeyField::Text(_)) => true,
            (_, KeyField::Binary(_) | KeyField::Missing | KeyField::Null) => false,
        };
        match self.encoding {
            Encoding::Utf8 => false,
            Encoding::HighBit | Encoding::Unsafe => text && !bytes.is_ascii(),
        }
    }
}
