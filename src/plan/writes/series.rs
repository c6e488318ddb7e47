//! INSERT … SELECT whose rows are made of `generate_series`: every shard makes them all, and keeps those it owns.
//!
//! Why a condition in the client's own SELECT, and no query around it: a string without a type is still read as its
//! column's type there, as in the whole statement.
//! Holds: what decides where a row goes (FROM, WHERE, the key) gives the same on every server, so it is spelt from closed
//! lists: series, arithmetic, comparisons of numbers and times, text put together. A row whose key is NULL goes to one
//! shard, which refuses it. Where WHERE doesn't hold, the key isn't looked at.
//! Absent: tables, subqueries, ON CONFLICT, RETURNING (its order would be the shards'), keyspaces by range or category.

use crate::catalog::Column;
use crate::plan::fanout::{
    Moment, Nature, aggregates, check_calls, clauses, count_nature, fix_moments, has_set, know_moments, moments,
    nature, text_of, windows,
};
use crate::plan::resolve::{BlockId, BlockKind, Callee, Child, Placement, Resolved, Role, Root, Source, children};
use crate::plan::{Counts, Facts, Refusal, RefusalId, Verdict, WritePart, refuse};
use crate::sql::ast::{
    BinaryOperator, CastKind, Expr, FunctionArg, FunctionArgExpr, Select, SelectItem, TableFactor, UnaryOperator,
};
use crate::sql::{Edits, Literal, LiteralClass, Span};
use crate::topology::{KeyspaceId, ShardId, Strategy, Topology};
use crate::value::{KeyType, Oid};

use super::check::{Subject, bare_source};
use super::filling::{Known, supplied};
use super::moving;
use super::split::targets;

/// Functions that numbers, and texts made of them, may go through.
const NUMBERS: [&str; 3] = ["abs", "mod", "div"];
const TEXTS: [&str; 4] = ["md5", "lpad", "rpad", "repeat"];

/// Bytes of typmod before the length of varchar(n) and char(n).
const TYPMOD_HEAD: i32 = 4;

/// A proven statement of one text.
#[derive(Debug)]
pub(in crate::plan) struct Series {
    /// the client's
    text: Vec<u8>,
    keyspace: KeyspaceId,
    /// the token of a row's key
    token: String,
    /// the client's condition
    condition: Option<Span>,
    /// behind FROM and WHERE
    end: usize,
    moments: Vec<(Span, Moment)>,
    /// the highest `$n`
    parameters: usize,
}

/// Why it isn't proven.
#[derive(Debug)]
pub(in crate::plan) enum Unproven {
    /// refused
    Refused(Box<Refusal>),
    /// types of parameters are needed first
    TypesNeeded,
}

impl From<Box<Refusal>> for Unproven {
    fn from(refusal: Box<Refusal>) -> Unproven {
        Unproven::Refused(refusal)
    }
}

/// The statement's parts.
struct Parts<'r, 'a> {
    resolved: &'r Resolved<'a>,
    subject: Subject<'r, 'a>,
    keyspace: KeyspaceId,
    id: BlockId,
    select: &'a Select,
}

/// Which expressions decide alike on every server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// of which rows there are
    Rows,
    /// of a row's key
    Key,
}

/// Proves it; `None`: it is no INSERT into a sharded table from series alone.
pub(in crate::plan) fn plan(resolved: &Resolved<'_>) -> Option<Result<Series, Unproven>> {
    let parts = find(resolved)?;
    Some(parts.prove())
}

fn find<'r, 'a>(resolved: &'r Resolved<'a>) -> Option<Parts<'r, 'a>> {
    let Root::Modify(id) = resolved.root else {
        return None;
    };
    let block = resolved.blocks.get(id.0)?;
    let BlockKind::Insert(insert) = block.kind else {
        return None;
    };
    let [target] = resolved.references.as_slice() else {
        return None;
    };
    let Placement::Sharded { keyspace, key } = target.placement else {
        return None;
    };
    if target.role != Role::Insert || resolved.queries.len() != 1 {
        return None;
    }
    let body = bare_source(resolved, block)?;
    let source = resolved.blocks.get(body.0)?;
    let BlockKind::Select(select) = source.kind else {
        return None;
    };
    let functions = source.items.iter().all(|item| match item.source {
        Source::Function => true,
        Source::Relation(_) | Source::View { .. } | Source::Subquery { .. } | Source::Cte { .. } | Source::Excluded => {
            false
        }
    });
    let plain = functions && !source.items.is_empty();
    plain.then_some(Parts {
        resolved,
        subject: Subject {
            insert,
            rows: &[],
            relation: target.relation?,
            name: &target.name,
            key,
        },
        keyspace,
        id: body,
        select,
    })
}

// === impl Parts ===

impl Parts<'_, '_> {
    fn barred(&self, what: &str, why: &str) -> Box<Refusal> {
        self.subject.barred(what, why)
    }

