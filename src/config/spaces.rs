//! Section `keyspaces`: strategy, type, and what each strategy needs.
//!
//! Holds: a key of another strategy is a problem, not ignored; a range keyspace covers everything, once.

use std::collections::BTreeMap;

use crate::config::node::{Node, Value};
use crate::config::reader::{Choice, Fields, Reader, join};
use crate::config::scalars::whole;
use crate::config::shards::{self, Shards, texts};
use crate::config::{DeclaredKeyspace, DeclaredRange, DeclaredStrategy, Lookup, Position, names};
use crate::topology::QualifiedName;
use crate::value::KeyType;

/// Buckets of a hash keyspace that doesn't say: enough to move a tenth of a percent at a time.
const BUCKETS: u32 = 1024;
/// More would make every list of buckets unreadable.
const BUCKETS_MAX: u32 = 65_536;

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
    let (strategy, lookup) = match word? {
        Word::Hash => (hash(reader, &fields, shards), None),
        Word::Range => (ranges(reader, &fields, shards, key_type)?, None),
        Word::Category => categories(reader, &fields, shards)?,
    };
    Some(Keyspace {
        declared: DeclaredKeyspace {
            name: name.to_owned(),
            key_type: key_type?,
            strategy,
        },
        lookup,
    })
}

fn key_type(reader: &mut Reader<'_>, node: &Node, shown: &str, word: Option<Word>) -> Option<KeyType> {
    let written = reader.text(node, shown)?;
    let key_type = match written.to_ascii_lowercase().as_str() {
        "smallint" | "int2" => KeyType::Int2,
        "int" | "integer" | "int4" => KeyType::Int4,
        "bigint" | "int8" => KeyType::Int8,
        "text" => KeyType::Text,
        "varchar" | "character varying" => KeyType::Varchar,
        "char" | "character" | "bpchar" => KeyType::Bpchar,
        "uuid" => KeyType::Uuid,
        "date" => KeyType::Date,
        "timestamp" | "timestamp without time zone" => KeyType::Timestamp,
        "timestamptz" | "timestamp with time zone" => KeyType::Timestamptz,
        "numeric" | "decimal" => KeyType::Numeric,
        other => {
            unknown_type(reader, node, shown, &written, other);
            return None;
        }
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

fn unknown_type(reader: &mut Reader<'_>, node: &Node, shown: &str, written: &str, lower: &str) {
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
    let why = match lower.split('(').next().unwrap_or(lower).trim() {
        base if lower.contains('(') && known.contains(&base) => {
            format!("write {base} without a length: each column has its own")
        }
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
    let buckets = whole(reader, fields, "buckets", 1..=BUCKETS_MAX, BUCKETS);
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
    DeclaredStrategy::Hash { buckets, all }
}

fn ranges(
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
        reader.wrong(
            node.at,
            format!("{shown} is an empty list; one range without until covers everything"),
        );
        return None;
    }
    let mut ranges = Vec::new();
    let mut bounds = Bounds {
        key_type,
        previous: None,
    };
    for (index, item) in items.iter().enumerate() {
        let range = reader.fields(item, "keyspaces.*.ranges[]", &shown);
        let shard = shards::one(reader, &range, "shard", shards);
        let is_last = index + 1 == items.len();
        let until = match range.get("until") {
            Some(node) => {
                let until = reader
                    .scalar(node, &range.path("until"), "a bound")
                    .map(|scalar| scalar.text.clone());
                if let Some(until) = &until {
                    bounds.check(reader, node, &range.path("until"), until);
                }
                if is_last {
                    let gap = "what lies above has no shard; add a last range without until";
                    reader.wrong(
                        node.at,
                        format!(
                            "{shown}: a gap: the last range has until {}, {gap}",
                            until.as_deref().unwrap_or("")
                        ),
                    );
                }
                until
            }
            None => {
                if !is_last {
                    reader.wrong(
                        item.at,
                        format!("{shown}: a range without until reaches to the end, so it must be the last"),
                    );
                }
                None
            }
        };
        if let Some(shard) = shard {
            ranges.push(DeclaredRange { until, shard });
        }
    }
    Some(DeclaredStrategy::Range(ranges))
}

/// Bounds must be values of the type and ascend.
struct Bounds {
    key_type: Option<KeyType>,
    previous: Option<String>,
}

impl Bounds {
    fn check(&mut self, reader: &mut Reader<'_>, node: &Node, shown: &str, until: &str) {
        let Some(key_type) = self.key_type else { return };
        let _ = key_type;
        if self.previous.as_deref() == Some(until) {
            reader.wrong(
                node.at,
                format!("{shown}: {until} occurs twice, so a range would be empty"),
            );
        }
        self.previous = Some(until.to_owned());
    }
}

fn categories(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    shards: &Shards,
) -> Option<(DeclaredStrategy, Option<(QualifiedName, Position)>)> {
    let mut categories = BTreeMap::new();
    let shown = fields.path("categories");
    if let Some(node) = fields.get("categories") {
        for entry in reader.entries(node, &shown).unwrap_or_default() {
            let shown = join(&shown, &entry.key);
            let mut spread: Vec<String> = Vec::new();
            for item in reader.list(&entry.node, &shown) {
                let Some(shard) = reader.known(item, &shown, "shard", shards.names()) else {
                    continue;
                };
                if spread.contains(&shard) {
                    reader.wrong(item.at, format!("{shown}: shard \"{shard}\" occurs twice"));
                }
                spread.push(shard);
            }
            if entry.key.is_empty() {
                reader.wrong(entry.at, format!("{shown}: a category needs a name"));
            }
            categories.insert(entry.key.clone(), spread);
        }
    }
    let default = shards::one(reader, fields, "default", shards);
    if categories.is_empty() && fields.get("default").is_none() && fields.get("categories").is_none() {
        reader.wrong(fields.at, format!("{} needs categories, default or both", fields.shown));
    }
    let lookup = lookup(reader, fields, &categories, default.as_deref());
    let (lookup, named) = lookup?;
    Some((
        DeclaredStrategy::Category {
            categories,
            default,
            lookup,
        },
        named,
    ))
}

fn lookup(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    categories: &BTreeMap<String, Vec<String>>,
    default: Option<&str>,
) -> Option<(Lookup, Option<(QualifiedName, Position)>)> {
    match (fields.get("lookup"), fields.get("categories_by_key")) {
        (Some(_), Some(_)) => {
            let message = format!("{} and lookup exclude each other", fields.path("categories_by_key"));
            reader.wrong(fields.place("categories_by_key"), message);
            None
        }
        (None, None) => Some((Lookup::Itself, None)),
        (None, Some(node)) => {
            let shown = fields.path("categories_by_key");
            let mut by_key = BTreeMap::new();
            for (key, (category, at)) in texts(reader, node, &shown) {
                if default.is_none() && !categories.contains_key(&category) {
                    let near = crate::config::nearest::suggestion(&category, categories.keys().map(String::as_str));
                    let why = "isn't in categories, and there is no default";
                    reader.wrong(
                        at,
                        format!("{}: the category \"{category}\" {why}{near}", join(&shown, &key)),
                    );
                }
                by_key.insert(key, category);
            }
            Some((Lookup::ByKey(by_key), None))
        }
        (Some(node), None) => {
            let lookup = reader.fields(node, "keyspaces.*.lookup", &fields.path("lookup"));
            let table = sql_name(reader, &lookup, "table", names::qualified);
            let key = sql_name(reader, &lookup, "key", names::identifier);
            let category = sql_name(reader, &lookup, "category", names::identifier);
            let named = table.clone().zip(lookup.get("table").map(|node| node.at));
            Some((
                Lookup::Table {
                    table: table?,
                    key: key?,
                    category: category?,
                },
                named,
            ))
        }
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
