//! The world `trading` as the grammar knows it: tables, columns, keys.

/// A column's type, as far as expressions care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int8,
    Int4,
    Int2,
    Numeric,
    Float,
    Text,
    Char,
    Bool,
    Stamp,
    Date,
    Side,
    Json,
    Texts,
}

impl Kind {
    /// Its name in SQL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Int8 => "bigint",
            Kind::Int4 => "int",
            Kind::Int2 => "smallint",
            Kind::Numeric => "numeric",
            Kind::Float => "float8",
            Kind::Text => "text",
            Kind::Char => "char(2)",
            Kind::Bool => "boolean",
            Kind::Stamp => "timestamptz",
            Kind::Date => "date",
            Kind::Side => "side",
            Kind::Json => "jsonb",
            Kind::Texts => "text[]",
        }
    }

    /// A whole number?
    pub(super) fn is_integer(self) -> bool {
        matches!(self, Kind::Int8 | Kind::Int4 | Kind::Int2)
    }
}

/// Where equal keys meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    User,
    Time,
    Instrument,
    /// on every shard
    Everywhere,
    /// on one
    Alone,
}

/// What can stand in FROM.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) space: Space,
    pub(super) key: Option<&'static str>,
    /// no two rows are equal in them
    pub(super) unique: &'static [&'static str],
    pub(super) columns: &'static [(&'static str, Kind)],
    /// what a write may leave out
    pub(super) nullable: &'static [&'static str],
}

use Kind::{Bool, Char, Date, Float, Int2, Int4, Int8, Json, Numeric, Side, Stamp, Text, Texts};

pub(super) const USERS: Table = Table {
    name: "users",
    space: Space::User,
    key: Some("id"),
    unique: &["id"],
    columns: &[
        ("id", Int8),
        ("name", Text),
        ("email", Text),
        ("country", Char),
        ("balance", Numeric),
        ("score", Float),
        ("level", Int2),
        ("referrer", Int8),
        ("joined", Stamp),
        ("birthday", Date),
        ("tags", Texts),
        ("profile", Json),
    ],
    nullable: &[
        "email", "country", "score", "level", "referrer", "birthday", "tags", "profile",
    ],
};

pub(super) const ORDERS: Table = Table {
    name: "orders",
    space: Space::User,
    key: Some("user_id"),
    unique: &["user_id", "id"],
    columns: &[
        ("user_id", Int8),
        ("id", Int8),
        ("instrument", Text),
        ("side", Side),
        ("qty", Int4),
        ("price", Numeric),
        ("total", Numeric),
        ("placed", Stamp),
        ("note", Text),
    ],
    nullable: &["price", "total", "note"],
};

pub(super) const ACCOUNTS: Table = Table {
    name: "accounts",
    space: Space::User,
    key: Some("owner"),
    unique: &["owner", "iban"],
    columns: &[("owner", Int4), ("iban", Text), ("amount", Int8)],
    nullable: &["amount"],
};

pub(super) const EVENTS: Table = Table {
    name: "events",
    space: Space::Time,
    key: Some("at"),
    unique: &["at", "id"],
    columns: &[
        ("at", Stamp),
        ("id", Int8),
        ("user_id", Int8),
        ("kind", Text),
        ("payload", Json),
    ],
    nullable: &["user_id", "payload"],
};

pub(super) const TRADES: Table = Table {
    name: "trades",
    space: Space::Instrument,
    key: Some("instrument"),
    unique: &["instrument", "id"],
    columns: &[
        ("instrument", Text),
        ("id", Int8),
        ("at", Stamp),
        ("qty", Int4),
        ("price", Numeric),
        ("buyer", Int8),
        ("seller", Int8),
    ],
    nullable: &["buyer", "seller"],
};

pub(super) const INSTRUMENTS: Table = Table {
    name: "instruments",
    space: Space::Everywhere,
    key: None,
    unique: &["symbol"],
    columns: &[
        ("symbol", Text),
        ("category", Text),
        ("name", Text),
        ("tick", Numeric),
        ("active", Bool),
    ],
    nullable: &[],
};

