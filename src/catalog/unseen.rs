//! What runs unnamed when rows are read or written, and may read when its transaction began.
//!
//! Why apart from the relations: next to no table has anything of the kind, and what a foreign key goes on to belongs
//! to other tables.
//! Holds: policies are those of the table that a statement names; a foreign key's own writes pass them by, and rows
//! that are reached through a table that they are a part of obey its policies alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, ForeignKey, TriggerLevel, TriggerTiming};
use crate::topology::QualifiedName;

/// What of the moment is read out of sight.
#[derive(Clone, Debug, Default)]
pub struct OutOfSight {
    /// of each table, what may read it
    pub tables: BTreeMap<QualifiedName, Vec<Unseen>>,
    /// by the table that they refer to: foreign keys that change rows of the tables that have them
    pub cascades: BTreeMap<QualifiedName, Vec<Cascade>>,
    /// by a table: its partitions, and what inherits from it
    pub parts: BTreeMap<QualifiedName, BTreeSet<QualifiedName>>,
    /// bare names of domains whose checks may read it
    pub domains: BTreeSet<String>,
    /// types (OIDs on home) that are or hold such a domain
    pub types: BTreeSet<u32>,
}

/// Something of a table that may read the moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unseen {
    /// what it is
    pub kind: UnseenKind,
    /// its name; of what belongs to a column the column's
    pub name: String,
    /// what makes it run
    pub on: Vec<Deed>,
}

/// Kinds of what runs unnamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UnseenKind {
    /// a row policy
    Policy,
    /// a CHECK constraint
    Check,
    /// a trigger's function, condition or arguments
    Trigger,
    /// a rule
    Rule,
    /// an index's expression or predicate
    Index,
    /// a column's default, where a foreign key sets it
    Default,
    /// a generated column
    Generated,
    /// the checks of a column's domain
    Domain,
}

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// they are read
    Read,
    /// they are read and locked
    Lock,
    /// they are new
    Insert,
    /// they are changed
    Update,
    /// they go
    Delete,
    /// all of them go
    Truncate,
    /// a foreign key sets columns to their defaults
    SetDefault,
}

/// What is done to a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act<'a> {
    /// the deed
    pub deed: Deed,
    /// the columns that it sets
    pub columns: Columns<'a>,
}

/// Columns that are set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns<'a> {
    /// any
    All,
    /// these
    These(Vec<&'a str>),
}

/// A foreign key that changes rows of its own table when rows change that it refers to.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// the table that has it
    pub table: QualifiedName,
    /// the key
    pub key: ForeignKey,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Statement,
    ForeignKey,
}

// === impl Unseen ===

impl Unseen {
    /// Its name for people.
    pub fn of(&self, table: &QualifiedName) -> String {
        let (name, table) = (&self.name, &table.name);
        match self.kind {
            UnseenKind::Policy => format!("policy \"{name}\" of table \"{table}\""),
            UnseenKind::Check => format!("check constraint \"{name}\" of table \"{table}\""),
            UnseenKind::Trigger => format!("trigger \"{name}\" of table \"{table}\""),
            UnseenKind::Rule => format!("rule \"{name}\" of table \"{table}\""),
            UnseenKind::Index => format!("index \"{name}\" of table \"{table}\""),
            UnseenKind::Default => format!("the default of column \"{name}\" of table \"{table}\""),
            UnseenKind::Generated => format!("generated column \"{name}\" of table \"{table}\""),
            UnseenKind::Domain => format!("the domain of column \"{name}\" of table \"{table}\""),
        }
    }

    fn runs(&self, act: &Act<'_>) -> bool {
        let columns = match self.kind {
            UnseenKind::Domain | UnseenKind::Default => &act.columns,
            UnseenKind::Policy
            | UnseenKind::Check
            | UnseenKind::Trigger
            | UnseenKind::Rule
            | UnseenKind::Index
            | UnseenKind::Generated => &Columns::All,
        };
        self.on.contains(&act.deed) && columns.have(&self.name)
    }
}

// === impl Act ===

impl<'a> Act<'a> {
    /// A deed that sets whatever columns there are, or none.
    pub fn whole(deed: Deed) -> Act<'a> {
        Act {
            deed,
            columns: Columns::All,
        }
    }

    /// An UPDATE of these columns.
    pub fn update(columns: Columns<'a>) -> Act<'a> {
        Act {
            deed: Deed::Update,
            columns,
        }
    }
}

impl Columns<'_> {
    fn have(&self, name: &str) -> bool {
        match self {
            Columns::All => true,
            Columns::These(columns) => columns.contains(&name),
        }
    }
}

// === impl Cascade ===

impl Cascade {
    /// Does the key change rows by itself?
    pub fn is_one(key: &ForeignKey) -> bool {
        let acts = |action: u8| matches!(action, b'c' | b'n' | b'd');
        acts(key.on_update) || acts(key.on_delete)
    }

    /// What it does to its own table after that act on the one that it refers to.
    fn after<'c>(&'c self, act: &Act<'_>) -> Vec<Act<'c>> {
        let columns = || Columns::These(self.key.columns.iter().map(String::as_str).collect());
        let set = |deed| Act {
            deed,
            columns: columns(),
        };
        let action = match act.deed {
            Deed::Delete => self.key.on_delete,
            Deed::Update if self.key.target_columns.iter().any(|column| act.columns.have(column)) => self.key.on_update,
            Deed::Update | Deed::Read | Deed::Lock | Deed::Insert | Deed::Truncate | Deed::SetDefault => {
                return Vec::new();
            }
        };
        match (action, act.deed) {
            (b'c', Deed::Delete) => vec![Act::whole(Deed::Delete)],
            (b'c' | b'n', _) => vec![set(Deed::Update)],
            (b'd', _) => vec![set(Deed::Update), set(Deed::SetDefault)],
            (_, _) => Vec::new(),
        }
    }
}

