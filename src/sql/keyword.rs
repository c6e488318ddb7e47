//! Keywords of Postgres 15, by what they can't be (`pg_get_keywords()` of 15.18; `tests/sql_corpus.rs` compares).

/// Keywords that can't be a column's, table's or cursor's name unquoted: reserved ones, and those for types and functions.
/// From `pg_get_keywords()` of 15, sorted.
const NO_NAME: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "binary",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "group",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "natural",
    "not",
    "notnull",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "outer",
    "overlaps",
    "placing",
    "primary",
    "references",
    "returning",
    "right",
    "select",
    "session_user",
    "similar",
    "some",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
];

/// Those of them that `NonReservedWord` takes: keywords for types and functions.
const TYPE_OR_FUNCTION: &[&str] = &[
    "authorization",
    "binary",
    "collation",
    "concurrently",
    "cross",
    "current_schema",
    "freeze",
    "full",
    "ilike",
    "inner",
    "is",
    "isnull",
    "join",
    "left",
    "like",
    "natural",
    "notnull",
    "outer",
    "overlaps",
    "right",
    "similar",
    "tablesample",
    "verbose",
];

/// Those that can't be a function's or a type's name, but a column's. Category C.
const COLUMN_NAME: &[&str] = &[
    "between",
    "bigint",
    "bit",
    "boolean",
    "char",
    "character",
    "coalesce",
    "dec",
    "decimal",
    "exists",
    "extract",
    "float",
    "greatest",
    "grouping",
    "inout",
    "int",
    "integer",
    "interval",
    "least",
    "national",
    "nchar",
    "none",
    "normalize",
    "nullif",
    "numeric",
    "out",
    "overlay",
    "position",
    "precision",
    "real",
    "row",
    "setof",
    "smallint",
    "substring",
    "time",
    "timestamp",
    "treat",
    "trim",
    "values",
    "varchar",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Whether an unquoted word (lower case) can't be a column's, table's or cursor's name.
pub(super) fn is_no_name(word: &str) -> bool {
    NO_NAME.binary_search(&word).is_ok()
}

/// Whether it is a keyword for types and functions.
pub(super) fn is_type_or_function(word: &str) -> bool {
    TYPE_OR_FUNCTION.binary_search(&word).is_ok()
}

/// A name as Postgres's `quote_identifier` writes it: in quotes unless it is plain lower case and no keyword (other than an
/// unreserved one).
pub fn quote_identifier(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = matches!(bytes.next(), Some(b'a'..=b'z' | b'_'))
        && bytes.all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        && !is_no_name(name)
        && COLUMN_NAME.binary_search(&name).is_err();
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted() {
        assert!(NO_NAME.is_sorted() && TYPE_OR_FUNCTION.is_sorted() && COLUMN_NAME.is_sorted());
        assert!(TYPE_OR_FUNCTION.iter().all(|w| NO_NAME.contains(w)));
    }

    #[test]
    fn names_are_quoted_where_they_must() {
        for (name, expected) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("a b", "\"a b\""),
            ("select", "\"select\""),
            ("int", "\"int\""),
            ("begin", "begin"),
            ("1a", "\"1a\""),
            ("a\"b", "\"a\"\"b\""),
            ("$user", "\"$user\""),
            ("", "\"\""),
        ] {
            assert_eq!(quote_identifier(name), expected);
        }
    }
}
