//! COPY: whole on one shard; FROM STDIN split by the key; TO STDOUT of each shard's rows; or refused.

use std::sync::Arc;

use crate::catalog::{Filling, Nullability, Relation, RelationKind, Sequenced, TriggerLevel};
use crate::plan::ladder::{Around, Case, Literals, Route, Ruling};
use crate::plan::resolve::{Named, Placement, placement, relation_named};
use crate::plan::{
    Access, CopyIn, CopyKey, CopyOut, CopyOutForm, Kind, Refusal, RefusalId, SessionEffect, Work, refuse,
};
use crate::sql::{Copy, CopyColumn, CopyDirection, CopyEnd, CopyHeader, CopyOptions, CopySubject, Encoding, Forced};
use crate::sql::{Lexing, TokenKind, scan};
use crate::topology::{KeyspaceId, ShardSet};
use crate::value::KeyType;

/// Words of a default whose value is the transaction's or the statement's moment.
const MOMENTS: [&str; 9] = [
    "now",
    "transaction_timestamp",
    "statement_timestamp",
    "current_timestamp",
    "current_date",
    "current_time",
    "localtimestamp",
    "localtime",
    "'now'",
];

/// `COPY … TO`, `COPY … FROM`.
pub(super) fn rule(case: &Case<'_>, copy: &Copy) -> Ruling {
    let topology = case.snapshot.topology();
    let home = topology.home();
    let access = match copy.direction {
        CopyDirection::From => Access::Write,
        CopyDirection::To => Access::Read,
    };
    let (schema, name, columns) = match &copy.subject {
        CopySubject::Query(span) => {
            return Ruling {
                route: Route::Inner {
                    span: *span,
                    around: Around::Copy,
                },
                access: Access::Read,
                effect: SessionEffect::None,
                prepare_on: home,
                literals: Literals::Read,
            };
        }
        CopySubject::Table { schema, name, columns } => (schema.as_deref(), name.as_str(), columns.as_slice()),
    };
    let parts: Vec<&str> = schema.into_iter().chain([name]).collect();
    let full = parts.join(".");
    let to = |shard, kind, reason| Ruling::fixed(kind, shard, reason, access, SessionEffect::None);
    let (relation, found) = match relation_named(case.snapshot.catalog(), case.context, &parts) {
        Named::Relation(relation) => match placement(topology, relation) {
            Ok(placement) => (Some(relation), placement),
            Err(refusal) => return Ruling::refused(refusal, home),
        },
        Named::System => (None, Placement::System),
        Named::Temporary => (None, Placement::Temporary),
        Named::Missing => (None, Placement::Missing),
    };
    match (found, copy.direction) {
        (Placement::Unsharded(shard), _) => to(shard, Kind::OneShard, "an unsharded table"),
        (Placement::System | Placement::Temporary | Placement::Missing, _) => to(home, Kind::Home, "no sharded table"),
        (Placement::Reference, CopyDirection::To) => to(home, Kind::OneShard, "a reference table"),
        (Placement::Reference, CopyDirection::From) => {
            Ruling::refused(refuse(RefusalId::ReferenceWrite, &[&full, "COPY"]), home)
        }
        (Placement::Sharded { keyspace, key }, _) => {
            let Some(relation) = relation else {
                return Ruling::refused(refuse(RefusalId::SyntaxNotUnderstood, &["this COPY"]), home);
            };
            let table = Table {
                case,
                copy,
                columns,
                full: &full,
                relation,
                keyspace,
                key,
            };
            match table.route() {
                Ok(route) => Ruling {
                    route,
                    access,
                    effect: SessionEffect::None,
                    prepare_on: home,
                    literals: Literals::Read,
                },
                Err(refusal) => Ruling::refused(refusal, home),
            }
        }
    }
}

/// A sharded table to copy.
struct Table<'a> {
    case: &'a Case<'a>,
    copy: &'a Copy,
    columns: &'a [String],
    full: &'a str,
    relation: &'a Relation,
    keyspace: KeyspaceId,
    key: usize,
}

