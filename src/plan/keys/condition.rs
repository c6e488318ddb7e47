//! A conjunct as a tree of tests of base columns.

use std::collections::BTreeSet;
use std::rc::Rc;

use crate::plan::keys::constant::{ConstantScope, TypesNeeded};
use crate::plan::keys::pruning::ArrayConstant;
use crate::plan::keys::{Constant, End, Pruning, Static, Test};
use crate::plan::resolve::{BaseColumn, ReferenceId, Resolved, type_name};
use crate::sql::ast::{self, BinaryOperator, CastKind, Expr, InTarget};
use crate::value::KeyType;

/// What a conjunct says of base columns.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Condition {
    /// nothing that is understood
    Opaque,
    /// it is never true: no row of these matters
    Never(Rc<BTreeSet<ReferenceId>>),
    /// a test of one column
    Test {
        /// which
        column: BaseColumn,
        /// how
        test: Test,
    },
    /// all
    And(Vec<Condition>),
    /// one
    Or(Vec<Condition>),
}

/// Which columns of a conjunct it may prune by: says the base column that an expression names, if it is one.
pub(super) struct Columns<'r, 'a> {
    pub(super) resolved: &'r Resolved<'a>,
    pub(super) constants: ConstantScope<'r>,
    /// of a column that the conjunct names, the base column that it filters; `None`: it doesn't
    pub(super) prunable: &'r dyn Fn(&Expr) -> Option<BaseColumn>,
    /// the columns that a key depends on; tests of others are of no use
    pub(super) relevant: &'r BTreeSet<BaseColumn>,
    /// the tables that the conjunct filters
    pub(super) filtered: Rc<BTreeSet<ReferenceId>>,
}

// === impl Condition ===

impl Condition {
    /// What is left of the shards for a key that equals each of `columns`.
    pub(in crate::plan) fn project(&self, columns: &BTreeSet<BaseColumn>) -> Pruning {
        match self {
            Condition::Opaque => Pruning::All,
            Condition::Never(references) => match columns.iter().any(|column| references.contains(&column.reference)) {
                true => Pruning::Never,
                false => Pruning::All,
            },
            Condition::Test { column, test } => match columns.contains(column) {
                true => Pruning::Test(test.clone()),
                false => Pruning::All,
            },
            Condition::And(all) => all
                .iter()
                .fold(Pruning::All, |pruning, one| pruning.and(one.project(columns))),
            Condition::Or(any) => {
                let arms: Vec<Pruning> = any.iter().map(|one| one.project(columns)).collect();
                match arms.contains(&Pruning::All) {
                    true => Pruning::All,
                    false => Pruning::Or(arms),
                }
            }
        }
    }
}

impl Columns<'_, '_> {
    /// Reads a conjunct (or a part of one under AND and OR).
    pub(super) fn condition(&self, expr: &Expr) -> Result<Condition, TypesNeeded> {
        match expr {
            Expr::Nested(inner) => self.condition(inner),
            Expr::Value(value) => Ok(match value.value {
                ast::Value::Boolean(false) | ast::Value::Null => Condition::Never(Rc::clone(&self.filtered)),
                _ => Condition::Opaque,
            }),
            Expr::BinaryOp {
                left: _,
                op: BinaryOperator::And,
                right: _,
            } => Ok(Condition::And(self.chain(expr, &BinaryOperator::And)?)),
            Expr::BinaryOp {
                left: _,
                op: BinaryOperator::Or,
                right: _,
            } => Ok(Condition::Or(self.chain(expr, &BinaryOperator::Or)?)),
            Expr::BinaryOp { left, op, right } => self.comparison(left, op, right),
            Expr::In {
                expr,
                target: InTarget::List(list),
                negated: false,
                global: false,
            } => self.in_list(expr, list),
            Expr::AnyOp {
                left,
                compare_op: BinaryOperator::Eq,
                right,
                is_some: _,
            } => self.any(left, right),
            Expr::Between {
                expr,
                negated: false,
                low,
                high,
            } => {
                let lower = self.range(expr, low, |column, constant| Test::Between {
                    column,
                    lower: Some(End::Inclusive(constant)),
                    upper: None,
                })?;
                let upper = self.range(expr, high, |column, constant| Test::Between {
                    column,
                    lower: None,
                    upper: Some(End::Inclusive(constant)),
                })?;
                Ok(Condition::And(vec![lower, upper]))
            }
            _ => Ok(Condition::Opaque),
        }
    }

    /// The operands of a chain of one operator, which is as deep as it is long.
    fn chain(&self, expr: &Expr, operator: &BinaryOperator) -> Result<Vec<Condition>, TypesNeeded> {
        let mut open = vec![expr];
        let mut operands = Vec::new();
        while let Some(expr) = open.pop() {
            match expr {
                Expr::BinaryOp { left, op, right } if op == operator => {
                    open.push(right);
                    open.push(left);
                }
                expr => operands.push(self.condition(expr)?),
            }
        }
        Ok(operands)
    }

