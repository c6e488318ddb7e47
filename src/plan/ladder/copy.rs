//! COPY: whole on one shard; FROM STDIN split by the key, or into every copy of a reference table; TO STDOUT of each
//! shard's rows; or refused.
//!
//! Columns that the client leaves out and that no shard may fill for itself are filled here: the shards' text names them
//! before the client's own.

use std::sync::Arc;

use crate::catalog::{Column, DrawnFrom, Filling, Nullability, Relation, RelationKind, TriggerLevel};
use crate::plan::fanout::is_moment;
use crate::plan::ladder::clock::may_say;
use crate::plan::ladder::drawn::counts_on;
use crate::plan::ladder::unseen::copied;
use crate::plan::ladder::{Around, Case, Literals, Route, Ruling};
use crate::plan::resolve::{Named, Placement, placement, relation_named};
use crate::plan::writes::{Known, Renewed, renewed, timed};
use crate::plan::{
    Access, CopyCopies, CopyFill, CopyIn, CopyKey, CopyOut, CopyOutForm, CopyOwners, Counts, FillValue, KeyStands,
    Kind, Parameters, Privilege, Refusal, RefusalId, RowOrder, Sameness, SessionEffect, Work, WriteAnswer, WritePart,
    Writes, refuse,
};
use crate::sql::{Copy, CopyColumn, CopyDirection, CopyEnd, CopyHeader, CopyOptions, CopySubject, Encoding, Forced};
use crate::sql::{Span, TokenKind, quote_identifier};
use crate::topology::{KeyspaceId, ShardId, ShardSet};
use crate::value::{KeyType, Oid};

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
        (Placement::Reference | Placement::Sharded { .. }, _) => {
            let rows = match found {
                Placement::Sharded { keyspace, key } => Rows::ByKey(keyspace, key),
                _ => Rows::Everywhere,
            };
            let Some(relation) = relation else {
                return Ruling::refused(refuse(RefusalId::SyntaxNotUnderstood, &["this COPY"]), home);
            };
            let table = Table {
                case,
                copy,
                columns,
                full: &full,
                relation,
                rows,
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

/// What of a COPY FROM may read the moment on the shard that it goes to, besides what the table has: a default that it
/// leaves a column to, its condition.
pub(super) fn reads_moment(case: &Case<'_>, copy: &Copy) -> Option<&'static str> {
    let relation = copied(case, copy).filter(|_| copy.direction == CopyDirection::From)?;
    let CopySubject::Table { columns, .. } = &copy.subject else {
        return None;
    };
    let fills = relation.columns.iter().any(|column| match &column.filling {
        Filling::Default { expression, .. } => {
            let left_out = !columns.is_empty() && !columns.contains(&column.name);
            left_out && !matches!(timed(case.snapshot.catalog(), expression), Ok(None))
        }
        Filling::Nothing | Filling::Identity { .. } | Filling::Generated(_) => false,
    });
    match (fills, copy.filter) {
        (true, _) => Some("a default that COPY leaves its columns to"),
        (false, Some(filter)) if says_moment_somewhere(case, filter) => Some("the condition of COPY"),
        (false, _) => None,
    }
}

/// Does a part of the text name a moment, or anything that may read one?
fn says_moment_somewhere(case: &Case<'_>, part: Span) -> bool {
    let catalog = case.snapshot.catalog();
    let within = case
        .tokens
        .iter()
        .filter(|token| token.span.start >= part.start && token.span.end <= part.end);
    let mut words = within.map(|token| String::from_utf8_lossy(token.span.of(case.text)).to_ascii_lowercase());
    may_say(part.of(case.text), &Parameters::default())
        || words.any(|word| {
            let word = word.trim_matches('"');
            is_moment(word) || matches!(word, "age" | "timetz") || catalog.may_read_moment(word)
        })
}

/// Where a table's rows lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// by this column, in this keyspace
    ByKey(KeyspaceId, usize),
    /// on every shard
    Everywhere,
}

/// A table that lies on several shards.
struct Table<'a> {
    case: &'a Case<'a>,
    copy: &'a Copy,
    columns: &'a [String],
    full: &'a str,
    relation: &'a Relation,
    rows: Rows,
}

impl Table<'_> {
    fn route(&self) -> Result<Route, Box<Refusal>> {
        let topology = self.case.snapshot.topology();
        let keyspace = match self.rows {
            Rows::ByKey(keyspace, _) => topology.keyspace(keyspace),
            Rows::Everywhere => None,
        };
        let shards = keyspace.map_or(topology.all_shards(), |keyspace| keyspace.shards());
        let draws = self.copy.direction == CopyDirection::From && self.leaves_a_sequence();
        if let Some(shard) = shards.single().filter(|_| !draws) {
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
                kind: match self.rows {
                    Rows::ByKey(..) => Kind::Split,
                    Rows::Everywhere => Kind::Everywhere,
                },
                work: Work::CopyIn(Arc::new(self.split(shards, options)?)),
                reason: match self.rows {
                    Rows::ByKey(..) => "each row by its key",
                    Rows::Everywhere => "a reference table",
                },
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
        let fills = self.left_out(&taken, options)?;
        let text = match fills.is_empty() {
            true => None,
            false => Some(self.text_with(&fills)?),
        };
        Ok(CopyIn {
            table: self.relation.name.name.clone(),
            topology: Arc::clone(self.case.snapshot.topology()),
            shards,
            owners: match self.rows {
                Rows::ByKey(keyspace, key) => {
                    CopyOwners::Key(Box::new(self.key((keyspace, key), &taken, &fills, options)?))
                }
                Rows::Everywhere => CopyOwners::All(Box::new(copies(self.relation, shards))),
            },
            form: options.row_form(),
            columns: taken.len(),
            encoding: read,
            fills: fills.into_iter().map(|(_, fill)| fill).collect(),
            text,
        })
    }

    fn key(
        &self,
        (keyspace, index): (KeyspaceId, usize),
        taken: &[Option<usize>],
        fills: &[(usize, CopyFill)],
        options: &CopyOptions,
    ) -> Result<CopyKey, Box<Refusal>> {
        let unknown = |name: &str| refuse(RefusalId::InsertKeyUnknown, &[self.full, name]);
        let column = self.relation.columns.get(index).ok_or_else(|| unknown(""))?;
        let key_type = KeyType::of(column.type_oid).ok_or_else(|| unknown(&column.name))?;
        let position = taken.iter().position(|taken| *taken == Some(index));
        let fill = fills.iter().position(|(filled, _)| *filled == index);
        let stands = match (position, fill) {
            (Some(position), _) => KeyStands::Column(CopyColumn {
                position,
                forced: match options.is_csv() {
                    true => options.forced(&column.name),
                    false => Forced::No,
                },
            }),
            (None, Some(fill)) => KeyStands::Fill(fill),
            // A row without a key belongs nowhere, and no server would refuse it.
            (None, None) if column.nullability == Nullability::Nullable => return Err(unknown(&column.name)),
            (None, None) => KeyStands::Nowhere,
        };
        Ok(CopyKey {
            keyspace,
            stands,
            name: column.name.clone(),
            type_oid: column.type_oid,
            key_type,
            typmod: column.typmod,
            nullability: column.nullability,
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

    /// Is a column left out that is filled from a sequence?
    fn leaves_a_sequence(&self) -> bool {
        let taken = self.taken();
        let columns = self.relation.columns.iter().enumerate();
        let mut left = columns.filter(|(index, _)| !taken.contains(&Some(*index)));
        left.any(|(_, column)| column.filling.drawn_from().is_some())
    }

    /// What fills the other columns must not depend on the shard; what would is filled here.
    fn left_out(&self, taken: &[Option<usize>], options: &CopyOptions) -> Result<Vec<(usize, CopyFill)>, Box<Refusal>> {
        let mut fills = Vec::new();
        for (index, column) in self.relation.columns.iter().enumerate() {
            if taken.contains(&Some(index)) {
                continue;
            }
            let Some(value) = self.fill(index, column, options)? else {
                continue;
            };
            if options.forced(&column.name) != Forced::No {
                let what = "FORCE_NULL or FORCE_NOT_NULL for a column that it leaves out";
                return Err(refuse(RefusalId::CopyOption, &[self.full, what]));
            }
            let fill = CopyFill {
                name: column.name.clone(),
                type_oid: column.type_oid,
                value,
            };
            fills.push((index, fill));
        }
        Ok(fills)
    }

    /// What a column that is left out is filled with here; `None`: a shard fills it.
    fn fill(&self, index: usize, column: &Column, options: &CopyOptions) -> Result<Option<FillValue>, Box<Refusal>> {
        let snapshot = self.case.snapshot;
        let is_key = matches!(self.rows, Rows::ByKey(_, key) if key == index);
        match column.filling.drawn_from() {
            Some(DrawnFrom::Next(sequence)) if counts_on(snapshot, sequence) == snapshot.topology().home() => {
                let fits = !options.is_binary() || [Oid::INT2, Oid::INT4, Oid::INT8].contains(&column.type_oid);
                let privilege = match &column.filling {
                    Filling::Identity { .. } => Privilege::OfTable,
                    Filling::Nothing | Filling::Default { .. } | Filling::Generated(_) => Privilege::Usage,
                };
                return match fits {
                    true => Ok(Some(FillValue::Next(sequence.clone(), privilege))),
                    false => Err(refuse(RefusalId::InsertSequenceDefault, &[self.full, &column.name])),
                };
            }
            Some(_) => return Err(refuse(RefusalId::InsertSequenceDefault, &[self.full, &column.name])),
            None => {}
        }
        let Filling::Default { expression, .. } = &column.filling else {
            return match (&column.filling, is_key) {
                (Filling::Nothing, _) | (Filling::Generated(_), false) => Ok(None),
                (_, _) => Err(refuse(RefusalId::InsertKeyUnknown, &[self.full, &column.name])),
            };
        };
        let known = Known {
            catalog: snapshot.catalog(),
            topology: snapshot.topology(),
        };
        let how = renewed(known, expression)
            .map_err(|what| refuse(RefusalId::InsertSplitDefault, &[self.full, &column.name, &what]))?;
        match (how, self.rows) {
            (Renewed::ByMoment, _) => match once(expression, column, options) {
                Some(question) => Ok(Some(FillValue::Once(question))),
                None => Err(refuse(RefusalId::CopyMoment, &[self.full, &column.name])),
            },
            // A key that a shard would fill is nowhere in the data.
            (Renewed::Never | Renewed::ByRow, Rows::ByKey(..)) if is_key => {
                Err(refuse(RefusalId::InsertKeyUnknown, &[self.full, &column.name]))
            }
            (Renewed::ByRow, Rows::Everywhere) => Err(refuse(RefusalId::ReferenceDefault, &[self.full, &column.name])),
            (Renewed::Never, _) | (Renewed::ByRow, Rows::ByKey(..)) => Ok(None),
        }
    }

    /// The client's text with the names of what is filled here before its own columns.
    fn text_with(&self, fills: &[(usize, CopyFill)]) -> Result<Vec<u8>, Box<Refusal>> {
        // Only a list of columns leaves one out, and no parenthesis stands before it.
        let mut tokens = self.case.tokens.iter();
        let open = tokens.find(|token| token.kind == TokenKind::Punctuation(b'('));
        let open = open.ok_or_else(|| refuse(RefusalId::SyntaxNotUnderstood, &["this COPY"]))?;
        let (before, behind) = self.case.text.split_at_checked(open.span.end).unwrap_or_default();
        let mut text = before.to_vec();
        for (_, fill) in fills {
            text.extend_from_slice(quote_identifier(&fill.name).as_bytes());
            text.extend_from_slice(b", ");
        }
        text.extend_from_slice(behind);
        Ok(text)
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

/// The expression that yields a default's value for a whole COPY; `None`: it can't be written down exactly.
///
/// In UTC and in ISO form, so that neither DateStyle nor TimeZone has a say in how it is read back.
fn once(expression: &str, column: &Column, options: &CopyOptions) -> Option<String> {
    let (name, zone, form, suffix) = match column.type_oid {
        Oid::TIMESTAMPTZ => (
            "timestamptz",
            " AT TIME ZONE 'UTC'",
            "YYYY-MM-DD HH24:MI:SS.US",
            " || '+00'",
        ),
        Oid::TIMESTAMP => ("timestamp", "", "YYYY-MM-DD HH24:MI:SS.US", ""),
        Oid::DATE => ("date", "", "YYYY-MM-DD", ""),
        _ => return None,
    };
    let typmod = match column.typmod {
        precision @ 0..=6 => format!("({precision})"),
        _ => String::new(),
    };
    let value = format!("(({expression})::pg_catalog.{name}{typmod})");
    Some(match options.is_binary() {
        true => format!("pg_catalog.encode(pg_catalog.{name}_send({value}), 'hex')"),
        false => format!("pg_catalog.to_char({value}{zone}, '{form}'){suffix}"),
    })
}

/// The lock under which copies of a table are written, and the comparison of what was written.
fn copies(relation: &Relation, shards: ShardSet) -> CopyCopies {
    let name = &relation.name;
    let table = format!("{}.{}", quote_identifier(&name.schema), quote_identifier(&name.name));
    let part = |shard: ShardId, text: &str| WritePart {
        shard,
        text: text.as_bytes().to_vec(),
        positions: None,
        parameters: Vec::new(),
        parameter_types: Vec::new(),
        counts: Counts::Yes,
    };
    let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
    let lock = Writes {
        parts: shards.first().map(|first| part(first, &lock)).into_iter().collect(),
        answer: WriteAnswer::Sum(RowOrder::Parts),
    };
    // Rows of this very transaction, whichever savepoint they were written behind: theirs are the visible ones whose
    // writer is under way. `age` counts from one id for a whole transaction.
    let sum = format!(
        "SELECT (COALESCE(pg_catalog.sum(pg_catalog.hashtextextended((t.*)::pg_catalog.text, 0)), 0) \
         OPERATOR(pg_catalog.%) 4611686018427387904)::pg_catalog.int8 FROM (SELECT own, \
         own + pg_catalog.age(own::pg_catalog.text::pg_catalog.xid) AS base FROM (SELECT \
         pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.int8 AS own OFFSET 0) AS o OFFSET 0) AS b \
         CROSS JOIN {table} AS t WHERE CASE WHEN pg_catalog.age(t.xmin) < 2147483647 \
         AND b.base - pg_catalog.age(t.xmin) > 2 THEN pg_catalog.pg_xact_status((b.base - \
         pg_catalog.age(t.xmin))::pg_catalog.text::pg_catalog.xid8) = 'in progress' ELSE false END"
    );
    let sum = Writes {
        parts: shards.iter().map(|shard| part(shard, &sum)).collect(),
        answer: WriteAnswer::Same(Sameness::Rows),
    };
    CopyCopies {
        lock: Arc::new(lock),
        sum: Arc::new(sum),
    }
}
