//! Aggregates over several shards: each shard folds its own rows, the proxy folds the shards' partial values.
//!
//! Why every entry is proven: an entry is a plain aggregate that folds, `coalesce` of one and a constant, or holds no
//! aggregate at all (and then is the same for all rows of a group). Anything else would be computed from one shard's
//! part. HAVING, ORDER BY and LIMIT wait for the fold and are taken out of the shards' text.

use crate::plan::fanout::draft::{Draft, OutputOf, Sort, SortedBy};
use crate::plan::fanout::having;
use crate::plan::fanout::spec::{
    Combine, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, Method, Nulls, Output, Scalar, Ties,
};
use crate::plan::fanout::template::{ConstantSource, Edit, Template};
use crate::plan::resolve::{FunctionUse, Lookup};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::Span;
use crate::sql::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, UnaryOperator,
    Value,
};
use crate::value::{Numeric, Oid};

use super::calls;
use super::clauses;
use super::limit::plain_integer;
use super::spread::{Group, Spreads, bug, column_in, unnested};
use super::typing::{Typed, type_of};

/// A grouped fan-out in the making.
pub(super) struct Grouped<'d, 'r, 'a> {
    pub(super) draft: &'d mut Draft<'r, 'a>,
    group: &'d Group,
    pub(super) folds: Vec<Fold>,
}

/// One GROUP BY key.
pub(super) struct GroupKey<'a> {
    pub(super) expr: &'a Expr,
    pub(super) text: String,
    pub(super) typed: Typed,
    /// set where it is an output: an ordinal, an alias or the same expression
    column: Option<crate::plan::resolve::ColumnRef>,
}

/// Plans a block that aggregates over groups which the key doesn't keep apart.
pub(super) fn plan(mut draft: Draft<'_, '_>, group: &Group) -> Result<Template, Box<Refusal>> {
    if calls::is_doubtful(draft.resolved) {
        return Err(refuse(RefusalId::FanOutSuspicious, &[]));
    }
    if calls::windows(draft.resolved, draft.id, draft.select) {
        return Err(refuse(RefusalId::FanOutWindow, &[]));
    }
    if draft.limits.ties == Ties::Kept {
        return Err(refuse(RefusalId::FanOutTies, &[]));
    }
    if draft.select.distinct.is_some() {
        return Err(refuse(RefusalId::FanOutDistinctAggregate, &[]));
    }
    let keys = group_keys(&draft)?;
    let sorts = draft.sorts()?;
    let mut grouped = Grouped::new(&mut draft, group);
    let outputs = grouped.outputs()?;
    let having = grouped.having()?;
    let (spec_keys, pushed, order) = grouped.order(&keys, &sorts)?;
    let folds = grouped.folds;
    let shown = order.is_empty() && having.is_none() && !keys.is_empty();
    if having.is_some() {
        draft.cut(draft.clauses.having);
    } else if draft.select.having.is_some() && keys.is_empty() {
        return Err(refuse(RefusalId::FanOutHaving, &["no aggregate"]));
    }
    draft.cut(draft.clauses.order_by);
    if !pushed.is_empty() {
        let at = draft.clauses.groups_end;
        draft.edits.push((
            Span::new(at, at),
            Edit::Fixed(format!(" ORDER BY {}", pushed.join(", "))),
        ));
    }
    if draft.limits.is_none() || !shown {
        draft.cut_limit();
    } else {
        draft.push_limit();
    }
    // without GROUP BY an aggregate must remain in the text, or each shard would give its rows
    if keys.is_empty() && draft.hidden.is_empty() {
        return Err(refuse(RefusalId::FanOutHaving, &["no aggregate"]));
    }
    draft.steps.push((
        format!("merge: fold {} partial values by {} keys", folds.len(), keys.len()),
        "each shard folds its own rows".to_string(),
    ));
    if !order.is_empty() {
        draft.steps.push((
            "merge: sort groups".to_string(),
            "their order is known after the fold".to_string(),
        ));
    }
    Ok(draft.finish(Method::Grouped(Grouping {
        keys: spec_keys,
        folds,
        outputs,
        having,
        order,
    })))
}