// === impl OutOfSight ===

impl OutOfSight {
    /// A table and all its parts.
    fn below<'c>(&'c self, table: &'c QualifiedName) -> BTreeSet<&'c QualifiedName> {
        let mut all = BTreeSet::from([table]);
        let mut open = vec![table];
        while let Some(next) = open.pop() {
            let parts = self.parts.get(next).into_iter().flatten();
            open.extend(parts.filter(|part| all.insert(part)));
        }
        all
    }

    /// What it is a part of.
    fn above<'c>(&'c self, table: &'c QualifiedName) -> BTreeSet<&'c QualifiedName> {
        let mut all = BTreeSet::new();
        let mut open = vec![table];
        while let Some(next) = open.pop() {
            let wholes = self.parts.iter().filter(|(_, parts)| parts.contains(next));
            open.extend(wholes.map(|(whole, _)| whole).filter(|whole| all.insert(*whole)));
        }
        all
    }
}

// === impl Catalog ===

impl Catalog {
    /// What may read the moment out of sight when that is done to a table, each with the table that it belongs to;
    /// defaults of an INSERT apart.
    pub fn unseen<'c>(&'c self, table: &'c QualifiedName, acts: Vec<Act<'c>>) -> Vec<(&'c QualifiedName, &'c Unseen)> {
        let sight = &self.out_of_sight;
        let mut found = Vec::new();
        if sight.tables.is_empty() {
            return found;
        }
        let mut gone_on: BTreeSet<(&QualifiedName, &str, Deed)> = BTreeSet::new();
        let mut open: Vec<(&QualifiedName, Act<'_>, By)> =
            acts.into_iter().map(|act| (table, act, By::Statement)).collect();
        while let Some((table, act, by)) = open.pop() {
            let (below, above) = (sight.below(table), sight.above(table));
            let rewritten = act.deed == Deed::Update && below.iter().any(|part| self.rewrites_rows(part));
            let act = match rewritten {
                true => Act::whole(Deed::Update),
                false => act,
            };
            // A row that goes from one partition to another is deleted here and inserted there.
            let moves = act.deed == Deed::Update && below.len() > 1;
            for part in &below {
                let items = sight.tables.get(*part).into_iter().flatten();
                let obeyed = by == By::Statement && *part == table;
                let runs = |item: &&Unseen| match item.kind {
                    UnseenKind::Policy => obeyed && item.runs(&act),
                    _ => {
                        item.runs(&act) || moves && (item.on.contains(&Deed::Insert) || item.on.contains(&Deed::Delete))
                    }
                };
                found.extend(items.filter(runs).map(|item| (*part, item)));
            }
            // A trigger of the whole fires for rows of its partitions.
            let is_partition = self.relation(table).is_some_and(|found| found.partition_root.is_some());
            for whole in above.iter().filter(|_| is_partition) {
                let items = sight.tables.get(*whole).into_iter().flatten();
                let fires = |item: &&Unseen| item.kind == UnseenKind::Trigger && item.runs(&act);
                found.extend(items.filter(fires).map(|item| (*whole, item)));
            }
            for target in below.into_iter().chain(above) {
                for cascade in sight.cascades.get(target).into_iter().flatten() {
                    let acts = cascade.after(&act).into_iter();
                    let fresh = acts.filter(|act| gone_on.insert((&cascade.table, &cascade.key.name, act.deed)));
                    open.extend(fresh.map(|act| (&cascade.table, act, By::ForeignKey)));
                }
            }
        }
        found
    }

    /// The same of TRUNCATE of tables of such bare names; `None`: of any.
    pub fn unseen_by_truncate(&self, names: Option<&BTreeSet<String>>) -> Vec<(&QualifiedName, &Unseen)> {
        let sight = &self.out_of_sight;
        let is_named = |table: &QualifiedName| names.is_none_or(|names| names.contains(&table.name));
        let tables = sight.tables.iter();
        let goes = tables.filter(|(table, _)| is_named(table) || sight.above(table).into_iter().any(is_named));
        let items = goes.flat_map(|(table, items)| items.iter().map(move |item| (table, item)));
        items.filter(|(_, item)| item.on.contains(&Deed::Truncate)).collect()
    }

    /// Bare names of tables to which TRUNCATE … CASCADE of these goes on: whatever refers to them.
    pub fn with_referring(&self, mut names: BTreeSet<String>) -> BTreeSet<String> {
        loop {
            let before = names.len();
            for (name, relation) in &self.relations {
                let is_named = |table: &QualifiedName| names.contains(&table.name);
                let wholes = |part| self.out_of_sight.above(part).into_iter();
                let mut targets = relation.foreign_keys.iter().map(|key| &key.target);
                if targets.any(|target| is_named(target) || wholes(target).any(is_named)) {
                    names.insert(name.name.clone());
                }
            }
            if names.len() == before {
                return names;
            }
        }
    }

    /// May a trigger give a row that is changed other values than the statement?
    fn rewrites_rows(&self, table: &QualifiedName) -> bool {
        let triggers = self.relation(table).map_or(&[][..], |relation| &relation.triggers);
        triggers.iter().any(|trigger| {
            trigger.timing == TriggerTiming::Before
                && trigger.level == TriggerLevel::Row
                && trigger.on.contains(&Deed::Update)
                && trigger.function.schema != "pg_catalog"
        })
    }
}
