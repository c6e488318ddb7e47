//! What a command answered: typed columns, rows as text.

use crate::failure::Failure;

/// The type of a column, as far as printing cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Boolean,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// A table; every row is as long as `columns`, `None` is NULL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

impl Answer {
    /// The value of a row in the column of this name.
    pub(crate) fn value<'a>(&self, row: &'a [Option<String>], name: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|column| column.name == name)?;
        row.get(at)?.as_deref()
    }

    /// Only the rows of one keyspace, if one is named; there must be such a keyspace.
    pub(crate) fn of_keyspace(mut self, keyspace: Option<&str>) -> Result<Answer, Failure> {
        let Some(wanted) = keyspace else { return Ok(self) };
        let rows = std::mem::take(&mut self.rows);
        let kept: Vec<_> = rows
            .into_iter()
            .filter(|row| self.value(row, "keyspace") == Some(wanted))
            .collect();
        if kept.is_empty() {
            return Err(Failure::new(format!("there is no keyspace \"{wanted}\""))
                .with_hint("`shardctl keyspaces` lists them."));
        }
        Ok(Answer { rows: kept, ..self })
    }
}
