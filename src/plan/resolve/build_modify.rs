//! Builds the resolved statement: INSERT, UPDATE, DELETE, MERGE.

use crate::plan::resolve::build::{Builder, Walk, not_understood};
use crate::plan::resolve::{
    BlockId, BlockKind, Child, Filters, Item, ItemSet, Named, Outputs, Place, QueryId, Role, Scope, Side, Site, Source,
    names, object_name,
};
use crate::sql::ast::{
    Assignment, ConflictTarget, Delete, FromTable, Insert, Merge, MergeAction, MergeClauseKind, MergeInsertKind,
    MergeUpdateKind, ObjectName, OnConflictAction, OnInsert, OutputClause, SelectItem, Statement, TableAlias,
    TableFactor, TableObject, TableWithJoins, Update, UpdateTableFromKind,
};

// === impl Builder ===

impl<'a> Builder<'a> {
    /// A statement that changes rows; any other is not understood.
    pub(super) fn modify(
        &mut self,
        statement: &'a Statement,
        query: Option<QueryId>,
        outer: Option<Scope>,
    ) -> Walk<BlockId> {
        match statement {
            Statement::Insert(insert) => self.insert(insert, query, outer),
            Statement::Update(update) => self.update(update, query, outer),
            Statement::Delete(delete) => self.delete(delete, query, outer),
            Statement::Merge(merge) => self.merge(merge, query, outer),
            _ => Err(not_understood("this kind of statement")),
        }
    }