    fn comparison(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Condition, TypesNeeded> {
        if let (Some(left), Some(right)) = (row(left), row(right)) {
            return self.row_comparison(left, op, right);
        }
        let (column, constant, op) = match ((self.prunable)(left), (self.prunable)(right)) {
            (Some(_), _) => (left, right, op.clone()),
            (None, Some(_)) => match flipped(op) {
                Some(op) => (right, left, op),
                None => return Ok(Condition::Opaque),
            },
            (None, None) => return Ok(Condition::Opaque),
        };
        match op {
            BinaryOperator::Eq => self.range(column, constant, |column, constant| Test::Equal { column, constant }),
            BinaryOperator::Lt => self.range(column, constant, |column, constant| Test::Between {
                column,
                lower: None,
                upper: Some(End::Exclusive(constant)),
            }),
            BinaryOperator::LtEq => self.range(column, constant, |column, constant| Test::Between {
                column,
                lower: None,
                upper: Some(End::Inclusive(constant)),
            }),
            BinaryOperator::Gt => self.range(column, constant, |column, constant| Test::Between {
                column,
                lower: Some(End::Exclusive(constant)),
                upper: None,
            }),
            BinaryOperator::GtEq => self.range(column, constant, |column, constant| Test::Between {
                column,
                lower: Some(End::Inclusive(constant)),
                upper: None,
            }),
            _ => Ok(Condition::Opaque),
        }
    }

    /// `(a, b) = (1, 2)` is a conjunction; of `(a, b) < (1, 2)` the first pair alone counts, its bound included.
    fn row_comparison(&self, left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Condition, TypesNeeded> {
        if left.len() != right.len() {
            return Ok(Condition::Opaque);
        }
        let wide = match op {
            BinaryOperator::Eq => {
                let pairs = left
                    .iter()
                    .zip(right)
                    .map(|(left, right)| self.comparison(left, op, right));
                return pairs.collect::<Result<_, _>>().map(Condition::And);
            }
            BinaryOperator::Lt | BinaryOperator::LtEq => BinaryOperator::LtEq,
            BinaryOperator::Gt | BinaryOperator::GtEq => BinaryOperator::GtEq,
            _ => return Ok(Condition::Opaque),
        };
        match (left.first(), right.first()) {
            (Some(left), Some(right)) => self.comparison(left, &wide, right),
            _ => Ok(Condition::Opaque),
        }
    }

    fn in_list(&self, expr: &Expr, list: &[Expr]) -> Result<Condition, TypesNeeded> {
        if let Some(columns) = row(expr) {
            // `(a, b) IN ((1, 2), (3, 4))` is `(a, b) = (1, 2) OR …`
            let arms = list.iter().map(|entry| match row(entry) {
                Some(values) => self.row_comparison(columns, &BinaryOperator::Eq, values),
                None => Ok(Condition::Opaque),
            });
            return arms.collect::<Result<_, _>>().map(Condition::Or);
        }
        let Some((column, key_type)) = self.key_column(expr) else {
            return Ok(Condition::Opaque);
        };
        let mut constants = Vec::with_capacity(list.len());
        for entry in list {
            match self.constant(key_type, entry)? {
                Some(constant) => constants.push(constant),
                // The list has one type for all: an entry of another makes it another comparison.
                None => return Ok(Condition::Opaque),
            }
        }
        Ok(Condition::Test {
            column,
            test: Test::Any {
                column: key_type,
                constants,
            },
        })
    }

    fn any(&self, left: &Expr, right: &Expr) -> Result<Condition, TypesNeeded> {
        let Some((column, key_type)) = self.key_column(left) else {
            return Ok(Condition::Opaque);
        };
        let right = unnested(right);
        let test = match right {
            Expr::Array(array) => {
                let mut constants = Vec::with_capacity(array.elem.len());
                for entry in &array.elem {
                    match self.array_element(key_type, entry)? {
                        Some(constant) => constants.push(constant),
                        None => return Ok(Condition::Opaque),
                    }
                }
                Test::Any {
                    column: key_type,
                    constants,
                }
            }
            _ => match self.array(key_type, right)? {
                Some(array) => Test::Array {
                    column: key_type,
                    array,
                },
                None => return Ok(Condition::Opaque),
            },
        };
        Ok(Condition::Test { column, test })
    }

    /// `'{1,2}'`, `$1`, or either cast to an array that is compared within the key's family.
    fn array(&self, key_type: KeyType, expr: &Expr) -> Result<Option<ArrayConstant>, TypesNeeded> {
        let (inner, target) = match expr {
            Expr::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                format: None,
            } => (unnested(expr), Some(data_type)),
            other => (other, None),
        };
        if let Some(target) = target {
            let element = type_name(target).filter(|name| {
                name.dimensions == 1
                    && name.modifiers.is_empty()
                    && matches!(name.schema.as_deref(), None | Some("pg_catalog"))
            });
            let element = element.and_then(|name| KeyType::from_name(&name.name));
            if !element.is_some_and(|element| element.is_hash_compatible(key_type)) {
                return Ok(None);
            }
        }
        let Expr::Value(value) = inner else { return Ok(None) };
        if let ast::Value::Placeholder(placeholder) = &value.value {
            let Some(number) = placeholder
                .strip_prefix('$')
                .and_then(|number| number.parse::<u32>().ok())
            else {
                return Ok(None);
            };
            let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            let declared = index
                .and_then(|index| self.constants.input.parameter_types.get(index))
                .copied();
            return match declared.filter(|oid| oid.0 != 0 && *oid != crate::value::Oid::UNKNOWN) {
                Some(oid) => Ok(KeyType::of_array(oid)
                    .filter(|element| element.is_hash_compatible(key_type))
                    .map(|_| ArrayConstant::Parameter { number, type_oid: oid })),
                None => match self
                    .constants
                    .occurrences
                    .iter()
                    .filter(|occurrence| **occurrence == number)
                    .count()
                {
                    1 => Ok(Some(ArrayConstant::Parameter {
                        number,
                        type_oid: key_type.array_oid(),
                    })),
                    _ => Err(TypesNeeded),
                },
            };
        }
        match Constant::compile(inner, self.constants)? {
            Some((constant, Static::Unknown)) => Ok(Some(ArrayConstant::String(constant))),
            Some((_, Static::Known(_) | Static::Inferred(_))) | None => Ok(None),
        }
    }

    /// An element of ARRAY[…]: the array's type is that of its elements, so a bare string would make it text.
    fn array_element(&self, key_type: KeyType, expr: &Expr) -> Result<Option<Constant>, TypesNeeded> {
        match Constant::compile(expr, self.constants)? {
            Some((constant, Static::Known(known))) if known.is_hash_compatible(key_type) => Ok(Some(constant)),
            Some((constant, Static::Unknown)) if KeyType::Text.is_hash_compatible(key_type) => Ok(Some(constant)),
            Some((Constant::Null, Static::Unknown)) => Ok(Some(Constant::Null)),
            Some((_, Static::Inferred(_))) => Err(TypesNeeded),
            Some(_) | None => Ok(None),
        }
    }

    fn range(
        &self,
        column: &Expr,
        constant: &Expr,
        test: impl FnOnce(KeyType, Constant) -> Test,
    ) -> Result<Condition, TypesNeeded> {
        let Some((column, key_type)) = self.key_column(column) else {
            return Ok(Condition::Opaque);
        };
        match self.constant(key_type, constant)? {
            Some(constant) => Ok(Condition::Test {
                column,
                test: test(key_type, constant),
            }),
            None => Ok(Condition::Opaque),
        }
    }

    /// A column that may prune, with its type, if keys of its type can be told apart here.
    fn key_column(&self, expr: &Expr) -> Option<(BaseColumn, KeyType)> {
        let base = (self.prunable)(expr).filter(|base| self.relevant.contains(base))?;
        super::graph::key_type(self.resolved, base).map(|key_type| (base, key_type))
    }

    /// A constant that Postgres compares with the column within the key's own family.
    fn constant(&self, column: KeyType, expr: &Expr) -> Result<Option<Constant>, TypesNeeded> {
        let compiled = Constant::compile(expr, self.constants)?;
        Ok(compiled.and_then(|(constant, known)| match (constant, known) {
            (constant, Static::Known(known)) => {
                let integer = known.is_hash_compatible(KeyType::Int8);
                let same = known.is_hash_compatible(column) || (column == KeyType::Numeric && integer);
                same.then_some(constant)
            }
            (constant, Static::Unknown) => Some(constant),
            (Constant::Parameter { number, .. }, Static::Inferred(_)) => Some(Constant::Parameter {
                number,
                type_oid: column.oid(),
            }),
            (_, Static::Inferred(_)) => None,
        }))
    }
}

pub(super) fn unnested(expr: &Expr) -> &Expr {
    let mut at = expr;
    while let Expr::Nested(inner) = at {
        at = inner;
    }
    at
}

/// The entries of a row constructor.
pub(super) fn row(expr: &Expr) -> Option<&[Expr]> {
    match unnested(expr) {
        Expr::Tuple(list) => Some(list),
        _ => None,
    }
}

fn flipped(op: &BinaryOperator) -> Option<BinaryOperator> {
    match op {
        BinaryOperator::Eq => Some(BinaryOperator::Eq),
        BinaryOperator::Lt => Some(BinaryOperator::Gt),
        BinaryOperator::LtEq => Some(BinaryOperator::GtEq),
        BinaryOperator::Gt => Some(BinaryOperator::Lt),
        BinaryOperator::GtEq => Some(BinaryOperator::LtEq),
        _ => None,
    }
}
