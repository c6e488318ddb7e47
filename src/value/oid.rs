//! Type OIDs: those of built-in types are fixed by Postgres's `pg_type.dat` and the same on every server.
//!
//! Pinned by `tests/tokens.rs`, which compares each constant with `pg_type`.

/// A type's OID. Those of built-in types are fixed by Postgres (`pg_type.dat`); a user's differ per database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(pub u32);

macro_rules! builtin_types {
    ($($constant:ident $name:literal $oid:literal,)*) => {
        impl Oid {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Oid = Oid($oid);
            )*

            /// Every built-in type that is named here: (`pg_type.typname`, OID).
            pub const BUILTIN: &[(&str, Oid)] = &[$(($name, Oid($oid)),)*];
        }
    };
}

builtin_types! {
    BOOL "bool" 16,
    BYTEA "bytea" 17,
    CHAR "char" 18,
    NAME "name" 19,
    INT8 "int8" 20,
    INT2 "int2" 21,
    INT4 "int4" 23,
    REGPROC "regproc" 24,
    TEXT "text" 25,
    OID "oid" 26,
    TID "tid" 27,
    XID "xid" 28,
    CID "cid" 29,
    JSON "json" 114,
    XML "xml" 142,
    POINT "point" 600,
    FLOAT4 "float4" 700,
    FLOAT8 "float8" 701,
    UNKNOWN "unknown" 705,
    MONEY "money" 790,
    MACADDR "macaddr" 829,
    CIDR "cidr" 650,
    INET "inet" 869,
    BPCHAR "bpchar" 1042,
    VARCHAR "varchar" 1043,
    DATE "date" 1082,
    TIME "time" 1083,
    TIMESTAMP "timestamp" 1114,
    TIMESTAMPTZ "timestamptz" 1184,
    INTERVAL "interval" 1186,
    TIMETZ "timetz" 1266,
    BIT "bit" 1560,
    VARBIT "varbit" 1562,
    NUMERIC "numeric" 1700,
    REFCURSOR "refcursor" 1790,
    REGCLASS "regclass" 2205,
    REGTYPE "regtype" 2206,
    RECORD "record" 2249,
    VOID "void" 2278,
    UUID "uuid" 2950,
    PG_LSN "pg_lsn" 3220,
    TSVECTOR "tsvector" 3614,
    TSQUERY "tsquery" 3615,
    JSONB "jsonb" 3802,
    BOOL_ARRAY "_bool" 1000,
    BYTEA_ARRAY "_bytea" 1001,
    CHAR_ARRAY "_char" 1002,
    NAME_ARRAY "_name" 1003,
    INT2_ARRAY "_int2" 1005,
    INT4_ARRAY "_int4" 1007,
    TEXT_ARRAY "_text" 1009,
    BPCHAR_ARRAY "_bpchar" 1014,
    VARCHAR_ARRAY "_varchar" 1015,
    INT8_ARRAY "_int8" 1016,
    FLOAT4_ARRAY "_float4" 1021,
    FLOAT8_ARRAY "_float8" 1022,
    OID_ARRAY "_oid" 1028,
    TIMESTAMP_ARRAY "_timestamp" 1115,
    DATE_ARRAY "_date" 1182,
    TIME_ARRAY "_time" 1183,
    TIMESTAMPTZ_ARRAY "_timestamptz" 1185,
    INTERVAL_ARRAY "_interval" 1187,
    NUMERIC_ARRAY "_numeric" 1231,
    UUID_ARRAY "_uuid" 2951,
    JSON_ARRAY "_json" 199,
    JSONB_ARRAY "_jsonb" 3807,
}
