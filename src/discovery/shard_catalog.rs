//! What one shard's system catalogs say, under that shard's own OIDs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::catalog::{
    Collation, Column, Deed, Filling, ForeignKey, Function, FunctionKind, IdentityKind, Inheritance, Nullability,
    Relation, RelationKind, ReturnsSet, Sequenced, Trigger, TriggerLevel, TriggerTiming, Type, Volatility,
};
use crate::discovery::Error;
use crate::discovery::catalog_sql;
use crate::discovery::cells::Cells;
use crate::discovery::fingerprint::Fingerprint;
use crate::discovery::hidden::{self, Hidden};
use crate::discovery::reach::{Reach, Row};
use crate::topology::QualifiedName;
use crate::value::Oid;

/// Reading a big catalog may take a while.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// One shard's catalog.
#[derive(Clone, Debug)]
pub(super) struct ShardCatalog {
    pub(super) server: Server,
    pub(super) schemas: Vec<String>,
    pub(super) relations: BTreeMap<QualifiedName, ShardRelation>,
    pub(super) types: BTreeMap<QualifiedName, (Oid, Type)>,
    pub(super) functions: Vec<ShardFunction>,
    pub(super) operators: BTreeMap<String, Vec<QualifiedName>>,
    pub(super) system_relations: BTreeSet<QualifiedName>,
    /// the checks of domains
    pub(super) domains: BTreeMap<QualifiedName, Vec<Hidden>>,
    /// each index's table
    pub(super) indexes: BTreeMap<QualifiedName, QualifiedName>,
    /// of the moment at which all this was read
    pub(super) fingerprint: Fingerprint,
}

/// The server and its database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) major_version: u32,
    pub(super) version: String,
    pub(super) encoding: String,
    pub(super) collation: Collation,
    pub(super) collation_name: String,
    pub(super) is_in_recovery: bool,
    /// `max_prepared_transactions`
    pub(super) prepared_max: u32,
    /// `synchronous_standby_names`
    pub(super) synchronous_standbys: String,
}

/// One relation with what only checks want to know.
#[derive(Clone, Debug)]
pub(super) struct ShardRelation {
    pub(super) oid: Oid,
    pub(super) row_type: Oid,
    pub(super) row_array: Oid,
    pub(super) relation: Relation,
    /// by column: type and collation as people write them
    pub(super) shown: Vec<ShownColumn>,
    pub(super) unique: Vec<UniqueIndex>,
    pub(super) readers: Vec<Reader>,
    /// what runs unnamed when its rows are read or written
    pub(super) hidden: Vec<Hidden>,
    /// of what it is a partition or a child
    pub(super) parents: Vec<QualifiedName>,
}

/// A column's type and collation by name: equal on shards whose OIDs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ShownColumn {
    pub(super) type_name: String,
    pub(super) collation: Option<String>,
}

/// A unique or exclusion index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UniqueIndex {
    pub(super) name: String,
    pub(super) is_exclusion: bool,
    pub(super) columns: Vec<Option<String>>,
    pub(super) operators: Vec<String>,
}

/// Something of a table that reads another one, or calls a user's function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reader {
    /// policy, check, default, generated column
    pub(super) what: String,
    pub(super) name: String,
    pub(super) reads: Read,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Table(QualifiedName),
    Function(QualifiedName),
}

/// One function and its body, for the judgement of session effects.
#[derive(Clone, Debug)]
pub(super) struct ShardFunction {
    pub(super) function: Function,
    pub(super) language: String,
    pub(super) body: Option<String>,
}

/// Reads the whole catalog of one shard, at one moment.
pub(super) async fn read(reach: &Reach) -> Result<ShardCatalog, Error> {
    let tables = reach.batch_at_one_moment(&catalog_sql::catalog(), READ_TIMEOUT).await?;
    from_tables(tables, reach.name())
}

