//! What may read when its transaction began: on a shard that joins a block late that is another moment.
//!
//! Why together: a function reads it by the tables that it writes, a table by the functions that its policies and
//! triggers call, a domain by its checks; so they are judged until nothing more is found.
//! Holds: `No` only where a function's own text, and that of all that it calls, reads and writes, says nothing of the
//! moment; what can't be scanned, isn't there on home, or isn't sql or plpgsql (and not declared
//! pure), may say so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalog::{
    Cascade, Deed, Filling, OutOfSight, ReadsMoment, Relation, RelationKind, Type, Unseen, UnseenKind, Volatility,
};
use crate::discovery::bodies::words;
use crate::discovery::hidden::{Hidden, Used};
use crate::discovery::moment_words::{body_reads, expression_reads};
use crate::discovery::shard_catalog::{ShardCatalog, ShardFunction, ShardRelation};
use crate::topology::{FunctionClass, QualifiedName, Topology};

/// Words of a body that may write.
const WRITES: &[&str] = &["insert", "update", "delete", "merge", "copy", "truncate"];

/// Something that runs unnamed, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Item {
    owner: Owner,
    hidden: Hidden,
}

/// Whose something is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Owner {
    Table(QualifiedName),
    Domain(QualifiedName),
}

/// What is known to read the moment, so far.
#[derive(Debug, Default)]
struct Reading {
    /// bare names of functions
    functions: BTreeSet<String>,
    /// bare names of relations, by being read
    reads: BTreeSet<String>,
    /// those by being written
    writes: BTreeSet<String>,
    /// domains, by their checks
    domains: BTreeSet<QualifiedName>,
}

/// Each function's `moment` becomes `No` where nothing in it, or in what it calls and writes, may read when its
/// transaction began. Answers what of the shards' tables may.
pub(super) fn judge_moments(
    (home, topology): (&ShardCatalog, &Topology),
    functions: &mut [ShardFunction],
    relations: &BTreeMap<QualifiedName, Arc<Relation>>,
    shards: &[Option<Arc<ShardCatalog>>],
) -> OutOfSight {
    let bodies: Vec<Option<BTreeSet<String>>> = functions.iter().map(own_words).collect();
    let known: BTreeSet<&QualifiedName> = home.functions.iter().map(|found| &found.function.name).collect();
    let items: Vec<Item> = items(shards).into_iter().collect();
    let cascades = cascades(relations);
    let parts = parts(shards);
    let mut reading = Reading::default();
    let pure = |name: &QualifiedName| topology.function(name) == Some(FunctionClass::Pure);
    let speaks = |function: &&ShardFunction| match speaks_of_moment(function) {
        Speaks::No => false,
        Speaks::Yes => true,
        Speaks::Unknown => !pure(&function.function.name),
    };
    for function in functions.iter().filter(speaks) {
        reading.functions.insert(function.function.name.name.clone());
    }
    let mut told: Vec<bool> = items.iter().map(|item| expression_reads(&item.hidden.text)).collect();
    let texts: Vec<Texts> = relations.values().map(|relation| Texts::of(relation)).collect();
    loop {
        let before = (reading.size(), told.iter().filter(|told| **told).count());
        for (function, words) in functions.iter().zip(&bodies) {
            if words.as_ref().is_some_and(|words| reading.is_among(words)) {
                reading.functions.insert(function.function.name.name.clone());
            }
        }
        for (item, told) in items.iter().zip(&mut told) {
            *told = *told
                || item
                    .hidden
                    .uses
                    .iter()
                    .any(|used| reading.has(&item.hidden, used, &known));
            if *told {
                reading.add(item);
            }
        }
        for text in &texts {
            text.judge(&mut reading);
        }
        for (target, cascades) in &cascades {
            if cascades
                .iter()
                .any(|cascade| reading.writes.contains(&cascade.table.name))
            {
                reading.writes.insert(target.name.clone());
            }
        }
        for (whole, parts) in &parts {
            if parts.iter().any(|part| reading.writes.contains(&part.name)) {
                reading.writes.insert(whole.name.clone());
            }
        }
        if (reading.size(), told.iter().filter(|told| **told).count()) == before {
            break;
        }
    }
    for function in functions.iter_mut() {
        function.function.moment = match reading.functions.contains(&function.function.name.name) {
            true => ReadsMoment::Perhaps,
            false => ReadsMoment::No,
        };
    }
    let types = Types::of(home);
    let moves = |oid: &u32| {
        types
            .domains(*oid)
            .iter()
            .any(|domain| reading.domains.contains(*domain))
    };
    let told = items.iter().zip(&told).filter(|(_, told)| **told);
    OutOfSight {
        tables: by_table(told.map(|(item, _)| item)),
        cascades,
        parts,
        types: types.by_oid.keys().copied().filter(moves).collect(),
        domains: reading.domains.iter().map(|domain| domain.name.clone()).collect(),
    }
}

