//! Which tables to spread, and by what: read off sizes, unique constraints and foreign keys.
//!
//! Why: a good key is the one that most bytes hang on. Tables that refer to the same root by one column lie together when
//! that column is their key, so joins on it stay on one shard.
//! Holds: what is spread passes the proxy's own check (key NOT NULL and in every unique constraint; foreign keys to tables
//! of the same keyspace by the key, or to reference tables); what would need a change first is listed with that change.

use std::collections::{BTreeMap, BTreeSet};

use shardgate::value::KeyType;

use super::schema::{Link, Name, Table, Unique, UniqueKind, of, quoted};

/// A reference table is on every shard in full: beyond this it costs more than it helps.
const REFERENCE_BYTES_MAX: u64 = 64 << 20;
/// What a keyspace's tables refer to may be on every shard if it is at least so many times smaller.
const REFERENCE_TIMES: u64 = 10;
/// A keyspace must carry this part of all bytes.
const SHARE_MIN: u64 = 20;
/// Further ones make more questions than they answer.
const KEYSPACES_MAX: usize = 4;

/// The whole advice.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) keyspaces: Vec<Chosen>,
    /// tables for every shard
    pub(super) references: BTreeSet<Name>,
}

/// One keyspace.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) key_type: KeyType,
    /// the table whose rows its keys name
    pub(super) root: Name,
    /// by category, if the root sorts its rows
    pub(super) lookup: Option<Lookup>,
    pub(super) members: Vec<Member>,
}

/// How a root sorts its rows into categories.
#[derive(Clone, Debug)]
pub(super) struct Lookup {
    pub(super) key: String,
    pub(super) category: String,
    pub(super) values: Vec<String>,
}

/// One table of a keyspace.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) table: Name,
    pub(super) key: String,
    /// what must change first; none: it can be spread as it is
    pub(super) obstacles: Vec<Obstacle>,
}

/// Why a table can't be spread as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) why: String,
    /// what would mend it
    pub(super) sql: Option<String>,
}

impl Chosen {
    /// Members that can be spread as they are.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.obstacles.is_empty())
    }
}

/// Chooses. `lookups`: of tables with few kinds of rows, the column that tells them.
pub(super) fn choose(tables: &[Table], lookups: &BTreeMap<Name, Lookup>) -> Choice {
    let all: u64 = tables.iter().map(|table| table.bytes).sum();
    let mut choice = Choice::default();
    let mut taken: BTreeSet<&Name> = BTreeSet::new();
    while choice.keyspaces.len() < KEYSPACES_MAX {
        let candidates = tables
            .iter()
            .filter_map(|root| candidate(root, tables, &taken, lookups));
        // Of equal weight the first by name, so that the same database gives the same file.
        let Some((weight, chosen)) = candidates.reduce(|best, next| if next.0 > best.0 { next } else { best }) else {
            break;
        };
        if weight == 0 || weight.saturating_mul(SHARE_MIN) < all {
            break;
        }
        let is_member = |name: &Name| chosen.members.iter().any(|member| member.table == *name);
        for table in tables {
            let is_root = chosen.lookup.is_some() && table.name == chosen.root;
            if is_root || (!is_member(&table.name) && is_small_beside(table, &chosen, weight, tables)) {
                choice.references.insert(table.name.clone());
                taken.insert(&table.name);
            } else if is_member(&table.name) {
                taken.insert(&table.name);
            }
        }
        choice.keyspaces.push(chosen);
    }
    name_apart(&mut choice.keyspaces);
    settle(&mut choice, tables);
    choice
}

/// Does the keyspace refer to this table, and is it small enough to be on every shard?
fn is_small_beside(table: &Table, chosen: &Chosen, weight: u64, tables: &[Table]) -> bool {
    let members = tables
        .iter()
        .filter(|candidate| chosen.members.iter().any(|member| member.table == candidate.name));
    let is_target = members
        .flat_map(|member| &member.links)
        .any(|link| link.target == table.name);
    is_target
        && table.oddities.is_empty()
        && table.bytes <= REFERENCE_BYTES_MAX
        && table.bytes.saturating_mul(REFERENCE_TIMES) <= weight
}

