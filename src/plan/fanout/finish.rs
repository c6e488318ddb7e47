//! Expressions over merged groups: what no rule here can compute, a Postgres computes.
//!
//! Sketch: in the place of the client's target list each shard gives its groups' keys and partial aggregates. Merged,
//! they go as parameters to one shard, in the client's own text: each aggregate and each key there has become a column
//! of them, HAVING has become WHERE, and all else stands as it was written, ORDER BY and LIMIT too.
//! Why that is exact: what isn't replaced is computed by Postgres as it would have been, from the same values. The
//! columns have the types and collations of the client's expressions, since the parameters come by UNION ALL behind the
//! very SELECT that the shards got, cut to no row.
//! Holds: a column that is no group key and in no aggregate is refused; spans are replaced, nothing is printed.

use std::sync::Arc;

use crate::plan::fanout::draft::{Draft, OutputOf, SortedBy};
use crate::plan::fanout::group::{self, GroupKey, Grouped};
use crate::plan::fanout::spec::{Combine, Grouping, MergeForm, Method, Output, Scalar};
use crate::plan::fanout::template::{Edit, FinishTemplate, Template};
use crate::plan::resolve::{Child, children};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Span;
use crate::sql::ast::{Distinct, Expr};

use super::calls;
use super::clauses;
use super::limit::Limits;
use super::spread::{Group, bug, unnested};

/// The name under which the client's text sees the merged groups.
const ALIAS: &str = "shardgate";

/// Refusals of the merge in the proxy that a server's help lifts.
pub(super) fn lifts(refusal: &Refusal) -> bool {
    refusal.is_of(&[
        RefusalId::FanOutAggregateExpression,
        RefusalId::FanOutHaving,
        RefusalId::FanOutCollation,
        RefusalId::FanOutOrderType,
        RefusalId::FanOutDistinctAggregate,
        RefusalId::FanOutTies,
        RefusalId::FanOutWindow,
    ])
}

/// One value of a merged group.
struct Column {
    text: String,
    /// what the merge computes; none: the key of the group's first row
    output: Option<Output>,
    is_enum: bool,
}

/// The client's text being turned into one over merged groups.
struct Writer<'w, 'd, 'r, 'a> {
    grouped: Grouped<'d, 'r, 'a>,
    keys: &'w [GroupKey<'a>],
    columns: Vec<Column>,
    edits: Vec<(Span, Edit)>,
}

