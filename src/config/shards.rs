//! Section `shards`, and every reference to a shard by name.

use std::collections::BTreeMap;

use crate::config::endpoint::endpoint;
use crate::config::node::{Node, Value};
use crate::config::reader::{Fields, Reader, join};
use crate::config::scalars::{number_at, whole};
use crate::config::{Position, ShardSettings, names};
use crate::topology::{Labels, SHARDS_MAX, Shard};

/// The shards that could be read, and all names that were written.
pub(super) struct Shards {
    settings: Vec<ShardSettings>,
    names: Vec<(String, Position)>,
}

impl Shards {
    /// Every name that was written, even of a shard that is otherwise wrong.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.names.iter().map(|(name, _)| name.as_str())
    }

    /// The first shard's name.
    pub(super) fn first_name(&self) -> Option<String> {
        self.names().next().map(str::to_owned)
    }

    /// A shard whose control role has this name.
    pub(super) fn with_control_role(&self, role: &str) -> Option<&str> {
        self.settings
            .iter()
            .find(|shard| shard.primary.user == role)
            .map(|shard| shard.name.as_str())
    }

    /// What was read.
    pub(super) fn settings(&self) -> &[ShardSettings] {
        &self.settings
    }

    /// What was read.
    pub(super) fn into_settings(self) -> Vec<ShardSettings> {
        self.settings
    }
}

/// Reads the list of shards.
pub(super) fn shards(reader: &mut Reader<'_>, fields: &Fields<'_>, database: &str) -> Shards {
    let mut shards = Shards {
        settings: Vec::new(),
        names: Vec::new(),
    };
    let Some(node) = fields.get("shards") else {
        return shards;
    };
    let Value::List(items) = &node.value else {
        reader.wrong(
            node.at,
            format!("shards must be a list (`- name: …` lines), not {}", node.described()),
        );
        return shards;
    };
    if items.is_empty() {
        reader.wrong(node.at, "shards is an empty list; one shard is the least");
    }
    if items.len() > SHARDS_MAX {
        reader.wrong(
            node.at,
            format!("shards: {} are too many; {SHARDS_MAX} is the most", items.len()),
        );
    }
    for item in items {
        shard(reader, &mut shards, item, database);
    }
    shards
}

fn shard(reader: &mut Reader<'_>, shards: &mut Shards, item: &Node, database: &str) {
    let fields = reader.fields(item, "shards[]", "shards");
    let name = fields.get("name").and_then(|node| {
        let name = reader.text(node, "shards.name")?;
        if !names::is_plain(&name) {
            let rule = "a letter, then letters, digits, \"_\" and \"-\", at most 63";
            reader.wrong(
                node.at,
                format!("shards.name: \"{name}\" is no name for a shard: {rule}"),
            );
        }
        if let Some((_, first)) = shards.names.iter().find(|(earlier, _)| *earlier == name) {
            reader.wrong(
                node.at,
                format!("shards: the name \"{name}\" occurs twice; first in line {}", first.line),
            );
        }
        shards.names.push((name.clone(), node.at));
        Some(name)
    });
    let shown = name
        .as_deref()
        .map_or_else(|| "shards".to_owned(), |name| format!("shards.{name}"));
    let primary = fields.get("primary").and_then(|node| {
        let primary = endpoint(reader, node, &join(&shown, "primary"), database)?;
        if let Some(other) = shards
            .settings
            .iter()
            .find(|other| other.primary.is_same_database(&primary))
        {
            let what = format!("{}/{}", primary.address(), primary.database);
            reader.wrong(
                node.at,
                format!(
                    "{shown}.primary: {what} is shard {} already; each needs a database of its own",
                    other.name
                ),
            );
        }
        Some(primary)
    });
    let weight = whole(reader, &fields, "weight", 1..=Shard::WEIGHT_MAX, 1);
    let capacity = fields
        .get("capacity")
        .and_then(|node| number_at(reader, node, &join(&shown, "capacity"), 0.01..=10_000.0));
    let labels = fields
        .get("labels")
        .map(|node| texts(reader, node, &join(&shown, "labels")))
        .unwrap_or_default();
    if let (Some(name), Some(primary)) = (name, primary) {
        let labels = labels.into_iter().map(|(label, value)| (label, value.0)).collect();
        shards.settings.push(ShardSettings {
            name,
            primary,
            weight,
            capacity,
            labels,
        });
    }
}

/// A mapping from text to text; values with their places.
pub(super) fn texts(reader: &mut Reader<'_>, node: &Node, shown: &str) -> BTreeMap<String, (String, Position)> {
    let mut texts = BTreeMap::new();
    for entry in reader.entries(node, shown).unwrap_or_default() {
        if let Some(text) = reader.text(&entry.node, &join(shown, &entry.key)) {
            texts.insert(entry.key.clone(), (text, entry.node.at));
        }
    }
    texts
}

/// The labels that a mapping demands of shards.
pub(super) fn labels(reader: &mut Reader<'_>, fields: &Fields<'_>) -> Labels {
    let labels = fields
        .get("labels")
        .map(|node| texts(reader, node, &fields.path("labels")))
        .unwrap_or_default();
    labels.into_iter().map(|(label, value)| (label, value.0)).collect()
}

/// The shard that a key names.
pub(super) fn one(reader: &mut Reader<'_>, fields: &Fields<'_>, key: &str, shards: &Shards) -> Option<String> {
    let node = fields.get(key)?;
    reader.known(node, &fields.path(key), "shard", shards.names())
}
