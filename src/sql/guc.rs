//! Facts about Postgres 15's settings that a session needs.

/// Who may set a setting, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GucContext {
    /// never: internal
    Fixed,
    /// only when the server starts or reloads: postmaster, sighup
    Server,
    /// only when a connection starts: backend, superuser-backend. Belongs to the pool key
    Startup,
    /// in a session: user, superuser
    Session,
}

/// How a list of values is made one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListRule {
    /// takes one value
    Single,
    /// joined by ", "
    Joined,
    /// each quoted as an identifier where it must be, then joined
    Quoted,
}

/// What is known of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GucFacts {
    /// as Postgres spells it (`TimeZone`)
    pub name: &'static str,
    /// when it may be set
    pub context: GucContext,
    /// lists
    pub list: ListRule,
}

/// Settings that Postgres 15 reports by ParameterStatus, as it spells them.
pub const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// Facts by name, compared without regard to ASCII case; `None`: not a built-in setting of Postgres 15.
pub fn guc_facts(name: &str) -> Option<GucFacts> {
    let _ = name;
    None
}
