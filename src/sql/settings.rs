//! A session's settings: one immutable value that knows how to bring a backend to itself.
//!
//! Why immutable: a transaction or savepoint that rolls back takes the value of before; a prepared statement keeps the one of
//! its Parse; the planner's cache and the pool compare by digest.
//!
//! Holds: names are in lower case; values are flat texts as `set_config` takes them; `role` and `session_authorization`
//! survive RESET ALL, as in Postgres; names with a point, once set, are remembered for ever, since a backend never forgets them
//! (`sessions.md` 16–19). The digest is that of the effective values that a backend can hold: `shardgate.*` is not among them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::command::{Set, SetItem, SetValue};
use super::error::SettingError;
use super::guc::{GucContext, ListRule, Replay, guc_facts};
use super::keyword::quote_identifier;
use super::shape::hash_bytes;

/// Two layers, start-up and session, the upper hides the lower. Cheap to clone; equal by content.
///
/// SET LOCAL needs no layer: keep the value before the transaction, work on another, and go back at its end.
#[derive(Clone, Debug)]
pub struct SessionSettings(Arc<Layers>);

impl Default for SessionSettings {
    fn default() -> SessionSettings {
        Layers::default().finish()
    }
}

#[derive(Clone, Debug, Default)]
struct Layers {
    startup: BTreeMap<String, String>,
    session: BTreeMap<String, String>,
    /// two-part names ever set, without ours
    custom: BTreeSet<String>,
    /// what a backend should hold: both layers, without ours
    effective: BTreeMap<String, String>,
    /// ours: `shardgate.*` of both layers
    own: BTreeMap<String, String>,
    digest: u64,
}

const ROLE: &str = "role";
const SESSION_AUTHORIZATION: &str = "session_authorization";
const OWN_PREFIX: &str = "shardgate.";

impl PartialEq for SessionSettings {
    fn eq(&self, other: &SessionSettings) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.digest == other.0.digest
                && self.0.effective == other.0.effective
                && self.0.custom == other.0.custom
                && self.0.own == other.0.own)
    }
}

impl Eq for SessionSettings {}

impl std::hash::Hash for SessionSettings {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl SessionSettings {
    /// Of a session that begins with these start-up parameters, `options` unfolded (see `startup_options`), `user`, `database`
    /// and `replication` left out. Values are flat texts.
    pub fn from_startup(startup: &BTreeMap<String, String>) -> Result<SessionSettings, SettingError> {
        let mut layers = Layers::default();
        for (name, value) in startup {
            let name = name.to_ascii_lowercase();
            checked_own(&name, value)?;
            layers.startup.insert(name, value.clone());
        }
        Ok(layers.finish())
    }

