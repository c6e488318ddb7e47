//! What an admin command answers: a table, a bare tag, or nothing for an empty text.

/// The type of a column, for the RowDescription and for typed JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// text (OID 25)
    Text,
    /// bigint (OID 20)
    Integer,
    /// double precision (OID 701)
    Float,
    /// boolean (OID 16), `t` or `f`
    Boolean,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// its name; outside tools rely on it
    pub name: &'static str,
    /// its type
    pub kind: ColumnType,
}

/// Rows, each as long as `columns`; values in text form, `None` is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// what the values are
    pub columns: Vec<Column>,
    /// in the order to show
    pub rows: Vec<Vec<Option<String>>>,
    /// for CommandComplete
    pub tag: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// RowDescription, DataRows, CommandComplete
    Table(Table),
    /// CommandComplete alone
    Done {
        /// such as `PAUSE`
        tag: String,
    },
    /// EmptyQueryResponse
    Empty,
}

impl ColumnType {
    /// OID in `pg_type`.
    pub fn oid(self) -> crate::value::Oid {
        crate::value::Oid(match self {
            ColumnType::Text => 25,
            ColumnType::Integer => 20,
            ColumnType::Float => 701,
            ColumnType::Boolean => 16,
        })
    }

    /// `pg_type.typlen`; -1 for a varying length.
    pub fn size(self) -> i16 {
        match self {
            ColumnType::Text => -1,
            ColumnType::Integer | ColumnType::Float => 8,
            ColumnType::Boolean => 1,
        }
    }
}

impl Column {
    /// A text column.
    pub const fn text(name: &'static str) -> Column {
        Column {
            name,
            kind: ColumnType::Text,
        }
    }

    /// A bigint column.
    pub const fn integer(name: &'static str) -> Column {
        Column {
            name,
            kind: ColumnType::Integer,
        }
    }

    /// A double precision column.
    pub const fn float(name: &'static str) -> Column {
        Column {
            name,
            kind: ColumnType::Float,
        }
    }

    /// A boolean column.
    pub const fn boolean(name: &'static str) -> Column {
        Column {
            name,
            kind: ColumnType::Boolean,
        }
    }
}
