//! YAML text → a tree of nodes that know their place; the only file that names the YAML crate.
//!
//! Why a tree: a derived reader stops at its first complaint and loses the place of a value that is well formed but
//! wrong. Holds: a number or boolean keeps its spelling; repeated keys are kept, so that they can be reported.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, MergeKeyPolicy, Spanned};

use crate::config::{Position, Problem};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A scalar as written, without its quotes.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) class: Class,
}

/// What YAML takes a scalar for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Boolean,
    Number,
    Text,
}

/// A key of a mapping and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Position,
    pub(super) key: String,
    pub(super) node: Node,
}

impl Node {
    /// What it is, for a message: `text "x"`, `the number 5`, `a list`.
    pub(super) fn described(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(Scalar {
                text,
                class: Class::Text,
            }) => format!("the text \"{text}\""),
            Value::Scalar(Scalar {
                text,
                class: Class::Number,
            }) => format!("the number {text}"),
            Value::Scalar(Scalar {
                text,
                class: Class::Boolean,
            }) => text.clone(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}

/// Reads one YAML document.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    if text.trim().is_empty() {
        return Err(Problem {
            at: Position { line: 1, column: 1 },
            message: "the file is empty".to_owned(),
        });
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
    };
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(node(raw, text)),
        Err(error) => Err(syntax(&error)),
    }
}

fn syntax(error: &serde_saphyr::Error) -> Problem {
    let error = error.without_snippet();
    let at = error.location().map_or(Position { line: 1, column: 1 }, position);
    let full = error.to_string();
    let message = full.lines().next().unwrap_or("unreadable");
    let message = message.split(" at line ").next().unwrap_or(message);
    let message = message.strip_prefix("error: ").unwrap_or(message);
    Problem {
        at,
        message: format!("not YAML: {message}"),
    }
}

fn position(location: Location) -> Position {
    let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).max(1);
    Position {
        line: clamp(location.line()),
        column: clamp(location.column()),
    }
}

/// What the YAML crate hands over.
#[derive(Debug)]
enum Raw {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, source: &str) -> Node {
    let at = position(raw.referenced);
    let spelling = |fallback: String| spelled(raw.defined, source).unwrap_or(fallback);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Boolean(value) => Value::Scalar(Scalar {
            text: spelling(value.to_string()),
            class: Class::Boolean,
        }),
        Raw::Number(text) => Value::Scalar(Scalar {
            text: spelling(text),
            class: Class::Number,
        }),
        Raw::Text(text) => Value::Scalar(Scalar {
            text,
            class: Class::Text,
        }),
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    at: position(key.referenced),
                    key: key.value,
                    node: node(value, source),
                })
                .collect(),
        ),
    };
    Node { at, value }
}

/// The source text of a plain scalar: `1.50` must not become `1.5`.
fn spelled(location: Location, source: &str) -> Option<String> {
    let start = usize::try_from(location.span().byte_offset()?).ok()?;
    let length = usize::try_from(location.span().byte_len()?).ok()?;
    let text = source.get(start..start.checked_add(length)?)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_spelling_and_repeated_keys_are_kept() {
        let node = read("a: 1.50\na: [0x10, yes, \"5\", ~]\nb: {c: \"x y\"}\n").unwrap();
        let Value::Map(entries) = &node.value else {
            panic!("{node:?}")
        };
        assert_eq!(entries.len(), 3);
        assert_eq!(
            (entries[1].at.line, entries[1].at.column, entries[1].key.as_str()),
            (2, 1, "a")
        );
        assert_eq!((entries[1].node.at.line, entries[1].node.at.column), (2, 4));
        assert_eq!(entries[0].node.described(), "the number 1.50");
        let Value::List(items) = &entries[1].node.value else {
            panic!("{node:?}")
        };
        let described: Vec<String> = items.iter().map(Node::described).collect();
        assert_eq!(
            described,
            ["the number 0x10", "the text \"yes\"", "the text \"5\"", "nothing"]
        );
    }

    #[test]
    fn broken_yaml_has_a_place() {
        let problem = read("a: [1, 2\nb: 3\n").unwrap_err();
        assert!(problem.at.line >= 1, "{problem:?}");
        assert!(problem.message.starts_with("not YAML: "), "{problem:?}");
    }
}