/// Plans a block that aggregates, its expressions over aggregates left to a server.
pub(super) fn plan(mut draft: Draft<'_, '_>, group: &Group) -> Result<Template, Box<Refusal>> {
    if calls::is_doubtful(draft.resolved) {
        return Err(refuse(RefusalId::FanOutSuspicious, &[]));
    }
    if matches!(draft.select.distinct, Some(Distinct::On(_))) {
        return Err(refuse(RefusalId::FanOutDistinctAggregate, &[]));
    }
    if !draft.select.named_window.is_empty() {
        return Err(refuse(RefusalId::FanOutWindow, &[]));
    }
    let keys = group::group_keys(&draft)?;
    if keys.iter().any(|key| matches!(unnested(key.expr), Expr::Value(_))) {
        return Err(refuse(RefusalId::FanOutGroupType, &["a constant"])); // said again it would be an ordinal
    }
    let named = group::named_keys(&draft)?;
    let mut writer = Writer {
        grouped: Grouped::new(&mut draft, group),
        keys: &keys,
        columns: Vec::new(),
        edits: Vec::new(),
    };
    writer.targets()?;
    writer.having()?;
    writer.order_by()?;
    if writer.columns.is_empty() {
        writer.any_column()?;
    }
    let (merge_keys, pushed, _) = writer.grouped.order(&keys, &[])?;
    let Writer {
        grouped,
        columns,
        mut edits,
        ..
    } = writer;
    let folds = grouped.folds;
    let texts: Vec<&str> = columns.iter().map(|column| column.text.as_str()).collect();
    let listed = texts
        .iter()
        .enumerate()
        .map(|(at, text)| format!("({text}) AS \"{at}\""));
    let listed = listed.collect::<Vec<_>>().join(", ");

    // what each shard gets
    let first = draft.clauses.entries.first().copied().ok_or_else(bug)?;
    let targets_end = draft.clauses.targets_end;
    draft
        .edits
        .push((Span::new(first.start, targets_end), Edit::Fixed(listed.clone())));
    draft.cut(draft.clauses.distinct);
    draft.cut(draft.clauses.having);
    draft.cut(draft.clauses.order_by);
    draft.cut_limit();
    draft.limits = Limits::NONE;
    if !pushed.is_empty() {
        let at = draft.clauses.groups_end;
        let order_by = format!(" ORDER BY {}", pushed.join(", "));
        draft.edits.push((Span::new(at, at), Edit::Fixed(order_by)));
    }
    for at in named {
        let span = draft.clauses.group_by.get(at).copied();
        let (span, key) = span.zip(keys.get(at)).ok_or_else(bug)?;
        let text = Edit::Fixed(format!("({})", key.text));
        draft.edits.push((span, text.clone()));
        edits.push((span, text));
    }

    // what the last one gets
    let names = (0..columns.len())
        .map(|at| format!("\"{at}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let groups_end = draft
        .clauses
        .having
        .map_or(draft.clauses.groups_end, |having| having.start);
    let (open, close) = (Span::new(targets_end, targets_end), Span::new(groups_end, groups_end));
    edits.push((open, Edit::Fixed(format!(" FROM ((SELECT {listed}"))));
    edits.push((close, Edit::Fixed(" LIMIT 0)".to_string())));
    edits.push((close, Edit::Rows));
    edits.push((close, Edit::Fixed(format!(") AS {ALIAS}({names}) "))));
    super::put_moments(&draft.moments, &mut edits);

    draft.steps.push((
        format!("merge: fold {} partial values by {} keys", folds.len(), keys.len()),
        "each shard folds its own rows".to_string(),
    ));
    draft.steps.push((
        "finish: on one shard".to_string(),
        "it computes what stands over the merged groups".to_string(),
    ));
    let computed = columns.iter().enumerate();
    let outputs = computed
        .filter_map(|(at, column)| Some((at, column.output.clone()?)))
        .collect();
    let form = MergeForm {
        visible: columns.len(),
        hidden: draft.hidden.len(),
        enums: (0..columns.len())
            .filter(|at| columns.get(*at).is_some_and(|c| c.is_enum))
            .collect(),
        user_types: Vec::new(),
        method: Method::Grouped(Grouping {
            keys: merge_keys,
            folds,
            outputs,
            having: None,
            order: Vec::new(),
        }),
    };
    let count = columns.len();
    draft.put_hidden();
    let template = super::template_of(
        draft.resolved,
        &draft.moments,
        draft.edits,
        Arc::new(form),
        draft.limits,
        draft.constants,
        draft.steps,
    );
    Ok(Template {
        finish: Some(FinishTemplate { edits, columns: count }),
        ..template
    })
}

impl<'w, 'a> Writer<'w, '_, '_, 'a> {
    fn targets(&mut self) -> Result<(), Box<Refusal>> {
        for output in self.grouped.draft.outputs.clone() {
            let OutputOf::Entry { at, expr } = output else {
                return Err(refuse(RefusalId::FanOutStar, &[]));
            };
            let span = self.grouped.draft.clauses.entries.get(at).copied().ok_or_else(bug)?;
            self.entry(span, expr)?;
        }
        Ok(())
    }

    /// HAVING, over groups, is WHERE over merged ones.
    fn having(&mut self) -> Result<(), Box<Refusal>> {
        let Some(having) = &self.grouped.draft.select.having else {
            return Ok(());
        };
        let span = self.grouped.draft.clauses.having.ok_or_else(bug)?;
        let word = Span::new(span.start, span.start.saturating_add("HAVING".len()));
        if !word
            .of(self.grouped.draft.resolved.input.text)
            .eq_ignore_ascii_case(b"HAVING")
        {
            return Err(bug());
        }
        self.edits.push((word, Edit::Fixed("WHERE".to_string())));
        self.walk(having)
    }

    /// ORDER BY: an output by its number, since its name may be gone.
    fn order_by(&mut self) -> Result<(), Box<Refusal>> {
        for (position, sort) in self.grouped.draft.sorts()?.into_iter().enumerate() {
            let span = self
                .grouped
                .draft
                .clauses
                .order_keys
                .get(position)
                .copied()
                .ok_or_else(bug)?;
            let output = match sort.by {
                SortedBy::Output(output) => Some(output),
                SortedBy::Expr(expr, _) => self.grouped.draft.output_of(expr),
            };
            match (output, sort.by) {
                (Some(output), _) => {
                    let ordinal = output.saturating_add(1).to_string();
                    self.edits.push((span, Edit::Fixed(ordinal)));
                }
                (None, SortedBy::Expr(expr, _)) => self.entry(span, expr)?,
                (None, SortedBy::Output(_)) => return Err(bug()),
            }
        }
        Ok(())
    }

    /// A list of no columns can't be sent.
    fn any_column(&mut self) -> Result<(), Box<Refusal>> {
        let _column = match self.keys.first() {
            Some(key) => self.key_column(key),
            // each shard gives one row
            None => {
                let fold = self.grouped.fold("pg_catalog.count(*)".to_string(), Combine::Sum);
                self.fold_column(fold)?
            }
        };
        Ok(())
    }

    /// An expression that stands alone at `span`, a label behind it perhaps.
    fn entry(&mut self, span: Span, expr: &'a Expr) -> Result<(), Box<Refusal>> {
        if let Some(key) = self.key_of(expr) {
            let text = self.grouped.draft.text_of(span, expr)?;
            let end = span.start.saturating_add(text.len());
            let column = self.key_column(key);
            self.edits
                .push((Span::new(span.start, end), Edit::Fixed(named(column))));
            return Ok(());
        }
        self.walk(expr)
    }

    /// Replaces aggregates and keys inside an expression.
    fn walk(&mut self, expr: &'a Expr) -> Result<(), Box<Refusal>> {
        let resolved = self.grouped.draft.resolved;
        // a set would make several rows of one group
        if calls::has_set(resolved, expr) {
            return Err(refuse(RefusalId::FanOutSetReturning, &[]));
        }
        let mut open = vec![Child::Expr(expr)];
        while let Some(child) = open.pop() {
            let expr = match child {
                Child::Expr(expr) => expr,
                Child::Query(_) => return Err(refuse(RefusalId::FanOutSubquery, &[])),
            };
            if let Some(key) = self.key_of(expr)
                && let Some(span) = self.span_of(expr)
            {
                let column = self.key_column(key);
                self.edits.push((span, Edit::Fixed(named(column))));
                continue;
            }
            match expr {
                Expr::Identifier(_)
                | Expr::CompoundIdentifier(_)
                | Expr::Wildcard(_)
                | Expr::QualifiedWildcard(_, _) => {
                    return Err(refuse(RefusalId::FanOutAggregateExpression, &[]));
                }
                Expr::Function(function) => match self.grouped.aggregate_of(expr, function)? {
                    Some(scalar) => {
                        let span = group::call_span(self.grouped.draft, function).ok_or_else(bug)?;
                        let text = self.aggregate(&scalar)?;
                        self.edits.push((span, Edit::Fixed(text)));
                    }
                    None => children(expr, &mut open).map_err(|_| bug())?,
                },
                _ => children(expr, &mut open).map_err(|_| bug())?,
            }
        }
        Ok(())
    }

    fn key_of(&self, expr: &Expr) -> Option<&'w GroupKey<'a>> {
        self.keys.iter().find(|key| self.grouped.draft.same(key.expr, expr))
    }

    /// Where an expression stands, if its tokens tell: a column, or a call that was read back.
    fn span_of(&self, expr: &Expr) -> Option<Span> {
        match expr {
            Expr::Identifier(ident) => crate::sql::byte_span(ident.span),
            Expr::CompoundIdentifier(idents) => {
                let first = crate::sql::byte_span(idents.first()?.span)?;
                let last = crate::sql::byte_span(idents.last()?.span)?;
                Some(Span::new(first.start, last.end))
            }
            Expr::Function(function) => {
                let span = group::call_span(self.grouped.draft, function)?;
                clauses::text_of(self.grouped.draft.resolved.input, span, expr).map(|_| span)
            }
            _ => None,
        }
    }

    fn key_column(&mut self, key: &GroupKey<'a>) -> usize {
        let types = &self.grouped.draft.resolved.input.catalog.types;
        let user = types.get(&key.typed.type_oid.0);
        let is_enum = user.is_some_and(|user| user.kind == b'e');
        self.column(Column {
            text: key.text.clone(),
            output: None,
            is_enum,
        })
    }

    /// An aggregate over all shards.
    fn aggregate(&mut self, scalar: &Scalar) -> Result<String, Box<Refusal>> {
        match scalar {
            Scalar::Fold(fold) => Ok(named(self.fold_column(*fold)?)),
            // As numeric's own avg ends. Without a value the sum is NULL, and so is the quotient.
            Scalar::Average { sum, count } => {
                let (sum, count) = (self.fold_column(*sum)?, self.fold_column(*count)?);
                Ok(format!(
                    "({}::pg_catalog.numeric OPERATOR(pg_catalog./) {}::pg_catalog.numeric)",
                    named(sum),
                    named(count)
                ))
            }
            Scalar::Constant(_) | Scalar::Coalesce(_) => Err(bug()),
        }
    }

    fn fold_column(&mut self, fold: usize) -> Result<usize, Box<Refusal>> {
        let known = self.grouped.folds.get(fold).ok_or_else(bug)?;
        let output = match known.combine {
            Combine::Least(_) | Combine::Greatest(_) => Output::Winner { fold },
            Combine::Sum | Combine::And | Combine::Or | Combine::BitAnd | Combine::BitOr => {
                Output::Computed(Scalar::Fold(fold))
            }
            Combine::First(_) => return Err(bug()),
        };
        let text = self.grouped.draft.hidden.get(known.hidden).cloned().ok_or_else(bug)?;
        Ok(self.column(Column {
            text,
            output: Some(output),
            is_enum: false,
        }))
    }

    fn column(&mut self, column: Column) -> usize {
        let same = |known: &Column| known.text == column.text && known.output == column.output;
        if let Some(known) = self.columns.iter().position(same) {
            return known;
        }
        self.columns.push(column);
        self.columns.len().saturating_sub(1)
    }
}

fn named(column: usize) -> String {
    format!("{ALIAS}.\"{column}\"")
}
