//! The merge against plain twins: a sort of the union, a fold of the union, whatever the split over sources.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;

use super::super::settle::{ColumnType, settle_types};
use super::{Merger, Next};
use crate::merge::MergeError;
use crate::plan::{
    Combine, Comparison, Constant, Direction, Fold, GroupOrder, Grouping, Key, KeyOrder, MergeForm, MergeSpec, Method,
    Nulls, Output, Predicate, Repeats, Scalar,
};
use crate::value::{Comparator, Numeric, Oid};

type Row = Vec<Option<Vec<u8>>>;

fn body(row: &Row) -> Vec<u8> {
    let mut body = u16::try_from(row.len()).unwrap().to_be_bytes().to_vec();
    for value in row {
        match value {
            None => body.extend((-1i32).to_be_bytes()),
            Some(value) => {
                body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend(value);
            }
        }
    }
    body
}

fn int4(value: i32) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

fn int8(value: i64) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

fn text(value: impl ToString) -> Option<Vec<u8>> {
    Some(value.to_string().into_bytes())
}

fn types(oids: &[Oid]) -> Vec<ColumnType> {
    oids.iter()
        .map(|oid| ColumnType {
            type_oid: *oid,
            typmod: -1,
        })
        .collect()
}

fn spec(visible: usize, hidden: usize, method: Method) -> MergeSpec {
    MergeSpec::new(Arc::new(MergeForm {
        visible,
        hidden,
        enums: Vec::new(),
        user_types: Vec::new(),
        method,
    }))
}

fn merger(spec: MergeSpec, oids: &[Oid], sources: usize) -> Merger {
    Merger::new(settle_types(&Arc::new(spec), &types(oids)).unwrap(), sources, &[])
}

/// Feeds rows as they are asked for; gives the messages without their headers.
fn run(mut merger: Merger, sources: &[Vec<Row>]) -> Result<Vec<Vec<u8>>, MergeError> {
    let mut fed = vec![0; sources.len()];
    let mut out = BytesMut::new();
    let mut rows = Vec::new();
    loop {
        out.clear();
        match merger.next(&mut out)? {
            Next::Row => rows.push(out[5..].to_vec()),
            Next::Done => break,
            Next::Wait(source) | Next::Relay(source) => match sources[source].get(fed[source]) {
                Some(row) => {
                    fed[source] += 1;
                    merger.row(source, &body(row))?;
                }
                None => merger.end(source)?,
            },
        }
    }
    assert_eq!(merger.rows(), u64::try_from(rows.len()).unwrap());
    Ok(rows)
}

fn key(hidden: usize, direction: Direction, nulls: Nulls) -> Key {
    Key {
        hidden,
        order: KeyOrder::Known(Comparator::Int4),
        direction,
        nulls,
    }
}

/// A row of (number or NULL, payload): the payload is visible, the number hidden.
fn ordered_row((number, payload): &(Option<i32>, u8)) -> Row {
    vec![text(payload), number.and_then(int4)]
}

fn directions() -> impl Strategy<Value = (Direction, Nulls)> {
    (
        prop_oneof![Just(Direction::Ascending), Just(Direction::Descending)],
        prop_oneof![Just(Nulls::First), Just(Nulls::Last)],
    )
}

/// The plain twin of a key: NULLs where they go, then the number.
fn rank(number: Option<i32>, direction: Direction, nulls: Nulls) -> (i8, i64) {
    match (number, direction, nulls) {
        (None, _, Nulls::First) => (-1, 0),
        (None, _, Nulls::Last) => (1, 0),
        (Some(number), Direction::Ascending, _) => (0, i64::from(number)),
        (Some(number), Direction::Descending, _) => (0, -i64::from(number)),
    }
}

