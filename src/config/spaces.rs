//! Section `keyspaces`: strategy, type, and what each strategy needs.
//!
//! Holds: a key of another strategy is a problem, not ignored; a range keyspace covers everything, once.

use crate::config::node::{Node, Value};
use crate::config::reader::{Choice, Fields, Reader, join};
use crate::config::scalars::whole;
use crate::config::shards::{self, Shards};
use crate::config::{Position, categories, names, ranges};
use crate::topology::{DeclaredKeyspace, DeclaredStrategy, HashPlacement, HashStart, QualifiedName};
use crate::value::KeyType;

/// Buckets of a hash keyspace that doesn't say: enough to move a tenth of a percent at a time.
const BUCKETS: u32 = 1024;

/// A keyspace and where its lookup table is named.
pub(super) struct Keyspace {
    pub(super) declared: DeclaredKeyspace,
    pub(super) lookup: Option<(QualifiedName, Position)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Hash,
    Range,
    Category,
}

impl Word {
    fn shown(self) -> &'static str {
        match self {
            Word::Hash => "hash",
            Word::Range => "range",
            Word::Category => "category",
        }
    }

    fn own_keys(self) -> &'static [&'static str] {
        match self {
            Word::Hash => &["buckets", "placement"],
            Word::Range => &["ranges"],
            Word::Category => &["lookup", "categories_by_key", "categories", "default"],
        }
    }
}

/// Reads the keyspaces.
pub(super) fn keyspaces(reader: &mut Reader<'_>, fields: &Fields<'_>, shards: &Shards) -> Vec<Keyspace> {
    let Some(node) = fields.get("keyspaces") else {
        return Vec::new();
    };
    let entries = reader.entries(node, "keyspaces").unwrap_or_default();
    let mut keyspaces = Vec::new();
    for entry in entries {
        if !names::is_plain(&entry.key) {
            let rule = "a letter, then letters, digits, \"_\" and \"-\", at most 63";
            reader.wrong(
                entry.at,
                format!("keyspaces: \"{}\" is no name for a keyspace: {rule}", entry.key),
            );
        }
        if let Some(keyspace) = keyspace(reader, &entry.key, &entry.node, shards) {
            keyspaces.push(keyspace);
        }
    }
    keyspaces
}

fn keyspace(reader: &mut Reader<'_>, name: &str, node: &Node, shards: &Shards) -> Option<Keyspace> {
    let fields = reader.fields(node, "keyspaces.*", &join("keyspaces", name));
    let choices = [Word::Hash, Word::Range, Word::Category]
        .map(|word| (word.shown(), Choice::Here(word)))
        .into();
    let strategy = fields.get("strategy");
    let word = strategy.and_then(|node| reader.choice(node, &fields.path("strategy"), choices));
    let key_type = fields
        .get("type")
        .and_then(|node| key_type(reader, node, &fields.path("type"), word));
    if let Some(word) = word {
        for other in [Word::Hash, Word::Range, Word::Category]
            .into_iter()
            .filter(|other| *other != word)
        {
            for key in other.own_keys().iter().filter(|key| fields.get(key).is_some()) {
                let message = format!(
                    "{} belongs to strategy {}, this one is {}",
                    fields.path(key),
                    other.shown(),
                    word.shown()
                );
                reader.wrong(fields.place(key), message);
            }
        }
    }
    let labels = shards::labels(reader, &fields);
    let (strategy, lookup) = match word? {
        Word::Hash => (hash(reader, &fields, shards), None),
        Word::Range => (ranges::ranges(reader, &fields, shards, key_type)?, None),
        Word::Category => categories::categories(reader, &fields, shards)?,
    };
    Some(Keyspace {
        declared: DeclaredKeyspace {
            name: name.to_owned(),
            key_type: key_type?,
            labels,
            strategy,
        },
        lookup,
    })
}

fn key_type(reader: &mut Reader<'_>, node: &Node, shown: &str, word: Option<Word>) -> Option<KeyType> {
    let written = reader.text(node, shown)?;
    let Some(key_type) = KeyType::from_name(&written) else {
        unknown_type(reader, node, shown, &written);
        return None;
    };
    let fits = match word {
        Some(Word::Range) => !matches!(key_type, KeyType::Varchar | KeyType::Bpchar),
        Some(Word::Category) => matches!(key_type, KeyType::Text | KeyType::Varchar),
        Some(Word::Hash) | None => true,
    };
    if !fits {
        let (word, types) = match word {
            Some(Word::Range) => (
                "range",
                "smallint, int, bigint, numeric, date, timestamp, timestamptz, uuid, or text under collation C",
            ),
            _ => ("category", "text or varchar"),
        };
        reader.wrong(
            node.at,
            format!("{shown}: keys of a {word} keyspace are {types}; not {written}"),
        );
        return None;
    }
    Some(key_type)
}

fn unknown_type(reader: &mut Reader<'_>, node: &Node, shown: &str, written: &str) {
    let known = [
        "smallint",
        "int",
        "bigint",
        "text",
        "varchar",
        "char",
        "uuid",
        "date",
        "timestamp",
        "timestamptz",
        "numeric",
    ];
    let lower = written.to_ascii_lowercase();
    let why = match lower.split('(').next().unwrap_or(&lower).trim() {
        "real" | "double precision" | "float4" | "float8" | "float" => {
            "floating point isn't a key: equal numbers may have different digits; use numeric".to_owned()
        }
        "citext" => "citext isn't a key: its equality is a collation's secret; use text".to_owned(),
        "serial" => "write int".to_owned(),
        "bigserial" => "write bigint".to_owned(),
        _ => {
            let near = crate::config::nearest::suggestion(written, known);
            if near.is_empty() {
                format!("known are {}", known.join(", "))
            } else {
                near.trim_start_matches("; ").to_owned()
            }
        }
    };
    reader.wrong(node.at, format!("{shown}: {written} can't be a sharding key: {why}"));
}

fn hash(reader: &mut Reader<'_>, fields: &Fields<'_>, shards: &Shards) -> DeclaredStrategy {
    let buckets = whole(reader, fields, "buckets", 1..=HashPlacement::BUCKETS_MAX, BUCKETS);
    let all = fields.get("placement").and_then(|node| {
        let placement = reader.fields(node, "keyspaces.*.placement", &fields.path("placement"));
        if placement.get("all").is_none() && matches!(&node.value, Value::Map(entries) if entries.is_empty()) {
            reader.wrong(
                node.at,
                format!(
                    "{} is empty; write {{all: SHARD}} or leave it out",
                    fields.path("placement")
                ),
            );
        }
        shards::one(reader, &placement, "all", shards)
    });
    DeclaredStrategy::Hash {
        buckets,
        start: all.map_or(HashStart::Ring, HashStart::All),
    }
}

/// A name by SQL's rules.
pub(super) fn sql_name<T>(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let node = fields.get(key)?;
    let text = reader.text(node, &fields.path(key))?;
    match parse(&text) {
        Ok(name) => Some(name),
        Err(why) => {
            reader.wrong(node.at, format!("{}: \"{text}\" is no name: {why}", fields.path(key)));
            None
        }
    }
}
