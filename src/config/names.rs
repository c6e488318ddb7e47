//! Names of tables, columns and functions as an operator writes them: by SQL's rules.
//!
//! Holds: unquoted parts are folded to lower case, quoted ones kept; a bare name is in schema `public`. Shards,
//! keyspaces and labels are plain names with a closed alphabet.

use crate::topology::QualifiedName;

/// Longest identifier in bytes (`NAMEDATALEN - 1`).
const IDENTIFIER_MAX: usize = 63;

/// `name` or `schema.name`.
pub(super) fn qualified(text: &str) -> Result<QualifiedName, String> {
    let mut parts = parts(text)?;
    match (parts.pop(), parts.pop(), parts.pop()) {
        (Some(name), Some(schema), None) => Ok(QualifiedName { schema, name }),
        (Some(name), None, None) => Ok(QualifiedName {
            schema: "public".to_owned(),
            name,
        }),
        _ => Err("more than schema and name".to_owned()),
    }
}

/// One identifier: a column.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    let mut parts = parts(text)?;
    match (parts.pop(), parts.pop()) {
        (Some(name), None) => Ok(name),
        _ => Err("a dot in a single name".to_owned()),
    }
}

/// A name of ours: a letter, then letters, digits, `_`, `-`.
pub(super) fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    text.len() <= IDENTIFIER_MAX
        && characters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn parts(text: &str) -> Result<Vec<String>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted)?,
            None => plain_part(rest)?,
        };
        if part.is_empty() {
            return Err("an empty name".to_owned());
        }
        if part.len() > IDENTIFIER_MAX {
            return Err(format!("a name of more than {IDENTIFIER_MAX} bytes"));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(parts),
            None => return Err(format!("\"{after}\" behind a quoted name")),
        }
    }
}

/// Up to the next dot; only characters that SQL takes without quotes.
fn plain_part(text: &str) -> Result<(String, &str), String> {
    let end = text.find('.').unwrap_or(text.len());
    let (part, after) = text.split_at_checked(end).unwrap_or((text, ""));
    let wrong = part.chars().enumerate().find(|(index, c)| {
        let letter = c.is_alphabetic() || *c == '_' || !c.is_ascii();
        !(letter || (*index > 0 && (c.is_ascii_digit() || *c == '$')))
    });
    match wrong {
        Some((_, c)) => Err(format!("the character \"{c}\" needs a quoted name, as in '\"{part}\"'")),
        None => Ok((part.to_ascii_lowercase(), after)),
    }
}

/// Up to the closing quote; `""` is a quote.
fn quoted_part(text: &str) -> Result<(String, &str), String> {
    let mut part = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        if c != '"' {
            part.push(c);
        } else if characters.peek().is_some_and(|(_, next)| *next == '"') {
            part.push('"');
            characters.next();
        } else {
            return Ok((part, text.get(at + 1..).unwrap_or("")));
        }
    }
    Err("a quoted name that doesn't end".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fold_as_in_sql() {
        let shown = |text| qualified(text).map(|n| format!("{}|{}", n.schema, n.name));
        assert_eq!(shown("Users"), Ok("public|users".to_owned()));
        assert_eq!(
            shown("Billing.\"My \"\"Fee\"\".x\""),
            Ok("billing|My \"Fee\".x".to_owned())
        );
        assert_eq!(shown("a.b.c"), Err("more than schema and name".to_owned()));
        assert_eq!(shown("a..c"), Err("an empty name".to_owned()));
        assert_eq!(
            shown("a-b"),
            Err("the character \"-\" needs a quoted name, as in '\"a-b\"'".to_owned())
        );
        assert_eq!(shown("\"a\"b"), Err("\"b\" behind a quoted name".to_owned()));
        assert_eq!(shown("\"a"), Err("a quoted name that doesn't end".to_owned()));
        assert_eq!(identifier("User_Id"), Ok("user_id".to_owned()));
        assert!(identifier("a.b").is_err());
    }
}
