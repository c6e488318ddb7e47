//! Builds the resolved statement: queries, set operations, CTEs and the list of outputs.
//!
//! Holds: every field of every node that the parser fills is either used, or known to be empty in Postgres's grammar and
//! refused if it isn't.

use std::collections::BTreeMap;

use crate::plan::resolve::children::{NotUnderstood, order_by_children, window_children};
use crate::plan::resolve::lookup::{Lookup, lookup};
use crate::plan::resolve::{
    Block, BlockId, BlockKind, Body, Callee, Child, Filters, Input, Item, Origin, Output, Outputs, Place, QueryId,
    QueryNode, Reference, Resolved, Root, Scope, Uses,
};
use crate::plan::{Refusal, RefusalId, refuse};
use crate::sql::ast::{
    self, Distinct, Expr, Fetch, GroupByExpr, LimitClause, NamedWindowExpr, Query, Select, SelectFlavor, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, Values, WildcardAdditionalOptions,
};

/// Views inside views beyond this are refused; Postgres's own bound is the stack.
pub(super) const VIEW_DEPTH_MAX: usize = 16;

/// Resolves a SELECT, VALUES, INSERT, UPDATE, DELETE or MERGE; another statement is not understood.
pub(in crate::plan) fn resolve<'a>(input: &'a Input<'a>) -> Result<Resolved<'a>, Box<Refusal>> {
    let mut builder = Builder {
        input,
        queries: Vec::new(),
        blocks: Vec::new(),
        references: Vec::new(),
        uses: Uses::default(),
        ctes: Vec::new(),
        cte_aliases: BTreeMap::new(),
        origin: Origin::Statement,
        view_depth: 0,
    };
    let root = match input.statement {
        Statement::Query(query) => Root::Query(builder.query(query, None, Place::Top)?),
        statement => Root::Modify(builder.modify(statement, None, None)?),
    };
    let Builder {
        queries,
        blocks,
        references,
        uses,
        ..
    } = builder;
    Ok(Resolved {
        input,
        root,
        queries,
        blocks,
        references,
        uses,
    })
}

/// State of the walk.
pub(super) struct Builder<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) queries: Vec<QueryNode<'a>>,
    pub(super) blocks: Vec<Block<'a>>,
    pub(super) references: Vec<Reference<'a>>,
    pub(super) uses: Uses<'a>,
    /// CTEs in sight, innermost last
    pub(super) ctes: Vec<(String, QueryId)>,
    /// column names that a WITH entry gives
    pub(super) cte_aliases: BTreeMap<QueryId, &'a TableAlias>,
    pub(super) origin: Origin,
    pub(super) view_depth: usize,
}

/// A walk's outcome.
pub(super) type Walk<T> = Result<T, Box<Refusal>>;

pub(super) fn not_understood(what: &'static str) -> Box<Refusal> {
    refuse(RefusalId::SyntaxNotUnderstood, &[what])
}

impl From<NotUnderstood> for Box<Refusal> {
    fn from(NotUnderstood(what): NotUnderstood) -> Box<Refusal> {
        not_understood(what)
    }
}

// === impl Builder ===

impl<'a> Builder<'a> {
    /// A query; `outer` is the level outside whose columns it may name.
    pub(super) fn query(&mut self, query: &'a Query, outer: Option<Scope>, place: Place) -> Walk<QueryId> {
        let id = self.reserve(query, place, outer);
        self.fill(id, query, outer)?;
        Ok(id)
    }

    fn reserve(&mut self, query: &'a Query, place: Place, outer: Option<Scope>) -> QueryId {
        let id = QueryId(self.queries.len());
        let readers = usize::from(place != Place::Cte);
        let filters = match query.limit_clause.is_none() && query.fetch.is_none() && query.locks.is_empty() {
            true => Filters::Commute,
            false => Filters::Stay,
        };
        self.queries.push(QueryNode {
            query,
            body: Body::Pending,
            outer,
            readers,
            filters,
        });
        id
    }