    /// Value in effect as far as this session set one, by name in any case; `None`: the server's default.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = |name: &str| {
            self.0
                .session
                .get(name)
                .or_else(|| self.0.startup.get(name))
                .map(String::as_str)
        };
        match name.bytes().any(|b| b.is_ascii_uppercase()) {
            true => value(&name.to_ascii_lowercase()),
            false => value(name),
        }
    }

    /// Every setting in effect that a backend holds, by name: without `shardgate.*`.
    pub fn effective(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .effective
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// After a successful `SET` (whatever its scope; see the type). `FROM CURRENT` changes nothing.
    pub fn with_set(&self, set: &Set) -> Result<SessionSettings, SettingError> {
        match &set.value {
            SetValue::Values(items) => self.with_value(&set.name, &SessionSettings::flatten(&set.name, items)?),
            SetValue::Default => {
                checked_own_name(&set.name)?;
                Ok(self.with_reset(&set.name))
            }
            SetValue::FromCurrent => Ok(self.clone()),
        }
    }

    /// After a setting got this flat value (`set_config`, or what `SHOW` or ParameterStatus said). Those that belong to one
    /// transaction (`transaction_isolation`) or can't be replayed (`seed`) aren't kept.
    pub fn with_value(&self, name: &str, value: &str) -> Result<SessionSettings, SettingError> {
        let name = name.to_ascii_lowercase();
        checked_own(&name, value)?;
        if guc_facts(&name).is_some_and(|facts| facts.replay != Replay::Yes) {
            return Ok(self.clone());
        }
        let mut layers = (*self.0).clone();
        if name == SESSION_AUTHORIZATION {
            layers.forget_role();
        }
        layers.session.insert(name, value.to_owned());
        Ok(layers.finish())
    }

    /// After `RESET name`: back to the start-up value.
    pub fn with_reset(&self, name: &str) -> SessionSettings {
        let name = name.to_ascii_lowercase();
        let mut layers = (*self.0).clone();
        if name == SESSION_AUTHORIZATION {
            layers.forget_role();
        }
        layers.session.remove(&name);
        // RESET of a two-part name that nobody set makes it known
        if is_custom(&name) {
            layers.custom.insert(name);
        }
        layers.finish()
    }

    /// The same values; a two-part name is known from now on, whatever its value.
    pub fn with_name(&self, name: &str) -> SessionSettings {
        let name = name.to_ascii_lowercase();
        if !is_custom(&name) || self.0.custom.contains(&name) {
            return self.clone();
        }
        let mut layers = (*self.0).clone();
        layers.custom.insert(name);
        layers.finish()
    }

    /// After `RESET ALL`: role and session_authorization stay.
    pub fn reset_all(&self) -> SessionSettings {
        let mut layers = (*self.0).clone();
        layers
            .session
            .retain(|name, _| name == ROLE || name == SESSION_AUTHORIZATION);
        layers.finish()
    }

    /// After `DISCARD ALL`: those go too.
    pub fn discard_all(&self) -> SessionSettings {
        let mut layers = (*self.0).clone();
        layers.session.clear();
        layers.finish()
    }

    /// Two-part names that this session ever set: they belong to the pool key, since a backend never forgets them.
    pub fn custom_names(&self) -> impl Iterator<Item = &str> {
        self.0.custom.iter().map(String::as_str)
    }

    /// Settings that only the start of a connection can set: they belong to the pool key and to the backend's start-up packet.
    pub fn startup_only(&self) -> impl Iterator<Item = (&str, &str)> {
        self.effective().filter(|(name, _)| is_startup_only(name))
    }

    /// Whether no `shardgate.*` is set.
    pub fn says_nothing_of_ours(&self) -> bool {
        self.0.own.is_empty()
    }

    /// Equal values have equal digests.
    pub fn digest(&self) -> u64 {
        self.0.digest
    }

    /// Whether `diff` can turn a backend with `applied` into one that can't be told from a fresh one with `self`: it knows no
    /// two-part name that this session doesn't, and was started alike.
    pub fn can_take_over(&self, applied: &SessionSettings) -> bool {
        applied.0.custom.is_subset(&self.0.custom) && applied.startup_only().eq(self.startup_only())
    }

    /// SQL that turns a backend with `applied` into one with `self`; empty if there is nothing to do. Run it outside a
    /// transaction by the simple protocol and await its success; it may answer with rows, which are to be dropped.
    /// `shardgate.*` settings are not part of it.
    pub fn diff(&self, applied: &SessionSettings) -> Vec<u8> {
        if self == applied {
            return Vec::new();
        }
        let (wanted, held) = (&self.0.effective, &applied.0.effective);
        let mut sql = String::new();
        for (name, value) in wanted {
            if !is_identity(name) && !is_startup_only(name) && held.get(name) != Some(value) {
                sql.push_str(&set_statement(name, value));
            }
        }
        for name in held.keys() {
            if !is_identity(name) && !is_startup_only(name) && !wanted.contains_key(name) {
                sql.push_str(&format!("RESET {};", quote_setting(name)));
            }
        }
        for name in self.0.custom.difference(&applied.0.custom) {
            if !wanted.contains_key(name) {
                sql.push_str(&format!("SET {} TO '';", quote_setting(name)));
            }
        }
        let identity =
            |map: &BTreeMap<String, String>| (map.get(SESSION_AUTHORIZATION).cloned(), map.get(ROLE).cloned());
        let (wanted_identity, held_identity) = (identity(wanted), identity(held));
        // settings are set as the login role: another may lack the right to
        let held_some = held_identity != (None, None);
        if held_some && (wanted_identity != held_identity || !sql.is_empty()) {
            sql.insert_str(0, "RESET SESSION AUTHORIZATION;RESET ROLE;");
        }
        if wanted_identity != held_identity || (held_some && !sql.is_empty()) {
            let (authorization, role) = wanted_identity;
            for (name, value) in [(SESSION_AUTHORIZATION, authorization), (ROLE, role)] {
                if let Some(value) = value {
                    sql.push_str(&set_statement(name, &value));
                }
            }
        }
        sql.into_bytes()
    }

    /// The flat value that Postgres makes of a SET's items (`flatten_set_variable_args`).
    pub fn flatten(name: &str, items: &[SetItem]) -> Result<String, SettingError> {
        let rule = guc_facts(name).map_or(ListRule::Single, |facts| facts.list);
        if rule == ListRule::Single && items.len() != 1 {
            return Err(SettingError::OneValueOnly(name.to_owned()));
        }
        let parts: Vec<String> = items
            .iter()
            .map(|item| match item {
                SetItem::Text(text) if rule == ListRule::Quoted => quote_identifier(text),
                SetItem::Text(text) => text.clone(),
                SetItem::Number(number) => number.parse::<i32>().map_or_else(|_| number.clone(), |n| n.to_string()),
                SetItem::Interval(interval) => format!("INTERVAL '{interval}'"),
            })
            .collect();
        Ok(parts.join(", "))
    }
}

