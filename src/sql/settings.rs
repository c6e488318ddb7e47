//! A session's settings: one immutable value that knows how to bring a backend to itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Set, SetItem};
use super::error::SettingError;

/// Two layers, start-up and session, the upper hides the lower. Cheap to clone; equal by content.
///
/// SET LOCAL needs no layer: keep the value before the transaction, work on another, and go back at its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionSettings(Arc<Layers>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Layers {
    startup: BTreeMap<String, String>,
    session: BTreeMap<String, String>,
    custom: BTreeSet<String>,
    digest: u64,
}

impl SessionSettings {
    /// Of a session that begins with these start-up parameters (names folded, values as given).
    pub fn from_startup(startup: &BTreeMap<String, String>) -> Result<SessionSettings, SettingError> {
        Ok(SessionSettings(Arc::new(Layers {
            startup: startup.clone(),
            ..Layers::default()
        })))
    }

    /// Value in effect as far as this session set one, by folded name; `None`: the server's default.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .session
            .get(name)
            .or_else(|| self.0.startup.get(name))
            .map(String::as_str)
    }

    /// Every setting in effect, by name.
    pub fn effective(&self) -> BTreeMap<&str, &str> {
        BTreeMap::new()
    }

    /// After a successful `SET` (whatever its scope; see the type). `FROM CURRENT` changes nothing.
    pub fn with_set(&self, set: &Set) -> Result<SessionSettings, SettingError> {
        let _ = set;
        Ok(self.clone())
    }

    /// After a setting got this flat value (`set_config`, or what `SHOW` printed).
    pub fn with_value(&self, name: &str, value: &str) -> Result<SessionSettings, SettingError> {
        let _ = (name, value);
        Ok(self.clone())
    }

    /// After `RESET name`: back to the start-up value.
    pub fn with_reset(&self, name: &str) -> SessionSettings {
        let _ = name;
        self.clone()
    }

    /// After `RESET ALL`: role and session_authorization stay.
    pub fn reset_all(&self) -> SessionSettings {
        self.clone()
    }

    /// After `DISCARD ALL`: those go too.
    pub fn discard_all(&self) -> SessionSettings {
        self.clone()
    }

    /// Two-part names that this session ever set: they belong to the pool key, since a backend never forgets them.
    pub fn custom_names(&self) -> impl Iterator<Item = &str> {
        self.0.custom.iter().map(String::as_str)
    }

    /// Equal values have equal digests.
    pub fn digest(&self) -> u64 {
        self.0.digest
    }

    /// SQL that turns a backend with `applied` into one with `self`; empty if there is nothing to do. Run it outside a
    /// transaction by the simple protocol and await its success; it may answer with rows, which are to be dropped.
    /// `shardgate.*` settings are not part of it.
    pub fn diff(&self, applied: &SessionSettings) -> Vec<u8> {
        let _ = applied;
        Vec::new()
    }

    /// The flat value that Postgres makes of a SET's items.
    pub fn flatten(name: &str, items: &[SetItem]) -> Result<String, SettingError> {
        let _ = (name, items);
        Ok(String::new())
    }
}

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        SessionSettings(Arc::new(Layers::default()))
    }
}

/// A string literal that means `value` whatever `standard_conforming_strings` is.
pub fn quote_literal(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
