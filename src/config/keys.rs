//! The table of keys: names, types, defaults, help.

/// One key of the configuration file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// path with `*` for a name that the operator chooses, `[]` for a list's entries
    pub path: &'static str,
    /// its type in words
    pub kind: &'static str,
    /// the default in words; empty: required or nothing
    pub default: &'static str,
    /// is it in this version?
    pub presence: Presence,
    /// one or two sentences
    pub help: &'static str,
}

/// Is a key in this version?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// yes, and must be there
    Required,
    /// yes, may be left out
    Optional,
    /// known by name; refused unless it has one of these values, which say "off"
    Later(&'static [&'static str]),
}

/// Every key, in the order of the documentation.
pub const KEYS: &[Key] = &[];