/// `ORDER BY` text of a key: text by bytes.
pub(super) fn order_by_text(text: &str, typed: Typed, direction: Direction, nulls: Nulls) -> String {
    let collate = if typed.is_text() { " COLLATE \"C\"" } else { "" };
    let direction = match direction {
        Direction::Ascending => "ASC",
        Direction::Descending => "DESC",
    };
    let nulls = match nulls {
        Nulls::First => "FIRST",
        Nulls::Last => "LAST",
    };
    format!("({text}){collate} {direction} NULLS {nulls}")
}

/// GROUP BY, each entry looked up as Postgres does: an input column, else an output's alias, an ordinal, an expression.
pub(super) fn group_keys<'a>(draft: &Draft<'_, 'a>) -> Result<Vec<GroupKey<'a>>, Box<Refusal>> {
    let GroupByExpr::Expressions(exprs, modifiers) = &draft.select.group_by else {
        return Err(refuse(RefusalId::FanOutGroupingSets, &[]));
    };
    if !modifiers.is_empty() || calls::has_grouping_sets(exprs) {
        return Err(refuse(RefusalId::FanOutGroupingSets, &[]));
    }
    if exprs.len() != draft.clauses.group_by.len() {
        return Err(refuse(RefusalId::SyntaxNotUnderstood, &["GROUP BY"]));
    }
    let mut keys = Vec::new();
    for (at, written) in exprs.iter().enumerate() {
        let (expr, text) = match key_output(draft, written)? {
            Some(output) => match draft.outputs.get(output) {
                Some(OutputOf::Entry { expr, .. }) => (*expr, draft.output_text(output)?),
                Some(OutputOf::Column(_) | OutputOf::Opaque) | None => return Err(refuse(RefusalId::FanOutStar, &[])),
            },
            None => {
                draft.copyable(written)?;
                let span = draft.clauses.group_by.get(at).copied().ok_or_else(bug)?;
                (written, draft.text_of(span, written)?)
            }
        };
        let what = format!("GROUP BY entry {}", at.saturating_add(1));
        let typed = type_of(draft.resolved, draft.scope(), expr);
        let typed = typed.ok_or_else(|| refuse(RefusalId::FanOutGroupType, &[&what]))?;
        if calls::has_subquery(expr) {
            return Err(refuse(RefusalId::FanOutGroupType, &[&what]));
        }
        let column = column_in(draft.resolved, draft.scope(), expr);
        keys.push(GroupKey {
            expr,
            text,
            typed,
            column,
        });
    }
    Ok(keys)
}

/// GROUP BY entries that name an output.
pub(super) fn named_keys(draft: &Draft<'_, '_>) -> Result<Vec<usize>, Box<Refusal>> {
    let GroupByExpr::Expressions(exprs, _) = &draft.select.group_by else {
        return Err(refuse(RefusalId::FanOutGroupingSets, &[]));
    };
    let mut named = Vec::new();
    for (at, written) in exprs.iter().enumerate() {
        if key_output(draft, written)?.is_some() {
            named.push(at);
        }
    }
    Ok(named)
}

/// The output that a GROUP BY entry means, if it isn't an expression over inputs.
fn key_output(draft: &Draft<'_, '_>, written: &Expr) -> Result<Option<usize>, Box<Refusal>> {
    if let Some(ordinal) = plain_integer(written) {
        let output = usize::try_from(ordinal).ok().and_then(|ordinal| ordinal.checked_sub(1));
        let output = output.filter(|output| *output < draft.outputs.len());
        return output
            .map(Some)
            .ok_or_else(|| refuse(RefusalId::FanOutOrderConstant, &[]));
    }
    let Expr::Identifier(name) = unnested(written) else {
        return Ok(None);
    };
    match draft.resolved.lookup(draft.scope(), &[&name.value]) {
        Lookup::Column(_) => return Ok(None),
        // an input column wins over an alias, and what this one is isn't known
        Lookup::Opaque | Lookup::System | Lookup::Ambiguous => {
            return Err(refuse(RefusalId::FanOutGroupType, &[&name.value]));
        }
        Lookup::Unknown => {}
    }
    let aliased = |output: &OutputOf<'_>| match output {
        OutputOf::Entry { at, .. } => matches!(
            draft.select.projection.get(*at),
            Some(crate::sql::ast::SelectItem::ExprWithAlias { alias, .. }) if alias.value == name.value
        ),
        OutputOf::Column(_) | OutputOf::Opaque => false,
    };
    let mut named = draft
        .outputs
        .iter()
        .enumerate()
        .filter(|(_, output)| aliased(output))
        .map(|(at, _)| at);
    match (named.next(), named.next()) {
        (Some(one), None) => Ok(Some(one)),
        (None, _) => Err(refuse(RefusalId::FanOutGroupType, &[&name.value])),
        (Some(_), Some(_)) => Err(refuse(RefusalId::FanOutAmbiguous, &[&name.value])),
    }
}