/// What of each table reads it.
fn by_table<'a>(told: impl Iterator<Item = &'a Item>) -> BTreeMap<QualifiedName, Vec<Unseen>> {
    let mut tables: BTreeMap<QualifiedName, Vec<Unseen>> = BTreeMap::new();
    for item in told {
        let Owner::Table(table) = &item.owner else { continue };
        let unseen = Unseen {
            kind: item.hidden.kind,
            name: item.hidden.name.clone(),
            on: item.hidden.on.clone(),
        };
        let of_table = tables.entry(table.clone()).or_default();
        if !of_table.contains(&unseen) {
            of_table.push(unseen);
        }
    }
    tables
}

// === impl Reading ===

impl Reading {
    fn size(&self) -> usize {
        self.functions.len() + self.reads.len() + self.writes.len() + self.domains.len()
    }

    /// Does a body with such words read the moment by what it names?
    fn is_among(&self, words: &BTreeSet<String>) -> bool {
        let writes = WRITES.iter().any(|word| words.contains(*word));
        !words.is_disjoint(&self.functions)
            || !words.is_disjoint(&self.reads)
            || (writes && !words.is_disjoint(&self.writes))
            || self.domains.iter().any(|domain| words.contains(&domain.name))
    }

    fn has(&self, hidden: &Hidden, used: &Used, known: &BTreeSet<&QualifiedName>) -> bool {
        match used {
            Used::Function(name) if matches!(name.schema.as_str(), "pg_catalog" | "information_schema") => false,
            Used::Function(name) => !known.contains(name) || self.functions.contains(&name.name),
            Used::Type(name) => self.domains.contains(name),
            Used::Relation(name) if acts(hidden) => self.writes.contains(&name.name),
            Used::Relation(name) => self.reads.contains(&name.name),
        }
    }

    fn add(&mut self, item: &Item) {
        match &item.owner {
            Owner::Table(table) => {
                if item.hidden.on.contains(&Deed::Read) || item.hidden.on.contains(&Deed::Lock) {
                    self.reads.insert(table.name.clone());
                }
                self.writes.insert(table.name.clone());
            }
            Owner::Domain(domain) => {
                self.domains.insert(domain.clone());
            }
        }
    }
}

/// Is it a rule whose action writes?
fn acts(hidden: &Hidden) -> bool {
    if hidden.kind != UnseenKind::Rule {
        return false;
    }
    let Some(words) = words(&hidden.text) else {
        return true;
    };
    let mut action = words.iter().skip_while(|word| *word != "do");
    action.any(|word| WRITES.contains(&word.as_str()))
}

/// What a relation has by itself.
struct Texts<'a> {
    relation: &'a Relation,
    view: Text,
    defaults: Text,
}

/// Texts of SQL.
struct Text {
    words: BTreeSet<String>,
    reads: Reads,
}

/// Does a text read the moment by itself?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reads {
    Yes,
    No,
}

// === impl Texts ===

impl<'a> Texts<'a> {
    fn of(relation: &'a Relation) -> Texts<'a> {
        let defaults = relation.columns.iter().filter_map(|column| match &column.filling {
            Filling::Default { expression, .. } => Some(expression.as_str()),
            Filling::Generated(_) | Filling::Nothing | Filling::Identity { .. } => None,
        });
        Texts {
            relation,
            view: Text::of(relation.view_definition.as_deref().into_iter()),
            defaults: Text::of(defaults),
        }
    }

    fn judge(&self, reading: &mut Reading) {
        let name = &self.relation.name.name;
        if self.view.reads(reading) {
            reading.reads.insert(name.clone());
            reading.writes.insert(name.clone());
        }
        let written_through = !self.view.words.is_disjoint(&reading.writes);
        if written_through || self.defaults.reads(reading) {
            reading.writes.insert(name.clone());
        }
    }
}

impl Text {
    fn of<'t>(texts: impl Iterator<Item = &'t str>) -> Text {
        let mut all = Text {
            words: BTreeSet::new(),
            reads: Reads::No,
        };
        for text in texts {
            all.words.extend(words(text).unwrap_or_default());
            if body_reads(text) {
                all.reads = Reads::Yes;
            }
        }
        all
    }

    fn reads(&self, reading: &Reading) -> bool {
        self.reads == Reads::Yes || reading.is_among(&self.words)
    }
}

/// All that runs unnamed, on whichever shard.
fn items(shards: &[Option<Arc<ShardCatalog>>]) -> BTreeSet<Item> {
    let mut items = BTreeSet::new();
    for shard in shards.iter().flatten() {
        for (domain, checks) in &shard.domains {
            let owner = Owner::Domain(domain.clone());
            items.extend(checks.iter().map(|check| Item {
                owner: owner.clone(),
                hidden: check.clone(),
            }));
        }
        let types = Types::of(shard);
        for (name, relation) in &shard.relations {
            let own = relation.hidden.iter().cloned();
            let own = own.chain(triggers(relation)).chain(domains(relation, &types, shard));
            items.extend(own.map(|hidden| Item {
                owner: Owner::Table(name.clone()),
                hidden,
            }));
        }
    }
    items
}