    fn insert(&mut self, insert: &'a Insert, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let Insert {
            insert_token: _,
            optimizer_hints: _,
            or,
            ignore,
            into: _,
            table,
            table_alias,
            columns: _,
            by_name,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            overriding: _,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        let foreign = or.is_some()
            || *ignore
            || *by_name
            || *overwrite
            || !assignments.is_empty()
            || partitioned.is_some()
            || !after_columns.is_empty()
            || *has_table_keyword
            || output.is_some()
            || *replace_into
            || priority.is_some()
            || insert_alias.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || multi_table_insert_type.is_some()
            || !multi_table_into_clauses.is_empty()
            || !multi_table_when_clauses.is_empty()
            || multi_table_else_clause.is_some();
        let TableObject::TableName(name) = table else {
            return Err(not_understood("INSERT into something that is no table"));
        };
        if foreign {
            return Err(not_understood("an INSERT of another dialect"));
        }
        let block = self.new_block(BlockKind::Insert(insert), query, outer);
        let mut target = self.target(block, name, Role::Insert)?;
        if let Some(alias) = table_alias {
            target.alias = Some(alias.alias.value.clone());
            target.schema = None;
        }
        let excluded = match target.source {
            Source::Relation(_) => Some(Item {
                source: Source::Excluded,
                alias: Some("excluded".to_string()),
                schema: None,
                columns: target.columns.clone(),
                side: Side::Preserved,
            }),
            _ => None,
        };
        self.push_item(block, target);
        let source = source
            .as_ref()
            .map(|source| self.query(source, outer, Place::InsertSource))
            .transpose()?;
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.source = source;
            block.items.extend(excluded);
        }
        let with_excluded = self.scope_of(block);
        match on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => {
                let mut inside = Vec::new();
                if let Some(ConflictTarget::Columns { columns: _, predicate }) = &conflict.conflict_target {
                    inside.extend(predicate.iter().map(Child::Expr));
                }
                match &conflict.action {
                    OnConflictAction::DoNothing => {}
                    OnConflictAction::DoUpdate(update) => {
                        inside.extend(
                            update
                                .assignments
                                .iter()
                                .map(|assignment| Child::Expr(&assignment.value)),
                        );
                        inside.extend(update.selection.iter().map(Child::Expr));
                    }
                }
                self.expressions(inside, Some(with_excluded))?;
            }
            Some(_) => return Err(not_understood("an INSERT of another dialect")),
        }
        self.returning(
            block,
            returning.as_deref(),
            Scope {
                block,
                items: ItemSet::range(0, 1),
            },
        )?;
        Ok(block)
    }

    fn update(&mut self, update: &'a Update, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let Update {
            update_token: _,
            optimizer_hints: _,
            table,
            on_cluster,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
            settings,
        } = update;
        if on_cluster.is_some()
            || output.is_some()
            || or.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || settings.is_some()
            || !table.joins.is_empty()
        {
            return Err(not_understood("an UPDATE of another dialect"));
        }
        let block = self.new_block(BlockKind::Update(update), query, outer);
        self.target_factor(block, &table.relation, Role::Update)?;
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(from)) => self.from(block, from)?,
            Some(UpdateTableFromKind::BeforeSet(_)) => return Err(not_understood("an UPDATE of another dialect")),
        }
        self.filter(block, selection.as_ref())?;
        let scope = self.scope_of(block);
        self.assignments(assignments, scope)?;
        self.returning(block, returning.as_deref(), scope)?;
        Ok(block)
    }

    fn assignments(&mut self, assignments: &'a [Assignment], scope: Scope) -> Walk<()> {
        self.expressions(
            assignments
                .iter()
                .map(|assignment| Child::Expr(&assignment.value))
                .collect(),
            Some(scope),
        )
    }

    fn delete(&mut self, delete: &'a Delete, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let Delete {
            delete_token: _,
            optimizer_hints: _,
            tables,
            from,
            on_cluster,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
            settings,
        } = delete;
        if !tables.is_empty()
            || on_cluster.is_some()
            || output.is_some()
            || !order_by.is_empty()
            || limit.is_some()
            || settings.is_some()
        {
            return Err(not_understood("a DELETE of another dialect"));
        }
        let target = match from {
            FromTable::WithFromKeyword(list) => match list.as_slice() {
                [TableWithJoins { relation, joins }] if joins.is_empty() => relation,
                _ => return Err(not_understood("a DELETE of another dialect")),
            },
            FromTable::WithoutKeyword(_) => return Err(not_understood("DELETE without FROM")),
        };
        let block = self.new_block(BlockKind::Delete, query, outer);
        self.target_factor(block, target, Role::Delete)?;
        self.from(block, using.as_deref().unwrap_or_default())?;
        self.filter(block, selection.as_ref())?;
        let scope = self.scope_of(block);
        self.returning(block, returning.as_deref(), scope)?;
        Ok(block)
    }

    fn merge(&mut self, merge: &'a Merge, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let Merge {
            merge_token: _,
            optimizer_hints: _,
            into: _,
            table,
            source,
            on,
            clauses,
            output,
        } = merge;
        let block = self.new_block(BlockKind::Merge(merge), query, outer);
        self.target_factor(block, table, Role::Merge)?;
        let from = self.single_factor(block, source)?;
        let (target, source) = (ItemSet::range(0, 1), ItemSet::range(1, from));
        // Rows of the source without a match count too: ON filters the target alone.
        self.conjuncts(
            block,
            on,
            Site::OuterOn,
            target.union(source),
            target,
            target.union(source),
        );
        let scope = self.scope_of(block);
        let mut inside = vec![Child::Expr(on)];
        for clause in clauses {
            match clause.clause_kind {
                MergeClauseKind::Matched | MergeClauseKind::NotMatched => {}
                MergeClauseKind::NotMatchedByTarget | MergeClauseKind::NotMatchedBySource => {
                    return Err(not_understood("WHEN NOT MATCHED BY"));
                }
            }
            inside.extend(clause.predicate.iter().map(Child::Expr));
            match &clause.action {
                MergeAction::Insert(insert) => {
                    match &insert.kind {
                        MergeInsertKind::Values(values) => {
                            inside.extend(values.rows.iter().flat_map(|row| &row.content).map(Child::Expr));
                        }
                        MergeInsertKind::Row | MergeInsertKind::Wildcard => {
                            return Err(not_understood("MERGE … INSERT ROW"));
                        }
                    }
                    inside.extend(insert.insert_predicate.iter().map(Child::Expr));
                }
                MergeAction::Update(update) => {
                    match &update.kind {
                        MergeUpdateKind::Set(assignments) => {
                            inside.extend(assignments.iter().map(|assignment| Child::Expr(&assignment.value)));
                        }
                        MergeUpdateKind::Wildcard => return Err(not_understood("MERGE … UPDATE *")),
                    }
                    inside.extend(
                        update
                            .update_predicate
                            .iter()
                            .chain(&update.delete_predicate)
                            .map(Child::Expr),
                    );
                }
                MergeAction::Delete { .. } | MergeAction::DoNothing { .. } => {}
            }
        }
        self.expressions(inside, Some(scope))?;
        match output {
            None => {}
            Some(OutputClause::Returning {
                returning_token: _,
                select_items,
            }) => {
                self.returning(block, Some(select_items), scope)?;
            }
            Some(OutputClause::Output { .. }) => return Err(not_understood("OUTPUT")),
        }
        Ok(block)
    }

    fn target_factor(&mut self, block: BlockId, factor: &'a TableFactor, role: Role) -> Walk<()> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_directives,
            inheritance: _,
        } = factor
        else {
            return Err(not_understood("the target of a write"));
        };
        if !with_hints.is_empty() || !partitions.is_empty() || !index_directives.is_empty() {
            return Err(not_understood("the target of a write"));
        }
        let mut item = self.target(block, name, role)?;
        if let Some(TableAlias { name, .. }) = alias {
            item.alias = Some(name.value.clone());
            item.schema = None;
        }
        self.push_item(block, item);
        Ok(())
    }

    /// The target of a write: a table, never a CTE. A view as a target is looked through only to find what it is.
    fn target(&mut self, block: BlockId, name: &'a ObjectName, role: Role) -> Walk<Item> {
        let Some(parts) = object_name(name) else {
            return Err(not_understood("a computed table name"));
        };
        let found = names::relation(self.input.catalog, self.input.context, &parts);
        if let Named::Relation(relation) = found
            && relation.kind == crate::catalog::RelationKind::View
            && self.input.topology.table(&relation.name).is_none()
        {
            return Err(crate::plan::refuse(
                crate::plan::RefusalId::ViewWritten,
                &[&relation.name.name],
            ));
        }
        self.table_item(block, &parts, found, None, role)
    }

    fn returning(&mut self, block: BlockId, list: Option<&'a [SelectItem]>, scope: Scope) -> Walk<()> {
        let list = list.unwrap_or_default();
        let mut inside = Vec::new();
        for item in list {
            self.select_item(item, &mut inside)?;
        }
        self.expressions(inside, Some(scope))?;
        let mut outputs = self.outputs(list, scope);
        if let Outputs::Known(outputs) = &mut outputs {
            // What a write returns is a new row; its columns are not the stored ones.
            outputs.iter_mut().for_each(|output| output.column = None);
        }
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.outputs = outputs;
            block.filters = Filters::Stay;
        }
        Ok(())
    }
}
