//! What a statement leaves of a keyspace's shards: a tree of tests on constants, evaluated at bind.

use crate::plan::Touched;
use crate::plan::keys::{Constant, Evaluation, Outcome};
use crate::topology::{Bound, KeyspaceId, ShardSet};
use crate::value::{Key, KeyType, Oid};

/// The shards that may hold rows of one table's mention that matter. Evaluates to a superset of them, always.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum Pruning {
    /// every shard of the keyspace
    All,
    /// none: no row matters
    Never,
    /// a test of the key
    Test(Test),
    /// all of them hold
    And(Vec<Pruning>),
    /// one of them holds
    Or(Vec<Pruning>),
}

/// A test of a key, or of a column that equals it.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum Test {
    /// `column = constant`
    Equal {
        /// type of the column as the operator sees it
        column: KeyType,
        /// the other side
        constant: Constant,
    },
    /// `column IN (constants)`
    Any {
        /// type of the column
        column: KeyType,
        /// the list
        constants: Vec<Constant>,
    },
    /// `column = ANY (array)`
    Array {
        /// type of the column
        column: KeyType,
        /// a string literal or parameter that holds an array
        array: ArrayConstant,
    },
    /// `column >= lower AND column < upper`, either of them
    Between {
        /// type of the column
        column: KeyType,
        /// lower end
        lower: Option<End>,
        /// upper end
        upper: Option<End>,
    },
}

/// An array that isn't spelt out.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum ArrayConstant {
    /// `'{1,2}'`, perhaps cast to an array of key types
    String(Constant),
    /// `$n`
    Parameter {
        /// n, from 1
        number: u32,
        /// its array type
        type_oid: Oid,
    },
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::plan) enum End {
    /// the constant itself belongs to it
    Inclusive(Constant),
    /// it does not
    Exclusive(Constant),
}

// === impl Pruning ===

impl Pruning {
    /// Both; simplified.
    pub(in crate::plan) fn and(self, other: Pruning) -> Pruning {
        match (self, other) {
            (Pruning::Never, _) | (_, Pruning::Never) => Pruning::Never,
            (Pruning::All, other) | (other, Pruning::All) => other,
            (Pruning::And(mut all), other) => {
                all.push(other);
                Pruning::And(all)
            }
            (one, other) => Pruning::And(vec![one, other]),
        }
    }

    /// The shards, of those of the keyspace.
    pub(in crate::plan) fn evaluate(&self, keyspace: KeyspaceId, evaluation: &mut Evaluation<'_>) -> ShardSet {
        evaluation.take_span(); // another mention's
        self.leaves(keyspace, evaluation)
    }

    fn leaves(&self, keyspace: KeyspaceId, evaluation: &mut Evaluation<'_>) -> ShardSet {
        match self {
            Pruning::All => {
                evaluation.touch_any();
                evaluation.all(keyspace)
            }
            Pruning::Never => ShardSet::EMPTY,
            Pruning::Test(test) => test.evaluate(keyspace, evaluation),
            Pruning::And(all) => {
                let before = evaluation.take_touched();
                let around = evaluation.take_span();
                let mut least = Touched::Several;
                let set = all.iter().fold(evaluation.all(keyspace), |set, one| {
                    let set = set.intersect(one.leaves(keyspace, evaluation));
                    least = std::mem::replace(&mut least, Touched::Several).or_less(evaluation.take_touched());
                    set
                });
                evaluation.set_touched(before.and(least.or_less(evaluation.spanned(keyspace))));
                evaluation.join_span(around);
                set
            }
            Pruning::Or(any) => {
                let around = evaluation.take_span();
                let set = any.iter().fold(ShardSet::EMPTY, |set, one| {
                    let set = set.union(one.leaves(keyspace, evaluation));
                    evaluation.take_span(); // the others' keys may lie elsewhere
                    set
                });
                evaluation.join_span(around);
                set
            }
        }
    }
}

// === impl Test ===

impl Test {
    fn evaluate(&self, keyspace: KeyspaceId, evaluation: &mut Evaluation<'_>) -> ShardSet {
        match self {
            Test::Equal { column, constant } => one(keyspace, *column, constant, evaluation),
            Test::Any { column, constants } => constants.iter().fold(ShardSet::EMPTY, |set, constant| {
                set.union(one(keyspace, *column, constant, evaluation))
            }),
            Test::Array { column, array } => match evaluation.array(*column, array) {
                Ok(keys) => keys
                    .into_iter()
                    .flatten()
                    .fold(ShardSet::EMPTY, |set, key| set.union(evaluation.place(keyspace, key))),
                Err(outcome) => failed(outcome, keyspace, evaluation),
            },
            Test::Between { column, lower, upper } => {
                let lower = match end(*column, lower.as_ref(), evaluation) {
                    Ok(lower) => lower,
                    Err(stop) => return stop.shards(keyspace, evaluation),
                };
                let upper = match end(*column, upper.as_ref(), evaluation) {
                    Ok(upper) => upper,
                    Err(stop) => return stop.shards(keyspace, evaluation),
                };
                evaluation.between(keyspace, lower.bound(), upper.bound())
            }
        }
    }
}

fn one(keyspace: KeyspaceId, column: KeyType, constant: &Constant, evaluation: &mut Evaluation<'_>) -> ShardSet {
    match evaluation.compared(column, constant) {
        Ok(Some(key)) => evaluation.place(keyspace, key),
        // `= NULL` is never true
        Ok(None) => ShardSet::EMPTY,
        Err(outcome) => failed(outcome, keyspace, evaluation),
    }
}

fn failed(outcome: Outcome, keyspace: KeyspaceId, evaluation: &mut Evaluation<'_>) -> ShardSet {
    match outcome {
        // Any shard raises Postgres's own error.
        Outcome::Rejected => ShardSet::EMPTY,
        Outcome::Unclear => {
            evaluation.touch_any();
            evaluation.all(keyspace)
        }
        Outcome::Ask(expression) => {
            evaluation.ask_constant(expression);
            evaluation.all(keyspace)
        }
    }
}

/// An evaluated end.
enum Evaluated {
    Open,
    Inclusive(Key),
    Exclusive(Key),
}

impl Evaluated {
    fn bound(&self) -> Bound<'_> {
        match self {
            Evaluated::Open => Bound::Open,
            Evaluated::Inclusive(key) => Bound::Inclusive(key),
            Evaluated::Exclusive(key) => Bound::Exclusive(key),
        }
    }
}

/// Why a range has no ends.
enum Stop {
    Null,
    Failed(Outcome),
}

impl Stop {
    fn shards(self, keyspace: KeyspaceId, evaluation: &mut Evaluation<'_>) -> ShardSet {
        match self {
            Stop::Null => ShardSet::EMPTY,
            Stop::Failed(outcome) => failed(outcome, keyspace, evaluation),
        }
    }
}

fn end(column: KeyType, end: Option<&End>, evaluation: &mut Evaluation<'_>) -> Result<Evaluated, Stop> {
    let (constant, wrap): (&Constant, fn(Key) -> Evaluated) = match end {
        None => return Ok(Evaluated::Open),
        Some(End::Inclusive(constant)) => (constant, Evaluated::Inclusive),
        Some(End::Exclusive(constant)) => (constant, Evaluated::Exclusive),
    };
    match evaluation.compared(column, constant) {
        Ok(Some(key)) => Ok(wrap(key)),
        Ok(None) => Err(Stop::Null),
        Err(outcome) => Err(Stop::Failed(outcome)),
    }
}