/// The catalog out of the answers to [`catalog_sql::catalog`], one table of rows for each statement.
pub(super) fn from_tables(mut tables: Vec<Vec<Row>>, shard: &str) -> Result<ShardCatalog, Error> {
    if tables.len() != catalog_sql::STATEMENTS {
        let what = format!("{} results instead of {}", tables.len(), catalog_sql::STATEMENTS);
        return Err(Error::Unexpected {
            shard: shard.to_owned(),
            what,
        });
    }
    let mut next = || {
        if tables.is_empty() {
            Vec::new()
        } else {
            tables.remove(0)
        }
    };
    let server = server(&next(), shard)?;
    let schemas = next()
        .iter()
        .map(|row| Cells::new(row, shard).owned(0))
        .collect::<Result<_, _>>()?;
    let mut relations = relations(&next(), shard)?;
    columns(&mut relations, &next(), shard, server.collation)?;
    uniques(&mut relations, &next(), shard)?;
    triggers(&mut relations, &next(), shard)?;
    foreign_keys(&mut relations, &next(), shard)?;
    rules(&mut relations, &next(), shard)?;
    let types = types(&next(), shard)?;
    let functions = next()
        .iter()
        .map(|row| function(row, shard))
        .collect::<Result<_, _>>()?;
    let mut operators: BTreeMap<String, Vec<QualifiedName>> = BTreeMap::new();
    for row in next() {
        let cells = Cells::new(&row, shard);
        let name = QualifiedName {
            schema: cells.owned(1)?,
            name: cells.owned(0)?,
        };
        operators.entry(name.name.clone()).or_default().push(name);
    }
    let system_relations = next()
        .iter()
        .map(|row| qualified(&Cells::new(row, shard), 0))
        .collect::<Result<_, _>>()?;
    readers(&mut relations, &next(), shard)?;
    let domains = hidden::read(&mut relations, &next(), shard)?;
    let mut indexes = BTreeMap::new();
    for row in next() {
        let cells = Cells::new(&row, shard);
        indexes.insert(qualified(&cells, 0)?, qualified(&cells, 2)?);
    }
    let fingerprint = Fingerprint::of(&Cells::new(next().first().unwrap_or(&Row::new()), shard))?;
    let relations = relations
        .into_values()
        .map(|relation| (relation.relation.name.clone(), relation))
        .collect();
    Ok(ShardCatalog {
        server,
        schemas,
        relations,
        types,
        functions,
        operators,
        system_relations,
        domains,
        indexes,
        fingerprint,
    })
}

/// Reads a shard's server alone.
pub(super) fn server(rows: &[Row], shard: &str) -> Result<Server, Error> {
    let empty = Row::new();
    let cells = Cells::new(rows.first().unwrap_or(&empty), shard);
    let number: u32 = cells.number(0)?;
    let provider = cells.text(3)?;
    let collate = cells.text(4)?;
    let locale = cells.optional(5);
    let collation = match (provider, collate, locale) {
        ("c", "C" | "POSIX", _) | ("b", _, Some("C" | "C.UTF-8")) => Collation::Bytes,
        _ => Collation::Deterministic,
    };
    let collation_name = match (provider, locale) {
        ("i", Some(locale)) => format!("{locale} (ICU)"),
        ("b", Some(locale)) => format!("{locale} (builtin)"),
        _ => format!("{collate} (libc)"),
    };
    Ok(Server {
        major_version: number / 10_000,
        version: cells.owned(1)?,
        encoding: cells.owned(2)?,
        collation,
        collation_name,
        is_in_recovery: cells.is(6),
        prepared_max: prepared_max(&cells)?,
        synchronous_standbys: cells.owned(8)?,
    })
}

/// Relations by their OIDs on the shard.
pub(super) type ByOid = BTreeMap<u32, ShardRelation>;

pub(super) fn qualified(cells: &Cells<'_>, place: usize) -> Result<QualifiedName, Error> {
    Ok(QualifiedName {
        schema: cells.owned(place)?,
        name: cells.owned(place + 1)?,
    })
}

fn relations(rows: &[Row], shard: &str) -> Result<ByOid, Error> {
    let mut relations = ByOid::new();
    for row in rows {
        let cells = Cells::new(row, shard);
        let kind = match cells.byte(3)? {
            b'r' => RelationKind::Table,
            b'p' => RelationKind::Partitioned,
            b'v' => RelationKind::View,
            b'm' => RelationKind::MaterializedView,
            b'f' => RelationKind::ForeignTable,
            b'S' => RelationKind::Sequence,
            b'c' => RelationKind::CompositeType,
            _ => return Err(cells.odd(3, cells.text(3)?)),
        };
        let partition_root = match (cells.optional(5), cells.optional(6)) {
            (Some(schema), Some(name)) => Some(QualifiedName {
                schema: schema.to_owned(),
                name: name.to_owned(),
            }),
            _ => None,
        };
        let relation = Relation {
            name: qualified(&cells, 1)?,
            kind,
            columns: Vec::new(),
            partition_root,
            view_definition: cells.optional(7).map(str::to_owned),
            row_security: cells.is(4),
            unique_keys: Vec::new(),
            triggers: Vec::new(),
            foreign_keys: Vec::new(),
            inherits: if cells.is(8) {
                Inheritance::Some
            } else {
                Inheritance::None
            },
            rules: Vec::new(),
        };
        let oid = cells.oid(0)?;
        relations.insert(
            oid.0,
            ShardRelation {
                oid,
                row_type: cells.oid(9)?,
                row_array: cells.oid(10)?,
                relation,
                shown: Vec::new(),
                unique: Vec::new(),
                readers: Vec::new(),
                hidden: Vec::new(),
                parents: Vec::new(),
            },
        );
    }
    Ok(relations)
}

