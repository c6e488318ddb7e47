//! What a category keyspace needs: categories and their shards, and where a key's category comes from.

use std::collections::BTreeMap;

use crate::config::nearest::suggestion;
use crate::config::node::{Node, Value};
use crate::config::reader::{Fields, Reader, join};
use crate::config::shards::{self, Shards, texts};
use crate::config::spaces::sql_name;
use crate::config::{Position, names};
use crate::topology::{CategorySource, DeclaredCategory, DeclaredStrategy, Labels, QualifiedName};

/// Where a lookup table is named.
pub(super) type Named = Option<(QualifiedName, Position)>;

/// Reads the categories, the default and the source.
pub(super) fn categories(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    shards: &Shards,
) -> Option<(DeclaredStrategy, Named)> {
    let shown = fields.path("categories");
    let entries = fields
        .get("categories")
        .and_then(|node| reader.entries(node, &shown))
        .unwrap_or_default();
    let mut categories: Vec<DeclaredCategory> = Vec::new();
    for entry in entries {
        let shown = join(&shown, &entry.key);
        if entry.key.is_empty() {
            reader.wrong(entry.at, format!("{shown}: a category needs a name"));
        }
        let (shards, labels) = match &entry.node.value {
            Value::Map(_) => {
                let fields = reader.fields(&entry.node, "keyspaces.*.categories.*", &shown);
                let labels = shards::labels(reader, &fields);
                let owners = match fields.get("shards") {
                    Some(node) => spread(reader, node, &fields.path("shards"), shards),
                    None => {
                        reader.wrong(entry.at, format!("{shown} needs shards"));
                        Vec::new()
                    }
                };
                (owners, labels)
            }
            Value::Null | Value::Scalar(_) | Value::List(_) => {
                (spread(reader, &entry.node, &shown, shards), Labels::new())
            }
        };
        categories.push(DeclaredCategory {
            name: entry.key.clone(),
            shards,
            labels,
        });
    }
    let default = fields
        .get("default")
        .map(|node| spread(reader, node, &fields.path("default"), shards));
    if fields.get("default").is_none() && fields.get("categories").is_none() {
        reader.wrong(fields.at, format!("{} needs categories, default or both", fields.shown));
    }
    let (source, named) = source(reader, fields, &categories)?;
    let default = default.unwrap_or_default();
    Some((
        DeclaredStrategy::Category {
            source,
            categories,
            default,
        },
        named,
    ))
}

/// One shard or several.
fn spread(reader: &mut Reader<'_>, node: &Node, shown: &str, shards: &Shards) -> Vec<String> {
    let mut spread: Vec<String> = Vec::new();
    for item in reader.list(node, shown) {
        let Some(shard) = reader.known(item, shown, "shard", shards.names()) else {
            continue;
        };
        if spread.contains(&shard) {
            reader.wrong(item.at, format!("{shown}: shard \"{shard}\" occurs twice"));
        }
        spread.push(shard);
    }
    spread
}

fn source(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    categories: &[DeclaredCategory],
) -> Option<(CategorySource, Named)> {
    match (fields.get("lookup"), fields.get("categories_by_key")) {
        (Some(_), Some(_)) => {
            let message = format!("{} and lookup exclude each other", fields.path("categories_by_key"));
            reader.wrong(fields.place("categories_by_key"), message);
            None
        }
        (None, None) => Some((CategorySource::Key, None)),
        (None, Some(node)) => {
            let shown = fields.path("categories_by_key");
            let mut by_key = BTreeMap::new();
            for (key, (category, at)) in texts(reader, node, &shown) {
                if fields.get("default").is_none() && !categories.iter().any(|known| known.name == category) {
                    let near = suggestion(&category, categories.iter().map(|known| known.name.as_str()));
                    let why = "isn't in categories, and there is no default";
                    reader.wrong(
                        at,
                        format!("{}: the category \"{category}\" {why}{near}", join(&shown, &key)),
                    );
                }
                by_key.insert(key, category);
            }
            Some((CategorySource::ByKey(by_key), None))
        }
        (Some(node), None) => {
            let lookup = reader.fields(node, "keyspaces.*.lookup", &fields.path("lookup"));
            let table = sql_name(reader, &lookup, "table", names::qualified);
            let key = sql_name(reader, &lookup, "key", names::identifier);
            let category = sql_name(reader, &lookup, "category", names::identifier);
            let named = table.clone().zip(lookup.get("table").map(|node| node.at));
            Some((
                CategorySource::Lookup {
                    table: table?,
                    key: key?,
                    category: category?,
                },
                named,
            ))
        }
    }
}