impl<'d, 'r, 'a> Grouped<'d, 'r, 'a> {
    pub(super) fn new(draft: &'d mut Draft<'r, 'a>, group: &'d Group) -> Grouped<'d, 'r, 'a> {
        Grouped {
            draft,
            group,
            folds: Vec::new(),
        }
    }

    /// What the proxy computes of the target list.
    fn outputs(&mut self) -> Result<Vec<(usize, Output)>, Box<Refusal>> {
        let mut computed = Vec::new();
        for at in 0..self.draft.outputs.len() {
            let Some(OutputOf::Entry { expr, .. }) = self.draft.outputs.get(at).copied() else {
                continue;
            };
            if !calls::has_aggregate(self.draft.resolved, expr) {
                // a function of the group's keys; with subqueries too much would hang on one shard's rows
                if calls::has_subquery(expr) {
                    return Err(refuse(RefusalId::FanOutSubquery, &[]));
                }
                // a set would make several rows of one group
                if calls::has_set(self.draft.resolved, expr) {
                    return Err(refuse(RefusalId::FanOutSetReturning, &[]));
                }
                continue;
            }
            computed.push((at, self.output(expr)?));
        }
        Ok(computed)
    }

    fn output(&mut self, expr: &'a Expr) -> Result<Output, Box<Refusal>> {
        let scalar = self.scalar(expr, Place::Target)?;
        if let Scalar::Fold(fold) = scalar
            && self
                .folds
                .get(fold)
                .is_some_and(|f| matches!(f.combine, Combine::Least(_) | Combine::Greatest(_)))
        {
            return Ok(Output::Winner { fold });
        }
        Ok(Output::Computed(scalar))
    }

    /// HAVING, unless it holds no aggregate and stays in the shards' text.
    fn having(&mut self) -> Result<Option<super::spec::Predicate>, Box<Refusal>> {
        match &self.draft.select.having {
            Some(having) if calls::has_aggregate(self.draft.resolved, having) => {
                having::predicate(self, having).map(Some)
            }
            Some(having) if calls::has_subquery(having) => Err(refuse(RefusalId::FanOutSubquery, &[])),
            Some(_) | None => Ok(None),
        }
    }

    /// A value over the folded group: an aggregate, or `coalesce` of one and constants.
    pub(super) fn scalar(&mut self, expr: &'a Expr, place: Place) -> Result<Scalar, Box<Refusal>> {
        let Expr::Function(function) = unnested(expr) else {
            return Err(self.beyond(expr, place));
        };
        let call = self.call(function)?;
        if calls::is_aggregate(call) {
            let name = call.name.clone();
            return self.aggregate(&name, expr, function);
        }
        if call.name != "coalesce" || function.over.is_some() || function.filter.is_some() {
            return Err(self.beyond(expr, place));
        }
        let FunctionArguments::List(list) = &function.args else {
            return Err(self.beyond(expr, place));
        };
        let mut parts = Vec::new();
        for argument in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(part)) = argument else {
                return Err(self.beyond(expr, place));
            };
            match literal(part) {
                Some(constant) => parts.push(self.constant(ConstantSource::Fixed(constant))),
                None => parts.push(self.scalar(part, place)?),
            }
        }
        let smallest = parts.iter().any(|part| match part {
            Scalar::Fold(fold) => self
                .folds
                .get(*fold)
                .is_some_and(|f| !matches!(f.combine, Combine::Sum)),
            Scalar::Average { .. } | Scalar::Constant(_) | Scalar::Coalesce(_) => false,
        });
        match smallest {
            // a winner's bytes aren't ours to encode
            true => Err(self.beyond(expr, place)),
            false => Ok(Scalar::Coalesce(parts)),
        }
    }

    pub(super) fn constant(&mut self, source: ConstantSource) -> Scalar {
        self.draft.constants.push(source);
        Scalar::Constant(self.draft.constants.len().saturating_sub(1))
    }

    fn beyond(&self, expr: &Expr, place: Place) -> Box<Refusal> {
        match place {
            Place::Target | Place::Order => refuse(RefusalId::FanOutAggregateExpression, &[]),
            Place::Having => refuse(RefusalId::FanOutHaving, &[kind_of(expr)]),
        }
    }

    fn call(&self, function: &Function) -> Result<&FunctionUse<'a>, Box<Refusal>> {
        let mut calls = self.draft.resolved.uses.functions.iter();
        let found = calls.find(|call| call.call.is_some_and(|written| std::ptr::eq(written, function)));
        found.ok_or_else(bug)
    }

    /// A call as folds of its partial values, if it is an aggregate.
    pub(super) fn aggregate_of(
        &mut self,
        expr: &'a Expr,
        function: &'a Function,
    ) -> Result<Option<Scalar>, Box<Refusal>> {
        let call = self.call(function)?;
        if !calls::is_aggregate(call) {
            return Ok(None);
        }
        let name = call.name.clone();
        self.aggregate(&name, expr, function).map(Some)
    }

    /// One aggregate, as folds of its partial values.
    fn aggregate(&mut self, name: &str, expr: &'a Expr, function: &'a Function) -> Result<Scalar, Box<Refusal>> {
        let bare = name.strip_prefix("pg_catalog.").unwrap_or(name);
        let refused = || refuse(RefusalId::FanOutAggregate, &[bare]);
        let FunctionArguments::List(list) = &function.args else {
            return Err(refused());
        };
        if !list.clauses.is_empty() || !function.within_group.is_empty() {
            return Err(refuse(RefusalId::FanOutAggregateArguments, &[bare]));
        }
        if function.filter.as_deref().is_some_and(calls::has_subquery) || arguments(list).any(calls::has_subquery) {
            return Err(refuse(RefusalId::FanOutSubquery, &[]));
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        let argument = calls::single_argument(function);
        if distinct
            && !matches!(
                bare,
                "min" | "max" | "bool_and" | "bool_or" | "every" | "bit_and" | "bit_or"
            )
        {
            // the key's values on one shard are on no other
            let column = argument.and_then(|expr| column_in(self.draft.resolved, self.draft.scope(), expr));
            let is_key = column.is_some_and(|column| self.group.keys.contains(&column));
            if bare != "count" || !is_key {
                return Err(refuse(RefusalId::FanOutAggregateDistinct, &[bare]));
            }
        }
        let typed = argument.and_then(|expr| type_of(self.draft.resolved, self.draft.scope(), expr));
        let float = typed.is_some_and(|t| matches!(t.type_oid, Oid::FLOAT4 | Oid::FLOAT8));
        let text = self.text(expr)?;
        let combine = match bare {
            "count" => Combine::Sum,
            "sum" | "avg" if float => return Err(refuse(RefusalId::FanOutFloat, &[bare])),
            "sum" => Combine::Sum,
            "min" => Combine::Least(self.draft.client_order(typed, &format!("the argument of {bare}"))?),
            "max" => Combine::Greatest(self.draft.client_order(typed, &format!("the argument of {bare}"))?),
            "bool_and" | "every" => Combine::And,
            "bool_or" => Combine::Or,
            "bit_and" => Combine::BitAnd,
            "bit_or" => Combine::BitOr,
            "avg" => {
                let (sum, count) = (renamed(function, &text, "sum")?, renamed(function, &text, "count")?);
                let sum = self.fold(sum, Combine::Sum);
                let count = self.fold(count, Combine::Sum);
                return Ok(Scalar::Average { sum, count });
            }
            _ => return Err(refused()),
        };
        Ok(Scalar::Fold(self.fold(text, combine)))
    }

    /// The text of an aggregate call: cut from where it stands by its tokens.
    fn text(&self, expr: &'a Expr) -> Result<String, Box<Refusal>> {
        self.draft.copyable(expr)?;
        let Expr::Function(function) = unnested(expr) else {
            return Err(bug());
        };
        let span = call_span(self.draft, function).ok_or_else(bug)?;
        clauses::text_of(self.draft.resolved.input, span, unnested(expr))
            .ok_or_else(|| refuse(RefusalId::SyntaxNotUnderstood, &["an aggregate call"]))
    }

    pub(super) fn fold(&mut self, text: String, combine: Combine) -> usize {
        let hidden = self.draft.hide(text);
        let fold = Fold { hidden, combine };
        if let Some(known) = self.folds.iter().position(|known| *known == fold) {
            return known;
        }
        self.folds.push(fold);
        self.folds.len().saturating_sub(1)
    }

    /// The keys in merging order, the shards' ORDER BY, and the order of finished groups where that differs.
    #[expect(clippy::type_complexity, reason = "three lists that are made together and used once")]
    pub(super) fn order(
        &mut self,
        keys: &[GroupKey<'a>],
        sorts: &[Sort<'a>],
    ) -> Result<(Vec<Key>, Vec<String>, Vec<GroupOrder>), Box<Refusal>> {
        // where the client sorts by keys alone, groups are merged in that order and stream
        let sorted_keys: Option<Vec<usize>> = sorts.iter().map(|sort| self.key_of(keys, sort)).collect();
        let streams = sorted_keys.filter(|_| !keys.is_empty());
        let mut order: Vec<(usize, Direction, Nulls)> = Vec::new();
        let mut groups = Vec::new();
        match &streams {
            Some(sorted) => {
                for (key, sort) in sorted.iter().zip(sorts) {
                    let typed = keys.get(*key).map(|key| key.typed);
                    self.draft.client_order(typed, "ORDER BY")?;
                    if !order.iter().any(|(known, ..)| known == key) {
                        order.push((*key, sort.direction, sort.nulls));
                    }
                }
            }
            None => {
                for sort in sorts {
                    let by = self.sorted_scalar(keys, sort)?;
                    groups.push(GroupOrder {
                        by,
                        direction: sort.direction,
                        nulls: sort.nulls,
                    });
                }
            }
        }
        // one row needs no order
        if keys.is_empty() {
            groups.clear();
        }
        for key in 0..keys.len() {
            if !order.iter().any(|(known, ..)| *known == key) {
                order.push((key, Direction::Ascending, Nulls::Last));
            }
        }
        let (mut spec_keys, mut pushed) = (Vec::new(), Vec::new());
        for (index, direction, nulls) in order {
            let Some(key) = keys.get(index) else { return Err(bug()) };
            let what = format!("GROUP BY entry {}", index.saturating_add(1));
            let equality = self.draft.equality(key.text.clone(), key.typed);
            let (text, typed, comparator) = equality.ok_or_else(|| refuse(RefusalId::FanOutGroupType, &[&what]))?;
            self.draft.check_encoding(comparator)?;
            pushed.push(order_by_text(&text, typed, direction, nulls));
            let hidden = self.draft.hide(text);
            spec_keys.push(Key {
                hidden,
                order: KeyOrder::Known(comparator),
                direction,
                nulls,
            });
        }
        Ok((spec_keys, pushed, groups))
    }

    /// The key that an ORDER BY entry is.
    fn key_of(&self, keys: &[GroupKey<'a>], sort: &Sort<'a>) -> Option<usize> {
        let expr = match sort.by {
            SortedBy::Output(output) => match self.draft.outputs.get(output)? {
                OutputOf::Entry { expr, .. } => *expr,
                OutputOf::Column(column) => return keys.iter().position(|key| key.column == Some(*column)),
                OutputOf::Opaque => return None,
            },
            SortedBy::Expr(expr, _) => expr,
        };
        keys.iter().position(|key| self.draft.same(key.expr, expr))
    }

    /// What an ORDER BY entry sorts finished groups by.
    fn sorted_scalar(&mut self, keys: &[GroupKey<'a>], sort: &Sort<'a>) -> Result<Scalar, Box<Refusal>> {
        if let Some(key) = self.key_of(keys, sort).and_then(|key| keys.get(key)) {
            let order = self.draft.client_order(Some(key.typed), "ORDER BY")?;
            return Ok(Scalar::Fold(self.fold(key.text.clone(), Combine::First(order))));
        }
        let expr = match sort.by {
            SortedBy::Output(output) => match self.draft.outputs.get(output) {
                Some(OutputOf::Entry { expr, .. }) => *expr,
                Some(OutputOf::Column(_) | OutputOf::Opaque) | None => return Err(refuse(RefusalId::FanOutStar, &[])),
            },
            SortedBy::Expr(expr, _) => expr,
        };
        if calls::has_aggregate(self.draft.resolved, expr) {
            return self.scalar(expr, Place::Order);
        }
        // an expression over keys
        if calls::has_subquery(expr) {
            return Err(refuse(RefusalId::FanOutSubquery, &[]));
        }
        self.draft.copyable(expr)?;
        let text = match sort.by {
            SortedBy::Output(output) => self.draft.output_text(output)?,
            SortedBy::Expr(expr, at) => {
                let span = self.draft.clauses.order_keys.get(at).copied().ok_or_else(bug)?;
                self.draft.text_of(span, expr)?
            }
        };
        let order = self
            .draft
            .client_order(type_of(self.draft.resolved, self.draft.scope(), expr), "ORDER BY")?;
        Ok(Scalar::Fold(self.fold(text, Combine::First(order))))
    }
}

/// Where an expression over aggregates stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Target,
    Having,
    Order,
}

/// Does the block's GROUP BY, DISTINCT and window list leave each shard's part of the answer whole?
pub(super) fn is_local(spreads: &Spreads<'_, '_>, draft: &Draft<'_, '_>, group: &Group) -> bool {
    let (id, select) = (draft.id, draft.select);
    let grouped = !calls::aggregates(draft.resolved, id, select) || spreads.groups_by_key(id, select, group);
    grouped && spreads.windows_by_key(id, select, group) && spreads.distinct_by_key(id, select, group)
}

/// A number literal with its sign, or NULL.
pub(super) fn literal(expr: &Expr) -> Option<Constant> {
    match unnested(expr) {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => Numeric::parse_text(digits.as_bytes()).ok().map(Constant::Number),
            Value::Null => Some(Constant::Null),
            _ => None,
        },
        Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => match &**expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => Numeric::parse_text(format!("-{digits}").as_bytes())
                    .ok()
                    .map(Constant::Number),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

fn arguments(list: &crate::sql::ast::FunctionArgumentList) -> impl Iterator<Item = &Expr> {
    list.args.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

/// A word for people.
fn kind_of(expr: &Expr) -> &'static str {
    match unnested(expr) {
        Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => "an operator over aggregates",
        Expr::Cast { .. } => "a cast of an aggregate",
        Expr::Function(_) => "a function of aggregates",
        Expr::Subquery(_) | Expr::Exists { .. } => "a subquery",
        Expr::Value(_) => "a constant that is no number",
        _ => "an expression over aggregates",
    }
}

/// Span of a call: from its name to the parenthesis that ends its arguments, or FILTER's.
pub(super) fn call_span(draft: &Draft<'_, '_>, function: &Function) -> Option<Span> {
    let input = draft.resolved.input;
    let name = name_span(function)?;
    let start = input.tokens.iter().position(|token| token.span.start == name.0.start)?;
    let mut at = input
        .tokens
        .iter()
        .position(|token| token.span.start == name.1.start)?
        .checked_add(1)?;
    let group_end = |at: usize| {
        let mut depth = 0usize;
        for (index, token) in input.tokens.iter().enumerate().skip(at) {
            match token.kind {
                crate::sql::TokenKind::Punctuation(b'(' | b'[') => depth = depth.checked_add(1)?,
                crate::sql::TokenKind::Punctuation(b')' | b']') => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(index);
                    }
                }
                _ if depth == 0 => return None,
                _ => {}
            }
        }
        None
    };
    at = group_end(at)?;
    if function.filter.is_some() {
        at = group_end(at.checked_add(2)?)?;
    }
    Some(Span::new(
        input.tokens.get(start)?.span.start,
        input.tokens.get(at)?.span.end,
    ))
}

/// Spans of the first and the last part of a call's name.
fn name_span(function: &Function) -> Option<(Span, Span)> {
    let span = |part: &crate::sql::ast::ObjectNamePart| match part {
        crate::sql::ast::ObjectNamePart::Identifier(ident) => crate::sql::byte_span(ident.span),
        crate::sql::ast::ObjectNamePart::Function(_) => None,
    };
    Some((span(function.name.0.first()?)?, span(function.name.0.last()?)?))
}

/// The text of a call with another function's name.
fn renamed(function: &Function, text: &str, name: &str) -> Result<String, Box<Refusal>> {
    let (first, last) = name_span(function).ok_or_else(bug)?;
    let length = last.end.checked_sub(first.start).ok_or_else(bug)?;
    let rest = text.get(length..).ok_or_else(bug)?;
    Ok(format!("pg_catalog.{name}{rest}"))
}