/// A keyspace around a root, and the bytes that it would spread.
fn candidate(
    root: &Table,
    tables: &[Table],
    taken: &BTreeSet<&Name>,
    lookups: &BTreeMap<Name, Lookup>,
) -> Option<(u64, Chosen)> {
    if taken.contains(&root.name) {
        return None;
    }
    let primary = root.primary()?;
    let key_type = primary.key_type()?;
    let lookup = lookups.get(&root.name).cloned();
    let mut members = Vec::new();
    let mut weight = 0_u64;
    if lookup.is_none() {
        weight = root.bytes;
        members.push(member(root, &primary.name));
    }
    for table in tables {
        if taken.contains(&table.name) || table.name == root.name {
            continue;
        }
        let Some(key) = key_of(table, root, &primary.name, key_type) else {
            continue;
        };
        weight = weight.saturating_add(table.bytes);
        members.push(member(table, key));
    }
    if members.is_empty() {
        return None;
    }
    let chosen = Chosen {
        name: singular(&root.name.name),
        key_type,
        root: root.name.clone(),
        lookup,
        members,
    };
    Some((weight, chosen))
}

/// The column by which a table refers to a root: by a foreign key; else by its name (`user_id` for `users`), as where foreign
/// keys aren't declared.
fn key_of<'t>(table: &'t Table, root: &Table, primary: &str, key_type: KeyType) -> Option<&'t str> {
    let link = table.links.iter().find(|link| points_at(link, root, primary));
    let name = match link.and_then(|link| link.columns.first()) {
        Some(column) => column.clone(),
        None if root.name.schema == table.name.schema => format!("{}_{primary}", singular(&root.name.name)),
        None => return None,
    };
    let column = table.column(&name)?;
    are_alike(column.key_type()?, key_type).then_some(column.name.as_str())
}

/// May both be keys of one keyspace?
fn are_alike(one: KeyType, other: KeyType) -> bool {
    let family = |key_type| match key_type {
        KeyType::Int2 | KeyType::Int4 => KeyType::Int8,
        KeyType::Varchar => KeyType::Text,
        other => other,
    };
    family(one) == family(other)
}

fn points_at(link: &Link, root: &Table, primary: &str) -> bool {
    link.target == root.name && link.columns.len() == 1 && link.target_columns.iter().eq([primary])
}

fn member(table: &Table, key: &str) -> Member {
    Member {
        table: table.name.clone(),
        key: key.to_owned(),
        obstacles: obstacles(table, key),
    }
}

/// What of the table itself is in the way.
fn obstacles(table: &Table, key: &str) -> Vec<Obstacle> {
    let mut found: Vec<Obstacle> = Vec::new();
    let name = of(&table.name);
    if table.column(key).is_some_and(|column| !column.not_null) {
        found.push(Obstacle {
            why: format!("{key} may be NULL"),
            sql: Some(format!("ALTER TABLE {name} ALTER COLUMN {} SET NOT NULL;", quoted(key))),
        });
    }
    for unique in &table.uniques {
        if !unique.columns.iter().flatten().any(|column| column == key) {
            found.push(lacking(table, unique, key));
        }
    }
    found.extend(table.oddities.iter().map(|what| Obstacle {
        why: format!("it has {what}"),
        sql: None,
    }));
    found
}

fn lacking(table: &Table, unique: &Unique, key: &str) -> Obstacle {
    let columns: Option<Vec<String>> = unique
        .columns
        .iter()
        .map(|column| column.as_deref().map(quoted))
        .collect();
    let name = of(&table.name);
    let sql = columns.map(|columns| {
        let columns = format!("{}, {}", quoted(key), columns.join(", "));
        let constraint = quoted(&unique.name);
        match unique.kind {
            UniqueKind::Primary => {
                format!("ALTER TABLE {name} DROP CONSTRAINT {constraint}, ADD PRIMARY KEY ({columns});")
            }
            UniqueKind::Constraint => {
                format!("ALTER TABLE {name} DROP CONSTRAINT {constraint}, ADD UNIQUE ({columns});")
            }
            UniqueKind::Index => {
                let schema = quoted(&table.name.schema);
                format!("DROP INDEX {schema}.{constraint}; CREATE UNIQUE INDEX ON {name} ({columns});")
            }
        }
    });
    Obstacle {
        why: format!("{} is unique without {key}", unique.name),
        sql,
    }
}