    fn prove(&self) -> Result<Series, Unproven> {
        self.subject.check_table()?;
        self.subject.check_syntax(self.resolved)?;
        check_calls(self.resolved)?;
        self.check_shape()?;
        let column = self.key_column()?;
        let (at, items) = self.columns()?;
        let key = *items.get(at).ok_or_else(|| self.other_columns())?;
        self.check_strings()?;
        let parameters = self.check_parameters()?;
        self.check_from()?;
        self.check_alike(key, Part::Key, "the sharding key")?;
        if let Some(condition) = &self.select.selection {
            self.check_alike(condition, Part::Rows, "WHERE")?;
        }
        self.check_per_row(&items, at)?;
        let unclear = || {
            self.barred(
                "this form of SELECT",
                "Where its clauses begin and end is not known for sure.",
            )
        };
        let found = clauses(self.resolved.input).ok_or_else(unclear)?;
        if found.entries.len() != items.len() || found.condition.is_some() != self.select.selection.is_some() {
            return Err(unclear().into());
        }
        let entry = *found.entries.get(at).ok_or_else(unclear)?;
        let key = text_of(self.resolved.input, entry, key).ok_or_else(unclear)?;
        if let (Some(span), Some(condition)) = (found.condition, &self.select.selection) {
            let text = text_of(self.resolved.input, span, condition).ok_or_else(unclear)?;
            if text.as_bytes() != span.of(self.resolved.input.text) {
                return Err(unclear().into());
            }
        }
        Ok(Series {
            text: self.resolved.input.text.to_vec(),
            keyspace: self.keyspace,
            token: self.token(column, &key)?,
            condition: found.condition,
            end: found.filter_end,
            moments: moments(self.resolved)?,
            parameters,
        })
    }

    fn key_column(&self) -> Result<&Column, Box<Refusal>> {
        let column = self.subject.relation.columns.get(self.subject.key);
        column.ok_or_else(|| self.other_columns())
    }

    fn other_columns(&self) -> Box<Refusal> {
        self.barred("a SELECT without the sharding key", "Its rows have no place.")
    }

    fn check_shape(&self) -> Result<(), Box<Refusal>> {
        let (resolved, select) = (self.resolved, self.select);
        if self.subject.insert.on.is_some() {
            return Err(self.barred("INSERT … SELECT … ON CONFLICT", "It is not analysed."));
        }
        if self.subject.insert.returning.is_some() {
            return Err(self.barred(
                "INSERT … SELECT … RETURNING",
                "Its rows would come in the shards' order.",
            ));
        }
        let counted = aggregates(resolved, self.id, select) || windows(resolved, self.id, select);
        if counted || select.distinct.is_some() || select.having.is_some() {
            return Err(self.barred(
                "aggregates, windows or DISTINCT in its SELECT",
                "They see the statement's rows as a whole.",
            ));
        }
        Ok(())
    }