impl Layers {
    /// SET and RESET SESSION AUTHORIZATION end a SET ROLE (`SetSessionUserId` in `miscinit.c`).
    fn forget_role(&mut self) {
        self.session.remove(ROLE);
        if self.startup.contains_key(ROLE) {
            self.session.insert(ROLE.to_owned(), "none".to_owned());
        }
    }

    fn finish(mut self) -> SessionSettings {
        self.effective = self.startup.clone();
        self.effective
            .extend(self.session.iter().map(|(name, value)| (name.clone(), value.clone())));
        self.own = self.effective.clone();
        self.own.retain(|name, _| name.starts_with(OWN_PREFIX));
        self.effective.retain(|name, _| !name.starts_with(OWN_PREFIX));
        self.custom
            .extend(self.effective.keys().filter(|name| is_custom(name)).cloned());
        let mut bytes = Vec::new();
        let mut put = |text: &str| {
            bytes.extend_from_slice(&text.len().to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        };
        for (name, value) in &self.effective {
            put(name);
            put(value);
        }
        put("");
        for name in &self.custom {
            put(name);
        }
        self.digest = hash_bytes(&bytes);
        SessionSettings(Arc::new(self))
    }
}

fn is_custom(name: &str) -> bool {
    name.contains('.') && !name.starts_with(OWN_PREFIX)
}

fn is_identity(name: &str) -> bool {
    name == ROLE || name == SESSION_AUTHORIZATION
}

fn is_startup_only(name: &str) -> bool {
    guc_facts(name).is_some_and(|facts| facts.context == GucContext::Startup)
}

// === our own settings ===

/// Checks name and value of a `shardgate.*` setting; any other passes.
pub(super) fn checked_own(name: &str, value: &str) -> Result<(), SettingError> {
    let Some(expected) = checked_own_name(name)? else {
        return Ok(());
    };
    let fits = match expected {
        Own::OneOf(values, _) => values.contains(&value),
        Own::Name(_) => true,
        Own::Key(_) => value.is_empty() || value.split_once(':').is_some_and(|(keyspace, _)| !keyspace.is_empty()),
    };
    match (fits, expected) {
        (true, _) => Ok(()),
        (false, Own::OneOf(_, expected) | Own::Name(expected) | Own::Key(expected)) => {
            Err(SettingError::InvalidValue {
                name: name.to_owned(),
                value: value.to_owned(),
                expected,
            })
        }
    }
}

#[derive(Clone, Copy)]
enum Own {
    OneOf(&'static [&'static str], &'static str),
    Name(&'static str),
    Key(&'static str),
}

fn checked_own_name(name: &str) -> Result<Option<Own>, SettingError> {
    let Some(own) = name.strip_prefix(OWN_PREFIX) else {
        return Ok(None);
    };
    match own {
        "consistency" => Ok(Some(Own::OneOf(
            &["atomic", "snapshot", "statement"],
            "atomic, snapshot or statement",
        ))),
        "shard" => Ok(Some(Own::Name("the name of a shard"))),
        "key" => Ok(Some(Own::Key("keyspace:value, such as user:42"))),
        "replica" => Ok(Some(Own::OneOf(&["ok", "no"], "ok or no"))),
        "priority" => Ok(Some(Own::OneOf(&["low", "normal"], "low or normal"))),
        _ => Err(SettingError::Unrecognized(name.to_owned())),
    }
}

// === SQL text ===

fn set_statement(name: &str, value: &str) -> String {
    let list = guc_facts(name).map_or(ListRule::Single, |facts| facts.list);
    match list {
        // SET would take the flat list for one name
        ListRule::Quoted => {
            format!(
                "SELECT pg_catalog.set_config({},{},false);",
                quote_literal(name),
                quote_literal(value)
            )
        }
        ListRule::Single | ListRule::Joined => format!("SET {} TO {};", quote_setting(name), quote_literal(value)),
    }
}

fn quote_setting(name: &str) -> String {
    let parts: Vec<String> = name.split('.').map(quote_identifier).collect();
    parts.join(".")
}

/// A string literal that means `value` whatever `standard_conforming_strings` is.
pub fn quote_literal(value: &str) -> String {
    let quoted = value.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
