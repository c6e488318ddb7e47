//! Whatever the predicate, a plan's shards hold every row that it lets through.
//!
//! Predicates are random trees over one hash key; an obvious evaluator says, for each key of a small range, whether its
//! row passes (three-valued logic), and the topology says where that row lies.

use std::sync::Arc;

use proptest::prelude::*;
use shardgate::plan::{Facts, Parameters, Request, Snapshot};
use shardgate::topology::{Placed, ShardSet};
use shardgate::value::Key;

use super::fixture;

/// Keys of the rows that exist.
const KEYS: std::ops::Range<i64> = -5..40;

#[derive(Clone, Debug)]
enum Predicate {
    Compare(&'static str, Option<i64>),
    Flipped(&'static str, i64),
    In(Vec<Option<i64>>),
    NotIn(Vec<i64>),
    Any(Vec<i64>),
    Between(i64, i64),
    Sum(i64, i64),
    Distinct(i64),
    Modulo(i64, i64),
    Constant(Option<bool>),
    Not(Box<Predicate>),
    And(Box<Predicate>, Box<Predicate>),
    Or(Box<Predicate>, Box<Predicate>),
}

fn list(values: &[Option<i64>]) -> String {
    let text = |value: &Option<i64>| value.map_or("NULL".to_string(), |value| value.to_string());
    values.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn some(values: &[i64]) -> Vec<Option<i64>> {
    values.iter().copied().map(Some).collect()
}

impl Predicate {
    fn sql(&self) -> String {
        match self {
            Predicate::Compare(op, value) => format!("id {op} {}", list(&[*value])),
            Predicate::Flipped(op, value) => format!("{value} {op} id"),
            Predicate::In(values) => format!("id IN ({})", list(values)),
            Predicate::NotIn(values) => format!("id NOT IN ({})", list(&some(values))),
            Predicate::Any(values) => format!("id = ANY (ARRAY[{}]::bigint[])", list(&some(values))),
            Predicate::Between(low, high) => format!("id BETWEEN {low} AND {high}"),
            Predicate::Sum(left, right) => format!("id = {left} + '{right}'::int"),
            Predicate::Distinct(value) => format!("id IS DISTINCT FROM {value}"),
            Predicate::Modulo(divisor, rest) => format!("id % {divisor} = {rest}"),
            Predicate::Constant(value) => match value {
                Some(value) => value.to_string(),
                None => "NULL".to_string(),
            },
            Predicate::Not(inner) => format!("NOT ({})", inner.sql()),
            Predicate::And(left, right) => format!("({}) AND ({})", left.sql(), right.sql()),
            Predicate::Or(left, right) => format!("({}) OR ({})", left.sql(), right.sql()),
        }
    }

    fn holds(&self, id: i64) -> Option<bool> {
        let compare = |op: &str, left: i64, right: i64| match op {
            "=" => left == right,
            "<>" => left != right,
            "<" => left < right,
            "<=" => left <= right,
            ">" => left > right,
            _ => left >= right,
        };
        match self {
            Predicate::Compare(op, value) => value.map(|value| compare(op, id, value)),
            Predicate::Flipped(op, value) => Some(compare(op, *value, id)),
            Predicate::In(values) => match (values.contains(&Some(id)), values.contains(&None)) {
                (true, _) => Some(true),
                (false, true) => None,
                (false, false) => Some(false),
            },
            Predicate::NotIn(values) => Some(!values.contains(&id)),
            Predicate::Any(values) => Some(values.contains(&id)),
            Predicate::Between(low, high) => Some(*low <= id && id <= *high),
            Predicate::Sum(left, right) => Some(id == left + right),
            Predicate::Distinct(value) => Some(id != *value),
            Predicate::Modulo(divisor, rest) => Some(id % divisor == *rest),
            Predicate::Constant(value) => *value,
            Predicate::Not(inner) => inner.holds(id).map(|holds| !holds),
            Predicate::And(left, right) => match (left.holds(id), right.holds(id)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Predicate::Or(left, right) => match (left.holds(id), right.holds(id)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
        }
    }
}

fn predicate() -> impl Strategy<Value = Predicate> {
    let operator = || prop::sample::select(vec!["=", "=", "=", "<>", "<", "<=", ">", ">="]);
    let key = || KEYS;
    let leaf = prop_oneof![
        (operator(), prop::option::weighted(0.9, key())).prop_map(|(op, value)| Predicate::Compare(op, value)),
        (operator(), key()).prop_map(|(op, value)| Predicate::Flipped(op, value)),
        prop::collection::vec(prop::option::weighted(0.8, key()), 1..4).prop_map(Predicate::In),
        prop::collection::vec(key(), 1..3).prop_map(Predicate::NotIn),
        prop::collection::vec(key(), 0..4).prop_map(Predicate::Any),
        (key(), key()).prop_map(|(low, high)| Predicate::Between(low, high)),
        (key(), key()).prop_map(|(left, right)| Predicate::Sum(left, right)),
        key().prop_map(Predicate::Distinct),
        (2..5i64, 0..3i64).prop_map(|(divisor, rest)| Predicate::Modulo(divisor, rest)),
        prop::sample::select(vec![Some(true), Some(false), None]).prop_map(Predicate::Constant),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Predicate::Not(Box::new(inner))),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| Predicate::And(Box::new(a), Box::new(b))),
            (inner.clone(), inner).prop_map(|(a, b)| Predicate::Or(Box::new(a), Box::new(b))),
        ]
    })
}

/// Shards of the rows that pass.
fn needed(snapshot: &Snapshot, predicate: &Predicate) -> ShardSet {
    let (_, keyspace) = snapshot.topology().keyspace_by_name("user").unwrap();
    KEYS.filter(|id| predicate.holds(*id) == Some(true))
        .fold(ShardSet::EMPTY, |set, id| match keyspace.place(&Key::Int(id)) {
            Placed::At(place) => set.with(place.shard),
            other => panic!("{id} has no place: {other:?}"),
        })
}

fn planned(snapshot: &Snapshot, sql: &str) -> ShardSet {
    let context = fixture::context();
    let request = Request {
        text: sql.as_bytes(),
        parameter_types: &[],
        context: &context,
    };
    let facts = Facts::default();
    let compiled = snapshot.compile(&request, &facts).unwrap();
    let plan = compiled
        .bind(snapshot, &request, &Parameters::default(), &facts)
        .unwrap();
    plan.work.shards()
}

#[test]
fn no_row_is_left_out() {
    let snapshot = Arc::new(fixture::snapshot(4, None));
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&predicate(), |predicate| {
            let needed = needed(&snapshot, &predicate);
            let plain = format!("SELECT id FROM users WHERE {}", predicate.sql());
            let joined = format!(
                "SELECT u.id FROM orders o JOIN (SELECT * FROM users) u ON o.user_id = u.id WHERE {}",
                predicate.sql().replace("id", "u.id")
            );
            for sql in [plain, joined] {
                let planned = planned(&snapshot, &sql);
                prop_assert!(
                    planned.contains_all(needed),
                    "{sql}\nplanned {planned:?}, needed {needed:?}"
                );
            }
            Ok(())
        })
        .unwrap();
}
