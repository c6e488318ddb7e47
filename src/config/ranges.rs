//! `ranges` of a range keyspace.
//!
//! Holds: bounds are values of the key's type, read as Postgres reads them whatever its settings, and ascend; nothing is
//! left out and nothing covered twice.

use std::cmp::Ordering;

use crate::config::node::{Node, Value};
use crate::config::reader::{Fields, Reader};
use crate::config::shards::{self, Shards};
use crate::topology::{DeclaredRange, DeclaredStrategy};
use crate::value::{Key, KeyError, KeyType};

/// Reads the ranges.
pub(super) fn ranges(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    shards: &Shards,
    key_type: Option<KeyType>,
) -> Option<DeclaredStrategy> {
    let shown = fields.path("ranges");
    let Some(node) = fields.get("ranges") else {
        reader.wrong(
            fields.at,
            format!("{shown} is missing: a range keyspace needs its ranges"),
        );
        return None;
    };
    let Value::List(items) = &node.value else {
        reader.wrong(node.at, format!("{shown} must be a list, not {}", node.described()));
        return None;
    };
    if items.is_empty() {
        let way = "one range without until covers everything";
        reader.wrong(node.at, format!("{shown} is an empty list; {way}"));
        return None;
    }
    let mut ranges = Vec::new();
    let mut previous = None;
    for (index, item) in items.iter().enumerate() {
        let range = reader.fields(item, "keyspaces.*.ranges[]", &shown);
        let shard = shards::one(reader, &range, "shard", shards);
        let until = range
            .get("until")
            .and_then(|node| bound(reader, node, &range.path("until"), key_type, &mut previous));
        let place = if index + 1 == items.len() {
            Place::Last
        } else {
            Place::Before
        };
        reaches(reader, item, &range, &shown, place);
        if let Some(shard) = shard {
            ranges.push(DeclaredRange { until, shard });
        }
    }
    Some(DeclaredStrategy::Range { ranges })
}

/// Where in the list a range stands.
#[derive(Clone, Copy)]
enum Place {
    Before,
    Last,
}

/// The last range, and only it, reaches to the end.
fn reaches(reader: &mut Reader<'_>, item: &Node, range: &Fields<'_>, shown: &str, place: Place) {
    match (range.get("until"), place) {
        (Some(node), Place::Last) => {
            let gap = "a gap: what lies at or above the last until has no shard; add a last range without until";
            reader.wrong(node.at, format!("{shown}: {gap}"));
        }
        (None, Place::Before) => {
            let why = "a range without until reaches to the end, so it must be the last";
            reader.wrong(item.at, format!("{shown}: {why}"));
        }
        (Some(_), Place::Before) | (None, Place::Last) => {}
    }
}

/// One bound as written, checked against the type and the bound before it.
fn bound(
    reader: &mut Reader<'_>,
    node: &Node,
    shown: &str,
    key_type: Option<KeyType>,
    previous: &mut Option<Key>,
) -> Option<String> {
    let text = reader.scalar(node, shown, "a bound")?.text.clone();
    let key_type = key_type?;
    match Key::parse_text(key_type, text.as_bytes()) {
        Ok(key) => {
            let order = previous.as_ref().and_then(|previous| previous.compare(&key));
            match order {
                Some(Ordering::Equal) => {
                    reader.wrong(
                        node.at,
                        format!("{shown}: {text} equals the bound before it, so the range would be empty"),
                    );
                }
                Some(Ordering::Greater) => {
                    reader.wrong(
                        node.at,
                        format!("{shown}: {text} lies below the bound before it, so they overlap; sort them"),
                    );
                }
                Some(Ordering::Less) | None => *previous = Some(key),
            }
        }
        Err(KeyError::Ambiguous { .. }) => {
            let form = match key_type {
                KeyType::Timestamptz => "write it with its offset, as in \"2026-04-01T00:00:00Z\"",
                KeyType::Timestamp => "write it as in \"2026-04-01 00:00:00\"",
                KeyType::Date => "write it as in \"2026-04-01\"",
                KeyType::Int2
                | KeyType::Int4
                | KeyType::Int8
                | KeyType::Text
                | KeyType::Varchar
                | KeyType::Bpchar
                | KeyType::Uuid
                | KeyType::Numeric => "write it as Postgres prints it",
            };
            reader.wrong(
                node.at,
                format!("{shown}: \"{text}\" can be read in several ways; {form}"),
            );
        }
        Err(error @ (KeyError::Invalid { .. } | KeyError::OutOfRange { .. } | KeyError::TooLong { .. })) => {
            reader.wrong(node.at, format!("{shown}: {error}"));
        }
    }
    Some(text)
}
