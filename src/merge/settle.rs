//! The plan meets what the shards say about their answers: all must agree, and types that the planner left open settle.
//!
//! Why here and not in the planner: the type of an expression is the server's to say. A plan may leave the order of a
//! key open (`KeyOrder::ByType`); a type that has a collation, or whose order isn't known, is refused before any row.

use std::sync::Arc;

use bytes::BytesMut;

use crate::plan::{Combine, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method, Output, Scalar};
use crate::value::{Comparator, Format, Oid, TextOrder};
use crate::wire::{Field, RowDescription, put_row_description};

use super::MergeError;
use super::fold::{FoldKind, SettledFold};
use super::order::SettledKey;
use super::predicate::check_predicate;
use super::scalar::{ValueKind, kind_of};

/// Type of one column of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    /// `atttypid`
    pub type_oid: Oid,
    /// `atttypmod`, -1 for none
    pub typmod: i32,
}

/// A merge that fits the shards' answers.
#[derive(Clone, Debug)]
pub struct Settled {
    pub(super) spec: Arc<MergeSpec>,
    pub(super) keys: Vec<SettledKey>,
    pub(super) folds: Vec<SettledFold>,
    /// types of the visible columns
    pub(super) visible: Vec<ColumnType>,
}

impl Settled {
    /// Types of the columns that the client gets.
    pub fn visible(&self) -> &[ColumnType] {
        &self.visible
    }

    /// Appends the client's RowDescription: the visible columns of `answer`, in the client's formats.
    pub fn put_description(&self, answer: &RowDescription<'_>, client_formats: &[Format], out: &mut BytesMut) {
        let fields = answer
            .fields()
            .take(self.visible.len())
            .enumerate()
            .map(|(column, field)| Field {
                format: match client_format(client_formats, column) {
                    Format::Text => crate::wire::Format::Text,
                    Format::Binary => crate::wire::Format::Binary,
                },
                ..field
            });
        put_row_description(out, fields);
    }
}

/// Checks that every shard's answer has the columns of the plan, with the same types and typmods, and settles what the
/// plan left to them.
pub fn settle(spec: &Arc<MergeSpec>, answers: &[RowDescription<'_>]) -> Result<Settled, MergeError> {
    let formats: Vec<crate::wire::Format> = match answers.first() {
        Some(first) => first.fields().map(|field| field.format).collect(),
        None => Vec::new(),
    };
    let types = |answer: &RowDescription<'_>| {
        let column = |field: Field<'_>| ColumnType {
            type_oid: field.type_oid,
            typmod: field.type_modifier,
        };
        answer.fields().map(column).collect::<Vec<_>>()
    };
    let answers: Vec<Vec<ColumnType>> = answers.iter().map(types).collect();
    let form = &spec.form;
    let Some((first, others)) = answers.split_first() else {
        return Err(MergeError::Bug("a merge of no answers"));
    };
    let count = form.visible.saturating_add(form.hidden);
    if first.len() != count {
        return Err(MergeError::Disagreement {
            source_index: 0,
            column: count.min(first.len()).saturating_add(1),
        });
    }
    for (index, other) in others.iter().enumerate() {
        let differ = |(column, (a, b)): (usize, (&ColumnType, &ColumnType))| {
            let known = form.enums.contains(&column) || form.user_types.contains(&column);
            let by_name = known && is_user_type(a.type_oid) && is_user_type(b.type_oid);
            a.typmod != b.typmod || (a.type_oid != b.type_oid && !by_name)
        };
        let differs = first.iter().zip(other).enumerate().position(differ);
        let differs = differs.or((first.len() != other.len()).then_some(first.len().min(other.len())));
        if let Some(column) = differs {
            let source_index = index.saturating_add(1);
            return Err(MergeError::Disagreement {
                source_index,
                column: column.saturating_add(1),
            });
        }
        let holds_oids = |column: &&usize| {
            let differ = first.get(**column).map(|a| a.type_oid) != other.get(**column).map(|b| b.type_oid);
            differ && formats.get(**column).copied() != Some(crate::wire::Format::Text)
        };
        if let Some(column) = form.user_types.iter().find(holds_oids) {
            return Err(MergeError::BinaryUserType {
                column: column.saturating_add(1),
            });
        }
    }
    settle_types(spec, first)
}

pub(super) fn settle_types(spec: &Arc<MergeSpec>, types: &[ColumnType]) -> Result<Settled, MergeError> {
    let form = &spec.form;
    let (visible, hidden) = types
        .split_at_checked(form.visible)
        .ok_or(MergeError::Bug("too few columns"))?;
    let (keys, folds) = match &form.method {
        Method::Concatenate => (Vec::new(), Vec::new()),
        Method::Ordered { keys, .. } => (settle_keys(form, keys, hidden)?, Vec::new()),
        Method::Grouped(grouping) => {
            let folds = grouping
                .folds
                .iter()
                .map(|fold| settle_fold(form, fold, hidden))
                .collect::<Result<Vec<_>, _>>()?;
            check_grouping(grouping, &folds, visible)?;
            (settle_keys(form, &grouping.keys, hidden)?, folds)
        }
    };
    Ok(Settled {
        spec: Arc::clone(spec),
        keys,
        folds,
        visible: visible.to_vec(),
    })
}