pub(super) const COUNTRIES: Table = Table {
    name: "countries",
    space: Space::Everywhere,
    key: None,
    unique: &["code"],
    columns: &[("code", Char), ("name", Text), ("region", Text)],
    nullable: &["region"],
};

pub(super) const AUDIT_LOG: Table = Table {
    name: "audit_log",
    space: Space::Alone,
    key: None,
    unique: &["id"],
    columns: &[("id", Int8), ("who", Text), ("what", Text), ("at", Stamp)],
    nullable: &["what", "at"],
};

pub(super) const ARCHIVE: Table = Table {
    name: "archive",
    space: Space::Alone,
    key: None,
    unique: &["id"],
    columns: &[("id", Int8), ("body", Text)],
    nullable: &["body"],
};

pub(super) const BIG_ORDERS: Table = Table {
    name: "big_orders",
    space: Space::User,
    key: Some("user_id"),
    unique: &["user_id", "id"],
    columns: &[("user_id", Int8), ("id", Int8), ("total", Numeric)],
    nullable: &[],
};

pub(super) const ORDER_TOTALS: Table = Table {
    name: "order_totals",
    space: Space::User,
    key: Some("user_id"),
    unique: &["user_id"],
    columns: &[("user_id", Int8), ("orders", Int8), ("total", Numeric)],
    nullable: &[],
};

pub(super) const INSTRUMENT_NAMES: Table = Table {
    name: "instrument_names",
    space: Space::Everywhere,
    key: None,
    unique: &["symbol"],
    columns: &[("symbol", Text), ("name", Text)],
    nullable: &[],
};

/// What is read, and how often.
pub(super) const READ: [(usize, &Table); 12] = [
    (10, &USERS),
    (12, &ORDERS),
    (4, &ACCOUNTS),
    (4, &EVENTS),
    (6, &TRADES),
    (2, &INSTRUMENTS),
    (2, &COUNTRIES),
    (1, &AUDIT_LOG),
    (1, &ARCHIVE),
    (2, &BIG_ORDERS),
    (2, &ORDER_TOTALS),
    (1, &INSTRUMENT_NAMES),
];

/// The tables of a keyspace.
pub(super) fn of_space(space: Space) -> &'static [(usize, &'static Table)] {
    match space {
        Space::User => &[
            (4, &USERS),
            (5, &ORDERS),
            (2, &ACCOUNTS),
            (1, &BIG_ORDERS),
            (1, &ORDER_TOTALS),
        ],
        Space::Time => &[(1, &EVENTS)],
        Space::Instrument => &[(1, &TRADES)],
        Space::Everywhere => &[(2, &INSTRUMENTS), (2, &COUNTRIES), (1, &INSTRUMENT_NAMES)],
        Space::Alone => &[(2, &AUDIT_LOG), (1, &ARCHIVE)],
    }
}

/// A table, subquery or CTE under the name that its columns go by.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) alias: String,
    /// the table that it is; empty if it is none
    pub(super) table: &'static str,
    pub(super) columns: Vec<(String, Kind)>,
    pub(super) unique: Vec<String>,
    pub(super) key: Option<String>,
    pub(super) space: Space,
}

impl Source {
    /// A table under a name.
    pub(super) fn of(table: &Table, alias: String) -> Source {
        Source {
            alias,
            table: table.name,
            columns: table
                .columns
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), *kind))
                .collect(),
            unique: table.unique.iter().map(|name| (*name).to_owned()).collect(),
            key: table.key.map(str::to_owned),
            space: table.space,
        }
    }

    /// A column's type.
    pub(super) fn kind(&self, column: &str) -> Kind {
        let found = self.columns.iter().find(|(name, _)| name == column);
        found
            .unwrap_or_else(|| panic!("{} has no column {column}", self.alias))
            .1
    }

    /// A column by its full name.
    pub(super) fn name(&self, column: &str) -> String {
        match self.alias.is_empty() {
            // what USING has made of two columns
            true => column.to_owned(),
            false => format!("{}.{column}", self.alias),
        }
    }
}