/// A table's triggers, by their functions.
fn triggers(relation: &ShardRelation) -> impl Iterator<Item = Hidden> {
    relation.relation.triggers.iter().map(|trigger| Hidden {
        kind: UnseenKind::Trigger,
        name: trigger.name.clone(),
        on: trigger.on.clone(),
        text: String::new(),
        uses: vec![Used::Function(trigger.function.clone())],
    })
}

/// A table's columns that are of domains with checks, or hold such.
fn domains(relation: &ShardRelation, types: &Types<'_>, shard: &ShardCatalog) -> Vec<Hidden> {
    let is_table = match relation.relation.kind {
        RelationKind::Table | RelationKind::Partitioned | RelationKind::ForeignTable => !shard.domains.is_empty(),
        RelationKind::View | RelationKind::MaterializedView | RelationKind::Sequence | RelationKind::CompositeType => {
            false
        }
    };
    let columns = relation.relation.columns.iter().filter(|_| is_table);
    let of_domain = columns.filter_map(|column| {
        let uses: Vec<Used> = types
            .domains(column.type_oid.0)
            .into_iter()
            .cloned()
            .map(Used::Type)
            .collect();
        (!uses.is_empty()).then(|| Hidden {
            kind: UnseenKind::Domain,
            name: column.name.clone(),
            on: vec![Deed::Insert, Deed::Update],
            text: String::new(),
            uses,
        })
    });
    of_domain.collect()
}

/// A shard's types, by their OIDs there.
struct Types<'a> {
    by_oid: BTreeMap<u32, &'a Type>,
    rows: BTreeMap<u32, &'a ShardRelation>,
    checked: &'a BTreeMap<QualifiedName, Vec<Hidden>>,
}

// === impl Types ===

impl<'a> Types<'a> {
    fn of(shard: &'a ShardCatalog) -> Types<'a> {
        let relations = shard.relations.values();
        Types {
            by_oid: shard.types.values().map(|(oid, found)| (oid.0, found)).collect(),
            rows: relations
                .flat_map(|relation| [(relation.row_type.0, relation), (relation.row_array.0, relation)])
                .filter(|(oid, _)| *oid != 0)
                .collect(),
            checked: &shard.domains,
        }
    }

    /// The domains with checks that a value of that type may have in it.
    fn domains(&self, oid: u32) -> BTreeSet<&'a QualifiedName> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::from([oid]);
        let mut open = vec![oid];
        while let Some(oid) = open.pop() {
            if let Some(kind) = self.by_oid.get(&oid) {
                found.extend(self.checked.get_key_value(&kind.name).map(|(name, _)| name));
                open.extend(kind.base.map(|base| base.0).filter(|base| seen.insert(*base)));
            }
            if let Some(row) = self.rows.get(&oid) {
                let columns = row.relation.columns.iter().map(|column| column.type_oid.0);
                open.extend(columns.filter(|column| seen.insert(*column)));
            }
        }
        found
    }
}

/// Foreign keys that change rows, by the table that they refer to.
fn cascades(relations: &BTreeMap<QualifiedName, Arc<Relation>>) -> BTreeMap<QualifiedName, Vec<Cascade>> {
    let mut cascades: BTreeMap<QualifiedName, Vec<Cascade>> = BTreeMap::new();
    for (name, relation) in relations {
        for key in relation.foreign_keys.iter().filter(|key| Cascade::is_one(key)) {
            cascades.entry(key.target.clone()).or_default().push(Cascade {
                table: name.clone(),
                key: key.clone(),
            });
        }
    }
    cascades
}

/// By a table: its partitions and children.
fn parts(shards: &[Option<Arc<ShardCatalog>>]) -> BTreeMap<QualifiedName, BTreeSet<QualifiedName>> {
    let mut parts: BTreeMap<QualifiedName, BTreeSet<QualifiedName>> = BTreeMap::new();
    for (name, relation) in shards.iter().flatten().flat_map(|shard| &shard.relations) {
        for parent in &relation.parents {
            parts.entry(parent.clone()).or_default().insert(name.clone());
        }
    }
    parts
}

/// The words of a function's body, or of what an aggregate is made of.
fn own_words(function: &ShardFunction) -> Option<BTreeSet<String>> {
    let body = function.body.as_deref()?;
    Some(words(body).unwrap_or_default().into_iter().collect())
}

/// Does a function's own body speak of the moment?
enum Speaks {
    No,
    Yes,
    /// its body can't be read: only a declaration says
    Unknown,
}

fn speaks_of_moment(function: &ShardFunction) -> Speaks {
    let own = &function.function;
    match (function.language.as_str(), &function.body) {
        ("sql" | "plpgsql", Some(body)) => {
            let hides = words(body).is_none_or(|words| words.iter().any(|word| word == "execute"));
            match hides || body_reads(body) {
                true => Speaks::Yes,
                false => Speaks::No,
            }
        }
        ("internal", Some(_)) => Speaks::No, // an aggregate: its parts are judged
        ("c" | "internal", _) if own.volatility == Volatility::Immutable => Speaks::No,
        ("c" | "internal", _) if own.name.name.starts_with("uuid_generate_") => Speaks::No,
        _ => Speaks::Unknown,
    }
}