    fn fill(&mut self, id: QueryId, query: &'a Query, outer: Option<Scope>) -> Walk<()> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return Err(not_understood("a query clause of another dialect"));
        }
        let in_sight = self.ctes.len();
        if let Some(with) = with {
            self.with(with, outer)?;
        }
        let body = self.body(body, id, outer)?;
        let scope = match &body {
            Body::Block(block) => Some(self.scope_of(*block)),
            Body::Query(_) | Body::Set { .. } | Body::Pending => outer,
        };
        if let Some(node) = self.queries.get_mut(id.0) {
            node.body = body;
        }
        let mut inside = Vec::new();
        if let Some(order_by) = order_by {
            order_by_children(order_by, &mut inside)?;
        }
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset {
                limit,
                offset,
                limit_by,
            }) if limit_by.is_empty() => {
                inside.extend(
                    limit
                        .iter()
                        .chain(offset.iter().map(|offset| &offset.value))
                        .map(Child::Expr),
                );
            }
            Some(LimitClause::LimitOffset { .. } | LimitClause::OffsetCommaLimit { .. }) => {
                return Err(not_understood("LIMIT of another dialect"));
            }
        }
        match fetch {
            None => {}
            Some(Fetch {
                with_ties: _,
                percent: false,
                quantity,
            }) => inside.extend(quantity.iter().map(Child::Expr)),
            Some(Fetch { percent: true, .. }) => return Err(not_understood("FETCH … PERCENT")),
        }
        self.uses.locks = self.uses.locks.saturating_add(locks.len());
        self.expressions(inside, scope)?;
        self.ctes.truncate(in_sight);
        Ok(())
    }

    fn with(&mut self, with: &'a ast::With, outer: Option<Scope>) -> Walk<()> {
        let reserved: Vec<(String, QueryId, &'a ast::Cte)> = with
            .cte_tables
            .iter()
            .map(|cte| {
                let id = self.reserve(&cte.query, Place::Cte, outer);
                self.cte_aliases.insert(id, &cte.alias);
                (cte.alias.name.value.clone(), id, cte)
            })
            .collect();
        if with.recursive {
            self.ctes
                .extend(reserved.iter().map(|(name, id, _)| (name.clone(), *id)));
        }
        for (name, id, cte) in reserved {
            if cte.from.is_some() {
                return Err(not_understood("WITH … FROM"));
            }
            self.fill(id, &cte.query, outer)?;
            if !with.recursive {
                self.ctes.push((name, id));
            }
        }
        Ok(())
    }

    fn body(&mut self, body: &'a SetExpr, query: QueryId, outer: Option<Scope>) -> Walk<Body> {
        match body {
            SetExpr::Select(select) => Ok(Body::Block(self.select(select, Some(query), outer)?)),
            SetExpr::Values(values) => Ok(Body::Block(self.values(values, Some(query), outer)?)),
            SetExpr::Query(inner) => Ok(Body::Query(self.query(inner, outer, Place::Arm)?)),
            SetExpr::SetOperation { .. } => self.set_operation(body, outer),
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => Ok(Body::Block(self.modify(statement, Some(query), outer)?)),
            SetExpr::Table(table) => Ok(Body::Block(self.table(table, query, outer)?)),
        }
    }

    /// A chain of set operations is a tree as deep as it is long on its left side, so that side is walked in a loop.
    fn set_operation(&mut self, body: &'a SetExpr, outer: Option<Scope>) -> Walk<Body> {
        let mut rights = Vec::new();
        let mut at = body;
        while let SetExpr::SetOperation {
            left,
            op: _,
            set_quantifier: _,
            right,
        } = at
        {
            rights.push(right);
            at = left;
        }
        let mut built = self.arm(at, outer)?;
        for right in rights.into_iter().rev() {
            let right = match &**right {
                nested @ SetExpr::SetOperation { .. } => self.set_operation(nested, outer)?,
                arm => self.arm(arm, outer)?,
            };
            built = Body::Set {
                left: Box::new(built),
                right: Box::new(right),
            };
        }
        Ok(built)
    }

    fn arm(&mut self, arm: &'a SetExpr, outer: Option<Scope>) -> Walk<Body> {
        match arm {
            SetExpr::Select(select) => Ok(Body::Block(self.select(select, None, outer)?)),
            SetExpr::Values(values) => Ok(Body::Block(self.values(values, None, outer)?)),
            SetExpr::Query(inner) => Ok(Body::Query(self.query(inner, outer, Place::Arm)?)),
            SetExpr::SetOperation { .. }
            | SetExpr::Insert(_)
            | SetExpr::Update(_)
            | SetExpr::Delete(_)
            | SetExpr::Merge(_)
            | SetExpr::Table(_) => Err(not_understood("an arm of a set operation")),
        }
    }

    pub(super) fn new_block(&mut self, kind: BlockKind<'a>, query: Option<QueryId>, outer: Option<Scope>) -> BlockId {
        let id = BlockId(self.blocks.len());
        self.blocks.push(Block {
            kind,
            query,
            outer,
            items: Vec::new(),
            merged: Vec::new(),
            conjuncts: Vec::new(),
            origin: self.origin,
            outputs: Outputs::Unknown,
            filters: Filters::Stay,
            source: None,
        });
        id
    }

    pub(super) fn scope_of(&self, block: BlockId) -> Scope {
        let items = self.blocks.get(block.0).map_or(0, |block| block.items.len());
        Scope {
            block,
            items: super::ItemSet::range(0, items),
        }
    }

    fn values(&mut self, values: &'a Values, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let block = self.new_block(BlockKind::Values(values), query, outer);
        let inside = values
            .rows
            .iter()
            .flat_map(|row| &row.content)
            .map(Child::Expr)
            .collect();
        self.expressions(inside, outer)?;
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let outputs = (1..=width)
            .map(|n| Output {
                name: Some(format!("column{n}")),
                column: None,
            })
            .collect();
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.outputs = Outputs::Known(outputs);
        }
        Ok(block)
    }

    fn table(&mut self, table: &'a ast::Table, query: QueryId, outer: Option<Scope>) -> Walk<BlockId> {
        let Some(name) = &table.table_name else {
            return Err(not_understood("TABLE without a name"));
        };
        let block = self.new_block(BlockKind::Table, Some(query), outer);
        let parts: Vec<&'a str> = table
            .schema_name
            .iter()
            .chain([name])
            .map(|ident| ident.value.as_str())
            .collect();
        let item = self.named_item(block, &parts, None)?;
        self.push_item(block, item);
        let outputs = self.star(block);
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.outputs = outputs;
            block.filters = Filters::Commute;
        }
        Ok(block)
    }

    fn select(&mut self, select: &'a Select, query: Option<QueryId>, outer: Option<Scope>) -> Walk<BlockId> {
        let Select {
            select_token: _,
            optimizer_hints: _,
            distinct,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        let foreign = select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || !matches!(flavor, SelectFlavor::Standard);
        if foreign {
            return Err(not_understood("a SELECT clause of another dialect"));
        }
        let block = self.new_block(BlockKind::Select(select), query, outer);
        self.uses.into = self.uses.into.saturating_add(usize::from(into.is_some()));
        self.from(block, from)?;
        let scope = self.scope_of(block);
        self.filter(block, selection.as_ref())?;
        let first_function = self.uses.functions.len();
        let mut inside = Vec::new();
        for item in projection {
            self.select_item(item, &mut inside)?;
        }
        self.expressions(std::mem::take(&mut inside), Some(scope))?;
        inside.extend(having.iter().map(Child::Expr));
        let grouped = match group_by {
            GroupByExpr::Expressions(keys, modifiers) if modifiers.is_empty() => {
                inside.extend(keys.iter().map(Child::Expr));
                !keys.is_empty()
            }
            GroupByExpr::Expressions(_, _) | GroupByExpr::All(_) => {
                return Err(not_understood("GROUP BY of another dialect"));
            }
        };
        let distinct_on = match distinct {
            None | Some(Distinct::All | Distinct::Distinct) => false,
            Some(Distinct::On(keys)) => {
                inside.extend(keys.iter().map(Child::Expr));
                true
            }
        };
        for ast::NamedWindowDefinition(_, window) in named_window {
            match window {
                NamedWindowExpr::NamedWindow(_) => {}
                NamedWindowExpr::WindowSpec(window) => window_children(window, &mut inside)?,
            }
        }
        let plain = self
            .uses
            .functions
            .get(first_function..)
            .unwrap_or_default()
            .iter()
            .all(|function| is_scalar(&function.callee));
        self.expressions(inside, Some(scope))?;
        let outputs = self.outputs(projection, scope);
        if let Some(block) = self.blocks.get_mut(block.0) {
            block.outputs = outputs;
            block.filters = match plain && !grouped && !distinct_on && having.is_none() {
                true => Filters::Commute,
                false => Filters::Stay,
            };
        }
        Ok(block)
    }

    /// Appends what stands inside an entry of a target list.
    pub(super) fn select_item(&mut self, item: &'a SelectItem, inside: &mut Vec<Child<'a>>) -> Walk<()> {
        let options = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, alias: _ } => {
                inside.push(Child::Expr(expr));
                return Ok(());
            }
            SelectItem::ExprWithAliases { .. } => return Err(not_understood("several aliases of one expression")),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(_), options) => options,
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(expr), options) => {
                inside.push(Child::Expr(expr));
                options
            }
            SelectItem::Wildcard(options) => options,
        };
        let WildcardAdditionalOptions {
            wildcard_token: _,
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        } = options;
        let foreign = opt_ilike.is_some()
            || opt_exclude.is_some()
            || opt_except.is_some()
            || opt_replace.is_some()
            || opt_rename.is_some()
            || opt_alias.is_some();
        match foreign {
            true => Err(not_understood("a star of another dialect")),
            false => Ok(()),
        }
    }

    /// What a target list yields; unknown if a star, or a name, can't be told.
    pub(super) fn outputs(&self, list: &[SelectItem], scope: Scope) -> Outputs {
        let mut outputs = Vec::new();
        for item in list {
            match item {
                SelectItem::UnnamedExpr(expr) => match figure_name(expr) {
                    Some(name) => outputs.push(Output {
                        name: Some(name),
                        column: self.plain_column(expr, scope),
                    }),
                    None => return Outputs::Unknown,
                },
                SelectItem::ExprWithAlias { expr, alias } => {
                    outputs.push(Output {
                        name: Some(alias.value.clone()),
                        column: self.plain_column(expr, scope),
                    });
                }
                SelectItem::Wildcard(_) => match self.star(scope.block) {
                    Outputs::Known(all) => outputs.extend(all),
                    Outputs::Unknown => return Outputs::Unknown,
                },
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    match self.qualified_star(scope, name) {
                        Some(all) => outputs.extend(all),
                        None => return Outputs::Unknown,
                    }
                }
                SelectItem::ExprWithAliases { .. }
                | SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::Expr(_), _) => {
                    return Outputs::Unknown;
                }
            }
        }
        Outputs::Known(outputs)
    }

    fn plain_column(&self, expr: &Expr, scope: Scope) -> Option<super::ColumnRef> {
        let mut at = expr;
        while let Expr::Nested(inner) = at {
            at = inner;
        }
        let found = match at {
            Expr::Identifier(ident) => lookup(&self.blocks, scope, &[&ident.value]),
            Expr::CompoundIdentifier(idents) => {
                let names: Vec<&str> = idents.iter().map(|ident| ident.value.as_str()).collect();
                lookup(&self.blocks, scope, &names)
            }
            _ => return None,
        };
        match found {
            Lookup::Column(column) if column.block == scope.block => Some(column),
            Lookup::Column(_) | Lookup::Opaque | Lookup::System | Lookup::Ambiguous | Lookup::Unknown => None,
        }
    }

    /// `*`: all items' columns in order; a merged column would come first and once.
    fn star(&self, block: BlockId) -> Outputs {
        let Some(found) = self.blocks.get(block.0) else {
            return Outputs::Unknown;
        };
        if !found.merged.is_empty() {
            return Outputs::Unknown;
        }
        let mut outputs = Vec::new();
        for (index, item) in found.items.iter().enumerate() {
            match item_outputs(block, index, item) {
                Some(columns) => outputs.extend(columns),
                None => return Outputs::Unknown,
            }
        }
        Outputs::Known(outputs)
    }

    fn qualified_star(&self, scope: Scope, name: &ast::ObjectName) -> Option<Vec<Output>> {
        let parts = super::object_name(name)?;
        let (schema, alias) = match parts.as_slice() {
            [alias] => (None, *alias),
            [schema, alias] => (Some(*schema), *alias),
            _ => return None,
        };
        let items = &self.blocks.get(scope.block.0)?.items;
        let mut named = items.iter().enumerate().filter(|(_, item)| {
            item.alias.as_deref() == Some(alias) && (schema.is_none() || item.schema.as_deref() == schema)
        });
        match (named.next(), named.next()) {
            (Some((index, item)), None) => item_outputs(scope.block, index, item),
            _ => None,
        }
    }
}

