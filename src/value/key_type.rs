//! The types that a sharding key may have.
//!
//! Why a list of its own: each type here has a hash and an order that are proven equal to Postgres's; others are refused
//! by name.

use super::Oid;

/// The types that a sharding key may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyType {
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// text
    Text,
    /// character varying
    Varchar,
    /// character(n); trailing blanks do not count
    Bpchar,
    /// uuid
    Uuid,
    /// date
    Date,
    /// timestamp without time zone
    Timestamp,
    /// timestamp with time zone
    Timestamptz,
    /// numeric
    Numeric,
}

/// Types whose values share one hash and one order, so that a key of one may be compared with a key of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Family {
    Integer,
    Text,
    Bpchar,
    Uuid,
    Date,
    Timestamp,
    Timestamptz,
    Numeric,
}

impl KeyType {
    /// All key types.
    pub const ALL: [KeyType; 11] = [
        KeyType::Int2,
        KeyType::Int4,
        KeyType::Int8,
        KeyType::Text,
        KeyType::Varchar,
        KeyType::Bpchar,
        KeyType::Uuid,
        KeyType::Date,
        KeyType::Timestamp,
        KeyType::Timestamptz,
        KeyType::Numeric,
    ];

    /// The key type that a column's type is, if it can be one.
    pub fn of(oid: Oid) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|key_type| key_type.oid() == oid)
    }

    /// The key type of an array's elements, if they can be keys.
    pub fn of_array(oid: Oid) -> Option<KeyType> {
        KeyType::ALL.into_iter().find(|key_type| key_type.array_oid() == oid)
    }

    /// The type's OID.
    pub fn oid(self) -> Oid {
        match self {
            KeyType::Int2 => Oid::INT2,
            KeyType::Int4 => Oid::INT4,
            KeyType::Int8 => Oid::INT8,
            KeyType::Text => Oid::TEXT,
            KeyType::Varchar => Oid::VARCHAR,
            KeyType::Bpchar => Oid::BPCHAR,
            KeyType::Uuid => Oid::UUID,
            KeyType::Date => Oid::DATE,
            KeyType::Timestamp => Oid::TIMESTAMP,
            KeyType::Timestamptz => Oid::TIMESTAMPTZ,
            KeyType::Numeric => Oid::NUMERIC,
        }
    }

    /// The OID of the array over the type.
    pub fn array_oid(self) -> Oid {
        match self {
            KeyType::Int2 => Oid::INT2_ARRAY,
            KeyType::Int4 => Oid::INT4_ARRAY,
            KeyType::Int8 => Oid::INT8_ARRAY,
            KeyType::Text => Oid::TEXT_ARRAY,
            KeyType::Varchar => Oid::VARCHAR_ARRAY,
            KeyType::Bpchar => Oid::BPCHAR_ARRAY,
            KeyType::Uuid => Oid::UUID_ARRAY,
            KeyType::Date => Oid::DATE_ARRAY,
            KeyType::Timestamp => Oid::TIMESTAMP_ARRAY,
            KeyType::Timestamptz => Oid::TIMESTAMPTZ_ARRAY,
            KeyType::Numeric => Oid::NUMERIC_ARRAY,
        }
    }

    /// The type's name as the config writes it and [`KeyType::from_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::Int2 => "smallint",
            KeyType::Int4 => "int",
            KeyType::Int8 => "bigint",
            KeyType::Text => "text",
            KeyType::Varchar => "varchar",
            KeyType::Bpchar => "char",
            KeyType::Uuid => "uuid",
            KeyType::Date => "date",
            KeyType::Timestamp => "timestamp",
            KeyType::Timestamptz => "timestamptz",
            KeyType::Numeric => "numeric",
        }
    }

    /// Reads a type name as SQL and the config write it (`bigint`, `varchar(20)`, `char(3)`, `numeric(10,2)`, any case);
    /// the modifier is checked for form and dropped, since the column says it.
    pub fn from_name(name: &str) -> Option<KeyType> {
        let folded = name.trim().to_ascii_lowercase();
        let (base, modifier) = match folded.split_once('(') {
            None => (folded.as_str(), None),
            Some((base, rest)) => (base.trim_end(), Some(rest.strip_suffix(')')?)),
        };
        let (key_type, modifiers_max) = match base.split_whitespace().collect::<Vec<_>>().join(" ").as_str() {
            "smallint" | "int2" => (KeyType::Int2, 0),
            "int" | "integer" | "int4" => (KeyType::Int4, 0),
            "bigint" | "int8" => (KeyType::Int8, 0),
            "text" => (KeyType::Text, 0),
            "varchar" | "character varying" => (KeyType::Varchar, 1),
            "char" | "character" | "bpchar" => (KeyType::Bpchar, 1),
            "uuid" => (KeyType::Uuid, 0),
            "date" => (KeyType::Date, 0),
            "timestamp" | "timestamp without time zone" => (KeyType::Timestamp, 1),
            "timestamptz" | "timestamp with time zone" => (KeyType::Timestamptz, 1),
            "numeric" | "decimal" => (KeyType::Numeric, 2),
            _ => return None,
        };
        let numbers = modifier.map_or(Vec::new(), |modifier| modifier.split(',').collect());
        let well_formed = numbers.len() <= modifiers_max && numbers.iter().all(|n| n.trim().parse::<i16>().is_ok());
        well_formed.then_some(key_type)
    }

    /// An SQL expression that computes a key's token on the server, equal to [`crate::value::Key::hash`]; `expression` is
    /// the key, of this type. NULL keys have no token: what they give is not said.
    pub fn token_sql(self, expression: &str) -> String {
        let (function, argument) = match self {
            KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => ("hashint8extended", format!("({expression})")),
            KeyType::Text | KeyType::Varchar => ("hashtextextended", format!("({expression})")),
            KeyType::Bpchar => ("hashbpcharextended", format!("({expression})")),
            KeyType::Uuid => ("uuid_hash_extended", format!("({expression})")),
            KeyType::Numeric => ("hash_numeric_extended", format!("({expression})")),
            KeyType::Timestamp => ("timestamp_hash_extended", format!("({expression})")),
            // A timestamptz holds UTC.
            KeyType::Timestamptz => ("timestamp_hash_extended", format!("({expression}) AT TIME ZONE 'UTC'")),
            // No cast gives a date's days, and the infinities can't be subtracted.
            KeyType::Date => (
                "hashint4extended",
                format!(
                    "CASE WHEN pg_catalog.isfinite({expression}) THEN ({expression}) - date '2000-01-01' \
                     WHEN ({expression}) > date '2000-01-01' THEN 2147483647 ELSE -2147483647 - 1 END"
                ),
            ),
        };
        format!("pg_catalog.{function}({argument}, 0)")
    }

    /// May keys of these two types be compared by Postgres under one hash operator family (so that equal values have
    /// equal tokens)? int2/4/8 mix, text and varchar mix; all else stands alone.
    pub fn is_hash_compatible(self, other: KeyType) -> bool {
        self.family() == other.family()
    }

    pub(super) fn family(self) -> Family {
        match self {
            KeyType::Int2 | KeyType::Int4 | KeyType::Int8 => Family::Integer,
            KeyType::Text | KeyType::Varchar => Family::Text,
            KeyType::Bpchar => Family::Bpchar,
            KeyType::Uuid => Family::Uuid,
            KeyType::Date => Family::Date,
            KeyType::Timestamp => Family::Timestamp,
            KeyType::Timestamptz => Family::Timestamptz,
            KeyType::Numeric => Family::Numeric,
        }
    }
}