proptest! {
    /// Any split of rows over sources merges to the sorted union, ties in order of sources, OFFSET and LIMIT cut once.
    #[test]
    fn a_merge_is_the_sort_of_the_union(
        mut sources in prop::collection::vec(prop::collection::vec((prop::option::of(-3i32..4), any::<u8>()), 0..12), 1..6),
        (direction, nulls) in directions(),
        offset in 0u64..8,
        limit in prop::option::of(0u64..20),
    ) {
        for source in &mut sources {
            source.sort_by_key(|(number, _)| rank(*number, direction, nulls));
        }
        let mut union: Vec<_> = sources.concat();
        union.sort_by_key(|(number, _)| rank(*number, direction, nulls));
        let limit_or_all = usize::try_from(limit.unwrap_or(u64::MAX)).unwrap();
        let cut = union.iter().skip(usize::try_from(offset).unwrap()).take(limit_or_all);
        let wanted: Vec<Vec<u8>> = cut.map(|(_, payload)| body(&vec![text(payload)])).collect();
        let keys = vec![key(0, direction, nulls)];
        let mut spec = spec(1, 1, Method::Ordered { keys, repeats: Repeats::Keep });
        spec.offset = offset;
        spec.limit = limit;
        let rows: Vec<Vec<Row>> = sources.iter().map(|source| source.iter().map(ordered_row).collect()).collect();
        let merger = merger(spec, &[Oid::TEXT, Oid::INT4], rows.len());
        prop_assert_eq!(run(merger, &rows).unwrap(), wanted);
    }

    /// Repeats dropped: each key once.
    #[test]
    fn repeats_are_dropped(
        mut sources in prop::collection::vec(prop::collection::vec(prop::option::of(-3i32..4), 0..8), 1..6),
    ) {
        let rank = |number: &Option<i32>| rank(*number, Direction::Ascending, Nulls::Last);
        sources.iter_mut().for_each(|source| source.sort_by_key(rank));
        let mut union = sources.concat();
        union.sort_by_key(rank);
        union.dedup();
        let show = |number: Option<i32>| body(&vec![number.and_then(text)]);
        let wanted: Vec<Vec<u8>> = union.into_iter().map(show).collect();
        let keys = vec![key(0, Direction::Ascending, Nulls::Last)];
        let spec = spec(1, 1, Method::Ordered { keys, repeats: Repeats::Drop });
        let row = |number: &Option<i32>| vec![number.and_then(text), number.and_then(int4)];
        let rows: Vec<Vec<Row>> = sources.iter().map(|source| source.iter().map(row).collect()).collect();
        prop_assert_eq!(run(merger(spec, &[Oid::INT4, Oid::INT4], rows.len()), &rows).unwrap(), wanted);
    }

    /// Folding each source first and the partial values then is folding the union.
    #[test]
    fn a_fold_is_the_fold_of_the_union(
        sources in prop::collection::vec(prop::collection::vec((0i32..4, prop::option::of(-50i64..50)), 0..15), 1..5),
        least in 0i64..6,
    ) {
        let fold = |rows: &[(i32, Option<i64>)]| {
            let mut groups: BTreeMap<i32, (i64, Option<i64>, Option<i64>)> = BTreeMap::new();
            for (group, value) in rows {
                let (count, sum, max) = groups.entry(*group).or_default();
                *count += 1;
                if let Some(value) = value {
                    *sum = Some(sum.unwrap_or(0) + value);
                    *max = Some(max.map_or(*value, |max| max.max(*value)));
                }
            }
            groups
        };
        let row = |(group, (count, sum, max)): (i32, (i64, Option<i64>, Option<i64>))| -> Row {
            vec![
                text(group), text(count), sum.and_then(text), max.and_then(text),
                int4(group), int8(count), sum.and_then(int8), max.and_then(int8),
            ]
        };
        let wanted = fold(&sources.concat()).into_iter().filter(|(_, (count, ..))| *count > least);
        let wanted: Vec<Vec<u8>> = wanted.map(|group| body(&row(group)[..4].to_vec())).collect();
        let grouping = Grouping {
            keys: vec![key(0, Direction::Ascending, Nulls::Last)],
            folds: vec![
                Fold { hidden: 1, combine: Combine::Sum },
                Fold { hidden: 2, combine: Combine::Sum },
                Fold { hidden: 3, combine: Combine::Greatest(KeyOrder::ByType) },
            ],
            outputs: vec![
                (1, Output::Computed(Scalar::Fold(0))),
                (2, Output::Computed(Scalar::Fold(1))),
                (3, Output::Winner { fold: 2 }),
            ],
            having: Some(Predicate::Compare {
                left: Scalar::Fold(0),
                operator: Comparison::Greater,
                right: Scalar::Constant(0),
            }),
            order: Vec::new(),
        };
        let mut spec = spec(4, 4, Method::Grouped(grouping));
        spec.constants = vec![Constant::Number(Numeric::from(least))];
        let oids = [Oid::INT4, Oid::INT8, Oid::INT8, Oid::INT8, Oid::INT4, Oid::INT8, Oid::INT8, Oid::INT8];
        let rows: Vec<Vec<Row>> = sources.iter().map(|source| fold(source).into_iter().map(row).collect()).collect();
        prop_assert_eq!(run(merger(spec, &oids, rows.len()), &rows).unwrap(), wanted);
    }

    /// Rows cut anywhere are an error, never a panic.
    #[test]
    fn a_mangled_row_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let keys = vec![key(0, Direction::Ascending, Nulls::Last)];
        let spec = spec(1, 1, Method::Ordered { keys, repeats: Repeats::Keep });
        let mut merger = merger(spec, &[Oid::TEXT, Oid::INT4], 1);
        if merger.row(0, &bytes).is_ok() {
            merger.end(0).unwrap();
            let mut out = BytesMut::new();
            prop_assert!(matches!(merger.next(&mut out), Ok(Next::Row) | Err(MergeError::Value(_))));
        }
    }
}