    /// Which entry of the target list is the key, and the entries.
    fn columns(&self) -> Result<(usize, Vec<&Expr>), Box<Refusal>> {
        let items = self.select.projection.iter().map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => Some(expr),
            SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
        });
        let items: Option<Vec<&Expr>> = items.collect();
        let star = || {
            self.barred(
                "* in its SELECT",
                "Which of its columns is the sharding key is not analysed.",
            )
        };
        let items = items.ok_or_else(star)?;
        if items.iter().any(|item| has_set(self.resolved, item)) {
            return Err(self.barred("a set-returning function in its target list", "Write it into FROM."));
        }
        let columns = targets(&self.subject, items.len())?;
        for (index, column) in self.subject.relation.columns.iter().enumerate() {
            if columns.contains(&index) {
                continue;
            }
            let known = Known {
                catalog: self.resolved.input.catalog,
                topology: self.resolved.input.topology,
            };
            if supplied(known, self.subject.name, column)?.is_some() {
                let what = "the time of the statement";
                return Err(refuse(
                    RefusalId::InsertSplitDefault,
                    &[self.subject.name, &column.name, what],
                ));
            }
        }
        let at = columns.iter().position(|column| *column == self.subject.key);
        Ok((at.ok_or_else(|| self.other_columns())?, items))
    }

    /// No string may be read as the moment of the statement.
    fn check_strings(&self) -> Result<(), Box<Refusal>> {
        let input = self.resolved.input;
        for token in input.tokens.iter().filter(|token| moving::is_string(token)) {
            let literal = Literal {
                span: token.span,
                class: LiteralClass::String,
            };
            match literal.decode(input.text, input.lexing) {
                Ok(value) if !crate::value::says_moment(&value) => {}
                Ok(_) | Err(_) => return Err(self.moment("a string")),
            }
        }
        Ok(())
    }

    fn moment(&self, what: &str) -> Box<Refusal> {
        self.barred(
            &format!("{what} that may mean the current time ('now', 'today', …)"),
            "Each shard would read a moment of its own from it.",
        )
    }

    /// The number of parameters, none of which may mean a moment.
    fn check_parameters(&self) -> Result<usize, Unproven> {
        let highest = self.resolved.uses.parameters.iter().copied().max().unwrap_or(0);
        let highest = usize::try_from(highest).unwrap_or(usize::MAX);
        for index in 0..highest {
            let declared = self.resolved.input.parameter_types.get(index).copied();
            match declared.filter(|oid| *oid != Oid(0) && *oid != Oid::UNKNOWN) {
                None => return Err(Unproven::TypesNeeded),
                Some(oid) if moving::may_move(self.resolved.input.catalog, oid) => {
                    return Err(self.moment("a parameter").into());
                }
                Some(_) => {}
            }
        }
        Ok(highest)
    }

    /// FROM: series, side by side.
    fn check_from(&self) -> Result<(), Box<Refusal>> {
        let other = || {
            self.barred(
                "a FROM other than generate_series",
                "Whether it makes the same rows on every shard is not known.",
            )
        };
        let own = |call: &&crate::plan::resolve::FunctionUse<'_>| is_series(&call.name);
        let mut calls = self.resolved.uses.functions.iter().filter(own);
        if !calls.all(|call| matches!(call.callee, Callee::Builtin(_))) {
            return Err(other());
        }
        for tree in &self.select.from {
            let TableFactor::Table {
                name,
                args: Some(args),
                with_ordinality: _,
                sample: None,
                version: None,
                json_path: None,
                alias: _,
                with_hints: _,
                partitions: _,
                index_directives: _,
                inheritance: None,
            } = &tree.relation
            else {
                return Err(other());
            };
            let named = crate::plan::resolve::object_name(name).is_some_and(|parts| match parts.as_slice() {
                [name] => is_series(name),
                ["pg_catalog", name] => is_series(name),
                _ => false,
            });
            if !named || !tree.joins.is_empty() || args.settings.is_some() {
                return Err(other());
            }
            for argument in &args.args {
                let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else {
                    return Err(other());
                };
                self.check_alike(argument, Part::Rows, "generate_series")?;
            }
        }
        Ok(())
    }

    fn check_alike(&self, expr: &Expr, part: Part, place: &str) -> Result<(), Box<Refusal>> {
        let mut open = vec![Child::Expr(expr)];
        let refused = || {
            self.barred(
                &format!("this expression in {place}"),
                "Whether it gives the same on every shard is not known; arithmetic does.",
            )
        };
        while let Some(child) = open.pop() {
            let Child::Expr(expr) = child else {
                return Err(refused());
            };
            if !self.is_alike(expr, part) {
                return Err(refused());
            }
            children(expr, &mut open).map_err(|_| refused())?;
        }
        Ok(())
    }

    /// Does the node, what stands in it aside, give the same wherever it is evaluated?
    fn is_alike(&self, expr: &Expr, part: Part) -> bool {
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Nested(_)
            | Expr::TypedString(_)
            | Expr::Interval(_) => true,
            Expr::UnaryOp { op, expr: _ } => match op {
                UnaryOperator::Plus | UnaryOperator::Minus => true,
                UnaryOperator::Not => part == Part::Rows,
                _ => false,
            },
            Expr::BinaryOp { left: _, op, right: _ } => match op {
                BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo => true,
                BinaryOperator::StringConcat => part == Part::Key,
                BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq
                | BinaryOperator::And
                | BinaryOperator::Or => part == Part::Rows,
                _ => false,
            },
            Expr::Between { .. } | Expr::In { .. } | Expr::IsNull(_) | Expr::IsNotNull(_) => part == Part::Rows,
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr: _,
                data_type,
                format: None,
            } => match KeyType::from_name(&data_type.to_string()) {
                Some(KeyType::Int2 | KeyType::Int4 | KeyType::Int8 | KeyType::Numeric) => true,
                Some(KeyType::Text | KeyType::Varchar | KeyType::Bpchar | KeyType::Uuid) => part == Part::Key,
                // from a text they may read a moment
                Some(KeyType::Date | KeyType::Timestamp | KeyType::Timestamptz) | None => false,
            },
            Expr::Function(function) => {
                let mut calls = self.resolved.uses.functions.iter();
                let call = calls.find(|call| call.call.is_some_and(|call| std::ptr::eq(call, function)));
                call.is_some_and(|call| {
                    let known = |names: &[&str]| names.contains(&call.name.as_str());
                    let named = known(&NUMBERS) || (part == Part::Key && known(&TEXTS));
                    named && matches!(call.callee, Callee::Builtin(_))
                })
            }
            _ => false,
        }
    }

    /// A value per row may stand in the target list, but not in the key.
    fn check_per_row(&self, items: &[&Expr], key: usize) -> Result<(), Box<Refusal>> {
        let per_row = |call: &&crate::plan::resolve::FunctionUse<'_>| nature(self.resolved, call) == Ok(Nature::PerRow);
        let all = self.resolved.uses.functions.iter().filter(per_row).count();
        let free = items
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != key)
            .map(|(_, item)| *item);
        match count_nature(self.resolved, free, self.id, Nature::PerRow) == all {
            true => Ok(()),
            false => Err(refuse(RefusalId::FanOutVolatile, &[])),
        }
    }

    /// The token of a row's key, as its column will hold it.
    fn token(&self, column: &Column, key: &str) -> Result<String, Box<Refusal>> {
        let other = || self.barred("a sharding key of this type", "Its cast is not analysed.");
        let key_type = KeyType::of(column.type_oid).ok_or_else(other)?;
        let (name, is_text) = match key_type {
            KeyType::Int2 => ("int2", false),
            KeyType::Int4 => ("int4", false),
            KeyType::Int8 => ("int8", false),
            KeyType::Numeric => ("numeric", false),
            KeyType::Uuid => ("uuid", false),
            KeyType::Date => ("date", false),
            KeyType::Timestamp => ("timestamp", false),
            KeyType::Timestamptz => ("timestamptz", false),
            KeyType::Text => ("text", true),
            KeyType::Varchar => ("varchar", true),
            KeyType::Bpchar => ("bpchar", true),
        };
        let length = match (column.typmod, is_text) {
            (-1, _) => String::new(),
            (typmod, true) if typmod >= TYPMOD_HEAD => format!("({})", typmod.saturating_sub(TYPMOD_HEAD)),
            (_, _) => return Err(other()),
        };
        // Whatever the collation, equal texts have equal bytes.
        let collation = if is_text { " COLLATE pg_catalog.\"C\"" } else { "" };
        Ok(key_type.token_sql(&format!("({key})::pg_catalog.{name}{length}{collation}")))
    }
}