fn item_outputs(block: BlockId, index: usize, item: &Item) -> Option<Vec<Output>> {
    let columns = item.columns.as_ref()?;
    let output = |(column, name): (usize, &String)| Output {
        name: Some(name.clone()),
        column: Some(super::ColumnRef {
            block,
            item: index,
            column,
        }),
    };
    Some(columns.iter().enumerate().map(output).collect())
}

fn is_scalar(callee: &Callee<'_>) -> bool {
    match callee {
        Callee::Builtin(overloads) => overloads.iter().all(|function| {
            function.kind == crate::catalog::FunctionKind::Function
                && function.returns_set == crate::catalog::ReturnsSet::No
        }),
        Callee::Grammar => true,
        Callee::User(_) | Callee::Missing => false,
    }
}

/// The name that Postgres gives to a target list entry without AS (`FigureColname` in parse_target.c); `None` where that
/// isn't known here.
fn figure_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(ident.value.clone()),
        Expr::CompoundIdentifier(idents) => idents.last().map(|ident| ident.value.clone()),
        Expr::Nested(inner)
        | Expr::Collate {
            expr: inner,
            collation: _,
        } => figure_name(inner),
        Expr::Cast { expr, .. } => match figure_name(expr) {
            Some(name) if name != "?column?" => Some(name),
            _ => None,
        },
        Expr::Function(function) => super::object_name(&function.name)?.last().map(|name| name.to_string()),
        Expr::Value(_) | Expr::BinaryOp { .. } | Expr::UnaryOp { .. } => Some("?column?".to_string()),
        _ => None,
    }
}