/// The relation that a row's first cell names; rows of others are skipped by the caller.
pub(super) fn owner<'m>(relations: &'m mut ByOid, cells: &Cells<'_>) -> Result<Option<&'m mut ShardRelation>, Error> {
    Ok(relations.get_mut(&cells.oid(0)?.0))
}

fn columns(relations: &mut ByOid, rows: &[Row], shard: &str, default: Collation) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        let Some(relation) = owner(relations, &cells)? else {
            continue;
        };
        let collation = match cells.text(5)? {
            "none" => Collation::None,
            "default" => default,
            "bytes" => Collation::Bytes,
            "nondeterministic" => Collation::Nondeterministic,
            _ => Collation::Deterministic,
        };
        let default = cells.optional(10).map(str::to_owned);
        let drawn = match (cells.optional(12), cells.optional(13)) {
            (Some(schema), Some(name)) => Some(QualifiedName::new(schema, name)),
            _ => None,
        };
        let filling = match (cells.text(8)?, cells.text(9)?, default) {
            ("", "", None) => Filling::Nothing,
            ("", "", Some(expression)) => {
                let sequence = match (cells.is(11), drawn) {
                    (_, Some(drawn)) => Sequenced::Next(drawn),
                    (true, None) => Sequenced::Otherwise,
                    (false, None) => Sequenced::No,
                };
                Filling::Default { expression, sequence }
            }
            ("", _, expression) => Filling::Generated(expression.unwrap_or_default()),
            (kind, _, _) => Filling::Identity {
                sequence: drawn,
                generated: match kind {
                    "a" => IdentityKind::Always,
                    _ => IdentityKind::ByDefault,
                },
            },
        };
        relation.relation.columns.push(Column {
            name: cells.owned(1)?,
            type_oid: cells.oid(2)?,
            typmod: cells.number(3)?,
            collation,
            filling,
            nullability: if cells.is(7) {
                Nullability::NotNull
            } else {
                Nullability::Nullable
            },
        });
        let collation = cells.optional(6).map(str::to_owned);
        relation.shown.push(ShownColumn {
            type_name: cells.owned(4)?,
            collation,
        });
    }
    Ok(())
}

fn uniques(relations: &mut ByOid, rows: &[Row], shard: &str) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        let Some(relation) = owner(relations, &cells)? else {
            continue;
        };
        let index = UniqueIndex {
            name: cells.owned(1)?,
            is_exclusion: cells.is(2),
            columns: cells.json(3)?,
            operators: cells.json(4)?,
        };
        if !index.is_exclusion {
            relation.relation.unique_keys.push(index.columns.clone());
        }
        relation.unique.push(index);
    }
    Ok(())
}

/// Bits of `pg_trigger.tgtype` (`catalog/pg_trigger.h`).
const TRIGGER_ROW: u16 = 1;
const TRIGGER_BEFORE: u16 = 2;
const TRIGGER_INSTEAD: u16 = 64;
/// Those of the events.
const TRIGGER_EVENTS: [(u16, Deed); 4] = [
    (4, Deed::Insert),
    (8, Deed::Delete),
    (16, Deed::Update),
    (32, Deed::Truncate),
];

fn triggers(relations: &mut ByOid, rows: &[Row], shard: &str) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        let Some(relation) = owner(relations, &cells)? else {
            continue;
        };
        let bits: u16 = cells.number(2)?;
        relation.relation.triggers.push(Trigger {
            name: cells.owned(1)?,
            level: if bits & TRIGGER_ROW == 0 {
                TriggerLevel::Statement
            } else {
                TriggerLevel::Row
            },
            timing: if bits & TRIGGER_BEFORE != 0 {
                TriggerTiming::Before
            } else if bits & TRIGGER_INSTEAD != 0 {
                TriggerTiming::InsteadOf
            } else {
                TriggerTiming::After
            },
            on: TRIGGER_EVENTS
                .iter()
                .filter(|(bit, _)| bits & bit != 0)
                .map(|(_, deed)| *deed)
                .collect(),
            function: qualified(&cells, 3)?,
        });
    }
    Ok(())
}

