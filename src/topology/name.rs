//! Names of tables and functions as the catalog stores them.

use std::fmt;

/// A schema-qualified name, folded as the catalog stores it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QualifiedName {
    /// `pg_namespace.nspname`
    pub schema: String,
    /// `pg_class.relname` (or `pg_proc.proname`)
    pub name: String,
}

impl QualifiedName {
    /// `schema.name`
    pub fn new(schema: impl Into<String>, name: impl Into<String>) -> QualifiedName {
        QualifiedName {
            schema: schema.into(),
            name: name.into(),
        }
    }

    /// `public.name`
    pub fn public(name: impl Into<String>) -> QualifiedName {
        QualifiedName::new("public", name)
    }
}

impl fmt::Display for QualifiedName {
    /// As SQL would write it: `public` left out, quoted where the name isn't plain lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.schema != "public" {
            write_identifier(f, &self.schema)?;
            f.write_str(".")?;
        }
        write_identifier(f, &self.name)
    }
}

fn write_identifier(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if plain {
        f.write_str(name)
    } else {
        write!(f, "\"{}\"", name.replace('"', "\"\""))
    }
}
