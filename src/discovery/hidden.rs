//! What runs unnamed when rows of a table are read or written: policies, checks, triggers' conditions, indexes'
//! expressions, generated columns; with a domain its checks.
//!
//! Holds: each has all its text, as Postgres prints it under search_path `pg_catalog`, and all that it calls of users'.

use std::collections::BTreeMap;

use crate::catalog::{Deed, UnseenKind};
use crate::discovery::Error;
use crate::discovery::cells::Cells;
use crate::discovery::reach::Row;
use crate::discovery::shard_catalog::{ByOid, ShardRelation, owner, qualified};
use crate::topology::QualifiedName;

/// Something that runs unnamed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hidden {
    pub(super) kind: UnseenKind,
    pub(super) name: String,
    /// what makes it run; nothing for a domain's check
    pub(super) on: Vec<Deed>,
    /// its text
    pub(super) text: String,
    pub(super) uses: Vec<Used>,
}

/// Something of users' that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Used {
    Function(QualifiedName),
    Type(QualifiedName),
    Relation(QualifiedName),
}

/// All that changes rows of a table, or makes them.
const WRITES: [Deed; 2] = [Deed::Insert, Deed::Update];

/// Puts each into its table; answers the domains' checks.
pub(super) fn read(
    relations: &mut ByOid,
    rows: &[Row],
    shard: &str,
) -> Result<BTreeMap<QualifiedName, Vec<Hidden>>, Error> {
    let mut domains: BTreeMap<QualifiedName, Vec<Hidden>> = BTreeMap::new();
    for row in rows {
        let cells = Cells::new(row, shard);
        if cells.oid(0)?.0 == 0 {
            let domain = qualified(&cells, 6)?;
            domains.entry(domain).or_default().extend(check(&cells, Vec::new())?);
        } else if let Some(relation) = owner(relations, &cells)? {
            of_table(relation, &cells)?;
        }
    }
    Ok(domains)
}

fn of_table(relation: &mut ShardRelation, cells: &Cells<'_>) -> Result<(), Error> {
    let name = cells.text(2)?;
    let found = match cells.text(1)? {
        "part" => {
            relation.parents.push(qualified(cells, 6)?);
            return Ok(());
        }
        "policy" => policy(cells)?,
        "check" => check(cells, WRITES.to_vec())?,
        "index" => one(cells, UnseenKind::Index, WRITES.to_vec())?,
        "default" => one(cells, UnseenKind::Default, vec![Deed::SetDefault])?,
        "generated" => {
            let on = match cells.byte(3)? {
                b'v' => [&WRITES[..], &[Deed::Read]].concat(), // VIRTUAL: computed by each reader
                _ => WRITES.to_vec(),
            };
            one(cells, UnseenKind::Generated, on)?
        }
        "rule" => {
            // `pg_rewrite.ev_type`
            let on = match cells.byte(3)? {
                b'1' => Deed::Read,
                b'2' => Deed::Update,
                b'3' => Deed::Insert,
                b'4' => Deed::Delete,
                _ => return Err(cells.odd(3, cells.text(3)?)),
            };
            one(cells, UnseenKind::Rule, vec![on])?
        }
        "trigger" => {
            let trigger = relation.relation.triggers.iter().find(|trigger| trigger.name == name);
            let on = trigger.map(|trigger| trigger.on.clone()).unwrap_or_default();
            one(cells, UnseenKind::Trigger, on)?
        }
        _ => return Err(cells.odd(1, cells.text(1)?)),
    };
    relation.hidden.extend(found);
    Ok(())
}

fn check(cells: &Cells<'_>, on: Vec<Deed>) -> Result<Vec<Hidden>, Error> {
    one(cells, UnseenKind::Check, on)
}

fn one(cells: &Cells<'_>, kind: UnseenKind, on: Vec<Deed>) -> Result<Vec<Hidden>, Error> {
    let text = cells.optional(4).unwrap_or_default();
    let hidden = Hidden {
        kind,
        name: cells.owned(2)?,
        on,
        text: text.to_owned(),
        uses: uses(cells, None)?,
    };
    Ok(vec![hidden])
}

/// What a policy lets be seen, and what it lets be written (`CREATE POLICY`, the table "Policies Applied by Command
/// Type").
fn policy(cells: &Cells<'_>) -> Result<Vec<Hidden>, Error> {
    let (seen, written) = (cells.optional(4), cells.optional(5));
    let letter = cells.byte(3)?;
    let (sees, writes): (&[Deed], &[Deed]) = match letter {
        b'r' => (&[Deed::Read], &[]),
        b'a' => (&[], &[Deed::Insert]),
        b'w' => (&[Deed::Update, Deed::Lock], &[Deed::Update]),
        b'd' => (&[Deed::Delete], &[]),
        b'*' => (&[Deed::Read, Deed::Lock, Deed::Update, Deed::Delete], &WRITES),
        _ => return Err(cells.odd(3, cells.text(3)?)),
    };
    let mut found = Vec::new();
    for (text, on) in [(seen, sees), (written.or(seen), writes)] {
        let Some(text) = text.filter(|_| !on.is_empty()) else {
            continue;
        };
        found.push(Hidden {
            kind: UnseenKind::Policy,
            name: cells.owned(2)?,
            on: on.to_vec(),
            text: text.to_owned(),
            uses: uses(cells, Some(text))?,
        });
    }
    Ok(found)
}

/// What it depends on of users'. Dependencies of a policy are those of both its texts: a function counts for the one
/// that names it; an operator's is named in none.
fn uses(cells: &Cells<'_>, of: Option<&str>) -> Result<Vec<Used>, Error> {
    let all: Vec<(String, String, String)> = cells.json(8)?;
    let mut uses = Vec::new();
    for (kind, schema, name) in all {
        let is_named = of.is_none_or(|text| text.contains(&name.replace('"', "\"\"")));
        let used = QualifiedName::new(&schema, &name);
        match kind.as_str() {
            "function" if !is_named => {}
            "function" | "operator" => uses.push(Used::Function(used)),
            "type" => uses.push(Used::Type(used)),
            "relation" => uses.push(Used::Relation(used)),
            _ => return Err(cells.odd(8, &kind)),
        }
    }
    Ok(uses)
}