fn is_series(name: &str) -> bool {
    name.strip_prefix("pg_catalog.").unwrap_or(name) == "generate_series"
}

// === impl Series ===

impl Series {
    /// About how many bytes it takes.
    pub(in crate::plan) fn weight(&self) -> usize {
        self.text.len().saturating_add(self.token.len())
    }

    /// The keyspace's owners, with a text each; `types` are those of `$n`.
    pub(in crate::plan) fn bind(
        &self,
        topology: &Topology,
        types: &[Oid],
        facts: &Facts,
    ) -> Result<Vec<WritePart>, Verdict> {
        know_moments(&self.moments, facts)?;
        let keyspace = topology.keyspace(self.keyspace).ok_or_else(bug)?;
        let Strategy::Hash(placement) = keyspace.strategy() else {
            return Err(Verdict::Refused(refuse(
                RefusalId::SyntaxNotUnderstood,
                &["INSERT … SELECT into a keyspace by range or category"],
            )));
        };
        let mut first = true;
        let mut parts = Vec::new();
        for shard in keyspace.shards().iter() {
            let mut changes: Vec<String> = Vec::new();
            for (low, high) in placement.arcs_of(shard) {
                changes.push(low.0.to_string());
                changes.extend(high.0.checked_add(1).map(|behind| behind.to_string()));
            }
            // Ownership begins and ends by turns; a NULL key, which every table refuses, is the first one's.
            let owned = format!(
                "COALESCE(pg_catalog.mod(pg_catalog.width_bucket({}, '{{{}}}'::pg_catalog.int8[]), 2) \
                 OPERATOR(pg_catalog.=) 1, {first})",
                self.token,
                changes.join(",")
            );
            first = false;
            parts.push(self.part(shard, &owned, types, facts)?);
        }
        Ok(parts)
    }

    fn part(&self, shard: ShardId, owned: &str, types: &[Oid], facts: &Facts) -> Result<WritePart, Verdict> {
        let mut edits = Edits::new();
        fix_moments(&self.moments, facts, &mut edits)?;
        match self.condition {
            Some(condition) => {
                edits.insert(condition.start, "CASE WHEN (".to_owned());
                edits.insert(self.end, format!(") THEN {owned} ELSE false END"));
            }
            None => edits.insert(self.end, format!(" WHERE {owned}")),
        }
        let (text, positions) = edits.apply(&self.text).ok_or_else(bug)?;
        Ok(WritePart {
            shard,
            text,
            positions: Some(positions),
            parameters: (0..self.parameters).collect(),
            parameter_types: types.iter().copied().take(self.parameters).collect(),
            counts: Counts::Yes,
        })
    }
}

fn bug() -> Verdict {
    Verdict::Refused(refuse(RefusalId::SyntaxNotUnderstood, &["this statement"]))
}
