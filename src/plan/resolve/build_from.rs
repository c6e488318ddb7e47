//! Builds the resolved statement: FROM items, joins, views.

use crate::catalog::{Relation, RelationKind};
use crate::plan::resolve::build::{Builder, VIEW_DEPTH_MAX, Walk, not_understood};
use crate::plan::resolve::children::argument_children;
use crate::plan::resolve::lookup::{Lookup, lookup};
use crate::plan::resolve::{
    BlockId, Child, Conjunct, ConjunctTest, Item, ItemSet, Lateral, Merged, Named, Origin, Outputs, Place, Placement,
    QueryId, Reference, ReferenceId, Role, Scope, Side, Site, Source, names, object_name,
};
use crate::plan::{RefusalId, refuse};
use crate::sql::ast::{Join, JoinConstraint, JoinOperator, Statement, TableAlias, TableFactor, TableWithJoins};

/// Which sides of a join are nullable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

/// Items `start..end` of a block.
#[derive(Clone, Copy)]
struct Range {
    start: usize,
    end: usize,
}

impl Range {
    fn set(self) -> ItemSet {
        ItemSet::range(self.start, self.end)
    }
}

// === impl Builder ===

impl<'a> Builder<'a> {
    /// A FROM list.
    pub(super) fn from(&mut self, block: BlockId, from: &'a [TableWithJoins]) -> Walk<()> {
        for entry in from {
            self.table_with_joins(block, entry)?;
        }
        Ok(())
    }

    fn table_with_joins(&mut self, block: BlockId, entry: &'a TableWithJoins) -> Walk<Range> {
        let mut left = self.factor(block, &entry.relation)?;
        for join in &entry.joins {
            left = self.join(block, left, join)?;
        }
        Ok(left)
    }