fn sums(order: Vec<GroupOrder>) -> Grouping {
    Grouping {
        keys: vec![key(0, Direction::Ascending, Nulls::Last)],
        folds: vec![Fold {
            hidden: 1,
            combine: Combine::Sum,
        }],
        outputs: vec![(0, Output::Computed(Scalar::Fold(0)))],
        having: None,
        order,
    }
}

#[test]
fn a_sum_beyond_bigint_is_out_of_range() {
    let grouping = Grouping {
        keys: Vec::new(),
        folds: vec![Fold {
            hidden: 0,
            combine: Combine::Sum,
        }],
        ..sums(Vec::new())
    };
    let row = || vec![vec![text(i64::MAX), int8(i64::MAX)]];
    let merger = merger(spec(1, 1, Method::Grouped(grouping)), &[Oid::INT8, Oid::INT8], 2);
    let error = run(merger, &[row(), row()]).unwrap_err();
    assert!(
        matches!(error, MergeError::OutOfRange { type_name: "bigint" }),
        "{error:?}"
    );
}

#[test]
fn groups_are_sorted_after_the_fold_and_cut_by_limit() {
    let order = vec![GroupOrder {
        by: Scalar::Fold(0),
        direction: Direction::Descending,
        nulls: Nulls::First,
    }];
    let mut spec = spec(1, 2, Method::Grouped(sums(order)));
    spec.limit = Some(3);
    spec.offset = 1;
    let source = |add: i64| {
        (0..5000)
            .map(|group| vec![text(0), int4(group), int8(i64::from(group % 4999) + add)])
            .collect()
    };
    let sources: [Vec<Row>; 2] = [source(0), source(10)];
    let rows = run(merger(spec, &[Oid::INT8, Oid::INT4, Oid::INT8], 2), &sources).unwrap();
    let wanted: Vec<Vec<u8>> = [10004, 10002, 10000].iter().map(|sum| body(&vec![text(sum)])).collect();
    assert_eq!(rows, wanted);
}

#[test]
fn groups_beyond_the_bound_are_an_error() {
    let order = vec![GroupOrder {
        by: Scalar::Fold(0),
        direction: Direction::Ascending,
        nulls: Nulls::Last,
    }];
    let grouping = sums(order);
    let wide = vec![b'x'; 1 << 20];
    let rows: Vec<Row> = (0..70)
        .map(|group| vec![text(0), Some(wide.clone()), int4(group), int8(1)])
        .collect();
    let merger = merger(
        spec(2, 2, Method::Grouped(grouping)),
        &[Oid::INT8, Oid::TEXT, Oid::INT4, Oid::INT8],
        1,
    );
    let error = run(merger, &[rows]).unwrap_err();
    assert!(matches!(error, MergeError::GroupsTooLarge { .. }), "{error:?}");
}

#[test]
fn a_key_of_unknown_order_is_refused_before_any_row() {
    let keys = vec![Key {
        hidden: 0,
        order: KeyOrder::ByType,
        direction: Direction::Ascending,
        nulls: Nulls::Last,
    }];
    for type_oid in [Oid::TEXT, Oid::JSON, Oid(70000)] {
        let spec = spec(
            1,
            1,
            Method::Ordered {
                keys: keys.clone(),
                repeats: Repeats::Keep,
            },
        );
        let error = settle_types(&Arc::new(spec), &types(&[Oid::INT4, type_oid])).unwrap_err();
        assert!(
            matches!(error, MergeError::NoOrder { type_oid: refused } if refused == type_oid),
            "{error:?}"
        );
    }
}

#[test]
fn a_union_is_relayed_unless_rows_are_counted() {
    let mut merger = merger(MergeSpec::concatenate(1), &[Oid::INT4], 2);
    let mut out = BytesMut::new();
    assert_eq!(merger.next(&mut out).unwrap(), Next::Relay(0));
    merger.relayed(5);
    merger.end(0).unwrap();
    assert_eq!(merger.next(&mut out).unwrap(), Next::Relay(1));
    merger.end(1).unwrap();
    assert_eq!(merger.next(&mut out).unwrap(), Next::Done);
    assert_eq!(merger.rows(), 5);
    let mut limited = MergeSpec::concatenate(1);
    limited.limit = Some(1);
    let mut merger = super::tests::merger(limited, &[Oid::INT4], 2);
    assert_eq!(merger.next(&mut out).unwrap(), Next::Wait(0));
    merger.row(0, &body(&vec![text(7)])).unwrap();
    assert_eq!(merger.next(&mut out).unwrap(), Next::Row);
    assert_eq!(merger.next(&mut out).unwrap(), Next::Done);
}