/// Looks at foreign keys until nothing changes: a small target becomes a reference table, else one of both ends stays.
fn settle(choice: &mut Choice, tables: &[Table]) {
    while let Some(change) = next_change(choice, tables) {
        match change {
            Change::Reference(name) => {
                choice.references.insert(name);
            }
            Change::Hold { table, why } => {
                let members = choice.keyspaces.iter_mut().flat_map(|keyspace| &mut keyspace.members);
                for member in members.filter(|member| member.table == table) {
                    let why = why.clone();
                    member.obstacles.push(Obstacle { why, sql: None });
                }
            }
        }
    }
}

enum Change {
    Reference(Name),
    Hold { table: Name, why: String },
}

fn next_change(choice: &Choice, tables: &[Table]) -> Option<Change> {
    let spread: BTreeMap<&Name, (&str, &str)> = choice
        .keyspaces
        .iter()
        .flat_map(|keyspace| {
            keyspace
                .ready()
                .map(|member| (&member.table, (keyspace.name.as_str(), member.key.as_str())))
        })
        .collect();
    for table in tables {
        for link in &table.links {
            let (from, to) = (spread.get(&table.name), spread.get(&link.target));
            let is_reference = choice.references.contains(&link.target);
            match (from, to) {
                // The same keyspace, key to key.
                (Some((keyspace, key)), Some((other, target))) if keyspace == other && carries(link, key, target) => {}
                (None, None) if !choice.references.contains(&table.name) || is_reference => {}
                (Some(_), None) if is_reference => {}
                // A reference table, or one that is to be, refers to what isn't.
                (Some(_) | None, None) if may_be_reference(choice, tables, &link.target) => {
                    return Some(Change::Reference(link.target.clone()));
                }
                (Some(_), _) => {
                    let why = format!("{} refers to {}, which lies elsewhere", link.name, link.target);
                    return Some(Change::Hold {
                        table: table.name.clone(),
                        why,
                    });
                }
                (None, Some(_)) => {
                    let why = format!("{} of {} refers to it and stays on one shard", link.name, table.name);
                    return Some(Change::Hold {
                        table: link.target.clone(),
                        why,
                    });
                }
                // A reference table whose target can't be one: left to the check, which names it.
                (None, None) => {}
            }
        }
    }
    None
}

fn carries(link: &Link, key: &str, target: &str) -> bool {
    link.columns
        .iter()
        .zip(&link.target_columns)
        .any(|(from, to)| from == key && to == target)
}

/// A small table that belongs to no keyspace and refers to nothing that does.
fn may_be_reference(choice: &Choice, tables: &[Table], name: &Name) -> bool {
    let spread = |name: &Name| {
        let mut members = choice.keyspaces.iter().flat_map(|keyspace| &keyspace.members);
        members.any(|member| member.table == *name)
    };
    tables.iter().any(|table| {
        table.name == *name
            && table.bytes <= REFERENCE_BYTES_MAX
            && table.oddities.is_empty()
            && !spread(name)
            && !choice.references.contains(name)
            && !table.links.iter().any(|link| spread(&link.target))
    })
}

/// `users` → `user`, `companies` → `company`; only what a keyspace's name may hold.
fn singular(table: &str) -> String {
    let plain: String = table
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_')
        .collect();
    let name = match (plain.strip_suffix("ies"), plain.strip_suffix('s')) {
        (Some(stem), _) => format!("{stem}y"),
        (None, Some(stem)) if !stem.ends_with('s') && stem.len() > 1 => stem.to_owned(),
        _ => plain,
    };
    if name.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        name
    } else {
        format!("k{name}")
    }
}

/// Two roots of one name (in two schemas) get numbers.
fn name_apart(keyspaces: &mut [Chosen]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for keyspace in keyspaces {
        let count = seen.entry(keyspace.name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            keyspace.name = format!("{}{count}", keyspace.name);
        }
    }
}