impl Table<'_> {
    fn route(&self) -> Result<Route, Box<Refusal>> {
        let topology = self.case.snapshot.topology();
        let shards = topology
            .keyspace(self.keyspace)
            .map_or(topology.all_shards(), |keyspace| keyspace.shards());
        if let Some(shard) = shards.single() {
            return Ok(Route::Fixed {
                kind: Kind::OneShard,
                shard,
                reason: "the keyspace's only shard",
            });
        }
        let without = |what: &str| refuse(RefusalId::CopyOption, &[self.full, what]);
        match self.copy.end {
            CopyEnd::Client => {}
            CopyEnd::File => return Err(refuse(RefusalId::CopyFile, &[self.full, "a file of the server"])),
            CopyEnd::Program => return Err(refuse(RefusalId::CopyFile, &[self.full, "a program of the server"])),
        }
        match self.relation.kind {
            RelationKind::Table | RelationKind::Partitioned => {}
            RelationKind::View
            | RelationKind::MaterializedView
            | RelationKind::ForeignTable
            | RelationKind::Sequence
            | RelationKind::CompositeType => return Err(without("rows that are no table's")),
        }
        let Some(options) = &self.copy.options else {
            return Err(without("an option that isn't known here"));
        };
        match self.copy.direction {
            CopyDirection::To => Ok(Route::Ready {
                kind: Kind::FanOut,
                work: Work::CopyOut(Arc::new(out(shards, options))),
                reason: "each shard's rows, one after another",
            }),
            CopyDirection::From => Ok(Route::Ready {
                kind: Kind::Split,
                work: Work::CopyIn(Arc::new(self.split(shards, options)?)),
                reason: "each row by its key",
            }),
        }
    }

    fn split(&self, shards: ShardSet, options: &CopyOptions) -> Result<CopyIn, Box<Refusal>> {
        let without = |what: &str| refuse(RefusalId::CopyOption, &[self.full, what]);
        if self.copy.filter.is_some() {
            return Err(without("WHERE"));
        }
        // FREEZE needs no look: whether the table is this transaction's own each shard knows of its part.
        let encoding = options
            .encoding
            .as_deref()
            .unwrap_or(&self.case.context.client_encoding);
        let read = Encoding::from_name(encoding);
        if read == Encoding::Unsafe {
            return Err(without(&format!("encoding {encoding}")));
        }
        // Each shard would run it, once for its own part of the rows.
        let statement_trigger = self
            .relation
            .triggers
            .iter()
            .find(|trigger| trigger.level == TriggerLevel::Statement);
        if let Some(trigger) = statement_trigger {
            return Err(without(&format!("the statement-level trigger \"{}\"", trigger.name)));
        }
        let taken = self.taken();
        self.left_out(&taken)?;
        let unknown = || refuse(RefusalId::InsertKeyUnknown, &[self.full, ""]);
        let column = self.relation.columns.get(self.key).ok_or_else(unknown)?;
        let key_type = KeyType::of(column.type_oid)
            .ok_or_else(|| refuse(RefusalId::InsertKeyUnknown, &[self.full, &column.name]))?;
        let position = taken.iter().position(|index| *index == Some(self.key));
        if position.is_none() && column.nullability == Nullability::Nullable {
            // A row without a key belongs nowhere, and no server would refuse it.
            return Err(refuse(RefusalId::InsertKeyUnknown, &[self.full, &column.name]));
        }
        Ok(CopyIn {
            table: self.relation.name.name.clone(),
            topology: Arc::clone(self.case.snapshot.topology()),
            keyspace: self.keyspace,
            shards,
            key: CopyKey {
                name: column.name.clone(),
                type_oid: column.type_oid,
                key_type,
                typmod: column.typmod,
                nullability: column.nullability,
            },
            form: options.row_form(),
            columns: taken.len(),
            column: position.map(|position| CopyColumn {
                position,
                forced: match options.is_csv() {
                    true => options.forced(&column.name),
                    false => Forced::No,
                },
            }),
            encoding: read,
        })
    }

    /// The columns of a row, as indices into the table's; `None`: there is no such column, as Postgres will say.
    fn taken(&self) -> Vec<Option<usize>> {
        let columns = &self.relation.columns;
        match self.columns {
            // `CopyGetAttnums`: all but generated ones
            [] => (0..columns.len())
                .filter(|index| {
                    columns
                        .get(*index)
                        .is_some_and(|column| !matches!(column.filling, Filling::Generated(_)))
                })
                .map(Some)
                .collect(),
            named => named
                .iter()
                .map(|name| columns.iter().position(|column| column.name == *name))
                .collect(),
        }
    }

    /// What fills the other columns must not depend on the shard.
    fn left_out(&self, taken: &[Option<usize>]) -> Result<(), Box<Refusal>> {
        for (index, column) in self.relation.columns.iter().enumerate() {
            if taken.contains(&Some(index)) {
                continue;
            }
            match &column.filling {
                Filling::Nothing => {}
                // A key that others fill is nowhere in the data.
                Filling::Default { .. } | Filling::Identity { .. } | Filling::Generated(_) if index == self.key => {
                    return Err(refuse(RefusalId::InsertKeyUnknown, &[self.full, &column.name]));
                }
                Filling::Generated(_) => {}
                Filling::Identity { .. }
                | Filling::Default {
                    expression: _,
                    sequence: Sequenced::Next(_) | Sequenced::Otherwise,
                } => return Err(refuse(RefusalId::InsertSequenceDefault, &[self.full, &column.name])),
                Filling::Default {
                    expression,
                    sequence: Sequenced::No,
                } => {
                    if reads_the_moment(expression) {
                        return Err(refuse(RefusalId::CopyMoment, &[self.full, &column.name]));
                    }
                }
            }
        }
        Ok(())
    }
}

fn out(shards: ShardSet, options: &CopyOptions) -> CopyOut {
    CopyOut {
        shards,
        header: options.has_header().unwrap_or(CopyHeader::No),
        form: match options.is_binary() {
            true => CopyOutForm::Binary,
            false => CopyOutForm::Lines,
        },
    }
}

/// Does a default, as `pg_get_expr` prints it, call `now()` or its kin? What can't be read might.
fn reads_the_moment(expression: &str) -> bool {
    let text = expression.as_bytes();
    let Ok(tokens) = scan(text, Lexing::default()) else {
        return true;
    };
    tokens.iter().any(|token| match token.kind {
        TokenKind::Word | TokenKind::String => {
            let word = String::from_utf8_lossy(token.span.of(text)).to_ascii_lowercase();
            MOMENTS.contains(&word.as_str())
        }
        _ => false,
    })
}
