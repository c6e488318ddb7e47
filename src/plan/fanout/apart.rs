//! Whether the key keeps apart what a block puts together: groups, distinct rows, windows.
//!
//! Why: a shard's groups are the whole ones only if no row of theirs lies elsewhere, which it can't where each group
//! has one key. Holds: only a column that holds the key and is never NULL counts.

use crate::plan::resolve::{BlockId, ColumnRef, Lookup, Outputs};
use crate::sql::ast::{Distinct, Expr, GroupByExpr, Select, SelectItem, WindowType};

use super::calls;
use super::spread::{Group, Spreads, column_in, unnested};

impl Spreads<'_, '_> {
    /// Does GROUP BY name a column that holds the key?
    pub(super) fn groups_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
            return false;
        };
        if !modifiers.is_empty() || calls::has_grouping_sets(keys) {
            return false;
        }
        keys.iter().any(|key| match self.grouped_column(id, select, key) {
            Some(column) => group.keys.contains(&column),
            None => false,
        })
    }

    /// The column that a GROUP BY entry is, if it is one; an ordinal or an alias is looked through, an input column wins.
    pub(super) fn grouped_column(&self, id: BlockId, select: &Select, key: &Expr) -> Option<ColumnRef> {
        if let Some(column) = self.column(id, key) {
            return Some(column);
        }
        let entry = match unnested(key) {
            Expr::Identifier(name) => {
                if self.resolved.lookup(self.resolved.scope(id), &[&name.value]) != Lookup::Unknown {
                    return None;
                }
                let mut named = select.projection.iter().filter_map(|item| match item {
                    SelectItem::ExprWithAlias { expr, alias } if alias.value == name.value => Some(expr),
                    _ => None,
                });
                match (named.next(), named.next()) {
                    (Some(expr), None) => expr,
                    _ => return None,
                }
            }
            key => {
                let ordinal = super::limit::plain_integer(key)?;
                let at = usize::try_from(ordinal).ok()?.checked_sub(1)?;
                let plain =
                    |item: &SelectItem| matches!(item, SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. });
                if !select.projection.iter().take(at.saturating_add(1)).all(plain) {
                    return None;
                }
                match select.projection.get(at)? {
                    SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr,
                    _ => return None,
                }
            }
        };
        self.column(id, entry)
    }

    /// Does DISTINCT (if there is one) compare a column that holds the key?
    pub(super) fn distinct_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        match &select.distinct {
            None | Some(Distinct::All) => true,
            Some(Distinct::On(keys)) => keys
                .iter()
                .any(|key| self.column(id, key).is_some_and(|column| group.keys.contains(&column))),
            Some(Distinct::Distinct) => match self.block_of(id).map(|block| &block.outputs) {
                Ok(Outputs::Known(outputs)) => outputs
                    .iter()
                    .any(|output| output.column.is_some_and(|column| group.keys.contains(&column))),
                Ok(Outputs::Unknown) | Err(_) => false,
            },
        }
    }

    /// Is every window partitioned by a column that holds the key?
    pub(super) fn windows_by_key(&self, id: BlockId, select: &Select, group: &Group) -> bool {
        calls::window_uses(self.resolved, id).all(|window| match window {
            WindowType::WindowSpec(spec) if spec.window_name.is_none() => spec
                .partition_by
                .iter()
                .any(|key| self.column(id, key).is_some_and(|column| group.keys.contains(&column))),
            WindowType::WindowSpec(_) | WindowType::NamedWindow(_) => false,
        }) && select.named_window.is_empty()
    }

    /// The column of block `id` itself that an expression is, if it is nothing else.
    pub(super) fn column(&self, id: BlockId, expr: &Expr) -> Option<ColumnRef> {
        column_in(self.resolved, self.resolved.scope(id), expr).filter(|column| column.block == id)
    }
}
