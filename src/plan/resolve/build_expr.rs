//! Builds the resolved statement: what expressions use.

use crate::plan::resolve::build::{Builder, Walk};
use crate::plan::resolve::lookup::{Lookup, lookup};
use crate::plan::resolve::{
    Callee, Child, Conjunct, ConjunctTest, FunctionUse, ItemSet, Place, Scope, Side, Site, SystemColumn, children,
    names, object_name, type_name,
};
use crate::sql::ast::{BinaryOperator, Expr, Function, ObjectName, Value};

// === impl Builder ===

impl<'a> Builder<'a> {
    /// Walks expressions to their leaves, noting what they use and resolving their subqueries. `scope` is the level whose
    /// columns they name.
    pub(super) fn expressions(&mut self, start: Vec<Child<'a>>, scope: Option<Scope>) -> Walk<()> {
        // A work list, not recursion: `a OR b OR c …` is as deep as it is long.
        let mut open = start;
        open.reverse();
        let mut inside = Vec::new();
        while let Some(child) = open.pop() {
            match child {
                Child::Query(query) => {
                    self.query(query, scope, Place::Expression)?;
                }
                Child::Expr(expr) => {
                    self.note(expr, scope);
                    children(expr, &mut inside)?;
                    open.extend(inside.drain(..).rev());
                }
            }
        }
        Ok(())
    }

    fn note(&mut self, expr: &'a Expr, scope: Option<Scope>) {
        match expr {
            Expr::Identifier(ident) => self.note_column(&[&ident.value], scope),
            Expr::CompoundIdentifier(idents) => {
                let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
                self.note_column(&names, scope);
            }
            Expr::Value(value) => {
                if let Value::Placeholder(placeholder) = &value.value {
                    let number = placeholder.strip_prefix('$').and_then(|n| n.parse::<u32>().ok());
                    self.uses.parameters.extend(number);
                }
            }
            Expr::Function(function) => self.note_function(&function.name, Some(function), scope),
            Expr::Cast { data_type, .. } => self.uses.types.extend(type_name(data_type)),
            Expr::TypedString(typed) => self.uses.types.extend(type_name(&typed.data_type)),
            Expr::BinaryOp { op, .. } => self.note_operator(op),
            Expr::AnyOp { compare_op, .. } | Expr::AllOp { compare_op, .. } => self.note_operator(compare_op),
            Expr::UnaryOp { op, .. } => self.note_symbol(&op.to_string()),
            Expr::Like { .. } => self.note_symbols(&["~~", "!~~"]),
            Expr::ILike { .. } => self.note_symbols(&["~~*", "!~~*"]),
            Expr::SimilarTo { .. } => self.note_symbols(&["~", "!~"]),
            Expr::Between { .. } => self.note_symbols(&["<=", ">=", "<", ">"]),
            Expr::In { .. } | Expr::Case { .. } | Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => {
                self.note_symbols(&["=", "<>"]);
            }
            _ => {}
        }
    }

    fn note_column(&mut self, names: &[&str], scope: Option<Scope>) {
        let Some(scope) = scope else { return };
        if lookup(&self.blocks, scope, names) == Lookup::System {
            let name = names.last().map(|name| name.to_string()).unwrap_or_default();
            self.uses.system_columns.push(SystemColumn { name, scope });
        }
    }

    pub(super) fn note_function(&mut self, name: &'a ObjectName, call: Option<&'a Function>, scope: Option<Scope>) {
        let (written, callee) = match object_name(name) {
            Some(parts) => (
                parts.join("."),
                names::callee(self.input.catalog, self.input.context, &parts),
            ),
            None => (name.to_string(), Callee::Missing),
        };
        self.uses.functions.push(FunctionUse {
            name: written,
            call,
            scope,
            callee,
        });
    }

    fn note_operator(&mut self, operator: &BinaryOperator) {
        match operator {
            BinaryOperator::PGCustomBinaryOperator(parts) => match parts.as_slice() {
                [schema, _] if schema == "pg_catalog" => {}
                [symbol] => self.note_symbol(symbol),
                _ => self.uses.user_operators.push(parts.join(".")),
            },
            BinaryOperator::And | BinaryOperator::Or => {}
            operator => self.note_symbol(&operator.to_string()),
        }
    }

    fn note_symbols(&mut self, symbols: &[&str]) {
        symbols.iter().for_each(|symbol| self.note_symbol(symbol));
    }

    fn note_symbol(&mut self, symbol: &str) {
        let catalog = self.input.catalog;
        let visible = catalog.operators.get(symbol).is_some_and(|named| {
            named
                .iter()
                .any(|name| self.input.context.search_path.contains(&name.schema))
        });
        if visible {
            self.uses.user_operators.push(symbol.to_string());
        }
    }

    /// WHERE of a block: notes its conjuncts and walks them.
    pub(super) fn filter(&mut self, block: super::BlockId, selection: Option<&'a Expr>) -> Walk<()> {
        let Some(selection) = selection else { return Ok(()) };
        let scope = self.scope_of(block);
        let items = self.blocks.get(block.0).map_or(&[][..], |block| &block.items);
        let prunes = (0..items.len())
            .filter(|index| items.get(*index).is_some_and(|item| item.side == Side::Preserved))
            .fold(ItemSet::empty(), ItemSet::with);
        self.conjuncts(block, selection, Site::Filter, scope.items, prunes, prunes);
        self.expressions(vec![Child::Expr(selection)], Some(scope))
    }

    /// Splits a condition at AND and notes each part.
    pub(super) fn conjuncts(
        &mut self,
        block: super::BlockId,
        condition: &'a Expr,
        site: Site,
        visible: ItemSet,
        prunes: ItemSet,
        bounds: ItemSet,
    ) {
        let mut open = vec![condition];
        let mut parts = Vec::new();
        while let Some(expr) = open.pop() {
            match expr {
                Expr::BinaryOp {
                    left,
                    op: BinaryOperator::And,
                    right,
                } => {
                    open.push(right);
                    open.push(left);
                }
                Expr::Nested(inner) => open.push(inner),
                expr => parts.push(Conjunct {
                    test: ConjunctTest::Expression(expr),
                    site,
                    visible,
                    prunes,
                    bounds,
                }),
            }
        }
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.conjuncts.append(&mut parts);
        }
    }
}
