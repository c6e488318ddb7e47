//! Text cells of catalog rows → values; a row of another shape is an error, never a default.

use crate::discovery::Error;
use crate::discovery::reach::Row;
use crate::value::Oid;

/// One row under reading.
pub(super) struct Cells<'r> {
    row: &'r Row,
    shard: &'r str,
}

impl<'r> Cells<'r> {
    pub(super) fn new(row: &'r Row, shard: &'r str) -> Cells<'r> {
        Cells { row, shard }
    }

    /// A text that may be NULL.
    pub(super) fn optional(&self, place: usize) -> Option<&'r str> {
        self.row.get(place).and_then(|cell| cell.as_deref())
    }

    /// A text.
    pub(super) fn text(&self, place: usize) -> Result<&'r str, Error> {
        self.optional(place).ok_or_else(|| self.odd(place, "NULL"))
    }

    /// A text of its own.
    pub(super) fn owned(&self, place: usize) -> Result<String, Error> {
        self.text(place).map(str::to_owned)
    }

    /// A number.
    pub(super) fn number<N: std::str::FromStr>(&self, place: usize) -> Result<N, Error> {
        let text = self.text(place)?;
        text.parse().map_err(|_| self.odd(place, text))
    }

    /// An OID.
    pub(super) fn oid(&self, place: usize) -> Result<Oid, Error> {
        self.number(place).map(Oid)
    }

    /// `t` or `f`; NULL counts as `f`.
    pub(super) fn is(&self, place: usize) -> bool {
        self.optional(place) == Some("t")
    }

    /// The one byte of a `"char"`; zero where it is empty.
    pub(super) fn byte(&self, place: usize) -> Result<u8, Error> {
        Ok(self.text(place)?.bytes().next().unwrap_or(0))
    }

    /// A JSON array.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, place: usize) -> Result<T, Error> {
        let text = self.text(place)?;
        serde_json::from_str(text).map_err(|_| self.odd(place, text))
    }

    /// A JSON array of OIDs, which Postgres writes as texts.
    pub(super) fn oids(&self, place: usize) -> Result<Vec<Oid>, Error> {
        let texts: Vec<String> = self.json(place)?;
        texts
            .iter()
            .map(|text| text.parse().map(Oid).map_err(|_| self.odd(place, text)))
            .collect()
    }

    /// The error for a cell that isn't what the statement asks for.
    pub(super) fn odd(&self, place: usize, cell: &str) -> Error {
        Error::Unexpected {
            shard: self.shard.to_owned(),
            what: format!("\"{cell}\" in column {}", place + 1),
        }
    }
}
