//! Names of types as Postgres keeps them: `bigint` is `int8`.

use crate::plan::resolve::names::object_name;
use crate::sql::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo, TypeModifier};

/// A type as a cast names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::plan) struct TypeName {
    /// schema, if written
    pub(in crate::plan) schema: Option<String>,
    /// `pg_type.typname`, without the `_` of arrays
    pub(in crate::plan) name: String,
    /// length, precision, scale as written; empty if none
    pub(in crate::plan) modifiers: Vec<String>,
    /// how many `[]` stand behind it
    pub(in crate::plan) dimensions: usize,
}

/// The type that a syntax node names; `None` for one that Postgres's grammar doesn't have.
pub(in crate::plan) fn type_name(data_type: &DataType) -> Option<TypeName> {
    let plain = |name: &str| Some(named(name, Vec::new()));
    match data_type {
        DataType::Character(length) | DataType::Char(length) => {
            Some(named("bpchar", character_length(length, Some("1"))?))
        }
        DataType::CharacterVarying(length) | DataType::CharVarying(length) | DataType::Varchar(length) => {
            Some(named("varchar", character_length(length, None)?))
        }
        DataType::Uuid => plain("uuid"),
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
            Some(named("numeric", number_info(info)))
        }
        // float(1..24) is float4, float(25..53) and float are float8
        DataType::Float(ExactNumberInfo::None) => plain("float8"),
        DataType::Float(ExactNumberInfo::Precision(bits)) => plain(if *bits <= 24 { "float4" } else { "float8" }),
        DataType::Int2(None) | DataType::SmallInt(None) => plain("int2"),
        DataType::Int(None) | DataType::Int4(None) | DataType::Integer(None) => plain("int4"),
        DataType::Int8(None) | DataType::BigInt(None) => plain("int8"),
        DataType::Float4 | DataType::Real => plain("float4"),
        DataType::Float8 | DataType::DoublePrecision => plain("float8"),
        DataType::Bool | DataType::Boolean => plain("bool"),
        DataType::Date => plain("date"),
        DataType::Time(precision, zone) => Some(named(
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "time",
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => "timetz",
            },
            precision.iter().map(u64::to_string).collect(),
        )),
        DataType::Timestamp(precision, zone) => Some(named(
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => "timestamp",
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => "timestamptz",
            },
            precision.iter().map(u64::to_string).collect(),
        )),
        DataType::Interval {
            fields: None,
            precision,
        } => Some(named("interval", precision.iter().map(u64::to_string).collect())),
        DataType::Interval { fields: Some(_), .. } => Some(named("interval", vec!["fields".to_string()])),
        DataType::JSON => plain("json"),
        DataType::JSONB => plain("jsonb"),
        DataType::Regclass => plain("regclass"),
        DataType::Text => plain("text"),
        DataType::Bytea => plain("bytea"),
        DataType::Bit(length) => Some(named("bit", length.iter().map(u64::to_string).collect())),
        DataType::BitVarying(length) | DataType::VarBit(length) => {
            Some(named("varbit", length.iter().map(u64::to_string).collect()))
        }
        DataType::TsVector => plain("tsvector"),
        DataType::TsQuery => plain("tsquery"),
        DataType::Custom(name, modifiers) => {
            let parts = object_name(name)?;
            let (schema, name) = match parts.as_slice() {
                [name] => (None, *name),
                [schema, name] => (Some(schema.to_string()), *name),
                _ => return None,
            };
            let modifiers = modifiers
                .iter()
                .map(|modifier| match modifier {
                    TypeModifier::Identifier(ident) => ident.value.clone(),
                    TypeModifier::Number(number, _) => number.clone(),
                    TypeModifier::String(string) => string.clone(),
                })
                .collect();
            Some(TypeName {
                schema,
                name: name.to_string(),
                modifiers,
                dimensions: 0,
            })
        }
        DataType::GeometricType(kind) => plain(&kind.to_string().to_ascii_lowercase()),
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Qualified(element, _)) => {
            let element = type_name(element)?;
            Some(TypeName {
                dimensions: element.dimensions.checked_add(1)?,
                ..element
            })
        }
        // What is left belongs to other databases.
        _ => None,
    }
}

fn named(name: &str, modifiers: Vec<String>) -> TypeName {
    TypeName {
        schema: None,
        name: name.to_string(),
        modifiers,
        dimensions: 0,
    }
}

fn character_length(length: &Option<CharacterLength>, default: Option<&str>) -> Option<Vec<String>> {
    match length {
        None => Some(default.iter().map(|length| length.to_string()).collect()),
        Some(CharacterLength::IntegerLength { length, unit: None }) => Some(vec![length.to_string()]),
        Some(CharacterLength::IntegerLength { unit: Some(_), .. } | CharacterLength::Max) => None,
    }
}

fn number_info(info: &ExactNumberInfo) -> Vec<String> {
    match info {
        ExactNumberInfo::None => Vec::new(),
        ExactNumberInfo::Precision(precision) => vec![precision.to_string()],
        ExactNumberInfo::PrecisionAndScale(precision, scale) => vec![precision.to_string(), scale.to_string()],
    }
}
