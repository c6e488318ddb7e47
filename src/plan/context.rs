//! The settings of a session that planning reads.
//!
//! Why: names, literals and output depend on them, so they are part of the cache's key by value.
//! Holds: immutable once made; sessions share one value per distinct setting.

use std::collections::BTreeMap;

use crate::sql::Lexing;

/// Effective settings of a session that planning reads; part of the cache's key by value. Immutable, shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Context {
    /// effective schemas in order, `pg_catalog` and the session's `pg_temp` left out
    pub search_path: Vec<String>,
    /// `current_user`
    pub role: String,
    /// `TimeZone`
    pub time_zone: String,
    /// `DateStyle`
    pub date_style: String,
    /// `IntervalStyle`
    pub interval_style: String,
    /// `client_encoding`
    pub client_encoding: String,
    /// `standard_conforming_strings`, `transform_null_equals`, `row_security`, and every other setting that an allowed
    /// function or output routine reads (bytea_output, extra_float_digits, lc_*), by name
    pub other: BTreeMap<String, String>,
    /// relations that exist only in this session (its temporary tables), on its pinned backend's shard
    pub temporary: Vec<String>,
}

impl Context {
    /// How texts are lexed under these settings.
    pub fn lexing(&self) -> Lexing {
        let strings = self
            .other
            .get("standard_conforming_strings")
            .map_or("on", String::as_str);
        Lexing::from_settings(strings, &self.client_encoding)
    }
}