fn foreign_keys(relations: &mut ByOid, rows: &[Row], shard: &str) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        let Some(relation) = owner(relations, &cells)? else {
            continue;
        };
        relation.relation.foreign_keys.push(ForeignKey {
            name: cells.owned(1)?,
            columns: cells.json(2)?,
            target: qualified(&cells, 3)?,
            target_columns: cells.json(5)?,
            on_update: cells.byte(6)?,
            on_delete: cells.byte(7)?,
        });
    }
    Ok(())
}

fn rules(relations: &mut ByOid, rows: &[Row], shard: &str) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        if let Some(relation) = owner(relations, &cells)? {
            relation.relation.rules.push(cells.owned(1)?);
        }
    }
    Ok(())
}

fn readers(relations: &mut ByOid, rows: &[Row], shard: &str) -> Result<(), Error> {
    for row in rows {
        let cells = Cells::new(row, shard);
        let Some(relation) = owner(relations, &cells)? else {
            continue;
        };
        let name = qualified(&cells, 4)?;
        let reads = if cells.text(3)? == "table" {
            Read::Table(name)
        } else {
            Read::Function(name)
        };
        relation.readers.push(Reader {
            what: cells.owned(1)?,
            name: cells.owned(2)?,
            reads,
        });
    }
    Ok(())
}

fn types(rows: &[Row], shard: &str) -> Result<BTreeMap<QualifiedName, (Oid, Type)>, Error> {
    let mut types = BTreeMap::new();
    for row in rows {
        let cells = Cells::new(row, shard);
        let name = qualified(&cells, 1)?;
        let base = cells.oid(4)?;
        let base = (base.0 != 0).then_some(base);
        let described = Type {
            name: name.clone(),
            kind: cells.byte(3)?,
            base,
            labels: cells.json(5)?,
        };
        types.insert(name, (cells.oid(0)?, described));
    }
    Ok(types)
}

/// `provolatile`
pub(super) fn volatility(cells: &Cells<'_>, place: usize) -> Result<Volatility, Error> {
    match cells.byte(place)? {
        b'i' => Ok(Volatility::Immutable),
        b's' => Ok(Volatility::Stable),
        b'v' => Ok(Volatility::Volatile),
        _ => Err(cells.odd(place, cells.text(place)?)),
    }
}

/// `prokind`
pub(super) fn function_kind(cells: &Cells<'_>, place: usize) -> Result<FunctionKind, Error> {
    match cells.byte(place)? {
        b'f' => Ok(FunctionKind::Function),
        b'a' => Ok(FunctionKind::Aggregate),
        b'w' => Ok(FunctionKind::Window),
        b'p' => Ok(FunctionKind::Procedure),
        _ => Err(cells.odd(place, cells.text(place)?)),
    }
}

/// `proretset`
pub(super) fn returns_set(cells: &Cells<'_>, place: usize) -> ReturnsSet {
    if cells.is(place) {
        ReturnsSet::Yes
    } else {
        ReturnsSet::No
    }
}

fn function(row: &Row, shard: &str) -> Result<ShardFunction, Error> {
    let cells = Cells::new(row, shard);
    let function = Function {
        name: qualified(&cells, 1)?,
        kind: function_kind(&cells, 3)?,
        arguments: cells.oids(4)?,
        returns: cells.oid(5)?,
        returns_set: returns_set(&cells, 6),
        volatility: volatility(&cells, 7)?,
        body: crate::catalog::Body::Opaque,
        moment: crate::catalog::ReadsMoment::Perhaps,
        extension: cells.optional(9).map(str::to_owned),
    };
    Ok(ShardFunction {
        function,
        language: cells.owned(8)?,
        body: cells.optional(10).map(str::to_owned),
    })
}

/// `max_prepared_transactions` out of the row of [`catalog_sql::SERVER`].
pub(super) fn prepared_max(cells: &Cells<'_>) -> Result<u32, Error> {
    const PLACE: usize = 7;
    cells.number(PLACE)
}