/// Below 16384 OIDs are Postgres's own (`FirstNormalObjectId`).
fn is_user_type(type_oid: Oid) -> bool {
    type_oid.0 >= 16384
}

/// Formats for the shards' Bind: the client's for what it gets, binary for what is hidden.
pub fn shard_formats(spec: &MergeSpec, client: &[Format]) -> Vec<Format> {
    let form = &spec.form;
    if form.hidden == 0 {
        return client.to_vec();
    }
    let visible = (0..form.visible).map(|column| client_format(client, column));
    visible
        .chain(std::iter::repeat_n(Format::Binary, form.hidden))
        .collect()
}

/// The format of one column by the rule of Bind: none means text, one means that one for all.
pub(super) fn client_format(client: &[Format], column: usize) -> Format {
    match client {
        [] => Format::Text,
        [one] => *one,
        each => each.get(column).copied().unwrap_or(Format::Text),
    }
}

fn settle_keys(form: &MergeForm, keys: &[Key], hidden: &[ColumnType]) -> Result<Vec<SettledKey>, MergeError> {
    let settle = |key: &Key| {
        Ok(SettledKey {
            column: form.visible.saturating_add(key.hidden),
            comparator: settle_order(&key.order, hidden_type(hidden, key.hidden)?)?,
            direction: key.direction,
            nulls: key.nulls,
        })
    };
    keys.iter().map(settle).collect()
}

fn settle_fold(form: &MergeForm, fold: &Fold, hidden: &[ColumnType]) -> Result<SettledFold, MergeError> {
    let type_oid = hidden_type(hidden, fold.hidden)?;
    let integer = matches!(type_oid, Oid::INT2 | Oid::INT4 | Oid::INT8);
    let refused = MergeError::NoFold { type_oid };
    let kind = match &fold.combine {
        Combine::First(order) => FoldKind::First(settle_order(order, type_oid)?),
        Combine::Least(order) => FoldKind::Least(settle_order(order, type_oid)?),
        Combine::Greatest(order) => FoldKind::Greatest(settle_order(order, type_oid)?),
        Combine::Sum if type_oid == Oid::INT8 => FoldKind::SumInteger,
        Combine::Sum if type_oid == Oid::NUMERIC => FoldKind::SumNumeric,
        Combine::And if type_oid == Oid::BOOL => FoldKind::And,
        Combine::Or if type_oid == Oid::BOOL => FoldKind::Or,
        Combine::BitAnd if integer => FoldKind::BitAnd,
        Combine::BitOr if integer => FoldKind::BitOr,
        Combine::Sum | Combine::And | Combine::Or | Combine::BitAnd | Combine::BitOr => return Err(refused),
    };
    Ok(SettledFold {
        column: form.visible.saturating_add(fold.hidden),
        type_oid,
        kind,
    })
}

/// Computed columns are encoded by us: only as types that are known here, of the value's kind, and without a typmod,
/// whose rounding is the server's. Comparisons in HAVING must be of one kind.
fn check_grouping(grouping: &Grouping, folds: &[SettledFold], visible: &[ColumnType]) -> Result<(), MergeError> {
    for (column, output) in &grouping.outputs {
        let column = visible
            .get(*column)
            .ok_or(MergeError::Bug("an output past the last column"))?;
        let Output::Computed(scalar) = output else {
            continue;
        };
        let wanted = match column.type_oid {
            Oid::INT2 | Oid::INT4 | Oid::INT8 | Oid::NUMERIC => ValueKind::Number,
            Oid::BOOL => ValueKind::Boolean,
            other => return Err(MergeError::NoFold { type_oid: other }),
        };
        let average = matches!(scalar, Scalar::Average { .. }) && column.type_oid != Oid::NUMERIC;
        if column.typmod != -1 || average || !kind_of(scalar, folds)?.fits(wanted) {
            return Err(MergeError::NoFold {
                type_oid: column.type_oid,
            });
        }
    }
    for GroupOrder { by, .. } in &grouping.order {
        kind_of(by, folds)?;
    }
    grouping
        .having
        .as_ref()
        .map_or(Ok(()), |having| check_predicate(having, folds))
}

/// What the planner knows must be what the shards have; what it left open must not be text of any kind, whose collation
/// and encoding nobody checked.
fn settle_order(order: &KeyOrder, type_oid: Oid) -> Result<Comparator, MergeError> {
    let unknown = MergeError::NoOrder { type_oid };
    match order {
        KeyOrder::Known(comparator) => match Comparator::for_type(type_oid, TextOrder::Bytes) {
            Some(found) if found == *comparator => Ok(found),
            Some(_) | None => Err(unknown),
        },
        KeyOrder::ByType if matches!(type_oid, Oid::NAME | Oid::CHAR) => Err(unknown),
        KeyOrder::ByType => Comparator::for_type(type_oid, TextOrder::Unknown).ok_or(unknown),
    }
}

fn hidden_type(hidden: &[ColumnType], index: usize) -> Result<Oid, MergeError> {
    hidden
        .get(index)
        .map(|column| column.type_oid)
        .ok_or(MergeError::Bug("a hidden column that does not exist"))
}