    fn join(&mut self, block: BlockId, left: Range, join: &'a Join) -> Walk<Range> {
        let Join {
            relation,
            global,
            join_operator,
        } = join;
        let (kind, constraint) = match join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) | JoinOperator::CrossJoin(constraint) => {
                (JoinKind::Inner, constraint)
            }
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (JoinKind::Left, constraint),
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => (JoinKind::Right, constraint),
            JoinOperator::FullOuter(constraint) => (JoinKind::Full, constraint),
            JoinOperator::Semi(_)
            | JoinOperator::LeftSemi(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::Anti(_)
            | JoinOperator::LeftAnti(_)
            | JoinOperator::RightAnti(_)
            | JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::AsOf { .. }
            | JoinOperator::StraightJoin(_)
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => return Err(not_understood("a join of another dialect")),
        };
        if *global {
            return Err(not_understood("a join of another dialect"));
        }
        let right = self.factor(block, relation)?;
        let both = Range {
            start: left.start,
            end: right.end,
        };
        // Items that joins inside either side made nullable: their columns are no keys for this ON.
        let nullable = self.nullable(block);
        let (inner_left, inner_right) = (left.set().without(nullable), right.set().without(nullable));
        let (prunes, bounds) = match kind {
            JoinKind::Inner => (inner_left.union(inner_right), inner_left.union(inner_right)),
            JoinKind::Left => (inner_right, inner_left.union(inner_right)),
            JoinKind::Right => (inner_left, inner_left.union(inner_right)),
            JoinKind::Full => (ItemSet::empty(), ItemSet::empty()),
        };
        let site = match kind {
            JoinKind::Inner => Site::Filter,
            JoinKind::Left | JoinKind::Right | JoinKind::Full => Site::OuterOn,
        };
        match constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                self.conjuncts(block, condition, site, both.set(), prunes, bounds);
                self.expressions(
                    vec![Child::Expr(condition)],
                    Some(Scope {
                        block,
                        items: both.set(),
                    }),
                )?;
            }
            JoinConstraint::Using(columns) | JoinConstraint::UsingAlias(columns, _) => {
                for column in columns {
                    let name = match object_name(column).as_deref() {
                        Some([name]) => name.to_string(),
                        _ => return Err(not_understood("USING of a qualified name")),
                    };
                    self.merge_column(block, kind, left, right, name, (site, prunes, bounds));
                }
            }
            JoinConstraint::Natural => {
                for name in self.common_columns(block, left, right) {
                    self.merge_column(block, kind, left, right, name, (site, prunes, bounds));
                }
            }
        }
        let now_nullable = match kind {
            JoinKind::Inner => ItemSet::empty(),
            JoinKind::Left => right.set(),
            JoinKind::Right => left.set(),
            JoinKind::Full => both.set(),
        };
        self.make_nullable(block, now_nullable);
        Ok(both)
    }

    fn nullable(&self, block: BlockId) -> ItemSet {
        let items = self.blocks.get(block.0).map_or(&[][..], |block| &block.items);
        let nullable = items.iter().enumerate().filter(|(_, item)| item.side == Side::Nullable);
        nullable.fold(ItemSet::empty(), |set, (index, _)| set.with(index))
    }

    fn make_nullable(&mut self, block: BlockId, set: ItemSet) {
        let Some(block) = self.blocks.get_mut(block.0) else {
            return;
        };
        for (index, item) in block.items.iter_mut().enumerate() {
            if set.contains(index) {
                item.side = Side::Nullable;
            }
        }
        for conjunct in &mut block.conjuncts {
            // What was a filter is now one under an outer join, if all that it prunes became nullable.
            if conjunct.site == Site::Filter
                && conjunct.prunes != ItemSet::empty()
                && conjunct.prunes.without(set) == ItemSet::empty()
            {
                conjunct.site = Site::InnerUnderOuter;
            }
        }
    }

    fn merge_column(
        &mut self,
        block: BlockId,
        kind: JoinKind,
        left: Range,
        right: Range,
        name: String,
        (site, prunes, bounds): (Site, ItemSet, ItemSet),
    ) {
        let find = |range: Range| match lookup(
            &self.blocks,
            Scope {
                block,
                items: range.set(),
            },
            &[&name],
        ) {
            Lookup::Column(column) if column.block == block => Some(column),
            Lookup::Column(_) | Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => None,
        };
        let (from_left, from_right) = (find(left), find(right));
        let column = match kind {
            JoinKind::Inner | JoinKind::Left => from_left,
            JoinKind::Right => from_right,
            JoinKind::Full => None,
        };
        let items = left.set().union(right.set());
        let Some(block) = self.blocks.get_mut(block.0) else {
            return;
        };
        if let (Some(from_left), Some(from_right)) = (from_left, from_right) {
            let test = ConjunctTest::Equal(from_left, from_right);
            block.conjuncts.push(Conjunct {
                test,
                site,
                visible: items,
                prunes,
                bounds,
            });
        }
        block.merged.push(Merged { name, items, column });
    }

    /// The names that NATURAL compares. If one side isn't known, neither are the names: all become opaque.
    fn common_columns(&mut self, block: BlockId, left: Range, right: Range) -> Vec<String> {
        let Some(block) = self.blocks.get_mut(block.0) else {
            return Vec::new();
        };
        let names = |range: Range| -> Option<Vec<String>> {
            let items = block.items.get(range.start..range.end)?;
            items
                .iter()
                .map(|item| item.columns.clone())
                .collect::<Option<Vec<_>>>()
                .map(|all| all.concat())
        };
        match (names(left), names(right)) {
            (Some(left), Some(right)) => {
                let mut common: Vec<String> = left.into_iter().filter(|name| right.contains(name)).collect();
                common.dedup();
                common
            }
            _ => {
                for item in block.items.iter_mut().skip(left.start) {
                    item.columns = None;
                }
                Vec::new()
            }
        }
    }

    pub(super) fn push_item(&mut self, block: BlockId, item: Item) {
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.items.push(item);
        }
    }

    fn item_count(&self, block: BlockId) -> usize {
        self.blocks.get(block.0).map_or(0, |block| block.items.len())
    }

    /// One entry of FROM; returns the number of items after it.
    pub(super) fn single_factor(&mut self, block: BlockId, factor: &'a TableFactor) -> Walk<usize> {
        self.factor(block, factor).map(|range| range.end)
    }

    fn factor(&mut self, block: BlockId, factor: &'a TableFactor) -> Walk<Range> {
        let start = self.item_count(block);
        let lateral = Scope {
            block,
            items: ItemSet::range(0, start),
        };
        let outer = self.blocks.get(block.0).and_then(|block| block.outer);
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version: None,
                with_ordinality: _,
                partitions,
                json_path: None,
                sample,
                index_directives,
                inheritance: _,
            } if with_hints.is_empty() && partitions.is_empty() && index_directives.is_empty() => {
                if let Some(args) = args {
                    if args.settings.is_some() {
                        return Err(not_understood("SETTINGS of a table function"));
                    }
                    self.note_function(name, None, Some(lateral));
                    let mut inside = Vec::new();
                    argument_children(&args.args, &mut inside)?;
                    self.expressions(inside, Some(lateral))?;
                    self.push_item(
                        block,
                        function_item(
                            alias.as_ref(),
                            object_name(name).and_then(|parts| parts.last().map(|n| n.to_string())),
                        ),
                    );
                } else {
                    let Some(parts) = object_name(name) else {
                        return Err(not_understood("a computed table name"));
                    };
                    let item = self.named_item(block, &parts, alias.as_ref())?;
                    self.push_item(block, item);
                }
                if sample.is_some() {
                    self.uses.samples.push(block);
                }
            }
            TableFactor::Derived {
                lateral: is_lateral,
                subquery,
                alias,
                sample: None,
            } => {
                let (scope, lateral) = match is_lateral {
                    true => (Some(lateral), Lateral::Yes),
                    false => (outer, Lateral::No),
                };
                let query = self.query(subquery, scope, Place::From)?;
                let columns = rename(self.query_columns(query), alias.as_ref());
                let alias = alias.as_ref().map(|alias| alias.name.value.clone());
                let source = Source::Subquery { query, lateral };
                self.push_item(
                    block,
                    Item {
                        source,
                        alias,
                        schema: None,
                        columns,
                        side: Side::Preserved,
                    },
                );
            }
            TableFactor::Function {
                lateral: _,
                name,
                args,
                with_ordinality: _,
                alias,
            } => {
                self.note_function(name, None, Some(lateral));
                let mut inside = Vec::new();
                argument_children(args, &mut inside)?;
                self.expressions(inside, Some(lateral))?;
                self.push_item(
                    block,
                    function_item(
                        alias.as_ref(),
                        object_name(name).and_then(|parts| parts.last().map(|n| n.to_string())),
                    ),
                );
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset: false,
                with_offset_alias: None,
                with_ordinality: _,
            } => {
                self.expressions(array_exprs.iter().map(Child::Expr).collect(), Some(lateral))?;
                self.push_item(block, function_item(alias.as_ref(), Some("unnest".to_string())));
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let range = self.table_with_joins(block, table_with_joins)?;
                if alias.is_some() {
                    // Columns are reached through the join's alias alone.
                    if let Some(block) = self.blocks.get_mut(block.0) {
                        for item in block.items.iter_mut().skip(range.start) {
                            item.alias = None;
                            item.columns = None;
                        }
                        block.merged.retain(|merged| !merged.items.contains(range.start));
                    }
                }
                return Ok(range);
            }
            TableFactor::Table { .. }
            | TableFactor::Derived { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. }
            | TableFactor::JsonTable { .. }
            | TableFactor::OpenJsonTable { .. }
            | TableFactor::Pivot { .. }
            | TableFactor::Unpivot { .. }
            | TableFactor::UnpivotExpr { .. }
            | TableFactor::MatchRecognize { .. }
            | TableFactor::XmlTable { .. }
            | TableFactor::SemanticView { .. } => return Err(not_understood("an entry of FROM")),
        }
        Ok(Range {
            start,
            end: self.item_count(block),
        })
    }

    /// A table, view or CTE by name.
    pub(super) fn named_item(&mut self, block: BlockId, parts: &[&str], alias: Option<&'a TableAlias>) -> Walk<Item> {
        if let [name] = parts
            && let Some((_, query)) = self.ctes.iter().rev().find(|(cte, _)| cte == name)
        {
            let query = *query;
            if let Some(node) = self.queries.get_mut(query.0) {
                node.readers = node.readers.saturating_add(1);
            }
            let own = self.cte_columns(query);
            return Ok(Item {
                source: Source::Cte { query },
                alias: Some(alias.map_or_else(|| name.to_string(), |alias| alias.name.value.clone())),
                schema: None,
                columns: rename(own, alias),
                side: Side::Preserved,
            });
        }
        let found = self.find_relation(parts)?;
        if let Named::Relation(relation) = found
            && relation.kind == RelationKind::View
            && self.input.topology.table(&relation.name).is_none()
        {
            return self.view_item(block, relation, alias);
        }
        self.table_item(block, parts, found, alias, Role::Read)
    }

    fn find_relation(&self, parts: &[&str]) -> Walk<Named<'a>> {
        Ok(match self.origin {
            Origin::Statement => names::relation(self.input.catalog, self.input.context, parts),
            Origin::View => names::relation_in_view(self.input.catalog, parts),
        })
    }

    /// A base table (or what Postgres will refuse) as an item, with its reference.
    pub(super) fn table_item(
        &mut self,
        block: BlockId,
        parts: &[&str],
        found: Named<'a>,
        alias: Option<&'a TableAlias>,
        role: Role,
    ) -> Walk<Item> {
        let (relation, placement) = match found {
            Named::Relation(relation) => (Some(relation), names::placement(self.input.topology, relation)?),
            Named::System => (None, Placement::System),
            Named::Temporary => (None, Placement::Temporary),
            Named::Missing => (None, Placement::Missing),
        };
        let name = parts.last().map(|name| name.to_string()).unwrap_or_default();
        let schema = match (relation, parts) {
            (Some(relation), _) => Some(relation.name.schema.clone()),
            (None, [schema, _] | [_, schema, _]) => Some(schema.to_string()),
            (None, _) => None,
        };
        let id = ReferenceId(self.references.len());
        self.references.push(Reference {
            relation,
            name: parts.join("."),
            placement,
            block,
            role,
        });
        let own = relation.map(|relation| relation.columns.iter().map(|column| column.name.clone()).collect());
        Ok(Item {
            source: Source::Relation(id),
            alias: Some(alias.map_or(name, |alias| alias.name.value.clone())),
            schema: if alias.is_some() { None } else { schema },
            columns: rename(own, alias),
            side: Side::Preserved,
        })
    }

    /// A view, looked through: its definition is resolved as a subquery.
    fn view_item(&mut self, _block: BlockId, relation: &'a Relation, alias: Option<&'a TableAlias>) -> Walk<Item> {
        let full = format!("{}.{}", relation.name.schema, relation.name.name);
        let parsed = self.input.views.get(&relation.name);
        let Some(Statement::Query(definition)) = parsed.and_then(|parsed| parsed.statement.as_ref()) else {
            return Err(refuse(RefusalId::ViewNotUnderstood, &[&full]));
        };
        if self.view_depth >= VIEW_DEPTH_MAX {
            return Err(refuse(RefusalId::ViewNotUnderstood, &[&full]));
        }
        // A view sees nothing of the statement around it.
        let ctes = std::mem::take(&mut self.ctes);
        let origin = std::mem::replace(&mut self.origin, Origin::View);
        self.view_depth = self.view_depth.saturating_add(1);
        let query = self.query(definition, None, Place::From);
        self.view_depth = self.view_depth.saturating_sub(1);
        self.origin = origin;
        self.ctes = ctes;
        let query = query?;
        let own = Some(relation.columns.iter().map(|column| column.name.clone()).collect());
        let name = relation.name.name.clone();
        Ok(Item {
            source: Source::View { query },
            alias: Some(alias.map_or(name, |alias| alias.name.value.clone())),
            schema: if alias.is_some() {
                None
            } else {
                Some(relation.name.schema.clone())
            },
            columns: rename(own, alias),
            side: Side::Preserved,
        })
    }

    /// Names of the columns that a query yields: those of its first arm.
    fn query_columns(&self, query: QueryId) -> Option<Vec<String>> {
        let mut body = &self.queries.get(query.0)?.body;
        loop {
            match body {
                super::Body::Block(block) => match &self.blocks.get(block.0)?.outputs {
                    Outputs::Known(outputs) => return outputs.iter().map(|output| output.name.clone()).collect(),
                    Outputs::Unknown => return None,
                },
                super::Body::Query(inner) => body = &self.queries.get(inner.0)?.body,
                super::Body::Set { left, right: _ } => body = left,
                super::Body::Pending => return None,
            }
        }
    }

    /// A CTE's columns under the names that its WITH entry gives.
    fn cte_columns(&self, query: QueryId) -> Option<Vec<String>> {
        let own = self.query_columns(query)?;
        match self.cte_aliases.get(&query) {
            Some(alias) => rename(Some(own), Some(alias)),
            None => Some(own),
        }
    }
}

/// Column aliases replace the first names.
fn rename(own: Option<Vec<String>>, alias: Option<&TableAlias>) -> Option<Vec<String>> {
    let mut own = own?;
    for (name, alias) in own.iter_mut().zip(alias.iter().flat_map(|alias| &alias.columns)) {
        name.clone_from(&alias.name.value);
    }
    Some(own)
}

fn function_item(alias: Option<&TableAlias>, name: Option<String>) -> Item {
    Item {
        source: Source::Function,
        alias: alias.map(|alias| alias.name.value.clone()).or(name),
        schema: None,
        columns: None,
        side: Side::Preserved,
    }
}
